"""Pictures of what lies near what: overlap with its merge tree, confusion, figures by family.

Conventions
-----------
Every cell of a matrix carries its number, so that
it is legible in grey and in print, too. Shares run from white (0) to dark blue (1).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.evaluation.figures.style import (
    COLOURS,
    FLOOR,
    MARKERS,
    Drawing,
    png,
    quiet,
    sheet,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Table = Sequence[Sequence[float | None]]

NUMBERED = 16  # rows; in larger tables numbers would be too small to read


def overlap(names: Sequence[str], table: Table, merges: Table, title: str) -> Drawing:
    """Overlap of families (F, F) in the order of their merge tree, which stands beside it: a fork lies
    at the mean overlap of the families that it joins."""
    from scipy.cluster.hierarchy import dendrogram

    side = _side(len(names))
    figure = sheet(side + 2.9, side + 0.9)
    tree, cells = figure.subplots(1, 2, width_ratios=[2.0, side])
    drawn = dendrogram(np.array(merges, float), no_plot=True)
    order = [int(i) for i in drawn["leaves"]]
    places = np.array(drawn["icoord"])
    for along, height in zip((places - 5.0) / 10.0, drawn["dcoord"], strict=True):
        tree.plot(1.0 - np.array(height), along, color="#333333", linewidth=1.2)
    tree.set_xlim(-0.02, 1.02)
    tree.set_ylim(len(names) - 0.5, -0.5)
    tree.set_yticks([])
    tree.set_xlabel("mean overlap where they merge", fontsize=8)
    tree.tick_params(labelsize=8)
    tree.spines[["top", "right", "left"]].set_visible(False)
    values = _array(table)[np.ix_(order, order)]
    _cells(cells, values, [names[i] for i in order], [names[i] for i in order])
    cells.set_aspect("auto")  # as high as the tree, whose leaves are its rows
    cells.set_title(shorten(title, 80), fontsize=10)
    return png(figure)


def confusion(
    rows: Sequence[str], columns: Sequence[str], table: Table, title: str,
    labels: tuple[str, str] = ("family", "said by the nearest sounds"),
) -> Drawing:  # fmt: skip
    """Shares (R, C): of the sounds of each row how many are said to be of each column; `labels` of both."""
    figure = sheet(_side(len(columns)) + 1.6, _side(len(rows)) + 1.2)
    axes = figure.add_subplot()
    _cells(axes, _array(table), rows, columns)
    axes.set_ylabel(labels[0], fontsize=9)
    axes.set_xlabel(labels[1], fontsize=9)
    axes.set_title(shorten(title, 80), fontsize=10)
    return png(figure)


def by_family(
    names: Sequence[str],
    panels: Sequence[tuple[str, dict[str, Sequence[float | None]]]],
    floor: str,
    unit: str,
) -> bytes:
    """A figure of each family in panels (title, {view: (F,)}): a colour and a marker for each view, and
    that of the view called `floor` as a grey dash. A family without a figure has no mark."""
    figure = sheet(1.4 + 3.2 * len(panels), 1.5 + 0.27 * len(names))
    drawn = figure.subplots(1, len(panels), sharey=True, sharex=True, squeeze=False)[0]
    place = np.arange(len(names))
    for axes, (title, views) in zip(drawn, panels, strict=True):
        axes.axvline(0.0, color="#555555", linewidth=1)
        for number, (name, figures) in enumerate(views.items()):
            values = np.array([np.nan if v is None else v for v in figures])
            style: dict[str, Any] = {
                "color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)],
                "markersize": 6,
            }  # fmt: skip
            if name == floor:
                style = {"color": FLOOR, "marker": "|", "markersize": 11, "markeredgewidth": 2}
            axes.plot(values, place, linestyle="", label=shorten(name, 40), **style)
        axes.set_title(shorten(title, 60), fontsize=9)
        axes.set_xlabel(unit, fontsize=9)
        quiet(axes)
    drawn[0].set_yticks(place, [shorten(name, 24) for name in names])
    drawn[0].set_ylim(len(names) - 0.5, -0.5)
    lines, labels = drawn[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return png(figure)


def _cells(axes: "Axes", values: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Shares as shaded cells with their numbers; what was not measured is grey."""
    axes.imshow(values, cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal", interpolation="nearest")
    axes.set_facecolor("#DDDDDD")
    axes.set_xticks(
        np.arange(len(columns)), [shorten(n, 18) for n in columns], rotation=45, ha="right",
        rotation_mode="anchor", fontsize=8,
    )  # fmt: skip
    axes.set_yticks(np.arange(len(rows)), [shorten(n, 18) for n in rows], fontsize=8)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    if max(values.shape) > NUMBERED:
        return
    for (i, j), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.2f}".lstrip("0") if value < 0.995 else "1"
        axes.text(
            j, i, text, ha="center", va="center", fontsize=7.5,
            color="white" if value > 0.55 else "#222222",
        )  # fmt: skip


def _side(count: int) -> float:
    return min(1.2 + 0.38 * count, 9.0)


def _array(table: Table) -> np.ndarray:
    return np.array([[np.nan if v is None else v for v in line] for line in table], float)


def moves(
    table: np.ndarray, directions: Sequence[str], descriptors: Sequence[str], own: Sequence[int]
) -> bytes:
    """A heat map (directions, descriptors) of what one step moves, in standard deviations, NaN where
    nothing is known; `own`, each direction's own column, is framed."""
    from matplotlib.patches import Rectangle

    rows, columns = table.shape
    figure = sheet(1.9 + 0.62 * columns, 1.0 + 0.32 * rows)
    axes = figure.subplots()
    most = max(0.5, float(np.nanmax(np.abs(table)))) if np.isfinite(table).any() else 1.0
    drawn = axes.imshow(table, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        words = "–" if np.isnan(value) else f"{value:+.2f}".replace("-", "−")
        colour = "white" if abs(np.nan_to_num(value)) > 0.6 * most else "#222222"
        axes.text(column, row, words, ha="center", va="center", fontsize=7, color=colour)
    for row, column in enumerate(own):
        box = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(box, 1, 1, fill=False, edgecolor="#222222", linewidth=1.6))
    axes.set_xticks(range(columns), [shorten(d, 20) for d in descriptors], rotation=40, ha="right")
    axes.set_yticks(range(rows), [shorten(d, 20) for d in directions])
    axes.tick_params(labelsize=8, length=0)
    figure.colorbar(drawn, ax=axes, pad=0.02).set_label("standard deviations a step", fontsize=8)
    return png(figure)
