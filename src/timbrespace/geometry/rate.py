"""How a rate is best shared among independent Gaussian numbers."""

import math

import numpy as np


def water_level(variances: np.ndarray, nats: float) -> float:
    """The squared error beta at which numbers of these variances cost `nats` together, (ln v / beta) / 2
    each where v > beta and nothing elsewhere (reverse water-filling: Cover & Thomas 2006, theorem
    10.3.3). The largest variance where nothing may be spent.
    """
    high = float(np.max(variances))
    if high <= 0.0:
        return 0.0
    low = high * 1e-12
    for _ in range(100):
        beta = math.sqrt(low * high)
        rate = 0.5 * float(np.log(np.maximum(variances / beta, 1.0)).sum())
        low, high = (beta, high) if rate > nats else (low, beta)
    return high
