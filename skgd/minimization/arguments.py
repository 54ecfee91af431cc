"""Arguments, checked and turned into what the loop takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from skgd import descent
from skgd._component import check_number
from skgd.minimization.watcher import WINDOW
from skgd.optimizers import LBFGS, resolve_optimizer
from skgd.schedules import SCHEDULES, Constant, resolve_schedule


def plan_for(
    optimizer: Any, learning_rate: Any, schedule: Any, max_iter: Any, tol: Any
) -> descent.Plan:
    """Check how to descend. The one batch of an epoch makes epoch, step and iteration one."""
    optimizer, schedule = resolve_optimizer(optimizer), resolve_schedule(schedule)
    _check_rate(learning_rate)
    check_number("max_iter", max_iter, low=1, integer=True)
    if tol is not None:
        check_number("tol", tol, low=0)
    if optimizer.full_batch_only and not isinstance(schedule, Constant):
        raise ValueError(
            f"{optimizer!r} finds the length of its steps itself: it takes schedule='constant', "
            f"not {schedule!r}."
        )
    return descent.Plan(
        optimizer=optimizer,
        schedule=schedule,
        learning_rate=float(learning_rate),
        batch_size=1,
        max_iter=int(max_iter),
        n_steps=int(max_iter),
        n_epochs=int(max_iter),
        # The loop's own rule is for the noise of mini-batches: `Watcher` stops the others.
        tol=float(tol) if isinstance(optimizer, LBFGS) and tol is not None else None,
        n_iter_no_change=WINDOW,
        clip_norm=None,
        average=None,
        shuffle=False,
        seed=0,
        early_stopping=False,
        keep_best=tol is not None,  # without it, the number of steps is all that counts
        verbose=False,
    )


def _check_rate(rate: Any) -> None:
    if isinstance(rate, str):
        schedule = f" A schedule is a parameter of its own: schedule={rate!r}."
        raise TypeError(
            f"learning_rate takes a number above 0; got {rate!r}."
            + (schedule if rate in SCHEDULES else "")
        )
    check_number("learning_rate", rate, low=0, include="neither")


def as_tuple(args: Any) -> tuple[Any, ...]:
    """Return `args` as SciPy takes it: one that is no tuple stands alone."""
    return args if isinstance(args, tuple) else (args,)


def as_start(x0: Any) -> np.ndarray:
    """Return x0 as an array of floating point numbers."""
    start = np.asarray(x0)
    if start.dtype.kind in "iub":
        start = start.astype(np.float64)
    if start.dtype.kind != "f":
        raise TypeError(f"x0 takes real numbers; got an array of dtype {start.dtype}.")
    if start.size == 0:
        raise ValueError(f"x0 is empty: its shape is {start.shape}.")
    bad = np.flatnonzero(~np.isfinite(start))
    if bad.size:
        raise ValueError(f"x0 must be finite; its entry {bad[0]} is {start.flat[bad[0]]}.")
    return start


def as_callback(callback: Any) -> Callable[[np.ndarray, float], None] | None:
    """Return ``(x, value) -> None``, which calls the callback as SciPy would."""
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"callback takes a callable or None; got {callback!r}.")
    try:
        parameters = set(inspect.signature(callback).parameters)
    except ValueError:  # some builtins have no signature
        parameters = set()
    if parameters == {"intermediate_result"}:
        return lambda x, value: callback(intermediate_result=OptimizeResult(x=x, fun=value))
    return lambda x, value: callback(x)
