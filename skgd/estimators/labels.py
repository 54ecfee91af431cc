"""What a y of several columns means to a classifier: labels that a row has, or their shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from skgd.losses import LOSSES, LogLoss, Loss
from skgd.losses.function_loss import FunctionLoss
from skgd.losses.output_activation import OutputActivation
from skgd.losses.per_label import PerLabel

ONE = "one label for each row"
SEVERAL = "several labels for each row"
SHARES = "probabilities of the labels"
_SUM = 1e-4  # by which the probabilities of a row may miss 1


def has_columns(y: Any) -> bool:
    """Whether y has more than one column."""
    if not hasattr(y, "shape"):
        first = y[0] if isinstance(y, (list, tuple)) and len(y) else None
        return isinstance(first, (list, tuple, np.ndarray)) and len(first) > 1
    return len(y.shape) == 2 and y.shape[1] > 1


def as_columns(y: Any) -> np.ndarray:
    """Return y as a dense array of numbers.

    Raises
    ------
    ValueError
        It holds something else.
    """
    y = y.toarray() if sparse.issparse(y) else np.asarray(y)
    try:
        return y.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{_TAKES} y has {y.shape[1]} columns and {y.dtype} entries.") from None


def kind_of(y: np.ndarray, known: str | None = None) -> str:
    """Say what the columns of y are.

    Parameters
    ----------
    y : ndarray of shape (n, K)
    known : str or None
        What they were in an earlier call.

    Returns
    -------
    kind : str

    Raises
    ------
    ValueError
        They are neither indicators nor probabilities, or not what they were.
    """
    if known == ONE:
        raise ValueError(
            f"y has {y.shape[1]} columns, and the model was fitted with {ONE}: give y of shape "
            "(n_samples,)."
        )
    if known != SHARES and np.all((y == 0) | (y == 1)):
        return SEVERAL
    totals = y.sum(axis=1)
    wrong = np.flatnonzero(~((y >= 0).all(axis=1) & (np.abs(totals - 1) <= _SUM)))
    if known != SEVERAL and not len(wrong):
        return SHARES
    row = wrong[0] if len(wrong) else int(np.flatnonzero(((y != 0) & (y != 1)).any(axis=1))[0])
    was = f" The model was fitted with {known}." if known else ""
    raise ValueError(f"{_TAKES} Row {row} is {y[row]}, with the sum {totals[row]:.6g}.{was}")


_TAKES = (
    "y of shape (n_samples, n_labels) takes either 0 and 1 alone (1 for each label that a row "
    "has), or probabilities of the labels, each row with the sum 1. For several targets that have "
    "classes of their own use sklearn.multioutput.MultiOutputClassifier."
)


def loss_for(loss: Loss, kind: str) -> Loss:
    """Return the loss for y of this kind.

    Raises
    ------
    ValueError
        The loss has no meaning for probabilities.
    """
    goes_with_any = isinstance(loss, (FunctionLoss, OutputActivation))
    if kind == SEVERAL and not goes_with_any:
        sums_over_labels = type(loss) in LOSSES.values() and not loss.has_proba
        return loss if sums_over_labels else PerLabel(loss)
    if kind == SHARES and not goes_with_any and not isinstance(loss, LogLoss):
        raise ValueError(
            f"y holds {SHARES}, and {loss!r} takes whole labels: use loss='log_loss', or a "
            "function loss(y_true, raw)."
        )
    return loss
