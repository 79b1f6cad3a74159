"""The benchmark of timbre dissimilarity: what listeners of 21 studies said of 334 sounds.

Sounds and ratings are those of github.com/tiianhk/timbremetrics, gathered from Thoret, Caramiaux,
Depalle & McAdams 2021 and Vahidi et al. 2020. They have no licence, so nothing of them is here but
the SHA-256 of each file, in `ratings.sha256`, which `sha256sum -c` reads, too.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from timbrespace.audio.files import Audio, read
from timbrespace.errors import CorpusError

LISTING = Path(__file__).with_name("ratings.sha256")
INSIDE = "timbremetrics"  # the folder of a checkout that holds both
SOUNDS, RATINGS, SUFFIX = "sounds", "true_dissim", "_dissimilarity_matrix.txt"


@dataclass(frozen=True)
class Study:
    """One listening test: its sounds' files, sorted by name, and how unlike each pair was rated.

    ratings (n, n): symmetric, 0 on the diagonal, 1 for the most unlike pair.
    """

    name: str
    files: tuple[Path, ...]
    ratings: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    @cached_property
    def sounds(self) -> list[Audio]:
        """The sounds as they were heard, all of one channel at 44.1 kHz; 40 MB in all studies."""
        return [read(file) for file in self.files]

    def samples(self, sample_rate: int) -> list[np.ndarray]:
        """The sounds (n,) at a rate."""
        return [sound.at(sample_rate).mono() for sound in self.sounds]


def read_studies(folder: str | Path) -> tuple[Study, ...]:
    """The studies of a checkout of the benchmark, or of its inner folder; sorted by name.

    CorpusError where a file of LISTING is missing or is not the one whose SHA-256 stands there.
    """
    root = Path(folder)
    root = root / INSIDE if (root / INSIDE).is_dir() else root
    listed = [line.split("  ", 1) for line in LISTING.read_text(encoding="utf-8").splitlines()]
    if not (root / RATINGS).is_dir() or not (root / SOUNDS).is_dir():
        raise CorpusError(
            f"{folder} is no checkout of the benchmark: it has no folders {SOUNDS} and {RATINGS}; "
            "get it with: git clone https://github.com/tiianhk/timbremetrics"
        )
    for digest, name in listed:
        try:
            found = hashlib.sha256((root / name).read_bytes()).hexdigest()
        except OSError as error:
            raise CorpusError(
                f"{root / name} cannot be read ({error.strerror}); the benchmark has {len(listed)} "
                "files, get it anew with: git clone https://github.com/tiianhk/timbremetrics"
            ) from None
        if found != digest:
            raise CorpusError(
                f"{root / name} is not the benchmark's: its SHA-256 begins with {found[:8]}, expected "
                f"{digest[:8]}; scores of other sounds or ratings would not compare"
            )
    sounds: dict[str, list[Path]] = {}
    ratings: dict[str, Path] = {}
    for _, name in listed:
        kind, study, *_ = name.split("/")
        if kind == RATINGS:
            ratings[study.removesuffix(SUFFIX)] = root / name
        else:
            sounds.setdefault(study, []).append(root / name)
    return tuple(
        Study(study, tuple(sorted(sounds[study])), _symmetric(np.loadtxt(ratings[study])))
        for study in sorted(ratings)
    )


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    """The upper triangle of a matrix on both sides, the largest rating being 1."""
    upper = np.triu(matrix, 1)
    return (upper + upper.T) / upper.max()


def related(studies: Sequence[Study]) -> list[tuple[int, ...]]:
    """Numbers of the studies that have to be held out together: those of one publication (Iverson &
    Krumhansl rated parts of the same notes), and those that share a sound."""
    digests = [{hashlib.sha256(f.read_bytes()).digest() for f in study.files} for study in studies]
    group = list(range(len(studies)))
    for one in range(len(studies)):
        for other in range(one):
            together = studies[one].name.split("_")[0] == studies[other].name.split("_")[0]
            if together or digests[one] & digests[other]:
                group = [group[other] if g == group[one] else g for g in group]
    return [tuple(i for i, g in enumerate(group) if g == one) for one in dict.fromkeys(group)]
