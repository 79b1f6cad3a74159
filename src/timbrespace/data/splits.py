"""Which sounds train, which validate, which test: seeded, and disjoint by instrument where that is known."""

from collections.abc import Hashable, Sequence

import numpy as np

SPLITS = ("train", "valid", "test")
SHARES = (0.8, 0.1, 0.1)


def split_by(groups: Sequence[Hashable], *, seed: int = 0) -> list[str]:
    """A split name per item; items of one group stay together.

    Groups are drawn in a seeded order and each goes to the split that lacks most of its share, so
    that every split gets something as soon as there are three groups.
    """
    members: dict[Hashable, int] = {}
    for group in groups:
        members[group] = members.get(group, 0) + 1
    names = sorted(members, key=repr)
    order = np.random.default_rng(seed).permutation(len(names))
    filled = dict.fromkeys(SPLITS, 0)
    chosen: dict[Hashable, str] = {}
    for place, index in enumerate(order):
        name = names[index]
        if place < 3:  # the first three groups open the three splits
            split = SPLITS[place]
        else:
            lack = [
                filled[s] / (share * len(groups)) for s, share in zip(SPLITS, SHARES, strict=True)
            ]
            split = SPLITS[int(np.argmin(lack))]
        chosen[name] = split
        filled[split] += members[name]
    return [chosen[group] for group in groups]
