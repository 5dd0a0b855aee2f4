"""Networks as estimators of scikit-learn: classifier, regressor, ranker; and a recommender.

>>> from sklearn.datasets import load_iris
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> from gradus_ml.sklearn import GradusClassifier
>>> X, y = load_iris(return_X_y=True)
>>> model = make_pipeline(StandardScaler(), GradusClassifier(loss="focal", random_state=1))
>>> model.fit(X, y).score(X, y) > 0.95
True
"""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any, Optional, Union

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, column_or_1d, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ._catalogue import _all
from ._gradus import Recommender
from ._named import AnyActivation, AnyOptimizer
from .callbacks import EarlyStopping
from .layers import Dense
from .model import Sequential

__all__ = ["GradusClassifier", "GradusRanker", "GradusRecommender", "GradusRegressor"]

# Rows times parameters up to which `device="auto"` computes in float64: a tenth of a second.
_SMALL = 100_000

# Losses whose outputs are logits of single classes.
_SIGMOID = frozenset(["bce_with_logits", "binary_focal", "multilabel_soft_margin", "soft_margin"])

# Losses whose outputs are logits of all classes together.
_SOFTMAX = frozenset(
    [
        "cross_entropy",
        "focal",
        "generalized_cross_entropy",
        "poly1_cross_entropy",
        "poly_cross_entropy",
    ]
)


def _domains(loss: str) -> dict[str, str]:
    for info in _all():
        if info.name == loss:
            return {given.name: given.domain or "" for given in info.inputs}
    names = ", ".join(info.name for info in _all())
    raise ValueError(f"unknown loss `{loss}`; known: {names}")


class _Network(BaseEstimator):
    """What the estimators have in common."""

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (32,),
        activation: AnyActivation = "relu",
        loss: Optional[str] = None,
        loss_options: Optional[dict[str, Any]] = None,
        optimizer: AnyOptimizer = "adam",
        learning_rate: float = 0.01,
        batch_size: Union[int, str] = "auto",
        epochs: int = 200,
        l2: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.loss_options = loss_options
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.l2 = l2
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _dense(self, X: Any) -> np.ndarray:
        X = X.toarray() if hasattr(X, "toarray") else X
        return np.ascontiguousarray(X, np.float64)

    def _sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        return [int(sizes)] if isinstance(sizes, Integral) else [int(units) for units in sizes]

    def _begin(self, X: np.ndarray, outputs: int, last: Optional[str], loss: str) -> None:
        widths = [X.shape[1], *self._sizes(), outputs]
        parameters = sum((a + 1) * b for a, b in zip(widths, widths[1:]))
        device = self.device
        if device == "auto":
            device = "reference" if len(X) * parameters <= _SMALL else "cpu"
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        hidden = [Dense(units, self.activation) for units in self._sizes()]
        model = Sequential(
            [*hidden, Dense(outputs, last)], X.shape[1], device=device, seed=seed, l2=self.l2
        )
        model.compile(
            (loss, self.loss_options or {}), self.optimizer, learning_rate=self.learning_rate
        )
        self.model_ = model

    def _batch(self, rows: int) -> int:
        return min(200, rows) if self.batch_size == "auto" else min(int(self.batch_size), rows)

    def _repeats(self, weight: np.ndarray) -> bool:
        """True for whole weights of small data: rows are repeated, to the same bits as by hand.

        Weights are rounded to float32 in a training, also on "reference".
        """
        is_exact = self.model_.device.name == "reference"
        return is_exact and bool((weight == np.floor(weight)).all()) and 0 < weight.sum() <= 1000

    def _train(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weight: Optional[np.ndarray],
        epochs: int,
        groups: Optional[list[int]] = None,
        watch: bool = True,
    ) -> None:
        settings: dict[str, Any] = {}
        if self.early_stopping and watch:
            settings["validation_split"] = self.validation_fraction
            settings["callbacks"] = EarlyStopping(self.n_iter_no_change, min_delta=self.tol)
            if groups is None:
                # The split is from the end; the rows may be in order.
                order = np.random.RandomState(0).permutation(len(X))
                X, y = X[order], y[order]
                weight = None if weight is None else weight[order]
        elif weight is not None and self._repeats(weight):
            times = weight.astype(np.int64)
            X, y, weight = np.repeat(X, times, axis=0), np.repeat(y, times, axis=0), None
        history = self.model_.fit(
            X,
            y,
            epochs=epochs,
            batch_size=self._batch(len(X) if groups is None else len(groups)),
            sample_weight=weight,
            groups=groups,
            **settings,
        )
        if history._stop == "not_finite":
            warnings.warn(str(history.stopped), ConvergenceWarning, stacklevel=3)
        self.history_ = history
        self.loss_curve_ = [float(epoch["loss"]) for epoch in history.epochs]
        self.n_iter_ = len(history)

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, accept_sparse="csr")
        return self.model_.predict(self._dense(X), exact=True)


