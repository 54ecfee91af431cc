"""Measured gradients in machine code: against those in NumPy, and the derivative by hand."""

import ctypes
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.utils.estimator_checks import check_sample_weight_equivalence_on_dense_data
from threadpoolctl import threadpool_limits

from skgd import (
    GDClassifier,
    GDRegressor,
    MLPBackpropClassifier,
    MLPBackpropRegressor,
    config_context,
    engine,
)
from skgd.activations import ACTIVATIONS
from skgd.gradients import Numeric
from skgd.losses import LOSSES, SquaredError
from skgd.objective.coordinates import Coordinates
from skgd.optimizers import Adam

pytest.importorskip("numba")

from skgd.compiled import compiler, measurement, values

METHODS = {"2-point": 1 / 2, "3-point": 1 / 3, "richardson": 1 / 5}  # h is eps to this power
HIDDEN = [(), (5,), (4, 3)]


def is_regression(loss):
    return LOSSES[loss].task == "regression"


def problem(loss, hidden, n=37, p=6, n_outputs=1, dtype=np.float64, weighted=False, **settings):
    """An objective, and parameters of which some are above one."""
    rng = np.random.default_rng([n, p, n_outputs])
    X = rng.normal(size=(n, p)).astype(dtype)
    X[:, -2:] = rng.integers(0, 3, size=(n, 2))  # with zeros and equal inputs
    if is_regression(loss):
        y = np.exp(0.5 * rng.normal(size=(n, n_outputs))).squeeze().astype(dtype)
    else:
        y = rng.permutation(np.arange(n) % (n_outputs + 1))
    weight = rng.uniform(0.2, 3.0, size=n) if weighted else None
    if hidden:
        estimator = MLPBackpropRegressor if is_regression(loss) else MLPBackpropClassifier
        settings["hidden_layer_sizes"] = hidden
    else:
        estimator = GDRegressor if is_regression(loss) else GDClassifier
    J = estimator(loss=loss, alpha=0.01, random_state=0, **settings).objective(X, y, weight)
    theta = 0.6 * rng.normal(size=J.x0.shape).astype(dtype)
    return J, theta


def by_engine(name, J, theta, source):
    with config_context(engine=name):
        bound = engine.bind(J._objective, source, theta.dtype, J._batch)
        assert isinstance(bound, engine._OnOwnThreads) == (name == "numba")
        gradient = np.empty_like(theta)
        with np.errstate(all="ignore"):
            return bound(theta, J._batch, gradient), gradient


def assert_alike(J, theta, source):
    """The steps are the same, so only what rounding errs by: a few eps |J| / h."""
    value, expected = by_engine("numpy", J, theta, source)
    got_value, got = by_engine("numba", J, theta, source)
    eps = float(np.finfo(theta.dtype).eps)
    h = source.rel_step or eps ** METHODS[source.method]
    assert_allclose(got_value, value, rtol=20 * eps)
    assert got.dtype == theta.dtype
    assert_allclose(got, expected, rtol=0, atol=20 * eps / h * max(1.0, abs(value)))
    return got


# ------------------------------------------------------------------------ parity with NumPy


def test_every_loss_has_a_kernel():
    assert values.VALUE_KERNELS.keys() == LOSSES.keys()


@pytest.mark.parametrize("hidden", HIDDEN, ids=len)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", LOSSES)
def test_losses(loss, method, hidden):
    for n_outputs, weighted in ((1, False), (3, True)):
        J, theta = problem(
            loss, hidden, n_outputs=n_outputs, weighted=weighted,
            **({"activation": "tanh"} if hidden else {}),
        )  # fmt: skip
        got = assert_alike(J, theta, Numeric(method=method))
        if LOSSES[loss].holomorphic or (LOSSES[loss].smooth and method != "richardson"):
            exact = J.gradient(theta, "analytic")
            error = {"2-point": 2e-6, "3-point": 4e-9, "richardson": 1e-9}[method]
            size = max(np.linalg.norm(exact), abs(J.value(theta)))
            assert np.linalg.norm(got - exact) <= 3 * error * size


@pytest.mark.parametrize("sizes", [(5,), (4, 3)], ids=len)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, method, sizes):
    for loss in ("squared_error", "log_loss"):
        J, theta = problem(loss, sizes, n_outputs=3, activation=activation, weighted=True)
        assert_alike(J, theta, Numeric(method=method))


@pytest.mark.parametrize("hidden", HIDDEN, ids=len)
@pytest.mark.parametrize("loss", LOSSES)
def test_single_precision(loss, hidden):
    J, theta = problem(loss, hidden, n_outputs=3, dtype=np.float32, weighted=True)
    assert_alike(J, theta, Numeric())


