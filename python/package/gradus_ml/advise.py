"""Which loss, optimizer and network for a data set, and why: the command `gradus advise`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from . import _gradus
from ._targets import classes_of, is_blank

__all__ = ["Advice", "advise", "advise_table"]


@dataclass(frozen=True)
class Advice:
    """Losses, an optimizer and a network for a data set, with the statistics that they follow from.

    Attributes:
        task: what the targets are: `kind`, `classes` and so on.
        rows: rows with a target.
        features: columns of numbers that the features become.
        warnings: what to look at before training, `kind` and `text`, the most harmful first.
        statistics: `name`, `value`, `threshold`, `is_beyond`, `meaning`, `consequence`, `source`.
        losses: two to five, the recommended one first: `loss`, `options` in the unit of the
            targets, `estimates`, `metric`, `reason`, `source` and so on.
        drop: columns of the table to leave out: they number the rows or give the answer.
        optimizer: `optimizer`, `options`, `learning_rate`, `band`, `reason`.
        network: `hidden`, `batch_size`, `epochs`, `patience`, `reason`.
        target_histogram: the targets: `from`, `to`, `counts`, or the rows of each class by `names`.
        residual_histogram: the residuals of a robust pilot model in units of their MADN.
    """

    task: dict[str, Any]
    rows: int
    features: int
    warnings: list[dict[str, Any]]
    statistics: list[dict[str, Any]]
    losses: list[dict[str, Any]]
    drop: list[str]
    optimizer: dict[str, Any]
    network: dict[str, Any]
    target_histogram: dict[str, Any]
    residual_histogram: dict[str, Any]

    def __repr__(self) -> str:
        names = ", ".join(one["loss"] for one in self.losses)
        warned = ", ".join(one["kind"] for one in self.warnings) or "none"
        return f"<Advice: {self.task['kind']}; losses {names}; warnings {warned}>"


def advise(
    x: Any, y: Any, *, classes: Optional[bool] = None, images: bool = False, seed: int = 0
) -> Advice:
    """Advice for rows of arrays.

    Args:
        x: features, [rows, features].
        y: targets, [rows] or [rows, outputs]. Words and truth values are classes; whole numbers may
            be classes, counts or steps of a scale, and that is recognized.
        classes: says that the targets are classes, or that they are numbers.
        images: the rows are pixels of images, whose labels are classes.
        seed: of the sample and of the folds.

    Raises:
        ValueError: for targets that are all the same, numbers that are not finite, and no rows.

    Example:
        >>> import numpy as np
        >>> from gradus_ml.advise import advise
        >>> x = np.arange(400.0)[:, None] % 40
        >>> y = (100 + x[:, 0] + np.sin(np.arange(400) * 7.0)) * np.where(np.arange(400) % 20 == 3, 10, 1)
        >>> advice = advise(x, y)  # one target in twenty is ten times as large
        >>> advice.task["kind"], advice.losses[0]["loss"], advice.warnings[0]["kind"]
        ('numbers', 'huber', 'heavy_tails')
    """
    targets, names = classes_of("advise", y, True if images and classes is None else classes)
    return Advice(**_gradus.advise_arrays(x, targets, names, images, seed))


def advise_table(
    columns: Any,
    target: Union[str, Sequence[str]],
    *,
    left_out: Iterable[str] = (),
    seed: int = 0,
) -> Advice:
    """Advice for a table: columns of numbers or words, as they are.

    Args:
        columns: a dict of columns by name, or a pandas or polars DataFrame. NaN, NA, NaT, None and
            "" are blanks; times are words as ISO 8601 writes them.
        target: the column of the target, or several.
        left_out: columns that are no features.
        seed: of the sample and of the folds.

    Raises:
        ValueError: for a target that is not a column, and as `advise`.

    Example:
        >>> from gradus_ml.advise import advise_table
        >>> rooms = [float(row % 7) for row in range(200)]
        >>> kind = ["flat" if row % 3 else "house" for row in range(200)]
        >>> table = {"rooms": rooms, "garden": [word == "house" for word in kind], "kind": kind}
        >>> advice = advise_table(table, "kind")
        >>> advice.task["kind"], advice.drop
        ('classes', ['garden'])
    """
    targets = [target] if isinstance(target, str) else list(target)
    names = list(columns) if isinstance(columns, Mapping) else list(columns.columns)
    cells = [(str(name), _cells(columns[name])) for name in names]
    return Advice(**_gradus.advise_table(cells, targets, list(left_out), seed))


def _cells(column: Any) -> Union[list[str], np.ndarray]:
    """Numbers as an array, everything else as words."""
    array = np.asarray(column)
    if array.dtype.kind in "fiu":
        return np.asarray(array, dtype=np.float64)
    if array.dtype.kind in "mM":
        # `tolist` would give nanoseconds.
        return ["" if np.isnat(cell) else str(cell) for cell in array]
    missing = [is_blank(cell) for cell in array.tolist()]
    if array.dtype.kind == "O" and all(
        gone or (isinstance(cell, (int, float)) and not isinstance(cell, bool))
        for cell, gone in zip(array.tolist(), missing)
    ):
        return np.array([np.nan if gone else cell for cell, gone in zip(array, missing)], float)
    return ["" if gone else str(cell) for cell, gone in zip(array.tolist(), missing)]
