"""Figures over epochs, frequency, time, dimensions and pitch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from timbrespace.evaluation.figures.charts import MUTE
from timbrespace.evaluation.figures.style import (
    CEILING,
    COLOURS,
    FLOOR,
    MEAN,
    MODEL,
    Drawing,
    png,
    quiet,
    sheet,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TERMS = "raw, without weights"
OVERLAID = 3  # panels in a row
Points = tuple[Sequence[float], Sequence[float]]
STYLES = ("-", "--", ":", "-.")
LOST_CENTS = 5000.0  # where sounds without a pitch are drawn, beyond four octaves


def training_curves(
    history: Sequence[dict[str, float]], floors: dict[str, float | None]
) -> bytes | None:
    """Distortion, rate, beta and the raw terms per epoch from history.csv, floors {name: dB} as dashed lines.

    None when there is no finished epoch or no known column.
    """
    from matplotlib.ticker import MaxNLocator

    shown = training_panels(history)
    if not shown:
        return None
    figure = sheet(3.1 * len(shown), 2.8)
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
        if unit == TERMS:
            axes.set_yscale("symlog", linthresh=1.0)
        elif unit != "beta":
            # room above for the legend of the first panel
            axes.set_ylim(0, (1.35 if place == 0 else 1.08) * max(axes.get_ylim()[1], 1e-9))
        quiet(axes)
        if len(axes.get_legend_handles_labels()[1]) > 1:
            loc = "best" if unit == TERMS else "upper right"
            axes.legend(fontsize=7.5, framealpha=0.8, edgecolor="none", loc=loc)
    return png(figure)


def training_panels(
    history: Sequence[dict[str, float]],
) -> list[tuple[str, str, list[tuple[str, str, str]]]]:
    """What is drawn of history.csv: panels (title, unit, curves), each curve a column that is there, its
    name and its colour."""
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
        (
            "Terms on training sounds", TERMS,
            [(f"train_{n}", n, c) for n, c in zip(_terms(history), COLOURS, strict=False)],
        ),
    ]  # fmt: skip
    there = {name for line in history for name in line}
    known = [(title, unit, [c for c in curves if c[0] in there]) for title, unit, curves in panels]
    return [panel for panel in known if panel[2]]


def _terms(history: Sequence[dict[str, float]]) -> list[str]:
    """The terms of the objective in history.csv: not their total, nor the same in other units."""
    names = [
        key.removeprefix("train_")
        for key in (history[0] if history else ())
        if key.startswith("train_")
    ]
    return [n for n in names if n not in ("total", "mse") and not n.endswith("_nats")]


def where(by_band: dict[str, list[float]], by_time: dict[str, list[float]]) -> bytes:
    """The error of the model over frequency ("hertz") and over time ("seconds"), beside that of the mean
    sound: lists "rmse_db", "bias_db", "mean_sound_rmse_db" of equal length."""
    figure = sheet(9.2, 3.0)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, lines, unit in zip(panels, (by_band, by_time), ("hertz", "seconds"), strict=True):
        places = lines[unit]
        axes.plot(places, lines["mean_sound_rmse_db"], "--", color=FLOOR, label="mean sound, RMSE")
        axes.plot(places, lines["rmse_db"], color=MODEL, label="model, RMSE")
        axes.plot(places, lines["bias_db"], ":", color=COLOURS[0], label="model, mean error")
        axes.axhline(0.0, color="#555555", linewidth=0.8)
        axes.set_xlabel(unit)
        quiet(axes)
    panels[0].set_xscale("log")
    panels[0].set_xlim(max(min(f for f in by_band["hertz"] if f > 0.0), 20.0), None)
    panels[0].set_ylabel("dB")
    panels[1].legend(fontsize=7.5, framealpha=0.8, edgecolor="none")
    return png(figure)


def overlaid(
    panels: Sequence[tuple[str, str, str, dict[str, list[Points]]]], runs: Sequence[str]
) -> Drawing:
    """Panels (title, x, y, {name: curves}) of several runs over each other: a name looks the same in all
    and stands in the legend once; what is none of `runs` is a floor. An x in hertz is logarithmic."""
    looks = {name: (COLOURS[i % 8], STYLES[i // 8 % 4]) for i, name in enumerate(runs)}
    across = min(len(panels), OVERLAID)
    down = -(-len(panels) // across)
    figure = sheet(3.4 * max(across, 2), 2.6 * down + 0.3 + 0.2 * (len(runs) // 5))
    places = figure.subplots(down, across, squeeze=False).ravel()
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    for axes, (title, x, y, lines) in zip(places, panels, strict=False):
        for name, curves in lines.items():
            colour, style = looks.get(name, (FLOOR, "--"))
            for at, points in enumerate(curves):
                label = None if at else shorten(name, 28)
                axes.plot(*points, style, color=colour, linewidth=1.2, label=label)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(x, fontsize=8)
        axes.set_ylabel(y, fontsize=8)
        if x == "hertz":
            axes.set_xscale("log")
        else:
            axes.locator_params(axis="x", nbins=6, integer=x == "epoch")
        quiet(axes)
    named = [axes.get_legend_handles_labels() for axes in places]
    handles = {name: line for pair in named for line, name in zip(*pair, strict=True)}
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=2 + across, fontsize=8,
        frameon=False,
    )  # fmt: skip
    return png(figure)


def bits_per_dimension(bits: Sequence[float], idle: float) -> Drawing:
    """Bars of the bits that each dimension keeps, the fullest first; a line at `idle` bits."""
    order = np.argsort(bits)[::-1]
    sorted_bits = np.asarray(bits)[order]
    figure = sheet(7.2, 2.4)
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
    quiet(axes)
    return png(figure)


def pitch_errors(wanted: np.ndarray, model: np.ndarray, ceiling: np.ndarray) -> Drawing:
    """Errors of pitch in cents (N,), NaN where no pitch is heard, over the MIDI number wanted (N,); and
    the share of sounds whose error is smaller than that."""
    figure = sheet(9.0, 3.6)
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
        left.plot(wanted[lost], np.full(lost.sum(), -row), gid=MUTE, **{**style, "marker": "x"})
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
        quiet(axes)
    right.legend(fontsize=8, frameon=False, loc="lower right")
    return png(figure)


def pitches_heard(own: np.ndarray, asked: np.ndarray, heard: np.ndarray) -> bytes:
    """MIDI numbers heard (N,), NaN for none, over those asked for and over the sounds' own."""
    figure = sheet(8.2, 3.8)
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
        quiet(axes)
    panels[0].set_ylabel("pitch heard" + (" (x: none)" if lost.any() else ""))
    return png(figure)


def _note_names(axes: "Axes", *, along: str = "x") -> None:
    """Names of the Cs on an axis of MIDI numbers."""
    low, high = axes.get_xlim() if along == "x" else axes.get_ylim()
    notes = [n for n in range(0, 128, 12) if low <= n <= high]
    names = [f"C{n // 12 - 1}" for n in notes]
    (axes.set_xticks if along == "x" else axes.set_yticks)(notes, names)
