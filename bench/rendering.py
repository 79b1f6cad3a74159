"""How fast and in how much memory runs encode and decode long sounds, and what their windows leave.

    OMP_NUM_THREADS=1 python bench/rendering.py RUN [RUN ...] [--minutes 10]

A chord of 440 Hz and a glide from 200 to 800 Hz go through each run. Real time: seconds of sound for a
second of CPU, encoding and decoding apart, on the chord of --minutes. Memory: by how much the peak of the
process grows from one minute to --minutes, beside the samples themselves. Window rate: the strongest of
the first two lines of the output's envelope at the rates at which windows begin and at which they end and
the next one that shares nothing with them begins, below its mean. Writes
bench/results/rendering.md.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from result import FOLDER, made_by, options, table, write

from timbrespace.features.decibels import Decibels
from timbrespace.render.synth import Synth
from timbrespace.runs import Run

HEADINGS = (
    "run", "feature", "decoder", "encode, times real time", "decode, times real time",
    "peak of 1 minute, MB", "peak of all, MB", "samples, MB", "window rate, tone, dB",
    "window rate, glide, dB",
)  # fmt: skip


PART = 1 << 18  # samples of a chord made at once


def chord(hertz: np.ndarray, sample_rate: int) -> np.ndarray:
    sound, turns = np.empty(len(hertz), np.float32), 0.0
    for first in range(0, len(hertz), PART):  # the chord itself is not to be what takes memory
        here = turns + np.cumsum(hertz[first : first + PART]) / sample_rate
        parts = [0.2 / k * np.sin(2 * np.pi * k * here) for k in (1, 2, 3, 4)]
        sound[first : first + PART], turns = np.sum(parts, 0), here[-1] % 1.0
    return sound


def window_rate_db(sound: np.ndarray, sample_rate: int, step: int) -> float:
    """The envelope's strongest line at the rate of windows that are `step` samples apart, and twice that."""
    block = 128
    curve = np.square(sound[: len(sound) // block * block].astype(np.float64))
    curve = np.sqrt(curve.reshape(-1, block).mean(1))[2 * sample_rate // block :]
    curve = curve[: -2 * sample_rate // block]
    clock = np.arange(len(curve))
    mean, curve = curve.mean(), curve - np.polyval(np.polyfit(clock, curve, 3), clock)
    window = np.hanning(len(curve))
    lines = np.abs(np.fft.rfft(curve * window)) * 2 / window.sum() / mean
    at = np.fft.rfftfreq(len(curve), block / sample_rate)
    near = [lines[np.abs(at - k * sample_rate / step) < 1.5 * at[1]] for k in (1, 2)]
    return 20 * float(np.log10(max(part.max(initial=1e-9) for part in near)))


def synth_of(path: Path) -> Synth:
    run = Run.open(path)
    return Synth(run.model, run.feature, run.vocabulary)


def measure(path: Path, minutes: float) -> dict[str, float]:
    """In a process of its own, whose peak is then that of this one sound."""
    torch.set_num_threads(1)
    synth = synth_of(path)
    rate = synth.feature.sample_rate
    sound = chord(np.broadcast_to(440.0, round(60 * minutes * rate)), rate)
    pitch = 69 if synth.pitched else None
    begin = time.process_time()
    encoded = synth.encode(sound, pitch=pitch)
    middle = time.process_time()
    synth.decode_windows(encoded)
    end = time.process_time()
    seconds = len(sound) / rate
    return {
        "encode": seconds / (middle - begin), "decode": seconds / (end - middle),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, "samples": sound.nbytes / 1e6,
    }  # fmt: skip


def alone(path: Path, minutes: float) -> dict[str, float]:
    words = [sys.executable, __file__, str(path), "--minutes", str(minutes), "--alone"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def row(path: Path, minutes: float) -> list[object]:
    synth = synth_of(path)
    feature, rate = synth.feature, synth.feature.sample_rate
    short, long = alone(path, 1.0), alone(path, minutes)
    left = []
    for hertz, pitch in ((np.full(20 * rate, 440.0), 69), (np.geomspace(200, 800, 20 * rate), 60)):
        made = synth.reconstruct(chord(hertz, rate), pitch=pitch if synth.pitched else None)
        lines = (window_rate_db(made, rate, step) for step in (feature.step, feature.span))
        left.append(" / ".join(f"{line:.0f}" for line in lines))
    width = f" of {feature.frames} frames" if isinstance(feature, Decibels) else ""
    return [
        path.name, f"{feature.kind}{width}", type(synth.model.decoder.net).__name__,
        f"{long['encode']:.0f}", f"{long['decode']:.0f}", f"{short['peak']:.0f}",
        f"{long['peak']:.0f}", f"{long['samples']:.0f}", *left,
    ]  # fmt: skip


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--alone", action="store_true", help="measure the first run, print JSON")
    given = parser.parse_args()
    if given.alone:
        print(json.dumps(measure(given.runs[0], given.minutes)))
        return
    torch.set_num_threads(1)
    names = " ".join(run.name for run in given.runs)
    about = made_by(
        f"OMP_NUM_THREADS=1 python bench/rendering.py {names} --minutes {given.minutes:g}",
        "one thread", f"torch {torch.__version__}",
    )  # fmt: skip
    rows = [row(run, given.minutes) for run in given.runs]
    write(FOLDER / "rendering.md", "Long sounds", about, table(HEADINGS, rows))


if __name__ == "__main__":
    main()
