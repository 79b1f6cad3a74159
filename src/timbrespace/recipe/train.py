"""Training: how long, in which steps, and how the pictures are changed on the way."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from timbrespace.recipe.condition import ConditionSection
from timbrespace.recipe.feature import AnyFeature
from timbrespace.recipe.section import Section


class AugmentSection(Section):
    """Changes of the training pictures that leave pitch as it is."""

    layer: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0  # share with a second one over it
    tilt_db: Annotated[float, Field(ge=0.0, le=60.0)] = 0.0  # size of a smooth gain over frequency

    def misfits(self, feature: AnyFeature, condition: ConditionSection) -> Iterator[str]:
        yield from feature.without_decibels(
            {"train.augment.layer": self.layer, "train.augment.tilt_db": self.tilt_db}
        )
        if self.layer and "pitch" not in condition.labels:
            yield (
                "train.augment.layer lays sounds of one pitch over each other, but "
                "model.condition.labels has no pitch; add labels: [pitch] or set layer to 0"
            )


class TrainSection(Section):
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 15
    batch: Annotated[int, Field(ge=1, le=65536)] = 128
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    clip: Annotated[float, Field(gt=0.0, le=1e6)] | None = None  # largest gradient norm
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # decay of the weight average; 0 = off
    precision: Literal["float32", "bfloat16", "auto"] = "auto"
    patience: Annotated[int, Field(ge=0, le=10_000)] = 0  # epochs without progress; 0 = never stop
    augment: AugmentSection = AugmentSection()
