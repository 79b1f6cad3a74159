"""Where a held note can go round: a stretch of it whose end goes on as its start does.

Start and end are chosen for the likeness of what surrounds them, the level between them is made
even, and the sound before the end is faded into the sound before the start, so that the jump from
one to the other is no jump: what comes next is what came next.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

FRAME, HOP = 0.05, 0.01  # seconds of the envelope's windows, and between them
NEAR = 12.0  # dB below its loudest that a note may be while it holds
FALL = 3.0  # dB per second; a note that fades faster does not hold
SHORTEST = 0.5  # seconds that a note must hold
TEMPLATE = 0.03  # seconds on each side that are compared
FADE = 0.06  # seconds of the fade into the start, at most
STARTS = 32  # places that are tried
DIP = 1.5  # dB by which the level at the join may differ from what surrounds it
RELEASE = 0.3  # seconds, where the sound does not say how it ends
FALLEN = 78.0  # dB that samplers fall in the time of a release (a factor of e^-9 in sfizz)
SHORTEST_RELEASE, LONGEST_RELEASE = 0.05, 3.0


@dataclass(frozen=True)
class Loop:
    """From sample `start` to sample `end`, both included; `alike` is the correlation of what
    surrounds them, `seam_db` and `dip_db` as in `seam_db` and `dip_db`."""

    start: int
    end: int
    alike: float
    seam_db: float
    dip_db: float


@dataclass(frozen=True)
class Held:
    """A sound (n,) as a sampler plays it: its loop, None where it has none, and the seconds in which
    it dies away when the key is let go."""

    samples: np.ndarray
    loop: Loop | None
    release: float


def envelope_db(samples: np.ndarray, rate: int) -> np.ndarray:
    """Level in dB of windows of 50 ms around every 10 ms of samples (n,)."""
    frame, hop = round(FRAME * rate), round(HOP * rate)
    padded = np.pad(samples.astype(np.float64), frame // 2)
    running = np.concatenate([[0.0], np.cumsum(padded**2)])
    at = np.arange(0, len(samples), hop)
    power = (running[np.minimum(at + frame, len(padded))] - running[at]) / frame
    return 10.0 * np.log10(np.maximum(power, 1e-12))


def held(samples: np.ndarray, rate: int, *, lenience: float = 1.0) -> Held:
    """A sound (n,) with a loop where it holds long enough, and its own release where it has one.

    `lenience` times as fast a fall, and as large a dip at the join, are let pass.
    """
    span = _holding(samples, rate, FALL * lenience)
    if span is None:
        return Held(samples, None, RELEASE)
    release = _release(samples, rate, span[1])
    found = _search(samples, rate, *span)
    if found is None:
        return Held(samples, None, release)
    start, end, alike = found
    even = _level(samples, rate, start, end)
    looped = _blend(even, start, end, alike, _fade(rate, start, end, len(samples)))
    seam, dip = seam_db(looped, start, end, rate), dip_db(looped, start, end, rate)
    if abs(dip) > DIP * lenience:
        return Held(samples, None, release)
    return Held(looped, Loop(start, end - 1, alike, seam, dip), release)


def seam_db(samples: np.ndarray, start: int, end: int, rate: int) -> float:
    """How sharp the corner is where the loop start..end (end not included) closes: its second
    difference, over the sharpest in the 20 ms around it. At 0 dB and below nothing clicks."""
    reach = round(0.01 * rate)
    around = np.concatenate([samples[end - reach : end], samples[start : start + reach]])
    corners = np.abs(np.diff(around.astype(np.float64), 2))
    join = slice(reach - 2, reach)  # the second differences that see both sides
    rest = np.delete(corners, np.arange(reach - 2, reach))
    return float(20.0 * np.log10(max(corners[join].max(), 1e-9) / max(rest.max(), 1e-9)))


def dip_db(samples: np.ndarray, start: int, end: int, rate: int) -> float:
    """How far the level within 25 ms of the join lies from that of the 100 ms on both sides."""
    near, wide = round(0.025 * rate), round(0.125 * rate)
    before, after = samples[end - wide : end], samples[start : start + wide]
    inner = np.concatenate([before[-near:], after[:near]])
    outer = np.concatenate([before[:-near], after[near:]])
    power = [float(np.mean(np.square(part, dtype=np.float64))) for part in (inner, outer)]
    return float(10.0 * np.log10(max(power[0], 1e-12) / max(power[1], 1e-12)))


def _holding(samples: np.ndarray, rate: int, fall: float) -> tuple[int, int] | None:
    """First and last sample of the time during which a note holds; None for one that does not, or
    that changes by more than `fall` dB per second."""
    level = envelope_db(samples, rate)
    loud = np.flatnonzero(level > level.max() - NEAR)
    # the attack and the turn to the release are left out, and what a window sees beyond the end
    edge = round(FRAME / HOP)
    first, last = loud[0] + 2 * edge, loud[-1] - edge
    if level.max() <= -119.0 or (last - first) * HOP < SHORTEST:
        return None
    inside = level[first:last]
    if inside.min() < level.max() - NEAR:
        return None  # it comes and goes
    slope = np.polyfit(np.arange(len(inside)) * HOP, inside, 1)[0]
    if abs(slope) > fall:
        return None
    hop = round(HOP * rate)
    return first * hop, min(last * hop, len(samples))


def _search(samples: np.ndarray, rate: int, first: int, last: int) -> tuple[int, int, float] | None:
    """Start, end and their likeness: of starts in the first 40 % and ends in the last 40 % of
    first..last the pair with the highest normalised correlation."""
    side, whole = round(TEMPLATE * rate), last - first
    x = samples.astype(np.float64)
    begin = max(first + whole * 3 // 5, side)
    region = x[begin - side : last + side]
    energy = np.cumsum(np.concatenate([[0.0], region**2]))
    power = energy[2 * side :] - energy[: -2 * side]
    best: tuple[int, int, float] | None = None
    for start in np.linspace(first + side, first + whole * 2 // 5, STARTS).astype(int):
        template = x[start - side : start + side]
        size = np.sqrt(np.maximum(power * (template @ template), 1e-20))
        alike = fftconvolve(region, template[::-1], mode="valid") / size
        top = int(alike.argmax())
        if best is None or alike[top] > best[2]:
            best = (int(start), begin + top, float(alike[top]))
    return best if best is not None and best[2] > 0.0 else None


def _level(samples: np.ndarray, rate: int, start: int, end: int) -> np.ndarray:
    """The sound with a gain in decibels that goes in a straight line from the start to the end of the
    loop, so that both are equally loud; what comes after keeps the gain of the end."""
    reach = round(2 * FRAME * rate)

    def level(at: int) -> float:
        part = samples[max(0, at - reach) : at + reach].astype(np.float64)
        return float(10.0 * np.log10(max(np.mean(part**2), 1e-12)))

    gain_db = np.interp(np.arange(len(samples)), [start, end], [0.0, level(start) - level(end)])
    return (samples * 10.0 ** (gain_db / 20.0)).astype(np.float32)


def _fade(rate: int, start: int, end: int, length: int) -> int:
    return max(1, min(round(FADE * rate), start, end - start, length - end))


def _blend(samples: np.ndarray, start: int, end: int, alike: float, fade: int) -> np.ndarray:
    """The sound that turns into what surrounds `start` at `end`, and back to itself after it.

    With fades a and 1 - a of two sounds of equal power and correlation r the power is
    1 - 2 a (1 - a) (1 - r), which is divided out.
    """
    rise = (np.arange(fade) + 1.0) / fade
    share = np.concatenate([rise, rise[::-1]])[: fade + min(fade, len(samples) - end)]
    span = len(share)
    own, other = (
        samples[end - fade : end - fade + span],
        samples[start - fade : start - fade + span],
    )
    mixed = ((1.0 - share) * own + share * other) / np.sqrt(
        1.0 - 2.0 * share * (1.0 - share) * (1.0 - max(alike, 0.0))
    )
    made = samples.copy()
    made[end - fade : end - fade + span] = mixed
    return made


def _release(samples: np.ndarray, rate: int, last: int) -> float:
    """Seconds in which a sampler's release falls as fast as the sound does after it has held."""
    level = envelope_db(samples, rate)[last // round(HOP * rate) :]
    top = level[:1].max(initial=-120.0)
    begun, ended = np.flatnonzero(level < top - 6.0), np.flatnonzero(level < top - 26.0)
    if not len(begun) or not len(ended):
        return RELEASE
    seconds = max((ended[0] - begun[0]) * HOP, HOP) * FALLEN / 20.0
    return float(np.clip(seconds, SHORTEST_RELEASE, LONGEST_RELEASE))
