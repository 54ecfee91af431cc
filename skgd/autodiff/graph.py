"""The computation graph: reverse-mode derivatives of functions written in plain NumPy.

A function is run once, on `Traced` values. Each NumPy function that meets one writes a node on
the tape of its trace: the numbers it was given, the number it returned, and where its arguments
came from. The backward pass reads the tape from its end to its beginning and applies the chain
rule to each node, with the formulas of the table in `skgd.autodiff.derivatives`. That is
back-propagation; what is done with the gradient is no concern of this module.

Derivatives nest. An operation is recorded on the newest trace among its arguments, and calls the
same function on what these wrap, which older traces record in turn.

The tape refers to the arrays that went into the operations. An array of the user's that is
overwritten between its use and the backward pass spoils the derivative.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import scipy
import scipy.sparse

from skgd import special
from skgd.autodiff.composed import COMPOSED, CONSTANT, REARRANGING
from skgd.autodiff.derivatives import DERIVATIVES

__all__ = ["Traced", "grad", "value_and_grad", "value_and_gradients", "value_and_vjp"]

_INSTEAD = (
    "np.asarray, math.*, float(), np.vectorize, writing it into an array (a[i] = x) and the like "
    "would cut the graph. Write it in "
    "NumPy functions (np.exp for math.exp, np.stack for an array of traced values, np.where for "
    "a choice) or those of skgd.special (logsumexp, softmax, affine for a sparse matrix). "
    "x.value is the plain array, a constant to the derivative"
)

_counter = itertools.count()


class _Trace:
    """One run of a function: its age and its tape of nodes, in order of creation.

    A node is (parents, value, args, kwargs), and a parent (index, position, formula). Nodes
    refer to each other by index, so that a long chain needs no recursion, not even to be freed.
    """

    __slots__ = ("age", "tape")

    def __init__(self) -> None:
        self.age = next(_counter)
        self.tape: list[Any] = []

    def wrap(self, value: Any) -> Traced:
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

    def __init__(self, value: Any, trace: _Trace, index: int):
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
            _refuse_in_place(f"x.{name}()")
        _stop(AttributeError, f"a traced value has no {name!r}; use np.{name} if there is one")

    # what it must not become

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        _stop(TypeError, f"a traced value can't become a plain array. {_INSTEAD}")

    def __float__(self) -> NoReturn:
        _stop(TypeError, f"a traced value can't become a number. {_INSTEAD}")

    __int__ = __complex__ = __index__ = __float__

    def __round__(self, ndigits: int | None = None) -> Any:
        return np.round(self.value, ndigits or 0)

    def __bool__(self) -> NoReturn:
        hint = "Use np.where, not `if` or `and`; or compare it (x != 0), which gives plain booleans"
        _stop(TypeError, f"a traced value has no truth value. {hint}")

    def astype(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise: the graph keeps the precision of the values it is given."""
        hint = "Leave astype out, or convert the arrays that it meets"
        _stop(TypeError, f"a traced value keeps its dtype. {hint}")

    def item(self, *args: Any) -> NoReturn:
        """Raise, as `float` does."""
        self.__float__()

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        _refuse_in_place("x[...] = y")


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
                    _refuse(function, f" by its argument {position + 1}")
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
            _refuse(function, " with these arguments")
        return result
    if function in CONSTANT:
        return function(*map(_plain, args), **kwargs)
    if function in _WRITING:
        _refuse_in_place(_name(function))
    _refuse(function)


