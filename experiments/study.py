"""The tables and pictures of the study, docs/study/results, from the runs of experiments/study.yaml.

    python experiments/study.py [EXPERIMENT.yaml] [--runs build/experiments] [--out docs/study/results]

`run.py` trains and measures them first; folds that not all begun rows have are left out and named. A sound's
figure is the mean over the runs of its row that measured it: of one where they are folds, of all where
they are seeds. In tables ± is half the 95 % interval over runs, Student's; [low, high] is that over
instruments, whose notes are drawn together (docs/metrics.md, intervals). Where one of the runs has a
space made with `--embed`, the fixed embedding of the recordings stands beside the spaces.
"""

import csv
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.errors import RunError
from timbrespace.evaluation import catalogue, comparison, statistics
from timbrespace.evaluation.differences import TESTED
from timbrespace.evaluation.evaluate import PROBE_ROWS
from timbrespace.evaluation.figures import matrices
from timbrespace.evaluation.nearness import distances, near, silhouettes, votes
from timbrespace.evaluation.overlap import merges
from timbrespace.likeness import Likeness
from timbrespace.mapping import Space
from timbrespace.runs import Run

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
sys.path.insert(0, str(Path(__file__).parent))
import result
import run as experiments

HERE = Path(__file__).parent
OUT = HERE.parent / "docs" / "study" / "results"
WINDOW = 1  # semitones to each side: the narrowest of `structure`
OF = "sounds of"  # what no row is called
NEAREST = 5  # pairs of families that overlap most
NAMES = {"z": "z", "mu": "mu", "pca_32": "PCA-32", "embedding": "embedding"}
COMPARED = {"another_sound": "another sound", "inversion": "the picture's own inversion"}
WAYS = ("lerp", "slerp", "follow", "crossfade_decoded", "crossfade", "mix")
ALONG = {
    "bend": "bend", "descriptor_linearity": "linearity of descriptors", "roughness": "roughness",
    "nearest_over_real": "middle to a real sound, over real sounds'", "nearest_ratio": "over its ends'",
}  # fmt: skip
GAPS = {
    "between": "of two families",
    "within": "of one family",
    "alone": "halves of one instrument",
}

LYING = (
    ("structure", "silhouette"), ("structure", "silhouette_across_instruments"),
    ("structure", "neighbours", "family_across_instruments"),
)  # fmt: skip

WITHOUT_SPACE = {  # of the ways of `perception`, in words
    "chance": "chance", "pictures": "pictures", "mfcc": "MFCC, the best published row",
    "embedding": "embedding", "sound": "embedding and MFCC",
}  # fmt: skip

Column = dict[int, float]  # row -> figure of that sound
Pictures = dict[str, bytes]


@dataclass(frozen=True)
class Side:
    """A row of the study: its line of the comparison, and its runs, one for each seed or fold."""

    name: str
    line: dict[str, Any]
    runs: list[Run]

    @cached_property
    def labels(self) -> dict[str, dict[int, Any]]:
        """Instrument and family of each sound that was held out, by row."""
        found: dict[str, dict[int, Any]] = {"instrument": {}, "family": {}}
        for run in self.runs:
            held = [row for row, split in run.split().items() if split == self.line["split"]]
            for label, rows in found.items():
                values = run.corpus.labels(label)
                rows |= {row: values[row] for row in held}
        return found

    @cached_property
    def sounds(self) -> dict[str, Column]:
        """The columns of sounds.csv by name, each sound's mean over the runs that measured it."""
        values: dict[str, dict[int, list[float]]] = {}
        for run in self.runs:
            path = run.path / "evaluation" / "sounds.csv"
            with open(path, newline="", encoding="utf-8") as file:
                for line in csv.DictReader(file):
                    for name, text in line.items():
                        if text and name not in ("row", "file", "group"):
                            own = values.setdefault(name, {}).setdefault(int(line["row"]), [])
                            own.append(float(text))
        return {
            name: {row: float(np.mean(each)) for row, each in rows.items()}
            for name, rows in values.items()
        }

    def each(self, *place: str) -> list[Any]:
        """What metrics.json has at a place, run by run; None where it has nothing."""
        return [catalogue.at(metrics, *place) for metrics in self.line["metrics"]]


