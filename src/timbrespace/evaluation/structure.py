"""How families and instruments lie in a space: silhouettes, neighbours across pitches, overlap, pitch.

Conventions
-----------
Asked of at most 1,000 of the rows measured, against themselves and against training rows, in every view
(`views`), since a figure is read beside its floors. Two questions look alike and are not. Within: do
notes of one instrument lie together? Where a split has one instrument a family, its silhouette by family
asks this. Across instruments: does a sound lie nearer to *other* instruments of its family? There no
instrument is ever compared with itself.

Distances are Euclidean, of numbers as they are: the prior gives all numbers of z one unit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from timbrespace.evaluation import statistics
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.facts import Facts, Unanswerable
from timbrespace.evaluation.figures import matrices
from timbrespace.evaluation.nearness import (
    NEIGHBOURS,
    confusion,
    distances,
    near,
    r2,
    silhouettes,
    votes,
)  # fmt: skip
from timbrespace.evaluation.overlap import merges, overlaps
from timbrespace.evaluation.views import NAMES, Sounds, View, Views
from timbrespace.page import brackets, escape, image, table

WINDOWS = (None, 6, 1)  # semitones to each side within which sounds are compared; None: all
APART = 6  # semitones: a neighbour at the next semitone is all but the same sound
DRAWN = ("z", "mu", "pca_32")  # views of which overlap and confusion are measured
PICTURED = ("z", "pca_32")  # and shown in the report


@dataclass(frozen=True)
class Pairs:
    """Asked sounds (N) beside others (M): how far apart they lie in each view, (N, M), and which pairs
    are compared at all."""

    asked: Sounds
    others: Sounds
    distances: dict[str, np.ndarray]
    allowed: np.ndarray

    @property
    def semitones(self) -> np.ndarray:
        """How far apart in pitch (N, M), NaN where one is unknown."""
        return np.abs(self.asked.pitches[:, None] - self.others.pitches)


def evaluate(
    views: dict[str, View],
    asked: Sounds,
    others: Sounds,
    *,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """All figures of views {name: ((N, D), (M, D))} of the asked sounds and of others to learn from, as
    JSON numbers; {"why_not": a sentence} in the place of what these labels cannot answer. "each" has, for
    sounds.csv, the silhouettes of single sounds in the narrowest window, and whether neighbours of other
    instruments name the family (1 or 0), in the views that are drawn."""
    same = asked.rows[:, None] == asked.rows
    within = Pairs(asked, asked, {k: distances(v[0], v[0]) for k, v in views.items()}, ~same)
    _, *instruments = _coded(asked.instruments, others.instruments)
    known = (instruments[0] >= 0)[:, None] & (instruments[1] >= 0)
    apart = known & (instruments[0][:, None] != instruments[1])
    across = Pairs(asked, others, {k: distances(*v) for k, v in views.items()}, apart)
    each: dict[str, list[Any]] = {"row": asked.rows.tolist()}
    return {
        "sounds": len(asked.rows),
        "training_sounds": len(others.rows),
        "families": sorted({v for v in asked.families if v is not None}),
        "instruments": len({v for v in asked.instruments if v is not None}),
        "silhouette": _answer(_silhouettes, within, rng, each, "silhouette"),
        "silhouette_across_instruments": _answer(
            _silhouettes, across, rng, each, "silhouette_across"
        ),
        "neighbours": {
            "family": _answer(_neighbours, within, "family", rng),
            "family_across_instruments": _answer(
                _neighbours, across, "family", rng, each, "family_across"
            ),
            "instrument": _answer(_neighbours, within, "instrument", rng),
        },
        "overlap": _answer(_overlaps, views, asked, others, rng),
        "pitch_leakage": _answer(_leakage, views, across),
        "each": each,
    }


def _answer(part: Callable[..., dict[str, Any]], *told: Any) -> dict[str, Any]:
    try:
        return part(*told)
    except Unanswerable as error:
        return {"why_not": str(error)}


def _silhouettes(
    pairs: Pairs, rng: np.random.Generator, each: dict[str, list[Any]], column: str
) -> dict[str, Any]:
    """By window ("any", "6", "1" semitones) and view: mean over sounds with its interval over
    instruments, the mean of each family, and how many of these are above 0. Into `each` goes what single
    sounds have in the last window."""
    _, own, other = _coded(pairs.asked.families, pairs.others.families)
    names = sorted({v for v in pairs.asked.families if v is not None})
    if not names or len(set(other[other >= 0])) < 2:
        raise Unanswerable(_few(names, "families"))
    if not pairs.allowed.any():
        raise Unanswerable("no sound has another one to be compared with, of another instrument")
    allowed = pairs.allowed & (other >= 0)
    windows = WINDOWS if np.isfinite(pairs.semitones).any() else (None,)
    families = np.array([v or "" for v in pairs.asked.families])
    result: dict[str, Any] = {}
    for window in windows:
        seen = allowed if window is None else allowed & (pairs.semitones <= window)
        lines = result["any" if window is None else str(window)] = {}
        for view, lengths in pairs.distances.items():
            found = silhouettes(lengths, own, other, seen)
            means = [_mean(found[families == name]) for name in names]
            lines[view] = {
                **statistics.headline(found, pairs.asked.instruments, rng=rng),
                "by_family": means,
                "families_above_0": sum(v is not None and v > 0 for v in means),
                "families": sum(v is not None for v in means),
            }
            if view in DRAWN:
                each[f"{column}_{view}"] = _cells(found)
    return result


def _neighbours(
    pairs: Pairs, label: str, rng: np.random.Generator, each: dict[str, list[Any]] | None = None,
    column: str = "",
) -> dict[str, Any]:  # fmt: skip
    """By view: the share of sounds whose 5 nearest of another pitch say the right label, with its
    interval over instruments; the same where they are half an octave away or more; of families the
    confusion of the views that are drawn. Into `each` goes what single sounds have."""
    told = {"family": "families", "instrument": "instruments"}[label]
    names, own, other = _coded(getattr(pairs.asked, told), getattr(pairs.others, told))
    if not np.isfinite(pairs.semitones).any():
        raise Unanswerable("neighbours across pitches want sounds with a pitch, and none has one")
    if len(set(other[other >= 0])) < 2:
        raise Unanswerable(_few(names, told))
    allowed = pairs.allowed & (other >= 0) & (pairs.semitones > 0)
    asked = (own >= 0) & allowed.any(1)
    if not asked.any():
        raise Unanswerable(f"no sound has a neighbour of another pitch whose {label} is known")
    far = allowed & (pairs.semitones >= APART)
    commonest = np.bincount(other[other >= 0]).argmax()
    result: dict[str, Any] = {
        "asked": int(asked.sum()),
        "labels": names,
        "majority": float((own[asked] == commonest).mean()),
    }
    instruments = [v for v, a in zip(pairs.asked.instruments, asked, strict=True) if a]
    for view, lengths in pairs.distances.items():
        said = votes(other, near(lengths, allowed))
        apart = votes(other, near(lengths, far))[far.any(1) & asked]
        right = (said == own)[asked].astype(float)
        result[view] = {
            **statistics.headline(right, instruments, rng=rng),
            "half_an_octave_away": _mean((apart == own[far.any(1) & asked]).astype(float)),
        }
        if label == "family" and view in DRAWN:
            table = confusion(own[asked], said[asked], len(names))
            result[view]["confusion"] = _numbers(table)
            if each is not None:
                each[f"{column}_{view}"] = _cells(np.where(asked, said == own, np.nan))
    return result


def _overlaps(
    views: dict[str, View],
    asked: Sounds,
    others: Sounds,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The overlap of each two families at equal pitch, of asked and other sounds together, its mean
    over pairs, and its merge tree, of the views that are drawn; of shuffled labels the mean."""
    fresh = ~np.isin(others.rows, asked.rows)  # the same sound may be on both sides
    families = [*asked.families, *np.array(others.families, object)[fresh]]
    known = np.array([v is not None for v in families])
    families = np.array([v or "" for v in families])[known]
    if len(set(families)) < 2:
        raise Unanswerable(_few(sorted(set(families)), "families"))
    instruments = np.array([*asked.instruments, *np.array(others.instruments, object)[fresh]])[
        known
    ]
    told = None if any(v is None for v in instruments) else [str(v) for v in instruments]
    pitches = np.r_[asked.pitches, others.pitches[fresh]][known]
    result: dict[str, Any] = {}
    for view in (*DRAWN, "shuffled_labels"):
        if view not in views:
            continue
        here, there = views[view]
        names, found = overlaps(
            np.concatenate([here, there[fresh]])[known], families, told,
            pitches if np.isfinite(pitches).all() else None, rng=rng,
        )  # fmt: skip
        pairs = found[np.triu_indices(len(names), 1)]
        if not np.isfinite(pairs).any():
            raise Unanswerable("no two families have enough sounds at the same pitches to overlap")
        result |= {"names": names, "sounds": int(known.sum())}
        result[view] = {"mean": float(np.nanmean(pairs))}
        if view in DRAWN:
            result[view] |= {"table": _numbers(found), "merges": _numbers(merges(found))}
    return result


