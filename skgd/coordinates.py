"""Descent in centred, scaled coordinates, as a change of variables.

Columns on scales 1, 100 and 1e4 make a condition number of 1e8: no single learning rate in
the original coordinates can serve them all. So the loop walks in coordinates ``u`` in which
every input column has mean 0 and scale 1, and the output is measured from its mean in units
of its spread. X itself is never touched (a CSR matrix stays sparse): the parameters that the
model sees are a linear function of u,

    first layer   W = U / s             b = c - m W          (x W + b = ((x - m)/s) U + c)
    last layer    W = W' * spread       b = b' * spread + centre

and the gradient comes back by the transpose of that map. The objective, the penalty and the
fitted attributes stay in the original coordinates. J is measured in units of the loss of a
constant model, for those optimizers whose steps grow with the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import get_blas_funcs
from sklearn.utils import gen_batches
from sklearn.utils.sparsefuncs import mean_variance_axis

from skgd.models import FeedForward

_CHUNK = 1024  # rows: large enough for BLAS, small enough for the cache


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

    @property
    def identity(self) -> bool:
        """Whether u is theta itself."""
        return self.scale is None and self.spread is None and self.unit == 1.0

    def to_theta(self, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Write theta(u) into `out` and return it; u itself where the map is the identity."""
        if self.identity:
            return u
        out[...] = u
        layers = self.model.layers(out)
        if self.scale is not None:
            W, b = layers[0]
            W /= self.scale[:, None]
            if b is not None:
                b -= self.mean @ W
        if self.spread is not None:
            W, b = layers[-1]
            W *= self.spread
            if b is not None:
                b *= self.spread
                b += self.centre
        return out

    def to_u(self, theta: np.ndarray) -> np.ndarray:
        """Inverse of `to_theta`, in a new array."""
        u = theta.copy()
        layers = self.model.layers(u)
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

    def pull_back(self, gradient: np.ndarray) -> None:
        """Turn dJ/dtheta into d(J/unit)/du, in place."""
        layers = self.model.layers(gradient)
        if self.spread is not None:
            W, b = layers[-1]
            W *= self.spread
            if b is not None:
                b *= self.spread
        if self.scale is not None:
            W, b = layers[0]
            if b is not None and self.mean is not None:
                _subtract_outer(W, self.mean, b)
            W /= self.scale[:, None]
        if self.unit != 1.0:
            gradient /= self.unit

    def l1_strength(self, strength: float, dtype: np.dtype) -> Any:
        """Weight of ``|u_j|`` that equals `strength` on ``|theta_j|``, for each weight."""
        if self.identity:
            return strength
        # A weight is its u times a positive factor: theta(u) of ones without the shifts.
        factors = np.ones(self.model.n_parameters, dtype=dtype)
        layers = self.model.layers(factors)
        if self.scale is not None:
            layers[0][0][...] /= self.scale[:, None]
        if self.spread is not None:
            layers[-1][0][...] *= self.spread
        return factors[: self.model.n_weights] * (strength / self.unit)


def _subtract_outer(W: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """``W -= x y^T`` in place: BLAS makes no temporary of the size of W."""
    ger = get_blas_funcs("ger", dtype=W.dtype)
    if W.flags.f_contiguous:
        ger(-1.0, x, y, a=W, overwrite_a=True)
    else:
        ger(-1.0, y, x, a=W.T, overwrite_a=True)


def column_statistics(
    X: Any, weight: np.ndarray | None, centred: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and scale of the columns of X, without a copy of X.

    Parameters
    ----------
    X : ndarray or CSR of shape (n, p)
    weight : ndarray of shape (n,) or None
    centred : bool
        False measures the scale from zero (the root of the mean square) and returns
        means of zero, for a model without an intercept.

    Returns
    -------
    mean, scale : ndarray of shape (p,), in the dtype of X
        A constant column has scale 1.
    """
    n = X.shape[0]
    w = np.ones(n) if weight is None else weight.astype(np.float64)
    if sparse.issparse(X):
        mean, variance = mean_variance_axis(X, axis=0, weights=w.astype(X.dtype))
        mean, variance = mean.astype(np.float64), variance.astype(np.float64)
        if not centred:
            variance, mean = variance + mean**2, np.zeros_like(mean)
    else:
        mean = np.zeros(X.shape[1])
        if centred:
            for rows in gen_batches(n, _CHUNK):
                mean += w[rows] @ X[rows].astype(np.float64, copy=False)
            mean /= w.sum()
        variance = np.zeros_like(mean)
        for rows in gen_batches(n, _CHUNK):
            variance += w[rows] @ np.square(X[rows] - mean)
        variance /= w.sum()
    # Rounding leaves a constant column a variance of about (eps mean)^2.
    tiny = (10 * np.finfo(X.dtype).eps * np.maximum(np.abs(mean), np.finfo(X.dtype).tiny)) ** 2
    scale = np.sqrt(np.where(variance <= tiny, 1.0, variance))
    return mean.astype(X.dtype), scale.astype(X.dtype)
