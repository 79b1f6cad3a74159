"""Training through the effect: what is heard of a prediction moves its knobs."""

import csv
import itertools
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from timbrespace import recipe, verbs
from timbrespace.audio.files import write
from timbrespace.data.pair_parts import DRY_PEAK
from timbrespace.effects.bitcrush import Bitcrush
from timbrespace.effects.catalogue import find
from timbrespace.effects.effect import Effect
from timbrespace.effects.overdrive import Overdrive
from timbrespace.errors import EffectError, RecipeError, RunError
from timbrespace.losses.spectral import style_distance
from timbrespace.matching.distance import mr_stft
from timbrespace.models.heads import Heads
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.training import loop
from timbrespace.training.estimate import estimate_training
from timbrespace.training.parallel import Ranks, Share
from timbrespace.training.through import Through, derived, perturbed, value_at

RATE, SAMPLES = 16000, 8192
EFFECTS = ("bitcrush", "overdrive")
SMALL = (
    f"feature.samples={SAMPLES}", "feature.mels=32", "train.batch=8", "train.epochs=2",
    "model.encoder.channels=[4, 8]", "model.encoder.hidden=16", "objective.audio.pairs=4",
    "model.decoder.channels=[4, 8]", "model.decoder.hidden=16", "model.bottleneck.latent=4",
)  # fmt: skip


def tones(count: int) -> np.ndarray:
    """Dry sounds (count, SAMPLES) as those of pairs: as loud, of 16 bit."""
    random, time = np.random.default_rng(0), np.arange(SAMPLES) / RATE
    pitches = random.uniform(100, 900, (count, 1, 1)) * np.arange(1, 6)[:, None]
    made = (np.sin(2 * np.pi * pitches * time) / np.arange(1, 6)[:, None]).sum(1)
    made *= np.exp(-4.0 * time)
    return sixteen(made * DRY_PEAK / np.abs(made).max(1, keepdims=True))


def sixteen(sounds: np.ndarray) -> np.ndarray:
    return (np.rint(sounds * 32768) / 32768).astype(np.float32)


def through(*effects: Effect, sounds: np.ndarray | None = None, **more) -> Through:
    """Of these effects, and of pairs (N, 2, n)."""
    words = Vocabulary.of({"effect": [e.name for e in effects]}, {e.name: e.knobs for e in effects})
    some = np.zeros((1, 2, SAMPLES), np.float32) if sounds is None else sounds
    return Through(words, effects, lambda row: some[row], RATE, **{"pairs": 8, **more})


def distances(effect: Effect, dry, wet, units: torch.Tensor, signs=None, **more) -> torch.Tensor:
    ways = torch.ones_like(units) if signs is None else signs
    one, other = (torch.as_tensor(x, dtype=torch.float32) for x in (dry, wet))
    return through(effect, **more)._distances(effect, effect.knobs, one, other, units, ways)


class Box(Overdrive):
    """Overdrive, of which nobody knows the formula."""

    differentiable = False


# ---- the distance -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [700, 20_001])
def test_the_loss_is_the_distance_in_which_effects_are_matched(n):
    one, other = np.random.default_rng(0).normal(0, 0.1, (2, 3, n)).astype(np.float32)
    other[2] = 0.0
    found = style_distance(torch.from_numpy(one), torch.from_numpy(other))
    wanted = [mr_stft(a, b) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4)
    assert style_distance(torch.from_numpy(other), torch.from_numpy(other)).max() == 0.0


