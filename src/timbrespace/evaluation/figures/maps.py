"""Maps of sounds by name and by number, and ways over them."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.evaluation.figures.pictures import STRIP, draw_strips
from timbrespace.evaluation.figures.style import (
    COLOURS,
    DPI,
    FLOOR,
    MARKERS,
    Drawing,
    png,
    sheet,
    shorten,
)
from timbrespace.features.decibels import Decibels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES_SHOWN = 20  # in a legend; the rest are "other"
PANEL, ACROSS = 3.35, 4  # inches (85 mm) of a map among several, and how many stand in a row


def map_by_name(xy: np.ndarray, names: Sequence[Any], measured: np.ndarray, title: str) -> bytes:
    """A map (N, 2) coloured by name; measured sounds large and dark, training sounds small.

    The 20 most frequent names have their own colour and marker; the rest are "other".
    """
    from matplotlib.lines import Line2D

    texts = np.array(["unknown" if n is None or n == "" else str(n) for n in names])
    common = [name for name, _ in Counter(texts.tolist()).most_common(NAMES_SHOWN)]
    figure, axes = _map_axes(title, 7.6)
    handles = []
    for place, name in enumerate(sorted(common)):
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        _scatter(axes, xy, texts == name, measured, marker, color=colour)
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", markersize=6))
    labels = [shorten(name, 28) for name in sorted(common)]
    rest = ~np.isin(texts, common)
    if rest.any():
        _scatter(axes, xy, rest, measured, ".", color=FLOOR)
        handles.append(Line2D([], [], color=FLOOR, marker=".", linestyle=""))
        labels.append(f"{len(set(texts[rest]))} others")
    axes.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False
    )
    return png(figure)


def map_by_number(
    xy: np.ndarray, numbers: Sequence[float | None], measured: np.ndarray, title: str, unit: str
) -> bytes:
    """A map (N, 2) coloured by a number; sounds without one are grey."""
    values = np.array([np.nan if v is None or v == "" else float(v) for v in numbers])
    known = np.isfinite(values)
    figure, axes = _map_axes(title, 6.9)
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 1.0)
    _scatter(axes, xy, ~known, measured, ".", color=FLOOR)
    drawn = _scatter(axes, xy, known, measured, "o", values=values, low=low, high=high)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=axes, pad=0.02)
        bar.set_label(unit)
        if bar.solids is not None:
            bar.solids.set_alpha(1.0)
    return png(figure)


def maps_by_name(panels: Sequence[tuple[str, np.ndarray, Sequence[Any], np.ndarray]]) -> Drawing:
    """Maps side by side, each a title, points (N, 2), names (N) and which were measured (N,): a name
    looks the same in all, and stands in the legend once. Colours as in `map_by_name`."""
    from matplotlib.lines import Line2D

    said = [["unknown" if n in (None, "") else str(n) for n in names] for _, _, names, _ in panels]
    counted = Counter(name for names in said for name in names)
    common = sorted(name for name, _ in counted.most_common(NAMES_SHOWN))
    looks = [(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i in range(len(common))]
    across = min(len(panels), ACROSS)
    down = -(-len(panels) // across)
    figure = sheet(PANEL * across, PANEL * down + 0.5)
    places = figure.subplots(down, across, squeeze=False).ravel()
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    for axes, (title, xy, _, measured), names in zip(places, panels, said, strict=False):
        texts = np.array(names)
        for name, (colour, marker) in zip(common, looks, strict=True):
            _scatter(axes, xy, texts == name, measured, marker, color=colour, scale=0.5)
        _scatter(axes, xy, ~np.isin(texts, common), measured, ".", color=FLOOR, scale=0.5)
        _empty(axes, shorten(title, 44))
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5)
        for colour, marker in looks
    ]
    labels = [shorten(name, 20) for name in common]
    if len(counted) > len(common):
        handles.append(Line2D([], [], color=FLOOR, marker=".", linestyle=""))
        labels.append(f"{len(counted) - len(common)} others")
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3 * across, fontsize=8, frameon=False,
        columnspacing=1.0, handletextpad=0.2,
    )  # fmt: skip
    return png(figure)


def maps_by_knob(xy: np.ndarray, names: Sequence[str], places: np.ndarray) -> Drawing:
    """A small map (N, 2) for each of K knobs, coloured by where it stands, places (N, K) from 0 to 1;
    points without one (NaN) are grey."""
    across = min(len(names), 6)
    down = -(-len(names) // across)
    figure = sheet(1.55 * across + 0.5, 1.65 * down)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    drawn = None
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    for axes, name, column in zip(panels, names, places.T, strict=False):
        known = np.isfinite(column)
        axes.scatter(*xy[~known].T, s=2, color=FLOOR, alpha=0.3, linewidths=0, rasterized=True)
        drawn = axes.scatter(
            *xy[known].T, s=4, c=column[known], cmap="cividis", vmin=0.0, vmax=1.0, linewidths=0,
            rasterized=True,
        )  # fmt: skip
        _empty(axes, "")
        axes.set_title(shorten(name, 26), fontsize=7)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=list(panels), pad=0.01, fraction=0.02)
        bar.ax.tick_params(labelsize=7)
    return png(figure)


def way(
    sounds: np.ndarray, ways: dict[str, np.ndarray], ends: tuple[str, str],
    rows: Sequence[tuple[str, np.ndarray]], heads: Sequence[str], feature: Decibels,
    differences: tuple[str, Sequence[np.ndarray]],
) -> bytes:  # fmt: skip
    """Ways (n, 2) by name over a map of sounds (N, 2) between two ends, and under it their `strips`."""
    from matplotlib.figure import Figure

    height = 3.9 + STRIP * len(rows)
    figure = Figure(figsize=(9.0, height), dpi=DPI)
    axes = figure.add_axes((0.01, 1.0 - 3.4 / height, 0.77, 3.1 / height))
    axes.scatter(*sounds.T, s=4, color=FLOOR, alpha=0.25, linewidths=0, rasterized=True)
    for (name, points), colour, marker in zip(ways.items(), COLOURS, MARKERS, strict=False):
        axes.plot(
            *points.T, color=colour, marker=marker, markersize=4, label=shorten(name, 40)
        )  # fmt: skip
    for name, point, side in zip("AB", next(iter(ways.values()))[[0, -1]], (-12, 6), strict=True):
        axes.annotate(
            name, point, (side, -4), textcoords="offset points", fontsize=10, weight="bold"
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"A: {shorten(ends[0], 50)}    B: {shorten(ends[1], 50)}", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    draw_strips(figure, 0.3 + STRIP * len(rows), rows, heads, feature, differences)
    return png(figure)


def _map_axes(title: str, width: float) -> "tuple[Figure, Axes]":
    figure = sheet(width, 5.2)
    axes = figure.add_subplot()
    _empty(axes, shorten(title, 80))
    return figure, axes


def _empty(axes: "Axes", title: str) -> None:
    """A frame without numbers: places on a map have no unit."""
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color("#CCCCCC")


def _scatter(
    axes: "Axes", xy: np.ndarray, chosen: np.ndarray, measured: np.ndarray, marker: str, *,
    color: str | None = None, values: np.ndarray | None = None, low: float = 0.0, high: float = 1.0,
    scale: float = 1.0,
) -> Any:  # fmt: skip
    drawn = None
    for which, size, alpha in ((chosen & ~measured, 7, 0.25), (chosen & measured, 22, 0.9)):
        if not which.any():
            continue
        edge = {"edgecolors": "#333333", "linewidths": 0.4} if size > 10 and marker != "." else {}
        if values is None:
            paint: dict[str, Any] = {"color": color}
            if edge:
                paint = {"facecolors": color}
        else:
            paint = {"c": values[which], "cmap": "cividis", "vmin": low, "vmax": high}
        drawn = axes.scatter(
            *xy[which].T, s=scale * size, alpha=alpha, marker=marker, rasterized=True, **paint,
            **(edge or {"linewidths": 0}),
        )  # fmt: skip
    return drawn
