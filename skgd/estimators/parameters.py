"""An estimator's parameters, checked and resolved into components, before any data is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names

from skgd._component import Component, check_bool, check_choice, check_number, resolve
from skgd.activations import resolve_activation
from skgd.averaging import Averaging, resolve_average
from skgd.constraints import CONSTRAINTS, Constraint
from skgd.gradients import GRADIENTS, Analytic, GradientSource
from skgd.gradients.base import check_exact
from skgd.losses import LOSSES, Loss, losses_for
from skgd.losses.function_loss import FunctionLoss
from skgd.losses.output_activation import through
from skgd.objective import Batch
from skgd.optimizers import LBFGS, Optimizer, resolve_optimizer
from skgd.penalties import PENALTIES, ElasticNet, Penalty
from skgd.schedules import SCHEDULES, Schedule, resolve_schedule


@dataclass(frozen=True)
class Components:
    """The exchangeable parts of a learner as objects."""

    loss: Loss
    source: GradientSource
    optimizer: Optimizer | LBFGS
    schedule: Schedule
    penalty: Penalty
    constraint: Constraint
    average: Averaging | None

    def tried_on(self, data: Batch, known: Loss | None = None) -> Components:
        """Return them with a loss that has been tried on these targets, by the gradient source.

        `known` is a loss that was tried before, of which nothing has to be measured again.

        Raises
        ------
        ValueError, TypeError, NotImplementedError
            The loss returns something else than a loss must, or the source cannot
            differentiate it.
        """
        if not self.loss.needs_trial:  # the losses of the table need no trial
            return self
        loss = self.loss.measured_on(data.y, data.weight, known)
        self.source.try_on(loss, data.y, loss.trial_outputs(data.y))
        return replace(self, loss=loss)


def check_parameters(estimator: Any) -> Components:
    """Check every parameter that all estimators have; turn names into components.

    Raises
    ------
    ValueError, TypeError
        It names the parameter and what it takes.
    """
    _check_numbers(estimator)
    loss = loss_of(estimator)
    gradient = estimator.gradient
    if isinstance(gradient, str) and gradient == "auto":
        gradient = estimator._default_gradient if loss.has_gradient else "backprop"
    components = Components(
        loss=loss,
        source=resolve("gradient", gradient, GRADIENTS, GradientSource, extra=("auto",)),
        optimizer=resolve_optimizer(estimator.optimizer),
        schedule=_resolve_schedule(estimator.schedule),
        penalty=_resolve_penalty(estimator.penalty, estimator.l1_ratio),
        constraint=resolve("constraint", estimator.constraint, CONSTRAINTS, Constraint),
        average=resolve_average(estimator.average),
    )
    _check_together(estimator, components)
    return components


def _resolve_schedule(schedule: Any) -> Schedule:
    """Return the schedule object; for "auto", which the data will settle, the constant one."""
    if isinstance(schedule, str) and schedule == "auto":
        schedule = "constant"
    return resolve_schedule(schedule, extra=("auto",))


def loss_of(estimator: Any) -> Loss:
    """Loss that an estimator's parameters ask for, with the output activation if it has one."""
    given = getattr(estimator, "out_activation", "auto")
    activation = None
    if not (isinstance(given, str) and given == "auto"):
        activation = resolve_activation("out_activation", given, by_unit=False)
    activated = activation is not None if hasattr(estimator, "out_activation") else None
    loss = resolve_loss(estimator.loss, estimator._task, type(estimator).__name__, activated)
    return through(loss, activation, estimator._task)


