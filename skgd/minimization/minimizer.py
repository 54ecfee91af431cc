"""Minimise any function of an array, without data and without an estimator.

The function stands where model, loss and data stand in an estimator. Gradient source, optimizer,
schedule and the loop itself (`skgd.descent`) are the same.
"""

from __future__ import annotations

import inspect
import math
import numbers
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from skgd import descent
from skgd._component import check_choice, check_number, resolve
from skgd.descent import stopping
from skgd.exceptions import DivergenceWarning
from skgd.gradients import GRADIENTS, Analytic, GradientSource, Numeric
from skgd.gradients.sources import check_exact
from skgd.objective import Batch
from skgd.objective.coordinates import Coordinates
from skgd.optimizers import LBFGS, Optimizer, resolve_optimizer
from skgd.schedules import SCHEDULES, Constant, resolve_schedule

__all__ = ["minimize"]

_WINDOW = 20  # iterations in which the value must move if it is not to count as settled

_STATIONARY = "converged: the gradient is small"
_SETTLED = "converged: the value moves no more"
_CALLBACK = "stopped by the callback"

# reason to stop: status, message
_ENDS = {
    _STATIONARY: (0, "The largest entry of the gradient is at most tol."),
    _SETTLED: (0, f"The value moved by at most tol times its size in {_WINDOW} iterations."),
    stopping.SOLVED: (0, "The solver found no lower value within the machine's precision."),
    stopping.MAX_ITER: (1, "The limit of max_iter iterations was reached."),
    stopping.DIVERGED: (2, "The value diverged, and the best point seen was restored."),
    stopping.NO_LOWER_POINT: (3, "The solver's line search found no lower point."),
    _CALLBACK: (99, "`callback` raised `StopIteration`."),
}


