"""What differs between two runs, or two recipes over several seeds, in figures and in one sentence.

Conventions
-----------
Two runs compare sound by sound: both have figures of the same sounds (evaluation/sounds.csv), measured
with the same feature. A change is told where another draw of instruments would tell it
(`statistics.paired`, by instrument), and, where there are several seeds on both sides, another draw of
seeds, too: Welch's t-test of the runs' means; where both sides have one run for each of several folds,
Student's of the folds' differences, since a fold's instruments are easy or hard for both. p is the larger
of both, and each comparison's own: of twenty that differ in nothing one is below 0.05.
"""

import csv
import math
import statistics as average
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.evaluation.statistics import Paired, paired
from timbrespace.recipe import differences
from timbrespace.runs import Run

TOLD = 0.05  # a change with a larger p is said not to be told
SETTINGS = 4  # that a sentence names; of more it says how many
MUTE = ("name", "about", "seed")  # settings that say nothing of what was trained

Sounds = dict[str, dict[str, float]]  # figure -> row -> value of that sound


@dataclass(frozen=True)
class Figure:
    """A figure that is tested: its key in a row of the comparison and column in sounds.csv."""

    key: str
    noun: str
    less: str
    digits: int
    unit: str = ""
    rooted: bool = False  # the root of a mean of squares: its squares are what adds up
    more: str = "more"
    shared: bool = True  # a change is told as a share too: not of what may be negative
    always: bool = False  # said whatever it is; of the others only changes that are told


TESTED = (
    Figure("bits_per_sound", "bits", "fewer", 1, always=True),
    Figure("rmse_db", "error", "less", 2, " dB", rooted=True, always=True),
    Figure("mr_stft", "MR-STFT", "less", 2, always=True),
    Figure("pitch_kept", "sounds that keep their pitch", "fewer", 2),
    Figure("swap_pitch", "swaps heard at the pitch asked for", "fewer", 2),
    Figure("swap_family", "swaps that keep their family", "fewer", 2),
    Figure("family_heard", "sounds whose family is heard", "fewer", 2),
    Figure("lsd_db", "log-spectral distance", "less", 2, " dB"),
    Figure("family_across", "sounds whose family other instruments name", "fewer", 2),
    Figure("silhouette", "silhouette by family", "a lower", 2, more="a higher", shared=False),
)
COLUMNS = {  # in sounds.csv, where it is called otherwise
    "bits_per_sound": "bits", "family_across": "family_across_z", "silhouette": "silhouette_z",
}  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """The runs of one recipe: one, or several seeds. `lines` are their rows of the comparison."""

    name: str
    runs: Sequence[Run]
    lines: Sequence[dict[str, Any]]

    def values(self, key: str) -> list[float] | None:
        values = [line[key] for line in self.lines]
        return None if None in values else values


def difference(one: Trained, other: Trained) -> dict[str, Any]:
    """How `one` differs from `other`: {"against", "settings", "figures", "sounds", "groups", "sentence"}.

    figures: {key: {"this", "against", "change", "difference", "low", "high", "p", "least_p", "p_seeds"}}.
    change is the share by which `this` is larger. difference, its interval and p are those of
    `statistics.paired`, of squares for rmse_db; p_seeds of the test over runs; None where there is no
    such test. No figures where the runs do not compare.
    """
    settings = {
        key: pair
        for key, pair in differences(other.runs[0].recipe, one.runs[0].recipe).items()
        if key not in MUTE
    }
    found: dict[str, Any] = {
        "against": other.name, "settings": settings, "figures": {}, "sounds": None, "groups": None,
        "fewest_sounds": None,
    }  # fmt: skip
    about = f"{one.name} beside {other.name} ({told(settings)})"
    if one.lines[0]["group"] != other.lines[0]["group"]:
        words = (
            "they do not compare, since the sounds or the feature they were measured with differ"
        )
        return found | {"sentence": f"{about}: {words}"}
    ours, theirs = sounds_of(one.runs), sounds_of(other.runs)
    clauses, counts, silent = [], [], 0
    for figure in TESTED:
        this, against = one.values(figure.key), other.values(figure.key)
        if this is None or against is None:
            continue
        test, rows, groups = _test(figure, ours, theirs)
        counts.append((rows, groups))
        change = {
            "this": average.fmean(this), "against": average.fmean(against),
            "difference": None, "low": None, "high": None, "p": None, "least_p": None,
            "p_seeds": _over_runs(this, against, one, other),
        }  # fmt: skip
        change |= {} if test is None else asdict(test)
        change["change"] = (
            change["this"] / change["against"] - 1.0 if change["against"] else None
        )  # fmt: skip
        found["figures"][figure.key] = change
        p = _larger(change)
        if figure.always or (p is not None and p <= TOLD):
            clauses.append(_clause(figure, change))
        else:
            silent += p is not None
    found["sounds"], found["groups"] = max(counts, default=(0, 0))
    found["fewest_sounds"] = min((rows for rows, _ in counts if rows), default=0)
    said = _joined(clauses) if clauses else "nothing was measured that could be told apart"
    said += f"; {silent} other figure{'s' * (silent > 1)} cannot be told apart" if silent else ""
    return found | {"sentence": f"{about}: {said}; {_grounds(found, one, other)}"}


