"""J(theta) is what it is said to be, and its minimum is the one that scikit-learn finds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_regression
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    Lasso,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
)
from sklearn.metrics import (
    hinge_loss,
    log_loss,
    mean_absolute_error,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler, scale
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.activations import Tanh
from skgd.losses import LOSSES, Huber, Quantile, losses_for
from skgd.objective import Batch, FeedForward
from skgd.objective.coordinates import Coordinates
from skgd.objective.statistics import column_statistics
from skgd.penalties import PENALTIES
from skgd.penalties import ElasticNet as ElasticNetPenalty
from skgd.schedules.spectrum import spectrum

ESTIMATORS = (GDRegressor, GDClassifier, MLPBackpropRegressor, MLPBackpropClassifier)


def regression_data(n=30, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = np.exp(0.3 * X @ np.arange(p) + 0.2 * rng.normal(size=n))
    return X, y, rng.uniform(0.1, 3.0, size=n), 0.4 * rng.normal(size=p + 1)


# ------------------------------------------------------------------------ the number J itself

REGRESSION_METRICS = {
    "squared_error": lambda y, raw, w: mean_squared_error(y, raw, sample_weight=w) / 2,
    "absolute_error": lambda y, raw, w: mean_absolute_error(y, raw, sample_weight=w),
    "quantile": lambda y, raw, w: mean_pinball_loss(y, raw, sample_weight=w, alpha=0.5),
    "poisson": lambda y, raw, w: mean_poisson_deviance(y, np.exp(raw), sample_weight=w) / 2,
    "gamma": lambda y, raw, w: mean_gamma_deviance(y, np.exp(raw), sample_weight=w) / 2,
    "epsilon_insensitive": lambda y, raw, w: np.average(
        np.maximum(np.abs(y - raw) - 0.1, 0), weights=w
    ),
    "squared_epsilon_insensitive": lambda y, raw, w: np.average(
        np.maximum(np.abs(y - raw) - 0.1, 0) ** 2, weights=w
    ),
    "log_cosh": lambda y, raw, w: np.average(np.log(np.cosh(y - raw)), weights=w),
}


@pytest.mark.parametrize("loss", REGRESSION_METRICS)
@pytest.mark.parametrize("weighted", [False, True])
def test_value_is_the_metric_of_regression(loss, weighted):
    X, y, w, theta = regression_data()
    w = w if weighted else None
    objective = GDRegressor(loss, penalty=None).objective(X, y, w)
    raw = X @ theta[:-1] + theta[-1]
    expected = REGRESSION_METRICS[loss](y, raw, w)
    assert_allclose(objective.value(theta), expected, rtol=1e-12)
    assert_allclose(objective(theta)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_value_is_the_metric_of_classification(weighted):
    X, y = load_iris(return_X_y=True)
    rng = np.random.default_rng(0)
    w = rng.uniform(0.1, 3, size=150) if weighted else None
    model = GDClassifier(penalty=None)
    theta = 0.3 * rng.normal(size=15)
    model.initialize(X, y, parameters=theta)
    expected = log_loss(y, model.predict_proba(X), sample_weight=w)
    assert_allclose(model.loss_and_gradient(X, y, w)[0], expected, rtol=1e-12)

    half = y < 2
    X, y, w = X[half], y[half], None if w is None else w[half]
    for loss in ("log_loss", "hinge"):
        model = GDClassifier(loss, penalty=None).initialize(X, y, parameters=theta[:5])
        if loss == "log_loss":
            expected = log_loss(y, model.predict_proba(X), sample_weight=w)
        else:
            expected = hinge_loss(y, model.decision_function(X), sample_weight=w)
        assert_allclose(model.loss_and_gradient(X, y, w)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "modified_huber", "perceptron"])
def test_margin_losses_sum_over_one_against_the_rest(loss):
    X, y = load_iris(return_X_y=True)
    theta = 0.3 * np.random.default_rng(1).normal(size=15)
    whole = GDClassifier(loss, penalty=None).objective(X, y).value(theta)
    coef, intercept = theta[:12].reshape(3, 4), theta[12:]
    parts = [
        GDClassifier(loss, penalty=None)
        .objective(X, (y == k).astype(int))
        .value(np.append(coef[k], intercept[k]))
        for k in range(3)
    ]
    assert_allclose(whole, sum(parts), rtol=1e-12)


@pytest.mark.parametrize("loss", losses_for("regression"))
def test_outputs_are_summed(loss):
    X, y, w, _ = regression_data()
    Y = np.column_stack([y, y**2, y + 1])
    rng = np.random.default_rng(0)
    coef, intercept = 0.3 * rng.normal(size=(3, 4)), 0.3 * rng.normal(size=3)
    model = GDRegressor(loss, penalty=None)
    whole = model.objective(X, Y, w).value(np.append(coef.ravel(), intercept))
    parts = [
        model.objective(X, Y[:, k], w).value(np.append(coef[k], intercept[k])) for k in range(3)
    ]
    assert_allclose(whole, sum(parts), rtol=1e-12)


@pytest.mark.parametrize("source", ["analytic", "backprop", "numeric"])
def test_penalty_is_added_by_hand(source):
    X, y, w, theta = regression_data()
    plain = GDRegressor(penalty=None, gradient=source).objective(X, y, w)
    coef = theta[:-1]
    l1, l2 = np.abs(coef).sum(), 0.5 * coef @ coef
    alpha, share = 0.7, 0.3
    expected = {None: 0.0, "l2": l2, "l1": l1, "elasticnet": share * l1 + (1 - share) * l2}
    assert set(expected) <= set(PENALTIES)
    for penalty, term in expected.items():
        model = GDRegressor(penalty=penalty, alpha=alpha, l1_ratio=share, gradient=source)
        objective = model.objective(X, y, w)
        assert_allclose(objective.value(theta) - plain.value(theta), alpha * term, atol=1e-12)
        assert_allclose(objective(theta)[0], objective.value(theta), rtol=1e-13)
    # an object brings its own share
    model = GDRegressor(penalty=ElasticNetPenalty(l1_ratio=0.9), alpha=alpha, l1_ratio=share)
    extra = model.objective(X, y, w).value(theta) - plain.value(theta)
    assert_allclose(extra, alpha * (0.9 * l1 + 0.1 * l2), rtol=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_intercepts_are_not_penalised(estimator):
    X, y, _, _ = regression_data()
    y = y if "Regressor" in estimator.__name__ else np.digitize(y, [0.8, 1.5])
    network = {"hidden_layer_sizes": (3, 2)} if "MLP" in estimator.__name__ else {}
    objective = estimator(penalty="l2", alpha=1e6, **network).objective(X, y)
    without = estimator(penalty=None, **network).objective(X, y)
    theta = np.random.default_rng(0).normal(size=objective.x0.size)
    arrays = objective.unpack(theta)
    squares = sum(np.sum(a**2) for name, a in arrays.items() if name.startswith("coef"))
    extra = objective.value(theta) - without.value(theta)
    assert_allclose(extra, 0.5e6 * squares, rtol=1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("csr", [False, True])
def test_weight_of_two_is_the_row_twice(estimator, csr):
    X, y, _, _ = regression_data()
    y = y if "Regressor" in estimator.__name__ else np.digitize(y, [0.8, 1.5])
    network = {"hidden_layer_sizes": (3,)} if "MLP" in estimator.__name__ else {}
    times = np.random.default_rng(1).integers(0, 4, size=len(y))
    twice = np.repeat(np.arange(len(y)), times)
    model = estimator(alpha=0.1, **network).initialize(X, y)
    theta = np.random.default_rng(0).normal(size=model.parameters_.size)
    X = sparse.csr_matrix(X) if csr else X
    weighted = model.objective(X, y, times.astype(float))
    repeated = model.objective(X[twice], y[twice])
    assert_allclose(weighted.value(theta), repeated.value(theta), rtol=1e-13)
    assert_allclose(weighted.gradient(theta), repeated.gradient(theta), rtol=1e-10, atol=1e-13)
    # only ratios of weights count
    scaled = model.objective(X, y, 1e3 * times)
    assert_allclose(scaled.value(theta), weighted.value(theta), rtol=1e-13)


def test_class_weight_is_a_factor_on_sample_weights():
    X, y = load_iris(return_X_y=True)
    w = np.random.default_rng(0).uniform(0.5, 2, size=150)
    theta = 0.3 * np.random.default_rng(1).normal(size=15)
    factors = {0: 0.5, 1: 3.0, 2: 1.0}
    by_class = GDClassifier(class_weight=factors).objective(X, y, w)
    by_row = GDClassifier().objective(X, y, w * np.array([factors[k] for k in y]))
    assert_allclose(by_class.value(theta), by_row.value(theta), rtol=1e-13)
    assert by_class.value(theta) != pytest.approx(GDClassifier().objective(X, y, w).value(theta))


@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
@pytest.mark.parametrize("batch_size", [5, 20])
def test_mini_batches_are_unbiased(estimator, batch_size):
    """At a tiny rate an epoch moves along the sum of the batches' gradients at the start.

    The weights are as uneven as those of a rare class: to divide by the sum of weights of
    each batch would change the direction by much more than the tolerance.
    """
    X, y, _, theta = regression_data(n=100)
    y = y if estimator is GDRegressor else (y > 1).astype(int)
    weight = np.where(np.arange(100) % 10 == 0, 50.0, 0.5)
    rate = 1e-7
    model = estimator(
        optimizer="sgd",
        learning_rate=rate,
        batch_size=batch_size,
        max_iter=1,
        tol=None,
        warm_start=True,
        random_state=0,
        alpha=0.1,
    )
    model.initialize(X, y, parameters=theta)
    gradient = model.objective(X, y, weight).gradient(theta)
    moved = (theta - model.fit(X, y, weight).parameters_) / (rate * 100 / batch_size)
    assert_allclose(moved, gradient, rtol=1e-4, atol=1e-6)
    balanced = model.objective(X, y).gradient(theta)
    assert np.linalg.norm(gradient - balanced) > 0.05 * np.linalg.norm(gradient)


# --------------------------------------------------------------- the minimum is the right one

TO_THE_END = {"batch_size": None, "max_iter": 20_000, "tol": 1e-13, "n_iter_no_change": 300}


def descend(estimator, optimizer, **settings):
    settings = TO_THE_END | settings
    if optimizer == "lbfgs":
        settings |= {"tol": 1e-10}
    return estimator(optimizer=optimizer, random_state=0, **settings)


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return scale(X), scale(y)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adam", "lbfgs"])
@pytest.mark.parametrize("scaled", [True, False])
def test_lasso(optimizer, scaled):
    """Exact zeros, the same support, the same coefficients."""
    X, y = diabetes()
    alpha, nonzeros = 0.1, 4
    if not scaled:  # columns of norm 1, the target from 25 to 346
        X, y = load_diabetes(return_X_y=True)
        nonzeros = 7
    reference = Lasso(alpha=alpha, tol=1e-14, max_iter=100_000).fit(X, y)
    assert np.count_nonzero(reference.coef_) == nonzeros
    settings = {"schedule": "cosine", "max_iter": 5000} if optimizer == "adam" else {}
    if optimizer == "adam":
        settings["tol"] = None
    model = descend(GDRegressor, optimizer, penalty="l1", alpha=alpha, **settings).fit(X, y)
    assert_array_equal(model.coef_ != 0, reference.coef_ != 0)
    largest = np.abs(reference.coef_).max()
    assert_allclose(model.coef_, reference.coef_, rtol=1e-3, atol=1e-4 * largest)
    assert_allclose(model.intercept_, reference.intercept_, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_lasso_with_default_stopping(optimizer):
    """With the stopping rule as it comes, J ends within a hair of the lasso's, with its zeros."""
    X, y = diabetes()
    reference = Lasso(alpha=0.1, tol=1e-14, max_iter=100_000).fit(X, y)
    model = GDRegressor(optimizer=optimizer, penalty="l1", alpha=0.1, random_state=0).fit(X, y)
    objective = model.objective(X, y)
    least = objective.value(np.append(reference.coef_, reference.intercept_))
    assert objective.value(model.parameters_) < least * 1.01
    assert np.count_nonzero(model.coef_ == 0) >= 4


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "lbfgs"])
def test_lasso_on_weighted_csr_without_intercept(optimizer):
    X, y = diabetes()
    X = np.where(np.abs(X) > 0.5, X, 0)
    w = np.random.default_rng(0).uniform(0, 3, size=len(y))
    reference = Lasso(alpha=0.1, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y, w)
    settings = {"penalty": "l1", "alpha": 0.1, "fit_intercept": False}
    model = descend(GDRegressor, optimizer, **settings).fit(sparse.csr_matrix(X), y, w)
    assert_array_equal(model.coef_ != 0, reference.coef_ != 0)
    assert_allclose(model.coef_, reference.coef_, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("learning_rate", ["auto", 0.1])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "lbfgs"])
