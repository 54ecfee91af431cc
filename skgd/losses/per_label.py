"""Several labels for a row: a loss of two classes, summed over the labels."""

# ruff: noqa: D102 - the methods are documented once, in the base class
from __future__ import annotations

from typing import Any

import numpy as np

from skgd.losses.base import Loss


class PerLabel(Loss):
    """Sum over the labels of a loss for two classes, ``sum_k loss(y_k, raw_k)``.

    A row may have any number of labels, so there is no softmax. Estimators make it where y is an
    indicator matrix; there is no need to.

    Parameters
    ----------
    loss : Loss
        Of a classifier.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import LogLoss
    >>> from skgd.losses.per_label import PerLabel
    >>> y, raw = np.array([[1.0, 1.0, 0.0]]), np.zeros((1, 3))
    >>> PerLabel(LogLoss()).value(y, raw).round(4)  # 3 log 2
    array([2.0794])
    >>> PerLabel(LogLoss()).inverse_link(raw)
    array([[0.5, 0.5, 0.5]])
    """

    task = "classification"

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        for name in ("has_proba", "holomorphic", "smooth", "degenerate", "convex", "unit"):
            setattr(self, name, getattr(loss, name))

    @property
    def any_rows(self) -> bool:
        return self.loss.any_rows

    @property
    def has_gradient(self) -> bool:
        return self.loss.has_gradient

    def value(self, y: np.ndarray, raw: Any) -> Any:
        # Each label of each row is a sample of its own.
        terms = self.loss.value(y.reshape(-1), np.reshape(raw, (-1,)))
        return np.sum(np.reshape(terms, y.shape), axis=1)

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return self.value_and_gradient(y, raw)[1]

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        terms, slopes = self.loss.value_and_gradient(y.reshape(-1), raw.reshape(-1))
        return terms.reshape(y.shape).sum(axis=1), slopes.reshape(y.shape)

    def inverse_link(self, raw: np.ndarray) -> np.ndarray:
        return self.loss.inverse_link(raw.reshape(-1)).reshape(raw.shape)

    def link_name(self, n_outputs: int = 1) -> str:
        return self.loss.link_name()

    def link_of_mean(self, mean: Any) -> Any:
        return np.array([self.loss.link_of_mean(share) for share in mean])

    def curvature(self, n_outputs: int = 1) -> float | None:
        return self.loss.curvature()
