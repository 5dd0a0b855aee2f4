"""Targets as labels with names, or as numbers."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np


def classes_of(
    owner: str, y: Any, classes: Optional[bool], known: Optional[list[str]] = None
) -> tuple[np.ndarray, Optional[list[str]]]:
    """Labels with the names of the classes, or numbers [rows, outputs] without.

    `classes` decides; without it words and truth values are classes. Labels count in `known`, if it
    is given, else in the sorted names.

    Raises:
        ValueError: for words that are said to be numbers, classes of several columns, blanks among
            them, and a class that is not in `known`.
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
    blank = [row for row, cell in enumerate(array.tolist()) if is_blank(cell)]
    if blank:
        raise ValueError(
            f"{owner}: y has {array[blank[0]]} in row {blank[0]}; each row must have a class"
        )
    found, labels = np.unique(array, return_inverse=True)
    names = [str(name) for name in found.tolist()]
    if known is None:
        return labels.astype(np.int64), names
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"{owner}: y has the class {unknown[0]}; the classes are {', '.join(known)}"
        )
    places = np.array([known.index(name) for name in names], dtype=np.int64)
    return places[labels], known


def is_blank(cell: Any) -> bool:
    """True for None, NaN, and the NA and NaT of pandas and NumPy."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return bool(cell != cell)
