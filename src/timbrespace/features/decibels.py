"""Pictures of loudness over frequency and time, in dB below the loudest cell of the sound.

Sound goes in as samples (full scale 1.0), comes out as a picture in [-1, 1] and one number, the
level of its loudest cell, so that the way back restores the loudness. Frames are centred on zero
padding under a Hann window, decibels are those of librosa's power_to_db.
"""

import itertools
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from timbrespace.audio import chunks
from timbrespace.audio.scratch import Samples, spans
from timbrespace.errors import AudioError, RecipeError
from timbrespace.features.feature import SILENCE_DB, Feature, Picture
from timbrespace.features.phase import Recovery, griffin_lim, heap_integration
from timbrespace.features.sweep import phase_by_sweep

LEAST_POWER = 1e-10  # librosa.power_to_db's amin: nothing is quieter than -100 dB
CHUNK = (
    64  # frames transformed at once: they stay in the cache (measured: whole batches take twice)
)
WINDOWS = 64  # of a longer sound analysed at once
HEARD = 8  # every so many columns of a window of a longer sound are mixed, if it has 64 or more
BLOCK = 2048  # frames made sound at once: 33 s at 16 kHz take 150 MB
SHARED = 48  # frames that two blocks have in common
EDGE = 8  # of them at either end that hear of what lies outside, and are not used

INTEGRATED = {"pghi": heap_integration, "sweep": phase_by_sweep}  # methods that start from phase

