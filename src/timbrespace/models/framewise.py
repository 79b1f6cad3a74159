"""Encoder and decoder that take the mels as channels and convolve over time alone.

Where a 2-D convolution looks for the same shape at every frequency, these have weights of their own
for each mel band: a harmonic at 440 Hz is not the same thing as one at 880 Hz.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from timbrespace.models.blocks import ACTIVATIONS, Attention, norms
from timbrespace.models.decoders import told_to_levels


class Film(nn.Module):
    """Scale and shift (B, C, 1, T) per channel, as the condition (B, K) says. Starts as identity.

    Perez et al. 2018, arXiv 1709.07871.
    """

    def __init__(self, condition_size: int, channels: int) -> None:
        super().__init__()
        self.map = nn.Linear(condition_size, 2 * channels)
        nn.init.normal_(self.map.weight, std=0.02)
        nn.init.zeros_(self.map.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.map(condition)[:, :, None, None].chunk(2, 1)
        return x * (1 + scale) + shift


class TimeBlock(nn.Module):
    """x + gain * conv(act(film(conv(act(x))))) over time; the gain starts at zero."""

    def __init__(self, channels: int, condition_size: int, activation: str) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        self.first = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1))
        self.film = Film(condition_size, channels) if condition_size else None
        self.second = nn.Conv2d(channels, channels, 1)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.first(self.act(x))
        if self.film is not None:
            h = self.film(h, condition)
        return x + self.gain * self.second(self.act(h))


class TimeBlocks(nn.Module):
    """`count` TimeBlocks one after the other; none is the identity."""

    def __init__(self, channels: int, condition_size: int, activation: str, count: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            TimeBlock(channels, condition_size, activation) for _ in range(count)
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, condition)
        return x


class FrameEncoder(nn.Module):
    """(B, 1, F, T) and (B, K) to (B, width). Each entry of `channels` halves the frames.

    `norm` and `attention` as in Conv2dEncoder.
    """

    def __init__(
        self, shape: tuple[int, int], condition_size: int, *, channels: tuple[int, ...] = (256, 256),
        residual: int = 1, hidden: int = 512, activation: str = "silu", norm: str = "none",
        attention: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.down = nn.ModuleList()
        self.blocks = nn.ModuleList()
        for before, after in pairwise((shape[0], *channels)):
            down = nn.Conv2d(before, after, (1, 4), stride=(1, 2), padding=(0, 1))
            self.down.append(nn.Sequential(down, *norms(norm, after)) if norm != "none" else down)
            self.blocks.append(TimeBlocks(after, condition_size, activation, residual))
        act = ACTIVATIONS[activation]
        inner = (1, shape[1] // 2 ** len(channels))
        self.attention = Attention(channels[-1], inner) if attention else None
        flat = channels[-1] * inner[1] + condition_size
        self.act = act()
        self.mix = nn.Sequential(nn.Linear(flat, hidden), act()) if hidden else nn.Identity()
        self.width = hidden or flat

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = x.transpose(1, 2).contiguous(memory_format=torch.channels_last)
        for down, blocks in zip(self.down, self.blocks, strict=True):
            h = down(h)
            h = blocks(h, condition)
        if self.attention is not None:
            h = self.attention(h)
        h = self.act(h).flatten(1)
        return self.mix(torch.cat([h, condition.to(h.dtype)], 1))


class FrameDecoder(nn.Module):
    """(B, Z) and (B, K) to (B, 1, F, T): the mirror of FrameEncoder.

    `film` tells the condition to every level, `skip` the latent; `norm` and `attention` as in the
    encoder.
    """

    def __init__(
        self, shape: tuple[int, int], latent: int, condition_size: int, *,
        channels: tuple[int, ...] = (256, 256), residual: int = 1, hidden: int = 512,
        activation: str = "silu", norm: str = "none", attention: bool = False,
        film: bool = True, skip: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        act = ACTIVATIONS[activation]
        self.film, self.skip = film, skip
        told = condition_size * film + latent * skip
        self.seed_shape = (channels[-1], 1, shape[1] // 2 ** len(channels))
        width = latent + condition_size
        entrance: list[nn.Module] = []
        if hidden:
            entrance = [nn.Linear(width, hidden), act()]
            width = hidden
        self.entrance = nn.Sequential(
            *entrance, nn.Linear(width, self.seed_shape[0] * self.seed_shape[2])
        )
        self.attention = None
        if attention:
            self.attention = Attention(channels[-1], (1, self.seed_shape[2]))
        self.norms = nn.ModuleList()
        self.blocks = nn.ModuleList()
        self.up = nn.ModuleList()
        inwards = tuple(reversed(channels))
        for before, after in pairwise((*inwards, shape[0])):
            self.norms.append(nn.Sequential(*norms(norm, before)))
            self.blocks.append(TimeBlocks(before, told, activation, residual))
            self.up.append(nn.ConvTranspose2d(before, after, (1, 4), stride=(1, 2), padding=(0, 1)))

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        h = self.entrance(torch.cat([z, condition.to(z.dtype)], 1)).view(-1, *self.seed_shape)
        h = h.contiguous(memory_format=torch.channels_last)
        if self.attention is not None:
            h = self.attention(h)
        told = told_to_levels(z, condition, film=self.film, skip=self.skip)
        for normed, blocks, up in zip(self.norms, self.blocks, self.up, strict=True):
            h = blocks(normed(h), told)
            h = up(h)
        return h.transpose(1, 2)
