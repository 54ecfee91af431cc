"""The tape, and the values that write on it: a function is recorded while it runs.

The tables say what a NumPy function does with a traced value: `DERIVATIVES` has its derivative,
`COMPOSED` expresses it through others, of those in `CONSTANT` the derivative is zero.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import scipy.sparse

from skgd import special
from skgd.autodiff.composed import COMPOSED, CONSTANT, REARRANGING
from skgd.autodiff.derivatives import DERIVATIVES
from skgd.autodiff.refusals import INSTEAD, name_of, refuse, refuse_in_place, stop

_counter = itertools.count()


class Trace:
    """One run of a function: its age and its tape of nodes, in order of creation.

    A node is (parents, value, args, kwargs), and a parent (index, position, formula). Nodes
    refer to each other by index, so that a long chain needs no recursion, not even to be freed.
    """

    __slots__ = ("age", "tape")

    def __init__(self) -> None:
        self.age = next(_counter)
        self.tape: list[Any] = []

    def wrap(self, value: Any) -> Traced:
        """Make an input: a node without parents."""
        self.tape.append(((), value, (), {}))
        return Traced(value, self, len(self.tape) - 1)


def _operators(ufunc: np.ufunc) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make the method of an operator and the one with its operands swapped."""
    return (
        lambda self, other: _record(ufunc, (self, other)),
        lambda self, other: _record(ufunc, (other, self)),
    )


