"""The study's pages: sounds are pooled over folds and seeds, tested by instrument, and no number is typed."""

import csv
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from timbrespace.errors import RecipeError
from timbrespace.evaluation import statistics, structure
from timbrespace.evaluation.views import Sounds
from timbrespace.recipe import differences, load
from timbrespace.runs import Run

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    import study

    return study


def test_the_rows_are_told_what_they_are_called_and_nothing_else_differs(study, tmp_path):
    rows = study.experiments.opened(EXPERIMENTS / "study.yaml").rows
    recipes = {row.name: load(row.recipe, settings=row.settings_of(1)) for row in rows}
    told = {name: "-".join(r.model.condition.names) or "untold" for name, r in recipes.items()}
    assert len(told) == 5 and all(name == labels for name, labels in told.items())
    for recipe in recipes.values():
        changed = differences(recipes["untold"], recipe).keys() - {"name", "about"}
        assert all(key.startswith("model.condition.labels") for key in changed), changed
    twins = "{question: What, seeds: [1], rows: {a: {recipe: vq}, b: {recipe: vq}}}"
    (tmp_path / "twins.yaml").write_text(twins)
    with pytest.raises(
        RecipeError, match="the rows a and b have the same settings; let one differ"
    ):
        study.experiments.opened(tmp_path / "twins.yaml")


