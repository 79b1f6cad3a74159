"""Whether distances in the space are those that people hear: agreement with 21 listening tests.

Conventions
-----------
`agreement` defines the scores, `data.ratings` reads the sounds and ratings. 0.68 is not learning: an
encoder with random weights reaches as much, so it stands beside every score, with chance, PCA, the
pictures themselves and MFCCs, the best of the published rows. Those MFCCs are computed anew each time;
`reproduced` says whether their published scores came out to three decimals, and thereby whether
all others compare with the published ones.

Intervals are bootstraps over the studies (`statistics`). They are wide, since some studies ask what
nobody can predict, so differences of two ways are taken study by study. Some studies share sounds: 240
of the 334 are different recordings.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.data.ratings import Study
from timbrespace.errors import RunError
from timbrespace.evaluation import figures, representations
from timbrespace.evaluation.agreement import (
    SCORES,
    Agreement,
    agreement,
    cosine,
    euclidean,
)
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.facts import Facts, Unanswerable
from timbrespace.evaluation.statistics import interval, paired
from timbrespace.page import brackets, image, table

if TYPE_CHECKING:
    from timbrespace.batches import Pictures
    from timbrespace.geometry.project import Pca
    from timbrespace.runs import Run

CHANCES, SEEDS = 20, 3  # draws of random points, and of random weights
COMPARED = ("triplet", "spearman")  # scores that have intervals and differences
WAYS = {
    "chance": "random points",
    "untrained": "this model before training",
    "pca_32": "PCA-32 of the pictures, whitened",
    "pca_64": "PCA-64 of the pictures, whitened",
    "pictures": "the pictures themselves, cosine",
    "mfcc": "MFCC, all frames, cosine",
    "embedding": "musicnn's front end, cosine",
    "sound": "search by sound: embedding and MFCC courses",
    "model": "this space: means, Euclidean",
    "both": "search by both: this space, embedding, MFCC courses",
    "both_scaled": "the same, with the scales of the whole space",
}
AGAINST = {
    "model": ("untrained", "pca_32", "pca_64", "pictures", "mfcc", "embedding"),
    "both": ("model", "embedding", "mfcc", "sound"),
}
PUBLISHED = {  # the better of the variants in examples/results.yaml of the benchmark: triplet, Spearman
    "MFCC": (0.724, 0.448), "CLAP, LAION music": (0.718, 0.438), "CLAP 2023": (0.718, 0.436),
    "joint time-frequency scattering": (0.697, 0.405), "Music2Latent": (0.692, 0.385),
    "EnCodec": (0.676, 0.354), "DAC": (0.665, 0.337), "multi-scale STFT": (0.661, 0.328),
}  # fmt: skip

Embed = Callable[[list[np.ndarray]], np.ndarray]
Distance = Callable[[np.ndarray], np.ndarray]


def score(
    embed: Embed,
    studies: Sequence[Study],
    *,
    sample_rate: int = 44_100,
    distance: Distance = euclidean,
) -> Agreement:
    """The agreement of any embedding: mono sounds (samples,) at a rate to points (N, D), or to whatever
    `distance` makes distances (N, N) of."""
    tables = [distance(embed(study.samples(sample_rate))) for study in studies]
    return agreement(tables, [study.ratings for study in studies])


def distances_of(
    run: "Run", studies: Sequence[Study], *, pca: "Pca", learnt: "Pictures", seed: int = 0
) -> dict[str, list[list[np.ndarray]]]:
    """For each of WAYS the distances study by study, one list for each draw where it is random; the last
    of them only where the run's space was embedded.

    pca: of training pictures as the feature's yardstick shows them. learnt: training pictures, from which
    a linear start is made. Unanswerable where the model's numbers are not finite.
    """
    from timbrespace.embedding import embed
    from timbrespace.likeness import Heard

    shown = representations.pictures(run.feature, studies)
    flat = representations.flat(run.feature, shown)
    means = [mean for mean, _ in representations.latents(run.model, shown)]
    if not all(np.isfinite(mean).all() for mean in means):
        raise Unanswerable(
            "the latents of the rated sounds are not finite; the training has diverged"
        )
    seeds = 1 if representations.starts_linear(run.model) else SEEDS
    fresh = [
        representations.before_training(run.recipe, run.vocabulary, learnt, seed=seed + k)
        for k in range(seeds)
    ]
    rng = np.random.default_rng(seed)
    rate = run.feature.sample_rate
    heard = [Heard.of(study.sounds, run.feature.seconds) for study in studies]
    searched = representations.searched(means, heard)
    scales = _scales(run)
    scaled = representations.searched(means, heard, scales) if scales else {}
    found = {
        "chance": [
            [euclidean(points) for points in representations.chance(studies, rng)]
            for _ in range(CHANCES)
        ],
        "untrained": [
            [euclidean(mean) for mean, _ in representations.latents(one, shown)] for one in fresh
        ],
        "pca_32": [[euclidean(p) for p in representations.whitened(pca, flat, 32)]],
        "pca_64": [[euclidean(p) for p in representations.whitened(pca, flat, 64)]],
        "pictures": [[cosine(points) for points in flat]],
        "mfcc": [representations.mfcc_distances(studies)],
        "embedding": [[cosine(embed(study.samples(rate), rate)) for study in studies]],
        "sound": [searched["sound"]],
        "model": [[euclidean(mean) for mean in means]],
        "both": [searched["both"]],
    }
    return found | ({"both_scaled": [scaled["both"]]} if scaled else {})


def _scales(run: "Run") -> dict[str, float]:
    """By what a search in the run's space divides its parts; {} where it was not embedded."""
    from timbrespace.likeness import Likeness
    from timbrespace.mapping import Space

    try:
        like = Likeness.open(run, Space.open(run))
    except RunError:
        return {}
    return like.typical if like.heard is not None else {}


