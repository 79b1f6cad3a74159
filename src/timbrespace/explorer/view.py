"""One state of run, space and model, and the points of it that the page can choose.

Positions in arrays are called `index`; the ids that the page knows are the corpus' row ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.explorer.makers import CLASSICAL
from timbrespace.geometry.neighbours import far, interpolate, nearest, spacing
from timbrespace.geometry.paths import Kind, between
from timbrespace.models.vocabulary import NUMBERS

if TYPE_CHECKING:
    from timbrespace.directions import Directions
    from timbrespace.exporting.points import Point
    from timbrespace.likeness import Likeness
    from timbrespace.mapping import Space
    from timbrespace.render.synth import Inverter, Synth
    from timbrespace.runs import Run

NEIGHBOURS = 12  # sounds that a spot on the map is made from
DRAWN = 33  # places of a way that are drawn on the map
FARTHEST = 999.0  # what the page is told instead of more, or of infinity
Labels = Mapping[str, Any]  # values of labels by name
Toward = Mapping[str, float]  # steps along named directions
RowId = Annotated[int, Field(ge=0, le=999_999_999)]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]


class NotHere(TimbrespaceError):
    """A sound, map or file that the run does not have (any more)."""


class _Place(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class OfSound(_Place):
    """A sound of the corpus."""

    kind: Literal["sound"] = "sound"
    row: RowId


class OnMap(_Place):
    """A spot on a map, in the map's own coordinates."""

    kind: Literal["spot"] = "spot"
    map: str = Field(max_length=32)
    x: Coordinate
    y: Coordinate


class OnTheWay(_Place):
    """A place on the way from the sound a (0) to the sound b (1)."""

    kind: Literal["morph"] = "morph"
    a: RowId
    b: RowId
    at: float = Field(ge=0, le=1)
    path: Kind = "slerp"


Place = OfSound | OnMap | OnTheWay


@dataclass(frozen=True)
class Around:
    """What stands around a spot on a map: the indices of the nearest sounds, nearest first, and the
    distance to the nearest over the usual distance between neighbours."""

    near: list[int]
    ratio: float


