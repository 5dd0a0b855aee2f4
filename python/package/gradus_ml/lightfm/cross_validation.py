"""A split of interactions."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

__all__ = ["random_train_test_split"]


def random_train_test_split(
    interactions: Any, test_percentage: float = 0.2, random_state: Any = None
) -> tuple[Any, Any]:
    """Two COO matrices with the shape of `interactions`, whose entries are parted at random.

    Args:
        interactions: a sparse matrix.
        test_percentage: the share of the test, from 0 to 1.
        random_state: a seed or a RandomState.

    Raises:
        ValueError: if `interactions` is not sparse.
    """
    if not sp.issparse(interactions):
        raise ValueError("Interactions must be a scipy.sparse matrix.")
    if not isinstance(random_state, np.random.RandomState):
        random_state = np.random.RandomState(random_state)
    interactions = interactions.tocoo()
    order = np.arange(len(interactions.data))
    random_state.shuffle(order)
    cut = int((1.0 - test_percentage) * len(order))

    def part(places: np.ndarray) -> Any:
        pairs = (interactions.row[places], interactions.col[places])
        return sp.coo_matrix(
            (interactions.data[places], pairs), interactions.shape, dtype=interactions.dtype
        )

    return part(order[:cut]), part(order[cut:])
