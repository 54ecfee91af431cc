"""Gradients of losses with steps, measured along random directions.

Estimates are compared with exact gradients by their own standard error: four of them for every
entry of the mean over seeds, which are fixed.
"""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import rosen, rosen_der
from scipy.stats import norm
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import f1_score
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import scale

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.exceptions import DivergenceWarning
from skgd.gradients import Numeric

ESTIMATORS = (GDRegressor, GDClassifier, MLPBackpropRegressor, MLPBackpropClassifier)
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
both_methods = pytest.mark.parametrize("method", ["smoothed", "spsa"])


def data(estimator, n=40):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    y = X @ [1.0, -2.0, 0.5, 0.0] + 0.5 * rng.normal(size=n)
    return X, ((y > 0.3).astype(int) if "Classifier" in estimator.__name__ else y)


def small(estimator, **settings):
    settings = {"random_state": 0, "tol": None, "batch_size": None} | settings
    if "MLP" in estimator.__name__:
        settings = {"hidden_layer_sizes": (3,), "activation": "tanh"} | settings
    return estimator(**settings)


def is_wrong(y, raw):
    """One for each sample on the wrong side."""
    return np.where((raw > 0) != (y > 0.5), 1.0, 0.0)


def error_rate(y, raw):
    return np.mean((raw > 0) != (y > 0.5))


def one_minus_f1(y, raw):
    predicted = raw > 0
    return 1 - 2 * np.sum(y * predicted) / (np.sum(y) + np.sum(predicted))


def estimates(gradient_of, n_seeds):
    return np.array([gradient_of(seed) for seed in range(n_seeds)])


