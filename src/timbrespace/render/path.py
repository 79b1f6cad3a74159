"""One sound of a path of pictures: moment t of the sound is moment t of picture t.

So what begins begins once, and what follows comes from ever other sounds.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from timbrespace.features.decibels import Decibels
from timbrespace.features.feature import Feature, Picture
from timbrespace.geometry.paths import Kind
from timbrespace.geometry.paths import path as latent_path

if TYPE_CHECKING:
    from timbrespace.render.synth import Synth

GLIDE_POINTS = 65  # latents on the way of a glide


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


def read_frames(feature: Decibels, pictures: Iterable[Picture], count: int) -> Picture:
    """The picture (height, count) whose frame t is the t-th `places` of picture t, one for each frame,
    given some (N, height, frames) at a time."""
    place, columns, first = places(count, feature.frames), [], 0
    for some in pictures:
        each = torch.arange(len(some.values))
        here = place[first : first + len(each)]
        left = here.long()
        right = (left + 1).clamp_max(feature.frames - 1)
        both = some.values[each, :, left], some.values[each, :, right]
        column = feature.to_db(torch.lerp(*both, (here - left)[:, None]))
        columns.append((column + some.level_db[:, None]).T)
        first += len(each)
    db = torch.cat(columns, 1)
    return Picture(feature.from_db(db - db.max()), db.max())


def read_samples(feature: Feature, pictures: Iterable[Picture], step: int, length: int) -> Tensor:
    """Samples (length,) that fade from wave to wave in straight lines, one every `step` samples."""
    sound, moment, number = torch.zeros(length), torch.arange(length) / step, 0
    for some in pictures:
        for wave in feature.invert(some.values, some.level_db, length=length):
            sound += wave * (1.0 - (moment - number).abs()).clamp_min(0.0)
            number += 1
    return sound


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
