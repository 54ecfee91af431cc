"""Callbacks on scikit-learn's protocol: what looks at a training, and may end it, epoch by epoch.

``model.set_callbacks(PrintLog(), TimeLimit(60))``, beside those of `sklearn.callback` (ProgressBar,
ScoringMonitor). A callback is called after each epoch of `fit`; where none is set, nothing is.
`partial_fit` calls none: whoever calls it has the loop in their own hands.

A callback that is set on an estimator inside a pipeline or a search is shared by the clones, and
copied to worker processes: it keeps apart the trainings it sees by their place in the tree of
tasks, and what it gathers in another process stays there (a file does not).
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import tempfile
import time
import zlib
from collections.abc import Callable as Function
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.callback import CallbackContext

from skgd._component import Component, check_bool, check_choice, check_number
from skgd._hooks import EPOCH, without_hooks
from skgd._log import table_head, table_row

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "GradientNorms",
    "PrintLog",
    "RecordPath",
    "TimeLimit",
]


class Callback(Component):
    """Base of the callbacks: one state for each training that it sees.

    A subclass overrides `begin`, which makes the state, and `after_epoch`; it reads what it needs
    off the fitted estimator it is given, whose attributes are those of a fit that ended there.
    """

    def setup(self, estimator: Any, context: CallbackContext) -> None:
        """Get ready for a training (scikit-learn's hook).

        Parameters
        ----------
        estimator : estimator
            The one that is being fitted.
        context : CallbackContext
            The training's place in the tree of tasks.
        """
        self.check()
        state = self.begin(estimator, context)
        self._states = {**self.__dict__.get("_states", {}), _place(context): state}

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """Let go of a training's state (scikit-learn's hook).

        Parameters
        ----------
        estimator : estimator
            The one that is being fitted.
        context : CallbackContext
            The training's place in the tree of tasks.
        """
        self.__dict__.get("_states", {}).pop(_place(context), None)

    def on_fit_task_begin(self, estimator: Any, context: CallbackContext, **_: Any) -> None:
        """Do nothing before a task (scikit-learn's hook).

        Parameters
        ----------
        estimator : estimator
            The one that is being fitted.
        context : CallbackContext
            The task's place in the tree of tasks.
        **_ : dict
            What other callbacks may ask for.
        """

    def on_fit_task_end(
        self,
        estimator: Any,
        context: CallbackContext,
        *,
        X: Any = None,
        y: Any = None,
        metadata: Any = None,
        fitted_estimator: Any = None,
    ) -> bool:
        """Call `after_epoch` after each epoch (scikit-learn's hook).

        Parameters
        ----------
        estimator : estimator
            The one that is being fitted.
        context : CallbackContext
            The task's place in the tree of tasks.
        X, y : array-like
            As they were given to `fit`.
        metadata : dict or None
            "sample_weight", where `fit` was given one.
        fitted_estimator : estimator
            As if the fit had ended here.

        Returns
        -------
        stop : bool
            Whether to end the training.
        """
        if context.task_name != EPOCH:
            return False
        state = self._states[_place(context.parent)]
        return bool(self.after_epoch(state, fitted_estimator, X, y, metadata or {}))

    def begin(self, estimator: Any, context: CallbackContext) -> dict[str, Any]:
        """Make the state of one training.

        Parameters
        ----------
        estimator : estimator
            Not fitted yet.
        context : CallbackContext
            The training's place in the tree of tasks.

        Returns
        -------
        state : dict
        """
        return {}

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool:
        """See an epoch that is over.

        Parameters
        ----------
        state : dict
            What `begin` made; to be changed in place. An entry "reason" says why it stops.
        model : estimator
            As if the fit had ended here, with ``history_``, ``parameters_`` and the rest.
        X, y : array-like
            As they were given to `fit`.
        metadata : dict
            "sample_weight", where `fit` was given one.

        Returns
        -------
        stop : bool
            Whether to end the training.
        """
        return False

    def stop_reason(self, context: CallbackContext) -> str | None:
        """Say why this callback stopped a training.

        Parameters
        ----------
        context : CallbackContext
            The training's place in the tree of tasks.

        Returns
        -------
        reason : str or None
            None if it did not stop it.
        """
        return self._states.get(_place(context), {}).get("reason")


class EarlyStopping(Callback):
    """Stops when an entry of ``history_`` no longer improves.

    It only stops: the last parameters stay. The estimator's own ``early_stopping=True`` restores
    the best ones.

    Parameters
    ----------
    monitor : str, default="loss"
        Name of a list in ``history_``, such as "loss", "validation_loss" or "validation_score".
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
        check_number("patience", self.patience, low=1, integer=True)
        check_number("min_delta", self.min_delta, low=0)

    def begin(self, estimator: Any, context: CallbackContext) -> dict[str, Any]:
        """Make the state of one training."""
        return {"best": math.inf, "waited": 0}

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool:
        """Count the epochs without improvement."""
        check_choice("EarlyStopping: monitor", self.monitor, model.history_)
        value = model.history_[self.monitor][-1]
        value = -value if self.monitor.endswith("score") else value
        if value < state["best"] - self.min_delta:
            state.update(best=value, waited=0)
            return False
        state["waited"] += 1
        if state["waited"] < self.patience:
            return False
        state["reason"] = f"{self.monitor} did not improve for {self.patience} epochs"
        return True


class TimeLimit(Callback):
    """Stops with the epoch in which a time is over.

    Parameters
    ----------
    seconds : float
        Above 0; counted from the beginning of `fit`.

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

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool:
        """Look at the clock."""
        if time.perf_counter() < state["end"]:
            return False
        state["reason"] = f"{self.seconds:g} seconds are over"
        return True


class PrintLog(Callback):
    """Prints a table: a line for each epoch, with all that ``history_`` holds.

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
    """

    def __init__(self, every: int = 1, sink: Function[[str], Any] | None = None) -> None:
        self.every = every
        self.sink = sink

    def check(self) -> None:
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("every", self.every, low=1, integer=True)
        if self.sink is not None and not callable(self.sink):
            raise TypeError(f"sink takes a function of one line, or None; got {self.sink!r}.")

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool:
        """Print the epoch's line."""
        sink = print if self.sink is None else self.sink
        epoch = {name: values[-1] for name, values in model.history_.items()}
        if not state:
            sink(table_head(epoch))
        if not state or epoch["epoch"] % self.every == 0:
            sink(table_row(epoch))
        state["begun"] = True
        return False


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
        if _is_first_epoch(context):
            self._states[_place(context.parent)]["path"].append(fitted_estimator.parameters_)

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
        if _is_first_epoch(context):
            self._states[_place(context.parent)]["theta"] = fitted_estimator.parameters_

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


class Checkpoint(Callback):
    """Writes the training to a file, from which it can go on to bit-identical parameters.

    The file is replaced as a whole (written beside it, then renamed): whatever happens, the last
    complete one is there. It is a pickle: load only what you have written yourself.

    Parameters
    ----------
    path : str or path-like
        The file. Inside a pipeline or a search, the numbers of the tasks that lead to the
        training come before its suffix: ``run-0-3.ckpt``.
    every : int, default=1
        Epochs from one file to the next.
    resume : bool, default=False
        Whether `fit` goes on from the file where there is one: parameters, the optimizer's state,
        the order of the rows, the rate and the history, as if the training had never been
        stopped. The same settings and data must be given; `max_iter`, and the other limits, may
        be new.

    Raises
    ------
    ValueError
        In `fit`, if the file belongs to a training with other settings or other data.
    TypeError
        In `fit`, before the training, if the estimator cannot be pickled.

    Examples
    --------
    The same lines, run again after a crash, go on where it happened:

    >>> import pathlib, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from skgd import GDClassifier
    >>> from skgd.callbacks import Checkpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "iris.ckpt"
    >>> model = GDClassifier(max_iter=50, tol=None, random_state=0)
    >>> _ = model.set_callbacks(Checkpoint(path, every=10, resume=True)).fit(X, y)
    >>> Checkpoint.load(path).n_iter_
    50
    """

    def __init__(self, path: Any, every: int = 1, resume: bool = False) -> None:
        self.path = path
        self.every = every
        self.resume = resume

    def check(self) -> None:
        """Raise an error that names the wrong parameter, if there is one."""
        if not isinstance(self.path, (str, os.PathLike)):
            raise TypeError(f"path takes the name of a file; got {self.path!r}.")
        if not Path(self.path).parent.is_dir():
            raise ValueError(f"path={str(self.path)!r}: there is no folder of that name.")
        check_number("every", self.every, low=1, integer=True)
        check_bool("resume", self.resume)

    @staticmethod
    def load(path: Any) -> Any:
        """Load the estimator of a file: fitted, as if its training had ended there.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        estimator : estimator
            It predicts; `partial_fit` goes on with it.
        """
        return _read(Path(path))["estimator"]

    def begin(self, estimator: Any, context: CallbackContext) -> dict[str, Any]:
        """Make sure that the training can be written."""
        try:
            pickle.dumps(estimator.get_params(deep=False))
        except Exception as error:
            raise TypeError(
                f"Checkpoint cannot write this {type(estimator).__name__}: {error}. A function "
                "must be one that a module defines, not a lambda or one inside another function."
            ) from None
        return {"file": self._file(context)}

    def resume_from(self, estimator: Any, context: CallbackContext, X: Any, y: Any) -> Any:
        """Find where a training is to go on.

        Parameters
        ----------
        estimator : estimator
            The one that is being fitted.
        context : CallbackContext
            The training's place in the tree of tasks.
        X, y : array-like
            As they were given to `fit`.

        Returns
        -------
        estimator : estimator or None
            That of the file; None where there is no file, or `resume` is False.
        """
        path = self._file(context)
        if not (self.resume and path.exists()):
            return None
        saved = _read(path)
        changed = _differences(saved["estimator"], estimator)
        if changed:
            raise ValueError(
                f"Checkpoint: {str(path)!r} belongs to a training with other settings "
                f"({'; '.join(changed)}). Give those, another path, or resume=False."
            )
        if saved["data"] != _fingerprint(X, y):
            raise ValueError(
                f"Checkpoint: {str(path)!r} belongs to a training on other data. Give the same X "
                "and y, another path, or resume=False."
            )
        return saved["estimator"]

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool:
        """Write the file, where it is time to."""
        if model.n_iter_ % self.every == 0:
            if "data" not in state:
                state["data"] = _fingerprint(X, y)
            _write(state["file"], {"data": state["data"], "estimator": without_hooks(model)})
        return False

    def _file(self, context: CallbackContext) -> Path:
        path, place = Path(self.path), _place(context)[1:]
        if len(place) == 1:  # no pipeline, no search around it
            return path
        return path.with_name("-".join([path.stem, *map(str, place)]) + path.suffix)


_FREE = {"max_iter", "max_time", "max_evals", "verbose", "random_state"}


def _differences(saved: Any, estimator: Any) -> list[str]:
    """Parameters of the two in which they differ, beside those that may."""
    if type(saved) is not type(estimator):
        return [f"{type(saved).__name__} is not {type(estimator).__name__}"]
    was, now = saved.get_params(), estimator.get_params()
    names = sorted({*was, *now} - _FREE)
    return [
        f"{name} was {was.get(name)!r}, is {now.get(name)!r}"
        for name in names
        if pickle.dumps(was.get(name)) != pickle.dumps(now.get(name))
    ]


def _fingerprint(X: Any, y: Any) -> tuple[Any, ...]:
    """Return what tells data apart at little cost: the shape of X, and a checksum of y."""
    y = np.asarray(y)
    plain = np.ascontiguousarray(y.astype(str) if y.dtype == object else y)
    return (*getattr(X, "shape", np.shape(y)), zlib.crc32(plain.tobytes()))


def _is_first_epoch(context: CallbackContext) -> bool:
    return context.task_name == EPOCH and context.task_id == 0


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return pickle.load(file)


def _write(path: Path, data: dict[str, Any]) -> None:
    """Replace the file as a whole: at no time is there half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            pickle.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _place(context: CallbackContext) -> tuple[Any, ...]:
    """Place of a training in the tree of tasks: the tree, and the tasks that lead to it."""
    path: list[Any] = []
    node: CallbackContext | None = context
    while node is not None:
        path.append(node.task_id)
        node = node.parent
    return (context.root_uuid, *reversed(path))
