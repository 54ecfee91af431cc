"""What a training that did not end well is told about, and what to try."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgd.descent import Plan, stopping
from skgd.estimators.training import Training, coordinates_for
from skgd.exceptions import DivergenceWarning
from skgd.optimizers import LBFGS
from skgd.schedules.rates import cautious_rate


def advice(
    training: Training, name: str, learning_rate: Any
) -> Iterator[tuple[str, type[Warning]]]:
    """Warnings after a training: text and category.

    Parameters
    ----------
    training : Training
        It is over.
    name : str
        Name of the estimator.
    learning_rate : float or "auto"
        As the user gave it.

    Yields
    ------
    message : str
    category : type of Warning
    """
    plan, reason = training.plan, training.progress.stop_reason
    if training.progress.bottomless():
        yield f"{name} {_no_bound(training)}", DivergenceWarning
    elif reason == stopping.MAX_ITER and plan.tol is not None and plan.n_steps is not None:
        # (One pass of partial_fit is not asked to converge.)
        yield f"{name} {_not_converged(plan, learning_rate)}", ConvergenceWarning
    elif reason == stopping.DIVERGED:
        with np.errstate(all="ignore"):
            message = f"{name} {_divergence(training, learning_rate)}"
        yield message, DivergenceWarning
    alpha = training.fitting_alpha()
    if alpha is not None:
        yield f"alpha={training.objective.alpha:g} {_outweighs(training, alpha)}", UserWarning


def _not_converged(plan: Plan, learning_rate: Any) -> str:
    """Say what was not reached, and what would help."""
    reached = f"reached max_iter={plan.max_iter} before"
    off = "or switch this stopping rule off with tol=None."
    if plan.early_stopping:
        return (
            f"{reached} the validation score stopped improving by tol={plan.tol:g} for "
            f"{plan.n_iter_no_change} epochs: raise max_iter, {off}"
        )
    if isinstance(plan.optimizer, LBFGS):
        return (
            f"{reached} every entry of the gradient was at most tol={plan.tol:g}, which is what "
            'tol bounds for optimizer="lbfgs": raise max_iter, or tol if this is near enough.'
        )
    reached += f" the loss stopped improving by tol={plan.tol:g}"
    if isinstance(learning_rate, str):
        return f"{reached}: raise max_iter, {off}"
    return (
        f"{reached}: raise max_iter, or the learning rate if the loss falls steadily, {off} "
        'learning_rate="auto" chooses a rate.'
    )


def _no_bound(training: Training) -> str:
    return (
        f"brought the loss down to {training.progress.best_loss:.3g}, as if it had no lower "
        "bound. A loss is made small: of a score, which should be large, return the negative."
    )


def _outweighs(training: Training, alpha: float) -> str:
    return (
        f"outweighs {training.objective.loss!r}: the penalty bends J more than ten times as much "
        "as the loss does, and the model hardly differs from a constant. Try "
        f"alpha={alpha:g}, or columns on a larger scale."
    )


def _divergence(training: Training, learning_rate: Any) -> str:
    """Say what happened to a training that diverged, and what to try."""
    plan, progress = training.plan, training.progress
    largest = float(abs(training.data.X).max())
    epoch = progress.failed_epoch or progress.epoch
    text = (
        f"diverged in epoch {epoch} at learning rate {plan.learning_rate:g} (the largest feature "
        f"value is {largest:.3g}); the last good parameters were restored."
    )
    if getattr(training.gradient_of, "is_flat", False):
        return (
            text + " The loss has steps, which small differences see as flat or infinitely steep: "
            'use gradient=Numeric(method="smoothed").'
        )
    if isinstance(plan.optimizer, LBFGS):
        return text + " Scale the features."
    plain = coordinates_for(
        training.objective, training.data, standardise=False, together=not plan.optimizer.scale_free
    )
    safe = cautious_rate(plan.optimizer, training.objective, training.data, plain, plan.batch_size)
    number = _rounded_down(min(safe, plan.learning_rate / 10))
    text += f" Try learning_rate={number:g}"
    return text + (", and scale the features." if learning_rate == "auto" else ' or "auto".')


def _rounded_down(x: float) -> float:
    """X to one digit, not above it."""
    power = 10.0 ** np.floor(np.log10(x))
    return float(f"{np.floor(x / power) * power:.1g}")
