"""Every way from a log-mel picture back to sound, on the same held-out recordings, in one run.

    OMP_NUM_THREADS=1 python bench/vocoders.py CORPUS [--vocoder FILE ...] [--sounds 200] [--librosa 24]
        [--other NAME=FOLDER ...]

Recordings are those of the corpus's test instruments, two seconds each, divided by their peak; a `--other`
folder of sounds (speech, drums) gets a table of its own. Figures: see timbrespace.vocoders.measure. librosa
is slow and inverts the first `--librosa` sounds only. Writes bench/results/vocoders.md.
"""

import time
from importlib.metadata import version
from pathlib import Path

import librosa
import numpy as np
import torch
from result import FOLDER, made_by, options, table, write
from torch import Tensor

from timbrespace.features.log_mel import LogMel
from timbrespace.features.phase import Recovery, griffin_lim
from timbrespace.vocoders import measure
from timbrespace.vocoders.recordings import Recordings, recordings
from timbrespace.vocoders.vocoder import Vocoder

RATE = 16000
HEADINGS = (
    "method", "mels", "sounds", "log-mel RMSE dB", "MR-STFT", "pitch kept",
    "ms per 2 s on one core",
)  # fmt: skip


def with_librosa(feature: LogMel) -> measure.Back:
    """librosa's way: least squares, then 32 rounds of fast Griffin-Lim."""

    def invert(values: Tensor, level: Tensor, _: Tensor, __: Tensor, length: int) -> Tensor:
        power = torch.pow(10.0, (feature.to_db(values[0]) + level) / 10.0).numpy()
        sound = librosa.feature.inverse.mel_to_audio(
            power, sr=feature.sample_rate, n_fft=feature.n_fft, hop_length=feature.hop, n_iter=32,
            length=length,
        )  # fmt: skip
        return torch.from_numpy(sound.astype(np.float32))[None]

    return invert


def true_magnitudes(feature: LogMel, rounds: int) -> measure.Back:
    """The ceiling of phase recovery: the recording's own magnitudes, random phase."""

    def invert(_: Tensor, __: Tensor, ___: Tensor, sound: Tensor, length: int) -> Tensor:
        window = torch.hann_window(feature.n_fft)
        magnitude = torch.stft(
            sound,
            feature.n_fft,
            feature.hop,
            window=window,
            pad_mode="constant",
            return_complex=True,
        ).abs()
        return griffin_lim(magnitude, feature.n_fft, feature.hop, rounds=rounds, length=length)

    return invert


def back(feature: LogMel, recovery: Recovery) -> measure.Back:
    return lambda values, level, _, __, length: feature.invert(
        values, level, recovery=recovery, length=length
    )


def rows(sounds: Recordings, vocoders: list[Path], count: int, slow: int) -> list[list[object]]:
    """The table of the given recordings."""
    original, pitch = measure.drawn(sounds, count)
    found: list[list[object]] = []

    def add(feature: LogMel, ways: dict[str, measure.Back], most: int = count) -> None:
        some = slice(0, most)
        for row in measure.measure(feature, original[some], pitch[some], ways):
            figures = (f"{row[key]:.2f}" for key in ("rmse_db", "mr_stft", "pitch_kept"))
            mels = "" if "true" in row["method"] else feature.mels
            found.append(
                [row["method"], mels, len(original[some]), *figures, f"{row['ms']:.1f}"]
            )  # fmt: skip

    add(LogMel(mels=80), {"librosa mel_to_audio 32": with_librosa(LogMel(mels=80))}, slow)
    nnls = Recovery("fast_griffin_lim", 32, inversion="nnls")
    add(LogMel(mels=80), {"NNLS + fast Griffin-Lim 32": back(LogMel(mels=80), nnls)})
    add(LogMel(mels=128), {"true magnitude + fast Griffin-Lim 64": true_magnitudes(LogMel(), 64)})
    name = "multiplicative + heap integration + 5 fast Griffin-Lim"
    for mels in (80, 128, 256):
        feature = LogMel(mels=mels)
        add(feature, {name: back(feature, Recovery("pghi", 5))})
    for file in vocoders:
        one = Vocoder.open(file)
        add(one.feature, {
            f"vocoder {file.stem}": measure.way_back(one),
            f"vocoder {file.stem}, not told the pitch": measure.way_back(one, told=False),
        })  # fmt: skip
    return found


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--vocoder", type=Path, action="append", default=[])
    parser.add_argument("--sounds", type=int, default=200)
    parser.add_argument("--librosa", type=int, default=24)
    parser.add_argument("--other", action="append", default=[], metavar="NAME=FOLDER")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    held_out = recordings(chosen.corpus, RATE, held_out="test").valid
    others = [given.partition("=") for given in chosen.other]
    heard = [(name, recordings(folder, RATE, held_out="test").train) for name, _, folder in others]
    parts = [
        f"Held-out instruments of {chosen.corpus.name}",
        table(HEADINGS, rows(held_out, chosen.vocoder, chosen.sounds, chosen.librosa)),
    ]
    for name, sounds in heard:
        parts += [
            name,
            table(HEADINGS, rows(sounds, chosen.vocoder, chosen.sounds, chosen.librosa)),
        ]
    files = [f"--vocoder {path.name}" for path in chosen.vocoder]
    files += [f"--other {name}={Path(folder).name}" for name, _, folder in others]
    about = made_by(
        f"OMP_NUM_THREADS=1 python bench/vocoders.py {chosen.corpus.name} {' '.join(files)} "
        f"--sounds {chosen.sounds} --librosa {chosen.librosa}",
        "one thread", f"torch {torch.__version__}", f"librosa {version('librosa')}",
        f"{time.process_time() - began:.0f} CPU seconds",
    )  # fmt: skip
    write(
        FOLDER / "vocoders.md", "From log-mel pictures back to sound",
        f"{about} ms: CPU milliseconds for two seconds of sound. Pitch kept: within 50 cents of "
        "the recording's.",
        *parts,
    )  # fmt: skip


if __name__ == "__main__":
    main()
