"""What happens after each iteration: a record, the callback, and the test of whether to stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from skgd import descent
from skgd.minimization.problem import Point, Problem

WINDOW = 20  # iterations in which the value must move if it is not to count as settled
STATIONARY = "converged: the gradient is small"
SETTLED = "converged: the value moves no more"
CALLBACK = "stopped by the callback"


class _Series(list):
    """A list that prints its ends only: a result with thousands of iterations stays readable."""

    def __repr__(self) -> str:
        if len(self) <= 6:
            return super().__repr__()
        return f"[{self[0]!r}, {self[1]!r}, ..., {self[-1]!r}] ({len(self)} entries)"


class Watcher:
    """Records each iteration, asks the callback, and tells the loop when to stop."""

    def __init__(
        self,
        problem: Problem,
        tol: float | None,
        callback: Callable[[np.ndarray, float], None] | None,
        shape: tuple[int, ...],
    ) -> None:
        self.problem = problem
        self.tol = tol
        self.callback = callback
        self.shape = shape
        self.last: Point | None = None
        self.stopped = False  # by the callback
        self.history: dict[str, list[Any]] = {
            "iteration": _Series(),
            "value": _Series(),
            "learning_rate": _Series(),
            "gradient_norm": _Series(),
        }

    def __call__(self, progress: descent.Progress) -> str | None:
        """Return a reason to stop, or None."""
        # The next step asks for this point, too, and finds it evaluated.
        point = self.last = self.problem.at(progress.u)
        norm = math.sqrt(point.gradient @ point.gradient)
        history = self.history
        history["iteration"].append(progress.epoch)
        history["value"].append(point.value)
        history["learning_rate"].append(progress.rates[-1])
        history["gradient_norm"].append(norm)
        if self.callback is not None:
            try:
                self.callback(point.u.reshape(self.shape).copy(), point.value)
            except StopIteration:
                self.stopped = True
                return CALLBACK
        # No norm is less than the largest entry, nor more than sqrt(n) times it.
        if self.tol is None:
            return None
        near = not norm > 2.0 * self.tol * math.sqrt(point.u.size)
        if near and point.is_stationary(self.tol):
            return STATIONARY
        return SETTLED if _has_settled(history["value"], self.tol) else None


def _has_settled(values: list[float], tol: float) -> bool:
    """Whether the last iterations moved the value by at most `tol` times its size."""
    if len(values) <= WINDOW:
        return False
    bound = tol * abs(values[-1])
    if abs(values[-1] - values[-1 - WINDOW]) > bound:  # nearly always, and quickly seen
        return False
    recent = values[-1 - WINDOW :]
    return max(recent) - min(recent) <= bound