def _leakage(views: dict[str, View], pairs: Pairs) -> dict[str, Any]:
    """By view: the share of the variance of log f0 that a linear reader, and the mean of the 5 nearest,
    learn of training sounds and find in the asked ones."""
    asked, known = np.isfinite(pairs.asked.pitches), np.isfinite(pairs.others.pitches)
    truth, learnt = pairs.asked.pitches[asked], pairs.others.pitches[known]
    if len(set(truth)) < 2 or len(set(learnt)) < 2:
        raise Unanswerable("pitch is asked of sounds of two pitches or more, and these have fewer")
    from sklearn.linear_model import Ridge

    fresh = pairs.asked.rows[asked][:, None] != pairs.others.rows[known]
    result: dict[str, Any] = {}
    for view, (here, there) in views.items():
        if view == "pitch_alone":
            continue
        centre, scale = there[known].mean(0), there[known].std(0)
        scale = np.where(scale > 1e-8, scale, 1.0)
        reader = Ridge(alpha=1.0).fit((there[known] - centre) / scale, learnt)
        at = near(pairs.distances[view][np.ix_(asked, known)], fresh)
        nearest = np.where(at >= 0, learnt[at], 0.0).sum(1) / np.maximum((at >= 0).sum(1), 1)
        result[view] = {
            "linear_r2": r2(truth, reader.predict((here[asked] - centre) / scale)),
            "neighbours_r2": r2(truth, nearest),
        }
    return result


