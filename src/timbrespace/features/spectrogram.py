"""The spectrogram with evenly spaced frequencies, in dB below the loudest cell of the sound.

Nothing is lost but phase: every bin of the transform is a row. The topmost, half the sample rate, is
left out, so that the height is a power of two where n_fft is one.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from timbrespace.features.decibels import Decibels, Refine


@dataclass(frozen=True)
class Spectrogram(Decibels):
    """Settings of the spectrogram; pictures are (*, n_fft // 2, frames). See `Decibels`."""

    kind: ClassVar[str] = "spectrogram"

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_fft // 2, self.frames

    @property
    def words(self) -> str:
        return f"{self.height} frequencies by {self.frames} frames"

    @property
    def frequencies(self) -> Tensor:
        return torch.arange(self.height, dtype=torch.float64) * self.sample_rate / self.n_fft

    def row_of(self, hertz: float) -> float:
        return hertz

    def _fill(self, linear: Tensor, power: Tensor) -> None:
        power.copy_(linear[:, :-1])

    def _linear(self, power: Tensor, inversion: str) -> tuple[Tensor, Refine | None]:
        return torch.nn.functional.pad(power.sqrt(), (0, 0, 0, 1)), None

    def _loudness(self, device: torch.device) -> Tensor:
        # Parseval: all bins but the first stand for two, that of the negative frequency too
        window = torch.hann_window(self.n_fft).double()
        weights = torch.full((self.height,), 2.0, dtype=torch.float64)
        weights[0] = 1.0
        return (weights / (self.n_fft * window.square().sum())).float().to(device)
