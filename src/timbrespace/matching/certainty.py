"""How well each knob of a found setting is known: how far it can be moved before that is heard."""

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np

from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob
from timbrespace.errors import EffectError
from timbrespace.matching.trials import Trials

NOTABLE = 0.05  # of the distance of doing nothing: a rise that is heard
UNSURE = 0.5  # of the distance that is left: so much of it could be this knob's
SURE = 0.15  # of a knob's range: the widest interval that is called sure
SPAN = 0.01  # of the range, the nearest that is looked at

Word = Literal["sure", "rough", "cannot be heard here"]


@dataclass(frozen=True)
class Certainty:
    """A knob's found `value` and the interval `low` to `high`, all in its unit, outside of which the distance
    rises notably; `why` says why a knob cannot be heard."""

    knob: str
    unit: str
    value: float
    low: float
    high: float
    word: Word
    why: str | None = None


def certainties(
    trials: Trials, place: np.ndarray, *, renders: int = 60, until: float = float("inf")
) -> list[Certainty]:
    """One a knob, at the place found (K,): each knob is moved to both sides while the others stay, with at
    most `renders` renders, none after `until` (`time.monotonic`).

    Settings of the search that are as near as that widen an interval, so that knobs which can make up for
    each other are not called sure. An interval that is not looked at is as wide as the range.
    """
    least = trials.least
    notable = least + NOTABLE * trials.nothing
    most = max(notable, (1.0 + UNSURE) * least)
    near = np.array([p for p, d in zip(trials.places, trials.distances, strict=True) if d <= most])
    each = max(1, renders // max(1, 2 * len(place)))
    found = []
    for number, knob in enumerate(trials.effect.knobs):
        ends, rises = [], []
        for end in (0.0, 1.0):
            side, rise = _end(trials, place, number, end, most, notable, each, until)
            rises.append(rise)
            ends.append(side)
        low = min(ends[0], float(near[:, number].min()))
        high = max(ends[1], float(near[:, number].max()))
        channels = 1 if trials.dry.ndim == 1 else len(trials.dry)
        seconds, value = trials.dry.shape[-1] / trials.sample_rate, knob.from_unit(place[number])
        why = knob.unheard(channels, seconds, value)
        if why is None and not any(rises) and None not in rises:
            why = f"{knob.name} changes nothing that is heard in this sound at this setting"
        found.append(_told(knob, float(place[number]), low, high, why))
    return found


def remaining(
    effect: Effect, places: np.ndarray, weights: np.ndarray, place: np.ndarray, channels: int,
    seconds: float,
) -> list[Certainty]:  # fmt: skip
    """One a knob of the chosen place (K,): the interval that holds four fifths of the weights (N,) of places
    (N, K) that remain possible, and the chosen one."""
    found = []
    for number, knob in enumerate(effect.knobs):
        order = np.argsort(places[:, number])
        below = np.cumsum(weights[order]) / weights.sum()
        low, high = (
            float(places[order[min(np.searchsorted(below, q), len(order) - 1)], number])
            for q in (0.1, 0.9)
        )
        low, high = min(low, float(place[number])), max(high, float(place[number]))
        why = knob.unheard(channels, seconds, knob.from_unit(place[number]))
        found.append(_told(knob, float(place[number]), low, high, why))
    return found


def _told(knob: Knob, place: float, low: float, high: float, why: str | None) -> Certainty:
    """A knob that stands at `place` and may stand between `low` and `high`, all 0 to 1."""
    word: Word = "sure" if high - low <= SURE else "rough"
    return Certainty(
        knob.name, knob.unit, knob.from_unit(place), knob.from_unit(low), knob.from_unit(high),
        "cannot be heard here" if why else word, why,
    )  # fmt: skip


def _end(
    trials: Trials, place: np.ndarray, number: int, end: float, most: float,
    notable: float, count: int,
    until: float,
) -> tuple[float, bool | None]:  # fmt: skip
    """The nearest place of a knob towards `end` that is known to be further away than `most`, `end` where
    none is, and whether any is further than `notable`; None where there was no time to look."""
    span = abs(end - place[number])
    inner, outer, rises = 0.0, span, None if span > SPAN else False
    for step in range(count):
        if outer <= SPAN or time.monotonic() > until:
            break
        here = span if step == 0 else np.sqrt(max(inner, SPAN) * outer)
        moved = place.copy()
        moved[number] += np.sign(end - place[number]) * here
        try:
            distance = trials.target.distance(trials.sound(moved))
        except EffectError:
            distance = float("inf")
        if distance <= most:
            inner = here
        else:
            outer = here
        rises = bool(rises) or distance > notable
        if inner == span:
            break
    return float(place[number] + np.sign(end - place[number]) * outer), rises
