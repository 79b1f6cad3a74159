"""What sounds a folder holds and what is known of them: NSynth's layout, or any tree of audio."""

import csv
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from timbrespace.audio.files import SUFFIXES, printable
from timbrespace.errors import CorpusError

Label = str | int | None
SPLIT_NAMES = {
    "train": "train", "training": "train", "valid": "valid", "val": "valid",
    "validation": "valid", "dev": "valid", "test": "test", "testing": "test",
}  # fmt: skip
RESERVED = ("row", "file", "seconds", "sample_rate", "level_db", "sha256")
MIDI = ("pitch", "velocity")  # labels that are whole numbers from 0 to 127

_PATH_COLUMNS = ("path", "file", "filename", "file_name", "name")
_NSYNTH_FOLDER = re.compile(r"nsynth[-_](train|valid|test)$")
# From the right: the family synth_lead has an underscore itself.
_NSYNTH_NAME = re.compile(
    r"(?P<instrument>(?P<family>.+)_(?P<source>acoustic|electronic|synthetic)_\d{3,})"
    r"-(?P<pitch>\d{3})-(?P<velocity>\d{3})$"
)
_NSYNTH_LABELS = {
    "pitch": "pitch", "velocity": "velocity", "instrument": "instrument_str",
    "family": "instrument_family_str", "source": "instrument_source_str",
}  # fmt: skip


@dataclass
class Listed:
    """One sound file: path relative to the root (with /), labels, and the split if one is given."""

    file: str
    labels: dict[str, Label]
    split: str | None = None


@dataclass
class Source:
    """Files in a fixed order, the layout that was taken, and notes for the person who asked."""

    root: Path
    layout: str
    files: list[Listed]
    notes: list[str] = field(default_factory=list)


def list_source(root: Path, layout: str, labels_csv: Path | None) -> Source:
    """Everything a folder holds; CorpusError when it is missing, empty or not of the layout."""
    if not root.exists():
        raise CorpusError(f"there is no folder {printable(root)}; pass the folder of your sounds")
    if not root.is_dir():
        raise CorpusError(f"{printable(root)} is a file; pass the folder that holds the sounds")
    if layout not in ("auto", *LAYOUTS):
        raise CorpusError(f"layout should be auto, {' or '.join(LAYOUTS)}, got {layout!r}")
    if layout == "auto":
        layout = "nsynth" if labels_csv is None and _nsynth_folders(root) else "folder"
    source = LAYOUTS[layout](root, labels_csv)
    if not source.files:
        raise CorpusError(
            f"{printable(root)} holds no audio files; these are read: {' '.join(SUFFIXES)}"
        )
    return source


def parse_name(stem: str) -> dict[str, Label]:
    """Labels of an NSynth file name without suffix; empty when it is no such name."""
    match = _NSYNTH_NAME.match(stem)
    if match is None:
        return {}
    labels: dict[str, Label] = dict(match.groupdict())
    for name in MIDI:
        labels[name] = _midi(int(match[name]))
    return {name: labels[name] for name in _NSYNTH_LABELS}


