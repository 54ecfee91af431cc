"""What coordinates are made from: means and spreads of columns and of outputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches
from sklearn.utils.sparsefuncs import mean_variance_axis

from skgd._threads import in_halves
from skgd.losses import Loss
from skgd.objective.batch import Batch

# Of X, the weights of rows and a row to measure from: sums of columns, of squares, of weights.
Sums = Callable[[Any, np.ndarray | None, np.ndarray], tuple[np.ndarray, np.ndarray, float]]

_CHUNK = 2**16  # numbers: small enough for the cache
_SPARSE_CHUNK = 2**18  # entries: many to a column, whose sums pass through the cache for each chunk
_CANCELLED = 0.1  # share of the mean square that a variance should have, as their difference
_SAMPLE = 1000  # rows


def column_statistics(
    X: Any, weight: np.ndarray | None, centred: bool, sums: Sums | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and scale of the columns of X, without a copy of X.

    Parameters
    ----------
    X : ndarray or CSR of shape (n, p)
    weight : ndarray of shape (n,) or None
    centred : bool
        False measures the scale from zero (the root of the mean square) and returns
        means of zero, for a model without an intercept.
    sums : callable or None
        Who adds up the columns: None is `sums_of`, in NumPy.

    Returns
    -------
    mean, scale : ndarray of shape (p,), in the dtype of X
        The scale of a constant column is its value, so that later rows are in proportion.
    """
    mean, variance = _moments(X, weight, centred, sums or sums_of)
    deviation = np.sqrt(variance)
    if not np.isfinite(variance).all():  # squares beyond the largest number
        largest = abs(X).max(axis=0)
        if sparse.issparse(largest):
            largest = largest.toarray().ravel()
        largest = np.maximum(largest, np.finfo(X.dtype).tiny, dtype=np.float64)
        mean, variance = _moments(X, weight, centred, partial(sums_of, unit=largest), largest)
        mean, deviation = mean * largest, np.sqrt(variance) * largest
    # Rounding leaves a constant column a deviation of about eps mean.
    size = np.where(mean == 0, 1.0, np.abs(mean))
    constant = deviation <= 10 * np.finfo(X.dtype).eps * np.abs(mean)
    return mean.astype(X.dtype), np.where(constant, size, deviation).astype(X.dtype)


