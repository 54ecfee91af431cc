r"""Optimizers: the part that learns.

A gradient says which way is uphill, and nothing more; whoever computes it (by a formula, by
back-propagation, by measurement) has learned nothing yet. The optimizer is what learns: it turns
a gradient into the next theta. All rules here are variations of the first one,

    theta <- theta - learning_rate * gradient,

and they are sorted from simple to complex. `SGD` is that line. `Momentum` and `Nesterov` remember
where they were going. `Adagrad`, `Adadelta` and `RMSprop` divide by the size that each
coordinate's gradients have had. The Adam family does both. `Lion` and `Rprop` keep the sign of
the gradient alone. `LBFGS`, last, is no update rule at all: it is a solver that asks for as many
gradients as it needs.

Where torch.optim and other libraries differ, the rule and its defaults are those of torch.optim.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from skgd._component import Component, check_bool, check_number, resolve
from skgd.optimizers.lbfgs import LBFGS

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
        from skgd.minimization.minimizer import minimize_as_method

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


class SGD(Optimizer):
    r"""Plain gradient descent.

    .. math:: \theta \leftarrow \theta - \gamma g

    Notes
    -----
    As ``torch.optim.SGD``. With gradients of mini-batches it is stochastic gradient descent,
    with those of the full batch it is the method of steepest descent with a fixed rate.

    References
    ----------
    A.-L. Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées",
    1847. H. Robbins and S. Monro, "A stochastic approximation method", 1951.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import SGD
    >>> theta, optimizer = np.array([1.0]), SGD()
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.900000000
    0.810000000
    0.729000000
    """

    linear_rate = 1.0
    network_rate = 0.06

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        (work,) = _scratch(state, theta, 1)
        state["t"] += 1
        _descend(theta, learning_rate, grad, work)


class Momentum(Optimizer):
    r"""The heavy ball: a step remembers a part of the one before.

    .. math:: b \leftarrow \mu b + g, \qquad \theta \leftarrow \theta - \gamma b

    Parameters
    ----------
    momentum : float, default=0.9
        The part :math:`\mu` that is kept, in [0, 1).

    Notes
    -----
    As ``torch.optim.SGD(momentum=...)`` without dampening: where the gradient stays the same,
    the steps grow to :math:`1 / (1 - \mu)` times those of `SGD`.

    References
    ----------
    B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    D. E. Rumelhart, G. E. Hinton and R. J. Williams, "Learning representations by
    back-propagating errors", 1986, equation 9.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import Momentum
    >>> theta, optimizer = np.array([1.0]), Momentum(momentum=0.9)
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.900000000
    0.720000000
    0.486000000
    """

    linear_rate = 0.3
    network_rate = 0.03
    memory = ("b",)

    def __init__(self, momentum=0.9):
        self.momentum = momentum

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_decay("momentum", self.momentum)

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        mu = self.momentum if momentum is None else momentum
        (work,) = _scratch(state, theta, 1)
        state["t"] += 1
        b = state["b"]
        b *= float(mu)
        b += grad
        _descend(theta, learning_rate, b, work)


class Nesterov(Optimizer):
    r"""Momentum that looks ahead: the step is the one momentum would take next.

    .. math:: b \leftarrow \mu b + g, \qquad \theta \leftarrow \theta - \gamma (g + \mu b)

    Parameters
    ----------
    momentum : float, default=0.9
        The part :math:`\mu` that is kept, in [0, 1).

    Notes
    -----
    As ``torch.optim.SGD(momentum=..., nesterov=True)``: theta is the point that looks ahead, so
    that the gradient is needed there only.

    References
    ----------
    Y. Nesterov, "A method for solving the convex programming problem with convergence rate
    O(1/k^2)", 1983. I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of
    initialization and momentum in deep learning", 2013.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import Nesterov
    >>> theta, optimizer = np.array([1.0]), Nesterov(momentum=0.9)
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.810000000
    0.575100000
    0.327321000
    """

    linear_rate = 0.3
    network_rate = 0.03
    memory = ("b",)

    def __init__(self, momentum=0.9):
        self.momentum = momentum

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_decay("momentum", self.momentum)

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        mu = self.momentum if momentum is None else momentum
        (work,) = _scratch(state, theta, 1)
        state["t"] += 1
        b = state["b"]
        b *= float(mu)
        b += grad
        np.multiply(b, float(mu), out=work)
        work += grad
        _descend(theta, learning_rate, work, work)


class Adagrad(Optimizer):
    r"""Each coordinate gets a rate of its own, which falls as its gradients add up.

    .. math:: s \leftarrow s + g^2, \qquad
              \theta \leftarrow \theta - \gamma \frac{g}{\sqrt{s} + \epsilon}

    Parameters
    ----------
    epsilon : float, default=1e-10
        Keeps the quotient finite while a coordinate's gradients are zero; above 0.
    initial_accumulator_value : float, default=0
        What s starts at; 0 or more.

    Notes
    -----
    As ``torch.optim.Adagrad`` without lr_decay.

    References
    ----------
    J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and
    stochastic optimization", 2011.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import Adagrad
    >>> theta, optimizer = np.array([1.0]), Adagrad()
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.900000000
    0.833103527
    0.780456181
    """

    linear_rate = 1.0
    network_rate = 0.03
    memory = ("s",)
    scale_free = True
    slows_down = True

    def __init__(self, epsilon=1e-10, initial_accumulator_value=0):
        self.epsilon = epsilon
        self.initial_accumulator_value = initial_accumulator_value

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_epsilon(self.epsilon)
        check_number("initial_accumulator_value", self.initial_accumulator_value, low=0)

    def init(self, theta):
        """Return the state before the first step."""
        state = super().init(theta)
        state["s"].fill(self.initial_accumulator_value)
        return state

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        root, work = _scratch(state, theta, 2)
        state["t"] += 1
        s = state["s"]
        np.multiply(grad, grad, out=work)
        s += work
        _root(s, self.epsilon, out=root)
        _descend_by_ratio(theta, learning_rate, grad, root, work)


class Adadelta(Optimizer):
    r"""The step has the units of theta: its size follows from that of the steps before.

    .. math:: v &\leftarrow \rho v + (1 - \rho) g^2 \\
              \Delta &= \frac{\sqrt{u + \epsilon}}{\sqrt{v + \epsilon}} g \\
              u &\leftarrow \rho u + (1 - \rho) \Delta^2 \\
              \theta &\leftarrow \theta - \gamma \Delta

    Parameters
    ----------
    rho : float, default=0.9
        How much of the averages v and u is kept, in [0, 1).
    epsilon : float, default=1e-6
        Sets the size of the first steps; above 0.

    Notes
    -----
    As ``torch.optim.Adadelta``. The rate that belongs to the rule is 1; 0.001, which suits Adam,
    hardly moves it.

    References
    ----------
    M. D. Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import Adadelta
    >>> theta, optimizer = np.array([1.0]), Adadelta()
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=1.0)
    ...     print(f"{theta[0]:.9f}")
    0.996837738
    0.993598198
    0.990309083
    """

    linear_rate = 2.0
    network_rate = 1.0
    memory = ("v", "u")
    scale_free = True

    def __init__(self, rho=0.9, epsilon=1e-6):
        self.rho = rho
        self.epsilon = epsilon

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_decay("rho", self.rho)
        _check_epsilon(self.epsilon)

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        delta, work = _scratch(state, theta, 2)
        state["t"] += 1
        v, u = state["v"], state["u"]
        _average_square(v, grad, self.rho, work)
        np.add(u, float(self.epsilon), out=delta)
        np.add(v, float(self.epsilon), out=work)
        delta /= work
        np.sqrt(delta, out=delta)
        delta *= grad
        _average_square(u, delta, self.rho, work)
        _descend(theta, learning_rate, delta, work)


class RMSprop(Optimizer):
    r"""Divides the gradient by the root of its mean square in recent steps.

    .. math:: v \leftarrow \rho v + (1 - \rho) g^2, \qquad
              \theta \leftarrow \theta - \gamma \frac{g}{\sqrt{v} + \epsilon}

    Parameters
    ----------
    rho : float, default=0.99
        How much of the average v is kept (torch calls it alpha), in [0, 1).
    epsilon : float, default=1e-8
        Keeps the quotient finite where the gradients are zero; above 0.
    momentum : float, default=0.0
        If above 0, the quotient passes through `Momentum`'s b; in [0, 1).
    centered : bool, default=False
        Whether the square of the mean gradient is taken from v, which leaves the variance.

    Notes
    -----
    As ``torch.optim.RMSprop``: epsilon is added to the root, not under it. With ``momentum=0``
    the rule has no momentum that a schedule could replace.

    References
    ----------
    T. Tieleman and G. Hinton, "Lecture 6.5: rmsprop", Coursera, 2012. A. Graves, "Generating
    sequences with recurrent neural networks", 2013, equations 38 to 41 (centered).

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import RMSprop
    >>> theta, optimizer = np.array([1.0]), RMSprop()
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9e}")
    9.999999040e-08
    -5.037713765e-10
    5.088548363e-12
    """

    linear_rate = 0.05
    network_rate = 0.002
    memory = ("v",)
    scale_free = True

    def __init__(self, rho=0.99, epsilon=1e-8, momentum=0.0, centered=False):
        self.rho = rho
        self.epsilon = epsilon
        self.momentum = momentum
        self.centered = centered

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_decay("rho", self.rho)
        _check_epsilon(self.epsilon)
        _check_decay("momentum", self.momentum)
        check_bool("centered", self.centered)

    def init(self, theta):
        """Return the state before the first step."""
        state = super().init(theta)
        if self.centered:
            state["m"] = np.zeros_like(theta)
        if self.momentum > 0:
            state["b"] = np.zeros_like(theta)
        return state

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        root, work = _scratch(state, theta, 2)
        state["t"] += 1
        v = state["v"]
        _average_square(v, grad, self.rho, work)
        if self.centered:
            m = state["m"]
            _average(m, grad, self.rho, work)
            np.multiply(m, m, out=work)
            np.subtract(v, work, out=work)
            # Where the gradient is constant, v - m^2 is zero and rounding may take it below.
            np.maximum(work, 0.0, out=work)
            _root(work, self.epsilon, out=root)
        else:
            _root(v, self.epsilon, out=root)
        if self.momentum > 0:
            b = state["b"]
            b *= float(self.momentum if momentum is None else momentum)
            np.divide(grad, root, out=work)
            b += work
            _descend(theta, learning_rate, b, work)
        else:
            _descend_by_ratio(theta, learning_rate, grad, root, work)


class Adam(Optimizer):
    r"""Momentum over a mean square, both freed of the bias of their start at zero.

    .. math:: m &\leftarrow \beta_1 m + (1 - \beta_1) g, \quad \hat m = m / (1 - \beta_1^t) \\
              v &\leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad \hat v = v / (1 - \beta_2^t) \\
              \theta &\leftarrow \theta - \gamma \frac{\hat m}{\sqrt{\hat v} + \epsilon}

    Parameters
    ----------
    beta_1 : float, default=0.9
        How much of the mean m is kept, in [0, 1).
    beta_2 : float, default=0.999
        How much of the mean square v is kept, in [0, 1).
    epsilon : float, default=1e-8
        Keeps the quotient finite where the gradients are zero; above 0.

    Notes
    -----
    As ``torch.optim.Adam``.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import Adam
    >>> theta, optimizer = np.array([1.0]), Adam()
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.900000001
    0.800412230
    0.701586275
    """

    linear_rate = 0.15
    network_rate = 0.003
    memory = ("m", "v")
    scale_free = True

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_adam(self)

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        beta_1 = self.beta_1 if momentum is None else momentum
        _adam_averages(state, grad, beta_1, self.beta_2)
        _adam_step(theta, state, state["v"], learning_rate, beta_1, self)


class AMSGrad(Optimizer):
    r"""Adam whose mean square never forgets its maximum, so that no coordinate's rate rises.

    .. math:: m &\leftarrow \beta_1 m + (1 - \beta_1) g, \quad
              v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
              v_{max} \leftarrow \max(v_{max}, v) \\
              \theta &\leftarrow \theta - \gamma \frac{m / (1 - \beta_1^t)}
                        {\sqrt{v_{max} / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    beta_1 : float, default=0.9
        How much of the mean m is kept, in [0, 1).
    beta_2 : float, default=0.999
        How much of the mean square v is kept, in [0, 1).
    epsilon : float, default=1e-8
        Keeps the quotient finite where the gradients are zero; above 0.

    Notes
    -----
    As ``torch.optim.Adam(amsgrad=True)``: the maximum is taken of the raw v, and corrected for
    the bias after. (The paper corrects neither.)

    References
    ----------
    S. J. Reddi, S. Kale and S. Kumar, "On the convergence of Adam and beyond", 2018,
    algorithm 2.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import AMSGrad
    >>> theta, optimizer = np.array([1.0]), AMSGrad()
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.900000001
    0.800412230
    0.701586275
    """

    linear_rate = 0.15
    network_rate = 0.003
    memory = ("m", "v", "v_max")
    scale_free = True

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_adam(self)

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        beta_1 = self.beta_1 if momentum is None else momentum
        _adam_averages(state, grad, beta_1, self.beta_2)
        v_max = state["v_max"]
        np.maximum(v_max, state["v"], out=v_max)
        _adam_step(theta, state, v_max, learning_rate, beta_1, self)


class AdamW(Optimizer):
    r"""Adam with weight decay that does not pass through the quotient.

    .. math:: \theta \leftarrow (1 - \gamma \lambda) \theta, \qquad
              \text{then as Adam.}

    Parameters
    ----------
    beta_1 : float, default=0.9
        How much of the mean m is kept, in [0, 1).
    beta_2 : float, default=0.999
        How much of the mean square v is kept, in [0, 1).
    epsilon : float, default=1e-8
        Keeps the quotient finite where the gradients are zero; above 0.
    weight_decay : float, default=1e-2
        The decay :math:`\lambda`, 0 or more. It comes on top of a penalty in the objective,
        which Adam would divide by the root of v like the rest of the gradient.

    Notes
    -----
    As ``torch.optim.AdamW``. The decay leaves out what `decay_mask` leaves out: the intercepts.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", 2019, algorithm 2.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import AdamW
    >>> theta, optimizer = np.array([1.0]), AdamW(weight_decay=1e-2)
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.899000001
    0.798519028
    0.698911185
    """

    linear_rate = 0.15
    network_rate = 0.003
    memory = ("m", "v")
    scale_free = True

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=1e-2):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.weight_decay = weight_decay

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_adam(self)
        check_number("weight_decay", self.weight_decay, low=0)

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        beta_1 = self.beta_1 if momentum is None else momentum
        _decay_weights(theta, learning_rate * self.weight_decay, decay_mask)
        _adam_averages(state, grad, beta_1, self.beta_2)
        _adam_step(theta, state, state["v"], learning_rate, beta_1, self)


class NAdam(Optimizer):
    r"""Adam with Nesterov's look ahead, and a momentum that warms up.

    .. math:: \mu_t &= \beta_1 (1 - 0.96^{t \psi} / 2), \quad
              m, v, \hat v \text{ as in Adam} \\
              \hat m &= \frac{\mu_{t+1} m}{1 - \prod_{i \le t+1} \mu_i}
                      + \frac{(1 - \mu_t) g}{1 - \prod_{i \le t} \mu_i} \\
              \theta &\leftarrow \theta - \gamma \frac{\hat m}{\sqrt{\hat v} + \epsilon}

    Parameters
    ----------
    beta_1 : float, default=0.9
        How much of the mean m is kept, in [0, 1).
    beta_2 : float, default=0.999
        How much of the mean square v is kept, in [0, 1).
    epsilon : float, default=1e-8
        Keeps the quotient finite where the gradients are zero; above 0.
    momentum_decay : float, default=4e-3
        How fast :math:`\mu_t` warms up, the :math:`\psi` of the formula; 0 or more.

    Notes
    -----
    As ``torch.optim.NAdam``.

    References
    ----------
    T. Dozat, "Incorporating Nesterov momentum into Adam", 2016.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import NAdam
    >>> theta, optimizer = np.array([1.0]), NAdam()
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.894354823
    0.819973072
    0.752729268
    """

    linear_rate = 0.1
    network_rate = 0.003
    memory = ("m", "v")
    scale_free = True

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8, momentum_decay=4e-3):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.momentum_decay = momentum_decay

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_adam(self)
        check_number("momentum_decay", self.momentum_decay, low=0)

    def init(self, theta):
        """Return the state before the first step."""
        return super().init(theta) | {"mu_product": 1.0}

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        beta_1 = self.beta_1 if momentum is None else momentum
        root, work = _scratch(state, theta, 2)
        _adam_averages(state, grad, beta_1, self.beta_2)
        t = state["t"]
        mu, mu_next = (
            float(beta_1 * (1 - 0.5 * 0.96 ** (i * self.momentum_decay))) for i in (t, t + 1)
        )
        product = state["mu_product"] = state["mu_product"] * mu

        np.multiply(state["m"], mu_next / (1 - product * mu_next), out=work)
        np.multiply(grad, (1 - mu) / (1 - product), out=root)
        work += root
        correction = math.sqrt(1 - self.beta_2**t)
        _root(state["v"], self.epsilon * correction, out=root)
        _descend_by_ratio(theta, learning_rate * correction, work, root, work)


class RAdam(Optimizer):
    r"""Adam that waits to divide by the root of v until v is known well enough.

    .. math:: \rho_\infty &= 2 / (1 - \beta_2) - 1, \quad
              \rho_t = \rho_\infty - 2 t \beta_2^t / (1 - \beta_2^t) \\
              r_t &= \sqrt{\frac{(\rho_t - 4) (\rho_t - 2) \rho_\infty}
                       {(\rho_\infty - 4) (\rho_\infty - 2) \rho_t}} \\
              \theta &\leftarrow \theta - \gamma \hat m \cdot
              \begin{cases} r_t \sqrt{1 - \beta_2^t} / (\sqrt{v} + \epsilon)
              & \rho_t > 5 \\ 1 & \text{else} \end{cases}

    Parameters
    ----------
    beta_1 : float, default=0.9
        How much of the mean m is kept, in [0, 1).
    beta_2 : float, default=0.999
        How much of the mean square v is kept, in [0, 1).
    epsilon : float, default=1e-8
        Keeps the quotient finite where the gradients are zero; above 0.

    Notes
    -----
    As ``torch.optim.RAdam``: epsilon is added before the bias is corrected. The first steps (five
    with the default beta_2) are those of momentum and do grow with the gradient.

    References
    ----------
    L. Liu, H. Jiang, P. He, W. Chen, X. Liu, J. Gao and J. Han, "On the variance of the adaptive
    learning rate and beyond", 2020, algorithm 2.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import RAdam
    >>> theta, optimizer = np.array([1.0]), RAdam()
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.900000000
    0.805263158
    0.715770052
    """

    linear_rate = 0.15
    network_rate = 0.006
    memory = ("m", "v")
    scale_free = True
    starts_plain = True

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_adam(self)

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        beta_1 = self.beta_1 if momentum is None else momentum
        root, work = _scratch(state, theta, 2)
        _adam_averages(state, grad, beta_1, self.beta_2)
        t, m, v = state["t"], state["m"], state["v"]
        rate = learning_rate / (1 - beta_1**t)

        rho_inf = 2 / (1 - self.beta_2) - 1
        beta_2_t = self.beta_2**t
        rho = rho_inf - 2 * t * beta_2_t / (1 - beta_2_t)
        if rho <= 5:
            _descend(theta, rate, m, work)
            return
        rectified = math.sqrt(
            (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        )
        _root(v, self.epsilon, out=root)
        _descend_by_ratio(theta, rate * rectified * math.sqrt(1 - beta_2_t), m, root, work)


class Adamax(Optimizer):
    r"""Adam with the largest recent gradient in place of the root of the mean square.

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
              u \leftarrow \max(\beta_2 u, |g| + \epsilon), \quad
              \theta \leftarrow \theta - \frac{\gamma}{1 - \beta_1^t} \frac{m}{u}

    Parameters
    ----------
    beta_1 : float, default=0.9
        How much of the mean m is kept, in [0, 1).
    beta_2 : float, default=0.999
        How much of the largest gradient u is kept, in [0, 1).
    epsilon : float, default=1e-8
        Keeps the quotient finite where the gradients are zero; above 0.

    Notes
    -----
    As ``torch.optim.Adamax``, which adds the epsilon that the paper does without.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", 2015, algorithm 2.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import Adamax
    >>> theta, optimizer = np.array([1.0]), Adamax()
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.900000001
    0.805168328
    0.715499475
    """

    linear_rate = 0.2
    network_rate = 0.006
    memory = ("m", "u")
    scale_free = True

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_adam(self)

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        beta_1 = self.beta_1 if momentum is None else momentum
        (work,) = _scratch(state, theta, 1)
        state["t"] += 1
        m, u = state["m"], state["u"]
        _average(m, grad, beta_1, work)
        np.abs(grad, out=work)
        work += float(self.epsilon)
        u *= float(self.beta_2)
        np.maximum(u, work, out=u)
        _descend_by_ratio(theta, learning_rate / (1 - beta_1 ** state["t"]), m, u, work)


class Lion(Optimizer):
    r"""Moves every coordinate by the same amount: by the sign of a momentum.

    .. math:: \theta &\leftarrow \theta - \gamma (\mathrm{sign}(\beta_1 m + (1 - \beta_1) g)
                        + \lambda \theta) \\
              m &\leftarrow \beta_2 m + (1 - \beta_2) g

    Parameters
    ----------
    beta_1 : float, default=0.9
        How much of m the step looks at, in [0, 1).
    beta_2 : float, default=0.99
        How much of m is kept, in [0, 1).
    weight_decay : float, default=0.0
        The decoupled decay :math:`\lambda`, 0 or more.

    Notes
    -----
    Steps are as large as the rate, whatever the gradient: rates 3 to 10 times smaller, and
    decays as many times larger, than those of `AdamW` are usual. The decay leaves out what
    `decay_mask` leaves out: the intercepts.

    References
    ----------
    X. Chen et al., "Symbolic discovery of optimization algorithms", 2023, algorithm 2.

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import Lion
    >>> theta, optimizer = np.array([1.0]), Lion()
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.900000000
    0.800000000
    0.700000000
    """

    linear_rate = 0.01
    network_rate = 0.001
    memory = ("m",)
    scale_free = True

    def __init__(self, beta_1=0.9, beta_2=0.99, weight_decay=0.0):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.weight_decay = weight_decay

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_decay("beta_1", self.beta_1)
        _check_decay("beta_2", self.beta_2)
        check_number("weight_decay", self.weight_decay, low=0)

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        beta_1 = self.beta_1 if momentum is None else momentum
        direction, work = _scratch(state, theta, 2)
        state["t"] += 1
        m = state["m"]
        _decay_weights(theta, learning_rate * self.weight_decay, decay_mask)
        np.copyto(direction, m)
        _average(direction, grad, beta_1, work)
        # Into another array: in place, np.sign is ten times slower.
        np.sign(direction, out=work)
        _descend(theta, learning_rate, work, work)
        _average(m, grad, self.beta_2, work)


class Rprop(Optimizer):
    r"""Each coordinate's step grows while the gradient's sign lasts and shrinks when it turns.

    .. math:: \eta &\leftarrow \mathrm{clip}(\eta \cdot
              \begin{cases} \eta^+ & g g_{old} > 0 \\ \eta^- & g g_{old} < 0 \\
              1 & \text{else} \end{cases}, \eta_{min}, \eta_{max}) \\
              g &\leftarrow 0 \text{ where } g g_{old} < 0, \quad
              \theta \leftarrow \theta - \eta \, \mathrm{sign}(g)

    Parameters
    ----------
    eta_minus : float, default=0.5
        What a step is multiplied by when the sign turned, in (0, 1).
    eta_plus : float, default=1.2
        What a step is multiplied by when the sign lasted, above 1.
    step_min, step_max : float, default=1e-6, 50
        The smallest and the largest step, above 0.

    Notes
    -----
    As ``torch.optim.Rprop``: after a turn a coordinate rests for one step; it does not go back.
    The learning rate is the size of the first step and plays no part after it. The gradients of
    two mini-batches differ in sign by chance, so the rule is for the full batch.

    References
    ----------
    M. Riedmiller and H. Braun, "A direct adaptive method for faster backpropagation learning: the
    RPROP algorithm", 1993. C. Igel and M. Hüsken, "Improving the Rprop learning algorithm", 2000
    (the variant without backtracking, iRprop-).

    Examples
    --------
    Three steps on J = theta^2 / 2, whose gradient is theta:

    >>> import numpy as np
    >>> from skgd.optimizers import Rprop
    >>> theta, optimizer = np.array([1.0]), Rprop()
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):
    ...     optimizer.update(theta, theta.copy(), state, learning_rate=0.1)
    ...     print(f"{theta[0]:.9f}")
    0.900000000
    0.780000000
    0.636000000
    """

    linear_rate = 0.1
    network_rate = 0.003
    memory = ("eta", "sign")
    scale_free = True
    full_batch_only = True

    def __init__(self, eta_minus=0.5, eta_plus=1.2, step_min=1e-6, step_max=50):
        self.eta_minus = eta_minus
        self.eta_plus = eta_plus
        self.step_min = step_min
        self.step_max = step_max

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("eta_minus", self.eta_minus, low=0, high=1, include="neither")
        check_number("eta_plus", self.eta_plus, low=1, include="neither")
        check_number("step_min", self.step_min, low=0, include="neither")
        check_number("step_max", self.step_max, low=float(self.step_min))

    def update(self, theta, grad, state, learning_rate, *, momentum=None, decay_mask=None):
        """Take one step: change `theta` and `state` in place."""
        (work,) = _scratch(state, theta, 1)
        eta, sign = state["eta"], state["sign"]
        if state["t"] == 0:
            eta.fill(learning_rate)
        state["t"] += 1
        np.sign(grad, out=work)
        sign *= work  # The old sign times the new one: 1 where it lasted, -1 where it turned.
        turned = sign < 0
        np.multiply(eta, float(self.eta_plus), out=eta, where=sign > 0)
        np.multiply(eta, float(self.eta_minus), out=eta, where=turned)
        np.clip(eta, float(self.step_min), float(self.step_max), out=eta)
        np.copyto(sign, work)
        sign[turned] = 0
        np.multiply(sign, eta, out=work)
        theta -= work


OPTIMIZERS: dict[str, type[Component]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "rmsprop": RMSprop,
    "adam": Adam,
    "amsgrad": AMSGrad,
    "adamw": AdamW,
    "nadam": NAdam,
    "radam": RAdam,
    "adamax": Adamax,
    "lion": Lion,
    "rprop": Rprop,
    "lbfgs": LBFGS,
}


def resolve_optimizer(value: str | Optimizer | LBFGS) -> Optimizer | LBFGS:
    """Turn what the user gave as `optimizer` into an object whose settings are checked.

    Parameters
    ----------
    value : str, Optimizer or LBFGS
        The name of a row of `OPTIMIZERS`, or an object.

    Returns
    -------
    optimizer : Optimizer or LBFGS

    Raises
    ------
    TypeError
        `value` is none of these.
    ValueError
        No row has that name, or a setting is out of its range.

    Examples
    --------
    >>> from skgd.optimizers import resolve_optimizer
    >>> resolve_optimizer("adam")
    Adam()
    """
    solver = value is LBFGS or isinstance(value, LBFGS)
    return resolve("optimizer", value, OPTIMIZERS, LBFGS if solver else Optimizer)


# What the rules share. All of it works in place and in the dtype of the arrays: a setting may come
# as a NumPy scalar from a search, and float() keeps it from turning float32 work into float64.


def _scratch(state: State, theta: np.ndarray, count: int) -> np.ndarray:
    """Return `count` arrays like theta to work in; they hold nothing between steps."""
    scratch = state.get("scratch")
    if scratch is None:
        scratch = state["scratch"] = np.empty((count, *theta.shape), theta.dtype)
    return scratch


def _average(mean: np.ndarray, value: np.ndarray, decay: float, work: np.ndarray) -> None:
    """Set mean to decay * mean + (1 - decay) * value."""
    mean *= float(decay)
    np.multiply(value, float(1 - decay), out=work)
    mean += work


def _average_square(mean: np.ndarray, value: np.ndarray, decay: float, work: np.ndarray) -> None:
    """Set mean to decay * mean + (1 - decay) * value^2."""
    mean *= float(decay)
    np.multiply(value, value, out=work)
    work *= float(1 - decay)
    mean += work


def _root(square: np.ndarray, epsilon: float, out: np.ndarray) -> None:
    """Set out to sqrt(square) + epsilon."""
    np.sqrt(square, out=out)
    out += float(epsilon)


def _descend(theta: np.ndarray, rate: float, direction: np.ndarray, work: np.ndarray) -> None:
    """Subtract rate * direction from theta; `work` may be the direction itself."""
    np.multiply(direction, float(rate), out=work)
    theta -= work


def _descend_by_ratio(
    theta: np.ndarray,
    rate: float,
    numerator: np.ndarray,
    denominator: np.ndarray,
    work: np.ndarray,
) -> None:
    """Subtract rate * numerator / denominator from theta; `work` may be the numerator itself."""
    np.multiply(numerator, float(rate), out=work)
    work /= denominator
    theta -= work


def _decay_weights(theta: np.ndarray, decay: float, mask: np.ndarray | None) -> None:
    """Shrink theta by the factor 1 - decay where the mask is True."""
    if decay:
        np.multiply(theta, float(1 - decay), out=theta, where=True if mask is None else mask)


def _adam_averages(state: State, grad: np.ndarray, beta_1: float, beta_2: float) -> None:
    """Count the step; take the gradient into the mean m and the mean square v."""
    _, work = _scratch(state, grad, 2)
    state["t"] += 1
    _average(state["m"], grad, beta_1, work)
    _average_square(state["v"], grad, beta_2, work)


def _adam_step(
    theta: np.ndarray,
    state: State,
    v: np.ndarray,
    learning_rate: float,
    beta_1: float,
    settings: Any,
) -> None:
    """Subtract learning_rate * m_hat / (sqrt(v_hat) + epsilon) from theta.

    Both corrections of the bias are numbers, so they go to the rate and to epsilon, not through
    the arrays (Kingma and Ba, end of section 2): sqrt(v_hat) + epsilon is
    (sqrt(v) + epsilon * c) / c with c = sqrt(1 - beta_2^t).
    """
    root, work = _scratch(state, theta, 2)
    t = state["t"]
    correction = math.sqrt(1 - settings.beta_2**t)
    _root(v, settings.epsilon * correction, out=root)
    rate = learning_rate * correction / (1 - beta_1**t)
    _descend_by_ratio(theta, rate, state["m"], root, work)


def _check_decay(parameter: str, value: Any) -> None:
    """Check the part of an average that is kept: at 1, it would never take in anything new."""
    check_number(parameter, value, low=0, high=1, include="low")


def _check_epsilon(value: Any) -> None:
    check_number("epsilon", value, low=0, include="neither")


def _check_adam(settings: Any) -> None:
    _check_decay("beta_1", settings.beta_1)
    _check_decay("beta_2", settings.beta_2)
    _check_epsilon(settings.epsilon)
