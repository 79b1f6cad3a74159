"""One long sound of a harmonic decoder's windows: their curves are mixed, and made sound once.

Waves of windows that overlap cancel each other here and there; amplitudes do not.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from timbrespace.features.overlap import mixed
from timbrespace.models.harmonic import HarmonicDecoder

if TYPE_CHECKING:
    from timbrespace.render.synth import Encoded, Synth

WINDOWS = 64  # decoded at once


@torch.no_grad()
def joined(synth: "Synth", net: HarmonicDecoder, encoded: "Encoded") -> Iterator[Tensor]:
    """The sound (length,) of encoded windows, some at a time: the mean power of each curve over the
    windows that hear a moment, each as loud as it was; the inharmonicity is that of their mean."""
    decoder, apart = synth.model.decoder, max(1, synth.feature.step // net.hop)
    z = decoder.entrance(torch.from_numpy(encoded.mean))
    levels = torch.from_numpy(encoded.rms_db)

    def told(count: int) -> tuple[Tensor, ...]:
        numbers = synth._labels(encoded.pitch, encoded.labels, count)
        return decoder.conditions.told(net, numbers, count, z.device)

    def powers() -> Iterator[Tensor]:
        for some, level in zip(z.split(WINDOWS), levels.split(WINDOWS), strict=True):
            condition, pitch = told(len(some))
            curves = net.controls(some, condition)
            own = torch.pow(10.0, net.level_db(*curves, pitch) / 10.0).mean(1)
            gain = torch.pow(10.0, level / 10.0) / own.clamp_min(1e-12)
            yield torch.cat(curves, 1).square() * gain[:, None, None]

    condition, pitch = told(1)
    frames = 1 + -(-encoded.length // net.hop)
    curves = (
        power.sqrt()[None].split([net.partials, net.bands], 1)
        for power in mixed(powers(), apart, frames)
    )
    left = encoded.length
    for part in net.parts(curves, z.mean(0, keepdim=True), condition, pitch):
        yield part[0, :left]
        left -= min(left, part.shape[1])
