"""Validation rows: given to fit, through a pipeline, in partial_fit; what stops, what is kept."""

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
    mean_poisson_deviance,
    mean_squared_error,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor

_X, _y = load_breast_cancer(return_X_y=True)
CANCER = train_test_split(StandardScaler().fit_transform(_X), _y, random_state=0)
DIABETES = train_test_split(*load_diabetes(return_X_y=True), random_state=0)
MODELS = {
    GDClassifier(): CANCER,
    GDRegressor(): DIABETES,
    MLPBackpropClassifier((8,)): CANCER,
    MLPBackpropRegressor((8,)): DIABETES,
}
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


def parts(model):
    X, X_val, y, y_val = next(data for row, data in MODELS.items() if type(row) is type(model))
    return X, y, {"X_val": X_val, "y_val": y_val}


def loss_on(model, X, y, weight=None):
    if hasattr(model, "classes_"):
        return log_loss(y, model.predict_proba(X), sample_weight=weight)
    return mean_squared_error(y, model.predict(X), sample_weight=weight) / 2


@every_model
def test_given_rows_are_only_recorded_where_nothing_stops_by_them(model):
    X, y, val = parts(model)
    plain = clone(model).set_params(max_iter=30, tol=None, random_state=0)
    watched = clone(plain).fit(X, y, **val)
    plain.fit(X, y)
    assert_array_equal(watched.parameters_, plain.parameters_)
    assert len(watched.validation_loss_curve_) == 30
    assert_allclose(watched.validation_loss_curve_[-1], loss_on(watched, *val.values()), rtol=1e-9)
    assert_array_equal(watched.validation_scores_, -np.array(watched.validation_loss_curve_))
    assert watched.history_["validation_loss"] == watched.validation_loss_curve_


@every_model
def test_early_stopping_keeps_the_best_parameters_of_the_given_rows(model):
    X, y, val = parts(model)
    model = clone(model).set_params(
        max_iter=400, early_stopping=True, n_iter_no_change=5, tol=0, random_state=0, alpha=0
    )
    if not isinstance(model, (GDClassifier, GDRegressor)):
        model.set_params(learning_rate=0.02)
    model.fit(X, y, **val)
    assert_allclose(loss_on(model, *val.values()), min(model.validation_loss_curve_), rtol=1e-9)
    if model.n_iter_ < 400:
        assert model.stop_reason_.startswith("stopped early")
        assert min(model.validation_loss_curve_[-5:]) >= min(model.validation_loss_curve_)


@every_model
def test_auto_stops_early_by_given_rows(model):
    X, y, val = parts(model)
    model = clone(model).set_params(early_stopping="auto", random_state=0)
    model.set_params(max_iter=3, tol=None)
    auto = clone(model).fit(X, y, **val)
    on = clone(model).set_params(early_stopping=True).fit(X, y, **val)
    assert_array_equal(auto.parameters_, on.parameters_)
    assert clone(model).fit(X, y).validation_loss_curve_ is None


def test_validation_loss_has_weights_but_no_class_weights_and_no_penalty():
    X, y, val = parts(GDClassifier())
    weight = np.random.default_rng(0).uniform(size=len(val["y_val"]))
    weight[:20] = 0
    model = GDClassifier(class_weight={0: 1, 1: 9}, alpha=1.0, max_iter=5, tol=None)
    model.fit(X, y, **val, sample_weight_val=weight)
    expected = log_loss(val["y_val"], model.predict_proba(val["X_val"]), sample_weight=weight)
    assert_allclose(model.validation_loss_curve_[-1], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("scoring", "metric"),
    [("balanced_accuracy", balanced_accuracy_score), (None, accuracy_score)],
)
def test_any_scorer_judges_given_rows(scoring, metric):
    X, y, val = parts(GDClassifier())
    labels, labels_val = np.where(y, "yes", "no"), np.where(val["y_val"], "yes", "no")
    model = GDClassifier(max_iter=6, tol=None, scoring=scoring)
    model.fit(X, labels, X_val=val["X_val"], y_val=labels_val)
    expected = metric(labels_val, model.predict(val["X_val"]))
    assert_allclose(model.validation_scores_[-1], expected, rtol=1e-12)


@every_model
def test_pipeline_transforms_the_given_rows(model):
    X, y, val = parts(model)
    X, val = 100 * X + 7, {**val, "X_val": 100 * val["X_val"] + 7}
    model = clone(model).set_params(max_iter=8, tol=None, random_state=0, learning_rate=0.01)
    scaler = StandardScaler().fit(X)
    direct = clone(model).fit(
        scaler.transform(X), y, X_val=scaler.transform(val["X_val"]), y_val=val["y_val"]
    )
    with sklearn.config_context(enable_metadata_routing=True):
        last = clone(model).set_fit_request(X_val=True, y_val=True)
        pipeline = Pipeline(
            [("scale", StandardScaler()), ("learn", last)], transform_input=["X_val"]
        ).fit(X, y, **val)
    assert_array_equal(pipeline[-1].parameters_, direct.parameters_)
    assert pipeline[-1].validation_loss_curve_ == direct.validation_loss_curve_


