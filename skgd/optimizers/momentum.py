"""Steps along the gradient, and along what is remembered of it: no size is learned."""

from __future__ import annotations

import numpy as np

from skgd.optimizers.arithmetic import _check_decay, _descend, _scratch
from skgd.optimizers.base import Optimizer


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
