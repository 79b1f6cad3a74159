"""Drawn figures as Plotly has them: read from their very marks, so that both show the same numbers.

Conventions
-----------
Panels stand where they stand on paper, at 100 pixels an inch, with the legend on the right. On an axis
that Plotly has not (symmetric logarithms) marks lie where they lie on paper, and say their own numbers.
Pictures of sounds are cells of a byte, 0 where there is none (`cells`; the page unpacks them), and what
each of them is (`meta`); those of more than ALONE or AMONG cells across are told by means of cells.
"""

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.text import Text

Chart = dict[str, Any]  # {"data": traces, "layout": layout}

ALONE, AMONG = 128, 64  # cells across a picture at most, alone and among others
STEPS = 254  # of a cell of a picture of sound, from the least of its colours to the most


@dataclass(frozen=True)
class Strips:
    """What an image of pictures of sounds shows: pictures of `size` (rows, frames), one at every `apart`
    (rows, columns) from the upper left, the highest frequency on top; the names of their lines and columns;
    `seconds` of a frame, and `hertz` of the rows, the lowest first."""

    names: list[str]
    heads: list[str]
    size: tuple[int, int]
    apart: tuple[int, int]
    seconds: float
    hertz: list[float]


STRIPS: "WeakKeyDictionary[AxesImage, Strips]" = WeakKeyDictionary()  # of drawn images

MUTE = "mute"  # the gid of marks whose place is no number
INCH, LEGEND = 100, 240  # pixels
NUMBERED = 256  # cells that carry their numbers
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
SYMBOLS = {
    "o": "circle", ".": "circle", "s": "square", "^": "triangle-up", "v": "triangle-down", "D": "diamond",
    "P": "cross", "X": "x", "x": "x-thin-open", "|": "line-ns-open", "_": "line-ew-open",
}  # fmt: skip


def chart(figure: "Figure") -> Chart | None:
    """A figure whose layout is settled; None where nothing in it can be pointed at."""
    wide, high = (float(inches) * INCH for inches in figure.get_size_inches())
    share = wide / (wide + LEGEND)
    traces: list[Chart] = []
    layout: Chart = {
        "width": wide + LEGEND, "height": high, "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "hovermode": "closest", "plot_bgcolor": "#fff", "annotations": [], "shapes": [],
        "legend": {"x": share, "xanchor": "left", "y": 1.0, "font": {"size": 11}},
    }  # fmt: skip
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>" or not axes.get_visible():
            continue
        number = str(sum(key.startswith("xaxis") for key in layout) + 1)
        found = _traces(axes)
        if not found:
            continue
        place = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        traces += [_laid(trace, axes) | place for trace in found]
        box = axes.get_position()
        layout[f"xaxis{number}"] = _axis(axes, "x", (share * box.x0, share * box.x1), number)
        layout[f"yaxis{number}"] = _axis(axes, "y", (box.y0, box.y1), number)
        layout["shapes"] += [_shape(patch, axes, number) for patch in _areas(axes)]
        layout["annotations"] += _words(axes, number)
    named: set[str] = set()
    for trace in traces:  # a name stands in the legend once
        trace["showlegend"] = bool(trace["name"]) and trace["name"] not in named
        named.add(trace["name"])
    return {"data": traces, "layout": layout} if traces else None


