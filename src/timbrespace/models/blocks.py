"""The layers that encoders and decoders are made of."""

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


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
