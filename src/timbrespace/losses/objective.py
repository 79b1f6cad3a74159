"""The objective: raw named terms and one table of weights, which meet in one line."""

from torch import Tensor, nn

from timbrespace.losses.catalogue import Term
from timbrespace.losses.latent import FreeBitsOver, free_bits
from timbrespace.losses.reconstruction import loud_weights


class Objective(nn.Module):
    """The terms of a batch. Its parameters (a learned sigma) are trained with the model's, but belong
    to training alone."""

    bands: Tensor | None

    def __init__(
        self, reconstruction: Term, free_bits: float = 0.0,
        free_bits_over: FreeBitsOver = "dimension", *, loud: float = 0.0,
        bands: Tensor | None = None, further: dict[str, Term] | None = None,
    ) -> None:  # fmt: skip
        """`loud`: see reconstruction.loud_weights. bands (F,): weights of a picture's rows, mean one.
        `further`: terms beside the main one, by name."""
        super().__init__()
        self.main, self.further = reconstruction, dict(further or {})
        self.with_parameters = nn.ModuleDict(
            {name: term for name, term in self.further.items() if isinstance(term, nn.Module)}
        )
        self.free_bits, self.loud = free_bits, loud
        self.free_bits_over: FreeBitsOver = free_bits_over
        self.register_buffer("bands", bands, persistent=False)

    def terms(self, x: Tensor, target: Tensor, nats: Tensor) -> dict[str, Tensor]:
        """Raw terms: `reconstruction`, `kl` (after free bits), `kl_raw` (nats per sound), and the
        further ones. x, target (B, 1, F, T).

        nats (B, Z): what each number of the latent costs.
        """
        weights = self._weights(target)
        return {
            "reconstruction": self.main(x, target, weights),
            "kl": free_bits(nats, self.free_bits, self.free_bits_over),
            "kl_raw": nats.sum(1).mean(),
            **{name: term(x, target, weights) for name, term in self.further.items()},
        }

    def _weights(self, target: Tensor) -> Tensor | None:
        """Of the cells, mean one over the batch; None where all count alike."""
        weights = loud_weights(target, self.loud) if self.loud else None
        if self.bands is None:
            return weights
        bands = self.bands[:, None].expand_as(target)
        if weights is None:
            return bands
        weights = weights * bands
        return weights / weights.mean()


def total(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The weighted sum of the terms that `weights` names; KeyError for a name that is no term."""
    names = iter(weights)
    first = next(names)
    result = weights[first] * terms[first]
    for name in names:
        result = result + weights[name] * terms[name]
    return result