def test_elasticnet(optimizer, learning_rate):
    X, y = diabetes()
    reference = ElasticNet(alpha=0.3, l1_ratio=0.6, tol=1e-14, max_iter=100_000).fit(X, y)
    settings = {"penalty": "elasticnet", "alpha": 0.3, "l1_ratio": 0.6}
    model = descend(GDRegressor, optimizer, learning_rate=learning_rate, **settings).fit(X, y)
    assert_array_equal(model.coef_ != 0, reference.coef_ != 0)
    assert_allclose(model.coef_, reference.coef_, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "lbfgs"])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge(optimizer, weighted):
    X, y = load_diabetes(return_X_y=True, scaled=False)  # columns on scales from 0.05 to 30
    w = np.random.default_rng(0).uniform(0, 3, size=len(y)) if weighted else np.ones(len(y))
    alpha = 0.5
    reference = Ridge(alpha=alpha * w.sum()).fit(X, y, w)
    model = descend(GDRegressor, optimizer, alpha=alpha).fit(X, y, w)
    assert_allclose(model.coef_, reference.coef_, rtol=1e-3, atol=1e-3)
    assert_allclose(model.predict(X), reference.predict(X), rtol=1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_ridge_with_several_outputs(optimizer):
    X, Y = make_regression(100, 6, n_targets=3, noise=5, random_state=0)
    reference = Ridge(alpha=0.2 * 100).fit(X, Y)
    model = descend(GDRegressor, optimizer, alpha=0.2).fit(X, Y)
    assert_allclose(model.coef_, reference.coef_, rtol=1e-3, atol=1e-3)
    assert_allclose(model.intercept_, reference.intercept_, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "lbfgs"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_logistic_regression(optimizer, n_classes):
    X, y = load_iris(return_X_y=True)
    X, y = X[y >= 3 - n_classes], y[y >= 3 - n_classes]
    alpha = 0.05
    w = np.random.default_rng(0).uniform(0.2, 3, size=len(y))
    C = 1 / (alpha * w.sum())
    reference = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(X, y, w)
    model = descend(GDClassifier, optimizer, alpha=alpha).fit(X, y, w)
    assert_allclose(model.coef_, reference.coef_, rtol=1e-3, atol=1e-4)
    assert_allclose(model.predict_proba(X), reference.predict_proba(X), atol=1e-4)


def test_l1_logistic_regression():
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    alpha = 0.02
    reference = LogisticRegression(
        C=1 / (alpha * len(y)), l1_ratio=1.0, solver="saga", tol=1e-8, max_iter=20_000
    ).fit(X, y)
    model = descend(GDClassifier, "lbfgs", penalty="l1", alpha=alpha).fit(X, y)
    assert_array_equal(model.coef_ != 0, reference.coef_ != 0)
    assert_allclose(model.coef_, reference.coef_, rtol=1e-2, atol=1e-3)
    assert 3 < np.count_nonzero(model.coef_) < 20


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "lbfgs"])
@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_positive_targets(optimizer, loss):
    X, y, w, _ = regression_data(n=80)
    row = {"poisson": PoissonRegressor, "gamma": GammaRegressor}[loss]
    reference = row(alpha=0.1, tol=1e-10, max_iter=10_000).fit(X, y, w)
    model = descend(GDRegressor, optimizer, loss=loss, alpha=0.1).fit(X, y, w)
    assert_allclose(model.coef_, reference.coef_, rtol=1e-4, atol=1e-5)
    assert_allclose(model.predict(X), reference.predict(X), rtol=1e-4)


