"""Distortion: how far the decoded pictures lie from the originals.

Conventions
-----------
Pictures are arrays (N, mels, frames), one per sound, normalised to [-1, 1]: -1 is the feature's
floor, 1 the sound's loudest cell. With a floor of -80 dB one unit is 40 dB. Nothing is clipped
before it is compared. The figure of a set is the root of the mean squared error over all its
cells (never the mean of the roots), so that figures of parts add up as powers do.
Perfect: 0. A picture that says "silence" for a sound at full level everywhere: 80 dB.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from timbrespace.errors import TimbrespaceError

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


def loud_cells(original: np.ndarray, made: np.ndarray, floor_db: float) -> np.ndarray:
    """Of the cells within 30 dB of their sound's loudest: how many, sum and sum of squares of the
    errors in dB (made minus original), for each sound (N, 3)."""
    validate(original, made)
    unit = db_per_unit(floor_db)
    loud = original >= 1.0 - LOUD_DB / unit
    error = np.where(loud, (np.asarray(made, np.float64) - original) * unit, 0.0)
    return np.stack([loud.sum((1, 2)), error.sum((1, 2)), np.square(error).sum((1, 2))], 1)


def evaluate_loud(cells: np.ndarray) -> dict[str, float]:
    """RMSE and mean error (negative: too soft) in dB over all loud cells of `loud_cells` (N, 3)."""
    count, error, squared = cells.sum(0)
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


def per_label(
    labels: Sequence[Any], floor_db: float, errors: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """{label: {"sounds", name: rmse_db, ...}} for errors {name: mse per sound (N,)}.

    Labels in the order of their names; sounds without a label (None, "") are left out.
    """
    names = np.array(["" if label is None else str(label) for label in labels])
    table: dict[str, dict[str, float]] = {}
    for label in sorted(set(names) - {""}):
        here = names == label
        table[label] = {"sounds": int(here.sum())} | {
            name: rmse_db(mse[here], floor_db) for name, mse in errors.items()
        }
    return table


def evaluate(mse: np.ndarray, mse_at_mean: np.ndarray, floor_db: float) -> dict[str, float]:
    """The distortion of a set from the errors of its sounds, z sampled and z = mu."""
    spread = np.sqrt(mse) * db_per_unit(floor_db)
    return {
        "mse": float(mse.mean()),
        "rmse_db": rmse_db(mse, floor_db),
        "mse_at_mean": float(mse_at_mean.mean()),
        "rmse_db_at_mean": rmse_db(mse_at_mean, floor_db),
        "median_sound_rmse_db": float(np.median(spread)),
        "best_sound_rmse_db": float(spread.min()),
        "worst_sound_rmse_db": float(spread.max()),
    }
