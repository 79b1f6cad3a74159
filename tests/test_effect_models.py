"""Models of pairs: channels, the siamese encoder, heads of effect and knobs, and what sounds of one
setting have in common."""

import csv
import io
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from timbrespace import recipe, verbs
from timbrespace.audio.files import read, write
from timbrespace.batches import Pictures, shared_tensor, together
from timbrespace.cli import app
from timbrespace.controller import Controller, fit, measure
from timbrespace.controller.make import listen
from timbrespace.data.corpus import Corpus
from timbrespace.data.pair_parts import DRY_PEAK
from timbrespace.effects import catalogue
from timbrespace.effects.catalogue import find
from timbrespace.errors import EffectError, RecipeError, RunError
from timbrespace.losses.latent import scatter
from timbrespace.matching.distance import mr_stft
from timbrespace.matching.match import match_one_of
from timbrespace.matching.prediction import predictor
from timbrespace.models.heads import PLACES, Calibration, Heads
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.recognition import between, predict
from timbrespace.runs import Run, knobs_as_json
from timbrespace.training import loop, step
from timbrespace.training.state import State
from timbrespace.training.step import train_step
from timbrespace.verbs_effects import effects_blind, effects_controller, effects_match

RATE, SAMPLES = 16000, 8192
EFFECTS = ("delay", "overdrive", "ringmod")
KNOBS = {name: find(name).knobs for name in EFFECTS}
SMALL = (
    f"feature.samples={SAMPLES}", "feature.mels=32", "train.batch=8", "train.epochs=2",
    "model.encoder.channels=[4, 8]", "model.encoder.hidden=16",
    "model.decoder.channels=[4, 8]", "model.decoder.hidden=16", "model.bottleneck.latent=4",
)  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """48 pairs of three effects, each setting on two tones."""
    made, out = (tmp_path_factory.mktemp("pairs") / name for name in ("sounds", "pairs"))
    random, time = np.random.default_rng(0), np.arange(SAMPLES) / RATE
    columns = [f"{name}.{knob.name}" for name in EFFECTS for knob in KNOBS[name]]
    lines = []
    for number in range(48):
        effect = find(EFFECTS[number // 2 % 3])
        units = np.random.default_rng(number // 2).random(len(effect.knobs))
        setting = effect.from_units(units)
        tone = np.sin(2 * np.pi * random.uniform(100, 900) * time) * np.exp(-4.0 * time)
        dry = (0.1 * tone).astype(np.float32)
        both = np.concatenate([dry, effect.render(dry, RATE, setting)])
        file = f"{effect.name}/{number:06}.flac"
        write(made / file, both / max(1.0, np.abs(both).max()), RATE, format="flac")
        told = {f"{effect.name}.{name}": repr(value) for name, value in setting.items()}
        split = ("train", "valid", "test")[0 if number < 32 else 1 + number // 2 % 2]
        lines.append({"file": file, "split": split, "effect": effect.name,
                      "setting": f"s{number // 2}", **told})  # fmt: skip
    with open(made / "metadata.csv", "w", newline="") as file:
        table = csv.DictWriter(file, ["file", "split", "effect", "setting", *columns])
        table.writeheader()
        table.writerows(lines)
    told = {name: {"knobs": [asdict(knob) for knob in KNOBS[name]]} for name in EFFECTS}
    verbs.prepare(made / "metadata.csv", out, recipe="effects", workers=0)
    (out / "pairs.json").write_text(json.dumps({"effects": told}))
    return out


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("effect-models") / "run"
    return verbs.train("effects", pairs, out, settings=SMALL, tensorboard=True)


def vocabulary() -> Vocabulary:
    return Vocabulary.of({"effect": EFFECTS}, KNOBS)


def model(*settings: str, name: str = "effects"):
    torch.manual_seed(0)
    return recipe.build(recipe.load(name, settings=(*SMALL, *settings)), vocabulary()).eval()


def picture(count: int = 3, channels: int = 4) -> torch.Tensor:
    return (
        torch.rand(count, 1, channels * 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    )


# ---- channels and the siamese encoder -----------------------------------------------------------


@pytest.mark.parametrize(("channels", "count"), [("joint", 2), ("phase", 4)])
def test_convolutions_see_the_stacked_pictures_as_channels(channels, count):
    sight = "{kind: pair, samples: 8192, n_fft: 256, picture: power, hop: 128, channels: %s}"
    plain = "feature.resolutions=[]", "model.encoder.norm=none"
    net = model(f"feature={sight % channels}", *plain, name="effects-undivided")
    first, last = net.encoder.net.net[0], net.decoder.net.levels[-1][-2]
    assert first.weight.shape[1] == count and last.weight.shape[1] == count
    x = torch.rand(2, 1, count * 128, 64)
    seen = []
    first.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    swapped = torch.cat([x[:, :, 128:256], x[:, :, :128], x[:, :, 256:]], 2)
    assert (net.encode(swapped).mean - net.encode(x).mean).abs().max() > 1e-4
    assert torch.equal(seen[0][:, :2], seen[1][:, :2].flip(1))
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.arange(float(count)))
        drawn = net.decode(torch.zeros(1, net.latent))[0, 0]
    assert torch.equal(drawn[:, 0], torch.arange(float(count)).repeat_interleave(128))


SIAMESE = (
    "feature={channels: joint, resolutions: []}",
    "model.encoder={kind: siamese, channels: [4, 8], norm: batch}",
)


def test_two_equal_sounds_have_no_effect_between_them():
    net = model(*SIAMESE, name="effects-undivided")
    one = picture(5, 1)
    same = net.encode(torch.cat([one, one], 2)).mean
    assert torch.equal(same, same[:1].expand_as(same))
    other = net.encode(torch.cat([one, one.flip(0)], 2)).mean
    assert (other[:4] - same[:4]).abs().min(1).values.max() > 1e-3
    # its numbers change their sign with the order; the head adds a constant
    back = net.encode(torch.cat([one.flip(0), one], 2)).mean
    torch.testing.assert_close(other + back, 2 * same, atol=1e-5, rtol=1e-4)
    told = model(
        SIAMESE[0], SIAMESE[1].replace("norm", "dry: true, norm"), name="effects-undivided"
    )
    apart = told.encode(torch.cat([one, one], 2)).mean
    assert (apart[0] - apart[1]).abs().max() > 1e-3  # the dry sound's own numbers


def test_who_hears_the_wet_sound_alone_hears_nothing_of_the_dry_one():
    net = model(name="effects-blind")
    one, other = picture(5), picture(5).flip(0)
    same_wet = torch.cat([other[:, :, :32], one[:, :, 32:]], 2)
    assert torch.equal(net.encode(one).mean, net.encode(same_wet).mean)
    for first in (32, 64, 96):  # at all three resolutions
        moved = one.clone()
        moved[:, :, first : first + 32] = other[:, :, first : first + 32]
        assert (net.encode(moved).mean - net.encode(one).mean).abs().max() > 1e-4
    assert net.decode(torch.zeros(1, net.latent)).shape == (
        1,
        1,
        128,
        32,
    )  # it draws the dry one, too


# ---- a divided latent ---------------------------------------------------------------------------

DIVIDED = "model.bottleneck={kind: divided, latent: 4, dry: 3}"


def test_the_dry_sound_has_numbers_of_its_own():
    net, x = model(DIVIDED), picture()
    assert (net.latent, net.heard, net.levels) == (7, 4, (4, 3))
    wetter, drier = x.clone(), x.clone()
    wetter[:, :, 32:] = 0.3
    drier[:, :, :32] = 0.3
    with torch.no_grad():
        mean, wet, dry = (net.encode(y).mean for y in (x, wetter, drier))
        assert torch.equal(mean[:, 4:], wet[:, 4:]) and not torch.equal(mean[:, :4], wet[:, :4])
        assert not torch.equal(mean[:, 4:], dry[:, 4:])
        moved = mean.clone()
        moved[:, :4] += 1.0  # another effect
        here, there = net.decode(mean), net.decode(moved)
        assert torch.equal(here[:, :, :32], there[:, :, :32])
        assert not torch.equal(here[:, :, 32:], there[:, :, 32:])
        moved = mean.clone()
        moved[:, 4:] += 1.0  # another sound
        assert not torch.equal(here[:, :, :32], net.decode(moved)[:, :, :32])


def test_heads_and_what_is_gathered_leave_the_dry_sounds_numbers_alone(monkeypatch):
    net = model(DIVIDED)
    z = torch.randn(4, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    for layer in (net.heads.effect, net.heads.knobs[-1]):  # which begin silent
        torch.nn.init.ones_(layer.weight)
    labels = labels_of("delay", "delay", "ringmod", "ringmod")
    sum(net.heads.terms(z, labels).values()).backward()
    assert z.grad[:, :4].any() and not z.grad[:, 4:].any()
    seen = []
    monkeypatch.setattr(step, "scatter", lambda mean, _: seen.append(mean.shape) or mean.sum())
    one = recipe.load("effects", settings=(*SMALL, DIVIDED))
    state = State.fresh(one, torch.device("cpu"), vocabulary())
    train_step(state, one, picture(4), labels, steps=2, autocast=False)
    assert seen == [(4, 4), (4, 4)]  # invariance and clusters


# ---- heads --------------------------------------------------------------------------------------


def labels_of(*effects: str) -> dict[str, torch.Tensor]:
    """Pairs of these effects, all knobs at a quarter."""
    words = vocabulary()
    columns = [name for name, _ in words.knob_columns]
    knobs = torch.full((len(effects), len(columns)), torch.nan)
    for row, effect in enumerate(effects):
        for place, name in enumerate(columns):
            if name.startswith(f"{effect}."):
                knobs[row, place] = 0.25
    return {"effect": torch.tensor([EFFECTS.index(e) for e in effects]), "knobs": knobs}


def test_heads_start_undecided_with_every_knob_at_its_centre():
    heads = Heads(4, vocabulary(), effect=True, knobs=True)
    heard = heads(torch.randn(6, 4))
    torch.testing.assert_close(heard.effects, torch.full((6, 3), 1 / 3))
    torch.testing.assert_close(heard.units, torch.full_like(heard.units, 0.5))
    terms = heads.terms(torch.randn(2, 4), labels_of("delay", "ringmod"))
    assert terms["effect"].item() == pytest.approx(np.log(3))
    knobs = (len(KNOBS["delay"]) + len(KNOBS["ringmod"])) / 2
    assert terms["knobs"].item() == pytest.approx(knobs * np.log(17), rel=1e-5)
    assert terms["knob_kl"].item() == pytest.approx(0.0, abs=1e-5)


def test_the_kl_of_knobs_is_that_of_their_distributions_and_brings_them_back_to_the_centre():
    heads = Heads(4, vocabulary(), effect=False, knobs=True)
    assert heads.knobs is not None
    last = heads.knobs[-1].get_parameter("bias")
    with torch.no_grad():
        last.copy_(torch.linspace(-6.0, 6.0, PLACES).repeat(heads.count))
    z, labels = torch.randn(3, 4), labels_of("delay", "delay", "overdrive")
    chances = torch.linspace(-6.0, 6.0, PLACES).double().softmax(0)
    each = float((chances * (chances * PLACES).log()).sum())
    asked = (2 * len(KNOBS["delay"]) + len(KNOBS["overdrive"])) / 3
    assert heads.terms(z, labels)["knob_kl"].item() == pytest.approx(asked * each, rel=1e-5)
    optimizer = torch.optim.Adam([last], 0.5)
    for _ in range(300):
        optimizer.zero_grad()
        heads.terms(z, labels)["knob_kl"].backward()
        optimizer.step()
    own = torch.tensor(
        [n.split(".")[0] in ("delay", "overdrive") for n, _ in vocabulary().knob_columns]
    )
    units = heads(z).units
    assert (units[:, own] - 0.5).abs().max() < 0.02 and units[:, ~own].min() > 0.85


def test_only_the_own_effects_knobs_are_trained():
    heads = Heads(4, vocabulary(), effect=True, knobs=True)
    heads.terms(torch.randn(5, 4), labels_of(*["overdrive"] * 5))["knobs"].backward()
    assert heads.knobs is not None
    last = heads.knobs[-1].get_parameter("bias").grad
    assert last is not None
    moved = last.view(-1, 17).abs().sum(1) > 0
    names = [name for name, _ in vocabulary().knob_columns]
    assert [n for n, m in zip(names, moved, strict=True) if m] == [
        n for n in names if n.startswith("overdrive.")
    ]


def test_a_knob_head_learns_places_and_reaches_the_rails():
    heads = Heads(1, vocabulary(), effect=False, knobs=True)
    optimizer = torch.optim.Adam(heads.parameters(), 0.02)
    z = torch.linspace(-1, 1, 41)[:, None]
    labels = labels_of(*["overdrive"] * 41)
    place = [name for name, _ in vocabulary().knob_columns].index("overdrive.drive")
    labels["knobs"][:, place] = torch.linspace(0, 1, 41)
    labels["knobs"][:, place + 1] = torch.rand(
        41, generator=torch.Generator().manual_seed(0)
    ).round()
    for _ in range(300):
        optimizer.zero_grad()
        heads.terms(z, labels)["knobs"].backward()
        optimizer.step()
    heard = heads(z)
    assert (heard.units[:, place] - labels["knobs"][:, place]).abs().max() < 0.04
    assert heard.units[0, place] < 0.02 and heard.units[-1, place] > 0.98


@torch.no_grad()
def test_heads_are_made_as_sure_as_they_are_right():
    """Logits ten times too large, and knobs told without any doubt that are off by 0.1 and more."""
    words = vocabulary()
    heads = Heads(len(EFFECTS) + 1, words, effect=True, knobs=True).eval()
    random = torch.Generator().manual_seed(0)
    label = torch.randint(len(EFFECTS), (4000,), generator=random)
    true = torch.zeros(4000, len(EFFECTS)).scatter_(1, label[:, None], 2.0)
    true += torch.randn(true.shape, generator=random)  # log odds of a Gaussian mixture: 2 a class
    place = torch.rand(4000, 1, generator=random)
    columns = [name for name, _ in words.knob_columns]
    knobs = torch.full((4000, len(columns)), torch.nan)
    knobs[:, 0] = (place[:, 0] + 0.1 * torch.randn(4000, generator=random)).clamp(0.0, 1.0)
    heads.effect.weight.copy_(torch.cat([20.0 * torch.eye(len(EFFECTS)), torch.zeros(3, 1)], 1))
    heads.effect.bias.zero_()
    peak = -((heads.places - 0.5).square()) / (2 * 0.05**2)  # always at the middle, 0.05 wide
    heads.knobs[-1].weight.zero_()
    heads.knobs[-1].bias.copy_(peak.repeat(heads.count))
    z = torch.cat([true, place], 1)
    found = heads.calibrated(z, {"effect": label, "knobs": knobs})
    assert found.temperature == pytest.approx(10.0, rel=0.1)
    before = heads(z)
    heads.calibration = found
    heard = heads(z)
    right = (heard.effects.argmax(1) == label).float().mean()
    assert float(heard.effects.amax(1).mean()) == pytest.approx(float(right), abs=0.02)
    assert before.effects.amax(1).mean() > right + 0.1
    inside = (heard.units - knobs)[:, 0].abs() <= 1.2816 * heard.spread[:, 0]
    assert float(inside.float().mean()) == pytest.approx(0.8, abs=0.01)
    assert torch.equal(before.units, heard.units)
    assert torch.equal(before.effects.argmax(1), heard.effects.argmax(1))
    again = heads.calibrated(z, {"effect": label, "knobs": knobs})
    assert again == found  # of the heads, not of what was made of them
    assert heads.calibrated(z, {}) == Calibration()


def test_a_training_ends_with_how_sure_its_heads_may_be(run, tmp_path):
    told = json.loads((run.path / "calibration.json").read_text(encoding="utf-8"))
    assert run.model.heads.calibration == Calibration(**told) != Calibration()
    shutil.copytree(run.path, tmp_path / "old")
    (tmp_path / "old" / "calibration.json").unlink()  # as of runs from before
    assert Run.open(tmp_path / "old").model.heads.calibration == Calibration()
    for damaged in ('{"temperature": null}', '{"temperature": 0, "widening": NaN}', "["):
        (tmp_path / "old" / "calibration.json").write_text(damaged)
        with pytest.raises(RunError, match="calibration.json is damaged"):
            _ = Run.open(tmp_path / "old").model


def test_pairs_without_labels_have_no_part():
    heads = Heads(4, vocabulary(), effect=True, knobs=True)
    z = torch.randn(3, 4)
    unknown = {"effect": torch.full((3,), 3), "knobs": torch.full((3, heads.count), torch.nan)}
    for labels in ({}, unknown):
        assert {name: value.item() for name, value in heads.terms(z, labels).items()} == {
            "effect": 0.0, "knobs": 0.0, "knob_kl": 0.0
        }  # fmt: skip


# ---- invariance ---------------------------------------------------------------------------------


def test_scatter_is_none_where_a_labels_sounds_coincide_and_one_where_it_tells_nothing():
    spots = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8).repeat(2)
    assert scatter(torch.cat([spots, spots]), labels).item() == pytest.approx(0.0, abs=1e-6)
    many = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    assert scatter(many, torch.arange(1000).repeat(2)).item() == pytest.approx(1.0, abs=0.05)
    assert scatter(10 * many, torch.arange(1000).repeat(2)) == pytest.approx(
        scatter(many, torch.arange(1000).repeat(2)).item(), rel=1e-3
    )  # the size of the space does not count
    for none in (torch.arange(8), torch.full((8,), -1)):
        assert scatter(spots, none).item() == 0.0


def test_an_order_keeps_the_sounds_of_a_setting_together():
    settings = torch.tensor([4, -1, 2, 4, 2, -1, 9])
    order = torch.tensor([6, 0, 5, 2, 3, 1, 4])
    assert together(order, settings).tolist() == [6, 0, 3, 5, 2, 4, 1]


@pytest.mark.parametrize(("term", "shared"), [("invariance", "setting"), ("clusters", "effect")])
def test_sounds_that_share_a_label_are_drawn_together(pairs, term, shared):
    """By steps on little but that term, with the corpus' own numbers."""
    corpus = Corpus.open(pairs)
    rows, values = np.arange(len(corpus.rows)), corpus.labels(shared)
    numbers = shared_tensor(corpus, shared, rows)
    assert all((numbers == numbers[row]).sum() == values.count(values[row]) for row in rows)
    weights = {"effect": 0, "knobs": 0, "invariance": 0, term: 100}
    settings = (*SMALL, "model.heads.effect=false", "model.heads.knobs=false", "objective.beta=0",
                *(f"objective.weights.{name}={weight}" for name, weight in weights.items()))  # fmt: skip
    wanted = recipe.load("effects", settings=settings)
    state = State.fresh(wanted, torch.device("cpu"), Vocabulary())
    x, labels = picture(len(rows)), {term: numbers}
    figures = [
        train_step(state, wanted, x, labels, steps=30, autocast=False)[term] for _ in range(30)
    ]
    assert figures[-1] < 0.7 * figures[0]


# ---- a run --------------------------------------------------------------------------------------


def test_knobs_of_the_corpus_become_places_and_back(pairs, run):
    corpus = run.corpus
    rows = np.arange(len(corpus.rows))
    table = Pictures.of(corpus, corpus.features(run.feature), rows, run.vocabulary).labels["knobs"]
    effects = corpus.labels("effect")
    for place, (column, knob) in enumerate(run.vocabulary.knob_columns):
        values = corpus.labels(column)
        for row in rows:
            own = column.startswith(f"{effects[row]}.")
            assert torch.isfinite(table[row, place]).item() == own == (values[row] is not None)
            if own:
                assert knob.from_unit(table[row, place].item()) == pytest.approx(
                    float(str(values[row])), rel=1e-4
                )


def test_training_says_how_well_effects_and_knobs_are_heard(run):
    line = run.history()[-1]
    assert line["train_effect"] > 0.0 and line["train_knobs"] > 0.0
    assert 0.0 < line["train_invariance"] < line["train_clusters"]  # a setting has one effect
    assert 0.0 <= line["valid_effect_error"] <= 1.0 and 0.0 < line["valid_knob_error"] < 0.5


def test_a_term_without_weight_is_not_asked_for():
    settings = (*SMALL, "objective.weights.invariance=0", "objective.weights.effect=0",
                "model.heads.effect=false")  # fmt: skip
    wanted = recipe.load("effects", settings=settings)
    state = State.fresh(wanted, torch.device("cpu"), vocabulary())
    figures = train_step(state, wanted, picture(), {}, steps=2, autocast=False)
    assert "knobs" in figures and not {"effect", "invariance"} & figures.keys()


def test_the_predicted_settings_can_be_heard(pairs, run):
    folder = run.path / "validation-audio"
    names = sorted(path.name for path in (folder / "dry").iterdir())
    assert [name.split("-")[0] for name in names] == list(EFFECTS)
    for part in ("reference", "epoch-001", "epoch-002"):
        assert sorted(path.name for path in (folder / part).iterdir()) == names
    name = next(name for name in names if name.startswith("overdrive"))
    dry, wet, made = (
        read(folder / part / name).samples[0] for part in ("dry", "reference", "epoch-002")
    )
    row = int(name.removesuffix(".flac").split("-")[1])
    units = predict(run, dry, wet).units["overdrive"][0]
    effect = find("overdrive")
    gain = 0.25119 / np.abs(dry).max()
    again = effect.render(dry * gain, RATE, effect.from_units(units)) / gain
    np.testing.assert_allclose(made, again, atol=2e-3)
    assert run.corpus.labels("effect")[row] == "overdrive"


def test_tensorboard_has_what_the_folder_has_of_every_epoch(run):
    events = EventAccumulator(
        str(run.path / "tensorboard"), size_guidance={"tensors": 0, "audio": 0}
    )
    events.Reload()
    names = [path.stem for path in (run.path / "validation-audio" / "dry").iterdir()]
    assert len(names) == 3
    for name in names:
        for part in ("dry", "reference", "prediction"):
            told = events.Audio(f"{name}/{part}")
            assert [one.step for one in told] == [1, 2]
            for one in told:
                sound, rate = soundfile.read(io.BytesIO(one.encoded_audio_string), dtype="float32")
                folder = f"epoch-{one.step:03}" if part == "prediction" else part
                kept = read(run.path / "validation-audio" / folder / f"{name}.flac")
                assert rate == kept.sample_rate == RATE and sound.shape == (SAMPLES,)
                assert np.abs(sound - kept.samples[0]).max() < 1e-4


def test_a_run_hears_effects_without_its_corpus(pairs, run, tmp_path):
    alone = tmp_path / "run"
    shutil.copytree(run.path, alone)
    facts = json.loads((alone / "provenance.json").read_text())
    (alone / "provenance.json").write_text(json.dumps({**facts, "corpus": str(tmp_path / "gone")}))
    dry = np.random.default_rng(0).normal(size=(2, 5000)).astype(np.float32) * 0.1
    here, there = predict(Run.open(alone), dry, 2 * dry), predict(run, dry, 2 * dry)
    assert here.effects == EFFECTS and here.likeliest(1) in EFFECTS
    np.testing.assert_array_equal(here.probabilities, there.probabilities)
    np.testing.assert_allclose(here.probabilities.sum(1), 1.0, rtol=1e-5)
    for name in EFFECTS:
        assert here.units[name].shape == here.spread[name].shape == (2, len(KNOBS[name]))
    kept = Run.open(alone).vocabulary.knobs
    assert knobs_as_json(kept) == knobs_as_json(KNOBS)


def test_a_controller_can_lay_out_what_a_run_hears(run, tiny_run, tmp_path, monkeypatch):
    """In place of the ear's timbre: mu of what lies between dry and wet, of each sound."""
    for name, few in (("RENDERED", 6), ("PLACES", 12), ("PATHS", 2)):
        monkeypatch.setattr(measure, name, few)
    monkeypatch.setattr(fit, "EAR_STEPS", 20)
    monkeypatch.setattr(fit, "STEPS", 20)
    dry = np.random.default_rng(0).normal(size=(2, 9000)).astype(np.float32) * 0.1
    _, heard = listen(find("overdrive"), dry, 60, seed=0, run=run)
    setting = find("overdrive").from_units(heard.units[7])
    wet = np.stack([find("overdrive").render(one, RATE, setting) for one in dry])
    np.testing.assert_allclose(heard.timbre[7], between(run, dry, wet).ravel(), atol=1e-5)
    assert heard.timbre.shape == (60, 2 * run.model.heard) and run.model.heard < run.model.latent
    out = tmp_path / "pad.safetensors"
    words = ["--effect", "overdrive", "--kind", "pca", "--settings", "60", "--out", str(out)]
    told = CliRunner().invoke(app, ["effects", "controller", *words, "--run", str(run.path)])
    assert told.exit_code == 0 and "(pca of latents of run)" in told.stdout
    made = Controller.open(out)
    assert made.kind == "pca" and made.made["run"] == "run" and len(made.measures["rises"]) == 2
    for place in (tiny_run, tmp_path / "none"):
        with pytest.raises(RunError, match="no space of effects|none"):
            effects_controller("overdrive", out, settings=60, run=place)


def opinionated(run: Run, to: Path, places: dict[str, float]) -> Run:
    """A copy of the run whose heads say of every pair: overdrive, its knobs at these `places`."""
    shutil.copytree(run.path, to)
    weights = load_file(to / "weights.safetensors")
    for name in ("effect.weight", "knobs.2.weight", "effect.bias", "knobs.2.bias"):
        weights[f"heads.{name}"].zero_()
    weights["heads.effect.bias"][EFFECTS.index("overdrive")] = 5.0
    chances = weights["heads.knobs.2.bias"].view(-1, PLACES)
    for number, (column, _) in enumerate(run.vocabulary.knob_columns):
        if column.removeprefix("overdrive.") in places:
            chances[number, round(places[column.removeprefix("overdrive.")] * (PLACES - 1))] = 20.0
    save_file(weights, to / "weights.safetensors")
    return Run.open(to)


def driven(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A tone, and the same with overdrive whose knobs stand at `places`."""
    time, effect = np.arange(SAMPLES) / RATE, find("overdrive")
    dry = (0.25 * np.sin(2 * np.pi * 220 * time) * np.exp(-4.0 * time)).astype(np.float32)
    return dry, effect.render(dry, RATE, effect.from_units(places))


def test_a_match_starts_where_a_run_hears_the_knobs(run, tmp_path):
    """With so few renders the centre is no start from which a far setting is found."""
    effect = find("overdrive")
    made = opinionated(run, tmp_path / "run", {"drive": 0.875, "tone": 0.125, "asymmetry": 0.9375})
    dry, wet = driven(np.array([0.9, 0.15, 0.9]))
    for name, sound in (("dry", dry), ("wet", wet)):
        write(tmp_path / f"{name}.wav", sound, RATE, format="float")
    words = ["effects", "match", *(str(tmp_path / f"{name}.wav") for name in ("dry", "wet"))]
    words += [
        "--effect",
        "overdrive",
        "--renders",
        "8",
        "--seconds",
        "60",
        "--out",
        str(tmp_path),
        "--json",
    ]
    with_run, alone = (
        json.loads(CliRunner().invoke(app, [*words, *more]).stdout)
        for more in (["--run", str(made.path)], [])
    )
    steps = {step["name"]: step["distance"] for step in with_run["steps"]}
    assert list(steps) == ["nothing", "centre", "prediction", "Sobol", "polish"]
    heard = effect.render(
        dry, RATE, effect.from_units(predict(made, dry, wet).units["overdrive"][0])
    )
    gain = np.float32(DRY_PEAK / np.abs(dry).max())
    assert steps["prediction"] == pytest.approx(mr_stft(gain * heard, gain * wet), rel=1e-3)
    assert steps["polish"] <= steps["prediction"] < 0.5 * steps["centre"]
    assert [step["name"] for step in alone["steps"]] == ["nothing", "centre", "Sobol", "polish"]
    assert with_run["ratio"] < 0.5 * alone["ratio"]


def test_of_all_effects_those_are_searched_that_a_run_hears(run, tmp_path):
    """Twelve of our own are not all tried: the run's three alone, its favourite first."""
    made = opinionated(run, tmp_path / "run", {})
    dry, wet = driven(np.array([0.75, 0.5, 0.5]))
    stages = []
    found = match_one_of(
        list(catalogue.EFFECTS.values()), dry, wet, RATE, renders=8, predict=predictor(made.path),
        progress=lambda stage, done, total, facts: stages.append(stage),
    )  # fmt: skip
    assert found.effect.name == "overdrive" and set(found.others) == {"delay", "ringmod"}
    assert "effects" not in stages  # no short search with each


def test_a_run_that_hears_wet_sounds_alone_names_their_effect_at_once(run, pairs, tmp_path, caplog):
    """Where a sound sets in does not matter, nor who else was learnt; each kind of run says what it cannot."""
    alone = verbs.train("effects-blind", pairs, tmp_path / "alone", settings=SMALL)
    sure = opinionated(alone, tmp_path / "sure", {"drive": 0.75, "tone": 0.25})
    dry, wet = driven(np.array([0.75, 0.25, 0.5]))
    late = np.concatenate([np.zeros(3 * SAMPLES, np.float32), wet])
    for name, sound in (("dry", dry), ("wet", wet), ("late", late)):
        write(tmp_path / f"{name}.wav", sound, RATE, format="float")
    words = ["effects", "blind", str(tmp_path / "wet.wav"), "--run"]
    found = json.loads(CliRunner().invoke(app, [*words, str(sure.path), "--json"]).stdout)
    assert found["effect"] == "overdrive" and set(found["probabilities"]) == set(EFFECTS)
    assert sum(found["probabilities"].values()) == pytest.approx(1.0)
    drive, tone, asymmetry = found["knobs"]
    assert drive["value"] == pytest.approx(30.0) and drive["word"] == "sure"
    assert drive["low"] == drive["value"] == drive["high"]
    assert (asymmetry["low"], asymmetry["high"]) == pytest.approx((0.1, 0.9), abs=0.05)  # any
    two = effects_blind(tmp_path / "wet.wav", effect=["delay", "ringmod"], run=sure.path)
    assert set(two.probabilities) == {"delay", "ringmod"} and sum(
        two.probabilities.values()
    ) == pytest.approx(1.0)
    first, later = (
        effects_blind(tmp_path / f"{name}.wav", run=alone.path).probabilities
        for name in ("wet", "late")
    )
    assert (
        later == pytest.approx(first, abs=1e-3)
        and first != effects_blind(tmp_path / "dry.wav", run=alone.path).probabilities
    )
    some = effects_blind(tmp_path / "wet.wav", effect=["chorus", "delay"], run=sure.path)
    assert dict(some.probabilities) == {"delay": 1.0}
    assert "chorus is left out: the run has not learnt to hear it" in caplog.text
    with pytest.raises(EffectError, match="not learnt to hear chorus; choose among delay, over"):
        effects_blind(tmp_path / "wet.wav", effect="chorus", run=sure.path)
    style = effects_match(
        tmp_path / "dry.wav", tmp_path / "late.wav", tmp_path / "out", style=True, run=sure.path, renders=8
    )  # fmt: skip
    with pytest.raises(EffectError, match="which effect it has, and delay is the only one; leave"):
        effects_match(
            tmp_path / "dry.wav", tmp_path / "late.wav", tmp_path / "out", style=True, run=sure.path,
            effect="delay",
        )  # fmt: skip
    assert style.match.effect.name == "overdrive" and style.match.sure == "sure"
    assert style.facts["probabilities"] == pytest.approx(found["probabilities"])
    with pytest.raises(RunError, match="without its dry one; train one that has .* effects-blind"):
        effects_blind(tmp_path / "wet.wav", run=run.path)
    with pytest.raises(RunError, match="a sound alone, not beside its dry one"):
        predictor(sure.path)


def test_a_run_with_heads_resumes_to_the_same_bits(pairs, run, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)

    def interrupt(stage, done, total, facts):
        if stage == "train" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verbs.train("effects", pairs, tmp_path / "cut", settings=SMALL, progress=interrupt)
    verbs.train("effects", pairs, tmp_path / "cut", settings=SMALL, resume=True)
    ends = [
        load_file(p / "checkpoints/last/state.safetensors") for p in (run.path, tmp_path / "cut")
    ]
    assert ends[0].keys() == ends[1].keys() and any("heads.knobs" in name for name in ends[0])
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


# ---- what cannot be -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("model.encoder={kind: siamese}",), "channels: joint"),
        (("model.encoder={kind: wet}", "model.bottleneck={kind: gaussian}"), "level: each"),
        (("objective.weights.knobs=0",), "add objective.weights.knobs"),
        (("model.heads.knobs=false",), "add model.heads: {knobs: true}"),
        (
            ("objective.weights.knobs=0", "objective.weights.knob_kl=1", "model.heads.knobs=false"),
            "knob_kl weighs what a head says",
        ),
        (("feature={kind: log_mel}",), "use feature.kind: pair"),
        (
            (
                DIVIDED,
                "feature.channels=joint",
                "feature.resolutions=[]",
                "model.encoder={kind: siamese}",
            ),
            "they are pair, siamese and conv2d",
        ),
        (("feature.mels=36",), "not both divisible by"),
        (("train.augment.tilt_db=6",), "feature.kind pair has not"),
        (
            ("model.bottleneck={kind: fsq}", "objective.beta=null"),
            "objective.weights.invariance moves sounds",
        ),
    ],
)
def test_what_cannot_fit_is_one_sentence(settings, words):
    with pytest.raises(RecipeError) as caught:
        recipe.load("effects", settings=settings)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_corpus_without_pairs_is_refused(tiny_corpus, pairs, run, tiny_run, tmp_path):
    with pytest.raises(RunError, match="wants the label 'effect'"):
        verbs.train("effects", tiny_corpus, tmp_path / "run", settings=SMALL)
    (tmp_path / "pairs").mkdir()
    for name in ("corpus.json", "sounds.csv", "sounds.safetensors"):
        shutil.copy(pairs / name, tmp_path / "pairs")
    with pytest.raises(RunError, match="timbrespace effects pairs"):
        verbs.train("effects", tmp_path / "pairs", tmp_path / "run", settings=SMALL)
    with pytest.raises(RunError, match="reads no effects"):
        predict(Run.open(tiny_run), np.zeros(8), np.zeros(8))
