"""Windows that overlap as one: means with weights that rise and fall over a window.

What a model makes of a window's edges, such as an attack, has next to no weight but in the first and the
last window, and the denser windows lie, the less each one is heard alone.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


def mixed(windows: Iterable[Tensor], apart: int, most: int) -> Tensor:
    """The weighted mean (rows, n) of windows (W, rows, width), given some at a time, each of which begins
    `apart` columns after the last; n is what they cover, `most` at the most.

    Weights are sin^2 over a window, 0 at its ends. ValueError where windows leave gaps, or there are none.
    """
    out: Tensor | None = None
    weights = torch.zeros(most)
    place = covered = 0
    for some in windows:
        rows, width = some.shape[1:]
        if not 0 < apart <= width:
            raise ValueError(f"windows of {width} columns that are {apart} apart leave gaps")
        fade = (torch.pi / width * (torch.arange(width) + 0.5)).sin().square()
        if out is None:
            out = some.new_zeros(rows, most)
        for window in some * fade:
            here = slice(place, place + width)
            covered = min(here.stop, most)
            out[:, here] += window[:, : max(0, covered - place)]
            weights[here] += fade[: max(0, covered - place)]
            place += apart
    if out is None:
        raise ValueError("there are no windows to mix")
    return out[:, :covered].div_(weights[:covered])
