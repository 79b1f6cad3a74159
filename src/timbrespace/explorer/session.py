"""What the explorer's page asks of a run, in the words of sounds, spots on the map and morphs.

The session is the only part of the explorer that knows runs, spaces and the synthesiser; the server
only turns its answers into JSON and bytes. Positions in arrays are called `index`; the ids that the
page knows are the corpus' row ids.
"""

from __future__ import annotations

import json
import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from timbrespace.audio.files import to_wav_bytes
from timbrespace.audio.level import fade_edges
from timbrespace.data.lock import is_held
from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.geometry.neighbours import FAR, far, nearest, pad_to_latent, spacing
from timbrespace.geometry.paths import Kind, between
from timbrespace.models.vocabulary import NUMBERS

if TYPE_CHECKING:
    from timbrespace.directions import Directions
    from timbrespace.likeness import Likeness
    from timbrespace.mapping import Space
    from timbrespace.render.distance import Distance
    from timbrespace.render.synth import Inverter, Synth
    from timbrespace.runs import Run

PEAK = 10 ** (-1 / 20)  # -1 dBFS: headroom for the peaks between samples
FARTHEST = 999.0  # what the page is told instead of more, or of infinity
NEIGHBOURS = 12  # sounds that a spot on the map is made from
LISTED = 5  # of them named on the page
Labels = Mapping[str, Any]  # values of labels by name
Toward = Mapping[str, float]  # steps along named directions
CACHED_CLIPS = 256  # about 100 kB each
UNKNOWN_PITCH = 128  # the model's own word for it


class NotHere(TimbrespaceError):
    """A sound, map or file that the run does not have (any more)."""


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


@dataclass(frozen=True)
class _View:
    """One consistent state of run, space and model; replaced as a whole when the space changes."""

    run: Run
    space: Space | None
    synth: Synth | None
    index_of: dict[int, int]
    names: dict[int, str]
    spacings: dict[str, float]  # per map, the usual distance between neighbours
    directions: Directions | None

    @cached_property
    def likeness(self) -> Likeness:
        """Of the space, which is there where any sound is."""
        from timbrespace.likeness import Likeness

        assert self.space is not None
        return Likeness.open(self.run, self.space)


