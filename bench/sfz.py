"""Exported instruments in a real SFZ player: is each key in tune, as loud as its sample, and is it its sample?

    OMP_NUM_THREADS=1 python bench/sfz.py RUN --to SOUND [--near family=brass] [--keys C2-C6]

RUN needs a space. Four instruments are written to a temporary folder and played by sfizz (`pip install
pysfizz`): the sound in the middle of a label, as WAV and as FLAC, and the way from there to another sound
over three layers of velocity and over the keys. Every key of every layer is held for four seconds, longer
than its sample, at the lowest, the own and the highest velocity of the layer, and released. Pitch: librosa's
yin, the median of 0.25 to 1.25 s of the key played, against the key; the same of the sample, whose own error no
player can mend. Level: RMS of the loudest 400 ms of the key against that of its sample as much softer as its
velocity says, after the mean difference over all keys, which is the player's own volume. Held: how far the
level of 50 ms moves from 2.5 to 4 s, where only the loop sounds, beside how far that of the sample moves in its
loop. Other sample: 1 - the correlation of a key that is the root of its sample with that sample over the first
quarter of a second; with the next layer's or the next root's it would be far from 0. Writes
bench/results/sfz.md.
"""

import math
import tempfile
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pysfizz
from result import FOLDER, made_by, options, table, write

from timbrespace import verbs
from timbrespace.audio.files import read
from timbrespace.exporting.instrument import Exported, loudest_db
from timbrespace.exporting.sfz import velocity_db
from timbrespace.runs import Run

RESULT = FOLDER / "sfz.md"
HELD, WHOLE = 4.0, 6.0  # seconds that a key is down, and that are heard


def cents(sound: np.ndarray, key: float, rate: int) -> float:
    """How far the pitch of a sound (n,) lies above a key."""
    wanted = 440.0 * 2.0 ** ((key - 69) / 12.0)
    part = sound[rate // 4 : rate // 4 + rate].astype(np.float64)
    found = librosa.yin(part, fmin=wanted / 1.5, fmax=wanted * 1.5, sr=rate, frame_length=4096)
    return float(1200.0 * np.log2(np.median(found) / wanted))


def sway_db(sound: np.ndarray, rate: int) -> float:
    """From the softest to the loudest 50 ms of a sound (n,)."""
    size = rate // 20
    parts = sound[: len(sound) // size * size].reshape(-1, size)
    level = 10.0 * np.log10(np.mean(np.square(parts, dtype=np.float64), 1) + 1e-12)
    return float(level.max() - level.min())


def measured(made: Exported, rate: int) -> tuple[str, list[list[str]]]:
    """What was played of an instrument in words, and a row for each figure."""
    assert made.sfz is not None
    player = pysfizz.Synth(sample_rate=rate, block_size=64)
    assert player.load_sfz_file(made.sfz), "the player refuses the instrument"
    lines, levels = [], []
    for sample in made.samples:
        wave = read(made.sfz.parent / "samples" / sample.file).mono()
        layer, zone, loop = sample.layer, sample.zone, sample.loop
        of_sample = cents(wave, zone.root, rate)
        own = math.nan if loop is None else sway_db(wave[loop.start : loop.end], rate)
        for key in range(zone.low, zone.high + 1):
            for velocity in sorted({layer.low, layer.velocity, layer.high}):
                heard = player.render_note(key, velocity, HELD, WHOLE)[0]
                levels.append(loudest_db(heard, rate) - velocity_db(velocity) - sample.level_db)
                if velocity != layer.velocity:
                    continue
                loops = loop is not None
                held = (
                    sway_db(heard[int(2.5 * rate) : int(HELD * rate)], rate) if loops else math.nan
                )
                silent = loudest_db(heard[int((HELD + 1.0) * rate) :], rate)
                first = slice(0, min(rate // 4, len(wave)))
                alike = (
                    np.corrcoef(heard[first], wave[first])[0, 1] if key == zone.root else math.nan
                )
                lines.append((cents(heard, key, rate), of_sample, held, own, silent, 1.0 - alike))
    found = np.array(lines)

    def row(name: str, values: np.ndarray, unit: str) -> list[str]:
        values = np.abs(values[np.isfinite(values)])
        if not len(values):
            return [name, "none", "", ""]
        parts = (np.median(values), np.quantile(values, 0.95), values.max())
        return [name, *(f"{part:.2f} {unit}".strip() for part in parts)]

    looped = sum(sample.loop is not None for sample in made.samples)
    words = (
        f"{len(made.samples)} samples, {looped} of them with a loop; the player answers to "
        f"{len(player.playable_keys)} keys and renders {len(levels)} notes; the loudest that is left a second "
        f"after a key is let go has {found[:, 4].max():.0f} dBFS."
    )
    return words, [
        row("pitch of the key, against the key", found[:, 0], "cents"),
        row("pitch of the sample, against its root", found[:, 1], "cents"),
        row("what the player adds", found[:, 0] - found[:, 1], "cents"),
        row("level of the key, against its sample", np.array(levels) - np.mean(levels), "dB"),
        row("sway while held, in the loop alone", found[:, 2], "dB"),
        row("sway of the sample between its loop points", found[:, 3], "dB"),
        row("other sample than its own", found[:, 5], ""),
    ]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--near", default="family=brass")
    parser.add_argument("--to", type=Path, required=True, help="The sound at the end of the way.")
    parser.add_argument("--keys", default="C2-C6")
    given = parser.parse_args()
    rate = Run.open(given.run).feature.sample_rate
    with tempfile.TemporaryDirectory() as folder:
        paragraphs: list[str] = []
        ways: tuple[tuple[str, dict[str, Any]], ...] = (
            ("One sound, WAV", {}),
            ("The same, FLAC", {"format": "flac"}),
            ("From there to another over velocity", {"to_sound": given.to, "over": "velocity"}),
            ("From there to another over the keys", {"to_sound": given.to, "over": "key"}),
        )
        for title, how in ways:
            made = verbs.export(
                given.run, Path(folder) / title, near=given.near, keys=given.keys, **how
            )
            words, rows = measured(made, rate)
            paragraphs += [
                f"## {title}",
                words,
                table(("absolute values", "median", "95 %", "largest"), rows),
            ]
    command = f"python bench/sfz.py RUN --to SOUND --near {given.near} --keys {given.keys}"
    write(RESULT, "Exported instruments in sfizz", made_by(command), *paragraphs)


if __name__ == "__main__":
    main()
