"""What all estimators do: validate -> objective -> descend -> unpack; nothing else."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skgd import descent, engine
from skgd._component import check_number, resolve
from skgd._documentation import Documented
from skgd._synonyms import explaining
from skgd._threads import is_large, one_blas_thread
from skgd.averaging import AVERAGES
from skgd.constraints import CONSTRAINTS, Constraint
from skgd.estimators.advice import advice
from skgd.estimators.hooks import Hooks
from skgd.estimators.parameters import Components, check_parameters, check_partial
from skgd.estimators.sample_weight import checked_weight
from skgd.estimators.training import Training, prepare
from skgd.estimators.validation import check_finite, try_monitor, validation_monitor
from skgd.gradients import GRADIENTS, GradientSource
from skgd.losses import LOSSES, Loss
from skgd.objective import Batch, DataObjective, FeedForward, Objective
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
        with _unchanged_on_failure(self) as keep, one_blas_thread(), np.errstate(all="ignore"):
            components = self._components()
            labels = getattr(self, "classes_", None)
            data = self._check_data(
                X,
                y,
                sample_weight,
                components.loss,
                reset=True,
                # Column means, which an automatic rate needs, see what is not finite, too.
                finite=not isinstance(self.learning_rate, str),
            )
            if self.warm_start and labels is not None and len(labels) == len(self.classes_):
                _check_same_labels(labels, self.classes_)
            held_out = self._check_validation(X_val, y_val, sample_weight_val, data, components)
            stop_early = self._stops_early(data.X.shape[0], held_out is not None)
            stopped = hooks.resumed(
                {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val},
                validated=stop_early or held_out is not None,
            )
            seed = _seed(self.random_state) if stopped is None else stopped._memory.seed
            rows = None
            if stop_early and held_out is None:
                rows, held_out = self._split(data, seed)
            if rows is not None and not components.loss.any_rows:  # it cannot skip rows
                data, rows = data.rows(rows), None
            train = self._weigh(data, rows)
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
                _check_judged(held_out, components.loss)
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
        with _unchanged_on_failure(self), one_blas_thread(), np.errstate(all="ignore"):
            components = self._components()
            data = self._check_data(
                X, y, sample_weight, components.loss, reset=True, classes=classes
            )
            data = self._weigh(data)
            components = self._tried_on(components, data)
            objective = self._objective(components, data)
            theta = None
            if parameters is not None:
                theta = _as_theta(parameters, objective.model)
                _check_allowed(theta[: objective.model.n_weights], components.constraint)
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
        with _unchanged_on_failure(self) as keep, one_blas_thread(), np.errstate(all="ignore"):
            components = self._components()
            validated = validation[0] is not None
            check_partial(self, components, validated=validated)
            first = not hasattr(self, "n_iter_")
            data = self._check_data(
                X,
                y,
                sample_weight,
                components.loss,
                reset=first,
                classes=classes,
                partial=True,
            )
            held_out = self._check_validation(*validation, data, components)
            data = self._weigh(data, partial=True)
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
            if memory is None or memory.settings != _settings(self, components):
                memory = _Memory(None, _seed(self.random_state), ())
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
                _check_judged(held_out, components.loss)
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
            data = self._check_data(X, y, sample_weight, components.loss, reset=False)
            data = self._weigh(data)
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
            raw = raw_of_many(model, theta, X)
            # Nothing that is not finite gets through a linear model unseen.
            if model.hidden_layer_sizes or not np.isfinite(raw).all():
                check_finite(X, type(self).__name__)
        return raw

    # ------------------------------------------------------------------ checks

    def _components(self) -> Components:
        return check_parameters(self)

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
        finite: bool = True,
        like: Batch | None = None,
    ) -> Batch:
        """Validate; return the rows with encoded targets and sample weights.

        `like` are the rows being learned from, where these are to judge by. `finite` is False
        where a large X will be found out later (see `check_finite`).
        """
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            order="C",
            multi_output=self._takes_columns(y),
            y_numeric=self._task == "regression",
            reset=reset,
            ensure_all_finite=not is_large(X),
        )
        if finite and is_large(X):
            check_finite(X, type(self).__name__)
        y = self._check_target_shape(y)
        weight = None
        if sample_weight is not None:
            weight = checked_weight(sample_weight, X)
            X, y, weight = _drop_weightless(X, y, weight)
        y = self._encode(y, X.dtype, reset=reset, classes=classes, partial=partial)
        if not reset:
            n_outputs = self._n_outputs() if like is None else _n_columns(like.y)
            if _n_columns(y) != n_outputs:
                raise ValueError(
                    f"y has {_n_columns(y)} output(s); the model was fitted with {n_outputs}."
                )
        # Rows to judge by need not be enough to learn from: for poisson, all of them may be 0.
        loss.check_target(y if like is None else np.concatenate([like.y, y]))
        return Batch(X, y, weight)

    def _tried_on(
        self, components: Components, data: Batch, known: Loss | None = None
    ) -> Components:
        """Return the components with the loss for these targets, tried on them."""
        loss = self._loss_for_targets(components.loss)
        return replace(components, loss=loss).tried_on(data, known)

    def _weigh(
        self, data: Batch, rows: np.ndarray | None = None, *, partial: bool = False
    ) -> Batch:
        """Class weights times sample weights, divided by their mean over the training rows.

        Rows that are kept back get weight 0. `partial_fit` sees no mean over all rows: there
        a weight scales the step.
        """
        if rows is None:
            weight = self._class_weighted(data.y, data.weight, partial)
        else:
            of_rows = None if data.weight is None else data.weight[rows]
            given = self._class_weighted(data.y[rows], of_rows, partial)
            weight = np.zeros(data.X.shape[0])
            weight[rows] = 1.0 if given is None else given
        if weight is None:
            return data
        if not partial:  # the largest first: a sum of large weights may overflow
            weight = weight / weight.max()
            weight *= (len(weight) if rows is None else len(rows)) / weight.sum()
        return data._replace(weight=weight.astype(data.X.dtype))

    def _check_validation(
        self, X_val: Any, y_val: Any, sample_weight_val: Any, data: Batch, components: Components
    ) -> Batch | None:
        """Validate the rows to judge epochs by; None where there are none."""
        if X_val is None and y_val is None and sample_weight_val is None:
            return None
        if X_val is None or y_val is None:
            given = "y_val" if X_val is None and y_val is not None else "X_val"
            given = given if sample_weight_val is None else f"{given} or sample_weight_val"
            raise ValueError(f"X_val and y_val belong together; fit was given only {given}.")
        try:
            held_out = self._check_data(
                X_val, y_val, sample_weight_val, components.loss, reset=False, like=data
            )
        except ValueError as error:
            raise ValueError(f"X_val, y_val: {error}") from None
        return held_out.astype(data.X.dtype)

    def _stops_early(self, n: int, validated: bool) -> bool:
        """Whether a score on validation rows ends the training; X has n rows."""
        if isinstance(self.early_stopping, str):  # "auto"
            return validated or n > _EARLY_STOPPING_FROM
        return bool(self.early_stopping)

    def _split(self, data: Batch, seed: int) -> tuple[np.ndarray, Batch]:
        """Numbers of the training rows, and the rows kept back."""
        n = data.X.shape[0]
        try:
            train, held_out = train_test_split(
                np.arange(n),
                test_size=self.validation_fraction,
                random_state=seed,
                stratify=self._strata(data.y),
            )
        except ValueError as error:
            raise ValueError(
                f"early_stopping cannot keep validation_fraction={self.validation_fraction} of "
                f"{n} rows back: {error} Set early_stopping=False, or another fraction."
            ) from None
        return train, data.rows(held_out)

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
        snapshot._memory = _Memory(progress, seed, _settings(self, training.components))
        return {name: _copied(value) for name, value in vars(snapshot).items()}

    def _remember(self, training: Training, seed: int) -> None:
        """Keep what a later partial_fit goes on from: no data, no buffer."""
        progress, plan = training.progress, training.plan
        progress.optimizer_state.pop("scratch", None)
        if not (plan.early_stopping and plan.n_steps is None):  # else it is not over
            progress.forget_best()
        self._memory = _Memory(progress, seed, _settings(self, training.components))

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
            known = _TABLES.get(component, {})
            name_given = given.get(component) is None or isinstance(given[component], str)
            if setting and name_given and given.get(component) in known:
                raise ValueError(
                    f"{name} cannot be set: {component}={given[component]!r} is a name, and only "
                    f"an object has settings. Give the object first: {component}="
                    f"{_TABLES[component][given[component]].__name__}()."
                )
        return super().set_params(**params)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_iter_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _n_columns(y: np.ndarray) -> int:
    return 1 if y.ndim == 1 else y.shape[1]


@dataclass
class _Memory:
    """Where an estimator's training stands, and the settings that its optimizer state fits."""

    progress: Any
    seed: int
    settings: tuple[Any, ...]


