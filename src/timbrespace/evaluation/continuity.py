"""Is there timbre between two sounds? Ways between real sounds of one pitch, and the gaps beside them.

Conventions
-----------
Ways lead from the mean of one measured sound to that of another: of different families, at the same pitch
and velocity, as far as the labels know them. Two instruments make a pair, no instrument is in two
pairs, and a pair is tried at several pitches; intervals draw pairs. Of each way 17 places are
decoded, told the labels of the nearer end. Beside the three ways of `geometry.paths` stand

shuffled: straight, to the end of another way; what any two sounds give.
crossfade: the two recordings' pictures faded into each other in dB, without any model.
crossfade_decoded: the decoded ends faded into each other: what is left when only the ends are learnt.
mix: the recordings' powers faded, which is what fading two sounds does: both are heard at once.

The figures of a path (`trajectory`) are of pictures in dB, and of four descriptors that are read from
pictures, each over its width among the recordings (`descriptor_...`). Plausible is a middle that is as
near to a real sound as real sounds are to each other: `nearest_over_real` is the distance of the decoded
middle from the nearest training sound of the same pitch, over that of the recordings of both ends from
theirs. `nearest_ratio` is the same over the way's own decoded ends, which leaves out what decoding costs
anywhere. Smooth pictures lie nearer to everything, so a ratio below 1 is no merit: read it beside the
cross-fades'.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import clusters, statistics, walks
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.facts import Unanswerable
from timbrespace.evaluation.trajectory import alike, figures, monotonicity, seen
from timbrespace.geometry.neighbours import nearest
from timbrespace.geometry.paths import KINDS, Kind, path
from timbrespace.page import drawn_of, escape, plus_minus, table

if TYPE_CHECKING:
    from timbrespace.evaluation.facts import Facts

STEPS = 16
PATHS = 48  # ways that are measured
PITCHES = 8  # of one pair of instruments
REFERENCES = 64  # training sounds of a pitch that a middle is compared with
SCALED = 256  # recordings that say how wide a descriptor spreads
DECODED = (*KINDS, "shuffled")
FADED = ("crossfade", "crossfade_decoded", "mix")
MOVED = 0.25  # of its width among recordings: a centroid whose ends differ less has no direction
EXAMPLES = 2  # ways that are drawn and heard
HALF = STEPS // 2
NONE = np.empty((0, 0))  # no picture to compare with
SAME = (("pitch", "velocity"), ("pitch",), ())


@dataclass(frozen=True)
class Pair:
    """Two sounds, positions in `Facts.here`; `number` of their pair of instruments; their pitch."""

    a: int
    b: int
    number: int
    pitch: Any


def pairs(
    instruments: Sequence[Any], families: Sequence[Any], notes: list[tuple[Any, ...]],
    rng: np.random.Generator,
) -> list[Pair]:  # fmt: skip
    """At most 48 pairs of sounds of one note (pitch first) but different families, where there are two.

    Each instrument is in one pair of instruments at most; a pair is taken at up to 8 pitches.
    """
    own: dict[Any, dict[tuple[Any, ...], list[int]]] = {}
    family: dict[Any, Any] = {}
    for i in rng.permutation(len(notes)).tolist():
        if None not in notes[i]:
            own.setdefault(instruments[i], {}).setdefault(notes[i], []).append(i)
            family[instruments[i]] = families[i]
    apart = len(set(family.values())) > 1
    left, matched = list(own), []
    while left and len(matched) < PATHS:
        # the largest family first: else its instruments are left with each other
        most = Counter(family[name] for name in left).most_common(1)[0][0]
        one = next(name for name in left if family[name] == most)
        left.remove(one)
        for other in left:
            if own[one].keys() & own[other].keys() and not (apart and family[other] == most):
                left.remove(other)
                matched.append((one, other))
                break
    if not matched:
        return []
    each = min(PITCHES, -(-PATHS // len(matched)))
    found = []
    for number, (one, other) in enumerate(matched):
        pitches: dict[Any, tuple[Any, ...]] = {}
        for note in own[one]:
            if note in own[other]:
                pitches.setdefault(note[:1], note)
        found += [
            Pair(own[one][note][0], own[other][note][0], number, note[0] if note else None)
            for note in list(pitches.values())[:each]
        ]
    return found[:PATHS]


def chosen(facts: "Facts") -> tuple[list[Pair], str]:
    """The pairs of sounds of an evaluation, and in words what they are."""
    count = len(facts.here.rows)
    known = {name: facts.labels(name) for name in ("family", "instrument", "pitch", "velocity")}
    instruments = known["instrument"] or list(range(count))
    instruments = [i if name is None else name for i, name in enumerate(instruments)]
    families = known["family"] or [None] * count
    different = len({name for name in families if name is not None}) > 1
    for same in SAME:
        tables = [known[name] for name in same]
        if any(values is None for values in tables):
            continue
        notes: list[tuple[Any, ...]] = [()] * count
        if tables:
            notes = list(zip(*(values or [] for values in tables), strict=True))
        found = pairs(instruments, families, notes, facts.rng("continuity"))
        if found:
            of = "families" if different else "instruments" if known["instrument"] else "files"
            return found, f"of different {of} at " + (
                f"one {' and '.join(same)}" if same else "any pitch, since none is known in common"
            )
    raise Unanswerable(f"a way is between two sounds, and {count} of them make no pair")


def measure(facts: "Facts") -> dict[str, Any]:
    """Figures of ways (`paths`), likeness of a pair's ways at two pitches (`cross_pitch`), gaps between
    instruments (`gaps`) and the tendency to cluster (`tendency`), as JSON numbers. Unanswerable for codes,
    and where no two sounds differ."""
    if facts.here.codes is not None:
        raise Unanswerable("the latent is made of codes, and between two codes there is no way")
    found, words = chosen(facts)
    rng = facts.rng("continuity paths")
    feature = facts.run.feature.yardstick
    some = np.sort(rng.permutation(len(facts.here.rows))[:SCALED])
    width = np.maximum(seen(facts.originals(some), feature).std(0), 1e-9)
    near = _Nearest(facts, rng)
    lines: dict[str, list[dict[str, float | None]]] = {}
    kept: list[Pair] = []
    moves: list[dict[str, np.ndarray]] = []
    for number, pair in enumerate(found):
        stranger = found[(number + 1) % len(found)].b
        ways = _ways(facts, pair, stranger)
        if figures(_cells(ways["lerp"][0])) is None:  # both ends decode to one picture
            continue
        kept.append(pair)
        moves.append({"latent": facts.here.mean[pair.b] - facts.here.mean[pair.a]})
        recorded = _cells(ways["crossfade"][0][[0, -1]])
        for name, (pictures, latents) in ways.items():
            values = seen(pictures, feature) / width
            known = near.pictures(pair) if name != "shuffled" else NONE  # its end has another pitch
            line = _figures(_cells(pictures), values, known, recorded, feature.db_per_unit)
            if latents is not None:
                far = nearest(near.latents(pair), latents[[0, HALF, -1]], 1)[0][:, 0]
                line["latent_ratio"] = _ratio(far)
            lines.setdefault(name, []).append(line)
            if name in KINDS:
                moves[-1][name] = values - values[0]
    if not kept:
        raise Unanswerable("all sounds decode to one picture, so that no way leads anywhere")
    groups = [pair.number for pair in kept]
    return {
        "sample": {
            "paths": len(kept), "pairs_of_instruments": len(set(groups)), "between": words,
            "steps": STEPS,
        },
        "paths": {name: _means(each, groups, rng) for name, each in lines.items()},
        "cross_pitch": _cross_pitch(kept, moves, rng),
        "gaps": _gaps(facts, rng),
        "tendency": _tendency(facts, rng),
        "examples": _examples(facts, kept),
    }  # fmt: skip


def draw(facts: "Facts", found: dict[str, Any]) -> Shown:
    """Ways on the map with their strips and sounds, walks along dimensions, ways between families."""
    return walks.draw(facts, found["examples"])


def _ways(
    facts: "Facts", pair: Pair, stranger: int
) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Pictures (17, height, frames) of each way, and its latents where it has some."""
    mean, there = facts.here.mean, facts.there.mean
    ends: dict[str, tuple[Kind, int]] = {name: (name, pair.b) for name in KINDS}
    ends["shuffled"] = ("lerp", stranger)
    latents = {
        name: path(mean[pair.a], mean[b], STEPS + 1, kind, there)
        for name, (kind, b) in ends.items()
    }
    nearer = np.arange(STEPS + 1) <= HALF
    told = [np.where(nearer, pair.a, b) for _, b in ends.values()]
    made = facts.decode(np.concatenate(list(latents.values())), np.concatenate(told))
    if not np.isfinite(made).all():
        raise Unanswerable("the model decodes to what is no number; the training has diverged")
    parts = np.split(made, len(latents))
    ways: dict[str, tuple[np.ndarray, np.ndarray | None]] = {
        name: (part, latents[name]) for name, part in zip(latents, parts, strict=True)
    }
    one, other = facts.originals(np.array([pair.a, pair.b]))
    unit = facts.run.feature.yardstick.db_per_unit / 10.0
    ways["crossfade"] = _faded(one, other), None
    ways["crossfade_decoded"] = _faded(parts[0][0], parts[0][-1]), None
    powers = _faded(np.power(10.0, (one - 1.0) * unit), np.power(10.0, (other - 1.0) * unit))
    ways["mix"] = np.log10(powers) / unit + 1.0, None
    return ways