def over_runs(values: Sequence[Any], digits: int = 2) -> str:
    """The mean of what the runs have, ± half its 95 % interval; "-" where one has nothing."""
    if not values or any(value is None for value in values):
        return "-"
    half = comparison.interval(values)
    return f"{np.mean(values):.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def over_instruments(
    column: Column, instruments: dict[int, Any], digits: int = 2, statistic: Callable = np.mean
) -> str:
    """A figure of sounds with its 95 % interval over instruments; "-" where there are no sounds."""
    if not column:
        return "-"
    values, groups = list(column.values()), [instruments[row] for row in column]
    ends = statistics.interval(values, groups, rng=np.random.default_rng(0), statistic=statistic)
    told = f"{statistic(np.array(values)):.{digits}f}"
    return told if ends is None else f"{told} [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"


def root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def holm(ps: Sequence[float]) -> list[float]:
    """Each p after Holm's correction (1979) for so many tests."""
    order = np.argsort(ps)
    raised = np.maximum.accumulate(np.array(ps)[order] * np.arange(len(ps), 0, -1))
    found = np.empty(len(ps))
    found[order] = np.minimum(raised, 1.0)
    return found.tolist()


def sides_of(runs: Sequence[Path]) -> list[Side]:
    """The rows of the runs; RunError where they were not measured on the same sounds."""
    lines = comparison.rows(runs, seeds=True)
    said = comparison.warning(lines)
    if said is not None:
        raise RunError(f"the study's rows do not compare: {said}; give each the same corpora")
    return [
        Side(line["recipe"], line, [Run.open(path) for path in line["paths"]]) for line in lines
    ]


# Beside the spaces: the fixed embedding of the recordings


def embedding(sides: Sequence[Side]) -> dict[str, Column] | None:
    """How families lie in the embedding, of the sounds of which `structure` says it of the first row's space
    and as many training sounds with labels; None without one."""
    runs = [run for side in sides for run in side.runs]
    kept = next((run for run in runs if (run.path / "space" / "embedding.npz").is_file()), None)
    heard = None if kept is None else Likeness.open(kept, Space.open(kept)).heard
    if heard is None:
        return None
    points = heard.points / np.linalg.norm(heard.points, axis=1, keepdims=True)
    found: dict[str, Column] = {}
    for run in {run.provenance["corpus_digest"]: run for run in sides[0].runs}.values():
        labels = {
            name: np.array(run.corpus.labels(name), object)
            for name in ("family", "instrument", "pitch")
        }
        whole = {
            row for row in np.flatnonzero(heard.known).tolist()
            if all(values[row] is not None for values in labels.values())
        }  # fmt: skip
        splits, names = run.split(), ("silhouette", "silhouette_across", "family_across")
        measured = {row for name in names for row in sides[0].sounds.get(f"{name}_z", {})}
        part = sides[0].line["split"]
        asked = np.array([row for row in sorted(measured & whole) if splits[row] == part])
        others = np.array(
            [row for row, split in splits.items() if split == "train" and row in whole]
        )
        rng = np.random.default_rng(0)
        others = np.sort(rng.permutation(others)[:PROBE_ROWS])
        for name, column in lying(points, asked, others, labels).items():
            found.setdefault(name, {}).update(column)
    return found


