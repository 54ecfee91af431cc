"""Descent in centred, scaled coordinates, as a change of variables.

Columns on scales 1, 100 and 1e4 make a condition number of 1e8: no single learning rate in
the original coordinates can serve them all. So the loop walks in coordinates ``u`` in which
every input column has mean 0 and scale 1, and the output is measured from its mean in units
of its spread. X itself is never touched (a CSR matrix stays sparse): the parameters that the
model sees are a linear function of u,

    first layer   W = U / s             b = c - m W          (x W + b = ((x - m)/s) U + c)
    last layer    W = W' * spread       b = b' * spread + centre
    direct links  D = D' * spread / s   b = b - m D

and the gradient comes back by the transpose of that map. The objective, the penalty and the
fitted attributes stay in the original coordinates. J is measured in units of the loss of a
constant model, for those optimizers whose steps grow with the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs

from skgd.objective.models import FeedForward, Layers


@dataclass(frozen=True)
class Coordinates:
    """The map between u, in which the optimizer steps, and theta, which the model has.

    Parameters
    ----------
    model : FeedForward
    mean, scale : ndarray of shape (n_features,) or None
        Of the inputs; None leaves the first layer as it is.
    centre, spread : ndarray of shape (n_outputs,) or None
        Of the outputs; None leaves the last layer as it is.
    unit : float
        The unit of J.
    """

    model: FeedForward
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None
    centre: np.ndarray | None = None
    spread: np.ndarray | None = None
    unit: float = 1.0
    inverse_scale: np.ndarray | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.scale is not None:
            object.__setattr__(self, "inverse_scale", (1 / self.scale)[:, None])

    @property
    def identity(self) -> bool:
        """Whether u is theta itself."""
        return self.scale is None and self.spread is None and self.unit == 1.0

    def to_theta(self, u: np.ndarray, out: np.ndarray, layers: Layers | None = None) -> np.ndarray:
        """Write theta(u) into `out` and return it; u itself where the map is the identity.

        `layers` are the model's views into `out`, for a caller who has them.
        """
        if self.identity:
            return u
        out[...] = u
        layers = self.model.layers(out) if layers is None else layers
        if self.scale is not None:
            W, b = layers[0]
            W *= self.inverse_scale
            if b is not None:
                b -= self.mean @ W
        if self.spread is not None:
            W, b = layers[-1]
            W *= self.spread
            if b is not None:
                b *= self.spread
                b += self.centre
        if layers.direct is not None:
            layers.direct *= self.direct_factors
            if self.scale is not None and layers[-1][1] is not None:
                layers[-1][1][...] -= self.mean @ layers.direct
        return out

    def to_u(self, theta: np.ndarray) -> np.ndarray:
        """Inverse of `to_theta`, in a new array."""
        u = theta.copy()
        layers = self.model.layers(u)
        if layers.direct is not None:
            if self.scale is not None and layers[-1][1] is not None:
                layers[-1][1][...] += self.mean @ layers.direct
            layers.direct /= self.direct_factors
        if self.spread is not None:
            W, b = layers[-1]
            if b is not None:
                b -= self.centre
                b /= self.spread
            W /= self.spread
        if self.scale is not None:
            W, b = layers[0]
            if b is not None:
                b += self.mean @ W
            W *= self.scale[:, None]
        return u

    def pull_back(self, gradient: np.ndarray, layers: Layers | None = None) -> None:
        """Turn dJ/dtheta into d(J/unit)/du, in place; `layers` are views into it."""
        layers = self.model.layers(gradient) if layers is None else layers
        if layers.direct is not None:  # first, while the slope of b is that by theta
            if self.mean is not None and layers[-1][1] is not None:
                _subtract_outer(layers.direct, self.mean, layers[-1][1])
            layers.direct *= self.direct_factors
        if self.spread is not None:
            W, b = layers[-1]
            W *= self.spread
            if b is not None:
                b *= self.spread
        if self.scale is not None:
            W, b = layers[0]
            if b is not None and self.mean is not None:
                _subtract_outer(W, self.mean, b)
            W *= self.inverse_scale
        if self.unit != 1.0:
            gradient /= self.unit

    def l1_strength(self, strength: float, dtype: np.dtype) -> Any:
        """Weight of ``|u_j|`` that equals `strength` on ``|theta_j|``, for each weight."""
        if self.identity:
            return strength
        factors = np.ones(self.model.n_parameters, dtype=dtype)
        layers = self.model.layers(factors)
        for index, (W, _) in enumerate(layers):
            W *= self.weight_factors(index)
        if layers.direct is not None:
            layers.direct *= self.direct_factors
        return factors[: self.model.n_weights] * (strength / self.unit)

    def weight_factors(self, layer: int) -> Any:
        """By how much the weights of a layer move for each unit of their u: positive factors."""
        factors: Any = 1.0
        if layer == 0 and self.inverse_scale is not None:
            factors = self.inverse_scale
        if layer == self.model.n_layers - 1 and self.spread is not None:
            factors = factors * self.spread
        return factors

    @property
    def direct_factors(self) -> Any:
        """As `weight_factors`, of the direct links."""
        factors: Any = 1.0 if self.inverse_scale is None else self.inverse_scale
        return factors if self.spread is None else factors * self.spread


@cache
def _ger(dtype: np.dtype) -> Callable[..., Any]:
    return get_blas_funcs("ger", dtype=dtype)


def _subtract_outer(W: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """``W -= x y^T`` in place: BLAS makes no temporary of the size of W."""
    ger = _ger(W.dtype)
    if W.flags.f_contiguous:
        ger(-1.0, x, y, a=W, overwrite_a=True)
    else:
        ger(-1.0, y, x, a=W.T, overwrite_a=True)
