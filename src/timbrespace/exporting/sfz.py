"""The text of an SFZ instrument, with opcodes that all players know (https://sfzformat.com).

Velocity is left to the player: `amp_veltrack=100` makes a key of velocity v
40 log10(v / 127) dB softer than the loudest, so that no step is heard where two layers meet.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from timbrespace.exporting.keyboard import LOUDEST, Layer, Zone
from timbrespace.exporting.loops import Loop

FOLDER = "samples"  # beside the .sfz


@dataclass(frozen=True)
class Sample:
    """A file of an instrument, the keys and velocities that play it, how loud it is (dBFS, RMS of its
    loudest 400 ms), its loop, and the seconds in which it dies away when the key is let go."""

    file: str
    zone: Zone
    layer: Layer
    level_db: float
    loop: Loop | None
    release: float


def velocity_db(velocity: int) -> float:
    """How much softer than the loudest a key of this velocity is played."""
    return float(40.0 * np.log10(velocity / LOUDEST))


def text_of(name: str, samples: Iterable[Sample]) -> str:
    """The instrument whole: one group a layer, one region a sample."""
    lines = [
        f"// {name}, made by timbrespace",
        "<control> hint_ram_based=1",  # the samples are short: none is streamed
        "<global> amp_veltrack=100",
    ]
    layer: Layer | None = None
    for sample in samples:
        if sample.layer != layer:
            layer = sample.layer
            lines += ["", f"<group> lovel={layer.low} hivel={layer.high}"]
        lines.append(_region(sample))
    return "\n".join(lines) + "\n"


def _region(sample: Sample) -> str:
    zone, loop = sample.zone, sample.loop
    ends = "loop_mode=no_loop"
    if loop is not None:
        ends = f"loop_mode=loop_continuous loop_start={loop.start} loop_end={loop.end}"
    return (
        f"<region> sample={FOLDER}/{sample.file} lokey={zone.low} hikey={zone.high} "
        f"pitch_keycenter={zone.root} {ends} ampeg_release={sample.release:.3f}"
    )
