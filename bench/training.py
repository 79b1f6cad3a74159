"""Training speed of a recipe beside a plain eager float32 loop over the same model, in one run.

    python bench/training.py CORPUS --recipe instruments --steps 80 --rounds 3

Both take the same batches from memory, with the same noise, optimiser settings and loss; the plain
loop has no bfloat16, no channels-last memory, no fused optimiser and no weight average. Beside the
speed stand the validation distortion of the last weights after the same number of steps, and GFLOP/s
(forward and backward, counted by torch) as a share of a large matrix product's. Writes
bench/results/training.md.
"""

import time
from pathlib import Path
from statistics import median

import torch
from result import FOLDER, made_by, options, table, write
from torch.utils.flop_counter import FlopCounterMode

from timbrespace.batches import Pictures, order
from timbrespace.data.corpus import Corpus
from timbrespace.features.log_mel import LogMel
from timbrespace.losses.objective import total as weighted
from timbrespace.losses.schedule import learning_rate_factor
from timbrespace.machine import use_bfloat16
from timbrespace.recipe import Recipe, load
from timbrespace.runs import vocabulary_of
from timbrespace.training.augment import training_batch
from timbrespace.training.parallel import Ranks
from timbrespace.training.start import begin
from timbrespace.training.state import State
from timbrespace.training.step import beta_at, train_step
from timbrespace.training.validation import validate

CPU = torch.device("cpu")
HEADINGS = (
    "loop", "sounds per second", "times plain", "GFLOP/s", "of the product's", "valid dB", "bits"
)  # fmt: skip


def gemm(dtype: torch.dtype) -> float:
    """GFLOP/s of a 2048 x 2048 matrix product."""
    a = torch.randn(2048, 2048, dtype=dtype)
    a @ a
    began = time.perf_counter()
    for _ in range(5):
        a @ a
    return 5 * 2 * 2048**3 / (time.perf_counter() - began) / 1e9


def plain_step(state: State, recipe: Recipe, x: torch.Tensor, labels: dict, steps: int) -> None:
    """The same step without anything that makes it fast, with the same noise."""
    train = recipe.train
    generator = torch.Generator().manual_seed(recipe.seed * 7_919 + 2 * state.step + 1)
    noise = torch.randn(len(x), state.model.latent, generator=generator)
    factor = learning_rate_factor(
        state.step, steps, kind=train.schedule, warm_up_steps=train.warmup_steps
    )
    for group in state.optimizer.param_groups:
        group["lr"] = train.learning_rate * factor
    out = state.model(x, labels, noise)
    terms = state.objective.terms(out.x, x, out.latent.nats(out.z))
    loss = weighted(terms, {"reconstruction": 1.0, "kl": beta_at(recipe, state, steps)})
    state.optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), recipe.train.clip or 1e9)
    state.optimizer.step()
    state.step += 1


def plain_state(recipe: Recipe) -> State:
    state = State.fresh(recipe, CPU)
    state.model = state.model.to(memory_format=torch.contiguous_format)
    state.optimizer = torch.optim.AdamW(
        state.model.parameters(), lr=recipe.train.learning_rate,
        weight_decay=recipe.train.weight_decay, foreach=False,
    )  # fmt: skip
    state.average = None
    return state


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--recipe", default="instruments")
    parser.add_argument("--steps", type=int, default=80, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=FOLDER / "training.md")
    given = parser.parse_args()
    # A given beta, so that both stand at the same rate; the recipe's own schedule over these steps, so
    # that both come to rest and differ by more than chance only where one is worse.
    recipe = load(given.recipe, settings=("objective.beta=1.0",))
    total = given.steps * given.rounds
    corpus = Corpus.open(given.corpus)
    feature = LogMel.from_settings(recipe.feature.model_dump())
    store, vocabulary = corpus.features(feature), vocabulary_of(recipe, corpus)
    pictures = Pictures.of(corpus, store, corpus.split_rows("train"), vocabulary)
    valid = Pictures.of(corpus, store, corpus.split_rows("valid"), vocabulary)
    autocast = use_bfloat16(recipe.train.precision, CPU)
    ours, plain = State.fresh(recipe, CPU), plain_state(recipe)
    for state in (ours, plain):
        begin(state, recipe, pictures, Ranks(device=CPU))
    batch = recipe.train.batch
    positions = torch.cat([order(0, epoch, len(pictures)) for epoch in range(40)])

    x, labels = pictures.batch(positions[:batch], CPU)
    with FlopCounterMode(display=False) as counter:
        out = plain.model(x, labels, torch.randn(batch, plain.model.latent))
        out.x.square().sum().backward()
    flops = counter.get_total_flops() / batch

    speeds: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(given.rounds):
        for name in ("ours", "plain"):
            state = ours if name == "ours" else plain
            state.model.train()
            began = time.perf_counter()
            for _ in range(given.steps):
                here = positions[state.step * batch : (state.step + 1) * batch]
                x, labels = training_batch(pictures, here, recipe, state.step, CPU)
                if name == "ours":
                    train_step(state, recipe, x, labels, steps=total, autocast=autocast)
                else:
                    plain_step(state, recipe, x, labels, total)
            speeds[name].append(given.steps * batch / (time.perf_counter() - began))
    peaks = gemm(torch.float32), gemm(torch.bfloat16)
    about = made_by(
        f"python bench/training.py CORPUS --recipe {given.recipe} --steps {given.steps} "
        f"--rounds {given.rounds}",
        f"{torch.get_num_threads()} threads",
    )
    reached = (
        f"{flops / 1e6:.0f} MFLOP per sound, forward and backward; a large matrix product reaches "
        f"{peaks[0]:.0f} GFLOP/s in float32 and {peaks[1]:.0f} in bfloat16."
    )
    lines = []
    base = median(speeds["plain"])
    for name, state, peak in (("plain", plain, peaks[0]), ("ours", ours, peaks[autocast])):
        result = validate(
            state.model, valid, seed=0, feature=feature, device=CPU,
            autocast=name == "ours" and autocast,
        )  # fmt: skip
        speed = median(speeds[name])
        lines.append([
            name, f"{speed:.0f}", f"{speed / base:.2f}", f"{speed * flops / 1e9:.0f}",
            f"{speed * flops / 1e9 / peak:.0%}", f"{result.rmse_db:.2f}", f"{result.bits:.1f}",
        ])  # fmt: skip
    write(given.out, "Training speed", about, reached, table(HEADINGS, lines))


if __name__ == "__main__":
    main()
