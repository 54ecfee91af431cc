"""Callbacks that look on: a printed table, the path of the parameters, the gradient by layer."""

from __future__ import annotations

from collections.abc import Callable as Function
from typing import Any

import numpy as np
from sklearn.callback import CallbackContext

from skgd._component import check_number
from skgd.callbacks._protocol import Callback, is_first_epoch, place_of
from skgd.descent.log import table_head, table_row
from skgd.estimators.hooks import without_hooks


class PrintLog(Callback):
    """Prints a table: a line for each epoch, with all that ``history_`` holds.

    Inside a pipeline or a search a line above the table names the training: the tasks that lead to
    it with their numbers, as `sklearn.callback.ProgressBar` shows them, and the estimator. They
    count from 0, as ``cv_results_`` does: with 5 folds, evaluation #7 is that of candidate 1 on
    split 2. A meta-estimator that takes no callbacks, such as `cross_validate` or
    ``BaggingClassifier``, tells no such numbers: there each table stands without that line.

    Parameters
    ----------
    every : int, default=1
        Epochs from line to line; the first has one always.
    sink : callable, default=None
        Takes each line, such as ``logging.getLogger().info``; None is `print`.

    Examples
    --------
    >>> from skgd import GDRegressor
    >>> from skgd.callbacks import PrintLog
    >>> lines = []
    >>> model = GDRegressor(max_iter=3, tol=None).set_callbacks(PrintLog(sink=lines.append))
    >>> _ = model.fit([[0.0], [1.0]], [0.0, 1.0])
    >>> lines[0].split()
    ['epoch', 'loss', 'rate', 'gradient', 'seconds']
    >>> len(lines)
    4

    >>> from sklearn.model_selection import GridSearchCV
    >>> lines.clear()
    >>> search = GridSearchCV(model, {"alpha": [0.1, 1.0]}, cv=2, scoring="neg_mean_squared_error")
    >>> _ = search.fit([[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0])
    >>> lines[5].split(": ")  # above the second of five tables
    ['GridSearchCV, search #0, candidate-split-evaluation #1',
     'GDRegressor(alpha=0.1, max_iter=3, tol=None)']
    """

    def __init__(self, every: int = 1, sink: Function[[str], Any] | None = None) -> None:
        self.every = every
        self.sink = sink

    def check(self) -> None:
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("every", self.every, low=1, integer=True)
        if self.sink is not None and not callable(self.sink):
            raise TypeError(f"sink takes a function of one line, or None; got {self.sink!r}.")

    def begin(self, estimator: Any, context: CallbackContext) -> dict[str, Any]:
        """Make the state of one training."""
        return {"begun": False, "heading": _heading(estimator, context)}

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool:
        """Print the epoch's line."""
        sink = print if self.sink is None else self.sink
        epoch = {name: values[-1] for name, values in model.history_.items()}
        if not state["begun"]:
            if state["heading"]:
                sink(state["heading"])
            sink(table_head(epoch))
        if not state["begun"] or epoch["epoch"] % self.every == 0:
            sink(table_row(epoch))
        state["begun"] = True
        return False


def _heading(estimator: Any, context: CallbackContext) -> str:
    """Name a training inside others by the tasks that lead to it; "" for one by itself."""
    tasks: list[str] = []
    while context.parent is not None:
        tasks.append(f"{context.source_task_name or context.task_name} #{context.task_id}")
        context = context.parent
    if not tasks:
        return ""
    settings = " ".join(repr(estimator).split())  # one line
    return f"{', '.join([context.estimator_name, *reversed(tasks)])}: {settings}"


