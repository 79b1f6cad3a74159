"""Readers of layouts: which files there are, in a fixed order, with labels and, if given, splits.

nsynth: nsynth-{train,valid,test}/ (or one such folder) with audio/*.wav and examples.json; labels
    are recovered from the names when examples.json is missing.
folder: any tree of audio; labels from a CSV with a `path` column, else `family` is the folder's name.
"""

import csv
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timbrespace.data.splits import SPLITS, split_by
from timbrespace.errors import CorpusError

Label = str | int | None
AUDIO = {
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf",
    ".w64", ".rf64", ".wave",
}  # fmt: skip
NUMBERS = ("pitch", "velocity")
# family_source_NNN-PPP-VVV, read from the right: synth_lead holds an underscore itself
NSYNTH_NAME = re.compile(r"(.+)_(acoustic|electronic|synthetic)_(\d{3})-(\d{3})-(\d{3})")


@dataclass(frozen=True)
class Listing:
    """Files relative to `root` with their labels and split (None: to be drawn)."""

    root: Path
    layout: str
    files: tuple[str, ...]
    labels: tuple[dict[str, Label], ...]
    splits: tuple[str, ...]
    notes: tuple[str, ...] = ()  # sentences for the health report


def read_listing(source: Path, *, layout: str, labels_csv: Path | None, seed: int) -> Listing:
    """The listing of `source`; CorpusError when there is no audio or the layout is unknown."""
    if layout not in ("auto", "nsynth", "folder"):
        raise CorpusError(f"there is no layout {layout!r}; use auto, nsynth or folder")
    if not source.exists():
        raise CorpusError(f"there is no folder {source}; check the path")
    if not source.is_dir():
        raise CorpusError(f"{source} is a file; prepare wants a folder of sounds")
    found = _nsynth_folders(source)
    if layout == "nsynth" and not found:
        raise CorpusError(
            f"{source} is not in the NSynth layout: it holds neither nsynth-train, nsynth-valid or "
            "nsynth-test nor an examples.json beside a folder audio; use --layout folder"
        )
    if found and layout != "folder" and labels_csv is None:
        return _nsynth(source, found, seed)
    return _folder(source, labels_csv, seed)


def _nsynth_folders(source: Path) -> list[tuple[str, str | None]]:
    """(folder relative to source, split or None) of an NSynth layout; empty when it is none."""
    split = [(f"nsynth-{s}", s) for s in SPLITS if (source / f"nsynth-{s}" / "audio").is_dir()]
    if split:
        return list(split)
    if (source / "audio").is_dir() and (source / "examples.json").is_file():
        return [("", None)]
    return []


def _nsynth(source: Path, folders: list[tuple[str, str | None]], seed: int) -> Listing:
    files: list[str] = []
    labels: list[dict[str, Label]] = []
    splits: list[str | None] = []
    notes: list[str] = []
    for folder, split in folders:
        examples = _examples(source / folder / "examples.json", notes)
        for name in sorted(p.name for p in _audio_files(source / folder / "audio", notes)):
            files.append(str(Path(folder, "audio", name)))
            labels.append(_nsynth_labels(Path(name).stem, examples, notes))
            splits.append(split)
        absent = set(examples) - {Path(f).stem for f in files}
        if absent:
            notes.append(f"{len(absent)} entries of {folder}/examples.json have no audio file")
    if not files:
        raise CorpusError(f"{source} holds no audio in its NSynth folders")
    if None in splits:
        drawn = split_by(
            [row.get("instrument") or f for row, f in zip(labels, files, strict=True)], seed=seed
        )
        splits = list(drawn)
    return Listing(
        source,
        "nsynth",
        tuple(files),
        tuple(labels),
        tuple(s or "train" for s in splits),
        tuple(notes),
    )


