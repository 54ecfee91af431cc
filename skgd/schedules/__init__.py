r"""Schedules: how the learning rate moves while the training goes on.

A schedule multiplies the learning rate. It is asked before each step for a factor:

    rate = learning_rate * schedule(step, n_steps, losses)

``step`` counts the optimizer's steps from 0, ``n_steps`` is how many the whole training plans,
and ``losses`` holds the losses of the epochs that are over. The factor is 1 where the schedule
leaves the rate as the user gave it. A schedule keeps no state: the same arguments give the same
factor, so a training can be resumed, and a schedule can be plotted without training anything.

Some schedules need the horizon ``n_steps``. Where it is unknown (`partial_fit` has no planned
end), it is a parameter of the schedule: ``Cosine(n_steps=10_000)``. After its end they stay at
their last value.
"""

from skgd.schedules.base import Schedule
from skgd.schedules.cycles import OneCycle, WarmRestarts
from skgd.schedules.falling import Constant, Cosine, Exponential, InvScaling, StepDecay
from skgd.schedules.plateau import Plateau
from skgd.schedules.table import SCHEDULES, FromCallable, PerEpoch, Warmup, resolve_schedule

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Exponential",
    "FromCallable",
    "InvScaling",
    "OneCycle",
    "PerEpoch",
    "Plateau",
    "Schedule",
    "StepDecay",
    "WarmRestarts",
    "Warmup",
    "resolve_schedule",
]
