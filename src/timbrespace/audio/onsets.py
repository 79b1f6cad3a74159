"""Where notes and hits begin."""

import numpy as np

_HOP_SECONDS = 0.004
_WINDOW_SECONDS = 0.016
_SHORTEST_SECONDS = 0.02  # between two onsets
_BANDS = 24
_QUIETEST_DB = -70.0  # an onset reaches this, and
_RANGE_DB = 45.0  # is at most so much softer than the loudest of what is looked at


def find_onsets(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Onsets in mono samples (n,), as sample positions in ascending order.

    Spectral flux: the rises of log energy in some 24 bands, added (Bello et al. 2005, section III-B),
    picked where they stand out from their surroundings of half a second, and moved to where the
    energy begins to rise. What is there from the first sample on has an onset there; silence and quiet
    noise between louder sounds have none.
    """
    hop = max(1, round(_HOP_SECONDS * sample_rate))
    size = max(4, round(_WINDOW_SECONDS * sample_rate))
    if len(samples) < size:
        return np.zeros(1, np.int64) if np.abs(samples).max(initial=0.0) > 1e-4 else _NONE
    padded = np.concatenate([np.zeros(size, np.float32), samples.astype(np.float32)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    energy = _band_energies(frames, size)
    level = np.log10(np.maximum(energy, 1e-7))
    rise = np.maximum(np.diff(level, axis=0, prepend=level[:1]), 0.0).mean(axis=1)
    found = _peaks(rise)
    loud = 10 * np.log10(np.maximum((frames**2).mean(axis=1), 1e-12))
    audible = max(_QUIETEST_DB, float(loud.max()) - _RANGE_DB)
    # Frame k ends at sample k * hop of the original: its newest samples made the rise.
    starts = [
        _sharpen(samples, k * hop, hop, size)
        for k in found
        if loud[k : k + 10].max() > audible and not _falls(loud, k)
    ]
    kept: list[int] = []
    shortest = round(_SHORTEST_SECONDS * sample_rate)
    for start in sorted(set(starts)):
        if not kept or start - kept[-1] >= shortest:
            kept.append(start)
    return np.array(kept, np.int64)


_NONE = np.zeros(0, np.int64)


def _band_energies(frames: np.ndarray, size: int) -> np.ndarray:
    """Energy (frames, bands) in bands of equal width on a square-root scale of frequency."""
    window = np.hanning(size + 1)[:size].astype(np.float32)
    edges = np.unique(np.round(np.linspace(0, 1, _BANDS + 1) ** 2 * (size // 2)).astype(int))
    bands = np.empty((len(frames), len(edges) - 1), np.float32)
    for start in range(0, len(frames), 4096):  # memory does not grow with the sound
        power = np.abs(np.fft.rfft(frames[start : start + 4096] * window)) ** 2 / size
        bands[start : start + 4096] = np.add.reduceat(power[:, :-1], edges[:-1], axis=1)
    return bands


def _peaks(rise: np.ndarray) -> list[int]:
    """Frames that are the highest within 12 ms and stand above their surroundings."""
    reach = round(0.25 / _HOP_SECONDS)
    padded = np.pad(rise, reach, mode="reflect" if len(rise) > reach else "edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    threshold = np.median(around[:, ::4], axis=1) * 1.5 + 0.12
    near = np.lib.stride_tricks.sliding_window_view(np.pad(rise, 3), 7).max(axis=1)
    return [int(k) for k in np.flatnonzero((rise > threshold) & (rise >= near))]


def _falls(loud: np.ndarray, frame: int) -> bool:
    """Whether the sound ends there: a note that is cut off clicks in all bands, too."""
    before = loud[max(0, frame - 6)] if frame else -120.0
    return bool(loud[min(len(loud) - 1, frame + 6)] < before - 3.0)


def _sharpen(samples: np.ndarray, near: int, hop: int, size: int) -> int:
    """The sample at which the amplitude around `near` leaves what it was before."""
    first, last = max(0, near - size), min(len(samples), near + hop)
    amplitude = np.abs(samples[first:last])
    if not len(amplitude):
        return near
    before = np.abs(samples[max(0, first - size) : first])
    floor = float(before.max(initial=0.0))
    above = np.flatnonzero(amplitude > max(1.2 * floor, 0.1 * float(amplitude.max())))
    return first + int(above[0]) if len(above) else max(0, near - hop)