def evaluate(
    distances: dict[str, list[list[np.ndarray]]],
    studies: Sequence[Study],
    *,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The figures of docs/metrics.md, "perception", of ways to tell sounds apart: of each the distances
    study by study, one list for each draw."""
    ratings = [study.ratings for study in studies]
    found = {
        way: Agreement.mean([agreement(one, ratings) for one in draws])
        for way, draws in distances.items()
    }
    ways: dict[str, dict[str, Any]] = {}
    for way, one in found.items():
        ways[way] = {name: one[name] for name in (*SCORES, "mae")}
        for name in COMPARED:
            ways[way][f"{name}_interval"] = interval(one.scores[name], one.study, rng=rng)
    published = PUBLISHED["MFCC"]
    return {
        "studies": len(studies),
        "sounds": sum(map(len, studies)),
        "pairs": sum(len(study) * (len(study) - 1) // 2 for study in studies),
        "reproduced": tuple(round(found["mfcc"][name], 3) for name in COMPARED) == published,
        "ways": ways,
        "differences": {
            way: {
                other: {name: _difference(found[way], found[other], name, rng) for name in COMPARED}
                for other in others
            }
            for way, others in AGAINST.items()
        },
        "by_study": {
            study.name: {
                "sounds": len(study),
                **{name: {w: a.by_study[name][k] for w, a in found.items()} for name in COMPARED},
            }
            for k, study in enumerate(studies)
        },
    }


def _difference(
    one: Agreement, other: Agreement, name: str, rng: np.random.Generator
) -> dict[str, float] | None:
    found = paired(one.scores[name], other.scores[name], one.study, rng=rng)
    if found is None:
        return None
    return {"difference": found.difference, "low": found.low, "high": found.high, "p": found.p}


def measure(facts: Facts) -> dict[str, Any]:
    """Agreement of the run's space, beside what it has to beat, with the ratings in `facts.studies`."""
    studies = facts.studies
    if studies is None:
        raise Unanswerable("no ratings were given; pass --perception with the benchmark's folder")
    distances = distances_of(
        facts.run, studies, pca=facts.floors.pca, learnt=facts.there.pictures, seed=facts.seed
    )
    return evaluate(distances, studies, rng=facts.rng("perception"))


def show(found: dict[str, Any]) -> Shown:
    """Where the space stands between chance and the best that is known, as words, table and figures."""
    ways = found["ways"]
    lines = [
        (words, *(_told(ways[way], name) for name in COMPARED),
         *(f"{ways[way][name]:.3f}" for name in ("kendall", "ndcg", "mae")))
        for way, words in WAYS.items() if way in ways
    ]  # fmt: skip
    lines += [
        (f"published: {name}", f"{triplet:.3f}", f"{spearman:.3f}", "", "", "")
        for name, (triplet, spearman) in PUBLISHED.items()
    ]
    drawn = _figures(found)
    return Shown(
        f"<h2>What listeners say</h2><p>{sentence(found)}</p>"
        f"<p class='quiet'>Listeners of {found['studies']} studies rated how unlike "
        f"{found['pairs']:,} pairs of {found['sounds']} sounds are. Triplet: of two sounds that were "
        "rated more than a tenth of the range apart from a third, how often the nearer one is the "
        "nearer one here. Spearman: rank correlation of distances and ratings. Means over all "
        "sounds as anchors; in brackets 95 % intervals over the studies. Sounds are seen as a "
        "recording is seen, by their first window, without any label.</p>"
        + image(drawn["perception"], "Bars of agreement with listeners")
        + table(("", "triplet", "Spearman", "Kendall", "NDCG", "MAE"), lines)
        + image(drawn["perception-studies"], "Dots of the triplet agreement of each study"),
        drawn,
    )


def sentence(found: dict[str, Any]) -> str:
    """Where the space stands, in words."""
    if "why_not" in found:
        return f"perception: {found['why_not']}"
    ways, differences = found["ways"], found["differences"]["model"]

    def told(other: str) -> str:
        gap = differences[other]["triplet"]
        if gap is None:
            return f"beside {ways[other]['triplet']:.3f} of "
        if gap["low"] > 0.0 or gap["high"] < 0.0:
            return "better than " if gap["difference"] > 0.0 else "worse than "
        return "no surer than "

    score = ways["model"]
    words = (
        f"Distances in this space order {score['triplet']:.1%} of triplets as listeners do (chance "
        f"{ways['chance']['triplet']:.1%}): {told('untrained')}the model before training "
        f"({ways['untrained']['triplet']:.1%}), {told('pca_32')}PCA-32 of the pictures "
        f"({ways['pca_32']['triplet']:.1%}), {told('mfcc')}MFCCs, the best published row "
        f"({ways['mfcc']['triplet']:.1%}). A search by both, space and sound, orders "
        f"{ways['both']['triplet']:.1%} (Spearman {ways['both']['spearman']:.3f}), by sound alone "
        f"{ways['sound']['triplet']:.1%} ({ways['sound']['spearman']:.3f})."
    )
    if not found["reproduced"]:
        words += " The published scores of MFCCs did not come out here: do not compare with published rows."
    return words


def _told(scores: dict[str, Any], name: str) -> str:
    return f"{scores[name]:.3f}{brackets(scores[f'{name}_interval'], 3)}"


def _figures(found: dict[str, Any]) -> dict[str, bytes]:
    """Bars of each way and each published row; dots of each study."""
    ways, studies = found["ways"], found["by_study"]
    rows = [
        (words, "model" if way in ("model", "both", "both_scaled") else "floor",
         [(ways[way][name], ways[way][f"{name}_interval"]) for name in COMPARED])
        for way, words in WAYS.items() if way in ways
    ]  # fmt: skip
    rows += [
        (f"published: {name}", "published", [(score, None) for score in scores])
        for name, scores in PUBLISHED.items()
    ]
    rows.sort(key=lambda row: row[2][0][0])
    heads = ("triplets ordered as listeners do", "Spearman correlation")
    order = sorted(studies, key=lambda name: studies[name]["triplet"]["model"])
    names = [f"{name.replace('_', ' ')} ({studies[name]['sounds']} sounds)" for name in order]
    dots = {
        WAYS[way]: [studies[name]["triplet"][way] for name in order]
        for way in ("untrained", "mfcc", "model", "both")
    }
    chance = [ways["chance"][name] for name in COMPARED]
    return {
        "perception": figures.agreement(rows, heads, chance),
        "perception-studies": figures.agreement_by_study(names, dots, heads[0], chance[0]),
    }
