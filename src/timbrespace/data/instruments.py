"""Render sampled instruments into a data set in NSynth's layout.

The source is a SoundFont: the package's own bank, or any other. Presets of General MIDI become
instruments of NSynth's eleven families; each is played at the pitches that its recordings bear and
at NSynth's five velocities, three seconds held and one released. Splits share neither an instrument
nor a recording, so that a test sound was never heard in training under another name.

On disk: `nsynth-{train,valid,test}/{examples.json, audio/*.wav}` with exactly NSynth's 13 fields,
and `provenance.json` beside them; `folds/I-of-K.csv`, where asked for, are lists for `prepare`. Every
note depends only on the font and the settings, so an interrupted rendering that is started again gives
the same files.

Source: Engel et al. 2017, "Neural Audio Synthesis of Musical Notes with WaveNet Autoencoders".
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.atomic import remove_abandoned, write_bytes
from timbrespace.data import children
from timbrespace.data.sampler import Sampler, audible_zones, transposition
from timbrespace.data.soundfont import Preset, SoundFont
from timbrespace.errors import CorpusError
from timbrespace.machine import cores

FAMILIES = (
    "bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string",
    "synth_lead", "vocal",
)  # fmt: skip
SOURCES = ("acoustic", "electronic", "synthetic")
VELOCITIES: tuple[int, ...] = (25, 50, 75, 100, 127)
SPLITS = ("train", "valid", "test")
SAMPLE_RATE, HELD, RELEASED = 16000, 3.0, 1.0
BANK = Path(__file__).parent / "bank" / "fluidr3-melodic-16k.sf3"

PITCHES = range(21, 109)  # a piano's keys, as in NSynth
STRETCH = 12.5  # semitones that a recording bears before it stops sounding like itself
_LOUDEST = 0.9
_INAUDIBLE = 0.002  # peak: -54 dBFS, notes that are nothing but their own rounding
_WAV_BYTES = 44 + 2 * round(SAMPLE_RATE * (HELD + RELEASED))
_VERSION = 1  # raise it when rendered samples change

# General MIDI programs (first, last) to family and source. Left out is what is no pitched instrument
# of any NSynth family (orchestra hit, tinkle bell, agogo, drums, noises) and what does not sound at
# its key: guitar harmonics (31), timpani (47), the lead and the pad in fifths (86, 97).
_PROGRAMS = (
    (0, 1, "keyboard", "acoustic"), (2, 2, "keyboard", "electronic"),
    (3, 3, "keyboard", "acoustic"), (4, 5, "keyboard", "electronic"),
    (6, 6, "keyboard", "acoustic"), (7, 7, "keyboard", "electronic"),
    (8, 15, "mallet", "acoustic"), (16, 18, "organ", "electronic"),
    (19, 20, "organ", "acoustic"), (21, 23, "reed", "acoustic"),
    (24, 25, "guitar", "acoustic"), (26, 30, "guitar", "electronic"),
    (32, 32, "bass", "acoustic"), (33, 37, "bass", "electronic"), (38, 39, "bass", "synthetic"),
    (40, 46, "string", "acoustic"), (48, 49, "string", "acoustic"), (50, 51, "string", "synthetic"),
    (52, 53, "vocal", "acoustic"), (54, 54, "vocal", "synthetic"),
    (56, 61, "brass", "acoustic"), (62, 63, "brass", "synthetic"),
    (64, 71, "reed", "acoustic"), (72, 79, "flute", "acoustic"),
    (80, 84, "synth_lead", "synthetic"), (85, 85, "vocal", "synthetic"),
    (87, 90, "synth_lead", "synthetic"), (91, 91, "vocal", "synthetic"),
    (92, 96, "synth_lead", "synthetic"), (98, 103, "synth_lead", "synthetic"), (104, 107, "guitar", "acoustic"),
    (108, 108, "mallet", "acoustic"), (109, 109, "reed", "acoustic"),
    (110, 110, "string", "acoustic"), (111, 111, "reed", "acoustic"),
    (114, 114, "mallet", "acoustic"),
)  # fmt: skip

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Instrument:
    """One preset as an instrument: NSynth's names, the pitches it bears, its split."""

    index: int
    name: str
    family: str
    source: str
    preset: str
    bank: int
    program: int
    pitches: tuple[int, ...] = field(repr=False)
    recordings: tuple[int, ...] = field(repr=False)
    split: str = "train"


