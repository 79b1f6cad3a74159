"""Recipes: a YAML file that says everything about one training, checked before anything runs.

A recipe may name one `parent` and hold only what differs from it; a saved run holds the whole. Every
fault is reported at once, with the line's key and the nearest name that exists. A module here for
each section, `recipe` for the whole, `reading` for the YAML that it comes from.
"""

from timbrespace.recipe.bottleneck import GaussianSection
from timbrespace.recipe.objective import PerceptualSection
from timbrespace.recipe.reading import load, parse, shipped
from timbrespace.recipe.recipe import Recipe, build, check, differences

__all__ = [
    "GaussianSection", "PerceptualSection", "Recipe", "build", "check", "differences", "load", "parse",
    "shipped",
]  # fmt: skip
