"""skgd.minimize: functions with known minima, and the contract with SciPy."""

import pickle

import numpy as np
import pytest
import scipy.optimize
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import OptimizeResult
from sklearn.base import clone

from skgd._threads import one_blas_thread
from skgd.exceptions import DivergenceWarning
from skgd.gradients import Analytic, Backprop, Numeric
from skgd.minimization import minimize
from skgd.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, AdamW, Momentum, Rprop
from skgd.schedules import Cosine

START = np.array([-1.2, 1.0])
RULES = [name for name in OPTIMIZERS if name != "lbfgs"]
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


@pytest.fixture(autouse=True)
def _one_thread():
    """On a busy machine, threads that wait for each other are most of the time of a small solve."""
    with one_blas_thread():
        yield


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def rosenbrock_slope(x):
    bend = x[1] - x[0] ** 2
    return np.array([-2 * (1 - x[0]) - 400 * x[0] * bend, 200 * bend])


def himmelblau_slope(x):
    a, b = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
    return np.array([4 * x[0] * a + 2 * b, 2 * a + 4 * x[1] * b])


def himmelblau(x):
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def beale(x):
    return sum((c - x[0] * (1 - x[1] ** (i + 1))) ** 2 for i, c in enumerate((1.5, 2.25, 2.625)))


def beale_slope(x):
    powers = np.array([1.0, 2.0, 3.0])
    misses = np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** powers)
    by_y = misses * x[0] * powers * x[1] ** (powers - 1)
    return np.array([-2 * np.sum(misses * (1 - x[1] ** powers)), 2 * np.sum(by_y)])


def booth(x):
    return (x[0] + 2 * x[1] - 7) ** 2 + (2 * x[0] + x[1] - 5) ** 2


def booth_slope(x):
    a, b = x[0] + 2 * x[1] - 7, 2 * x[0] + x[1] - 5
    return np.array([2 * a + 4 * b, 4 * a + 2 * b])


def half_square(x):
    return 0.5 * np.sum(x**2)


def bowl(x):
    return np.sum((x - 3.0) ** 2) + 5.0


# function, its gradient, start, minima
FUNCTIONS = {
    "rosenbrock": (rosenbrock, rosenbrock_slope, [-1.2, 1.0], [(1, 1)]),
    "himmelblau": (
        himmelblau,
        himmelblau_slope,
        [0.0, 0.0],
        [
            (3, 2),
            (-2.80511808695274, 3.13131251825057),
            (-3.77931025337775, -3.28318599128617),
            (3.58442834033049, -1.84812652696440),
        ],
    ),
    "beale": (beale, beale_slope, [1.0, 1.0], [(3, 0.5)]),
    "booth": (booth, booth_slope, [0.0, 0.0], [(1, 3)]),
}

# schedule, rate in Rosenbrock's valley, rate elsewhere; (0.1, "constant") for those not named
RATES = {
    "sgd": ("constant", 0.0015, 0.01),
    "momentum": ("constant", 0.001, 0.003),
    "nesterov": ("constant", 0.001, 0.003),
    "adagrad": ("constant", 0.5, 1.0),
    "adadelta": ("cosine", 0.5, 0.5),
    "rmsprop": ("cosine", 0.003, 0.01),
    "adamw": ("cosine", 0.003, 0.3),
    "nadam": ("cosine", 0.01, 0.03),
    "radam": ("constant", 0.005, 0.01),
    "lion": ("cosine", 0.01, 0.01),
    "rprop": ("constant", 0.001, 0.001),
}


class Counted:
    """A function that counts its calls."""

    def __init__(self, fun):
        self.fun = fun
        self.calls = 0

    def __call__(self, *args):
        self.calls += 1
        return self.fun(*args)


def value_and_slope(name):
    fun, slope, _, _ = FUNCTIONS[name]
    return lambda x: (fun(x), slope(x))


# ------------------------------------------------------------------------------- known minima


@pytest.mark.parametrize("problem", FUNCTIONS)
@every_optimizer
def test_every_optimizer_finds_a_minimum(name, problem):
    fun, slope, start, minima = FUNCTIONS[problem]
    schedule, in_the_valley, elsewhere = RATES.get(name, ("constant", 0.1, 0.1))
    valley = problem == "rosenbrock"
    result = minimize(
        value_and_slope(problem),
        start,
        gradient=True,
        optimizer=name,
        learning_rate=in_the_valley if valley else elsewhere,
        schedule=schedule,
        max_iter=20_000 if valley else 6_000,
    )
    # The decay of AdamW moves the minimum towards zero.
    assert np.abs(result.x - minima).max(axis=1).min() < (0.02 if name == "adamw" else 2e-3)
    assert result.fun == fun(result.x)
    assert_array_equal(result.jac, slope(result.x))
    if result.success:
        assert result.status == 0


