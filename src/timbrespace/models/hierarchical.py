"""A hierarchical bottleneck: levels from the top down, each with a prior that those above it shape.

Level 1 is the top. The latent's flat numbers are (u_1, ..., u_L), all N(0, 1) a priori; the decoder
gets z_1 = u_1 and

    z_l = m_l(z_1..l-1) + s_l(z_1..l-1) * u_l,    that is p(z_l | z_1..l-1) = N(m_l, s_l^2),

with learned m_l and s_l. The encoder goes the same way down: q(u_l | x, u_1..l-1) is a Gaussian whose
parameters see the sound and the levels already drawn (top-down inference: Sonderby et al. 2016,
section 2; residual to the prior: Vahdat & Kautz 2020, section 3.2, here in units of the prior's
width). The KL of level l is that of q(u_l) to N(0, 1), so rates add up; moving the top alone carries
the lower levels along, and N(0, 1) for all numbers is ancestral sampling.
"""

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from timbrespace.models.blocks import silent
from timbrespace.models.bottlenecks import Bottleneck, Latent, begin_head, kl_per_dimension
from timbrespace.models.linear_start import LinearCode


class LevelsPrior(nn.Module):
    """u (B, Z) to z (B, Z): each level moved and stretched as the levels above it say.

    Starts as the identity, which is a flat Gaussian. Belongs to the decoder.
    """

    def __init__(self, levels: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.levels = levels
        self.nets = nn.ModuleList()
        for above, size in zip(accumulate(levels), levels[1:], strict=False):
            last = silent(hidden, 2 * size)
            self.nets.append(nn.Sequential(nn.Linear(above, hidden), nn.SiLU(), last))

    def forward(self, u: Tensor) -> Tensor:
        top, *lower = u.split(self.levels, 1)
        z = top
        for net, part in zip(self.nets, lower, strict=True):
            mean, log_scale = net(z).float().chunk(2, 1)
            z = torch.cat([z, mean + part * torch.exp(log_scale.clamp(-6.0, 3.0))], 1)
        return z


@dataclass(frozen=True)
class LevelsLatent(Latent):
    """A latent whose lower levels are known once those above are drawn; mean and logvar are those
    along the means. `descent` reads the sound's hidden numbers on the way down."""

    descent: "Descent | None" = None

    def sample(self, noise: Tensor) -> Tensor:
        assert self.descent is not None
        return self.descent(noise=noise)[0]

    def nats(self, z: Tensor) -> Tensor:
        assert self.descent is not None
        _, mean, logvar = self.descent(given=z)
        return kl_per_dimension(mean, logvar)


@dataclass(frozen=True)
class Descent:
    """The way down for one batch: the heads of a bottleneck and the hidden numbers h (B, H)."""

    bottleneck: "Hierarchical"
    h: Tensor

    def __call__(
        self, *, noise: Tensor | None = None, given: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """u, mean and logvar (B, Z): each level drawn with `noise`, taken as `given`, or its mean."""
        levels = self.bottleneck.levels
        told = noise if given is None else given
        parts = [None] * len(levels) if told is None else told.split(levels, 1)
        drawn, means, logvars = [], [], []
        for head, part in zip(self.bottleneck.heads, parts, strict=True):
            # in full precision: what is drawn here and what it costs must be the same numbers
            with torch.autocast(self.h.device.type, enabled=False):
                mean, logvar = head(self.h, drawn).chunk(2, 1)
            logvar = logvar.clamp(-12.0, 6.0)
            if part is None:
                part = mean
            elif given is None:
                part = mean + part * torch.exp(0.5 * logvar)
            drawn.append(part)
            means.append(mean)
            logvars.append(logvar)
        return torch.cat(drawn, 1), torch.cat(means, 1), torch.cat(logvars, 1)


class Head(nn.Module):
    """Hidden numbers (B, H) and the levels drawn above to mean and logvar (B, 2 * size): a linear map
    of the hidden numbers, and what a network adds that sees the levels above, too; nothing at first."""

    def __init__(self, width: int, above: int, size: int, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * size)
        self.further = None
        if above:
            last = silent(hidden, 2 * size)
            self.further = nn.Sequential(nn.Linear(width + above, hidden), nn.SiLU(), last)

    def forward(self, h: Tensor, drawn: list[Tensor]) -> Tensor:
        said = self.linear(h)
        return said if self.further is None else said + self.further(torch.cat([h, *drawn], 1))


class Hierarchical(Bottleneck):
    """Hidden numbers (B, H) to levels of `levels` numbers each, from the top down."""

    def __init__(self, width: int, *, levels: tuple[int, ...] = (8, 24), hidden: int = 256) -> None:
        super().__init__()
        self.levels = levels
        self.latent = sum(levels)
        self.hidden = hidden
        self.heads = nn.ModuleList(
            Head(width, above, size, hidden)
            for above, size in zip((0, *accumulate(levels)), levels, strict=False)
        )

    def begin(self, code: LinearCode) -> Tensor:
        start = 0
        for head, size in zip(self.heads, self.levels, strict=True):
            assert isinstance(head, Head)
            part = slice(start, start + size)
            weight = code.mean_weight[part]
            begin_head(
                head.linear, torch.cat([weight, torch.zeros_like(weight)]),
                torch.cat([code.mean_bias[part], code.logvar[part]]),
            )  # fmt: skip
            start += size
        return code.units

    def entrance(self) -> nn.Module:
        return LevelsPrior(self.levels, self.hidden)

    def forward(self, h: Tensor) -> LevelsLatent:
        descent = Descent(self, h.float())
        _, mean, logvar = descent()
        return LevelsLatent(mean, logvar, descent=descent)