def test_huber_is_robust():
    """Gross errors on a tenth of the rows move squared error, and huber loss hardly at all."""
    X, y, truth = make_regression(200, 5, coef=True, noise=1.0, random_state=0)
    y[::10] += 1000.0
    off = {}
    for loss in ("squared_error", Huber(delta=2.0)):
        model = descend(GDRegressor, "lbfgs", loss=loss, penalty=None).fit(X, y)
        off[str(loss)] = np.abs(model.coef_ - truth).max()
    squared, huber = off.values()
    assert huber < 0.5 < 5 < squared


def test_huber_of_a_constant_model():
    """The minimiser of the huber loss over constants solves mean(clip(y - c, -1, 1)) = 0."""
    y = np.random.default_rng(0).standard_t(2, size=101)
    model = descend(GDRegressor, "lbfgs", loss="huber", penalty=None).fit(np.zeros((101, 1)), y)
    assert abs(np.clip(y - model.intercept_[0], -1, 1).mean()) < 1e-6


@pytest.mark.parametrize("q", [0.1, 0.5, 0.8])
def test_quantile_regression(q):
    X, y = diabetes()
    reference = QuantileRegressor(quantile=q, alpha=0).fit(X, y)
    model = GDRegressor(
        Quantile(quantile=q), penalty=None, schedule="cosine", max_iter=3000, tol=None
    ).fit(X, y)
    objective = model.objective(X, y)
    least = objective.value(np.append(reference.coef_, reference.intercept_))
    assert least * (1 - 1e-9) <= objective.value(model.parameters_) < least * 1.001
    assert np.mean(y < model.predict(X)) == pytest.approx(q, abs=0.02)


