"""The manner of a sound that forgets its content, and the setting that is safest when only that is known.

Of a reference that is another sound, there is nothing to compare sample by sample. What is compared is what
an effect changes in any sound: the spectrum and how it spreads over time, how levels in bands swing, echoes,
and the level. Dry sounds differ in these, too, so many settings remain possible, and the one is chosen whose
sound is on average nearest to theirs (least expected distance), the dry sound among them.
"""

import time

import numpy as np

from timbrespace.effects.effect import Effect
from timbrespace.errors import EffectError
from timbrespace.matching.distance import MEL_HOP, MELS, mel_power, spectra
from timbrespace.matching.search import sobol
from timbrespace.matching.trials import FEWEST, Progress

GROUP = 8  # mels that share a band of the modulation spectrum
RATES = np.geomspace(0.5, 20.0, 9)  # Hz, the edges of the bands of modulation
ECHOES = np.geomspace(0.03, 0.7, 13)  # seconds, the edges of the lags of echoes
LEAST = 1e-7  # of a mel power
SPREAD = 0.6  # of the distances' rise from the least to their median: what stays possible (bench/matching.py)
EVERY = 8  # of the spectra's numbers, every so many is compared


def manner(x: np.ndarray, sample_rate: int) -> np.ndarray:
    """Statistics (S,) of a sound (..., n), the mean over channels: in each mel the mean and the standard
    deviation of its level (in units of 10 dB), how much bands swing at RATES, how alike the loudness is to
    itself after ECHOES, and the level's mean and peak."""
    levels = np.log10(np.maximum(mel_power(x, sample_rate), LEAST))
    rows = levels.reshape(-1, levels.shape[-2], MELS)
    return np.mean([_of_one(row, sample_rate) for row in rows], axis=0)


def safest(
    effect: Effect, dry: np.ndarray, reference: np.ndarray, sample_rate: int, *, renders: int,
    seed: int, until: float = float("inf"), progress: Progress | None = None, gain: float = 1.0,
) -> tuple[int, np.ndarray, np.ndarray]:  # fmt: skip
    """Places (N, K) that were tried on `dry` (..., n), the first one dry where the effect can be; the weight of
    each, how probable it is from the manner of `reference` (..., m); and before both, the number of the one
    with the least expected distance.

    `renders` settings are rendered, none after `until` (`time.monotonic`). Both are heard times `gain`.
    """
    from scipy.spatial.distance import cdist

    places, sounds = [], []
    if effect.dry is not None:
        places.append(effect.to_units(effect.dry))
        sounds.append(dry)
    for place in sobol(len(effect.knobs), renders, seed):
        if time.monotonic() > until and len(places) >= FEWEST:
            break
        try:
            sounds.append(effect.render(dry, sample_rate, effect.from_units(place)))
        except EffectError:
            continue
        places.append(place)
        if progress is not None:
            progress("style", len(places), renders, {})
    told = manner(gain * reference, sample_rate)
    away = np.array([np.abs(manner(gain * x, sample_rate) - told).mean() for x in sounds])
    rise = max(SPREAD * float(np.median(away) - away.min()), 1e-9)
    weights = np.exp((away.min() - away) / rise)
    weights /= weights.sum()
    heard = np.stack([spectra(gain * x)[::EVERY] for x in sounds])
    safe = int(np.argmin(cdist(heard, heard, "cityblock") @ weights))
    return safe, np.array(places), weights


def _of_one(levels: np.ndarray, sample_rate: int) -> np.ndarray:
    loud = levels.max(1) > levels.max() - 5.0  # 50 dB below the loudest moment nothing is told
    sounding = levels[loud]
    bands = levels.reshape(len(levels), -1, GROUP).mean(2)
    bands = bands - bands.mean(0)
    size = 4 * len(bands)
    swing = np.abs(np.fft.rfft(bands * np.hanning(len(bands))[:, None], size, axis=0)) / len(bands)
    rates = np.fft.rfftfreq(size, MEL_HOP / sample_rate)
    modulation = _in_bands(swing, rates, RATES)
    power = np.abs(np.fft.rfft(bands, 2 * len(bands), axis=0)) ** 2
    alike = np.fft.irfft(power, axis=0)[: len(bands)].sum(1)
    alike = alike / max(float(alike[0]), 1e-9)
    echoes = _in_bands(alike[:, None], np.arange(len(bands)) * MEL_HOP / sample_rate, ECHOES)
    whole = [levels.mean(), levels.max(), sounding.mean()]
    return np.concatenate(
        [sounding.mean(0), sounding.std(0), 4.0 * modulation.ravel(), echoes.ravel(), whole]
    )


def _in_bands(values: np.ndarray, where: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The mean of the rows of `values` whose place lies between two edges, 0 where none does."""
    place = np.searchsorted(edges, where)
    return np.stack(
        [
            values[place == k].mean(0) if (place == k).any() else 0.0 * values[0]
            for k in range(1, len(edges))
        ]
    )
