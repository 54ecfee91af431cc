"""The table of derivatives: what the computation graph knows about each function.

A row of `DERIVATIVES` holds one formula per argument. With z = f(x, y) and g = dJ/dz, the
formula for x gives dJ/dx as a function of (g, z, x, y): the chain rule is applied node by node.
A contribution larger than its argument, from broadcasting, is summed by the graph itself.
``None`` marks an argument of which z is a piecewise constant function, ``NotImplemented`` one
whose derivative is not known.

The formulas are written in the same functions that they differentiate, never in place, and with
Python numbers for constants: so they can be traced again, which gives second derivatives, and
keep float32.

`COMPOSED` expresses further functions through those of the table; `REARRANGING` lists those
that only move entries; `CONSTANT` those with derivative zero or a result that is no real number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sc

from . import special
from .special import cast, euclidean_norm, getitem, join, log_abs_det, scatter

LN2, LN10, SQRT2, SQRT_PI = math.log(2.0), math.log(10.0), math.sqrt(2.0), math.sqrt(math.pi)
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class ForEvery:
    """One formula for all arguments: it is told the position of the one asked for."""

    def __init__(self, formula: Callable[..., Any]):
        self.formula = formula

    def __len__(self) -> int:
        return 64

    def __getitem__(self, position: int) -> Callable[..., Any]:
        return functools.partial(self.formula, position)


# -- helpers of the formulas ----------------------------------------------------------------------


def _keep(g: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Give what is left of x by a reduction its axes back, with length one."""
    if axis is None or keepdims:
        return g
    reduced = _axes(axis, x.ndim)
    return g[tuple(None if i in reduced else slice(None) for i in range(x.ndim))]


