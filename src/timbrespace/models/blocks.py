"""The layers that encoders and decoders are made of."""

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


def silent(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that says nothing at first, and learns to."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def norms(kind: str, channels: int) -> list[nn.Module]:
    """The normalisation of a map (B, channels, F, T): none, batch, or group (groups of at most 16)."""
    if kind == "batch":
        return [nn.BatchNorm2d(channels)]
    if kind == "group":
        groups = next(g for g in range(max(1, channels // 16), 0, -1) if channels % g == 0)
        return [nn.GroupNorm(groups, channels)]
    return []


class ResidualBlock(nn.Module):
    """x + gain * conv(act(conv(act(x)))), shape (B, channels, F, T) in and out.

    The gain starts at zero, so a deep stack begins as the identity and needs no normalisation layer
    (SkipInit: De & Smith 2020, arXiv 2002.10444); on a CPU the normalisation would cost more than
    the convolutions of these narrow layers.
    """

    def __init__(self, channels: int, activation: str = "silu") -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        self.body = nn.Sequential(
            act(), nn.Conv2d(channels, channels, 3, padding=1),
            act(), nn.Conv2d(channels, channels, 3, padding=1),
        )  # fmt: skip
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gain * self.body(x)


class Attention(nn.Module):
    """x + gain * self-attention over all places of a map (B, channels, F, T); the gain starts at zero.

    Places are told apart by learned vectors (Vaswani et al. 2017, section 3.5, learned form); heads
    have 32 channels each where that divides.
    """

    def __init__(self, channels: int, shape: tuple[int, int]) -> None:
        super().__init__()
        heads = channels // 32 if channels % 32 == 0 else 1
        self.norm = nn.LayerNorm(channels)
        self.place = nn.Parameter(torch.randn(shape[0] * shape[1], channels) * 0.02)
        self.attend = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x.flatten(2).transpose(1, 2)) + self.place
        h, _ = self.attend(h, h, h, need_weights=False)
        return x + self.gain * h.transpose(1, 2).unflatten(2, x.shape[2:])
