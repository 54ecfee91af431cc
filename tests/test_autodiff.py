"""The computation graph: every row of its tables, its nesting, its limits and its errors."""

import gc
import inspect
import itertools
import math
import warnings

import numpy as np
import pytest
import scipy.sparse
import scipy.special as sc
from hypothesis import given, settings
from hypothesis import strategies as st

from skgd import autodiff, special
from skgd._derivatives import COMPOSED, CONSTANT, DERIVATIVES, REARRANGING
from skgd.autodiff import Traced, grad, value_and_grad, value_and_gradients, value_and_vjp

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_numbers():
    """Make the numbers that a test draws independent of the tests before it."""
    rng.bit_generator.state = np.random.default_rng(1).bit_generator.state


def differences(fun, arrays, step=1e-5):
    """Measure the gradient of a scalar function by central differences."""
    gradients = []
    for k, array in enumerate(arrays):
        gradient = np.zeros(array.shape)
        for i in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = [a.copy() for a in arrays]
                moved[k][i] += sign * step
                ends.append(float(fun(*moved)))
            gradient[i] = (ends[0] - ends[1]) / (2 * step)
        gradients.append(gradient)
    return gradients


def scalar(fun, arrays):
    """Weigh the entries of a result with fixed random numbers."""
    shapes = [np.shape(part) for part in parts(fun(*arrays))]
    weights = [np.random.default_rng(1).normal(size=shape) for shape in shapes]

    def weighed(*args):
        return sum(np.sum(w * part) for w, part in zip(weights, parts(fun(*args)), strict=True))

    return weighed


def parts(result):
    return result if isinstance(result, (list, tuple)) else [result]


def check(fun, arrays, order=2, rtol=1e-6):
    """Compare first and second derivatives with differences."""
    fun = scalar(fun, arrays)
    value, gradients = value_and_gradients(fun, arrays)
    np.testing.assert_allclose(value, fun(*arrays), rtol=1e-12)
    for got, array, measured in zip(gradients, arrays, differences(fun, arrays), strict=True):
        assert got.shape == array.shape
        np.testing.assert_allclose(got, measured, rtol=rtol, atol=1e-7)
    if order == 2:
        of_all = grad(fun, tuple(range(len(arrays))))
        check(lambda *args: list(of_all(*args)), arrays, order=1, rtol=1e-5)


def positive(*shape):
    return rng.uniform(0.2, 0.8, size=shape)


def normal(*shape):
    return rng.normal(size=shape)


# -- one probe, at least, for every row -----------------------------------------------------------

V, W, A, B = normal(3), normal(3), normal(2, 3), normal(2, 3)
SQUARE, CUBE = normal(3, 3) + 3.0 * np.eye(3), normal(2, 3, 4)
INDEX = np.array([[2, 0, 0], [1, 1, 2]])
MASK = np.array([[True, False, True], [False, True, True]])

# Arguments of ufuncs that (0.2, 0.8) does not suit.
DOMAINS = {
    np.arccosh: (1.0 + positive(3),),
    np.remainder: (5.0 + positive(3), positive(3)),
    np.fmod: (5.0 + positive(3), positive(3)),
    np.matmul: (A, normal(3, 2)),
    np.absolute: (V,),
    np.fabs: (V,),
    np.vecdot: (A, V),
}

