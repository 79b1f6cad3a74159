"""What each term of the objective costs beside a plain training step.

    OMP_NUM_THREADS=1 python bench/terms.py [--rounds 5] [--batch 32]

Terms of pictures beside a step of `instruments`, of waveforms beside one of `waveform`, both on random
batches: forward and backward to the reconstruction alone, median of the rounds, in turn with the step.
`perceptual` is timed as a step with 32 sounds more to encode, less the plain step. CPU time of this
process. Writes bench/results/terms.md.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from result import FOLDER, made_by, options, table, write

from timbrespace.batches import Pictures
from timbrespace.losses.catalogue import Term, build_term
from timbrespace.machine import use_bfloat16
from timbrespace.recipe import Recipe, load
from timbrespace.training.perceptual import Anchors
from timbrespace.training.state import State
from timbrespace.training.step import train_step

CPU = torch.device("cpu")
OF_PICTURES = (
    "gaussian_nll", "summed_squared", "mean_squared", "l1", "bernoulli_nll", "cosine", "output_range",
    "spectral",
)  # fmt: skip
OF_WAVES = ("l1", "multi_resolution_stft")
VARIANTS = {
    "gaussian_nll": {"": (), " (learned sigma)": ("objective.sigma.kind=learned",),
                     " (optimal sigma)": ("objective.sigma.kind=optimal",)},
    "spectral": {" along frequency": (), " along time": ("objective.spectral.along=[time]",),
                 " along both": ("objective.spectral.along=[frequency, time]",)},
}  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def once(term: Term, x: torch.Tensor, target: torch.Tensor) -> None:
    x.grad = None
    term(x, target, None).backward()


def rows(recipe_name: str, names: tuple[str, ...], batch: int, rounds: int) -> tuple[str, ...]:
    """Heading, words and table of one recipe."""
    recipe = load(recipe_name)
    state = State.fresh(recipe, CPU)
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(batch, 1, *recipe.feature.shape, generator=generator) * 2.0 - 1.0
    x = (target + 0.2 * torch.randn(target.shape, generator=generator)).requires_grad_()
    labels = {name: torch.full((batch,), 60) for name in recipe.model.condition.names}
    autocast = use_bfloat16(recipe.train.precision, CPU)
    terms = {
        f"`{name}`{words}": build_term(
            name, load("instruments", settings=settings).objective.model_dump()
        )
        for name in names
        for words, settings in VARIANTS.get(name, {"": ()}).items()
    }
    pictures = Pictures(None, torch.arange(batch).numpy(), labels, target[:, 0].half())
    count = min(32, batch)
    anchors = Anchors(pictures, torch.arange(count), 1.0 - torch.eye(count), count)
    with_anchors = recipe.model_copy(update={"objective": recipe.objective.model_copy(
        update={"weights": {**recipe.objective.weights, "perceptual": 1.0}}
    )})  # fmt: skip

    def step(which: Recipe, chosen: Anchors | None) -> None:
        train_step(state, which, target, labels, steps=1000, autocast=autocast, anchors=chosen)

    works: dict[str, Callable[[], object]] = {
        name: (lambda term=term: once(term, x, target)) for name, term in terms.items()
    }
    works |= {"step": lambda: step(recipe, None), "perceptual": lambda: step(with_anchors, anchors)}
    times: dict[str, list[float]] = {name: [] for name in works}
    for lap in range(rounds + 1):
        for name, work in works.items():
            spent = seconds(work)
            if lap:  # the first one warms up
                times[name].append(spent)
    took = {name: median(values) for name, values in times.items()}
    plain = took.pop("step")
    extra = took.pop("perceptual") - plain
    size = " x ".join(map(str, target.shape))
    took[f"`perceptual`, {count} sounds"] = extra
    return (
        f"## `{recipe_name}`, batch {size}",
        f"A step takes {plain * 1e3:.0f} ms.",
        table(
            ("term", "ms", "share of a step"),
            [(n, f"{t * 1e3:.1f}", f"{100 * t / plain:.1f} %") for n, t in took.items()],
        ),
    )


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", type=Path, default=FOLDER / "terms.md")
    given = parser.parse_args()
    command = f"python bench/terms.py --rounds {given.rounds} --batch {given.batch}"
    about = made_by(f"OMP_NUM_THREADS=1 {command}", f"{torch.get_num_threads()} threads")
    write(
        given.out,
        "What terms cost",
        f"{about} CPU time, forward and backward, median.",
        *rows("instruments", OF_PICTURES, given.batch, given.rounds),
        *rows("waveform", OF_WAVES, given.batch, given.rounds),
    )


if __name__ == "__main__":
    main()
