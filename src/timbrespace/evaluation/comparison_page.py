"""Runs side by side as one page that holds all it shows: table, sentences, pictures, sounds.

Conventions
-----------
A row of the comparison keeps its name in all pictures and its colour in all curves; of several seeds every
run has its curve, and of maps and sounds one run stands for all. What a run has not is left out of a
picture, and a line says so. The page has no script and stays under 20 MB.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from timbrespace.errors import RunError
from timbrespace.evaluation import comparison, examples, figures, interactive
from timbrespace.evaluation.catalogue import at
from timbrespace.evaluation.comparison import Row
from timbrespace.evaluation.figures import matrices
from timbrespace.evaluation.figures.curves import Points, training_panels
from timbrespace.evaluation.latent import ACTIVE_NATS, bits
from timbrespace.evaluation.report import AUDIO_BYTES, STYLE
from timbrespace.evaluation.structure import window_name
from timbrespace.page import contents, document, escape, image, player, table
from timbrespace.runs import Run

BESIDE = {  # a key of a row, in words, and what stands beside it
    "rmse_db": ("error, dB (floor: mean sound)", {
        "floor": "mean_sound_rmse_db", "PCA-32": "pca_32_rmse_db", "linear code": "linear_code_rmse_db",
    }),
    "mr_stft": ("MR-STFT (floor: mean sound)", {
        "floor": "mr_stft_mean_sound", "ceiling": "mr_stft_inversion",
    }),
    "pitch_kept": ("heard within 50 cents (floor: another sound)", {
        "floor": "pitch_kept_another_sound", "ceiling": "pitch_kept_inversion",
    }),
    "family_on_z": ("family read from z (floor: the commonest)", {"floor": "family_majority"}),
    "pitch_on_z": ("pitch read from z (floor: the commonest)", {"floor": "pitch_majority"}),
    "family_across": ("family by other instruments (floor: the commonest)", {
        "floor": "family_across_majority", "PCA-32": "family_across_pca_32",
    }),
    "silhouette": ("silhouette by family (floor: shuffled)", {
        "floor": "silhouette_shuffled", "PCA-32": "silhouette_pca_32",
    }),
    "effect_knn": ("effect by neighbours (floor: chance)", {"floor": "effect_chance"}),
    "knob_mae": ("knobs off (floor: their centre)", {"floor": "knob_mae_centre"}),
}  # fmt: skip
OF_PAIRS = ("effect_knn", "knob_mae")  # asked of runs of pairs alone
ONE_LINE = "td.n { white-space: nowrap; }"
MEAN, IDLE, SHUFFLED = "mean sound", "of no use", "labels shuffled"


@dataclass(frozen=True)
class Side:
    """A row of the comparison, what it is called in the page, and its runs with their metrics."""

    name: str
    row: Row
    runs: list[tuple[Run, dict[str, Any]]]


def page(rows: Sequence[Row]) -> str:
    """The page of the rows of `comparison.rows`."""
    sides = _sides(rows)
    heads, *lines = comparison.cells(rows)
    named = [[_named(side), *line[1:]] for side, line in zip(sides, lines, strict=True)]
    body = [
        f"<h1>{escape(', '.join(side.name for side in sides))}: side by side</h1>",
        _note(rows),
    ]
    below = [
        "<h2>Figures</h2><p>dB and shares are of z sampled; in brackets always naming the commonest. Behind "
        "± half a 95 % interval: of one run, what other instruments would have changed; of several, what "
        "another run would.</p>",
        table(heads, named, words=3),
        *_beside(sides), *_plane(rows), *_training(sides), *_where(sides), *_silhouettes(sides),
        *_rates(sides), *_maps(sides), *_listen(sides),
    ]  # fmt: skip
    return document("Runs side by side", [*body, *contents(below)], STYLE + ONE_LINE)


def _sides(rows: Sequence[Row]) -> list[Side]:
    """Rows with what they are of; those of one name are numbered."""
    names = [comparison.name_of(row) for row in rows]
    sides = []
    for number, (name, row) in enumerate(zip(names, rows, strict=True), start=1):
        told = name if names.count(name) == 1 else f"{name} ({number})"
        several = "n" in row
        paths, metrics = (
            (row["paths"], row["metrics"]) if several else ([row["run"]], [row["metrics"]])
        )
        runs = [(Run.open(path), found) for path, found in zip(paths, metrics, strict=True)]
        sides.append(Side(told, row, runs))
    return sides


def _names(sides: Sequence[Side]) -> list[str]:
    return [side.name for side in sides]


def _named(side: Side) -> str:
    runs = comparison.runs_of(side.row)
    return side.name if side.row.get("n", 1) == 1 else f"{side.name}, {runs}"


def _note(rows: Sequence[Row]) -> str:
    """How the rows differ, a sentence each, and what does not compare."""
    said, warning = comparison.sentences(rows), comparison.warning(rows)
    if warning is not None:
        said = [warning[0].upper() + warning[1:], *said]
    inner = "".join(f"<li>{escape(one)}.</li>" for one in said)
    look = "note" if warning is None else "note look"
    return f"<div class='{look}' role='note'><ul>{inner}</ul></div>" if inner else ""


def _without(names: Iterable[str], what: str) -> str:
    """A line on who has no part in a picture."""
    told = ", ".join(names)
    return f"<p class='quiet'>{escape(what)}: {escape(told)}.</p>" if told else ""


def _beside(sides: Sequence[Side]) -> list[str]:
    panels, unknown = [], []
    for key, (title, others) in BESIDE.items():
        values = {
            kind: [side.row[one] for side in sides] for kind, one in ({"run": key} | others).items()
        }
        if all(value is None for value in values["run"]):
            unknown += [] if key in OF_PAIRS else [title.partition(" (")[0]]
            continue
        known = {kind: v for kind, v in values.items() if any(one is not None for one in v)}
        panels.append((title, known, [side.row[f"{key}_interval"] for side in sides]))
    body = ["<h2>Beside floors and ceilings</h2>"]
    if panels:
        drawn = figures.beside(_names(sides), panels)
        body.append(image(drawn, "Figures of each run with intervals, floors and ceilings"))
    return [*body, _without(unknown, "Not measured of any of them")]


def _plane(rows: Sequence[Row]) -> list[str]:
    head = "<h2>Rate and distortion</h2>"
    try:
        return [head, image(comparison.picture(rows), "Rate-distortion plane of the runs")]
    except RunError as error:
        return [head, f"<p class='quiet'>{escape(error)}.</p>"]


def _training(sides: Sequence[Side]) -> list[str]:
    """The curves of history.csv, a panel for each column."""
    panels: dict[str, tuple[str, str, str, dict[str, list[Points]]]] = {}
    for side in sides:
        for history in (run.history() for run, _ in side.runs):
            for title, unit, curves in training_panels(history):
                for column, label, _ in curves:
                    words = unit if label == unit else f"{label}, {unit}"
                    panel = panels.setdefault(column, (title, "epoch", words, {}))
                    points = [(line["epoch"], line[column]) for line in history if column in line]
                    x, y = zip(*points, strict=True)
                    panel[3].setdefault(side.name, []).append((x, y))
    drawn = {name for *_, curves in panels.values() for name in curves}
    body = ["<h2>Training</h2>"]
    if panels:
        body.append(
            image(figures.overlaid(list(panels.values()), _names(sides)), "Curves over the epochs")
        )
    missing = [side.name for side in sides if side.name not in drawn]
    return [*body, _without(missing, "No finished epoch is written down of")]


def _curves(
    sides: Sequence[Side], read: Callable[[dict[str, Any]], Points | None]
) -> dict[str, list[Points]]:
    """What `read` finds in the metrics of each run, by name."""
    found = {
        side.name: [one for _, metrics in side.runs if (one := read(metrics)) is not None]
        for side in sides
    }
    return {name: curves for name, curves in found.items() if curves}


def _where(sides: Sequence[Side]) -> list[str]:
    """The error over frequency and time, beside that of the mean sound."""

    def reader(axis: str, x: str, y: str) -> Callable[[dict[str, Any]], Points | None]:
        def read(metrics: dict[str, Any]) -> Points | None:
            found = at(metrics, "distortion", axis)
            if not found:
                return None
            shown = [i for i, place in enumerate(found[x]) if x != "hertz" or place > 0.0]
            return [found[x][i] for i in shown], [found[y][i] for i in shown]

        return read

    panels = []
    for axis, unit, title in (
        ("by_band", "hertz", "Error by frequency band"), ("by_time", "seconds", "Error over time"),
    ):  # fmt: skip
        lines = _curves(sides, reader(axis, unit, "rmse_db"))
        floor = next(iter(_curves(sides, reader(axis, unit, "mean_sound_rmse_db")).values()), None)
        if floor is not None:
            panels.append((title, unit, "dB RMSE", lines | {MEAN: floor}))
    body = ["<h2>Where the error lies</h2>"]
    if panels:
        body.append(
            image(figures.overlaid(panels, _names(sides)), "Error of all runs over each other")
        )
    missing = [side.name for side in sides if not panels or side.name not in panels[0][3]]
    return [*body, _without(missing, "The error over frequency and time was not measured of")]


def _rates(sides: Sequence[Side]) -> list[str]:
    """The bits of each dimension, the fullest first."""

    def read(metrics: dict[str, Any]) -> Points | None:
        each = at(metrics, "rate", "bits_per_dimension")
        return None if not each else (range(1, len(each) + 1), sorted(each, reverse=True))

    lines = _curves(sides, read)
    body = ["<h2>Bits of each dimension</h2>"]
    if lines:
        most = max(len(x) for x, _ in chain.from_iterable(lines.values()))
        idle: list[Points] = [((1, most), (bits(ACTIVE_NATS),) * 2)]
        panel = (
            "",
            "dimension of the latent, the fullest first",
            "bits per sound",
            lines | {IDLE: idle},
        )
        body.append(
            image(figures.overlaid([panel], _names(sides)), "Bits per dimension of all runs")
        )
    missing = [side.name for side in sides if side.name not in lines]
    return [*body, _without(missing, "There are no dimensions with bits of their own in")]


def _silhouettes(sides: Sequence[Side]) -> list[str]:
    """The silhouette of each family in z, within windows of pitch: means over the runs of a row."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}  # window -> side -> family -> values
    for side in sides:
        for _, metrics in side.runs:
            names = at(metrics, "structure", "families") or []
            for window, views in (at(metrics, "structure", "silhouette") or {}).items():
                for name, view in ((side.name, "z"), (SHUFFLED, "shuffled_labels")):
                    for family, value in zip(
                        names, at(views, view, "by_family") or [], strict=False
                    ):
                        if value is not None:
                            own = found.setdefault(window, {}).setdefault(name, {})
                            own.setdefault(family, []).append(value)
    families = sorted({f for views in found.values() for each in views.values() for f in each})
    panels = []
    for window, views in found.items():
        order = [*(side.name for side in sides if side.name in views), SHUFFLED]
        means = {
            name: [statistics.fmean(v) if (v := views[name].get(f)) else None for f in families]
            for name in order
            if name in views
        }
        panels.append((window_name(window), means))
    body = ["<h2>Silhouette by family</h2>"]
    if panels:
        body += [
            "<p>Of z, within the sounds measured that lie so far apart in pitch.</p>",
            image(
                matrices.by_family(families, panels, SHUFFLED, "silhouette"),
                "Silhouette of each family of all runs",
            ),
        ]
    drawn = {name for _, views in panels for name in views}
    missing = [side.name for side in sides if side.name not in drawn]
    return [*body, _without(missing, "There is no silhouette by family of")]


