"""How far a label leaves the latent, by each way of removing it, and what that costs.

    python bench/removal.py CORPUS --runs build/removal [--seeds 4444 1]

Trains a small `instruments-80` for 12 epochs with the pitch told and, by each way and weight, removed
from the latent (a finished run is kept), measures validation sounds of unheard instruments, and writes
bench/results/removal.md. About a minute a run on two cores.
"""

import sys
from pathlib import Path

import numpy as np
from result import FOLDER, made_by, options, table, write

from timbrespace import verbs
from timbrespace.evaluation.evaluate import measure

RESULT = FOLDER / "removal.md"
SMALL = (
    "train.epochs=12", "model.decoder.hidden=256", "model.encoder.hidden=256",
)  # fmt: skip
WAYS = (("none", 0), ("adversary", 1), ("adversary", 3), ("adversary", 10),
        ("independence", 20), ("independence", 50), ("independence", 100))  # fmt: skip
HEADINGS = (
    "removed by", "weight", "seeds", "dB RMSE", "bits per sound", "pitch on z, 5 nearest",
    "pitch on z, linear", "pitch on mu, linear", "chance", "family on z, linear",
)  # fmt: skip


def figures(corpus: Path, runs: Path, way: str, weight: int, seed: int) -> list[float]:
    """What one run measures, in the order of HEADINGS from dB RMSE on."""
    removed = (f"model.condition.remove={{pitch: {way}}}", f"objective.weights={{{way}: {weight}}}")
    seeded = (f"seed={seed}",)
    settings = (*SMALL, *seeded, *(removed if weight else ()))
    out = runs / f"{way}-{weight}-{seed}"
    run = verbs.train("instruments-80", corpus, out, settings=settings, resume=True)
    found = measure(run).metrics
    pitch, family = found["probes"]["pitch"], found["probes"]["family"]
    return [
        found["distortion"]["rmse_db"], found["rate"]["bits_per_sound"], pitch["on_z"]["knn"],
        pitch["on_z"]["linear"], pitch["on_mu"]["linear"], pitch["on_z"]["majority"],
        family["on_z"]["linear"],
    ]  # fmt: skip


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("build/removal"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[4444, 1])
    given = parser.parse_args()
    given.runs.mkdir(parents=True, exist_ok=True)
    lines = []
    for way, weight in WAYS:
        runs = [figures(given.corpus, given.runs, way, weight, seed) for seed in given.seeds]
        mean, half = np.mean(runs, 0), np.ptp(runs, 0) / 2
        digits = (2, 1, 3, 3, 3, 3, 3)
        cells = [f"{m:.{d}f} ± {h:.{d}f}" for m, h, d in zip(mean, half, digits, strict=True)]
        lines.append([way, weight, len(runs), *cells])
        print(*lines[-1], sep=" | ", file=sys.stderr)
    about = (
        made_by(f"python bench/removal.py CORPUS --seeds {' '.join(map(str, given.seeds))}")
        + " A small `instruments-80`, 12 epochs, pitch told; validation sounds, whose instruments were "
        "not in training; ± is half the range over the seeds; chance is always naming the commonest "
        "pitch."
    )
    write(RESULT, "A label removed from the latent", about, table(HEADINGS, lines))


if __name__ == "__main__":
    main()
