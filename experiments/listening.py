"""Does a space that was trained to follow listeners agree with listeners it never met?

    python experiments/listening.py RATINGS CORPUS [--recipe instruments-80] [--weight 1000]
        [--runs build/listening] [--only Grey1977 ...] [--set KEY=VALUE ...]

RATINGS is a checkout of github.com/tiianhk/timbremetrics, CORPUS a corpus whose recordings are there. Its
sounds and those of the studies become one corpus, and the recipe is trained with and without the term
`perceptual`, once for each group of studies, which is left out of training with all its sounds and
then judges: leave one out. A last pair leaves none out: what the term is worth in sample, which is no
result but shows what of it was learnt by heart. Groups are those of `data.ratings.related`. Trainings that
were judged are kept; two a group, each as long as the recipe takes. Writes
results/listening.md.
"""

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np

from timbrespace import verbs
from timbrespace.atomic import write_text
from timbrespace.data.corpus import Corpus
from timbrespace.data.dissimilarities import Dissimilarities
from timbrespace.data.ratings import Study, read_studies, related
from timbrespace.evaluation import representations
from timbrespace.evaluation.agreement import agreement, euclidean
from timbrespace.evaluation.statistics import paired
from timbrespace.runs import Run

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
import result

RESULT = Path(__file__).parent / "results" / "listening.md"
COLUMNS = ("path", "split", "family", "instrument", "pitch", "velocity")
NAMES = ("triplet", "spearman")
NONE = "none"


def sounds(corpus: Corpus, studies: tuple[Study, ...], held: tuple[int, ...]) -> str:
    """A table for `prepare`: the corpus's recordings, and the studies' sounds, which are for training
    but for those held out. Every table names the same files, so that they are analysed once."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    rows, root = corpus.rows, Path(corpus.root)
    labels = {name: corpus.labels(name) for name in COLUMNS[2:] if name in corpus.label_names}
    for row in range(len(rows)):
        known = [labels[name][row] if name in labels else "" for name in COLUMNS[2:]]
        file = root / rows.files[int(rows.file[row])]
        lines.writerow([file.resolve(), rows[row].split, *("" if k is None else k for k in known)])
    for number, study in enumerate(studies):
        split = "test" if number in held else "train"
        for file in study.files:
            lines.writerow([file.resolve(), split, study.name, study.name, "", ""])
    return text.getvalue()


def ratings(corpus: Corpus, studies: tuple[Study, ...], folder: Path) -> None:
    """The ratings of studies as tables for `objective.perceptual`, in a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.csv"):
        old.unlink()
    root = Path(corpus.root)
    names = {(root / file).resolve(): file for file in corpus.rows.files}
    for study in studies:
        known = tuple(names[file.resolve()] for file in study.files)
        write_text(folder / f"{study.name}.csv", Dissimilarities(known, study.ratings).to_csv())


def judge(run: Run, studies: tuple[Study, ...]) -> dict[str, dict[str, list[float]]]:
    """Each study's scores, anchor by anchor."""
    shown = representations.pictures(run.feature, studies)
    means = [mean for mean, _ in representations.latents(run.model, shown)]
    found = agreement([euclidean(mean) for mean in means], [study.ratings for study in studies])
    return {
        study.name: {name: found.scores[name][found.study == k].tolist() for name in NAMES}
        for k, study in enumerate(studies)
    }


