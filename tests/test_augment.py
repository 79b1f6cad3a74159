"""Augmentation: what is added is what was meant, and the pitch stays."""

import numpy as np
import pytest
import torch

from timbrespace import recipe
from timbrespace.batches import Pictures
from timbrespace.errors import RecipeError
from timbrespace.models.conditions import PITCHES
from timbrespace.training.augment import (
    LAYER_DB,
    draw_layers,
    draw_tilts,
    layer,
    tilt,
    training_batch,
)

CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def to_db(x: torch.Tensor) -> torch.Tensor:
    return (x - 1.0) * 40.0


def test_layered_sounds_add_as_powers():
    """Cells of (0, -80, -20) dB over (-80, 0, -20): the first two tell the levels of the two sounds,
    and the third must hold the sum of their powers."""
    one = torch.tensor([[[[1.0, -1.0, 0.5]]]]).repeat(64, 1, 1, 1)
    softer = draw_layers(64, seeded())
    both = to_db(layer(one, one[..., [1, 0, 2]], softer, floor_db=-80.0))[:, 0, 0]
    left, right, third = both.unbind(1)
    assert torch.maximum(left, right).abs().max() < 1e-3  # the loudest is at 0 dB
    softer = torch.minimum(left, right)
    assert -LAYER_DB - 1e-3 < softer.min() < -LAYER_DB / 2 and softer.max() <= 0.0
    assert 20 < int((left < right).sum()) < 44  # either may be the softer
    power = 10 ** (left / 10) + 10 ** (right / 10)
    torch.testing.assert_close(third, 10 * power.log10() - 20.0, atol=1e-3, rtol=0)


def test_a_sound_layered_with_itself_is_itself():
    x = torch.rand(8, 1, 4, 6, generator=seeded()) * 2 - 1
    x = x + (1.0 - x.amax((1, 2, 3), keepdim=True))
    torch.testing.assert_close(
        layer(x, x, draw_layers(8, seeded()), floor_db=-80.0), x, atol=1e-5, rtol=0
    )


def test_partners_have_the_same_pitch_and_unknown_ones_stay_alone():
    pitch = torch.tensor([60, 61, 60, PITCHES, 60, 61, PITCHES])
    pictures = Pictures(None, np.arange(7), {"pitch": pitch}, torch.zeros(7, 2, 2).half())
    seen: dict[int, set[int]] = {i: set() for i in range(7)}
    for seed in range(60):
        found = pictures.same_label("pitch", torch.arange(7), seeded(seed))
        for i, j in enumerate(found.tolist()):
            seen[i].add(j)
    assert seen[0] == seen[2] == seen[4] == {0, 2, 4} and seen[1] == seen[5] == {1, 5}
    assert seen[3] == {3} and seen[6] == {6}


def test_a_batch_is_a_function_of_seed_and_step():
    wanted = recipe.load("instruments", settings=("feature.mels=32", "feature.frames=32"))
    kept = (torch.rand(40, 32, 32, generator=seeded()) * 2 - 1).half()
    pictures = Pictures(None, np.arange(40), {"pitch": torch.arange(40) % 5 + 60}, kept)
    batch = [training_batch(pictures, torch.arange(16), wanted, step, CPU)[0] for step in (3, 3, 4)]
    assert torch.equal(batch[0], batch[1]) and not torch.equal(batch[0], batch[2])
    assert not torch.equal(batch[0], kept[:16, None].float())
    assert (batch[0] >= -1).all() and (batch[0] <= 1).all()


def test_tilt_is_smooth_and_leaves_silence():
    x = torch.full((16, 1, 32, 4), 0.0)
    x[:, :, :, 3] = -1.0
    y = tilt(x, draw_tilts(16, seeded()), tilt_db=6.0, floor_db=-80.0)
    assert (y[..., 3] == -1.0).all() and (y.amax((1, 2, 3)) - 1.0).abs().max() < 1e-5
    slope = to_db(y)[:, 0, :, 0].diff(dim=1)
    assert slope.abs().max() < 3.0 and slope.abs().max() > 0.1  # dB from band to band


def test_layering_without_pitch_is_refused():
    with pytest.raises(RecipeError, match="layer"):
        recipe.load("nsynth-baseline", settings=("train.augment.layer=0.5",))
