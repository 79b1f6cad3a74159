"""How fast and in how much memory runs encode and decode long sounds, and what their windows leave.

    OMP_NUM_THREADS=1 python bench/rendering.py RUN [RUN ...] [--minutes 10]

Chords that are steady and that glide go through each run. Real time: seconds of sound for a
second of CPU, encoding and decoding apart, on the chord of --minutes. Memory: by how much the peak of the
process grows from one minute to --minutes, beside the samples themselves; and of whole commands on files
of 1, 5 and 10 minutes, each in a process of its own. Window rate: the strongest line
of the output's envelope at the rate at which windows begin or twice that / what lies around it, below its
mean; a line that does not stand out is noise, and gets softer the longer one listens. Writes
bench/results/rendering.md.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from result import FOLDER, made_by, options, table, write
from scipy.signal import firwin, oaconvolve

from timbrespace.audio.files import write as write_sound
from timbrespace.features.decibels import Decibels
from timbrespace.render.synth import Synth
from timbrespace.runs import Run

HEADINGS = (
    "run", "feature", "decoder", "encode, times real time", "decode, times real time",
    "peak of 1 minute, MB", "peak of all, MB", "samples, MB", "440 Hz, dB", "98 Hz, dB",
    "200 to 800 Hz, dB", "900 to 150 Hz, dB", "150 to 1200 Hz six times, dB",
)  # fmt: skip
LASTS = 30  # seconds of each tone and glide

COMMANDS = (("encode",), ("reconstruct",), ("reconstruct", "--explain"))
LENGTHS = (1.0, 5.0, 10.0)  # minutes
PART = 1 << 18  # samples of a chord made at once


def chord(hertz: np.ndarray, sample_rate: int) -> np.ndarray:
    sound, turns = np.empty(len(hertz), np.float32), 0.0
    for first in range(0, len(hertz), PART):  # the chord itself is not to be what takes memory
        here = turns + np.cumsum(hertz[first : first + PART]) / sample_rate
        parts = [0.2 / k * np.sin(2 * np.pi * k * here) for k in (1, 2, 3, 4)]
        sound[first : first + PART], turns = np.sum(parts, 0), here[-1] % 1.0
    return sound


def window_rate_db(sound: np.ndarray, sample_rate: int, step: int) -> tuple[float, float]:
    """The strongest line of the envelope at the rate of windows that are `step` samples apart and at twice
    that, and the median of what lies within 5 Hz of it, in dB below the envelope's mean."""
    rate = sample_rate / step
    low = firwin(
        2 * round(4 * sample_rate / rate) + 1, 2.5 * rate, window="blackmanharris", fs=sample_rate
    )
    power = oaconvolve(np.square(sound.astype(np.float64)), low, mode="same")
    every = max(1, int(sample_rate / (8 * rate)))
    curve = np.sqrt(np.maximum(power, 0.0))[2 * sample_rate : -2 * sample_rate : every]
    clock = np.linspace(-1.0, 1.0, len(curve))
    mean, curve = curve.mean(), curve - np.polyval(np.polyfit(clock, curve, 3), clock)
    window = np.hanning(len(curve))
    lines = np.abs(np.fft.rfft(curve * window)) * 2 / window.sum() / mean
    at = np.fft.rfftfreq(len(curve), every / sample_rate)
    found = [(lines[np.abs(at - k * rate) < 1.5 * at[1]].max(), k * rate) for k in (1, 2)]
    line, hertz = max(found)
    off = np.abs(at - hertz)
    around = np.median(lines[(off < 5.0) & (off > 3 * at[1])])
    return 20 * float(np.log10(max(line, 1e-9))), 20 * float(np.log10(max(around, 1e-9)))


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


def command_peak(run: Path, verb: tuple[str, ...], sound: Path, out: Path) -> float:
    """The peak in MB of a whole command on a file, in a process of its own."""
    words = ["timbrespace", verb[0], str(run), str(sound), "--out", str(out), *verb[1:]]
    told = (
        "import resource, sys; from timbrespace.cli import main; sys.argv = sys.argv[1:]\n"
        "try: main()\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", told, *words], capture_output=True, text=True, check=True
    )
    return int(done.stderr.split()[-1]) / 1e3


def peaks(run: Path, lengths: tuple[float, ...]) -> list[list[str]]:
    """For each command the peak in MB of each length in minutes, on a chord."""
    rows = [[" ".join(verb)] for verb in COMMANDS]
    rate = synth_of(run).feature.sample_rate
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "chord.wav"
        for minutes in lengths:
            hertz = np.broadcast_to(440.0, round(60 * minutes * rate))
            write_sound(sound, chord(hertz, rate), rate)
            for told, verb in zip(rows, COMMANDS, strict=True):
                out = Path(folder) / ("latents.npz" if verb[0] == "encode" else "out")
                told.append(f"{command_peak(run, verb, sound, out):.0f}")
    return rows


def alone(path: Path, minutes: float) -> dict[str, float]:
    words = [sys.executable, __file__, str(path), "--minutes", str(minutes), "--alone"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def row(path: Path, minutes: float) -> list[object]:
    synth = synth_of(path)
    feature, rate = synth.feature, synth.feature.sample_rate
    short, long = alone(path, 1.0), alone(path, minutes)
    left = []
    for hertz, pitch in (
        (np.full(LASTS * rate, 440.0), 69), (np.full(LASTS * rate, 98.0), 43),
        (np.geomspace(200, 800, LASTS * rate), 60), (np.geomspace(900, 150, LASTS * rate), 60),
        (np.tile(np.geomspace(150, 1200, 5 * rate), LASTS // 5), 60),
    ):  # fmt: skip
        made = synth.reconstruct(chord(hertz, rate), pitch=pitch if synth.pitched else None)
        left.append("{:.0f} / {:.0f}".format(*window_rate_db(made, rate, feature.step)))
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
    parser.add_argument("--lengths", nargs="+", type=float, default=LENGTHS, help="minutes")
    parser.add_argument("--peaks", type=Path, metavar="FILE", help="peaks alone, into this file")
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
    heads = ("peak, MB", *(f"{minutes:g} minutes" for minutes in given.lengths))
    memory = [table(heads, peaks(run, tuple(given.lengths))) for run in given.runs]
    if given.peaks:
        write(given.peaks, "Memory of long sounds", about, *memory)
        return
    rows = [row(run, given.minutes) for run in given.runs]
    write(FOLDER / "rendering.md", "Long sounds", about, table(HEADINGS, rows), *memory)


if __name__ == "__main__":
    main()
