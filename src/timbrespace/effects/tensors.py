"""What the formulas of effects are made of, for torch: sounds are (B, n), knobs (B, 1), both float64.

Filters are applied by their response at many frequencies, so that gradients reach their coefficients.
The response is taken on a circle outside of the unit circle, which is to filter the sound as it dies away:
what a ringing filter would wrap around to the beginning is 100 dB softer than what it makes there.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional

from timbrespace.effects import arrays

xp = torch
FADING = 1e-5  # by how much a sound dies away while it is filtered


def times(x: Tensor) -> Tensor:
    """0, 1, 2 ... beside the samples of x: (n,) float64."""
    return torch.arange(x.shape[-1], dtype=torch.float64, device=x.device)


def constant(values: np.ndarray, beside: Tensor) -> Tensor:
    """`values` where `beside` is."""
    return torch.as_tensor(values, device=beside.device)


def single(x: Tensor) -> Tensor:
    """x: gradients are taken in double precision."""
    return x


def largest(x: Tensor) -> float:
    """The largest of all numbers in x."""
    return float(x.detach().max())


def largest_of_last(x: Tensor) -> Tensor:
    """x (..., m, k) to (..., m)."""
    return x.amax(-1)


def late(x: Tensor) -> Tensor:
    """x (..., n) a sample later."""
    return functional.pad(x, (1, 0))[..., :-1]


def lengthened(x: Tensor, extra: int) -> Tensor:
    """x (..., n) and `extra` zeros."""
    return functional.pad(x, (0, extra))


def rounded(x: Tensor) -> Tensor:
    """x as whole numbers, with the gradient of x (straight through: Bengio et al. 2013)."""
    return x + (x.round() - x).detach()


def responded(x: Tensor, response: Callable[[Tensor], Tensor]) -> Tensor:
    """x (B, n) through the filter whose transfer function is `response` of 1/z, (F,) to (B, F)."""
    n = x.shape[-1]
    size = _size(2 * n)
    fading = FADING ** (times(x) / n)
    turns = torch.arange(size // 2 + 1, dtype=torch.float64, device=x.device) / size
    delayed = torch.polar(torch.full_like(turns, FADING ** (1.0 / n)), -2.0 * math.pi * turns)
    made = torch.fft.rfft(x * fading, size) * response(delayed)
    return torch.fft.irfft(made, size)[..., :n] / fading


def filtered(x: Tensor, sections: Sequence[Sequence[Tensor | float]]) -> Tensor:
    """x through sections of second order in a row, as `filters` makes them."""

    def response(delayed: Tensor) -> Tensor:
        made = torch.ones_like(delayed)
        for b0, b1, b2, _, a1, a2 in sections:
            square = delayed**2
            made = made * (b0 + b1 * delayed + b2 * square) / (1.0 + a1 * delayed + a2 * square)
        return made

    return responded(x, response)


def convolved(x: Tensor, response: Tensor, behind: Tensor) -> Tensor:
    """x (B, n) convolved with `response` (B, m), `behind` (B, 1) samples later (rounded), cut at n."""
    n, whole = x.shape[-1], rounded(behind)
    size = _size(2 * n + int(whole.max()))
    turns = torch.arange(size // 2 + 1, dtype=torch.float64, device=x.device) / size
    product = torch.fft.rfft(x, size) * torch.fft.rfft(response[..., :n], size)
    return torch.fft.irfft(product * torch.exp(-2j * math.pi * turns * whole), size)[..., :n]


def neighbours(x: Tensor, whole: Tensor) -> list[Tensor]:
    """x (B, n) at `whole` (B, m) - 1, `whole`, `whole` + 1 and `whole` + 2; 0 outside."""
    padded = functional.pad(x, (4, 4))
    first = whole.detach().clamp(-3, x.shape[-1] + 1).long() + 3
    return [padded.gather(-1, first + k) for k in range(4)]


def interpolated(course: Tensor, places: Tensor) -> Tensor:
    """course (B, m) at `places` (n,) or (B, n), straight between its points, its ends held: (B, n)."""
    inside = places.clamp(0, course.shape[-1] - 1).expand(len(course), -1)
    left = inside.detach().floor().clamp(max=max(0, course.shape[-1] - 2)).long()
    right = (left + 1).clamp(max=course.shape[-1] - 1)
    share = inside - left
    return course.gather(-1, left) * (1.0 - share) + course.gather(-1, right) * share


def followed(wanted: Tensor, rising: Tensor | float, falling: Tensor | float) -> Tensor:
    """As `arrays.followed`: where it rises and where it falls is found first, then the rest is linear."""
    goals = wanted.detach()
    ways = [
        torch.as_tensor(way, device=goals.device).expand(len(goals), 1) for way in (rising, falling)
    ]
    rows = zip(goals.cpu().numpy(), *(way.flatten().tolist() for way in ways), strict=True)
    course = torch.as_tensor(np.stack([arrays.followed(*row) for row in rows]), device=goals.device)
    stays = torch.where(goals > late(course), *ways)
    return recurred(stays, (1.0 - stays) * wanted)


def recurred(poles: Tensor, driven: Tensor) -> Tensor:
    """As `arrays.recurred`, with gradients."""
    shape = torch.broadcast_shapes(poles.shape, driven.shape)
    length = math.ceil(math.sqrt(shape[-1]))
    blocks = -(-shape[-1] // length)

    def side_by_side(x: Tensor) -> Tensor:  # (..., n) to (length, ..., blocks)
        filled = lengthened(x.broadcast_to(shape), blocks * length - shape[-1])
        return filled.reshape(*shape[:-1], blocks, length).moveaxis(-1, 0).contiguous()

    pole, drive = side_by_side(poles), side_by_side(driven)
    rows, fading = [drive[0]], [pole[0]]
    for step in range(1, length):
        rows.append(drive[step] + pole[step] * rows[-1])
        fading.append(pole[step] * fading[-1])
    handed = [torch.zeros_like(rows[-1][..., 0])]
    for block in range(blocks - 1):
        handed.append(rows[-1][..., block] + fading[-1][..., block] * handed[-1])
    y = torch.stack(rows) + torch.stack(fading) * torch.stack(handed, -1)
    return y.moveaxis(0, -1).reshape(*shape[:-1], -1)[..., : shape[-1]]


def _size(n: int) -> int:
    """How long a Fourier transform of at least n samples should be."""
    return int(next_fast_len(n, real=True) or n)
