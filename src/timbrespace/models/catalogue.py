"""Which parts there are, and how a recipe's words become a model."""

from typing import Any

from torch import nn

from timbrespace.models.autoencoder import Autoencoder, DecoderHalf, EncoderHalf
from timbrespace.models.bottlenecks import Bottleneck, Gaussian
from timbrespace.models.conditions import Conditions
from timbrespace.models.decoders import Conv2dDecoder
from timbrespace.models.divided import Divided, DividedDecoder, DividedEncoder
from timbrespace.models.encoders import Conv2dEncoder, SiameseEncoder, WetEncoder, single
from timbrespace.models.framewise import FrameDecoder, FrameEncoder
from timbrespace.models.harmonic import HarmonicDecoder, HarmonicEncoder, MelEncoder
from timbrespace.models.heads import Heads
from timbrespace.models.hierarchical import Hierarchical
from timbrespace.models.principal import PrincipalDecoder, PrincipalEncoder
from timbrespace.models.quantised import FiniteScalarQuantised, VectorQuantised
from timbrespace.models.removal import Removal
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.models.waveform import Conv1dDecoder, Conv1dEncoder

ENCODERS: dict[str, type[nn.Module]] = {
    "conv2d": Conv2dEncoder, "siamese": SiameseEncoder, "wet": WetEncoder, "frames": FrameEncoder,
    "principal": PrincipalEncoder, "conv1d": Conv1dEncoder, "mel2d": MelEncoder, "harmonic": HarmonicEncoder,
}  # fmt: skip
DECODERS: dict[str, type[nn.Module]] = {
    "conv2d": Conv2dDecoder, "frames": FrameDecoder, "principal": PrincipalDecoder,
    "conv1d": Conv1dDecoder, "harmonic": HarmonicDecoder,
}  # fmt: skip
BOTTLENECKS: dict[str, type[Bottleneck]] = {
    "gaussian": Gaussian, "hierarchical": Hierarchical, "vq": VectorQuantised,
    "fsq": FiniteScalarQuantised,
}  # fmt: skip


def build_model(
    shape: tuple[int, int], *, encoder: dict[str, Any], bottleneck: dict[str, Any],
    decoder: dict[str, Any], condition: dict[str, Any], heads: dict[str, bool],
    vocabulary: Vocabulary,
) -> Autoencoder:  # fmt: skip
    """A model for pictures of `shape` (mels, frames) from the keyword arguments of each part.

    Each dict holds `kind` (a name of the catalogue) and that class's settings; `condition` holds
    `labels` (name -> kind and to whom), `size` (numbers per label) and `remove` (name -> way), `heads`
    which there are, and `vocabulary` says how many values each label has, and which knobs each effect.
    ValueError when the parts cannot fit.
    """

    def split(settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return settings["kind"], {k: v for k, v in settings.items() if k != "kind"}

    def conditions(half: str) -> Conditions:
        told = {n: how for n, how in condition["labels"].items() if how["to"] in (half, "both")}
        smooth = [n for n, how in told.items() if how["kind"] == "continuous"]
        return Conditions({n: vocabulary.count(n) for n in told}, condition["size"], smooth)

    encoder_kind, encoder_settings = split(encoder)
    decoder_kind, decoder_settings = split(decoder)
    bottleneck_kind, bottleneck_settings = split(bottleneck)
    told_encoder, told_decoder = conditions("encoder"), conditions("decoder")
    if decoder_settings.get("film") and not told_decoder.size:
        raise ValueError("decoder.film needs a condition; add condition.labels: [pitch]")

    if bottleneck_kind == "divided":
        net, neck, back = _divided(
            shape, told_encoder.size, told_decoder.size, encoder_settings, bottleneck_settings,
            decoder_settings,
        )  # fmt: skip
    else:
        net = ENCODERS[encoder_kind](shape, told_encoder.size, **encoder_settings)
        neck = BOTTLENECKS[bottleneck_kind](net.width, **bottleneck_settings)
        back = DECODERS[decoder_kind](shape, neck.latent, told_decoder.size, **decoder_settings)
    halves = EncoderHalf(told_encoder, net, neck), DecoderHalf(told_decoder, neck.entrance(), back)
    ways = condition["remove"]
    counts = {name: vocabulary.count(name) for name in ways}
    removal = Removal(neck.latent, ways, counts) if ways else None
    read = Heads(neck.heard, vocabulary, **heads) if any(heads.values()) else None
    return Autoencoder(*halves, removal, read)


def _divided(
    shape: tuple[int, int], to_encoder: int, to_decoder: int, encoder: dict[str, Any],
    bottleneck: dict[str, Any], decoder: dict[str, Any],
) -> tuple[DividedEncoder, Divided, DividedDecoder]:  # fmt: skip
    """The parts of a divided latent: each network twice, of all pictures and of the first."""
    stacked = encoder["stacked"]
    height, width = one = single(shape, stacked)
    alone: dict[str, Any] = {"stacked": 1}
    net = DividedEncoder(
        Conv2dEncoder(shape, to_encoder, **encoder),
        Conv2dEncoder(one, to_encoder, **encoder | alone),
    )
    neck = Divided(net.widths, **bottleneck)
    others = (stacked - 1) * height, width
    back = DividedDecoder(
        Conv2dDecoder(others, neck.latent, to_decoder, **{**decoder, "stacked": stacked - 1}),
        Conv2dDecoder(one, neck.levels[1], to_decoder, **decoder | alone), neck.heard,
    )  # fmt: skip
    return net, neck, back
