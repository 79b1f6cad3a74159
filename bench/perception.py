"""What agrees with listeners: runs, their distances and front ends, beside what has to be beaten.

    python bench/perception.py RATINGS RUN [RUN ...]

RATINGS is a checkout of github.com/tiianhk/timbremetrics. First the published rows of MFCCs are computed
anew, all twenty figures. Then every RUN in every way that its space offers: other distances of its means,
other ways to show it a sound, and mixtures with the embedding and MFCCs. What is chosen among them is
chosen without the studies that judge it: leave one out, with all that share its sounds. Writes
bench/results/perception.md. A minute, and a minute a run.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from result import FOLDER, made_by, options, table, write

from timbrespace.audio.descriptors import describe
from timbrespace.audio.pitch import track
from timbrespace.batches import Pictures
from timbrespace.data.ratings import Study, read_studies, related
from timbrespace.embedding import cepstrum, embed
from timbrespace.evaluation import representations as ways
from timbrespace.evaluation.agreement import (
    SCORES,
    Agreement,
    agreement,
    combined,
    cosine,
    euclidean,
)  # fmt: skip
from timbrespace.evaluation.floors import Floors
from timbrespace.evaluation.statistics import interval, paired
from timbrespace.geometry.project import Pca
from timbrespace.likeness import Heard, Likeness
from timbrespace.runs import Run

RESULT = FOLDER / "perception.md"
ROWS, CHANCES, SEEDS, RATE = 3_000, 20, 3, 16_000
RECORDINGS = 250
NAMES = (*SCORES, "mae")
PUBLISHED = {  # examples/results.yaml of the benchmark
    "MFCC, all frames, cosine": (0.724, 0.448, 0.348, 0.906, 0.287),
    "MFCC, all frames, Euclidean": (0.722, 0.442, 0.342, 0.905, 0.169),
    "MFCC, mean over time, cosine": (0.696, 0.395, 0.303, 0.895, 0.326),
    "MFCC, mean over time, Euclidean": (0.691, 0.383, 0.290, 0.892, 0.189),
}
MIDDLE_C = 60.0

Tables = list[np.ndarray]


@dataclass(frozen=True)
class Bench:
    """The studies, and what does not hang on a run: distances study by study."""

    studies: tuple[Study, ...]
    mfcc: Tables
    courses: Tables
    embedding: Tables
    descriptors: Tables

    @classmethod
    def of(cls, folder: Path) -> "Bench":
        studies = read_studies(folder)
        sounds = [study.samples(RATE) for study in studies]
        described = [describe(some, RATE) for some in sounds]
        known = ~np.isnan(np.concatenate(described)).all(0)  # all but those that ask for a pitch
        pooled = np.concatenate(described)[:, known]
        middle, spread = np.nanmedian(pooled, 0), np.nanstd(pooled, 0)
        points = [np.nan_to_num((some[:, known] - middle) / spread) for some in described]
        return cls(
            studies, ways.mfcc_distances(studies), [courses(study) for study in studies],
            [cosine(embed(some, RATE)) for some in sounds], [euclidean(some) for some in points],
        )  # fmt: skip

    def agreement(self, distances: Tables) -> Agreement:
        return agreement(distances, [study.ratings for study in self.studies])

    def line(self, name: str, distances: Tables) -> list[str]:
        """A row of the table: scores, the interval of the first, and what it is better than MFCCs by."""
        found, mfcc = self.agreement(distances), self.agreement(self.mfcc)
        rng = np.random.default_rng(0)
        ends = interval(found.scores["triplet"], found.study, rng=rng)
        gap = paired(found.scores["triplet"], mfcc.scores["triplet"], found.study, rng=rng)
        assert ends is not None and gap is not None
        scores = [f"{found[key]:.3f}" for key in NAMES]
        between = f"{gap.difference:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
        return [name, *scores, f"[{ends[0]:.3f}, {ends[1]:.3f}]", between]


def courses(study: Study) -> np.ndarray:
    """Distances of MFCCs as a space keeps them."""
    table = cepstrum.courses(study.samples(cepstrum.SAMPLE_RATE), cepstrum.SAMPLE_RATE)
    return cepstrum.distances(table, table)


HEADINGS = (
    "way", "triplet", "Spearman", "Kendall", "NDCG", "MAE", "triplet, 95 %", "triplet less MFCC's",
)  # fmt: skip


def reproduced(bench: Bench) -> tuple[list[list[str]], int]:
    """The published rows beside those computed here, and how many figures are equal to three decimals."""
    means = [
        np.stack([cepstrum.mfcc(x).mean(1) for x in study.samples(cepstrum.SAMPLE_RATE)])
        for study in bench.studies
    ]
    here = (
        bench.mfcc, ways.mfcc_distances(bench.studies, angle=False),
        [cosine(m) for m in means], [euclidean(m) for m in means],
    )  # fmt: skip
    lines, equal = [], 0
    for (name, published), distances in zip(PUBLISHED.items(), here, strict=True):
        found = bench.agreement(distances)
        rounded = [round(found[key], 3) for key in NAMES]
        equal += sum(a == b for a, b in zip(rounded, published, strict=True))
        cells = [f"{a:.3f} / {b:.3f}" for a, b in zip(published, rounded, strict=True)]
        lines.append([name, *cells])
    return lines, equal


def common(bench: Bench) -> list[list[str]]:
    """Rows of what knows no run."""
    rng = np.random.default_rng(0)
    draws = [
        bench.agreement([euclidean(p) for p in ways.chance(bench.studies, rng)])
        for _ in range(CHANCES)
    ]
    mean = Agreement.mean(draws)
    return [
        ["random points, 32 numbers", *(f"{mean[key]:.3f}" for key in NAMES), "", ""],
        bench.line("MFCC, all frames, cosine", bench.mfcc),
        bench.line("MFCC courses, 962 bytes a sound", bench.courses),
        bench.line("embedding (musicnn's front end), cosine", bench.embedding),
        bench.line("eight descriptors, standardised", bench.descriptors),
        bench.line("embedding and MFCC", combined([bench.embedding, bench.mfcc])),
        bench.line(
            "embedding and descriptors", combined([bench.embedding, bench.descriptors])
        ),
    ]  # fmt: skip


def of_run(bench: Bench, run: Run) -> dict[str, Tables]:
    """Distances of a run's space in every way, by name."""
    shown = ways.pictures(run.feature, bench.studies)
    flat = ways.flat(run.feature, shown)
    latents = ways.latents(run.model, shown)
    means = [mean for mean, _ in latents]
    rows = run.corpus.split_rows("train")
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, ROWS, replace=False))
    store = run.corpus.features(run.feature)
    learnt = Pictures.of(run.corpus, store, rows, run.vocabulary)

    def seen(some: np.ndarray) -> np.ndarray:
        return run.feature.view(torch.from_numpy(store.read(some))).values.numpy()

    pca = Floors.fit(seen, rows).pca
    spread = Pca.fit(trained(run, learnt), run.model.latent)
    found = {
        "pictures, cosine": [cosine(p) for p in flat],
        "PCA-32, whitened": [euclidean(p) for p in ways.whitened(pca, flat, 32)],
        "PCA-64, whitened": [euclidean(p) for p in ways.whitened(pca, flat, 64)],
    }
    seeds = 1 if ways.starts_linear(run.model) else SEEDS
    for seed in range(seeds):
        fresh = ways.before_training(run.recipe, run.vocabulary, learnt, seed=seed)
        start = "at its linear start" if seeds == 1 else f"with random weights, seed {seed}"
        found[f"the model {start}"] = [euclidean(m) for m, _ in ways.latents(fresh, shown)]
    found["means, Euclidean"] = [euclidean(m) for m in means]
    found["means, cosine"] = [cosine(m) for m in means]
    found["means, whitened over training sounds"] = [
        euclidean(p) for p in ways.whitened(spread, means, run.model.latent)
    ]
    if run.model.latent > 32:
        found["means, their 32 principal components"] = [
            euclidean(spread.transform(m, 32)) for m in means
        ]
    if run.recipe.model.bottleneck.codebooks is None:
        found["means, in widths of the noise"] = [ways.in_noise(one) for one in latents]
    found["decoded pictures, one pitch for all"] = [euclidean(p) for p in decoded(run, means)]
    found["mean over all windows of a sound"] = [euclidean(p) for p in windows(run, bench.studies)]
    if "pitch" in run.vocabulary.names:
        told = [{"pitch": torch.tensor(p)} for p in pitches(run, bench.studies)]
        found["pitch told, as it is tracked"] = [
            euclidean(m) for m, _ in ways.latents(run.model, shown, told)
        ]
    heard = [Heard.of(study.sounds, run.feature.seconds) for study in bench.studies]
    searched = ways.searched(means, heard)
    found["search by sound: embedding and courses"] = searched["sound"]
    found["search by both: means, embedding and courses"] = searched["both"]
    scales = typical_of(run, learnt)
    found[f"search by both, scales of {RECORDINGS} training sounds"] = ways.searched(
        means, heard, scales
    )["both"]
    return found


