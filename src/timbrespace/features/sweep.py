"""Phase in one sweep over time: every partial turns at its own frequency, and its bins turn with it.

The gradients are those of phase-gradient heap integration (Prusa, Balazs, Sondergaard 2017), the path
is that of a phase vocoder with its bins locked to peaks (Laroche & Dolson 1999; Beauregard, Harish &
Wyse 2015): over time along the peaks of a spectrum, over frequency within a peak. No heap and no
iterations, so it takes about a millisecond for two seconds of sound.
"""

import math

import numpy as np
import torch
from torch import Tensor

from timbrespace.features.phase import HANN_GAMMA, TOLERANCE, explained


def peaks_uphill(size: np.ndarray) -> np.ndarray:
    """For every bin of frames (N, bins) the flat index of the peak that it belongs to.

    From valley to valley there is one peak; a valley belongs to the peak above it.
    """
    rise = size[:, 1:] > size[:, :-1]
    first = np.zeros(size.shape, bool)  # of the bins of a peak
    first[:, 0] = True
    first[:, 1:-1] = rise[:, 1:] > rise[:, :-1]
    peak = np.ones(size.shape, bool)
    peak[:, 1:] = rise
    peak[:, :-1] &= ~rise
    return np.flatnonzero(peak)[np.cumsum(first).reshape(size.shape) - 1]


def advance_of(log: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """Radians (..., bins) by which phase turns from frame to frame, as log magnitudes (..., bins) in
    nepers imply: each bin's own frequency, and how far the tone lies beside it."""
    bins = log.shape[-1]
    turns = np.arange(bins) * hop % n_fft / n_fft  # whole turns do not matter
    advance = np.broadcast_to((2.0 * math.pi * turns).astype(np.float32), log.shape).copy()
    advance[..., 1:-1] += (log[..., 2:] - log[..., :-2]) * (0.5 * hop / (HANN_GAMMA * n_fft))
    return advance


def sweep(
    log: np.ndarray, advance: np.ndarray, n_fft: int, hop: int, known: np.ndarray | None = None
) -> np.ndarray:
    """Phase (B, T, bins) in radians of log magnitudes (B, T, bins) in nepers whose bins turn by
    `advance` (B, T, bins) a frame; phase is counted as torch.stft does.

    Frame t hangs on frame t - 1 at the peaks alone. Within a peak the phase follows the group delay,
    which the change of the magnitudes over time implies. Where `known` (B, T, bins) is a number it
    stays, and later frames continue it; elsewhere it is NaN.
    """
    batch, frames, bins = log.shape
    at = peaks_uphill(log.reshape(-1, bins))
    per_bin = np.full(log.shape, -math.pi, np.float32)  # torch's origin is the window's start
    per_bin[:, 1:-1] += (log[:, :-2] - log[:, 2:]) * (0.5 * HANN_GAMMA * n_fft / hop)
    rise = np.zeros(log.shape, np.float32)
    np.cumsum(0.5 * (per_bin[..., 1:] + per_bin[..., :-1]), axis=-1, out=rise[..., 1:])
    turned = advance.astype(np.float32)
    turned[:, 1:] = 0.5 * (advance[:, 1:] + advance[:, :-1])  # trapezoid rule
    step = (turned - rise).take(at).reshape(log.shape) + rise
    source = at.reshape(log.shape) - np.arange(0, at.size, bins).reshape(batch, frames, 1)
    source += np.arange(0, batch * bins, bins)[:, None, None]  # the bin in the frame before
    step, source = (x.swapaxes(0, 1).reshape(frames, -1) for x in (step, source))
    phase = np.empty((frames, batch * bins), np.float32)
    phase[0] = rise[:, 0].ravel()
    given = None if known is None else known.swapaxes(0, 1).reshape(frames, -1)
    for t in range(frames):
        if t > 0:
            np.take(phase[t - 1], source[t], out=phase[t], mode="clip")
            phase[t] += step[t]
        if given is not None:
            np.copyto(phase[t], given[t], where=np.isfinite(given[t]))
    return phase.reshape(frames, batch, bins).swapaxes(0, 1)


def phase_by_sweep(
    magnitude: Tensor, n_fft: int, hop: int, *, tolerance: float = TOLERANCE, seed: int = 0,
    known: Tensor | None = None, apart: np.ndarray | float = 1.0,
) -> Tensor:  # fmt: skip
    """Phase (B, bins, T) in radians from magnitude (B, bins, T) alone; arguments as in
    `phase.heap_integration`, and so is what gets random phase."""
    found = torch.empty(magnitude.shape)
    size = magnitude.detach().cpu().float().mT.numpy()
    given = None if known is None else known.detach().cpu().float().mT.numpy()
    for index, one in enumerate(size):
        log = np.log(np.maximum(one, one.max(initial=0.0) * 1e-6 + 1e-30))[None]
        fixed = None if given is None else given[index : index + 1]
        phase = sweep(log, advance_of(log, n_fft, hop), n_fft, hop, fixed)[0]
        drawn = np.random.default_rng(seed).uniform(0.0, 2 * math.pi, one.shape)
        heard = explained(one.T, n_fft, hop, tolerance, apart).T
        if fixed is not None:
            heard |= np.isfinite(fixed[0])
        found[index] = torch.from_numpy(np.where(heard, phase, drawn).astype(np.float32).T)
    return found.to(magnitude.device)
