"""What an evaluation says of descriptors and directions: perfect, worst and known cases, and its page."""

import json
import re
import shutil

import numpy as np
import pytest

from timbrespace import verbs
from timbrespace.evaluation import axes, figures
from timbrespace.evaluation.facts import Unanswerable

RNG = np.random.default_rng


def tables(noise, count=3000):
    """A latent of three numbers, and values that are its first with so much noise of their own."""
    rng = RNG(1)
    z = rng.standard_normal((count, 3))
    y = z[:, 0] + noise * rng.standard_normal(count)
    half = count // 2
    views = {"mu": (z[:half], z[half:]), "shuffled_labels": (rng.permutation(z[:half]), z[half:])}
    return views, (y[half:], y[:half])


def of(noise, groups=None):
    views, values = tables(noise)
    return axes.descriptor(views, values, "mu", None, groups, RNG(0))


def test_a_descriptor_that_is_a_number_of_the_latent_is_all_linear():
    found = of(0.0)
    assert found["mu"]["linear"] == pytest.approx(1.0, abs=1e-3) and found["mu"]["local"] > 0.9
    assert abs(found["shuffled_labels"]["linear"]) < 0.06
    assert found["shuffled_labels"]["local"] < 0.0  # the worst: a guess from sounds of no matter


def test_as_much_noise_as_signal_leaves_half():
    found = of(1.0, groups=np.repeat(np.arange(50), 30).tolist())
    assert found["mu"]["linear"] == pytest.approx(0.5, abs=0.04)
    low, high = found["intervals"]["linear"]
    assert low < found["mu"]["linear"] < high and 0.02 < high - low < 0.15
    # ten neighbours: a tenth of the noise's variance comes on top, and what they are off
    assert found["mu"]["local"] == pytest.approx(0.5 - 0.1 * 0.5, abs=0.05)


def test_what_too_few_have_says_why():
    views, (here, there) = tables(0.0, 60)
    assert "no measured sound" in axes.descriptor(
        views, (here * np.nan, there), "mu", None, None, RNG(0)
    )["why_not"]  # fmt: skip
    there[5:] = np.nan
    found = axes.descriptor(views, (here, there), "mu", None, None, RNG(0))
    assert found == {"why_not": "only 5 sounds have it, and 20 are needed"}


def test_the_question_is_answered_with_its_floors_and_shown(tiny_run):
    found = json.loads((tiny_run / "evaluation" / "metrics.json").read_text())["axes"]
    assert found["described"] == "the recordings" and found["pitch_held"]
    told = found["descriptors"]["centroid"]
    assert {"mu", "pca_32", "shuffled_labels"} <= set(told)
    assert told["pca_32"]["linear"] > told["shuffled_labels"]["linear"]
    directions = found["directions"]
    assert set(directions["found"]) | set(directions["missing"]) >= {"bright", "slow", "hollow"}
    page = (tiny_run / "evaluation" / "report.html").read_text()
    assert "How descriptors run over the space" in page and "Named directions" in page
    assert not re.search(r">\s*nan\s*<", page, re.IGNORECASE)
    assert (tiny_run / "evaluation" / "figures" / "axes.png").stat().st_size > 5_000


def test_without_directions_the_page_says_how_to_find_them(tiny_run, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / "space" / "axes.json").unlink()
    monkeypatch.setattr(
        "timbrespace.evaluation.catalogue.QUESTIONS", {"heard": "heard", "axes": "axes"}
    )
    found = verbs.evaluate(run)["axes"]
    assert "no named directions yet; make them with" in found["directions"]["why_not"]
    assert "No directions: " in axes.show(found).html
    monkeypatch.setattr(axes, "sample_sizes", lambda corpus, rows: (10, 5))
    with pytest.raises(Unanswerable, match="only 10 training sounds"):
        raise_of(run)


def raise_of(run):
    from timbrespace.evaluation import catalogue

    def ask(facts, names, first, tell=None):
        return first(), {"axes": axes.measure(facts)}

    keep, catalogue.ask = catalogue.ask, ask
    try:
        verbs.evaluate(run)
    finally:
        catalogue.ask = keep


def test_a_heat_map_of_unknown_moves_is_drawn():
    table = np.array([[0.5, np.nan], [-1.0, 0.0]])
    drawn = figures.moves(table, ["bright", "$odd"], ["centroid", "decay"], [0, 1])
    assert drawn[:4] == b"\x89PNG" and len(drawn) > 3_000
    assert figures.moves(np.full((1, 2), np.nan), ["a"], ["b", "c"], [0])[:4] == b"\x89PNG"
