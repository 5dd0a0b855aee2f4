"""Inputs of every loss, drawn by the domains and shapes of the catalogue."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

import gradus_ml as gm

SIZES = {
    "answers": 4,
    "batch": 3,
    "classes": 5,
    "columns": 5,
    "completions": 4,
    "features": 4,
    "items": 5,
    "length": 2,
    "lists": 3,
    "pairs": 4,
    "places": 4,
    "rows": 4,
    "time": 6,
    "tokens": 3,
    "width": 4,
}


def numbers(domain: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """An array of a domain."""
    if domain in ("real", "exponent", "logits"):
        return random.normal(size=shape)
    if domain in ("positive", "non negative", "variance", "time"):
        return random.uniform(0.5, 2.0, shape)
    if domain == "sign":
        return random.choice([-1.0, 1.0], shape)
    if domain == "zero one":
        return random.choice([0.0, 1.0], shape)
    if domain == "cosine":
        return random.uniform(-0.8, 0.8, shape)
    if domain == "probability":
        return random.uniform(0.1, 0.9, shape)
    if domain == "log probability":
        return -random.uniform(0.2, 2.0, shape)
    if domain == "log distribution":
        return np.log(random.dirichlet(np.ones(shape[-1]) * 5, shape[:-1]))
    if domain == "distribution":
        return random.dirichlet(np.ones(shape[-1]) * 5, shape[:-1])
    if domain in ("class", "label"):
        return random.integers(0, shape[-1], shape[:-1])
    if domain in ("relevance", "grade"):
        return random.integers(0, 3, shape).astype(np.float64)
    if domain == "class list":
        lists = np.full(shape, -1.0)
        lists[..., 0] = random.integers(0, shape[-1], shape[:-1])
        return lists
    raise NotImplementedError(domain)


def axis(words: str) -> int:
    """The length of an axis: `rows`, `2`, `length + 1`."""
    return sum(int(part) if part.isdigit() else SIZES[part] for part in words.split(" + "))


def shape_of(words: str, first: tuple[int, ...] | None) -> tuple[int, ...]:
    """A shape from its words in the catalogue: `[rows, width]`."""
    inside = re.search(r"\[([^\]]*)\]", words) if words.startswith("[") else None
    if inside is None:
        return first or (4, 5)
    parts = [part.strip() for part in inside.group(1).split(",") if part.strip()]
    return tuple(axis(part) for part in parts)


# Optional inputs that are drawn too: without them the policy is its own old one, held constant, and
# other losses are simpler ones.
OPTIONAL = {
    "class_prior",
    "class_weight",
    "completion_mask",
    "expected_count",
    "kl",
    "linear_bias",
    "noise",
    "old_log_probs",
    "pos_weight",
    "ref_log_probs",
    "reference_chosen",
    "reference_rejected",
    "upper",
}


def draw(
    info: gm.LossInfo, seed: int = 3, optionals: bool = True, first: tuple[int, ...] = (4, 5)
) -> dict[str, np.ndarray]:
    """The required inputs of a loss and some optional ones, float64 and int64; `first` is the shape of
    those that take any."""
    random = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    given_inputs = [
        given for given in info.inputs if given.required or optionals and given.name in OPTIONAL
    ]
    first = shape_of(given_inputs[0].shape, first)
    in_time = "time" in given_inputs[0].shape
    for given in given_inputs:
        domain = given.domain or "real"
        if given.name in ("input_lengths", "target_lengths"):
            length = SIZES["time" if "input" in given.name else "length"]
            found[given.name] = np.full(shape_of(given.shape, None), length)
        elif not given.required:
            found[given.name] = optional(given, found, first, random)
        elif given.kind == "floats" or domain in ("class", "class list") and not in_time:
            # Targets of classes are drawn by the shape of the predictions.
            by_first = given.kind != "floats"
            found[given.name] = numbers(
                domain, first if by_first else shape_of(given.shape, first), random
            )
        else:
            shape = shape_of(given.shape, first[:1])
            most = 4 if domain in ("label", "class") else 2
            found[given.name] = random.integers(1 if in_time else 0, most, shape)
    if first[-1:] == (4,) and "corners" in info.inputs[0].shape:
        # Boxes that overlap: the second corner lies behind the first.
        for name in ("predictions", "targets"):
            least = random.uniform(0.0, 1.0, (first[0], 2))
            found[name] = np.hstack([least, least + random.uniform(1.0, 2.0, (first[0], 2))])
    return found


def log_probs(found: dict[str, np.ndarray]) -> np.ndarray:
    """The log-probabilities of the tokens behind a linear layer."""
    logits = found["predictions"] @ found["linear_weight"].T + found.get("linear_bias", 0.0)
    logits = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.take_along_axis(logits, found["targets"][..., None], -1)[..., 0]


def optional(
    given: gm.Input,
    found: dict[str, np.ndarray],
    first: tuple[int, ...],
    random: np.random.Generator,
) -> np.ndarray:
    """An optional input that fits those that were drawn."""
    if given.name == "upper":
        # Exact times, times between two bounds, and times that were not seen.
        factors = np.resize([1.0, 1.5, np.inf], first)
        return found["lower"] * factors
    if given.name == "old_log_probs":
        # Ratios of probabilities on either side of the bounds of clipping, not at them.
        policy = found["log_probs"] if "log_probs" in found else log_probs(found)
        return policy + np.resize([0.05, -0.1, 0.5, -0.6], policy.shape)
    if given.name == "completion_mask":
        mask = np.ones(shape_of(given.shape, first))
        mask[0, -1] = 0.0
        return mask
    if given.name in ("class_prior", "class_weight", "expected_count", "pos_weight"):
        return random.uniform(0.5, 2.0, shape_of(given.shape, first))
    if given.name.startswith("reference_") and "linear_weight" in found:
        # One for each pair of completions.
        return numbers("log probability", (first[0] // 2,), random)
    if given.name == "noise":
        return random.uniform(0.0, 1.0, first[-1:])
    return numbers(given.domain or "real", shape_of(given.shape, first), random)


def options_of(info: gm.LossInfo) -> dict[str, Any]:
    """Options with which the gradient is the derivative of the value."""
    return {"detach": False} if "detach" in {option.name for option in info.options} else {}


def held_constant(info: gm.LossInfo) -> str | None:
    """Why the gradients of a loss are not the derivatives of its values; None if they are."""
    loss = gm.Loss(info.name, **options_of(info))
    return None if loss.derives_its_value else f"{info.name} holds a part of itself constant"


def single(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays in float32."""
    return {
        name: array.astype(np.float32) if array.dtype == np.float64 else array
        for name, array in arrays.items()
    }


LOSSES = gm.losses()
NAMES = [info.name for info in LOSSES]
