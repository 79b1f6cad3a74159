"""Ways to tell the sounds of listening tests apart: by a model, and by what it has to beat.

Conventions
-----------
Each function takes sounds or pictures study by study and gives for each study points (n, D), or
distances (n, n) where those are no points; `agreement` says what they are worth. A model sees a sound as
it saw those of its training: the first window, level and loudest cell as the feature has them. No label is
told, since pitches are not known of all; told as it is tracked, the pitch moves triplets by less than 0.005 and
Spearman by up to 0.009, of a harmonic model by 0.014 and 0.027 (bench/results/perception.md).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from timbrespace.data.ratings import Study
from timbrespace.embedding import cepstrum
from timbrespace.evaluation.agreement import cosine, euclidean
from timbrespace.geometry.project import Pca
from timbrespace.likeness import Heard, Likeness

if TYPE_CHECKING:
    from torch import Tensor

    from timbrespace.batches import Pictures
    from timbrespace.features.feature import Feature
    from timbrespace.models.autoencoder import Autoencoder, Labels
    from timbrespace.models.vocabulary import Vocabulary
    from timbrespace.recipe import Recipe

SAME = (
    1e-6  # of the largest variance: components with less carry rounding, which whitening would show
)


def pictures(feature: "Feature", studies: Sequence[Study]) -> "list[Tensor]":
    """The first window of each sound, as a model of this feature takes it: (n, height, width)."""
    import torch

    return [
        torch.stack(
            [
                feature.analyse(torch.from_numpy(x)).values
                for x in study.samples(feature.sample_rate)
            ]
        )
        for study in studies
    ]


def flat(feature: "Feature", shown: "Sequence[Tensor]") -> list[np.ndarray]:
    """Pictures in the decibels of the feature's yardstick, each as one point."""
    return [feature.view(x).values.flatten(1).numpy() for x in shown]


def whitened(pca: Pca, points: Sequence[np.ndarray], components: int) -> list[np.ndarray]:
    """Points on the first components, each in units of its own standard deviation over the sounds
    that the PCA was fitted on."""
    spread = np.sqrt(pca.variances[:components])
    spread = np.where(spread**2 > SAME * pca.variances[0], spread, np.inf)
    return [pca.transform(x, components) / spread for x in points]


def latents(
    model: "Autoencoder", shown: "Sequence[Tensor]", told: "Sequence[Labels] | None" = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Means and log-variances (n, Z) of pictures, with the labels that the model is told."""
    import torch

    found = []
    with torch.no_grad():
        for number, x in enumerate(shown):
            labels = {} if told is None else told[number]
            x = x[:, None].contiguous(memory_format=torch.channels_last)
            latent = model.encode(x, labels)
            found.append((latent.mean.float().numpy(), latent.logvar.float().numpy()))
    return found


def before_training(
    recipe: "Recipe", vocabulary: "Vocabulary", learnt: "Pictures", *, seed: int = 0
) -> "Autoencoder":
    """The model as its training begins: weights drawn with `seed` and, of a model of principal
    components, brought to the linear code of the training pictures `learnt`."""
    import math

    import torch

    from timbrespace.models import linear_start
    from timbrespace.recipe import build
    from timbrespace.training.start import count_of

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(recipe, vocabulary)
    if starts_linear(model):
        count = count_of(len(learnt), math.prod(recipe.feature.shape))
        at = torch.linspace(0, len(learnt) - 1, count).long()
        x, labels = learnt.batch(at, torch.device("cpu"))
        bits = recipe.objective.bits_per_sound
        linear_start.begin(model, x, labels, bits * math.log(2.0) if bits else float(model.latent))
    return model.eval()


def starts_linear(model: "Autoencoder") -> bool:
    """Whether a training of the model begins at a linear code, not at random."""
    from timbrespace.models.principal import Components

    return any(isinstance(part, Components) for part in model.modules())


def in_noise(latents: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Distances (n, n) of means in widths of the noise, sqrt(sum (m - m')^2 / s^2) with s^2 the mean
    of both variances: how surely one sample tells two sounds apart."""
    mean, variance = latents[0].astype(np.float64), np.exp(latents[1].astype(np.float64))
    square = np.square(mean[:, None] - mean[None])
    return np.sqrt((2.0 * square / (variance[:, None] + variance[None])).sum(-1))


def chance(studies: Sequence[Study], rng: np.random.Generator) -> list[np.ndarray]:
    """Points that know nothing of the sounds: 32 numbers from a normal distribution."""
    return [rng.standard_normal((len(study), 32)) for study in studies]


def searched(
    means: Sequence[np.ndarray],
    heard: Sequence[Heard],
    typical: dict[str, float] | None = None,
) -> dict[str, list[np.ndarray]]:
    """Distances (n, n) by which a search orders sounds (`likeness`), by sound and by both: of each study
    its latents (n, Z) and how its recordings sound. Each study is a space of its own, or has the scales
    `typical` of another."""
    found: dict[str, list[np.ndarray]] = {"sound": [], "both": []}
    for mean, own in zip(means, heard, strict=True):
        like = Likeness(mean, own, typical) if typical else Likeness.of(mean, own)
        for by, tables in found.items():
            tables.append(np.stack([like.around(k, by)[1] for k in range(len(mean))]))
    return found


def mfcc_distances(studies: Sequence[Study], *, angle: bool = True) -> list[np.ndarray]:
    """Distances (n, n) of the published row of MFCCs: all frames, of two sounds the shorter filled up
    with silence; the cosine's (`angle`), or Euclidean."""
    between = cosine if angle else euclidean
    found = []
    for study in studies:
        sounds = study.samples(cepstrum.SAMPLE_RATE)
        lengths = np.array([len(sound) for sound in sounds])
        distances = np.zeros((len(sounds),) * 2)
        for length in np.unique(lengths):
            # the pairs whose longer sound is so long
            longer = np.maximum(lengths[:, None], lengths) == length
            used = np.flatnonzero(longer.any(1))
            points = [
                cepstrum.mfcc(np.pad(sounds[i], (0, length - len(sounds[i])))).ravel() for i in used
            ]
            distances[np.ix_(used, used)] += between(np.stack(points)) * longer[np.ix_(used, used)]
        found.append(distances)
    return found
