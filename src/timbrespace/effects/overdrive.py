"""Overdrive: a soft clipper between a gain and a low-pass."""

import numpy as np
from scipy.signal import butter, sosfilt

from timbrespace.audio.level import remove_dc
from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob


class Overdrive(Effect):
    """tanh(g x + b) - tanh(b) over its slope at rest, then a second-order Butterworth low-pass at `tone`.

    Quiet sounds keep their level and loud ones are pressed; the bias b makes even harmonics. A drive of
    0 dB still bends full scale by 2.4 dB, so there is no dry setting.
    """

    name = "overdrive"
    words = "soft clipping, even harmonics, and a tone that darkens"
    level = "quiet sounds keep theirs, loud ones are pressed"
    knobs = (
        Knob("drive", "dB", 0.0, 40.0, 15.0),
        Knob("tone", "Hz", 800.0, 7000.0, 4000.0, "log"),
        Knob("asymmetry", "", 0.0, 1.0, 0.2),
    )

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        gain = 10.0 ** (values["drive"] / 20.0)
        bias = 0.5 * values["asymmetry"]
        slope = gain / np.cosh(bias) ** 2
        bent = (np.tanh(gain * samples + bias) - np.tanh(bias)) / slope
        low_pass = butter(2, min(values["tone"], 0.45 * sample_rate), fs=sample_rate, output="sos")
        return np.asarray(sosfilt(low_pass, remove_dc(bent)), np.float32)