def _coded(
    one: Sequence[str | None], other: Sequence[str | None]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """All names of two lists in order, and the labels of each as their places there, -1 for None."""
    names = sorted({v for v in (*one, *other) if v is not None})
    number: dict[str | None, int] = {name: i for i, name in enumerate(names)} | {None: -1}
    return names, np.array([number[v] for v in one], int), np.array([number[v] for v in other], int)


def _few(names: Sequence[Any], what: str) -> str:
    if not names:
        return f"the sounds have no labels of {what}"
    return f"there are no two {what} to tell apart, all sounds that say it are {names[0]}"


def _mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def _cells(values: np.ndarray) -> list[Any]:
    """One value a sound for sounds.csv, empty where there is none."""
    return [float(value) if np.isfinite(value) else "" for value in values]


def _numbers(table: np.ndarray) -> list[list[float | None]]:
    return [[float(v) if np.isfinite(v) else None for v in line] for line in table]


def measure(facts: Facts) -> dict[str, Any]:
    """See `evaluate`; "told" are the labels that the model is told."""
    views: Views = facts.views
    told = list(facts.run.recipe.model.condition.names)
    found = evaluate(views.tables, views.asked, views.others, rng=facts.rng("structure"))
    return {"told": told} | found


def show(found: dict[str, Any]) -> Shown:
    """The part of the report."""
    figures: dict[str, bytes] = {}
    body = [
        "<h2>Families, instruments and pitch in the space</h2>",
        f"<p>{found['sounds']:,} sounds of {found['instruments'] or 'unknown'} instruments and "
        f"{found['training_sounds']:,} training sounds, in the space and in what it has to beat. "
        "In brackets: the 95 % interval over instruments.</p>",
        "<h3>Silhouette by family</h3>",
        "<p>Within: from the sounds measured. Where a split has one instrument a family, this says how "
        "well <em>instruments</em> hold together. Across instruments: from training sounds of other "
        "instruments alone, which is what a family is. 1 is perfect; shuffled labels give a little less "
        "than 0. Beside each mean: how many families lie above 0.</p>",
    ]
    asked = {
        "within": found["silhouette"],
        "across instruments": found["silhouette_across_instruments"],
    }
    body += [_refused(name, part) for name, part in asked.items()]
    asked = {name: part for name, part in asked.items() if "why_not" not in part}
    if asked:
        body.append(_silhouette_table(asked))
        figures["silhouettes"] = _silhouette_picture(found["families"], asked)
        body.append(image(figures["silhouettes"], "Silhouette of each family in several views"))
    body += ["<h3>Neighbours of another pitch</h3>", *_neighbours_shown(found, figures)]
    body += ["<h3>Overlap of families</h3>", *_overlap_shown(found["overlap"], figures)]
    body += ["<h3>Pitch in the space</h3>", *_leakage_shown(found)]
    return Shown("".join(body), figures)


def _silhouette_table(asked: dict[str, dict[str, Any]]) -> str:
    windows = [(name, window) for name, part in asked.items() for window in part]
    first = next(iter(asked.values()))
    heads = ["", *(f"{name}, {window_name(window)}" for name, window in windows)]
    lines = []
    for view in next(iter(first.values())):
        cells = [asked[name][window][view] for name, window in windows]
        told = [f"{_cell(c)}, {c['families_above_0']} of {c['families']}" for c in cells]
        lines.append((NAMES[view], *told))
    return table(heads, lines)


def _silhouette_picture(names: list[str], asked: dict[str, dict[str, Any]]) -> bytes:
    panels = []
    for name, part in asked.items():
        window = list(part)[-1]  # the narrowest
        views = [v for v in (*DRAWN, "shuffled_labels") if v in part[window]]
        each = {NAMES[v]: part[window][v]["by_family"] for v in views}
        panels.append((f"{name}, {window_name(window)}", each))
    return matrices.by_family(names, panels, NAMES["shuffled_labels"], "silhouette")


def _neighbours_shown(found: dict[str, Any], figures: dict[str, bytes]) -> list[str]:
    asked = {
        "family": found["neighbours"]["family"],
        "family, of another instrument": found["neighbours"]["family_across_instruments"],
        "instrument": found["neighbours"]["instrument"],
    }
    body = [_refused(name, part) for name, part in asked.items()]
    asked = {name: part for name, part in asked.items() if "why_not" not in part}
    if not asked:
        return body
    first = next(iter(asked.values()))
    lines = [("always the commonest", *(f"{part['majority']:.2f}" for part in asked.values()))]
    for view in (v for v in NAMES if v in first):
        cells = [part[view] for part in asked.values()]
        far = [c["half_an_octave_away"] for c in cells]
        told = [
            f"{_cell(c)}; {'-' if f is None else f'{f:.2f}'}" for c, f in zip(cells, far, strict=True)
        ]  # fmt: skip
        lines.append((NAMES[view], *told))
    body += [
        f"<p>Share of sounds whose {NEIGHBOURS} nearest of another pitch name the right label; after "
        "the semicolon, of those half an octave away or more.</p>",
        table(["", *asked], lines),
    ]
    part = asked.get("family, of another instrument") or asked.get("family", {})
    for view in (v for v in PICTURED if v in part):
        name = f"confusion-{view.replace('_', '-')}"
        figures[name] = matrices.confusion(
            part["labels"], part["labels"], part[view]["confusion"],
            f"Families by their neighbours: {NAMES[view]}",
        )  # fmt: skip
        body.append(image(figures[name], f"Confusion of families, {NAMES[view]}"))
    return body


def _overlap_shown(part: dict[str, Any], figures: dict[str, bytes]) -> list[str]:
    if "why_not" in part:
        return [_refused("of families", part)]
    means = ", ".join(f"{NAMES[v]} {part[v]['mean']:.2f}" for v in NAMES if v in part)
    body = [
        "<p>0: a line parts the two families, 1: no line does, at equal pitch and for instruments that "
        f"the line was not learnt on. Mean over pairs: {escape(means)}.</p>"
    ]
    for view in (v for v in PICTURED if v in part):
        name = f"overlap-{view.replace('_', '-')}"
        figures[name] = matrices.overlap(
            part["names"], part[view]["table"], part[view]["merges"],
            f"Overlap of families: {NAMES[view]}",
        )  # fmt: skip
        body.append(image(figures[name], f"Overlap of families and merge tree, {NAMES[view]}"))
    return body


def _leakage_shown(found: dict[str, Any]) -> list[str]:
    part = found["pitch_leakage"]
    if "why_not" in part:
        return [_refused("", part)]
    told = "pitch" in found.get("told", ())
    words = (
        "This model is told the pitch: what its latent says of it beside is leakage, and 0 is perfect."
        if told else "This model is not told the pitch, so that its latent has to keep it."
    )  # fmt: skip
    lines = [
        (NAMES[view], *("-" if v is None else f"{v:.2f}" for v in line.values()))
        for view, line in part.items()
    ]
    heads = ("share of the variance of log f0 (R2)", "by a line", f"by {NEIGHBOURS} neighbours")
    return [f"<p>{words} Below 0: worse than always naming the mean.</p>", table(heads, lines)]


def _refused(name: str, part: dict[str, Any]) -> str:
    if "why_not" not in part:
        return ""
    return f"<p>Not answered{f' ({name})' if name else ''}: {escape(part['why_not'])}.</p>"


def _cell(line: dict[str, Any]) -> str:
    if line["mean"] is None:
        return "-"
    ends = None if line["low"] is None else (line["low"], line["high"])
    return f"{line['mean']:.2f}{brackets(ends)}"


def window_name(window: str) -> str:
    """A window of pitches, as metrics.json names it, in words."""
    return "all pitches" if window == "any" else f"± {window} semitone{'s' * (window != '1')}"