@pytest.mark.parametrize("model", [GDClassifier(), MLPBackpropClassifier((8,))])
def test_split_is_stratified(model):
    X, y, _ = parts(model)
    rare = np.where(np.arange(len(y)) % 20 == 0, 1, 0)  # 5 %
    seen = []

    def score(estimator, X, y):
        seen.append(np.mean(y))
        return 0.0

    model = clone(model).set_params(
        early_stopping=True, scoring=score, max_iter=2, tol=None, validation_fraction=0.2
    )
    model.fit(X, rare)
    assert_allclose(seen, rare.mean(), atol=1 / (0.2 * len(y)))


# ------------------------------------------------------------------------------ pass by pass


@every_model
def test_partial_fit_stops_early_and_brings_the_best_back(model):
    X, y, val = parts(model)
    model = clone(model).set_params(
        early_stopping=True, n_iter_no_change=4, tol=0, random_state=0, alpha=0,
    )  # fmt: skip
    if not isinstance(model, (GDClassifier, GDRegressor)):
        model.set_params(learning_rate=0.05)
    first = {"classes": [0, 1]} if hasattr(model, "class_weight") else {}
    for _ in range(1500):
        model.partial_fit(X, y, **first, **val)
        if model.stop_reason_.startswith("stopped early"):
            break
        assert_allclose(model.validation_loss_curve_[-1], loss_on(model, *val.values()), rtol=1e-9)
    curve = model.validation_loss_curve_
    assert len(curve) < 1500
    assert min(curve[-4:]) >= curve[-5] == min(curve)
    assert_allclose(loss_on(model, *val.values()), min(curve), rtol=1e-9)


def test_passes_without_validation_rows_have_nan():
    X, y, val = parts(GDRegressor())
    model = GDRegressor(random_state=0)
    model.partial_fit(X, y).partial_fit(X, y, **val).partial_fit(X, y)
    assert_array_equal(np.isnan(model.validation_loss_curve_), [True, False, True])
    assert len(model.history_["loss"]) == 3


def test_partial_fit_needs_rows_to_stop_early_by():
    X, y, _ = parts(GDRegressor())
    with pytest.raises(ValueError, match="X_val"):
        GDRegressor(early_stopping=True).partial_fit(X, y)


def test_warm_start_begins_a_new_validation():
    X, y, val = parts(GDClassifier())
    model = GDClassifier(warm_start=True, early_stopping=True, max_iter=5, tol=None, random_state=0)
    model.fit(X, y, **val)
    first = model.validation_loss_curve_
    model.fit(X, y, **val)
    assert len(model.validation_loss_curve_) == 5
    assert model.validation_loss_curve_[0] < first[0]


# ------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X_val": True}, "belong together"),
        ({"y_val": True}, "belong together"),
        ({"sample_weight_val": True}, "belong together"),
        ({"X_val": "columns", "y_val": True}, "X_val, y_val: X has 3 features"),
        ({"X_val": True, "y_val": "rows"}, "X_val, y_val: .*inconsistent numbers"),
        ({"X_val": True, "y_val": "classes"}, "X_val, y_val: y holds classes"),
        ({"X_val": "nan", "y_val": True}, "X_val, y_val: .*NaN"),
    ],
)
def test_errors_name_the_validation_rows(given, message):
    X, y, val = parts(GDClassifier())
    X_val, y_val = val.values()
    wrong = {
        "columns": X_val[:, :3],
        "rows": y_val[:-1],
        "classes": y_val + 5,
        "nan": np.where(X_val > np.median(X_val), np.nan, X_val),
    }
    right = {"X_val": X_val, "y_val": y_val, "sample_weight_val": np.ones(len(y_val))}
    given = {name: right[name] if value is True else wrong[value] for name, value in given.items()}
    model = GDClassifier(max_iter=3, tol=None).fit(X, y)
    before = model.parameters_
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, **given)
    assert_array_equal(model.parameters_, before)


@every_model
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "rprop"])
def test_early_stopping_needs_no_tol(model, optimizer):
    """tol=None switches off the stopping by J alone: any better score counts, as with tol=0."""
    X, y, val = parts(model)
    settings = {"max_iter": 300, "early_stopping": True, "n_iter_no_change": 4, "random_state": 0}
    model = clone(model).set_params(optimizer=optimizer, alpha=0, scoring="r2", **settings)
    if hasattr(model, "class_weight"):
        model.set_params(scoring="accuracy")
    one = clone(model).set_params(tol=None).fit(X, y, **val)
    scores = one.validation_scores_
    assert one.stop_reason_.startswith("stopped early") and one.n_iter_ < 300
    assert max(scores[-4:]) <= max(scores[:-4]) == scores[-5]
    if optimizer != "lbfgs":  # whose tol is its own test of the gradient, too
        two = clone(model).set_params(tol=0).fit(X, y, **val)
        assert two.n_iter_ == one.n_iter_
        assert_array_equal(two.parameters_, one.parameters_)


