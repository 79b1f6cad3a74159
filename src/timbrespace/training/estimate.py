"""Time and memory of a training before it starts, from timing real steps."""

import math
import statistics
import time

import torch
from torch import Tensor

from timbrespace.batches import Pictures
from timbrespace.machine import use_bfloat16
from timbrespace.models.principal import changing_buffers
from timbrespace.recipe import Recipe
from timbrespace.training.augment import training_batch
from timbrespace.training.perceptual import Anchors
from timbrespace.training.start import count_of
from timbrespace.training.state import State
from timbrespace.training.step import train_step
from timbrespace.training.through import Through

STEPS = 8  # timed after the first, whose half is warming up
SECONDS = 4.0  # after which no further step is begun
SLOW = 8.0  # a first step that takes so long is the estimate: what it warms up is little of it
TORCH_MB = 110.0  # that torch takes once anything is trained (measured, CPU)


def estimate_training(recipe: Recipe, sounds: int) -> dict[str, float]:
    """Seconds, memory and size of `recipe` on `sounds` training sounds.

    Times at most 8 steps on random pictures for some 4 seconds, their median. Memory is beside the
    interpreter (about 400 MB) and the pictures, which are mapped and shared with the system's file
    cache: weights, gradients, moments and average, twice what the first step keeps for its gradients
    or the pictures that a linear start looks at, and torch itself: 0.6 to 0.9 of what the process
    took at most for the shipped recipes on a CPU (bench/estimate.py).
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    through = Through.stand_in(recipe) if recipe.objective.through else None
    state = State.fresh(recipe, device, through and through.vocabulary)
    batch = min(recipe.train.batch, max(1, sounds))
    shape = (batch, 1, *recipe.feature.shape)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    labels = {name: torch.zeros(batch, dtype=torch.long) for name in recipe.model.condition.names}
    everything = torch.arange(batch)
    if through is not None:
        labels |= {"effect": torch.zeros(batch, dtype=torch.long), "row": everything}
    pictures = Pictures(None, everything.numpy(), labels, (noise[:, 0] * 2.0 - 1.0).half())
    autocast = use_bfloat16(recipe.train.precision, device)
    chosen = recipe.objective.perceptual
    anchors = None if chosen is None else Anchors.stand_in(chosen, pictures)

    def step() -> float:
        began = time.perf_counter()
        x, told = training_batch(pictures, everything, recipe, state.step, device)
        train_step(
            state, recipe, x, told, steps=1000, autocast=autocast, anchors=anchors, through=through
        )
        return time.perf_counter() - began

    kept: dict[int, int] = {}  # bytes by address

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = max(kept.get(storage.data_ptr(), 0), storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        times = [step()]
    weights = {weight.untyped_storage().data_ptr() for weight in state.model.parameters()}
    saved = sum(size for address, size in kept.items() if address not in weights)
    if times[0] < SLOW:
        times = [step()]
        while len(times) < STEPS and sum(times) < SECONDS:
            times.append(step())
    per_step = statistics.median(times)
    total = max(1, sounds // batch) * recipe.train.epochs
    parameters = state.model.parameters_count()
    copies = 5 if recipe.train.average else 4
    fixed = sum(b.nbytes for b in state.model.buffers()) - sum(
        b.nbytes for b in changing_buffers(state.model).values()
    )
    cells = math.prod(recipe.feature.shape)
    # the start is over before the first step
    working = max(2 * saved, 4 * cells * count_of(sounds, cells) if fixed else 0)
    return {
        "seconds": per_step * total * 1.1,  # validation and checkpoints take about a tenth
        "sounds_per_second": batch / per_step, "steps": float(total),
        "parameters": float(parameters),
        "memory_mb": (4 * copies * parameters + fixed + working) / 2**20 + TORCH_MB,
    }  # fmt: skip
