"""The networks of a controller, trained on what random settings do to a sound.

An ear foretells from knobs what is heard: the timbre, how much effect and how much brightness there is. An
encoder takes knobs to a position, a decoder takes a position to knobs, and the ear judges what they do, so
that a knob which cannot be heard is given no room.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor, nn
from torch.nn import functional

from timbrespace.controller.controller import OVER
from timbrespace.controller.network import Network, new
from timbrespace.geometry.project import Pca
from timbrespace.machine import torch_threads

HEARD = 32  # numbers that the timbre is told in, at most
EAR_STEPS, STEPS, BATCH = 1000, 1200, 128
NOISE = 0.03  # standard deviation of a position in training: what lies near sounds alike
STEP = 0.1  # of a position, over which an axis should rise
WEIGHTS = {
    "heard": 1.0, "knobs": 0.3, "even": 1.0, "aligned": 0.2, "rising": 1.0, "middle": 1.0, "clean": 0.3,
}  # fmt: skip

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Heard:
    """What N settings do: units (N, K), timbre (N, F), told (N, 3) as `heard.FOLLOWED`, and the units (K,)
    of the setting with the least effect."""

    units: np.ndarray
    timbre: np.ndarray
    told: np.ndarray
    clean: np.ndarray


@dataclass(frozen=True)
class Fitted:
    encoder: Network
    decoder: Network


def fit(heard: Heard, dimensions: int, places: np.ndarray | None, seed: int, tell: Tell) -> Fitted:
    """Networks for positions of so many dimensions.

    places (N, d) in 0..1: where the settings lie; without them the encoder finds that itself, as a
    Wasserstein auto-encoder with noise (Tolstikhin et al. 2018, sliced as in Kolouri et al. 2019): the
    positions fill the cube evenly, its first axis goes with how much effect there is and its second with
    brightness.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with torch_threads(1):  # networks this small are slower on more
            return _Fit(heard, dimensions, places, tell).run()


def wanted_axes(told: np.ndarray) -> tuple[np.ndarray, float]:
    """What the first two axes should go with, as normal quantiles (N, 2): how much effect there is, and the
    part of brightness that does not come with it; and 1 where the second is brightness, -1 where it is
    darkness, so that the least effect is at its low end."""
    effect, brightness = _normal_ranks(told[:, 0]), _normal_ranks(told[:, 1])
    together = float(effect @ brightness) / len(effect)
    sign = -1.0 if together < 0.0 else 1.0
    rest = sign * (brightness - together * effect)
    return np.stack([effect, rest / max(float(rest.std()), 1e-6)], 1), sign


