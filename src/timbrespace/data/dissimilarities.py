"""How unlike sounds are to the ear, as a table: names, and a square matrix of any unit."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timbrespace.data.corpus import Corpus
from timbrespace.errors import CorpusError

FEWEST = 3  # two distances have a proportion, one has none


@dataclass(frozen=True)
class Dissimilarities:
    """values (K, K) between sounds of these names: symmetric, 0 with itself, at least 0."""

    names: tuple[str, ...]
    values: np.ndarray

    @classmethod
    def read(cls, path: str | Path) -> "Dissimilarities":
        """A CSV file: first line a word of any kind and the names, then each name and its numbers.

        CorpusError says what is wrong with it, and where.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise CorpusError(f"dissimilarities {path} cannot be read: {reason}") from None
        lines = [line for line in csv.reader(io.StringIO(text)) if any(line)]
        names = tuple(name.strip() for name in lines[0][1:]) if lines else ()
        if [line[0].strip() for line in lines[1:]] != list(names) or len(set(names)) < len(names):
            raise CorpusError(
                f"dissimilarities {path} should name its sounds in the first line and, in the same "
                "order, at the beginning of each line below it, each once"
            )
        for name, line in zip(names, lines[1:], strict=True):
            if len(line) != len(names) + 1:
                raise CorpusError(
                    f"dissimilarities {path}: {name} has {len(line) - 1} numbers, its table "
                    f"{len(names)} sounds; give one for each"
                )
        try:
            numbers = [float(cell) for line in lines[1:] for cell in line[1:]]
        except ValueError as error:
            raise CorpusError(f"dissimilarities {path} should hold numbers: {error}") from None
        values = np.array(numbers).reshape(len(names), len(names))
        return cls._checked(path, names, values)

    @classmethod
    def read_all(cls, path: str | Path) -> dict[str, "Dissimilarities"]:
        """The table of a file by the file's name, or of each CSV file of a folder: listening tests whose
        scales differ and whose sounds nobody compared."""
        place = Path(path)
        files = sorted(place.glob("*.csv")) if place.is_dir() else [place]
        if not files:
            raise CorpusError(f"{place} holds no tables of dissimilarities; put CSV files into it")
        return {file.name: cls.read(file) for file in files}

    @classmethod
    def _checked(
        cls, path: str | Path, names: tuple[str, ...], values: np.ndarray
    ) -> "Dissimilarities":
        for i, one in enumerate(names):
            for j, other in enumerate(names[: i + 1]):
                value, mirrored = float(values[i, j]), float(values[j, i])
                if not math.isfinite(value) or value < 0.0 or (i == j and value):
                    wanted = "0" if i == j else "a finite number of at least 0"
                    raise CorpusError(
                        f"dissimilarities {path}: {one} and {other} should have {wanted}, "
                        f"got {value:g}"
                    )
                if not math.isclose(value, mirrored, rel_tol=1e-6, abs_tol=1e-9):
                    raise CorpusError(
                        f"dissimilarities {path}: {one} to {other} is {value:g}, but the other way "
                        f"{mirrored:g}; make it symmetric, such as by the mean of both"
                    )
        return cls(names, values)

    def of_training_sounds(self, corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
        """Rows (K,) of the sounds that are in the training split, and their part of the matrix.

        A sound is named by its file's path in the corpus or by its name in the explorer. CorpusError
        for a name that the corpus has not, or fewer than three training sounds, or none unlike.
        """
        table, found = corpus.rows, dict[str, int]()
        for row in range(len(table) - 1, -1, -1):  # of a cut file the first sound answers
            found[table.files[int(table.file[row])]] = found[table.name(row)] = row
        for name in self.names:
            if name not in found:
                raise CorpusError(
                    f"the dissimilarities name {name!r}, which is no sound of {corpus.place}; use "
                    "names of its sounds.csv, such as " + table.files[0]
                )
        rows = np.array([found[name] for name in self.names], dtype=np.int64)
        kept = np.flatnonzero(np.isin(rows, corpus.split_rows("train")))
        values = self.values[np.ix_(kept, kept)]
        if len(kept) < FEWEST or not values.any():
            raise CorpusError(
                f"of the {len(rows)} sounds that the dissimilarities name, {len(kept)} are training "
                f"sounds of {corpus.place}; at least {FEWEST} that differ are needed"
            )
        return rows[kept], values

    def to_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["", *self.names])
        for name, values in zip(self.names, self.values.tolist(), strict=True):
            writer.writerow([name, *map(repr, values)])
        return text.getvalue()
