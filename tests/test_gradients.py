"""The three gradient sources check each other, and SciPy and scikit-learn check all three.

The problems are drawn from the tables (LOSSES, ACTIVATIONS, PENALTIES, OPTIMIZERS), so that a
new row is tested without a change here.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import approx_fprime, check_grad, minimize
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_classification
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler, scale

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.activations import ACTIVATIONS
from skgd.gradients import GRADIENTS, Numeric
from skgd.losses import LOSSES, losses_for
from skgd.optimizers import OPTIMIZERS, Optimizer
from skgd.penalties import PENALTIES

ESTIMATORS = (GDRegressor, GDClassifier, MLPBackpropRegressor, MLPBackpropClassifier)
N_PROBLEMS = 200
EPS = np.finfo(np.float64).eps
NEAR = 1e-4  # distance from a kink within which a problem is drawn anew


# --------------------------------------------------------------------------- random problems


class Recipe(NamedTuple):
    """What a problem is made of; its data are drawn from the seed."""

    seed: int
    estimator: type
    loss: str
    penalty: str | None
    activation: list
    sizes: tuple
    n_outputs: int
    csr: bool
    weighted: bool
    intercept: bool


def recipe(seed):
    rng = np.random.default_rng([seed, 7])
    turn, which = divmod(seed, len(ESTIMATORS))
    estimator = ESTIMATORS[which]
    network = "MLP" in estimator.__name__
    task = "regression" if "Regressor" in estimator.__name__ else "classification"
    losses, activations, penalties = list(losses_for(task)), list(ACTIVATIONS), list(PENALTIES)
    sizes = tuple(int(n) for n in rng.integers(2, 5, size=1 + turn % 2)) if network else ()
    other = [str(name) for name in rng.choice(activations, size=len(sizes))]
    return Recipe(
        seed=seed,
        estimator=estimator,
        loss=losses[turn % len(losses)],
        penalty=penalties[(turn // len(losses) + turn) % len(penalties)],
        activation=[activations[turn % len(activations)], *other[1:]] if network else [],
        sizes=sizes,
        n_outputs=int(rng.integers(1, 5)),
        csr=bool(rng.integers(2)),
        weighted=bool(rng.integers(2)),
        intercept=network or bool(rng.integers(4)),
    )


RECIPES = [recipe(seed) for seed in range(N_PROBLEMS)]


def describe(r):
    parts = [r.estimator.__name__, r.loss, str(r.penalty), *r.activation]
    return f"{r.seed}-" + "-".join(parts)


def draw(r, attempt):
    rng = np.random.default_rng([r.seed, attempt])
    n, p = int(rng.integers(9, 18)), int(rng.integers(2, 6))
    X = rng.normal(size=(n, p))
    if r.csr:
        X = sparse.csr_matrix(X * (rng.random(X.shape) < 0.6))
    if "Regressor" in r.estimator.__name__:  # positive targets suit every regression loss
        y = np.exp(0.7 * rng.normal(size=(n, r.n_outputs)))
        y = y[:, 0] if r.n_outputs == 1 else y
    else:
        y = rng.permutation(np.arange(n) % max(r.n_outputs, 2))
    weight = rng.uniform(0.2, 3.0, size=n) if r.weighted else None
    settings = {"loss": r.loss, "penalty": r.penalty, "alpha": 0.1, "l1_ratio": 0.3}
    if r.sizes:
        settings |= {"hidden_layer_sizes": r.sizes, "activation": r.activation}
    else:
        settings["fit_intercept"] = r.intercept
    objective = r.estimator(**settings, random_state=0).objective(X, y, weight)
    theta = 0.7 * rng.normal(size=objective.x0.shape)
    return X, y, weight, objective, theta


def bends_suddenly(f, x):
    """Whether the second derivative of f, elementwise, jumps within about NEAR of x."""
    right = f(x) - 2 * f(x + NEAR) + f(x + 2 * NEAR)
    left = f(x) - 2 * f(x - NEAR) + f(x - 2 * NEAR)
    return np.any(np.abs(right - left) > 1e-2 * NEAR**2 * np.maximum(1.0, np.abs(f(x))))


def meets_kink(r, X, y, arrays):
    """Whether a pre-activation or a raw output lies near a kink, wherever the rows have theirs."""
    names = list(arrays)
    if r.sizes:
        depth = len(r.sizes) + 1
        layers = [(arrays[f"coefs[{i}]"], arrays[f"intercepts[{i}]"]) for i in range(depth)]
    else:
        coef = np.atleast_2d(arrays["coef"])
        layers = [(coef.T, arrays["intercept"] if "intercept" in names else 0.0)]
    a = X
    for (W, b), name in zip(layers[:-1], r.activation, strict=True):
        z = a @ W + b
        activation = ACTIVATIONS[name]()
        if bends_suddenly(activation, z):
            return True
        a = activation(z)
    raw = a @ layers[-1][0] + layers[-1][1]
    loss = LOSSES[r.loss]()
    if "Classifier" in r.estimator.__name__:
        y = (np.arange(raw.shape[1]) == y[:, None]).astype(float) if raw.shape[1] > 1 else y * 1.0
    for k in range(raw.shape[1]):

        def moved(column, k=k):
            other = raw.copy()
            other[:, k] = column
            return loss.value(y, other if raw.shape[1] > 1 else other[:, 0])

        if bends_suddenly(moved, raw[:, k]):
            return True
    return False


def problem(r):
    """A problem of the recipe that keeps away from kinks."""
    for attempt in range(200):
        X, y, weight, objective, theta = draw(r, attempt)
        if not meets_kink(r, X, y, objective.unpack(theta)):
            return X, y, weight, objective, theta
    raise AssertionError("200 draws, and each of them lies on a kink")


def assert_agree(objective, theta, a, b, tolerance, numeric=False):
    """``||a - b|| / max(||a||, ||b||, eps |J|)`` for each named block is below the tolerance.

    An entry of a measured gradient also passes within 10 eps^(2/3) max(1, |J|).
    """
    J = abs(objective.value(theta))
    blocks = objective.unpack(a)
    for name, other in objective.unpack(b).items():
        block = blocks[name]
        error = np.abs(block - other)
        if numeric:
            error = np.where(error <= 10 * EPS ** (2 / 3) * max(1.0, J), 0.0, error)
        size = max(np.linalg.norm(block), np.linalg.norm(other), EPS * J)
        assert np.linalg.norm(error) <= tolerance * size, name


def test_problems_hold_every_row_and_every_kind():
    assert {r.estimator for r in RECIPES} == set(ESTIMATORS)
    for estimator in ESTIMATORS:
        task = "regression" if "Regressor" in estimator.__name__ else "classification"
        rows = {r.loss for r in RECIPES if r.estimator is estimator}
        assert rows == set(losses_for(task))
        assert {r.penalty for r in RECIPES if r.estimator is estimator} == set(PENALTIES)
    assert {r.loss for r in RECIPES} == set(LOSSES)
    for estimator in ESTIMATORS[2:]:
        used = {a for r in RECIPES if r.estimator is estimator for a in r.activation}
        assert used == set(ACTIVATIONS)
    assert {r.n_outputs for r in RECIPES} == {1, 2, 3, 4}
    assert {len(r.sizes) for r in RECIPES} == {0, 1, 2}
    kinds = {(r.estimator, r.csr, r.weighted) for r in RECIPES}
    assert len(kinds) == len(ESTIMATORS) * 4
    assert {r.intercept for r in RECIPES if not r.sizes} == {True, False}


@pytest.mark.parametrize("r", RECIPES, ids=describe)
def test_three_sources_agree(r):
    _, _, _, objective, theta = problem(r)
    analytic = objective.gradient(theta, "analytic")
    backprop = objective.gradient(theta, "backprop")
    numeric = objective.gradient(theta, "numeric")
    assert np.linalg.norm(analytic) > 0
    assert_agree(objective, theta, analytic, backprop, 1e-12)
    assert_agree(objective, theta, analytic, numeric, 1e-6, numeric=True)
    assert_agree(objective, theta, backprop, numeric, 1e-6, numeric=True)


def holomorphic(r):
    parts = [LOSSES[r.loss], *(ACTIVATIONS[name] for name in r.activation)]
    return all(part.holomorphic for part in parts)


@pytest.mark.parametrize("r", [r for r in RECIPES if holomorphic(r)], ids=describe)
def test_complex_step_is_exact_where_all_is_analytic(r):
    _, _, _, objective, theta = problem(r)
    stepped = objective.gradient(theta, Numeric(method="cs"))
    assert stepped.dtype == np.float64
    assert_agree(objective, theta, stepped, objective.gradient(theta, "analytic"), 1e-10)


@pytest.mark.parametrize("r", [r for r in RECIPES if not holomorphic(r)][::5], ids=describe)
def test_complex_step_is_refused_elsewhere(r):
    *_, objective, theta = draw(r, 0)
    with pytest.raises(ValueError, match="cs"):
        objective.gradient(theta, Numeric(method="cs"))


def test_complex_step_is_met_both_ways():
    for estimator in ESTIMATORS:
        seen = {holomorphic(r) for r in RECIPES if r.estimator is estimator}
        assert seen == {True, False}


@pytest.mark.parametrize("r", RECIPES[::4] + RECIPES[3::4], ids=describe)
def test_forward_differences(r):
    _, _, _, objective, theta = problem(r)
    forward = objective.gradient(theta, Numeric(method="2-point"))
    analytic = objective.gradient(theta, "analytic")
    assert_agree(objective, theta, forward, analytic, 1e-5, numeric=True)


@pytest.mark.parametrize("r", RECIPES[1::5], ids=describe)
def test_analytic_against_scipy(r):
    _, _, _, objective, theta = problem(r)
    gradient = objective.gradient(theta, "analytic")
    size = max(1.0, np.linalg.norm(gradient))
    assert check_grad(objective.value, lambda t: objective(t)[1], theta) < 2e-6 * size
    assert_allclose(approx_fprime(theta, objective.value), gradient, rtol=0, atol=2e-6 * size)


def test_rel_step_is_the_step():
    """With a large step the forward difference of a parabola is off by h/2 times its curvature."""
    X, y = np.ones((3, 1)), np.zeros(3)
    objective = GDRegressor(penalty=None, fit_intercept=False).objective(X, y)
    for theta in (0.5, 4.0):  # the step is in proportion to the parameter above 1
        h = 0.01 * max(1.0, theta)
        at = np.array([theta])
        got = objective.gradient(at, Numeric(method="2-point", rel_step=0.01))
        assert_allclose(got, theta + h / 2, rtol=1e-10)
        got = objective.gradient(at, Numeric(method="3-point", rel_step=0.01))
        assert_allclose(got, theta, rtol=1e-10)


def test_float32_is_measured_with_the_step_of_float32():
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X), scale(y)
    theta = np.linspace(-1, 1, 11)
    exact = GDRegressor().objective(X, y).gradient(theta)
    objective = GDRegressor().objective(X.astype(np.float32), y.astype(np.float32))
    for source in GRADIENTS:
        gradient = objective.gradient(theta.astype(np.float32), source)
        assert gradient.dtype == np.float32
        error = np.linalg.norm(gradient - exact) / np.linalg.norm(exact)
        assert error < (5e-3 if source == "numeric" else 1e-5)


# ------------------------------------------------------------------------------------- kinks


@pytest.mark.parametrize("source", GRADIENTS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_perceptron_leaves_the_zero_start(source, n_classes):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < n_classes], y[y < n_classes]
    model = GDClassifier("perceptron", gradient=source, random_state=0, max_iter=50, tol=None)
    assert not np.any(model.objective(X, y).x0)  # a tie for every sample
    model.fit(X, y)
    assert np.any(model.coef_ != 0)
    assert model.score(X, y) > (0.99 if n_classes == 2 else 0.6)


@pytest.mark.parametrize("name", losses_for("classification"))
@pytest.mark.parametrize("n_classes", [2, 3])
def test_same_convention_at_ties_of_margins(name, n_classes):
    """All margins tie at theta = 0 (perceptron) and at raw outputs of +-1 (hinge)."""
    X = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, 1.0], [1.0, -1.0]])
    y = np.arange(6) % n_classes
    objective = GDClassifier(name, penalty=None).objective(X, y)
    rows = 1 if n_classes == 2 else n_classes
    for first, intercept in ((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)):
        coef = np.tile([first, 0.0], (rows, 1))
        theta = np.concatenate([coef.ravel(), np.full(rows, intercept)])
        analytic, backprop = (objective.gradient(theta, s) for s in ("analytic", "backprop"))
        assert_allclose(analytic, backprop, rtol=1e-12, atol=1e-15)


def test_hinge_and_perceptron_are_active_at_the_tie():
    X, y = np.array([[1.0]]), np.array([1])
    X, y = np.vstack([X, [[50.0]]]), np.append(y, 0)  # the second row is far on its own side
    for loss, tie in (("perceptron", 0.0), ("hinge", 1.0)):
        objective = GDClassifier(loss, penalty=None).objective(X, y)
        theta = np.array([-1.0, tie + 1.0])  # raw outputs: tie, and about -48
        for source in ("analytic", "backprop"):
            assert_allclose(objective.gradient(theta, source), [-0.5, -0.5])


@pytest.mark.parametrize("name", losses_for("regression"))
def test_same_convention_at_ties_of_residuals(name):
    """Residuals of exactly 0, and of +-1 and +-epsilon, where the rows bend."""
    y = np.array([1.0, 1.0, 1.0, 2.0, 2.0])
    X = np.eye(5)
    objective = GDRegressor(name, penalty=None, fit_intercept=False).objective(X, y)
    for gap in (0.0, 1.0, -1.0, 0.1, -0.1):
        theta = y + gap
        analytic, backprop = (objective.gradient(theta, s) for s in ("analytic", "backprop"))
        assert_allclose(analytic, backprop, rtol=1e-12, atol=1e-15)


def test_absolute_error_does_not_move_where_it_is_zero():
    X, y = np.eye(3), np.array([1.0, 2.0, 3.0])
    objective = GDRegressor("absolute_error", penalty=None, fit_intercept=False).objective(X, y)
    for source in ("analytic", "backprop"):
        assert_array_equal(objective.gradient(y, source), 0.0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_same_convention_at_ties_of_activations(name):
    X, y = np.eye(3), np.array([1.0, 2.0, 4.0])
    objective = MLPBackpropRegressor((3,), name, penalty=None).objective(X, y)
    arrays = objective.unpack(objective.x0)
    W = np.diag([0.0, 1.0, -1.0])  # pre-activations of 0, 1 and -1
    theta = np.concatenate([W.ravel(), [1.0, 2.0, 3.0], np.zeros(3), [0.5]])
    assert theta.shape == objective.x0.shape and list(arrays)[1] == "coefs[1]"
    analytic, backprop = (objective.gradient(theta, s) for s in ("analytic", "backprop"))
    assert_allclose(analytic, backprop, rtol=1e-12, atol=1e-15)
    if name == "relu":  # relu'(0) = 0: the unit at rest gets no signal
        assert_array_equal(objective.unpack(analytic)["coefs[0]"][:, 0], 0.0)


def test_derivative_of_the_l1_term_at_zero_is_zero():
    X, y = load_diabetes(return_X_y=True)
    without = GDRegressor(penalty=None).objective(X, y)
    with_l1 = GDRegressor(penalty="l1", alpha=3.0).objective(X, y)
    theta = np.zeros(11)
    theta[:3] = 1.0, -2.0, 5.0
    for source in GRADIENTS:
        extra = with_l1.gradient(theta, source) - without.gradient(theta, source)
        # numeric gradients of J of about 1e4 have errors of about 1e-6
        assert_allclose(extra, [3.0, -3.0, 3.0] + [0.0] * 8, atol=1e-9)


# ---------------------------------------------------------- back-propagation without learning


def small_problem(estimator, seed=0, n=40):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.3 * rng.normal(size=n)
    return X, (y if "Regressor" in estimator.__name__ else np.digitize(y, [-1.0, 1.0]))


def small(estimator, **settings):
    if "MLP" in estimator.__name__:
        settings = {"hidden_layer_sizes": (4,), "activation": "tanh"} | settings
    return estimator(random_state=0, **settings)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("source", GRADIENTS)
@pytest.mark.parametrize("fitted", [False, True])
def test_gradient_alone_teaches_nothing(estimator, source, fitted):
    X, y = small_problem(estimator)
    model = small(estimator, gradient=source)
    model = model.fit(X, y) if fitted else model.initialize(X, y)
    before, predictions = model.parameters_, model.predict(X)
    state = {key: repr(value) for key, value in vars(model).items()}
    for _ in range(3):
        value, gradient = model.loss_and_gradient(X, y)
        objective = model.objective(X, y)
        objective(before + 1.0)
        objective.gradient(before, "backprop")
        objective.value(before - 1.0)
    assert isinstance(value, float) and gradient.shape == before.shape
    assert_array_equal(model.parameters_, before)
    assert_array_equal(model.predict(X), predictions)
    assert {key: repr(v) for key, v in vars(model).items()} == state
    if not fitted:
        assert model.n_iter_ == 0
        assert np.linalg.norm(gradient) > 1e-3  # there would have been something to learn


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_loss_and_gradient_is_the_objective_at_the_parameters(estimator):
    X, y = small_problem(estimator)
    weight = np.linspace(0.5, 2.0, len(y))
    model = small(estimator, max_iter=3, tol=None).fit(X, y)
    value, gradient = model.loss_and_gradient(X, y, weight)
    objective = model.objective(X, y, weight)
    assert_array_equal(objective.x0, model.parameters_)
    assert_allclose(value, objective.value(model.parameters_), rtol=1e-14)
    assert_array_equal(gradient, objective.gradient(model.parameters_))
    numeric = objective.gradient(model.parameters_, "numeric")
    assert_agree(objective, model.parameters_, gradient, numeric, 1e-6, numeric=True)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_initialize_sets_what_it_is_given(estimator):
    X, y = small_problem(estimator)
    given = np.random.default_rng(3).normal(size=small(estimator).initialize(X, y).parameters_.size)
    model = small(estimator)
    assert model.initialize(X, y, parameters=given) is model
    assert_array_equal(model.parameters_, given)
    with pytest.raises(ValueError, match="parameters"):
        small(estimator).initialize(X, y, parameters=given[:-1])
    with pytest.raises(ValueError, match="parameters"):
        small(estimator).initialize(X, y, parameters=np.full_like(given, np.nan))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("learning_rate", ["auto", 0.01])
def test_objective_of_a_new_estimator_starts_where_fit_starts(estimator, learning_rate):
    X, y = small_problem(estimator)
    model = small(estimator, learning_rate=learning_rate, batch_size=None)
    objective = model.objective(X, y)
    assert not hasattr(model, "n_iter_")
    fitted = model.fit(X, y)
    assert_allclose(objective.value(objective.x0), fitted.loss_curve_[0], rtol=1e-12)


def test_initialize_takes_classes_that_are_not_in_y():
    X, y = load_iris(return_X_y=True)
    model = GDClassifier().initialize(X[y < 2], y[y < 2], classes=[0, 1, 2])
    assert_array_equal(model.classes_, [0, 1, 2])
    assert model.coef_.shape == (3, 4)


def test_names_of_the_blocks():
    X, y = load_iris(return_X_y=True)
    objective = GDClassifier().objective(X, y)
    arrays = objective.unpack(np.arange(15.0))
    assert {name: a.shape for name, a in arrays.items()} == {"coef": (3, 4), "intercept": (3,)}
    assert_array_equal(arrays["coef"].ravel(), np.arange(12))
    assert list(GDClassifier(fit_intercept=False).objective(X, y).unpack(np.zeros(12))) == ["coef"]
    objective = MLPBackpropClassifier((5, 2)).objective(X, y)
    sizes = (4, 5, 2, 3)
    expected = {f"coefs[{i}]": pair for i, pair in enumerate(pairwise(sizes))}
    expected |= {f"intercepts[{i}]": (size,) for i, size in enumerate(sizes[1:])}
    got = objective.unpack(objective.x0)
    assert {name: a.shape for name, a in got.items()} == expected
    assert_array_equal(np.concatenate([a.ravel() for a in got.values()]), objective.x0)
    with pytest.raises(ValueError, match="theta"):
        objective.value(objective.x0[1:])


@pytest.mark.parametrize("multinomial", [False, True])
@pytest.mark.parametrize("source", ["analytic", "backprop"])
def test_scipy_minimises_logistic_regression(multinomial, source):
    load = load_iris if multinomial else load_breast_cancer
    X, y = load(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    alpha = 0.01
    objective = GDClassifier(alpha=alpha, gradient=source).objective(X, y)
    options = {"maxiter": 10_000, "gtol": 1e-9, "ftol": 1e-15}
    found = minimize(objective, objective.x0, jac=True, method="L-BFGS-B", options=options)
    C = 1 / (alpha * len(y))
    reference = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(X, y)
    arrays = objective.unpack(found.x)
    assert_allclose(arrays["coef"], reference.coef_, atol=1e-5)
    intercept = arrays["intercept"]
    if multinomial:  # a constant added to every class changes nothing
        intercept = intercept - intercept.mean()
        assert_allclose(intercept, reference.intercept_ - reference.intercept_.mean(), atol=1e-5)
    else:
        assert_allclose(intercept, reference.intercept_, atol=1e-5)


@pytest.mark.parametrize("source", GRADIENTS)
def test_scipy_minimises_ridge(source):
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X), scale(y)
    objective = GDRegressor(alpha=0.05, gradient=source).objective(X, y)
    found = minimize(objective, objective.x0, jac=True, tol=1e-10, method="L-BFGS-B")
    reference = Ridge(alpha=0.05 * len(y)).fit(X, y)
    assert_allclose(objective.unpack(found.x)["coef"], reference.coef_, atol=1e-5)
    assert_allclose(objective.unpack(found.x)["intercept"], reference.intercept_, atol=1e-5)


def test_scipy_trains_a_network():
    X, y = load_iris(return_X_y=True)
    X = scale(X)
    objective = MLPBackpropClassifier((5,), "tanh", alpha=1e-3, random_state=0).objective(X, y)
    found = minimize(objective, objective.x0, jac=True, method="BFGS")
    assert found.fun < 0.2 * objective.value(objective.x0)
    model = MLPBackpropClassifier((5,), "tanh", alpha=1e-3).initialize(X, y, parameters=found.x)
    assert model.score(X, y) > 0.97
    assert np.linalg.norm(model.loss_and_gradient(X, y)[1]) < 1e-4


# --------------------------------------------------------- gradient descent without backprop


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("learning_rate", ["auto", 0.01])
def test_every_source_trains_the_same_model(estimator, optimizer, learning_rate):
    X, y = small_problem(estimator)
    trained = {}
    for source in GRADIENTS:
        model = small(
            estimator,
            gradient=source,
            optimizer=optimizer,
            learning_rate=learning_rate,
            batch_size=None,
            max_iter=50,
            tol=None,
        )
        trained[source] = model.fit(X, y).parameters_
        assert model.gradient_ == source and model.n_iter_ == 50
    start = small(estimator, learning_rate=learning_rate).initialize(X, y).parameters_
    assert np.linalg.norm(trained["analytic"] - start) > 0.1
    assert_allclose(trained["backprop"], trained["analytic"], rtol=1e-10, atol=1e-10)
    assert_allclose(trained["numeric"], trained["analytic"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("sparse_input", [False, True])
def test_every_source_trains_the_same_model_on_weighted_batches(estimator, sparse_input):
    X, y = small_problem(estimator)
    if sparse_input:
        X = sparse.csr_matrix(X * (np.abs(X) > 0.5))
    weight = np.random.default_rng(5).uniform(0, 3, size=len(y))
    trained = [
        small(estimator, gradient=source, optimizer="nesterov", batch_size=16, max_iter=10)
        .fit(X, y, weight)
        .parameters_
        for source in GRADIENTS
    ]
    assert_allclose(trained[1], trained[0], rtol=1e-10, atol=1e-10)
    assert_allclose(trained[2], trained[0], rtol=1e-6, atol=1e-6)


# --------------------------------------------------------------------- the loop, by hand


HAND = (GDRegressor, GDClassifier, MLPBackpropClassifier)
RULES = [name for name, row in OPTIMIZERS.items() if issubclass(row, Optimizer)]


@pytest.mark.parametrize("estimator", HAND)
@pytest.mark.parametrize("penalty", ["l2", None])
def test_gradient_descent_is_one_line(estimator, penalty):
    X, y = small_problem(estimator)
    weight = np.random.default_rng(1).uniform(0.1, 2, size=len(y))
    settings = {"penalty": penalty, "alpha": 0.1}
    rate, epochs = 0.1, 25
    objective = small(estimator, learning_rate=rate, **settings).objective(X, y, weight)
    theta, curve = objective.x0.copy(), []
    for _ in range(epochs):
        value, gradient = objective(theta)
        curve.append(value)
        theta -= rate * gradient
    model = small(
        estimator,
        optimizer="sgd",
        batch_size=None,
        learning_rate=rate,
        tol=None,
        max_iter=epochs,
        **settings,
    ).fit(X, y, weight)
    assert_allclose(model.parameters_, theta, rtol=1e-12, atol=1e-12)
    assert_allclose(model.loss_curve_, curve, rtol=1e-12)
    assert np.linalg.norm(theta - objective.x0) > 0.1


@pytest.mark.parametrize("estimator", HAND)
@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_the_same_in_fit_and_by_hand(estimator, name):
    X, y = small_problem(estimator)
    rate, epochs = 0.02, 15
    objective = small(estimator, learning_rate=rate).objective(X, y)
    theta = objective.x0.copy()
    arrays = objective.unpack(theta)
    weights = np.concatenate([np.full(a.size, key.startswith("coef")) for key, a in arrays.items()])
    rule = OPTIMIZERS[name]()
    state = rule.init(theta)
    for _ in range(epochs):
        rule.update(theta, objective(theta)[1], state, rate, decay_mask=weights)
    model = small(
        estimator,
        optimizer=name,
        batch_size=None,
        learning_rate=rate,
        tol=None,
        max_iter=epochs,
    ).fit(X, y)
    assert_allclose(model.parameters_, theta, rtol=1e-12, atol=1e-12)
    assert np.linalg.norm(theta - objective.x0) > 1e-6


@pytest.mark.parametrize("estimator", HAND)
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in RULES])
def test_every_solver_ends_where_it_ends_by_hand(estimator, name):
    """In whatever coordinates it works; a network has many minima, so there J must be flat."""
    X, y = small_problem(estimator)
    objective = small(estimator, alpha=0.1).objective(X, y)
    solved = OPTIMIZERS[name]().solve(objective, objective.x0, max_iter=2000, tol=1e-9)
    model = small(estimator, optimizer=name, max_iter=2000, tol=1e-9, alpha=0.1).fit(X, y)
    assert np.abs(objective.gradient(model.parameters_, "numeric")).max() < 1e-5
    if estimator is not MLPBackpropClassifier:
        assert_allclose(objective.value(model.parameters_), solved.fun, rtol=1e-10)
        arrays = objective.unpack(model.parameters_), objective.unpack(solved.x)
        assert_allclose(*(a["coef"] for a in arrays), atol=1e-5)


# ---------------------------------------------------------- scikit-learn's own back-propagation


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradient_is_that_of_mlpclassifier(activation, n_classes):
    """A step of plain full-batch descent, divided by its rate, shows MLPClassifier's gradient."""
    X, y = make_classification(60, 6, n_informative=4, n_classes=n_classes, random_state=0)
    rate, penalty = 0.1, 0.5
    theirs = MLPClassifier(
        (5, 4),
        activation=activation,
        solver="sgd",
        alpha=penalty,
        batch_size=60,
        learning_rate_init=rate,
        momentum=0.0,
        nesterovs_momentum=False,
        random_state=0,
    )

    def flat():
        return np.concatenate([a.ravel() for a in (*theirs.coefs_, *theirs.intercepts_)])

    theirs.partial_fit(X, y, classes=np.unique(y))
    before = flat()
    theirs.partial_fit(X, y)
    stepped = (before - flat()) / rate
    ours = MLPBackpropClassifier((5, 4), activation, alpha=penalty / 60)
    ours.initialize(X, y, parameters=before)
    value, gradient = ours.loss_and_gradient(X, y)
    assert_allclose(gradient, stepped, rtol=1e-9, atol=1e-12)
    assert_allclose(value, theirs.loss_, rtol=1e-12)
