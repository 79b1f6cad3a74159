"""What a sound is like in ten numbers: timbre descriptors with units.

Conventions
-----------
Definitions are those of Peeters, Giordano, Susini, Misdariis & McAdams 2011 ("The Timbre Toolbox",
JASA 130) where no other is named. None depends on the level of the sound. Figures of a spectrum are
medians over the frames of 64 ms, a quarter apart, within 40 dB of the loudest; for flatness no cell
lies more than 80 dB below the loudest. Attack and decay are read from the envelope, the root mean square
over 20 ms; partials from a quarter of a second after the attack. What a sound has not (the inharmonicity
of noise) is NaN, and `DESCRIPTORS` says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from timbrespace.audio.pitch import to_hertz
from timbrespace.errors import AudioError

WINDOW_SECONDS, LONG_SECONDS = 0.064, 0.25  # of a frame, and of the spectrum that shows partials
AUDIBLE, FLOOR = (
    1e-2,
    1e-4,
)  # magnitudes below the loudest: frames that count, and the least of cells
SILENT = 1e-6  # peak
BRIGHT_HZ = 1500.0  # brightness is the share of power above it: Lartillot & Toiviainen 2007
BLOCK, SMOOTH = 0.001, 20  # seconds between values of the envelope, and its window in such blocks
LOW, HIGH = 0.2, 0.8  # of the envelope's maximum: the attack passes them
DEEPEST_DB, SHORTEST = 30.0, 50  # a decay is followed so far down, and for at least so many blocks
PARTIALS, LEAST_PARTIALS = 20, 5  # that are looked for, and that a stretched series needs
STANDS_OUT = 10.0 ** (12.0 / 20.0)  # a partial's peak over the median around it; noise stays below
MISFIT = 0.005  # relative deviation of partials from a stretched series, root mean square, at most
PEAKS = 30  # whose roughness is added
ODD_EVEN_DB = 60.0  # at most


@dataclass(frozen=True)
class Descriptor:
    """What a number of `describe` says, its unit, and why a sound may have none."""

    about: str
    unit: str
    undefined: str = "the sound is silent"


DESCRIPTORS = {
    "centroid": Descriptor("centre of the spectrum's magnitudes", "Hz"),
    "spread": Descriptor("standard deviation of the magnitudes about the centroid", "Hz"),
    "flatness": Descriptor("geometric over arithmetic mean of the power; white noise: -2.5", "dB"),
    "flux": Descriptor("1 - correlation of the magnitudes of frames that follow each other", ""),
    "attack": Descriptor("log10 of the seconds of a straight attack as steep as this one", "log10 s"),
    "decay": Descriptor(
        "how fast the level falls after the attack", "dB/s", "the sound is silent or too short"
    ),
    "inharmonicity": Descriptor(
        "B of the stretched series f_k = k f_0 sqrt(1 + B k²)", "",
        "the pitch is not known, or fewer than five partials follow such a series",
    ),
    "odd_even": Descriptor(
        "power of odd over even partials", "dB", "the pitch is not known, or no partial stands out"
    ),
    "brightness": Descriptor("share of power above 1,500 Hz", "dB"),
    "roughness": Descriptor("beating of the 30 strongest partials, the loudest of amplitude 1", ""),
}  # fmt: skip


def describe(
    sounds: Sequence[np.ndarray], sample_rate: int, pitches: Sequence[float | None] | None = None
) -> np.ndarray:
    """The descriptors (N, 10), in the order of `DESCRIPTORS`, of mono sounds (n,).

    pitches: MIDI numbers, without which inharmonicity and odd_even are NaN. AudioError for samples
    that are not finite and for pitches of another number of sounds.
    """
    known = [None] * len(sounds) if pitches is None else list(pitches)
    if len(known) != len(sounds):
        raise AudioError(f"{len(sounds)} sounds came with {len(known)} pitches; give one for each")
    rows = [_one(sound, sample_rate, p) for sound, p in zip(sounds, known, strict=True)]
    return np.array(rows, np.float64).reshape(len(sounds), len(DESCRIPTORS))


def spectra(sound: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes (frames, bins) of a sound (n,) under a Hann window, and the bins' Hz (bins,)."""
    size = 2 ** max(5, round(np.log2(WINDOW_SECONDS * sample_rate)))
    padded = np.pad(sound, (0, max(0, size - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4]
    magnitudes = np.abs(_rfft(frames * np.hanning(size + 1)[:size].astype(np.float32)))
    return magnitudes, np.fft.rfftfreq(size, 1.0 / sample_rate)


def centroid(magnitude: np.ndarray, hertz: np.ndarray) -> np.ndarray:
    """Mean frequency (...) of magnitudes (..., bins) at hertz (bins,)."""
    return (magnitude @ hertz) / magnitude.sum(-1)


def spread(magnitude: np.ndarray, hertz: np.ndarray) -> np.ndarray:
    """Standard deviation (...) in Hz of magnitudes (..., bins) about their centroid."""
    away = hertz - centroid(magnitude, hertz)[..., None]
    return np.sqrt((magnitude * away**2).sum(-1) / magnitude.sum(-1))


def flatness(magnitude: np.ndarray) -> np.ndarray:
    """Geometric over arithmetic mean of the powers of magnitudes (..., bins), dB: 0 when all are equal."""
    log = 2.0 * np.log(magnitude).mean(-1) - np.log(np.square(magnitude).mean(-1))
    return 10.0 / np.log(10.0) * log


def flux(magnitude: np.ndarray) -> np.ndarray:
    """1 - the normalised product of each frame's magnitudes with the next one's, (frames - 1,):
    Krimphoff, McAdams & Winsberg 1994. 0 while nothing changes but the level."""
    one, next_one = magnitude[:-1], magnitude[1:]
    norm = np.linalg.norm(one, axis=-1) * np.linalg.norm(next_one, axis=-1)
    return np.maximum(1.0 - np.einsum("tb,tb->t", one, next_one) / norm, 0.0)


def envelope(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Root mean square (blocks,) of a sound (n,) over 20 ms, Hann-weighted, every millisecond from 10 ms
    before it begins."""
    block = max(1, round(BLOCK * sample_rate))
    power = np.square(np.pad(sound, (0, -len(sound) % block)).astype(np.float64))
    window = np.hanning(SMOOTH + 2)[1:-1]
    smooth = np.convolve(power.reshape(-1, block).mean(1), window / window.sum())
    return np.sqrt(smooth[: len(smooth) - SMOOTH // 2])


def attack(level: np.ndarray) -> float:
    """Log10 of seconds: how long an envelope (blocks,) takes from 20 to 80 % of its maximum, over 0.6,
    so that a straight rise counts as long as it is. What begins at once reads 0.013 s."""
    rise = _crossing(level, HIGH) - _crossing(level, LOW)
    return float(np.log10(max(rise, 1.0) * BLOCK / (HIGH - LOW)))


def decay(level: np.ndarray) -> float:
    """DB a second that an envelope (blocks,) falls: the least-squares line from the attack's end until
    30 dB below the maximum, or the end. 0 for what is held, NaN where that is under 50 ms."""
    start = int(_crossing(level, HIGH)) + SMOOTH
    top = float(level.max())
    below = np.flatnonzero(level[start:] < top * 10.0 ** (-DEEPEST_DB / 20.0))
    end = start + int(below[0]) if len(below) else len(level) - SMOOTH // 2
    if end - start < SHORTEST:
        return np.nan
    db = 20.0 * np.log10(level[start:end] / top)
    moment = BLOCK * (np.arange(len(db)) - 0.5 * (len(db) - 1))
    return float(-(moment @ db) / (moment @ moment))


@dataclass(frozen=True)
class Partials:
    """Partials (K,) near the multiples of a pitch: Hz, amplitude, whether it stands out; and the
    inharmonicity B of the series, NaN where there is none."""

    hertz: np.ndarray
    amplitude: np.ndarray
    found: np.ndarray
    inharmonicity: float


def partials(magnitude: np.ndarray, bin_hz: float, pitch_hz: float) -> Partials:
    """The partials of a spectrum (bins,), each looked for where those below it put it.

    The series is that of a stiff string (Fletcher 1964): (f_k / k)² = f_0² + f_0² B k² is a line in k²,
    fitted with weights k², since f_k is known equally well for all k.
    """
    base, stretch, sums = pitch_hz, 0.0, np.zeros(5)
    rows: list[tuple[float, float, bool]] = []
    for k in range(1, PARTIALS + 1):
        place = k * base * np.sqrt(1.0 + stretch * k * k)
        reach = (0.06 if k == 1 else 0.15) * base + 2.0 * bin_hz
        low, high = int((place - reach) / bin_hz), int(np.ceil((place + reach) / bin_hz)) + 1
        if low < 1 or high >= len(magnitude) - 1:
            break
        at = low + int(magnitude[low:high].argmax())
        around = magnitude[
            max(0, int((place - base / 2) / bin_hz)) : int((place + base / 2) / bin_hz)
        ]
        here, amplitude = _top(magnitude, at)
        found = bool(low < at < high - 1 and amplitude > STANDS_OUT * np.median(around))
        rows.append((here * bin_hz, amplitude, found))
        if found:
            x, y, weight = float(k * k), (here * bin_hz / k) ** 2, float(k * k)
            sums += weight * np.array([1.0, x, y, x * x, x * y])
            base, stretch = _line(sums, base, stretch, sum(row[2] for row in rows))
    table = np.array(rows).reshape(-1, 3)
    hertz, amplitude, found = table[:, 0], table[:, 1], table[:, 2] > 0.0
    k = np.arange(1, len(table) + 1)
    off = hertz / (k * base * np.sqrt(1.0 + stretch * k * k)) - 1.0
    fits = found.sum() >= LEAST_PARTIALS and np.sqrt(np.mean(off[found] ** 2)) < MISFIT
    return Partials(hertz, amplitude, found, float(stretch) if fits else np.nan)


def odd_even(amplitude: np.ndarray) -> float:
    """Power of the odd partials over that of the even ones of amplitudes (K,), the first one's first;
    dB within ±60."""
    power = np.square(amplitude)
    odd, even = float(power[0::2].sum()), float(power[1::2].sum())
    most = 10.0 ** (ODD_EVEN_DB / 10.0)
    return 10.0 * float(np.log10(np.clip(odd / max(even, 1e-30), 1.0 / most, most)))


def roughness(hertz: np.ndarray, amplitude: np.ndarray) -> float:
    """Roughness of partials (K,): the sum over pairs of Vassilakis 2001 (PhD thesis, equation 6.23),
    whose curve over the distance is that of Plomp & Levelt 1965 as Sethares 1993 writes it."""
    order = np.argsort(hertz)
    hertz, amplitude = hertz[order], amplitude[order]
    low, high = np.triu_indices(len(hertz), 1)
    product = amplitude[low] * amplitude[high]
    lesser = np.minimum(amplitude[low], amplitude[high])
    depth = 2.0 * lesser / (amplitude[low] + amplitude[high])
    apart = (hertz[high] - hertz[low]) * 0.24 / (0.0207 * hertz[low] + 18.96)
    curve = np.exp(-3.5 * apart) - np.exp(-5.75 * apart)
    return float((product**0.1 * 0.5 * depth**3.11 * curve).sum())


def _one(sound: np.ndarray, sample_rate: int, pitch: float | None) -> list[float]:
    sound = np.asarray(sound, np.float32)
    if not np.isfinite(sound).all():
        raise AudioError("a sound to be described holds samples that are not finite")
    if float(np.abs(sound).max(initial=0.0)) <= SILENT:
        return [np.nan] * len(DESCRIPTORS)
    level = envelope(sound, sample_rate)
    magnitude, hertz = spectra(sound, sample_rate)
    loud = np.sqrt(np.square(magnitude).sum(1))
    magnitude = magnitude[loud >= AUDIBLE * loud.max()]
    power = np.square(magnitude).sum(0)
    share = float(power[hertz > BRIGHT_HZ].sum() / power.sum())
    moving, floored = flux(magnitude), np.maximum(magnitude, FLOOR * magnitude.max())
    start = round((_crossing(level, HIGH) - SMOOTH / 2) * BLOCK * sample_rate)
    long, bin_hz = _long_spectrum(sound, sample_rate, start)
    tops, amplitudes = _peaks(long)
    series = None if pitch is None or not np.isfinite(pitch) else partials(
        long, bin_hz, float(to_hertz(pitch))
    )  # fmt: skip
    stands = series is not None and len(series.found) > 1 and series.found.any()
    return [
        float(np.median(centroid(magnitude, hertz))), float(np.median(spread(magnitude, hertz))),
        float(np.median(flatness(floored))), float(np.median(moving)) if len(moving) else 0.0,
        attack(level), decay(level), np.nan if series is None else series.inharmonicity,
        odd_even(series.amplitude) if series is not None and stands else np.nan,
        10.0 * float(np.log10(max(share, FLOOR**2))), roughness(tops * bin_hz, amplitudes),
    ]  # fmt: skip


def _crossing(level: np.ndarray, share: float) -> float:
    """Where an envelope first reaches a share of its maximum, between blocks."""
    wanted = share * float(level.max())
    at = int(np.argmax(level >= wanted))
    if at == 0:
        return 0.0
    return at - (float(level[at]) - wanted) / float(level[at] - level[at - 1])


def _long_spectrum(sound: np.ndarray, sample_rate: int, start: int) -> tuple[np.ndarray, float]:
    """Magnitudes (bins,) of the quarter of a second from `start` on, the largest 1, and the bins' distance
    in Hz. Blackman-Harris: its side lobes (-92 dB) are not taken for partials."""
    size = 2 ** round(np.log2(LONG_SECONDS * sample_rate))
    start = max(0, min(start, len(sound) - size))
    part = sound[start : start + size]
    magnitude = np.abs(_rfft(part * _blackman_harris(len(part)), 2 * size))
    return magnitude / max(float(magnitude.max()), 1e-30), sample_rate / (2 * size)


def _rfft(x: np.ndarray, size: int | None = None) -> np.ndarray:
    from scipy.fft import rfft

    return np.asarray(rfft(x, size, axis=-1))


@lru_cache(maxsize=8)
def _blackman_harris(size: int) -> np.ndarray:
    from scipy.signal.windows import blackmanharris

    return blackmanharris(size).astype(np.float32)


def _peaks(magnitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bins and amplitudes of the strongest peaks of a spectrum (bins,) within 60 dB of the largest."""
    inside = magnitude[1:-1]
    is_peak = (inside > magnitude[:-2]) & (inside >= magnitude[2:]) & (inside > 1e-3)
    at = 1 + np.flatnonzero(is_peak)
    at = at[np.argsort(magnitude[at])[::-1][:PEAKS]]
    found = [_top(magnitude, int(i)) for i in at]
    return np.array([f[0] for f in found]), np.array([f[1] for f in found])


def _top(magnitude: np.ndarray, at: int) -> tuple[float, float]:
    """Where the peak at a bin really is, and how high: a parabola through three logarithms."""
    a, b, c = np.log(np.maximum(magnitude[at - 1 : at + 2], 1e-12)).tolist()
    bend = a - 2.0 * b + c
    off = 0.5 * (a - c) / bend if bend < 0.0 else 0.0
    off = min(0.5, max(-0.5, off))
    return at + off, float(np.exp(b - 0.25 * (a - c) * off))


def _line(sums: np.ndarray, base: float, stretch: float, count: int) -> tuple[float, float]:
    """f_0 and B of the partials so far, whose weighted sums of 1, x, y, x², xy are given."""
    one, x, y, xx, xy = sums.tolist()
    if count < 3:
        return float(np.sqrt(y / one)), stretch
    slope = (one * xy - x * y) / (one * xx - x * x)
    start = (y - slope * x) / one
    if start <= 0.0:
        return base, stretch
    return float(np.sqrt(start)), max(0.0, slope / start)
