"""The table of losses."""

from __future__ import annotations

from skgd.losses.base import LOSSES, Loss
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

LOSSES.update(
    {
        "squared_error": SquaredError,
        "absolute_error": AbsoluteError,
        "huber": Huber,
        "epsilon_insensitive": EpsilonInsensitive,
        "squared_epsilon_insensitive": SquaredEpsilonInsensitive,
        "quantile": Quantile,
        "log_cosh": LogCosh,
        "poisson": Poisson,
        "gamma": Gamma,
        "log_loss": LogLoss,
        "hinge": Hinge,
        "squared_hinge": SquaredHinge,
        "modified_huber": ModifiedHuber,
        "perceptron": Perceptron,
        "focal": Focal,
    }
)


def losses_for(task: str) -> dict[str, type[Loss]]:
    """Rows of `LOSSES` that serve one task.

    Parameters
    ----------
    task : {"regression", "classification"}

    Returns
    -------
    losses : dict of str to class

    Examples
    --------
    >>> from skgd.losses import losses_for
    >>> list(losses_for("classification"))[:2]
    ['log_loss', 'hinge']
    """
    return {name: loss for name, loss in LOSSES.items() if loss.task == task}
