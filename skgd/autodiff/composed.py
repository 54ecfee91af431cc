"""Functions that the computation graph knows by way of others, or need not know.

`COMPOSED` expresses functions through those of the table of derivatives; `REARRANGING` lists those
that only move entries; `CONSTANT` those with derivative zero or a result that is no real number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from skgd.autodiff.derivatives import _array, _axes, _count, _is_traced, _nonzero, _rows
from skgd.special import cast, euclidean_norm, join, log_abs_det, scatter


def _var(x: Any, axis: Any, ddof: float, keepdims: bool, where: Any) -> Any:
    squares = np.square(_deviations(x, axis, where))
    degrees = _degrees(x, axis, ddof, keepdims, where)
    return np.sum(squares, axis=axis, keepdims=keepdims) / degrees


def _std(x: Any, axis: Any, ddof: float, keepdims: bool, where: Any) -> Any:
    # By way of the norm, whose derivative at 0 is 0 and not nan.
    norm = euclidean_norm(_deviations(x, axis, where), axis, keepdims)
    degrees = _degrees(x, axis, ddof, keepdims, where)
    return norm / (math.sqrt(degrees) if where is True else np.sqrt(degrees))


def _deviations(x: Any, axis: Any, where: Any) -> Any:
    centred = x - np.mean(x, axis=axis, keepdims=True, where=where)
    return centred if where is True else np.where(where, centred, 0.0)


def _degrees(x: Any, axis: Any, ddof: float, keepdims: bool, where: Any) -> Any:
    """Count the degrees of freedom; a Python number, which keeps float32, if it can be one."""
    if where is True:
        return max(math.prod(x.shape[i] for i in _axes(axis, x.ndim)) - ddof, 0)
    return np.maximum(_count(where, x, axis, keepdims) - ddof, 0.0)


def _cast(x: Any, dtype: Any) -> Any:
    return x if dtype is None else cast(x, dtype)


def _numbers(x: Any, instead: float = 0.0) -> Any:
    """Replace nan, which would spoil a product even where it is masked."""
    return np.where(np.isnan(x), instead, x)


def _average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    if weights is None:
        average = np.mean(a, axis=axis, keepdims=keepdims)
        return (average, np.zeros_like(average) + a.size / average.size) if returned else average
    a, weights = _array(a), _array(weights)
    if weights.ndim != a.ndim:  # one weight for each place along the axes
        axes = normalize_axis_tuple(axis, a.ndim)
        weights = np.transpose(weights, np.argsort(axes))
        weights = np.reshape(weights, [n if i in axes else 1 for i, n in enumerate(a.shape)])
    weights = weights + np.zeros_like(a)
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    average = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (average, total) if returned else average


def _variables(m: Any, rowvar: bool) -> Any:
    rows = np.atleast_2d(_array(m))
    return rows if rowvar or np.ndim(m) == 1 else np.transpose(rows)


def _cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None
) -> Any:
    rows = _variables(m, rowvar)
    if y is not None:
        rows = join(0, rows, _variables(y, rowvar))
    centred = rows - np.mean(rows, axis=1, keepdims=True)
    degrees = rows.shape[1] - ((0 if bias else 1) if ddof is None else ddof)
    return np.squeeze(centred @ np.transpose(centred) / max(degrees, 0))


def _corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    c = _cov(x, y, rowvar)
    if c.ndim == 0:
        return c / c
    scale = np.sqrt(np.diagonal(c))
    return c / scale[:, None] / scale


def _quantile(
    of: Callable[..., Any], a: Any, q: Any, axis: Any, method: str, keepdims: bool
) -> Any:
    """Weigh the two order statistics between which the quantile lies."""
    if not _is_traced(a) or _is_traced(q):
        return NotImplemented
    ordered = _ordered(a, axis)
    # The quantile of 0, 1, 2, ... tells the place, for each of NumPy's methods.
    place = of(np.arange(ordered.shape[-1], dtype=a.dtype), q, method=method)
    before, after = np.floor(place), np.ceil(place)
    lower, upper = ordered[..., before.astype(int)], ordered[..., after.astype(int)]
    result = lower * (1.0 - (place - before)) + upper * (place - before)
    nan = np.isnan(ordered[(..., -1, *[None] * place.ndim)])
    result = np.where(nan, np.nan, result)
    ends = range(result.ndim - place.ndim, result.ndim)
    result = np.moveaxis(result, ends, range(place.ndim))
    return _with_axes(result, a, axis, place.shape) if keepdims else result


def _nanmedian(a: Any, axis: Any, keepdims: bool) -> Any:
    ordered = _ordered(a, axis)
    count = np.sum(~np.isnan(ordered), axis=-1)
    middle = np.stack([(count - 1) // 2, count // 2], axis=-1)
    result = np.mean(np.take_along_axis(ordered, middle, axis=-1), axis=-1)
    return _with_axes(result, a, axis) if keepdims else result


def _ordered(a: Any, axis: Any) -> Any:
    """Sort what a reduction goes over, which becomes the last axis; nan come last."""
    return np.sort(_rows(a, None if axis is None else normalize_axis_tuple(axis, a.ndim)), axis=-1)


def _with_axes(z: Any, x: Any, axis: Any, before: tuple[int, ...] = ()) -> Any:
    """Give a reduction of x its axes back, behind those that come before."""
    reduced = _axes(axis, x.ndim)
    return np.reshape(z, (*before, *(1 if i in reduced else n for i, n in enumerate(x.shape))))


def _sort(a: Any, axis: int | None, **kwargs: Any) -> Any:
    if axis is None:
        return _sort(np.ravel(a), -1, **kwargs)
    return np.take_along_axis(a, np.argsort(a, axis=axis, **kwargs), axis)


def _partition(a: Any, kth: Any, axis: int | None = -1) -> Any:
    if axis is None:
        return _partition(np.ravel(a), kth)
    return np.take_along_axis(a, np.argpartition(a, kth, axis=axis), axis)


def _along(x: Any, axis: int, part: slice) -> Any:
    return x[(*(slice(None),) * axis, part)]


def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    a = _array(a)
    axis = normalize_axis_index(axis, a.ndim)
    column = [1 if i == axis else size for i, size in enumerate(a.shape)]
    parts = [part for part in (prepend, a, append) if part is not None]
    if len(parts) > 1:
        a = join(axis, *(p if np.ndim(p) else np.broadcast_to(p, column) for p in parts))
    for _ in range(n):
        a = _along(a, axis, slice(1, None)) - _along(a, axis, slice(None, -1))
    return a


def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = _array(y)
    axis = normalize_axis_index(axis, y.ndim)
    if x is not None and np.ndim(x) == 1:
        dx = np.reshape(np.diff(x), [-1 if i == axis else 1 for i in range(y.ndim)])
    elif x is not None:
        dx = np.diff(x, axis=axis)
    heights = _along(y, axis, slice(1, None)) + _along(y, axis, slice(None, -1))
    return np.sum(0.5 * dx * heights, axis=axis)


def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    x, xp, fp = _array(x), _array(xp), _array(fp)
    last = xp.shape[0] - 1
    i = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, max(last - 1, 0))
    j = np.minimum(i + 1, last)
    slope = (fp[j] - fp[i]) / _nonzero(xp[j] - xp[i])
    inside = fp[i] + slope * (x - xp[i])
    above = np.where(x > xp[-1], fp[-1] if right is None else right, inside)
    return np.where(x < xp[0], fp[0] if left is None else left, above)


def _clip(a: Any, lower: Any, upper: Any) -> Any:
    if lower is not None:
        a = np.maximum(a, lower)
    return a if upper is None else np.minimum(a, upper)


def _dot(a: Any, b: Any) -> Any:
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    if a.ndim <= 2 and b.ndim <= 2:
        return np.matmul(a, b)
    return _tensordot(a, b, ((-1,), (-2 if b.ndim > 1 else -1,)))


def _inner(a: Any, b: Any) -> Any:
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    return _tensordot(a, b, ((-1,), (-1,)))


def _tensordot(a: Any, b: Any, axes: Any) -> Any:
    """Move the axes to be summed over together, and multiply matrices."""
    if isinstance(axes, int):
        axes = (range(a.ndim - axes, a.ndim), range(axes))
    of_a, of_b = (
        normalize_axis_tuple(np.atleast_1d(axis).astype(int), x.ndim)
        for axis, x in zip(axes, (a, b), strict=True)
    )
    free_a = tuple(i for i in range(a.ndim) if i not in of_a)
    free_b = tuple(i for i in range(b.ndim) if i not in of_b)
    size = math.prod(a.shape[i] for i in of_a)
    rows, columns = [a.shape[i] for i in free_a], [b.shape[i] for i in free_b]
    left = np.reshape(np.transpose(a, free_a + of_a), (math.prod(rows), size))
    right = np.reshape(np.transpose(b, of_b + free_b), (size, math.prod(columns)))
    return np.reshape(left @ right, (*rows, *columns))


def _kron(a: Any, b: Any) -> Any:
    ndim = max(a.ndim, b.ndim)
    sizes_a, sizes_b = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    blocks = np.reshape(a, [k for n in sizes_a for k in (n, 1)])
    inside = np.reshape(b, [k for n in sizes_b for k in (1, n)])
    shape = [m * n for m, n in zip(sizes_a, sizes_b, strict=True)]
    return np.reshape(blocks * inside, shape)


def _cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(_array(a), axisa, -1), np.moveaxis(_array(b), axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        return NotImplemented
    next_, last = [1, 2, 0], [2, 0, 1]
    product = a[..., next_] * b[..., last] - a[..., last] * b[..., next_]
    return np.moveaxis(product, -1, axisc)


def _matrix_power(a: Any, n: int) -> Any:
    if n == 0:
        return np.zeros_like(a) + np.eye(a.shape[-1], dtype=a.dtype)
    return functools.reduce(np.matmul, abs(n) * [np.linalg.inv(a) if n < 0 else a])


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if ord is None:
        return euclidean_norm(x, axis, keepdims)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    return _matrix_norm(x, ord, axes, keepdims) if len(axes) == 2 else NotImplemented


def _vector_norm(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    if ord == 2:
        return euclidean_norm(x, axis, keepdims)
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.sum(x != 0, axis=axis, keepdims=keepdims, dtype=x.dtype)
    if not isinstance(ord, (int, float)):
        return NotImplemented
    if ord == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    total = np.sum(np.abs(x) ** ord, axis=axis, keepdims=keepdims)
    return np.where(total == 0, 0.0, _nonzero(total) ** (1.0 / ord))  # 0 at 0, not 0 * inf


def _matrix_norm(x: Any, ord: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    if ord == "fro":
        return euclidean_norm(x, axis, keepdims)
    if ord not in (1, -1, np.inf, -np.inf):
        return NotImplemented
    sums = np.sum(np.abs(x), axis=axis[0 if abs(ord) == 1 else 1], keepdims=True)
    return (np.max if ord > 0 else np.min)(sums, axis=axis, keepdims=keepdims)


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


def _dstack(tup: Any) -> Any:
    planes = [np.atleast_2d(a) for a in tup]
    return join(2, *(np.expand_dims(a, 2) if a.ndim == 2 else a for a in planes))


def _broadcast_arrays(*args: Any) -> Any:
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(np.broadcast_to(a, shape) for a in args)


def _bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    return scatter(weights, np.asarray(x), np.bincount(x, minlength=minlength).shape)


def _pad(array: Any, pad_width: Any, mode: Any = "constant", *, constant_values: Any = 0) -> Any:
    if mode in ("edge", "reflect", "symmetric", "wrap"):
        return _rearrange(np.pad, array, pad_width, mode)
    if mode != "constant":
        return NotImplemented
    inside = np.pad(np.ones(array.shape, bool), pad_width)
    around = np.pad(np.zeros_like(array), pad_width, constant_values=constant_values)
    return scatter(np.ravel(array), inside, inside.shape) + around


def _diag(v: Any, k: int = 0) -> Any:
    if v.ndim != 1:
        return _rearrange(np.diag, v, k)
    inside = np.diag(np.ones(v.size, bool), k)
    return scatter(v, inside, inside.shape)


def _rearrange(function: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    """Move entries as `function` does: let it move their numbers, and select by these."""
    if isinstance(x, (np.ndarray, list, tuple)):  # what is traced is an argument that says where to
        return NotImplemented
    numbers = function(np.arange(x.size).reshape(x.shape), *args, **kwargs)
    flat = np.reshape(x, -1)
    if isinstance(numbers, (list, tuple)):
        return type(numbers)(flat[i] for i in numbers)
    return flat[numbers]


# fmt: off


COMPOSED: dict[Callable[..., Any], Callable[..., Any]] = {
    # statistics
    np.var:         lambda a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *,
                    where=True, correction=None:
                    _var(_cast(a, dtype), axis, correction or ddof, keepdims, where),
    np.std:         lambda a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *,
                    where=True, correction=None:
                    _std(_cast(a, dtype), axis, correction or ddof, keepdims, where),
    np.average:     _average,
    np.median:      lambda a, axis=None, out=None, overwrite_input=False, keepdims=False:
                    _quantile(np.quantile, a, 0.5, axis, "linear", keepdims),
    np.quantile:    lambda a, q, axis=None, out=None, overwrite_input=False, method="linear",
                    keepdims=False: _quantile(np.quantile, a, q, axis, method, keepdims),
    np.percentile:  lambda a, q, axis=None, out=None, overwrite_input=False, method="linear",
                    keepdims=False: _quantile(np.percentile, a, q, axis, method, keepdims),
    np.cov:         _cov,
    np.corrcoef:    _corrcoef,
    np.amax:        np.max,
    np.amin:        np.min,
    np.ptp:         lambda a, axis=None, out=None, keepdims=False:
                    np.max(a, axis, keepdims=keepdims) - np.min(a, axis, keepdims=keepdims),
    np.nansum:      lambda a, axis=None, dtype=None, out=None, keepdims=False:
                    np.sum(_numbers(a), axis, dtype, keepdims=keepdims),
    np.nanprod:     lambda a, axis=None, dtype=None, out=None, keepdims=False:
                    np.prod(_numbers(a, 1.0), axis, dtype, keepdims=keepdims),
    np.nanmean:     lambda a, axis=None, dtype=None, out=None, keepdims=False:
                    np.mean(_numbers(a), axis, dtype, keepdims=keepdims, where=~np.isnan(a)),
    np.nanvar:      lambda a, axis=None, dtype=None, out=None, ddof=0, keepdims=False:
                    _var(_cast(_numbers(a), dtype), axis, ddof, keepdims, ~np.isnan(a)),
    np.nanstd:      lambda a, axis=None, dtype=None, out=None, ddof=0, keepdims=False:
                    _std(_cast(_numbers(a), dtype), axis, ddof, keepdims, ~np.isnan(a)),
    np.nanmedian:   lambda a, axis=None, out=None, overwrite_input=False, keepdims=False:
                    _nanmedian(a, axis, keepdims),

    # order, differences, selection
    np.sort:        lambda a, axis=-1, kind=None, order=None, *, stable=None:
                    _sort(a, axis, kind=kind, stable=stable),
    np.partition:   lambda a, kth, axis=-1: _partition(a, kth, axis),
    np.diff:        _diff,
    np.ediff1d:     lambda ary: np.diff(np.ravel(ary)),
    np.trapezoid:   _trapezoid,
    np.interp:      _interp,
    np.clip:        lambda a, a_min=None, a_max=None, out=None, *, min=None, max=None:
                    _clip(a, min if a_min is None else a_min, max if a_max is None else a_max),
    np.select:      _select,
    np.tril:        lambda m, k=0: np.where(np.tri(m.shape[-2], m.shape[-1], k, bool), m, 0.0),
    np.triu:        lambda m, k=0: np.where(np.tri(m.shape[-2], m.shape[-1], k - 1, bool), 0.0, m),

    # products and norms
    np.dot:         lambda a, b, out=None: _dot(_array(a), _array(b)),
    np.inner:       lambda a, b: _inner(_array(a), _array(b)),
    np.vdot:        lambda a, b: np.sum(np.ravel(a) * np.ravel(b)),
    np.vecdot:      lambda a, b: np.sum(a * b, axis=-1),
    np.outer:       lambda a, b, out=None: np.reshape(a, (-1, 1)) * np.ravel(b),
    np.tensordot:   lambda a, b, axes=2: _tensordot(_array(a), _array(b), axes),
    np.kron:        lambda a, b: _kron(_array(a), _array(b)),
    np.cross:       _cross,
    np.linalg.cross: lambda x1, x2, *, axis=-1: np.cross(x1, x2, axis=axis),
    np.correlate:   lambda a, v, mode="valid": np.convolve(a, np.flip(v), mode),
    np.polyval:     lambda p, x: functools.reduce(lambda total, c: total * x + c, p),
    np.trace:       lambda a, offset=0, axis1=0, axis2=1:
                    np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1),
    np.linalg.multi_dot: lambda arrays, *, out=None: functools.reduce(np.matmul, arrays),
    np.linalg.matrix_power: _matrix_power,
    np.linalg.norm: _norm,
    np.linalg.vector_norm: lambda x, *, axis=None, keepdims=False, ord=2:
                    _vector_norm(x, ord, axis, keepdims),
    np.linalg.matrix_norm: lambda x, *, keepdims=False, ord="fro":
                    _matrix_norm(x, ord, (-2, -1), keepdims),
    np.linalg.slogdet: _slogdet,

    # shape
    np.ravel:       lambda a, order="C": np.reshape(a, -1, order=order),
    np.real:        lambda val: np.positive(val),
    np.copy:        lambda a, order="K": np.positive(a),
    np.full_like:   lambda a, fill_value: np.zeros_like(a) + fill_value,
    np.matrix_transpose: lambda x: np.swapaxes(x, -1, -2),
    np.atleast_1d:  _reshape_all(1),
    np.atleast_2d:  _reshape_all(2),
    np.broadcast_arrays: _broadcast_arrays,
    np.concatenate: _joined,
    np.append:      lambda arr, values, axis=None: join(axis, arr, values),
    np.stack:       _stack,
    np.hstack:      _hstack,
    np.vstack:      lambda tup: join(0, *(np.atleast_2d(a) for a in tup)),
    np.dstack:      _dstack,
    np.column_stack: _column_stack,
    np.pad:         _pad,
    np.diag:        _diag,
    np.bincount:    _bincount,
}
# fmt: on

# Functions that move, repeat or drop entries of their first argument, and add none: `_rearrange`
# serves all.
REARRANGING: tuple[Callable[..., Any], ...] = (
    np.array_split, np.delete, np.diagonal, np.flip, np.fliplr, np.flipud, np.hsplit,
    np.lib.stride_tricks.sliding_window_view, np.moveaxis, np.repeat, np.roll, np.rollaxis,
    np.rot90, np.split, np.take, np.take_along_axis, np.tile, np.vsplit,
)  # fmt: skip

COMPOSED |= {function: functools.partial(_rearrange, function) for function in REARRANGING}

CONSTANT: set[Callable[..., Any]] = {
    np.all, np.allclose, np.any, np.argmax, np.argmin, np.argpartition, np.argsort, np.argwhere,
    np.around, np.array_equal, np.ceil, np.count_nonzero, np.digitize, np.empty_like,
    np.equal, np.flatnonzero, np.floor, np.floor_divide, np.greater, np.greater_equal,
    np.heaviside, np.isclose, np.iscomplexobj, np.isfinite, np.isin, np.isinf, np.isnan,
    np.isrealobj, np.less, np.less_equal, np.logical_and, np.logical_not, np.logical_or,
    np.logical_xor, np.ndim, np.nonzero, np.not_equal, np.ones_like, np.result_type, np.rint,
    np.round, np.searchsorted, np.shape, np.sign, np.signbit, np.size, np.trunc, np.zeros_like,
}  # fmt: skip