@pytest.mark.parametrize("level", ["kept", "softened", "each"])
@pytest.mark.parametrize("effect", [Overdrive(), Bitcrush()])
def test_the_true_setting_is_no_distance_away(effect, level):
    dry, units = tones(3), np.random.default_rng(1).random((3, 3))
    setting = [effect.from_units(places) for places in units]
    wet = np.stack([effect.render(x, RATE, s) for x, s in zip(dry, setting, strict=True)])
    if level == "softened":
        dry, wet = 0.3 * dry, 0.3 * wet
    if level == "each":
        wet = wet * DRY_PEAK / np.abs(wet).max(1, keepdims=True)
    dry, wet = sixteen(dry), sixteen(wet)
    here = distances(effect, dry, wet, torch.tensor(units).float(), each=level == "each")
    away = distances(effect, dry, wet, torch.full((3, 3), 0.5), each=level == "each")
    # some samples are rounded to the other side; a dry sound that was rounded again is another one
    least = {"kept": 0.05, "softened": 0.3, "each": 0.05}[level]
    assert (here < least * away).all(), here / away


def test_a_place_is_the_same_value_with_a_gradient():
    for knob in (k for name in ("delay", "eq") for k in find(name).knobs):
        places = torch.linspace(0, 1, 5, requires_grad=True)
        values = value_at(knob, places)
        wanted = [knob.from_unit(p) for p in places.tolist()]
        np.testing.assert_allclose(values.detach().numpy(), wanted, rtol=1e-5)
        values.sum().backward()
        assert places.grad is not None and (places.grad > 0).all()


def test_no_slope_is_believed_that_only_tells_how_waves_lie_to_each_other():
    delay, dry = find("delay"), tones(4)
    units = np.random.default_rng(3).random((4, 4))
    wet = np.stack(
        [delay.render(x, RATE, delay.from_units(u)) for x, u in zip(dry, units, strict=True)]
    )
    places = torch.full((4, 4), 0.5, requires_grad=True)
    found = distances(delay, dry, wet, places)
    slopes = [torch.autograd.grad(column.sum(), places, retain_graph=True)[0] for column in found.T]
    values = {k.name: torch.full((4,), k.from_unit(0.5)) for k in delay.knobs}
    values["time"] = values["time"].requires_grad_()
    made = delay.process_tensor(torch.from_numpy(dry), RATE, **values)
    far = style_distance(made, torch.from_numpy(wet))
    (raw,) = torch.autograd.grad(far.sum(), values["time"])
    time = [k.name for k in delay.knobs].index("time")
    knob = delay.knobs[time]
    steep = raw * knob.from_unit(0.5) * np.log(knob.high / knob.low)  # per its whole range
    assert (steep.abs() > 10.0 * found[:, 0]).sum() >= 2
    for value, slope in zip(found.T, slopes, strict=True):
        assert (slope.abs() <= 2.0 * value[:, None] + 1e-6).all()
        assert slope[:, time].abs().min() > 0.0  # its sign is kept


# ---- black boxes --------------------------------------------------------------------------------


def test_the_estimated_gradient_is_in_the_mean_the_true_one():
    """Over all signs, within 10 % of autograd's length: what remains is the curvature within epsilon."""
    dry, truth = tones(4), np.random.default_rng(2).random((4, 3))
    wet = np.stack(
        [Overdrive().render(x, RATE, Overdrive().from_units(u)) for x, u in zip(dry, truth, strict=True)]
    )  # fmt: skip
    effect = Overdrive()

    def losses(units: torch.Tensor) -> torch.Tensor:
        values = {k.name: value_at(k, u) for k, u in zip(effect.knobs, units.T, strict=True)}
        made = effect.process_tensor(torch.from_numpy(dry), RATE, **values)
        heard = style_distance(made, torch.from_numpy(wet))
        return torch.stack([heard, (made - torch.from_numpy(wet)).abs().mean(1)], 1)

    units = torch.full((4, 3), 0.5)
    ways = [
        torch.tensor([way]).float().expand(4, 3) for way in itertools.product((-1, 1), repeat=3)
    ]
    estimate = torch.stack([perturbed(losses, units, signs)[1] for signs in ways]).mean(0)
    value, true = derived(losses, units)
    torch.testing.assert_close(value, perturbed(losses, units, ways[0])[0])
    assert ((estimate - true).norm(dim=2) < 0.1 * true.norm(dim=2)).all()


