"""Compressor: what is loud becomes softer."""

import numpy as np

from timbrespace.effects.detector import reduction
from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob


class Compressor(Effect):
    """Feed-forward, with a soft knee of 6 dB and no make-up gain (`detector.reduction`).

    Each channel is lowered by its own level.
    """

    name = "compressor"
    words = "what is above a threshold becomes softer"
    level = "softer above the threshold, kept below; no make-up gain"
    knobs = (
        Knob("threshold", "dB", -50.0, -5.0, -25.0),
        Knob("ratio", "", 1.5, 20.0, 4.0, "log"),
        Knob("attack", "ms", 0.1, 50.0, 5.0, "log"),
        Knob("release", "ms", 10.0, 500.0, 100.0, "log"),
    )

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        lowered = reduction(samples, sample_rate, **values).astype(np.float32)
        return samples * np.exp(lowered * np.float32(-np.log(10.0) / 20.0))
