"""One sound of a harmonic decoder's curves: of the windows of a long sound, which are mixed, or along a path
through the space; made sound once.

Waves of windows that overlap cancel each other here and there; amplitudes do not.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from timbrespace.features.overlap import mixed
from timbrespace.models.harmonic import HarmonicDecoder, hertz
from timbrespace.render.path import at_places, places

if TYPE_CHECKING:
    from timbrespace.render.synth import Encoded, Labels, Pitch, Synth

WINDOWS = 64  # decoded at once


@torch.no_grad()
def joined(synth: "Synth", net: HarmonicDecoder, encoded: "Encoded") -> Iterator[Tensor]:
    """The sound (length,) of encoded windows, some at a time: the mean power of each curve over the
    windows that hear a moment, each as loud as it was; the inharmonicity is that of their mean."""
    apart = max(1, synth.feature.step // net.hop)
    windows = _curves(synth, net, encoded.mean, encoded.pitch, encoded.labels, encoded.rms_db)
    frames = 1 + -(-encoded.length // net.hop)
    power = mixed((some.square() for some in windows), apart, frames)
    curves = (some.sqrt()[None].split([net.partials, net.bands], 1) for some in power)
    yield from _sound(
        synth, net, curves, encoded.mean, encoded.pitch, encoded.labels, encoded.length
    )


@torch.no_grad()
def along(
    synth: "Synth", net: HarmonicDecoder, latents: np.ndarray, pitch: "Pitch",
    labels: "Labels | None", rms_db: np.ndarray, length: int,
) -> Iterator[Tensor]:  # fmt: skip
    """The sound (length,), some at a time, of a path of latents (W, Z), one every `hop` samples, as
    `path.read_frames` reads one of pictures: frame t is of the curves of latent t. pitch (MIDI numbers)
    is that of all or one each, and glides from one to the next; rms_db (W,) of their windows."""
    place, columns, first = places(len(latents), net.shape[1]), [], 0
    told = np.rint(pitch) if pitch is not None and "pitch" not in synth.continuous else pitch
    for some in _curves(synth, net, latents, told, labels, rms_db):
        columns.append(at_places(some, place[first : first + len(some)]))
        first += len(some)
    hz = None
    if pitch is not None and np.ptp(pitch):
        frames = len(latents) - 1
        moments = np.arange(frames * net.hop) / net.hop
        notes = np.interp(moments, np.arange(len(latents)), np.broadcast_to(pitch, len(latents)))
        hz = hertz(torch.from_numpy(notes))[None]
    middle = None if told is None else float(np.rint(np.mean(told)))
    curves = torch.cat(columns).T[None].split([net.partials, net.bands], 1)
    yield from _sound(synth, net, iter([curves]), latents, middle, labels, length, hz)


def _told(
    synth: "Synth", net: HarmonicDecoder, pitch: "Pitch", labels: "Labels | None", count: int
) -> tuple[Tensor, ...]:
    numbers = synth._labels(pitch, labels, count)
    return synth.model.decoder.conditions.told(net, numbers, count, net.noise.device)


def _curves(
    synth: "Synth", net: HarmonicDecoder, latents: np.ndarray, pitch: "Pitch",
    labels: "Labels | None", rms_db: np.ndarray,
) -> Iterator[Tensor]:  # fmt: skip
    """Curves (N, partials + bands, frames) of latents (W, Z), some at a time, each of its own rms_db (W,)."""
    z, levels = synth.model.decoder.entrance(torch.from_numpy(latents)), torch.from_numpy(rms_db)
    for first in range(0, len(z), WINDOWS):
        some = slice(first, first + WINDOWS)
        own = pitch[some] if isinstance(pitch, np.ndarray) else pitch
        condition, numbers = _told(synth, net, own, labels, len(z[some]))
        curves = net.controls(z[some], condition)
        power = torch.pow(10.0, net.level_db(*curves, numbers) / 10.0).mean(1)
        gain = (torch.pow(10.0, levels[some] / 10.0) / power.clamp_min(1e-12)).sqrt()
        yield torch.cat(curves, 1) * gain[:, None, None]


def _sound(
    synth: "Synth", net: HarmonicDecoder, curves: Iterator[Sequence[Tensor]], latents: np.ndarray,
    pitch: float | None, labels: "Labels | None", length: int, hz: Tensor | None = None,
) -> Iterator[Tensor]:  # fmt: skip
    """Samples (length,), some at a time, of curves as `HarmonicDecoder.parts` takes them, all with the
    inharmonicity of the mean of the latents."""
    z = synth.model.decoder.entrance(torch.from_numpy(latents)).mean(0, keepdim=True)
    condition, numbers = _told(synth, net, pitch, labels, 1)
    for part in net.parts(curves, z, condition, numbers, hz):
        yield part[0, :length]
        length -= min(length, part.shape[1])
