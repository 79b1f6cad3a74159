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
    """Rows of a feature store with their labels: `rows` (N,), and a batch by positions.

    Where the vocabulary has knobs, `knobs` among the labels says where they stand: (N, K), 0..1, in the
    order of its `knob_columns`, NaN for those of other effects than the row's.
    """

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
        if vocabulary.knobs:
            labels["knobs"] = knob_tensor(corpus, rows, vocabulary)
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


def knob_tensor(corpus: Corpus, rows: np.ndarray, vocabulary: Vocabulary) -> Tensor:
    """Where the knobs of each row's effect stand (N, K), 0..1, NaN for those of other effects."""
    columns = vocabulary.knob_columns
    places = torch.full((len(rows), len(columns)), torch.nan)
    for number, (name, knob) in enumerate(columns):
        if name in corpus.label_names:
            values = corpus.rows.label(name)
            units = [knob.to_unit(float(value)) for value in values.values]
            codes = torch.from_numpy(values.codes[rows]).long()
            places[:, number] = torch.tensor([*units, torch.nan])[codes]  # the last is that of -1
    return places


def shared_tensor(corpus: Corpus, name: str, rows: np.ndarray) -> Tensor:
    """A number for each row (N,), the same for rows that share their label `name`; -1 where the corpus
    does not say."""
    if name not in corpus.label_names:
        return torch.full((len(rows),), -1)
    return torch.from_numpy(corpus.rows.label(name).codes[rows].astype(np.int64))


def together(order: Tensor, settings: Tensor) -> Tensor:
    """An order of positions (N,) in which those of one setting follow the first of them; settings
    (N,) of every position, -1 for none."""
    place = torch.arange(len(order))
    group = torch.where(settings < 0, settings.max() + 1 + torch.arange(len(settings)), settings)[
        order
    ]
    first = torch.full((int(group.max()) + 1,), len(order)).scatter_reduce(0, group, place, "amin")
    return order[first[group].argsort(stable=True)]


def order(seed: int, epoch: int, count: int) -> Tensor:
    """The permutation of one epoch; needs no state to resume."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
