"""Functions that NumPy lacks, in a form that every gradient source can use.

Each takes plain arrays, whose dtype is kept (float32 stays float32); values traced by
`skgd.autodiff`, where it is one node with a stable derivative; and complex arrays, on which it
is the analytic continuation, so that a complex step carries the derivative in the imaginary part.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sc

__all__ = [
    "affine",
    "erf",
    "expit",
    "log_softmax",
    "logsumexp",
    "softmax",
    "softplus",
    "sum_of_squares",
]

_PLAIN = (np.ndarray, np.generic, float, int)


def traceable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a traced argument take over the call, as it does for NumPy's own functions (NEP 18)."""

    @functools.wraps(function)
    def dispatcher(*args: Any, **kwargs: Any) -> Any:
        for arg in (*args, *kwargs.values()) if kwargs else args:
            if not isinstance(arg, _PLAIN) and hasattr(arg, "__array_function__"):
                return arg.__array_function__(dispatcher, (type(arg),), args, kwargs)
        return function(*args, **kwargs)

    return dispatcher


@traceable
def affine(X: Any, W: Any, b: Any = None) -> Any:
    """Compute ``X @ W + b``, the pre-activation of a layer.

    Parameters
    ----------
    X : array or scipy sparse matrix of shape (n, p)
        The inputs. A sparse matrix is data; only a dense one can be traced.
    W : array of shape (p, k) or (p,)
        The weights.
    b : array of shape (k,) or number, optional
        The biases.

    Returns
    -------
    ndarray of shape (n, k) or (n,)
        Dense, also for a sparse `X`.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.special import affine
    >>> affine(np.array([[1.0, 2.0]]), np.array([[1.0], [10.0]]), np.array([0.5]))
    array([[21.5]])
    """
    product = X @ W
    if b is None:
        return product
    # The product is ours, so the biases can be added in place if they fit it.
    fits = product.ndim == 2 and np.shape(b) == product.shape[1:]
    if fits and product.dtype == np.asarray(b).dtype:
        product += b
        return product
    return product + b


@traceable
def sum_of_squares(*arrays: Any) -> Any:
    """Compute the sum of the squares of all entries of all arrays, as one node.

    Parameters
    ----------
    *arrays : array

    Returns
    -------
    number

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.special import sum_of_squares
    >>> float(sum_of_squares(np.array([[3.0], [4.0]]), np.array([12.0])))
    169.0
    """
    total: Any = 0.0
    for x in arrays:
        flat = np.ravel(x, order="K")
        total = total + flat @ flat
    return total


