"""Linear models: GDRegressor and GDClassifier."""

from __future__ import annotations

from typing import Any

from skgd.estimators import GradientLearner
from skgd.estimators.linear_parameters import LinearParameters
from skgd.estimators.targets import ClassifierTarget, RegressorTarget
from skgd.gradients import GradientSource

__all__ = ["GDClassifier", "GDRegressor"]


class GDRegressor(RegressorTarget, LinearParameters, GradientLearner):
    """Linear regression by gradient descent.

    Minimises ``J(w, b) = sum_i w_i loss(y_i, x_i w + b) / sum_i w_i + alpha R(w)``, with the
    gradient source and the optimizer as parameters. The gradient of a linear model needs no
    back-propagation: ``X^T loss'(X w + b) / n``.

    Parameters
    ----------
    loss : str, Loss or callable, default="squared_error"
        "squared_error", "absolute_error", "huber", "epsilon_insensitive",
        "squared_epsilon_insensitive", "quantile", "log_cosh", "poisson", "gamma", an object
        such as ``Huber(delta=2)``, or a function ``loss(y_true, raw)`` in plain NumPy that
        returns one value per sample, or one number for the batch. See `skgd.losses`.
    gradient : {"auto", "analytic", "backprop", "numeric"} or GradientSource, default="auto"
        Who computes the gradient; "auto" is "analytic", and "backprop" for a function as
        loss. See `skgd.gradients`.
    optimizer : str or optimizer, default="nesterov"
        What moves the parameters: a name in ``skgd.optimizers.OPTIMIZERS`` or an object such
        as ``Adam(beta_1=0.8)``, whose settings can then be searched (``optimizer__beta_1``).
    learning_rate : float or "auto", default="auto"
        "auto" descends in centred, scaled coordinates with a rate found from the data: any
        scale of the columns will do. A number is plain descent in the original
        coordinates, which may diverge on unscaled data.
    schedule : str, schedule or callable, default="auto"
        Factor on the learning rate: a name in ``skgd.schedules.SCHEDULES``, an object, or a
        function ``(step, n_steps) -> factor``. "auto" is constant, but where both this and the
        rate are "auto" and the batches are a part of the rows, the rate falls as 1/t after some
        hundred steps: J then comes to its minimum, and not to a noise above it.
    penalty : {"l2", "l1", "elasticnet", None} or Penalty, default="l2"
        "l1" gives exact zeros. Intercepts are not penalised.
    alpha : float, default=1e-3
        Strength of the penalty. SGDClassifier's form; J divides by the sum of weights.
    l1_ratio : float, default=0.15
        Share of L1 in "elasticnet".
    constraint : {"positive", "box", None} or Constraint, default=None
        Bounds that no weight leaves: at least 0, or those of ``Box(low=-1, high=1)``. Intercepts
        are free. See `skgd.constraints`.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    batch_size : int, float, "auto" or None, default="auto"
        Rows for each step; a float is a share of all rows, None is the full batch, "auto"
        is 256 or all rows where there are fewer; all where the loss is one number.
    max_iter : int, default=1000
        Passes over the data (epochs).
    tol : float or None, default=1e-4
        *Relative* improvement of J below which an epoch counts as none; None does not stop by J.
        With early stopping it is that of the score, and None is 0: any better score counts.
    step_tol : float or None, default=None
        End where theta moves by less than this share of its length in an epoch.
    gradient_tol : float or None, default=None
        End where the norm of the gradient (``history_["gradient_norm"]``) is not above this. It
        speaks of the whole of J with the full batch only.
    max_time : float or None, default=None
        Seconds; the training ends with the epoch in which they are over.
    max_evals : int or None, default=None
        Evaluations of J on a batch; the training ends with the epoch that reaches them.
    n_iter_no_change : int or "auto", default="auto"
        Epochs without improvement, one after the other, that end the training; the
        parameters of the lowest J are kept, or the `average`. "auto" is 20; where the automatic
        `schedule` lets the rate fall, it is as many epochs as take 640 steps, but from 5 to 20.
    early_stopping : bool or "auto", default=False
        Stop when the score on validation rows no longer improves, also with ``tol=None``, and
        keep the best parameters, not the last. The rows are those given to `fit` as X_val, else
        `validation_fraction` of X. "auto" does so with X_val or above 10,000 rows; False with
        X_val only records.
    validation_fraction : float, default=0.1
        Share of the rows that are kept back where no X_val is given.
    scoring : "loss", str, callable or None, default="loss"
        Score of the validation rows; None is the estimator's own `score`.
    clip_norm : float or None, default=None
        Largest norm of the gradient that the optimizer is given.
    clip_value : float or None, default=None
        Largest size of an entry of the gradient; entries are cut off before `clip_norm` counts.
    average : "auto", bool, int, str or Averaging, default="auto"
        Average the parameters over the steps; an int begins after that many samples, "ema" or
        ``EMA(decay=0.999)`` forgets old steps, "polynomial" ever more of them. "auto" is
        "polynomial", after 32 steps, where rate and `schedule` are "auto" and the batches are a
        part of the rows, but not with an L1 term or `constraint`, whose exact zeros an average
        would lose; else False. The curves of losses are those of the steps, above the J of the
        average. See `skgd.averaging`.
    warm_start : bool, default=False
        Let `fit` begin from the present parameters, where they have the right shape.
    shuffle : bool, default=True
        Draw the rows of the batches in a new random order in each epoch.
    random_state : int, RandomState instance or None, default=None
        Fixes the start and the order of the rows, and with them every bit of the result.
    verbose : bool or int, default=0
        Print a line for each epoch.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_outputs, n_features)
        Weights.
    intercept_ : ndarray of shape (n_outputs,)
        Intercepts; zeros without `fit_intercept`.
    parameters_ : ndarray of shape (n_parameters,)
        The flat vector theta: all weights, then all intercepts (a copy).
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X had names that are strings.
    n_iter_ : int
        Epochs.
    t_ : int
        Samples seen.
    loss_, best_loss_ : float
        J of the last epoch, and the lowest J of an epoch: means over the epoch's batches, each
        before its step. `loss_and_gradient` tells J of the parameters that were kept.
    loss_curve_ : list of float
        J of each epoch: the mean over its batches, penalty included.
    validation_loss_curve_, validation_scores_ : list of float or None
        Of the validation rows; the loss there has neither penalty nor class weights.
    history_ : dict of lists
        For each epoch: "epoch", "loss", "learning_rate", "gradient_norm" (of the last batch,
        before clipping, by the coordinates of the descent), "seconds" since the beginning, and
        with validation rows "validation_loss" and "validation_score".
        ``pandas.DataFrame(model.history_)`` shows it.
    stop_reason_ : str
        Why the training ended.
    gradient_, engine_ : str
        Who computed the gradient, and with what.
    learning_rate_ : float
        The rate before the schedule.
    batch_size_ : int
        Rows for each step.
    n_gradient_evaluations_, n_loss_evaluations_ : int
        Gradients, and values of the loss on a batch, that were computed.

    See Also
    --------
    sklearn.linear_model.SGDRegressor : One optimizer, batches of one row.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd import GDRegressor
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> y = np.array([1.0, 3.0, 5.0, 7.0])
    >>> model = GDRegressor(alpha=0).fit(X, y)
    >>> model.predict([[4.0]]).round(3)
    array([9.])
    """

    def __init__(
        self,
        loss: Any = "squared_error",
        *,
        gradient: str | GradientSource = "auto",
        optimizer: Any = "nesterov",
        learning_rate: float | str = "auto",
        schedule: Any = "auto",
        penalty: Any = "l2",
        alpha: float = 1e-3,
        l1_ratio: float = 0.15,
        constraint: Any = None,
        fit_intercept: bool = True,
        batch_size: int | float | str | None = "auto",
        max_iter: int = 1000,
        tol: float | None = 1e-4,
        step_tol: float | None = None,
        gradient_tol: float | None = None,
        max_time: float | None = None,
        max_evals: int | None = None,
        n_iter_no_change: int | str = "auto",
        early_stopping: bool | str = False,
        validation_fraction: float = 0.1,
        scoring: Any = "loss",
        clip_norm: float | None = None,
        clip_value: float | None = None,
        average: Any = "auto",
        warm_start: bool = False,
        shuffle: bool = True,
        random_state: Any = None,
        verbose: bool | int = 0,
    ) -> None:
        self.loss = loss
        self.gradient = gradient
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.constraint = constraint
        self.fit_intercept = fit_intercept
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.step_tol = step_tol
        self.gradient_tol = gradient_tol
        self.max_time = max_time
        self.max_evals = max_evals
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.average = average
        self.warm_start = warm_start
        self.shuffle = shuffle
        self.random_state = random_state
        self.verbose = verbose


