"""How a peer computes value and gradients of a loss from the inputs of a case: a function of a `Case`, with a decorator.

- `by_torch` and `by_jax` (optax, Keras): the function returns the reduced value, autograd gives the gradients.
- `by_hand` (NumPy, scikit-learn, mpmath): the function returns unreduced values and their derivatives.
- `by_library`, for optimizers and schedules: the function returns the numbers of a case as it stands in the file.
"""

import math
import os
from dataclasses import dataclass
from typing import Callable

os.environ["KERAS_BACKEND"] = "jax"  # keras reads it when it is imported: hence here and nowhere else

import jax
import jax.numpy as jnp
import keras  # noqa: F401, imported from here by the modules of the losses
import numpy as np
import torch
from keras.src.backend.common import dtypes

jax.config.update("jax_enable_x64", True)
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # else keras takes means in f32, whatever its floatx is
torch.set_num_threads(1)  # one fixed order of every sum

PEERS = ["torch", "torchvision", "optax", "keras", "scikit-learn", "numpy", "mpmath"]
FUNCTIONS = {}  # (kind, name, peer): PeerFunction, where kind is "loss", "optimizer" or "schedule"


@dataclass
class PeerFunction:
    run: Callable  # of a case as it stands in the file: the tree that belongs under "expect"
    file: str  # the golden file, without .json: the module of the function
    what: str = ""  # for `source` of a new case, after the peer and its version
    draw: Callable | None = None  # random inputs for a new case
    note: str = ""  # printed with the comparison


def peer_of(case):
    """The first word of `source`; a source that names no library is a formula, which torch differentiates."""
    word = case["source"].split()[0]
    return word if word in PEERS else "torch"


class Case:
    """Inputs and options of a case for a function: `case.predictions`, `case.option("delta", 1.0)`.

    It notes what was read, so that one that the function does not know is an error.
    """

    def __init__(self, inputs, options, read=None):
        self.inputs, self.options = inputs, options
        self.reduction = options.get("reduction", "mean")
        self.read = {"reduction"} if read is None else read

    def __getattr__(self, name):
        if name not in self.inputs:
            raise AttributeError(f"the case has no input {name}")
        self.read.add(name)
        return self.inputs[name]

    def get(self, name):
        """An optional input, or None."""
        return getattr(self, name) if name in self.inputs else None

    def option(self, name, default=None):
        self.read.add(name)
        return self.options.get(name, default)

    def replaced(self, **inputs):
        """The same case with other inputs: for losses of the outputs of a linear layer."""
        return Case({**self.inputs, **inputs}, self.options, self.read)

    @property
    def labels(self):
        """The targets as integers."""
        targets = self.targets
        return targets.long() if isinstance(targets, torch.Tensor) else targets.astype(int)

    def unread(self):
        return sorted((set(self.inputs) | set(self.options)) - self.read)

    def reduce(self, values, count=None):
        """The reduction of gradus: `mean` divides by the number of values, or by `count`; of nothing it is 0."""
        weight = self.get("weight")
        if weight is not None:
            values = weight * values
        if self.reduction == "none":
            return values
        divisors = {
            "sum": lambda: 1,
            "mean": lambda: math.prod(values.shape) if count is None else count if count > 0 else 1,
            "batch_mean": lambda: self.predictions.shape[0],
            "weighted_mean": lambda: weight.sum(),
        }
        return values.sum() / divisors[self.reduction]()

    def reduced_by(self, function, *inputs, **options):
        """A function of torch with its own reduction; with weights its unreduced values, reduced here."""
        if "weight" in self.inputs:
            return self.reduce(function(*inputs, reduction="none", **options))
        name = {"batch_mean": "batchmean"}.get(self.reduction, self.reduction)
        return function(*inputs, reduction=name, **options)


def decoded(tensor):
    """A tensor of a file as an array. The numbers are f32 in their shortest form: as f64, 0.1 would be another number."""
    data = np.array([float(x) for x in tensor["data"]], dtype=np.float32)
    return data.astype(np.float64).reshape([int(n) for n in tensor["shape"]])


def _torch_run(function, inputs, options, names, upstream):
    tensors = {name: torch.tensor(array) for name, array in inputs.items()}
    for name in names:
        tensors[name].requires_grad_()
    case = Case(tensors, options)
    value = function(case)
    value.backward(torch.ones_like(value) if upstream is None else torch.tensor(upstream))
    gradients = {name: tensors[name].grad for name in names}
    arrays = {name: tensors[name].detach() * 0 if g is None else g for name, g in gradients.items()}
    return case, value.detach().numpy(), {name: array.numpy() for name, array in arrays.items()}


def _jax_run(function, inputs, options, names, upstream):
    arrays = {name: jnp.asarray(array) for name, array in inputs.items()}
    case = Case(arrays, options)

    def value_of(*variables):
        return function(case.replaced(**dict(zip(names, variables))))

    value, pull = jax.vjp(value_of, *(arrays[name] for name in names))
    gradients = pull(jnp.ones_like(value) if upstream is None else jnp.asarray(upstream))
    return case, np.asarray(value), {n: np.asarray(g) for n, g in zip(names, gradients)}


def _direct_run(function, inputs, options, names, upstream):
    case = Case(inputs, options)
    values, derivatives = function(case)
    factor = {
        "none": np.ones_like(values) if upstream is None else upstream,
        "sum": np.ones_like(values),
        "mean": np.full_like(values, 1 / values.size),
    }[case.reduction]
    gradient = derivatives * factor.reshape(factor.shape + (1,) * (derivatives.ndim - factor.ndim))
    assert list(names) == ["predictions"]
    return case, np.asarray(case.reduce(values)), {"predictions": gradient}


def _decorator(engine, default_peer):
    def register(name, what, peer=default_peer, gradients=("predictions",), draw=None, note=""):
        def take(function):
            def run(case):
                inputs = {input: decoded(tensor) for input, tensor in case["inputs"].items()}
                upstream = decoded(case["upstream"]) if "upstream" in case else None
                wanted = case["expect"]["gradients"] if "expect" in case else [n for n in gradients if n in inputs]
                read, value, found = engine(function, inputs, case["options"], list(wanted), upstream)
                if unread := read.unread():
                    raise ValueError(f"unknown here: {', '.join(unread)}")
                return {"value": value, "gradients": found}

            FUNCTIONS["loss", name, peer] = PeerFunction(run, function.__module__, what, draw, note)
            return function

        return take

    return register


by_torch = _decorator(_torch_run, "torch")
by_jax = _decorator(_jax_run, "optax")
by_hand = _decorator(_direct_run, "numpy")


def by_library(kind, name, peer):
    """An optimizer or a schedule: a function of the case as it stands in the file."""

    def take(function):
        FUNCTIONS[kind, name, peer] = PeerFunction(function, function.__module__)
        return function

    return take