class _Fit:
    def __init__(
        self, heard: Heard, dimensions: int, places: np.ndarray | None, tell: Tell
    ) -> None:
        self.size, self.tell = dimensions, tell
        self.units = _tensor(heard.units)
        pca = Pca.fit(heard.timbre, min(HEARD, len(heard.timbre) // 4))
        timbre = pca.transform(heard.timbre)
        timbre /= np.sqrt(max(float(np.square(timbre).sum(1).mean()), 1e-12))  # variance 1 in all
        wanted, sign = wanted_axes(heard.told)
        ranks = np.stack(
            [_normal_ranks(heard.told[:, 0]), sign * _normal_ranks(heard.told[:, 1])], 1
        )
        self.target = _tensor(np.concatenate([timbre, ranks], 1))
        self.wanted = _tensor(wanted)
        self.places = None if places is None else _tensor(places)
        self.clean = _tensor(heard.clean)[None]
        count = heard.units.shape[1]
        self.ear = new(count, self.target.shape[1])
        self.encoder, self.decoder = new(count, dimensions), new(dimensions, count)

    def run(self) -> Fitted:
        self._descend(self.ear, EAR_STEPS, 0, self._ear_loss)
        self.ear.requires_grad_(False)
        both = nn.ModuleList([self.encoder, self.decoder])
        self._descend(both, STEPS, EAR_STEPS, self._loss)
        return Fitted(Network.of(self.encoder), Network.of(self.decoder))

    def _descend(
        self, net: nn.Module, steps: int, done: int, loss: Callable[[Tensor], Tensor]
    ) -> None:
        optimizer = torch.optim.Adam(net.parameters(), lr=3e-3, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
        for step in range(steps):
            cost = loss(torch.randint(len(self.units), (BATCH,)))
            optimizer.zero_grad(set_to_none=True)
            cost.backward()
            optimizer.step()
            schedule.step()
            if step % 50 == 49:
                self.tell(done + step + 1, EAR_STEPS + STEPS)

    def _ear_loss(self, at: Tensor) -> Tensor:
        return functional.mse_loss(self._hear(self.units[at]), self.target[at])

    def _hear(self, units: Tensor) -> Tensor:
        return self.ear(2.0 * units - 1.0)

    def _decode(self, places: Tensor) -> Tensor:
        bent = torch.sigmoid(self.decoder(2.0 * places - 1.0))
        return ((1.0 + OVER) * bent - 0.5 * OVER).clamp(-0.5 * OVER, 1.0 + 0.5 * OVER)

    def _loss(self, at: Tensor) -> Tensor:
        units, quantile = self.units[at], self.encoder(2.0 * self.units[at] - 1.0)
        terms: dict[str, Tensor] = {}
        place = torch.special.ndtr(quantile)
        if self.places is None:
            terms["even"] = _uneven(quantile)
            terms["aligned"] = _unaligned(quantile, self.wanted[at])
        else:
            terms["even"] = 12.0 * functional.mse_loss(place, self.places[at])
            place = self.places[at]
        place = (place + NOISE * torch.randn_like(place)).clamp(0.0, 1.0)
        half = len(at) // 2
        one, other = torch.rand(half, self.size), torch.rand(half, self.size)
        low = torch.rand(half, self.size)
        axis = torch.randint(min(2, self.size), (half,))
        low[torch.arange(half), axis] *= 1.0 - STEP
        high = low + STEP * functional.one_hot(axis, self.size)
        corner = torch.zeros(1, self.size)
        sizes = [len(at), half, half, half, half, half, 1]
        made = self._decode(torch.cat([place, one, other, 0.5 * (one + other), low, high, corner]))
        back, *_, first = made.split(sizes)
        heard, a, b, middle, below, above, least = self._hear(made).split(sizes)
        timbre = slice(0, -2)
        target = self._hear(torch.cat([units, self.clean])).detach()
        terms["heard"] = _apart(heard[:, timbre], target[:-1, timbre])
        terms["knobs"] = 12.0 * functional.mse_loss(back, units)
        terms["middle"] = _apart(middle[:, timbre], 0.5 * (a + b)[:, timbre])
        rise = (above - below)[:, -2:].gather(1, axis[:, None])
        terms["rising"] = functional.relu(-rise).mean()
        terms["clean"] = _apart(least, target[-1:]) + functional.mse_loss(first, self.clean)
        return torch.stack([WEIGHTS[name] * term for name, term in terms.items()]).sum()


def _uneven(quantile: Tensor) -> Tensor:
    """The sliced Wasserstein distance (squared, of order 2) of points (B, d) from the normal distribution:
    along each axis and along as many random directions."""
    count, size = quantile.shape
    turns = functional.normalize(torch.randn(size, 2 * size), dim=0)
    turns = torch.cat([torch.eye(size), turns], 1)
    along = (quantile @ turns).sort(0).values
    even = torch.special.ndtri((torch.arange(count) + 0.5) / count)
    return (along - even[:, None]).square().mean()


def _unaligned(quantile: Tensor, wanted: Tensor) -> Tensor:
    """1 - the correlation of each of the first axes with what it should go with, a mean."""
    some = quantile[:, : wanted.shape[1]]
    a, b = some - some.mean(0), wanted[:, : some.shape[1]] - wanted[:, : some.shape[1]].mean(0)
    return (1.0 - (a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0)).clamp_min(1e-6)).mean()


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """The squared distance of timbres, a mean over settings: two random ones are 2 apart."""
    return (one - other).square().sum(1).mean()


def _normal_ranks(values: np.ndarray) -> np.ndarray:
    """Values (N,) as quantiles of the normal distribution, by their ranks."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(ndtri((ranks + 0.5) / len(values)))


def _tensor(table: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(table, np.float32))
