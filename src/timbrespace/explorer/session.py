"""What the explorer's page asks of a run, in the words of sounds, spots on the map and morphs.

The session is the only part of the explorer that knows runs, spaces and the synthesiser; the server
only turns its answers into JSON and bytes. Positions in arrays are called `index`; the ids that the
page knows are the corpus' row ids.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from timbrespace.audio.files import to_wav_bytes
from timbrespace.audio.level import fade_edges
from timbrespace.audio.scratch import whole
from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.explorer import standing
from timbrespace.explorer.instrument import Exports, instrument, note
from timbrespace.explorer.makers import CLASSICAL, Makers, makers_of
from timbrespace.explorer.view import Labels, NotHere, OfSound, OnMap, Place, Toward, View, look
from timbrespace.exporting.keyboard import USUAL
from timbrespace.geometry.neighbours import FAR
from timbrespace.geometry.paths import Kind

if TYPE_CHECKING:
    from timbrespace.directions import Directions
    from timbrespace.exporting.instrument import Over, To
    from timbrespace.exporting.points import Point
    from timbrespace.features.phase import Recovery
    from timbrespace.mapping import Space
    from timbrespace.render.distance import Distance
    from timbrespace.render.synth import Synth
    from timbrespace.runs import Run

PEAK = 10 ** (-1 / 20)  # -1 dBFS: headroom for the peaks between samples
LISTED = 5  # sounds that are named on the page as near or alike
CACHED_CLIPS = 256  # about 100 kB each
UNKNOWN_PITCH = 128  # the model's own word for it


@dataclass(frozen=True)
class Clip:
    """A sound ready to play and its picture.

    wav: 16-bit WAV file, peak <= -1 dBFS, no offset, 5 ms fades. picture: uint8 (mels, frames),
    0 = floor, 255 = loudest. seconds: duration. lowered_db: how much the level had to come down.
    """

    wav: bytes
    picture: np.ndarray
    seconds: float
    lowered_db: float


@dataclass(frozen=True)
class Spot:
    """What the model makes at a spot on the map, and what stands near it."""

    clip: Clip
    far: bool
    ratio: float  # distance to the nearest sound / the usual distance between neighbours
    pitch: float | None
    near: list[int]  # row ids, nearest first
    labels: dict[str, Any]  # the other labels it was made with


@dataclass(frozen=True)
class Step:
    """One step of a morph: where on the line (0 = first sound, 1 = second), its pitch, its clip."""

    at: float
    pitch: float | None
    clip: Clip


@dataclass(frozen=True)
class Lost:
    """What of a sound is lost where (`render.explain`): in one sentence, and for each stage how far it is
    from the recording, and its clip."""

    sentence: str
    stages: dict[str, tuple[Distance, Clip]]


Made = TypeVar("Made", Clip, Lost)


class Session:
    """A run opened for exploring.

    `Session.open(path)` follows the run folder: when training behind it writes a newer space, the
    next `describe()` moves on to it. `Session(run, space, synth)` explores fixed objects; `space`
    and `synth` may be None while the first epochs are still being trained.

    `makers` say what may make sound of its pictures. `sound_by` is one of their names wherever sound is
    made, None the first of them; NotHere for another name.
    """

    def __init__(
        self,
        run: Run,
        space: Space | None,
        synth: Synth | None,
        *,
        load: Callable[[], tuple[Run, Space | None, Synth | None]] | None = None,
        stamp: Callable[[], Hashable] | None = None,
        makers: Makers | None = None,
    ) -> None:
        self._load, self._stamp = load, stamp
        self._seen = stamp() if stamp else None
        self._view = look(run, space, synth)
        self._makers = makers or {CLASSICAL: None}
        self.exports = Exports()
        self._clips: OrderedDict[Hashable, Clip | Lost] = OrderedDict()
        self._guard = threading.Lock()

    @classmethod
    def open(
        cls, path: Path, vocoder: str | Path | None = None, recovery: Recovery | None = None
    ) -> Session:
        """Open a run folder; its sounds are made by a vocoder (its file or name) or as `recovery` says,
        where no other way is asked for. RunError when it is not one, or when there is no such vocoder;
        RecipeError when it takes other pictures."""
        from timbrespace.features.phase import Recovery
        from timbrespace.mapping import Space
        from timbrespace.render.synth import Synth
        from timbrespace.runs import Run

        path = Path(path)

        def load() -> tuple[Run, Space | None, Synth | None]:
            run = Run.open(path)
            if not (path / "space" / "space.json").exists():
                return run, None, None
            space = Space.open(run)
            model = run.load_model(space.weights)
            way = recovery or Recovery()
            return run, space, Synth(model, run.feature, run.vocabulary, recovery=way)

        def stamp() -> Hashable:
            files = [path / "space" / name for name in ("space.json", "axes.json", "embedding.npz")]
            found = [file.stat() for file in files if file.exists()]
            return tuple((one.st_mtime_ns, one.st_size) for one in found) or None

        parts = load()
        makers = makers_of(parts[0].feature, vocoder)
        return cls(*parts, load=load, stamp=stamp, makers=makers)

    @property
    def run(self) -> Run:
        """The run as it is now."""
        return self._view.run

    def _by(self, maker: str | None) -> View:
        """The state as it is now, with what makes its sounds."""
        name = next(iter(self._makers)) if maker is None else maker
        if name not in self._makers:
            raise NotHere(f"Nothing called {name[:32]} makes sound here.")
        return self._view.made_by(name, self._makers[name])

    def refresh(self) -> None:
        """Move on to a newer space; a half-written one waits for the next call."""
        if self._load is None or self._stamp is None:
            return
        with self._guard:
            stamp = self._stamp()
            if stamp is None or stamp == self._seen:
                return
            try:
                view = look(*self._load())
            except (TimbrespaceError, OSError, ValueError):
                return
            self._view, self._seen = view, stamp
            self._clips.clear()

    def describe(self) -> dict[str, Any]:
        """The run in a few words and numbers: name, verdict, training, maps, what can be asked."""
        self.refresh()
        view = self._view
        run, space = view.run, view.space
        feature = run.feature
        return {
            "name": run.name,
            "version": space.version if space else "",
            "sounds": len(space.rows) if space else 0,
            "maps": list(space.maps) if space else [],
            "pitched": view.pitched,
            "pitches": view.pitch_range,
            "fractions": view.synth is not None and "pitch" in view.synth.continuous,
            "conditions": view.conditions,
            "directions": _told_directions(view.directions),
            "makers": list(self._makers),
            "sample_rate": feature.sample_rate,
            "seconds": round(float(feature.seconds), 3),
            "mels": feature.yardstick.shape[0],
            "frames": feature.yardstick.shape[1],
            "floor_db": feature.yardstick.floor_db,
            "latent": int(space.mean.shape[1]) if space else None,
            "quality": standing.quality(run),
            "training": standing.training(run),
        }

    def map_data(self) -> dict[str, Any]:
        """All sounds: row ids, names, positions on each map, and the label columns to colour by."""
        view = self._view
        space = view.space
        if space is None:
            return {"version": "", "rows": [], "names": [], "maps": {}, "columns": []}
        rows = [int(row) for row in space.rows]
        columns = [_column(name, list(values)) for name, values in space.labels.items()]
        columns.append(_column("split", list(space.split)))
        maps = {
            name: np.round(np.asarray(points, np.float64), 5).T.tolist()
            for name, points in space.maps.items()
        }
        return {
            "version": space.version,
            "rows": rows,
            "names": [view.name(row) for row in rows],
            "maps": maps,
            "columns": [column for column in columns if column],
        }

    def original(self, row: int) -> Clip:
        """The recording itself, over the window that the model hears."""
        view = self._view
        view.index(row)

        def make() -> Clip:
            return _analysed(view.run.feature, _recording(view.run, row))

        return self._cached((view.version, "original", row), make)

    def reconstruction(
        self, row: int, pitch: float | None = None, labels: Labels | None = None,
        toward: Toward | None = None, sound_by: str | None = None,
    ) -> Clip:  # fmt: skip
        """What the model keeps of a sound, with its own pitch (MIDI number) and labels or others, so many
        steps along the named directions."""
        view = self._by(sound_by)
        chosen = view.point(OfSound(row=row), labels, toward)
        pitch = _told_pitch(view, pitch, chosen)
        key = ("reconstruction", row, pitch, _key(chosen.labels), _key(toward or {}))
        return self._cached((*view.key, *key), lambda: _decode(view, [chosen], [pitch])[0])

    def lost(self, row: int, sound_by: str | None = None) -> Lost:
        """What of a recording is lost where, over the window that the model hears, with the sound's own
        pitch and labels."""
        view = self._by(sound_by)
        index = view.index(row)

        def make() -> Lost:
            from timbrespace.render.explain import explain

            synth, feature = view.synth, view.run.feature
            assert synth is not None
            pitch = view.pitch(index)
            pitch = UNKNOWN_PITCH if pitch is None and view.pitched else pitch
            found = explain(
                synth,
                _recording(view.run, row),
                whole,
                pitch=pitch,
                labels=view.labels(None, index),
            )
            stages = {
                name: (stage.distance, _analysed(feature, stage.samples))
                for name, stage in found.stages.items()
            }
            return Lost(found.sentence, stages)

        return self._cached((*view.key, "lost", row), make)

    def similar(self, row: int, by: str | None = None) -> tuple[str, list[int]]:
        """The sounds most like one, nearest first, and the way they are found (`likeness`): without
        `by` the best that the space has. NotHere for a way that it has not."""
        view = self._view
        index = view.index(row)
        like, space = view.likeness, view.space
        assert space is not None
        try:
            way, far = like.around(index, by)
        except RunError as error:
            raise NotHere(str(error)) from None
        near = [i for i in np.argsort(far, kind="stable").tolist() if i != index][:LISTED]
        return way, [int(space.rows[i]) for i in near if np.isfinite(far[i])]

    def point(
        self, map_name: str, x: float, y: float, pitch: float | None = None,
        labels: Labels | None = None, toward: Toward | None = None, sound_by: str | None = None,
    ) -> Spot:  # fmt: skip
        """What the model makes at a spot of a map: a kernel over the nearest sounds there, decoded.

        Without `pitch`, and for labels that are not named, the nearest sound lends its own. NotHere
        when there is no such map.
        """
        view = self._by(sound_by)
        chosen = view.point(OnMap(map=map_name, x=x, y=y), labels, toward)
        around = view.around(map_name, x, y)
        pitch = _told_pitch(view, pitch, chosen)
        key = ("point", map_name, x, y, pitch, _key(chosen.labels), _key(toward or {}))
        clip = self._cached((*view.key, *key), lambda: _decode(view, [chosen], [pitch])[0])
        assert view.space is not None
        rows = [int(view.space.rows[i]) for i in around.near[:LISTED]]
        return Spot(clip, around.ratio > FAR, around.ratio, pitch, rows, chosen.labels)

    def morph(
        self,
        a: int,
        b: int,
        positions: list[float],
        *,
        kind: Kind = "slerp",
        pitch: float | None = None,
        labels: Labels | None = None,
        toward: Toward | None = None,
        sound_by: str | None = None,
    ) -> list[Step]:
        """Sounds on the way from a (0) to b (1). Without `pitch` it glides between their own; so do
        labels that are numbers, words are those of the nearer end."""
        view = self._by(sound_by)
        points = view.way(a, b, positions, kind, labels, toward)
        pitches = [_told_pitch(view, pitch, chosen) for chosen in points]
        keys = [
            (*view.key, "morph", a, b, kind, at, told, _key(chosen.labels), _key(toward or {}))
            for at, told, chosen in zip(positions, pitches, points, strict=True)
        ]
        clips = [self._known(key) for key in keys]
        missing = [i for i, clip in enumerate(clips) if clip is None]
        if missing:
            made = _decode(view, [points[i] for i in missing], [pitches[i] for i in missing])
            for i, clip in zip(missing, made, strict=True):
                clips[i] = self._keep(keys[i], clip)
        return [
            Step(at, told, clip)
            for at, told, clip in zip(positions, pitches, clips, strict=True)
            if clip is not None
        ]

    def way_on_map(self, map_name: str, a: int, b: int, kind: Kind = "slerp") -> np.ndarray:
        """Where the way from a to b runs on a map: places (N, 2), evenly on the way."""
        return self._view.way_on_map(map_name, a, b, kind)

    def glide(
        self, a: int, b: int, seconds: float, *, kind: Kind = "slerp", pitch: float | None = None,
        labels: Labels | None = None, toward: Toward | None = None, sound_by: str | None = None,
    ) -> Clip:  # fmt: skip
        """One sound that goes from a to b while it sounds. Without `pitch` it glides between their own;
        labels that are not named are those of a."""
        view = self._by(sound_by)
        first, last = view.index(a), view.index(b)
        space, told, shift = view.space, view.labels(labels, first), view.shift(toward)
        assert space is not None
        ends = [view.pitch(first), view.pitch(last)] if pitch is None else [pitch]
        notes = [float(p) for p in ends if p is not None and view.pitched]

        def make() -> Clip:
            from timbrespace.render.path import glide

            assert view.synth is not None
            levels = space.rms_db
            samples = glide(
                view.synth, space.mean[first] + shift, space.mean[last] + shift, seconds, kind=kind,
                sounds=space.mean, labels=told,
                pitch=(notes[0], notes[-1]) if notes else None, rms_db=(levels[first], levels[last]),
            )  # fmt: skip
            return _seen(view.run.feature, samples)

        key = (*view.key, "glide", a, b, seconds, kind, *notes, _key(told), _key(toward or {}))
        return self._cached(key, make)

    def play(
        self, place: Place, pitch: int, *, velocity: int = USUAL, seconds: float | None = None,
        labels: Labels | None = None, toward: Toward | None = None, sound_by: str | None = None,
    ) -> Clip:  # fmt: skip
        """One note of a place, as `timbrespace.play` makes it: see explorer.instrument.note."""
        view = self._by(sound_by)
        chosen = view.point(place, labels, toward)

        def make() -> Clip:
            assert view.synth is not None
            samples = note(view.synth, chosen, pitch, velocity, seconds)
            return _seen(view.run.feature, samples)

        told = (_key(chosen.labels), _key(toward or {}))
        return self._cached((*view.key, "note", place, pitch, velocity, seconds, *told), make)

    def export(
        self, place: Place, *, end: Place | None = None, over: Over = "velocity", to: To = "sfz",
        format: str = "wav24", keys: str = "C2-C6", labels: Labels | None = None,
        toward: Toward | None = None, sound_by: str | None = None,
    ) -> int:  # fmt: skip
        """Begin to make an instrument of a place, or of the way from there to another over velocity or
        key, on the keys; the number of the export, which `exports` tells about. RunError while another is
        being made."""
        view = self._by(sound_by)
        points = [view.point(one, labels, toward) for one in (place, end) if one is not None]
        assert view.synth is not None
        made = instrument(view.synth, points, keys, over, view.run.name)
        return self.exports.begin(made, view.synth, to, format)

    def _cached(self, key: Hashable, make: Callable[[], Made]) -> Made:
        return self._known(key) or self._keep(key, make())

    def _known(self, key: Hashable) -> Any:
        with self._guard:
            if key in self._clips:
                self._clips.move_to_end(key)
            return self._clips.get(key)

    def _keep(self, key: Hashable, clip: Made) -> Made:
        with self._guard:
            self._clips[key] = clip
            while len(self._clips) > CACHED_CLIPS:
                self._clips.popitem(last=False)
        return clip


def _told_directions(directions: Directions | None) -> list[dict[str, Any]]:
    """What the page says of each direction."""
    return [
        {
            "name": one.name, "about": one.about, "weak": one.weak,
            "correlation": one.correlation, "monotonicity": one.monotonicity,
        }
        for one in (directions.found if directions else ())
    ]  # fmt: skip


def _key(labels: Labels) -> Hashable:
    return tuple(sorted((name, str(value)) for name, value in labels.items()))


def _column(name: str, values: list[Any]) -> dict[str, Any] | None:
    """A label column for the page: numbers as they are, words as codes, commonest word first.

    None when there is nothing to colour by (no value at all).
    """
    present = [value for value in values if value is not None and value != ""]
    if not present:
        return None
    numbers = all(
        isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        for value in present
    )
    if numbers:
        plain = [None if v is None or v == "" or not np.isfinite(v) else float(v) for v in values]
        whole = all(v is None or v == int(v) for v in plain)
        return {
            "name": name,
            "kind": "number",
            "values": [int(v) if whole and v is not None else v for v in plain],
        }
    words = ["" if value is None else str(value) for value in values]
    order = [
        word for word, _ in sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))
    ]
    code = {word: i for i, word in enumerate(order)}
    return {
        "name": name,
        "kind": "category",
        "values": order,
        "codes": [code[word] for word in words],
    }


def _told_pitch(view: View, asked: float | None, chosen: Point) -> float | None:
    """The pitch that the model is told: as asked, or that of the point; None for one that is told none."""
    if not view.pitched:
        return None
    return chosen.pitch if asked is None else asked


def _decode(view: View, points: list[Point], pitches: list[float | None]) -> list[Clip]:
    assert view.synth is not None
    synth, feature = view.synth, view.run.feature
    known = [UNKNOWN_PITCH if p is None else p for p in pitches]
    pitch = np.array(known) if view.pitched else None
    latents = np.stack([point.latent for point in points]).astype(np.float32)
    told = {
        name: np.array([point.labels[name] for point in points], object)
        for name in points[0].labels
    }
    levels = np.array([point.rms_db for point in points], np.float32)
    sounds = synth.decode(latents, pitch=pitch, labels=told, rms_db=levels)
    pictures = synth.picture(latents, pitch, told)
    seen = _view(feature, np.asarray(pictures))
    return [
        _clip(samples, values, feature.sample_rate)
        for samples, values in zip(np.asarray(sounds), seen, strict=True)
    ]


def _recording(run: Run, row: int) -> np.ndarray:
    """Samples of the window that the model hears, or fewer where the sound is shorter."""
    feature = run.feature
    audio = run.corpus.audio(row, sample_rate=feature.sample_rate)
    return audio.mono()[: round(feature.seconds * feature.sample_rate)]


def _analysed(feature: Any, samples: np.ndarray) -> Clip:
    """Samples (n,) and their picture."""
    import torch

    with torch.no_grad():
        values = feature.analyse(torch.from_numpy(np.ascontiguousarray(samples))).values
        return _clip(samples, feature.view(values).values.numpy(), feature.sample_rate)


def _view(feature: Any, values: np.ndarray) -> np.ndarray:
    """Pictures of any feature as pictures of decibels."""
    import torch

    return feature.view(torch.from_numpy(values)).values.numpy()


def _seen(feature: Any, samples: np.ndarray) -> Clip:
    """Samples (n,) of any length and their whole picture."""
    import torch

    values = feature.yardstick.analyse_all(torch.from_numpy(samples)).values.numpy()
    return _clip(samples, values, feature.sample_rate)


def _clip(samples: np.ndarray, values: np.ndarray, sample_rate: int) -> Clip:
    """Samples (n,) and picture values (mels, frames) in -1..1, made safe for ears and browsers."""
    samples = np.asarray(samples, np.float64).reshape(-1)
    values = np.asarray(values, np.float64)
    values = values.reshape(values.shape[-2:])
    if not np.isfinite(samples).all() or not np.isfinite(values).all():
        raise RunError(
            "The model gave values that are not numbers here; try another spot, or train again."
        )
    # the offset is taken away so that it is zero after the fades, which would leave a little of it
    fades = fade_edges(np.ones_like(samples), sample_rate, ms=5.0)
    samples = samples * fades
    samples = samples - fades * (samples.mean() / fades.mean())
    peak = float(np.abs(samples).max(initial=0.0))
    lowered = min(1.0, PEAK / peak) if peak > 0 else 1.0
    wav = to_wav_bytes((samples * lowered).astype(np.float32), sample_rate)
    picture = np.rint((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8)
    return Clip(wav, picture, len(samples) / sample_rate, round(-20 * float(np.log10(lowered)), 2))
