"""All that exists while training, and its exact way to disk and back."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from timbrespace.losses.objective import Objective
from timbrespace.losses.schedule import RateController
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.models.principal import changing_buffers
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.recipe import Recipe, build
from timbrespace.training.objective import objective_of


def averaged(model: Autoencoder) -> dict[str, Tensor]:
    """Where an average of the weights starts: a copy of all that a training changes."""
    changing = {*dict(model.named_parameters()), *changing_buffers(model)}
    return {k: v.detach().clone() for k, v in model.state_dict().items() if k in changing}


@dataclass
class State:
    """Model, objective, optimiser, weight average, controller and counters: a checkpoint is this,
    whole.

    `epoch` counts finished epochs, `position` the finished steps of the one in work.
    """

    model: Autoencoder
    objective: Objective
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor] | None
    controller: RateController | None
    step: int = 0
    epoch: int = 0
    position: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best: float = math.inf
    best_epoch: int = 0

    @classmethod
    def fresh(
        cls, recipe: Recipe, device: torch.device, vocabulary: Vocabulary | None = None
    ) -> "State":
        """The start of a training, `vocabulary` the values of its labels; the same seed gives the
        same weights and leaves torch's own random state as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            model = build(recipe, vocabulary)
        model = model.to(device).to(memory_format=torch.channels_last)
        objective = objective_of(recipe).to(device)
        groups: list[dict[str, Any]] = [{"params": list(model.parameters())}]
        if own := list(objective.parameters()):
            groups.append({"params": own, "weight_decay": 0.0})  # a sigma need not be small
        optimizer = torch.optim.AdamW(
            groups, lr=recipe.train.learning_rate,
            weight_decay=recipe.train.weight_decay, fused=True,
        )  # fmt: skip
        average = None
        if recipe.train.average:
            average = averaged(model)
        controller = None
        if recipe.objective.bits_per_sound:
            controller = RateController(recipe.objective.bits_per_sound * math.log(2.0))
        return cls(model, objective, optimizer, average, controller)

    @property
    def trained(self) -> nn.Module:
        """All that has parameters, in the optimiser's order."""
        return nn.ModuleList([self.model, self.objective])

    def weights(self) -> dict[str, Tensor]:
        """The weights to use: the average where there is one."""
        return {**self.model.state_dict(), **(self.average or {})}

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and plain facts from which `unpack` restores this state bit by bit."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"objective.{k}": v for k, v in self.objective.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in moments.items()}
        facts: dict[str, Any] = {
            "step": self.step, "epoch": self.epoch, "position": self.position, "sums": self.sums,
            "best": None if math.isinf(self.best) else self.best, "best_epoch": self.best_epoch,
            "threads": torch.get_num_threads(), "torch": torch.__version__,
        }  # fmt: skip
        if self.controller is not None:
            facts["rate_controller"] = self.controller.memory
        return {k: v.detach().cpu().clone() for k, v in tensors.items()}, facts

    def unpack(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Become the packed state."""
        groups: dict[str, dict[str, Tensor]] = {
            "model": {}, "objective": {}, "average": {}, "optimizer": {}
        }  # fmt: skip
        for name, value in tensors.items():
            group, _, key = name.partition(".")
            groups[group][key] = value
        self.model.load_state_dict(groups["model"])
        self.objective.load_state_dict(groups["objective"])
        if self.average is not None:
            for name, value in self.average.items():
                value.copy_(groups["average"][name])
        # The fused optimiser walks memory, not indices: moments must lie as their weights lie,
        # and files hold them in row order.
        parameters = list(self.trained.parameters())
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in groups["optimizer"].items():
            index, _, moment = key.partition(".")
            weight = parameters[int(index)]
            if value.shape == weight.shape:
                value = torch.empty_like(weight).copy_(value)
            moments.setdefault(int(index), {})[moment] = value
        self.optimizer.load_state_dict(
            {"state": moments, "param_groups": self.optimizer.state_dict()["param_groups"]}
        )
        self.step, self.epoch = facts["step"], facts["epoch"]
        self.position, self.sums = facts["position"], dict(facts["sums"])
        self.best = math.inf if facts["best"] is None else facts["best"]
        self.best_epoch = facts["best_epoch"]
        if self.controller is not None:
            self.controller.memory = facts["rate_controller"]
