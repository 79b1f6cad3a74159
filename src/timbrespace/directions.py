"""Named directions of a run's space: brighter, noisier, slower, more brass; each with what it is worth.

A direction is an axis of the latents (geometry/axes.py) that a descriptor of the recordings
(audio/descriptors.py) or a family goes with, at equal pitch, fitted on training sounds. Beside it stands
how well its coordinate orders held-out sounds, and what happens when sounds are decoded some steps up and
down: whether its own figure rises with every step, and what else moves. Kept in space/axes.json.
"""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from timbrespace.atomic import write_arrays, write_text
from timbrespace.audio.descriptors import DESCRIPTORS, describe
from timbrespace.errors import RunError, TimbrespaceError, suggestion
from timbrespace.features.decibels import Decibels
from timbrespace.features.phase import Recovery
from timbrespace.geometry import axes
from timbrespace.geometry.project import Pca
from timbrespace.mapping import Space
from timbrespace.runs import Run, jsonable

if TYPE_CHECKING:
    from torch import Tensor

    from timbrespace.data.corpus import Corpus

Progress = Callable[[str, int, int, dict[str, float]], None]

FILE = "axes.json"  # in the run's space/
DESCRIBED = "descriptors.npz"  # beside the pictures of a corpus
THERE, HERE = 700, 200  # training sounds and held-out sounds that are described
WITHOUT = 150, 50  # the same where no recording can be read: each is made audible first
JUDGED = 400  # training sounds whose pictures teach what a family looks like
BASES = 8  # held-out sounds from which steps are decoded, each of another instrument
AUDIBLE = 2.0  # seconds of them that are made sound
STEPS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])  # standard deviations
MOST = 10.0  # steps that may be asked for
RARE = 0.01  # share of values at either end that count as the one there: outliers teach nothing
WEAK = 0.3, 0.5  # below such a correlation, or such a monotonicity, a direction is called weak
NAMES = {
    "bright": ("brightness", 1.0, "more power above 1,500 Hz"),
    "sharp": ("centroid", 1.0, "a higher spectral centroid"),
    "wide": ("spread", 1.0, "a wider spectrum"),
    "noisy": ("flatness", 1.0, "a flatter spectrum, nearer to noise"),
    "restless": ("flux", 1.0, "more change from moment to moment"),
    "slow": ("attack", 1.0, "a slower attack"),
    "ringing": ("decay", -1.0, "a longer decay"),
    "stretched": ("inharmonicity", 1.0, "partials further apart than harmonics"),
    "hollow": ("odd_even", 1.0, "more of the odd partials, less of the even ones"),
    "rough": ("roughness", 1.0, "more beating between partials"),
}


@dataclass(frozen=True)
class Direction:
    """One direction: `step` (Z,) is one standard deviation of the space.

    about: what grows. of: the descriptor, or label=word. correlation: Spearman's rho between the
    coordinate and the figure of held-out sounds at equal pitch; of a family 2 AUC - 1. linear, local: R² of
    a descriptor from the coordinate, and from the ten nearest sounds. monotonicity: mean over sounds of
    Spearman's rho between decoded steps and the figure of the decoded sound, `of_sounds` each one's.
    moves: what a step does to each descriptor of the decoded sound, in that descriptor's standard
    deviations; empty for a family, whose likeness is read from pictures, by their principal components.
    None where there is nothing to measure it on.
    """

    name: str
    about: str
    of: str
    step: list[float]
    correlation: float | None
    linear: float | None
    local: float | None
    monotonicity: float | None
    of_sounds: list[float]
    moves: dict[str, float | None]

    @property
    def weak(self) -> bool:
        """Whether it should not be relied upon."""
        return (self.correlation or 0.0) < WEAK[0] or (self.monotonicity or 0.0) < WEAK[1]


