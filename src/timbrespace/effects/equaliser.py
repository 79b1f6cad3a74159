"""Equaliser: two shelves and a bell."""

import numpy as np
from scipy.signal import sosfilt

from timbrespace.effects.effect import Effect
from timbrespace.effects.filters import high_shelf, low_shelf, peak, radians
from timbrespace.effects.knobs import Knob


class Equaliser(Effect):
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

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        sections = [
            low_shelf(radians(values["low_frequency"], sample_rate), values["low_gain"]),
            peak(
                radians(values["mid_frequency"], sample_rate), values["mid_gain"], values["mid_q"]
            ),
            high_shelf(radians(values["high_frequency"], sample_rate), values["high_gain"]),
        ]
        return np.asarray(sosfilt(np.array(sections), samples), np.float32)