def _faded(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    t = np.linspace(0.0, 1.0, STEPS + 1)[:, None, None]
    return (1.0 - t) * one + t * other


class _Nearest:
    """Training sounds, of a pitch where it is known: what a way may be near to, but for its own ends."""

    def __init__(self, facts: "Facts", rng: np.random.Generator) -> None:
        self._facts, self._rng = facts, rng
        self._pitches = facts.labels_there("pitch")
        self._known: dict[Any, tuple[np.ndarray, np.ndarray]] = {}

    def _others(self, pair: Pair, rows: np.ndarray) -> np.ndarray:
        if self._facts.learnt is not self._facts.corpus:
            return np.ones(len(rows), bool)
        return ~np.isin(rows, self._facts.here.rows[[pair.a, pair.b]])

    def latents(self, pair: Pair) -> np.ndarray:
        """Means (M, Z) of all training sounds."""
        there = self._facts.there
        return there.mean[self._others(pair, there.rows)]

    def pictures(self, pair: Pair) -> np.ndarray:
        """Pictures (R, cells) of at most 64 training sounds of the pair's pitch; none where it has
        none."""
        there = self._facts.there
        if pair.pitch not in self._known:
            at = np.arange(len(there.rows))
            if pair.pitch is not None and self._pitches is not None:
                at = at[[value == pair.pitch for value in self._pitches]]
            at = np.sort(self._rng.permutation(at)[:REFERENCES])
            self._known[pair.pitch] = there.rows[at], self._read(at) if len(at) else NONE
        rows, known = self._known[pair.pitch]
        return known[self._others(pair, rows)]

    def _read(self, at: np.ndarray) -> np.ndarray:
        import torch

        x = self._facts.there.pictures.batch(torch.from_numpy(at), torch.device("cpu"))[0]
        return self._facts.run.feature.view(x[:, 0]).values.numpy().reshape(len(at), -1)


def _figures(
    cells: np.ndarray, values: np.ndarray, known: np.ndarray, recorded: np.ndarray, unit: float
) -> dict[str, float | None]:
    """Figures of one way: of its pictures (17, cells), of `unit` dB, of its descriptors (17, 4), and how
    far it is from known pictures (R, cells), beside how far its ends as `recorded` (2, cells) are."""
    step = np.sqrt(np.square(np.diff(cells, axis=0)).mean(1)) * unit
    line: dict[str, float | None] = {"step_db": float(step.mean()), **(figures(cells) or {})}
    line |= {f"descriptor_{name}": v for name, v in (figures(values) or {}).items()}
    if abs(values[-1, 0] - values[0, 0]) > MOVED:
        line["centroid_monotonicity"] = monotonicity(values[:, 0])
    if len(known):
        far = _nearest_db(cells[[0, HALF, -1]], known, unit)
        ends = _nearest_db(recorded, known, unit)
        line |= {
            "nearest_db": float(far[1]), "nearest_ratio": _ratio(far),
            "nearest_over_real": _ratio(np.array([ends[0], far[1], ends[1]])),
        }  # fmt: skip
    return line


def _nearest_db(places: np.ndarray, known: np.ndarray, unit: float) -> np.ndarray:
    """How far each of pictures (N, cells) is from the nearest of known ones (R, cells), dB RMSE (N,)."""
    square = np.square(places).sum(1)[:, None] - 2.0 * places @ known.T + np.square(known).sum(1)
    return np.sqrt(np.maximum(square.min(1), 0.0) / places.shape[1]) * unit


def _ratio(far: np.ndarray) -> float | None:
    """What holds in the middle of (first end, middle, last end) over the mean of both ends."""
    ends = 0.5 * (far[0] + far[2])
    return float(far[1] / ends) if ends > 0 else None


def _cells(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1).astype(np.float64)


def _means(
    lines: list[dict[str, float | None]], groups: list[int], rng: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """Each figure's mean over ways, with its 95 % interval over pairs of instruments, and of how many."""
    names = dict.fromkeys(name for line in lines for name in line)
    return {name: _mean([line.get(name) for line in lines], groups, rng) for name in names}


def _mean(
    values: Sequence[float | None], groups: Sequence[Any], rng: np.random.Generator
) -> dict[str, Any]:
    known = np.array(values, float)  # None is NaN
    paths = int(np.isfinite(known).sum())
    return statistics.headline(known, groups, rng=rng) | {"paths": paths}


def _cross_pitch(
    kept: list[Pair], moves: list[dict[str, np.ndarray]], rng: np.random.Generator
) -> dict[str, Any]:
    """The mean cosine of what a pair of instruments does at two pitches: of the latent displacement
    ("latent"), and of the descriptors' way; beside those of two different pairs ("other_pairs")."""
    own, other = [], []
    for i, one in enumerate(kept):
        for j in range(i):
            (own if kept[j].number == one.number else other).append((i, j))
    if not own:
        return {"why_not": "no pair of instruments was heard at two pitches"}
    found: dict[str, Any] = {}
    for name in moves[0]:
        found[name], found[f"{name}_other_pairs"] = (
            _mean(
                [alike(moves[i][name], moves[j][name]) for i, j in both],
                [kept[i].number for i, _ in both], rng,
            )
            for both in (own, other)
        )  # fmt: skip
    return found


def _all(facts: "Facts") -> tuple[np.ndarray, list[Any], list[Any]]:
    """Means, instruments and families of measured and training sounds, each sound once."""
    fresh = ~np.isin(facts.there.rows, facts.here.rows) | (facts.learnt is not facts.corpus)
    points = np.concatenate([facts.here.mean, facts.there.mean[fresh]])
    labels = []
    for name in ("instrument", "family"):
        here, there = facts.labels(name), facts.labels_there(name)
        if here is None or there is None:
            raise Unanswerable(f"gaps are between instruments, and the sounds have no {name}")
        labels.append([*here, *(v for v, f in zip(there, fresh, strict=True) if f)])
    return points, labels[0], labels[1]


def _gaps(facts: "Facts", rng: np.random.Generator) -> dict[str, Any]:
    try:
        return clusters.gaps(*_all(facts), rng)
    except TimbrespaceError as error:
        return {"why_not": str(error)}


def _tendency(facts: "Facts", rng: np.random.Generator) -> dict[str, Any]:
    """Hopkins' statistic of one sound of each instrument, drawn at random."""
    try:
        points, instruments, _ = _all(facts)
        first: dict[Any, int] = {}
        for i in rng.permutation(len(points)).tolist():
            if instruments[i] is not None:
                first.setdefault(instruments[i], i)
        return clusters.tendency(points[list(first.values())], rng)
    except TimbrespaceError as error:
        return {"why_not": str(error)}


def _examples(facts: "Facts", kept: list[Pair]) -> list[dict[str, Any]]:
    """The first way of each of the first pairs of instruments: what is drawn and heard."""
    first = {pair.number: pair for pair in reversed(kept)}
    rows = facts.here.rows
    return [
        {"rows": [int(rows[pair.a]), int(rows[pair.b])], "pitch": pair.pitch}
        for _, pair in sorted(first.items())[:EXAMPLES]
    ]


NAMES = {
    "lerp": "straight (lerp)", "slerp": "by an arc (slerp)", "follow": "by sounds between (follow)",
    "shuffled": "straight, to another way's end", "crossfade": "recordings faded in dB, no model",
    "crossfade_decoded": "decoded ends faded in dB", "mix": "recordings mixed, no model",
}  # fmt: skip
COLUMNS = {
    "step_db": "step, dB", "straightness": "straightness", "evenness": "evenness",
    "roughness": "roughness", "bend": "bend", "descriptor_straightness": "straightness of descriptors",
    "descriptor_linearity": "linearity of descriptors",
    "centroid_monotonicity": "centroid monotonic", "nearest_db": "middle to a real sound, dB",
    "nearest_over_real": "over real sounds'", "nearest_ratio": "over its ends'",
    "latent_ratio": "middle to a latent, over its ends'",
}  # fmt: skip


def show(found: dict[str, Any]) -> Shown:
    """The section of the report: ways, two pitches, gaps."""
    sample = found["sample"]
    lines = [
        (NAMES[name], *(_told(line.get(column)) for column in COLUMNS))
        for name, line in found["paths"].items()
    ]
    return Shown(
        "<h2>Between two sounds</h2>"
        f"<p>{sample['paths']} ways of {sample['pairs_of_instruments']} pairs of instruments "
        f"{escape(sample['between'])}, {sample['steps']} steps each; ± is half of the 95 % interval over "
        "pairs of instruments. A cross-fade is straight and even by construction: what a space is worth "
        "shows in how far a way bends away from it, in its descriptors, and in how near its middle is to "
        "a real sound.</p>"
        + table(["way", *COLUMNS.values()], lines)
        + _shown_pitches(found["cross_pitch"])
        + _shown_gaps(found["gaps"], found["tendency"])
    )


def _told(figure: dict[str, Any] | None) -> str:
    if not figure or figure["mean"] is None:
        return "none"
    ends = None if figure["low"] is None else (figure["low"], figure["high"])
    return f"{figure['mean']:.2f}{plus_minus(ends)}"


def _shown_pitches(found: dict[str, Any]) -> str:
    title = "<h3>The same two instruments at another pitch</h3>"
    if "why_not" in found:
        return f"{title}<p>Not answered: {escape(found['why_not'])}.</p>"
    words = {"latent": "displacement in the latent"} | {
        kind: f"descriptors on the way, {NAMES[kind]}" for kind in KINDS
    }
    lines = [
        (text, _told(found[name]), _told(found[f"{name}_other_pairs"]))
        for name, text in words.items()
    ]
    return (
        f"{title}<p>Cosine of what leads from one to the other at two pitches; 1: alike.</p>"
        + table(["", "same pair", "two other pairs"], lines)
    )


def _shown_gaps(gaps: dict[str, Any], tendency: dict[str, Any]) -> str:
    body = "<h3>Continuous or clustered</h3>"
    if "why_not" in gaps:
        body += f"<p>Gaps: not answered: {escape(gaps['why_not'])}.</p>"
    else:
        names = {
            "between": "two instruments of different families", "within": "two of one family",
            "alone": "one instrument, halved",
        }  # fmt: skip
        lines = [
            (
                text, f"{line['valley']:.2f}{plus_minus(line.get('valley_interval'))}",
                f"{line['gap_share']:.0%}", line.get("pairs", gaps["groups"]),
            )
            for name, text in names.items()
            if (line := gaps[name]) is not None
        ]  # fmt: skip
        p = gaps["p"]
        body += (
            "<p>The least density between two instruments over that at the instruments, on the line that "
            "tells them best apart, learnt on other notes (1: no valley; 0: a gap), and how many have two "
            "modes by Hartigan's dip (5 % level, Holm's correction). "
            + (
                "There are no two families to compare." if p is None else
                f"That families have no say in how deep valleys are: p = {p:.3g}."
            )
            + "</p>" + table(["", "valley", "two modes", "pairs"], lines)
        )  # fmt: skip
    if "why_not" in tendency:
        return body + f"<p>Tendency to cluster: not answered: {escape(tendency['why_not'])}.</p>"
    points = drawn_of(tendency["points"], tendency.get("of", 0))
    return body + (
        f"<p>Hopkins' statistic of one sound of each of {points} instruments: "
        f"{tendency['hopkins']:.2f}; of one normal cloud {tendency['cloud']:.2f}, of clusters 1; "
        f"p = {tendency['p']:.3g} of one cloud.</p>"
    )
