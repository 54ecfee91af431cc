"""Averages of the parameters over the steps: smoother than the last ones, which still jump about.

The loop goes on from its own parameters and keeps the average beside them; the average is what
is shown, and what the validation score judges. The rules differ in how fast they forget.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from numbers import Real
from typing import Any

import numpy as np

from skgd._component import Component, check_number, resolve

__all__ = ["AVERAGES", "EMA", "Averaging", "Mean", "Polynomial"]


class Averaging(Component, ABC):
    """A weighted mean of the parameters after each step, ``sum_i w_i theta_i / sum_i w_i``.

    A rule says how much all weights are together, in units of the newest: that is all that a
    running mean has to know.
    """

    after: int = 0  # samples to be seen before the average begins

    @abstractmethod
    def mass(self, n: int) -> float:
        """Sum of the weights of n parameters, where the newest has weight 1.

        Parameters
        ----------
        n : int
            How many parameters are averaged, at least 1.

        Returns
        -------
        mass : float
        """

    def take_in(self, u: np.ndarray, averaged: np.ndarray, n_averaged: int, samples: int) -> int:
        """Take the parameters after a step into the average, in place.

        Parameters
        ----------
        u, averaged : ndarray of shape (n_parameters,)
            The parameters, and their average so far.
        n_averaged : int
            How many it averages.
        samples : int
            Samples seen so far.

        Returns
        -------
        n_averaged : int
            How many it averages now; 0 before it begins, where it is a copy of u.
        """
        if samples < self.after and not n_averaged:  # once begun, it goes on
            np.copyto(averaged, u)
            return n_averaged
        n_averaged += 1
        averaged += (u - averaged) / self.mass(n_averaged)
        return n_averaged


class Mean(Averaging):
    r"""All steps count alike.

    .. math:: \bar\theta_t = \frac{1}{t} \sum_{i=1}^t \theta_i

    It is what ``average=True`` means, and ``average=k`` is ``Mean(after=k)``.

    Parameters
    ----------
    after : int, default=0
        Samples to be seen before the average begins: the way from the start is no part of it then.

    References
    ----------
    B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging", 1992.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.averaging import Mean
    >>> averaged, n = np.zeros(1), 0
    >>> for theta in (4.0, 2.0, 0.0):
    ...     n = Mean().take_in(np.array([theta]), averaged, n, samples=0)
    >>> averaged
    array([2.])
    """

    def __init__(self, after=0):
        self.after = after

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("after", self.after, low=0, integer=True)

    def mass(self, n):
        """Sum of the weights: n."""
        return n


class EMA(Averaging):
    r"""An exponential moving average: a step counts the less, the longer ago it was.

    .. math:: \bar\theta_t = \frac{1 - \beta}{1 - \beta^t} \sum_{i=1}^t \beta^{t-i} \theta_i

    Parameters
    ----------
    decay : float, default=0.999
        How much of the average is kept at each step, :math:`\beta` in [0, 1). It looks back on
        about ``1 / (1 - decay)`` steps.

    Notes
    -----
    The quotient in front corrects the bias, as in Adam: the weights add up to 1 from the first
    step on, and the start of the training is not among what is averaged.
    ``torch.optim.swa_utils.get_ema_multi_avg_fn`` has no such correction: there the first
    parameters have the weight :math:`\beta^{t-1}`, which in a short training is nearly all of it.

    References
    ----------
    B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", 2015, sections 3 and 7.2.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.averaging import EMA
    >>> averaged, n = np.zeros(1), 0
    >>> for theta in (4.0, 2.0, 0.0):  # weights 1/7, 2/7 and 4/7
    ...     n = EMA(decay=0.5).take_in(np.array([theta]), averaged, n, samples=0)
    >>> bool(np.isclose(averaged[0], 8 / 7))
    True
    """

    def __init__(self, decay=0.999):
        self.decay = decay

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("decay", self.decay, low=0, high=1, include="low")

    def mass(self, n):
        """Sum of the weights: ``1 + decay + ... + decay^(n-1)``."""
        decay = float(self.decay)
        if decay == 0.0:
            return 1.0
        return -math.expm1(n * math.log(decay)) / (1.0 - decay)


class Polynomial(Averaging):
    r"""A step counts as a power of its number: the start of the training is soon forgotten.

    .. math:: \bar\theta_t = \Bigl(1 - \frac{p + 1}{t + p}\Bigr) \bar\theta_{t-1}
              + \frac{p + 1}{t + p} \theta_t

    The weight of step i is about :math:`i^p`. Unlike that of `EMA`, the window grows with the
    training, so that the noise goes on falling; unlike `Mean`, it needs nobody to say when the
    way from the start is over.

    Parameters
    ----------
    power : float, default=3.0
        :math:`p`, at least 0, which is `Mean`. About the last ``1 / (p + 1)`` of the steps count.
    after : int, default=0
        Samples to be seen before the average begins.

    References
    ----------
    O. Shamir and T. Zhang, "Stochastic gradient descent for non-smooth optimization: convergence
    results and optimal averaging schemes", ICML 2013, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.averaging import Polynomial
    >>> averaged, n = np.zeros(1), 0
    >>> for theta in (4.0, 2.0, 0.0):  # weights 1/6, 2/6 and 3/6
    ...     n = Polynomial(power=1).take_in(np.array([theta]), averaged, n, samples=0)
    >>> bool(np.isclose(averaged[0], 8 / 6))
    True
    """

    def __init__(self, power=3.0, after=0):
        self.power = power
        self.after = after

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("power", self.power, low=0)
        check_number("after", self.after, low=0, integer=True)

    def mass(self, n):
        """Sum of the weights, in units of the newest: ``(n + power) / (1 + power)``."""
        return (n + self.power) / (1.0 + self.power)


AVERAGES: dict[str, type[Averaging]] = {"mean": Mean, "ema": EMA, "polynomial": Polynomial}


def resolve_average(average: Any) -> Averaging | None:
    """Turn the parameter `average` into a rule; None for no average.

    Parameters
    ----------
    average : bool, int, str or Averaging

    Returns
    -------
    averaging : Averaging or None
        None for "auto", too, which is settled when the data are known
        (`skgd.schedules.rates.automatic_average`).

    Raises
    ------
    TypeError, ValueError
        `average` is none of these, or a setting is out of its range.

    Examples
    --------
    >>> from skgd.averaging import resolve_average
    >>> resolve_average(True), resolve_average(500), resolve_average("ema")
    (Mean(), Mean(after=500), EMA())
    """
    if isinstance(average, (bool, np.bool_)):
        return Mean() if average else None
    if isinstance(average, Real):
        check_number("average", average, low=0, integer=True)
        return Mean(after=average) if average else None
    if isinstance(average, str) and average == "auto":
        return None
    return resolve("average", average, AVERAGES, Averaging, extra=("auto",))