def typical_of(run: Run, learnt: Pictures) -> dict[str, float]:
    """The scales of a search among training sounds, of which RECORDINGS are read."""
    at = np.sort(np.random.default_rng(0).permutation(len(learnt.rows))[:RECORDINGS])
    sounds = [run.corpus.audio(int(learnt.rows[i])) for i in at]
    return Likeness.of(trained(run, learnt)[at], Heard.of(sounds, run.feature.seconds)).typical


def mixtures(bench: Bench, model: Tables) -> dict[str, Tables]:
    """Equal-weight means of the run's distances with others."""
    return {
        "means and embedding": combined([model, bench.embedding]),
        "means and MFCC": combined([model, bench.mfcc]),
        "means, embedding and MFCC": combined([model, bench.embedding, bench.mfcc]),
        "means, embedding and descriptors": combined(
            [model, bench.embedding, bench.descriptors]
        ),
        "means, embedding, MFCC and descriptors": combined(
            [model, bench.embedding, bench.mfcc, bench.descriptors]
        ),
    }  # fmt: skip


def trained(run: Run, learnt: Pictures) -> np.ndarray:
    """Means (N, Z) of training sounds."""
    with torch.no_grad():
        return np.concatenate([
            run.model.encode(x.contiguous(memory_format=torch.channels_last), labels).mean.numpy()
            for x, labels in learnt.in_order(128, torch.device("cpu"))
        ])  # fmt: skip


