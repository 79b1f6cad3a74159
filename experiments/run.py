"""Train and measure the rows of an experiment, and write its table.

    python experiments/run.py EXPERIMENT.yaml CORPUS [--runs build/experiments] [--only ROW ...]

An experiment is a YAML file beside this one: a question, the seeds, settings that all rows share, and
for each row a recipe with settings of its own:

    question: Does a hierarchy beat a flat Gaussian at the same rate?
    seeds: [1, 2, 3]
    split: valid
    settings: [train.epochs=20]
    rows:
      flat: {recipe: instruments-80}
      levels: {recipe: hierarchical, settings: [feature.mels=80]}

A run that is finished is kept and one that was stopped goes on, so the command can be given again
after Ctrl-C or a change of the file. The table, results/EXPERIMENT.md, holds mean and 95 % interval
over the seeds of what `timbrespace compare` shows; rows that are not trained yet are left out.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

import timbrespace
from timbrespace.errors import RunError
from timbrespace.evaluation import comparison
from timbrespace.recipe import load
from timbrespace.runs import Run

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
import result

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One line of the table: a recipe, what is changed in it, and the seeds it is trained with."""

    name: str
    recipe: str
    settings: tuple[str, ...]
    seeds: tuple[int, ...]

    def folders(self, runs: Path) -> list[Path]:
        return [runs / f"{self.name}-{seed}" for seed in self.seeds]

    def settings_of(self, seed: int) -> tuple[str, ...]:
        return (*self.settings, f"seed={seed}", f"name={self.name}")


@dataclass(frozen=True)
class Experiment:
    """What a file asks, its rows, and of which part its figures are."""

    question: str
    rows: list[Row]
    split: str


def opened(path: Path) -> Experiment:
    """The experiment of a file; a row's settings come after those that all share. RecipeError where a
    row cannot be trained."""
    text = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows = [
        Row(
            name, row["recipe"], (*text.get("settings", ()), *row.get("settings", ())),
            tuple(row.get("seeds", text["seeds"])),
        )
        for name, row in text["rows"].items()
    ]  # fmt: skip
    for row in rows:
        load(row.recipe, settings=row.settings_of(row.seeds[0]))
    return Experiment(text["question"], rows, text.get("split", "valid"))


def finished(run: Path) -> bool:
    """Whether a run is trained to its end and measured."""
    if not (run / "evaluation" / "metrics.json").is_file():
        return False
    return bool(Run.open(run).status().get("finished"))


def train(row: Row, seed: int, corpus: Path, out: Path, split: str) -> None:
    if finished(out):
        return
    print(f"{row.name}, seed {seed}", file=sys.stderr, flush=True)
    run = timbrespace.train(row.recipe, corpus, out, settings=row.settings_of(seed), resume=True)
    timbrespace.evaluate(run.path, split=split)


def main() -> None:
    parser = result.options(__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("build/experiments"))
    parser.add_argument("--only", nargs="+", metavar="ROW", help="train these rows alone")
    given = parser.parse_args()
    experiment = opened(given.experiment)
    rows = experiment.rows
    runs = given.runs / given.experiment.stem
    runs.mkdir(parents=True, exist_ok=True)
    wanted = [row for row in rows if not given.only or row.name in given.only]
    # all rows with their first seed, then all with their second: a table that is stopped is even
    for number in range(max(len(row.seeds) for row in wanted)):
        for row in wanted:
            if number < len(row.seeds):
                seed = row.seeds[number]
                train(row, seed, given.corpus, row.folders(runs)[number], experiment.split)
    there = [run for row in rows for run in row.folders(runs) if finished(run)]
    if not there:
        raise RunError(f"nothing of {given.experiment} is trained yet")
    write(given.experiment, experiment, there)


def write(path: Path, experiment: Experiment, runs: list[Path]) -> None:
    """The table of the runs, and their places in the rate-distortion plane."""
    RESULTS.mkdir(exist_ok=True)
    plane = RESULTS / f"{path.stem}.png"
    found = timbrespace.compare(list(runs), seeds=True, plot=plane)
    for line in found:
        line["run"] = Path(line["run"]).name  # where the runs lie is of this machine alone
    corpus = Run.open(runs[0]).corpus
    counts = " / ".join(str(len(corpus.split_rows(name))) for name in ("train", "valid", "test"))
    command = f"python experiments/run.py experiments/{path.name} CORPUS"
    result.write(
        RESULTS / f"{path.stem}.md", experiment.question,
        f"{result.made_by(command)} Sounds {counts} (train, valid, test), instruments in one of them only; "
        f"figures on {experiment.split}, with 95 % intervals over the seeds where there are several. What a "
        "column means: docs/metrics.md, compare.",
        comparison.markdown(found), f"![The rate-distortion plane]({plane.name})",
    )  # fmt: skip


if __name__ == "__main__":
    main()
