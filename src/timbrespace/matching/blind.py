"""Which effect a sound has, and with which knobs, where nobody has the sound without it.

Only the manner of the sound is known, not how loud it was before: settings of each effect are tried on
built-in notes (`simulated`), all brought to one level, and forests say of which the sound could be. A run that
has learnt to hear wet sounds alone (recipe effects-blind) knows at once (`told_by`).
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from timbrespace.audio.level import peak_db
from timbrespace.effects.effect import Effect
from timbrespace.errors import EffectError
from timbrespace.matching.certainty import Certainty, remaining
from timbrespace.matching.manner import manner
from timbrespace.matching.match import PEAK_DB, SILENT_DB, Prediction, beginning, check
from timbrespace.matching.simulated import Simulated, classes, contents, simulate, weigh
from timbrespace.matching.trials import FEWEST, Progress

RENDERS = 150  # of each effect, to tell which it is
MORE = 300  # of the likeliest, to tell its knobs
NONE = "none"  # the sound as it is, among the effects
QUANTILES = 256  # by which a run's expectation of a knob is told

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Blind:
    """What a sound alone tells: `probabilities` by the effect's name and, where that was asked, too, NONE, the
    likeliest first; of the likeliest effect the middle of what each knob may be, and intervals that hold four
    fifths of that."""

    effect: Effect
    setting: dict[str, float]
    knobs: tuple[Certainty, ...]
    probabilities: Mapping[str, float]

    @property
    def facts(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "effect": self.effect.name, "setting": self.setting,
            "knobs": [vars(knob) for knob in self.knobs], "probabilities": dict(self.probabilities),
        }  # fmt: skip


def match_blind(
    effects: Sequence[Effect], sound: np.ndarray, sample_rate: int, *,
    seconds: float | None = None, seed: int = 0, progress: Progress | None = None,
) -> Blind:  # fmt: skip
    """Which of `effects` the `sound` (..., n) has, and its setting, as far as one can tell, in about `seconds`.

    A knob stands at the median of what is probable. The same seed gives the same answer where time does not
    end it. EffectError for a sound that is silent or too short.
    """
    began = time.monotonic()
    until = began + (seconds if seconds is not None else float("inf"))
    check(sound, sound)
    heard = sound[..., : beginning(sound, sample_rate)]

    def told_of(x: np.ndarray) -> np.ndarray:
        peak = 10.0 ** ((PEAK_DB - max(peak_db(x), SILENT_DB)) / 20.0)
        return manner(np.float32(peak) * x, sample_rate)

    told = told_of(heard)
    dry = contents(None, heard.shape[-1], sample_rate, seed)
    tried: list[Simulated] = []
    for number, effect in enumerate(effects):
        late = began + 0.6 * (until - began) * (number + 1) / len(effects)
        tried.append(simulate(effect, dry, sample_rate, RENDERS, told_of, seed=seed, until=late))
        if progress is not None:
            progress("effects", number + 1, len(effects), {})
    fewest = max(FEWEST, min(len(places) for places, _ in tried))
    plain = [told_of(next(dry)) for _ in range(fewest)]
    probabilities = classes([manners for _, manners in tried] + [np.array(plain)], told, seed=seed)
    names = [effect.name for effect in effects]
    ranked = sorted(zip([*names, NONE], probabilities, strict=True), key=lambda pair: -pair[1])
    likeliest = int(np.argmax(probabilities[:-1]))
    effect = effects[likeliest]
    more = simulate(
        effect, dry, sample_rate, MORE, told_of, seed=seed + 1, until=until, progress=progress
    )  # fmt: skip
    places, manners = (np.concatenate(parts) for parts in zip(tried[likeliest], more, strict=True))
    weights = weigh((places, manners), told, seed=seed)
    place = np.array([_median(column, weights) for column in places.T])
    knobs = remaining(
        effect, places, weights, place, 1 if sound.ndim == 1 else len(sound),
        sound.shape[-1] / sample_rate,
    )  # fmt: skip
    return Blind(effect, effect.from_units(place), tuple(knobs), dict(ranked))


def told_by(
    prediction: Prediction, effects: Sequence[Effect], sound: np.ndarray, sample_rate: int
) -> Blind:
    """What a run's `prediction` of the `sound` (..., n) says of `effects`, one of which it is taken to have.

    A knob stands where the run expects it. An effect that the run has not learnt is left out, which is
    logged; EffectError where it has learnt none.
    """
    from scipy.stats import norm

    known = prediction.probabilities
    learnt = [effect for effect in effects if effect.name in known]
    if not learnt:
        asked = " or ".join(effect.name for effect in effects)
        raise EffectError(
            f"the run has not learnt to hear {asked}; choose among {', '.join(known)}"
        )
    for effect in effects:
        if effect not in learnt:
            log.warning("%s is left out: the run has not learnt to hear it", effect.name)
    ranked = sorted(learnt, key=lambda one: -known[one.name])
    shares = np.array([max(known[one.name], 1e-300) for one in ranked])  # one of them it is
    shares /= shares.sum()
    effect = ranked[0]
    expected = prediction.knobs[effect.name]
    spread = norm.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES)[:, None]
    places = np.clip(expected.places + expected.spread * spread, 0.0, 1.0)
    knobs = remaining(
        effect, places, np.ones(len(places)), expected.places, 1 if sound.ndim == 1 else len(sound),
        sound.shape[-1] / sample_rate,
    )  # fmt: skip
    probabilities = dict(zip([one.name for one in ranked], shares.tolist(), strict=True))
    return Blind(effect, effect.from_units(expected.places), tuple(knobs), probabilities)


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value that half of the weights lie below."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order]) / weights.sum()
    return float(values[order[min(int(np.searchsorted(below, 0.5)), len(order) - 1)]])
