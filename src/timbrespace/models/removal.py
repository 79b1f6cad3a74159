"""Removing a label from the latent: what z says of it becomes a term of the loss.

Two ways, by label. `adversary`: a classifier reads the label off the sampled z and the encoder is
trained against it through a reversed gradient (Ganin & Lempitsky 2015, section 3.1). Its raw term is
the classifier's cross-entropy, nats per sound; H(label) minus it is a lower bound of the information
that z has of the label (Barber & Agakov 2003), so its weight is the price of a nat of that, as beta
is the price of a nat of z. `independence`: the dependence of z and the label within the batch,
measured by kernels, needs nothing that learns.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from timbrespace.models.vocabulary import NUMBERS

WIDTH = 256
NUMBER_WIDTH = 3.0  # MIDI numbers this far apart count as alike in part


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient has the opposite sign."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


class Adversary(nn.Module):
    """z (B, Z) and numbers of a label (B,), each below `count`, to the cross-entropy of a classifier
    that z is trained to defeat."""

    def __init__(self, name: str, latent: int, count: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(latent, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(),
            nn.Linear(WIDTH, max(count, 1)),
        )  # fmt: skip

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return functional.cross_entropy(self.net(_Reversed.apply(z)).float(), label.long())


class Independence(nn.Module):
    """Kernel dependence of z (B, Z) and a label (B,), from 0 (none) to 1.

    HSIC (Gretton et al. 2005, biased estimator) over the geometric mean of both kernels' own:
    centred kernel alignment (Cortes, Mohri & Rostamizadeh 2012). z has a Gaussian kernel as wide as
    the root mean square distance of two sounds of the batch; words are equal or not, MIDI numbers
    alike within about three.
    """

    def __init__(self, name: str, latent: int, count: int) -> None:
        super().__init__()
        self.number = name in NUMBERS

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        square = torch.cdist(z.float(), z.float()).square()
        near = torch.exp(-square / square.mean().detach().clamp_min(1e-12))
        apart = (label[:, None] - label[None]).float()
        alike = (apart == 0).float()
        if self.number:
            alike = torch.exp(-0.5 * (apart / NUMBER_WIDTH).square())
        near, alike = _centred(near), _centred(alike)
        scale = near.square().sum() * alike.square().sum()
        return (near * alike).sum() / scale.clamp_min(1e-12).sqrt()  # 0 where all are alike


def _centred(kernel: Tensor) -> Tensor:
    return kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()


WAYS: dict[str, type[nn.Module]] = {"adversary": Adversary, "independence": Independence}


class Removal(nn.Module):
    """The raw terms of all labels to be removed, by way: sums over labels.

    `ways`: label -> one of WAYS. `counts`: label -> how many values it has.
    """

    def __init__(self, latent: int, ways: dict[str, str], counts: dict[str, int]) -> None:
        super().__init__()
        self.ways = dict(ways)
        self.counts = {name: counts[name] for name in ways}
        self.readers = nn.ModuleList(
            WAYS[way](name, latent, counts[name]) for name, way in ways.items()
        )

    def forward(self, z: Tensor, labels: dict[str, Tensor]) -> dict[str, Tensor]:
        """Terms of sampled z (B, Z); a sound whose label is unknown has no part in them."""
        found: dict[str, Tensor] = {}
        for (name, way), reader in zip(self.ways.items(), self.readers, strict=True):
            count = self.counts[name]
            label = labels.get(name, torch.full((len(z),), count, device=z.device))
            known = label < count
            term = reader(z[known], label[known]) if int(known.sum()) > 1 else z.sum() * 0.0
            found[way] = found[way] + term if way in found else term
        return found
