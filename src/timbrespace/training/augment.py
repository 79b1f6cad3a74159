"""Training batches, and changes of their pictures that leave the pitch as it is.

A few dozen instruments are all that a corpus has, and a model that has learnt them by heart codes the
next one badly: what is changed here is what differs between instruments, not what makes a note.
"""

import math

import torch
from torch import Tensor

from timbrespace.batches import Pictures
from timbrespace.recipe import Recipe
from timbrespace.recipe.objective import GATHERS
from timbrespace.training.parallel import Share

LAYER_DB = 24.0  # the softer of two layered sounds lies at most this far below the louder


def training_batch(
    pictures: Pictures, positions: Tensor, recipe: Recipe, step: int, device: torch.device,
    share: Share | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """Pictures (B, 1, F, T) and labels of this rank's share of the batch at `positions`, changed as
    the recipe's `augment` says; a share of each label is dropped where the recipe says so.

    What is drawn is a function of the recipe's seed and the step alone: that of the whole batch.
    """
    share = share or Share.whole(len(positions))
    augment = recipe.train.augment
    floor_db = getattr(recipe.feature, "floor_db", 0.0)  # `check` asks none of it of a waveform
    generator = torch.Generator().manual_seed(recipe.seed * 7_919 + 2 * step)
    x, labels = pictures.batch(share.of(positions), device)
    if augment.layer:
        chosen = torch.rand(len(positions), generator=generator) < augment.layer
        partners, softer = positions.clone(), torch.zeros(len(positions), 2)
        partners[chosen] = pictures.same_label("pitch", positions[chosen], generator)
        softer[chosen] = draw_layers(int(chosen.sum()), generator)
        ours = share.of(chosen)
        other, others = pictures.batch(share.of(partners)[ours], device)
        x[ours] = layer(x[ours], other, share.of(softer)[ours], floor_db=floor_db)
        for name, values in labels.items():  # two sounds at once have the labels that both have
            unknown = -1 if name in GATHERS else pictures.vocabulary.count(name)
            values[ours] = torch.where(values[ours] == others[name], values[ours], unknown)
    if augment.tilt_db:
        sizes = share.of(draw_tilts(len(positions), generator))
        x = tilt(x, sizes, tilt_db=augment.tilt_db, floor_db=floor_db)
    for name, label in recipe.model.condition.labels.items():
        if label.drop:
            gone = share.of(torch.rand(len(positions), generator=generator) < label.drop)
            labels[name] = labels[name].masked_fill(
                gone.to(device), pictures.vocabulary.count(name)
            )
    return x, labels


def draw_layers(count: int, generator: torch.Generator) -> Tensor:
    """How many dB softer each of two layered sounds shall be, (count, 2): one of the two, by the
    toss of a coin, up to 24 dB."""
    softer = torch.rand(count, generator=generator) * LAYER_DB
    first = torch.rand(count, generator=generator) < 0.5
    return torch.stack([torch.where(first, softer, 0.0), torch.where(first, 0.0, softer)], 1)


def layer(x: Tensor, other: Tensor, softer: Tensor, *, floor_db: float) -> Tensor:
    """Both sounds at once, as powers add, each made softer by `softer` (B, 2), dB.

    Pictures (B, 1, F, T) of equal pitch in pairs; the result is brought back to a maximum of 0 dB.
    """
    nepers = -floor_db / 2.0 * math.log(10.0) / 10.0  # natural log of power, per picture unit
    one, two = (softer / (-floor_db / 2.0)).to(x.device).T[:, :, None, None, None]
    both = torch.logaddexp((x - one) * nepers, (other - two) * nepers) / nepers
    return _loudest_at_zero(both).clamp(-1.0, 1.0)


def draw_tilts(count: int, generator: torch.Generator) -> Tensor:
    """The sizes (count, 3) of the cosines of `tilt`, for each picture."""
    return torch.randn(count, 3, generator=generator) * torch.tensor([0.6, 0.4, 0.3])


def tilt(x: Tensor, sizes: Tensor, *, tilt_db: float, floor_db: float) -> Tensor:
    """A smooth gain over frequency, up to about +-tilt_db, for each picture (B, 1, F, T).

    A sum of three slow cosines over the mel axis, of `sizes` (B, 3), like a broad equaliser. The
    result is brought back to a maximum of 0 dB; cells at the floor stay there, since what lies under
    it is unknown.
    """
    axis = torch.linspace(0.0, torch.pi, x.shape[2])
    waves = torch.stack([torch.cos(k * axis) for k in (1.0, 2.0, 3.0)])
    gain = (sizes @ waves).clamp(-1.5, 1.5) * (2.0 * tilt_db / -floor_db)
    silent = x <= -1.0
    y = _loudest_at_zero(x + gain.to(x.device)[:, None, :, None])
    return torch.where(silent, x, y.clamp(-1.0, 1.0))


def _loudest_at_zero(x: Tensor) -> Tensor:
    """Each picture (B, 1, F, T) moved so that its largest cell is 1, which is 0 dB."""
    return x + (1.0 - x.flatten(1).amax(1))[:, None, None, None]
