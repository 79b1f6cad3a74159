"""The health report as one page for people, that holds everything it shows.

The same corpus gives the same bytes.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from timbrespace.audio.files import printable, read_section, to_wav_bytes
from timbrespace.data.duplicates import coarse
from timbrespace.data.fetching import heard
from timbrespace.data.health import split_words
from timbrespace.data.store import FeatureStore
from timbrespace.data.table import SPLITS, Row
from timbrespace.errors import AudioError
from timbrespace.page import cards, document, escape, image, player, table

SHOWN = 24  # sounds to see and hear
AUDIO_BYTES = 3_900_000  # of WAV; longer sounds are heard as far as that reaches
MOST_CELLS = (128, 256)  # of a picture in the page
BROKEN = 200  # rows of the table of skipped files

BLUE, GREY = "#0072B2", "#8C8C8C"
_MAGMA = (  # every 32nd colour of matplotlib's magma, from quiet to loud
    (0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122), (229, 80, 100),
    (251, 135, 97), (254, 194, 135), (252, 253, 191),
)  # fmt: skip
STYLE = """
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(21rem, 1fr)); gap: 0 2rem; }
.pair svg { width: 100%; max-width: 31rem; height: auto; } figure { margin: .6rem 0; }
.sounds { display: grid; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr));
  gap: 1.2rem 1rem; }
.sounds figure { margin: 0; } .sounds img { width: 100%; height: 7.5rem; }
.sounds audio { width: 100%; margin-top: .3rem; }
"""


def page(found: dict[str, Any], rows: Sequence[Row], store: FeatureStore, root: str) -> str:
    """The HTML of a corpus' health `found` (see `health.check`), with sounds below `root`."""
    name = printable(PurePosixPath(root).name) or "sounds"
    mels, frames = store.feature.yardstick.shape
    body = [
        f"<h1>{escape(name)}: the health of this corpus</h1>",
        f"<p class='quiet'>Read as layout {escape(found['layout'])}; pictures of {mels} "
        f"mels by {frames} frames ({store.feature.seconds:.2f} s at "
        f"{store.feature.sample_rate} Hz). The numbers are in health.json, every file is in "
        "report.jsonl.</p>",
        _warnings(found["warnings"]),
        _cards(found),
        _split(found),
        _labels(found),
        _pitch(found["pitch"]),
        _format(found),
        _levels(found),
        _copies(found),
        _broken(found),
        _pictures(found["pictures"], -2.0 * store.feature.yardstick.db_per_unit),
        _sounds(rows, store, root),
    ]
    return document(f"{name}: health", body, STYLE)


# Words and tables


def _warnings(warnings: list[str]) -> str:
    if not warnings:
        return "<p class='note' role='note'>Nothing to look at; it looks well.</p>"
    items = "".join(f"<li>{escape(w[:1].upper() + w[1:])}.</li>" for w in warnings)
    return f"<div class='note look' role='note'><ul>{items}</ul></div>"


def _cards(found: dict[str, Any]) -> str:
    total = found["seconds"]["total"]
    near = found["near_duplicates"]["sounds"]
    figures = [
        (f"{found['sounds']:,}", f"sounds of {found['used']:,} files"),
        (_duration(total), "in all"),
        (f"{found['skipped']:,}", "files skipped"),
        (f"{sum(found['doubtful_by_code'].values()):,}", "doubts: silence, clipping, DC, cut off"),
        (f"{found['duplicates']:,} + {near:,}", "exact and near copies"),
    ]
    return cards(figures)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _split(found: dict[str, Any]) -> str:
    total = max(1, found["sounds"])
    lines = [(n, found["splits"][n], f"{found['splits'][n] / total:.1%}") for n in SPLITS]
    parts = [
        "<h2>Training, validation, test</h2>",
        f"<p>{escape(split_words(found))}</p>",
        table(("split", "sounds", "share"), lines),
    ]
    leak = found["leak"]
    if leak is not None:
        label, group = leak["label"], leak["group"]
        parts += [
            f"<h3>What this split flatters</h3><p>How often the {escape(label)} of a validation sound "
            "is named right by the 5 nearest training sounds (on the first 64 principal axes of "
            "the pictures): under this split, and when no "
            f"{escape(group)} is in two splits. The difference is memory, not hearing.</p>",
            table(
                ("split", "named right"),
                [
                    ("this one", f"{leak['accuracy']:.1%}"),
                    (f"apart by {group}", f"{leak['apart']:.1%}"),
                    ("always naming the commonest", f"{leak['majority']:.1%}"),
                ],
            ),
        ]
    return "".join(parts)


def _labels(found: dict[str, Any]) -> str:
    if not found["labels"]:
        return "<h2>Labels</h2><p>There are none.</p>"
    parts = ["<h2>Labels</h2>"]
    for name, values in found["label_tables"].items():
        lines = [(str(v), *(c[s] for s in SPLITS), sum(c.values())) for v, c in values["top"]]
        different = found["labels"][name]
        more = f"; the commonest {len(lines)}" if different > len(lines) else ""
        missing = f"; {values['missing']:,} sounds have none" if values["missing"] else ""
        opened = " open" if different <= 12 else ""
        parts.append(
            f"<details{opened}><summary><b>{escape(name)}</b>: {different:,} different{more}{missing}"
            f"</summary>{table((name, *SPLITS, 'sounds'), lines)}</details>"
        )
    return "".join(parts)


