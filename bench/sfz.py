"""An exported instrument in a real SFZ player: is each key in tune and as loud as its sample?

    OMP_NUM_THREADS=1 python bench/sfz.py RUN --near family=brass [--keys C2-C6] [--velocities 3]

RUN needs a space. The instrument is written to a temporary folder and played by sfizz (`pip install
pysfizz`), every key for four seconds, longer than its sample, and released. Pitch: librosa's yin, the
median of 0.25 to 1.25 s of the key played, against the key; the same of the sample, whose own error no
player can mend. Level: RMS of the loudest 400 ms of the key against that of its sample, after the mean
difference over all keys, which is the player's own volume. Held: how far the level of 50 ms moves from
2.5 to 4 s, where only the loop sounds, beside how far that of the sample moves in its loop. Writes
bench/results/sfz.md.
"""

import math
import tempfile
from pathlib import Path

import librosa
import numpy as np
import pysfizz
from result import FOLDER, made_by, options, table, write

from timbrespace import verbs
from timbrespace.audio.files import read
from timbrespace.exporting.instrument import loudest_db
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


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--near", default="family=brass")
    parser.add_argument("--keys", default="C2-C6")
    parser.add_argument("--velocities", type=int, default=1)
    given = parser.parse_args()
    rate = Run.open(given.run).feature.sample_rate
    with tempfile.TemporaryDirectory() as folder:
        made = verbs.export(
            given.run, folder, near=given.near, keys=given.keys, velocities=given.velocities
        )
        assert made.sfz is not None
        player = pysfizz.Synth(sample_rate=rate, block_size=64)
        assert player.load_sfz_file(made.sfz), "the player refuses the instrument"
        lines, levels = [], []
        for sample in made.samples:
            wave = read(made.sfz.parent / "samples" / sample.file).mono()
            velocity = sample.layer.velocity
            for key in range(sample.zone.low, sample.zone.high + 1):
                heard = player.render_note(key, velocity, HELD, WHOLE)[0]
                levels.append(loudest_db(heard, rate) - velocity_db(velocity) - sample.level_db)
                own = played = math.nan
                if sample.loop is not None:
                    own = sway_db(wave[sample.loop.start : sample.loop.end], rate)
                    played = sway_db(heard[int(2.5 * rate) : int(HELD * rate)], rate)
                silent = loudest_db(heard[int((HELD + 1.0) * rate) :], rate)
                lines.append(
                    (
                        cents(heard, key, rate),
                        cents(wave, sample.zone.root, rate),
                        played,
                        own,
                        silent,
                    )
                )
        count = len(player.playable_keys)
    table_of = np.array(lines)
    level = np.array(levels) - np.mean(levels)
    player_cents = table_of[:, 0] - table_of[:, 1]
    looped = sum(sample.loop is not None for sample in made.samples)

    def row(name: str, values: np.ndarray, unit: str) -> list[str]:
        values = np.abs(values[np.isfinite(values)])
        if not len(values):
            return [name, "none", "", ""]
        parts = (np.median(values), np.quantile(values, 0.95), values.max())
        return [name, *(f"{part:.2f} {unit}" for part in parts)]

    rows = [
        row("pitch of the key, against the key", table_of[:, 0], "cents"),
        row("pitch of the sample, against its root", table_of[:, 1], "cents"),
        row("what the player adds", player_cents, "cents"),
        row("level of the key, against its sample", level, "dB"),
        row("sway while held, in the loop alone", table_of[:, 2], "dB"),
        row("sway of the sample between its loop points", table_of[:, 3], "dB"),
    ]
    low, high = made.samples[0].zone.low, made.samples[-1].zone.high
    about = (
        made_by(f"python bench/sfz.py RUN --near {given.near} --keys {given.keys}")
        + f" Keys {low} to {high}, {len(made.samples)} samples, {looped} of them with a loop; the player "
        f"answers to {count} keys and renders {len(lines)} notes; the loudest that is left a second after "
        f"a key is let go has {table_of[:, 4].max():.0f} dBFS."
    )
    write(
        RESULT, "An exported instrument in sfizz", about,
        table(("absolute values", "median", "95 %", "largest"), rows),
    )  # fmt: skip


if __name__ == "__main__":
    main()
