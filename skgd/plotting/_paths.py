"""Paths of descent: the parameters after each epoch, as they are given or recorded here."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skgd._component import check_number
from skgd.callbacks import RecordPath
from skgd.optimizers import LBFGS, resolve_optimizer


def as_paths(paths: Any, n_parameters: int) -> dict[str, np.ndarray]:
    """Return paths by name, each of shape (n_points, n_parameters), up to the last finite point.

    A path is an array, or an object with an array `path_`.
    """
    if not isinstance(paths, Mapping):
        several = isinstance(paths, (list, tuple)) and np.ndim(_array_of(paths[:1])) == 3
        listed = list(paths) if several else [paths]
        paths = {f"path {number}": path for number, path in enumerate(listed, start=1)}
        if not several:
            paths = {"path": listed[0]}
    if not paths:
        raise ValueError("paths is empty: give at least one path, or None.")
    return {str(name): _as_path(str(name), path, n_parameters) for name, path in paths.items()}


def _array_of(path: Any) -> Any:
    if isinstance(path, (list, tuple)):
        return [getattr(part, "path_", part) for part in path]
    return getattr(path, "path_", path)


def _as_path(name: str, path: Any, n_parameters: int) -> np.ndarray:
    try:
        points = np.array(_array_of(path), dtype=np.float64)
    except (TypeError, ValueError):
        points = np.array(np.nan)
    if points.ndim != 2 or points.shape[1] != n_parameters or not len(points):
        raise ValueError(
            f"paths: {name!r} must have shape (n_points, {n_parameters}), a row of parameters for "
            f"each epoch, the start first; it has shape {points.shape}."
        )
    lost = ~np.isfinite(points).all(axis=1)
    if lost.any():
        points = points[: int(np.argmax(lost))]
    if not len(points):
        raise ValueError(f"paths: {name!r} is not finite where it starts.")
    return points


class _FirstEpochs(RecordPath):
    """Keeps the path of some epochs, and ends the training after them."""

    def __init__(self, n_epochs: int) -> None:
        self.n_epochs = n_epochs

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool:
        super().after_epoch(state, model, X, y, metadata)
        return len(state["path"]) > self.n_epochs


def record_path(
    estimator: Any, X: Any, y: Any, *, n_epochs: int | None = None, start: Any = None
) -> np.ndarray:
    """Train a clone, and return its parameters before the first epoch and after each.

    Parameters
    ----------
    estimator : estimator of skgd
        It does not change.
    X, y : array-like
    n_epochs : int or None
        None is as many as the estimator was fitted for, or its `max_iter`. Fewer than that are
        the first epochs of the same training: a schedule is not shortened.
    start : array-like of shape (n_parameters,) or None
        Where to begin; None is where `fit` would.

    Returns
    -------
    path : ndarray of shape (n_epochs + 1, n_parameters)
        Shorter where the training ends before, or diverges.
    """
    if n_epochs is None:
        n_epochs = getattr(estimator, "n_iter_", 0) or estimator.max_iter
    check_number("n_epochs", n_epochs, low=1, integer=True)
    record = _FirstEpochs(int(n_epochs))
    # It may stop before max_iter, which a schedule takes for its horizon.
    longest = max(int(n_epochs), estimator.max_iter)
    learner = clone(estimator).set_params(verbose=0, max_iter=longest)
    if not isinstance(resolve_optimizer(estimator.optimizer), LBFGS):  # which needs its tol
        learner.set_params(tol=None)
    if start is not None:
        learner.set_params(warm_start=True).initialize(X, y, parameters=start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # DivergenceWarning is one, too
        learner.set_callbacks(record).fit(X, y)
    path = record.path_
    lost = ~np.isfinite(path).all(axis=1)
    return path[: int(np.argmax(lost))] if lost.any() else path