def _weights(X: Any, sample_weight: Any) -> Optional[np.ndarray]:
    if sample_weight is None:
        return None
    return _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)


def _gives_probabilities(estimator: GradusClassifier) -> bool:
    loss = estimator._loss_name()
    has_probabilities = _domains(loss)["predictions"] in ("probability", "distribution")
    return loss in _SIGMOID or loss in _SOFTMAX or has_probabilities


class GradusClassifier(ClassifierMixin, _Network):
    """A dense network that classifies. Labels may be of any kind; rows dense or sparse (which are
    made dense).

    Args:
        hidden_layer_sizes: units of each hidden layer.
        activation: of the hidden layers.
        loss: a loss by name; None for "cross_entropy". One for two classes has a single output.
        loss_options: its options.
        optimizer: a name, a pair of name and options, or `gradus_ml.Optimizer`.
        learning_rate: the step size.
        batch_size: rows of a step; "auto" for 200, or all rows if there are fewer.
        epochs: passes over the rows.
        l2: penalty of the weights.
        early_stopping: holds out `validation_fraction` of the rows, and ends when their loss has not
            improved by `tol` for `n_iter_no_change` epochs; the best weights are kept.
        class_weight: "balanced", a dict from class to weight, or None.
        device: "cpu", "gpu", "reference" (float64); "auto" is float64 for small data, else "cpu".
        random_state: of the initial weights and the order of the rows.

    Attributes:
        classes_, n_features_in_, n_iter_, loss_curve_, history_, model_.
    """

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (32,),
        activation: AnyActivation = "relu",
        loss: Optional[str] = None,
        loss_options: Optional[dict[str, Any]] = None,
        optimizer: AnyOptimizer = "adam",
        learning_rate: float = 0.01,
        batch_size: Union[int, str] = "auto",
        epochs: int = 200,
        l2: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        class_weight: Union[None, str, dict[Any, float]] = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            activation,
            loss,
            loss_options,
            optimizer,
            learning_rate,
            batch_size,
            epochs,
            l2,
            early_stopping,
            validation_fraction,
            n_iter_no_change,
            tol,
            device,
            random_state,
        )
        self.class_weight = class_weight

    def _loss_name(self) -> str:
        return self.loss or "cross_entropy"

    def _is_single(self) -> bool:
        """True for one output for two classes."""
        targets = _domains(self._loss_name())["targets"]
        return len(self.classes_) == 2 and targets not in (
            "class",
            "label",
            "class list",
            "distribution",
        )

    def _targets(self, y: np.ndarray) -> np.ndarray:
        labels = np.searchsorted(self.classes_, y).astype(np.int64)
        if not self._is_single():
            return labels
        signed = _domains(self._loss_name())["targets"] == "sign"
        return ((2 * labels - 1) if signed else labels).astype(np.float64)[:, None]

    def _last(self) -> Optional[str]:
        loss = self._loss_name()
        domain = _domains(loss)["predictions"]
        if domain.startswith("log "):
            raise ValueError(
                f"{loss}: it takes log-probabilities; cross_entropy is the same of logits"
            )
        return {"probability": "sigmoid", "distribution": "softmax"}.get(domain)

    def _class_weights(self, X: Any, y: np.ndarray, sample_weight: Any) -> Optional[np.ndarray]:
        weight = _weights(X, sample_weight)
        if self.class_weight is None:
            return weight
        by_class = compute_sample_weight(self.class_weight, y)
        return by_class if weight is None else weight * by_class

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GradusClassifier:
        """Trains from the beginning.

        Args:
            X: [rows, features], dense or sparse.
            y: [rows], labels of any kind.
            sample_weight: [rows], at least 0; a row of weight 0 is left out.

        Raises:
            ValueError: for data that do not fit, and with one class alone.
        """
        X, y = validate_data(self, X, y, accept_sparse="csr")
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"Classifier can't train when only one class is present: {self.classes_}"
            )
        weight = self._class_weights(X, y, sample_weight)
        X = self._dense(X)
        outputs = 1 if self._is_single() else len(self.classes_)
        self._begin(X, outputs, self._last(), self._loss_name())
        self._train(X, self._targets(y), weight, self.epochs)
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> GradusClassifier:
        """Trains on for one epoch on these rows.

        Args:
            X, y, sample_weight: as in `fit`.
            classes: all labels, at the first call.

        Raises:
            ValueError: without `classes` at the first call, and for labels outside of them.
        """
        first = not hasattr(self, "model_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        X, y = validate_data(self, X, y, accept_sparse="csr", reset=first)
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        if first:
            self.classes_ = np.unique(np.asarray(classes))
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"`classes={classes}` is not the same as on last call to partial_fit, was: {self.classes_}"
            )
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y holds {unknown}, which are not among the classes {self.classes_}")
        weight = self._class_weights(X, y, sample_weight)
        X = self._dense(X)
        if first:
            outputs = 1 if self._is_single() else len(self.classes_)
            self._begin(X, outputs, self._last(), self._loss_name())
        self._train(X, self._targets(y), weight, 1, watch=False)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """The outputs: [rows] for two classes, else [rows, classes]."""
        outputs = self._outputs(X)
        if outputs.shape[1] == 1:
            name = self._loss_name()
            around_zero = name in _SIGMOID or _domains(name)["targets"] == "sign"
            return outputs[:, 0] - (0.0 if around_zero else 0.5)
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict(self, X: Any) -> np.ndarray:
        """The label of each row."""
        found = self.decision_function(X)
        places = (found > 0).astype(int) if found.ndim == 1 else found.argmax(axis=1)
        return self.classes_[places]

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, [rows, classes]; for losses of logits or probabilities."""
        outputs = self._outputs(X)
        if self._loss_name() in _SIGMOID:
            outputs = 0.5 * (1.0 + np.tanh(0.5 * outputs))
        elif self._loss_name() in _SOFTMAX:
            powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            return powers / powers.sum(axis=1, keepdims=True)
        if outputs.shape[1] == 1:
            return np.hstack([1.0 - outputs, outputs])
        return outputs / outputs.sum(axis=1, keepdims=True)


class GradusRegressor(RegressorMixin, _Network):
    """A dense network that predicts numbers, one or several for each row.

    Args:
        loss: a loss by name, None for "mse"; of "poisson_nll" and other losses of logarithms the
            prediction is the exponential.
        others: as of `GradusClassifier`.

    Attributes:
        n_features_in_, n_iter_, loss_curve_, history_, model_.
    """

    def _loss_name(self) -> str:
        return self.loss or "mse"

    def _numbers(self, X: Any, y: Any, reset: bool) -> tuple[Any, np.ndarray]:
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, accept_sparse="csr", reset=reset
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._flat = y.ndim == 1
        return X, np.ascontiguousarray(y.reshape(len(y), -1), np.float64)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GradusRegressor:
        """Trains from the beginning.

        Args:
            X: [rows, features], dense or sparse.
            y: [rows] or [rows, outputs].
            sample_weight: [rows], at least 0; a row of weight 0 is left out.

        Raises:
            ValueError: for data that do not fit.
        """
        X, y = self._numbers(X, y, True)
        weight = _weights(X, sample_weight)
        X = self._dense(X)
        last = {"probability": "sigmoid"}.get(_domains(self._loss_name())["predictions"])
        self._begin(X, y.shape[1], last, self._loss_name())
        self._train(X, y, weight, self.epochs)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> GradusRegressor:
        """Trains on for one epoch on these rows; arguments as of `fit`."""
        first = not hasattr(self, "model_")
        X, y = self._numbers(X, y, first)
        weight = _weights(X, sample_weight)
        X = self._dense(X)
        if first:
            last = {"probability": "sigmoid"}.get(_domains(self._loss_name())["predictions"])
            self._begin(X, y.shape[1], last, self._loss_name())
        self._train(X, y, weight, 1, watch=False)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The prediction of each row: [rows], or [rows, outputs]."""
        found = self._outputs(X)
        if _domains(self._loss_name())["predictions"] == "exponent":
            found = np.exp(found)
        return found[:, 0] if self._flat else found


