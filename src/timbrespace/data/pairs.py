"""Pairs: the sounds of a corpus as they are and with an effect, whose knobs are known, as a corpus.

PAIRS/sounds/EFFECT/000123.flac   the dry sound, then the wet one: mono, 16 bit, twice `samples` long
PAIRS/sounds/metadata.csv         file, split, effect, setting, sound (row of the dry one in its corpus), the
                                  labels of the dry sound, and each knob as EFFECT.KNOB in its own unit
PAIRS/pairs.json                  what was asked for, the effects with their knobs, what was rejected
PAIRS/corpus.json ...             the prepared corpus of these sounds

What a pair is follows from the seed, the effect and its number alone, so a rendering that was interrupted
goes on and ends in the same bytes.
"""

import csv
import io
import json
import re
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from timbrespace.atomic import remove_abandoned, write_bytes
from timbrespace.audio.files import printable, read, read_section, resample
from timbrespace.data import children
from timbrespace.data.corpus import Corpus
from timbrespace.data.fetching import heard
from timbrespace.data.files import disk_error
from timbrespace.data.lock import locked
from timbrespace.data.prepare import prepare
from timbrespace.data.sources import RESERVED
from timbrespace.data.table import SPLITS
from timbrespace.effects.catalogue import find
from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob
from timbrespace.errors import AudioError, CorpusError, EffectError
from timbrespace.features.pair import Pair
from timbrespace.machine import cores

ALL = (
    "delay", "overdrive", "reverb", "chorus", "phaser", "compressor", "eq", "bitcrush", "multiband",
    "ringmod",
)  # fmt: skip
SETTINGS = ("fixed", "random", "grid")
LEVELS = {
    "kept": "the dry peak at -12 dBFS, the wet sound by the same gain; both softer where it would pass "
    "-1 dBFS",
    "each": "both peaks at -12 dBFS",
}
DRY_PEAK = 10.0 ** (-12.0 / 20.0)
CEILING = 10.0 ** (-1.0 / 20.0)
QUIET = 10.0 ** (-60.0 / 20.0)  # a dry sound whose peak lies below would be mostly its own noise
# Report 004 rejects a mean square below 1e-5. That is of full scale; our dry sounds reach DRY_PEAK, so the
# same lies at -62 dBFS here, and a pluck under an equaliser that takes 18 dB away is not called silent.
SILENT = 1e-5 * DRY_PEAK**2
TRIES = 8  # for a setting, before it is left out
LOST = 3  # settings in a row that were left out, after which a part is given up
PART = 32  # settings that are rendered and recorded as one
FORMAT = 1
STATE, TABLE = ".rendering", "metadata.csv"
COLUMNS = ("file", "split", "effect", "setting", "sound")
# What the sentence of an EffectError holds, and what it is counted as.
REASONS = {
    "NaN": "not finite", "of shape": "wrong length", "no answer in": "hung", "crashed": "crashed",
    "ended with code": "crashed",
}  # fmt: skip

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Request:
    """What decides a rendering; see `render_pairs`."""

    effects: tuple[str, ...]
    settings: str = "random"
    number: int = 1000
    sample_rate: int = 16000
    samples: int = 32768
    level: str = "kept"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("settings", SETTINGS), ("level", LEVELS)):
            if getattr(self, name) not in known:
                raise CorpusError(
                    f"{name} should be {', '.join(known)}; got {getattr(self, name)!r}"
                )
        if self.number < 1:
            raise CorpusError(f"n should be at least 1 pair an effect, got {self.number}")
        if not self.effects:
            raise CorpusError(f"name at least one effect, or all, which are {', '.join(ALL)}")
        Pair(self.sample_rate, samples=self.samples)  # whether there is a picture of such pairs


