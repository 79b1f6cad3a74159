"""Models: what the seeds' shapes were, what halves share, what conditions do."""

import pytest
import torch

from timbrespace import recipe
from timbrespace.losses.objective import total
from timbrespace.models.conditions import PITCHES, Conditions
from timbrespace.training.state import State
from timbrespace.training.step import train_step

RECIPES = recipe.shipped()


def pictures(name: str, count: int = 4) -> torch.Tensor:
    feature = recipe.load(name).feature
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 1, *feature.shape, generator=generator) * 2 - 1


@pytest.mark.parametrize("name", RECIPES)
def test_every_shipped_recipe_builds_and_takes_one_step(name):
    wanted = recipe.load(name)
    state = State.fresh(wanted, torch.device("cpu"))
    before = {k: v.clone() for k, v in state.model.state_dict().items()}
    labels = {"pitch": torch.tensor([40, 60, 80, PITCHES])}
    figures = train_step(state, wanted, pictures(name), labels, steps=10, autocast=False)
    further = sum(w * figures[name] for name, w in wanted.objective.weights.items())
    assert figures["total"] == pytest.approx(
        figures["reconstruction"] + figures["beta"] * figures["kl"] + further, rel=1e-4
    )
    changed = [k for k, v in state.model.state_dict().items() if not torch.equal(v, before[k])]
    assert len(changed) > len(before) // 3  # what starts behind a gain of zero moves a step later


def test_the_baseline_has_the_layers_of_the_report():
    model = recipe.build(recipe.load("nsynth-baseline"))
    assert model.parameters_count() == 1_057_905  # as measured on the report's own network
    assert model.encode(pictures("nsynth-baseline")).mean.shape == (4, 32)


@pytest.mark.parametrize("name", ["nsynth-pitch", "instruments-conv"])
def test_the_pitch_reaches_the_decoder_and_unknown_is_legal(name):
    model = recipe.build(recipe.load(name)).eval()
    z = torch.zeros(3, model.latent)
    with torch.no_grad():
        out = model.decode(z, {"pitch": torch.tensor([40, 41, PITCHES])})
        torch.testing.assert_close(model.decode(z[:1]), out[2:], atol=1e-5, rtol=1e-4)
    assert (out[0] - out[1]).abs().max() > 1e-4


def test_conditions_keep_each_label_apart():
    conditions = Conditions({"pitch": 128, "family": 11}, size=5)
    out = conditions(
        {"pitch": torch.tensor([3, 3]), "family": torch.tensor([1, 2])}, 2, torch.device("cpu")
    )
    assert out.shape == (2, 10)
    assert torch.equal(out[0, :5], out[1, :5]) and not torch.equal(out[0, 5:], out[1, 5:])


def test_sampling_follows_mean_and_deviation():
    from timbrespace.models.bottlenecks import Latent

    latent = Latent(torch.full((20000, 1), 2.0), torch.full((20000, 1), -1.0))
    z = latent.sample(torch.randn(20000, 1, generator=torch.Generator().manual_seed(1)))
    assert z.mean().item() == pytest.approx(2.0, abs=0.02)
    assert z.std().item() == pytest.approx(torch.tensor(-0.5).exp().item(), abs=0.02)


def test_weights_meet_terms_in_one_line():
    assert total({"a": torch.tensor(1.0)}, {"a": 2.0}).item() == 2.0


SKIP = ("model.decoder.skip=true", "model.decoder.residual=1")
OPTIONS = {
    "batch norm": "{norm: batch, residual: 1}",
    "group norm": "{norm: group, residual: 1}",
    "attention": "{attention: true}",
}


@pytest.mark.parametrize("part", ["conv2d", "frames"])
@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_the_networks_train_and_come_back_from_disk(part, option):
    channels = "[8, 16]" if part == "conv2d" else "[32, 32]"
    kind = f"{{kind: {part}, channels: {channels}, hidden: 16}}"
    settings = (
        "feature.mels=16", "feature.frames=16", f"model.encoder={kind}", f"model.decoder={kind}",
        f"model.encoder={OPTIONS[option]}", f"model.decoder={OPTIONS[option]}",
        *SKIP, "train.average=0.9",
    )  # fmt: skip
    wanted = recipe.load("nsynth-pitch", settings=settings)
    state = State.fresh(wanted, torch.device("cpu"))
    x = torch.rand(4, 1, 16, 16) * 2 - 1
    labels = {"pitch": torch.tensor([40, 60, 80, PITCHES])}
    before = {k: v.clone() for k, v in state.model.named_parameters()}
    for _ in range(3):  # what starts behind a gain of zero moves one step after the gain
        train_step(state, wanted, x, labels, steps=10, autocast=False)
    idle = [k for k, v in state.model.named_parameters() if torch.equal(v, before[k])]
    # a normalisation undoes a constant before it, and a key's constant moves no attention
    assert not [k for k in idle if not k.endswith("bias")]
    other = State.fresh(wanted, torch.device("cpu"))
    other.unpack(*state.pack())
    other.model.eval(), state.model.eval()
    assert torch.equal(other.model.encode(x, labels).mean, state.model.encode(x, labels).mean)


@pytest.mark.parametrize("name", ["nsynth-pitch", "instruments-conv"])
def test_a_skip_tells_the_latent_to_every_level_and_bypasses_nothing(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = recipe.build(recipe.load(name, settings=SKIP)).eval()
    net = model.decoder.net
    with torch.no_grad():
        for layer in net.entrance.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.zero_()
                layer.bias.fill_(0.5)
        for name_, gain in net.named_parameters():
            if name_.endswith("gain"):
                gain.fill_(1.0)
        one, other = (model.decode(torch.full((1, model.latent), value)) for value in (0.0, 1.0))
    assert (one - other).abs().max() > 1e-4  # the entrance is deaf, the levels hear z