class GDClassifier(ClassifierTarget, LinearParameters, GradientLearner):
    """Linear classification by gradient descent: logistic regression, linear SVM and others.

    Minimises ``J(W, b) = sum_i w_i loss(y_i, x_i W + b) / sum_i w_i + alpha R(W)``, with the
    gradient source and the optimizer as parameters. With "log_loss" more than two classes are
    softmax regression; margin losses are summed over one-vs-rest terms. y of shape (n_samples, K)
    has a column for each label: 0 and 1 alone are the labels that a row has, none or several (K
    losses for two classes, summed); rows of other numbers in [0, 1] whose sum is 1 are
    probabilities of one of K classes ("log_loss", or a function as loss).

    Parameters
    ----------
    loss : str, Loss or callable, default="log_loss"
        "log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron", "focal", an object
        such as ``Focal(gamma=3)``, or a function ``loss(y_true, raw)`` in plain NumPy that
        returns one value per sample, or one number for the batch; y_true is 0 or 1 for two
        classes, one-hot for more. See `skgd.losses`.
    gradient : {"auto", "analytic", "backprop", "numeric"} or GradientSource, default="auto"
        Who computes the gradient; "auto" is "analytic", and "backprop" for a function as
        loss. See `skgd.gradients`.
    optimizer : str or optimizer, default="nesterov"
        What moves the parameters: a name in ``skgd.optimizers.OPTIMIZERS`` or an object such
        as ``Adam(beta_1=0.8)``, whose settings can then be searched (``optimizer__beta_1``).
    learning_rate : float or "auto", default="auto"
        "auto" descends in centred, scaled coordinates with a rate found from the data: any
        scale of the columns will do. A number is plain descent in the original
        coordinates, which may diverge on unscaled data.
    schedule : str, schedule or callable, default="auto"
        Factor on the learning rate: a name in ``skgd.schedules.SCHEDULES``, an object, or a
        function ``(step, n_steps) -> factor``. "auto" is constant, but where both this and the
        rate are "auto" and the batches are a part of the rows, the rate falls as 1/t after some
        hundred steps: J then comes to its minimum, and not to a noise above it.
    penalty : {"l2", "l1", "elasticnet", None} or Penalty, default="l2"
        "l1" gives exact zeros. Intercepts are not penalised.
    alpha : float, default=1e-3
        Strength of the penalty. SGDClassifier's form; J divides by the sum of weights.
    l1_ratio : float, default=0.15
        Share of L1 in "elasticnet".
    constraint : {"positive", "box", None} or Constraint, default=None
        Bounds that no weight leaves: at least 0, or those of ``Box(low=-1, high=1)``. Intercepts
        are free. See `skgd.constraints`.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    batch_size : int, float, "auto" or None, default="auto"
        Rows for each step; a float is a share of all rows, None is the full batch, "auto"
        is 256 or all rows where there are fewer; all where the loss is one number.
    max_iter : int, default=1000
        Passes over the data (epochs).
    tol : float or None, default=1e-4
        *Relative* improvement of J below which an epoch counts as none; None does not stop by J.
        With early stopping it is that of the score, and None is 0: any better score counts.
    step_tol : float or None, default=None
        End where theta moves by less than this share of its length in an epoch.
    gradient_tol : float or None, default=None
        End where the norm of the gradient (``history_["gradient_norm"]``) is not above this. It
        speaks of the whole of J with the full batch only.
    max_time : float or None, default=None
        Seconds; the training ends with the epoch in which they are over.
    max_evals : int or None, default=None
        Evaluations of J on a batch; the training ends with the epoch that reaches them.
    n_iter_no_change : int or "auto", default="auto"
        Epochs without improvement, one after the other, that end the training; the
        parameters of the lowest J are kept, or the `average`. "auto" is 20; where the automatic
        `schedule` lets the rate fall, it is as many epochs as take 640 steps, but from 5 to 20.
    early_stopping : bool or "auto", default=False
        Stop when the score on validation rows no longer improves, also with ``tol=None``, and
        keep the best parameters, not the last. The rows are those given to `fit` as X_val, else
        `validation_fraction` of X. "auto" does so with X_val or above 10,000 rows; False with
        X_val only records.
    validation_fraction : float, default=0.1
        Share of the rows that are kept back where no X_val is given.
    scoring : "loss", str, callable or None, default="loss"
        Score of the validation rows; None is the estimator's own `score`.
    clip_norm : float or None, default=None
        Largest norm of the gradient that the optimizer is given.
    clip_value : float or None, default=None
        Largest size of an entry of the gradient; entries are cut off before `clip_norm` counts.
    average : "auto", bool, int, str or Averaging, default="auto"
        Average the parameters over the steps; an int begins after that many samples, "ema" or
        ``EMA(decay=0.999)`` forgets old steps, "polynomial" ever more of them. "auto" is
        "polynomial", after 32 steps, where rate and `schedule` are "auto" and the batches are a
        part of the rows, but not with an L1 term or `constraint`, whose exact zeros an average
        would lose; else False. The curves of losses are those of the steps, above the J of the
        average. See `skgd.averaging`.
    class_weight : dict, "balanced" or None, default=None
        Factor on the weight of each class's rows.
    warm_start : bool, default=False
        Let `fit` begin from the present parameters, where they have the right shape.
    shuffle : bool, default=True
        Draw the rows of the batches in a new random order in each epoch.
    random_state : int, RandomState instance or None, default=None
        Fixes the start and the order of the rows, and with them every bit of the result.
    verbose : bool or int, default=0
        Print a line for each epoch.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts; zeros without `fit_intercept`.
    parameters_ : ndarray of shape (n_parameters,)
        The flat vector theta: all weights, then all intercepts (a copy).
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted; 0 to K-1 where y has K columns.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X had names that are strings.
    n_iter_ : int
        Epochs.
    t_ : int
        Samples seen.
    loss_, best_loss_ : float
        J of the last epoch, and the lowest J of an epoch: means over the epoch's batches, each
        before its step. `loss_and_gradient` tells J of the parameters that were kept.
    loss_curve_ : list of float
        J of each epoch: the mean over its batches, penalty included.
    validation_loss_curve_, validation_scores_ : list of float or None
        Of the validation rows; the loss there has neither penalty nor class weights.
    history_ : dict of lists
        For each epoch: "epoch", "loss", "learning_rate", "gradient_norm" (of the last batch,
        before clipping, by the coordinates of the descent), "seconds" since the beginning, and
        with validation rows "validation_loss" and "validation_score".
        ``pandas.DataFrame(model.history_)`` shows it.
    stop_reason_ : str
        Why the training ended.
    gradient_, engine_ : str
        Who computed the gradient, and with what.
    learning_rate_ : float
        The rate before the schedule.
    batch_size_ : int
        Rows for each step.
    n_gradient_evaluations_, n_loss_evaluations_ : int
        Gradients, and values of the loss on a batch, that were computed.

    See Also
    --------
    sklearn.linear_model.SGDClassifier : One optimizer, batches of one row.
    sklearn.linear_model.LogisticRegression : Log loss only, second-order solvers.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgd import GDClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = GDClassifier(gradient="analytic", optimizer="momentum", random_state=0)
    >>> model.fit(X, y).score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        loss: Any = "log_loss",
        *,
        gradient: str | GradientSource = "auto",
        optimizer: Any = "nesterov",
        learning_rate: float | str = "auto",
        schedule: Any = "auto",
        penalty: Any = "l2",
        alpha: float = 1e-3,
        l1_ratio: float = 0.15,
        constraint: Any = None,
        fit_intercept: bool = True,
        batch_size: int | float | str | None = "auto",
        max_iter: int = 1000,
        tol: float | None = 1e-4,
        step_tol: float | None = None,
        gradient_tol: float | None = None,
        max_time: float | None = None,
        max_evals: int | None = None,
        n_iter_no_change: int | str = "auto",
        early_stopping: bool | str = False,
        validation_fraction: float = 0.1,
        scoring: Any = "loss",
        clip_norm: float | None = None,
        clip_value: float | None = None,
        average: Any = "auto",
        class_weight: Any = None,
        warm_start: bool = False,
        shuffle: bool = True,
        random_state: Any = None,
        verbose: bool | int = 0,
    ) -> None:
        self.loss = loss
        self.gradient = gradient
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.constraint = constraint
        self.fit_intercept = fit_intercept
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.step_tol = step_tol
        self.gradient_tol = gradient_tol
        self.max_time = max_time
        self.max_evals = max_evals
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.average = average
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.shuffle = shuffle
        self.random_state = random_state
        self.verbose = verbose
