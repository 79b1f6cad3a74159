"""Columns of many values: texts end to end in one block of bytes, and codes into distinct values.

A list of a hundred thousand names takes ten megabytes more than the names; these take four bytes a
name more, and nothing that Python's collector has to look at.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

import numpy as np

Label = str | int | None
T = TypeVar("T")


class Lazy(Sequence[T]):
    """Items that are made when they are asked for; a class says how, by its `item`."""

    def item(self, number: int) -> T:
        """The item of a number from 0 to less than the length."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return self.item(numbers)
        return [self.item(number) for number in numbers]


class Texts(Lazy[str]):
    """Texts that index as a list; half characters of names that are no UTF-8 survive."""

    def __init__(self, data: bytes | bytearray, ends: np.ndarray) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """A copy of some texts; one that is Texts already is taken as it is."""
        if isinstance(texts, cls):
            return texts
        data, ends = bytearray(), array("q")
        for text in texts:
            data += text.encode("utf-8", "surrogateescape")
            ends.append(len(data))
        return cls(data, np.frombuffer(ends, np.int64) if ends else np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def item(self, number: int) -> str:
        start = self.ends[number - 1] if number else 0
        return bytes(self.data[start : self.ends[number]]).decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self.ends:
            yield bytes(self.data[start:end]).decode("utf-8", "surrogateescape")
            start = end

    def take(self, places: np.ndarray) -> "Texts":
        """The texts at some places, in their order."""
        if len(places) == len(self) and (places == np.arange(len(self))).all():
            return self
        return Texts.of(self[int(place)] for place in places)


class Labels(Sequence[Label]):
    """One label of many sounds: `values`, sorted and distinct, and the code of each sound in them,
    -1 where it is unknown."""

    def __init__(self, values: list[str] | list[int], codes: np.ndarray) -> None:
        self.values, self.codes = values, codes

    @classmethod
    def of(cls, labels: Iterable[Label]) -> "Labels":
        """The column of some labels; where one is a text, all are. Empty texts are unknown. What is
        Labels already is taken as it is."""
        if isinstance(labels, cls):
            return labels
        coding, count = Coding(), 0
        for label in labels:
            coding.put(count, label)
            count += 1
        return coding.labels(count)

    @property
    def kind(self) -> str:
        """`int` or `str`: what its values are."""
        return "int" if self.values and isinstance(self.values[0], int) else "str"

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> Label: ...
    @overload
    def __getitem__(self, index: slice) -> list[Label]: ...
    def __getitem__(self, index: int | slice) -> Label | list[Label]:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index]).tolist()
        code = int(self.codes[index])
        return self.values[code] if code >= 0 else None

    def __iter__(self) -> Iterator[Label]:
        values = [*self.values, None]
        return (values[code] for code in self.codes.tolist())

    def take(self, places: np.ndarray) -> "Labels":
        """The labels at some places, in their order."""
        return Labels(self.values, self.codes[places])

    def compact(self) -> "Labels":
        """The same without the values that nobody has."""
        held = np.flatnonzero(self.counts())
        new = np.full(len(self.values) + 1, -1, np.int32)
        new[held] = np.arange(len(held))
        return Labels([self.values[code] for code in held], new[self.codes])  # type: ignore[arg-type]

    def tolist(self) -> list[Label]:
        """Every label as a value."""
        return list(self)

    def counts(self) -> np.ndarray:
        """How many sounds have each of the values."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))


class Coding:
    """A column of labels on its way; what is not put is unknown."""

    def __init__(self) -> None:
        self._seen: dict[Label, int] = {}
        self._codes = array("i")

    def put(self, place: int, label: Label) -> None:
        """Set the label at a place, which is after all others."""
        if label is not None and label != "":
            self._fill(place)
            self._codes.append(self._seen.setdefault(label, len(self._seen)))

    def labels(self, count: int) -> Labels:
        """The column of `count` labels; where one is a text, all are."""
        self._fill(count)
        whole = all(type(label) is int for label in self._seen)
        texts = [label if whole else str(label) for label in self._seen]
        values = sorted(set(texts))  # type: ignore[type-var]
        place = {value: code for code, value in enumerate(values)}
        new = np.array([*(place[text] for text in texts), -1], np.int32)  # the last is that of -1
        return Labels(values, new[np.array(self._codes, np.int32)])  # type: ignore[arg-type]

    def _fill(self, place: int) -> None:
        self._codes.extend([-1] * (place - len(self._codes)))