CASES = {
    np.where: [
        (lambda x, y: np.where(MASK, x, y), (A, V)),
        (lambda x: np.where(x > 0, x, 0), (A,)),
    ],
    np.nan_to_num: [(np.nan_to_num, (A,))],
    np.sum: [
        (np.sum, (A,)),
        (lambda x: np.sum(x, 0), (A,)),
        (lambda x: np.sum(x, axis=(0, -1)), (CUBE,)),
        (lambda x: np.sum(x, axis=1, keepdims=True), (A,)),
        (lambda x: np.sum(a=x, axis=1), (A,)),
        (lambda x: np.add.reduce(x), (A,)),
        (lambda x: x.sum(-1), (A,)),
    ],
    np.mean: [
        (np.mean, (A,)),
        (lambda x: np.mean(x, dtype=None, out=None, axis=0), (A,)),
        (lambda x: np.mean(x, axis=(0, 2), keepdims=True), (CUBE,)),
        (lambda x: x.mean(axis=-1), (A,)),
    ],
    np.prod: [
        (np.prod, (A,)),
        (lambda x: np.prod(x, axis=-1), (A,)),
        (lambda x: np.prod(x, axis=1), (np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 1.0]]),)),
        (lambda x: np.prod(x, axis=(0, 2), keepdims=True), (CUBE * (CUBE.min() < CUBE),)),
    ],
    np.max: [
        (np.max, (A,)),
        (lambda x: x.max(axis=1), (A,)),
        (lambda x: np.maximum.reduce(x), (A,)),
    ],
    np.min: [(np.min, (A,)), (lambda x: np.min(x, axis=0, keepdims=True), (A,))],
    np.einsum: [
        (lambda x, y: np.einsum("ij,kj->ik", x, y), (A, B)),
        (lambda x, y: np.einsum("ij, j", x, y), (A, V)),
        (lambda x: np.einsum("ij->j", x), (A,)),
        (lambda x: np.einsum("ii", x), (SQUARE,)),
        (lambda x: np.einsum("ii->i", x), (SQUARE,)),
        (lambda x, y, z: np.einsum("...i,...i,i", x, y, z), (A, V, W)),
        (lambda x, y: np.einsum("a...b,b->...a", x, y, optimize=True), (CUBE, normal(4))),
    ],
    np.linalg.solve: [
        (np.linalg.solve, (SQUARE, V)),
        (np.linalg.solve, (SQUARE, normal(3, 2))),
        (np.linalg.solve, (np.stack([SQUARE, 2.0 * SQUARE]), normal(3, 2))),
    ],
    np.linalg.inv: [(np.linalg.inv, (SQUARE,))],
    np.linalg.det: [(np.linalg.det, (SQUARE,)), (np.linalg.det, (np.stack([SQUARE, SQUARE.T]),))],
    np.reshape: [
        (lambda x: np.reshape(x, (3, 2)), (A,)),
        (lambda x: x.reshape(3, -1, order="F"), (A,)),
        (lambda x: x.reshape((6,)), (A,)),
        (lambda x: x.flatten(), (A,)),
    ],
    np.squeeze: [(np.squeeze, (A[:, None],)), (lambda x: x.squeeze(axis=0), (A[None],))],
    np.expand_dims: [(lambda x: np.expand_dims(x, (0, -1)), (A,))],
    np.transpose: [
        (np.transpose, (CUBE,)),
        (lambda x: np.transpose(x, (1, -1, 0)), (CUBE,)),
        (lambda x: x.transpose(1, 2, 0), (CUBE,)),
        (lambda x: x.transpose([1, 2, 0]), (CUBE,)),
        (lambda x: x.T @ x, (A,)),
    ],
    np.swapaxes: [(lambda x: np.swapaxes(x, 0, -1), (CUBE,))],
    np.broadcast_to: [(lambda x: np.broadcast_to(x, (4, 2, 3)), (A[:, :1],))],
    np.cumsum: [
        (np.cumsum, (A,)),
        (lambda x: x.cumsum(axis=1), (A,)),
        (lambda x: np.add.accumulate(x), (A,)),
    ],
    special.getitem: [
        (lambda x: x[1], (A,)),
        (lambda x: x[:, ::-2], (A,)),
        (lambda x: x[..., None, 0], (A,)),
        (lambda x: x[[1, 0, 1]], (A,)),
        (lambda x: x[INDEX % 2, INDEX], (A,)),
        (lambda x: x[MASK], (A,)),
        (lambda x: x[x > 0], (A,)),
        (lambda x: [row[0] for row in x], (A,)),
    ],
    special.scatter: [(lambda g: special.scatter(g, np.array([0, 2, 2]), (4,)), (V,))],
    special.join: [(lambda x, y: special.join(0, x, y), (V, W))],
    special.cast: [(lambda x: special.cast(x, np.float64), (V,))],
    special.euclidean_norm: [(special.euclidean_norm, (V,))],
    special.log_abs_det: [
        (special.log_abs_det, (SQUARE,)),
        (special.log_abs_det, (np.stack([SQUARE, SQUARE.T]),)),
    ],
    special.sum_of_squares: [(special.sum_of_squares, (A,)), (special.sum_of_squares, (A, V, A))],
    special.affine: [
        (special.affine, (A, normal(3, 2), normal(2))),
        (special.affine, (A, V, np.array(0.5))),
        (lambda X, w: special.affine(X, w), (A, V)),
        (lambda w, b: special.affine(scipy.sparse.csr_array(A), w, b), (normal(3, 2), normal(2))),
        (lambda w: special.affine(scipy.sparse.csr_matrix(A), w), (V,)),
    ],
    special.logsumexp: [
        (special.logsumexp, (A,)),
        (lambda x: special.logsumexp(x, axis=1), (A,)),
        (lambda x: special.logsumexp(x, axis=(0, 1), keepdims=True), (CUBE,)),
    ],
    special.softmax: [(special.softmax, (A,)), (lambda x: special.softmax(x, axis=None), (A,))],
    special.log_softmax: [(lambda x: special.log_softmax(x, axis=0), (A,))],
    special.softplus: [(special.softplus, (A,))],
    special.expit: [(special.expit, (A,))],
    special.erf: [(special.erf, (A,))],
    # composed
    np.var: [(np.var, (A,)), (lambda x: x.var(axis=0, ddof=1), (A,))],
    np.std: [(np.std, (A,)), (lambda x: np.std(x, axis=1, ddof=1, keepdims=True), (A,))],
    np.average: [
        (np.average, (A,)),
        (lambda x, w: np.average(x, weights=w), (V, positive(3))),
        (lambda x: np.average(x, axis=1, weights=np.arange(1.0, 4.0)), (A,)),
    ],
    np.median: [
        (np.median, (A,)),
        (lambda x: np.median(x, axis=1), (A,)),
        (lambda x: np.median(x, keepdims=True), (A,)),
    ],
    np.cov: [(np.cov, (A,)), (np.cov, (V, W))],
    np.corrcoef: [(lambda x, y: np.corrcoef(x, y)[0, 1], (V, W))],
    np.amax: [(lambda x: np.amax(x, axis=1), (A,))],
    np.amin: [(np.amin, (A,))],
    np.ptp: [(lambda x: np.ptp(x, axis=1), (A,))],
    np.nansum: [(lambda x: np.nansum(x, axis=0), (A,))],
    np.nanmean: [(lambda x: np.nanmean(np.where(MASK, x, np.nan), axis=1), (A,))],
    np.sort: [
        (np.sort, (A,)),
        (lambda x: np.sort(x, axis=0), (A,)),
        (lambda x: np.sort(x, None), (A,)),
    ],
    np.diff: [
        (np.diff, (A,)),
        (lambda x: np.diff(x, 2), (A,)),
        (lambda x: np.diff(x, axis=0), (A,)),
    ],
    np.clip: [
        (lambda x: np.clip(x, -0.3, 0.3), (A,)),
        (lambda x: x.clip(0.1, None), (A,)),
        (lambda x, lower: np.clip(x, lower, 5.0), (A, V)),
    ],
    np.select: [(lambda x, y: np.select([x > 0.5, x > 0], [x, y], 2.0 * y), (A, B))],
    np.dot: [
        (np.dot, (V, W)),
        (np.dot, (A, V)),
        (np.dot, (CUBE, normal(4, 2))),
        (np.dot, (normal(2, 3), CUBE.swapaxes(0, 1)[:, :3].swapaxes(0, 1))),
        (np.dot, (np.array(2.0), V)),
        (lambda x: x.dot(V), (A,)),
    ],
    np.inner: [(np.inner, (A, B)), (np.inner, (np.array(2.0), V))],
    np.vdot: [(np.vdot, (A, B))],
    np.outer: [(np.outer, (V, W))],
    np.tensordot: [
        (lambda x, y: np.tensordot(x, y, ([1, 0], [0, 1])), (CUBE, normal(3, 2))),
        (lambda x, y: np.tensordot(x, y, 1), (CUBE, normal(4))),
        (lambda x, y: np.tensordot(x, y, axes=0), (V, W)),
    ],
    np.linalg.norm: [
        (np.linalg.norm, (A,)),
        (np.linalg.norm, (V,)),
        (lambda x: np.linalg.norm(x, axis=1, keepdims=True), (A,)),
        (lambda x: np.linalg.norm(x, "fro"), (A,)),
        (lambda x: np.linalg.norm(x, 2), (V,)),
        (lambda x: np.linalg.norm(x, 1, axis=0), (A,)),
        (lambda x: np.linalg.norm(x, np.inf), (V,)),
        (lambda x: np.linalg.norm(x, -np.inf), (V,)),
    ],
    np.linalg.slogdet: [(lambda x: np.linalg.slogdet(x).logabsdet, (SQUARE,))],
    np.trace: [(lambda x: x.trace(), (SQUARE,))],
    np.ravel: [(np.ravel, (A,)), (lambda x: x.ravel(order="F"), (A,))],
    np.atleast_1d: [(np.atleast_1d, (V[0],)), (lambda x, y: np.atleast_1d(x, y), (V[0], W))],
    np.atleast_2d: [(np.atleast_2d, (V,))],
    np.concatenate: [
        (lambda x, y: np.concatenate([x, y]), (A, B)),
        (lambda x, y: np.concatenate((x, y, x), axis=-1), (A, B)),
        (lambda x: np.concatenate([x, A], axis=None), (V,)),
    ],
    np.stack: [(lambda x, y: np.stack([x, y, y], axis=-1), (A, B))],
    np.hstack: [(lambda x, y: np.hstack([x, y]), (A, B)), (lambda x: np.hstack([x, x]), (V,))],
    np.vstack: [(lambda x, y: np.vstack([x, y]), (A, V))],
    np.column_stack: [(lambda x, y: np.column_stack([x, y]), (A, normal(2)))],
    np.append: [(np.append, (A, V)), (lambda x: np.append(x, 1.0), (V,))],
    np.full_like: [(lambda x: np.full_like(x, x[0]), (V,))],
    np.tril: [(np.tril, (SQUARE,))],
    np.triu: [(lambda x: np.triu(x, 1), (SQUARE,))],
    np.copy: [(np.copy, (A,))],
    np.polyval: [(np.polyval, (V, W))],
    # rearranging
    np.array_split: [(lambda x: np.array_split(x, 2, axis=1), (A,))],
    np.delete: [(lambda x: np.delete(x, 1, axis=1), (A,))],
    np.diag: [(np.diag, (SQUARE,))],
    np.diagonal: [(np.diagonal, (CUBE,))],
    np.flip: [(lambda x: np.flip(x, 1), (A,))],
    np.fliplr: [(np.fliplr, (A,))],
    np.flipud: [(np.flipud, (A,))],
    np.hsplit: [(lambda x: np.hsplit(x, 3), (A,))],
    np.moveaxis: [(lambda x: np.moveaxis(x, 0, -1), (CUBE,))],
    np.repeat: [(lambda x: x.repeat([1, 2, 0], axis=1), (A,))],
    np.roll: [(lambda x: np.roll(x, 1, axis=1), (A,))],
    np.rollaxis: [(lambda x: np.rollaxis(x, 2), (CUBE,))],
    np.rot90: [(np.rot90, (A,))],
    np.split: [(lambda x: np.split(x, [1], axis=1), (A,))],
    np.take: [(lambda x: x.take([0, 0, 2], axis=1), (A,)), (lambda x: np.take(x, 4), (A,))],
    np.take_along_axis: [(lambda x: np.take_along_axis(x, INDEX, axis=1), (A,))],
    np.tile: [(lambda x: np.tile(x, (2, 1)), (A,))],
    np.vsplit: [(lambda x: np.vsplit(x, 2), (A,))],
}


