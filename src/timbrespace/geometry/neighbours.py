"""Nearest neighbours in a latent table, and the way from a spot on the map back into the space.

Distances are Euclidean. On the map (2 numbers) they have no unit: only ratios mean something there.
"""

import numpy as np

from timbrespace.errors import TimbrespaceError

FAR = 2.0  # `far` above this: nothing learnt lies near; tell the user


def nearest(points: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of points (N, D) to queries (Q, D): distances and indices, (Q, min(k, N)).

    Sorted from near to far; equal distances come in the order of the table. TimbrespaceError when
    the two tables do not fit each other or the points are empty.
    """
    points, queries = _table(points, "points"), _table(queries, "queries")
    if points.shape[1] != queries.shape[1]:
        raise TimbrespaceError(
            f"points have {points.shape[1]} numbers each and queries {queries.shape[1]}; "
            "they come from different spaces"
        )
    if not len(points) or k < 1:
        raise TimbrespaceError(f"cannot find {k} neighbours among {len(points)} points")
    k = min(k, len(points))
    distances = np.empty((len(queries), k))
    indices = np.empty((len(queries), k), np.int64)
    norms = np.einsum("nd,nd->n", points, points)
    size = max(1, 4_000_000 // len(points))  # 32 MB of distances at a time
    for i in range(0, len(queries), size):
        q = queries[i : i + size]
        rough = norms - 2.0 * (q @ points.T)  # squared distance, up to a constant per query
        # a few more than k: the expansion rounds, the exact distances below decide
        some = min(len(points), k + 8)
        near = np.argpartition(rough, some - 1, 1)[:, :some] if some < len(points) else None
        if near is None:
            near = np.broadcast_to(np.arange(len(points)), (len(q), len(points)))
        near = np.sort(near, 1)
        exact = np.linalg.norm(points[near] - q[:, None], axis=2)
        order = np.argsort(exact, 1, kind="stable")[:, :k]
        distances[i : i + size] = np.take_along_axis(exact, order, 1)
        indices[i : i + size] = np.take_along_axis(near, order, 1)
    return distances, indices


def interpolate(
    points: np.ndarray, values: np.ndarray, query: np.ndarray, k: int = 12
) -> np.ndarray:
    """Values (Q, L) at places (Q, D) among points (N, D) that have values (N, L).

    From a map to the space: the latents of spots among those of sounds; and from the space to a map: where
    latents lie on it. A weighted mean of the k nearest points. The weight ((R - d) / (R d))^2 with R the
    distance of the next point (Franke & Little's form of Shepard's interpolation, Shepard 1968,
    Franke & Nielson 1980) does two things: at a point its own value comes back exactly,
    and a neighbour that comes or goes does so with weight 0, so that dragging never jumps.
    """
    values = _table(values, "the values")
    points, query = _table(points, "the points"), _table(query, "the query")
    if len(points) != len(values):
        raise TimbrespaceError(
            f"there are {len(points)} points and values of {len(values)}; rebuild the space"
        )
    distances, indices = nearest(points, query, k + 1)
    if distances.shape[1] > k:
        reach, distances, indices = distances[:, k:], distances[:, :k], indices[:, :k]
    else:  # fewer than asked for: all of them, none at weight 0
        reach = 2.0 * distances[:, -1:]
    tiny = 1e-9 * max(float(np.abs(points).max()), 1e-30)
    on_spot: np.ndarray = np.asarray(distances <= tiny)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = ((reach - distances) / (reach * distances)) ** 2
    # all within one distance (a ring, copies): equal shares
    hit = np.any(on_spot, axis=1, keepdims=True)
    flat = ~(np.nan_to_num(weights, posinf=0.0).sum(1, keepdims=True) > 0)
    weights = np.where(hit, on_spot.astype(float), np.where(flat, 1.0, weights))
    weights /= weights.sum(1, keepdims=True)
    return np.einsum("qk,qkl->ql", weights, values[indices]).astype(np.float32)


def spacing(map_xy: np.ndarray) -> float:
    """How far apart neighbours lie on a map (N, 2): 95 % of sounds have another one this near.

    0 for a single sound. Copies of one sound (distance 0) do not count.
    """
    from scipy.spatial import KDTree

    unique = np.unique(_table(map_xy, "the map"), axis=0)
    if len(unique) < 2:
        return 0.0
    return float(np.quantile(KDTree(unique).query(unique, k=2)[0][:, 1], 0.95))


def far(map_xy: np.ndarray, query: np.ndarray, *, scale: float | None = None) -> np.ndarray:
    """How lonely spots (Q, 2) are: distance to the nearest sound over `spacing`, shape (Q,).

    About 1 or less between the sounds; above `FAR` the spot lies off all data. `scale`: the
    map's spacing when the caller keeps it. Infinite off the only sound of a map.
    """
    map_xy = _table(map_xy, "the map")
    distance = nearest(map_xy, query, 1)[0][:, 0]
    scale = spacing(map_xy) if scale is None else scale
    if scale <= 0:
        return np.where(distance > 0, np.inf, 0.0)
    return distance / scale


def _table(values: np.ndarray, name: str) -> np.ndarray:
    table = np.asarray(values, np.float64)
    if table.ndim != 2:
        raise TimbrespaceError(f"{name} must be a table (rows, numbers), got shape {table.shape}")
    if not np.isfinite(table).all():
        raise TimbrespaceError(f"{name} holds numbers that are not finite")
    return table
