"""Experiments: what their files say is what is trained and asked."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import timbrespace
from timbrespace.errors import RunError
from timbrespace.evaluation.catalogue import NOT_ASKED, QUESTIONS
from timbrespace.recipe import load
from timbrespace.runs import FORMAT

FOLDER = Path(__file__).parent.parent / "experiments"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    sys.modules.pop("run", None)
    import run

    return run


def test_experiments_ask_what_their_tables_need(run):
    asked = {name: run.opened(FOLDER / f"{name}.yaml").ask for name in ("study", "effects")}
    assert asked == {"study": list(QUESTIONS), "effects": ["heard", "effects"]}


def test_a_question_that_is_none_is_refused_before_anything_is_trained(run, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("question: q\nseeds: [1]\nask: [herd]\nrows:\n  a: {recipe: instruments}\n")
    with pytest.raises(RunError, match="'herd'; did you mean heard?"):
        run.opened(path)


def test_a_run_is_measured_again_when_it_was_asked_too_little(run, tmp_path, monkeypatch):
    file, out = tmp_path / "a.yaml", tmp_path / "out"
    file.write_text("question: q\nseeds: [1]\nask: [heard]\nrows:\n  a: {recipe: instruments}\n")
    experiment, measured = run.opened(file), []
    finished = SimpleNamespace(path=out, status=lambda: {"finished": True})
    monkeypatch.setattr(run.Run, "open", lambda _: finished)
    monkeypatch.setattr(timbrespace, "train", lambda *_, **__: finished)
    monkeypatch.setattr(
        timbrespace, "evaluate", lambda path, **options: measured.append(options["ask"])
    )
    (out / "evaluation").mkdir(parents=True)
    for left_out, again in (("swap", []), ("heard", [["heard"]])):
        metrics = dict.fromkeys(QUESTIONS, {}) | {left_out: {"why_not": NOT_ASKED}}
        (out / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
        run.train(experiment.rows[0], 1, tmp_path, out, experiment)
        assert measured == again


def measured(folder: Path, name: str, recipe: str, *methods: str) -> dict:
    """A row of a comparison: one run of this recipe and what its evaluation would say of effects, with
    errors of knobs by these methods."""
    (folder / name).mkdir()
    (folder / name / "recipe.yaml").write_text(load(recipe).to_yaml())
    (folder / name / "provenance.json").write_text(
        json.dumps({"format": FORMAT, "corpus_digest": "d"})
    )
    figure = {"mean": 0.5, "low": 0.4, "high": 0.6}
    views = ("mu", "z", "untrained", "pca", "pca_difference", "hand")
    readers = ("knn", "logistic", "forest", "silhouette")
    of = {"voice": 0.2, "shared_variance": {"effect": 0.7, "setting": 0.8, "sound": None}}
    error = {"mae": 0.1, "r2": 0.6}
    moved = {"dry_db": figure, "wet_db": figure, "ratio": None, "ways": 3}
    effects = {
        "which": {"views": {v: dict.fromkeys(readers, figure) | {"ari": 0.3, "nmi": 0.4} for v in views}},
        "invariance": {"chance": None, "views": dict.fromkeys(views, of)},
        "knobs": {
            "knobs": {
                "delay.time": {"identifiable": True, "methods": dict.fromkeys(methods, error)},
                f"{name}.mix": {
                    "identifiable": True, "methods": dict.fromkeys(methods, {"mae": 0.3, "r2": 0.0})
                },
            },
            "methods": dict.fromkeys(methods, error | {"mae_interval": [0.05, 0.2], "knobs": 2}),
        },
        "channels": {"numbers": 64 if recipe == "effects" else 32},
        "paths": {
            "two_effects": dict.fromkeys(("model", "pca", "crossfade"), moved),
            "two_sounds": {
                "model": {"kept_ends": figure, "kept_latent": figure, "kept_decoded": figure, "ways": 3}
            },
        },
    }  # fmt: skip
    return {"group": 1, "paths": [str(folder / name)], "metrics": [{"effects": effects}]}


def test_tables_of_effects_have_each_run_and_each_baseline_once(run, tmp_path):
    new = ("head", "mu_ridge", "untrained_ridge", "pca_ridge", "hand_trees", "centre")
    table = [
        measured(tmp_path, "old", "effects-undivided", "head", "hand_trees", "centre"),
        measured(tmp_path, "ours", "effects", *new),
        {"group": 1, "paths": ["a run of single sounds"], "metrics": [{"effects": None}]},
    ]
    sections = run.effects_tables.sections(table)
    lines = {
        title[3:]: text.splitlines()
        for title, text in zip(sections[::2], sections[1::2], strict=True)
    }
    first = {title: [line.split(" | ")[0][2:] for line in text] for title, text in lines.items()}
    untrained = [f"the encoder of {name}, untrained" for name in ("old", "ours")]
    known, knobs, two_effects, two_sounds = first.values()
    assert known[2:] == [
        "old, mu", "old, z sampled", "ours, mu", "ours, z sampled", *untrained, "PCA-32 of the pictures",
        "PCA-32 of wet less dry", "hand features",
    ]  # fmt: skip
    assert knobs[2:] == [
        "old, its head", "ours, its head", "ours, ridge on mu", untrained[1], "PCA-32 of the pictures",
        "hand features", "always the centre",
    ]  # fmt: skip
    assert two_effects[2:] == [
        "old, its way", "ours, its way", "PCA-32 of the pictures", "PCA-64 of the pictures",
        "recordings faded",
    ]  # fmt: skip
    assert two_sounds[2:] == ["old, its way", "ours, its way"]
    # the mean over what each run can tell, over what all can, and over all
    assert "told in every run" in lines["Where the knobs stand"][0]
    assert lines["Where the knobs stand"][2].endswith(
        "| 0.100 [0.050, 0.200] | 0.60 | 2 | 0.100 | 0.60 | 0.200 |"
    )


def test_an_experiment_without_effects_has_no_tables_of_them(run):
    assert run.effects_tables.sections([{"group": 1, "paths": ["a"], "metrics": [{}]}]) == []
