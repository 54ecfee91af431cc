"""What a whole training promises, whatever the estimator: units, threads, memory, ends."""

import warnings

import numpy as np
import pytest
from sklearn.base import is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.model_selection import cross_validate
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.exceptions import DivergenceWarning
from skgd.losses import Loss

UNITS_DO_NOT_MATTER = ["squared_error", "absolute_error", "quantile"]


def many_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40_000, 30))
    return X, X @ rng.normal(size=30) + rng.normal(size=40_000)


@pytest.mark.parametrize("estimator", [GDRegressor, MLPBackpropRegressor, GDClassifier])
def test_same_bits_where_blas_would_use_threads(estimator):
    X, y = many_rows()
    y = (y > 0).astype(int) if estimator is GDClassifier else y
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            model = estimator(max_iter=2, tol=None, random_state=0).fit(X, y)
        found.append((model.learning_rate_, model.parameters_))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_same_bits_for_one_and_two_jobs():
    X, y = many_rows()
    model = GDRegressor(max_iter=2, tol=None, random_state=0)
    runs = [
        cross_validate(model, X, y, cv=2, n_jobs=n_jobs, return_estimator=True)["estimator"]
        for n_jobs in (1, 2)
    ]
    for one, two in zip(*runs, strict=True):
        np.testing.assert_array_equal(one.parameters_, two.parameters_)


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
@pytest.mark.parametrize("loss", UNITS_DO_NOT_MATTER)
def test_the_unit_of_y_does_not_matter(loss, optimizer):
    X, y = load_diabetes(return_X_y=True)
    model = GDRegressor(loss, optimizer=optimizer, alpha=0, random_state=0)
    scores = [model.fit(X, unit * y).score(X, unit * y) for unit in (1e-6, 1e-3, 1.0, 1e3, 1e6)]
    np.testing.assert_allclose(scores, scores[2], atol=1e-3)
    assert scores[2] > 0.45


def test_a_huber_loss_far_from_its_parabola_is_trained():
    X, y = load_diabetes(return_X_y=True)
    for unit in (1.0, 1e3, 1e6):
        assert GDRegressor("huber", alpha=0).fit(X, unit * y).score(X, unit * y) > 0.45


def test_a_training_that_never_improves_has_diverged():
    X, y = load_iris(return_X_y=True)
    model = MLPBackpropClassifier(learning_rate=3, optimizer="nesterov", random_state=0)
    with pytest.warns(DivergenceWarning, match="Try learning_rate="):
        model.fit(X, y)
    start = MLPBackpropClassifier(learning_rate=3, random_state=0).initialize(X, y)
    assert model.loss_and_gradient(X, y)[0] <= start.loss_and_gradient(X, y)[0]


def test_average_survives_a_stop_for_lack_of_progress():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    settings = {"optimizer": "sgd", "learning_rate": 0.5, "batch_size": 8, "random_state": 0}
    averaged = GDClassifier(average=True, **settings).fit(X, y)
    last = GDClassifier(average=False, **settings).fit(X, y)
    assert averaged.stop_reason_.startswith("converged")
    assert averaged.n_iter_ == last.n_iter_
    assert np.linalg.norm(averaged.coef_ - last.coef_) > 0.01 * np.linalg.norm(last.coef_)


