"""How far a sound is from its original, in figures that ask for no phase.

Conventions
-----------
Both sounds are mono, at one rate, as long as each other; the original's peak counts as full scale, so that how
loud it is does not matter, but how much louder or softer the other one is does. Equal sounds are 0 apart.
"""

from dataclasses import dataclass

import torch

from timbrespace.audio.level import rms_db
from timbrespace.audio.scratch import Samples, peak, spans
from timbrespace.features.decibels import LEAST_POWER
from timbrespace.features.waveform import Waveform
from timbrespace.losses.spectral import OCTAVES, multi_resolution_stft

SILENT = 1e-6  # a peak below it is silence
PART = (
    1 << 19
)  # samples compared at once, half a minute at 16 kHz: a long sound needs no more memory


@dataclass(frozen=True)
class Distance:
    """How far a sound is from its original.

    mr_stft: spectral convergence plus mean difference of log magnitudes (`losses.spectral`), without
    unit. log_mel_rmse_db: of 80 mels, in dB below the original's loudest cell, 80 dB deep. level_db:
    how much louder it is (RMS).
    """

    mr_stft: float
    log_mel_rmse_db: float
    level_db: float


def distance(original: Samples, made: Samples, sample_rate: int) -> Distance:
    """How far `made` (n,) is from `original` (n,); sample_rate in Hz."""
    level = rms_db(made) - rms_db(original)
    return Distance(
        mr_stft(original, made), log_mel_rmse_db(original, made, sample_rate), level
    )  # fmt: skip


def mr_stft(original: Samples, made: Samples) -> float:
    """The multi-resolution STFT distance of `made` (n,) from `original` (n,), over `OCTAVES`.

    Yamamoto, Song & Kim 2020, as in `losses.spectral`. A short sound is followed by silence; of one
    longer than PART it is the mean over its parts, weighted by their lengths.
    """
    scale = max(peak(original), SILENT)
    total = 0.0
    for span in spans(len(original), PART):
        one, other = (torch.from_numpy(sound[span].copy()) for sound in (original, made))
        # half of the longest window has to fit
        short = max(0, OCTAVES[-1].n_fft // 2 + 1 - len(one))
        pair = (torch.nn.functional.pad(x[None] / scale, (0, short)) for x in (other, one))
        total += float(multi_resolution_stft(*pair)) * len(one)
    return total / len(original)


def log_mel_rmse_db(original: Samples, made: Samples, sample_rate: int) -> float:
    """Root mean squared error in dB of the log-mel picture of `made` (n,), as a waveform's errors are
    told (`Waveform.yardstick`): both in dB below the loudest cell of the original."""
    picture = Waveform(sample_rate).yardstick
    loudest = max(max(float(power.max()) for power in picture.powers(original)), LEAST_POWER)
    error, cells = 0.0, 0
    for pair in zip(picture.powers(original), picture.powers(made), strict=True):
        one, other = (
            (10.0 * (power.clamp_min(LEAST_POWER) / loudest).log10()).clamp_min(picture.floor_db)
            for power in pair
        )
        error += float((other - one).square().double().sum())
        cells += one.numel()
    return (error / cells) ** 0.5
