"""Harmonics and filtered noise: control curves to a waveform of the pitch that is told; and an encoder
that sees a waveform as a log-mel picture.

Serra & Smith 1990 (spectral modelling synthesis); Engel et al. 2020, arXiv 2001.04643 (DDSP).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from timbrespace.features.log_mel import LogMel
from timbrespace.models.curves import amplitudes_of, analysed, curves_shape, decibels
from timbrespace.models.encoders import Conv2dEncoder
from timbrespace.models.principal import PrincipalDecoder, PrincipalEncoder
from timbrespace.models.vocabulary import MIDI

BLOCK = 512  # frames made sound at once: what a long sound takes stays the same
INHARMONICITY = 0.01  # the largest; a piano's lies between 0.0001 and 0.01 (Fletcher 1964)


def hertz(pitch: Tensor) -> Tensor:
    """Frequencies of MIDI numbers, which may have a fraction, in float64; 0 for "unknown"."""
    pitch = pitch.double()
    return torch.where(pitch < MIDI, 440.0 * torch.exp2((pitch - 69.0) / 12.0), 0.0)


def partials_of(hz: Tensor, count: int, inharmonicity: Tensor) -> Tensor:
    """Frequencies (B, count) of the partials of hz (B,): k hz sqrt((1 + b k^2) / (1 + b)).

    A stiff string of inharmonicity b (B,) sounds so (Fletcher 1964, equation 2); its first partial
    stays at hz.
    """
    number = torch.arange(1, count + 1, dtype=torch.float64, device=hz.device)
    b = inharmonicity.double()[:, None]
    return hz.double()[:, None] * number * ((1.0 + b * number.square()) / (1.0 + b)).sqrt()


def _sine_cosine(cycles: Tensor) -> tuple[Tensor, Tensor]:
    """float32 sine and cosine of float64 turns: whole ones are dropped before precision is."""
    angle = (cycles - cycles.detach().floor()).float() * (2.0 * math.pi)
    return angle.sin(), angle.cos()


def _audible(frequencies: Tensor, sample_rate: int) -> Tensor:
    """1 for frequencies that can be played, 0 from half the sample rate on and for 0 Hz."""
    return ((frequencies > 0.0) & (frequencies < sample_rate / 2.0)).float()


def harmonics(
    amplitudes: Tensor, frequencies: Tensor, *, hop: int, sample_rate: int, first: int = 0
) -> Tensor:
    """Sum (B, T * hop) of sines of constant frequencies (B, K) in Hz and amplitudes (B, K, T + 1),
    which go in straight lines from one frame to the next, `hop` samples on; the sound goes on from its
    frame `first`.

    In frame t, with the phase p = 2 pi f t hop / rate, sin(p + w n) = sin p cos w n + cos p sin w n:
    cosine and sine over n are the same in all frames, so the bank is a product of two matrices and
    exact in phase. No partial lies above half the sample rate.
    """
    amplitudes = amplitudes * _audible(frequencies, sample_rate)[:, :, None]
    frames = amplitudes.shape[2] - 1
    turns = frequencies.double() / sample_rate  # per sample
    starts = (first + torch.arange(frames, device=turns.device)) * float(hop)
    sine, cosine = _sine_cosine(turns[:, :, None] * starts)  # (B, K, T)
    here, change = amplitudes[:, :, :-1], amplitudes.diff(dim=2)
    sizes = torch.cat([here * sine, here * cosine, change * sine, change * cosine], 1)
    sine, cosine = _sine_cosine(turns[:, :, None] * torch.arange(hop, device=turns.device))
    waves = torch.cat([cosine, sine], 1)  # (B, 2 K, hop)
    ramp = torch.arange(hop, device=turns.device) / hop
    return torch.bmm(sizes.transpose(1, 2), torch.cat([waves, waves * ramp], 1)).flatten(1)


def gliding_harmonics(
    amplitudes: Tensor, hz: Tensor, ratios: Tensor, *, sample_rate: int,
    turns: Tensor | float = 0.0,
) -> Tensor:  # fmt: skip
    """Sum (B, N) of partials of hz (B, N), which may change at every sample, at `ratios` (B, K) of it;
    amplitudes (B, K, T + 1) as in `harmonics`. The phase is the running sum of the frequency, from
    `turns` (B, 1) of hz on."""
    here = turns + (torch.cumsum(hz.double(), 1) - hz.double()) / sample_rate
    curves = _lines(amplitudes, hz.shape[1])
    sound = torch.zeros(hz.shape, device=hz.device)
    for curve, ratio in zip(curves.unbind(1), ratios.double().split(1, 1), strict=True):
        sine = _sine_cosine(ratio * here)[0]
        sound = sound + curve * sine * _audible(ratio * hz, sample_rate)
    return sound


def _lines(curves: Tensor, samples: int) -> Tensor:
    """Curves (B, K, T + 1) as (B, K, samples): straight lines, the last value at `samples`."""
    frames = curves.shape[2] - 1
    place = torch.arange(samples, device=curves.device) * (frames / samples)
    left = place.long().clamp_max(frames - 1)
    return torch.lerp(curves[:, :, left], curves[:, :, left + 1], (place - left).float())


def noise_bands(frames: int, hop: int, bands: int) -> Tensor:
    """White noise of RMS 1, always the same, as `bands` parts that add up to it: (frames, bands, hop).

    Part b has the frequencies about b / (bands - 1) of half the sample rate, triangular in magnitude
    with a width of one band to either side. The end goes on in the beginning.
    """
    white = np.random.default_rng(0).standard_normal(frames * hop)
    spectrum = np.fft.rfft(white)
    place = np.linspace(0.0, bands - 1.0, len(spectrum))
    parts = [
        np.fft.irfft(spectrum * np.maximum(0.0, 1.0 - np.abs(place - band)), frames * hop)
        for band in range(bands)
    ]
    shaped = np.stack(parts).astype(np.float32).reshape(bands, frames, hop)
    return torch.from_numpy(shaped).transpose(0, 1).contiguous()


def filtered_noise(gains: Tensor, noise: Tensor, first: int = 0) -> Tensor:
    """Noise (B, T * hop) of `noise_bands` (F, bands, hop), each part as loud as its gains
    (B, bands, T + 1), in straight lines between frames, from the sound's frame `first` on; after F
    frames it begins anew."""
    last = first + gains.shape[2] - 1
    if last <= len(noise):
        noise = noise[first:last]
    else:
        noise = noise[torch.arange(first, last, device=noise.device) % len(noise)]
    left, right = gains[:, :, :-1].permute(2, 0, 1), gains[:, :, 1:].permute(2, 0, 1)
    both = torch.bmm(torch.cat([left, right], 1), noise)  # (T, 2 B, hop)
    ramp = torch.arange(noise.shape[2], device=noise.device) / noise.shape[2]
    left, right = both.chunk(2, 1)
    return torch.lerp(left, right, ramp).transpose(0, 1).flatten(1)


class Curves(nn.Module):
    """What the harmonic encoder and decoder share: sounds of `shape` (1, N) as the curves of `partials`
    harmonics and `bands` of noise, a value every `hop` samples."""

    reads = ("pitch",)

    def __init__(
        self, shape: tuple[int, int], *, sample_rate: int, hop: int, partials: int, bands: int
    ) -> None:
        super().__init__()
        self.shape = curves_shape(shape, hop, partials, bands)
        self.sample_rate, self.hop, self.partials, self.bands = sample_rate, hop, partials, bands

    @torch.no_grad()
    def seen(self, x: Tensor, pitch: Tensor) -> Tensor:
        """The curves (B, 1, partials + bands, T + 1) of samples (B, 1, 1, N), in `decibels`."""
        with torch.autocast(x.device.type, enabled=False):
            found = analysed(
                x[:, 0, 0].float(), hertz(pitch), sample_rate=self.sample_rate, hop=self.hop,
                partials=self.partials, bands=self.bands,
            )  # fmt: skip
        return decibels(found)[:, None]


class HarmonicEncoder(Curves):
    """Samples (B, 1, 1, N), a condition (B, C) and pitches (B,) to hidden numbers (B, width): a
    PrincipalEncoder of the curves. Of a sound whose pitch is unknown it hears noise alone."""

    def __init__(
        self, shape: tuple[int, int], condition_size: int, *, sample_rate: int, hop: int = 256,
        partials: int = 100, bands: int = 64, **settings: Any,
    ) -> None:  # fmt: skip
        super().__init__(shape, sample_rate=sample_rate, hop=hop, partials=partials, bands=bands)
        self.curves = PrincipalEncoder(self.shape, condition_size, **settings)
        self.width = self.curves.width

    def forward(self, x: Tensor, condition: Tensor, pitch: Tensor) -> Tensor:
        return self.curves(self.seen(x, pitch), condition)


class HarmonicDecoder(Curves):
    """A latent (B, Z), a condition (B, C) and pitches (B,) to samples (B, 1, 1, N) in [-1, 1].

    A PrincipalDecoder draws the curves; they steer a bank of harmonics of the pitch and a bank of
    noise. A sound whose pitch is unknown is noise alone. With `stiff` the partials may be spread as
    those of a stiff string, as z says. What would be louder than full scale is made softer as a whole.
    """

    noise: Tensor

    def __init__(
        self, shape: tuple[int, int], latent: int, condition_size: int, *, sample_rate: int,
        hop: int = 256, partials: int = 100, bands: int = 64, stiff: bool = False, **settings: Any,
    ) -> None:  # fmt: skip
        super().__init__(shape, sample_rate=sample_rate, hop=hop, partials=partials, bands=bands)
        self.curves = PrincipalDecoder(self.shape, latent, condition_size, **settings)
        self.stiffness = nn.Linear(latent + condition_size, 1) if stiff else None
        if self.stiffness is not None:
            nn.init.constant_(self.stiffness.bias, -4.0)
        self.register_buffer("noise", noise_bands(shape[1] // hop, hop, bands), persistent=False)

    def controls(self, z: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Amplitudes (B, partials, T + 1) and noise gains (B, bands, T + 1)."""
        curves = amplitudes_of(self.curves(z, condition)[:, 0].float())
        return curves[:, : self.partials], curves[:, self.partials :]

    def level_db(self, amplitudes: Tensor, gains: Tensor, pitch: Tensor) -> Tensor:
        """RMS in dBFS (B, T + 1) of what the curves of `controls` sound like, frame by frame."""
        number = torch.arange(1, self.partials + 1, device=pitch.device)
        heard = _audible(hertz(pitch)[:, None] * number, self.sample_rate)[..., None]
        power = 0.5 * (amplitudes * heard).square().sum(1) + gains.square().mean(1)
        return 10.0 * power.clamp_min(1e-12).log10()

    def inharmonicity(self, z: Tensor, condition: Tensor) -> Tensor:
        """Of each sound (B,), 0 to 0.01; see `partials_of`."""
        if self.stiffness is None:
            return torch.zeros(len(z), device=z.device)
        told = torch.cat([z, condition.to(z.dtype)], 1)
        return INHARMONICITY * self.stiffness(told)[:, 0].float().sigmoid().pow(4)

    def forward(self, z: Tensor, condition: Tensor, pitch: Tensor) -> Tensor:
        return self.sound(*self.controls(z, condition), z, condition, pitch)

    def sound(
        self, amplitudes: Tensor, gains: Tensor, z: Tensor, condition: Tensor, pitch: Tensor
    ) -> Tensor:
        """Samples (B, 1, 1, T * hop) of curves of any length, as `controls` gives them."""
        parts = list(self.parts([(amplitudes, gains)], z, condition, pitch))
        return _full_scale(torch.cat(parts, 1))

    def parts(
        self, curves: Iterable[Sequence[Tensor]], z: Tensor, condition: Tensor, pitch: Tensor,
        hz: Tensor | None = None,
    ) -> Iterator[Tensor]:  # fmt: skip
        """As `sound`, samples (B, *) some at a time, of amplitudes and gains that are given some at a time;
        they may be louder than full scale. A pitch that glides is given as hz (B, N), one for each
        sample of whole frames."""
        given, first = iter(curves), 0
        held = list(next(given))
        with torch.autocast(z.device.type, enabled=False):  # a phase needs its digits
            stiff = self.inharmonicity(z, condition)
            frequencies = partials_of(hertz(pitch), self.partials, stiff)
            ratios = partials_of(torch.ones_like(stiff), self.partials, stiff)
        turns = torch.zeros(len(z), 1, dtype=torch.float64, device=z.device)
        while True:
            while held[0].shape[2] <= BLOCK and (more := next(given, None)) is not None:
                held = [torch.cat(both, 2) for both in zip(held, more, strict=True)]
            if held[0].shape[2] < 2:
                return
            amplitudes, gains = (curve[:, :, : BLOCK + 1] for curve in held)
            with torch.autocast(z.device.type, enabled=False):
                if hz is None:
                    tone = harmonics(
                        amplitudes, frequencies, hop=self.hop, sample_rate=self.sample_rate,
                        first=first,
                    )  # fmt: skip
                else:
                    last = first + amplitudes.shape[2] - 1
                    here = hz[:, first * self.hop : last * self.hop]
                    tone = gliding_harmonics(
                        amplitudes, here, ratios, sample_rate=self.sample_rate, turns=turns
                    )
                    turns = turns + here.double().sum(1, keepdim=True) / self.sample_rate
                yield tone + filtered_noise(gains, self.noise, first)
            first, held = first + BLOCK, [curve[:, :, BLOCK:] for curve in held]