@dataclass(frozen=True)
class Plan:
    """The settings of one effect: how many in each split, on how many sounds each is rendered."""

    name: str
    folder: str
    knobs: int
    counts: tuple[int, ...]
    sounds: int
    grid: tuple[int, ...]
    request: Request

    @property
    def units(self) -> int:
        """Settings, or for fixed ones sounds, that are drawn, rendered and counted as one."""
        return sum(self.counts)

    def split(self, unit: int) -> int:
        return int(np.searchsorted(np.cumsum(self.counts), unit, side="right"))

    def draw(self, unit: int, trial: int) -> np.random.Generator:
        """The chance that decides a unit, and nothing else: a function of seed, effect and number."""
        name = zlib.crc32(self.name.encode())
        return np.random.default_rng([self.request.seed, name, unit, trial])

    def place(self, unit: int) -> int:
        """The number of the setting of a unit; places of a grid are dealt to the splits."""
        if self.request.settings == "fixed":
            return 0
        if self.request.settings == "random":
            return unit
        name = zlib.crc32(self.name.encode())
        return int(np.random.default_rng([self.request.seed, name]).permutation(self.units)[unit])

    def knob_places(self, unit: int, rng: np.random.Generator) -> np.ndarray:
        """Where the knobs of a unit stand, (K,) from 0 to 1."""
        if self.request.settings == "fixed":
            return np.full(self.knobs, 0.5)
        if self.request.settings == "random":
            return rng.random(self.knobs)
        at = np.unravel_index(self.place(unit), self.grid)
        return np.array(
            [0.5 if n == 1 else k / (n - 1) for k, n in zip(at, self.grid, strict=True)]
        )


def grid_of(knobs: int, number: int) -> tuple[int, ...]:
    """Places of each knob, (K,), whose product comes as near to `number` as an even grid does.

    A knob with one place stands in the middle; from two on, both ends are among them.
    """
    places = [1] * knobs
    while knobs:
        lowest = places.index(min(places))
        more = [*places[:lowest], places[lowest] + 1, *places[lowest + 1 :]]
        if abs(prod(more) - number) > abs(prod(places) - number):
            break
        places = more
    return tuple(places)


def shared(number: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """`number` over splits as their `sizes` are, the largest remainders first; one at least for each that
    has any, where there are enough."""
    there = [size > 0 for size in sizes]
    least = [int(some and number >= sum(there)) for some in there]
    exact = [number * size / sum(sizes) for size in sizes]
    counts = [max(low, int(part)) for low, part in zip(least, exact, strict=True)]
    while sum(counts) != number:
        step = 1 if sum(counts) < number else -1
        off = [
            step * (part - count) if count + step >= low else -np.inf
            for part, count, low in zip(exact, counts, least, strict=True)
        ]
        counts[int(np.argmax(off))] += step
    return tuple(counts)


def render_pairs(
    out: str | Path, corpus: str | Path, effects: Sequence[str], *, settings: str = "random",
    number: int = 1000, sample_rate: int = 16000, seconds: float = 2.048, level: str = "kept",
    seed: int = 0, workers: int | None = None, progress: Progress | None = None,
) -> "Pairs":  # fmt: skip
    """Render `number` pairs of each effect into the folder `out`, and prepare them as a corpus.

    corpus: a prepared corpus of dry sounds, whose splits are kept. settings: "fixed" (every knob in the
    middle), "random" (each setting on two sounds of a split) or "grid" (even places, each on one sound).
    level: see LEVELS. progress is told (stage, done, in all). What an interrupted call left is kept.
    EffectError for an effect that is not there; CorpusError for what cannot be asked, a folder that holds
    something else, a full disk, and where no effect gave a single pair.
    """
    request = Request(
        tuple(dict.fromkeys(effects)), settings, number, sample_rate, round(seconds * sample_rate),
        level, seed,
    )  # fmt: skip
    out, dry = Path(out), Corpus.open(corpus)
    plans = _plans(request, dry)
    asked = {**asdict(request), "format": FORMAT, "corpus": dry.digest, "knobs": {
        plan.name: [asdict(knob) for knob in find(plan.name).knobs] for plan in plans
    }}  # fmt: skip
    asked = json.loads(json.dumps(asked))
    _refuse_folder(out, asked)
    tell = progress or (lambda stage, done, total: None)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out / f"{STATE}.lock", "rendered", CorpusError):
            if not _whole(out):
                _render(out, dry, plans, asked, workers, tell)
        feature = Pair(request.sample_rate, samples=request.samples)
        prepare(
            out / "sounds" / TABLE, out, layout="table", feature=feature, workers=workers,
            beside=("sounds", "pairs.json"), progress=lambda *at: tell("prepare", *at),
        )  # fmt: skip
    except OSError as error:
        raise disk_error(out, error) from None
    return Pairs.open(out)


