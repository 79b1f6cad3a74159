"""Runs side by side: what each column says, which rows compare, and intervals over seeds."""

import copy
import csv
import itertools
import json
from pathlib import Path

import pytest

import timbrespace
from timbrespace import cli, verbs
from timbrespace.errors import RunError
from timbrespace.evaluation import comparison, figures
from timbrespace.evaluation.figures import plane
from timbrespace.recipe import load

METRICS = {
    "split": "valid", "sounds": 971, "corpus_digest": "c0", "training": {"epoch": 2, "epochs": 2},
    "distortion": {"rmse_db": 6.0, "rmse_db_at_mean": 5.5},
    "rate": {"bits_per_sound": 57.0, "active_units": 31, "dimensions": 32},
    "heard": {"model": {"mr_stft": 2.2}, "inversion": {"mr_stft": 1.1}},
    "probes": {
        "family": {"on_z": {"knn": 0.4, "linear": 0.5, "majority": 0.15}}, "pitch": None,
    },
    "floors": {
        "mean_sound_rmse_db": 16.0, "pca_rmse_db": {"8": 9.0, "16": 8.0, "32": 7.0, "64": 6.0},
    },
    "faults": [], "healthy": True, "verdict": "keeps 57 bits per sound: a healthy space",
}  # fmt: skip


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Makes the run folders of finished trainings, without training."""
    monkeypatch.chdir(tmp_path)

    def make(name, recipe="instruments", settings=(), evaluated=True, **changes):
        folder = tmp_path / name
        (folder / "evaluation").mkdir(parents=True)
        (folder / "recipe.yaml").write_text(load(recipe, settings=settings).to_yaml())
        (folder / "provenance.json").write_text('{"format": 1}')
        (folder / "history.csv").write_text("epoch,seconds\n1,50.0\n2,40.0\n3,600.0\n")
        metrics = copy.deepcopy(METRICS)
        for place, value in changes.items():
            part, _, key = place.partition("__")
            metrics[part] = value if not key else {**metrics[part], key: value}
        if evaluated:
            (folder / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
        return name

    return make


def test_a_row_is_flat_and_the_whole_is_reachable(made):
    (row,) = timbrespace.compare([made("a")])  # type: ignore
    assert set(row) == {*comparison.KEYS, "metrics", "difference"} and row["metrics"] == METRICS
    assert row["feature"] == "128 mels by 256 frames" and row["recipe"] == "instruments"
    assert (row["rmse_db"], row["mr_stft"], row["pca_32_rmse_db"]) == (6.0, 2.2, 7.0)
    assert (row["in_use"], row["in_use_of"], row["in_use_kind"]) == (31, 32, "units")
    assert (row["family_on_z"], row["family_majority"]) == (0.5, 0.15)  # the better reader
    assert row["pitch_on_z"] is None and row["verdict"] == "healthy"
    # an epoch after the evaluation is not what was evaluated
    assert (row["minutes"], row["seconds_per_epoch"]) == (1.5, 45.0)


def test_codes_stand_in_the_place_of_units(made):
    rate = {"bits_per_sound": 60.0, "active_units": None, "codes": 512, "codes_used": 400}
    (row,) = verbs.compare([made("vq", rate=rate | {"dimensions": 16})])
    assert "400 of 512 codes" in comparison.text([row])


def test_metrics_of_earlier_versions_have_gaps_not_errors(made):
    (row,) = verbs.compare(
        [made("old", heard=None, floors=None, faults=["blurred"], healthy=False)]
    )
    line = comparison.text([row]).splitlines()[1]
    assert row["mr_stft"] is None and "-" in line.split() and line.endswith("blurred")


def test_runs_without_metrics_are_named_all_at_once(made):
    runs = [made("a"), made("b", evaluated=False), made("c")]
    Path("c/evaluation/metrics.json").write_text("[]")
    with pytest.raises(RunError, match="^b, c have no metrics yet; run: timbrespace evaluate RUN"):
        verbs.compare(runs)
    with pytest.raises(RunError, match="^b has no metrics yet; run: timbrespace evaluate b$"):
        verbs.compare(["b"])


def test_rows_keep_their_order_or_are_sorted_with_gaps_last(made):
    runs = [made("a"), made("b", distortion__rmse_db=5.0), made("c", distortion__rmse_db=None)]
    assert [x["run"] for x in verbs.compare(["c", "a", "b"])] == ["c", "a", "b"]
    assert [x["run"] for x in verbs.compare(runs[::-1], sort="rmse_db")] == ["b", "a", "c"]
    with pytest.raises(RunError, match="no 'rmse' to sort by; they have: run, recipe"):
        verbs.compare(runs, sort="rmse")


def test_what_does_not_compare_is_said_once_and_marked(made, caplog):
    float32 = made("b", settings=("feature.dtype=float32",))
    runs = [made("a"), float32, made("c", "instruments-80"), made("d", corpus_digest="c1")]
    rows = verbs.compare(runs)
    assert [x["group"] for x in rows] == [1, 1, 2, 3]
    assert "group 1: a, b; group 2: c; group 3: d" in caplog.records[-1].message
    assert len(caplog.records) == 1
    assert comparison.text(rows).split()[2] == "group"
    caplog.clear()
    assert "group" not in comparison.text(verbs.compare(["a", "b"])) and not caplog.records


def test_the_interval_is_students_by_hand():
    # of 1..5: s = sqrt(2.5), s / sqrt(5) = 0.70711, t(0.975; 4) = 2.77645
    assert comparison.interval([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(1.96324, abs=1e-5)
    # of two: t(0.975; 1) = 12.7062, s / sqrt(2) = half their distance
    assert comparison.interval([6.0, 7.0]) == pytest.approx(6.3531, abs=1e-4)
    assert comparison.interval([6.0]) is None


def test_seeds_become_one_row_and_nothing_else_does(made):
    runs = [
        made(f"s{seed}", settings=(f"seed={seed}",), distortion__rmse_db=db)
        for seed, db in enumerate((5.0, 6.0, 7.0))
    ] + [made("other", settings=("seed=9", "model.bottleneck.latent=48"))]
    rows = verbs.compare(runs, seeds=True)
    assert [x["n"] for x in rows] == [3, 1] and rows[0]["run"] == "s0, s1, s2"
    assert rows[0]["rmse_db"] == 6.0 and rows[0]["seed"] == "0, 1, 2"
    # s = 1, t(0.975; 2) = 4.30265
    assert rows[0]["rmse_db_interval"] == pytest.approx(4.30265 / 3**0.5, abs=1e-5)
    assert rows[1]["rmse_db_interval"] is None and len(rows[0]["metrics"]) == 3
    line = comparison.text(rows).splitlines()[1]
    assert line.startswith("3 seeds ") and "6.00 ± 2.48" in line and "57.0  " in line


def test_one_seed_counts_once(made):
    with pytest.raises(RunError, match="a and b have the same seed"):
        verbs.compare([made("a"), made("b")], seeds=True)


def test_tables_and_the_plane_are_written_by_their_suffix(made, monkeypatch):
    runs = [made("a|b"), made("c", "instruments-80"), made("d", distortion__rmse_db=7.0)]
    with pytest.raises(RunError, match="nothing to draw"):
        verbs.compare([made("diverged", distortion__rmse_db=None)], plot="p.png")
    drawn = []
    monkeypatch.setattr(
        figures, "rate_distortion", lambda *a, **k: drawn.append((*a, k)) or b"\x89PNG"
    )
    verbs.compare(runs, out="t.csv", plot="p.png")
    with open("t.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [x["rmse_db"] for x in lines] == ["6.0", "6.0", "7.0"] and len(lines[0]) == len(
        comparison.KEYS
    )
    points, floors, _ = drawn[0]
    assert points == [("a|b", 57.0, 6.0), ("d", 57.0, 7.0)]  # not the one of another feature
    assert floors["mean sound"] == 16.0 and floors["PCA-8"] == 9.0
    verbs.compare(runs, out="t.md")
    text = Path("t.md").read_text(encoding="utf-8")
    assert (
        "| a\\|b |" in text
        and text.splitlines()[1].count("---") == text.splitlines()[0].count(" | ") + 1
    )
    assert "The figures compare only within a group" in text
    for wrong in ({"out": "t.txt"}, {"plot": "p.pdf"}):
        with pytest.raises(RunError, match="not as"):
            verbs.compare(runs, **wrong)


def test_names_of_points_that_lie_together_do_not_cover_each_other(monkeypatch):
    kept = []
    monkeypatch.setattr(plane, "png", lambda figure: kept.append(figure) or b"")
    points = [(f"run-{i}", 50.0 + i / 10, 6.0) for i in range(4)]
    plane.rate_distortion(points, {"PCA-8": 9.0}, errors=[(None, 0.5)] * 4)
    (axes,) = kept[0].axes
    kept[0].draw_without_rendering()
    boxes = [t.get_window_extent() for t in axes.texts if t.get_text().startswith("run-")]
    assert len(boxes) == 4
    assert not any(one.overlaps(two) for one, two in itertools.combinations(boxes, 2))


def test_the_command_prints_one_line_a_run(made, capsys):
    runs = [made("a"), made("b")]
    cli.app(["compare", *runs, "--sort", "run"], standalone_mode=False)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["run", "recipe", "feature"]
    assert [x[0] for x in lines[:2]] == ["a", "b"] and lines[2] == ""
    assert lines[3].startswith(
        "b beside a (the same settings): the same bits (57.0) at the same error"
    )
    cli.app(["compare", *runs, "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["runs"][0]["rmse_db"] == 6.0
