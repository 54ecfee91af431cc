"""Sums of columns and of squares: kernels; the NumPy form is `objective.statistics.sums_of`."""

from __future__ import annotations

import numpy as np
from numba import njit

from skgd.compiled.numbers import EXACT


@njit(**EXACT)
def add_sums(X, about, weight, first, second, lo, hi):
    """Add rows lo to hi of a dense matrix, which is flat."""
    p = about.size
    for i in range(lo, hi):
        w = weight[i] if weight.size else 1.0
        row = X[i * p : (i + 1) * p]  # indices from 0 on: no sign to look at, so it is vectorised
        for j in range(p):
            distance = row[j] - about[j]
            first[j] += w * distance
            second[j] += w * distance * distance


@njit(**EXACT)
def add_sparse_sums(values, indices, indptr, weight, first, second, lo, hi):
    """Add rows lo to hi of a CSR matrix, about zero."""
    for i in range(lo, hi):
        w = weight[i] if weight.size else 1.0
        for k in range(indptr[i], indptr[i + 1]):
            j, value = np.uint32(indices[k]), np.float64(values[k])
            first[j] += w * value
            second[j] += w * value * value
