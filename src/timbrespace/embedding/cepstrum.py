"""Mel-frequency cepstral coefficients, and the course that they take in a sound as one row of bytes.

The MFCCs are those with which Tian et al. 2025 (arXiv 2507.07764) agreed best with listeners: 44.1 kHz,
2048-sample Hann windows every 512, 128 mels of O'Shaughnessy's formula, triangles of height 1, decibels of
power down to -80 re the loudest cell, orthonormal DCT-II. They compare two sounds frame by frame, the
shorter filled up with silence, by the cosine of all their numbers at once.

A course keeps that in 962 bytes whatever the length, and leaves out what is no timbre:

- the level: every sound is brought to LEVEL_DB (RMS) as far as it sounds. The decibels' zero takes part in
  the cosine, and this one lies between the loudest cell and the floor;
- the frames: means over 24 blocks, the first of one frame (12 ms), each a fifth longer than the one before,
  4.5 s in all: fine at the attack, coarse in the sustain. A block counts by its frames;
- the silence behind: two sounds are compared as far as the longer one sounds. What both lack is no likeness.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from timbrespace.audio.files import checked_mono, resample

SAMPLE_RATE, N_FFT, HOP = 44100, 2048, 512
MELS, COEFFICIENTS = 128, 40
DEPTH_DB = 80.0  # below the loudest cell of a sound
LEVEL_DB = -30.0
WIDTHS = np.round(1.2 ** np.arange(24)).astype(int)  # frames of each block
EDGES = np.append(0, np.cumsum(WIDTHS))
STEP = np.where(np.arange(COEFFICIENTS) == 0, 8.0, 2.0)  # of the bytes: what they resolve
BYTES = 2 + len(WIDTHS) * COEFFICIENTS
AT_ONCE = 4096  # rows compared at a time


def decibels(samples: np.ndarray) -> np.ndarray:
    """The mel picture (MELS, frames) of samples (n,) at SAMPLE_RATE in decibels, down to -DEPTH_DB re its
    loudest cell."""
    window = torch.hann_window(N_FFT)
    sound = torch.from_numpy(np.asarray(samples, np.float32))
    transform = torch.stft(sound, N_FFT, HOP, window=window, return_complex=True)
    power = torch.view_as_real(transform).square().sum(-1)
    db = 10.0 * (_triangles() @ power).clamp_min(1e-10).log10().numpy()
    return np.maximum(db, db.max() - DEPTH_DB)


def mfcc(samples: np.ndarray) -> np.ndarray:
    """MFCCs (COEFFICIENTS, frames) of samples (n,) at SAMPLE_RATE."""
    return _cepstrum(decibels(samples))


def courses(sounds: Sequence[np.ndarray], sample_rate: int) -> np.ndarray:
    """The courses (N, BYTES) int8 of N mono sounds, each (samples,) of any length and level.

    A row: how many blocks sound, the first coefficient of silence, then the blocks in order of time, 40
    coefficients each; coefficients in units of STEP. Compare by `distances`. Silence is 0 throughout.
    AudioError when a sound is not mono or not finite.
    """
    table = np.zeros((len(sounds), BYTES), np.int8)
    for place, sound in enumerate(sounds):
        samples = checked_mono(sound, place)
        peak = float(np.abs(samples).max(initial=0.0))
        if peak > 0.0:
            table[place] = _course(resample(samples / peak, sample_rate, SAMPLE_RATE))
    return table


def distances(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distances (Q, N) from courses (Q, BYTES) to courses (N, BYTES): 1 - cosine over the blocks in which
    one of the two sounds, 0 to 2; of silence and anything 1, of two silences 0."""
    found = np.empty((len(queries), len(points)))
    ours = _open(queries)
    for start in range(0, len(points), AT_ONCE):
        theirs = _open(points[start : start + AT_ONCE])
        found[:, start : start + AT_ONCE] = _distances(ours, theirs)
    return found


def _course(samples: np.ndarray) -> np.ndarray:
    """The course (BYTES,) of samples (n,) at SAMPLE_RATE that are not silent."""
    samples = np.pad(samples, (0, max(0, N_FFT - len(samples))))
    db = decibels(samples)
    lowest = float(db.max()) - DEPTH_DB
    frames = int(np.flatnonzero((db > lowest).any(0))[-1]) + 1
    power = np.mean(np.square(samples[: frames * HOP], dtype=np.float64))
    gain = LEVEL_DB - 10.0 * np.log10(power)
    silence = np.full((MELS, EDGES[-1]), lowest)
    silence[:, :frames] = db[:, : min(frames, EDGES[-1])]
    means = np.add.reduceat(_cepstrum(silence + gain), EDGES[:-1], axis=1) / WIDTHS
    numbers = np.concatenate([
        [np.searchsorted(EDGES[:-1], frames), np.sqrt(MELS) * (lowest + gain) / STEP[0]],
        (means / STEP[:, None]).T.ravel(),
    ])  # fmt: skip
    return np.clip(np.round(numbers), -127, 127).astype(np.int8)


def _open(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of rows (N, BYTES): blocks that sound (N,), the first coefficient of silence (N,), and all numbers
    (N, BYTES - 2), so weighted that a product of two is one of all frames."""
    blocks = rows[:, 2:].reshape(len(rows), len(WIDTHS), COEFFICIENTS)
    weighted = blocks * (np.sqrt(WIDTHS)[:, None] * STEP)
    return rows[:, 0].astype(int), rows[:, 1] * STEP[0], weighted.reshape(len(rows), -1)


def _distances(ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> np.ndarray:
    (end, low, x), (other_end, other_low, y) = ours, theirs
    silent = (EDGES[-1] - EDGES)[np.maximum(end[:, None], other_end)]  # frames that both lack
    product = x @ y.T - silent * low[:, None] * other_low
    one = np.square(x).sum(1)[:, None] - silent * low[:, None] ** 2
    other = np.square(y).sum(1) - silent * other_low**2
    norms = np.sqrt(np.maximum(one, 0.0) * np.maximum(other, 0.0))
    found = np.clip(1.0 - product / np.where(norms > 0.0, norms, np.inf), 0.0, 2.0)
    return np.where((one <= 0.0) & (other <= 0.0), 0.0, found)


def _cepstrum(db: np.ndarray) -> np.ndarray:
    from scipy.fft import dct

    return np.asarray(dct(db, axis=0, norm="ortho"))[:COEFFICIENTS]


@lru_cache(maxsize=1)
def _triangles() -> Tensor:
    """Weights (mels, bins) of filters whose corners are equally far apart in 2595 log10(1 + f / 700)."""
    top = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2.0 / 700.0)
    corners = 700.0 * (10.0 ** (np.linspace(0.0, top, MELS + 2) / 2595.0) - 1.0)
    hertz = np.linspace(0.0, SAMPLE_RATE / 2.0, N_FFT // 2 + 1)
    rising = (hertz - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - hertz) / np.diff(corners)[1:, None]
    return torch.from_numpy(np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32))