def _full_scale(sound: Tensor) -> Tensor:
    """Sounds (B, N) as (B, 1, 1, N), divided by their peak where that is above 1."""
    return (sound / sound.abs().amax(1, keepdim=True).clamp_min(1.0))[:, None, None]


class MelEncoder(nn.Module):
    """Samples (B, 1, 1, N) and a condition to hidden numbers: a Conv2dEncoder that sees the log-mel
    picture of the samples, which is made on the way and not learnt.

    n_fft and hop in samples; the picture is padded by silence to frames that halve evenly.
    """

    def __init__(
        self, shape: tuple[int, int], condition_size: int, *, sample_rate: int, n_fft: int = 1024,
        hop: int = 256, mels: int = 128, channels: tuple[int, ...] = (16, 32, 64), residual: int = 0,
        hidden: int = 0, activation: str = "relu", norm: str = "none", attention: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        step = 2 ** len(channels)
        frames = -(-shape[1] // (hop * step)) * step
        self.feature = LogMel(sample_rate, n_fft=n_fft, hop=hop, frames=frames, mels=mels)
        self.net = Conv2dEncoder(
            self.feature.shape, condition_size, channels=channels, residual=residual, hidden=hidden,
            activation=activation, norm=norm, attention=attention,
        )  # fmt: skip
        self.width = self.net.width

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            picture = self.feature.analyse(x[:, 0, 0]).values[:, None]
        return self.net(picture.contiguous(memory_format=torch.channels_last), condition)
