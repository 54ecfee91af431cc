"""Schedules that rise and fall."""

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


class OneCycle(Schedule):
    """Warms up to the full rate, then falls far below where it began; momentum does the opposite.

    It is ``torch.optim.lr_scheduler.OneCycleLR`` with cosine annealing, max_lr the learning
    rate, div_factor = 1 / start and final_div_factor = start / final. Where the horizon is so
    short that the warm-up is less than one step, the first step is taken at the peak.

    Parameters
    ----------
    warmup : float, default=0.3
        Part of the horizon until the peak, in (0, 1).
    start : float, default=1/25
        The first factor, in (0, 1].
    final : float, default=4e-6
        The last factor, in [0, 1].
    momentum_low, momentum_high : float, default=0.85, 0.95
        Momentum (of Adam: beta_1) at the peak and at both ends; in [0, 1). None for both leaves
        the optimizer its own.
    n_steps : int, default=None
        The horizon, in place of the training's own.

    References
    ----------
    L. N. Smith and N. Topin, "Super-convergence: very fast training of neural networks using
    large learning rates", 2019.

    Examples
    --------
    >>> from skgd.schedules import OneCycle
    >>> one_cycle = OneCycle()
    >>> [round(one_cycle(step, 10), 4) for step in range(10)]
    [0.04, 0.52, 1.0, 0.9505, 0.8117, 0.6113, 0.3887, 0.1883, 0.0495, 0.0]
    >>> [round(one_cycle.momentum(step, 10), 4) for step in (0, 2, 9)]
    [0.95, 0.85, 0.95]
    """

    def __init__(
        self,
        warmup=0.3,
        start=1 / 25,
        final=4e-6,
        momentum_low=0.85,
        momentum_high=0.95,
        n_steps=None,
    ):
        self.warmup = warmup
        self.start = start
        self.final = final
        self.momentum_low = momentum_low
        self.momentum_high = momentum_high
        self.n_steps = n_steps

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned steps."""
        return True

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("warmup", self.warmup, low=0, high=1, include="neither")
        check_number("start", self.start, low=0, high=1, include="high")
        check_number("final", self.final, low=0, high=1)
        if not (self.momentum_low is None and self.momentum_high is None):
            check_number("momentum_low", self.momentum_low, low=0, high=1, include="low")
            check_number("momentum_high", self.momentum_high, low=0, high=1, include="low")
        _check_horizon(self.n_steps)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        return self._cycle(step, n_steps, self.start, 1.0, self.final)

    def momentum(self, step, n_steps):
        """Return the momentum for this step, or None to leave the optimizer its own."""
        if self.momentum_low is None:
            return None
        return self._cycle(step, n_steps, self.momentum_high, self.momentum_low, self.momentum_high)

    def _cycle(self, step, n_steps, first, middle, last):
        """Go from `first` to `middle` while it warms up, then to `last`."""
        horizon = _horizon(self, n_steps)
        end = horizon - 1
        peak = max(self.warmup * horizon - 1, 0.0)
        if step < peak:
            return _cosine(first, middle, step / peak)
        if end <= peak:
            return float(middle)
        return _cosine(middle, last, (min(step, end) - peak) / (end - peak))


class WarmRestarts(Schedule):
    """A row of falling half cosines, each `mult` times as long as the one before.

    It is ``torch.optim.lr_scheduler.CosineAnnealingWarmRestarts``.

    Parameters
    ----------
    first : int or float, default=1/7
        Length of the first period: a whole number of steps, or a fraction of the horizon,
        between 0 and 1. With the defaults, periods of 1/7, 2/7 and 4/7 fill the horizon, and the
        training ends at the bottom of the third.
    mult : float, default=2
        How much longer each period is than the one before; at least 1.
    final : float, default=0.0
        The factor at the end of each period, in [0, 1].
    n_steps : int, default=None
        The horizon, in place of the training's own. Beyond it, the restarts go on.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017,
    equation 5.

    Examples
    --------
    >>> from skgd.schedules import WarmRestarts
    >>> [round(WarmRestarts(first=2)(step, None), 4) for step in range(7)]
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    """

    def __init__(self, first=1 / 7, mult=2, final=0.0, n_steps=None):
        self.first = first
        self.mult = mult
        self.final = final
        self.n_steps = n_steps

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned steps."""
        return not isinstance(self.first, numbers.Integral)

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_period("first", self.first)
        check_number("mult", self.mult, low=1)
        check_number("final", self.final, low=0, high=1)
        _check_horizon(self.n_steps)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        left, length = float(step), _period(self, self.first, n_steps)
        if self.mult == 1:
            left -= length * math.floor(left / length + _NUDGE)
        else:
            while left >= length * (1 - _NUDGE):
                left -= length
                length *= self.mult
        return _cosine(1.0, self.final, left / length)
