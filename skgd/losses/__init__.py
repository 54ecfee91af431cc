"""Losses: how wrong one raw output is, for each sample, and the derivative by hand.

A loss takes the model's *raw* output, before any link. The link (exp for counts, the
logistic function or softmax for classes) is part of the loss, so that the two can be
written together in a form that neither overflows nor cancels.

Every loss is written twice, and the two check each other. `Loss.value` is plain NumPy: run
on traced arrays it becomes a computation graph, whose derivative back-propagation finds.
`Loss.gradient` is the derivative worked out with pencil and paper.

Shapes: for one regression target and for two classes, `y` and `raw` are (n,), with y in
{0, 1} for classes; for more outputs or classes both are (n, K), with one-hot y. The value is
one number per sample, (n,), summed over the outputs. Arrays of float32 stay float32.
"""

from skgd.losses.base import Loss
from skgd.losses.base import _per_sample as _per_sample  # for losses of one's own
from skgd.losses.counts import Gamma, Poisson
from skgd.losses.margins import Hinge, ModifiedHuber, Perceptron, SquaredHinge
from skgd.losses.probabilities import Focal, LogLoss
from skgd.losses.regression import (
    AbsoluteError,
    EpsilonInsensitive,
    Huber,
    LogCosh,
    Quantile,
    SquaredEpsilonInsensitive,
    SquaredError,
)
from skgd.losses.table import LOSSES, losses_for

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "EpsilonInsensitive",
    "Focal",
    "Gamma",
    "Hinge",
    "Huber",
    "LogCosh",
    "LogLoss",
    "Loss",
    "ModifiedHuber",
    "Perceptron",
    "Poisson",
    "Quantile",
    "SquaredEpsilonInsensitive",
    "SquaredError",
    "SquaredHinge",
    "losses_for",
]
