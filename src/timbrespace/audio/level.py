"""How loud a sound is, in dB below full scale (1.0), and the clean-up a rendered sound needs."""

import numpy as np

FLOOR_DB = -120.0  # what silence counts as, so that levels can be averaged and stored


def peak_db(x: np.ndarray) -> float:
    """dBFS of the largest sample of x (any shape); a full-scale square or sine is 0."""
    return _db(float(np.abs(x).max())) if x.size else FLOOR_DB


def rms_db(x: np.ndarray) -> float:
    """dBFS of the root mean square of x (any shape); a full-scale sine is -3.01."""
    if not x.size:
        return FLOOR_DB
    return _db(float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))))


def remove_dc(x: np.ndarray) -> np.ndarray:
    """x (..., n) with the mean of every channel taken away."""
    if x.shape[-1] == 0:
        return x.copy()
    return (x - x.mean(axis=-1, keepdims=True, dtype=np.float64)).astype(x.dtype)


def fade_edges(x: np.ndarray, sample_rate: int, ms: float = 5.0) -> np.ndarray:
    """x (..., n) with raised-cosine fades of `ms` at both ends, so that nothing clicks.

    A sound shorter than two fades is faded to and from its middle.
    """
    n = x.shape[-1]
    length = min(round(sample_rate * ms / 1000.0), n // 2)
    if length < 1:
        return x.copy()
    ramp = (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)).astype(x.dtype)
    faded = x.copy()
    faded[..., :length] *= ramp
    faded[..., n - length :] *= ramp[::-1]
    return faded


def _db(amplitude: float) -> float:
    return max(FLOOR_DB, 20.0 * float(np.log10(amplitude))) if amplitude > 0.0 else FLOOR_DB
