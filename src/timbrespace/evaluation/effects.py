"""What a space of pairs knows of effects: which one, where its knobs stand, and what is between two.

Conventions
-----------
Asked of runs whose feature is `pair`, of at most 2,000 of the pairs measured, against all training pairs that
the evaluation has encoded; the modules effect_clusters, effect_knobs and effect_paths define the figures,
effect_pairs the views. Intervals are over instruments or speakers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from timbrespace.evaluation import (
    effect_clusters,
    effect_drawings,
    effect_knobs,
    effect_paths,
    statistics,
)
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.effect_pairs import NAMES, EffectPairs
from timbrespace.evaluation.facts import BATCH, Facts
from timbrespace.evaluation.figures import matrices
from timbrespace.page import brackets, escape, image, table

CHANNELS = ("dry", "wet", "wet_less_dry")
METHODS = {
    "centre": "always the centre", "mean": "the mean of training", "head": "the model's head",
    "mu_ridge": "ridge, mu", "mu_knn": "5 nearest, mu", "mu_trees": "trees, mu",
    "z_ridge": "ridge, z", "z_knn": "5 nearest, z", "z_trees": "trees, z",
    "untrained_ridge": "ridge, the same encoder untrained",
    "pca_ridge": "ridge, PCA of the same pictures", "pca_difference_ridge": "ridge, PCA of wet less dry",
    "hand_trees": "trees, hand features",
}  # fmt: skip
KNOB_COLUMNS = (
    "centre", "mean", "head", "mu_ridge", "mu_trees", "pca_difference_ridge", "hand_trees"
)  # fmt: skip


def measure(facts: Facts) -> dict[str, Any]:
    """All figures. Unanswerable where effects have no names."""
    pairs = EffectPairs.of(facts)
    rng = facts.rng("effects figures")
    latents, principal = pairs.latents, pairs.principal
    views = latents | {"untrained": pairs.untrained}
    views |= {name: principal[name] for name in ("pca", "pca_difference")} | {"hand": pairs.hand}
    which = effect_clusters.evaluate(views, pairs.asked, pairs.learnt, rng=rng, seed=facts.seed)
    places, names = pairs.says(latents["mu"][0])
    if names is not None and "why_not" not in which:
        which["head"] = _named(names, pairs, rng)
    known = {name: view[0] for name, view in {**views, "pca_dry": principal["pca_dry"]}.items()}
    return {
        "pairs": len(pairs.at),
        "training_pairs": len(facts.there.rows),
        "groups": len(set(effect_clusters.drawn_as_one(pairs.asked))),
        "which": which,
        "invariance": effect_clusters.invariance(known, pairs.asked),
        "knobs": effect_knobs.evaluate(
            views, pairs.settings, pairs.asked, pairs.learnt, head=places, rng=rng, seed=facts.seed
        ),
        "channels": _channels(pairs, rng),
        "paths": effect_paths.measure(pairs, rng),
    }  # fmt: skip


def _named(names: list[str], pairs: EffectPairs, rng: np.random.Generator) -> dict[str, Any]:
    right = np.array([a == b for a, b in zip(names, pairs.asked.effects, strict=True)], float)
    return statistics.headline(right, effect_clusters.drawn_as_one(pairs.asked), rng=rng)


def _channels(pairs: EffectPairs, rng: np.random.Generator) -> dict[str, Any]:
    """The error in dB of each channel by itself, of the model, of PCA of as many numbers and of the mean
    picture; with intervals."""
    import torch

    facts, here = pairs.facts, pairs.here
    feature, unit = facts.run.feature, facts.run.feature.yardstick.db_per_unit
    found: dict[str, list[np.ndarray]] = {}
    with torch.no_grad():
        for start in range(0, len(here.rows), BATCH):
            at = torch.arange(start, min(start + BATCH, len(here.rows)))
            x, told = here.pictures.batch(at, torch.device("cpu"))
            x = x[:, 0]
            flat = pairs.pca.inverse(pairs.pca.transform(x.flatten(1).numpy()))
            made = {
                name: facts.run.model.decode(torch.from_numpy(points[at.numpy()]), told)[
                    :, 0
                ].float()
                for name, points in (("model", here.z), ("model_at_mean", here.mean))
            } | {"pca": torch.from_numpy(flat).reshape(x.shape)}
            seen = {name: feature.compared(x, y)[1].numpy() for name, y in made.items()}
            original = feature.view(x).values.numpy()
            seen["mean_pair"] = np.broadcast_to(facts.floors.mean, original.shape)
            for name, picture in seen.items():
                errors = effect_paths.channel_errors(original, picture, unit)
                found.setdefault(name, []).append(errors)
    groups = effect_clusters.drawn_as_one(pairs.asked)
    lines = {}
    for name, parts in found.items():
        errors = np.concatenate(parts)
        lines[name] = {}
        for channel, column in zip(CHANNELS, errors.T, strict=True):
            ends = statistics.interval(column, groups, rng=rng)
            root = None if ends is None else [float(end) ** 0.5 for end in ends]
            lines[name][channel] = {"rmse_db": float(column.mean()) ** 0.5, "interval": root}
    return {"numbers": int(here.mean.shape[1]), "lines": lines}


def draw(facts: Facts, found: dict[str, Any]) -> Shown:
    """Maps by effect and knob, strips and sounds of ways."""
    from timbrespace.batches import knob_tensor

    vocabulary = EffectPairs.of(facts).vocabulary
    names = [name for name, _ in vocabulary.knob_columns]
    rows = facts.maps[0].rows if facts.maps else facts.here.rows
    places = knob_tensor(facts.corpus, rows, vocabulary).numpy()
    moving = [k for k in range(len(names)) if np.isfinite(places[:, k]).any()]
    return effect_drawings.draw(facts, found, ([names[k] for k in moving], places[:, moving]))


def show(found: dict[str, Any]) -> Shown:
    """The section of the report."""
    figures: dict[str, bytes] = {}
    body = [
        "<h2>What the space knows of effects</h2>",
        f"<p>{found['pairs']:,} pairs of {found['groups']:,} instruments or speakers (sounds where none is "
        f"named), and {found['training_pairs']:,} training pairs to learn from. In brackets: 95 % intervals "
        "over instruments or speakers.</p>",
        *_which_shown(found["which"], figures),
        *_invariance_shown(found["invariance"]),
        *_knobs_shown(found["knobs"], figures),
        *_channels_shown(found["channels"]),
        *_paths_shown(found["paths"]),
    ]
    return Shown("".join(body), figures)


def _which_shown(found: dict[str, Any], figures: dict[str, bytes]) -> list[str]:
    title = "<h3>Which effect is it?</h3>"
    if "why_not" in found:
        return [title, f"<p>Not answered: {escape(found['why_not'])}.</p>"]
    heads = ("", "5 nearest", "logistic", "forest", "silhouette", "ARI", "NMI")
    lines: list[tuple[str, ...]] = [
        (
            NAMES[view], *(_cell(line[name]) for name in ("knn", "logistic", "forest", "silhouette")),
            f"{line['ari']:.2f}", f"{line['nmi']:.2f}",
        )
        for view, line in found["views"].items()
    ]  # fmt: skip
    if "head" in found:
        lines.append(("the model's own head, of mu", _cell(found["head"]), *[""] * 5))
    few = found["few"]
    words = f" Too few pairs to say much of each: {escape(', '.join(few))}." if few else ""
    best = found["views"]["mu"]["forest"]["confusion"]
    figures["effects-confusion"] = matrices.confusion(
        found["effects"], found["effects"], best, "Effects as a forest on mu names them",
        labels=("effect", "said by the forest"),
    )  # fmt: skip
    return [
        title,
        f"<p>{len(found['effects'])} effects; always naming the commonest gives {found['chance']:.0%}. Below "
        "the latent stands what it has to beat, read by the same readers from as many numbers (hand "
        f"features: their own).{words}</p>",
        table(heads, lines),
        image(figures["effects-confusion"], "Shares of each effect's pairs that are called what"),
    ]


def _invariance_shown(found: dict[str, Any]) -> list[str]:
    chance = "" if found["chance"] is None else f"; the commonest of {found['voices']} gives "
    chance += "" if found["chance"] is None else f"{found['chance']:.0%}"
    lines = [
        (
            NAMES[view], _number(line["voice"]),
            *(_number(line["shared_variance"][name]) for name in ("effect", "setting", "sound")),
        )
        for view, line in found["views"].items()
    ]  # fmt: skip
    heads = ("", "instrument or speaker", "effect", "setting", "sound")
    return [
        "<h3>What else does it know?</h3>"
        "<p>The share of pairs whose 5 nearest of other dry sounds have the same instrument or speaker"
        f"{chance}. Then the share of the variance that two pairs have in common which share an effect, a "
        "setting (1 in a space of effects) or a dry sound (0 there).</p>" + table(heads, lines)
    ]


def _knobs_shown(found: dict[str, Any], figures: dict[str, bytes]) -> list[str]:
    title = "<h3>Where do the knobs stand?</h3>"
    if "why_not" in found:
        return [title, f"<p>Not answered: {escape(found['why_not'])}.</p>"]
    methods = [name for name in METHODS if name in found["methods"]]
    means = [
        (
            METHODS[name], f"{line['mae']:.3f}{brackets(line['mae_interval'], 3)}",
            f"{line['r2']:.2f}", line["knobs"],
        )
        for name in methods
        for line in [found["methods"][name]]
    ]  # fmt: skip
    each = [
        (
            name, "yes" if line["identifiable"] else "no",
            *(_both(line["methods"].get(method)) for method in KNOB_COLUMNS),
        )
        for name, line in found["knobs"].items()
    ]  # fmt: skip
    body = [
        title,
        f"<p>Places from 0 to 1; the effect is taken as known. {found['identifiable']} of "
        f"{len(found['knobs'])} knobs can be told at all (R² of 0.1 or more by some reader); the means are "
        "of these, each counting once.</p>",
    ]
    if means:
        body.append(table(("", "mean absolute error", "R²", "knobs"), means))
    rails = found["rails"]
    if rails is not None:
        body.append(
            f"<p>{rails['said']:.1%} of what the model's head says stands at a rail (below 0.05 or above "
            f"0.95), and {rails['true']:.1%} of the true settings.</p>"
        )
    if found["not_asked"]:
        words = "; ".join(f"{name}: {why}" for name, why in found["not_asked"].items())
        body.append(f"<p>Not asked: {escape(words)}.</p>")
    shown: dict[str, Sequence[float | None]] = {
        METHODS[name]: [
            line["methods"].get(name, {}).get("mae") for line in found["knobs"].values()
        ]
        for name in KNOB_COLUMNS
        if name in found["methods"]
    }
    figures["effects-knobs"] = matrices.by_family(
        list(found["knobs"]),
        [("mean absolute error of each knob", shown)],
        METHODS["centre"],
        "0..1",
    )
    heads = ("knob", "identifiable", *(METHODS[name] for name in KNOB_COLUMNS))
    return [
        *body,
        image(figures["effects-knobs"], "Mean absolute error of each knob by several readers"),
        "<p class='quiet'>Mean absolute error / R² of each knob.</p>",
        table(heads, each, words=2),
    ]


def _channels_shown(found: dict[str, Any]) -> list[str]:
    names = {
        "model": "model, z sampled", "model_at_mean": "model, decode(mu)",
        "pca": f"PCA of the same pictures, {found['numbers']} numbers", "mean_pair": "the mean pair",
    }  # fmt: skip
    lines = [
        (words, *(_rooted(found["lines"][name][channel]) for channel in CHANNELS))
        for name, words in names.items()
    ]
    return [
        "<h3>Each sound by itself</h3><p>Errors in dB of the dry sound, of the wet one, and of what lies "
        "between them; log-mel pictures.</p>" + table(("", "dry", "wet", "wet less dry"), lines)
    ]


def _paths_shown(found: dict[str, Any]) -> list[str]:
    body = ["<h3>Between two pairs</h3>"]
    one, other = found["two_effects"], found["two_sounds"]
    if "why_not" in one:
        body.append(f"<p>One sound, two effects: not answered: {escape(one['why_not'])}.</p>")
    else:
        names = {
            "model": "the model's way", "pca": "the way of PCA", "crossfade": "recordings faded, no model",
            "another_sound": "the model's way to another sound",
        }  # fmt: skip
        lines = [
            (
                words, _cell(line["dry_db"]), _cell(line["wet_db"]), _number(line["ratio"]),
                line["ways"],
            )
            for name, words in names.items()
            if (line := one.get(name)) is not None
        ]  # fmt: skip
        body.append(
            "<p>One sound, two effects: how much each sound changes on the way, in dB about its mean. The dry "
            "one should not.</p>" + table(("", "dry, dB", "wet, dB", "dry / wet", "ways"), lines)
        )
    if "why_not" in other:
        return [*body, f"<p>Two sounds, one setting: not answered: {escape(other['why_not'])}.</p>"]
    names = {"model": "to another sound, same setting", "another_effect": "to another effect"}
    columns = (
        "kept_latent", "kept_decoded", "knob_mae_ends", "knob_mae_latent", "knob_mae_decoded"
    )  # fmt: skip
    lines = [
        (words, *(_cell(line[c]) if c in line else "-" for c in columns), line["ways"])
        for name, words in names.items()
        if (line := other.get(name)) is not None and "kept_latent" in line
    ]
    heads = ("", "effect kept, latent", "decoded", "knobs off, ends", "latent", "decoded", "ways")
    return [
        *body,
        "<p>Two sounds, one setting: the share of the places between them that have the effect of their "
        "beginning, and how far their knobs are from the setting (at the ends, too), read from the latent, and "
        "from what the decoded pair is encoded as.</p>" + table(heads, lines),
    ]


def _cell(found: dict[str, Any]) -> str:
    if found["mean"] is None:
        return "not known"
    ends = None if found["low"] is None else (found["low"], found["high"])
    return f"{found['mean']:.2f}{brackets(ends)}"


def _rooted(found: dict[str, Any]) -> str:
    return f"{found['rmse_db']:.2f}{brackets(found['interval'])}"


def _both(found: dict[str, float] | None) -> str:
    return "-" if found is None else f"{found['mae']:.3f} / {found['r2']:.2f}"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}"
