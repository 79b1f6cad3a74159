"""Training batches, and changes of their pictures that leave the pitch as it is.

A few dozen instruments are all that a corpus has, and a model that has learnt them by heart codes the
next one badly: what is changed here is what differs between instruments, not what makes a note.
"""

import math

import torch
from torch import Tensor

from timbrespace.batches import Pictures
from timbrespace.recipe import Recipe

LAYER_DB = 24.0  # the softer of two layered sounds lies at most this far below the louder


def training_batch(
    pictures: Pictures, positions: Tensor, recipe: Recipe, step: int, device: torch.device
) -> tuple[Tensor, dict[str, Tensor]]:
    """Pictures (B, 1, F, T) and labels at `positions`, changed as the recipe's `augment` says.

    What is drawn is a function of the recipe's seed and the step alone.
    """
    augment, floor_db = recipe.train.augment, recipe.feature.floor_db
    generator = torch.Generator().manual_seed(recipe.seed * 7_919 + 2 * step)
    x, labels = pictures.batch(positions, device)
    if augment.layer:
        chosen = (torch.rand(len(x), generator=generator) < augment.layer).nonzero()[:, 0]
        partners = pictures.same_label("pitch", positions[chosen], generator)
        other, _ = pictures.batch(partners, device)
        x[chosen] = layer(x[chosen], other, generator, floor_db=floor_db)
    if augment.tilt_db:
        x = tilt(x, generator, tilt_db=augment.tilt_db, floor_db=floor_db)
    return x, labels


def layer(x: Tensor, other: Tensor, generator: torch.Generator, *, floor_db: float) -> Tensor:
    """Both sounds at once, as powers add: one of the two, by the toss of a coin, up to 24 dB softer.

    Pictures (B, 1, F, T) of equal pitch in pairs; the result is brought back to a maximum of 0 dB.
    """
    nepers = -floor_db / 2.0 * math.log(10.0) / 10.0  # natural log of power, per picture unit
    softer = torch.rand(len(x), generator=generator) * LAYER_DB / (-floor_db / 2.0)
    first = torch.rand(len(x), generator=generator) < 0.5
    shift = [torch.where(which, softer, 0.0).to(x.device)[:, None, None, None]
             for which in (first, ~first)]  # fmt: skip
    both = torch.logaddexp((x - shift[0]) * nepers, (other - shift[1]) * nepers) / nepers
    return _loudest_at_zero(both).clamp(-1.0, 1.0)


def tilt(x: Tensor, generator: torch.Generator, *, tilt_db: float, floor_db: float) -> Tensor:
    """A random smooth gain over frequency, up to about +-tilt_db, for each picture (B, 1, F, T).

    A sum of three slow cosines over the mel axis, like a broad equaliser. The result is brought back
    to a maximum of 0 dB; cells at the floor stay there, since what lies under it is unknown.
    """
    batch, _, mels, _ = x.shape
    axis = torch.linspace(0.0, torch.pi, mels)
    waves = torch.stack([torch.cos(k * axis) for k in (1.0, 2.0, 3.0)])
    sizes = torch.randn(batch, 3, generator=generator) * torch.tensor([0.6, 0.4, 0.3])
    gain = (sizes @ waves).clamp(-1.5, 1.5) * (2.0 * tilt_db / -floor_db)
    silent = x <= -1.0
    y = _loudest_at_zero(x + gain.to(x.device)[:, None, :, None])
    return torch.where(silent, x, y.clamp(-1.0, 1.0))


def _loudest_at_zero(x: Tensor) -> Tensor:
    """Each picture (B, 1, F, T) moved so that its largest cell is 1, which is 0 dB."""
    return x + (1.0 - x.flatten(1).amax(1))[:, None, None, None]
