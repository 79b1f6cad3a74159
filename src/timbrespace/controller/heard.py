"""What an effect does to sounds, in numbers.

Conventions
-----------
All is relative to the dry sounds, so that it tells the effect and not the sound. Pictures are log-mel in dB,
in frames of 64 ms a quarter apart, no deeper than 60 dB below the dry sound's loudest cell. `effect` (how
much there is) is the mean distance in dB of the wet picture from the dry one, `brightness` what is added
to the share of power above 1,500 Hz (dB; as in `audio.descriptors`), `loudness` what is added to the RMS (dB).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from timbrespace.audio.descriptors import BRIGHT_HZ, spectra
from timbrespace.audio.level import rms_db
from timbrespace.audio.response import Response
from timbrespace.errors import EffectError

FOLLOWED = ("effect", "brightness", "loudness")
SAMPLE_RATE, SECONDS = 16000, 2.048  # of the sounds on which an effect is heard
MELS, COLUMNS = 40, 24  # of the picture that is compared cell by cell
DEPTH_DB = 60.0
LAGS, CARRIERS, MODULATIONS = 32, 32, 16  # bands of the three spectra
LEAST_DB = -60.0  # RMS of a dry sound, re full scale


@dataclass(frozen=True)
class _Dry:
    """One dry sound with what of it is compared again and again."""

    samples: np.ndarray
    picture: np.ndarray  # (MELS, frames) dB
    floor: float  # dB
    response: Response  # of wet sounds to it
    bright: float  # dB
    level: float  # dB RMS


class Ear:
    """Dry sounds (S, n), mono, at SAMPLE_RATE, and what is heard of their wet ones."""

    def __init__(self, sounds: Sequence[np.ndarray]) -> None:
        """Sounds (n,) of any lengths, of which SECONDS are used; EffectError where there is none or one is
        too soft."""
        from timbrespace.features.mel import mel_filterbank

        if not len(sounds):
            raise EffectError("a controller needs at least one dry sound, and none came")
        self.length = round(SECONDS * SAMPLE_RATE)
        size = 2 * (spectra(np.zeros(self.length, np.float32), SAMPLE_RATE)[0].shape[1] - 1)
        self._mel = mel_filterbank(SAMPLE_RATE, size, MELS).numpy().T
        self._lags = _edges(1, self.length // 2, LAGS)
        self._carriers = _edges(1, round(2500.0 * SECONDS), CARRIERS)
        self.dry = [self._dried(sound, number) for number, sound in enumerate(sounds)]

    @property
    def sounds(self) -> np.ndarray:
        """The dry sounds (S, n)."""
        return np.stack([dry.samples for dry in self.dry])

    def hear(self, wet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the wet sounds (S, n) of one setting: the timbre that an effect adds (F,), and FOLLOWED (3,).

        The timbre is the change of the picture, of the modulation of the level, of the response that
        leads from dry to wet (echoes show at their lags), and of the spectrum of their product (a carrier
        shows at its rate). Each of the four blocks counts in dB, a mean over its cells.
        """
        parts, told = [], []
        for dry, sound in zip(self.dry, wet, strict=True):
            picture, bright = self._picture(sound, dry.floor)
            change = picture - dry.picture
            parts += [
                _pooled(change, COLUMNS).ravel() / np.sqrt(MELS * COLUMNS),
                _modulation(change) / np.sqrt(MODULATIONS),
                self._response(dry, sound) / np.sqrt(LAGS),
                self._product(dry, sound) / np.sqrt(CARRIERS),
            ]
            told.append([np.abs(change).mean(), bright - dry.bright, rms_db(sound) - dry.level])
        return np.concatenate(parts).astype(np.float32), np.mean(told, 0)

    def _dried(self, sound: np.ndarray, number: int) -> _Dry:
        samples = np.asarray(sound, np.float32)[: self.length]
        level = rms_db(samples)
        if samples.ndim != 1 or not np.isfinite(samples).all() or level < LEAST_DB:
            raise EffectError(
                f"dry sound {number} should be mono, finite and louder than {LEAST_DB:g} dBFS RMS, got "
                f"the shape {samples.shape} and {level:.0f} dBFS; leave it out"
            )
        samples = np.pad(samples, (0, self.length - len(samples)))
        picture, bright = self._picture(samples, -np.inf)
        floor = float(picture.max()) - DEPTH_DB
        return _Dry(samples, np.maximum(picture, floor), floor, Response(samples), bright, level)

    def _picture(self, sound: np.ndarray, floor: float) -> tuple[np.ndarray, float]:
        """Log-mel dB (MELS, frames) no deeper than the floor, and the share of power that is bright, dB."""
        magnitude, hertz = spectra(sound, SAMPLE_RATE)
        power = np.square(magnitude, dtype=np.float32)
        mel = 10.0 * np.log10(np.maximum(power @ self._mel, 1e-12)).T
        whole = power.sum(0)
        share = whole[hertz > BRIGHT_HZ].sum() / max(float(whole.sum()), 1e-12)
        return np.maximum(mel, floor), 10.0 * float(np.log10(max(float(share), 1e-6)))

    def _response(self, dry: _Dry, sound: np.ndarray) -> np.ndarray:
        """How strong each lag of the response from dry to wet is, dB below all of it, (LAGS,)."""
        return _strengths(np.square(dry.response(sound)[: self._lags[-1]]), self._lags)

    def _product(self, dry: _Dry, sound: np.ndarray) -> np.ndarray:
        """How strong each frequency of wet times dry is, dB below all of it, (CARRIERS,)."""
        from scipy.fft import rfft

        spectrum = np.asarray(rfft(sound * dry.samples))[: self._carriers[-1]]
        power = np.square(np.abs(spectrum))
        return _strengths(power, self._carriers)


def _pooled(picture: np.ndarray, columns: int) -> np.ndarray:
    """A picture (rows, frames) as means over so many spans of frames."""
    edges = np.linspace(0, picture.shape[1], columns + 1).astype(int)
    return np.add.reduceat(picture, edges[:-1], 1) / np.diff(edges)


def _modulation(change: np.ndarray) -> np.ndarray:
    """How much the change of level moves at each rate, dB, (MODULATIONS,): bands of a log scale."""
    moving = change - change.mean(1, keepdims=True)
    power = np.square(np.abs(np.fft.rfft(moving * np.hanning(moving.shape[1]), axis=1))).mean(0)
    edges = _edges(1, len(power), MODULATIONS)
    bands = np.add.reduceat(power[: edges[-1]], edges[:-1]) / np.diff(edges)
    return 10.0 * np.log10(bands / moving.shape[1] + 0.1)


def _edges(low: int, high: int, count: int) -> np.ndarray:
    """Bins (count + 1,) at which bands begin that grow in width as evenly as whole bins allow."""
    edges = np.round(np.geomspace(low, high, count + 1)).astype(int)
    return np.maximum(edges, low + np.arange(count + 1))


def _strengths(power: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The power in each band in dB below all of it, 50 dB deep."""
    bands = np.add.reduceat(power, edges[:-1])
    return 10.0 * np.log10(bands / max(float(bands.sum()), 1e-12) + 1e-5)
