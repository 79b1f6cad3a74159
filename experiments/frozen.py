"""What networks on frozen latents learn of knobs, told or by what is heard: report 004's end-to-end system.

    python experiments/frozen.py PAIRS RUN [RUN ...] [--heads RUN ...] [--steps 2000] [--batch 8] [--asked 20]

PAIRS is a corpus of `timbrespace effects pairs`, each RUN a trained one of such pairs (week5-1 and final-1
of experiments/effects-through.yaml are the report's). Their latents of PAIRS stay as they are, but for one
scale for each number, so that all vary alike. For each effect a network as the report's last one reads its
knobs off the means: layers of 128, 128, 64 and 32 with layer norm, leaky ReLU, and a sigmoid that starts at
one half. It is trained twice: told the settings (squared error), and by what comes of them (MR-STFT and 100
times L1 of the sound, gradients by simultaneous perturbation), as the report did. Not as there: it reads
one latent of the pair, where he laid that of the dry sound beside that of the reference, whose sound was
another one.

`--heads` are runs whose own heads are asked besides. Of the test split's pairs `--asked` an effect are rendered
with what was found. Writes results/frozen.md.
"""

import sys
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from timbrespace.batches import Pictures
from timbrespace.data.corpus import Corpus
from timbrespace.data.pair_parts import heard_through
from timbrespace.data.pairs import Pairs, dry_and_wet
from timbrespace.effects.catalogue import find
from timbrespace.effects.effect import Effect
from timbrespace.evaluation.effect_knobs import rails
from timbrespace.features.pair import Pair
from timbrespace.matching.distance import mr_stft
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.runs import Run
from timbrespace.terminal import Bars
from timbrespace.training.parallel import Share
from timbrespace.training.through import Through

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
import result

RESULT = Path(__file__).parent / "results" / "frozen.md"
WIDTHS = (128, 128, 64, 32)
L1 = 100.0  # what L1 weighs beside MR-STFT (report 004)
RATE, TOLD = 1e-3, 20  # of Adam; how many times as many pairs a step where nothing is rendered


class Networks(nn.Module):
    """Latents (B, Z) to places of the knobs of all effects, a network for each effect."""

    def __init__(self, latent: int, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            network(latent, places.stop - places.start)
            for places in vocabulary.knob_places.values()
        )

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([part(z) for part in self.parts], 1)


def network(latent: int, knobs: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.LayerNorm(latent)]
    for before, after in zip((latent, *WIDTHS), WIDTHS, strict=False):
        layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.LeakyReLU()]
    last = nn.Linear(WIDTHS[-1], knobs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last, nn.Sigmoid())


@dataclass(frozen=True)
class Latents:
    """Means (N, Z) of a split's pairs, their rows in the corpus and their labels."""

    mean: Tensor
    rows: np.ndarray
    labels: dict[str, Tensor]

    @classmethod
    def of(cls, run: Run, corpus: Corpus, split: str) -> "Latents":
        rows, vocabulary = corpus.split_rows(split), vocabulary_of(corpus)
        store = corpus.features(run.feature)
        pictures = Pictures.of(corpus, store, rows, vocabulary)
        with torch.no_grad():
            means = [
                run.model.encode(x, labels).mean
                for x, labels in pictures.in_order(256, torch.device("cpu"))
            ]
        return cls(torch.cat(means), rows, pictures.labels)


def vocabulary_of(corpus: Corpus) -> Vocabulary:
    """The effects of the corpus with their knobs, whether or not a run was told of them."""
    effects = sorted({str(name) for name in corpus.labels("effect")})
    return Vocabulary.of({"effect": effects}, {name: find(name).knobs for name in effects})


def black_box(name: str) -> Effect:
    """The effect as one that gives no gradients."""
    effect = copy(find(name))
    effect.differentiable = False
    return effect


