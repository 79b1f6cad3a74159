"""A trained model as an instrument: sounds to latents, latents to pictures and sound.

Longer sounds than the model's window are encoded as windows that overlap by half, and the feature
knows how decoded ones fade into each other; shorter sounds come back at their length.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from timbrespace.audio import chunks
from timbrespace.features.decibels import Decibels
from timbrespace.features.feature import Feature, Picture
from timbrespace.features.phase import Recovery
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.models.vocabulary import Vocabulary

Pitch = float | np.ndarray | None
Labels = Mapping[str, Any]  # a value for all, or one each; what is missing or None is unknown


@dataclass(frozen=True)
class Encoded:
    """Windows of one sound: mean and logvar (W, Z), rms_db (W,), pitch, length in samples, and the
    other labels that the model was told."""

    mean: np.ndarray
    logvar: np.ndarray
    rms_db: np.ndarray
    pitch: float | None
    length: int
    labels: dict[str, Any] = field(default_factory=dict)


class Inverter(Protocol):
    """What makes sound of pictures of decibels in place of the feature, such as a vocoder."""

    def invert(
        self, values: Tensor, level_db: Tensor, *, pitch: Tensor | None = None,
        length: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Samples (*, length) of pictures (*, height, width) of level_db (*,); pitch (*,) in MIDI
        numbers where it is known. As `Feature.invert` otherwise."""
        ...


