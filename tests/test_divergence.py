"""A training that goes wrong: a warning that helps, and a model that still works."""

import pickle
import re
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.exceptions import DivergenceWarning
from skgd.optimizers import LBFGS, OPTIMIZERS

NETWORKS = (MLPBackpropClassifier, MLPBackpropRegressor)
CLASSIFIERS = (GDClassifier, MLPBackpropClassifier)
RULES = [name for name, row in OPTIMIZERS.items() if row is not LBFGS]

_X, _labels = load_breast_cancer(return_X_y=True)
CLASSES = _X[::4], _labels[::4]  # raw columns: the largest value is about 4000
_X, _amounts = load_diabetes(return_X_y=True, scaled=False)
NUMBERS = _X[::3], _amounts[::3]

each_estimator = pytest.mark.parametrize(
    "cls", [GDRegressor, GDClassifier, MLPBackpropRegressor, MLPBackpropClassifier]
)
each_rule = pytest.mark.parametrize("optimizer", RULES)


def data_for(cls):
    return CLASSES if cls in CLASSIFIERS else NUMBERS


def make(cls, **settings):
    sizes = {"hidden_layer_sizes": (8,)} if cls in NETWORKS else {}
    return cls(**{**sizes, "max_iter": 30, "random_state": 0, **settings})


def train(model, X, y, **keywords):
    """Fit; return the texts of the DivergenceWarnings. No other warning may come, but for the
    notice that the training has not converged."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y, **keywords)
    others = [w for w in caught if not issubclass(w.category, ConvergenceWarning)]
    assert not others, [str(w.message) for w in others]
    return [str(w.message) for w in caught if issubclass(w.category, DivergenceWarning)]


def value(model, X, y):
    """J at the model's parameters."""
    with np.errstate(all="ignore"):
        return model.loss_and_gradient(X, y)[0]


def value_at_start(model, X, y):
    return value(clone(model).initialize(X, y), X, y)


def assert_usable(model, X, y, told, slack=1e-6):
    """Finite; no worse than the start where divergence was told, and nowhere far above it."""
    assert np.isfinite(model.parameters_).all()
    assert np.isfinite(model.score(X, y))
    pickle.loads(pickle.dumps(model)).predict(X)
    assert bool(told) == model.stop_reason_.startswith("diverged")
    J, J_0 = value(model, X, y), value_at_start(model, X, y)
    if told:
        assert J_0 * (1 + slack) >= J, "diverged, and the model is worse than where it began"
    else:
        assert 1e3 * max(abs(J_0), 1.0) >= J, "diverged, and nobody was told"
        if model.stop_reason_.startswith("converged"):
            assert J_0 * (1 + slack) >= J, "it converged, it says, to something worse"


# ----------------------------------------------------------------------------- the contract


@pytest.mark.parametrize("max_iter", [1, 3, 30])
@pytest.mark.parametrize("rate", [1.0, 1e3])
@each_rule
@each_estimator
def test_a_rate_that_is_too_large(cls, optimizer, rate, max_iter):
    X, y = data_for(cls)
    model = make(cls, optimizer=optimizer, learning_rate=rate, max_iter=max_iter)
    told = train(model, X, y)
    assert_usable(model, X, y, told)
    assert model.n_iter_ <= max_iter
    assert len(model.loss_curve_) == len(model.history_["loss"])


@pytest.mark.parametrize("rate", [1e6, 1e100, 1e300])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop"])
@each_estimator
def test_a_rate_that_is_absurd(cls, optimizer, rate):
    X, y = data_for(cls)
    model = make(cls, optimizer=optimizer, learning_rate=rate)
    told = train(model, X, y)
    assert told or optimizer in ("adam", "rmsprop")
    assert_usable(model, X, y, told)


@pytest.mark.parametrize("batch_size", [1, 7, 32])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@each_estimator
def test_divergence_within_the_first_epoch(cls, optimizer, batch_size):
    """Before any epoch is recorded, the last good parameters are those of the start."""
    X, y = data_for(cls)
    model = make(cls, optimizer=optimizer, learning_rate=1e3, batch_size=batch_size, max_iter=5)
    told = train(model, X, y)
    assert_usable(model, X, y, told)


