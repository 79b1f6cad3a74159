"""Ring modulation and tremolo: a sound times an oscillator, fast or slow."""

import numpy as np

from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob
from timbrespace.effects.moving import swing

HARDEST = 8.0  # at full shape the oscillator is tanh(8 sine), nearly a square


class Ringmod(Effect):
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

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        depth = values["depth"]
        wave = _wave(samples.shape[-1], sample_rate, values["carrier"], values["shape"])
        return samples * ((1.0 - depth) + depth * wave).astype(np.float32)


class Tremolo(Effect):
    """The level goes up and down `rate` times a second, from full down to 1 - depth (Zölzer (ed.), DAFX,
    second edition, section 3.3.2); `shape` leads from a sine to nearly a switch."""

    name = "tremolo"
    words = "the level goes up and down"
    level = "kept at the top of each swing, softer by depth at its bottom"
    knobs = (
        Knob("rate", "Hz", 1.0, 20.0, 5.0, "log", seconds=0.5),
        Knob("depth", "", 0.0, 1.0, 0.6),
        Knob("shape", "", 0.0, 1.0, 0.0),
    )
    dry = {"depth": 0.0}

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        wave = _wave(samples.shape[-1], sample_rate, values["rate"], values["shape"], 0.25)
        return samples * (1.0 - 0.5 * values["depth"] * (1.0 - wave)).astype(np.float32)


def _wave(n: int, sample_rate: int, rate: float, shape: float, phase: float = 0.0) -> np.ndarray:
    """An oscillator (n,) between -1 and 1, from a sine to nearly a square."""
    sine = swing(n, sample_rate, rate, phase)
    hard = max(1e-3, HARDEST * shape)
    return np.tanh(hard * sine) / np.tanh(hard)
