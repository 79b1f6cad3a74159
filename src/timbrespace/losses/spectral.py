"""How far the spectra of waveforms (B, N) are from those of their originals."""

from typing import NamedTuple

import torch
from torch import Tensor


class Resolution(NamedTuple):
    """One short-time Fourier transform, all in samples: a Hann window, padded to `n_fft`."""

    n_fft: int
    hop: int
    window: int


OCTAVES = tuple(Resolution(n, n // 4, n) for n in (256, 512, 1024, 2048))
PARALLEL_WAVEGAN = (  # Yamamoto, Song & Kim 2020, table 1
    Resolution(1024, 120, 600), Resolution(2048, 240, 1200), Resolution(512, 50, 240)
)  # fmt: skip
LEAST_POWER = 1e-8  # of a bin: -80 dB re the magnitude 1


def multi_resolution_stft(
    x: Tensor, target: Tensor, *, resolutions: tuple[Resolution, ...] = OCTAVES,
    floor_db: float = -60.0,
) -> Tensor:  # fmt: skip
    """Spectral convergence plus mean |log magnitude - log magnitude|, a mean over `resolutions` and
    over sounds: a scalar without unit, 0 for equal sounds. x, target (B, N) in [-1, 1].

    Yamamoto, Song & Kim 2020, equations 3-6, the convergence of each sound by itself (auraloss 0.4
    equals it for one sound). It divides by the size of the target, so near silence it explodes: a
    target softer than `floor_db` (RMS re full scale) counts there as that loud; -inf as published.
    """
    if x.ndim != 2 or x.shape != target.shape:
        raise ValueError(
            f"the STFT compares waveforms (B, N) of one shape, got {tuple(x.shape)} and "
            f"{tuple(target.shape)}"
        )
    longest = max(resolution.n_fft for resolution in resolutions)
    if x.shape[1] <= longest // 2:
        raise ValueError(
            f"an STFT of {longest} samples needs more than {longest // 2} samples of sound, got "
            f"{x.shape[1]}"
        )
    losses = [_one_resolution(x.float(), target.float(), r, floor_db) for r in resolutions]
    return torch.stack(losses).mean()


def _one_resolution(x: Tensor, target: Tensor, resolution: Resolution, floor_db: float) -> Tensor:
    window = torch.hann_window(resolution.window, device=x.device)
    ours, theirs = (_magnitudes(sound, resolution, window) for sound in (x, target))
    # White noise of RMS r has the mean power r^2 sum(w^2) in each bin.
    least = 10.0 ** (floor_db / 20.0) * (window.square().sum() * theirs[0].numel()).sqrt()
    difference = torch.linalg.vector_norm(theirs - ours, dim=(1, 2))
    convergence = difference / torch.linalg.vector_norm(theirs, dim=(1, 2)).clamp_min(least)
    return convergence.mean() + (theirs.log() - ours.log()).abs().mean()


def _magnitudes(x: Tensor, resolution: Resolution, window: Tensor) -> Tensor:
    """(B, n_fft // 2 + 1, frames); bins below LEAST_POWER are raised to it and give no gradient."""
    bins = torch.stft(
        x, resolution.n_fft, resolution.hop, resolution.window, window, return_complex=True
    )
    return (bins.real.square() + bins.imag.square()).clamp_min(LEAST_POWER).sqrt()
