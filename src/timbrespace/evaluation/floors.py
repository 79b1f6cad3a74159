"""Floors: what it costs to know nothing, only the pitch, or only linear algebra.

Conventions
-----------
All floors are fitted on training rows and measured like the model, in dB RMSE on the evaluated
rows. A model above the mean sound is broken; at the mean sound it knows nothing; at the mean of
each pitch it knows the pitch it was told and no timbre; PCA of the same size is a linear model with
no limit of rate. The linear code is the best linear model at the rate of the measured one: below it a
network has earned its training time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from timbrespace.errors import TimbrespaceError
from timbrespace.geometry.project import Pca
from timbrespace.geometry.rate import water_level

SIZES = (8, 16, 32, 64)  # numbers per sound that the PCA floors keep
COMPONENTS = 128  # that a linear code may use
PCA_ROWS = 4_000  # training rows for a PCA fit: measured beside all rows, it costs < 1 % of the dB
BATCH = 256

Read = Callable[[np.ndarray], np.ndarray]  # row ids -> pictures (n, mels, frames)


@dataclass(frozen=True)
class Floors:
    """Fitted floors. `by_pitch` is None when the training rows have no pitch. The means are fitted at once,
    the PCAs when they are first asked for."""

    read: Read
    rows: np.ndarray
    pitches: Sequence[int | None]
    pitch_given: bool
    seed: int
    mean: np.ndarray  # (mels, frames)
    by_pitch: dict[int, np.ndarray] | None

    @classmethod
    def fit(
        cls,
        read: Read,
        rows: np.ndarray,
        pitches: Sequence[Any] | None = None,
        *,
        pitch_given: bool = False,
        seed: int = 0,
    ) -> "Floors":
        """Fit on training `rows`, whose pitches (MIDI or None) are given in the same order.

        `pitch_given`: there is also the PCA of what is left when the mean of each pitch is taken away,
        the fair floor of a model that is told the pitch. The PCAs use at most 4,000 rows drawn
        with `seed`; the means use all. TimbrespaceError without rows.
        """
        rows = np.asarray(rows)
        if not len(rows):
            raise TimbrespaceError("there are no training sounds to fit the floors on")
        known = _midi(pitches, len(rows))
        return cls(read, rows, known, pitch_given, seed, *means(read, rows, known))

    @cached_property
    def _some(self) -> np.ndarray:
        """Which of the rows the PCAs see."""
        if len(self.rows) <= PCA_ROWS:
            return np.arange(len(self.rows))
        rng = np.random.default_rng(self.seed)
        return np.sort(rng.choice(len(self.rows), PCA_ROWS, replace=False))

    @property
    def pca_rows(self) -> int:
        """How many rows the PCAs are fitted on."""
        return len(self._some)

    @cached_property
    def pca_given_pitch(self) -> Pca | None:
        if not (self.pitch_given and self.by_pitch):
            return None
        some, own = self.rows[self._some], [self.pitches[i] for i in self._some]
        return Pca.fit_batches(
            lambda: beside_the_pitch(self.read, some, own, self.mean, self.by_pitch),
            COMPONENTS,
            seed=self.seed,
        )

    @cached_property
    def pca(self) -> Pca:
        return Pca.fit_batches(
            lambda: flat(self.read, self.rows[self._some]),
            COMPONENTS if self.pca_given_pitch is None else max(SIZES),
            seed=self.seed,
        )

    def errors(
        self, pictures: np.ndarray, pitches: Sequence[Any] | None = None, *, nats: float = 0.0
    ) -> dict[str, np.ndarray]:
        """Mean squared error per sound (N,) of each floor: "mean_sound", "mean_per_pitch" (when
        there are pitches), "pca_8" ... and "pca_given_pitch_8" ... (when fitted), and "linear_code" at
        a rate of `nats` per sound, beside the mean of each pitch where that is given."""
        flat = pictures.reshape(len(pictures), -1).astype(np.float32)
        known = _midi(pitches, len(pictures))
        result = {"mean_sound": _mse(flat - self.mean.ravel())}
        result |= {f"pca_{k}": e for k, e in _pca_errors(self.pca, flat).items()}
        if self.pca_given_pitch is None:
            result["linear_code"] = _code_errors(self.pca, flat, nats)
        if self.by_pitch is not None:
            rest = _beside(pictures, known, self.by_pitch, self.mean).reshape(len(flat), -1)
            result["mean_per_pitch"] = _mse(rest)
            if self.pca_given_pitch is not None:
                given = _pca_errors(self.pca_given_pitch, rest)
                result |= {f"pca_given_pitch_{k}": e for k, e in given.items()}
                result["linear_code"] = _code_errors(self.pca_given_pitch, rest, nats)
        return result

    def coordinates(
        self, pictures: np.ndarray, pitches: Sequence[Any] | None, components: int
    ) -> dict[str, np.ndarray]:
        """Coordinates (N, components) of pictures on the principal components: "pca", and where it was
        fitted "pca_given_pitch", of what is left beside the mean of each one's pitch."""
        flat = pictures.reshape(len(pictures), -1).astype(np.float32)
        found = {"pca": self.pca.transform(flat, components)}
        if self.pca_given_pitch is not None:
            known = _midi(pitches, len(pictures))
            rest = _beside(pictures, known, self.by_pitch or {}, self.mean).reshape(len(flat), -1)
            found["pca_given_pitch"] = self.pca_given_pitch.transform(rest, components)
        return found


