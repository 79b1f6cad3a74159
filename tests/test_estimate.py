"""What a training will take: every shipped recipe can be estimated, and a slow one stops by the clock."""

import pytest

from timbrespace.recipe import build, load, shipped
from timbrespace.training import estimate
from timbrespace.training.estimate import estimate_training


@pytest.mark.parametrize("name", shipped())
def test_the_parts_of_an_estimate_hold_for_every_recipe(name, monkeypatch):
    monkeypatch.setattr(estimate, "STEPS", 1)
    recipe = load(name)
    found = estimate_training(recipe, 5)  # fewer than any batch
    assert found["steps"] == recipe.train.epochs
    per_step = 5 / found["sounds_per_second"]
    assert found["seconds"] == pytest.approx(1.1 * per_step * found["steps"])
    assert found["parameters"] == build(recipe).parameters_count()
    weights = 4 * 4 * found["parameters"] / 2**20
    assert weights + estimate.TORCH_MB < found["memory_mb"] < 2.0 * weights + 800.0


def tiny(batch, hidden=16):
    return load("instruments", settings=(
        "feature.mels=32", "feature.frames=64", f"train.batch={batch}", "train.epochs=3",
        f"model.encoder={{kind: frames, channels: [8, 8], hidden: {hidden}}}",
        f"model.decoder={{kind: frames, channels: [8, 8], hidden: {hidden}}}",
        "train.precision=float32",
    ))  # fmt: skip


def test_steps_are_whole_batches_of_every_epoch():
    assert estimate_training(tiny(16), 100)["steps"] == 3 * 6


def test_what_a_batch_keeps_counts_and_grows_with_it():
    small, large = (estimate_training(tiny(batch, 1024), 64) for batch in (16, 64))
    rest = small["memory_mb"] - (large["memory_mb"] - small["memory_mb"]) / 3
    # what does not grow is torch and five copies of the weights
    known = estimate.TORCH_MB + 20 * small["parameters"] / 2**20
    assert rest == pytest.approx(known, abs=1.0) and large["memory_mb"] > small["memory_mb"] + 1.0


@pytest.mark.parametrize(
    ("seconds", "steps", "told"), [(0.1, 9, 0.1), (1.5, 4, 1.5), (9.0, 1, 9.0)]
)
def test_a_slow_training_is_timed_by_fewer_steps(monkeypatch, seconds, steps, told):
    clock, taken = [0.0], []

    def step(*_, **__):
        taken.append(1)
        clock[0] += seconds

    monkeypatch.setattr(estimate, "train_step", step)
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: clock[0])
    found = estimate_training(tiny(16), 64)
    assert len(taken) == steps
    assert 16 / found["sounds_per_second"] == pytest.approx(told)
