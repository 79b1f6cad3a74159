"""Figures that mean what they say: distortion, rate, floors, verdict, and their report."""

import base64
import copy
import csv
import html.parser
import json
import math
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from timbrespace.audio.files import Audio
from timbrespace.data.table import Row
from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.evaluation import catalogue, floors, latent, reconstruction
from timbrespace.evaluation import evaluate as evaluation
from timbrespace.evaluation.evaluate import evaluate, measure
from timbrespace.evaluation.figures import curves
from timbrespace.evaluation.floors import Floors
from timbrespace.evaluation.verdict import judge, verdict
from timbrespace.features.log_mel import LogMel
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.recipe import build, parse

# --- distortion ---


def test_a_sound_that_is_10_db_off_everywhere_has_10_db():
    original = np.full((2, 4, 6), -0.5)
    mse = reconstruction.mse_per_sound(original, original + 0.25)
    assert reconstruction.rmse_db(mse, -80.0) == pytest.approx(10.0)
    assert reconstruction.rmse_db(mse, -120.0) == pytest.approx(15.0)
    assert reconstruction.rmse_db(reconstruction.mse_per_sound(original, original), -80.0) == 0.0


def test_silence_for_a_sound_at_full_level_costs_the_whole_range():
    mse = reconstruction.mse_per_sound(np.ones((1, 3, 3)), -np.ones((1, 3, 3)))
    assert reconstruction.rmse_db(mse, -80.0) == pytest.approx(80.0)


def test_figures_of_parts_add_up_as_powers():
    mse = np.array([0.01, 0.04, 0.04, 0.09])
    table = reconstruction.per_label(
        ["a", "b", "b", None], -80.0, {"rmse_db": mse}, rng=np.random.default_rng(0)
    )
    assert list(table) == ["a", "b"] and table["b"]["sounds"] == 2
    whole = reconstruction.rmse_db(mse[:3], -80.0)
    parts = sum(t["sounds"] * t["rmse_db"] ** 2 for t in table.values())
    assert math.sqrt(parts / 3) == pytest.approx(whole)


def test_best_and_worst_do_not_overlap():
    best, worst = reconstruction.extremes(np.array([0.3, 0.1, 0.2]), 4)
    assert best.tolist() == [1] and worst.tolist() == [0]


def test_loud_cells_are_judged_apart_from_what_nobody_hears():
    original = np.array([[[1.0, 0.5, 0.0, -1.0]]])  # 0, -20, -40, -80 dB
    made = original + np.array([-0.1, -0.3, 0.9, 0.9])  # -4, -12, +36, +36 dB
    found = reconstruction.evaluate_loud(reconstruction.loud_cells(original, made, -80.0))
    assert found["loud_bias_db"] == pytest.approx(-8.0)
    assert found["loud_rmse_db"] == pytest.approx(((4**2 + 12**2) / 2) ** 0.5)
    perfect = reconstruction.evaluate_loud(reconstruction.loud_cells(original, original, -80.0))
    assert perfect == {"loud_rmse_db": 0.0, "loud_bias_db": 0.0}


@pytest.mark.parametrize(
    ("made", "says"),
    [(np.zeros((1, 2, 2)), "should both be"), (np.full((2, 2, 2), np.nan), "diverged")],
)
def test_pictures_that_cannot_be_compared_are_refused(made, says):
    with pytest.raises(TimbrespaceError, match=says):
        reconstruction.mse_per_sound(np.zeros((2, 2, 2)), made)


# --- rate and use of the latent ---


def test_the_rate_of_the_prior_is_nothing_and_a_shift_costs_half_its_square():
    zero = np.zeros((3, 2))
    assert latent.kl(zero, zero).sum() == 0.0
    assert latent.kl(np.array([[2.0]]), np.array([[0.0]]))[0, 0] == pytest.approx(2.0)
    assert latent.bits(math.log(8.0)) == pytest.approx(3.0)


def test_the_rate_is_the_expected_log_ratio():
    rng = np.random.default_rng(0)
    mean, logvar = np.full((200_000, 1), 0.7), np.full((200_000, 1), -1.2)
    z = _sample(mean, logvar, rng).astype(np.float64)
    log_ratio = -0.5 * (logvar + (z - mean) ** 2 / np.exp(logvar)) + 0.5 * z**2
    assert latent.kl(mean, logvar)[0, 0] == pytest.approx(log_ratio.mean(), abs=0.01)


def _sample(mean, logvar, rng):
    return (mean + rng.standard_normal(mean.shape) * np.exp(0.5 * logvar)).astype(np.float32)


def collapsed(rng, sounds=300, dimensions=4, scale=0.05):
    """Two families whose mu differ, by far less than the noise: what fooled the reports."""
    family = np.arange(sounds) % 2
    mean = rng.normal(0.0, scale / 4, (sounds, dimensions))
    mean[:, 0] += scale * (2 * family - 1)
    return mean, np.zeros((sounds, dimensions)), [f"family {f}" for f in family]


def informed(rng, sounds=300):
    family = np.arange(sounds) % 2
    mean = np.stack([2.0 * (2 * family - 1), rng.normal(0, 1, sounds), np.zeros(sounds)], 1)
    logvar = np.tile(np.log([0.01, 0.05, 1.0]), (sounds, 1))
    return mean, logvar, [f"family {f}" for f in family]


