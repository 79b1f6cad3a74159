"""Which pitch a sound has: a fundamental frequency every 32 ms, and one for a whole note.

Two trackers in turn. yin (de Cheveigne & Kawahara 2002) finds the period of a clean sound to a cent or
two, from 24 to 4500 Hz, and says how sure it is. Where it is not, a small network answers that was
taught to hear through noise: swift-f0 (Nieradzik 2025, arXiv 2508.18440), 46.9 to 2093 Hz. This order,
because on clean notes the network takes strong partials of mallets and organs for the pitch, and is up
to 20 cents flat at 1.5 kHz (bench/results/pitch.md). The network comes with timbrespace[pitch];
without it yin is alone, and noisy sounds have no pitch.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from timbrespace.audio.level import remove_dc
from timbrespace.errors import AudioError

RATE = 16_000  # Hz: what the network was taught with; every sound is brought there
HOP = 512  # samples from frame to frame
WINDOW = 2048  # samples that yin compares with themselves a period later
LOWEST, HIGHEST = 24.0, 4500.0  # Hz: a little more than a piano's
SURE = 0.1  # a dip of yin's difference so deep is a period (section II.D, step 4)
VOICED = 0.5  # least confidence of a frame that has a pitch
AUDIBLE_DB, LOUD_DB = (
    -60.0,
    -25.0,
)  # re the loudest frame: what is tracked, and what a note's pitch is of
LEAST = 0.2  # of a note's loud frames: so many are voiced, or it has no pitch
SILENT = 1e-6  # peak

_FINE = 4  # lags of yin's difference in a sample: at 4 kHz a period is four samples
_BLOCK = 256  # frames at a time: an hour takes no more memory than a note
_NETWORK_HOP = 256  # samples between the network's frames, of which every second is ours


@dataclass(frozen=True)
class Pitch:
    """The pitch of a sound every 32 ms, the first at its beginning; all (frames,).

    f0: Hz, always finite, a guess where confidence is below 0.5. confidence: 0 to 1. level_db: RMS
    re the loudest frame, at most 0; -inf is silence.
    """

    f0: np.ndarray
    confidence: np.ndarray
    level_db: np.ndarray

    @property
    def voiced(self) -> np.ndarray:
        """Which frames have a pitch."""
        return self.confidence >= VOICED

    @property
    def note(self) -> float | None:
        """The median of f0 over the voiced frames within 25 dB of the loudest, in Hz; None where
        fewer than a fifth of those frames are voiced."""
        loud = self.level_db >= LOUD_DB
        voiced = loud & self.voiced
        if not voiced.any() or voiced.sum() < LEAST * loud.sum():
            return None
        return float(np.median(self.f0[voiced]))


def track(samples: np.ndarray, sample_rate: int) -> Pitch:
    """The pitch of mono samples (n,) at any level; silence has none.

    A sound shorter than 0.17 s is one frame or few, whose longest period is half of it. AudioError for
    samples that are not mono or not finite.
    """
    sound = _prepared(samples, sample_rate)
    count = max(1, len(sound) // HOP) if len(sound) else 0
    f0, depth, energy = (np.concatenate(parts) for parts in zip(*_yin(sound, count), strict=True))
    loudest = energy.max(initial=0.0)
    with np.errstate(divide="ignore"):
        level = 10.0 * np.log10(energy / loudest) if loudest > 0.0 else np.full(count, -np.inf)
    # a dip of 0 is certain, the least that is sure counts as voiced
    confidence = np.clip(1.0 - (1.0 - VOICED) * depth / SURE, 0.0, 1.0)
    confidence[level < AUDIBLE_DB] = 0.0
    unsure = (confidence < VOICED) & (level >= AUDIBLE_DB)
    network = _network() if unsure.any() else None
    if network is not None:
        found = network.detect(sound, RATE)
        step = HOP // _NETWORK_HOP
        f0[unsure] = found.pitch_hz[::step][:count][unsure]
        confidence[unsure] = found.confidence[::step][:count][unsure]
    return Pitch(f0, confidence, level)


def note(samples: np.ndarray, sample_rate: int) -> float | None:
    """The pitch of a note in mono samples (n,), in Hz; None where it has none (`Pitch.note`)."""
    return track(samples, sample_rate).note


def to_hertz(midi: np.ndarray | float) -> Any:
    """Hz of MIDI numbers, which may have a fraction."""
    return 440.0 * 2.0 ** ((np.asarray(midi, np.float64) - 69.0) / 12.0)


def to_midi(hertz: np.ndarray | float) -> Any:
    """MIDI numbers of Hz; whole at the tempered scale of A = 440 Hz."""
    return 69.0 + 12.0 * np.log2(np.asarray(hertz, np.float64) / 440.0)


def without() -> str | None:
    """What the tracker cannot do here, and how it could; None where nothing is missing."""
    if find_spec("swift_f0") is not None:
        return None
    return (
        "swift-f0 is not installed, so the pitch of noisy sounds is not found: "
        "pip install 'timbrespace[pitch]'"
    )


def _prepared(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """The samples at 16 kHz, their peak 0.5: the network takes what is below 0.001 for silence."""
    import soxr

    sound = np.asarray(samples, np.float32)
    if sound.ndim != 1:
        raise AudioError(f"samples {sound.shape} are not mono (n,); mix the channels first")
    if sample_rate <= 0:
        raise AudioError(f"{sample_rate} Hz is no sample rate; give a positive number")
    if not np.isfinite(sound).all():
        where = int((~np.isfinite(sound)).argmax())
        raise AudioError(f"sample {where} is {sound[where]}, not a number; read the sound again")
    sound = remove_dc(sound)  # a constant repeats itself at every lag
    peak = float(np.abs(sound).max(initial=0.0))
    sound = sound * np.float32(0.5 / peak if peak > SILENT else 0.0)
    return sound if sample_rate == RATE else soxr.resample(sound, sample_rate, RATE)


def _yin(sound: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """f0, depth of the dip and energy of `count` frames, in blocks of frames.

    Frames lie inside the sound: near its ends several are the same one. Of a short sound the window is
    half.
    """
    if len(sound) < 4:
        return [(np.full(count, LOWEST), np.ones(count), np.zeros(count))]
    longest = min(int(RATE / LOWEST) + 2, len(sound) // 2)
    size = min(WINDOW + longest, len(sound))
    starts = np.clip(np.arange(count) * HOP - (size - longest) // 2, 0, len(sound) - size)
    every = np.lib.stride_tricks.sliding_window_view(sound, size)
    return [
        _dips(every[starts[at : at + _BLOCK]], size - longest) for at in range(0, count, _BLOCK)
    ]


def _dips(frames: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """f0 in Hz, depth of its dip and energy in the window of frames (F, window + longest lag), each
    (F,)."""
    from scipy.fft import next_fast_len

    longest = frames.shape[1] - window
    # d(lag) = |x|² + |x later by lag|² - 2 x·(x later): equation 7; the product by Fourier transforms
    # that are filled up with zeros, which gives it at fractions of a sample
    size: int = next_fast_len(frames.shape[1], real=True)  # type: ignore
    spectrum = np.fft.rfft(frames, size) * np.fft.rfft(frames[:, :window], size).conj()
    product = _FINE * np.fft.irfft(spectrum, _FINE * size)[:, : _FINE * longest]
    sums = np.cumsum(np.pad(np.square(frames, dtype=np.float64), ((0, 0), (1, 0))), axis=1)
    later = (sums[:, window:] - sums[:, : longest + 1]).astype(np.float32)
    lags = np.arange(_FINE * longest)
    whole, part = lags // _FINE, (lags % _FINE / _FINE).astype(np.float32)
    energy = later[:, whole] * (1.0 - part) + later[:, whole + 1] * part
    difference = np.maximum(energy[:, :1] + energy - 2.0 * product, 0.0)
    mean = np.cumsum(difference, axis=1) / (lags + 1.0).astype(np.float32)
    shortest = min(int(_FINE * RATE / HIGHEST), _FINE * longest - 3)
    # equation 8; where nothing sounds there is no dip
    normal = np.where(mean > 0.0, difference / np.where(mean > 0.0, mean, 1.0), 1.0)[:, shortest:]
    inner = normal[:, 1:-1]
    lowest = (inner < normal[:, :-2]) & (inner <= normal[:, 2:])
    deep = lowest & (inner < SURE)
    at = np.where(deep.any(1), deep.argmax(1), np.where(lowest, inner, np.inf).argmin(1)) + 1
    row = np.arange(len(frames))
    # step 5: the vertex of the parabola through d about the dip, not through d', which leans
    left, middle, right = (difference[row, shortest + at + k] for k in (-1, 0, 1))
    bend = left - 2.0 * middle + right
    vertex = np.where(bend > 0.0, 0.5 * (left - right) / np.where(bend > 0.0, bend, 1.0), 0.0)
    lag = (shortest + at + np.clip(vertex, -1.0, 1.0)) / _FINE
    depth = np.where(lowest.any(1), normal[row, at], 1.0)
    return RATE / lag.astype(np.float64), depth.astype(np.float64), later[:, 0].astype(np.float64)


@lru_cache(1)
def _network() -> Any:
    """swift-f0, made once; None where it is not installed."""
    if find_spec("swift_f0") is None:
        return None
    from swift_f0 import SwiftF0

    return SwiftF0(threads=1, spin=False)  # threads that wait busily take a core from others
