"""How to train: the settings of one call of the loop."""

from __future__ import annotations

from dataclasses import dataclass

from skgd.averaging import Averaging
from skgd.constraints import Bounds
from skgd.descent.progress import Progress
from skgd.descent.stopping import NO_LIMITS, Limits
from skgd.objective.dropout import Dropout
from skgd.optimizers import LBFGS, Optimizer
from skgd.schedules import Schedule


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
