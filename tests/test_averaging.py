"""Averages of the parameters over the steps, against torch and sums written out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import gamma
from sklearn.base import clone
from sklearn.linear_model import Lasso, LinearRegression
from sklearn.model_selection import GridSearchCV

from skgd import (
    GDClassifier,
    GDRegressor,
    MLPBackpropClassifier,
    MLPBackpropRegressor,
    config_context,
)
from skgd.averaging import AVERAGES, EMA, Mean, Polynomial

ESTIMATORS = (GDRegressor, GDClassifier, MLPBackpropRegressor, MLPBackpropClassifier)
SGD = {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": None, "tol": None}


def data(seed=0, n=60, p=4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ np.linspace(-2, 2, p) + 0.5 * rng.normal(size=n)


def path(n_steps, X, y):
    """Parameters after each step of gradient descent."""
    objective = GDRegressor(learning_rate=0.1).objective(X, y)
    theta, points = objective.x0.copy(), []
    for _ in range(n_steps):
        theta = theta - 0.1 * objective(theta)[1]
        points.append(theta)
    return np.array(points)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.999])
def test_ema_is_the_weighted_mean_of_the_steps(decay):
    X, y = data()
    weights = decay ** np.arange(12.0)[::-1]
    expected = np.average(path(12, X, y), axis=0, weights=weights)
    model = GDRegressor(average=EMA(decay=decay), max_iter=12, **SGD).fit(X, y)
    assert_allclose(model.parameters_, expected, rtol=1e-12)


# Printed by torch 2.14.1, in float64, from theta = averaged = torch.zeros(3):
#     for t in range(1, 13):
#         (0.5 * ((X @ theta[:2] + theta[2] - y) ** 2).mean()).backward()
#         optimizer.step()  # torch.optim.SGD([theta], lr=0.1)
#         averaged = torch.optim.swa_utils.get_ema_avg_fn(decay)(averaged, theta.detach(), t)
#         optimizer.zero_grad()
EMA_OF_TORCH = {
    0.3: [1.5876383926936017, -0.3958091533202148, 0.33691765122624473],
    0.9: [0.9336004592038301, -0.21345515825835804, 0.2183706994452166],
    0.999: [0.014043189364929083, -0.0031007898705714006, 0.003385978080975613],
}


@pytest.mark.parametrize("decay", EMA_OF_TORCH)
def test_ema_as_in_torch_but_for_the_bias(decay):
    """From zero torch's rule gives ours times 1 - decay^t, the correction of Adam's averages."""
    X, y = [[1.0, -2.0], [0.5, 1.0], [-1.5, 0.5], [2.0, 1.5]], [3.0, -1.0, -2.0, 4.0]
    model = GDRegressor(penalty=None, average=EMA(decay=decay), max_iter=12, **SGD).fit(X, y)
    expected = np.array(EMA_OF_TORCH[decay]) / (1 - decay**12)
    assert_allclose(model.parameters_, expected, rtol=1e-12)


@pytest.mark.parametrize("power", [0, 1, 3, 0.5])
def test_polynomial_is_the_weighted_mean_of_the_steps(power):
    """Step i has the weight Gamma(i + power) / Gamma(i), about i^power (Shamir & Zhang 2013)."""
    X, y = data()
    i = np.arange(1.0, 13.0)
    expected = np.average(path(12, X, y), axis=0, weights=gamma(i + power) / gamma(i))
    model = GDRegressor(average=Polynomial(power=power), max_iter=12, **SGD).fit(X, y)
    assert_allclose(model.parameters_, expected, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999, 1 - 1e-9])
def test_mass_is_the_sum_of_the_weights(decay, n):
    assert_allclose(EMA(decay=decay).mass(n), np.sum(decay ** np.arange(float(n))), rtol=1e-7)
    assert Mean().mass(n) == Polynomial(power=0).mass(n) == n


def test_names_and_objects():
    X, y = data()
    settings = {"max_iter": 3, "tol": None, "random_state": 0, "batch_size": 20}
    for name, same in (("ema", EMA(decay=0.999)), ("mean", True), (Mean(after=70), 70)):
        one, other = (GDRegressor(average=a, **settings).fit(X, y) for a in (name, same))
        assert_array_equal(one.parameters_, other.parameters_)
    model = GDRegressor(average=EMA())
    assert clone(model.set_params(average__decay=0.5)).average.decay == 0.5
    with pytest.raises(ValueError, match=r"average=EMA\(\)"):
        GDRegressor(average="ema").set_params(average__decay=0.5)
    grid = GridSearchCV(GDRegressor(average=EMA(), **settings), {"average__decay": [0.1, 0.9]})
    assert "average__decay" in grid.fit(X, y).best_params_


@pytest.mark.parametrize("average", [EMA(decay=1.0), EMA(decay=-0.1), EMA(decay="a"), EMA])
def test_wrong_settings_are_named(average):
    word = "average" if isinstance(average, type) else "decay"
    with pytest.raises((ValueError, TypeError), match=word):
        GDRegressor(average=average).fit(*data())
    with pytest.raises((ValueError, TypeError), match="after"):
        GDRegressor(average=Mean(after=-1)).fit(*data())
    with pytest.raises((ValueError, TypeError), match="power"):
        GDRegressor(average=Polynomial(power=-1)).fit(*data())


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("average", AVERAGES)
def test_passes_are_one_training(estimator, average):
    X, y = data()
    y = y if "Regressor" in estimator.__name__ else y > 0
    settings = {"average": average, "tol": None, "random_state": 0, "batch_size": 16}
    whole = estimator(max_iter=3, learning_rate=0.05, **settings).fit(X, y)
    passes = estimator(learning_rate=0.05, **settings)
    classes = {} if "Regressor" in estimator.__name__ else {"classes": [False, True]}
    for _ in range(3):
        passes.partial_fit(X, y, **classes)
    assert_allclose(passes.parameters_, whole.parameters_, rtol=1e-12)
    single = estimator(max_iter=3, learning_rate=0.05, **settings | {"average": False}).fit(X, y)
    assert np.abs(whole.parameters_ - single.parameters_).max() > 1e-6


def test_ema_comes_closer_than_the_last_step():
    """Mini-batches leave noise at a constant rate; its mean over 1000 steps has less."""
    X, y = data(n=2000, p=10)
    best = np.linalg.lstsq(np.column_stack([X, np.ones(2000)]), y, rcond=None)[0]
    settings = {"penalty": None, "learning_rate": 0.1, "batch_size": 8, "max_iter": 20}
    errors = {}
    for average in (False, EMA(decay=0.999)):
        model = GDRegressor(optimizer="sgd", average=average, tol=None, random_state=0, **settings)
        errors[repr(average)] = np.linalg.norm(model.fit(X, y).parameters_ - best)
    assert errors["EMA()"] < 0.3 * errors["False"]


# ------------------------------------------------------------------------------------------ "auto"

AUTO = {"batch_size": 20, "max_iter": 11, "tol": None, "random_state": 0}


def same(estimator, X, y, *averages, **settings):
    models = [estimator(average=a, **AUTO | settings).fit(X, y) for a in averages]
    return np.array_equal(models[0].parameters_, models[1].parameters_)


def test_auto_is_the_default_of_linear_models():
    assert [make().average for make in ESTIMATORS] == ["auto", "auto", False, False]


@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
@pytest.mark.parametrize("optimizer", ["nesterov", "sgd", "adam"])
def test_auto_averages_where_batches_are_noisy(estimator, optimizer):
    X, y = data()
    y = y if estimator is GDRegressor else y > 0
    assert same(estimator, X, y, "auto", Polynomial(after=32 * 20), optimizer=optimizer)


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": None},
        {"learning_rate": 0.1},
        {"schedule": "cosine"},
        {"penalty": "l1"},
        {"penalty": "elasticnet"},
        {"constraint": "positive"},
        {"optimizer": "adagrad"},  # which slows down by itself
        {"optimizer": "lbfgs", "batch_size": "auto"},
    ],
    ids=str,
)
def test_auto_keeps_no_average_elsewhere(settings):
    assert same(GDRegressor, *data(), "auto", False, **settings)


def test_auto_begins_after_32_steps():
    assert same(GDRegressor, *data(), "auto", False, max_iter=10)  # 30 of them
    assert not same(GDRegressor, *data(), "auto", False, max_iter=11)


@pytest.mark.parametrize("rare", [0.01, 0.003])
def test_default_fit_of_a_rare_class_comes_to_the_minimum(rare):
    """A few rows carry half of the weight, and jolt the steps; L-BFGS finds the minimum."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20_000, 20)), rng.random(20_000) < rare
    X[y] += 0.5
    settings = {"class_weight": "balanced", "random_state": 0}
    exact = GDClassifier(optimizer="lbfgs", tol=1e-10, max_iter=1000, **settings).fit(X, y)
    J = exact.objective(X, y, np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean())))
    model = GDClassifier(**settings).fit(X, y)
    assert J.value(model.parameters_) < J.value(exact.parameters_) * (1 + 1e-3)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_a_pass_of_a_few_rows_goes_on_with_the_average(engine):
    if engine == "numba":
        pytest.importorskip("numba")
    X, y = data(n=20_000, p=10)
    exact = LinearRegression().fit(X, y)
    least = np.mean((exact.predict(X) - y) ** 2)
    with config_context(engine=engine):
        model = GDRegressor(penalty=None, random_state=0).fit(X[:-50], y[:-50])
        model.partial_fit(X[-50:], y[-50:])
    assert np.mean((model.predict(X) - y) ** 2) < least * (1 + 1e-4)