def _midi(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= 127 else None  # type: ignore[operator,return-value]


def _nsynth_folders(root: Path) -> list[tuple[Path, str | None]]:
    """The folders with notes, and the split that the name of each says."""
    found: list[tuple[Path, str | None]] = []
    for name in ("train", "valid", "test"):
        for folder in (root / f"nsynth-{name}", root / f"nsynth_{name}"):
            if (folder / "audio").is_dir() or (folder / "examples.json").is_file():
                found.append((folder, name))
    if found:
        return found
    match = _NSYNTH_FOLDER.search(root.resolve().name)
    if (root / "examples.json").is_file():
        return [(root, match[1] if match else None)]
    audio = root / "audio" if (root / "audio").is_dir() else root
    names = [e.name for e in os.scandir(audio) if e.name.lower().endswith(".wav")]
    if names and sum(bool(parse_name(n[:-4])) for n in names) > len(names) / 2:
        return [(root, match[1] if match else None)]
    return []


def _nsynth(root: Path, labels_csv: Path | None) -> Source:
    if labels_csv is not None:
        raise CorpusError("a labels CSV goes with layout folder; NSynth has its examples.json")
    folders = _nsynth_folders(root)
    if not folders:
        raise CorpusError(
            f"{printable(root)} is not of NSynth's layout: nsynth-train, nsynth-valid, nsynth-test "
            "(or one such folder) with examples.json and audio; use layout folder"
        )
    source = Source(root, "nsynth", [])
    doubts: Counter[str] = Counter()
    for folder, split in folders:
        examples = _examples(folder / "examples.json")
        if examples is None:
            source.notes.append(
                f"{printable(folder.name)} has no examples.json; labels come from the file names"
            )
        prefix = "" if folder == root else f"{folder.name}/"
        inner = "audio/" if (folder / "audio").is_dir() or examples is not None else ""
        names = set(_names(folder / inner if inner else folder))
        for key in examples or {}:
            if "/" in key or "\\" in key or "\0" in key or key in ("", ".", ".."):
                doubts["examples.json names a file outside audio; that entry is left out"] += 1
                continue
            names.add(f"{key}.wav")
        for name in sorted(names):
            labels = parse_name(name.rpartition(".")[0])
            entry = (examples or {}).get(name.rpartition(".")[0])
            if isinstance(entry, dict):
                labels = _entry_labels(entry, doubts)
            elif examples is not None:
                doubts["not in examples.json; labels come from the file name"] += 1
            full = {key: labels.get(key) for key in _NSYNTH_LABELS}
            source.files.append(Listed(f"{prefix}{inner}{name}", full, split))
    source.notes += [f"{count} sounds: {text}" for text, count in doubts.items()]
    return source


def _names(folder: Path) -> list[str]:
    try:
        return [e.name for e in os.scandir(folder) if e.name.lower().endswith(SUFFIXES)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CorpusError(f"{printable(folder)} cannot be read: {error.strerror}") from None


def _entry_labels(entry: dict[str, Any], doubts: Counter[str]) -> dict[str, Label]:
    labels: dict[str, Label] = {}
    for name, key in _NSYNTH_LABELS.items():
        value = entry.get(key)
        if name in MIDI:
            labels[name] = _midi(value)
            if labels[name] is None:
                doubts[f"{name} in examples.json is no whole number from 0 to 127; left empty"] += 1
        else:
            labels[name] = value if isinstance(value, str) and value else None
    return labels


def _examples(path: Path) -> dict[str, Any] | None:
    try:
        examples = json.loads(path.read_text(encoding="utf-8-sig"))
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
    return examples


def _tree(root: Path) -> list[str]:
    """Audio files below root, relative, in a fixed order; linked folders are not entered."""
    found: list[str] = []
    unreadable: list[OSError] = []
    for folder, inner, names in os.walk(root, onerror=unreadable.append):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        relative = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if relative == "." else f"{relative}/"
        found += [prefix + name for name in names if name.lower().endswith(SUFFIXES)]
    if unreadable:
        error = unreadable[0]
        raise CorpusError(
            f"{printable(str(error.filename))} cannot be read: {error.strerror}; "
            "change its permissions or move it away"
        )
    return sorted(found)


def _folder(root: Path, labels_csv: Path | None) -> Source:
    files = _tree(root)
    source = Source(root, "folder", [])
    if labels_csv is not None:
        table, notes = _table(labels_csv, files)
        source.notes += notes
        source.files = [Listed(file, *table[file]) for file in files]
        return source
    parents = [PurePosixPath(file).parent.parts for file in files]
    shared = len(os.path.commonprefix(parents)) if parents else 0
    # One folder for all says nothing about any of them.
    parents = [parts[shared:] for parts in parents]
    nested = any(len(parts) > 1 for parts in parents)
    for file, parts in zip(files, parents, strict=True):
        split = SPLIT_NAMES.get(parts[0].lower()) if parts else None
        if split is not None:
            parts = parts[1:]
        labels: dict[str, Label] = {"family": parts[0] if parts else None}
        if nested:
            labels["instrument"] = "/".join(parts) or None
        labels.update({k: v for k, v in parse_name(PurePosixPath(file).stem).items() if v})
        source.files.append(Listed(file, labels, split))
    named = {listed.split for listed in source.files}
    if named != {None} and (None in named or "train" not in named):
        # Folders called test beside others are labels, not a split.
        for listed, parts in zip(source.files, parents, strict=True):
            if listed.split is not None:
                listed.labels["family"] = parts[0]
                listed.split = None
    names = sorted({name for listed in source.files for name in listed.labels})
    useful = [n for n in names if any(listed.labels.get(n) is not None for listed in source.files)]
    for listed in source.files:
        listed.labels = {name: listed.labels.get(name) for name in useful}
    return source


Labelled = tuple[dict[str, Label], str | None]


def _table(path: Path, files: list[str]) -> tuple[dict[str, Labelled], list[str]]:
    """Labels and split of every file from a CSV with a path column, and notes."""
    where = printable(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lines = list(reader)
    except OSError as error:
        raise CorpusError(f"{where} cannot be read: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise CorpusError(f"{where} is not a CSV file in UTF-8 ({str(error)[:80]})") from None
    columns = [c for c in reader.fieldnames or [] if c]
    key = next((c for c in columns if c.strip().lower() in _PATH_COLUMNS), None)
    if key is None:
        raise CorpusError(
            f"{where} should have a column named path; it has {', '.join(columns) or 'none'}"
        )
    names = [c for c in columns if c != key and c.strip().lower() != "split"]
    for name in names:
        if name.strip() in RESERVED:
            raise CorpusError(f"{where} has a column {name}, a name the corpus uses; rename it")
    split_column = next((c for c in columns if c.strip().lower() == "split"), None)
    whole = {
        name for name in names
        if all(_whole(line[name]) is not None for line in lines if (line[name] or "").strip())
    }  # fmt: skip
    match = _matcher(files)
    table: dict[str, Labelled] = {}
    strangers = 0
    for number, line in enumerate(lines, start=2):
        file_named = match((line[key] or "").strip())
        if file_named is None:
            strangers += 1
            continue
        labels: dict[str, Label] = {}
        for name in names:
            text = (line[name] or "").strip()
            labels[name.strip()] = (_whole(text) if name in whole else text) if text else None
            if name.strip() in MIDI and text and _midi(labels[name.strip()]) is None:
                raise CorpusError(
                    f"{where} line {number}: {name} should be a whole number from 0 to 127, "
                    f"got {text[:40]!r}"
                )
        split = None
        if split_column is not None and (text := (line[split_column] or "").strip().lower()):
            split = SPLIT_NAMES.get(text)
            if split is None:
                raise CorpusError(
                    f"{where} line {number}: split should be train, valid or test, "
                    f"got {text[:40]!r}"
                )
        table[file_named] = (labels, split)
    if not table:
        raise CorpusError(
            f"no path in {where} is a sound of the folder; paths should be relative to it"
        )
    notes = []
    if strangers:
        notes.append(f"{strangers} lines of {where} name no sound of the folder")
    missing = len(files) - len(table)
    if missing:
        notes.append(f"{missing} sounds are not in {where} and have no labels")
    empty: dict[str, Label] = {name.strip(): None for name in names}
    return {file: table.get(file, (dict(empty), None)) for file in files}, notes


def _whole(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if re.fullmatch(r"-?\d{1,15}", text) else None


def _matcher(files: list[str]) -> Callable[[str], str | None]:
    """From what a CSV calls a file (path, name or stem) to the file; None when not one fits."""
    known = set(files)
    by_name: dict[str, list[str]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file)
        for name in {path.name, path.stem}:
            by_name[name].append(file)

    def match(text: str) -> str | None:
        text = os.path.normpath(text.replace("\\", "/")).replace(os.sep, "/")
        if text in known:
            return text
        several = by_name.get(PurePosixPath(text).name, [])
        return several[0] if len(several) == 1 else None

    return match


LAYOUTS: dict[str, Callable[[Path, Path | None], Source]] = {"nsynth": _nsynth, "folder": _folder}
