"""The verbs of effects, one function each, as the command line and Python have them."""

from typing import Any


def effects_list(name: str | None = None) -> list[dict[str, Any]]:
    """Every effect, or the one of this name: name, host, words, level, and its knobs with unit, range,
    curve and default."""
    from timbrespace.effects.catalogue import EFFECTS, find

    chosen = list(EFFECTS.values()) if name is None else [find(name)]
    return [
        {
            "name": effect.name, "host": effect.host, "words": effect.words, "level": effect.level,
            "knobs": [
                {
                    "name": knob.name, "unit": knob.unit, "low": knob.low, "high": knob.high,
                    "default": knob.default, "curve": knob.curve, "stereo": knob.stereo,
                    "seconds": knob.seconds,
                    "range": f"{knob.words(knob.low)} to {knob.words(knob.high)}",
                }
                for knob in effect.knobs
            ],
        }
        for effect in chosen
    ]  # fmt: skip
