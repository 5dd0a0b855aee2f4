"""What is called while a model trains."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional, Union

from ._gradus import EventFile

if TYPE_CHECKING:
    from .model import Sequential

__all__ = ["Callback", "EarlyStopping", "MLflow", "OptunaPruning", "TensorBoard"]


class Callback:
    """Base of callbacks of `Sequential.fit`: override what is wanted. A true answer ends the
    training after that epoch or step; an exception ends it and is raised by `fit`.

    The model must not be used meanwhile; `fit` holds it.

    Example:
        >>> class Until(Callback):
        ...     def on_epoch(self, epoch, logs):
        ...         return logs["loss"] < 0.1
    """

    def on_train_begin(self, model: Sequential) -> None:
        """Before the first epoch."""

    def on_step(self, epoch: int, batch: int, batches: int, loss: float) -> Optional[bool]:
        """After a step: the numbers of the epoch and the batch, from 1, and its loss."""

    def on_epoch(self, epoch: int, logs: dict[str, Any]) -> Optional[bool]:
        """After an epoch: its number from 1, and loss, accuracy, val_loss and so on."""

    def on_train_end(self, model: Sequential) -> None:
        """After the last epoch."""


class EarlyStopping:
    """Ends the training when the validation loss, or without validation the loss, no longer improves.

    Args:
        patience: epochs without improvement before it ends.
        min_delta: what counts as an improvement.
        restore_best: whether the weights of the best epoch come back.
    """

    def __init__(
        self, patience: int = 0, *, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        self.patience = patience
        self.min_delta = min_delta
        self.restore_best = restore_best


class TensorBoard(Callback):
    """Writes the curves of a training into an event file, as it goes on: `tensorboard --logdir`.

    The tags are those of `gradus train --tensorboard`: `epoch/loss`, `epoch/val_loss`,
    `epoch/accuracy`, `epoch/learning_rate` and so on, and `batch/loss` by the number of the step.

    Args:
        folder: where the file is made, one for each training; sibling folders are compared.
        steps: whether the loss of each step is written too.

    Raises:
        OSError: if it cannot be written.

    Example:
        >>> import numpy as np, tempfile, gradus_ml as gm
        >>> from gradus_ml.callbacks import TensorBoard
        >>> x = np.float32([[0], [1]])
        >>> model = gm.Sequential([gm.layers.Dense(1)], 1).compile("mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = TensorBoard(folder)
        ...     history = model.fit(x, x, epochs=2, callbacks=log)
        ...     log.path.startswith(folder)
        True
    """

    def __init__(self, folder: Union[str, os.PathLike[str]], *, steps: bool = True) -> None:
        self._folder = os.fspath(folder)
        self._steps = steps
        self._file: Optional[EventFile] = None

    def on_train_begin(self, model: Sequential) -> None:
        self._file = EventFile(self._folder)

    @property
    def path(self) -> str:
        """The event file of the last training.

        Raises:
            ValueError: before a training.
        """
        return os.fspath(self._opened().path)

    def _opened(self) -> EventFile:
        if self._file is None:
            raise ValueError("TensorBoard: there is no event file yet; a training makes one")
        return self._file

    def scalar(self, tag: str, step: int, value: float) -> None:
        """Writes a number of your own, as `weights/norm`."""
        self._opened().scalar(tag, step, value)

    def on_step(self, epoch: int, batch: int, batches: int, loss: float) -> Optional[bool]:
        if self._steps:
            self._opened().scalar("batch/loss", (epoch - 1) * batches + batch, loss)
        return None

    def on_epoch(self, epoch: int, logs: dict[str, Any]) -> Optional[bool]:
        for name, value in logs.items():
            self._opened().scalar(f"epoch/{name}", epoch, float(value))
        return None


class MLflow(Callback):
    """Logs the numbers of each epoch as metrics of the active MLflow run, or of the given one.

    Args:
        run_id: the run; by default the active one, which MLflow begins if there is none.

    Raises:
        ImportError: without MLflow.
    """

    def __init__(self, run_id: Optional[str] = None) -> None:
        import mlflow

        self._log = mlflow.log_metrics
        self._run_id = run_id

    def on_epoch(self, epoch: int, logs: dict[str, Any]) -> Optional[bool]:
        values = {name: float(value) for name, value in logs.items()}
        if self._run_id is None:
            self._log(values, step=epoch)
        else:
            self._log(values, step=epoch, run_id=self._run_id)
        return None


class OptunaPruning(Callback):
    """Reports a number of each epoch to an Optuna trial, and ends the training with
    `optuna.TrialPruned` when its pruner wants that.

    Args:
        trial: the trial of the objective.
        monitor: which number: "val_loss", "loss", "val_accuracy" and so on.

    Raises:
        ImportError: without Optuna.

    Example:
        >>> def objective(trial):
        ...     rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        ...     model = gm.Sequential([gm.layers.Dense(1)], 4).compile("mse", learning_rate=rate)
        ...     prune = OptunaPruning(trial)
        ...     return model.fit(x, y, validation_split=0.2, callbacks=prune)["val_loss"][-1]
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        from optuna import TrialPruned

        self._pruned = TrialPruned
        self._trial = trial
        self._monitor = monitor

    def on_epoch(self, epoch: int, logs: dict[str, Any]) -> Optional[bool]:
        """
        Raises:
            ValueError: if the epoch has no such number.
            optuna.TrialPruned: if the trial is to end.
        """
        if self._monitor not in logs:
            known = ", ".join(logs)
            raise ValueError(f"OptunaPruning: monitor is {self._monitor!r}; it must be of {known}")
        self._trial.report(float(logs[self._monitor]), epoch)
        if self._trial.should_prune():
            raise self._pruned(f"{self._monitor} of epoch {epoch}")
        return None
