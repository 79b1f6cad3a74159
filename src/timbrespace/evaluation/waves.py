"""Distortion of samples: how far decoded waveforms lie from the originals.

Conventions
-----------
Waveforms are (N, samples), divided by the peak of the original. Figures of a set are means over its
sounds. mse: perfect 0; silence costs the sound's own power. cosine: perfect 1, of silence 0. si_sdr_db
(Le Roux et al. 2019): perfect 100, of silence -100, of noise about -10 log10(samples); no level
counts. All three ask for the very phase of each partial, which no ear does: silence has a smaller mse
than noise of the right level, and than the sound itself a moment later. `heard` asks for no phase.
"""

from typing import TYPE_CHECKING

import numpy as np

from timbrespace.errors import TimbrespaceError

if TYPE_CHECKING:
    from torch import Tensor

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


def evaluate(table: np.ndarray) -> dict[str, float]:
    """Means of `figures` (N, 3), by name."""
    return dict(zip(NAMES, table.mean(0).tolist(), strict=True))
