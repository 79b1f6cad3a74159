"""Where settings lie that no network has placed: the principal components or UMAP of their timbre."""

import warnings

import numpy as np

from timbrespace.errors import MissingExtra
from timbrespace.geometry.project import Pca

NEIGHBOURS, LEAST_DISTANCE = 15, 0.1  # of UMAP: those of report 004


def pca_places(timbre: np.ndarray, dimensions: int) -> np.ndarray:
    """The first principal components of timbres (N, F), each of variance 1: (N, d)."""
    places = Pca.fit(timbre, dimensions).transform(timbre)
    places = np.pad(places, ((0, 0), (0, dimensions - places.shape[1])))
    return places / np.maximum(places.std(0), 1e-9)


def umap_places(timbre: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    """UMAP (McInnes, Healy & Melville 2018) of timbres (N, F) to (N, d), begun at their principal components
    and whitened. MissingExtra without umap-learn."""
    try:
        import umap
    except ImportError:
        raise MissingExtra(
            'UMAP is not installed: pip install "timbrespace[maps]"; the kinds bottleneck and pca need '
            "nothing extra"
        ) from None
    rng = np.random.default_rng(seed)
    start = 5.0 * pca_places(timbre, dimensions)
    start = (start + rng.normal(0.0, 1e-3, start.shape)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_jobs value", category=UserWarning)
        made = umap.UMAP(
            n_components=dimensions, n_neighbors=min(NEIGHBOURS, len(timbre) - 1),
            min_dist=LEAST_DISTANCE, init=start,  # type: ignore[arg-type]  # arrays are documented
            random_state=seed, n_jobs=1,
        ).fit_transform(timbre)  # fmt: skip
    return Pca.fit(np.asarray(made), dimensions).transform(np.asarray(made))


def oriented(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Places (N, d), whitened and turned so that the first axes go with the columns of `wanted` (N, w), the
    first one first.

    Each axis is the direction of least squares, at right angles to those before it (Gram-Schmidt); the
    rest of the frame is left to the places' own axes.
    """
    scale = places.std(0)
    white = (places - places.mean(0)) / np.where(scale > 1e-9, scale, 1.0)
    frame: list[np.ndarray] = []
    own = np.eye(white.shape[1])
    directions = [white.T @ (w - w.mean()) for w in wanted.T] + list(own)
    for direction in directions:
        left = direction / max(float(np.linalg.norm(direction)), 1e-12)
        for axis in frame:
            left = left - (left @ axis) * axis
        norm = float(np.linalg.norm(left))
        if norm > 1e-3 and len(frame) < white.shape[1]:
            frame.append(left / norm)
    return white @ np.array(frame).T


def spread_evenly(places: np.ndarray, seed: int) -> np.ndarray:
    """Places (N, d) moved as little as makes them fill the cube 0..1 evenly: optimal transport, of squared
    distances between normalised ranks, onto a Sobol sequence."""
    from scipy.optimize import linear_sum_assignment

    from timbrespace.matching.search import sobol

    count, size = places.shape
    ranks = (np.argsort(np.argsort(places, 0, kind="stable"), 0, kind="stable") + 0.5) / count
    even = sobol(size, count, seed)
    cost = np.square(ranks[:, None] - even[None]).sum(2)
    return even[linear_sum_assignment(cost)[1]]
