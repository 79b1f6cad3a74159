"""The verbs of effects, one function each, as the command line and Python have them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

StrPath = str | Path


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


def effects_play(
    *sounds: StrPath, effect: str | None = None, controller: StrPath | Sequence[StrPath] = (),
    port: int | None = None, browser: bool = True, ready: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Play effects in the browser until Ctrl-C: on files, on the sounds of one corpus, or without any on
    built-in instruments. `effect` is chosen first; `controller`: a file or several, whose pads can be
    chosen; `ready` is told the page's address."""
    from timbrespace.explorer.effects_server import serve

    files = [controller] if isinstance(controller, str | Path) else controller
    serve(sounds, effect=effect, controllers=files, port=port, browser=browser, ready=ready)
