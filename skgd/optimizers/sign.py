"""Rules that keep the sign of the gradient alone."""

from __future__ import annotations

import numpy as np

from skgd._component import check_number
from skgd.optimizers.arithmetic import _average, _check_decay, _decay_weights, _descend, _scratch
from skgd.optimizers.base import Optimizer


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