def _call_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call a ufunc that is not in the table, or in another way than by its name alone."""
    if method == "at" or any(out is not None for out in kwargs.get("out", ())):
        _refuse_in_place(f"{_name(ufunc)} with out=, or a += b of a plain array a")
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
    _refuse(ufunc, f" in the form .{method}")


_REDUCTIONS: dict[Any, Callable[..., Any]] = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min,
    np.logical_or: np.any, np.logical_and: np.all, np.logaddexp: special.logsumexp,
}  # fmt: skip


def _normalised(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Check the keywords of a call; put traced arguments given by name in their position."""
    if kwargs.get("out") is not None:
        _refuse_in_place(f"{_name(function)} with out=")
    kwargs = {
        key: value
        for key, value in kwargs.items()
        if not (value is np._NoValue or (key in ("out", "dtype") and value is None))
    }
    if any(value.__class__ is Traced for value in kwargs.values()):
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
        except (TypeError, ValueError):
            _refuse(function, " with a traced value passed by name")
        args, kwargs = bound.args, bound.kwargs
    unknown = kwargs.keys() - _keywords(function)
    if unknown and function in DERIVATIVES.keys() | COMPOSED.keys():
        _refuse(function, f" with {', '.join(f'{key}=' for key in sorted(unknown))}")
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
        _stop(TypeError, "a sparse matrix meets a traced value. Use skgd.special.affine(X, W)")
    return x if isinstance(x, (np.ndarray, np.generic)) else np.asarray(x)


# -- errors ---------------------------------------------------------------------------------------

_LIBRARIES = {"skgd", "numpy", "scipy", "sklearn", "pandas", "polars", "functools"}


def _user_line() -> str:
    """Name the innermost line that is neither here nor in NumPy: the user's."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _LIBRARIES:
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _name(function: Any) -> str:
    name = function.__name__
    for module, prefix in ((np, "np"), (scipy.special, "scipy.special")):
        if getattr(module, name, None) is function:
            return f"{prefix}.{name}"
    return f"{getattr(function, '__module__', 'ufunc')}.{name}"


def _stop(error: type[Exception], what: str) -> NoReturn:
    way_out = 'or let the gradient be measured: gradient="numeric"'
    raise error(f"{_user_line()}: {what}; {way_out}.")


def _refuse(function: Any, how: str = "") -> NoReturn:
    what = f"the derivative of {_name(function)}{how} is not in the graph's table"
    _stop(NotImplementedError, f"{what}. Write it in other NumPy functions")


def _refuse_in_place(what: str) -> NoReturn:
    hint = "Build a new array, with np.where, np.concatenate or np.stack"
    _stop(TypeError, f"traced values can't be written in place ({what}). {hint}")


# -- the backward pass ----------------------------------------------------------------------------


def _backward(trace: _Trace, index: int, seed: Any, n_inputs: int) -> list[Any]:
    """Apply the chain rule to each node, from number `index` back to the inputs."""
    gradients: list[Any] = [None] * (max(index + 1, n_inputs))
    gradients[index] = seed
    with np.errstate(all="ignore"):  # an inf or nan shows in the result
        for i in range(index, n_inputs - 1, -1):
            g = gradients[i]
            if g is None:
                continue
            gradients[i] = None  # no longer needed: free the memory
            parents, value, args, kwargs = trace.tape[i]
            for parent, position, formula in parents:
                part = _match(formula(g, value, *args, **kwargs), args[position])
                sum_so_far = gradients[parent]
                gradients[parent] = part if sum_so_far is None else sum_so_far + part
    return gradients[:n_inputs]


def _match(g: Any, x: Any) -> Any:
    """Give a contribution the shape and dtype of its argument: undo what broadcasting did."""
    shape = x.shape
    if g.shape != shape:
        g = _unbroadcast(g, shape)
    if g.dtype != x.dtype:
        if g.dtype.kind == "c":
            _stop(NotImplementedError, "the graph has no derivatives of complex numbers")
        g = special.cast(g, x.dtype)
    return g


def _unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum over the axes that broadcasting added or stretched."""
    if g.__class__ is np.ndarray and g.ndim == 2 and shape == g.shape[1:]:
        return np.ones(len(g), g.dtype) @ g  # a bias: BLAS sums the rows twice as fast
    for _ in range(g.ndim - len(shape)):
        g = np.add.reduce(g, 0)
    for axis, n in enumerate(shape):
        if n == 1 and g.shape[axis] != 1:
            g = np.sum(g, axis=axis, keepdims=True)
    return g