def sounds_of(runs: Sequence[Run]) -> tuple[Sounds, dict[str, str]] | None:
    """Figures of each sound, means over the runs that measured it, and each sound's group; None where a
    run has none, of other groups than the others, or of an earlier version without groups."""
    found: list[tuple[Sounds, dict[str, str]]] = []
    groups: dict[str, str] = {}
    for run in runs:
        table = _read(run.path / "evaluation" / "sounds.csv")
        if table is None or any(groups.get(row, group) != group for row, group in table[1].items()):
            return None
        found.append(table)
        groups |= table[1]
    means: Sounds = {}
    for name in found[0][0]:
        values: dict[str, list[float]] = {}
        for sounds, _ in found:
            for row, value in sounds[name].items():
                values.setdefault(row, []).append(value)
        means[name] = {row: average.fmean(each) for row, each in sorted(values.items())}
    return means, groups


def told(settings: dict[str, tuple[Any, Any]]) -> str:
    """What differs in the settings (the other's, ours), in words."""
    if not settings:
        return "the same settings"
    words = []
    for key, (other, ours) in list(settings.items())[:SETTINGS]:
        if other is None:
            words.append(f"with {key}" + ("" if isinstance(ours, dict) else f" {_plain(ours)}"))
        elif ours is None:
            words.append(f"without {key}")
        else:
            words.append(f"{key} {_plain(ours)} in place of {_plain(other)}")
    more = len(settings) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def _read(path: Path) -> tuple[Sounds, dict[str, str]] | None:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        groups = {line["row"]: line["group"] for line in lines}
        sounds: Sounds = {}
        for figure in TESTED:
            column = COLUMNS.get(figure.key, figure.key)
            values = {line["row"]: float(line[column]) for line in lines if line.get(column)}
            power = 2 if figure.rooted else 1
            sounds[figure.key] = {row: value**power for row, value in values.items()}
        return sounds, groups
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _test(
    figure: Figure,
    ours: tuple[Sounds, dict[str, str]] | None,
    theirs: tuple[Sounds, dict[str, str]] | None,
) -> tuple[Paired | None, int, int]:
    """The paired test, over how many sounds of how many groups."""
    if ours is None or theirs is None:
        return None, 0, 0
    both = ours[1].keys() & theirs[1].keys()  # a sound may be missing whose latent is not finite
    if any(ours[1][row] != theirs[1][row] for row in both):
        return None, 0, 0
    one, other = ours[0].get(figure.key, {}), theirs[0].get(figure.key, {})
    rows = [row for row in one if row in other]
    groups = [ours[1][row] for row in rows]
    this, against = (np.array([sounds[row] for row in rows]) for sounds in (one, other))
    if not rows or not np.isfinite(np.r_[this, against]).all():
        return None, 0, 0
    test = paired(this, against, groups, rng=np.random.default_rng(0))
    return test, len(rows), len(set(groups))


