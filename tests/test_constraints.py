"""Constraints: steps stay in the box, and come to rest where solvers with bounds do."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import lsq_linear, minimize
from sklearn.base import clone
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression

from skgd import (
    GDClassifier,
    GDRegressor,
    MLPBackpropClassifier,
    MLPBackpropRegressor,
    config_context,
)
from skgd.averaging import EMA
from skgd.constraints import CONSTRAINTS, Bounds, Box, Positive, Unconstrained
from skgd.objective import FeedForward
from skgd.objective.coordinates import Coordinates
from skgd.optimizers import OPTIMIZERS, AdamW, Lion

ESTIMATORS = (GDRegressor, GDClassifier, MLPBackpropRegressor, MLPBackpropClassifier)
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
FULL = {"batch_size": None, "tol": None, "random_state": 0}


def data(n=200, seed=0):
    """Correlated columns on scales from 0.01 to 1e4, with weights of both signs."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)) @ (np.eye(6) + 0.3 * rng.normal(size=(6, 6)))
    X = X * [1.0, 100.0, 0.01, 1.0, 1e4, 1.0] + [3.0, 0.0, 0.0, 50.0, 1e4, 0.0]
    return X, X @ [1.0, -0.03, 200.0, -2.0, -3e-4, 0.5] + rng.normal(size=n)


def classes(n=200, seed=0, n_classes=2):
    X, y = data(n, seed)
    return X, np.searchsorted(np.quantile(y, np.arange(1, n_classes) / n_classes), y)


def make(estimator, **settings):
    if estimator in (MLPBackpropRegressor, MLPBackpropClassifier):
        settings = {"hidden_layer_sizes": (5,), "activation": "tanh"} | settings
    return estimator(**{"random_state": 0} | settings)


def weights(model):
    arrays = model.coefs_ if hasattr(model, "coefs_") else [model.coef_]
    return np.concatenate([W.ravel() for W in arrays])


def half_mse(X, y, coef, intercept):
    return 0.5 * np.mean((X @ coef + intercept - y) ** 2)


# ---------------------------------------------------------------------------- where they come to


# Without a fall of the rate, rules whose steps do not shrink walk around the minimum. AdamW pulls
# the weights towards zero: it would end elsewhere.
RULES = [AdamW(weight_decay=0.0) if name == "adamw" else row() for name, row in OPTIMIZERS.items()]


@pytest.mark.parametrize("optimizer", RULES, ids=lambda rule: type(rule).__name__)
def test_non_negative_least_squares_as_in_scikit_learn(optimizer):
    X, y = data()
    peer = LinearRegression(positive=True).fit(X, y)
    assert (peer.coef_ == 0).sum() == 3 and half_mse(X, y, peer.coef_, peer.intercept_) > 1
    model = GDRegressor(
        optimizer=optimizer,
        schedule="constant" if optimizer.full_batch_only else "cosine",
        constraint="positive",
        penalty=None,
        max_iter=3000,
        **FULL,
    ).fit(X, y)
    assert_allclose(model.coef_ * X.std(axis=0), peer.coef_ * X.std(axis=0), atol=0.02)
    assert_array_equal(model.coef_ == 0, peer.coef_ == 0)
    best = half_mse(X, y, peer.coef_, peer.intercept_)
    assert half_mse(X, y, model.coef_, model.intercept_) - best < 1e-4 * best


@pytest.mark.parametrize("gradient", ["analytic", "backprop", "numeric"])
@pytest.mark.parametrize("learning_rate", ["auto", 0.1])
@pytest.mark.parametrize("box", [(-1.5, 1.8), (0.2, 3.0), (None, 0.4), (-2.0, -0.1)])
def test_least_squares_in_a_box_as_in_scipy(box, learning_rate, gradient):
    X, y = data()
    X = (X - X.mean(axis=0)) / X.std(axis=0) * [1, 2, 1, 0.5, 1, 1]
    limits = [-np.inf if box[0] is None else box[0], np.inf if box[1] is None else box[1]]
    peer = lsq_linear(X, y - y.mean(), bounds=limits, tol=1e-14)  # X has mean 0
    assert 0 < (peer.active_mask != 0).sum() < 6
    model = GDRegressor(
        gradient=gradient,
        learning_rate=learning_rate,
        constraint=Box(*box),
        penalty=None,
        max_iter=300,
        **FULL,
    ).fit(X, y)
    assert_allclose(model.coef_, peer.x, atol=1e-5)
    assert_allclose(model.intercept_, y.mean(), atol=1e-5)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("optimizer", ["nesterov", "adam", "lbfgs"])