def lying(
    points: np.ndarray, asked: np.ndarray, others: np.ndarray, labels: dict[str, np.ndarray]
) -> dict[str, Column]:
    """Of points (N, D), for the rows `asked` (n,): whether the 5 nearest of `others` (m,), of another
    pitch and instrument, name the family, and silhouettes by family within a semitone, among the asked
    and across instruments."""
    _, families = np.unique(labels["family"].astype(str), return_inverse=True)

    def pairs(label: str, there: np.ndarray) -> np.ndarray:
        return labels[label][asked][:, None] != labels[label][there]

    def close(there: np.ndarray) -> np.ndarray:
        pitch = labels["pitch"].astype(float)
        return np.abs(pitch[asked][:, None] - pitch[there]) <= WINDOW

    away, among = distances(points[asked], points[others]), distances(points[asked], points[asked])
    own, foreign = families[asked], pairs("instrument", others)
    said = votes(families[others], near(away, foreign & pairs("pitch", others)))
    same = asked[:, None] == asked
    each = {
        "family_across": (said == own).astype(float),
        "silhouette": silhouettes(among, own, own, ~same & close(asked)),
        "silhouette_across": silhouettes(away, own, families[others], foreign & close(others)),
    }
    return {
        f"{name}_embedding": {
            int(row): float(value)
            for row, value in zip(asked, values, strict=True)
            if np.isfinite(value)
        }
        for name, values in each.items()
    }


# Parts: each gives the text of a page, and its pictures by name

Part = tuple[str, Pictures]


def filled(lines: Sequence[dict[str, str]]) -> str:
    """A table of lines {head: cell}; what a line has not is "-"."""
    heads = list(dict.fromkeys(head for line in lines for head in line))
    return result.table(heads, [[line.get(head, "-") for head in heads] for line in lines])


def unanswered(sides: Sequence[Side], *places: tuple[str, ...]) -> str:
    """Why a question has no answer, a line each row and reason; "" where all have one."""
    lines = {
        f"- {side.name}, {' '.join(place)}: {why}."
        for side in sides for place in places for why in side.each(*place, "why_not") if why
    }  # fmt: skip
    return "\n\nNot answered:\n\n" + "\n".join(sorted(lines)) if lines else ""


def main_table(sides: Sequence[Side], heard: dict[str, Column]) -> Part:
    lines = []
    for side in sides:

        def both(key: str, column: str, digits: int, side: Side = side, **how: Any) -> str:
            """Over runs, and the ends over instruments."""
            told = over_instruments(
                side.sounds.get(column, {}), side.labels["instrument"], digits, **how
            )
            ends = told.partition(" ")[2]
            return f"{comparison.figure(side.line, key, digits)} {ends}".strip()

        lines.append({
            "space": side.name, "told": ", ".join(side.runs[0].recipe.model.condition.labels) or "nothing",
            "runs": comparison.runs_of(side.line), "bits": both("bits_per_sound", "bits", 1),
            "dB": both("rmse_db", "rmse_db", 2, statistic=root_mean_square),
            "best linear code, dB": over_runs(side.each("floors", "linear_code_rmse_db")),
            "MR-STFT": both("mr_stft", "mr_stft", 2),
            "within 50 cents": over_runs(side.each("pitch", "to_original", "model", "within_50")),
            "both of a swap": over_runs(side.each("swap", "swapped", "both")),
            "R2 of log f0": over_runs(side.each("structure", "pitch_leakage", "z", "linear_r2")),
            "family by others": both("family_across", "family_across_z", 2),
            "silhouette": both("silhouette", "silhouette_z", 2),
            "among others": lying_of(side.sounds, "silhouette_across_z", side),
        })  # fmt: skip
    first = sides[0]
    for name, place in (("mean sound", "mean_sound"), ("mean of the pitch", "mean_per_pitch")):
        lines.append({"space": name, "dB": over_runs(first.each("floors", f"{place}_rmse_db"))})
    for name in ("another_sound", "inversion"):
        lines.append({
            "space": COMPARED[name], "MR-STFT": over_runs(first.each("heard", name, "mr_stft")),
            "within 50 cents": over_runs(first.each("pitch", "to_original", name, "within_50")),
        })  # fmt: skip
    for view, columns in (("pca_32", first.sounds), ("embedding", heard)):
        error = first.each("floors", "pca_rmse_db", "32") if view == "pca_32" else ()
        lines.append({
            "space": NAMES[view], "dB": over_runs(error),
            "family by others": lying_of(columns, f"family_across_{view}", first),
            "silhouette": lying_of(columns, f"silhouette_{view}", first),
            "among others": lying_of(columns, f"silhouette_across_{view}", first),
        })  # fmt: skip
    chance = first.each("structure", "neighbours", "family_across_instruments", "majority")
    lines.append({"space": "the commonest family", "family by others": over_runs(chance)})
    about = (
        "Latents are sampled. *Within 50 cents*: of the pitch of the recording. *Both of a swap*: the pitch "
        "asked for and the family of the timbre are heard. *R2 of log f0*: what a line finds of pitch in z. "
        "*Family by others*: share of sounds whose 5 nearest training sounds of another pitch and instrument "
        "name the family. *Silhouette*: by family within a semitone, among all sounds held out; *among "
        "others*: against training sounds of other instruments. *Best linear code*: principal components, "
        "beside the mean of each pitch where it is told, at the space's own rate; PCA-32 keeps 32 numbers at "
        "any precision."
    )
    reasons = unanswered(
        sides, ("heard",), ("pitch",), ("pitch", "to_original"), ("swap",), ("structure",), *LYING
    )
    return f"{about}\n\n{filled(lines)}{reasons}\n\n![Rate and distortion](plane.png)", {
        "plane": comparison.picture([side.line for side in sides])
    }


