"""How loud a sound is, in dB below full scale (1.0), and the clean-up a rendered sound needs."""

from collections.abc import Iterator

import numpy as np

from timbrespace.audio.scratch import Channels, Samples, spans

FLOOR_DB = -120.0  # what silence counts as, so that levels can be averaged and stored
SOFT = 1e-3  # of full scale: less at an edge may be noise, or what a resampler leaves
CEILING = 10.0 ** (-0.1 / 20.0)  # -0.1 dBFS: what is written stays below full scale


def peak_db(x: np.ndarray) -> float:
    """dBFS of the largest sample of x (any shape); a full-scale square or sine is 0."""
    return _db(float(np.abs(x).max())) if x.size else FLOOR_DB


def rms_db(x: Samples | Channels) -> float:
    """dBFS of the root mean square of x (any shape); a full-scale sine is -3.01."""
    energy, size = 0.0, 0
    for span in spans(len(x)):
        part = x[span]
        energy += float(np.square(part, dtype=np.float64).sum())
        size += part.size
    return _db((energy / size) ** 0.5) if size else FLOOR_DB


def ceiling_gain(peak: float) -> float:
    """What brings a sound with this peak below full scale: CEILING over it, and 1 where it is there."""
    return CEILING / max(peak, CEILING)


def remove_dc(x: np.ndarray) -> np.ndarray:
    """x (..., n) with the mean of every channel taken away."""
    if x.shape[-1] == 0:
        return x.copy()
    return (x - x.mean(axis=-1, keepdims=True, dtype=np.float64)).astype(x.dtype)


def remove_offset(x: Samples, sample_rate: int) -> None:
    """Take from x (n,), where it lies, the mean that it rests on.

    That is one of a tenth of its RMS or more, over 20 ms or more, of which its median has half or more:
    a click and a note before silence have a mean too, and rest on 0.
    """
    total = square = 0.0
    for span in spans(len(x)):
        part = x[span]
        total += float(part.sum(dtype=np.float64))
        square += float(np.square(part, dtype=np.float64).sum())
    if len(x) < 0.02 * sample_rate or total**2 <= 0.01 * square * len(x):
        return
    mean = total / len(x)
    middle = np.median([np.median(x[span]) for span in spans(len(x))])
    if middle / mean >= 0.5:
        for span in spans(len(x)):
            x[span] = x[span] - np.float32(mean)


def limit(
    x: np.ndarray, sample_rate: int, *, ceiling: float = CEILING, ms: float = 5.0
) -> np.ndarray:
    """x (..., n) with no sample above `ceiling`: about a peak that would be, all channels become softer
    for some `ms`, and the rest stays as it is.

    The gain is the smallest that is needed within `ms`, averaged over `ms` under a Hann window: an
    average of gains that are all small enough is small enough.
    """
    from scipy.ndimage import minimum_filter1d
    from scipy.signal import oaconvolve

    peaks = np.abs(x).reshape(-1, x.shape[-1]).max(0) if x.size else np.zeros(0)
    if not x.size or peaks.max() <= ceiling:
        return x.copy()
    size = 2 * max(1, round(sample_rate * ms / 1000.0)) + 1
    needed = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-12)).astype(np.float32)
    needed = minimum_filter1d(needed, size, mode="nearest")
    window = np.hanning(size + 2)[1:-1].astype(np.float32)
    padded = np.pad(needed, size // 2, mode="edge")
    gain = oaconvolve(padded, window / window.sum(), mode="valid")
    return np.clip(x * gain, -ceiling, ceiling).astype(x.dtype)


def limited(
    x: Samples | Channels, sample_rate: int, *, gain: float = 1.0, ms: float = 5.0
) -> Iterator[np.ndarray]:
    """A sound of any length, `gain` times as loud and then as `limit` makes it, span by span."""
    reach = 2 * max(1, round(sample_rate * ms / 1000.0))
    for span in spans(len(x)):
        start = max(0, span.start - reach)
        near = x[start : span.stop + reach] * np.float32(gain)
        heard = slice(span.start - start, span.stop - start)
        yield limit(near, sample_rate, ms=ms)[..., heard]


def to_rms(x: Samples | Channels, db: float, sample_rate: int) -> Iterator[np.ndarray]:
    """A sound as loud as `db` (RMS, dBFS), its peaks limited, span by span; silence stays silence."""
    now = rms_db(x)
    gain = 1.0 if now <= FLOOR_DB else 10.0 ** ((db - now) / 20.0)
    return limited(x, sample_rate, gain=gain)


def jumps(x: Samples, sample_rate: int) -> tuple[bool, bool]:
    """Whether x (n,) begins and ends in mid-air: at more than a quarter of what is near (5 ms), where that
    is more than a recording's own floor."""
    near = max(1, round(sample_rate * 0.005))
    head, tail = np.abs(x[:near]), np.abs(x[-near:])
    first, last = head.max(initial=0.0), tail.max(initial=0.0)
    return (
        bool(first > SOFT and head[0] > 0.25 * first),
        bool(last > SOFT and tail[-1] > 0.25 * last),
    )


def fade_edges(
    x: np.ndarray, sample_rate: int, ms: float = 5.0, *, start: bool = True, end: bool = True
) -> np.ndarray:
    """x (..., n) with raised-cosine fades of `ms` at both ends, or one, so that nothing clicks.

    A sound shorter than two fades is faded to and from its middle.
    """
    n = x.shape[-1]
    length = min(round(sample_rate * ms / 1000.0), n // 2)
    if length < 1:
        return x.copy()
    ramp = (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)).astype(x.dtype)
    faded = x.copy()
    if start:
        faded[..., :length] *= ramp
    if end:
        faded[..., n - length :] *= ramp[::-1]
    return faded


def fade_in_place(x: Samples, sample_rate: int, ms: float, *, start: bool, end: bool) -> None:
    """As `fade_edges`, of one sound (n,), where it lies."""
    reach = min(len(x), 2 * round(sample_rate * ms / 1000.0))
    if len(x) == reach:
        x[:] = fade_edges(x[:], sample_rate, ms, start=start, end=end)
        return
    if start:
        x[:reach] = fade_edges(x[:reach], sample_rate, ms, end=False)
    if end:
        x[len(x) - reach :] = fade_edges(x[len(x) - reach :], sample_rate, ms, start=False)


def _db(amplitude: float) -> float:
    return max(FLOOR_DB, 20.0 * float(np.log10(amplitude))) if amplitude > 0.0 else FLOOR_DB