@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
def test_logistic_regression_in_a_box_as_in_scipy(optimizer, fit_intercept, csr):
    X, y = classes()
    X = X / X.std(axis=0)
    sign = 2.0 * y - 1.0

    def J(theta):
        raw = X @ theta[:6] + theta[6]
        slope = -sign / (1 + np.exp(sign * raw)) / len(X)
        gradient = np.append(X.T @ slope + 0.01 * theta[:6], slope.sum() * fit_intercept)
        return np.logaddexp(0, -sign * raw).mean() + 0.005 * theta[:6] @ theta[:6], gradient

    bounds = [(-0.3, 0.6)] * 6 + [(None, None)]
    peer = minimize(J, np.zeros(7), jac=True, bounds=bounds, method="L-BFGS-B",
                    options={"ftol": 0, "gtol": 1e-10, "maxiter": 10_000})  # fmt: skip
    assert 0 < np.isin(peer.x[:6], [-0.3, 0.6]).sum() < 6
    model = GDClassifier(
        optimizer=optimizer,
        alpha=0.01,
        constraint=Box(-0.3, 0.6),
        fit_intercept=fit_intercept,
        max_iter=3000,
        **FULL,
    ).fit(sparse.csr_matrix(X) if csr else X, y)
    assert_allclose(model.coef_[0], peer.x[:6], atol=1e-3)
    theta = np.append(model.coef_[0], model.intercept_ * fit_intercept)
    assert J(theta)[0] - peer.fun < 1e-7


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam", "rprop", "lbfgs"])
@pytest.mark.parametrize(("penalty", "l1_ratio"), [("l1", 1.0), ("elasticnet", 0.5)])
def test_with_an_l1_term_as_in_scikit_learn(penalty, l1_ratio, optimizer):
    X, y = data()
    X = X / X.std(axis=0)
    settings = {"alpha": 0.2, "positive": True, "tol": 1e-12, "max_iter": 100_000}
    peer = Lasso(**settings) if penalty == "l1" else ElasticNet(l1_ratio=0.5, **settings)
    peer.fit(X, y)
    assert 0 < (peer.coef_ == 0).sum() < 6
    model = GDRegressor(
        optimizer=optimizer,
        penalty=penalty,
        l1_ratio=l1_ratio,
        alpha=0.2,
        constraint="positive",
        max_iter=3000,
        **FULL,
    ).fit(X, y)
    assert_allclose(model.coef_, peer.coef_, atol=1e-4)
    assert_array_equal(model.coef_ == 0, peer.coef_ == 0)


@pytest.mark.parametrize("optimizer", ["nesterov", "adam", "lbfgs"])
@pytest.mark.parametrize("box", [(-0.4, 0.3), (0.2, 1.0), (-1.0, -0.1), (None, 0.4)])
def test_l1_in_a_box_as_in_scipy(box, optimizer):
    """The peer solves for the positive and the negative part, by a method of another kind."""
    X, y = data()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = y - y.mean()
    low, high = (-9.0 if box[0] is None else box[0]), box[1]

    def J(parts):
        return 0.5 * np.mean((X @ (parts[:6] - parts[6:]) - y) ** 2) + 0.3 * parts.sum()

    inside = [
        {"type": "ineq", "fun": lambda z: z[:6] - z[6:] - low},
        {"type": "ineq", "fun": lambda z: high - z[:6] + z[6:]},
    ]
    peer = minimize(J, np.full(12, 0.1), bounds=[(0, None)] * 12, constraints=inside,
                    method="SLSQP", options={"maxiter": 1000, "ftol": 1e-13})  # fmt: skip
    assert peer.success
    model = GDRegressor(
        optimizer=optimizer, penalty="l1", alpha=0.3, constraint=Box(*box), max_iter=2000, **FULL
    ).fit(X, y)
    coef = model.coef_
    assert_allclose(coef, peer.x[:6] - peer.x[6:], atol=1e-4)
    assert half_mse(X, y, coef, 0.0) + 0.3 * np.abs(coef).sum() <= peer.fun * (1 + 1e-6)
    assert_allclose(coef.clip(low, high), coef, atol=0)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_network_comes_to_rest_where_no_step_in_the_box_lowers_j(optimizer):
    """Karush-Kuhn-Tucker: no slope inside the box, and none that points into it at a bound."""
    X, y = data()
    X, y = X / X.std(axis=0), y / y.std()
    model = MLPBackpropRegressor(
        (4,),
        "tanh",
        optimizer=optimizer,
        schedule="constant" if optimizer == "lbfgs" else "cosine",
        constraint=Box(-0.5, 0.5),
        alpha=0.01,
        max_iter=10_000,
        **FULL,
    ).fit(X, y)
    theta, gradient = model.parameters_, model.loss_and_gradient(X, y)[1]
    n = len(weights(model))
    at_low, at_high = theta[:n] <= -0.5, theta[:n] >= 0.5
    assert (at_low | at_high).any() and not (at_low | at_high).all()
    inside = np.append(~at_low & ~at_high, np.ones(len(theta) - n, bool))
    assert np.abs(gradient[inside]).max() < 1e-4
    assert (gradient[:n][at_low] > -1e-4).all() and (gradient[:n][at_high] < 1e-4).all()


