"""The table of derivatives: what the computation graph knows about each function.

A row of `DERIVATIVES` holds one formula per argument. With z = f(x, y) and g = dJ/dz, the
formula for x gives dJ/dx as a function of (g, z, x, y): the chain rule is applied node by node.
A contribution larger than its argument, from broadcasting, is summed by the graph itself.
``None`` marks an argument of which z is a piecewise constant function, ``NotImplemented`` one
whose derivative is not known.

The formulas are written in the same functions that they differentiate, never in place, and with
Python numbers for constants: so they can be traced again, which gives second derivatives, and
keep float32.

Further functions are expressed through these: see `skgd.autodiff.composed`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sc

from skgd import special
from skgd.special import cast, euclidean_norm, getitem, hurwitz_zeta, join, log_abs_det, scatter

LN2, LN10, SQRT2, SQRT_PI = math.log(2.0), math.log(10.0), math.sqrt(2.0), math.sqrt(math.pi)
_SMALL = 2**14
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
    g = _keep(g, x, axis, keepdims)
    if x.size > _SMALL or _is_traced(g):
        return np.broadcast_to(g, x.shape)
    full = np.empty(x.shape, g.dtype)  # for few numbers it takes less time than a view
    full[...] = g
    return full


def _share(g: Any, z: Any, mine: Any, other: Any) -> Any:
    """Give the gradient to the argument that was selected; a tie is shared."""
    return np.where(mine == z, np.where(other == z, 0.5 * g, g), 0.0)


def _share_equally(
    g: Any, z: Any, x: Any, axis: Any, keepdims: bool, initial: Any = None, where: Any = True
) -> Any:
    """Give the gradient of a maximum to the entries that attain it, in equal parts."""
    attains = (x == _keep(z, x, axis, keepdims)) & where
    count = np.sum(attains, axis=axis, keepdims=keepdims, dtype=x.dtype)
    if initial is not None:  # it takes part, and may be the only one to attain the maximum
        count = np.maximum(count + np.equal(z, initial), 1.0)
    return np.where(attains, _keep(g / count, x, axis, keepdims), 0.0)


def _mean_x(g: Any, z: Any, x: Any, axis: Any, keepdims: bool, where: Any) -> Any:
    if where is True:
        return _spread(g * (z.size / max(x.size, 1)), x, axis, keepdims)
    return _only(where, _spread(g / _count(where, x, axis, keepdims), x, axis, keepdims))


def _only(where: Any, g: Any) -> Any:
    return g if where is True else np.where(where, g, 0.0)


def _count(where: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Count the entries of x that a reduction takes part in."""
    selected = np.broadcast_to(where, x.shape)
    return np.sum(selected, axis=axis, keepdims=keepdims, dtype=x.dtype)


def _nonzero(x: Any, instead: float = 1.0) -> Any:
    return np.where(x == 0, instead, x)


def _finite(x: Any) -> Any:
    return np.where(np.isfinite(x), x, 0.0)


def _ratio(x: Any, y: Any) -> Any:
    """Divide, with 0 / 0 = 0: the limit for x log y, which is 0 for all y at x = 0."""
    return x / np.where((x == 0) & (y == 0), 1.0, y)


def _array(x: Any) -> Any:
    """Make an array of a list or a Series; one that is traced stays so."""
    return x if hasattr(x, "__array_function__") else np.asarray(x)


def _is_traced(x: Any) -> bool:
    return hasattr(x, "__array_function__") and not isinstance(x, (np.ndarray, np.generic))


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


def _prod_x(g: Any, z: Any, x: Any, axis: Any, keepdims: bool, initial: Any, where: Any) -> Any:
    if where is not True:
        x = np.where(where, x, 1.0)
    if np.all(x != 0):
        return _only(where, _keep(g * z, x, axis, keepdims) / x)
    # The product of the others: a square of copies, each with one's own entry replaced by 1.
    rows, order = _rows(x, axis), _order(axis, x.ndim)
    itself = np.eye(rows.shape[-1], dtype=bool)
    others = np.prod(np.where(itself, 1.0, np.expand_dims(rows, -2)), axis=-1)
    others = np.reshape(others, [x.shape[i] for i in order])
    others = np.transpose(others, np.argsort(order))
    return _only(where, _keep(g * initial, x, axis, keepdims) * others)


