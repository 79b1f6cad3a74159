"""Ring modulation and tremolo: a sound times an oscillator, fast or slow."""

from typing import Any

from timbrespace.effects.differentiable import Differentiable
from timbrespace.effects.knobs import Knob, Rate
from timbrespace.effects.moving import swing

HARDEST = 8.0  # at full shape the oscillator is tanh(8 sine), nearly a square


class Ringmod(Differentiable):
    """The sound times a carrier: every partial becomes two, the carrier's frequency above and below
    (Zölzer (ed.), DAFX, second edition, section 3.3.1); `shape` leads from a sine to nearly a square."""

    name = "ringmod"
    words = "every partial becomes a pair about itself, as of a bell or a robot"
    level = "3 dB softer at full depth with a sine, kept with a square"
    knobs = (
        Knob("carrier", "Hz", 20.0, 2000.0, 300.0, "log"),
        Knob("depth", "", 0.0, 1.0, 1.0),
        Knob("shape", "", 0.0, 1.0, 0.0),
    )
    dry = {"depth": 0.0}
    swings = True

    def formula(self, x: Any, sample_rate: int, maths: Any, **values: Any) -> Any:
        wave = _wave(x, sample_rate, values["carrier"], values, maths)
        return x * ((1.0 - values["depth"]) + values["depth"] * wave)


class Tremolo(Differentiable):
    """The level goes up and down `rate` times a second, from full down to 1 - depth (Zölzer (ed.), DAFX,
    second edition, section 3.3.2); `shape` leads from a sine to nearly a switch."""

    name = "tremolo"
    words = "the level goes up and down"
    level = "kept at the top of each swing, softer by depth at its bottom"
    knobs = (
        Rate("rate", "Hz", 1.0, 20.0, 5.0, "log", seconds=0.5),
        Knob("depth", "", 0.0, 1.0, 0.6),
        Knob("shape", "", 0.0, 1.0, 0.0),
    )
    dry = {"depth": 0.0}
    swings = True

    def formula(self, x: Any, sample_rate: int, maths: Any, **values: Any) -> Any:
        wave = _wave(x, sample_rate, values["rate"], values, maths, 0.25)
        return x * (1.0 - 0.5 * values["depth"] * (1.0 - wave))


def _wave(x: Any, sample_rate: int, rate: Any, values: Any, maths: Any, phase: float = 0.0) -> Any:
    """An oscillator beside the samples of x, between -1 and 1, from a sine to nearly a square."""
    sine = maths.single(swing(x, sample_rate, rate, maths, phase, values.get("start", 0)))
    hard = maths.xp.clip(HARDEST * values["shape"], 1e-3, None)
    return maths.xp.tanh(hard * sine) / maths.xp.tanh(hard)
