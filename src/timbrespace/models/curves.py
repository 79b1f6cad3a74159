"""What a wave is made of where its pitch is known: how loud each harmonic and each band of noise is over
time, and how networks see that.

Serra & Smith 1990 (spectral modelling synthesis) find both in short-time spectra, too.
"""

import math

import torch
from torch import Tensor

FLOOR_DB = -100.0  # of a curve: what is softer is nothing
LOUDEST_DB = 12.0  # of a curve that a network draws
PERIODS = 3.2  # of the pitch in a window, at least: enough to tell harmonics apart
SHORTEST, LONGEST = 0.032, 0.256  # seconds of a window
DETUNED = 0.006  # of its frequency, or ten cents, that a harmonic may lie off
EULER = 0.5772  # the mean of -ln p where powers p of white noise have the mean 1


def curves_shape(shape: tuple[int, int], hop: int, partials: int, bands: int) -> tuple[int, int]:
    """(partials + bands, T + 1) of sounds of shape (1, N = T hop). ValueError where that cannot be."""
    height, samples = shape
    if height != 1 or samples % hop:
        raise ValueError(
            f"a sound of shape {height} x {samples} cannot be made of frames of {hop} samples; give one "
            f"line of samples, a multiple of {hop}"
        )
    return partials + bands, samples // hop + 1


def decibels(amplitudes: Tensor) -> Tensor:
    """Amplitudes as the cells of a picture: 1 is full scale, -1 is -100 dB, which stands for nothing."""
    least = 10.0 ** (FLOOR_DB / 20.0)
    return 1.0 - 2.0 / FLOOR_DB * 20.0 * (amplitudes + least).log10()


def amplitudes_of(cells: Tensor) -> Tensor:
    """The way back: zero at -1 and below, at most 12 dB above full scale."""
    least = 10.0 ** (FLOOR_DB / 20.0)
    level = ((1.0 - cells) * FLOOR_DB / 2.0).clamp_max(LOUDEST_DB)
    return (10.0 ** (level / 20.0) - least).clamp_min(0.0)


def analysed(
    x: Tensor, hz: Tensor, *, sample_rate: int, hop: int, partials: int, bands: int
) -> Tensor:
    """Amplitudes of the harmonics and RMS of the noise bands of sounds x (B, N) of pitches hz (B,), 0
    for unknown: (B, partials + bands, N / hop + 1), a value every `hop` samples, from sample 0 on.

    A harmonic is the loudest bin near a multiple of the pitch. Noise is what lies between them: the
    geometric mean of its powers, which a leaking harmonic hardly moves; `noise_bands` of that RMS have
    the same density. A window holds 3.2 periods, 32 to 256 ms, so that attacks stay short.
    """
    wanted = torch.where(hz > 0.0, PERIODS / hz.clamp_min(1.0), 0.0).clamp(SHORTEST, LONGEST)
    sizes = 2 ** (wanted * sample_rate).log2().ceil().long()
    found = x.new_zeros(len(x), partials + bands, x.shape[1] // hop + 1)
    for size in sizes.unique().tolist():
        at = (sizes == size).nonzero()[:, 0]
        found[at] = _in_windows(
            x[at], hz[at].double(), size, sample_rate=sample_rate, hop=hop, partials=partials,
            bands=bands,
        )  # fmt: skip
    return found


def _in_windows(
    x: Tensor, hz: Tensor, size: int, *, sample_rate: int, hop: int, partials: int, bands: int
) -> Tensor:
    """`analysed` by windows of `size` samples, for all sounds."""
    device = x.device
    n_fft = max(2 * size, 2 ** math.ceil(math.log2(sample_rate / 4)))  # bins of 4 Hz at most
    step = sample_rate / n_fft
    window = torch.hann_window(size, device=device)
    spectrum = torch.stft(x, n_fft, hop, size, window, pad_mode="constant", return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()  # (B, bins, T + 1)
    bins = torch.arange(power.shape[1], device=device)

    harmonic = hz[:, None] * torch.arange(1, partials + 1, device=device)  # (B, K)
    reach = torch.minimum(0.3 * hz[:, None], (DETUNED * harmonic).clamp_min(step)) / step
    widest = int(reach.max().ceil())
    offset = torch.arange(-widest, widest + 1, device=device).double()
    near = harmonic[..., None] / step + offset.clamp(-reach[..., None], reach[..., None])
    near = near.round().long().clamp(0, len(bins) - 1)  # (B, K, offsets)
    loudest = torch.stack([  # index_select copies rows: four times as fast as gather
        sound.index_select(0, rows.flatten()).unflatten(0, rows.shape).amax(1)
        for sound, rows in zip(power, near, strict=True)
    ])  # fmt: skip
    audible = (harmonic > 0.0) & (harmonic < sample_rate / 2.0)
    amplitude = 2.0 / window.sum() * loudest.sqrt() * audible[..., None]

    # the lobe of a harmonic, or what leaves a third of the bins between two
    lobe = (0.35 * hz).clamp_max(2.0 * sample_rate / size)
    hertz = bins * step
    number = (hertz / hz[:, None].clamp_min(1e-9)).round().clamp(1, partials)
    free = ((hertz - number * hz[:, None]).abs() > lobe[:, None]) | (hz[:, None] == 0.0)
    spacing = sample_rate / 2.0 / (bands - 1)
    centre = torch.arange(bands, device=device)[:, None] * spacing
    band = (hertz - centre).abs() <= 0.75 * spacing  # (bands, bins)
    counted = band & free[:, None]
    counted = torch.where(counted.any(2, keepdim=True), counted, band).float()
    density = (power / window.square().sum()).clamp_min(1e-14).log()
    mean = torch.bmm(counted / counted.sum(2, keepdim=True), density)
    return torch.cat([amplitude, (0.5 * (mean + EULER)).exp()], 1).to(x.dtype)
