"""Sums of columns and of their squares, in one pass over X, which takes as long as to read it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from scipy import sparse

from skgd._threads import allowed_threads
from skgd.compiled import compiler
from skgd.compiled.training import flat


def sums_of(
    X: Any, weight: np.ndarray | None, about: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Weighted sums of ``X - about`` and of its squares, for each column, and of the weights."""
    n = X.shape[0]
    is_sparse = sparse.issparse(X)
    kernel = compiler.sums(X.dtype)[is_sparse]
    data: tuple[np.ndarray, ...]
    if is_sparse:
        data = (flat(X.data), flat(X.indices), X.indptr.astype(np.int64))
    else:
        data = (flat(X), about)
    weights = np.empty(0) if weight is None else weight.astype(np.float64)

    def part(rows: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        first, second = np.zeros_like(about), np.zeros_like(about)
        kernel(*data, weights, first, second, *rows)
        return first, second

    # Always halves: the sums are the same for any number of threads.
    halves = [(0, n // 2), (n // 2, n)]
    if allowed_threads() < 2:
        parts = [part(rows) for rows in halves]
    else:
        with ThreadPoolExecutor(1) as other:
            waiting = other.submit(part, halves[1])
            parts = [part(halves[0]), waiting.result()]
    first, second = (np.sum([part[k] for part in parts], axis=0) for k in (0, 1))
    return first, second, float(n) if weight is None else float(weights.sum())
