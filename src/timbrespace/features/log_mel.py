"""The log-mel picture: loudness over pitch and time, in dB below the loudest cell of the sound.

Powers are those of librosa's melspectrogram (power 2, Slaney, Hann, centred on zero padding),
decibels those of power_to_db.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from timbrespace.features.decibels import Decibels, Refine
from timbrespace.features.inversion import INVERSIONS, mel_plan, pull_to_mel
from timbrespace.features.mel import blocks, hz_to_mel, mel_centres, mel_filterbank


@dataclass(frozen=True)
class LogMel(Decibels):
    """Settings of the log-mel picture; `analyse` and `invert` are each other's inverse.

    mels is the picture's height; the rest as in `Decibels`. Pictures are (*, mels, frames).
    """

    mels: int = 80

    kind: ClassVar[str] = "log_mel"
    stated: ClassVar[dict[str, Any]] = {**Decibels.stated, "mel_scale": "slaney", "norm": "slaney"}
    ranges: ClassVar[dict[str, tuple[float, float]]] = {**Decibels.ranges, "mels": (8, 1024)}

    def __post_init__(self) -> None:
        super().__post_init__()
        mel_filterbank(self.sample_rate, self.n_fft, self.mels)

    @property
    def shape(self) -> tuple[int, int]:
        """(mels, frames) of every picture that `analyse` makes."""
        return self.mels, self.frames

    @property
    def words(self) -> str:
        return f"{self.mels} mels by {self.frames} frames"

    @property
    def frequencies(self) -> Tensor:
        return mel_centres(self.sample_rate, self.mels)

    def row_of(self, hertz: float) -> float:
        return hz_to_mel(hertz)

    def _fill(self, linear: Tensor, power: Tensor) -> None:
        for mels, bins, weights in _constants(self, linear.device)[1]:
            torch.mm(linear[:, bins], weights, out=power[:, mels])

    def _linear(self, power: Tensor, inversion: str) -> tuple[Tensor, Refine | None]:
        bank = _constants(self, power.device)[0]
        plan = mel_plan(bank)
        magnitude = INVERSIONS[inversion](power, bank).sqrt_()
        return magnitude, lambda index, found: pull_to_mel(found, power[index], plan)

    def _loudness(self, device: torch.device) -> Tensor:
        return _loudness_weights(self, device)


@lru_cache(maxsize=16)
def _loudness_weights(feature: LogMel, device: torch.device) -> Tensor:
    """Weights (mels,) with which the mel powers of a frame add up to its mean square."""
    bank = mel_filterbank(feature.sample_rate, feature.n_fft, feature.mels).double()
    flat = torch.linalg.lstsq(bank.T, torch.ones(bank.shape[1], 1).double(), driver="gelsd")
    window = torch.hann_window(feature.n_fft).double()
    scale = 2.0 / (feature.n_fft * window.square().sum())
    return (flat.solution[:, 0].clamp_min(0.0) * scale).float().to(device)


@lru_cache(maxsize=16)
def _constants(
    feature: LogMel, device: torch.device
) -> tuple[Tensor, list[tuple[slice, slice, Tensor]]]:
    """The filterbank, whole and as blocks: mels, bins, weights (bins, mels)."""
    bank = mel_filterbank(feature.sample_rate, feature.n_fft, feature.mels)
    parts = [(m, b, weights.T.contiguous().to(device)) for m, b, weights in blocks(bank)]
    return bank.to(device), parts
