"""Distortion: how far the decoded pictures lie from the originals.

Conventions
-----------
Pictures are arrays (N, mels, frames), one per sound, normalised to [-1, 1]: -1 is the feature's
floor, 1 the sound's loudest cell. With a floor of -80 dB one unit is 40 dB. Nothing is clipped
before it is compared. The figure of a set is the root of the mean squared error over all its
cells (never the mean of the roots), so that figures of parts add up as powers do.
Perfect: 0. A picture that says "silence" for a sound at full level everywhere: 80 dB.
Three more figures of the field stand beside (`NAMES`), means over sounds. Intervals are those of
`statistics.interval`, by the groups that are given: instruments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation.statistics import Groups, interval

NAMES = ("cosine", "lsd_db", "l1_db")
LOUD_DB = 30.0  # cells that are at most so far below the loudest make most of what is heard


def validate(original: np.ndarray, made: np.ndarray) -> None:
    """TimbrespaceError unless both are finite pictures (N, mels, frames) of one shape."""
    if original.shape != made.shape or original.ndim != 3 or not original.size:
        raise TimbrespaceError(
            f"originals {original.shape} and reconstructions {made.shape} should both be "
            "(sounds, mels, frames) and not empty"
        )
    if not np.isfinite(original).all():
        raise TimbrespaceError("an original picture is not finite; prepare the corpus again")
    if not np.isfinite(made).all():
        raise TimbrespaceError("the model decodes numbers that are not finite; it has diverged")


def mse_per_sound(original: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Mean squared error of each sound (N,), in squared units of the normalised picture."""
    validate(original, made)
    error = np.asarray(made, np.float32) - np.asarray(original, np.float32)
    return np.square(error).mean((1, 2), dtype=np.float64)


def figures(original: np.ndarray, made: np.ndarray, floor_db: float) -> np.ndarray:
    """`NAMES` of each sound (N, 3).

    cosine: of the angle between both pictures in dB above the floor, which is the picture between 0
    and 1 up to a factor: perfect 1, of silence 0. lsd_db: log-spectral distance (Gray & Markel 1976),
    the mean over frames of the root mean square over a frame's cells. l1_db: the mean absolute error;
    of log-mel pictures it is the mel distance, 20 times that in log10 of magnitudes. Both: perfect 0.
    """
    validate(original, made)
    unit = db_per_unit(floor_db)
    one, other = np.asarray(original, np.float32) + 1.0, np.asarray(made, np.float32) + 1.0
    both, own, its = (
        (a * b).sum((1, 2), dtype=np.float64) for a, b in ((one, other), (one, one), (other, other))
    )
    sizes = np.sqrt(own * its)
    alike = (own == its).astype(float)  # of silence and silence 1, of silence and sound 0
    cosine = np.divide(both, sizes, out=alike, where=sizes > 0.0)
    error = (other - one) * unit
    lsd = np.sqrt(np.square(error).mean(1, dtype=np.float64)).mean(1)
    return np.stack([cosine, lsd, np.abs(error).mean((1, 2), dtype=np.float64)], 1)


def loud_cells(original: np.ndarray, made: np.ndarray, floor_db: float) -> np.ndarray:
    """Of the cells within 30 dB of their sound's loudest: how many, sum and sum of squares of the
    errors in dB (made minus original), for each sound (N, 3)."""
    validate(original, made)
    unit = db_per_unit(floor_db)
    loud = original >= 1.0 - LOUD_DB / unit
    error = np.where(loud, (np.asarray(made, np.float64) - original) * unit, 0.0)
    return np.stack([loud.sum((1, 2)), error.sum((1, 2)), np.square(error).sum((1, 2))], 1)


def evaluate_loud(cells: np.ndarray) -> dict[str, float | None]:
    """RMSE and mean error (negative: too soft) in dB over all loud cells of `loud_cells` (N, 3); None where
    all sounds are silent."""
    count, error, squared = cells.sum(0)
    if not count:
        return {"loud_rmse_db": None, "loud_bias_db": None}
    return {
        "loud_rmse_db": float(np.sqrt(squared / count)), "loud_bias_db": float(error / count)
    }  # fmt: skip


def db_per_unit(floor_db: float) -> float:
    """Decibels of one unit of the normalised picture: 40 for a floor of -80 dB."""
    return -floor_db / 2.0


def rmse_db(mse: np.ndarray | float, floor_db: float) -> float:
    """Root mean squared error in dB of sounds whose errors are `mse` (N,) or one number."""
    return float(np.sqrt(np.mean(mse)) * db_per_unit(floor_db))


