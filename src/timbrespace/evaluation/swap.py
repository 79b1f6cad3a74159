"""Is timbre apart from pitch: the latent of one sound, A, played at the pitch of another, B.

Conventions
-----------
A and B are sounds of the split, B of another pitch that A's family has in training (between its lowest and
its highest there) and, where there is one, of another family. The decoder is given the z of A, sampled,
A's other labels and the pitch of B. Shares of the pairs:

- asked_pitch: a pitch is heard that is less than 50 cents from B's. octave_errors: whole octaves from it.
- own_pitch: it is less than 50 cents from A's, as if nobody had asked.
- family: the nearest of other recordings of the split, neither A nor B, in the embedding
  (`timbrespace.embedding`, cosine) is of A's family. both: asked_pitch and family.

Perfect: 1, 0, 0, 1, 1, as far as tracker and embedding can tell, which A and B themselves say: A as
recorded has asked_pitch 0, own_pitch 1 and the family that can be recognised at best; B as recorded has
asked_pitch at best, and no family of A's. A at its own pitch through the model ("unswapped") says what
the swap costs. Recordings of the split teach the families, not training ones, since whose instruments
are new is named by those of training in a third of cases even as recorded, by others of the split in nine
of ten (built-in instruments). Intervals are of A's instruments. As in the crossovers
of timbre of Hung, Chen & Yang 2018 (arXiv 1811.03271) and the swaps of Luo et al. 2019 (arXiv 1906.08152),
but judged by a tracker and an embedding that know neither model nor corpus.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from timbrespace.audio import pitch
from timbrespace.embedding import embed
from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import figures
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.facts import RENDERED, Facts, Unanswerable
from timbrespace.evaluation.pitch import GOOD, cents, known, midi, shares
from timbrespace.evaluation.statistics import Groups, interval
from timbrespace.models.vocabulary import MIDI
from timbrespace.page import brackets, escape, image, table

PAIRS, LEAST = 32, 4  # at most, and at least
TAUGHT = 240  # recordings whose families are known; 100 named A as recorded in 73 % of cases, 200 in 86 %
NAMES = {
    "swapped": "A's latent at B's pitch", "unswapped": "A's latent at A's pitch",
    "a": "A as recorded", "b": "B as recorded",
}  # fmt: skip


def validate(found: np.ndarray, *others: np.ndarray | Sequence[Any]) -> None:
    """TimbrespaceError unless all are as long as the pitches found (N,), and there are some."""
    if found.ndim != 1 or not len(found) or any(len(other) != len(found) for other in others):
        raise TimbrespaceError(
            f"{found.shape} pitches were heard of {[len(other) for other in others]} pairs; "
            "give one of each for every pair"
        )


def evaluate(
    found: np.ndarray, asked: np.ndarray, own: np.ndarray, named: Sequence[Any],
    family: Sequence[Any], groups: Groups | None = None, *, rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    """Shares (see above) of pitches found, asked and own, MIDI (N,) with NaN for none, and of families
    named and true (N,), None where unknown: `family` and `both` are None where no true one is known, or
    none is named. Intervals by groups, None where all pairs agree."""
    validate(found, asked, own, named, family)
    hits = np.abs(cents(found, asked)) < GOOD  # what is not heard is no hit
    octave = shares(cents(found, asked))[:, 2]
    parts: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    every = np.ones(len(found), bool)
    parts["asked_pitch"] = hits.astype(float), every
    parts["octave_errors"] = octave, every
    parts["own_pitch"] = (np.abs(cents(found, own)) < GOOD).astype(float), every
    pairs = zip(named, family, strict=True)
    told = np.array([n is not None and f is not None for n, f in pairs], bool)
    right = np.array([n == f for n, f in zip(named, family, strict=True)], bool) & told
    parts["family"] = right.astype(float), told
    parts["both"] = (right & hits).astype(float), told
    figure: dict[str, Any] = {}
    for name, (values, counted) in parts.items():
        some = values[counted]
        of = None if groups is None else [g for g, c in zip(groups, counted, strict=True) if c]
        figure[name] = float(some.mean()) if len(some) else None
        uneven = len(some) > 0 and np.ptp(some) > 0.0
        figure[f"{name}_interval"] = interval(some, of, rng=rng) if uneven else None
    return figure


def paired_up(
    pitches: np.ndarray, families: Sequence[Any], ranges: dict[Any, tuple[float, float]],
    rng: np.random.Generator,
) -> list[tuple[int, int]]:  # fmt: skip
    """At most PAIRS (A, B) of sounds with pitches (N,), NaN for none: no sound is A twice. `ranges`: the
    lowest and highest pitch of each family."""
    found = []
    for a in range(len(pitches)):
        low, high = ranges.get(families[a], (np.inf, -np.inf))
        fits = (np.abs(pitches - pitches[a]) >= 1.0) & (low <= pitches) & (pitches <= high)
        able = np.flatnonzero(fits).tolist()
        other = [b for b in able if families[b] != families[a]]
        if able:
            found.append((a, int(rng.choice(other or able))))
    kept = np.sort(rng.permutation(len(found))[:PAIRS])
    return [found[i] for i in kept]


def measure(facts: Facts) -> dict[str, Any]:
    """`evaluate` of the swapped sounds, of A through the model as it is, and of A and B as recorded;
    "majority_family", the share that always naming the commonest family gets.

    Unanswerable for a decoder that is not told the pitch, and where fewer than LEAST sounds have a pitch
    and a partner.
    """
    if "pitch" not in facts.run.recipe.model.condition.told("decoder"):
        raise Unanswerable(
            "the decoder is not told the pitch, so that it cannot be asked for another one; the recipe "
            "would say model.condition.labels: [pitch]"
        )
    rng = facts.rng("swap")
    at = np.array([one.position for one in facts.heard])
    told = facts.here.pictures.labels["pitch"][at].double().numpy()
    pitches = np.where(told < MIDI, told, np.nan)
    families = _of(facts.labels("family"), at)
    pairs = paired_up(pitches, families, _ranges(facts), rng)
    if len(pairs) < LEAST:
        raise Unanswerable(
            f"{len(pairs)} of {len(at)} sounds have a pitch and another sound whose pitch their family has "
            f"in training; {LEAST} are needed"
        )
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    swapped = _swapped(facts, first, at[first], at[second])
    rate = facts.run.feature.sample_rate
    sounds = {
        "swapped": (swapped, [pitch.track(sound, rate) for sound in swapped]),
        "unswapped": _known(facts, "model", first), "a": _known(facts, "recording", first),
        "b": _known(facts, "recording", second),
    }  # fmt: skip
    taught = Taught.of(facts, rng)
    true = [families[i] for i in first]
    groups = [facts.groups[i] for i in at[first]]
    found: dict[str, Any] = {}
    notes, each_pair = [], {"row": facts.here.rows[at[first]].tolist()}
    for name, (each, tracked) in sounds.items():
        if not all(len(sound) for sound in each):
            notes.append(f"{NAMES[name]} is left out, since some recordings cannot be read")
            continue
        heard = np.array([midi(one) for one in tracked])
        named = taught.named(_points(each, facts), at[first], at[second])
        found[name] = evaluate(
            heard, pitches[second], pitches[first], named, true, groups, rng=rng
        )  # fmt: skip
        right = [
            "" if None in pair else float(pair[0] == pair[1])
            for pair in zip(named, true, strict=True)
        ]
        if name == "swapped":
            hits = np.abs(cents(heard, pitches[second])) < GOOD
            each_pair |= {"swap_pitch": hits.astype(float).tolist(), "swap_family": right}
        elif name == "unswapped":
            each_pair["family_heard"] = right
    if not taught.enough:
        notes.append(
            f"{len(taught.names)} other recordings that can be read are of {len(set(taught.names))} "
            "families; two are needed to tell them apart"
        )
    of = [family for family in true if family is not None]
    common = Counter(taught.names).most_common(1)
    return {
        "pairs": len(pairs), "taught": len(taught.names), "families": len(set(taught.names)),
        "notes": notes,
        **found,
        "majority_family": float(np.mean([f == common[0][0] for f in of])) if of and common else None,
        "drawn": {
            "own": pitches[first].tolist(), "asked": pitches[second].tolist(),
            "heard": [midi(one) for one in sounds["swapped"][1]],
        },
        "each": each_pair,
    }  # fmt: skip


def _known(facts: Facts, name: str, some: np.ndarray) -> tuple[list[np.ndarray], list[pitch.Pitch]]:
    """The "model" or "recording" of some of `heard`, as long as the recording, and their pitches."""
    each = [facts.heard[i] for i in some]
    sounds = [getattr(one, name)[: len(one.recording) or None] for one in each]
    return sounds, [facts.tracked[name][i] for i in some]


def _of(labels: list[Any] | None, at: np.ndarray) -> list[Any]:
    return [None] * len(at) if labels is None else [labels[i] for i in at]


def _ranges(facts: Facts) -> dict[Any, tuple[float, float]]:
    """The lowest and highest pitch of each family in training."""
    labels = facts.labels_there("pitch")
    pitches = known(labels, len(facts.there.rows))
    families = np.array(_of(facts.labels_there("family"), np.arange(len(pitches))), object)
    ranges = {}
    for name in set(families.tolist()):
        own = pitches[(families == name) & np.isfinite(pitches)]
        if len(own):
            ranges[name] = float(own.min()), float(own.max())
    return ranges


def _swapped(
    facts: Facts, first: np.ndarray, a: np.ndarray, b: np.ndarray
) -> list[np.ndarray]:  # fmt: skip
    """Sounds of A's latents at B's pitches, as loud and as long as A; a and b are positions in `here`,
    `first` those of A in `heard`."""
    import torch

    feature, model, labels = facts.run.feature, facts.run.model, facts.here.pictures.labels
    told = {name: value[a] for name, value in labels.items()} | {"pitch": labels["pitch"][b]}
    loudness = torch.tensor([facts.heard[i].loudness_db for i in first])
    sounds: list[np.ndarray] = []
    with torch.no_grad():
        for start in range(0, len(a), RENDERED):
            part = slice(start, start + RENDERED)
            own = {name: value[part] for name, value in told.items()}
            made = model.decode(torch.from_numpy(facts.here.z[a[part]]), own)[:, 0].float()
            made = made.clamp(-1.0, 1.0)
            sounds += list(feature.invert(made, loudness[part] - feature.rms_db(made)).numpy())
    lengths = [len(facts.heard[i].recording) or None for i in first]
    return [sound[:length] for sound, length in zip(sounds, lengths, strict=True)]


def _points(sounds: Sequence[np.ndarray], facts: Facts) -> np.ndarray:
    """Points of sounds (N, D), each over the feature's window, filled with silence, of length 1."""
    feature = facts.run.feature
    length = round(feature.seconds * feature.sample_rate)
    filled = [np.pad(s[:length], (0, max(0, length - len(s)))) for s in sounds]
    points = embed(filled, feature.sample_rate)
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Taught:
    """Points (N, D) of recordings whose families have `names`, and their positions in `here` (N,)."""

    points: np.ndarray
    names: list[Any]
    positions: np.ndarray

    @classmethod
    def of(cls, facts: Facts, rng: np.random.Generator) -> "Taught":
        """At most TAUGHT rows of `here` that have a family and can be read."""
        labels = facts.labels("family") or []
        named = [i for i, label in enumerate(labels) if label is not None]
        sounds: dict[int, np.ndarray] = {}
        for i in rng.permutation(np.array(named, int))[:TAUGHT].tolist():
            row = int(facts.here.rows[i])
            with suppress(TimbrespaceError, OSError):
                audio = facts.corpus.audio(row, sample_rate=facts.run.feature.sample_rate)
                sounds[i] = np.asarray(audio.mono(), np.float32)
        points = _points(list(sounds.values()), facts)
        return cls(points, [labels[i] for i in sounds], np.array(list(sounds), int))

    @property
    def enough(self) -> bool:
        """Whether there are two families to tell apart."""
        return len(set(self.names)) > 1

    def named(self, points: np.ndarray, *without: np.ndarray) -> list[Any]:
        """The family of the nearest point to each of points (M, D), except those at the positions that
        stand beside it in `without`, each (M,); None where there are no two families."""
        if not self.enough:
            return [None] * len(points)
        likeness = points @ self.points.T
        for left_out in without:
            likeness[left_out[:, None] == self.positions[None]] = -np.inf
        return [self.names[i] for i in likeness.argmax(1)]


