"""The Adam family: momentum, divided by the size of each coordinate's gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from skgd._component import check_number
from skgd.optimizers.arithmetic import (
    _average,
    _average_square,
    _check_decay,
    _check_epsilon,
    _decay_weights,
    _descend,
    _descend_by_ratio,
    _root,
    _scratch,
)
from skgd.optimizers.base import Optimizer, State


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


def _check_adam(settings: Any) -> None:
    _check_decay("beta_1", settings.beta_1)
    _check_decay("beta_2", settings.beta_2)
    _check_epsilon(settings.epsilon)
