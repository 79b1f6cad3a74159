"""Phaser: notches that sweep, made by all-pass filters."""

import math
from typing import Any

from timbrespace.effects.differentiable import Differentiable
from timbrespace.effects.knobs import Knob, Rate
from timbrespace.effects.moving import swing

STAGES = 4
OCTAVES = 1.5  # to either side at full depth
LEAST = 1e-6  # feedback: -120 dB, so that nothing is divided by 0


class Phaser(Differentiable):
    """Half the sound and half of it through four all-pass filters of first order whose corner swings about
    `centre`, with feedback about them (Zölzer (ed.), DAFX, second edition, section 2.4.2). Without
    feedback the notches lie at 0.41 and 2.41 times the corner.

    With A one all-pass filter and g the feedback, w = A^4 (x + g w) is (1 / g) (1 / (1 - g A^4) - 1) x,
    and 1 / (1 - g A^4) is the mean over the four fourth roots r of g of 1 / (1 - r A): filters of first
    order beside one another, exact at every sample though the corner moves.
    """

    name = "phaser"
    words = "two notches that sweep up and down"
    level = "kept between the notches, up to 9.5 dB louder there with feedback"
    knobs = (
        Rate("rate", "Hz", 0.1, 5.0, 0.5, "log", seconds=1.0),
        Knob("depth", "", 0.0, 1.0, 0.7),
        Knob("centre", "Hz", 200.0, 4000.0, 900.0, "log"),
        Knob("feedback", "", 0.0, 0.8, 0.3),
    )
    swings = True

    def formula(self, x: Any, sample_rate: int, maths: Any, **values: Any) -> Any:
        xp = maths.xp
        start = values.get("start", 0)
        octaves = (
            OCTAVES * values["depth"] * swing(x, sample_rate, values["rate"], maths, 0.0, start)
        )
        corner = xp.clip(values["centre"] * xp.exp2(octaves) / sample_rate, None, 0.45)
        tangent = xp.tan(math.pi * corner)
        a = (tangent - 1.0) / (tangent + 1.0)  # A = (a + 1/z) / (1 + a / z)
        feedback = xp.clip(values["feedback"], LEAST, None)
        # Of the four roots two are real and two a pair, of which one is enough.
        mean = 0.0 * x
        driven = x + a * maths.late(x)
        for turn, share in ((1.0, 0.25), (-1.0, 0.25), (1j, 0.5)):
            root = turn * feedback ** (1.0 / STAGES)
            under = 1.0 / (1.0 - root * a)
            mean = mean + share * xp.real(maths.recurred((root - a) * under, driven * under))
        wet = (mean - x) / feedback
        return 0.5 * (x + wet)
