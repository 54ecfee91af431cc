"""What is asked after each epoch: is it the best so far, and shall the training go on."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skgd.descent.log import epoch_line

if TYPE_CHECKING:
    from skgd.descent.plan import Plan
    from skgd.descent.progress import Progress
    from skgd.descent.protocols import Monitor

RUNNING = "not over: these are the parameters at the end of an epoch"
CONVERGED = "converged: no relative improvement above tol for n_iter_no_change epochs"
SMALL_STEP = "converged: theta moved by less than step_tol of its length in an epoch"
SMALL_GRADIENT = "converged: the norm of the gradient fell below gradient_tol"
SOLVED = "converged: the solver's own test was met"
NO_LOWER_POINT = "stopped: the solver's line search found no lower point"
NO_BETTER_SCORE = "stopped early: the validation score did not improve for n_iter_no_change epochs"
MAX_ITER = "max_iter reached: the training took all the epochs that it was given"
MAX_TIME = "max_time reached: the training took the seconds that it was given"
MAX_EVALS = "max_evals reached: J was evaluated as often as it may be"
DIVERGED = "diverged: the last good parameters were restored"
INTERRUPTED = "interrupted by the user: the parameters learned so far are kept"
FAILED = "stopped by an error, with the parameters learned so far: {error!r}"

# Reasons after which a training that is resumed goes on, if there is room for more.
GOES_ON = {RUNNING, MAX_ITER, MAX_TIME, MAX_EVALS}

_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Limits:
    """Ends of a training beside its number of epochs and the progress of J; None is no limit.

    Attributes
    ----------
    max_time : float or None
        Seconds.
    max_evals : int or None
        Values of the loss on a batch.
    step_tol : float or None
        Least distance that theta moves in an epoch, relative to its length.
    gradient_tol : float or None
        Least norm of the gradient of an epoch's last batch, by the coordinates of the descent.
    """

    max_time: float | None = None
    max_evals: int | None = None
    step_tol: float | None = None
    gradient_tol: float | None = None

    def reason(self, progress: Progress, before: np.ndarray | None) -> str | None:
        """Return the limit that was reached, or None; `before` is theta an epoch ago."""
        if self.gradient_tol is not None and progress.gradient_norms[-1] <= self.gradient_tol:
            return SMALL_GRADIENT
        if before is not None and self.step_tol is not None:
            theta = progress.parameters()
            length = max(float(np.linalg.norm(theta)), _TINY)
            if float(np.linalg.norm(theta - before)) <= self.step_tol * length:
                return SMALL_STEP
        if self.max_evals is not None and progress.loss_evaluations >= self.max_evals:
            return MAX_EVALS
        if self.max_time is not None and progress.seconds[-1] >= self.max_time:
            return MAX_TIME
        return None


NO_LIMITS = Limits()


class Judge:
    """Looks at each epoch when it is over: keeps the best parameters, and may end the training.

    Parameters
    ----------
    plan : Plan
    progress : Progress
    monitor : callable or None
        ``progress -> (validation loss, validation score)``.
    """

    def __init__(self, plan: Plan, progress: Progress, monitor: Monitor | None) -> None:
        self.plan, self.progress, self.monitor = plan, progress, monitor
        self._warned = False
        self._theta = None if plan.limits.step_tol is None else progress.parameters()

    def after_epoch(self, loss: float, u_of_loss: np.ndarray) -> str | None:
        """Record the epoch and return a reason to stop, or None.

        `u_of_loss` are the parameters at which J was measured last.
        """
        plan, progress = self.plan, self.progress
        previous_best = progress.best_loss
        progressed = self.keep_best(loss, u_of_loss)
        if progress.far_above_start(loss):
            progress.epochs_far_above += 1
            if progress.epochs_far_above >= plan.n_iter_no_change:
                return DIVERGED
        else:
            progress.epochs_far_above = 0
        if progressed is None and plan.tol is not None:
            progressed = not loss > previous_best - plan.tol * max(abs(previous_best), _TINY)
        if progressed is not None and self._waited(progressed):
            if plan.early_stopping:
                return NO_BETTER_SCORE
            # A training that ends well above its start is on its way up, not at rest.
            rising = plan.keep_best and progress.far_above_start(loss, factor=2.0)
            return DIVERGED if rising else CONVERGED
        return self.limit()

    def after_iteration(self, loss: float) -> str | None:
        """Record an iteration of a solver that judges the progress of J itself."""
        improved = self.keep_best(loss, self.progress.u)
        if improved is not None and self._waited(improved):
            return NO_BETTER_SCORE
        return self.limit()

    def limit(self) -> str | None:
        """Return the limit that was reached, or None."""
        reason = self.plan.limits.reason(self.progress, self._theta)
        if self._theta is not None:
            self._theta = self.progress.parameters()
        return reason

    def keep_best(self, loss: float, u_of_loss: np.ndarray) -> bool | None:
        """Keep the parameters of the best epoch. Returns whether the validation score improved.

        None without early stopping: then the training loss tells.
        """
        progress, plan = self.progress, self.plan
        improved = None
        if self.monitor is not None:
            improved = self._validate(self.monitor)
        elif progress.validation_losses:  # a pass of partial_fit without validation data
            progress.validation_losses.append(math.nan)
            progress.validation_scores.append(math.nan)
        if loss < progress.best_loss:
            progress.best_loss = loss
            if improved is None:
                progress.best_u = u_of_loss.copy()
        if plan.verbose:
            print(epoch_line(progress.last_epoch()))
        return improved

    def _validate(self, monitor: Monitor) -> bool | None:
        progress, plan = self.progress, self.plan
        loss = score = math.nan
        try:
            loss, score = monitor(progress)
        finally:  # a scorer may fail: the lists stay of equal length
            missed = len(progress.losses) - 1 - len(progress.validation_losses)
            progress.validation_losses += [math.nan] * missed + [loss]
            progress.validation_scores += [math.nan] * missed + [score]
        if not plan.early_stopping:
            return None
        if not math.isfinite(score):
            self._warn_of(score, loss)
            return False
        best = progress.best_score
        first = not math.isfinite(best)
        if first or score > best:
            progress.best_score = score
            progress.best_u = progress.published_u().copy()
        return first or score > best + (plan.tol or 0.0) * abs(best)

    def _warn_of(self, score: float, loss: float) -> None:
        """Say once that a scorer fails; where the loss is not finite either, J says it."""
        if math.isfinite(loss) and not self._warned:
            self._warned = True
            warnings.warn(
                f"The validation score is {score} in epoch {self.progress.epoch}, which counts as "
                "no improvement: scoring= may not suit these rows.",
                UserWarning,
                stacklevel=2,
            )

    def _waited(self, progressed: bool) -> bool:
        """Count the epochs in a row without progress. Returns whether they are enough."""
        progress = self.progress
        progress.epochs_without_progress = 0 if progressed else progress.epochs_without_progress + 1
        return progress.epochs_without_progress >= self.plan.n_iter_no_change


def ended(plan: Plan, progress: Progress) -> str | None:
    """Return why a training that was stopped, and is to go on, had already ended; or None.

    More epochs, seconds or evaluations may have been allowed since.
    """
    if progress.stop_reason not in GOES_ON:
        return progress.stop_reason
    return plan.limits.reason(progress, None) if progress.losses else None
