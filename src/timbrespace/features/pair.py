"""A dry and a wet sound as one picture: what they are, and what lies between them.

The sounds lie in one file, the dry one first (see data.pairs). Each becomes a picture of C channels
(height, width), which are stacked in height, so that whatever takes one picture takes this one.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from timbrespace.audio import chunks
from timbrespace.audio.scratch import Samples
from timbrespace.errors import AudioError, RecipeError, suggestion
from timbrespace.features.decibels import Decibels
from timbrespace.features.feature import SILENCE_DB, Feature, Picture
from timbrespace.features.log_mel import LogMel
from timbrespace.features.mel import mel_filterbank
from timbrespace.features.phase import Recovery
from timbrespace.features.spectrogram import Spectrogram

CHANNELS = {
    "joint": ("dry", "wet"),
    "difference": ("dry", "wet - dry"),
    "angle": ("dry", "angle of dry", "wet", "angle of wet"),
    "phase": ("dry", "wet", "cosine of the phase difference", "sine of the phase difference"),
}  # fmt: skip
PICTURES = ("log_mel", "power")
LEVELS = ("each", "common")
EXPONENT = 0.3  # of a magnitude in the power-law picture (Grant 2023, report 004)
HEADROOM_DB = 18.0  # by which a wet sound may be louder than the dry one's loudest cell
GAIN_DB = 40.0  # what 1 means in the difference of log-mels
DEEP_DB = -160.0  # floor of the pictures that ours are made of: they cut nothing
WINDOWS = 16  # of a longer sound analysed at once


@dataclass(frozen=True)
class Pair(Feature):
    """Settings of the picture of a pair: (channels * height, frames), `samples` a sound.

    picture: "log_mel", in dB from floor_db to 0, or "power", |STFT|^0.3 (all frequencies but the
    topmost; floor_db then only says which cells are too quiet to have an angle).
    channels: "joint" is dry and wet; "difference" dry and wet - dry, in which 1 is GAIN_DB dB (log_mel)
    or the loudest magnitude (power); "angle" adds each sound's phase over pi, 0 where it is silent;
    "phase" the cosine and sine of the phase difference, times the geometric mean of both magnitudes
    to the power of 0.3, so that what is silent says nothing. The last two want "power".
    resolutions: of log-mels the last channel, wet - dry of "difference" and wet of "joint", once more for each
    of these numbers of samples in the place of n_fft: short ones see when something moves, long ones
    which frequency it has. They are for the eye of an encoder; `invert` does not need them.
    level: "each" measures a sound against its own loudest cell; "common" both against the dry one's,
    HEADROOM_DB above it, so that a difference is the gain of the effect.

    The picture's level is that of the dry sound. With "each" that of the wet one is lost: `invert`
    gives it the peak of the dry one, as pairs of level "each" have it.
    """

    samples: int = 32768
    n_fft: int = 1024
    hop: int = 256
    picture: str = "log_mel"
    mels: int = 64
    floor_db: float = -80.0
    channels: str = "difference"
    level: str = "common"
    resolutions: tuple[int, ...] = ()

    kind: ClassVar[str] = "pair"
    stated: ClassVar[dict[str, Any]] = {
        "window": "hann", "centred": True, "exponent": EXPONENT, "headroom_db": HEADROOM_DB,
        "gain_db": GAIN_DB,
    }  # fmt: skip
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        **{name: Decibels.ranges[name] for name in ("sample_rate", "n_fft", "hop")},
        "samples": (1024, 480_000),
        "mels": LogMel.ranges["mels"],
        "floor_db": (DEEP_DB + HEADROOM_DB, -20.0),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("picture", PICTURES), ("channels", CHANNELS), ("level", LEVELS)):
            value = getattr(self, name)
            if value not in known:
                hint = suggestion(str(value), known, f"choose one of {', '.join(known)}")
                raise RecipeError(f"feature.{name} of a pair cannot be {value!r}; {hint}")
        if self.channels in ("angle", "phase") and self.picture != "power":
            raise RecipeError(
                f"feature.channels {self.channels} needs the phase of each frequency, which mels have "
                "not; use feature.picture: power"
            )
        if self.resolutions and self.picture != "log_mel":
            raise RecipeError(
                "feature.resolutions show log-mels once more, but feature.picture is "
                f"{self.picture}; set feature.resolutions to []"
            )
        object.__setattr__(self, "floor_db", float(self.floor_db))
        object.__setattr__(self, "resolutions", tuple(self.resolutions))
        # their settings are checked, too
        assert (
            self.one.frames and self.yardstick.frames and len(self._others) == len(self.resolutions)
        )

    @cached_property
    def one(self) -> Decibels:
        """The feature of each of the two sounds."""
        frames = -(-self.samples // self.hop)
        if self.picture == "power":
            return Spectrogram(
                self.sample_rate, n_fft=self.n_fft, hop=self.hop, frames=frames, floor_db=DEEP_DB
            )
        return self._log_mel(frames)

    @cached_property
    def yardstick(self) -> LogMel:
        """The log-mel picture of both sounds, one after the other."""
        return self._log_mel(2 * -(-self.samples // self.hop))

    @cached_property
    def _others(self) -> list[Decibels]:
        """`one` at the further resolutions."""
        return [replace(self.one, n_fft=n_fft) for n_fft in self.resolutions]

    def _log_mel(self, frames: int) -> LogMel:
        floor_db = self.floor_db - self._headroom
        return LogMel(
            self.sample_rate, n_fft=self.n_fft, hop=self.hop, frames=frames, floor_db=floor_db,
            mels=self.mels,
        )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """As of every feature; that there are no further resolutions goes without saying."""
        plain = super().settings() | {"resolutions": list(self.resolutions)}
        if not self.resolutions:
            del plain["resolutions"]
        return plain

    @property
    def _headroom(self) -> float:
        return HEADROOM_DB if self.level == "common" else 0.0

    @property
    def stacked(self) -> int:
        return len(CHANNELS[self.channels]) + len(self.resolutions)

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.one.shape
        return self.stacked * height, width

    @property
    def words(self) -> str:
        names = [*CHANNELS[self.channels], *(f"in windows of {n}" for n in self.resolutions)]
        return f"{' / '.join(names)}, each {self.one.words}"

    @property
    def span(self) -> int:
        return 2 * self.samples

    @property
    def seen(self) -> int:
        return 2 * self.samples

    @property
    def step(self) -> int:
        """Pairs do not overlap."""
        return self.span

    def _seen_by(self, one: Decibels, both: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The cells (*, height, frames) of dry and of wet sounds (*, 2, samples) as `one` sees them, and
        the level (*,) in dB that 1 means in those of the dry ones."""
        deep = replace(one, floor_db=DEEP_DB)
        seen = deep.analyse(both)
        db = deep.to_db(seen.values) + seen.level_db[..., None, None]  # not above full scale
        loudest = db.amax((-2, -1)).clamp_min(SILENCE_DB)
        if self.level == "common":
            # where the dry sound is silent the wet one is all there is
            shared = torch.where(loudest[..., 0] > SILENCE_DB, loudest[..., 0], loudest[..., 1])
            top = torch.where(shared > SILENCE_DB, shared + HEADROOM_DB, SILENCE_DB)
            loudest = top[..., None].expand(*top.shape, 2)
        dry, wet = self._cells(db - loudest[..., None, None]).unbind(-3)
        return dry, wet, loudest[..., 0]

    def _cells(self, db: Tensor) -> Tensor:
        """Cells from -1 to 1 of decibels below what 1 means; see `_decibels` for the way back."""
        if self.picture == "power":
            heard = torch.pow(10.0, EXPONENT / 20.0 * db.clamp_max(0.0)) * (db > DEEP_DB)
            return 2.0 * heard - 1.0
        return self.one.from_db(db)

    def _decibels(self, cells: Tensor) -> Tensor:
        """Decibels below what 1 means of cells, which may lie outside of -1..1."""
        if self.picture == "power":
            return (20.0 / EXPONENT) * ((cells + 1.0) / 2.0).clamp_min(1e-9).log10()
        return self.one.to_db(cells)

    @property
    def _unit(self) -> float:
        """The difference of two cells that is 1 in the channel of differences."""
        return GAIN_DB / self.one.db_per_unit if self.picture == "log_mel" else 2.0

    def _channels(self, values: Tensor) -> Tensor:
        """The channels (*, C, height, T) of pictures (*, C * height, T)."""
        height = self.one.height
        if values.ndim < 2 or values.shape[-2] != self.stacked * height or not values.shape[-1]:
            raise RecipeError(
                f"a picture of a pair should be {self.stacked} of {height} rows (and at least one "
                f"frame), got the shape {tuple(values.shape)}"
            )
        return values.unflatten(-2, (self.stacked, height))

    def sounds(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The cells (*, height, T) of the dry and of the wet sound of pictures."""
        some = self._channels(values)
        if self.channels == "difference":
            dry, difference = some[..., 0, :, :], some[..., 1, :, :]
            return dry, dry + self._unit * difference
        return some[..., 0, :, :], some[..., 2 if self.channels == "angle" else 1, :, :]

    def analyse(self, samples: Tensor) -> Picture:
        """The first pair of samples (*, n): the dry sound, then from `samples` on the wet one.

        What lies after is not looked at; where a sound ends early, silence follows.
        """
        samples = torch.as_tensor(samples)
        if samples.ndim == 0 or samples.shape[-1] == 0:
            raise AudioError("a sound should have at least one sample, got none")
        if samples.is_complex():
            raise AudioError("a sound should be real numbers, got complex ones")
        heard = samples[..., : self.span].detach().float()
        both = pad(heard, (0, self.span - heard.shape[-1])).unflatten(-1, (2, self.samples))
        dry, wet, level_db = self._seen_by(self.one, both)
        if self.channels == "joint":
            found = [dry, wet] + [self._seen_by(other, both)[1] for other in self._others]
        elif self.channels == "difference":
            found = [dry, self._difference(dry, wet)]
            found += [self._difference(*self._seen_by(other, both)[:2]) for other in self._others]
        else:
            found = self._with_phase(both, dry, wet)
        return Picture(torch.cat(found, -2), level_db)

    def _difference(self, dry: Tensor, wet: Tensor) -> Tensor:
        return ((wet - dry) / self._unit).clamp(-1.0, 1.0)

    def _with_phase(self, both: Tensor, dry: Tensor, wet: Tensor) -> list[Tensor]:
        spectrum = self._spectrum(both)[..., :-1, :]  # as the picture, without half the sample rate
        if self.channels == "angle":
            least = 2.0 * 10.0 ** (EXPONENT / 20.0 * self.floor_db) - 1.0
            angle = spectrum.angle() / math.pi
            one, other = angle.unbind(-3)
            return [dry, one * (dry > least), wet, other * (wet > least)]
        one, other = spectrum.unbind(-3)
        angle = (other * one.conj()).angle()
        weight = ((dry + 1.0) * (wet + 1.0)).sqrt() / 2.0
        return [dry, wet, weight * angle.cos(), weight * angle.sin()]

    def _spectrum(self, samples: Tensor) -> Tensor:
        """The transform (*, n_fft // 2 + 1, frames) of sounds (*, n), in the frames of a picture."""
        window = torch.hann_window(self.n_fft, device=samples.device)
        flat = samples.reshape(-1, samples.shape[-1])
        flat = pad(flat, (0, max(0, self.one.span - flat.shape[-1])))
        found = torch.stft(
            flat, self.n_fft, self.hop, window=window, pad_mode="constant", return_complex=True
        )[..., : self.one.frames]
        return found.reshape(*samples.shape[:-1], *found.shape[1:])

    def invert(
        self, values: Tensor, level_db: Tensor, *, recovery: Recovery = Recovery(),
        length: int | None = None,
    ) -> Tensor:  # fmt: skip
        """The sounds of pictures (*, C * height, T) as samples (*, length), the dry one first; length
        defaults to both. Phase is looked for where the picture says none: with "phase" that of the
        wet sound is the dry one's and the difference.
        """
        values = torch.as_tensor(values).detach().float()
        some = self._channels(values)
        if not torch.isfinite(values).all():
            raise AudioError("the picture contains NaN or infinite values; it cannot become sound")
        level = torch.as_tensor(level_db, dtype=torch.float32, device=values.device)
        level = level.expand(values.shape[:-2])
        own, other = (self.one.from_db(self._decibels(cells)) for cells in self.sounds(values))
        dry_phase = wet_phase = None
        if self.channels == "angle":
            dry_phase, wet_phase = self._known(some[..., 1, :, :]), self._known(some[..., 3, :, :])
        dry = self._sound(own, level, recovery, dry_phase)
        if self.channels == "phase":
            cosine, sine = some[..., 2, :, :], some[..., 3, :, :]
            turned = self._spectrum(dry)[..., :-1, :].angle() + torch.atan2(sine, cosine)
            wet_phase = self._known(torch.where(cosine.hypot(sine) > 0.0, turned, 0.0), 1.0)
        wet = self._sound(other, level, recovery, wet_phase)
        if self.level == "each":
            peak = wet.abs().amax(-1, keepdim=True).clamp_min(1e-9)
            wet = wet * (dry.abs().amax(-1, keepdim=True) / peak)
        both = torch.cat([dry, wet], -1)
        length = self.span if length is None else length
        return pad(both[..., :length], (0, max(0, length - both.shape[-1])))

    def _known(self, angle: Tensor, unit: float = math.pi) -> Tensor:
        """Phases in radians of a channel of angles, NaN where it is 0, which says that none is known."""
        known = torch.where(angle == 0.0, math.nan, angle * unit)
        return pad(known, (0, 0, 0, 1), value=math.nan)

    def _sound(
        self, values: Tensor, level_db: Tensor, recovery: Recovery, phase: Tensor | None
    ) -> Tensor:
        return self.one.invert(
            values, level_db, recovery=recovery, length=self.samples, phase=phase
        )

    def rms_db(self, values: Tensor, level_db: Tensor | float = 0.0) -> Tensor:
        seen = self.view(values.float(), level_db)
        return self.yardstick.rms_db(seen.values, seen.level_db)

    def loudness_db(self, samples: Tensor | Samples) -> float:
        return self.yardstick.loudness_db(samples)

    def windows(self, samples: Tensor | Samples) -> Iterator[Picture]:
        count = chunks.count(len(samples), self.span, self.step)
        for first in range(0, count, WINDOWS):
            some = torch.as_tensor(samples[first * self.span : (first + WINDOWS) * self.span])
            some = pad(some, (0, -len(some) % self.span)) if len(some) else some
            yield self.analyse(some.unflatten(0, (-1, self.span)))

    def joined(
        self, windows: Iterable[Picture], *, length: int, recovery: Recovery = Recovery()
    ) -> Iterator[Tensor]:
        """The pairs of `windows` one after the other, as samples (length,)."""
        left = length
        for some in windows:
            made = self.invert(some.values, some.level_db, recovery=recovery).flatten()[:left]
            left -= len(made)
            yield made
        if left == length:
            raise ValueError("there are no windows to join")
        yield torch.zeros(left)

    def view(self, values: Tensor, level_db: Tensor | float = 0.0) -> Picture:
        """Both sounds as log-mels, the wet one after the dry one, in dB below the same level."""
        level = torch.as_tensor(level_db, dtype=torch.float32, device=values.device)
        db = self._mel_db(values)
        top = self._top(db)
        return Picture(self._seen(db, top), level.expand(values.shape[:-2]) + top)

    def compared(self, original: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        one, other = self._mel_db(original), self._mel_db(made)
        top = self._top(one)
        return self._seen(one, top), self._seen(other, top)

    def _mel_db(self, values: Tensor) -> Tensor:
        """Decibels (*, mels, 2 * frames) of both sounds below what 1 means in their pictures."""
        db = self._decibels(torch.cat(self.sounds(values.float()), -1))
        if self.picture == "log_mel":
            return db
        bank = mel_filterbank(self.sample_rate, self.n_fft, self.mels)[:, :-1].to(db.device)
        return 10.0 * (bank @ torch.pow(10.0, db / 10.0)).clamp_min(1e-20).log10()

    def _top(self, db: Tensor) -> Tensor:
        """What 1 is to mean (*,) in the yardstick's picture, so that it shows what ours does."""
        if self.picture == "log_mel":
            return db.new_zeros(db.shape[:-2])
        dry = db[..., : db.shape[-1] // 2].amax((-2, -1))
        return (dry + self._headroom).clamp_min(-100.0)

    def _seen(self, db: Tensor, top: Tensor) -> Tensor:
        below = db - top[..., None, None]
        return (1.0 + below / self.yardstick.db_per_unit).clamp_min(-1.0)

    def distortion(self, mse: float) -> dict[str, float]:
        return {"rmse": mse**0.5}
