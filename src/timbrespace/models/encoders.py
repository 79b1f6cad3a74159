"""Encoders: a picture (B, 1, F, T) and a condition vector (B, C) to hidden numbers (B, width)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from timbrespace.models.blocks import ACTIVATIONS, Attention, ResidualBlock, norms


def check_divisible(shape: tuple[int, int], levels: int) -> None:
    """ValueError unless both sides of the picture halve `levels` times without remainder."""
    step = 2**levels
    if shape[0] % step or shape[1] % step:
        raise ValueError(
            f"a picture of {shape[0]} x {shape[1]} (mels x frames) cannot be halved {levels} times; "
            f"choose mels and frames divisible by {step}, or fewer channels"
        )


class Conv2dEncoder(nn.Module):
    """Strided 3 x 3 convolutions, one level per entry of `channels`, each halving both sides.

    `residual` blocks follow each level; `norm` normalises after each convolution, `attention` lets
    the places of the innermost map see each other. `hidden` = 0 hands the flattened map plus the condition on
    as it is (the reports' encoder); otherwise a linear layer of that width mixes them.
    """

    def __init__(
        self, shape: tuple[int, int], condition_size: int, *, channels: tuple[int, ...] = (16, 32, 64),
        residual: int = 0, hidden: int = 0, activation: str = "relu", norm: str = "none",
        attention: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        check_divisible(shape, len(channels))
        act = ACTIVATIONS[activation]
        scale = 2 ** len(channels)
        inner = (shape[0] // scale, shape[1] // scale)
        layers: list[nn.Module] = []
        for before, after in pairwise((1, *channels)):
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
        h = self.net(x).flatten(1)
        return self.mix(torch.cat([h, condition.to(h.dtype)], 1))
