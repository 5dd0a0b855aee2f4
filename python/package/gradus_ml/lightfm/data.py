"""Matrices from ids and features of any kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional

import numpy as np
import scipy.sparse as sp

__all__ = ["Dataset"]


class _Side:
    """Users or items: the numbers of their ids and features."""

    def __init__(self, kind: str, identity: bool) -> None:
        self.kind = kind
        self.identity = identity
        self.ids: dict[Any, int] = {}
        self.features: dict[Any, int] = {}

    def add(self, ids: Optional[Iterable[Any]], features: Optional[Iterable[Any]]) -> None:
        for found in ids or ():
            self.ids.setdefault(found, len(self.ids))
            if self.identity:
                self.features.setdefault(found, len(self.features))
        for found in features or ():
            self.features.setdefault(found, len(self.features))

    def place(self, found: Any) -> int:
        if found not in self.ids:
            raise ValueError(
                f"{self.kind} id {found} not in {self.kind} id mappings. Make sure you call the fit method."
            )
        return self.ids[found]

    def matrix(self, rows: Iterable[tuple[Any, Any]], normalize: bool) -> Any:
        places, columns, values = [], [], []
        if self.identity:
            places, columns = list(self.ids.values()), [self.features[found] for found in self.ids]
            values = [1.0] * len(places)
        for row in rows:
            if len(row) != 2:
                raise ValueError(f"Expected tuples of ({self.kind}_id, features), got {row}.")
            found, features = row
            place = self.place(found)
            pairs = (
                features.items()
                if isinstance(features, dict)
                else ((name, 1.0) for name in features)
            )
            for name, weight in pairs:
                if name not in self.features:
                    raise ValueError(f"Feature {name} not in feature mapping. Call fit first.")
                places.append(place)
                columns.append(self.features[name])
                values.append(weight)
        shape = (len(self.ids), len(self.features))
        matrix = sp.coo_matrix((values, (places, columns)), shape, dtype=np.float32).tocsr()
        if not normalize:
            return matrix
        sums = np.asarray(np.abs(matrix).sum(axis=1)).ravel()
        if (sums == 0).any():
            raise ValueError(
                f"Cannot normalize feature matrix: some rows have zero norm. "
                f"Ensure that features were provided for all {self.kind}s."
            )
        return sp.diags(1.0 / sums).astype(np.float32) @ matrix


class Dataset:
    """Ids of users and items and their features as rows and columns of sparse matrices.

    Args:
        user_identity_features: whether each user has a feature of its own.
        item_identity_features: whether each item has one.

    Example:
        >>> from gradus_ml.lightfm.data import Dataset
        >>> dataset = Dataset()
        >>> dataset.fit(["ann", "bob"], ["film"])
        >>> interactions, weights = dataset.build_interactions([("bob", "film", 2.0)])
        >>> interactions.toarray().tolist(), weights.toarray().tolist()
        ([[0], [1]], [[0.0], [2.0]])
    """

    def __init__(
        self, user_identity_features: bool = True, item_identity_features: bool = True
    ) -> None:
        self._users = _Side("user", user_identity_features)
        self._items = _Side("item", item_identity_features)

    def fit(
        self,
        users: Iterable[Any],
        items: Iterable[Any],
        user_features: Optional[Iterable[Any]] = None,
        item_features: Optional[Iterable[Any]] = None,
    ) -> None:
        """Numbers all ids and features anew."""
        self._users = _Side("user", self._users.identity)
        self._items = _Side("item", self._items.identity)
        self.fit_partial(users, items, user_features, item_features)

    def fit_partial(
        self,
        users: Optional[Iterable[Any]] = None,
        items: Optional[Iterable[Any]] = None,
        user_features: Optional[Iterable[Any]] = None,
        item_features: Optional[Iterable[Any]] = None,
    ) -> None:
        """Numbers further ids and features."""
        self._users.add(users, user_features)
        self._items.add(items, item_features)

    def interactions_shape(self) -> tuple[int, int]:
        """Users and items."""
        return len(self._users.ids), len(self._items.ids)

    def build_interactions(self, data: Iterable[tuple[Any, ...]]) -> tuple[Any, Any]:
        """Two COO matrices, of ones and of weights, from (user, item) or (user, item, weight)."""
        users, items, weights = [], [], []
        for row in data:
            if len(row) not in (2, 3):
                raise ValueError(
                    f"Expecting tuples of (user_id, item_id, weight) or (user_id, item_id). Got {row}"
                )
            users.append(self._users.place(row[0]))
            items.append(self._items.place(row[1]))
            weights.append(row[2] if len(row) == 3 else 1.0)
        shape = self.interactions_shape()
        ones = sp.coo_matrix((np.ones(len(users), np.int32), (users, items)), shape, dtype=np.int32)
        return ones, sp.coo_matrix((weights, (users, items)), shape, dtype=np.float32)

    def user_features_shape(self) -> tuple[int, int]:
        """Users and their features."""
        return len(self._users.ids), len(self._users.features)

    def item_features_shape(self) -> tuple[int, int]:
        """Items and their features."""
        return len(self._items.ids), len(self._items.features)

    def build_user_features(self, data: Iterable[tuple[Any, Any]], normalize: bool = True) -> Any:
        """A CSR matrix from (user, features), where features are names or a dict of weights."""
        return self._users.matrix(data, normalize)

    def build_item_features(self, data: Iterable[tuple[Any, Any]], normalize: bool = True) -> Any:
        """A CSR matrix from (item, features), where features are names or a dict of weights."""
        return self._items.matrix(data, normalize)

    def model_dimensions(self) -> tuple[int, int]:
        """Numbers of user and item features."""
        return len(self._users.features), len(self._items.features)

    def mapping(self) -> tuple[dict[Any, int], dict[Any, int], dict[Any, int], dict[Any, int]]:
        """Numbers of user ids, user features, item ids and item features."""
        users, items = self._users, self._items
        return users.ids, users.features, items.ids, items.features
