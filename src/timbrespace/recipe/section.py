"""What all sections of a recipe are: strict, unchangeable, and chosen by their kind."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=1024)]
Fft = Annotated[int, Field(ge=64, le=16384)]  # samples of a window
Hop = Annotated[int, Field(ge=16, le=8192)]  # samples between two frames


class Section(BaseModel):
    """Settings with their ranges. Its `misfits` are sentences on what cannot go with the sections that
    it is given; one that comes later counts only when those before it are mended."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def kind_or(default: str) -> Callable[[Any], str]:
    """Which member of a union of sections a value is; `default` where it names no kind."""

    def kind_of(value: Any) -> str:
        named = value.get("kind", default) if isinstance(value, dict) else None
        found = named or getattr(value, "kind", default)
        return found if isinstance(found, str) else repr(found)

    return kind_of
