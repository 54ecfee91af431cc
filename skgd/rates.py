"""learning_rate="auto": a rate from the data, so that nobody has to tune one to begin.

A rule whose steps are in proportion to the gradient (sgd, momentum, nesterov) is stable only
below a multiple of ``1/L``, where L bounds the curvature of J. For a linear model

    L <= loss'' * lambda_max(X^T X / n),

and a mini-batch of b rows adds the noise of its own curvature, ``mean ||x||^2 / b`` (the
expected smoothness of Gower et al. 2019, Prop. 3.8). A rule that divides the gradient by its
own size (Adam and its kin) steps by about the rate in every coordinate, whatever L is.
"""

from __future__ import annotations

import numpy as np
from sklearn.utils.extmath import safe_sparse_dot

from skgd.coordinates import Coordinates
from skgd.losses import Loss
from skgd.objective import Batch
from skgd.optimizers import Optimizer

_SAMPLE = 1000  # rows that the curvature is measured on
_POWER_ITERATIONS = 20

# Found by benchmarks/defaults.py: a network regressor fits the noise in y sooner.
_NETWORK_FACTORS = {"classification": 1.0, "regression": 0.3}


def automatic_rate(
    optimizer: Optimizer, loss: Loss, data: Batch, coordinates: Coordinates, batch_size: int
) -> float:
    """Learning rate for this optimizer in these coordinates.

    Parameters
    ----------
    optimizer : Optimizer
    loss : Loss
    data : Batch
        All training rows.
    coordinates : Coordinates
    batch_size : int

    Returns
    -------
    rate : float
    """
    if coordinates.model.hidden_layer_sizes:
        return optimizer.network_rate * _NETWORK_FACTORS[loss.task]
    if optimizer.scale_free:
        return optimizer.linear_rate / np.sqrt(1 + coordinates.model.n_features)
    return optimizer.linear_rate / _curvature(loss, data, coordinates, batch_size)


def _curvature(loss: Loss, data: Batch, coordinates: Coordinates, batch_size: int) -> float:
    """Bound L on the second derivative of J by u along any unit direction."""
    n = data.X.shape[0]
    largest, mean_square = _spectrum(data, coordinates)
    if batch_size < n:
        largest += mean_square / batch_size
    bend = loss.curvature(coordinates.model.n_outputs)
    if bend is None:  # kinks, or no bound: the loss is taken as if it bent like a square
        bend = 1.0
    if coordinates.spread is not None:
        bend *= float(np.max(coordinates.spread)) ** 2
    return max(bend * largest / coordinates.unit, np.finfo(float).tiny)


def _spectrum(data: Batch, coordinates: Coordinates) -> tuple[float, float]:
    """Largest eigenvalue and trace of ``Z^T Z / n`` for the inputs Z in the coordinates of u.

    The trace is the mean square length of a row. A column of ones stands for the intercept.
    """
    stride = -(-data.X.shape[0] // _SAMPLE)
    X = data.X[::stride]
    weight = np.ones(X.shape[0]) if data.weight is None else data.weight[::stride]
    weight = weight / weight.sum()
    p = X.shape[1]
    mean = np.zeros(p) if coordinates.mean is None else coordinates.mean
    scale = np.ones(p) if coordinates.scale is None else coordinates.scale
    ones = float(coordinates.model.fit_intercept)

    def rows_times(v: np.ndarray) -> np.ndarray:
        w = v[:p] / scale
        return safe_sparse_dot(X, w) - mean @ w + ones * v[p]

    def times_rows(r: np.ndarray) -> np.ndarray:
        total = r.sum()
        return np.append((safe_sparse_dot(X.T, r) - mean * total) / scale, ones * total)

    v = np.random.default_rng(0).standard_normal(p + 1)
    eigenvalue = 1.0
    for _ in range(_POWER_ITERATIONS):
        v /= np.linalg.norm(v)
        v = times_rows(weight * rows_times(v))
        eigenvalue = float(np.linalg.norm(v))
        if eigenvalue == 0.0:
            break
    squares = X.multiply(X) if hasattr(X, "multiply") else np.square(X)
    second_moment = np.asarray(weight @ squares).ravel()
    trace = ones + float(((second_moment - mean**2) / scale**2).sum())
    return eigenvalue, trace
