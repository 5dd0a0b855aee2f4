"""What is called while a model trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from .model import Sequential


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
