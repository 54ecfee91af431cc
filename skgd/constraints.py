"""Constraints on the weights: a box that no step leaves.

After each step of the optimizer a weight outside its bounds is set onto the nearest bound: the
projected gradient method (Goldstein 1964; Levitin & Polyak 1966). Intercepts are free. Where the
descent comes to rest, J falls along no direction that stays in the box. That holds for rules that
scale each coordinate by itself, too, such as Adam: the nearest point of a box is found coordinate
by coordinate, so it is the same one in every such metric.

"lbfgs" is given the bounds themselves.
"""

# ruff: noqa: D102 - the property is documented once, in the base class
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from skgd._component import Component, check_number
from skgd.objective.coordinates import Coordinates

__all__ = ["CONSTRAINTS", "Box", "Constraint", "Positive", "Unconstrained"]


class Constraint(Component):
    """``low <= w <= high`` for every weight; a subclass sets the bounds."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest weight; infinite where there is no bound."""
        return -math.inf, math.inf


class Unconstrained(Constraint):
    """Weights of any size.

    Examples
    --------
    >>> from skgd.constraints import Unconstrained
    >>> Unconstrained().bounds
    (-inf, inf)
    """


class Positive(Constraint):
    """``w >= 0``: no feature counts against the target.

    As ``positive=True`` of scikit-learn's ``LinearRegression`` and ``Lasso``. A network with an
    increasing activation is then an increasing function of every feature.

    References
    ----------
    C. L. Lawson and R. J. Hanson, *Solving Least Squares Problems*, 1974, chapter 23.

    Examples
    --------
    >>> from skgd.constraints import Positive
    >>> Positive().bounds
    (0.0, inf)
    """

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, math.inf


class Box(Constraint):
    """``low <= w <= high``.

    Parameters
    ----------
    low, high : float or None
        The bounds, low below high; None for none on that side.

    Examples
    --------
    >>> from skgd.constraints import Box
    >>> Box(low=None, high=0.5).bounds
    (-inf, 0.5)
    """

    def __init__(self, low: float | None = -1.0, high: float | None = 1.0) -> None:
        self.low = low
        self.high = high

    def check(self) -> None:
        for name in ("low", "high"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name))
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"low must be below high; got low={self.low!r}, high={self.high!r}.")

    @property
    def bounds(self) -> tuple[float, float]:
        low = -math.inf if self.low is None else float(self.low)
        return low, math.inf if self.high is None else float(self.high)


CONSTRAINTS: dict[str | None, type[Constraint]] = {
    "positive": Positive,
    "box": Box,
    None: Unconstrained,
}


@dataclass(frozen=True)
class Bounds:
    """The box in the coordinates of the descent, where each weight has bounds of its own.

    Attributes
    ----------
    low, high : ndarray of shape (n_weights,)
    """

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, constraint: Constraint, coordinates: Coordinates, dtype: Any) -> Bounds | None:
        """Return the bounds on u; None where there are none.

        The coordinates scale each weight by a positive factor, and shift none: an intercept
        takes up what centring needs.
        """
        if constraint.bounds == (-math.inf, math.inf):
            return None
        low, high = constraint.bounds
        dtype = np.dtype(dtype)
        return cls(_on_u(low, 1.0, coordinates, dtype), _on_u(high, -1.0, coordinates, dtype))

    def project(self, u: np.ndarray) -> None:
        """Set the weights of u that are out of bounds onto the nearest one, in place."""
        weights = u[: len(self.low)]
        np.clip(weights, self.low, self.high, out=weights)

    def downhill(self, u: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the gradient without the slopes that lead out of the bounds: 0 at a minimum."""
        n = len(self.low)
        w, g = u[:n], gradient[:n].copy()
        g[(w <= self.low) & (g > 0.0)] = 0.0
        g[(w >= self.high) & (g < 0.0)] = 0.0
        return np.concatenate([g, gradient[n:]])

    def pairs(self, n: int) -> np.ndarray:
        """Lower and upper bound of each of n parameters, of shape (n, 2)."""
        pairs = np.tile([-np.inf, np.inf], (n, 1))
        pairs[: len(self.low)] = np.column_stack([self.low, self.high])
        return pairs


def _on_u(bound: float, inwards: float, coordinates: Coordinates, dtype: Any) -> np.ndarray:
    """Bounds on u that become `bound` in theta, or by rounding lie next to it, `inwards`."""
    n = coordinates.model.n_weights

    def theta_of(weights: np.ndarray) -> np.ndarray:
        u = np.zeros(coordinates.model.n_parameters, dtype)
        u[:n] = weights
        return coordinates.to_theta(u, np.empty_like(u))[:n]

    u = np.full(n, bound, dtype)
    if coordinates.identity or not math.isfinite(bound):
        return u
    u /= theta_of(np.ones(n, dtype))
    for _ in range(_ROUNDINGS):
        outside = (theta_of(u) - bound) * inwards < 0.0
        np.nextafter(u, dtype.type(inwards * np.inf), out=u, where=outside)
    return u


_ROUNDINGS = 4  # more than the map from u to theta has
