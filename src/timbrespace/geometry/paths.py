"""Ways from one latent to another: straight (lerp), by an arc (slerp), where sounds are (follow); and over
a square (grid)."""

from typing import Literal

import numpy as np

from timbrespace.errors import TimbrespaceError

Kind = Literal["lerp", "slerp", "follow"]
KINDS: tuple[Kind, ...] = ("lerp", "slerp", "follow")

CANDIDATES = 256  # sounds that a way may lead by: those for which it is the least detour
POWER = 3  # of the distance from sound to sound; see `follow`
FINE = 257  # points of the curve that `follow` measures out


def lerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The straight line from a (L,) at t = 0 to b (L,) at t = 1: (T, L) for t (T,)."""
    a, b, t = _points(a, b, t)
    return (1.0 - t) * a + t * b


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The arc from a (L,) to b (L,): equal angles in equal times, the length changing evenly.

    A Gaussian prior in L dimensions lives at the distance sqrt(L) from its centre; a straight line
    between two sounds cuts through the empty middle, the arc does not (White 2016; Shoemake 1985).
    Where no arc is defined (a or b at the centre, same or opposite direction) it is the line.
    """
    a, b, t = _points(a, b, t)
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    if length_a == 0 or length_b == 0:
        return (1.0 - t) * a + t * b
    unit_a, unit_b = a / length_a, b / length_b
    # atan2 form: exact for tiny angles, where arccos of the cosine loses half its digits
    angle = 2.0 * np.arctan2(np.linalg.norm(unit_a - unit_b), np.linalg.norm(unit_a + unit_b))
    if np.sin(angle) < 1e-9:
        return (1.0 - t) * a + t * b
    direction = (np.sin((1.0 - t) * angle) * unit_a + np.sin(t * angle) * unit_b) / np.sin(angle)
    return direction * ((1.0 - t) * length_a + t * length_b)


def follow(a: np.ndarray, b: np.ndarray, t: np.ndarray, sounds: np.ndarray) -> np.ndarray:
    """The way from a (L,) to b (L,) by the sounds (N, L) that lie between: (T, L), even in length.

    Its stations are those of the shortest way from sound to sound where a step of length d costs d^3:
    three short steps are cheaper than a long one, so the way keeps to where sounds lie dense (the
    sample Fermat distance of Groisman, Jonckheere & Sapienza, arXiv 1810.09398). The stations are the
    control points of a cubic B-spline, since ways through a graph are rough in many dimensions
    (Sorrenson et al., arXiv 2407.09297). Climbing the density itself would not do: in many dimensions
    it is largest in the middle, where no sound lies, and every way would lead by the mean sound.
    """
    from scipy.interpolate import BSpline
    from scipy.sparse.csgraph import dijkstra
    from scipy.spatial.distance import cdist

    a, b, t = _points(a, b, t)
    sounds = np.asarray(sounds, np.float64)
    if sounds.ndim != 2 or sounds.shape[1:] != a.shape:
        raise TimbrespaceError(
            f"a way by other sounds needs their latents (N, {len(a)}), got shape {sounds.shape}"
        )
    if not all(np.isfinite(values).all() for values in (a, b, sounds)):
        raise TimbrespaceError("a way by other sounds needs finite latents; NaN or infinity came")
    if np.array_equal(a, b):
        return (1.0 - t) * a + t * b
    detour = cdist(sounds, [a, b]).sum(1)
    known = np.r_[[a, b], sounds[np.argsort(detour, kind="stable")[:CANDIDATES]]]
    cost = cdist(known, known) ** POWER
    before = dijkstra(cost, indices=0, return_predecessors=True)[1]
    stations = [1]
    while stations[-1] != 0:
        stations.append(before[stations[-1]])
    points = known[stations[::-1]]
    degree = min(3, len(points) - 1)
    inner = np.linspace(0.0, 1.0, len(points) - degree + 1)
    knots = np.r_[np.zeros(degree), inner, np.ones(degree)]  # it begins at a and ends at b
    curve = BSpline(knots, points, degree)(np.linspace(0.0, 1.0, FINE))
    length = np.r_[0.0, np.linalg.norm(np.diff(curve, axis=0), axis=1).cumsum()]
    at = t[:, 0] * length[-1]
    return np.stack([np.interp(at, length, numbers) for numbers in curve.T], 1)


def between(
    a: np.ndarray, b: np.ndarray, t: np.ndarray, kind: Kind, sounds: np.ndarray | None = None
) -> np.ndarray:
    """Latents (T, L) at the places t (T,) of a way by its name; "follow" needs the `sounds` (N, L)."""
    if kind not in KINDS:
        raise TimbrespaceError(
            f"there is no path called {kind!r}; choose one of {', '.join(KINDS)}"
        )
    if kind == "follow":
        if sounds is None:
            raise TimbrespaceError("the path follow needs the latents of the sounds it leads by")
        return follow(a, b, t, sounds)
    return {"lerp": lerp, "slerp": slerp}[kind](a, b, t)


def path(
    a: np.ndarray, b: np.ndarray, steps: int, kind: Kind = "lerp", sounds: np.ndarray | None = None
) -> np.ndarray:
    """`steps` latents (steps, L) float32 from a to b, both ends exactly included; steps >= 2."""
    if steps < 2:
        raise TimbrespaceError(f"a path needs at least 2 steps (its two ends), got {steps}")
    way = between(a, b, np.linspace(0.0, 1.0, steps), kind, sounds).astype(np.float32)
    way[0], way[-1] = a, b
    return way


def grid(
    corners: np.ndarray, rows: int, columns: int | None = None, kind: Kind = "lerp",
    sounds: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """A square of latents (rows, columns, L) between four corners (4, L): top left, top right,
    bottom left, bottom right. Down both sides first, then across."""
    corners = np.asarray(corners, np.float64)
    if corners.ndim != 2 or len(corners) != 4:
        raise TimbrespaceError(f"a square needs 4 corners, got an array of shape {corners.shape}")
    left = path(corners[0], corners[2], rows, kind, sounds)
    right = path(corners[1], corners[3], rows, kind, sounds)
    across = columns or rows
    return np.stack([path(p, q, across, kind, sounds) for p, q in zip(left, right, strict=True)])


def _points(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise TimbrespaceError(
            f"a path joins two latents of one space, got shapes {a.shape} and {b.shape}"
        )
    return a, b, np.atleast_1d(np.asarray(t, np.float64))[:, None]
