"""Filters of second order: R. Bristow-Johnson's cookbook of audio EQ, and Linkwitz-Riley crossovers.

Each maker takes a frequency in radians per sample (`radians`) and gives the coefficients b0 b1 b2 a0 a1
a2, a0 = 1, as scipy.signal.sosfilt has them: numbers for `xp` numpy, tensors for torch.
"""

import math
from typing import Any

Section = tuple[Any, Any, Any, float, Any, Any]
BUTTERWORTH = math.sqrt(0.5)  # the quality of a second-order Butterworth filter, and of a shelf


def radians(frequency: Any, sample_rate: int, xp: Any) -> Any:
    """Radians per sample of `frequency` Hz, at most nine tenths of what the rate can hold."""
    return 2.0 * math.pi * xp.clip(frequency / sample_rate, None, 0.45)


def peak(omega: Any, gain: Any, q: Any, xp: Any) -> Section:
    """A bell of `gain` dB at its middle and of quality `q` (cookbook, peakingEQ)."""
    a = 10.0 ** (gain / 40.0)
    alpha, cosine = xp.sin(omega) / (2.0 * q), xp.cos(omega)
    b = (1.0 + alpha * a, -2.0 * cosine, 1.0 - alpha * a)
    return _normal(*b, 1.0 + alpha / a, -2.0 * cosine, 1.0 - alpha / a)


def low_shelf(omega: Any, gain: Any, xp: Any) -> Section:
    """`gain` dB below, 0 dB above, half of it at `omega` (cookbook, lowShelf)."""
    return _shelf(omega, gain, 1.0, xp)


def high_shelf(omega: Any, gain: Any, xp: Any) -> Section:
    """`gain` dB above, 0 dB below, half of it at `omega` (cookbook, highShelf)."""
    return _shelf(omega, gain, -1.0, xp)


def _shelf(omega: Any, gain: Any, sign: float, xp: Any) -> Section:
    # The two shelves differ in the sign of the cosine and of the middle coefficients.
    a = 10.0 ** (gain / 40.0)
    wide = 2.0 * a**0.5 * xp.sin(omega) / (2.0 * BUTTERWORTH)
    cosine = sign * xp.cos(omega)
    return _normal(
        a * ((a + 1.0) - (a - 1.0) * cosine + wide),
        sign * 2.0 * a * ((a - 1.0) - (a + 1.0) * cosine),
        a * ((a + 1.0) - (a - 1.0) * cosine - wide),
        (a + 1.0) + (a - 1.0) * cosine + wide,
        sign * -2.0 * ((a - 1.0) + (a + 1.0) * cosine),
        (a + 1.0) + (a - 1.0) * cosine - wide,
    )


def low_pass(omega: Any, xp: Any) -> Section:
    """Butterworth: -3 dB at `omega` (cookbook, LPF)."""
    alpha, cosine = xp.sin(omega) / (2.0 * BUTTERWORTH), xp.cos(omega)
    b = (1.0 - cosine) / 2.0
    return _normal(b, 2.0 * b, b, 1.0 + alpha, -2.0 * cosine, 1.0 - alpha)


def high_pass(omega: Any, xp: Any) -> Section:
    """Butterworth: -3 dB at `omega` (cookbook, HPF)."""
    alpha, cosine = xp.sin(omega) / (2.0 * BUTTERWORTH), xp.cos(omega)
    b = (1.0 + cosine) / 2.0
    return _normal(b, -2.0 * b, b, 1.0 + alpha, -2.0 * cosine, 1.0 - alpha)


def all_pass(omega: Any, xp: Any) -> Section:
    """Level kept, phase turned by 180 degrees at `omega` (cookbook, APF)."""
    alpha, cosine = xp.sin(omega) / (2.0 * BUTTERWORTH), xp.cos(omega)
    b = (1.0 - alpha, -2.0 * cosine, 1.0 + alpha)
    return _normal(*b, 1.0 + alpha, -2.0 * cosine, 1.0 - alpha)


def split(x: Any, omega: Any, maths: Any) -> tuple[Any, Any]:
    """x (..., n) below and above `omega`: Linkwitz-Riley of fourth order, two Butterworth filters in a
    row each, so that the two sum to `all_pass`: level kept (Linkwitz 1976)."""
    low, high = low_pass(omega, maths.xp), high_pass(omega, maths.xp)
    return maths.filtered(x, [low, low]), maths.filtered(x, [high, high])


def _normal(b0: Any, b1: Any, b2: Any, a0: Any, a1: Any, a2: Any) -> Section:
    return b0 / a0, b1 / a0, b2 / a0, 1.0, a1 / a0, a2 / a0