def test_active_units_by_both_definitions():
    mean, logvar, _ = informed(np.random.default_rng(1))
    assert latent.active_units(mean) == 2 == latent.active_units_by_rate(latent.kl(mean, logvar))
    # rescaling mu and noise together changes nothing that can be known; Burda's threshold moves
    assert latent.active_units(mean * 0.01) == 0
    wide, loud, _ = collapsed(np.random.default_rng(1), scale=0.15)
    assert (
        latent.active_units(wide) == 1 and latent.active_units_by_rate(latent.kl(wide, loud)) == 0
    )


def test_separation_is_the_distance_in_noise_widths():
    mean = np.array([[0.0, 0.0], [3.0, 4.0]])
    far = latent.distances(mean, np.zeros((2, 2)), np.random.default_rng(0))
    near = latent.distances(mean, np.full((2, 2), math.log(25.0)), np.random.default_rng(0))
    assert far == {"mean_distance": pytest.approx(5.0), "separation": pytest.approx(5.0)}
    assert near == {"mean_distance": pytest.approx(5.0), "separation": pytest.approx(1.0)}
    alone = latent.distances(mean[:1], mean[:1], np.random.default_rng(0))
    assert alone == {"mean_distance": None, "separation": None}


def test_latent_figures_of_a_collapsed_space():
    mean, logvar, _ = collapsed(np.random.default_rng(2))
    found = latent.evaluate(mean, logvar)
    assert found["nats_per_sound"] < 0.01 and found["active_units"] == 0
    assert found["separation"] < 0.2
    assert sum(found["bits_per_dimension"]) == pytest.approx(found["bits_per_sound"])
    assert found["bits_per_sound"] == pytest.approx(found["nats_per_sound"] / math.log(2))


def test_probes_read_sampled_z_at_chance_where_mu_looks_fine():
    rng = np.random.default_rng(3)
    mean, logvar, family = collapsed(rng)
    z = _sample(mean, logvar, rng)
    on_mu = latent.probe(mean[:200], family[:200], mean[200:], family[200:])
    on_z = latent.probe(z[:200], family[:200], z[200:], family[200:])
    assert on_mu["knn"] > 0.95 and on_mu["linear"] > 0.95 and on_mu["majority"] == 0.5
    assert abs(on_z["knn"] - 0.5) < 0.15 and abs(on_z["linear"] - 0.5) < 0.15


def test_probes_read_an_informed_space_and_count_unknown_labels_as_wrong():
    rng = np.random.default_rng(4)
    mean, logvar, family = informed(rng)
    z = _sample(mean, logvar, rng)
    asked = ["never seen" if i % 4 == 0 else f for i, f in enumerate(family[200:])]
    found = latent.probe(z[:200], family[:200], z[200:], asked)
    assert found["knn"] == found["linear"] == pytest.approx(0.75)
    assert found["labels"] == 2 and found["tested"] == 100


def test_the_majority_share_is_that_of_the_commonest_training_label():
    x = np.arange(6.0)[:, None]
    found = latent.probe(x, list("aaaabb"), x[:4], list("aaab"))
    assert found["majority"] == 0.75


def test_probes_without_labels_to_tell_apart_are_no_figures():
    z = np.zeros((4, 2))
    assert latent.probe(z, ["a"] * 4, z, ["a"] * 4) is None
    assert latent.probe(z, [None] * 4, z, [None] * 4) is None
    assert latent.probe(z, ["a", "b", "a", "b"], z, [""] * 4) is None


@pytest.mark.parametrize("logvar", [np.zeros((2, 3)), np.full((2, 2), np.inf)])
def test_latents_that_are_none_are_refused(logvar):
    with pytest.raises(TimbrespaceError):
        latent.evaluate(np.zeros((2, 2)), logvar)


# --- floors ---


def pitched_pictures(rows=240, seed=5):
    """Each pitch a pattern of its own, each sound a loudness and brightness of its own."""
    rng = np.random.default_rng(seed)
    pitches = 50 + rng.integers(0, 6, rows)
    pattern = rng.normal(0, 0.3, (6, 8, 10))
    slope = np.linspace(-1, 1, 8)[:, None]
    sounds = pattern[pitches - 50] + rng.normal(0, 0.2, (rows, 1, 1)) * slope
    return (sounds + rng.normal(0, 0.05, sounds.shape)).astype(np.float16), pitches.tolist()


def fit(pictures, pitches, rows=None, **options):
    rows = np.arange(len(pictures)) if rows is None else rows
    own = None if pitches is None else [pitches[r] for r in rows]
    return Floors.fit(lambda r: pictures[r], rows, own, **options)


def test_the_floors_stand_in_order():
    pictures, pitches = pitched_pictures()
    found = fit(pictures, pitches, np.arange(160), pitch_given=True)
    errors = {k: v.mean() for k, v in found.errors(pictures[160:], pitches[160:]).items()}
    names = ["mean_sound", "mean_per_pitch", "pca_8", "pca_16", "pca_32", "pca_64"]
    assert set(names) < set(errors)
    assert errors["mean_sound"] > errors["mean_per_pitch"] > errors["pca_given_pitch_8"]
    assert errors["pca_8"] >= errors["pca_16"] >= errors["pca_32"] >= errors["pca_64"]
    # the noise that no number can carry is what is left, 0.05^2 over 80 - 8 of 80 directions
    assert errors["pca_8"] == pytest.approx(0.05**2, rel=0.15)