def test_knobs_at_a_rail_are_moved_to_the_inside_alone():
    seen = []

    def rising(units: torch.Tensor) -> torch.Tensor:
        seen.append(units)
        return units[:, :1] * 2.0

    units = torch.tensor([[0.0, 1.0]])
    for way in (-1.0, 1.0):
        _, slope = perturbed(rising, units, torch.tensor([[way, 1.0]]))
        assert slope[0, 0, 0].item() == pytest.approx(2.0)  # of the half step that was made
    assert all(((u >= 0.0) & (u <= 1.0)).all() for u in seen)


@pytest.mark.parametrize("tone", [0.1, 0.9])
def test_a_head_that_starts_at_the_centre_is_pulled_the_right_way_through_a_black_box(tone):
    effect, dry = Box(), tones(1)
    wet = effect.render(dry, RATE, effect.from_units(np.array([0.5, tone, 0.5])))
    words = Vocabulary.of({"effect": ["overdrive"]}, {"overdrive": effect.knobs})
    torch.manual_seed(0)
    heads, z = Heads(2, words, effect=False, knobs=True), torch.ones(1, 2)
    torch.testing.assert_close(heads(z).units, torch.full((1, 3), 0.5))
    optimizer = torch.optim.Adam(heads.parameters(), 0.003)
    generator = torch.Generator().manual_seed(0)
    for _ in range(15):
        signs = 2.0 * torch.randint(2, (1, 3), generator=generator) - 1.0
        optimizer.zero_grad()
        loss = distances(effect, dry, wet, heads(z).units, signs) @ torch.tensor([1.0, 100.0])
        loss.sum().backward()
        optimizer.step()
    units = heads(z).units[0]
    assert abs(units[1] - tone) < 0.25 and ((units > 0.02) & (units < 0.98)).all(), units


def test_a_box_that_fails_teaches_nothing_and_the_rest_goes_on(caplog):
    class Frail(Bitcrush):
        def process(self, samples, sample_rate, **values):
            if np.abs(samples).max() > 0.2 and samples[1] == 0.0:
                raise EffectError("bitcrush crashed")
            return super().process(samples, sample_rate, **values)

    dry = tones(2)
    dry[0, :2] = 0.0
    dry[1, :2] = 0.01
    units = torch.full((2, 3), 0.5, requires_grad=True)
    found = distances(Frail(), dry, dry, units)
    found.sum().backward()
    assert "crashed" in caplog.text and units.grad is not None
    assert found[0].abs().max() == 0.0 and found[1].min() > 0.0
    assert units.grad[0].abs().max() == 0.0 and units.grad[1].abs().max() > 0.0


# ---- in a training ------------------------------------------------------------------------------


