"""Networks: description, training, prediction."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from . import _gradus
from ._gradus import Device, Loss
from ._named import AnyOptimizer, Optimizer, Schedule
from .callbacks import Callback, EarlyStopping
from .layers import Layer

Path = Union[str, "os.PathLike[str]"]
AnyDevice = Union[str, Device]
AnyCallback = Union[Callback, EarlyStopping, Callable[[int, "dict[str, Any]"], Optional[bool]]]

__all__ = ["History", "Sequential", "load"]


class History:
    """What a training did, epoch by epoch; a notebook shows it as a picture.

    Attributes:
        columns: values by name, one for each epoch: "loss", "accuracy", "val_loss" and so on.
        epochs: the same as a list of dicts.
        steps: the loss of each step, float64 [steps].
        stopped: why it ended early, in words, or None.
        best_epoch: the epoch, from 1, whose weights early stopping has restored, or None: the last one.
    """

    def __init__(self, report: dict[str, Any]) -> None:
        self.columns: dict[str, list[Optional[float]]] = report["columns"]
        self.epochs: list[dict[str, float]] = report["epochs"]
        self.steps: np.ndarray = report["steps"]
        self.stopped: Optional[str] = report["stopped"]
        self.best_epoch: Optional[int] = report["best_epoch"]
        self._stop: Optional[str] = report["stop"]

    def __getitem__(self, name: str) -> list[Optional[float]]:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.epochs)

    def __repr__(self) -> str:
        if not self.epochs:
            return "History(no epochs)"
        last = ", ".join(
            f"{name} {value:.4g}" for name, value in self.epochs[-1].items() if name != "seconds"
        )
        return f"History({len(self.epochs)} epochs; {last})"

    def _repr_html_(self) -> str:
        colours = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
        names = [name for name in self.columns if name.endswith("loss")]
        lines, legend = [], []
        values = [
            x for name in names for x in self.columns[name] if x is not None and np.isfinite(x)
        ]
        if not values:
            return f"<pre>{self!r}</pre>"
        low, high = min(values), max(values)
        scale = 120.0 / ((high - low) or 1.0)
        width = 320.0 / max(len(self.epochs) - 1, 1)
        for name, colour in zip(names, colours):
            points = " ".join(
                f"{50 + place * width:.1f},{135 - (x - low) * scale:.1f}"
                for place, x in enumerate(self.columns[name])
                if x is not None and np.isfinite(x)
            )
            lines.append(f'<polyline fill="none" stroke="{colour}" points="{points}"/>')
            legend.append(f'<tspan fill="{colour}" dx="6">{name}</tspan>')
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="165" font-size="11">'
            f'<text x="2" y="18">{high:.4g}</text><text x="2" y="138">{low:.4g}</text>'
            f'<text x="50" y="158">{len(self.epochs)} epochs{"".join(legend)}</text>'
            f'{"".join(lines)}</svg>'
        )


def _loss(given: Union[str, Loss, tuple[str, dict[str, Any]]]) -> tuple[str, dict[str, Any]]:
    if isinstance(given, Loss):
        return given.name, dict(given.options)
    if isinstance(given, str):
        return given, {}
    name, options = given
    return name, dict(options)


class Sequential:
    """A network of layers one behind the other.

    Args:
        layers: the layers (`gradus_ml.layers`).
        input_shape: the shape of a row: features, [tokens] or [height, width, channels].
        device: where it runs, "cpu" by default.
        seed: of the initial weights and the order of the batches.
        l1, l2, proximal_l1: penalties of the weights of layers without their own.

    Raises:
        ValueError: for layers that do not fit one another.
        RuntimeError: if there is no such device.

    Example:
        >>> import numpy as np
        >>> from gradus_ml import Sequential
        >>> from gradus_ml.layers import Dense
        >>> x = np.float32([[0], [1], [2], [3]])
        >>> model = Sequential([Dense(1)], input_shape=1).compile("mse", "adam", learning_rate=0.3)
        >>> history = model.fit(x, 2 * x + 1, epochs=200, batch_size=2)
        >>> abs(float(model.predict(np.float32([[4]]))[0, 0]) - 9) < 0.2
        True
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        input_shape: Union[int, Sequence[int]],
        *,
        device: AnyDevice = "cpu",
        seed: int = 7,
        l1: float = 0.0,
        l2: float = 0.0,
        proximal_l1: float = 0.0,
    ) -> None:
        shape = [input_shape] if isinstance(input_shape, (int, np.integer)) else list(input_shape)
        description = {
            "input": [int(axis) for axis in shape],
            "embedding": None,
            "layers": [layer.form() for layer in layers],
            "seed": int(seed),
            "l1": float(l1),
            "l2": float(l2),
            "proximal_l1": float(proximal_l1),
        }
        self._model = _gradus.Model(description, device)

    @classmethod
    def _of(cls, model: _gradus.Model) -> Sequential:
        made = cls.__new__(cls)
        made._model = model
        return made

    @classmethod
    def load(cls, path: Path, device: AnyDevice = "cpu") -> Sequential:
        """Reads a model that `save` or the command `gradus train` has written.

        Raises:
            OSError: if it cannot be read.
            ValueError: for a file that is damaged or not from gradus.
        """
        return cls._of(_gradus.Model.load(os.fspath(path), device))

    def save(self, path: Path) -> None:
        """Writes weights, optimizer, progress and description to a safetensors file, atomically.

        Raises:
            OSError: if it cannot be written.
        """
        self._model.save(os.fspath(path))

    @classmethod
    def from_bytes(cls, data: bytes, device: AnyDevice = "cpu") -> Sequential:
        """Reads the bytes of `to_bytes` or of a whole file."""
        return cls._of(_gradus.Model.from_bytes(data, device))

    def to_bytes(self) -> bytes:
        """The file of `save` in memory."""
        return self._model.to_bytes()

    def save_weights(self, path: Path) -> None:
        """Writes the weights with PyTorch's names and axes, for `safetensors.torch.load_model`."""
        self._model.save_weights(os.fspath(path))

    def to_onnx(self, path: Optional[Path] = None) -> Optional[bytes]:
        """Writes the network as an ONNX file for onnxruntime and others, or returns its bytes.

        The graph takes `input`, what `predict` takes as float32 or int64 ids (pixels from 0 to 1),
        for any number of rows, and gives `output` with the axes of the last layer. An input scaling
        is part of it. The weights are the parameters: `averaged().to_onnx(path)` has their average.

        Args:
            path: the file, replaced as a whole; without one the bytes are returned.

        Raises:
            OSError: if it cannot be written.
            ValueError: for a layer that ONNX does not have, with its name, and for more than
                2147483647 bytes.

        Example:
            >>> import gradus_ml as gm
            >>> model = gm.Sequential([gm.layers.Dense(8, "gelu"), gm.layers.Dense(3)], 4)
            >>> data = model.to_onnx()  # onnxruntime.InferenceSession(data)
            >>> b"gelu" not in data and b"Gemm" in data
            True
        """
        if path is None:
            return self._model.to_onnx()
        self._model.save_onnx(os.fspath(path))
        return None

    def load_weights(self, path: Path) -> None:
        """Reads weights with PyTorch's names and axes from a safetensors file."""
        self._model.load_weights(os.fspath(path))

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), self.to_bytes(), self.device)

    def compile(
        self,
        loss: Union[str, Loss, tuple[str, dict[str, Any]]],
        optimizer: AnyOptimizer = "adam",
        *,
        learning_rate: Optional[float] = None,
    ) -> Sequential:
        """Sets the loss and the optimizer, with a fresh state; returns the model.

        Args:
            loss: a name, a pair of a name and options, or a `Loss` (its reduction is not used).
            optimizer: a name, a pair of a name and options, or an `Optimizer`.
            learning_rate: that of the optimizer.

        Raises:
            ValueError: for a loss that does not fit the last layer, and unknown names; the model
                stays as it was.
        """
        name, options = _loss(loss)
        found = Optimizer.of(optimizer)
        settings = dict(found.options)
        if learning_rate is not None:
            settings["learning_rate"] = float(learning_rate)
        self._model.compile(name, options, found.name, settings)
        return self

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: Optional[int] = None,
        batch_size: Optional[int] = None,
        steps: Optional[int] = None,
        accumulate: Optional[int] = None,
        shuffle: Optional[bool] = None,
        groups: Optional[Sequence[int]] = None,
        validation_split: Optional[float] = None,
        validation_data: Optional[tuple[Any, ...]] = None,
        validation_weight: Optional[Any] = None,
        sample_weight: Optional[Any] = None,
        class_weight: Union[None, str, Sequence[float], Mapping[int, float]] = None,
        pos_weight: Union[None, float, Sequence[float]] = None,
        learning_rate: Optional[float] = None,
        schedule: Union[None, str, tuple[str, dict[str, Any]], Schedule] = None,
        clip_norm: Optional[float] = None,
        clip_tensor_norm: Optional[float] = None,
        clip_value: Optional[float] = None,
        skip_non_finite: Optional[bool] = None,
        mixed_precision: Optional[bool] = None,
        average: Optional[float] = None,
        augment: Optional[tuple[int, bool, int]] = None,
        checkpoint: Optional[Path] = None,
        resume: bool = False,
        reduce: Optional[Callable[[np.ndarray], Any]] = None,
        shard: Optional[tuple[int, int]] = None,
        callbacks: Union[AnyCallback, Iterable[AnyCallback]] = (),
    ) -> History:
        """Trains; goes on from the present state. Keras' `fit`.

        Args:
            x: features, [rows, ...] in the shape of the model's input; uint8 are pixels p / 255.
            y: labels [rows], numbers [rows, outputs], or relevances [rows] with `groups`.
            epochs: passes over the rows, 1 by default.
            batch_size: rows of a step, 32 by default; with `groups` lists of a step.
            steps: updates at most.
            accumulate: batches of an update.
            shuffle: whether each epoch has its own order, true by default.
            groups: rows of each list, for losses of lists.
            validation_split: share of the rows, from the end, that is only validated on.
            validation_data: (x, y), or (x, y, groups), that is only validated on.
            sample_weight: [rows]; a row of weight 0 is left out.
            class_weight: "balanced", one number for each class, or a dict from class to number.
            pos_weight: weight of positive targets, one number or one for each output.
            learning_rate: in place of the optimizer's.
            schedule: a name, a pair of a name and options, or a `Schedule`.
            clip_norm, clip_tensor_norm, clip_value: limits of the gradient.
            mixed_precision: whether operands of products are rounded to float16, with dynamic
                loss scaling; weights, losses and predictions stay in float32.
            average: decay of a running average of the weights (`averaged`).
            augment: (crop, flip, cutout) of images at random.
            checkpoint: a file that is written after each epoch.
            resume: goes on with an interrupted training, to the same bits.
            reduce: called before each update with the gradient of all parameters, float32 [n]
                (float64 on "reference"), which it changes in place; its exceptions end the
                training. `gradus_ml.distributed` has those that sum over processes.
            shard: (rank, world): trains on this process's share of each update's rows, by a
                `reduce` that sums over the processes; by default that of `reduce`, if it has a
                `rank` and a `world`.
            callbacks: `Callback`, `EarlyStopping`, or functions of the number of the epoch and its
                values; a true answer ends the training.

        Returns:
            The history. Ctrl-C ends the training after the present steps with KeyboardInterrupt;
            the weights are then those of the last step.

        Raises:
            ValueError: for shapes and options that do not fit, and a loss that is not finite is
                no error: `History.stopped` names it.
        """
        if callable(callbacks) or isinstance(callbacks, (Callback, EarlyStopping)):
            callbacks = [callbacks]
        own = list(callbacks)
        early = [call for call in own if isinstance(call, EarlyStopping)]
        objects = [call for call in own if isinstance(call, Callback)]
        functions = [call for call in own if not isinstance(call, (Callback, EarlyStopping))]

        def on_epoch(epoch: int, logs: dict[str, Any]) -> bool:
            answers = [call.on_epoch(epoch, logs) for call in objects]
            answers += [call(epoch, logs) for call in functions]
            return any(answers)

        def on_step(epoch: int, batch: int, batches: int, loss: float) -> bool:
            return any([call.on_step(epoch, batch, batches, loss) for call in watching])

        watching = [call for call in objects if type(call).on_step is not Callback.on_step]
        if isinstance(class_weight, Mapping):
            class_weight = [float(class_weight.get(c, 1.0)) for c in range(max(class_weight) + 1)]
        elif class_weight is not None and not isinstance(class_weight, str):
            class_weight = [float(weight) for weight in class_weight]
        if pos_weight is not None:
            pos_weight = [float(weight) for weight in np.atleast_1d(np.asarray(pos_weight))]
        if shard is None and reduce is not None and hasattr(reduce, "world"):
            shard = (int(getattr(reduce, "rank")), int(getattr(reduce, "world")))
        found = Schedule.of(schedule)
        if validation_data is not None and len(validation_data) == 2:
            validation_data = (*validation_data, None)
        settings = {
            "resume": resume,
            "epochs": epochs,
            "steps": steps,
            "batch_size": batch_size,
            "accumulate": accumulate,
            "shuffle": shuffle,
            "validation_split": validation_split,
            "validation_data": validation_data,
            "validation_weight": validation_weight,
            "sample_weight": sample_weight,
            "class_weight": class_weight,
            "pos_weight": pos_weight,
            "learning_rate": learning_rate,
            "schedule": None if found is None else (found.name, found.options, found.by_epoch),
            "clip_norm": clip_norm,
            "clip_tensor_norm": clip_tensor_norm,
            "clip_value": clip_value,
            "skip_non_finite": skip_non_finite,
            "mixed_precision": mixed_precision,
            "average": average,
            "augment": augment,
            "early_stopping": (
                (early[0].patience, early[0].min_delta, early[0].restore_best) if early else None
            ),
            "checkpoint": None if checkpoint is None else os.fspath(checkpoint),
            "reduce": reduce,
            "shard": shard,
            "on_epoch": on_epoch if objects or functions else None,
            "on_step": on_step if watching else None,
        }
        for call in objects:
            call.on_train_begin(self)
        history = History(self._model.fit(x, y, _groups(groups), settings))
        for call in objects:
            call.on_train_end(self)
        return history

    def evaluate(
        self, x: Any, y: Any, *, groups: Optional[Sequence[int]] = None
    ) -> dict[str, float]:
        """Loss, and accuracy of a classifier, on rows without training."""
        loss, accuracy = self._model.evaluate(x, y, _groups(groups))
        return {"loss": loss} if accuracy is None else {"loss": loss, "accuracy": accuracy}

    def predict(self, x: Any, *, exact: bool = False) -> np.ndarray:
        """Outputs of the last layer, float32 [rows, outputs].

        Args:
            x: features, as of `fit`.
            exact: gives float64, the full precision of a model on "reference".

        Raises:
            ValueError: for another number of features, and numbers that are not finite.
        """
        return self._model.predict_exact(x) if exact else self._model.predict(x)

    def gradients(self, x: Any, y: Any) -> tuple[float, dict[str, np.ndarray]]:
        """The loss of a batch and its gradient by every parameter, without a step."""
        return self._model.gradients(x, y)

    def named_parameters(self) -> dict[str, np.ndarray]:
        """All parameters by path, float64; a dense weight is [inputs, units]."""
        return self._model.named_parameters()

    def set_named_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Sets some or all parameters by path."""
        self._model.set_named_parameters(dict(parameters))

    def set_input_scaling(self, mean: Sequence[float], scale: Sequence[float]) -> None:
        """Subtracts `mean` and divides by `scale` before the first layer; saved with the model."""
        self._model.set_input_scaling([float(x) for x in mean], [float(x) for x in scale])

    def averaged(self) -> Sequential:
        """The model with the averaged weights, of a training with `average`."""
        return self._of(self._model.averaged())

    def summary(self, batch_size: int = 32) -> str:
        """A table of the layers, and the memory of a step."""
        return self._model.summary(batch_size)

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self._model.parameters

    @property
    def steps(self) -> int:
        """Number of updates so far."""
        return self._model.steps

    @property
    def outputs(self) -> int:
        """Length of a prediction."""
        return self._model.outputs

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of a row."""
        return tuple(self._model.input_shape)

    @property
    def device(self) -> Device:
        """Where it runs."""
        return self._model.device

    @property
    def loss(self) -> Optional[str]:
        """The name of the loss, if it was compiled."""
        return self._model.loss

    def __repr__(self) -> str:
        return f"<Sequential of {self.parameters} parameters on {self.device.name}>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"


def _groups(groups: Optional[Sequence[int]]) -> Optional[list[int]]:
    return None if groups is None else [int(rows) for rows in groups]


def _unpickled(cls: type[Sequential], data: bytes, device: AnyDevice) -> Sequential:
    return cls._of(_gradus.Model.from_bytes(data, device))


def load(path: Path, device: AnyDevice = "cpu") -> Sequential:
    """Reads a model: `Sequential.load`."""
    return Sequential.load(path, device)
