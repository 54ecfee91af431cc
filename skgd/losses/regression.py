"""Regression with the identity as link: losses of the residual."""

# ruff: noqa: D102 - the methods are documented once, in the base class
from __future__ import annotations

from typing import Any

import numpy as np

from skgd._component import check_number
from skgd.losses.base import LOG_2, Loss, _per_sample


class SquaredError(Loss):
    """Half the squared residual, ``1/2 (raw - y)^2``: predicts the mean.

    The factor 1/2 makes the derivative the residual itself.

    References
    ----------
    A. M. Legendre, *Nouvelles methodes pour la determination des orbites des cometes*, 1805.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import SquaredError
    >>> SquaredError().value(np.array([1.0, 2.0]), np.array([4.0, 2.0]))
    array([4.5, 0. ])
    """

    holomorphic = True
    smooth = True

    def value(self, y: np.ndarray, raw: Any) -> Any:
        r = raw - y
        return _per_sample(0.5 * (r * r))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return raw - y

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r = raw - y
        return _per_sample(0.5 * (r * r)), r

    def curvature(self, n_outputs: int = 1) -> float:
        return 1.0


class AbsoluteError(Loss):
    """Absolute residual, ``|raw - y|``: predicts the median.

    The derivative at a residual of zero is taken as zero.

    References
    ----------
    R. Koenker, G. Bassett, "Regression quantiles", *Econometrica* 46, 1978.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import AbsoluteError
    >>> AbsoluteError().gradient(np.array([1.0, 2.0]), np.array([4.0, 2.0]))
    array([1., 0.])
    """

    def value(self, y: np.ndarray, raw: Any) -> Any:
        return _per_sample(np.abs(raw - y))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return np.sign(raw - y)


class Huber(Loss):
    """Squared near zero, linear far away.

    ``1/2 r^2`` if ``|r| <= delta``, else ``delta (|r| - delta/2)``, with ``r = raw - y``.

    Parameters
    ----------
    delta : float > 0, default=1.0
        The residual, in units of y, from which on a sample counts as an outlier.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", *Ann. Math. Statist.* 35, 1964.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import Huber
    >>> Huber(delta=2.0).value(np.zeros(2), np.array([1.0, 4.0]))
    array([0.5, 6. ])
    """

    smooth = True

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def check(self) -> None:
        check_number("delta", self.delta, low=0.0, include="neither")

    def value(self, y: np.ndarray, raw: Any) -> Any:
        # With c the residual clipped to [-delta, delta], both branches are c (r - c/2): the
        # square is only taken of what is small, so it cannot overflow.
        delta = float(self.delta)
        r = raw - y
        c = np.where(r > delta, delta, np.where(r < -delta, -delta, r))
        return _per_sample(c * (r - 0.5 * c))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        delta = float(self.delta)
        return np.clip(raw - y, -delta, delta)

    def curvature(self, n_outputs: int = 1) -> float:
        return 1.0


class EpsilonInsensitive(Loss):
    """Absolute residual beyond a tube, ``max(|raw - y| - epsilon, 0)``: support vectors.

    The derivative on the edge of the tube is taken as zero.

    Parameters
    ----------
    epsilon : float >= 0, default=0.1
        Half the width of the tube, in units of y.

    References
    ----------
    V. Vapnik, *The Nature of Statistical Learning Theory*, 1995, chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import EpsilonInsensitive
    >>> EpsilonInsensitive(epsilon=0.5).value(np.zeros(2), np.array([0.25, -2.0]))
    array([0. , 1.5])
    """

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def check(self) -> None:
        check_number("epsilon", self.epsilon, low=0.0)

    def value(self, y: np.ndarray, raw: Any) -> Any:
        return _per_sample(_beyond(np.abs(raw - y), float(self.epsilon)))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        r = raw - y
        return np.sign(r) * (np.abs(r) > float(self.epsilon))


