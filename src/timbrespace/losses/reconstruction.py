"""How far a picture is from its original. Pictures are (B, 1, F, T) in [-1, 1].

Every term takes weights (B, 1, F, T) of mean one, or None for equal ones.
"""

from torch import Tensor


def mean_squared(x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over all cells and sounds: the reports' "MSE". Its scale forgets the size of a picture."""
    return _squared(x, target, weights).mean()


def gaussian_nll(x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Half the squared error, summed over the cells of a sound, averaged over sounds: nats per sound.

    This is -log N(target; x, 1) without its constant, so that the weight of the KL term ("beta") is
    that of the Gaussian ELBO and keeps its meaning when the batch or the picture changes size. For a
    noise of standard deviation s instead of 1, beta is s * s (Higgins et al. 2017, section 2).
    """
    return 0.5 * _squared(x, target, weights).flatten(1).sum(1).mean()


def _squared(x: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    squared = (x.float() - target.float()).square()
    return squared if weights is None else squared * weights


def loud_weights(target: Tensor, loud: float) -> Tensor:
    """Weights of the cells of pictures: rising straight from the floor to 0 dB, where a cell counts
    1 + `loud` times as much; their mean over the batch is one, so the scale of a term stays.

    Squared decibels alone count what nobody hears as much as the partials: a decoder that is unsure
    then draws these too soft.
    """
    weights = 1.0 + loud * 0.5 * (target.float() + 1.0)
    return weights / weights.mean()


RECONSTRUCTIONS = {"mean_squared": mean_squared, "gaussian_nll": gaussian_nll}
