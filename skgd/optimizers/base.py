"""What an optimizer is: a state, and a rule that changes theta in place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from skgd._component import Component

State = dict[str, Any]


class Optimizer(Component, ABC):
    """What an optimizer is: a state, and a rule that turns a gradient into the next theta.

    An optimizer holds settings only; what it remembers from step to step is the state, a dict of
    numbers and of arrays of theta's shape and dtype. It may be pickled and taken up again: the
    steps that follow are the same to the last bit. The one entry without memory is "scratch",
    space that `update` makes at its first step so that later steps allocate nothing; remove it
    (``state.pop("scratch", None)``) before the state is kept.
    """

    # Names of the arrays that the rule remembers. They are zero before the first step.
    memory: tuple[str, ...] = ()

    # True when the step does not grow with the gradient: a rate that suits one problem then has
    # the right order of magnitude for the next, whatever the units of its loss.
    scale_free: bool = False

    # True for a scale_free rule whose first steps do grow with the gradient.
    starts_plain: bool = False

    # What learning_rate="auto" takes for a linear model and for a network, in coordinates in
    # which inputs, outputs and J are of order one; `skgd.schedules.rates` says in which units.
    linear_rate: float = 0.1
    network_rate: float = 0.003

    # True when the steps become shorter by themselves, however long they are needed.
    slows_down: bool = False

    # True when the rule compares one gradient with the next, so that both must belong to the same
    # function. The gradients of two mini-batches do not.
    full_batch_only: bool = False

    def init(self, theta: np.ndarray) -> State:
        """Return the state before the first step.

        Parameters
        ----------
        theta : ndarray
            The parameters; only shape and dtype count.

        Returns
        -------
        state : dict
            "t", the number of steps taken, and the arrays of `memory`.
        """
        return {"t": 0} | {name: np.zeros_like(theta) for name in self.memory}

    def __call__(self, fun: Any, x0: Any, args: Any = (), **given: Any) -> Any:
        """Minimise `fun`, as the `method` of ``scipy.optimize.minimize``.

        Parameters
        ----------
        fun, x0, args
            As in SciPy.
        **given
            The other arguments of SciPy. `jac` is a function, True if `fun` returns
            ``(value, gradient)``, or None for back-propagation; `options` are the parameters of
            `skgd.minimize`: "gradient", "learning_rate", "schedule", "max_iter" (or "maxiter")
            and "tol". SciPy hands ``jac="2-point"`` over as None; for differences use
            ``options={"gradient": "numeric"}``.

        Returns
        -------
        result : scipy.optimize.OptimizeResult
            That of `skgd.minimize`.

        Raises
        ------
        ValueError
            An option is unknown, or the problem has bounds, constraints or a Hessian.

        Examples
        --------
        >>> from scipy.optimize import minimize
        >>> from skgd.optimizers import Adam
        >>> minimize(lambda x: (x[0] - 3) ** 2, [0.0], method=Adam(),
        ...          options={"learning_rate": 0.1}).x.round(4)
        array([3.])
        """
        from skgd.minimization.scipy_method import minimize_as_method

        return minimize_as_method(self, fun, x0, args, **given)

    @abstractmethod
    def update(
        self,
        theta: np.ndarray,
        grad: np.ndarray,
        state: State,
        learning_rate: float,
        *,
        momentum: float | None = None,
        decay_mask: np.ndarray | None = None,
    ) -> None:
        """Take one step: change `theta` and `state` in place.

        Parameters
        ----------
        theta : ndarray
            The parameters.
        grad : ndarray of theta's shape and dtype
            The gradient at theta; it is not changed.
        state : dict
            What `init` returned and earlier steps changed.
        learning_rate : float
            The rate of this step.
        momentum : float, default=None
            Replaces the rule's momentum (beta_1 where it is called so) for this step, as
            one-cycle schedules ask for. Rules without momentum ignore it.
        decay_mask : ndarray of bool, default=None
            Where decoupled weight decay applies: the weights, not the intercepts. None is
            everywhere. Rules without such decay ignore it.
        """