def _traces(axes: "Axes") -> list[Chart]:
    from matplotlib.collections import LineCollection, PathCollection
    from matplotlib.container import BarContainer, ErrorbarContainer

    labels = {
        c.lines[0]: c.get_label() for c in axes.containers if isinstance(c, ErrorbarContainer)
    }
    found = [_bars(c) for c in axes.containers if isinstance(c, BarContainer)]
    rows, columns = ((_ticks(axis) or {}).get("ticktext", []) for axis in (axes.yaxis, axes.xaxis))
    for image in axes.images:
        if image in STRIPS:
            found.append(_strips(image, STRIPS[image]))
        elif np.ma.shape(image.get_array()) == (len(rows), len(columns)):  # else it is of a sound
            found.append(_matrix(image, rows, columns))
    for many in axes.collections:
        if isinstance(many, PathCollection) and np.size(many.get_offsets()):
            found.append(_points(many))
        elif isinstance(many, LineCollection) and many.get_segments():
            ends = [np.vstack([segment, [[np.nan, np.nan]]]) for segment in many.get_segments()]
            colour = _hex(many.get_edgecolor()[0])
            style = {"mode": "lines", "line": {"color": colour, "width": 1.5}, "hoverinfo": "skip"}
            found.append(_scatter(np.vstack(ends), many, "") | style)
    for line in axes.lines:
        points = np.asarray(line.get_xydata(), float)
        if line.get_transform() != axes.transData:  # from side to side
            points = axes.transData.inverted().transform(line.get_transform().transform(points))
        drawn = DASHES.get(str(line.get_linestyle()))
        symbol = SYMBOLS.get(str(line.get_marker()))
        mode = "+".join(["lines"] * (drawn is not None) + ["markers"] * (symbol is not None))
        if not mode:
            continue
        colour, size = _hex(line.get_color()), float(line.get_markersize()) * INCH / 72
        made = _scatter(points, line, str(labels.get(line, line.get_label()))) | {"mode": mode}
        if drawn is not None:
            made["line"] = {"color": colour, "dash": drawn, "width": 1.4 * line.get_linewidth()}
            made["line"]["shape"] = "hv" if line.get_drawstyle() == "steps-post" else "linear"
        if symbol is not None:
            edge = {"color": colour, "width": line.get_markeredgewidth()}
            made["marker"] = {"color": colour, "symbol": symbol, "size": size, "line": edge}
        if line.get_gid() == MUTE:
            made["hoverinfo"] = "skip"
        found.append(made)
    return found


def _own(axis: "Axis") -> bool:
    """Whether Plotly has such an axis."""
    return axis.get_scale() in ("linear", "log")


def _laid(trace: Chart, axes: "Axes") -> Chart:
    """The marks where they lie on paper, with their own numbers to point at."""
    strange = {c: a for c, a in (("x", axes.xaxis), ("y", axes.yaxis)) if not _own(a)}
    if not strange or trace["type"] != "scatter":
        return trace
    true = [[x, y] for x, y in zip(trace["x"], trace["y"], strict=True)]
    moved = {c: _numbers(_on_paper(a, trace[c])) for c, a in strange.items()}
    told = "%{customdata[0]:.5g}, %{customdata[1]:.5g}"
    told = {} if "hoverinfo" in trace else {"customdata": true, "hovertemplate": told}
    return trace | moved | told


def _on_paper(axis: "Axis", values: Any) -> np.ndarray:
    return axis.get_transform().transform(np.asarray(values, float))


