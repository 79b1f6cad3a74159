"""Numbers that change while training: functions of the step, and one controller of the rate."""

import math
from dataclasses import dataclass


def warm_up(step: int, steps: int) -> float:
    """Linear from 0 to 1 over `steps`, then 1. Zero steps: 1 at once."""
    return min(1.0, step / steps) if steps else 1.0


def cyclic(step: int, total: int, *, cycles: int, rise: float, shape: str) -> float:
    """Factor in [0, 1] on beta: `cycles` equal parts of `total` steps, in each of which it rises from
    0 to 1 during the share `rise` and then stays there (Fu et al. 2019, equation 6). shape: how it
    rises, `linear` or `cosine` (slow at both ends). After the last cycle: 1."""
    if step >= total:
        return 1.0
    place = step * cycles % total / total
    risen = min(1.0, place / rise)
    return risen if shape == "linear" else 0.5 - 0.5 * math.cos(math.pi * risen)


def learning_rate_factor(step: int, total: int, *, kind: str, warm_up_steps: int) -> float:
    """Factor in [0, 1] on the learning rate: `constant`, or `cosine` down to 1 % at the last step."""
    rise = warm_up(step + 1, warm_up_steps)
    if kind == "constant":
        return rise
    done = min(1.0, max(0.0, (step - warm_up_steps) / max(1, total - warm_up_steps)))
    return rise * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * done)))


@dataclass
class RateController:
    """Finds the beta at which the latent costs `target` nats per sound.

    Proportional and integral control of log beta by the log of rate over target, clipped to a factor
    e^1.5 and smoothed over about five steps: too many nats raise beta, too few lower it. The proportional
    part catches the burst of the first steps, in which an untrained encoder may spend twenty times the
    target; the integral waits until the target is first reached, or `PATIENCE` steps: before, too few
    nats mean that nothing is learnt yet, not that beta is too large. Beta is in units of what the first
    step's reconstruction term costs, since terms differ by factors of thousands; it is 0 in that step.
    `memory` belongs to the checkpoint.
    """

    PATIENCE = 300
    SHARE = 0.03  # of the first reconstruction term, over the target: a beta that is seldom far off

    target: float
    integral: float = -1.0  # too many bits at first: a latent once starved is slow to fill
    error: float = 0.0
    waited: int = 0
    unit: float = 0.0

    def begin(self, beta: float) -> None:
        """Start at a beta that is known to be near."""
        self.unit, self.integral, self.waited = 1.0, math.log(beta), self.PATIENCE

    @property
    def memory(self) -> list[float]:
        return [self.integral, self.error, self.waited, self.unit]

    @memory.setter
    def memory(self, values: list[float]) -> None:
        self.integral, self.error, self.waited = values[0], values[1], int(values[2])
        self.unit = values[3] if len(values) > 3 else 1.0  # older checkpoints know no unit

    def update(self, nats: float, reconstruction: float) -> None:
        """After a step of this rate, nats per sound, and this raw reconstruction term."""
        if not self.unit:
            self.unit = self.SHARE * max(abs(reconstruction), 1e-6) / self.target
        error = math.log(max(nats, 1e-9) / self.target)
        self.error += 0.2 * (max(-1.5, min(1.5, error)) - self.error)
        self.waited = self.PATIENCE if self.error > 0.0 else self.waited + 1
        if self.waited >= self.PATIENCE:
            self.integral = max(-12.0, min(12.0, self.integral + 0.04 * self.error))

    @property
    def beta(self) -> float:
        return self.unit * math.exp(self.integral + 0.5 * self.error)
