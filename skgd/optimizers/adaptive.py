"""Rules that divide by the size that each coordinate's gradients have had."""

from __future__ import annotations

import numpy as np

from skgd._component import check_bool, check_number
from skgd.optimizers.arithmetic import (
    _average,
    _average_square,
    _check_decay,
    _check_epsilon,
    _descend,
    _descend_by_ratio,
    _root,
    _scratch,
)
from skgd.optimizers.base import Optimizer


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
