"""The steps of an epoch, by NumPy: gradient, clipping, optimizer, average, bounds."""

from __future__ import annotations

import math

import numpy as np

from skgd.constraints import Bounds
from skgd.descent.batches import Batches
from skgd.descent.l1 import L1Term
from skgd.descent.plan import Plan
from skgd.descent.progress import Progress
from skgd.descent.protocols import Function
from skgd.gradients.base import GradientFunction
from skgd.objective import Batch


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
        self.l1 = L1Term(objective, progress.coordinates, u) if objective.l1_strength else None
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
            self._norm = slope_within(u, gradient, plan.bounds)
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


def slope_within(u: np.ndarray, gradient: np.ndarray, bounds: Bounds | None) -> float:
    """Norm of the gradient, as far as it leads to a point within the bounds."""
    return float(np.linalg.norm(gradient if bounds is None else bounds.downhill(u, gradient)))
