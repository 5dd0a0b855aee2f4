"""Where the loss of a trained model comes from: the command `gradus explain`.

Everything is about the loss, on the scale on which the model was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from . import _gradus
from .model import Sequential

__all__ = [
    "Attributions",
    "FeatureImportance",
    "LabelNoise",
    "RowResults",
    "Slice",
    "evaluate_rows",
    "evaluate_tokens",
    "influences",
    "integrated_gradients",
    "token_attributions",
    "label_noise",
    "permutation_importance",
    "slices",
]


@dataclass(frozen=True)
class RowResults:
    """Results of single rows.

    Attributes:
        outputs: of the last layer, float64 [rows, outputs].
        loss: of each row; their mean is the loss of `evaluate`.
        squared_gradient_norm: of each row's loss by all parameters (GraNd squared, Paul 2021); None
            for a model with parameters outside of dense layers of rows.
        target, predicted: the class of each row's target and of its largest output; None without
            classes, as what follows.
        margin: the output of the target's class minus the largest other one.
        probabilities: [rows, classes], for losses that define them.
        cells: the pairs of classes by their share of the loss, the greatest first: `target`,
            `predicted`, `rows`, `mean_loss`, `share`.
        calibration: whether probabilities are right: `bins`, `expected_error`, `brier`, `log_loss`,
            `temperature` and so on (Guo 2017).
    """

    outputs: np.ndarray
    loss: np.ndarray
    squared_gradient_norm: Optional[np.ndarray] = None
    target: Optional[np.ndarray] = None
    predicted: Optional[np.ndarray] = None
    margin: Optional[np.ndarray] = None
    probabilities: Optional[np.ndarray] = None
    cells: Optional[list[dict[str, Any]]] = None
    calibration: Optional[dict[str, Any]] = None


@dataclass(frozen=True)
class LabelNoise:
    """How suspicious each label is.

    Attributes:
        order: the rows, the most suspicious first.
        disputed: the rows for which the trainings prefer another class, the most suspicious first.
        suspicion: 1 minus the mean probability of each row's label over the epochs.
        suggested: the class with the largest mean probability of each row.
        ranked_by: which training ranks: "both", "cross_entropy" or "generalized_cross_entropy".
        share: the share of the rows that are disputed.
        joint: rows by label and preferred class, [classes, classes] (Northcutt 2021).
    """

    order: np.ndarray
    disputed: np.ndarray
    suspicion: np.ndarray
    suggested: np.ndarray
    ranked_by: str
    share: float
    joint: np.ndarray


@dataclass(frozen=True)
class Slice:
    """Rows under up to three conditions on features, with a greater loss than the rest.

    Attributes:
        conditions: `feature`, `above` (or not) and `threshold`, all of which hold.
        rows: their numbers.
        mean_loss, rest_loss: the mean loss of them and of the other rows.
        share_of_loss: their part of the whole loss.
        t, p: Welch's statistic on rows that the slice was not searched on, and its p-value.
    """

    conditions: list[dict[str, Any]]
    rows: np.ndarray
    mean_loss: float
    rest_loss: float
    share_of_loss: float
    t: float
    p: float


@dataclass(frozen=True)
class FeatureImportance:
    """The rise of the loss when columns are shuffled.

    Attributes:
        columns: the columns, shuffled together.
        increase: the mean rise of the loss.
        deviation: its standard deviation over the repeats.
    """

    columns: list[int]
    increase: float
    deviation: float


@dataclass(frozen=True)
class Attributions:
    """The part of each feature in the loss of each row (Sundararajan 2017).

    Attributes:
        values: [rows, features]; a row sums to its loss minus that of the baseline.
        baseline: the features that rows are compared with.
        loss, baseline_loss: of each row, with its own features and with those of the baseline.
        residual: what the sum misses.
    """

    values: np.ndarray
    baseline: np.ndarray
    loss: np.ndarray
    baseline_loss: np.ndarray
    residual: np.ndarray


def evaluate_rows(model: Sequential, x: Any, y: Any) -> RowResults:
    """Loss, classes and gradient norm of each row.

    Args:
        model: a compiled model.
        x: features, as of `fit`.
        y: targets, as of `fit`.

    Raises:
        ValueError: for a loss of lists, a model with a target for each token, and as `evaluate`.

    Example:
        >>> import numpy as np, gradus_ml as gm
        >>> from gradus_ml.explain import evaluate_rows
        >>> model = gm.Sequential([gm.layers.Dense(2)], 2, device="reference").compile("cross_entropy")
        >>> found = evaluate_rows(model, np.zeros((1, 2)), np.array([1]))  # outputs 0, 0
        >>> round(float(found.loss[0]), 4), found.probabilities.tolist(), float(found.margin[0])
        (0.6931, [[0.5, 0.5]], 0.0)
    """
    return RowResults(**_gradus.evaluate_rows(model._model, x, y, False))


def evaluate_tokens(model: Sequential, x: Any, y: Any) -> RowResults:
    """Loss and classes of each target of each row, row after row: of a model with a target for each
    token.

    Args:
        model: a compiled model.
        x: ids [rows, tokens].
        y: the target of each token [rows, tokens].

    Raises:
        ValueError: for labels that the loss ignores, and as `evaluate`.

    Example:
        >>> import numpy as np, gradus_ml as gm
        >>> from gradus_ml.explain import evaluate_tokens
        >>> model = gm.zoo.gpt(5, 3, layers=1, heads=1, width=4, device="cpu").compile("cross_entropy")
        >>> ids = np.array([[0, 1, 2], [2, 3, 4]])
        >>> evaluate_tokens(model, ids, (ids + 1) % 5).loss.shape
        (6,)
    """
    return RowResults(**_gradus.evaluate_rows(model._model, x, y, True))


def label_noise(
    model: Sequential,
    x: Any,
    y: Any,
    *,
    epochs: Optional[int] = None,
    batch_size: Optional[int] = None,
    learning_rate: Optional[float] = None,
    q: Optional[float] = None,
) -> LabelNoise:
    """Which labels are wrong: trains the model's layers anew by cross-entropy and by generalized
    cross-entropy; a wrong label stays improbable (Zhang and Sabuncu 2018). The model stays as it is.

    Args:
        model: its layers and the scaling of its features are taken.
        x: features.
        y: labels [rows].
        epochs, batch_size, learning_rate: of the trainings.
        q: of generalized cross-entropy.

    Raises:
        ValueError: for a last layer with softmax or sigmoid, and as `fit`.

    Example:
        >>> import numpy as np, gradus_ml as gm
        >>> from gradus_ml.explain import label_noise
        >>> angle = np.arange(90) % 3 * 2.1 + np.arange(90) * 7 % 11 * 0.04
        >>> x = 4 * np.stack([np.sin(angle), np.cos(angle)], 1).astype(np.float32)
        >>> y = (np.arange(90) + (np.arange(90) < 3)) % 3  # rows 0, 1 and 2 are wrong
        >>> found = label_noise(gm.Sequential([gm.layers.Dense(3)], 2), x, y, learning_rate=0.01)
        >>> sorted(found.order[:3].tolist())
        [0, 1, 2]
    """
    found = _gradus.label_noise(model._model, x, y, epochs, batch_size, learning_rate, q)
    return LabelNoise(**found)


def slices(
    x: Any,
    losses: Any,
    *,
    depth: Optional[int] = None,
    least_share: Optional[float] = None,
    least_gain: Optional[float] = None,
    level: Optional[float] = None,
    seed: Optional[int] = None,
) -> list[Slice]:
    """Slices of the rows whose loss is greater than that of the rest (SliceFinder, Chung 2019).

    Args:
        x: features, [rows, features]; NaN is missing.
        losses: the loss of each row, of `evaluate_rows`.
        depth: conditions at most.
        least_share: the least share of the rows.
        least_gain: the least gain, relative to the mean loss.
        level: the level of the test, over all slices.
        seed: of the halves that are searched and tested.

    Raises:
        ValueError: for shapes and options that do not fit.
    """
    numbers = np.asarray(losses, dtype=np.float64).tolist()
    found = _gradus.slices(x, numbers, depth, least_share, least_gain, level, seed)
    return [Slice(**one) for one in found]


def permutation_importance(
    model: Sequential,
    x: Any,
    y: Any,
    *,
    groups: Sequence[Sequence[int]] = (),
    repeats: int = 5,
    seed: int = 0,
) -> list[FeatureImportance]:
    """The rise of the loss when a feature is shuffled over the rows (Breiman 2001), scikit-learn's
    `permutation_importance` for the loss.

    Args:
        model: a compiled model.
        x: features, [rows, features].
        y: targets.
        groups: columns that are shuffled together; each column alone by default.
        repeats: shuffles of each feature.
        seed: of the shuffles.

    Raises:
        ValueError: for a column that is not there, 0 repeats, and as `evaluate_rows`.
    """
    own = [[int(column) for column in group] for group in groups]
    found = _gradus.permutation_importance(model._model, x, y, own, repeats, seed)
    return [FeatureImportance(**one) for one in found]


def integrated_gradients(
    model: Sequential,
    x: Any,
    y: Any,
    *,
    points: Optional[int] = None,
    tolerance: Optional[float] = None,
    baseline: Any = None,
) -> Attributions:
    """The part of each feature in the loss of each row, on a straight way from a baseline.

    Args:
        model: a compiled model of numbers, without batch norm.
        x: features, as of `fit`.
        y: targets.
        points: of the quadrature.
        tolerance: of the residual, from which parts of a way are halved.
        baseline: features to compare with; the means of the rows by default.

    Raises:
        ValueError: for models and options that do not fit.

    Example:
        >>> import numpy as np, gradus_ml as gm
        >>> from gradus_ml.explain import integrated_gradients
        >>> model = gm.Sequential([gm.layers.Dense(1)], 2, device="reference").compile("mse")
        >>> x, y = np.float32([[1, 2], [3, -2]]), np.float32([[0.5], [0.5]])
        >>> found = integrated_gradients(model, x, y)
        >>> bool(np.allclose(found.values.sum(1), found.loss - found.baseline_loss, atol=1e-6))
        True
    """
    own = None if baseline is None else np.asarray(baseline, np.float32).ravel().tolist()
    found = _gradus.integrated_gradients(model._model, x, y, points, tolerance, own, False)
    return Attributions(**found)


def token_attributions(
    model: Sequential,
    x: Any,
    y: Any,
    *,
    points: Optional[int] = None,
    tolerance: Optional[float] = None,
    baseline: Any = None,
) -> Attributions:
    """The part of each token in the loss of each row: integrated gradients by the tokens' vectors.

    Args:
        model: a compiled model that begins with a token embedding.
        x: ids [rows, tokens].
        y: targets. The loss of a row is the mean over those that are not ignored: with -100 at all
            places but one it is the loss of that one prediction.
        points, tolerance: as of `integrated_gradients`.
        baseline: a vector of the table's width; the mean of the table by default.

    Returns:
        `values` is [rows, tokens].

    Raises:
        ValueError: for other models, and a row whose targets are all ignored.

    Example:
        >>> import numpy as np, gradus_ml as gm
        >>> from gradus_ml.explain import token_attributions
        >>> model = gm.zoo.gpt(5, 3, layers=1, heads=1, width=4, device="cpu").compile("cross_entropy")
        >>> found = token_attributions(model, np.array([[1, 2, 3]]), np.array([[-100, 4, -100]]))
        >>> found.values.shape, float(found.values[0, 2])  # what follows is not seen
        ((1, 3), 0.0)
    """
    own = None if baseline is None else np.asarray(baseline, np.float32).ravel().tolist()
    found = _gradus.integrated_gradients(model._model, x, y, points, tolerance, own, True)
    return Attributions(**found)


def influences(model: Sequential, training: tuple[Any, Any], others: tuple[Any, Any]) -> np.ndarray:
    """Products of the gradients of rows with those of training rows (TracIn, Pruthi 2020): a
    positive one says that a step on the training row lowers the loss of the other.

    Args:
        model: a compiled model of dense layers.
        training: features and targets of training rows.
        others: features and targets of the rows that are explained.

    Returns:
        float64 [other rows, training rows].

    Raises:
        ValueError: for a model with parameters outside of dense layers, and as `evaluate_rows`.

    Example:
        >>> import numpy as np, gradus_ml as gm
        >>> from gradus_ml.explain import influences
        >>> model = gm.Sequential([gm.layers.Dense(1)], 1, device="reference").compile("mse")
        >>> rows = np.zeros((2, 1)), np.float32([[1], [-1]])  # gradients by the bias: -2 and 2
        >>> influences(model, rows, rows).tolist()
        [[4.0, -4.0], [-4.0, 4.0]]
    """
    return _gradus.influences(model._model, training, others)