class GradusRanker(_Network):
    """A dense network that orders the rows of each query by a score.

    Args:
        loss: a loss of lists by name, None for "lambda_rank".
        batch_size: queries of a step.
        others: as of `GradusClassifier`.

    Example:
        >>> import numpy as np
        >>> from gradus_ml.sklearn import GradusRanker
        >>> X = np.array([[0.1], [0.9], [0.4], [0.2], [0.8]])
        >>> ranker = GradusRanker(random_state=0).fit(X, [0, 2, 1, 0, 1], group=[3, 2])
        >>> ranker.score(X, [0, 2, 1, 0, 1], group=[3, 2])
        1.0
    """

    def fit(self, X: Any, y: Any, group: Any = None, qid: Any = None) -> GradusRanker:
        """Trains from the beginning.

        Args:
            X: [rows, features]; the rows of a query stand together.
            y: [rows], relevances from 0.
            group: the number of rows of each query, in order; or
            qid: [rows], the query of each row.

        Raises:
            ValueError: for neither or both, and groups that do not add up to the rows.
        """
        X, y = validate_data(self, X, y, y_numeric=True, accept_sparse="csr")
        groups = _group_sizes(len(y), group, qid)
        X = self._dense(X)
        self._begin(X, 1, None, self.loss or "lambda_rank")
        self._train(X, np.asarray(y, np.float64), None, self.epochs, groups)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The score of each row, [rows]."""
        return self._outputs(X)[:, 0]

    def score(self, X: Any, y: Any, group: Any = None, qid: Any = None, k: int = 10) -> float:
        """Mean NDCG at `k` over the queries; gains are 2^relevance - 1."""
        scores, y = self.predict(X), np.asarray(y, np.float64)
        found, start = [], 0
        for rows in _group_sizes(len(y), group, qid):
            relevance = y[start : start + rows]
            discounts = 1.0 / np.log2(np.arange(min(k, rows)) + 2.0)
            order = np.argsort(-scores[start : start + rows], kind="stable")[:k]
            best = np.sort(relevance)[::-1][:k]
            ideal = float(((2.0**best - 1.0) * discounts).sum())
            gain = float(((2.0 ** relevance[order] - 1.0) * discounts).sum())
            found.append(gain / ideal if ideal > 0 else 1.0)
            start += rows
        return float(np.mean(found))


def _group_sizes(rows: int, group: Any, qid: Any) -> list[int]:
    if (group is None) == (qid is None):
        raise ValueError("give either group or qid: the rows of each query")
    if qid is not None:
        qid = np.asarray(qid)
        starts = np.flatnonzero(np.r_[True, qid[1:] != qid[:-1]])
        if len(np.unique(qid)) != len(starts):
            raise ValueError("qid: the rows of a query are apart; they must stand together")
        return [int(size) for size in np.diff(np.r_[starts, len(qid)])]
    sizes = [int(size) for size in group]
    if sum(sizes) != rows:
        raise ValueError(f"group: {sizes} add up to {sum(sizes)}; X has {rows} rows")
    return sizes


class GradusRecommender(BaseEstimator):
    """Recommends items to users by embeddings of both (LightFM's model).

    Args:
        loss: "warp", "warp_kos", "bpr" or "logistic".
        components: length of an embedding.
        learning_rate, max_sampled, epochs, device, random_state: as usual.

    Example:
        >>> import numpy as np, scipy.sparse as sp
        >>> from gradus_ml.sklearn import GradusRecommender
        >>> users = np.repeat(np.arange(6), 4)
        >>> met = np.kron(np.eye(2), np.ones((3, 4)))  # two groups, each with four items
        >>> met[1, 2] = 0
        >>> model = GradusRecommender(components=4, random_state=0).fit(sp.csr_matrix(met))
        >>> model.recommend(1, 1)[0]
        array([2])
    """

    def __init__(
        self,
        loss: str = "warp",
        components: int = 10,
        learning_rate: float = 0.05,
        max_sampled: int = 10,
        epochs: int = 30,
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.loss = loss
        self.components = components
        self.learning_rate = learning_rate
        self.max_sampled = max_sampled
        self.epochs = epochs
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> GradusRecommender:
        """Trains on X: a sparse or dense matrix [users, items], above 0 where a user likes an item,
        below where not; the size is the weight."""
        import scipy.sparse as sp

        matrix = sp.csr_matrix(X, dtype=np.float32)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        users, items = matrix.shape
        self._model = Recommender(
            users,
            items,
            self.device,
            {
                "loss": self.loss,
                "components": self.components,
                "learning_rate": self.learning_rate,
                "max_sampled": self.max_sampled,
                "seed": int(check_random_state(self.random_state).randint(2**31 - 1)),
            },
        )
        coo = matrix.tocoo()
        self.loss_curve_ = self._model.fit_partial(
            (coo.row.astype(np.uint32), coo.col.astype(np.uint32), coo.data.astype(np.float32)),
            self.epochs,
        )
        self.shape_ = (users, items)
        return self

    def recommend(
        self, user: int, n: int = 10, filter_seen: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best items of a user and their scores, without those of the training."""
        check_is_fitted(self, "shape_")
        found = self._model.recommend(int(user), int(n), filter_seen)
        return np.array([item for item, _ in found]), np.array([score for _, score in found])

    def similar_items(self, item: int, n: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The items most like one, and their cosines."""
        check_is_fitted(self, "shape_")
        found = self._model.similar_items(int(item), int(n))
        return np.array([item for item, _ in found]), np.array([score for _, score in found])

    def predict(self, X: Any) -> np.ndarray:
        """Scores of pairs, X [pairs, 2] of user and item."""
        check_is_fitted(self, "shape_")
        pairs = np.asarray(X).astype(np.uint32)
        return self._model.predict(pairs[:, 0].copy(), pairs[:, 1].copy())

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_model" in state:
            state["_model"] = state["_model"].to_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state.get("_model"), bytes):
            state["_model"] = Recommender.from_bytes(state["_model"], state["device"])
        super().__setstate__(state)
