"""scikit-learn's contract: its own checks, its own tools, with no expected failure."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import has_fit_parameter

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.activations import ACTIVATIONS
from skgd.constraints import Box
from skgd.gradients import GRADIENTS, Numeric
from skgd.losses import LOSSES, Huber, losses_for
from skgd.optimizers import LBFGS, OPTIMIZERS, Adam, Momentum
from skgd.penalties import PENALTIES
from skgd.penalties import ElasticNet as ElasticNetPenalty
from skgd.schedules import SCHEDULES, StepDecay

LINEAR = (GDRegressor, GDClassifier)
NETWORKS = (MLPBackpropRegressor, MLPBackpropClassifier)
ESTIMATORS = LINEAR + NETWORKS
CLASSIFIERS = (GDClassifier, MLPBackpropClassifier)

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


def make(estimator, **settings):
    if estimator in NETWORKS:
        settings = {"hidden_layer_sizes": (30,)} | settings
    return estimator(**settings)


def data(estimator):
    if estimator in CLASSIFIERS:
        X, y = load_iris(return_X_y=True)
    else:
        X, y = load_diabetes(return_X_y=True)
        X, y = X[:200], y[:200]
    return scale(X), y


# --------------------------------------------------------------------- scikit-learn's own checks


def is_slow(estimator, gradient, optimizer):
    """Measured gradients take long; those with momentum stay among the quick tests."""
    if gradient != "numeric" or estimator is GDRegressor:
        return False
    return estimator is MLPBackpropClassifier or optimizer != "momentum"


def combinations():
    for estimator in ESTIMATORS:
        for gradient in GRADIENTS:
            for optimizer in ("sgd", "momentum", "adam"):
                slow = is_slow(estimator, gradient, optimizer)
                hidden = {}
                if estimator in NETWORKS:  # each unit costs a measurement twenty evaluations of J
                    size = 30 if gradient != "numeric" else 8 if slow else 2
                    hidden = {"hidden_layer_sizes": (size,)}
                    if slow:  # a difference across a kink of relu is off by more than 1e-7
                        hidden["activation"] = "tanh"
                yield estimator(gradient=gradient, optimizer=optimizer, **hidden), slow


COMBINATIONS = list(combinations())
OTHER_ROWS = [
    # A solver's long search over a network makes visible numbers of rounding errors.
    make(estimator, optimizer=name, max_iter=50 if OPTIMIZERS[name] is LBFGS else 200)
    for estimator in ESTIMATORS
    for name in OPTIMIZERS
    if name not in ("sgd", "momentum", "adam")
]
OTHER_SETTINGS = [
    setting
    for estimator in ESTIMATORS
    for setting in (
        make(estimator, learning_rate=0.01),
        make(estimator, batch_size=None, penalty="l1", average=True),
        make(estimator, constraint=Box(-1e3, 1e3), average="ema", clip_value=10.0),
    )
] + [
    MLPBackpropClassifier((10,), "tanh", direct_links=True, init="orthogonal", max_iter=100),
    MLPBackpropRegressor((10,), np.tanh, direct_links=True, init="lecun", max_iter=100),
    MLPBackpropClassifier(
        (10,), "tanh", out_activation="logistic", loss="squared_error", max_iter=300
    ),
]


@parametrize_with_checks([make(estimator) for estimator in ESTIMATORS])
def test_defaults(estimator, check):
    check(estimator)


@parametrize_with_checks([MLPBackpropRegressor(), MLPBackpropClassifier()])
@pytest.mark.slow
def test_defaults_of_networks_at_full_size(estimator, check):
    check(estimator)


@parametrize_with_checks([model for model, slow in COMBINATIONS if not slow])
def test_every_gradient_source(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([model for model, slow in COMBINATIONS if slow])
def test_every_gradient_source_where_it_takes_long(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(OTHER_ROWS)
def test_every_optimizer(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(OTHER_SETTINGS)
def test_other_settings(estimator, check):
    check(estimator)


def test_combinations_are_complete():
    assert len(COMBINATIONS) == len(ESTIMATORS) * len(GRADIENTS) * 3
    assert len(OTHER_ROWS) == len(ESTIMATORS) * (len(OPTIMIZERS) - 3)


# ---------------------------------------------------------------------- parameters and pickles


@every_estimator
def test_kind_and_parameters(estimator):
    model = make(estimator)
    assert is_classifier(model) == (estimator in CLASSIFIERS)
    assert is_regressor(model) != is_classifier(model)
    assert has_fit_parameter(model, "sample_weight")
    assert clone(model).get_params() == model.get_params()
    positional = {"loss": "x"} if estimator in LINEAR else {"hidden_layer_sizes": (1,)}
    assert estimator(*positional.values()).get_params() == estimator(**positional).get_params()
    with pytest.raises(TypeError):
        estimator(*range(3))  # the rest is given by name


@every_estimator
def test_nested_parameters_of_components(estimator):
    model = make(
        estimator,
        optimizer=Adam(),
        gradient=Numeric(),
        schedule=StepDecay(),
        penalty=ElasticNetPenalty(),
    )
    nested = {
        "optimizer__beta_1": 0.5,
        "gradient__method": "2-point",
        "penalty__l1_ratio": 0.7,
    }
    model.set_params(**nested)
    assert {name: model.get_params()[name] for name in nested} == nested
    assert model.optimizer.beta_1 == 0.5
    copy = clone(model)
    assert copy.optimizer is not model.optimizer and copy.optimizer.beta_1 == 0.5
    assert repr(Adam(beta_1=0.5)) in repr(model)
    with pytest.raises(ValueError, match="beta_7"):
        model.set_params(optimizer__beta_7=1)
    # a new component and its setting in one call
    model.set_params(optimizer=Momentum(), optimizer__momentum=0.3)
    assert model.optimizer.momentum == 0.3


@every_estimator
@pytest.mark.parametrize("name", ["optimizer__beta_1", "gradient__method", "loss__delta"])
def test_nested_parameters_need_an_object(estimator, name):
    """With a string there is nothing to set; the message says what to write."""
    component = name.split("__")[0]
    with pytest.raises((ValueError, TypeError)) as caught:
        make(estimator, optimizer="adam", gradient="numeric").set_params(**{name: 0.8})
    assert component in str(caught.value)
    if component == "optimizer":
        assert "Adam()" in str(caught.value)


@every_estimator
def test_nested_parameters_work_in_fit(estimator):
    X, y = data(estimator)
    settings = {"max_iter": 5, "tol": None, "random_state": 0}
    by_name = make(estimator, optimizer=Adam(), **settings).set_params(optimizer__beta_1=0.2)
    given = make(estimator, optimizer=Adam(beta_1=0.2), **settings)
    default = make(estimator, optimizer="adam", **settings)
    theta = [model.fit(X, y).parameters_ for model in (by_name, given, default)]
    assert_array_equal(theta[0], theta[1])
    assert not np.allclose(theta[0], theta[2])


@every_estimator
def test_pickle(estimator):
    X, y = data(estimator)
    model = make(estimator, max_iter=5, tol=None).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict(X), model.predict(X))
    assert_array_equal(copy.parameters_, model.parameters_)
    assert copy.get_params() == model.get_params()
    assert not hasattr(clone(model), "n_iter_")


WRONG = [
    ("loss", "squared_eror"),
    ("loss", 3),
    ("optimizer", "adamm"),
    ("optimizer", Adam),
    ("optimizer", Adam(beta_1=1.5)),
    ("gradient", "backpropagation"),
    ("gradient", Numeric(method="4-point")),
    ("schedule", "cosin"),
    ("penalty", "l3"),
    ("learning_rate", -0.1),
    ("learning_rate", 0.0),
    ("learning_rate", np.nan),
    ("learning_rate", "adaptive"),
    ("learning_rate", True),
    ("alpha", -1.0),
    ("l1_ratio", 1.5),
    ("batch_size", 0),
    ("batch_size", 1.5),
    ("batch_size", "full"),
    ("max_iter", 0),
    ("max_iter", 2.5),
    ("tol", -1.0),
    ("n_iter_no_change", 0),
    ("n_iter_no_change", "adaptive"),
    ("early_stopping", "yes"),
    ("validation_fraction", 1.0),
    ("clip_norm", 0.0),
    ("average", -1),
    ("warm_start", "no"),
    ("shuffle", None),
    ("verbose", -1),
]


@every_estimator
@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda v: str(v))
def test_wrong_parameters_are_named_before_any_training(estimator, name, value):
    X, y = data(estimator)
    model = make(estimator, **{name: value})
    with pytest.raises((ValueError, TypeError)) as caught:
        model.fit(X, y)
    message = str(caught.value)
    settings = {"optimizer": "beta_1", "gradient": "method"}
    assert name in message or settings.get(name, name) in message
    assert not hasattr(model, "n_iter_")


def test_the_nearest_right_word_is_named():
    X, y = data(GDRegressor)
    for name, wrong, right in (
        ("optimizer", "adamm", "adam"),
        ("loss", "hubber", "huber"),
        ("gradient", "backprob", "backprop"),
        ("schedule", "cosin", "cosine"),
        ("penalty", "l22", "l2"),
    ):
        with pytest.raises(ValueError, match=f"[\"']{right}[\"']"):
            GDRegressor(**{name: wrong}).fit(X, y)
    with pytest.raises(ValueError, match="schedule"):
        GDRegressor(learning_rate="invscaling").fit(X, y)
    with pytest.raises(ValueError, match="log_loss"):
        GDRegressor(loss="log_loss").fit(X, y)
    with pytest.raises(ValueError, match="huber"):
        GDClassifier(loss=Huber()).fit(*data(GDClassifier))


@pytest.mark.parametrize("estimator", NETWORKS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_layer_sizes", (3, 0)),
        ("hidden_layer_sizes", -2),
        ("hidden_layer_sizes", (2.5,)),
        ("hidden_layer_sizes", "big"),
        ("activation", "rellu"),
        ("activation", ["relu", "tanh"]),
        ("activation", 3),
    ],
)
def test_wrong_layers(estimator, name, value):
    X, y = data(estimator)
    with pytest.raises((ValueError, TypeError), match=name):
        make(estimator, **{name: value}).fit(X, y)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_wrong_classes(estimator):
    X, y = data(estimator)
    with pytest.raises(ValueError, match="class"):
        make(estimator).fit(X, np.zeros(len(y), dtype=int))
    with pytest.raises(ValueError, match="class_weight"):
        make(estimator, class_weight="balance").fit(X, y)
    with pytest.raises(ValueError, match="continuous"):
        make(estimator).fit(X, X[:, 0])


# ------------------------------------------------------------------------------ names and tables


@every_estimator
@pytest.mark.parametrize("table", [pd.DataFrame, pl.DataFrame])
def test_tables_with_names(estimator, table):
    X, y = data(estimator)
    names = [f"column {i}" for i in range(X.shape[1])]
    frame = pd.DataFrame(X, columns=names)
    frame = frame if table is pd.DataFrame else pl.from_pandas(frame)
    target = pd.Series(y) if table is pd.DataFrame else pl.Series(y)
    weight = np.linspace(0.5, 2, len(y))
    settings = {"max_iter": 5, "tol": None, "random_state": 0}
    model = make(estimator, **settings).fit(frame, target, weight)
    assert_array_equal(model.feature_names_in_, names)
    plain = make(estimator, **settings).fit(X, y, weight)
    assert_array_equal(model.parameters_, plain.parameters_)
    predictions = [model.predict(frame), plain.predict(X)]
    assert_allclose(*predictions, rtol=1e-12)  # a table may hold its columns one by one
    assert not hasattr(plain, "feature_names_in_")
    assert_allclose(model.loss_and_gradient(frame, target)[0], plain.loss_and_gradient(X, y)[0])
    swapped = frame[names[::-1]]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(swapped)
    with pytest.warns(UserWarning, match="feature names"):
        model.predict(X)
    model.partial_fit(frame, target)
    early = make(estimator, early_stopping=True, scoring=None, **settings).fit(frame, target)
    assert_array_equal(early.feature_names_in_, names)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
@pytest.mark.parametrize("kind", ["strings", "negative", "bool", "categories", "floats"])
def test_labels_of_any_kind(estimator, kind):
    X, y = data(estimator)
    labels = {
        "strings": np.array(["setosa", "versicolor", "virginica"], dtype=object)[y],
        "negative": np.array([-7, 3, 100])[y],
        "bool": y > 0,
        "categories": pd.Series(pd.Categorical.from_codes(y, ["a", "b", "c"])),
        "floats": np.array([0.0, 1.0, 5.0])[y],
    }[kind]
    model = make(estimator, random_state=0).fit(X, labels)
    assert_array_equal(model.classes_, np.unique(labels))
    out = model.predict(X)
    assert set(out) <= set(model.classes_)
    assert np.mean(out == np.asarray(labels)) > 0.9


# ---------------------------------------------------------------------------------- the tools


def test_grid_search_over_the_three_parts():
    X, y = load_breast_cancer(return_X_y=True)
    pipeline = Pipeline(
        [("scale", StandardScaler()), ("learn", GDClassifier(max_iter=20, random_state=0))]
    )
    grid = {
        "learn__gradient": ["analytic", "backprop", "numeric"],
        "learn__optimizer": ["momentum", "adam"],
        "learn__learning_rate": ["auto", 0.01],
    }
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.95
    results = pd.DataFrame(search.cv_results_)
    assert len(results) == 12
    # who computes the gradient makes no difference to what is learned
    by_source = results.pivot_table(
        index="param_learn__gradient",
        columns=["param_learn__optimizer", "param_learn__learning_rate"],
        values="mean_test_score",
    ).to_numpy()
    assert_allclose(by_source[1:], by_source[[0, 0]], atol=0.01)


def test_grid_search_over_nested_parameters_of_objects():
    X, y = load_iris(return_X_y=True)
    model = MLPBackpropClassifier((4,), optimizer=Adam(), max_iter=30, random_state=0)
    grid = {
        "mlpbackpropclassifier__optimizer__beta_1": [0.5, 0.9],
        "mlpbackpropclassifier__learning_rate": [1e-4, 1e-2, 1.0, 1e3],
    }
    pipeline = make_pipeline(StandardScaler(), model)
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.9


@pytest.mark.parametrize("estimator", LINEAR)
def test_grid_search_over_hopeless_rates(estimator):
    X, y = data(estimator)
    grid = {"learning_rate": np.logspace(-4, 3, 8), "optimizer": ["sgd", "momentum", "adam"]}
    search = GridSearchCV(estimator(max_iter=50), grid, cv=2, error_score="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@every_estimator
def test_cross_validation(estimator):
    X, y = data(estimator)
    model = make_pipeline(StandardScaler(), make(estimator, random_state=0))
    scores = cross_val_score(model, X, y, cv=3)
    assert scores.min() > (0.85 if estimator in CLASSIFIERS else 0.0)
    assert cross_val_predict(model, X, y, cv=3).shape == y.shape


@pytest.mark.parametrize("estimator", CLASSIFIERS)
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_calibration(estimator, loss):
    X, y = data(estimator)
    model = make(estimator, loss=loss, random_state=0)
    assert hasattr(model, "predict_proba") == (loss == "log_loss")
    calibrated = CalibratedClassifierCV(model, cv=3).fit(X, y)
    assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)
    assert calibrated.score(X, y) > 0.85


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_one_against_the_rest(estimator):
    X, y = data(estimator)
    model = OneVsRestClassifier(make(estimator, random_state=0)).fit(X, y)
    assert len(model.estimators_) == 3 and model.score(X, y) > 0.85
    alone = make(estimator, random_state=0).fit(X, (y == 2).astype(int))
    assert_array_equal(model.estimators_[2].parameters_, alone.parameters_)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_several_targets_of_classes(estimator):
    X, y = data(estimator)
    Y = np.column_stack([y, y > 0])
    model = MultiOutputClassifier(make(estimator, random_state=0)).fit(X, Y)
    assert model.score(X, Y) > 0.8
    assert [p.shape for p in model.predict_proba(X)] == [(150, 3), (150, 2)]
    model = MultiOutputClassifier(make(estimator)).partial_fit(X, Y, [[0, 1, 2], [0, 1]])
    assert model.predict(X).shape == Y.shape


@pytest.mark.parametrize("estimator", [GDRegressor, MLPBackpropRegressor])
def test_several_targets_of_numbers(estimator):
    X, y = data(estimator)
    Y = np.column_stack([y, 3 * X[:, 0]])
    model = MultiOutputRegressor(make(estimator, random_state=0)).fit(X, Y)
    assert model.predict(X).shape == Y.shape and model.score(X, Y) > 0.4
    assert_array_equal(
        model.estimators_[1].parameters_,
        make(estimator, random_state=0).fit(X, Y[:, 1]).parameters_,
    )


@pytest.mark.parametrize("optimizer", ["nesterov", "adam", "lbfgs"])
def test_a_small_output_is_learned_beside_a_large_one(optimizer):
    """One target in hundreds, the other in units: J is a sum, and each is to be fitted."""
    X, y = data(GDRegressor)
    Y = np.column_stack([y, 3 * X[:, 0]])
    own = GDRegressor(optimizer=optimizer, random_state=0).fit(X, Y)
    alone = GDRegressor(optimizer=optimizer, random_state=0).fit(X, Y[:, 1])
    reached = [r2_score(Y[:, 1], out) for out in (own.predict(X)[:, 1], alone.predict(X))]
    assert reached[0] > reached[1] - 0.1


def test_voting():
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    members = [
        ("gd", GDClassifier(random_state=0)),
        ("mlp", MLPBackpropClassifier((5,), max_iter=30, random_state=0)),
        ("reference", LogisticRegression()),
    ]
    for voting in ("hard", "soft"):
        assert VotingClassifier(members, voting=voting).fit(X, y).score(X, y) > 0.95


@pytest.mark.parametrize("estimator", LINEAR)
def test_selection_by_coefficients(estimator):
    X, y = data(estimator)
    alpha = 20.0 if estimator is GDRegressor else 0.1
    selector = SelectFromModel(estimator(penalty="l1", alpha=alpha, max_iter=1000), threshold=1e-9)
    kept = selector.fit(X, y).transform(X).shape[1]
    assert 0 < kept < X.shape[1]


# ------------------------------------------------------------------- every row, end to end


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_every_loss_row_is_a_working_estimator(loss, gradient):
    estimators = (GDRegressor, MLPBackpropRegressor)
    if loss in losses_for("classification"):
        estimators = CLASSIFIERS
    for estimator in estimators:
        X, y = data(estimator)
        settings = {"max_iter": 5, "tol": None, "random_state": 0, "gradient": gradient}
        if estimator in NETWORKS:
            settings["hidden_layer_sizes"] = (3,)
        by_name = make(estimator, loss=loss, **settings).fit(X, y)
        by_object = make(estimator, loss=LOSSES[loss](), **settings).fit(X, y)
        assert_array_equal(by_name.parameters_, by_object.parameters_)
        assert np.isfinite(by_name.score(X, y))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_row_fits_with_default_settings(loss):
    estimator = GDRegressor if loss in losses_for("regression") else GDClassifier
    X, y = data(estimator)
    model = estimator(loss, random_state=0).fit(X, y)
    assert "diverged" not in model.stop_reason_
    assert model.score(X, y) > (0.3 if estimator is GDRegressor else 0.8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("estimator", NETWORKS)
def test_every_activation_row_is_a_working_estimator(activation, estimator):
    X, y = data(estimator)
    settings = {"max_iter": 10, "tol": None, "random_state": 0}
    by_name = estimator((5, 4), activation, **settings).fit(X, y)
    row = ACTIVATIONS[activation]()
    for given in (row, [activation, row]):
        model = estimator((5, 4), given, **settings).fit(X, y)
        assert_array_equal(model.parameters_, by_name.parameters_)
    assert by_name.loss_curve_[-1] < by_name.loss_curve_[0]


@every_estimator
def test_every_other_row_is_a_working_estimator(estimator):
    X, y = data(estimator)
    settings = {"max_iter": 5, "tol": None, "random_state": 0}
    for name, row in SCHEDULES.items():
        model = make(estimator, schedule=name, **settings).fit(X, y)
        other = make(estimator, schedule=row(), **settings).fit(X, y)
        assert_array_equal(model.parameters_, other.parameters_)
    for name in PENALTIES:
        model = make(estimator, penalty=name, alpha=0.1, **settings).fit(X, y)
        other = make(estimator, penalty=PENALTIES[name](), alpha=0.1, **settings).fit(X, y)
        assert_array_equal(model.parameters_, other.parameters_)
    for name, row in GRADIENTS.items():
        model = make(estimator, gradient=row(), **settings).fit(X, y)
        assert model.gradient_ == name
