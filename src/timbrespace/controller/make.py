"""Make a controller of an effect: render random settings, listen, and fit."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from timbrespace.audio.files import resample
from timbrespace.controller import layout
from timbrespace.controller.controller import Axis, Controller
from timbrespace.controller.fit import Heard, fit, wanted_axes
from timbrespace.controller.heard import FOLLOWED, SAMPLE_RATE, Ear
from timbrespace.effects.effect import Effect
from timbrespace.errors import EffectError
from timbrespace.geometry.axes import rank_correlation
from timbrespace.recognition import between
from timbrespace.runs import Run

Kind = Literal["bottleneck", "umap", "pca"]
KINDS: tuple[str, ...] = get_args(Kind)
LEAST, MOST = 2, 8  # dimensions
SETTINGS, LEAST_SETTINGS = 1000, 60
TRIED = 200  # positions at which the axes are listened to
ALIKE = 0.1  # of two things that an axis follows so nearly alike, the first of FOLLOWED is named

Progress = Callable[[str, int, int, dict[str, float]], None]


def make(
    effect: Effect, sounds: Sequence[np.ndarray], *, kind: str = "bottleneck", dimensions: int = 2,
    settings: int = SETTINGS, seed: int = 0, run: Run | None = None,
    progress: Progress | None = None,
) -> Controller:  # fmt: skip
    """A controller of `effect`, made on dry sounds (n,), mono, at `heard.SAMPLE_RATE`.

    So many random `settings` are rendered on every sound. What is heard of them is told by the latents of
    `run`, a space of effects, in place of the ear's timbre. The same arguments give the same controller.
    RunError for a run that is none; EffectError for a kind that there is not, dimensions beyond 2 to 8 or
    more than the effect has knobs, and sounds that are too soft; MissingExtra for `umap` without umap-learn.
    """
    check(effect, kind, dimensions, settings)
    return fitted(
        effect, listen(effect, sounds, settings, seed, run, progress), kind, dimensions, seed,
        progress,
    )  # fmt: skip


def check(effect: Effect, kind: str, dimensions: int, settings: int = SETTINGS) -> None:
    """EffectError where no such controller can be made."""
    count = len(effect.knobs)
    if kind not in KINDS:
        raise EffectError(
            f"there is no controller of kind {kind!r}; choose one of {', '.join(KINDS)}"
        )
    if not LEAST <= dimensions <= MOST:
        raise EffectError(f"a controller has {LEAST} to {MOST} dimensions, got {dimensions}")
    if count < LEAST:
        raise EffectError(f"{effect.name} has one knob, which is its own controller; turn that")
    if dimensions > count:
        raise EffectError(
            f"{effect.name} has {count} knobs, so more than {count} dimensions would say nothing more; "
            f"got {dimensions}, ask for {LEAST}{f' to {count}' if count > LEAST else ''}"
        )
    if settings < LEAST_SETTINGS:
        raise EffectError(
            f"a controller is learnt from at least {LEAST_SETTINGS} settings, got {settings}"
        )


def listen(
    effect: Effect, sounds: Sequence[np.ndarray], settings: int, seed: int,
    run: Run | None = None, progress: Progress | None = None,
) -> tuple[Ear, Heard]:  # fmt: skip
    """Random settings rendered on all sounds, and what was heard of them: by the ear alone, or with the
    latents of a run as their timbre."""
    ear = Ear(sounds)
    units = np.random.default_rng(seed).random((settings, len(effect.knobs)))
    timbre, told = [], []
    for number, places in enumerate(units, 1):
        wet = rendered(effect, ear, places)
        one, figures = ear.hear(wet)
        timbre.append(one if run is None else _latents(run, ear.sounds, wet))
        told.append(figures)
        if progress is not None:
            progress("render", number, settings, {})
    table = np.array(told)
    least = units[int(table[:, 0].argmin())] if effect.dry is None else effect.to_units(effect.dry)
    return ear, Heard(units, np.array(timbre), table, least)


def _latents(run: Run, dry: np.ndarray, wet: np.ndarray) -> np.ndarray:
    """mu of what lies between dry and wet sounds (S, n), one after the other."""
    rate = run.feature.sample_rate
    return between(run, *(resample(x, SAMPLE_RATE, rate) for x in (dry, wet))).ravel()


def rendered(effect: Effect, ear: Ear, units: np.ndarray) -> np.ndarray:
    """The dry sounds with knobs at units (K,): (S, n)."""
    setting = effect.from_units(units)
    return np.stack([effect.render(dry.samples, SAMPLE_RATE, setting) for dry in ear.dry])


def fitted(
    effect: Effect, known: tuple[Ear, Heard], kind: str, dimensions: int, seed: int,
    progress: Progress | None = None,
) -> Controller:  # fmt: skip
    """A controller from what `listen` heard."""
    ear, heard = known
    places = None
    if kind != "bottleneck":
        raw = (
            layout.pca_places(heard.timbre, dimensions) if kind == "pca"
            else layout.umap_places(heard.timbre, dimensions, seed)
        )  # fmt: skip
        places = layout.spread_evenly(layout.oriented(raw, wanted_axes(heard.told)[0]), seed)

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress("fit", done, total, {})

    found = fit(heard, dimensions, places, seed, tell)
    made = {
        "settings": len(heard.units), "sounds": len(ear.dry), "seconds": ear.length / SAMPLE_RATE,
        "sample_rate": SAMPLE_RATE, "seed": seed,
    }  # fmt: skip
    controller = Controller(
        effect.name, effect.knobs, kind, (), found.decoder, found.encoder, made, {}
    )
    return _with_axes(controller, effect, ear, dimensions, seed)


def _with_axes(
    controller: Controller, effect: Effect, ear: Ear, dimensions: int, seed: int
) -> Controller:
    """The controller with what its axes were heard to do, at random positions."""
    blank = replace(controller, axes=(Axis("effect", 0.0, "", 0.0),) * dimensions)
    places = np.random.default_rng(seed + 1).random((TRIED, dimensions))
    units = blank.knobs(places)
    told = np.array([ear.hear(rendered(effect, ear, one))[1] for one in units])
    names = [knob.name for knob in effect.knobs]
    axes = []
    for along in places.T:
        heard = [rank_correlation(along, column) for column in told.T]
        turned = [rank_correlation(along, column) for column in units.T]
        strong = np.abs(heard)
        first = int(np.argmax(strong >= strong.max() - ALIKE))
        knob = int(np.abs(turned).argmax())
        axes.append(Axis(FOLLOWED[first], heard[first], names[knob], turned[knob]))
    return replace(controller, axes=tuple(axes))
