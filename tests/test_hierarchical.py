"""The hierarchical bottleneck against what a hierarchy must do, on problems with known answers."""

import math

import pytest
import torch

from timbrespace.errors import RecipeError
from timbrespace.models.bottlenecks import Gaussian
from timbrespace.models.hierarchical import Hierarchical, LevelsPrior
from timbrespace.recipe import build, load, parse


def test_its_prior_starts_flat_and_then_follows_the_levels_above():
    torch.manual_seed(0)
    prior = LevelsPrior((2, 3), hidden=8)
    u = torch.randn(5, 5)
    torch.testing.assert_close(prior(u), u)
    torch.nn.init.normal_(prior.nets[0][2].weight)
    moved = prior(u)
    torch.testing.assert_close(moved[:, :2], u[:, :2])  # the top is its own prior
    # given the top, the lower level is Gaussian around a mean that the top decides
    top = torch.tensor([[1.0, -1.0]]).expand(20_000, 2)
    z = prior(torch.cat([top, torch.randn(20_000, 3)], 1))[:, 2:]
    at_zero = prior(torch.cat([top[:1], torch.zeros(1, 3)], 1))[0, 2:]
    spread = prior(torch.cat([top[:1], torch.ones(1, 3)], 1))[0, 2:] - at_zero
    torch.testing.assert_close(z.mean(0), at_zero, atol=0.05, rtol=0.05)
    torch.testing.assert_close(z.std(0), spread, atol=0.05, rtol=0.05)


def test_its_rate_is_the_expected_log_ratio_of_what_it_draws():
    torch.manual_seed(0)
    neck = Hierarchical(4, levels=(2, 2), hidden=16)
    latent = neck(torch.randn(1, 4).expand(50_000, 4))
    z = latent.sample(torch.randn(50_000, 4))
    assert latent.descent is not None
    _, mean, logvar = latent.descent(given=z)
    density = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    log_ratio = density.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z)
    torch.testing.assert_close(latent.nats(z).mean(0), log_ratio.mean(0), atol=0.02, rtol=0.02)


def _gap_to_the_truth(neck: torch.nn.Module) -> float:
    """Nats between the best ELBO of a bottleneck and log p(x), where x = z_1 + z_2 + noise."""
    torch.manual_seed(0)
    noise = 0.3
    optimizer = torch.optim.Adam(neck.parameters(), lr=0.02)
    bounds = []
    for step in range(500):
        optimizer.param_groups[0]["lr"] = 0.02 * (1.0 - step / 500)
        x = torch.randn(512, 1) * math.sqrt(2.0 + noise**2)
        latent = neck(x)
        z = latent.sample(torch.randn(512, 2))
        likelihood = torch.distributions.Normal(z.sum(1), noise).log_prob(x[:, 0])
        truth = torch.distributions.Normal(0.0, math.sqrt(2.0 + noise**2)).log_prob(x[:, 0])
        gap = (truth - likelihood + latent.nats(z).sum(1)).mean()
        optimizer.zero_grad()
        gap.backward()
        optimizer.step()
        bounds.append(gap.item())
    return sum(bounds[-100:]) / 100


def test_its_posterior_sees_what_is_drawn_above_and_so_closes_the_gap_of_a_flat_one():
    """x = z_1 + z_2 says that the two depend on each other once x is heard; independent Gaussians
    cannot say so, and pay."""
    flat = _gap_to_the_truth(Gaussian(1, latent=2))
    levels = _gap_to_the_truth(Hierarchical(1, levels=(1, 1), hidden=32))
    assert flat > 0.5 and levels < 0.1


def test_a_recipe_builds_it_and_moving_the_top_moves_the_lower_levels():
    recipe = load(
        "nsynth-baseline", settings=("model.bottleneck={kind: hierarchical, levels: [4, 6]}",)
    )
    model = build(recipe).eval()
    assert model.latent == 10 and model.levels == (4, 6)
    x = torch.rand(2, 1, 80, 128) * 2 - 1
    assert model.encode(x).mean.shape == (2, 10)
    names = {name.split(".")[1] for name in model.state_dict() if "entrance.nets" in name}
    assert names == {"entrance"}  # the prior belongs to the decoder half, once


@pytest.mark.parametrize("levels", ["[8]", "[0, 4]", "8"])
def test_levels_that_are_none_are_refused(levels):
    text = "name: x\nobjective: {beta: 1.0}\nmodel: {bottleneck: {kind: hierarchical, levels: %s}}"
    with pytest.raises(RecipeError, match="model.bottleneck.levels"):
        parse(text % levels)
