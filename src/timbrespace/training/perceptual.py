"""Latent perceptual regularisation: distances in the latent follow given dissimilarities.

As Esling, Chemla-Romeu-Santos & Bitton 2018, with other means: a few of the chosen training sounds
are encoded beside every batch, and the raw term is the stress (losses.latent.stress) of their means.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from timbrespace.batches import Pictures
from timbrespace.data.dissimilarities import Dissimilarities
from timbrespace.losses.latent import stress
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.recipe import PerceptualSection
from timbrespace.runs import Run


@dataclass(frozen=True)
class Anchors:
    """For each table its training sounds' positions (K,) among the pictures and how unlike they are,
    (K, K); for a step a table and `count` of its sounds are drawn."""

    pictures: Pictures
    tables: tuple[tuple[Tensor, Tensor], ...]
    count: int

    @classmethod
    def of(cls, run: Run, pictures: Pictures) -> "Anchors | None":
        """Those of a run, among its training pictures; None where its recipe asks for none."""
        section = run.recipe.objective.perceptual
        if section is None:
            return None
        place = {int(row): position for position, row in enumerate(pictures.rows)}
        tables = []
        for table in Dissimilarities.read_all(run.dissimilarities_path).values():
            rows, values = table.of_training_sounds(run.corpus)
            positions = torch.tensor([place[int(row)] for row in rows])
            tables.append((positions, torch.from_numpy(values).float()))
        return cls(pictures, tuple(tables), section.sounds)

    @classmethod
    def stand_in(cls, section: PerceptualSection, pictures: Pictures) -> "Anchors":
        """As many of the first pictures as a step would have, all equally unlike: to time a step."""
        count = min(section.sounds, len(pictures))
        return cls(pictures, ((torch.arange(count), 1.0 - torch.eye(count)),), count)

    def term(self, model: Autoencoder, device: torch.device, generator: torch.Generator) -> Tensor:
        """The stress of the sounds that the generator draws, a scalar."""
        number = 0
        if len(self.tables) > 1:
            number = int(torch.randint(len(self.tables), (), generator=generator))
        positions, dissimilarities = self.tables[number]
        drawn = torch.randperm(len(positions), generator=generator)[: self.count]
        x, labels = self.pictures.batch(positions[drawn], device)
        x = x.contiguous(memory_format=torch.channels_last)
        wanted = dissimilarities[drawn][:, drawn]
        return stress(model.encode(x, labels).mean, wanted.to(device))
