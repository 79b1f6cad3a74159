"""Ways from one latent to another: straight (lerp), by an arc (slerp), over a square (grid)."""

from typing import Literal

import numpy as np

from timbrespace.errors import TimbrespaceError

Kind = Literal["lerp", "slerp"]


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


def path(a: np.ndarray, b: np.ndarray, steps: int, kind: Kind = "lerp") -> np.ndarray:
    """`steps` latents (steps, L) float32 from a to b, both ends exactly included; steps >= 2."""
    if steps < 2:
        raise TimbrespaceError(f"a path needs at least 2 steps (its two ends), got {steps}")
    way = _way(kind)(a, b, np.linspace(0.0, 1.0, steps)).astype(np.float32)
    way[0], way[-1] = a, b
    return way


def grid(
    corners: np.ndarray, rows: int, columns: int | None = None, kind: Kind = "lerp"
) -> np.ndarray:
    """A square of latents (rows, columns, L) between four corners (4, L): top left, top right,
    bottom left, bottom right. Down both sides first, then across."""
    corners = np.asarray(corners, np.float64)
    if corners.ndim != 2 or len(corners) != 4:
        raise TimbrespaceError(f"a square needs 4 corners, got an array of shape {corners.shape}")
    left = path(corners[0], corners[2], rows, kind)
    right = path(corners[1], corners[3], rows, kind)
    return np.stack([path(p, q, columns or rows, kind) for p, q in zip(left, right, strict=True)])


def _way(kind: str):
    ways = {"lerp": lerp, "slerp": slerp}
    if kind not in ways:
        raise TimbrespaceError(f"there is no path called {kind!r}; choose one of {', '.join(ways)}")
    return ways[kind]


def _points(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise TimbrespaceError(
            f"a path joins two latents of one space, got shapes {a.shape} and {b.shape}"
        )
    return a, b, np.atleast_1d(np.asarray(t, np.float64))[:, None]