def test_partial_fit_goes_on_after_fit():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    settings = {"learning_rate": 0.01, "optimizer": "adam", "tol": None, "random_state": 0}
    model = GDClassifier(max_iter=5, **settings).fit(X, y)
    whole = GDClassifier(max_iter=6, **settings).fit(X, y)
    model.partial_fit(X, y)
    assert (model.n_iter_, model.t_) == (6, 6 * len(X))
    np.testing.assert_allclose(model.parameters_, whole.parameters_, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size", [1, 5, 20])
def test_small_parts_are_no_divergence(size):
    X, y = load_diabetes(return_X_y=True)
    model = GDRegressor(random_state=0)
    for start in range(0, 440, size):  # a warning would be an error here
        model.partial_fit(X[start : start + size], y[start : start + size])
    assert model.score(X, y) > 0.4


def test_partial_fit_recovers_after_a_fit_that_diverged():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    model = GDRegressor(optimizer="momentum", learning_rate=1.0, random_state=0)
    with pytest.warns(DivergenceWarning):
        model.fit(X, y)
    before = model.loss_and_gradient(X, y)[0]
    model.set_params(learning_rate=1e-6)
    for _ in range(20):
        model.partial_fit(X, y)
    assert model.loss_and_gradient(X, y)[0] < 0.9 * before


def test_warm_start_does_not_take_other_labels_for_the_same():
    X, y = load_breast_cancer(return_X_y=True)
    model = GDClassifier(warm_start=True, max_iter=5, tol=None).fit(X, y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=r"warm_start.*classes"):
        model.fit(X, y + 5)
    np.testing.assert_array_equal(model.predict(X), before)


def test_a_plain_function_scores():
    X, y = load_iris(return_X_y=True)

    def scoring(estimator, X, y):
        return estimator.score(X, y)

    for weight in (None, np.ones(len(y))):
        model = GDClassifier(early_stopping=True, scoring=scoring, random_state=0)
        model.fit(X, y, sample_weight=weight)
        assert max(model.validation_scores_) > 0.8


def test_early_stopping_ends_a_solver():
    X, y = load_breast_cancer(return_X_y=True)
    settings = {"optimizer": "lbfgs", "alpha": 0, "tol": 1e-12, "random_state": 0}
    model = GDClassifier(early_stopping=True, n_iter_no_change=5, max_iter=500, **settings)
    model.fit(X, y)
    best = int(np.argmax(model.validation_scores_))
    assert model.stop_reason_.startswith("stopped early")
    assert model.n_iter_ <= best + 1 + 5 + 1


def test_class_weights_that_leave_one_class():
    X, y = load_breast_cancer(return_X_y=True)
    with pytest.raises(ValueError, match=r"class_weight.*class"):
        GDClassifier(class_weight={0: 0.0, 1: 1.0}).fit(X, y)


class FourthPower(Loss):
    """A loss of a user, with no derivative by hand."""

    def value(self, y, raw):
        return (y - raw) ** 4 / 4


def test_a_loss_without_a_derivative_by_hand():
    X, y = load_diabetes(return_X_y=True)
    y = StandardScaler().fit_transform(y[:, None])[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GDRegressor(FourthPower(), optimizer="adam", random_state=0).fit(X, y)
    assert model.gradient_ == "backprop"
    assert model.score(X, y) > 0.4
    with pytest.raises(ValueError, match=r"analytic.*backprop.*numeric"):
        GDRegressor(FourthPower(), gradient="analytic").fit(X, y)


# ------------------------------------------------------------------- how long it waits for progress

# Steps of 256 rows; 640 of them, but between 5 and 20 epochs. No epoch after the first improves J
# a millionfold, so that a training is one epoch longer than it waits.
PATIENCE = {32: 20, 64: 10, 100: 7, 128: 5, 160: 5}


def epochs_without_progress(n_steps, cls=GDRegressor, **settings):
    X = np.random.default_rng(0).normal(size=(256 * n_steps, 1))
    y = X[:, 0] if is_regressor(cls()) else (X[:, 0] > 0).astype(int)
    return cls(tol=1e6, random_state=0, **settings).fit(X, y).n_iter_ - 1


@pytest.mark.parametrize(("n_steps", "epochs"), PATIENCE.items())
def test_it_waits_less_where_the_rate_falls_and_epochs_are_long(n_steps, epochs):
    assert epochs_without_progress(n_steps) == epochs
    assert epochs_without_progress(n_steps, GDClassifier, n_iter_no_change="auto") == epochs


@pytest.mark.parametrize("n_iter_no_change", [3, 12])
def test_a_number_of_epochs_to_wait_is_a_promise(n_iter_no_change):
    assert epochs_without_progress(160, n_iter_no_change=n_iter_no_change) == n_iter_no_change


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 0.1},
        {"schedule": "constant"},
        {"schedule": "invscaling"},
        {"optimizer": "adagrad"},
        {"batch_size": None},
        {"batch_size": 0.5},
    ],
    ids=str,
)
def test_it_waits_for_20_epochs_elsewhere(settings):
    assert epochs_without_progress(160, **settings) == 20


def test_a_network_waits_for_20_epochs():
    network = {"cls": MLPBackpropRegressor, "hidden_layer_sizes": (1,)}
    assert epochs_without_progress(130, **network) == 20
    assert epochs_without_progress(130, n_iter_no_change="auto", **network) == 20


@pytest.mark.parametrize("estimator", [GDRegressor, GDClassifier])
def test_the_short_wait_ends_at_a_lower_j_than_sgd(estimator):
    X, y = many_rows()
    peer = SGDRegressor(alpha=1e-3, random_state=0)
    if estimator is GDClassifier:
        y = (y > 0).astype(int)
        peer = SGDClassifier("log_loss", alpha=1e-3, random_state=0)
    model = estimator(alpha=1e-3, random_state=0).fit(X, y)
    peer.fit(X, y)
    J = model.objective(X, y)
    best = estimator(alpha=1e-3, optimizer="lbfgs", tol=1e-10, max_iter=500).fit(X, y)
    minimum = J.value(best.parameters_)
    of_peer = J.value(np.append(peer.coef_, peer.intercept_))
    assert minimum <= J.value(model.parameters_) < minimum + 0.5 * (of_peer - minimum)
