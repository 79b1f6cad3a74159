"""Data-parallel training: every process (a rank) takes its share of each batch, and the gradients of
the shares are averaged before the update.

All that a step says to the others travels in one vector after the backward pass: gradients, figures,
buffers. DistributedDataParallel would send the gradients while that pass still runs. It is not used: all passes
must then go through its wrapper, shares must be equal, figures need messages of their own, and on one
machine what it could hide is little: two processes of one thread train the default recipe at 76 % of the
speed of one process with two threads (bench/parallel.py), networks with seven times the arithmetic at 97 %.
Between machines with GPUs and a slow network it would hide more.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.machine import cores
from timbrespace.models.principal import changing_buffers

STEP = timedelta(minutes=10)  # the longest that a rank waits for the others, to start or in a step
FIRST = timedelta(hours=12)  # and for what the first one does alone: features, validation

Made = TypeVar("Made")


@dataclass(frozen=True)
class Place:
    """Where a process stands among all of its training, and among those of its machine.

    `meeting` is where they find each other, a URL of torch.distributed.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    meeting: str = "env://"

    @classmethod
    def told(cls) -> "Place":
        """What torchrun, or whoever sets the same variables, says; alone where nobody does."""
        told = os.environ
        if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= told.keys():
            return cls()
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        try:
            rank, world, local_rank, local_world = (
                int(told.get(name, default)) for name, default in zip(names, "0101", strict=True)
            )
            place = cls(rank, world, local_rank, local_world)
        except ValueError:
            place = cls(rank=-1)  # no place either
        if not (0 <= place.rank < place.world and 0 <= place.local_rank < place.local_world):
            said = ", ".join(f"{name}={told.get(name)}" for name in names)
            raise RunError(f"the environment names no place among processes: {said}; use torchrun")
        return place

    def device(self) -> torch.device:
        """The GPU of this process, or the CPU where there is none; RunError for too few GPUs."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        if self.local_world > torch.cuda.device_count():
            raise RunError(
                f"{self.local_world} processes want a GPU each, this machine has "
                f"{torch.cuda.device_count()}; start that many, or hide them to train on the CPU: "
                "CUDA_VISIBLE_DEVICES="
            )
        return torch.device("cuda", self.local_rank)


@dataclass(frozen=True)
class Ranks:
    """The processes of a training as one of them sees them; without arguments, one alone.

    `words` is the group (on the CPU) in which they agree; gradients have one of their own.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: Place().device())
    words: Any = None

    @property
    def leads(self) -> bool:
        """Whether this is the first rank: it alone validates, writes and reports."""
        return self.rank == 0

    def share(self, batch: int) -> "Share":
        """What this rank takes of a batch: sizes differ by one at most. RunError for nothing."""
        if batch < self.world:
            raise RunError(
                f"a batch has {batch} sounds, too few for {self.world} processes; start fewer, or "
                "raise train.batch"
            )
        cuts = [batch * rank // self.world for rank in (self.rank, self.rank + 1)]
        return Share(self, cuts[0], cuts[1], batch)

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true on any rank; all wait here for each other."""
        if self.world == 1:
            return flag
        said = torch.tensor([float(flag)])
        with _others_answer():
            dist.all_reduce(said, dist.ReduceOp.MAX, group=self.words)
        return bool(said)

    def from_first(self, make: Callable[[], Made]) -> Made:
        """What `make` returns on the first rank, on every one; the others wait for it."""
        made = [make() if self.leads else None]
        if self.world > 1:
            with _others_answer():
                dist.broadcast_object_list(made, src=0, group=self.words)
        return made[0]  # type: ignore[return-value]


@dataclass(frozen=True)
class Share:
    """The sounds `start` to `stop` of every batch of `batch` sounds: what one rank trains on."""

    ranks: Ranks
    start: int
    stop: int
    batch: int

    @classmethod
    def whole(cls, batch: int) -> "Share":
        return cls(_ALONE, 0, batch, batch)

    def of(self, values: Tensor) -> Tensor:
        """This rank's part of something that the batch has one of for each sound."""
        return values[self.start : self.stop]

    def average(self, model: nn.Module, figures: dict[str, Tensor]) -> dict[str, float]:
        """Make the gradients those of the whole batch, on all ranks the same bits; return the
        figures of the whole batch.

        Gradients and figures are means over sounds, so the ranks' are averaged by the size of their
        shares. Buffers (running statistics) become those of the first rank.
        """
        if self.ranks.world == 1:
            return {name: float(value.detach()) for name, value in figures.items()}
        weight, device = (self.stop - self.start) / self.batch, self.ranks.device
        numbers = torch.stack([value.detach().float().to(device) for value in figures.values()])
        parameters = [p for p in model.parameters() if p.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        buffers = [b for b in changing_buffers(model).values() if b.is_floating_point()]
        firsts = buffers if self.ranks.leads else [torch.zeros_like(b) for b in buffers]
        shares = [*(gradient * weight for gradient in gradients), *firsts, numbers * weight]
        flat = torch.cat([part.reshape(-1).float() for part in shares])
        with _others_answer():
            dist.all_reduce(flat)
        pieces = flat.split([part.numel() for part in shares])
        for target, piece in zip([*gradients, *buffers], pieces[:-1], strict=True):
            target.copy_(piece.view_as(target))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if parameter.grad is None and gradient.any():  # another rank's share used it
                parameter.grad = gradient
        return dict(zip(figures, pieces[-1].tolist(), strict=True))

    def gather(self, flags: Tensor) -> Tensor:
        """Flags (share,) of this rank's sounds, as those of the whole batch (B,) on every rank."""
        whole = torch.zeros(self.batch)
        whole[self.start : self.stop] = flags.float().cpu()
        if self.ranks.world > 1:
            with _others_answer():
                dist.all_reduce(whole, group=self.ranks.words)
        return whole > 0


_ALONE = Ranks(device=torch.device("cpu"))


@contextmanager
def joined(place: Place | None = None) -> Iterator[Ranks]:
    """The other processes of this training, found and left again; `place` is else as told by the
    environment. RunError when they do not come.

    When the training fails, the first rank to know says why: on the others, who only lost it, the
    process ends without a word (SystemExit).
    """
    place = place or Place.told()
    device = place.device()
    if place.world == 1:
        yield Ranks(device=device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(max(1, cores() // place.local_world))
    try:
        meeting = rendezvous(place.meeting, place.rank, place.world, timeout=STEP)
        store, _, _ = next(iter(meeting))
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo", timeout=STEP,
            store=store, rank=place.rank, world_size=place.world,
        )  # fmt: skip
        words = dist.new_group(backend="gloo", timeout=FIRST)
    except RuntimeError as error:
        raise RunError(
            f"the {place.world} processes of this training did not find each other "
            f"({_first_line(error)}); check that all run and reach MASTER_ADDR"
        ) from None
    try:
        yield Ranks(place.rank, place.world, device, words)
    except BaseException as error:
        known = False
        with suppress(RuntimeError):  # the store may have been on a machine that is lost
            known = store.add("failed", 1) > 1
        if known and isinstance(error, (TimbrespaceError, KeyboardInterrupt)):
            raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else 2) from error
        raise
    dist.destroy_process_group()


@contextmanager
def _others_answer() -> Iterator[None]:
    """What torch says of a connection that is gone, as our sentence."""
    try:
        yield
    except RuntimeError as error:
        raise RunError(
            f"another process of this training is lost ({_first_line(error)}); the last checkpoint "
            "is kept: start again with --resume"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
