"""What the page of effects asks: sounds through an effect whose knobs, or the place on a pad, are given.

A sound that leaves here is safe for ears: its peak is at most -1 dBFS, and it is faded at both ends.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.audio.files import Audio
from timbrespace.audio.level import fade_edges, limit, peak_db
from timbrespace.effects import hosts
from timbrespace.effects.catalogue import EFFECTS, find
from timbrespace.effects.effect import Effect
from timbrespace.errors import EffectError, MissingExtra, suggestion
from timbrespace.explorer.session import PEAK
from timbrespace.explorer.sounds import Shelf, Sound, Source
from timbrespace.explorer.view import NotHere
from timbrespace.explorer.work import Tell, Work

if TYPE_CHECKING:
    from timbrespace.controller import Controller
    from timbrespace.matching.match import Listen, Match, Predict

FADE_MS = 5.0
KEPT_EFFECTS = 16
KEPT_WET = 8
MELS, FLOOR_DB, COLUMNS = 80, -80.0, 480  # of a picture
MATCH_SECONDS = 8.0
NAME_SECONDS = 15.0  # in which it is found out which effect it may be
LIKELY, OTHERS = 0.1, 3  # from which probability on, and how many, other effects are told
STEPS = {
    "nothing": "the dry sound", "centre": "all knobs in the middle", "prediction": "what the run expects",
    "Sobol": "settings all over", "CMA-ES": "evolved (CMA-ES)", "polish": "polished", "again": "and once more",
    "style": "after the search",
}  # fmt: skip
# While a hand moves only what is heard next is rendered of a long sound, with as much of what lies before
# as can be rendered in time: of that an effect's echoes, envelopes and filters come.
WHOLE = 2**17  # samples of all channels: a sound with no more is rendered whole
AHEAD = 1.0  # seconds that are heard next: until the hand has rested and the whole is there
IN_TIME = 0.015  # seconds that the render of a stretch may take
LEAST_BEFORE = 0.25  # seconds, however slow the effect is
CONTROLLER_SETTINGS = 300  # renders of a controller made for the page: it is there within a minute


@dataclass(frozen=True)
class Wet:
    """A sound as it is heard: samples (1 or 2, n) float32, the setting (None for the dry sound), and how
    much the loudest peak had to come down. `first`: of a stretch, where it begins in the sound, which has
    `of` samples."""

    samples: np.ndarray
    sample_rate: int
    setting: dict[str, float] | None
    lowered_db: float
    first: int | None = None
    of: int | None = None


class Playing:
    """Sounds, effects and controllers of one page.

    `effect` is chosen first, or that of the first controller, or the first of all. `predictor` gives what
    says where a match begins, where a run can, `listener` what names the effect of another sound. `map_page`:
    whether the server has a map beside.
    """

    def __init__(
        self, source: Source, *, effect: str | None = None, controllers: Sequence[Controller] = (),
        predictor: Callable[[], Predict] | None = None,
        listener: Callable[[], Listen] | None = None, map_page: bool = False,
    ) -> None:  # fmt: skip
        self.shelf = Shelf(source)
        self.work = Work()
        self.controllers = list(controllers)
        first = effect or (self.controllers[0].effect if self.controllers else next(iter(EFFECTS)))
        self._effects: OrderedDict[str, Effect] = OrderedDict()
        self._wet: OrderedDict[tuple[Any, ...], Wet] = OrderedDict()
        self._pace: dict[str, float] = {}  # seconds that a sample takes an effect, the least so far
        self._guard = threading.Lock()
        self.known = {name: one.words for name, one in EFFECTS.items()} | dict(hosts.listed())
        # what was named when the page was started may be played, too: a plug-in by its path
        named = [first, *(one.effect for one in self.controllers)]
        self._may = {*self.known, *(part for name in named for part in name.split("+"))}
        self.first, self.map_page = self.effect(first).name, map_page
        self.predictor, self.listener = predictor, listener

    def describe(self) -> dict[str, Any]:
        """Sounds, effects by name, controllers, and what comes first."""
        from timbrespace import __version__

        return {
            "version": __version__,
            "source": self.shelf.source.words,
            "sounds": self.shelf.names(),
            "effects": [{"name": name, "words": words} for name, words in self.known.items()],
            "controllers": self.told_controllers(),
            "first": self.first,
            "map": self.map_page,
            "predicts": self.predictor is not None,
            "listens": self.listener is not None,
        }

    def told_controllers(self) -> list[dict[str, Any]]:
        return [
            {
                "effect": one.effect, "kind": one.kind, "clean": np.asarray(one.clean).tolist(),
                "axes": [axis.words for axis in one.axes],
            }
            for one in self.controllers
        ]  # fmt: skip

    def effect(self, name: str) -> Effect:
        """EffectError where there is none of this name; a plug-in's path never comes from the page."""
        with self._guard:
            if name in self._effects:
                self._effects.move_to_end(name)
                return self._effects[name]
        for part in name.split("+"):
            if part not in self._may:
                hint = suggestion(part, self.known, "choose one of the list")
                raise EffectError(f"there is no effect {part!r} here; {hint}")
        found = find(name)
        with self._guard:
            self._effects[name] = found
            while len(self._effects) > KEPT_EFFECTS:
                self._effects.popitem(last=False)
        return found

    def told(self, name: str, number: int) -> dict[str, Any]:
        """An effect and its knobs, with what cannot be heard of them in the sound of this id; of a pair the
        wet sound, too, as the reference."""
        effect, sound, wet = self.effect(name), self.shelf.sound(number), self.shelf.wet(number)
        facts = effect.facts
        for knob, about in zip(effect.knobs, facts["knobs"], strict=True):
            about["unheard"] = knob.unheard(len(sound.samples), sound.seconds)
        return {
            **facts, "dry": None if effect.dry is None else effect.complete(effect.dry),
            "sound": {
                "name": sound.name, "seconds": round(sound.seconds, 3), "whole": round(sound.whole, 3),
                "sample_rate": sound.sample_rate, "channels": len(sound.samples),
            },
            "reference": None if wet is None else {"sound": wet, "name": self.shelf.sound(wet).name},
        }  # fmt: skip

    def setting(
        self, name: str, values: Mapping[str, float], at: Sequence[float] | None = None,
        controller: int | None = None,
    ) -> dict[str, float]:  # fmt: skip
        """A value for each knob of an effect: as given, the others at their defaults; or those of a place
        `at` on a controller's pad. EffectError for what the effect has not."""
        effect = self.effect(name)
        if controller is None:
            return effect.complete(values)
        chosen = self._controller(controller, effect)
        return effect.from_units(chosen.knobs(np.array(at if at is not None else chosen.clean)))

    def place(self, name: str, setting: Mapping[str, float], controller: int) -> list[float]:
        """Where on a controller's pad a setting lies, (d,) from 0 to 1."""
        effect = self.effect(name)
        chosen = self._controller(controller, effect)
        return [float(x) for x in np.clip(chosen.position(effect.to_units(setting)), 0.0, 1.0)]

    def render(
        self, number: int, name: str | None, setting: Mapping[str, float] | None = None,
        sample_rate: int | None = None,
    ) -> Wet:  # fmt: skip
        """The sound of an id through an effect, safe for ears; without an effect's name as it is. At the
        sound's own rate, or brought to `sample_rate`."""
        values = None if name is None else self.effect(name).complete(setting or {})
        key = (number, name, tuple((values or {}).items()), sample_rate)
        with self._guard:
            if key in self._wet:
                return self._wet[key]
        sound = self.shelf.sound(number)
        samples = sound.samples
        if name is not None:
            samples = self._timed(self.effect(name), samples, sound.sample_rate, values or {})
        made = _safe(samples, sound, sample_rate or sound.sample_rate, values)
        with self._guard:
            self._wet[key] = made
            while len(self._wet) > KEPT_WET:
                self._wet.popitem(last=False)
        return made

    def stretch(self, number: int, name: str, setting: Mapping[str, float], moment: float) -> Wet:
        """What is heard next of `render`, from `moment` (seconds) on and round the sound's end to its
        beginning, where the whole would take too long: AHEAD seconds, nearly as they are in the whole."""
        effect, sound = self.effect(name), self.shelf.sound(number)
        values = effect.complete(setting)
        channels, n = sound.samples.shape
        ahead = round(AHEAD * sound.sample_rate)
        if channels * n <= WHOLE or n <= ahead:
            return self.render(number, name, values)
        first = round(moment * sound.sample_rate) % n
        in_time = round(IN_TIME / self._pace.get(effect.name, IN_TIME) / channels)
        before = max(round(LEAST_BEFORE * sound.sample_rate), in_time - ahead)
        parts = [(first, min(first + ahead, n)), (0, max(0, first + ahead - n))]
        made = [
            self._part(effect, sound, values, begin, end, before) for begin, end in parts if end
        ]
        lowered = max(part.lowered_db for part in made)
        samples = np.concatenate([part.samples for part in made], axis=1)
        return Wet(samples, sound.sample_rate, values, lowered, first, n)

    def _part(
        self, effect: Effect, sound: Sound, values: dict[str, float], begin: int, end: int, before: int
    ) -> Wet:  # fmt: skip
        """Samples begin to end of a render, begun `before` samples earlier."""
        # a plug-in knows no `start`: it has to begin where the sound does
        start = max(0, begin - before) if effect.host == "own" else 0
        samples = self._timed(
            effect, sound.samples[:, start:end], sound.sample_rate, values, start=start
        )
        edges = {"start": start == 0, "end": end == sound.samples.shape[1]}
        made = _safe(samples, sound, sound.sample_rate, values, **edges)
        return replace(made, samples=made.samples[:, begin - start :])

    def _timed(
        self, effect: Effect, samples: np.ndarray, sample_rate: int, values: dict[str, float], start: int = 0
    ) -> np.ndarray:  # fmt: skip
        """The effect's render, by which its pace is known."""
        began = time.perf_counter()
        made = effect.render(samples, sample_rate, values, start=start)
        pace = (time.perf_counter() - began) / samples.size
        self._pace[effect.name] = min(pace, self._pace.get(effect.name, pace))
        return made

    def keep(self, wet: Wet, number: int) -> int:
        """Keep what was rendered of the sound of this id as a sound of its own; its id."""
        name = self.shelf.sound(number).name
        told = "" if wet.setting is None else ", with the effect"
        seconds = wet.samples.shape[1] / wet.sample_rate
        return self.shelf.keep(Sound(name + told, wet.samples, wet.sample_rate, seconds))

    def picture(self, wet: Wet) -> np.ndarray:
        """Log-mel picture uint8 (mels, frames) of a sound, 0 = floor, 255 = loudest."""
        import torch

        from timbrespace.features.log_mel import LogMel

        samples = np.ascontiguousarray(wet.samples.mean(0), np.float32)
        n_fft = 1024 if wet.sample_rate <= 24000 else 2048
        hop = min(max(32, -(-len(samples) // COLUMNS)), n_fft // 2)
        feature = LogMel(
            wet.sample_rate, n_fft=n_fft, hop=hop, mels=MELS, frames=1, floor_db=FLOOR_DB
        )
        with torch.no_grad():
            values = feature.analyse_all(torch.from_numpy(samples)).values.numpy()
        return np.rint((np.clip(values, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)

    def match(self, name: str | None, number: int, reference: int, style: bool = False) -> None:
        """Begin to search the setting with which the sound of the one id comes nearest to that of the other,
        the same sound with the effect, or with `style` another one; without a name the effect, too, among
        our own. `work` tells about it. EffectError where they cannot be compared."""
        from timbrespace.matching.match import check, match_one_of
        from timbrespace.matching.pairing import paired
        from timbrespace.matching.style import match_style_of_one

        effects = [*EFFECTS.values()] if name is None else [self.effect(name)]
        seconds = MATCH_SECONDS + (NAME_SECONDS if name is None else 0.0)
        sounds = (self.shelf.sound(number), self.shelf.sound(reference))
        check(*(one.samples for one in sounds))
        pair = paired(*(Audio(one.samples, one.sample_rate) for one in sounds), style=style)

        def do(tell: Tell) -> dict[str, Any]:
            progress = lambda stage, done, total, facts: tell(stage, done, total)  # noqa: E731
            if style:
                made = match_style_of_one(
                    effects, pair.dry, pair.reference, pair.sample_rate, seconds=seconds,
                    listen=self.listener and self.listener(), progress=progress,
                )  # fmt: skip
            else:
                made = match_one_of(
                    effects, pair.dry, pair.reference, pair.sample_rate, seconds=seconds,
                    predict=self.predictor and self.predictor(), progress=progress,
                )  # fmt: skip
            words = (*_told_effect(made), _told_match(made), *map(_sentence, pair.words))
            return {
                "effect": made.effect.name, "values": made.setting, "words": " ".join(words),
                "steps": _shares(made),
            }  # fmt: skip

        self.work.begin("match", do)

    def make_controller(self, name: str, number: int, kind: str, dimensions: int) -> None:
        """Begin to make a controller of an effect on the sound of this id, which `work` tells about.
        EffectError for a controller that cannot be made."""
        from timbrespace.controller.heard import SAMPLE_RATE
        from timbrespace.controller.make import check, make

        effect = self.effect(name)
        check(effect, kind, dimensions, CONTROLLER_SETTINGS)
        if kind == "umap" and find_spec("umap") is None:  # else it is said after a minute's renders
            raise MissingExtra(
                'UMAP is not installed: pip install "timbrespace[maps]"; the other kinds of pads need '
                "nothing extra"
            )
        dry = _mono(self.shelf.sound(number), SAMPLE_RATE)

        def do(tell: Tell) -> dict[str, Any]:
            made = make(
                effect, [dry], kind=kind, dimensions=dimensions, settings=CONTROLLER_SETTINGS,
                progress=lambda stage, done, total, facts: tell(stage, done, total),
            )  # fmt: skip
            with self._guard:
                self.controllers.append(made)
            return {"controllers": self.told_controllers()}

        self.work.begin("controller", do)

    def _controller(self, number: int, effect: Effect) -> Controller:
        if number >= len(self.controllers):
            raise NotHere(f"There is no controller {number} here.")
        chosen = self.controllers[number]
        if chosen.effect != effect.name:
            raise EffectError(
                f"controller {number} plays {chosen.effect}, not {effect.name}; choose that effect first"
            )
        return chosen


def open_controllers(paths: Sequence[Path]) -> list[Controller]:
    """Controllers from their files; EffectError where one is none, or its effect is another by now."""
    from timbrespace.controller import Controller

    opened = [Controller.open(path) for path in paths]
    for one in opened:
        one.find_effect()
    return opened


def _safe(
    samples: np.ndarray, sound: Sound, sample_rate: int, setting: dict[str, float] | None,
    **edges: bool,
) -> Wet:  # fmt: skip
    """Faded at both ends, or at those of its `edges` (start, end) that are ends, and limited to a peak of
    -1 dBFS."""
    from timbrespace.audio.files import resample

    moved = resample(np.asarray(samples, np.float32), sound.sample_rate, sample_rate)
    faded = fade_edges(moved, sample_rate, FADE_MS, **edges)
    lowered = max(0.0, peak_db(faded) - 20.0 * float(np.log10(PEAK)))
    return Wet(limit(faded, sample_rate, ceiling=PEAK), sample_rate, setting, round(lowered, 2))


def _mono(sound: Sound, sample_rate: int) -> np.ndarray:
    """The mean of the channels (n,), at a rate."""
    from timbrespace.audio.files import resample

    return resample(sound.samples.mean(0), sound.sample_rate, sample_rate)


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _told_effect(found: Match) -> list[str]:
    """Which effect it is, in a sentence, where that was asked."""
    if found.probabilities:
        likely = [f"{n} ({100 * p:.0f} %)" for n, p in found.probabilities.items() if p >= LIKELY]
        return [f"The reference alone sounds like {', '.join(likely) or 'nothing certain'}."]
    how = "clearly" if found.sure == "sure" else "but not by much"
    return [f"{found.effect.name} comes nearest, {how}."] if found.others else []


def _shares(found: Match) -> list[tuple[str, float]]:
    """What each step left of the dry sound's distance, and what the nearest other effects did; nothing where
    the reference is the sound itself."""
    if found.ratio is None:
        return []
    nothing = found.steps[0].distance
    others = sorted(found.others.items(), key=lambda one: one[1])[:OTHERS]
    told = [(STEPS[step.name], step.distance) for step in found.steps]
    told += [(f"{name} in its place", far) for name, far in others]
    return [(words, far / nothing) for words, far in told]


def _told_match(found: Match) -> str:
    """What came of a match: how near it is, and how sure each knob."""
    if found.ratio is None:
        return _sentence(str(found.note))
    last = found.steps[-1]
    left = "left" if found.measure == "MR-STFT" else "expected to be left"
    told = [
        f"{knob.knob} cannot be heard" if knob.word == "cannot be heard here"
        else f"{knob.knob} {knob.value:.4g} {knob.unit}".rstrip() + f" ({knob.low:.4g} to {knob.high:.4g})"
        for knob in found.knobs
    ]  # fmt: skip
    words = (
        f"{100 * found.ratio:.0f} % of the dry sound's distance is {left}, after {last.renders} "
        f"{'render' if last.renders == 1 else 'renders'} in {last.seconds:.1f} s: {', '.join(told)}."
    )
    return words if found.note is None else f"{words} But {found.note}."
