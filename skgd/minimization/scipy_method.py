"""An optimizer as `method` of ``scipy.optimize.minimize``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scipy.optimize import OptimizeResult

from skgd._component import check_choice
from skgd.gradients import Numeric
from skgd.minimization.minimizer import minimize
from skgd.optimizers import LBFGS, Optimizer


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
