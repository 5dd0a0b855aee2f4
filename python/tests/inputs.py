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
    "rows": 4,
    "time": 6,
    "tokens": 3,
    "width": 4,
}


def numbers(domain: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """An array of a domain."""
    if domain in ("real", "exponent", "logits"):
        return random.normal(size=shape)
    if domain in ("positive", "non negative", "variance"):
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


def shape_of(words: str, first: tuple[int, ...] | None) -> tuple[int, ...]:
    """A shape from its words in the catalogue: `[rows, width]`."""
    inside = re.search(r"\[([^\]]*)\]", words) if words.startswith("[") else None
    if inside is None:
        return first or (4, 5)
    parts = [part.strip() for part in inside.group(1).split(",") if part.strip()]
    return tuple(int(part) if part.isdigit() else SIZES[part] for part in parts)


def draw(info: gm.LossInfo, seed: int = 3) -> dict[str, np.ndarray]:
    """All required inputs of a loss, float64 and int64."""
    random = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    required = [given for given in info.inputs if given.required]
    first = shape_of(required[0].shape, None)
    in_time = "time" in required[0].shape
    for given in required:
        domain = given.domain or "real"
        if given.name in ("input_lengths", "target_lengths"):
            length = SIZES["time" if "input" in given.name else "length"]
            found[given.name] = np.full(shape_of(given.shape, None), length)
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
    return found


def options_of(info: gm.LossInfo) -> dict[str, Any]:
    """Options with which the gradient is the derivative of the value."""
    return {"detach": False} if info.name == "circle" else {}


def single(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays in float32."""
    return {
        name: array.astype(np.float32) if array.dtype == np.float64 else array
        for name, array in arrays.items()
    }


LOSSES = gm.losses()
NAMES = [info.name for info in LOSSES]
