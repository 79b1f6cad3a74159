"""Phase for a magnitude spectrogram that has none, and the sound that follows.

Spectrograms are (bins, T) as torch.stft gives them: Hann window, centred frames, zeros around the
sound, phase counted from the start of the window.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from timbrespace.errors import RecipeError, suggestion

HANN_GAMMA = 0.25645  # gamma / n_fft^2 of the Gaussian nearest to a Hann window (Prusa et al. 2017)
TOLERANCE = 1e-3  # -60 dB below the loudest bin: what is quieter gets random phase
CLOSED = 0.5  # of what a tone has: bins that are less `closed` get random phase
AROUND = (1.5, 1.0)  # bins and frames over which that is looked at
TONE = 3.3  # bins; rows of a picture that are further apart leave a tone that much wider
SKIRT = 9  # bins about a peak that get random phase
SKIRT_BELOW = 10.0 ** (-25.0 / 20.0)  # where they have less than that part of it
METHODS = {  # momentum of their rounds
    "pghi": 0.99, "sweep": 0.99, "fast_griffin_lim": 0.99, "griffin_lim": 0.0
}  # fmt: skip
INVERSIONS = ("multiplicative", "nnls")
MOST_ROUNDS = 1000


@dataclass(frozen=True)
class Recovery:
    """How sound is made of pictures that keep no phase.

    method: "pghi" finds phase by heap integration, "sweep" along the peaks of the spectrum
    (`features.sweep`), and `rounds` of fast Griffin-Lim better it; "fast_griffin_lim" and
    "griffin_lim" (without momentum) start from random phase, drawn from `seed`.
    inversion: how mels become a linear spectrum, "multiplicative" or "nnls" (see
    `features.inversion`). RecipeError for unknown names and for rounds outside of 0..1000.
    """

    method: str = "pghi"
    rounds: int = 12
    seed: int = 0
    inversion: str = "multiplicative"

    def __post_init__(self) -> None:
        for name, known, what in (
            (self.method, METHODS, "find phase"), (self.inversion, INVERSIONS, "invert mels")
        ):  # fmt: skip
            if name not in known:
                hint = suggestion(name, known, f"there are: {', '.join(known)}")
                raise RecipeError(f"{name!r} is no way to {what}; {hint}")
        whole = isinstance(self.rounds, int) and not isinstance(self.rounds, bool)
        if not whole or not 0 <= self.rounds <= MOST_ROUNDS:
            raise RecipeError(
                f"rounds should be a whole number from 0 to {MOST_ROUNDS}, got {self.rounds!r}"
            )

    @property
    def momentum(self) -> float:
        """Of its rounds, as `griffin_lim` takes it."""
        return METHODS[self.method]


def _gradients(magnitude: np.ndarray, n_fft: int, hop: int) -> tuple[np.ndarray, np.ndarray]:
    """Phase steps per frame and per bin (radians) that a magnitude (bins, T) implies.

    For a Gaussian window phase and log-magnitude of a short-time transform are tied like real and
    imaginary part of an analytic function (Prusa, Balazs, Sondergaard 2017); gamma fits it to Hann.
    The -pi per bin is torch's phase origin, half a window before the frame's centre.
    """
    log = np.log(np.maximum(magnitude, magnitude.max() * 1e-6 + 1e-30))
    over_bins = np.zeros_like(log)
    over_bins[1:-1] = (log[2:] - log[:-2]) * 0.5
    over_frames = np.zeros_like(log)
    over_frames[:, 1:-1] = (log[:, 2:] - log[:, :-2]) * 0.5
    gamma = HANN_GAMMA * n_fft**2
    turns = (np.arange(log.shape[0]) * hop % n_fft) / n_fft  # whole turns do not matter
    per_frame = (2 * math.pi * turns)[:, None].astype(log.dtype) + over_bins * (hop * n_fft / gamma)
    per_bin = -math.pi - over_frames * (gamma / (hop * n_fft))
    return per_frame, per_bin


def closed(magnitude: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """How nearly the phase steps of `_gradients` give the same phase by every path: 1 for the transform
    of a sound, 0 for a smooth mean of powers, such as a model's guess; as (bins, T).

    By their tie to phase, log magnitudes curve by -2 pi hop / n_fft over bins and frames together,
    everywhere but at zeros; the gradients' curl is 1 less this.
    """
    from scipy.ndimage import gaussian_filter

    log = np.log(np.maximum(magnitude, magnitude.max(initial=0.0) * 1e-6 + 1e-30))
    ratio = hop / (HANN_GAMMA * n_fft)
    curve = np.zeros_like(log)
    curve[1:-1] = (2.0 * log[1:-1] - log[2:] - log[:-2]) * ratio
    curve[:, 1:-1] += (2.0 * log[:, 1:-1] - log[:, 2:] - log[:, :-2]) / ratio
    curve *= n_fft / (2 * math.pi * hop)
    power = np.square(magnitude)
    mean = gaussian_filter(np.clip(curve, -3.0, 3.0) * power, AROUND)
    return mean / np.maximum(gaussian_filter(power, AROUND), 1e-30)


def explained(
    magnitude: np.ndarray, n_fft: int, hop: int, tolerance: float, apart: np.ndarray | float = 1.0
) -> np.ndarray:
    """Which bins of a magnitude (bins, T) have a phase that its gradients can tell.

    Not those under `tolerance` of the loudest, those on the skirt of a peak, and those that are not
    `closed`. Integrated, they would give every frame the same pulse, which buzzes at the rate of the
    frames. `apart` (bins,): how many bins the rows of the picture lie apart, so that tones that it
    leaves wide are not taken for such.
    """
    from scipy.ndimage import maximum_filter1d

    wide = np.minimum(1.0, np.square(TONE / np.asarray(apart)))
    heard = magnitude > tolerance * magnitude.max(initial=0.0)
    heard &= magnitude > SKIRT_BELOW * maximum_filter1d(magnitude, SKIRT, axis=0)
    return heard & (closed(magnitude, n_fft, hop) > CLOSED * wide.reshape(-1, 1))


def _spanning_tree(
    edges: tuple[np.ndarray, np.ndarray], cost: np.ndarray, size: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """For every node the neighbour towards a root: a known node, or its island's loudest where none
    is known; roots name themselves."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import (
        breadth_first_order,
        connected_components,
        minimum_spanning_tree,
    )

    nodes = len(size)
    # One more node above all, so that a single walk reaches everything; what is known hangs from it
    # by edges that no other undercuts.
    shape = (nodes + 1, nodes + 1)
    roots = np.flatnonzero(known)
    rows = np.concatenate([edges[0], np.full(len(roots), nodes)])
    columns = np.concatenate([edges[1], roots])
    cost = np.concatenate([cost, np.full(len(roots), 1e-12)])
    tree = minimum_spanning_tree(coo_matrix((cost, (rows, columns)), shape=shape).tocsr()).tocoo()
    islands, island = connected_components(tree, directed=False)
    most = np.zeros(islands, size.dtype)
    np.maximum.at(most, island[:-1], size)
    loudest = np.full(islands, -1)
    tops = np.flatnonzero(size == most[island[:-1]])
    loudest[island[tops]] = tops
    loudest = loudest[np.arange(islands) != island[-1]]
    rows = np.concatenate([tree.row, np.full(len(loudest), nodes)])
    columns = np.concatenate([tree.col, loudest])
    joined = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    _, parent = breadth_first_order(joined.tocsr(), nodes, directed=False)
    parent = parent[:nodes].astype(np.int64)
    return np.where(parent == nodes, np.arange(nodes), parent)


