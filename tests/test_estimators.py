"""What the four estimators promise beyond the gradient: shapes, state, stopping, sameness."""

import math
import pickle
import tracemalloc
from itertools import pairwise

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.preprocessing import scale
from sklearn.utils import compute_class_weight
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.exceptions import DivergenceWarning
from skgd.losses import losses_for
from skgd.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, Optimizer
from skgd.schedules import SCHEDULES, Exponential, InvScaling, StepDecay

ESTIMATORS = (GDRegressor, GDClassifier, MLPBackpropRegressor, MLPBackpropClassifier)
CLASSIFIERS = (GDClassifier, MLPBackpropClassifier)
RULES = [name for name, row in OPTIMIZERS.items() if issubclass(row, Optimizer)]
MINI_BATCH_RULES = [name for name in RULES if not OPTIMIZERS[name].full_batch_only]
FULL_BATCH_RULES = [name for name in RULES if OPTIMIZERS[name].full_batch_only]

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


def make(estimator, **settings):
    if issubclass(estimator, (MLPBackpropRegressor, MLPBackpropClassifier)):
        settings = {"hidden_layer_sizes": (4,), "activation": "tanh"} | settings
    return estimator(**{"random_state": 0} | settings)


def untimed(history):
    return {name: values for name, values in history.items() if name != "seconds"}


