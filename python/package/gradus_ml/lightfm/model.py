"""The model."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import scipy.sparse as sp

from .._gradus import Recommender

_NAMES = (
    "loss",
    "learning_schedule",
    "no_components",
    "learning_rate",
    "k",
    "n",
    "rho",
    "epsilon",
    "max_sampled",
    "item_alpha",
    "user_alpha",
    "random_state",
)

_PARTS = (
    "embeddings",
    "embedding_gradients",
    "embedding_momentum",
    "biases",
    "bias_gradients",
    "bias_momentum",
)

# The parts in the order of the recommender's tables.
_TABLE = (
    "embeddings",
    "biases",
    "embedding_gradients",
    "bias_gradients",
    "embedding_momentum",
    "bias_momentum",
)


_Coo = tuple[np.ndarray, np.ndarray, np.ndarray]


def _coo(matrix: Any, values: Optional[np.ndarray] = None) -> _Coo:
    matrix = matrix.tocoo()
    values = matrix.data if values is None else values
    return (
        matrix.row.astype(np.uint32),
        matrix.col.astype(np.uint32),
        np.ascontiguousarray(values, np.float32),
    )


class LightFM:
    """A hybrid recommender: users and items are sums of the embeddings of their features.

    Args:
        no_components: length of an embedding.
        k, n: for "warp-kos", the k-th best of n items of the user is learnt from.
        learning_schedule: "adagrad" or "adadelta", the latter on "cpu" and "reference".
        loss: "logistic", "bpr", "warp" or "warp-kos".
        learning_rate: the step size.
        rho, epsilon: of Adadelta.
        item_alpha, user_alpha: L2 penalties.
        max_sampled: draws of a negative item at most.
        random_state: a seed or a RandomState.
        device: "cpu", "gpu" or "reference".
    """

    def __init__(
        self,
        no_components: int = 10,
        k: int = 5,
        n: int = 10,
        learning_schedule: str = "adagrad",
        loss: str = "logistic",
        learning_rate: float = 0.05,
        rho: float = 0.95,
        epsilon: float = 1e-6,
        item_alpha: float = 0.0,
        user_alpha: float = 0.0,
        max_sampled: int = 10,
        random_state: Any = None,
        device: str = "cpu",
    ) -> None:
        # LightFM's own tests expect AssertionError for these.
        assert item_alpha >= 0.0 and user_alpha >= 0.0
        assert no_components > 0 and k > 0 and n > 0
        assert 0 < rho < 1 and epsilon >= 0
        assert learning_schedule in ("adagrad", "adadelta")
        assert loss in ("logistic", "warp", "bpr", "warp-kos")
        if max_sampled < 1:
            raise ValueError("max_sampled must be a positive integer")
        self.loss = loss
        self.learning_schedule = learning_schedule
        self.no_components = no_components
        self.learning_rate = learning_rate
        self.k = int(k)
        self.n = int(n)
        self.rho = rho
        self.epsilon = epsilon
        self.max_sampled = max_sampled
        self.item_alpha = item_alpha
        self.user_alpha = user_alpha
        self.device = device
        if not isinstance(random_state, np.random.RandomState):
            random_state = np.random.RandomState(random_state)
        self.random_state = random_state
        self._reset_state()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments by name."""
        return {name: getattr(self, name) for name in _NAMES}

    def set_params(self, **params: Any) -> LightFM:
        """Sets arguments by name."""
        for name, value in params.items():
            if name not in _NAMES:
                raise ValueError(
                    f"Invalid parameter {name} for estimator LightFM; known: {', '.join(_NAMES)}"
                )
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=None,
            regressor_tags=None,
            classifier_tags=None,
            input_tags=InputTags(sparse=True),
        )

    def _reset_state(self) -> None:
        for side in ("item", "user"):
            for part in _PARTS:
                setattr(self, f"{side}_{part}", None)

    def _initialize(self, items: int, users: int) -> None:
        start = float(self.learning_schedule == "adagrad")
        for side, rows in (("item", items), ("user", users)):
            table = (self.random_state.rand(rows, self.no_components) - 0.5) / self.no_components
            table = table.astype(np.float32)
            values = (
                table,
                np.full_like(table, start),
                np.zeros_like(table),
                np.zeros(rows, np.float32),
                np.full(rows, start, np.float32),
                np.zeros(rows, np.float32),
            )
            for part, value in zip(_PARTS, values):
                setattr(self, f"{side}_{part}", value)

    def _check_initialized(self) -> None:
        if getattr(self, "item_embeddings") is None:
            raise ValueError("You must fit the model before trying to obtain predictions.")

    def _features(self, side: str, count: int, given: Any) -> Any:
        """A CSR matrix [count or more, features]; None for one feature of each user or item."""
        table = getattr(self, f"{side}_embeddings")
        if given is None:
            if table is not None and table.shape[0] < count:
                raise ValueError(
                    f"{side}s: there are {count}, and the model has {table.shape[0]} {side} features"
                )
            return None
        if count > given.shape[0]:
            raise Exception(f"Number of {side} feature rows does not equal the number of {side}s")
        if table is not None and table.shape[0] < given.shape[1]:
            raise ValueError(
                f"The {side} feature matrix specifies more features than there are estimated "
                f"feature embeddings: {given.shape[1]} vs {table.shape[0]}."
            )
        given = sp.csr_matrix(given, dtype=np.float32)
        if not np.isfinite(given.data).all():
            raise ValueError(
                "Not all input values are finite. Check the input for NaNs and infinite values."
            )
        return given

    def fit(
        self,
        interactions: Any,
        user_features: Any = None,
        item_features: Any = None,
        sample_weight: Any = None,
        epochs: int = 1,
        num_threads: int = 1,
        verbose: bool = False,
    ) -> LightFM:
        """Trains from new embeddings; arguments as of `fit_partial`."""
        self._reset_state()
        return self.fit_partial(
            interactions, user_features, item_features, sample_weight, epochs, num_threads, verbose
        )

    def _sample_weights(self, interactions: Any, sample_weight: Any) -> np.ndarray:
        if sample_weight is None:
            return np.ones(len(interactions.data), np.float32)
        if self.loss == "warp-kos":
            raise NotImplementedError("k-OS loss with sample weights not implemented.")
        if not sp.issparse(sample_weight) or sample_weight.format != "coo":
            raise ValueError("Sample_weight must be a COO matrix.")
        if sample_weight.shape != interactions.shape:
            raise ValueError("Sample weight and interactions matrices must be the same shape")
        if not (
            np.array_equal(interactions.row, sample_weight.row)
            and np.array_equal(interactions.col, sample_weight.col)
        ):
            raise ValueError(
                "Sample weight and interaction matrix entries must be in the same order"
            )
        return sample_weight.data.astype(np.float32)

    def fit_partial(
        self,
        interactions: Any,
        user_features: Any = None,
        item_features: Any = None,
        sample_weight: Any = None,
        epochs: int = 1,
        num_threads: int = 1,
        verbose: bool = False,
    ) -> LightFM:
        """Trains on.

        Args:
            interactions: a sparse matrix [users, items]; above 0 a user likes an item, else not.
            user_features: a sparse matrix [users, features], or None for one of each user.
            item_features: as `user_features`.
            sample_weight: a COO matrix with the entries of `interactions` in their order.
            epochs: passes.
            num_threads: is checked, and all cores are used.
            verbose: prints the loss of each epoch.

        Raises:
            ValueError: for shapes that do not fit, and numbers that are not finite.
            NotImplementedError: for sample weights with "warp-kos".
        """
        interactions = interactions.tocoo()
        if interactions.dtype != np.float32:
            interactions.data = interactions.data.astype(np.float32)
        weights = self._sample_weights(interactions, sample_weight)
        users, items = interactions.shape
        user_features = self._features("user", users, user_features)
        item_features = self._features("item", items, item_features)
        if not (np.isfinite(interactions.data).all() and np.isfinite(weights).all()):
            raise ValueError(
                "Not all input values are finite. Check the input for NaNs and infinite values."
            )
        item_rows = items if item_features is None else item_features.shape[1]
        user_rows = users if user_features is None else user_features.shape[1]
        if getattr(self, "item_embeddings") is None:
            self._initialize(item_rows, user_rows)
        for side, rows in (("item", item_rows), ("user", user_rows)):
            if rows != getattr(self, f"{side}_embeddings").shape[0]:
                raise ValueError(f"Incorrect number of features in {side}_features")
        if num_threads < 1:
            raise ValueError("Number of threads must be 1 or larger.")
        # The sign is the label and the size the weight; a pair stands there once.
        signed = np.where(interactions.data > 0, 1, -1).astype(np.float32) * weights
        merged = sp.coo_matrix(
            (signed, (interactions.row, interactions.col)), (users, items)
        ).tocsr()
        merged.eliminate_zeros()
        for _ in range(epochs):
            # LightFM shuffles by it, once an epoch.
            self.random_state.shuffle(np.arange(len(interactions.data), dtype=np.int32))
        no_draws = self.loss == "warp" and self.max_sampled < 1
        if epochs == 0 or merged.nnz == 0 or no_draws:
            return self
        engine = self._engine(users, items, user_features, item_features)
        self._train(engine, merged, epochs, verbose)
        for side, table in zip(("user", "item"), engine.tables()):
            for part, values in zip(_TABLE, table):
                if len(values):
                    setattr(self, f"{side}_{part}", values.astype(np.float32))
        return self

    def _train(self, engine: Recommender, merged: Any, epochs: int, verbose: bool) -> None:
        pairs = _coo(merged)

        def show(epoch: int, loss: float) -> bool:
            print(f"Epoch {epoch}: loss {loss:.4f}")
            return False

        alphas = (self.user_alpha, self.item_alpha)
        if not any(alphas):
            engine.fit_partial(pairs, epochs, show if verbose else None)
            return
        for _ in range(epochs):
            engine.fit_partial(pairs, 1, show if verbose else None)
            # A step takes rate · alpha of every row, with the mean rate of its optimizer.
            shrunk: list[Any] = []
            for alpha, (embeddings, biases, squares, *rest) in zip(alphas, engine.tables()):
                if self.learning_schedule == "adagrad":
                    rate = self.learning_rate * float(np.mean(squares**-0.5))
                else:
                    rate = float(
                        np.mean(np.sqrt((rest[1] + self.epsilon) / (squares + self.epsilon)))
                    )
                factor = np.exp(-alpha * rate * merged.nnz)
                shrunk.append((embeddings * factor, biases * factor, squares, *rest))
            engine.set_tables(*shrunk)

    def _engine(
        self, users: int, items: int, user_features: Any, item_features: Any
    ) -> Recommender:
        def side(features: Any, count: int) -> Any:
            if features is None:
                return None
            return features.shape[1], _coo(features[:count])

        engine = Recommender(
            users,
            items,
            self.device,
            {
                "loss": self.loss.replace("-", "_"),
                "components": self.no_components,
                "optimizer": self._optimizer(),
                "learning_rate": self.learning_rate,
                "max_sampled": int(self.max_sampled),
                "k": min(self.k, self.n),
                "n": self.n,
                "user_bias_gradient": True,
                "seed": int(self.random_state.randint(2**31 - 1)),
            },
            side(user_features, users),
            side(item_features, items),
        )
        engine.set_tables(self._table("user"), self._table("item"))
        return engine

    def _optimizer(self) -> Any:
        adadelta = self.learning_schedule == "adadelta"
        return (float(self.rho), float(self.epsilon)) if adadelta else "adagrad"

    def _table(self, side: str) -> Any:
        found = [
            np.ascontiguousarray(getattr(self, f"{side}_{part}"), np.float64) for part in _TABLE
        ]
        if self.learning_schedule != "adadelta":
            found[4:] = found[4][:0], found[5][:0]
        return tuple(found)

    def _entities(self, side: str, count: int, features: Any) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings and biases of the first users or items."""
        embeddings, biases = getattr(self, f"{side}_embeddings"), getattr(self, f"{side}_biases")
        features = self._features(side, count, features)
        if features is None:
            return embeddings[:count], biases[:count]
        features = sp.csr_matrix(
            (features.data, features.indices, features.indptr), (features.shape[0], len(biases))
        )[:count]
        return features @ embeddings, features @ biases

    def predict(
        self,
        user_ids: Any,
        item_ids: Any,
        item_features: Any = None,
        user_features: Any = None,
        num_threads: int = 1,
    ) -> np.ndarray:
        """Scores of pairs, float32 [pairs]; one user for all items if `user_ids` is a number.

        Raises:
            ValueError: before `fit`, for lists of different lengths and negative ids.
        """
        self._check_initialized()
        item_ids = np.asarray(item_ids)
        if isinstance(user_ids, (int, np.integer)):
            user_ids = np.repeat(np.int32(user_ids), len(item_ids))
        user_ids = np.atleast_1d(np.asarray(user_ids))
        if len(user_ids) != len(item_ids):
            raise ValueError(
                f"Expected the number of user IDs ({len(user_ids)}) to equal the number of item IDs "
                f"({len(item_ids)})"
            )
        if user_ids.dtype.kind not in "iuf" or item_ids.dtype.kind not in "iuf":
            raise ValueError("user_ids and item_ids must hold whole numbers")
        if num_threads < 1:
            raise ValueError("Number of threads must be 1 or larger.")
        if user_ids.min() < 0 or item_ids.min() < 0:
            raise ValueError(
                "User or item ids cannot be negative. Check your inputs for negative numbers or very large numbers that can overflow."
            )
        user_ids, item_ids = user_ids.astype(np.int64), item_ids.astype(np.int64)
        users, user_biases = self._entities("user", int(user_ids.max()) + 1, user_features)
        items, item_biases = self._entities("item", int(item_ids.max()) + 1, item_features)
        scores = np.einsum("ij,ij->i", users[user_ids], items[item_ids])
        return (scores + user_biases[user_ids] + item_biases[item_ids]).astype(np.float32)

    def predict_rank(
        self,
        test_interactions: Any,
        train_interactions: Any = None,
        item_features: Any = None,
        user_features: Any = None,
        num_threads: int = 1,
        check_intersections: bool = True,
    ) -> Any:
        """The rank of each test item among all items of its user, from 0, as a CSR matrix.

        Items of `train_interactions` are left out.

        Raises:
            ValueError: before `fit`, for pairs in both matrices, for features of other numbers.
        """
        self._check_initialized()
        if num_threads < 1:
            raise ValueError("Number of threads must be 1 or larger.")
        if check_intersections and train_interactions is not None:
            shared = (
                sp.csr_matrix(test_interactions).multiply(sp.csr_matrix(train_interactions)).nnz
            )
            if shared:
                raise ValueError(
                    f"Test interactions matrix and train interactions matrix share {shared} "
                    "interactions. This will cause incorrect evaluation, check your data split."
                )
        users, items = test_interactions.shape
        for side, count, features in (
            ("user", users, user_features),
            ("item", items, item_features),
        ):
            width = count if features is None else features.shape[1]
            if width != getattr(self, f"{side}_embeddings").shape[0]:
                raise ValueError(f"Incorrect number of features in {side}_features")
        user_table, user_biases = self._entities("user", users, user_features)
        item_table, item_biases = self._entities("item", items, item_features)
        test = sp.csr_matrix(test_interactions, dtype=np.float32).sorted_indices()
        ranks = sp.csr_matrix((np.zeros_like(test.data), test.indices, test.indptr), test.shape)
        if not test.nnz:
            return ranks
        train = None
        if train_interactions is not None and train_interactions.nnz:
            train = sp.csr_matrix(train_interactions).sorted_indices()
            train = _coo(train, np.ones(train.nnz, np.float32))
        engine = Recommender(users, items, self.device, {"components": self.no_components})

        def table(embeddings: np.ndarray, biases: np.ndarray) -> Any:
            wide = np.ascontiguousarray(embeddings, np.float64), biases.astype(np.float64)
            return (*wide, np.ones_like(wide[0]), np.ones_like(wide[1]), wide[0][:0], wide[1][:0])

        engine.set_tables(table(user_table, user_biases), table(item_table, item_biases))
        pairs = _coo(test, np.ones(test.nnz, np.float32))
        ranks.data[:] = engine.predict_rank(pairs, train)
        return ranks

    def get_item_representations(self, features: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Biases and embeddings of items, or of the items of a matrix of features."""
        return self._representations("item", features)

    def get_user_representations(self, features: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Biases and embeddings of users, or of the users of a matrix of features."""
        return self._representations("user", features)

    def _representations(self, side: str, features: Any) -> tuple[np.ndarray, np.ndarray]:
        self._check_initialized()
        embeddings, biases = getattr(self, f"{side}_embeddings"), getattr(self, f"{side}_biases")
        if features is None:
            return biases, embeddings
        features = sp.csr_matrix(features, dtype=np.float32)
        return features @ biases, features @ embeddings
