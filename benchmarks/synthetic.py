"""Data made for the clock: any number of rows and columns."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def linear(n: int, p: int, task: str, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Standardised, correlated columns (three factors), and a target that a linear model explains.

    `task` is "logistic" (two classes) or "squared" (noise of standard deviation .5).
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    factors = rng.standard_normal((n, 3))
    loadings = 0.5 * rng.standard_normal((3, p))
    for start in range(0, n, 10_000):
        X[start : start + 10_000] += factors[start : start + 10_000] @ loadings
    X /= X.std(axis=0)
    signal = X @ (rng.standard_normal(p) / np.sqrt(p))
    if task == "logistic":
        return X.astype(dtype), (rng.random(n) < 1 / (1 + np.exp(-2 * signal))).astype(int)
    return X.astype(dtype), (signal + 0.5 * rng.standard_normal(n)).astype(dtype)


def bag_of_words(n: int, p: int, words: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Rows of unit length with `words` nonzeros, common words more often, two classes."""
    rng = np.random.default_rng(0)
    columns = np.minimum((p * rng.random((n, words)) ** 3).astype(np.int32), p - 1)
    values = rng.random((n, words)) + 0.5
    rows = np.repeat(np.arange(n, dtype=np.int32), words)
    X = sparse.csr_matrix((values.ravel(), (rows, columns.ravel())), shape=(n, p))
    X.sum_duplicates()
    lengths = np.sqrt(X.multiply(X).sum(axis=1)).A1
    X.data /= np.repeat(lengths, np.diff(X.indptr))
    signal = X @ rng.standard_normal(p)
    return X, (rng.random(n) < 1 / (1 + np.exp(-6 * signal))).astype(int)


def classes(n: int, p: int, n_classes: int, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Draw normal columns; two classes lie around a curve, more go by their largest column."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p)).astype(dtype)
    if n_classes == 2:
        return X, (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)
    return X, np.argmax(X[:, :n_classes] + rng.standard_normal((n, n_classes)), axis=1)
