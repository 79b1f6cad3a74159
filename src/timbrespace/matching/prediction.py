"""What a trained run says of a pair, or of a wet sound alone, as a match takes it to start from."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from timbrespace.audio.files import resample
from timbrespace.errors import RunError
from timbrespace.matching.match import Listen, Predict, Prediction, onset
from timbrespace.matching.trials import Expected

if TYPE_CHECKING:
    from timbrespace.runs import Run


def predictor(run: str | Path) -> Predict:
    """The prediction of the run in folder `run`, for pairs at any rate, of several channels their mean, from
    where the dry sound sets in; RunError where it has no heads, and where it hears wet sounds alone."""
    from timbrespace.runs import Run

    opened = Run.open(run)
    if opened.recipe.hears_alone:
        raise RunError(
            f"{run} has learnt to hear a sound alone, not beside its dry one; leave it out, or train one on "
            "pairs with: timbrespace train effects"
        )

    def told(dry: np.ndarray, wet: np.ndarray, sample_rate: int) -> Prediction:
        return _told(opened, dry, wet, sample_rate, onset(dry))

    return told


def listener(run: str | Path) -> Listen:
    """What the run in folder `run` says of sounds whose dry sound nobody has, at any rate, of several channels
    their mean, from where they set in; RunError where it hears pairs only."""
    from timbrespace.runs import Run

    opened = Run.open(run)
    heads = opened.recipe.model.heads
    if not (opened.recipe.hears_alone and heads.effect and heads.knobs):
        raise RunError(
            f"{run} has not learnt to hear a sound without its dry one; train one that has on pairs with: "
            "timbrespace train effects-blind"
        )

    def told(wet: np.ndarray, sample_rate: int) -> Prediction:
        return _told(opened, np.zeros_like(wet), wet, sample_rate, onset(wet))

    return told


def _told(run: "Run", dry: np.ndarray, wet: np.ndarray, sample_rate: int, first: int) -> Prediction:
    """What heads say of the sounds from sample `first` on."""
    from timbrespace.recognition import predict

    one, other = (
        resample(
            x[..., first:].reshape(-1, x.shape[-1] - first).mean(0),
            sample_rate,
            run.feature.sample_rate,
        )
        for x in (dry, wet)
    )
    heard, heads = predict(run, one, other), run.model.heads
    probabilities = dict(zip(heard.effects, heard.probabilities[0].tolist(), strict=True))
    knobs = {
        name: Expected(units[0], heard.spread[name][0])
        for name, units in heard.units.items()
        if heads is not None and heads.knobs is not None
    }
    return Prediction(probabilities, knobs)