def _integrate(
    magnitude: np.ndarray, known: np.ndarray, n_fft: int, hop: int, tolerance: float, seed: int,
    apart: np.ndarray | float,
) -> np.ndarray:  # fmt: skip
    draw = np.random.default_rng(seed)
    phase = draw.uniform(0.0, 2 * math.pi, magnitude.shape).astype(np.float32)
    given = np.isfinite(known)
    phase[given] = known[given]
    least = float(magnitude.max(initial=0.0)) * tolerance
    kept = explained(magnitude, n_fft, hop, tolerance, apart) | (given & (magnitude > least))
    count = int(kept.sum())
    if count == 0:
        return phase
    per_frame, per_bin = _gradients(magnitude, n_fft, hop)
    number = np.full(magnitude.shape, -1, np.int32)
    number[kept] = np.arange(count, dtype=np.int32)
    along, across = kept[:, 1:] & kept[:, :-1], kept[1:] & kept[:-1]
    edges = (
        np.concatenate([number[:, :-1][along], number[:-1][across]]),
        np.concatenate([number[:, 1:][along], number[1:][across]]),
    )
    weaker = np.concatenate(
        [
            np.minimum(magnitude[:, 1:], magnitude[:, :-1])[along],
            np.minimum(magnitude[1:], magnitude[:-1])[across],
        ]
    )
    parent = _spanning_tree(edges, least / weaker + 1e-12, magnitude[kept], given[kept])
    # Trapezoid rule along every branch, then sums to the root by pointer doubling: after k rounds
    # every node holds the sum over its 2^k next steps.
    row, frame = np.nonzero(kept)
    step = 0.5 * (frame - frame[parent]) * (per_frame[kept] + per_frame[kept][parent])
    step += 0.5 * (row - row[parent]) * (per_bin[kept] + per_bin[kept][parent])
    while True:
        further = parent[parent]
        if np.array_equal(further, parent):
            break
        step = step + step[parent]
        parent = further
    phase[kept] = step + np.where(given, phase, 0.0)[kept][parent]
    return phase


