"""From mel powers back to the linear power spectrum they came from.

A filterbank loses detail, so many spectra explain the same mels. We look for one made of the
shapes a Hann window gives to steady tones (lobes four bins wide), with weights whose mel powers are
closest in the Kullback-Leibler sense: multiplicative updates (Lee and Seung, 2001) with momentum.
The solution of four averaged frames, slightly sharpened on its way, is where every frame starts.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from timbrespace.features.mel import Block, blocks

POOL = 4  # frames averaged for the start: notes are steadier than that
START_SHARE = 4  # updates of the averaged frames for every update of a frame
MOMENTUM = 0.9  # of the weights; 30 updates do what 200 do without it
SHARPEN = 1.05  # exponent against the neighbourhood, every 5 updates of the averaged frames
POLISH = 8  # plain updates of the bins: powers of neighbouring lobes do not simply add
LEAST = 1e-20  # -200 dB below the loudest mel: keeps floats out of the slow denormal range


@dataclass(frozen=True)
class MelPlan:
    """What inverting one filterbank needs, prepared once: banded products as dense blocks."""

    to_mel: list[Block]  # lobe weights -> mel power
    to_lobes: list[Block]  # mel ratios -> lobe ratios; each row is a mean, it sums to 1
    to_bins: list[Block]  # lobe weights -> power spectrum
    mel_gain: Tensor  # (mels, 1) mel power of weights that are all 1
    lobes: int
    bins_to_mel: list[Block]  # power spectrum -> mel power
    mel_to_bins: list[Block]  # mel ratios -> bin ratios


def _apply(parts: list[Block], x: Tensor, out: Tensor) -> Tensor:
    for rows, columns, weights in parts:
        torch.mm(weights, x[columns], out=out[rows])
    return out


def _lobe_matrix(bank: Tensor) -> Tensor:
    """Power spectra (bins, lobes) of tones on a grid as fine as the mels can tell apart."""
    bins = bank.shape[1]
    centre = (bank * torch.arange(bins)).sum(1) / bank.sum(1)
    spacing = np.interp(np.arange(bins), centre[:-1].numpy(), np.diff(centre.numpy()))
    grid = np.arange(2 * bins - 1) / 2.0
    # Half-bin steps pay where a mel is under four bins wide; elsewhere they only cost time.
    grid = grid[(grid % 1 == 0) | (spacing[grid.astype(int)] <= 4.0)]
    distance = np.arange(bins)[:, None] - grid[None, :]
    # The Hann window's transform: sinc(d) / (1 - d^2), 1/2 at d = 1.
    off_one = np.where(np.abs(np.abs(distance) - 1.0) < 1e-9, 2.0, distance)
    shape = np.where(off_one == distance, np.sinc(distance) / (1.0 - off_one**2), 0.5)
    return torch.from_numpy(np.where(np.abs(distance) < 3.0, shape**2, 0.0))


def _means(weights: Tensor) -> Tensor:
    """The transpose with rows that sum to 1; rows that no mel hears stay 0."""
    return weights.T / weights.sum(0).clamp_min(1e-12)[:, None]


@lru_cache(maxsize=8)
def _plan(data: bytes, mels: int, device: str) -> MelPlan:
    bank = torch.frombuffer(bytearray(data), dtype=torch.float32).reshape(mels, -1).double()
    lobes = _lobe_matrix(bank)
    heard = bank @ lobes

    def on_device(parts: list[Block]) -> list[Block]:
        return [(rows, columns, weights.to(device)) for rows, columns, weights in parts]

    return MelPlan(
        to_mel=on_device(blocks(heard)),
        to_lobes=on_device(blocks(_means(heard))),
        to_bins=on_device(blocks(lobes)),
        mel_gain=heard.sum(1, keepdim=True).float().to(device),
        lobes=lobes.shape[1],
        bins_to_mel=on_device(blocks(bank)),
        mel_to_bins=on_device(blocks(_means(bank))),
    )


def mel_plan(filterbank: Tensor) -> MelPlan:
    """The prepared products for a filterbank (mels, bins); remembered for the last few."""
    data = filterbank.detach().cpu().float().contiguous().numpy().tobytes()
    return _plan(data, filterbank.shape[0], str(filterbank.device))


def _update(mel: Tensor, plan: MelPlan, weights: Tensor, count: int, sharpen: float) -> Tensor:
    """`count` updates of the lobe weights (lobes, T) towards mel powers (mels, T)."""
    heard = torch.empty_like(mel)
    ahead = torch.empty_like(weights)
    weights, before = weights.clone(), weights.clone()
    for turn in range(count):
        # ahead = weights + momentum * (weights - before), at least a tenth, then a plain update
        torch.lerp(before, weights, 1.0 + MOMENTUM, out=ahead)
        torch.maximum(ahead, torch.mul(weights, 0.1, out=before), out=ahead)
        before, weights = weights, before
        torch.div(mel, _apply(plan.to_mel, ahead, heard).clamp_min_(LEAST), out=heard)
        _apply(plan.to_lobes, heard, weights).mul_(ahead).clamp_min_(LEAST)
        if sharpen != 1.0 and turn % 5 == 4 and turn < count - 5:
            # Few strong tones explain a note better than many weak ones; the data pull it back.
            heard = _apply(plan.to_mel, weights, heard).div_(plan.mel_gain)
            around = _apply(plan.to_lobes, heard, torch.empty_like(weights)).clamp_min_(LEAST)
            weights.mul_(torch.div(weights, around).clamp_(1e-3, 1e3).pow_(sharpen - 1.0))
    return weights


def mel_to_power(mel_power: Tensor, filterbank: Tensor, *, iterations: int = 8) -> Tensor:
    """Linear power (B, bins, T) from mel power (B, mels, T) and filterbank weights (mels, bins).

    Every sound is solved for itself, so a batch gives what its sounds give alone. Mel powers below
    1e-20 of full scale count as nothing; scale the loudest to about 1.
    """
    plan = mel_plan(filterbank)
    batch, mels, frames = mel_power.shape
    power = mel_power.new_empty(batch, filterbank.shape[1], frames)
    for sound, out in zip(mel_power, power, strict=True):
        mel = sound.contiguous()
        pooled = torch.nn.functional.pad(mel, (0, -frames % POOL))
        pooled = pooled.reshape(mels, -1, POOL).mean(-1)
        start = mel.new_empty(plan.lobes, pooled.shape[1])
        _apply(plan.to_lobes, pooled / plan.mel_gain, start).clamp_min_(LEAST)
        start = _update(pooled, plan, start, START_SHARE * iterations, SHARPEN)
        start = start.repeat_interleave(POOL, dim=1)[:, :frames].contiguous()
        _apply(plan.to_bins, _update(mel, plan, start, iterations, 1.0), out)
        for _ in range(POLISH):
            out.copy_(pull_to_mel(out, mel, plan))
    return power


def pull_to_mel(
    power: Tensor, mel_power: Tensor, plan: MelPlan, at_most: Tensor | None = None
) -> Tensor:
    """One Kullback-Leibler update of power (bins, T) towards mel powers (mels, T), or under them in
    cells where `at_most` (mels, T) is true; new tensor."""
    heard = _apply(plan.bins_to_mel, power, torch.empty_like(mel_power)).clamp_min_(LEAST)
    ratio = torch.div(mel_power, heard, out=heard)
    if at_most is not None:
        ratio = torch.where(at_most, ratio.clamp_max(1.0), ratio)
    return _apply(plan.mel_to_bins, ratio, torch.empty_like(power)).mul_(power)


def least_squares(mel_power: Tensor, filterbank: Tensor, *, iterations: int = 30) -> Tensor:
    """Linear power (B, bins, T) >= 0 whose mel powers are closest to (B, mels, T) in squares.

    Projected gradient with Nesterov's momentum (1983; FISTA, Beck & Teboulle 2009, section 4). Mels
    are weighed so that all of a flat spectrum's count alike, and it starts from what each mel would
    be if its bins were equal. Steps are 1 / L, with L the largest eigenvalue of the normal matrix.
    """
    even = filterbank.sum(1, keepdim=True)
    bank = filterbank / even
    step = 1.0 / torch.linalg.matrix_norm(bank.double(), ord=2).square().item()
    across, back = blocks(bank.cpu()), blocks(step * bank.T.cpu())
    across = [(rows, columns, part.to(bank.device)) for rows, columns, part in across]
    back = [(rows, columns, part.to(bank.device)) for rows, columns, part in back]
    wanted = mel_power / even
    start = _means(filterbank) @ wanted
    power = torch.empty_like(start)
    for mel, first, out in zip(wanted, start, power, strict=True):
        x = before = first
        momentum = 1.0
        for _ in range(iterations):
            following = 0.5 * (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5)
            ahead = torch.lerp(before, x, 1.0 + (momentum - 1.0) / following)
            miss = mel - _apply(across, ahead, torch.empty_like(mel))
            before, momentum = x, following
            x = ahead.add_(_apply(back, miss, torch.empty_like(ahead))).clamp_min_(0.0)
        out.copy_(x)
    return power


INVERSIONS = {"multiplicative": mel_to_power, "nnls": least_squares}
