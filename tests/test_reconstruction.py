"""What is said of reconstructions beside dB: the field's figures, where the error lies, intervals."""

import csv

import librosa
import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import paired_cosine_distances
from test_evaluation import StandInRun, Tones

from timbrespace.evaluation import reconstruction
from timbrespace.evaluation.evaluate import evaluate
from timbrespace.evaluation.reconstruction import Closeness, figures, registers
from timbrespace.features.log_mel import LogMel
from timbrespace.features.waveform import si_sdr_db

COSINE, LSD, L1 = range(3)


def test_equal_pictures_are_as_near_as_can_be_and_silence_as_far():
    loud, silent = np.ones((1, 4, 6)), -np.ones((1, 4, 6))
    assert figures(loud, loud, -80.0)[0] == pytest.approx([1.0, 0.0, 0.0])
    assert figures(loud, silent, -80.0)[0] == pytest.approx([0.0, 80.0, 80.0])
    assert figures(silent, silent, -80.0)[0] == pytest.approx([1.0, 0.0, 0.0])


def test_figures_by_hand():
    # two frames of two cells, 40 dB a unit; errors of frame 1: 12 and -16 dB, of frame 2: 0 and 20
    original = np.array([[[0.0, 0.0], [0.0, -0.5]]])
    made = original + np.array([[[0.3, 0.0], [-0.4, 0.5]]])
    found = figures(original, made, -80.0)[0]
    assert found[LSD] == pytest.approx((np.sqrt((144 + 256) / 2) + np.sqrt(400 / 2)) / 2)
    assert found[L1] == pytest.approx((12 + 16 + 0 + 20) / 4)
    # above the floor (1, 1, 1, 0.5) and (1.3, 1, 0.6, 1)
    assert found[COSINE] == pytest.approx(3.4 / np.sqrt(3.25 * 4.05))


def test_the_cosine_equals_scikit_learns():
    rng = np.random.default_rng(0)
    one, other = rng.uniform(-1, 1, (2, 7, 16, 8))
    truth = 1.0 - paired_cosine_distances(one.reshape(7, -1) + 1, other.reshape(7, -1) + 1)
    assert np.abs(figures(one, other, -80.0)[:, COSINE] - truth).max() < 1e-6


def test_mel_and_log_spectral_distances_of_sounds_equal_those_made_with_librosa():
    rng = np.random.default_rng(0)
    time = np.arange(8192) / 16000
    one = (np.sin(2 * np.pi * 440 * time) * np.exp(-4 * time)).astype(np.float32)
    other = (0.5 * one + 0.01 * rng.standard_normal(8192)).astype(np.float32)
    feature = LogMel(frames=32)

    def level_db(sound):
        power = librosa.feature.melspectrogram(
            y=sound, sr=16000, n_fft=1024, hop_length=256, n_mels=80, pad_mode="constant"
        )
        return np.maximum(librosa.power_to_db(power[:, :32], ref=np.max, top_db=None), -80.0)

    truth = level_db(other) - level_db(one)
    pair = [feature.analyse(torch.from_numpy(x)).values[None].numpy() for x in (one, other)]
    found = figures(pair[0], pair[1], -80.0)[0]
    assert found[L1] == pytest.approx(np.abs(truth).mean(), abs=1e-3)
    assert found[LSD] == pytest.approx(np.sqrt(np.square(truth).mean(0)).mean(), abs=1e-3)


def test_errors_are_found_where_they_lie_and_batches_add_up():
    original = np.zeros((3, 4, 5))
    made = original.copy()
    made[:, 2, :] -= 0.25  # 10 dB too soft in one band
    made[0, 2, 4] += 0.25
    near = Closeness(-80.0)
    near.add(original[:1], made[:1])
    near.add(original[1:], made[1:])
    band, frame = near.along(0), near.along(1)
    assert band["rmse_db"][[0, 1, 3]] == pytest.approx(0.0)
    assert band["rmse_db"][2] == pytest.approx(10.0 * np.sqrt(14 / 15))
    assert band["bias_db"][2] == pytest.approx(-10.0 * 14 / 15)
    assert frame["rmse_db"] == pytest.approx([5.0] * 4 + [5.0 * np.sqrt(2 / 3)])
    whole = reconstruction.rmse_db(reconstruction.mse_per_sound(original, made), -80.0)
    for line in (band, frame):
        assert np.sqrt(np.square(line["rmse_db"]).mean()) == pytest.approx(whole)


def test_registers_are_octaves_from_c():
    assert registers([60, 71, 72, 59, None, 0]) == [
        "C4 to B4", "C4 to B4", "C5 to B5", "C3 to B3", None, "C-1 to B-1",
    ]  # fmt: skip