def test_support_vector_machines_without_intercept():
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    alpha = 0.01
    settings = {"C": 1 / (alpha * len(y)), "fit_intercept": False, "tol": 1e-9, "max_iter": 10**6}
    reference = LinearSVC(dual=False, **settings).fit(X, y)
    ours = {"alpha": alpha * 1.0, "fit_intercept": False}
    model = descend(GDClassifier, "lbfgs", loss="squared_hinge", **ours).fit(X, y)
    assert_allclose(model.coef_, reference.coef_, rtol=1e-3, atol=1e-4)

    X, y = diabetes()
    settings["C"] = 1 / (alpha * len(y))
    row = LinearSVR(epsilon=0.1, loss="squared_epsilon_insensitive", dual=False, **settings)
    model = descend(GDRegressor, "lbfgs", loss="squared_epsilon_insensitive", **ours).fit(X, y)
    assert_allclose(model.coef_, row.fit(X, y).coef_, rtol=1e-3, atol=1e-4)


def test_support_vector_machines_with_kinks():
    """J of the dual solution, which has an intercept without penalty, is reached from above."""
    alpha = 0.01
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    settings = {"schedule": "cosine", "max_iter": 3000, "tol": None, "alpha": alpha}
    model = GDClassifier("hinge", **settings).fit(X, y)
    reference = SVC(kernel="linear", C=1 / (alpha * len(y)), tol=1e-8).fit(X, y)
    objective = model.objective(X, y)
    least = objective.value(np.append(reference.coef_, reference.intercept_))
    assert least * (1 - 1e-6) <= objective.value(model.parameters_) < least * 1.005

    X, y = diabetes()
    model = GDRegressor("epsilon_insensitive", **settings).fit(X, y)
    reference = SVR(kernel="linear", epsilon=0.1, C=1 / (alpha * len(y)), tol=1e-8).fit(X, y)
    objective = model.objective(X, y)
    least = objective.value(np.append(reference.coef_, reference.intercept_))
    assert least * (1 - 1e-6) <= objective.value(model.parameters_) < least * 1.005


