"""Filters of second order: R. Bristow-Johnson's cookbook of audio EQ, and Linkwitz-Riley crossovers.

Each maker takes a frequency in radians per sample (`radians`) and gives the coefficients b0 b1 b2 a0 a1
a2, a0 = 1, as scipy.signal.sosfilt has them.
"""

import math

import numpy as np
from scipy.signal import sosfilt

BUTTERWORTH = math.sqrt(0.5)  # the quality of a second-order Butterworth filter, and of a shelf


def radians(frequency: float, sample_rate: int) -> float:
    """Radians per sample of `frequency` Hz, at most nine tenths of what the rate can hold."""
    return 2.0 * math.pi * min(frequency / sample_rate, 0.45)


def peak(omega: float, gain: float, q: float) -> tuple[float, ...]:
    """A bell of `gain` dB at its middle and of quality `q` (cookbook, peakingEQ)."""
    a = 10.0 ** (gain / 40.0)
    alpha, cosine = math.sin(omega) / (2.0 * q), math.cos(omega)
    b = (1.0 + alpha * a, -2.0 * cosine, 1.0 - alpha * a)
    return _normal(*b, 1.0 + alpha / a, -2.0 * cosine, 1.0 - alpha / a)


def low_shelf(omega: float, gain: float) -> tuple[float, ...]:
    """`gain` dB below, 0 dB above, half of it at `omega` (cookbook, lowShelf)."""
    return _shelf(omega, gain, 1.0)


def high_shelf(omega: float, gain: float) -> tuple[float, ...]:
    """`gain` dB above, 0 dB below, half of it at `omega` (cookbook, highShelf)."""
    return _shelf(omega, gain, -1.0)


def _shelf(omega: float, gain: float, sign: float) -> tuple[float, ...]:
    # The two shelves differ in the sign of the cosine and of the middle coefficients.
    a = 10.0 ** (gain / 40.0)
    wide = 2.0 * math.sqrt(a) * math.sin(omega) / (2.0 * BUTTERWORTH)
    cosine = sign * math.cos(omega)
    return _normal(
        a * ((a + 1.0) - (a - 1.0) * cosine + wide),
        sign * 2.0 * a * ((a - 1.0) - (a + 1.0) * cosine),
        a * ((a + 1.0) - (a - 1.0) * cosine - wide),
        (a + 1.0) + (a - 1.0) * cosine + wide,
        sign * -2.0 * ((a - 1.0) + (a + 1.0) * cosine),
        (a + 1.0) + (a - 1.0) * cosine - wide,
    )


def low_pass(omega: float) -> tuple[float, ...]:
    """Butterworth: -3 dB at `omega` (cookbook, LPF)."""
    alpha, cosine = math.sin(omega) / (2.0 * BUTTERWORTH), math.cos(omega)
    b = (1.0 - cosine) / 2.0
    return _normal(b, 2.0 * b, b, 1.0 + alpha, -2.0 * cosine, 1.0 - alpha)


def high_pass(omega: float) -> tuple[float, ...]:
    """Butterworth: -3 dB at `omega` (cookbook, HPF)."""
    alpha, cosine = math.sin(omega) / (2.0 * BUTTERWORTH), math.cos(omega)
    b = (1.0 + cosine) / 2.0
    return _normal(b, -2.0 * b, b, 1.0 + alpha, -2.0 * cosine, 1.0 - alpha)


def all_pass(omega: float, q: float = BUTTERWORTH) -> tuple[float, ...]:
    """Level kept, phase turned by 180 degrees at `omega` (cookbook, APF)."""
    alpha, cosine = math.sin(omega) / (2.0 * q), math.cos(omega)
    b = (1.0 - alpha, -2.0 * cosine, 1.0 + alpha)
    return _normal(*b, 1.0 + alpha, -2.0 * cosine, 1.0 - alpha)


def split(samples: np.ndarray, omega: float) -> tuple[np.ndarray, np.ndarray]:
    """samples (..., n) below and above `omega`: Linkwitz-Riley of fourth order, two Butterworth filters
    in a row each, so that the two sum to `all_pass`: level kept (Linkwitz 1976)."""
    low, high = 2 * [low_pass(omega)], 2 * [high_pass(omega)]
    below, above = (np.asarray(sosfilt(np.array(sos), samples)) for sos in (low, high))
    return below, above


def _normal(b0: float, b1: float, b2: float, a0: float, a1: float, a2: float) -> tuple[float, ...]:
    return b0 / a0, b1 / a0, b2 / a0, 1.0, a1 / a0, a2 / a0
