"""The manner of a sound, in which an effect shows and content shows less.

Of a reference that is another sound, there is nothing to compare sample by sample. What is told is what an
effect changes in any sound: the spectrum and how it spreads over time, how levels in bands swing, echoes, and
the level.
"""

import numpy as np

from timbrespace.matching.distance import MEL_HOP, MELS, mel_power

GROUP = 8  # mels that share a band of the modulation spectrum
RATES = np.geomspace(0.5, 20.0, 9)  # Hz, the edges of the bands of modulation
ECHOES = np.geomspace(0.03, 0.7, 13)  # seconds, the edges of the lags of echoes
LEAST = 1e-7  # of a mel power


def manner(x: np.ndarray, sample_rate: int) -> np.ndarray:
    """Statistics (S,) of a sound (..., n), the mean over channels: in each mel the mean and the standard
    deviation of its level (in units of 10 dB), how much bands swing at RATES, how alike the loudness is to
    itself after ECHOES, and the level's mean and peak."""
    levels = np.log10(np.maximum(mel_power(x, sample_rate), LEAST))
    rows = levels.reshape(-1, levels.shape[-2], MELS)
    return np.mean([_of_one(row, sample_rate) for row in rows], axis=0)


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
