"""The computation graph: every row of its tables, its nesting, its limits and its errors."""

import gc
import importlib.util
import inspect
import itertools
import math
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.special as sc
from hypothesis import given, settings
from hypothesis import strategies as st

from skgd import special
from skgd.autodiff import Traced, grad, value_and_grad, value_and_gradients, value_and_vjp
from skgd.autodiff.composed import COMPOSED, CONSTANT, REARRANGING
from skgd.autodiff.derivatives import DERIVATIVES
from skgd.autodiff.refusals import name_of

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
HALF = np.array(0.5)
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
    np.copysign: (V, W),
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
        (lambda x: np.sum(x, axis=0), (HALF,)),
        (lambda x: np.sum(x, axis=1, where=MASK, initial=2.0), (A,)),
    ],
    np.mean: [
        (np.mean, (A,)),
        (lambda x: np.mean(x, dtype=None, out=None, axis=0), (A,)),
        (lambda x: np.mean(x, axis=(0, 2), keepdims=True), (CUBE,)),
        (lambda x: x.mean(axis=-1), (A,)),
        (lambda x: np.mean(x, axis=0, where=[[True], [False]]), (A,)),
        (lambda x: x.mean(where=MASK, keepdims=True), (A,)),
    ],
    np.prod: [
        (np.prod, (A,)),
        (lambda x: np.prod(x, axis=-1), (A,)),
        (lambda x: np.prod(x, axis=1), (np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 1.0]]),)),
        (lambda x: np.prod(x, axis=(0, 2), keepdims=True), (CUBE * (CUBE.min() < CUBE),)),
        (lambda x: np.prod(x, axis=1, where=MASK, initial=3.0), (A,)),
        (lambda x: np.prod(x, where=A < 1, initial=3.0), (np.where(A.min() < A, A, 0.0),)),
    ],
    np.max: [
        (np.max, (A,)),
        (lambda x: x.max(axis=1), (A,)),
        (lambda x: np.maximum.reduce(x), (A,)),
        (lambda x: np.max(x, axis=-1), (HALF,)),
        (lambda x: np.max(x, axis=0, initial=0.1), (A,)),
        (lambda x: x.max(axis=1, initial=-9.0, where=MASK), (A,)),
    ],
    np.min: [
        (np.min, (A,)),
        (lambda x: np.min(x, axis=0, keepdims=True), (A,)),
        (lambda x: np.min(x, where=MASK, initial=9.0), (A,)),
    ],
    np.nanmax: [(lambda x: np.nanmax(np.where(MASK, x, np.nan), axis=1), (A,))],
    np.nanmin: [(lambda x: np.nanmin(np.where(MASK, x, np.nan), keepdims=True), (A,))],
    np.einsum: [
        (lambda x, y: np.einsum("ij,kj->ik", x, y), (A, B)),
        (lambda x, y: np.einsum("ij, j", x, y), (A, V)),
        (lambda x: np.einsum("ij->j", x), (A,)),
        (lambda x: np.einsum("ii", x), (SQUARE,)),
        (lambda x: np.einsum("ii->i", x), (SQUARE,)),
        (lambda x, y, z: np.einsum("...i,...i,i", x, y, z), (A, V, W)),
        (lambda x, y: np.einsum("a...b,b->...a", x, y, optimize=True), (CUBE, normal(4))),
        (lambda x, y: np.einsum("...i,i->...", x, y), (normal(2, 1), V)),  # i is stretched
        (lambda x: np.einsum("i,i", x, [1.0, 2.0, 3.0]), (V,)),
    ],
    np.linalg.solve: [
        (np.linalg.solve, (SQUARE, V)),
        (np.linalg.solve, (SQUARE, normal(3, 2))),
        (np.linalg.solve, (np.stack([SQUARE, 2.0 * SQUARE]), normal(3, 2))),
        (lambda b: np.linalg.solve(SQUARE.tolist(), b), (V,)),
        (lambda a: np.linalg.solve(a, [1.0, 2.0, 3.0]), (SQUARE,)),
    ],
    np.linalg.cholesky: [
        (lambda x: np.linalg.cholesky(x @ x.T + np.eye(3)), (SQUARE,)),
        (lambda x: np.linalg.cholesky(x), (SQUARE @ SQUARE.T,)),
        (lambda x: np.linalg.cholesky(x, upper=True), (SQUARE @ SQUARE.T,)),
        (
            lambda x: np.linalg.cholesky(x @ np.swapaxes(x, 1, 2)),
            (np.stack([SQUARE, 2.0 * SQUARE]),),
        ),
    ],
    np.convolve: [
        (np.convolve, (V, normal(5))),
        (lambda x, y: np.convolve(x, y, "same"), (V, normal(4))),
        (lambda x, y: np.convolve(x, y, mode="same"), (normal(5), normal(2))),
        (lambda x, y: np.convolve(x, y, mode="valid"), (V, normal(5))),
        (lambda x: np.convolve([1.0, 2.0], x), (V,)),
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
    np.swapaxes: [
        (lambda x: np.swapaxes(x, 0, -1), (CUBE,)),
        (lambda x: np.swapaxes(x, axis1=1, axis2=0), (CUBE,)),
    ],
    np.broadcast_to: [(lambda x: np.broadcast_to(x, (4, 2, 3)), (A[:, :1],))],
    np.cumsum: [
        (np.cumsum, (A,)),
        (lambda x: x.cumsum(axis=1), (A,)),
        (lambda x: np.add.accumulate(x), (A,)),
    ],
    np.cumprod: [
        (lambda x: np.multiply.accumulate(x), (A,)),
        (np.cumprod, (A,)),
        (lambda x: np.cumprod(x, axis=0), (A,)),
        (lambda x: np.cumprod(x, axis=1), (np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 1.0]]),)),
        (np.cumprod, (np.array([2.0, -1.0, 0.0, 3.0, 0.5]),)),
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
    special.hurwitz_zeta: [(special.hurwitz_zeta, (np.array(3.0), positive(3)))],
    special.log_abs_det: [
        (special.log_abs_det, (SQUARE,)),
        (special.log_abs_det, (np.stack([SQUARE, SQUARE.T]),)),
    ],
    special.sum_of_squares: [(special.sum_of_squares, (A,)), (special.sum_of_squares, (A, V, A))],
    special.with_l2: [(lambda v, x, y: special.with_l2(np.sum(v), 0.3, x, y), (V, A, V))],
    special.affine: [
        (special.affine, (A, normal(3, 2), normal(2))),
        (special.affine, (A, V, np.array(0.5))),
        (lambda X, w: special.affine(X, w), (A, V)),
        (lambda w, b: special.affine(scipy.sparse.csr_array(A), w, b), (normal(3, 2), normal(2))),
        (lambda w: special.affine(scipy.sparse.csr_matrix(A), w), (V,)),
    ],
    special.logsumexp: [
        (lambda x: np.logaddexp.reduce(x), (A,)),
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
    np.var: [
        (np.var, (A,)),
        (lambda x: x.var(axis=0, ddof=1), (A,)),
        (lambda x: np.var(x, 0, None, None, 1), (A,)),
        (lambda x: np.var(x, axis=1, correction=1, keepdims=True), (A,)),
        (lambda x: np.var(x, axis=1, ddof=1, where=MASK), (A,)),
        (lambda x: np.var(x, dtype=np.float64), (A,)),
    ],
    np.std: [
        (np.std, (A,)),
        (lambda x: np.std(x, axis=1, ddof=1, keepdims=True), (A,)),
        (lambda x: x.std(axis=(0, 2), where=CUBE < 1.0), (CUBE,)),
    ],
    np.nanvar: [(lambda x: np.nanvar(np.where(MASK, x, np.nan), axis=1), (A,))],
    np.nanstd: [(lambda x: np.nanstd(np.where(MASK, x, np.nan), axis=1, ddof=1), (A,))],
    np.nanprod: [(lambda x: np.nanprod(np.where(MASK, x, np.nan), axis=0), (A,))],
    np.nanmedian: [
        (lambda x: np.nanmedian(np.where(MASK, x, np.nan)), (A,)),
        (lambda x: np.nanmedian(np.where(INDEX > 0, x, np.nan), axis=1, keepdims=True), (A,)),
    ],
    np.average: [
        (np.average, (A,)),
        (lambda x, w: np.average(x, weights=w), (V, positive(3))),
        (lambda x: np.average(x, axis=1, weights=np.arange(1.0, 4.0)), (A,)),
        (lambda x, w: np.average(x, axis=(2, 0), weights=w), (CUBE, positive(4, 2))),
        (lambda x, w: np.average(x, 0, w, True, keepdims=True), (A, positive(2, 3))),
        (lambda x: np.average(x, axis=1, returned=True)[0], (A,)),
        (lambda w: np.average([3, 1, 2], weights=w), (positive(3),)),
    ],
    np.median: [
        (np.median, (A,)),
        (lambda x: np.median(x, axis=1), (A,)),
        (lambda x: np.median(x, keepdims=True), (A,)),
        (lambda x: np.median(x, axis=(0, -1)), (CUBE,)),
        (lambda x: np.median(x), (HALF,)),
    ],
    np.quantile: [
        (lambda x: np.quantile(x, 0.3), (A,)),
        (lambda x: np.quantile(x, [0.0, 0.3, 1.0], axis=0), (A,)),
        (lambda x: np.quantile(x, np.array([[0.2, 0.5]]), axis=(2, 0), keepdims=True), (CUBE,)),
        (lambda x: np.quantile(x, [0.1, 0.7], axis=1, keepdims=True), (A,)),
        *(
            (lambda x, method=method: np.quantile(x, [0.2, 0.65], axis=-1, method=method), (CUBE,))
            for method in ("lower", "higher", "nearest", "midpoint", "hazen", "inverted_cdf")
        ),
    ],
    np.percentile: [
        (lambda x: np.percentile(x, 30), (A,)),
        (lambda x: np.percentile(x, [10, 80], axis=1, method="higher"), (A,)),
    ],
    np.partition: [
        (lambda x: np.partition(x, 1), (A,)),
        (lambda x: np.partition(x, 2, axis=None), (A,)),
    ],
    np.cov: [
        (np.cov, (A,)),
        (np.cov, (V, W)),
        (np.cov, (V,)),
        (lambda x: np.cov(x, rowvar=False, bias=True), (A,)),
        (lambda x, y: np.cov(x, y, ddof=0), (A, normal(1, 3))),
    ],
    np.corrcoef: [
        (lambda x, y: np.corrcoef(x, y)[0, 1], (V, W)),
        (lambda x: np.corrcoef(x, rowvar=False), (normal(4, 2),)),
        (np.corrcoef, (V,)),
    ],
    np.amax: [(lambda x: np.amax(x, axis=1), (A,))],
    np.amin: [(np.amin, (A,))],
    np.ptp: [(lambda x: np.ptp(x, axis=1), (A,))],
    np.nansum: [(lambda x: np.nansum(x, axis=0), (A,))],
    np.nanmean: [(lambda x: np.nanmean(np.where(MASK, x, np.nan), axis=1), (A,))],
    np.sort: [
        (np.sort, (A,)),
        (lambda x: np.sort(x, axis=0), (A,)),
        (lambda x: np.sort(x, None), (A,)),
        (lambda x: np.sort(x, kind="stable"), (A,)),
    ],
    np.ediff1d: [(np.ediff1d, (A,))],
    np.trapezoid: [
        (np.trapezoid, (A,)),
        (lambda y, x: np.trapezoid(y, x, axis=0), (normal(3, 2), np.sort(V))),
        (lambda y, x: np.trapezoid(y, x), (A, np.sort(B))),
        (lambda y: np.trapezoid(y, dx=0.5, axis=0), (A,)),
        (lambda x: np.trapezoid([1, 3, 2], x), (np.sort(V),)),
    ],
    np.interp: [
        (lambda x: np.interp(x, [-1, 0.1, 0.9], [3.0, 1.0, 4.0]), (A,)),
        (lambda x, f: np.interp(x, [-1.0, 0.1, 0.9], f, left=2.0, right=-1.0), (A, V)),
        (lambda p, f: np.interp([-2.0, 0.1, 0.5, 3.0], p, f), (np.sort(V), W)),
        (lambda f: np.interp(0.5, [1.0], f), (HALF[None],)),
    ],
    np.diff: [
        (np.diff, (A,)),
        (lambda x: np.diff(x, 2), (A,)),
        (lambda x: np.diff(x, axis=0), (A,)),
        (lambda x: np.diff(x, prepend=0.0, append=B), (A,)),
        (lambda x: np.diff([1.0, 2.0], append=x), (V,)),
    ],
    np.clip: [
        (lambda x: np.clip(x, -0.3, 0.3), (A,)),
        (lambda x: x.clip(0.1, None), (A,)),
        (lambda x, lower: np.clip(x, lower, 5.0), (A, V)),
        (lambda x, upper: np.clip(x, a_min=None, a_max=upper), (A, V)),
    ],
    np.select: [(lambda x, y: np.select([x > 0.5, x > 0], [x, y], 2.0 * y), (A, B))],
    np.dot: [
        (np.dot, (V, W)),
        (np.dot, (A, V)),
        (np.dot, (CUBE, normal(4, 2))),
        (np.dot, (normal(2, 3), CUBE.swapaxes(0, 1)[:, :3].swapaxes(0, 1))),
        (np.dot, (np.array(2.0), V)),
        (lambda x: x.dot(V), (A,)),
        (lambda x: np.dot([1.0, 2.0, 3.0], x), (V,)),
    ],
    np.inner: [(np.inner, (A, B)), (np.inner, (np.array(2.0), V))],
    np.vdot: [(np.vdot, (A, B))],
    np.outer: [(np.outer, (V, W)), (np.outer, (A, W))],
    np.kron: [(np.kron, (V, W)), (np.kron, (A, normal(3, 2))), (np.kron, (A, CUBE))],
    np.cross: [
        (np.cross, (V, W)),
        (np.cross, (A, V)),
        (lambda x, y: np.cross(x, y, axis=0), (normal(3, 2), normal(3, 2))),
        (lambda x, y: np.cross(x, y, axisa=0, axisc=0), (normal(3, 2), A)),
    ],
    np.linalg.cross: [(lambda x, y: np.linalg.cross(x, y), (A, B))],
    np.correlate: [
        (np.correlate, (normal(5), V)),
        (lambda x, y: np.correlate(x, y, "full"), (V, normal(4))),
        (lambda x, y: np.correlate(x, y, mode="same"), (normal(5), normal(4))),
    ],
    np.linalg.multi_dot: [(lambda x, y, z: np.linalg.multi_dot([x, y, z]), (V, SQUARE, W))],
    np.linalg.matrix_power: [
        (lambda x, n=n: np.linalg.matrix_power(x, n), (SQUARE,)) for n in (3, 1, -2)
    ],
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
        (lambda x: np.linalg.norm(x, 3), (V,)),
        (lambda x: np.linalg.norm(x, 0.5, axis=(1,), keepdims=True), (A,)),
        (lambda x: np.linalg.norm(x, -1.5, axis=0), (A,)),
        (lambda x: np.linalg.norm(x, 0) * x, (V,)),
        *((lambda x, p=p: np.linalg.norm(x, p), (A,)) for p in (1, -1, np.inf, -np.inf)),
        (lambda x: np.linalg.norm(x, np.inf, axis=(2, 0), keepdims=True), (CUBE,)),
    ],
    np.linalg.vector_norm: [
        (lambda x: np.linalg.vector_norm(x), (A,)),
        (lambda x: np.linalg.vector_norm(x, axis=1, ord=3, keepdims=True), (A,)),
    ],
    np.linalg.matrix_norm: [
        (lambda x: np.linalg.matrix_norm(x), (CUBE,)),
        (lambda x: np.linalg.matrix_norm(x, ord=1), (CUBE,)),
    ],
    np.linalg.slogdet: [(lambda x: np.linalg.slogdet(x).logabsdet, (SQUARE,))],
    np.trace: [(lambda x: x.trace(), (SQUARE,))],
    np.ravel: [(np.ravel, (A,)), (lambda x: x.ravel(order="F"), (A,))],
    np.atleast_1d: [(np.atleast_1d, (V[0],)), (lambda x, y: np.atleast_1d(x, y), (V[0], W))],
    np.atleast_2d: [(np.atleast_2d, (V,))],
    np.broadcast_arrays: [(lambda x, y: np.broadcast_arrays(x, y), (A, V))],
    np.dstack: [(lambda x, y: np.dstack([x, y]), (A, B)), (lambda x: np.dstack([x, V]), (V,))],
    np.pad: [
        (lambda x: np.pad(x, 1), (A,)),
        (lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=3.0), (A,)),
        (lambda x: np.pad(x, [(1, 2)], "constant", constant_values=(2.0, 3.0)), (V,)),
        *(
            (lambda x, mode=mode: np.pad(x, ((1, 0), (1, 2)), mode=mode), (A,))
            for mode in ("edge", "reflect", "symmetric", "wrap")
        ),
    ],
    np.bincount: [
        (lambda w: np.bincount([0, 2, 0], weights=w, minlength=5), (V,)),
        (lambda w: np.bincount(np.array([3, 2, 0]), w), (V,)),
    ],
    np.real: [(np.real, (A,))],
    np.matrix_transpose: [(np.matrix_transpose, (CUBE,))],
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
    np.diag: [
        (np.diag, (SQUARE,)),
        (np.diag, (V,)),
        (lambda x: np.diag(x, k=-1), (V,)),
        (lambda x: np.diag(x, 1), (A,)),
    ],
    np.lib.stride_tricks.sliding_window_view: [
        (lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=1), (A,))
    ],
    np.diagonal: [(np.diagonal, (CUBE,))],
    np.flip: [(lambda x: np.flip(x, 1), (A,))],
    np.fliplr: [(np.fliplr, (A,))],
    np.flipud: [(np.flipud, (A,))],
    np.hsplit: [(lambda x: np.hsplit(x, 3), (A,))],
    np.moveaxis: [(lambda x: np.moveaxis(x, 0, -1), (CUBE,))],
    np.repeat: [
        (lambda x: x.repeat([1, 2, 0], axis=1), (A,)),
        (lambda x: np.repeat(x, 2, axis=-2), (CUBE,)),
    ],
    np.roll: [(lambda x: np.roll(x, 1, axis=1), (A,))],
    np.rollaxis: [(lambda x: np.rollaxis(x, 2), (CUBE,))],
    np.rot90: [(np.rot90, (A,))],
    np.split: [(lambda x: np.split(x, [1], axis=1), (A,))],
    np.take: [(lambda x: x.take([0, 0, 2], axis=1), (A,)), (lambda x: np.take(x, 4), (A,))],
    np.take_along_axis: [(lambda x: np.take_along_axis(x, INDEX, axis=1), (A,))],
    np.tile: [(lambda x: np.tile(x, (2, 1)), (A,)), (lambda x: np.tile(x, (2, 1)), (CUBE,))],
    np.vsplit: [(lambda x: np.vsplit(x, 2), (A,))],
}