def minimize(
    fun: Callable[..., Any],
    x0: Any,
    *,
    args: Any = (),
    gradient: Any = "backprop",
    optimizer: Any = "adam",
    learning_rate: float = 0.01,
    schedule: Any = "constant",
    max_iter: int = 10_000,
    tol: float | None = 1e-8,
    callback: Callable[..., Any] | None = None,
) -> OptimizeResult:
    """Minimise a function of one or more variables by gradient descent.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> number``, with `x` of the shape of `x0`. For ``gradient="backprop"``
        it is written in plain NumPy.
    x0 : array-like of any shape
        Where to start; a number is fine, too. It is not changed. Floating point numbers keep
        their precision; integers become float64.
    args : tuple, default=()
        Further arguments of `fun`, and of `gradient` where that is a callable.
    gradient : {"backprop", "numeric"}, GradientSource, callable or True, default="backprop"
        Who computes the gradient: back-propagation through `fun`, differences of `fun`, an
        object such as ``Numeric(method="2-point")``, a function
        ``jac(x, *args) -> array of the shape of x`` written by hand, or, with True, `fun`
        itself, which then returns ``(value, gradient)``.
    optimizer : str, Optimizer or LBFGS, default="adam"
        A row of `skgd.optimizers.OPTIMIZERS`, or an object such as ``Adam(beta_1=0.8)``. "lbfgs"
        is a solver: it has no learning rate, takes no schedule, and computes in float64.
    learning_rate : float, default=0.01
        Above 0. With most optimizers of the Adam family it is the length of the first step.
    schedule : str, Schedule or callable, default="constant"
        How the learning rate moves, as for the estimators: the name of a row of
        `skgd.schedules.SCHEDULES`, an object, or ``(step, n_steps) -> factor``, where `n_steps`
        is `max_iter`.
    max_iter : int, default=10_000
        The most iterations, at least 1. An iteration is one step of the optimizer.
    tol : float or None, default=1e-8
        Stop when no entry of the gradient is larger than `tol` in size, or when the values of 20
        iterations in a row differ by at most `tol` times their size. ("lbfgs" has a test of its
        own for the second.) None takes exactly `max_iter` steps, unless the value diverges or
        the callback stops; with "lbfgs" it goes on until there is no lower value within the
        machine's precision.
    callback : callable, default=None
        Called after each iteration. If its one parameter is called `intermediate_result`, it is
        given an `OptimizeResult` with `x` and `fun`, otherwise x alone; x is a copy. It stops
        the search by raising StopIteration.

    Returns
    -------
    result : scipy.optimize.OptimizeResult
        x : ndarray of the shape of `x0`
            The best point seen, where the value stopped moving or diverged; otherwise the last
            point.
        fun, jac : float, ndarray of the shape of `x0`
            Value and gradient at `x`.
        nit : int
            Steps that were taken.
        nfev, njev : int
            How often `fun` was called, and how many gradients were computed. Differences call
            `fun` several times for one gradient.
        success : bool
            True with status 0.
        status : int
            0: the gradient is small, or the value has stopped moving. 1: `max_iter` was
            reached. 2: diverged. 3: the line search of "lbfgs" found no lower point.
            99: the callback stopped.
        message : str
            The reason to stop, as a sentence.
        history : dict of lists
            One entry per iteration in each: "iteration" (from 1), "value" and "gradient_norm"
            (Euclidean) at the point that the iteration arrived at, "learning_rate" of its step.

    Raises
    ------
    ValueError, TypeError
        For an argument that cannot be used; if value or gradient at `x0` are not finite; if
        `fun` returns no number, or the gradient does not have the shape of x.
    BaseException
        What `fun`, the gradient or the callback raise goes on up, Ctrl-C included.

    Warns
    -----
    DivergenceWarning
        The value became non-finite, or was above ``1e3 max(|fun(x0)|, 1)`` for 20 iterations in
        a row or at the end; or, unless ``tol=None``, it came to rest without ever having been as
        low as at `x0`, or was above ``2 |fun(x0)|`` after every iteration.

    See Also
    --------
    scipy.optimize.minimize : Takes each optimizer object as its `method`.

    Notes
    -----
    A rule that does not let its steps shrink with the gradient, such as `Lion`, walks around the
    minimum at a distance that its rate sets, and goes on until `max_iter`: a lower rate, or a
    schedule that falls to zero such as "cosine", gets closer. `AdamW` also pulls x towards zero;
    it ends elsewhere than in the minimum unless its `weight_decay` is 0. An iteration in which the
    value rises is no reason to stop: momentum swings about a minimum before it comes to rest.

    Examples
    --------
    Rosenbrock's valley, with its minimum at (1, 1), by back-propagation and Adam:

    >>> import numpy as np
    >>> from skgd import minimize
    >>> def rosenbrock(x, a=1.0, b=100.0):
    ...     return (a - x[0]) ** 2 + b * (x[1] - x[0] ** 2) ** 2
    >>> result = minimize(rosenbrock, [-1.2, 1.0], learning_rate=0.1)
    >>> result.x.round(4), result.success
    (array([1., 1.]), True)

    The quasi-Newton solver needs fewer steps. A gradient written by hand, further arguments:

    >>> def by_hand(x, a, b):
    ...     slope = 2 * b * (x[1] - x[0] ** 2)
    ...     return np.array([-2 * (a - x[0]) - 2 * x[0] * slope, slope])
    >>> result = minimize(rosenbrock, [-1.2, 1.0], args=(2.0, 10.0), gradient=by_hand,
    ...                   optimizer="lbfgs")
    >>> result.x.round(4), result.nit < 50
    (array([2., 4.]), True)

    x may have any shape:

    >>> minimize(lambda A: np.sum((A - 3.0) ** 2), np.zeros((2, 2)), learning_rate=0.1).x.round(3)
    array([[3., 3.],
           [3., 3.]])
    >>> float(minimize(lambda x: np.cosh(x - 2.0), 0.0, learning_rate=0.1).x.round(3))
    2.0

    A rate that is too high is told, and the best point seen is what is left:

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     result = minimize(rosenbrock, [-1.2, 1.0], optimizer="sgd", learning_rate=0.1)
    >>> result.status, result.message
    (2, 'The value diverged, and the best point seen was restored.')
    >>> print(caught[0].message)
    minimize diverged with learning_rate=0.1 ...: lower learning_rate, for example to 0.01.

    Wrong arguments are named:

    >>> minimize(rosenbrock, [-1.2, 1.0], gradient="analytic")
    Traceback (most recent call last):
    ...
    ValueError: gradient="analytic": nobody has written down the gradient of this fun. ...
    >>> minimize(rosenbrock, [-1.2, np.nan])
    Traceback (most recent call last):
    ...
    ValueError: x0 must be finite; its entry 1 is nan.
    """
    start = _as_start(x0)
    calls = _Calls()
    problem = _Problem(_evaluator(fun, gradient, _as_tuple(args), calls), start.shape)
    plan = _plan(optimizer, learning_rate, schedule, max_iter, tol)
    if isinstance(plan.optimizer, LBFGS) and isinstance(gradient, GradientSource):
        check_exact(gradient)
    watcher = _Watcher(problem, tol, _as_callback(callback), start.shape)
    u = start.ravel()
    if isinstance(plan.optimizer, LBFGS):  # a line search needs the digits
        u = u.astype(np.float64)
    progress = descent.Progress(u=u.copy(), coordinates=Coordinates(problem.model))

    with np.errstate(all="ignore"):  # non-finite values are looked for, and handled
        first = problem.at(u)
        _check_first(first)
        if tol is not None and first.is_stationary(tol):
            progress.stop_reason = _STATIONARY
        else:
            batches = descent.Batches(_NO_DATA, None, plan)
            descent.descend(problem, problem, batches, plan, progress, on_epoch=watcher)
        reason, point = _verdict(first, problem, watcher, plan, progress)
        if point.u.dtype != start.dtype:
            point = problem.at(point.u.astype(start.dtype))

    if reason == stopping.DIVERGED:
        warnings.warn(_divergence(first, watcher, plan), DivergenceWarning, stacklevel=2)
    status, message = _ENDS[reason]
    return OptimizeResult(
        x=point.u.reshape(start.shape).copy(),
        fun=point.value,
        jac=point.gradient.reshape(start.shape).copy(),
        nit=progress.step,
        nfev=calls.fun,
        njev=calls.jac,
        success=status == 0,
        status=status,
        message=message,
        history=watcher.history,
    )


