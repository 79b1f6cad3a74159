"""What a pair says of itself about delays and rates, before anything is tried.

A search feels its way along a distance, and delays and rates have no slope to feel until they are nearly right.
But a delay is a peak of the response between the dry and the wet sound, a carrier a peak of the spectrum of
their ratio, and a slow rate one of the spectrum of how their levels in bands differ. Which of these a knob may
be is told by its unit and range alone, so that this serves effects that nobody here knows.
"""

import numpy as np

from timbrespace.audio.response import Response
from timbrespace.effects.knobs import Knob
from timbrespace.matching.distance import MEL_HOP, mel_power

EACH = {"lag": 3, "ratio": 2, "level": 3}  # places for a knob, of each kind of evidence
APART = 0.03  # of the range, between two places
SLOW = 20.0  # Hz: what is faster is heard as a tone


def cues(
    dry: np.ndarray, wet: np.ndarray, sample_rate: int, knobs: tuple[Knob, ...]
) -> list[tuple[int, float]]:
    """Pairs (number of a knob, place from 0 to 1) that are worth a try, the likeliest of each knob first.
    dry, wet (..., n); of several channels their mean is heard."""
    dry, wet = (x.reshape(-1, x.shape[-1]).mean(0) for x in (dry, wet))
    found = []
    evidence: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for number, knob in enumerate(knobs):
        for kind in _kinds(knob):
            if kind not in evidence:
                evidence[kind] = EVIDENCE[kind](dry, wet, sample_rate)
            where, height = evidence[kind]
            found += [(number, knob.to_unit(value)) for value in _peaks(knob, where, height, kind)]
    return found


def _kinds(knob: Knob) -> list[str]:
    if knob.unit == "ms":
        return ["lag"]
    if knob.unit == "s":
        return []
    if knob.unit == "Hz":
        return [*(["level"] if knob.low < SLOW else []), *(["ratio"] if knob.high > 1.0 else [])]
    return []


def _lag(dry: np.ndarray, wet: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Lags in ms, and how much of the dry sound comes back after each."""
    return np.arange(len(dry)) * 1000.0 / sample_rate, np.abs(Response(dry)(wet))


def _ratio(dry: np.ndarray, wet: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz, and how much the ratio of the two sounds swings at each."""
    size = 4 * len(dry)
    power = dry**2
    ratio = wet * dry / (power + 0.05 * power.mean())
    swing = np.abs(np.fft.rfft((ratio - ratio.mean()) * np.hanning(len(dry)), size))
    return np.fft.rfftfreq(size, 1.0 / sample_rate), swing


def _level(dry: np.ndarray, wet: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Rates in Hz, and how much the difference of the two log-mel pictures swings at each."""
    ours, theirs = (np.log(mel_power(x, sample_rate) + 1e-7) for x in (dry, wet))
    change = theirs - ours
    size = 8 * len(change)
    swing = np.abs(
        np.fft.rfft((change - change.mean(0)) * np.hanning(len(change))[:, None], size, 0)
    )
    return np.fft.rfftfreq(size, MEL_HOP / sample_rate), swing.mean(1)


EVIDENCE = {"lag": _lag, "ratio": _ratio, "level": _level}


def _peaks(knob: Knob, where: np.ndarray, height: np.ndarray, kind: str) -> list[float]:
    """The values of a knob at the highest peaks in its range, EACH at most; of frequencies between
    the values of `where`, by a parabola through the logarithms."""
    inside = np.flatnonzero((where > knob.low) & (where < knob.high))
    inside = inside[(inside > 0) & (inside < len(height) - 1)]
    risen = (height[inside] >= height[inside - 1]) & (height[inside] > height[inside + 1])
    peaks = inside[risen]
    chosen: list[float] = []
    for peak in peaks[np.argsort(-height[peaks], kind="stable")]:
        low, top, high = np.log(height[peak - 1 : peak + 2] + 1e-12)
        off = 0.5 * (low - high) / min(low - 2.0 * top + high, -1e-12) if kind != "lag" else 0.0
        value = float(where[peak] + off * (where[1] - where[0]))
        if all(abs(knob.to_unit(value) - knob.to_unit(other)) > APART for other in chosen):
            chosen.append(value)
        if len(chosen) == EACH[kind]:
            break
    return chosen
