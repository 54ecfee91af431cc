"""What all estimators do: validate -> objective -> descend -> unpack; nothing else."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from skgd import descent
from skgd._component import check_bool, check_choice, check_number, resolve
from skgd._threads import one_blas_thread
from skgd.coordinates import Coordinates, column_statistics
from skgd.exceptions import DivergenceWarning
from skgd.gradients import GRADIENTS, GradientSource
from skgd.losses import LOSSES, Loss, losses_for
from skgd.models import FeedForward
from skgd.objective import Batch, DataObjective, Objective
from skgd.optimizers import LBFGS, OPTIMIZERS, Optimizer
from skgd.penalties import PENALTIES, ElasticNet, NoPenalty, Penalty
from skgd.rates import automatic_rate
from skgd.schedules import SCHEDULES, Schedule, resolve_schedule
from skgd.validation import validation_monitor

_EARLY_STOPPING_FROM = 10_000  # rows, as in HistGradientBoosting
_AUTO_BATCH = 256


@dataclass(frozen=True)
class Components:
    """The estimator's parameters as objects, checked."""

    loss: Loss
    source: GradientSource
    optimizer: Optimizer | LBFGS
    schedule: Schedule
    penalty: Penalty


class GradientLearner(BaseEstimator):
    """Base of the four estimators.

    Mixins supply what differs: how targets are encoded (`ClassifierTarget`,
    `RegressorTarget`), and how theta is shown (`LinearParameters`, `NetworkParameters`).
    """

    # ---------------------------------------------------------------- learning

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Learn from X and y.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
            float32 stays float32; X is not copied when it is C-contiguous or CSR.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            A weight of 2 counts as the row written twice; rows of weight 0 are dropped.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError, TypeError
            Before any training, for a parameter or data that cannot be used.

        Warns
        -----
        ConvergenceWarning
            `max_iter` was reached before `tol`.
        DivergenceWarning
            J became non-finite or stayed far above its start; the model has the
            parameters of the lowest J that was recorded.
        """
        components = self._check_parameters()
        data = self._check_data(X, y, sample_weight, components.loss, reset=True)
        stored = self._stored_theta(data) if self.warm_start else None
        seed = _seed(self.random_state)
        train, held_out = self._split(data, seed)
        train = self._weigh(train)
        progress, objective = self._start(components, train, stored, seed)
        plan = self._plan(components, train, progress, seed, held_out is not None)
        monitor = validation_monitor(self, objective, held_out) if held_out is not None else None
        try:
            self._descend(objective, components, train, plan, progress, monitor)
        finally:
            self._publish(objective.model, components, plan, progress, data.X.dtype)
        self._warn(train, components, plan, progress)
        return self

    def initialize(self, X: Any, y: Any, *, classes: Any = None, parameters: Any = None) -> Any:
        """Check the data and set up untrained parameters; nothing is learned.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        classes : array-like, default=None
            All classes, where y does not hold every one (classifiers only).
        parameters : array-like of shape (n_parameters,), default=None
            Theta to set; None for the start that `fit` would choose.

        Returns
        -------
        self : estimator
            With ``n_iter_ = 0``. `fit` starts from it only with ``warm_start=True``.
        """
        components = self._check_parameters()
        data = self._check_data(X, y, None, components.loss, reset=True, classes=classes)
        data = self._weigh(data)
        seed = _seed(self.random_state)
        stored = None if parameters is None else _as_theta(parameters, data.X.dtype)
        progress, objective = self._start(components, data, stored, seed)
        plan = self._plan(components, data, progress, seed, False)
        self._publish(objective.model, components, plan, progress, data.X.dtype)
        self.stop_reason_ = "initialized: nothing is learned yet"
        return self

    def _learn_one_pass(self, X: Any, y: Any, sample_weight: Any, *, classes: Any = None) -> Any:
        """One epoch that goes on from the parameters and optimizer state there are."""
        components = self._check_parameters()
        self._check_partial(components)
        first = not hasattr(self, "n_iter_")
        data = self._check_data(
            X, y, sample_weight, components.loss, reset=first, classes=classes, partial=True
        )
        data = self._weigh(data, partial=True)
        progress, seed = self.__dict__.get("_training", (None, _seed(self.random_state)))
        if progress is None or progress.optimizer_name != repr(components.optimizer):
            stored = None if first else self._stored_theta(data)
            progress, objective = self._start(components, data, stored, seed)
            progress.optimizer_name = repr(components.optimizer)
        else:
            objective = self._objective(components, data)
            progress.u = progress.coordinates.to_u(self._stored_theta(data))
        plan = self._plan(components, data, progress, seed, False, max_iter=1)
        try:
            self._descend(objective, components, data, plan, progress, None)
        finally:
            self._publish(objective.model, components, plan, progress, data.X.dtype)
            self._training = (progress, seed)
        return self

    # ------------------------------------------------- the gradient on its own

    def loss_and_gradient(
        self, X: Any, y: Any, sample_weight: Any = None
    ) -> tuple[float, np.ndarray]:
        """J and its gradient at the present parameters: nothing is learned, nothing changes.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        value : float
            J, with the penalty.
        gradient : ndarray of shape (n_parameters,)
            In the order of `parameters_`; the derivative of ``|w|`` at 0 is taken as 0.
        """
        check_is_fitted(self)
        objective = self.objective(X, y, sample_weight)
        return objective(objective.x0)

    def objective(self, X: Any, y: Any, sample_weight: Any = None) -> DataObjective:
        """J on these data as a function ``theta -> (value, gradient)``.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        objective : DataObjective
            With ``value(theta)``, ``gradient(theta, source=None)``, ``unpack(theta)`` and
            ``x0``: the present parameters, or the start that `fit` would choose where
            there are none. The estimator does not change.
        """
        if not hasattr(self, "n_iter_"):
            from sklearn.base import clone

            return clone(self).initialize(X, y).objective(X, y, sample_weight)
        components = self._check_parameters()
        data = self._weigh(self._check_data(X, y, sample_weight, components.loss, reset=False))
        x0 = self._stored_theta(data)
        return DataObjective(
            self._objective(components, data),
            data,
            components.source,
            x0,
            lambda source: resolve("source", source, GRADIENTS, GradientSource),
        )

    # --------------------------------------------------------- what was learned

    @property
    def parameters_(self) -> np.ndarray:
        """The flat vector theta: weights, then intercepts (a copy)."""
        check_is_fitted(self)
        return self._pack()

    def _raw(self, X: Any) -> np.ndarray:
        """Raw outputs of the model, (n,) or (n, n_outputs)."""
        check_is_fitted(self)
        theta = self._pack()
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        model = self._fitted_model()
        with np.errstate(over="ignore"):
            return model.raw(model.layers(theta), X)

    # ------------------------------------------------------------------ checks

    def _check_parameters(self) -> Components:
        """Resolve every component and check every number, before any data is looked at."""
        self._check_numbers()
        loss = self._loss()
        gradient = self._default_gradient if self.gradient == "auto" else self.gradient
        optimizer = resolve("optimizer", self.optimizer, OPTIMIZERS, (Optimizer, LBFGS))
        components = Components(
            loss=loss,
            source=resolve("gradient", gradient, GRADIENTS, GradientSource, extra=("auto",)),
            optimizer=optimizer,
            schedule=resolve_schedule(self.schedule),
            penalty=self._check_penalty(),
        )
        self._check_together(components)
        return components

    def _loss(self) -> Loss:
        table = losses_for(self._task)
        other = LOSSES.get(self.loss) if isinstance(self.loss, str) else type(self.loss)
        if other is not None and getattr(other, "task", self._task) != self._task:
            raise ValueError(
                f"loss={self.loss!r} is for a {other.task} target; {type(self).__name__} takes "
                f"{', '.join(map(repr, table))}."
            )
        return resolve("loss", self.loss, table, Loss)

    def _check_numbers(self) -> None:
        _check_rate(self.learning_rate)
        check_number("alpha", self.alpha, low=0)
        check_number("l1_ratio", self.l1_ratio, low=0, high=1)
        _check_batch_size(self.batch_size)
        check_number("max_iter", self.max_iter, low=1, integer=True)
        if self.tol is not None:
            check_number("tol", self.tol, low=0)
        check_number("n_iter_no_change", self.n_iter_no_change, low=1, integer=True)
        if self.early_stopping != "auto":
            check_bool("early_stopping", self.early_stopping)
        check_number(
            "validation_fraction", self.validation_fraction, low=0, high=1, include="neither"
        )
        if self.clip_norm is not None:
            check_number("clip_norm", self.clip_norm, low=0, include="neither")
        if not isinstance(self.average, (bool, np.bool_)):
            check_number("average", self.average, low=0, integer=True)
        for name in ("warm_start", "shuffle"):
            check_bool(name, getattr(self, name))
        if not isinstance(self.verbose, (bool, np.bool_)):
            check_number("verbose", self.verbose, low=0, integer=True)

    def _check_penalty(self) -> Penalty:
        if self.penalty is None:
            return NoPenalty()
        if self.penalty == "elasticnet":
            return ElasticNet(l1_ratio=self.l1_ratio)
        return resolve("penalty", self.penalty, PENALTIES, Penalty)

    def _check_together(self, components: Components) -> None:
        """Settings that are right alone and wrong together."""
        optimizer = components.optimizer
        if isinstance(optimizer, LBFGS):
            clash = {
                "clip_norm": self.clip_norm is not None,
                "average": bool(self.average),
                "schedule": self.schedule != "constant",
                "batch_size": self.batch_size not in ("auto", None),
            }
            wrong = [name for name, clashes in clash.items() if clashes]
            if wrong:
                raise ValueError(
                    f'optimizer="lbfgs" solves the full batch with a line search; {wrong[0]}='
                    f"{getattr(self, wrong[0])!r} has no meaning for it. Leave it at its default "
                    "or take another optimizer."
                )
        elif optimizer.full_batch_only:
            if self.batch_size not in ("auto", None):
                raise ValueError(
                    f"optimizer={self.optimizer!r} compares the signs of successive gradients, "
                    f"which mini-batches make random; use batch_size=None."
                )
            if self.schedule != "constant":
                raise ValueError(
                    f"optimizer={self.optimizer!r} adapts its own steps; use "
                    f'schedule="constant" instead of schedule={self.schedule!r}.'
                )

    def _check_partial(self, components: Components) -> None:
        if isinstance(components.optimizer, LBFGS):
            raise ValueError(
                'optimizer="lbfgs" is a solver over all data; partial_fit takes the others.'
            )
        if self.early_stopping is True:
            raise ValueError(
                "early_stopping=True needs validation data, and partial_fit has none; use "
                "early_stopping=False."
            )
        if components.schedule.has_horizon and components.schedule.n_steps is None:
            raise ValueError(
                f"schedule={self.schedule!r} must know how many steps there will be, and "
                "partial_fit does not; give an object with n_steps, such as "
                f"{type(components.schedule).__name__}(n_steps=1000)."
            )

    def _check_data(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        loss: Loss,
        *,
        reset: bool,
        classes: Any = None,
        partial: bool = False,
    ) -> Batch:
        """Validated rows with encoded targets; the weights are divided by their mean."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            order="C",
            multi_output=self._task == "regression",
            y_numeric=self._task == "regression",
            reset=reset,
        )
        y = self._check_target_shape(y)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
            X, y, weight = _drop_weightless(X, y, weight)
        y = self._encode(y, X.dtype, reset=reset, classes=classes, partial=partial)
        loss.check_target(y)
        return Batch(X, y, weight)

    def _weigh(self, data: Batch, *, partial: bool = False) -> Batch:
        """Class weights times sample weights, divided by their mean over these rows.

        `partial_fit` sees no mean over all rows: there a weight scales the step.
        """
        weight = self._class_weighted(data, partial)
        if weight is not None and not partial:
            weight = weight / weight.dtype.type(weight.mean(dtype=np.float64))
        return data._replace(weight=weight)

    def _split(self, data: Batch, seed: int) -> tuple[Batch, Batch | None]:
        """Training and validation rows; all and None without early stopping."""
        n = data.X.shape[0]
        wanted = n > _EARLY_STOPPING_FROM if self.early_stopping == "auto" else self.early_stopping
        if not wanted:
            return data, None
        train, held_out = train_test_split(
            np.arange(n),
            test_size=self.validation_fraction,
            random_state=seed % 2**32,
            stratify=self._strata(data.y),
        )
        return data.rows(train), data.rows(held_out)

    # ------------------------------------------------------------ the training

    def _objective(self, components: Components, data: Batch) -> Objective:
        n_outputs = 1 if data.y.ndim == 1 else data.y.shape[1]
        model = self._model(data.X.shape[1], n_outputs)
        return Objective(model, components.loss, components.penalty, float(self.alpha))

    def _start(
        self, components: Components, data: Batch, stored: np.ndarray | None, seed: int
    ) -> tuple[descent.Progress, Objective]:
        """Coordinates, objective and first parameters of a training."""
        objective = self._objective(components, data)
        if isinstance(components.optimizer, LBFGS) and data.X.dtype != np.float64:
            data = data._replace(X=data.X.astype(np.float64), y=data.y.astype(np.float64))
        coordinates = self._coordinates(objective, data)
        dtype = data.X.dtype
        if stored is None:
            # A stream of its own: neither rows nor batches can change the start.
            rng = np.random.default_rng([seed, 0])
            u = self._initial_u(objective.model, rng).astype(dtype)
        else:
            _check_n_parameters(stored, objective.model)
            u = coordinates.to_u(stored.astype(dtype))
        return descent.Progress(u=u, coordinates=coordinates), objective

    def _coordinates(self, objective: Objective, data: Batch) -> Coordinates:
        """Standardised for learning_rate="auto"; theta itself for a number."""
        model, loss = objective.model, objective.loss
        automatic = self.learning_rate == "auto"
        mean = scale = centre = spread = None
        unit = 1.0
        if automatic:
            mean, scale = column_statistics(data.X, data.weight, model.fit_intercept)
        if self._task == "regression" and (automatic or model.hidden_layer_sizes):
            centre, spread, unit = _output_scale(loss, data, model.fit_intercept)
        return Coordinates(model, mean, scale, centre, spread, unit)

    def _plan(
        self,
        components: Components,
        data: Batch,
        progress: descent.Progress,
        seed: int,
        early_stopping: bool,
        max_iter: int | None = None,
    ) -> descent.Plan:
        n = data.X.shape[0]
        batch_size = _n_rows(self.batch_size, n, components.optimizer)
        rate = self.learning_rate
        if isinstance(components.optimizer, LBFGS):
            rate = 1.0  # of the line search's first trial
        elif rate == "auto":
            rate = automatic_rate(
                components.optimizer, components.loss, data, progress.coordinates, batch_size
            )
        average = self.average
        return descent.Plan(
            optimizer=components.optimizer,
            schedule=components.schedule,
            learning_rate=float(rate),
            batch_size=batch_size,
            max_iter=max_iter or self.max_iter,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            clip_norm=self.clip_norm,
            average_from=None if average is False else int(average),
            shuffle=bool(self.shuffle),
            seed=seed,
            early_stopping=early_stopping,
            verbose=bool(self.verbose),
        )

    def _descend(
        self,
        objective: Objective,
        components: Components,
        data: Batch,
        plan: descent.Plan,
        progress: descent.Progress,
        monitor: Any,
    ) -> None:
        if progress.u.dtype != data.X.dtype:  # L-BFGS solves float32 data in float64
            data = Batch(*(None if a is None else a.astype(progress.u.dtype) for a in data))
        gradient_of = components.source.bind(objective, progress.u.dtype, progress.coordinates)
        with one_blas_thread():
            descent.descend(objective, gradient_of, data, plan, progress, monitor)

    def _publish(
        self,
        model: FeedForward,
        components: Components,
        plan: descent.Plan,
        progress: descent.Progress,
        dtype: Any,
    ) -> None:
        """Assign the fitted attributes."""
        self._unpack(model, progress.parameters().astype(dtype, copy=False))
        self.__dict__.pop("_training", None)
        self.n_iter_ = progress.epoch
        self.t_ = progress.samples
        self.loss_curve_ = list(progress.losses)
        self.loss_ = progress.losses[-1] if progress.losses else np.nan
        self.best_loss_ = progress.best_loss if progress.losses else np.nan
        self.stop_reason_ = progress.stop_reason
        self.gradient_ = _name_of(components.source, GRADIENTS)
        self.engine_ = "numpy"
        self.learning_rate_ = plan.learning_rate
        self.batch_size_ = plan.batch_size
        self.n_loss_evaluations_ = progress.loss_evaluations
        self.n_gradient_evaluations_ = progress.gradient_evaluations
        self.history_ = {
            "epoch": list(range(1, len(progress.losses) + 1)),
            "loss": list(progress.losses),
            "learning_rate": list(progress.rates[: len(progress.losses)]),
        }
        self.validation_loss_curve_ = self.validation_scores_ = None
        if progress.validation_losses:
            self.validation_loss_curve_ = list(progress.validation_losses)
            self.validation_scores_ = list(progress.validation_scores)
            self.history_["validation_loss"] = list(progress.validation_losses)
            self.history_["validation_score"] = list(progress.validation_scores)

    def _warn(
        self, data: Batch, components: Components, plan: descent.Plan, progress: descent.Progress
    ) -> None:
        if progress.stop_reason == descent.MAX_ITER and plan.tol is not None:
            warnings.warn(
                f"{type(self).__name__} reached max_iter={plan.max_iter} before the loss "
                f"stopped improving by tol={plan.tol:g}: raise max_iter or the learning rate, "
                "scale the data, or switch this stopping rule off with tol=None.",
                ConvergenceWarning,
                stacklevel=3,
            )
        elif progress.stop_reason == descent.DIVERGED:
            warnings.warn(
                _divergence_message(type(self).__name__, data, components, plan, progress),
                DivergenceWarning,
                stacklevel=3,
            )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_iter_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _seed(random_state: Any) -> int:
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _as_theta(parameters: Any, dtype: np.dtype) -> np.ndarray:
    theta = np.array(parameters, dtype=dtype)
    if theta.ndim != 1 or not np.isfinite(theta).all():
        raise ValueError("parameters takes a flat array of finite numbers.")
    return theta