def decoded(run: Run, means: Tables) -> Tables:
    """What the model makes of means, at one pitch for all, in decibels."""
    with torch.no_grad():
        made = []
        for mean in means:
            told = {"pitch": torch.full((len(mean),), MIDDLE_C)}
            labels = told if "pitch" in run.vocabulary.names else {}
            made.append(run.model.decode(torch.from_numpy(mean), labels)[:, 0].clamp(-1.0, 1.0))
    return ways.flat(run.feature, made)


def windows(run: Run, studies: tuple[Study, ...]) -> Tables:
    """Means over all windows of each sound, in place of the first."""
    found = []
    for study in studies:
        sounds = map(torch.from_numpy, study.samples(run.feature.sample_rate))
        shown = [torch.cat([w.values for w in run.feature.windows(x)]) for x in sounds]
        found.append(np.stack([mean.mean(0) for mean, _ in ways.latents(run.model, shown)]))
    return found


def pitches(run: Run, studies: tuple[Study, ...]) -> list[list[float]]:
    """MIDI numbers of the sounds as they are tracked, 128 (unknown) where there is none."""
    found = []
    for study in studies:
        notes = [track(x, RATE).note for x in study.samples(RATE)]
        midi = [128.0 if n is None else round(69.0 + 12.0 * np.log2(n / 440.0)) for n in notes]
        found.append([float(m) if 0 <= m <= 127 else 128.0 for m in midi])
    return found


def chosen(bench: Bench, parts: dict[str, Tables]) -> tuple[Agreement, float, dict[str, int]]:
    """Which equal-weight mixture of at most all parts is best, each part over its mean distance in the
    study as in a search, asked without the studies that judge: the agreement of what was chosen for each
    group, the best score in sample, and how often each mixture was chosen."""
    names = [c for k in range(1, len(parts) + 1) for c in combinations(parts, k)]
    scaled = {name: [one / one[np.triu_indices(len(one), 1)].mean() for one in tables]
              for name, tables in parts.items()}  # fmt: skip
    mixed = {c: [np.mean(each, 0) for each in zip(*(scaled[name] for name in c), strict=True)]
             for c in names}  # fmt: skip
    found = {c: bench.agreement(distances) for c, distances in mixed.items()}
    picked: dict[str, int] = {}
    tables: Tables = [np.empty(0)] * len(bench.studies)
    for group in related(bench.studies):
        others = ~np.isin(found[names[0]].study, group)
        best = max(names, key=lambda c: float(found[c].scores["triplet"][others].mean()))
        picked[" + ".join(best)] = picked.get(" + ".join(best), 0) + 1
        for number in group:
            tables[number] = mixed[best][number]
    return bench.agreement(tables), max(found[c]["triplet"] for c in names), picked


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("ratings", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    given = parser.parse_args()
    bench = Bench.of(given.ratings)
    lines, equal = reproduced(bench)
    groups = related(bench.studies)
    command = "python bench/perception.py RATINGS RUN ..."
    parts = [
        made_by(command) + f" {len(bench.studies)} studies in {len(groups)} groups that share neither "
        "publication nor sound; scores as in docs/metrics.md, perception. Intervals and differences "
        "are bootstraps over studies.",
        f"## The published rows\n\nPublished / here; {equal} of {len(PUBLISHED) * len(NAMES)} figures "
        "are equal to three decimals.",
        table(("way", *HEADINGS[1:6]), lines),
        "## Without a run",
        table(HEADINGS, common(bench)),
    ]  # fmt: skip
    for path in given.runs:
        run = Run.open(path)
        found = of_run(bench, run)
        model = found["means, Euclidean"]
        rows = [bench.line(name, d) for name, d in (found | mixtures(bench, model)).items()]
        held, best, picked = chosen(bench, {
            "means": model, "embedding": bench.embedding, "courses": bench.courses,
            "pictures": found["pictures, cosine"], "descriptors": bench.descriptors,
        })  # fmt: skip
        votes = "; ".join(f"{name} ({count})" for name, count in picked.items())
        parts += [
            f"## {run.name}, {path.name}: {run.model.latent} numbers, {run.feature.words}",
            table(HEADINGS, rows),
            "Of all equal-weight mixtures of means, embedding, courses, pictures and descriptors the best on "
            f"the other groups, judged on the group left out: triplet {held['triplet']:.3f}, Spearman "
            f"{held['spearman']:.3f}; the best in sample: triplet {best:.3f}. Chosen: {votes}.",
        ]
    write(RESULT, "Agreement with listeners", *parts)


if __name__ == "__main__":
    main()
