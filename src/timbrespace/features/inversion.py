"""From mel powers back to the linear power spectrum they came from.

A filterbank loses detail, so the answer is the non-negative spectrum whose mel powers are closest in
the Kullback-Leibler sense, found by multiplicative updates (Lee and Seung, 2001).
"""

import torch
from torch import Tensor


def mel_to_power(mel_power: Tensor, filterbank: Tensor, *, iterations: int = 20) -> Tensor:
    """Linear power (B, bins, T) from mel power (B, mels, T) and weights (mels, bins)."""
    column = filterbank.sum(dim=0)
    step = filterbank.T / column.clamp_min(1e-12)[:, None]
    tiny = torch.finfo(mel_power.dtype).tiny * 1e6
    power = step @ (mel_power / filterbank.sum(dim=1)[:, None])
    for _ in range(iterations):
        power = power * (step @ (mel_power / (filterbank @ power).clamp_min(tiny)))
    return power
