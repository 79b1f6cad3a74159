"""The page of figures: it shows the numbers of metrics.json, needs no network, and names are no markup."""

import base64
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
from timbrespace.features.log_mel import LogMel
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
    values = [line[term] for line in history]
    assert [true for _, true in curve["customdata"]] == values  # on symmetric logarithms
    small = 1.0 / (1.0 - 0.1)  # a decade is as long as the part from 0 to 1 is made
    paper = [np.sign(v) * (small + np.log10(abs(v))) if abs(v) > 1 else small * v for v in values]
    assert curve["y"] == pytest.approx(paper)
    axes = [
        axis
        for chart in charts.values()
        for name, axis in chart["layout"].items()
        if "axis" in name
    ]
    assert not any("$" in text for axis in axes for text in axis.get("ticktext", []))
    ways = [t for t in charts["way-1"]["data"] if t.get("mode") == "lines+markers"]
    assert len(ways) == 3 and all(len(t["x"]) == 9 for t in ways)
    (sounds,) = [t for t in charts["way-1"]["data"] if t.get("mode") == "markers"]
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


def test_errors_of_pitch_lie_where_they_lie_on_paper_and_say_their_cents():
    wanted, errors = np.array([60.0, 62.0, 64.0]), np.array([-5.0, 900.0, np.nan])
    drawing = figures.pitch_errors(wanted, errors, np.zeros(3))
    chart = drawing.chart()
    assert chart is not None
    model = named(chart)["model"][0]
    assert model["x"] == wanted.tolist() and model["y"][2] is None
    assert model["customdata"][:2] == [[60.0, -5.0], [62.0, 900.0]]
    lost = [t for t in chart["data"] if t.get("hoverinfo") == "skip"]
    assert any(t["x"] == [64.0] and "customdata" not in t for t in lost)  # no pitch, no cents
    axes, axis = drawing.figure.axes[0], chart["layout"]["yaxis1"]
    tall = axes.transAxes.inverted().transform(axes.transData.transform([[60.0, 900.0]]))[0, 1]
    low, high = axis["range"]
    assert (model["y"][1] - low) / (high - low) == pytest.approx(tall, abs=1e-6)
    octave = axis["tickvals"][axis["ticktext"].index("+1 octave")]
    assert model["y"][1] < octave < high


def unpacked(trace: dict[str, Any]) -> np.ndarray:
    """The cells of pictures of sounds as the page unpacks them."""
    cells = np.frombuffer(base64.b64decode(trace["cells"]), np.uint8).astype(float)
    step = (trace["zmax"] - trace["zmin"]) / 254
    values = np.where(cells == 0, np.nan, trace["zmin"] + (cells - 1) * step)
    return values.reshape(-1, trace["columns"])


def strip(feature: LogMel, count: int) -> np.ndarray:
    """Pictures that are on their floor but for one cell, the third row from below in frame 5."""
    pictures = np.full((count, *feature.shape), -1.0, np.float32)
    pictures[:, 2, 5] = np.linspace(-0.5, 1.0, count)
    return pictures


def test_strips_say_which_sound_when_and_how_many_decibels():
    feature = LogMel(mels=16, frames=32)
    pictures = strip(feature, 3)
    drawing = figures.strips(
        [("one", pictures), ("two", -pictures)], ["a", "b", "c"], feature,
        ("c - a", [pictures[2] - pictures[0]] * 2),
    )  # fmt: skip
    chart = drawing.chart()
    assert chart is not None
    shown, changed = chart["data"]
    meta, values = shown["meta"], unpacked(shown)
    assert meta["names"] == ["one", "two"] and meta["heads"] == ["a", "b", "c"]
    assert meta["seconds"] == 256 / 16000 and meta["hertz"] == feature.frequencies.tolist()
    tall, wide = meta["apart"]
    top = meta["size"][0] - 1 - 2
    for place, value in enumerate(np.linspace(-60.0, 0.0, 3)):
        assert values[top, place * wide + 5] == pytest.approx(value, abs=80.0 / 254)
    assert np.isnan(values[meta["size"][0], 5]) and values[tall, 5] == pytest.approx(0.0)
    assert unpacked(changed)[top, 5] == 20.0 and changed["meta"]["heads"] == ["c - a"]
    assert chart["layout"]["xaxis1"]["side"] == "top"
    assert chart["layout"]["yaxis1"]["ticktext"] == ["one", "two"]