def assert_unbiased(samples, exact, precision):
    """The mean is the exact gradient within four standard errors, which are small enough."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert np.all(error <= precision * np.linalg.norm(exact))
    assert np.all(np.abs(samples.mean(axis=0) - exact) <= 4 * error)


# ----------------------------------------------------------------------------- no bias


def quadratic(n=5):
    rng = np.random.default_rng(1)
    A = rng.normal(size=(n, n))
    A, b = A @ A.T, rng.normal(size=n)
    x = 2 * rng.normal(size=n)
    return (lambda x: x @ A @ x / 2 + b @ x), x, A @ x + b


@both_methods
@pytest.mark.parametrize("radius", [None, 0.01, 1.0])
def test_exact_on_the_mean_for_a_quadratic(method, radius):
    """For any radius: what is even in the direction cancels, and nothing else is there."""
    fun, x, exact = quadratic()

    def gradient_of(seed):
        source = Numeric(method=method, rel_step=radius, n_pairs=200, random_state=seed)
        value, gradient = source.of_function(fun)(x)
        assert_allclose(value, fun(x), rtol=1e-14)
        return gradient

    samples = estimates(gradient_of, 40)
    assert_unbiased(samples, exact, 0.02)
    # a pair has the covariance |g|^2 I + g g^T (normal), |g|^2 I - diag(g^2) (signs)
    sign = 1.0 if method == "smoothed" else -1.0
    variance = (exact @ exact + sign * exact**2) / 200
    assert_allclose(samples.var(axis=0, ddof=1), variance, rtol=0.8)


@both_methods
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("csr", [False, True])
def test_exact_on_the_mean_for_squared_error(method, alpha, csr):
    """J with its penalty is a quadratic function of the parameters of a linear model."""
    X, y = data(GDRegressor)
    X = sparse.csr_matrix(X * (np.abs(X) > 0.4)) if csr else X
    weight = np.linspace(0.2, 2, 40)
    objective = GDRegressor(alpha=alpha).objective(X, y, weight)
    theta = np.array([0.5, -1.0, 2.0, 0.3, 0.7])

    def gradient_of(seed):
        source = Numeric(method=method, rel_step=0.5, n_pairs=100, random_state=seed)
        return objective.gradient(theta, source)

    assert_unbiased(estimates(gradient_of, 40), objective.gradient(theta, "analytic"), 0.03)


@both_methods
@every_estimator
def test_small_radius_for_a_smooth_loss(estimator, method):
    """Then the bias is of the order of the radius squared, far below the standard error."""
    X, y = data(estimator)
    objective = small(estimator).objective(X, y)
    theta = objective.x0 + 0.3

    def gradient_of(seed):
        source = Numeric(method=method, rel_step=1e-4, n_pairs=100, random_state=seed)
        return objective.gradient(theta, source)

    assert_unbiased(estimates(gradient_of, 30), objective.gradient(theta, "analytic"), 0.05)


@both_methods
def test_exact_on_the_mean_in_automatic_coordinates(method):
    """One plain step is linear in the gradient, whatever the coordinates."""
    X, y = data(GDRegressor)
    X = X * [0.01, 1.0, 100.0, 5.0] + [0.0, 3.0, 50.0, 0.0]
    settings = {"optimizer": "sgd", "max_iter": 1, "alpha": 0.1}
    start = small(GDRegressor, **settings).initialize(X, y).parameters_

    def step_by(source):
        """At a rate of one, and relative to the scale of each coordinate: so all of them count."""
        model = small(GDRegressor, gradient=source, **settings).fit(X, y)
        return (model.parameters_ - start)[:4] / model.learning_rate_ * X.std(axis=0)

    def step(seed):
        return step_by(Numeric(method=method, n_pairs=100, random_state=seed))

    assert_unbiased(estimates(step, 30), step_by("analytic"), 0.1)


@pytest.mark.parametrize("radius", [0.1, 0.4])
@pytest.mark.parametrize("size", [0.5, 3.0])
def test_a_step_smoothed_by_a_gaussian(size, radius):
    """``P(w (x + r e) > c)`` has the gradient ``w phi((w x - c) / (r |w|)) / (r |w|)``."""
    rng = np.random.default_rng(2)
    w, x = rng.normal(size=4), rng.normal(size=4)
    x *= size / np.sqrt(np.mean(x**2))
    r = radius * max(1.0, size)  # the radius is in units of the root mean square, from 1 on
    width = r * np.linalg.norm(w)
    c = w @ x - 0.4 * width
    exact = w * norm.pdf(0.4) / width

    def gradient_of(seed):
        source = Numeric(method="smoothed", rel_step=radius, n_pairs=400, random_state=seed)
        return source.of_function(lambda x: float(w @ x > c))(x)[1]

    assert_unbiased(estimates(gradient_of, 50), exact, 0.03)


@pytest.mark.parametrize("loss", [is_wrong, error_rate], ids=lambda loss: loss.__name__)
def test_the_error_rate_smoothed_by_a_gaussian(loss):
    """Each row's raw output is normal around its own, with r |(x, 1)| for its deviation."""
    X, y = data(GDClassifier)
    theta = np.array([0.4, -0.7, 0.2, 0.1, -0.1])
    A = np.column_stack([X, np.ones(40)])
    deviation = 0.2 * np.linalg.norm(A, axis=1)  # rms of theta is below 1
    towards_error = np.where(y == 1, -1.0, 1.0)
    slope = towards_error * norm.pdf(A @ theta / deviation) / deviation
    exact = slope @ A / 40 + 0.05 * np.append(theta[:4], 0.0)
    source = Numeric(method="smoothed")
    objective = GDClassifier(loss, gradient=source, alpha=0.05).objective(X, y)

    def gradient_of(seed):
        source = Numeric(method="smoothed", rel_step=0.2, n_pairs=300, random_state=seed)
        return objective.gradient(theta, source)

    assert_unbiased(estimates(gradient_of, 30), exact, 0.03)


# ------------------------------------------------------------------------- the same seed


@both_methods
@every_estimator
def test_same_seed_same_result(estimator, method):
    X, y = data(estimator)
    source = Numeric(method=method, random_state=3)
    settings = {"max_iter": 5, "optimizer": "sgd", "learning_rate": 0.01}
    first = small(estimator, gradient=source, **settings).fit(X, y).parameters_
    # the source keeps nothing from a training
    assert_array_equal(small(estimator, gradient=source, **settings).fit(X, y).parameters_, first)
    assert_array_equal(
        small(estimator, gradient=clone(source), **settings).fit(X, y).parameters_, first
    )
    other = small(estimator, gradient=Numeric(method=method, random_state=4), **settings)
    assert np.any(other.fit(X, y).parameters_ != first)
    objective = small(estimator).objective(X, y)
    one, same = (objective.gradient(objective.x0, clone(source)) for _ in range(2))
    assert_array_equal(one, same)
    fun = Numeric(method=method, random_state=3).of_function(rosen)
    again = Numeric(method=method, random_state=3).of_function(rosen)
    x = np.array([0.3, -0.2, 1.0])
    for _ in range(3):
        assert_array_equal(fun(x)[1], again(x)[1])
    assert np.all(fun(x)[1] != Numeric(method=method, random_state=3).of_function(rosen)(x)[1])


