"""Functions for plain, complex and traced arrays: values, stability, and derivatives."""

import numpy as np
import pytest
import scipy.sparse
import scipy.special as sc
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skgd import special
from skgd.autodiff import grad, value_and_vjp

rng = np.random.default_rng(0)
X = rng.normal(scale=3.0, size=(4, 5))

ELEMENTWISE = {
    special.softplus: lambda x: np.logaddexp(0.0, x),
    special.expit: sc.expit,
    special.erf: sc.erf,
}
ALONG_AXIS = {
    special.logsumexp: sc.logsumexp,
    special.softmax: sc.softmax,
    special.log_softmax: sc.log_softmax,
}
BOTH = {**ELEMENTWISE, **ALONG_AXIS}


def name(function):
    return function.__name__


@pytest.mark.parametrize("function", BOTH, ids=name)
def test_values_are_scipys(function):
    np.testing.assert_allclose(function(X), BOTH[function](X, **default_axis(function)), rtol=1e-13)


def default_axis(function):
    return {"axis": -1} if function in (special.softmax, special.log_softmax) else {}


@pytest.mark.parametrize("function", ALONG_AXIS, ids=name)
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
def test_axes(function, axis):
    np.testing.assert_allclose(
        function(X, axis=axis), ALONG_AXIS[function](X, axis=axis), rtol=1e-13
    )
    np.testing.assert_allclose(function(x=X, axis=axis), function(X, axis))


def test_logsumexp_keepdims():
    for axis in (None, 0, -1, (0, 1)):
        got = special.logsumexp(X, axis=axis, keepdims=True)
        np.testing.assert_allclose(got, sc.logsumexp(X, axis=axis, keepdims=True))
        assert got.shape == sc.logsumexp(X, axis=axis, keepdims=True).shape


@pytest.mark.parametrize("function", BOTH, ids=name)
def test_precision_is_kept(function):
    assert function(X.astype(np.float32)).dtype == np.float32
    assert function(X.astype(np.float32)[0]).dtype == np.float32
    assert function(X).dtype == np.float64
    assert np.asarray(function(np.array([1, 2]))).dtype == np.float64
    gradient = grad(lambda x: np.sum(function(x) ** 2))(X.astype(np.float32))
    assert gradient.dtype == np.float32


