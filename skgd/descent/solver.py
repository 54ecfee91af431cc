"""The bridge to a solver: SciPy's L-BFGS takes the steps, and each is recorded as an epoch."""

from __future__ import annotations

import time

import numpy as np

from skgd.descent.batches import Batches
from skgd.descent.epochs import slope_within
from skgd.descent.plan import Plan
from skgd.descent.progress import Progress, start_of_clock
from skgd.descent.protocols import BeforeEpoch, Function, OnEpoch
from skgd.descent.stopping import DIVERGED, MAX_ITER, NO_LOWER_POINT, RUNNING, SOLVED, Judge
from skgd.gradients.base import GradientFunction
from skgd.penalties import pseudo_gradient


def solve(
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
    began, unit = start_of_clock(progress), progress.coordinates.unit
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
        progress.gradient_norms.append(unit * slope_within(progress.u, slope, plan.bounds))
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
