"""NSynth as published: nsynth-{train,valid,test}/{examples.json, audio/*.wav}.

Labels come from examples.json, and from the file names where it is missing or says nothing. Pitches
from 0 to 127 occur, beyond a piano's 21 to 108.

Source: Engel et al. 2017, "Neural Audio Synthesis of Musical Notes with WaveNet Autoencoders".
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from timbrespace.audio.files import printable
from timbrespace.data.sources import walk
from timbrespace.data.sources.listing import (
    MIDI,
    Doubts,
    Files,
    Label,
    Listed,
    Source,
    counted,
    midi,
)
from timbrespace.errors import CorpusError

_FOLDER = re.compile(r"nsynth[-_](train|valid|test)$")
# From the right: the family synth_lead has an underscore itself.
_NAME = re.compile(
    r"(?P<instrument>(?P<family>.+)_(?P<source>acoustic|electronic|synthetic)_\d{3,})"
    r"-(?P<pitch>\d{3})-(?P<velocity>\d{3})$"
)
_KEYS = {
    "pitch": "pitch", "velocity": "velocity", "instrument": "instrument_str",
    "family": "instrument_family_str", "source": "instrument_source_str",
}  # fmt: skip


def parse_name(stem: str) -> dict[str, Label]:
    """Labels of an NSynth file name without suffix; empty when it is no such name."""
    match = _NAME.match(stem)
    if match is None:
        return {}
    labels: dict[str, Label] = dict(match.groupdict())
    for name in MIDI:
        labels[name] = midi(int(match[name]))
    return {name: labels[name] for name in _KEYS}


def recognises(root: Path) -> bool:
    """Whether root is, or holds, a folder of NSynth's layout."""
    return root.is_dir() and bool(_folders(root))


def read(root: Path) -> Source:
    """Notes of all splits below root; CorpusError when there are none."""
    folders = _folders(root)
    if not folders:
        raise walk.not_of(
            root, "NSynth", "nsynth-train, nsynth-valid, nsynth-test, or one such folder, with "
            "examples.json and audio"
        )  # fmt: skip
    source = Source(root, "nsynth", [], group="instrument", stratum="family")
    doubts = Doubts()
    source.files = Files.of(
        listed
        for folder, split in folders
        for listed in _notes(root, folder, split, source.notes, doubts)
    )
    source.notes += doubts.notes()
    source.notes += walk.left_out(root, (listed.file for listed in source.files))
    return source


def _folders(root: Path) -> list[tuple[Path, str | None]]:
    """The folders with notes, and the split that the name of each says."""
    for base in walk.nested(root):
        found: list[tuple[Path, str | None]] = []
        for name in ("train", "valid", "test"):
            for folder in (base / f"nsynth-{name}", base / f"nsynth_{name}"):
                if (folder / "audio").is_dir() or (folder / "examples.json").is_file():
                    found.append((folder, name))
        if found:
            return found
    match = _FOLDER.search(root.resolve().name)
    if (root / "examples.json").is_file():
        return [(root, match[1] if match else None)]
    audio = root / "audio" if (root / "audio").is_dir() else root
    names = [name for name in walk.audio_names(audio) if not name.startswith(".")]
    if names and sum(bool(parse_name(_stem(name))) for name in names) > len(names) / 2:
        return [(root, match[1] if match else None)]
    return []


def _notes(
    root: Path, folder: Path, split: str | None, notes: list[str], doubts: Doubts
) -> Iterator[Listed]:
    """The notes of one folder: those that are there, and those that examples.json names."""
    examples = _examples(folder / "examples.json", notes)
    if examples is None:
        notes.append(
            f"{printable(folder.resolve().name)} has no examples.json; labels come from the file "
            "names"
        )
    inner = "audio" if (folder / "audio").is_dir() or examples is not None else ""
    prefix = walk.below(root, folder / inner)
    names = walk.audio_names(folder / inner)
    present = {_stem(name) for name in names}
    for key in examples or {}:
        if not _is_name(key):
            doubts.add("name", "examples.json names a file outside audio; left out", key)
        elif key not in present:
            names.append(f"{key}.wav")
    ids: dict[int, str] = {}
    for name in sorted(names):
        stem = _stem(name)
        labels = parse_name(stem)
        if examples is not None:
            labels = _labels(stem, examples, labels, ids, doubts)
        yield Listed(prefix + name, {key: labels.get(key) for key in _KEYS}, split)


def _labels(
    stem: str, examples: dict[str, Any], named: dict[str, Label], ids: dict[int, str],
    doubts: Doubts,
) -> dict[str, Label]:  # fmt: skip
    """What examples.json says of a note; `named` is what its name says."""
    if stem not in examples:
        doubts.add("sound", "not in examples.json; labels come from the file name", stem)
        return named
    entry = examples[stem]
    if not isinstance(entry, dict):
        doubts.add("sound", "no object in examples.json; labels come from the file name", stem)
        return named
    number = entry.get("note")
    if isinstance(number, int) and ids.setdefault(number, stem) != stem:
        doubts.add("sound", "has a note number that another has too; it is not used", stem)
    labels: dict[str, Label] = {}
    for name, key in _KEYS.items():
        value = entry.get(key)
        if key not in entry:
            labels[name] = named.get(name)
            doubts.add(
                "sound", f"{key} is missing in examples.json; taken from the file name", stem
            )
        elif name in MIDI:
            labels[name] = midi(value)
            if labels[name] is None:
                wrong = "is no whole number from 0 to 127; left empty"
                doubts.add("sound", f"{key} in examples.json {wrong}", stem)
        else:
            labels[name] = value if isinstance(value, str) and value and _is_text(value) else None
            if labels[name] is None:
                doubts.add("sound", f"{key} in examples.json is no text; left empty", stem)
    return labels


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _is_name(key: str) -> bool:
    """Whether a key names a file in the folder itself."""
    inside = not any(mark in key for mark in "/\\\0") and key not in ("", ".", "..")
    return inside and _is_text(key)


def _is_text(value: str) -> bool:
    # JSON can spell half of a surrogate pair, which no file name and no CSV can hold.
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _examples(path: Path, notes: list[str]) -> dict[str, Any] | None:
    """The entries of an examples.json by name, None when there is no such file."""
    twice: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entry = dict(pairs)
        if len(entry) < len(pairs):
            twice.extend(k for k, n in Counter(key for key, _ in pairs).items() if n > 1)
        return entry

    walk.refuse_endless(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        examples = json.loads(text, object_pairs_hook=once)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CorpusError(f"{printable(path)} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CorpusError(
            f"{printable(path)} is not valid JSON ({str(error)[:80]}); "
            "repair it, or remove it to take the labels from the file names"
        ) from None
    if not isinstance(examples, dict):
        raise CorpusError(f"{printable(path)} should be an object of notes by name")
    if twice:
        notes.append(
            f"{counted(len(twice), 'name')} twice in {printable(path.name)}, the last one counts "
            f"(the first: {printable(twice[0])})"
        )
    return examples
