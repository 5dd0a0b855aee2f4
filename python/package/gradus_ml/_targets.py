"""Targets as labels with names, or as numbers."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np


def classes_of(
    owner: str, y: Any, classes: Optional[bool]
) -> tuple[np.ndarray, Optional[list[str]]]:
    """Labels with the names of the classes, or numbers [rows, outputs] without.

    `classes` decides; without it words and truth values are classes.

    Raises:
        ValueError: for words that are said to be numbers, and classes of several columns.
    """
    array = np.asarray(y)
    is_named = array.dtype.kind in "OUSb"
    if classes is False and array.dtype.kind in "OUS":
        raise ValueError(f"{owner}: y holds words; as numbers it must hold numbers")
    if not (is_named if classes is None else classes):
        numbers = np.asarray(array, dtype=np.float64)
        return (numbers[:, None] if numbers.ndim == 1 else numbers), None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{owner}: y is {list(array.shape)}; classes must be [rows]")
    names, labels = np.unique(array, return_inverse=True)
    return labels.astype(np.int64), [str(name) for name in names.tolist()]
