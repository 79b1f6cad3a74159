"""Figures whose length is the message: scores and errors by name."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from timbrespace.evaluation.figures.style import (
    CEILING,
    COLOURS,
    FLOOR,
    MODEL,
    Drawing,
    png,
    quiet,
    sheet,
    shorten,
)


def standing(values: Sequence[tuple[str, float, str]]) -> bytes:
    """Bars of dB RMSE, (name, dB, "model" | "floor" | "ceiling"), in the order given, from the
    top."""
    colours = {"model": MODEL, "floor": FLOOR, "ceiling": CEILING}
    figure = sheet(7.2, 0.6 + 0.3 * len(values))
    axes = figure.add_subplot()
    place = np.arange(len(values))
    axes.barh(place, [v for _, v, _ in values], color=[colours[kind] for *_, kind in values])
    for at, (_, value, _) in zip(place, values, strict=True):
        axes.annotate(
            f"{value:.1f}", (value, at), (3, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set_yticks(place, [shorten(name, 60) for name, *_ in values])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1 * max(v for _, v, _ in values) + 1e-9)
    axes.set_xlabel("dB RMSE, less is better")
    quiet(axes)
    return png(figure)


def agreement(
    rows: Sequence[tuple[str, str, list[tuple[float, tuple[float, float] | None]]]],
    heads: Sequence[str],
    chance: Sequence[float],
) -> bytes:
    """Bars of scores, a panel for each of `heads`, with intervals where there are any. A row is a name, a
    kind ("model", "floor", "published") and its scores; chance is a dotted line a panel."""
    colours = {"model": MODEL, "floor": FLOOR, "published": COLOURS[5]}
    figure = sheet(8.6, 0.26 * len(rows) + 0.9)
    panels = figure.subplots(1, len(heads), sharey=True)
    for number, (axes, words) in enumerate(zip(panels, heads, strict=True)):
        for place, (_, kind, scores) in enumerate(rows):
            score, ends = scores[number]
            axes.barh(place, score - chance[number], left=chance[number], color=colours[kind])
            if ends is not None:
                axes.plot(ends, (place, place), color="#222222", linewidth=1.2)
        axes.axvline(chance[number], color="#222222", linestyle=":", linewidth=1.2)
        axes.set_xlabel(f"{words} (dotted: chance)", fontsize=8)
        quiet(axes)
    panels[0].set_yticks(range(len(rows)), [shorten(name, 44) for name, _, _ in rows], fontsize=8)
    return png(figure)


def agreement_by_study(
    studies: Sequence[str], scores: dict[str, list[float]], words: str, chance: float
) -> bytes:
    """A line of dots for each study: its score of each way, by name."""
    figure = sheet(8.6, 0.25 * len(studies) + 1.0)
    axes = figure.subplots()
    for (name, values), marker, colour in zip(
        scores.items(), ("X", "D", "o", "^"), (FLOOR, COLOURS[5], MODEL, COLOURS[0]), strict=True
    ):
        places = range(len(studies))
        axes.scatter(values, places, s=36, marker=marker, color=colour, label=name, zorder=3)
    axes.axvline(chance, color="#222222", linestyle=":", linewidth=1.2)
    axes.set_yticks(range(len(studies)), [shorten(name, 44) for name in studies], fontsize=8)
    axes.set_xlabel(f"{words} (dotted: chance)", fontsize=8)
    quiet(axes)
    axes.legend(fontsize=8, framealpha=0.8, edgecolor="none", loc="lower right")
    return png(figure)


def against_floor(panels: dict[str, dict[str, tuple[float, float, float]]]) -> bytes:
    """A panel for each figure: by name its value, and the low and high end of its range. The range of
    the first name is shaded: who lies in it cannot be told from it."""
    figure = sheet(11.0, 0.9 + 0.28 * max(len(lines) for lines in panels.values()))
    several = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, lines) in zip(several, panels.items(), strict=True):
        names = list(lines)
        middle, low, high = np.array(list(lines.values())).T
        axes.axvspan(low[0], high[0], color="#E3E3E3", zorder=0)
        places = np.arange(len(names))
        axes.hlines(places, low, high, color=MODEL, linewidth=2.0)
        axes.plot(middle, places, "o", color=MODEL, markersize=5.0)
        axes.set_yticks(places, [shorten(name, 34) for name in names])
        axes.set_title(title, fontsize=9)
        quiet(axes)
    several[0].invert_yaxis()
    return png(figure)


def beside(
    names: Sequence[str],
    panels: Sequence[tuple[str, dict[str, Sequence[float | None]], Sequence[float | None]]],
) -> Drawing:
    """A row for each of `names` in panels (title, values by kind, half widths of the intervals of the
    first kind, "run"): dots, with the other kinds, "floor", "PCA-32", "linear code" and "ceiling", as
    strokes in the same row. What has no value has no mark."""
    strokes = {"floor": FLOOR, "PCA-32": COLOURS[0], "linear code": COLOURS[3], "ceiling": CEILING}
    across = min(len(panels), 3)
    down = -(-len(panels) // across)
    figure = sheet(1.4 + 2.9 * across, (0.9 + 0.24 * len(names)) * down + 0.4)
    places = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    rows = np.arange(len(names))
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    shown: dict[str, Any] = {}
    for axes, (title, kinds, widths) in zip(places, panels, strict=False):
        for kind, values in kinds.items():
            x = np.array([np.nan if v is None else v for v in values], float)
            if kind == "run":
                half = np.array([np.nan if w is None else w for w in widths], float)
                shown[kind] = axes.errorbar(
                    x, rows, xerr=half, color=MODEL, marker="o", markersize=5, linestyle="", capsize=2,
                    elinewidth=1.2, label=kind,
                )  # fmt: skip
                continue
            (shown[kind],) = axes.plot(
                x, rows, color=strokes[kind], marker="|", markersize=11, markeredgewidth=2, linestyle="",
                label=kind, zorder=1,
            )  # fmt: skip
        axes.set_title(shorten(title, 60), fontsize=8)
        axes.locator_params(axis="x", nbins=5)
        axes.set_yticks(rows, [shorten(name, 28) for name in names], fontsize=8)
        axes.set_ylim(len(names) - 0.5, -0.5)
        quiet(axes)
    order = [kind for kind in ("run", *strokes) if kind in shown]
    figure.legend(
        [shown[kind] for kind in order], order, loc="outside lower center", ncols=5, fontsize=8,
        frameon=False,
    )  # fmt: skip
    return png(figure)
