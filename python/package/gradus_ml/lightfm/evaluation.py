"""Measures of a model on held-out interactions, as LightFM has them: one number for each user."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import scipy.sparse as sp

__all__ = ["auc_score", "precision_at_k", "recall_at_k", "reciprocal_rank"]


def _ranks(
    model: Any,
    test: Any,
    train: Optional[Any],
    user_features: Any,
    item_features: Any,
    num_threads: int,
    check_intersections: bool,
) -> Any:
    if num_threads < 1:
        raise ValueError("Number of threads must be 1 or larger.")
    return model.predict_rank(
        test,
        train_interactions=train,
        user_features=user_features,
        item_features=item_features,
        num_threads=num_threads,
        check_intersections=check_intersections,
    )


def _by_user(values: np.ndarray, matrix: Any) -> np.ndarray:
    """The sums of each row's values."""
    return np.add.reduceat(np.r_[values, 0.0], matrix.indptr[:-1]) * (np.diff(matrix.indptr) > 0)


def _kept(values: np.ndarray, test: Any, preserve_rows: bool) -> np.ndarray:
    has_items = np.diff(sp.csr_matrix(test).indptr) > 0
    return values if preserve_rows else values[has_items]


def precision_at_k(
    model: Any,
    test_interactions: Any,
    train_interactions: Any = None,
    k: int = 10,
    user_features: Any = None,
    item_features: Any = None,
    preserve_rows: bool = False,
    num_threads: int = 1,
    check_intersections: bool = True,
) -> np.ndarray:
    """The share of the first `k` items that the user has in the test, [users with test items]."""
    ranks = _ranks(
        model,
        test_interactions,
        train_interactions,
        user_features,
        item_features,
        num_threads,
        check_intersections,
    )
    found = _by_user((ranks.data < k).astype(np.float64), ranks) / k
    return _kept(found, test_interactions, preserve_rows)


def recall_at_k(
    model: Any,
    test_interactions: Any,
    train_interactions: Any = None,
    k: int = 10,
    user_features: Any = None,
    item_features: Any = None,
    preserve_rows: bool = False,
    num_threads: int = 1,
    check_intersections: bool = True,
) -> np.ndarray:
    """The share of the user's test items that are among the first `k`."""
    ranks = _ranks(
        model,
        test_interactions,
        train_interactions,
        user_features,
        item_features,
        num_threads,
        check_intersections,
    )
    retrieved = np.diff(ranks.indptr)
    found = _by_user((ranks.data < k).astype(np.float64), ranks) / np.maximum(retrieved, 1)
    return _kept(found, test_interactions, preserve_rows)


def auc_score(
    model: Any,
    test_interactions: Any,
    train_interactions: Any = None,
    user_features: Any = None,
    item_features: Any = None,
    preserve_rows: bool = False,
    num_threads: int = 1,
    check_intersections: bool = True,
) -> np.ndarray:
    """The chance that a test item scores above one that the user does not have; 0.5 for none."""
    ranks = _ranks(
        model,
        test_interactions,
        train_interactions,
        user_features,
        item_features,
        num_threads,
        check_intersections,
    )
    users, items = ranks.shape
    trained = (
        np.zeros(users)
        if train_interactions is None
        else np.diff(sp.csr_matrix(train_interactions).indptr)
    )
    counts = np.diff(ranks.indptr)
    rows = np.repeat(np.arange(users), counts)
    order = np.lexsort((ranks.data, rows))
    # How many of the user's own test items stand above each of them.
    above = np.arange(len(order)) - np.repeat(ranks.indptr[:-1], counts)
    negatives = items - counts - trained
    beaten = np.maximum(ranks.data[order] - above, 0.0) / np.maximum(negatives[rows], 1)
    found = _by_user(1.0 - beaten, ranks) / np.maximum(counts, 1)
    found[(counts == 0) | (negatives == 0)] = 0.5
    return _kept(found.astype(np.float32), test_interactions, preserve_rows)


def reciprocal_rank(
    model: Any,
    test_interactions: Any,
    train_interactions: Any = None,
    user_features: Any = None,
    item_features: Any = None,
    preserve_rows: bool = False,
    num_threads: int = 1,
    check_intersections: bool = True,
) -> np.ndarray:
    """One over the place of the user's first test item."""
    ranks = _ranks(
        model,
        test_interactions,
        train_interactions,
        user_features,
        item_features,
        num_threads,
        check_intersections,
    )
    inverse = sp.csr_matrix((1.0 / (ranks.data + 1.0), ranks.indices, ranks.indptr), ranks.shape)
    found = np.squeeze(np.asarray(inverse.max(axis=1).todense()), axis=1)
    return _kept(found, test_interactions, preserve_rows)
