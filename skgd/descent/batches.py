"""The batches of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from skgd.descent.plan import Plan
from skgd.objective import Batch

_CHUNK = 2**16  # row numbers


class Batches:
    """The batches of an epoch: a uniform random permutation of the rows, or all at once.

    The permutation depends on the seed and the number of the epoch alone, so that a
    training that goes on sees the same batches as one that was never stopped. Rows are
    gathered into arrays that are made once; X itself is not copied.

    Parameters
    ----------
    data : Batch
    rows : ndarray of int or None
        The rows to train on; None is all.
    plan : Plan
    """

    def __init__(self, data: Batch, rows: np.ndarray | None, plan: Plan) -> None:
        self.n = data.X.shape[0] if rows is None else len(rows)
        self.size = min(plan.batch_size, self.n)
        if plan.drop_last:
            self.n -= self.n % self.size
        self.plan = plan
        whole = self.size == (data.X.shape[0] if rows is None else len(rows))
        if whole and rows is not None:
            data, rows = data.rows(rows), None
        self.data = data
        self.rows = rows
        # Whether the rows of a batch lie one after the other.
        self.in_order = whole or (rows is None and not plan.shuffle)
        n_all = data.X.shape[0] if rows is None else len(rows)
        # int64, which NumPy shuffles faster than shorter numbers.
        self._order = np.empty(0 if self.in_order else n_all, dtype=np.int64)
        if not self.in_order:
            self._take_X = _gatherer(data.X, self.size)
            self._take_y = _gatherer(data.y, self.size)
            self._take_weight: Callable[[np.ndarray], Any] = lambda rows: None
            if data.weight is not None:
                self._take_weight = _gatherer(data.weight, self.size)

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """Batches of this epoch; each is overwritten by the next."""
        self.draw_order(epoch)
        for start in range(0, self.n, self.size):
            if self.in_order:
                yield self.data.view(start, min(start + self.size, self.n))
            else:
                rows = self.row_numbers[start : start + self.size]
                yield Batch(self._take_X(rows), self._take_y(rows), self._take_weight(rows))

    @property
    def row_numbers(self) -> np.ndarray:
        """Where `draw_order` writes the numbers of the rows; empty where they are in order."""
        return self._order[: self.n]

    def draw_order(self, epoch: int) -> None:
        """Write the numbers of the rows in the order of this epoch's steps."""
        if self.in_order:
            return
        if self.rows is not None:
            self._order[:] = self.rows
        else:
            for rows in gen_batches(len(self._order), _CHUNK):
                self._order[rows] = np.arange(rows.start, rows.stop)
        if self.plan.shuffle:
            np.random.default_rng([self.plan.seed, epoch]).shuffle(self._order)

    def first(self) -> Batch:
        """Rows to judge parameters on: as many as one batch has, and not overwritten by batches."""
        if self.rows is None:
            return self.data.view(0, self.size)
        return self.data.rows(self.rows[: self.size])


def _gatherer(array: Any, size: int) -> Callable[[np.ndarray], Any]:
    """Return a function that takes rows of `array`: into one buffer, or as a new CSR matrix."""
    if sparse.issparse(array):
        return lambda rows: array[rows]
    buffer = np.empty((size, *array.shape[1:]), dtype=array.dtype)
    # mode="clip" writes straight into `out`; the default mode goes through a copy.
    return lambda rows: np.take(array, rows, axis=0, out=buffer[: len(rows)], mode="clip")
