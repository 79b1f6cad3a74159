"""All terms of a picture and its original, by the names that recipes use."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from timbrespace.losses import reconstruction, spectral

Term = Callable[
    [Tensor, Tensor, Tensor | None], Tensor
]  # x, target, weights of the cells -> scalar

TERMS: dict[str, Term] = {
    "summed_squared": reconstruction.summed_squared,
    "mean_squared": reconstruction.mean_squared,
    "l1": reconstruction.l1,
    "bernoulli_nll": reconstruction.bernoulli_nll,
    "cosine": reconstruction.cosine,
    "output_range": reconstruction.output_range,
}
WITH_SETTINGS: dict[str, tuple[Callable[..., Term], str]] = {  # and where a recipe has these
    "gaussian_nll": (reconstruction.GaussianNll, "sigma"),
    "spectral": (spectral.Spectral, "spectral"),
    "multi_resolution_stft": (spectral.MultiResolutionStft, "stft"),
}

NAMES = frozenset({*TERMS, *WITH_SETTINGS})


def build_term(name: str, settings: dict[str, Any]) -> Term:
    """The term of a name; `settings` are those of all terms, by section."""
    if name in TERMS:
        return TERMS[name]
    make, section = WITH_SETTINGS[name]
    return make(**settings[section])