def probes():
    for function in {**DERIVATIVES, **COMPOSED}:
        cases = CASES.get(function, [])
        if isinstance(function, np.ufunc):
            default = tuple(positive(3) for _ in range(function.nin))
            cases = [(function, DOMAINS.get(function, default)), *cases]
        for number, (fun, arrays) in enumerate(cases):
            name = f"{autodiff._name(function)}-{number}"
            yield pytest.param(function, fun, [np.asarray(a) for a in arrays], id=name)


def test_every_row_has_a_probe():
    rows = {**DERIVATIVES, **COMPOSED}
    missing = [f for f in rows if f not in CASES and not isinstance(f, np.ufunc)]
    assert not missing


def differentiable(function, arrays):
    """Hold back the arguments whose derivative the table does not know."""
    row = DERIVATIVES.get(function, ())
    return [i for i in range(len(arrays)) if i >= len(row) or row[i] is not NotImplemented]


@pytest.mark.parametrize(("function", "fun", "arrays"), list(probes()))
def test_row(function, fun, arrays, monkeypatch):
    free = differentiable(function, arrays)

    def of_free(*args):
        full = list(arrays)
        for i, arg in zip(free, args, strict=True):
            full[i] = arg
        return fun(*full)

    # The derivative of psi is SciPy's zeta, which is beyond the table.
    check(of_free, [arrays[i] for i in free], order=1 if function is sc.psi else 2)
    # and the probe does probe this row
    for table in (DERIVATIVES, COMPOSED):
        monkeypatch.delitem(table, function, raising=False)
    with pytest.raises((NotImplementedError, KeyError)):
        value_and_gradients(scalar(of_free, [arrays[i] for i in free]), [arrays[i] for i in free])