def _copied(value: Any) -> Any:
    """Copy arrays, and lists of arrays such as the classes of several labels."""
    if isinstance(value, list):
        return [_copied(entry) for entry in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def _settings(estimator: Any, components: Components) -> tuple[Any, ...]:
    optimizer = components.optimizer
    return type(optimizer), dict(vars(optimizer)), isinstance(estimator.learning_rate, str)


@contextmanager
def _unchanged_on_failure(estimator: Any) -> Iterator[Callable[[], None]]:
    """Put the estimator's attributes back if the block fails, unless `keep` was called in it."""
    before = dict(estimator.__dict__)
    kept = []
    try:
        yield lambda: kept.append(True)
    except BaseException:
        if not kept:
            estimator.__dict__.clear()
            estimator.__dict__.update(before)
        raise


def _seed(random_state: Any) -> int:
    try:
        return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    except ValueError as error:
        raise ValueError(f"random_state: {error}") from None


def _check_judged(held_out: Batch, loss: Loss) -> None:
    """Raise where rows to judge by have weights, and the loss, as tried, is of all rows."""
    if held_out.weight is not None and not loss.per_sample:
        raise ValueError(
            f"sample_weight_val cannot be used: {loss!r} returns one number for all rows."
        )


def _check_same_labels(before: np.ndarray, now: np.ndarray) -> None:
    if not np.array_equal(before, now):
        raise ValueError(
            f"warm_start=True goes on with the classes {before!r}, and y has {now!r}: use "
            "warm_start=False, or the same labels."
        )


def _resolve_source(source: Any) -> GradientSource:
    return resolve("source", source, GRADIENTS, GradientSource)


def _as_theta(parameters: Any, model: FeedForward) -> np.ndarray:
    try:
        theta = np.array(parameters, dtype=np.float64)
    except (TypeError, ValueError):
        theta = np.array(np.nan)
    if theta.shape != (model.n_parameters,) or not np.isfinite(theta).all():
        parts = ", ".join(f"{block.name} {block.shape}" for block in model.blocks)
        raise ValueError(
            f"parameters takes {model.n_parameters} finite numbers for this model ({parts}); "
            f"got an array of shape {theta.shape}."
        )
    return theta


def _check_allowed(weights: np.ndarray, constraint: Constraint) -> None:
    low, high = constraint.bounds
    if weights.size and not low <= weights.min() <= weights.max() <= high:
        raise ValueError(
            f"parameters has weights from {weights.min():.4g} to {weights.max():.4g}, and "
            f"constraint={constraint!r} allows [{low:g}, {high:g}]: give others, or "
            "constraint=None."
        )


def _drop_weightless(X: Any, y: np.ndarray, weight: np.ndarray) -> tuple[Any, Any, Any]:
    """Without the rows of weight zero, before anything counts, splits or infers classes."""
    keep = weight > 0
    if keep.all():
        return X, y, weight
    if not keep.any():
        raise ValueError("sample_weight: every weight is zero, so no row is left to learn from.")
    return X[keep], y[keep], weight[keep]


def _name_of(source: GradientSource, table: dict[str, type]) -> str:
    """Name of a row of the table; a source that measures in another way shows its settings."""
    names = [name for name, row in table.items() if type(source) is row]
    plain = names and source.get_params() == table[names[0]]().get_params()
    return names[0] if plain else repr(source)
