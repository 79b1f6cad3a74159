"""What an effect did to a sound, as a list of numbers made by hand: what a trained space has to beat.

Conventions
-----------
Dry and wet are (n,) float at one rate, equally long. `paired` gives `COUNT` finite numbers: by 20 mel bands
how much louder wet is (mean and spread over time, dB), how much of wet is linear in dry (coherence), and how
wet's level follows dry's (slope, residue); the modulation of the difference (0.5 to 30 Hz, in 4 groups of
bands); wet against dry at lags from 0 to 0.7 s; carriers from 2 to 4,000 Hz that dry was multiplied by; how
the level fades after dry has ended; and how many values the samples of wet have.
"""

from functools import lru_cache

import numpy as np

from timbrespace.audio.response import Response
from timbrespace.errors import TimbrespaceError

SIZE, HOP = 1024, 256
BANDS, GROUPS = 20, 4
LEAST_DB = -90.0  # below dry's loudest cell nothing counts
RATES = np.geomspace(0.5, 30.0, 11)  # Hz, edges
LAGS = np.r_[0.0, np.geomspace(0.0005, 0.7, 21)]  # s, edges
CARRIERS = np.geomspace(2.0, 4000.0, 17)  # Hz, edges
COUNT = 5 * BANDS + GROUPS * (len(RATES) - 1) + len(LAGS) + len(CARRIERS) + 6


def paired(dry: np.ndarray, wet: np.ndarray, sample_rate: int) -> np.ndarray:
    """The numbers (COUNT,) float32 of one pair; TimbrespaceError unless both are (n,), equally long, not
    shorter than 4,096 samples and finite."""
    dry, wet = np.asarray(dry, np.float32), np.asarray(wet, np.float32)
    if dry.shape != wet.shape or dry.ndim != 1 or len(dry) < 4 * SIZE:
        raise TimbrespaceError(
            f"dry {dry.shape} and wet {wet.shape} should be sounds of one length, {4 * SIZE} samples or more"
        )
    if not (np.isfinite(dry).all() and np.isfinite(wet).all()):
        raise TimbrespaceError("a sound has samples that are not finite; render the pairs again")
    one, other = _frames(dry), _frames(wet)
    weights = _bands(sample_rate)
    powers = [np.square(np.abs(x)) @ weights for x in (one, other)]
    floor = max(powers[0].max(), 1e-12) * 10.0 ** (LEAST_DB / 10.0)
    ours, theirs = (10.0 * np.log10(np.maximum(p, floor)) for p in powers)
    change = theirs - ours
    numbers = np.concatenate([
        change.mean(0), change.std(0), _coherence(one, other, weights), *_followed(ours, theirs),
        _modulation(change, sample_rate), _lags(dry, wet, sample_rate),
        _carriers(dry, wet, sample_rate), _whole(dry, wet, ours, theirs),
    ])  # fmt: skip
    return np.nan_to_num(numbers).astype(np.float32)


def _frames(x: np.ndarray) -> np.ndarray:
    """STFT (frames, bins)."""
    from scipy.fft import rfft

    frames = np.lib.stride_tricks.sliding_window_view(x, SIZE)[::HOP]
    return np.asarray(rfft(frames * _hann(SIZE), axis=-1))


@lru_cache(maxsize=4)
def _hann(length: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)).astype(np.float32)


@lru_cache(maxsize=4)
def _bands(sample_rate: int) -> np.ndarray:
    """Weights (bins, BANDS) of mel bands."""
    from timbrespace.features.mel import mel_filterbank

    return mel_filterbank(sample_rate, SIZE, BANDS).numpy().T


