"""One sound of a path of pictures: moment t of the sound is moment t of picture t.

So what begins begins once, and what follows comes from ever other sounds. Waves are read in grains, each
of which goes on where the one before would have (Verhelst & Roelands 1993, WSOLA).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from timbrespace.features.decibels import Decibels
from timbrespace.features.feature import Feature, Picture
from timbrespace.features.overlap import mixed_waves
from timbrespace.geometry.paths import Kind
from timbrespace.geometry.paths import path as latent_path

if TYPE_CHECKING:
    from timbrespace.render.synth import Synth

GLIDE_POINTS = 65  # latents on the way of a glide
REACH = 0.02  # seconds by which a grain is moved at most: a period of the lowest notes


def places(count: int, frames: int) -> Tensor:
    """Where in a window of `frames` each of `count` frames of a sound (count,) stands.

    A longer sound keeps the pace of the first quarter, its attack, and passes the rest more slowly.
    """
    place = torch.arange(count, dtype=torch.float32)
    if count <= frames:
        return place
    attack = frames // 4
    slower = (frames - 1 - attack) / (count - 1 - attack)
    return torch.where(place < attack, place, attack + (place - attack) * slower)


def at_places(values: Tensor, place: Tensor) -> Tensor:
    """Column `place` (N,) of each of N pictures (N, height, frames): (N, height); between two columns in a
    straight line."""
    each, left = torch.arange(len(values)), place.long()
    right = (left + 1).clamp_max(values.shape[2] - 1)
    return torch.lerp(values[each, :, left], values[each, :, right], (place - left)[:, None])


def read_frames(feature: Decibels, pictures: Iterable[Picture], count: int) -> Picture:
    """The picture (height, count) whose frame t is the t-th `places` of picture t, one for each frame,
    given some (N, height, frames) at a time."""
    place, columns, first = places(count, feature.frames), [], 0
    for some in pictures:
        column = feature.to_db(at_places(some.values, place[first : first + len(some.values)]))
        columns.append((column + some.level_db[:, None]).T)
        first += len(some.values)
    db = torch.cat(columns, 1)
    return Picture(feature.from_db(db - db.max()), db.max())


def read_samples(
    feature: Feature, pictures: Iterable[Picture], count: int, step: int, length: int
) -> Tensor:
    """Samples (length,) of `count` pictures, one every `step` samples: about moment t of the sound a
    grain of two steps, from about the t-th of `places` of wave t."""
    # slowed grains lie in their waves whole: none holds the silence behind one
    place = places(count, feature.span // step + (length <= feature.span)) * step
    reach = round(REACH * feature.sample_rate)
    expected: Tensor | None = None  # how the grain before goes on

    def grains() -> Iterator[Tensor]:
        nonlocal expected
        first = 0
        for some in pictures:
            waves = pad(feature.invert(some.values, some.level_db), (step + reach, step + reach))
            begins = place[first : first + len(waves)].round().long().tolist()
            for wave, begin in zip(waves, begins, strict=True):
                near = wave[begin : begin + 2 * (step + reach)]
                at = reach if expected is None else _like(near, expected, reach)
                grain = near[at : at + 2 * step]
                expected = grain[step:]
                yield grain[None]
            first += len(waves)

    sound = torch.cat(list(mixed_waves(grains(), step, length + step, feature.sample_rate)))
    return sound[step:]


def _like(near: Tensor, expected: Tensor, reach: int) -> int:
    """Where in `near`, 0 to 2 * reach, it is most like `expected` by normalised correlation; in the middle
    where it is silent, or nothing is more like."""
    parts = near[: 2 * reach + len(expected)].unfold(0, len(expected), 1)
    size = parts.square().sum(1).sqrt()
    likeness = parts @ expected / size.clamp_min(1e-6)
    best = int(likeness.argmax())
    return best if float(likeness[best]) > float(likeness[reach]) * (1.0 + 1e-4) else reach


def glide(
    synth: "Synth", a: np.ndarray, b: np.ndarray, seconds: float, *, kind: Kind,
    pitch: tuple[float, float] | None, rms_db: tuple[float, float], labels: Mapping[str, Any],
    sounds: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """One sound (n,) of so many seconds that goes from latent a (Z,) to b while it sounds; so do pitch
    (MIDI numbers) and level, given at both ends. `sounds` as in `geometry.paths.between`."""
    return synth.decode_path(
        latent_path(a, b, GLIDE_POINTS, kind, sounds), np.linspace(0.0, seconds, GLIDE_POINTS),
        seconds=seconds, pitch=None if pitch is None else np.linspace(*pitch, GLIDE_POINTS),
        labels=labels, rms_db=np.linspace(*rms_db, GLIDE_POINTS),
    )  # fmt: skip
