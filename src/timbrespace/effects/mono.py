"""Which knobs of a plug-in change nothing in mono: no format says it, so it is listened for.

Each knob is turned from end to end on noise, the others at their defaults. One that changes stereo noise
and not mono noise changes only how left and right differ; one that changes neither may do so at another
setting, and nothing is said of it.
"""

import time
from collections.abc import Container
from copy import copy
from dataclasses import replace

import numpy as np

from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob
from timbrespace.errors import EffectError

RATE = 16000
LENGTH = 8000  # samples
SAME = 1e-4  # of the larger peak: plug-ins round
SECONDS = 2.0  # after which no further knob is tried


def listened(effect: Effect, names: Container[str] | None = None) -> Effect:
    """The effect, knobs that change nothing in mono marked `stereo`: of all, or of those in `names`.

    Ours say it themselves. A plug-in that fails at an end of a knob, or is slow, leaves its knobs unmarked.
    """
    if effect.host == "own":
        return effect
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, LENGTH)).astype(np.float32)
    until = time.monotonic() + SECONDS

    def marked(knob: Knob) -> Knob:
        if (names is not None and knob.name not in names) or time.monotonic() > until:
            return knob
        try:
            if _changes(effect, knob, noise[0]) or not _changes(effect, knob, noise):
                return knob
        except EffectError:
            return knob
        return replace(knob, stereo=True)

    found = copy(effect)
    found.knobs = tuple(marked(knob) for knob in effect.knobs)
    return found


def _changes(effect: Effect, knob: Knob, sound: np.ndarray) -> bool:
    low, high = (effect.render(sound, RATE, {knob.name: end}) for end in (knob.low, knob.high))
    return bool(np.abs(high - low).max() > SAME * max(np.abs(low).max(), np.abs(high).max()))