@pytest.mark.parametrize(("function", "fun", "arrays"), list(probes()))
def test_row_keeps_float32(function, fun, arrays):
    free = differentiable(function, arrays)
    single = [a.astype(np.float32) for a in arrays]

    def squares(*args):
        full = list(single)
        for i, arg in zip(free, args, strict=True):
            full[i] = arg
        return sum(np.sum(np.square(part)) for part in parts(fun(*full)))

    gradients = value_and_gradients(squares, [single[i] for i in free])[1]
    assert all(g.dtype == np.float32 for g in gradients)


@pytest.mark.parametrize("function", sorted(CONSTANT, key=autodiff._name), ids=autodiff._name)
def test_constant_functions_are_not_recorded(function):
    x = np.array([1.5, 0.5, 2.5])
    extra = {
        np.argpartition: (1,), np.digitize: (np.arange(3),),
        np.searchsorted: (1.0,), np.result_type: (np.float32,),
    }  # fmt: skip
    takes_two = {np.allclose, np.array_equal, np.isclose} | {
        f for f in CONSTANT if isinstance(f, np.ufunc) and f.nin == 2
    }
    args = (np.ones(3),) if function in takes_two else extra.get(function, ())
    results = []
    grad(lambda x: np.sum(x) + 0.0 * len(results.append(function(x, *args)) or results))(x)
    assert not any(isinstance(part, Traced) for part in parts(results[0]))
    if function is not np.empty_like:
        np.testing.assert_equal(results[0], function(x, *args))