def means(
    read: Read, rows: np.ndarray, pitches: Sequence[int | None]
) -> tuple[np.ndarray, dict[int, np.ndarray] | None]:
    """The mean picture (mels, frames) of rows, at least one, and that of each pitch; None where no
    sound has one."""
    total: np.ndarray | None = None
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    for part, pictures in _read_in_parts(read, rows):
        total = pictures.sum(0, dtype=np.float64) + (0.0 if total is None else total)
        for pitch in {p for p in pitches[part] if p is not None}:
            here = [p == pitch for p in pitches[part]]
            sums[pitch] = sums.get(pitch, 0.0) + pictures[here].sum(0, dtype=np.float64)
            counts[pitch] = counts.get(pitch, 0) + sum(here)
    assert total is not None  # rows are not empty
    mean = (total / len(rows)).astype(np.float32)
    return mean, {p: (sums[p] / counts[p]).astype(np.float32) for p in sums} or None


def flat(read: Read, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Pictures (n, mels * frames) of rows, batch by batch, as `Pca.fit_batches` reads them."""
    for _, pictures in _read_in_parts(read, rows):
        yield pictures.reshape(len(pictures), -1)


def beside_the_pitch(
    read: Read, rows: np.ndarray, pitches: Sequence[int | None], mean: np.ndarray,
    by_pitch: dict[int, np.ndarray] | None,
) -> Iterator[np.ndarray]:  # fmt: skip
    """The same, less the mean of each one's pitch; mean and by_pitch as `means` gives them."""
    for part, pictures in _read_in_parts(read, rows):
        yield _beside(pictures, pitches[part], by_pitch or {}, mean).reshape(len(pictures), -1)


def scale(pictures: np.ndarray, floor_db: float) -> dict[str, float]:
    """The feature's own scale: what one unit is, how much the cells vary, how many are silent."""
    unit = -floor_db / 2.0
    return {
        "db_per_unit": unit,
        "std_db": float(pictures.std(dtype=np.float64)) * unit,
        "share_at_floor": float((pictures <= -1.0).mean()),
    }


def _pca_errors(pca: Pca, flat: np.ndarray) -> dict[int, np.ndarray]:
    # the frame is orthonormal: what k numbers explain is the sum of their squares
    rest = np.square(flat - pca.mean).sum(1, dtype=np.float64)
    explained = np.cumsum(np.square(pca.transform(flat).astype(np.float64)), 1)
    last = explained.shape[1]
    return {
        k: np.maximum(rest - explained[:, min(k, last) - 1], 0.0) / flat.shape[1] for k in SIZES
    }


def _code_errors(pca: Pca, flat: np.ndarray, nats: float) -> np.ndarray:
    """Expected error of the linear Gaussian code at a rate: of a component with variance v above the
    water level beta the share s = 1 - beta / v comes back, with noise of variance s (1 - s) v."""
    beta = water_level(pca.variances, nats)
    share = np.maximum(pca.variances - beta, 0.0) / np.maximum(pca.variances, 1e-30)
    squared = np.square(pca.transform(flat).astype(np.float64))
    rest = np.square(flat - pca.mean).sum(1, dtype=np.float64) - squared.sum(1)
    lost = squared @ np.square(1.0 - share) + (share * (1.0 - share) * pca.variances).sum()
    return (np.maximum(rest, 0.0) + lost) / flat.shape[1]


def _mse(difference: np.ndarray) -> np.ndarray:
    return np.square(difference).mean(1, dtype=np.float64)


def _midi(pitches: Sequence[Any] | None, count: int) -> list[int | None]:
    if pitches is None:
        return [None] * count
    assert len(pitches) == count
    return [None if p is None or p == "" else int(p) for p in pitches]


def _beside(
    pictures: np.ndarray, pitches: Sequence[int | None], table: dict[int, np.ndarray],
    otherwise: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """What is left of pictures (N, mels, frames) beside the mean picture of each one's pitch, of the nearest
    seen pitch (the lower of two) where it is missing, and of everything where the pitch is unknown."""
    seen = np.array(sorted(table))

    def of(pitch: int | None) -> np.ndarray:
        if pitch is None or not len(seen):
            return otherwise
        return table[int(seen[np.abs(seen - pitch).argmin()])]

    rest = np.empty(pictures.shape, np.float32)
    for picture, pitch, out in zip(pictures, pitches, rest, strict=True):
        np.subtract(picture, of(pitch), out=out)
    return rest


def _read_in_parts(read: Read, rows: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    for start in range(0, len(rows), BATCH):
        part = slice(start, min(start + BATCH, len(rows)))
        yield part, np.asarray(read(rows[part]), np.float32)
