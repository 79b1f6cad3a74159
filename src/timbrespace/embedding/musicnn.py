"""A fixed embedding of sounds by timbre and envelope: the front end of musicnn.

musicnn (Pons & Serra 2019, arXiv 1909.06654) was trained to tell the tags that listeners gave to the
26 thousand clips of MagnaTagATune. Its first layer has 561 filters over a log-mel picture, of which the
training left 185 alive: 123 "timbral" ones that are seven frames short and tall, each taken at its best
place in frequency, and 62 "temporal" ones that are one mel wide and up to two seconds long, each at its
best mel. Their mean and standard deviation over time describe a sound, whatever its length. The weights
come with the package (`build_weights.py` made them from the authors' own file) and nothing is fetched.

The picture: 16 kHz mono, 512-sample Hann windows every 256, power in 96 mels, log10(1 + 10000 x).
It knows the level, so every sound is brought to a peak of 1 first.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from timbrespace.audio.files import checked_mono, resample
from timbrespace.features.mel import mel_filterbank

WEIGHTS = Path(__file__).parent / "weights" / "musicnn-front-end.safetensors"
SAMPLE_RATE = 16000
N_FFT, HOP, MELS = 512, 256, 96
TIMBRAL = ("timbral_38", "timbral_67")  # by how many mels a filter sees
TEMPORAL = ("temporal_128", "temporal_64", "temporal_32")  # by how many frames
DIMENSIONS = 2 * 185
BLOCK = 128  # frames at a time: what is made of them stays near the processor


@lru_cache(maxsize=1)
def _weights() -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return {name: value.float() for name, value in load_file(WEIGHTS).items()}


def embed(sounds: Sequence[np.ndarray], sample_rate: int) -> np.ndarray:
    """Points (N, DIMENSIONS) float32 of N mono sounds, each (samples,) of any length and level.

    Silence is filled up to one second; what is silent or empty gives the point of silence. Compare by
    the cosine (`geometry.distance`). AudioError when a sound is not mono or not finite.
    """
    table = np.empty((len(sounds), DIMENSIONS), np.float32)
    for place, sound in enumerate(sounds):
        samples = checked_mono(sound, place)
        if samples.size:
            samples = resample(samples, sample_rate, SAMPLE_RATE)
        table[place] = _point(samples)
    return table


def _point(sound: np.ndarray) -> np.ndarray:
    """Mean and deviation over time of what the filters find in `sound` (samples,) at SAMPLE_RATE."""
    weights = _weights()
    peak = float(np.abs(sound).max(initial=0.0))
    samples = torch.from_numpy(sound / peak if peak > 0.0 else sound)
    samples = torch.nn.functional.pad(samples, (0, max(0, SAMPLE_RATE - len(samples))))
    total = torch.zeros(2, DIMENSIONS // 2, dtype=torch.float64)
    frames = 0
    with torch.inference_mode():
        picture = _log_mel(samples) * weights["input.factor"] + weights["input.addend"]
        reach = 128  # frames of the longest filter: half lie before, half behind
        padded = torch.nn.functional.pad(picture, (0, 0, reach // 2 - 1, reach // 2))
        for start in range(0, len(picture), BLOCK):
            found = _front_end(padded[start : start + BLOCK + reach - 1]).double()
            total += torch.stack([found.sum(0), found.square().sum(0)])
            frames += len(found)
    mean, power = (total / frames).numpy()
    return np.concatenate([mean, np.sqrt(np.maximum(power - mean**2, 0.0))])


def _log_mel(samples: Tensor) -> Tensor:
    """The picture (frames, MELS) of samples at SAMPLE_RATE."""
    window = torch.hann_window(N_FFT)
    transform = torch.stft(
        samples, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True
    )
    power = torch.view_as_real(transform).square().sum(-1)
    return torch.log10(1.0 + 10000.0 * (power.T @ mel_filterbank(SAMPLE_RATE, N_FFT, MELS).T))


def _front_end(padded: Tensor) -> Tensor:
    """What each filter finds at each frame: (T, 185) of a picture with its surroundings (T + 127, MELS).

    Of every filter the greatest answer over frequency is kept. As everything behind the filter rises
    with the answer (or falls, see `build_weights`), the greatest is taken first and the rest is done once.
    """
    weights = _weights()
    frames = len(padded) - 127
    found = []
    # all windows of seven frames side by side: every position in frequency is then a matrix product
    windows = padded[60 : 60 + frames + 6].unfold(0, 7, 1).reshape(frames, -1)
    for name in TIMBRAL:
        kernel = weights[f"{name}.kernel"]
        greatest, answer = torch.full((2, frames, kernel.shape[1]), -torch.inf)
        for low in range(0, windows.shape[1] - len(kernel) + 1, 7):
            torch.mm(windows[:, low : low + len(kernel)], kernel, out=answer)
            torch.maximum(greatest, answer, out=greatest)
        found.append(_normalised(name, greatest))
    for name in TEMPORAL:
        kernel = weights[f"{name}.kernel"]
        before = 64 - len(kernel[0, 0]) // 2
        near = padded[before : len(padded) - before]
        answers = torch.nn.functional.conv2d(near[None, None], kernel)[0]
        found.append(_normalised(name, answers.amax(2).T))
    return torch.cat(found, 1)


def _normalised(name: str, greatest: Tensor) -> Tensor:
    """Rectified and batch-normalised answers (T, filters)."""
    weights = _weights()
    factor = weights[f"{name}.factor"]
    answer = greatest * torch.sign(factor) + weights[f"{name}.bias"]
    return answer.relu() * factor + weights[f"{name}.addend"]