def _plans(request: Request, corpus: Corpus) -> list[Plan]:
    """What is rendered of each effect; all that can be refused before anything is written is."""
    if (corpus.path / "pairs.json").exists():
        raise CorpusError(f"{printable(corpus.path)} holds pairs; give the corpus of dry sounds")
    rows = [len(corpus.split_rows(split)) for split in SPLITS]
    found = [find(name) for name in request.effects]
    knobs = {f"{effect.name}.{knob.name}" for effect in found for knob in effect.knobs}
    taken = {*COLUMNS, *RESERVED, *knobs}.intersection(corpus.label_names)
    if taken:
        raise CorpusError(
            f"{printable(corpus.path)} has a label {sorted(taken)[0]!r}, a name that pairs use; rename it"
        )
    sounds = 2 if request.settings == "random" else 1
    lone = [split for split, count in zip(SPLITS, rows, strict=True) if 0 < count < sounds]
    if lone:
        raise CorpusError(
            f"{printable(corpus.path)} has one sound in {lone[0]}, but every setting is rendered on two; "
            "use more sounds, or settings fixed or grid"
        )
    plans: list[Plan] = []
    for effect in found:
        grid = grid_of(len(effect.knobs), request.number) if request.settings == "grid" else ()
        units = prod(grid) if grid else -(-request.number // sounds)
        plans.append(
            Plan(
                effect.name,
                _folder(effect.name, [plan.folder for plan in plans]),
                len(effect.knobs),
                shared(units, rows),
                sounds,
                grid,
                request,
            )  # fmt: skip
        )
    return plans


def _folder(name: str, taken: Sequence[str]) -> str:
    """The folder of an effect's pairs: its name with nothing in it that a file system minds."""
    plain = re.sub(r"[^\w.+-]+", "_", name).strip("._")[:80] or "effect"
    return plain if plain not in taken else f"{plain}-{len(taken) + 1}"


def _refuse_folder(out: Path, asked: dict[str, Any]) -> None:
    if out.exists() and not out.is_dir():
        raise CorpusError(f"{printable(out)} is a file; name a folder for the pairs")
    before = _read_json(out / STATE / "request.json")
    before = before or (_read_json(out / "pairs.json") or {}).get("request")
    if before is None:
        if out.is_dir() and any(not name.name.startswith(STATE) for name in out.iterdir()):
            raise CorpusError(
                f"{printable(out)} is not empty and holds no pairs; name a new folder"
            )
        return
    for name, value in asked.items():
        if before.get(name) != value:
            words = "" if name == "knobs" else f" ({before.get(name)} in place of {value})"
            raise CorpusError(
                f"{printable(out)} holds pairs of another {name}{words}; name another folder, or "
                "delete it first"
            )


def _whole(out: Path) -> bool:
    """Whether a rendering came to its end here, and all of its files are there."""
    if not (out / "pairs.json").is_file() or (out / STATE).exists():
        return False
    try:
        with open(out / "sounds" / TABLE, encoding="utf-8", newline="") as table:
            return all((out / "sounds" / line["file"]).is_file() for line in csv.DictReader(table))
    except (OSError, KeyError):
        return False


def _render(
    out: Path, corpus: Corpus, plans: list[Plan], asked: dict[str, Any], workers: int | None,
    tell: Progress,
) -> None:  # fmt: skip
    """All parts that are not there, then the table and what was rejected."""
    state = out / STATE
    state.mkdir(exist_ok=True)
    _write_json(state / "request.json", asked)
    remove_abandoned(state)
    for plan in plans:
        folder = out / "sounds" / plan.folder
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
    parts = [
        Part(index, first, min(first + PART, plan.units))
        for index, plan in enumerate(plans)
        for first in range(0, plan.units, PART)
    ]
    records = {part: record for part in parts if (record := _recorded(out, part)) is not None}
    sizes = {part: (part.last - part.first) * plans[part.effect].sounds for part in parts}
    count, total = sum(sizes[part] for part in records), sum(sizes.values())
    tell("render", count, total)
    given = {
        "corpus": str(corpus.place),
        "out": str(out.resolve()),
        "request": asdict(plans[0].request),
    }

    def make(some: list[Part]) -> None:
        def moved(pairs: int) -> None:
            nonlocal count
            count += pairs
            tell("render", min(count, total), total)

        def finished(place: int, record: dict[str, Any]) -> None:
            records[some[place]] = record

        processes = min(cores() if workers is None else workers, len(some))
        if processes > 1:
            jobs = [[part.effect, part.first, part.last] for part in some]
            children.share(serve_pairs, given, jobs, processes, moved, finished)
        else:
            renderer = Renderer(corpus, plans, out)
            for place, part in enumerate(some):
                finished(place, renderer.make(part, moved))

    # An effect whose first part gave nothing will give nothing: its plug-in hangs, or is mute.
    make([part for part in parts if not part.first and part not in records])
    mute = {part.effect for part in parts if not part.first and not records[part]["pairs"]}
    make([part for part in parts if part not in records and part.effect not in mute])
    if len(mute) == len(plans):
        told = [
            f"{plan.name}: {_words(records[parts_of(parts, i)[0]])}" for i, plan in enumerate(plans)
        ]
        for rest in (state, out / "sounds"):
            shutil.rmtree(rest, ignore_errors=True)
        raise CorpusError(f"no effect gave a single pair ({'; '.join(told)}); choose others")
    _write_table(out, corpus, plans, parts, records)
    facts = {
        "what": "pairs of dry and wet sounds, rendered by timbrespace",
        "request": asked,
        "level": LEVELS[plans[0].request.level],
        "effects": {
            plan.name: _facts(plan, [records[p] for p in parts_of(parts, i) if p in records])
            for i, plan in enumerate(plans)
        },
    }  # fmt: skip
    _write_json(out / "pairs.json", facts)
    shutil.rmtree(state, ignore_errors=True)


@dataclass(frozen=True)
class Part:
    """Some units of one effect: what is rendered and recorded as one."""

    effect: int
    first: int
    last: int

    @property
    def record(self) -> str:
        """The name of its record."""
        return f"{self.effect:03d}-{self.first:08d}.json"


def parts_of(parts: Sequence[Part], effect: int) -> list[Part]:
    """The parts of one effect, in order."""
    return [part for part in parts if part.effect == effect]


def _recorded(out: Path, part: Part) -> dict[str, Any] | None:
    """What a finished part holds; None where it is not finished, or a file of it is gone."""
    record = _read_json(out / STATE / part.record)
    try:
        whole = record is not None and all(
            (out / "sounds" / file).stat().st_size == size for file, size in record["files"]
        )
    except OSError:
        return None
    return record if whole else None


class Renderer:
    """Makes parts, in whichever process."""

    def __init__(self, corpus: Corpus, plans: list[Plan], out: Path) -> None:
        self.corpus, self.plans, self.out = corpus, plans, out
        self.effects = [find(plan.name) for plan in plans]
        self.rows = [corpus.split_rows(split) for split in SPLITS]

    def make(self, part: Part, tell: Callable[[int], None]) -> dict[str, Any]:
        """Render a part and record it: pairs as (number, row, setting, values), files with their sizes,
        what was rejected."""
        plan = self.plans[part.effect]
        record: dict[str, Any] = {
            "pairs": [], "files": [], "identical": 0, "softened": 0, "left_out": 0,
            "rejected": Counter(), "sentences": {},
        }  # fmt: skip
        lost = 0
        for unit in range(part.first, part.last):
            made = None if lost >= LOST else self._unit(plan, part.effect, unit, record)
            if made is None:
                lost += 1
                record["left_out"] += plan.sounds
            else:
                lost = 0
                self._keep(plan, unit, made, record)
            tell(plan.sounds)
        write_bytes(
            self.out / STATE / part.record, json.dumps(record).encode(), durable=False
        )  # fmt: skip
        return record

    def _unit(
        self, plan: Plan, index: int, unit: int, record: dict[str, Any]
    ) -> "tuple[dict[str, float], list[Made]] | None":
        """A setting and its pairs, of the first trial in which all of them can be used."""
        effect = self.effects[index]
        for trial in range(TRIES):
            rng = plan.draw(unit, trial)
            values = effect.from_units(plan.knob_places(unit, rng))
            # short numbers in the table, and exactly those are rendered
            values = {
                knob.name: min(knob.high, max(knob.low, float(f"{values[knob.name]:.7g}")))
                for knob in effect.knobs
            }
            rows = rng.permutation(self.rows[plan.split(unit)])
            try:
                made = [
                    pair_of(effect, dry, values, plan.request, row)
                    for row, dry in self._dry(rows, plan)
                ]
            except _Rejected as no:
                record["rejected"][no.reason] += 1
                record["sentences"].setdefault(no.reason, str(no))
            else:
                return values, made
        return None

    def _dry(self, rows: np.ndarray, plan: Plan) -> "Iterator[tuple[int, np.ndarray]]":
        """The first sounds of `rows` that sound, as many as a setting wants."""
        count = 0
        for row in rows:
            dry = dry_sound(self.corpus, int(row), plan.request)
            if dry is not None:
                yield int(row), dry
                count += 1
            if count == plan.sounds:
                return
        raise _Rejected("silent", f"fewer than {plan.sounds} sounds of this split are not silent")

    def _keep(
        self, plan: Plan, unit: int, made: "tuple[dict[str, float], list[Made]]",
        record: dict[str, Any],
    ) -> None:  # fmt: skip
        values, pairs = made
        for place, pair in enumerate(pairs):
            number = unit * plan.sounds + place
            file = f"{plan.folder}/{number:06d}.flac"
            data = io.BytesIO()
            soundfile.write(
                data, pair.samples, plan.request.sample_rate, format="FLAC", subtype="PCM_16"
            )
            write_bytes(self.out / "sounds" / file, data.getvalue(), durable=False)
            record["files"].append([file, len(data.getvalue())])
            record["pairs"].append([unit, pair.row, list(values.values())])
            record["identical"] += pair.identical
            record["softened"] += pair.softened


class _Rejected(Exception):
    """A result that is not used, and why."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class Made:
    """A pair: int16 samples of both sounds, the row of the dry one, whether the effect changed nothing,
    and whether both were made softer."""

    samples: np.ndarray
    row: int
    identical: bool
    softened: bool


def dry_sound(corpus: Corpus, row: int, request: Request) -> np.ndarray | None:
    """The beginning of a row's sound (samples,), mono, its peak at -12 dBFS, silence behind it where it is
    shorter; None where it is quiet."""
    place = corpus.rows[row]
    seconds = min(place.seconds, request.samples / request.sample_rate)
    try:
        with heard(corpus.root, place.file) as path:
            audio = read_section(path, place.start, seconds)
    except AudioError as error:
        raise CorpusError(
            f"{error}; pairs are rendered from the sounds of the corpus, keep them in "
            f"{printable(corpus.root)}"
        ) from None
    mono = resample(audio.mono(), audio.sample_rate, request.sample_rate)[: request.samples]
    peak = float(np.abs(mono).max(initial=0.0))
    if peak < QUIET:
        return None
    dry = np.zeros(request.samples, np.float32)
    dry[: len(mono)] = mono * (DRY_PEAK / peak)
    return _sixteen(dry) / np.float32(
        32768.0
    )  # as it is stored, so that the wet one can be made again


def pair_of(
    effect: Effect, dry: np.ndarray, values: dict[str, float], request: Request, row: int
) -> Made:
    """The pair of a dry sound and a setting; _Rejected where the result cannot be used."""
    try:
        wet = effect.render(dry, request.sample_rate, values)
    except EffectError as error:
        reason = next((name for text, name in REASONS.items() if text in str(error)), "refused")
        raise _Rejected(reason, str(error)) from None
    if float(np.mean(np.square(wet, dtype=np.float64))) < SILENT:
        raise _Rejected("silent", f"{effect.name} is silent at {effect.told(values)}")
    identical = bool(np.array_equal(_sixteen(wet), _sixteen(dry)))
    peak, gain = float(np.abs(wet).max()), 1.0
    if request.level == "each":
        wet = wet * np.float32(DRY_PEAK / peak)
    elif peak > CEILING:
        gain = CEILING / peak
    both = np.concatenate([dry, wet]) * np.float32(gain)
    return Made(_sixteen(both), row, identical, gain < 1.0)


def _sixteen(sound: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(sound * 32768.0), -32768, 32767).astype(np.int16)


def serve_pairs() -> None:
    """The body of a worker process: parts come in, records go out."""

    def prepared(given: dict[str, Any]) -> children.Work:
        corpus = Corpus.open(given["corpus"])
        request = {**given["request"], "effects": tuple(given["request"]["effects"])}
        renderer = Renderer(corpus, _plans(Request(**request), corpus), Path(given["out"]))

        def work(job: list[int], tell: children.Tell) -> dict[str, Any]:
            try:
                return renderer.make(Part(*job), tell)
            except OSError as error:
                raise disk_error(renderer.out, error) from None

        return work

    children.answer(prepared)


def _write_table(
    out: Path, corpus: Corpus, plans: list[Plan], parts: list[Part],
    records: dict[Part, dict[str, Any]],
) -> None:  # fmt: skip
    names = corpus.label_names
    labels = [corpus.labels(name) for name in names]
    knobs = {plan.name: [f"{plan.name}.{k.name}" for k in find(plan.name).knobs] for plan in plans}
    text = io.StringIO()
    columns = [*COLUMNS, *names, *(column for own in knobs.values() for column in own)]
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    for part in parts:
        plan, record = plans[part.effect], records.get(part, {"pairs": [], "files": []})
        for (unit, row, values), (file, _) in zip(record["pairs"], record["files"], strict=True):
            said = {name: known[row] for name, known in zip(names, labels, strict=True)}
            told = {name: "" if value is None else value for name, value in said.items()}
            table.writerow({
                "file": file, "split": SPLITS[plan.split(unit)], "effect": plan.name,
                "setting": f"{plan.name}-{plan.place(unit):06d}", "sound": row, **told,
                **dict(zip(knobs[plan.name], values, strict=True)),
            })  # fmt: skip
    write_bytes(out / "sounds" / TABLE, text.getvalue().encode("utf-8", "surrogateescape"))


def _facts(plan: Plan, records: list[dict[str, Any]]) -> dict[str, Any]:
    """What is told of an effect in pairs.json."""
    effect = find(plan.name)
    rejected: Counter[str] = Counter()
    sentences: dict[str, str] = {}
    for record in records:
        rejected.update(record["rejected"])
        sentences = {**record["sentences"], **sentences}
    made = sum(len(record["pairs"]) for record in records)
    return {
        "folder": plan.folder, "host": effect.host, "words": effect.words, "level": effect.level,
        "knobs": [asdict(knob) for knob in effect.knobs],
        "grid": list(plan.grid),
        "pairs": made,
        "left_out": plan.units * plan.sounds - made,
        "identical": sum(record["identical"] for record in records),
        "softened": sum(record["softened"] for record in records),
        "rejected": dict(sorted(rejected.items())),
        "sentences": dict(sorted(sentences.items())),
    }  # fmt: skip


def _words(record: dict[str, Any]) -> str:
    return "; ".join(record["sentences"].values()) or "no reason was given"


def _write_json(path: Path, value: object) -> None:
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


class StoredEffect(Effect):
    """An effect as pairs remember it: its knobs, and no sound, so that its plug-in need not be there."""

    def __init__(self, name: str, facts: dict[str, Any]) -> None:
        self.name, self.words = name, facts["words"]
        self.level, self.host = facts["level"], facts["host"]
        self.knobs = tuple(Knob(**knob) for knob in facts["knobs"])

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        raise EffectError(
            f"{self.name} is only known by its knobs here; find it in effects.catalogue to hear it"
        )


@dataclass(frozen=True)
class Pairs:
    """Rendered pairs, opened for reading: `effects` by name with their knobs as they were, what was
    `rejected` of each, and the corpus whose row ids are used throughout."""

    path: Path
    corpus: Corpus
    facts: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> "Pairs":
        """The pairs in the folder `path`; CorpusError when there are none, or not all."""
        path = Path(path)
        facts = _read_json(path / "pairs.json")
        if facts is None or facts.get("request", {}).get("format") != FORMAT:
            raise CorpusError(
                f"{printable(path)} holds no pairs; make some with: timbrespace effects pairs"
            )
        return cls(path, Corpus.open(path), facts)

    @property
    def effects(self) -> dict[str, StoredEffect]:
        """The effects by name, in the order in which they were asked for."""
        return {name: StoredEffect(name, facts) for name, facts in self.facts["effects"].items()}

    @property
    def sample_rate(self) -> int:
        return self.facts["request"]["sample_rate"]

    @property
    def samples(self) -> int:
        """Length of the dry sound, and of the wet one."""
        return self.facts["request"]["samples"]

    @property
    def rejected(self) -> dict[str, dict[str, int]]:
        """Results that were not used, by effect and reason."""
        return {name: facts["rejected"] for name, facts in self.facts["effects"].items()}

    @property
    def counts(self) -> dict[str, Any]:
        """Pairs in all and by split, and what came of each effect."""
        told = ("pairs", "left_out", "identical", "softened", "rejected", "grid")
        return {
            "pairs": len(self.corpus.rows),
            "splits": {split: len(self.corpus.split_rows(split)) for split in SPLITS},
            "effects": {
                name: {key: facts[key] for key in told} for name, facts in self.facts["effects"].items()
            },
        }  # fmt: skip

    @property
    def lines(self) -> list[str]:
        """The same for people."""
        counts = self.counts
        splits = ", ".join(f"{count} {split}" for split, count in counts["splits"].items())
        lines = [f"{counts['pairs']} pairs in {printable(self.path)} ({splits})"]
        for name, of in counts["effects"].items():
            words = [f"{of['pairs']} pairs"]
            words += [f"grid {' x '.join(map(str, of['grid']))}"] if of["grid"] else []
            words += [f"{of['identical']} as dry as before"] if of["identical"] else []
            words += [f"{of['left_out']} left out"] if of["left_out"] else []
            words += [f"{count} {reason}, rejected" for reason, count in of["rejected"].items()]
            lines.append(f"  {name:14} {', '.join(words)}")
        return lines

    @property
    def effect(self) -> np.ndarray:
        """The effect of every row, (N,), as its place in `effects`."""
        places = {name: place for place, name in enumerate(self.facts["effects"])}
        return np.array([places[str(name)] for name in self.corpus.labels("effect")])

    @property
    def setting(self) -> np.ndarray:
        """Ids (N,) that are equal where the setting is."""
        return np.unique([str(s) for s in self.corpus.labels("setting")], return_inverse=True)[1]

    @property
    def split(self) -> np.ndarray:
        """The split of every row, (N,), as its place in data.table.SPLITS."""
        return np.asarray(self.corpus.rows.split)

    def rows(self, effect: str) -> np.ndarray:
        """The rows (n,) of an effect, ascending; EffectError where these pairs have none of it."""
        names = list(self.facts["effects"])
        if effect not in names:
            raise EffectError(
                f"{printable(self.path)} has no pairs of {effect!r}; it has: {', '.join(names)}"
            )
        return np.flatnonzero(self.effect == names.index(effect))

    def units(self, effect: str) -> np.ndarray:
        """Where the knobs stand, (n, K) from 0 to 1, in each of `rows(effect)`."""
        rows, stored = self.rows(effect), self.effects[effect]
        columns = [
            self.corpus.labels(f"{effect}.{k.name}") if len(rows) else [] for k in stored.knobs
        ]
        return np.array(
            [[k.to_unit(float(c[row])) for k, c in zip(stored.knobs, columns, strict=True)]
             for row in rows]
        ).reshape(len(rows), len(stored.knobs))  # fmt: skip

    def sounds(self, rows: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The dry and the wet sounds (n, samples) of some rows, float32."""
        both = (
            np.stack([self._sound(int(row)) for row in rows]) if len(rows) else np.zeros((0, 2, 0))
        )
        return both[:, 0], both[:, 1]

    def _sound(self, row: int) -> np.ndarray:
        audio = read(self.path / "sounds" / self.corpus.rows[row].file)
        if audio.samples.shape != (1, 2 * self.samples):
            raise CorpusError(
                f"{printable(self.corpus.rows[row].file)} should be mono and {2 * self.samples} samples "
                f"long, got {audio.samples.shape}; render the pairs again"
            )
        return audio.samples.reshape(2, self.samples)
