"""Ways between two pairs, as report 004 went them: one sound with two effects, and two sounds with one.

Conventions
-----------
A way has STEPS places on the straight line between two latents (mu). Pictures are those of the yardstick,
log-mels of the dry sound and of the wet one after the other, (P, mels, 2 * frames), `unit` dB each.

One sound, two effects: the dry sound should not change on the way. How much a sound does is the root mean
square deviation, in dB, of its pictures from their mean over the way: 0 where it stays. `crossfade`, both
recordings' pictures faded, changes the dry sound by nothing and the wet one straight from end to end.
`another_sound`: ways of the model that lead to another sound, which is what not keeping it is like.

Two sounds, one setting: the effect and its knobs should be the same all along. `kept`: the share of the
places between the ends that a reader calls by the effect of both ends, asked of the latent itself and of
what its decoded picture is encoded as (`kept_ends`: of both ends); `knob_mae`: how far what it says of the
knobs is from the setting.
`another_effect`: ways to pairs of another effect, whose first half alone has the effect of their beginning.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from timbrespace.evaluation import statistics
from timbrespace.evaluation.effect_clusters import Marks, drawn_as_one
from timbrespace.evaluation.effect_pairs import EffectPairs
from timbrespace.evaluation.nearness import distances, near, votes

STEPS = 9  # places, both ends among them
WAYS = 48  # of each kind
INNER = slice(1, STEPS - 1)
EXAMPLES = 2  # ways of each kind that are drawn and heard


def line(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The places (STEPS, ...) on the way from a to b."""
    t = np.linspace(0.0, 1.0, STEPS).reshape(-1, *[1] * a.ndim)
    return (1.0 - t) * a + t * b


