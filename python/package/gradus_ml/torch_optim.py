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
        params: parameters, or groups of them with their own `lr`.
        name: "adam", "lion", "muon", "schedule_free_adamw" and so on.
        lr: the learning rate, that of the rule by default.
        **options: of the rule.

    Raises:
        ValueError: for an unknown name or option; from `step` for a tensor that is not on the CPU,
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
        self._rule = Rule(name, given)
        super().__init__(params, {"lr": self._rule.learning_rate})

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
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._one(parameter, float(group["lr"]))
        return loss

    def _one(self, parameter: torch.Tensor, rate: float) -> None:
        kinds = (torch.float32, torch.float64)
        if parameter.device.type != "cpu" or parameter.dtype not in kinds:
            raise ValueError(
                f"{self.name}: a parameter is {parameter.dtype} on {parameter.device}; it must be "
                "float32 or float64 on the CPU, whose memory gradus shares"
            )
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            for place, value in enumerate(self._rule.first_states):
                state[f"state{place}"] = torch.full_like(parameter, value).contiguous()
        state["step"] = int(state["step"]) + 1
        states = [state[f"state{place}"] for place in range(len(self._rule.first_states))]
        # A view where the tensor lies in order, else a copy that is written back.
        flat = parameter.detach().contiguous().view(-1)
        gradient = (
            parameter.grad.detach().contiguous().view(-1) if parameter.grad is not None else flat
        )
        columns = parameter[0].numel() if parameter.dim() > 1 else 0
        self._rule.step(
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
        place = self._rule.averaged_state
        all_parameters = [one for group in self.param_groups for one in group["params"]]
        if place is None or not all(self.state[one] for one in all_parameters):
            found = "has no averages" if place is None else "has not made a step"
            raise ValueError(
                f"{self.name}: it {found}; a schedule-free rule has them behind a step"
            )
        return [self.state[one][f"state{place}"].clone() for one in all_parameters]
