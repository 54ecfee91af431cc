"""THE loop: theta <- theta - rate * grad J(theta), again and again, until it stops moving.

Gradient source and optimizer meet here and nowhere else. `partial_fit` is this loop with
one epoch and an old optimizer state; the full batch is one batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from skgd.averaging import Averaging
from skgd.constraints import Bounds
from skgd.descent.growing import FirstEntries
from skgd.descent.stopping import (
    CONVERGED,
    DIVERGED,
    FAILED,
    GOES_ON,
    INTERRUPTED,
    MAX_ITER,
    NO_BETTER_SCORE,
    NO_LIMITS,
    NO_LOWER_POINT,
    RUNNING,
    SOLVED,
    Judge,
    Limits,
)
from skgd.gradients.sources import GradientFunction
from skgd.objective import Batch
from skgd.objective.coordinates import Coordinates
from skgd.objective.dropout import Dropout
from skgd.optimizers import LBFGS, Optimizer
from skgd.penalties import project_orthant, pseudo_gradient
from skgd.schedules import Schedule

_BOTTOMLESS = 1e6  # times the size of J at the start


@dataclass(frozen=True)
class Plan:
    """How to train: the settings of one call of `descend`.

    Attributes
    ----------
    optimizer : Optimizer or LBFGS
    schedule : Schedule
    learning_rate : float
    batch_size : int
    max_iter : int
        Epochs, with those that were done before the training was stopped.
    n_steps, n_epochs : int or None
        Steps and epochs of the whole training, which schedules are told; None where nobody knows.
    tol : float or None
        Relative improvement of J (or the validation score) that counts as one; with None J never
        stops the training, and any better score counts.
    n_iter_no_change : int
    clip_norm : float or None
        Largest norm of the gradient that the optimizer sees.
    average : Averaging or None
        How the parameters are averaged over the steps; None does not.
    shuffle : bool
    seed : int
    early_stopping : bool
        Stop by the validation score, and keep the best parameters.
    keep_best : bool
        Keep the parameters of the lowest J where the training stops for lack of progress.
    verbose : bool
    drop_last : bool
        Leave out the last batch of an epoch where it is shorter than the others.
    clip_value : float or None
        Largest size of an entry of the gradient that the optimizer sees.
    dropout : Dropout or None
        Leave hidden units out, in the steps alone.
    bounds : Bounds or None
        What no step leaves.
    limits : Limits
        Further ends of the training.
    epochs_done : int
        Of `max_iter`, by a training that was stopped and goes on.
    """

    optimizer: Optimizer | LBFGS
    schedule: Schedule
    learning_rate: float
    batch_size: int
    max_iter: int
    n_steps: int | None
    tol: float | None
    n_iter_no_change: int
    clip_norm: float | None
    average: Averaging | None
    shuffle: bool
    seed: int
    early_stopping: bool
    keep_best: bool
    verbose: bool
    drop_last: bool = False
    clip_value: float | None = None
    dropout: Dropout | None = None
    bounds: Bounds | None = None
    limits: Limits = NO_LIMITS
    n_epochs: int | None = None
    epochs_done: int = 0

    def rate(self, progress: Progress, step: int) -> float:
        """Return the learning rate of this step."""
        return self.learning_rate * self.schedule(*self._time(progress, step), progress.losses)

    def momentum(self, progress: Progress, step: int) -> float | None:
        """Return the schedule's momentum for this step; None leaves the optimizer its own."""
        return self.schedule.momentum(*self._time(progress, step))

    def rated_by_epoch(self) -> bool:
        """Whether the rate moves between epochs only."""
        return self.schedule.watches_loss or self.schedule.counts_epochs

    def _time(self, progress: Progress, step: int) -> tuple[int, int | None]:
        if self.schedule.counts_epochs:
            return progress.epoch, self.n_epochs
        return step, self.n_steps


