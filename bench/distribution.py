"""What the figures of sets of sounds see, and what they do not: recordings, damaged on purpose.

    OMP_NUM_THREADS=1 python bench/distribution.py NOTES [--notes 400]

NOTES: a folder in the NSynth layout. One half of the notes is the reference, the other is damaged, 50 times
over: `evaluation.distribution` without a model. Then how far two sets of recordings are apart by their
size, and what an embedding of a note costs. Writes bench/results/distribution.md.
"""

import json
import time
from pathlib import Path

import numpy as np
import soundfile
from result import FOLDER, made_by, options, table, write
from scipy.signal import butter, sosfiltfilt

from timbrespace.embedding import embed
from timbrespace.evaluation import distribution, two_samples

RATE = 16000
SIZES = (25, 50, 100, 200)
LOW_PASS = butter(8, 4000.0, fs=RATE, output="sos")


def noisy(sound: np.ndarray, db: float, rng: np.random.Generator) -> np.ndarray:
    """With white noise `db` below it (RMS)."""
    noise = rng.standard_normal(len(sound)) * np.sqrt(np.mean(sound**2))
    return sound + noise * 10.0 ** (-db / 20.0)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("notes", type=Path)
    parser.add_argument("--notes", dest="count", type=int, default=400)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = json.loads((asked.notes / "examples.json").read_text(encoding="utf-8"))
    names = [sorted(labels)[i] for i in rng.permutation(len(labels))[: asked.count]]
    families = np.array([labels[name]["instrument_family_str"] for name in names])
    sounds = [
        soundfile.read(asked.notes / "audio" / f"{name}.wav", dtype="float32")[0] for name in names
    ]
    began = time.process_time()
    real = embed(sounds, RATE)
    cost = 1000.0 * (time.process_time() - began) / sum(len(sound) / RATE for sound in sounds)
    sets = {"real": real}
    for db in (40.0, 30.0, 20.0):
        sets[f"noise {db:.0f} dB below"] = embed([noisy(x, db, rng) for x in sounds], RATE)
    sets["nothing above 4 kHz"] = embed([sosfiltfilt(LOW_PASS, x) for x in sounds], RATE)
    sets["backwards"] = embed([x[::-1] for x in sounds], RATE)
    found = distribution.compare(sets, {}, rng)
    rows = [
        (name, *(
            f"{line[key]:.2f} ({line[f'{key}_range'][0]:.2f} to {line[f'{key}_range'][1]:.2f})"
            for key in distribution.FIGURES
        ))
        for name, line in found.items()
    ]  # fmt: skip
    largest = max(set(families.tolist()), key=families.tolist().count)
    without = []
    for _ in range(distribution.SPLITS):
        one, other = np.array_split(rng.permutation(len(real)), 2)
        without.append(distribution.evaluate(real[one], real[other[families[other] != largest]]))
    means = {key: np.mean([line[key] for line in without]) for key in distribution.FIGURES}
    rows.append((f"no {largest} (fewer)", *(f"{mean:.2f}" for mean in means.values())))
    floors = []
    for size in (size for size in SIZES if 2 * size <= len(real)):
        pairs = [np.split(real[rng.permutation(len(real))[: 2 * size]], 2) for _ in range(20)]
        kernel, frechet = (
            np.array([figure(*pair) for pair in pairs])
            for figure in (two_samples.kernel_audio_distance, two_samples.frechet_distance)
        )
        floors.append(
            (size, f"{kernel.mean():.2f} ± {kernel.std():.2f}", f"{frechet.mean():.0f} ± {frechet.std():.0f}")
        )  # fmt: skip
    write(
        FOLDER / "distribution.md", "Sets of sounds, damaged on purpose",
        made_by(f"python bench/distribution.py NOTES --notes {len(real)}", "built-in instruments"),
        table(("set", *distribution.FIGURES.values()), rows),
        "Two sets of recordings, by the size of each; mean and standard deviation of 20 draws:",
        table(("sounds", "kernel distance", "Fréchet distance"), floors),
        f"One thread embeds a second of sound in {cost:.1f} ms.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