def resolve_loss(loss: Any, task: str, name: str, activated: bool | None = None) -> Loss:
    """Loss object for a regressor or a classifier.

    `activated` outputs of a classifier can be compared with {0, 1} by the losses of regressors;
    None is for linear models, which have no output activation.
    """
    if callable(loss) and not isinstance(loss, (Component, type)):
        return FunctionLoss(loss, task)
    table = losses_for(task)
    if activated and task == "classification":
        table = table | losses_for("regression")
    row = LOSSES.get(loss) if isinstance(loss, str) else type(loss)
    tasks = {task} | {known.task for known in table.values()}
    if row is not None and issubclass(row, Loss) and row.task not in tasks:
        text = f"loss={loss!r} is for {row.task}; {name} takes {', '.join(map(repr, table))}"
        if activated is False and task == "classification":
            text += ", or give out_activation='logistic', whose outputs it compares with 0 and 1"
        raise ValueError(f"{text}.")
    try:
        return resolve("loss", loss, table, Loss)
    except (TypeError, ValueError) as error:
        if isinstance(loss, Loss):  # a setting of it is wrong
            raise
        hint = "A loss of your own is a function loss(y_true, raw): give the function itself."
        raise type(error)(f"{error} {hint}") from None


def _resolve_penalty(penalty: Any, l1_ratio: float) -> Penalty:
    if isinstance(penalty, str) and penalty == "elasticnet":
        return ElasticNet(l1_ratio=l1_ratio)
    return resolve("penalty", penalty, PENALTIES, Penalty)


def _check_numbers(estimator: Any) -> None:
    _check_rate(estimator.learning_rate)
    check_number("alpha", estimator.alpha, low=0)
    check_number("l1_ratio", estimator.l1_ratio, low=0, high=1)
    _check_batch_size(estimator.batch_size)
    check_number("max_iter", estimator.max_iter, low=1, integer=True)
    if estimator.tol is not None:
        check_number("tol", estimator.tol, low=0)
    for name in ("step_tol", "gradient_tol"):
        if getattr(estimator, name) is not None:
            check_number(name, getattr(estimator, name), low=0)
    if estimator.max_time is not None:
        check_number("max_time", estimator.max_time, low=0, include="neither")
    if estimator.max_evals is not None:
        check_number("max_evals", estimator.max_evals, low=1, integer=True)
    _check_patience(estimator.n_iter_no_change)
    if not (isinstance(estimator.early_stopping, str) and estimator.early_stopping == "auto"):
        check_bool("early_stopping", estimator.early_stopping, also=("auto",))
    check_number(
        "validation_fraction", estimator.validation_fraction, low=0, high=1, include="neither"
    )
    for name in ("clip_norm", "clip_value"):
        if getattr(estimator, name) is not None:
            check_number(name, getattr(estimator, name), low=0, include="neither")
    for name in ("warm_start", "shuffle", "fit_intercept"):
        if hasattr(estimator, name):
            check_bool(name, getattr(estimator, name))
    if not isinstance(estimator.verbose, (bool, np.bool_)):
        check_number("verbose", estimator.verbose, low=0, integer=True)
    weight = getattr(estimator, "class_weight", None)
    if isinstance(weight, Mapping):
        for label, factor in weight.items():
            check_number(f"class_weight[{label!r}]", factor, low=0)
        if weight and not any(weight.values()):
            raise ValueError("class_weight: every weight is zero, so no row is left.")
    elif weight is not None:
        check_choice("class_weight", weight, ["balanced", None])
    _check_scoring(estimator.scoring)


def _check_scoring(scoring: Any) -> None:
    if isinstance(scoring, str):
        check_choice("scoring", scoring, ["loss", *get_scorer_names()])
    elif not (scoring is None or callable(scoring)):
        raise TypeError(
            f"scoring takes 'loss', the name of a scorer, a callable or None; got {scoring!r}."
        )


def _check_rate(rate: Any) -> None:
    if not isinstance(rate, str):
        check_number("learning_rate", rate, low=0, include="neither")
    elif rate != "auto":
        named_elsewhere = {"optimal": "invscaling", "adaptive": "plateau"}
        schedule = rate if rate in SCHEDULES else named_elsewhere.get(rate)
        if schedule is not None:
            raise ValueError(
                f"learning_rate={rate!r} names a schedule; here learning_rate takes a number or "
                f"'auto', and the schedule is a parameter of its own: schedule={schedule!r}."
            )
        raise ValueError(f"learning_rate takes a number above 0 or 'auto'; got {rate!r}.")


