"""LightFM's class, over gradus's recommender: `from gradus_ml.lightfm import LightFM`.

    >>> import numpy as np, scipy.sparse as sp
    >>> from gradus_ml.lightfm import LightFM
    >>> from gradus_ml.lightfm.evaluation import auc_score
    >>> interactions = sp.coo_matrix(np.kron(np.eye(2), np.ones((3, 4))))
    >>> model = LightFM(loss="warp", no_components=4, random_state=0).fit(interactions, epochs=50)
    >>> float(auc_score(model, interactions).mean())
    1.0

Names, arguments and attributes are LightFM 1.17's. What differs: updates are made in batches, on all cores
and with the same bits for any number of threads; L2 is taken from all rows at the end of each epoch and not
of each step.
"""

from .model import LightFM

__all__ = ["LightFM"]
