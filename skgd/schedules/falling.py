"""Schedules that stay, or fall along a formula."""

from __future__ import annotations

import math
import numbers

from skgd._component import check_number
from skgd.schedules.base import (
    _NUDGE,
    Schedule,
    _check_horizon,
    _check_period,
    _cosine,
    _horizon,
    _period,
)


class Constant(Schedule):
    """The rate stays as it is: factor 1.

    Examples
    --------
    >>> from skgd.schedules import Constant
    >>> [Constant()(step, 4) for step in range(4)]
    [1.0, 1.0, 1.0, 1.0]
    """

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        return 1.0


class InvScaling(Schedule):
    """Falls as a power of time: factor 1 / (1 + step / after)^power_t.

    Parameters
    ----------
    power_t : float, default=0.5
        The power, at least 0. Above 1/2 and up to 1, the rates meet the conditions under which
        stochastic approximation converges: their sum is infinite, that of their squares is not.
    after : float, default=1
        Steps after which the fall begins in earnest, above 0: there the factor is 1 / 2^power_t.

    References
    ----------
    H. Robbins and S. Monro, "A stochastic approximation method", 1951. The rule is that of
    ``learning_rate="invscaling"`` in scikit-learn's ``SGDClassifier``; there, time is counted in
    samples, here in steps of the optimizer.

    Examples
    --------
    >>> from skgd.schedules import InvScaling
    >>> [InvScaling()(step, None) for step in (0, 3, 99)]
    [1.0, 0.5, 0.1]
    """

    def __init__(self, power_t=0.5, after=1):
        self.power_t = power_t
        self.after = after

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("power_t", self.power_t, low=0)
        check_number("after", self.after, low=0, include="neither")

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        return float((1 + step / self.after) ** -self.power_t)


class StepDecay(Schedule):
    """Falls in stairs: factor^k after k periods, as ``torch.optim.lr_scheduler.StepLR``.

    Parameters
    ----------
    every : int or float, default=1/3
        Length of a period: a whole number of steps, or a fraction of the horizon, between 0
        and 1. The default makes three stairs.
    factor : float, default=0.1
        What each stair multiplies the rate by, in (0, 1].
    n_steps : int, default=None
        The horizon, in place of the training's own. Beyond it, the stairs go on.

    Examples
    --------
    >>> from skgd.schedules import StepDecay
    >>> [StepDecay(every=2, factor=0.5)(step, None) for step in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(self, every=1 / 3, factor=0.1, n_steps=None):
        self.every = every
        self.factor = factor
        self.n_steps = n_steps

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned steps."""
        return not isinstance(self.every, numbers.Integral)

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_period("every", self.every)
        check_number("factor", self.factor, low=0, high=1, include="high")
        _check_horizon(self.n_steps)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        periods = step / _period(self, self.every, n_steps)
        return float(self.factor ** math.floor(periods + _NUDGE))


class Exponential(Schedule):
    """Falls by the same ratio each step: factor final^(step / n_steps).

    It is ``torch.optim.lr_scheduler.ExponentialLR`` with gamma = final^(1 / n_steps).

    Parameters
    ----------
    final : float, default=0.01
        The factor when the horizon is reached, in (0, 1].
    n_steps : int, default=None
        The horizon, in place of the training's own.

    Examples
    --------
    >>> from skgd.schedules import Exponential
    >>> [round(Exponential(final=0.01)(step, 4), 4) for step in range(5)]
    [1.0, 0.3162, 0.1, 0.0316, 0.01]
    """

    def __init__(self, final=0.01, n_steps=None):
        self.final = final
        self.n_steps = n_steps

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned steps."""
        return True

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("final", self.final, low=0, high=1, include="high")
        _check_horizon(self.n_steps)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        horizon = _horizon(self, n_steps)
        return float(self.final ** (min(step, horizon) / horizon))


class Cosine(Schedule):
    r"""Falls along half a cosine: slowly, then fast, then slowly again.

    .. math:: f = f_{end} + (1 - f_{end}) (1 + \cos(\pi \, step / n)) / 2

    It is ``torch.optim.lr_scheduler.CosineAnnealingLR`` with T_max = n.

    Parameters
    ----------
    final : float, default=0.0
        The factor when the horizon is reached, in [0, 1].
    n_steps : int, default=None
        The horizon, in place of the training's own.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017,
    equation 5, without the restarts.

    Examples
    --------
    >>> from skgd.schedules import Cosine
    >>> [round(Cosine()(step, 4), 4) for step in range(5)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0]
    """

    def __init__(self, final=0.0, n_steps=None):
        self.final = final
        self.n_steps = n_steps

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned steps."""
        return True

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("final", self.final, low=0, high=1)
        _check_horizon(self.n_steps)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        horizon = _horizon(self, n_steps)
        return _cosine(1.0, self.final, min(step, horizon) / horizon)