@pytest.mark.parametrize("learning_rate", ["auto", 0.05])
def test_minimum_does_not_depend_on_the_coordinates(learning_rate):
    """The penalty stays on the original coefficients, in whatever coordinates one descends."""
    X, y = diabetes()
    X = X * np.geomspace(0.3, 2, X.shape[1]) + 0.5
    reference = Ridge(alpha=0.3 * len(y)).fit(X, y)
    model = descend(GDRegressor, "momentum", alpha=0.3, learning_rate=learning_rate).fit(X, y)
    assert_allclose(model.coef_, reference.coef_, rtol=1e-4, atol=1e-5)


def test_network_with_l1_penalty_has_exact_zeros():
    X, y = load_iris(return_X_y=True)
    settings = {"hidden_layer_sizes": (10,), "alpha": 0.02, "random_state": 0, "max_iter": 500}
    model = MLPBackpropClassifier(penalty="l1", **settings).fit(scale(X), y)
    weights = np.concatenate([W.ravel() for W in model.coefs_])
    assert 0.2 < np.mean(weights == 0) < 1
    assert model.score(scale(X), y) > 0.9
    model = MLPBackpropClassifier(penalty="l2", **settings).fit(scale(X), y)
    assert all(np.all(W != 0) for W in model.coefs_)


