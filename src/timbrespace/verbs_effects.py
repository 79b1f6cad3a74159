"""The verbs of effects, one function each, as the command line and Python have them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timbrespace.controller import Controller
    from timbrespace.data.pairs import Pairs
    from timbrespace.effects import Effect, Setting

StrPath = str | Path
Progress = Callable[[str, int, int, dict[str, float]], None]


def effects_list(name: str | None = None) -> list[dict[str, Any]]:
    """All effects, or the one of this name: name, host, words, level, whether it is differentiable, its
    dry setting (None where it has none), and its knobs with unit, range, default, curve and what cannot
    be heard. Among all, those of hosts say name, host and words: ask for one by name for its knobs."""
    from timbrespace.effects import hosts
    from timbrespace.effects.catalogue import EFFECTS, find

    if name is not None:
        return [_described(find(name))]
    found = [
        {"name": n, "host": n.partition(":")[0], "words": words} for n, words in hosts.listed()
    ]
    return [*(_described(effect) for effect in EFFECTS.values()), *found]


def _described(effect: "Effect") -> dict[str, Any]:
    return {
        "name": effect.name, "host": effect.host, "words": effect.words, "level": effect.level,
        "differentiable": effect.differentiable, "dry": effect.dry,
        "knobs": [
            {
                "name": knob.name, "unit": knob.unit, "low": knob.low, "high": knob.high,
                "default": knob.default, "curve": knob.curve, "stereo": knob.stereo,
                "seconds": knob.seconds,
                "range": f"{knob.low:.4g} to {knob.words(knob.high)}",
            }
            for knob in effect.knobs
        ],
    }  # fmt: skip


@dataclass(frozen=True)
class Applied:
    """What came of a sound: the file written, or None and the sentence that says why; by how many dB the
    highest peak was lowered by the limiter; and what was set that cannot be heard in such a sound."""

    sound: str
    file: Path | None
    error: str | None = None
    limited: float = 0.0
    unheard: tuple[str, ...] = ()


def effects_apply(
    files: Sequence[StrPath], out: StrPath, *, effect: str, setting: "Setting | None" = None,
    format: str = "wav16", progress: Progress | None = None,
) -> list[Applied]:  # fmt: skip
    """Each sound with an effect, as STEM.EFFECT in the folder `out`, at its own rate, with its own length
    and channels.

    setting: knobs by name, those left out at their defaults. format: one of audio.files.FORMATS. What
    would pass -0.1 dBFS is limited. A file that cannot be used is told of, and the rest goes on;
    EffectError for an effect or knob that is not there, before anything is read.
    """
    import re

    from timbrespace.audio.files import suffix_of
    from timbrespace.effects.catalogue import find
    from timbrespace.errors import TimbrespaceError
    from timbrespace.verbs import folder_for, free_names

    found = find(effect)
    found.complete(setting or {})
    ending = suffix_of(format)
    folder, title = folder_for(out), re.sub(r"[^\w.+-]+", "-", effect)
    made = []
    for name, file in zip(free_names(files, f".{title}"), files, strict=True):
        try:
            made.append(_apply(found, setting or {}, file, folder / f"{name}{ending}", format))
        except TimbrespaceError as error:
            made.append(Applied(str(file), None, str(error)))
        if progress:
            progress("apply", len(made), len(files), {})
    return made


def _apply(effect: "Effect", setting: "Setting", file: StrPath, to: Path, format: str) -> Applied:
    from timbrespace.audio.files import read, write
    from timbrespace.audio.level import limit, peak_db

    dry = read(file)
    wet = effect.render(dry.samples, dry.sample_rate, setting)
    safe = limit(wet, dry.sample_rate)
    write(to, safe, dry.sample_rate, format=format)
    told = [k.unheard(len(wet), dry.seconds) for k in effect.knobs if k.name in setting]
    lowered = peak_db(wet) - peak_db(safe)
    return Applied(str(file), to, None, lowered, tuple(words for words in told if words))


def effects_pairs(
    out: StrPath, *, corpus: StrPath, effects: str | Sequence[str] = "all", settings: str = "random",
    n: int = 1000, seconds: float = 2.048, sample_rate: int = 16000, level: str = "kept",
    seed: int = 0, workers: int | None = None, progress: Progress | None = None,
) -> "Pairs":  # fmt: skip
    """Render `n` pairs of a dry and a wet sound for each effect, as a corpus in the folder `out`.

    corpus: a prepared one of dry sounds. effects: names, or "all" for ten of our own. The rest as in
    data.pair_rendering.render_pairs. The same call again goes on where it was interrupted.
    """
    from timbrespace.data.pair_rendering import render_pairs
    from timbrespace.data.pair_settings import ALL

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


def effects_controller(
    effect: str, out: StrPath, *, sounds: Sequence[StrPath] = (), kind: str = "bottleneck",
    dimensions: int = 2, settings: int = 1000, seed: int = 0, progress: Progress | None = None,
) -> "Controller":  # fmt: skip
    """Make a controller of an effect, measure it on settings and a sound that it does not know, and write
    it to `out`. sounds: a corpus, or files; without any, notes of the built-in instruments."""
    from dataclasses import replace

    from timbrespace.controller.make import check, make
    from timbrespace.controller.measure import measure
    from timbrespace.controller.sounds import dry_sounds
    from timbrespace.effects.catalogue import find

    found = find(effect)
    check(found, kind, dimensions, settings)
    dry = dry_sounds(sounds, seed=seed)
    made = make(
        found, dry.made_on, kind=kind, dimensions=dimensions, settings=settings, seed=seed,
        progress=progress,
    )  # fmt: skip
    measures = {**measure(made, dry.kept, progress=progress), "held_out_sound": dry.apart}
    whole = replace(made, made={**made.made, "about": dry.about}, measures=measures)
    whole.save(out)
    return whole
