"""A harmonic-plus-noise run on its validation sounds: is it in tune, how far are its spectra, how fast?

    OMP_NUM_THREADS=1 python bench/harmonic.py RUN [--sounds 300] [--seed 0]

Pitch: librosa's yin over 2048 samples, the median over the frames within 20 dB of the loudest, against
the pitch that the decoder was told; the same of the originals, which says what the tracker can find. An
octave error is a whole number of octaves off, within 50 cents. MR-STFT: losses.spectral at 256 to 2048
samples. Speed: CPU seconds of one sound, latent to samples, median of 7. Writes bench/results/harmonic.md.
"""

import time
from pathlib import Path

import librosa
import numpy as np
import torch
from result import FOLDER, made_by, options, table, write

from timbrespace.batches import Pictures
from timbrespace.evaluation.waves import floors
from timbrespace.losses.spectral import multi_resolution_stft
from timbrespace.runs import Run

RESULT = FOLDER / "harmonic.md"
LOWEST, HIGHEST = 24.0, 4500.0  # Hz that the tracker looks for
HEADINGS = (
    "sound", "within 10 cents", "within 50 cents", "octave errors", "others", "MR-STFT"
)  # fmt: skip


def cents(sound: np.ndarray, wanted: float, rate: int) -> float:
    """How far the pitch of a sound (n,) lies above the wanted one in Hz; NaN for silence."""
    if not sound.any():
        return float("nan")
    found = librosa.yin(sound, fmin=LOWEST, fmax=HIGHEST, sr=rate, frame_length=2048)
    rms = librosa.feature.rms(y=sound, frame_length=2048, hop_length=512)[0][: len(found)]
    return float(1200.0 * np.log2(np.median(found[: len(rms)][rms > 0.1 * rms.max()]) / wanted))


def shares(errors: np.ndarray) -> list[float]:
    """Of errors in cents: within 10, within 50, octaves off, all others."""
    near, good = np.abs(errors) <= 10.0, np.abs(errors) <= 50.0
    octave = np.round(errors / 1200.0)
    octaves = ~good & (octave != 0) & (np.abs(errors - 1200.0 * octave) <= 50.0)
    return [float(part.mean()) for part in (near, good, octaves, ~good & ~octaves)]


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
    pitch = pictures.labels["pitch"]
    wanted = 440.0 * 2.0 ** ((pitch.double().numpy() - 69.0) / 12.0)
    lines = []
    for name, sounds in sets.items():
        cells = [""] * 4
        if not name.startswith("floor"):
            errors = [cents(s, w, rate) for s, w in zip(sounds.numpy(), wanted, strict=True)]
            cells = [f"{share:.1%}" for share in shares(np.array(errors))]
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
        f"{one.shape[1] / rate:.1f} s, whose instruments were not in training. Pitches by librosa's yin, "
        "also of the originals: what it misses there it cannot find in copies."
    )
    below = f"{bits:.1f} bits per sound; decoding one sound on one thread takes 1/{speed:.0f} of its length."
    write(RESULT, "Harmonics and noise", about, table(HEADINGS, lines), below)


if __name__ == "__main__":
    main()
