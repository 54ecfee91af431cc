"""`minimize`: how it starts, what it returns, and how it says why it ended."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from skgd import descent
from skgd.descent import stopping
from skgd.exceptions import DivergenceWarning
from skgd.gradients import GradientSource
from skgd.gradients.base import check_exact
from skgd.minimization.arguments import as_callback, as_start, as_tuple, plan_for
from skgd.minimization.problem import NO_DATA, Calls, Point, Problem, evaluator
from skgd.minimization.watcher import CALLBACK, SETTLED, STATIONARY, WINDOW, Watcher
from skgd.objective.coordinates import Coordinates
from skgd.optimizers import LBFGS

# reason to stop: status, message
_ENDS = {
    STATIONARY: (0, "The largest entry of the gradient is at most tol."),
    SETTLED: (0, f"The value moved by at most tol times its size in {WINDOW} iterations."),
    stopping.SOLVED: (0, "The solver found no lower value within the machine's precision."),
    stopping.MAX_ITER: (1, "The limit of max_iter iterations was reached."),
    stopping.DIVERGED: (2, "The value diverged, and the best point seen was restored."),
    stopping.NO_LOWER_POINT: (3, "The solver's line search found no lower point."),
    CALLBACK: (99, "`callback` raised `StopIteration`."),
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
    start = as_start(x0)
    calls = Calls()
    problem = Problem(evaluator(fun, gradient, as_tuple(args), calls), start.shape)
    plan = plan_for(optimizer, learning_rate, schedule, max_iter, tol)
    if isinstance(plan.optimizer, LBFGS) and isinstance(gradient, GradientSource):
        check_exact(gradient)
    watcher = Watcher(problem, tol, as_callback(callback), start.shape)
    u = start.ravel()
    if isinstance(plan.optimizer, LBFGS):  # a line search needs the digits
        u = u.astype(np.float64)
    progress = descent.Progress(u=u.copy(), coordinates=Coordinates(problem.model))

    with np.errstate(all="ignore"):  # non-finite values are looked for, and handled
        first = problem.at(u)
        _check_first(first)
        if tol is not None and first.is_stationary(tol):
            progress.stop_reason = STATIONARY
        else:
            batches = descent.Batches(NO_DATA, None, plan)
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


def _verdict(
    first: Point,
    problem: Problem,
    watcher: Watcher,
    plan: descent.Plan,
    progress: descent.Progress,
) -> tuple[str, Point]:
    """Return why it ended, and where."""
    reason, last = progress.stop_reason, watcher.last
    if last is None:
        return reason, first
    if watcher.stopped:
        return CALLBACK, last
    tol = watcher.tol or 0.0
    lowest = min(watcher.history["value"])
    if reason in (STATIONARY, SETTLED) and lowest > first.value + tol * abs(first.value):
        return stopping.DIVERGED, first  # a leap out of the valley, onto a plain
    if reason == SETTLED and progress.best_u is not None and progress.best_loss < last.value:
        return reason, problem.at(progress.best_u)
    point = problem.at(progress.u)
    if reason == stopping.SOLVED and point.is_stationary(tol):
        reason = STATIONARY
    return reason, point


def _divergence(first: Point, watcher: Watcher, plan: descent.Plan) -> str:
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


def _check_first(point: Point) -> None:
    """Raise if the descent cannot begin here."""
    if not math.isfinite(point.value):
        raise ValueError(f"fun(x0) is {point.value}: start where it is finite.")
    bad = np.flatnonzero(~np.isfinite(point.gradient))
    if bad.size:
        raise ValueError(
            f"The gradient at x0 is not finite: its entry {bad[0]} is {point.gradient[bad[0]]}. "
            "Start where it is."
        )
