"""What an evaluation of a run of pairs looks at: labels, settings, and the pairs laid out in several ways.

Conventions
-----------
The latent's views are mu and z, sampled (one of both for codes). What they have to beat, all of as many
numbers as heads read: PCA of the same pictures, PCA of wet less dry, and mu of the recipe's encoder with
weights drawn at random; and hand features of both sounds (`effect_statistics`), standardised. PCA of the dry
pictures says what there is to know of a sound without its effect.
"""

from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from timbrespace.data.pairs import dry_and_wet
from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation.effect_clusters import Marks, standardised
from timbrespace.evaluation.effect_knobs import Settings
from timbrespace.evaluation.effect_statistics import COUNT, paired
from timbrespace.evaluation.facts import BATCH, Facts, Unanswerable, labels
from timbrespace.evaluation.views import View
from timbrespace.features.pair import Pair
from timbrespace.geometry.project import Pca
from timbrespace.machine import cores
from timbrespace.models.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

    from timbrespace.data.corpus import Corpus
    from timbrespace.effects.knobs import Knob
    from timbrespace.evaluation.facts import Encoded

ASKED = 2_000  # pairs, drawn at random where there are more
FITTED = 3_000  # training pairs that a PCA is fitted on
VOICES = ("instrument", "speaker")  # who is heard, in the order in which they are looked for
NAMES = {
    "mu": "mu", "z": "z, sampled", "untrained": "the same encoder, untrained",
    "pca": "PCA of the same pictures", "pca_difference": "PCA of wet less dry",
    "pca_dry": "PCA of the dry pictures", "hand": "hand features",
}  # fmt: skip


