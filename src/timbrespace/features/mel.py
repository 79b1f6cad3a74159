"""The mel filterbank: triangles over frequency, equally spaced in pitch perception.

The scale is Slaney's (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above; every
triangle has area 1 over hertz, so that white noise is flat in power per hertz. These are librosa's
defaults, the definition that the data sets of this field were made with.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from timbrespace.errors import RecipeError

_LINEAR_STEP = 200.0 / 3.0  # hertz per mel below the corner
_CORNER_HZ = 1000.0
_CORNER_MEL = _CORNER_HZ / _LINEAR_STEP  # 15 mel
_LOG_STEP = math.log(6.4) / 27.0  # 27 mel take 1 kHz to 6.4 kHz


def hz_to_mel(hz: float) -> float:
    """Slaney mel of a frequency in hertz."""
    if hz < _CORNER_HZ:
        return hz / _LINEAR_STEP
    return _CORNER_MEL + math.log(hz / _CORNER_HZ) / _LOG_STEP


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Frequencies in hertz of Slaney mels; the inverse of `hz_to_mel`."""
    logarithmic = _CORNER_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _CORNER_MEL) - _CORNER_MEL))
    return np.where(mel < _CORNER_MEL, mel * _LINEAR_STEP, logarithmic)


def mel_centres(sample_rate: int, mels: int) -> Tensor:
    """Frequencies (mels,) in hertz at which the triangles of the filterbank have their peaks."""
    corners = mel_to_hz(np.linspace(0.0, hz_to_mel(sample_rate / 2.0), mels + 2))
    return torch.from_numpy(corners[1:-1])


@lru_cache(maxsize=16)
def _filterbank(sample_rate: int, n_fft: int, mels: int) -> np.ndarray:
    top = sample_rate / 2.0
    bins = np.linspace(0.0, top, n_fft // 2 + 1)
    corners = mel_to_hz(np.linspace(0.0, hz_to_mel(top), mels + 2))
    low, centre, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    weights = (triangles * (2.0 / (high - low))).astype(np.float32)
    empty = int((weights.max(axis=1) <= 0.0).sum())
    if empty:
        raise RecipeError(
            f"{mels} mels are too many for n_fft {n_fft} at {sample_rate} Hz: {empty} of them "
            "would contain no frequency bin; use fewer mels or a larger n_fft"
        )
    return weights


def mel_filterbank(sample_rate: int, n_fft: int, mels: int) -> Tensor:
    """Weights (mels, n_fft // 2 + 1) that take a power spectrum to mel powers, float32.

    Units: 1 / hertz (each row has unit area). RecipeError when a mel would contain no bin.
    """
    return torch.from_numpy(_filterbank(sample_rate, n_fft, mels).copy())


Block = tuple[slice, slice, Tensor]  # output rows, input rows, weights


def blocks(matrix: Tensor, count: int = 5) -> list[Block]:
    """A banded matrix as `count` dense float32 blocks of its rows, without most of its zeros."""
    parts = []
    for rows in np.array_split(np.arange(matrix.shape[0]), min(count, matrix.shape[0])):
        part = matrix[int(rows[0]) : int(rows[-1]) + 1]
        used = torch.nonzero(part.abs().sum(0) > 0)[:, 0]
        low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        weights = part[:, low:high].float().contiguous()
        parts.append((slice(int(rows[0]), int(rows[-1]) + 1), slice(low, high), weights))
    return parts
