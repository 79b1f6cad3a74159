"""Filters of first order that change from sample to sample, over whole arrays."""

import numpy as np


def recur(poles: np.ndarray, driven: np.ndarray) -> np.ndarray:
    """y(t) = poles(t) y(t - 1) + driven(t) from rest, along the last axis (..., n); they broadcast.

    Blocks of about sqrt(n) samples run side by side from rest, then what each hands to the next is added
    as it dies away, so some 2 sqrt(n) steps do the work of n.
    """
    shape = np.broadcast_shapes(poles.shape, driven.shape)
    length = int(np.ceil(np.sqrt(shape[-1])))
    blocks = -(-shape[-1] // length)
    fading, y = (_blocked(np.broadcast_to(part, shape), blocks, length) for part in (poles, driven))
    steps = fading.copy()
    for step in range(1, length):
        y[step] += steps[step] * y[step - 1]
        fading[step] *= fading[step - 1]
    handed = np.zeros_like(y[0])
    for block in range(1, blocks):
        handed[..., block] = (
            y[-1, ..., block - 1] + fading[-1, ..., block - 1] * handed[..., block - 1]
        )
    y += fading * handed
    return np.moveaxis(y, 0, -1).reshape(*shape[:-1], -1)[..., : shape[-1]]


def _blocked(x: np.ndarray, blocks: int, length: int) -> np.ndarray:
    """x (..., n) as (length, ..., blocks), zeros after its end."""
    padded = np.pad(x, [*[(0, 0)] * (x.ndim - 1), (0, blocks * length - x.shape[-1])])
    return np.ascontiguousarray(np.moveaxis(padded.reshape(*x.shape[:-1], blocks, length), -1, 0))
