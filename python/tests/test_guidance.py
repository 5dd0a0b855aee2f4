"""Advice, search and explanations."""

import json

import numpy as np
import pytest

import gradus_ml as gm
from gradus_ml._targets import classes_of
from gradus_ml.advise import _cells, advise, advise_table
from gradus_ml.explain import (
    evaluate_rows,
    evaluate_tokens,
    influences,
    integrated_gradients,
    label_noise,
    permutation_importance,
    slices,
    token_attributions,
)
from gradus_ml.layers import Dense
from gradus_ml.tune import tune

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(240, 3)).astype(np.float32)


def test_advice_knows_numbers_classes_and_counts():
    numbers = advise(X, X @ [1.0, -2.0, 0.5])
    assert numbers.task["kind"] == "numbers" and numbers.losses[0]["loss"] == "mse"
    assert numbers.rows == 240 and numbers.features == 3 and not numbers.drop
    words = np.where(X[:, 0] > 1.5, "rare", "usual")
    classes = advise(X, words)
    assert classes.task["kind"] == "classes"
    assert dict(map(tuple, classes.task["classes"])) == {
        name: int((words == name).sum()) for name in ("rare", "usual")
    }
    counts = advise(X, RANDOM.poisson(np.exp(X[:, 0])))
    assert counts.task["kind"] == "counts", counts
    assert counts.losses[0]["loss"] in ("poisson_nll", "tweedie")
    assert all(loss["loss"] in {info.name for info in gm.losses()} for loss in counts.losses)
    assert "Advice: counts" in repr(counts)
    # Everything is numbers, words, lists and dicts.
    json.dumps(classes.__dict__)


def test_advice_for_a_table_names_the_column_that_gives_the_answer_away():
    table = {
        "room": X[:, 0],
        "street": [["a", "b", ""][row % 3] for row in range(240)],
        "id": list(range(240)),
        "price": 3.0 * X[:, 0] + X[:, 1],
        "tax": 0.1 * (3.0 * X[:, 0] + X[:, 1]),
    }
    found = advise_table(table, "price")
    assert set(found.drop) >= {"tax"}
    assert "tax" not in advise_table(table, "price", left_out=["tax"]).drop
    pandas = pytest.importorskip("pandas")
    assert advise_table(pandas.DataFrame(table), "price") == found
    with pytest.raises(ValueError, match="prize"):
        advise_table(table, "prize")


def test_cells_of_tables_have_blanks_and_dates():
    dates = np.array(["2024-05-01", "NaT"], dtype="datetime64[ns]")
    assert _cells(dates) == ["2024-05-01T00:00:00.000000000", ""]
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"n": [1.5, None], "w": ["a", None]}).convert_dtypes()
    numbers = _cells(table["n"])
    assert numbers[0] == 1.5 and np.isnan(numbers[1])
    assert _cells(table["w"]) == ["a", ""]
    assert _cells(pandas.Series([pandas.NaT, "b"], dtype=object)) == ["", "b"]
    assert _cells(pandas.Series(dates))[1] == ""


def test_labels_are_those_of_the_search():
    known = ["a", "b", "c"]
    assert classes_of("tune", ["c", "b", "c"], True, known)[0].tolist() == [2, 1, 2]
    with pytest.raises(ValueError, match="class d; the classes are a, b, c"):
        classes_of("tune", ["a", "d"], True, known)
    for blank in (np.array([0.0, np.nan]), np.array(["a", None], dtype=object)):
        with pytest.raises(ValueError, match="in row 1; each row must have a class"):
            classes_of("tune", blank, True)


def test_wrong_targets_of_advice_are_errors():
    with pytest.raises(ValueError, match="y holds words"):
        advise(X, ["a"] * 240, classes=False)
    with pytest.raises(ValueError, match="classes must be"):
        advise(X, np.full((240, 2), "a"))
    with pytest.raises(ValueError, match="one target for each row"):
        advise(X, np.zeros(3))


def test_a_search_is_repeated_by_its_seed_and_its_winner_trains(tmp_path):
    y = np.where(X[:, 0] * X[:, 1] > 0, "same", "other")
    seen = []
    settings = {"budget": 300_000, "bracket": 6, "seed": 3}
    found = tune(X, y, on_rung=seen.append, **settings)
    assert found.metric == "log_loss" and found.classes == ["other", "same"]
    assert found.trials[0]["parameters"]["loss"] == "cross_entropy"
    assert found.cost <= 300_000 and sorted(found.leaderboard) == list(range(len(found.trials)))
    assert len(seen) == found.rungs and {"rung", "best", "leader", "cost"} <= set(seen[0])
    assert found.decision["splits"] >= 2 and found.decision["reason"]
    again = tune(X, y, study=tmp_path / "study.log", **settings)
    assert again == found and (tmp_path / "study.log").stat().st_size > 0
    model, history = found.fit(X, y)
    assert len(history) == found.epochs and model.outputs == 2
    assert history.epochs[-1]["loss"] < np.log(2)


def test_a_search_ends_by_its_callback_and_refuses_what_it_cannot_take():
    stopped = tune(X, X[:, 0], on_rung=lambda rung: True, bracket=3, rungs=9)
    assert stopped.stopped and stopped.rungs == 1 and stopped.decision is None
    with pytest.raises(ValueError, match="budget and rungs are given"):
        tune(X, X[:, 0], budget=5, rungs=1)
    with pytest.raises(ValueError, match="20 or more"):
        tune(X[:5], X[:5, 0])
    with pytest.raises(ValueError, match="metric"):
        tune(X, X[:, 0], metric="f1")
    with pytest.raises(ZeroDivisionError):
        tune(X, X[:, 0], bracket=3, rungs=2, on_rung=lambda rung: 1 / 0)


