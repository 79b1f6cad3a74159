"""What can make sound of a run's pictures: the classical way, and the vocoders that take them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from timbrespace.errors import RecipeError

if TYPE_CHECKING:
    from timbrespace.features.feature import Feature
    from timbrespace.render.synth import Inverter

CLASSICAL = "classical"
Makers = dict[str, "Inverter | None"]  # None: the feature's own inversion


def makers_of(feature: Feature, given: str | Path | None = None) -> Makers:
    """By name, first the one that is used where none is asked for: a given vocoder (its file or name), the
    classical way, the shipped vocoders that take the feature's pictures. RunError or RecipeError when the
    given one cannot be opened, or does not take them."""
    from timbrespace.vocoders.vocoder import Vocoder, shipped

    found: Makers = {}
    if given is not None:
        vocoder = Vocoder.open(given)
        vocoder.check(feature)
        found[Path(given).name] = vocoder
    found.setdefault(CLASSICAL, None)
    for name in shipped():
        vocoder = Vocoder.open(name)
        with suppress(RecipeError):
            vocoder.check(feature)
            found.setdefault(name, vocoder)
    return found
