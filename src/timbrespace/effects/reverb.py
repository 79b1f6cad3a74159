"""Reverb: noise that dies away, high notes first."""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from timbrespace.effects.differentiable import Differentiable
from timbrespace.effects.knobs import Knob, Lag

LOWEST = 250.0  # Hz, where the lowest of the bands, an octave each, ends
SHORTEST, LONGEST = 0.2, 4.0  # seconds in which a small and a large room lose 60 dB
SEED = 1979


class Reverb(Differentiable):
    """Convolution with noise that decays at every frequency at its own pace.

    Moorer's model of a hall, exponentially decaying noise ("About this reverberation business", 1979), in
    bands of an octave: the time in which the level falls by 60 dB is T / (1 + damping f / 1 kHz), T from
    0.2 s to 4 s (the frequency-dependent decay of Jot and Chaigne 1991). The noise is always the same.
    """

    name = "reverb"
    words = "a room around the sound"
    level = "the room is about as loud as the sound"
    knobs = (
        Knob("size", "", 0.0, 1.0, 0.4),
        Knob("damping", "", 0.0, 1.0, 0.5),
        Lag("predelay", "ms", 0.0, 80.0, 10.0),
        Knob("mix", "", 0.0, 1.0, 0.3),
    )
    dry = {"mix": 0.0}

    def formula(self, x: Any, sample_rate: int, maths: Any, **values: Any) -> Any:
        room = impulse_response(values["size"], values["damping"], sample_rate, x, maths)
        wet = maths.convolved(x, room, 0.001 * values["predelay"] * sample_rate)
        return (1.0 - values["mix"]) * x + values["mix"] * wet


def decay_time(size: Any, damping: Any, frequency: Any) -> Any:
    """Seconds in which the room loses 60 dB at `frequency` Hz."""
    return SHORTEST * (LONGEST / SHORTEST) ** size / (1.0 + damping * frequency / 1000.0)


def impulse_response(size: Any, damping: Any, sample_rate: int, x: Any, maths: Any) -> Any:
    """The room's answer to a click, (..., m), until the slowest band lost 60 dB or x (..., n) ends; of
    energy 1 if it went on."""
    xp = maths.xp
    noise, middles, powers = (maths.constant(part, x) for part in _bands(sample_rate))
    seconds = decay_time(size, damping, middles)  # (..., bands)
    pace = math.log(1000.0) / (seconds * sample_rate)  # nepers a sample
    last = seconds[..., :1] * sample_rate
    steps = maths.times(x)[: math.ceil(maths.largest(last))]
    energy = (powers / -xp.expm1(-2.0 * pace)).sum(-1)[..., None]
    fading, beside = -maths.single(pace), maths.single(steps)
    room = sum(
        noise[band, : len(steps)] * xp.exp(fading[..., band : band + 1] * beside)
        for band in range(len(middles))
    )
    return room * maths.single((steps < last) / energy**0.5)


@lru_cache(maxsize=4)
def _bands(sample_rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """White noise as long as the longest room, in bands of an octave (bands, n), their middles in Hz and
    their mean squares (bands,)."""
    n = round(LONGEST * sample_rate)
    spectrum = np.fft.rfft(np.random.default_rng(SEED).standard_normal(n))
    frequencies = np.linspace(0.0, sample_rate / 2.0, len(spectrum))
    edges = [0.0, LOWEST]
    while edges[-1] < sample_rate / 2.0:
        edges.append(2.0 * edges[-1])
    pairs = list(zip(edges[:-1], edges[1:], strict=True))
    bands = [np.fft.irfft(spectrum * ((frequencies >= a) & (frequencies < b)), n) for a, b in pairs]
    middles = [LOWEST / 2.0, *(np.sqrt(a * b) for a, b in pairs[1:])]
    noise = np.stack(bands).astype(np.float32)
    return noise, np.array(middles), np.mean(noise**2, -1)
