"""How far pictures (B, 1, F, T) in [-1, 1] are from their originals: raw terms, each a scalar.

Unless it says otherwise a term is summed over the cells of a sound and averaged over the sounds.
Terms of single cells take weights (B, 1, F, T) of mean one, or None for equal ones.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

SigmaKind = Literal["fixed", "learned", "optimal"]
LEAST_VARIANCE = 1e-8  # of the optimal sigma: a perfect picture shall not earn infinite likelihood
CERTAIN = 1e-3  # the Bernoulli's probabilities stay this far from 0 and 1


def gaussian_nll(x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Half the squared error, summed over the cells of a sound, averaged over sounds: nats per sound.

    This is -log N(target; x, 1) without its constant, so that the weight of the KL term ("beta") is
    that of the Gaussian ELBO and keeps its meaning when the batch or the picture changes size. For a
    noise of standard deviation s instead of 1, beta is s * s (Higgins et al. 2017, section 2).
    """
    return 0.5 * _summed(_squared(x, target, weights))


class GaussianNll(nn.Module):
    """-log N(target; x, sigma^2) without its constant, nats per sound: `gaussian_nll` / sigma^2 plus
    log sigma for each cell; one sigma for all cells, in picture units.

    fixed: sigma is `value`. learned: sigma is a parameter that starts at `value`. optimal: sigma^2 is
    the batch's own mean squared error, the best there is (sigma-VAE: Rybkin, Daniilidis & Levine
    2021, equation 6); the term is then cells / 2 * (log MSE + 1).
    """

    log_sigma: Tensor

    def __init__(self, *, kind: SigmaKind = "fixed", value: float = 1.0) -> None:
        super().__init__()
        self.optimal = kind == "optimal"
        log_sigma = torch.tensor(value).log()
        if kind == "learned":
            self.log_sigma = nn.Parameter(log_sigma)
        else:
            self.register_buffer("log_sigma", log_sigma, persistent=False)

    def forward(self, x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        squared = _squared(x, target, weights)
        cells = squared[0].numel()
        if self.optimal:
            return 0.5 * cells * (squared.mean().clamp_min(LEAST_VARIANCE).log() + 1.0)
        precision = torch.exp(-2.0 * self.log_sigma)
        return 0.5 * precision * _summed(squared) + cells * self.log_sigma


def summed_squared(x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """The squared error, summed: "MSE" of those who sum. Its beta is twice that of gaussian_nll."""
    return _summed(_squared(x, target, weights))


def mean_squared(x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over all cells and sounds: the reports' "MSE". Its scale forgets the size of a picture."""
    return _squared(x, target, weights).mean()


def l1(x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """The absolute error, summed: -log of a Laplace density of scale 1 without its constant, nats."""
    error = (x.float() - target.float()).abs()
    return _summed(error if weights is None else error * weights)


def bernoulli_nll(x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of pictures mapped to [0, 1], summed, nats.

    A cell's loudness is read as the probability of a coin: no density of loudness, so it gives no
    ELBO in the strict sense (Loaiza-Ganem & Cunningham 2019), and its least value is the entropy of
    the target, not 0. Errors near silence and near 0 dB cost more than those between. Outside of
    [-1, 1], where a decoder may go, it rises straight on, so that there is a way back.
    """
    wanted = 0.5 * (target.float() + 1.0)
    given = 0.5 * (x.float() + 1.0)
    inside = given.clamp(CERTAIN, 1.0 - CERTAIN)
    cost = functional.binary_cross_entropy(inside, wanted.clamp(0.0, 1.0), reduction="none")
    slope = ((inside - wanted) / (inside * (1.0 - inside))).detach()
    cost = cost + (slope * (given - inside)).clamp_min(0.0)
    return _summed(cost if weights is None else cost * weights)


def cosine(x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - the cosine between all cells of a sound and its original's, 0 to 2: blind to their scale.
    Takes no weights."""
    return (
        1.0 - functional.cosine_similarity(x.float().flatten(1), target.float().flatten(1)).mean()
    )


def output_range(x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """The square of what lies outside of [-1, 1], summed: no picture can have it. Takes no weights."""
    return _summed((x.float().abs() - 1.0).clamp_min(0.0).square())


def _squared(x: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    squared = (x.float() - target.float()).square()
    return squared if weights is None else squared * weights


def _summed(cells: Tensor) -> Tensor:
    return cells.flatten(1).sum(1).mean()


def loud_weights(target: Tensor, loud: float) -> Tensor:
    """Weights of the cells of pictures: rising straight from the floor to 0 dB, where a cell counts
    1 + `loud` times as much; their mean over the batch is one, so the scale of a term stays.

    Squared decibels alone count what nobody hears as much as the partials: a decoder that is unsure
    then draws these too soft.
    """
    weights = 1.0 + loud * 0.5 * (target.float() + 1.0)
    return weights / weights.mean()


def band_weights(frequencies: Tensor, bands: tuple[tuple[float, float], ...]) -> Tensor:
    """Weights (F,) of the rows of a picture whose centres lie at `frequencies` (F,), Hz, mean one.

    Each band is (from this frequency up, this weight); it ends where the next begins, and the first
    begins at 0 Hz.
    """
    edges = torch.tensor([low for low, _ in bands], dtype=frequencies.dtype)
    table = torch.tensor([weight for _, weight in bands], dtype=torch.float32)
    weights = table[torch.searchsorted(edges, frequencies, right=True) - 1]
    return weights / weights.mean()