@dataclass(frozen=True)
class View:
    """One consistent state of run, space and model; replaced as a whole when the space changes."""

    run: Run
    space: Space | None
    synth: Synth | None
    index_of: dict[int, int]
    names: dict[int, str]
    spacings: dict[str, float]  # per map, the usual distance between neighbours
    directions: Directions | None
    maker: str = CLASSICAL  # of its sounds, by name

    def made_by(self, maker: str, vocoder: Inverter | None) -> View:
        """The same, with sounds that a vocoder makes; without one they are made as they were."""
        synth = self.synth
        if synth is not None and vocoder is not None:
            synth = copy(synth)
            synth.vocoder = vocoder
        return replace(self, synth=synth, maker=maker)

    @property
    def key(self) -> tuple[str, str]:
        """What a sound that is made depends on beside the question."""
        return self.version, self.maker

    @cached_property
    def likeness(self) -> Likeness:
        """Of the space, which is there where any sound is."""
        from timbrespace.likeness import Likeness

        assert self.space is not None
        return Likeness.open(self.run, self.space)

    @property
    def version(self) -> str:
        return self.space.version if self.space else ""

    @property
    def pitched(self) -> bool:
        """Whether the decoder is told the pitch."""
        return self.synth is not None and self.synth.pitched

    @property
    def conditions(self) -> list[dict[str, Any]]:
        """What the decoder is told beside the pitch: each label's words, or that it is a MIDI number."""
        if self.synth is None:
            return []
        words = self.synth.vocabulary.words
        return [
            {"name": name, "number": name in NUMBERS, "words": words.get(name, ())}
            for name in self.synth.told
            if name != "pitch"
        ]

    @property
    def pitch_range(self) -> list[int] | None:
        """The lowest and the highest pitch of the sounds."""
        known = [self.pitch(i) for i in range(len(self.space.rows))] if self.space else []
        known = [pitch for pitch in known if pitch is not None]
        return [min(known), max(known)] if known else None

    def index(self, row: int) -> int:
        if row not in self.index_of:
            raise NotHere(f"This run has no sound {row}.")
        return self.index_of[row]

    def name(self, row: int) -> str:
        return self.names.get(row, f"sound {row}")

    def pitch(self, index: int) -> int | None:
        values = self.space.labels.get("pitch") if self.space else None
        value = values[index] if values is not None else None
        if isinstance(value, (int, float, np.number)) and 0 <= value <= 127:
            return int(value)
        return None

    def labels(self, asked: Labels | None, index: int) -> dict[str, Any]:
        """What the decoder is to be told beside the pitch: as asked, an empty text for "unknown", and
        what is not asked as the sound at `index` has it. NotHere for a label that it does not hear."""
        names = [condition["name"] for condition in self.conditions]
        for name in asked or {}:
            if name not in names:
                raise NotHere(f"This model is not told {name[:32]}.")
        known = self.space.labels if self.space else {}
        own = {name: known[name][index] if name in known else None for name in names}
        return own | dict(asked or {})

    def shift(self, toward: Toward | None) -> np.ndarray | float:
        """What steps along named directions add to a latent; NotHere where there are none of that name."""
        if not toward:
            return 0.0
        if self.directions is None:
            raise NotHere("This space has no named directions.")
        try:
            return self.directions.shift(toward)
        except RunError as error:
            raise NotHere(str(error)) from None

    def _map(self, name: str) -> np.ndarray:
        if self.space is None or name not in self.space.maps:
            raise NotHere(f"This run has no map called {name[:32]}.")
        return np.asarray(self.space.maps[name], np.float32)

    def around(self, map_name: str, x: float, y: float) -> Around:
        """NotHere when there is no such map."""
        points = self._map(map_name)
        query = np.array([[x, y]], np.float32)
        _, found = nearest(points, query, min(NEIGHBOURS, len(points)))
        ratio = float(far(points, query, scale=self.spacings[map_name])[0])
        return Around([int(i) for i in np.asarray(found)[0]], min(ratio, FARTHEST))

    def point(
        self, place: Place, labels: Labels | None = None, toward: Toward | None = None
    ) -> Point:
        """The point of a place, so many steps along the named directions. Labels that are not named
        are those of the sound, or of the nearest; on the way from one to another see `way`."""
        if isinstance(place, OfSound):
            return self._of_sound(place, labels, toward)
        if isinstance(place, OnMap):
            return self._on_map(place, labels, toward)
        return self.way(place.a, place.b, [place.at], place.path, labels, toward)[0]

    def _of_sound(self, place: OfSound, labels: Labels | None, toward: Toward | None) -> Point:
        from timbrespace.exporting.points import Point

        index, name = self.index(place.row), self.name(place.row)
        told, shift = self.labels(labels, index), self.shift(toward)
        assert self.space is not None
        latent, level = self.space.mean[index] + shift, float(self.space.rms_db[index])
        return Point(
            latent.astype(np.float32), self.pitch(index), level, told, name, name + _steps(toward)
        )

    def _on_map(self, place: OnMap, labels: Labels | None, toward: Toward | None) -> Point:
        """A kernel over the nearest sounds on the map; the nearest one lends pitch and labels."""
        from timbrespace.exporting.points import Point

        near = self.around(place.map, place.x, place.y).near
        told, shift = self.labels(labels, near[0]), self.shift(toward)
        assert self.space is not None
        points = np.asarray(self.space.maps[place.map], np.float32)
        # the level goes through the same kernel as the latent, as one more column
        known = np.column_stack([self.space.mean, self.space.rms_db]).astype(np.float32)
        query = np.array([[place.x, place.y]], np.float32)
        made = np.asarray(interpolate(points, known, query, k=len(near)))[0]
        about = f"the spot {place.x:.2f}, {place.y:.2f} of the {place.map} map" + _steps(toward)
        pitch = self.pitch(near[0])
        return Point(
            (made[:-1] + shift).astype(np.float32), pitch, float(made[-1]), told, "spot", about
        )

    def way_on_map(self, map_name: str, a: int, b: int, kind: Kind) -> np.ndarray:
        """Where the way from the sound a to the sound b runs on a map, (DRAWN, 2): its places lie among the
        sounds that are nearest to them in the space. NotHere when there is no such map."""
        points, first, last = self._map(map_name), self.index(a), self.index(b)
        assert self.space is not None
        known, at = self.space.mean, np.linspace(0.0, 1.0, DRAWN)
        way = interpolate(known, points, between(known[first], known[last], at, kind, known))
        way[[0, -1]] = points[[first, last]]  # of sounds with one latent each has its own place
        return way

    def way(
        self, a: int, b: int, positions: list[float], kind: Kind, labels: Labels | None = None,
        toward: Toward | None = None,
    ) -> list[Point]:  # fmt: skip
        """Points on the way from the sound a (0) to b (1). The pitch, in whole numbers, and labels that are
        numbers glide; words, and a pitch that only one has, are those of the nearer one."""
        from timbrespace.exporting.points import Point

        first, last = self.index(a), self.index(b)
        one, other = self.labels(labels, first), self.labels(labels, last)
        ends, shift, space = [self.pitch(first), self.pitch(last)], self.shift(toward), self.space
        assert space is not None
        latents = between(
            space.mean[first], space.mean[last], np.array(positions), kind, space.mean
        )
        made = []
        for at, latent in zip(positions, (latents + shift).astype(np.float32), strict=True):
            pitch = ends[round(at)]
            if ends[0] is not None and ends[1] is not None:
                pitch = round(ends[0] + at * (ends[1] - ends[0]))
            level = float((1 - at) * space.rms_db[first] + at * space.rms_db[last])
            names, percent = (self.name(a), self.name(b)), round(100 * at)
            about = f"{percent} % of the way from {names[0]} to {names[1]}" + _steps(toward)
            name = f"{names[0]}-to-{names[1]}-{percent}"
            made.append(Point(latent, pitch, level, _mixed(one, other, at), name, about))
        return made


def look(run: Run, space: Space | None, synth: Synth | None) -> View:
    """The state of a run now."""
    index_of = {int(row): i for i, row in enumerate(space.rows)} if space else {}
    try:
        rows = run.corpus.rows
        names = {row: rows.name(row) for row in range(len(rows))}
    except (TimbrespaceError, OSError):
        names = {}  # the corpus moved away: the map and the model still work without it
    spacings = {name: spacing(points) for name, points in space.maps.items()} if space else {}
    return View(run, space, synth, index_of, names, spacings, _directions(run, space))


def _directions(run: Run, space: Space | None) -> Directions | None:
    """The space's named directions, where it has any."""
    from timbrespace.directions import Directions

    try:
        return Directions.open(run, space.version) if space else None
    except RunError:
        return None


def _steps(toward: Toward | None) -> str:
    """Steps along named directions in words."""
    return "".join(f", {name} {steps:+g}" for name, steps in (toward or {}).items())


def _mixed(one: Labels, other: Labels, at: float) -> dict[str, Any]:
    """Labels on the way from one (0) to the other (1)."""

    def of(name: str) -> Any:
        low, high = one[name], other[name]
        if isinstance(low, int | float) and isinstance(high, int | float):
            return low + at * (high - low)
        return high if round(at) else low

    return {name: of(name) for name in one}