def test_early_stopping_without_tol_does_not_warn_at_max_iter():
    X, y, val = parts(GDClassifier())
    model = GDClassifier(max_iter=3, tol=None, early_stopping=True).fit(X, y, **val)
    assert "max_iter" in model.stop_reason_  # a warning would be an error here


def test_partial_fit_stops_early_without_tol():
    X, y, val = parts(GDClassifier())
    model = GDClassifier(tol=None, early_stopping=True, scoring="accuracy", n_iter_no_change=3)
    for _ in range(200):
        model.partial_fit(X, y, classes=[0, 1], **val)
        if model.stop_reason_.startswith("stopped early"):
            break
    scores = model.validation_scores_
    assert len(scores) < 200 and max(scores[-3:]) <= max(scores[:-3])


# --------------------------------------------------------------------- scorers that do not work


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_scorer_that_cannot_work_is_found_before_the_first_step(optimizer):
    X, y, val = parts(GDClassifier())
    model = GDClassifier(optimizer=optimizer, scoring=fails_from(0)).fit(X, y)
    attributes = dict(vars(model))
    with pytest.raises(RuntimeError, match="no score"):
        model.fit(X, y, **val)
    assert vars(model).keys() == attributes.keys()
    assert all(vars(model)[name] is value for name, value in attributes.items())
    fresh = GDRegressor(scoring="roc_auc")
    X, y, val = parts(fresh)
    with pytest.raises(AttributeError, match="predict_proba"):
        fresh.partial_fit(X, y, **val)
    assert not hasattr(fresh, "n_iter_")


def fails_from(call):
    calls = []

    def score(estimator, X, y):
        calls.append(1)
        if len(calls) > call:
            raise RuntimeError("no score")
        return 0.5

    return score


@every_model
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_scorer_that_fails_later_leaves_lists_of_equal_length(model, optimizer):
    X, y, val = parts(model)
    model = clone(model).set_params(optimizer=optimizer, scoring=fails_from(1 + 2), tol=None)
    with pytest.raises(RuntimeError, match="no score"):
        model.fit(X, y, **val)
    lengths = {name: len(values) for name, values in model.history_.items()}
    assert set(lengths.values()) == {3} and model.n_iter_ == 3 == len(model.loss_curve_)
    assert len(model.validation_scores_) == 3 and np.isnan(model.validation_scores_[-1])
    assert model.predict(X).shape == y.shape


@every_model
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_score_that_is_nan_is_no_improvement(model, optimizer):
    X, y, val = parts(model)
    scores = iter([0.0, 0.1, 0.2, np.nan, 0.15, np.inf, np.nan])  # the first is before training
    model = clone(model).set_params(
        optimizer=optimizer, scoring=lambda *_: next(scores), early_stopping=True, tol=0,
        n_iter_no_change=4, random_state=0,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="score is nan in epoch 3") as caught:
        model.fit(X, y, **val)
    assert len(caught) == 1
    assert model.n_iter_ == 6 and model.stop_reason_.startswith("stopped early")
    best = clone(model).set_params(max_iter=2, early_stopping=False, scoring="loss", tol=None)
    assert_array_equal(model.parameters_, best.fit(X, y, **val).parameters_)


# ------------------------------------------------------------------------ rows to judge by only


def mean_squares(y, raw):
    return np.mean((y - raw) ** 2)


def test_weights_of_validation_rows_need_a_loss_of_each_row():
    X, y, val = parts(GDRegressor())
    model = GDRegressor(mean_squares, max_iter=3, tol=None)
    weight = np.ones(len(val["y_val"]))
    for learn in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=r"sample_weight_val cannot be used.*one number"):
            learn(X, y, **val, sample_weight_val=weight)
    assert not hasattr(model, "n_iter_")
    assert len(model.fit(X, y, **val).validation_loss_curve_) == 3


def test_counts_to_judge_by_may_all_be_zero():
    X, y, val = parts(GDRegressor())
    model = GDRegressor("poisson", max_iter=5, tol=None)
    none = np.zeros(len(val["y_val"]))
    model.fit(X, y, X_val=val["X_val"], y_val=none)
    half_deviance = mean_poisson_deviance(none, model.predict(val["X_val"])) / 2
    assert_allclose(model.validation_loss_curve_[-1], half_deviance)
    with pytest.raises(ValueError, match=r"X_val, y_val: .*y >= 0"):
        model.fit(X, y, X_val=val["X_val"], y_val=none - 1)
    with pytest.raises(ValueError, match="positive sum"):
        model.fit(X, 0 * y)
