"""The objective that a recipe describes."""

from timbrespace.features.catalogue import feature_of
from timbrespace.features.decibels import Decibels
from timbrespace.losses.catalogue import NAMES, build_term
from timbrespace.losses.objective import Objective
from timbrespace.losses.reconstruction import band_weights
from timbrespace.losses.schedule import cyclic, warm_up
from timbrespace.recipe import Recipe


def objective_of(recipe: Recipe) -> Objective:
    section = recipe.objective
    settings = section.model_dump()
    bands = None
    if section.bands:
        feature = feature_of(recipe.feature.model_dump())
        assert isinstance(feature, Decibels)  # says recipe.check
        bands = band_weights(feature.frequencies, section.bands)
    return Objective(
        build_term(section.reconstruction, settings), section.free_bits, section.free_bits_over,
        loud=section.loud, bands=bands,
        further={n: build_term(n, settings) for n in section.weights if n in NAMES},
    )  # fmt: skip


def beta_factor(recipe: Recipe, step: int, steps: int) -> float:
    """How much of its beta a recipe uses at a step of `steps`, 0 to 1."""
    section = recipe.objective
    if section.cycle is not None:
        return cyclic(step, steps, **section.cycle.model_dump())
    return warm_up(step, section.warmup_steps)
