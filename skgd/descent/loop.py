"""THE loop: theta <- theta - rate * grad J(theta), again and again, until it stops moving.

Gradient source and optimizer meet here and nowhere else. `partial_fit` is this loop with
one epoch and an old optimizer state; the full batch is one batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from skgd.descent.batches import Batches
from skgd.descent.epochs import Epochs
from skgd.descent.plan import Plan
from skgd.descent.progress import Progress, start_of_clock
from skgd.descent.protocols import BeforeEpoch, Engine, Function, Monitor, OnEpoch
from skgd.descent.solver import solve
from skgd.descent.stopping import (
    CONVERGED,
    DIVERGED,
    FAILED,
    INTERRUPTED,
    MAX_ITER,
    NO_BETTER_SCORE,
    RUNNING,
    Judge,
    ended,
)
from skgd.gradients.base import GradientFunction
from skgd.optimizers import LBFGS


def descend(
    objective: Function,
    gradient_of: GradientFunction,
    batches: Batches,
    plan: Plan,
    progress: Progress,
    monitor: Monitor | None = None,
    on_epoch: OnEpoch | None = None,
    before_epoch: BeforeEpoch | None = None,
    engine: Engine | None = None,
) -> None:
    """Train for at most `plan.max_iter` epochs; `progress` is changed in place.

    ============================== ==================================================
    end                            parameters
    ============================== ==================================================
    max_iter, or the solver's test the last
    no progress of J               those of the lowest J (the average, where one is kept)
    early stopping                 those of the best validation score
    `on_epoch` said so             the last, unless early stopping is on
    diverged                       those of the lowest J, or the start where it is lower
    Ctrl-C, or an error            the last; as after a divergence if they are lost
    ============================== ==================================================

    Parameters
    ----------
    objective : Function
        What is made small, such as an `Objective`.
    gradient_of : callable
        The bound gradient source.
    batches : Batches
        The training rows; the weights are divided by their mean.
    plan : Plan
    progress : Progress
    monitor : callable or None
        ``progress -> (validation loss, validation score)``, called after each epoch.
    on_epoch : callable or None
        ``progress -> reason``, called after each epoch when it has been recorded. A string ends
        the training and becomes its `stop_reason`, before any other; None lets it go on.
    before_epoch : callable or None
        Called with `progress` before each epoch.
    engine : callable or None
        Makes the `EpochTaker`; None is `Epochs`.

    Raises
    ------
    BaseException
        Whatever is raised on the way (Ctrl-C, a user's schedule) is raised again, after
        `progress` was brought into a usable state.
    """
    solver = isinstance(plan.optimizer, LBFGS)
    walk = solve if solver else partial(_walk, engine=engine or Epochs)
    if plan.average is None:  # an earlier pass may have averaged
        progress.averaged, progress.n_averaged = None, 0
    already = None
    if progress.start_u is None:  # else it goes on from where it was stopped
        progress.start_u = progress.u.copy()
    else:
        already = ended(plan, progress)
    progress.stop_reason = RUNNING
    start = progress.start_u
    some_rows = batches.first()

    def loss_at(u: np.ndarray) -> float:
        theta = progress.coordinates.to_theta(u, out=np.empty_like(u))
        return objective.value(theta, some_rows)

    def lost() -> bool:
        loss = loss_at(progress.published_u())
        return progress.far_above_start(loss) and progress.far_above_start(loss, loss_at(start))

    with np.errstate(all="ignore"):  # non-finite values are looked for, and handled
        if plan.n_steps is None and progress.first_loss is not None:
            # A first part of few rows may be fitted almost exactly, and says little of the next.
            loss_of_start = loss_at(start)
            if math.isfinite(loss_of_start):
                progress.first_loss = max(progress.first_loss, loss_of_start)
        try:
            progress.stop_reason = already or walk(
                objective,
                gradient_of,
                batches,
                plan,
                progress,
                Judge(plan, progress, monitor),
                on_epoch,
                before_epoch,
            )
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            progress.stop_reason = INTERRUPTED if interrupted else FAILED.format(error=error)
            if lost():
                _restore_last_good(progress, start, loss_at)
            raise
        finally:
            progress.start_u = None  # the training is over
        one_pass = plan.n_steps is None
        if _ends_past_best(plan, progress, one_pass):
            _restore_best(progress)
        # No loss has judged the last step yet.
        # The passes of partial_fit see different rows: their losses are not compared.
        never_better = plan.keep_best and not one_pass and progress.never_better_than_start()
        if progress.stop_reason == DIVERGED or never_better or lost():
            progress.stop_reason = DIVERGED
            _restore_last_good(progress, start, loss_at)


def _walk(
    objective: Function,
    gradient_of: GradientFunction,
    batches: Batches,
    plan: Plan,
    progress: Progress,
    judge: Judge,
    on_epoch: OnEpoch | None,
    before_epoch: BeforeEpoch | None,
    engine: Engine,
) -> str:
    epochs = engine(objective, gradient_of, batches, plan, progress)  # may have to be compiled
    began = start_of_clock(progress)
    try:
        for _ in range(plan.epochs_done, plan.max_iter):
            if before_epoch is not None:
                before_epoch(progress)
            loss = epochs.run(progress)
            if not math.isfinite(loss):
                progress.failed_epoch = progress.epoch + 1
                return DIVERGED
            progress.losses.append(loss)
            progress.gradient_norms.append(progress.coordinates.unit * epochs.gradient_norm())
            progress.seconds.append(time.perf_counter() - began)
            reason = judge.after_epoch(loss, epochs.before_last_step)
            progress.stop_reason = reason or RUNNING  # for whoever keeps this epoch
            if on_epoch is not None:
                reason = on_epoch(progress) or reason
            if reason is not None:
                return reason
        return MAX_ITER
    finally:
        epochs.close()


def _ends_past_best(plan: Plan, progress: Progress, one_pass: bool) -> bool:
    """Whether the training ended on a lack of progress, so that its best epoch lies behind it.

    One pass of partial_fit is not the end of a training, unless its early stopping says so.
    """
    if plan.early_stopping:
        return not one_pass or progress.stop_reason == NO_BETTER_SCORE
    return plan.keep_best and plan.average is None and progress.stop_reason == CONVERGED


def _restore_best(progress: Progress) -> None:
    if progress.best_u is not None:
        _set(progress, progress.best_u)


def _restore_last_good(
    progress: Progress, start: np.ndarray, loss_at: Callable[[np.ndarray], float]
) -> None:
    """Go back to the epoch of the lowest J, or to the start where even that one is worse."""
    loss_of_start = loss_at(start)
    if progress.best_u is not None and loss_at(progress.best_u) <= loss_of_start:
        _restore_best(progress)
    else:
        _set(progress, start)
    progress.optimizer_state = {}  # it remembers where the training went astray


def _set(progress: Progress, u: np.ndarray) -> None:
    progress.u[...] = u
    if progress.averaged is not None:
        progress.averaged[...] = u