def test_same_result_in_two_processes():
    X, y = data(GDClassifier, n=90)
    loss = lambda y, raw: np.mean((raw > 0) != (y > 0.5))  # noqa: E731  # goes by value
    model = small(GDClassifier, loss=loss, gradient=Numeric(method="smoothed"), max_iter=5)
    one, two = (cross_val_score(model, X, y, cv=3, n_jobs=n) for n in (1, 2))
    assert_array_equal(one, two)


# -------------------------------------------------------------------------- evaluations


class Counted:
    def __init__(self, loss):
        self.loss = loss
        self.calls = 0

    def __call__(self, y, raw):
        self.calls += 1
        return self.loss(y, raw)


def calls_and_count(model, X, y, loss, epochs):
    counted = Counted(loss)
    model = clone(model).set_params(loss=counted, max_iter=epochs).fit(X, y)
    return np.array([counted.calls, model.n_loss_evaluations_])


@both_methods
@pytest.mark.parametrize("n_pairs", [1, 3, 20])
def test_pairs_are_evaluations(method, n_pairs):
    """Two for each pair, and J itself."""
    X, y = data(GDClassifier)
    source = Numeric(method=method, rel_step=0.1, n_pairs=n_pairs)
    model = small(GDClassifier, gradient=source)
    before, after = (calls_and_count(model, X, y, is_wrong, k) for k in (2, 5))
    assert_array_equal(after - before, 3 * (1 + 2 * n_pairs))


@pytest.mark.parametrize(
    ("method", "n_features", "pairs"),
    [
        ("spsa", 4, 1),
        ("spsa", 200, 1),
        ("smoothed", 2, 8),  # 3 parameters
        ("smoothed", 20, 21),
        ("smoothed", 500, 128),
    ],
)
def test_default_number_of_pairs(method, n_features, pairs):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, n_features)), np.arange(30) % 2
    model = small(GDClassifier, gradient=Numeric(method=method, rel_step=0.1))
    before, after = (calls_and_count(model, X, y, is_wrong, k) for k in (1, 3))
    assert_array_equal(after - before, 2 * (1 + 2 * pairs))


@both_methods
def test_evaluations_of_the_calibration_are_counted(method):
    """What is called more than with a given radius is told."""
    X, y = data(GDClassifier)
    given = small(GDClassifier, gradient=Numeric(method=method, rel_step=0.1, n_pairs=2))
    free = small(GDClassifier, gradient=Numeric(method=method, n_pairs=2))
    extra = calls_and_count(free, X, y, is_wrong, 5) - calls_and_count(given, X, y, is_wrong, 5)
    assert extra[0] > 0
    assert extra[1] == extra[0]


# -------------------------------------------------------------------------- the radius


def displacements(fun, x, method="smoothed", n_pairs=50, calls=1):
    """Root mean square of the moves of each of `calls` gradients, and the last gradient."""
    points = []

    def recorded(at):
        points.append(np.array(at))
        return fun(at)

    gradient_of = Numeric(method=method, n_pairs=n_pairs).of_function(recorded)
    sizes = []
    for _ in range(calls):
        gradient = gradient_of(x)[1]
        moves = np.array(points[-2 * n_pairs - 1 : -1]) - x  # the last call is at x
        sizes.append(np.sqrt(np.mean(moves**2)))
    return sizes, gradient


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_calibration_is_small_for_a_smooth_function(scale):
    x = scale * np.random.default_rng(0).normal(size=6)
    for fun in (rosen, quadratic(6)[0], lambda x: np.sum(np.tanh(x / scale))):
        (size,), _ = displacements(fun, x)
        assert size < 1e-3 * scale


