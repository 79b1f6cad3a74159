"""From a dry sound and a reference to a setting, with what each step gained and how sure each knob is.

Conventions
-----------
The reference is the same sound with the effect (of another one, see `style`). Sounds are (..., n) at one
rate. Distances are taken with the dry sound's peak at -12 dBFS, the reference by the same gain, over the
beginning of the sounds: from rest to four seconds after the dry sound sets in. What the rounding of a
reference of 16 bits can reach is not compared.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from timbrespace.audio.level import peak_db
from timbrespace.effects.effect import Effect
from timbrespace.errors import EffectError
from timbrespace.matching.certainty import Certainty, certainties
from timbrespace.matching.cues import cues
from timbrespace.matching.distance import Target, log_mel_l1, mr_stft
from timbrespace.matching.search import search
from timbrespace.matching.trials import Expected, Progress, Trials

PEAK_DB = -12.0  # of the dry sound where distances are taken
SECONDS = 4.0  # that are listened to, from where the dry sound sets in
ONSET_DB = -40.0  # re the peak, where a sound sets in
SHORTEST = 64  # samples
SILENT_DB = -100.0  # a peak below it is silence
SAME = 1e-3  # MR-STFT below which two sounds are one
RENDERS = 120
TRIED = 32  # renders for each effect where several are tried
KEPT = 3  # effects that are searched to the end
CLEAR = 0.5  # of the next best effect's distance: so much nearer is sure
PROBABLE = 0.8  # so probable is sure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """What a model says before any search: how probable each effect is, and where its knobs are expected."""

    probabilities: Mapping[str, float]
    knobs: Mapping[str, Expected]


Predict = Callable[[np.ndarray, np.ndarray, int], Prediction]  # of dry, wet and their rate
Listen = Callable[[np.ndarray, int], Prediction]  # of a wet sound and its rate


@dataclass(frozen=True)
class Step:
    """A step of a match: how far the best setting is that it came to from the reference, by the match's
    `measure` and, in a paired one, by log-mel L1 (dB), after so many renders and seconds, those of other
    effects that were tried among them."""

    name: str
    distance: float
    log_mel_db: float | None
    renders: int
    seconds: float


@dataclass(frozen=True)
class Match:
    """A setting of an effect for a reference. `steps` begin with doing nothing; `others`: how far other
    effects came, by name; `probabilities`: of each effect that the reference alone may have, where that was
    asked, the likeliest first; `note`: what should be known about it."""

    effect: Effect
    setting: dict[str, float]
    steps: tuple[Step, ...]
    knobs: tuple[Certainty, ...]
    others: Mapping[str, float] = field(default_factory=dict)
    probabilities: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None
    measure: Literal["MR-STFT", "expected"] = "MR-STFT"

    @property
    def ratio(self) -> float | None:
        """The distance that is left, as a share of that of doing nothing; None where the reference is the sound
        itself."""
        nothing = self.steps[0].distance
        return self.steps[-1].distance / nothing if nothing >= SAME else None

    @property
    def sure(self) -> str:
        """How sure the effect is: "asked for", "sure" or "rough"."""
        if self.probabilities:
            return "sure" if self.probabilities[self.effect.name] >= PROBABLE else "rough"
        if not self.others:
            return "asked for"
        clear = self.steps[-1].distance <= CLEAR * min(self.others.values())
        return "sure" if clear and self.ratio is not None else "rough"


def match(
    effect: Effect, dry: np.ndarray, reference: np.ndarray, sample_rate: int, *,
    renders: int = RENDERS, seconds: float | None = None, seed: int = 0,
    predict: Predict | None = None, progress: Progress | None = None, intervals: bool = True,
) -> Match:  # fmt: skip
    """The setting of `effect` with which `dry` (..., n) comes nearest to `reference` (..., n), the same sound
    with the effect, at `sample_rate` Hz.

    At most `renders` renders are made for the search and 60 more for the intervals, in about `seconds`.
    The same seed gives the same match where time does not end it. EffectError for a sound that is silent
    or too short, and for two lengths.
    """
    began = time.monotonic()
    until = began + (seconds if seconds is not None else float("inf"))
    found, trials = searched(
        effect, dry, reference, sample_rate, renders=renders, seed=seed, predict=predict,
        until=began + 0.8 * (until - began), progress=progress,
    )  # fmt: skip
    knobs = certainties(trials, trials.best, until=until) if intervals else []
    return replace(found, knobs=tuple(knobs))


def searched(
    effect: Effect, dry: np.ndarray, reference: np.ndarray, sample_rate: int, *, renders: int,
    seed: int, predict: Predict | None, until: float, progress: Progress | None = None,
    tried: np.ndarray | None = None,
) -> tuple[Match, Trials]:  # fmt: skip
    """A match without intervals, and the trials that led to it; the search ends `until` (`time.monotonic`) and
    knows of the place `tried` (K,) already."""
    began = time.monotonic()
    dry, reference = heard(dry, reference, sample_rate)
    gain = 10.0 ** ((PEAK_DB - peak_db(dry)) / 20.0)
    target = Target(reference, gain)
    told = Teller(reference, sample_rate, gain, target.noise, began)
    steps = [told("nothing", dry, 0)]
    expected = predict(dry, reference, sample_rate).knobs.get(effect.name) if predict else None
    trials = Trials(
        effect, dry, sample_rate, target, renders=renders, until=until, progress=progress,
        expected=expected,
    )  # fmt: skip
    centre = np.full(len(effect.knobs), 0.5)
    starts = [centre, effect.to_units({})]
    steps.append(told("centre", trials.sound(centre), 1))
    known = [(steps[1], centre)]
    if effect.dry is not None:
        starts.append(effect.to_units(effect.dry))
        known.append((steps[0], starts[-1]))
    if tried is not None:
        starts.insert(0, tried)
    if expected is not None:
        starts.insert(0, expected.places)
        steps.append(told("prediction", trials.sound(expected.places), 1))
        known.append((steps[-1], expected.places))
    search(trials, starts, cues(dry, reference, sample_rate, effect.knobs), seed=seed)
    # The search has another distance, and a prior; so what was known before it can be nearer by this one.
    least, place = min(known, key=lambda pair: pair[0].distance)
    trials.best = place
    for stage, end in trials.reached.items():
        step = told(stage, dry if end.sound is None else end.sound, end.renders, end.at)
        trials.best = end.place
        if step.distance > least.distance:
            step = replace(step, distance=least.distance, log_mel_db=least.log_mel_db)
            trials.best = place
        steps.append(step)
    note = _note(effect, steps)
    return Match(effect, effect.from_units(trials.best), tuple(steps), (), note=note), trials


def match_one_of(
    effects: Sequence[Effect], dry: np.ndarray, reference: np.ndarray, sample_rate: int, *,
    renders: int = RENDERS, seconds: float | None = None, seed: int = 0,
    predict: Predict | None = None, progress: Progress | None = None,
) -> Match:  # fmt: skip
    """The effect among `effects`, and its setting, with which `dry` comes nearest; arguments as in `match`.

    The three most probable ones are searched to the end: by the model's classes where one predicts, else by
    a short search with each; only the first one where that is clear. An effect that fails at its centre, as a
    plug-in that crashes, is left out and said; EffectError where all do.
    """
    if len(effects) == 1:
        return match(
            effects[0], dry, reference, sample_rate, renders=renders, seconds=seconds, seed=seed,
            predict=predict, progress=progress,
        )  # fmt: skip
    began = time.monotonic()
    until = began + (seconds if seconds is not None else float("inf"))
    heard(dry, reference, sample_rate)  # what is wrong with the sounds is no effect's fault
    failed: dict[str, str] = {}
    spent = 0

    def attempt(effect: Effect, **how: Any) -> tuple[Match, Trials] | None:
        nonlocal spent
        try:
            made = searched(effect, dry, reference, sample_rate, seed=seed, **how)
        except EffectError as error:
            failed[effect.name] = str(error)
            log.warning("%s is left out: %s", effect.name, error)
            return None
        spent += len(made[1].places)
        return made

    far: dict[str, float] = {}
    places: dict[str, np.ndarray] = {}
    kept = KEPT
    if predict is not None:
        likely = predict(*heard(dry, reference, sample_rate), sample_rate).probabilities
        ranked = sorted(effects, key=lambda e: -likely.get(e.name, 0.0))
    else:
        for number, effect in enumerate(effects):
            late = time.monotonic() + 0.4 * (until - began) / len(effects)
            made = attempt(effect, renders=TRIED, predict=None, until=late)
            if made is not None:
                far[effect.name] = made[0].steps[-1].distance
                places[effect.name] = made[1].best
            if progress is not None:
                progress("effects", number + 1, len(effects), {})
        ranked = sorted((e for e in effects if e.name in far), key=lambda e: far[e.name])
        if len(ranked) == 1 or ranked and far[ranked[0].name] <= CLEAR * far[ranked[1].name]:
            kept = 1
    whole: list[tuple[Match, Trials]] = []
    for number, effect in enumerate(ranked):
        now = time.monotonic()
        left = min(kept - len(whole), len(ranked) - number)
        late = now + max(0.0, began + 0.85 * (until - began) - now) / left
        made = attempt(
            effect, renders=renders, predict=predict, until=late, progress=progress,
            tried=places.get(effect.name),
        )  # fmt: skip
        if made is not None:
            whole.append(made)
        if len(whole) == kept:
            break
    if not whole:
        raise EffectError("; ".join(failed.values()))
    found = time.monotonic() - began
    best, trials = min(whole, key=lambda pair: pair[0].steps[-1].distance)
    nothing, *steps = best.steps
    others_renders, others_seconds = spent - len(trials.places), found - steps[-1].seconds
    steps = [
        replace(s, renders=s.renders + others_renders, seconds=s.seconds + others_seconds)
        for s in steps
    ]
    far.update({m.effect.name: m.steps[-1].distance for m, _ in whole})
    knobs = tuple(certainties(trials, trials.best, until=until))
    others = {name: value for name, value in far.items() if name != best.effect.name}
    notes = [f"{name} is left out: {why}" for name, why in failed.items()]
    notes += [best.note] if best.note else []
    return replace(
        best, steps=(nothing, *steps), others=others, knobs=knobs, note="; ".join(notes) or None
    )


class Teller:
    """Tells how far sounds are from a reference, both times `gain`, and when; `noise` as in `mr_stft`."""

    def __init__(
        self, reference: np.ndarray, sample_rate: int, gain: float, noise: float, began: float
    ) -> None:
        self.gain, self.noise = np.float32(gain), noise
        self.reference, self.sample_rate, self.began = self.gain * reference, sample_rate, began

    def __call__(self, name: str, sound: np.ndarray, renders: int, at: float | None = None) -> Step:
        """A step that ended now, or `at` (`time.monotonic`)."""
        sound, at = self.gain * sound, time.monotonic() if at is None else at
        return Step(
            name, mr_stft(sound, self.reference, noise=self.noise),
            log_mel_l1(sound, self.reference, self.sample_rate), renders,
            at - self.began,
        )  # fmt: skip


def heard(
    dry: np.ndarray, reference: np.ndarray, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """The beginning of both that is listened to; EffectError for what cannot be compared."""
    if dry.shape != reference.shape:
        raise EffectError(
            f"a sound of shape {dry.shape} came with a reference of shape {reference.shape}; cut both "
            "alike, or match the style of another sound"
        )
    check(dry, reference)
    end = beginning(dry, sample_rate)
    return dry[..., :end], reference[..., :end]


def check(dry: np.ndarray, reference: np.ndarray) -> None:
    """EffectError for a sound that is too short, and one that is silent."""
    for name, sound in (("sound", dry), ("reference", reference)):
        if sound.shape[-1] < SHORTEST:
            raise EffectError(
                f"the {name} has {sound.shape[-1]} samples; a match needs at least {SHORTEST}"
            )
        if peak_db(sound) <= SILENT_DB:
            raise EffectError(f"the {name} is silent; give one in which something is heard")


def beginning(sound: np.ndarray, sample_rate: int) -> int:
    """How many samples are listened to: SECONDS from where the sound sets in."""
    return onset(sound) + round(SECONDS * sample_rate)


def onset(sound: np.ndarray) -> int:
    """The sample at which a sound (..., n) sets in."""
    loud = np.abs(sound).reshape(-1, sound.shape[-1]).max(0)
    return int(np.argmax(loud >= loud.max() * 10.0 ** (ONSET_DB / 20.0)))


def _note(effect: Effect, steps: Sequence[Step]) -> str | None:
    if steps[0].distance < SAME:
        return "the reference is the sound itself; no effect is needed"
    if steps[-1].distance >= 0.98 * steps[0].distance:
        return (
            f"no setting of {effect.name} comes nearer than the sound as it is; this effect does not "
            "seem to be in the reference, or that is another sound, whose style can be matched"
        )
    return None
