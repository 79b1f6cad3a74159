"""A trained model as an instrument: sounds to latents, latents to pictures and sound.

Longer sounds than the model's window are encoded as windows that overlap, and the feature knows how
decoded ones fade into each other; shorter sounds come back at their length (docs/rendering.md).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from timbrespace.audio import chunks
from timbrespace.audio.level import fade_in_place, jumps, remove_offset
from timbrespace.audio.scratch import Keep, Kept, Samples, Scratch, scale, whole
from timbrespace.errors import RecipeError, RunError
from timbrespace.features.decibels import Block, Decibels
from timbrespace.features.feature import Feature, Picture
from timbrespace.features.phase import Recovery
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.models.harmonic import HarmonicDecoder
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.render import harmonic, notes, path
from timbrespace.render.peaks import below_full_scale

WINDOWS = 64  # of a longer sound decoded at once
FADE_IN, FADE_OUT = 2.0, 5.0  # ms
LONGEST_PATH = 600.0  # seconds
PATH_STEP = 1024  # samples between the waves of a path

Pitch = float | np.ndarray | None
Labels = Mapping[str, Any]  # a value for all, or one each; what is missing or None is unknown


@dataclass(frozen=True)
class Encoded:
    """Windows of one sound: mean and logvar (W, Z), rms_db (W,), pitch, length in samples, the other
    labels that the model was told, and how loud the whole is (RMS in dBFS, as the feature hears)."""

    mean: np.ndarray
    logvar: np.ndarray
    rms_db: np.ndarray
    pitch: float | None
    length: int
    labels: dict[str, Any] = field(default_factory=dict)
    loudness_db: float | None = None
    jumps: tuple[bool, bool] = (False, False)  # whether it begins and ends in mid-air


class Inverter(Protocol):
    """What makes sound of pictures of decibels in place of the feature, such as a vocoder."""

    def block(self, pitch: float | None) -> Block:
        """What `Decibels.joined` has make the blocks of a long sound; `pitch` as in `invert`."""
        ...

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
        self, samples: Samples, *, pitch: float | None = None, labels: Labels | None = None
    ) -> Encoded:
        """One sound (n,) as the latents of its windows; an unknown pitch of a pitched model is
        found by `guess_pitch`. Other labels stay unknown where they are not given. An offset is taken
        away first; `read_long` has done so of a Scratch."""
        sound = samples
        if not isinstance(sound, Scratch):
            sound = np.array(sound, np.float32)
            remove_offset(sound, self.feature.sample_rate)
        if self.pitched and pitch is None:
            loudest = max(self._one_by_one(sound), key=lambda window: float(window.level_db))
            if float(loudest.level_db) > -119.0:
                pitch = self.guess_pitch(loudest.values, labels)
        # Arrays of their whole length at once: small ones that outlive the pictures between them
        # would keep the memory of all pictures from being used again.
        count, first = chunks.count(len(sound), self.feature.span, self.feature.step), 0
        mean = logvar = rms_db = np.empty(0, np.float32)
        for some in self.feature.windows(sound):
            latents = self._encode_windows(some.values, pitch, labels)
            if not first:
                mean, logvar = (np.empty((count, part.shape[1]), part.dtype) for part in latents)
                rms_db = np.empty(count, np.float32)
            here = slice(first, first + len(some.values))
            mean[here], logvar[here] = latents
            rms_db[here] = self.feature.rms_db(some.values, some.level_db).numpy()
            first = here.stop
        return Encoded(
            mean, logvar, rms_db, pitch, len(samples), dict(labels or {}),
            self.feature.loudness_db(sound), jumps(sound, self.feature.sample_rate),
        )  # fmt: skip

    def _one_by_one(self, sound: Samples) -> Iterator[Picture]:
        for some in self.feature.windows(sound):
            yield from map(Picture, some.values, some.level_db)

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
        self, latents: np.ndarray, pitch: Pitch = None, labels: Labels | None = None,
        columns: Tensor | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Pictures (N, height, width) in [-1, 1] of latent points (N, Z), or some columns of them."""
        z = torch.as_tensor(np.asarray(latents, np.float32))
        told = self._labels(pitch, labels, len(z))
        x = self.model.decode(z, told) if columns is None else self.model.decode(z, told, columns)
        return x[:, 0].clamp(-1.0, 1.0).numpy()

    def decode(
        self, latents: np.ndarray, *, pitch: Pitch = None, labels: Labels | None = None,
        rms_db: float | np.ndarray = -20.0, seconds: float | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Latent points (N, Z) as sound (N, samples), one window each, at most `seconds` long.

        rms_db: how loud each is to be, in dBFS over the window. Peaks are limited to full scale.
        """
        values = torch.from_numpy(self.picture(latents, pitch, labels))
        loudness = torch.as_tensor(np.broadcast_to(np.float32(rms_db), (len(values),)).copy())
        sound = self._sound(values, loudness - self.feature.rms_db(values), pitch)
        made = self.feature.analyse(sound)
        gain = loudness - self.feature.rms_db(made.values, made.level_db)
        sound = sound * torch.pow(10.0, gain / 20.0)[:, None]
        if seconds is not None:
            sound = sound[:, : max(1, round(seconds * self.feature.sample_rate))]
        return np.stack([self._safe(one.numpy(), whole) for one in sound])

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

    def _safe(
        self, sound: Kept, keep: Keep[Kept],
        loudness_db: float | None = None, edges: tuple[bool, bool] = (False, False),
    ) -> Kept:  # fmt: skip
        """A sound (n,), changed where it lies, as loud as asked for, that neither clicks at its ends, but
        where the original does (`edges`), nor clips."""
        rate, loudness = self.feature.sample_rate, self.feature.loudness_db
        faded(sound, rate, edges)
        if loudness_db is not None:
            scale(sound, 10.0 ** ((loudness_db - loudness(sound)) / 20.0))
        return below_full_scale(sound, rate, loudness, keep)

    def _pictures(
        self, latents: np.ndarray, pitch: Pitch, labels: Labels | None, rms_db: np.ndarray
    ) -> Iterator[Picture]:
        """What the model makes of latents (W, Z), some at a time, each of its own rms_db (W,)."""
        for first in range(0, len(latents), WINDOWS):
            some = slice(first, first + WINDOWS)
            told = pitch[some] if isinstance(pitch, np.ndarray) else pitch
            values = torch.from_numpy(self.picture(latents[some], told, labels))
            yield Picture(values, torch.from_numpy(rms_db[some]) - self.feature.rms_db(values))

    def _window_pictures(self, encoded: Encoded) -> Iterator[Picture]:
        """What the model makes of the windows of a sound, some at a time: of the first and the last one
        all, of those between what is heard of them.

        How loud a window is decoded is known by all of it; neighbours tell it of those that are heard in part.
        """
        feature, latents = self.feature, encoded.mean
        if not isinstance(feature, Decibels):
            yield from self._pictures(latents, encoded.pitch, encoded.labels, encoded.rms_db)
            return

        def decoded(some: slice, columns: Tensor | None = None) -> Tensor:
            picture = self.picture(latents[some], encoded.pitch, encoded.labels, columns)
            return torch.from_numpy(picture)

        def ends(some: slice) -> Picture:
            values = decoded(some)
            return Picture(values, loud[some] - feature.rms_db(values))

        last, loud = len(latents) - 1, torch.from_numpy(encoded.rms_db)
        inner = [slice(n, min(n + WINDOWS, last)) for n in range(1, last, WINDOWS)]
        parts = (decoded(some, feature.heard) for some in inner)
        powers = ((part, torch.pow(10.0, feature.rms_db(part) / 10.0)) for part in parts)
        yield ends(slice(0, 1))
        evened = _evened(powers, feature.heard_apart)
        for some, (values, power) in zip(inner, evened, strict=True):
            yield Picture(values, loud[some] - 10.0 * power.log10())
        if last:
            yield ends(slice(last, last + 1))

    def decode_windows(self, encoded: Encoded) -> np.ndarray:
        """One sound (length,) of the windows of `encode`, as loud as it was.

        What differs from window to window becomes one sound without seams: see `Feature.join`, and
        `render.harmonic` for decoders of harmonics.
        """
        return self.decode_long(encoded, whole)

    def decode_long(self, encoded: Encoded, keep: Keep[Kept]) -> Kept:
        """As `decode_windows`, some samples at a time, which `keep` keeps: on disk, no length takes memory."""
        net = self.model.decoder.net
        if isinstance(net, HarmonicDecoder) and len(encoded.mean) > 1:
            sound = harmonic.joined(self, net, encoded)
        else:
            windows = self._window_pictures(encoded)
            sound = self.joined(windows, encoded.pitch, encoded.length)
        made = keep(some.numpy() for some in sound)
        return self._safe(made, keep, encoded.loudness_db, encoded.jumps)

    def joined(
        self, windows: Iterable[Picture], pitch: float | None, length: int
    ) -> Iterator[Tensor]:
        """One sound (length,), some samples at a time, of pictures of its windows, some at a time, whoever
        made them."""
        if self.vocoder is not None and isinstance(self.feature, Decibels):
            block = self.vocoder.block(pitch)
            return self.feature.joined(windows, length=length, block=block)
        return self.feature.joined(windows, length=length, recovery=self.recovery)

    def decode_path(
        self, latents: np.ndarray, times: np.ndarray, *, seconds: float, pitch: Pitch = None,
        labels: Labels | None = None, rms_db: float | np.ndarray = -20.0,
    ) -> np.ndarray:  # fmt: skip
        """One sound (n,) that moves along latents (W, Z), at `times` (W,) in seconds, while it sounds.

        Each moment is that of the sound whose latent the path has reached: the beginning is that of
        the first, and nothing begins twice. Between the times latents, pitches and levels (one for all, or
        one each) go in straight lines; pitches in whole numbers where the model knows no others, unless it
        makes harmonics. A sound longer than the window holds it: after the first quarter the window
        passes more slowly. RecipeError for times that do not rise.
        """
        times, z = np.asarray(times, np.float64), np.asarray(latents, np.float32)
        if times.shape != z.shape[:1] or not len(times) or (np.diff(times) <= 0.0).any():
            raise RecipeError(
                f"a path wants one time for each latent, rising; got {len(z)} latents and the times "
                f"{times.tolist()}"
            )
        feature, rate = self.feature, self.feature.sample_rate
        if not 0.0 < seconds <= LONGEST_PATH:
            raise RecipeError(
                f"a path should last from 0 to {LONGEST_PATH:g} seconds, got {seconds:g}"
            )
        length = max(1, round(seconds * rate))
        net = self.model.decoder.net
        curves = isinstance(net, HarmonicDecoder)
        apart = net.hop if curves else feature.hop if isinstance(feature, Decibels) else PATH_STEP
        moments = np.arange(1 + -(-length // apart)) * apart / rate

        def at_moments(values: Any) -> np.ndarray:
            one_each = np.broadcast_to(np.asarray(values, np.float64), len(times))
            return np.interp(moments, times, one_each)

        z = np.stack([at_moments(column) for column in z.T], 1).astype(np.float32)
        pitches = None if pitch is None else at_moments(pitch)
        levels = at_moments(rms_db).astype(np.float32)
        if curves:
            made = harmonic.along(self, net, z, pitches, labels, levels, length)
            return self._safe(whole(some.numpy() for some in made), whole)
        if pitches is not None and "pitch" not in self.continuous:
            pitches = np.rint(pitches)
        windows = self._pictures(z, pitches, labels, levels)
        if not isinstance(feature, Decibels):
            sound = path.read_samples(feature, windows, len(z), PATH_STEP, length)
            return self._safe(sound.numpy(), whole)
        picture = path.read_frames(feature, windows, len(z))
        steady = None if pitches is None or np.ptp(pitches) else float(pitches[0])
        values, level = picture.values[None], picture.level_db[None]
        sound = self._sound(values, level, steady, length)[0]
        return self._safe(sound.numpy(), whole, float(feature.rms_db(values, level)))

    def reconstruct(
        self, samples: np.ndarray, *, pitch: float | None = None, labels: Labels | None = None
    ) -> np.ndarray:
        """A sound through the model and back, at its own length and level; silence stays silence."""
        if not np.any(samples):
            return np.zeros_like(samples, dtype=np.float32)
        return self.decode_windows(self.encode(samples, pitch=pitch, labels=labels))

    @torch.no_grad()
    def play(
        self, latent: np.ndarray, *, seconds: float | None = None, pitch: float | None = None,
        labels: Labels | None = None, rms_db: float = -20.0,
    ) -> np.ndarray:  # fmt: skip
        """A latent point (Z,) as one note (n,) of `seconds`, attack to release, or as long as its window.

        What the note holds lasts longer or shorter, attack and release stay (`render.notes`): the curves of
        a harmonic decoder are stretched, else the picture. rms_db is that of the note as the window
        shows it. RunError for models of samples, which cannot be stretched, and for too short a note.
        """
        if seconds is None:
            return self.decode(latent[None], pitch=pitch, labels=labels, rms_db=rms_db)[0]
        rate, net = self.feature.sample_rate, self.model.decoder.net
        if not 0.0 < seconds <= LONGEST_PATH:
            raise RunError(
                f"a note should last from 0 to {LONGEST_PATH:g} seconds, got {seconds:g}"
            )
        length = max(1, round(seconds * rate))
        if isinstance(net, HarmonicDecoder):
            z = self.model.decoder.entrance(torch.as_tensor(latent[None]))
            numbers = self._labels(pitch, labels, 1)
            condition, hz = self.model.decoder.conditions.told(net, numbers, 1, z.device)
            curves = net.controls(z, condition)
            course = notes.course_of(net.level_db(*curves, hz)[0].numpy(), net.hop / rate)
            places = course.places(1 + -(-length // net.hop))
            own = self.feature.analyse(net.sound(*curves, z, condition, hz)[0, 0])
            tone, noise = (torch.from_numpy(notes.stretched(c.numpy(), places)) for c in curves)
            sound = net.sound(tone, noise, z, condition, hz)[0, 0]
            gain = rms_db - self.feature.rms_db(own.values, own.level_db)
            sound = sound * torch.pow(10.0, gain / 20.0)
        elif isinstance(self.feature, Decibels):
            values = torch.from_numpy(self.picture(latent[None], pitch, labels))
            level = rms_db - self.feature.rms_db(values)
            frames = self.feature.rms_db(values[0].T[..., None]).numpy()
            course = notes.course_of(frames, self.feature.hop / rate)
            places = course.places(1 + -(-length // self.feature.hop))
            longer = torch.from_numpy(notes.stretched(values.numpy(), places))
            sound = self._sound(longer, level, pitch, length)
        else:
            raise RunError(
                "this model makes samples, which cannot be made longer; play notes with a run of log-mel "
                "pictures or of harmonics"
            )
        heard = sound[0, :length].numpy()
        if course.cut:
            fade_in_place(heard, rate, notes.FADE, start=False, end=True)
        return self._safe(heard, whole)


def faded(sound: Samples, sample_rate: int, edges: tuple[bool, bool]) -> None:
    """Fade a sound (n,) in and out where it lies, but not where the original begins or ends in mid-air."""
    fade_in_place(sound, sample_rate, FADE_IN, start=not edges[0], end=False)
    fade_in_place(sound, sample_rate, FADE_OUT, start=False, end=not edges[1])


def _evened(
    batches: Iterable[tuple[Tensor, Tensor]], width: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches (values, power (n,)) of which each power is the mean of `width` neighbours about it, over
    batches; the first and the last one stand for those beyond."""
    before, after = width // 2, (width - 1) // 2
    held: tuple[Tensor, Tensor] | None = None
    past = torch.zeros(0)

    def mean(power: Tensor, following: Tensor) -> Tensor:
        near = torch.cat([past, power, following[:after]])
        left, right = before - len(past), after - len(following[:after])
        near = torch.cat([near[:1].expand(left), near, near[-1:].expand(right)])
        return near.unfold(0, width, 1).mean(1)

    for batch in batches:
        if held is not None:
            yield held[0], mean(held[1], batch[1])
            past = torch.cat([past, held[1]])
            past = past[max(0, len(past) - before) :]
        held = batch
    if held is not None:
        yield held[0], mean(held[1], torch.zeros(0))
