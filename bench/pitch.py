"""How right the pitch tracker is: yin, swift-f0, and yin with swift-f0 where yin is not sure.

    OMP_NUM_THREADS=1 python bench/pitch.py NOTES [--notes 300]

NOTES: a folder in the NSynth layout whose labels are the truth. The first two seconds of notes are taken as
they are, in white noise as loud as they are and 10 dB below, and made sound again from 80 mels; organs
apart. Tones: one second of ten pitches from 27.5 to 4186 Hz. A note's pitch is that of `audio.pitch`.
Writes bench/results/pitch.md.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from result import FOLDER, made_by, options, table, write

from timbrespace.audio import pitch
from timbrespace.evaluation.pitch import SHARES, cents, median_cents, shares
from timbrespace.features.log_mel import LogMel

RATE = 16000
TONES = (27.5, 46.0, 82.4, 146.8, 261.6, 466.2, 830.6, 1480.0, 2637.0, 4186.0)
HEADINGS = (
    "sounds", "tracker", "median cents", "within 10", "within 50", "octave off", "other", "no pitch"
)  # fmt: skip
Track = Callable[[np.ndarray], pitch.Pitch]


def yin(sound: np.ndarray) -> pitch.Pitch:
    network, pitch._network = pitch._network, lambda: None
    try:
        return pitch.track(sound, RATE)
    finally:
        pitch._network = network


def network(sound: np.ndarray) -> pitch.Pitch:
    peak = np.abs(sound).max()
    found = pitch._network().detect(sound * (0.5 / peak), RATE)
    level = found.loudness_db - found.loudness_db.max()
    return pitch.Pitch(found.pitch_hz, found.confidence, level)


TRACKERS: dict[str, Track] = {
    "yin": yin, "swift-f0": network, "both": lambda sound: pitch.track(sound, RATE)
}  # fmt: skip


def tones() -> dict[str, list[tuple[np.ndarray, float]]]:
    """Sounds and their MIDI numbers, by name."""
    clock = np.arange(RATE) / RATE
    kinds = {
        "sines": [1],
        "tones of 8 partials": range(1, 9),
        "the same without the first": range(2, 9),
    }
    found: dict[str, list[tuple[np.ndarray, float]]] = {}
    for name, partials in kinds.items():
        for hertz in TONES:
            held = [k for k in partials if k * hertz < 7800]
            if len(held) < min(2, len(partials)):
                continue
            sound = np.sum([np.sin(2 * np.pi * k * hertz * clock) / k for k in held], 0)
            found.setdefault(name, []).append((sound.astype(np.float32), pitch.to_midi(hertz)))
    return found


def notes(folder: Path, count: int) -> dict[str, list[tuple[np.ndarray, float]]]:
    """Notes, in noise, and made sound again, with their MIDI numbers, by name."""
    rng, everything = np.random.default_rng(0), []
    for examples in sorted(folder.glob("*/examples.json")):
        for name, entry in json.loads(examples.read_text()).items():
            everything.append((examples.parent / "audio" / f"{name}.wav", entry))
    feature = LogMel(RATE, n_fft=1024, hop=256, mels=80, frames=125)
    found: dict[str, list[tuple[np.ndarray, float]]] = {}
    for at in rng.permutation(len(everything))[:count]:
        path, entry = everything[at]
        sound, truth = soundfile.read(path, dtype="float32")[0][: 2 * RATE], float(entry["pitch"])
        if not np.abs(sound).max() > pitch.SILENT:
            continue
        hiss = rng.standard_normal(len(sound)) * np.sqrt(np.mean(sound**2))
        seen = feature.analyse_all(torch.from_numpy(sound))
        again = feature.invert(seen.values, seen.level_db, length=len(sound)).numpy()
        organ = entry["instrument_family_str"] == "organ"
        made = {
            "notes": sound, "notes, noise 10 dB below": sound + 10**-0.5 * hiss,
            "notes, noise as loud": sound + hiss, "notes from 80 mels": again,
        }  # fmt: skip
        for name, samples in made.items():
            key = name.replace("notes", "organ notes") if organ else name
            found.setdefault(key, []).append((samples.astype(np.float32), truth))
    return dict(sorted(found.items()))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("notes", type=Path)
    parser.add_argument("--notes", dest="count", type=int, default=300)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows, seconds = [], dict.fromkeys(TRACKERS, 0.0)
    total = 0.0
    for name, sounds in {**tones(), **notes(given.notes, given.count)}.items():
        total += sum(len(sound) for sound, _ in sounds) / RATE
        for tracker, track in TRACKERS.items():
            began = time.process_time()
            heard = [track(sound).note for sound, _ in sounds]
            seconds[tracker] += time.process_time() - began
            midi = np.array([np.nan if f is None else pitch.to_midi(f) for f in heard])
            errors = cents(midi, np.array([truth for _, truth in sounds]))
            middle = median_cents(errors)
            rows.append(
                [f"{name} ({len(sounds)})", tracker, "" if middle is None else f"{middle:.1f}",
                 *(f"{share:.1%}" for share in shares(errors).mean(0))]
            )  # fmt: skip
    assert len(HEADINGS) == 3 + len(SHARES)
    speeds = ", ".join(f"{name} {1e3 * 4 * s / total:.0f}" for name, s in seconds.items())
    write(
        FOLDER / "pitch.md", "Which pitch is heard",
        made_by(f"python bench/pitch.py NOTES --notes {given.count}")
        + f" CPU milliseconds of four seconds of sound: {speeds}. The truth of notes is their label; "
        "organ stops that sound octaves away from the key that plays them stand apart.",
        table(HEADINGS, rows),
    )  # fmt: skip


if __name__ == "__main__":
    main()
