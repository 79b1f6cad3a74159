"""Windows that overlap as one: means with weights that rise and fall over a window.

What a model makes of a window's edges, such as an attack, has next to no weight but in the first and the
last window, and the denser windows lie, the less each one is heard alone.
"""

import itertools
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

LEVELLED = 0.01  # seconds of mixed waves whose level is corrected as one
MOST_GAIN = 8.0  # of that correction: 32 windows that have nothing in common want 4.6


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


def mixed_waves(
    waves: Iterable[Tensor], apart: int, length: int, sample_rate: int
) -> Iterator[Tensor]:
    """One sound (length,), some samples at a time, of waves (W, width) that fade into each other as in `mixed`.

    Waves that agree come back exactly. The mean of some that do not is softer than they are, now
    more and now less, so it is given the mean of their powers, over 10 ms at a time.
    """
    both = (torch.stack([some, some.square()], 1) for some in waves)
    size = max(1, round(LEVELLED * sample_rate))
    held, before, left = torch.zeros(2, 0), torch.ones(0), length
    for part in itertools.chain(mixed(both, apart, length), [None]):
        last = part is None
        held = held if last else torch.cat([held, part], 1)
        # a gain goes over to the next in a straight line, so one more than is given out is needed
        groups = -(-held.shape[1] // size) if last else held.shape[1] // size
        given = groups if last else groups - 1
        if given < 1:
            continue
        heard = held[:, : groups * size]
        own, wanted = (
            pad(x, (0, -len(x) % size)).unflatten(0, (-1, size)).mean(1)
            for x in (heard[0].square(), heard[1])
        )
        gains = torch.cat([before, (wanted / own.clamp_min(1e-20)).sqrt().clamp(1.0, MOST_GAIN)])
        line = interpolate(gains[None, None], scale_factor=float(size), mode="linear")
        curve = line[0, 0, len(before) * size :]
        sound = heard[0, : given * size]
        yield sound * curve[: len(sound)]
        left -= len(sound)
        before, held = gains[len(before) + given - 1 :][:1], held[:, given * size :]
    yield torch.zeros(left)
