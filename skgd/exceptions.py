"""Warnings of skgd."""

import sys
import warnings

from sklearn.exceptions import ConvergenceWarning

__all__ = ["DivergenceWarning"]


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user, who is outside of this package and scikit-learn."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        ("skgd", "sklearn")
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


class DivergenceWarning(ConvergenceWarning):
    """The training moved away from the minimum and was stopped.

    The model keeps the last good parameters (of the lowest loss, or the start), so it stays
    usable. The message names the epoch, the learning rate, the largest feature scale
    and a rate to try.
    """
