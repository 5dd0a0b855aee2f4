"""Curves for TensorBoard, MLflow and Optuna."""

import numpy as np
import pytest

import gradus_ml as gm
from gradus_ml.callbacks import MLflow, OptunaPruning, TensorBoard

X = np.random.default_rng(0).normal(size=(96, 3)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(int)


def fitted(callbacks, epochs=3):
    model = gm.Sequential([gm.layers.Dense(8, "tanh"), gm.layers.Dense(2)], 3)
    model.compile("cross_entropy", "adam", learning_rate=0.02)
    rate = gm.Schedule("cosine", learning_rate=0.02, steps=12)
    return model.fit(X, Y, epochs=epochs, validation_split=0.25, schedule=rate, callbacks=callbacks)


def test_tensorboard_reads_the_curves_of_a_training(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = TensorBoard(tmp_path)
    with pytest.raises(ValueError, match="no event file"):
        log.path
    history = fitted(log)
    log.scalar("weights/norm", 7, 0.5)
    # Reads and checks every record's checksums.
    found = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    tags = {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"}
    wanted = {f"epoch/{tag}" for tag in tags} | {"batch/loss", "weights/norm"}
    assert set(found.Tags()["scalars"]) == wanted
    for name in ("loss", "val_loss", "val_accuracy", "learning_rate"):
        events = found.Scalars(f"epoch/{name}")
        assert [event.step for event in events] == [1, 2, 3]
        assert np.array_equal(np.float32(history[name]), [event.value for event in events])
    steps = found.Scalars("batch/loss")
    assert [event.step for event in steps] == list(range(1, len(history.steps) + 1))
    assert np.allclose([event.value for event in steps], history.steps, rtol=1e-6, atol=0)
    assert [(e.step, e.value) for e in found.Scalars("weights/norm")] == [(7, 0.5)]


def test_each_training_has_an_event_file_of_its_own(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = TensorBoard(tmp_path, steps=False)
    fitted(log, epochs=1)
    first = log.path
    fitted(log, epochs=2)
    assert log.path != first and len(list(tmp_path.iterdir())) == 2
    found = EventAccumulator(log.path).Reload()
    assert "batch/loss" not in found.Tags()["scalars"]
    assert [event.step for event in found.Scalars("epoch/loss")] == [1, 2]


def test_a_folder_that_cannot_be_made_ends_the_training_before_it_begins(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        fitted(TensorBoard(tmp_path / "file" / "run"))


def test_mlflow_has_the_metrics_of_each_epoch(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    try:
        with mlflow.start_run() as run:
            history = fitted(MLflow())
    except Exception as error:  # The skinny package has no store of its own.
        if "sqlalchemy" in str(error).lower():
            pytest.skip(str(error))
        raise
    found = mlflow.MlflowClient().get_metric_history(run.info.run_id, "val_loss")
    assert [(metric.step, metric.value) for metric in found] == list(
        zip((1, 2, 3), history["val_loss"])
    )


def test_optuna_prunes_a_training():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    epochs = []

    class Hopeless(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.number == 1 and trial.last_step == 2

    def objective(trial):
        history = fitted([OptunaPruning(trial), lambda epoch, _: epochs.append(epoch)])
        return history["val_loss"][-1]

    study = optuna.create_study(pruner=Hopeless())
    study.optimize(objective, n_trials=2)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "PRUNED"]
    assert list(study.trials[0].intermediate_values) == [1, 2, 3]
    assert list(study.trials[1].intermediate_values) == [1, 2]
    assert epochs == [1, 2, 3, 1]
    with pytest.raises(ValueError, match="monitor is 'f1'; it must be of loss"):
        fitted(OptunaPruning(study.ask(), "f1"))
