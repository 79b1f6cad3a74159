"""What the principal components of a corpus's pictures are worth, and what a linear code makes of them.

    python experiments/components.py CORPUS [--mels 80 --frames 128]

A component with the variance v, in squared picture units summed over the cells, is worth bits in the
Gaussian ELBO with weight beta where v > beta (Lucas et al. 2019; reverse water-filling: Cover &
Thomas 2006, theorem 10.3.3). Printed are the largest variances, the step at which report 001's beta
passes each, and the error of the best linear code at some rates, with and without the pitch being told. All
of training sounds. Some ten seconds on one core.
"""

import sys
from pathlib import Path

import numpy as np

from timbrespace.data.corpus import Corpus
from timbrespace.evaluation import floors
from timbrespace.features.catalogue import feature_of
from timbrespace.geometry.project import Pca
from timbrespace.geometry.rate import water_level

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
import result

COMPONENTS = 256
RATES = (0.25, 0.5, 1.0, 4.0, 16.0, 38.1)  # nats per sound; 38.1 are 55 bits
BETA, WARM_UP = 2.0, 2000  # of report 001


def main() -> None:
    parser = result.options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--mels", type=int, default=80)
    parser.add_argument("--frames", type=int, default=128)
    given = parser.parse_args()
    corpus = Corpus.open(given.corpus)
    store = corpus.features(
        feature_of({"kind": "log_mel", "mels": given.mels, "frames": given.frames})
    )
    rows = corpus.split_rows("train")
    labels = corpus.labels("pitch")
    pitches = [int(labels[row]) for row in rows]
    cells = given.mels * given.frames
    mean, by_pitch = floors.means(store.read, rows, pitches)
    plain = Pca.fit_batches(lambda: floors.flat(store.read, rows), COMPONENTS)
    told = Pca.fit_batches(
        lambda: floors.beside_the_pitch(store.read, rows, pitches, mean, by_pitch), COMPONENTS
    )
    values, counts = np.unique(pitches, return_counts=True)
    share = counts / counts.sum()
    print(f"{len(rows)} training sounds, {cells} cells, {len(values)} pitches")
    print(f"entropy of the pitch {-(share * np.log(share)).sum():.2f} nats")
    for name, pca in (("about the mean sound", plain), ("about the mean of the pitch", told)):
        total = pca.total_variance
        print(f"\nvariance {name}: {total:.0f} in all, {db(total, cells):.2f} dB")
    lines = [
        (k, f"{v:.1f}", f"{v / plain.total_variance:.3f}", f"{v / (BETA * cells / 2) * WARM_UP:.0f}",
         f"{w:.1f}")
        for k, (v, w) in enumerate(zip(plain.variances, told.variances, strict=True), 1)
        if k in (1, 2, 3, 4, 8, 16, 32, 64)
    ]  # fmt: skip
    heads = ("component", "variance", "of all", "step at which beta passes it", "given the pitch")
    print("\n" + result.table(heads, lines))
    lines = [
        (rate, *(f"{number:.4g}" for pca in (plain, told) for number in code(pca, rate, cells)))
        for rate in RATES
    ]
    heads = ("nats", "beta", "dB", "components", "beta, pitch told", "dB", "components")
    print("\n" + result.table(heads, lines))


def code(pca: Pca, nats: float, cells: int) -> tuple[float, float, int]:
    """The best linear code at a rate: its beta, its error in dB and the components that it codes."""
    beta = water_level(pca.variances, nats)
    left = pca.total_variance - float((pca.variances - beta).clip(0.0).sum())
    return beta, db(left, cells), int((pca.variances > beta).sum())


def db(squared: float, cells: int) -> float:
    """A squared error, summed over the cells, as dB RMSE where one unit is 40 dB."""
    return 40.0 * float(np.sqrt(squared / cells))


if __name__ == "__main__":
    main()
