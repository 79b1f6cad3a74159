"""Experiments: what their files say is what is trained and asked."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import timbrespace
from timbrespace.errors import RunError
from timbrespace.evaluation.catalogue import NOT_ASKED, QUESTIONS

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