def _spread(g: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Repeat a reduction's gradient along the axes that were reduced."""
    return np.broadcast_to(_keep(g, x, axis, keepdims), x.shape)


def _share(g: Any, z: Any, mine: Any, other: Any) -> Any:
    """Give the gradient to the argument that was selected; a tie is shared."""
    return np.where(mine == z, np.where(other == z, 0.5 * g, g), 0.0)


def _share_equally(g: Any, z: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Give the gradient of a maximum to the entries that attain it, in equal parts."""
    attains = x == _keep(z, x, axis, keepdims)
    count = np.sum(attains, axis=axis, keepdims=keepdims, dtype=x.dtype)
    return np.where(attains, _keep(g / count, x, axis, keepdims), 0.0)


def _nonzero(x: Any, instead: float = 1.0) -> Any:
    return np.where(x == 0, instead, x)


def _finite(x: Any) -> Any:
    return np.where(np.isfinite(x), x, 0.0)


def _power_x(g: Any, z: Any, x: Any, y: Any) -> Any:
    if isinstance(y, (int, float)):
        return g * (y * x ** (y - 1)) if y else g * 0.0
    return g * y * x ** np.where(y == 0, 1.0, y - 1)  # 0 ** -1 would make 0 * inf = nan


def _power_y(g: Any, z: Any, x: Any, y: Any) -> Any:
    return g * z * np.log(_nonzero(x))  # 0 ** y stays 0 for every positive y


def _swap(a: Any) -> Any:
    return np.swapaxes(a, -1, -2) if a.ndim > 2 else a.T


def _matmul_x(g: Any, z: Any, x: Any, y: Any) -> Any:
    if y.ndim == 1:
        return np.expand_dims(g, -1) * y if x.ndim > 1 else g * y
    if x.ndim == 1:
        return (y @ np.expand_dims(g, -1))[..., 0]
    return g @ _swap(y)


def _matmul_y(g: Any, z: Any, x: Any, y: Any) -> Any:
    if x.ndim == 1:
        return g * x if y.ndim == 1 else np.expand_dims(x, -1) * np.expand_dims(g, -2)
    if y.ndim == 1 and x.ndim > 2:
        return (_swap(x) @ np.expand_dims(g, -1))[..., 0]
    return _swap(x) @ g


def _affine_x(g: Any, z: Any, X: Any, W: Any, b: Any = None) -> Any:
    return _matmul_x(g, z, X, W)


def _affine_w(g: Any, z: Any, X: Any, W: Any, b: Any = None) -> Any:
    # For a sparse X, a traced g can only be multiplied by way of `affine`.
    return _matmul_y(g, z, X, W) if isinstance(X, np.ndarray) else special.affine(X.T, g)


def _prod_x(g: Any, z: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if np.all(x != 0):
        return _keep(g * z, x, axis, keepdims) / x
    # The product of the others: a square of copies, each with one's own entry replaced by 1.
    kept = tuple(i for i in range(x.ndim) if i not in _axes(axis, x.ndim))
    order = kept + _axes(axis, x.ndim)
    rows = np.transpose(x, order)
    flat = np.reshape(rows, (*rows.shape[: len(kept)], 1, -1))
    others = np.prod(np.where(np.eye(flat.shape[-1], dtype=bool), 1.0, flat), axis=-1)
    others = np.transpose(np.reshape(others, rows.shape), np.argsort(order))
    return _keep(g, x, axis, keepdims) * others


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    return tuple(i % ndim for i in (axis if isinstance(axis, tuple) else (axis,)))


def _inverse(axes: Any, ndim: int) -> Any:
    """Return the permutation that undoes a transposition."""
    return None if axes is None else np.argsort(_axes(tuple(axes), ndim))


def _norm_x(g: Any, z: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _keep(g / _nonzero(z), x, axis, keepdims) * x  # 0 at 0


def _logsumexp_x(g: Any, z: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    share = np.exp(x - _keep(_finite(z), x, axis, keepdims))  # -inf - -inf would be nan
    return _keep(g, x, axis, keepdims) * share


def _softmax_x(g: Any, z: Any, x: Any, axis: Any = -1) -> Any:
    return z * (g - np.sum(g * z, axis=axis, keepdims=True))


def _log_softmax_x(g: Any, z: Any, x: Any, axis: Any = -1) -> Any:
    return g - np.exp(z) * np.sum(g, axis=axis, keepdims=True)


def _join_part(position: int, g: Any, z: Any, axis: int | None, *arrays: Any) -> Any:
    part = arrays[position - 1]
    if axis is None:
        start = sum(np.size(a) for a in arrays[: position - 1])
        return np.reshape(g[start : start + part.size], part.shape)
    start = sum(np.shape(a)[axis] for a in arrays[: position - 1])
    before = (slice(None),) * (axis % part.ndim)
    return g[(*before, slice(start, start + part.shape[axis]))]


def _explicit(subscripts: str, operands: tuple[Any, ...]) -> tuple[list[str], str]:
    """Spell einsum's subscripts out: no blanks, no ellipsis, and with an output."""
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    if not arrow:
        once = sorted(c for c in set(left) - {",", "."} if left.count(c) == 1)
        output = ("..." if "..." in left else "") + "".join(once)
    hidden = [
        np.ndim(a) - len(term) + 3 if "..." in term else 0
        for a, term in zip(operands, inputs, strict=True)
    ]
    batch = "".join(c for c in _LETTERS if c not in subscripts)[: max(hidden)]
    inputs = [
        term.replace("...", batch[len(batch) - n :]) for term, n in zip(inputs, hidden, strict=True)
    ]
    return inputs, output.replace("...", batch)


def _einsum_operand(
    position: int, g: Any, z: Any, subscripts: str, *operands: Any, optimize: Any = False
) -> Any:
    """Contract g with all other operands; what is left are the operand's own indices."""
    inputs, output = _explicit(subscripts, operands)
    k = position - 1
    terms = [output, *inputs[:k], *inputs[k + 1 :]]
    arrays = [g, *operands[:k], *operands[k + 1 :]]
    target = ""
    for letter, size in zip(inputs[k], operands[k].shape, strict=True):
        if letter in target:  # a diagonal: the gradient lies on it
            twin = next(c for c in _LETTERS if c not in "".join([*terms, *inputs, target]))
            terms.append(letter + twin)
            arrays.append(np.eye(size, dtype=g.dtype))
            letter = twin
        elif letter not in "".join(terms):  # summed over in this operand alone
            terms.append(letter)
            arrays.append(np.ones(size, dtype=g.dtype))
        target += letter
    return np.einsum(f"{','.join(terms)}->{target}", *arrays, optimize=optimize)


def _solve_b(g: Any, z: Any, a: Any, b: Any) -> Any:
    return np.linalg.solve(_swap(a), g)


def _solve_a(g: Any, z: Any, a: Any, b: Any) -> Any:
    u = np.linalg.solve(_swap(a), g)
    if np.ndim(b) == 1:
        return -np.expand_dims(u, -1) * np.expand_dims(z, -2)
    return -u @ _swap(z)


# -- the table ------------------------------------------------------------------------------------


# fmt: off


DERIVATIVES: dict[Callable[..., Any], Any] = {
    # arithmetic
    np.add:         (lambda g, z, x, y: g,             lambda g, z, x, y: g),
    np.subtract:    (lambda g, z, x, y: g,             lambda g, z, x, y: -g),
    np.multiply:    (lambda g, z, x, y: g * y,         lambda g, z, x, y: g * x),
    np.divide:      (lambda g, z, x, y: g / y,         lambda g, z, x, y: -g * z / y),
    np.remainder:   (lambda g, z, x, y: g,             lambda g, z, x, y: -g * np.floor(x / y)),
    np.fmod:        (lambda g, z, x, y: g,             lambda g, z, x, y: -g * np.trunc(x / y)),
    np.power:       (_power_x,                         _power_y),
    np.float_power: (_power_x,                         _power_y),
    np.negative:    (lambda g, z, x: -g,),
    np.positive:    (lambda g, z, x: g,),
    np.conjugate:   (lambda g, z, x: g,),
    np.reciprocal:  (lambda g, z, x: -g * z * z,),
    np.square:      (lambda g, z, x: g * (2.0 * x),),
    np.sqrt:        (lambda g, z, x: g * (0.5 / z),),
    np.cbrt:        (lambda g, z, x: g / (3.0 * z * z),),
    np.absolute:    (lambda g, z, x: g * np.sign(x),),
    np.fabs:        (lambda g, z, x: g * np.sign(x),),
    np.deg2rad:     (lambda g, z, x: g * (math.pi / 180.0),),
    np.radians:     (lambda g, z, x: g * (math.pi / 180.0),),
    np.rad2deg:     (lambda g, z, x: g * (180.0 / math.pi),),
    np.degrees:     (lambda g, z, x: g * (180.0 / math.pi),),

    # exponentials and logarithms
    np.exp:         (lambda g, z, x: g * z,),
    np.exp2:        (lambda g, z, x: g * z * LN2,),
    np.expm1:       (lambda g, z, x: g * (z + 1.0),),
    np.log:         (lambda g, z, x: g / x,),
    np.log2:        (lambda g, z, x: g / (x * LN2),),
    np.log10:       (lambda g, z, x: g / (x * LN10),),
    np.log1p:       (lambda g, z, x: g / (1.0 + x),),
    np.logaddexp:   (lambda g, z, x, y: g * np.exp(x - _finite(z)),
                     lambda g, z, x, y: g * np.exp(y - _finite(z))),
    np.logaddexp2:  (lambda g, z, x, y: g * np.exp2(x - _finite(z)),
                     lambda g, z, x, y: g * np.exp2(y - _finite(z))),

    # trigonometric and hyperbolic functions
    np.sin:         (lambda g, z, x: g * np.cos(x),),
    np.cos:         (lambda g, z, x: -g * np.sin(x),),
    np.tan:         (lambda g, z, x: g * (1.0 + z * z),),
    np.arcsin:      (lambda g, z, x: g / np.sqrt(1.0 - x * x),),
    np.arccos:      (lambda g, z, x: -g / np.sqrt(1.0 - x * x),),
    np.arctan:      (lambda g, z, x: g / (1.0 + x * x),),
    np.sinh:        (lambda g, z, x: g * np.cosh(x),),
    np.cosh:        (lambda g, z, x: g * np.sinh(x),),
    np.tanh:        (lambda g, z, x: g * (1.0 - z * z),),
    np.arcsinh:     (lambda g, z, x: g / np.sqrt(x * x + 1.0),),
    np.arccosh:     (lambda g, z, x: g / np.sqrt(x * x - 1.0),),
    np.arctanh:     (lambda g, z, x: g / (1.0 - x * x),),
    np.arctan2:     (lambda g, z, y, x: g * x / (x * x + y * y),
                     lambda g, z, y, x: -g * y / (x * x + y * y)),
    np.hypot:       (lambda g, z, x, y: g * x / _nonzero(z),
                     lambda g, z, x, y: g * y / _nonzero(z)),

    # selection
    np.maximum:     (lambda g, z, x, y: _share(g, z, x, y), lambda g, z, x, y: _share(g, z, y, x)),
    np.minimum:     (lambda g, z, x, y: _share(g, z, x, y), lambda g, z, x, y: _share(g, z, y, x)),
    np.fmax:        (lambda g, z, x, y: _share(g, z, x, y), lambda g, z, x, y: _share(g, z, y, x)),
    np.fmin:        (lambda g, z, x, y: _share(g, z, x, y), lambda g, z, x, y: _share(g, z, y, x)),
    np.where:       (None,
                     lambda g, z, c, x, y: np.where(c, g, 0.0),
                     lambda g, z, c, x, y: np.where(c, 0.0, g)),
    np.nan_to_num:  (lambda g, z, x, copy=True, nan=0.0, posinf=None, neginf=None:
                     np.where(np.isfinite(x), g, 0.0),),

    # reductions
    np.sum:         (lambda g, z, x, axis=None, dtype=None, out=None, keepdims=False:
                     _spread(g, x, axis, keepdims),),
    np.mean:        (lambda g, z, x, axis=None, dtype=None, out=None, keepdims=False:
                     _spread(g * (z.size / max(x.size, 1)), x, axis, keepdims),),
    np.prod:        (lambda g, z, x, axis=None, dtype=None, out=None, keepdims=False:
                     _prod_x(g, z, x, axis, keepdims),),
    np.max:         (lambda g, z, x, axis=None, out=None, keepdims=False:
                     _share_equally(g, z, x, axis, keepdims),),
    np.min:         (lambda g, z, x, axis=None, out=None, keepdims=False:
                     _share_equally(g, z, x, axis, keepdims),),
    euclidean_norm: (_norm_x,),

    # products of matrices
    np.matmul:      (_matmul_x,                        _matmul_y),
    np.einsum:      ForEvery(_einsum_operand),
    special.affine: (_affine_x,                        _affine_w,
                     lambda g, z, X, W, b: g),
    np.linalg.solve: (_solve_a,                        _solve_b),
    np.linalg.inv:  (lambda g, z, a: -_swap(z) @ g @ _swap(z),),
    np.linalg.det:  (lambda g, z, a: (g * z)[..., None, None] * _swap(np.linalg.inv(a)),),
    log_abs_det:    (lambda g, z, a: g[..., None, None] * _swap(np.linalg.inv(a)),),

    # shape and order
    np.reshape:     (lambda g, z, x, shape, order="C": np.reshape(g, x.shape, order=order),),
    np.squeeze:     (lambda g, z, x, axis=None: np.reshape(g, x.shape),),
    np.expand_dims: (lambda g, z, x, axis: np.reshape(g, x.shape),),
    np.transpose:   (lambda g, z, x, axes=None:
                     np.transpose(g, _inverse(axes, x.ndim)),),
    np.swapaxes:    (lambda g, z, x, i, j: np.swapaxes(g, i, j),),
    np.broadcast_to: (lambda g, z, x, shape: g,),
    np.cumsum:      (lambda g, z, x, axis=None:
                     np.reshape(np.flip(np.cumsum(np.flip(g, axis), axis), axis), x.shape),),
    getitem:        (lambda g, z, x, index: scatter(g, index, x.shape),),
    scatter:        (lambda g, z, x, index, shape: g[index],),
    join:           ForEvery(_join_part),
    cast:           (lambda g, z, x, dtype: g,),

    # special functions
    special.sum_of_squares: ForEvery(lambda k, g, z, *xs: 2.0 * g * xs[k]),
    special.logsumexp:   (_logsumexp_x,),
    special.softmax:     (_softmax_x,),
    special.log_softmax: (_log_softmax_x,),
    special.softplus:    (lambda g, z, x: g * special.expit(x),),
    special.expit:       (lambda g, z, x: g * (z * (1.0 - z)),),
    special.erf:         (lambda g, z, x: g * (2.0 / SQRT_PI * np.exp(-x * x)),),
    sc.expit:       (lambda g, z, x: g * (z * (1.0 - z)),),
    sc.log_expit:   (lambda g, z, x: g * sc.expit(-x),),
    sc.logit:       (lambda g, z, x: g / (x * (1.0 - x)),),
    sc.erf:         (lambda g, z, x: g * (2.0 / SQRT_PI * np.exp(-x * x)),),
    sc.erfc:        (lambda g, z, x: g * (-2.0 / SQRT_PI * np.exp(-x * x)),),
    sc.erfcx:       (lambda g, z, x: g * (2.0 * x * z - 2.0 / SQRT_PI),),
    sc.erfinv:      (lambda g, z, x: g * (SQRT_PI / 2.0 * np.exp(z * z)),),
    sc.ndtr:        (lambda g, z, x: g * (np.exp(-0.5 * x * x) / (SQRT2 * SQRT_PI)),),
    sc.ndtri:       (lambda g, z, x: g * (SQRT2 * SQRT_PI * np.exp(0.5 * z * z)),),
    # phi(x) / Phi(x), in a form in which neither underflows
    sc.log_ndtr:    (lambda g, z, x: g * (SQRT2 / SQRT_PI / sc.erfcx(x * (-1.0 / SQRT2))),),
    sc.gamma:       (lambda g, z, x: g * z * sc.psi(x),),
    sc.gammaln:     (lambda g, z, x: g * sc.psi(x),),
    sc.psi:         (lambda g, z, x: g * sc.zeta(2.0, x),),
    sc.betaln:      (lambda g, z, a, b: g * (sc.psi(a) - sc.psi(a + b)),
                     lambda g, z, a, b: g * (sc.psi(b) - sc.psi(a + b))),
    sc.expm1:       (lambda g, z, x: g * (z + 1.0),),
    sc.exp2:        (lambda g, z, x: g * z * LN2,),
    sc.log1p:       (lambda g, z, x: g / (1.0 + x),),
    sc.cbrt:        (lambda g, z, x: g / (3.0 * z * z),),
    sc.xlogy:       (lambda g, z, x, y: g * np.log(y), lambda g, z, x, y: g * x / _nonzero(y)),
    sc.xlog1py:     (lambda g, z, x, y: g * np.log1p(y), lambda g, z, x, y: g * x / (1.0 + y)),
    sc.entr:        (lambda g, z, x: -g * (np.log(x) + 1.0),),
    sc.rel_entr:    (lambda g, z, x, y: g * (np.log(x / y) + 1.0), lambda g, z, x, y: -g * x / y),
    sc.kl_div:      (lambda g, z, x, y: g * np.log(x / y), lambda g, z, x, y: g * (1.0 - x / y)),
    sc.huber:       (lambda g, z, d, r: g * np.maximum(np.abs(r) - d, 0.0),
                     lambda g, z, d, r: g * np.clip(r, -d, d)),
    sc.pseudo_huber: (NotImplemented,
                     lambda g, z, d, r: g * r / np.hypot(1.0, r / d)),
}
# fmt: on


# -- functions expressed through the table --------------------------------------------------------


def _var(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    centred = x - np.mean(x, axis=axis, keepdims=True)
    n = math.prod(x.shape[i] for i in _axes(axis, x.ndim))
    return np.sum(np.square(centred), axis=axis, keepdims=keepdims) * (1.0 / (n - ddof))


def _std(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    # By way of the norm, whose derivative at 0 is 0 and not nan.
    centred = x - np.mean(x, axis=axis, keepdims=True)
    n = math.prod(x.shape[i] for i in _axes(axis, x.ndim))
    return euclidean_norm(centred, axis, keepdims) * (1.0 / math.sqrt(n - ddof))


def _average(a: Any, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    if weights is None:
        return np.mean(a, axis=axis, keepdims=keepdims)
    if np.ndim(weights) != np.ndim(a):  # one weight for each entry along the axis
        weights = np.reshape(weights, [-1 if i == axis % a.ndim else 1 for i in range(a.ndim)])
    weights = weights + np.zeros_like(a)
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    return np.sum(a * weights, axis=axis, keepdims=keepdims) / total


def _cov(m: Any, y: Any = None) -> Any:
    rows = np.atleast_2d(m) if y is None else np.stack([m, y])
    centred = rows - np.mean(rows, axis=1, keepdims=True)
    return centred @ np.transpose(centred) * (1.0 / (rows.shape[1] - 1))


def _corrcoef(x: Any, y: Any = None) -> Any:
    c = _cov(x, y)
    scale = np.sqrt(np.diagonal(c))
    return c / scale[:, None] / scale


def _median(x: Any, axis: int | None = None, *, keepdims: bool = False) -> Any:
    ordered = np.sort(x, axis=axis)
    n = x.size if axis is None else x.shape[axis]
    middle = np.take(ordered, [(n - 1) // 2, n // 2], axis=-1 if axis is None else axis)
    result = np.mean(middle, axis=-1 if axis is None else axis, keepdims=keepdims)
    return np.reshape(result, (1,) * x.ndim) if keepdims and axis is None else result


def _sort(x: Any, axis: int | None = -1) -> Any:
    if axis is None:
        return _sort(np.ravel(x))
    return np.take_along_axis(x, np.argsort(x, axis=axis), axis)


def _diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    before = (slice(None),) * (axis % x.ndim)
    for _ in range(n):
        x = x[(*before, slice(1, None))] - x[(*before, slice(None, -1))]
    return x


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    lower, upper = (min if a_min is None else a_min), (max if a_max is None else a_max)
    if lower is not None:
        a = np.maximum(a, lower)
    return a if upper is None else np.minimum(a, upper)


def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    if np.ndim(a) <= 2 and np.ndim(b) <= 2:
        return np.matmul(a, b)
    return _tensordot(a, b, ((-1,), (-2 if np.ndim(b) > 1 else -1,)))


def _inner(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    return _tensordot(a, b, ((-1,), (-1,)))


def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Move the axes to be summed over together, and multiply matrices."""
    a_ndim, b_ndim = np.ndim(a), np.ndim(b)
    if isinstance(axes, int):
        axes = (range(a_ndim - axes, a_ndim), range(axes))
    of_a = _axes(tuple(np.atleast_1d(axes[0])), a_ndim)
    of_b = _axes(tuple(np.atleast_1d(axes[1])), b_ndim)
    free_a = tuple(i for i in range(a_ndim) if i not in of_a)
    free_b = tuple(i for i in range(b_ndim) if i not in of_b)
    shape_a, shape_b = np.shape(a), np.shape(b)
    size = math.prod(shape_a[i] for i in of_a)
    rows, columns = [shape_a[i] for i in free_a], [shape_b[i] for i in free_b]
    left = np.reshape(np.transpose(a, free_a + of_a), (math.prod(rows), size))
    right = np.reshape(np.transpose(b, of_b + free_b), (size, math.prod(columns)))
    return np.reshape(left @ right, (*rows, *columns))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if axis is None and ord is not None and x.ndim > 1:
        axis = tuple(range(x.ndim))
    vector = x.ndim == 1 if axis is None else not isinstance(axis, tuple)
    if ord is None or (ord == 2 and vector) or (ord == "fro" and not vector):
        return euclidean_norm(x, axis, keepdims)
    if ord == 1 and vector:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    if ord in (np.inf, -np.inf) and vector:
        return (np.max if ord > 0 else np.min)(np.abs(x), axis=axis, keepdims=keepdims)
    return NotImplemented


def _slogdet(a: Any) -> Any:
    # NumPy's own result supplies the sign, a constant, and the type with its field names.
    return np.linalg.slogdet(a.value)._replace(logabsdet=log_abs_det(a))


def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        default = np.where(condition, choice, default)
    return default


def _reshape_all(rank: int) -> Callable[..., Any]:
    """Make `np.atleast_1d` or `np.atleast_2d`."""

    def at_least(*arrays: Any) -> Any:
        shaped = [np.reshape(a, (1,) * (rank - np.ndim(a)) + np.shape(a)) for a in arrays]
        return shaped[0] if len(shaped) == 1 else tuple(shaped)

    return at_least


def _joined(arrays: Any, axis: int | None = 0) -> Any:
    return join(axis, *arrays)


def _stack(arrays: Any, axis: int = 0) -> Any:
    return join(axis, *(np.expand_dims(a, axis) for a in arrays))


def _hstack(tup: Any) -> Any:
    rows = [np.atleast_1d(a) for a in tup]
    return join(0 if rows[0].ndim == 1 else 1, *rows)


def _column_stack(tup: Any) -> Any:
    return join(1, *(np.reshape(a, (-1, 1)) if np.ndim(a) < 2 else a for a in tup))


def _rearrange(function: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    """Move entries as `function` does: let it move their numbers, and select by these."""
    if isinstance(x, (np.ndarray, list, tuple)):  # what is traced is an argument that says where to
        return NotImplemented
    numbers = function(np.arange(x.size).reshape(x.shape), *args, **kwargs)
    flat = np.reshape(x, -1)
    if isinstance(numbers, (list, tuple)):
        return type(numbers)(flat[i] for i in numbers)
    return flat[numbers]


COMPOSED: dict[Callable[..., Any], Callable[..., Any]] = {
    np.var: _var,
    np.std: _std,
    np.average: _average,
    np.median: _median,
    np.cov: _cov,
    np.corrcoef: _corrcoef,
    np.amax: lambda a, axis=None, out=None, keepdims=False: np.max(a, axis, keepdims=keepdims),
    np.amin: lambda a, axis=None, out=None, keepdims=False: np.min(a, axis, keepdims=keepdims),
    np.ptp: lambda a, axis=None, keepdims=False: (
        np.max(a, axis, keepdims=keepdims) - np.min(a, axis, keepdims=keepdims)
    ),
    np.nansum: lambda a, axis=None, keepdims=False: np.sum(
        np.where(np.isnan(a), 0.0, a), axis=axis, keepdims=keepdims
    ),
    np.nanmean: lambda a, axis=None, keepdims=False: (
        np.nansum(a, axis=axis, keepdims=keepdims)
        / np.sum(~np.isnan(a), axis=axis, keepdims=keepdims, dtype=a.dtype)
    ),
    np.sort: _sort,
    np.diff: _diff,
    np.clip: _clip,
    np.select: _select,
    np.dot: _dot,
    np.inner: _inner,
    np.vdot: lambda a, b: np.sum(np.ravel(a) * np.ravel(b)),
    np.vecdot: lambda a, b: np.sum(a * b, axis=-1),
    np.outer: lambda a, b: np.reshape(a, (-1, 1)) * np.ravel(b),
    np.tensordot: _tensordot,
    np.linalg.norm: _norm,
    np.linalg.slogdet: _slogdet,
    np.trace: lambda a, offset=0, axis1=0, axis2=1: np.sum(
        np.diagonal(a, offset, axis1, axis2), axis=-1
    ),
    np.ravel: lambda a, order="C": np.reshape(a, -1, order=order),
    np.atleast_1d: _reshape_all(1),
    np.atleast_2d: _reshape_all(2),
    np.concatenate: _joined,
    np.stack: _stack,
    np.hstack: _hstack,
    np.vstack: lambda tup: join(0, *(np.atleast_2d(a) for a in tup)),
    np.column_stack: _column_stack,
    np.append: lambda arr, values, axis=None: join(axis, arr, values),
    np.full_like: lambda a, fill_value: np.zeros_like(a) + fill_value,
    np.tril: lambda m, k=0: np.where(np.tri(m.shape[-2], m.shape[-1], k, bool), m, 0.0),
    np.triu: lambda m, k=0: np.where(np.tri(m.shape[-2], m.shape[-1], k - 1, bool), 0.0, m),
    np.copy: lambda a: np.positive(a),
    np.polyval: lambda p, x: functools.reduce(lambda total, c: total * x + c, p),
}

# Functions that move, repeat or drop entries of their first argument: `_rearrange` serves all.
REARRANGING: tuple[Callable[..., Any], ...] = (
    np.array_split, np.delete, np.diag, np.diagonal, np.flip, np.fliplr, np.flipud, np.hsplit,
    np.moveaxis, np.repeat, np.roll, np.rollaxis, np.rot90, np.split, np.take, np.take_along_axis,
    np.tile, np.vsplit,
)  # fmt: skip

COMPOSED |= {function: functools.partial(_rearrange, function) for function in REARRANGING}

CONSTANT: set[Callable[..., Any]] = {
    np.all, np.allclose, np.any, np.argmax, np.argmin, np.argpartition, np.argsort, np.argwhere,
    np.around, np.array_equal, np.ceil, np.count_nonzero, np.digitize, np.empty_like,
    np.equal, np.flatnonzero, np.floor, np.floor_divide, np.greater, np.greater_equal,
    np.heaviside, np.isclose, np.iscomplexobj, np.isfinite, np.isinf, np.isnan, np.isrealobj,
    np.less, np.less_equal, np.logical_and, np.logical_not, np.logical_or, np.logical_xor, np.ndim,
    np.nonzero, np.not_equal, np.ones_like, np.result_type, np.rint, np.round, np.searchsorted,
    np.shape, np.sign, np.signbit, np.size, np.trunc, np.zeros_like,
}  # fmt: skip
