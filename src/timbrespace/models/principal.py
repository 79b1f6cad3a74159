"""Networks that stand on the principal components of the pictures.

Some hundred components hold nearly all in which the pictures of sounds differ, so the networks between
them and the latent are small, and can begin as the best linear code there is instead of at random:
see models.linear_start.
"""

import torch
from torch import Tensor, nn

from timbrespace.models.blocks import ACTIVATIONS, silent

LEAST = 1e-5  # of the first component's variance: what is less is rounding


class Components(nn.Module):
    """Pictures (B, 1, F, T) as scores (B, K) on K principal components, each of variance 1 over the
    sounds, and back.

    Fixed once `fit`; before, all pictures have the scores zero. Kept as float16: rounding moves a
    picture by less than its last bit on disk.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, int], count: int) -> None:
        super().__init__()
        cells = shape[0] * shape[1]
        if count > cells:
            raise ValueError(f"a picture of {cells} cells has no {count} components")
        self.shape, self.count = shape, count
        self.register_buffer("mean", torch.zeros(cells))
        self.register_buffer("basis", torch.zeros(count, cells, dtype=torch.float16))
        self.register_buffer("scale", torch.ones(count))
        self._wide: tuple[tuple[int, torch.device], Tensor] | None = None

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Become those of pictures x (N, 1, F, T), by the eigenvectors of the smaller of their two
        products.

        Where the sounds differ in fewer ways, the components left over stay empty. x is centred while
        this runs, since a copy of so many pictures may not fit, and given back to rounding.
        """
        flat = x.flatten(1)
        self.mean.copy_(flat.mean(0))
        centred = flat.sub_(self.mean)
        few = len(x) < centred.shape[1]
        product = centred @ centred.T if few else centred.T @ centred
        values, vectors = torch.linalg.eigh(product / len(x))
        values, vectors = values.flip(0)[: self.count], vectors.flip(1)[:, : self.count]
        count = int((values > LEAST * values[0]).sum())
        axes = vectors[:, :count].T
        self.basis[:count].copy_(nn.functional.normalize(axes @ centred, dim=1) if few else axes)
        self.scale[:count].copy_(values[:count].sqrt())
        flat.add_(self.mean)

    def scores(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.mean) @ self._for(x).T / self.scale

    def picture(self, scores: Tensor, columns: Tensor | None = None) -> Tensor:
        """Pictures of scores, or some columns of them alone, which costs as much less."""
        basis, mean, width = self._for(scores), self.mean, self.shape[1]
        if columns is not None:
            basis = basis.view(-1, *self.shape)[..., columns].flatten(1)
            mean, width = mean.view(self.shape)[:, columns].flatten(), len(columns)
        flat = (scores * self.scale) @ basis + mean
        return flat.view(-1, 1, self.shape[0], width)

    def _for(self, x: Tensor) -> Tensor:
        """The basis in the precision of arithmetic with x. Widened ones are kept once training is over: to
        widen costs more than to multiply with a few sounds."""
        kind = x.device.type
        if torch.is_autocast_enabled(kind):
            return self.basis.to(torch.get_autocast_dtype(kind))
        if self.training:
            return self.basis.float()
        version = self.basis._version, self.basis.device
        if self._wide is None or self._wide[0] != version:
            self._wide = version, self.basis.float()
        return self._wide[1]


def changing_buffers(model: nn.Module) -> dict[str, Tensor]:
    """The buffers of a model that a training changes: all but those of components."""
    components = [part for part in model.modules() if isinstance(part, Components)]
    fixed = {id(buffer) for part in components for buffer in part.buffers()}
    return {name: value for name, value in model.named_buffers() if id(value) not in fixed}


def _mixing(
    inputs: int, hidden: int, layers: int, activation: str, dropout: float
) -> nn.Sequential:
    """`layers` linear layers of width `hidden`, each with its activation."""
    made: list[nn.Module] = []
    for before in [inputs, *[hidden] * (layers - 1)]:
        made += [nn.Linear(before, hidden), ACTIVATIONS[activation](), nn.Dropout(dropout)]
    return nn.Sequential(*made)


class PrincipalEncoder(nn.Module):
    """(B, 1, F, T) and (B, C) to (B, width): what a network makes of the scores and the condition,
    then both as they are, so that a linear head can read them."""

    def __init__(
        self, shape: tuple[int, int], condition_size: int, *, components: int = 256,
        hidden: int = 512, layers: int = 2, activation: str = "silu", dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.components = Components(shape, components)
        told = components + condition_size
        self.mix = _mixing(told, hidden, layers, activation, dropout)
        self.hidden = hidden
        self.width = hidden + told

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scores = self.components.scores(x)
        told = torch.cat([scores, condition.to(scores.dtype)], 1)
        return torch.cat([self.mix(told).to(told.dtype), told], 1)


class PrincipalDecoder(nn.Module):
    """(B, Z) and (B, C) to (B, 1, F, T): a linear map to scores, and what a network adds to them,
    which is nothing at first."""

    def __init__(
        self, shape: tuple[int, int], latent: int, condition_size: int, *, components: int = 256,
        hidden: int = 512, layers: int = 2, activation: str = "silu", dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.components = Components(shape, components)
        told = latent + condition_size
        self.linear = nn.Linear(told, components)
        last = silent(hidden, components)
        self.further = nn.Sequential(*_mixing(told, hidden, layers, activation, dropout), last)

    def forward(self, z: Tensor, condition: Tensor, columns: Tensor | None = None) -> Tensor:
        told = torch.cat([z, condition.to(z.dtype)], 1)
        return self.components.picture((self.linear(told) + self.further(told)).float(), columns)