@dataclass(frozen=True)
class Summary:
    """What was rendered: the folder, notes and instruments by split, what was left out."""

    out: Path
    notes: int
    by_split: dict[str, int]
    instruments: dict[str, int]
    left_out: int
    rendered: int
    seconds: float


def family_of(program: int) -> tuple[str, str] | None:
    """NSynth's family and source of a General MIDI program 0..127, or None."""
    for first, last, family, source in _PROGRAMS:
        if first <= program <= last:
            return family, source
    return None


def catalogue(font: SoundFont, seed: int = 0) -> list[Instrument]:
    """The font's instruments with their pitches and splits, in order of bank and program."""
    found: list[tuple[Preset, str, str, tuple[int, ...], tuple[int, ...]]] = []
    for preset in font.presets:
        kind = family_of(preset.program) if preset.bank == 0 else None
        if kind is None:
            continue
        pitches, recordings = borne_pitches(font, preset)
        if pitches:
            found.append((preset, *kind, pitches, recordings))
    if not found:
        raise CorpusError(
            f"{font.name} holds no melodic General MIDI presets; expected programs 0 to 114 "
            "in bank 0."
        )
    splits = assign_splits(
        [entry[1] for entry in found], [_identities(font, entry[4]) for entry in found], seed
    )
    counts: dict[tuple[str, str], int] = defaultdict(int)
    instruments = []
    for (preset, family, source, pitches, recordings), split in zip(found, splits, strict=True):
        if split is None:
            continue
        index = len(instruments)
        number = counts[family, source]
        counts[family, source] += 1
        instruments.append(
            Instrument(
                index,
                f"{family}_{source}_{number:03d}",
                family,
                source,
                preset.name,
                preset.bank,
                preset.program,
                pitches,
                recordings,
                split,
            )  # fmt: skip
        )
    return instruments


