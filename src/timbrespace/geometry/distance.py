"""How far sounds are from each other in one space or in several at once.

Distances of different spaces have different units. Each is divided by a scale of its own, and the mean is
taken: parts that err in different ways err less together (docs/metrics.md, "perception").
"""

from collections.abc import Callable, Sequence

import numpy as np

from timbrespace.errors import TimbrespaceError

PAIRS = 4_000  # drawn for a typical distance: known to about 1 %

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def euclidean(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distances (Q, N) from queries (Q, D) to points (N, D)."""
    from scipy.spatial.distance import cdist

    return cdist(queries, points)


def cosine(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """1 - cosine of the angle from queries (Q, D) to points (N, D): 0 for one direction, at most 2; a
    point of zeros is at 1 from all."""
    one, other = _unit(queries), _unit(points)
    return np.clip(1.0 - one @ other.T, 0.0, None)


def typical(distance: Distance, points: np.ndarray, *, seed: int = 0) -> float:
    """Mean distance of two different points (N, D), over PAIRS random pairs; 1 where all are equal, or
    there is only one."""
    count = len(points)
    rng = np.random.default_rng(seed)
    one, apart = rng.integers(0, count, PAIRS), rng.integers(1, max(2, count), PAIRS)
    other = (one + apart) % count
    found = [
        distance(points[i : i + 1], points[j : j + 1])[0, 0]
        for i, j in zip(one, other, strict=True)
    ]
    return float(np.mean(found)) or 1.0


def combined(ways: Sequence[np.ndarray], scales: Sequence[float] | None = None) -> np.ndarray:
    """The mean of distances of one shape, each over its scale; without scales over its own largest.

    TimbrespaceError where shapes differ, or a scale is not above 0.
    """
    if len({way.shape for way in ways}) != 1:
        raise TimbrespaceError(
            f"distances between the same sounds should have one shape, got {[w.shape for w in ways]}"
        )
    if scales is None:
        scales = [float(way.max()) or 1.0 for way in ways]
    if len(scales) != len(ways) or not all(scale > 0.0 for scale in scales):
        raise TimbrespaceError(
            f"{len(ways)} ways to tell sounds apart want as many scales above 0, got {list(scales)}"
        )
    return np.mean([way / scale for way, scale in zip(ways, scales, strict=True)], axis=0)


def _unit(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, np.float64)
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    return points / np.where(norms > 0.0, norms, 1.0)