class SquaredEpsilonInsensitive(Loss):
    """Squared residual beyond a tube, ``max(|raw - y| - epsilon, 0)^2`` (no factor 1/2).

    Parameters
    ----------
    epsilon : float >= 0, default=0.1
        Half the width of the tube, in units of y.

    References
    ----------
    V. Vapnik, *The Nature of Statistical Learning Theory*, 1995, chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import SquaredEpsilonInsensitive
    >>> SquaredEpsilonInsensitive(epsilon=0.5).value(np.zeros(2), np.array([0.25, -2.0]))
    array([0.  , 2.25])
    """

    smooth = True

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def check(self) -> None:
        check_number("epsilon", self.epsilon, low=0.0)

    def value(self, y: np.ndarray, raw: Any) -> Any:
        beyond = _beyond(np.abs(raw - y), float(self.epsilon))
        return _per_sample(beyond * beyond)

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        epsilon = float(self.epsilon)
        r = raw - y
        return 2.0 * (r - np.clip(r, -epsilon, epsilon))

    def curvature(self, n_outputs: int = 1) -> float:
        return 2.0


class Quantile(Loss):
    """Pinball loss, ``q r`` if ``r >= 0``, else ``(q - 1) r``, with ``r = y - raw``.

    The constant that minimises it is the q-quantile of y. The derivative at a residual of
    zero is taken as the mean of the slopes on both sides, ``1/2 - q``.

    Parameters
    ----------
    quantile : float in (0, 1), default=0.5
        Which quantile to predict; 0.5 is half the absolute error.

    References
    ----------
    R. Koenker, G. Bassett, "Regression quantiles", *Econometrica* 46, 1978.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import Quantile
    >>> Quantile(quantile=0.75).value(np.zeros(2), np.array([-1.0, 1.0]))
    array([0.75, 0.25])
    """

    def __init__(self, quantile: float = 0.5) -> None:
        self.quantile = quantile

    def check(self) -> None:
        check_number("quantile", self.quantile, low=0.0, high=1.0, include="neither")

    def value(self, y: np.ndarray, raw: Any) -> Any:
        # Written with abs, the graph gets the convention at zero from abs'(0) = 0.
        tilt = float(self.quantile) - 0.5
        r = y - raw
        return _per_sample(tilt * r + 0.5 * np.abs(r))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return 0.5 * np.sign(raw - y) - (float(self.quantile) - 0.5)


class LogCosh(Loss):
    """``log(cosh(raw - y))``: squared near zero, absolute far away, smooth everywhere.

    References
    ----------
    P. J. Green, "Bayesian reconstructions from emission tomography data using a modified EM
    algorithm", *IEEE Trans. Medical Imaging* 9, 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import LogCosh
    >>> LogCosh().value(np.zeros(2), np.array([0.0, 10000.0])).round(4)
    array([   0.    , 9999.3069])
    """

    holomorphic = True
    smooth = True

    def value(self, y: np.ndarray, raw: Any) -> Any:
        r = raw - y
        a = np.where(r < 0.0, -r, r)  # abs, in a form that keeps an imaginary part
        near = a < 1.0
        # Near zero: log1p(cosh r - 1), with cosh r - 1 = (e^r - 1)(1 - e^-r)/2, since the form
        # below would lose the small result in the difference of large terms.
        small = np.where(near, r, 0.0)
        close = np.log1p(-0.5 * np.expm1(small) * np.expm1(-small))
        # Far away: |r| + log((1 + e^-2|r|)/2), since cosh itself overflows.
        far = a + np.log1p(np.exp(-2.0 * a)) - LOG_2
        return _per_sample(np.where(near, close, far))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return np.tanh(raw - y)

    def curvature(self, n_outputs: int = 1) -> float:
        return 1.0


def _beyond(distance: Any, epsilon: float) -> Any:
    return np.where(distance > epsilon, distance - epsilon, 0.0)