@pytest.mark.parametrize(
    ("optimizer", "rate", "n_steps", "value", "rtol"),
    [
        ("sgd", 1e-3, 10_000, 5.85276e-05, 1e-5),
        (Momentum(momentum=0.9), 2e-4, 10_000, 1.6046e-08, 1e-4),
        ("adam", 1e-2, 1_000, 1.25497, 1e-5),
        ("adam", 1e-2, 10_000, 1.05e-14, 1e-2),
    ],
)
def test_figures_of_rosenbrock(optimizer, rate, n_steps, value, rtol):
    result = minimize(
        rosenbrock,
        START,
        gradient=rosenbrock_slope,
        optimizer=optimizer,
        learning_rate=rate,
        max_iter=n_steps,
        tol=None,
    )
    assert_allclose(result.fun, value, rtol=rtol)
    assert (result.nit, result.status, result.success) == (n_steps, 1, False)


@pytest.mark.parametrize(
    ("optimizer", "rate", "x"),
    [("sgd", 1e-3, (-0.9844, 1.088)), ("adam", 1e-2, (-1.19, 1.01))],
)
@pytest.mark.parametrize("gradient", ["backprop", rosenbrock_slope])
def test_first_step_of_rosenbrock(optimizer, rate, x, gradient):
    settings = {"gradient": gradient, "optimizer": optimizer, "learning_rate": rate}
    result = minimize(rosenbrock, START, max_iter=1, **settings)
    assert_allclose(result.x, x, rtol=1e-9)


# x after 1, 2, 3, 10 and 20 steps on x^2 / 2 from 1, at the rate .1 (1 for Adadelta)
TABLE = {
    "sgd": (0.9, 0.81, 0.729, 0.3486784401, 0.121576654591),
    "momentum": (0.9, 0.72, 0.486, -0.5887893888, 0.344667448627),
    "adadelta": (0.996837738151, 0.993598198408, 0.990309082801, 0.96659718637, 0.931842072028),
    "adam": (0.900000001, 0.800412229712, 0.701586274504, 0.0762491606198, -0.271154094087),
    "adamw": (0.899000001, 0.798519028189, 0.698911184716, 0.0716955020746, -0.269167505509),
    "nadam": (0.894354823221, 0.819973071532, 0.752729267616, 0.323364022561, -0.0292807727043),
    "rprop": (0.9, 0.78, 0.636, 0.03686784, 0.0028276224),
}


@pytest.mark.parametrize("name", TABLE)
def test_table_of_update_rules(name):
    path = []
    minimize(
        half_square,
        [1.0],
        optimizer=name,
        learning_rate=1.0 if name == "adadelta" else 0.1,
        max_iter=20,
        tol=None,
        callback=lambda xk: path.append(xk[0]),
    )
    assert_allclose(np.array(path)[[0, 1, 2, 9, 19]], TABLE[name], rtol=1e-9, atol=1e-16)


def test_defaults():
    for name in ("rosenbrock", "himmelblau"):
        fun, _, start, minima = FUNCTIONS[name]
        result = minimize(fun, start)
        assert result.success, name
        assert np.abs(result.x - minima).max(axis=1).min() < 1e-6


# ---------------------------------------------------------------------------- gradient sources


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    "gradient", ["backprop", "numeric", Backprop(), Numeric("2-point"), Numeric("cs"), True]
)
def test_gradient_sources_agree(gradient, optimizer):
    fun = value_and_slope("rosenbrock") if gradient is True else rosenbrock
    settings = {"optimizer": optimizer, "learning_rate": 0.1, "max_iter": 30, "tol": None}
    by_hand = minimize(rosenbrock, START, gradient=rosenbrock_slope, **settings)
    result = minimize(fun, START, gradient=gradient, **settings)
    # Differences of 1e-8 grow on the way of a line search, which ends in the same point.
    atol = 1e-4 if optimizer == "adam" else 1e-2
    assert_allclose(result.x, by_hand.x, atol=atol)
    assert result.fun == rosenbrock(result.x)
    assert_allclose(result.jac, rosenbrock_slope(result.x), atol=1e-3)


