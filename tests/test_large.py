"""Data so large that passes over them are shared by two threads, and that labels are counted."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, config_context
from skgd._threads import is_large
from skgd.estimators.targets import _unique
from skgd.objective.statistics import column_statistics

N, P = 2**18, 8


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, P)) * np.logspace(-3, 3, P) + np.logspace(3, -3, P)
    return X, (X[:, 0] > X[:, 0].mean()).astype(int)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("learning_rate", ["auto", 0.01])
@pytest.mark.parametrize("make", [GDClassifier, lambda **k: MLPBackpropClassifier((3,), **k)])
def test_what_is_not_finite_is_found(data, make, learning_rate, value):
    X, y = data
    X = X.copy()
    X[-3, 1] = value
    assert is_large(X)
    model = make(learning_rate=learning_rate, max_iter=1)
    with pytest.raises(ValueError, match="Input X contains"):
        model.fit(X, y)
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize("make", [GDRegressor, lambda **k: MLPBackpropClassifier((3,), **k)])
def test_predictions_find_it_too(data, make):
    X, y = data
    model = make(max_iter=1, tol=None, random_state=0).fit(X, y)
    few = X[:1000]
    np.testing.assert_allclose(model.predict(X)[:1000], model.predict(few), rtol=1e-12)
    X = X.copy()
    X[5, 2] = -np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        model.predict(X)


def test_predictions_of_huge_finite_rows_overflow_without_an_error(data):
    X, y = data
    model = GDRegressor(max_iter=1, tol=None, random_state=0).fit(X, y)
    X = X.copy()
    X[7] = 1e308 * np.sign(model.coef_)
    expected = 1e308 * np.abs(model.coef_).sum()  # which may be inf
    assert model.predict(X * 1.0)[7] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_column_statistics_are_those_of_a_scaler(data, weighted):
    X, _ = data
    weight = np.random.default_rng(1).uniform(0.5, 2, N) if weighted else None
    scaler = StandardScaler().fit(X, sample_weight=weight)
    mean, scale = column_statistics(X, weight, True)
    np.testing.assert_allclose(mean, scaler.mean_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(scale, scaler.scale_, rtol=1e-9)


def test_column_statistics_of_a_column_that_is_rarely_not_zero():
    X = np.zeros((N, P))
    X[1::50_000, 0] = 1e6  # not among the rows that the mean is guessed from
    mean, scale = column_statistics(X, None, True)
    assert mean[0] == pytest.approx(X[:, 0].mean(), rel=1e-12)
    assert scale[0] == pytest.approx(X[:, 0].std(), rel=1e-9)


@pytest.mark.parametrize(
    "y",
    [
        np.array([3, 1, 3, 2], dtype=np.int8),
        np.array([-128, 127, 0], dtype=np.int8),
        np.array([0, 255], dtype=np.uint8),
        np.array([2**63 + 5, 2**63 + 7], dtype=np.uint64),
        np.array([-(2**62), 2**62]),
        np.array([10**15, 10**15 + 3, 10**15]),
        np.array([True, False]),
        np.array(["b", "a"]),
        np.array([0.5, 1.5]),
    ],
)
def test_labels_are_those_of_numpy(y):
    found = _unique(y)
    np.testing.assert_array_equal(found, np.unique(y))
    assert found.dtype == y.dtype


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("source", ["analytic", "backprop"])
def test_blocks_of_rows_add_up_to_j_and_its_gradient(data, source, weighted):
    X, y = data[0][:10_001], data[1][:10_001]  # the last block is shorter
    X = StandardScaler().fit_transform(X)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X)) if weighted else None
    theta = np.linspace(-1, 1, P + 1)
    J = GDClassifier(alpha=0.1, gradient=source).objective(X, y, weight)
    p = 1 / (1 + np.exp(-X @ theta[:P] - theta[P]))
    penalty = 0.05 * theta[:P] @ theta[:P]
    expected = log_loss(y, p, sample_weight=weight) + penalty
    value, gradient = J(theta)
    assert value == pytest.approx(expected, rel=1e-12)
    assert J.value(theta) == pytest.approx(expected, rel=1e-12)
    by_weight = np.average((p - y)[:, None] * X, axis=0, weights=weight) + 0.1 * theta[:P]
    by_intercept = np.average(p - y, weights=weight)
    np.testing.assert_allclose(gradient, [*by_weight, by_intercept], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("source", ["analytic", "backprop"])
def test_blocks_of_rows_of_a_network(source):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4500, 3)), rng.integers(0, 3, 4500)
    J = MLPBackpropClassifier((4,), "tanh", gradient=source, random_state=0).objective(X, y)
    W, V, b, c = J.unpack(J.x0).values()
    raw = np.tanh(X @ W + b) @ V + c
    p = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    penalty = 0.5e-3 * sum((w * w).sum() for w in (W, V))
    assert MLPBackpropClassifier().alpha == 1e-3
    assert J(J.x0)[0] == pytest.approx(log_loss(y, p) + penalty, rel=1e-12)
    direction = rng.normal(size=J.x0.size)
    slope = (J.value(J.x0 + 1e-5 * direction) - J.value(J.x0 - 1e-5 * direction)) / 2e-5
    assert J.gradient(J.x0) @ direction == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (GDClassifier, (2**18, 32)),
        (lambda **k: MLPBackpropClassifier((32,), "relu", **k), (2**17, 80)),
    ],
)
def test_the_solver_needs_little_memory_beside_the_data(make, shape, engine):
    if engine == "numba":
        pytest.importorskip("numba")
    X = np.random.default_rng(0).normal(size=shape)
    y = (X[:, 0] > 0).astype(int)
    model = make(optimizer="lbfgs", max_iter=2, tol=None, random_state=0)
    with config_context(engine=engine):
        model.fit(X[:3000], y[:3000])
        tracemalloc.start()
        model.fit(X, y)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 0.1 * X.nbytes
