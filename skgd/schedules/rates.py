"""learning_rate="auto": a rate from the data, so that nobody has to tune one to begin.

Every optimizer says how far it likes to step (`linear_rate`, `network_rate`) in coordinates in
which inputs, outputs and J are of order one. For a linear model there are two kinds:

- A rule whose steps grow with the gradient (sgd, momentum, nesterov) is stable only below a
  multiple of ``1/L``, where L bounds the curvature of J, so its rate is in units of 1/L:
  ``L <= loss'' lambda_max(X^T X / n) + alpha``, and a mini-batch of b rows adds the noise of its
  own curvature, ``mean ||x||^2 / b`` (expected smoothness: Gower et al. 2019, Prop. 3.8).
- A rule that divides the gradient by its own size (Adam and its kin) moves every coordinate by
  about the rate. The raw output then moves by up to the rate times ``||x||``, which is about
  ``sqrt(1 + n_features)``; its rate is in units of one over that.

Mini-batches differ, and at a constant rate the parameters never come to rest: J of a linear model
stays some per cent above its minimum. `automatic_schedule` lets the rate fall as ``1 / t`` after
some hundred steps, which is the fastest fall that still reaches the minimum of a strongly convex J
(Robbins & Monro 1951; Bottou, Curtis & Nocedal 2018, theorem 4.7), whatever the tails of the data.
`automatic_average` keeps the average of the parameters beside them, which comes there sooner
(Polyak & Juditsky 1992); not where exact zeros would be lost, with an L1 term or bounds.

The curvature of a network has no useful bound: there the rates are the optimizer's own, and
follow the width k of its layers as ``1 / sqrt(k)``, since k units move an output together. J has no
known speed either: the rate falls to a tenth where J has not moved for some epochs (`Plateau`).
"""

from __future__ import annotations

import math

import numpy as np

from skgd.averaging import Averaging, Polynomial
from skgd.losses import Loss
from skgd.objective import Batch, FeedForward, Objective
from skgd.objective.coordinates import Coordinates
from skgd.optimizers import LBFGS, Optimizer
from skgd.schedules.base import Schedule
from skgd.schedules.falling import Constant, InvScaling
from skgd.schedules.plateau import Plateau
from skgd.schedules.spectrum import spectrum, stride_of

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
    optimizer: Optimizer,
    objective: Objective,
    data: Batch,
    coordinates: Coordinates,
    batch_size: int,
    noisy: bool,
) -> float:
    """Learning rate for this optimizer in these coordinates.

    Parameters
    ----------
    optimizer : Optimizer
    objective : Objective
    data : Batch
        All training rows.
    coordinates : Coordinates
    batch_size : int
    noisy : bool
        Whether a batch is a part of the rows.

    Returns
    -------
    rate : float
    """
    model = coordinates.model
    if model.hidden_layer_sizes:
        return _network_rate(optimizer, objective.loss, model)
    if not optimizer.scale_free:
        bend = _curvature(optimizer, objective, data, coordinates, batch_size, noisy)
        return optimizer.linear_rate / bend
    return float(optimizer.linear_rate / np.sqrt(1 + model.n_features))


def _network_rate(optimizer: Optimizer, loss: Loss, model: FeedForward) -> float:
    width = max(model.hidden_layer_sizes)
    return optimizer.network_rate * _NETWORK_FACTORS[loss.task] * math.sqrt(_WIDTH / width)


def automatic_average(
    optimizer: Optimizer | LBFGS, objective: Objective, batch_size: int, noisy: bool, bounded: bool
) -> Averaging | None:
    """Average of the parameters for an automatic rate: where the noise of mini-batches remains.

    Parameters
    ----------
    optimizer : Optimizer or LBFGS
    objective : Objective
    batch_size : int
        Rows of a batch.
    noisy : bool
        Whether a batch is a part of the rows.
    bounded : bool
        Whether there are bounds on the weights.

    Returns
    -------
    averaging : Averaging or None
        None for networks too: between two of their minima may be a hill.
    """
    linear = not objective.model.hidden_layer_sizes
    exact = bounded or objective.l1_strength > 0.0  # weights at a bound or at zero
    averaged = linear and not exact and noisy and not _comes_to_rest(optimizer)
    return Polynomial(after=_STEPS_FROM_START * batch_size) if averaged else None