def _moments(
    X: Any,
    weight: np.ndarray | None,
    centred: bool,
    sums: Sums,
    unit: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and variance of the columns of ``X / unit``, in float64."""
    if sparse.issparse(X):
        if unit is not None:
            X = X.multiply(1.0 / unit).tocsr()
        if centred and X.nnz <= _SPARSE_CHUNK:
            return _differences_from_mean(X, weight)
        first, second, mass = sums(X, weight, np.zeros(X.shape[1]))
        mean, square = first / mass, second / mass
        if not centred:
            return np.zeros_like(mean), square
        variance = square - mean**2
        if (variance < _CANCELLED * square).any():  # of the digits, too many are gone
            return _differences_from_mean(X, weight)
        return mean, variance

    # The squares are those of the distances from the mean of a few rows: about zero, a column
    # far from it would lose its variance to rounding.
    about: np.ndarray = np.zeros(X.shape[1])
    if centred:
        few = _in_units(X[:: -(-X.shape[0] // _SAMPLE)], unit)
        about = few.mean(axis=0, dtype=np.float64)
    first, second, mass = sums(X, weight, about)
    if not centred:
        return about, second / mass
    first /= mass
    return about + first, np.maximum(second / mass - first**2, 0.0)


def sums_of(
    X: Any, weight: np.ndarray | None, about: np.ndarray, unit: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Weighted sums of ``X / unit - about`` and of its squares for each column, and of the weights.

    One pass over X. `about` and `unit` are for dense rows only.
    """
    if sparse.issparse(X):
        return _sums_of_sparse(X, weight)

    def of_half(half: slice) -> tuple[np.ndarray, np.ndarray, float]:
        first, second, mass = np.zeros_like(about), np.zeros_like(about), 0.0
        length = max(1, _CHUNK // X.shape[1])
        room = np.empty((length, X.shape[1]))
        for start in range(half.start, half.stop, length):
            rows = slice(start, min(start + length, half.stop))
            here = room[: rows.stop - start]
            distance = np.subtract(_in_units(X[rows], unit), about, out=here)
            w = np.ones(len(distance)) if weight is None else weight[rows].astype(np.float64)
            first += w @ distance
            distance *= distance
            second += w @ distance
            mass += w.sum()
        return first, second, mass

    halves = in_halves(of_half, X)
    first, second = (np.sum([half[k] for half in halves], axis=0) for k in (0, 1))
    return first, second, sum(half[2] for half in halves)


def _in_units(X: np.ndarray, unit: np.ndarray | None) -> np.ndarray:
    return X if unit is None else X / unit


def _differences_from_mean(X: Any, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and variance of the columns of a CSR matrix, in two passes."""
    mean, variance = mean_variance_axis(X, axis=0, weights=weight)
    # Rounding may go below 0.
    return mean.astype(np.float64), np.maximum(variance, 0.0, dtype=np.float64)


def _sums_of_sparse(X: Any, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, float]:
    """`sums_of` the columns of a CSR matrix, about zero."""
    n, p = X.shape
    weight = np.ones(n) if weight is None else weight.astype(np.float64)
    first, second = np.zeros(p), np.zeros(p)
    length = max(1, _SPARSE_CHUNK * n // max(1, X.nnz))
    for rows in gen_batches(n, length):
        entries = slice(X.indptr[rows.start], X.indptr[rows.stop])
        values = X.data[entries].astype(np.float64, copy=False)
        indptr = X.indptr[rows.start : rows.stop + 1] - entries.start
        # The transpose of these rows: to make it from them takes as long as a product.
        block = sparse.csc_matrix((values, X.indices[entries], indptr), shape=(p, len(indptr) - 1))
        first += block @ weight[rows]
        block.data = np.square(values)
        second += block @ weight[rows]
    return first, second, float(weight.sum())


def output_statistics(
    loss: Loss, data: Batch, centred: bool, together: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Centre and spread of the raw output, and the loss of the constant model.

    Parameters
    ----------
    loss : Loss
    data : Batch
    centred : bool
        False for a model without an intercept.
    together : bool
        One spread for all outputs, for optimizers whose steps grow with the gradient: J bends
        alike along every raw output.

    Returns
    -------
    centre, spread : ndarray of shape (n_outputs,), in the dtype of X
    unit : float
        The unit of J; 1 where the constant model fits perfectly.
    """
    y, dtype = data.y, data.X.dtype

    def average(of_rows: Callable[[slice], np.ndarray]) -> np.ndarray:
        return _weighted_mean(of_rows, y.shape, data.weight)

    mean = np.atleast_1d(average(lambda rows: y[rows]))
    centre = loss.link_of_mean(mean) if centred else np.zeros_like(mean)
    level = centre if y.ndim == 2 else centre[0]
    spread = np.ones_like(mean)
    if loss.in_units_of_y:
        spread = np.sqrt(np.atleast_1d(average(lambda rows: np.square(y[rows] - level))))
        constant = spread <= 10 * np.finfo(dtype).eps * np.abs(mean)
        spread = np.where(constant | ~np.isfinite(spread), 1.0, spread)
    if together:
        spread[:] = np.sqrt(np.mean(spread**2))
    unit = loss.unit
    if unit is None:
        of_rows = average(lambda rows: loss.value(y[rows], np.broadcast_to(level, y[rows].shape)))
        unit = float(of_rows)
    if not (np.isfinite(unit) and unit > np.finfo(dtype).tiny):
        unit = 1.0
    return centre.astype(dtype), spread.astype(dtype), unit


def _weighted_mean(
    of_rows: Callable[[slice], np.ndarray], shape: tuple[int, ...], weight: np.ndarray | None
) -> np.ndarray:
    """Weighted mean over rows in float64, a chunk at a time: no array as long as the data."""
    total: Any = 0.0
    mass = 0.0
    width = int(np.prod(shape[1:]))
    for rows in gen_batches(shape[0], max(1, _CHUNK // width)):
        values = of_rows(rows)
        w = np.ones(len(values)) if weight is None else weight[rows].astype(np.float64)
        total = total + w @ values
        mass += w.sum()
    return total / mass
