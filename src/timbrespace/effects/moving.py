"""Delays that move: a slow oscillator, and a sound read between its samples."""

import numpy as np


def swing(samples: int, sample_rate: int, rate: float, phase: float = 0.0) -> np.ndarray:
    """A sine (samples,) of `rate` Hz that begins at `phase` (in turns)."""
    turns = np.arange(samples) * (rate / sample_rate) + phase
    return np.sin(2.0 * np.pi * turns)


def read(samples: np.ndarray, places: np.ndarray) -> np.ndarray:
    """samples (..., n) at `places` (m,), in samples: cubic between them, silence outside (..., m).

    Lagrange interpolation of third order (Laakso et al., "Splitting the unit delay", 1996, section 3.3.1).
    """
    n = samples.shape[-1]
    whole = np.floor(places)
    t = (places - whole).astype(np.float32)
    first = np.clip(whole, -3, n + 1).astype(np.intp) + 2  # of the four, with three zeros before
    edge = [(0, 0)] * (samples.ndim - 1)
    padded = np.pad(samples, [*edge, (3, 4)])
    before, after, further = t + 1.0, 1.0 - t, 2.0 - t
    inner = after * further
    outer = t * before
    y = np.take(padded, first, axis=-1) * (t * inner * np.float32(-1 / 6))
    y += np.take(padded, first + 1, axis=-1) * (before * inner * np.float32(0.5))
    y += np.take(padded, first + 2, axis=-1) * (outer * further * np.float32(0.5))
    y += np.take(padded, first + 3, axis=-1) * (outer * after * np.float32(-1 / 6))
    return y