@pytest.mark.parametrize("analytic", ["analytic", Analytic()])
def test_analytic_says_how_to_hand_the_gradient_in(analytic):
    with pytest.raises(ValueError, match=r"gradient=jac"):
        minimize(rosenbrock, START, gradient=analytic)


@pytest.mark.parametrize(
    ("gradient", "error", "match"),
    [
        ("backprob", ValueError, "Did you mean 'backprop'"),
        (Backprop, TypeError, r"class; give an object: Backprop\(\)"),
        (None, TypeError, "gradient takes"),
        (False, TypeError, "gradient takes"),
        (3, TypeError, "gradient takes"),
        (Numeric(space="predictions"), ValueError, "predictions"),
        (lambda x: np.zeros(3), ValueError, r"shape of x, \(2,\).*\(3,\)"),
        (lambda x: 0.0, ValueError, r"shape of x, \(2,\).*\(\)"),
        (lambda x: x + 1j, TypeError, "real numbers"),
        (lambda x: ["a", "b"], TypeError, "real numbers"),
        (
            lambda x: np.array([np.nan, 1.0]),
            ValueError,
            "gradient at x0 is not finite: its entry 0",
        ),
    ],
)
def test_unusable_gradients(gradient, error, match):
    with pytest.raises(error, match=match):
        minimize(rosenbrock, START, gradient=gradient)


# ------------------------------------------------------------------------- counts and history


@pytest.mark.parametrize("name", ["sgd", "adam", "rprop", "lbfgs"])
@pytest.mark.parametrize("gradient", ["backprop", "numeric", "by hand", True])
@pytest.mark.parametrize("tol", [1e-6, None])
def test_counts_are_the_true_numbers_of_calls(name, gradient, tol):
    slope = Counted(rosenbrock_slope)
    fun = Counted(value_and_slope("rosenbrock") if gradient is True else rosenbrock)
    result = minimize(
        fun,
        START,
        gradient=slope if gradient == "by hand" else gradient,
        optimizer=name,
        learning_rate=0.001,
        max_iter=60,
        tol=tol,
    )
    assert result.nfev == fun.calls
    per_gradient = 5 if gradient == "numeric" else 1
    assert result.nfev == per_gradient * result.njev
    if gradient == "by hand":
        assert result.njev == slope.calls
    if name in ("sgd", "adam"):  # each point is evaluated once, and so is the last
        assert result.njev == result.nit + 1
    if name == "rprop":  # it rests where the gradient turned, and the point is known
        assert result.njev <= result.nit + 1


@every_optimizer
def test_history(name):
    path = []
    result = minimize(
        booth,
        [0.0, 0.0],
        optimizer=name,
        learning_rate=0.01,
        max_iter=25,
        callback=lambda intermediate_result: path.append(intermediate_result),
    )
    history = result.history
    assert list(history) == ["iteration", "value", "learning_rate", "gradient_norm"]
    assert history["iteration"] == list(range(1, result.nit + 1))
    assert history["value"] == [booth(step.x) for step in path] == [step.fun for step in path]
    assert_allclose(history["gradient_norm"], [np.linalg.norm(booth_slope(p.x)) for p in path])
    assert set(history["learning_rate"]) == {1.0 if name == "lbfgs" else 0.01}
    assert {len(values) for values in history.values()} == {result.nit}


def test_schedule():
    settings = {"optimizer": "sgd", "learning_rate": 0.01, "max_iter": 4, "tol": None}
    rates = [
        minimize(booth, [0.0, 0.0], schedule=schedule, **settings).history["learning_rate"]
        for schedule in ("cosine", Cosine(), lambda step, n_steps: 1 - step / n_steps)
    ]
    assert_allclose(rates[0], 0.01 * (1 + np.cos(np.pi * np.arange(4) / 4)) / 2)
    assert rates[0] == rates[1]
    assert_allclose(rates[2], [0.01, 0.0075, 0.005, 0.0025])
    plateau = minimize(
        lambda x: np.sum(x * 0 + 1.0), [1.0], schedule="plateau", max_iter=9, tol=None
    )
    assert_allclose(plateau.history["learning_rate"], [0.01] * 7 + [0.001] * 2)


# -------------------------------------------------------------------------------- how it ends


def test_ends_where_the_gradient_is_small():
    result = minimize(booth, [0.0, 0.0], learning_rate=0.1, tol=1e-3)
    assert (result.success, result.status) == (True, 0)
    assert "gradient" in result.message
    assert np.abs(result.jac).max() <= 1e-3
    path = []
    minimize(booth, [0.0, 0.0], learning_rate=0.1, tol=1e-3, callback=lambda xk: path.append(xk))
    assert len(path) == result.nit
    assert_array_equal(path[-1], result.x)
    assert all(np.abs(booth_slope(x)).max() > 1e-3 for x in path[:-1])


