"""Reverb: noise that dies away, high notes first."""

from functools import lru_cache

import numpy as np
from scipy.fft import next_fast_len

from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob

LOWEST = 250.0  # Hz, where the lowest of the bands, an octave each, ends
SHORTEST, LONGEST = 0.2, 4.0  # seconds in which a small and a large room lose 60 dB
SEED = 1979


class Reverb(Effect):
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
        Knob("predelay", "ms", 0.0, 80.0, 10.0),
        Knob("mix", "", 0.0, 1.0, 0.3),
    )
    dry = {"mix": 0.0}

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        n, mix = samples.shape[-1], np.float32(values["mix"])
        late = round(0.001 * values["predelay"] * sample_rate)
        wet = np.zeros_like(samples)
        if late < n:
            heard = n - late
            room = impulse_response(values["size"], values["damping"], sample_rate)[:heard]
            size = next_fast_len(heard + len(room) - 1, real=True)
            product = np.fft.rfft(samples[..., :heard], size) * np.fft.rfft(room, size)
            wet[..., late:] = np.fft.irfft(product, size)[..., :heard]
        return (1 - mix) * samples + mix * wet


def decay_time(size: float, damping: float, frequency: np.ndarray) -> np.ndarray:
    """Seconds in which the room loses 60 dB at `frequency` Hz."""
    return SHORTEST * (LONGEST / SHORTEST) ** size / (1.0 + damping * frequency / 1000.0)


def impulse_response(size: float, damping: float, sample_rate: int) -> np.ndarray:
    """The room's answer to a click, (n,) float32, until the slowest band lost 60 dB; of energy 1."""
    noise, middles = _bands(sample_rate)
    times = decay_time(size, damping, middles)
    n = max(1, round(float(times.max()) * sample_rate))
    pace = (np.log(1000.0) / (times * sample_rate)).astype(np.float32)  # nepers a sample
    room = np.zeros(n, np.float32)
    energy = 0.0
    for band, slow in zip(noise, pace, strict=True):
        room += band[:n] * np.exp(-slow * np.arange(n, dtype=np.float32))
        energy += float(np.mean(band**2)) / -np.expm1(-2.0 * float(slow))
    return room / np.float32(np.sqrt(energy))


@lru_cache(maxsize=4)
def _bands(sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """White noise as long as the longest room in bands of an octave (bands, n), and their middles in Hz."""
    n = round(LONGEST * sample_rate)
    spectrum = np.fft.rfft(np.random.default_rng(SEED).standard_normal(n))
    frequencies = np.linspace(0.0, sample_rate / 2.0, len(spectrum))
    edges = [0.0, LOWEST]
    while edges[-1] < sample_rate / 2.0:
        edges.append(2.0 * edges[-1])
    pairs = list(zip(edges[:-1], edges[1:], strict=True))
    bands = [np.fft.irfft(spectrum * ((frequencies >= a) & (frequencies < b)), n) for a, b in pairs]
    middles = [LOWEST / 2.0, *(np.sqrt(a * b) for a, b in pairs[1:])]
    return np.stack(bands).astype(np.float32), np.array(middles)