# ------------------------------------------------------------------------- forward, by others


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("csr", [False, True])
def test_network_computes_what_scikit_learn_computes(activation, csr):
    X, y = load_iris(return_X_y=True)
    theirs = MLPClassifier((7, 3), activation, max_iter=20, random_state=0).fit(X, y)
    theta = np.concatenate([a.ravel() for a in (*theirs.coefs_, *theirs.intercepts_)])
    ours = MLPBackpropClassifier((7, 3), activation).initialize(X, y, parameters=theta)
    given = sparse.csr_matrix(X) if csr else X
    assert_allclose(ours.predict_proba(given), theirs.predict_proba(X), rtol=1e-10)
    assert_array_equal(ours.predict(given), theirs.predict(X))

    Y = np.column_stack([X[:, 0] * 3, X[:, 1]])
    theirs = MLPRegressor(
        hidden_layer_sizes=(7, 3), activation=activation, max_iter=20, random_state=0
    ).fit(X, Y)
    theta = np.concatenate([a.ravel() for a in (*theirs.coefs_, *theirs.intercepts_)])
    ours = MLPBackpropRegressor((7, 3), activation).initialize(X, Y, parameters=theta)
    assert_allclose(ours.predict(given), theirs.predict(X), rtol=1e-10)


@pytest.mark.parametrize("estimator", [MLPBackpropClassifier, MLPBackpropRegressor])
def test_network_without_hidden_layers_is_the_linear_model(estimator):
    X, y = load_iris(return_X_y=True)
    linear = GDClassifier if estimator is MLPBackpropClassifier else GDRegressor
    y = y if linear is GDClassifier else X @ [1.0, 2.0, -1.0, 0.5]
    settings = {"alpha": 0.1, "optimizer": "lbfgs", "tol": 1e-9, "max_iter": 2000}
    network = estimator((), **settings).fit(X, y)
    model = linear(**settings).fit(X, y)
    raw = model.decision_function(X) if linear is GDClassifier else model.predict(X)
    other = network.decision_function(X) if linear is GDClassifier else network.predict(X)
    if linear is GDClassifier:  # a constant added to every class changes nothing
        raw, other = (a - a.mean(axis=1, keepdims=True) for a in (raw, other))
    assert_allclose(other, raw, atol=1e-4)


# -------------------------------------------------------------------------------- coordinates


def coordinates(hidden=(), fit_intercept=True, n_outputs=2, linear=False, seed=0):
    rng = np.random.default_rng(seed)
    shape = None
    if linear:
        shape = (3,) if n_outputs == 1 else (n_outputs, 3)
    model = FeedForward(3, n_outputs, hidden, (Tanh(),) * len(hidden), fit_intercept, shape)
    mean = rng.normal(size=3) * (10 if fit_intercept else 0)
    centre = rng.normal(size=n_outputs) * (100 if fit_intercept else 0)
    spread, scales = rng.uniform(0.1, 30, n_outputs), rng.uniform(0.01, 100, 3)
    return Coordinates(model, mean, scales, centre, spread, unit=7.0)