@dataclass
class Progress:
    """Where a training stands: all that a next call of `descend` needs to go on.

    `u` are the parameters in the coordinates of the descent.
    """

    u: np.ndarray
    coordinates: Coordinates
    automatic_rate: float = math.inf
    optimizer_state: dict[str, Any] = field(default_factory=dict)
    averaged: np.ndarray | None = None
    n_averaged: int = 0
    epoch: int = 0
    step: int = 0
    samples: int = 0
    gradient_evaluations: int = 0
    loss_evaluations: int = 0
    # Entries are only ever added: what callbacks are given shares these lists.
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # since the training began
    validation_losses: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    first_loss: float | None = None
    best_loss: float = math.inf
    best_u: np.ndarray | None = None
    start_u: np.ndarray | None = None  # of this training, while it lasts
    best_score: float = -math.inf
    epochs_without_progress: int = 0
    epochs_far_above: int = 0
    stop_reason: str = MAX_ITER
    failed_epoch: int | None = None  # the one in which J was not finite

    def far_above_start(self, loss: float, start: float = 0.0, factor: float = 1e3) -> bool:
        """Whether J is so far above its first value that it cannot be noise, or not finite.

        `start` is J at the start of this pass on the rows of `loss`, where it is known.
        """
        first = 0.0 if self.first_loss is None else abs(self.first_loss)
        if math.isfinite(start):
            first = max(first, abs(start))
        return not loss <= factor * max(first, self.coordinates.unit)  # nan is far above, too

    def bottomless(self) -> bool:
        """Whether J came so far below zero that it seems to have no lower bound."""
        lowest = min(self.losses, default=0.0)
        return lowest < -_BOTTOMLESS * max(abs(self.first_loss or 0.0), self.coordinates.unit)

    def never_better_than_start(self) -> bool:
        """Whether J was above twice its first value in every epoch after the first."""
        if self.first_loss is None or len(self.losses) < 2:
            return False
        return min(self.losses[1:]) > 2.0 * max(abs(self.first_loss), float(np.finfo(float).tiny))

    def taken_up(self, theta: np.ndarray) -> Progress:
        """Return a copy that goes on from `theta`, if somebody changed it in between.

        This one stays as it is: the next pass may fail. (And arrays of a model that was loaded as
        a memory map cannot be written.)
        """
        fresh = self.copy()
        changed = not np.array_equal(theta, self.parameters().astype(theta.dtype))
        if changed:
            fresh.u = self.coordinates.to_u(theta.astype(self.u.dtype))
            fresh.averaged, fresh.n_averaged = None, 0
        if changed or self.start_u is not None:  # of a fit that is not over: this is another one
            fresh.forget_best()
        fresh.start_u = None
        return fresh

    def forget_best(self) -> None:
        """Begin anew to look for the best epoch."""
        self.best_u, self.best_score, self.epochs_without_progress = None, -math.inf, 0

    def ended(self, plan: Plan) -> str | None:
        """Return why a training that was stopped, and is to go on, had already ended; or None.

        More epochs, seconds or evaluations may have been allowed since.
        """
        if self.stop_reason not in GOES_ON:
            return self.stop_reason
        return plan.limits.reason(self, None) if self.losses else None

    def copy(
        self, of_list: Callable[[Sequence[float]], Sequence[float]] = lambda values: [*values]
    ) -> Progress:
        """Return a copy that the training does not change; the coordinates never change."""
        fresh: dict[str, Any] = dict(vars(self))
        for name, value in fresh.items():
            if isinstance(value, np.ndarray):
                fresh[name] = value.copy()
            elif isinstance(value, Sequence) and not isinstance(value, str):
                fresh[name] = of_list(value)
        fresh["optimizer_state"] = {
            name: value.copy() if isinstance(value, np.ndarray) else value
            for name, value in self.optimizer_state.items()
            if name != "scratch"
        }
        return Progress(**fresh)

    def snapshot(self) -> Progress:
        """Return a copy to be read, and not to be trained: its lists are shared with this one."""
        return self.copy(of_list=FirstEntries)

    def history(self) -> dict[str, Any]:
        """Return lists of equal length, one entry for each epoch that was completed."""
        lists = self._lists()
        n = min(map(len, lists.values()))
        if isinstance(self.losses, FirstEntries):
            return {
                "epoch": FirstEntries(range(1, n + 1)),
                **{name: FirstEntries(values, n) for name, values in lists.items()},
            }
        return {
            "epoch": list(range(1, n + 1)),
            **{name: values[:n] for name, values in lists.items()},
        }

    def last_epoch(self) -> dict[str, float]:
        """Return the last entries of `history`."""
        return {"epoch": self.epoch} | {name: v[-1] for name, v in self._lists().items()}

    def _lists(self) -> dict[str, list[float]]:
        lists = {"loss": self.losses}
        if self.validation_losses:
            lists |= {
                "validation_loss": self.validation_losses,
                "validation_score": self.validation_scores,
            }
        return lists | {
            "learning_rate": self.rates,
            "gradient_norm": self.gradient_norms,
            "seconds": self.seconds,
        }

    def published_u(self) -> np.ndarray:
        """Return u, or its average where one is kept."""
        return self.u if self.averaged is None else self.averaged

    def parameters(self) -> np.ndarray:
        """Theta of the current u, or of its average where one is kept, in a new array."""
        u = self.published_u()
        return self.coordinates.to_theta(u, out=np.empty_like(u)).copy()