def _coherence(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Magnitude-squared coherence by band: 1 for what a fixed filter does, less for all else."""
    cross = np.square(np.abs((np.conj(one) * other).mean(0)))
    own = np.square(np.abs(one)).mean(0) * np.square(np.abs(other)).mean(0)
    return (cross @ weights) / np.maximum(own @ weights, 1e-20)


def _followed(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By band the slope of wet's level over dry's, and the spread about that line, dB."""
    x, y = ours - ours.mean(0), theirs - theirs.mean(0)
    slope = (x * y).sum(0) / np.maximum(np.square(x).sum(0), 1e-9)
    return slope, (y - slope * x).std(0)


def _modulation(change: np.ndarray, sample_rate: int) -> np.ndarray:
    """Log amplitude of the change's movement at each of RATES, by group of bands."""
    groups = np.stack([g.mean(1) for g in np.array_split(change, GROUPS, axis=1)], 1)
    moved = (groups - groups.mean(0)) * _hann(len(groups))[:, None]
    size = np.abs(np.fft.rfft(moved, axis=0)) / len(groups)
    rates = np.fft.rfftfreq(len(groups), HOP / sample_rate)
    return np.log10(_between(size.T, rates, RATES) + 1e-3).ravel()


def _lags(dry: np.ndarray, wet: np.ndarray, sample_rate: int) -> np.ndarray:
    """The largest whitened correlation of wet with an earlier dry between each two of LAGS, and the log of
    the lag of the largest beyond the first."""
    size = np.abs(Response(dry)(wet)[: int(LAGS[-1] * sample_rate)])
    lags = np.arange(len(size)) / sample_rate
    found = _between(size[None], lags, LAGS, most=True)[0]
    later = size * (lags > LAGS[1])
    return np.r_[np.log10(found + 1e-3), np.log10(lags[later.argmax()] + 1e-4)]


def _carriers(dry: np.ndarray, wet: np.ndarray, sample_rate: int) -> np.ndarray:
    """How much of wet times dry lies at each of CARRIERS, beside dry times dry, and the log of the
    frequency where most does: ring modulation by m(t) makes dry^2 m(t) of it."""
    from scipy.fft import rfft

    own, product = (np.abs(np.asarray(rfft(x * dry * _hann(len(dry))))) for x in (dry, wet))
    hertz = np.fft.rfftfreq(len(dry), 1.0 / sample_rate)
    total = max(own[hertz < CARRIERS[0]].sum(), 1e-12)
    mine, theirs = (
        _between(x[None], hertz, CARRIERS, most=True)[0] / total for x in (own, product)
    )
    inside = (hertz >= CARRIERS[0]) & (hertz < CARRIERS[-1])
    peak = hertz[inside][(product - own)[inside].argmax()]
    return np.r_[np.log10(theirs + 1e-4) - np.log10(mine + 1e-4), np.log10(peak)]


def _whole(dry: np.ndarray, wet: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Level, crest, correlation, and how wet sounds on in dry's softest quarter, of the whole sounds;
    values of wet's samples."""
    rms = [np.sqrt(np.square(x).mean()) + 1e-9 for x in (dry, wet)]
    peaks = [np.abs(x).max() + 1e-9 for x in (dry, wet)]
    soft = np.argsort(ours.mean(1))[: max(1, len(ours) // 4)]
    steps = np.round((wet / peaks[1] + 1.0) * 32768.0).astype(np.int64)
    values = np.count_nonzero(np.bincount(steps))
    return np.array([
        20.0 * np.log10(rms[1] / rms[0]),
        20.0 * np.log10(peaks[1] / rms[1]) - 20.0 * np.log10(peaks[0] / rms[0]),
        float((dry * wet).mean() / (rms[0] * rms[1])),
        float((theirs - ours)[soft].mean()),
        float((theirs - ours)[-len(ours) // 4 :].mean()),
        np.log10(values),
    ])  # fmt: skip


def _between(
    values: np.ndarray, places: np.ndarray, edges: np.ndarray, *, most: bool = False
) -> np.ndarray:
    """Mean, or maximum, of values (G, P) at places (P,) between each two edges (E,): (G, E - 1), 0 where
    no place lies."""
    at = np.searchsorted(places, edges)
    parts = [values[:, a:b] for a, b in zip(at[:-1], at[1:], strict=True)]
    of = np.max if most else np.mean
    return np.stack([of(p, 1) if p.shape[1] else np.zeros(len(values)) for p in parts], 1)
