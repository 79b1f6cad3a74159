"""The recordings that a vocoder learns from: those of a corpus, or of a folder of sounds."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from timbrespace.audio.files import read
from timbrespace.data.corpus import Corpus
from timbrespace.data.sources import list_source
from timbrespace.data.storage import is_address
from timbrespace.errors import CorpusError

KEPT = 2**30  # bytes of samples kept in memory; the rest is read again each time
ONE_IN = 10  # of a folder's instruments, or files, is held out
UNKNOWN = -1.0  # a pitch that is not known


@dataclass
class Recordings:
    """Sounds by number: `samples(i)` (n,) float32 at `sample_rate` Hz, and pitch (N,) in MIDI numbers,
    -1 where unknown."""

    sample_rate: int
    pitch: np.ndarray
    reader: Callable[[int], np.ndarray]
    kept: dict[int, np.ndarray] = field(default_factory=dict)
    bytes: int = 0

    def __len__(self) -> int:
        return len(self.pitch)

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


def recordings(place: str | Path, sample_rate: int, *, held_out: str = "valid") -> Split:
    """Those of a corpus, split as it is (`held_out`: valid or test), or of a folder of sounds.

    Of a folder whose layout says nothing of splits every tenth instrument is held out, or every tenth
    file where instruments are unknown. CorpusError where either part would be empty.
    """
    if is_address(place) or (Path(place) / "corpus.json").is_file():
        split = _of_corpus(Corpus.open(place), sample_rate, held_out)
    else:
        split = _of_folder(Path(place), sample_rate, held_out)
    if not len(split.train) or not len(split.valid):
        raise CorpusError(
            f"{place} has {len(split.train)} sounds to learn from and {len(split.valid)} held out; "
            "both are needed: give more sounds"
        )
    return split


def _of_corpus(corpus: Corpus, sample_rate: int, held_out: str) -> Split:
    known = corpus.labels("pitch") if "pitch" in corpus.label_names else [None] * len(corpus.rows)

    def part(rows: np.ndarray) -> Recordings:
        return Recordings(
            sample_rate, _pitches([known[row] for row in rows]),
            lambda i: corpus.audio(int(rows[i]), sample_rate=sample_rate).mono(),
        )  # fmt: skip

    train, valid = corpus.split_rows("train"), corpus.split_rows(held_out)
    return Split(part(train), part(valid), f"{len(train)} recordings of {Path(corpus.root).name}")


def _of_folder(folder: Path, sample_rate: int, held_out: str) -> Split:
    source = list_source(folder, "auto", None)
    train, valid = [], []
    for one in source.files:
        name = str(one.labels.get("instrument") or one.file)
        tenth = int(hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8], 16) % ONE_IN
        split = one.split or (held_out if tenth == 0 else "train")
        if split in ("train", held_out):
            (train if split == "train" else valid).append(one)

    def part(files: list) -> Recordings:
        return Recordings(
            sample_rate, _pitches([one.labels.get("pitch") for one in files]),
            lambda i: read(source.root / files[i].file, sample_rate=sample_rate).mono(),
        )  # fmt: skip

    return Split(part(train), part(valid), f"{len(train)} recordings of {folder.name}")


def _pitches(labels: list) -> np.ndarray:
    return np.array([UNKNOWN if label is None else float(label) for label in labels], np.float32)
