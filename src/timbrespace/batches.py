"""Pictures and labels of a corpus as batches; the order is a pure function of seed and epoch."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from timbrespace.data.corpus import Corpus, FeatureStore
from timbrespace.models.vocabulary import Vocabulary


@dataclass
class Pictures:
    """Rows of a feature store with their labels: `rows` (N,), and a batch by positions."""

    store: FeatureStore | None  # None where the pictures are in memory, `kept`
    rows: np.ndarray
    labels: dict[str, Tensor]
    kept: Tensor | None = None
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    _grouped: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, corpus: Corpus, store: FeatureStore, rows: np.ndarray, vocabulary: Vocabulary
    ) -> "Pictures":
        """`rows` of a corpus with the labels of a vocabulary. The pictures stay in the store's map,
        which processes share: no slower than a copy (bench/store.py)."""
        labels = {name: label_tensor(corpus, name, rows, vocabulary) for name in vocabulary.names}
        return cls(store, rows, labels, vocabulary=vocabulary)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, positions: Tensor, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        """Pictures (B, 1, F, T) float32 and labels {name: (B,)} at the given positions."""
        if self.kept is not None:
            x = self.kept[positions].to(device).float()
        else:
            assert self.store is not None
            rows = self.rows[positions.numpy()]
            # to another device as they lie, which is half as much to move
            x = (
                torch.from_numpy(self.store.read(rows)) if device.type == "cpu"
                else torch.from_numpy(self.store.values[rows]).to(device).float()
            )  # fmt: skip
        return x[:, None], {
            name: value[positions].to(device) for name, value in self.labels.items()
        }

    def same_label(self, name: str, positions: Tensor, generator: torch.Generator) -> Tensor:
        """For each position another at random whose label `name` is equal; itself where the label
        is unknown."""
        if name not in self._grouped:
            ordered, order = self.labels[name].sort(stable=True)
            self._grouped[name] = (ordered, order)
        ordered, order = self._grouped[name]
        wanted = self.labels[name][positions]
        start = torch.searchsorted(ordered, wanted)
        count = torch.searchsorted(ordered, wanted, right=True) - start
        drawn = torch.rand(len(positions), generator=generator, dtype=torch.float64)
        found = order[start + (drawn * count).long()]
        return torch.where(wanted == self.vocabulary.count(name), positions, found)

    def in_order(
        self, size: int, device: torch.device
    ) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        for start in range(0, len(self), size):
            yield self.batch(torch.arange(start, min(start + size, len(self))), device)


def label_tensor(corpus: Corpus, name: str, rows: np.ndarray, vocabulary: Vocabulary) -> Tensor:
    """The label of each row as its number in the vocabulary; unknown where the corpus has none."""
    values = corpus.labels(name) if name in corpus.label_names else [None] * len(corpus.rows)
    chosen = [values[int(row)] for row in rows]
    numbers = {value: round(vocabulary.number(name, value)) for value in set(chosen)}
    return torch.tensor([numbers[value] for value in chosen], dtype=torch.long)


def order(seed: int, epoch: int, count: int) -> Tensor:
    """The permutation of one epoch; needs no state to resume."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
