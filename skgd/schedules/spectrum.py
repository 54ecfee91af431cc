"""How far the rows spread: the largest eigenvalue and the trace of their second moments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse

from skgd.objective import Batch
from skgd.objective.coordinates import Coordinates

_SAMPLE = 1000  # rows that are looked at
_POWER_ITERATIONS = 20
_TINY = float(np.finfo(np.float64).tiny)


def stride_of(X: Any) -> int:
    """Return every how many-th row is looked at."""
    return -(-X.shape[0] // _SAMPLE)


def spectrum(data: Batch, coordinates: Coordinates) -> tuple[float, float]:
    """Largest eigenvalue and trace of ``Z^T Z / n`` for the inputs Z in the coordinates of u.

    The trace is the mean square length of a row. A column of ones stands for the intercept.
    """
    stride = stride_of(data.X)
    X = data.X[::stride].astype(np.float64)
    weight = np.ones(X.shape[0])
    if data.weight is not None:
        weight = data.weight[::stride].astype(np.float64)
    weight = weight / weight.sum()
    mean, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    if coordinates.mean is not None and coordinates.scale is not None:
        mean = coordinates.mean.astype(np.float64)
        scale = coordinates.scale.astype(np.float64)
    # What is alike in all rows: the ones, and the columns that are zero in all of these rows.
    alike = float(coordinates.model.fit_intercept)
    if issparse(X):
        mean = mean / scale
        X.data /= scale[X.indices]
        X, present = _without_empty_columns(X)
        absent = mean.copy()
        absent[present] = 0.0
        alike += float(absent @ absent)
        mean = mean[present]
        lengths = X.multiply(X).sum(axis=1).A1 - 2.0 * (X @ mean) + mean @ mean
    else:
        X = (X - mean) / scale
        lengths = np.square(X).sum(axis=1)
        mean = np.zeros(X.shape[1])

    # Power iteration by r = Z v, which has an entry for each row, where v has one for each column.
    # It begins with a v (the last is the intercept's): the order of the rows makes no difference.
    v, v_last = np.split(np.random.default_rng(0).standard_normal(X.shape[1] + 1), [-1])
    r = X @ v - mean @ v + math.sqrt(alike) * v_last
    transposed, eigenvalue = X.T, 0.0
    for _ in range(_POWER_ITERATIONS):
        s = weight * r / max(math.sqrt(weight @ np.square(r)), _TINY)
        v = transposed @ s - mean * s.sum()
        r = X @ v - mean @ v + alike * s.sum()  # Z Z^T s
        eigenvalue = math.sqrt(weight @ np.square(r))  # rises to the largest, at times in stairs
    return eigenvalue, alike + float(weight @ lengths)


def _without_empty_columns(X: Any) -> tuple[Any, np.ndarray]:
    """CSR matrix of the columns that have entries, and which these are."""
    is_present = np.zeros(X.shape[1], dtype=bool)
    is_present[X.indices] = True
    present = np.flatnonzero(is_present)
    number = np.empty(X.shape[1], dtype=X.indices.dtype)
    number[present] = np.arange(len(present))
    return csr_matrix((X.data, number[X.indices], X.indptr), (X.shape[0], len(present))), present