@every_optimizer
def test_starts_at_the_minimum(name):
    fun = Counted(booth)
    result = minimize(fun, [1.0, 3.0], optimizer=name)
    assert (result.success, result.nit, result.nfev, fun.calls) == (True, 0, 1, 1)
    assert_array_equal(result.x, [1.0, 3.0])
    assert result.history["iteration"] == []


def test_ends_where_the_value_stops_moving():
    result = minimize(bowl, [0.0], optimizer="sgd", learning_rate=0.01)
    assert (result.success, result.status) == (True, 0)
    assert "moved" in result.message
    recent = result.history["value"][-21:]
    assert max(recent) - min(recent) <= 1e-8 * recent[-1]
    before = result.history["value"][-22:-1]
    assert max(before) - min(before) > 1e-8 * before[-1]
    assert_allclose(result.x, [3.0], atol=1e-3)


def test_a_swing_is_no_end():
    """Momentum carries x past the minimum, and the value rises for dozens of iterations."""
    result = minimize(lambda x: np.sum((x - 3.0) ** 2), [0.0], learning_rate=0.1)
    rises = np.diff(result.history["value"]) > 0
    assert rises[39:52].all()
    assert_allclose(result.x, [3.0], atol=1e-8)


def test_keeps_the_best_point_where_the_value_stops_moving():
    def pit(x):  # the first step lands in the pit, the others walk on a plain
        return 1.0 - np.exp(-1e4 * np.sum((x - 1.0) ** 2)) + 0.0 * np.sum(x)

    def towards(x):
        return np.array([-1.0])

    result = minimize(pit, [0.0], gradient=towards, optimizer="sgd", learning_rate=1.0)
    assert result.success and result.nit == 22
    assert_array_equal(result.x, [1.0])
    assert result.fun == 0.0
    assert_array_equal(result.jac, towards(result.x))


@pytest.mark.parametrize("name", RULES)
def test_tol_none_takes_exactly_max_iter_steps(name):
    for start in ([1.0, 3.0], [0.0, 0.0]):
        result = minimize(booth, start, optimizer=name, learning_rate=1e-3, max_iter=40, tol=None)
        assert (result.nit, result.status, result.success) == (40, 1, False)
        assert "max_iter" in result.message
        assert result.fun == result.history["value"][-1] == booth(result.x)


def test_tol_none_keeps_the_last_point_of_a_detour():
    """Two steps of a heavy ball uphill: the steps were asked for, and are taken."""
    start = np.array([0.99, 0.98])
    result = minimize(rosenbrock, start, learning_rate=0.1, max_iter=3, tol=None)
    assert min(result.history["value"]) > 2 * rosenbrock(start)
    assert (result.status, result.nit) == (1, 3)


def test_lbfgs_without_tol_goes_on_to_the_last_digit():
    result = minimize(rosenbrock, START, optimizer="lbfgs", tol=None)
    assert result.success and result.status == 0
    assert_allclose(result.x, [1.0, 1.0], rtol=1e-12)
    assert minimize(rosenbrock, START, optimizer="lbfgs", max_iter=3).status == 1


def test_lbfgs_whose_line_search_fails():
    def uphill(x):
        return -2 * x

    solver = LBFGS(max_line_search=20)
    result = minimize(half_square, [1.0], gradient=uphill, optimizer=solver)
    assert (result.success, result.status) == (False, 3)
    assert_array_equal(result.x, [1.0])


# ----------------------------------------------------------------------------- when it goes wrong


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov"])
def test_divergence(name):
    with pytest.warns(DivergenceWarning, match=r"learning_rate=1 .*for example to 0\.1") as caught:
        result = minimize(rosenbrock, START, optimizer=name, learning_rate=1.0)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert (result.success, result.status) == (False, 2)
    assert "diverged" in result.message
    assert_array_equal(result.x, START)  # no later point is better
    assert_allclose([result.fun, *result.jac], [24.2, -215.6, -88.0])


