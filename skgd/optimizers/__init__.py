r"""Optimizers: the part that learns.

A gradient says which way is uphill, and nothing more; whoever computes it (by a formula, by
back-propagation, by measurement) has learned nothing yet. The optimizer is what learns: it turns
a gradient into the next theta. All rules here are variations of the first one,

    theta <- theta - learning_rate * gradient,

and they are sorted from simple to complex. `SGD` is that line. `Momentum` and `Nesterov` remember
where they were going. `Adagrad`, `Adadelta` and `RMSprop` divide by the size that each
coordinate's gradients have had. The Adam family does both. `Lion` and `Rprop` keep the sign of
the gradient alone. `LBFGS`, last, is no update rule at all: it is a solver that asks for as many
gradients as it needs.

Where torch.optim and other libraries differ, the rule and its defaults are those of torch.optim.
"""

from skgd.optimizers.adam import Adam, Adamax, AdamW, AMSGrad, NAdam, RAdam
from skgd.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from skgd.optimizers.arithmetic import _descend as _descend  # for rules of one's own
from skgd.optimizers.arithmetic import _scratch as _scratch
from skgd.optimizers.base import Optimizer
from skgd.optimizers.lbfgs import LBFGS
from skgd.optimizers.momentum import SGD, Momentum, Nesterov
from skgd.optimizers.sign import Lion, Rprop
from skgd.optimizers.table import OPTIMIZERS, resolve_optimizer

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "AMSGrad",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Momentum",
    "NAdam",
    "Nesterov",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "resolve_optimizer",
]