def _check_n_parameters(theta: np.ndarray, model: FeedForward) -> None:
    if theta.shape != (model.n_parameters,):
        raise ValueError(
            f"parameters takes {model.n_parameters} numbers for this model "
            f"({', '.join(f'{b.name} {b.shape}' for b in model.blocks)}); got {theta.shape[0]}."
        )


def _check_rate(rate: Any) -> None:
    if isinstance(rate, str) and rate != "auto":
        if rate in SCHEDULES or rate in ("optimal", "adaptive"):
            raise ValueError(
                f"learning_rate={rate!r} is the name of a schedule; here learning_rate takes a "
                'number or "auto", and the schedule is a parameter of its own: schedule='
                f"{rate if rate in SCHEDULES else 'plateau'!r}."
            )
        check_choice("learning_rate", rate, ["auto"])
    if not isinstance(rate, str):
        check_number("learning_rate", rate, low=0, include="neither")


def _check_batch_size(size: Any) -> None:
    if size is None or (isinstance(size, str) and size == "auto"):
        return
    if isinstance(size, Real) and not isinstance(size, Integral):
        check_number("batch_size", size, low=0, high=1, include="high")
    elif isinstance(size, str):
        check_choice("batch_size", size, ["auto", None])
    else:
        check_number("batch_size", size, low=1, integer=True)


