"""What a trained run says of a pair, as a match takes it to start from."""

from pathlib import Path

import numpy as np

from timbrespace.audio.files import resample
from timbrespace.matching.match import Predict, Prediction
from timbrespace.matching.trials import Expected


def predictor(run: str | Path) -> Predict:
    """The prediction of the run in folder `run`, for pairs at any rate, of several channels their mean;
    RunError where it has no heads."""
    from timbrespace.recognition import predict
    from timbrespace.runs import Run

    opened = Run.open(run)

    def told(dry: np.ndarray, wet: np.ndarray, sample_rate: int) -> Prediction:
        rate = opened.feature.sample_rate
        one, other = (
            resample(x.reshape(-1, x.shape[-1]).mean(0), sample_rate, rate) for x in (dry, wet)
        )
        heard = predict(opened, one, other)
        probabilities = dict(zip(heard.effects, heard.probabilities[0].tolist(), strict=True))
        heads = opened.model.heads
        knobs = {
            name: Expected(units[0], heard.spread[name][0])
            for name, units in heard.units.items()
            if heads is not None and heads.knobs is not None
        }
        return Prediction(probabilities, knobs)

    return told
