"""Chorus: copies of a sound whose delays swing, so that they drift in pitch."""

from typing import Any

from timbrespace.effects.differentiable import Differentiable
from timbrespace.effects.knobs import Knob, Lag, Rate
from timbrespace.effects.moving import read, swing

SWING = 0.003  # seconds that a voice moves to either side at full depth
VOICES = (0.0, 0.25)  # where in its turn each voice begins


class Chorus(Differentiable):
    """Two voices a quarter turn apart, each behind by delay + depth * 3 ms * sine (Zölzer (ed.), DAFX,
    second edition, section 2.6.3)."""

    name = "chorus"
    words = "two copies that drift in pitch and time beside the sound"
    level = "softer where the copies do not agree, by about 4 dB for most sounds"
    knobs = (
        Rate("rate", "Hz", 0.1, 5.0, 0.8, "log", seconds=1.0),
        Knob("depth", "", 0.0, 1.0, 0.5),
        Lag("delay", "ms", 5.0, 25.0, 12.0),
        Knob("mix", "", 0.0, 1.0, 0.5),
    )
    dry = {"mix": 0.0}
    swings = True

    def formula(self, x: Any, sample_rate: int, maths: Any, **values: Any) -> Any:
        mix, now, start = values["mix"], maths.times(x), values.get("start", 0)
        made = (1.0 - mix) * x
        for phase in VOICES:
            swung = swing(x, sample_rate, values["rate"], maths, phase, start)
            behind = (0.001 * values["delay"] + SWING * values["depth"] * swung) * sample_rate
            made = made + mix / len(VOICES) * read(x, now - behind, maths)
        return made
