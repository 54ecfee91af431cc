"""What users call: a function of arrays becomes one that returns its derivatives, too."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skgd.autodiff.backward import backward
from skgd.autodiff.graph import Trace, Traced


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
    trace = Trace()
    values = [_as_input(arg) for arg in args]
    output = fun(*[trace.wrap(value) for value in values])
    reached = output.__class__ is Traced and output._trace is trace

    def pullback(g: Any) -> list[Any]:
        gradients: list[Any] = [None] * len(values)
        if reached:
            seed = g if g.__class__ is Traced else np.asarray(g, dtype=output.dtype)
            if seed.shape != output.shape:
                raise ValueError(f"v has shape {seed.shape}, but the value has {output.shape}.")
            gradients = backward(trace, output._index, seed, len(values))
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
        trace = Trace()
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
            gradients = backward(trace, index, np.asarray(seed), len(values))
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
    trace = Trace()
    output = fun(*[trace.wrap(array) for array in arrays])
    if output.__class__ is not Traced or output._trace is not trace:
        _check_scalar(output)
        return float(output), _owned([None] * len(arrays), arrays)
    value = output.value
    _check_scalar(value)
    gradients = backward(trace, output._index, value.dtype.type(1), len(arrays))
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