def test_the_terms_of_two_ranks_are_those_of_one():
    effects = (Bitcrush(), Overdrive())
    dry = tones(6)
    wet = np.roll(dry, 1, 0)
    some = through(*effects, sounds=np.stack([dry, wet], 1), pairs=4)
    units = torch.full((6, len(some.vocabulary.knob_columns)), 0.5)
    labels = {"effect": torch.tensor([0, 1, 0, 1, 0, 1]), "row": torch.arange(6)}

    def terms(start: int, stop: int) -> torch.Tensor:
        share = Share(Ranks(device=torch.device("cpu")), start, stop, 6)
        mine = {name: values[start:stop] for name, values in labels.items()}
        found = some.terms(units[start:stop], mine, share, torch.Generator().manual_seed(5))
        return torch.stack([found["audio"], found["audio_l1"]]).detach()

    apart = (4 * terms(0, 4) + 2 * terms(4, 6)) / 6
    torch.testing.assert_close(apart, terms(0, 6))
    every = replace(some, pairs=100).terms(
        units, labels, Share.whole(6), torch.Generator().manual_seed(5)
    )
    centre = [
        distances(effects[i % 2], dry[i : i + 1], wet[i : i + 1], torch.full((1, 3), 0.5))
        for i in range(6)
    ]
    torch.testing.assert_close(every["audio"].detach(), torch.cat(centre)[:, 0].mean())


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """24 pairs of a black box and an effect with gradients."""
    made, out = (tmp_path_factory.mktemp("through") / name for name in ("sounds", "pairs"))
    lines = []
    for number, dry in enumerate(tones(24)):
        effect = find(EFFECTS[number % 2])
        setting = effect.from_units(np.random.default_rng(number // 4).random(3))
        file = f"{effect.name}/{number:06}.flac"
        write(made / file, np.concatenate([dry, effect.render(dry, RATE, setting)]), RATE,
              format="flac")  # fmt: skip
        told = {f"{effect.name}.{name}": repr(value) for name, value in setting.items()}
        lines.append({"file": file, "split": "train" if number < 18 else "valid",
                      "effect": effect.name, "setting": f"s{number // 4}", **told})  # fmt: skip
    columns = [f"{name}.{knob.name}" for name in EFFECTS for knob in find(name).knobs]
    with open(made / "metadata.csv", "w", newline="") as file:
        table = csv.DictWriter(file, ["file", "split", "effect", "setting", *columns])
        table.writeheader()
        table.writerows(lines)
    verbs.prepare(made / "metadata.csv", out, recipe="effects", workers=0)
    told = {name: {"knobs": [asdict(knob) for knob in find(name).knobs]} for name in EFFECTS}
    (out / "pairs.json").write_text(json.dumps({"effects": told}))
    return out


def test_a_training_through_effects_resumes_to_the_same_bits(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    whole = verbs.train("effects-through", pairs, tmp_path / "whole", settings=SMALL)
    line = whole.history()[-1]
    assert line["train_audio"] > 0.0 and line["train_audio_l1"] > 0.0

    def interrupt(stage, done, total, facts):
        if stage == "train" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verbs.train("effects-through", pairs, tmp_path / "cut", settings=SMALL, progress=interrupt)
    verbs.train("effects-through", pairs, tmp_path / "cut", settings=SMALL, resume=True)
    ends = [
        load_file(tmp_path / name / "checkpoints/last/state.safetensors")
        for name in ("whole", "cut")
    ]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    # no setting was told, and the knobs' head has moved all the same
    assert ends[0]["model.heads.knobs.2.weight"].abs().max() > 0.0


def test_its_time_can_be_told_before():
    wanted = recipe.load("effects-through", settings=SMALL)
    assert estimate_training(wanted, 24)["seconds"] > 0.0


def test_what_cannot_be_rendered_is_one_sentence(pairs, tmp_path):
    with pytest.raises(RecipeError, match=r"objective.weights.audio renders .* add model.heads"):
        recipe.load("effects-through", settings=("model.heads.knobs=false",))
    with pytest.raises(RecipeError, match="asks for a head that objective.weights does not train"):
        recipe.load("effects", settings=("objective.weights.knobs=0",))
    facts, out = json.loads((pairs / "pairs.json").read_text()), tmp_path / "pairs"
    gone = {"effects": {"lv2:Gone": facts["effects"]["overdrive"], **facts["effects"]}}
    made = Path(json.loads((pairs / "corpus.json").read_text())["source"])
    table = (made / "metadata.csv").read_text()
    (made / "gone.csv").write_text(table.replace(",overdrive,", ",lv2:Gone,"))
    verbs.prepare(made / "gone.csv", out, recipe="effects", workers=0)
    (out / "pairs.json").write_text(json.dumps(gone))
    with pytest.raises(RunError, match=r"trains through the effects of its pairs: .*Gone"):
        verbs.train("effects-through", out, tmp_path / "run", settings=SMALL)
    assert not (tmp_path / "run").exists()