def _n_rows(batch_size: Any, n: int, optimizer: Any) -> int:
    if isinstance(optimizer, LBFGS) or optimizer.full_batch_only or batch_size is None:
        return n
    if batch_size == "auto":
        return min(n, _AUTO_BATCH)
    if isinstance(batch_size, Integral):
        return min(n, int(batch_size))
    return max(1, round(batch_size * n))


def _drop_weightless(X: Any, y: np.ndarray, weight: np.ndarray) -> tuple[Any, Any, Any]:
    """Without the rows of weight zero, before anything counts, splits or infers classes."""
    keep = weight > 0
    if keep.all():
        return X, y, weight
    if not keep.any():
        raise ValueError("sample_weight: every weight is zero, so no row is left to learn from.")
    return X[keep], y[keep], weight[keep]


def _output_scale(loss: Loss, data: Batch, centred: bool) -> tuple[Any, Any, float]:
    """Centre and spread of the raw output, and the loss of the best constant model."""
    weight = np.ones(data.y.shape[0]) if data.weight is None else data.weight.astype(np.float64)
    columns = data.y.reshape(data.y.shape[0], -1).astype(np.float64)
    mean = weight @ columns / weight.sum()
    centre = np.zeros_like(mean)
    if centred:
        centre = loss.link_of_mean(mean)
    spread = np.ones_like(mean)
    if loss.identity_link:
        spread = np.sqrt(weight @ np.square(columns - centre) / weight.sum())
        tiny = 10 * np.finfo(data.y.dtype).eps * np.abs(mean)
        spread = np.where(spread <= tiny, 1.0, spread)
    constant = np.broadcast_to(centre, columns.shape).reshape(data.y.shape)
    unit = float(weight @ loss.value(data.y.astype(np.float64), constant) / weight.sum())
    dtype = data.X.dtype
    if not (np.isfinite(unit) and unit > np.finfo(dtype).tiny):
        unit = 1.0
    return centre.astype(dtype), spread.astype(dtype), unit


def _divergence_message(
    name: str,
    data: Batch,
    components: Components,
    plan: descent.Plan,
    progress: descent.Progress,
) -> str:
    largest = float(abs(data.X).max())
    advice = ""
    if isinstance(components.optimizer, Optimizer):
        safe = automatic_rate(
            components.optimizer, components.loss, data, progress.coordinates, plan.batch_size
        )
        advice = (
            f' Try learning_rate={min(safe, plan.learning_rate / 10):.1g} or learning_rate="auto",'
        )
    return (
        f"{name} diverged in epoch {len(progress.losses) + 1} at learning rate "
        f"{plan.learning_rate:g}; the largest feature value is {largest:.3g}. The parameters of "
        f"the lowest loss were restored.{advice} and scale the features."
    )


def _name_of(source: GradientSource, table: dict[str, type]) -> str:
    names = [name for name, row in table.items() if type(source) is row]
    return names[0] if names else repr(source)
