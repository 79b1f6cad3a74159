"""Networks for raw waveforms: samples (B, 1, 1, N) to hidden numbers, and latents back to samples.

A level divides time by its stride, and the strides multiply to a divisor of N. With a kernel of
2 s (s even) or 2 s + 1 (s odd) and (kernel - s) / 2 samples of padding, a convolution makes n / s
steps of n and its transpose n * s again: both are exact, so nothing is ever cropped.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from timbrespace.models.blocks import ACTIVATIONS


def check_strides(
    shape: tuple[int, int], channels: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    """ValueError unless there is one stride for each level and their product divides the samples."""
    height, samples = shape
    step = math.prod(strides)
    if height != 1 or len(channels) != len(strides) or samples % step:
        raise ValueError(
            f"samples of shape {height} x {samples} cannot be divided by strides {strides} with "
            f"channels {channels}; give one line of samples, a multiple of {step}, and as many strides "
            "as channels"
        )


def _sizes(stride: int) -> tuple[int, int, int]:
    """Kernel, stride and padding of a level."""
    kernel = 2 * stride + stride % 2
    return kernel, stride, (kernel - stride) // 2


class DilatedBlock(nn.Module):
    """x + gain * conv(act(dilated conv(act(x)))), (B, channels, T) in and out; the gain starts at zero
    (as in `blocks.ResidualBlock`)."""

    def __init__(self, channels: int, dilation: int, activation: str) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        self.body = nn.Sequential(
            act(), nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation),
            act(), nn.Conv1d(channels, channels, 1),
        )  # fmt: skip
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gain * self.body(x)


def _blocks(channels: int, residual: int, activation: str) -> list[nn.Module]:
    return [DilatedBlock(channels, 3**number, activation) for number in range(residual)]


class Conv1dEncoder(nn.Module):
    """Strided convolutions, one level per entry of `channels`, then the mean over all time.

    `residual` dilated blocks follow each level, with dilations 1, 3, 9, ... The pooled numbers and the
    condition go on as they are, or through a layer of width `hidden`.
    """

    def __init__(
        self, shape: tuple[int, int], condition_size: int, *,
        channels: tuple[int, ...] = (32, 64, 128, 256), strides: tuple[int, ...] = (5, 5, 4, 4),
        residual: int = 0, hidden: int = 0, activation: str = "relu",
    ) -> None:  # fmt: skip
        super().__init__()
        check_strides(shape, channels, strides)
        act = ACTIVATIONS[activation]
        layers: list[nn.Module] = []
        for (before, after), stride in zip(pairwise((1, *channels)), strides, strict=True):
            layers += [nn.Conv1d(before, after, *_sizes(stride))]
            layers += [*_blocks(after, residual, activation), act()]
        self.net = nn.Sequential(*layers)
        flat = channels[-1] + condition_size
        self.mix = nn.Sequential(nn.Linear(flat, hidden), act()) if hidden else nn.Identity()
        self.width = hidden or flat

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.net(x[:, 0]).mean(-1)
        return self.mix(torch.cat([h, condition.to(h.dtype)], 1))


class Conv1dDecoder(nn.Module):
    """A linear layer, then transposed convolutions that multiply time by the strides, inwards out.

    The last convolution is bounded by tanh: samples are in [-1, 1]. With `film` the condition scales
    and shifts the channels of each level (Perez et al. 2018, arXiv 1709.07871) instead of acting at
    the entrance alone.
    """

    def __init__(
        self, shape: tuple[int, int], latent: int, condition_size: int, *,
        channels: tuple[int, ...] = (32, 64, 128, 256), strides: tuple[int, ...] = (5, 5, 4, 4),
        residual: int = 0, hidden: int = 0, activation: str = "relu", film: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        check_strides(shape, channels, strides)
        act = ACTIVATIONS[activation]
        self.seed_shape = (channels[-1], shape[1] // math.prod(strides))
        width, entrance = latent + condition_size, []
        if hidden:
            entrance = [nn.Linear(width, hidden), act()]
            width = hidden
        self.entrance = nn.Sequential(
            *entrance, nn.Linear(width, math.prod(self.seed_shape)), act()
        )
        self.levels, self.films = nn.ModuleList(), nn.ModuleList()
        inwards = tuple(reversed(channels))
        for (before, after), stride in zip(
            pairwise((*inwards, channels[0])), reversed(strides), strict=True
        ):
            up = nn.ConvTranspose1d(before, after, *_sizes(stride))
            self.levels.append(nn.Sequential(up, *_blocks(after, residual, activation), act()))
            if film:
                self.films.append(nn.Linear(condition_size, 2 * before))
        self.last = nn.Conv1d(channels[0], 1, 7, padding=3)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        x = self.entrance(torch.cat([z, condition.to(z.dtype)], 1)).view(-1, *self.seed_shape)
        for number, level in enumerate(self.levels):
            if self.films:
                scale, shift = self.films[number](condition)[..., None].chunk(2, 1)
                x = x * (1 + scale) + shift
            x = level(x)
        return torch.tanh(self.last(x).float())[:, None]