@pytest.mark.parametrize("function", [special.softplus, special.expit, special.erf], ids=name)
def test_numbers_are_accepted(function):
    np.testing.assert_allclose(function(0.5), ELEMENTWISE[function](0.5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_values(dtype):
    x = np.array([-1e4, -80.0, 0.0, 80.0, 1e4], dtype)
    half, low = dtype(0.5), np.exp(dtype(-80.0))
    with np.errstate(under="ignore", over="raise", invalid="raise", divide="raise"):
        np.testing.assert_allclose(special.softplus(x), [0, low, np.log(dtype(2)), 80, 1e4], 1e-6)
        np.testing.assert_allclose(special.expit(x), [0, low, half, 1, 1], 1e-6)
        np.testing.assert_allclose(special.erf(x), [-1, -1, 0, 1, 1])
        np.testing.assert_allclose(special.softmax(x), [0, 0, 0, 0, 1])
        np.testing.assert_allclose(special.log_softmax(x), x - dtype(1e4))
        assert special.logsumexp(x) == 1e4
        assert special.logsumexp(-x) == 1e4
        assert special.logsumexp(np.full(4, -1e4, dtype)) == pytest.approx(
            np.log(4) - 1e4, rel=1e-6
        )
        # The gradients are exact there, and finite.
        total = {f: grad(lambda x, f=f: np.sum(f(x)))(x) for f in BOTH}
    np.testing.assert_allclose(total[special.softplus], special.expit(x))
    np.testing.assert_allclose(total[special.logsumexp], special.softmax(x))
    assert all(np.isfinite(g).all() for g in total.values())


def test_minus_infinity_is_an_absent_entry():
    x = np.array([[0.0, -np.inf, 1.0], [-np.inf, -np.inf, -np.inf]])
    np.testing.assert_allclose(special.logsumexp(x, axis=1), [np.log(1 + np.e), -np.inf])
    gradient = grad(lambda x: np.sum(special.logsumexp(x, axis=1)))(x)
    np.testing.assert_allclose(gradient, [[1 / (1 + np.e), 0, np.e / (1 + np.e)], [0, 0, 0]])
    np.testing.assert_allclose(special.softmax(x[0]), gradient[0])
    weights = np.array([1.0, 2.0, 3.0])
    assert grad(lambda x: np.sum(weights * special.softmax(x)))(x[0])[1] == 0.0
    assert special.log_softmax(x[0])[1] == -np.inf
    assert special.logsumexp(np.array([np.inf, 1e4])) == np.inf
    assert np.isnan(special.logsumexp(np.array([np.nan, 1.0])))


@pytest.mark.parametrize("function", BOTH, ids=name)
def test_complex_step_is_exact(function):
    x = X.copy()
    v = rng.normal(size=np.shape(function(x)))
    exact = value_and_vjp(function, x)[1](v)[0]
    step = 1e-20
    for i in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[i] += 1j * step
        derivative = np.sum(v * function(moved).imag) / step
        np.testing.assert_allclose(derivative, exact[i], rtol=2e-14, atol=1e-15)


@pytest.mark.parametrize("function", BOTH, ids=name)
def test_complex_step_at_extreme_values(function):
    x = np.array([-1e4, -30.0, 0.0, 30.0, 1e4])
    exact = grad(lambda x: np.sum(function(x)))(x)
    for i in range(5):
        moved = x.astype(complex)
        moved[i] += 1e-20j
        derivative = np.sum(function(moved).imag) / 1e-20
        np.testing.assert_allclose(derivative, exact[i], rtol=1e-14, atol=1e-15)


@given(hnp.arrays(float, hnp.array_shapes(min_dims=1, max_dims=3), elements=st.floats(-1e4, 1e4)))
def test_identities(x):
    total = special.logsumexp(x, axis=-1, keepdims=True)
    np.testing.assert_allclose(special.log_softmax(x), x - total, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(np.sum(special.softmax(x), axis=-1), 1.0)
    np.testing.assert_allclose(special.softplus(x) - special.softplus(-x), x, atol=1e-11)
    np.testing.assert_allclose(special.expit(x) + special.expit(-x), 1.0)


SPARSE = [scipy.sparse.csr_array, scipy.sparse.csr_matrix, scipy.sparse.csc_array]


@pytest.mark.parametrize("container", [np.asarray, *SPARSE])
@pytest.mark.parametrize("shapes", [((5, 2), (2,)), ((5,), ()), ((5, 2), (1,)), ((5, 2), None)])
def test_affine(container, shapes):
    W = rng.normal(size=shapes[0])
    b = None if shapes[1] is None else rng.normal(size=shapes[1])
    expected = X @ W if b is None else X @ W + b
    got = special.affine(container(X), W, b)
    assert type(got) is np.ndarray
    np.testing.assert_allclose(got, expected)
    v = rng.normal(size=expected.shape)
    gradient = value_and_vjp(lambda W: special.affine(container(X), W, b), W)[1](v)[0]
    np.testing.assert_allclose(gradient, X.T @ v)
    assert np.asarray(special.affine(container(X), W + 1e-20j, b)).dtype == complex


@pytest.mark.parametrize("container", [np.asarray, *SPARSE])
def test_affine_has_second_derivatives(container):
    W, V = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))

    def cube(W):
        return np.sum(special.affine(container(X), W) ** 3)

    product = grad(lambda W: np.sum(V * grad(cube)(W)))(W)
    np.testing.assert_allclose(product, X.T @ (6.0 * (X @ W) * (X @ V)))


def test_affine_keeps_float32_and_its_arguments():
    single = X.astype(np.float32)
    W, b = np.ones((5, 2), np.float32), np.ones(2, np.float32)
    for data in (single, scipy.sparse.csr_array(single)):
        assert special.affine(data, W, b).dtype == np.float32
    assert special.affine(single, W, b.astype(float)).dtype == np.float64
    assert (W == 1).all() and (b == 1).all()


def test_derivatives_of_psi_are_polygamma():
    x = np.array([0.1, 1.0, 2.5, 40.0])
    first = lambda x: grad(lambda x: np.sum(sc.gammaln(x)))(x)  # noqa: E731
    second = lambda x: grad(lambda x: np.sum(first(x)))(x)  # noqa: E731
    third = lambda x: grad(lambda x: np.sum(second(x)))(x)  # noqa: E731
    fourth = grad(lambda x: np.sum(third(x)))(x)
    np.testing.assert_allclose(first(x), sc.psi(x), rtol=1e-14)
    for n, values in enumerate((second(x), third(x), fourth), 1):
        np.testing.assert_allclose(values, sc.polygamma(n, x), rtol=1e-13)
