"""Delays that move: a slow oscillator, and a sound read between its samples."""

import math
from typing import Any


def swing(
    x: Any, sample_rate: int, rate: Any, maths: Any, phase: float = 0.0, start: float = 0
) -> Any:
    """A sine beside the samples of x, of `rate` Hz, that begins at `phase` (turns) `start` samples before."""
    turns = (maths.times(x) + start) * (rate / sample_rate) + phase
    return maths.xp.sin(2.0 * math.pi * turns)


def read(x: Any, places: Any, maths: Any) -> Any:
    """x (..., n) at `places` (m,), in samples: cubic between them, silence outside (..., m).

    Lagrange interpolation of third order (Laakso et al., "Splitting the unit delay", 1996, section 3.3.1).
    """
    whole = maths.xp.floor(places)
    t = maths.single(places - whole)
    before, after, further = t + 1.0, 1.0 - t, 2.0 - t
    inner, outer = after * further, t * before
    x0, x1, x2, x3 = maths.neighbours(x, whole)
    near = x1 * (before * inner) + x2 * (outer * further)
    far = x0 * (t * inner) + x3 * (outer * after)
    return near / 2.0 - far / 6.0
