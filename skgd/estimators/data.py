"""What fit and its siblings are given, checked: rows, their weights, rows kept back, theta."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import validate_data

from skgd._threads import is_large
from skgd.constraints import Constraint
from skgd.estimators.parameters import Components
from skgd.estimators.sample_weight import checked_weight
from skgd.estimators.validation import check_finite
from skgd.losses import Loss
from skgd.objective import Batch, FeedForward


def check_data(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    loss: Loss,
    *,
    reset: bool,
    classes: Any = None,
    partial: bool = False,
    finite: bool = True,
    like: Batch | None = None,
) -> Batch:
    """Validate; return the rows with encoded targets and sample weights.

    `like` are the rows being learned from, where these are to judge by. `finite` is False
    where a large X will be found out later (see `check_finite`).
    """
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse="csr",
        dtype=[np.float64, np.float32],
        order="C",
        multi_output=estimator._takes_columns(y),
        y_numeric=estimator._task == "regression",
        reset=reset,
        ensure_all_finite=not is_large(X),
    )
    if finite and is_large(X):
        check_finite(X, type(estimator).__name__)
    y = estimator._check_target_shape(y)
    weight = None
    if sample_weight is not None:
        weight = checked_weight(sample_weight, X)
        X, y, weight = _drop_weightless(X, y, weight)
    y = estimator._encode(y, X.dtype, reset=reset, classes=classes, partial=partial)
    if not reset:
        n_outputs = estimator._n_outputs() if like is None else _n_columns(like.y)
        if _n_columns(y) != n_outputs:
            raise ValueError(
                f"y has {_n_columns(y)} output(s); the model was fitted with {n_outputs}."
            )
    # Rows to judge by need not be enough to learn from: for poisson, all of them may be 0.
    loss.check_target(y if like is None else np.concatenate([like.y, y]))
    return Batch(X, y, weight)


def check_validation(
    estimator: Any,
    X_val: Any,
    y_val: Any,
    sample_weight_val: Any,
    data: Batch,
    components: Components,
) -> Batch | None:
    """Validate the rows to judge epochs by; None where there are none."""
    if X_val is None and y_val is None and sample_weight_val is None:
        return None
    if X_val is None or y_val is None:
        given = "y_val" if X_val is None and y_val is not None else "X_val"
        given = given if sample_weight_val is None else f"{given} or sample_weight_val"
        raise ValueError(f"X_val and y_val belong together; fit was given only {given}.")
    try:
        held_out = check_data(
            estimator, X_val, y_val, sample_weight_val, components.loss, reset=False, like=data
        )
    except ValueError as error:
        raise ValueError(f"X_val, y_val: {error}") from None
    return held_out.astype(data.X.dtype)


def split_rows(estimator: Any, data: Batch, seed: int) -> tuple[np.ndarray, Batch]:
    """Numbers of the training rows, and the rows kept back."""
    n = data.X.shape[0]
    try:
        train, held_out = train_test_split(
            np.arange(n),
            test_size=estimator.validation_fraction,
            random_state=seed,
            stratify=estimator._strata(data.y),
        )
    except ValueError as error:
        raise ValueError(
            f"early_stopping cannot keep validation_fraction={estimator.validation_fraction} of "
            f"{n} rows back: {error} Set early_stopping=False, or another fraction."
        ) from None
    return train, data.rows(held_out)


def weigh(
    estimator: Any, data: Batch, rows: np.ndarray | None = None, *, partial: bool = False
) -> Batch:
    """Class weights times sample weights, divided by their mean over the training rows.

    Rows that are kept back get weight 0. `partial_fit` sees no mean over all rows: there
    a weight scales the step.
    """
    if rows is None:
        weight = estimator._class_weighted(data.y, data.weight, partial)
    else:
        of_rows = None if data.weight is None else data.weight[rows]
        given = estimator._class_weighted(data.y[rows], of_rows, partial)
        weight = np.zeros(data.X.shape[0])
        weight[rows] = 1.0 if given is None else given
    if weight is None:
        return data
    if not partial:  # the largest first: a sum of large weights may overflow
        weight = weight / weight.max()
        weight *= (len(weight) if rows is None else len(rows)) / weight.sum()
    return data._replace(weight=weight.astype(data.X.dtype))


def check_judged(held_out: Batch, loss: Loss) -> None:
    """Raise where rows to judge by have weights, and the loss, as tried, is of all rows."""
    if held_out.weight is not None and not loss.per_sample:
        raise ValueError(
            f"sample_weight_val cannot be used: {loss!r} returns one number for all rows."
        )


def check_same_labels(before: np.ndarray, now: np.ndarray) -> None:
    """Raise where a training would go on with other classes than it began with."""
    if not np.array_equal(before, now):
        raise ValueError(
            f"warm_start=True goes on with the classes {before!r}, and y has {now!r}: use "
            "warm_start=False, or the same labels."
        )


def as_theta(parameters: Any, model: FeedForward) -> np.ndarray:
    """Return parameters that a user set, if the model takes so many."""
    try:
        theta = np.array(parameters, dtype=np.float64)
    except (TypeError, ValueError):
        theta = np.array(np.nan)
    if theta.shape != (model.n_parameters,) or not np.isfinite(theta).all():
        parts = ", ".join(f"{block.name} {block.shape}" for block in model.blocks)
        raise ValueError(
            f"parameters takes {model.n_parameters} finite numbers for this model ({parts}); "
            f"got an array of shape {theta.shape}."
        )
    return theta


def check_allowed(weights: np.ndarray, constraint: Constraint) -> None:
    """Raise where weights that a user set lie outside of the constraint."""
    low, high = constraint.bounds
    if weights.size and not low <= weights.min() <= weights.max() <= high:
        raise ValueError(
            f"parameters has weights from {weights.min():.4g} to {weights.max():.4g}, and "
            f"constraint={constraint!r} allows [{low:g}, {high:g}]: give others, or "
            "constraint=None."
        )


def _drop_weightless(X: Any, y: np.ndarray, weight: np.ndarray) -> tuple[Any, Any, Any]:
    """Without the rows of weight zero, before anything counts, splits or infers classes."""
    keep = weight > 0
    if keep.all():
        return X, y, weight
    if not keep.any():
        raise ValueError("sample_weight: every weight is zero, so no row is left to learn from.")
    return X[keep], y[keep], weight[keep]


def _n_columns(y: np.ndarray) -> int:
    return 1 if y.ndim == 1 else y.shape[1]
