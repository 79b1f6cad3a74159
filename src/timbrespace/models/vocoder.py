"""A small network that makes a spectrum of a log-mel picture.

ConvNeXt blocks over frames for an inverse short-time transform (Siuzdak 2023, Vocos) that correct a
prior which needs no training (Lv et al. 2024, FreeV), told the harmonics of the pitch where it is known
(Yoneyama et al. 2024, Wavehax). Phase is not learnt as such: tones get it by integrating their frequency
(`features.sweep`), the rest from a fixed noise. Spectra are (B, T, bins), phase as torch.stft counts it.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, logsigmoid

from timbrespace.features.inversion import mel_plan, pull_to_mel
from timbrespace.features.log_mel import LogMel
from timbrespace.features.mel import mel_filterbank
from timbrespace.features.sweep import advance_of, sweep
from timbrespace.models.harmonic import hertz
from timbrespace.models.vocabulary import MIDI

PULLS = 4  # updates of the prior towards the picture's mels
QUIETEST = 1e-10  # power of a prior's bin, re the loudest cell
BELOW_DB = 10.0  # under the floor: where a cell of it is looked for
NOISE = 32768  # samples of the fixed noise, after which it begins anew
WIDTH = 0.8  # bins: how sharp the told harmonics are drawn
ADAPT = 0.3  # what a block adds at first
LEVELS = (-60.0, 40.0)  # dB of a picture's loudest cell; beyond, a sound is taken as that loud
NOISE_SIZES = (256, 512, 1024, 2048)


class Curves(NamedTuple):
    """What is said of each bin, (B, T, bins): its log magnitude in nepers re the loudest cell, how surely
    it belongs to a tone (the logit of the tone's share of its power), and the radians a frame by which
    the tone turns besides what the magnitudes imply."""

    size: Tensor
    share: Tensor
    bend: Tensor


class Block(nn.Module):
    """A depthwise convolution over seven frames and two layers over channels, added to the input
    (B, T, channels): ConvNeXt (Liu et al. 2022) in one dimension."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.frames = nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.wide, self.narrow = (
            nn.Linear(channels, 2 * channels),
            nn.Linear(2 * channels, channels),
        )
        self.scale = nn.Parameter(torch.full((channels,), ADAPT))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.frames(x.transpose(1, 2)).transpose(1, 2)
        return x + self.scale * self.narrow(gelu(self.wide(self.norm(seen))))


