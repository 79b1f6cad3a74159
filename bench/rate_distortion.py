"""Distortion against rate of the shipped recipes on one corpus, beside the floors.

    python bench/rate_distortion.py CORPUS --runs build/rate-distortion [RECIPE...]

Trains each recipe as it stands (a training that was stopped goes on; a finished one is kept),
evaluates it on the corpus's validation sounds, whose instruments were not in training, and writes
bench/results/rate_distortion.md. About ten minutes a recipe on two cores.
"""

import sys
from pathlib import Path
from typing import Any

from result import FOLDER, made_by, options, table, write

from timbrespace import verbs
from timbrespace.recipe import load

RECIPES = ("nsynth-baseline", "nsynth-pitch", "instruments-80", "instruments")
RESULT = FOLDER / "rate_distortion.md"
HEADINGS = (
    "recipe", "mels x frames", "epochs", "training min", "bits per sound", "active", "dB RMSE",
    "decode(mu)", "loud cells", "their bias", "on training sounds", "mean sound", "mean per pitch",
    "PCA-8", "PCA-32", "PCA-64", "PCA-32 beside the mean per pitch", "family on z", "on mu",
    "majority", "pitch on z",
)  # fmt: skip


def row(name: str, corpus: Path, runs: Path) -> tuple[list[str], str]:
    """One line of the table, and the verdict in words."""
    run = verbs.train(name, corpus, runs / name, resume=True)
    measured: dict[str, Any] = verbs.evaluate(run.path)
    recipe = load(name)
    minutes = sum(line["seconds"] for line in run.history()) / 60.0
    distortion, rate, floors = measured["distortion"], measured["rate"], measured["floors"]
    family = measured["probes"]["family"]
    pitch = measured["probes"]["pitch"]
    beside = floors["pca_given_pitch_rmse_db"] or {}
    numbers = [
        distortion["rmse_db"], distortion["rmse_db_at_mean"], distortion["loud_rmse_db"],
        distortion["loud_bias_db"], distortion["train_rmse_db"],
        floors["mean_sound_rmse_db"], floors["mean_per_pitch_rmse_db"],
        *(floors["pca_rmse_db"][k] for k in ("8", "32", "64")), beside.get("32"),
    ]  # fmt: skip
    shares = [
        family["on_z"]["knn"], family["on_mu"]["knn"], family["on_z"]["majority"],
        pitch["on_z"]["knn"],
    ]  # fmt: skip
    cells = [
        name, f"{recipe.feature.mels} x {recipe.feature.frames}", f"{run.status()['epoch']}",
        f"{minutes:.1f}", f"{rate['bits_per_sound']:.1f}",
        f"{rate['active_units']} of {rate['dimensions']}",
        *("" if n is None else f"{n:.2f}" for n in numbers), *(f"{s:.2f}" for s in shares),
    ]  # fmt: skip
    return cells, measured["verdict"]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("recipes", nargs="*", default=list(RECIPES), metavar="RECIPE")
    parser.add_argument("--runs", type=Path, default=Path("build/rate-distortion"))
    given = parser.parse_args()
    given.runs.mkdir(parents=True, exist_ok=True)
    lines, verdicts = [], []
    for name in given.recipes:
        cells, verdict = row(name, given.corpus, given.runs)
        lines.append(cells)
        verdicts.append(f"- `{name}`: {verdict}")
        print(*cells, sep=" | ", file=sys.stderr)
    about = (
        made_by(f"python bench/rate_distortion.py CORPUS {' '.join(given.recipes)}")
        + " Validation sounds, whose instruments were not in training; z sampled unless it says mu; "
        "PCA has no limit of rate; the two kinds of picture compare within their own columns only."
    )
    write(RESULT, "Rate and distortion", about, table(HEADINGS, lines), "\n".join(verdicts))


if __name__ == "__main__":
    main()
