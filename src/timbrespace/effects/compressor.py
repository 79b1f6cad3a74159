"""Compressor: what is loud becomes softer."""

from typing import Any

from timbrespace.effects.detector import gain, reduction
from timbrespace.effects.differentiable import Differentiable
from timbrespace.effects.knobs import Knob


class Compressor(Differentiable):
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

    def formula(self, x: Any, sample_rate: int, maths: Any, **values: Any) -> Any:
        return x * gain(-reduction(x, sample_rate, maths, **values), maths)