def test_the_mean_sound_is_measured_like_a_model_that_always_says_it():
    pictures, _ = pitched_pictures()
    found = fit(pictures, None)
    said = np.broadcast_to(pictures.astype(np.float64).mean(0), pictures.shape)
    expected = reconstruction.mse_per_sound(pictures.astype(np.float64), said)
    assert np.allclose(found.errors(pictures)["mean_sound"], expected, rtol=1e-4)
    assert "mean_per_pitch" not in found.errors(pictures)


def test_the_pca_floor_is_the_error_of_coming_back_from_the_coordinates():
    pictures, _ = pitched_pictures()
    found = fit(pictures, None, np.arange(100))
    flat = pictures[100:].reshape(140, -1).astype(np.float32)
    back = found.pca.inverse(found.pca.transform(flat, 16))
    left = np.square(back - flat).mean(1)
    assert np.allclose(found.errors(pictures[100:])["pca_16"], left, rtol=1e-3)


def test_a_pitch_never_heard_takes_the_nearest_one_and_an_unknown_one_the_mean():
    low, high = np.zeros((2, 3)), np.ones((2, 3))
    found = fit(np.stack([low, high]), [40, 60])
    asked = np.stack([low, high, high, np.full((2, 3), 0.5)])
    errors = found.errors(asked, [45, 58, 50, None])["mean_per_pitch"]
    assert errors.tolist() == [0.0, 0.0, 1.0, 0.0]  # 50 lies between both: the lower one


def test_floors_need_training_sounds():
    with pytest.raises(TimbrespaceError, match="no training sounds"):
        fit(np.zeros((3, 2, 2)), None, np.array([], int))


def test_the_scale_of_a_feature():
    pictures = np.array([[[-1.0, -1.0], [0.0, 1.0]]])
    found = floors.scale(pictures, -80.0)
    assert found["share_at_floor"] == 0.5 and found["db_per_unit"] == 40.0
    assert found["std_db"] == pytest.approx(40 * pictures.std())


# --- verdict ---

HEALTHY = {
    "distortion": {
        "rmse_db": 5.9,
        "rmse_db_at_mean": 5.7,
        "rmse_db_shuffled": 14.0,
        "train_rmse_db": 5.0,
    },
    "rate": {
        "nats_per_sound": 36.0,
        "active_units": 32,
        "active_units_by_rate": 32,
        "dimensions": 32,
        "separation": 11.0,
    },
    "floors": {
        "mean_sound_rmse_db": 18.96,
        "mean_per_pitch_rmse_db": 14.2,
        "pca_rmse_db": {"8": 10.6, "16": 8.7, "32": 6.1, "64": 3.9},
    },
    "labels": {"families": 11},
}


def changed(**changes):
    metrics = copy.deepcopy(HEALTHY)
    for key, value in changes.items():
        part, name = key.split("__")
        metrics[part][name] = value
    return metrics


def test_a_healthy_space_is_called_so_beside_its_floors():
    found = judge(HEALTHY)
    assert found.healthy
    assert found.words == (
        "keeps 52 bits per sound; 32 of 32 dimensions are active: a healthy space: 5.9 dB beside "
        "mean sound 19.0 dB, mean per pitch 14.2 dB, PCA-32, whose rate has no limit, 6.1 dB"
    )


def test_of_silence_nothing_is_said_of_the_space():
    found = judge(HEALTHY | {"feature": {"share_at_floor": 1.0}})
    assert found.faults == ("silent sounds",) and "nothing of the space" in found.words
    assert judge(HEALTHY | {"feature": {"share_at_floor": 0.99}}).healthy
    silence = -np.ones((2, 3, 4))
    cells = reconstruction.loud_cells(silence, silence, -80.0)
    assert set(reconstruction.evaluate_loud(cells).values()) == {None}


def test_a_collapsed_space_is_called_so_and_told_what_to_do():
    words = verdict(changed(rate__nats_per_sound=0.117, rate__active_units=1))
    assert words.startswith(
        "keeps 0.17 bit per sound; 1 of 32 dimensions is active: this space has collapsed; "
        "lower beta or ask for a rate"
    )


def test_twice_the_decibels_of_linear_algebra_are_not_healthy():
    # report 003's improved loss after 8 epochs: 13.3 dB at 93 bits, where a linear code has 5.7
    own = {"distortion__rmse_db": 13.3, "distortion__train_rmse_db": 13.0}
    behind = changed(**own, distortion__rmse_db_shuffled=17.0, floors__linear_code_rmse_db=5.7)
    assert judge(behind).faults == ("far behind a linear code",)
    assert not judge({**behind, "waves": {"model": {"mse": 0.1}}}).faults
    assert judge(changed(distortion__rmse_db=6.5, floors__linear_code_rmse_db=5.7)).healthy


