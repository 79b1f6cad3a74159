"""Phase for a magnitude spectrogram that has none."""

import torch
from torch import Tensor


def griffin_lim(
    magnitude: Tensor, n_fft: int, hop: int, *, iterations: int = 32, momentum: float = 0.99,
    phase: Tensor | None = None, length: int | None = None, seed: int = 0,
) -> Tensor:  # fmt: skip
    """Samples (B, length) whose short-time magnitudes come close to `magnitude` (B, bins, T).

    Fast Griffin-Lim (Perraudin, Balazs, Sondergaard 2013); momentum 0 is the classic method.
    `phase` (B, bins, T) in radians is where it starts; without it, random phase from `seed`.
    """
    window = torch.hann_window(n_fft, device=magnitude.device)
    length = (magnitude.shape[-1] - 1) * hop if length is None else length
    if phase is None:
        draw = torch.Generator().manual_seed(seed)
        phase = (torch.rand(magnitude.shape, generator=draw) * 6.283185307).to(magnitude.device)
    span = (magnitude.shape[-1] - 1) * hop
    spectrum = torch.polar(magnitude, phase)
    last = torch.zeros_like(spectrum)
    for _ in range(iterations):
        samples = torch.istft(spectrum, n_fft, hop, window=window, length=max(span, 1))
        consistent = torch.stft(
            samples, n_fft, hop, window=window, pad_mode="constant", return_complex=True
        )
        ahead = consistent + momentum * (consistent - last)
        last = consistent
        spectrum = torch.polar(magnitude, ahead.angle())
    return torch.istft(spectrum, n_fft, hop, window=window, length=length)
