"""The bridge to scikit-learn's callbacks: the hooks around a fit and around each of its epochs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

from skgd.descent import Progress
from skgd.descent.stopping import GOES_ON

EPOCH = "epoch"  # name of the tasks that a fit consists of
_OF_THIS_FIT = ("_skl_callbacks", "_skl_callbacks_to_teardown", "_callback_fit_ctx")


class Hooks:
    """The callbacks of one fit. Where there are none, nothing is called between the epochs.

    Parameters
    ----------
    estimator : estimator
        With scikit-learn's `CallbackSupportMixin`.
    X, y, sample_weight : array-like
        As the user gave them.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        max_iter: Any = estimator.max_iter  # which is not checked yet
        known = isinstance(max_iter, Integral) and int(max_iter) > 0
        self._estimator = estimator
        self._context = estimator._init_callback_context(
            max_subtasks=int(max_iter) if known else None
        )
        self._data = {
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        self._of_epoch: Any = None
        self._callbacks = list(getattr(estimator, "_skl_callbacks", []))
        if self._callbacks:
            self._context.call_on_fit_task_begin(estimator=estimator, **self._data)

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def resumed(self, validation: Mapping[str, Any], *, validated: bool) -> Any:
        """Return what a training that goes on begins from: a fitted estimator, or None.

        A callback that has seen enough of it ends it there: its reason is then the estimator's.

        Parameters
        ----------
        validation : dict
            "X_val", "y_val" and "sample_weight_val", None where they were not given.
        validated : bool
            Whether epochs are judged by rows, given ones or kept back.
        """
        data = {**self._data, **validation}
        data.update(data.pop("metadata") or {"sample_weight": None})
        found = None
        for callback in self._callbacks:
            if found is None and hasattr(callback, "resume_from"):
                found = callback.resume_from(self._estimator, self._context, data)
        stop = False
        for callback in self._callbacks:
            if hasattr(callback, "before_training"):
                stop |= callback.before_training(self._context, found, validated)
        if stop and found is not None and found._memory.progress.stop_reason in GOES_ON:
            found._memory.progress.stop_reason = self._reason()
        return found

    def before_epoch(self, fitted: Callable[[], dict[str, Any]]) -> Callable[[Progress], None]:
        """Return the loop's hook; `fitted` gives the attributes as if the fit ended here."""

        def begin(progress: Progress) -> None:
            self._of_epoch = self._context.subcontext(task_name=EPOCH)
            self._of_epoch.call_on_fit_task_begin(
                estimator=self._estimator, reconstruction_attributes=fitted, **self._data
            )

        return begin

    def after_epoch(self, fitted: Callable[[], dict[str, Any]]) -> Callable[[Progress], str | None]:
        """Return the loop's hook, which gives a reason to stop, or None."""

        def end(progress: Progress) -> str | None:
            stop = self._of_epoch.call_on_fit_task_end(
                estimator=self._estimator, reconstruction_attributes=fitted, **self._data
            )
            return self._reason() if stop else None

        return end

    def end(self) -> None:
        """Call the hooks of a fit that is over: the estimator has all its attributes."""
        if self._callbacks:
            self._context.call_on_fit_task_end(
                estimator=self._estimator, reconstruction_attributes={}, **self._data
            )

    def _reason(self) -> str:
        told = [getattr(callback, "stop_reason", lambda _: None) for callback in self._callbacks]
        reasons = [reason for reason in (tell(self._context) for tell in told) if reason]
        if not reasons:
            names = ", ".join(type(callback).__name__ for callback in self._callbacks)
            reasons = [f"one of {names}" if len(self._callbacks) > 1 else names]
        return f"stopped by a callback: {'; '.join(reasons)}"


def without_hooks(estimator: Any) -> Any:
    """Return a shallow copy of the estimator without callbacks and their contexts."""
    bare = copy.copy(estimator)
    for name in (*_OF_THIS_FIT, "_parent_callback_ctx"):
        bare.__dict__.pop(name, None)
    return bare
