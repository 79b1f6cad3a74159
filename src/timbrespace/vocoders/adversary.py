"""Discriminators that hear whether a spectrogram is a recording's: small ones, at three resolutions."""

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.nn.utils.parametrizations import weight_norm

RESOLUTIONS = (512, 1024, 2048)  # samples of the window; a quarter apart
CHANNELS = 32
STRIDES = ((1, 1), (2, 2), (2, 2), (2, 2), (1, 1))  # over frames and bins


class SpectrogramJudge(nn.Module):
    """Real and imaginary part of a transform (B, 2, frames, bins) to scores, and the layers before."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        widths = (2, *(CHANNELS,) * (len(STRIDES) - 1), 1)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(one, other, (3, 5), stride=stride, padding=(1, 2)))
            for one, other, stride in zip(widths[:-1], widths[1:], STRIDES, strict=True)
        )

    def forward(self, sound: Tensor) -> list[Tensor]:
        window = torch.hann_window(self.size, device=sound.device)
        spectrum = torch.stft(
            sound, self.size, self.size // 4, window=window, return_complex=True, normalized=True
        )
        x = torch.view_as_real(spectrum).permute(0, 3, 2, 1)
        seen = []
        for layer in self.layers[:-1]:
            x = leaky_relu(layer(x), 0.1)
            seen.append(x)
        return [*seen, self.layers[-1](x)]


class Adversary(nn.Module):
    """Multi-resolution discriminators of sounds (B, n), with hinge losses and matching of features (Jang
    et al. 2021, UnivNet; Kumar et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.judges = nn.ModuleList(SpectrogramJudge(size) for size in RESOLUTIONS)

    def judge(self, real: Tensor, made: Tensor) -> Tensor:
        """What the discriminators descend on."""
        parts = [
            (1.0 - judge(real)[-1]).relu().mean() + (1.0 + judge(made)[-1]).relu().mean()
            for judge in self.judges
        ]
        return torch.stack(parts).mean()

    def terms(self, real: Tensor, made: Tensor) -> dict[str, Tensor]:
        """What a generator descends on: `adversary` and `match`, unweighted."""
        fooled, matched = [], []
        for judge in self.judges:
            ours = judge(made)
            with torch.no_grad():
                theirs = judge(real)
            fooled.append((1.0 - ours[-1]).relu().mean())
            matched += [
                (a - b).abs().mean() / b.abs().mean().clamp_min(1e-6)
                for a, b in zip(ours[:-1], theirs[:-1], strict=True)
            ]
        return {"adversary": torch.stack(fooled).mean(), "match": torch.stack(matched).mean()}
