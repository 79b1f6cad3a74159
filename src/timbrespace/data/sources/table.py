"""A CSV or Parquet file that names sounds, with a column for each label.

The column of paths is called path, file, filename or the like; one called split may say train,
valid or test. Whole columns of whole numbers become numbers, everything else is text.
"""

import csv
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from timbrespace.audio.files import printable
from timbrespace.data.sources import walk
from timbrespace.data.sources.listing import (
    MIDI,
    RESERVED,
    SPLIT_NAMES,
    Doubts,
    Label,
    Listed,
    Source,
    counted,
    midi,
)
from timbrespace.errors import CorpusError, MissingExtra

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")
_PATH_COLUMNS = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "audio", "wav", "name",
)  # fmt: skip
_WHOLE = re.compile(r"(-?\d{1,15})(?:\.0*)?")  # pandas writes 60.0 where others are missing


def recognises(path: Path) -> bool:
    """Whether path is a file that is named as a table."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def read(path: Path) -> Source:
    """The sounds that a table names: paths relative to its folder, or absolute.

    A name that is no path is looked for below the folder. What is not found stays listed, so that it
    is reported as missing.
    """
    if not recognises(path):
        raise CorpusError(
            f"{printable(path)} is no table; layout table wants a CSV or Parquet file as SOURCE"
        )
    source, doubts = Source(path.parent, "table", []), Doubts()
    find, by_file = _place_finder(path.parent), {}
    for entry in _entries(path, source.notes):
        file = find(entry.path)
        if file in by_file:
            doubts.add(
                "sound", f"on several lines of {printable(path.name)}; the last counts", file
            )
        by_file[file] = Listed(file, entry.labels, entry.split)
    if not by_file:
        raise CorpusError(f"{printable(path)} names no sounds; it should have a line for each")
    source.files = [by_file[file] for file in sorted(by_file)]
    source.notes += doubts.notes()
    source.settle_labels()
    return source


def label(path: Path, files: list[str]) -> tuple[list[Listed], list[str]]:
    """The given files with what a table says of them, and notes on what does not fit.

    A line may name a file by its path, its name or its name without suffix, where only one fits.
    """
    notes: list[str] = []
    find = _name_finder(files)
    known: dict[str, _Entry] = {}
    names: dict[str, Label] = {}
    strangers = 0
    for entry in _entries(path, notes):
        names |= dict.fromkeys(entry.labels)
        file = find(entry.path)
        if file is None:
            strangers += 1
        else:
            known[file] = entry
    where = printable(path)
    if not known:
        raise CorpusError(
            f"no path in {where} is a sound of the folder; paths should be relative to it"
        )
    if strangers:
        notes.append(f"{counted(strangers, 'line')} of {where} without a sound in the folder")
    if missing := len(files) - len(known):
        notes.append(f"{counted(missing, 'sound')} without a line in {where}, so without labels")
    blank = _Entry("", names, None)
    found = [(file, known.get(file, blank)) for file in files]
    return [Listed(file, dict(entry.labels), entry.split) for file, entry in found], notes


@dataclass(frozen=True)
class _Entry:
    """A line of a table: the path as written, labels, split."""

    path: str
    labels: dict[str, Label]
    split: str | None


def _entries(path: Path, notes: list[str]) -> Iterator[_Entry]:
    """The lines of a table; CorpusError with the line's number for what cannot be."""
    where = printable(path)
    parquet = path.name.lower().endswith((".parquet", ".pq"))
    columns, lines = _parquet(path, notes) if parquet else csv_lines(path)
    by_name: dict[str, str] = {}
    for column in columns:
        if by_name.setdefault(column.strip(), column) != column or columns.count(column) > 1:
            raise CorpusError(
                f"{where} has two columns named {printable(column.strip())}; rename one"
            )
    key, split = path_and_split(by_name)
    if key is None:
        raise CorpusError(
            f"{where} should have a column named path; it has "
            f"{printable(', '.join(by_name)[:200]) or 'none'}"
        )
    names = [name for name in by_name if name not in (key, split)]
    for name in names:
        if name in RESERVED:
            raise CorpusError(f"{where} has a column {name}, a name the corpus uses; rename it")
    whole = {
        name for name in names
        if all(_whole(text) is not None for _, line in lines if (text := line[by_name[name]]))
    }  # fmt: skip
    pathless = 0
    for number, line in lines:
        if not (text := line[by_name[key]]):
            pathless += 1
            continue
        labels: dict[str, Label] = {}
        for name in names:
            cell = line[by_name[name]] or None
            labels[name] = _whole(cell) if cell and name in whole else cell
            if name in MIDI and cell and midi(labels[name]) is None:
                raise CorpusError(
                    f"{where} line {number}: {name} should be a whole number from 0 to 127, "
                    f"got {cell[:40]!r}"
                )
        yield _Entry(
            text, labels, split_said(line[by_name[split]], path, number) if split else None
        )
    if pathless:
        notes.append(f"{counted(pathless, 'line')} of {where} without a path, left out")


