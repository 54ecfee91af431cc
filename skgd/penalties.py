"""Penalties on the size of the weights, and what an L1 term asks of the loop.

R is a function of the weights alone: callers pass the slice of theta without intercepts.
Its smooth part, L2, is added to the objective. The L1 part has a kink exactly where one wants
the solution to lie, at zero, and is treated by the two functions at the end of this module.
"""

# ruff: noqa: D102 - the methods are documented once, in the base class
from __future__ import annotations

from typing import Any

import numpy as np

from skgd._component import Component, check_number


class Penalty(Component):
    """``R(w) = l1_weight ||w||_1 + l2_weight 1/2 ||w||^2``.

    A penalty is its two weights, and a subclass sets them: the objective has the L2 term, the
    loop the L1 term.
    """

    @property
    def l1_weight(self) -> float:
        """Share of ``||w||_1``."""
        return 0.0

    @property
    def l2_weight(self) -> float:
        """Share of ``1/2 ||w||^2``."""
        return 0.0

    def value(self, w: np.ndarray) -> float:
        """R(w), without alpha.

        Parameters
        ----------
        w : ndarray of shape (n_weights,)

        Returns
        -------
        value : float
        """
        value = 0.5 * self.l2_weight * float(np.dot(w, w))
        return value + self.l1_weight * float(np.sum(np.abs(w)))


class NoPenalty(Penalty):
    """``R(w) = 0``.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.penalties import NoPenalty
    >>> NoPenalty().value(np.array([3.0, -4.0]))
    0.0
    """


class L2(Penalty):
    """``R(w) = 1/2 ||w||^2``: ridge, or weight decay; it keeps the weights small.

    References
    ----------
    A. E. Hoerl, R. W. Kennard, "Ridge regression", *Technometrics* 12, 1970.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.penalties import L2
    >>> L2().value(np.array([3.0, -4.0]))
    12.5
    """

    @property
    def l2_weight(self) -> float:
        """Share of ``1/2 ||w||^2``: 1."""
        return 1.0


class L1(Penalty):
    """``R(w) = ||w||_1``: lasso; it makes weights exactly zero.

    References
    ----------
    R. Tibshirani, "Regression shrinkage and selection via the lasso", *J. R. Statist. Soc. B*
    58, 1996.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.penalties import L1
    >>> L1().value(np.array([3.0, -4.0]))
    7.0
    """

    @property
    def l1_weight(self) -> float:
        """Share of ``||w||_1``: 1."""
        return 1.0


class ElasticNet(Penalty):
    """``R(w) = l1_ratio ||w||_1 + (1 - l1_ratio) 1/2 ||w||^2``.

    Parameters
    ----------
    l1_ratio : float in [0, 1], default=0.15
        0 is L2, 1 is L1.

    References
    ----------
    H. Zou, T. Hastie, "Regularization and variable selection via the elastic net", *J. R.
    Statist. Soc. B* 67, 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.penalties import ElasticNet
    >>> ElasticNet(l1_ratio=0.5).value(np.array([3.0, -4.0]))
    9.75
    """

    def __init__(self, l1_ratio: float = 0.15) -> None:
        self.l1_ratio = l1_ratio

    def check(self) -> None:
        check_number("l1_ratio", self.l1_ratio, low=0.0, high=1.0)

    @property
    def l1_weight(self) -> float:
        """Share of ``||w||_1``: l1_ratio."""
        return float(self.l1_ratio)

    @property
    def l2_weight(self) -> float:
        """Share of ``1/2 ||w||^2``: 1 - l1_ratio."""
        return 1.0 - float(self.l1_ratio)


PENALTIES: dict[str | None, type[Penalty]] = {
    "l2": L2,
    "l1": L1,
    "elasticnet": ElasticNet,
    None: NoPenalty,
}


def pseudo_gradient(
    w: np.ndarray, grad: np.ndarray, strength: Any, out: np.ndarray | None = None
) -> np.ndarray:
    """Steepest slope of ``J(w) + strength ||w||_1``, given the gradient of its smooth part J.

    ``g + s sign(w)`` where w != 0. At w = 0 the slopes to the two sides differ, g - s and
    g + s: zero if 0 lies between them (there the weight stays), else the one nearer to 0.

    Parameters
    ----------
    w : ndarray of shape (n_weights,)
        Weights.
    grad : ndarray of shape (n_weights,)
        Gradient of the smooth part at w.
    strength : float or ndarray of shape (n_weights,)
        Weight of ``|w_j|``, at least 0.
    out : ndarray of shape (n_weights,), optional
        Where to write; may be `grad` itself.

    Returns
    -------
    out : ndarray of shape (n_weights,)

    References
    ----------
    G. Andrew, J. Gao, "Scalable training of L1-regularized log-linear models", ICML 2007, eq. 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.penalties import pseudo_gradient
    >>> pseudo_gradient(np.array([2.0, 0.0, 0.0]), np.array([1.0, 1.0, -3.0]), 2.0)
    array([ 3.,  0., -1.])
    """
    pull = strength * np.sign(w)
    np.subtract(pull, np.clip(grad, -strength, strength), out=pull, where=w == 0.0)
    return np.add(grad, pull, out=out)


def project_orthant(w_new: np.ndarray, w_old: np.ndarray, pseudo_grad: np.ndarray) -> None:
    """Set the entries of `w_new` that left their orthant to exactly zero, in place.

    The L1 term is linear only as long as no weight changes sign. The orthant of a step is
    ``sign(w_old)``, and ``-sign(pseudo_grad)`` where w_old = 0; a weight that is zero and has
    a pseudo-gradient of zero stays zero, whatever an optimizer's momentum says.

    Parameters
    ----------
    w_new : ndarray of shape (n_weights,)
        Weights after the step; changed in place. Only penalised weights: any other entry has
        every right to change its sign.
    w_old : ndarray of shape (n_weights,)
        Weights before it.
    pseudo_grad : ndarray of shape (n_weights,)
        `pseudo_gradient` at w_old.

    References
    ----------
    G. Andrew, J. Gao, "Scalable training of L1-regularized log-linear models", ICML 2007, eq. 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.penalties import project_orthant
    >>> w = np.array([-0.5, 0.5, 0.5])
    >>> project_orthant(w, np.array([1.0, 1.0, 0.0]), np.array([3.0, 3.0, 1.0]))
    >>> w
    array([0. , 0.5, 0. ])
    """
    orthant = np.sign(w_old)
    np.negative(np.sign(pseudo_grad), out=orthant, where=orthant == 0.0)
    w_new[w_new * orthant <= 0.0] = 0.0
