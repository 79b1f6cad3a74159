"""A harmonic-plus-noise run on its validation sounds: is it in tune, how far are its spectra, how fast?

    OMP_NUM_THREADS=1 python bench/harmonic.py RUN [--sounds 300] [--seed 0]

Pitch: that of timbrespace.audio.pitch against the pitch that the decoder was told; the same of the
originals, which says what the tracker can find. An octave error is a whole number of octaves off, within
50 cents. MR-STFT: losses.spectral at 256 to 2048 samples. Speed: CPU seconds of one sound, latent to
samples, median of 7. Writes bench/results/harmonic.md.
"""

import time
from pathlib import Path

import numpy as np
import torch
from result import FOLDER, made_by, options, table, write

from timbrespace.audio import pitch
from timbrespace.batches import Pictures
from timbrespace.evaluation.pitch import SHARES, cents, shares
from timbrespace.evaluation.waves import floors
from timbrespace.losses.spectral import multi_resolution_stft
from timbrespace.runs import Run

RESULT = FOLDER / "harmonic.md"
HEADINGS = (
    "sound", "within 10 cents", "within 50 cents", "octave errors", "others", "no pitch", "MR-STFT"
)  # fmt: skip


def errors_of(sounds: torch.Tensor, wanted: np.ndarray, rate: int) -> np.ndarray:
    """How far the pitches of sounds (N, n) lie above MIDI numbers (N,), in cents; NaN for none."""
    found = [pitch.note(sound, rate) for sound in sounds.numpy()]
    return cents(np.array([np.nan if f is None else pitch.to_midi(f) for f in found]), wanted)


def seconds_each(decode, count: int = 7) -> float:
    decode()
    times = []
    for _ in range(count):
        began = time.process_time()
        decode()
        times.append(time.process_time() - began)
    return float(np.median(times))


@torch.no_grad()
def main() -> None:
    parser = options(__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--sounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    run = Run.open(given.run)
    corpus, rate, model = run.corpus, run.feature.sample_rate, run.model
    draw = np.random.default_rng(given.seed)
    rows = draw.permutation(corpus.split_rows("valid"))
    rows = np.sort(
        [row for row in rows if corpus.labels("pitch")[int(row)] is not None][: given.sounds]
    )
    pictures = Pictures.of(corpus, corpus.features(run.feature), rows, run.vocabulary)
    originals, sampled, at_mean, nats = [], [], [], []
    for x, labels in pictures.in_order(16, torch.device("cpu")):
        latent = model.encode(x, labels)
        z = latent.sample(torch.from_numpy(draw.standard_normal(latent.mean.shape, np.float32)))
        originals.append(x[:, 0, 0])
        sampled.append(model.decode(z, labels)[:, 0, 0])
        at_mean.append(model.decode(latent.mean, labels)[:, 0, 0])
        nats.append(latent.nats(z).sum(1))
    sets = dict(zip(
        ("original", "decoded, z sampled", "decoded, z = mu"),
        map(torch.cat, (originals, sampled, at_mean)), strict=True,
    ))  # fmt: skip
    one = sets["original"]
    sets |= {f"floor: {name}": made for name, made in floors(one, draw).items()}
    wanted = pictures.labels["pitch"].double().numpy()
    lines = []
    for name, sounds in sets.items():
        cells = [""] * len(SHARES)
        if not name.startswith("floor"):
            found = shares(errors_of(sounds, wanted, rate)).mean(0)
            cells = [f"{share:.1%}" for share in found]
        parts = zip(sounds.split(16), one.split(16), strict=True)
        distance = sum(float(multi_resolution_stft(a, b)) * len(a) for a, b in parts) / len(one)
        lines.append([name, *cells, f"{distance:.3f}"])
    z, told = torch.zeros(1, model.latent), {"pitch": torch.tensor([60.0])}
    speed = one.shape[1] / rate / seconds_each(lambda: model.decode(z, told))
    bits = float(torch.cat(nats).mean() / np.log(2.0))
    minutes = sum(line["seconds"] for line in run.history()) / 60.0
    about = (
        made_by(f"python bench/harmonic.py RUN --sounds {len(rows)}")
        + f" Recipe `{run.name}`, {run.status()['epoch']} epochs in {minutes:.1f} min on "
        f"{run.provenance['threads']} thread(s). {len(rows)} validation sounds of "
        f"{one.shape[1] / rate:.1f} s, whose instruments were not in training. Pitches by "
        "timbrespace.audio.pitch, also of the originals: what it misses there it cannot find in copies."
    )
    below = f"{bits:.1f} bits per sound; decoding one sound on one thread takes 1/{speed:.0f} of its length."
    write(RESULT, "Harmonics and noise", about, table(HEADINGS, lines), below)


if __name__ == "__main__":
    main()
