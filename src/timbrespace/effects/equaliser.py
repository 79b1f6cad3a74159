"""Equaliser: two shelves and a bell."""

from typing import Any

from timbrespace.effects.differentiable import Differentiable
from timbrespace.effects.filters import high_shelf, low_shelf, peak, radians
from timbrespace.effects.knobs import Knob


class Equaliser(Differentiable):
    """A low shelf, a bell and a high shelf in a row, by R. Bristow-Johnson's cookbook.

    Frequencies above nine tenths of half the sample rate stand there.
    """

    name = "eq"
    words = "three bands louder or softer: a low shelf, a bell, a high shelf"
    level = "up to 18 dB up or down in each band"
    knobs = (
        Knob("low_frequency", "Hz", 100.0, 600.0, 200.0, "log"),
        Knob("low_gain", "dB", -18.0, 18.0, 0.0),
        Knob("mid_frequency", "Hz", 300.0, 5000.0, 1000.0, "log"),
        Knob("mid_gain", "dB", -18.0, 18.0, 0.0),
        Knob("mid_q", "", 0.5, 5.0, 1.0, "log"),
        Knob("high_frequency", "Hz", 1500.0, 7000.0, 4000.0, "log"),
        Knob("high_gain", "dB", -18.0, 18.0, 0.0),
    )
    dry = {"low_gain": 0.0, "mid_gain": 0.0, "high_gain": 0.0}

    def formula(self, x: Any, sample_rate: int, maths: Any, **values: Any) -> Any:
        xp = maths.xp
        low, mid, high = (
            radians(values[f"{band}_frequency"], sample_rate, xp) for band in ("low", "mid", "high")
        )
        sections = [
            low_shelf(low, values["low_gain"], xp),
            peak(mid, values["mid_gain"], values["mid_q"], xp),
            high_shelf(high, values["high_gain"], xp),
        ]
        return maths.filtered(x, sections)
