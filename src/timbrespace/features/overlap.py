"""Windows that overlap as one: means with weights that rise and fall over a window.

What a model makes of a window's edges, such as an attack, has next to no weight but in the first and the
last window, and the denser windows lie, the less each one is heard alone.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad


def mixed(windows: Iterable[Tensor], apart: int, most: int) -> Iterator[Tensor]:
    """The weighted mean (rows, n) of windows (W, rows, width), given some at a time, each of which begins
    `apart` columns after the last; some columns at a time, n is what they cover, `most` at the most.

    Weights are sin^2 over a window, 0 at its ends. ValueError where windows leave gaps, or there are none.
    """
    out: Tensor | None = None
    weights = torch.zeros(0)
    done = 0  # columns that have been given out
    for some in windows:
        count, rows, width = some.shape
        if not 0 < apart <= width:
            raise ValueError(f"windows of {width} columns that are {apart} apart leave gaps")
        fade = (torch.pi / width * (torch.arange(width) + 0.5)).sin().square()
        out = some.new_zeros(rows, 0) if out is None else out
        more = (count - 1) * apart + width - out.shape[1]
        out, weights = pad(out, (0, more)), pad(weights, (0, more))
        for number, window in enumerate(some * fade):
            here = slice(number * apart, number * apart + width)
            out[:, here] += window
            weights[here] += fade
        ready = count * apart
        yield (out[:, :ready] / weights[:ready])[:, : max(0, most - done)]
        out, weights, done = out[:, ready:], weights[ready:], done + ready
    if out is None:
        raise ValueError("there are no windows to mix")
    yield (out / weights)[:, : max(0, most - done)]