def halves(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The dry and the wet pictures (..., mels, frames) of (..., mels, 2 * frames)."""
    frames = pictures.shape[-1] // 2
    return pictures[..., :frames], pictures[..., frames:]


def channel_errors(original: np.ndarray, made: np.ndarray, unit: float) -> np.ndarray:
    """Mean squared error in dB^2 (N, 3) of the dry sound, of the wet one, and of what lies between
    them, wet - dry, of pictures (N, mels, 2 * frames)."""
    (dry, wet), (made_dry, made_wet) = halves(original), halves(made)
    wrong = (made_dry - dry, made_wet - wet, (made_wet - made_dry) - (wet - dry))
    return np.stack([np.square(w * unit).mean((1, 2), dtype=np.float64) for w in wrong], 1)


def changes(pictures: np.ndarray, unit: float) -> tuple[float, float]:
    """How much the dry and the wet sound change along a way (P, mels, 2 * frames), in dB."""
    dry, wet = halves(pictures)
    return _deviation(dry, unit), _deviation(wet, unit)


def _deviation(pictures: np.ndarray, unit: float) -> float:
    return float(np.sqrt(np.square((pictures - pictures.mean(0)) * unit).mean(dtype=np.float64)))


def two_effects(marks: Marks, rng: np.random.Generator) -> list[tuple[int, int]]:
    """At most WAYS positions (a, b) of pairs of one dry sound and two effects, one of each sound."""
    return _ways(_grouped(marks.sounds), marks.effects, rng)


def two_sounds(marks: Marks, rng: np.random.Generator) -> list[tuple[int, int]]:
    """At most WAYS positions (a, b) of pairs of one setting and two dry sounds, one of each setting."""
    known = [(i, s) for i, s in enumerate(marks.sounds) if s is not None]
    sounds = dict(known)
    grouped = {
        key: [i for i in at if i in sounds] for key, at in _grouped(marks.settings).items()
    }  # fmt: skip
    return _ways(grouped, marks.sounds, rng)


def others(ways: Sequence[tuple[int, int]], labels: Sequence[Hashable]) -> list[tuple[int, int]]:
    """From the beginning of each way to the end of the next one after it whose end has another label than
    that beginning; without those for which there is none."""
    found = []
    for n, (a, _) in enumerate(ways):
        ends = (ways[(n + k) % len(ways)][1] for k in range(1, len(ways)))
        end = next((b for b in ends if labels[b] != labels[a]), None)
        if end is not None:
            found.append((a, end))
    return found


def _grouped(labels: Sequence[Hashable | None]) -> dict[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = {}
    for i, label in enumerate(labels):
        if label is not None:
            found.setdefault(label, []).append(i)
    return found


def _ways(
    grouped: Mapping[Hashable, list[int]], apart: Sequence[Any], rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Of each group two positions at random that differ in `apart`."""
    found = []
    for at in grouped.values():
        order = rng.permutation(at).tolist()
        other = next((b for b in order[1:] if apart[b] != apart[order[0]]), None) if order else None
        if other is not None:
            found.append((order[0], other))
    kept = np.sort(rng.permutation(len(found))[:WAYS])
    return [found[i] for i in kept]


def moved(
    ways: Mapping[str, Sequence[tuple[float, float]]], groups: Mapping[str, Sequence[Hashable]],
    rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    """Of the `changes` of each kind of way their means with intervals, "dry_db" and "wet_db", and the
    former over the latter, "ratio"; None where nothing changes at all."""
    found = {}
    for name, each in ways.items():
        table = np.array(each, float).reshape(-1, 2)
        if not len(table):
            continue
        dry, wet = (statistics.headline(column, groups[name], rng=rng) for column in table.T)
        ratio = dry["mean"] / wet["mean"] if dry["mean"] is not None and wet["mean"] else None
        found[name] = {"ways": len(table), "dry_db": dry, "wet_db": wet, "ratio": ratio}
    return found


def measure(pairs: EffectPairs, rng: np.random.Generator) -> dict[str, Any]:
    """Ways of both kinds; {"why_not": a sentence} for a kind that these pairs have none of."""
    facts = pairs.facts
    if facts.here.codes is not None:
        words = {"why_not": "the latent is made of codes, and between two codes there is no way"}
        return {"two_effects": words, "two_sounds": words, "examples": {}}
    first = two_effects(pairs.asked, rng)
    second = two_sounds(pairs.asked, rng)
    rows = pairs.here.rows
    return {
        "two_effects": _two_effects(pairs, first, rng) if first else
        {"why_not": "no dry sound was measured with two effects"},
        "two_sounds": _two_sounds(pairs, second, rng) if second else
        {"why_not": "no setting was measured on two sounds"},
        "examples": {
            name: [[int(rows[a]), int(rows[b])] for a, b in ways[:EXAMPLES]]
            for name, ways in (("two_effects", first), ("two_sounds", second))
        },
    }  # fmt: skip


def _two_effects(
    pairs: EffectPairs, ways: list[tuple[int, int]], rng: np.random.Generator
) -> dict[str, Any]:
    """How much the dry and the wet sound change on the way; see"""
    facts = pairs.facts
    unit = facts.run.feature.yardstick.db_per_unit
    away = others(ways, pairs.asked.sounds)
    kinds: dict[str, tuple[Sequence[tuple[int, int]], Callable[[int, int], np.ndarray]]] = {
        "model": (ways, lambda a, b: _decoded(pairs, a, b)),
        "pca": (ways, lambda a, b: _principal(pairs, a, b)),
        "crossfade": (ways, lambda a, b: _faded(pairs, a, b)),
        "another_sound": (away, lambda a, b: _decoded(pairs, a, b)),
    }
    groups = drawn_as_one(pairs.asked)
    found = {
        name: [changes(make(a, b), unit) for a, b in own] for name, (own, make) in kinds.items()
    }
    of = {name: [groups[a] for a, _ in own] for name, (own, _) in kinds.items()}
    return moved(found, of, rng)


def _decoded(pairs: EffectPairs, a: int, b: int) -> np.ndarray:
    """Pictures (STEPS, mels, 2 * frames) of the model's way, as `facts.decode` shows them."""
    mean = pairs.here.mean
    nearer = np.where(np.arange(STEPS) <= STEPS // 2, a, b)
    return pairs.facts.decode(line(mean[a], mean[b]), pairs.at[nearer])


def _principal(pairs: EffectPairs, a: int, b: int) -> np.ndarray:
    import torch

    feature = pairs.facts.run.feature
    x, _ = pairs.here.pictures.batch(torch.tensor([a, b]), torch.device("cpu"))
    points = pairs.pca.transform(x.flatten(1).numpy())
    flat = pairs.pca.inverse(line(points[0], points[1]))
    return feature.view(torch.from_numpy(flat).reshape(-1, *feature.shape)).values.numpy()


def _faded(pairs: EffectPairs, a: int, b: int) -> np.ndarray:
    return line(*pairs.facts.originals(pairs.at[[a, b]]))


def _two_sounds(
    pairs: EffectPairs, ways: list[tuple[int, int]], rng: np.random.Generator
) -> dict[str, Any]:
    """What readers say along ways between two pairs of one setting, and to pairs of another effect."""
    effects = pairs.asked.effects
    kinds = {"model": ways, "another_effect": others(ways, effects)}
    groups = drawn_as_one(pairs.asked)
    found: dict[str, Any] = {}
    for kind, own in kinds.items():
        lines: dict[str, list[tuple[float, Hashable]]] = {}
        for a, b in own:
            points = line(pairs.here.mean[a], pairs.here.mean[b])
            truth = pairs.settings.asked[[a]]
            asked = {
                "ends": points[[0, -1]], "latent": points[INNER],
                "decoded": _again(pairs, points, a, b)[INNER],
            }  # fmt: skip
            for reader, some in asked.items():
                names, knobs = _said(pairs, some)
                kept = float(np.mean([name == effects[a] for name in names]))
                lines.setdefault(f"kept_{reader}", []).append((kept, groups[a]))
                error = np.abs(knobs - truth)
                if kind == "model" and np.isfinite(error).any():
                    mean = float(np.nanmean(error))
                    lines.setdefault(f"knob_mae_{reader}", []).append((mean, groups[a]))
        found[kind] = {"ways": len(own)}
        for name, each in lines.items():
            values, of = zip(*each, strict=True)
            found[kind][name] = statistics.headline(np.array(values), of, rng=rng)
    return found


def _again(pairs: EffectPairs, points: np.ndarray, a: int, b: int) -> np.ndarray:
    """mu (P, Z) of what latents (P, Z) of a way from a to b decode to."""
    import torch

    nearer = np.where(np.arange(len(points)) <= len(points) // 2, a, b)
    told = {name: value[nearer] for name, value in pairs.here.pictures.labels.items()}
    model = pairs.facts.run.model
    with torch.no_grad():
        made = model.decode(torch.from_numpy(points).float(), told).float().clamp(-1.0, 1.0)
        return model.encode(made, told).mean.float().numpy()


def _said(pairs: EffectPairs, points: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The effect and the knobs (P, K) of latents: by the model's heads, else by the 5 nearest training
    pairs, of which those of their commonest effect say where its knobs stand."""
    places, names = pairs.says(points)
    learnt = pairs.learnt
    lengths = distances(*pairs.read(points, pairs.facts.there.mean))
    everywhere = np.ones_like(lengths, dtype=bool)
    order = sorted(set(learnt.effects))
    own = np.array([order.index(effect) for effect in learnt.effects])
    said = votes(own, near(lengths, everywhere))
    if names is None:
        names = [order[i] for i in said]
    if places is None:
        places = np.full((len(points), pairs.settings.learnt.shape[1]), np.nan)
        for i, effect in enumerate(said):
            at = near(lengths[i : i + 1], (own == effect)[None])[0]
            places[i] = pairs.settings.learnt[at[at >= 0]].mean(0)
    return names, places
