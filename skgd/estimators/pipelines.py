"""What learns inside a Pipeline or a search, and the rows as it sees them."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline


def learner_of(estimator: Any) -> Any:
    """Return what learns inside a Pipeline or a search."""
    while (inside := _unwrapped(estimator)) is not estimator:
        estimator = inside
    return estimator


def rows_seen(estimator: Any, X: Any, y: Any) -> Any:
    """Return X as the learner sees it, through the first steps of its Pipelines.

    They are those that the Pipeline was fitted with. Where the learner is not fitted, clones of
    them are fitted on X and y.
    """
    fitted = hasattr(learner_of(estimator), "n_iter_")
    while (inside := _unwrapped(estimator)) is not estimator:
        if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
            first = estimator[:-1]
            X = first.transform(X) if fitted else clone(first).fit_transform(X, y)
        estimator = inside
    return X


def _unwrapped(estimator: Any) -> Any:
    """Return the best candidate of a search, the last step of a Pipeline, else the same."""
    if hasattr(estimator, "best_estimator_"):
        return estimator.best_estimator_
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
