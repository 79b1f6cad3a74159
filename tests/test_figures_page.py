"""The page of figures: it shows the numbers of metrics.json, needs no network, and names are no markup."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from timbrespace import verbs
from timbrespace.errors import MissingExtra
from timbrespace.evaluation import figures, interactive
from timbrespace.evaluation.figures import matrices
from timbrespace.evaluation.figures_page import page
from timbrespace.runs import Run

NASTY = "</script><b onclick='alert(1)'>"


def held(text: str) -> dict[str, Any]:
    """The figures of a page."""
    found = re.search(r"<script type='application/json' id='data'>(.*?)</script>", text, re.S)
    assert found
    return json.loads(found[1])


def named(chart: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The traces of a figure by their names."""
    found: dict[str, list[dict[str, Any]]] = {}
    for trace in chart["data"]:
        found.setdefault(trace["name"], []).append(trace)
    return found


def test_an_evaluation_leaves_its_figures_with_the_numbers_of_its_metrics(tiny_run):
    folder = Path(tiny_run) / "evaluation"
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    text = (folder / "figures.html").read_text(encoding="utf-8")
    assert "href='figures.html'" in (folder / "report.html").read_text(encoding="utf-8")
    charts = held(text)
    assert {"standing", "where", "training", "bits", "way-1"} <= set(charts) and len(text) < 20e6
    assert not any("map-" in name for name in charts)  # they are in map.html
    assert "example-0" not in charts and "walks" not in charts  # pictures of sounds stay such
    model = named(charts["where"])["model, RMSE"]
    for trace, axis in zip(model, ("by_band", "by_time"), strict=True):
        assert trace["y"] == metrics["distortion"][axis]["rmse_db"]
    assert model[0]["x"] == metrics["distortion"]["by_band"]["hertz"]
    (bars,) = [t for t in charts["bits"]["data"] if t["type"] == "bar"]
    assert bars["y"] == sorted(metrics["rate"]["bits_per_dimension"], reverse=True)
    (bars,) = [t for t in charts["standing"]["data"] if t["type"] == "bar"]
    assert metrics["distortion"]["rmse_db"] in bars["x"]
    history = Run.open(tiny_run).history()
    (curve,) = named(charts["training"])["z sampled"]
    assert curve["x"] == [line["epoch"] for line in history]
    assert curve["y"] == [line["valid_rmse_db"] for line in history]
    term = next(key for key in history[0] if key.startswith("train_") and key != "train_total")
    (curve,) = named(charts["training"])[term.removeprefix("train_")]
    assert curve["y"] == [line[term] for line in history]
    ways = [t for t in charts["way-1"]["data"] if t["mode"] == "lines+markers"]
    assert len(ways) == 3 and all(len(t["x"]) == 9 for t in ways)
    (sounds,) = [t for t in charts["way-1"]["data"] if t["mode"] == "markers"]
    assert len(sounds["x"]) > 9


def test_matrices_and_the_plane_keep_their_numbers_and_names():
    shares = [[0.25, 0.75], [None, 1.0]]
    chart = matrices.confusion(["a", "b"], ["c", "d"], shares, "confusion").chart()
    assert chart is not None
    (cells,) = chart["data"]
    assert cells["z"] == shares and cells["customdata"][0] == ["a / c", "a / d"]
    assert chart["layout"]["yaxis1"]["range"] == [1.5, -0.5]  # the first row is on top
    points = [("one", 50.0, 6.0), ("two", 60.0, 5.0)]
    chart = figures.rate_distortion(
        points, {"PCA-32": 5.5}, errors=[(None, 0.5), (None, None)], linear=[6.5, None]
    ).chart()
    assert chart is not None
    traces = named(chart)
    for name, bits, db in points:
        assert (traces[name][0]["x"], traces[name][0]["y"]) == ([bits], [db])
    assert traces["linear code"][0]["y"] == [6.5]
    bar = next(t for t in chart["data"] if t["y"][:2] == [5.5, 6.5])  # its interval
    assert bar["x"][:2] == [50.0, 50.0]
    (dashed,) = [t for t in traces[""] if t.get("line", {}).get("dash") == "dash"]
    assert dashed["y"] == pytest.approx([5.5, 5.5])
    assert "PCA-32" in [words["text"] for words in chart["layout"]["annotations"]]


def test_figures_that_plotly_has_no_axis_for_stay_pictures():
    wanted = np.array([60.0, 62.0])
    assert figures.pitch_errors(wanted, np.array([-5.0, 900.0]), wanted - 60.0).chart() is None


def test_without_plotly_the_report_stands_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(interactive, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"timbrespace\[maps\]"):
        page({}, "figures")


def test_the_plane_of_a_comparison_is_a_page_too(tiny_run, tmp_path):
    verbs.compare([tiny_run], plot=tmp_path / "plane.html")
    chart = held((tmp_path / "plane.html").read_text(encoding="utf-8"))["plane"]
    metrics = json.loads((Path(tiny_run) / "evaluation/metrics.json").read_text())
    (point,) = named(chart)[Path(tiny_run).name]
    assert point["x"] == [metrics["rate"]["bits_per_sound"]]
    assert point["y"] == [metrics["distortion"]["rmse_db"]]


def test_in_a_browser_every_figure_is_drawn_without_a_network(opened, tmp_path):
    names, table = [NASTY, "organ"], [[0.9, 0.1], [0.2, 0.8]]
    drawn = {
        "confusion": matrices.confusion(names, names, table, NASTY),
        "overlap": matrices.overlap(names, table, [[0, 1, 0.5, 2]], NASTY),
        "plane": figures.rate_distortion([(NASTY, 50.0, 6.0)], {"PCA-8": 6.1}),
        "bits": figures.bits_per_dimension([1.0, 2.0, 0.1], 0.5),
    }
    text = page(drawn, "figures")
    assert NASTY not in text
    (tmp_path / "figures.html").write_text(text, encoding="utf-8")
    tab, asked, wrong = opened.tab, opened.asked, opened.wrong
    tab.goto((tmp_path / "figures.html").as_uri())
    tab.wait_for_selector("body[data-ready]", timeout=60_000)
    shown = tab.evaluate("[...document.querySelectorAll('.js-plotly-plot')].map((p) => p.id)")
    assert shown == [f"figure-{i}" for i in range(len(drawn))] and wrong == []
    assert tab.locator("#figure-1 .heatmaplayer image").count() == 1
    assert tab.locator("#figure-3 .bars path").count() == 3
    assert "</script><b onclick=" in (tab.locator("#figure-0").text_content() or "")
    tab.locator("#figure-3 .bars path").first.hover(force=True)
    tab.wait_for_selector("#figure-3 .hovertext")
    assert tab.locator("#figure-3 .hovertext").first.text_content() == "2.000"
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