def probes():
    for function in {**DERIVATIVES, **COMPOSED}:
        cases = CASES.get(function, [])
        if isinstance(function, np.ufunc):
            default = tuple(positive(3) for _ in range(function.nin))
            cases = [(function, DOMAINS.get(function, default)), *cases]
        for number, (fun, arrays) in enumerate(cases):
            name = f"{name_of(function)}-{number}"
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

    check(of_free, [arrays[i] for i in free])
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


@pytest.mark.parametrize("function", sorted(CONSTANT, key=name_of), ids=name_of)
def test_constant_functions_are_not_recorded(function):
    x = np.array([1.5, 0.5, 2.5])
    extra = {
        np.argpartition: (1,), np.digitize: (np.arange(3),),
        np.isin: ([0.5, 1.0],), np.searchsorted: (1.0,), np.result_type: (np.float32,),
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
    assert not grad(lambda x: np.linalg.norm(x, 3))(zero).any()
    assert (grad(lambda x: np.linalg.norm(x, np.inf))(zero + 1.0) == 0.5).all()
    assert (grad(lambda x: np.sum(np.clip(x, 0.0, 1.0)))(zero) == 0.5).all()
    assert grad(lambda x: np.max(x, initial=0.0))(zero).tolist() == [1 / 3, 1 / 3]
    assert grad(lambda x: np.max(x, initial=5.0))(zero).tolist() == [0.0, 0.0]
    assert grad(lambda x: x[0] * np.max(x, initial=5.0))(zero).tolist() == [5.0, 0.0]
    for fun in (np.median, lambda x: np.quantile(x, 0.25), lambda x: np.sort(x)[1]):
        assert grad(fun)(np.ones(4)).sum() == 1.0


def test_limits_of_special_functions():
    """Where the derivative is finite, it is not nan; where it is infinite, it is not finite."""
    by_y = {
        sc.xlogy: (0.0, np.inf), sc.rel_entr: (0.0, -np.inf), sc.kl_div: (1.0, -np.inf),
    }  # fmt: skip
    for function, (at_zero, at_one) in by_y.items():
        assert grad(lambda y, function=function: function(0.0, y))(0.0) == at_zero
        assert grad(lambda y, function=function: function(0.0, y))(0.5) == at_zero
        assert grad(lambda y, function=function: function(1.0, y))(0.0) == at_one
        bend = grad(grad(lambda y, function=function: function(0.0, y)))
        assert bend(0.0) == bend(0.5) == 0.0
    assert grad(lambda y: sc.xlog1py(0.0, y))(-1.0) == 0.0
    for function in (sc.rel_entr, sc.kl_div):  # log(x / y) is -inf at x = 0
        assert grad(lambda x, function=function: function(x, 0.5))(0.0) == -np.inf
    # A transformation with the exponent 0 is the logarithm; its derivative by it, log(x)^2 / 2.
    assert grad(lambda p: sc.boxcox(np.e, p))(0.0) == pytest.approx(0.5, rel=1e-15)
    assert grad(lambda p: sc.boxcox(np.e, p))(1e-9) == pytest.approx(0.5, rel=1e-8)
    assert grad(lambda p: sc.inv_boxcox(1.0, p))(0.0) == pytest.approx(-0.5 * np.e, rel=1e-15)
    # (s - 1)^2 / s with s = sqrt(1 + 1e-12), by its series
    assert grad(lambda d: sc.pseudo_huber(d, 1e-6))(1.0) == pytest.approx(0.25e-24, rel=1e-10)


def test_powers_of_zero():
    zero = np.zeros(3)
    exponents = np.array([0.0, 1.0, 2.5])
    assert grad(lambda x: np.sum(x**exponents))(zero).tolist() == [0.0, 1.0, 0.0]
    squares = lambda x: np.sum(x ** np.array([0.0, 1.0, 2.0]))  # noqa: E731
    assert grad(lambda x: np.sum(grad(squares)(x)))(zero).tolist() == [0.0, 0.0, 2.0]
    assert not grad(lambda y: np.sum(zero**y))(np.array([0.5, 1.0, 2.0])).any()


def test_nan_in_a_sample_shows_in_its_order_statistics():
    x = np.array([1.0, np.nan, 3.0])
    for fun in (np.median, lambda x: np.quantile(x, 0.1), lambda x: np.max(x)):
        assert np.isnan(value_and_vjp(fun, x)[0])
    assert grad(np.nanmedian)(x).tolist() == [0.5, 0.0, 0.5]
    for fun in (np.nansum, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin, np.nanprod):
        assert value_and_vjp(fun, x)[0] == fun(x)
        assert grad(fun)(x)[1] == 0.0
    infinite = np.array([1.0, 2.0, np.inf])
    assert value_and_vjp(lambda x: np.quantile(x, 0.5), infinite)[0] == 2.0


def test_empty_arrays():
    empty = np.zeros((0, 3))
    for fun in (
        np.sum, np.prod, np.linalg.norm, np.exp, np.cumsum, np.sort, np.diff, np.ravel, np.nansum,
        lambda x: np.concatenate([x, x]), lambda x: x[x > 0], lambda x: x.T @ x, np.transpose,
        lambda x: np.mean(x, axis=1), lambda x: np.max(x, axis=1), lambda x: np.std(x, axis=1),
    ):  # fmt: skip
        assert grad(lambda x, fun=fun: np.sum(fun(x)))(empty).shape == (0, 3)
    assert not grad(lambda x: np.sum(x[[]]) + np.sum(x[x > 9]))(V).any()
    with pytest.raises(ValueError, match="zero-size"):
        grad(np.max)(empty)


def test_axes_are_checked():
    for fun in (
        lambda x: np.diff(x, axis=2),
        lambda x: np.median(x, axis=2),
        lambda x: np.quantile(x, 0.5, axis=(0, 2)),
        lambda x: np.tensordot(x, x, ([2], [0])),
        lambda x: np.linalg.norm(x, 3, axis=2),
        lambda x: np.trapezoid(x, axis=-3),
    ):
        with pytest.raises(np.exceptions.AxisError):
            grad(lambda x, fun=fun: np.sum(fun(x)))(A)


METHODS = {
    "sum": (0,), "mean": (-1,), "prod": (1,), "var": (0,), "std": (1,), "max": (0,), "min": (None,),
    "cumsum": (1,), "clip": (-0.5, 0.5), "dot": (V,), "reshape": ((3, 2),), "transpose": ((1, 0),),
    "ravel": (), "squeeze": (), "repeat": (2, 1), "take": ([2, 0], 1), "swapaxes": (0, 1),
    "diagonal": (1,), "trace": (), "copy": (), "round": (1,), "argsort": (0,), "argmax": (1,),
    "argmin": (0,), "any": (0,), "all": (1,), "searchsorted": (0.5,), "nonzero": (),
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_those_of_an_array(name):
    point = V if name == "searchsorted" else A

    def results(x):
        return parts(getattr(x, name)(*METHODS[name]))

    def squares(x):
        return sum(np.sum((1.0 * part) ** 2) for part in results(x)) + 0.0 * np.sum(x)

    seen = []
    gradient = grad(lambda x: seen.extend(results(x)) or squares(x))(point)
    np.testing.assert_equal([getattr(part, "value", part) for part in seen], results(point))
    np.testing.assert_allclose(gradient, differences(squares, [point])[0], rtol=1e-6, atol=1e-7)


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
    y = pd.Series([1.0, 2.0, 3.0])
    np.testing.assert_allclose(grad(lambda t: np.mean((y - t) ** 2))(np.zeros(3)), -2.0 * y / 3.0)
    np.testing.assert_allclose(grad(lambda t: np.sum(t * y))(np.zeros(3)), y)


INTEGERS = [3, 1, 2]


@pytest.mark.parametrize("kind", ["list", "tuple", "array", "float32", "Series"])
def test_other_arrays_meet_traced_values(kind):
    y = {
        "list": INTEGERS,
        "tuple": tuple(INTEGERS),
        "array": np.array(INTEGERS),
        "float32": np.array(INTEGERS, np.float32),
        "Series": pd.Series(INTEGERS, index=[7, 8, 9]),
    }[kind]
    plain = np.array(INTEGERS, float)
    for fun in (
        lambda x, y: (y - x) ** 2 + y * x + x / y + x**y + 2.0 * (x > y),
        lambda x, y: y / x + np.maximum(y, x) + np.hypot(x, y) + np.logaddexp(x, y),
        lambda x, y: np.where(x > y, x, y) + sc.xlogy(y, x) + np.clip(x, 0.0, y),
        lambda x, y: np.dot(y, x) + np.inner(x, y) + np.vdot(y, x) + x @ y,
        lambda x, y: np.outer(y, x) + np.tensordot(y, x, 0) + np.einsum("i,j", x, y),
        lambda x, y: np.average(x, weights=y) + np.average(y, weights=x),
        lambda x, y: np.concatenate([y, x]) * np.stack([x, y]).ravel(),
        lambda x, y: np.convolve(y, x) + np.correlate(x, y, "full"),
        lambda x, y: np.kron(y, x) + np.append(x, [y, y]),
        lambda x, y: np.cross(y, x) + np.interp(x, [0, 1, 4], y) + np.trapezoid(y, x),
        lambda x, y: np.bincount(y, weights=x) if kind != "float32" else x,
    ):
        measured = differences(lambda x, fun=fun: np.sum(fun(x, plain.astype(int))), [V + 5.0])
        got = grad(lambda x, fun=fun: np.sum(fun(x, y)))(V + 5.0)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, measured[0], rtol=1e-6, atol=1e-7)


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
        (lambda x: np.histogram(x), NotImplementedError, "np.histogram"),
        (lambda x: np.unique(x), NotImplementedError, "unique"),
        (lambda x: np.repeat(V, x), TypeError, "traced value"),
        (lambda x: np.roll(x, x), TypeError, "traced value"),
        (lambda x: np.interp(x, V, W, period=1.0), NotImplementedError, "period="),
        (
            lambda x: np.quantile(x, 0.5, weights=V, method="inverted_cdf"),
            NotImplementedError,
            "weights=",
        ),
        (lambda x: np.quantile(V, x), NotImplementedError, "np.quantile"),
        (lambda x: np.pad(x, 1, "linear_ramp"), NotImplementedError, "np.pad"),
        (lambda x: np.cross(x[:2], V), NotImplementedError, "np.cross"),
        (lambda x: np.spacing(x), NotImplementedError, "np.spacing"),
        (lambda x: sc.j0(x), NotImplementedError, "scipy.special.j0"),
        (lambda x: np.linalg.svd(x), NotImplementedError, "svd"),
        (lambda x: np.fft.fft(x), NotImplementedError, "fft"),
        (lambda x: np.linalg.norm(x[None], 2), NotImplementedError, "norm"),
        (lambda x: np.linalg.norm(x[None], "nuc"), NotImplementedError, "norm"),
        (lambda x: np.nansum(x, where=x > 0), NotImplementedError, "where="),
        (lambda x: np.exp(x, where=[True, False, True]), NotImplementedError, "where="),
        (lambda x: np.exp(x, dtype=np.float32), NotImplementedError, "dtype="),
        (lambda x: np.var(x, mean=0.5), NotImplementedError, "mean="),
        (lambda x: np.multiply.reduceat(x, [0]), NotImplementedError, "reduceat"),
        (lambda x: sc.gammainc(x, 1.0), NotImplementedError, "argument 1"),
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


MODULE = """
import math

import numpy as np
import scipy.special as sc


def refused(x):
    y = np.exp(x)

    return np.sum(y) + np.sum(
        {expression}  # here
    )


def loss(x):
    return helper(x)


def helper(x):
    return refused(x)
"""


@pytest.mark.parametrize(
    ("expression", "error", "says"),
    [
        ("abs(np.fft.fft(y))", NotImplementedError, "numpy.fft.fft"),
        ("np.linalg.svd(y[None])[1]", NotImplementedError, "numpy.linalg.svd"),
        ("sc.jv(1, y)", NotImplementedError, "scipy.special.jv"),
        ("sc.stdtr(3.0, y)", NotImplementedError, "scipy.special.stdtr"),
        ("np.linspace(0.0, y[0], 3)", NotImplementedError, "np.linspace"),
        ("np.apply_along_axis(np.sum, 0, y)", NotImplementedError, "np.apply_along_axis"),
        ("np.logical_and.accumulate(y)", NotImplementedError, "np.logical_and"),
        ("math.exp(y[0])", TypeError, "can't become a number"),
        ("float(y[0])", TypeError, "can't become a number"),
        ("np.vectorize(math.sin)(y)", TypeError, "can't become a plain array"),
        ("np.asarray(y)", TypeError, "can't become a plain array"),
        ("np.array([y[0], y[1]])", TypeError, "np.stack"),
        ("np.full(3, y[0])", TypeError, "can't become a plain array"),
        ("np.ones(3)[y]", TypeError, "can't become a plain array"),
        ("sc.logsumexp(y)", TypeError, "skgd.special (logsumexp"),
        ("sc.softmax(y)", TypeError, "softmax"),
        ("sc.polygamma(1, y)", TypeError, "can't become a plain array"),
        ("y.astype(int)", TypeError, "keeps its dtype"),
        ("1.0 if y else 0.0", TypeError, "np.where"),
        ("y.__setitem__(0, 1.0)", TypeError, "written in place (x[...] = y)"),
        ("np.add(y, 1.0, out=y)", TypeError, "np.add with out="),
        ("np.add(y, 1.0, out=np.zeros(3))", TypeError, "np.add with out="),
        ("np.cumsum(y, out=np.zeros(3))", TypeError, "np.cumsum with out="),
        ("np.zeros(3).__iadd__(y)", TypeError, "in place"),
        ("np.put(y, [0], 1.0)", TypeError, "np.put"),
        ("y.fill(0.0)", TypeError, "x.fill()"),
    ],
)
def test_errors_name_the_line_of_the_function(expression, error, says, tmp_path):
    source = MODULE.format(expression=expression)
    path = tmp_path / "my_losses.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("my_losses", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(error) as caught:
        grad(module.loss)(np.array([0.3, 0.4, 0.5]))
    line = 1 + next(i for i, text in enumerate(source.split("\n")) if "# here" in text)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert says in message
    assert 'gradient="numeric"' in message


def test_the_truth_of_an_array_is_numpys_error():
    with pytest.raises(ValueError, match="truth value of an array"):
        grad(lambda x: x if x > 0 else -x)(V)
    assert grad(lambda x: x**2 if x > 0 else -x)(3.0) == 6.0


def test_assignment_to_an_entry_of_a_plain_array():
    # NumPy raises an error of its own here, of which ours is the cause: ours is shown.
    with pytest.raises(TypeError, match=r"np\.stack.*numeric"):
        grad(lambda x: np.sum(entry_into_plain(x)))(V)


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