def _welch(one: Sequence[float], other: Sequence[float]) -> float | None:
    """The two-sided p of Welch's t-test of two means; None unless both are of several runs."""
    from scipy.special import stdtr

    if min(len(one), len(other)) < 2:
        return None
    errors = [average.variance(values) / len(values) for values in (one, other)]
    apart = average.fmean(one) - average.fmean(other)
    if not sum(errors):
        return 1.0 if apart == 0.0 else 0.0
    parts = (e**2 / (len(v) - 1) for e, v in zip(errors, (one, other), strict=True))
    freedom = sum(errors) ** 2 / sum(parts)
    return float(2.0 * stdtr(freedom, -abs(apart) / math.sqrt(sum(errors))))


def _over_runs(
    this: Sequence[float], against: Sequence[float], one: Trained, other: Trained
) -> float | None:
    """The p of the runs' means: in pairs where each side has one run for each of the same folds."""
    ours, theirs = ([line["corpus_digest"] for line in side.lines] for side in (one, other))
    if not len(ours) == len(set(ours)) == len(theirs) > 1 or set(ours) != set(theirs):
        return _welch(this, against)
    held = dict(zip(theirs, against, strict=True))
    return _student([value - held[fold] for fold, value in zip(ours, this, strict=True)])


def _student(changes: Sequence[float]) -> float:
    """The two-sided p of Student's t-test that changes are 0 on average."""
    from scipy.special import stdtr

    error = average.stdev(changes) / math.sqrt(len(changes))
    apart = average.fmean(changes)
    if not error:
        return 1.0 if apart == 0.0 else 0.0
    return float(2.0 * stdtr(len(changes) - 1, -abs(apart) / error))


def _clause(figure: Figure, change: dict[str, Any]) -> str:
    this, against = (f"{change[key]:.{figure.digits}f}" for key in ("this", "against"))
    unit, noun, share, p = figure.unit, figure.noun, change["change"], _larger(change)
    if this == against:
        return f"the same {noun} ({this}{unit})"
    values = f"{against} to {this}{unit}" + ("" if p is None else f", {_p(p)}")
    if p is not None and p > TOLD:
        return f"{noun} that cannot be told apart ({values})"
    much = (
        ""
        if share is None or not figure.shared
        else f"{100 * abs(share):.{0 if abs(share) >= 0.0995 else 1}f} % "
    )
    return f"{much}{figure.less if change['this'] < change['against'] else figure.more} {noun} ({values})"


def _grounds(found: dict[str, Any], one: Trained, other: Trained) -> str:
    """What the sentence stands on."""
    figures = found["figures"].values()
    tested = [f for f in figures if f["p"] is not None]
    counts = [len(side.runs) for side in (one, other)]
    folds = len({line["corpus_digest"] for line in one.lines})
    kind = "seeds" if folds == 1 else "folds" if folds == counts[0] else "runs"
    seeds = (
        f"{counts[0]} {kind}" if counts[0] == counts[1] else f"{counts[0]} and {counts[1]} {kind}"
    )
    seeds += f" of {folds} folds" if kind == "runs" else ""
    if not tested:
        over = f"tested over {seeds} alone" if min(counts) > 1 else "not tested"
        if found["groups"] == 1:
            return f"{over}, since all sounds are of one instrument, which says nothing of others"
        return (
            f"{over}, since both need figures of the same sounds by instrument: evaluate {one.name} and "
            f"{other.name} again"
        )
    few, most = found["fewest_sounds"], found["sounds"]
    words = f"{most if few == most else f'{few} to {most}'} sounds of {found['groups']} instruments"
    least = min(f["least_p"] for f in tested)
    if least > TOLD:
        words += f", too few to tell anything: p cannot fall below {least:.2g}"
    if min(counts) < 2:
        seeds = "one training on a side, so that another seed may say otherwise"
    return f"{words}, {seeds}"


def _larger(change: dict[str, Any]) -> float | None:
    """The p of a change: the larger of the tests that were made."""
    return max((p for p in (change["p"], change["p_seeds"]) if p is not None), default=None)


def _p(p: float) -> str:
    for least in (0.001, 0.01):
        if p < least:
            return f"p < {least}"
    return f"p = {p:.2f}"


def _plain(value: Any) -> str:
    """A setting in few words."""
    text = str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _joined(clauses: Sequence[str]) -> str:
    """Rate at error, and the rest."""
    first = " at ".join(clauses[:2])
    return " and ".join([first, *clauses[2:]])
