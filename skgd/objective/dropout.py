"""Dropout: at each step of the training other hidden units are left out, at random.

A mask has an entry for each row of a batch and each unit of a hidden layer: 0 where the unit is
left out, ``1 / (1 - rate)`` where it stays, so that its mean is 1 and the trained network needs
no correction ("inverted" dropout). The masks of a step are data. They go along with the batch, so
that all who evaluate J on it (the formula, the graph, each single measurement of a difference)
look at the same thinned network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skgd._component import check_number
from skgd.objective.batch import Batch

_STREAM = 1  # of random numbers: rows are shuffled by others


def dropout_rates(dropout: Any, n_hidden: int) -> tuple[float, ...]:
    """Rates of the hidden layers, from the parameter `dropout`.

    Parameters
    ----------
    dropout : float or sequence of float
        One rate in [0, 1), or one for each hidden layer.
    n_hidden : int
        Hidden layers.

    Returns
    -------
    rates : tuple of float

    Raises
    ------
    ValueError, TypeError
        A rate is out of its range, or there is not one for each layer.

    Examples
    --------
    >>> from skgd.objective.dropout import dropout_rates
    >>> dropout_rates(0.5, 2), dropout_rates([0.2, 0.5], 2)
    ((0.5, 0.5), (0.2, 0.5))
    """
    if not isinstance(dropout, (list, tuple)):
        check_number("dropout", dropout, low=0, high=1, include="low")
        return (float(dropout),) * n_hidden
    if len(dropout) != n_hidden:
        raise ValueError(
            f"dropout takes one rate, or one for each of the {n_hidden} hidden layers; "
            f"got {len(dropout)}."
        )
    for rate in dropout:
        check_number("dropout", rate, low=0, high=1, include="low")
    return tuple(float(rate) for rate in dropout)


@dataclass(frozen=True)
class Dropout:
    """Masks for each step of a training, which depend on its seed and the step's number alone.

    So a training that goes on sees the masks of one that was never stopped, and any gradient
    source those of any other.

    Parameters
    ----------
    rates : tuple of float
        The share of units to leave out, for each hidden layer.
    sizes : tuple of int
        Units of each hidden layer.
    seed : int

    References
    ----------
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, "Dropout: a simple
    way to prevent neural networks from overfitting", *JMLR* 15, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.objective.dropout import Dropout
    >>> from skgd.objective import Batch
    >>> batch = Batch(np.ones((1000, 3)), np.ones(1000), None)
    >>> (mask,) = Dropout(rates=(0.75,), sizes=(8,), seed=0).masked(batch, step=0).masks
    >>> mask.shape, np.unique(mask).tolist(), bool(abs(mask.mean() - 1) < 0.1)
    ((1000, 8), [0.0, 4.0], True)
    """

    rates: tuple[float, ...]
    sizes: tuple[int, ...]
    seed: int

    def masked(self, batch: Batch, step: int) -> Batch:
        """Return the batch with the masks of this step."""
        rng = np.random.default_rng([self.seed, step, _STREAM])
        n, dtype = batch.X.shape[0], batch.X.dtype
        masks = []
        for rate, size in zip(self.rates, self.sizes, strict=True):
            kept = rng.random((n, size), dtype=np.float32) >= rate
            masks.append(np.multiply(kept, 1.0 / (1.0 - rate), dtype=dtype))
        return batch._replace(masks=tuple(masks))