def show(found: dict[str, Any]) -> Shown:
    """A table of what is heard of A and of B, and the pitch heard over the pitch asked for."""
    columns = ("asked_pitch", "octave_errors", "own_pitch", "family", "both")
    lines = [
        (words, *(_cell(found[name], column) for column in columns))
        for name, words in NAMES.items()
        if name in found
    ]
    if found["majority_family"] is not None:
        lines.append(
            ("always the commonest family", "", "", "", f"{found['majority_family']:.0%}", "")
        )
    drawn = {
        name: np.array([np.nan if v is None else v for v in values], float)
        for name, values in found["drawn"].items()
    }
    picture = figures.pitches_heard(drawn["own"], drawn["asked"], drawn["heard"])
    notes = "".join(f" {escape(note)}." for note in found["notes"])
    return Shown(
        "<h2>Swap</h2><p>Whether timbre is apart from pitch: the latent of a sound A, played at the pitch "
        f"of another, B, within the register of A's family; {found['pairs']} pairs, z sampled. Whose "
        "pitch is heard (within 50 cents), and whether the family is A's, by the nearest of "
        f"{found['taught']} other recordings in an embedding that knows nothing of this run. A and B "
        "as recorded say how far tracker and embedding can be trusted. "
        f"In brackets: 95 % intervals, for other instruments.{notes}</p>"
        + table(("", "B's pitch", "octave off", "A's pitch", "A's family", "B's pitch and A's family"),
                lines)
        + image(picture, "The pitch heard over the pitch asked for, and over A's own"),
        {"swap": picture},
    )  # fmt: skip


def _cell(row: dict[str, Any], name: str) -> str:
    if row[name] is None:
        return "not known"
    return f"{row[name]:.0%}{brackets(row[f'{name}_interval'], 0, times=100)}"
