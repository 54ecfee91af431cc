"""Callbacks that end a training."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from sklearn.callback import CallbackContext

from skgd._component import check_choice, check_number
from skgd.callbacks._protocol import Callback, place_of
from skgd.estimators.hooks import EPOCH

_MONITORS = ("loss", "validation_loss", "validation_score", "gradient_norm")


class EarlyStopping(Callback):
    """Stops when an entry of ``history_`` no longer improves.

    It only stops: the last parameters stay. The estimator's own ``early_stopping=True`` restores
    the best ones.

    Parameters
    ----------
    monitor : {"loss", "validation_loss", "validation_score", "gradient_norm"}, default="loss"
        Name of a list in ``history_``. A score should rise, the others fall.
    patience : int, default=10
        Epochs in a row without improvement that end the training.
    min_delta : float, default=0.0
        Least change that counts as an improvement.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgd import GDClassifier
    >>> from skgd.callbacks import EarlyStopping
    >>> X, y = load_iris(return_X_y=True)
    >>> model = GDClassifier(tol=None).set_callbacks(EarlyStopping(patience=3, min_delta=1e-3))
    >>> model.fit(X, y).n_iter_ < 1000
    True
    >>> model.stop_reason_
    'stopped by a callback: loss did not improve for 3 epochs'
    """

    def __init__(self, monitor: str = "loss", patience: int = 10, min_delta: float = 0.0) -> None:
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta

    def check(self) -> None:
        """Raise an error that names the wrong parameter, if there is one."""
        check_choice("monitor", self.monitor, _MONITORS)
        check_number("patience", self.patience, low=1, integer=True)
        check_number("min_delta", self.min_delta, low=0)

    def begin(self, estimator: Any, context: CallbackContext) -> dict[str, Any]:
        """Make the state of one training."""
        return {"seen": 0, "best": math.inf, "waited": 0}

    def before_training(self, context: CallbackContext, model: Any, validated: bool) -> bool:
        """Make sure that there is what it watches; see the epochs that are over."""
        if self.monitor.startswith("validation") and not validated:
            raise ValueError(
                f"EarlyStopping(monitor={self.monitor!r}) needs validation rows: give fit X_val "
                "and y_val, or set early_stopping=True on the estimator."
            )
        state = self._states[place_of(context)]
        return model is not None and self._see(state, model.history_[self.monitor])

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool:
        """Count the epochs without improvement."""
        return self._see(state, model.history_[self.monitor])

    def _see(self, state: dict[str, Any], values: Sequence[float]) -> bool:
        """Count through the epochs not seen yet, among them those before a training was stopped."""
        for value in values[state["seen"] :]:
            value = -value if self.monitor.endswith("score") else value
            if value < state["best"] - self.min_delta:
                state.update(best=value, waited=0)
            else:
                state["waited"] += 1
        state["seen"] = len(values)
        if state["waited"] < self.patience:
            return False
        state["reason"] = f"{self.monitor} did not improve for {self.patience} epochs"
        return True


class TimeLimit(Callback):
    """Stops with the epoch in which a time is over.

    Parameters
    ----------
    seconds : float
        Above 0; counted from the beginning of `fit`, with all that comes before the first epoch,
        such as the checks of the data and the compilation of a first fit ever. The estimator's
        own `max_time` counts from the first epoch.

    Examples
    --------
    >>> from skgd import GDRegressor
    >>> from skgd.callbacks import TimeLimit
    >>> model = GDRegressor(tol=None, max_iter=10**6).set_callbacks(TimeLimit(0.05))
    >>> model.fit([[0.0], [1.0]], [0.0, 1.0]).stop_reason_
    'stopped by a callback: 0.05 seconds are over'
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def check(self) -> None:
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("seconds", self.seconds, low=0, include="neither")

    def begin(self, estimator: Any, context: CallbackContext) -> dict[str, Any]:
        """Make the state of one training."""
        return {"end": time.perf_counter() + self.seconds}

    def on_fit_task_end(self, estimator: Any, context: CallbackContext, **_: Any) -> bool:
        """Look at the clock (scikit-learn's hook); who asks for no model costs no copy of one."""
        if context.task_name != EPOCH:
            return False
        state = self._states[place_of(context.parent)]
        if time.perf_counter() < state["end"]:
            return False
        state["reason"] = f"{self.seconds:g} seconds are over"
        return True
