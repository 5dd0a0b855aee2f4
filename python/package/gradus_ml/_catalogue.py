"""The list of losses."""

from __future__ import annotations

from functools import lru_cache
from keyword import iskeyword
from typing import Any, NamedTuple, Optional

from . import _gradus


class Input(NamedTuple):
    """An input of a loss.

    `kind` is "floats", "labels", "floats or labels" or "mask"; `shape` is in words; `domain` says
    which numbers it holds ("real", "probability", "label").
    """

    name: str
    shape: str
    kind: str
    positional: bool
    required: bool
    differentiated: bool
    domain: Optional[str]


class Option(NamedTuple):
    """An option of a loss, with its default and the values that it may have."""

    name: str
    default: Any
    domain: str
    meaning: str

    @property
    def keyword(self) -> str:
        """The name as a keyword: `lambda_` for "lambda", which Python keeps for itself."""
        return f"{self.name}_" if iskeyword(self.name) else self.name


class LossInfo(NamedTuple):
    """What is known of a loss: an entry of `losses()`.

    `class_axis` and `from_probabilities` say whether the loss takes these keywords,
    `target_gradient` whether dense targets have a gradient, `derives_its_value` that its gradients are the derivatives of its value: false where a part of it
    is held constant.
    """

    name: str
    summary: str
    formula: str
    torch: str
    keras: str
    optax: str
    source: str
    inputs: tuple[Input, ...]
    options: tuple[Option, ...]
    variants: tuple[dict[str, Any], ...]
    hessian: bool
    auxiliary: bool
    target_gradient: bool
    pointwise: bool
    class_axis: bool
    from_probabilities: bool
    derives_its_value: bool

    @property
    def shape_keywords(self) -> dict[str, Any]:
        """`class_axis` and `from_probabilities` with their defaults, where the loss takes them."""
        known = {"class_axis": None, "from_probabilities": False}
        return {name: default for name, default in known.items() if getattr(self, name)}

    @property
    def differentiated(self) -> tuple[str, ...]:
        """The inputs that there is a gradient of."""
        return tuple(given.name for given in self.inputs if given.differentiated)

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><td><code>{escape(option.name)}</code></td><td>{escape(repr(option.default))}</td>"
            f"<td>{escape(option.domain)}</td><td>{escape(option.meaning)}</td></tr>"
            for option in self.options
        )
        table = f"<table>{rows}</table>" if rows else ""
        return (
            f"<b>{escape(self.name)}</b>: {escape(self.summary)}<br>{escape(self.formula)}{table}"
        )


@lru_cache(maxsize=None)
def _all() -> tuple[LossInfo, ...]:
    return tuple(
        LossInfo(
            **{
                **line,
                "inputs": tuple(Input(**given) for given in line["inputs"]),
                "options": tuple(Option(**option) for option in line["options"]),
                "variants": tuple(line["variants"]),
            }
        )
        for line in _gradus.catalogue()
    )


def losses() -> list[LossInfo]:
    """Every loss with its formula, inputs, options and names in other libraries.

    Example:
        >>> import gradus_ml as gm
        >>> [loss.name for loss in gm.losses() if loss.torch == "HuberLoss"]
        ['huber']
    """
    return list(_all())