def test_one_place_for_all_sounds_is_a_collapse_at_any_rate():
    # of an encoder whose units were all dead, behind batch norm: 22 million bits
    found = judge(changed(rate__nats_per_sound=1.5e7, rate__separation=0.0))
    assert found.faults[0] == "collapsed" and "the bits say nothing" in found.words


@pytest.mark.parametrize("nats", [0.0, 0.45, 0.999])
def test_under_one_nat_no_kind_word_is_said(nats):
    # whatever else looks well: this is what the reports got wrong
    found = judge(changed(rate__nats_per_sound=nats))
    assert found.faults[0] == "collapsed" and "has collapsed" in found.words
    assert "healthy" not in found.words and "collapse-free" not in found.words
    assert "no collapse" not in found.words


@pytest.mark.parametrize(
    ("changes", "fault", "says"),
    [
        ({"distortion__rmse_db": 18.78}, "hardly better than the mean sound", "18.8 dB"),
        ({"distortion__rmse_db": 20.0}, "worse than the mean sound", "worse than the mean sound"),
        ({"distortion__rmse_db": 13.9}, "hardly better than the mean per pitch", "hardly better"),
        ({"distortion__rmse_db": 14.3}, "hardly better than the mean per pitch", "no better than"),
        (
            {"distortion__rmse_db_shuffled": 6.0},
            "decoder ignores the latent",
            "the decoder ignores the latent",
        ),
        (
            {"distortion__rmse_db_at_mean": 7.5},
            "decode(mu) worse than decode(z)",
            "decode(mu) is worse than decode(z) (7.5 dB beside 5.9 dB)",
        ),
        ({"rate__nats_per_sound": 2.0}, "too few bits", "one of 11 families takes 3.5 bits"),
        ({"rate__separation": 1.0}, "blurred", "1.0 noise widths"),
        ({"distortion__train_rmse_db": 2.0}, "learnt by heart", "by heart"),
        ({"distortion__rmse_db": math.nan}, "diverged", "diverged"),
        ({"rate__nats_per_sound": math.inf}, "diverged", "diverged"),
    ],
)
def test_each_fault_has_its_words(changes, fault, says):
    found = judge(changed(**changes))
    assert fault in found.faults and says in found.words
    assert not found.healthy and "healthy" not in found.words


def test_faults_have_thresholds_not_hair_triggers():
    fine = changed(
        distortion__rmse_db=17.5,
        distortion__rmse_db_at_mean=17.8,
        distortion__rmse_db_shuffled=18.5,
        distortion__train_rmse_db=12.0,
        floors__mean_per_pitch_rmse_db=None,
        rate__nats_per_sound=2.5,
        rate__separation=2.1,
    )
    assert judge(fine).faults == ()


def test_a_space_above_the_best_linear_code_is_told_so_and_what_helps():
    """Networks for pictures help pictures; a wave's are not judged by dB alone."""
    behind = changed(floors__linear_code_rmse_db=5.2)
    assert "has not reached the best linear code of this rate (5.2 dB); train" in verdict(behind)
    of_waves = verdict({**behind, "waves": {"model": {"mse": 0.1}}})
    assert "the MR-STFT says more" in of_waves and "principal" not in of_waves
    assert "not reached" not in verdict(changed(floors__linear_code_rmse_db=6.0))


def test_the_verdict_names_idle_dimensions_and_lives_with_little():
    assert "12 dimensions keep almost nothing" in verdict(changed(rate__active_units_by_rate=20))
    least = {
        "distortion": {"rmse_db": 5.0},
        "rate": {"nats_per_sound": 30.0, "active_units": 1, "dimensions": 1},
    }
    words = verdict(least)
    assert words == (
        "keeps 43 bits per sound; 1 of 1 dimensions is active: not collapsed, floors not measured: "
        "5.0 dB"
    )


# --- the whole: a run with a corpus of tones, measured and reported ---

FEATURE = LogMel(sample_rate=8000, n_fft=256, hop=128, mels=16, frames=16)
RECIPE = """
name: tiny
about: "a <b>bold</b> recipe"
feature: {sample_rate: 8000, n_fft: 256, hop: 128, mels: 16, frames: 16}
model:
  encoder: {channels: [4, 8]}
  bottleneck: {latent: 4}
  decoder: {channels: [4, 8]}
  condition: {labels: [pitch], size: 4}
objective: {beta: 1.0}
train: {epochs: 2}
"""
EVIL = "<script>alert(1)</script> & $x_1$"


@dataclass
class Store:
    values: np.ndarray
    level_db: np.ndarray

    def read(self, rows):
        return self.values[rows].astype(np.float32)


