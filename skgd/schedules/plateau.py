"""The schedule that looks at the loss."""

from __future__ import annotations

import math

from skgd._component import check_number
from skgd.schedules.base import Schedule


class Plateau(Schedule):
    """Falls when the loss has stopped falling.

    It is ``torch.optim.lr_scheduler.ReduceLROnPlateau``: more than `patience` epochs in a row
    whose loss is not below the best one by `threshold` of it, and the rate is multiplied by
    `factor`. The factor is replayed from the losses of all epochs, so there is no state; the
    training loop asks once per epoch.

    Parameters
    ----------
    factor : float, default=0.1
        What each fall multiplies the rate by, in (0, 1).
    patience : int, default=5
        Epochs without progress that are waited out.
    threshold : float, default=1e-4
        Progress that counts, relative to the size of the best loss; in [0, 1).
    min_factor : float, default=0.0
        The lowest factor, in [0, 1].

    Examples
    --------
    >>> from skgd.schedules import Plateau
    >>> plateau = Plateau(patience=1, factor=0.5)
    >>> plateau(0, None, losses=[3.0, 2.0, 2.0]), plateau(0, None, losses=[3.0, 2.0, 2.0, 2.5])
    (1.0, 0.5)
    """

    watches_loss = True

    def __init__(self, factor=0.1, patience=5, threshold=1e-4, min_factor=0.0):
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.min_factor = min_factor

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("factor", self.factor, low=0, high=1, include="neither")
        check_number("patience", self.patience, low=0, integer=True)
        check_number("threshold", self.threshold, low=0, high=1, include="low")
        check_number("min_factor", self.min_factor, low=0, high=1)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        factor, best, waited = 1.0, math.inf, 0
        for loss in losses:
            # |best|, not best: a loss may be negative (a likelihood, a callable of the user's).
            margin = self.threshold * abs(best) if math.isfinite(best) else 0.0
            if loss < best - margin:
                best, waited = loss, 0
            else:
                waited += 1
            if waited > self.patience:
                factor, waited = max(factor * self.factor, self.min_factor), 0
        return float(factor)
