"""The objective: raw named terms and one table of weights, which meet in one line."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from timbrespace.losses.latent import FreeBitsOver, free_bits
from timbrespace.losses.reconstruction import loud_weights


@dataclass(frozen=True)
class Objective:
    """Reconstruction and KL of a batch; the KL's weight is `beta`, given at each step."""

    reconstruction: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    free_bits: float = 0.0
    free_bits_over: FreeBitsOver = "dimension"
    loud: float = 0.0  # see reconstruction.loud_weights

    def terms(self, x: Tensor, target: Tensor, nats: Tensor) -> dict[str, Tensor]:
        """Raw terms: `reconstruction`, `kl` (after free bits) and `kl_raw` (nats per sound).

        nats (B, Z): what each number of the latent costs.
        """
        weights = loud_weights(target, self.loud) if self.loud else None
        return {
            "reconstruction": self.reconstruction(x, target, weights),
            "kl": free_bits(nats, self.free_bits, self.free_bits_over),
            "kl_raw": nats.sum(1).mean(),
        }


def total(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The weighted sum of the terms that `weights` names; KeyError for a name that is no term."""
    names = iter(weights)
    first = next(names)
    result = weights[first] * terms[first]
    for name in names:
        result = result + weights[name] * terms[name]
    return result
