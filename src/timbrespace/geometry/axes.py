"""Directions of a latent table along which something grows, and how well they do what they say.

Conventions
-----------
Points are (N, Z), values (N,), NaN where a point has none. What is known beside the points, such as a
pitch, is taken away from points and values first (`rest`), so that a direction is one at equal pitch.
An axis is fitted on some points and measured on others, of other instruments where they can be told
apart. One step is one standard deviation of the space along the axis, taken the way the space itself
varies: of all points where the axis' coordinate is one higher, the mean (Haufe et al. 2014). For a
value of 0 and 1 that is Fisher's discriminant, and the step leads from one mean towards the other.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from timbrespace.errors import TimbrespaceError
from timbrespace.geometry.neighbours import nearest

PENALTIES = 10.0 ** np.arange(-4.0, 2.0)  # of the ridge, times the points' whole variance
FOLDS = 5  # that choose among them
LEAST = 20  # points with a value
NEIGHBOURS = 10  # whose mean is the local guess


@dataclass(frozen=True)
class Axis:
    """weights (Z,): `points @ weights` is the coordinate, in standard deviations. step (Z,): what takes a
    point one standard deviation up. slope: how much the value grows with that."""

    weights: np.ndarray
    step: np.ndarray
    slope: float

    def guess(self, points: np.ndarray) -> np.ndarray:
        """The values (N,) that a line in the coordinate gives points (N, Z)."""
        return self.slope * (points @ self.weights)


def design(numbers: Sequence[float | None] | None, count: int) -> np.ndarray:
    """What is held: one, and the first three powers of a number such as the pitch, (count, 1 or 4)."""
    one = np.ones((count, 1))
    known = None if numbers is None else np.array(
        [np.nan if n is None else float(n) for n in numbers]
    )  # fmt: skip
    if known is None or np.isnan(known).all():
        return one
    at = np.nan_to_num((known - 60.0) / 24.0)
    return np.column_stack([one, at, at**2, at**3])


def rest(
    there: np.ndarray, held_there: np.ndarray, here: np.ndarray, held_here: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Tables there (N, D) and here (M, D) less what least squares over `there` foretell of them from
    what is held, (N, C) and (M, C). A column's missing values (NaN) stay missing; they teach nothing."""
    there, here = np.asarray(there, np.float64), np.asarray(here, np.float64)
    known = np.isfinite(there)
    if known.all():
        lines = np.linalg.lstsq(held_there, there, rcond=None)[0]
    else:
        each = [
            np.linalg.lstsq(held_there[k], column[k], rcond=None)[0]
            for column, k in zip(there.T, known.T, strict=True)
        ]
        lines = np.array(each).T
    return there - held_there @ lines, here - held_here @ lines


def fit(points: np.ndarray, values: np.ndarray, groups: Sequence[Hashable] | None = None) -> Axis:
    """The axis along which values (N,) grow over points (N, Z), both as `rest` gives them.

    Ridge regression (Hoerl & Kennard 1970) with the penalty that foretells held-out groups best.
    TimbrespaceError for numbers that are not finite, under 20 values, and where points or values are all
    the same.
    """
    points, values = np.asarray(points, np.float64), np.asarray(values, np.float64)
    if points.ndim != 2 or values.shape != points.shape[:1]:
        raise TimbrespaceError(
            f"an axis wants points (N, Z) and values (N,), got {points.shape} and {values.shape}"
        )
    if not np.isfinite(points).all():
        raise TimbrespaceError("the points hold numbers that are not finite; the run has diverged")
    known = np.isfinite(values)
    if known.sum() < LEAST:
        raise TimbrespaceError(f"only {int(known.sum())} sounds have it, and {LEAST} are needed")
    x = points[known] - points[known].mean(0)
    y = values[known] - values[known].mean()
    total = float(np.square(x).sum())
    if total < 1e-12 * len(x):
        raise TimbrespaceError("all points of the space are the same")
    if np.ptp(y) < 1e-9 * max(1.0, float(np.abs(values[known]).max())):
        raise TimbrespaceError("all sounds have the same value of it")
    fold = _folds(
        None if groups is None else [g for g, k in zip(groups, known, strict=True) if k], len(x)
    )
    errors = np.zeros(len(PENALTIES))
    for one in np.unique(fold):
        out = fold == one
        found = _ridge(x[~out], y[~out], PENALTIES * total)
        errors += np.square(y[out, None] - x[out] @ found.T).sum(0)
    weights = _ridge(x, y, PENALTIES * total)[int(errors.argmin())]
    pattern = x.T @ (x @ weights) / len(x)
    deviation = float(np.sqrt(weights @ pattern))
    if deviation <= 0.0:
        raise TimbrespaceError("no direction of the space goes with it")
    return Axis(
        weights / deviation, pattern / deviation, float(np.mean(x @ weights * y)) / deviation
    )


def local_guess(there: np.ndarray, values: np.ndarray, here: np.ndarray) -> np.ndarray:
    """Values (M,) of points here (M, Z): the mean of the ten nearest points there (N, Z) with a value."""
    known = np.isfinite(values)
    return values[known][nearest(there[known], here, NEIGHBOURS)[1]].mean(1)


def explained(values: np.ndarray, guess: np.ndarray) -> float:
    """R²: the share of the squares of values (N,), which are as `rest` gives them, that a guess takes
    away. 1 where it is right, 0 for knowing nothing, below where it is worse than that. NaN without
    values, or where all are the same."""
    known = np.isfinite(values)
    total = float(np.square(values[known]).sum())
    return 1.0 - float(np.square(values - guess)[known].sum()) / total if total > 0.0 else np.nan


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rho of two lists (N,), pairs with a NaN left out; 0 where one does not change, NaN for
    fewer than two pairs."""
    from scipy.stats import rankdata

    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 2:
        return np.nan
    a, b = (rankdata(v[both]) - (both.sum() + 1) / 2.0 for v in (one, other))
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0.0 else 0.0


def monotonicity(values: np.ndarray) -> np.ndarray:
    """Of each sound (S,), Spearman's rho between the steps along an axis and what was measured after
    each, values (S, T): 1 where every step raises it, -1 where every step lowers it, 0 where it
    does not move; NaN where a value is missing."""
    steps = np.arange(values.shape[1], dtype=float)
    return np.array([
        rank_correlation(steps, one) if np.isfinite(one).all() else np.nan for one in values
    ])  # fmt: skip


def gain(steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How much each sound's values (S, T) grow per step: the least-squares slopes (S,) over steps (T,);
    NaN where a value is missing."""
    centred = steps - steps.mean()
    return values @ centred / (centred @ centred)


def _ridge(x: np.ndarray, y: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Weights (P, Z) of centred points (N, Z) for each penalty."""
    strength, turn = np.linalg.eigh(x.T @ x)
    wanted = turn.T @ (x.T @ y)
    return (wanted / (np.maximum(strength, 0.0) + penalties[:, None])) @ turn.T


def _folds(groups: Sequence[Hashable] | None, count: int) -> np.ndarray:
    """The fold (count,) of each point: whole groups together, every fifth of them."""
    if groups is None or len(set(groups)) < 2:
        return np.arange(count) % FOLDS
    number = {group: i % FOLDS for i, group in enumerate(dict.fromkeys(groups))}
    return np.array([number[group] for group in groups])