def lying_of(columns: dict[str, Column], name: str, side: Side) -> str:
    return over_instruments(columns.get(name, {}), side.labels["instrument"])


def differences(sides: Sequence[Side], heard: dict[str, Column]) -> Part:
    """Each two rows: a sentence, and each figure with its p, also after Holm's correction."""
    paths = [path for side in sides for path in side.line["paths"]]
    found: list[tuple[str, dict[str, Any]]] = []
    for number, side in enumerate(sides[:-1]):
        lines = comparison.rows(paths, seeds=True, against=side.line["paths"][0])
        found += [(line["sentence"], line["difference"]) for line in lines[number + 1 :]]
    pairs = list(itertools.combinations([side.name for side in sides], 2))
    lines = []
    for figure in TESTED:
        known = [
            (pair, change) for pair, (_, difference) in zip(pairs, found, strict=True)
            if (change := difference["figures"].get(figure.key)) and change["p"] is not None
        ]  # fmt: skip
        ps = [max(p for p in (c["p"], c["p_seeds"]) if p is not None) for _, c in known]
        for ((one, other), c), p, raised in zip(known, ps, holm(ps), strict=True):
            squares = " (of squares)" if figure.rooted else ""
            lines.append((
                f"{figure.noun}{squares}", f"{other} - {one}", f"{c['against']:.{figure.digits}f}",
                f"{c['this']:.{figure.digits}f}",
                f"{c['difference']:.3f} [{c['low']:.3f}, {c['high']:.3f}]", f"{p:.2g}", f"{raised:.2g}",
            ))  # fmt: skip
    heads = ("figure", "rows", "from", "to", "difference", "p", "p of all pairs (Holm)")
    said = "\n".join(f"- {sentence}." for sentence, _ in found)
    about = (
        "p is the larger of the test over instruments and that over runs (docs/metrics.md, How p is made). A "
        "sentence has the p of its own comparison; the last column corrects it for all pairs of rows."
    )
    return f"{about}\n\n{said}\n\n{result.table(heads, lines)}", {}


