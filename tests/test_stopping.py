"""The ends of a training: steps, gradients, time, evaluations; and what its history holds."""

import pickle
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import Ridge

import skgd
from skgd import (
    GDClassifier,
    GDRegressor,
    MLPBackpropClassifier,
    MLPBackpropRegressor,
    descent,
)
from skgd.callbacks import Callback, RecordPath
from skgd.schedules import PerEpoch, Plateau, Schedule, Warmup

X, y = load_iris(return_X_y=True)
MODELS = [GDClassifier(), GDRegressor(), MLPBackpropClassifier((5,)), MLPBackpropRegressor((5,))]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
every_engine = pytest.mark.parametrize("engine", ["numpy", "numba"])
every_optimizer = pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])


@pytest.fixture(autouse=True)
def set_engine(request):
    engine = getattr(request.node, "callspec", None) and request.node.callspec.params.get("engine")
    if engine == "numba":
        pytest.importorskip("numba")
    with skgd.config_context(engine=engine or "auto"):
        yield


def made(model, **settings):
    return clone(model).set_params(**{"max_iter": 400, "tol": None, "random_state": 0} | settings)


@every_engine
@every_model
def test_small_steps_end_the_training(model, engine):
    record = RecordPath()
    model = made(model, step_tol=1e-2).set_callbacks(record).fit(X, y)
    steps = np.linalg.norm(np.diff(record.path_, axis=0), axis=1)
    relative = steps / np.linalg.norm(record.path_[1:], axis=1)
    assert model.n_iter_ < 400 and "step_tol" in model.stop_reason_
    assert relative[-1] <= 1e-2 and (relative[:-1] > 1e-2).all()


@every_engine
@every_optimizer
def test_small_gradients_end_the_training(optimizer, engine):
    """At a number as rate the coordinates are theta: the norm is that of dJ/dtheta itself."""
    model = made(GDRegressor(), optimizer=optimizer, gradient_tol=0.05, max_iter=10**4)
    model.set_params(learning_rate=0.01, batch_size=None).fit(X, y)
    norms = np.array(model.history_["gradient_norm"])
    assert "gradient_tol" in model.stop_reason_
    assert norms[-1] <= 0.05 and (norms[:-1] > 0.05).all()
    _, gradient = model.loss_and_gradient(X, y)
    assert np.linalg.norm(gradient) < 0.06


@every_engine
@pytest.mark.parametrize(
    "settings",
    [{}, {"clip_norm": 0.1}, {"clip_value": 0.01}, {"clip_value": 0.02, "clip_norm": 0.05},
     {"penalty": "l1", "alpha": 0.05}],
)  # fmt: skip
def test_gradient_norm_is_that_of_the_last_batch(settings, engine):
    """Full batch: the norm of each epoch is that at the parameters before it."""
    record = RecordPath()
    model = made(MLPBackpropClassifier((5,)), max_iter=5, learning_rate=0.05, batch_size=None)
    model.set_params(**settings).set_callbacks(record).fit(X, y)
    objective = model.objective(X, y)
    for theta, norm in zip(record.path_[:-1], model.history_["gradient_norm"], strict=True):
        gradient = objective.gradient(theta)
        if "penalty" in settings:  # |w| has no derivative at 0: what is left of it there
            left = np.sign(gradient) * np.maximum(np.abs(gradient) - settings["alpha"], 0)
            at_zero = (theta == 0) & (np.arange(theta.size) < theta.size - 8)  # 8 intercepts
            gradient = np.where(at_zero, left, gradient)
        assert_allclose(np.linalg.norm(gradient), norm, rtol=1e-9)


@every_engine
@pytest.mark.parametrize("optimizer", ["nesterov", "lbfgs"])
@pytest.mark.parametrize("settings", [{"penalty": "l1", "alpha": 1.0}, {"constraint": "positive"}])
def test_gradient_norm_falls_to_zero_at_any_minimum(settings, optimizer, engine):
    """At weights that are 0 by L1, or at a bound, the gradient itself never does."""
    X, y = load_diabetes(return_X_y=True)
    model = GDRegressor(optimizer=optimizer, batch_size=None, tol=1e-12, max_iter=20_000)
    model.set_params(gradient_tol=1e-3, n_iter_no_change=1000, **settings).fit(X, y)
    assert model.history_["gradient_norm"][-1] < 1e-1 < 500 < model.history_["gradient_norm"][0]
    if optimizer == "nesterov":
        assert "gradient_tol" in model.stop_reason_
    smooth = model.objective(X, y)
    assert np.linalg.norm(smooth.gradient(smooth.x0)) > 0.5  # what is left at the zeros


