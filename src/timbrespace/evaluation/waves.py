"""Distortion of samples: how far decoded waveforms lie from the originals.

Conventions
-----------
Waveforms are (N, samples), divided by the peak of the original. Figures of a set are means over its
sounds. mse: perfect 0; silence costs the sound's own power. cosine: perfect 1, of silence 0. si_sdr_db
(Le Roux et al. 2019): perfect 100, of silence -100, of noise about -10 log10(samples); no level
counts. All three ask for the very phase of each partial, which no ear does: silence has a smaller mse
than noise of the right level, and than the sound itself a moment later. `heard` asks for no phase.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.facts import BATCH, Facts
from timbrespace.evaluation.statistics import interval
from timbrespace.page import brackets, table

if TYPE_CHECKING:
    from torch import Tensor

SOUNDS = 256  # whose samples are compared
NAMES = ("mse", "cosine", "si_sdr_db")


def validate(original: "Tensor", made: "Tensor") -> None:
    """TimbrespaceError unless both are finite waveforms (N, samples) of one shape."""
    import torch

    if original.shape != made.shape or original.ndim != 2 or not original.numel():
        raise TimbrespaceError(
            f"originals {tuple(original.shape)} and reconstructions {tuple(made.shape)} should both "
            "be (sounds, samples) and not empty"
        )
    if not torch.isfinite(original).all():
        raise TimbrespaceError("an original sound is not finite; prepare the corpus again")
    if not torch.isfinite(made).all():
        raise TimbrespaceError("the model decodes numbers that are not finite; it has diverged")


def figures(original: "Tensor", made: "Tensor") -> np.ndarray:
    """`NAMES` of each sound (N, 3)."""
    import torch

    from timbrespace.features.waveform import si_sdr_db

    validate(original, made)
    cosine = torch.nn.functional.cosine_similarity(made, original, dim=1)
    found = ((made - original).square().mean(1), cosine, si_sdr_db(original, made))
    return torch.stack(found, 1).double().numpy()


def floors(original: "Tensor", rng: np.random.Generator) -> dict[str, "Tensor"]:
    """What knows nothing of the sounds: silence, and noise as loud as each (N, samples)."""
    import torch

    noise = torch.from_numpy(rng.standard_normal(original.shape, np.float32))
    level = original.square().mean(1, keepdim=True).sqrt()
    return {"silence": torch.zeros_like(original), "noise": noise * level}


def evaluate(found: np.ndarray) -> dict[str, float]:
    """Means of `figures` (N, 3), by name."""
    return dict(zip(NAMES, found.mean(0).tolist(), strict=True))


def measure(facts: Facts) -> dict[str, dict[str, Any]]:
    """The figures of the model and of what knows nothing; "model_intervals" of the former, by instrument."""
    import torch

    run = facts.run
    rng = facts.rng("waves")
    store = facts.learnt.features(run.feature)
    parts = np.array_split(facts.there.rows, -(-len(facts.there.rows) // BATCH))
    total = np.sum([store.read(part).sum(0, dtype=np.float64) for part in parts], 0)
    mean_sound = torch.from_numpy(total[0] / len(facts.there.rows)).float()
    at = np.sort(rng.permutation(len(facts.here.rows))[:SOUNDS])
    brief, groups = facts.here.take(at), [facts.groups[i] for i in at]
    found: dict[str, list[np.ndarray]] = {}
    with torch.no_grad():
        for start in range(0, len(brief.rows), BATCH):
            positions = torch.arange(start, min(start + BATCH, len(brief.rows)))
            x, labels = brief.pictures.batch(positions, torch.device("cpu"))
            original = x[:, 0, 0]
            made = {
                name: run.model.decode(torch.from_numpy(z[positions.numpy()]), labels)[
                    :, 0, 0
                ].float()
                for name, z in (("model", brief.z), ("model_at_mean", brief.mean))
            }
            made |= {"mean_sound": mean_sound.expand_as(original)} | floors(original, rng)
            for name, guess in made.items():
                found.setdefault(name, []).append(figures(original, guess))
    each = {name: np.concatenate(tables) for name, tables in found.items()}
    ends = [interval(values, groups, rng=rng) for values in each["model"].T]
    return {
        **{name: evaluate(values) for name, values in each.items()},
        "model_intervals": dict(zip(NAMES, ends, strict=True)),
    }


def show(found: dict[str, Any]) -> Shown:
    """A table of what is measured of samples."""
    names = {
        "model": "model, z sampled", "model_at_mean": "model, decode(mu)",
        "mean_sound": "mean sound", "silence": "silence", "noise": "noise of the same level",
    }  # fmt: skip
    digits = {"mse": 5, "cosine": 3, "si_sdr_db": 1}
    ends = found.get("model_intervals", {})
    lines = [
        (words, *(
            f"{found[name][key]:.{places}f}"
            + (brackets(ends.get(key), places) if name == "model" else "")
            for key, places in digits.items()
        ))
        for name, words in names.items()
    ]  # fmt: skip
    return Shown(
        "<h2>The samples</h2><p>What is heard and what is measured of samples differ: a wave that "
        "sounds the same from a moment later is as far from the original as noise, and silence is "
        "nearer than both.</p>" + table(("", "mean squared error", "cosine", "SI-SDR, dB"), lines)
    )
