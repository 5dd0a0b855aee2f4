"""Every loss as a function and a module of PyTorch, with autograd.

    >>> import torch
    >>> from gradus_ml.torch import HuberLoss, huber
    >>> x = torch.tensor([1.0, 4.0], requires_grad=True)
    >>> HuberLoss(delta=0.5)(x, torch.tensor([0.0, 4.0])).backward()
    >>> x.grad
    tensor([0.2500, 0.0000])

Functions have the names of `gradus_ml.losses()`, modules those in capitals with `Loss` behind:
`cross_entropy` and `CrossEntropyLoss`. The gradient is made in the forward pass, in one sweep with the
value.

The classes are on the last axis, as everywhere in gradus. PyTorch has them on axis 1: with three axes
and more say so by `class_axis=1`, as for the logits (N, C, d) of `torch.nn.functional.cross_entropy`.
Without it tensors that fit both readings are refused.

    >>> from gradus_ml.torch import cross_entropy
    >>> logits, labels = torch.randn(4, 3, 5), torch.randint(0, 3, (4, 5))
    >>> expected = torch.nn.functional.cross_entropy(logits, labels)
    >>> torch.allclose(cross_entropy(logits, labels, class_axis=1), expected)
    True

`from_probabilities=True` takes probabilities in place of logits.

Tensors are on the CPU; float32 and contiguous ones are read and written in place. float16 and bfloat16
are computed in float32; float64 too, except on `device="reference"`, which computes it in float64 (slow,
for checks). With `device="gpu"` gradus copies to the adapter and back. A tensor elsewhere is an error,
and so is a second derivative by autograd: `gradus_ml.Loss.evaluate(hessian=True)` has the diagonal where
there is one.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Union

import numpy as np
import torch

from ._catalogue import LossInfo, _all
from ._gradus import Device, Loss
from .functional import _SHARED, _equivalents, _example, _inputs, _keywords, _signature

_HALF = (torch.float16, torch.bfloat16)


def _array(owner: str, name: str, given: Any) -> Any:
    """A tensor as an array over the same memory."""
    if not isinstance(given, torch.Tensor):
        return given
    if given.device.type != "cpu":
        raise ValueError(
            f"{owner}: {name} is on {given.device}; gradus takes tensors on the CPU: copy it by "
            f"{name}.cpu(), autograd takes the gradient back"
        )
    given = given.detach()
    if given.dtype in _HALF:
        given = given.float()
    return given.resolve_neg().numpy()


def _class_axis(loss: Loss) -> int:
    return -1 if loss.class_axis is None else loss.class_axis


def _without_classes(loss: Loss, gradient: torch.Tensor) -> Optional[torch.Size]:
    """The shape of the values of a loss over classes; None for a single number."""
    if gradient.ndim == 0:
        return None
    shape = list(gradient.shape)
    del shape[_class_axis(loss)]
    return torch.Size(shape)


class _SecondDerivative(torch.autograd.Function):
    """A gradient that depends on its inputs, but cannot say how."""

    @staticmethod
    def forward(
        ctx: Any, owner: str, gradient: torch.Tensor, *inputs: torch.Tensor
    ) -> torch.Tensor:
        ctx.owner = owner
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        raise RuntimeError(
            f"{ctx.owner}: gradus has no second derivatives for autograd; "
            "Loss.evaluate(hessian=True) has the diagonal of some losses"
        )


def _evaluate(
    loss: Loss, names: tuple[str, ...], arrays: dict[str, Any]
) -> tuple[Any, dict[str, np.ndarray]]:
    """The value, and the gradients by name."""
    if "targets" in names and "targets" not in loss.differentiated:
        report = loss.evaluate(target_gradient=True, **arrays)
        return report["value"], report["gradients"]
    value, found = loss(**arrays)
    return value, found if isinstance(found, dict) else {names[0]: found}


class _Call(torch.autograd.Function):
    """A loss of the differentiated inputs `tensors`; the others are in `fixed`."""

    @staticmethod
    def forward(
        ctx: Any,
        loss: Loss,
        names: tuple[str, ...],
        fixed: dict[str, Any],
        *tensors: torch.Tensor,
    ) -> torch.Tensor:
        owner, first = loss.name, tensors[0]
        arrays = {name: _array(owner, name, tensor) for name, tensor in zip(names, tensors)}
        each = loss.reduction == "none"
        gradients: list[torch.Tensor] = []
        if len(names) == len(loss.differentiated) == 1 and first.dtype == torch.float32:
            gradient = torch.empty_like(first, memory_format=torch.contiguous_format)
            value, _ = loss(out=gradient.numpy(), **arrays, **fixed)
            gradients = [gradient]
        else:
            value, found = _evaluate(loss, names, {**arrays, **fixed})
            gradients = [
                torch.from_numpy(found[name]).to(tensor.dtype)
                for name, tensor in zip(names, tensors)
            ]
        ctx.loss, ctx.names, ctx.fixed, ctx.each = loss, names, fixed, each
        ctx.save_for_backward(*gradients, *tensors)
        if each:
            return torch.from_numpy(value).to(first.dtype)
        return torch.tensor(value, dtype=first.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> Any:
        saved = ctx.saved_tensors
        count = len(ctx.names)
        gradients, tensors = saved[:count], saved[count:]
        if not ctx.each or upstream.numel() == 1:
            # A sum of one loss alone needs no further pass over the gradient.
            plain = upstream.item() == 1.0
            found = [g if plain else g * upstream.detach().reshape(()) for g in gradients]
        elif ctx.loss.is_separate and all(g.shape == upstream.shape for g in gradients):
            found = [g * upstream.detach() for g in gradients]
        elif ctx.loss.is_separate and all(
            _without_classes(ctx.loss, g) == upstream.shape for g in gradients
        ):
            of_rows = upstream.detach().unsqueeze(_class_axis(ctx.loss))
            found = [g * of_rows for g in gradients]
        else:
            owner = ctx.loss.name
            arrays = {name: _array(owner, name, tensor) for name, tensor in zip(ctx.names, tensors)}
            given = _array(owner, "upstream", upstream.contiguous())
            _, again = _evaluate(ctx.loss, ctx.names, {**arrays, **ctx.fixed, "upstream": given})
            found = [
                torch.from_numpy(again[name]).to(tensor.dtype)
                for name, tensor in zip(ctx.names, tensors)
            ]
        if torch.is_grad_enabled():
            # A graph of the gradient is made: it ends here, with an error by name.
            found = [_SecondDerivative.apply(ctx.loss.name, g, upstream, *tensors) for g in found]
        return (None, None, None, *found)


def _apply(loss: Loss, arrays: tuple[Any, ...], named: dict[str, Any]) -> torch.Tensor:
    owner, inputs = loss.name, loss.inputs
    given = dict(zip(inputs, arrays))
    if len(arrays) > len(inputs):
        raise ValueError(f"{owner}: the inputs are {len(arrays)}; it takes {', '.join(inputs)}")
    for name, value in named.items():
        if name in given:
            raise ValueError(f"{owner}: {name} is given twice; once by position or by name")
        given[name] = value
    names, tensors, fixed = [], [], {}
    differentiated = loss.differentiated
    # In the order of the loss, so that the first tensor is that of the predictions.
    for name in [*(name for name in inputs if name in given), *given.keys() - set(inputs)]:
        value = given[name]
        if value is None:
            continue
        if name in differentiated:
            names.append(name)
            tensors.append(value if isinstance(value, torch.Tensor) else torch.as_tensor(value))
            continue
        if isinstance(value, torch.Tensor) and value.requires_grad and torch.is_grad_enabled():
            if name == "targets" and loss.target_gradient:
                names.append(name)
                tensors.append(value)
                continue
            raise ValueError(
                f"{owner}: {name} requires a gradient; this loss has those of "
                f"{', '.join(differentiated)}: hand over {name}.detach()"
            )
        fixed[name] = _array(owner, name, value)
    if not tensors:
        raise ValueError(f"{owner}: {differentiated[0]} is missing; it must be a tensor")
    return _Call.apply(loss, tuple(names), fixed, *tensors)


class GradusLoss(torch.nn.Module):
    """A loss by its name; the modules of this file are made of it.

    Args:
        name: a name of `gradus_ml.losses()`.
        reduction: "none", "sum", "mean", "batch_mean", "weighted_mean" or a divisor.
        device: where gradus computes: "cpu", "gpu", "reference".
        class_axis: the axis of the classes, for a loss over classes: 1 as in PyTorch.
        from_probabilities: predictions are probabilities, for a loss of logits.
        **options: the options of the loss.

    Raises:
        ValueError: for unknown names and options outside their domains.
    """

    def __init__(
        self,
        name: str,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        class_axis: Optional[int] = None,
        from_probabilities: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.loss = Loss(
            name,
            device=device,
            reduction=reduction,
            class_axis=class_axis,
            from_probabilities=from_probabilities,
            **options,
        )

    def forward(self, *inputs: Any, **named: Any) -> torch.Tensor:
        """The value: a scalar, or with reduction "none" one for each element or row.

        Args:
            *inputs: tensors in the order of the loss.
            **named: inputs by name, and `weight`, `mask`.

        Raises:
            ValueError: for shapes that do not fit, and tensors that are not on the CPU.
        """
        return _apply(self.loss, inputs, named)

    def extra_repr(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.loss.options.items())
        if self.loss.class_axis is not None:
            options = f", class_axis={self.loss.class_axis}{options}"
        if self.loss.from_probabilities:
            options = f", from_probabilities=True{options}"
        return f"reduction={self.loss.reduction!r}, device={self.loss.device.name!r}{options}"


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_")) + "Loss"


def _documentation(info: LossInfo, is_module: bool) -> str:
    name = _camel(info.name) if is_module else info.name
    inputs, keywords = _inputs(info), _keywords(info)
    parts = [
        ("Args", keywords if is_module else inputs + keywords),
        *([("Inputs", inputs)] if is_module else []),
        (
            "Returns",
            ['    The value, a tensor without axes; with reduction "none" one value for each unit.'],
        ),
        (
            "Raises",
            [
                "    ValueError: for shapes that do not fit, labels and options outside their domains,",
                "        tensors that are not on the CPU.",
                "    RuntimeError: for what the device refuses.",
            ],
        ),
    ]
    lines = [info.summary + ".", "", f"    {info.formula}"]
    for title, inside in parts:
        lines += ["", f"{title}:", *inside]
    lines += _equivalents(info) + _example(
        info,
        ["import torch", f"from gradus_ml.torch import {name}"],
        f"value = {name}{'()' * is_module}",
        "torch.tensor({})",
        "round(value.item(), 3)",
    )
    return "\n".join(lines)


def _module(info: LossInfo) -> type[GradusLoss]:
    def __init__(
        self: GradusLoss,
        *,
        reduction: Union[str, float] = "mean",
        device: Union[str, Device] = "cpu",
        **options: Any,
    ) -> None:
        GradusLoss.__init__(self, info.name, reduction=reduction, device=device, **options)

    name = _camel(info.name)
    body = {"__init__": __init__, "__doc__": _documentation(info, is_module=True), "__module__": __name__}
    return type(name, (GradusLoss,), body)


def _function(info: LossInfo) -> Callable[..., torch.Tensor]:
    options = {option.name for option in info.options} | _SHARED
    options |= {option.keyword for option in info.options}
    kept: dict[Any, Loss] = {}

    def function(*inputs: Any, **named: Any) -> torch.Tensor:
        given = {key: named.pop(key) for key in options.intersection(named)}
        key = repr(sorted(given.items(), key=lambda item: item[0]))
        loss: Optional[Loss] = kept.get(key) if isinstance(given.get("device", ""), str) else None
        if loss is None:
            loss = Loss(info.name, **given)
            if len(kept) >= 64:
                kept.clear()
            kept[key] = loss
        return _apply(loss, inputs, named)

    function.__name__ = function.__qualname__ = info.name
    function.__module__ = __name__
    function.__signature__ = _signature(info, takes_out=False)  # type: ignore[attr-defined]
    function.__doc__ = _documentation(info, is_module=False)
    return function


for _info in _all():
    globals()[_info.name] = _function(_info)
    globals()[_camel(_info.name)] = _module(_info)

__all__ = ["GradusLoss"]
__all__ += [info.name for info in _all()] + [_camel(info.name) for info in _all()]
