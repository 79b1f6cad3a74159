"""What channels have in common, given back to channels that were made one by one.

A mono model takes each channel by itself and finds a phase of its own for it, so that what two channels
shared is shared no more: a sound in the middle falls apart into two. Levels and correlation are brought
back by mixing the channels, as little as that takes (Vilkamo, Backstrom & Kuntz 2013, Optimized
covariance domain framework for time-frequency processing of spatial audio, JAES 61:6).
"""

import numpy as np

from timbrespace.audio.scratch import Channels, spans

LEAST = 1e-9  # of the greatest power: what is softer counts as nothing


def mixed_like(made: Channels, original: Channels) -> Channels:
    """Channels `made` (C, n) mixed so that their powers and correlations are those of `original`.

    Of all mixtures that do so it is the nearest to `made`: A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2 with the
    covariances A of what was made and B of the original.
    """
    found, wanted = _covariance(made), _covariance(original)
    root, inverse = _power(found, 0.5), _power(found, -0.5)
    return Channels(made.each, inverse @ _power(root @ wanted @ root, 0.5) @ inverse)


def _covariance(sound: Channels) -> np.ndarray:
    parts = (sound[span].astype(np.float64) for span in spans(len(sound)))
    return sum((x @ x.T for x in parts), np.zeros((len(sound.each),) * 2)) / len(sound)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """A power of a symmetric matrix that has no negative eigenvalues; zeros stay zeros."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > max(LEAST * values[-1], 1e-20)
    powers = np.where(kept, np.where(kept, values, 1.0) ** exponent, 0.0)
    return (vectors * powers) @ vectors.T
