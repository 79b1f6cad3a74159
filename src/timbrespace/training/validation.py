"""What is measured after every epoch: distortion, rate, use of the latent."""

from dataclasses import dataclass

import torch
from torch import Tensor

from timbrespace.batches import Pictures
from timbrespace.models.autoencoder import Autoencoder

ACTIVE = 0.01  # variance of mu over the sounds (Burda et al. 2016, section 5.2)


@dataclass(frozen=True)
class Validation:
    """Figures of one pass over a split; `mse` in normalised units, z sampled unless said."""

    mse: float
    mse_at_mean: float
    kl: Tensor  # nats per dimension, (Z,)
    active_units: int
    db_per_unit: float

    @property
    def nats(self) -> float:
        return float(self.kl.sum())

    @property
    def bits(self) -> float:
        return self.nats / 0.6931471805599453

    @property
    def rmse_db(self) -> float:
        return self.mse**0.5 * self.db_per_unit

    @property
    def rmse_db_at_mean(self) -> float:
        return self.mse_at_mean**0.5 * self.db_per_unit


@torch.no_grad()
def validate(
    model: Autoencoder, pictures: Pictures, *, seed: int, floor_db: float,
    device: torch.device, autocast: bool, batch: int = 128,
) -> Validation:  # fmt: skip
    """One pass in order; the noise is the same at every epoch, so figures compare."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    squared = squared_mean = 0.0
    means, kls = [], []
    for x, labels in pictures.in_order(batch, device):
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            latent = model.encode(x, labels)
            noise = torch.randn(latent.mean.shape, generator=generator).to(device)
            z = latent.sample(noise)
            sampled = model.decode(z, labels)
            at_mean = model.decode(latent.mean, labels)
        squared += float((sampled.float() - x).square().sum(dtype=torch.float64))
        squared_mean += float((at_mean.float() - x).square().sum(dtype=torch.float64))
        means.append(latent.mean.cpu())
        kls.append(latent.nats(z).cpu())
    cells = len(pictures) * x[0].numel()
    variance = torch.cat(means).var(0, unbiased=False)
    return Validation(
        squared / cells, squared_mean / cells, torch.cat(kls).mean(0),
        int((variance > ACTIVE).sum()), -floor_db / 2.0,
    )  # fmt: skip
