"""learning_rate="auto": a rate from the data, so that nobody has to tune one to begin.

Every optimizer says how far it likes to step (`linear_rate`, `network_rate`) in coordinates in
which inputs, outputs and J are of order one. For a linear model there are two kinds:

- A rule whose steps grow with the gradient (sgd, momentum, nesterov) is stable only below a
  multiple of ``1/L``, where L bounds the curvature of J, so its rate is in units of 1/L:
  ``L <= loss'' lambda_max(X^T X / n)``, and a mini-batch of b rows adds the noise of its own
  curvature, ``mean ||x||^2 / b`` (expected smoothness: Gower et al. 2019, Prop. 3.8).
- A rule that divides the gradient by its own size (Adam and its kin) moves every coordinate by
  about the rate. The raw output then moves by up to the rate times ``||x||``, which is about
  ``sqrt(1 + n_features)``; its rate is in units of one over that.

Mini-batches differ, and at a constant rate the parameters never come to rest: J of a linear model
stays some per cent above its minimum. Their average does come to rest, close to the minimum where
J is smooth, at a constant rate and as fast as any method can (Polyak & Juditsky 1992; Bach &
Moulines 2013). Where the loss has kinks, or no average is kept (an L1 term or bounds, whose
exact zeros an average would lose), the rate falls as ``1 / t`` after some hundred steps: the
fastest fall that still reaches the minimum of a strongly convex J (Robbins & Monro 1951; Bottou,
Curtis & Nocedal 2018, theorem 4.7).

The curvature of a network has no useful bound: there the rates are the optimizer's own, and
follow the width k of its layers as ``1 / sqrt(k)``, since k units move an output together. J has no
known speed either: the rate falls to a tenth where J has not moved for some epochs (`Plateau`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse

from skgd.averaging import Averaging, Polynomial
from skgd.losses import Loss
from skgd.objective import Batch, FeedForward, Objective
from skgd.objective.coordinates import Coordinates
from skgd.optimizers import LBFGS, Optimizer
from skgd.schedules.base import Schedule
from skgd.schedules.falling import Constant, InvScaling
from skgd.schedules.plateau import Plateau

_SAMPLE = 1000  # rows that the curvature is measured on
_POWER_ITERATIONS = 20  # at most
_PRECISION = 1e-3  # of the eigenvalue: a smaller gain ends the iteration
_TINY = float(np.finfo(np.float64).tiny)
# A step for each feature, within these limits. Of powers 1/2, 3/4 and 1, and 64 to 256 steps, that
# came closest to the minimum of J for 28 and 100 features; 784 need more steps at the full rate.
_STEPS_AT_FULL_RATE = (128, 1024)
_STEPS_FROM_START = 32  # that are no part of the average: an epoch may have no more of them
# Epochs without progress that end a training, and the fewest with a falling rate, which have to be
# this many steps: J of an epoch of few steps moves by noise, and the rate hardly falls in it.
_PATIENCE, _LEAST_PATIENCE, _STEPS_WATCHED = 20, 5, 640

# Found by benchmarks/defaults.py: a network regressor fits the noise in y sooner.
_WIDTH = 100  # units of the hidden layer that the rates of networks were found with
_NETWORK_FACTORS = {"classification": 1.0, "regression": 0.2}
_CAUTIOUS = 10.0  # times the rate for rows of length one, after a divergence


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
    model = coordinates.model
    if model.hidden_layer_sizes:
        return _network_rate(optimizer, loss, model)
    if not optimizer.scale_free:
        return optimizer.linear_rate / _curvature(optimizer, loss, data, coordinates, batch_size)
    return float(optimizer.linear_rate / np.sqrt(1 + model.n_features))


def _network_rate(optimizer: Optimizer, loss: Loss, model: FeedForward) -> float:
    width = max(model.hidden_layer_sizes)
    return optimizer.network_rate * _NETWORK_FACTORS[loss.task] * math.sqrt(_WIDTH / width)


def automatic_average(
    optimizer: Optimizer | LBFGS,
    objective: Objective,
    batch_size: int,
    n: int,
    bounded: bool,
) -> Averaging | None:
    """Average of the parameters for an automatic rate: where the noise of mini-batches remains.

    Parameters
    ----------
    optimizer : Optimizer or LBFGS
    objective : Objective
    batch_size, n : int
        Rows of a batch, and of all data.
    bounded : bool
        Whether there are bounds on the weights.

    Returns
    -------
    averaging : Averaging or None
        None for networks too: between two of their minima may be a hill.
    """
    convex = not objective.model.hidden_layer_sizes
    exact = bounded or objective.l1_strength > 0.0  # weights at a bound or at zero
    if not convex or exact or not _is_noisy(optimizer, batch_size, n):
        return None
    return Polynomial(after=_STEPS_FROM_START * batch_size)


def automatic_schedule(
    optimizer: Optimizer | LBFGS,
    objective: Objective,
    batch_size: int,
    n: int,
    averaged: bool,
    one_pass: bool = False,
) -> Schedule:
    """Schedule for an automatic rate: a fall where the noise of mini-batches would remain.

    Parameters
    ----------
    optimizer : Optimizer or LBFGS
    objective : Objective
    batch_size, n : int
        Rows of a batch, and of all data.
    averaged : bool
        Whether an average of the parameters is kept.
    one_pass : bool
        Whether nobody knows if other rows will follow, whose J cannot be compared.

    Returns
    -------
    schedule : Schedule
    """
    if not _is_noisy(optimizer, batch_size, n):
        return Constant()
    if objective.model.hidden_layer_sizes:
        return Constant() if one_pass else Plateau()
    if averaged and objective.loss.smooth:
        return Constant()
    least, most = _STEPS_AT_FULL_RATE
    return InvScaling(power_t=1.0, after=min(max(least, objective.model.n_features), most))


def _is_noisy(optimizer: Optimizer | LBFGS, batch_size: int, n: int) -> bool:
    return batch_size < n and not isinstance(optimizer, LBFGS) and not optimizer.slows_down


def automatic_patience(settles: bool, n_steps: int) -> int:
    """Epochs without progress after which no progress is expected any more.

    Parameters
    ----------
    settles : bool
        Whether the parameters come to rest, or their average does. Else a lucky epoch is followed
        by many that are not, and most of those are to be waited for.
    n_steps : int
        Steps of an epoch.

    Returns
    -------
    n_epochs : int
    """
    if not settles:
        return _PATIENCE
    return min(_PATIENCE, max(_LEAST_PATIENCE, math.ceil(_STEPS_WATCHED / n_steps)))


def cautious_rate(
    optimizer: Optimizer, loss: Loss, data: Batch, coordinates: Coordinates, batch_size: int
) -> float:
    """Rate to try after a divergence, in the coordinates of the data, for a number of the user's.

    A scale-free step is as long whatever the data are: its usual rate will do. Any other grows
    with the rows x. A step of gradient descent changes the weights of a unit by the rate, times
    ``||x||``, times the slope of the loss. Where that is bounded, a rate of ``1 / ||x||`` suits
    weights of order one; else it grows with the outputs, as ``||x||`` too. `coordinates` are
    those of the data, neither centred nor scaled.
    """
    model = coordinates.model
    if not optimizer.scale_free:
        if not model.hidden_layer_sizes:
            return automatic_rate(optimizer, loss, data, coordinates, batch_size)
        square = 1.0 + _spectrum(data, coordinates)[1]
        length = math.sqrt(square) if _has_bounded_slope(loss, data) else square
        return _CAUTIOUS * _network_rate(optimizer, loss, model) / length
    if model.hidden_layer_sizes:
        return _network_rate(optimizer, loss, model)
    if not optimizer.starts_plain:
        return optimizer.network_rate
    plain = 1.0 / _curvature(optimizer, loss, data, coordinates, batch_size)
    return min(optimizer.network_rate, plain)


def _has_bounded_slope(loss: Loss, data: Batch) -> bool:
    """Whether a raw output far off is pulled about as hard as one near the targets."""
    if not loss.has_gradient:
        return False
    y = data.y[:: _stride(data.X)].astype(np.float64)
    size = 1.0 + float(np.abs(y).max())

    def steepest(raw: float) -> float:
        return max(float(np.abs(loss.gradient(y, np.full_like(y, s * raw))).max()) for s in (-1, 1))

    return steepest(100.0 * size) < 2.0 * steepest(size)


def _curvature(
    optimizer: Optimizer, loss: Loss, data: Batch, coordinates: Coordinates, batch_size: int
) -> float:
    """Bound L on the second derivative of J by u along any unit direction."""
    n = data.X.shape[0]
    largest, mean_square = _spectrum(data, coordinates)
    if batch_size < n:  # momentum adds up the noise of 1 / (1 - momentum) steps
        largest += mean_square / batch_size / (1.0 - getattr(optimizer, "momentum", 0.0))
    return max(_bend(loss, data, coordinates) * largest, _TINY)


def _bend(loss: Loss, data: Batch, coordinates: Coordinates) -> float:
    """Bound on the second derivative of ``loss / unit`` by a raw output measured in spreads.

    It is 2 for the squared error. A loss that grows linearly bends less than that over the
    spread of y, whatever its bound at the kink; it is taken for the parabola of equal height.
    """
    bound = loss.curvature(coordinates.model.n_outputs)
    if coordinates.spread is None:
        bend = _bend_at_start(loss, data, coordinates) if bound is None else bound
        return bend / coordinates.unit
    in_spreads = float(np.max(coordinates.spread)) ** 2 / coordinates.unit
    if bound is not None:
        bend = bound * in_spreads
        known = loss.any_rows or coordinates.model.n_outputs == 1
        return min(bend, 2.0) if known and loss.in_units_of_y else bend
    if loss.smooth:
        return _bend_at_start(loss, data, coordinates) * in_spreads
    return 2.0


def _bend_at_start(loss: Loss, data: Batch, coordinates: Coordinates) -> float:
    """Second derivative of a loss without a bound on it, at the constant model.

    Twice the value, since it may grow (exp); one where the loss has kinks.
    """
    if not loss.smooth:
        return coordinates.unit
    raw = np.zeros(data.y.shape)
    if coordinates.centre is not None:
        raw += coordinates.centre
    y, h = data.y.astype(np.float64), 1e-3
    above, below = (loss.gradient(y, raw + d) for d in (h, -h))
    bend = float(np.average(above - below, axis=0, weights=data.weight).max()) / (2 * h)
    return 2.0 * max(bend, 0.0)


def _stride(X: Any) -> int:
    return -(-X.shape[0] // _SAMPLE)


def _spectrum(data: Batch, coordinates: Coordinates) -> tuple[float, float]:
    """Largest eigenvalue and trace of ``Z^T Z / n`` for the inputs Z in the coordinates of u.

    The trace is the mean square length of a row. A column of ones stands for the intercept.
    """
    stride = _stride(data.X)
    X = data.X[::stride].astype(np.float64)
    weight = np.ones(X.shape[0])
    if data.weight is not None:
        weight = data.weight[::stride].astype(np.float64)
    weight = weight / weight.sum()
    mean, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    if coordinates.mean is not None and coordinates.scale is not None:
        mean = coordinates.mean.astype(np.float64)
        scale = coordinates.scale.astype(np.float64)
    # What is alike in all rows: the ones, and the columns that are zero in all of these rows.
    alike = float(coordinates.model.fit_intercept)
    if issparse(X):
        mean = mean / scale
        X.data /= scale[X.indices]
        X, present = _without_empty_columns(X)
        absent = mean.copy()
        absent[present] = 0.0
        alike += float(absent @ absent)
        mean = mean[present]
        lengths = X.multiply(X).sum(axis=1).A1 - 2.0 * (X @ mean) + mean @ mean
    else:
        X = (X - mean) / scale
        lengths = np.square(X).sum(axis=1)
        mean = np.zeros(X.shape[1])

    # Power iteration by r = Z v, which has an entry for each row, where v has one for each column.
    # It begins with a v (the last is the intercept's): the order of the rows makes no difference.
    v, v_last = np.split(np.random.default_rng(0).standard_normal(X.shape[1] + 1), [-1])
    r = X @ v - mean @ v + math.sqrt(alike) * v_last
    transposed, eigenvalue = X.T, 0.0
    for _ in range(_POWER_ITERATIONS):
        s = weight * r / max(math.sqrt(weight @ np.square(r)), _TINY)
        v = transposed @ s - mean * s.sum()
        r = X @ v - mean @ v + alike * s.sum()  # Z Z^T s
        before, eigenvalue = eigenvalue, math.sqrt(weight @ np.square(r))  # rises to the largest
        if eigenvalue - before <= _PRECISION * eigenvalue:
            break
    return eigenvalue, alike + float(weight @ lengths)


def _without_empty_columns(X: Any) -> tuple[Any, np.ndarray]:
    """CSR matrix of the columns that have entries, and which these are."""
    is_present = np.zeros(X.shape[1], dtype=bool)
    is_present[X.indices] = True
    present = np.flatnonzero(is_present)
    number = np.empty(X.shape[1], dtype=X.indices.dtype)
    number[present] = np.arange(len(present))
    return csr_matrix((X.data, number[X.indices], X.indptr), (X.shape[0], len(present))), present
