"""Whether data are finite; how well the present parameters do on rows that were kept back."""

from __future__ import annotations

import copy
import inspect
import warnings
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.utils import assert_all_finite

from skgd._threads import in_halves
from skgd.descent import Monitor, Progress
from skgd.objective import Batch, Objective


def check_finite(X: np.ndarray, name: str) -> None:
    """As scikit-learn's check, which raises a ValueError, on two threads.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    name : str
        The estimator's, for the message.
    """
    with np.errstate(all="ignore"):
        total = sum(in_halves(lambda rows: X[rows].sum(), X))
    if not np.isfinite(total):  # the sum of finite numbers may overflow
        assert_all_finite(X, estimator_name=name, input_name="X")


def try_monitor(monitor: Monitor, progress: Progress) -> None:
    """Find out before the first step whether a scorer works; what it says there does not count.

    Parameters
    ----------
    monitor : callable
    progress : Progress

    Raises
    ------
    Exception
        Whatever the scorer raises.
    """
    with warnings.catch_warnings():  # of scores that mean little before any training
        warnings.simplefilter("ignore")
        monitor(progress)


def validation_monitor(estimator: Any, objective: Objective, held_out: Batch) -> Monitor:
    """Return a function ``progress -> (validation loss, validation score)`` for the loop.

    Parameters
    ----------
    estimator : estimator
        Its `scoring` chooses the score: "loss" (the score is minus the validation loss), None
        for the estimator's own `score`, or anything that scikit-learn takes as a scorer.
    objective : Objective
    held_out : Batch
        Rows, encoded targets and sample weights. Class weights and the penalty have no
        part in the validation loss.

    Returns
    -------
    monitor : callable
    """
    model, loss = objective.model, objective.loss
    weight = held_out.weight
    if not (isinstance(estimator.scoring, str) and estimator.scoring == "loss"):
        scorer = check_scoring(estimator, scoring=estimator.scoring)
        labels = estimator._labels_of(held_out.y)
        takes = inspect.signature(scorer).parameters.values()
        weighted = any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in takes)
        weights = {"sample_weight": weight} if weighted and weight is not None else {}

    def monitor(progress: Progress) -> tuple[float, float]:
        theta = progress.parameters()
        losses = loss.value(held_out.y, model.raw(model.layers(theta), held_out.X))
        value = float(np.average(losses, weights=weight))
        if isinstance(estimator.scoring, str) and estimator.scoring == "loss":
            return value, -value
        snapshot = copy.copy(estimator)
        snapshot._model_, snapshot._loss_ = model, loss
        snapshot._unpack(theta)
        snapshot.n_iter_ = progress.epoch
        snapshot.__dict__.pop("feature_names_in_", None)  # the held-out rows have no names
        return value, float(scorer(snapshot, held_out.X, labels, **weights))

    return monitor
