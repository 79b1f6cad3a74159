"""Pictures of loudness over frequency and time, in dB below the loudest cell of the sound.

Sound goes in as samples (full scale 1.0), comes out as a picture in [-1, 1] and one number, the
level of its loudest cell, so that the way back restores the loudness. Frames are centred on zero
padding under a Hann window, decibels are those of librosa's power_to_db.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from timbrespace.audio import chunks
from timbrespace.errors import AudioError, RecipeError
from timbrespace.features.feature import SILENCE_DB, Feature, Picture
from timbrespace.features.phase import Recovery, griffin_lim, heap_integration

LEAST_POWER = 1e-10  # librosa.power_to_db's amin: nothing is quieter than -100 dB
CHUNK = (
    64  # frames transformed at once: they stay in the cache (measured: whole batches take twice)
)

Refine = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class Decibels(Feature):
    """What pictures of decibels have in common, whatever their rows are.

    n_fft and hop in samples; frames is the picture's width; floor_db is the quietest cell kept, in dB
    below the loudest. In a picture -1 is the floor and 1 the loudest cell; its level is 10 log10 of
    the loudest power.
    """

    n_fft: int = 1024
    hop: int = 256
    frames: int = 128
    floor_db: float = -80.0

    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "sample_rate": (8000, 48000),
        "n_fft": (64, 16384),
        "hop": (16, 8192),
        "frames": (1, 8192),
        "floor_db": (-160.0, -20.0),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_fft % 2:
            raise RecipeError(
                f"feature.n_fft should be even, got {self.n_fft}; use {self.n_fft + 1}"
            )
        if self.hop * 2 > self.n_fft:
            raise RecipeError(
                f"feature.hop {self.hop} leaves gaps between windows of {self.n_fft} samples that "
                f"cannot be inverted; use at most {self.n_fft // 2}"
            )
        object.__setattr__(self, "floor_db", float(self.floor_db))

    @property
    def height(self) -> int:
        """Rows of a picture, from low to high frequencies."""
        return self.shape[0]

    @property
    @abstractmethod
    def frequencies(self) -> Tensor:
        """Hertz (height,) in the middle of each row."""

    @property
    def yardstick(self) -> "Decibels":
        return self

    @abstractmethod
    def row_of(self, hertz: float) -> float:
        """Where a frequency lies on an axis on which the rows are evenly spaced, in units of its own."""

    @abstractmethod
    def _fill(self, linear: Tensor, power: Tensor) -> None:
        """The power (n, height) of each row from that of all bins (n, n_fft // 2 + 1)."""

    @abstractmethod
    def _linear(self, power: Tensor) -> tuple[Tensor, Refine | None]:
        """Magnitudes (B, n_fft // 2 + 1, T) that explain powers (B, height, T), and how they may be
        corrected once their phase is found (see `phase.griffin_lim`)."""

    @abstractmethod
    def _loudness(self, device: torch.device) -> Tensor:
        """Weights (height,) with which the powers of a frame add up to its mean square."""

    @property
    def span(self) -> int:
        return self.frames * self.hop

    @property
    def seen(self) -> int:
        return (self.frames - 1) * self.hop + self.n_fft // 2

    @property
    def step(self) -> int:
        return max(1, self.frames // 2) * self.hop

    @property
    def db_per_unit(self) -> float:
        return -self.floor_db / 2.0

    def to_db(self, values: Tensor) -> Tensor:
        """Decibels below the loudest cell, floor_db .. 0, of picture values -1 .. 1."""
        return (values - 1.0) * self.db_per_unit

    def from_db(self, db: Tensor) -> Tensor:
        """Picture values of decibels below the loudest cell; clipped to the picture's range."""
        return (db.clamp(self.floor_db, 0.0) * (-2.0 / self.floor_db)) + 1.0

    def rms_db(self, values: Tensor, level_db: Tensor | float = 0.0) -> Tensor:
        """RMS in dBFS (*,) of the sound of pictures (*, height, T) whose loudest cell has level_db (*,).

        How loud a sound is, where level_db says how loud its loudest instant is. Powers are
        weighted so that all frequencies count alike, and summed to a power by Parseval's theorem;
        what lies below the lowest row is not heard. -120 at the least.
        """
        weights = self._loudness(values.device)
        power = torch.pow(10.0, self.to_db(values.float()) / 10.0) * (values > -1.0)
        mean_square = torch.einsum("...mt,m->...t", power, weights).mean(-1)
        return (10.0 * mean_square.clamp_min(1e-12).log10() + level_db).clamp_min(SILENCE_DB)

    def analyse(self, samples: Tensor) -> Picture:
        """The first `frames` frames of samples (*, n); after the sound's end comes silence.

        Level and loudest cell are those of the frames kept. AudioError for NaN, infinity or no
        samples at all.
        """
        return self.analyse_all(samples, self.frames)

    def analyse_all(self, samples: Tensor, frames: int | None = None) -> Picture:
        """Like `analyse`, with `frames` frames or, by default, all the sound has (1 + n // hop)."""
        samples = torch.as_tensor(samples)
        if samples.ndim == 0 or samples.shape[-1] == 0:
            raise AudioError("a sound should have at least one sample, got none")
        if samples.is_complex():
            raise AudioError("a sound should be real numbers, got complex ones")
        lead, n = samples.shape[:-1], samples.shape[-1]
        frames = 1 + n // self.hop if frames is None else frames
        flat = samples.detach().reshape(-1, n)
        values = torch.empty(flat.shape[0], self.height, frames, device=flat.device)
        level = torch.empty(flat.shape[0], device=flat.device)
        for index in range(flat.shape[0]):
            self._analyse_into(flat[index].float(), values[index], level[index])
        return Picture(values.reshape(*lead, self.height, frames), level.reshape(lead))

    def _analyse_into(self, samples: Tensor, values: Tensor, level_db: Tensor) -> None:
        """Fill values (height, frames) and level_db () with the picture of samples (n,)."""
        # Only what the kept frames see is looked at: they reach half a window past their centre.
        heard = min(values.shape[-1], 1 + samples.shape[-1] // self.hop)
        used = samples[: (heard - 1) * self.hop + self.n_fft // 2]
        power = self._power(used, heard)
        peak = float(power.max())  # NaN or infinity in any sample arrives here
        if not math.isfinite(peak):
            if torch.isfinite(used).all():
                raise AudioError("the sound is too loud to analyse; full scale is 1.0")
            raise AudioError("the sound contains NaN or infinite samples; repair or remove it")
        if peak <= LEAST_POWER:
            values.fill_(-1.0)
            level_db.fill_(SILENCE_DB)
            return
        reference = 10.0 * math.log10(peak)
        # from_db of power_to_db in three passes
        scale = -2.0 / self.floor_db
        scaled = power.clamp_min_(LEAST_POWER).log10_().mul_(10.0 * scale)
        values[:, :heard] = scaled.add_(1.0 - reference * scale).clamp_min_(-1.0).T
        values[:, heard:] = -1.0
        level_db.fill_(reference)

    def _power(self, samples: Tensor, count: int) -> Tensor:
        """Powers (count, height) of frames centred on multiples of the hop."""
        half = self.n_fft // 2
        padded = samples.new_zeros((count - 1) * self.hop + self.n_fft)
        padded[half : half + samples.shape[0]] = samples
        frames = padded.unfold(0, self.n_fft, self.hop)
        window = _window(self.n_fft, samples.device)
        power = samples.new_empty(count, self.height)
        for start in range(0, count, CHUNK):
            rows = slice(start, start + CHUNK)
            pair = torch.view_as_real(torch.fft.rfft(frames[rows] * window))
            pair = pair.square()
            self._fill(pair[..., 0] + pair[..., 1], power[rows])
        return power

    def invert(
        self, values: Tensor, level_db: Tensor, *, recovery: Recovery = Recovery(),
        length: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Samples (*, length) of pictures (*, height, T) whose loudest cell has level_db (*,).

        T is free; length in samples defaults to (T - 1) * hop. Powers become a linear spectrum,
        `recovery` gives it phase; after every round the spectrum is pulled back to the picture's
        powers. Cells on the floor become silence.
        """
        if length is not None and length < 0:
            raise RecipeError(f"length should be 0 samples or more, got {length}")
        values = torch.as_tensor(values)
        if values.ndim < 2 or values.shape[-2] != self.height or values.shape[-1] == 0:
            raise RecipeError(
                f"a picture should be {self.words} (with at least one frame), got the "
                f"shape {tuple(values.shape)}"
            )
        lead = values.shape[:-2]
        flat = values.detach().reshape(-1, *values.shape[-2:]).float()
        level = torch.as_tensor(level_db, dtype=torch.float32, device=flat.device)
        level = level.detach().expand(lead).reshape(-1)
        if not torch.isfinite(flat).all() or not torch.isfinite(level).all():
            raise AudioError("the picture contains NaN or infinite values; it cannot become sound")
        # The loudest cell is 1 in here; the level comes back at the very end.
        power = torch.pow(10.0, self.to_db(flat.clamp(-1.0, 1.0)) / 10.0) * (flat > -1.0)
        magnitude, refine = self._linear(power)
        phase = None
        if recovery.method == "pghi":
            phase = heap_integration(magnitude, self.n_fft, self.hop, seed=recovery.seed)
        samples = griffin_lim(
            magnitude, self.n_fft, self.hop, rounds=recovery.rounds, phase=phase, length=length,
            momentum=recovery.momentum, seed=recovery.seed, refine=refine,
        )  # fmt: skip
        samples *= torch.pow(10.0, level / 20.0)[:, None]
        return samples.reshape(*lead, samples.shape[-1])

    def join(
        self, values: Tensor, level_db: Tensor, *, length: int, recovery: Recovery = Recovery()
    ) -> Tensor:
        """One sound (length,) of its windows (W, height, frames), each `step` samples after the last.

        They are faded into each other in decibels (`merge`) and inverted once, so that no phase
        meets another.
        """
        whole = self.merge(values, level_db)
        return self.invert(whole.values, whole.level_db, recovery=recovery, length=length)

    def merge(self, values: Tensor, level_db: Tensor) -> Picture:
        """One picture (height, T) of windows (W, height, frames) as in `join`."""
        db = self.to_db(values.float()) + level_db[:, None, None]
        mixed = torch.from_numpy(chunks.join(db.numpy(), self.step // self.hop))
        loudest = mixed.max()
        return Picture(self.from_db(mixed - loudest), loudest)


@lru_cache(maxsize=16)
def _window(n_fft: int, device: torch.device) -> Tensor:
    return torch.hann_window(n_fft, device=device)
