"""Points of a space over a keyboard: decoded, made even in level, looped where they hold, written."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from timbrespace.atomic import write_text
from timbrespace.audio.files import suffix_of, to_bytes, write_sound
from timbrespace.audio.level import FLOOR_DB, fade_edges, peak_db, remove_dc
from timbrespace.audio.smpl import with_loop
from timbrespace.errors import RunError
from timbrespace.exporting.keyboard import Layer, Zone, note_name, zones
from timbrespace.exporting.loops import Held, held
from timbrespace.exporting.points import Point
from timbrespace.exporting.sfz import FOLDER, Sample, text_of, velocity_db
from timbrespace.geometry.paths import slerp
from timbrespace.models.harmonic import HarmonicDecoder
from timbrespace.render.synth import Synth

To = Literal["sfz", "samples"]
Over = Literal["velocity", "key"]
Tell = Callable[[str, int, int], None]  # stage, done, total

LEVEL = -18.0  # dBFS that each sample's loudest 400 ms have, where none of them would clip
WINDOW = 0.4  # seconds
PEAK = -1.0  # dBFS, the highest of all samples
QUIET = -70.0  # dB below its peak: a sound that stays below has ended
LENIENCE = 3.0  # towards the few sounds that do not hold where most do
BATCH = 16  # sounds decoded at once
SOFT = -40.0  # dBFS at which they are decoded, so that no peak is limited
EDGE = 2.0  # milliseconds of the fades at the ends of a sample
EVERY = 3  # semitones between samples, where the model's pitch is not exact
LAYERS = 3  # of an instrument that changes with the velocity
MOST_VALUES = 2**28  # samples of sound that are held in memory: 1 GiB


@dataclass(frozen=True)
class Exported:
    """What was written: the folder, its .sfz if it has one, and the samples."""

    folder: Path
    sfz: Path | None
    samples: list[Sample]


@dataclass(frozen=True)
class Instrument:
    """One point, or two between which it goes over velocity or key, on zones and layers.

    name begins all names of files; `about` says in words what is played. RunError where two points have
    fewer than two layers, or zones, to go over.
    """

    name: str
    points: tuple[Point, ...]
    zones: tuple[Zone, ...]
    layers: tuple[Layer, ...]
    over: Over = "velocity"
    about: str = ""

    def __post_init__(self) -> None:
        if len(self.points) > 1 and self.over == "key" and len(self.zones) < 2:
            raise RunError(
                "a sound turns into another over the keys where there are two samples or more"
            )
        if len(self.points) > 1 and self.over == "velocity" and len(self.layers) < 2:
            raise RunError("a sound turns into another over velocity with two layers or more")

    def place(self, zone: Zone, layer: Layer) -> float:
        """Where on the way from the first point to the last a sample lies, 0 to 1."""
        if self.over == "velocity":
            return layer.place
        return self.zones.index(zone) / max(1, len(self.zones) - 1)

    def sounds(self, synth: Synth, tell: Tell) -> list[np.ndarray]:
        """The samples of all layers, each with all zones, as the model makes them."""
        keys = [(layer, zone) for layer in self.layers for zone in self.zones]
        if len(keys) * synth.feature.span > MOST_VALUES:
            raise RunError(
                f"{len(keys)} samples of {synth.feature.seconds:g} s do not fit into memory; ask for "
                "fewer keys or velocities"
            )
        first, last = self.points[0], self.points[-1]
        places = np.array([self.place(zone, layer) for layer, zone in keys])
        latents = slerp(first.latent, last.latent, places).astype(np.float32)
        labels = [(last if place > 0.5 else first).labels for place in places]
        if "velocity" in synth.told and len(self.layers) > 1:
            pairs = zip(labels, keys, strict=True)
            labels = [{**said, "velocity": layer.velocity} for said, (layer, _) in pairs]
        names = {name for said in labels for name in said}
        roots = np.array([zone.root for _, zone in keys]) if synth.pitched else None
        made: list[np.ndarray] = []
        for start in range(0, len(keys), BATCH):
            here = slice(start, start + BATCH)
            told = {n: np.array([said.get(n) for said in labels[here]], object) for n in names}
            pitch = None if roots is None else roots[here]
            made += list(synth.decode(latents[here], pitch=pitch, labels=told, rms_db=SOFT))
            tell("render", len(made), len(keys))
        return [_trimmed(sound, synth.feature.sample_rate) for sound in made]

    def write(
        self, synth: Synth, out: Path, *, to: To, format: str, tell: Tell
    ) -> Exported:  # fmt: skip
        """The instrument in the folder `out`; the .sfz comes last, when all that it names is there."""
        rate, suffix = synth.feature.sample_rate, suffix_of(format)
        keys = [(layer, zone) for layer in self.layers for zone in self.zones]
        sounds = agreed(self.sounds(synth, tell), rate)
        softer = [velocity_db(layer.velocity) if to == "samples" else 0.0 for layer, _ in keys]
        gains = even_gains([sound.samples for sound in sounds], softer, rate)
        text = out / f"{self.name}.sfz"
        text.unlink(missing_ok=True)
        samples: list[Sample] = []
        for (layer, zone), sound, gain in zip(keys, sounds, gains, strict=True):
            wave = (sound.samples * 10.0 ** (gain / 20.0)).astype(np.float32)
            file = f"{self.name}_{note_name(zone.root)}_v{layer.velocity:03d}{suffix}"
            data = to_bytes(wave, rate, format=format)
            if suffix == ".wav":
                ends = None if sound.loop is None else (sound.loop.start, sound.loop.end)
                data = with_loop(data, rate, zone.root, ends)
            write_sound(out / file if to == "samples" else out / FOLDER / file, data)
            level = loudest_db(wave, rate)
            samples.append(Sample(file, zone, layer, level, sound.loop, sound.release))
            tell("write", len(samples), len(keys))
        write_text(out / "README.txt", self._readme(synth, samples, to))
        if to == "sfz":
            write_text(text, text_of(self.name, samples))
        return Exported(out, text if to == "sfz" else None, samples)

    def _readme(self, synth: Synth, samples: list[Sample], to: To) -> str:
        """What is in the folder, and how it is meant to be played."""
        from timbrespace import __version__

        rate, zones = synth.feature.sample_rate, self.zones
        low, high = note_name(zones[0].low), note_name(zones[-1].high)
        loops = [sample.loop for sample in samples if sample.loop is not None]
        lines = [
            self.name, "", f"{self.about}. Made by timbrespace {__version__}.", "",
            f"Samples: {len(samples)}, {rate} Hz, mono; C4 is MIDI key 60.",
        ]  # fmt: skip
        if synth.pitched:
            roots = ", ".join(note_name(zone.root) for zone in zones)
            lines.append(
                f"Keys {low} to {high}: the model made each of {roots} at its own pitch; the sampler "
                "transposes to the keys between."
                if any(zone.low < zone.high for zone in zones)
                else f"Keys {low} to {high}: the model made each key at its own pitch."
            )
        else:
            lines.append(
                f"Keys {low} to {high}: the model is not told a pitch, so there is one sample, which is "
                f"as it was made at {note_name(zones[0].root)}; the sampler transposes it to all others."
            )
        if to == "sfz":
            lines.append(
                f"Open {self.name}.sfz in an SFZ player, such as sforzando or sfizz; it wants the folder "
                f"{FOLDER} beside it."
            )
        if len(self.points) == 2:
            lines.append(
                f"From the lowest to the highest {self.over} it turns into the second sound."
            )
        lines += ["", "Level"]
        lines.append(
            f"The loudest {1000 * WINDOW:.0f} ms of each sample have the RMS of its layer, in dBFS:"
        )
        for layer in self.layers:
            level = np.median([s.level_db for s in samples if s.layer == layer])
            played = f", played {velocity_db(layer.velocity):.1f} dB" if to == "sfz" else ""
            lines.append(
                f"  velocity {layer.velocity} (for {layer.low} to {layer.high}): {level:.1f} dBFS{played}"
            )
        if to == "sfz":
            lines.append(
                "The player makes a key of velocity v softer by 40 log10(v / 127) dB (amp_veltrack=100), so "
                "no step is heard between layers."
            )
        lines += ["", "Holding"]
        if loops:
            worst = max(loop.seam_db for loop in loops)
            lines.append(
                f"{len(loops)} of {len(samples)} samples loop while the key is held; the corner at the join "
                f"is at most {worst:.1f} dB of the sharpest beside it."
            )
        if len(loops) < len(samples):
            lines.append(f"{len(samples) - len(loops)} samples end by themselves.")
        lines.append(
            "A key that is let go dies away as the sound did where it says so, else in 0.3 s."
        )
        return "\n".join(lines) + "\n"


def spread(
    synth: Synth, low: int, high: int, root: float | None, *, every: int | None = None
) -> list[Zone]:
    """The keys low..high: a sample for every so many semitones (3; 1 for a decoder of harmonics) at its
    own pitch, or all on one sample, of the key `root`, where the model is not told the pitch."""
    if not synth.pitched:
        assert root is not None, "without a pitch a sample has no key"
        return [Zone(round(root), low, high)]
    exact = isinstance(synth.model.decoder.net, HarmonicDecoder)
    return zones(low, high, every or (1 if exact else EVERY))


def changes(synth: Synth, points: Sequence[Point], over: Over) -> bool:
    """Whether the sound of one point, or of the way between two, is another when a key is hit harder."""
    return "velocity" in synth.told or (len(points) > 1 and over == "velocity")


def loudest_db(samples: np.ndarray, rate: int) -> float:
    """dBFS of the loudest 400 ms of samples (n,), of all of a shorter sound; -120 for silence."""
    size = min(len(samples), round(WINDOW * rate))
    running = np.cumsum(np.concatenate([[0.0], np.square(samples, dtype=np.float64)]))
    power = (running[size:] - running[:-size]).max() / size
    return float(10.0 * np.log10(max(power, 1e-12)))


def _trimmed(sound: np.ndarray, rate: int) -> np.ndarray:
    """A sound (n,) without offset, up to where it has ended, with fades at both ends."""
    sound = remove_dc(sound)
    peak = float(np.abs(sound).max(initial=0.0))
    heard = np.flatnonzero(np.abs(sound) > peak * 10.0 ** (QUIET / 20.0))
    end = len(sound) if not len(heard) else min(len(sound), int(heard[-1]) + 1 + rate // 100)
    return fade_edges(sound[:end], rate, ms=EDGE)


def agreed(sounds: list[np.ndarray], rate: int) -> list[Held]:
    """Sounds with their loops, so that an instrument holds or does not: none loops where fewer than
    half would, and where most do the rest is judged more mildly."""
    found = [held(sound, rate) for sound in sounds]
    if 2 * sum(one.loop is not None for one in found) < len(found):
        return [Held(sound, None, one.release) for sound, one in zip(sounds, found, strict=True)]
    return [
        one if one.loop is not None else held(sound, rate, lenience=LENIENCE)
        for sound, one in zip(sounds, found, strict=True)
    ]


def even_gains(sounds: list[np.ndarray], softer: list[float], rate: int) -> list[float]:
    """Gains in dB that bring the loudest 400 ms of all sounds to LEVEL, and then as many dB as
    `softer` says; all are lowered by as much as the highest peak needs. Silence stays as it is."""
    levels = [loudest_db(sound, rate) for sound in sounds]
    gains = [
        0.0 if level <= FLOOR_DB else LEVEL + less - level
        for level, less in zip(levels, softer, strict=True)
    ]
    above = max(peak_db(s) + gain for s, gain in zip(sounds, gains, strict=True)) - PEAK
    return [gain - max(0.0, above) for gain in gains]


def file_name(text: str) -> str:
    """The text as the beginning of file names that every player and system takes."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.") or "instrument"