# -- outside truth --------------------------------------------------------------------------------


def sigmoid(t):
    return 1.0 / (1.0 + np.exp(-t))


@pytest.mark.parametrize(
    ("fun", "point", "value", "gradient"),
    [
        (lambda x, y, z: (x + y) * z, (-2, 5, -4), -12, (-4, -4, 3)),
        (lambda x, y: x * y, (4, -3), -12, (-3, 4)),
        (
            lambda x, y: (x + sigmoid(y)) / (sigmoid(x) + (x + y) ** 2),
            (3, -4),
            1.5456448841066441,
            (2.0595697955721652, 1.5922327514838093),
        ),
        (lambda x, y, z, w: 2 * (x * y + np.maximum(z, w)), (3, -4, 2, -1), -20, (-8, 6, 2, 0)),
    ],
)
def test_worked_examples(fun, point, value, gradient):
    got = value_and_grad(fun, tuple(range(len(point))))(*map(float, point))
    assert got[0] == pytest.approx(value, rel=1e-15)
    assert got[1] == pytest.approx(gradient, rel=1e-14)


def test_worked_example_of_a_neuron():
    w, x = np.array([2.0, -3.0, -3.0]), np.array([-1.0, -2.0])
    for squash in (sigmoid, special.expit, sc.expit):

        def neuron(w, x, squash=squash):
            return squash(w[0] * x[0] + w[1] * x[1] + w[2])

        value, (dw, dx) = value_and_grad(neuron, (0, 1))(w, x)
        assert value == pytest.approx(0.7310585786300049, rel=1e-15)
        expected = [-0.19661193324148185, -0.3932238664829637, 0.19661193324148185]
        np.testing.assert_allclose(dw, expected, rtol=1e-14)
        np.testing.assert_allclose(dx, [0.3932238664829637, -0.5898357997244456], rtol=1e-14)


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def test_hessian_vector_product_of_rosenbrock():
    from scipy.optimize import rosen, rosen_der, rosen_hess_prod

    x, v = rng.normal(size=6), rng.normal(size=6)
    value, gradient = value_and_grad(rosenbrock)(x)
    assert value == pytest.approx(rosen(x))
    np.testing.assert_allclose(gradient, rosen_der(x), rtol=1e-12)
    product = grad(lambda x: np.sum(grad(rosenbrock)(x) * v))(x)
    np.testing.assert_allclose(product, rosen_hess_prod(x, v), rtol=1e-12)


def test_nesting():
    assert grad(grad(grad(grad(lambda x: x**5))))(2.0) == 240.0
    # The inner variable must not be confused with the outer one.
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert grad(lambda x: x * grad(lambda y: x * y * y)(x))(3.0) == pytest.approx(6 * 3.0**2)
    # Neither inner derivative depends on its own variable.
    assert grad(lambda x: grad(lambda y: x * x)(1.0) + x)(3.0) == 1.0


# -- behaviour ------------------------------------------------------------------------------------

SHAPES = [(), (1,), (3,), (2, 1), (1, 3), (2, 3), (4, 1, 3), (4, 2, 1)]


@pytest.mark.parametrize(("a", "b"), list(itertools.product(SHAPES, SHAPES)))
@pytest.mark.parametrize("function", [np.multiply, np.subtract, np.power, np.maximum])
def test_broadcasting(function, a, b):
    x, y = np.round(positive(*a), 3), np.round(positive(*b), 3) + 5e-4  # no ties
    check(function, [np.asarray(x), np.asarray(y)], order=1)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3,)),
        ((3,), (5, 3, 2)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 1, 2, 3), (4, 3, 2)),
        ((1, 2, 3), (5, 3, 2)),
    ],
)  # fmt: skip
def test_matmul_of_all_ranks(a, b):
    check(np.matmul, [normal(*a), normal(*b)])