def silhouettes_by_family(sides: Sequence[Side], heard: dict[str, Column]) -> Part:
    """Which families hold together at one pitch, in which space, with its interval over instruments."""
    first = sides[0]
    families = sorted(set(first.labels["family"].values()) - {None}, key=str)
    views = [(side.name, side.sounds, "mu", side) for side in sides]
    views += [("PCA-32", first.sounds, "pca_32", first), ("embedding", heard, "embedding", first)]
    text, panels = [], []
    for column, title in (
        ("silhouette", "Among all sounds held out"),
        ("silhouette_across", "Against training sounds of other instruments"),
    ):
        lines: list[dict[str, str]] = [{
            OF: str(family), "instruments": str(len({
                first.labels["instrument"][row] for row, own in first.labels["family"].items() if own == family
            })),
        } for family in families]  # fmt: skip
        above: dict[str, str] = {OF: "above 0"}
        drawn: dict[str, list[float | None]] = {}
        for name, columns, view, side in views:
            values, own = columns.get(f"{column}_{view}", {}), side.labels["family"]
            if not values:
                continue
            parts = [{row: v for row, v in values.items() if own[row] == f} for f in families]
            means = [float(np.mean(list(part.values()))) if part else None for part in parts]
            for line, part in zip(lines, parts, strict=True):
                line[name] = over_instruments(part, side.labels["instrument"])
            count = sum(mean is not None and mean > 0 for mean in means)
            above[name] = f"{count} of {sum(mean is not None for mean in means)}"
            drawn[name] = means
        panels.append((title, drawn))
        text.append(f"## {title}\n\n{filled([*lines, above])}")
    about = "Silhouettes by family, of mu, within a semitone. 1: apart; 0: between two families."
    picture = matrices.by_family([str(f) for f in families], panels, "PCA-32", "silhouette")
    return "\n\n".join([about, *text, "![Silhouettes](silhouettes.png)"]), {"silhouettes": picture}


def neighbours(sides: Sequence[Side], heard: dict[str, Column]) -> Part:
    """The family by neighbours of another pitch and instrument, and what is taken for what."""
    lines, pictures = [], {}
    for side in sides:
        line = {"space": side.name}
        for view in ("z", "mu", "pca_32"):
            line[NAMES[view]] = lying_of(side.sounds, f"family_across_{view}", side)
        line["embedding"] = lying_of(heard, "family_across_embedding", side)
        lines.append(line)
        place = ("structure", "neighbours", "family_across_instruments")
        names = side.each(*place, "labels")
        tables = side.each(*place, "z", "confusion")
        if None not in tables and all(one == names[0] for one in names):
            pictures[f"confusion-{side.name}"] = matrices.confusion(
                names[0],
                names[0],
                mean_table(tables).tolist(),
                f"Families by their neighbours: {side.name}",
            )
    about = (
        "Share of sounds whose 5 nearest training sounds, of another pitch and another instrument, name the "
        "family. PCA-32 is of the same pictures, the embedding knows no run of these."
    )
    return f"{about}\n\n{filled(lines)}{unanswered(sides, *LYING)}\n\n{shown(pictures)}", pictures


def overlaps(sides: Sequence[Side], heard: dict[str, Column]) -> Part:
    """How far families overlap, which of them most, and in which order they merge."""
    lines, pictures = [], {}
    for side in sides:
        names = side.each("structure", "overlap", "names")
        tables = side.each("structure", "overlap", "z", "table")
        line = {
            "space": side.name, "mean": over_runs(side.each("structure", "overlap", "z", "mean")),
            "labels shuffled": over_runs(side.each("structure", "overlap", "shuffled_labels", "mean")),
        }  # fmt: skip
        if None not in tables and all(one == names[0] for one in names):
            table = mean_table(tables)
            pairs = itertools.combinations(range(len(table)), 2)
            known = sorted(
                (at for at in pairs if np.isfinite(table[at])), key=lambda at: -table[at]
            )
            line["overlap most"] = "; ".join(
                f"{names[0][i]} and {names[0][j]} "
                + over_runs([one[i][j] for one in tables if one[i][j] is not None])
                for i, j in known[:NEAREST]
            )
            pictures[f"overlap-{side.name}"] = matrices.overlap(
                names[0],
                table.tolist(),
                merges(table).tolist(),
                f"Overlap of families: {side.name}",
            )
        lines.append(line)
    about = (
        "Bhattacharyya coefficients along the line that tells two families best apart, at equal pitch, for "
        "instruments that the line was not learnt on, of sampled z; 1: no line does. Training sounds are among "
        "them, since a fold holds out too few instruments of a family, so that runs share sounds and ± tells "
        "too little. In the pictures the mean over runs, in the order of its merge tree."
    )
    reasons = unanswered(sides, ("structure", "overlap"))
    return f"{about}\n\n{filled(lines)}{reasons}\n\n{shown(pictures)}", pictures