def _constant_operators(ufunc: np.ufunc) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make the same for a ufunc with derivative zero."""
    return (
        lambda self, other: ufunc(_plain(self), _plain(other)),
        lambda self, other: ufunc(_plain(other), _plain(self)),
    )


class Traced:
    """A value in the computation graph; to NumPy, an array like any other.

    Made by `grad` and its siblings, never by the user. Comparisons return plain boolean arrays.

    Attributes
    ----------
    value : ndarray or number
        The plain value. The derivative takes it for a constant.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.autodiff import grad
    >>> def f(x):
    ...     print(x)
    ...     return np.sum(x**2)
    >>> grad(f)(np.array([1.0, 2.0]))
    Traced(array([1., 2.]))
    array([2., 4.])
    """

    __slots__ = ("_index", "_trace", "value")
    __array_priority__ = 1000.0
    __pandas_priority__ = 100_000

    def __init__(self, value: Any, trace: Trace, index: int):
        self.value = value
        self._trace = trace
        self._index = index

    # NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs and ufunc in DERIVATIVES:
            return _record(ufunc, inputs)
        return _call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _call(func, args, kwargs)

    # operators, straight to the tape

    __add__, __radd__ = _operators(np.add)
    __sub__, __rsub__ = _operators(np.subtract)
    __mul__, __rmul__ = _operators(np.multiply)
    __truediv__, __rtruediv__ = _operators(np.divide)
    __mod__, __rmod__ = _operators(np.remainder)
    __floordiv__, __rfloordiv__ = _constant_operators(np.floor_divide)
    __matmul__, __rmatmul__ = _operators(np.matmul)
    _power, __rpow__ = _operators(np.power)

    __lt__, _ = _constant_operators(np.less)
    __le__, _ = _constant_operators(np.less_equal)
    __gt__, _ = _constant_operators(np.greater)
    __ge__, _ = _constant_operators(np.greater_equal)
    __eq__, _ = _constant_operators(np.equal)
    __ne__, _ = _constant_operators(np.not_equal)

    def __pow__(self, other: Any) -> Any:
        if other.__class__ is int and other == 2:  # the general power is many times slower
            return _record(np.square, (self,))
        return self._power(other)

    def __neg__(self) -> Any:
        return _record(np.negative, (self,))

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return _record(np.absolute, (self,))

    __hash__ = None  # type: ignore[assignment]  # as an array's

    # what an array has

    shape = property(lambda self: self.value.shape, doc="Shape of the value.")
    ndim = property(lambda self: self.value.ndim, doc="Number of axes.")
    size = property(lambda self: self.value.size, doc="Number of entries.")
    dtype = property(lambda self: self.value.dtype, doc="Precision; the gradient has the same.")
    T = property(lambda self: _record(np.transpose, (self,)), doc="The transpose.")

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        return _record(special.getitem, (self, index))

    def reshape(self, *shape: Any, order: Any = "C") -> Any:
        """As an array's method."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)

    def transpose(self, *axes: Any) -> Any:
        """As an array's method."""
        axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        return np.transpose(self, axes or None)

    def flatten(self, order: Any = "C") -> Any:
        """As an array's method."""
        return np.reshape(self, -1, order=order)

    def __repr__(self) -> str:
        return f"Traced({self.value!r})"

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else repr(self)

    def __getattr__(self, name: str) -> Any:
        if name in _METHODS:
            return functools.partial(getattr(np, name), self)
        if name in _IN_PLACE:
            refuse_in_place(f"x.{name}()")
        stop(AttributeError, f"a traced value has no {name!r}; use np.{name} if there is one")

    # what it must not become

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        stop(TypeError, f"a traced value can't become a plain array. {INSTEAD}")

    def __float__(self) -> NoReturn:
        stop(TypeError, f"a traced value can't become a number. {INSTEAD}")

    __int__ = __complex__ = __index__ = __float__

    def __round__(self, ndigits: int | None = None) -> Any:
        return np.round(self.value, ndigits or 0)

    def __bool__(self) -> NoReturn:
        hint = "Use np.where, not `if` or `and`; or compare it (x != 0), which gives plain booleans"
        stop(TypeError, f"a traced value has no truth value. {hint}")

    def astype(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise: the graph keeps the precision of the values it is given."""
        hint = "Leave astype out, or convert the arrays that it meets"
        stop(TypeError, f"a traced value keeps its dtype. {hint}")

    def item(self, *args: Any) -> NoReturn:
        """Raise, as `float` does."""
        self.__float__()

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        refuse_in_place("x[...] = y")


# Methods that take the same arguments as NumPy's function of that name.
_METHODS = {
    "all", "any", "argmax", "argmin", "argsort", "clip", "copy", "cumprod", "cumsum", "diagonal",
    "dot", "max", "mean", "min", "nonzero", "prod", "ravel", "repeat", "round", "searchsorted",
    "squeeze", "std", "sum", "swapaxes", "take", "trace", "var",
}  # fmt: skip
_WRITING = {np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask}
_IN_PLACE = {"fill", "itemset", "partition", "put", "resize", "setfield", "sort"}

# -- recording ------------------------------------------------------------------------------------

_NO_KWARGS: dict[str, Any] = {}
_ARRAYS_AND_NUMBERS = frozenset((np.ndarray, float, int, bool, np.float64, np.float32, np.int64))


def _record(function: Any, args: Sequence[Any], kwargs: dict[str, Any] = _NO_KWARGS) -> Any:
    """Call a function of the table and write a node on the newest tape among its arguments."""
    trace: Any = None
    for arg in args:
        if arg.__class__ is Traced and arg._trace is not trace:
            trace = arg._trace if trace is None or arg._trace.age > trace.age else trace
    formulas = DERIVATIVES[function]
    plain: list[Any] = []
    parents: list[Any] = []
    for position, arg in enumerate(args):
        if arg.__class__ is Traced:
            if arg._trace is trace:
                formula = formulas[position] if position < len(formulas) else NotImplemented
                if formula is NotImplemented:
                    refuse(function, f" by its argument {position + 1}")
                if formula is not None:
                    parents.append((arg._index, position, formula))
                arg = arg.value
        elif arg.__class__ not in _ARRAYS_AND_NUMBERS and function.__class__ is np.ufunc:
            arg = _as_operand(arg)
        plain.append(arg)
    value = function(*plain, **kwargs)
    if not parents:
        return value
    tape = trace.tape
    tape.append((parents, value, plain, kwargs))
    return Traced(value, trace, len(tape) - 1)


def _call(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Find a function in the tables, and call it."""
    known = _keywords(function) if kwargs else ()
    for key, arg in kwargs.items():
        if key not in known or arg.__class__ is Traced or arg is np._NoValue:
            args, kwargs = _normalised(function, args, kwargs)
            break
    if function in DERIVATIVES:
        return _record(function, args, kwargs)
    if function in COMPOSED:
        result = COMPOSED[function](*args, **kwargs)
        if result is NotImplemented:
            refuse(function, " with these arguments")
        return result
    if function in CONSTANT:
        return function(*map(_plain, args), **kwargs)
    if function in _WRITING:
        refuse_in_place(name_of(function))
    refuse(function)


def _call_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call a ufunc that is not in the table, or in another way than by its name alone."""
    if method == "at" or any(out is not None for out in kwargs.get("out", ())):
        refuse_in_place(f"{name_of(ufunc)} with out=, or a += b of a plain array a")
    if method == "__call__":
        return _call(ufunc, inputs, kwargs)
    if method == "reduce" and ufunc in _REDUCTIONS:
        return _REDUCTIONS[ufunc](*inputs, **{"axis": 0, **kwargs})
    if method == "accumulate" and ufunc in (np.add, np.multiply):
        cumulative = np.cumsum if ufunc is np.add else np.cumprod
        return cumulative(*inputs, **{"axis": 0, **kwargs})
    if method == "outer" and not kwargs:
        x, y = inputs
        return ufunc(np.reshape(x, np.shape(x) + (1,) * np.ndim(y)), y)
    refuse(ufunc, f" in the form .{method}")


_REDUCTIONS: dict[Any, Callable[..., Any]] = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min,
    np.logical_or: np.any, np.logical_and: np.all, np.logaddexp: special.logsumexp,
}  # fmt: skip


def _normalised(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Check the keywords of a call; put traced arguments given by name in their position."""
    if kwargs.get("out") is not None:
        refuse_in_place(f"{name_of(function)} with out=")
    kwargs = {
        key: value
        for key, value in kwargs.items()
        if not (value is np._NoValue or (key in ("out", "dtype") and value is None))
    }
    if any(value.__class__ is Traced for value in kwargs.values()):
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
        except (TypeError, ValueError):
            refuse(function, " with a traced value passed by name")
        args, kwargs = bound.args, bound.kwargs
    unknown = kwargs.keys() - _keywords(function)
    if unknown and function in DERIVATIVES.keys() | COMPOSED.keys():
        refuse(function, f" with {', '.join(f'{key}=' for key in sorted(unknown))}")
    return args, kwargs


@functools.cache
def _keywords(function: Any) -> frozenset[str]:
    """Name the keywords that the tables know of."""
    if function in DERIVATIVES:
        row = DERIVATIVES[function]
        formula = next(row[i] for i in range(len(row)) if callable(row[i]))
    elif function in REARRANGING:  # all that the function itself takes
        formula = function
    else:
        formula = COMPOSED.get(function, lambda: None)
    return frozenset(inspect.signature(formula).parameters) - {"out"}


def _plain(x: Any) -> Any:
    """Take off all wrappings."""
    while x.__class__ is Traced:
        x = x.value
    if x.__class__ in (list, tuple):
        return x.__class__(_plain(item) for item in x)
    return x


def _as_operand(x: Any) -> Any:
    """Make an array of a list or a data frame that meets a traced value in an operator."""
    if scipy.sparse.issparse(x):
        stop(TypeError, "a sparse matrix meets a traced value. Use skgd.special.affine(X, W)")
    return x if isinstance(x, (np.ndarray, np.generic)) else np.asarray(x)
