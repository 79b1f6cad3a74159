"""The table of a corpus' sounds as columns, and its two forms on disk.

`sounds.csv` is the truth, one line a sound. `sounds.safetensors` is the same as columns, which opens
many times faster; it is used only where its digest is the one that corpus.json names.
"""

import csv
import io
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

import numpy as np

from timbrespace.data.columns import Label, Labels, Lazy, Texts

FIXED = ("row", "file", "split", "start", "seconds", "sample_rate", "level_db", "sha256")
SPLITS = ("train", "valid", "test")
_FORMULA = tuple("=+-@'")  # a spreadsheet would run cells that begin so
_BLOCK = 4096  # rows that are text at a time


@dataclass
class Row:
    """One usable sound: `seconds` of a file from `start` seconds on. file is relative to the source,
    sha256 is the whole file's; level_db is the sound's peak in dBFS."""

    row: int
    file: str
    split: str
    start: float
    seconds: float
    sample_rate: int
    level_db: float
    sha256: str
    labels: dict[str, Label]

    @property
    def name(self) -> str:
        """What to call the sound: its file's name, and where in the file it begins."""
        return named(PurePosixPath(self.file).stem, self.start)

    @property
    def title(self) -> str:
        """What its labels call it; its name where they say nothing."""
        known = [self.labels.get(name) for name in ("family", "genre", "instrument", "speaker")]
        parts = [str(value) for value in known if value not in (None, "")]
        if self.labels.get("pitch") not in (None, ""):
            parts.append(f"pitch {self.labels['pitch']}")
        return ", ".join(parts) or self.name


def named(file: str, start: float) -> str:
    """A file, and where in it a sound begins unless that is at once."""
    return f"{file} at {start:.2f} s" if start else file