def mean_table(tables: Sequence[Any]) -> np.ndarray:
    """The mean of tables (F, F), each cell of those that know it, NaN where none does."""
    values = np.array(
        [[[np.nan if v is None else v for v in row] for row in one] for one in tables]
    )
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)


def continuity(sides: Sequence[Side], heard: dict[str, Column]) -> Part:
    """Ways between two families at one pitch, and whether there is mass or a gap between instruments."""
    ways = [
        {"space": side.name, "way": way} | {
            words: over_runs(side.each("continuity", "paths", way, figure, "mean"))
            for figure, words in ALONG.items()
        }
        for side in sides for way in WAYS
    ]  # fmt: skip
    gaps = []
    for side in sides:
        line = {"space": side.name}
        for name, words in GAPS.items():
            place = ("continuity", "gaps", name)
            line[f"valley {words}"] = over_runs(side.each(*place, "valley"))
            line[f"two modes {words}"] = over_runs(side.each(*place, "gap_share"))
        line["p: families have no say"] = every(side.each("continuity", "gaps", "p"))
        place = ("continuity", "tendency")
        line["Hopkins"] = over_runs(side.each(*place, "hopkins"))
        line["of one cloud"] = over_runs(side.each(*place, "cloud"))
        line["p of one cloud"] = every(side.each(*place, "p"))
        gaps.append(line)
    return (
        "## Ways\n\nBetween sounds of two families at one pitch and velocity (docs/metrics.md, continuity). A "
        "cross-fade is straight and smooth by construction.\n\n"
        + filled(ways)
        + "\n\n## Gaps\n\nA valley of 1 is "
        "none, of 0 a gap; where p is given, that of each run. Training sounds are among these, as of the "
        "overlap, so that ± tells too little.\n\n"
        + filled(gaps)
        + unanswered(sides, ("continuity",), ("continuity", "gaps"), ("continuity", "tendency"))
    ), {}


def every(values: Sequence[Any]) -> str:
    """The figure of each run."""
    return ", ".join("-" if value is None else f"{value:.2g}" for value in values)


def interpolations(sides: Sequence[Side], heard: dict[str, Column]) -> Part:
    """Strips of pictures on the ways between families at one pitch, of the first run of each row."""
    pictures, missing = {}, []
    for side in sides:
        drawn = side.runs[0].path / "evaluation" / "figures" / "families.png"
        if drawn.is_file():
            pictures[f"ways-{side.name}"] = drawn.read_bytes()
        else:
            missing.append(side.name)
    about = (
        "Each row is a way by an arc between two held-out sounds of two families at one pitch, decoded and "
        "told the labels of the nearer end. The report of each run plays such ways."
    )
    if missing:
        about += f"\n\nNot drawn, since no way of two families was measured: {', '.join(missing)}."
    return f"{about}\n\n{shown(pictures)}", pictures


