"""Regression with a logarithmic link: counts, and sizes above zero."""

# ruff: noqa: D102 - the methods are documented once, in the base class
from __future__ import annotations

from typing import Any

import numpy as np

from skgd.losses.base import Loss, _per_sample


class Poisson(Loss):
    """Half the Poisson deviance with log link, ``y log(y / mu) - y + mu``, ``mu = exp(raw)``.

    For counts and frequencies: the mean is positive, the variance grows with it.

    References
    ----------
    P. McCullagh, J. A. Nelder, *Generalized Linear Models*, 1989, section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import Poisson
    >>> Poisson().gradient(np.array([0.0, 3.0]), np.array([0.0, 0.0]))
    array([ 1., -2.])
    """

    holomorphic = True
    smooth = True

    def value(self, y: np.ndarray, raw: Any) -> Any:
        return _per_sample(self._deviance(y, raw, _exp(raw)))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return _exp(raw) - y

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = _exp(raw)
        value = _per_sample(self._deviance(y, raw, mean))
        mean -= y
        return value, mean

    def link_name(self, n_outputs: int = 1) -> str:
        return "exponential"

    def inverse_link(self, raw: np.ndarray) -> np.ndarray:
        return _exp(raw)

    def link_of_mean(self, mean: Any) -> Any:
        return np.log(mean)

    def check_target(self, y: np.ndarray) -> None:
        if not (np.all(y >= 0.0) and np.all(np.sum(y, axis=0) > 0.0)):
            raise ValueError(
                "The loss 'poisson' takes targets y >= 0 with a positive sum for each output; "
                f"got values from {np.min(y):g} to {np.max(y):g}."
            )

    @staticmethod
    def _deviance(y: np.ndarray, raw: Any, mean: Any) -> Any:
        # Two differences that both go to zero at the minimum; y log y is 0 at y = 0.
        log_y = np.log(np.where(y > 0.0, y, 1.0))
        return y * (log_y - raw) + (mean - y)


class Gamma(Loss):
    """Half the gamma deviance with log link, ``y / mu - log(y / mu) - 1``, ``mu = exp(raw)``.

    For positive amounts whose standard deviation is proportional to their mean.

    References
    ----------
    P. McCullagh, J. A. Nelder, *Generalized Linear Models*, 1989, section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import Gamma
    >>> Gamma().gradient(np.array([0.5, 3.0]), np.array([0.0, 0.0]))
    array([ 0.5, -2. ])
    """

    holomorphic = True
    smooth = True

    def value(self, y: np.ndarray, raw: Any) -> Any:
        # By t = log(mu / y) alone: y exp(-raw) could overflow in its second factor only.
        t = raw - np.log(y)
        return _per_sample(t + _expm1(-t))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return -_expm1(np.log(y) - raw)

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = raw - np.log(y)
        excess = _expm1(-t)
        return _per_sample(t + excess), -excess

    def link_name(self, n_outputs: int = 1) -> str:
        return "exponential"

    def inverse_link(self, raw: np.ndarray) -> np.ndarray:
        return _exp(raw)

    def link_of_mean(self, mean: Any) -> Any:
        return np.log(mean)

    def check_target(self, y: np.ndarray) -> None:
        if not np.all(y > 0.0):
            raise ValueError(
                f"The loss 'gamma' takes targets y > 0; got values down to {np.min(y):g}."
            )


def _exp(x: Any) -> Any:
    # A true overflow gives inf. Whoever trains says what that means; it is no RuntimeWarning.
    with np.errstate(over="ignore"):
        return np.exp(x)


def _expm1(x: Any) -> Any:
    with np.errstate(over="ignore"):  # as in _exp
        return np.expm1(x)
