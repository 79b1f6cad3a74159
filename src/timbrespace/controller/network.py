"""Small networks as plain arrays: trained by torch, played by numpy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

WIDTH = 96  # of the two hidden layers

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Network:
    """Layers y = x W + b with SiLU, x sigmoid(x), between them: weights (in, out) and biases (out,)."""

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, layers: "nn.Sequential") -> "Network":
        """The linear layers of a trained `new`."""
        found = [tuple(p.detach().numpy() for p in layer.parameters()) for layer in layers]
        pairs = [pair for pair in found if pair]
        return cls(
            tuple(np.ascontiguousarray(w.T) for w, _ in pairs), tuple(b.copy() for _, b in pairs)
        )

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(..., in) to (..., out), float32."""
        x = np.asarray(x, np.float32)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if number:
                x = x / (1.0 + np.exp(-np.clip(x, -60.0, 60.0)))
            x = x @ weight + bias
        return x

    def arrays(self, name: str) -> Arrays:
        """Its arrays by names that begin with `name`; `from_arrays` is the inverse."""
        return {
            f"{name}.{number}.{part}": array
            for number, pair in enumerate(zip(self.weights, self.biases, strict=True))
            for part, array in zip(("weight", "bias"), pair, strict=True)
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, name: str) -> "Network":
        """KeyError where there are none of this name, ValueError where they do not fit each other."""
        count = sum(key.startswith(f"{name}.") for key in arrays) // 2
        made = cls(
            tuple(arrays[f"{name}.{n}.weight"] for n in range(max(count, 1))),
            tuple(arrays[f"{name}.{n}.bias"] for n in range(max(count, 1))),
        )
        made(np.zeros(len(made.weights[0])))
        if not all(np.isfinite(a).all() for a in (*made.weights, *made.biases)):
            raise ValueError(f"{name} holds numbers that are not finite")
        return made


def new(inputs: int, outputs: int) -> "nn.Sequential":
    """A network with two hidden layers for torch to train, drawn with torch's own seed."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(inputs, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(),
        nn.Linear(WIDTH, outputs),
    )  # fmt: skip
