"""Bottlenecks: hidden numbers (B, H) to a latent whose rate can be measured."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Latent:
    """A diagonal Gaussian per sound: mean and logvar, both (B, Z); logvar = log of the variance."""

    mean: Tensor
    logvar: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """z = mean + noise * standard deviation, the reparameterisation of Kingma & Welling 2014."""
        return self.mean + noise * torch.exp(0.5 * self.logvar)


class Gaussian(nn.Module):
    """Two linear heads; logvar is kept within [-12, 6] so that exp never overflows in bfloat16."""

    def __init__(self, width: int, *, latent: int = 32) -> None:
        super().__init__()
        self.mean = nn.Linear(width, latent)
        self.logvar = nn.Linear(width, latent)
        self.latent = latent

    def forward(self, h: Tensor) -> Latent:
        return Latent(self.mean(h).float(), self.logvar(h).float().clamp(-12.0, 6.0))