def batches(count: int, size: int, steps: int, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        yield torch.randperm(count, generator=generator)[:size]


def told(some: Latents, net: Networks, steps: int, size: int, seed: int) -> None:
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    for at in batches(len(some.mean), TOLD * size, steps, seed):
        truth = some.labels["knobs"][at]
        known = truth.isfinite()
        loss = (net(some.mean[at]) - truth)[known].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def heard(
    some: Latents, net: Networks, through: Through, steps: int, size: int, seed: int, bars: Bars
) -> None:
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    generator = torch.Generator().manual_seed(seed)
    for step, at in enumerate(batches(len(some.mean), size, steps, seed)):
        bars("render", step, steps, {})
        labels = {"effect": some.labels["effect"][at], "row": torch.from_numpy(some.rows)[at]}
        terms = through.terms(net(some.mean[at]), labels, Share.whole(len(at)), generator)
        loss = terms["audio"] + L1 * terms["audio_l1"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@dataclass(frozen=True)
class Asked:
    """Test pairs that answers are rendered of: their places among the test split's, and by pair the distance of
    doing nothing."""

    at: np.ndarray
    effects: np.ndarray
    nothing: np.ndarray


def asked_of(some: Latents, through: Through, count: int, seed: int) -> Asked:
    rng, effects = np.random.default_rng(seed), some.labels["effect"].numpy()
    at = np.concatenate([
        rng.permutation(np.flatnonzero(effects == number))[:count]
        for number in range(len(through.effects))
    ])  # fmt: skip
    pairs = [through.read(int(row)) for row in some.rows[at]]
    return Asked(at, effects[at], np.array([mr_stft(dry, wet) for dry, wet in pairs]))


def judged(
    way: str, units: np.ndarray, some: Latents, asked: Asked, through: Through
) -> list[object]:
    """A line of the table for answers (N, K) of the test split."""
    truth = some.labels["knobs"].numpy()
    left = np.empty(len(asked.at))
    for place, (at, number) in enumerate(zip(asked.at, asked.effects, strict=True)):
        effect = through.effects[number]
        own = through.vocabulary.knob_places[effect.name]
        dry, wet = through.read(int(some.rows[at]))
        setting = effect.from_units(units[at, own])
        made = heard_through(effect, dry, through.sample_rate, setting)
        left[place] = mr_stft(made, wet)
    shares = [
        left[asked.effects == n].sum() / asked.nothing[asked.effects == n].sum()
        for n in range(len(through.effects))
    ]
    apart = np.abs(units - truth)
    stuck = rails(truth, units)
    assert stuck is not None
    return [
        way, f"{np.mean(shares):.2f}", f"{sum(s < 1.0 for s in shares)} of {len(shares)}",
        f"{np.nanmean(np.nanmean(apart, 0)):.3f}", f"{100 * stuck['said']:.1f} %",
    ]  # fmt: skip


def main() -> None:
    parser = result.options(__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--heads", type=Path, nargs="+", default=[], metavar="RUN")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=8, help="pairs rendered a step")
    parser.add_argument("--asked", type=int, default=20, help="test pairs an effect")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    corpus, lines = Corpus.open(given.pairs), []
    runs, heads = ([Run.open(path) for path in some] for some in (given.runs, given.heads))
    vocabulary, feature = vocabulary_of(corpus), runs[0].feature
    assert isinstance(feature, Pair)
    for run in heads:
        same = [k for k, _ in run.vocabulary.knob_columns] == [
            k for k, _ in vocabulary.knob_columns
        ]
        assert run.model.heads is not None and same, f"{run.path} reads other knobs, or none"
    through = Through(
        vocabulary,
        tuple(map(black_box, vocabulary.words["effect"])),
        lambda row: dry_and_wet(corpus, row, feature.sample_rate, feature.samples),
        feature.sample_rate, given.batch,
    )  # fmt: skip
    if Pairs.open(given.pairs).facts.get("request", {}).get("level") == "each":
        parser.error(
            f"{given.pairs} has pairs of level each, whose loudness is not that of their effects"
        )
    tested = [Latents.of(run, corpus, "test") for run in runs]
    first = tested[0]
    asked = asked_of(first, through, given.asked, given.seed)  # of every run the same pairs
    centre = np.full(first.labels["knobs"].shape, 0.5)
    lines.append(judged("all at the centre", centre, first, asked, through))
    with Bars() as bars:
        for run, asking in zip(runs, tested, strict=True):
            learnt = Latents.of(run, corpus, "train")
            unit = learnt.mean.std(0).clamp_min(1e-6)
            learnt = replace(learnt, mean=learnt.mean / unit)
            for way, teach in (
                ("told", told),
                ("heard", partial(heard, through=through, bars=bars)),
            ):
                torch.manual_seed(given.seed)
                net = Networks(learnt.mean.shape[1], vocabulary)
                teach(learnt, net, steps=given.steps, size=given.batch, seed=given.seed)
                with torch.no_grad():
                    units = net.eval()(asking.mean / unit).numpy()
                lines.append(judged(f"{run.path.name}, {way}", units, asking, asked, through))
    for run in heads:
        asking = Latents.of(run, corpus, "test")
        with torch.no_grad():
            units = run.model.heads(asking.mean).units.numpy()
        lines.append(judged(f"{run.path.name}, its own heads", units, asking, asked, through))
    named, besides = (
        " ".join(path.name for path in some) for some in (given.runs, given.heads or [Path("none")])
    )
    command = (
        f"python experiments/frozen.py PAIRS {named} --heads {besides} --steps {given.steps} "
        f"--batch {given.batch} --asked {given.asked} --seed {given.seed}"
    )
    result.write(
        RESULT, "What do networks on frozen latents learn of knobs?",
        f"{result.made_by(command)} {given.steps} steps of {given.batch} "
        f"pairs (told: {TOLD * given.batch}); of the test split {given.asked} pairs an effect are rendered.",
        "MR-STFT as a share of doing nothing, mean over effects; effects that come nearer than doing nothing; "
        "mean absolute error over all knobs (0..1); answers that stand at a rail.",
        result.table(("latents", "MR-STFT", "better than nothing", "knob MAE", "rails"), lines),
    )  # fmt: skip


if __name__ == "__main__":
    main()
