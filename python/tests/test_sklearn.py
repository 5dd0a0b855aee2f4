"""The estimators of scikit-learn."""

import pickle

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_diabetes, load_iris, make_classification  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from gradus_ml.sklearn import (  # noqa: E402
    GradusClassifier,
    GradusRanker,
    GradusRecommender,
    GradusRegressor,
)


@parametrize_with_checks([GradusClassifier(), GradusRegressor()])
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("loss", [None, "focal", "multiclass_hinge", "poly1_cross_entropy", "nll"])
def test_losses_by_name(loss):
    X, y = load_iris(return_X_y=True)
    if loss == "nll":
        with pytest.raises(ValueError, match="nll"):
            GradusClassifier(loss="nll").fit(X, y)
        return
    model = make_pipeline(StandardScaler(), GradusClassifier(loss=loss, random_state=0))
    assert model.fit(X, y).score(X, y) > 0.94
    assert hasattr(model, "predict_proba") == (loss != "multiclass_hinge")


@pytest.mark.parametrize(
    "loss", ["bce_with_logits", "bce", "hinge", "squared_hinge", "soft_margin", "mse"]
)
def test_losses_of_two_classes_have_one_output(loss):
    X, y = make_classification(200, random_state=0)
    labels = np.array(["no", "yes"])[y]
    model = GradusClassifier(loss=loss, random_state=0).fit(X, labels)
    assert model.model_.outputs == 1 and model.score(X, labels) > 0.9
    if hasattr(model, "predict_proba"):
        assert np.array_equal(model.predict_proba(X).argmax(1), (model.predict(X) == "yes"))


def test_string_labels_weights_and_early_stopping():
    X, y = make_classification(300, weights=[0.9], flip_y=0.05, random_state=0)
    labels = np.array(["common", "rare"])[y]
    plain = GradusClassifier(epochs=20, hidden_layer_sizes=(), random_state=0).fit(X, labels)
    weighed = clone(plain).set_params(class_weight={"common": 1, "rare": 50}).fit(X, labels)
    assert (weighed.predict(X) == "rare").sum() > (plain.predict(X) == "rare").sum()
    again = clone(plain).fit(X, labels, sample_weight=np.where(y == 1, 50.0, 1.0))
    assert np.array_equal(again.predict(X), weighed.predict(X))
    early = GradusClassifier(early_stopping=True, n_iter_no_change=2, epochs=500, random_state=0)
    assert early.fit(X, labels).n_iter_ < 500


def test_partial_fit_goes_on():
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = GradusClassifier(random_state=0)
    for _ in range(60):
        model.partial_fit(X, y, classes=[0, 1, 2])
    assert model.score(X, y) > 0.94
    with pytest.raises(ValueError, match="classes must be passed"):
        GradusClassifier().partial_fit(X, y)


def test_pipelines_grids_and_pickles():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), GradusClassifier(epochs=60, random_state=0))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.9
    grid = GridSearchCV(
        pipeline, {"gradusclassifier__hidden_layer_sizes": [(4,), (16,)]}, cv=2, n_jobs=2
    )
    grid.fit(X, y)
    again = pickle.loads(pickle.dumps(grid.best_estimator_))
    assert np.array_equal(again.predict_proba(X), grid.best_estimator_.predict_proba(X))


def test_regressor():
    X, y = load_diabetes(return_X_y=True)
    y = (y - y.mean()) / y.std()
    for loss in ("mse", "huber", "mae"):
        model = GradusRegressor(loss=loss, hidden_layer_sizes=(), random_state=0, epochs=300)
        assert (
            model.fit(StandardScaler().fit_transform(X), y).score(
                StandardScaler().fit_transform(X), y
            )
            > 0.45
        )
    counts = np.random.default_rng(0).poisson(np.exp(X[:, 2] * 20 + 1)).astype(float)
    model = GradusRegressor(loss="poisson_nll", hidden_layer_sizes=(), epochs=300, random_state=0)
    assert model.fit(X * 20, counts).predict(X * 20).mean() == pytest.approx(counts.mean(), rel=0.1)


def test_ranker():
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 3))
    y = np.clip(np.round(X[:, 0] + 1), 0, 3)
    ranker = GradusRanker(random_state=0, epochs=50).fit(X, y, qid=np.repeat(np.arange(12), 5))
    assert ranker.score(X, y, group=[5] * 12) > 0.95
    with pytest.raises(ValueError, match="either group or qid"):
        ranker.fit(X, y)


def test_recommender():
    sp = pytest.importorskip("scipy.sparse")
    met = np.kron(np.eye(2), np.ones((3, 4)))
    met[1, 2] = 0
    model = GradusRecommender(components=4, random_state=0).fit(sp.csr_matrix(met))
    assert model.recommend(1, 1)[0].tolist() == [2]
    again = pickle.loads(pickle.dumps(model))
    assert again.predict([[0, 1]]) == model.predict([[0, 1]])
    assert len(model.similar_items(0, 3)[0]) == 3