class VocoderNet(nn.Module):
    """Pictures (B, mels, T) of `feature`, of any T, to spectra (B, T, bins) of sound.

    A fresh one draws its weights, and its noise where that is not given, from torch's random state; its
    tone is the prior.
    """

    noise: Tensor
    filterbank: Tensor
    spread: Tensor

    def __init__(
        self, feature: LogMel, *, channels: int = 192, blocks: int = 3, noise: Tensor | None = None
    ) -> None:  # fmt: skip
        super().__init__()
        self.feature, bins = feature, feature.n_fft // 2 + 1
        self.enter = nn.Linear(feature.mels, channels)
        self.enter_prior = nn.Linear(bins, channels, bias=False)
        self.calm = nn.LayerNorm(channels)
        self.told = nn.Linear(bins, channels, bias=False)
        self.untold = nn.Parameter(torch.zeros(channels))
        self.loud = nn.Linear(1, channels, bias=False)
        self.blocks = nn.ModuleList(Block(channels) for _ in range(blocks))
        self.norm = nn.LayerNorm(channels)
        self.leave = nn.Linear(channels, 3 * bins)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        with torch.no_grad():
            self.leave.bias[bins : 2 * bins] = 3.0  # a fresh one hears tones: 95 % of the power
        noise = even_noise(NOISE // feature.hop * feature.hop) if noise is None else noise
        self.register_buffer("noise", noise)
        bank = mel_filterbank(feature.sample_rate, feature.n_fft, feature.mels)
        self.register_buffer("filterbank", bank, persistent=False)
        spread = (bank / bank.sum(0).clamp_min(1e-12)).T / bank.sum(1)
        self.register_buffer("spread", spread, persistent=False)
        self._excitation: Tensor | None = None

    def prior(self, values: Tensor) -> Tensor:
        """Log magnitudes (B, T, bins) in nepers re the loudest cell that explain pictures
        (B, mels, T): each mel spread over its bins, then pulled to what the picture says. What is on
        the floor is taken to lie somewhat under it."""
        found, plan = [], mel_plan(self.filterbank)
        for mel in self.powers(values):
            bins = (self.spread @ mel).clamp_min_(QUIETEST)
            for _ in range(PULLS):
                bins = pull_to_mel(bins, mel, plan)
            found.append(bins.clamp_min_(QUIETEST).log_().mul_(0.5).T)
        return torch.stack(found).contiguous()

    def powers(self, values: Tensor) -> Tensor:
        """Mel powers (B, mels, T) re the loudest cell of pictures (B, mels, T)."""
        db = self.feature.to_db(values)
        return torch.pow(10.0, torch.where(values > -1.0, db, db - BELOW_DB) / 10.0)

    def comb(self, pitch: Tensor) -> Tensor:
        """The harmonics of MIDI pitches (B,), fractions allowed, as peaks over bins (B, bins) of mean 0;
        nothing for pitches that are unknown (outside of 0 .. 127)."""
        known = (pitch >= 0.0) & (pitch < MIDI)
        tone = hertz(pitch.clamp(0.0, MIDI - 1.0)).float()
        step = (tone * self.feature.n_fft / self.feature.sample_rate)[:, None]  # in bins
        bins = torch.arange(self.filterbank.shape[1], device=pitch.device)
        off = bins - (bins / step).round().clamp_min(1.0) * step
        peaks = torch.exp(-0.5 * (off / WIDTH).square())
        return (peaks - peaks.mean(1, keepdim=True)) * known[:, None]

    def forward(self, values: Tensor, prior: Tensor, level_db: Tensor, pitch: Tensor) -> Curves:
        """The curves of pictures (B, mels, T), their priors (B, T, bins), levels (B,) and pitches (B,),
        which are MIDI numbers, or -1 where unknown.

        The level tells where a recording's own noise lies, mostly that of its 16 bits.
        """
        scaled = prior * (-2.0 / math.log(QUIETEST)) + 1.0
        x = self.calm(self.enter(values.transpose(1, 2)) + self.enter_prior(scaled))
        known = ((pitch >= 0.0) & (pitch < MIDI))[:, None]
        level = self.loud(level_db.clamp(*LEVELS)[:, None] / 40.0)
        x = x + (torch.where(known, self.told(self.comb(pitch)), self.untold) + level)[:, None]
        for block in self.blocks:
            x = block(x)
        size, share, bend = self.leave(self.norm(x)).float().chunk(3, 2)
        return Curves(prior + size, share, bend)

    def excitation(self, frames: int, first: int = 0) -> Tensor:
        """The transform (frames, bins) of the fixed noise from frame `first` on, of mean power 1."""
        found = self._excitation
        if found is None or found.device != self.noise.device:
            n_fft, hop = self.feature.n_fft, self.feature.hop
            tiled = self.noise.repeat(2 + n_fft // len(self.noise))
            parts = tiled.unfold(0, n_fft, hop)[: len(self.noise) // hop]
            found = torch.fft.rfft(parts * torch.hann_window(n_fft, device=tiled.device))
            found = self._excitation = found / found.abs().square().mean().sqrt()
        if first + frames <= len(found):
            return found[first : first + frames]
        return found[torch.arange(first, first + frames, device=found.device) % len(found)]

    def curves(self, values: Tensor, level_db: Tensor, pitch: Tensor) -> Curves:
        """The curves of pictures (B, mels, T) alone; level and pitch (B,) as in `forward`."""
        with torch.no_grad(), torch.autocast(values.device.type, enabled=False):
            prior = self.prior(values)
        return self(values, prior, level_db, pitch)

    def texture(self, curves: Curves, known: Tensor | None = None, first: int = 0) -> Tensor:
        """Spectra (B, T, bins) as if all magnitudes were 1: sqrt(share) e^(i phase) + sqrt(1 - share) E.

        The phase of tones is swept along the magnitudes, and no gradient flows through it; E is the
        transform of the fixed noise. Of a sound that goes on from frame `first`, phase is `known`
        (B, bins, T) where it is a number.
        """
        n_fft, hop = self.feature.n_fft, self.feature.hop
        log = curves.size.detach().cpu().numpy()
        advance = advance_of(log, n_fft, hop) + curves.bend.detach().cpu().numpy()
        given = None if known is None else known.mT.cpu().numpy()
        swept = np.ascontiguousarray(sweep(log, advance, n_fft, hop, given))
        phase = torch.from_numpy(swept).to(curves.size.device)
        # roots of a sigmoid by way of its logarithm: where it is 0 or 1, the gradient of a root is NaN
        tone, noise = ((0.5 * logsigmoid(x)).exp() for x in (curves.share, -curves.share))
        return torch.polar(tone, phase) + noise * self.excitation(noise.shape[1], first)


def even_noise(samples: int, *, steps: int = 30, rate: float = 0.1) -> Tensor:
    """Noise (samples,) of RMS 1 whose spectrogram is as even as noise can be, drawn from torch's random
    state; its end goes on in its beginning.

    The log magnitudes of white noise are off their mean by 0.49 nepers (Rayleigh's distribution), and
    those of two noises differ by 0.69. Gradient steps on the samples bring the former to about 0.3 at
    all window sizes, so that what is only known in its level is wrong by less.
    """
    noise = torch.randn(samples).requires_grad_()
    optimizer = torch.optim.Adam([noise], lr=rate)
    with torch.enable_grad():
        for _ in range(steps):
            uneven = torch.zeros(())
            for size in NOISE_SIZES:
                parts = torch.cat([noise, noise[:size]]).unfold(0, size, size // 4)
                bins = torch.fft.rfft(parts * torch.hann_window(size))[:, 1:-1] / size**0.5
                log = 0.5 * (bins.real.square() + bins.imag.square() + 1e-6).log()
                uneven = uneven + (log + 0.5).abs().mean()
            optimizer.zero_grad()
            uneven.backward()
            optimizer.step()
    found = noise.detach()
    return found / found.square().mean().sqrt()