class Synth:
    """Encode and decode with one model, its feature and the values of its labels. Sound is float32
    mono at feature.sample_rate.

    `vocoder` makes sound of pictures of decibels in place of the feature's own inversion, which
    `recovery` describes; a feature that keeps phase needs neither.
    """

    def __init__(
        self, model: Autoencoder, feature: Feature, vocabulary: Vocabulary | None = None,
        vocoder: Inverter | None = None, *, recovery: Recovery = Recovery(),
    ) -> None:  # fmt: skip
        self.model, self.feature = model.eval(), feature
        self.vocabulary = vocabulary or Vocabulary()
        self.vocoder, self.recovery = vocoder, recovery
        self.pitched = "pitch" in model.decoder.conditions.counts

    @property
    def told(self) -> tuple[str, ...]:
        """The labels that the decoder hears."""
        return tuple(self.model.decoder.conditions.counts)

    @property
    def continuous(self) -> frozenset[str]:
        """Those of them that may have a fraction."""
        return self.model.decoder.conditions.continuous

    def _labels(self, pitch: Pitch, labels: Labels | None, count: int) -> dict[str, Tensor]:
        """The numbers (count,) of all labels that are said, for the networks."""
        said = {**(labels or {}), "pitch": pitch}
        numbers: dict[str, Tensor] = {}
        for name, value in said.items():
            if value is not None:
                values = np.broadcast_to(np.asarray(value, object), (count,))
                numbers[name] = torch.tensor([self.vocabulary.number(name, v) for v in values])
        return numbers

    @torch.no_grad()
    def _encode_windows(
        self, values: Tensor, pitch: Pitch, labels: Labels | None
    ) -> tuple[np.ndarray, np.ndarray]:
        latent = self.model.encode(values[:, None], self._labels(pitch, labels, len(values)))
        return latent.mean.numpy(), latent.logvar.numpy()

    def encode(
        self, samples: np.ndarray, *, pitch: float | None = None, labels: Labels | None = None
    ) -> Encoded:
        """One sound (n,) as the latents of its windows; an unknown pitch of a pitched model is
        found by `guess_pitch`. Other labels stay unknown where they are not given."""
        picture = self.windows(samples)
        windows, level = picture.values, picture.level_db
        if self.pitched and pitch is None and float(level.max()) > -119.0:
            pitch = self.guess_pitch(windows[int(level.argmax())], labels)
        mean, logvar = self._encode_windows(windows, pitch, labels)
        loudness = self.feature.rms_db(windows, level)
        return Encoded(mean, logvar, loudness.numpy(), pitch, len(samples), dict(labels or {}))

    def windows(self, samples: np.ndarray) -> Picture:
        """Half overlapping windows (W, height, width), each against its own level (W,)."""
        cut = chunks.split(np.asarray(samples, np.float32), self.feature.span, self.feature.step)
        return self.feature.analyse(torch.from_numpy(cut))

    @torch.no_grad()
    def guess_pitch(self, window: Tensor, labels: Labels | None = None) -> int:
        """The MIDI pitch with which the model explains a window (height, width) best.

        Analysis by synthesis over all pitches 21..108: the decoder draws the harmonics of the pitch it
        is told, so the wrong pitch costs distortion.
        """
        pitches = np.arange(21, 109)
        x = window[None].expand(len(pitches), -1, -1)
        mean, _ = self._encode_windows(x, pitches, labels)
        made = torch.from_numpy(self.picture(mean, pitches, labels))
        original, seen = self.feature.compared(x, made)
        error = (seen - original).square().mean((1, 2))
        return int(pitches[int(error.argmin())])

    @torch.no_grad()
    def picture(
        self, latents: np.ndarray, pitch: Pitch = None, labels: Labels | None = None
    ) -> np.ndarray:
        """Pictures (N, height, width) in [-1, 1] of latent points (N, Z)."""
        z = torch.as_tensor(np.asarray(latents, np.float32))
        x = self.model.decode(z, self._labels(pitch, labels, len(z)))
        return x[:, 0].clamp(-1.0, 1.0).numpy()

    def decode(
        self, latents: np.ndarray, *, pitch: Pitch = None, labels: Labels | None = None,
        rms_db: float | np.ndarray = -20.0, seconds: float | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Latent points (N, Z) as sound (N, samples), one window each, at most `seconds` long.

        rms_db: how loud each is to be, in dBFS over the window.
        """
        values = torch.from_numpy(self.picture(latents, pitch, labels))
        loudness = torch.as_tensor(np.broadcast_to(np.float32(rms_db), (len(values),)).copy())
        level = loudness - self.feature.rms_db(values)
        sound = self._sound(values, level, pitch).numpy()
        if seconds is not None:
            sound = sound[:, : max(1, round(seconds * self.feature.sample_rate))]
        return sound

    @torch.no_grad()
    def _sound(
        self, values: Tensor, level_db: Tensor, pitch: Pitch, length: int | None = None
    ) -> Tensor:
        """Samples (N, length) of pictures (N, height, width)."""
        if self.vocoder is None or not isinstance(self.feature, Decibels):
            return self.feature.invert(values, level_db, recovery=self.recovery, length=length)
        known = None if pitch is None else torch.as_tensor(np.asarray(pitch, np.float32))
        known = None if known is None else known.expand(len(values))
        return self.vocoder.invert(values, level_db, pitch=known, length=length)

    def decode_windows(self, encoded: Encoded) -> np.ndarray:
        """One sound (length,) of the windows of `encode`, each as loud as it was."""
        pictures = torch.from_numpy(self.picture(encoded.mean, encoded.pitch, encoded.labels))
        level = torch.from_numpy(encoded.rms_db) - self.feature.rms_db(pictures)
        return self.join(Picture(pictures, level), encoded.pitch, encoded.length)

    def join(self, windows: Picture, pitch: float | None, length: int) -> np.ndarray:
        """One sound (length,) of the pictures of its windows, such as `windows` gives."""
        if isinstance(self.feature, Decibels):
            whole = self.feature.merge(windows.values, windows.level_db)
            values, level = whole.values[None], whole.level_db[None]
            return self._sound(values, level, pitch, length)[0].numpy()
        return self.feature.join(windows.values, windows.level_db, length=length).numpy()

    def reconstruct(
        self, samples: np.ndarray, *, pitch: float | None = None, labels: Labels | None = None
    ) -> np.ndarray:
        """A sound through the model and back, at its own length and level; silence stays silence."""
        if not np.any(samples):
            return np.zeros_like(samples, dtype=np.float32)
        return self.decode_windows(self.encode(samples, pitch=pitch, labels=labels))
