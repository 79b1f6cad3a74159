"""Bitcrush: fewer levels, fewer samples."""

import numpy as np

from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob


class Bitcrush(Effect):
    """Each sample held until the next tick of `rate`, then rounded to multiples of 2^(1 - bits), without
    dither and without a filter, so that both the noise and the aliases are heard (Zölzer (ed.), DAFX,
    second edition, section 4.1). `bits` need not be whole. A `rate` above the sample rate holds nothing."""

    name = "bitcrush"
    words = "the noise of few bits and the aliases of a low sample rate"
    level = "kept to half a step; what is softer than that is silent"
    knobs = (
        Knob("bits", "", 2.0, 12.0, 6.0),
        Knob("rate", "Hz", 1000.0, 16000.0, 6000.0, "log"),
        Knob("mix", "", 0.0, 1.0, 1.0),
    )
    dry = {"mix": 0.0}
    swings = True

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        mix, steps = np.float32(values["mix"]), np.float32(2.0 ** (values["bits"] - 1.0))
        ticks = min(1.0, values["rate"] / sample_rate)  # a sample
        start = int(values.get("start", 0))
        now = start + np.arange(samples.shape[-1])
        held = np.ceil(np.floor(now * ticks) / ticks).astype(np.intp)
        held = np.maximum(np.minimum(held, now) - start, 0)  # rounding can lead to the next sample
        wet = np.rint(np.take(samples, held, axis=-1) * steps) / steps
        return (1 - mix) * samples + mix * wet
