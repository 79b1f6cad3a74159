"""Where a training starts: at the best linear code, where its model can be one."""

import math

import torch

from timbrespace.batches import Pictures
from timbrespace.models import linear_start
from timbrespace.models.principal import Components
from timbrespace.recipe import Recipe
from timbrespace.training.parallel import Ranks
from timbrespace.training.state import State

SOUNDS = 3000  # that the components are found from, at most
CELLS = 100_000_000  # of their pictures together, at most: 0.4 GB


def count_of(sounds: int, cells: int) -> int:
    """How many of the training sounds, whose pictures have that many cells, are looked at."""
    return min(sounds, SOUNDS, max(2, CELLS // cells))


def begin(state: State, recipe: Recipe, pictures: Pictures, ranks: Ranks) -> None:
    """Bring a fresh state to its start, a function of recipe and pictures alone; nothing is done to a
    model without principal components. Where no rate is asked, one nat for each number is."""
    model, section = state.model, recipe.objective
    if not any(isinstance(part, Components) for part in model.modules()):
        return
    count = count_of(len(pictures), math.prod(recipe.feature.shape))
    at = torch.linspace(0, len(pictures) - 1, count).long()

    def started() -> tuple[dict[str, torch.Tensor], float | None]:
        x, labels = pictures.batch(at, ranks.device)
        bits = section.bits_per_sound
        nats = bits * math.log(2.0) if bits else float(model.latent)
        beta = linear_start.begin(model, x, labels, nats)
        return {name: value.cpu() for name, value in model.state_dict().items()}, beta

    weights, beta = ranks.from_first(started)
    model.load_state_dict(weights)
    if state.average is not None:
        for name, value in state.average.items():
            value.copy_(weights[name])
    known = section.reconstruction == "gaussian_nll" and section.sigma.kind == "fixed"
    if beta is not None and state.controller is not None and known:
        state.controller.begin(beta / section.sigma.value**2)