Lines = list[tuple[int, dict[str, str]]]


def path_and_split(columns: Iterable[str]) -> tuple[str | None, str | None]:
    """Which of the columns holds the paths, and which the splits, whatever the case of letters."""
    lower = {name.lower(): name for name in columns}
    key = next((lower[name] for name in _PATH_COLUMNS if name in lower), None)
    return key, lower.get("split")


def split_said(text: str, path: Path, number: int) -> str | None:
    """The split that a cell says, None where it is empty; CorpusError with the line for anything else."""
    if text and text.lower() not in SPLIT_NAMES:
        raise CorpusError(
            f"{printable(path)} line {number}: split should be train, valid or test, "
            f"got {text.lower()[:40]!r}"
        )
    return SPLIT_NAMES[text.lower()] if text else None


def csv_lines(path: Path) -> tuple[list[str], Lines]:
    """Columns and lines (number in the file, stripped cells) of a CSV in UTF-8."""
    where = printable(path)
    walk.refuse_endless(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            mark = max(",;\t", key=head.count)
            reader = csv.DictReader(file, delimiter=mark, restkey="", restval="")
            columns = [name for name in reader.fieldnames or [] if name and name.strip()]
            lines = [
                (reader.line_num, {name: (line[name] or "").strip() for name in columns})
                for line in reader
            ]
    except OSError as error:
        raise CorpusError(f"{where} cannot be read: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise CorpusError(f"{where} is not a CSV file in UTF-8 ({str(error)[:80]})") from None
    return columns, lines


def _parquet(path: Path, notes: list[str]) -> tuple[list[str], Lines]:
    """Columns and lines (number of the row, cells as text) of a Parquet file."""
    where = printable(path)
    walk.refuse_endless(path)
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra(
            f"reading {where} needs pyarrow: pip install 'timbrespace[formats]', or save it as CSV"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            fields = list(file.schema_arrow)
            columns = [f.name for f in fields if f.name.strip() and _is_plain(f.type)]
            others = [f.name for f in fields if not _is_plain(f.type)]
            rows = file.read(columns).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0][:80]
        raise CorpusError(f"{where} is not a Parquet file that can be read ({reason})") from None
    if others:
        notes.append(
            f"columns of {where} without plain values, not used: {printable(', '.join(others))}"
        )
    return columns, [
        (number, {name: _text(row[name]) for name in columns})
        for number, row in enumerate(rows, start=1)
    ]


def _is_plain(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    sorts = (
        types.is_string, types.is_large_string, types.is_integer, types.is_floating,
        types.is_boolean, types.is_decimal, types.is_temporal,
    )  # fmt: skip
    return any(sort(kind) for sort in sorts)


def _text(value: Any) -> str:
    missing = value is None or (isinstance(value, float) and not math.isfinite(value))
    return "" if missing else str(value).strip()


def _whole(text: str) -> int | None:
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match else None


def _place_finder(folder: Path) -> Callable[[str], str]:
    """From what a table calls a file to its path: relative to the folder, or absolute elsewhere."""
    below: Callable[[str], str | None] | None = None

    def find(text: str) -> str:
        nonlocal below
        text = text if os.path.lexists(folder / text) else text.replace("\\", "/")
        if not os.path.lexists(folder / text):
            if below is None:
                below = _name_finder(walk.tree(folder).files)
            if (found := below(text)) is not None:
                return found
        if not os.path.isabs(text):
            text = os.path.normpath(text)
        if os.path.isabs(text) or text.split(os.sep)[0] == os.pardir:
            whole = os.path.normpath(os.path.join(os.path.abspath(folder), text))
            inside = os.path.relpath(whole, os.path.abspath(folder))
            text = whole if inside.split(os.sep)[0] == os.pardir else inside
        return text.replace(os.sep, "/")

    return find


def _name_finder(files: list[str]) -> Callable[[str], str | None]:
    """From a path, name or stem to the file; None when not exactly one fits."""
    known = set(files)
    by_name: dict[str, list[str]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file)
        for name in {path.name, path.stem}:
            by_name[name].append(file)

    def find(text: str) -> str | None:
        text = os.path.normpath(text.replace("\\", "/")).replace(os.sep, "/")
        if text in known:
            return text
        several = by_name.get(PurePosixPath(text).name, [])
        return several[0] if len(several) == 1 else None

    return find
