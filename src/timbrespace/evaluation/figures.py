"""Figures as PNG bytes: curves, bars, pictures of sounds and maps.

Conventions
-----------
Every function takes numbers and returns the bytes of one PNG; nothing is shown, no global state of
matplotlib is touched. Colours are those of Okabe & Ito (2008), distinct to colour-blind eyes, and
names also differ by marker; numbers use cividis, differences a blue-white-red scale that is white
at nothing. Labels are drawn as they are (no mathematics in dollar signs) and shortened when long.
"""

import io
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from timbrespace.features.decibels import Decibels
from timbrespace.features.spectrogram import Spectrogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MODEL, MEAN, FLOOR, CEILING = "#D55E00", "#E69F00", "#8C8C8C", "#009E73"
NAMES_SHOWN = 20  # in a legend; the rest are "other"
DIFFERENCE_DB = 20.0  # full colour of a difference map
STRIP = 0.85  # inches of height of each row of pictures
COLUMNS = 1200  # of a long sound's spectrogram
LOST_CENTS = 5000.0  # where sounds without a pitch are drawn, beyond four octaves
DPI = 110


def training_curves(
    history: Sequence[dict[str, float]], floors: dict[str, float | None]
) -> bytes | None:
    """Distortion, rate and beta per epoch from history.csv, floors {name: dB} as dashed lines.

    None when there is no finished epoch or no known column.
    """
    from matplotlib.ticker import MaxNLocator

    panels = [
        (
            "Distortion on validation sounds", "dB RMSE",
            [("valid_rmse_db", "z sampled", MODEL), ("valid_rmse_db_at_mean", "z = mu", MEAN)],
        ),
        ("Rate", "bits per sound", [("valid_bits", "validation", MODEL)]),
        ("Active units", "dimensions", [("valid_active_units", "validation", MODEL)]),
        (
            "Codes used on validation sounds", "codes",
            [(f"valid_codes_used_{n + 1}", f"level {n + 1}", c) for n, c in enumerate(COLOURS)],
        ),
        ("Weight of the KL term", "beta", [("beta", "beta", "#0072B2")]),
    ]  # fmt: skip
    shown = [p for p in panels if any(name in line for name, *_ in p[2] for line in history)]
    if not shown:
        return None
    figure = _figure(3.1 * len(shown), 2.8)
    for place, (title, unit, curves) in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), place + 1)
        for name, label, colour in curves:
            points = [(line["epoch"], line[name]) for line in history if name in line]
            if points:
                x, y = np.array(points).T
                axes.plot(x, y, color=colour, label=label, marker="o", markersize=3)
        if place == 0:
            styles = ("--", ":", "-.")
            for (name, value), style in zip(floors.items(), styles, strict=False):
                if value is not None:
                    axes.axhline(value, color="#555555", linestyle=style, linewidth=1, label=name)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if unit != "beta":
            # room above for the legend of the first panel
            axes.set_ylim(0, (1.35 if place == 0 else 1.08) * max(axes.get_ylim()[1], 1e-9))
        _quiet(axes)
        if len(axes.get_legend_handles_labels()[1]) > 1:
            axes.legend(fontsize=7.5, framealpha=0.8, edgecolor="none", loc="upper right")
    return _png(figure)