@dataclass(frozen=True)
class Directions:
    """All directions of the space `version`, those that could not be found with the reason, on how many
    sounds they were fitted and measured, and what was described."""

    version: str
    found: tuple[Direction, ...]
    missing: dict[str, str]
    there: int
    here: int
    instruments: list[str | None]  # of the decoded sounds
    source: str

    @classmethod
    def open(cls, run: Run, version: str) -> "Directions":
        """The directions of the run's space `version`; RunError where there are none."""
        path = run.path / "space" / FILE
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            found = tuple(Direction(**one) for one in facts.pop("found"))
            opened = cls(found=found, **facts)
        except (OSError, ValueError, KeyError, TypeError):
            raise RunError(
                f"{run.path} has no named directions yet; make them with: timbrespace space {run.path}"
            ) from None
        if opened.version != version:
            raise RunError(
                f"the named directions of {run.path} are of an older space; make them anew with: "
                f"timbrespace space {run.path}"
            )
        return opened

    def shift(self, toward: Mapping[str, float]) -> np.ndarray:
        """The sum (Z,) of so many steps of each direction; RunError for a name that is none of them, with
        a list, and for more than ten steps."""
        steps = {one.name: one.step for one in self.found}
        total = np.zeros(len(self.found[0].step) if self.found else 0)
        for name, count in toward.items():
            if name in self.missing:
                raise RunError(f"this space has no direction {name!r}: {self.missing[name]}")
            if name not in steps:
                known = ", ".join(steps) or "none"
                raise RunError(
                    f"this space has no direction {name!r}; "
                    + suggestion(name, steps, f"it has: {known}", cutoff=0.7)
                )
            if not abs(count) <= MOST:
                raise RunError(f"{name} should be -{MOST:g} to {MOST:g} steps, got {count:g}")
            total = total + count * np.array(steps[name])
        return total.astype(np.float32)


def find_directions(
    run: Run, space: Space, *, seed: int = 0, progress: Progress | None = None
) -> Directions:
    """Describe a sample of the corpus, find its directions in the space and measure them; written to
    space/axes.json."""
    rng = np.random.default_rng(seed)
    split = np.array(space.split)
    sizes = sample_sizes(run.corpus, space.rows)
    there, here = (
        np.flatnonzero(np.isin(space.rows, drawn(space.rows[which], most)))
        for which, most in zip((split == "train", split != "train"), sizes, strict=True)
    )
    why = None
    if run.feature.stacked > 1:
        why = "a pair is two sounds, and descriptors are of one"
    elif len(there) < axes.LEAST:
        why = f"only {len(there)} training sounds are there, and {axes.LEAST} are needed"
    if why is not None:
        return _kept(
            run, Directions(space.version, (), dict.fromkeys(NAMES, why), 0, 0, [], "none")
        )
    both = np.concatenate([there, here])
    named = _Progress(progress, 2 + len(NAMES) + len(_families(space, there)))
    values, source = described(run, run.corpus, space.rows[both])
    named.tell()
    sounds = _Sounds.of(space, values, there, here)
    decoder = _Decoder.of(run, space, here if len(here) else there, rng)
    judges = _Judges.of(run, space, sounds, rng)
    named.tell()
    found: list[Direction] = []
    missing: dict[str, str] = {}
    for name, (descriptor, sign, about) in NAMES.items():
        column = list(DESCRIPTORS).index(descriptor)
        try:
            found.append(_by_descriptor(name, about, column, sign, sounds, decoder))
        except TimbrespaceError as error:
            missing[name] = str(error)
        named.tell()
    for word in _families(space, there):
        name = word if word not in NAMES else f"family={word}"
        try:
            found.append(_by_family(name, word, sounds, decoder, judges))
        except TimbrespaceError as error:
            missing[name] = str(error)
        named.tell()
    made = Directions(
        space.version, tuple(found), missing, len(there), len(here), decoder.instruments, source
    )
    return _kept(run, made)


def _kept(run: Run, made: Directions) -> Directions:
    write_text(run.path / "space" / FILE, json.dumps(jsonable(asdict(made)), allow_nan=False))
    return Directions.open(run, made.version)