def _cumprod_x(g: Any, z: Any, x: Any, axis: int | None) -> Any:
    if axis is None:
        return np.reshape(_cumprod_x(g, z, np.ravel(x), 0), x.shape)
    if np.all(x != 0):
        return _reverse_cumsum(g * z, axis) / x
    # What comes after an entry, by Horner's rule, times the product of what comes before.
    g, z, x = (np.moveaxis(a, axis, 0) for a in (g, z, x))
    after = [g[-1]]
    for i in range(len(x) - 1, 0, -1):
        after.append(g[i - 1] + x[i] * after[-1])
    before = join(0, np.ones((1, *x.shape[1:]), x.dtype), z[:-1])
    return np.moveaxis(np.stack(after[::-1]) * before, 0, axis)


def _reverse_cumsum(g: Any, axis: int | None) -> Any:
    return np.flip(np.cumsum(np.flip(g, axis), axis), axis)


def _order(axis: Any, ndim: int) -> tuple[int, ...]:
    """Put the axes of a reduction last."""
    reduced = _axes(axis, ndim)
    return tuple(i for i in range(ndim) if i not in reduced) + reduced


def _rows(x: Any, axis: Any) -> Any:
    """Move the axes of a reduction to the end, and make one of them."""
    order, n_kept = _order(axis, x.ndim), x.ndim - len(_axes(axis, x.ndim))
    size = math.prod(x.shape[i] for i in order[n_kept:])
    return np.reshape(np.transpose(x, order), [*(x.shape[i] for i in order[:n_kept]), size])


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    ndim = max(ndim, 1)  # NumPy accepts axis 0 of a number
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
    part = np.einsum(f"{','.join(terms)}->{target}", *arrays, optimize=optimize)
    shape = operands[k].shape
    if part.shape == shape:
        return part
    return np.broadcast_to(part, np.broadcast_shapes(part.shape, shape))  # an index was stretched


def _solve_b(g: Any, z: Any, a: Any, b: Any) -> Any:
    return np.linalg.solve(_swap(_array(a)), g)


def _solve_a(g: Any, z: Any, a: Any, b: Any) -> Any:
    u = np.linalg.solve(_swap(a), g)
    if np.ndim(b) == 1:
        return -np.expand_dims(u, -1) * np.expand_dims(z, -2)
    return -u @ _swap(z)


def _cholesky_a(g: Any, z: Any, a: Any, *, upper: bool = False) -> Any:
    """Differentiate by the triangle that NumPy reads; the other one has no influence."""
    if upper:
        return _swap(_cholesky_a(_swap(g), _swap(z), a))
    n, transposed = a.shape[-1], _swap(z)
    weights = np.tri(n, dtype=a.dtype) - 0.5 * np.eye(n, dtype=a.dtype)
    left = np.linalg.solve(transposed, weights * (transposed @ g))
    both = np.linalg.solve(transposed, _swap(left))
    return weights * (both + _swap(both))


