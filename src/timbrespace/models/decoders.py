"""Decoders: a latent point (B, Z) and a condition vector (B, C) to a picture (B, 1, F, T), which may be
several stacked in height (see models.encoders)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from timbrespace.models.blocks import ACTIVATIONS, Attention, ResidualBlock, norms
from timbrespace.models.encoders import check_divisible, single


def told_to_levels(z: Tensor, condition: Tensor, *, film: bool, skip: bool) -> Tensor:
    """What every level of a decoder is told (B, *): the condition with `film`, z with `skip`."""
    parts = [condition] * film + [z.to(condition.dtype)] * skip
    return torch.cat(parts, 1) if parts else condition[:, :0]


class FrequencyFilm(nn.Module):
    """Scale and shift a map (B, channels, F, T) per channel and frequency, as the condition says.

    A convolution cannot know where the harmonics of a pitch lie; this layer tells it: from the
    condition it draws a profile over frequency for each channel, constant in time.
    (FiLM: Perez et al. 2018, arXiv 1709.07871, made frequency-dependent.) Starts as the identity.
    """

    def __init__(self, condition_size: int, channels: int, frequencies: int) -> None:
        super().__init__()
        self.map = nn.Linear(condition_size, 2 * channels * frequencies)
        nn.init.zeros_(self.map.bias)
        nn.init.normal_(self.map.weight, std=0.02)
        self.channels = channels

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.map(condition).view(len(x), 2 * self.channels, -1, 1).chunk(2, 1)
        return x * (1 + scale) + shift


class Conv2dDecoder(nn.Module):
    """A linear layer, then 4 x 4 transposed convolutions that double both sides of `stacked` pictures
    per level.

    `channels`, `norm` and `attention` as in the encoder, from the picture inwards. With `film` the
    condition also acts at each level through FrequencyFilm instead of at the entrance alone; with
    `skip` the latent does, too (generative skip connections: Dieng et al. 2019, arXiv 1807.04863).
    """

    def __init__(
        self, shape: tuple[int, int], latent: int, condition_size: int, *,
        channels: tuple[int, ...] = (16, 32, 64), residual: int = 0, hidden: int = 0,
        activation: str = "relu", norm: str = "none", attention: bool = False,
        film: bool = False, skip: bool = False, stacked: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        shape = single(shape, stacked)
        check_divisible(shape, len(channels))
        act = ACTIVATIONS[activation]
        scale = 2 ** len(channels)
        self.seed_shape = (channels[-1], shape[0] // scale, shape[1] // scale)
        seed = self.seed_shape[0] * self.seed_shape[1] * self.seed_shape[2]
        entrance: list[nn.Module] = []
        width = latent + condition_size
        if hidden:
            entrance = [nn.Linear(width, hidden), act()]
            width = hidden
        self.entrance = nn.Sequential(*entrance, nn.Linear(width, seed), act())
        self.film, self.skip = film, skip
        told = condition_size * film + latent * skip
        self.attention = Attention(channels[-1], self.seed_shape[1:]) if attention else None
        self.levels = nn.ModuleList()
        self.films = nn.ModuleList()
        inwards = tuple(reversed(channels))
        for level, (before, after) in enumerate(pairwise((*inwards, stacked))):
            last = level == len(channels) - 1
            blocks = [ResidualBlock(before, activation) for _ in range(residual)]
            up = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
            out = [nn.Identity()] if last else [*norms(norm, after), act()]
            self.levels.append(nn.Sequential(*blocks, up, *out))
            if told:
                height = self.seed_shape[1] * 2**level
                self.films.append(FrequencyFilm(told, before, height))

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        x = self.entrance(torch.cat([z, condition.to(z.dtype)], 1)).view(-1, *self.seed_shape)
        x = x.contiguous(memory_format=torch.channels_last)
        if self.attention is not None:
            x = self.attention(x)
        told = told_to_levels(z, condition, film=self.film, skip=self.skip)
        for level, layer in enumerate(self.levels):
            if self.films:
                x = self.films[level](x, told)
            x = layer(x)
        return x.reshape(len(x), 1, -1, x.shape[-1])