def test_a_network_of_positive_weights_increases_with_every_feature():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(400, 2))
    y = np.tanh(2 * X[:, 0]) + 0.5 * X[:, 1] ** 3 + 0.3 * rng.normal(size=400)
    options = {"optimizer": "lbfgs", "max_iter": 500, "random_state": 0}
    model = MLPBackpropRegressor((20,), "tanh", constraint="positive", **options).fit(X, y)
    grid = np.linspace(-2, 2, 50)
    for fixed in (-1.5, 0.0, 1.5):
        for column in range(2):
            line = np.full((50, 2), fixed)
            line[:, column] = grid
            assert (np.diff(model.predict(line)) >= 0).all()
    assert model.score(X, y) > 0.9


# --------------------------------------------------------------------------- no step leaves the box


@every_estimator
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("learning_rate", ["auto", 1e-2])
@pytest.mark.parametrize("average", [False, True, EMA(decay=0.7)], ids=str)
def test_every_pass_ends_inside(estimator, average, learning_rate, dtype):
    """Not even by rounding, on columns of any scale: 0.1 and 0.7 are no floats."""
    X, y = data(90) if "Regressor" in estimator.__name__ else classes(90, n_classes=3)
    X = (X if learning_rate == "auto" else X / X.std(axis=0)).astype(dtype)
    model = make(
        estimator,
        constraint=Box(-0.1, 0.7),
        learning_rate=learning_rate,
        average=average,
        batch_size=7,
    )
    more = {} if "Regressor" in estimator.__name__ else {"classes": np.unique(y)}
    touched = 0
    for step in range(12):
        model.partial_fit(X[step * 7 : step * 7 + 7], y[step * 7 : step * 7 + 7], **more)
        w = weights(model)
        assert w.dtype == dtype and (w >= dtype(-0.1)).all() and (w <= dtype(0.7)).all()
        touched += ((w <= dtype(-0.1) * 0.999) | (w >= dtype(0.7) * 0.999)).sum()
    assert touched


@every_estimator
@pytest.mark.parametrize("settings", [{}, {"optimizer": "lbfgs", "max_iter": 30},
    {"early_stopping": True, "batch_size": 8}, {"optimizer": Lion(weight_decay=0.1)},
    {"penalty": "l1", "alpha": 0.05}, {"gradient": "numeric", "max_iter": 3},
    {"learning_rate": 100.0, "clip_norm": 1.0, "tol": None, "max_iter": 5}], ids=str)  # fmt: skip
@pytest.mark.filterwarnings("ignore::skgd.exceptions.DivergenceWarning")
def test_a_fit_ends_inside(estimator, settings):
    X, y = data(60) if "Regressor" in estimator.__name__ else classes(60, n_classes=3)
    for constraint, low, high in (("positive", 0, np.inf), (Box(-0.3, 0.1), -0.3, 0.1),
                                  (Box(0.05, 0.1), 0.05, 0.1)):  # fmt: skip
        options = {"constraint": constraint, "max_iter": 20} | settings
        model = make(estimator, **options).fit(X, y)
        assert (weights(model) >= low).all() and (weights(model) <= high).all()
        assert np.isfinite(model.parameters_).all()


@every_estimator
def test_several_outputs(estimator):
    X, y = data()
    regression = "Regressor" in estimator.__name__
    y = np.column_stack([y, -y, y**2]) if regression else classes(n_classes=3)[1]
    model = make(estimator, constraint="positive", max_iter=30).fit(X, y)
    w = weights(model)
    assert (w >= 0).all() and (w == 0).any() and (w > 0).any()


