"""Optimizers, schedules and activations: a name and its options."""

from __future__ import annotations

from typing import Any, Optional, Union


class _Named:
    """A name with options, checked when it is used."""

    def __init__(self, name: str, /, **options: Any) -> None:
        self.name = name
        self.options = options

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({self.name!r}{options})"

    def __eq__(self, other: object) -> bool:
        same = type(self) is type(other)
        return same and (self.name, self.options) == (other.name, other.options)  # type: ignore

    def __hash__(self) -> int:
        return hash((type(self), self.name, repr(self.options)))

    @classmethod
    def of(cls, given: Any) -> Any:
        """From a name, a pair of name and options, or such an object."""
        if given is None or isinstance(given, cls):
            return given
        if isinstance(given, str):
            return cls(given)
        if isinstance(given, tuple) and len(given) == 2:
            return cls(given[0], **given[1])
        raise ValueError(
            f"{cls.__name__.lower()} is {given!r}; it must be a name, a pair of a name and a dict "
            f"of options, or {cls.__name__}(name, option=value)"
        )


class Optimizer(_Named):
    """An optimizer by name: "adam", "sgd", "adamw", "lion", ... (`Optimizer.names()`).

    Args:
        name: its name.
        **options: its options; `learning_rate` is one of every optimizer.

    Example:
        >>> Optimizer("adam", learning_rate=0.01)
        Optimizer('adam', learning_rate=0.01)
    """

    @staticmethod
    def names() -> list[str]:
        """The names of all optimizers."""
        from . import _gradus

        return [line["name"] for line in _gradus.optimizers()]


class Activation(_Named):
    """An activation by name: "relu", "gelu", "tanh", ... (`Activation.names()`).

    Example:
        >>> Activation("leaky_relu", negative_slope=0.1)
        Activation('leaky_relu', negative_slope=0.1)
    """

    @staticmethod
    def names() -> list[str]:
        """The names of all activations."""
        from . import _gradus

        return [line["name"] for line in _gradus.activations()]

    def form(self) -> dict[str, Any]:
        """Name and all options, for the description of a layer."""
        from . import _gradus

        return _gradus.activation({"name": self.name, "options": self.options})


class Schedule(_Named):
    """A schedule of the learning rate by name: "cosine", "step", ... (`Schedule.names()`).

    Args:
        name: its name.
        by_epoch: counts epochs in place of steps.
        **options: its options.

    Example:
        >>> Schedule("cosine", steps=1000).name
        'cosine'
    """

    def __init__(self, name: str, /, *, by_epoch: bool = False, **options: Any) -> None:
        super().__init__(name, **options)
        self.by_epoch = by_epoch

    @staticmethod
    def names() -> list[str]:
        """The names of all schedules."""
        from . import _gradus

        return _gradus.schedules()


AnyActivation = Union[None, str, "tuple[str, dict[str, Any]]", Activation]
AnyOptimizer = Union[str, "tuple[str, dict[str, Any]]", Optimizer]


def activation_form(given: AnyActivation) -> Optional[dict[str, Any]]:
    """An activation in the description of a layer; None for none."""
    found = Activation.of(given)
    return None if found is None else found.form()
