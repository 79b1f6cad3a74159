"""One step: batch, terms, total, backward, clip, update."""

import torch
from torch import Tensor

from timbrespace.losses.objective import Objective, total
from timbrespace.losses.reconstruction import RECONSTRUCTIONS
from timbrespace.losses.schedule import learning_rate_factor, warm_up
from timbrespace.recipe import Recipe
from timbrespace.training.parallel import Share
from timbrespace.training.state import State


def objective_of(recipe: Recipe) -> Objective:
    section = recipe.objective
    return Objective(
        RECONSTRUCTIONS[section.reconstruction],
        section.free_bits,
        section.free_bits_over,
        section.loud,
    )


def beta_at(recipe: Recipe, state: State) -> float:
    """The KL's weight at the state's step: warmed up, and the controller's where a rate is asked."""
    section = recipe.objective
    beta = state.controller.beta if state.controller is not None else float(section.beta or 0.0)
    return beta * warm_up(state.step, section.warmup_steps)


def train_step(
    state: State, recipe: Recipe, objective: Objective, x: Tensor, labels: dict[str, Tensor], *,
    steps: int, autocast: bool, share: Share | None = None,
) -> dict[str, float]:  # fmt: skip
    """One update of `state` from pictures (B, 1, F, T), a batch or this rank's share of one; returns
    the raw terms, weights and total of the batch.

    All that is random is drawn from (seed, step), so that a repeated step is the same step.
    """
    train, share = recipe.train, share or Share.whole(len(x))
    generator = torch.Generator().manual_seed(recipe.seed * 7_919 + 2 * state.step + 1)
    state.model.train()
    x = x.contiguous(memory_format=torch.channels_last)
    noise = share.of(torch.randn(share.batch, state.model.latent, generator=generator)).to(x.device)
    factor = learning_rate_factor(
        state.step, steps, kind=train.schedule, warm_up_steps=train.warmup_steps
    )
    for group in state.optimizer.param_groups:
        group["lr"] = train.learning_rate * factor

    # what a part draws by itself (codes that start or are revived) is a function of the step as well
    devices = [x.device] if x.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        torch.autocast(x.device.type, torch.bfloat16, enabled=autocast),
    ):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        out = state.model(x, labels, noise)
    terms = objective.terms(out.x, x, out.latent.nats(out.z)) | out.latent.terms | out.terms
    beta = beta_at(recipe, state)
    loss = total(terms, {"reconstruction": 1.0, "kl": beta, **recipe.objective.weights})
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    mse = (out.x.detach().float() - x).square().mean()
    figures = share.average(state.model, {**terms, "total": loss, "mse": mse})
    if train.clip is not None:
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), train.clip)
    state.optimizer.step()
    if state.average is not None:
        # the average forgets its start quickly: decay min(a, (1 + n) / (10 + n))
        decay = min(train.average, (1.0 + state.step) / (10.0 + state.step))
        now = state.model.state_dict()
        for name, value in state.average.items():
            if value.is_floating_point():
                value.lerp_(now[name], 1.0 - decay)
            else:
                value.copy_(now[name])  # a counter has no average
    if state.controller is not None:
        state.controller.update(figures["kl_raw"])
    state.step += 1
    return {**figures, "beta": beta}
