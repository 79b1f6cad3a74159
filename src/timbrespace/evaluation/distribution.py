"""Are a model's sounds, as a set, like recordings that it never heard?

Conventions
-----------
Every sound is taken over the feature's window, filled with silence where it is shorter, and becomes a
point by the embedding that this package ships (`timbrespace.embedding`), which no run has trained. The
figures are those of evaluation/two_samples.py, of those points.

The recordings of the split are halved at random, SPLITS times. One half is the reference; the others are
measured against it, each set of the same size, since a figure means nothing without its size:

- `real`: the other half, as recorded. The floor: what two sets of one law are apart.
- `inversion`: the other half through the feature's picture and back. No model of this feature does better.
- `model`: the other half through the model, z sampled.
- `training`: training recordings. What who plays back its training sounds would get; where it is
  far from `real`, the split's sounds are of another kind.
- new sounds of each prior of the run's space, as `generate` makes them.
- `noise`: white noise.

A figure is the mean over the splits, and its range holds 95 % of them. The splits share their sounds, so
that the range says how much the choice of halves matters, not what other instruments would do. Level does
not count (`heard` measures it), nor does which sound became which (`distortion`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from timbrespace.embedding import DIMENSIONS, embed
from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.evaluation import figures, two_samples
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.facts import Facts, Unanswerable
from timbrespace.page import escape, image, table

SOUNDS = 200  # in a set, at most: from about 100 the kernel distance no longer moves
LEAST = 12  # recordings: fewer leave too few neighbours in a half
SPLITS = 50
TOGETHER = 16  # new sounds decoded at a time
FIGURES = {
    "kernel_audio_distance": "kernel distance", "frechet_audio_distance": "Fréchet distance",
    "density": "density", "coverage": "coverage",
}  # fmt: skip
NAMES = {
    "real": "real: other recordings", "inversion": "picture: their own, made sound",
    "model": "model: z sampled", "training": "training recordings", "noise": "white noise",
}  # fmt: skip


def evaluate(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """The figures of points `made` (M, D) against points of recordings (N, D)."""
    density, coverage = two_samples.density_and_coverage(real, made)
    return {
        "kernel_audio_distance": two_samples.kernel_audio_distance(real, made),
        "frechet_audio_distance": two_samples.frechet_distance(real, made),
        "density": density,
        "coverage": coverage,
    }


def compare(
    own: dict[str, np.ndarray], others: dict[str, np.ndarray], rng: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """The figures of each set over random halves, and their ranges, "FIGURE_range".

    own: points (2N, D) of the same sounds in the same order, of which "real" are the recordings.
    others: points (N, D) of other sounds.
    """
    real = own["real"]
    count = len(real) // 2
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (*own, *others)}
    for _ in range(SPLITS):
        order = rng.permutation(len(real))
        reference, rest = real[order[:count]], order[count : 2 * count]
        sets = {name: points[rest] for name, points in own.items()} | others
        for name, points in sets.items():
            found[name].append(evaluate(reference, points))
    lines: dict[str, dict[str, Any]] = {}
    for name, splits in found.items():
        values = {key: np.array([one[key] for one in splits]) for key in FIGURES}
        lines[name] = {key: float(v.mean()) for key, v in values.items()} | {
            f"{key}_range": np.quantile(v, [0.025, 0.975]).tolist() for key, v in values.items()
        }
    return lines


def measure(facts: Facts) -> dict[str, Any]:
    """The figures by set, `sounds` in each set, and why there are `no_new_sounds` where there are none.

    Unanswerable with fewer than LEAST readable recordings, and when most of them are silent.
    """
    rng = facts.rng("distribution")
    picked = np.sort(rng.permutation(len(facts.here.rows))[: 2 * SOUNDS])
    length = round(facts.run.feature.seconds * facts.run.feature.sample_rate)
    points: dict[str, list[np.ndarray]] = {"real": [], "inversion": [], "model": []}
    unread: list[str] = []
    groups = set()
    for one in facts.rendered(picked):
        if one.unread is not None:
            unread.append(one.unread)
            continue
        groups.add(facts.groups[one.position])
        sounds = (one.recording, one.inversion, one.model)
        for name, point in zip(points, _points(facts, sounds, length), strict=True):
            points[name].append(point)
    if len(points["real"]) < LEAST:
        why = f" ({unread[0]})" if unread else ""
        raise Unanswerable(
            f"the sounds of the split are halved and compared, which takes {LEAST} recordings or more; "
            f"{len(points['real'])} of {len(picked)} can be read{why}"
        )
    own = {name: np.array(table) for name, table in points.items()}
    count = len(own["real"]) // 2
    others = {"training": _points(facts, _training(facts, count, rng), length)}
    missing = None
    try:
        for kind, sounds in _new_sounds(facts, count, rng):
            others[kind] = _points(facts, sounds, length)
    except RunError as error:
        missing = str(error)
    noise = (rng.standard_normal(length, np.float32) for _ in range(count))
    others["noise"] = _points(facts, noise, length)
    # a set that is smaller, since files cannot be read, does not compare
    others = {name: points for name, points in others.items() if len(points) == count}
    try:
        sets = compare(own, others, rng)
    except TimbrespaceError as error:  # silence, mostly
        raise Unanswerable(str(error)) from None
    return {
        "sounds": count,
        "groups": len(groups),
        "unread": len(unread),
        "seconds": length / facts.run.feature.sample_rate,
        "splits": SPLITS,
        "neighbours": two_samples.NEIGHBOURS,
        "dimensions": DIMENSIONS,
        "no_new_sounds": missing,
        "sets": sets,
    }


def _points(facts: Facts, sounds: Iterable[np.ndarray], length: int) -> np.ndarray:
    """Points (N, D) of sounds brought to `length` samples."""
    rate = facts.run.feature.sample_rate
    filled = (np.pad(sound[:length], (0, max(0, length - len(sound)))) for sound in sounds)
    return np.concatenate([embed([sound], rate) for sound in filled])


def _training(facts: Facts, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """As many training recordings as can be read, `count` at most."""
    rate = facts.run.feature.sample_rate
    for row in rng.permutation(facts.there.rows)[:count].tolist():
        try:
            yield facts.learnt.audio(row, sample_rate=rate).mono()
        except (TimbrespaceError, OSError):
            continue


def _new_sounds(
    facts: Facts, count: int, rng: np.random.Generator
) -> Iterator[tuple[str, Iterator[np.ndarray]]]:
    """Kinds of prior and `count` sounds of each; RunError where the run has no space."""
    from timbrespace.mapping import Space
    from timbrespace.priors.prior import Prior, kinds_of
    from timbrespace.render.synth import Synth

    run = facts.run
    space = Space.open(run)
    synth = Synth(run.load_model(space.weights), run.feature, run.vocabulary)

    def sounds(kind: str) -> Iterator[np.ndarray]:
        drawn = Prior.of(run, space, kind, seed=facts.seed).draw(count, rng)
        told = space.labels_near(drawn.z, synth.told)
        for at in np.split(np.arange(count), range(TOGETHER, count, TOGETHER)):
            yield from synth.decode(
                drawn.z[at],
                pitch=None if drawn.pitch is None else drawn.pitch[at],
                labels={name: values[at] for name, values in told.items()},
                rms_db=drawn.rms_db[at],
            )

    for kind in kinds_of(run):
        yield kind, sounds(kind)


def show(found: dict[str, Any]) -> Shown:
    """A table and a picture of every set beside its floor and its ceiling."""
    sets = {
        NAMES.get(name, f"new sounds: prior '{name}'"): line for name, line in found["sets"].items()
    }
    lines = [
        (name, *(
            f"{line[key]:.2f} ({line[f'{key}_range'][0]:.2f} to {line[f'{key}_range'][1]:.2f})"
            for key in FIGURES
        ))
        for name, line in sets.items()
    ]  # fmt: skip
    png = figures.against_floor(
        {
            title: {
                name: (line[key], *line[f"{key}_range"])
                for name, line in sets.items()
                if name != NAMES["noise"]  # so far off that it would hide all differences
            }
            for key, title in FIGURES.items()
        }
    )
    missing = found["no_new_sounds"]
    return Shown(
        "<h2>Sounds as a set</h2><p>Half of the recordings stand for what sounds should be like; other sets "
        f"of {found['sounds']} sounds each, of {found['groups']} instruments or files, are held against "
        "them by an embedding that no run has trained. Two sets of real recordings are the first line, which "
        "no set can beat by more than chance. The kernel distance is 0 for one law; the Fréchet distance is "
        "not, at this size, and is read beside the first line only. Density falls when sounds lie where no "
        "recording is, coverage when a kind of recording has no like. Means over "
        f"{found['splits']} ways to halve, and the range of 95 % of them.</p>"
        + table(("", *FIGURES.values()), lines)
        + image(png, "The sets of sounds but for noise, beside the range of the real recordings.")
        + (f"<p class='quiet'>No new sounds: {escape(missing)}.</p>" if missing else ""),
        {"distribution": png},
    )
