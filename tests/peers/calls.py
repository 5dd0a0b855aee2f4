"""A call of a peer's loss: what went in, and what the peer itself answers in float64."""

import json
import math
from dataclasses import dataclass, field


class Refused(Exception):
    """A call that gradus does not take: the reason, in words for the report."""


@dataclass
class Call:
    """A call that a peer's own test makes."""

    peer: str
    function: str
    # The test, or the group of tests, that makes it.
    origin: str
    # Arguments by name: tensors as (shape, flat list), everything else as it is.
    arguments: dict
    # Value and gradients by the peer's name of the input, as (shape, flat list).
    value: tuple
    gradients: dict = field(default_factory=dict)

    def key(self):
        """Equal calls are counted once."""
        return json.dumps([self.function, self.arguments], sort_keys=True, default=str)


def tensor(shape, data):
    """A tensor of a case of `gradus eval`."""
    words = {math.inf: "inf", -math.inf: "-inf"}

    def number(x):
        if isinstance(x, bool) or isinstance(x, int):
            return x
        return "NaN" if math.isnan(x) else words.get(x, x)

    return {"shape": list(shape), "data": [number(x) for x in data]}


def case(loss, inputs, options=None):
    """A case of `gradus eval`; options that are None are left at their default."""
    given = {name: value for name, value in (options or {}).items() if value is not None}
    return {
        "loss": loss,
        "options": given,
        "inputs": {name: tensor(*value) for name, value in inputs.items() if value is not None},
    }
