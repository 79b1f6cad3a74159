"""The verbs of effects, one function each, as the command line and Python have them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timbrespace.data.pairs import Pairs

StrPath = str | Path
Progress = Callable[[str, int, int, dict[str, float]], None]


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


def effects_pairs(
    out: StrPath, *, corpus: StrPath, effects: str | Sequence[str] = "all", settings: str = "random",
    n: int = 1000, seconds: float = 2.048, sample_rate: int = 16000, level: str = "kept",
    seed: int = 0, workers: int | None = None, progress: Progress | None = None,
) -> "Pairs":  # fmt: skip
    """Render `n` pairs of a dry and a wet sound for each effect, as a corpus in the folder `out`.

    corpus: a prepared one of dry sounds. effects: names, or "all" for ten of our own. The rest as in
    data.pairs.render_pairs. The same call again goes on where it was interrupted.
    """
    from timbrespace.data.pairs import ALL, render_pairs

    names = effects.split(",") if isinstance(effects, str) else list(effects)
    names = [one for name in names for one in (ALL if name.strip() == "all" else (name.strip(),))]
    tell = None
    if progress is not None:
        tell = lambda stage, done, total: progress(stage, done, total, {})  # noqa: E731
    return render_pairs(
        out, corpus, [name for name in names if name], settings=settings, number=n,
        seconds=seconds, sample_rate=sample_rate, level=level, seed=seed, workers=workers,
        progress=tell,
    )  # fmt: skip


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