def standing(values: Sequence[tuple[str, float, str]]) -> bytes:
    """Bars of dB RMSE, (name, dB, "model" | "floor" | "ceiling"), in the order given, from the
    top."""
    colours = {"model": MODEL, "floor": FLOOR, "ceiling": CEILING}
    figure = _figure(7.2, 0.6 + 0.3 * len(values))
    axes = figure.add_subplot()
    place = np.arange(len(values))
    axes.barh(place, [v for _, v, _ in values], color=[colours[kind] for *_, kind in values])
    for at, (_, value, _) in zip(place, values, strict=True):
        axes.annotate(
            f"{value:.1f}", (value, at), (3, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set_yticks(place, [_label(name, 60) for name, *_ in values])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1 * max(v for _, v, _ in values) + 1e-9)
    axes.set_xlabel("dB RMSE, less is better")
    _quiet(axes)
    return _png(figure)


def where(by_band: dict[str, list[float]], by_time: dict[str, list[float]]) -> bytes:
    """The error of the model over frequency ("hertz") and over time ("seconds"), beside that of the mean
    sound: lists "rmse_db", "bias_db", "mean_sound_rmse_db" of equal length."""
    figure = _figure(9.2, 3.0)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, lines, unit in zip(panels, (by_band, by_time), ("hertz", "seconds"), strict=True):
        places = lines[unit]
        axes.plot(places, lines["mean_sound_rmse_db"], "--", color=FLOOR, label="mean sound, RMSE")
        axes.plot(places, lines["rmse_db"], color=MODEL, label="model, RMSE")
        axes.plot(places, lines["bias_db"], ":", color=COLOURS[0], label="model, mean error")
        axes.axhline(0.0, color="#555555", linewidth=0.8)
        axes.set_xlabel(unit)
        _quiet(axes)
    panels[0].set_xscale("log")
    panels[0].set_xlim(max(min(f for f in by_band["hertz"] if f > 0.0), 20.0), None)
    panels[0].set_ylabel("dB")
    panels[1].legend(fontsize=7.5, framealpha=0.8, edgecolor="none")
    return _png(figure)


NAMED = 9  # points that can be named where they lie; of more there is a list


def rate_distortion(
    points: Sequence[tuple[str, float, float]], floors: dict[str, float], *,
    errors: Sequence[tuple[float | None, float | None]] = (),
    linear: Sequence[float | None] = (),
) -> bytes:  # fmt: skip
    """The plane of (name, bits per sound, dB RMSE) where they lie, floors {name: dB} that are near
    enough to be seen as dashed lines. `errors` are half widths of each point's intervals along both
    axes, `linear` the dB of the best linear code of each point's rate: a dash, tied to its point."""
    many = len(points) > NAMED
    figure = _figure(8.4, 5.2) if many else _figure(7.2, 4.6)
    axes = figure.add_subplot()
    for number, (name, bits, db) in enumerate(points):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        wide, high = errors[number] if errors else (None, None)
        axes.errorbar(
            bits, db, xerr=wide, yerr=high, color=colour, marker=marker, markersize=7,
            linestyle="", elinewidth=1, capsize=3, label=_label(name, 40),
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
    _quiet(axes)
    if many:
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
        return _png(figure)
    if codes:
        lines, names = axes.get_legend_handles_labels()
        axes.legend([lines[names.index("linear code")]], ["linear code"], fontsize=8, frameon=False)
    figure.draw_without_rendering()  # the layout settles where the points lie
    _name_points(axes, points)
    return _png(figure)


def _name_points(axes: "Axes", points: Sequence[tuple[str, float, float]]) -> None:
    """Names beside their points, each where it covers no point and no other name as far as it can."""
    places = axes.transData.transform([(bits, db) for _, bits, db in points])
    unit = DPI / 72.0
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    edge = axes.get_window_extent()
    taken.append((edge.x1 - 4, edge.y0, edge.x1 + 1000, edge.y1))  # where the floors are named
    for (name, bits, db), (x, y) in zip(points, places, strict=True):
        label = _label(name, 40)
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


def bits_per_dimension(bits: Sequence[float], idle: float) -> bytes:
    """Bars of the bits that each dimension keeps, the fullest first; a line at `idle` bits."""
    order = np.argsort(bits)[::-1]
    sorted_bits = np.asarray(bits)[order]
    figure = _figure(7.2, 2.4)
    axes = figure.add_subplot()
    colours = [MODEL if b > idle else FLOOR for b in sorted_bits]
    axes.bar(np.arange(len(bits)), sorted_bits, color=colours)
    axes.axhline(idle, color="#555555", linestyle=":", linewidth=1)
    if len(bits) <= 40:
        axes.set_xticks(np.arange(len(bits)), [str(d) for d in order], fontsize=7)
    axes.set_xlim(-0.7, len(bits) - 0.3)
    axes.set_ylim(0, max(1.1 * float(sorted_bits[0]), 2 * idle))
    axes.set_xlabel("dimension of the latent, the fullest first")
    axes.set_ylabel("bits per sound")
    _quiet(axes)
    return _png(figure)


def sounds(original: np.ndarray, made: np.ndarray, feature: Decibels) -> bytes:
    """Original, model and model minus original of one sound; pictures (rows, frames) in [-1, 1]."""
    unit = feature.db_per_unit
    panels = [
        ("original", (original - 1) * unit, "magma", feature.floor_db, 0.0),
        ("model", (np.clip(made, -1, 1) - 1) * unit, "magma", feature.floor_db, 0.0),
        (
            "model - original",
            (np.clip(made, -1, 1) - original) * unit, "RdBu_r", -DIFFERENCE_DB, DIFFERENCE_DB,
        ),
    ]  # fmt: skip
    from matplotlib.figure import Figure

    # places by hand: the automatic layout takes longer than everything else in the report
    figure = Figure(figsize=(9.0, 2.3), dpi=DPI)
    seconds = original.shape[1] * feature.hop / feature.sample_rate
    top = feature.row_of(feature.sample_rate / 2.0)
    hertz = [f for f in (250, 500, 1000, 2000, 4000, 8000, 16000) if feature.row_of(f) <= top]
    bars = (None, 0.602, 0.932)
    for left, bar, (title, values, colours, low, high) in zip(
        (0.055, 0.335, 0.67), bars, panels, strict=True
    ):
        axes = figure.add_axes((left, 0.19, 0.255, 0.69))
        image = axes.imshow(
            values, origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=high,
            extent=(0.0, seconds, 0.0, top), interpolation="nearest",
        )  # fmt: skip
        axes.set_title(title, fontsize=9)
        names = [f"{f // 1000}k" if f >= 1000 else str(f) for f in hertz]
        axes.set_yticks([feature.row_of(f) for f in hertz], names if bar is None else [])
        axes.tick_params(labelsize=7)
        axes.set_xlabel("seconds", fontsize=8)
        if bar is None:
            axes.set_ylabel("Hz", fontsize=8)
        else:
            scale = figure.colorbar(image, cax=figure.add_axes((bar, 0.19, 0.01, 0.69)))
            scale.ax.tick_params(labelsize=7)
            scale.ax.set_title("dB", fontsize=8)
    return _png(figure)


def spectrograms(sounds: dict[str, np.ndarray], sample_rate: int) -> bytes:
    """Sounds (n,) of one rate side by side, each under its title, in dB below the loudest of the first."""
    n_fft = 1024 if sample_rate <= 24000 else 2048
    feature = Spectrogram(sample_rate, n_fft=n_fft, hop=n_fft // 4)
    figure = _figure(2.9 * len(sounds) + 0.8, 3.4)
    panels = figure.subplots(1, len(sounds), sharey=True, squeeze=False)[0]
    loudest = None
    for axes, (title, samples) in zip(panels, sounds.items(), strict=True):
        seen = feature.analyse_all(torch.from_numpy(samples))
        loudest = seen.level_db if loudest is None else loudest
        db = (feature.to_db(seen.values) + seen.level_db - loudest).numpy()
        together = -(-db.shape[1] // COLUMNS)  # frames that share a column: the loudest is seen
        db = np.pad(db, ((0, 0), (0, -db.shape[1] % together)), constant_values=feature.floor_db)
        axes.imshow(
            db.reshape(len(db), -1, together).max(2), origin="lower", aspect="auto", cmap="magma",
            vmin=feature.floor_db, vmax=0.0, interpolation="nearest",
            extent=(0.0, len(samples) / sample_rate, 0.0, sample_rate / 2000.0),
        )  # fmt: skip
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("seconds", fontsize=8)
        axes.tick_params(labelsize=7)
    panels[0].set_ylabel("kHz", fontsize=8)
    scale = figure.colorbar(panels[0].images[0], ax=panels, pad=0.01, fraction=0.02)
    scale.ax.tick_params(labelsize=7)
    scale.ax.set_title("dB", fontsize=8)
    return _png(figure)


def pitch_errors(wanted: np.ndarray, model: np.ndarray, ceiling: np.ndarray) -> bytes:
    """Errors of pitch in cents (N,), NaN where no pitch is heard, over the MIDI number wanted (N,); and
    the share of sounds whose error is smaller than that."""
    figure = _figure(9.0, 3.6)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    asked = np.isfinite(wanted)
    kinds = ((ceiling, CEILING, "s", "inversion"), (model, MODEL, "o", "model"))
    for errors, colour, marker, name in kinds:
        style = {
            "color": colour,
            "marker": marker,
            "linestyle": "",
            "markersize": 4.5,
            "alpha": 0.8,
        }
        left.plot(wanted, errors, label=name, **style)
        lost = asked & ~np.isfinite(errors)
        row = LOST_CENTS * (1.0 if errors is model else 0.62)
        left.plot(wanted[lost], np.full(lost.sum(), -row), **{**style, "marker": "x"})
        size = np.sort(np.abs(errors[asked & np.isfinite(errors)]))
        share = np.arange(1, len(size) + 1) / max(1, int(asked.sum()))
        steps = np.r_[0.1, np.maximum(size, 0.1), LOST_CENTS]
        right.step(steps, np.r_[0.0, share, share[-1:] if len(share) else 0.0],
                   where="post", color=colour, label=name)  # fmt: skip
    left.set_yscale("symlog", linthresh=10.0, linscale=0.8)
    left.set_ylim(-1.25 * LOST_CENTS, LOST_CENTS)
    left.axhspan(-50.0, 50.0, color="#EEEEEE", zorder=0)
    for octave in (-2400.0, -1200.0, 1200.0, 2400.0):
        left.axhline(octave, color="#999999", linestyle=":", linewidth=0.8)
    left.set_yticks(
        [-LOST_CENTS, -1200, -50, -10, 0, 10, 50, 1200],
        ["no pitch", "-1 octave", "-50", "-10", "0", "10", "50", "+1 octave"],
    )
    left.minorticks_off()
    _note_names(left)
    left.set_xlabel("pitch wanted")
    left.set_ylabel("cents too high")
    right.set_xscale("log")
    right.set_xlim(0.1, LOST_CENTS)
    right.set_ylim(0.0, 1.02)
    for line in (10.0, 50.0):
        right.axvline(line, color="#999999", linestyle=":", linewidth=0.8)
    right.set_xticks([0.1, 1, 10, 50, 1200], ["0.1", "1", "10", "50", "octave"])
    right.minorticks_off()
    right.set_xlabel("cents off, at most")
    right.set_ylabel("share of sounds")
    for axes in (left, right):
        _quiet(axes)
    right.legend(fontsize=8, frameon=False, loc="lower right")
    return _png(figure)


def pitches_heard(own: np.ndarray, asked: np.ndarray, heard: np.ndarray) -> bytes:
    """MIDI numbers heard (N,), NaN for none, over those asked for and over the sounds' own."""
    figure = _figure(8.2, 3.8)
    panels = figure.subplots(1, 2, sharey=True)
    known = np.r_[own, asked, heard[np.isfinite(heard)]]
    low, high = known.min() - 3.0, known.max() + 3.0
    lost = ~np.isfinite(heard)
    for axes, wanted, name in zip(
        panels, (asked, own), ("pitch of B, asked for", "pitch of A"), strict=True
    ):
        axes.plot([low, high], [low, high], color="#555555", linewidth=1, zorder=0)
        for octave in (-12.0, 12.0):
            axes.plot([low, high], [low + octave, high + octave], color="#999999", linestyle=":",
                      linewidth=0.8, zorder=0)  # fmt: skip
        hit = ~lost & (np.abs(heard - wanted) < 0.5)
        for some, colour, marker in ((hit, CEILING, "o"), (~hit & ~lost, MODEL, "s")):
            axes.plot(wanted[some], heard[some], color=colour, marker=marker, linestyle="",
                      markersize=5, alpha=0.8)  # fmt: skip
        axes.plot(
            wanted[lost], np.full(lost.sum(), low + 1.0), color=FLOOR, marker="x", linestyle=""
        )
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        _note_names(axes)
        _note_names(axes, along="y")
        axes.set_xlabel(name)
        axes.set_title(f"{hit.sum()} of {len(heard)} heard there", fontsize=10)
        _quiet(axes)
    panels[0].set_ylabel("pitch heard" + (" (x: none)" if lost.any() else ""))
    return _png(figure)


def _note_names(axes: "Axes", *, along: str = "x") -> None:
    """Names of the Cs on an axis of MIDI numbers."""
    low, high = axes.get_xlim() if along == "x" else axes.get_ylim()
    notes = [n for n in range(0, 128, 12) if low <= n <= high]
    names = [f"C{n // 12 - 1}" for n in notes]
    (axes.set_xticks if along == "x" else axes.set_yticks)(notes, names)


def agreement(
    rows: Sequence[tuple[str, str, list[tuple[float, tuple[float, float] | None]]]],
    heads: Sequence[str],
    chance: Sequence[float],
) -> bytes:
    """Bars of scores, a panel for each of `heads`, with intervals where there are any. A row is a name, a
    kind ("model", "floor", "published") and its scores; chance is a dotted line a panel."""
    colours = {"model": MODEL, "floor": FLOOR, "published": COLOURS[5]}
    figure = _figure(8.6, 0.26 * len(rows) + 0.9)
    panels = figure.subplots(1, len(heads), sharey=True)
    for number, (axes, words) in enumerate(zip(panels, heads, strict=True)):
        for place, (_, kind, scores) in enumerate(rows):
            score, ends = scores[number]
            axes.barh(place, score - chance[number], left=chance[number], color=colours[kind])
            if ends is not None:
                axes.plot(ends, (place, place), color="#222222", linewidth=1.2)
        axes.axvline(chance[number], color="#222222", linestyle=":", linewidth=1.2)
        axes.set_xlabel(f"{words} (dotted: chance)", fontsize=8)
        _quiet(axes)
    panels[0].set_yticks(range(len(rows)), [_label(name, 44) for name, _, _ in rows], fontsize=8)
    return _png(figure)


def agreement_by_study(
    studies: Sequence[str], scores: dict[str, list[float]], words: str, chance: float
) -> bytes:
    """A line of dots for each study: its score of each way, by name."""
    figure = _figure(8.6, 0.25 * len(studies) + 1.0)
    axes = figure.subplots()
    for (name, values), marker, colour in zip(
        scores.items(), ("X", "D", "o", "^"), (FLOOR, COLOURS[5], MODEL, COLOURS[0]), strict=True
    ):
        places = range(len(studies))
        axes.scatter(values, places, s=36, marker=marker, color=colour, label=name, zorder=3)
    axes.axvline(chance, color="#222222", linestyle=":", linewidth=1.2)
    axes.set_yticks(range(len(studies)), [_label(name, 44) for name in studies], fontsize=8)
    axes.set_xlabel(f"{words} (dotted: chance)", fontsize=8)
    _quiet(axes)
    axes.legend(fontsize=8, framealpha=0.8, edgecolor="none", loc="lower right")
    return _png(figure)


def against_floor(panels: dict[str, dict[str, tuple[float, float, float]]]) -> bytes:
    """A panel for each figure: by name its value, and the low and high end of its range. The range of
    the first name is shaded: who lies in it cannot be told from it."""
    figure = _figure(11.0, 0.9 + 0.28 * max(len(lines) for lines in panels.values()))
    several = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, lines) in zip(several, panels.items(), strict=True):
        names = list(lines)
        middle, low, high = np.array(list(lines.values())).T
        axes.axvspan(low[0], high[0], color="#E3E3E3", zorder=0)
        places = np.arange(len(names))
        axes.hlines(places, low, high, color=MODEL, linewidth=2.0)
        axes.plot(middle, places, "o", color=MODEL, markersize=5.0)
        axes.set_yticks(places, [_label(name, 34) for name in names])
        axes.set_title(title, fontsize=9)
        _quiet(axes)
    several[0].invert_yaxis()
    return _png(figure)


def moves(
    table: np.ndarray, directions: Sequence[str], descriptors: Sequence[str], own: Sequence[int]
) -> bytes:
    """A heat map (directions, descriptors) of what one step moves, in standard deviations, NaN where
    nothing is known; `own`, each direction's own column, is framed."""
    from matplotlib.patches import Rectangle

    rows, columns = table.shape
    figure = _figure(1.9 + 0.62 * columns, 1.0 + 0.32 * rows)
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
    axes.set_xticks(range(columns), [_label(d, 20) for d in descriptors], rotation=40, ha="right")
    axes.set_yticks(range(rows), [_label(d, 20) for d in directions])
    axes.tick_params(labelsize=8, length=0)
    figure.colorbar(drawn, ax=axes, pad=0.02).set_label("standard deviations a step", fontsize=8)
    return _png(figure)


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
    labels = [_label(name, 28) for name in sorted(common)]
    rest = ~np.isin(texts, common)
    if rest.any():
        _scatter(axes, xy, rest, measured, ".", color=FLOOR)
        handles.append(Line2D([], [], color=FLOOR, marker=".", linestyle=""))
        labels.append(f"{len(set(texts[rest]))} others")
    axes.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False
    )
    return _png(figure)


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
    return _png(figure)


def strips(
    rows: Sequence[tuple[str, np.ndarray]], heads: Sequence[str], feature: Decibels,
    differences: tuple[str, Sequence[np.ndarray]] | None = None,
) -> bytes:  # fmt: skip
    """Rows of pictures (n, rows, frames) in [-1, 1], each under its head; `differences`, a title and one
    difference of pictures a row, stand on the right."""
    from matplotlib.figure import Figure

    height = 0.3 + STRIP * len(rows)
    figure = Figure(figsize=(9.0, height), dpi=DPI)
    _strips(figure, height, rows, heads, feature, differences)
    return _png(figure)


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
            *points.T, color=colour, marker=marker, markersize=4, label=_label(name, 40)
        )  # fmt: skip
    for name, point, side in zip("AB", next(iter(ways.values()))[[0, -1]], (-12, 6), strict=True):
        axes.annotate(
            name, point, (side, -4), textcoords="offset points", fontsize=10, weight="bold"
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"A: {_label(ends[0], 50)}    B: {_label(ends[1], 50)}", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _strips(figure, 0.3 + STRIP * len(rows), rows, heads, feature, differences)
    return _png(figure)


def _strips(
    figure: "Figure", height: float, rows: Sequence[tuple[str, np.ndarray]],
    heads: Sequence[str], feature: Decibels, differences: tuple[str, Sequence[np.ndarray]] | None,
) -> None:  # fmt: skip
    """Strips on the lowest `height` inches of a figure, one image of all pictures, in places by hand: axes
    for each, or the automatic layout, would take longer than everything else in the report."""
    unit, (tall, wide) = feature.db_per_unit, rows[0][1].shape[1:]
    apart = tall + max(2, tall // 16), wide + max(2, wide // 16)
    low, full = 0.05 / figure.get_figheight(), (height - 0.3) / figure.get_figheight()
    right = 0.93 if differences is None else 0.79
    pictures = [np.clip(strip, -1.0, 1.0) * unit - unit for _, strip in rows]
    panels = [(pictures, heads, "magma", feature.floor_db, 0.0, 0.16, right)]
    if differences is not None:
        title, changed = differences
        maps = [unit * np.asarray(change)[None] for change in changed]
        panels.append((maps, [title], "RdBu_r", -DIFFERENCE_DB, DIFFERENCE_DB, 0.86, 0.94))
    for strip_rows, titles, colours, least, most, left, end in panels:
        sheet = np.full((len(rows) * apart[0], len(titles) * apart[1]), np.nan)
        for i, strip in enumerate(strip_rows):
            for j, picture in enumerate(strip):
                sheet[i * apart[0] :, j * apart[1] :][:tall, :wide] = picture[::-1]
        axes = figure.add_axes((left, low, end - left, full))
        shown = axes.imshow(
            sheet, aspect="auto", cmap=colours, vmin=least, vmax=most, interpolation="nearest"
        )
        axes.set_xticks([(j + 0.5) * apart[1] for j in range(len(titles))], titles, fontsize=8)
        names = [_label(name, 26) if left < 0.5 else "" for name, _ in rows]
        axes.set_yticks([(i + 0.5) * apart[0] for i in range(len(rows))], names, fontsize=8)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(
            shown, cax=figure.add_axes((end + 0.008, low + 0.15 * full, 0.009, 0.7 * full))
        )
        bar.ax.tick_params(labelsize=7)
        bar.ax.set_title("dB", fontsize=7)


def _map_axes(title: str, width: float) -> "tuple[Figure, Axes]":
    figure = _figure(width, 5.2)
    axes = figure.add_subplot()
    axes.set_title(_label(title, 80), fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color("#CCCCCC")
    return figure, axes


def _scatter(
    axes: "Axes", xy: np.ndarray, chosen: np.ndarray, measured: np.ndarray, marker: str, *,
    color: str | None = None, values: np.ndarray | None = None, low: float = 0.0, high: float = 1.0,
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
            *xy[which].T, s=size, alpha=alpha, marker=marker, rasterized=True, **paint,
            **(edge or {"linewidths": 0}),
        )  # fmt: skip
    return drawn


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _quiet(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def _label(text: str, most: int) -> str:
    text = text if len(text) <= most else text[: most - 1] + "…"
    text = "".join(c if c.isprintable() else "·" for c in text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text  # matplotlib hides labels with _ in front


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()