def borne_pitches(font: SoundFont, preset: Preset) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The pitches that a preset bears and the recordings heard there.

    A pitch is borne if at each of the five velocities some recording is shifted by an octave at
    most.
    """
    pitches: list[int] = []
    recordings: set[int] = set()
    for pitch in PITCHES:
        near = [zone for zone in preset.zones if zone.keys[0] <= pitch <= zone.keys[1]]
        heard = [audible_zones(font, near, pitch, velocity) for velocity in VELOCITIES]
        shifts = [
            min((abs(transposition(font, zone, pitch)) for zone in zones), default=np.inf)
            for zones in heard
        ]
        if max(shifts) <= STRETCH:
            pitches.append(pitch)
            recordings.update(zone.sample for zones in heard for zone in zones)
    return tuple(pitches), tuple(sorted(recordings))


def _identities(font: SoundFont, recordings: Sequence[int]) -> set[str]:
    """Recordings by content and by name: fonts store one under two names, or twice, cut anew."""
    names = {f"name {font.samples[index].name}" for index in recordings} - {"name "}
    return names | {hashlib.sha256(font.encoded(index)).hexdigest() for index in recordings}


def assign_splits(
    families: Sequence[str], recordings: Sequence[set[str]], seed: int = 0
) -> list[str | None]:
    """A split for each instrument such that splits share no recording; None where one is left out.

    Instruments that share a recording go together. Each family gives one instrument, or a tenth of
    them, to test and to valid, the smallest groups first, and keeps some in train. Layered presets
    that tie a family's recordings together are left out where that gives it the three groups that
    it needs to be in every split.
    """
    left_out = _bridges(families, recordings)
    groups = _groups(recordings, left_out)
    order = np.random.default_rng(seed).permutation(len(families))
    ranked = sorted(groups, key=lambda group: (len(group), order[group[0]]))
    splits: list[str | None] = ["train"] * len(families)
    for index in left_out:
        splits[index] = None
    placed: set[int] = set()

    def count(members: Sequence[int], family: str) -> int:
        return sum(families[index] == family for index in members)

    own = {
        family: [group for group in ranked if count(group, family)]
        for family in sorted(set(families))
    }
    # Families with the least choice choose first.
    for family in sorted(own, key=lambda name: (len(own[name]), name)):
        size = sum(count(group, family) for group in own[family])
        for split, others in (("test", 2), ("valid", 1)):
            wanted = max(1, round(0.1 * size))
            have = sum(families[i] == family and splits[i] == split for i in range(len(splits)))
            for group in own[family]:
                free = sum(g[0] not in placed for g in own[family])
                if have >= wanted or free <= others or len(own[family]) <= others:
                    break
                if group[0] in placed or have and have + count(group, family) > wanted:
                    continue
                placed.add(group[0])
                for index in group:
                    splits[index] = split
                have += count(group, family)
    return splits


def assign_folds(
    families: Sequence[str], recordings: Sequence[set[str]], count: int, seed: int = 0
) -> list[int]:
    """The fold, 0 to count - 1, in which each instrument is held out, so that each is in one of them.

    Instruments that share a recording go together, the largest groups first, each to the fold that has
    the smallest share of its families.
    """
    groups = _groups(recordings, set())
    if not 2 <= count <= len(groups):
        raise CorpusError(
            f"folds should be 2 to {len(groups)}, so many groups of instruments share no recording; "
            f"got {count}"
        )
    order = np.random.default_rng(seed).permutation(len(families))
    total = Counter(families)
    held = [Counter[str]() for _ in range(count)]
    folds = [0] * len(families)
    for group in sorted(groups, key=lambda group: (-len(group), order[group[0]])):
        own = [families[index] for index in group]
        chosen = min(
            range(count),
            key=lambda fold: (sum(held[fold][f] / total[f] for f in own), held[fold].total(), fold),
        )
        held[chosen].update(own)
        for index in group:
            folds[index] = chosen
    return folds


def _groups(recordings: Sequence[set[str]], left_out: set[int]) -> list[list[int]]:
    """Instruments joined by shared recordings, directly or through others (union-find)."""
    parent = list(range(len(recordings)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    owner: dict[str, int] = {}
    for index, contents in enumerate(recordings):
        if index not in left_out:
            for content in contents:
                parent[root(index)] = root(owner.setdefault(content, index))
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(recordings)):
        if index not in left_out:
            groups[root(index)].append(index)
    return list(groups.values())


def _bridges(families: Sequence[str], recordings: Sequence[set[str]]) -> set[int]:
    """The fewest layered instruments to leave out so that families have three groups each."""
    left_out: set[int] = set()
    for family in sorted(set(families)):

        def own(out: set[int], family: str = family) -> list[list[int]]:
            found = _groups(recordings, out)
            return [group for group in found if any(families[i] == family for i in group)]

        groups = own(left_out)
        while len(groups) < len(SPLITS):
            tried = [
                (len(own(left_out | {index})), families[index] != family, -index)
                for group in groups
                for index in group
            ]
            best, _, index = max(tried, default=(0, False, 0))
            if best <= len(groups):
                break
            left_out.add(-index)
            groups = own(left_out)
    return left_out


def choose_notes(
    instruments: Sequence[Instrument], notes: int | None
) -> dict[int, list[tuple[int, int]]]:
    """Pitches and velocities for each instrument index: `notes` in all, spread evenly.

    Instruments share equally (those with few pitches give their rest to others); within one, notes
    are spread over its pitches first and its velocities cycle along. Few notes still reach every
    split.
    """
    capacity = {item.index: len(item.pitches) * len(VELOCITIES) for item in instruments}
    total = sum(capacity.values())
    notes = total if notes is None else min(notes, total)
    order = _interleaved(instruments)
    quota = dict.fromkeys(capacity, 0)
    left = notes
    while left:
        room = [index for index in order if quota[index] < capacity[index]]
        share, extra = divmod(left, len(room))
        for position, index in enumerate(room):
            more = min(share + (position < extra), capacity[index] - quota[index])
            quota[index] += more
            left -= more
    by_index = {item.index: item for item in instruments}
    return {
        index: _spread(by_index[index].pitches, count, index)
        for index, count in quota.items()
        if count
    }


def _interleaved(instruments: Sequence[Instrument]) -> list[int]:
    """Instrument indices, such that every beginning of the list holds splits and families evenly.

    Round by round over families: first one of train, valid and test, then their proportions.
    """
    by_split = {
        split: _round_robin([item for item in instruments if item.split == split])
        for split in SPLITS
    }
    order: list[int] = []
    for split in SPLITS:
        if by_split[split]:
            order.append(by_split[split][0])
    places = [
        ((position + 0.5) / len(indices), index)
        for indices in by_split.values()
        for position, index in enumerate(indices)
        if index not in order
    ]
    return order + [index for _, index in sorted(places)]


def _round_robin(items: Sequence[Instrument]) -> list[int]:
    seen: dict[str, int] = defaultdict(int)
    keys = []
    for item in items:
        keys.append((seen[item.family], item.family, item.index))
        seen[item.family] += 1
    return [index for _, _, index in sorted(keys)]


def _spread(pitches: Sequence[int], count: int, offset: int) -> list[tuple[int, int]]:
    """`count` different (pitch, velocity) pairs, evenly over pitches, velocities in turn."""
    chosen: set[tuple[int, int]] = set()
    heard = dict.fromkeys(VELOCITIES, 0)
    rounds, rest = divmod(count, len(pitches))
    for turn in range(rounds + 1):
        size = len(pitches) if turn < rounds else rest
        for step in range(size):
            pitch = pitches[(2 * step + 1) * len(pitches) // (2 * size)]
            # Among those not yet taken here the one heard least; in ties neighbours jump by two.
            turned = [VELOCITIES[(2 * step + turn + offset + k) % 5] for k in range(5)]
            free = [velocity for velocity in turned if (pitch, velocity) not in chosen]
            velocity = min(free, key=heard.__getitem__)
            heard[velocity] += 1
            chosen.add((pitch, velocity))
    return sorted(chosen)


def render_instruments(
    out: str | Path, *, notes: int | None = 10_000, soundfont: str | Path | None = None,
    seed: int = 0, folds: int | None = None, workers: int | None = None,
    progress: Progress | None = None,
) -> Summary:  # fmt: skip
    """Render `notes` notes (None: all that the font bears) into the folder `out`.

    `soundfont` is any .sf2 or .sf3 file (default: the package's bank), `seed` draws the splits and
    the `folds`, of which each holds out a part of the instruments (folds/1-of-5.csv, for `prepare`),
    `workers` is the number of processes (default: all cores), `progress(done, total)` is called as
    notes get done. What an interrupted call left is kept and completed. CorpusError for a font that
    is missing or damaged, a folder that cannot be written or holds something else, a full disk.
    """
    started = time.perf_counter()
    if notes is not None and notes < 1:
        raise CorpusError(f"notes is {notes}; ask for at least 1.")
    out, path = Path(out), Path(soundfont) if soundfont is not None else BANK
    font = SoundFont.open(path)
    instruments = catalogue(font, seed)
    chosen = choose_notes(instruments, notes)
    heard = [item for item in instruments if item.index in chosen]
    dealt = None if folds is None else assign_folds(
        [item.family for item in heard],
        [_identities(font, item.recordings) for item in heard], folds, seed,
    )  # fmt: skip
    plan = _plan(path, instruments, chosen, seed)
    total = sum(len(pairs) for pairs in chosen.values())
    try:
        finished = _prepare_folder(out, plan)
        records = {} if finished is None else finished
        todo = [item for item in instruments if item.index in chosen and item.name not in records]
        # Long work first, so that no worker is left with a large instrument at the end.
        todo.sort(key=lambda item: (-len(chosen[item.index]), item.index))
        done = total - sum(len(chosen[item.index]) for item in todo)
        jobs = [(item, chosen[item.index]) for item in todo]
        counter = _Counter(done, total, progress)
        workers = max(1, min(workers or cores(), len(jobs) or 1))
        if workers == 1:
            for item, pairs in jobs:
                records[item.name] = render_instrument(font, item, pairs, out, counter.add)
        else:
            records.update(_in_parallel(path, jobs, out, workers, counter.add))
        if dealt is not None:
            _write_folds(out, heard, records, dealt)
        return _finish(out, plan, instruments, records, total - done, started)
    except OSError as error:
        raise _disk_error(out, error) from None


def render_instrument(
    font: SoundFont, item: Instrument, pairs: Sequence[tuple[int, int]], out: Path,
    add: Callable[[int], None],
) -> dict[str, list[tuple[int, int]]]:  # fmt: skip
    """Render, level and write all notes of one instrument; the record says which were kept."""
    preset = next(p for p in font.presets if (p.bank, p.program) == (item.bank, item.program))
    sampler = Sampler(font, SAMPLE_RATE)
    sounds = []
    for pitch, velocity in pairs:
        sounds.append(sampler.note(preset, pitch, velocity, held=HELD, released=RELEASED))
        add(1)
    font.forget()
    peaks = [float(np.abs(sound).max()) for sound in sounds]
    gain = _LOUDEST / max(max(peaks), 1e-6)
    folder = out / f"nsynth-{item.split}" / "audio"
    kept, left_out = [], []
    for (pitch, velocity), sound, peak in zip(pairs, sounds, peaks, strict=True):
        if peak * gain < _INAUDIBLE:
            left_out.append((pitch, velocity))
            continue
        _write_wav(folder / f"{_note_name(item, pitch, velocity)}.wav", sound * gain)
        kept.append((pitch, velocity))
    record = {"kept": kept, "left_out": left_out}
    _write_json(out / ".rendering" / f"{item.name}.json", record)
    return record


def _note_name(item: Instrument, pitch: int, velocity: int) -> str:
    return f"{item.name}-{pitch:03d}-{velocity:03d}"


def _example(item: Instrument, pitch: int, velocity: int) -> dict[str, object]:
    """NSynth's 13 fields; qualities are empty, since nobody has listened and labelled."""
    return {
        "note": item.index * 640 + pitch * 5 + VELOCITIES.index(velocity),
        "note_str": _note_name(item, pitch, velocity),
        "instrument": item.index,
        "instrument_str": item.name,
        "pitch": pitch,
        "velocity": velocity,
        "sample_rate": SAMPLE_RATE,
        "qualities": [0] * 10,
        "qualities_str": [],
        "instrument_family": FAMILIES.index(item.family),
        "instrument_family_str": item.family,
        "instrument_source": SOURCES.index(item.source),
        "instrument_source_str": item.source,
    }


def _plan(
    path: Path, instruments: Sequence[Instrument], chosen: dict[int, list[tuple[int, int]]],
    seed: int,
) -> dict[str, object]:  # fmt: skip
    """Everything that decides the result; two renderings with the same plan are the same."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return {
        "what": "notes of sampled instruments in NSynth's layout, rendered by timbrespace",
        "version": _VERSION,
        "soundfont": path.name,
        "soundfont_sha256": digest.hexdigest(),
        "seed": seed,
        "held_seconds": HELD,
        "released_seconds": RELEASED,
        "notes": sum(len(pairs) for pairs in chosen.values()),
        "choice": hashlib.sha256(json.dumps(sorted(chosen.items())).encode()).hexdigest(),
    }


def _prepare_folder(out: Path, plan: dict[str, object]) -> dict[str, dict] | None:
    """Make the folders; records of instruments that an earlier call with this plan completed."""
    if out.exists() and not out.is_dir():
        raise CorpusError(f"{out} is a file; name a folder for the rendered instruments.")
    state = out / ".rendering"
    earlier = _read_json(out / "provenance.json") or _read_json(state / "plan.json")
    if earlier is not None and any(earlier.get(key) != value for key, value in plan.items()):
        raise CorpusError(
            f"{out} holds a rendering with other settings ({earlier.get('notes')} notes from "
            f"{earlier.get('soundfont')}); remove it or name another folder."
        )
    if earlier is None and out.is_dir() and any(out.iterdir()):
        raise CorpusError(
            f"{out} is not empty and holds no rendered instruments; name a new folder."
        )
    for split in SPLITS:
        folder = out / f"nsynth-{split}" / "audio"
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
    records = dict((earlier or {}).get("records", {}))
    if not records:
        state.mkdir(exist_ok=True)
        _write_json(state / "plan.json", plan)
        for file in state.glob("*.json"):
            if file.name != "plan.json":
                record = _read_json(file)
                if record is not None:
                    records[file.stem] = record
    return {name: record for name, record in records.items() if _complete(out, name, record)}


def _complete(out: Path, name: str, record: dict) -> bool:
    """Whether all files that a record promises are there at full size, in one split."""
    for split in SPLITS:
        folder = out / f"nsynth-{split}" / "audio"
        sizes = []
        for pitch, velocity in record["kept"]:
            try:
                sizes.append((folder / f"{name}-{pitch:03d}-{velocity:03d}.wav").stat().st_size)
            except FileNotFoundError:
                break
        else:
            return all(size == _WAV_BYTES for size in sizes)
    return False


def _finish(
    out: Path, plan: dict[str, object], instruments: Sequence[Instrument],
    records: dict[str, dict], rendered: int, started: float,
) -> Summary:  # fmt: skip
    """Write provenance.json, then the three examples.json, and clear the intermediate state."""
    examples: dict[str, dict[str, object]] = {split: {} for split in SPLITS}
    used: dict[str, int] = dict.fromkeys(SPLITS, 0)
    left_out = 0
    for item in instruments:
        if item.name not in records:
            continue
        record = records[item.name]
        used[item.split] += bool(record["kept"])
        left_out += len(record["left_out"])
        for pitch, velocity in record["kept"]:
            examples[item.split][_note_name(item, pitch, velocity)] = _example(
                item, pitch, velocity
            )
    listed = {}
    for item in instruments:
        entry = asdict(item)
        entry["pitches"] = [item.pitches[0], item.pitches[-1]] if item.pitches else []
        listed[item.name] = entry
    _write_json(
        out / "provenance.json",
        {**plan, "instruments": listed, "records": dict(sorted(records.items()))},
    )
    for split in SPLITS:
        _write_json(out / f"nsynth-{split}" / "examples.json", examples[split])
    shutil.rmtree(out / ".rendering", ignore_errors=True)
    counts = {split: len(examples[split]) for split in SPLITS}
    return Summary(
        out, sum(counts.values()), counts, used, left_out, rendered,
        time.perf_counter() - started,
    )  # fmt: skip


def _write_folds(
    out: Path, instruments: Sequence[Instrument], records: dict[str, dict], dealt: Sequence[int]
) -> None:
    """folds/I-of-K.csv: path and split of each note, valid where its instrument is held out."""
    count = max(dealt) + 1
    (out / "folds").mkdir(exist_ok=True)
    for fold in range(count):
        lines = ["path,split"]
        for item, held in zip(instruments, dealt, strict=True):
            for pitch, velocity in records[item.name]["kept"]:
                name = f"nsynth-{item.split}/audio/{_note_name(item, pitch, velocity)}.wav"
                lines.append(f"{name},{'valid' if held == fold else 'train'}")
        text = "\n".join(lines) + "\n"
        write_bytes(out / "folds" / f"{fold + 1}-of-{count}.csv", text.encode(), durable=False)


class _Counter:
    """Adds up notes and tells the caller."""

    def __init__(self, done: int, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = done, total, progress

    def add(self, notes: int) -> None:
        self.done += notes
        if self.progress is not None:
            self.progress(self.done, self.total)


def _in_parallel(
    path: Path, jobs: Sequence[tuple[Instrument, list[tuple[int, int]]]], out: Path, workers: int,
    add: Callable[[int], None],
) -> dict[str, dict]:  # fmt: skip
    """The records of instruments that worker processes render."""
    records: dict[str, dict] = {}
    children.share(
        serve_notes, [str(path.resolve()), str(out.resolve())],
        [[asdict(item), pairs] for item, pairs in jobs], workers, add,
        lambda place, record: records.update({jobs[place][0].name: record}),
    )  # fmt: skip
    return records


def serve_notes() -> None:
    """The body of a worker process: instruments come in, records go out."""

    def prepared(given: list[str]) -> children.Work:
        font, out = SoundFont.open(given[0]), Path(given[1])

        def work(job: Any, tell: children.Tell) -> dict:
            item, pairs = job
            item["pitches"], item["recordings"] = tuple(item["pitches"]), tuple(item["recordings"])
            try:
                return render_instrument(
                    font, Instrument(**item), [(p, v) for p, v in pairs], out, tell
                )
            except OSError as error:
                raise _disk_error(out, error) from None

        return work

    children.answer(prepared)


def _disk_error(out: Path, error: OSError) -> CorpusError:
    if error.errno == errno.ENOSPC:
        return CorpusError(
            f"The disk of {out} is full; make room and start again, finished instruments are kept."
        )
    return CorpusError(f"{out} cannot be written: {error.strerror or error}.")


def _write_wav(path: Path, sound: np.ndarray) -> None:
    """16-bit mono PCM under a temporary name, then renamed."""
    pcm = np.rint(sound * 32767).astype("<i2").tobytes()
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE,
        2 * SAMPLE_RATE, 2, 16, b"data", len(pcm),
    )  # fmt: skip
    write_bytes(path, header + pcm, durable=False)


def _write_json(path: Path, value: object) -> None:
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode(), durable=False)


def _read_json(path: Path) -> dict | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