def main() -> None:
    parser = result.options(__doc__)
    parser.add_argument("ratings", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--recipe", default="instruments-80")
    parser.add_argument("--weight", type=float, default=1000.0)
    parser.add_argument("--runs", type=Path, default=Path("build/listening"))
    parser.add_argument("--only", nargs="+", metavar="STUDY", help="leave out the groups of these")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", dest="settings")
    given = parser.parse_args()
    studies, base = read_studies(given.ratings), Corpus.open(given.corpus)
    groups = [
        group for group in related(studies)
        if not given.only or any(studies[k].name in given.only for k in group)
    ]  # fmt: skip
    for group in [*groups, ()]:
        learn(given, base, studies, group)
    settings = "".join(f" --set {setting}" for setting in given.settings)
    command = f"python experiments/listening.py RATINGS CORPUS{settings}"
    about = (
        f"{result.made_by(command)} `{given.recipe}` on {len(base.rows):,} sounds beside those of the studies, "
        f"weight {given.weight:g}"
    )
    write(given.runs, studies, groups, about)


def folder_of(runs: Path, studies: tuple[Study, ...], group: tuple[int, ...], way: str) -> Path:
    return runs / f"{'+'.join(studies[k].name for k in group) or NONE}-{way}"


def learn(given, base: Corpus, studies: tuple[Study, ...], group: tuple[int, ...]) -> None:
    """Train with and without the term but for the studies of a group, and let them judge; where the
    group is empty, let all."""
    term = (
        f"objective.perceptual.file={given.runs / 'ratings'}",
        f"objective.weights.perceptual={given.weight}",
    )
    for way, settings in (("without", ()), ("with", term)):
        out = folder_of(given.runs, studies, group, way)
        if (out / "agreement.json").is_file():
            continue
        print(out.name, file=sys.stderr, flush=True)
        given.runs.mkdir(parents=True, exist_ok=True)
        write_text(given.runs / "sounds.csv", sounds(base, studies, group))
        corpus = verbs.prepare(
            given.runs / "sounds.csv", given.runs / "corpus", layout="table", recipe=given.recipe
        )
        told = tuple(study for k, study in enumerate(studies) if k not in group)
        ratings(corpus, told, given.runs / "ratings")
        run = verbs.train(
            given.recipe, corpus.path, out, settings=(*given.settings, *settings), resume=True
        )
        judges = tuple(studies[k] for k in group) or studies
        write_text(out / "agreement.json", json.dumps(judge(run, judges)))


def write(
    runs: Path,
    studies: tuple[Study, ...],
    groups: list[tuple[int, ...]],
    about: str,
) -> None:
    """The table of the groups, and of all together."""
    lines, pooled = [], {way: {name: [] for name in NAMES} for way in ("without", "with")}
    numbers: list[int] = []
    for group in groups:
        found = {way: read(folder_of(runs, studies, group, way)) for way in pooled}
        names = [studies[k].name for k in group]
        cells = []
        for name in NAMES:
            for way in pooled:
                values = [v for study in names for v in found[way][study][name]]
                pooled[way][name] += values
                cells.append(f"{np.mean(values):.3f}")
        count = sum(len(studies[k]) for k in group)
        numbers += [len(lines)] * count
        lines.append([", ".join(names), count, *cells])
    rng = np.random.default_rng(0)
    cells, told = [], []
    for name in NAMES:
        one, other = (np.array(pooled[way][name]) for way in ("with", "without"))
        cells += [f"{other.mean():.3f}", f"{one.mean():.3f}"]
        gap = paired(one, other, numbers, rng=rng)
        if gap is not None:
            told.append(
                f"{name} {gap.difference:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}], p = {gap.p:.2g}"
            )
    lines.append(["all, each left out once", len(numbers), *cells])
    sample = {way: read(folder_of(runs, studies, (), way)) for way in pooled}
    cells = [
        f"{np.mean([v for study in sample[way].values() for v in study[name]]):.3f}"
        for name in NAMES
        for way in pooled
    ]
    lines.append(["all, none left out", sum(map(len, studies)), *cells])
    about += (
        "; each line's studies were left out of training, sounds and ratings, and judge. The term's worth on "
        f"strangers: {'; '.join(told) or 'one group only'}."
    )
    heads = ("left out", "sounds", *(f"{name}, {way}" for name in NAMES for way in pooled))
    result.write(RESULT, "Listeners followed, and listeners met", about, result.table(heads, lines))


def read(folder: Path) -> dict[str, dict[str, list[float]]]:
    return json.loads((folder / "agreement.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