class Session:
    """A run opened for exploring.

    `Session.open(path)` follows the run folder: when training behind it writes a newer space, the
    next `describe()` moves on to it. `Session(run, space, synth)` explores fixed objects; `space`
    and `synth` may be None while the first epochs are still being trained.
    """

    def __init__(
        self,
        run: Run,
        space: Space | None,
        synth: Synth | None,
        *,
        load: Callable[[], tuple[Run, Space | None, Synth | None]] | None = None,
        stamp: Callable[[], Hashable] | None = None,
    ) -> None:
        self._load, self._stamp = load, stamp
        self._seen = stamp() if stamp else None
        self._view = _look(run, space, synth)
        self._clips: OrderedDict[Hashable, Clip | Lost] = OrderedDict()
        self._guard = threading.Lock()

    @classmethod
    def open(cls, path: Path, vocoder: Inverter | None = None) -> Session:
        """Open a run folder, with what makes its sounds. RunError when it is not one."""
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
            return run, space, Synth(model, run.feature, run.vocabulary, vocoder)

        def stamp() -> Hashable:
            files = [path / "space" / name for name in ("space.json", "axes.json", "embedding.npz")]
            found = [file.stat() for file in files if file.exists()]
            return tuple((one.st_mtime_ns, one.st_size) for one in found) or None

        return cls(*load(), load=load, stamp=stamp)

    def refresh(self) -> None:
        """Move on to a newer space; a half-written one waits for the next call."""
        if self._load is None or self._stamp is None:
            return
        with self._guard:
            stamp = self._stamp()
            if stamp is None or stamp == self._seen:
                return
            try:
                view = _look(*self._load())
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
            "pitched": _pitched(view.synth),
            "pitches": _pitch_range(space),
            "fractions": view.synth is not None and "pitch" in view.synth.continuous,
            "conditions": _conditions(view.synth),
            "directions": _told_directions(view.directions),
            "sample_rate": feature.sample_rate,
            "seconds": round(float(feature.seconds), 3),
            "mels": feature.yardstick.shape[0],
            "frames": feature.yardstick.shape[1],
            "floor_db": feature.yardstick.floor_db,
            "latent": int(space.mean.shape[1]) if space else None,
            "quality": _quality(run),
            "training": _training(run),
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
            "names": [_name(view, row) for row in rows],
            "maps": maps,
            "columns": [column for column in columns if column],
        }

    def original(self, row: int) -> Clip:
        """The recording itself, over the window that the model hears."""
        view = self._view
        _index(view, row)

        def make() -> Clip:
            return _analysed(view.run.feature, _recording(view.run, row))

        return self._cached((_version(view), "original", row), make)

    def reconstruction(
        self, row: int, pitch: float | None = None, labels: Labels | None = None,
        toward: Toward | None = None,
    ) -> Clip:  # fmt: skip
        """What the model keeps of a sound, with its own pitch (MIDI number) and labels or others, so many
        steps along the named directions."""
        view = self._view
        index = _index(view, row)
        told, shift = _labels(view, labels, index), _shift(view, toward)
        if not _pitched(view.synth):
            pitch = None
        elif pitch is None:
            pitch = _pitch(view.space, index)

        def make() -> Clip:
            space = view.space
            assert space is not None
            latents, level = space.mean[index : index + 1] + shift, space.rms_db[[index]]
            return _decode(view, latents, [pitch], [told], level)[0]

        key = (_version(view), "reconstruction", row, pitch, _key(told), _key(toward or {}))
        return self._cached(key, make)

    def lost(self, row: int) -> Lost:
        """What of a recording is lost where, over the window that the model hears, with the sound's own
        pitch and labels."""
        view = self._view
        index = _index(view, row)

        def make() -> Lost:
            from timbrespace.render.explain import explain

            synth, feature = view.synth, view.run.feature
            assert synth is not None
            pitch = _pitch(view.space, index)
            pitch = UNKNOWN_PITCH if pitch is None and _pitched(synth) else pitch
            found = explain(
                synth, _recording(view.run, row), pitch=pitch, labels=_labels(view, None, index)
            )
            stages = {
                name: (stage.distance, _analysed(feature, stage.samples))
                for name, stage in found.stages.items()
            }
            return Lost(found.sentence, stages)

        return self._cached((_version(view), "lost", row), make)

    def similar(self, row: int, by: str | None = None) -> tuple[str, list[int]]:
        """The sounds most like one, nearest first, and the way they are found (`likeness`): without
        `by` the best that the space has. NotHere for a way that it has not."""
        view = self._view
        index = _index(view, row)
        like, space = view.likeness, view.space
        assert space is not None
        point = None if like.points is None else like.points[index]
        if by is None and point is not None and np.isnan(point[0]):
            by = "latent"  # the recording could not be read
        try:
            way = like.way(by)
            far = like.distances(way, space.mean[index], point)
        except RunError as error:
            raise NotHere(str(error)) from None
        near = [i for i in np.argsort(far, kind="stable").tolist() if i != index][:LISTED]
        return way, [int(space.rows[i]) for i in near if np.isfinite(far[i])]

    def point(
        self, map_name: str, x: float, y: float, pitch: float | None = None,
        labels: Labels | None = None, toward: Toward | None = None,
    ) -> Spot:  # fmt: skip
        """What the model makes at a spot of a map: a kernel over the nearest sounds there, decoded.

        Without `pitch`, and for labels that are not named, the nearest sound lends its own. NotHere
        when there is no such map.
        """
        view = self._view
        space = view.space
        if space is None or map_name not in space.maps:
            raise NotHere(f"This run has no map called {map_name[:32]}.")
        points = np.asarray(space.maps[map_name], np.float32)
        query = np.array([[x, y]], np.float32)
        k = min(NEIGHBOURS, len(points))
        _, found = nearest(points, query, k)
        near = [int(i) for i in np.asarray(found)[0]]
        if not _pitched(view.synth):
            pitch = None
        elif pitch is None:
            pitch = _pitch(space, near[0])
        told, shift = _labels(view, labels, near[0]), _shift(view, toward)
        ratio = min(float(far(points, query, scale=view.spacings[map_name])[0]), FARTHEST)

        def make() -> Clip:
            # the level goes through the same kernel as the latent, as one more column
            known = np.column_stack([space.mean, space.rms_db]).astype(np.float32)
            made = np.asarray(pad_to_latent(points, known, query, k=k))
            return _decode(view, made[:, :-1] + shift, [pitch], [told], made[:, -1])[0]

        key = (_version(view), "point", map_name, x, y, pitch, _key(told), _key(toward or {}))
        clip = self._cached(key, make)
        rows = [int(space.rows[i]) for i in near[:LISTED]]
        return Spot(clip, ratio > FAR, ratio, pitch, rows, told)

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
    ) -> list[Step]:
        """Sounds on the way from a (0) to b (1). Without `pitch` it glides between their own; so do
        labels that are numbers, words are those of the nearer end."""
        view = self._view
        first, last = _index(view, a), _index(view, b)
        space, shift = view.space, _shift(view, toward)
        assert space is not None
        ends = [_pitch(space, first), _pitch(space, last)]
        pitches: list[float | None] = []
        for at in positions:
            if not _pitched(view.synth):
                pitches.append(None)
            elif pitch is not None:
                pitches.append(pitch)
            elif ends[0] is None or ends[1] is None:
                pitches.append(ends[round(at)])
            else:
                pitches.append(round(ends[0] + at * (ends[1] - ends[0])))
        one, other = _labels(view, labels, first), _labels(view, labels, last)
        told = [_between(one, other, at) for at in positions]
        keys = [
            (_version(view), "morph", a, b, kind, at, note, _key(said), _key(toward or {}))
            for at, note, said in zip(positions, pitches, told, strict=True)
        ]
        clips = [self._known(key) for key in keys]
        missing = [i for i, clip in enumerate(clips) if clip is None]
        if missing:
            places = np.array([positions[i] for i in missing])
            latents = between(space.mean[first], space.mean[last], places, kind, space.mean)
            latents = latents + shift
            levels = (1 - places) * space.rms_db[first] + places * space.rms_db[last]
            notes, said = [pitches[i] for i in missing], [told[i] for i in missing]
            made = _decode(view, latents, notes, said, levels)
            for i, clip in zip(missing, made, strict=True):
                clips[i] = self._keep(keys[i], clip)
        return [
            Step(at, note, clip)
            for at, note, clip in zip(positions, pitches, clips, strict=True)
            if clip is not None
        ]

    def glide(
        self, a: int, b: int, seconds: float, *, kind: Kind = "slerp", pitch: float | None = None,
        labels: Labels | None = None, toward: Toward | None = None,
    ) -> Clip:  # fmt: skip
        """One sound that goes from a to b while it sounds. Without `pitch` it glides between their own;
        labels that are not named are those of a."""
        view = self._view
        first, last = _index(view, a), _index(view, b)
        space, told, shift = view.space, _labels(view, labels, first), _shift(view, toward)
        assert space is not None
        ends = [_pitch(space, first), _pitch(space, last)] if pitch is None else [pitch]
        notes = [float(p) for p in ends if p is not None and _pitched(view.synth)]

        def make() -> Clip:
            import torch

            from timbrespace.render.path import glide

            assert view.synth is not None
            feature, levels = view.run.feature, space.rms_db
            samples = glide(
                view.synth, space.mean[first] + shift, space.mean[last] + shift, seconds, kind=kind,
                sounds=space.mean, labels=told,
                pitch=(notes[0], notes[-1]) if notes else None, rms_db=(levels[first], levels[last]),
            )  # fmt: skip
            seen = feature.yardstick.analyse_all(torch.from_numpy(samples)).values.numpy()
            return _clip(samples, seen, feature.sample_rate)

        key = (_version(view), "glide", a, b, seconds, kind, *notes, _key(told), _key(toward or {}))
        return self._cached(key, make)

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