def minimize_as_method(
    optimizer: Optimizer | LBFGS,
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    *,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Callable[..., Any] | None = None,
    **options: Any,
) -> OptimizeResult:
    """Serve ``scipy.optimize.minimize(fun, x0, method=optimizer)``.

    Parameters
    ----------
    optimizer : Optimizer or LBFGS
    fun, x0, args, jac, callback
        As SciPy hands them to a callable method.
    hess, hessp, bounds, constraints
        None and empty are all that a descent can serve.
    **options
        Keywords of `minimize`, and "maxiter" for "max_iter".

    Returns
    -------
    result : scipy.optimize.OptimizeResult
        What `minimize` returns.

    Raises
    ------
    ValueError
        An option is unknown, or given twice, or the problem has bounds, constraints or a Hessian.

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> from skgd.optimizers import Adam
    >>> options = {"learning_rate": 0.1, "maxiter": 5000}
    >>> result = minimize(rosen, [-1.2, 1.0], method=Adam(), jac=rosen_der, options=options)
    >>> result.x.round(4)
    array([1., 1.])
    """
    _check_unsupported(hess=hess, hessp=hessp, bounds=bounds, constraints=constraints)
    for name in options:
        check_choice("option", name, [*_OPTIONS, "maxiter"])
    if "maxiter" in options:
        if "max_iter" in options:
            raise ValueError("The options maxiter and max_iter mean the same: give one of them.")
        options["max_iter"] = options.pop("maxiter")
    if jac is not None and jac is not False:
        if "gradient" in options:
            raise ValueError("Both jac and the option gradient say who computes the gradient.")
        if isinstance(jac, str):
            check_choice("jac", jac, ["2-point", "3-point", "cs"])
            jac = Numeric(method=jac)
        options["gradient"] = jac
    return minimize(fun, x0, args=args, optimizer=optimizer, callback=callback, **options)


_OPTIONS = ("gradient", "learning_rate", "schedule", "max_iter", "tol")

_ELSEWHERE = {
    "hess": "method='trust-exact' or 'Newton-CG'",
    "hessp": "method='trust-krylov' or 'Newton-CG'",
    "bounds": "method='L-BFGS-B'",
    "constraints": "method='SLSQP' or 'trust-constr'",
}


def _check_unsupported(**given: Any) -> None:
    for name, value in given.items():
        empty = value is None or (isinstance(value, (tuple, list, dict)) and len(value) == 0)
        if not empty:
            raise ValueError(
                f"The optimizers of skgd use gradients alone and take no {name}; SciPy's own "
                f"{_ELSEWHERE[name]} does."
            )