def _check_patience(epochs: Any) -> None:
    if not isinstance(epochs, str):
        check_number("n_iter_no_change", epochs, low=1, integer=True)
    elif epochs != "auto":
        raise ValueError(
            "n_iter_no_change takes a whole number of epochs, at least 1, or 'auto'; "
            f"got {epochs!r}."
        )


def _check_batch_size(size: Any) -> None:
    if isinstance(size, str):
        if size != "auto":
            raise ValueError(
                f"batch_size={size!r} is unknown; it takes a number of rows, a share of them in "
                "(0, 1], 'auto', or None for the full batch."
            )
    elif isinstance(size, Real) and not isinstance(size, (Integral, bool, np.bool_)):
        if float(size) > 1:
            raise ValueError(
                f"batch_size={size!r}: a float is a share of all rows, in (0, 1]; give a whole "
                f"number of rows as an int, such as 32."
            )
        check_number("batch_size", size, low=0, high=1, include="high")
    elif size is not None:
        check_number("batch_size", size, low=1, integer=True)


def _check_together(estimator: Any, components: Components) -> None:
    """Raise for settings that are right alone and wrong together."""
    if isinstance(components.source, Analytic) and not components.loss.has_gradient:
        raise ValueError(
            f'gradient="analytic" needs a derivative written by hand, and {components.loss!r} has '
            'none: use gradient="backprop" or gradient="numeric", or a skgd.losses.Loss object '
            "with the methods value(y, raw) and gradient(y, raw)."
        )
    optimizer = components.optimizer
    mini_batches = not (estimator.batch_size is None or estimator.batch_size == "auto")
    scheduled = components.schedule.get_params() != {} or type(components.schedule) is not type(
        resolve_schedule("constant")
    )
    if isinstance(optimizer, LBFGS):
        check_exact(components.source)
        clashes = {
            "batch_size": mini_batches,
            "schedule": scheduled,
            "clip_norm": estimator.clip_norm is not None,
            "clip_value": estimator.clip_value is not None,
            "average": components.average is not None,
            "dropout": any(estimator._dropout_rates()),
        }
        for name, clash in clashes.items():
            if clash:
                raise ValueError(
                    f'optimizer="lbfgs" solves the full batch by line searches, so '
                    f"{name}={getattr(estimator, name)!r} has no meaning for it: leave {name} at "
                    "its default, or take another optimizer."
                )
    elif optimizer.full_batch_only and (mini_batches or scheduled):
        name, right = ("batch_size", None) if mini_batches else ("schedule", "constant")
        raise ValueError(
            f"optimizer={estimator.optimizer!r} adapts its steps by comparing successive full "
            f"gradients: it takes {name}={right!r}, not {name}={getattr(estimator, name)!r}."
        )
    elif optimizer.full_batch_only and any(estimator._dropout_rates()):
        raise ValueError(
            f"optimizer={estimator.optimizer!r} adapts its steps by comparing successive gradients "
            f"of one function, and dropout={estimator.dropout!r} changes it at every step: use "
            "dropout=0, or another optimizer."
        )


def check_partial(estimator: Any, components: Components, *, validated: bool) -> None:
    """Raise for settings that partial_fit cannot serve; `validated` is whether X_val is given."""
    wanted = not isinstance(estimator.early_stopping, str) and estimator.early_stopping
    if wanted and not validated:
        raise ValueError(
            "early_stopping=True keeps rows back, and partial_fit has none to spare: give X_val "
            "and y_val, or use early_stopping=False."
        )
    if components.schedule.has_horizon and components.schedule.n_steps is None:
        raise ValueError(
            f"schedule={estimator.schedule!r} must know how many steps there will be, and "
            "partial_fit cannot tell: give the object with n_steps, as in "
            f"schedule={type(components.schedule).__name__}(n_steps=1000)."
        )
