"""Which pictures of sound there are."""

from typing import Any

from timbrespace.errors import RecipeError
from timbrespace.features.feature import Feature
from timbrespace.features.log_mel import LogMel
from timbrespace.features.pair import Pair
from timbrespace.features.spectrogram import Spectrogram
from timbrespace.features.waveform import Waveform

FEATURES: dict[str, type[Feature]] = {
    "log_mel": LogMel, "spectrogram": Spectrogram, "waveform": Waveform, "pair": Pair
}  # fmt: skip


def feature_of(settings: dict[str, Any]) -> Feature:
    """The feature that `settings` describes, log_mel where they name no kind; RecipeError names what
    is impossible."""
    kind = settings.get("kind", LogMel.kind)
    if kind not in FEATURES:
        raise RecipeError(f"feature.kind should be one of {', '.join(FEATURES)}, got {kind!r}")
    return FEATURES[kind].from_settings(settings)