def _strips(image: "AxesImage", shown: Strips) -> Chart:
    """An image of pictures of sounds, its upper line first."""
    values = np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan)
    values = values if image.origin == "upper" else values[::-1]
    left, right, bottom, top = image.get_extent()
    most = AMONG if len(shown.names) * len(shown.heads) > 1 else ALONE
    blocks = [-(-size // most) for size in shown.size]
    pictures = [
        [_pooled(values[i * shown.apart[0] :, j * shown.apart[1] :], shown.size, blocks) for j in
         range(len(shown.heads))]
        for i in range(len(shown.names))
    ]  # fmt: skip
    size = pictures[0][0].shape
    apart = tuple(-(-whole // block) for whole, block in zip(shown.apart, blocks, strict=True))
    edges = [(0, around - inner) for around, inner in zip(apart, size, strict=True)]
    sheet = np.block([[np.pad(p, edges, constant_values=np.nan) for p in row] for row in pictures])
    wide, high = (right - left) / sheet.shape[1], (bottom - top) / sheet.shape[0]
    least, loudest = image.get_clim()
    steps = 1.0 + np.round(STEPS * (np.clip(sheet, least, loudest) - least) / (loudest - least))
    cells = np.nan_to_num(steps, nan=0.0).astype(np.uint8)
    hertz = [float(np.mean(part)) for part in _parts(shown.hertz[::-1], blocks[0])][::-1]
    meta = replace(shown, size=size, apart=apart, hertz=hertz, seconds=shown.seconds * blocks[1])
    return {
        "type": "heatmap", "cells": base64.b64encode(cells.tobytes()).decode(), "name": "",
        "columns": sheet.shape[1], "x0": left + 0.5 * wide, "dx": wide, "y0": top + 0.5 * high,
        "dy": high, "zmin": least, "zmax": loudest, "colorscale": _scale(image.get_cmap()),
        "showscale": False, "hoverinfo": "none", "meta": asdict(meta),
    }  # fmt: skip


def _pooled(values: np.ndarray, size: tuple[int, int], blocks: Sequence[int]) -> np.ndarray:
    """The means of blocks (rows, frames) of the picture in the upper left."""
    values = values[: size[0], : size[1]]
    for axis, block in enumerate(blocks):
        parts = _parts(values, block, axis)
        values = np.stack([part.mean(axis) for part in parts], axis) if block > 1 else values
    return values


def _parts(values: Any, block: int, axis: int = 0) -> list[np.ndarray]:
    values = np.asarray(values)
    return np.split(values, range(block, values.shape[axis], block), axis)


def _scatter(points: np.ndarray, artist: "Artist", label: str) -> Chart:
    return {
        "type": "scatter", "x": _numbers(points[:, 0]), "y": _numbers(points[:, 1]),
        "name": _plain(label), "opacity": 1.0 if artist.get_alpha() is None else artist.get_alpha(),
    }  # fmt: skip


def _points(many: Any) -> Chart:
    made = _scatter(np.asarray(many.get_offsets(), float), many, str(many.get_label()))
    marker: Chart = {"size": 1.4 * float(np.sqrt(many.get_sizes()[0]))}
    if many.get_array() is None:
        marker["color"] = _hex(many.get_facecolor()[0])
    else:
        low, high = many.get_clim()
        colours = {"cmin": low, "cmax": high, "colorscale": _scale(many.get_cmap())}
        marker |= {"color": _numbers(many.get_array()), **colours}
    return made | {"mode": "markers", "marker": marker}


def _bars(bars: Any) -> Chart:
    """Bars of one container, with the number that each is long."""
    along = bars.orientation == "vertical"
    patches = bars.patches
    thick = [p.get_width() if along else p.get_height() for p in patches]
    start = [p.get_x() if along else p.get_y() for p in patches]
    middle = _numbers(np.add(start, np.divide(thick, 2.0)))
    length = _numbers([p.get_height() if along else p.get_width() for p in patches])
    label = str(bars.get_label())
    return {
        "type": "bar", "orientation": "v" if along else "h", "name": _plain(label),
        "x": middle if along else length, "y": length if along else middle,
        "base": _numbers([p.get_y() if along else p.get_x() for p in patches]), "width": _numbers(thick),
        "marker": {"color": [_hex(p.get_facecolor()) for p in patches]}, "customdata": length,
        "hovertemplate": "%{customdata:.4g}<extra></extra>",
    }  # fmt: skip


def _matrix(image: Any, rows: list[str], columns: list[str]) -> Chart:
    values = np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan)
    low, high = image.get_clim()
    names = [[f"{row} / {column}" for column in columns] for row in rows]
    return {
        "type": "heatmap", "z": [_numbers(line) for line in values], "name": "", "zmin": low,
        "zmax": high, "colorscale": _scale(image.get_cmap()), "showscale": False, "customdata": names,
        "hovertemplate": "%{customdata}: %{z:.3f}<extra></extra>",
        "texttemplate": "%{z:.2f}" if values.size <= NUMBERED else "",
    }  # fmt: skip


def _axis(axes: "Axes", along: str, domain: tuple[float, float], number: str) -> Chart:
    axis, limits, label, beside = (
        (axes.xaxis, axes.get_xlim(), axes.get_xlabel(), "labelbottom")
        if along == "x"
        else (axes.yaxis, axes.get_ylim(), axes.get_ylabel(), "labelleft")
    )
    made: Chart = {
        "domain": list(domain), "anchor": f"{'y' if along == 'x' else 'x'}{number}", "zeroline": False,
        "title": {"text": _plain(label), "font": {"size": 12}, "standoff": 4}, "linecolor": "#999",
        "gridcolor": "#E5E5E5", "range": [float(end) for end in limits], "tickfont": {"size": 10},
        "showticklabels": bool(axis.get_tick_params().get(beside, True)),
    }  # fmt: skip
    if axis.get_tick_params().get("labeltop"):
        made |= {"side": "top", "showticklabels": True, "showgrid": False}
    if axis.get_scale() == "log":
        return made | {"type": "log", "dtick": 1, "range": np.log10(limits).tolist()}
    made |= _ticks(axis) or {}
    if not _own(axis):
        made["range"] = _numbers(_on_paper(axis, limits))
        places = axis.get_majorticklocs()
        made.setdefault("ticktext", [f"{v:g}" for v in places])
        made["tickvals"] = _numbers(_on_paper(axis, places))
    return made


def _ticks(axis: "Axis") -> Chart | None:
    """Ticks that were set by hand, with their words."""
    from matplotlib.ticker import FixedLocator, NullLocator

    if isinstance(axis.get_major_locator(), NullLocator):
        return {"tickvals": [], "ticktext": []}
    if not isinstance(axis.get_major_locator(), FixedLocator):
        return None
    texts = [_plain(text.get_text()) for text in axis.get_majorticklabels()]
    return {"tickvals": _numbers(axis.get_majorticklocs()), "ticktext": texts}


def _areas(axes: "Axes") -> list[Any]:
    """Shaded areas and frames: rectangles that are no bars."""
    from matplotlib.container import BarContainer
    from matplotlib.patches import Rectangle

    bars = {id(p) for c in axes.containers if isinstance(c, BarContainer) for p in c.patches}
    return [p for p in axes.patches if isinstance(p, Rectangle) and id(p) not in bars]


def _shape(patch: Any, axes: "Axes", number: str) -> Chart:
    corners = patch.get_transform().transform([(0.0, 0.0), (1.0, 1.0)])
    ends = axes.transData.inverted().transform(corners).T
    (x0, x1), (y0, y1) = (
        (end if _own(axis) else _on_paper(axis, end)).tolist()
        for end, axis in zip(ends, (axes.xaxis, axes.yaxis), strict=True)
    )
    fill = _hex(patch.get_facecolor()) if patch.get_fill() else "rgba(0,0,0,0)"
    edge = {"color": _hex(patch.get_edgecolor()), "width": 0 if patch.get_fill() else 1.6}
    return {
        "type": "rect", "xref": f"x{number}", "yref": f"y{number}", "x0": x0, "x1": x1, "y0": y0, "y1": y1,
        "fillcolor": fill, "line": edge, "layer": "below" if patch.get_fill() else "above",
    }  # fmt: skip


def _words(axes: "Axes", number: str) -> list[Chart]:
    """Its title, and the words at its marks, where they stand on paper."""
    texts: list[Text] = [] if axes.images else list(axes.texts)
    inside = axes.transAxes.inverted()
    made = []
    for text in (axes.title, *texts):
        if not text.get_text():
            continue
        box = text.get_window_extent()
        x, y = inside.transform((box.x0, (box.y0 + box.y1) / 2.0)).tolist()
        made.append({
            "text": _plain(text.get_text()), "x": x, "y": y, "xref": f"x{number} domain",
            "yref": f"y{number} domain", "xanchor": "left", "yanchor": "middle", "showarrow": False,
            "font": {"size": 1.25 * float(text.get_fontsize())},
        })  # fmt: skip
    return made


def _plain(text: str) -> str:
    """A text of matplotlib's as Plotly shows it: "" for names that are none, and no tags."""
    text = "" if text.startswith("_") else text.strip().replace(r"\$", "$")
    return "".join(f"&#{ord(c)};" if c in "&<>" else c for c in text)


def _hex(colour: Any) -> str:
    from matplotlib.colors import to_hex

    return to_hex(colour)


def _scale(colours: "Colormap") -> list[list[Any]]:
    return [[float(at), _hex(colours(float(at)))] for at in np.linspace(0.0, 1.0, 17)]


def _numbers(values: Any) -> list[float | None]:
    """As JSON has them: what is not finite is none."""
    return [float(v) if np.isfinite(v) else None for v in np.asarray(values, float).ravel()]
