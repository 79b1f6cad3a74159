"""A small normalising flow: a density over tables of numbers that can be sampled and evaluated.

Real NVP (Dinh, Sohl-Dickstein & Bengio 2017, arXiv 1605.08803, section 3): each layer shifts and
scales one half of the numbers by a network of the other half; the halves are random and differ from
layer to layer.
"""

import math

import torch
from torch import Tensor, nn

from timbrespace.models.blocks import silent


class Coupling(nn.Module):
    """x (N, D) to y (N, D) with log |dy/dx| (N,); `keep` (D,) marks the half that stays."""

    keep: Tensor

    def __init__(self, keep: Tensor, hidden: int) -> None:
        super().__init__()
        size = len(keep)
        self.register_buffer("keep", keep)
        last = silent(hidden, 2 * size)
        self.net = nn.Sequential(
            nn.Linear(size, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last
        )

    def _scale_and_shift(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.net(x * self.keep).chunk(2, 1)
        moved = 1.0 - self.keep
        return 2.0 * torch.tanh(scale / 2.0) * moved, shift * moved

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self._scale_and_shift(x)
        return x * torch.exp(scale) + shift, scale.sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        scale, shift = self._scale_and_shift(y)
        return (y - shift) * torch.exp(-scale)


class Flow(nn.Module):
    """A density over rows of D numbers, from N(0, I) by `layers` couplings, an even number; it starts
    as N(0, I)."""

    def __init__(self, size: int, *, layers: int = 8, hidden: int = 96, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.size = size
        self.layers = nn.ModuleList()
        for _ in range(layers // 2):
            keep = torch.zeros(size)
            keep[torch.randperm(size, generator=generator)[: (size + 1) // 2]] = 1.0
            self.layers += [Coupling(keep, hidden), Coupling(torch.ones(size) - keep, hidden)]

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats (N,) of rows x (N, D)."""
        total = x.new_zeros(len(x))
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return total - 0.5 * (x.square().sum(1) + self.size * math.log(2.0 * math.pi))

    def sample(self, noise: Tensor) -> Tensor:
        """Rows (N, D) of noise N(0, I) (N, D)."""
        x = noise
        for layer in reversed(self.layers):
            x = layer.inverse(x)  # type: ignore[operator]
        return x
