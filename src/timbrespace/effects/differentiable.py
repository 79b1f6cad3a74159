"""Effects whose formula serves numpy and torch alike, so that gradients reach their knobs."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.effects import arrays
from timbrespace.effects.effect import Effect

if TYPE_CHECKING:
    from torch import Tensor


class Differentiable(Effect):
    """An effect of one `formula`, with a gradient for each of its knobs."""

    differentiable = True

    @abstractmethod
    def formula(self, x: Any, sample_rate: int, maths: Any, **values: Any) -> Any:
        """x (..., n) with the effect. `maths` is the module `arrays`, and each value a number, or the
        module `tensors`, and each value (B, 1) beside x (B, n)."""

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        return np.asarray(self.formula(samples, sample_rate, arrays, **values), np.float32)

    def process_tensor(self, x: "Tensor", sample_rate: int, **values: "Tensor") -> "Tensor":
        from timbrespace.effects import tensors

        columns = {name: value[:, None].double() for name, value in values.items()}
        made = self.formula(x.double(), sample_rate, tensors, **columns)
        # A knob that such a short sound never meets has a gradient of 0, not none.
        return (made + 0.0 * sum(columns.values())).to(x.dtype)