class Function(Protocol):
    """What the loop asks of the function that it makes small; `Objective` is one."""

    @property
    def model(self) -> Any:
        """Has `n_weights` and `decay_mask`, which tell weights and intercepts apart."""

    @property
    def l1_strength(self) -> float:
        """Factor on ``||weights||_1``, which is not part of the gradient."""

    def value(self, theta: np.ndarray, batch: Batch) -> float:
        """Return its value on the batch."""


Monitor = Callable[[Progress], tuple[float, float]]
BeforeEpoch = Callable[[Progress], None]
OnEpoch = Callable[[Progress], str | None]


class EpochTaker(Protocol):
    """Who takes the steps of an epoch: `Epochs` by NumPy, or a compiled engine."""

    before_last_step: np.ndarray  # the parameters at which the epoch's last J was measured

    def run(self, progress: Progress) -> float:
        """Take one pass over the rows, or end it at the first J that is not finite.

        Returns the running mean of J, or that J.
        """

    def gradient_norm(self) -> float:
        """Norm of the gradient of the last batch by u, before clipping."""

    def close(self) -> None:
        """Let go of what the steps needed."""


# objective, gradient_of, batches, plan, progress -> EpochTaker
Engine = Callable[..., EpochTaker]


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
    walk = _solve if solver else partial(_walk, engine=engine or Epochs)
    if plan.average is None:  # an earlier pass may have averaged
        progress.averaged, progress.n_averaged = None, 0
    ended = None
    if progress.start_u is None:  # else it goes on from where it was stopped
        progress.start_u = progress.u.copy()
    else:
        ended = progress.ended(plan)
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
            progress.stop_reason = ended or walk(
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
    began = _clock(progress)
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


def _clock(progress: Progress) -> float:
    """When this training began, had it run without a break."""
    return time.perf_counter() - (progress.seconds[-1] if progress.seconds else 0.0)


def _ends_past_best(plan: Plan, progress: Progress, one_pass: bool) -> bool:
    """Whether the training ended on a lack of progress, so that its best epoch lies behind it.

    One pass of partial_fit is not the end of a training, unless its early stopping says so.
    """
    if plan.early_stopping:
        return not one_pass or progress.stop_reason == NO_BETTER_SCORE
    return plan.keep_best and plan.average is None and progress.stop_reason == CONVERGED


class Epochs:
    """Epochs of steps of the optimizer, each on one batch, with the arrays they need made once."""

    def __init__(
        self,
        objective: Function,
        gradient_of: GradientFunction,
        batches: Batches,
        plan: Plan,
        progress: Progress,
    ) -> None:
        u = progress.u
        self.gradient_of = gradient_of
        self.batches = batches
        self.plan = plan
        self.progress = progress
        self.gradient = np.empty_like(u)
        self.before_last_step = u.copy()
        self.decay_mask = objective.model.decay_mask()
        self.l1 = _L1(objective, progress.coordinates, u) if objective.l1_strength else None
        self.rate = plan.learning_rate
        self._norm = math.nan
        self._rated_epoch = -1
        if not progress.optimizer_state:
            progress.optimizer_state = plan.optimizer.init(u)
        if plan.average is not None and progress.averaged is None:
            progress.averaged = u.copy()

    def run(self, progress: Progress) -> float:
        """One pass over the rows. Returns the running mean of J, non-finite as soon as it is."""
        total, seen = 0.0, 0
        for batch in self.batches(progress.epoch):
            n = batch.X.shape[0]
            loss = self._step(batch, last=seen + n == self.batches.n)
            if progress.first_loss is None:
                progress.first_loss = loss
            if not math.isfinite(loss):
                return loss
            total += loss * n
            seen += n
        progress.epoch += 1
        progress.rates.append(self.rate)
        return total / seen

    def gradient_norm(self) -> float:
        """Norm of the gradient of the last batch by u, before clipping."""
        return self._norm

    def close(self) -> None:
        """Nothing to let go of."""

    def _step(self, batch: Batch, *, last: bool) -> float:
        """Evaluate J and its gradient on the batch, and move. Returns J before the move."""
        progress, u = self.progress, self.progress.u
        if self.plan.dropout is not None:
            batch = self.plan.dropout.masked(batch, progress.step)
        loss = self.gradient_of(u, batch, self.gradient)
        progress.gradient_evaluations += 1
        progress.loss_evaluations += self.gradient_of.losses_per_call
        if self.l1 is not None:
            loss += self.l1.value(u)
        if not math.isfinite(loss):
            return loss
        if last:  # the parameters at which the epoch's loss was still measured
            np.copyto(self.before_last_step, u)
        self._move(u, last=last)
        progress.step += 1
        progress.samples += batch.X.shape[0]
        if self.plan.average is not None and progress.averaged is not None:
            progress.n_averaged = self.plan.average.take_in(
                u, progress.averaged, progress.n_averaged, progress.samples
            )
            if self.plan.bounds is not None:  # rounding may leave them
                self.plan.bounds.project(progress.averaged)
        return loss

    def _move(self, u: np.ndarray, *, last: bool) -> None:
        plan, gradient = self.plan, self.gradient
        self._set_rate()
        if self.l1 is not None:
            self.l1.before_step(u, gradient)
        if last:
            self._norm = _slope(u, gradient, plan.bounds)
        if plan.clip_value is not None:
            np.clip(gradient, -plan.clip_value, plan.clip_value, out=gradient)
        if plan.clip_norm is not None:
            norm = float(np.linalg.norm(gradient))
            if norm > plan.clip_norm:
                gradient *= plan.clip_norm / norm
        plan.optimizer.update(
            u,
            gradient,
            self.progress.optimizer_state,
            self.rate,
            momentum=plan.momentum(self.progress, self.progress.step),
            decay_mask=self.decay_mask,
        )
        if self.l1 is not None:
            self.l1.after_step(u, gradient)
        if plan.bounds is not None:
            plan.bounds.project(u)

    def _set_rate(self) -> None:
        progress, plan = self.progress, self.plan
        if plan.rated_by_epoch():  # it may read all epochs again: once for each of them
            if progress.epoch == self._rated_epoch:
                return
            self._rated_epoch = progress.epoch
        self.rate = plan.rate(progress, progress.step)


def _slope(u: np.ndarray, gradient: np.ndarray, bounds: Bounds | None) -> float:
    """Norm of the gradient, as far as it leads to a point within the bounds."""
    return float(np.linalg.norm(gradient if bounds is None else bounds.downhill(u, gradient)))


class _L1:
    """The L1 term around a step: it has no derivative at 0, so no gradient source knows it.

    The optimizer is given the pseudo-gradient, and a weight that leaves its orthant stops at
    exactly 0 (the projection of OWL-QN: Andrew & Gao 2007). Soft-thresholding after the step
    would solve another problem with momentum or Adam.
    """

    def __init__(self, objective: Function, coordinates: Coordinates, u: np.ndarray) -> None:
        self.weights = slice(0, objective.model.n_weights)
        self.strength = coordinates.l1_strength(objective.l1_strength, u.dtype)
        self.unit = coordinates.unit
        self._before = u[self.weights].copy()

    def value(self, u: np.ndarray) -> float:
        """Return ``alpha ||weights||_1``, in the units of J."""
        return self.unit * float((np.abs(u[self.weights]) * self.strength).sum())

    def before_step(self, u: np.ndarray, gradient: np.ndarray) -> None:
        """Turn the gradient into the pseudo-gradient."""
        w, g = u[self.weights], gradient[self.weights]
        np.copyto(self._before, w)
        pseudo_gradient(w, g, self.strength, out=g)

    def after_step(self, u: np.ndarray, gradient: np.ndarray) -> None:
        """Set to 0 what left its orthant."""
        project_orthant(u[self.weights], self._before, gradient[self.weights])


class Batches:
    """The batches of an epoch: a uniform random permutation of the rows, or all at once.

    The permutation depends on the seed and the number of the epoch alone, so that a
    training that goes on sees the same batches as one that was never stopped. Rows are
    gathered into arrays that are made once; X itself is not copied.

    Parameters
    ----------
    data : Batch
    rows : ndarray of int or None
        The rows to train on; None is all.
    plan : Plan
    """

    def __init__(self, data: Batch, rows: np.ndarray | None, plan: Plan) -> None:
        self.n = data.X.shape[0] if rows is None else len(rows)
        self.size = min(plan.batch_size, self.n)
        if plan.drop_last:
            self.n -= self.n % self.size
        self.plan = plan
        whole = self.size == (data.X.shape[0] if rows is None else len(rows))
        if whole and rows is not None:
            data, rows = data.rows(rows), None
        self.data = data
        self.rows = rows
        # Whether the rows of a batch lie one after the other.
        self.in_order = whole or (rows is None and not plan.shuffle)
        if not self.in_order:
            self._take_X = _gatherer(data.X, self.size)
            self._take_y = _gatherer(data.y, self.size)
            self._take_weight: Callable[[np.ndarray], Any] = lambda rows: None
            if data.weight is not None:
                self._take_weight = _gatherer(data.weight, self.size)

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """Batches of this epoch; each is overwritten by the next."""
        order = self.order(epoch)
        for start in range(0, self.n, self.size):
            if order is None:
                yield self.data.view(start, min(start + self.size, self.n))
            else:
                rows = order[start : start + self.size]
                yield Batch(self._take_X(rows), self._take_y(rows), self._take_weight(rows))

    def order(self, epoch: int) -> np.ndarray | None:
        """Numbers of the rows of this epoch, in the order of its steps; None for 0, 1, 2, ..."""
        if self.in_order:
            return None
        n = self.data.X.shape[0]
        order = np.arange(n, dtype=np.int32) if self.rows is None else self.rows.copy()
        if self.plan.shuffle:
            np.random.default_rng([self.plan.seed, epoch]).shuffle(order)
        return order

    def first(self) -> Batch:
        """Rows to judge parameters on: as many as one batch has, and not overwritten by batches."""
        if self.rows is None:
            return self.data.view(0, self.size)
        return self.data.rows(self.rows[: self.size])


def _gatherer(array: Any, size: int) -> Callable[[np.ndarray], Any]:
    """Return a function that takes rows of `array`: into one buffer, or as a new CSR matrix."""
    if sparse.issparse(array):
        return lambda rows: array[rows]
    buffer = np.empty((size, *array.shape[1:]), dtype=array.dtype)
    # mode="clip" writes straight into `out`; the default mode goes through a copy.
    return lambda rows: np.take(array, rows, axis=0, out=buffer[: len(rows)], mode="clip")


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


def _solve(
    objective: Function,
    gradient_of: GradientFunction,
    batches: Batches,
    plan: Plan,
    progress: Progress,
    judge: Judge,
    on_epoch: OnEpoch | None,
    before_epoch: BeforeEpoch | None,
) -> str:
    """Hand the whole objective to SciPy's L-BFGS; each of its iterations is an epoch."""
    began, unit = _clock(progress), progress.coordinates.unit
    (data,) = batches(0)
    gradient = np.empty_like(progress.u)
    l1 = None
    if objective.l1_strength:
        l1 = np.zeros_like(progress.u)
        l1[: objective.model.n_weights] = progress.coordinates.l1_strength(
            objective.l1_strength, progress.u.dtype
        )

    def scaled(u: np.ndarray) -> tuple[float, np.ndarray]:
        value = gradient_of(u, data, gradient) / unit
        progress.gradient_evaluations += 1
        progress.loss_evaluations += gradient_of.losses_per_call
        return value, gradient.copy()

    def record(u: np.ndarray, value: float) -> str | None:
        if before_epoch is not None:  # SciPy gives no word when it begins an iteration
            before_epoch(progress)
        progress.u[...] = u
        progress.epoch += 1
        progress.step += 1
        progress.samples += batches.n
        progress.rates.append(1.0)
        progress.losses.append(value * unit)
        slope = gradient
        if l1 is not None:
            slope = pseudo_gradient(progress.u, gradient, l1)
        progress.gradient_norms.append(unit * _slope(progress.u, slope, plan.bounds))
        progress.seconds.append(time.perf_counter() - began)
        if progress.first_loss is None:
            progress.first_loss = value * unit
        reason = judge.after_iteration(value * unit)
        progress.stop_reason = reason or RUNNING
        told = None if on_epoch is None else on_epoch(progress)
        return told or reason

    reason = None

    def callback(u: np.ndarray, value: float) -> None:
        nonlocal reason
        reason = record(u, value)
        if reason is not None:
            raise StopIteration

    result = plan.optimizer.solve(
        scaled,
        progress.u.copy(),
        max_iter=plan.max_iter,
        tol=plan.tol,
        l1=l1,
        bounds=None if plan.bounds is None else plan.bounds.pairs(progress.u.size),
        callback=callback,
    )
    if not np.isfinite(result.fun):
        return DIVERGED
    if not progress.losses:  # it began at the minimum
        reason = record(result.x, result.fun)
    progress.u[...] = result.x
    if reason is not None:
        return reason
    return {0: SOLVED, 1: MAX_ITER}.get(result.status, NO_LOWER_POINT)