@pytest.mark.parametrize("rows", [300, 1000])
def test_passes_come_closer_to_the_minimum_by_their_average(rows):
    X, y = data(n=20_000, p=10)
    y += np.random.default_rng(1).normal(size=len(y))
    exact = LinearRegression().fit(X, y)
    least = np.mean((exact.predict(X) - y) ** 2)
    above = []
    for average in ("auto", False):
        model = GDRegressor(penalty=None, average=average, random_state=0)
        for start in range(0, len(X), rows):
            model.partial_fit(X[start : start + rows], y[start : start + rows])
        above.append(np.mean((model.predict(X) - y) ** 2) / least - 1)
    assert above[0] < 0.3 * above[1]


def test_a_rule_of_full_batches_keeps_its_rate_in_passes():
    """Rprop refuses schedules: a pass is its whole batch."""
    X, y = data()
    one, other = (
        GDRegressor(optimizer="rprop"),
        GDRegressor(optimizer="rprop", schedule="constant", average=False),
    )
    for _ in range(40):
        one.partial_fit(X, y)
        other.partial_fit(X, y)
    assert_array_equal(one.parameters_, other.parameters_)


def test_once_begun_an_average_goes_on():
    """Larger passes have a later beginning (here 32 steps of more rows), which is behind them."""
    pytest.importorskip("numba")
    X, y = data(n=20_000, p=10)
    found = []
    for engine in ("numpy", "numba"):
        model = GDRegressor(random_state=0)
        with config_context(engine=engine):
            for rows in (*[slice(k * 300, k * 300 + 300) for k in range(20)], slice(10_000, None)):
                model.partial_fit(X[rows], y[rows])
        found.append(model.parameters_)
    assert_allclose(found[1], found[0], rtol=1e-10)
    average = Mean(after=100)
    averaged = np.zeros(1)
    assert average.take_in(np.ones(1), averaged, 3, samples=50) == 4
    assert averaged[0] == 0.25


