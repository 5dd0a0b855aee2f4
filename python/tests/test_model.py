"""Networks."""

import os
import copy
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import gradus_ml as gm
from gradus_ml import layers


def spirals(rows=240, seed=0):
    random = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    angle = random.uniform(0.3, 3.0, rows)
    x = np.stack([angle * np.cos(2 * angle + np.pi * y), angle * np.sin(2 * angle + np.pi * y)], 1)
    return x.astype(np.float32), y.astype(np.int64)


def classifier(**options):
    network = [layers.Dense(32, "relu"), layers.Dense(32, "relu"), layers.Dense(2)]
    return gm.Sequential(network, 2, **options).compile("cross_entropy", "adam", learning_rate=0.01)


def test_a_network_learns():
    x, y = spirals()
    model = classifier()
    history = model.fit(x, y, epochs=80, batch_size=32, validation_split=0.2)
    assert model.evaluate(x, y)["accuracy"] > 0.95
    assert len(history) == 80 and len(history["val_loss"]) == 80 and len(history.steps) == 480
    assert history.stopped is None and "<svg" in history._repr_html_()
    assert model.predict(x).shape == (240, 2) and model.steps == 480


def test_callbacks_see_epochs_and_end_the_training():
    x, y = spirals()
    seen = []

    class Watch(gm.Callback):
        def on_train_begin(self, model):
            seen.append("begin")

        def on_step(self, epoch, batch, batches, loss):
            seen.append((epoch, batch, batches))

        def on_epoch(self, epoch, logs):
            seen.append(sorted(logs))

        def on_train_end(self, model):
            seen.append("end")

    model = classifier()
    history = model.fit(
        x, y, epochs=9, batch_size=120, callbacks=[Watch(), lambda epoch, logs: epoch == 2]
    )
    assert len(history) == 2 and history.stopped == "stopped after epoch 2"
    names = ["accuracy", "loss", "seconds"]
    steps = [(1, 1, 2), (1, 2, 2)], [(2, 1, 2), (2, 2, 2)]
    assert seen == ["begin", *steps[0], names, *steps[1], names, "end"]


def test_an_exception_of_a_callback_is_raised():
    x, y = spirals()

    def fails(epoch, logs):
        raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        classifier().fit(x, y, epochs=3, callbacks=fails)


def test_a_callback_that_uses_its_model_is_an_error():
    x, y = spirals()
    model = classifier()
    with pytest.raises(RuntimeError, match="the model is in use"):
        model.fit(x, y, epochs=3, callbacks=lambda epoch, logs: model.predict(x).sum() > 0)


def test_control_c_is_heard_within_half_a_second():
    press_control_c()


def test_control_c_is_heard_with_a_number_of_threads():
    # In a process of its own: the number of threads stays.
    text = """
import gradus_ml as gm, test_model
gm.set_num_threads(2)
test_model.press_control_c()
"""
    folder = str(Path(__file__).parent)
    run = [sys.executable, "-c", text]
    found = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr[-800:]


def press_control_c():
    x = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
    y = np.zeros(len(x), np.int64)
    model = gm.Sequential([layers.Dense(256, "relu"), layers.Dense(2)], 64).compile("cross_entropy")
    pressed = []

    def press():
        time.sleep(0.5)
        pressed.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=10_000)
    assert time.perf_counter() - pressed[0] < 0.5
    assert model.steps > 0 and np.isfinite(model.predict(x[:2])).all()


def test_early_stopping_restores_the_best():
    x, y = spirals()
    stopping = gm.EarlyStopping(3, min_delta=0.5)
    history = classifier().fit(x, y, epochs=50, validation_split=0.3, callbacks=stopping)
    assert len(history) < 50 and history.best_epoch is not None and "early" in history.stopped


def test_weights_of_rows_and_classes():
    x, y = spirals()
    weight = (y == 1).astype(float)
    model = classifier()
    model.fit(x, y, epochs=20, sample_weight=weight)
    assert (model.predict(x).argmax(1) == 1).all()
    model = classifier()
    model.fit(x, y, epochs=20, class_weight={0: 1e-6, 1: 1.0})
    assert (model.predict(x).argmax(1) == 1).mean() > 0.95
    first, second = classifier(), classifier()
    first.fit(x, y, epochs=2, class_weight="balanced")
    second.fit(x, y, epochs=2)
    assert np.array_equal(first.predict(x), second.predict(x))  # as many rows of both


