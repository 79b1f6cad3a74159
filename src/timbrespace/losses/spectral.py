"""How far spectra are from those of their originals: of waveforms, and of the pictures themselves."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


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
STYLE = tuple(Resolution(n, n // 2, n) for n in (32, 128, 512, 2048, 8192, 32768))


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


def style_distance(x: Tensor, target: Tensor) -> Tensor:
    """The mean over STYLE of mean |magnitude - magnitude| + mean |log magnitude - log magnitude|, for each
    of the sounds x, target (B, N): (B,), without unit, 0 for equal sounds, which may be silent.

    Steinmetz, Bryan & Reiss 2022, Style transfer of audio effects, section 3.3: the distance in which effects
    are matched (`matching.distance.mr_stft` is the same of arrays). What is too short for a window is
    followed by silence.
    """
    found = x.new_zeros(len(x))
    for resolution in STYLE:
        short = max(0, resolution.n_fft // 2 + 1 - x.shape[1])
        window = torch.hann_window(resolution.window, device=x.device)
        ours, theirs = (
            _magnitudes(functional.pad(sound.float(), (0, short)), resolution, window)
            for sound in (x, target)
        )
        apart = (ours - theirs).abs() + (ours.log() - theirs.log()).abs()
        found = found + apart.mean((1, 2))
    return found / len(STYLE)


class MultiResolutionStft(nn.Module):
    """`multi_resolution_stft` of a feature's waveforms (B, 1, 1, N), with windows of `sizes` samples,
    a quarter apart. Takes no weights."""

    def __init__(self, *, sizes: tuple[int, ...], floor_db: float) -> None:
        super().__init__()
        self.resolutions = tuple(Resolution(size, size // 4, size) for size in sizes)
        self.floor_db = floor_db

    def forward(self, x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        return multi_resolution_stft(
            x.flatten(1), target.flatten(1), resolutions=self.resolutions, floor_db=self.floor_db
        )


class Spectral(nn.Module):
    """Half the squared difference of the magnitudes of the Fourier transforms of two pictures
    (B, 1, F, T), summed over bins, averaged over sounds. Takes no weights.

    The transform runs `along` the frequency axis (evenly spaced partials become a line), along time
    (so do vibrato and pulses), or both. It is orthonormal and phase is dropped: by Parseval's theorem
    and the triangle inequality the term is at most `gaussian_nll`, and a pattern that is moved along
    the axis (round its end) costs nothing. It is no spectrum of the sound: that is the picture.
    """

    AXES = {"frequency": -2, "time": -1}

    def __init__(self, *, along: tuple[Literal["frequency", "time"], ...]) -> None:
        super().__init__()
        self.axes = tuple(self.AXES[name] for name in along)

    def forward(self, x: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        ours, theirs = (
            torch.fft.rfftn(picture.float(), dim=self.axes, norm="ortho").abs()
            for picture in (x, target)
        )
        squared = (ours - theirs).square()
        last = self.axes[-1]
        # rfftn leaves out the mirror image of all bins along the last axis but the first and middle
        mirrored = torch.full((squared.shape[last],), 2.0, device=x.device)
        mirrored[0] = 1.0
        if x.shape[last] % 2 == 0:
            mirrored[-1] = 1.0
        summed = (squared.movedim(last, -1) * mirrored).flatten(1).sum(1)
        return 0.5 * summed.mean()


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