def _pitch(pitch: dict[str, Any] | None) -> str:
    if pitch is None:
        return ""
    counts = dict(pitch["counts"])
    low, high = pitch["lowest"], pitch["highest"]
    picture = _bars(
        [p - 0.5 for p in range(low, high + 2)], [counts.get(p, 0) for p in range(low, high + 1)],
        "MIDI pitch (60 is middle C)",
    )  # fmt: skip
    return (
        f"<h2>Pitch</h2><p>{pitch['sounds']:,} sounds have a pitch, from {low} to {high}.</p>"
        f"<div class='pair'>{picture}</div>"
    )


def _format(found: dict[str, Any]) -> str:
    length = found["seconds"]
    short, long_ = length["shortest"], length["longest"]
    told = f"from {short:g} s to {long_:g} s, half of them under {length['median']:g} s"
    if long_ < 1.001 * short:
        told, picture = f"all {long_:g} s long", ""
    else:
        edges = length["histogram"]["edges"]
        picture = _bars(edges, length["histogram"]["counts"], "seconds", log=long_ >= 20 * short)
    rates = [(f"{rate} Hz", count) for rate, count in found["sample_rates"].items()]
    channels = [(number, count) for number, count in found["channels"].items()]
    tables = table(("rate", "sounds"), rates) + table(("channels", "files"), channels)
    return (
        f"<h2>Lengths and formats</h2><p>{found['sounds']:,} sounds, {_duration(length['total'])} "
        f"in all; {told}.</p><div class='pair'>{picture}<div>{tables}</div></div>"
    )


def _levels(found: dict[str, Any]) -> str:
    names = {
        "silent": "silent", "clipped": "clipped", "dc": "a constant offset (DC)",
        "truncated": "cut off",
    }  # fmt: skip
    doubts = found["doubtful_by_code"]
    lines = [(text, doubts.get(code, 0)) for code, text in names.items()]
    levels = found["levels"]
    return (
        "<h2>Levels</h2><div class='pair'>"
        + _bars(**levels["peak_db"], unit="peak of each file, dBFS")
        + _bars(**levels["rms_db"], unit="RMS of each file, dBFS")
        + "</div>"
        + table(("doubtful", "files"), lines)
    )


def _copies(found: dict[str, Any]) -> str:
    near = found["near_duplicates"]
    words = (
        f"{found['duplicates']:,} sounds repeat others byte for byte, "
        f"{found['duplicates_across_splits']:,} of them across splits. {near['sounds']:,} sounds "
        "are near copies (another level, rate or coding of the same sound: their pictures hardly "
        f"differ), and {near['across_splits']:,} pairs of them are across splits."
    )
    if near["compared"] < found["sounds"]:
        words += f" Near copies were looked for among {near['compared']:,} sounds drawn at random."
    if near["layers"]:
        words += (
            f" {near['layers']:,} pairs are velocities of one note that sound the same but for "
            "their level, as samplers make them; they are counted apart."
        )
    if near["in_one_file"]:
        words += f" {near['in_one_file']:,} pairs lie in one file, as loops and chunks do."
    lines = [
        (one, other, "two splits" if apart else "one split", f"{cosine:.4f}")
        for one, other, cosine, apart in near["examples"]
    ]
    heads = ("sound", "nearly the same as", "in", "cosine")
    examples = table(heads, lines, words=3) if lines else ""
    return f"<h2>Copies</h2><p>{words}</p>{examples}"


def _broken(found: dict[str, Any]) -> str:
    if not found["skipped"]:
        return ""
    lines = [(f["path"], f["code"], f["message"]) for f in found["skipped_files"][:BROKEN]]
    more = found["skipped"] - len(lines)
    rest = f"<p class='quiet'>and {more:,} more, in report.jsonl.</p>" if more else ""
    return (
        f"<h2>Skipped files</h2><p>{found['skipped']:,} files could not be used.</p>"
        + table(("file", "code", "why"), lines, words=3)
        + rest
    )


def _pictures(pictures: dict[str, Any], floor_db: float) -> str:
    return (
        "<h2>What the model sees</h2>"
        f"<p>Cells of {pictures['sampled']} pictures drawn at random. Before normalisation, in dB "
        f"of full scale, what lies above the floor ({-floor_db:g} dB below the loudest cell of each "
        f"sound; {pictures['floor_share']:.1%} of the cells are below it). After: -1 is the floor, "
        f"1 the loudest cell (the floor is not drawn); over all sounds mean {pictures['mean']:.3f}, "
        f"standard deviation {pictures['std']:.3f}.</p><div class='pair'>"
        + _bars(**pictures["db"], unit="before: dB", colour=GREY)
        + _bars(**pictures["values"], unit="after: picture value")
        + "</div>"
    )


# Histograms


