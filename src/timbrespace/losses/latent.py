"""What the latent costs in training: the KL divergence to the prior, and its free bits."""

from typing import Literal

import torch
from torch import Tensor

FreeBitsOver = Literal["total", "sound", "dimension"]


def free_bits(kl: Tensor, floor: float, over: FreeBitsOver) -> Tensor:
    """The KL term in nats per sound, with `floor` nats that cost nothing. kl (B, Z) is what each
    number costs; the result is a scalar.

    total: max(batch mean of the sum, floor), as in the reports: below the floor the gradient is zero
        for every sound, so the floor does not hold the rate there: it drifts down to collapse.
    sound: each sound's own sum is floored, then averaged.
    dimension: each dimension's batch mean is floored, then summed (Kingma et al. 2016, eq. 15);
        the floor is per dimension.
    """
    if over == "total":
        return kl.sum(1).mean().clamp(min=floor)
    if over == "sound":
        return kl.sum(1).clamp(min=floor).mean()
    return torch.clamp(kl.mean(0), min=floor).sum()
