"""The function as the loop sees it: its value, and its gradient from a source."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skgd._component import resolve
from skgd.gradients import GRADIENTS, Analytic, GradientSource
from skgd.objective import Batch

NO_DATA = Batch(X=np.empty((1, 0)), y=np.empty(1), weight=None)


@dataclass
class Calls:
    """How often the user's functions were called."""

    fun: int = 0
    jac: int = 0


@dataclass(slots=True)
class Point:
    """Value and gradient at a point; the arrays are flat."""

    u: np.ndarray
    value: float
    gradient: np.ndarray

    def is_stationary(self, tol: float) -> bool:
        """Whether no entry of the gradient is larger than `tol`."""
        return bool(np.abs(self.gradient).max() <= tol)


class _NoModel:
    """All entries of x are alike: none is an intercept, none has an L1 term."""

    n_weights = 0

    def decay_mask(self) -> None:
        """Decoupled weight decay applies everywhere."""


class Problem:
    """The user's function: what the loop makes small, and the source of its gradient, in one.

    Value and gradient are computed together, and the latest point is remembered: the loop, the
    stopping rule and the callback look at the same point, which is evaluated once.

    Parameters
    ----------
    evaluate : callable
        ``x -> (value, gradient)``.
    shape : tuple of int
        Of x.
    """

    model: Any = _NoModel()
    l1_strength = 0.0
    losses_per_call = 1

    def __init__(
        self, evaluate: Callable[[np.ndarray], tuple[float, Any]], shape: tuple[int, ...]
    ) -> None:
        self.evaluate = evaluate
        self.shape = shape
        self.latest: Point | None = None
        self.broken = False

    def resume(self, step: int) -> None:
        """All steps are alike."""

    def at(self, u: np.ndarray) -> Point:
        """Value and gradient at u."""
        latest = self.latest
        if latest is None or not (latest.u == u).all():
            self.broken = True
            value, gradient = self.evaluate(u.copy().reshape(self.shape))
            latest = Point(u.copy(), value, _as_flat(gradient, self.shape, u.dtype))
            self.latest = latest
            self.broken = False
        return latest

    def value(self, theta: np.ndarray, batch: Batch) -> float:
        """Return the value; nan once an evaluation has raised, so that `fun` is left in peace."""
        return math.nan if self.broken else self.at(theta).value

    def __call__(self, u: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        """Write the gradient and return the value."""
        point = self.at(u)
        gradient[...] = point.gradient
        return point.value


def evaluator(
    fun: Callable[..., Any], gradient: Any, args: tuple[Any, ...], calls: Calls
) -> Callable[[np.ndarray], tuple[float, Any]]:
    """Return ``x -> (value, gradient)``, which counts its calls."""
    if not callable(fun):
        raise TypeError(f"fun takes a callable (x, *args) -> number; got {fun!r}.")

    def counted(x: Any) -> Any:
        calls.fun += 1
        return _checked(fun(x, *args))

    def itself(x: np.ndarray) -> tuple[float, Any]:
        calls.fun += 1
        calls.jac += 1
        returned = fun(x, *args)
        if not (isinstance(returned, (tuple, list)) and len(returned) == 2):
            raise TypeError(
                "With gradient=True, fun must return a pair (value, gradient); it returned "
                f"{returned!r}."
            )
        return _as_number(returned[0]), returned[1]

    def by_hand(x: np.ndarray) -> tuple[float, Any]:
        # Should fun write into its x, the gradient is still that of x.
        value = _as_number(counted(x.copy()))
        calls.jac += 1
        return value, gradient(x, *args)

    if gradient is True:
        return itself
    if callable(gradient) and not isinstance(gradient, (type, GradientSource)):
        return by_hand
    derive = _as_source(gradient).of_function(counted)

    def derived(x: np.ndarray) -> tuple[float, Any]:
        calls.jac += 1
        return derive(x)

    return derived


def _as_source(gradient: Any) -> Any:
    """Turn a name or an object into a gradient source that needs nothing but the function."""
    if isinstance(gradient, Analytic) or (isinstance(gradient, str) and gradient == "analytic"):
        raise ValueError(
            'gradient="analytic": nobody has written down the gradient of this fun. Hand it in as '
            "a function, gradient=jac with jac(x, *args), or use gradient=True if fun returns "
            '(value, gradient), or gradient="backprop".'
        )
    if not isinstance(gradient, (str, type, GradientSource)):
        raise TypeError(
            'gradient takes "backprop", "numeric", a GradientSource object, a callable '
            "jac(x, *args), or True if fun returns (value, gradient); got "
            f"{gradient!r} of type {type(gradient).__name__}."
        )
    table = {name: row for name, row in GRADIENTS.items() if row is not Analytic}
    return resolve("gradient", gradient, table, GradientSource)


def _checked(value: Any) -> Any:
    """Return what fun returned, if it is one number: real, complex or traced."""
    shape = () if isinstance(value, numbers.Number) else getattr(value, "shape", None)
    if shape == ():
        return value
    if shape is not None:
        raise ValueError(
            f"fun must return a number; it returned an array of shape {shape}. Reduce it, with "
            "np.sum or np.mean."
        )
    hint = " With gradient=True it may return (value, gradient)." if type(value) is tuple else ""
    raise TypeError(f"fun must return a number; it returned {value!r}.{hint}")


def _as_number(value: Any) -> float:
    """Return what fun returned as a float."""
    if np.iscomplexobj(_checked(value)):
        raise TypeError(f"fun must return a real number; it returned {value!r}.")
    return float(value)


def _as_flat(gradient: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return what the gradient is, as a flat array of its own."""
    array = np.asarray(gradient)
    if array.shape != shape and not (array.size == 1 and math.prod(shape) == 1):
        raise ValueError(
            f"The gradient must have the shape of x, {shape}; what was returned has {array.shape}."
        )
    if array.dtype.kind not in "iuf":
        raise TypeError(f"The gradient must be real numbers; it has dtype {array.dtype}.")
    return np.array(array, dtype=dtype).ravel()