@dataclass
class Table(Lazy[Row]):
    """All sounds as columns; indexing gives a `Row`.

    Of each file (F): files, sample_rate (int32), sha256 (F, 32 bytes) and labels. Of each sound (N):
    file (int32, which of the files), split (int8, which of SPLITS), start and seconds (float64),
    level_db (float64).
    """

    files: Texts
    sample_rate: np.ndarray
    sha256: np.ndarray
    labels: dict[str, Labels]
    file: np.ndarray
    split: np.ndarray
    start: np.ndarray
    seconds: np.ndarray
    level_db: np.ndarray

    def __len__(self) -> int:
        return len(self.file)

    def item(self, number: int) -> Row:
        f, split = int(self.file[number]), SPLITS[self.split[number]]
        return Row(
            number, self.files[f], split, float(self.start[number]), float(self.seconds[number]),
            int(self.sample_rate[f]), float(self.level_db[number]), self.sha256[f].tobytes().hex(),
            {name: column[f] for name, column in self.labels.items()},
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and list(self) == list(other)

    def label(self, name: str) -> Labels:
        """A label of every sound."""
        return self.labels[name].take(self.file)

    def name(self, row: int) -> str:
        """What to call a sound."""
        return named(PurePosixPath(self.files[int(self.file[row])]).stem, float(self.start[row]))

    @property
    def kinds(self) -> dict[str, str]:
        """The labels, and whether each is "int" or "str"."""
        return {name: column.kind for name, column in self.labels.items()}

    @property
    def splits(self) -> list[str]:
        """The split of every sound."""
        return [SPLITS[code] for code in self.split.tolist()]

    # As text

    def to_csv(self) -> Iterator[bytes]:
        """The bytes of sounds.csv, some rows at a time; `from_csv` is the inverse."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*FIXED, *map(_guard, self.labels)])
        for at in range(0, len(self), _BLOCK):
            block = slice(at, min(at + _BLOCK, len(self)))
            files = self.file[block]
            columns = [
                range(block.start, block.stop),
                [_guard(self.files[f]) for f in files.tolist()],
                [SPLITS[s] for s in self.split[block].tolist()],
                self.start[block].tolist(), self.seconds[block].tolist(),
                self.sample_rate[files].tolist(), self.level_db[block].tolist(),
                [sha.tobytes().hex() for sha in self.sha256[files]],
                *([_guard(v) for v in column.take(files)] for column in self.labels.values()),
            ]  # fmt: skip
            writer.writerows(zip(*columns, strict=True))
            yield out.getvalue().encode("utf-8", "surrogateescape")
            out.seek(0)
            out.truncate()
        if out.tell():
            yield out.getvalue().encode("utf-8", "surrogateescape")

    @classmethod
    def from_csv(cls, file: IO[bytes], kinds: dict[str, str]) -> "Table":
        """The table of an open sounds.csv; kinds {label: "int" or "str"}."""
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        lines = csv.reader(text)
        next(lines)
        data, ends = bytearray(), array("q")
        rates, sums, last = array("i"), bytearray(), None
        labels: list[list[Label]] = [[] for _ in kinds]
        places, splits = array("i"), array("b")
        starts, lengths, levels = array("d"), array("d"), array("d")
        seen: dict[str, str] = {}  # every text of a label once
        for line in lines:
            _, name, split, start, seconds, rate, level, sha = line[: len(FIXED)]
            if name != last:
                last = name
                data += _unguard(name).encode("utf-8", "surrogateescape")
                ends.append(len(data))
                rates.append(int(rate))
                sums += bytes.fromhex(sha)
                cells = line[len(FIXED) :]
                for column, kind, cell in zip(labels, kinds.values(), cells, strict=True):
                    cell = seen.setdefault(cell, cell)
                    column.append(
                        (int(cell) if kind == "int" else _unguard(cell)) if cell else None
                    )
            places.append(len(ends) - 1)
            splits.append(SPLITS.index(split))
            starts.append(float(start))
            lengths.append(float(seconds))
            levels.append(float(level))
        return cls(
            Texts(data, np.array(ends, np.int64)), np.array(rates, np.int32),
            np.frombuffer(bytes(sums), np.uint8).reshape(len(ends), 32),
            {name: Labels.of(column) for name, column in zip(kinds, labels, strict=True)},
            np.array(places, np.int32), np.array(splits, np.int8), np.array(starts),
            np.array(lengths), np.array(levels),
        )  # fmt: skip

    # As columns

    def to_columns(self) -> bytes:
        """The bytes of sounds.safetensors; `from_columns` is the inverse."""
        from safetensors.numpy import save

        columns = {name: getattr(self, name) for name in _PLAIN}
        columns |= _texts("files", self.files)
        for n, column in enumerate(self.labels.values()):
            columns[f"label.{n}"] = column.codes
            if column.kind == "int":
                columns[f"values.{n}"] = np.array(column.values, np.int64)
            else:
                columns |= _texts(f"values.{n}", Texts.of(column.values))  # type: ignore[arg-type]
        return save({name: np.ascontiguousarray(values) for name, values in columns.items()})

    @classmethod
    def from_columns(cls, data: bytes, kinds: dict[str, str]) -> "Table":
        """The table of the bytes that `to_columns` gave; kinds {label: "int" or "str"}."""
        from safetensors.numpy import load

        columns = load(data)

        def texts(name: str) -> Texts:
            return Texts(columns[name].tobytes(), columns[f"{name}.ends"])

        labels = {}
        for n, (name, kind) in enumerate(kinds.items()):
            place = f"values.{n}"
            values = columns[place].tolist() if kind == "int" else list(texts(place))
            labels[name] = Labels(values, columns[f"label.{n}"])
        plain = {name: columns[name] for name in _PLAIN}
        return cls(files=texts("files"), labels=labels, **plain)


_PLAIN = ("sample_rate", "sha256", "file", "split", "start", "seconds", "level_db")


def _texts(name: str, texts: Texts) -> dict[str, np.ndarray]:
    return {name: np.frombuffer(texts.data, np.uint8), f"{name}.ends": texts.ends}


def _guard(value: Label) -> Label:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _unguard(cell: str) -> str:
    return cell[1:] if cell[0] == "'" else cell
