"""Networks on principal components, and where they start, against what linear algebra says."""

import math
import os
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from timbrespace import verbs
from timbrespace.geometry.rate import water_level
from timbrespace.models import linear_start
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.models.principal import Components
from timbrespace.recipe import build, parse

SHAPE = (8, 16)
VARIANCES = torch.tensor([9.0, 4.0, 1.0, 0.25, 0.04])
RECIPE = """
name: linear
feature: {mels: 8, frames: 16}
model:
  encoder: {kind: principal, components: 12, hidden: 16}
  bottleneck: BOTTLENECK
  decoder: {kind: principal, components: 12, hidden: 16}
  condition: {labels: [pitch], size: 8}
objective: {reconstruction: gaussian_nll, beta: BETA}
"""
BOTTLENECKS = {
    "gaussian": "{kind: gaussian, latent: 6}",
    "hierarchical": "{kind: hierarchical, levels: [2, 4], hidden: 16}",
    "vq": "{kind: vq, positions: 3, dim: 2, codebook: 16}",
}


def sounds(count: int, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    """Pictures (N, 1, 8, 16) with independent components of known variance, about a mean that one of
    four pitches decides."""
    draw = np.random.default_rng(seed)
    axes = torch.linalg.qr(torch.from_numpy(np.random.default_rng(9).standard_normal((128, 9))))[
        0
    ].T.float()
    scores = torch.from_numpy(draw.standard_normal((count, 5))).float() * VARIANCES.sqrt()
    pitch = torch.from_numpy(draw.integers(60, 64, count))
    x = scores @ axes[:5] + 3.0 * axes[5:9][pitch - 60]
    return x.view(-1, 1, *SHAPE), {"pitch": pitch}


def model_of(kind: str) -> Autoencoder:
    text = RECIPE.replace("BOTTLENECK", BOTTLENECKS[kind])
    torch.manual_seed(0)
    return build(
        parse(text.replace("BETA", "null" if kind == "vq" else "1.0"), where="here")
    ).eval()


def test_components_that_change_are_not_taken_for_those_that_were_widened():
    x = sounds(60)[0]
    components, other = Components(SHAPE, 9).eval(), Components(SHAPE, 9).eval()
    components.fit(x.clone())
    before = components.picture(components.scores(x))
    other.fit(x.flip(3).clone())
    other.picture(other.scores(x))
    other.load_state_dict(components.state_dict())
    assert torch.equal(other.picture(other.scores(x)), before)
    assert other._wide is not None and components.train().picture(components.scores(x)).equal(
        before
    )


def test_components_keep_what_they_span_and_have_variance_one():
    x, _ = sounds(500)
    components = Components(SHAPE, 9)
    components.fit(x)
    scores = components.scores(x)
    torch.testing.assert_close(components.picture(scores), x, atol=0.01, rtol=0.0)
    torch.testing.assert_close(scores.var(0)[:8], torch.ones(8), atol=0.02, rtol=0.0)


def test_fewer_sounds_than_components_leave_the_rest_empty():
    x, _ = sounds(4)
    components = Components(SHAPE, 9)
    components.fit(x)
    torch.testing.assert_close(components.picture(components.scores(x)), x, atol=0.01, rtol=0.0)
    assert not components.scores(x)[:, 3:].any()


def test_water_fills_the_largest_variances_first():
    variances = VARIANCES.numpy()
    beta = water_level(variances, 2.0)
    assert 0.5 * np.log(np.maximum(variances / beta, 1.0)).sum() == pytest.approx(2.0, rel=1e-3)
    assert water_level(variances, 0.5 * math.log(9.0 / 4.0)) == pytest.approx(4.0, rel=1e-3)
    assert water_level(variances, 0.0) == pytest.approx(9.0)


@pytest.mark.parametrize("kind", ["gaussian", "hierarchical"])
def test_the_start_lies_on_the_rate_distortion_curve(kind: str):
    """Squared error beta where a component is coded, its variance where it is not; the pitch is free."""
    x, labels = sounds(4000)
    model, nats = model_of(kind), 3.0
    beta = linear_start.begin(model, x, labels, nats)
    assert beta == pytest.approx(water_level(VARIANCES.numpy(), nats), rel=0.05)
    fresh, told = sounds(4000, seed=1)
    latent = model.encode(fresh, told)
    z = latent.sample(torch.randn(latent.mean.shape, generator=torch.Generator().manual_seed(0)))
    error = (model.decode(z, told) - fresh).square().sum((1, 2, 3)).mean()
    assert float(latent.nats(z).detach().sum(1).mean()) == pytest.approx(nats, rel=0.05)
    assert float(error.detach()) == pytest.approx(float(VARIANCES.clamp_max(beta).sum()), rel=0.06)


def test_codes_start_with_the_loudest_components_spread_over_the_positions():
    x, labels = sounds(4000)
    model = model_of("vq")
    assert linear_start.begin(model, x, labels, 3 * math.log(16)) is not None
    model.train()
    with torch.no_grad():
        for _ in range(30):
            latent = model.encode(x[:1000], {"pitch": labels["pitch"][:1000]})
    fresh, told = sounds(2000, seed=1)
    with torch.no_grad():
        z = model.eval().encode(fresh, told).mean
        error = (model.decode(z, told) - fresh).square().sum((1, 2, 3)).mean()
    # 16 codes for two numbers leave a twentieth of their variance; unordered ones leave far more
    assert float(error) < 0.12 * float(VARIANCES.sum())
    assert latent.codes is not None


def test_a_model_of_other_networks_stays_as_it_is():
    text = RECIPE.replace("BOTTLENECK", BOTTLENECKS["gaussian"]).replace("BETA", "1.0").replace(
        "decoder: {kind: principal, components: 12, hidden: 16}", "decoder: {channels: [4, 4]}"
    )  # fmt: skip
    torch.manual_seed(0)
    model = build(parse(text, where="here"))
    before = {k: v.clone() for k, v in model.decoder.state_dict().items()}
    x, labels = sounds(50)
    assert linear_start.begin(model, x, labels, 3.0) is None
    assert all(torch.equal(v, before[k]) for k, v in model.decoder.state_dict().items())
    assert model.encoder.net.components.basis.any()


SMALL = (
    "feature.mels=32", "feature.frames=64", "train.batch=16", "train.epochs=3",
    "model.encoder={kind: principal, components: 24, hidden: 32, dropout: 0.1}",
    "model.decoder={kind: principal, components: 24, hidden: 32, dropout: 0.1}",
    "model.bottleneck.latent=8", "objective.bits_per_sound=20",
)  # fmt: skip


def test_a_training_starts_as_the_linear_code_and_resumes_to_the_same_bits(tiny_corpus, tmp_path):
    first: dict[str, float] = {}

    def interrupt(stage, done, total, facts):
        if stage == "train" and done == 1:
            first.update(facts)
        if stage == "train" and done == 5:
            os.kill(os.getpid(), signal.SIGINT)

    whole = verbs.train("instruments", tiny_corpus, tmp_path / "whole", settings=SMALL)
    with pytest.raises(KeyboardInterrupt):
        verbs.train(
            "instruments", tiny_corpus, tmp_path / "run", settings=SMALL, progress=interrupt
        )
    verbs.train("instruments", tiny_corpus, tmp_path / "run", settings=SMALL, resume=True)
    one, other = (load_file(tmp_path / n / "weights.safetensors") for n in ("whole", "run"))
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
    assert 10.0 < first["bits"] < 40.0  # before anything is learnt
    measured = verbs.evaluate(whole.path)
    assert first["rmse_db"] < measured["floors"]["mean_sound_rmse_db"]
    assert one["encoder.net.components.basis"].dtype == torch.float16


@pytest.mark.parametrize("kind", ["gaussian", "hierarchical"])
def test_more_bits_than_float32_can_tell_from_all_of_a_component_are_no_infinity(kind):
    model = model_of(kind)
    x, labels = sounds(400)
    linear_start.begin(model, x, labels, nats=90.0)
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())