def automatic_schedule(
    optimizer: Optimizer | LBFGS, model: FeedForward, noisy: bool, one_pass: bool = False
) -> Schedule:
    """Schedule for an automatic rate: a fall where the noise of mini-batches would remain.

    Parameters
    ----------
    optimizer : Optimizer or LBFGS
    model : FeedForward
    noisy : bool
        Whether a batch is a part of the rows.
    one_pass : bool
        Whether nobody knows if other rows will follow, whose J cannot be compared.

    Returns
    -------
    schedule : Schedule
    """
    if not noisy or _comes_to_rest(optimizer):
        return Constant()
    if model.hidden_layer_sizes:
        return Constant() if one_pass else Plateau()
    least, most = _STEPS_AT_FULL_RATE
    return InvScaling(power_t=1.0, after=min(max(least, model.n_features), most))


def _comes_to_rest(optimizer: Optimizer | LBFGS) -> bool:
    return isinstance(optimizer, LBFGS) or optimizer.slows_down or optimizer.full_batch_only


def automatic_patience(falling: bool, n_steps: int) -> int:
    """Epochs without progress after which no progress is expected any more.

    Parameters
    ----------
    falling : bool
        Whether the rate falls as 1/t. J then comes to rest: at a constant rate a
        lucky epoch is followed by many that are not, and most of those are to be waited for.
    n_steps : int
        Steps of an epoch.

    Returns
    -------
    n_epochs : int
    """
    if not falling:
        return _PATIENCE
    return min(_PATIENCE, max(_LEAST_PATIENCE, math.ceil(_STEPS_WATCHED / n_steps)))


def cautious_rate(
    optimizer: Optimizer,
    objective: Objective,
    data: Batch,
    coordinates: Coordinates,
    batch_size: int,
) -> float:
    """Rate to try after a divergence, in the coordinates of the data, for a number of the user's.

    A scale-free step is as long whatever the data are: its usual rate will do. Any other grows
    with the rows x. A step of gradient descent changes the weights of a unit by the rate, times
    ``||x||``, times the slope of the loss. Where that is bounded, a rate of ``1 / ||x||`` suits
    weights of order one; else it grows with the outputs, as ``||x||`` too. `coordinates` are
    those of the data, neither centred nor scaled.
    """
    model, loss = coordinates.model, objective.loss
    noisy = batch_size < data.X.shape[0]
    if not optimizer.scale_free:
        if not model.hidden_layer_sizes:
            return automatic_rate(optimizer, objective, data, coordinates, batch_size, noisy)
        square = 1.0 + spectrum(data, coordinates)[1]
        length = math.sqrt(square) if _has_bounded_slope(loss, data) else square
        return _CAUTIOUS * _network_rate(optimizer, loss, model) / length
    if model.hidden_layer_sizes:
        return _network_rate(optimizer, loss, model)
    if not optimizer.starts_plain:
        return optimizer.network_rate
    plain = 1.0 / _curvature(optimizer, objective, data, coordinates, batch_size, noisy)
    return min(optimizer.network_rate, plain)


def _has_bounded_slope(loss: Loss, data: Batch) -> bool:
    """Whether a raw output far off is pulled about as hard as one near the targets."""
    if not loss.has_gradient:
        return False
    y = data.y[:: stride_of(data.X)].astype(np.float64)
    size = 1.0 + float(np.abs(y).max())

    def steepest(raw: float) -> float:
        return max(float(np.abs(loss.gradient(y, np.full_like(y, s * raw))).max()) for s in (-1, 1))

    return steepest(100.0 * size) < 2.0 * steepest(size)


def _curvature(
    optimizer: Optimizer,
    objective: Objective,
    data: Batch,
    coordinates: Coordinates,
    batch_size: int,
    noisy: bool,
) -> float:
    """Bound L on the second derivative of J by u along any unit direction."""
    largest, mean_square = spectrum(data, coordinates)
    if noisy:  # momentum adds up the noise of 1 / (1 - momentum) steps
        largest += mean_square / batch_size / (1.0 - getattr(optimizer, "momentum", 0.0))
    bend = _bend(objective.loss, data, coordinates) * largest
    bend += _bend_of_penalty(objective.l2_strength, coordinates)
    return max(bend, float(np.finfo(float).tiny))


def _bend_of_penalty(strength: float, coordinates: Coordinates) -> float:
    """Largest second derivative of the L2 term by u: along the weight that moves most."""
    root = math.sqrt(strength / coordinates.unit)  # scales and spreads may be too large to square
    if coordinates.scale is not None:
        root /= float(np.min(coordinates.scale))
    if coordinates.spread is not None:
        root *= float(np.max(coordinates.spread))
    return root * root


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