UNARY = [np.tanh, np.sin, np.square, np.negative, special.softplus, special.expit, np.arctan]
UNARY += [lambda x: np.exp(-x * x), lambda x: np.sqrt(1.0 + x * x), lambda x: x[..., ::-1]]
UNARY += [lambda x: x - np.mean(x), lambda x: np.cumsum(x, axis=-1), special.softmax]
BINARY = [np.add, np.subtract, np.multiply, np.hypot, np.logaddexp]
BINARY += [lambda x, y: x / (1.5 + y * y), lambda x, y: np.where(A > 0, x, y)]
LEAVES = st.sampled_from([lambda x, y: x + 0.0 * y, lambda x, y: y + np.zeros((2, 1))])


def compose(children):
    one = st.builds(lambda f, a: lambda x, y: f(a(x, y)), st.sampled_from(UNARY), children)
    two = st.builds(
        lambda f, a, b: lambda x, y: f(a(x, y), b(x, y)),
        st.sampled_from(BINARY),
        children,
        children,
    )
    return one | two


@settings(max_examples=150, deadline=None)
@given(expression=st.recursive(LEAVES, compose, max_leaves=8), seed=st.integers(0, 2**31))
def test_random_expressions(expression, seed):
    draw = np.random.default_rng(seed)
    arrays = [draw.normal(size=(2, 3)), draw.normal(size=3)]
    value = expression(*arrays)
    if np.abs(value).max() < 1e3:
        check(lambda x, y: np.tanh(expression(x, y) / 100.0), arrays, order=1, rtol=1e-5)


@pytest.mark.parametrize("depth", [10_000, 100_000])
def test_deep_chains(depth):
    def chain(x):
        for _ in range(depth):
            x = x + 1.0
        return x

    assert grad(chain)(0.0) == 1.0
    gc.collect()


def test_nothing_outlives_the_call():
    import weakref

    kept = []

    def f(x):
        y = np.exp(x)
        kept.append(weakref.ref(y.value))
        return np.sum(y)

    gc.disable()
    try:
        value_and_gradients(f, [np.ones(3)])
        assert kept[0]() is None  # freed by reference counting: no cycles
    finally:
        gc.enable()


def test_inputs_off_the_path_and_constants():
    x, y = np.ones(3), np.ones((2, 2), np.float32)
    value, gradients = value_and_gradients(lambda x, y: np.sum(x), [x, y])
    assert value == 3.0 and isinstance(value, float)
    assert gradients[1].shape == (2, 2) and gradients[1].dtype == np.float32
    assert not gradients[1].any()
    assert value_and_gradients(lambda x, y: 7, [x, y])[0] == 7.0
    assert not grad(lambda x: np.float64(2.0))(x).any()
    assert grad(lambda x: x)(2.0) == 1.0


def test_gradients_belong_to_the_caller():
    x, y = np.ones(3), np.ones(3)
    _, gradients = value_and_gradients(lambda x, y: np.sum(x + y) + x.T[0] * 0.0, [x, y])
    for g in gradients:
        g += 1.0
    np.testing.assert_array_equal(gradients, np.full((2, 3), 2.0))
    _, (g,) = value_and_gradients(lambda x: np.sum(x.T * np.ones((3, 2))), [np.ones((2, 3))])
    assert g.flags.c_contiguous and g.flags.writeable and g.base is None


def test_inputs_are_not_copied():
    x = np.ones(3)
    value_and_gradients(lambda t: np.sum(t) if t.value is x else 1 / 0, [x])


def test_mixed_precision_returns_the_precision_of_each_array():
    w, x = np.ones(3, np.float32), np.ones(3)
    seen = []
    gradients = value_and_gradients(lambda w, x: np.sum(w * x * np.float64(2)), [w, x])[1]
    assert [g.dtype for g in gradients] == [np.float32, np.float64]
    value_and_gradients(lambda w: seen.append((w * 2.0 + 1) ** 3) or np.sum(seen[0]), [w])
    assert seen[0].dtype == np.float32


def test_vjp():
    x, v = rng.normal(size=3), rng.normal(size=(3, 3))
    value, pullback = value_and_vjp(np.outer, x, 2.0 * x)
    np.testing.assert_array_equal(value, np.outer(x, 2.0 * x))
    for _ in range(2):
        dx, dy = pullback(v)
        np.testing.assert_allclose(dx, 2.0 * v @ x)
        np.testing.assert_allclose(dy, v.T @ x)
    with pytest.raises(ValueError, match="shape"):
        pullback(1.0)
    assert value_and_vjp(lambda x: 5.0, x)[1](1.0)[0].shape == (3,)


