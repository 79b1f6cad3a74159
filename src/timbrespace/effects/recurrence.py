"""Filters of first order that change from sample to sample, over whole arrays."""

import math
from typing import Any


def recur(poles: Any, driven: Any, maths: Any) -> Any:
    """y(t) = poles(t) y(t - 1) + driven(t) from rest, along the last axis (..., n); they broadcast.

    Blocks of about sqrt(n) samples run side by side from rest, then what each hands to the next is added
    as it dies away, so some 2 sqrt(n) steps do the work of n. `maths` is `arrays` or `tensors`.
    """
    xp = maths.xp
    shape = xp.broadcast_shapes(poles.shape, driven.shape)
    length = math.ceil(math.sqrt(shape[-1]))
    blocks = -(-shape[-1] // length)

    def blocked(x: Any) -> Any:  # (..., n) to (length, ..., blocks)
        filled = maths.lengthened(xp.broadcast_to(x, shape), blocks * length - shape[-1])
        return maths.packed(xp.moveaxis(filled.reshape(*shape[:-1], blocks, length), -1, 0))

    pole, drive = blocked(poles), blocked(driven)
    rows, fading = [drive[0]], [pole[0]]
    for step in range(1, length):
        rows.append(drive[step] + pole[step] * rows[-1])
        fading.append(pole[step] * fading[-1])
    handed = [xp.zeros_like(rows[-1][..., 0])]
    for block in range(blocks - 1):
        handed.append(rows[-1][..., block] + fading[-1][..., block] * handed[-1])
    y = xp.stack(rows) + xp.stack(fading) * xp.stack(handed, -1)
    return xp.moveaxis(y, 0, -1).reshape(*shape[:-1], -1)[..., : shape[-1]]
