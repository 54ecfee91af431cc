"""The table of optimizers, from simple to complex."""

from __future__ import annotations

from skgd._component import Component, resolve
from skgd.optimizers.adam import Adam, Adamax, AdamW, AMSGrad, NAdam, RAdam
from skgd.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from skgd.optimizers.base import Optimizer
from skgd.optimizers.lbfgs import LBFGS
from skgd.optimizers.momentum import SGD, Momentum, Nesterov
from skgd.optimizers.sign import Lion, Rprop

OPTIMIZERS: dict[str, type[Component]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "rmsprop": RMSprop,
    "adam": Adam,
    "amsgrad": AMSGrad,
    "adamw": AdamW,
    "nadam": NAdam,
    "radam": RAdam,
    "adamax": Adamax,
    "lion": Lion,
    "rprop": Rprop,
    "lbfgs": LBFGS,
}


def resolve_optimizer(value: str | Optimizer | LBFGS) -> Optimizer | LBFGS:
    """Turn what the user gave as `optimizer` into an object whose settings are checked.

    Parameters
    ----------
    value : str, Optimizer or LBFGS
        The name of a row of `OPTIMIZERS`, or an object.

    Returns
    -------
    optimizer : Optimizer or LBFGS

    Raises
    ------
    TypeError
        `value` is none of these.
    ValueError
        No row has that name, or a setting is out of its range.

    Examples
    --------
    >>> from skgd.optimizers import resolve_optimizer
    >>> resolve_optimizer("adam")
    Adam()
    """
    solver = value is LBFGS or isinstance(value, LBFGS)
    return resolve("optimizer", value, OPTIMIZERS, LBFGS if solver else Optimizer)