@dataclass
class Tones:
    """A corpus of decaying tones in memory: the methods of Corpus that an evaluation uses."""

    labelled: bool = True
    count: int = 48
    families: tuple[str, ...] = (EVIL, "reed", "_bell")
    loud: float = 1.0
    path: Path = Path("tones")
    digest: str = "tones"
    made: list = field(default_factory=list)

    def __post_init__(self):
        rng = np.random.default_rng(8)
        time = np.arange(3000) / 8000
        for row in range(self.count):
            pitch, kind = 48 + int(rng.integers(0, 12)), row % 3
            hertz = 440 * 2 ** ((pitch - 69) / 12)
            wave = sum(np.sin(2 * np.pi * hertz * k * time) / k ** (1 + kind) for k in (1, 2, 3))
            wave *= self.loud * np.exp(-6 * time * rng.uniform(0.5, 2)) / 3
            self.made.append((wave, pitch, kind))
        split = ["valid" if r % 4 == 0 else "train" for r in range(self.count)]
        self.rows = [
            Row(
                r, f"sounds/{r}.wav", split[r], 0.0, 3000 / 8000, 8000, 0.0, "",
                {
                    "pitch": p, "family": self.families[k % len(self.families)],
                    "instrument": f"{k} {split[r]}",
                } if self.labelled else {"family": None},
            )
            for r, (_, p, k) in enumerate(self.made)
        ]  # fmt: skip
        picture = FEATURE.analyse(torch.tensor(np.stack([m[0] for m in self.made])))
        self.store = Store(picture.values.numpy().astype(np.float16), picture.level_db.numpy())

    @property
    def label_names(self):
        return list(self.rows[0].labels)

    def labels(self, name):
        return [row.labels[name] for row in self.rows]

    def split_rows(self, split):
        return np.array([r.row for r in self.rows if r.split == split], int)

    def features(self, feature, **_):
        assert feature == FEATURE
        return self.store

    def audio(self, row, *, sample_rate=None):
        return Audio(self.made[row][0][None].astype(np.float32), 8000)


class StandInRun:
    """The parts of Run that an evaluation uses, without a training."""

    def __init__(self, path, corpus, model=None):
        path.mkdir(exist_ok=True)
        self.path, self.corpus, self.feature = path, corpus, FEATURE
        self.recipe = parse(RECIPE)
        self.name = self.recipe.name
        self.vocabulary = Vocabulary.of({name: () for name in self.recipe.model.condition.names})
        torch.manual_seed(0)
        self.model = (model or build(self.recipe)).eval()
        self.epochs = [
            {"epoch": e, "valid_rmse_db": 30 / e, "valid_bits": 9.0, "beta": 1.0} for e in (1, 2)
        ]

    def split(self):
        return {row.row: row.split for row in self.corpus.rows}

    def history(self):
        return self.epochs

    def status(self):
        return {"epoch": 2, "epochs": 2, "finished": True}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    run = StandInRun(tmp_path_factory.mktemp("runs") / "tiny", Tones())
    return run, evaluate(run)


def test_metrics_have_the_promised_layout_and_are_the_file(evaluated):
    run, metrics = evaluated
    read = json.loads((run.path / "evaluation/metrics.json").read_text())
    assert read == metrics
    assert metrics["split"] == "valid" and metrics["sounds"] == 12
    assert {"mse", "rmse_db", "rmse_db_at_mean"} <= set(metrics["distortion"])
    promised = {"nats_per_sound", "bits_per_sound", "active_units", "dimensions"}
    assert promised <= set(metrics["rate"])
    assert {"mean_sound_rmse_db", "mean_per_pitch_rmse_db"} <= set(metrics["floors"])
    assert list(metrics["floors"]["pca_rmse_db"]) == ["8", "16", "32", "64"]
    assert isinstance(metrics["verdict"], str) and metrics["verdict"] == verdict(metrics)
    assert metrics["probes"]["instruments_shared_with_training"] == 0
    assert metrics["structure"]["sounds"] == metrics["posterior"]["sounds"] == 12
    assert (
        metrics["structure"]["told"] == ["pitch"]
        and "family" in metrics["disentanglement"]["factors"]
    )
    assert {"z", "mu", "pca_32_given_pitch"} <= set(metrics["structure"]["pitch_leakage"])


def test_distortion_is_measured_on_the_split_and_fits_its_parts(evaluated):
    run, metrics = evaluated
    rows = run.corpus.split_rows("valid")
    pictures = torch.tensor(run.corpus.store.read(rows))[:, None]
    pitches = {"pitch": torch.tensor([run.corpus.rows[r].labels["pitch"] for r in rows])}
    with torch.no_grad():
        mean = run.model.encode(pictures, pitches).mean
        by_hand = (run.model.decode(mean, pitches) - pictures).square().mean().sqrt() * 40
    assert metrics["distortion"]["rmse_db_at_mean"] == pytest.approx(float(by_hand), rel=1e-4)
    assert metrics["distortion"]["rmse_db"] == pytest.approx(
        40 * math.sqrt(metrics["distortion"]["mse"])
    )
    parts = metrics["families"].values()
    power = sum(f["sounds"] * f["rmse_db"] ** 2 for f in parts) / sum(f["sounds"] for f in parts)
    assert math.sqrt(power) == pytest.approx(metrics["distortion"]["rmse_db"])
    with open(run.path / "evaluation/sounds.csv", newline="") as file:
        each = list(csv.DictReader(file))
    families = run.corpus.labels("family")
    for name, part in metrics["families"].items():
        own = [line for line in each if families[int(line["row"])] == name]
        for figure in ("lsd_db", "cosine", "mr_stft"):
            known = [float(line[figure]) for line in own if line[figure]]
            assert part[figure] == pytest.approx(np.mean(known), abs=1e-4)
        assert part["mr_stft_sounds"] == sum(line["mr_stft"] != "" for line in own) > 0
    lines = (run.path / "evaluation/sounds.csv").read_text().splitlines()
    assert len(lines) == 13 and [int(x.split(",")[0]) for x in lines[1:]] == rows.tolist()