def data(estimator, n=60, p=4, seed=0, n_classes=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = X @ np.linspace(-2, 2, p) + 0.5 * rng.normal(size=n)
    if issubclass(estimator, CLASSIFIERS):
        y = np.searchsorted(np.quantile(y, np.arange(1, n_classes) / n_classes), y)
    return X, y


def noise(estimator, n=60, p=40, seed=0):
    """Data on which one only overfits: the validation score has its best early."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, p)), rng.normal(size=n)
    return X, ((y > 0).astype(int) if issubclass(estimator, CLASSIFIERS) else y)


# ------------------------------------------------------------------------------------ shapes


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_shapes_of_linear_models(fit_intercept):
    X, y = data(GDRegressor)
    Y = np.column_stack([y, -y, 2 * y])
    kinds = X @ [1, 2, 3, 4] > 0
    model = GDRegressor(max_iter=2, tol=None, fit_intercept=fit_intercept)
    expected = [(y, (4,), (1,)), (Y, (3, 4), (3,)), (Y[:, :2], (2, 4), (2,))]
    for target, coef, intercept in expected:
        model.fit(X, target)
        assert model.coef_.shape == coef and model.intercept_.shape == intercept
        assert model.predict(X).shape == target.shape
        by_hand = X @ model.coef_.T + (model.intercept_ if target.ndim > 1 else model.intercept_[0])
        assert_allclose(model.predict(X), by_hand, rtol=1e-12, atol=1e-12)
    classifier = GDClassifier(max_iter=2, tol=None, fit_intercept=fit_intercept)
    for target, k in ((kinds, 1), (np.digitize(y, [-1, 1]), 3)):
        classifier.fit(X, target)
        assert classifier.coef_.shape == (k, 4) and classifier.intercept_.shape == (k,)
        raw = classifier.decision_function(X)
        assert raw.shape == ((60,) if k == 1 else (60, 3))
        by_hand = X @ classifier.coef_.T + classifier.intercept_
        assert_allclose(raw, by_hand.ravel() if k == 1 else by_hand, rtol=1e-12, atol=1e-12)
        assert classifier.predict_proba(X).shape == (60, max(k, 2))
    if not fit_intercept:
        assert_array_equal(model.intercept_, 0)
        assert_array_equal(classifier.intercept_, 0)
        assert model.parameters_.shape == (8,)


@pytest.mark.parametrize("hidden", [(), 5, (5,), (5, 3), [5, 3, 2]])
def test_shapes_of_networks(hidden):
    X, y = data(MLPBackpropClassifier)
    sizes = [hidden] if isinstance(hidden, int) else list(hidden)
    cases = [
        (MLPBackpropClassifier, y, 3, "softmax"),
        (MLPBackpropClassifier, y > 0, 1, "logistic"),
        (MLPBackpropRegressor, X[:, 0], 1, "identity"),
        (MLPBackpropRegressor, X[:, :2], 2, "identity"),
    ]
    for estimator, target, k, link in cases:
        model = estimator(hidden, max_iter=2, tol=None, random_state=0).fit(X, target)
        units = [4, *sizes, k]
        assert [W.shape for W in model.coefs_] == list(pairwise(units))
        assert [b.shape for b in model.intercepts_] == [(size,) for size in units[1:]]
        assert model.n_layers_ == len(units) and model.n_outputs_ == k
        assert model.out_activation_ == link


@every_estimator
def test_parameters_are_the_arrays_in_a_row(estimator):
    X, y = data(estimator)
    model = make(estimator, max_iter=3, tol=None).fit(X, y)
    if hasattr(model, "coefs_"):
        arrays = [*model.coefs_, *model.intercepts_]
    else:
        arrays = [model.coef_, model.intercept_]
    assert_array_equal(model.parameters_, np.concatenate([a.ravel() for a in arrays]))
    before = model.predict(X)
    theta = model.parameters_
    theta[:] = 0  # a copy
    assert_array_equal(model.predict(X), before)
    arrays[0][...] = 0  # the stored truth
    assert_array_equal(model.parameters_[: arrays[0].size], 0)
    assert not np.array_equal(make(estimator).fit(X, y).parameters_, theta)


@every_estimator
def test_not_fitted(estimator):
    X, y = data(estimator)
    model = make(estimator)
    for ask in (
        model.predict,
        lambda X: model.parameters_,
        lambda X: model.loss_and_gradient(X, y),
    ):
        with pytest.raises(NotFittedError):
            ask(X)


# ------------------------------------------------------------------- input: dtype, CSR, memory


@every_estimator
@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_float32_stays_float32(estimator, csr, optimizer):
    X, y = data(estimator)
    w = np.random.default_rng(0).uniform(0.1, 2, size=60)
    X = X.astype(np.float32)
    X = sparse.csr_matrix(X) if csr else X
    settings = {"class_weight": "balanced"} if issubclass(estimator, CLASSIFIERS) else {}
    model = make(estimator, optimizer=optimizer, max_iter=5, tol=None, **settings).fit(X, y, w)
    arrays = [model.parameters_, *getattr(model, "coefs_", []), *getattr(model, "intercepts_", [])]
    arrays += [model.coef_, model.intercept_] if hasattr(model, "coef_") else []
    arrays.append(model.loss_and_gradient(X, y, w)[1])
    if issubclass(estimator, CLASSIFIERS):
        arrays += [model.predict_proba(X), model.decision_function(X), model.predict_log_proba(X)]
    else:
        arrays.append(model.predict(X))
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    if OPTIMIZERS[optimizer] is not LBFGS and not OPTIMIZERS[optimizer].full_batch_only:
        model.partial_fit(X, y) if not settings else model.set_params(
            class_weight=None
        ).partial_fit(X, y)
        assert model.parameters_.dtype == np.float32
    assert model.predict(X.astype(np.float64)).shape == (60,)


@pytest.mark.parametrize("loss", [*losses_for("regression"), *losses_for("classification")])
def test_float32_stays_float32_for_every_loss(loss):
    estimator = GDRegressor if loss in losses_for("regression") else GDClassifier
    X, y = data(estimator)
    X, y = X.astype(np.float32), (np.exp(y / 4) if estimator is GDRegressor else y)
    for gradient in ("analytic", "backprop", "numeric"):
        model = estimator(loss, gradient=gradient, max_iter=3, tol=None).fit(X, y)
        assert model.coef_.dtype == np.float32
        out = model.decision_function(X) if estimator is GDClassifier else model.predict(X)
        assert out.dtype == np.float32


@every_estimator
def test_float32_learns_what_float64_learns(estimator):
    X, y = data(estimator)
    single = make(estimator, max_iter=30, tol=None).fit(X.astype(np.float32), y)
    double = make(estimator, max_iter=30, tol=None).fit(X, y)
    ask = "predict_proba" if issubclass(estimator, CLASSIFIERS) else "predict"
    outputs = [getattr(model, ask)(X) for model in (single, double)]
    assert_allclose(*outputs, rtol=1e-3, atol=1e-2 * np.abs(outputs[1]).max())


@every_estimator
@pytest.mark.parametrize("learning_rate", ["auto", 0.05])
@pytest.mark.parametrize("gradient", ["analytic", "backprop"])
def test_csr_equals_dense(estimator, learning_rate, gradient):
    X, y = data(estimator)
    X[np.abs(X) < 0.7] = 0
    settings = {"learning_rate": learning_rate, "gradient": gradient, "batch_size": 16}
    dense = make(estimator, max_iter=20, tol=None, **settings).fit(X, y)
    for kind in (sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        other = make(estimator, max_iter=20, tol=None, **settings).fit(kind(X), y)
        assert_allclose(other.parameters_, dense.parameters_, rtol=1e-8, atol=1e-8)
        assert_allclose(other.loss_curve_, dense.loss_curve_, rtol=1e-8)
        assert_allclose(dense.predict(kind(X)), dense.predict(X), rtol=1e-10)
    partial = make(estimator, **settings)
    classes = {"classes": np.unique(y)} if issubclass(estimator, CLASSIFIERS) else {}
    partial.partial_fit(sparse.csr_matrix(X), y, **classes)
    assert_allclose(
        partial.parameters_,
        make(estimator, **settings).partial_fit(X, y, **classes).parameters_,
        rtol=1e-8,
        atol=1e-8,
    )


@every_estimator
@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_input_is_not_modified(estimator, csr, batch_size):
    X, y = data(estimator)
    X = sparse.csr_matrix(X) if csr else X
    w = np.linspace(0, 2, 60)
    kept = [(X.data if csr else X).copy(), y.copy(), w.copy()]
    for a in (X.data if csr else X, y, w):
        a.flags.writeable = False
    model = make(estimator, max_iter=3, batch_size=batch_size, average=True, clip_norm=1.0)
    model.fit(X, y, w)
    model.partial_fit(X, y, sample_weight=w)
    model.predict(X)
    model.loss_and_gradient(X, y, w)
    for a, b in zip([X.data if csr else X, y, w], kept, strict=True):
        assert_array_equal(a, b)


@every_estimator
@pytest.mark.parametrize("learning_rate", ["auto", 0.01])
def test_no_copy_of_the_data(estimator, learning_rate):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 28))
    y = X[:, 0] + rng.normal(size=100_000)
    if issubclass(estimator, CLASSIFIERS):
        y = (y > 0).astype(int)
    model = make(estimator, learning_rate=learning_rate, batch_size=256, max_iter=2, tol=None)
    model.fit(X[:1000], y[:1000])
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.1 * X.nbytes


@every_estimator
def test_no_copy_of_the_data_for_early_stopping(estimator):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, 50))
    y = X[:, 0] > 0 if issubclass(estimator, CLASSIFIERS) else X[:, 0]
    model = make(estimator, early_stopping=True, batch_size=256, max_iter=1, tol=None)
    model.fit(X[:1000], y[:1000])
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * X.nbytes  # a tenth of the rows is kept back


# -------------------------------------------------------------------------------- partial_fit


@every_estimator
@pytest.mark.parametrize("optimizer", MINI_BATCH_RULES)
def test_partial_fit_goes_on(estimator, optimizer):
    """Passes one by one are the training in one piece, optimizer state and batches included."""
    X, y = data(estimator)
    settings = {"optimizer": optimizer, "learning_rate": 0.01, "tol": None, "batch_size": 16}
    classes = {"classes": np.unique(y)} if issubclass(estimator, CLASSIFIERS) else {}
    model = make(estimator, **settings)
    for _ in range(4):
        assert model.partial_fit(X, y, **classes) is model
    whole = make(estimator, max_iter=4, **settings).fit(X, y)
    assert_allclose(model.parameters_, whole.parameters_, rtol=1e-10, atol=1e-12)
    assert model.n_iter_ == 4 and model.t_ == 240
    assert_allclose(model.loss_curve_, whole.loss_curve_, rtol=1e-10)
    assert model.n_gradient_evaluations_ == whole.n_gradient_evaluations_ == 16


@every_estimator
@pytest.mark.parametrize("optimizer", FULL_BATCH_RULES)
def test_partial_fit_goes_on_with_full_batches(estimator, optimizer):
    X, y = data(estimator)
    classes = {"classes": np.unique(y)} if issubclass(estimator, CLASSIFIERS) else {}
    settings = {"optimizer": optimizer, "learning_rate": 0.01, "tol": None, "batch_size": None}
    model = make(estimator, **settings)
    for _ in range(4):
        model.partial_fit(X, y, **classes)
    whole = make(estimator, max_iter=4, **settings).fit(X, y)
    assert_allclose(model.parameters_, whole.parameters_, rtol=1e-10, atol=1e-12)


@every_estimator
def test_partial_fit_goes_on_with_averages(estimator):
    """The average is what is shown; the steps go on from where the optimizer stands."""
    X, y = data(estimator)
    classes = {"classes": np.unique(y)} if issubclass(estimator, CLASSIFIERS) else {}
    settings = {"optimizer": "sgd", "learning_rate": 0.05, "average": True, "tol": None}
    model = make(estimator, **settings)
    for _ in range(5):
        model.partial_fit(X, y, **classes)
    whole = make(estimator, max_iter=5, **settings).fit(X, y)
    assert_allclose(model.parameters_, whole.parameters_, rtol=1e-9, atol=1e-12)


@every_estimator
def test_partial_fit_goes_on_in_automatic_coordinates(estimator):
    X, y = data(estimator)
    X = X * [1, 100, 1e4, 1] + [0, 5, 1e4, 3]
    classes = {"classes": np.unique(y)} if issubclass(estimator, CLASSIFIERS) else {}
    model = make(estimator, batch_size=16)
    for _ in range(30):
        model.partial_fit(X, y, **classes)
    assert model.loss_curve_[-1] < 0.8 * model.loss_curve_[0]
    whole = make(estimator, batch_size=16, max_iter=30, tol=None).fit(X, y)
    assert_allclose(model.loss_curve_, whole.loss_curve_, rtol=1e-5)


@every_estimator
def test_weight_scales_the_step_of_partial_fit(estimator):
    X, y = data(estimator)
    classes = {"classes": np.unique(y)} if issubclass(estimator, CLASSIFIERS) else {}
    settings = {"optimizer": "sgd", "learning_rate": 0.01, "batch_size": None, "penalty": None}

    def step(weight):
        model = make(estimator, **settings).initialize(X, y)
        start = model.parameters_
        model.partial_fit(X, y, sample_weight=weight, **classes)
        return model.parameters_ - start

    one = step(None)
    assert np.linalg.norm(one) > 1e-4
    assert_allclose(step(np.full(60, 3.0)), 3 * one, rtol=1e-9, atol=1e-12)
    assert_allclose(step(np.ones(60)), one, rtol=1e-9, atol=1e-12)
    # fit divides by the mean: there only ratios count
    model = make(estimator, max_iter=1, tol=None, **settings)
    assert_allclose(
        model.fit(X, y, np.full(60, 3.0)).parameters_, model.fit(X, y).parameters_, rtol=1e-12
    )


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_classes_of_partial_fit(estimator):
    X, y = data(estimator)
    with pytest.raises(ValueError, match="classes"):
        make(estimator).partial_fit(X, y)
    model = make(estimator).partial_fit(X[y == 1], y[y == 1], classes=[0, 1, 2])
    assert_array_equal(model.classes_, [0, 1, 2])
    model.partial_fit(X, y)
    with pytest.raises(ValueError, match="classes"):
        model.partial_fit(X, y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="class"):
        model.partial_fit(X, y + 1)
    names = np.array(["a", "b", "c"])[y]
    model = make(estimator).partial_fit(X, names, ["c", "b", "a"])
    assert_array_equal(model.classes_, ["a", "b", "c"])
    assert set(model.predict(X)) <= {"a", "b", "c"}


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_class_weight_in_partial_fit(estimator):
    X, y = data(estimator)
    with pytest.raises(ValueError, match="balanced"):
        make(estimator, class_weight="balanced").partial_fit(X, y, [0, 1, 2])
    factors = {0: 0.5, 1: 2.0, 2: 1.0}
    model = make(estimator, class_weight=factors).partial_fit(X, y, [0, 1, 2])
    weight = np.array([factors[k] for k in y])
    other = make(estimator).partial_fit(X, y, [0, 1, 2], sample_weight=weight)
    assert_array_equal(model.loss_curve_, other.loss_curve_)


@every_estimator
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("average", [False, True])
def test_a_loaded_model_goes_on(estimator, optimizer, average, tmp_path):
    """Copied, or mapped read-only from a file: the next steps are the same bits."""
    X, y = data(estimator)
    classes = {"classes": np.unique(y)} if issubclass(estimator, CLASSIFIERS) else {}
    model = make(estimator, optimizer=optimizer, average=average)
    model.partial_fit(X, y, **classes).partial_fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    copied = pickle.loads(pickle.dumps(model))
    model.partial_fit(X, y)
    copied.partial_fit(X, y)
    assert_array_equal(copied.parameters_, model.parameters_)
    assert_array_equal(mapped.predict(X), mapped.predict(X))
    mapped.partial_fit(X, y)
    assert_array_equal(mapped.parameters_, model.parameters_)


@every_estimator
def test_a_fitted_model_loaded_read_only_goes_on(estimator, tmp_path):
    X, y = data(estimator)
    model = make(estimator, max_iter=5).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r").partial_fit(X, y)
    assert_array_equal(mapped.parameters_, model.partial_fit(X, y).parameters_)
    again = joblib.load(tmp_path / "model.joblib", mmap_mode="r").set_params(warm_start=True)
    assert again.fit(X, y).n_iter_ > 0


@every_estimator
def test_partial_fit_after_fit_begins_at_what_was_learned(estimator):
    X, y = data(estimator)
    model = make(estimator, max_iter=100).fit(X, y)
    before = model.loss_and_gradient(X, y)[0]
    model.set_params(learning_rate=1e-6, optimizer="sgd").partial_fit(X, y)
    assert model.loss_curve_[-1] == pytest.approx(before, rel=1e-3)


@every_estimator
def test_what_partial_fit_cannot_do(estimator):
    X, y = data(estimator)
    classes = {"classes": np.unique(y)} if issubclass(estimator, CLASSIFIERS) else {}
    for settings, word in (
        ({"optimizer": "lbfgs"}, "partial_fit"),
        ({"early_stopping": True}, "early_stopping"),
        ({"schedule": "cosine"}, "n_steps"),
    ):
        model = make(estimator, **settings)
        with pytest.raises((ValueError, AttributeError), match=word):
            model.partial_fit(X, y, **classes)
        assert not hasattr(model, "n_iter_")
    # a tool that asks whether there is a partial_fit is told the truth, as by scikit-learn's MLP
    assert hasattr(make(estimator), "partial_fit")
    assert not hasattr(make(estimator, optimizer="lbfgs"), "partial_fit")


# ----------------------------------------------------------------------- warm start and fit


@every_estimator
def test_fit_does_not_depend_on_an_earlier_fit(estimator):
    X, y = data(estimator)
    other_X, other_y = data(estimator, n=30, p=6, seed=3)
    model = make(estimator, optimizer="adam", max_iter=10, tol=None)
    fresh = clone(model).fit(X, y)
    used = model.fit(other_X, other_y)
    used.fit(X, y)
    assert_array_equal(used.parameters_, fresh.parameters_)
    assert untimed(used.history_) == untimed(fresh.history_) and used.t_ == fresh.t_
    classes = {"classes": np.unique(y)} if issubclass(estimator, CLASSIFIERS) else {}
    partly = clone(model).partial_fit(X, y, **classes).fit(X, y)
    assert_array_equal(partly.parameters_, fresh.parameters_)
    assert partly.n_gradient_evaluations_ == fresh.n_gradient_evaluations_
    begun = clone(model).initialize(X, y, parameters=fresh.parameters_).fit(X, y)
    assert_array_equal(begun.parameters_, fresh.parameters_)


@every_estimator
def test_warm_start_keeps_the_parameters(estimator):
    X, y = data(estimator)
    settings = {"optimizer": "sgd", "learning_rate": 0.02, "batch_size": None, "tol": None}
    model = make(estimator, warm_start=True, max_iter=3, **settings).fit(X, y)
    model.fit(X, y)
    whole = make(estimator, max_iter=6, **settings).fit(X, y)
    assert_allclose(model.parameters_, whole.parameters_, rtol=1e-10, atol=1e-12)
    assert model.n_iter_ == 3 and len(model.loss_curve_) == 3
    assert_allclose(model.loss_curve_, whole.loss_curve_[3:], rtol=1e-10)


@every_estimator
def test_warm_start_after_a_change_of_loss_and_gradient(estimator):
    X, y = data(estimator)
    loss = "focal" if issubclass(estimator, CLASSIFIERS) else "huber"
    model = make(estimator, warm_start=True, max_iter=5, tol=None, batch_size=None).fit(X, y)
    theta = model.parameters_
    model.set_params(loss=loss, gradient="numeric").fit(X, y)
    other = make(estimator, loss=loss).initialize(X, y, parameters=theta)
    assert_allclose(model.loss_curve_[0], other.loss_and_gradient(X, y)[0], rtol=1e-9)
    assert model.gradient_ == "numeric"


@every_estimator
def test_warm_start_begins_at_the_parameters_of_initialize(estimator):
    X, y = data(estimator)
    model = make(estimator, warm_start=True, max_iter=1, batch_size=None, tol=None)
    model.initialize(X, y)
    given = np.random.default_rng(0).normal(size=model.parameters_.size)
    model.initialize(X, y, parameters=given)
    J = model.loss_and_gradient(X, y)[0]
    assert_allclose(model.fit(X, y).loss_curve_[0], J, rtol=1e-10)


def test_warm_start_does_not_keep_parameters_of_other_shapes():
    X, y = data(MLPBackpropRegressor, p=5)
    settings = {"max_iter": 3, "tol": None, "random_state": 0}
    model = MLPBackpropRegressor((3,), warm_start=True, **settings).fit(X, y)
    n_parameters = model.parameters_.size
    model.set_params(hidden_layer_sizes=(1, 5)).fit(X, y)  # as many numbers, in other arrays
    fresh = MLPBackpropRegressor((1, 5), **settings).fit(X, y)
    assert model.parameters_.size == n_parameters
    assert_array_equal(model.parameters_, fresh.parameters_)
    model = GDRegressor(warm_start=True, **settings).fit(X, y).fit(X[:, :3], y)
    assert_array_equal(model.coef_, GDRegressor(**settings).fit(X[:, :3], y).coef_)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
def test_a_fitted_model_does_not_change_with_a_parameter(estimator, fit_intercept):
    X, y = data(estimator)
    model = make(estimator, fit_intercept=fit_intercept).fit(X + 3, y)
    before, theta = model.predict(X), model.parameters_
    model.set_params(fit_intercept=not fit_intercept, alpha=5, max_iter=1)
    assert_array_equal(model.predict(X), before)
    if fit_intercept:
        assert_array_equal(model.parameters_, theta)


# ------------------------------------------------------------------------------ early stopping


class Recorder:
    """A score that is not coarse, and the rows on which it was asked for."""

    def __init__(self):
        self.rows = None

    def __call__(self, estimator, X, y, sample_weight=None):
        self.rows = X, y
        if hasattr(estimator, "predict_proba"):
            return -log_loss(y, estimator.predict_proba(X), labels=[0, 1])
        return estimator.score(X, y)


@every_estimator
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
def test_early_stopping_keeps_the_best_parameters(estimator, average, optimizer):
    if average and optimizer == "lbfgs":
        pytest.skip("a solver has nothing to average")
    X, y = noise(estimator)
    recorder = Recorder()
    model = make(
        estimator,
        optimizer=optimizer,
        early_stopping=True,
        validation_fraction=0.3,
        scoring=recorder,
        average=average,
        penalty=None,
        max_iter=300,
        tol=None,
    ).fit(X, y)
    X_val, y_val = recorder.rows
    assert len(y_val) == 18
    assert max(model.validation_scores_) > model.validation_scores_[-1]  # or nothing is tested
    assert recorder(model, X_val, y_val) == pytest.approx(max(model.validation_scores_), rel=1e-9)


@every_estimator
def test_validation_loss_has_no_penalty_and_no_class_weight(estimator):
    X, y = noise(estimator)
    recorder = Recorder()
    settings = {"class_weight": {0: 5.0, 1: 1.0}} if issubclass(estimator, CLASSIFIERS) else {}
    model = make(
        estimator, early_stopping=True, scoring=recorder, alpha=2.0, max_iter=1, **settings
    )
    model.fit(X, y)
    X_val, y_val = recorder.rows
    if issubclass(estimator, CLASSIFIERS):
        expected = log_loss(y_val, model.predict_proba(X_val), labels=[0, 1])
    else:
        expected = np.mean((y_val - model.predict(X_val)) ** 2) / 2
    assert_allclose(model.validation_loss_curve_, [expected], rtol=1e-10)


@every_estimator
def test_early_stopping_by_the_loss(estimator):
    X, y = noise(estimator)
    settings = {"tol": 1e-4, "n_iter_no_change": 5, "max_iter": 500, "penalty": None}
    model = make(estimator, early_stopping=True, **settings).fit(X, y)
    assert_array_equal(model.validation_scores_, -np.array(model.validation_loss_curve_))
    best, in_vain = np.inf, []
    for loss in model.validation_loss_curve_:  # the rule, once more
        in_vain.append(in_vain[-1] + 1 if in_vain and loss > best * (1 - 1e-4) else 0)
        best = min(best, loss)
    assert in_vain.index(5) == len(in_vain) - 1
    assert len(in_vain) == model.n_iter_ < 500 and "valid" in model.stop_reason_


@every_estimator
def test_early_stopping_is_automatic_for_many_rows_only(estimator):
    X, y = data(estimator, n=200)
    assert make(estimator, early_stopping="auto", max_iter=1).fit(X, y).validation_scores_ is None
    X, y = data(estimator, n=10_001)
    model = make(estimator, early_stopping="auto", max_iter=1, batch_size=5000).fit(X, y)
    assert len(model.validation_scores_) == 1
    assert model.t_ == 10_001 - math.ceil(0.1 * 10_001)


# --------------------------------------------------------------------- history, rates, counters


@every_estimator
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_history_is_a_table(estimator, early_stopping, optimizer):
    X, y = data(estimator)
    model = make(estimator, optimizer=optimizer, early_stopping=early_stopping, max_iter=12)
    model.fit(X, y)
    frame = pd.DataFrame(model.history_)
    assert len(frame) == model.n_iter_ == len(model.loss_curve_) > 1
    assert_array_equal(frame["loss"], model.loss_curve_)
    assert model.loss_ == model.loss_curve_[-1] and model.best_loss_ == min(model.loss_curve_)
    assert {"loss", "learning_rate"} <= set(frame)
    assert ("validation_loss" in frame) == early_stopping
    assert np.isfinite(frame.to_numpy(dtype=float)).all()


@every_estimator
def test_interrupted_training_keeps_what_was_learned(estimator):
    X, y = data(estimator)
    calls = []

    def scoring(model, X, y, sample_weight=None):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return -float(len(calls))

    model = make(estimator, early_stopping=True, scoring=scoring, tol=None)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert "interrupt" in model.stop_reason_
    assert model.predict(X).shape == y.shape
    assert 3 <= len(pd.DataFrame(model.history_)) <= 4


@every_estimator
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_of_a_schedule_are_recorded(estimator, name):
    X, y = data(estimator)
    schedule = SCHEDULES[name]()
    for batch_size, steps in ((None, 1), (16, 4)):
        model = make(
            estimator,
            optimizer="sgd",
            learning_rate=0.01,
            schedule=name,
            batch_size=batch_size,
            max_iter=10,
            tol=None,
        ).fit(X, y)
        rates = model.history_["learning_rate"]
        assert model.learning_rate_ == 0.01 and len(rates) == 10
        if schedule.watches_loss:
            continue
        factors = [schedule(epoch * steps + steps - 1, 10 * steps, []) for epoch in range(10)]
        assert_allclose(rates, 0.01 * np.array(factors), rtol=1e-12)


@pytest.mark.parametrize(
    "schedule", [Exponential(), InvScaling(power_t=1.0), StepDecay(), lambda t, n: 1 / (t + 1)]
)
def test_schedule_by_hand(schedule):
    X, y = data(GDRegressor)
    objective = GDRegressor(learning_rate=0.1).objective(X, y)
    theta = objective.x0.copy()
    for step in range(20):
        theta -= 0.1 * schedule(step, 20) * objective(theta)[1]
    model = GDRegressor(
        optimizer="sgd",
        learning_rate=0.1,
        schedule=schedule,
        batch_size=None,
        max_iter=20,
        tol=None,
    )
    assert_allclose(model.fit(X, y).parameters_, theta, rtol=1e-10)


def test_plateau_lowers_the_rate():
    X, y = data(GDRegressor)
    settings = {"optimizer": "sgd", "batch_size": None, "learning_rate": 0.3, "tol": None}
    model = GDRegressor(schedule="plateau", max_iter=200, **settings).fit(X, y)
    rates = np.array(model.history_["learning_rate"])
    assert rates[0] == 0.3 and rates[-1] < 0.3 and np.all(np.diff(rates) <= 0)


@every_estimator
@pytest.mark.parametrize("gradient", ["analytic", "backprop", "numeric"])
def test_evaluations_are_counted(estimator, gradient):
    X, y = data(estimator)
    model = make(estimator, gradient=gradient, batch_size=25, max_iter=4, tol=None).fit(X, y)
    batches = 4 * 3
    assert model.n_gradient_evaluations_ == batches
    per_gradient = 1 + 2 * model.parameters_.size if gradient == "numeric" else 1
    assert model.n_loss_evaluations_ == batches * per_gradient
    assert model.t_ == 4 * 60 and model.n_iter_ == 4
    assert model.batch_size_ == 25 and model.gradient_ == gradient


@pytest.mark.parametrize(
    ("batch_size", "expected"),
    [(None, 60), ("auto", 60), (7, 7), (1000, 60), (0.25, 15), (1.0, 60)],
)
def test_batch_size(batch_size, expected):
    X, y = data(GDRegressor)
    model = GDRegressor(batch_size=batch_size, max_iter=2, tol=None).fit(X, y)
    assert model.batch_size_ == expected
    assert model.n_gradient_evaluations_ == 2 * math.ceil(60 / expected)


@every_estimator
def test_loss_curve_is_the_mean_over_the_batches(estimator):
    """At a rate of almost nothing the mean over the batches is J itself."""
    X, y = data(estimator)
    model = make(
        estimator, optimizer="sgd", learning_rate=1e-12, batch_size=7, max_iter=2, tol=None
    )
    w = np.random.default_rng(0).uniform(0, 3, size=60)
    model.fit(X, y, w)
    J = model.loss_and_gradient(X, y, w)[0]
    assert_allclose(model.loss_curve_, [J, J], rtol=1e-9)


# ------------------------------------------------------------------------- averaging, clipping


@pytest.mark.parametrize(("average", "first"), [(True, 1), (1, 1), (180, 3), (200, 4)])
def test_average_over_the_steps(average, first):
    """An int begins once so many samples were seen; each step sees 60."""
    X, y = data(GDRegressor)
    objective = GDRegressor(learning_rate=0.1).objective(X, y)
    theta, path = objective.x0.copy(), [objective.x0.copy()]
    for _ in range(6):
        theta -= 0.1 * objective(theta)[1]
        path.append(theta.copy())
    settings = {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": None, "tol": None}
    model = GDRegressor(average=average, max_iter=6, **settings).fit(X, y)
    assert_allclose(model.parameters_, np.mean(path[first:], axis=0), rtol=1e-10)


@pytest.mark.parametrize("off", [0, np.False_])
def test_no_average(off):
    X, y = data(GDRegressor)
    settings = {"max_iter": 5, "tol": None, "random_state": 0}
    model = GDRegressor(average=off, **settings).fit(X, y)
    assert_array_equal(model.coef_, GDRegressor(average=False, **settings).fit(X, y).coef_)


def test_clip_norm():
    X, y = data(GDRegressor)
    settings = {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": None, "tol": None}
    objective = GDRegressor(learning_rate=0.1).objective(X, y * 100)
    theta = objective.x0.copy()
    clipped = 0
    for _ in range(30):
        gradient = objective(theta)[1]
        norm = np.linalg.norm(gradient)
        clipped += norm > 150
        theta -= 0.1 * gradient * min(1, 150 / norm)
    assert 0 < clipped < 30
    model = GDRegressor(clip_norm=150.0, max_iter=30, **settings).fit(X, y * 100)
    assert_allclose(model.parameters_, theta, rtol=1e-10)


# Printed by torch 2.14.1, in float64, from theta = torch.zeros(3):
#     for _ in range(10):
#         (0.5 * ((X @ theta[:2] + theta[2] - y) ** 2).mean()).backward()
#         torch.nn.utils.clip_grad_value_([theta], 100.0)  # changes entries in 3 or 4 steps
#         torch.nn.utils.clip_grad_norm_([theta], clip_norm)  # if not None; changes 1 step
#         optimizer.step()  # torch.optim.SGD([theta], lr=0.4)
#         optimizer.zero_grad()
# torch divides by the norm + 1e-6, hence the larger tolerance where it clips by the norm.
CLIPPED_BY_TORCH = [
    (None, [176.94475702837036, -48.18825375699463, 26.797957900795897], 1e-12),
    (120.0, [176.84886154903953, -48.220214512418316, 27.02224484303763], 1e-7),
]


@pytest.mark.parametrize(("clip_norm", "expected", "rtol"), CLIPPED_BY_TORCH)
def test_clip_value_as_in_torch(clip_norm, expected, rtol):
    X, y = [[1.0, -2.0], [0.5, 1.0], [-1.5, 0.5], [2.0, 1.5]], [300.0, -100.0, -200.0, 400.0]
    settings = {"optimizer": "sgd", "learning_rate": 0.4, "batch_size": None, "tol": None}
    model = GDRegressor(penalty=None, clip_value=100, clip_norm=clip_norm, max_iter=10, **settings)
    assert_allclose(model.fit(X, y).parameters_, expected, rtol=rtol)


# --------------------------------------------------------------------------------- determinism


@every_estimator
@pytest.mark.parametrize("csr", [False, True])
def test_same_seed_same_bits(estimator, csr):
    X, y = data(estimator, n=300, p=30)
    X = sparse.csr_matrix(X) if csr else X
    settings = {"batch_size": 32, "max_iter": 5, "tol": None}
    one, two = (make(estimator, **settings).fit(X, y) for _ in range(2))
    assert_array_equal(one.parameters_, two.parameters_)
    assert one.loss_curve_ == two.loss_curve_
    other = make(estimator, random_state=1, **settings).fit(X, y)
    assert not np.array_equal(one.parameters_, other.parameters_)
    generator = make(estimator, random_state=np.random.RandomState(7), **settings)
    first = generator.fit(X, y).parameters_
    again = make(estimator, random_state=np.random.RandomState(7), **settings).fit(X, y)
    assert_array_equal(first, again.parameters_)


@every_estimator
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_same_bits_for_any_number_of_threads(estimator, optimizer):
    X, y = data(estimator, n=3000, p=200)
    theta = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            model = make(estimator, optimizer=optimizer, max_iter=2, tol=None, shuffle=True)
            theta.append(model.fit(X, y).parameters_)
    assert_array_equal(*theta)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_same_bits_in_one_process_and_in_two(estimator):
    X, y = load_digits(return_X_y=True)
    X, y = X[:600], y[:600]
    model = make(estimator, batch_size=100, max_iter=3, tol=None)
    runs = [
        cross_validate(model, X, y, cv=2, n_jobs=n_jobs, return_estimator=True)["estimator"]
        for n_jobs in (1, 2)
    ]
    for one, two in zip(*runs, strict=True):
        assert_array_equal(one.parameters_, two.parameters_)
    grid = {"learning_rate": ["auto", 0.01], "optimizer": ["sgd", "adam"]}
    found = [
        GridSearchCV(model, grid, cv=2, n_jobs=n_jobs, scoring="neg_log_loss").fit(X, y)
        for n_jobs in (1, 2)
    ]
    assert_array_equal(*(search.cv_results_["mean_test_score"] for search in found))
    assert_array_equal(*(search.best_estimator_.parameters_ for search in found))


def test_shuffle():
    X, y = data(GDRegressor)
    settings = {"batch_size": 10, "max_iter": 3, "tol": None}
    fixed = [GDRegressor(shuffle=False, random_state=s, **settings).fit(X, y) for s in (0, 1)]
    assert_array_equal(fixed[0].coef_, fixed[1].coef_)
    # without shuffling, an epoch is the blocks of rows in their order
    objectives = [
        GDRegressor(learning_rate=0.05).objective(X[i : i + 10], y[i : i + 10])
        for i in range(0, 60, 10)
    ]
    theta = objectives[0].x0.copy()
    for _ in range(3):
        for objective in objectives:
            theta -= 0.05 * objective(theta)[1]
    model = GDRegressor(shuffle=False, optimizer="sgd", learning_rate=0.05, **settings).fit(X, y)
    assert_allclose(model.parameters_, theta, rtol=1e-10)


# ------------------------------------------------------------------------------------- weights


@every_estimator
@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("settings", [{}, {"batch_size": 8}, {"early_stopping": True}], ids=str)
def test_rows_of_weight_zero_are_not_there(estimator, csr, settings):
    X, y = data(estimator)
    if issubclass(estimator, CLASSIFIERS):
        y = np.where(np.arange(60) == 5, 9, y)  # a class that no row of weight has
    w = np.random.default_rng(0).uniform(0.5, 2, size=60)
    w[:20] = 0
    X[:20] *= 1e6
    X = sparse.csr_matrix(X) if csr else X
    model = make(estimator, max_iter=5, tol=None, **settings)
    with_them = clone(model).fit(X, y, w)
    without = clone(model).fit(X[20:], y[20:], w[20:])
    assert_array_equal(with_them.parameters_, without.parameters_)
    assert untimed(with_them.history_) == untimed(without.history_)
    if issubclass(estimator, CLASSIFIERS):
        assert_array_equal(with_them.classes_, [0, 1, 2])


@every_estimator
def test_weights_that_leave_nothing(estimator):
    X, y = data(estimator)
    with pytest.raises(ValueError, match="zero"):
        make(estimator).fit(X, y, np.zeros(60))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        make(estimator).fit(X, y, np.linspace(-1, 1, 60))
    if issubclass(estimator, CLASSIFIERS):
        with pytest.raises(ValueError, match="class"):
            make(estimator).fit(X, y, (y == 1).astype(float))


@every_estimator
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_are_repetitions_for_every_row_of_the_table(estimator, optimizer):
    X, y = data(estimator)
    times = np.random.default_rng(0).integers(0, 4, size=60)
    twice = np.random.default_rng(1).permutation(np.repeat(np.arange(60), times))
    model = make(estimator, optimizer=optimizer, batch_size=None, max_iter=10, tol=1e-9)
    weighted = clone(model).fit(X, y, times)
    repeated = clone(model).fit(X[twice], y[twice])
    assert weighted.n_iter_ == repeated.n_iter_
    assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-6)
    assert_allclose(weighted.parameters_, repeated.parameters_, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
@pytest.mark.parametrize("with_weights", [False, True])
def test_balanced_class_weights(estimator, with_weights):
    X, y = data(estimator, n_classes=3)
    y = np.where(y == 2, np.where(X[:, 0] > 0, 2, 1), y)
    w = np.random.default_rng(0).uniform(0.1, 3, size=60) if with_weights else None
    model = make(estimator, class_weight="balanced", max_iter=10, tol=None).fit(X, y, w)
    if with_weights:
        sums = np.array([w[y == k].sum() for k in range(3)])
        weight = w * (w.sum() / (3 * sums))[y]
        factors = compute_class_weight("balanced", classes=np.arange(3), y=y, sample_weight=w)
        assert_allclose(weight, w * factors[y])
    else:
        weight = compute_sample_weight("balanced", y)
    explicit = make(estimator, max_iter=10, tol=None).fit(X, y, weight)
    assert_allclose(model.parameters_, explicit.parameters_, rtol=1e-9, atol=1e-10)
    plain = make(estimator, max_iter=10, tol=None).fit(X, y, w)
    assert not np.allclose(model.parameters_, plain.parameters_, rtol=1e-3)


# --------------------------------------------------------------------------------- odds and ends


@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
def test_sparsify(estimator):
    X, y = data(estimator, p=8)
    Y = np.column_stack([y, -y]) if estimator is GDRegressor else y
    for target in (y, Y):
        model = make(estimator, penalty="l1", alpha=0.3).fit(X, target)
        coef, out, theta = model.coef_.copy(), model.predict(X), model.parameters_
        assert np.any(coef == 0)
        assert model.sparsify() is model and sparse.issparse(model.coef_)
        assert_array_equal(model.predict(X), out)
        assert_allclose(model.predict(sparse.csr_matrix(X)), out, rtol=1e-12)
        assert_array_equal(model.parameters_, theta)
        assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), out)
        assert model.densify() is model
        assert_array_equal(model.coef_, coef)
        assert model.coef_.shape == coef.shape
        model.sparsify().partial_fit(X, target)
        assert not np.array_equal(model.parameters_, theta)


@every_estimator
def test_lbfgs_row(estimator):
    X, y = data(estimator)
    model = make(estimator, optimizer="lbfgs", alpha=0.1, max_iter=500, tol=1e-7).fit(X, y)
    assert np.abs(model.loss_and_gradient(X, y)[1]).max() < 1e-4
    assert model.batch_size_ == 60 and model.n_iter_ < 500
    assert np.all(np.diff(model.loss_curve_) <= 1e-12)
    assert_allclose(model.loss_, model.loss_and_gradient(X, y)[0], rtol=1e-10)
    assert model.n_gradient_evaluations_ >= model.n_iter_
    for settings, word in (
        ({"batch_size": 10}, "batch_size"),
        ({"clip_norm": 1.0}, "clip_norm"),
        ({"clip_value": 1.0}, "clip_value"),
        ({"average": True}, "average"),
        ({"schedule": "cosine"}, "schedule"),
    ):
        with pytest.raises(ValueError, match=word):
            make(estimator, optimizer=LBFGS(), **settings).fit(X, y)


@every_estimator
def test_lbfgs_at_the_minimum_already(estimator):
    """A second fit with warm_start has nothing to do; what is shown stays meaningful."""
    X, y = data(estimator)
    model = make(estimator, optimizer="lbfgs", alpha=0.1, max_iter=500, warm_start=True)
    first = model.fit(X, y).loss_
    model.fit(X, y)
    assert model.loss_ == pytest.approx(first, rel=1e-3)
    assert model.best_loss_ == pytest.approx(first, rel=1e-3)
    assert len(pd.DataFrame(model.history_)) == len(model.loss_curve_)


@every_estimator
@pytest.mark.parametrize("name", FULL_BATCH_RULES)
def test_full_batch_rules_refuse_batches_and_schedules(estimator, name):
    X, y = data(estimator)
    for settings, word in (({"batch_size": 10}, "batch_size"), ({"schedule": "step"}, "schedule")):
        with pytest.raises(ValueError, match=word):
            make(estimator, optimizer=name, **settings).fit(X, y)
    assert make(estimator, optimizer=name, max_iter=2, tol=None).fit(X, y).batch_size_ == 60


@every_estimator
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns_with_the_automatic_rate(estimator, name):
    X, y = data(estimator, n=300)
    string = make(estimator, optimizer=name, max_iter=300).fit(X, y)
    objective = make(estimator, optimizer=name).objective(X, y)
    start = objective.value(objective.x0)
    assert string.loss_and_gradient(X, y)[0] < 0.7 * start
    given = make(estimator, optimizer=OPTIMIZERS[name](), max_iter=300).fit(X, y)
    assert_array_equal(given.parameters_, string.parameters_)


@every_estimator
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_divergence_leaves_a_usable_model(estimator, optimizer):
    X, y = data(estimator)
    X = X * 1e4
    loss = "squared_hinge" if issubclass(estimator, CLASSIFIERS) else "squared_error"
    settings = {"optimizer": optimizer, "learning_rate": 1e6, "loss": loss, "max_iter": 100}
    model = make(estimator, activation="relu", **settings) if "MLP" in estimator.__name__ else None
    model = model or make(estimator, **settings)
    with pytest.warns(DivergenceWarning, match="learning rate"):
        model.fit(X, y)
    assert "diverged" in model.stop_reason_
    assert np.isfinite(model.parameters_).all() and np.isfinite(model.predict(X)).all()
    assert math.isfinite(model.loss_and_gradient(X, y)[0])
    assert len(pd.DataFrame(model.history_)) == len(model.loss_curve_)


@every_estimator
def test_stops_by_tolerance_or_not_at_all(estimator):
    X, y = data(estimator)
    model = make(estimator, batch_size=None, max_iter=2000, tol=1e-3).fit(X, y)
    assert model.n_iter_ < 2000 and "converged" in model.stop_reason_
    model = make(estimator, batch_size=None, max_iter=30, tol=None).fit(X, y)
    assert model.n_iter_ == 30 and "max_iter" in model.stop_reason_


def test_tolerance_is_relative():
    """J in other units stops in the same epoch."""
    X, y = data(GDRegressor)
    settings = {"optimizer": "sgd", "learning_rate": 0.05, "batch_size": None, "penalty": None}
    epochs = {GDRegressor(**settings, tol=1e-3).fit(X, y * c).n_iter_ for c in (1e-3, 1, 1e3)}
    assert len(epochs) == 1 and epochs.pop() < 200


@every_estimator
def test_verbose_prints_a_line_for_each_epoch(estimator, capsys):
    X, y = data(estimator)
    make(estimator, max_iter=4, tol=None, verbose=True).fit(X, y)
    assert len(capsys.readouterr().out.strip().splitlines()) == 4
    make(estimator, max_iter=4, tol=None).fit(X, y)
    assert capsys.readouterr().out == ""


def test_probabilities_exist_where_the_loss_has_them():
    X, y = data(GDClassifier)
    for loss, row in losses_for("classification").items():
        model = GDClassifier(loss, max_iter=3, tol=None).fit(X, y)
        assert hasattr(model, "predict_proba") == row.has_proba
        assert hasattr(model, "predict_log_proba") == row.has_proba
        if row.has_proba:
            p = model.predict_proba(X)
            assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
            assert p.min() >= 0
            assert_array_equal(model.classes_[p.argmax(axis=1)], model.predict(X))


def test_scaled_targets_of_networks():
    """y on any scale: the same model in other units."""
    X, y = data(MLPBackpropRegressor)
    settings = {"hidden_layer_sizes": (8,), "random_state": 0, "penalty": None, "max_iter": 50}
    here = MLPBackpropRegressor(**settings).fit(X, y)
    there = MLPBackpropRegressor(**settings).fit(X, 1e5 * y + 1e6)
    assert_allclose(there.predict(X), 1e5 * here.predict(X) + 1e6, rtol=1e-6)
    assert there.loss_ == pytest.approx(1e10 * here.loss_, rel=1e-6)


def test_component_objects_are_not_changed_by_fit():
    X, y = data(GDRegressor)
    optimizer = Adam(beta_1=0.8)
    before = vars(optimizer).copy()
    model = GDRegressor(optimizer=optimizer, max_iter=3, tol=None).fit(X, y)
    assert vars(optimizer) == before and model.optimizer is optimizer
    other = GDRegressor(optimizer=SGD(), max_iter=3, tol=None).fit(scale(X), y)
    assert repr(other.optimizer) == "SGD()"


@every_estimator
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_order_of_rows_does_not_matter_for_full_batches(estimator, name):
    """Balanced classes too, where the first derivative by the intercept is rounding alone."""
    X, y = data(estimator)
    order = np.random.default_rng(0).permutation(60)
    model = make(estimator, optimizer=name, batch_size=None, max_iter=10, tol=1e-9)
    one, two = clone(model).fit(X, y), clone(model).fit(X[order], y[order])
    ask = "decision_function" if issubclass(estimator, CLASSIFIERS) else "predict"
    outputs = [getattr(fitted, ask)(X) for fitted in (one, two)]
    # adagrad divides by 1e-10 and a gradient that may be 1e-17
    assert_allclose(*outputs, rtol=1e-5, atol=1e-5 * np.abs(outputs[0]).max())