def side(study, folder, runs):
    """A row whose runs measured {row: dB} each; row r is of instrument r // 2 and family r % 2."""
    made = []
    for number, measured in enumerate(runs):
        path = folder / f"run-{number}"
        (path / "evaluation").mkdir(parents=True)
        with open(path / "evaluation" / "sounds.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["row", "file", "rmse_db", "group", "mr_stft"])
            writer.writerows([row, "a.wav", db, row // 2, ""] for row, db in measured.items())
        labels = {
            "instrument": [row // 2 for row in range(8)],
            "family": [row % 2 for row in range(8)],
        }
        held = {row: "valid" if row in measured else "train" for row in range(8)}
        corpus = SimpleNamespace(labels=labels.__getitem__)
        made.append(SimpleNamespace(path=path, split=lambda held=held: held, corpus=corpus))
    return study.Side("row", {"split": "valid", "metrics": []}, made)


def test_sounds_of_folds_are_joined_and_those_of_seeds_are_means(study, tmp_path):
    folds = side(study, tmp_path / "folds", [{0: 1.0, 1: 3.0}, {2: 5.0, 3: 7.0}])
    assert folds.sounds == {"rmse_db": {0: 1.0, 1: 3.0, 2: 5.0, 3: 7.0}}
    assert folds.labels["instrument"] == {0: 0, 1: 0, 2: 1, 3: 1}
    seeds = side(study, tmp_path / "seeds", [{0: 1.0, 1: 3.0}, {0: 3.0, 1: 5.0}])
    assert seeds.sounds == {"rmse_db": {0: 2.0, 1: 4.0}}


def test_an_interval_is_of_instruments_and_rooted_where_squares_add_up(study):
    column, instruments = dict(enumerate([1.0, 1.0, 7.0, 7.0])), {0: "a", 1: "a", 2: "b", 3: "b"}
    # two instruments: no other one has to lie between them, so that the interval is their range
    assert study.over_instruments(column, instruments, 1) == "4.0 [1.0, 7.0]"
    rooted = study.over_instruments(column, instruments, 1, study.root_mean_square)
    assert rooted == "5.0 [1.0, 7.0]"
    low, high = statistics.interval(
        list(column.values()), list("aabb"), rng=np.random.default_rng(0)
    ) or (0, 0)
    assert (round(low, 1), round(high, 1)) == (1.0, 7.0)
    assert study.over_instruments({}, instruments) == "-" == study.over_runs([1.0, None])
    # t(0.975; 1) = 12.706
    assert study.over_runs([8.0, 10.0]) == "9.00 ± 12.71" and study.over_runs([8.0]) == "8.00"


def test_holms_correction_by_hand(study):
    # the least p counts thrice, the next twice, and none falls below one before it
    assert study.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert study.holm([0.5, 0.9]) == [1.0, 1.0]


def test_the_embedding_is_asked_what_the_spaces_are_asked(study):
    rng = np.random.default_rng(0)
    count = 60
    points = rng.normal(size=(count, 4)).astype(np.float32)
    labels = {
        "family": np.array([f"family {i % 3}" for i in range(count)]),
        "instrument": np.array([f"instrument {i % 12}" for i in range(count)]),
        "pitch": np.array([60 + i // 12 for i in range(count)]),
    }
    asked, others = (np.flatnonzero((np.arange(count) % 12 < 6) == part) for part in (True, False))
    found = study.lying(points, asked, others, labels)
    here, there = (
        Sounds.of(rows, {name: values[rows].tolist() for name, values in labels.items()})
        for rows in (asked, others)
    )
    views = {"mu": (points[asked], points[others])}
    each = structure.evaluate(views, here, there, rng=rng)["each"]
    for name in ("family_across", "silhouette", "silhouette_across"):
        truth = {row: v for row, v in zip(each["row"], each[f"{name}_mu"], strict=True) if v != ""}
        assert found[f"{name}_embedding"] == pytest.approx(truth, abs=1e-6)


def test_the_pages_say_what_the_runs_measured(study, tiny_run, tmp_path, monkeypatch):
    """Two rows, two seeds: the second row's errors are half of the first's."""
    runs = tmp_path / "runs" / "small"
    for row, factor in (("plain", 1.0), ("family", 0.5)):
        for seed in (1, 2):
            run = Path(shutil.copytree(tiny_run, runs / f"{row}-{seed}"))
            recipe = re.sub(
                r"^seed: .*$", f"seed: {seed}", (run / "recipe.yaml").read_text(), flags=re.M
            )
            recipe = re.sub(r"^name: .*$", f"name: {row}", recipe, flags=re.M)
            (run / "recipe.yaml").write_text(recipe)
            path = run / "evaluation" / "metrics.json"
            metrics = json.loads(path.read_text())
            metrics["distortion"]["rmse_db"] *= factor
            metrics["swap"] = {"why_not": "nobody listened"}
            path.write_text(json.dumps(metrics))
            table = run / "evaluation" / "sounds.csv"
            lines = list(csv.DictReader(table.read_text().splitlines()))
            for line in lines:
                line["rmse_db"] = str(factor * float(line["rmse_db"]))
                line["silhouette_mu"] = "0.25"
            with open(table, "w", newline="") as file:
                writer = csv.DictWriter(file, lines[0])
                writer.writeheader()
                writer.writerows(lines)
    rows = [
        f"  {name}: {{recipe: instruments, settings: [train.epochs={epochs}]}}"
        for epochs, name in enumerate(("plain", "family", "more"), start=1)
    ]
    lines = ["question: What?", "seeds: [1, 2]", "rows:", *rows, ""]
    (tmp_path / "small.yaml").write_text("\n".join(lines))
    out = tmp_path / "results"
    run = Run.open(tiny_run)
    points = np.random.default_rng(0).normal(size=(len(run.split()), 4))
    heard = SimpleNamespace(points=points, known=np.ones(len(points), bool))
    (runs / "family-2" / "space" / "embedding.npz").touch()
    monkeypatch.setattr(study.Space, "open", lambda run: None)
    monkeypatch.setattr(study.Likeness, "open", lambda run, space: SimpleNamespace(heard=heard))
    words = ["study.py", tmp_path / "small.yaml", "--runs", tmp_path / "runs", "--out", out]
    monkeypatch.setattr("sys.argv", list(map(str, words)))
    study.main()
    pages = {path.stem: path.read_text() for path in out.glob("*.md")}
    assert set(pages) == set(study.PARTS)
    # a figure that is missing has its reason beside it
    assert "- plain, swap: nobody listened." in pages["main"] and "| - |" in pages["main"]
    db = json.loads((tiny_run / "evaluation" / "metrics.json").read_text())["distortion"]["rmse_db"]
    main = pages["main"]
    assert f"| {db:.2f} [" in main and f"| {db / 2:.2f} [" in main and "nan" not in main.lower()
    assert re.search(r"\| embedding \|.* 0\.\d\d \[0\.\d\d, 0\.\d\d\]", main)
    assert "family beside plain (the same settings)" in pages["differences"]
    assert "| above 0 |" in pages["silhouettes"]  # whatever a row is called
    assert "50 % less error" in pages["differences"]
    assert all("not trained by all rows yet: more-1, more-2." in page for page in pages.values())
    assert "timbrespace evaluate RUN --perception DIR" in pages["perception"]
    for page in pages.values():
        assert all((out / name).is_file() for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page))
    assert {"plane", "silhouettes", "overlap-family", "confusion-plain"} <= {
        p.stem for p in out.glob("*.png")
    }