def perception(sides: Sequence[Side], heard: dict[str, Column]) -> Part:
    """Agreement with listeners, where the runs were evaluated with `--perception`; ways that ask no space
    stand once."""
    lines, asked = [], [side for side in sides if side.each("perception", "ways")[0]]
    for side in asked:
        for way in side.each("perception", "ways")[0]:
            place, alone = ("perception", "ways", way), way in WITHOUT_SPACE
            triplets = side.each(*place, "triplet")
            if alone and side is not asked[0] or None in triplets:  # not every run has an embedding
                continue
            lines.append({
                "space": "-" if alone else side.name, "distance": WITHOUT_SPACE.get(way, way),
                "triplet": over_runs(triplets, 3),
                "spearman": over_runs(side.each(*place, "spearman"), 3),
            })  # fmt: skip
    lines.sort(key=lambda line: line["space"] != "-")
    if not lines:
        return (
            "Not measured; run: `timbrespace evaluate RUN --perception DIR`, for each run of the study.",
            {},
        )
    about = (
        "Triplets that the distance orders as listeners do, and Spearman's rank correlation, over 21 studies "
        "(docs/metrics.md, perception). *Model*: mu; *untrained*: the same network before its first step, "
        "which begins as a linear code of the pictures; *both*: what `search` uses, mu with embedding and MFCC."
    )
    return f"{about}\n\n{filled(lines)}", {}


def shown(pictures: Pictures) -> str:
    return "\n\n".join(f"![{name}]({name}.png)" for name in pictures)


PARTS = {
    "main": ("What is gained and lost", main_table),
    "differences": ("Each two spaces", differences),
    "silhouettes": ("Families at one pitch", silhouettes_by_family),
    "neighbours": ("Families across pitches and instruments", neighbours),
    "overlap": ("Overlap of families", overlaps),
    "continuity": ("Continuous or discrete", continuity),
    "interpolations": ("Between families at one pitch", interpolations),
    "perception": ("Listeners", perception),
}


def main() -> None:
    parser = result.options(__doc__)
    parser.add_argument("experiment", type=Path, nargs="?", default=HERE / "study.yaml")
    parser.add_argument("--runs", type=Path, default=Path("build/experiments"))
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    experiment = experiments.opened(given.experiment)
    folders = [
        folder for row in experiment.rows
        for folder in row.folders(given.runs / given.experiment.stem)
    ]  # fmt: skip
    there = [folder for folder in folders if experiments.finished(folder, experiment.ask)]
    # a fold that not all rows have would be held against other sounds
    corpora = {folder: str(Run.open(folder).provenance["corpus_digest"]) for folder in there}
    rows = [
        {corpora[one] for one in row.folders(given.runs / given.experiment.stem) if one in corpora}
        for row in experiment.rows
    ]  # fmt: skip
    shared = set.intersection(*(row for row in rows if row)) if there else set()
    there = [folder for folder in there if corpora[folder] in shared]
    if not there:
        raise RunError(f"no fold of {given.experiment} is trained yet; run: experiments/run.py")
    write(there, [folder.name for folder in folders if folder not in there], given.out)


def write(runs: Sequence[Path], missing: Sequence[str], out: Path) -> None:
    """All pages and pictures of the runs, into the folder `out`."""
    sides = sides_of(runs)
    heard = embedding(sides)
    sounds, folds = sides[0].line["sounds"], sides[0].line["folds"]
    count = len(set(sides[0].labels["instrument"].values()))
    facts = f"{sounds} sounds of {count} instruments, in {folds} fold{'s' * (folds != 1)}"
    about = result.made_by("python experiments/study.py", facts)
    if missing:
        about += f" Left out, since not trained by all rows yet: {', '.join(missing)}."
    if heard is None:
        about += " No run has a space with an embedding (`timbrespace space RUN --embed`), so it is left out."
    out.mkdir(parents=True, exist_ok=True)
    for name, (title, part) in PARTS.items():
        text, pictures = part(sides, heard or {})
        for picture, data in pictures.items():
            (out / f"{picture}.png").write_bytes(data)
        result.write(out / f"{name}.md", title, about, text)


if __name__ == "__main__":
    main()