def test_files_bytes_and_pickles_have_the_same_bits(tmp_path):
    x, y = spirals()
    model = classifier(seed=3)
    model.fit(x, y, epochs=3)
    model.save(tmp_path / "model.safetensors")
    copies = [
        gm.load(tmp_path / "model.safetensors"),
        gm.Sequential.from_bytes(model.to_bytes()),
        pickle.loads(pickle.dumps(model)),
        copy.copy(model),
        copy.deepcopy({"model": model})["model"],
    ]
    model.fit(x, y, epochs=2)
    for one in copies:
        one.fit(x, y, epochs=2)
        assert np.array_equal(one.predict(x), model.predict(x))
    with pytest.raises(ValueError, match="the bytes: at the header"):
        gm.Sequential.from_bytes(b"no model")


def test_a_checkpoint_resumes_to_the_same_bits(tmp_path):
    x, y = spirals()
    whole, path = classifier(), tmp_path / "checkpoint.safetensors"
    whole.fit(x, y, epochs=6)
    part = classifier()
    part.fit(x, y, epochs=6, checkpoint=path, callbacks=lambda epoch, logs: epoch == 2)
    again = gm.load(path)
    history = again.fit(x, y, resume=True)
    assert len(history) == 6 and np.array_equal(again.predict(x), whole.predict(x))


def test_parameters_are_read_and_set():
    model = gm.Sequential([layers.Dense(1, name="last")], 2)
    assert list(model.named_parameters()) == ["last.weight", "last.bias"]
    model.set_named_parameters({"last.weight": [[1.0], [2.0]], "last.bias": [0.5]})
    assert model.predict(np.float32([[1, 1]])).tolist() == [[3.5]]
    with pytest.raises(ValueError, match="unknown parameter `first.weight`; known: last.weight"):
        model.set_named_parameters({"first.weight": [1.0]})
    with pytest.raises(ValueError, match="last.bias"):
        model.set_named_parameters({"last.bias": [1.0, 2.0]})


def test_gradients_of_a_batch():
    model = gm.Sequential([layers.Dense(1, bias=False)], 1, device="reference").compile("mse")
    model.set_named_parameters({"layers.0.weight": [[3.0]]})
    loss, gradients = model.gradients([[1.0]], [[1.0]])
    assert loss == 4.0 and gradients["layers.0.weight"].tolist() == [[4.0]]


def test_a_failed_compile_leaves_the_model():
    model = classifier()
    with pytest.raises(ValueError, match="unknown loss"):
        model.compile("nope")
    with pytest.raises(ValueError, match="unknown optimizer"):
        model.compile("mse", "nope")
    assert model.loss == "cross_entropy"


def test_images_convolutions_and_pytorch_weights(tmp_path):
    random = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = random.uniform(0, 60, (60, 8, 8, 1)).astype(np.uint8)
    x[y == 1, :, :4] += 180
    model = gm.Sequential(
        [
            layers.Conv2d(4, 3, padding="same", name="conv"),
            layers.BatchNorm(activation="relu", name="norm"),
            layers.MaxPool2d(2),
            layers.Residual([layers.Conv2d(4, 3, "relu", padding=1)]),
            layers.Flatten(),
            layers.Dropout(0.1),
            layers.Dense(2, name="last"),
        ],
        (8, 8, 1),
    ).compile("cross_entropy", learning_rate=0.01)
    model.fit(x, y, epochs=10, batch_size=20, augment=(1, True, 0))
    assert model.evaluate(x, y)["accuracy"] == 1.0
    model.save_weights(tmp_path / "weights.safetensors")
    assert (tmp_path / "weights.safetensors").stat().st_size > 1000
    before = model.predict(x)
    model.fit(x, y, epochs=1)
    model.load_weights(tmp_path / "weights.safetensors")
    assert np.array_equal(model.predict(x), before)