def test_kinks():
    zero = np.zeros(2)
    assert not grad(lambda x: np.sum(np.abs(x)))(zero).any()
    assert (grad(lambda x: np.sum(np.maximum(0, x)))(zero) == 0.5).all()
    assert (grad(lambda x: np.max(x))(zero) == 0.5).all()
    assert not grad(lambda x: np.linalg.norm(x))(zero).any()
    assert not grad(lambda x: np.std(x))(zero).any()
    assert np.isinf(grad(lambda x: np.sum(np.sqrt(x)))(zero)).all()  # and no warning
    assert not grad(lambda x: np.sum(x**2 + x**0))(zero).any()
    assert not grad(lambda y: np.sum(np.power(0.0, y)))(zero + 1.0).any()
    assert grad(lambda x: np.fmax(x, np.nan))(1.0) == 1.0


def test_operators():
    fun = lambda x: (2.0 - x) / (1.0 + x) + 3.0 * -x + abs(x) ** 1.5 + 2**x - (x % 0.7) + (+x)  # noqa: E731
    check(fun, [positive(3)])
    check(lambda x, y: np.subtract.outer(x, y), [A, V])
    check(lambda x: 1.0 / x + [1.0, 2.0, 3.0] * x + (x // 0.3) + 5.0 // x + 7.0 % x, [positive(3)])
    check(lambda x: A @ x + x @ A.T + np.float64(2.0) * x[0] + np.multiply(x, [1, 2, 3])[1], [V])
    x = np.array([1.0, 2.0])
    comparisons = []
    grad(lambda t: comparisons.extend([t < 2, t <= 1, t > x, t >= 2, t == 1, t != 2]) or t[0])(x)
    expected = [x < 2, x <= 1, x > x, x >= 2, x == 1, x != 2]
    np.testing.assert_array_equal(comparisons, expected)


def test_accumulation_by_augmented_assignment_rebinds():
    def f(x):
        total = 0.0
        for i in range(3):
            total += x[i] ** 2
        x *= 2.0
        return total + np.sum(x)

    x = np.arange(3.0)
    np.testing.assert_array_equal(grad(f)(x), 2.0 * x + 2.0)
    np.testing.assert_array_equal(x, np.arange(3.0))


def test_data_frames_meet_traced_values():
    pd = pytest.importorskip("pandas")
    y = pd.Series([1.0, 2.0, 3.0])
    np.testing.assert_allclose(grad(lambda t: np.mean((y - t) ** 2))(np.zeros(3)), -2.0 * y / 3.0)
    np.testing.assert_allclose(grad(lambda t: np.sum(t * y))(np.zeros(3)), y)


def test_argnum_and_keywords():
    fun = lambda x, y, *, power: np.sum(x * y**power)  # noqa: E731
    assert grad(fun, 1)(2.0, 3.0, power=2) == 12.0
    assert grad(fun, -1)(2.0, 3.0, power=2) == 12.0
    assert grad(fun, (0, 1))(2.0, 3.0, power=2) == (9.0, 12.0)
    np.testing.assert_array_equal(grad(lambda x: np.sum(x**2))([1, 2]), [2.0, 4.0])


def test_printing():
    printed = []
    grad(lambda x: printed.append(f"{x[0]:.2f} {x}") or x[0])(np.array([1.0]))
    assert printed == ["1.00 Traced(array([1.]))"]


def test_forward_warnings_are_the_callers_and_backward_is_silent():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        grad(lambda x: np.log(x))(0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(grad(lambda x: x**0.5)(0.0))


# -- errors ---------------------------------------------------------------------------------------


def scipy_logsumexp(x):
    return sc.logsumexp(x)


def in_place(x):
    x[0] = 1.0
    return x


def into_plain(x):
    a = np.zeros(3)
    a += x
    return a


def entry_into_plain(x):
    a = np.zeros(3)
    a[0] = x[0]
    return a


def at(x):
    a = np.zeros(3)
    np.add.at(a, 0, x[0])
    return a


@pytest.mark.parametrize(
    ("fun", "error", "says"),
    [
        (lambda x: math.exp(x[0]), TypeError, "np.exp"),
        (lambda x: float(x[0]), TypeError, "number"),
        (lambda x: int(x[0]), TypeError, "number"),
        (lambda x: complex(x[0]), TypeError, "number"),
        (lambda x: x[0].item(), TypeError, "number"),
        (lambda x: np.asarray(x), TypeError, "plain array"),
        (lambda x: np.array([x[0], x[1]]), TypeError, "np.stack"),
        (lambda x: np.sum([x[0], x[1]]), TypeError, "np.stack"),
        (lambda x: np.vectorize(lambda t: t + 1)(x), TypeError, "np.vectorize"),
        (scipy_logsumexp, TypeError, "skgd.special"),
        (lambda x: x if x else 0, TypeError, "np.where"),
        (lambda x: x[0] and x[1], TypeError, "np.where"),
        (lambda x: x.astype(np.float32), TypeError, "astype"),
        (in_place, TypeError, "in place"),
        (into_plain, TypeError, "in place"),
        (at, TypeError, "in place"),
        (lambda x: x.sort(), TypeError, "in place"),
        (lambda x: np.exp(x, out=np.zeros(3)), TypeError, "in place"),
        (lambda x: np.sum(x, out=np.zeros(())), TypeError, "in place"),
        (lambda x: scipy.sparse.csr_array(A) @ x, TypeError, "skgd.special"),
        (lambda x: x @ scipy.sparse.csr_array(A.T), TypeError, "affine"),
        (lambda x: x.bogus(), AttributeError, "bogus"),
        (lambda x: np.bincount([0, 1, 1], weights=x), NotImplementedError, "bincount"),
        (lambda x: np.unique(x), NotImplementedError, "unique"),
        (lambda x: np.repeat(V, x), TypeError, "traced value"),
        (lambda x: np.roll(x, x), TypeError, "traced value"),
        (lambda x: np.interp(x, V, W), NotImplementedError, "np.interp"),
        (lambda x: np.spacing(x), NotImplementedError, "np.spacing"),
        (lambda x: sc.j0(x), NotImplementedError, "scipy.special.j0"),
        (lambda x: np.linalg.svd(x), NotImplementedError, "svd"),
        (lambda x: np.fft.fft(x), NotImplementedError, "fft"),
        (lambda x: np.linalg.norm(x, 3), NotImplementedError, "norm"),
        (lambda x: np.sum(x, where=x > 0), NotImplementedError, "where="),
        (lambda x: np.exp(x, where=[True, False, True]), NotImplementedError, "where="),
        (lambda x: np.exp(x, dtype=np.float32), NotImplementedError, "dtype="),
        (lambda x: np.var(x, correction=1), NotImplementedError, "correction="),
        (lambda x: np.multiply.reduceat(x, [0]), NotImplementedError, "reduceat"),
        (lambda x: sc.pseudo_huber(x, 1.0), NotImplementedError, "argument 1"),
        (lambda x: sc.zeta(2.0, x), NotImplementedError, "zeta"),
    ],
)
def test_errors_name_line_and_remedy(fun, error, says):
    with pytest.raises(error) as caught:
        grad(lambda x: np.sum(fun(x)))(np.array([0.3, 0.4, 0.5]))
    message = str(caught.value)
    lines, first = inspect.getsourcelines(fun)
    line = int(message.split(f"{__file__}:")[1].split(":")[0])
    assert first <= line < first + len(lines) or says == "np.vectorize"
    assert says in message
    assert 'gradient="numeric"' in message


def test_assignment_to_an_entry_of_a_plain_array():
    # NumPy insists on an error of its own here; ours is its cause.
    with pytest.raises(ValueError) as caught:
        grad(lambda x: np.sum(entry_into_plain(x)))(V)
    assert "np.stack" in str(caught.value.__cause__)


def test_the_result_must_be_a_number():
    for fun in (lambda x: x, lambda x: x[:1], lambda x: np.ones(3)):
        with pytest.raises(ValueError, match=r"shape \((1|3),\).*np\.mean"):
            grad(fun)(V)
        with pytest.raises(ValueError, match=r"shape \((1|3),\)"):
            value_and_gradients(fun, [V])
    with pytest.raises(TypeError, match="None"):
        grad(lambda x: None)(V)


def test_complex_numbers_are_refused():
    with pytest.raises(TypeError, match="complex"):
        grad(np.sum)(V + 1j)
    with pytest.raises(NotImplementedError, match="complex"):
        grad(lambda x: np.sum(np.abs(np.exp(1j * x))))(V)


def test_tables_are_disjoint():
    assert not DERIVATIVES.keys() & COMPOSED.keys()
    assert not CONSTANT & (DERIVATIVES.keys() | COMPOSED.keys())
    assert COMPOSED.keys() >= set(REARRANGING)
