"""What all estimators do: validate -> objective -> descend -> unpack; nothing else."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skgd import descent, engine
from skgd._component import check_number, resolve
from skgd._documentation import Documented
from skgd._synonyms import explaining
from skgd._threads import is_large, one_blas_thread
from skgd.averaging import AVERAGES
from skgd.constraints import CONSTRAINTS
from skgd.estimators.advice import advice
from skgd.estimators.data import (
    as_theta,
    check_allowed,
    check_data,
    check_judged,
    check_same_labels,
    check_validation,
    split_rows,
    weigh,
)
from skgd.estimators.hooks import Hooks
from skgd.estimators.memory import Memory, copied, settings_of, unchanged_on_failure
from skgd.estimators.parameters import Components, check_parameters, check_partial
from skgd.estimators.training import Training, prepare
from skgd.estimators.validation import check_finite, try_monitor, validation_monitor
from skgd.gradients import GRADIENTS, GradientSource
from skgd.losses import LOSSES, Loss
from skgd.objective import Batch, DataObjective, Objective
from skgd.objective.models import gradient_by_input, raw_of_many
from skgd.optimizers import OPTIMIZERS
from skgd.penalties import PENALTIES
from skgd.schedules import SCHEDULES

# Parameters that take a name or an object, and their rows.
_TABLES: dict[str, Any] = {
    "loss": LOSSES,
    "gradient": GRADIENTS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "penalty": PENALTIES,
    "constraint": CONSTRAINTS,
    "average": AVERAGES,
}
_EARLY_STOPPING_FROM = 10_000  # rows, as in HistGradientBoosting


class GradientLearner(Documented, CallbackSupportMixin, BaseEstimator):
    """Base of the four estimators.

    Mixins supply what differs: how targets are encoded (`ClassifierTarget`,
    `RegressorTarget`), and how theta is shown (`LinearParameters`, `NetworkParameters`).
    """

    _public_module = "skgd"

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "__init__" in vars(cls):
            cls.__init__ = explaining(cls.__init__)  # type: ignore[method-assign]

    # ---------------------------------------------------------------- learning

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Learn from X and y.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
            float32 stays float32; X is not copied when it is C-contiguous or CSR.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            A weight of 2 counts as the row written twice; rows of weight 0 are dropped.
        X_val, y_val, sample_weight_val : array-like, default=None
            Rows to judge each epoch by, which are not learned from; see `early_stopping`.

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
            parameters of the lowest J, or of its start where J was lower there.
        """
        hooks = Hooks(self, X, y, sample_weight)
        with unchanged_on_failure(self) as keep, one_blas_thread(), np.errstate(all="ignore"):
            components = self._components()
            labels = getattr(self, "classes_", None)
            data = check_data(
                self,
                X,
                y,
                sample_weight,
                components.loss,
                reset=True,
                # Column means, which an automatic rate needs, see what is not finite, too.
                finite=not isinstance(self.learning_rate, str),
            )
            if self.warm_start and labels is not None and len(labels) == len(self.classes_):
                check_same_labels(labels, self.classes_)
            held_out = check_validation(self, X_val, y_val, sample_weight_val, data, components)
            stop_early = self._stops_early(data.X.shape[0], held_out is not None)
            stopped = hooks.resumed(
                {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val},
                validated=stop_early or held_out is not None,
            )
            seed = _seed(self.random_state) if stopped is None else stopped._memory.seed
            rows = None
            if stop_early and held_out is None:
                rows, held_out = split_rows(self, data, seed)
            if rows is not None and not components.loss.any_rows:  # it cannot skip rows
                data, rows = data.rows(rows), None
            train = weigh(self, data, rows)
            components = self._tried_on(components, train)
            objective = self._objective(components, data)
            training = prepare(
                self,
                components,
                objective,
                train,
                seed,
                theta=self._stored_theta(objective) if self.warm_start else None,
                progress=None if stopped is None else stopped._memory.progress,
                rows=rows,
                early_stopping=stop_early,
                resumed=stopped is not None,
            )
            training.check_start()
            monitor = None
            if held_out is not None:
                check_judged(held_out, components.loss)
                monitor = validation_monitor(self, objective, held_out)
                try_monitor(monitor, training.progress)
            self._train(training, data.X.dtype, seed, keep, monitor, hooks)
        self._warn(training)
        hooks.end()
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
        return self._initialize(X, y, None, classes, parameters)

    def _initialize(
        self, X: Any, y: Any, sample_weight: Any, classes: Any = None, parameters: Any = None
    ) -> Any:
        with unchanged_on_failure(self), one_blas_thread(), np.errstate(all="ignore"):
            components = self._components()
            data = check_data(
                self, X, y, sample_weight, components.loss, reset=True, classes=classes
            )
            data = weigh(self, data)
            components = self._tried_on(components, data)
            objective = self._objective(components, data)
            theta = None
            if parameters is not None:
                theta = as_theta(parameters, objective.model)
                check_allowed(theta[: objective.model.n_weights], components.constraint)
            seed = _seed(self.random_state)
            training = prepare(self, components, objective, data, seed, theta=theta)
            training.progress.stop_reason = "initialized: nothing is learned yet"
            self._publish(training, data.X.dtype)
            if theta is not None:  # to the last bit, whatever the coordinates
                self._unpack(theta.astype(data.X.dtype))
        return self

    def _learn_one_pass(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: tuple[Any, Any, Any],
        *,
        classes: Any = None,
    ) -> Any:
        """One epoch that goes on from the parameters and optimizer state there are."""
        with unchanged_on_failure(self) as keep, one_blas_thread(), np.errstate(all="ignore"):
            components = self._components()
            validated = validation[0] is not None
            check_partial(self, components, validated=validated)
            first = not hasattr(self, "n_iter_")
            data = check_data(
                self,
                X,
                y,
                sample_weight,
                components.loss,
                reset=first,
                classes=classes,
                partial=True,
            )
            held_out = check_validation(self, *validation, data, components)
            data = weigh(self, data, partial=True)
            components = self._tried_on(components, data, None if first else self._loss_)
            objective = self._objective(components, data)
            theta = self._stored_theta(objective)
            if theta is None and not first:
                raise ValueError(
                    f"partial_fit goes on from {self._pack().size} parameters, and the settings "
                    f"ask for a model with {objective.model.n_parameters}: a parameter that "
                    "changes the shape was set in between. Call fit, or take a clone."
                )
            memory = self.__dict__.get("_memory")
            if memory is None or memory.settings != settings_of(self, components):
                memory = Memory(None, _seed(self.random_state), ())
            else:
                memory = replace(memory, progress=memory.progress.taken_up(theta))
            training = prepare(
                self,
                components,
                objective,
                data,
                memory.seed,
                theta=theta,
                progress=memory.progress,
                early_stopping=validated and self._stops_early(0, validated),
                one_pass=True,
            )
            training.check_start()
            monitor = None
            if held_out is not None:
                check_judged(held_out, components.loss)
                monitor = validation_monitor(self, objective, held_out)
                if not training.progress.validation_losses:  # else it has worked before
                    try_monitor(monitor, training.progress)
            self._train(training, data.X.dtype, memory.seed, keep, monitor, None)
        self._warn(training)
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
            start = clone(self)._initialize(X, y, sample_weight)
            return start.objective(X, y, sample_weight)
        components = self._components()
        with np.errstate(all="ignore"):
            data = check_data(self, X, y, sample_weight, components.loss, reset=False)
            data = weigh(self, data)
            components = self._tried_on(components, data, self._loss_)
        objective = self._objective(components, data)
        x0 = self._pack().astype(data.X.dtype)
        return DataObjective(objective, data, components.source, x0, _resolve_source, engine.bind)

    # --------------------------------------------------------- what was learned

    @property
    def parameters_(self) -> np.ndarray:
        """The flat vector theta: weights, then intercepts (a copy)."""
        check_is_fitted(self)
        return self._pack()

    def _stored_theta(self, objective: Objective) -> np.ndarray | None:
        """Theta of this estimator; None where there is none of the objective's shape."""
        if not hasattr(self, "n_iter_"):
            return None
        theta = self._pack()
        return theta if self._model_.blocks == objective.model.blocks else None

    def input_gradient(self, X: Any, output: int | None = None) -> np.ndarray:
        """Return the derivative of the raw outputs by the inputs, d raw_k / d x_j, row by row.

        It tells to which inputs a prediction is sensitive (a saliency map, Simonyan, Vedaldi &
        Zisserman 2013). For a linear model it is its weights, the same for each row.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
        output : int, default=None
            Number k of a raw output; None is all of them. A raw output is what comes before any
            link or output activation.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features) or (n_samples, n_features, n_outputs)
            The latter for ``output=None`` and several outputs.
        """
        X = self._checked_rows(X)
        model = self._model_
        if output is not None:
            check_number("output", output, low=0, high=model.n_outputs - 1, integer=True)
        outputs = range(model.n_outputs) if output is None else [int(output)]
        dtype = np.result_type(X.dtype, self._pack())
        with np.errstate(over="ignore", invalid="ignore"):
            layers = model.layers(self._pack().astype(dtype, copy=False))
            gradient = gradient_by_input(model, layers, X, outputs)
        return gradient[:, :, 0] if len(outputs) == 1 else gradient

    def _checked_rows(self, X: Any) -> Any:
        """Rows to apply the fitted model to."""
        check_is_fitted(self)
        return validate_data(
            self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False
        )

    def _raw(self, X: Any) -> np.ndarray:
        """Raw outputs of the model, (n,) or (n, n_outputs)."""
        check_is_fitted(self)
        X = validate_data(
            self,
            X,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite=not is_large(X),
            reset=False,
        )
        model, theta = self._model_, self._pack()
        with np.errstate(over="ignore", invalid="ignore"):
            if not is_large(X):
                return model.raw(model.layers(theta), X)
            raw, finite = raw_of_many(model, theta, X)
            if not finite:  # or finite rows overflow
                check_finite(X, type(self).__name__)
        return raw

    # ------------------------------------------------------------------ checks

    def _components(self) -> Components:
        return check_parameters(self)

    def _tried_on(
        self, components: Components, data: Batch, known: Loss | None = None
    ) -> Components:
        """Return the components with the loss for these targets, tried on them."""
        loss = self._loss_for_targets(components.loss)
        return replace(components, loss=loss).tried_on(data, known)

    def _stops_early(self, n: int, validated: bool) -> bool:
        """Whether a score on validation rows ends the training; X has n rows."""
        if isinstance(self.early_stopping, str):  # "auto"
            return validated or n > _EARLY_STOPPING_FROM
        return bool(self.early_stopping)

    # ------------------------------------------------------------ the training

    def _objective(self, components: Components, data: Batch) -> Objective:
        n_outputs = 1 if data.y.ndim == 1 else data.y.shape[1]
        model = self._model(data.X.shape[1], n_outputs)
        return Objective(model, components.loss, components.penalty, float(self.alpha))

    def _train(
        self,
        training: Training,
        dtype: Any,
        seed: int,
        keep: Callable[[], None],
        monitor: descent.Monitor | None,
        hooks: Hooks | None,
    ) -> None:
        """Descend, and keep what was learned, also when something goes wrong on the way."""
        told: tuple[Any, ...] = ()
        steps_before = training.progress.step
        if hooks:
            fitted = partial(self._as_if_over, training, dtype, seed)
            told = hooks.before_epoch(fitted), hooks.after_epoch(fitted)
        try:
            training.run(monitor, *told)
        except BaseException as error:
            if training.progress.step > steps_before or isinstance(error, KeyboardInterrupt):
                self._publish(training, dtype)
                self._remember(training, seed)
                keep()
            raise  # without a step nothing was learned: an earlier fit stays as it was
        self._publish(training, dtype)
        self._remember(training, seed)

    def _as_if_over(self, training: Training, dtype: Any, seed: int) -> dict[str, Any]:
        """Fitted attributes as if the training ended here, for callbacks: copies of arrays."""
        progress = training.progress.snapshot()
        snapshot = copy.copy(self)
        snapshot._publish(replace(training, progress=progress), dtype)
        snapshot._memory = Memory(progress, seed, settings_of(self, training.components))
        return {name: copied(value) for name, value in vars(snapshot).items()}

    def _remember(self, training: Training, seed: int) -> None:
        """Keep what a later partial_fit goes on from: no data, no buffer."""
        progress, plan = training.progress, training.plan
        progress.optimizer_state.pop("scratch", None)
        if not (plan.early_stopping and plan.n_steps is None):  # else it is not over
            progress.forget_best()
        self._memory = Memory(progress, seed, settings_of(self, training.components))

    def _publish(self, training: Training, dtype: Any) -> None:
        """Assign the fitted attributes."""
        progress, plan = training.progress, training.plan
        # Predictions belong to the model as it was trained, whatever is set afterwards.
        self._model_ = training.objective.model
        self._loss_ = training.components.loss
        self._unpack(progress.parameters().astype(dtype, copy=False))
        self.__dict__.pop("_memory", None)
        self.n_iter_ = progress.epoch
        self.t_ = progress.samples
        self.history_ = progress.history()
        self.loss_curve_ = self.history_["loss"]
        self.loss_ = progress.losses[-1] if progress.losses else np.nan
        self.best_loss_ = progress.best_loss if progress.losses else np.nan
        self.stop_reason_ = progress.stop_reason
        self.gradient_ = _name_of(training.components.source, GRADIENTS)
        self.engine_ = training.engine
        self.learning_rate_ = plan.learning_rate
        self.batch_size_ = plan.batch_size
        self.n_loss_evaluations_ = progress.loss_evaluations
        self.n_gradient_evaluations_ = progress.gradient_evaluations
        self.validation_loss_curve_ = self.history_.get("validation_loss")
        self.validation_scores_ = self.history_.get("validation_score")

    def _warn(self, training: Training) -> None:
        for message, category in advice(training, type(self).__name__, self.learning_rate):
            warnings.warn(message, category, stacklevel=4)

    def set_params(self, **params: Any) -> Any:
        """Set parameters; ``optimizer__beta_1`` sets one of a component that is an object.

        Parameters
        ----------
        **params : dict
            Names and values.

        Returns
        -------
        self : estimator
        """
        given = {**self.get_params(deep=False), **params}
        for name in params:
            component, _, setting = name.partition("__")
            table, value = _TABLES.get(component), given.get(component)
            if setting and table and not hasattr(value, "get_params"):
                raise ValueError(
                    f"{name} cannot be set: {component}={value!r} is not an object with settings. "
                    + _object_first(component, setting, table, value)
                )
        return super().set_params(**params)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_iter_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _seed(random_state: Any) -> int:
    try:
        return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    except ValueError as error:
        raise ValueError(f"random_state: {error}") from None


def _resolve_source(source: Any) -> GradientSource:
    return resolve("source", source, GRADIENTS, GradientSource)


def _name_of(source: GradientSource, table: dict[str, type]) -> str:
    """Name of a row of the table; a source that measures in another way shows its settings."""
    names = [name for name, row in table.items() if type(source) is row]
    plain = names and source.get_params() == table[names[0]]().get_params()
    return names[0] if plain else repr(source)


def _object_first(component: str, setting: str, table: dict[Any, type], value: Any) -> str:
    """Say which objects have a setting: that of the name that is given, or any that has it."""
    having = [row for row in table.values() if setting in row().get_params()]
    if isinstance(value, str) and table.get(value) in having:
        having = [table[value]]
    if not having:
        return f"None that {component} takes has a setting {setting!r}."
    objects = " or ".join(dict.fromkeys(f"{component}={row.__name__}()" for row in having))
    return f"Give the object first: {objects}."