@pytest.fixture(scope="module")
def model():
    y = (X[:, 0] > 0).astype(int)
    y[:12] = 1 - y[:12]
    network = gm.Sequential([Dense(16, "tanh"), Dense(2)], 3)
    network.compile("cross_entropy", "adam", learning_rate=0.02).fit(X, y, epochs=30)
    return network, y


def test_rows_have_the_loss_of_the_model(model):
    network, y = model
    rows = evaluate_rows(network, X, y)
    assert np.isclose(rows.loss.mean(), network.evaluate(X, y)["loss"], rtol=1e-6)
    of_target = rows.probabilities[np.arange(240), y]
    assert np.allclose(rows.loss, -np.log(of_target))
    assert (rows.predicted == rows.outputs.argmax(1)).all() and (rows.target == y).all()
    assert ((rows.margin > 0) == (rows.predicted == y)).all()
    assert sum(cell["rows"] for cell in rows.cells) == 240
    assert np.isclose(sum(cell["share"] for cell in rows.cells), 1)
    assert np.isclose(rows.calibration["log_loss"], rows.loss.mean())
    assert sum(one["rows"] for one in rows.calibration["bins"]) == 240
    loss, gradients = network.gradients(X[:1], y[:1])
    norm = sum((gradient**2).sum() for gradient in gradients.values())
    assert np.isclose(rows.squared_gradient_norm[0], norm, rtol=1e-4)
    numbers = gm.Sequential([Dense(1)], 3).compile("mse")
    assert evaluate_rows(numbers, X, X[:, :1]).probabilities is None


def test_wrong_labels_stand_first(model):
    network, y = model
    found = label_noise(gm.Sequential([Dense(2)], 3), X, y, learning_rate=0.01)
    assert len(set(found.order[:12].tolist()) & set(range(12))) >= 9
    assert found.joint.sum() == 240 and 0 <= found.share <= 1
    assert (found.suggested[found.disputed] != y[found.disputed]).all()


def test_a_slice_of_great_losses_is_found():
    losses = np.where(X[:, 2] > 0.5, 2.0, 0.1) + 0.01 * RANDOM.random(240)
    found = slices(X, losses, depth=1)
    assert [one["feature"] for one in found[0].conditions] == [2]
    assert found[0].conditions[0]["above"] and found[0].mean_loss > found[0].rest_loss
    # Thresholds are those of bins: the edge lies near, not at, a half.
    assert np.mean(X[found[0].rows, 2] > 0.5) > 0.7 and found[0].p < 1e-3


def test_features_that_matter_have_the_importance(model):
    network, y = model
    found = permutation_importance(network, X, y)
    assert [one.columns for one in found] == [[0], [1], [2]]
    assert found[0].increase > 3 * max(abs(found[1].increase), abs(found[2].increase))
    together = permutation_importance(network, X, y, groups=[[0, 1], [2]], repeats=2, seed=1)
    assert [one.columns for one in together] == [[0, 1], [2]]
    assert together[0].increase > together[1].increase
    with pytest.raises(ValueError, match="column 3"):
        permutation_importance(network, X, y, groups=[[3]])


def test_attributions_sum_to_the_loss(model):
    network, y = model
    found = integrated_gradients(network, X, y)
    sums = found.values.sum(1) - (found.loss - found.baseline_loss)
    assert np.abs(sums).max() < 1e-2 and np.allclose(found.baseline, X.mean(0), atol=1e-6)
    zero = integrated_gradients(network, X, y, baseline=[0, 0, 0], points=32)
    assert zero.baseline.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="baseline has 2"):
        integrated_gradients(network, X, y, baseline=[0, 0])


def test_tokens_have_results_and_parts_of_the_loss():
    network = gm.zoo.gpt(6, 4, layers=1, heads=1, width=8, device="cpu").compile("cross_entropy")
    ids = np.array([[0, 1, 2, 3], [5, 4, 3, 2]])
    following = (ids + 1) % 6
    found = evaluate_tokens(network, ids, following)
    logits = network.predict(ids).reshape(8, 6)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(8), following.ravel()]
    assert np.allclose(found.loss, losses, atol=1e-5) and found.target.tolist() == following.ravel().tolist()
    labels = np.full((2, 4), -100)
    labels[0, 1], labels[1, 3] = following[0, 1], following[1, 3]
    parts = token_attributions(network, ids, labels)
    assert parts.values.shape == (2, 4) and not parts.values[0, 2:].any()
    assert np.allclose(parts.loss, [losses[1], losses[7]], atol=1e-5)
    assert np.allclose(parts.values.sum(1), parts.loss - parts.baseline_loss, atol=1e-3)
    with pytest.raises(ValueError, match="all ignored"):
        token_attributions(network, ids, np.full((2, 4), -100))
    with pytest.raises(ValueError, match=r"\[rows, tokens\]"):
        token_attributions(network, ids[0], labels[0])


def test_influences_are_products_of_gradients(model):
    network, y = model
    found = influences(network, (X[:4], y[:4]), (X[4:6], y[4:6]))
    assert found.shape == (2, 4)

    def flat(row):
        _, gradients = network.gradients(X[row : row + 1], y[row : row + 1])
        return np.concatenate([gradient.ravel() for gradient in gradients.values()])

    wanted = [[flat(other) @ flat(row) for row in range(4)] for other in (4, 5)]
    assert np.allclose(found, wanted, rtol=1e-3, atol=1e-6)
