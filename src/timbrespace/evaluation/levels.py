"""What each level of a hierarchical latent carries, and whether the upper levels pay for themselves.

Conventions
-----------
Tables are (N, Z), Z the sizes of all `levels` in a row, the top first; rates are nats per sound. The
bits-back check (Hinton & van Camp 1993; here for levels): an upper level costs its own rate and
gives back what it saves on the levels below, whose prior it shapes. `saved` compares what a lower
level costs after the best prior that knows nothing of the sound, one Gaussian per number fitted to
these sounds, with what it costs after the prior that the levels above give it. Worst: 0 saved (the
prior learnt nothing). Best: as much as the upper levels cost, or more. What an upper level tells the
decoder directly does not show here, but in the error once another sound's level is put in its place.
"""

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np

from timbrespace.errors import TimbrespaceError

Entrance = Callable[[np.ndarray], np.ndarray]


def places(levels: tuple[int, ...]) -> list[slice]:
    """Where each level's numbers lie in the flat latent."""
    ends = list(accumulate(levels))
    return [slice(end - size, end) for end, size in zip(ends, levels, strict=True)]


def saved(
    entrance: Entrance, mean: np.ndarray, logvar: np.ndarray, levels: tuple[int, ...]
) -> list[float | None]:
    """Nats per sound that each level's prior saves against a flat one; None for the top.

    entrance: flat latents u (N, Z) to what the decoder gets of them, z (N, Z). mean and logvar:
    those of u, along the means.
    """
    if mean.shape != logvar.shape or mean.shape[1] != sum(levels):
        raise TimbrespaceError(
            f"means {mean.shape} and log-variances {logvar.shape} should be tables of "
            f"{sum(levels)} numbers, the sizes {levels} of the levels"
        )
    found: list[float | None] = [None]
    for here in places(levels)[1:]:
        zero, one = mean.copy(), mean.copy()
        zero[:, here], one[:, here] = 0.0, 1.0
        low = entrance(zero)[:, here].astype(np.float64)
        scale = entrance(one)[:, here].astype(np.float64) - low
        m, v = mean[:, here].astype(np.float64), logvar[:, here].astype(np.float64)
        centre, log_var = low + scale * m, v + 2.0 * np.log(np.abs(scale))
        spread = centre.var(0) + np.exp(log_var).mean(0)
        # KL to the Gaussian of these moments: its quadratic terms are 1/2 on average
        flat = 0.5 * (np.log(spread) - log_var.mean(0)).sum()
        given = 0.5 * (m**2 + np.exp(v) - 1.0 - v).mean(0).sum()
        found.append(float(flat - given))
    return found


def evaluate(
    entrance: Entrance, mean: np.ndarray, logvar: np.ndarray, nats: np.ndarray,
    levels: tuple[int, ...],
) -> list[dict[str, Any]]:  # fmt: skip
    """Size, rate and saving of each level, the top first, as JSON numbers."""
    back = saved(entrance, mean, logvar, levels)
    table = []
    for size, here, nats_saved in zip(levels, places(levels), back, strict=True):
        total = float(nats[:, here].mean(0).sum())
        table.append({
            "size": size, "nats_per_sound": total, "bits_per_sound": total / math.log(2.0),
            "saved_bits": None if nats_saved is None else nats_saved / math.log(2.0),
        })  # fmt: skip
    return table
