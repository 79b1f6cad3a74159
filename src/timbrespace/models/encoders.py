"""Encoders: a picture (B, 1, F, T) and a condition vector (B, C) to hidden numbers (B, width).

A picture may be several of one size, stacked in height (a pair's: see features.pair); convolutions
take these as channels.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from timbrespace.models.blocks import ACTIVATIONS, Attention, ResidualBlock, norms


def single(shape: tuple[int, int], stacked: int) -> tuple[int, int]:
    """Height and width of each of `stacked` pictures; ValueError where they have no equal height."""
    if shape[0] % stacked:
        raise ValueError(f"{shape[0]} rows are no {stacked} pictures of equal height")
    return shape[0] // stacked, shape[1]


def check_divisible(shape: tuple[int, int], levels: int) -> None:
    """ValueError unless both sides of the picture halve `levels` times without remainder."""
    step = 2**levels
    if shape[0] % step or shape[1] % step:
        raise ValueError(
            f"a picture of {shape[0]} x {shape[1]} (mels x frames) cannot be halved {levels} times; "
            f"choose mels and frames divisible by {step}, or fewer channels"
        )


class Conv2dEncoder(nn.Module):
    """Strided 3 x 3 convolutions, one level per entry of `channels`, each halving both sides of
    `stacked` pictures.

    `residual` blocks follow each level; `norm` normalises after each convolution (batch norm also each
    of several pictures before the first: a difference is small beside what it is one of), `attention`
    lets the places of the innermost map see each other. `hidden` = 0 hands the flattened map plus the
    condition on as it is (the reports' encoder); otherwise a linear layer of that width mixes them.
    """

    def __init__(
        self, shape: tuple[int, int], condition_size: int, *, channels: tuple[int, ...] = (16, 32, 64),
        residual: int = 0, hidden: int = 0, activation: str = "relu", norm: str = "none",
        attention: bool = False, stacked: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.stacked, shape = stacked, single(shape, stacked)
        check_divisible(shape, len(channels))
        act = ACTIVATIONS[activation]
        scale = 2 ** len(channels)
        inner = (shape[0] // scale, shape[1] // scale)
        layers: list[nn.Module] = norms(norm, stacked) if norm == "batch" and stacked > 1 else []
        for before, after in pairwise((stacked, *channels)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1)]
            layers += norms(norm, after)
            layers += [ResidualBlock(after, activation) for _ in range(residual)]
            layers += [act()]
        if attention:
            layers.append(Attention(channels[-1], inner))
        self.net = nn.Sequential(*layers)
        flat = channels[-1] * inner[0] * inner[1] + condition_size
        self.mix = nn.Sequential(nn.Linear(flat, hidden), act()) if hidden else nn.Identity()
        self.width = hidden or flat

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = x.reshape(len(x), self.stacked, -1, x.shape[-1])
        h = self.net(x.contiguous(memory_format=torch.channels_last)).flatten(1)
        return self.mix(torch.cat([h, condition.to(h.dtype)], 1))


class SiameseEncoder(nn.Module):
    """One trunk (`Conv2dEncoder` of a single picture) for the two pictures of a pair, dry and wet; the
    hidden numbers are those of wet minus those of dry, so what both sounds share falls out of them.

    (Two networks with the same weights: Bromley et al. 1994.) `dry` hands on the dry sound's own
    numbers besides, which a decoder needs to draw it.
    """

    def __init__(
        self, shape: tuple[int, int], condition_size: int, *, dry: bool = False, **trunk: Any
    ) -> None:
        """`trunk`: what `Conv2dEncoder` is built with."""
        super().__init__()
        self.trunk = Conv2dEncoder(single(shape, 2), 0, **trunk)
        self.dry = dry
        self.width = self.trunk.width * (1 + dry) + condition_size

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        each = x.reshape(2 * len(x), 1, -1, x.shape[-1])
        hidden = self.trunk(each, condition.new_zeros(len(each), 0)).unflatten(0, (-1, 2))
        dry, wet = hidden.unbind(1)
        parts = [wet - dry] + [dry] * self.dry
        return torch.cat([*parts, condition.to(wet.dtype)], 1)


class WetEncoder(Conv2dEncoder):
    """`Conv2dEncoder` of all pictures of a pair but the first, which is the dry sound's: nobody has that."""

    def __init__(
        self, shape: tuple[int, int], condition_size: int, *, stacked: int, **settings: Any
    ) -> None:
        height, width = single(shape, stacked)
        super().__init__(
            ((stacked - 1) * height, width), condition_size, stacked=stacked - 1, **settings
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        height = x.shape[-2] // (self.stacked + 1)
        return super().forward(x[..., height:, :], condition)
