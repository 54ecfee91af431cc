"""Warnings of skgd."""

from sklearn.exceptions import ConvergenceWarning

__all__ = ["DivergenceWarning"]


class DivergenceWarning(ConvergenceWarning):
    """The training moved away from the minimum and was stopped.

    The model keeps the last good parameters (of the lowest loss, or the start), so it stays
    usable. The message names the epoch, the learning rate, the largest feature scale
    and a rate to try.
    """
