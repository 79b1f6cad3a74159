"""Whether sounds of one label lie near each other: silhouettes, neighbours and what they say.

Conventions
-----------
Labels are numbers (N,), -1 where unknown. Every function is told which pairs (N, M) are compared at all:
a sound never with itself, and never with what would give the answer away. Silhouettes lie in [-1, 1]:
perfect 1, worst -1, and of labels that mean nothing not 0 but below it, since the nearest of many other
labels is nearer than one's own by chance. Shares of right neighbours: perfect 1, worst that of always
naming the commonest label.
"""

import numpy as np

from timbrespace.evaluation.views import validate

NEIGHBOURS = 5


def distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean distances (N, M) float32 of points (N, D) from others (M, D)."""
    validate(points, others)
    centre = others.mean(0, dtype=np.float64)
    one, other = points - centre, others - centre
    square = np.square(one).sum(1)[:, None] + np.square(other).sum(1) - 2.0 * (one @ other.T)
    return np.sqrt(np.maximum(square, 0.0)).astype(np.float32)


def silhouettes(
    distances: np.ndarray, own: np.ndarray, others: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """The silhouette (b - a) / max(a, b) of each of N sounds (Rousseeuw 1987), NaN where it has none.

    own (N,), others (M,): labels as numbers. a: mean distance from the others of the same label, b:
    from those of the nearest other label, over the pairs `allowed` (N, M). With all pairs but each
    sound with itself, this is the usual silhouette.
    """
    names = np.unique(others)
    member = (others[:, None] == names).astype(np.float32)
    counts = allowed.astype(np.float32) @ member
    means = np.where(allowed, distances, np.float32(0.0)) @ member / np.maximum(counts, 1.0)
    means = np.where(counts > 0, means, np.inf)
    mine = own[:, None] == names
    a = np.where(mine, means, 0.0).sum(1)
    b = np.where(mine, np.inf, means).min(1)
    known = mine.any(1) & np.isfinite(a) & np.isfinite(b)
    larger = np.maximum(a, b)
    with np.errstate(invalid="ignore"):
        found = np.where(larger > 0, (b - a) / larger, 0.0)
    return np.where(known, found, np.nan)


def near(distances: np.ndarray, allowed: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """Indices (N, k) of the k nearest that are `allowed` (N, M), the nearest first; -1 where there are
    fewer."""
    k = min(k, distances.shape[1])
    masked = np.where(allowed, distances, np.float32(np.inf))
    found = np.argpartition(masked, k - 1, 1)[:, :k]
    lengths = np.take_along_axis(masked, found, 1)
    order = np.argsort(lengths, 1, kind="stable")
    found, lengths = np.take_along_axis(found, order, 1), np.take_along_axis(lengths, order, 1)
    return np.where(np.isfinite(lengths), found, -1)


def votes(labels: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """The label (N,) that most of the neighbours (N, k) have, of a tie that of the nearest; -1
    without neighbours. labels (M,) are numbers."""
    names = np.unique(labels)
    k = neighbours.shape[1]
    # a vote and a little more for the nearest, who decides a tie and never outweighs a vote
    weights = (neighbours >= 0) * (1.0 + 0.1 * 0.5 ** np.arange(1, k + 1))
    given = (labels[neighbours][:, :, None] == names) * weights[:, :, None]
    return np.where((neighbours >= 0).any(1), names[given.sum(1).argmax(1)], -1)


def confusion(truth: np.ndarray, said: np.ndarray, count: int) -> np.ndarray:
    """Shares (count, count): of the sounds of each label (a row) how many were said to be which; a row
    of NaN for labels that no sound has."""
    table = np.zeros((count, count))
    answered = said >= 0
    np.add.at(table, (truth[answered], said[answered]), 1.0)
    total = table.sum(1, keepdims=True)
    return np.where(total > 0, table / np.maximum(total, 1.0), np.nan)


def r2(truth: np.ndarray, said: np.ndarray) -> float | None:
    """The share of the variance of truth (N,) that `said` explains: perfect 1, always naming the mean
    0, worse below it. None where all truths are the same."""
    spread = float(np.square(truth - truth.mean()).sum())
    return None if spread == 0.0 else 1.0 - float(np.square(truth - said).sum()) / spread