# -- the public functions -------------------------------------------------------------------------


def value_and_vjp(fun: Callable[..., Any], *args: Any) -> tuple[Any, Callable[[Any], list[Any]]]:
    """Evaluate a function, and return with its value the way back.

    Parameters
    ----------
    fun : callable
        Takes as many arrays as there are `args` and returns one, of any shape.
    *args : array-like
        Where to evaluate it.

    Returns
    -------
    value : ndarray or number
        ``fun(*args)``.
    pullback : callable
        Maps a vector v of the shape of the value to the list of the products v J, one array for
        each of `args`, with J the matrix of derivatives of the value. It can be called again.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.autodiff import value_and_vjp
    >>> value, pullback = value_and_vjp(lambda x, y: x * y, np.array([1.0, 2.0]), 3.0)
    >>> value
    array([3., 6.])
    >>> pullback(np.array([1.0, 10.0]))
    [array([ 3., 30.]), 21.0]
    """
    trace = _Trace()
    values = [_as_input(arg) for arg in args]
    output = fun(*[trace.wrap(value) for value in values])
    reached = output.__class__ is Traced and output._trace is trace

    def pullback(g: Any) -> list[Any]:
        gradients: list[Any] = [None] * len(values)
        if reached:
            seed = g if g.__class__ is Traced else np.asarray(g, dtype=output.dtype)
            if seed.shape != output.shape:
                raise ValueError(f"v has shape {seed.shape}, but the value has {output.shape}.")
            gradients = _backward(trace, output._index, seed, len(values))
        return _as_given(_owned(gradients, values), args)

    return (output.value if reached else output), pullback