@pytest.mark.parametrize("settings", [{"rel_step": 1e-4}, {"noise_level": 1e-6}], ids=str)
def test_steps(settings):
    J, theta = problem("log_loss", (5,), n_outputs=3, activation="tanh")
    source = Numeric(**settings)
    if source.noise_level:  # steps of some (1e-6)^(1/3)
        _, expected = by_engine("numpy", J, theta, source)
        assert_allclose(by_engine("numba", J, theta, source)[1], expected, rtol=0, atol=1e-11)
    else:
        assert_alike(J, theta, source)


@pytest.mark.parametrize("settings", [{"fit_intercept": False}, {"penalty": "l1"}], ids=str)
def test_linear_models(settings):
    for loss in ("squared_error", "log_loss"):
        for n_outputs in (1, 3):
            J, theta = problem(loss, (), n_outputs=n_outputs, **settings)
            assert_alike(J, theta, Numeric())


@pytest.mark.parametrize("hidden", HIDDEN, ids=len)
def test_more_than_fits_at_a_time(hidden, monkeypatch):
    """Parts of the rows, blocks of a part, groups of rows that are added up at a time."""
    J, theta = problem("log_loss", hidden, n=700, n_outputs=3, weighted=True)
    whole = assert_alike(J, theta, Numeric())
    monkeypatch.setattr(measurement, "_NUMBERS", 64)
    monkeypatch.setattr(measurement, "_CHANGES", 1)
    monkeypatch.setattr(measurement, "_ROWS_OF_PART", 30)
    monkeypatch.setattr(measurement, "_MOVES_OF_PART", 100)
    assert_allclose(by_engine("numba", J, theta, Numeric())[1], whole, rtol=1e-6, atol=1e-9)


def test_wide_layers():
    """More units than the queue holds, and equal inputs with steps that differ."""
    J, theta = problem("squared_error", (150, 140), n=20, activation="relu", n_outputs=2)
    theta[::5] *= 5.0
    assert_alike(J, theta / 4, Numeric(method="2-point"))


def test_an_input_that_moves_nothing_has_no_derivative():
    X = np.random.default_rng(0).normal(size=(40, 3))
    X[:, 1] = 0.0
    model = MLPBackpropClassifier((4,), random_state=0, penalty=None)
    J = model.objective(X, np.arange(40) % 3)
    gradient = J.unpack(by_engine("numba", J, J.x0, Numeric())[1])
    assert_array_equal(gradient["coefs[0]"][1], 0.0)
    assert np.all(gradient["coefs[0]"][[0, 2]].any(axis=0))


@pytest.mark.parametrize("K", [1, 2, 5])
@pytest.mark.parametrize("loss", LOSSES)
def test_values(loss, K):
    """The kernels by themselves, also at outputs that exp cannot stand."""
    m, rng = 64, np.random.default_rng(K)
    raw = rng.normal(size=(m, K)) * rng.choice([1e-3, 1.0, 30.0, 600.0], size=(m, 1))
    if is_regression(loss):
        raw, y = np.clip(raw, -600, 600), rng.choice([0.5, 1.0, 2.5], size=(m, K))
    else:
        y = rng.integers(0, 2, size=(m, 1)) if K == 1 else np.eye(K)[rng.integers(0, K, size=m)]
        y = y.astype(float)
    raw[-1] = np.nan
    by_column = [array.T.copy() for array in (y, raw)]
    found = np.zeros(2 * m)
    kernel = ctypes.CFUNCTYPE(
        None, *[ctypes.c_void_p] * 3, *[ctypes.c_ssize_t] * 2, ctypes.c_double
    )(compiler.value_kernel(loss))
    component = LOSSES[loss]()
    settings = list(component.get_params().values())
    pointers = [array.ctypes.data for array in (*by_column, found)]
    kernel(*pointers, K, m, settings[0] if settings else 0.0)
    with np.errstate(all="ignore"):
        expected = component.value(*((y, raw) if K > 1 else (y[:, 0], raw[:, 0])))
    assert np.isnan(found[m - 1])
    scale = 1e-14 * np.abs(raw[:-1]).max(axis=1)
    error = np.abs(found[: m - 1] - expected[:-1])
    assert (error <= 1e-13 * np.abs(expected[:-1]) + scale).all()


# ------------------------------------------------------------------------------ in a training


ESTIMATORS = [GDRegressor, GDClassifier, MLPBackpropRegressor, MLPBackpropClassifier]


