"""Are new sounds like real ones? Two-sample figures of pictures, beside real against real.

Conventions
-----------
Sounds are described by their coordinates (N, D) on the principal components of the training pictures
(D = 64: nearly all that a picture says). `kernel_distance` and `nearest_share` are those of
evaluation/two_samples.py. `novelty` is the median distance of a generated sound to the nearest training
sound over that of a validation sound: well below 1 it copies.
All three are worth what the floor beside them says: validation sounds against training sounds.
"""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.atomic import write_text
from timbrespace.errors import RunError
from timbrespace.evaluation.two_samples import kernel_distance, nearest_share, validate
from timbrespace.geometry.neighbours import nearest

if TYPE_CHECKING:
    from timbrespace.mapping import Space
    from timbrespace.priors.densities import CodeDensity
    from timbrespace.runs import Run

COORDINATES = 64  # principal components that describe a sound
SOUNDS = 512  # of each set, at most
TRAIN_ROWS = 4096  # training sounds that a new one may be a copy of


def nearest_distance(asked: np.ndarray, known: np.ndarray) -> float:
    """Median Euclidean distance from each of `asked` to its nearest of `known`."""
    validate(asked, known)
    return float(np.median(nearest(known, asked, 1)[0]))


def evaluate(made: np.ndarray, real: np.ndarray, train: np.ndarray) -> dict[str, float]:
    """The figures of generated sounds against real ones that nobody trained on."""
    return {
        "kernel_distance": kernel_distance(real, made),
        "nearest_share": nearest_share(made, real),
        "novelty": nearest_distance(made, train) / nearest_distance(real, train),
    }


def code_costs(
    run: "Run", space: "Space", density: "CodeDensity", asked: np.ndarray
) -> dict[str, float]:
    """Nats of the codes of the sounds `asked`, on average: see `measure`."""
    from timbrespace.priors.prior import codes_of, told_of

    books = run.recipe.model.bottleneck.codebooks
    assert books is not None
    codes = codes_of(space, asked)
    train = np.flatnonzero(np.array(space.split) == "train")
    marginal = books.costs(codes, books.counts(codes_of(space, train)))
    return {
        "uniform_nats": books.nats,
        "marginal_nats": float(marginal.mean()),
        "nats": float(density.nats(codes, *told_of(space, asked)).mean()),
    }


def measure(
    run: "Run", space: "Space", *, split: str = "valid", seed: int = 0
) -> dict[str, dict[str, float]]:
    """The figures of every way to new sounds, written to evaluation/generation.json and into the report.

    Beside the priors stand `real` (training sounds in the place of new ones: the floor) and
    `reconstructed` (what the decoder makes of the validation sounds' own latents: no prior can do
    better with this decoder). Beside `codes` stands what the split's codes cost, in nats per sound:
    `uniform_nats` when all codes are as likely, `marginal_nats` by how often training sounds have each
    at its place, `nats` by the prior. RunError when the split has fewer than two sounds.
    """
    import torch

    from timbrespace.evaluation.report import show_new_sounds
    from timbrespace.geometry.project import Pca
    from timbrespace.priors.densities import CodeDensity
    from timbrespace.priors.prior import Prior, kinds_of
    from timbrespace.render.synth import Synth

    rng = np.random.default_rng(seed)
    splits = np.array(space.split)
    train, asked = np.flatnonzero(splits == "train"), np.flatnonzero(splits == split)
    if len(asked) < 2 or len(train) < 2:
        raise RunError(
            f"{run.path} has {len(train)} training and {len(asked)} {split} sounds; generation is "
            "measured against at least two of each"
        )
    asked = np.sort(rng.permutation(asked)[:SOUNDS])
    train = np.sort(rng.permutation(train)[:TRAIN_ROWS])
    store = run.corpus.features(run.feature)

    def seen(values: np.ndarray) -> np.ndarray:
        return run.feature.view(torch.from_numpy(values)).values.numpy()

    pictures = seen(store.read(space.rows[train]))
    flat = pictures.reshape(len(pictures), -1)
    pca = Pca.fit(flat, COORDINATES, seed=seed)
    unit = float(np.sqrt(pca.variances.mean()))

    def described(pictures: np.ndarray) -> np.ndarray:
        return pca.transform(pictures.reshape(len(pictures), -1)).astype(np.float64) / unit

    known, real = described(pictures), described(seen(store.read(space.rows[asked])))
    synth = Synth(run.load_model(space.weights), run.feature, run.vocabulary)
    count = len(asked)

    def decoded(z: np.ndarray, pitch: np.ndarray | None) -> np.ndarray:
        told = space.labels_near(z, synth.told)
        parts = [
            synth.picture(
                z[at], None if pitch is None else pitch[at], {k: v[at] for k, v in told.items()}
            )
            for at in np.array_split(np.arange(len(z)), max(1, len(z) // 64))
        ]
        return described(seen(np.concatenate(parts)))

    own = space.labels.get("pitch")
    told = None
    if own is not None and all(isinstance(own[i], int) for i in asked):
        told = np.array([own[i] for i in asked])
    noise = rng.standard_normal((count, space.mean.shape[1]))
    z = space.mean[asked] + np.exp(0.5 * space.logvar[asked]) * noise
    some = rng.permutation(len(known))
    others, rest = known[some[: min(count, len(some) // 2)]], known[some[len(some) // 2 :]]
    found: dict[str, Any] = {
        "real": evaluate(others, real, rest),
        "reconstructed": evaluate(decoded(z.astype(np.float32), told), real, known),
    }
    for kind in kinds_of(run):
        prior = Prior.of(run, space, kind, seed=seed)
        drawn = prior.draw(count, rng)
        found[kind] = evaluate(decoded(drawn.z, drawn.pitch), real, known)
        if isinstance(prior.density, CodeDensity):
            found[kind] |= code_costs(run, space, prior.density, asked)
    folder = run.path / "evaluation"
    folder.mkdir(exist_ok=True)
    text = json.dumps({"split": split, "sounds": count, "seed": seed, **found}, indent=1)
    write_text(folder / "generation.json", text + "\n")
    show_new_sounds(folder)
    return found