def _examples(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        notes.append(f"{path.name} is missing in {path.parent.name}; labels come from file names")
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise CorpusError(f"{path} is not readable JSON: {str(error)[:120]}") from None
    if not isinstance(loaded, dict):
        raise CorpusError(f"{path} should hold one object per note, got {type(loaded).__name__}")
    return loaded


def _nsynth_labels(stem: str, examples: dict[str, Any], notes: list[str]) -> dict[str, Label]:
    row = examples.get(stem)
    if isinstance(row, dict):
        wanted = {
            "pitch": row.get("pitch"), "velocity": row.get("velocity"),
            "family": row.get("instrument_family_str"), "instrument": row.get("instrument_str"),
            "source": row.get("instrument_source_str"),
        }  # fmt: skip
        fits = {
            "pitch": _in_range(wanted["pitch"]), "velocity": _in_range(wanted["velocity"]),
            **{k: isinstance(wanted[k], str) for k in ("family", "instrument", "source")},
        }  # fmt: skip
        if not all(fits.values()):
            wrong = ", ".join(k for k, good in fits.items() if not good)
            notes.append(f"{stem}: {wrong} of its examples.json entry cannot be used")
        return {k: v if fits[k] else None for k, v in wanted.items()}
    match = NSYNTH_NAME.fullmatch(stem)
    if match:
        family, kind, number, pitch, velocity = match.groups()
        return {
            "pitch": int(pitch), "velocity": int(velocity), "family": family,
            "instrument": f"{family}_{kind}_{number}", "source": kind,
        }  # fmt: skip
    return dict.fromkeys(("pitch", "velocity", "family", "instrument", "source"))


def _in_range(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 127


def _audio_files(folder: Path, notes: list[str]) -> Iterator[Path]:
    """Files with the name of audio under `folder`, sorted; folder links are not followed."""
    found = []
    unreadable: list[OSError] = []
    for base, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [
            Path(base, n) for n in names
            if os.path.splitext(n)[1].lower() in AUDIO and not n.startswith("._")
        ]  # fmt: skip
    notes += [f"{e.filename} cannot be read: {e.strerror}" for e in unreadable]
    return iter(sorted(found))


def _folder(source: Path, labels_csv: Path | None, seed: int) -> Listing:
    notes: list[str] = []
    files = [str(p.relative_to(source)) for p in _audio_files(source, notes)]
    if not files:
        raise CorpusError(
            f"{source} holds no audio files; known endings are {', '.join(sorted(AUDIO))}"
        )
    if labels_csv is not None:
        table = _labels_table(source, labels_csv)
        columns = sorted({k for row in table.values() for k in row})
        labels = [{**dict.fromkeys(columns), **table.get(file, {})} for file in files]
        unknown = set(table) - set(files)
        if len(unknown) == len(table):
            raise CorpusError(
                f"no path of {labels_csv} is a file of {source}; paths are relative to that folder"
            )
        if unknown:
            notes.append(f"{len(unknown)} paths of {labels_csv.name} are no files of the folder")
        missing = len(set(files) - set(table))
        if missing:
            notes.append(f"{missing} files have no line in {labels_csv.name}")
    else:
        deep = any(os.sep in file for file in files)
        labels = [{"family": Path(f).parent.name or None} if deep else {} for f in files]
    groups = [
        row.get("instrument") or row.get("speaker") or f
        for row, f in zip(labels, files, strict=True)
    ]
    return Listing(
        source,
        "folder",
        tuple(files),
        tuple(labels),
        tuple(split_by(groups, seed=seed)),
        tuple(notes),
    )


def _labels_table(source: Path, path: Path) -> dict[str, dict[str, Label]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CorpusError(f"{path} cannot be read as CSV: {reason}") from None
    if not lines or "path" not in lines[0]:
        raise CorpusError(f"{path} needs a header line with a column called path")
    table: dict[str, dict[str, Label]] = {}
    for number, line in enumerate(lines, 2):
        row: dict[str, Label] = {}
        for name, value in line.items():
            if name in (None, "path") or not isinstance(name, str):
                continue
            row[name] = value or None
            if name in NUMBERS and value:
                if not re.fullmatch(r"\d{1,3}", value) or int(value) > 127:
                    raise CorpusError(
                        f"{path} line {number}: {name} should be 0 to 127, got {value!r}"
                    )
                row[name] = int(value)
        file = line["path"] or ""
        table[os.path.relpath(file, source) if os.path.isabs(file) else os.path.normpath(file)] = (
            row
        )
    return table