CASES = [
    {"hidden": ()},
    {"hidden": (4,)},
    {"hidden": (4, 2), "n_outputs": 1},
    {"hidden": (), "linear": True},
    {"hidden": (), "linear": True, "n_outputs": 1},
    {"hidden": (), "linear": True, "fit_intercept": False},
    {"hidden": (4,), "fit_intercept": False},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_coordinates_there_and_back(case):
    c = coordinates(**case)
    u = np.random.default_rng(1).normal(size=c.model.n_parameters)
    theta = c.to_theta(u, out=np.empty_like(u))
    assert not np.allclose(theta, u)
    assert_allclose(c.to_u(theta), u, rtol=1e-10, atol=1e-10)
    assert_allclose(c.to_theta(c.to_u(u), out=np.empty_like(u)), u, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_model_at_theta_is_the_model_of_scaled_inputs_at_u(case):
    c = coordinates(**case)
    rng = np.random.default_rng(2)
    X, u = rng.normal(size=(6, 3)), rng.normal(size=c.model.n_parameters)
    theta = c.to_theta(u, out=np.empty_like(u))
    inner = c.model.raw(c.model.layers(u), (X - c.mean) / c.scale)
    outer = c.model.raw(c.model.layers(theta), X)
    assert_allclose(outer, inner * c.spread + c.centre, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_pull_back_is_the_transpose(case):
    """<g, A v> = unit <A^T g / unit, v> for the linear part A of the map."""
    c = coordinates(**case)
    rng = np.random.default_rng(3)
    u, v, g = rng.normal(size=(3, c.model.n_parameters))
    moved = c.to_theta(u + v, out=np.empty_like(u)).copy() - c.to_theta(u, out=np.empty_like(u))
    pulled = g.copy()
    c.pull_back(pulled)
    assert_allclose(c.unit * pulled @ v, g @ moved, rtol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_l1_strength_in_u(case):
    c = coordinates(**case)
    u = np.random.default_rng(4).normal(size=c.model.n_parameters)
    theta = c.to_theta(u, out=np.empty_like(u))
    weights = slice(0, c.model.n_weights)
    strength = c.l1_strength(0.3, u.dtype)
    in_u = c.unit * np.sum(strength * np.abs(u[weights]))
    assert_allclose(in_u, 0.3 * np.abs(theta[weights]).sum(), rtol=1e-12)


def test_identity_coordinates():
    c = Coordinates(FeedForward(3, 1))
    u = np.arange(4.0)
    assert c.identity
    assert_array_equal(c.to_theta(u, out=np.empty_like(u)), u)
    assert_array_equal(c.to_u(u), u)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_column_statistics(dtype, csr, weighted):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 5)) * [1, 100, 1e4, 1, 1] + [0, 3, -2e4, 7, 0]
    X[rng.random(X.shape) < 0.3] = 0
    X[:, 3] = 4.0  # a constant column
    X = X.astype(dtype)
    w = rng.uniform(0, 3, size=3000).astype(dtype) if weighted else None
    varying = [0, 1, 2, 4]
    reference = StandardScaler().fit(X[:, varying].astype(np.float64), sample_weight=w)
    given = sparse.csr_matrix(X) if csr else X
    mean, spread = column_statistics(given, w, True)
    rtol = 1e-9 if dtype is np.float64 else 1e-4
    assert mean.dtype == spread.dtype == dtype
    assert_allclose(mean[varying], reference.mean_, rtol=rtol, atol=rtol)
    assert_allclose(spread[varying], reference.scale_, rtol=rtol)
    assert mean[3] == pytest.approx(4, rel=rtol)
    assert 1 - rtol <= spread[3] <= 4 * (1 + rtol)  # rounding is not a scale
    # without an intercept there is nothing that could take up a mean
    mean, spread = column_statistics(given, w, False)
    assert_array_equal(mean, 0)
    squares = np.average(X.astype(np.float64) ** 2, axis=0, weights=w)
    assert_allclose(spread, np.sqrt(squares), rtol=rtol)


@pytest.mark.parametrize("far", [0.0, 1e5])
@pytest.mark.parametrize("weighted", [False, True])
def test_column_statistics_of_many_entries(weighted, far):
    """More entries than one chunk of a CSR matrix; `far`, squares about zero lose the variance."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 100)) * np.geomspace(1e-3, 1e3, 100) + far
    X[:, 50:][rng.random((3000, 50)) < 0.9] = 0.0
    w = rng.uniform(0, 3, size=3000) if weighted else None
    reference = StandardScaler().fit(X, sample_weight=w)
    mean, spread = column_statistics(sparse.csr_matrix(X), w, True)
    assert_allclose(mean, reference.mean_, rtol=1e-9, atol=1e-12)
    # scikit-learn's own two-pass variance of these columns is exact to mean / spread roundings
    assert_allclose(spread, reference.scale_, rtol=1e-9 if far == 0.0 else 1e-6)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("csr", [False, True])
def test_largest_eigenvalue_and_trace(csr, fit_intercept):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 60)) + 2.0 * rng.normal(size=(900, 1))
    X[rng.random(X.shape) < 0.5] = 0.0
    X[:, 7] = X[:, 40] = 0.0  # columns without entries, whose mean is another's all the same
    w = rng.uniform(0.5, 2, 900)
    mean, spread = rng.normal(size=60), rng.uniform(0.5, 2, 60)
    model = FeedForward(60, 1, fit_intercept=fit_intercept, linear_shape=(1, 60))
    data = Batch(sparse.csr_matrix(X) if csr else X, np.zeros(900), w)
    eigenvalue, trace = spectrum(data, Coordinates(model, mean, spread))
    Z = (X - mean) / spread
    if fit_intercept:
        Z = np.c_[Z, np.ones(900)]
    of_z = Z.T @ (Z * w[:, None]) / w.sum()
    assert eigenvalue == pytest.approx(np.linalg.eigvalsh(of_z)[-1], rel=1e-6)
    assert trace == pytest.approx(np.trace(of_z), rel=1e-12)


@pytest.mark.parametrize("csr", [False, True])
def test_largest_eigenvalue_may_be_that_of_the_intercept(csr):
    """Of centred columns on a large scale it is one: no column of X points to it."""
    X = np.random.default_rng(0).normal(size=(900, 6)) + 1.0
    model = FeedForward(6, 1, linear_shape=(1, 6))
    data = Batch(sparse.csr_matrix(X) if csr else X, np.zeros(900), None)
    coordinates = Coordinates(model, X.mean(axis=0), np.full(6, 3.0))
    assert spectrum(data, coordinates)[0] == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov"])
@pytest.mark.parametrize("loss", ["huber", "log_cosh"])
def test_automatic_rate_sees_the_penalty(loss, optimizer):
    """With y in units of 100 the L2 term bends J ten times as much as a loss that grows as y."""
    X, y = load_diabetes(return_X_y=True)
    exact = GDRegressor(loss, optimizer="lbfgs", tol=1e-10, max_iter=1000).fit(X, y)
    J = exact.objective(X, y)
    model = GDRegressor(loss, optimizer=optimizer, random_state=0).fit(X, y)
    assert J.value(model.parameters_) < J.value(exact.parameters_) * (1 + 2e-3)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_automatic_rate_does_not_see_the_units(estimator):
    """Columns on scales from 1 to 1e4, far from 0: as good as on standardised columns."""
    X, y = load_iris(return_X_y=True)
    if "Regressor" in estimator.__name__:
        X, y = load_diabetes(return_X_y=True)
    X = scale(X)
    network = {"hidden_layer_sizes": (5,)} if "MLP" in estimator.__name__ else {}
    settings = {"random_state": 0, "penalty": None, "max_iter": 100, **network}
    far = X * np.geomspace(1, 1e4, X.shape[1]) + 1e3
    here, there = estimator(**settings).fit(X, y), estimator(**settings).fit(far, y)
    assert there.score(far, y) == pytest.approx(here.score(X, y), abs=1e-3)
    csr = estimator(**settings).fit(sparse.csr_matrix(far), y)
    assert_allclose(csr.loss_curve_, there.loss_curve_, rtol=1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("loss", [row for row in LOSSES if LOSSES[row].smooth])
def test_no_default_stops_far_from_the_minimum(optimizer, loss):
    """On 80 rows, with rate and stopping as they come: J has gone nine tenths of the way down."""
    X, y, w, _ = regression_data(n=80)
    estimator = GDRegressor
    if loss in losses_for("classification"):
        estimator, y = GDClassifier, (y + 0.5 * np.sin(9 * X[:, 0]) > 1).astype(int)
    least = estimator(loss, optimizer="lbfgs", tol=1e-9, max_iter=2000).fit(X, y, w)
    model = estimator(loss, optimizer=optimizer, random_state=0).fit(X, y, w)
    start = model.loss_curve_[0]
    reached = model.loss_and_gradient(X, y, w)[0]
    assert reached - least.loss_ < 0.1 * (start - least.loss_)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("csr", [False, True])
def test_statistics_of_a_constant_column(seed, csr):
    """By rounding, the variance of such a column may come out below zero."""
    rng = np.random.default_rng(seed)
    n, constant = int(rng.integers(50, 3000)), rng.uniform(1, 9)
    X, w = np.full((n, 1), constant), rng.uniform(0, 3, size=n)
    mean, spread = column_statistics(sparse.csr_matrix(X) if csr else X, w, True)
    assert_allclose(mean, constant, rtol=1e-10)
    assert 1 <= spread[0] < 10