@dataclass(frozen=True)
class EffectPairs:
    """Pairs asked, those at positions `at` of `facts.here`, and all of `facts.there` to learn from."""

    facts: Facts
    at: np.ndarray
    asked: Marks
    learnt: Marks

    @classmethod
    def of(cls, facts: Facts) -> "EffectPairs":
        """At most ASKED pairs of those measured; Unanswerable where the corpus does not name effects."""
        rng = facts.rng("effects")
        at = np.sort(rng.permutation(len(facts.here.rows))[:ASKED])
        asked = _marks(facts.corpus, facts.here.rows[at])
        learnt = _marks(facts.learnt, facts.there.rows)
        if facts.learnt is not facts.corpus:  # rows of another corpus are other pairs
            learnt = Marks(
                -1 - learnt.rows, learnt.effects, learnt.settings, learnt.sounds, learnt.voices
            )
        return cls(facts, at, asked, learnt)

    @cached_property
    def here(self) -> "Encoded":
        return self.facts.here.take(self.at)

    @cached_property
    def latents(self) -> dict[str, View]:
        """mu and z, sampled."""
        there = self.facts.there
        found = {"mu": self.read(self.here.mean, there.mean)}
        if self.here.codes is None:
            found["z"] = self.read(self.here.z, there.z)
        return found

    def read(self, here: np.ndarray, there: np.ndarray) -> View:
        """Of latents (N, Z) or as many components the first, which say what heads read."""
        heard = self.facts.run.model.heard
        return here[:, :heard], there[:, :heard]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The effects and their knobs: the model's own, where it reads them, else the corpus'."""
        own = self.facts.run.vocabulary
        if own.knobs:
            return own
        known = {*self.asked.effects, *self.learnt.effects}
        return Vocabulary.of({"effect": known}, _knobs(self.facts.learnt))

    @cached_property
    def settings(self) -> Settings:
        """Where the knobs of all pairs stand."""
        from timbrespace.batches import knob_tensor

        columns = self.vocabulary.knob_columns
        effects = [
            effect
            for effect in self.vocabulary.words.get("effect", ())
            for _ in self.vocabulary.knobs.get(effect, ())
        ]
        facts = self.facts
        asked = knob_tensor(facts.corpus, self.here.rows, self.vocabulary)
        learnt = knob_tensor(facts.learnt, facts.there.rows, self.vocabulary)
        return Settings([name for name, _ in columns], effects, asked.numpy(), learnt.numpy())

    def says(self, latents: np.ndarray) -> tuple[np.ndarray | None, list[str] | None]:
        """What the model's own heads say of latents (N, Z): where knobs stand (N, K), and the names of
        effects; None for a head that it has not."""
        import torch

        heads = self.facts.run.model.heads
        if heads is None:
            return None, None
        with torch.no_grad():
            heard = heads(torch.from_numpy(latents).float())
        words = self.vocabulary.words["effect"]
        names = [words[i] for i in heard.effects.argmax(1).tolist()]
        return (
            None if heads.knobs is None else heard.units.numpy(),
            None if heads.effect is None else names,
        )

    @cached_property
    def untrained(self) -> View:
        """mu of an encoder whose weights the seed drew."""
        import torch

        from timbrespace.recipe import build

        run = self.facts.run
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.facts.seed)
            model = build(run.recipe, run.vocabulary).eval()
        found = []
        with torch.no_grad():
            for encoded in (self.here, self.facts.there):
                parts = [
                    model.encode(x, told).mean.float().numpy()
                    for x, told in encoded.pictures.in_order(BATCH, torch.device("cpu"))
                ]
                found.append(np.concatenate(parts))
        return self.read(found[0], found[1])

    @cached_property
    def pca(self) -> Pca:
        """PCA of the same pictures, of as many numbers as the whole latent has."""
        return self._fit(_whole)

    @cached_property
    def principal(self) -> dict[str, View]:
        """The pairs on principal components: of the pictures, of wet less dry, of the dry sound."""
        return {
            "pca": self._coordinates(self.pca, _whole),
            "pca_difference": self._coordinates(self._fit(self._difference), self._difference),
            "pca_dry": self._coordinates(self._fit(self._dry), self._dry),
        }

    @cached_property
    def hand(self) -> View:
        """Hand features, standardised; a pair whose sound cannot be read has those of the mean."""
        facts = self.facts
        here = _statistics(facts.corpus, self.here.rows, self.feature)
        there = _statistics(facts.learnt, facts.there.rows, self.feature)
        if not np.isfinite(there).all(1).any():
            return np.zeros_like(here), np.zeros_like(there)
        mean = np.nanmean(there, 0)
        return standardised(
            (np.where(np.isfinite(here), here, mean), np.where(np.isfinite(there), there, mean))
        )

    def pictures(
        self, encoded: "Encoded", kind: "Callable[[Tensor], Tensor]"
    ) -> Iterator[np.ndarray]:
        """What `kind` makes of the pictures (N, height, frames) of encoded pairs, flat, in parts."""
        import torch

        for x, _ in encoded.pictures.in_order(BATCH, torch.device("cpu")):
            yield kind(x[:, 0]).flatten(1).numpy()

    def _fit(self, kind: "Callable[[Tensor], Tensor]") -> Pca:
        there, rng = self.facts.there, self.facts.rng("effects pca")
        some = there.take(np.sort(rng.permutation(len(there.rows))[:FITTED]))
        return Pca.fit_batches(
            lambda: self.pictures(some, kind), self.facts.here.mean.shape[1], seed=self.facts.seed
        )

    def _coordinates(self, pca: Pca, kind: "Callable[[Tensor], Tensor]") -> View:
        here, there = (
            np.concatenate([pca.transform(part) for part in self.pictures(encoded, kind)])
            for encoded in (self.here, self.facts.there)
        )
        return self.read(here, there)

    def _difference(self, x: "Tensor") -> "Tensor":
        dry, wet = self._sounds(x)
        return wet - dry

    def _dry(self, x: "Tensor") -> "Tensor":
        return self._sounds(x)[0]

    def _sounds(self, x: "Tensor") -> "tuple[Tensor, Tensor]":
        return self.feature.sounds(x)

    @property
    def feature(self) -> Pair:
        feature = self.facts.run.feature
        assert isinstance(feature, Pair)  # else nothing here is asked
        return feature


def _whole(x: "Tensor") -> "Tensor":
    return x


def _marks(corpus: "Corpus", rows: np.ndarray) -> Marks:
    def column(*names: str) -> list[Hashable | None]:
        for name in names:
            known = labels(corpus, name, rows)
            if known is not None:
                return known
        return [None] * len(rows)

    effects = column("effect")
    if any(effect is None for effect in effects):
        raise Unanswerable(
            f"{corpus.path} does not say which effect each pair has (the label effect); make pairs with: "
            "timbrespace effects pairs"
        )
    return Marks(
        rows, [str(e) for e in effects], column("setting"), column("sound"), column(*VOICES)
    )  # fmt: skip


def _knobs(corpus: "Corpus") -> "dict[str, tuple[Knob, ...]]":
    """The knobs of each effect of a corpus of pairs; none where it does not say."""
    from timbrespace.data.pairs import Pairs

    with suppress(TimbrespaceError, KeyError, TypeError, ValueError):
        return {name: effect.knobs for name, effect in Pairs.open(corpus.path).effects.items()}
    return {}


def _statistics(corpus: "Corpus", rows: np.ndarray, feature: Pair) -> np.ndarray:
    """Hand features (N, COUNT) of pairs, NaN for those that cannot be read."""

    def one(row: int) -> np.ndarray:
        try:
            dry, wet = dry_and_wet(corpus, row, feature.sample_rate, feature.samples)
            return paired(dry, wet, feature.sample_rate)
        except (TimbrespaceError, OSError):
            return np.full(COUNT, np.nan, np.float32)

    with ThreadPoolExecutor(cores()) as workers:
        return np.stack(list(workers.map(one, rows.tolist())))