def _look(run: Run, space: Space | None, synth: Synth | None) -> _View:
    index_of = {int(row): i for i, row in enumerate(space.rows)} if space else {}
    try:
        rows = run.corpus.rows
        names = {row: rows.name(row) for row in range(len(rows))}
    except (TimbrespaceError, OSError):
        names = {}  # the corpus moved away: the map and the model still work without it
    spacings = {name: spacing(points) for name, points in space.maps.items()} if space else {}
    return _View(run, space, synth, index_of, names, spacings, _directions(run, space))


def _directions(run: Run, space: Space | None) -> Directions | None:
    """The space's named directions, where it has any."""
    from timbrespace.directions import Directions

    try:
        return Directions.open(run, space.version) if space else None
    except RunError:
        return None


def _told_directions(directions: Directions | None) -> list[dict[str, Any]]:
    """What the page says of each direction."""
    return [
        {
            "name": one.name, "about": one.about, "weak": one.weak,
            "correlation": one.correlation, "monotonicity": one.monotonicity,
        }
        for one in (directions.found if directions else ())
    ]  # fmt: skip


def _shift(view: _View, toward: Toward | None) -> np.ndarray | float:
    """What steps along named directions add to a latent; NotHere where there are none of that name."""
    if not toward:
        return 0.0
    if view.directions is None:
        raise NotHere("This space has no named directions.")
    try:
        return view.directions.shift(toward)
    except RunError as error:
        raise NotHere(str(error)) from None


def _version(view: _View) -> str:
    return view.space.version if view.space else ""


def _index(view: _View, row: int) -> int:
    if row not in view.index_of:
        raise NotHere(f"This run has no sound {row}.")
    return view.index_of[row]


def _name(view: _View, row: int) -> str:
    return view.names.get(row, f"sound {row}")


def _pitched(synth: Synth | None) -> bool:
    if synth is None:
        return False
    return synth.pitched


def _conditions(synth: Synth | None) -> list[dict[str, Any]]:
    """What the decoder is told beside the pitch: each label's words, or that it is a MIDI number."""
    if synth is None:
        return []
    return [
        {"name": name, "number": name in NUMBERS, "words": synth.vocabulary.words.get(name, ())}
        for name in synth.told
        if name != "pitch"
    ]


