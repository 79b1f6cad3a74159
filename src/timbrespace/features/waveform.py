"""The samples themselves as a picture one line high: nothing is lost, and nothing is explained.

Errors are still told in the decibels of a log-mel picture, so that a waveform model stands in one
table with all others: two waves that sound alike can differ in every sample.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from timbrespace.audio import chunks
from timbrespace.audio.scratch import Samples, spans
from timbrespace.errors import AudioError, RecipeError
from timbrespace.features.feature import SILENCE_DB, Feature, Picture
from timbrespace.features.log_mel import LogMel
from timbrespace.features.overlap import mixed_waves
from timbrespace.features.phase import Recovery

WINDOWS = 64  # of a longer sound analysed at once
OVERLAPPING = 32  # windows that hear each moment of a longer sound


@dataclass(frozen=True)
class Waveform(Feature):
    """`samples` samples at `sample_rate` Hz, divided by their peak: (1, samples) in [-1, 1].

    The level is the peak's, in dBFS. `invert` is exact to float rounding.
    """

    samples: int = 16000

    kind: ClassVar[str] = "waveform"
    keeps_phase: ClassVar[bool] = True
    stated: ClassVar[dict[str, Any]] = {"reference": "peak"}
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "sample_rate": (8000, 48000),
        "samples": (64, 480_000),
    }

    @property
    def shape(self) -> tuple[int, int]:
        return 1, self.samples

    @property
    def words(self) -> str:
        return f"{self.samples} samples"

    @property
    def span(self) -> int:
        return self.samples

    @property
    def seen(self) -> int:
        return self.samples

    @property
    def step(self) -> int:
        return max(1, self.samples // OVERLAPPING)

    @cached_property
    def yardstick(self) -> LogMel:
        """80 mels over windows of about 50 ms, as many frames as the sound has."""
        hop = 256 if self.sample_rate <= 24000 else 512
        return LogMel(
            self.sample_rate, n_fft=4 * hop, hop=hop, mels=80, frames=-(-self.samples // hop)
        )

    def analyse(self, samples: Tensor) -> Picture:
        samples = torch.as_tensor(samples)
        if samples.ndim == 0 or samples.shape[-1] == 0:
            raise AudioError("a sound should have at least one sample, got none")
        if samples.is_complex():
            raise AudioError("a sound should be real numbers, got complex ones")
        heard = samples[..., : self.samples].detach().float()
        if not torch.isfinite(heard).all():
            raise AudioError("the sound contains NaN or infinite samples; repair or remove it")
        peak = heard.abs().amax(-1)
        silent = peak <= 10.0 ** (SILENCE_DB / 20.0)
        values = heard.new_zeros(*heard.shape[:-1], self.samples)
        values[..., : heard.shape[-1]] = heard / torch.where(silent, torch.inf, peak)[..., None]
        level = torch.where(silent, SILENCE_DB, 20.0 * peak.log10())
        return Picture(values[..., None, :], level)

    def invert(
        self, values: Tensor, level_db: Tensor, *, recovery: Recovery = Recovery(),
        length: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Samples (*, length) of pictures (*, 1, N) whose peak has level_db (*,); exact.

        length defaults to N; silence follows. `recovery` changes nothing: no phase is looked for.
        """
        values = torch.as_tensor(values)
        if values.ndim < 2 or values.shape[-2] != 1 or values.shape[-1] == 0:
            raise RecipeError(
                "a picture of samples should be (1, samples) with at least one sample, got the shape "
                f"{tuple(values.shape)}"
            )
        level = torch.as_tensor(level_db, dtype=torch.float32, device=values.device)
        if not torch.isfinite(values).all() or not torch.isfinite(level).all():
            raise AudioError("the picture contains NaN or infinite values; it cannot become sound")
        sound = values[..., 0, :].detach().float() * torch.pow(10.0, level / 20.0)[..., None]
        length = sound.shape[-1] if length is None else length
        return pad(sound[..., :length], (0, max(0, length - sound.shape[-1])))

    def rms_db(self, values: Tensor, level_db: Tensor | float = 0.0) -> Tensor:
        mean_square = values.float().square().mean((-2, -1))
        return (10.0 * mean_square.clamp_min(1e-12).log10() + level_db).clamp_min(SILENCE_DB)

    def loudness_db(self, samples: Tensor | Samples) -> float:
        parts = (torch.as_tensor(samples[span]).double() for span in spans(len(samples)))
        mean_square = sum(float(part.square().sum()) for part in parts) / len(samples)
        return max(SILENCE_DB, 10.0 * math.log10(max(mean_square, 1e-12)))

    def windows(self, samples: Tensor | Samples) -> Iterator[Picture]:
        count = chunks.count(len(samples), self.span, self.step)
        for first in range(0, count, WINDOWS):
            last = min(first + WINDOWS, count) - 1
            some = torch.as_tensor(samples[first * self.step : last * self.step + self.span])
            some = pad(some, (0, (last - first) * self.step + self.span - len(some)))
            yield self.analyse(some.unfold(0, self.span, self.step))

    def joined(
        self, windows: Iterable[Picture], *, length: int, recovery: Recovery = Recovery()
    ) -> Iterator[Tensor]:
        """As `overlap.mixed_waves` has windows fade into each other; `recovery` changes nothing."""
        waves = (self.invert(some.values, some.level_db) for some in windows)
        return mixed_waves(waves, self.step, length, self.sample_rate)

    def view(self, values: Tensor, level_db: Tensor | float = 0.0) -> Picture:
        seen = self.yardstick.analyse(values[..., 0, :].float())
        return Picture(seen.values, seen.level_db + level_db)

    def compared(self, original: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """Both as log-mel pictures, in dB below the loudest cell of the original: a wave that is too
        soft is as wrong as one of another colour. Where the original is silent, 0 dB is 1 here; what is no
        number stays none."""
        finite = torch.isfinite(made).flatten(1).all(1)[:, None, None]
        one, other = self.view(original), self.view(torch.where(finite, made, 0.0))
        loudest = torch.where(one.level_db > SILENCE_DB, one.level_db, 0.0)
        above = (other.level_db - loudest) / self.yardstick.db_per_unit
        seen = (other.values + above[..., None, None]).clamp_min(-1.0)
        return one.values, torch.where(finite, seen, torch.nan)

    def distortion(self, mse: float) -> dict[str, float]:
        return {"rmse": mse**0.5}

    def figures(self, original: Tensor, made: Tensor) -> dict[str, Tensor]:
        """`si_sdr_db`, and `wave_mse`, the mean squared error of the samples (peak 1)."""
        one, other = original[..., 0, :].float(), made[..., 0, :].float()
        return {
            "si_sdr_db": si_sdr_db(one, other), "wave_mse": (one - other).square().mean(-1)
        }  # fmt: skip


def si_sdr_db(original: Tensor, made: Tensor) -> Tensor:
    """How far what is like the original lies above what is not, dB (*,), of samples (*, n).

    Le Roux et al. 2019 (arXiv 1811.02508), equation 5: the part of `made` along the original over the
    rest, whatever its level. Kept within [-100, 100]; -100 for silence. Noise of n samples lies near
    -10 log10 n.
    """
    length = (original * original).sum(-1, keepdim=True)
    along = (made * original).sum(-1, keepdim=True) / length.clamp_min(1e-20) * original
    signal, rest = along.square().sum(-1), (made - along).square().sum(-1)
    ratio = signal.clamp_min(1e-20) / rest.clamp_min(1e-20)
    silent = signal <= 1e-20
    return torch.where(silent, -100.0, 10.0 * ratio.log10()).clamp(-100.0, 100.0)