def test_all_layers_are_there():
    kinds = {
        layers.Dense(1).kind: None,
        **{
            layer.kind: None
            for layer in (layers.Flatten(), layers.Conv2d(1, 1), layers.MaxPool2d(1))
        },
        **{layer.kind: None for layer in (layers.AvgPool2d(1), layers.AdaptiveAvgPool2d(1))},
        **{layer.kind: None for layer in (layers.GlobalAvgPool2d(), layers.Dropout(0.5))},
        layers.GumbelNoise().kind: None,
        **{
            layer.kind: None for layer in (layers.BatchNorm(), layers.LayerNorm(), layers.RmsNorm())
        },
        **{layer.kind: None for layer in (layers.GroupNorm(1), layers.SelfAttention(1))},
        **{layer.kind: None for layer in (layers.TokenEmbedding(2, 2), layers.PositionEmbedding())},
        **{layer.kind: None for layer in (layers.TokenTypeEmbedding(1), layers.TiedDense("a"))},
        **{layer.kind: None for layer in (layers.MaskedMean(0), layers.Activation("relu"))},
        **{
            layer.kind: None
            for layer in (layers.Block([]), layers.Residual([]), layers.Parallel([]))
        },
    }
    from gradus_ml import _gradus

    assert sorted(kinds) == sorted(_gradus.layers())


def test_sequences():
    ids = (np.arange(5)[:, None] + np.arange(4)) % 5
    model = gm.Sequential(
        [
            layers.TokenEmbedding(5, 8),
            layers.PositionEmbedding(),
            layers.Residual([layers.LayerNorm(), layers.SelfAttention(2, causal=True)]),
            layers.Parallel([layers.Dense(5), layers.Dense(5)]),
        ],
        4,
    ).compile("cross_entropy", learning_rate=0.03)
    model.fit(ids, (ids + 1) % 5, epochs=80, batch_size=5)
    assert model.evaluate(ids, (ids + 1) % 5)["accuracy"] == 1.0


def test_lists_of_documents():
    x = np.float32([[0.9], [0.1], [0.3], [0.2], [0.8]])
    y, groups = np.float32([2, 0, 1, 0, 1]), [3, 2]
    model = gm.Sequential([layers.Dense(1)], 1).compile("lambda_rank", learning_rate=0.1)
    model.fit(x, y, groups=groups, epochs=100, batch_size=2)
    scores = model.predict(x)[:, 0]
    assert scores[0] > scores[2] > scores[1] and scores[4] > scores[3]


def test_schedules_optimizers_and_averages():
    x, y = spirals()
    model = classifier().compile("focal", gm.Optimizer("sgd", momentum=0.9), learning_rate=0.1)
    history = model.fit(
        x,
        y,
        epochs=4,
        schedule=gm.Schedule("exponential", by_epoch=True, learning_rate=0.1, factor=0.5),
        average=0.9,
    )
    assert history["learning_rate"] == pytest.approx([0.1, 0.05, 0.025, 0.0125])
    assert not np.array_equal(model.averaged().predict(x), model.predict(x))
    assert "adam" in gm.Optimizer.names() and "gelu" in gm.Activation.names()
    assert "cosine" in gm.Schedule.names()
    with pytest.raises(ValueError, match="optimizer is 3"):
        model.compile("mse", 3)


def test_the_errors_of_fit_are_one_line():
    x, y = spirals()
    model = classifier()
    for call, text in [
        (lambda: model.fit(x, y, epochs=0), "fit: epochs is 0; it must be at least 1"),
        (lambda: model.fit(x[:, :1], y), "features"),
        (lambda: model.fit(x, y, sample_weight=[1.0]), "sample_weight"),
        (lambda: gm.Sequential([], 2), "layers"),
        (lambda: gm.Sequential([layers.Dense(2, "nope")], 2), "unknown activation `nope`"),
        (lambda: gm.Sequential([layers.Dense(2)], 2).fit(x, y), "compile"),
    ]:
        with pytest.raises(ValueError, match=text) as found:
            call()
        assert "\n" not in str(found.value)
