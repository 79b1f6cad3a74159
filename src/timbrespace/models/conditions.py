"""What the networks are told besides the sound: labels as learned vectors."""

import torch
from torch import Tensor, nn

PITCHES = 128  # MIDI notes 0..127; index 128 stands for "unknown"


class Conditions(nn.Module):
    """Named labels to one vector (B, size): an embedding per label, concatenated in a fixed order.

    Labels are LongTensors (B,) in 0..count-1; `count` itself means "unknown" and has a vector of its
    own, so a sound without the label is legal. A label that is not given at all is unknown.
    """

    def __init__(self, counts: dict[str, int], size: int = 32) -> None:
        super().__init__()
        self.counts = dict(counts)
        self.tables = nn.ModuleDict(
            {name: nn.Embedding(count + 1, size) for name, count in counts.items()}
        )
        self.size = size * len(counts)

    def forward(self, labels: dict[str, Tensor], batch: int, device: torch.device) -> Tensor:
        parts = []
        for name, table in self.tables.items():
            unknown = torch.full((batch,), self.counts[name], device=device)
            parts.append(table(labels.get(name, unknown)))
        return torch.cat(parts, 1) if parts else torch.zeros(batch, 0, device=device)