def test_divergence_restores_the_best_point():
    def schedule(step, n_steps):
        return 1.0 if step < 10 else 1e4

    settings = {"optimizer": "sgd", "learning_rate": 1e-3, "schedule": schedule}
    with pytest.warns(DivergenceWarning):
        result = minimize(rosenbrock, START, **settings)
    assert result.fun == np.nanmin(result.history["value"]) == rosenbrock(result.x)
    ten = minimize(rosenbrock, START, optimizer="sgd", learning_rate=1e-3, max_iter=10)
    assert_array_equal(result.x, ten.x)
    assert_allclose(result.jac, rosenbrock_slope(result.x))


@pytest.mark.parametrize("optimizer", ["adam", "adamax"])
def test_steps_that_never_overflow_but_only_rise(optimizer):
    with pytest.warns(DivergenceWarning):
        result = minimize(booth, [0.9, 3.1], optimizer=optimizer, learning_rate=1e3, max_iter=100)
    assert result.status == 2
    assert_array_equal(result.x, [0.9, 3.1])


def test_a_leap_onto_a_higher_plain_is_no_success():
    def hole(x):
        return np.sum(1.0 - np.exp(-(x**2)))

    with pytest.warns(DivergenceWarning):
        result = minimize(hole, [0.5], optimizer="sgd", learning_rate=1e4)
    assert (result.status, result.nit) == (2, 1)
    assert_array_equal(result.x, [0.5])
    assert result.fun == hole(result.x)


def test_value_that_ceases_to_exist():
    with pytest.warns(DivergenceWarning):
        result = minimize(lambda x: np.sum(np.log(x)), [1.0, 2.0], learning_rate=0.1)
    assert result.status == 2
    assert np.isfinite(result.fun) and (result.x > 0).all()
    with pytest.warns(DivergenceWarning, match="start where fun is finite"):
        minimize(lambda x: np.sum(-np.log(x - 1)) - 1e9 * x[0] ** 3, [1.1], optimizer="lbfgs")


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, StopIteration, ZeroDivisionError])
@pytest.mark.parametrize("where", ["fun", "gradient", "callback"])
def test_what_is_raised_goes_on_up(where, error, optimizer):
    calls = {"fun": 0, "gradient": 0, "callback": 0}

    def called(name):
        calls[name] += 1
        if name == where and calls[name] == 3:
            raise error("here")

    def run():
        return minimize(
            lambda x: called("fun") or rosenbrock(x),
            START,
            gradient=lambda x: called("gradient") or rosenbrock_slope(x),
            optimizer=optimizer,
            callback=lambda xk: called("callback"),
        )

    if where == "callback" and error is StopIteration:
        assert run().status == 99
        return
    with pytest.raises(error) as raised:
        run()
    assert str(raised.value) == "here"
    assert raised.value.__context__ is None
    assert calls[where] == 3  # and nothing was called again


@pytest.mark.parametrize(
    ("x0", "error", "match"),
    [
        ([0.0, np.nan], ValueError, "x0 must be finite; its entry 1 is nan"),
        ([np.inf, 0.0], ValueError, "x0 must be finite; its entry 0 is inf"),
        ([], ValueError, "x0 is empty"),
        ([1j, 0], TypeError, "x0 takes real numbers"),
        (["a"], TypeError, "x0 takes real numbers"),
        (None, TypeError, "x0 takes real numbers"),
    ],
)
def test_unusable_starts(x0, error, match):
    with pytest.raises(error, match=match):
        minimize(half_square, x0)


@pytest.mark.parametrize(
    ("fun", "error", "match"),
    [
        (lambda x: np.sum(np.log(x - 1)), ValueError, r"fun\(x0\) is nan"),
        (lambda x: np.sum(1 / x), ValueError, r"fun\(x0\) is inf"),
        (lambda x: np.sum(np.sqrt(x)), ValueError, "gradient at x0 is not finite: its entry 0 is"),
        (3, TypeError, "fun takes a callable"),
    ],
)
def test_functions_that_cannot_be_started(fun, error, match):
    with pytest.raises(error, match=match):
        minimize(fun, np.zeros(2))


@pytest.mark.parametrize("gradient", ["backprop", "numeric", lambda x: x, True])
@pytest.mark.parametrize(
    ("returned", "error", "match"),
    [
        (lambda x: x, ValueError, r"shape \(2,\)"),
        (lambda x: None, TypeError, "None"),
        (lambda x: "text", TypeError, "text"),
    ],
)
def test_fun_must_return_a_number(returned, error, match, gradient):
    def fun(x):
        return (returned(x), x) if gradient is True else returned(x)

    with pytest.raises(error, match=match):
        minimize(fun, np.ones(2), gradient=gradient)


