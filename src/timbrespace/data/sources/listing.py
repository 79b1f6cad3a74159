"""What a layout hands over: the files, what is known of each, and notes for the person who asked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from timbrespace.audio.files import printable
from timbrespace.data.columns import Coding, Label, Labels, Lazy, Texts

SPLIT_NAMES = {
    "train": "train", "training": "train", "valid": "valid", "val": "valid",
    "validation": "valid", "dev": "valid", "test": "test", "testing": "test",
}  # fmt: skip
RESERVED = ("row", "file", "start", "seconds", "sample_rate", "level_db", "sha256")
MIDI = ("pitch", "velocity")  # labels that are whole numbers from 0 to 127

# In this order: what two splits should not share, and what each should hold its share of.
_GROUPS = ("instrument", "speaker", "artist", "singer", "track")
_STRATA = ("family", "genre", "accent", "gender")


@dataclass(slots=True)
class Listed:
    """One sound file: path relative to the root (with /), labels, and the split if one is given."""

    file: str
    labels: dict[str, Label]
    split: str | None = None


class Files(Lazy[Listed]):
    """Many listed files as columns: a tenth of the memory of the objects that indexing gives."""

    def __init__(self, names: Texts, labels: dict[str, Labels], split: Labels) -> None:
        self.names, self.labels, self.split = names, labels, split

    @classmethod
    def of(cls, files: Iterable[Listed]) -> "Files":
        """The columns of some files, looked at once; what is Files already is taken as it is."""
        if isinstance(files, cls):
            return files
        labels: dict[str, Coding] = {}
        splits, count = Coding(), 0

        def names() -> Iterator[str]:
            nonlocal count
            for listed in files:
                for name, value in listed.labels.items():
                    labels.setdefault(name, Coding()).put(count, value)
                splits.put(count, listed.split)
                count += 1
                yield listed.file

        texts = Texts.of(names())
        columns = {name: coding.labels(count) for name, coding in labels.items()}
        return cls(texts, columns, splits.labels(count))

    def __len__(self) -> int:
        return len(self.names)

    def item(self, number: int) -> Listed:
        labels = {name: column[number] for name, column in self.labels.items()}
        return Listed(self.names[number], labels, self.split[number])  # type: ignore[arg-type]

    def take(self, places: np.ndarray) -> "Files":
        """The files at some places, in their order."""
        labels = {name: column.take(places) for name, column in self.labels.items()}
        return Files(self.names.take(places), labels, self.split.take(places))

    def label(self, name: str | None) -> Labels:
        """A label of every file; unknown where it is none of theirs."""
        if name in self.labels:
            return self.labels[name]
        return Labels([], np.full(len(self), -1, np.int32))


@dataclass
class Source:
    """Files in a fixed order, the layout that was taken, and notes for the person who asked.

    group is the label whose values no two splits should share, stratum the one of which every split
    should hold its share; None where there is no such label.
    """

    root: Path
    layout: str
    files: Sequence[Listed]
    notes: list[str] = field(default_factory=list)
    group: str | None = None
    stratum: str | None = None

    def settle_labels(self) -> None:
        """The same labels for every file, those that none has left out; group and stratum by name."""
        files = self.files = Files.of(self.files)
        files.labels = {name: column for name, column in files.labels.items() if column.values}
        names = list(files.labels)
        self.group, self.stratum = _first(_GROUPS, names), _first(_STRATA, names)


def _first(wanted: Iterable[str], names: Iterable[str]) -> str | None:
    known = {name.lower(): name for name in names}
    return next((known[name] for name in wanted if name in known), None)


class Doubts:
    """What is odd about many files, told once with their number and the name of the first."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[int, str]] = {}

    def add(self, one: str, text: str, name: str) -> None:
        """`text` is true of one more sound, file or speaker (`one` says which), called `name`."""
        count, first = self._found.get((one, text), (0, name))
        self._found[one, text] = (count + 1, first)

    def notes(self) -> list[str]:
        """A sentence for each oddity."""
        return [
            f"{counted(count, one)}: {text} (the first: {printable(first)})"
            for (one, text), (count, first) in self._found.items()
        ]


def counted(number: int, one: str) -> str:
    """`1 sound`, `2 sounds`."""
    return f"{number} {one}{'' if number == 1 else 's'}"


def midi(value: object) -> int | None:
    """value when it is a whole number from 0 to 127, else None (True is no number)."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= 127 else None  # type: ignore[operator,return-value]
