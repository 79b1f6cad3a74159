"""Do two sets of sounds have one law? Figures of two tables of points.

Conventions
-----------
`real` (N, D) and `made` (M, D) are points of any space, finite, at least two each; which space is for
the caller to say (evaluation/generation.py: principal components of pictures; evaluation/distribution.py:
the embedding of sounds). Every figure is worth what real against real gives at the same sizes.

Metrics
-------
- `kernel_audio_distance`: 100 times the unbiased squared maximum mean discrepancy (MMD) with a Gaussian
  kernel as wide as the median distance of two real sounds (KAD; Chung et al. 2025, arXiv 2502.15602,
  section 3). 0 for one law on average, and it may be a little below.
- `kernel_distance`: the same MMD with the kernel of KID, (x y / D + 1)^3 (Binkowski et al. 2018, arXiv
  1801.01401, section 4).
- `frechet_distance`: squared 2-Wasserstein distance of two Gaussians with the sets' means and
  covariances (FAD; Kilgour et al. 2019, arXiv 1812.08466). Never below 0 and biased upward: for one law it
  falls as 1 / N only, so that sizes have to be equal wherever two figures are compared.
- `density`, `coverage`: how many real neighbourhoods a made sound lies in, over what is expected, and
  the share of real sounds with a made one in theirs (Naeem et al. 2020, arXiv 2002.09797, eqs. 3 and 4). A
  neighbourhood reaches to the k-th nearest real sound. Coverage falls when a part of the law is missing,
  which the distances hardly see; of one law it is 1 - 2^-k or so.
- `nearest_share`: accuracy of telling the sets apart by the nearest other sound (Lopez-Paz & Oquab 2017,
  arXiv 1610.06545): 0.5 cannot be told apart, 1 always.
"""

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist, pdist

from timbrespace.errors import TimbrespaceError

NEIGHBOURS = 5  # k, as in the paper


def validate(one: np.ndarray, other: np.ndarray) -> None:
    """TimbrespaceError unless both are finite tables (N, D) of the same D and at least two rows."""
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise TimbrespaceError(
            f"two sets of sounds should have the same coordinates, got {one.shape}, {other.shape}"
        )
    if min(len(one), len(other)) < 2:
        raise TimbrespaceError("a set of sounds needs at least two of them to be compared")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise TimbrespaceError("the sounds are not finite; the training has diverged")


def kernel_audio_distance(real: np.ndarray, made: np.ndarray) -> float:
    """KAD; TimbrespaceError where most real sounds are equal, so that their median distance is 0."""
    validate(real, made)
    # the lower median, as the authors' library takes it
    width = float(np.quantile(pdist(real), 0.5, method="lower"))
    if width <= 0.0:
        raise TimbrespaceError("most of the real sounds are equal; there is no law to compare with")
    return 100.0 * _mmd(
        real, made, lambda a, b: np.exp(-cdist(a, b, "sqeuclidean") / (2 * width**2))
    )


def kernel_distance(real: np.ndarray, made: np.ndarray) -> float:
    """Unbiased squared MMD with the polynomial kernel of KID."""
    validate(real, made)
    return _mmd(real, made, lambda a, b: (a @ b.T / a.shape[1] + 1.0) ** 3)


def frechet_distance(real: np.ndarray, made: np.ndarray) -> float:
    """FAD of two sets, without a root of a matrix product that may turn out complex.

    With X and Y the centred tables over the roots of N - 1 and M - 1, the covariances are X'X and Y'Y,
    and the trace of the root of their product is the sum of the singular values of X Y'.
    """
    validate(real, made)
    mean, other = real.mean(0, dtype=np.float64), made.mean(0, dtype=np.float64)
    x, y = (real - mean) / np.sqrt(len(real) - 1), (made - other) / np.sqrt(len(made) - 1)
    common = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(((mean - other) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2.0 * common)


def density_and_coverage(
    real: np.ndarray, made: np.ndarray, k: int = NEIGHBOURS
) -> tuple[float, float]:
    """Both; TimbrespaceError when there are no k other real sounds."""
    validate(real, made)
    if len(real) <= k:
        raise TimbrespaceError(f"{len(real)} real sounds are too few for their {k} neighbours")
    reach = np.partition(cdist(real, real), k, axis=1)[:, k]  # the nearest is the sound itself
    apart = cdist(real, made)
    inside = apart < reach[:, None]
    return float(inside.sum(0).mean() / k), float(inside.any(1).mean())


def nearest_share(one: np.ndarray, other: np.ndarray) -> float:
    """Share of sounds whose nearest other sound is of their own set; equal sizes make 0.5 chance.

    The larger set is cut to the size of the smaller one.
    """
    validate(one, other)
    count = min(len(one), len(other))
    both = np.concatenate([one[:count], other[:count]])
    distance = cdist(both, both)
    np.fill_diagonal(distance, np.inf)
    return float(((distance.argmin(1) < count) == (np.arange(2 * count) < count)).mean())


def _mmd(
    real: np.ndarray, made: np.ndarray, kernel: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> float:
    """Unbiased squared MMD (Gretton et al. 2012, JMLR 13, eq. 3): a sound is not paired with itself."""
    real, made = real.astype(np.float64), made.astype(np.float64)

    def own(a: np.ndarray) -> float:
        k = kernel(a, a)
        return float((k.sum() - np.trace(k)) / (len(a) * (len(a) - 1)))

    return own(real) + own(made) - 2.0 * float(kernel(real, made).mean())
