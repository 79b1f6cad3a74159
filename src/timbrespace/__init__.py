"""timbrespace: learn a timbre space from sounds; see it, hear it and play it.

The verbs of the command line are functions here, looked up on first use so that importing the
package loads no torch: `timbrespace.prepare`, `train`, `space`, `evaluate`, `morph`, ...
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("timbrespace")
except PackageNotFoundError:  # used from a source tree that is not installed
    __version__ = "0+unknown"

VERBS = (
    "instruments", "prepare", "recipes", "estimate", "train", "space", "axes", "evaluate", "compare",
    "paper", "reconstruct", "explain", "encode", "decode", "morph", "generate", "play", "export",
    "search", "explore", "demo", "doctor",
)  # fmt: skip
VOCODER_VERBS = ("vocoder_train", "vocoder_info", "vocoder_evaluate")
EFFECT_VERBS = (
    "effects_list", "effects_apply", "effects_pairs", "effects_play", "effects_controller",
    "effects_match", "effects_blind",
)  # fmt: skip

__all__ = ["EFFECT_VERBS", "VERBS", "VOCODER_VERBS", "__version__"]


def __getattr__(name: str) -> object:
    if name in VERBS:
        from timbrespace import verbs

        return getattr(verbs, name)
    if name in EFFECT_VERBS:
        from timbrespace import verbs_effects

        return getattr(verbs_effects, name)
    if name in VOCODER_VERBS:
        from timbrespace import verbs_vocoders

        return getattr(verbs_vocoders, name)
    raise AttributeError(f"module 'timbrespace' has no attribute {name!r}")