@every_optimizer
@every_model
def test_evaluations_end_the_training(model, optimizer):
    model = made(model, optimizer=optimizer, max_evals=7).fit(X, y)
    assert "max_evals" in model.stop_reason_
    assert 7 <= model.n_loss_evaluations_ <= 9  # a line search takes two at a time
    numeric = made(GDRegressor(), gradient="numeric", max_evals=100).fit(X, y)
    assert 100 <= numeric.n_loss_evaluations_ < 100 + 2 * (X.shape[1] + 1) + 1


@every_engine
@every_model
def test_time_ends_the_training(model, engine):
    start = time.perf_counter()
    model = made(model, max_time=0.2, max_iter=10**7).fit(X, y)
    assert 0.2 <= time.perf_counter() - start < 30
    assert "max_time" in model.stop_reason_ and model.history_["seconds"][-1] >= 0.2
    assert model.history_["seconds"][-2] < 0.2


def test_limits_without_effect_change_nothing():
    far = {"max_time": 1e6, "max_evals": 10**9, "step_tol": 0, "gradient_tol": 0}
    one = made(GDClassifier(), max_iter=20).fit(X, y)
    two = made(GDClassifier(), max_iter=20, **far).fit(X, y)
    assert one.parameters_.tolist() == two.parameters_.tolist()


def test_a_small_gradient_means_the_minimum():
    X, y = load_diabetes(return_X_y=True)
    model = GDRegressor(batch_size=None, gradient_tol=1e-7, tol=None, max_iter=10**5).fit(X, y)
    exact = Ridge(alpha=1e-3 * len(y)).fit(X, y)
    assert "gradient_tol" in model.stop_reason_
    assert_allclose(model.coef_, exact.coef_, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"step_tol": -1.0}, ValueError),
        ({"gradient_tol": "small"}, TypeError),
        ({"max_time": 0}, ValueError),
        ({"max_evals": 0}, ValueError),
        ({"max_evals": 2.5}, TypeError),
    ],
)
@every_model
def test_limits_are_checked(model, settings, error):
    with pytest.raises(error, match=next(iter(settings))):
        made(model, **settings).fit(X, y)


@every_engine
@every_model
def test_reasons_are_sentences_and_seconds_rise(model, engine):
    model = made(model, max_iter=5).fit(X, y)
    assert model.stop_reason_.startswith("max_iter reached: ")
    assert (np.diff(model.history_["seconds"]) > 0).all()
    assert list(model.history_) == ["epoch", "loss", "learning_rate", "gradient_norm", "seconds"]


def test_seconds_go_on_from_pass_to_pass():
    model = GDClassifier()
    for _ in range(4):
        model.partial_fit(X, y, classes=[0, 1, 2])
    assert (np.diff(model.history_["seconds"]) > 0).all() and model.n_iter_ == 4


# ------------------------------------------------------------------------ rates epoch by epoch


@every_engine
@every_model
def test_per_epoch_is_told_of_epochs(model, engine):
    told = []

    def factor(epoch, n_epochs):
        told.append((epoch, n_epochs))
        return 1 / (1 + epoch)

    model = made(model, schedule=PerEpoch(factor), learning_rate=0.05, batch_size=20, max_iter=6)
    model.fit(X, y)
    assert set(told) == {(epoch, 6) for epoch in range(6)}
    assert_allclose(model.history_["learning_rate"], 0.05 / np.arange(1, 7), rtol=1e-14)


def test_per_epoch_goes_on_in_partial_fit():
    model = GDClassifier(schedule=PerEpoch(lambda epoch, _: 0.5**epoch), learning_rate=0.4)
    for _ in range(3):
        model.partial_fit(X, y, classes=[0, 1, 2])
    assert model.history_["learning_rate"] == [0.4, 0.2, 0.1]
    with pytest.raises(ValueError, match="n_steps"):
        GDClassifier(schedule=PerEpoch("cosine")).partial_fit(X, y, classes=[0, 1, 2])