@traceable
def logsumexp(x: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """Compute ``log(sum(exp(x)))`` without overflow.

    Parameters
    ----------
    x : array
        Entries may be -inf: their exp is 0, and so is their gradient.
    axis : int or tuple of int, optional
        Axes to sum over; all of them by default.
    keepdims : bool, default=False
        Keep the axes summed over, with length one.

    Returns
    -------
    ndarray or number

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.special import logsumexp
    >>> print(logsumexp(np.array([1000.0, 1000.0, -np.inf])))
    1000.6931471805599
    """
    x = _reducible(np.asarray(x), axis)
    top = _top(x, axis)
    with np.errstate(divide="ignore", over="ignore"):  # log(0) = -inf and exp(inf) = inf are meant
        result = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return result if keepdims else np.squeeze(result, axis=axis)[()]


@traceable
def softmax(x: Any, axis: int | tuple[int, ...] | None = -1) -> Any:
    """Compute ``exp(x) / sum(exp(x))`` without overflow.

    Parameters
    ----------
    x : array
        The logits.
    axis : int, tuple of int or None, default=-1
        Axes over which the result sums to one.

    Returns
    -------
    ndarray of the shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.special import softmax
    >>> softmax(np.array([[0.0, 0.0], [1e4, -1e4]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    x = _reducible(np.asarray(x), axis)
    powers = np.exp(x - _top(x, axis))
    return powers / np.sum(powers, axis=axis, keepdims=True)


@traceable
def log_softmax(x: Any, axis: int | tuple[int, ...] | None = -1) -> Any:
    """Compute ``log(softmax(x))``, finite also where the softmax underflows.

    Parameters
    ----------
    x : array
        The logits.
    axis : int, tuple of int or None, default=-1
        Axes over which the softmax sums to one.

    Returns
    -------
    ndarray of the shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.special import log_softmax
    >>> log_softmax(np.array([1000.0, 0.0]))
    array([    0., -1000.])
    """
    x = _reducible(np.asarray(x), axis)
    shifted = x - _top(x, axis)
    return shifted - np.log(np.add.reduce(np.exp(shifted), axis=axis, keepdims=True))


@traceable
def softplus(x: Any) -> Any:
    """Compute ``log(1 + exp(x))``, a smooth ``maximum(x, 0)``, without overflow.

    Parameters
    ----------
    x : array
        Where to evaluate it.

    Returns
    -------
    ndarray or number

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.special import softplus
    >>> softplus(np.array([-1e4, 0.0, 1e4]))
    array([0.00000000e+00, 6.93147181e-01, 1.00000000e+04])
    """
    x = np.asarray(x)
    # log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)): the exponent is never positive.
    if x.dtype.kind == "c":
        positive = x.real > 0
        return np.where(positive, x, 0.0) + np.log1p(np.exp(np.where(positive, -x, x)))
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


@traceable
def expit(x: Any) -> Any:
    """Compute the logistic function ``1 / (1 + exp(-x))`` without overflow.

    Parameters
    ----------
    x : array
        Where to evaluate it.

    Returns
    -------
    ndarray or number

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.special import expit
    >>> expit(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    x = np.asarray(x)
    if x.dtype.kind != "c":
        return sc.expit(x)
    positive = x.real > 0  # scipy's refuses complex numbers
    power = np.exp(np.where(positive, -x, x))
    return np.where(positive, 1.0, power) / (1.0 + power)


@traceable
def erf(x: Any) -> Any:
    """Compute the error function ``2 / sqrt(pi) * integral of exp(-t^2) from 0 to x``.

    Parameters
    ----------
    x : array
        Where to evaluate it.

    Returns
    -------
    ndarray or number

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.special import erf
    >>> erf(np.array([0.0, 1.0]))
    array([0.        , 0.84270079])
    """
    return sc.erf(x)


def _reducible(x: np.ndarray, axis: int | tuple[int, ...] | None) -> np.ndarray:
    """Many short rows, in an order in which NumPy reduces them as few long columns."""
    short = x.ndim == 2 and axis in (1, -1) and 4 * x.shape[1] < x.shape[0]
    return np.asfortranarray(x) if short else x


def _top(x: np.ndarray, axis: int | tuple[int, ...] | None) -> Any:
    """Largest real part along `axis`: subtracting it keeps exp from overflow.

    It is real, so that a complex step passes by untouched, and 0 where it would be infinite,
    since inf - inf is nan.
    """
    real = x.real if x.dtype.kind == "c" else x
    top = np.maximum.reduce(real, axis=axis, keepdims=True)
    return top if np.isfinite(top).all() else np.where(np.isfinite(top), top, 0)


# -- nodes of the graph for what NumPy spells as syntax, or in several ways ----------------------


@traceable
def with_l2(value: Any, strength: float, *weights: Any) -> Any:
    """Compute ``value + strength / 2 * sum of the squares of all weights``."""
    return value + (0.5 * strength) * sum_of_squares(*weights)


@traceable
def getitem(x: Any, index: Any) -> Any:
    """Select ``x[index]``, by slices, integers or a mask."""
    return x[index]


@traceable
def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Add `g` into zeros at ``[index]``, the transpose of `getitem`."""
    zeros = np.zeros(shape, dtype=g.dtype)
    if _is_basic(index) or (isinstance(index, np.ndarray) and index.dtype == bool):
        zeros[index] = g
    else:  # an entry may have been selected more than once
        np.add.at(zeros, index, g)
    return zeros


@traceable
def join(axis: int | None, *arrays: Any) -> Any:
    """Concatenate the arrays."""
    return np.concatenate(arrays, axis=axis)


@traceable
def cast(x: Any, dtype: Any) -> Any:
    """Give `x` another precision."""
    return x.astype(dtype)


@traceable
def euclidean_norm(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Compute the square root of the sum of squares."""
    return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))


@traceable
def log_abs_det(a: Any) -> Any:
    """Compute the logarithm of the absolute value of the determinant."""
    return np.linalg.slogdet(a)[1]


@traceable
def hurwitz_zeta(s: Any, q: Any) -> Any:
    """Compute the sum of ``(q + k) ** -s`` over k = 0, 1, 2, ...; the derivatives of psi."""
    return sc.zeta(s, q)


def _is_basic(index: Any) -> bool:
    """Say whether an index selects no entry twice for sure: slices, integers, None, Ellipsis."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is ... or isinstance(p, (int, slice, np.integer)) for p in parts)