def test_the_examples_are_the_extremes_of_different_instruments(evaluated):
    run, metrics = evaluated
    lines = (run.path / "evaluation/sounds.csv").read_text().splitlines()[1:]
    error = {int(x.split(",")[0]): float(x.split(",")[2]) for x in lines}
    chosen = metrics["examples"]
    assert chosen["best"][0] == min(error, key=error.__getitem__)
    assert chosen["worst"][0] == max(error, key=error.__getitem__)
    for rows in (chosen["best"], chosen["worst"]):
        names = [run.corpus.rows[r].labels["instrument"] for r in rows]
        assert len(set(names)) == len(names)
    assert len({r for rows in chosen.values() for r in rows}) == sum(map(len, chosen.values()))


def test_runs_of_the_same_sounds_have_the_same_random_examples():
    def drawn(shown):
        return evaluation._at_random(1_500, shown, np.random.default_rng(3))

    one = drawn([7, 8, 9])
    assert len(one) == len(set(one)) == 5 and drawn([1_100, 4, 2, 3]) == one
    other = drawn([one[2], 0])
    assert [i for i in one if i != one[2]] == other[:4] and one[2] not in other


def test_the_split_is_that_of_the_training(evaluated):
    corpus = Tones()
    run = StandInRun(evaluated[0].path, corpus, evaluated[0].model)
    trained = run.split()
    for row in corpus.rows:  # prepared again since, with other splits
        row.split = "train" if row.split == "valid" else "valid"
    run.split = lambda: trained
    assert measure(run).metrics["distortion"] == evaluated[1]["distortion"]


def test_the_same_seed_gives_the_same_figures_and_another_seed_others(evaluated):
    run, metrics = evaluated
    again = measure(run).metrics
    other = measure(run, seed=1).metrics
    assert {k: v for k, v in again.items() if k != "seconds"} == {
        k: v for k, v in metrics.items() if k != "seconds"
    }
    assert other["distortion"]["rmse_db"] != metrics["distortion"]["rmse_db"]
    assert other["distortion"]["rmse_db_at_mean"] == metrics["distortion"]["rmse_db_at_mean"]


