"""The recordings that a vocoder learns from: those of corpora and of folders of sounds."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from timbrespace.audio.files import read
from timbrespace.data.corpus import Corpus
from timbrespace.data.sources import Listed, list_source
from timbrespace.data.storage import is_address
from timbrespace.errors import CorpusError

KEPT = 2**30  # bytes of samples kept in memory; the rest is read again each time
ONE_IN = 10  # of a folder's instruments, or files, is held out
UNKNOWN = -1.0  # a pitch that is not known


@dataclass
class Recordings:
    """Sounds by number: `samples(i)` (n,) float32 at `sample_rate` Hz, and pitch (N,) in MIDI numbers,
    -1 where unknown. place (N,): which of the places that it was gathered from a sound comes from."""

    sample_rate: int
    pitch: np.ndarray
    reader: Callable[[int], np.ndarray]
    place: np.ndarray
    kept: dict[int, np.ndarray] = field(default_factory=dict)
    bytes: int = 0

    def __len__(self) -> int:
        return len(self.pitch)

    @cached_property
    def _until(self) -> np.ndarray:
        """Up to which number in [0, 1) each sound is drawn."""
        chance = 1.0 / np.sqrt(np.bincount(self.place))[self.place]
        return np.cumsum(chance / chance.sum())

    def draw(self, rng: np.random.Generator) -> int:
        """A sound by chance: a place as often as the root of its number of sounds, so that a small one
        is heard beside a large one; within a place all alike."""
        found = np.searchsorted(self._until, rng.random(), side="right")
        return min(int(found), len(self) - 1)

    def samples(self, number: int) -> np.ndarray:
        found = self.kept.get(number)
        if found is None:
            found = np.ascontiguousarray(self.reader(number), np.float32)
            if self.bytes + found.nbytes <= KEPT:
                self.kept[number], self.bytes = found, self.bytes + found.nbytes
        return found


@dataclass(frozen=True)
class Split:
    """Recordings to learn from, recordings of instruments that are held out, and what they are."""

    train: Recordings
    valid: Recordings
    about: str


def recordings(
    places: str | Path | Sequence[str | Path], sample_rate: int, *, held_out: str = "valid"
) -> Split:  # fmt: skip
    """Those of corpora, split as they are (`held_out`: valid or test), or of folders of sounds; of one
    place or of several.

    Of a folder whose layout says nothing of splits every tenth instrument is held out, or every tenth
    file where instruments are unknown. CorpusError where either part would be empty.
    """
    places = [places] if isinstance(places, (str, Path)) else list(places)
    found = []
    for place in places:
        known = is_address(place) or (Path(place) / "corpus.json").is_file()
        found.append((_of_corpus if known else _of_folder)(place, sample_rate, held_out))
    train, valid = (_gathered(parts, sample_rate) for parts in zip(*found, strict=True))
    if not len(train) or not len(valid):
        raise CorpusError(
            f"{' and '.join(map(str, places))} has {len(train)} sounds to learn from and {len(valid)} "
            "held out; both are needed: give more sounds"
        )
    counts = np.bincount(train.place, minlength=len(places))
    names = (Path(place).name for place in places)
    about = (f"{n} recordings of {name}" for n, name in zip(counts, names, strict=True))
    return Split(train, valid, ", ".join(about))


class Part(NamedTuple):
    """What one place has to learn from, or held out: pitches (N,), and who reads a sound by number."""

    pitch: np.ndarray
    reader: Callable[[int], np.ndarray]


def _gathered(parts: Sequence[Part], sample_rate: int) -> Recordings:
    counts = [len(part.pitch) for part in parts]
    begins = np.cumsum([0, *counts])
    place = np.repeat(np.arange(len(parts)), counts)
    return Recordings(
        sample_rate, np.concatenate([part.pitch for part in parts]),
        lambda i: parts[place[i]].reader(i - int(begins[place[i]])), place,
    )  # fmt: skip


def _of_corpus(place: str | Path, sample_rate: int, held_out: str) -> tuple[Part, Part]:
    corpus = Corpus.open(place)
    known = corpus.labels("pitch") if "pitch" in corpus.label_names else [None] * len(corpus.rows)

    def part(rows: np.ndarray) -> Part:
        return Part(
            _pitches([known[row] for row in rows]),
            lambda i: corpus.audio(int(rows[i]), sample_rate=sample_rate).mono(),
        )

    return part(corpus.split_rows("train")), part(corpus.split_rows(held_out))


def _of_folder(place: str | Path, sample_rate: int, held_out: str) -> tuple[Part, Part]:
    source = list_source(Path(place), "auto", None)
    train, valid = [], []
    for one in source.files:
        name = str(one.labels.get("instrument") or one.file)
        tenth = int(hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8], 16) % ONE_IN
        split = one.split or (held_out if tenth == 0 else "train")
        if split in ("train", held_out):
            (train if split == "train" else valid).append(one)

    def part(files: list[Listed]) -> Part:
        return Part(
            _pitches([one.labels.get("pitch") for one in files]),
            lambda i: read(source.root / files[i].file, sample_rate=sample_rate).mono(),
        )

    return part(train), part(valid)


def _pitches(labels: list) -> np.ndarray:
    return np.array([UNKNOWN if label is None else float(label) for label in labels], np.float32)
