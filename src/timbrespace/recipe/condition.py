"""Conditions: what the networks are told of a sound, and what the latent shall not say."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator

from timbrespace.models.vocabulary import NUMBERS
from timbrespace.recipe.networks import (
    AnyDecoder,
    AnyEncoder,
    Conv1dDecoderSection,
    DecoderSection,
)
from timbrespace.recipe.section import Count, Section

LabelName = Annotated[str, Field(pattern=r"^[^.]{1,80}$")]
Removal = Literal["adversary", "independence"]


class LabelSection(Section):
    """How one label is told. Short form of several: a list of names."""

    kind: Literal["embedding", "continuous"] = "embedding"  # continuous: pitch and velocity alone
    to: Literal["encoder", "decoder", "both"] = "both"
    drop: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # share of sounds trained without it


class ConditionSection(Section):
    """What the networks are told, and what the latent shall not say: any label of the corpus."""

    labels: dict[LabelName, LabelSection] = {}
    size: Count = 32  # numbers per label
    remove: dict[LabelName, Removal] = {}

    @field_validator("labels", mode="before")
    @classmethod
    def of_names(cls, value: Any) -> Any:
        names = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
        return {name: {} for name in value} if names else value

    @property
    def names(self) -> tuple[str, ...]:
        """All labels that training needs: those told, and those removed."""
        return tuple({**self.labels, **self.remove})

    def told(self, half: Literal["encoder", "decoder"]) -> tuple[str, ...]:
        """The labels that one half hears."""
        return tuple(name for name, label in self.labels.items() if label.to in (half, "both"))

    def misfits(
        self, encoder: AnyEncoder, decoder: AnyDecoder, weights: dict[str, float]
    ) -> Iterator[str]:
        """Of the weights of the objective's further terms, too."""
        for net in (encoder, decoder):
            for name in net.needs:
                if name not in self.told(net.part):
                    yield (
                        f"model.{net.part}.kind {net.kind} must be told the {name}, but "
                        f"model.condition.labels tells the {net.part} none; add labels: [{name}]"
                    )
        films = isinstance(decoder, DecoderSection | Conv1dDecoderSection) and decoder.film
        if films and not self.told("decoder"):
            yield (
                "model.decoder.film tells the condition to every level, but model.condition.labels "
                "tells the decoder none; add labels: [pitch] or switch film off"
            )
        for name, label in self.labels.items():
            if label.kind == "continuous" and name not in NUMBERS:
                yield (
                    f"model.condition.labels.{name} is continuous, which wants a MIDI number "
                    f"({' or '.join(NUMBERS)}); use kind: embedding"
                )
        for way in get_args(Removal):
            asked, weight = way in self.remove.values(), weights.get(way, 0.0)
            if asked and not weight:
                yield (
                    f"model.condition.remove asks for {way}, but objective.weights gives it no "
                    f"weight; add objective.weights.{way}"
                )
            if weight and not asked:
                yield (
                    f"objective.weights.{way} weighs a term that nothing makes; name the label: "
                    f"model.condition.remove: {{pitch: {way}}}"
                )
