"""L-BFGS, SciPy's: no update rule but a solver, which asks for as many gradients as it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from skgd._component import Component, check_number


class LBFGS(Component):
    r"""The quasi-Newton method: a solver for the whole objective, not an update rule.

    It models the curvature by the last few changes of the gradient, searches along each
    direction, and so needs the objective's value as well as its gradient, always of the full
    batch. An L1 term, which has no derivative at zero, is made smooth by writing each coordinate
    as the difference of two that are not negative,

    .. math:: \min_x f(x) + \sum_j \lambda_j |x_j|
              = \min_{u, v \ge 0} f(u - v) + \sum_j \lambda_j (u_j + v_j),

    and a coordinate whose two parts both rest at their bound is exactly zero.

    Parameters
    ----------
    memory : int, default=10
        How many changes of the gradient are remembered, at least 1.
    max_line_search : int, default=50
        How many evaluations one search along a direction may take, at least 1.

    Notes
    -----
    The solver is ``scipy.optimize.minimize(method="L-BFGS-B")``, with the tolerances that
    scikit-learn's ``LogisticRegression`` gives it. It has no learning rate.

    References
    ----------
    R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound constrained
    optimization", 1995. G. Andrew and J. Gao, "Scalable training of L1-regularized log-linear
    models", 2007, section 2.2 (the split into two parts).

    Examples
    --------
    The minimum of (x - 3)^2 / 2 is at 3, with ``|x|`` added at 2, with ``5 |x|`` exactly at 0:

    >>> import numpy as np
    >>> from skgd.optimizers import LBFGS
    >>> def fun(x):
    ...     return 0.5 * np.sum((x - 3) ** 2), x - 3
    >>> for l1 in (None, np.array([1.0]), np.array([5.0])):
    ...     print(LBFGS().solve(fun, np.ones(1), max_iter=100, tol=1e-8, l1=l1).x.round(6))
    [3.]
    [2.]
    [0.]
    """

    # The line search finds the length of the step itself, from values of one and the same
    # function.
    scale_free: bool = True
    full_batch_only: bool = True

    def __init__(self, memory=10, max_line_search=50):
        self.memory = memory
        self.max_line_search = max_line_search

    def check(self) -> None:
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("memory", self.memory, low=1, integer=True)
        check_number("max_line_search", self.max_line_search, low=1, integer=True)

    def __call__(self, fun: Any, x0: Any, args: Any = (), **given: Any) -> OptimizeResult:
        """Minimise `fun`, as the `method` of ``scipy.optimize.minimize``.

        Parameters
        ----------
        fun, x0, args
            As in SciPy.
        **given
            The other arguments of SciPy, as for `Optimizer`; "learning_rate" has no effect.

        Returns
        -------
        result : OptimizeResult
            That of `skgd.minimize`.

        Examples
        --------
        >>> from scipy.optimize import minimize
        >>> from skgd.optimizers import LBFGS
        >>> minimize(lambda x: (x[0] - 3) ** 2, [0.0], method=LBFGS()).x.round(4)
        array([3.])
        """
        from skgd.minimization.scipy_method import minimize_as_method

        return minimize_as_method(self, fun, x0, args, **given)

    def solve(
        self,
        fun: Callable[[np.ndarray], tuple[float, np.ndarray]],
        x0: np.ndarray,
        *,
        max_iter: int,
        tol: float | None,
        l1: np.ndarray | None = None,
        bounds: np.ndarray | None = None,
        callback: Callable[[np.ndarray, float], Any] | None = None,
    ) -> OptimizeResult:
        """Minimise ``fun(x) + sum(l1 * abs(x))``.

        Parameters
        ----------
        fun : callable
            ``fun(x) -> (value, gradient)``, of the smooth part, in float64.
        x0 : ndarray of shape (n,)
            Where to start; it is not changed.
        max_iter : int
            The most iterations.
        tol : float or None
            Stop when no component of the (projected) gradient is larger, or when the value moves
            by rounding alone. None goes on until no lower value is found.
        l1 : ndarray of shape (n,), default=None
            Strength of the L1 term per coordinate, 0 where there is none.
        bounds : ndarray of shape (n, 2), default=None
            Lower and upper bound of each coordinate, infinite where there is none; `x0` is within.
        callback : callable, default=None
            ``callback(x, value)`` after each iteration, with the value including the L1 term.
            A StopIteration ends the search, as in SciPy; any other exception goes on up.

        Returns
        -------
        result : OptimizeResult
            x, fun (with the L1 term), jac (the gradient; with an L1 term, the subgradient of least
            norm), nit, nfev, njev, status, success, message.
        """
        x0 = np.array(x0, dtype=np.float64)
        problem = _Smooth(fun) if l1 is None else _Split(fun, np.asarray(l1, dtype=np.float64))

        def after_iteration(intermediate_result):
            if callback is not None:
                callback(*problem.merge(intermediate_result.x, intermediate_result.fun))

        result = minimize(
            problem,
            problem.start(x0),
            method="L-BFGS-B",
            jac=True,
            bounds=problem.bounds(x0.size, bounds),
            callback=None if callback is None else after_iteration,
            options={
                "maxiter": int(max_iter),
                "maxfun": 2**31 - 1,  # max_iter alone is the limit
                "maxcor": int(self.memory),
                "maxls": int(self.max_line_search),
                "gtol": 0.0 if tol is None else float(tol),
                "ftol": 0.0 if tol is None else 64 * np.finfo(np.float64).eps,
            },
        )
        x, value = problem.merge(result.x, result.fun)
        status, success, message = result.status, result.success, result.message
        # Without a tolerance, a line search that finds nothing lower is the end that was asked
        # for. SciPy calls it abnormal (status 2).
        if tol is None and status == 2 and np.isfinite(value):
            status, success, message = 0, True, "no lower value within the machine's precision"
        return OptimizeResult(
            x=x,
            fun=value,
            jac=problem.subgradient(x, result.jac),
            nit=result.nit,
            nfev=result.nfev,
            njev=result.njev,
            status=status,
            success=success,
            message=message,
        )


class _Smooth:
    """The problem as it is."""

    def __init__(self, fun):
        self.fun = fun

    def __call__(self, x):
        return self.fun(x)

    def start(self, x0):
        return x0

    def bounds(self, n, bounds):
        return bounds

    def merge(self, x, value):
        return x.copy(), float(value)

    def subgradient(self, x, gradient):
        return gradient


class _Split:
    """The problem over z = (u, v): x = u, less v where there is an L1 term."""

    def __init__(self, fun, l1):
        self.fun = fun
        self.where = np.flatnonzero(l1)
        self.strength = l1[self.where]

    def __call__(self, z):
        x = self._difference(z)
        value, gradient = self.fun(x)
        n, where = len(x), self.where
        out = np.concatenate([gradient, self.strength - gradient[where]])
        out[where] += self.strength
        return value + self.strength @ (z[where] + z[n:]), out

    def start(self, x0):
        z = np.concatenate([x0, np.maximum(-x0[self.where], 0.0)])
        z[self.where] = np.maximum(x0[self.where], 0.0)
        return z

    def bounds(self, n, bounds):
        """Bounds of both parts: x is within its own if u is within their positive part, v theirs.

        For 0 in [low, high]: u in [0, high], v in [0, -low]. Else one of them is fixed at 0.
        """
        if bounds is None:
            bounds = np.tile([-np.inf, np.inf], (n, 1))
        split = np.concatenate([bounds, -bounds[self.where, ::-1]])
        split[self.where] = np.maximum(split[self.where], 0.0)
        split[n:] = np.maximum(split[n:], 0.0)
        return split

    def merge(self, z, value):
        """Return x and its value: where both parts are positive, |u - v| is less than u + v."""
        x = self._difference(z)
        n, where = len(x), self.where
        excess = z[where] + z[n:] - np.abs(x[where])
        return x, float(value - self.strength @ excess)

    def subgradient(self, x, gradient):
        """Return the subgradient of least norm, from the gradient by u, which is g + l1."""
        out = gradient[: len(x)].copy()
        smooth = out[self.where] - self.strength
        at_zero = np.sign(smooth) * np.maximum(np.abs(smooth) - self.strength, 0.0)
        sign = np.sign(x[self.where])
        out[self.where] = np.where(sign == 0, at_zero, smooth + sign * self.strength)
        return out

    def _difference(self, z):
        x = z[: z.size - self.where.size].copy()
        x[self.where] -= z[x.size :]
        return x