def _in_full(g: Any, a: Any, v: Any, mode: str) -> Any:
    """Put the gradient of a convolution where its entries lie in the full one."""
    shorter = min(np.size(a), np.size(v))
    start = {"full": 0, "same": (shorter - 1) // 2, "valid": shorter - 1}[mode]
    return scatter(g, slice(start, start + g.size), (np.size(a) + np.size(v) - 1,))


def _boxcox_lmbda(u: Any, lmbda: Any) -> Any:
    # The derivative of (exp(lmbda u) - 1) / lmbda, in a form that holds for lmbda = 0 as well.
    return u * u * (0.5 * sc.hyp1f1(2.0, 3.0, lmbda * u))


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
    np.copysign:    (lambda g, z, x, y: g * (np.sign(x) * np.copysign(1.0, y)), None),
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
    np.sum:         (lambda g, z, x, axis=None, dtype=None, out=None, keepdims=False, initial=0,
                     where=True: _only(where, _spread(g, x, axis, keepdims)),),
    np.mean:        (lambda g, z, x, axis=None, dtype=None, out=None, keepdims=False, where=True:
                     _mean_x(g, z, x, axis, keepdims, where),),
    np.prod:        (lambda g, z, x, axis=None, dtype=None, out=None, keepdims=False, initial=1,
                     where=True: _prod_x(g, z, x, axis, keepdims, initial, where),),
    np.max:         (lambda g, z, x, axis=None, out=None, keepdims=False, initial=None, where=True:
                     _share_equally(g, z, x, axis, keepdims, initial, where),),
    np.min:         (lambda g, z, x, axis=None, out=None, keepdims=False, initial=None, where=True:
                     _share_equally(g, z, x, axis, keepdims, initial, where),),
    np.nanmax:      (lambda g, z, x, axis=None, out=None, keepdims=False:
                     _share_equally(g, z, x, axis, keepdims),),
    np.nanmin:      (lambda g, z, x, axis=None, out=None, keepdims=False:
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
    np.linalg.cholesky: (_cholesky_a,),
    np.convolve:    (lambda g, z, a, v, mode="full":
                     np.convolve(_in_full(g, a, v, mode), np.flip(v), "valid"),
                     lambda g, z, a, v, mode="full":
                     np.convolve(_in_full(g, a, v, mode), np.flip(a), "valid")),

    # shape and order
    np.reshape:     (lambda g, z, x, shape, order="C": np.reshape(g, x.shape, order=order),),
    np.squeeze:     (lambda g, z, x, axis=None: np.reshape(g, x.shape),),
    np.expand_dims: (lambda g, z, x, axis: np.reshape(g, x.shape),),
    np.transpose:   (lambda g, z, x, axes=None:
                     np.transpose(g, _inverse(axes, x.ndim)),),
    np.swapaxes:    (lambda g, z, x, axis1, axis2: np.swapaxes(g, axis1, axis2),),
    np.broadcast_to: (lambda g, z, x, shape: g,),
    np.cumsum:      (lambda g, z, x, axis=None, dtype=None, out=None:
                     np.reshape(_reverse_cumsum(g, axis), x.shape),),
    np.cumprod:     (lambda g, z, x, axis=None, dtype=None, out=None: _cumprod_x(g, z, x, axis),),
    getitem:        (lambda g, z, x, index: scatter(g, index, x.shape),),
    scatter:        (lambda g, z, x, index, shape: g[index],),
    join:           ForEvery(_join_part),
    cast:           (lambda g, z, x, dtype: g,),

    # special functions
    special.sum_of_squares: ForEvery(lambda k, g, z, *xs: 2.0 * g * xs[k]),
    special.with_l2:     ForEvery(lambda k, g, z, value, strength, *ws:
                                  g if k == 0 else (g * strength) * ws[k - 2]),
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
    sc.erfcinv:     (lambda g, z, x: g * (-SQRT_PI / 2.0 * np.exp(z * z)),),
    sc.ndtr:        (lambda g, z, x: g * (np.exp(-0.5 * x * x) / (SQRT2 * SQRT_PI)),),
    sc.ndtri:       (lambda g, z, x: g * (SQRT2 * SQRT_PI * np.exp(0.5 * z * z)),),
    # phi(x) / Phi(x), in a form in which neither underflows
    sc.log_ndtr:    (lambda g, z, x: g * (SQRT2 / SQRT_PI / sc.erfcx(x * (-1.0 / SQRT2))),),
    sc.gamma:       (lambda g, z, x: g * z * sc.psi(x),),
    sc.gammaln:     (lambda g, z, x: g * sc.psi(x),),
    sc.loggamma:    (lambda g, z, x: g * sc.psi(x),),
    sc.rgamma:      (lambda g, z, x: -g * z * sc.psi(x),),
    sc.psi:         (lambda g, z, x: g * hurwitz_zeta(2.0, x),),
    hurwitz_zeta:   (NotImplemented,
                     lambda g, z, s, q: g * (-s * hurwitz_zeta(s + 1.0, q))),
    sc.gammainc:    (NotImplemented,
                     lambda g, z, a, x: g * np.exp(sc.xlogy(a - 1.0, x) - x - sc.gammaln(a))),
    sc.gammaincc:   (NotImplemented,
                     lambda g, z, a, x: -g * np.exp(sc.xlogy(a - 1.0, x) - x - sc.gammaln(a))),
    sc.beta:        (lambda g, z, a, b: g * z * (sc.psi(a) - sc.psi(a + b)),
                     lambda g, z, a, b: g * z * (sc.psi(b) - sc.psi(a + b))),
    sc.betaln:      (lambda g, z, a, b: g * (sc.psi(a) - sc.psi(a + b)),
                     lambda g, z, a, b: g * (sc.psi(b) - sc.psi(a + b))),
    sc.betainc:     (NotImplemented, NotImplemented,
                     lambda g, z, a, b, x: g * np.exp(
                         sc.xlogy(a - 1.0, x) + sc.xlog1py(b - 1.0, -x) - sc.betaln(a, b))),
    sc.i0:          (lambda g, z, x: g * sc.i1(x),),
    sc.i1:          (lambda g, z, x: g * (0.5 * (sc.i0(x) + sc.iv(2.0, x))),),
    sc.iv:          (NotImplemented,
                     lambda g, z, v, x: g * (0.5 * (sc.iv(v - 1.0, x) + sc.iv(v + 1.0, x)))),
    sc.i0e:         (lambda g, z, x: g * (sc.i1e(x) - np.sign(x) * z),),
    sc.i1e:         (lambda g, z, x:
                     g * (0.5 * (sc.i0e(x) + sc.ive(2.0, x)) - np.sign(x) * z),),
    sc.ive:         (NotImplemented,
                     lambda g, z, v, x:
                     g * (0.5 * (sc.ive(v - 1.0, x) + sc.ive(v + 1.0, x)) - np.sign(x) * z)),
    sc.hyp1f1:      (NotImplemented, NotImplemented,
                     lambda g, z, a, b, x: g * (a / b * sc.hyp1f1(a + 1.0, b + 1.0, x))),
    sc.exp1:        (lambda g, z, x: -g * np.exp(-x) / x,),
    sc.expi:        (lambda g, z, x: g * np.exp(x) / x,),
    sc.expm1:       (lambda g, z, x: g * (z + 1.0),),
    sc.exp2:        (lambda g, z, x: g * z * LN2,),
    sc.log1p:       (lambda g, z, x: g / (1.0 + x),),
    sc.cbrt:        (lambda g, z, x: g / (3.0 * z * z),),
    sc.xlogy:       (lambda g, z, x, y: g * np.log(y),
                     lambda g, z, x, y: g * _ratio(x, y)),
    sc.xlog1py:     (lambda g, z, x, y: g * np.log1p(y),
                     lambda g, z, x, y: g * _ratio(x, 1.0 + y)),
    sc.entr:        (lambda g, z, x: -g * (np.log(x) + 1.0),),
    sc.rel_entr:    (lambda g, z, x, y: g * (np.log(x / y) + 1.0),
                     lambda g, z, x, y: -g * _ratio(x, y)),
    sc.kl_div:      (lambda g, z, x, y: g * np.log(x / y),
                     lambda g, z, x, y: g * (1.0 - _ratio(x, y))),
    sc.huber:       (lambda g, z, d, r: g * np.maximum(np.abs(r) - d, 0.0),
                     lambda g, z, d, r: g * np.clip(r, -d, d)),
    # with s = sqrt(1 + (r / d)^2), d (s - 1)^2 / s: no difference of nearly equal numbers
    sc.pseudo_huber: (lambda g, z, d, r: g * z * z / (d * d * np.hypot(d, r)),
                     lambda g, z, d, r: g * r / np.hypot(1.0, r / d)),
    sc.boxcox:      (lambda g, z, x, p: g * x ** (p - 1.0),
                     lambda g, z, x, p: g * _boxcox_lmbda(np.log(x), p)),
    sc.boxcox1p:    (lambda g, z, x, p: g * (1.0 + x) ** (p - 1.0),
                     lambda g, z, x, p: g * _boxcox_lmbda(np.log1p(x), p)),
    sc.inv_boxcox:  (lambda g, z, y, p: g * z ** (1.0 - p),
                     lambda g, z, y, p: -g * z ** (1.0 - p) * _boxcox_lmbda(np.log(z), p)),
    sc.inv_boxcox1p: (lambda g, z, y, p: g * (1.0 + z) ** (1.0 - p),
                     lambda g, z, y, p:
                     -g * (1.0 + z) ** (1.0 - p) * _boxcox_lmbda(np.log1p(z), p)),
}
# fmt: on
