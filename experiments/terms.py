"""Where the pictures of runs are wrong: in which bands, and how often out of range.

    python experiments/terms.py RUN...

Report 003 says that weighted bands preserve fundamentals, that a term for the range reduces values
outside of it, and that high frequencies stay difficult. `timbrespace evaluate` gives the error of
each mel band; here it is read from there, for the bands below 300 Hz, above 4 kHz and between, and
counted how many cells of the decoded validation pictures (z sampled) lie outside of the picture's
range, -1 to 1, and how far the farthest. `python experiments/terms.py build/experiments/ablations/musicvae-*`
writes results/terms.md. Some seconds a run on one core.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from timbrespace.evaluation.facts import Encoded
from timbrespace.runs import Run

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
import result

BATCH = 64
LOW, HIGH = 300.0, 4000.0  # Hz


def main() -> None:
    parser = result.options(__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    given = parser.parse_args()
    lines = [line(Run.open(path)) for path in sorted(given.runs)]
    heads = (
        "run", f"dB below {LOW:g} Hz", "between", f"above {HIGH:g} Hz", "mean sound below", "between", "above",
        "cells out of range", "farthest",
    )  # fmt: skip
    result.write(
        Path(__file__).parent / "results" / "terms.md", "In which bands are the pictures of music wrong?",
        f"{result.made_by('python experiments/terms.py RUN...')} Validation sounds, z sampled; dB RMSE over "
        "the cells of those bands; the range is -1 to 1, 80 dB.",
        result.table(heads, lines),
    )  # fmt: skip


def line(run: Run) -> tuple[str, ...]:
    """One row of the table."""
    metrics = json.loads((run.path / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    bands = metrics["distortion"]["by_band"]
    hertz = np.array(bands["hertz"])
    parts = (hertz < LOW, (hertz >= LOW) & (hertz <= HIGH), hertz > HIGH)
    errors = [
        f"{np.sqrt(np.mean(np.square(np.array(bands[name])[part]))):.2f}"
        for name in ("rmse_db", "mean_sound_rmse_db")
        for part in parts
    ]
    share, farthest = out_of_range(run)
    return (run.path.name, *errors, f"{share:.2%}", f"{farthest:.2f}")


@torch.no_grad()
def out_of_range(run: Run) -> tuple[float, float]:
    """The share of the cells of decoded validation pictures beyond ±1, and the largest magnitude."""
    found = Encoded.of(run, run.corpus, run.corpus.split_rows("valid"), np.random.default_rng(0))
    cpu = torch.device("cpu")
    outside, cells, farthest, at = 0, 0, 0.0, 0
    for x, labels in found.pictures.in_order(BATCH, cpu):
        z = torch.from_numpy(found.z[at : at + len(x)])
        decoded = run.model.decode(z, labels).abs()
        outside += int((decoded > 1.0).sum())
        cells += decoded.numel()
        farthest = max(farthest, float(decoded.max()))
        at += len(x)
    return outside / cells, farthest


if __name__ == "__main__":
    main()
