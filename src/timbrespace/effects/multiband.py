"""Multiband compressor: low, middle and high, each with a threshold and a gain."""

from typing import Any

from timbrespace.effects.detector import gain, reduction
from timbrespace.effects.differentiable import Differentiable
from timbrespace.effects.filters import all_pass, radians, split
from timbrespace.effects.knobs import Knob

RATIO, ATTACK = 4.0, 5.0  # of all bands; ms
PACE = 1000.0  # Hz at which levels are followed: five steps an attack


class Multiband(Differentiable):
    """Linkwitz-Riley crossovers of fourth order, a compressor (4:1, 5 ms attack) and a gain in each band.

    With gains of 0 dB and nothing above a threshold the bands sum to an all-pass: level kept at every
    frequency, phase turned at the crossovers, so there is no dry setting.
    """

    name = "multiband"
    words = "low, middle and high, each compressed and made louder or softer"
    level = "softer above the thresholds, then up to 12 dB up or down in each band"
    knobs = (
        Knob("low_crossover", "Hz", 80.0, 500.0, 200.0, "log"),
        Knob("high_crossover", "Hz", 1000.0, 6000.0, 2500.0, "log"),
        Knob("low_threshold", "dB", -50.0, -5.0, -25.0),
        Knob("mid_threshold", "dB", -50.0, -5.0, -25.0),
        Knob("high_threshold", "dB", -50.0, -5.0, -25.0),
        Knob("low_gain", "dB", -12.0, 12.0, 0.0),
        Knob("mid_gain", "dB", -12.0, 12.0, 0.0),
        Knob("high_gain", "dB", -12.0, 12.0, 0.0),
        Knob("release", "ms", 10.0, 500.0, 100.0, "log"),
    )

    def formula(self, x: Any, sample_rate: int, maths: Any, **values: Any) -> Any:
        xp = maths.xp
        first = radians(values["low_crossover"], sample_rate, xp)
        second = radians(values["high_crossover"], sample_rate, xp)
        low, rest = split(x, first, maths)
        low = maths.filtered(low, [all_pass(second, xp)])  # turned as the other two are
        mid, high = split(rest, second, maths)
        made = 0.0 * x
        for name, band in (("low", low), ("mid", mid), ("high", high)):
            lowered = reduction(
                band, sample_rate, maths, threshold=values[f"{name}_threshold"], ratio=RATIO,
                attack=ATTACK, release=values["release"], pace=PACE,
            )  # fmt: skip
            made = made + band * gain(values[f"{name}_gain"] - lowered, maths)
        return made
