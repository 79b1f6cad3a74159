"""Projections of a table of points: PCA with its inverse, and a UMAP map for the eye.

Points are rows, numbers are columns: (N, D). PCA keeps distances as well as few numbers can and is
used twice: for maps of the latents, and as a floor that a model has to beat. UMAP keeps neighbours
and bends distances; it is for looking, never for measuring.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from timbrespace.errors import MissingExtra, TimbrespaceError

SMALL = 1024  # up to this many rows or columns an exact decomposition costs less than a second
UMAP_LEAST = 8  # points; below it the neighbour graph says nothing and umap-learn fails


@dataclass(frozen=True)
class Pca:
    """An orthonormal frame: mean (D,), components (K, D) by falling variance, variances (K,)."""

    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    total_variance: float

    @classmethod
    def fit(cls, points: np.ndarray, components: int, *, seed: int = 0) -> "Pca":
        """Fit on points (N, D). Fewer components come back when N - 1 or D allow no more.

        Exact up to 1,024 rows or columns, beyond that by `fit_batches`. Raises TimbrespaceError for
        an empty table or numbers that are not finite.
        """
        points = np.asarray(points)
        if points.ndim != 2 or not len(points) or not points.shape[1]:
            raise TimbrespaceError(
                f"PCA wants a table of points with at least one row and column, got {points.shape}"
            )
        if min(points.shape) > SMALL:
            return cls.fit_batches(lambda: _slices(points, 512), components, seed=seed)
        data = points.astype(np.float64)
        _refuse_nonfinite(data)
        mean = data.mean(0)
        data -= mean
        _, scale, frame = np.linalg.svd(data, full_matrices=False)
        keep = max(1, min(components, len(points) - 1, points.shape[1]))
        variances = scale**2 / len(points)
        return cls(
            mean.astype(np.float32),
            _signed(frame[:keep]).astype(np.float32),
            variances[:keep],
            float(variances.sum()),
        )

    @classmethod
    def fit_batches(
        cls,
        batches: Callable[[], Iterable[np.ndarray]],
        components: int,
        *,
        passes: int = 3,
        seed: int = 0,
    ) -> "Pca":
        """Fit on a table too large for memory: `batches()` yields it anew, (n, D) pieces in order.

        Subspace iteration on the covariance (Halko, Martinsson & Tropp 2011, algorithm 4.4) with 16
        extra directions; reads the table `passes` + 1 times and holds (D, components + 16) numbers.
        """
        total, square, rows = None, 0.0, 0
        for batch in batches():
            batch = np.asarray(batch, np.float32)
            _refuse_nonfinite(batch)
            total = batch.sum(0, dtype=np.float64) + (0.0 if total is None else total)
            square += float(np.einsum("nd,nd->n", batch, batch).sum(dtype=np.float64))
            rows += len(batch)
        if total is None or rows == 0:
            raise TimbrespaceError("PCA got no points at all; at least one row is needed")
        mean = (total / rows).astype(np.float32)
        keep = max(1, min(components, rows - 1, len(mean)))
        width = min(keep + 16, len(mean))
        rng = np.random.default_rng(seed)
        frame = np.linalg.qr(rng.standard_normal((len(mean), width)).astype(np.float32))[0]
        image = _scatter(batches, mean, frame)
        for _ in range(passes - 1):
            frame = np.linalg.qr(image)[0]
            image = _scatter(batches, mean, frame)
        # Rayleigh-Ritz: the covariance seen inside the frame gives variances and directions
        values, turn = np.linalg.eigh(frame.T @ image)
        order = np.argsort(values)[::-1][:keep]
        spread = square / rows - float(np.square(mean.astype(np.float64)).sum())
        return cls(
            mean,
            _signed((frame @ turn[:, order]).T),
            np.maximum(values[order].astype(np.float64), 0.0) / rows,
            max(spread, 0.0),
        )

    def transform(self, points: np.ndarray, components: int | None = None) -> np.ndarray:
        """Coordinates (N, K) float32 of points (N, D); the first `components` of them if given."""
        return (np.asarray(points, np.float32) - self.mean) @ self.components[:components].T

    def inverse(self, coordinates: np.ndarray) -> np.ndarray:
        """The points (N, D) float32 at coordinates (N, k), k <= K; the missing ones count as 0."""
        coordinates = np.asarray(coordinates, np.float32)
        return coordinates @ self.components[: coordinates.shape[1]] + self.mean


def flat(points: np.ndarray) -> np.ndarray:
    """Points (N, 1 or 2) in two columns."""
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))


def umap_map(
    points: np.ndarray, seed: int = 0, *, neighbours: int = 15, spread: float = 0.1
) -> np.ndarray:
    """A UMAP map (N, 2) float32 of points (N, D), the same for the same seed.

    Starts from the PCA, so that large distances mean something; fewer than 8 points have no
    neighbourhoods to unfold and stay there. MissingExtra without umap-learn.
    """
    points = np.asarray(points, np.float32)
    start = Pca.fit(points, 2).transform(points)
    start = np.pad(start, ((0, 0), (0, 2 - start.shape[1])))
    if len(points) < UMAP_LEAST:
        return start.astype(np.float32)
    try:
        import umap
    except ImportError:
        raise MissingExtra(
            'UMAP is not installed: pip install "timbrespace[maps]"; PCA needs nothing extra'
        ) from None
    import warnings

    rng = np.random.default_rng(seed)
    start = 10.0 * start / max(float(np.abs(start).max()), 1e-9)
    start = start + rng.normal(0.0, 1e-4, start.shape)  # apart, where sounds are copies
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_jobs value", category=UserWarning)
        mapper = umap.UMAP(
            n_components=2,
            n_neighbors=min(neighbours, len(points) - 1),
            min_dist=spread,
            init=start.astype(np.float32),  # type: ignore[arg-type]  # arrays are documented
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(mapper.fit_transform(points), np.float32)


def _scatter(
    batches: Callable[[], Iterable[np.ndarray]], mean: np.ndarray, frame: np.ndarray
) -> np.ndarray:
    """Covariance times rows, applied to a frame (D, K): the sum over rows of c c^T frame.

    By torch, which keeps to the threads that it is granted."""
    import torch

    onto = torch.from_numpy(frame)
    image = torch.zeros_like(onto)
    for batch in batches():
        centred = torch.from_numpy(np.asarray(batch, np.float32) - mean)
        image.addmm_(centred.T, centred @ onto)
    return image.numpy()


def _slices(points: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (points[i : i + size] for i in range(0, len(points), size))


def _signed(frame: np.ndarray) -> np.ndarray:
    # a direction and its opposite fit equally well; the largest entry is made positive so that the
    # map is not mirrored from one computer to the next
    largest = np.abs(frame).argmax(1)
    sign = np.sign(frame[np.arange(len(frame)), largest])
    return frame * np.where(sign == 0, 1.0, sign)[:, None].astype(frame.dtype)


def _refuse_nonfinite(points: np.ndarray) -> None:
    if not np.isfinite(points).all():
        raise TimbrespaceError("the points hold numbers that are not finite; the run has diverged")
