"""What the latent costs in training: the KL divergence to the prior, its free bits, and the distances
that it should keep or lose."""

from typing import Literal

import torch
from torch import Tensor

FreeBitsOver = Literal["total", "sound", "dimension"]


def free_bits(kl: Tensor, floor: float, over: FreeBitsOver) -> Tensor:
    """The KL term in nats per sound, with `floor` nats that cost nothing. kl (B, Z) is what each
    number costs; the result is a scalar.

    total: max(batch mean of the sum, floor), as in the reports: below the floor the gradient is zero
        for every sound, so the floor does not hold the rate there: it drifts down to collapse.
    sound: each sound's own sum is floored, then averaged: a sound below the floor has no gradient,
        whatever the others cost.
    dimension: each dimension's batch mean is floored, then summed (Kingma et al. 2016, eq. 15);
        the floor is per dimension: one below it has no gradient in any sound, one above it in all.
    """
    if over == "total":
        return kl.sum(1).mean().clamp(min=floor)
    if over == "sound":
        return kl.sum(1).clamp(min=floor).mean()
    return torch.clamp(kl.mean(0), min=floor).sum()


def stress(places: Tensor, dissimilarities: Tensor) -> Tensor:
    """How badly the distances between places (K, Z) follow the dissimilarities (K, K): Kruskal's
    stress squared with the best common scale a, a scalar from 0 (proportional) to 1.

    sum (d - a D)^2 / sum d^2 over all pairs, a = sum d D / sum D^2 (Kruskal 1964): only the shape of
    the space counts, its size is the KL's business.
    """
    upper = torch.triu_indices(len(places), len(places), 1, device=places.device)
    wanted = dissimilarities[upper[0], upper[1]]
    distances = torch.nn.functional.pdist(places.float())
    both = (distances * wanted).sum().square()
    alone = distances.square().sum() * wanted.square().sum()
    return 1.0 - both / alone.clamp_min(1e-12)


def scatter(mean: Tensor, labels: Tensor) -> Tensor:
    """How far apart sounds of one label lie, over how far apart any two of the batch do, in squared
    distance: a scalar, 0 where they coincide, 1 where they are no nearer than others. It is what Fisher
    (1936) makes small: the scatter within classes over all of it.

    mean (B, Z); labels (B,) whole numbers, -1 for a sound without one. 0 where no two sounds have the
    same label.
    """
    places, known = mean.float(), labels >= 0
    norms = places.square().sum(1)
    square = norms[:, None] + norms[None] - 2.0 * places @ places.T
    others = (
        known[:, None] & known[None] & ~torch.eye(len(mean), dtype=torch.bool, device=mean.device)
    )
    same = others & (labels[:, None] == labels[None])
    apart = (square * others).sum() / others.sum().clamp_min(1)
    return (square * same).sum() / same.sum().clamp_min(1) / apart.clamp_min(1e-12)
