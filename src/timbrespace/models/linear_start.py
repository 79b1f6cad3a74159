"""A model of principal components begins as the best linear code of its pictures.

Of all linear maps to a Gaussian latent and back, the one with the least squared error at a rate is
known (reverse water-filling: Cover & Thomas 2006, theorem 10.3.3; as a VAE: Tipping & Bishop 1999,
section 3.2, and Lucas et al. 2019, arXiv 1911.02469). What the condition says of a picture is a regression
on it; of the rest, the component with variance v is worth (ln v / beta) / 2 nats where v > beta, and
has the share 1 - beta / v of its variance back. beta is that of the Gaussian ELBO.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from timbrespace.geometry.rate import water_level
from timbrespace.models.autoencoder import Autoencoder, Labels
from timbrespace.models.harmonic import Curves
from timbrespace.models.principal import LEAST, PrincipalDecoder, PrincipalEncoder

PART = 256  # sounds whose scores are found at once
RIDGE = 1e-4  # of the regression on the condition, a sound


@dataclass(frozen=True)
class LinearCode:
    """What a latent's numbers shall be at the start.

    map (Z, H), offset (Z,): of hidden numbers h (B, H), map h + offset has mean 0 and variance 1 over the
    sounds, without correlation, the first number that of the component with most variance. scale (Z,):
    the standard deviation of what each stands for. share (Z,): how much of its variance its bits
    give back.
    """

    map: Tensor
    offset: Tensor
    scale: Tensor
    share: Tensor

    # What makes it of Gaussian numbers, N(0, 1) over the sounds, and so the code of least error:
    @property
    def mean_weight(self) -> Tensor:
        """Of the linear layer from h to the means (Z, H)."""
        return self.share.sqrt()[:, None] * self.map

    @property
    def mean_bias(self) -> Tensor:
        return self.share.sqrt() * self.offset

    @property
    def logvar(self) -> Tensor:
        # of a share that float32 cannot tell from 1 the logarithm is -inf; no bottleneck goes below -12
        return (1.0 - self.share).log().clamp_min(-12.0)

    @property
    def units(self) -> Tensor:
        """(Z, Z): in column j what one unit of number j is on the components."""
        return torch.diag(self.share.sqrt() * self.scale)


@torch.no_grad()
def begin(model: Autoencoder, x: Tensor, labels: Labels, nats: float) -> float | None:
    """Make `model` the best linear code of pictures x (N, 1, F, T), or of the curves of waves x, at
    `nats` per sound, as far as its parts can be one: an encoder or decoder of another kind, or a
    bottleneck that knows no linear start, stays as it is. Returns beta; None where the latent was not
    started.
    """
    encoder, decoder = (_on_components(half.net) for half in (model.encoder, model.decoder))
    if encoder is None and decoder is None:
        return None
    pictures = _seen(model, x, labels)
    if encoder is not None:
        encoder.components.fit(pictures)
    if decoder is not None:
        if encoder is not None and encoder.components.count == decoder.components.count:
            decoder.components.load_state_dict(encoder.components.state_dict())
        else:
            decoder.components.fit(pictures)
    if not isinstance(decoder, PrincipalDecoder):
        return None
    scores = torch.cat([decoder.components.scores(part) for part in pictures.split(PART)])
    scores = scores * decoder.components.scale  # in picture units
    told = model.decoder.conditions(labels, len(x), x.device).float()
    weight, bias = _regression(told, scores)
    rest = scores - told @ weight - bias
    latent = model.latent
    decoder.linear.weight[:, latent:] = weight.T / decoder.components.scale[:, None]
    decoder.linear.bias.copy_(bias / decoder.components.scale)
    if not isinstance(encoder, PrincipalEncoder) or encoder.components.count < latent:
        return None
    if decoder.components.count != encoder.components.count:
        return None
    values, vectors = torch.linalg.eigh(rest.T @ rest / len(x))
    variances = values.flip(0)[:latent].clamp_min(LEAST * float(values.max()))
    axes = vectors.flip(1)[:, :latent]  # (K, Z)
    beta = water_level(variances.cpu().numpy(), nats)
    whiten = axes / variances.sqrt()
    heard = model.encoder.conditions(labels, len(x), x.device).float()
    weight, bias = _regression(heard, scores)
    start = torch.zeros(latent, encoder.width)
    start[:, encoder.hidden :] = torch.cat(
        [(whiten * encoder.components.scale[:, None]).T, -(weight @ whiten).T], 1
    )
    code = LinearCode(
        start, -(bias @ whiten), variances.sqrt(), (1.0 - beta / variances).clamp_min(0.01)
    )
    units = model.encoder.bottleneck.begin(code)
    if units is None:
        return None
    decoder.linear.weight[:, :latent] = axes @ units / decoder.components.scale[:, None]
    return beta


def _on_components(net: nn.Module) -> PrincipalEncoder | PrincipalDecoder | None:
    """The part of an encoder or decoder that stands on principal components, if it has one."""
    part = getattr(net, "curves", net)
    return part if isinstance(part, PrincipalEncoder | PrincipalDecoder) else None


def _seen(model: Autoencoder, x: Tensor, labels: Labels) -> Tensor:
    """What the components are those of: pictures x, or the curves of waves x."""
    for half in (model.decoder, model.encoder):
        if isinstance(half.net, Curves):
            pitch = half.conditions.numbers("pitch", labels, len(x), x.device)
            parts = zip(x.split(PART), pitch.split(PART), strict=True)
            return torch.cat([half.net.seen(*part) for part in parts])
    return x


def _regression(told: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Ridge regression of scores (N, K) on the condition (N, C): weight (C, K) and bias (K,), which
    is the mean where nothing is told."""
    mean, centre = scores.mean(0), told.mean(0)
    centred = told - centre
    inner = centred.T @ centred + RIDGE * len(told) * torch.eye(told.shape[1], device=told.device)
    weight = torch.linalg.solve(inner, centred.T @ (scores - mean))
    return weight, mean - centre @ weight