def test_an_interval_in_decibels_holds_the_figure_and_one_group_has_none():
    rng = np.random.default_rng(0)
    mse = rng.exponential(0.02, 60)
    groups = np.repeat(np.arange(12), 5)
    low, high = reconstruction.rmse_db_interval(mse, groups, -80.0, rng=rng) or (0.0, 0.0)
    assert 0.0 < low < reconstruction.rmse_db(mse, -80.0) < high
    table = reconstruction.per_label(
        ["a"] * 30 + ["b"] * 30, -80.0, {"rmse_db": mse}, [0] * 30 + list(range(30)), rng=rng
    )
    assert table["a"]["rmse_db_interval"] is None
    assert table["b"]["rmse_db_interval"][0] < table["b"]["rmse_db"]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    run = StandInRun(tmp_path_factory.mktemp("runs") / "tiny", Tones())
    return run, evaluate(run)  # type: ignore


def test_each_figure_stands_beside_its_floor_ceiling_and_interval(evaluated):
    _, metrics = evaluated
    distortion, floors = metrics["distortion"], metrics["floors"]
    for name in reconstruction.NAMES:
        low, high = distortion[f"{name}_interval"]
        assert low < distortion[name] < high
        beside = (floors[f"mean_sound_{name}"], metrics["ceilings"][f"inversion_{name}"])
        assert beside[0] > beside[1] or name == "cosine" and beside[0] < beside[1]
    for part, name in ((distortion, "rmse_db"), (metrics["rate"], "bits_per_sound")):
        low, high = part[f"{name}_interval"]
        assert low < part[name] < high
    low, high = metrics["heard"]["model_intervals"]["mr_stft"]
    assert low < metrics["heard"]["model"]["mr_stft"] < high
    assert distortion["groups"] == 3  # instruments, not sounds
    family = metrics["probes"]["family"]["on_z"]
    low, high = family["knn_interval"]
    assert 0.0 <= low <= family["knn"] <= high <= 1.0 and low < high


def test_the_error_by_band_and_by_time_is_that_of_the_whole(evaluated):
    run, metrics = evaluated
    for name, unit, count in (("by_band", "hertz", 16), ("by_time", "seconds", 16)):
        lines = metrics["distortion"][name]
        assert {len(line) for line in lines.values()} == {count}
        assert lines[unit] == sorted(lines[unit])
        for key, whole in (
            ("rmse_db", metrics["distortion"]["rmse_db"]),
            ("mean_sound_rmse_db", metrics["floors"]["mean_sound_rmse_db"]),
        ):
            assert np.sqrt(np.square(lines[key]).mean()) == pytest.approx(whole, abs=1e-3)
    assert (run.path / "evaluation/figures/where.png").stat().st_size > 5_000


def test_registers_are_measured_like_families(evaluated):
    _, metrics = evaluated
    parts = metrics["registers"]
    assert set(parts) == {"C3 to B3"} and parts["C3 to B3"]["sounds"] == metrics["sounds"]
    assert parts["C3 to B3"]["rmse_db"] == pytest.approx(metrics["distortion"]["rmse_db"])
    assert parts["C3 to B3"]["rmse_db_interval"][0] < parts["C3 to B3"]["rmse_db"]


def test_the_table_of_sounds_has_what_a_paired_test_needs(evaluated):
    run, metrics = evaluated
    with open(run.path / "evaluation/sounds.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len({line["group"] for line in lines}) == 3
    for name, part in (("cosine", "distortion"), ("lsd_db", "distortion"), ("l1_db", "distortion")):
        mean = np.mean([float(line[name]) for line in lines])
        assert mean == pytest.approx(metrics[part][name], abs=1e-3)
    squared = np.mean([float(line["rmse_db"]) ** 2 for line in lines])
    assert np.sqrt(squared) == pytest.approx(metrics["distortion"]["rmse_db"], abs=1e-3)
    heard = [float(line["mr_stft"]) for line in lines if line["mr_stft"]]
    assert np.mean(heard) == pytest.approx(metrics["heard"]["model"]["mr_stft"], abs=1e-3)
    assert "each" not in metrics["heard"]


def test_one_instrument_has_figures_without_intervals_and_the_report_says_why(tmp_path):
    corpus = Tones()
    for row in corpus.rows:
        row.labels["instrument"] = "the only one"
    run = StandInRun(tmp_path / "run", corpus)
    metrics = evaluate(run)  # type: ignore
    assert metrics["distortion"]["rmse_db_interval"] is None
    page = (run.path / "evaluation/report.html").read_text(encoding="utf-8")
    assert "all sounds are of one instrument" in page and "alone no interval can be told" in page


def test_si_sdr_equals_auralosss():
    auraloss_time = pytest.importorskip("auraloss.time")
    rng = np.random.default_rng(0)
    original = torch.from_numpy(rng.standard_normal((1, 4000))).float()
    made = 0.5 * original + 0.1 * torch.from_numpy(rng.standard_normal((1, 4000))).float()
    truth = -float(auraloss_time.SISDRLoss(zero_mean=False)(made[None], original[None]))
    assert float(si_sdr_db(original, made)) == pytest.approx(truth, abs=1e-3)