@pytest.mark.parametrize("width", [0.001, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_calibration_is_wider_than_the_steps_of_stairs(width, seed):
    """So the estimate is the slope of the stairs, and not zero.

    Stairs smoothed over a deviation r have the slope ``1 +- 2 exp(-2 (pi r / width)^2)``, which is
    within a tenth of 1 from ``r = 0.39 width`` on.
    """
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=8), rng.normal(size=8)
    w /= np.linalg.norm(w)
    (size,), _ = displacements(lambda x: width * np.floor(w @ x / width), x)
    assert 0.39 * width < size < 50 * width
    samples = []
    for number in range(20):
        source = Numeric(method="smoothed", n_pairs=100, random_state=number)
        samples.append(source.of_function(lambda x: width * np.floor(w @ x / width))(x)[1])
    assert_unbiased(np.array(samples), w, 0.05)


def test_calibration_of_stairs_right_at_a_step():
    """A small move changes much there, and a larger one no more: it is no slope."""
    (size,), _ = displacements(lambda x: float(np.sum(x > 0)), np.zeros(5))
    assert size > 0.1


@both_methods
def test_the_radius_follows_the_size_of_the_parameters(method):
    x = np.array([1.0, -1.0, 2.0])
    for factor in (1.0, 1000.0):
        points = []

        def recorded(at, points=points):
            points.append(np.array(at))
            return float(np.sum(at**2))

        source = Numeric(method=method, rel_step=0.25, n_pairs=2000)
        source.of_function(recorded)(factor * x)
        moves = np.array(points[:-1]) - factor * x
        expected = 0.25 * factor * np.sqrt(2.0)  # root mean square of 1, -1, 2
        # 4000 moves of three normal numbers: their spread is known to about 1 %
        assert_allclose(np.sqrt(np.mean(moves**2)), expected, rtol=0.04)


def test_the_radius_of_spsa_shrinks():
    """By the power 0.101 of the number of the step (Spall 1998); the moves are random signs."""
    x = np.array([0.2, -0.1, 0.5])
    points = []

    def recorded(at):
        points.append(np.array(at))
        return rosen(at)

    gradient_of = Numeric(method="spsa", rel_step=0.1).of_function(recorded)
    for k in range(1, 8):
        points.clear()
        _, gradient = gradient_of(x)
        above, below, _ = points
        r = 0.1 / k**0.101
        assert_allclose(np.abs(above - x), r, rtol=1e-12)
        assert_allclose(above + below, 2 * x, rtol=1e-12)
        signs = np.sign(above - x)
        assert_allclose(gradient, signs * (rosen(above) - rosen(below)) / (2 * r), rtol=1e-9)


def test_the_radius_is_calibrated_again():
    """A training moves from a flat region to a smooth one; calls 1, 2, 4, 8 calibrate."""
    offset = []

    def fun(x):
        return float(np.floor(x.sum())) if not offset else float(np.sum(x**2))

    gradient_of_points = []

    def recorded(at):
        gradient_of_points.append(np.array(at))
        return fun(at)

    x = np.array([0.1, 0.2, 0.3])
    gradient_of = Numeric(method="smoothed", n_pairs=8).of_function(recorded)
    sizes = []
    for call in range(1, 9):
        if call == 3:
            offset.append(1)
        gradient_of(x)
        moves = np.array(gradient_of_points[-17:-1]) - x
        sizes.append(np.sqrt(np.mean(moves**2)))
    assert min(sizes[:3]) > 0.1  # the third call has the radius of the second
    assert max(sizes[3:]) < 1e-3


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("loss", [is_wrong, error_rate, one_minus_f1])
def test_the_penalty_does_not_hide_the_stairs(loss, alpha):
    """The penalty is smooth; the radius must be that of the loss, or nothing is learned of it."""
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    model = GDClassifier(loss, alpha=alpha, gradient=Numeric(method="smoothed", n_pairs=40))
    objective = model.objective(X, y)
    theta = np.linspace(-1, 1, 31)
    gradient = objective.gradient(theta)
    of_penalty = alpha * np.append(theta[:30], 0.0)
    without = GDClassifier(loss, alpha=0, gradient=Numeric(method="smoothed", n_pairs=40))
    exact_rest = without.objective(X, y).gradient(theta)
    # along 40 directions the penalty's own gradient is only estimated, with the same directions
    penalty = Numeric(method="smoothed", n_pairs=40).of_function(
        lambda theta: alpha * np.sum(theta[:30] ** 2) / 2
    )
    assert np.linalg.norm(exact_rest) > 0
    assert_allclose(gradient - penalty(theta)[1], exact_rest, atol=1e-9)
    assert alpha == 0 or np.linalg.norm(gradient - of_penalty) > 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("alpha", [1e-3, 1e-4])
def test_the_radius_does_not_depend_on_how_a_loss_is_returned(alpha, seed):
    """As one value per sample, their mean, or their number divided by n."""
    X, y = load_digits(return_X_y=True)
    X, y = X / 16, y == 8
    theta = GDClassifier(alpha=alpha, optimizer="lbfgs").fit(X, y).parameters_

    def count(y, raw):
        return np.count_nonzero((raw > 0) != (y > 0.5)) / len(y)

    gradients = []
    for loss in (is_wrong, error_rate, count):
        source = Numeric(method="smoothed", n_pairs=8, random_state=seed)
        objective = GDClassifier(loss, alpha=0, gradient=source).objective(X, y)
        gradients.append(objective.gradient(theta))
    assert_allclose(gradients[1], gradients[0], atol=1e-12)
    assert_allclose(gradients[2], gradients[0], atol=1e-12)


def test_a_count_keeps_its_penalty():
    """A loss that returns a whole number does not make the penalty one."""
    X, y = data(GDClassifier)
    theta = np.array([0.3, 0.2, -0.1, 0.4, 0.1])

    def count(y, raw):
        return np.count_nonzero((raw > 0) != (y > 0.5))

    results = []
    for loss in (count, lambda y, raw: float(count(y, raw))):
        source = Numeric(method="smoothed", rel_step=0.1)
        objective = GDClassifier(loss, alpha=2.5, gradient=source).objective(X, y)
        value, gradient = objective(theta)
        assert_allclose(value, objective.value(theta), rtol=1e-14)
        results.append(gradient)
    assert_allclose(*results, rtol=1e-12)


# ----------------------------------------------------------------- from the log-loss solution


@pytest.fixture(scope="module")
def eights():
    """Which of 1797 digits are an 8: a tenth of them."""
    X, y = load_digits(return_X_y=True)
    return X / 16, (y == 8).astype(int)


def go_on(alpha, loss, X, y, **settings):
    """Train on log loss, then from there on `loss`; return F1 and errors before and after."""
    model = GDClassifier(alpha=alpha, optimizer="lbfgs").fit(X, y)
    table = [(f1_score(y, model.predict(X)), 1 - model.score(X, y))]
    settings = {"optimizer": "adam", "schedule": "cosine", "max_iter": 200} | settings
    model.set_params(loss=loss, warm_start=True, batch_size=None, tol=None, **settings)
    model.fit(X, y)
    table.append((f1_score(y, model.predict(X)), 1 - model.score(X, y)))
    return np.array(table)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alpha", [1e-3, 1e-4])
def test_f1_rises_when_it_is_the_loss(eights, alpha, seed):
    source = Numeric(method="smoothed", n_pairs=8, random_state=seed)
    before, after = go_on(alpha, one_minus_f1, *eights, gradient=source)
    assert after[0] > before[0] + 0.01


@pytest.mark.parametrize("seed", range(3))
def test_f1_rises_by_simultaneous_perturbation(eights, seed):
    source = Numeric(method="spsa", random_state=seed)
    before, after = go_on(1e-4, one_minus_f1, *eights, gradient=source, max_iter=1000)
    assert after[0] > before[0] + 0.01


@pytest.mark.parametrize("optimizer", ["adam", "nesterov"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alpha", [1e-3, 1e-4])
@pytest.mark.parametrize("loss", [is_wrong, error_rate])
def test_errors_fall_at_a_good_radius(eights, loss, alpha, seed, optimizer):
    source = Numeric(method="smoothed", rel_step=0.02, n_pairs=8, random_state=seed)
    before, after = go_on(alpha, loss, *eights, gradient=source, optimizer=optimizer)
    assert after[1] < before[1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alpha", [1e-3, 1e-4])
@pytest.mark.parametrize("loss", [is_wrong, error_rate])
def test_errors_fall_at_the_calibrated_radius(eights, loss, alpha, seed):
    source = Numeric(method="smoothed", n_pairs=8, random_state=seed)
    before, after = go_on(alpha, loss, *eights, gradient=source)
    assert after[1] < before[1]


@both_methods
def test_errors_fall_from_zero(method):
    """At the start every row is on the edge."""
    X, y = load_breast_cancer(return_X_y=True)
    model = GDClassifier(
        error_rate, gradient=Numeric(method=method), optimizer="adam", max_iter=300, tol=None
    )
    assert model.fit(scale(X), y).score(scale(X), y) > 0.9


@pytest.mark.parametrize("estimator", [MLPBackpropClassifier, MLPBackpropRegressor])
def test_networks_learn_a_loss_with_steps(estimator):
    X, y = data(estimator, n=150)

    def loss(y, raw):
        if estimator is MLPBackpropClassifier:
            return error_rate(y, raw)
        return np.mean(np.floor(np.abs(y - raw) / 0.5))  # steps of half a unit

    model = small(estimator, loss=loss, gradient=Numeric(method="smoothed"), max_iter=150)
    before = model.objective(X, y)
    start = before.value(before.x0)
    model.set_params(learning_rate=0.03).fit(X, y)
    assert before.value(model.parameters_) < 0.6 * start


# ------------------------------------------------------------------- plain differences of stairs

FLAT = {
    "each": is_wrong,
    "mean": error_rate,
    "bool": lambda y, raw: (raw > 0) != (y > 0.5),
    "count": lambda y, raw: np.count_nonzero((raw > 0) != (y > 0.5)),
    "int8": lambda y, raw: ((raw > 0) != (y > 0.5)).astype(np.int8),
}


@pytest.mark.parametrize("kind", FLAT)
@pytest.mark.parametrize("method", ["2-point", "3-point", "richardson"])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_difference_of_zero_everywhere_is_told(kind, method, alpha):
    X, y = data(GDClassifier)
    model = GDClassifier(alpha=0.01).fit(X, y)
    model.set_params(loss=FLAT[kind], gradient=Numeric(method=method), alpha=alpha)
    model.set_params(warm_start=True, max_iter=3, tol=None)
    with pytest.warns(UserWarning, match="flat") as caught:
        model.fit(X, y)
    assert len(caught) == 1  # not in every step
    assert "smoothed" in str(caught[0].message) and "spsa" in str(caught[0].message)


@pytest.mark.parametrize("kind", FLAT)
def test_a_difference_of_zero_everywhere_is_told_in_predictions(kind):
    X, y = data(GDClassifier)
    model = GDClassifier(alpha=0.01).fit(X, y)
    model.set_params(loss=FLAT[kind], gradient=Numeric(space="predictions"))
    model.set_params(warm_start=True, max_iter=3, tol=None)
    if kind in ("mean", "count"):
        with pytest.raises(ValueError, match="one number"):
            model.fit(X, y)
        return
    with pytest.warns(UserWarning, match="flat"):
        model.fit(X, y)


@both_methods
@pytest.mark.parametrize("kind", FLAT)
def test_all_kinds_of_results_are_smoothed_alike(kind, method):
    """And no warning comes."""
    X, y = data(GDClassifier)
    factor = 1.0 if kind in ("each", "mean", "bool", "int8") else 40.0
    theta = np.array([0.4, -0.7, 0.2, 0.1, -0.1])
    results = []
    for loss in (FLAT[kind], lambda y, raw: factor * is_wrong(y, raw)):
        source = Numeric(method=method, rel_step=0.2, n_pairs=20)
        objective = GDClassifier(loss, gradient=source, alpha=0).objective(X, y)
        results.append(objective(theta)[1])
    assert np.linalg.norm(results[1]) > 0
    assert_allclose(*results, atol=1e-12)


def test_a_slope_along_one_parameter_is_no_flat_loss():
    """One column of X matters, and the loss has no steps there."""
    X, y = data(GDRegressor)
    X[:, 1:] = 0.0
    model = GDRegressor(lambda y, raw: (y - raw) ** 2, gradient="numeric", fit_intercept=False)
    model.fit(X, y)
    assert model.coef_[0] != 0


# -------------------------------------------------------------------------------- settings


@both_methods
@every_estimator
def test_predictions_are_refused(estimator, method):
    X, y = data(estimator)
    source = Numeric(method=method, space="predictions")
    with pytest.raises(ValueError, match="parameters"):
        small(estimator, gradient=source).fit(X, y)
    objective = small(estimator).objective(X, y)
    with pytest.raises(ValueError, match="parameters"):
        objective.gradient(objective.x0, source)
    with pytest.raises(ValueError, match="parameters"):
        source.of_function(rosen)


@pytest.mark.parametrize(
    ("settings", "error", "word"),
    [
        ({"n_pairs": 0}, ValueError, "n_pairs"),
        ({"n_pairs": -1}, ValueError, "n_pairs"),
        ({"n_pairs": 1.5}, TypeError, "n_pairs"),
        ({"rel_step": 0.0}, ValueError, "rel_step"),
        ({"random_state": -1}, ValueError, "random_state"),
        ({"random_state": 0.5}, TypeError, "random_state"),
        ({"method": "smooth"}, ValueError, "smoothed"),
    ],
)
def test_settings_are_checked(settings, error, word):
    X, y = data(GDRegressor)
    source = Numeric(**({"method": "smoothed"} | settings))
    with pytest.raises(error, match=word):
        GDRegressor(gradient=source).fit(X, y)


@both_methods
@every_estimator
def test_name_dtype_and_mini_batches(estimator, method):
    X, y = data(estimator)
    source = Numeric(method=method, n_pairs=2)
    model = small(estimator, gradient=source, batch_size=16, max_iter=3)
    model.fit(X.astype(np.float32), y)
    assert model.gradient_ == f"Numeric(method='{method}', n_pairs=2)"
    assert model.parameters_.dtype == np.float32
    assert model.n_gradient_evaluations_ == 9
    assert model.n_loss_evaluations_ >= 9 * 5
    gradient = model.loss_and_gradient(X.astype(np.float32), y)[1]
    assert gradient.dtype == np.float32 and np.isfinite(gradient).all()


def test_smooth_losses_train_by_random_directions():
    """Slowly, but to the minimum: the built-in loss, in automatic coordinates."""
    X, y = data(GDRegressor)
    exact = GDRegressor(optimizer="lbfgs", tol=1e-12).fit(X, y)
    objective = GDRegressor().objective(X, y)
    for method, epochs in (("smoothed", 200), ("spsa", 2000)):
        model = small(
            GDRegressor,
            gradient=Numeric(method=method),
            optimizer="sgd",
            learning_rate=0.05,
            max_iter=epochs,
        ).fit(X, y)
        excess = objective.value(model.parameters_) - objective.value(exact.parameters_)
        assert excess < 1e-3 * objective.value(objective.x0)


@both_methods
@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
def test_the_automatic_rate_suits_random_directions(estimator, method):
    """One direction stands for all parameters, so its step must be shorter than a gradient's."""
    X, y = data(estimator, n=100)
    model = estimator(gradient=Numeric(method=method))
    objective = model.objective(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DivergenceWarning)
        model.fit(X, y)
    exact = estimator(optimizer="lbfgs", tol=1e-12).fit(X, y).parameters_
    start, lowest = objective.value(objective.x0), objective.value(exact)
    assert start - objective.value(model.parameters_) > 0.9 * (start - lowest)


def test_rosenbrock_on_the_mean():
    """A polynomial of degree 4: smoothing adds r^2 / 2 times the Laplacian."""
    x = np.array([0.5, -0.3, 0.8])
    r = 0.1

    def laplacian(x):
        # of sum 100 (x1 - x0^2)^2 + (1 - x0)^2, term by term
        first, second = x[:-1], x[1:]
        return np.sum(1200 * first**2 - 400 * second + 2 + 200)

    slope = np.array([(laplacian(x + h) - laplacian(x - h)) / 2e-3 for h in 1e-3 * np.eye(3)])
    exact = rosen_der(x) + r**2 / 2 * slope

    def gradient_of(seed):
        source = Numeric(method="smoothed", rel_step=r, n_pairs=400, random_state=seed)
        return source.of_function(rosen)(x)[1]

    samples = estimates(gradient_of, 50)
    assert_unbiased(samples, exact, 0.02)