def _bars(
    edges: Sequence[float], counts: Sequence[float], unit: str, *, log: bool = False,
    colour: str = BLUE,
) -> str:  # fmt: skip
    """A histogram as SVG: counts (n,) between edges (n + 1,), the axis labelled with its unit."""
    left, right, top, bottom, width, height = 46, 8, 8, 34, 460, 170
    places = np.log(edges) if log else np.asarray(edges, float)
    scale = (width - left - right) / (places[-1] - places[0])
    x = left + (places - places[0]) * scale
    most = max(1, max(counts))
    floor = height - bottom
    tall = [c / most * (floor - top) for c in counts]
    bars = "".join(
        f"<rect x='{a:.1f}' y='{floor - h:.1f}' width='{max(b - a - 0.6, 0.6):.1f}' "
        f"height='{h:.1f}'/>"
        for a, b, h in zip(x, x[1:], tall, strict=False)
        if h > 0
    )
    ticks = "".join(
        f"<text x='{left + ((np.log(v) if log else v) - places[0]) * scale:.0f}' y='{floor + 14}' "
        f"text-anchor='middle'>{v:g}</text>"
        for v in _ticks(edges[0], edges[-1], log)
    )
    return (
        f"<figure><svg viewBox='0 0 {width} {height}' role='img' aria-label='{escape(unit)}' "
        "font-size='11' fill='#333'>"
        f"<g fill='{colour}'>{bars}</g>"
        f"<path d='M{left} {floor}H{width - right}' stroke='#999'/>{ticks}"
        f"<text x='{left - 6}' y='{top + 8}' text-anchor='end'>{_short(most)}</text>"
        f"<text x='{left - 6}' y='{floor}' text-anchor='end'>0</text>"
        f"<text x='{(left + width - right) / 2}' y='{height - 4}' text-anchor='middle'>{escape(unit)}"
        "</text></svg></figure>"
    )


def _ticks(low: float, high: float, log: bool) -> list[float]:
    """Round numbers from low to high, some five to eight of them."""
    if log:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high < 200 * low else (1,)
        marks = [step * 10.0**power for power in powers for step in steps]
    else:
        size = 10.0 ** math.floor(math.log10((high - low) / 4))
        step = next(s * size for s in (5, 2, 1) if (high - low) / (s * size) >= 4)
        first = math.ceil(low / step - 1e-9)
        marks = [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]
    return [round(mark, 9) for mark in marks if low - 1e-9 <= mark <= high + 1e-9]


def _short(count: float) -> str:
    """A count in at most four characters: 7200, 72k, 7.2M."""
    for size, name in ((1e6, "M"), (1e3, "k")):
        if count >= 10 * size:
            return f"{count / size:.0f}{name}"
        if count >= size and size > 1e3:
            return f"{count / size:.1f}{name}"
    return f"{count:.0f}"


# Sounds


def _sounds(rows: Sequence[Row], store: FeatureStore, root: str) -> str:
    """SHOWN sounds drawn at random: what the model sees, and the file to hear."""
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(rows), min(SHOWN, len(rows)), replace=False))
    seconds = max(AUDIO_BYTES / (2 * SHOWN * store.feature.sample_rate), 0.5)
    pictures = coarse(store.seen, MOST_CELLS, chosen)
    figures = []
    for row, picture in zip((rows[int(i)] for i in chosen), pictures, strict=True):
        figures.append(
            f"<figure>{image(_png(picture), f'Spectrogram of {row.title}')}"
            f"{_player(row, root, seconds, store.feature.sample_rate)}"
            f"<figcaption>{escape(row.title)}<br><span class='quiet'>row {row.row}, {escape(row.split)}"
            "</span></figcaption></figure>"
        )
    return (
        f"<h2>Listen</h2><p>{len(figures)} sounds drawn at random: the picture that a model sees "
        f"(time to the right, low notes below), and the first {seconds:.1f} s of the sound at "
        f"{store.feature.sample_rate} Hz.</p><div class='sounds'>{''.join(figures)}</div>"
    )


def _player(row: Row, root: str, seconds: float, sample_rate: int) -> str:
    try:
        with heard(root, row.file) as path:
            sound = read_section(
                path, row.start, min(row.seconds, seconds), sample_rate=sample_rate
            )
        return player(to_wav_bytes(sound.mono(), sample_rate))
    except AudioError:
        return "<p class='quiet'>The sound cannot be read any more.</p>"


def _png(picture: np.ndarray) -> bytes:
    """PNG of a picture (mels, frames) in 0..1, low mels at the bottom, in the colours of magma."""
    levels = np.arange(256) / 255.0 * (len(_MAGMA) - 1)
    table = np.array(_MAGMA, float)
    palette = np.stack([np.interp(levels, range(len(table)), c) for c in table.T], 1)
    cells = np.rint(picture[::-1].clip(0, 1) * 255).astype(np.uint8)
    height, width = cells.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), cells], axis=1)  # filter 0

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"PLTE", np.rint(palette).astype(np.uint8).tobytes())
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 6))
        + chunk(b"IEND", b"")
    )
