"""Sound that lies on disk while it is worked on, so that its length costs no memory.

A `Scratch` is read, appended to and overwritten by slices, as an array is; what takes `Samples` takes either,
and reads it in `spans`. Its file has no name, so nothing is left of it however a program ends.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

SPAN = 1 << 18  # samples worked on at once: 16 s at 16 kHz


class Scratch:
    """Samples (n,) float32 in a nameless file in `folder`; OSError where that is full or not there."""

    def __init__(self, folder: str | Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._count = 0

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray], folder: str | Path) -> "Scratch":
        """That of all blocks (n,), one after the other."""
        made = cls(folder)
        for block in blocks:
            made.append(block)
        return made

    def __len__(self) -> int:
        return self._count

    def append(self, block: np.ndarray) -> None:
        """Go on with a block (n,)."""
        self._write(self._count, block)
        self._count += len(block)

    def __getitem__(self, span: slice) -> np.ndarray:
        start, stop, _ = span.indices(self._count)
        self._file.seek(4 * start)
        return np.frombuffer(bytearray(self._file.read(4 * max(0, stop - start))), np.float32)

    def __setitem__(self, span: slice, samples: np.ndarray) -> None:
        self._write(span.indices(self._count)[0], samples)

    def _write(self, start: int, samples: np.ndarray) -> None:
        self._file.seek(4 * start)
        self._file.write(np.asarray(samples, np.float32).tobytes())


Samples = np.ndarray | Scratch  # (n,)
Kept = TypeVar("Kept", np.ndarray, Scratch)
# what makes one sound of blocks (n,): `whole`, `Scratch.of`
Keep = Callable[[Iterable[np.ndarray]], Kept]


@dataclass(frozen=True)
class Channels:
    """Samples of equal length as one sound: a slice is (channels, n), mixed by `mix` where there is one."""

    each: Sequence[Samples]
    mix: np.ndarray | None = None

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray], count: int, folder: str | Path) -> "Channels":
        """That of `count` channels in blocks (count, n), one after the other, on disk in `folder`."""
        each = [Scratch(folder) for _ in range(count)]
        for block in blocks:
            for channel, samples in zip(each, block, strict=True):
                channel.append(samples)
        return cls(each)

    def __len__(self) -> int:
        return len(self.each[0])

    def __getitem__(self, span: slice) -> np.ndarray:
        samples = np.stack([one[span] for one in self.each])
        return samples if self.mix is None else (self.mix @ samples).astype(np.float32)


def spans(count: int, size: int | None = None) -> Iterator[slice]:
    """What `count` samples are worked on in, SPAN of them at a time or `size`."""
    size = SPAN if size is None else size
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def whole(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """All blocks (n,) as an array, for sounds that are short."""
    return np.concatenate(list(blocks))


def scale(samples: Samples, gain: float | np.floating) -> None:
    """Make samples louder, where they are, by a factor."""
    for span in spans(len(samples)):
        samples[span] = samples[span] * np.float32(gain)


def peak(samples: Samples) -> float:
    """The largest absolute sample; 0 of none, NaN where one is."""
    most = [np.abs(samples[span]).max(initial=0.0) for span in spans(len(samples))]
    return float(np.max(most, initial=0.0))