def extremes(mse: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the best and of the worst `count` sounds, the most extreme first; no overlap."""
    order = np.argsort(mse, kind="stable")
    count = min(count, len(mse) // 2)
    return order[:count], order[::-1][:count]


@dataclass
class Closeness:
    """How near pictures came to their originals, of sounds that pass by in batches: figures of each
    sound, and the errors of each cell of the picture summed over sounds."""

    floor_db: float
    _each: list[np.ndarray] = field(default_factory=list)
    _loud: list[np.ndarray] = field(default_factory=list)
    _error: np.ndarray | float = 0.0  # (mels, frames)
    _squared: np.ndarray | float = 0.0

    def add(self, original: np.ndarray, made: np.ndarray) -> None:
        """A batch of pictures (N, mels, frames)."""
        self._each.append(figures(original, made, self.floor_db))
        self._loud.append(loud_cells(original, made, self.floor_db))
        error = np.asarray(made, np.float32) - np.asarray(original, np.float32)
        self._error = self._error + error.sum(0, dtype=np.float64)
        self._squared = self._squared + np.square(error).sum(0, dtype=np.float64)

    @property
    def each(self) -> np.ndarray:
        """`NAMES` of each sound (N, 3)."""
        return np.concatenate(self._each)

    def evaluate(self, groups: Groups | None = None, *, rng: np.random.Generator) -> dict[str, Any]:
        """Means of `NAMES` with their intervals, and what the loud cells say."""
        found: dict[str, Any] = {}
        for name, values in zip(NAMES, self.each.T, strict=True):
            found[name] = float(values.mean())
            found[f"{name}_interval"] = interval(values, groups, rng=rng)
        return found | evaluate_loud(np.concatenate(self._loud))

    def along(self, axis: int) -> dict[str, np.ndarray]:
        """RMSE and mean error (negative: too soft) in dB of each row (axis 0) or frame (axis 1)."""
        unit, count = db_per_unit(self.floor_db), len(self.each)
        squared = np.asarray(self._squared).mean(1 - axis) / count
        bias = np.asarray(self._error).mean(1 - axis) / count
        return {"rmse_db": np.sqrt(squared) * unit, "bias_db": bias * unit}


def rmse_db_interval(
    mse: np.ndarray, groups: Groups | None, floor_db: float, *, rng: np.random.Generator
) -> tuple[float, float] | None:
    """The interval of `rmse_db`: the roots of the ends of that of its square; None for one group."""
    ends = interval(mse, groups, rng=rng)
    return None if ends is None else (rmse_db(ends[0], floor_db), rmse_db(ends[1], floor_db))


def registers(pitches: Sequence[int | float | None]) -> list[str | None]:
    """The octave of each MIDI pitch, C4 being 60, as "C4 to B4"; None where there is no pitch."""
    octaves = [None if p is None else round(p) // 12 - 1 for p in pitches]
    return [None if octave is None else f"C{octave} to B{octave}" for octave in octaves]


def per_label(
    labels: Sequence[Any],
    floor_db: float,
    errors: dict[str, np.ndarray],
    groups: Sequence[Any] | None = None,
    *,
    rng: np.random.Generator,
) -> dict[str, dict[str, Any]]:
    """{label: {"sounds", name: rmse_db, ..., "rmse_db_interval"}} for errors {name: mse (N,)}, the
    interval that of the first of them by `groups`.

    Labels in the order of their names; sounds without a label (None, "") are left out.
    """
    names = np.array(["" if label is None else str(label) for label in labels])
    table: dict[str, dict[str, Any]] = {}
    for label in sorted(set(names) - {""}):
        at = np.flatnonzero(names == label).tolist()
        table[label] = {"sounds": len(at)} | {
            name: rmse_db(mse[at], floor_db) for name, mse in errors.items()
        }
        own = None if groups is None else [groups[i] for i in at]
        first = next(iter(errors.values()))
        table[label]["rmse_db_interval"] = rmse_db_interval(first[at], own, floor_db, rng=rng)
    return table


def evaluate(
    mse: np.ndarray, mse_at_mean: np.ndarray, floor_db: float, groups: Groups | None = None, *,
    rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    """The distortion of a set from the errors of its sounds, z sampled and z = mu."""
    spread = np.sqrt(mse) * db_per_unit(floor_db)
    return {
        "mse": float(mse.mean()),
        "rmse_db": rmse_db(mse, floor_db),
        "rmse_db_interval": rmse_db_interval(mse, groups, floor_db, rng=rng),
        "mse_at_mean": float(mse_at_mean.mean()),
        "rmse_db_at_mean": rmse_db(mse_at_mean, floor_db),
        "rmse_db_at_mean_interval": rmse_db_interval(mse_at_mean, groups, floor_db, rng=rng),
        "median_sound_rmse_db": float(np.median(spread)),
        "best_sound_rmse_db": float(spread.min()),
        "worst_sound_rmse_db": float(spread.max()),
    }