# -- the function as the loop sees it -------------------------------------------------------------

_NO_DATA = Batch(X=np.empty((1, 0)), y=np.empty(1), weight=None)


@dataclass
class _Calls:
    """How often the user's functions were called."""

    fun: int = 0
    jac: int = 0


@dataclass(slots=True)
class _Point:
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


class _Problem:
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
        self.latest: _Point | None = None
        self.broken = False

    def resume(self, step: int) -> None:
        """All steps are alike."""

    def at(self, u: np.ndarray) -> _Point:
        """Value and gradient at u."""
        latest = self.latest
        if latest is None or not (latest.u == u).all():
            self.broken = True
            value, gradient = self.evaluate(u.copy().reshape(self.shape))
            latest = _Point(u.copy(), value, _as_flat(gradient, self.shape, u.dtype))
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


def _evaluator(
    fun: Callable[..., Any], gradient: Any, args: tuple[Any, ...], calls: _Calls
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


# -- what happens after each iteration ------------------------------------------------------------


class _Series(list):
    """A list that prints its ends only: a result with thousands of iterations stays readable."""

    def __repr__(self) -> str:
        if len(self) <= 6:
            return super().__repr__()
        return f"[{self[0]!r}, {self[1]!r}, ..., {self[-1]!r}] ({len(self)} entries)"


class _Watcher:
    """Records each iteration, asks the callback, and tells the loop when to stop."""

    def __init__(
        self,
        problem: _Problem,
        tol: float | None,
        callback: Callable[[np.ndarray, float], None] | None,
        shape: tuple[int, ...],
    ) -> None:
        self.problem = problem
        self.tol = tol
        self.callback = callback
        self.shape = shape
        self.last: _Point | None = None
        self.stopped = False  # by the callback
        self.history: dict[str, list[Any]] = {
            "iteration": _Series(),
            "value": _Series(),
            "learning_rate": _Series(),
            "gradient_norm": _Series(),
        }

    def __call__(self, progress: descent.Progress) -> str | None:
        """Return a reason to stop, or None."""
        # The next step asks for this point, too, and finds it evaluated.
        point = self.last = self.problem.at(progress.u)
        norm = math.sqrt(point.gradient @ point.gradient)
        history = self.history
        history["iteration"].append(progress.epoch)
        history["value"].append(point.value)
        history["learning_rate"].append(progress.rates[-1])
        history["gradient_norm"].append(norm)
        if self.callback is not None:
            try:
                self.callback(point.u.reshape(self.shape).copy(), point.value)
            except StopIteration:
                self.stopped = True
                return _CALLBACK
        # No norm is less than the largest entry, nor more than sqrt(n) times it.
        if self.tol is None:
            return None
        near = not norm > 2.0 * self.tol * math.sqrt(point.u.size)
        if near and point.is_stationary(self.tol):
            return _STATIONARY
        return _SETTLED if _has_settled(history["value"], self.tol) else None


def _has_settled(values: list[float], tol: float) -> bool:
    """Whether the last iterations moved the value by at most `tol` times its size."""
    if len(values) <= _WINDOW:
        return False
    bound = tol * abs(values[-1])
    if abs(values[-1] - values[-1 - _WINDOW]) > bound:  # nearly always, and quickly seen
        return False
    recent = values[-1 - _WINDOW :]
    return max(recent) - min(recent) <= bound


def _verdict(
    first: _Point,
    problem: _Problem,
    watcher: _Watcher,
    plan: descent.Plan,
    progress: descent.Progress,
) -> tuple[str, _Point]:
    """Return why it ended, and where."""
    reason, last = progress.stop_reason, watcher.last
    if last is None:
        return reason, first
    if watcher.stopped:
        return _CALLBACK, last
    tol = watcher.tol or 0.0
    lowest = min(watcher.history["value"])
    if reason in (_STATIONARY, _SETTLED) and lowest > first.value + tol * abs(first.value):
        return stopping.DIVERGED, first  # a leap out of the valley, onto a plain
    if reason == _SETTLED and progress.best_u is not None and progress.best_loss < last.value:
        return reason, problem.at(progress.best_u)
    point = problem.at(progress.u)
    if reason == stopping.SOLVED and point.is_stationary(tol):
        reason = _STATIONARY
    return reason, point


def _divergence(first: _Point, watcher: _Watcher, plan: descent.Plan) -> str:
    """Return the text of the warning: what happened, and what to do."""
    what = f"fun is {first.value:g} at x0"
    if watcher.last is not None:
        n = len(watcher.history["value"])
        what += f" and was {watcher.last.value:g} after {n} iteration{'s' if n > 1 else ''}"
    if isinstance(plan.optimizer, LBFGS):
        return f"minimize diverged ({what}): start where fun is finite all around, or scale it."
    rate = plan.learning_rate
    return (
        f"minimize diverged with learning_rate={rate:g} ({what}): lower learning_rate, for "
        f"example to {rate / 10:g}."
    )


# -- arguments, checked ---------------------------------------------------------------------------


def _plan(
    optimizer: Any, learning_rate: Any, schedule: Any, max_iter: Any, tol: Any
) -> descent.Plan:
    """Check how to descend. The one batch of an epoch makes epoch, step and iteration one."""
    optimizer, schedule = resolve_optimizer(optimizer), resolve_schedule(schedule)
    _check_rate(learning_rate)
    check_number("max_iter", max_iter, low=1, integer=True)
    if tol is not None:
        check_number("tol", tol, low=0)
    if optimizer.full_batch_only and not isinstance(schedule, Constant):
        raise ValueError(
            f"{optimizer!r} finds the length of its steps itself: it takes schedule='constant', "
            f"not {schedule!r}."
        )
    return descent.Plan(
        optimizer=optimizer,
        schedule=schedule,
        learning_rate=float(learning_rate),
        batch_size=1,
        max_iter=int(max_iter),
        n_steps=int(max_iter),
        n_epochs=int(max_iter),
        # The loop's own rule is for the noise of mini-batches: `_Watcher` stops the others.
        tol=float(tol) if isinstance(optimizer, LBFGS) and tol is not None else None,
        n_iter_no_change=_WINDOW,
        clip_norm=None,
        average=None,
        shuffle=False,
        seed=0,
        early_stopping=False,
        keep_best=tol is not None,  # without it, the number of steps is all that counts
        verbose=False,
    )


def _check_rate(rate: Any) -> None:
    if isinstance(rate, str):
        schedule = f" A schedule is a parameter of its own: schedule={rate!r}."
        raise TypeError(
            f"learning_rate takes a number above 0; got {rate!r}."
            + (schedule if rate in SCHEDULES else "")
        )
    check_number("learning_rate", rate, low=0, include="neither")


def _as_tuple(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else (args,)


def _as_start(x0: Any) -> np.ndarray:
    """Return x0 as an array of floating point numbers."""
    start = np.asarray(x0)
    if start.dtype.kind in "iub":
        start = start.astype(np.float64)
    if start.dtype.kind != "f":
        raise TypeError(f"x0 takes real numbers; got an array of dtype {start.dtype}.")
    if start.size == 0:
        raise ValueError(f"x0 is empty: its shape is {start.shape}.")
    bad = np.flatnonzero(~np.isfinite(start))
    if bad.size:
        raise ValueError(f"x0 must be finite; its entry {bad[0]} is {start.flat[bad[0]]}.")
    return start


def _check_first(point: _Point) -> None:
    """Raise if the descent cannot begin here."""
    if not math.isfinite(point.value):
        raise ValueError(f"fun(x0) is {point.value}: start where it is finite.")
    bad = np.flatnonzero(~np.isfinite(point.gradient))
    if bad.size:
        raise ValueError(
            f"The gradient at x0 is not finite: its entry {bad[0]} is {point.gradient[bad[0]]}. "
            "Start where it is."
        )


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


def _as_callback(callback: Any) -> Callable[[np.ndarray, float], None] | None:
    """Return ``(x, value) -> None``, which calls the callback as SciPy would."""
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"callback takes a callable or None; got {callback!r}.")
    try:
        parameters = set(inspect.signature(callback).parameters)
    except ValueError:  # some builtins have no signature
        parameters = set()
    if parameters == {"intermediate_result"}:
        return lambda x, value: callback(intermediate_result=OptimizeResult(x=x, fun=value))
    return lambda x, value: callback(x)