Refine = Callable[[int, Tensor], Tensor]
# samples (B, n) of powers (B, height, T), phase (B, bins, T) that is known (NaN where not) or None, n or
# None for (T - 1) * hop, and the frame of the sound at which the powers begin
Block = Callable[[Tensor, Tensor | None, int | None, int], Tensor]


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

    stated: ClassVar[dict[str, Any]] = {
        "window": "hann", "centred": True, "power": 2, "reference": "loudest cell"
    }  # fmt: skip
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
    def _linear(self, power: Tensor, inversion: str) -> tuple[Tensor, Refine | None]:
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
        """A window begins at every frame: what a model makes of each moment then does not depend on where
        in a window it stood, and no level rises and falls with the windows (docs/rendering.md has the
        figures).
        """
        return self.hop

    @cached_property
    def heard(self) -> Tensor:
        """The columns (N,) of windows of a longer sound that are mixed, the same of all: a window begins at
        every frame, so each moment is still heard by N windows, at the same places in them, and those of
        `heard_apart` neighbours are a whole window."""
        return torch.arange(self.heard_apart // 2, self.frames, self.heard_apart)

    @property
    def heard_apart(self) -> int:
        """How many columns apart those are that are `heard`."""
        return HEARD if self.frames >= 8 * HEARD else 1

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
        power = self.powers_of(values.float())
        mean_square = torch.einsum("...mt,m->...t", power, weights).mean(-1)
        return (10.0 * mean_square.clamp_min(1e-12).log10() + level_db).clamp_min(SILENCE_DB)

    def loudness_db(self, samples: Tensor | Samples) -> float:
        energy, count = 0.0, 0
        for power in self.powers(samples):
            energy += float((power.double() @ self._loudness(power.device).double()).sum())
            count += len(power)
        return max(SILENCE_DB, 10.0 * math.log10(max(energy / count, 1e-12)))

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
        self._picture_into(self._power(used, heard), used, values, level_db)

    def _picture_into(self, power: Tensor, used: Tensor, values: Tensor, level_db: Tensor) -> None:
        """Fill values (height, frames) and level_db () from powers (heard, height), which are used up;
        they are those of the samples `used`. After the frames heard comes silence."""
        heard = len(power)
        loudest = power.max()
        _check_finite(loudest, used)
        peak = float(loudest)
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

    def windows(self, samples: Tensor | Samples) -> Iterator[Picture]:
        """As in `Feature.windows`; a window that does not begin the sound sees what comes before it, so
        that it shows no beginning. The first is that of `analyse`."""
        heard = 1 + len(samples) // self.hop
        count = chunks.count(len(samples), self.span, self.step)
        scale = -20.0 / self.floor_db  # of log10 of a power
        for first in range(0, count, WINDOWS):
            some = min(WINDOWS, count - first)
            seen = self._power(samples, min(some - 1 + self.frames, heard - first), first)
            power = pad(seen, (0, 0, 0, some - 1 + self.frames - len(seen)))
            loudest = power.amax(1).unfold(0, self.frames, 1).amax(1)
            _check_finite(loudest.max(), samples)
            silent = loudest <= LEAST_POWER
            level = torch.where(silent, SILENCE_DB, 10.0 * loudest.log10())
            above = torch.where(silent, -torch.inf, 1.0 - 0.1 * scale * level)
            logs = power.clamp_min_(LEAST_POWER).log10_().mul_(scale)
            logs[len(seen) :] = -torch.inf
            values = logs.unfold(0, self.frames, 1) + above[:, None, None]
            yield Picture(values.clamp_min_(-1.0), level)

    def powers(self, samples: Tensor | Samples) -> Iterator[Tensor]:
        """Powers (T, height) of all frames of a sound (n,), some at a time."""
        count = 1 + len(samples) // self.hop
        for first in range(0, count, BLOCK):
            yield self._power(samples, min(BLOCK, count - first), first)

    def _power(self, samples: Tensor | Samples, count: int, first: int = 0) -> Tensor:
        """Powers (count, height) of frames centred on multiples of the hop, from the `first` on."""
        half, reach = self.n_fft // 2, (count - 1) * self.hop + self.n_fft
        ahead = max(0, half - first * self.hop)  # zeros before the sound
        start = max(0, first * self.hop - half)
        heard = torch.as_tensor(samples[start : start + reach - ahead]).detach().float()
        padded = pad(heard, (ahead, reach - ahead - len(heard)))
        frames = padded.unfold(0, self.n_fft, self.hop)
        window = _window(self.n_fft, padded.device)
        power = padded.new_empty(count, self.height)
        for start in range(0, count, CHUNK):
            rows = slice(start, start + CHUNK)
            pair = torch.view_as_real(torch.fft.rfft(frames[rows] * window))
            pair = pair.square()
            self._fill(pair[..., 0] + pair[..., 1], power[rows])
        return power

    def invert(
        self, values: Tensor, level_db: Tensor, *, recovery: Recovery = Recovery(),
        length: int | None = None, phase: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Samples (*, length) of pictures (*, height, T) whose loudest cell has level_db (*,).

        T is free; length in samples defaults to (T - 1) * hop. Powers become a linear spectrum,
        `recovery` gives it phase; after every round the spectrum is pulled back to the picture's
        powers. Cells on the floor become silence. `phase` (*, n_fft // 2 + 1, T) in radians is where
        the search starts, NaN where it is not known. More than 2,048 frames pass in blocks that share
        48, where the phase of one continues that of the last, so memory stays flat.
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
        if phase is not None:
            wanted = (*lead, self.n_fft // 2 + 1, values.shape[-1])
            if phase.shape != wanted:
                raise RecipeError(f"phase should be {wanted}, got {tuple(phase.shape)}")
            phase = phase.detach().reshape(-1, *wanted[-2:]).float()
        # The loudest cell is 1 in here; the level comes back at the very end.
        power = self.powers_of(flat.clamp(-1.0, 1.0))
        length = (values.shape[-1] - 1) * self.hop if length is None else length
        block = self._block(recovery)
        samples = torch.cat(list(self.in_blocks([power], length, block, phase)), 1)
        samples *= torch.pow(10.0, level / 20.0)[:, None]
        return samples.reshape(*lead, samples.shape[-1])

    def powers_of(self, values: Tensor) -> Tensor:
        """Powers below the loudest cell, which is 1, of picture values; 0 on the floor."""
        nepers = self.db_per_unit * math.log(10.0) / 10.0
        return (values * nepers).sub_(nepers).exp_().mul_(values > -1.0)

    def in_blocks(
        self, powers: Iterable[Tensor], length: int, block: Block, phase: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Samples (B, length), some at a time, of powers (B, height, T), given some at a time: of more
        than 2,048 frames `block` makes so many at once, and blocks fade into each other over 48."""
        hop, left = self.hop, length
        shared = slice(EDGE, SHARED - EDGE)
        rise = torch.arange((SHARED - 2 * EDGE) * hop)
        rise = (torch.pi / 2 * (rise + 0.5) / len(rise)).sin().square()
        held, pieces = torch.zeros(0), iter(powers)
        tail: Tensor | None = None
        for start in itertools.count(0, BLOCK - SHARED):
            some, count = [held] * bool(start), held.shape[-1]
            while count <= BLOCK and (piece := next(pieces, None)) is not None:
                some.append(piece)
                count += piece.shape[-1]
            held = torch.cat(some, -1)
            ends = held.shape[-1] <= BLOCK or left <= (BLOCK - SHARED) * hop
            power, held = held[..., :BLOCK], held[..., BLOCK - SHARED :]
            known = None if phase is None else phase[..., start : start + BLOCK].clone()
            if tail is not None:
                if known is None:
                    shape = (len(power), self.n_fft // 2 + 1, power.shape[-1])
                    known = power.new_full(shape, math.nan)
                known[..., shared] = self._phase(tail)[..., shared]
            made = block(power, known, left if ends else None, start)
            if tail is not None:
                fade = slice(EDGE * hop, EDGE * hop + len(rise))
                made[:, : fade.start] = tail[:, : fade.start]
                both = min(made.shape[1], fade.stop) - fade.start
                if both > 0:
                    fade = slice(fade.start, fade.start + both)
                    edge = rise[:both].to(made.device)
                    made[:, fade] = torch.lerp(tail[:, fade], made[:, fade], edge)
            given = made if ends else made[:, : (BLOCK - SHARED) * hop]
            yield given
            left -= given.shape[1]
            tail = made[:, (BLOCK - SHARED) * hop :].clone()
            if ends:
                return

    def _block(self, recovery: Recovery) -> Block:
        """Blocks whose phase `recovery` finds. Inside they are as loud as 1, to a power of two, which changes
        no digit."""

        def block(power: Tensor, phase: Tensor | None, length: int | None, first: int) -> Tensor:
            scale = torch.exp2(power.amax((1, 2), keepdim=True).clamp_min(1e-30).log2().ceil())
            magnitude, refine = self._linear(power / scale, recovery.inversion)
            if recovery.method in INTEGRATED:
                phase = INTEGRATED[recovery.method](
                    magnitude, self.n_fft, self.hop, seed=recovery.seed, known=phase,
                    apart=self._bins_apart,
                )  # fmt: skip
            made = griffin_lim(
                magnitude, self.n_fft, self.hop, rounds=recovery.rounds, phase=phase, length=length,
                momentum=recovery.momentum, seed=recovery.seed, refine=refine,
            )  # fmt: skip
            return made.mul_(scale[:, 0].sqrt())

        return block

    @cached_property
    def _bins_apart(self) -> np.ndarray:
        """How many bins neighbouring rows lie apart, at each bin (n_fft // 2 + 1,)."""
        rows = self.frequencies.double().numpy() * self.n_fft / self.sample_rate
        middle = 0.5 * (rows[1:] + rows[:-1])
        return np.interp(np.arange(self.n_fft // 2 + 1), middle, np.diff(rows))

    def _phase(self, samples: Tensor) -> Tensor:
        """Phase (B, bins, T) of samples (B, n) in frames centred on multiples of the hop."""
        window = _window(self.n_fft, samples.device)
        return torch.stft(
            samples, self.n_fft, self.hop, window=window, pad_mode="constant", return_complex=True
        ).angle()

    def joined(
        self, windows: Iterable[Picture], *, length: int, recovery: Recovery = Recovery(),
        block: Block | None = None,
    ) -> Iterator[Tensor]:  # fmt: skip
        """One sound (length,) of its `windows`, which are inverted as one picture, so that no phase
        meets another; see `mixed`. `block` makes sound of powers in place of `recovery`."""
        powers = (power[None] for power in self.mixed(windows, length))
        block = self._block(recovery) if block is None else block
        for made in self.in_blocks(powers, length, block):
            yield made[0]

    def mixed(self, windows: Iterable[Picture], length: int) -> Iterator[Tensor]:
        """Powers (height, T), some at a time, of windows (W, height, frames), each `step` samples after the
        last, of a sound of `length` samples.

        They fade into each other in power, which keeps the loudness where they disagree (in decibels
        it would dip), with weights sin^2 that are 0 at a window's ends: what a model makes of its edges,
        such as an attack, is not heard but in the first and the last window. Of all windows the
        columns `heard` count, and those alone may be given; of the first and the last one all do, each
        that much less.
        """
        count, width = 1 + length // self.hop, self.frames
        fade = (torch.pi / width * (torch.arange(width) + 0.5)).sin().square()
        out, weights = torch.zeros(self.height, 0), torch.zeros(0)  # columns from `done` on
        done = place = 0
        newest: tuple[Picture, int] | None = None  # counts whole, if none follows it

        def whole(one: Picture, start: int) -> None:
            here, part = slice(start - done, start - done + width), fade / self.heard_apart
            power = self.powers_of(one.values[0].float())
            out[:, here] += power.mul_(part * torch.pow(10.0, one.level_db / 10.0))
            weights[here] += part

        def thinned(some: Picture, start: int) -> None:
            values = some.values[..., self.heard] if some.values.shape[-1] == width else some.values
            level = torch.pow(10.0, some.level_db / 10.0)
            power = self.powers_of(values.float()).mul_(level[:, None, None]).permute(2, 1, 0)
            for column, one in zip(self.heard.tolist(), power, strict=True):
                here = slice(start - done + column, start - done + column + len(values))
                out[:, here].add_(one, alpha=float(fade[column]))
                weights[here] += fade[column]

        for some in windows:
            more = place - done + len(some.values) - 1 + width - out.shape[1]
            out, weights = pad(out, (0, more)), pad(weights, (0, more))
            if newest is not None:
                thinned(*newest)
                newest = None
            inner = slice(0 if place else 1, None)
            if not place:
                whole(Picture(some.values[:1], some.level_db[:1]), 0)
            if some.values.shape[-1] == width and place + len(some.values) > 1:
                newest = Picture(some.values[-1:], some.level_db[-1:]), place + len(some.values) - 1
                inner = slice(inner.start, -1)
            thinned(Picture(some.values[inner], some.level_db[inner]), place + inner.start)
            place += len(some.values)
            ready = place - 1 - done
            yield (out[:, :ready] / weights[:ready])[:, : max(0, count - done)]
            out, weights, done = out[:, ready:], weights[ready:], place - 1
        if not place:
            raise ValueError("there are no windows to mix")
        if newest is not None:
            whole(*newest)
        yield (out / weights)[:, : max(0, count - done)]


def _check_finite(peak: Tensor, samples: Tensor | Samples) -> None:
    """AudioError where the largest power of samples is not finite: NaN or infinity in any arrives there."""
    if not torch.isfinite(peak):
        parts = (torch.as_tensor(samples[span]) for span in spans(len(samples)))
        if all(bool(torch.isfinite(part).all()) for part in parts):
            raise AudioError("the sound is too loud to analyse; full scale is 1.0")
        raise AudioError("the sound contains NaN or infinite samples; repair or remove it")


@lru_cache(maxsize=16)
def _window(n_fft: int, device: torch.device) -> Tensor:
    return torch.hann_window(n_fft, device=device)
