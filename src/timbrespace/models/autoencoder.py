"""The model: four slots, encoder -> bottleneck -> decoder, and the condition that two of them hear."""

from dataclasses import dataclass, field

from torch import Tensor, nn

from timbrespace.models.bottlenecks import Bottleneck, Latent
from timbrespace.models.conditions import Conditions
from timbrespace.models.heads import Heads
from timbrespace.models.principal import PrincipalDecoder
from timbrespace.models.removal import Removal

Labels = dict[str, Tensor]


@dataclass(frozen=True)
class Reconstruction:
    """What one pass gives: the picture x (B, 1, F, T), its latent, the z that was decoded, and raw
    terms of what z should and should not say."""

    x: Tensor
    latent: Latent
    z: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class EncoderHalf(nn.Module):
    """Condition, encoder and bottleneck: pictures to latents. Works without the other half."""

    def __init__(self, conditions: Conditions, net: nn.Module, bottleneck: Bottleneck) -> None:
        super().__init__()
        self.conditions, self.net, self.bottleneck = conditions, net, bottleneck

    def forward(self, x: Tensor, labels: Labels) -> Latent:
        return self.bottleneck(
            self.net(x, *self.conditions.told(self.net, labels, len(x), x.device))
        )


class DecoderHalf(nn.Module):
    """Condition and decoder: latent points to pictures. Works without the other half.

    `entrance` belongs to the bottleneck's kind: what it makes of flat latents before the decoder.
    """

    def __init__(self, conditions: Conditions, entrance: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.conditions, self.entrance, self.net = conditions, entrance, net

    def forward(self, z: Tensor, labels: Labels, columns: Tensor | None = None) -> Tensor:
        """Pictures of z, or those `columns` (N,) of them alone."""
        told = self.conditions.told(self.net, labels, len(z), z.device)
        if isinstance(self.net, PrincipalDecoder):
            return self.net(self.entrance(z), *told, columns)
        made = self.net(self.entrance(z), *told)
        return made if columns is None else made[..., columns]


class Autoencoder(nn.Module):
    """Pictures (B, 1, F, T) in [-1, 1] to latents (B, Z) and back."""

    def __init__(
        self, encoder: EncoderHalf, decoder: DecoderHalf, removal: Removal | None = None,
        heads: Heads | None = None,
    ) -> None:  # fmt: skip
        """`removal` belongs to training alone: it reads off z what z should not say; `heads` read off
        what it should."""
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.removal, self.heads = removal, heads

    @property
    def latent(self) -> int:
        """How many numbers a sound has."""
        return self.encoder.bottleneck.latent

    @property
    def heard(self) -> int:
        """How many of them, the first, heads read: see `Bottleneck.heard`."""
        return self.encoder.bottleneck.heard

    @property
    def levels(self) -> tuple[int, ...]:
        """How many of them belong to each level, the top first."""
        return self.encoder.bottleneck.levels

    def encode(self, x: Tensor, labels: Labels | None = None) -> Latent:
        return self.encoder(x, labels or {})

    def decode(
        self, z: Tensor, labels: Labels | None = None, columns: Tensor | None = None
    ) -> Tensor:
        return self.decoder(z, labels or {}, columns)

    def forward(self, x: Tensor, labels: Labels, noise: Tensor) -> Reconstruction:
        """One training pass; `noise` (B, Z) is handed in so that a step can be repeated exactly."""
        latent = self.encode(x, labels)
        z = latent.sample(noise)
        terms = {} if self.removal is None else self.removal(z, labels)
        if self.heads is not None:
            terms |= self.heads.terms(z, labels)
        return Reconstruction(self.decode(z, labels), latent, z, terms)

    def parameters_count(self) -> int:
        return sum(p.numel() for p in self.parameters())