def test_pictures_with_more_cells_than_pixels_are_told_by_the_means_of_cells():
    feature = LogMel(mels=130, frames=200)
    pictures = np.full((2, *feature.shape), -1.0, np.float32)
    pictures[:, :3, :4] = 1.0  # one block of the lowest rows and first frames
    chart = figures.strips([("one", pictures)], ["a", "b"], feature).chart()
    assert chart is not None
    (shown,) = chart["data"]
    meta, values = shown["meta"], unpacked(shown)
    assert meta["size"] == (44, 50) and meta["seconds"] == pytest.approx(4 * 256 / 16000)
    assert len(meta["hertz"]) == 44 and meta["hertz"] == sorted(meta["hertz"])
    for place in range(2):
        first = values[: meta["size"][0], place * meta["apart"][1] :][:, : meta["size"][1]]
        assert np.isfinite(first).all() and first[0, 9] == -80.0
        # of 130 rows from above, the last block of three has one row, the loud three lie in two
        assert first[43, 0] == 0.0 and -80.0 < first[42, 0] < 0.0 and first[41, 0] == -80.0


def test_a_sound_and_its_model_are_pictures_to_point_at():
    feature = LogMel(mels=16, frames=32)
    one, other = strip(feature, 2)
    (picture,) = figures.sounds([(one, other)], feature)
    chart = picture.chart()
    assert chart is not None
    assert [t["meta"]["heads"] for t in chart["data"]] == [
        ["original"],
        ["model"],
        ["model - original"],
    ]
    original, model, less = (unpacked(trace) for trace in chart["data"])
    row = feature.height - 1 - 2
    assert original[row, 5] == pytest.approx(-60.0, abs=0.2) and model[row, 5] == 0.0
    assert less[row, 5] == 20.0 and np.nanmin(original) == -80.0
    trace, axis = chart["data"][0], chart["layout"]["yaxis1"]
    ends = trace["y0"] - 0.5 * trace["dy"], trace["y0"] + (feature.height - 0.5) * trace["dy"]
    assert ends == pytest.approx(axis["range"][::-1])  # its highest row first


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
    feature = LogMel(mels=16, frames=32)
    drawn = {
        "confusion": matrices.confusion(names, names, table, NASTY),
        "overlap": matrices.overlap(names, table, [[0, 1, 0.5, 2]], NASTY),
        "plane": figures.rate_distortion([(NASTY, 50.0, 6.0)], {"PCA-8": 6.1}),
        "bits": figures.bits_per_dimension([1.0, 2.0, 0.1], 0.5),
        "strips": figures.strips(
            [(NASTY, strip(feature, 3))], ["a", "b", "c"], feature, ("c - a", [np.ones(feature.shape)])
        ),
    }  # fmt: skip
    text = page(drawn, "figures")
    assert NASTY not in text
    (tmp_path / "figures.html").write_text(text, encoding="utf-8")
    tab, asked, wrong = opened.tab, opened.asked, opened.wrong
    tab.goto((tmp_path / "figures.html").as_uri())
    for at in range(len(drawn)):  # drawn when they come into view
        tab.locator(f"#figure-{at}").scroll_into_view_if_needed()
        tab.wait_for_selector(f"#figure-{at}[data-drawn]", timeout=60_000)
    shown = tab.evaluate("[...document.querySelectorAll('.js-plotly-plot')].map((p) => p.id)")
    assert shown == [f"figure-{i}" for i in range(len(drawn))] and wrong == []
    assert tab.locator("#figure-1 .heatmaplayer image").count() == 1
    assert tab.locator("#figure-3 .bars path").count() == 3
    assert "</script><b onclick=" in (tab.locator("#figure-0").text_content() or "")
    tab.locator("#figure-3 .bars path").first.hover(force=True)
    tab.wait_for_selector("#figure-3 .hovertext")
    assert tab.locator("#figure-3 .hovertext").first.text_content() == "2.000"
    place = tab.locator("#figure-4 .draglayer .nsewdrag").first
    box = place.bounding_box()
    assert box is not None
    place.hover(position={"x": 0.5 * box["width"], "y": 0.5 * box["height"]}, force=True)
    words = tab.locator("#figure-4 + p.told")
    tab.wait_for_function("document.querySelector('.told').textContent.includes('dB')")
    assert (words.text_content() or "").startswith(f"{NASTY}, b: 0.2")
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
