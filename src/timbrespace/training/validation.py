"""What is measured after every epoch: distortion, rate, use of the latent."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from timbrespace.batches import Pictures
from timbrespace.features.feature import Feature
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.models.heads import Calibration

ACTIVE = 0.01  # variance of mu over the sounds (Burda et al. 2016, section 5.2)


@dataclass(frozen=True)
class Validation:
    """Figures of one pass over a split; z sampled unless said. `mse` is of the pictures in which the
    feature tells errors, in normalised units; `figures` are what it measures besides."""

    mse: float
    mse_at_mean: float
    kl: Tensor  # nats per dimension, (Z,)
    active_units: int | None  # None for codes, whose vectors may be as small as they like
    db_per_unit: float
    figures: dict[str, float] = field(default_factory=dict)

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
    model: Autoencoder, pictures: Pictures, *, seed: int, feature: Feature,
    device: torch.device, autocast: bool, batch: int = 128,
) -> Validation:  # fmt: skip
    """One pass in order; the noise is the same at every epoch, so figures compare."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    squared = squared_mean = 0.0
    cells, figures = 0, defaultdict[str, float](float)
    means, kls, codes = [], [], []
    heard = defaultdict[str, list[Tensor]](list)
    for x, labels in pictures.in_order(batch, device):
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            latent = model.encode(x, labels)
            noise = torch.randn(latent.mean.shape, generator=generator).to(device)
            z = latent.sample(noise)
            sampled = model.decode(z, labels)
            at_mean = model.decode(latent.mean, labels)
        x, sampled, at_mean = x[:, 0], sampled[:, 0].float(), at_mean[:, 0].float()
        original, seen = feature.compared(x, sampled)
        squared += float((seen - original).square().sum(dtype=torch.float64))
        seen = feature.compared(x, at_mean)[1]
        squared_mean += float((seen - original).square().sum(dtype=torch.float64))
        cells += original.numel()
        for name, values in feature.figures(x, sampled).items():
            figures[name] += float(values.sum()) / len(pictures)
        if model.heads is not None:
            for name, values in model.heads.errors(latent.mean.float(), labels).items():
                heard[name].append(values)
        means.append(latent.mean.cpu())
        kls.append(latent.nats(z).cpu())
        if latent.codes is not None:
            codes.append(latent.codes.cpu().numpy())
    errors = {name: torch.cat(values) for name, values in heard.items()}
    figures |= {name: float(values.mean()) for name, values in errors.items() if len(values)}
    variance = torch.cat(means).var(0, unbiased=False)
    books = model.encoder.bottleneck.codebooks
    if books is not None:
        for level, use in enumerate(books.use(books.counts(np.concatenate(codes))), start=1):
            figures[f"codes_used_{level}"] = float(use.used)
            figures[f"perplexity_{level}"] = use.perplexity
    return Validation(
        squared / cells, squared_mean / cells, torch.cat(kls).mean(0),
        None if books else int((variance > ACTIVE).sum()), feature.yardstick.db_per_unit, dict(figures),
    )  # fmt: skip


@torch.no_grad()
def calibration(
    model: Autoencoder, pictures: Pictures, device: torch.device, batch: int = 128
) -> Calibration:
    """How sure the heads of `model` may be, by these pictures, which they have not learnt."""
    assert model.heads is not None
    latents, told = [], defaultdict[str, list[Tensor]](list)
    for x, labels in pictures.in_order(batch, device):
        latents.append(model.encode(x, labels).mean.float())
        for name, values in labels.items():
            told[name].append(values)
    every = {name: torch.cat(values) for name, values in told.items()}
    return model.heads.calibrated(torch.cat(latents), every)
