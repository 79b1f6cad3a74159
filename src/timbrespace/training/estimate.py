"""Time and memory of a training before it starts, from timing real steps."""

import time

import torch

from timbrespace.batches import Pictures
from timbrespace.machine import use_bfloat16
from timbrespace.recipe import Recipe
from timbrespace.training.augment import training_batch
from timbrespace.training.perceptual import Anchors
from timbrespace.training.state import State
from timbrespace.training.step import train_step


def estimate_training(recipe: Recipe, sounds: int, *, steps: int = 4) -> dict[str, float]:
    """Seconds, memory and size of `recipe` on `sounds` training sounds.

    Times `steps` steps on random pictures after one to warm up; memory counts weights, moments,
    average, gradients and a batch, not the interpreter (about 400 MB) nor the pictures, which are
    mapped and shared with the system's file cache.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    state = State.fresh(recipe, device)
    batch = min(recipe.train.batch, max(1, sounds))
    shape = (batch, 1, *recipe.feature.shape)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    labels = {name: torch.zeros(batch, dtype=torch.long) for name in recipe.model.condition.names}
    everything = torch.arange(batch)
    pictures = Pictures(None, everything.numpy(), labels, (noise[:, 0] * 2.0 - 1.0).half())
    autocast = use_bfloat16(recipe.train.precision, device)
    chosen = recipe.objective.perceptual
    anchors = None if chosen is None else Anchors.stand_in(chosen, pictures)

    def step() -> None:
        x, told = training_batch(pictures, everything, recipe, state.step, device)
        train_step(state, recipe, x, told, steps=1000, autocast=autocast, anchors=anchors)

    step()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    per_step = (time.perf_counter() - began) / steps
    total = max(1, sounds // batch) * recipe.train.epochs
    parameters = state.model.parameters_count()
    copies = 5 if recipe.train.average else 4
    return {
        "seconds": per_step * total * 1.1,  # validation and checkpoints take about a tenth
        "sounds_per_second": batch / per_step, "steps": float(total),
        "parameters": float(parameters),
        "memory_mb": (4 * copies * parameters + 40 * noise.numel()) / 2**20,
    }  # fmt: skip
