"""Long sound as chunks that overlap, and the way back, which is exact.

Neighbours are faded into each other: weights rise and fall in straight lines where chunks overlap,
and each sample is divided by the sum of its weights. Chunks that nobody changed give the sound back
to float rounding, whatever its length; chunks that a model made give no click where they meet.
"""

import numpy as np

from timbrespace.errors import AudioError


def count(length: int, window: int, hop: int) -> int:
    """How many chunks a sound of `length` samples has; at least one."""
    return 1 + max(0, -(-(length - window) // hop))


def split(samples: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Chunks (W, *, window) of samples (*, n), one every `hop` samples; silence completes the last.

    AudioError when the hop leaves gaps, in which sound would be lost.
    """
    if not 0 < hop <= window:
        raise AudioError(
            f"chunks of {window} samples want a hop from 1 to {window} samples, got {hop}: what lies "
            "in gaps would be lost"
        )
    n = samples.shape[-1]
    chunks = np.zeros((count(n, window, hop), *samples.shape[:-1], window), samples.dtype)
    for index, chunk in enumerate(chunks):
        part = samples[..., index * hop : index * hop + window]
        chunk[..., : part.shape[-1]] = part
    return chunks


def join(chunks: np.ndarray, hop: int, length: int | None = None) -> np.ndarray:
    """Samples (*, length) of chunks (W, *, window) that begin every `hop` samples; all by default."""
    window, last = chunks.shape[-1], len(chunks) - 1
    total = last * hop + window
    if length is not None and length > total:
        raise AudioError(f"{len(chunks)} chunks hold {total} samples, not the {length} asked for")
    mixed = np.zeros((*chunks.shape[1:-1], total), chunks.dtype)
    weight = np.zeros(total, chunks.dtype)
    overlap = window - hop
    ramp = ((np.arange(overlap) + 0.5) / max(overlap, 1)).astype(chunks.dtype)
    for index, chunk in enumerate(chunks):
        fade = np.ones(window, chunks.dtype)
        if index > 0:
            fade[:overlap] = ramp
        if index < last:
            fade[hop:] *= ramp[::-1]
        here = slice(index * hop, index * hop + window)
        mixed[..., here] += chunk * fade
        weight[here] += fade
    return (mixed / weight)[..., :length]
