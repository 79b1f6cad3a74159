"""A divided latent: what lies between the two sounds of a pair has numbers of its own, and so has the dry one.

The first numbers come of all of a pair's pictures, and are those that heads read and that are gathered. The
others come of the dry picture alone, which is the first, and the dry picture comes of them alone. So two
effects of one sound differ in the first part only, and on the way between them the dry sound stays as it is;
what lies between dry and wet is drawn of both parts.
"""

import torch
from torch import Tensor, nn

from timbrespace.models.bottlenecks import Bottleneck, Gaussian, Latent
from timbrespace.models.decoders import Conv2dDecoder
from timbrespace.models.encoders import Conv2dEncoder


class DividedEncoder(nn.Module):
    """Two encoders: one of all pictures, one of the first. Hidden numbers (B, width) are those of
    one, then those of the other; `widths` says how many of each."""

    def __init__(self, whole: Conv2dEncoder, dry: Conv2dEncoder) -> None:
        super().__init__()
        self.whole, self.dry = whole, dry
        self.widths = (whole.width, dry.width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        first = x[:, :, : x.shape[2] // self.whole.stacked]
        return torch.cat([self.whole(x, condition), self.dry(first, condition)], 1)


class Divided(Bottleneck):
    """A Gaussian for each part: `latent` numbers of what lies between the sounds, `dry` of the dry one."""

    def __init__(self, widths: tuple[int, int], *, latent: int = 32, dry: int = 32) -> None:
        super().__init__()
        self.widths, self.levels = widths, (latent, dry)
        self.latent = latent + dry
        self.parts = nn.ModuleList(
            Gaussian(width, latent=size) for width, size in zip(widths, self.levels, strict=True)
        )

    @property
    def heard(self) -> int:
        return self.levels[0]

    def forward(self, h: Tensor) -> Latent:
        parts = [part(x) for part, x in zip(self.parts, h.split(self.widths, 1), strict=True)]
        return Latent(
            torch.cat([p.mean for p in parts], 1), torch.cat([p.logvar for p in parts], 1)
        )


class DividedDecoder(nn.Module):
    """Two decoders: the dry picture of the last numbers of z (B, Z), all others of z; stacked in height as
    pictures are."""

    def __init__(self, others: Conv2dDecoder, dry: Conv2dDecoder, heard: int) -> None:
        super().__init__()
        self.others, self.dry, self.heard = others, dry, heard

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        dry = self.dry(z[:, self.heard :], condition)
        return torch.cat([dry, self.others(z, condition)], 2)
