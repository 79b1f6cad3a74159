"""The hierarchical bottleneck against what a hierarchy must do, on problems with known answers."""

import math

import numpy as np
import pytest
import torch
from conftest import TINY

from timbrespace import verbs
from timbrespace.errors import RecipeError
from timbrespace.evaluation import levels
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


def test_a_prior_that_knows_the_lower_level_saves_its_bits_and_a_flat_one_saves_none():
    """z_2 = 2 z_1 + 0.1 u_2: alone it has variance 4.01, given the top 0.01."""
    rng = np.random.default_rng(0)
    mean = np.concatenate([rng.normal(0.0, 1.0, (20_000, 1)), np.zeros((20_000, 1))], 1)
    logvar = np.full(mean.shape, -4.0)

    def shaped(u: np.ndarray) -> np.ndarray:
        return np.stack([u[:, 0], 2.0 * u[:, 0] + 0.1 * u[:, 1]], 1)

    given = levels.saved(shaped, mean, logvar, (1, 1))
    flat_nats = 0.5 * math.log((4.0 + 0.01 * math.exp(-4.0)) / (0.01 * math.exp(-4.0)))
    given_nats = 0.5 * (math.exp(-4.0) - 1.0 + 4.0)
    assert given[0] is None and given[1] == pytest.approx(flat_nats - given_nats, abs=0.02)
    mean[:, 1] = rng.normal(0.0, math.sqrt(1.0 - math.exp(-4.0)), len(mean))
    assert levels.saved(lambda u: u, mean, logvar, (1, 1))[1] == pytest.approx(0.0, abs=0.02)


def test_a_run_with_levels_is_measured_level_by_level(tiny_corpus, tmp_path):
    settings = (*TINY, "model.bottleneck={kind: hierarchical, levels: [3, 5], hidden: 16}")
    verbs.train("instruments", tiny_corpus, tmp_path / "run", settings=settings)
    verbs.space(tmp_path / "run", umap=False)
    metrics = verbs.evaluate(tmp_path / "run", ask=["posterior"])
    top, low = metrics["rate"]["levels"]
    assert (top["size"], low["size"]) == (3, 5) and metrics["rate"]["dimensions"] == 8
    total = top["bits_per_sound"] + low["bits_per_sound"]
    assert total == pytest.approx(metrics["rate"]["bits_per_sound"])
    shuffled = metrics["distortion"]["rmse_db_shuffled"]
    assert metrics["distortion"]["rmse_db"] < top["rmse_db_exchanged"] < 1.2 * shuffled
    assert "drawn above" in metrics["posterior"]["why_no_parts"]
    assert "The levels" in (tmp_path / "run" / "evaluation" / "report.html").read_text()