def _labels(view: _View, asked: Labels | None, index: int) -> dict[str, Any]:
    """What the decoder is to be told beside the pitch: as asked, an empty text for "unknown", and
    what is not asked as the sound at `index` has it. NotHere for a label that it does not hear."""
    names = [condition["name"] for condition in _conditions(view.synth)]
    for name in asked or {}:
        if name not in names:
            raise NotHere(f"This model is not told {name[:32]}.")
    known = view.space.labels if view.space else {}
    own = {name: known[name][index] if name in known else None for name in names}
    return own | dict(asked or {})


def _between(one: Labels, other: Labels, at: float) -> dict[str, Any]:
    """Labels on the way from one (0) to the other (1)."""

    def of(name: str) -> Any:
        low, high = one[name], other[name]
        if isinstance(low, int | float) and isinstance(high, int | float):
            return low + at * (high - low)
        return high if round(at) else low

    return {name: of(name) for name in one}


def _key(labels: Labels) -> Hashable:
    return tuple(sorted((name, str(value)) for name, value in labels.items()))


def _pitch(space: Space | None, index: int) -> int | None:
    values = space.labels.get("pitch") if space else None
    value = values[index] if values is not None else None
    return int(value) if isinstance(value, (int, float, np.number)) and 0 <= value <= 127 else None


def _pitch_range(space: Space | None) -> list[int] | None:
    known = [_pitch(space, i) for i in range(len(space.rows))] if space else []
    known = [pitch for pitch in known if pitch is not None]
    return [min(known), max(known)] if known else None


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


def _decode(
    view: _View, latents: np.ndarray, pitches: list[float | None], labels: list[dict[str, Any]],
    levels: np.ndarray,
) -> list[Clip]:  # fmt: skip
    assert view.synth is not None
    synth, feature = view.synth, view.run.feature
    known = [UNKNOWN_PITCH if p is None else p for p in pitches]
    pitch = np.array(known) if _pitched(synth) else None
    latents = np.asarray(latents, np.float32)
    told = {name: np.array([said[name] for said in labels], object) for name in labels[0]}
    levels = np.asarray(levels, np.float32)
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


def _training(run: Run) -> dict[str, Any]:
    try:
        status = run.status()
    except (TimbrespaceError, OSError, ValueError):
        status = {}
    epoch, epochs = status.get("epoch"), status.get("epochs")
    return {
        "epoch": int(epoch) if isinstance(epoch, int) else None,
        "epochs": int(epochs) if isinstance(epochs, int) else None,
        "finished": bool(status.get("finished", True)),
        "running": is_held(run.lock_path),
    }


def _quality(run: Run) -> dict[str, Any]:
    """Verdict in words, distortion in dB, rate in bits: of the evaluation or the last epoch."""
    from timbrespace.evaluation.verdict import verdict

    metrics = _metrics(run)
    try:
        words = str(metrics.get("verdict") or verdict(metrics))
    except (KeyError, TypeError, ValueError):
        words = ""
    nats = _number(_part(metrics, "rate").get("nats_per_sound"))
    return {
        "verdict": words,
        "distortion_db": _number(_part(metrics, "distortion").get("rmse_db")),
        "bits_per_sound": None if nats is None else nats / math.log(2),
        "active_units": _number(_part(metrics, "rate").get("active_units")),
    }


def _metrics(run: Run) -> dict[str, Any]:
    """evaluation/metrics.json where it is of the last epoch, else that epoch's figures."""
    try:
        status = run.status()
    except (TimbrespaceError, OSError, ValueError):
        status = {}
    try:
        text = (run.path / "evaluation" / "metrics.json").read_text(encoding="utf-8")
        metrics = json.loads(text)
        if isinstance(metrics, dict) and _part(metrics, "training").get("epoch") == status.get(
            "epoch"
        ):
            return metrics
    except (OSError, ValueError):
        pass
    figures = _part(status, "figures")
    if not figures:
        return {}
    bottleneck = run.recipe.model.bottleneck
    use: dict[str, Any] = {"active_units": int(_number(figures.get("valid_active_units")) or 0)}
    if bottleneck.codebooks is not None:
        used = [_number(v) or 0.0 for k, v in figures.items() if k.startswith("valid_codes_used_")]
        use = {"codes": bottleneck.codebooks.count, "codes_used": int(sum(used))}
    return {
        "distortion": {
            "rmse_db": figures.get("valid_rmse_db"),
            "rmse_db_at_mean": figures.get("valid_rmse_db_at_mean"),
        },
        "rate": {
            "nats_per_sound": figures.get("valid_nats"),
            "dimensions": bottleneck.size,
            **use,
        },
    }


def _part(table: Any, name: str) -> dict[str, Any]:
    part = table.get(name) if isinstance(table, dict) else None
    return part if isinstance(part, dict) else {}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
