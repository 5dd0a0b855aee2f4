"""Objectives for XGBoost and LightGBM: gradient and second derivative of a loss.

An objective is one callable for both libraries, in their own interface (`xgb.train(..., obj=)`,
`lgb.train({"objective": ...})`) and in that of scikit-learn (`XGBRegressor(objective=)`,
`LGBMClassifier(objective=)`):

    >>> import numpy as np
    >>> from gradus_ml.boosting import BoostingObjective
    >>> objective = BoostingObjective("bce_with_logits")
    >>> scores, labels = np.float32([0, 0]), np.float32([1, 0])
    >>> gradient, hessian = objective(labels, scores)
    >>> gradient.tolist(), hessian.tolist()
    ([-0.5, 0.5], [0.25, 0.25])

Losses without second derivatives of their own take a `step` for differences of their gradients:

    >>> focal = BoostingObjective("binary_focal", step=0.01, gamma=1.5)
    >>> bool((focal(labels, scores)[1] > 0).all())
    True

Scores are raw: logits, not probabilities. Losses over classes take scores [rows, classes]
(`num_class` in both libraries), the others one for each row.
"""

from __future__ import annotations

from typing import Any, Optional, Union

import numpy as np
from numpy.typing import ArrayLike

from ._catalogue import _all
from ._gradus import Device, Loss

__all__ = ["BoostingObjective", "names"]


def names() -> list[str]:
    """The losses with second derivatives of their own; the other losses over elements and classes
    need a `step`.

    Example:
        >>> "bce_with_logits" in names(), "mae" in names()
        (True, False)
    """
    return [info.name for info in _all() if info.hessian]


class BoostingObjective:
    """A loss as an objective of gradient boosting.

    Args:
        name: one of `names()`, or with a `step` a loss over elements or classes.
        step: takes central differences of the gradient, this far to either side of the scores, for
            the second derivatives: two more calls of the loss, over classes two for each class.
        hessian_factor: the second derivatives are multiplied by it. For many classes XGBoost's own
            `multi:softprob` has 2, LightGBM's `multiclass` classes/(classes - 1).
        min_hessian: the least second derivative that is returned, for losses that are not convex.
        device: a `Device` or its name; float64 on "reference", else float32.
        **options: the options of the loss.

    Raises:
        ValueError: for a loss without second derivatives and without a step, and options outside
            their domains.
    """

    def __init__(
        self,
        name: str,
        /,
        *,
        step: Optional[float] = None,
        hessian_factor: float = 1.0,
        min_hessian: float = 1e-6,
        device: Union[str, Device] = "cpu",
        **options: Any,
    ) -> None:
        self.loss = Loss(name, device=device, reduction="sum", **options)
        info = next(info for info in _all() if info.name == self.loss.name)
        if not (info.pointwise or info.class_axis):
            raise ValueError(f"{name}: boosting needs a loss over elements or classes")
        if step is None and not info.hessian:
            raise ValueError(
                f"{name}: boosting needs second derivatives; {', '.join(names())} have them, the "
                "others take step=0.01 for differences of the gradient"
            )
        if step is not None and not step > 0:
            raise ValueError(f"{name}: step is {step}; it must be > 0")
        if not hessian_factor > 0:
            raise ValueError(f"{name}: hessian_factor is {hessian_factor}; it must be > 0")
        if not min_hessian >= 0:
            raise ValueError(f"{name}: min_hessian is {min_hessian}; it must be >= 0")
        self.step = step
        self.hessian_factor = hessian_factor
        self.min_hessian = min_hessian
        self._of_classes = info.class_axis
        self._of_labels = "labels" in next(
            given.kind for given in info.inputs if given.name == "targets"
        )

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Optional[ArrayLike] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and second derivative by each score, with the shape of the scores.

        Args:
            y_true: targets; or the scores, if `y_pred` is a `DMatrix` or `Dataset` of the library.
            y_pred: raw scores, or the data.
            sample_weight: a weight for each row.

        Raises:
            ValueError: for scores whose shape does not fit the loss.
        """
        if hasattr(y_pred, "get_label"):
            data, y_pred = y_pred, y_true
            y_true, sample_weight = data.get_label(), data.get_weight()
        scores, targets = np.asarray(y_pred), np.asarray(y_true)
        owner = self.loss.name
        if self._of_classes and scores.ndim != 2:
            raise ValueError(
                f"{owner}: the scores are {list(scores.shape)}; a loss over classes takes "
                "[rows, classes]: set num_class"
            )
        if self._of_labels and targets.ndim < scores.ndim:
            # Both libraries hold labels as floats.
            labels = targets.astype(np.int64)
            if not np.array_equal(labels, targets):
                raise ValueError(f"{owner}: targets are no whole numbers; it takes labels")
            targets = labels
        elif not self._of_labels and targets.size == scores.size:
            targets = targets.reshape(scores.shape)
        weight: Optional[np.ndarray] = None
        if sample_weight is not None and np.size(sample_weight):
            weight = np.asarray(sample_weight, np.float64)
            if not self._of_classes and scores.ndim > 1:
                weight = weight[:, None]
        gradient, hessian = self._derivatives(scores, targets, weight)
        if self.hessian_factor != 1.0:
            hessian = hessian * self.hessian_factor
        return gradient, np.maximum(hessian, self.min_hessian)

    def _derivatives(
        self, scores: np.ndarray, targets: np.ndarray, weight: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.step is None:
            found = self.loss.evaluate(scores, targets, weight=weight, hessian=True)
            (gradient,) = found["gradients"].values()
            return gradient, found["hessian"]
        _, gradient = self.loss(scores, targets, weight=weight)
        scores = scores.astype(gradient.dtype)
        hessian = np.empty_like(gradient)
        # Elements do not depend on each other, so that all are moved at once; classes do.
        columns = range(scores.shape[1]) if self._of_classes else [...]
        for column in columns:
            place = (slice(None), column) if self._of_classes else column
            low, high = scores.copy(), scores.copy()
            low[place] -= self.step
            high[place] += self.step
            _, below = self.loss(low, targets, weight=weight)
            _, above = self.loss(high, targets, weight=weight)
            hessian[place] = (above[place] - below[place]) / (high[place] - low[place])
        return gradient, hessian

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.loss.options.items())
        return f"BoostingObjective({self.loss.name!r}{options})"
