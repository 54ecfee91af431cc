"""Measured gradients: against the derivative by hand, and against differences written naively."""

import warnings
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import approx_fprime, rosen, rosen_der
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.preprocessing import scale

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor, special
from skgd.activations import ACTIVATIONS
from skgd.autodiff import value_and_grad
from skgd.gradients import Numeric
from skgd.losses import LOSSES, losses_for
from skgd.penalties import PENALTIES

ESTIMATORS = (GDRegressor, GDClassifier, MLPBackpropRegressor, MLPBackpropClassifier)
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
EPS = float(np.finfo(float).eps)

# Points in steps and weights of the textbooks: (f(x + h) - f(x)) / h and so on.
FORMULAS = {
    "2-point": [(1.0, 1.0), (0.0, -1.0)],
    "3-point": [(1.0, 0.5), (-1.0, -0.5)],
    "richardson": [(1.0, 8 / 12), (-1.0, -8 / 12), (2.0, -1 / 12), (-2.0, 1 / 12)],
}
# A hundred times the truncation error h, h^2, h^4 of the default steps eps^(1/2), eps^(1/3),
# eps^(1/5); the rounding error eps / h is as large.
ERRORS = {"2-point": 2e-6, "3-point": 4e-9, "richardson": 3e-11}
POINTS = {"2-point": 1, "3-point": 2, "richardson": 4}
every_method = pytest.mark.parametrize("method", FORMULAS)


# --------------------------------------------------------------------------- random problems


class Problem(NamedTuple):
    """A model and its data."""

    seed: int
    estimator: type
    settings: dict
    X: object
    y: np.ndarray
    weight: np.ndarray | None

    def objective(self, **settings):
        model = self.estimator(**(self.settings | settings), random_state=0)
        return model.objective(self.X, self.y, self.weight)


def problem(seed):
    """Every loss, activation and penalty, 0 to 3 hidden layers, in turn."""
    rng = np.random.default_rng([seed, 3])
    turn, which = divmod(seed, 4)
    estimator = ESTIMATORS[which]
    regression = "Regressor" in estimator.__name__
    losses = list(losses_for("regression" if regression else "classification"))
    settings = {
        "loss": losses[turn % len(losses)],
        "penalty": list(PENALTIES)[turn % len(PENALTIES)],
        "alpha": 0.1,
        "l1_ratio": 0.3,
    }
    if "MLP" in estimator.__name__:
        names = list(ACTIVATIONS)
        sizes = tuple(int(n) for n in rng.integers(2, 5, size=turn % 4))
        activation = [names[(turn + layer) % len(names)] for layer in range(len(sizes))]
        settings |= {"hidden_layer_sizes": sizes, "activation": activation}
    else:
        settings["fit_intercept"] = bool(turn % 3)
    n, p, k = int(rng.integers(8, 20)), int(rng.integers(1, 6)), 1 + turn % 3
    X = rng.normal(size=(n, p))
    if turn % 2:
        X = sparse.csr_matrix(X * (rng.random(X.shape) < 0.7))
    if regression:  # positive targets suit every loss
        y = np.exp(0.7 * rng.normal(size=(n, k)))
        y = y[:, 0] if k == 1 else y
    else:
        y = rng.permutation(np.arange(n) % (k + 1))
    weight = rng.uniform(0.2, 3, size=n) if turn % 5 < 2 else None
    return Problem(seed, estimator, settings, X, y, weight)


PROBLEMS = [problem(seed) for seed in range(120)]


def describe(p):
    parts = [p.estimator.__name__, p.settings["loss"], str(p.settings["penalty"])]
    return "-".join([str(p.seed), *parts, *p.settings.get("activation", [])])


def draw(p, objective, attempt=0):
    """Parameters away from zero, where |w| has its kink."""
    rng = np.random.default_rng([p.seed, attempt, 4])
    theta = 0.7 * rng.normal(size=objective.x0.shape)
    return np.where(np.abs(theta) < 0.1, 0.1, theta)


def bends_suddenly(objective, theta, distance=3e-3):
    """Whether the derivative by hand jumps or breaks within `distance` along some axis."""
    middle = objective.gradient(theta, "analytic")
    for j in range(theta.size):
        move = distance * max(1.0, abs(theta[j])) * (np.arange(theta.size) == j)
        above, below, half, other = (
            objective.gradient(theta + t * move, "analytic")[j] for t in (1, -1, 0.5, -0.5)
        )
        wide, narrow = above - 2 * middle[j] + below, half - 2 * middle[j] + other
        # a fourth of it, up to the fourth derivative, where the function is smooth
        if abs(wide - 4 * narrow) > 1e-6 * max(1.0, abs(middle[j])):
            return True
    return False


def smooth_place(p, objective):
    for attempt in range(300):
        theta = draw(p, objective, attempt)
        if not bends_suddenly(objective, theta):
            return theta
    raise AssertionError("300 draws, and each of them lies on a kink")


def assert_near(a, b, tolerance, J=1.0):
    size = max(np.linalg.norm(b), abs(J))
    assert np.linalg.norm(a - b) <= tolerance * size