def test_pairs_are_for_gradient_true():
    with pytest.raises(TypeError, match="gradient=True"):
        minimize(value_and_slope("booth"), np.ones(2), gradient="numeric")
    with pytest.raises(TypeError, match="pair"):
        minimize(booth, np.ones(2), gradient=True)
    with pytest.raises(TypeError, match="real number"):
        minimize(lambda x: 1j, np.ones(2), gradient=lambda x: x)


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"optimizer": "adan"}, ValueError, "Did you mean 'adam'"),
        ({"optimizer": Adam}, TypeError, "give an object"),
        ({"optimizer": Adam(beta_1=2)}, ValueError, "beta_1"),
        ({"learning_rate": 0}, ValueError, "learning_rate"),
        ({"learning_rate": "auto"}, TypeError, "learning_rate takes a number"),
        ({"learning_rate": "cosine"}, TypeError, "schedule='cosine'"),
        ({"schedule": "cosin"}, ValueError, "Did you mean 'cosine'"),
        ({"optimizer": "lbfgs", "schedule": "cosine"}, ValueError, "schedule='constant'"),
        ({"optimizer": "rprop", "schedule": "cosine"}, ValueError, "schedule='constant'"),
        ({"max_iter": 0}, ValueError, "max_iter"),
        ({"max_iter": 1.5}, TypeError, "max_iter"),
        ({"tol": -1}, ValueError, "tol"),
        ({"tol": "x"}, TypeError, "tol"),
        ({"callback": 3}, TypeError, "callback"),
    ],
)
def test_settings_are_checked_before_fun_is_called(settings, error, match):
    fun = Counted(half_square)
    with pytest.raises(error, match=match):
        minimize(fun, [1.0], **settings)
    assert fun.calls == 0


# ---------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("gradient", ["backprop", "numeric", "by hand", True])
def test_args(gradient):
    def fun(x, centre, scale):
        return scale * np.sum((x - centre) ** 2)

    def slope(x, centre, scale):
        return 2 * scale * (x - centre)

    def both(x, *args):
        return fun(x, *args), slope(x, *args)

    result = minimize(
        both if gradient is True else fun,
        np.zeros(2),
        args=(np.array([1.0, -2.0]), 3.0),
        gradient=slope if gradient == "by hand" else gradient,
        optimizer="lbfgs",
    )
    assert_allclose(result.x, [1.0, -2.0], atol=1e-6)
    assert_allclose(minimize(lambda x, c: (x - c) ** 2, 0.0, args=2.0).x, 2.0, atol=1e-6)


@pytest.mark.parametrize("name", ["lion", "adam", "rprop", "lbfgs"])
@pytest.mark.parametrize("gradient", ["backprop", "numeric", "by hand"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (1, 2, 1)])
def test_shapes(shape, gradient, name):
    seen = set()
    target = np.linspace(1.0, 2.0, np.prod(shape, dtype=int)).reshape(shape)

    def fun(x):
        seen.add(np.shape(x))
        return np.sum((x - target) ** 2)

    result = minimize(
        fun,
        np.zeros(shape),
        gradient=(lambda x: 2 * (x - target)) if gradient == "by hand" else gradient,
        optimizer=name,
        learning_rate=0.03,
        max_iter=400,
        callback=lambda xk: seen.add(xk.shape),
    )
    assert seen == {shape}
    assert result.x.shape == result.jac.shape == shape
    assert isinstance(result.fun, float)
    assert_allclose(result.x, target, atol=0.04)


def test_numbers_and_integers_and_lists():
    for x0 in (5, 5.0, np.float64(5), np.int32(5), True):
        result = minimize(lambda x: np.cosh(x - 2), x0, learning_rate=0.1)
        assert result.x.shape == () and result.x.dtype == np.float64
        assert_allclose(float(result.x), 2.0, atol=1e-4)
    assert minimize(half_square, [1, 2], max_iter=2).x.dtype == np.float64


@every_optimizer
def test_float32_stays_float32(name):
    def fun(x):
        seen.add(x.dtype)
        return np.sum((x - np.float32(2)) ** 2)

    seen = set()
    start = np.zeros(3, dtype=np.float32)
    result = minimize(fun, start, optimizer=name, learning_rate=0.1, max_iter=50)
    assert result.x.dtype == result.jac.dtype == np.float32
    assert seen == ({np.dtype("f4"), np.dtype("f8")} if name == "lbfgs" else {np.dtype("f4")})
    assert result.fun == fun(result.x)


