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

Places = str | Path | Sequence[str | Path]


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

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """All numbers in random order, of which the first are of the places as often as `draw` draws them."""
        drawn = rng.permutation(len(self))
        rank = np.empty(len(self))
        for place in np.unique(self.place):
            own = drawn[self.place[drawn] == place]
            rank[own] = np.arange(len(own)) / np.sqrt(len(own))
        return drawn[np.argsort(rank[drawn], kind="stable")]

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


def each_of(places: Places) -> list[str | Path]:
    """One place or several as a list."""
    return [places] if isinstance(places, (str, Path)) else list(places)


def recordings(places: Places, sample_rate: int, *, held_out: str = "valid") -> Split:
    """Those of corpora, split as they are (`held_out`: valid or test), or of folders of sounds; of one
    place or of several.

    Of a folder whose layout says nothing of splits every tenth instrument is held out, or every tenth
    file where instruments are unknown. CorpusError where a place has nothing to learn from, or nothing
    is held out in any.
    """
    found: list[tuple[Part, Part]] = []
    about = []
    for place in each_of(places):
        known = is_address(place) or (Path(place) / "corpus.json").is_file()
        name, train, valid = (_of_corpus if known else _of_folder)(place, sample_rate, held_out)
        if not len(train.pitch):
            raise CorpusError(
                f"{place} has no sounds to learn from; give more sounds, or leave it out"
            )
        found.append((train, valid))
        about.append(f"{len(train.pitch)} recordings of {name}")
    if not found:
        raise CorpusError("no recordings are given; give a corpus or a folder of sounds")
    train, valid = (_gathered(parts, sample_rate) for parts in zip(*found, strict=True))
    if not len(valid):
        raise CorpusError(
            f"of {len(train)} sounds in {', '.join(map(str, each_of(places)))} none are held out to "
            "measure with; give more sounds"
        )
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


def _of_corpus(
    place: str | Path, sample_rate: int, held_out: str
) -> tuple[str, Part, Part]:  # fmt: skip
    corpus = Corpus.open(place)
    known = corpus.labels("pitch") if "pitch" in corpus.label_names else [None] * len(corpus.rows)

    def part(rows: np.ndarray) -> Part:
        return Part(
            _pitches([known[row] for row in rows]),
            lambda i: corpus.audio(int(rows[i]), sample_rate=sample_rate).mono(),
        )

    train, valid = (part(corpus.split_rows(split)) for split in ("train", held_out))
    return Path(corpus.root).name, train, valid


def _of_folder(
    place: str | Path, sample_rate: int, held_out: str
) -> tuple[str, Part, Part]:  # fmt: skip
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

    return Path(place).resolve().name, part(train), part(valid)


def _pitches(labels: list) -> np.ndarray:
    return np.array([UNKNOWN if label is None else float(label) for label in labels], np.float32)
