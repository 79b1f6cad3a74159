"""Pictures of sounds: one beside its model, strips of many, spectrograms."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from timbrespace.audio.scratch import Samples
from timbrespace.evaluation.figures.charts import STRIPS, Strips, chart
from timbrespace.evaluation.figures.style import DPI, Picture, png, sheet, shorten
from timbrespace.features.decibels import LEAST_POWER, Decibels
from timbrespace.features.spectrogram import Spectrogram

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIFFERENCE_DB = 20.0  # full colour of a difference map
STRIP = 0.85  # inches of height of each row of pictures
COLUMNS = 1200  # of a long sound's spectrogram


def sounds(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], feature: Decibels
) -> list[Picture]:  # fmt: skip
    """PNG of original, model and model minus original of each sound; pairs of pictures (rows, frames) in
    [-1, 1], all of one size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imsave

    unit = feature.db_per_unit
    panels = [
        ("original", "magma", feature.floor_db, 0.0), ("model", "magma", feature.floor_db, 0.0),
        ("model - original", "RdBu_r", -DIFFERENCE_DB, DIFFERENCE_DB),
    ]  # fmt: skip
    # places by hand: the automatic layout takes longer than everything else in the report
    figure = Figure(figsize=(9.0, 2.3), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    seconds = pairs[0][0].shape[1] * feature.hop / feature.sample_rate
    top = feature.row_of(feature.sample_rate / 2.0)
    hertz = [f for f in (250, 500, 1000, 2000, 4000, 8000, 16000) if feature.row_of(f) <= top]
    bars = (None, 0.602, 0.932)
    images = []
    for left, bar, (title, colours, low, high) in zip(
        (0.055, 0.335, 0.67), bars, panels, strict=True
    ):
        axes = figure.add_axes((left, 0.19, 0.255, 0.69))
        image = axes.imshow(
            np.zeros_like(pairs[0][0]), origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=high,
            extent=(0.0, seconds, 0.0, top), interpolation="nearest",
        )  # fmt: skip
        images.append(image)
        size = pairs[0][0].shape[0], pairs[0][0].shape[1]
        STRIPS[image] = _strips_of([""], [title], size, size, feature)
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
    canvas.draw()
    # all but the pictures is drawn once: letters take ten times as long
    sheet_of_all, files = canvas.copy_from_bbox(figure.bbox), []
    for original, made in pairs:
        made = np.clip(made, -1, 1)
        canvas.restore_region(sheet_of_all)
        shown = ((original - 1) * unit, (made - 1) * unit, (made - original) * unit)
        for image, values in zip(images, shown, strict=True):
            image.set_data(values)
            for artist in (image, *image.axes.spines.values()):
                image.axes.draw_artist(artist)
        data = io.BytesIO()
        imsave(data, canvas.buffer_rgba(), format="png", dpi=DPI, metadata={"Software": ""})
        picture = Picture(data.getvalue())
        picture.pointed = chart(figure)
        files.append(picture)
    return files


def _strips_of(
    names: Sequence[str], heads: Sequence[str], size: tuple[int, int], apart: tuple[int, int],
    feature: Decibels,
) -> Strips:  # fmt: skip
    second, hertz = feature.hop / feature.sample_rate, feature.frequencies.tolist()
    return Strips(list(names), list(heads), size, apart, second, hertz)


def spectrograms(sounds: Mapping[str, Samples], sample_rate: int) -> bytes:
    """Sounds (n,) of one rate side by side, each under its title, in dB below the loudest of the first."""
    n_fft = 1024 if sample_rate <= 24000 else 2048
    feature = Spectrogram(sample_rate, n_fft=n_fft, hop=n_fft // 4)
    figure = sheet(2.9 * len(sounds) + 0.8, 3.4)
    panels = figure.subplots(1, len(sounds), sharey=True, squeeze=False)[0]
    loudest = None
    for axes, (title, samples) in zip(panels, sounds.items(), strict=True):
        frames = 1 + len(samples) // feature.hop
        together = -(-frames // COLUMNS)  # frames that share a column: the loudest is seen
        shown, first = torch.zeros(-(-frames // together), feature.height), 0
        for power in feature.powers(samples):
            column = torch.arange(first, first + len(power)) // together
            shown.scatter_reduce_(0, column[:, None].expand_as(power), power, "amax")
            first += len(power)
        db = 10.0 * shown.T.clamp_min(LEAST_POWER).log10()
        loudest = db.max() if loudest is None else loudest
        axes.imshow(
            (db - loudest).numpy(), origin="lower", aspect="auto", cmap="magma",
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
    return png(figure)


def strips(
    rows: Sequence[tuple[str, np.ndarray]], heads: Sequence[str], feature: Decibels,
    differences: tuple[str, Sequence[np.ndarray]] | None = None,
) -> bytes:  # fmt: skip
    """Rows of pictures (n, rows, frames) in [-1, 1], each under its head; `differences`, a title and one
    difference of pictures a row, stand on the right."""
    from matplotlib.figure import Figure

    height = 0.3 + STRIP * len(rows)
    figure = Figure(figsize=(9.0, height), dpi=DPI)
    draw_strips(figure, height, rows, heads, feature, differences)
    return png(figure)


def draw_strips(
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
        lines = [name for name, _ in rows]
        STRIPS[shown] = _strips_of(lines, titles, (tall, wide), apart, feature)
        axes.set_xticks([(j + 0.5) * apart[1] for j in range(len(titles))], titles, fontsize=8)
        names = [shorten(name, 26) if left < 0.5 else "" for name, _ in rows]
        axes.set_yticks([(i + 0.5) * apart[0] for i in range(len(rows))], names, fontsize=8)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(
            shown, cax=figure.add_axes((end + 0.008, low + 0.15 * full, 0.009, 0.7 * full))
        )
        bar.ax.tick_params(labelsize=7)
        bar.ax.set_title("dB", fontsize=7)
