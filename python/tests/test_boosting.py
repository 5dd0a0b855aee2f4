"""Objectives of XGBoost and LightGBM."""

import copy
import pickle

import numpy as np
import pytest

import gradus_ml as gm
from gradus_ml.boosting import BoostingObjective, names


def rows(classes, seed=0, count=400):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 5))
    score = x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + 0.3 * random.normal(size=count)
    if classes == 0:
        return x, score
    return x, np.searchsorted(np.quantile(score, np.arange(1, classes) / classes), score)


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {}) for name in names()]
    + [("binary_focal", {"step": 1e-3}), ("focal", {"step": 1e-3}), ("log_cosh", {"step": 1e-3})],
)
def test_the_second_derivative_is_that_of_the_gradient(name, options):
    info = next(info for info in gm.losses() if info.name == name)
    random = np.random.default_rng(1)
    scores = random.normal(size=(6, 3) if info.class_axis else 6)
    kind = next(given for given in info.inputs if given.name == "targets")
    if "labels" in kind.kind:
        targets = random.integers(0, 3, 6).astype(np.float32)
    elif kind.domain == "sign":
        targets = random.choice([-1.0, 1.0], 6)
    else:
        targets = random.choice([0.0, 1.0], scores.shape)
    weight = random.uniform(0.5, 2.0, 6)
    if kind.domain in ("positive", "non negative"):
        targets = targets + 1.0
    if info.inputs[0].domain == "probability":
        scores = random.uniform(0.2, 0.8, scores.shape)
    elif info.inputs[0].domain in ("positive", "non negative"):
        scores = np.exp(scores)
    objective = BoostingObjective(name, device="reference", min_hessian=0.0, **options)
    _, hessian = objective(targets, scores, weight)
    step = 1e-6
    for place in np.ndindex(scores.shape):
        moved = [scores.copy(), scores.copy()]
        moved[0][place] -= step
        moved[1][place] += step
        low, high = (objective(targets, one, weight)[0][place] for one in moved)
        assert max((high - low) / (2 * step), 0.0) == pytest.approx(
            hessian[place], rel=1e-4, abs=1e-5
        )


def test_losses_without_second_derivatives_and_other_shapes_are_refused():
    with pytest.raises(ValueError, match="mae: boosting needs second derivatives"):
        BoostingObjective("mae")
    with pytest.raises(ValueError, match="triplet_margin: boosting needs a loss over elements"):
        BoostingObjective("triplet_margin", step=0.01)
    with pytest.raises(ValueError, match="huber: step is 0"):
        BoostingObjective("huber", step=0)
    with pytest.raises(ValueError, match="hessian_factor is 0"):
        BoostingObjective("mse", hessian_factor=0)
    objective = BoostingObjective("cross_entropy")
    with pytest.raises(ValueError, match="set num_class"):
        objective(np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match="no whole numbers"):
        objective(np.full(3, 0.5), np.zeros((3, 2)))
    again = copy.deepcopy(pickle.loads(pickle.dumps(objective)))
    assert again.loss.name == "cross_entropy" and repr(again).startswith(
        "BoostingObjective('cross_"
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "classes"),
    [
        (BoostingObjective("bce_with_logits"), "binary:logistic", 2),
        (BoostingObjective("cross_entropy", hessian_factor=2), "multi:softprob", 3),
        (BoostingObjective("pseudo_huber", step=0.01), "reg:pseudohubererror", 0),
    ],
    ids=["binary", "classes", "pseudo_huber"],
)
@pytest.mark.parametrize("weighed", [False, True], ids=["plain", "weighted"])
def test_xgboost_learns_what_its_own_objective_does(ours, theirs, classes, weighed):
    xgb = pytest.importorskip("xgboost")
    x, y = rows(classes)
    weight = np.random.default_rng(2).uniform(0.5, 2.0, len(y)) if weighed else None
    data = xgb.DMatrix(x, y, weight=weight)
    params = {"max_depth": 3, "eta": 0.3, "nthread": 1, "base_score": 0.5 if classes == 2 else 0.0}
    if classes > 2:
        params["num_class"] = classes
    expected = xgb.train({**params, "objective": theirs}, data, 10)
    expected = expected.predict(data, output_margin=True)
    # The score that a model starts with is a probability for its own objective.
    params["base_score"] = 0.0
    found = xgb.train(params, data, 10, obj=ours).predict(data, output_margin=True)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3 and np.abs(expected).max() > 0.5


@pytest.mark.parametrize(
    ("ours", "theirs", "classes"),
    [
        (BoostingObjective("bce_with_logits"), "binary", 2),
        (BoostingObjective("cross_entropy", hessian_factor=1.5), "multiclass", 3),
    ],
    ids=["binary", "classes"],
)
@pytest.mark.parametrize("weighed", [False, True], ids=["plain", "weighted"])
def test_lightgbm_learns_what_its_own_objective_does(ours, theirs, classes, weighed):
    lgb = pytest.importorskip("lightgbm")
    x, y = rows(classes)
    weight = np.random.default_rng(2).uniform(0.5, 2.0, len(y)) if weighed else None
    params = {"num_leaves": 7, "num_threads": 1, "verbose": -1, "boost_from_average": False}
    if classes > 2:
        params["num_class"] = classes

    def trained(objective):
        data = lgb.Dataset(x, y, weight=weight)
        model = lgb.train({**params, "objective": objective}, data, 10)
        return model.predict(x, raw_score=True)

    found, expected = trained(ours), trained(theirs)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3 and np.abs(expected).max() > 0.5


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_the_interface_of_scikit_learn(library):
    module = pytest.importorskip(library)
    pytest.importorskip("sklearn")
    name = {"xgboost": "XGB", "lightgbm": "LGBM"}[library]
    quiet = {"n_jobs": 1, **({"verbose": -1} if library == "lightgbm" else {})}
    x, y = rows(0)
    weight = np.random.default_rng(3).uniform(0.5, 2.0, len(y))
    model = getattr(module, f"{name}Regressor")(
        objective=BoostingObjective("log_cosh", step=0.01), **quiet
    )
    model.fit(x, y, sample_weight=weight)
    assert np.mean((model.predict(x) - y) ** 2) < 0.2 * y.var()
    x, y = rows(3)
    model = getattr(module, f"{name}Classifier")(
        objective=BoostingObjective("focal", step=0.01), **quiet
    )
    found = np.asarray(model.fit(x, y).predict(x))
    found = found if found.ndim == 1 else found.argmax(1)
    assert (found == y).mean() > 0.9
