"""Sound that stays below full scale and is still as loud, where its peaks were made higher than need be.

Phase that was found, not kept, adds partials up to other peaks than those of the original.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn.functional import pad

from timbrespace.audio.level import CEILING, limited
from timbrespace.audio.scratch import Keep, Kept, Samples, peak, scale

ENOUGH = 0.4  # dB by which a sound may become softer
ROUNDS = 10
HEADROOM = 0.9  # of the ceiling, to which peaks are cut in every round
N_FFT, HOP = 1024, 256
PART, SHARED = 1 << 18, 4096  # samples that are lowered at once, and that neighbours share
SHORT = 1.0  # ms of the limiter where nothing else helps
MOST_GAIN = 9.0  # dB ahead of it
TRIES = 6


def lowered(sound: Samples) -> Iterator[np.ndarray]:
    """sound (n,), some at a time, with the same short-time magnitudes and lower peaks.

    Alternating projections, as Griffin and Lim's (1984): on sounds below the ceiling, and on sounds of
    these magnitudes, which leaves phase to give way.
    """
    width = min(len(sound), PART)
    shared = min(SHARED, width // 2)
    window = torch.hann_window(N_FFT)

    def transform(x: torch.Tensor) -> torch.Tensor:
        return torch.stft(
            x, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True
        )  # fmt: skip

    rise = (np.arange(shared, dtype=np.float32) + 0.5) / max(shared, 1)
    tail: np.ndarray | None = None
    for start in range(0, max(1, len(sound) - shared), width - shared):
        part = torch.from_numpy(sound[start : start + width].copy())
        made = pad(part, (0, width - len(part)))
        magnitude, power = transform(made).abs(), made.square().mean()
        for _ in range(ROUNDS):
            cut = made.clamp(-HEADROOM * CEILING, HEADROOM * CEILING)
            cut *= (power / cut.square().mean().clamp_min(1e-20)).sqrt()
            phase = transform(cut).angle()
            made = torch.istft(
                torch.polar(magnitude, phase), N_FFT, HOP, window=window, length=width
            )
        calmer = made.numpy()
        if tail is not None:
            calmer[:shared] = tail * rise[::-1] + calmer[:shared] * rise
        tail = calmer[width - shared :]
        ends = start + width >= len(sound)
        yield calmer[: len(sound) - start] if ends else calmer[: width - shared]


def below_full_scale(
    sound: Kept, sample_rate: int, loudness: Callable[[Kept], float],
    keep: Keep[Kept],
) -> Kept:  # fmt: skip
    """sound (n,) with no sample above the ceiling and as loud as it is, by `loudness` (dB) and where there
    is room for it; what is made on the way is kept by `keep`.

    A limiter alone where that costs at most ENOUGH; else phase gives way first (`lowered`), and at last
    the limiter becomes quick and the sound louder ahead of it.
    """
    if peak(sound) <= CEILING:
        return sound
    best = keep(limited(sound, sample_rate))
    wanted = loudness(sound)
    if wanted - loudness(best) <= ENOUGH:
        return best
    calmer = keep(lowered(sound))
    scale(calmer, 10.0 ** ((wanted - loudness(calmer)) / 20.0))
    best, gain = keep(limited(calmer, sample_rate)), 0.0
    for _ in range(TRIES):
        missing = wanted - loudness(best)
        if missing <= ENOUGH:
            break
        gain = min(gain + missing, MOST_GAIN)
        best = keep(limited(calmer, sample_rate, gain=10.0 ** (gain / 20.0), ms=SHORT))
    return best
