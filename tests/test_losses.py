"""Loss terms against values known without computing, and schedules against their claims."""

import pytest
import torch

from timbrespace.losses.latent import free_bits
from timbrespace.losses.objective import Objective, total
from timbrespace.losses.reconstruction import gaussian_nll, loud_weights, mean_squared
from timbrespace.losses.schedule import RateController, learning_rate_factor, warm_up
from timbrespace.models.bottlenecks import kl_per_dimension


def test_kl_is_zero_for_the_prior_and_known_for_a_shift():
    assert kl_per_dimension(torch.zeros(3, 4), torch.zeros(3, 4)).abs().max() == 0
    shifted = kl_per_dimension(torch.full((1, 1), 2.0), torch.zeros(1, 1))
    assert shifted.item() == pytest.approx(2.0)  # m^2 / 2


def test_kl_agrees_with_torch_distributions():
    mean, logvar = torch.randn(5, 7), torch.randn(5, 7)
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (0.5 * logvar).exp()), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(kl_per_dimension(mean, logvar), theirs, atol=1e-5, rtol=1e-5)


def test_gaussian_nll_is_a_sum_over_cells_and_a_mean_over_sounds():
    x, y = torch.zeros(4, 1, 8, 6), torch.full((4, 1, 8, 6), 2.0)
    assert gaussian_nll(x, y).item() == pytest.approx(0.5 * 4.0 * 48)
    assert gaussian_nll(x[:2], y[:2]).item() == pytest.approx(gaussian_nll(x, y).item())
    assert mean_squared(x, y).item() == pytest.approx(4.0)


def test_free_bits_over_the_total_give_no_gradient_below_the_floor():
    mean = torch.full((4, 8), 0.1, requires_grad=True)
    kl = kl_per_dimension(mean, torch.zeros(4, 8))  # 8 * 0.005 = 0.04 nats a sound
    floored = free_bits(kl, 0.5, "total")
    floored.backward()
    assert floored.item() == pytest.approx(0.5)
    assert mean.grad is not None and mean.grad.abs().max() == 0


def test_free_bits_per_dimension_charge_only_what_is_above():
    kl = torch.tensor([[0.2, 1.0], [0.4, 3.0]])
    assert free_bits(kl, 0.5, "dimension").item() == pytest.approx(0.5 + 2.0)
    assert free_bits(kl, 2.0, "sound").item() == pytest.approx((2.0 + 3.4) / 2)


def test_total_is_the_hand_sum_and_refuses_unknown_names():
    terms = {"reconstruction": torch.tensor(3.0), "kl": torch.tensor(0.5)}
    assert total(terms, {"reconstruction": 1.0, "kl": 4.0}).item() == pytest.approx(5.0)
    with pytest.raises(KeyError):
        total(terms, {"reconstruction": 1.0, "kld": 4.0})


def test_switching_free_bits_on_does_not_change_the_raw_terms():
    x, y, nats = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4), torch.rand(2, 3)
    off = Objective(gaussian_nll).terms(x, y, nats)
    on = Objective(gaussian_nll, 5.0, "total").terms(x, y, nats)
    assert off["kl_raw"] == on["kl_raw"] and off["reconstruction"] == on["reconstruction"]


def test_loud_cells_weigh_more_and_the_scale_stays():
    target = torch.tensor([-1.0, 0.0, 1.0, 1.0]).view(1, 1, 2, 2).expand(3, 1, 2, 2)
    weights = loud_weights(target, 4.0)
    assert weights.mean() == pytest.approx(1.0)
    ratio = weights[0].flatten() / weights[0, 0, 0, 0]
    torch.testing.assert_close(ratio, torch.tensor([1.0, 3.0, 5.0, 5.0]))
    nats = torch.zeros(3, 2)
    wrong = target + 0.1  # the same error everywhere costs the same with any weights
    plain = Objective(gaussian_nll).terms(wrong, target, nats)["reconstruction"]
    loud = Objective(gaussian_nll, loud=4.0).terms(wrong, target, nats)["reconstruction"]
    assert loud == pytest.approx(plain.item(), rel=1e-5)
    missed = target - 0.1 * (target > 0.5)  # but one in the loud cells costs more
    plain = Objective(gaussian_nll).terms(missed, target, nats)["reconstruction"]
    loud = Objective(gaussian_nll, loud=4.0).terms(missed, target, nats)["reconstruction"]
    assert loud == pytest.approx(plain.item() * 5.0 / 3.5, rel=1e-5)


def test_schedules_begin_and_end_where_they_say():
    assert warm_up(0, 10) == 0.0 and warm_up(5, 10) == 0.5 and warm_up(99, 10) == 1.0
    assert warm_up(0, 0) == 1.0
    last = learning_rate_factor(1000, 1000, kind="cosine", warm_up_steps=0)
    assert last == pytest.approx(0.01)
    assert learning_rate_factor(7, 1000, kind="constant", warm_up_steps=0) == 1.0


def test_the_rate_controller_finds_the_beta_of_a_known_rate_curve():
    """A stand-in with rate = 100 / beta nats: the controller must settle at beta = 100 / target."""
    controller = RateController(target=25.0)
    for _ in range(2000):
        controller.update(100.0 / controller.beta)
    assert controller.beta == pytest.approx(4.0, rel=0.02)


def test_the_rate_controller_forgets_a_burst_within_some_hundred_steps():
    """An untrained encoder spends twenty times the target for some steps; beta must come back."""
    controller = RateController(target=25.0)
    for _ in range(20):
        controller.update(500.0)
    wound_up = controller.beta
    for _ in range(400):
        controller.update(25.0 * (1.0 / controller.beta) ** 0.5)
    assert wound_up < 3.0 and controller.beta == pytest.approx(1.0, rel=0.1)


def test_the_rate_controller_waits_while_nothing_is_learnt():
    """Too few nats before the first learning must not lower beta for later."""
    controller = RateController(target=25.0)
    for _ in range(100):
        controller.update(0.5)
    assert controller.integral == -1.0
    for _ in range(400):
        controller.update(0.5)
    assert controller.integral < -2.0  # in the end the target is out of reach at this beta
