"""Train and measure the rows of an experiment, and write its table.

    python experiments/run.py EXPERIMENT.yaml CORPUS [CORPUS ...] [--runs build/experiments] [--only ROW ...]

An experiment is a YAML file beside this one: a question, the seeds, settings that all rows share, and
for each row a recipe with settings of its own:

    question: Does a hierarchy beat a flat Gaussian at the same rate?
    seeds: [1, 2, 3]
    split: valid
    settings: [train.epochs=20]
    rows:
      flat: {recipe: instruments-80}
      levels: {recipe: hierarchical, settings: [feature.mels=80]}

Sentences below the table say how each row differs from the first that it compares with; where rows name
another (`levels: {beside: flat, ...}`), only how they differ from that one.

`ask: [heard]` has each run answer these questions of `timbrespace evaluate` alone, where the table needs
no more.

Several corpora are folds of the same sounds (`timbrespace instruments --folds`), one for each seed.

A run that is finished is kept and one that was stopped goes on, so the command can be given again
after Ctrl-C or a change of the file. The table, results/EXPERIMENT.md, holds mean and 95 % interval
over the seeds of what `timbrespace compare` shows; rows that are not trained yet are left out. Where
`effects` is asked, tables of what each run knows of effects follow, beside all baselines.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

import timbrespace
from timbrespace.errors import RecipeError, RunError
from timbrespace.evaluation import catalogue, comparison
from timbrespace.evaluation.differences import MUTE
from timbrespace.recipe import load
from timbrespace.runs import Run

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
import effects_tables
import result

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One line of the table: a recipe, what is changed in it, the seeds it is trained with, and the row
    that it is held against, if one is named."""

    name: str
    recipe: str
    settings: tuple[str, ...]
    seeds: tuple[int, ...]
    beside: str | None = None

    def folders(self, runs: Path) -> list[Path]:
        return [runs / f"{self.name}-{seed}" for seed in self.seeds]

    def settings_of(self, seed: int) -> tuple[str, ...]:
        return (*self.settings, f"seed={seed}", f"name={self.name}")


@dataclass(frozen=True)
class Experiment:
    """What a file asks, its rows, of which part its figures are, and which questions of an evaluation they
    need."""

    question: str
    rows: list[Row]
    split: str
    ask: list[str]


def opened(path: Path) -> Experiment:
    """The experiment of a file; a row's settings come after those that all share. RecipeError where a
    row cannot be trained, or would be trained as another one is."""
    text = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows = [
        Row(
            name, row["recipe"], (*text.get("settings", ()), *row.get("settings", ())),
            tuple(row.get("seeds", text["seeds"])), row.get("beside"),
        )
        for name, row in text["rows"].items()
    ]  # fmt: skip
    for row in rows:
        if row.beside not in (None, *text["rows"]):
            raise RecipeError(
                f"{path}: {row.name} is to stand beside {row.beside}, which is no row"
            )
    known: dict[str, str] = {}
    for row in rows:
        recipe = load(row.recipe, settings=row.settings_of(row.seeds[0]))
        twin = known.setdefault(repr(recipe.model_dump(exclude=set(MUTE))), row.name)
        if twin != row.name:
            raise RecipeError(
                f"{path}: the rows {twin} and {row.name} have the same settings; let one differ, or leave it "
                "out"
            )
    ask = catalogue.chosen(text.get("ask"))
    return Experiment(text["question"], rows, text.get("split", "valid"), ask)


def finished(run: Path, ask: list[str]) -> bool:
    """Whether a run is trained to its end and was asked these questions."""
    try:
        metrics = json.loads((run / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    left_out = set(ask).intersection(catalogue.not_asked(metrics))
    return not left_out and bool(Run.open(run).status().get("finished"))


def train(row: Row, seed: int, corpus: Path, out: Path, experiment: Experiment) -> None:
    if finished(out, experiment.ask):
        return
    print(f"{row.name}, seed {seed}", file=sys.stderr, flush=True)
    run = timbrespace.train(row.recipe, corpus, out, settings=row.settings_of(seed), resume=True)
    timbrespace.evaluate(run.path, split=experiment.split, ask=experiment.ask)


def main() -> None:
    parser = result.options(__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("corpora", type=Path, nargs="+", metavar="CORPUS")
    parser.add_argument("--runs", type=Path, default=Path("build/experiments"))
    parser.add_argument("--only", nargs="+", metavar="ROW", help="train these rows alone")
    given = parser.parse_args()
    experiment = opened(given.experiment)
    rows = experiment.rows
    runs = given.runs / given.experiment.stem
    runs.mkdir(parents=True, exist_ok=True)
    wanted = [row for row in rows if not given.only or row.name in given.only]
    folds = len(given.corpora)
    if folds > 1 and any(len(row.seeds) != folds for row in wanted):
        raise RunError(
            f"{folds} corpora came for other than {folds} seeds; give one, or one for each seed"
        )
    # all rows with their first seed, then all with their second: a table that is stopped is even
    for number in range(max(len(row.seeds) for row in wanted)):
        for row in wanted:
            if number < len(row.seeds):
                seed = row.seeds[number]
                corpus = given.corpora[number % folds]
                train(row, seed, corpus, row.folders(runs)[number], experiment)
    there = [run for row in rows for run in row.folders(runs) if finished(run, experiment.ask)]
    if not there:
        raise RunError(f"nothing of {given.experiment} is trained yet")
    write(given.experiment, experiment, there, runs)


def differences(experiment: Experiment, there: list[Path], runs: Path) -> dict[str, str]:
    """How rows differ from those that they are to stand beside, by the first of their runs."""
    folders = {
        row.name: [run for run in row.folders(runs) if run in there] for row in experiment.rows
    }
    found = {}
    for row in experiment.rows:
        own, other = folders[row.name], folders.get(row.beside or "", [])
        if own and other:
            line = timbrespace.compare([*other, *own], seeds=True)[1]
            found[str(own[0])] = line["sentence"]
    return found


def write(path: Path, experiment: Experiment, there: list[Path], runs: Path) -> None:
    """The table of the runs that are `there`, and their places in the rate-distortion plane."""
    RESULTS.mkdir(exist_ok=True)
    plane = RESULTS / f"{path.stem}.png"
    found = timbrespace.compare(list(there), seeds=True, plot=plane)
    if any(row.beside for row in experiment.rows):
        said = differences(experiment, there, runs)
        for line in found:
            line["sentence"] = said.get(line["run"].split(", ")[0])
    known = effects_tables.sections(found) if "effects" in experiment.ask else []
    for line in found:
        line["run"] = Path(line["run"]).name  # where the runs lie is of this machine alone
    corpus = Run.open(there[0]).corpus
    counts = " / ".join(str(len(corpus.split_rows(name))) for name in ("train", "valid", "test"))
    folds = {line.get("folds", 1) for line in found}
    command = f"python experiments/run.py experiments/{path.name} CORPUS{' ...' * (folds != {1})}"
    held = f" in the first of {max(folds)} folds" if folds != {1} else ""
    result.write(
        RESULTS / f"{path.stem}.md", experiment.question,
        f"{result.made_by(command)} Sounds {counts} (train, valid, test){held}, instruments in one of them "
        f"only; figures on {experiment.split}, with 95 % intervals over the seeds or folds where there are "
        "several. What a column means: docs/metrics.md, compare.",
        comparison.markdown(found), *known, f"![The rate-distortion plane]({plane.name})",
    )  # fmt: skip


if __name__ == "__main__":
    main()