def test_x0_is_not_changed_and_nothing_is_shared():
    start, seen = np.array([-1.2, 1.0]), []

    def fun(x):
        value = rosenbrock(x)
        x[:] = 1e9  # rude, but harmless
        return value

    result = minimize(fun, start, gradient=rosenbrock_slope, max_iter=3, callback=seen.append)
    assert_array_equal(start, START)
    clean = minimize(rosenbrock, start, gradient=rosenbrock_slope, max_iter=3)
    assert_array_equal(result.x, clean.x)
    assert not any(np.shares_memory(result.x, x) for x in (*seen, start, result.jac))
    buffer = np.empty(2)

    def into_one_buffer(x):
        buffer[:] = rosenbrock_slope(x)
        return buffer

    reused = minimize(rosenbrock, start, gradient=into_one_buffer, max_iter=3)
    assert_array_equal(reused.x, clean.x)


@every_optimizer
def test_the_same_call_gives_the_same_bits(name):
    settings = {"optimizer": name, "learning_rate": 0.003, "max_iter": 100}
    first, second = (minimize(rosenbrock, START, **settings) for _ in range(2))
    assert first.x.tobytes() == second.x.tobytes()
    assert first.history == second.history


def test_the_optimizer_object_is_not_changed():
    optimizer = Adam(beta_1=0.8)
    before = vars(optimizer).copy()
    minimize(rosenbrock, START, optimizer=optimizer, max_iter=5)
    assert vars(optimizer) == before


def test_no_other_warning_leaks():
    with pytest.warns(DivergenceWarning) as caught:
        minimize(lambda x: np.sum(np.exp(x) - x), [700.0], optimizer="lbfgs", max_iter=3)
    assert len(caught) == 1


# ---------------------------------------------------------------------------------- callbacks


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_callback_conventions(optimizer):
    results, points = [], []

    def told(intermediate_result):
        assert type(intermediate_result) is OptimizeResult
        results.append(intermediate_result)
        intermediate_result.x = None

    def given_x(xk):
        points.append(xk.copy())
        xk[:] = np.nan  # a copy: the search does not see it

    settings = {"optimizer": optimizer, "max_iter": 8}
    quiet = minimize(rosenbrock, START, **settings)
    for callback in (told, given_x, lambda *args: None, [].append):
        loud = minimize(rosenbrock, START, callback=callback, **settings)
        assert_array_equal(loud.x, quiet.x)
    assert [result.fun for result in results] == quiet.history["value"]
    assert [rosenbrock(x) for x in points] == quiet.history["value"]
    assert_array_equal(points[-1], quiet.x)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_callback_stops(optimizer):
    points = []

    def callback(xk):
        points.append(xk)
        if len(points) == 4:
            raise StopIteration

    result = minimize(rosenbrock, START, optimizer=optimizer, callback=callback)
    assert (result.status, result.success, result.nit) == (99, False, 4)
    assert result.message == "`callback` raised `StopIteration`."
    assert_array_equal(result.x, points[-1])
    assert result.fun == rosenbrock(result.x)
    assert_allclose(result.jac, rosenbrock_slope(result.x))
    points.clear()
    theirs = scipy.optimize.minimize(rosenbrock, START, callback=callback)
    assert (theirs.status, theirs.success, theirs.message) == (99, False, result.message)


def test_callback_that_stops_a_detour_keeps_the_last_point():
    def callback(xk):
        raise StopIteration

    start = [0.99, 0.98]
    result = minimize(rosenbrock, start, learning_rate=100.0, callback=callback)
    assert result.status == 99
    assert_allclose(result.x, np.add(start, [-100.0, -100.0]), atol=201)
    assert not np.array_equal(result.x, start)


# ---------------------------------------------------------------- as a method of SciPy's minimize


@every_optimizer
def test_scipy_protocol_gives_the_same_result(name):
    optimizer = OPTIMIZERS[name]()
    options = {"learning_rate": 0.003, "maxiter": 50}
    ours = minimize(rosenbrock, START, optimizer=name, learning_rate=0.003, max_iter=50, tol=1e-3)
    theirs = scipy.optimize.minimize(rosenbrock, START, method=optimizer, tol=1e-3, options=options)
    assert isinstance(theirs, OptimizeResult)
    assert set(theirs) == set(ours)
    for key, value in ours.items():
        assert_array_equal(theirs[key], value)


