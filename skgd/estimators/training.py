"""One training, made ready: coordinates, first parameters, rate, and the plan for the loop."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse

from skgd import descent
from skgd.averaging import Averaging
from skgd.constraints import Bounds
from skgd.descent.stopping import Limits
from skgd.engine import compiled_moves, engine_for, sums_for
from skgd.estimators.parameters import Components
from skgd.estimators.validation import check_finite
from skgd.gradients.base import GradientFunction
from skgd.gradients.moved_parameters import MovedParameters
from skgd.losses import Loss
from skgd.objective import Batch, Objective
from skgd.objective.coordinates import Coordinates
from skgd.objective.dropout import Dropout
from skgd.objective.statistics import Sums, column_statistics, output_statistics
from skgd.optimizers import LBFGS
from skgd.schedules import InvScaling
from skgd.schedules.rates import (
    automatic_average,
    automatic_patience,
    automatic_rate,
    automatic_schedule,
)

_AUTO_BATCH = 256  # rows


@dataclass
class Training:
    """All that one call of fit or partial_fit works with.

    Attributes
    ----------
    components : Components
    objective : Objective
    data : Batch
        Training rows, with the weights of J.
    progress : Progress
    plan : Plan
    gradient_of : callable
        The gradient source, bound to the objective.
    engine : {"numpy", "numba"}
    rows : ndarray of int or None
        The rows to train on; None is all. The others have weight 0.
    """

    components: Components
    objective: Objective
    data: Batch
    progress: descent.Progress
    plan: descent.Plan
    gradient_of: GradientFunction
    engine: str
    rows: np.ndarray | None = None

    def check_start(self) -> None:
        """Raise where a user's function gives nan at the first parameters.

        The losses of the table are defined everywhere; there nan is an overflow.
        """
        if self.objective.loss.any_rows:
            return
        model, theta = self.objective.model, self.progress.parameters()
        raw = model.raw(model.layers(theta), self.data.X)
        losses = np.asarray(self.objective.loss.value(self.data.y, raw))
        wrong = np.isnan(losses)
        if wrong.any() and np.isfinite(raw).all():
            raise ValueError(f"{self.objective.loss!r} {_where_nan(wrong, self.data.y, raw)}")

    def fitting_alpha(self) -> float | None:
        """Return an alpha that fits a user's loss; None where the present one does, or may.

        In most columns the L2 term then bends J ten times as much as the loss does, so that the
        linear model can hardly differ from a constant (a network has other layers to make up for
        it). The losses of the table have a scale that is known.
        """
        objective, scale = self.objective, self.progress.coordinates.scale
        bend = objective.loss.curvature(objective.model.n_outputs)
        known = objective.loss.any_rows or objective.model.hidden_layer_sizes
        one_pass = self.plan.n_steps is None  # a part of the rows says little of all
        if known or one_pass or scale is None or not bend or not objective.l2_strength:
            return None
        strength = objective.l2_strength / bend
        of_column = np.median(np.square(scale, dtype=np.float64)) - strength  # see coordinates_for
        if strength < 10.0 * max(of_column, 0.0) or of_column <= 0.0:
            return None
        return float(f"{objective.alpha * 0.01 * of_column / strength:.0e}")

    def run(
        self,
        monitor: descent.Monitor | None = None,
        before_epoch: descent.BeforeEpoch | None = None,
        on_epoch: descent.OnEpoch | None = None,
    ) -> None:
        """Descend; `progress` is changed in place."""
        batches = descent.Batches(self.data, self.rows, self.plan)
        gradient_of: GradientFunction = self.gradient_of
        engine: descent.Engine | None = None
        with ExitStack() as closing:
            if isinstance(gradient_of, MovedParameters):
                if self.engine == "numba":
                    gradient_of = compiled_moves(gradient_of)  # NumPy takes the steps
            elif self.engine == "numba":
                from skgd.compiled.training import CompiledEpochs, CompiledGradient  # loads numba

                engine = CompiledEpochs
                if isinstance(self.plan.optimizer, LBFGS):
                    gradient_of = CompiledGradient(self.objective, self.progress.coordinates)
                    closing.callback(gradient_of.close)
            descent.descend(
                self.objective,
                gradient_of,
                batches,
                self.plan,
                self.progress,
                monitor,
                before_epoch=before_epoch,
                on_epoch=on_epoch,
                engine=engine,
            )


@dataclass(frozen=True)
class _Batching:
    """How the rows are cut into batches.

    Attributes
    ----------
    size : int
        Rows of a batch.
    n_epochs, n_steps_of_epoch : int
        At most.
    drop_last : bool
        Whether a short batch at the end is left out.
    """

    size: int
    n_epochs: int
    n_steps_of_epoch: int
    drop_last: bool

    @classmethod
    def of(cls, estimator: Any, components: Components, n: int, one_pass: bool) -> _Batching:
        """Return that of a training on n rows."""
        loss = components.loss
        size = n_rows_of_batch(estimator.batch_size, n, components.optimizer, loss)
        drop_last = not loss.per_sample  # a short batch would count as much as a whole one
        return cls(
            size=size,
            n_epochs=1 if one_pass else int(estimator.max_iter),
            n_steps_of_epoch=n // size if drop_last else math.ceil(n / size),
            drop_last=drop_last,
        )

    @property
    def n_steps(self) -> int:
        """Steps of the whole training, at most."""
        return self.n_epochs * self.n_steps_of_epoch


def prepare(
    estimator: Any,
    components: Components,
    objective: Objective,
    data: Batch,
    seed: int,
    *,
    theta: np.ndarray | None = None,
    progress: descent.Progress | None = None,
    rows: np.ndarray | None = None,
    early_stopping: bool = False,
    one_pass: bool = False,
    resumed: bool = False,
) -> Training:
    """Make a training ready to run.

    Parameters
    ----------
    estimator : estimator
        Its parameters are read.
    components : Components
    objective : Objective
    data : Batch
    seed : int
    theta : ndarray or None
        Parameters to begin from; None draws them.
    progress : Progress or None
        An earlier pass to go on from; then theta does not count.
    rows : ndarray of int or None
        The rows to train on, where others are kept back for early stopping.
    early_stopping : bool
        Stop by the score of the rows kept back.
    one_pass : bool
        For partial_fit: one epoch, and nobody knows how many will follow.
    resumed : bool
        Whether `progress` is that of a fit that was stopped, which is to be finished.

    Returns
    -------
    training : Training
    """
    if isinstance(components.optimizer, LBFGS):  # a line search needs the digits
        if resumed:
            raise ValueError(
                'optimizer="lbfgs" cannot go on where it was stopped: its memory is in SciPy. Use '
                "Checkpoint.load(path) with warm_start=True, or resume=False."
            )
        data = data.astype(np.float64)
    n = data.X.shape[0] if rows is None else len(rows)
    batches = _Batching.of(estimator, components, n, one_pass)
    noisy = batches.size < n
    if one_pass and _is_auto(estimator.average) and progress is not None:
        # This pass may have a few rows that are one batch, after passes of many.
        noisy = noisy or progress.averaged is not None
    bounded = any(map(math.isfinite, components.constraint.bounds))
    average = components.average
    if _is_auto(estimator.average) and _is_automatic(estimator):
        average = automatic_average(components.optimizer, objective, batches.size, noisy, bounded)
    engine = engine_for(
        objective,
        components.source,
        data.X,
        batches.n_steps,
        batches.size,
        optimizer=components.optimizer,
        average=average,
        bounded=bounded,
        dropout=any(estimator._dropout_rates()),
    )
    if progress is None:
        coordinates = coordinates_for(
            objective,
            data,
            standardise=isinstance(estimator.learning_rate, str),
            together=not components.optimizer.scale_free,
            sums=sums_for(engine, data.X),
        )
        scale = coordinates.scale
        if scale is not None and not np.isfinite(scale).all() and not sparse.issparse(data.X):
            check_finite(data.X, type(estimator).__name__)
        progress = descent.Progress(u=np.empty(0), coordinates=coordinates)
        progress.u = _first_u(estimator, progress.coordinates, theta, seed).astype(data.X.dtype)
    data = data.astype(progress.u.dtype)  # which an earlier pass may have settled
    gradient_of = components.source.bind(objective, data.X.dtype, progress.coordinates)
    gradient_of.resume(progress.step)
    plan = _plan(
        estimator,
        components,
        objective,
        data,
        progress,
        batches,
        average,
        noisy,
        seed,
        early_stopping=early_stopping,
        one_pass=one_pass,
        epochs_done=progress.epoch if resumed else 0,
    )
    if plan.bounds is not None:  # the start, too, and what an earlier pass left
        for parameters in (progress.u, progress.averaged):
            if parameters is not None:
                plan.bounds.project(parameters)
    return Training(
        components=components,
        objective=objective,
        data=data,
        progress=progress,
        plan=plan,
        gradient_of=gradient_of,
        engine=engine,
        rows=rows,
    )


def _first_u(
    estimator: Any, coordinates: Coordinates, theta: np.ndarray | None, seed: int
) -> np.ndarray:
    if theta is not None:
        return coordinates.to_u(theta)
    # A stream of its own: neither rows nor batches can change the start.
    return estimator._initial_u(coordinates, np.random.default_rng([seed, 0]))


def coordinates_for(
    objective: Objective,
    data: Batch,
    *,
    standardise: bool,
    together: bool,
    sums: Sums | None = None,
) -> Coordinates:
    """Coordinates to descend in.

    Standardised for learning_rate="auto", theta itself for a number; but a network regressor
    is always trained in units of the spread of y, one for all outputs if `together`. An output
    activation has a range of its own: there the outputs are left as they are. `sums` adds up the
    columns of X; None is NumPy.
    """
    model, loss = objective.model, objective.loss
    free = loss.task == "regression" and not loss.has_output_activation
    mean = scale = centre = spread = None
    unit = 1.0
    bend = loss.curvature(model.n_outputs)
    if free and (standardise or model.hidden_layer_sizes):
        centre, spread, unit = output_statistics(loss, data, model.fit_intercept, together)
        if bend is None:  # that of the parabola of equal height
            bend = 2.0 * unit / float(np.max(spread)) ** 2
    elif standardise:
        unit = loss.unit or 1.0
    if standardise:
        mean, scale = column_statistics(data.X, data.weight, model.fit_intercept, sums)
        # The penalty bends J along theta_j too; where a column is so small that it bends J
        # more than the loss does, it sets the scale.
        strength = objective.l2_strength / (bend or unit)
        scale = np.hypot(scale, scale.dtype.type(np.sqrt(strength)))
    return Coordinates(model, mean, scale, centre, spread, unit)


def n_rows_of_batch(batch_size: Any, n: int, optimizer: Any, loss: Loss) -> int:
    """Rows for each step, from the parameter `batch_size`."""
    if isinstance(batch_size, str) and not loss.per_sample:
        return n  # a number for the whole batch means what it says of all rows only
    if isinstance(optimizer, LBFGS) or optimizer.full_batch_only or batch_size is None:
        return n
    if isinstance(batch_size, str):  # "auto", in equal parts: a small rest would only add noise
        return math.ceil(n / math.ceil(n / _AUTO_BATCH))
    if isinstance(batch_size, Integral):
        return min(n, int(batch_size))
    return max(1, round(batch_size * n))


def _plan(
    estimator: Any,
    components: Components,
    objective: Objective,
    data: Batch,
    progress: descent.Progress,
    batches: _Batching,
    average: Averaging | None,
    noisy: bool,
    seed: int,
    early_stopping: bool,
    one_pass: bool,
    epochs_done: int,
) -> descent.Plan:
    optimizer = components.optimizer
    batch_size = batches.size
    rate = estimator.learning_rate
    if isinstance(optimizer, LBFGS):
        rate = 1.0  # what its line search tries first
    elif isinstance(rate, str):
        rate = automatic_rate(optimizer, objective, data, progress.coordinates, batch_size, noisy)
        if not optimizer.scale_free:
            rate /= components.source.mean_square(progress.u.size)
        # The rows of a later pass may bend J more than those that settled the coordinates.
        rate = progress.automatic_rate = min(rate, progress.automatic_rate)
    schedule, model = components.schedule, objective.model
    if _is_automatic(estimator):
        schedule = automatic_schedule(optimizer, model, noisy, one_pass)
    rates, sizes = estimator._dropout_rates(), model.hidden_layer_sizes
    patience = estimator.n_iter_no_change
    if _is_auto(patience):
        falling = _is_automatic(estimator) and isinstance(schedule, InvScaling)
        patience = automatic_patience(falling, batches.n_steps_of_epoch)
    return descent.Plan(
        optimizer=optimizer,
        schedule=schedule.for_training(),
        learning_rate=float(rate),
        batch_size=batch_size,
        max_iter=batches.n_epochs,
        n_steps=None if one_pass else batches.n_steps,
        n_epochs=None if one_pass else batches.n_epochs,
        # No pass of partial_fit is the last; validation rows, for which tol counts, may say so.
        tol=None if one_pass and not early_stopping else estimator.tol,
        n_iter_no_change=int(patience),
        clip_norm=estimator.clip_norm,
        average=average,
        shuffle=bool(estimator.shuffle),
        seed=seed,
        early_stopping=early_stopping,
        keep_best=not components.loss.degenerate,
        verbose=bool(estimator.verbose),
        drop_last=batches.drop_last,
        limits=Limits(
            max_time=estimator.max_time,
            max_evals=estimator.max_evals,
            step_tol=estimator.step_tol,
            gradient_tol=estimator.gradient_tol,
        ),
        clip_value=None if estimator.clip_value is None else float(estimator.clip_value),
        dropout=Dropout(rates, sizes, seed) if any(rates) else None,
        bounds=Bounds.of(components.constraint, progress.coordinates, progress.u.dtype),
        epochs_done=epochs_done,
    )


def _is_automatic(estimator: Any) -> bool:
    """Whether rate and schedule are left to the data."""
    return _is_auto(estimator.learning_rate) and _is_auto(estimator.schedule)


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _where_nan(wrong: np.ndarray, y: np.ndarray, raw: np.ndarray) -> str:
    """Say for which sample a loss is nan."""
    if wrong.ndim == 0:
        place = f"nan, with raw outputs from {raw.min():.4g} to {raw.max():.4g}"
    else:
        i = int(np.flatnonzero(wrong)[0])
        place = (
            f"nan for {np.count_nonzero(wrong)} of {len(wrong)} samples; the first is sample {i}, "
            f"y_true = {y[i]}, raw = {raw[i]}"
        )
    return (
        f"is {place}: that is where the training starts. A division by zero, or the logarithm or "
        "root of a negative number? Add a small number to a denominator, or give raw a link "
        "(np.exp of it is positive)."
    )
