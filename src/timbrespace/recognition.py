"""What a run with heads says of two sounds: which effect lies between them, and where its knobs stand."""

from dataclasses import dataclass

import numpy as np
import torch

from timbrespace.errors import RunError
from timbrespace.features.pair import Pair
from timbrespace.runs import Run


@dataclass(frozen=True)
class Prediction:
    """Of B pairs: `effects` by name, their probabilities (B, E), and for each of them `units` (B, K),
    where its knobs stand from 0 to 1 if it is the one, in their order, with the standard deviation
    `spread` (B, K) of what the run thinks possible: a knob that it cannot hear stands at its usual
    place, with a wide one."""

    effects: tuple[str, ...]
    probabilities: np.ndarray
    units: dict[str, np.ndarray]
    spread: dict[str, np.ndarray]

    def likeliest(self, index: int = 0) -> str:
        """The effect that a pair most probably has."""
        return self.effects[int(self.probabilities[index].argmax())]


def predict(run: Run, dry: np.ndarray, wet: np.ndarray) -> Prediction:
    """Of one pair, dry and wet (n,), or of several, (B, n), at the rate of the run's feature.

    What is longer than the feature's `samples` is not heard. RunError for a run without heads.
    """
    heads = run.model.heads
    if heads is None or not isinstance(run.feature, Pair):
        raise RunError(
            f"{run.path} reads no effects; train one on pairs with: timbrespace train effects"
        )
    with torch.no_grad():
        heard = heads(_mean(run, run.feature, dry, wet))
    effects = run.vocabulary.words["effect"]
    units, spread = (
        {name: part.numpy()[:, places] for name, places in run.vocabulary.knob_places.items()}
        for part in (heard.units, heard.spread)
    )
    return Prediction(effects, heard.effects.numpy(), units, spread)


def between(run: Run, dry: np.ndarray, wet: np.ndarray) -> np.ndarray:
    """mu (B, Z) of what lies between the sounds of a pair, dry and wet (n,), or of several, (B, n), at the rate
    of the run's feature: without the numbers that are the dry sound's own. RunError for a run of no pairs."""
    if not isinstance(run.feature, Pair):
        raise RunError(
            f"{run.path} is no space of effects; train one on pairs with: timbrespace train effects"
        )
    return _mean(run, run.feature, dry, wet)[:, : run.model.heard].numpy()


def _mean(run: Run, feature: Pair, dry: np.ndarray, wet: np.ndarray) -> torch.Tensor:
    """mu (B, Z) of pairs; what is longer than the feature's `samples` is not heard."""
    both = np.zeros(
        (*np.broadcast_shapes(np.shape(dry)[:-1], np.shape(wet)[:-1]), 2, feature.samples),
        np.float32,
    )
    for place, sound in enumerate((dry, wet)):
        heard = np.asarray(sound, np.float32)[..., : feature.samples]
        both[..., place, : heard.shape[-1]] = heard
    samples = torch.from_numpy(both.reshape(-1, 2 * feature.samples))
    with torch.no_grad():
        return run.model.encode(feature.analyse(samples).values[:, None]).mean.float()
