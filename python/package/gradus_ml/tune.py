"""The search for a loss, an optimizer, their options and a dense network: `gradus tune`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional, Union

from . import _gradus
from ._gradus import Device
from ._named import Optimizer, Schedule
from ._targets import classes_of
from .layers import Dense
from .model import AnyDevice, History, Sequential

__all__ = ["Tuned", "tune"]


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        metric: what was made small: "rmse", "mae", "log_loss", "error" or "balanced_error".
        trials: all trials in their order, the first is the default of `gradus train`: `number`,
            `bracket`, `state`, `values` (the metric at each rung), `cost`, `parameters`,
            `candidate`.
        leaderboard: the numbers of the trials from the best to the worst.
        winner: what was taken: `loss` and `optimizer` with their options, `hidden`, `activation`,
            `learning_rate`, `schedule`, `batch_size`.
        epochs: epochs of the winner's training on all rows.
        importances: how much each parameter mattered, the most important first.
        decision: the comparison of the best with the default on new splits: `finalists`, `winner`,
            `bias`, `splits`, `reason`, `cost`; None if the search was stopped before.
        cost: row-updates of the search.
        rungs: rungs done.
        stopped: whether `on_rung` ended it.
        inputs, outputs: sizes of the networks.
        classes: the names of the classes, by label.
        seed: that of the search, which the winner is trained with too.
    """

    metric: str
    trials: list[dict[str, Any]]
    leaderboard: list[int]
    winner: dict[str, Any]
    epochs: int
    importances: dict[str, float]
    decision: Optional[dict[str, Any]]
    cost: int
    rungs: int
    stopped: bool
    inputs: int
    outputs: int
    classes: Optional[list[str]]
    seed: int

    def __repr__(self) -> str:
        loss, hidden = self.winner["loss"][0], self.winner["hidden"]
        return f"<Tuned: {len(self.trials)} trials by {self.metric}; {loss}, hidden {hidden}>"

    def build(self, device: AnyDevice = "cpu") -> Sequential:
        """The winner's network, compiled and not trained."""
        winner = self.winner
        layers = [Dense(units, winner["activation"]) for units in winner["hidden"]]
        model = Sequential(
            [*layers, Dense(self.outputs)], self.inputs, device=device, seed=self.seed
        )
        name, options = winner["optimizer"]
        optimizer = Optimizer(name, **options)
        return model.compile(winner["loss"], optimizer, learning_rate=winner["learning_rate"])

    def fit(self, x: Any, y: Any, *, device: AnyDevice = "cpu") -> tuple[Sequential, History]:
        """Trains the winner on rows as the search would: the model and its history.

        Args:
            x: features, as of `tune`.
            y: targets, as of `tune`.
            device: where it is trained.

        Raises:
            ValueError: for a class that the search did not have, and rows without a class.
        """
        model = self.build(device)
        targets, _ = classes_of("tune", y, self.classes is not None, self.classes)
        steps = self.epochs * -(-len(targets) // self.winner["batch_size"])
        rate, kind = self.winner["learning_rate"], self.winner["schedule"]
        schedule = None
        if kind == "cosine":
            schedule = Schedule("cosine", learning_rate=rate, steps=max(steps, 2))
        elif kind == "one_cycle":
            schedule = Schedule("one_cycle", maximum=rate, steps=max(steps, 2))
        history = model.fit(
            x,
            targets,
            epochs=self.epochs,
            batch_size=self.winner["batch_size"],
            schedule=schedule,
        )
        return model, history


def tune(
    x: Any,
    y: Any,
    *,
    metric: Optional[str] = None,
    budget: Optional[int] = None,
    seconds: Optional[float] = None,
    rungs: Optional[int] = None,
    bracket: int = 54,
    group: int = 3,
    seed: int = 7,
    study: Union[None, str, os.PathLike[str]] = None,
    device: Union[str, Device] = "cpu",
    on_rung: Optional[Callable[[dict[str, Any]], Optional[bool]]] = None,
) -> Tuned:
    """Searches: many configurations are trained a little, the best third longer, and so on. The
    default is kept unless another beats it on new splits by more than a standard error.

    Args:
        x: features, [rows, features], of similar sizes: scale them before.
        y: targets, [rows]: words, truth values and whole numbers are classes, floats are numbers;
            the metric decides where it is given.
        metric: what is made small: "rmse" (of numbers, the default), "mae", "log_loss" (of classes,
            the default), "error", "balanced_error".
        budget: length of the search in row-updates, rows times epochs over all trainings; 600
            passes over the rows by default, and at least 3,000,000.
        seconds: length in seconds instead; the result says after how many rungs it ended.
        rungs: length in rungs instead.
        bracket: trials that begin together, at least 3.
        group: trials of the same shape, which train side by side.
        seed: of what is drawn, the splits and the trainings: the same gives the same result.
        study: a file of Optuna's `JournalStorage`; a search that was ended goes on where it was.
        device: where it trains.
        on_rung: called behind each rung with `bracket`, `rung`, `trials`, `failed`, `best`,
            `leader`, `cost`, `from_file`; a true answer ends the search.

    Raises:
        ValueError: for targets that the metric does not take, fewer than 20 rows, several lengths,
            and a study of other data or options.
        OSError: if the study cannot be read or written.

    Example:
        >>> import numpy as np
        >>> from gradus_ml.tune import tune
        >>> x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
        >>> tuned = tune(x, 2 * x[:, 0] - x[:, 1], budget=40_000, bracket=6)
        >>> tuned.trials[0]["parameters"]["loss"], tuned.cost <= 40_000
        ('mse', True)
        >>> model, history = tuned.fit(x, 2 * x[:, 0] - x[:, 1])
        >>> len(history) == tuned.epochs
        True
    """
    lengths = {"budget": budget, "seconds": seconds, "rungs": rungs}
    given = {name: value for name, value in lengths.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"tune: {' and '.join(given)} are given; one of them must be")
    settings: dict[str, Any] = {"bracket": bracket, "group": group, "seed": seed, **given}
    if metric is not None:
        settings["metric"] = metric
    if study is not None:
        settings["study"] = os.fspath(study)
    of_numbers = ("rmse", "mae")
    targets, names = classes_of("tune", y, _are_classes(y, metric, of_numbers))
    found = _gradus.tune(x, targets, names, settings, device, on_rung)
    return Tuned(classes=names, seed=seed, **found)


def _are_classes(y: Any, metric: Optional[str], of_numbers: tuple[str, ...]) -> bool:
    import numpy as np

    if metric is not None:
        return metric not in of_numbers
    return np.asarray(y).dtype.kind in "OUSbiu"