def small(estimator, **settings):
    settings = {"random_state": 0, "tol": None, "batch_size": None} | settings
    if "MLP" in estimator.__name__:
        settings = {"hidden_layer_sizes": (4, 3), "activation": "tanh"} | settings
    return estimator(**settings)


def data(estimator, n=40, many=False, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    Z = X @ rng.normal(size=(4, 3)) + 0.7 * rng.normal(size=(n, 3))
    if "Classifier" in estimator.__name__:
        return X, (Z.argmax(axis=1) if many else (Z[:, 0] > 0.1).astype(int))
    return X, (Z if many else Z[:, 0])


def test_problems_are_of_every_kind():
    for estimator in ESTIMATORS:
        mine = [p for p in PROBLEMS if p.estimator is estimator]
        regression = "Regressor" in estimator.__name__
        table = losses_for("regression" if regression else "classification")
        assert {p.settings["loss"] for p in mine} == set(table)
        assert {p.settings["penalty"] for p in mine} == set(PENALTIES)
        assert {sparse.issparse(p.X) for p in mine} == {True, False}
        assert {p.weight is None for p in mine} == {True, False}
        assert len({np.shape(p.y)[1:] if regression else len(set(p.y)) for p in mine}) == 3
        if "MLP" in estimator.__name__:
            assert {len(p.settings["hidden_layer_sizes"]) for p in mine} == {0, 1, 2, 3}
            assert {a for p in mine for a in p.settings["activation"]} == set(ACTIVATIONS)
        else:
            assert {p.settings["fit_intercept"] for p in mine} == {True, False}


# --------------------------------------------------------------- the derivative by hand


@pytest.mark.parametrize("p", PROBLEMS, ids=describe)
def test_every_method_measures_the_derivative_by_hand(p):
    objective = p.objective()
    theta = smooth_place(p, objective)
    analytic = objective.gradient(theta, "analytic")
    assert np.linalg.norm(analytic) > 0
    J = objective.value(theta)
    for method, tolerance in ERRORS.items():
        for space in ("parameters", "predictions"):
            gradient = objective.gradient(theta, Numeric(method=method, space=space))
            assert_near(gradient, analytic, tolerance, J)
    assert_near(objective.gradient(theta, "numeric"), analytic, ERRORS["3-point"], J)


def holomorphic(p):
    parts = [
        LOSSES[p.settings["loss"]],
        *(ACTIVATIONS[a] for a in p.settings.get("activation", ())),
    ]
    return all(part.holomorphic for part in parts)


@pytest.mark.parametrize("space", ["parameters", "predictions"])
@pytest.mark.parametrize("p", [p for p in PROBLEMS if holomorphic(p)], ids=describe)
def test_complex_step_is_exact(p, space):
    objective = p.objective()
    theta = draw(p, objective)
    stepped = objective.gradient(theta, Numeric(method="cs", space=space))
    assert_near(stepped, objective.gradient(theta, "analytic"), 1e-13, objective.value(theta))


@every_method
@every_estimator
def test_value_is_that_of_the_objective(estimator, method):
    X, y = data(estimator)
    weight = np.linspace(0.5, 2, 40)
    for csr in (False, True):
        rows = sparse.csr_matrix(X * (X > 0)) if csr else X
        model = small(estimator, gradient=Numeric(method=method), alpha=0.3)
        objective = model.objective(rows, y, weight)
        assert_allclose(objective(objective.x0)[0], objective.value(objective.x0), rtol=1e-14)


@pytest.mark.parametrize("method", ["2-point", "3-point", "richardson"])
@every_estimator
def test_single_precision(estimator, method):
    X, y = data(estimator)
    double = small(estimator).objective(X, y)
    theta = double.x0 + 0.3
    exact = double.gradient(theta, "analytic")
    for space in ("parameters", "predictions"):
        single = small(estimator).objective(X.astype(np.float32), y.astype(np.float32))
        source = Numeric(method=method, space=space)
        gradient = single.gradient(theta.astype(np.float32), source)
        assert gradient.dtype == np.float32
        # ten times the error for the eps of float32: eps^(1/2), eps^(2/3), eps^(4/5)
        eps = float(np.finfo(np.float32).eps)
        power = {"2-point": 1 / 2, "3-point": 2 / 3, "richardson": 4 / 5}[method]
        assert_near(gradient, exact, 10 * eps**power, double.value(theta))


@pytest.mark.parametrize("seed", range(5))
def test_richardson_is_better_on_a_smooth_loss(seed):
    """And a central difference is better than a forward one."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(50, 5)), rng.integers(0, 2, size=50)
    objective = MLPBackpropClassifier((4,), "tanh", random_state=seed).objective(X, y)
    theta = rng.normal(size=objective.x0.shape)
    analytic = objective.gradient(theta, "analytic")
    errors = {
        method: np.linalg.norm(objective.gradient(theta, Numeric(method=method)) - analytic)
        for method in FORMULAS
    }
    assert errors["richardson"] < 0.3 * errors["3-point"] < 0.03 * errors["2-point"]


@every_method
def test_order_of_the_error(method):
    """With half the step the error is 1/2, 1/4, 1/16 of what it was."""
    X, y = load_breast_cancer(return_X_y=True)
    objective = GDClassifier().objective(scale(X)[:100, :5], y[:100])
    theta = np.linspace(-1, 1, 6)
    analytic = objective.gradient(theta, "analytic")
    steps = [0.2, 0.1] if method != "2-point" else [0.002, 0.001]
    wide, narrow = (
        np.linalg.norm(objective.gradient(theta, Numeric(method, rel_step=h)) - analytic)
        for h in steps
    )
    order = {"2-point": 1, "3-point": 2, "richardson": 4}[method]
    assert abs(np.log2(wide / narrow) - order) < 0.2


# ------------------------------------------------------------- differences written naively


def naive(objective, theta, method, rel_step):
    """Move each parameter, evaluate J, and nothing else."""
    gradient = np.empty(theta.size)
    for j in range(theta.size):
        h = rel_step * max(1.0, abs(theta[j]))
        total = 0.0
        for point, weight in FORMULAS[method]:
            moved = theta.copy()
            moved[j] += point * h
            total += weight * objective.value(moved)
        gradient[j] = total / h
    return gradient


@pytest.mark.parametrize("p", PROBLEMS, ids=describe)
def test_naive_differences(p):
    """To rounding, at kinks too: it is the same difference of the same function."""
    objective = p.objective()
    theta = draw(p, objective)
    for method in FORMULAS:
        rel_step = 0.01
        reference = naive(objective, theta, method, rel_step)
        measured = objective.gradient(theta, Numeric(method=method, rel_step=rel_step))
        # ten roundings of J, divided by the step
        assert_near(measured, reference, 10 * EPS / rel_step, objective.value(theta))


def test_rel_step_is_in_proportion_to_large_parameters():
    """The second derivative of a parabola, c, makes a forward difference too large by c h / 2."""
    X, y = np.array([[1.0, 0.0], [0.0, 3.0]]), np.zeros(2)
    objective = GDRegressor(penalty=None, fit_intercept=False).objective(X, y)
    theta = np.array([0.5, -40.0])
    curvature = np.array([0.5, 4.5])
    source = Numeric(method="2-point", rel_step=0.01)
    excess = objective.gradient(theta, source) - curvature * theta
    assert_allclose(excess, curvature / 2 * np.array([0.01, 0.4]), rtol=1e-9)


@every_method
@pytest.mark.parametrize(
    ("model", "n", "p"),
    [
        (GDRegressor("log_cosh"), 7000, 3),
        (GDRegressor(fit_intercept=False), 300, 200),
        (GDClassifier(), 5000, 4),
        (MLPBackpropClassifier((5, 3), "tanh", random_state=0), 4000, 3),
        (MLPBackpropRegressor((40,), "softplus", random_state=0), 1000, 2),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else str(value),
)
def test_more_rows_and_parameters_than_fit_one_chunk(model, n, p, method):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    if "Classifier" in type(model).__name__:
        y = rng.integers(0, 3, size=n)
    else:
        y = rng.normal(size=(n, 2))
    weight = rng.uniform(0.1, 2, size=n)
    objective = model.objective(X, y, weight)
    theta = 0.3 * rng.normal(size=objective.x0.shape)
    J = objective.value(theta)
    measured = objective.gradient(theta, Numeric(method=method))
    assert_near(measured, objective.gradient(theta, "analytic"), ERRORS[method], J)
    # one weight on the last row: it must not be lost
    weight = np.full(n, 1e-9)
    weight[-1] = 1.0
    objective = model.objective(X, y, weight)
    measured = objective.gradient(theta, Numeric(method=method))
    J = objective.value(theta)
    assert_near(measured, objective.gradient(theta, "analytic"), 10 * ERRORS[method], J)


def test_the_result_does_not_depend_on_the_number_of_rows():
    """Rows written twice, so often that they are measured in other chunks."""
    X, y = data(GDClassifier, n=37)
    model = MLPBackpropClassifier((3,), "tanh", random_state=0)
    objective = model.objective(X, y)
    one = objective.gradient(objective.x0, "numeric")
    many = model.objective(np.tile(X, (300, 1)), np.tile(y, 300))
    assert_allclose(many.gradient(objective.x0, "numeric"), one, rtol=1e-9, atol=1e-11)


def test_columns_of_zeros_and_dead_units():
    """Where a move changes nothing, the derivative is exactly zero."""
    X, y = data(GDRegressor)
    X[:, 2] = 0.0
    for rows in (X, sparse.csr_matrix(X)):
        objective = GDRegressor(penalty=None).objective(rows, y)
        assert objective.gradient(np.ones(5), "numeric")[2] == 0.0
        network = MLPBackpropRegressor((3,), "relu", penalty=None, random_state=0)
        objective = network.objective(rows, y)
        theta = objective.x0.copy()
        arrays = objective.unpack(theta)
        arrays["intercepts[0]"][1] = -100.0  # this unit never wakes
        gradient = objective.unpack(objective.gradient(theta, "numeric"))
        analytic = objective.unpack(objective.gradient(theta, "analytic"))
        assert_array_equal(gradient["coefs[0]"][:, 1], 0.0)
        assert gradient["intercepts[0]"][1] == 0.0 and gradient["coefs[1]"][1, 0] == 0.0
        assert_array_equal(gradient["coefs[0]"][2], 0.0)
        assert np.all(analytic["coefs[0]"][[0, 1, 3]][:, [0, 2]] != 0)


# ------------------------------------------------------------ functions that see whole batches


class Watched:
    """A loss that notes how many rows it is given, and what."""

    def __init__(self, loss):
        self.loss = loss
        self.calls = 0
        self.rows = []
        self.targets = []

    def __deepcopy__(self, memo):
        return self  # a clone of the estimator reports here, too

    def __call__(self, y, raw):
        self.calls += 1
        self.rows.append(len(y))
        self.targets.append(np.array(y))
        assert raw.shape == y.shape
        return self.loss(y, raw)


def squares(y, raw):
    terms = (raw - y) ** 2 / 2
    return terms if terms.ndim == 1 else np.sum(terms, axis=1)


def mean_of_squares(y, raw):
    return np.mean(squares(y, raw))


def spread_of_residuals(y, raw):
    """Entry i depends on every row."""
    r = raw - y
    r = r - np.mean(r, axis=0)
    return r**2 if r.ndim == 1 else np.sum(r**2, axis=1)


def correlation(y, raw):
    a, b = y - np.mean(y), raw - np.mean(raw)
    return 1 - np.sum(a * b) / np.sqrt(np.sum(a**2) * np.sum(b**2))


@every_method
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("loss", [squares, mean_of_squares, spread_of_residuals, correlation])
@pytest.mark.parametrize("estimator", [GDRegressor, MLPBackpropRegressor])
def test_functions_see_the_rows_of_the_batch(estimator, loss, many, method):
    X, y = data(estimator, n=3000, many=many)
    X, y = X[:, :2], y[..., :2] if many else y
    watched = Watched(loss)
    settings = {"hidden_layer_sizes": (3,)} if estimator is MLPBackpropRegressor else {}
    model = small(estimator, loss=watched, gradient=Numeric(method=method), **settings)
    objective = model.objective(X, y)
    theta = objective.x0 + 1.0
    watched.rows.clear()
    watched.targets.clear()
    gradient = objective(theta)[1]
    assert set(watched.rows) == {3000}
    assert all(np.array_equal(target, y) for target in watched.targets)
    by_graph = small(estimator, loss=loss, **settings).objective(X, y)
    value, exact = by_graph(theta)
    assert_near(gradient, exact, ERRORS[method], value)


@pytest.mark.parametrize("loss", [squares, mean_of_squares, spread_of_residuals])
def test_functions_see_mini_batches_whole(loss):
    X, y = data(GDRegressor, n=50)
    watched = Watched(loss)
    small(GDRegressor, loss=watched, gradient="numeric", batch_size=16, max_iter=2).fit(X, y)
    short = {2} if loss is not mean_of_squares else set()
    assert set(watched.rows) == {50, 16} | short


@every_method
@pytest.mark.parametrize("p", PROBLEMS[::7], ids=describe)
def test_a_function_is_measured_like_the_row(p, method):
    """Whole batches for a function, and only the rows that change for a loss of the table."""
    row = LOSSES[p.settings["loss"]]()
    one = p.objective()
    other = p.objective(loss=lambda y, raw: row.value(y, raw))
    theta = draw(p, one)
    source = Numeric(method=method, rel_step=0.01)
    J = one.value(theta)
    assert_near(other.gradient(theta, source), one.gradient(theta, source), 10 * EPS / 0.01, J)


def test_a_loss_that_is_not_defined_on_both_sides():
    def root(y, raw):
        return np.where(raw >= 0, np.sqrt(np.maximum(raw, 0)), np.nan) + (raw - y) ** 2

    X, y = np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 3.0])
    model = GDRegressor(root, gradient="numeric", learning_rate=0.1, fit_intercept=False)
    with pytest.raises(ValueError, match=r"coef\[0\].*rel_step"):
        model.fit(X, y)
    assert not hasattr(model, "coef_")


# ------------------------------------------------------------------ coordinates of the descent


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("space", ["parameters", "predictions"])
@every_method
@every_estimator
def test_training_in_automatic_coordinates(estimator, method, space, csr):
    """Columns and targets on any scale; weights; every step must be the analytic one."""
    X, y = data(estimator, many=True)
    X = X * [0.1, 1.0, 1e3, 10.0]
    X = sparse.csr_matrix(X * (np.abs(X) > np.quantile(np.abs(X), 0.3, axis=0))) if csr else X + 1.0
    if "Regressor" in estimator.__name__:
        y = y * [1.0, 2.0, 0.5] + [0.0, 3.0, 1.0]
    weight = np.linspace(0.5, 2, 40)
    loss = "log_cosh" if "Regressor" in estimator.__name__ else "log_loss"
    settings = {"max_iter": 10, "learning_rate": "auto", "optimizer": "nesterov", "loss": loss}
    exact = small(estimator, gradient="analytic", **settings).fit(X, y, weight)
    start = small(estimator, **settings).initialize(X, y).parameters_
    assert np.linalg.norm(exact.parameters_ - start) > 1e-2 * np.linalg.norm(start)
    assert exact.loss_curve_[-1] < 0.95 * exact.loss_curve_[0]
    model = small(estimator, gradient=Numeric(method=method, space=space), **settings)
    model.fit(X, y, weight)
    # errors of ten steps, which the descent itself damps
    assert_near(model.parameters_, exact.parameters_, 10 * ERRORS[method])
    assert_allclose(model.loss_curve_, exact.loss_curve_, rtol=10 * ERRORS[method])
    ask = "decision_function" if "Classifier" in estimator.__name__ else "predict"
    raw = getattr(exact, ask)(X)
    assert_near(getattr(model, ask)(X), raw, 10 * ERRORS[method])


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@every_estimator
def test_training_by_the_complex_step(estimator, optimizer):
    X, y = data(estimator, many=True)
    X = X * [1e-3, 1.0, 1e3, 10.0]
    settings = {"max_iter": 15, "optimizer": optimizer}
    exact = small(estimator, gradient="analytic", **settings).fit(X, y)
    model = small(estimator, gradient=Numeric(method="cs"), **settings).fit(X, y)
    assert_near(model.parameters_, exact.parameters_, 1e-9)


@every_estimator
def test_mini_batches_and_partial_fit(estimator):
    X, y = data(estimator)
    classes = {"classes": np.unique(y)} if "Classifier" in estimator.__name__ else {}
    settings = {"batch_size": 16, "learning_rate": 0.05, "optimizer": "momentum"}
    models = [
        small(estimator, gradient=gradient, **settings) for gradient in ("analytic", "numeric")
    ]
    for model in models:
        model.partial_fit(X, y, **classes).partial_fit(X[:20], y[:20])
    assert_near(models[1].parameters_, models[0].parameters_, 1e-8)


# -------------------------------------------------------------------- the raw outputs alone


def steps_cost(model, X, y, calls):
    """Calls of the function in one step more: what comes before the training cancels."""
    counts, told = [], []
    for epochs in (2, 3, 5):
        calls.calls = 0
        fitted = clone(model).set_params(loss=calls, max_iter=epochs).fit(X, y)
        counts.append(calls.calls)
        told.append(fitted.n_loss_evaluations_)
        assert fitted.n_gradient_evaluations_ == epochs
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0])
    assert told[0] == 2 * (told[1] - told[0])
    return counts[1] - counts[0], told[1] - told[0]


@every_method
@pytest.mark.parametrize("hidden", [(), (5,), (20, 10)])
@pytest.mark.parametrize("many", [False, True])
def test_cost_of_predictions_does_not_depend_on_the_model(hidden, many, method):
    X, y = data(MLPBackpropRegressor, many=many)
    source = Numeric(method=method, space="predictions")
    model = small(MLPBackpropRegressor, hidden_layer_sizes=hidden, gradient=source)
    outputs = 3 if many else 1
    expected = 1 + POINTS[method] * outputs
    assert steps_cost(model, X, y, Watched(squares)) == (expected, expected)


@every_method
@pytest.mark.parametrize("loss", [squares, mean_of_squares])
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_cost_of_parameters(hidden, loss, method):
    X, y = data(MLPBackpropRegressor)
    model = small(MLPBackpropRegressor, hidden_layer_sizes=hidden, gradient=Numeric(method=method))
    n_parameters = 5 if not hidden else 4 * 5 + 5 + 5 + 1
    expected = 1 + POINTS[method] * n_parameters
    assert steps_cost(model, X, y, Watched(loss)) == (expected, expected)


@every_estimator
@pytest.mark.parametrize("many", [False, True])
def test_predictions_train_as_the_chain_rule(estimator, many):
    X, y = data(estimator, many=many)

    def loss(y, raw):
        if "Regressor" in estimator.__name__:
            return squares(y, raw)
        if raw.ndim == 1:
            return np.logaddexp(0, raw) - y * raw
        return special.logsumexp(raw, axis=1) - np.sum(y * raw, axis=1)

    settings = {"loss": loss, "max_iter": 20, "learning_rate": 0.05, "batch_size": 16}
    exact = small(estimator, gradient="backprop", **settings).fit(X, y)
    model = small(estimator, gradient=Numeric(space="predictions"), **settings).fit(X, y)
    assert_near(model.parameters_, exact.parameters_, 1e-8)


@pytest.mark.parametrize("space", ["parameters", "predictions"])
def test_targets_far_from_zero(space):
    """Raw outputs of 1e5, which differ by one: a step of one would see nothing of the bend."""
    X, y = data(GDRegressor)
    y = y + 1e5
    exact = GDRegressor("log_cosh").fit(X, y)
    model = GDRegressor("log_cosh", gradient=Numeric(space=space)).fit(X, y)
    assert_allclose(model.coef_, exact.coef_, atol=1e-4)


@pytest.mark.parametrize("method", ["fit", "initialize", "objective", "partial_fit"])
def test_predictions_refuse_what_is_not_row_by_row(method):
    X, y = data(GDRegressor)
    source = Numeric(space="predictions")
    for loss in (spread_of_residuals, lambda y, raw: np.cumsum((y - raw) ** 2)):
        model = GDRegressor(loss, gradient=source)
        with pytest.raises(ValueError, match="other samples") as caught:
            getattr(model, method)(X, y)
        assert "parameters" in str(caught.value)
    for loss in (mean_of_squares, correlation):
        model = GDRegressor(loss, gradient=source)
        with pytest.raises(ValueError, match="one number") as caught:
            getattr(model, method)(X, y)
        assert "parameters" in str(caught.value) and loss.__name__ in str(caught.value)


@pytest.mark.parametrize("loss", [spread_of_residuals, mean_of_squares])
def test_a_source_for_one_call_is_refused_too(loss):
    """`objective.gradient(theta, source)` must not return a wrong gradient in silence."""
    X, y = data(GDRegressor)
    objective = GDRegressor(loss).objective(X, y)
    with pytest.raises(ValueError, match="parameters"):
        objective.gradient(objective.x0, Numeric(space="predictions"))


def test_a_fit_that_was_refused_leaves_the_model_as_it_was():
    X, y = data(GDRegressor)
    model = GDRegressor(squares).fit(X, y)
    before = model.parameters_
    model.set_params(loss=spread_of_residuals, gradient=Numeric(space="predictions"))
    with pytest.raises(ValueError, match="predictions"):
        model.fit(X, y)
    assert_array_equal(model.parameters_, before)
    assert model.gradient_ == "backprop"


@every_estimator
def test_names_of_the_source(estimator):
    X, y = data(estimator)
    for source, shown in (
        ("numeric", "numeric"),
        (Numeric(), "numeric"),
        (Numeric(space="predictions"), "Numeric(space='predictions')"),
        (Numeric(method="richardson"), "Numeric(method='richardson')"),
    ):
        assert small(estimator, gradient=source, max_iter=1).fit(X, y).gradient_ == shown


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"method": "4-point"}, "method"),
        ({"method": "3 point"}, "3-point"),
        ({"space": "outputs"}, "predictions"),
        ({"rel_step": 0.0}, "rel_step"),
        ({"rel_step": -1e-6}, "rel_step"),
        ({"rel_step": np.nan}, "rel_step"),
        ({"noise_level": -1.0}, "noise_level"),
        ({"noise_level": np.inf}, "noise_level"),
    ],
)
def test_settings_are_checked(settings, word):
    X, y = data(GDRegressor)
    with pytest.raises(ValueError, match=word):
        GDRegressor(gradient=Numeric(**settings)).fit(X, y)
    with pytest.raises(ValueError, match=word):
        GDRegressor().objective(X, y).gradient(np.zeros(5), Numeric(**settings))
    with pytest.raises(ValueError, match=word):
        Numeric(**settings).of_function(np.sum)


@pytest.mark.parametrize("space", ["parameters", "predictions"])
def test_complex_step_is_refused_for_functions(space):
    """Nobody knows whether a function is analytic: np.abs would drop the derivative silently."""
    X, y = data(GDRegressor)
    model = GDRegressor(squares, gradient=Numeric(method="cs", space=space))
    with pytest.raises(ValueError, match="cs"):
        model.fit(X, y)


# ------------------------------------------------------------------------------------- noise


class Noisy:
    """A loss with noise of known standard deviation, different in each call."""

    def __init__(self, level, number, seed=0):
        self.level = level
        self.number = number
        self.rng = np.random.default_rng(seed)

    def __call__(self, y, raw):
        losses = np.exp(raw) - y * raw
        if losses.ndim == 2:
            losses = losses.sum(axis=1)
        if self.number:
            return np.mean(losses) + self.level * self.rng.standard_normal()
        return losses + self.level * self.rng.standard_normal(len(y))


def exponential_family(n=60, p=4):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    y = rng.poisson(np.exp(X @ (0.3 * rng.normal(size=p)))).astype(float)
    return X, y, 0.3 * rng.normal(size=p + 1)


def errors_of(sources, level, number=True, repeats=16):
    """Root mean square error of the gradient over repeated measurements, for each source."""
    X, y, theta = exponential_family()
    exact = GDRegressor("poisson", penalty=None).objective(X, y).gradient(theta, "analytic")
    model = GDRegressor(Noisy(level, number), penalty=None, gradient=Numeric(noise_level=level))
    objective = model.objective(X, y)
    return [
        np.sqrt(
            np.mean(
                [
                    np.sum((objective.gradient(theta, clone(source)) - exact) ** 2)
                    for _ in range(repeats)
                ]
            )
        )
        for source in sources
    ]


WIDE_AND_NARROW = 10.0 ** np.arange(-5.5, 0.6, 0.5)
# The steps of functions without noise.
USUAL = {"2-point": EPS ** (1 / 2), "3-point": EPS ** (1 / 3), "richardson": EPS ** (1 / 5)}


def noisy_sources(level, method, **settings):
    """Steps by the noise, the usual ones, and all others: `rel_step` goes before the noise."""
    known = settings | {"method": method, "noise_level": level}
    return [
        Numeric(**known),
        Numeric(**known, rel_step=USUAL[method]),
        *(Numeric(**known, rel_step=h) for h in WIDE_AND_NARROW),
    ]


@pytest.mark.parametrize("level", [1e-2, 1e-4, 1e-7])
@pytest.mark.parametrize("method", ["2-point", "3-point"])
def test_steps_as_wide_as_the_noise_asks_for(method, level):
    told, blind, *others = errors_of(noisy_sources(level, method), level)
    assert told < 0.05 * blind
    assert told < 3 * min(others)


@pytest.mark.parametrize("level", [1e-2, 1e-5])
def test_richardson_with_noise(level):
    told, blind, *_ = errors_of(noisy_sources(level, "richardson"), level)
    assert told < 0.05 * blind


@pytest.mark.parametrize("level", [1e-2, 1e-4])
def test_noise_of_each_sample(level):
    """In "predictions" the noise is that of one sample's loss."""
    sources = noisy_sources(level, "3-point", space="predictions")
    told, blind, *others = errors_of(sources, level, number=False)
    assert told < 0.05 * blind
    assert told < 3 * min(others)


@pytest.mark.parametrize("number", [False, True])
def test_without_noise_the_steps_are_the_usual_ones(number):
    X, y, theta = exponential_family()
    loss = Noisy(0.0, number)
    objective = GDRegressor(loss, penalty=None, gradient="numeric").objective(X, y)
    usual = objective.gradient(theta, Numeric())
    assert_array_equal(objective.gradient(theta, Numeric(noise_level=0.0)), usual)
    # noise of the size of rounding asks for about the same step
    near = objective.gradient(theta, Numeric(noise_level=1e-16))
    assert_near(near, usual, 1e-8)


@pytest.mark.parametrize("number", [False, True])
def test_functions_that_cannot_be_repeated_are_refused(number):
    X, y, _ = exponential_family()
    for source in ("numeric", Numeric(method="2-point"), Numeric(noise_level=0.0)):
        model = GDRegressor(Noisy(1e-3, number), gradient=source)
        with pytest.raises(ValueError, match="two different results") as caught:
            model.fit(X, y)
        assert "noise_level" in str(caught.value) and "smoothed" in str(caught.value)
        assert not hasattr(model, "coef_")
    for source in (Numeric(noise_level=1e-3), Numeric(method="smoothed")):
        model = GDRegressor(Noisy(1e-3, number), gradient=source, max_iter=3, tol=None)
        assert model.fit(X, y).n_iter_ == 3


def test_a_function_with_a_state_is_refused():
    X, y = data(GDRegressor)
    calls = []

    def drifting(y, raw):
        calls.append(1)
        return (y - raw) ** 2 + 0.1 * len(calls)

    with pytest.raises(ValueError, match="two different results"):
        GDRegressor(drifting, gradient="numeric").fit(X, y)


@pytest.mark.parametrize(
    "source",
    [Numeric(noise_level=1e-3), Numeric(space="predictions", noise_level=1e-3)],
    ids=["parameters", "predictions"],
)
def test_training_on_a_noisy_loss(source):
    """Telling the noise is enough to train, in either space."""
    X, y, _ = exponential_family(n=200)
    exact = GDRegressor("poisson", alpha=0.01, optimizer="lbfgs").fit(X, y)
    model = GDRegressor(Noisy(1e-3, False), gradient=source, alpha=0.01, max_iter=100, tol=None)
    model.fit(X, y)
    # the noise in a measured slope is at most about level^(2/3), and J bends by about 1
    assert_allclose(model.parameters_, exact.parameters_, atol=0.05)


# ----------------------------------------------------------------------- functions of arrays


def random_function(seed):
    """A smooth function of a vector, written so that it can be traced."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    A, b = rng.normal(size=(n, n)) / 2, rng.normal(size=n)
    parts = [
        lambda x: np.sum(np.sin(A @ x)),
        lambda x: np.log(1 + np.sum(np.exp(A @ x / 3))),
        lambda x: np.sum((x - b) ** 2) / 2,
        lambda x: np.sum(np.tanh(x) * b),
        lambda x: np.sqrt(1 + x @ x),
        lambda x: np.prod(1 + 0.1 * np.cos(x)),
        lambda x: np.mean(x**3 / (1 + x**2)),
    ]
    chosen = rng.choice(len(parts), size=3, replace=False)
    return (lambda x: sum(parts[i](x) for i in chosen)), rng.uniform(-1, 1, size=n)


@pytest.mark.parametrize("seed", range(25))
def test_measured_derivatives_of_random_functions(seed):
    fun, x = random_function(seed)
    value, gradient = value_and_grad(fun)(x)
    for method, tolerance in ERRORS.items():
        found, measured = Numeric(method=method).of_function(fun)(x)
        assert_allclose(found, value, rtol=1e-14)
        assert measured.shape == x.shape and measured.dtype == np.float64
        assert_near(measured, gradient, tolerance, value)
    assert_near(Numeric(method="cs").of_function(fun)(x)[1], gradient, 1e-13, value)
    assert_allclose(approx_fprime(x, fun), gradient, atol=1e-5)


@pytest.mark.parametrize("method", [*FORMULAS, "cs"])
def test_rosenbrock(method):
    x = np.array([1.3, 0.7, 0.8, 1.9, -1.2])
    found, gradient = Numeric(method=method).of_function(rosen)(x)
    assert_allclose(found, rosen(x), rtol=1e-14)
    assert_near(gradient, rosen_der(x), ERRORS.get(method, 1e-13))


def test_functions_of_a_matrix():
    A = np.arange(6.0).reshape(2, 3)
    value, gradient = Numeric().of_function(lambda x: np.sum(A * x**2))(np.ones((2, 3)))
    assert value == 15.0
    assert_allclose(gradient, 2 * A, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("x", [3.0, 3, np.float64(3.0), np.array(3.0)], ids=repr)
def test_functions_of_a_number(x):
    value, gradient = Numeric().of_function(lambda x: float(x) ** 2)(x)
    assert value == 9.0 and np.shape(gradient) == ()
    assert_allclose(gradient, 6.0, rtol=1e-9)


@pytest.mark.parametrize("x", [[1.0, 2.0], (1, 2), np.array([1, 2])], ids=repr)
@pytest.mark.parametrize("method", ["3-point", "smoothed"])
def test_functions_of_a_list_or_whole_numbers(x, method):
    value, gradient = Numeric(method=method, n_pairs=3000).of_function(lambda x: x @ x)(x)
    assert value == 5.0 and gradient.dtype == np.float64
    # 3000 random directions leave an error of about |gradient| sqrt(3 / 3000)
    assert_allclose(gradient, [2, 4], atol=1e-8 if method == "3-point" else 0.5)


def test_functions_of_single_precision():
    single = np.array([1, 2], dtype=np.float32)
    gradient = Numeric().of_function(lambda x: x @ x)(single)[1]
    assert gradient.dtype == np.float32
    # ten times eps^(2/3)
    assert_allclose(gradient, [2, 4], rtol=10 * float(np.finfo(np.float32).eps) ** (2 / 3))


def test_a_function_may_leave_numpy_and_write_to_its_argument():
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)[:, :3]

    def deviance(w):
        p = 1 / (1 + np.exp(-(X @ w)))
        w[:] = 0.0
        return sklearn_log_loss(y, p)

    w = np.array([0.1, -0.2, 0.3])
    _, gradient = Numeric().of_function(deviance)(w)
    assert_array_equal(w, [0.1, -0.2, 0.3])
    objective = GDClassifier(penalty=None, fit_intercept=False).objective(X, y)
    assert_near(gradient, objective.gradient(w, "analytic"), ERRORS["3-point"])


@pytest.mark.parametrize("level", [1e-3, 1e-6])
def test_noisy_functions(level):
    x = np.array([0.3, -0.5, 0.8])
    gradient = np.exp(x) - 1

    def error(**settings):
        rng = np.random.default_rng(0)
        noisy = lambda x: np.sum(np.exp(x) - x) + level * rng.standard_normal()  # noqa: E731
        total = [
            np.sum((Numeric(**settings).of_function(noisy)(x)[1] - gradient) ** 2)
            for _ in range(30)
        ]
        return np.sqrt(np.mean(total))

    for method in ("2-point", "3-point"):
        told = error(noise_level=level, method=method)
        assert told < 0.05 * error(method=method)
        assert told < 3 * min(error(rel_step=h, method=method) for h in WIDE_AND_NARROW)


def test_a_function_has_no_predictions():
    with pytest.raises(ValueError, match="parameters"):
        Numeric(space="predictions").of_function(rosen)


# ------------------------------------------------------------------------------- real problems


def test_diabetes_and_digits():
    X, y = load_diabetes(return_X_y=True)
    objective = GDRegressor("huber").objective(X, y)
    theta = np.linspace(-100, 100, 11)
    analytic = objective.gradient(theta, "analytic")
    assert_near(objective.gradient(theta, "numeric"), analytic, 1e-6)
    X, y = load_digits(return_X_y=True)
    model = MLPBackpropClassifier((10,), "tanh", random_state=0)
    objective = model.objective(X[:300] / 16, y[:300])
    analytic = objective.gradient(objective.x0, "analytic")
    assert_near(objective.gradient(objective.x0, "numeric"), analytic, 1e-8)
    assert_near(objective.gradient(objective.x0, Numeric(method="richardson")), analytic, 1e-10)


def test_no_warning_of_numpy_leaks():
    """Moves beyond the range of a function are found, and handled."""
    X, y = data(GDRegressor)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        objective = GDRegressor("poisson", gradient="numeric").objective(X, np.exp(y))
        objective(np.full(5, 500.0))


@pytest.mark.parametrize("sparse_rows", [False, True])
@pytest.mark.parametrize("method", ["2-point", "3-point", "richardson", "cs"])
@every_estimator
def test_columns_of_few_levels(estimator, method, sparse_rows):
    """Indicators and counts, whose moves are alike; large parameters have steps of their own."""
    rng = np.random.default_rng(0)
    X = np.c_[np.eye(5)[rng.integers(0, 5, 300)], rng.integers(0, 4, (300, 3))].astype(float)
    y = rng.integers(0, 3, 300) if "Classifier" in estimator.__name__ else rng.normal(size=300)
    model = small(estimator, activation="tanh") if "MLP" in estimator.__name__ else estimator()
    rows = sparse.csr_matrix(X) if sparse_rows else X
    objective = model.objective(rows, y, rng.uniform(0.5, 2.0, 300))
    theta = objective.x0 + rng.normal(size=objective.x0.size)
    assert np.any(np.abs(theta) > 1) and np.any(np.abs(theta) < 1)
    exact = objective.gradient(theta, "analytic")
    bound = 1e-6 if method == "2-point" else 1e-8
    assert_near(objective.gradient(theta, Numeric(method=method)), exact, bound)
