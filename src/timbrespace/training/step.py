"""One step: batch, terms, total, backward, clip, update."""

import math

import torch
from torch import Tensor

from timbrespace.losses.latent import scatter
from timbrespace.losses.objective import total
from timbrespace.losses.schedule import learning_rate_factor
from timbrespace.models.autoencoder import Reconstruction
from timbrespace.recipe import Recipe
from timbrespace.recipe.objective import GATHERS
from timbrespace.training.objective import beta_factor
from timbrespace.training.parallel import Share
from timbrespace.training.perceptual import Anchors
from timbrespace.training.state import State
from timbrespace.training.through import Through


class NotFinite(ArithmeticError):
    """A step in which something was NaN or infinite: nothing was updated.

    `where`: the names of what was not finite, first the pictures, then what came of them. sounds
    (B,): for each of the batch whether it was one of those; none where only their sum was.
    """

    def __init__(self, where: list[str], sounds: Tensor) -> None:
        super().__init__(", ".join(where))
        self.where, self.sounds = where, sounds


def beta_at(recipe: Recipe, state: State, steps: int) -> float:
    """The KL's weight at the state's step of `steps`: as scheduled, and the controller's where a rate
    is asked."""
    section = recipe.objective
    beta = state.controller.beta if state.controller is not None else float(section.beta or 0.0)
    return beta * beta_factor(recipe, state.step, steps)


def train_step(
    state: State, recipe: Recipe, x: Tensor, labels: dict[str, Tensor], *,
    steps: int, autocast: bool, share: Share | None = None, anchors: Anchors | None = None,
    through: Through | None = None,
) -> dict[str, float]:  # fmt: skip
    """One update of `state` from pictures (B, 1, F, T), a batch or this rank's share of one; returns
    the raw terms, weights and total of the batch. NotFinite instead of an update by what is no number.

    `anchors`: sounds encoded besides, where the recipe wants their distances to follow given ones.
    `through`: the effects, where it wants the knobs to be heard in what comes of them.
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
        extra = {}
        if anchors is not None:
            extra["perceptual"] = anchors.term(state.model, x.device, generator)
    for name in GATHERS:
        if recipe.objective.weights.get(name):
            none = torch.full((len(x),), -1, device=x.device)
            places = out.latent.mean[:, : state.model.heard]
            extra[name] = scatter(places, labels.get(name, none))
    terms = state.objective.terms(out.x, x, out.latent.nats(out.z))
    terms |= out.latent.terms | out.terms | extra
    if through is not None:
        assert state.model.heads is not None  # says recipe.check
        units = state.model.heads(out.z.float()).units
        terms |= through.terms(units, labels, share, generator)
    beta = beta_at(recipe, state, steps)
    further = {name: weight for name, weight in recipe.objective.weights.items() if weight}
    loss = total(terms, {"reconstruction": 1.0, "kl": beta, **further})
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    mse = (out.x.detach().float() - x).square().mean()
    figures = share.average(state.trained, {**terms, "total": loss, "mse": mse})
    _check_finite(state, share, x, out, figures)
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
        state.controller.update(figures["kl_raw"], figures["reconstruction"])
    state.step += 1
    return {**figures, "beta": beta}


def _check_finite(
    state: State, share: Share, x: Tensor, out: Reconstruction, figures: dict[str, float]
) -> None:
    """NotFinite for figures or gradients that are no numbers; all ranks see the same ones."""
    names = [name for name, value in figures.items() if not math.isfinite(value)]
    gradients = [p.grad for p in state.trained.parameters() if p.grad is not None]
    if not names and math.isfinite(torch.nn.utils.get_total_norm(gradients)):
        return
    tensors = {"the picture": x, "the latent": out.z, "the reconstruction": out.x}
    for name, values in tensors.items():
        sounds = share.gather(~values.detach().flatten(1).isfinite().all(1))
        if sounds.any():
            raise NotFinite([name, *names], sounds)
    raise NotFinite(names or ["a gradient"], sounds)
