"""The rate-distortion plane, with names where its points lie."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from timbrespace.evaluation.figures.style import (
    COLOURS,
    DPI,
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

NAMED = 9  # points that can be named where they lie; of more there is a list


def rate_distortion(
    points: Sequence[tuple[str, float, float]], floors: dict[str, float], *,
    errors: Sequence[tuple[float | None, float | None]] = (),
    linear: Sequence[float | None] = (),
) -> Drawing:  # fmt: skip
    """The plane of (name, bits per sound, dB RMSE) where they lie, floors {name: dB} that are near
    enough to be seen as dashed lines. `errors` are half widths of each point's intervals along both
    axes, `linear` the dB of the best linear code of each point's rate: a dash, tied to its point."""
    many = len(points) > NAMED
    figure = sheet(8.4, 5.2) if many else sheet(7.2, 4.6)
    axes = figure.add_subplot()
    for number, (name, bits, db) in enumerate(points):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        wide, high = errors[number] if errors else (None, None)
        axes.errorbar(
            bits, db, xerr=wide, yerr=high, color=colour, marker=marker, markersize=7,
            linestyle="", elinewidth=1, capsize=3, label=shorten(name, 40),
        )  # fmt: skip
    codes = [
        (b, db, code) for (_, b, db), code in zip(points, linear, strict=False) if code is not None
    ]
    for number, (bits, db, code) in enumerate(codes):
        axes.plot([bits, bits], [db, code], color=FLOOR, linewidth=0.8, zorder=1)
        axes.plot(
            [bits], [code], color=FLOOR, marker="_", markersize=9, markeredgewidth=2, linestyle="",
            label=None if number else "linear code",
        )  # fmt: skip
    rates, heights = (np.array([p[at] for p in points]) for at in (1, 2))
    heights = np.concatenate([heights, [code for *_, code in codes]])
    low, high = 0.93 * heights.min(), 1.12 * heights.max()
    for name, db in floors.items():
        if not low <= db <= high:
            continue
        axes.axhline(db, color=FLOOR, linestyle="--", linewidth=1)
        axes.annotate(
            name, (1.0, db), (-2, 2) if many else (2, 0), xycoords=("axes fraction", "data"),
            ha="right" if many else "left", va="bottom" if many else "center",
            textcoords="offset points", fontsize=8, color="#555555",
        )  # fmt: skip
    room = 0.15 * max(rates.max() - rates.min(), 0.1 * rates.max(), 1.0)
    axes.set_xlim(max(-0.2 * room, rates.min() - room), rates.max() + room)
    axes.set_ylim(low, high)
    axes.set_xlabel("bits per sound")
    axes.set_ylabel("dB RMSE, z sampled")
    quiet(axes)
    if many:
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
        return png(figure)
    if codes:
        lines, names = axes.get_legend_handles_labels()
        axes.legend([lines[names.index("linear code")]], ["linear code"], fontsize=8, frameon=False)
    figure.draw_without_rendering()  # the layout settles where the points lie
    _name_points(axes, points)
    return png(figure)


def _name_points(axes: "Axes", points: Sequence[tuple[str, float, float]]) -> None:
    """Names beside their points, each where it covers no point and no other name as far as it can."""
    places = axes.transData.transform([(bits, db) for _, bits, db in points])
    unit = DPI / 72.0
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    edge = axes.get_window_extent()
    taken.append((edge.x1 - 4, edge.y0, edge.x1 + 1000, edge.y1))  # where the floors are named
    for (name, bits, db), (x, y) in zip(points, places, strict=True):
        label = shorten(name, 40)
        width, height = 4.6 * unit * len(label), 9.0 * unit
        tries = []
        for up in (0, 10, -10, 20, -20, 30, -30):
            for side in ("left", "right"):
                shift = 7 * unit if side == "left" else -7 * unit - width
                box = (x + shift, y + up * unit - height / 2, 0.0, 0.0)
                tries.append((side, up, (*box[:2], box[0] + width, box[1] + height)))
        side, up, box = min(tries, key=lambda t: sum(_overlap(t[2], other) for other in taken))
        taken.append(box)
        axes.annotate(
            label, (bits, db), (7 if side == "left" else -7, up), textcoords="offset points",
            ha=side, va="center", fontsize=8,
        )  # fmt: skip


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The area that two boxes (left, bottom, right, top) share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)