class RecordPath(Callback):
    """Keeps the parameters of each epoch: the path of descent.

    Attributes
    ----------
    path_ : ndarray of shape (n_epochs + 1, n_parameters)
        Of the last training that was begun: the start, then theta after each epoch.
    paths_ : list of ndarray
        Of all trainings, in the order in which they were begun.

    Examples
    --------
    >>> from skgd import GDRegressor
    >>> from skgd.callbacks import RecordPath
    >>> record = RecordPath()
    >>> model = GDRegressor(max_iter=3, tol=None).set_callbacks(record)
    >>> _ = model.fit([[0.0], [1.0]], [0.0, 1.0])
    >>> record.path_.shape
    (4, 2)
    """

    def begin(self, estimator: Any, context: CallbackContext) -> dict[str, Any]:
        """Make the state of one training."""
        self._paths: list[list[np.ndarray]] = [*self.__dict__.get("_paths", []), []]
        return {"path": self._paths[-1]}

    def on_fit_task_begin(
        self, estimator: Any, context: CallbackContext, *, fitted_estimator: Any = None, **_: Any
    ) -> None:
        """Keep the start (scikit-learn's hook)."""
        if is_first_epoch(context):
            self._states[place_of(context.parent)]["path"].append(fitted_estimator.parameters_)

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool:
        """Keep theta."""
        state["path"].append(model.parameters_)
        return False

    @property
    def path_(self) -> np.ndarray:
        """Path of the last training that was begun."""
        return self.paths_[-1]

    @property
    def paths_(self) -> list[np.ndarray]:
        """Paths of all trainings."""
        if "_paths" not in self.__dict__:
            raise AttributeError("RecordPath has seen no training yet: set it, and call fit.")
        return [np.array(path) for path in self._paths]


class GradientNorms(Callback):
    """Measures each layer: the size of its gradient, and how far an epoch moves its weights.

    A ratio of the move to the weights far above 1e-3 for one step speaks of a rate that is too
    high; gradients that shrink from layer to layer, of units that saturate.

    It computes the gradient on all rows, which costs about as much as an epoch: raise `every`
    where that is too much.

    Parameters
    ----------
    every : int, default=1
        Epochs from one measurement to the next.

    Attributes
    ----------
    norms_ : dict of str to list of float
        Norm of dJ/d(block) for each named block of theta, such as "coefs[0]", and "epoch".
    update_ratios_ : dict of str to list of float
        ``||change of the block in an epoch|| / ||block||``: the mean since the last measurement.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgd import MLPBackpropClassifier
    >>> from skgd.callbacks import GradientNorms
    >>> X, y = load_iris(return_X_y=True)
    >>> norms = GradientNorms(every=5)
    >>> model = MLPBackpropClassifier((4,), max_iter=10, tol=None, random_state=0)
    >>> _ = model.set_callbacks(norms).fit(X, y)
    >>> list(norms.norms_), norms.norms_["epoch"]
    (['epoch', 'coefs[0]', 'coefs[1]', 'intercepts[0]', 'intercepts[1]'], [5, 10])
    """

    def __init__(self, every: int = 1) -> None:
        self.every = every

    def check(self) -> None:
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("every", self.every, low=1, integer=True)

    def begin(self, estimator: Any, context: CallbackContext) -> dict[str, Any]:
        """Make the state of one training."""
        self.norms_: dict[str, list[float]] = {"epoch": []}
        self.update_ratios_: dict[str, list[float]] = {"epoch": []}
        return {"theta": None, "norms": self.norms_, "ratios": self.update_ratios_}

    def on_fit_task_begin(
        self, estimator: Any, context: CallbackContext, *, fitted_estimator: Any = None, **_: Any
    ) -> None:
        """Keep the start (scikit-learn's hook)."""
        if is_first_epoch(context):
            self._states[place_of(context.parent)]["theta"] = fitted_estimator.parameters_

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool:
        """Measure, where it is time to."""
        if model.n_iter_ % self.every:
            return False
        objective = without_hooks(model).objective(X, y, **metadata)
        theta = objective.x0
        before = state["theta"]
        gradient = objective.unpack(objective.gradient(theta))
        moved = objective.unpack((theta - before) / self.every)
        state["norms"]["epoch"].append(model.n_iter_)
        state["ratios"]["epoch"].append(model.n_iter_)
        for name, block in objective.unpack(theta).items():
            size = max(float(np.linalg.norm(block)), float(np.finfo(float).tiny))
            state["norms"].setdefault(name, []).append(float(np.linalg.norm(gradient[name])))
            state["ratios"].setdefault(name, []).append(float(np.linalg.norm(moved[name])) / size)
        state["theta"] = theta
        return False
