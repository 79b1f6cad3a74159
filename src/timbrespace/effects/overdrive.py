"""Overdrive: a soft clipper between a gain and a low-pass."""

from typing import Any

from timbrespace.effects.differentiable import Differentiable
from timbrespace.effects.filters import high_pass, low_pass, radians
from timbrespace.effects.knobs import Knob

LOWEST = 20.0  # Hz: below this is no sound but the offset that the bias makes


class Overdrive(Differentiable):
    """tanh(g x + b) - tanh(b) over its slope at rest, then second-order Butterworth filters: what
    is below 20 Hz goes, and what is above `tone`.

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

    def formula(self, x: Any, sample_rate: int, maths: Any, **values: Any) -> Any:
        xp = maths.xp
        gain = 10.0 ** (values["drive"] / 20.0)
        # tanh(g x + b) - tanh(b), over its slope g (1 - tanh(b)^2), is t / (g (1 + t tanh(b))), t = tanh(g x).
        pressed = xp.tanh(gain * x)
        bent = pressed / (gain * (1.0 + pressed * xp.tanh(0.5 * values["asymmetry"])))
        tone = low_pass(radians(values["tone"], sample_rate, xp), xp)
        still = high_pass(radians(xp.asarray(LOWEST, dtype=xp.float64), sample_rate, xp), xp)
        return maths.filtered(bent, [still, tone])