@pytest.mark.parametrize("optimizer", [Adam(), LBFGS()])
def test_scipy_gradients(optimizer):
    settings = {"method": optimizer, "options": {"learning_rate": 0.1, "max_iter": 100}}
    expected = minimize(
        rosenbrock,
        START,
        gradient=rosenbrock_slope,
        optimizer=optimizer,
        learning_rate=0.1,
        max_iter=100,
    )
    for fun, jac in (
        (rosenbrock, rosenbrock_slope),
        (value_and_slope("rosenbrock"), True),
        (rosenbrock, None),
        (rosenbrock, False),
    ):
        counted = Counted(fun)
        result = scipy.optimize.minimize(counted, START, jac=jac, **settings)
        assert_allclose(result.x, expected.x, atol=1e-8)
        assert result.nfev == counted.calls
    for jac in ("2-point", "3-point", "cs", True, rosenbrock_slope):
        fun = value_and_slope("rosenbrock") if jac is True else rosenbrock
        result = optimizer(fun, START, jac=jac, learning_rate=0.1, max_iter=100)
        assert_allclose(result.x, expected.x, atol=1e-4)


def test_scipy_options():
    def run(optimizer=None, **settings):
        return scipy.optimize.minimize(rosenbrock, START, method=optimizer or SGD(), **settings)

    fun = Counted(rosenbrock)
    options = {"gradient": "numeric", "max_iter": 2, "learning_rate": 1e-4}
    result = scipy.optimize.minimize(fun, START, method=Adam(), options=options)
    assert result.nfev == fun.calls == 15
    falling = run(options={"schedule": "cosine", "maxiter": 2, "learning_rate": 1e-4})
    assert_allclose(falling.history["learning_rate"], [1e-4, 5e-5])
    with pytest.raises(ValueError, match=r"'gradient', 'learning_rate'.*Did you mean 'learning_ra"):
        run(options={"learning_rat": 1})
    with pytest.raises(ValueError, match="Did you mean 'tol'"):
        run(options={"gtol": 1})
    with pytest.raises(ValueError, match="mean the same"):
        run(options={"maxiter": 1, "max_iter": 1})
    with pytest.raises(ValueError, match="Both jac and"):
        run(options={"gradient": "numeric"}, jac=rosenbrock_slope)
    with pytest.raises(ValueError, match="jac='4-point'"):
        Adam()(rosenbrock, START, jac="4-point")
    with pytest.raises(ValueError, match="'L-BFGS-B'"):
        run(bounds=[(0, 1), (0, 1)])
    with pytest.raises(ValueError, match="'SLSQP'"):
        run(constraints=scipy.optimize.LinearConstraint(np.eye(2)))
    with pytest.raises(ValueError, match="'SLSQP'"):
        run(constraints={"type": "eq", "fun": np.sum})
    with pytest.raises(ValueError, match=r"hess.*'trust-exact'"):
        run(hess=scipy.optimize.rosen_hess)
    with pytest.raises(ValueError, match=r"hessp.*'trust-krylov'"):
        run(LBFGS(), hessp=scipy.optimize.rosen_hess_prod)


def test_scipy_callback_and_args():
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result.fun)
        if len(seen) == 3:
            raise StopIteration

    def fun(x, shift):
        return np.sum((x - shift) ** 2)

    for optimizer in (Adam(), LBFGS(memory=1)):
        seen.clear()
        result = scipy.optimize.minimize(
            lambda x, shift: fun(x, shift) ** 1.5 + fun(x, 0.3 * shift),
            np.zeros(3),
            args=(2.0,),
            method=optimizer,
            callback=callback,
        )
        assert result.status == 99 and len(seen) == 3
        assert result.history["value"] == seen


@every_optimizer
def test_being_callable_changes_nothing_for_scikit_learn(name):
    optimizer = OPTIMIZERS[name]()
    assert repr(clone(optimizer)) == repr(optimizer) == f"{OPTIMIZERS[name].__name__}()"
    assert clone(optimizer).get_params() == optimizer.get_params()
    assert repr(pickle.loads(pickle.dumps(optimizer))) == repr(optimizer)


def test_decoupled_decay_pulls_towards_zero():
    settings = {"learning_rate": 0.01, "max_iter": 3_000}
    pulled = minimize(bowl, [0.0], optimizer=AdamW(weight_decay=1.0), **settings)
    free = minimize(bowl, [0.0], optimizer=AdamW(weight_decay=0.0), **settings)
    assert pulled.x[0] < 2.99
    assert_allclose(free.x, 3.0, atol=1e-3)
    assert Rprop()(half_square, [1.0]).x.shape == (1,)