def drawn(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of these rows, at random but the same whoever draws: who draws from a part of the
    rows finds what was drawn of them before, so that few sounds are described twice."""
    if not len(rows):
        return rows
    place = np.random.default_rng(0).random(int(rows.max()) + 1)[rows]
    return np.sort(rows[np.argsort(place)[:most]])


def described(run: Run, corpus: "Corpus", rows: np.ndarray) -> tuple[np.ndarray, str]:
    """The descriptors (N, 10) of rows of a corpus over the feature's window, and in words what was
    described: the recordings, or where one cannot be read its stored picture made sound.

    A recording is described once for all runs of the feature: what is known lies beside its pictures.
    """
    known = _Known.open(run, corpus)
    pitches = corpus.labels("pitch") if "pitch" in corpus.label_names else None
    feature, lost = run.feature, []
    length = round(feature.seconds * feature.sample_rate)
    for row in (int(r) for r in rows if int(r) not in known.values):
        try:
            sound = corpus.audio(row, sample_rate=feature.sample_rate).mono()[:length]
        except (TimbrespaceError, OSError):
            lost.append(row)
            continue
        pitch = None if pitches is None else _number(pitches[row])
        known.values[row] = describe([sound], feature.sample_rate, [pitch])[0]
    known.keep()
    values = dict(known.values)
    for start in range(0, len(lost), 16):
        some = lost[start : start + 16]
        told = [None if pitches is None else _number(pitches[row]) for row in some]
        made = describe(_pictures_as_sound(run, corpus, some), feature.sample_rate, told)
        values |= dict(zip(some, made, strict=True))
    source = "the recordings"
    if lost:
        source = (
            f"{len(rows) - len(lost)} recordings, and of {len(lost)} that cannot be read the stored "
            "picture made sound"
        )
    return np.array([values[int(r)] for r in rows]).reshape(len(rows), -1), source


@dataclass
class _Known:
    """Descriptors of recordings by row, and the file that keeps them."""

    path: Path
    digest: str
    values: dict[int, np.ndarray]

    @classmethod
    def open(cls, run: Run, corpus: "Corpus") -> "_Known":
        path = corpus.path / "features" / run.feature.fingerprint / DESCRIBED
        values: dict[int, np.ndarray] = {}
        key = f"{corpus.digest} {run.feature.fingerprint} {' '.join(DESCRIPTORS)}"
        with suppress(OSError, ValueError, KeyError, BadZipFile), np.load(path) as kept:
            if str(kept["of"]) == key:
                values = dict(zip(kept["rows"].tolist(), kept["values"], strict=True))
        return cls(path, key, values)

    def keep(self) -> None:
        if not self.path.parent.is_dir() or not self.values:
            return
        with suppress(OSError):  # what is measured does not need it
            write_arrays(
                self.path, of=np.array(self.digest), rows=np.array(list(self.values)),
                values=np.array(list(self.values.values())),
            )  # fmt: skip


@dataclass(frozen=True)
class _Sounds:
    """What is fitted on, and what is held out: positions in the space, latents and descriptors at equal
    pitch, and what the pitch was held by."""

    there: np.ndarray
    here: np.ndarray
    z: tuple[np.ndarray, np.ndarray]
    values: tuple[np.ndarray, np.ndarray]
    held: tuple[np.ndarray, np.ndarray]
    families: list[str | None]
    instruments: list[Hashable] | None  # of what is fitted on

    @classmethod
    def of(cls, space: Space, values: np.ndarray, there: np.ndarray, here: np.ndarray) -> "_Sounds":
        both = np.concatenate([there, here])
        pitches = space.labels.get("pitch")
        held = axes.design(
            None if pitches is None else [_number(pitches[i]) for i in both], len(both)
        )
        first = len(there)
        parts = held[:first], held[first:]
        z = axes.rest(space.mean[there], parts[0], space.mean[here], parts[1])
        known = axes.rest(values[:first], parts[0], values[first:], parts[1])
        instruments = space.labels.get("instrument")
        return cls(
            there, here, z, (clipped(known[0], known[0]), clipped(known[1], known[0])), parts,
            [_word(v) for v in space.labels.get("family", [None] * len(space.rows))],
            None if instruments is None else [instruments[i] for i in there],
        )  # fmt: skip


@dataclass(frozen=True)
class _Decoder:
    """Sounds at which steps begin, and what makes them audible."""

    run: Run
    latents: np.ndarray  # (B, Z)
    pitches: list[float | None]
    labels: dict[str, np.ndarray]
    levels: np.ndarray
    held: np.ndarray
    instruments: list[str | None]
    synth: Any

    @classmethod
    def of(cls, run: Run, space: Space, some: np.ndarray, rng: np.random.Generator) -> "_Decoder":
        from timbrespace.render.synth import Synth

        instruments = space.labels.get("instrument", [None] * len(space.rows))
        at: list[int] = []
        used: set[Any] = set()
        for i in rng.permutation(some).tolist():
            if len(at) < BASES and (instruments[i] is None or instruments[i] not in used):
                at.append(i)
                used.add(instruments[i])
        synth = Synth(run.load_model(space.weights), run.feature, run.vocabulary)
        pitches = space.labels.get("pitch", [None] * len(space.rows))
        known = [_number(pitches[i]) for i in at]
        told = [n for n in synth.told if n != "pitch" and n in space.labels]
        return cls(
            run, space.mean[at], known,
            {name: np.array([space.labels[name][i] for i in at], object) for name in told},
            space.rms_db[at], axes.design(known, len(at)), [_word(instruments[i]) for i in at], synth,
        )  # fmt: skip

    def pictures(self, step: np.ndarray) -> "Tensor":
        """What the model makes of each sound at each of STEPS, (B, T, height, width)."""
        import torch

        z = self.latents[:, None] + STEPS[:, None] * step
        count = len(STEPS)
        told = {name: np.repeat(values, count) for name, values in self.labels.items()}
        known = [128 if p is None else p for p in self.pitches]
        pitch = np.repeat(known, count) if self.synth.pitched else None
        made = self.synth.picture(z.reshape(-1, z.shape[-1]), pitch, told)
        return torch.from_numpy(made).reshape(*z.shape[:2], *made.shape[1:])

    def seen(self, pictures: "Tensor") -> np.ndarray:
        """Pictures (B, T, height, width) as the feature's yardstick shows them."""
        flat = self.run.feature.view(pictures.flatten(0, 1)).values.numpy()
        return flat.reshape(*pictures.shape[:2], *flat.shape[1:])

    def described(self, pictures: "Tensor") -> np.ndarray:
        """Descriptors (B, T, 10) of pictures (B, T, height, width), made sound as far as AUDIBLE."""
        feature = self.run.feature
        if isinstance(feature, Decibels):
            pictures = pictures[..., : round(AUDIBLE * feature.sample_rate / feature.hop)]
        flat = pictures.flatten(0, 1)
        # no round of Griffin-Lim: magnitudes are described, and it takes most of the time
        sounds = feature.invert(flat, -20.0 - feature.rms_db(flat), recovery=Recovery(rounds=0))
        pitches = np.repeat(np.array(self.pitches, object), len(STEPS)).tolist()
        values = describe(list(sounds.numpy()), feature.sample_rate, pitches)
        return values.reshape(*pictures.shape[:2], -1)


@dataclass(frozen=True)
class _Judges:
    """What families look like: axes of the pictures' principal components, fitted on training sounds."""

    pca: Pca
    held: np.ndarray
    coordinates: np.ndarray
    families: list[str | None]

    @classmethod
    def of(cls, run: Run, space: Space, sounds: _Sounds, rng: np.random.Generator) -> "_Judges":
        import torch

        some = np.sort(rng.permutation(len(sounds.there))[:JUDGED])
        store = run.corpus.features(run.feature)
        seen = run.feature.view(torch.from_numpy(store.read(space.rows[sounds.there[some]])))
        flat = seen.values.numpy().reshape(len(some), -1)
        pca = Pca.fit(flat, 32)
        return cls(
            pca, sounds.held[0][some], pca.transform(flat),
            [sounds.families[i] for i in sounds.there[some]],
        )  # fmt: skip

    def scores(self, word: str, pictures: np.ndarray, held: np.ndarray) -> np.ndarray:
        """How much pictures (B, T, mels, frames) look like a family, (B, T), in standard deviations."""
        is_word = np.array([family == word for family in self.families], float)
        count = pictures.shape[1]
        other = self.pca.transform(pictures.reshape(len(pictures) * count, -1))
        x, seen = axes.rest(self.coordinates, self.held, other, np.repeat(held, count, 0))
        y = axes.rest(is_word[:, None], self.held, is_word[:1, None], self.held[:1])[0][:, 0]
        return (seen @ axes.fit(x, y).weights).reshape(len(pictures), count)


def _by_descriptor(
    name: str, about: str, column: int, sign: float, sounds: _Sounds, decoder: _Decoder
) -> Direction:
    there, here = (sign * table[:, column] for table in sounds.values)
    axis = axes.fit(sounds.z[0], there, sounds.instruments)
    values = decoder.described(decoder.pictures(axis.step))
    rises = axes.monotonicity(sign * values[:, :, column])
    measured: dict[str, Any] = dict.fromkeys(("correlation", "linear", "local"))
    if np.isfinite(here).sum() >= 2:
        measured = {
            "correlation": axes.rank_correlation(here, sounds.z[1] @ axis.weights),
            "linear": axes.explained(here, axis.guess(sounds.z[1])),
            "local": axes.explained(here, axes.local_guess(sounds.z[0], there, sounds.z[1])),
        }
    moves = _moves(values, sounds)
    return _direction(name, about, list(DESCRIPTORS)[column], axis, measured, rises, moves)


def _by_family(
    name: str, word: str, sounds: _Sounds, decoder: _Decoder, judges: _Judges
) -> Direction:
    is_word, inside = (
        np.array([sounds.families[i] == word for i in at]) for at in (sounds.there, sounds.here)
    )
    y, _ = axes.rest(
        is_word[:, None].astype(float), sounds.held[0], np.zeros((0, 1)), sounds.held[1][:0]
    )
    axis = axes.fit(sounds.z[0], y[:, 0], sounds.instruments)
    pictures = decoder.seen(decoder.pictures(axis.step))
    rises = axes.monotonicity(judges.scores(word, pictures, decoder.held))
    at = sounds.z[1] @ axis.weights
    measured: dict[str, Any] = dict.fromkeys(("correlation", "linear", "local"))
    if 0 < inside.sum() < len(inside):
        measured["correlation"] = float(np.sign(at[inside][:, None] - at[~inside]).mean())
    about = f"more like {word}"
    return _direction(name, about, f"family={word}", axis, measured, rises, {})


def _moves(values: np.ndarray, sounds: _Sounds) -> dict[str, float | None]:
    """What a step does to each descriptor, from those of decoded sounds (B, T, 10)."""
    moves: dict[str, float | None] = {}
    for i, descriptor in enumerate(DESCRIPTORS):
        spread = sounds.values[0][:, i]
        deviation = float(np.nanstd(spread)) if np.isfinite(spread).any() else 0.0
        each = axes.gain(STEPS, values[:, :, i])
        each = each[np.isfinite(each)]
        known = len(each) and deviation > 0.0
        moves[descriptor] = float(each.mean()) / deviation if known else None
    return moves


def _direction(
    name: str, about: str, of: str, axis: axes.Axis, measured: dict[str, Any], rises: np.ndarray,
    moves: dict[str, float | None],
) -> Direction:  # fmt: skip
    known = rises[np.isfinite(rises)]
    return Direction(
        name, about, of, [float(f"{v:.6g}") for v in axis.step], **measured,
        monotonicity=float(known.mean()) if len(known) else None, of_sounds=known.tolist(),
        moves=moves,
    )  # fmt: skip


class _Progress:
    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.done, self.total = progress, 0, total

    def tell(self) -> None:
        self.done += 1
        if self.progress:
            self.progress("directions", self.done, self.total, {})


def _families(space: Space, there: np.ndarray) -> list[str]:
    """The families, by name, that enough of the training sounds have; none where there is one alone."""
    words = [_word(space.labels["family"][i]) for i in there] if "family" in space.labels else []
    known = sorted({w for w in words if w is not None})
    return [w for w in known if words.count(w) >= axes.LEAST] if len(known) > 1 else []


def sample_sizes(corpus: "Corpus", rows: np.ndarray) -> tuple[int, int]:
    """How many training sounds and held-out sounds to describe: fewer where the first recording cannot be
    read, since pictures have to be made sound."""
    try:
        corpus.audio(int(rows[0]))
    except (TimbrespaceError, OSError):
        return WITHOUT
    return THERE, HERE


def _pictures_as_sound(run: Run, corpus: "Corpus", rows: Sequence[int]) -> list[np.ndarray]:
    import torch

    values = torch.from_numpy(corpus.features(run.feature).read(np.array(rows)))
    level = -20.0 - run.feature.rms_db(values)
    return list(run.feature.invert(values, level, recovery=Recovery(rounds=0)).numpy())


def clipped(table: np.ndarray, there: np.ndarray) -> np.ndarray:
    """A table (N, D) whose outliers count as the outer hundredths of each column of `there` (M, D)."""
    ends = [
        np.quantile(column[np.isfinite(column)], [RARE, 1.0 - RARE])
        if np.isfinite(column).any() else (0.0, 0.0)
        for column in there.T
    ]  # fmt: skip
    low, high = np.array(ends).T
    return np.clip(table, low, high)


def _number(value: Any) -> float | None:
    return None if value is None or value == "" or not np.isfinite(float(value)) else float(value)


def _word(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)
