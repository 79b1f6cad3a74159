"""Changes of training pictures that keep pitch and envelope but vary the colour of the recording."""

import torch
from torch import Tensor


def tilt(x: Tensor, generator: torch.Generator, *, tilt_db: float, floor_db: float) -> Tensor:
    """A random smooth gain over frequency, up to about +-tilt_db, for each picture (B, 1, F, T).

    A sum of three slow cosines over the mel axis, like a broad equaliser. The result is brought back
    to a maximum of 0 dB; cells at the floor stay there, since what lies under it is unknown.
    """
    batch, _, mels, _ = x.shape
    axis = torch.linspace(0.0, torch.pi, mels)
    waves = torch.stack([torch.cos(k * axis) for k in (1.0, 2.0, 3.0)])
    sizes = torch.randn(batch, 3, generator=generator) * torch.tensor([0.6, 0.4, 0.3])
    gain = (sizes @ waves).clamp(-1.5, 1.5) * (2.0 * tilt_db / -floor_db)
    silent = x <= -1.0
    y = x + gain.to(x.device)[:, None, :, None]
    y = y + 1.0 - y.flatten(1).amax(1)[:, None, None, None]
    return torch.where(silent, x, y.clamp(-1.0, 1.0))