def test_bounds_are_those_of_the_weights_and_leave_intercepts_alone():
    rng = np.random.default_rng(0)
    model = FeedForward(500, 3, linear_shape=(3, 500))
    for dtype in (np.float64, np.float32):
        scale = np.exp(rng.normal(scale=5, size=500)).astype(dtype)
        coordinates = Coordinates(
            model, rng.normal(size=500).astype(dtype), scale, np.zeros(3, dtype),
            np.array([0.3, 1.0, 7.0], dtype), 2.0,
        )  # fmt: skip
        bounds = Bounds.of(Box(-0.1, 0.7), coordinates, dtype)
        for far, edge, sign in ((-1e9, -0.1, -1), (1e9, 0.7, 1)):
            u = np.full(model.n_parameters, far, dtype)
            bounds.project(u)
            assert_array_equal(u[-3:], dtype(far))
            W = model.unpack(coordinates.to_theta(u, np.empty_like(u)))["coef"]
            assert (sign * W <= sign * dtype(edge)).all()
            assert_allclose(W, edge, rtol=8 * np.finfo(dtype).eps)
        pairs = bounds.pairs(model.n_parameters)
        assert pairs.shape == (1503, 2) and np.isinf(pairs[-3:]).all()
    assert Bounds.of(Unconstrained(), coordinates, np.float64) is None
    assert Bounds.of(Box(None, None), coordinates, np.float64) is None


# -------------------------------------------------------------------------------- other ways in


@every_estimator
def test_passes_are_one_training_and_a_constraint_may_come_later(estimator):
    X, y = data(60) if "Regressor" in estimator.__name__ else classes(60)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    settings = {"learning_rate": 0.01, "batch_size": 16, "tol": None}
    more = {} if "Regressor" in estimator.__name__ else {"classes": np.unique(y)}
    whole = make(estimator, constraint="positive", max_iter=3, **settings).fit(X, y)
    passes = make(estimator, constraint="positive", **settings)
    for _ in range(3):
        passes.partial_fit(X, y, **more)
    assert_array_equal(passes.parameters_, whole.parameters_)
    later = make(estimator, average=True, **settings).partial_fit(X, y, **more)
    assert (weights(later) < 0).any()
    later.set_params(constraint="positive").partial_fit(X, y)
    assert (weights(later) >= 0).all()


def test_names_and_objects():
    X, y = data(60)
    fits = [GDRegressor(constraint=c, max_iter=30).fit(X, y) for c in ("positive", Positive(),
            Box(0.0, None))]  # fmt: skip
    for model in fits[1:]:
        assert_array_equal(model.parameters_, fits[0].parameters_)
    free = [GDRegressor(constraint=c, max_iter=30).fit(X, y) for c in (None, Box(-1e9, 1e9))]
    assert_array_equal(free[0].coef_, free[1].coef_)
    model = clone(GDRegressor(constraint=Box()).set_params(constraint__low=-0.5))
    assert repr(model.constraint) == "Box(low=-0.5)"
    with pytest.raises(ValueError, match=r"constraint=Box\(\)"):
        GDRegressor(constraint="box").set_params(constraint__low=-0.5)
    for name, row in CONSTRAINTS.items():
        assert name is None or "Examples" in row.__doc__


@pytest.mark.parametrize(
    ("constraint", "word"),
    [
        (Box(1.0, -1.0), "low"),
        (Box(1.0, 1.0), "low"),
        (Box(np.nan, 1.0), "low"),
        (Box(0.0, "a"), "high"),
        (Box(0.0, np.inf), "high"),
        ("negative", "constraint"),
        (Box, "constraint"),
        ((0, 1), "constraint"),
    ],
)
def test_wrong_constraints_are_named(constraint, word):
    model = GDRegressor(constraint=constraint)
    with pytest.raises((ValueError, TypeError), match=word):
        model.fit(*data(60))
    assert not hasattr(model, "n_iter_")


def test_engines():
    """Steps are NumPy's; SciPy's solver can have compiled gradients."""
    pytest.importorskip("numba")
    X, y = data(60)
    for optimizer, engine in (("adam", "numpy"), ("lbfgs", "numba")):
        options = {"optimizer": optimizer, "constraint": "positive", "max_iter": 30}
        with config_context(engine="numba"):
            model = GDRegressor(**options).fit(X, y)
        assert model.engine_ == engine
        with config_context(engine="numpy"):
            peer = GDRegressor(**options).fit(X, y)
        assert_allclose(model.coef_, peer.coef_, rtol=1e-6, atol=1e-12)


@every_estimator
def test_initial_parameters_must_be_allowed(estimator):
    X, y = classes()
    model = estimator(constraint=Box(-0.5, 0.5))
    n = clone(model).set_params(constraint=None).initialize(X, y).parameters_.size
    with pytest.raises(ValueError, match=r"parameters has weights .*constraint=Box\(high=0.5"):
        model.initialize(X, y, parameters=np.full(n, 0.6))
    assert not hasattr(model, "n_iter_")
    theta = np.full(n, 0.5)
    theta[-1] = 9.0  # intercepts are free
    assert_array_equal(model.initialize(X, y, parameters=theta).parameters_, theta)
