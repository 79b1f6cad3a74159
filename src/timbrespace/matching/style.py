"""The setting that is safest for the style of another sound.

Of a reference that is another sound many settings can be true (`simulated`). Each would make something else of
the sound at hand; the one is taken whose result is nearest to all of these on average, each as probable as it
is. So a setting is bold only where the reference is clear; where that tells nothing, the sound is left nearly
as it is.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from timbrespace.audio.level import peak_db
from timbrespace.effects.effect import Effect
from timbrespace.matching.blind import match_blind, told_by
from timbrespace.matching.certainty import remaining
from timbrespace.matching.distance import spectra
from timbrespace.matching.manner import manner
from timbrespace.matching.match import PEAK_DB, RENDERS, Listen, Match, Step, beginning, check
from timbrespace.matching.search import sobol
from timbrespace.matching.simulated import classes, contents, rendered, simulate, weigh
from timbrespace.matching.trials import FEWEST, Progress

SIMULATED = 300  # renders on other sounds
NAMING = 2.0 / 3.0  # of the time it may take to find out which effect it is
DOUBT = 1.0 / 3.0  # how probable it is that the reference has no effect, from which on it is said
WITHOUT = "the reference may as well be without"
EVERY = 8  # of the spectra's numbers, every so many is compared


def match_style_of_one(
    effects: Sequence[Effect], dry: np.ndarray, reference: np.ndarray, sample_rate: int, *,
    renders: int = RENDERS, seconds: float | None = None, seed: int = 0,
    listen: Listen | None = None, progress: Progress | None = None,
) -> Match:  # fmt: skip
    """The style of `reference` with the one of `effects` that it most probably has; arguments as in
    `match_style`.

    Which one that is takes two thirds of the time, but none where a run can `listen`; see `blind`.
    """
    if len(effects) == 1:
        return match_style(
            effects[0], dry, reference, sample_rate, renders=renders, seconds=seconds, seed=seed,
            progress=progress,
        )  # fmt: skip
    began = time.monotonic()
    check(dry, reference)
    if listen is not None:
        named = told_by(listen(reference, sample_rate), effects, reference, sample_rate)
    else:
        named = match_blind(
            effects, reference, sample_rate, seconds=seconds and NAMING * seconds, seed=seed,
            progress=progress,
        )  # fmt: skip
    spent = time.monotonic() - began
    found = match_style(
        named.effect, dry, reference, sample_rate, renders=renders,
        seconds=seconds and max(0.0, seconds - spent), seed=seed, progress=progress,
    )  # fmt: skip
    nothing, style = found.steps
    steps = (nothing, replace(style, seconds=style.seconds + spent))
    return replace(found, steps=steps, probabilities=named.probabilities)


def match_style(
    effect: Effect, dry: np.ndarray, reference: np.ndarray, sample_rate: int, *,
    renders: int = RENDERS, seconds: float | None = None, seed: int = 0,
    progress: Progress | None = None,
) -> Match:  # fmt: skip
    """The setting of `effect` on `dry` (..., n) that is safest for `reference` (..., m), another sound with the
    effect whose dry sound was about as loud.

    At most `renders` renders of `dry` are made after SIMULATED of other sounds, in about `seconds`. Distances
    told are expected ones: MR-STFT from what the setting behind the reference makes of `dry`, the mean over
    what remains possible; a knob's interval holds four fifths of that.
    """
    from scipy.spatial.distance import cdist

    began = time.monotonic()
    until = began + (seconds if seconds is not None else float("inf"))
    check(dry, reference)
    dry, reference = (x[..., : beginning(x, sample_rate)] for x in (dry, reference))
    gain = np.float32(10.0 ** ((PEAK_DB - peak_db(dry)) / 20.0))
    loudest = max(dry.reshape(-1, dry.shape[-1]), key=peak_db)
    others = contents(loudest, reference.shape[-1], sample_rate, seed)
    told = manner(gain * reference, sample_rate)
    tried = simulate(
        effect, others, sample_rate, SIMULATED, lambda sound: manner(gain * sound, sample_rate),
        seed=seed, until=began + 0.6 * (until - began), progress=progress,
    )  # fmt: skip
    places, weights = tried[0], weigh(tried, told, seed=seed)
    plain = [manner(gain * next(others), sample_rate) for _ in range(len(places) // 3)]
    without = classes([tried[1], np.array(plain)], told, seed=seed)[1]
    likely = np.argsort(-weights, kind="stable")[: max(FEWEST, 3 * renders // 4)]
    spread = sobol(len(effect.knobs), max(1, renders - len(likely)), seed + 1)
    candidates = list(zip(places[likely], weights[likely], strict=True))
    candidates += [] if effect.dry is None else [(effect.to_units(effect.dry), 0.0)]
    candidates += [(place, 0.0) for place in spread]
    heard, asked, probable = [spectra(gain * dry)[::EVERY]], [], []
    tries = ((place, dry) for place, _ in candidates)
    for number, made in rendered(effect, tries, sample_rate, until):
        place, weight = candidates[number]
        heard.append(spectra(gain * made)[::EVERY])
        asked.append(place)
        probable.append(weight)
        if progress is not None:
            progress("style", len(asked), len(candidates), {})
    known = np.flatnonzero(probable)
    shares = np.array(probable)[known] / sum(probable)
    sounds = np.stack(heard)
    far = EVERY * cdist(sounds, sounds[1 + known], "cityblock") @ shares
    safe = asked[int(np.argmin(far[1:]))]
    nothing, least = float(far[0]), float(far[1:].min())
    knobs = remaining(
        effect, places, weights, safe, 1 if dry.ndim == 1 else len(dry), dry.shape[-1] / sample_rate
    )
    notes = []
    if least >= 0.98 * nothing:
        notes.append(
            f"nothing of {effect.name} is told surely by this reference; the sound is best left as it is"
        )
    if without >= DOUBT:
        notes.append(
            f"{WITHOUT} {effect.name} ({100 * without:.0f} %): another sound tells little of that"
        )
    spent = time.monotonic() - began
    return Match(
        effect, effect.from_units(safe),
        (
            Step("nothing", nothing, None, 0, spent),
            Step("style", least, None, len(places) + len(asked), spent),
        ),
        tuple(knobs), note="; ".join(notes) or None, measure="expected",
    )  # fmt: skip
