"""What the formulas of effects are made of, for numpy: sounds are (..., n), knobs are numbers.

`tensors` has the same functions for torch.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.fft import next_fast_len
from scipy.signal import sosfilt

xp = np


def times(x: np.ndarray) -> np.ndarray:
    """0, 1, 2 ... beside the samples of x: (n,) float64."""
    return np.arange(x.shape[-1], dtype=np.float64)


def constant(values: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """`values` where `beside` is."""
    return values


def single(x: np.ndarray) -> np.ndarray:
    """x as float32, where that is faster and enough."""
    return np.asarray(x, np.float32)


def largest(x: np.ndarray | float) -> float:
    """The largest of all numbers in x."""
    return float(np.max(x))


def largest_of_last(x: np.ndarray) -> np.ndarray:
    """x (..., m, k) to (..., m)."""
    return x.max(-1)


def late(x: np.ndarray) -> np.ndarray:
    """x (..., n) a sample later."""
    y = np.zeros_like(x)
    y[..., 1:] = x[..., :-1]
    return y


def lengthened(x: np.ndarray, extra: int) -> np.ndarray:
    """x (..., n) and `extra` zeros."""
    return np.pad(x, [*[(0, 0)] * (x.ndim - 1), (0, extra)])


def filtered(x: np.ndarray, sections: Sequence[Sequence[Any]]) -> np.ndarray:
    """x through sections of second order in a row, as `filters` makes them."""
    return np.asarray(sosfilt(np.array(sections, np.float64), x))


def convolved(x: np.ndarray, response: np.ndarray, behind: float) -> np.ndarray:
    """x (..., n) convolved with `response` (m,), `behind` samples later (rounded), cut at n."""
    n, behind = x.shape[-1], round(behind)
    y = np.zeros_like(x)
    if behind < n:
        kept = n - behind
        size = next_fast_len(kept + min(kept, len(response)) - 1, real=True)
        product = np.fft.rfft(x[..., :kept], size) * np.fft.rfft(response[:kept], size)
        y[..., behind:] = np.fft.irfft(product, size)[..., :kept]
    return y


def neighbours(x: np.ndarray, whole: np.ndarray) -> list[np.ndarray]:
    """x (..., n) at `whole` - 1, `whole`, `whole` + 1 and `whole` + 2, each (..., m); 0 outside."""
    padded = np.pad(x, [*[(0, 0)] * (x.ndim - 1), (4, 4)])
    first = np.clip(whole, -3, x.shape[-1] + 1).astype(np.intp) + 3
    return [np.take(padded[..., k:], first, axis=-1) for k in range(4)]


def interpolated(course: np.ndarray, places: np.ndarray) -> np.ndarray:
    """course (..., m) at `places` (n,), straight between its points, its ends held: (..., n)."""
    rows = course.reshape(-1, course.shape[-1])
    points = np.arange(course.shape[-1])
    made = np.stack([np.interp(places, points, row) for row in rows])
    return made.reshape(*course.shape[:-1], -1)


def followed(wanted: np.ndarray, rising: float, falling: float) -> np.ndarray:
    """What follows `wanted` (..., m) from 0 on: of the way that is left, the part `rising` or `falling`
    stays after each step."""
    courses = []
    for row in wanted.reshape(-1, wanted.shape[-1]).tolist():
        now, course = 0.0, []
        for goal in row:
            now = goal + (rising if goal > now else falling) * (now - goal)
            course.append(now)
        courses.append(course)
    return np.reshape(courses, wanted.shape)


def recurred(poles: np.ndarray, driven: np.ndarray) -> np.ndarray:
    """y(t) = poles(t) y(t - 1) + driven(t) from rest, along the last axis (..., n); they broadcast.

    Blocks of about sqrt(n) samples run side by side from rest, then what each hands to the next is added
    as it dies away, so some 2 sqrt(n) steps do the work of n.
    """
    shape = np.broadcast_shapes(poles.shape, driven.shape)
    length, kind = math.ceil(math.sqrt(shape[-1])), np.result_type(poles, driven)
    y, fading = (_side_by_side(x.astype(kind, copy=False), shape, length) for x in (driven, poles))
    passed = np.empty_like(y[0])
    for now in range(1, length):
        y[now] += np.multiply(fading[now], y[now - 1], out=passed)
        fading[now] *= fading[now - 1]
    fading *= _handed(y[-1], fading[-1])
    y += fading
    return np.moveaxis(y, 0, -1).reshape(*shape[:-1], -1)[..., : shape[-1]]


def _side_by_side(x: np.ndarray, shape: tuple[int, ...], length: int) -> np.ndarray:
    # x, broadcast to `shape` (..., n), in blocks: (length, ..., blocks), zeros at the end
    rows, n = np.broadcast_to(x, shape), shape[-1]
    whole = n // length
    made = np.zeros((length, *shape[:-1], -(-n // length)), x.dtype)
    first = rows[..., : whole * length].reshape(*shape[:-1], whole, length)
    made[..., :whole] = np.moveaxis(first, -1, 0)
    if rest := n - whole * length:
        made[:rest, ..., whole] = np.moveaxis(rows[..., -rest:], -1, 0)
    return made


def _handed(last: np.ndarray, stays: np.ndarray) -> np.ndarray:
    # What each block (..., blocks) gets from those before it, of which its own part `stays`
    made = []
    rows = (x.reshape(-1, x.shape[-1]).tolist() for x in (last, stays))
    for ends, parts in zip(*rows, strict=True):
        now, course = 0.0, []
        for end, part in zip(ends, parts, strict=True):
            course.append(now)
            now = end + part * now
        made.append(course)
    return np.reshape(made, last.shape)