def test_networks_keep_none():
    assert same(MLPBackpropRegressor, *data(), "auto", False, hidden_layer_sizes=(3,))


def test_the_rate_falls_beside_the_average_too():
    """``1 / (1 + t / 128)`` at steps 2 to 179, the last of each epoch."""
    for settings in ({}, {"average": False}, {"loss": "absolute_error"}, {"penalty": "l1"}):
        model = GDRegressor(**AUTO | {"max_iter": 60} | settings).fit(*data())
        rates = model.history_["learning_rate"]
        assert_allclose(rates[-1] / rates[0], (128 + 2) / (128 + 179), rtol=1e-12)


@pytest.mark.parametrize("p", [5, 40])
def test_default_fit_comes_close_to_least_squares(p):
    """Noisy batches: the residuals are as large as the signal. Scikit-learn solves it exactly."""
    X, y = data(n=20_000, p=p)
    y += np.random.default_rng(1).normal(size=len(y))
    exact = LinearRegression().fit(X, y)
    least = np.mean((exact.predict(X) - y) ** 2)
    model = GDRegressor(penalty=None, random_state=0).fit(X, y)
    assert np.mean((model.predict(X) - y) ** 2) < least * (1 + 1e-4)
    steps = GDRegressor(penalty=None, average=False, schedule="constant", tol=None, random_state=0)
    steps.set_params(max_iter=model.n_iter_).fit(X, y)
    assert np.mean((steps.predict(X) - y) ** 2) > least * (1 + 1e-3)


def test_zeros_of_an_l1_term_stay_exact():
    X, y = data(n=2000, p=10)
    y = y - X[:, :5] @ np.linspace(-2, 2, 10)[:5]  # five columns that say nothing
    model = GDRegressor(penalty="l1", alpha=0.1, random_state=0).fit(X, y)
    assert_array_equal(model.coef_ == 0, Lasso(alpha=0.1).fit(X, y).coef_ == 0)
