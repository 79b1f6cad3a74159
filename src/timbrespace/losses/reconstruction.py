"""How far a picture is from its original. Pictures are (B, 1, F, T) in [-1, 1]."""

from torch import Tensor


def mean_squared(x: Tensor, target: Tensor) -> Tensor:
    """Mean over all cells and sounds: the reports' "MSE". Its scale forgets the size of a picture."""
    return (x.float() - target.float()).square().mean()


def gaussian_nll(x: Tensor, target: Tensor) -> Tensor:
    """Half the squared error, summed over the cells of a sound, averaged over sounds: nats per sound.

    This is -log N(target; x, 1) without its constant, so that the weight of the KL term ("beta") is
    that of the Gaussian ELBO and keeps its meaning when the batch or the picture changes size. For a
    noise of standard deviation s instead of 1, beta is s * s (Higgins et al. 2017, section 2).
    """
    return 0.5 * (x.float() - target.float()).square().flatten(1).sum(1).mean()


RECONSTRUCTIONS = {"mean_squared": mean_squared, "gaussian_nll": gaussian_nll}
