"""Two recordings made comparable: one rate, the same channels, and a paired reference where it belongs."""

from dataclasses import dataclass

import numpy as np

from timbrespace.audio.files import Audio
from timbrespace.errors import EffectError
from timbrespace.matching.distance import MEL_HOP, mel_power
from timbrespace.matching.match import check

LOWEST_RATE, HIGHEST_RATE = 8000, 48000  # Hz at which sounds are compared
ALIKE = 0.5  # correlation of the two courses of loudness below which they are two sounds


@dataclass(frozen=True)
class Paired:
    """Both sounds (channels, n) at `sample_rate` Hz, of a pair equally long, and what was done, in words."""

    dry: np.ndarray
    reference: np.ndarray
    sample_rate: int
    words: tuple[str, ...]


def paired(dry: Audio, reference: Audio, *, style: bool) -> Paired:
    """Both at the lower of the two rates, made `comparable`, in mono unless they have equally many channels.
    Of a pair whose lengths differ, the reference is moved to where its loudness follows the dry sound's best,
    and both are cut to what they share; EffectError where it follows nowhere, and for silence."""
    check(dry.samples, reference.samples)
    rate, words = comparable(min(dry.sample_rate, reference.sample_rate)), []
    if not dry.sample_rate == reference.sample_rate == rate:
        words.append(
            f"the sound has {dry.sample_rate} Hz and the reference {reference.sample_rate} Hz; both "
            f"were compared at {rate} Hz"
        )
    one, other = dry.at(rate).samples, reference.at(rate).samples
    if len(one) != len(other):
        words.append(f"{len(one)} and {len(other)} channels were compared in mono")
        one, other = one.mean(0, keepdims=True), other.mean(0, keepdims=True)
    if style or one.shape == other.shape:
        return Paired(one, other, rate, tuple(words))
    shift = _shift(one, other, rate)
    if shift is None:
        raise EffectError(
            f"the sound has {dry.seconds:.2f} s, the reference {reference.seconds:.2f} s, and their "
            "loudness does not go together; if it is another sound with the effect, match its style (--style)"
        )
    one, other = one[:, max(0, -shift) :], other[:, max(0, shift) :]
    n = min(one.shape[1], other.shape[1])
    moved = f" after the reference was moved by {-shift / rate:+.3f} s" if shift else ""
    words.append(f"the lengths differ; the first {n / rate:.2f} s were compared{moved}")
    return Paired(one[:, :n], other[:, :n], rate, tuple(words))


def comparable(sample_rate: int) -> int:
    """The nearest rate in Hz at which sounds are compared."""
    return min(max(sample_rate, LOWEST_RATE), HIGHEST_RATE)


def _shift(dry: np.ndarray, reference: np.ndarray, rate: int) -> int | None:
    """By how many samples the reference comes later, a whole number of hops; 0 where that is good enough,
    None where nothing is."""
    from scipy.signal import correlate

    one, other = (np.log(mel_power(x.mean(0), rate).sum(1) + 1e-6) for x in (dry, reference))
    n = min(len(one), len(other))
    if n > 2 and one[:n].std() > 0.0 and other[:n].std() > 0.0:
        together = float(np.corrcoef(one[:n], other[:n])[0, 1])
        if together >= ALIKE:
            return 0
    one, other = one - one.mean(), other - other.mean()
    swing = correlate(other, one)
    top = float(swing.max()) / max(float(np.sqrt((one**2).sum() * (other**2).sum())), 1e-9)
    return (int(np.argmax(swing)) - (len(one) - 1)) * MEL_HOP if top >= ALIKE else None