def value_and_grad(fun: Callable[..., Any], argnum: int | tuple[int, ...] = 0) -> Callable:
    """Make a function that returns the value of `fun` and its gradient.

    Parameters
    ----------
    fun : callable
        Written in plain NumPy; returns one number.
    argnum : int or tuple of int, default=0
        Position of the argument to differentiate by. With a tuple, the gradient is a tuple.

    Returns
    -------
    callable
        Takes the arguments of `fun` and returns (value, gradient). The gradient has the shape
        and dtype of the argument; integers count as float64.

    Raises
    ------
    ValueError
        When called, if `fun` does not return a single number.
    NotImplementedError
        When called, if `fun` uses a function whose derivative is not known.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.autodiff import value_and_grad
    >>> value_and_grad(lambda w: np.sum(w**2))(np.array([1.0, 2.0]))
    (5.0, array([2., 4.]))
    """
    positions = (argnum,) if isinstance(argnum, int) else tuple(argnum)

    @functools.wraps(fun)
    def differentiated(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        trace = _Trace()
        full = list(args)
        values = [_as_input(args[position]) for position in positions]
        for position, value in zip(positions, values, strict=True):
            full[position] = trace.wrap(value)
        try:
            output = fun(*full, **kwargs)
        except ValueError as error:
            # NumPy wraps what a traced value raises when it is written into an array.
            if isinstance(error.__cause__, TypeError) and "traced" in str(error.__cause__):
                raise error.__cause__ from None
            raise
        gradients: list[Any] = [None] * len(values)
        if output.__class__ is Traced and output._trace is trace:
            index, output = output._index, output.value
            _check_scalar(output)
            seed = 1.0 if output.__class__ is Traced else output.dtype.type(1)
            gradients = _backward(trace, index, np.asarray(seed), len(values))
        else:
            _check_scalar(output)
        gradients = _as_given(_owned(gradients, values), [args[i] for i in positions])
        output = output if output.__class__ is Traced else float(output)
        return output, gradients[0] if isinstance(argnum, int) else tuple(gradients)

    return differentiated


def grad(fun: Callable[..., Any], argnum: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """Make a function that returns the gradient of `fun`.

    Parameters
    ----------
    fun : callable
        Written in plain NumPy; returns one number.
    argnum : int or tuple of int, default=0
        Position of the argument to differentiate by. With a tuple, the gradient is a tuple.

    Returns
    -------
    callable
        Takes the arguments of `fun` and returns the gradient, as `value_and_grad` does. It can
        be differentiated again.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.autodiff import grad
    >>> grad(lambda x, y, z: (x + y) * z, argnum=(0, 1, 2))(-2.0, 5.0, -4.0)
    (-4.0, -4.0, 3.0)

    The derivative of the derivative of x^3:

    >>> grad(grad(lambda x: x**3))(2.0)
    12.0
    """
    both = value_and_grad(fun, argnum)

    @functools.wraps(fun)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def value_and_gradients(
    fun: Callable[..., Any], arrays: Sequence[np.ndarray]
) -> tuple[float, list[np.ndarray]]:
    """Evaluate a function of several arrays and its gradient by each of them.

    The same as `value_and_grad` by all arguments, without its conveniences.

    Parameters
    ----------
    fun : callable
        Takes as many arrays as given and returns one number.
    arrays : sequence of ndarray
        Floating point arrays; they are neither copied nor changed.

    Returns
    -------
    value : float
        ``fun(*arrays)``.
    gradients : list of ndarray
        For each array, a new array of its shape and dtype; zeros if the value does not depend
        on it.

    Raises
    ------
    ValueError
        If `fun` does not return a single number.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.autodiff import value_and_gradients
    >>> value_and_gradients(lambda w, b: np.sum(3.0 * w + b), [np.zeros(2), np.zeros(1)])
    (0.0, [array([3., 3.]), array([2.])])
    """
    trace = _Trace()
    output = fun(*[trace.wrap(array) for array in arrays])
    if output.__class__ is not Traced or output._trace is not trace:
        _check_scalar(output)
        return float(output), _owned([None] * len(arrays), arrays)
    value = output.value
    _check_scalar(value)
    gradients = _backward(trace, output._index, value.dtype.type(1), len(arrays))
    return float(value), _owned(gradients, arrays)


def _as_input(x: Any) -> Any:
    if x.__class__ is Traced:
        return x
    array = np.asarray(x)
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    if array.dtype.kind != "f":
        raise TypeError(f"The graph differentiates by real numbers, not by dtype {array.dtype}.")
    return array


def _owned(gradients: list[Any], values: Sequence[Any]) -> list[Any]:
    """Return arrays that are the caller's own: zeros where there is no path, and no views."""
    seen = set()
    for i, (g, value) in enumerate(zip(gradients, values, strict=True)):
        if g is None:
            gradients[i] = np.zeros(value.shape, value.dtype)
        elif g.__class__ is not Traced:
            if g.__class__ is not np.ndarray or g.base is not None or id(g) in seen:
                gradients[i] = g = np.array(g, order="C")
            elif not g.flags.c_contiguous:
                gradients[i] = g = np.ascontiguousarray(g)
            seen.add(id(g))
    return gradients


def _as_given(gradients: list[Any], args: Sequence[Any]) -> list[Any]:
    """Return floats for the arguments that were Python numbers."""
    return [
        float(g) if isinstance(arg, (int, float)) and g.__class__ is not Traced else g
        for g, arg in zip(gradients, args, strict=True)
    ]


def _check_scalar(value: Any) -> None:
    shape = getattr(value, "shape", () if isinstance(value, (int, float)) else None)
    if shape is None:
        raise TypeError(f"The function must return a number; it returned {value!r}.")
    if shape != ():
        raise ValueError(
            f"The function must return a number; it returned an array of shape {shape}, of which "
            "there is no gradient. Reduce it, with np.mean or np.sum."
        )