VARIANTS = {
    "early_stopping": {"early_stopping": True},
    "average": {"average": True},
    "average late": {"average": 50},
    "average and early_stopping": {"average": True, "early_stopping": True},
    "l1": {"penalty": "l1"},
    "elasticnet": {"penalty": "elasticnet", "alpha": 1.0},
    "no penalty": {"penalty": None},
    "clip_norm": {"clip_norm": 1.0},
    "cosine": {"schedule": "cosine"},
    "one_cycle": {"schedule": "one_cycle"},
    "plateau": {"schedule": "plateau"},
    "no tol": {"tol": None},
    "patient": {"n_iter_no_change": 25},
    "impatient": {"n_iter_no_change": 1},
    "backprop": {"gradient": "backprop"},
    "analytic": {"gradient": "analytic"},
    "not shuffled": {"shuffle": False, "batch_size": 16},
    "huge alpha": {"alpha": 1e300},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@each_estimator
def test_divergence_with_other_settings(cls, optimizer, variant):
    X, y = data_for(cls)
    model = make(cls, optimizer=optimizer, learning_rate=1e3, **VARIANTS[variant])
    told = train(model, X, y)
    # With rows kept back, `initialize` begins from the statistics of a few rows more.
    assert_usable(model, X, y, told, slack=0.2 if "early_stopping" in variant else 1e-6)


@pytest.mark.parametrize("rate", [1.0, 1e3, 1e30])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lion"])
@each_estimator
def test_divergence_in_float32(cls, optimizer, rate):
    X, y = data_for(cls)
    X = X.astype(np.float32)
    model = make(cls, optimizer=optimizer, learning_rate=rate)
    told = train(model, X, y)
    assert model.parameters_.dtype == np.float32
    assert_usable(model, X, y, told, slack=1e-4)


@pytest.mark.parametrize("loss", ["poisson", "gamma", "squared_epsilon_insensitive", "huber"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("cls", [GDRegressor, MLPBackpropRegressor])
def test_divergence_with_other_losses_of_regression(cls, loss, optimizer):
    X, y = NUMBERS
    model = make(cls, loss=loss, optimizer=optimizer, learning_rate=1e3)
    told = train(model, X, y)
    assert_usable(model, X, y, told)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "modified_huber", "focal"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("cls", [GDClassifier, MLPBackpropClassifier])
def test_divergence_with_other_losses_of_classification(cls, loss, optimizer):
    X, y = CLASSES
    model = make(cls, loss=loss, optimizer=optimizer, learning_rate=1e3)
    told = train(model, X, y)
    assert_usable(model, X, y, told)


def test_bounded_divergence():
    """Adam's steps never overflow: J far above the start is divergence all the same."""
    X, y = NUMBERS
    model = make(GDRegressor, optimizer="adam", learning_rate=1e3, max_iter=200)
    told = train(model, X, y)
    assert told
    assert_usable(model, X, y, told)


def test_a_good_rate_tells_nothing():
    X, y = NUMBERS
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    for optimizer in RULES:
        model = make(GDRegressor, optimizer=optimizer, learning_rate=0.01, max_iter=50)
        told = train(model, X, y)
        assert not told
        assert_usable(model, X, y, told)


def test_going_on_from_the_minimum_is_no_divergence():
    """Mini-batches move a model a little up from its minimum: no reason to call it diverged."""
    X, y = NUMBERS
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    settings = {"learning_rate": 0.05, "optimizer": "sgd", "batch_size": 8, "max_iter": 50}
    model = make(GDRegressor, warm_start=True, **settings)
    for _ in range(5):
        assert not train(model, X, y)
    for _ in range(50):
        with warnings.catch_warnings():
            warnings.simplefilter("error", DivergenceWarning)
            model.partial_fit(X, y)


# ----------------------------------------------------------------------------- what is told


def diverged(cls, optimizer, **settings):
    X, y = data_for(cls)
    model = make(cls, optimizer=optimizer, learning_rate=1e3, **settings)
    told = train(model, X, y)
    if not told:
        pytest.skip("this rule bears this rate")
    return model, told


@each_rule
@each_estimator
def test_the_warning_says_what_to_do(cls, optimizer):
    model, told = diverged(cls, optimizer)
    (message,) = told
    X, _ = data_for(cls)
    assert cls.__name__ in message
    assert re.search(r"epoch \d+", message)
    assert "learning rate 1000" in message
    assert f"{np.abs(X).max():.3g}" in message
    assert re.search(r"learning_rate=[0-9.e+-]*[0-9]", message)
    assert not re.search(r"\. [a-z]|\.\.|, ,|nan|inf\b", message), message
    assert model.stop_reason_.startswith("diverged")


@each_rule
@each_estimator
def test_the_rate_to_try_works(cls, optimizer):
    model, (message,) = diverged(cls, optimizer)
    X, y = data_for(cls)
    rate = float(re.search(r"learning_rate=([0-9.e+-]*[0-9])", message).group(1))
    assert 0 < rate < 1e3
    better = clone(model).set_params(learning_rate=rate, max_iter=200)
    assert not train(better, X, y)
    assert value(better, X, y) < value_at_start(better, X, y)


def test_the_warning_points_to_the_line_of_the_user():
    X, y = NUMBERS
    with pytest.warns(DivergenceWarning) as caught:
        make(GDRegressor, optimizer="sgd", learning_rate=1e3).fit(X, y)
    assert {w.filename for w in caught if w.category is DivergenceWarning} == {__file__}


def test_the_warning_can_be_made_an_error():
    X, y = NUMBERS
    model = make(GDRegressor, optimizer="sgd", learning_rate=1e3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DivergenceWarning)
        with pytest.raises(DivergenceWarning):
            model.fit(X, y)
    model.predict(X)
    assert issubclass(DivergenceWarning, ConvergenceWarning)


# ----------------------------------------------------------------------------- searches


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "lion", "rprop"])
@each_estimator
def test_a_search_over_rates(cls, optimizer):
    X, y = data_for(cls)
    grid = {"learning_rate": np.logspace(-4, 3, 8)}
    model = make(cls, optimizer=optimizer, max_iter=15)
    search = GridSearchCV(model, grid, cv=2, error_score="raise")
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert np.isfinite(search.best_estimator_.predict(X)).all()


# ----------------------------------------------------------------------------- partial_fit


def partial(model, X, y, times):
    """Pass over the data `times` times; return the reasons to stop."""
    keywords = {"classes": np.unique(y)} if type(model) in CLASSIFIERS else {}
    reasons = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(times):
            model.partial_fit(X, y, **keywords)
            reasons.append(model.stop_reason_)
    assert all(issubclass(w.category, ConvergenceWarning) for w in caught)
    told = [w for w in caught if issubclass(w.category, DivergenceWarning)]
    assert len(told) == sum(reason.startswith("diverged") for reason in reasons)
    return reasons


@pytest.mark.parametrize("rate", [1e3, 1e200])
@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop"])
@each_estimator
def test_divergence_in_partial_fit(cls, optimizer, batch_size, rate):
    X, y = data_for(cls)
    settings = {"batch_size": batch_size, "optimizer": optimizer}
    model = make(cls, learning_rate=rate, **settings)
    reasons = partial(model, X, y, 15)
    assert np.isfinite(model.parameters_).all()
    if rate == 1e200:
        assert any(reason.startswith("diverged") for reason in reasons)
    if reasons[-1].startswith("diverged"):
        assert value(model, X, y) <= value_at_start(model, X, y) * (1 + 1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop"])
@each_estimator
def test_partial_fit_goes_on_after_a_divergence(cls, optimizer):
    """A nan in the optimizer's memory must not spoil every later step."""
    X, y = data_for(cls)
    model = make(cls, optimizer=optimizer, learning_rate=1e200)
    for _ in range(20):
        (reason,) = partial(model, X, y, 1)
        if reason.startswith("diverged"):
            break
    before = value(model, X, y)
    model.set_params(learning_rate=1e-9 if optimizer in ("sgd", "momentum") else 1e-5)
    reasons = partial(model, X, y, 5)
    assert not any(reason.startswith("diverged") for reason in reasons)
    assert value(model, X, y) < before


# ----------------------------------------------------------------------------- warm starts


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@each_estimator
def test_a_warm_start_that_diverges_keeps_what_was_learned(cls, optimizer):
    X, y = data_for(cls)
    model = make(cls, optimizer="lbfgs", warm_start=True)
    train(model, X, y)
    learned = value(model, X, y)
    model.set_params(optimizer=optimizer, learning_rate=1e3)
    told = train(model, X, y)
    assert np.isfinite(model.parameters_).all()
    if told:
        assert value(model, X, y) <= learned * (1 + 1e-6)
    else:
        assert value(model, X, y) <= 1e3 * max(learned, 1.0)


@each_estimator
def test_a_fit_after_a_divergence_is_as_good_as_new(cls):
    X, y = data_for(cls)
    model = make(cls, optimizer="momentum", learning_rate=1e3)
    train(model, X, y)
    settings = {"learning_rate": "auto", "optimizer": "adam"}
    train(model.set_params(**settings), X, y)
    fresh = make(cls, **settings)
    train(fresh, X, y)
    np.testing.assert_array_equal(model.parameters_, fresh.parameters_)


# ----------------------------------------------------------------------------- lbfgs


def test_lbfgs_that_begins_where_the_loss_overflows():
    X, y = NUMBERS
    model = make(GDRegressor, loss="poisson", optimizer="lbfgs", warm_start=True)
    model.initialize(X, y, parameters=np.full(X.shape[1] + 1, 100.0))
    told = train(model, X, y)
    assert np.isfinite(model.parameters_).all()
    for message in told:
        assert not re.search(r"\. [a-z]", message), message
        assert model.stop_reason_.startswith("diverged")


@pytest.mark.parametrize("loss", ["poisson", "gamma", "squared_error"])
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("cls", [GDRegressor, MLPBackpropRegressor])
def test_lbfgs_on_columns_where_exp_overflows(cls, loss, scale):
    X, y = NUMBERS
    # a network has random weights in the coordinates of X: there exp overflows at the start
    rate = 0.1 if cls is GDRegressor else "auto"
    model = make(cls, loss=loss, optimizer="lbfgs", learning_rate=rate)
    told = train(model, X * scale, y)
    assert_usable(model, X * scale, y, told)


# ----------------------------------------------------------------------------- interrupts


def interrupting(at, error=KeyboardInterrupt):
    def schedule(step, n_steps):
        if step == at:
            raise error
        return 1.0

    return schedule


INTERRUPTED = {
    "full batch": {},
    "mini-batches": {"batch_size": 8},
    "average": {"average": True},
    "early_stopping": {"early_stopping": True},
    "l1": {"penalty": "l1"},
    "backprop": {"gradient": "backprop"},
}


@pytest.mark.parametrize("settings", INTERRUPTED)
@pytest.mark.parametrize("at", [0, 1, 12])
@each_estimator
def test_an_interrupt_keeps_what_was_learned(cls, at, settings):
    X, y = data_for(cls)
    model = make(cls, schedule=interrupting(at), optimizer="adam", **INTERRUPTED[settings])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert "interrupt" in model.stop_reason_
    assert np.isfinite(model.parameters_).all()
    assert np.isfinite(model.score(X, y))
    assert len(model.loss_curve_) == model.n_iter_ == len(model.history_["learning_rate"])
    if at == 12:
        assert model.t_ > 0
        assert value(model, X, y) < value_at_start(model, X, y)
    model.set_params(schedule="constant")
    train(model, X, y)
    fresh = make(cls, schedule="constant", optimizer="adam", **INTERRUPTED[settings])
    train(fresh, X, y)
    np.testing.assert_array_equal(model.parameters_, fresh.parameters_)


@each_estimator
def test_an_interrupt_of_a_training_that_diverges(cls):
    """The interrupt came before the divergence was told: the best parameters so far are kept."""
    X, y = data_for(cls)
    model = make(cls, optimizer="sgd", learning_rate=1e3, schedule=interrupting(5))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert "interrupt" in model.stop_reason_
    assert np.isfinite(model.parameters_).all()
    assert value(model, X, y) <= value_at_start(model, X, y) * (1 + 1e-6)


@each_estimator
def test_an_interrupt_in_partial_fit(cls):
    X, y = data_for(cls)
    keywords = {"classes": np.unique(y)} if cls in CLASSIFIERS else {}
    passes = 12 // -(-len(X) // 16)
    model = make(cls, batch_size=16, schedule=interrupting(12))
    for _ in range(passes):
        model.partial_fit(X, y, **keywords)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X, y, **keywords)
    assert "interrupt" in model.stop_reason_
    assert np.isfinite(model.parameters_).all()
    model.set_params(schedule="constant")
    partial(model, X, y, 2)
    assert np.isfinite(model.score(X, y))


SCRIPT = """
import numpy as np
from skgd import {name}
rng = np.random.default_rng(0)
X = rng.normal(size=(2000, 20))
y = X[:, 0] > 0
def schedule(step, n_steps):
    if step == 200:
        print("training", flush=True)
    return 1.0
model = {name}(max_iter=10**6, tol=None, learning_rate=0.05, random_state=0,
    schedule=schedule{settings})
try:
    model.fit(X, y)
except KeyboardInterrupt:
    print("interrupted", model.stop_reason_, flush=True)
    assert model.n_iter_ > 0 and np.isfinite(model.parameters_).all()
    assert model.score(X, y) > 0.9
    print("usable", flush=True)
"""


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("GDClassifier", ""),
        ("MLPBackpropClassifier", ", hidden_layer_sizes=(16,)"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a child")
def test_control_c(name, settings):
    command = [sys.executable, "-c", SCRIPT.format(name=name, settings=settings)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline().strip() == "training"
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert "interrupted" in out and "usable" in out, (out, err)
