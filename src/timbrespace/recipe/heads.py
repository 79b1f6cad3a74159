"""Heads: what is read off the latent of a pair."""

from collections.abc import Iterator

from timbrespace.recipe.feature import AnyFeature
from timbrespace.recipe.section import Section


class HeadsSection(Section):
    """Which there are: see models.heads."""

    effect: bool = False
    knobs: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the corpus that they learn from, beside its knobs."""
        return ("effect",) if self.effect or self.knobs else ()

    def misfits(self, feature: AnyFeature, weights: dict[str, float]) -> Iterator[str]:
        """Of the weights of the objective's further terms, too."""
        rendered = [name for name in ("audio", "audio_l1") if weights.get(name)]
        if rendered and not self.knobs:
            yield (
                f"objective.weights.{rendered[0]} renders the knobs that a head reads, and there is none; "
                "add model.heads: {knobs: true}"
            )
        if weights.get("knob_kl") and not self.knobs:
            yield (
                "objective.weights.knob_kl weighs what a head says of knobs, and there is none; add "
                "model.heads: {knobs: true}"
            )
        for name, there in self.model_dump().items():
            weight = weights.get(name, 0.0)
            if there and not weight and not (name == "knobs" and rendered):
                yield (
                    f"model.heads.{name} asks for a head that objective.weights does not train; add "
                    f"objective.weights.{name}"
                )
            if weight and not there:
                yield (
                    f"objective.weights.{name} weighs a term that nothing makes; add "
                    f"model.heads: {{{name}: true}}"
                )
            if there and feature.stacked == 1:
                yield (
                    f"model.heads.{name} reads the effect between two sounds, but feature.kind "
                    f"{feature.kind} shows one; use feature.kind: pair"
                )
