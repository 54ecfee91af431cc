"""Rows of data, as J is evaluated on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Batch(NamedTuple):
    """Rows to evaluate J on.

    Attributes
    ----------
    X : ndarray or CSR of shape (n, n_features)
    y : ndarray of shape (n,) or (n, n_outputs)
        Targets as the loss takes them: {0, 1} or one-hot for classes.
    weight : ndarray of shape (n,) or None
        ``w_i / mean w``; None stands for ones.
    masks : tuple of ndarray of shape (n, units), or None
        Factors on the outputs of each hidden layer (see `skgd.objective.dropout`); None for none.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray | None
    masks: tuple[np.ndarray, ...] | None = None

    def rows(self, index: np.ndarray | slice) -> Batch:
        """Return the rows of `index`, in new arrays if it is an array."""
        weight = None if self.weight is None else self.weight[index]
        masks = None if self.masks is None else tuple(mask[index] for mask in self.masks)
        return Batch(self.X[index], self.y[index], weight, masks)

    def view(self, start: int, stop: int) -> Batch:
        """Return the rows from start to stop, where they lie."""
        if start == 0 and stop == self.X.shape[0]:
            return self
        return self.rows(slice(start, stop))

    def astype(self, dtype: Any) -> Batch:
        """Return the batch in this dtype; nothing is copied that has it."""

        def converted(array: Any) -> Any:
            return array.astype(dtype, copy=False)

        weight = None if self.weight is None else converted(self.weight)
        masks = None if self.masks is None else tuple(map(converted, self.masks))
        return Batch(converted(self.X), converted(self.y), weight, masks)
