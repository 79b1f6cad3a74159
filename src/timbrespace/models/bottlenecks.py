"""Bottlenecks: hidden numbers (B, H) to a latent whose rate can be measured."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from timbrespace.models.codes import Codebooks

if TYPE_CHECKING:
    from timbrespace.models.linear_start import LinearCode


def kl_per_dimension(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)) of each number, nats, shape (B, Z).

    -1/2 (1 + log s^2 - m^2 - s^2): Kingma & Welling 2014, appendix B.
    """
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar)


def begin_head(head: nn.Linear, weight: Tensor | float, bias: Tensor) -> None:
    """Give a linear layer its first values."""
    with torch.no_grad():
        head.weight.copy_(torch.as_tensor(weight).expand_as(head.weight))
        head.bias.copy_(bias)


@dataclass(frozen=True)
class Latent:
    """What a bottleneck makes of a batch: the numbers that a decoder gets, and what they cost.

    This one is a diagonal Gaussian per sound with the prior N(0, 1). mean (B, Z) is the sound's place
    in the space, logvar (B, Z) the log of the variance around it. `terms` are raw loss terms of the
    bottleneck itself, by name; the recipe holds their weights. `codes` are whole numbers
    (B, positions, levels) where the latent is quantised.
    """

    mean: Tensor
    logvar: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    codes: Tensor | None = None

    def sample(self, noise: Tensor) -> Tensor:
        """z (B, Z) of noise N(0, 1) (B, Z): mean + noise * standard deviation, the
        reparameterisation of Kingma & Welling 2014."""
        return self.mean + noise * torch.exp(0.5 * self.logvar)

    def nats(self, z: Tensor) -> Tensor:
        """What each number of a sampled z costs, nats (B, Z): the KL divergence to the prior."""
        return kl_per_dimension(self.mean, self.logvar)


class Bottleneck(nn.Module):
    """What all bottlenecks have: the size of their flat latent, how it falls into levels, and its
    codes where it is quantised."""

    latent: int
    levels: tuple[int, ...]
    codebooks: Codebooks | None = None

    @property
    def heard(self) -> int:
        """How many of its numbers, the first, say what heads read and what is gathered: all, unless some
        belong to something else."""
        return self.latent

    def entrance(self) -> nn.Module:
        """What the decoder does first with flat latents (B, Z), which keeps their shape."""
        return nn.Identity()

    def begin(self, code: "LinearCode") -> Tensor | None:
        """Become a linear code; returns (Z, Z), in whose column j stands what one unit of number j is
        on the code's components. None, and nothing done, where a kind knows no such start."""
        return None


class Gaussian(Bottleneck):
    """Two linear heads; logvar is kept within [-12, 6] so that exp never overflows in bfloat16.

    With `spread`, batch normalisation gives each mean that standard deviation over the sounds, about
    a learned centre (BN-VAE: Zhu et al. 2020, arXiv 2004.12585). It acts on the means before anything
    is sampled, so the KL is that of what is sampled: per dimension at least spread^2 / 2 nats on
    average over a batch, as long as the encoder tells sounds apart at all: where all its units are
    dead there is nothing to normalise. Normalising z after the KL would hide its rate.
    """

    def __init__(self, width: int, *, latent: int = 32, spread: float = 0.0) -> None:
        super().__init__()
        self.mean = nn.Linear(width, latent)
        self.logvar = nn.Linear(width, latent)
        self.latent, self.levels = latent, (latent,)
        self.spread = spread
        if spread:
            # the usual 1e-5 is more than the variance of a pooled wave: an encoder that shrinks its
            # means below it leaves the prior, and the latent is empty
            self.norm = nn.BatchNorm1d(latent, affine=False, eps=1e-12)
            self.centre = nn.Parameter(torch.zeros(latent))

    def begin(self, code: "LinearCode") -> Tensor | None:
        if self.spread:
            return None
        begin_head(self.mean, code.mean_weight, code.mean_bias)
        begin_head(self.logvar, 0.0, code.logvar)
        return code.units

    def forward(self, h: Tensor) -> Latent:
        mean = self.mean(h).float()
        if self.spread:
            mean = self.spread * self.norm(mean) + self.centre
        return Latent(mean, self.logvar(h).float().clamp(-12.0, 6.0))