def heap_integration(
    magnitude: Tensor, n_fft: int, hop: int, *, tolerance: float = TOLERANCE, seed: int = 0,
    known: Tensor | None = None, apart: np.ndarray | float = 1.0,
) -> Tensor:  # fmt: skip
    """Phase (B, bins, T) in radians from magnitude (B, bins, T) alone, without iterations.

    Phase-gradient heap integration (Prusa, Balazs, Sondergaard 2017). The heap always continues at
    the loudest open neighbour: it walks the maximum spanning tree of the grid whose edges weigh
    min(|a|, |b|), which scipy finds in C. Bins that are not `explained` get random phase. Where `known`
    (B, bins, T) is a number it stays, and the rest continues it; elsewhere it is NaN.
    """
    if known is None:
        known = torch.full_like(magnitude, math.nan)
    sounds = (x.detach().cpu().float().numpy() for x in (magnitude, known))
    found = [
        torch.from_numpy(_integrate(sound, phase, n_fft, hop, tolerance, seed, apart))
        for sound, phase in zip(*sounds, strict=True)
    ]
    return torch.stack(found).to(magnitude.device) if found else torch.zeros_like(magnitude)


class Frames:
    """Short-time transform (frames, bins) of a sound on `count` frames, and its inverse.

    The sound starts at 0 and is zero outside [0, length); both ways reuse their memory.
    """

    def __init__(self, n_fft: int, hop: int, count: int, length: int, device: torch.device):
        self.n_fft, self.hop, self.count, self.length = n_fft, hop, count, length
        self.window = torch.hann_window(n_fft, device=device)
        self.overlap = -(-n_fft // hop)
        self.whole = torch.zeros((count + self.overlap - 1) * hop, device=device)
        squares = self.window.square().expand(count, n_fft)
        energy = self._add_up(squares).clone()
        self.scale = torch.where(energy > 1e-6, 1.0 / energy.clamp_min(1e-6), 0.0)
        # What lies before sample 0 and after the end is known: nothing.
        self.scale[: n_fft // 2] = 0.0
        self.scale[n_fft // 2 + length :] = 0.0

    @classmethod
    def of(cls, n_fft: int, hop: int, count: int, length: int, device: torch.device) -> "Frames":
        """Those of a sound of `length` samples: one that fits the frames is the sound's own, and nothing
        follows it; else the sound goes on to where the last frame ends."""
        reach = (count - 1) * hop + n_fft // 2
        span = max(length, 1) if (count - 1) * hop <= length < count * hop else reach
        return cls(n_fft, hop, count, min(span, reach), device)

    def fill(self, samples: Tensor, spectrum: Tensor) -> None:
        """The sound of a spectrum (frames, bins) into `samples` (n,), as far as the frames reach."""
        reach = (self.count - 1) * self.hop + self.n_fft // 2
        part = self.to_samples(spectrum)[self.n_fft // 2 :][: min(len(samples), reach)]
        samples[: len(part)] = part

    def _add_up(self, frames: Tensor) -> Tensor:
        padded = self.overlap * self.hop
        if padded != self.n_fft:
            frames = torch.nn.functional.pad(frames, (0, padded - self.n_fft))
        parts = frames.reshape(self.count, self.overlap, self.hop)
        rows = self.whole.view(-1, self.hop)
        rows.zero_()
        for k in range(self.overlap):
            rows[k : k + self.count] += parts[:, k]
        return self.whole

    def to_samples(self, spectrum: Tensor) -> Tensor:
        """The least-squares sound of a spectrum (frames, bins), with half a window before it."""
        frames = torch.fft.irfft(spectrum, n=self.n_fft).mul_(self.window)
        return self._add_up(frames).mul_(self.scale)

    def to_spectrum(self, whole: Tensor) -> Tensor:
        """The transform (frames, bins) of what `to_samples` returned."""
        frames = whole.unfold(0, self.n_fft, self.hop)[: self.count]
        return torch.fft.rfft(frames * self.window)


def _power(spectrum: Tensor) -> Tensor:
    squares = torch.view_as_real(spectrum).square()
    return squares[..., 0] + squares[..., 1]


def griffin_lim(
    magnitude: Tensor, n_fft: int, hop: int, *, rounds: int = 32, momentum: float = 0.99,
    phase: Tensor | None = None, length: int | None = None, seed: int = 0,
    refine: Callable[[int, Tensor], Tensor] | None = None,
) -> Tensor:  # fmt: skip
    """Samples (B, length) whose short-time magnitudes come close to `magnitude` (B, bins, T).

    Fast Griffin-Lim (Perraudin, Balazs, Sondergaard 2013); momentum 0 is the classic method.
    `phase` (B, bins, T) in radians is where it starts; without it, and where it is NaN, random phase
    from `seed`, the same for every sound of the batch. length defaults to (T - 1) * hop samples;
    zeros follow where the spectrogram ends. refine(sound, power (bins, T)) may return a better power
    for the next round from that of the sound so far.
    """
    batch, bins, count = magnitude.shape
    length = (count - 1) * hop if length is None else length
    samples = magnitude.new_zeros(batch, length)
    if phase is None or phase.isnan().any():
        draw = torch.Generator().manual_seed(seed)
        one = torch.rand((1, bins, count), generator=draw) * (2 * math.pi)
        drawn = one.to(magnitude.device).expand(batch, bins, count)
        phase = drawn if phase is None else torch.where(phase.isnan(), drawn, phase)
    transform = Frames.of(n_fft, hop, count, length, magnitude.device)
    for index in range(batch):
        wanted = magnitude[index].T.contiguous()
        power = wanted.square()
        spectrum = torch.polar(wanted, phase[index].T.contiguous())
        last: Tensor | None = None
        for _ in range(rounds):
            consistent = transform.to_spectrum(transform.to_samples(spectrum))
            if refine is not None:
                power = refine(index, _power(consistent).T).T
            ahead = consistent
            if last is not None:
                # complex lerp is five times slower than that of its real pairs
                pairs = torch.view_as_real(last), torch.view_as_real(consistent)
                ahead = torch.view_as_complex(torch.lerp(*pairs, 1.0 + momentum))
            last = consistent
            size = _power(ahead).clamp_min_(1e-30)
            spectrum = ahead * torch.div(power, size, out=size).sqrt_()
        transform.fill(samples[index], spectrum)
    return samples
