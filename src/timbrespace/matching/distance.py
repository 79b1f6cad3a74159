"""How far a sound with an effect is from a reference.

Conventions
-----------
Sounds are (..., n) at one rate, equally long, in the place of each other: nothing is shifted or scaled here.
Several channels count as several sounds and are averaged. Equal sounds are 0 apart.
"""

from functools import lru_cache

import numpy as np

SIZES = (32, 128, 512, 2048, 8192, 32768)  # samples of a window; hops are half of it
LEAST_POWER = 1e-8  # of a bin: what is softer counts as this
MELS, MEL_SIZE, MEL_HOP = 64, 1024, 256
SEARCHED = (128, 2048)  # windows of the distance that is searched (bench/matching.py)
BITS = (8, 16)  # of files whose rounding can be heard beside silence
ABOVE = 8.0  # times its mean power: what noise reaches in one of 3,000 bins
DEPTH_DB = 80.0  # below the loudest cell of the reference everything counts as equally soft


def mr_stft(sound: np.ndarray, reference: np.ndarray, *, noise: float = 0.0) -> float:
    """The multi-resolution STFT distance in which style transfer of effects is told, without unit.

    The mean over `SIZES` of mean |difference of magnitudes| + mean |difference of their natural
    logarithms|; Hann windows, half a window apart, reflected ends, no spectral convergence (Steinmetz,
    Bryan & Reiss 2022, Style transfer of audio effects with differentiable signal processing, section
    3.3; auraloss with w_sc 0 equals it). What is too short for a window is followed by silence.
    `noise`: RMS of white noise in the reference that is not compared; bins that it can reach count as equal.
    """
    total = 0.0
    for size in SIZES:
        least = _least(size, noise)
        ours, theirs = (magnitudes(x, size, size // 2, least) for x in (sound, reference))
        total += float(np.abs(ours - theirs).mean())
        total += float(np.abs(np.log(ours) - np.log(theirs)).mean())
    return total / len(SIZES)


def rounding(sound: np.ndarray) -> float:
    """RMS of what was lost when a sound was rounded to 8 or 16 bits; 0 for one that was not."""
    for bits in BITS:
        steps = np.asarray(sound, np.float64) * 2.0 ** (bits - 1)
        if np.array_equal(steps, np.round(steps)):
            return 2.0 ** (1 - bits) / 12.0**0.5
    return 0.0


def log_mel_l1(sound: np.ndarray, reference: np.ndarray, sample_rate: int) -> float:
    """Mean |difference| in dB of the log-mel pictures, 80 dB deep below the reference's loudest cell."""
    ours, theirs = (mel_power(x, sample_rate) for x in (sound, reference))
    floor = max(float(theirs.max()), LEAST_POWER) * 10.0 ** (-DEPTH_DB / 10.0)
    one, other = (np.log10(np.maximum(x, floor)) for x in (ours, theirs))
    return 10.0 * float(np.abs(one - other).mean())


class Target:
    """What a search listens for: MR-STFT of two windows, of which the reference's side is kept."""

    def __init__(self, reference: np.ndarray, gain: float = 1.0) -> None:
        """`reference` (..., n); it and what is compared with it are heard times `gain`."""
        self.gain = np.float32(gain)
        self.noise = gain * rounding(reference)  # as in `mr_stft`
        self._reference = reference
        self._spectra = spectra(self.gain * reference, self.noise)

    def residual(self, sound: np.ndarray) -> np.ndarray:
        """What remains, (M,): magnitudes and their logarithms, minus the reference's; each part divided by
        its length, so that the absolute values sum to the distance. sound: of the reference's shape."""
        return spectra(self.gain * sound, self.noise) - self._spectra

    def difference(self, sound: np.ndarray) -> np.ndarray:
        """The sound minus the reference, sample by sample, (M,)."""
        return self.gain * (sound - self._reference).ravel()

    def distance(self, sound: np.ndarray) -> float:
        """`mr_stft` over the windows SEARCHED."""
        return float(np.abs(self.residual(sound)).sum())


def spectra(x: np.ndarray, noise: float = 0.0) -> np.ndarray:
    """Magnitudes and their logarithms of x (..., n) for the windows SEARCHED, (M,), each part divided by its
    length; `noise` as in `mr_stft`."""
    parts = []
    for size in SEARCHED:
        values = magnitudes(x, size, size // 2, _least(size, noise)).ravel()
        scale = np.float32(len(SEARCHED) * values.size)
        parts += [values / scale, np.log(values) / scale]
    return np.concatenate(parts)


def magnitudes(x: np.ndarray, size: int, hop: int, least_power: float = 0.0) -> np.ndarray:
    """|STFT| of x (..., n): (..., 1 + n // hop, size // 2 + 1), frames centred at multiples of `hop`."""
    from scipy.fft import rfft

    half = size // 2
    short = max(0, half + 1 - x.shape[-1])
    ends = [(0, 0)] * (x.ndim - 1)
    padded = np.pad(np.asarray(x, np.float32), [*ends, (0, short)])
    padded = np.pad(padded, [*ends, (half, half)], mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[..., ::hop, :]
    bins = np.asarray(rfft(frames * _hann(size), axis=-1))
    power = np.real(bins) ** 2 + np.imag(bins) ** 2
    return np.sqrt(np.maximum(power, least_power) if least_power else power)


def mel_power(x: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mel powers (..., frames, MELS) of x (..., n)."""
    return magnitudes(x, MEL_SIZE, MEL_HOP) ** 2 @ _mels(sample_rate)


def _least(size: int, noise: float) -> float:
    """The power of a bin that counts as silence, where there is white noise of this RMS."""
    return max(LEAST_POWER, ABOVE * noise**2 * float(np.square(_hann(size)).sum()))


@lru_cache(maxsize=16)
def _hann(size: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)).astype(np.float32)


@lru_cache(maxsize=8)
def _mels(sample_rate: int) -> np.ndarray:
    from timbrespace.features.mel import mel_filterbank

    return np.ascontiguousarray(mel_filterbank(sample_rate, MEL_SIZE, MELS).numpy().T)
