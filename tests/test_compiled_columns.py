"""Sums of columns in machine code: against NumPy, scikit-learn's scaler, and themselves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from skgd import GDRegressor, config_context

pytest.importorskip("numba")

from skgd import _threads
from skgd.compiled import columns
from skgd.objective.statistics import column_statistics

FEW, MANY = 1, 40_000  # rows of 7 columns: half of them none, and enough for the kernels


def data(n, dtype=np.float64, csr=False):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 7)) * np.geomspace(1e-3, 1e3, 7)
    X[rng.random(X.shape) < 0.4] = 0.0
    X = X.astype(dtype)
    return (sparse.csr_matrix(X) if csr else X), rng.uniform(0, 3, n).astype(dtype)


@pytest.mark.parametrize("n", [FEW, MANY])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_those_of_numpy(n, dtype, csr, weighted):
    X, w = data(n, dtype, csr)
    about = np.zeros(7) if csr else np.linspace(-1, 1, 7)
    first, second, mass = columns.sums_of(X, w if weighted else None, about)
    distance = (X.toarray() if csr else X).astype(np.float64) - about
    of_rows = w.astype(np.float64) if weighted else np.ones(n)
    scale = np.abs(distance).T @ of_rows
    assert_allclose(first, distance.T @ of_rows, rtol=0, atol=1e-12 * scale.max())
    assert_allclose(second, (distance**2).T @ of_rows, rtol=1e-12)
    assert mass == pytest.approx(of_rows.sum(), rel=1e-12)


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_those_of_a_scaler(csr, weighted):
    X, w = data(80_000, csr=csr)  # enough entries of CSR for one pass about zero
    w = w if weighted else None
    scaler = StandardScaler(with_mean=not csr).fit(X, sample_weight=w)
    mean, scale = column_statistics(X, w, True, columns.sums_of)
    dense = X.toarray() if csr else X
    assert_allclose(mean, np.average(dense, axis=0, weights=w), rtol=1e-9)
    assert_allclose(scale, scaler.scale_, rtol=1e-9)


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
def test_same_bits_for_any_number_of_threads(csr):
    X, w = data(MANY * 2, csr=csr)
    given = []
    for threads in (1, 2):
        token = _threads._allowed.set(threads)
        try:
            given.append(columns.sums_of(X, w, np.zeros(7)))
        finally:
            _threads._allowed.reset(token)
    for one, two in zip(*given, strict=True):
        assert_array_equal(one, two)


def test_columns_far_from_zero_and_beyond_squares():
    """A constant column, one far from zero, one whose squares overflow."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(MANY, 3))
    X[:, 0] = 4.0
    X[:, 1] = 1e6 + X[:, 1]
    X[:, 2] *= 1e200
    with np.errstate(over="ignore", invalid="ignore"):  # as in a fit
        mean, scale = column_statistics(X, None, True, columns.sums_of)
    assert (mean[0], scale[0]) == (4.0, 4.0)
    assert_allclose(scale[1], X[:, 1].std(), rtol=1e-9)
    assert_allclose(scale[2] / 1e200, (X[:, 2] / 1e200).std(), rtol=1e-9)


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
def test_fits_of_both_engines_begin_alike(csr, monkeypatch):
    X, w = data(80_000, csr=csr)  # 336,000 entries of CSR
    y = X @ np.linspace(-1, 1, 7) + w
    calls, sums_of = [], columns.sums_of
    monkeypatch.setattr(columns, "sums_of", lambda *given: calls.append(1) or sums_of(*given))
    given = []
    for engine in ("numpy", "numba"):
        with config_context(engine=engine):
            given.append(GDRegressor(max_iter=2, tol=None, random_state=0).fit(X, y, w))
        assert len(calls) == (engine == "numba")
    assert_allclose(given[1].coef_, given[0].coef_, rtol=1e-9, atol=1e-12)
