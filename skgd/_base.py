"""What all estimators do: validate -> objective -> descend -> unpack; nothing else."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from skgd import descent
from skgd._component import resolve
from skgd._parameters import Components, check_parameters, check_partial
from skgd._threads import one_blas_thread
from skgd.coordinates import Coordinates, column_statistics
from skgd.exceptions import DivergenceWarning
from skgd.gradients import GRADIENTS, GradientSource
from skgd.losses import Loss
from skgd.models import FeedForward
from skgd.objective import Batch, DataObjective, Objective
from skgd.optimizers import LBFGS, Optimizer
from skgd.rates import automatic_rate
from skgd.validation import validation_monitor

_EARLY_STOPPING_FROM = 10_000  # rows, as in HistGradientBoosting
_AUTO_BATCH = 256


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
        components = self._components()
        data = self._check_data(X, y, sample_weight, components.loss, reset=True)
        objective = self._objective(components, data)
        stored = self._stored_theta(objective) if self.warm_start else None
        seed = _seed(self.random_state)
        train, held_out = self._split(data, seed)
        train = self._weigh(train)
        progress = self._start(components, objective, train, stored, seed)
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
        components = self._components()
        data = self._check_data(X, y, None, components.loss, reset=True, classes=classes)
        data = self._weigh(data)
        objective = self._objective(components, data)
        seed = _seed(self.random_state)
        given = None if parameters is None else _as_theta(parameters, objective.model)
        progress = self._start(components, objective, data, given, seed)
        plan = self._plan(components, data, progress, seed, False)
        self._publish(objective.model, components, plan, progress, data.X.dtype)
        self.stop_reason_ = "initialized: nothing is learned yet"
        return self

    def _learn_one_pass(self, X: Any, y: Any, sample_weight: Any, *, classes: Any = None) -> Any:
        """One epoch that goes on from the parameters and optimizer state there are."""
        components = self._components()
        check_partial(self, components)
        data = self._check_data(
            X,
            y,
            sample_weight,
            components.loss,
            reset=not hasattr(self, "n_iter_"),
            classes=classes,
            partial=True,
        )
        data = self._weigh(data, partial=True)
        objective = self._objective(components, data)
        stored = self._stored_theta(objective)
        progress, seed = self.__dict__.get("_training", (None, _seed(self.random_state)))
        if progress is None or progress.optimizer_name != repr(components.optimizer):
            progress = self._start(components, objective, data, stored, seed)
            progress.optimizer_name = repr(components.optimizer)
        else:
            progress.u = progress.coordinates.to_u(stored)
        plan = self._plan(components, data, progress, seed, False, max_iter=1)
        try:
            self._descend(objective, components, data, plan, progress, None)
        finally:
            self._publish(objective.model, components, plan, progress, data.X.dtype)
            self._training = (progress, seed)
        self._warn(data, components, plan, progress, partial=True)
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
            return clone(self).initialize(X, y).objective(X, y, sample_weight)
        components = self._components()
        data = self._weigh(self._check_data(X, y, sample_weight, components.loss, reset=False))
        objective = self._objective(components, data)
        x0 = self._pack().astype(data.X.dtype)
        return DataObjective(objective, data, components.source, x0, _resolve_source)

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
        return theta if theta.shape == (objective.model.n_parameters,) else None

    def _raw(self, X: Any) -> np.ndarray:
        """Raw outputs of the model, (n,) or (n, n_outputs)."""
        check_is_fitted(self)
        theta = self._pack()
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        model = self._fitted_model()
        with np.errstate(over="ignore"):
            return model.raw(model.layers(theta), X)

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
    ) -> Batch:
        """Validate; return the rows with encoded targets and sample weights."""
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
        self,
        components: Components,
        objective: Objective,
        data: Batch,
        theta: np.ndarray | None,
        seed: int,
    ) -> descent.Progress:
        """Coordinates and first parameters of a training; `theta` None draws them."""
        if isinstance(components.optimizer, LBFGS):  # a line search needs the digits
            data = data.astype(np.float64)
        coordinates = self._coordinates(objective, data)
        if theta is None:
            # A stream of its own: neither rows nor batches can change the start.
            u = self._initial_u(coordinates, np.random.default_rng([seed, 0]))
        else:
            u = coordinates.to_u(theta.astype(data.X.dtype))
        return descent.Progress(u=u.astype(data.X.dtype), coordinates=coordinates)

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
            tol=None if max_iter else self.tol,  # one pass of partial_fit is never the last
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
        data = data.astype(progress.u.dtype)
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
        self,
        data: Batch,
        components: Components,
        plan: descent.Plan,
        progress: descent.Progress,
        partial: bool = False,
    ) -> None:
        unfinished = progress.stop_reason == descent.MAX_ITER and plan.tol is not None
        if unfinished and not partial:
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


def _resolve_source(source: Any) -> GradientSource:
    return resolve("source", source, GRADIENTS, GradientSource)


def _as_theta(parameters: Any, model: FeedForward) -> np.ndarray:
    theta = np.array(parameters, dtype=np.float64)
    if theta.shape != (model.n_parameters,) or not np.isfinite(theta).all():
        parts = ", ".join(f"{block.name} {block.shape}" for block in model.blocks)
        raise ValueError(
            f"parameters takes {model.n_parameters} finite numbers for this model ({parts}); "
            f"got an array of shape {theta.shape}."
        )
    return theta


def _n_rows(batch_size: Any, n: int, optimizer: Any) -> int:
    if isinstance(optimizer, LBFGS) or optimizer.full_batch_only or batch_size is None:
        return n
    if batch_size == "auto":  # equal parts: a small last batch would only add noise
        return -(-n // -(-n // _AUTO_BATCH))
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
    if loss.link_name() == "identity":
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
