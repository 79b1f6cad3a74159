"""Chorus: copies of a sound whose delays swing, so that they drift in pitch."""

import numpy as np

from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob
from timbrespace.effects.moving import read, swing

SWING = 0.003  # seconds that a voice moves to either side at full depth
VOICES = (0.0, 0.25)  # where in its turn each voice begins


class Chorus(Effect):
    """Two voices a quarter turn apart, each behind by delay + depth * 3 ms * sine (Zölzer (ed.), DAFX,
    second edition, section 2.6.3)."""

    name = "chorus"
    words = "two copies that drift in pitch and time beside the sound"
    level = "up to 3 dB softer where the copies do not agree"
    knobs = (
        Knob("rate", "Hz", 0.1, 5.0, 0.8, "log", seconds=1.0),
        Knob("depth", "", 0.0, 1.0, 0.5),
        Knob("delay", "ms", 5.0, 25.0, 12.0),
        Knob("mix", "", 0.0, 1.0, 0.5),
    )
    dry = {"mix": 0.0}

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        n, mix = samples.shape[-1], np.float32(values["mix"])
        made = (1 - mix) * samples
        for phase in VOICES:
            behind = 0.001 * values["delay"] + values["depth"] * SWING * swing(
                n, sample_rate, values["rate"], phase
            )
            made += mix / len(VOICES) * read(samples, np.arange(n) - behind * sample_rate)
        return made
