"""Numbers that change while training: functions of the step, and one controller of the rate."""

import math
from dataclasses import dataclass


def warm_up(step: int, steps: int) -> float:
    """Linear from 0 to 1 over `steps`, then 1. Zero steps: 1 at once."""
    return min(1.0, step / steps) if steps else 1.0


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

    Integral control of log beta: too many nats raise it, too few lower it. The measured rate is
    smoothed over about 20 steps. Its two numbers belong to the checkpoint.
    """

    target: float
    log_beta: float = (
        -1.0
    )  # a start on the side of too many bits: a latent once starved is slow to fill
    rate: float = math.nan
    speed: float = 0.02  # per step at 100 % error: settles within some hundred steps, no ringing

    def update(self, nats: float) -> None:
        self.rate = nats if math.isnan(self.rate) else self.rate + 0.05 * (nats - self.rate)
        error = max(-1.0, min(1.0, self.rate / self.target - 1.0))
        self.log_beta = max(-12.0, min(12.0, self.log_beta + self.speed * error))

    @property
    def beta(self) -> float:
        return math.exp(self.log_beta)
