"""The drop-in for LightFM."""

import pickle

import numpy as np
import pytest

sp = pytest.importorskip("scipy.sparse")

from gradus_ml.lightfm import LightFM  # noqa: E402
from gradus_ml.lightfm.cross_validation import random_train_test_split  # noqa: E402
from gradus_ml.lightfm.data import Dataset  # noqa: E402
from gradus_ml.lightfm.evaluation import (  # noqa: E402
    auc_score,
    precision_at_k,
    recall_at_k,
    reciprocal_rank,
)


def blocks(seed=0):
    """Two groups of users who like one group of items each; some pairs are held out."""
    random = np.random.default_rng(seed)
    all_pairs = np.kron(np.eye(2), np.ones((20, 15)))
    held_out = (random.uniform(size=all_pairs.shape) < 0.3) * all_pairs
    return sp.coo_matrix(all_pairs - held_out), sp.coo_matrix(held_out)


@pytest.mark.parametrize("loss", ["warp", "bpr", "logistic", "warp-kos"])
@pytest.mark.parametrize("schedule", ["adagrad", "adadelta"])
def test_losses_and_schedules_learn(loss, schedule):
    train, test = blocks()
    model = LightFM(loss=loss, learning_schedule=schedule, random_state=0, k=2, n=5)
    model.fit(train, epochs=60)
    if loss != "logistic":  # which has no item that is disliked here
        assert auc_score(model, test, train).mean() > 0.9
    assert (model.item_embedding_momentum > 0).any() == (schedule == "adadelta")


def test_measures_are_those_of_the_definitions():
    train, test = blocks()
    model = LightFM(loss="warp", random_state=0).fit(train, epochs=2)
    users, items = test.shape
    scores = np.stack([model.predict(user, np.arange(items)) for user in range(users)])
    scores[train.toarray() > 0] = -np.inf
    wanted = test.toarray() > 0
    precision, recall, auc, first = [], [], [], []
    for own, row in zip(wanted, scores):
        if not own.any():
            continue  # as LightFM leaves such users out
        order = np.argsort(-row, kind="stable")
        places = np.flatnonzero(own[order])
        precision.append((places < 3).sum() / 3)
        recall.append((places < 3).mean())
        first.append(1 / (places[0] + 1))
        others = row[~own & np.isfinite(row)]
        auc.append(np.mean([(x > others).mean() for x in row[own]]))
    assert precision_at_k(model, test, train, k=3) == pytest.approx(precision)
    assert recall_at_k(model, test, train, k=3) == pytest.approx(recall)
    assert reciprocal_rank(model, test, train) == pytest.approx(first)
    assert auc_score(model, test, train) == pytest.approx(auc, abs=1e-6)


def test_features_of_items_and_new_items():
    train, _ = blocks()
    dataset = Dataset()
    dataset.fit(range(40), range(30), item_features=["first", "second"])
    features = dataset.build_item_features(
        (i, ["first" if i < 15 else "second"]) for i in range(30)
    )
    assert features.shape == (30, 32) and features.sum(axis=1) == pytest.approx(1)
    model = LightFM(loss="warp", random_state=0).fit(train, item_features=features, epochs=30)
    biases, embeddings = model.get_item_representations(features)
    assert embeddings.shape == (30, 10) and biases.shape == (30,)
    new = sp.csr_matrix(np.eye(32)[[30, 31]])  # two items known by their feature alone
    found = model.predict(np.array([0, 0]), np.array([0, 1]), item_features=new)
    assert found[0] > found[1]


def test_a_model_goes_on_pickles_and_repeats():
    train, test = blocks()
    model = LightFM(loss="warp", random_state=3).fit(train, epochs=3)
    again = pickle.loads(pickle.dumps(model))
    same = LightFM(loss="warp", random_state=3).fit(train, epochs=3, num_threads=4)
    for other in (again, same):
        assert np.array_equal(other.item_embeddings, model.item_embeddings)
        other.fit_partial(train, epochs=2)
    assert np.array_equal(again.item_embeddings, same.item_embeddings)
    assert model.predict_rank(test).nnz == test.nnz


def test_what_is_refused():
    train, test = blocks()
    with pytest.raises(ValueError, match="fit the model"):
        LightFM().predict(0, np.arange(3))
    model = LightFM(random_state=0).fit(train)
    with pytest.raises(ValueError, match="share"):
        precision_at_k(model, train, train)
    with pytest.raises(ValueError, match="negative"):
        model.predict(np.array([-1]), np.array([0]))
    with pytest.raises(ValueError, match="COO"):
        model.fit(train, sample_weight=train.toarray())
    with pytest.raises(NotImplementedError):
        LightFM(loss="warp-kos").fit(train, sample_weight=train)


def test_a_split_parts_the_entries():
    train, test = random_train_test_split(sp.random(30, 20, 0.5, random_state=0), 0.25, 1)
    assert (train.nnz, test.nnz) == (225, 75) and train.multiply(test).nnz == 0
