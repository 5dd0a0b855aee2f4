"""The optimizers of gradus as `torch.optim.Optimizer`, over parameters on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional, overload

import torch

from ._gradus import Rule

__all__ = ["Optimizer"]


class Optimizer(torch.optim.Optimizer):
    """An optimizer of gradus by name, over PyTorch's parameters: float32 and float64 on the CPU,
    whose memory is shared. Schedulers change `lr` of the groups; `state_dict` has the states.

    Rules of matrices (muon, adafactor) take a tensor of more axes as the matrix of its first axis by
    all others. `gradus_ml.Optimizer.names()` lists the names.

    Args:
        params: parameters, or groups of them with their own `lr` and options of the rule.
        name: "adam", "lion", "muon", "schedule_free_adamw" and so on.
        lr: the learning rate, that of the rule by default.
        **options: of the rule.

    Raises:
        ValueError: for an unknown name or option, of a group too; from `step` for a tensor that is not on the CPU,
            or not of float32 or float64.

    Example:
        >>> import torch
        >>> from gradus_ml.torch_optim import Optimizer
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        >>> adam = Optimizer([weight], "adam", lr=0.1)
        >>> (weight**2).sum().backward()
        >>> adam.step()  # the first step is the rate, whatever the gradient's size
        >>> [round(float(x), 4) for x in weight.detach()]
        [0.9, -1.9]
    """

    def __init__(
        self, params: Any, name: str, *, lr: Optional[float] = None, **options: Any
    ) -> None:
        given = {**options} if lr is None else {**options, "learning_rate": float(lr)}
        self.name = name
        rule = Rule(name, given)
        own = {key: value for key, value in rule.options.items() if key != "learning_rate"}
        super().__init__(params, {"lr": rule.learning_rate, **own})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group with its own `lr` and options; the others are those of the optimizer."""
        # Schedulers that go on want `initial_lr`.
        known = {"params", "param_names", "initial_lr", *self.defaults}
        unknown = [key for key in param_group if key not in known]
        if unknown:
            allowed = ", ".join(self.defaults)
            raise ValueError(
                f"{self.name}: a group has the option {unknown[0]}; it may have {allowed}"
            )
        self._rule({**self.defaults, **param_group})
        super().add_param_group(param_group)

    def _rule(self, group: dict[str, Any]) -> Rule:
        # Schedulers may change options of a group beside its rate, so the rule is made of them as
        # they are; a state of an older version has none.
        keys = [key for key in self.defaults if key not in ("lr", "differentiable")]
        return Rule(self.name, {key: group.get(key, self.defaults[key]) for key in keys})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "name": self.name}

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Optional[Callable[[], float]] = None) -> Optional[float]:
        """A step on every parameter with a gradient; the value of `closure`, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rule = self._rule(group)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._one(rule, parameter, float(group["lr"]))
        return loss

    def _one(self, rule: Rule, parameter: torch.Tensor, rate: float) -> None:
        kinds = (torch.float32, torch.float64)
        if parameter.device.type != "cpu" or parameter.dtype not in kinds:
            raise ValueError(
                f"{self.name}: a parameter is {parameter.dtype} on {parameter.device}; it must be "
                "float32 or float64 on the CPU, whose memory gradus shares"
            )
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            for place, value in enumerate(rule.first_states):
                state[f"state{place}"] = torch.full_like(parameter, value).contiguous()
        state["step"] = int(state["step"]) + 1
        states = [state[f"state{place}"] for place in range(len(rule.first_states))]
        # A view where the tensor lies in order, else a copy that is written back.
        flat = parameter.detach().contiguous().view(-1)
        gradient = (
            parameter.grad.detach().contiguous().view(-1) if parameter.grad is not None else flat
        )
        columns = parameter[0].numel() if parameter.dim() > 1 else 0
        rule.step(
            state["step"],
            rate,
            columns,
            flat.numpy(),
            gradient.numpy(),
            [one.view(-1).numpy() for one in states],
        )
        if not parameter.is_contiguous():
            parameter.copy_(flat.view(parameter.shape))

    def averages(self) -> list[torch.Tensor]:
        """The weights that a schedule-free rule predicts with, in the order of the parameters.

        Raises:
            ValueError: for a rule that predicts with the parameters themselves, and before a step.
        """
        place = self._rule(self.param_groups[0]).averaged_state
        all_parameters = [one for group in self.param_groups for one in group["params"]]
        if place is None or not all(self.state[one] for one in all_parameters):
            found = "has no averages" if place is None else "has not made a step"
            raise ValueError(
                f"{self.name}: it {found}; a schedule-free rule has them behind a step"
            )
        return [self.state[one][f"state{place}"].clone() for one in all_parameters]
