"""What the codes of a quantised latent say, and how many of them are used at all.

Conventions
-----------
The rate of codes is fixed: positions * levels * log(size), whatever they say. Three figures say how
much of it is used, over all sounds measured (never over a batch, where a perplexity says more of the
batch). Codes used: chosen by any sound; beside it stands how many even use would have reached with so
few sounds. Perplexity: 1 when always the same, the codebook's size when even. Entropy: the bits of a
sound for who has learnt from training sounds how often each code comes at each position and level; an
upper bound of what the codes say, since codes of one sound may tell of each other. Collapsed: 1 code
used at each position, perplexity 1, 0 bits.
"""

from typing import Any

import numpy as np

from timbrespace.evaluation.latent import bits
from timbrespace.models.codes import Codebooks


def evaluate(books: Codebooks, codes: np.ndarray, learnt: np.ndarray) -> dict[str, Any]:
    """Figures of codes (N, positions, levels) as JSON numbers; `learnt` are those of training sounds.

    What makes no sense for codes is None: their vectors have no noise to be told apart by, and are as
    large as their codebook likes.
    """
    use = books.use(books.counts(codes))
    costs = books.costs(codes, books.counts(learnt))
    total = sum(level.codes for level in use)
    return {
        "codes": total,
        "codes_used": sum(level.used for level in use),
        "codes_expected": books.expected_used(len(codes)) * total,
        "perplexity": float(np.exp(np.mean(np.log([level.perplexity for level in use])))),
        "entropy_bits_per_sound": bits(float(costs.mean())),
        "bits_of_a_sound": {
            "least": bits(float(costs.min())), "median": bits(float(np.median(costs))),
            "most": bits(float(costs.max())),
        },
        "codebooks": [
            {"codes": level.codes, "codes_used": level.used, "perplexity": level.perplexity}
            for level in use
        ],
        **dict.fromkeys((
            "active_units", "active_units_by_rate", "nats_per_dimension", "bits_per_dimension",
            "mean_of_logvar", "std_of_logvar", "separation",
        )),
    }  # fmt: skip
