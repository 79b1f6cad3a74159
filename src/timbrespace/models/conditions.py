"""What the networks are told besides the sound: labels as learned vectors."""

import math
from collections.abc import Collection

import torch
from torch import Tensor, nn

from timbrespace.models.vocabulary import MIDI

PITCHES = MIDI  # notes 0..127; 128 stands for "unknown"
PERIODS = (256.0, 128.0, 64.0, 32.0, 16.0, 8.0, 4.0, 12.0)  # MIDI numbers; 12 is the octave


class Smooth(nn.Module):
    """A MIDI number (B,) to a vector (B, size) that changes smoothly with it, so that 60.5 lies
    between 60 and 61; 128 is "unknown" and has a vector of its own.

    Sines and cosines of several periods (Vaswani et al. 2017, section 3.5; none is shorter than four
    numbers, so the way from one whole number to the next has no bend), and a small network.
    """

    periods: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2 * len(PERIODS), 2 * size), nn.SiLU(), nn.Linear(2 * size, size)
        )
        self.unknown = nn.Parameter(torch.zeros(size))
        self.register_buffer("periods", torch.tensor(PERIODS), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        # in full precision: bfloat16 cannot tell neighbours apart on the long periods
        with torch.autocast(values.device.type, enabled=False):
            angles = values.float()[:, None] * 2.0 * math.pi / self.periods
            known = self.net(torch.cat([angles.sin(), angles.cos()], 1))
        return torch.where((values < MIDI)[:, None], known, self.unknown)


class Table(nn.Embedding):
    """A vector (size,) for each of `count` values and one more for "unknown"; numbers (B,) as they
    come, whole or rounded to the next."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__(count + 1, size)

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values.round().long() if values.is_floating_point() else values)


class Conditions(nn.Module):
    """Named labels to one vector (B, size): a vector per label, side by side in a fixed order.

    Labels are numbers (B,) in 0..count-1; `count` itself means "unknown" and has a vector of its
    own, so a sound without the label is legal. A label that is not given at all is unknown.
    `continuous` names those that are smooth functions of a MIDI number.
    """

    def __init__(
        self, counts: dict[str, int], size: int = 32, continuous: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.counts, self.continuous = dict(counts), frozenset(continuous)
        self.tables = nn.ModuleDict({
            _key(name): Smooth(size) if name in self.continuous else Table(count, size)
            for name, count in counts.items()
        })  # fmt: skip
        self.size = size * len(counts)

    def numbers(
        self, name: str, labels: dict[str, Tensor], batch: int, device: torch.device
    ) -> Tensor:
        """The numbers (B,) of one label, "unknown" where it is not given."""
        return labels.get(name, torch.full((batch,), self.counts[name], device=device))

    def told(
        self, net: nn.Module, labels: dict[str, Tensor], batch: int, device: torch.device
    ) -> tuple[Tensor, ...]:
        """What a network is called with besides its input: the condition, and then the numbers (B,) of
        the labels that it names in `reads`."""
        read = (self.numbers(name, labels, batch, device) for name in getattr(net, "reads", ()))
        return self(labels, batch, device), *read

    def forward(self, labels: dict[str, Tensor], batch: int, device: torch.device) -> Tensor:
        parts = []
        for name in self.counts:
            parts.append(self.tables[_key(name)](self.numbers(name, labels, batch, device)))
        return torch.cat(parts, 1) if parts else torch.zeros(batch, 0, device=device)


def _key(name: str) -> str:
    """A label's name among modules, where words such as "type" are taken. Pitch keeps its own: runs
    from before there were other labels hold it so."""
    return name if name == "pitch" else f"label_{name}"