def fitted(estimator, **options):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5)) * [1.0, 10.0, 0.1, 1.0, 1.0] + 3.0
    y = X @ [1.0, 0.1, 5.0, -1.0, 0.0]
    classes = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    y = classes if "Classifier" in estimator.__name__ else 100.0 * y
    hidden = {"hidden_layer_sizes": (6,)} if "MLP" in estimator.__name__ else {}
    options = {"gradient": "numeric", "max_iter": 3, "tol": None, "random_state": 0} | options
    return estimator(**hidden | options).fit(X, y, np.linspace(0.5, 2.0, 300))


@pytest.mark.parametrize("optimizer", ["momentum", "adam", "lbfgs"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_training_in_automatic_coordinates(estimator, optimizer):
    found = {}
    for name in ("numpy", "numba"):
        with config_context(engine=name):
            found[name] = fitted(estimator, optimizer=optimizer)
            assert found[name].engine_ == name
    size = np.abs(found["numpy"].parameters_).max()
    difference = np.abs(found["numba"].parameters_ - found["numpy"].parameters_).max()
    assert difference <= 1e-5 * size  # the third step of lbfgs squares what its line search saw
    assert_allclose(found["numba"].loss_curve_, found["numpy"].loss_curve_, rtol=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_same_bits_for_any_number_of_threads(estimator, monkeypatch):
    monkeypatch.setattr(measurement, "_MOVES_OF_PART", 100)
    used = []
    on_threads = measurement._on_threads
    monkeypatch.setattr(
        measurement, "_on_threads", lambda work, n: (used.append(n), on_threads(work, n))
    )
    found = []
    for threads in (1, 2, 3, 1):
        monkeypatch.setattr(measurement, "allowed_threads", lambda threads=threads: threads)
        with config_context(engine="numba"):
            found.append(fitted(estimator, batch_size=None).parameters_)
    assert set(used) == {1, 2, 3}
    for parameters in found[1:]:
        assert_array_equal(parameters, found[0])


def test_a_gradient_outside_of_a_fit_has_the_same_bits_too():
    J, theta = problem("log_loss", (20, 10), n=500, p=60, n_outputs=9)
    found = []
    for limit in (1, 2):
        with threadpool_limits(limit, user_api="blas"):
            found.append(by_engine("numba", J, theta, Numeric())[1])
    assert_array_equal(*found)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_weight_of_two_is_the_row_written_twice(estimator):
    """Adam makes a full step of any derivative, so that rounding must not count."""
    hidden = {}
    if "MLP" in estimator.__name__:  # a difference across a kink of relu is off by more than 1e-7
        hidden = {"hidden_layer_sizes": (8,), "activation": "tanh"}
    model = estimator(gradient="numeric", optimizer="adam", random_state=0, **hidden)
    with config_context(engine="numba"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_sample_weight_equivalence_on_dense_data(estimator.__name__, model)


def test_divergence_is_told():
    with config_context(engine="numba"), pytest.warns(UserWarning, match="diverged"):
        fitted(GDRegressor, learning_rate=1e3, optimizer="sgd", max_iter=200)


# ------------------------------------------------------------------------------ the choice


class MyAdam(Adam):
    pass


class MyError(SquaredError):
    pass


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "numba"),
        ({"gradient": Numeric(method="richardson", noise_level=1e-3)}, "numba"),
        ({"optimizer": MyAdam()}, "numba"),
        ({"gradient": Numeric(method="cs")}, "numpy"),
        ({"gradient": Numeric(method="spsa")}, "numpy"),
        ({"gradient": Numeric(space="predictions")}, "numpy"),
        ({"loss": MyError()}, "numpy"),
        ({"loss": lambda y, raw: (y - raw) ** 2}, "numpy"),
    ],
)
def test_what_is_compiled(options, expected):
    with config_context(engine="numba"):
        assert fitted(GDRegressor, learning_rate=1e-4, **options).engine_ == expected


def test_sparse_rows_are_left_to_numpy():
    rng = np.random.default_rng(0)
    X = sparse.random(50, 4, density=0.5, format="csr", random_state=0)
    with config_context(engine="numba"):
        model = GDRegressor(gradient="numeric", max_iter=2, tol=None)
        assert model.fit(X, rng.normal(size=50)).engine_ == "numpy"


def test_auto_goes_by_sizes_alone(monkeypatch):
    monkeypatch.delenv("SKGD_ENGINE", raising=False)
    monkeypatch.setattr(engine, "_default", None)
    for n, p, hidden, expected in ((50, 4, 3, False), (2000, 64, 100, True)):
        X = np.zeros((n, p))
        J = MLPBackpropClassifier((hidden,), random_state=0).objective(X, np.arange(n) % 10)
        bound = engine.bind(J._objective, Numeric(), X.dtype, J._batch)
        assert isinstance(bound, engine._OnOwnThreads) == expected
    assert J._objective.model.n_parameters == 7510
    assert Coordinates(J._objective.model).identity