class Page(html.parser.HTMLParser):
    """What a browser would load, run and show."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        names = ("src", "href", "action", "data", "srcset", "poster")
        self.sources += [value for name, value in attrs if name in names]

    def handle_data(self, data):
        self.words.append(data)


def test_training_curves_show_each_raw_term_once(monkeypatch):
    kept = []
    monkeypatch.setattr(curves, "png", lambda figure: kept.append(figure) or b"")
    line = {"epoch": 1.0, "train_reconstruction": -3.0, "train_kl_nats": 9.0, "train_kl": 9.0}
    curves.training_curves([line | {"train_total": 6.0, "train_mse": 0.1}], {})
    (axes,) = kept[0].axes
    assert axes.get_legend_handles_labels()[1] == ["reconstruction", "kl"]
    assert axes.get_ylim()[0] < -3.0  # a term may be below 0, and is seen


def test_the_report_holds_everything_it_shows(evaluated):
    run, metrics = evaluated
    text = (run.path / "evaluation/report.html").read_text()
    page = Page(text)
    assert len(text) < 20e6
    beside = [s for s in page.sources if not s.startswith(("data:", "#"))]
    assert beside == ["map.html", "figures.html"]  # links: the page itself loads nothing
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "@import" not in text and not re.search(r"url\(", text)
    words = " ".join(page.words)
    assert EVIL in words and "a <b>bold</b> recipe" in words  # escaped: read as text
    assert metrics["verdict"][1:] in words
    examples = sum(len(v) for v in metrics["examples"].values())
    ways = len(metrics["continuity"]["examples"])
    assert examples >= 7 and page.tags.count("audio") == 4 * examples + 2 * ways
    drawn = {p.stem for p in (run.path / "evaluation/figures").iterdir()}
    assert {"standing", "training", "bits", "map-pca-family", "map-pca-pitch"} < drawn
    assert {"silhouettes", "confusion-z", "confusion-pca-32"} < drawn
    assert "The space and its prior" in words and "Does a number stand for one thing?" in words
    assert len(list((run.path / "evaluation/audio").iterdir())) == 4 * examples
    pictures = [p.read_bytes() for p in (run.path / "evaluation/figures").glob("*.png")]
    assert all(base64.b64encode(png).decode() in text for png in pictures)
    links = re.findall(r"href='#([^']+)'>([^<]+)<", text)
    assert dict(links) == dict(re.findall(r"<h2 id='([^']+)'>(.*?)</h2>", text))
    assert {"Listen", "Map"} < {words for _, words in links} and "<h2>" not in text


def test_a_corpus_without_labels_is_measured_all_the_same(tmp_path):
    run = StandInRun(tmp_path / "run", Tones(labelled=False, count=8))
    run.epochs = []
    metrics = evaluate(run, split="train")
    assert metrics["sounds"] == 6 and metrics["floors"]["mean_per_pitch_rmse_db"] is None
    assert metrics["probes"]["family"] is None and metrics["families"] == {}
    assert "no labels of families" in metrics["structure"]["overlap"]["why_not"]
    assert "no two values" in metrics["disentanglement"]["why_not"]
    assert metrics["posterior"]["cap"] == pytest.approx(math.log(6))
    assert "0.wav" not in (run.path / "evaluation/report.html").read_text()  # row 0 is validation


def still(mean: float, logvar: float) -> Autoencoder:
    """A model that gives every sound the same place."""
    model = build(parse(RECIPE))
    with torch.no_grad():
        for layer, value in (
            (model.encoder.bottleneck.mean, mean), (model.encoder.bottleneck.logvar, logvar),
        ):  # fmt: skip
            layer.weight.zero_()
            layer.bias.fill_(value)
    return model


@pytest.mark.parametrize(
    ("corpus", "model", "says"),
    [
        (Tones(families=("reed",)), None, "one family"),
        (Tones(count=8), None, "2 sounds"),
        (Tones(loud=0.0), None, "silent"),
        (Tones(), still(2.0, -4.0), "all sounds have the same latent"),
    ],
    ids=["one family", "two sounds", "silence", "constant latents"],
)  # fmt: skip
def test_what_cannot_be_computed_says_why_and_nothing_is_nan(corpus, model, says, tmp_path):
    run = StandInRun(tmp_path / "run", corpus, model)
    evaluate(run)

    def never(constant: str) -> None:
        raise AssertionError(f"metrics.json has {constant}")

    text = (run.path / "evaluation/metrics.json").read_text()
    json.loads(text, parse_constant=never)
    report = re.sub(r"<[^>]*>", " ", (run.path / "evaluation/report.html").read_text())
    assert not re.search(r"\b(nan|inf)\b", report, re.IGNORECASE)
    assert says in report


def test_a_training_that_diverged_is_one_sentence(tmp_path):
    with pytest.raises(
        TimbrespaceError, match="the latents are not finite; the training has diverged"
    ):
        evaluate(StandInRun(tmp_path / "run", Tones(), still(math.nan, 0.0)))


def unsure_of(corpus: Tones, rows: list[int]) -> Autoencoder:
    """A model whose encoder gives no numbers for these sounds."""
    torch.manual_seed(0)
    model = build(parse(RECIPE))
    encode, pictures = model.encode, torch.tensor(corpus.store.read(rows))

    def encode_but(x, labels):
        found = encode(x, labels)
        found.mean[(x == pictures[:, None, None]).flatten(2).all(2).any(0)] = math.nan
        return found

    model.encode = encode_but
    return model


def test_sounds_whose_latents_are_no_numbers_are_named_and_the_others_measured(tmp_path):
    """Row 4 is to be measured, row 5 is a training sound: all figures are those of a corpus without row 4."""
    corpus = Tones()
    run = StandInRun(tmp_path / "run", corpus, unsure_of(corpus, [4, 5]))
    found = evaluate(run)
    assert found["not_finite"] == {
        "sounds": 1, "rows": [4], "files": ["sounds/4.wav"], "training_sounds": 1
    }  # fmt: skip
    assert found["sounds"] == found["of_sounds"] == 11
    assert "latents that are not finite" in found["faults"] and not found["healthy"]
    assert "not finite (1 of the sounds asked for, 1 of the training sounds)" in found["verdict"]
    page = (run.path / "evaluation/report.html").read_text()
    assert "Not measured, since the latent is not finite: sounds/4.wav." in page
    assert not [name for name in catalogue.QUESTIONS if name not in found]
    lines = (run.path / "evaluation/sounds.csv").read_text().splitlines()[1:]
    kept = [row for row in corpus.split_rows("valid") if row != 4]
    assert [int(line.split(",")[0]) for line in lines] == kept
    few = StandInRun(tmp_path / "few", corpus)
    parts = {row: split for row, split in run.split().items() if row not in (4, 5)}
    few.split = lambda: parts
    others, alone = found["distortion"], measure(few, ask=[]).metrics["distortion"]
    assert others["rmse_db_at_mean"] == pytest.approx(alone["rmse_db_at_mean"])


def test_another_corpus_is_measured_against_the_floors_of_the_first(evaluated):
    run, _ = evaluated
    other = Tones(count=16)
    metrics = measure(run, corpus=other).metrics
    assert metrics["sounds"] == 4 and metrics["floors"]["fitted_rows"] == 36
    assert metrics["floors"]["mean_sound_rmse_db"] > 0


def test_the_maps_are_those_of_the_space(evaluated):
    run, _ = evaluated

    class Space:
        rows = np.arange(48)
        maps = {"umap": np.random.default_rng(0).standard_normal((48, 2))}

    (shown,) = measure(run, space=Space()).maps
    assert shown.name == "umap" and shown.families == run.corpus.labels("family")
    valid = run.corpus.split_rows("valid").tolist()
    assert np.flatnonzero(shown.measured).tolist() == valid
    train = run.corpus.split_rows("train").tolist()
    for lost, name in (
        (train[0], "umap"),
        (valid[0], "pca"),
    ):  # one that is measured has to be in it
        Space.rows = np.delete(np.arange(48), lost)
        Space.maps = {"umap": np.zeros((47, 2))}
        (shown,) = measure(run, space=Space()).maps
        assert shown.name == name and len(shown.xy) == len(shown.measured)


@pytest.mark.parametrize(("split", "says"), [("vald", "choose one of"), ("test", "no test sounds")])
def test_a_split_that_is_none_is_refused(evaluated, split, says):
    with pytest.raises(RunError, match=says):
        measure(evaluated[0], split=split)


def test_only_the_questions_asked_are_answered_and_the_report_names_the_others(evaluated, tmp_path):
    run, metrics = evaluated
    few = StandInRun(tmp_path / "few", run.corpus)
    found = evaluate(few, ask=["posterior"])
    for name in ("distortion", "rate", "floors", "ceilings", "probes", "posterior", "verdict"):
        assert found[name] == metrics[name]
    left_out = [n for n in catalogue.QUESTIONS if n not in ("posterior", *catalogue.APPLIES)]
    assert catalogue.not_asked(found) == left_out and not catalogue.not_asked(metrics)
    page = (few.path / "evaluation/report.html").read_text()
    assert f"Not asked: {', '.join(left_out)}." in page
    assert f"--ask {','.join(n for n in catalogue.QUESTIONS if n not in catalogue.APPLIES)}" in page
    assert "<h2>Swap" not in page and "The space and its prior" in page
    with pytest.raises(RunError, match="there is no question 'swop'; did you mean swap?"):
        measure(run, ask=["swop"])
    with pytest.raises(RunError, match="an option of its own, --distribution"):
        measure(run, ask=["distribution"])


def test_what_is_asked_does_not_change_the_verdict(evaluated, tmp_path):
    run, metrics = evaluated
    few = StandInRun(tmp_path / "few", run.corpus)
    found = evaluate(few, ask=["posterior"])
    assert (
        found["waves"] is None and found["effects"] is None
    )  # no part of pictures of single sounds
    assert "waves" not in catalogue.not_asked(found)
    for own in (metrics, found):
        behind = {**own, "distortion": {**own["distortion"], "rmse_db": 9.0}}
        behind["floors"] = {**own["floors"], "linear_code_rmse_db": 4.0}
        assert "pictures: of a wave" not in judge(behind).words


def test_questions_of_latents_are_asked_beside_those_of_sounds(monkeypatch):
    meeting = threading.Barrier(2, timeout=10)  # both have to be asked before either is answered
    monkeypatch.setattr(catalogue, "_answer", lambda facts, name: {"met": meeting.wait() >= 0})
    facts = SimpleNamespace(run=SimpleNamespace(feature=FEATURE))
    first, found = catalogue.ask(facts, ["swap", "structure"], lambda: 1)  # type: ignore
    assert first == 1
    assert found["swap"] == found["structure"] == {"met": True}
    assert list(found) == list(catalogue.QUESTIONS)
    assert found["pitch"] == {"why_not": catalogue.NOT_ASKED}


def test_of_many_sounds_some_are_drawn_and_the_report_says_so(evaluated, tmp_path, monkeypatch):
    run, metrics = evaluated
    assert metrics["of_sounds"] == metrics["sounds"] == 12
    monkeypatch.setattr("timbrespace.evaluation.evaluate.SOUNDS", 8)
    few = StandInRun(tmp_path / "few", run.corpus)
    found = evaluate(few, ask=["posterior"])
    assert (found["sounds"], found["of_sounds"], found["posterior"]["sounds"]) == (8, 12, 8)
    assert "8 (drawn at random of 12) sounds" in (few.path / "evaluation/report.html").read_text()


def test_a_collapsed_model_gets_the_verdict_from_its_own_figures(tmp_path):
    model = build(parse(RECIPE))
    with torch.no_grad():
        for layer in (model.encoder.bottleneck.mean, model.encoder.bottleneck.logvar):
            layer.weight.zero_()
            layer.bias.zero_()
    metrics = measure(StandInRun(tmp_path / "run", Tones(), model)).metrics
    assert metrics["rate"]["nats_per_sound"] == 0.0 and metrics["rate"]["active_units"] == 0
    assert metrics["faults"][0] == "collapsed" and metrics["healthy"] is False
    assert "keeps 0 bit per sound; 0 of 4 dimensions are active" in metrics["verdict"]


def test_a_decoder_that_does_not_listen_is_found_out(evaluated, tmp_path):
    heard = evaluated[1]["distortion"]
    assert heard["rmse_db_shuffled"] != heard["rmse_db"]
    model = build(parse(RECIPE))
    with torch.no_grad():
        model.decoder.net.entrance[0].weight[:, :4] = 0.0  # the first numbers it gets are z
        model.encoder.bottleneck.mean.bias.fill_(2.0)  # 2 nats in each of 4 dimensions
    metrics = measure(StandInRun(tmp_path / "run", Tones(), model)).metrics
    assert metrics["rate"]["nats_per_sound"] > 7.0
    assert metrics["distortion"]["rmse_db_shuffled"] == metrics["distortion"]["rmse_db"]
    assert "decoder ignores the latent" in metrics["faults"]