@every_engine
def test_per_epoch_moves_the_momentum_too(engine):
    """One step an epoch: epochs and steps are the same, so both must learn the same."""
    settings = {"optimizer": "nesterov", "learning_rate": 0.05, "batch_size": None, "max_iter": 9}
    by_step = made(GDClassifier(), schedule="one_cycle", **settings).fit(X, y)
    by_epoch = made(GDClassifier(), schedule=PerEpoch("one_cycle"), **settings).fit(X, y)
    assert by_step.parameters_.tolist() == by_epoch.parameters_.tolist()


def test_the_clock_starts_with_the_first_epoch(monkeypatch):
    """Making the steps ready may mean to compile them: no time limit is for that."""
    make = descent.Epochs.__init__

    def slowly(*args):
        time.sleep(0.5)
        make(*args)

    monkeypatch.setattr(descent.Epochs, "__init__", slowly)
    with skgd.config_context(engine="numpy"):
        model = made(GDClassifier(), max_time=0.4, max_iter=3).fit(X, y)
    assert model.n_iter_ == 3 and model.history_["seconds"][-1] < 0.4


@every_engine
@every_model
def test_passes_go_on_after_ctrl_c(model, engine):
    """What was counted before the interruption counts: epochs, samples, the optimizer's steps."""

    class CtrlC(Callback):
        def after_epoch(self, state, model, X, y, metadata):
            if model.n_iter_ == 3:
                raise KeyboardInterrupt

    whole = made(model, max_iter=3, schedule="constant").fit(X, y)
    model = made(model, max_iter=9, schedule="constant").set_callbacks(CtrlC())
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.n_iter_ == 3 and "interrupted" in model.stop_reason_
    assert_array_equal(model.parameters_, whole.parameters_)
    model.partial_fit(X, y)
    assert model.n_iter_ == 4 and model.t_ == 4 * len(y) and len(model.loss_curve_) == 4
    assert_array_equal(model.parameters_, whole.partial_fit(X, y).parameters_)


class FailsAt(Schedule):
    def __init__(self, step):
        self.step = step

    def __call__(self, step, n_steps, losses=()):
        if step == self.step:
            raise RuntimeError("no rate")
        return 1.0


@every_model
def test_a_pass_that_fails_without_a_step_changes_nothing(model):
    model = made(model, schedule=FailsAt(3), batch_size=None)
    first = {"classes": [0, 1, 2]} if hasattr(model, "class_weight") else {}
    for _ in range(3):
        model.partial_fit(X, y, **first)
    attributes, before = dict(vars(model)), pickle.dumps(model)
    with pytest.raises(RuntimeError, match="no rate"):
        model.partial_fit(X, y)
    assert vars(model).keys() == attributes.keys()
    assert all(vars(model)[name] is value for name, value in attributes.items())
    assert pickle.dumps(model) == before
    again = pickle.loads(before).set_params(schedule="constant").partial_fit(X, y)
    model.set_params(schedule="constant").partial_fit(X, y)
    assert_array_equal(model.parameters_, again.parameters_)
    assert model.n_iter_ == 4


@every_engine
def test_plateau_after_a_rise_is_asked_once_for_each_epoch(engine):
    asked = []

    class Counted(Plateau):
        def __call__(self, step, n_steps, losses=()):
            asked.append(len(losses))
            return super().__call__(step, n_steps, losses)

    settings = {"learning_rate": 0.5, "batch_size": 10, "max_iter": 30}
    plain = Warmup(Plateau(patience=1, factor=0.5), steps=20)
    counted = Warmup(Counted(patience=1, factor=0.5), steps=20)
    model = made(GDClassifier(), schedule=counted, **settings).fit(X, y)
    assert asked == list(range(1, 30))  # the rise takes the first epoch, and a part of the second
    rates = model.history_["learning_rate"]
    expected = [0.5 * plain(15 * n - 1, None, model.loss_curve_[: n - 1]) for n in range(1, 31)]
    assert rates == expected and min(rates[2:]) < 0.5