def _maps(sides: Sequence[Side]) -> list[str]:
    """The maps by family, small, of the first run of each row that has a space and its corpus."""
    atlases, refused = [], []
    for side in sides:
        try:
            atlases.append(interactive.Atlas.open(side.runs[0][0], side.name))
        except RunError as error:
            refused.append(f"{side.name} ({error})")
    body = ["<h2>Maps</h2>"]
    if atlases:
        try:
            body.append(image(interactive.picture(atlases), "Maps of the runs by family"))
        except RunError as error:
            body.append(f"<p class='quiet'>{escape(error)}.</p>")
    return [*body, _without(refused, "Not drawn")]


def _listen(sides: Sequence[Side]) -> list[str]:
    """The recordings that all rows of a group left: the original, and what each made of it."""
    groups: dict[int, list[Side]] = {}
    for side in sides:
        groups.setdefault(side.row["group"], []).append(side)
    body = [
        "<h2>Listen</h2><p>What is heard of a run is decode(mu). The inversion is what no model of this "
        "feature can exceed.</p>"
    ]
    for number, members in groups.items():
        if len(groups) > 1:
            body.append(f"<h3>Group {number}: {escape(', '.join(s.name for s in members))}</h3>")
        body += _heard(members, AUDIO_BYTES // len(groups))
    return body


def _heard(sides: Sequence[Side], room: int) -> list[str]:
    runs = _of_one_corpus(sides)
    places = [
        {
            row: group
            for group in ("random", "best", "worst")
            for row in at(m, "examples", group) or []
        }
        for _, m in runs
    ]
    common = [row for row in places[0] if all(row in place for place in places)] if runs else []
    measured = [examples.lines(run.path / "evaluation") for run, _ in runs]
    made, left = [], 0
    for row in common:
        sounds = [
            examples.sounds(run.path / "evaluation", place[row], row)
            for (run, _), place in zip(runs, places, strict=True)
        ]
        if any("model" not in found for found in sounds):
            continue
        first = {
            examples.KINDS[k]: sounds[0][k] for k in ("original", "inversion") if k in sounds[0]
        }
        players = list(first.items())
        for side, found, lines in zip(sides, sounds, measured, strict=True):
            error = lines.get(str(row), {}).get("rmse_db_at_mean")
            told = f": {float(error):.1f} dB" if error else ""
            players.append((f"{side.name}{told}", found["model"]))
        room -= sum(len(wav) for _, wav in players)
        if room < 0:
            left += 1
            continue
        title = measured[0].get(str(row), {}).get("file", f"row {row}")
        inner = "".join(f"<label>{escape(words)}{player(wav)}</label>" for words, wav in players)
        made.append(
            f"<figure><figcaption><b>{escape(title)}</b></figcaption><div class='players'>{inner}</div>"
            "</figure>"
        )
    if not made and not left:
        made.append("<p class='quiet'>They left no sound of the same recording.</p>")
    if left:
        made.append(f"<p class='quiet'>{left} more have no room here; see evaluation/audio.</p>")
    return made


def _of_one_corpus(sides: Sequence[Side]) -> list[tuple[Run, dict[str, Any]]]:
    """A run of each row, all measured on the same corpus; [] where the rows have none in common."""
    by_digest = [{m.get("corpus_digest"): (run, m) for run, m in side.runs} for side in sides]
    found = [d for d in by_digest[0] if all(d in runs for runs in by_digest)]
    return [runs[found[0]] for runs in by_digest] if found else []
