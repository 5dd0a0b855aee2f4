"""Every loss as a function on arrays; the names are those of `gradus_ml.losses()`.

A function takes the inputs of its loss by position or by name, `weight`, `row_weight`, `mask` and
`upstream`, the options of the loss, `reduction`, `device` and `out`, and returns the value and the
gradient. Losses over classes take `class_axis`, losses of logits `from_probabilities`:

    >>> import numpy as np
    >>> from gradus_ml.functional import cross_entropy
    >>> value, gradient = cross_entropy(np.float32([[2, 0], [0, 0]]), np.array([0, 1]))
    >>> round(value, 4), gradient.tolist()[1]
    (0.41, [0.25, -0.25])

Classes on axis 1, as PyTorch has them, and probabilities in place of logits:

    >>> planes = np.float32([[[0.25, 0.5], [0.75, 0.5]]])  # one image of two pixels
    >>> value, gradient = cross_entropy(planes, [[1, 0]], class_axis=1, from_probabilities=True)
    >>> round(value, 4), gradient.shape
    (0.4904, (1, 2, 2))

Written into an array that is there already, without a copy:

    >>> from gradus_ml.functional import mse
    >>> out = np.empty(2, np.float32)
    >>> mse(np.float32([1, 2]), np.float32([0, 4]), out=out)[0], out.tolist()
    (2.5, [1.0, -2.0])
"""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Any, Callable

from ._catalogue import LossInfo, _all
from ._examples import EXAMPLES
from ._gradus import Loss

# Losses that were made for these options, at most so many of a function.
_KEPT = 64

# Keywords of every `Loss` that are no options; a loss without a class axis or without probabilities
# refuses these by name.
_SHARED = frozenset({"reduction", "device", "class_axis", "from_probabilities"})

_MEANINGS = {
    "class_axis": "the axis of the classes: 1 as in PyTorch, -1 as in Keras; None for the last.",
    "from_probabilities": "True for probabilities in place of logits.",
}


def _signature(info: LossInfo, takes_out: bool = True) -> Signature:
    parameters = []
    for given in info.inputs:
        kind = Parameter.POSITIONAL_OR_KEYWORD if given.positional else Parameter.KEYWORD_ONLY
        default = Parameter.empty if given.required else None
        parameters.append(Parameter(given.name, kind, default=default))
    # An optional input may stand before a required one: that and all behind it are by name.
    seen_default = by_name = False
    for place, parameter in enumerate(parameters):
        by_name |= seen_default and parameter.default is Parameter.empty
        seen_default |= parameter.default is not Parameter.empty
        if by_name:
            parameters[place] = parameter.replace(kind=Parameter.KEYWORD_ONLY)
    shared: dict[str, Any] = {"out": None} if takes_out else {}
    shared |= {"reduction": "mean", "device": "cpu", **info.shape_keywords}
    for name, default in shared.items():
        parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, default=default))
    for option in info.options:
        parameters.append(Parameter(option.keyword, Parameter.KEYWORD_ONLY, default=option.default))
    parameters.sort(key=lambda parameter: parameter.kind)
    return Signature(parameters)


def _inputs(info: LossInfo) -> list[str]:
    """A line for each input."""
    lines = []
    for given in info.inputs:
        optional = "" if given.required else ", optional"
        lines.append(f"    {given.name}: {given.kind}, shape {given.shape}{optional}.")
    return lines


def _keywords(info: LossInfo) -> list[str]:
    """A line for each keyword that is no input."""
    lines = [
        '    reduction: "none", "sum", "mean", "batch_mean", "weighted_mean" or a divisor.',
        '    device: a `Device` or "cpu", "gpu", "reference", "auto".',
    ]
    lines += [f"    {name}: {_MEANINGS[name]}" for name in info.shape_keywords]
    for option in info.options:
        lines.append(
            f"    {option.keyword}: {option.meaning} ({option.domain}; default {option.default!r})"
        )
    return lines


def _equivalents(info: LossInfo) -> list[str]:
    names = [
        f"{library} {name}"
        for library, name in (("PyTorch", info.torch), ("Keras", info.keras), ("optax", info.optax))
        if name
    ]
    lines = ["", "Equivalents: " + "; ".join(names) + "."] if names else []
    return [*lines, "", f"Source: {info.source}."] if info.source else lines


def _example(info: LossInfo, head: list[str], called: str, form: str, result: str) -> list[str]:
    """A call with its value, a line for each input where one line is too short; `form` is that of an
    array. A loss that is new has none: stubs.py writes them."""
    if info.name not in EXAMPLES:
        return []
    given, value = EXAMPLES[info.name]
    arrays = {name: form.format(array) for name, array in given.items()}
    named = [
        array if place < 2 and info.inputs[place].required else f"{name}={array}"
        for place, (name, array) in enumerate(arrays.items())
    ]
    call = [f"{called}({', '.join(named)})"]
    if len(call[0]) > 88:
        call = [f"{called}(", *(f"    {array}," for array in named), ")"]
    lines = [*(f">>> {line}" for line in head), f">>> {call[0]}"]
    lines += [*(f"... {line}" for line in call[1:]), f">>> {result}", f"{value}"]
    return ["", "Example:", *(f"    {line}" for line in lines)]


def _documentation(info: LossInfo) -> str:
    several = len(info.differentiated) > 1
    lines = [
        info.summary + ".",
        "",
        f"    {info.formula}",
        "",
        "Args:",
        *_inputs(info),
        "    out: an array for the gradient, or a dict of arrays by input.",
        *_keywords(info),
        "",
        "Returns:",
        "    The value, and "
        + (
            f"a dict of the gradients by {', '.join(info.differentiated)}."
            if several
            else f"the gradient by {info.differentiated[0]}."
        ),
        "",
        "Raises:",
        "    ValueError: for shapes that do not fit, labels and options outside their domains.",
        "    RuntimeError: for what the device refuses.",
        *_equivalents(info),
        *_example(
            info,
            ["import gradus_ml as gm"],
            f"value, gradient{'s' * several} = gm.{info.name}",
            "{}",
            "round(value, 3)",
        ),
    ]
    return "\n".join(lines)


def _function(info: LossInfo) -> Callable[..., Any]:
    name = info.name
    options = {option.name for option in info.options} | {option.keyword for option in info.options}
    others = options | _SHARED
    plain = Loss(name)
    kept: dict[Any, Loss] = {}

    def function(*arrays: Any, out: Any = None, **named: Any) -> Any:
        if not named:
            return plain(*arrays, out=out)
        given = {key: named.pop(key) for key in others.intersection(named)}
        if not given:
            return plain(*arrays, out=out, **named)
        key = repr(sorted(given.items(), key=lambda item: item[0]))
        loss = kept.get(key) if isinstance(given.get("device", ""), str) else None
        if loss is None:
            loss = Loss(name, **given)
            if len(kept) >= _KEPT:
                kept.clear()
            kept[key] = loss
        return loss(*arrays, out=out, **named)

    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = _documentation(info)
    function.__signature__ = _signature(info)  # type: ignore[attr-defined]
    return function


for _info in _all():
    globals()[_info.name] = _function(_info)

__all__ = [info.name for info in _all()]
