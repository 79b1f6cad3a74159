"""The whole recipe: all sections together, whether they fit, and the model that they ask for."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any

import yaml
from pydantic import Field

from timbrespace.errors import RecipeError
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.recipe.bottleneck import AnyBottleneck, DividedSection, GaussianSection
from timbrespace.recipe.condition import ConditionSection
from timbrespace.recipe.feature import AnyFeature, LogMelSection
from timbrespace.recipe.heads import HeadsSection
from timbrespace.recipe.networks import (
    AnyDecoder,
    AnyEncoder,
    DecoderSection,
    EncoderSection,
    HarmonicSection,
)
from timbrespace.recipe.objective import ObjectiveSection
from timbrespace.recipe.section import Section
from timbrespace.recipe.train import TrainSection


class ModelSection(Section):
    encoder: AnyEncoder = EncoderSection()
    bottleneck: AnyBottleneck = GaussianSection()
    decoder: AnyDecoder = DecoderSection()
    condition: ConditionSection = ConditionSection()
    heads: HeadsSection = HeadsSection()

    def misfits(self, feature: AnyFeature) -> Iterator[str]:
        one, other = self.encoder, self.decoder
        if isinstance(self.bottleneck, DividedSection) and not (
            feature.kind == "pair" and one.kind == other.kind == "conv2d"
        ):
            yield (
                "model.bottleneck.kind divided gives the dry sound of a pair numbers of its own, for which "
                "feature.kind should be pair and the kinds of encoder and decoder conv2d; they are "
                f"{feature.kind}, {one.kind} and {other.kind}; change them, or use model.bottleneck: "
                "{kind: gaussian}"
            )
        if isinstance(one, HarmonicSection) and isinstance(other, HarmonicSection):
            for name in ("hop", "partials", "bands"):
                if getattr(one, name) != getattr(other, name):
                    yield (
                        f"model.encoder.{name} is {getattr(one, name)} and model.decoder.{name} "
                        f"{getattr(other, name)}, but both have the same curves; make them equal"
                    )


class Recipe(Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    about: str = ""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    feature: AnyFeature = LogMelSection()
    model: ModelSection = ModelSection()
    objective: ObjectiveSection
    train: TrainSection = TrainSection()

    def to_yaml(self) -> str:
        """The whole recipe, defaults included, as YAML that `parse` takes back unchanged."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    @property
    def hears_alone(self) -> bool:
        """Whether it is a space of wet sounds as one hears them who has not the dry ones."""
        return self.model.encoder.kind == "wet"

    def with_usual_weights(self) -> "Recipe":
        """This recipe with the weights of its bottleneck's terms where it names none."""
        usual = {name: weight for name, weight in self.model.bottleneck.terms.items() if weight}
        weights = {**usual, **self.objective.weights}
        objective = self.objective.model_copy(update={"weights": weights})
        return self.model_copy(update={"objective": objective})


def differences(one: Recipe, other: Recipe) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, by key: {"train.batch": (of one, of other)}; None where one has none.

    What only one of them has stands once, as a whole. Sections of different kinds differ in their kind.
    """

    def found(a: Any, b: Any, key: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
        if not (isinstance(a, dict) and isinstance(b, dict)):
            if a != b:
                yield key, (a, b)
            return
        names = ("kind",) if a.get("kind") != b.get("kind") else dict.fromkeys([*a, *b])
        for name in names:
            yield from found(a.get(name), b.get(name), f"{key}.{name}".strip("."))

    return dict(found(one.model_dump(), other.model_dump(), ""))


def check(recipe: Recipe) -> None:
    """RecipeError when the parts cannot fit; costs nothing, so it runs before any data is read."""
    feature, model = recipe.feature, recipe.model
    misfits = chain(
        model.encoder.misfits(feature),
        model.decoder.misfits(feature),
        recipe.objective.misfits(feature, model.bottleneck),
        model.condition.misfits(model.encoder, model.decoder, recipe.objective.weights),
        model.heads.misfits(feature, recipe.objective.weights),
        model.misfits(feature),
        model.bottleneck.misfits(recipe.train.batch),
        recipe.train.augment.misfits(feature, model.condition),
        feature.misfits(),
    )
    for misfit in misfits:
        raise RecipeError(misfit)


def build(recipe: Recipe, vocabulary: Vocabulary | None = None) -> Any:
    """The recipe's untrained Autoencoder (weights from torch's current random state).

    vocabulary: the values of its labels; pitch and velocity need none, any other label is always
    unknown without.
    """
    from timbrespace.models.catalogue import build_model

    model = recipe.model
    try:
        return build_model(
            recipe.feature.shape,
            encoder=model.encoder.settings(recipe.feature),
            bottleneck=model.bottleneck.model_dump(),
            decoder=model.decoder.settings(recipe.feature),
            condition=model.condition.model_dump(),
            heads=model.heads.model_dump(),
            vocabulary=vocabulary or Vocabulary(),
        )  # fmt: skip
    except ValueError as error:
        raise RecipeError(f"recipe {recipe.name}: {error}") from None
