"""Bad parameters and bad data: a clear error before any training, or a model that works."""

import copy
import fractions

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.linear_model import LinearRegression

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.activations import ReLU, Tanh
from skgd.averaging import EMA, Mean
from skgd.constraints import Box
from skgd.gradients import Analytic, Numeric
from skgd.losses import Focal, Huber, LogLoss
from skgd.optimizers import LBFGS, Adam, Momentum
from skgd.penalties import L2, ElasticNet
from skgd.schedules import Constant, Cosine

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = X @ [1.0, 2.0, 3.0] + 1.0
BINARY = (Y > 1).astype(int)
THREE = np.digitize(Y, [-1.0, 2.0])
REGRESSORS = (GDRegressor, MLPBackpropRegressor)
CLASSIFIERS = (GDClassifier, MLPBackpropClassifier)
ESTIMATORS = REGRESSORS + CLASSIFIERS
NETWORKS = (MLPBackpropClassifier, MLPBackpropRegressor)

each_estimator = pytest.mark.parametrize("cls", ESTIMATORS)
each_regressor = pytest.mark.parametrize("cls", REGRESSORS)
each_classifier = pytest.mark.parametrize("cls", CLASSIFIERS)


def make(cls, **settings):
    """Build a small, quick estimator with a fixed seed."""
    if cls in NETWORKS:
        settings.setdefault("hidden_layer_sizes", (5,))
    return cls(**{"max_iter": 20, "random_state": 0, **settings})


def target(cls):
    return BINARY if cls in CLASSIFIERS else Y


def first_call(cls, y=None):
    """Keywords of a first partial_fit."""
    y = target(cls) if y is None else y
    return {"classes": np.unique(y)} if cls in CLASSIFIERS else {}


def refusal(call):
    """Text of the error that `call` raises because of what it was given; None if it runs."""
    try:
        call()
    except (ValueError, TypeError) as error:
        return str(error)
    return None


def message_of(model, *data, error=(ValueError, TypeError), method="fit", **keywords):
    """Text of the error, which must come before anything was learned."""
    with pytest.raises(error) as caught:
        getattr(model, method)(*(data or (X, target(type(model)))), **keywords)
    assert not hasattr(model, "n_iter_"), "the error came after the training had begun"
    assert not hasattr(model, "stop_reason_")
    return str(caught.value)


# ----------------------------------------------------------------------------- numbers and flags

NAN, INF = float("nan"), float("inf")
NOT_A_NUMBER = ["a", [1], (), {}, 1j, True, np.True_, object, np.array(0.5)]
REALS = {
    "alpha": [-1, -0.5, NAN, INF, None],
    "l1_ratio": [-1, 1.5, NAN, INF, None],
    "learning_rate": [0, -1, 0.0, NAN, INF, None],
    "tol": [-1, NAN, INF],
    "validation_fraction": [0, 1, 0.0, 1.0, -0.5, 1.5, NAN, None],
    "clip_norm": [0, -1, NAN, INF],
    "clip_value": [0, -1, NAN, INF],
}
WHOLE = {
    "max_iter": [0, -1, 1.5, 5.0, NAN, INF, None, np.float64(3.0)],
    "n_iter_no_change": [0, -1, 1.5, NAN, INF, None, "Auto", "5"],
}
FLAGS = {
    "warm_start": [None, 0, 1, "yes", NAN, "auto"],
    "shuffle": [None, 0, 1, "yes"],
    "fit_intercept": [None, 0, 1, "yes"],
    "early_stopping": [None, 0, 1, "yes", "Auto", NAN],
}
OTHERS = {
    "batch_size": [0, -1, 0.0, -0.5, 1.5, NAN, INF, "a", "full", [1], True, np.True_, 1j],
    "constraint": [1, NAN, [], object, "", "negative", (0, 1), L2(), Adam()],
    "average": [-1, 1.5, 2.0, "yes", None, NAN, [], {}, object, L2(), Adam()],
    "dropout": [-0.1, 1, 1.0, NAN, INF, None, "a", True, [0.5, 0.5], [1.5], (), {}, 1j],
    "verbose": [-1, 1.5, "x", None],
    "random_state": ["a", -1, 1.5, NAN, [1], {}, np.random.default_rng(0)],
    "loss": [None, 1, NAN, [], {}, object, "", "nothing_of_that_kind", Adam(), L2()],
    "gradient": [None, 1, NAN, [], object, "", "autograd", Adam(), Cosine()],
    "optimizer": [None, 1, NAN, [], object, "", "newton", Cosine(), L2(), Analytic()],
    "schedule": [None, 1, NAN, [], object, "", "linear", Adam(), L2(), Analytic(), Tanh],
    "penalty": [1, NAN, [], object, "", "none", "l3", Huber(), Adam()],
}
BAD = [
    (name, value)
    for table, more in ((REALS, NOT_A_NUMBER), (WHOLE, NOT_A_NUMBER), (FLAGS, []), (OTHERS, []))
    for name, values in table.items()
    for value in [*values, *more]
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{n}={v!r:.20}" for n, v in BAD])
@pytest.mark.parametrize("cls", [GDRegressor, MLPBackpropClassifier])
def test_a_bad_setting_is_named(cls, name, value):
    if name not in cls().get_params():
        pytest.skip("not a parameter of this estimator")
    assert name in message_of(make(cls, **{name: value}))


@pytest.mark.parametrize("name", [*REALS, *WHOLE, "average", "verbose"])
@pytest.mark.parametrize("value", [10**400, fractions.Fraction(-1, 3)])
def test_exotic_numbers_are_named_too(name, value):
    assert name in message_of(make(GDRegressor, **{name: value}))


@pytest.mark.parametrize("name", ["batch_size", "max_iter", "average", "alpha"])
def test_the_error_says_what_the_parameter_takes(name):
    message = message_of(make(GDRegressor, **{name: -2}))
    assert "takes" in message and "-2" in message


def test_a_batch_size_that_is_a_float_is_told_both_forms():
    message = message_of(make(GDRegressor, batch_size=5.0))
    assert "5.0" in message and "(0, 1]" in message and "whole number" in message


GOOD = [
    ("alpha", np.float32(0.1)),
    ("alpha", np.int64(1)),
    ("alpha", 0),
    ("l1_ratio", np.float32(0.5)),
    ("learning_rate", np.float32(0.1)),
    ("learning_rate", np.float16(0.1)),
    ("learning_rate", np.str_("auto")),
    ("tol", np.float32(1e-3)),
    ("tol", None),
    ("tol", 0),
    ("validation_fraction", np.float32(0.25)),
    ("clip_norm", np.int64(5)),
    ("clip_norm", np.float32(0.5)),
    ("clip_value", np.float32(0.5)),
    ("constraint", np.str_("positive")),
    ("constraint", Box(np.float32(-0.5), np.int64(1))),
    ("max_iter", np.int64(5)),
    ("max_iter", np.uint8(5)),
    ("n_iter_no_change", np.int32(5)),
    ("n_iter_no_change", np.str_("auto")),
    ("batch_size", np.int64(8)),
    ("batch_size", np.float32(0.25)),
    ("batch_size", 1),
    ("batch_size", 1.0),
    ("batch_size", 1e-9),
    ("batch_size", 10**10),
    ("dropout", np.float32(0.5)),
    ("dropout", 0),
    ("dropout", [np.float64(0.5)]),
    ("average", np.True_),
    ("average", np.False_),
    ("average", np.int64(10)),
    ("average", "mean"),
    ("average", np.str_("ema")),
    ("average", EMA(decay=np.float32(0.5))),
    ("average", Mean(after=np.int64(5))),
    ("warm_start", np.True_),
    ("shuffle", np.False_),
    ("fit_intercept", np.False_),
    ("early_stopping", np.True_),
    ("early_stopping", np.str_("auto")),
    ("verbose", np.False_),
    ("random_state", np.int64(3)),
    ("random_state", np.random.RandomState(3)),
]


@pytest.mark.parametrize(("name", "value"), GOOD, ids=[f"{n}={v!r:.20}" for n, v in GOOD])
@each_estimator
def test_numpy_scalars_are_taken(cls, name, value):
    if name not in cls().get_params():
        pytest.skip("not a parameter of this estimator")
    model = make(cls, **{name: value}).fit(X, target(cls))
    assert np.isfinite(model.parameters_).all()


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("average", np.False_, False),
        ("average", np.True_, True),
        ("shuffle", np.False_, False),
        ("fit_intercept", np.False_, False),
        ("early_stopping", np.True_, True),
        ("batch_size", np.int64(8), 8),
        ("learning_rate", np.float64(0.1), 0.1),
    ],
)
def test_a_numpy_scalar_means_what_the_plain_one_means(name, value, plain):
    one = make(GDRegressor, **{"batch_size": 8, name: value}).fit(X, Y)
    other = make(GDRegressor, **{"batch_size": 8, name: plain}).fit(X, Y)
    np.testing.assert_array_equal(one.parameters_, other.parameters_)


def test_lbfgs_takes_a_numpy_false():
    make(GDRegressor, optimizer="lbfgs", average=np.False_).fit(X, Y)


# ----------------------------------------------------------------------------- names and components


@pytest.mark.parametrize(
    ("cls", "settings", "near"),
    [
        (GDRegressor, {"loss": "squared_eror"}, "squared_error"),
        (GDRegressor, {"loss": "squared"}, "squared_error"),
        (GDClassifier, {"loss": "logloss"}, "log_loss"),
        (GDClassifier, {"loss": "log-loss"}, "log_loss"),
        (GDRegressor, {"optimizer": "adm"}, "adam"),
        (GDRegressor, {"optimizer": "Adam"}, "adam"),
        (GDRegressor, {"optimizer": "SGD"}, "sgd"),
        (GDRegressor, {"gradient": "back-prop"}, "backprop"),
        (GDRegressor, {"gradient": "analytical"}, "analytic"),
        (GDRegressor, {"schedule": "cosin"}, "cosine"),
        (GDRegressor, {"penalty": "L1"}, "l1"),
        (GDRegressor, {"penalty": "elastic-net"}, "elasticnet"),
        (GDRegressor, {"batch_size": "Auto"}, "auto"),
        (GDClassifier, {"class_weight": "balance"}, "balanced"),
        (MLPBackpropClassifier, {"activation": "rellu"}, "relu"),
        (MLPBackpropClassifier, {"activation": "RELU"}, "relu"),
        (MLPBackpropClassifier, {"activation": "sigmoid"}, "logistic"),
    ],
)
def test_the_nearest_right_name_is_named(cls, settings, near):
    (name,) = settings
    message = message_of(make(cls, **settings))
    assert name in message
    assert repr(near) in message


@pytest.mark.parametrize("near", ["relu", "sgd"])
def test_a_wrong_case_gets_a_hint(near):
    if near == "relu":
        message = message_of(make(MLPBackpropClassifier, activation="RELU"))
    else:
        message = message_of(make(GDRegressor, optimizer="SGD"))
    assert f"Did you mean {near!r}?" in message


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (GDRegressor, {"optimizer": Adam}),
        (GDRegressor, {"optimizer": LBFGS}),
        (GDRegressor, {"loss": Huber}),
        (GDRegressor, {"gradient": Numeric}),
        (GDRegressor, {"schedule": Cosine}),
        (GDRegressor, {"penalty": ElasticNet}),
        (MLPBackpropClassifier, {"activation": ReLU}),
    ],
)
def test_a_class_instead_of_an_object(cls, settings):
    ((name, value),) = settings.items()
    message = message_of(make(cls, **settings), error=TypeError)
    assert name in message and f"{value.__name__}()" in message


@pytest.mark.parametrize(
    ("settings", "inner"),
    [
        ({"optimizer": Adam(beta_1=2)}, "beta_1"),
        ({"optimizer": Adam(beta_1="a")}, "beta_1"),
        ({"optimizer": Adam(epsilon=0)}, "epsilon"),
        ({"optimizer": Adam(epsilon=NAN)}, "epsilon"),
        ({"optimizer": Momentum(momentum=1)}, "momentum"),
        ({"optimizer": LBFGS(memory=0)}, "memory"),
        ({"schedule": Cosine(final=2)}, "final"),
        ({"schedule": Cosine(n_steps=0)}, "n_steps"),
        ({"loss": Huber(delta=-1)}, "delta"),
        ({"loss": Huber(delta=NAN)}, "delta"),
        ({"gradient": Numeric(method="4-point")}, "method"),
        ({"gradient": Numeric(rel_step=-1)}, "rel_step"),
        ({"penalty": ElasticNet(l1_ratio=3)}, "l1_ratio"),
    ],
)
def test_a_setting_of_a_component_out_of_its_range(settings, inner):
    assert inner in message_of(make(GDRegressor, **settings))


def test_a_setting_of_a_component_found_by_a_search():
    model = make(GDRegressor, optimizer=Adam()).set_params(optimizer__beta_1=-0.1)
    assert "beta_1" in message_of(model)
    assert "gamma" in message_of(make(GDClassifier, loss=Focal(gamma=-1)))


@pytest.mark.parametrize("loss", ["log_loss", "hinge", LogLoss()])
@each_regressor
def test_loss_of_the_other_task_in_a_regressor(cls, loss):
    message = message_of(make(cls, loss=loss))
    assert "loss" in message and "squared_error" in message and "classification" in message


@pytest.mark.parametrize("loss", ["squared_error", "poisson", Huber()])
@each_classifier
def test_loss_of_the_other_task_in_a_classifier(cls, loss):
    message = message_of(make(cls, loss=loss))
    assert "loss" in message and "log_loss" in message and "regression" in message


@pytest.mark.parametrize("word", ["adaptive", "invscaling", "constant", "optimal", "cosine"])
def test_a_schedule_given_as_learning_rate(word):
    message = message_of(make(GDClassifier, learning_rate=word))
    assert "learning_rate" in message and "schedule=" in message


@pytest.mark.parametrize(
    "settings",
    [
        {"clip_norm": 1.0},
        {"average": True},
        {"average": 10},
        {"schedule": "cosine"},
        {"schedule": lambda step, n_steps: 1.0},
        {"batch_size": 10},
        {"batch_size": 0.5},
    ],
)
@pytest.mark.parametrize("optimizer", ["lbfgs", LBFGS()])
def test_what_lbfgs_cannot_do(optimizer, settings):
    message = message_of(make(GDRegressor, optimizer=optimizer, **settings))
    assert "lbfgs" in message.lower()
    assert next(iter(settings)) in message


@each_estimator
def test_lbfgs_has_no_partial_fit(cls):
    model = make(cls, optimizer="lbfgs")
    with pytest.raises(AttributeError, match="partial_fit") as caught:
        model.partial_fit(X, target(cls), **first_call(cls))
    assert "lbfgs" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "settings", [{"batch_size": 10}, {"batch_size": 0.5}, {"schedule": "step"}]
)
def test_what_rprop_cannot_do(settings):
    message = message_of(make(GDRegressor, optimizer="rprop", **settings))
    assert "rprop" in message and next(iter(settings)) in message


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (GDRegressor, {"loss": "huber"}),
        (GDRegressor, {"loss": "absolute_error"}),
        (GDClassifier, {"loss": "hinge"}),
        (MLPBackpropClassifier, {"activation": "relu"}),
    ],
)
def test_no_complex_step_through_a_kink(cls, settings):
    message = message_of(make(cls, gradient=Numeric(method="cs"), **settings))
    assert "cs" in message and "3-point" in message


@pytest.mark.parametrize("scoring", ["acuracy", 5, [], object()])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_unknown_scoring(scoring, early_stopping):
    model = make(GDClassifier, scoring=scoring, early_stopping=early_stopping)
    assert "scoring" in message_of(model)


@each_estimator
def test_unknown_keywords_and_attributes(cls):
    with pytest.raises(TypeError, match="learn_rate"):
        cls(learn_rate=0.1)
    with pytest.raises(ValueError, match="learn_rate"):
        cls().set_params(learn_rate=0.1)
    with pytest.raises(AttributeError, match="coefficients_"):
        _ = make(cls).fit(X, target(cls)).coefficients_


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"optimizer": "adam", "optimizer__beta_1": 0.5}, "Adam()"),
        ({"schedule": "cosine", "schedule__final": 0.5}, "Cosine()"),
        ({"gradient": "numeric", "gradient__method": "cs"}, "Numeric()"),
    ],
)
@each_estimator
def test_a_nested_setting_of_a_name_is_told_to_use_an_object(cls, settings, advice):
    (name, word), (nested, value) = settings.items()
    model = cls(**{name: word})
    with pytest.raises((ValueError, TypeError, AttributeError)) as caught:
        model.set_params(**{nested: value})
    assert name in str(caught.value) and advice in str(caught.value)


# ----------------------------------------------------------------------------- networks


WRONG_SIZES = [0, -1, "a", "10", 2.5, NAN, None, True, (True,), ((10,), 5), (4, 0), (4.0,)]
WRONG_SIZES += [[4, None], np.array(4.0), np.array([[4, 3]]), np.array([4.0, 3.0]), {4: 3}, {4, 3}]


@pytest.mark.parametrize("sizes", WRONG_SIZES, ids=repr)
@pytest.mark.parametrize("cls", NETWORKS)
def test_bad_hidden_layer_sizes(cls, sizes):
    assert "hidden_layer_sizes" in message_of(cls(sizes))


def test_a_generator_of_sizes_is_refused_or_used():
    model = MLPBackpropClassifier((n for n in (4, 3)), max_iter=2)
    message = refusal(lambda: model.fit(X, BINARY))
    if message is None:
        assert [W.shape for W in model.coefs_] == [(3, 4), (4, 3), (3, 1)]
    else:
        assert "hidden_layer_sizes" in message


@pytest.mark.parametrize(
    "sizes", [4, np.int64(4), (4,), [4], np.array([4]), (np.int32(4),), np.array([4], dtype="u1")]
)
def test_good_hidden_layer_sizes(sizes):
    model = MLPBackpropClassifier(sizes, max_iter=2, random_state=0).fit(X, BINARY)
    assert [W.shape for W in model.coefs_] == [(3, 4), (4, 1)]
    clone(model)


@pytest.mark.parametrize("sizes", [(), []])
def test_no_hidden_layer_is_the_linear_model(sizes):
    assert MLPBackpropClassifier(sizes, max_iter=2).fit(X, BINARY).n_layers_ == 2


WRONG_ACTIVATIONS = [["relu"], ["relu"] * 3, [], ["relu", None], ["relu", "xx"], None, 5, "", ReLU]
WRONG_ACTIVATIONS += [["relu", ReLU], {"relu": 1}]


@pytest.mark.parametrize("activation", WRONG_ACTIVATIONS, ids=repr)
def test_bad_activation(activation):
    model = MLPBackpropClassifier((4, 3), activation)
    assert "activation" in message_of(model)


@pytest.mark.parametrize("activation", [5, 0, "", "bad", ReLU])
def test_bad_activation_without_a_hidden_layer(activation):
    assert "activation" in message_of(MLPBackpropClassifier((), activation))


@pytest.mark.parametrize("activation", ["tanh", ["relu", "tanh"], ("tanh", ReLU()), Tanh()])
def test_good_activation(activation):
    MLPBackpropClassifier((4, 3), activation, max_iter=2).fit(X, BINARY)


# ----------------------------------------------------------------------------- class weights


WRONG_WEIGHTS = [{5: 1, 6: 1}, {0: 1, 7: 3}, {"0": 1, "1": 1}, {0: -1, 1: 1}, {0: NAN, 1: 1}]
WRONG_WEIGHTS += [{0: INF, 1: 1}, {0: "a", 1: 1}, {0: None, 1: 1}, {0: 0, 1: 0}]
WRONG_WEIGHTS += ["balance", [1, 2], 1, True]


@pytest.mark.parametrize("weights", WRONG_WEIGHTS, ids=repr)
@each_classifier
def test_bad_class_weight(cls, weights):
    message = message_of(make(cls, class_weight=weights))
    assert "class_weight" in message or "class" in message


@pytest.mark.parametrize("weights", [{0: 1, 1: 3}, {0: np.float32(2), 1: np.int64(1)}, {1: 3}])
@each_classifier
def test_good_class_weight(cls, weights):
    assert np.isfinite(make(cls, class_weight=weights).fit(X, BINARY).parameters_).all()


@each_classifier
def test_balanced_weights_need_all_rows(cls):
    model = make(cls, class_weight="balanced")
    message = message_of(model, X, BINARY, method="partial_fit", classes=[0, 1])
    assert "class_weight" in message and "partial_fit" in message


# ----------------------------------------------------------------------------- bad data


def with_value(array, value):
    array = np.array(array, dtype=float)
    array.flat[7] = value
    return array


@pytest.mark.parametrize("method", ["fit", "partial_fit", "initialize"])
@pytest.mark.parametrize(
    ("bad_X", "words"),
    [
        (X[:, 0], "1D array"),
        (X[None], "dim 3"),
        (X[:0], "0 sample"),
        (X[:, :0], "0 feature"),
        (with_value(X, NAN), "NaN"),
        (with_value(X, INF), "infinity"),
        (sparse.csr_array(with_value(X, NAN)), "NaN"),
        (sparse.csc_matrix(with_value(X, INF)), "infinity"),
        (X + 0j, "omplex"),
        (np.array([["a", "b", "c"]] * 40), "string"),
        (None, ""),
        ("abc", ""),
        (3.0, ""),
        ([[1.0, 2.0], [3.0]], ""),
    ],
)
@each_estimator
def test_bad_X(cls, bad_X, words, method):
    keywords = first_call(cls) if method == "partial_fit" else {}
    with np.errstate(all="ignore"):
        y = target(cls)[: 0 if words == "0 sample" else None]
        message = message_of(make(cls), bad_X, y, method=method, **keywords)
    assert words in message


@each_estimator
def test_lengths_that_do_not_agree(cls):
    assert "39" in message_of(make(cls), X, target(cls)[:-1])
    assert "39" in message_of(make(cls), X, target(cls), np.ones(39))


@pytest.mark.parametrize(
    "y",
    [
        with_value(Y, NAN),
        with_value(Y, INF),
        None,
        1.0,
        "abc",
        Y[:, None, None],
        np.array(["a", "b"] * 20),
        np.array([1.0, None] * 20, dtype=object),
        np.array([1.0, "b"] * 20, dtype=object),
        np.array([1.0, NAN] * 20, dtype=object),
        Y + 1j,
        sparse.csr_array(np.column_stack([Y, Y])),
    ],
    ids=lambda y: f"{type(y).__name__}-{getattr(y, 'dtype', '')}{getattr(y, 'shape', '')}",
)
@each_regressor
def test_bad_y_of_a_regressor(cls, y):
    message_of(make(cls), X, y)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (with_value(BINARY, NAN), "NaN"),
        (with_value(BINARY, INF), "infinity"),
        (None, "y"),
        (1.0, "y"),
        (np.column_stack([BINARY, 2 * BINARY]), "0 and 1 alone"),
        (Y, "ontinuous"),
        (np.ones(40), "class"),
        (np.array(["a"] * 40), "class"),
        (np.array([1, None] * 20, dtype=object), "label"),
        (np.array([1, "b"] * 20, dtype=object), "label"),
    ],
)
@each_classifier
def test_bad_y_of_a_classifier(cls, y, words):
    assert words in message_of(make(cls), X, y)


@pytest.mark.parametrize(
    ("loss", "y", "words"),
    [
        ("poisson", Y, "poisson"),
        ("poisson", np.zeros(40), "poisson"),
        ("gamma", Y, "gamma"),
        ("gamma", np.maximum(Y, 0.0), "gamma"),
    ],
)
@each_regressor
def test_targets_outside_the_loss(cls, loss, y, words):
    assert words in message_of(make(cls, loss=loss), X, y)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (-np.ones(40), "egative"),
        (with_value(np.ones(40), -1e-9), "egative"),
        (with_value(np.ones(40), NAN), "NaN"),
        (with_value(np.ones(40), INF), "infinity"),
        (np.zeros(40), "zero"),
        (np.ones((40, 2)), "1D"),
        (np.ones((40, 1)), "1D"),
        ("a", ""),
        (np.array(["a"] * 40), ""),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@each_estimator
def test_bad_sample_weight(cls, weight, words, method):
    keywords = first_call(cls) if method == "partial_fit" else {}
    model = make(cls)
    message = message_of(model, X, target(cls), method=method, sample_weight=weight, **keywords)
    assert words in message


@each_classifier
def test_weights_that_remove_a_class(cls):
    weight = np.where(BINARY == 0, 1.0, 0.0)
    assert "class" in message_of(make(cls), X, BINARY, weight)


@each_classifier
def test_weights_that_remove_one_class_of_three(cls):
    weight = np.where(THREE == 1, 0.0, 1.0)
    model = make(cls).fit(X, THREE, weight)
    np.testing.assert_array_equal(model.classes_, [0, 2])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300, 1e308])
@each_estimator
def test_only_the_ratio_of_weights_counts(cls, scale, dtype):
    features = X.astype(dtype)
    weight = RNG.uniform(0.5, 1.5, size=40)
    plain = make(cls, max_iter=3).fit(features, target(cls), weight)
    scaled = make(cls, max_iter=3).fit(features, target(cls), weight * scale)
    np.testing.assert_allclose(scaled.parameters_, plain.parameters_, rtol=1e-3, atol=1e-5)


# ----------------------------------------------------------------------------- data that is fine


@pytest.mark.parametrize(
    "labels",
    [
        BINARY.astype(bool),
        BINARY.astype(float),
        BINARY.astype("i1"),
        np.where(BINARY, "yes", "no"),
        np.where(BINARY, "yes", "no").astype(object),
        np.where(BINARY, -1, 1),
        BINARY * 1000 - 5,
        np.where(BINARY, 2.0**60, 0.0),
        list(BINARY),
    ],
)
@each_classifier
def test_labels_of_any_kind(cls, labels):
    model = make(cls, optimizer="lbfgs").fit(X, labels)
    assert set(model.predict(X)) <= set(np.asarray(labels))
    assert model.score(X, labels) > 0.8


@each_estimator
def test_a_column_of_targets_warns_like_scikit_learn(cls):
    with pytest.warns(match="column-vector"):
        model = make(cls).fit(X, target(cls)[:, None])
    assert model.predict(X).shape == (40,)


def layouts():
    read_only = X.copy()
    read_only.flags.writeable = False
    wide = np.zeros((80, 6))
    wide[::2, ::2] = X
    indices64 = sparse.csr_array(X)
    indices64.indices = indices64.indices.astype("i8")
    indices64.indptr = indices64.indptr.astype("i8")
    unsorted = sparse.csr_array(X)
    unsorted.indices = unsorted.indices.reshape(40, 3)[:, ::-1].ravel().copy()
    unsorted.data = unsorted.data.reshape(40, 3)[:, ::-1].ravel().copy()
    unsorted.has_sorted_indices = False
    return {
        "read-only": read_only,
        "fortran": np.asfortranarray(X),
        "strided": wide[::2, ::2],
        "reversed": X[::-1].copy()[::-1],
        "list": X.tolist(),
        "object": X.astype(object),
        "longdouble": X.astype(np.longdouble),
        "big-endian": X.astype(">f8"),
        "csr_matrix": sparse.csr_matrix(X),
        "csr_array": sparse.csr_array(X),
        "csr int64": indices64,
        "csr unsorted": unsorted,
        "csc_matrix": sparse.csc_matrix(X),
        "csc_array": sparse.csc_array(X),
        "coo": sparse.coo_array(X),
        "lil": sparse.lil_matrix(X),
        "dok": sparse.dok_array(X),
        "bsr": sparse.bsr_array(X),
        "dia": sparse.dia_matrix(X),
    }


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize("batch_size", [None, 16])
@each_estimator
def test_the_layout_of_X_does_not_matter(cls, layout, batch_size):
    settings = {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": batch_size, "max_iter": 5}
    expected = make(cls, **settings).fit(X, target(cls))
    given = layouts()[layout]
    before = copy.deepcopy(given)
    model = make(cls, **settings).fit(given, target(cls))
    np.testing.assert_allclose(model.parameters_, expected.parameters_, rtol=1e-9, atol=1e-12)
    automatic = make(cls, max_iter=5).fit(given, target(cls))
    assert np.isfinite(automatic.predict(given).astype(float)).all()
    unchanged = (given != before).nnz == 0 if sparse.issparse(given) else np.all(given == before)
    assert unchanged


@each_estimator
def test_a_memory_map(cls, tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    labels = target(cls).copy()
    labels.flags.writeable = False
    weight = np.ones(40)
    weight.flags.writeable = False
    expected = make(cls).fit(X, labels, weight)
    model = make(cls).fit(mapped, labels, weight)
    np.testing.assert_array_equal(model.parameters_, expected.parameters_)


@pytest.mark.parametrize("dtype", ["f2", "i1", "i8", "u1", "u8", "?"])
@each_estimator
def test_other_dtypes(cls, dtype):
    with np.errstate(invalid="ignore"):
        features = (np.abs(X) * 10).astype(dtype)
    model = make(cls).fit(features, target(cls))
    assert np.isfinite(model.parameters_).all()
    assert model.parameters_.dtype == np.float64


def shapes():
    return {
        "constant column": np.column_stack([X, np.ones(40)]),
        "all constant": np.ones((40, 3)),
        "all zero": np.zeros((40, 2)),
        "empty csr": sparse.csr_array((40, 3)),
        "duplicate columns": np.column_stack([X, X]),
        "one column": X[:, :1],
        "more columns than rows": np.random.default_rng(1).normal(size=(40, 200)),
        "far from zero": X + 1e8,
    }


@pytest.mark.parametrize("shape", shapes())
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "lbfgs"])
@each_estimator
def test_degenerate_columns(cls, shape, optimizer):
    features = shapes()[shape]
    model = make(cls, optimizer=optimizer, max_iter=200).fit(features, target(cls))
    start = make(cls, optimizer=optimizer).initialize(features, target(cls))
    assert np.isfinite(model.parameters_).all()
    assert not model.stop_reason_.startswith("diverged")
    value, first = (m.loss_and_gradient(features, target(cls))[0] for m in (model, start))
    assert value <= first * (1 + 1e-6)


@each_estimator
def test_one_row_of_each_kind(cls):
    rows = [np.argmin(Y), np.argmax(Y)]
    assert np.isfinite(make(cls).fit(X[rows], target(cls)[rows]).parameters_).all()
    if cls in REGRESSORS:
        assert np.isfinite(make(cls).fit(X[:1], Y[:1]).parameters_).all()
        assert np.isfinite(make(cls).fit(X, np.full(40, 3.5)).parameters_).all()
        assert np.isfinite(make(cls).fit(X, np.zeros(40)).parameters_).all()


# ----------------------------------------------------------------------------- huge and tiny


def extremes():
    spread = np.array([1e-100, 1.0, 1e100])
    return {
        "1e150": X * 1e150,
        "1e300": X * 1e300,
        "1e-150": X * 1e-150,
        "1e-300": X * 1e-300,
        "mixed": X * spread,
        "constant 1e300": np.column_stack([X, np.full(40, 1e300)]),
        "csr 1e150": sparse.csr_array(X * 1e150),
        "csr 1e300": sparse.csr_array(X * 1e300),
        "float32 1e10": (X * 1e10).astype("f"),
        "float32 1e30": (X * 1e30).astype("f"),
        "float32 1e37": (X * 1e37).astype("f"),
        "float32 1e-30": (X * 1e-30).astype("f"),
        "float32 csr 1e30": sparse.csr_array((X * 1e30).astype("f")),
    }


@pytest.mark.parametrize("extreme", extremes())
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
@each_estimator
def test_features_of_extreme_scale(cls, extreme, optimizer):
    features = extremes()[extreme]
    model = make(cls, optimizer=optimizer).fit(features, target(cls))
    assert np.isfinite(model.parameters_).all()
    assert np.isfinite(model.predict(features).astype(float)).all()
    assert np.isfinite(model.score(features, target(cls)))


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
@each_regressor
def test_targets_of_extreme_scale(cls, scale, optimizer):
    model = make(cls, optimizer=optimizer).fit(X, Y * scale)
    assert np.isfinite(model.parameters_).all()
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10, 1e30])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
@each_regressor
def test_float32_targets_of_extreme_scale(cls, scale, optimizer):
    model = make(cls, optimizer=optimizer).fit(X.astype("f"), (Y * scale).astype("f"))
    assert np.isfinite(model.parameters_).all()
    assert np.isfinite(model.predict(X.astype("f"))).all()


@each_regressor
def test_targets_that_float32_cannot_hold(cls):
    """An error that says so, before any training; never infinite coefficients."""
    model = make(cls)
    message = refusal(lambda: model.fit(X.astype("f"), Y * 1e100))
    if message is None:
        assert np.isfinite(model.parameters_).all()
    else:
        assert "float32" in message or "infinity" in message


@pytest.mark.parametrize("scale", [1e10, 1e200, 1e307])
@each_estimator
def test_prediction_far_outside_the_training_data(cls, scale):
    model = make(cls, max_iter=50).fit(X, target(cls))
    model.predict(X * scale)
    if cls in CLASSIFIERS:
        assert np.isfinite(model.predict_proba(X * scale)).all()


@pytest.mark.parametrize("source", ["analytic", "backprop", "numeric"])
@pytest.mark.parametrize("scale", [1e10, 1e200, 1e308])
@each_estimator
def test_the_objective_far_outside_leaks_no_warning(cls, scale, source):
    """A line search of SciPy goes there and comes back."""
    objective = make(cls).fit(X, target(cls)).objective(X, target(cls))
    theta = np.full_like(objective.x0, scale)
    objective.value(theta)
    objective.gradient(theta, source)
    objective(theta)


# ----------------------------------------------------------------------------- raw columns


def raw_columns(n=400):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(n, 3)) * [1.0, 100.0, 1e4] + [5.0, -300.0, 1e5]
    y = features @ [1.0, 0.02, 3e-4] + 0.3 * rng.normal(size=n) + 7.0
    return features, y


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adam", "lbfgs"])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, np.float32])
def test_raw_columns_on_three_scales(optimizer, convert):
    features, y = raw_columns()
    reference = LinearRegression().fit(features, y).score(features, y)
    model = GDRegressor(optimizer=optimizer, random_state=0).fit(convert(features), y)
    assert model.score(convert(features), y) > reference - 0.05
    assert not model.stop_reason_.startswith("diverged")


def test_raw_columns_with_default_settings():
    features, y = raw_columns()
    reference = LinearRegression().fit(features, y).score(features, y)
    labels = y > np.median(y)
    assert GDRegressor().fit(features, y).score(features, y) > reference - 0.05
    network = MLPBackpropRegressor(random_state=0).fit(features, y)
    assert network.score(features, y) > reference - 0.05
    for cls in CLASSIFIERS:
        assert cls(random_state=0).fit(features, labels).score(features, labels) > 0.9


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "rmsprop", "radam"])
@pytest.mark.parametrize("cls", [MLPBackpropRegressor, MLPBackpropClassifier])
def test_an_automatic_rate_does_not_diverge_for_a_network(cls, optimizer):
    features, y = raw_columns()
    labels = y > np.median(y) if cls is MLPBackpropClassifier else y
    model = cls(optimizer=optimizer, max_iter=50, random_state=0).fit(features, labels)
    assert not model.stop_reason_.startswith("diverged")
    assert model.score(features, labels) > 0.5


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "lbfgs"])
@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_an_automatic_rate_does_not_diverge_with_a_log_link(loss, optimizer):
    features, y = raw_columns()
    amounts = np.exp(y / 10)
    model = GDRegressor(loss, optimizer=optimizer, random_state=0).fit(features, amounts)
    assert not model.stop_reason_.startswith("diverged")
    assert model.score(features, amounts) > 0.5


@pytest.mark.parametrize("batch_size", ["auto", 8, 1])
@pytest.mark.parametrize("load", [load_breast_cancer, load_wine, load_iris])
@pytest.mark.parametrize("convert", ["raw", "every fourth", "csr"])
def test_real_columns_without_scaling(load, convert, batch_size):
    features, labels = load(return_X_y=True)
    if convert == "every fourth":
        features, labels = features[::4], labels[::4]
    if convert == "csr":
        features = sparse.csr_array(features)
    model = GDClassifier(batch_size=batch_size, random_state=0).fit(features, labels)
    assert not model.stop_reason_.startswith("diverged")
    assert model.score(features, labels) > 0.9


@pytest.mark.parametrize("scale", [1e-8, 1e-5, 1e-3, 1e-2, 1e-1])
@pytest.mark.parametrize("optimizer", ["default", "sgd", "momentum", "nesterov", "adam", "lbfgs"])
@each_estimator
def test_small_columns(cls, optimizer, scale):
    """There the penalty bends J more than the loss does: alpha / scale^2."""
    settings = {} if optimizer == "default" else {"optimizer": optimizer}
    model = make(cls, max_iter=200, **settings).fit(X * scale, target(cls))
    start = make(cls, **settings).initialize(X * scale, target(cls))
    assert not model.stop_reason_.startswith("diverged")
    value, first = (m.loss_and_gradient(X * scale, target(cls))[0] for m in (model, start))
    assert value <= first * (1 + 1e-3)


@pytest.mark.parametrize("rows", [1, 5, 50])
@each_estimator
def test_raw_columns_in_small_parts(cls, rows):
    """The first part does not tell the scale of the columns; the model must not explode."""
    features, y = raw_columns(200)
    labels = (y > np.median(y)).astype(int) if cls in CLASSIFIERS else y
    model = make(cls)
    for _ in range(5):
        for i in range(0, len(y), rows):
            part = slice(i, i + rows)
            model.partial_fit(features[part], labels[part], **first_call(cls, labels))
    start = make(cls).initialize(features, labels)
    value, first = (m.loss_and_gradient(features, labels)[0] for m in (model, start))
    constant = GDRegressor().initialize(features, y, parameters=[0.0] * 4)
    if cls in REGRESSORS:
        first = constant.loss_and_gradient(features, y)[0]
    assert value <= 2 * first


# ----------------------------------------------------------------------------- later calls


@pytest.mark.parametrize("method", ["predict", "score", "loss_and_gradient", "parameters_"])
@each_estimator
def test_nothing_works_before_fit(cls, method):
    model = make(cls)
    with pytest.raises(Exception, match="not fitted") as caught:
        getattr(model, method)(*([X] if method == "predict" else [X, target(cls)]))
    assert type(caught.value).__name__ == "NotFittedError"


@each_estimator
def test_another_number_of_columns(cls):
    y = target(cls)
    wide = np.column_stack([X, X])
    model = make(cls).fit(X, y)
    expected = model.predict(X)
    for call in (
        lambda: model.predict(wide),
        lambda: model.partial_fit(wide, y),
        lambda: model.loss_and_gradient(wide, y),
        lambda: model.objective(wide, y),
        lambda: model.score(wide, y),
    ):
        with pytest.raises(ValueError, match="6 features"):
            call()
    np.testing.assert_array_equal(model.predict(X), expected)


@pytest.mark.parametrize("bad", [X[:0], X[0], X * NAN, np.full((4, 3), INF), None])
@each_estimator
def test_bad_rows_to_predict(cls, bad):
    model = make(cls).fit(X, target(cls))
    with pytest.raises(ValueError):
        model.predict(bad)


@each_regressor
def test_another_number_of_outputs(cls):
    model = make(cls).fit(X, Y)
    with pytest.raises(ValueError, match="output"):
        model.partial_fit(X, np.column_stack([Y, Y]))


@each_classifier
def test_classes_in_partial_fit(cls):
    with pytest.raises(ValueError, match="classes"):
        make(cls).partial_fit(X, BINARY)
    model = make(cls).partial_fit(X, BINARY, classes=[0, 1])
    expected = model.predict(X)
    for y, keywords in (
        (BINARY + 1, {}),
        (np.where(BINARY, "a", "b"), {}),
        (BINARY, {"classes": [0, 1, 2]}),
    ):
        with pytest.raises(ValueError, match="class"):
            model.partial_fit(X, y, **keywords)
    np.testing.assert_array_equal(model.predict(X), expected)


@pytest.mark.parametrize(
    "classes", [[0], 0, [], [0, 1, NAN], [[0, 1]], ["a", "b"], "ab", [0, None]]
)
@each_classifier
def test_bad_classes(cls, classes):
    assert "class" in message_of(make(cls), X, BINARY, method="partial_fit", classes=classes)


@pytest.mark.parametrize("early_stopping", [True, np.True_])
@each_estimator
def test_partial_fit_keeps_no_rows_back(cls, early_stopping):
    model = make(cls, early_stopping=early_stopping)
    message = message_of(model, X, target(cls), method="partial_fit", **first_call(cls))
    assert "early_stopping" in message


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "exponential", Cosine()])
@each_estimator
def test_partial_fit_has_no_horizon(cls, schedule):
    model = make(cls, schedule=schedule)
    message = message_of(model, X, target(cls), method="partial_fit", **first_call(cls))
    assert "schedule" in message and "n_steps" in message


def test_a_callable_schedule_is_not_told_a_false_horizon():
    """One pass is not the whole training: n_steps is None, or at least not yet over."""
    seen = []

    def schedule(step, n_steps):
        seen.append((step, n_steps))
        return 1.0

    model = make(GDRegressor, schedule=schedule)
    message = refusal(lambda: [model.partial_fit(X, Y) for _ in range(3)])
    if message is None:
        assert all(n_steps is None or step < n_steps for step, n_steps in seen)
    else:
        assert "n_steps" in message


@each_estimator
def test_settings_that_change_between_parts(cls):
    y = target(cls)
    for changes in (
        {"optimizer": "momentum"},
        {"optimizer": Adam(beta_1=0.5)},
        {"average": True},
        {"learning_rate": 0.01},
        {"penalty": "l1"},
        {"schedule": Constant()},
    ):
        if not set(changes) <= set(cls().get_params()):
            continue
        model = make(cls).partial_fit(X, y, **first_call(cls)).partial_fit(X, y)
        model.set_params(**changes).partial_fit(X, y).partial_fit(X, y)
        assert np.isfinite(model.parameters_).all()


@each_estimator
def test_a_shape_that_changes_between_parts_does_not_lose_the_model(cls):
    y = target(cls)
    for changes in ({"hidden_layer_sizes": (7,)}, {"fit_intercept": False}):
        if not set(changes) <= set(cls().get_params()):
            continue
        model = make(cls).partial_fit(X, y, **first_call(cls))
        before = model.parameters_
        with pytest.raises(ValueError, match="changes the shape"):
            model.set_params(**changes).partial_fit(X, y)
        np.testing.assert_array_equal(model.parameters_, before)


@each_estimator
def test_dtypes_that_change_between_parts(cls):
    y = target(cls)
    model = make(cls).partial_fit(X, y, **first_call(cls))
    for dtype in ("f4", "f8", "i8", "f2", "f8"):
        model.partial_fit(X.astype(dtype), y)
    assert np.isfinite(model.parameters_).all()


@pytest.mark.parametrize("parameters", [[1, 2], "a", np.full(4, NAN), np.full((4, 1), 1.0), 1.0])
def test_bad_parameters_to_initialize(parameters):
    message = message_of(make(GDRegressor), X, Y, method="initialize", parameters=parameters)
    assert "parameters" in message


@pytest.mark.parametrize("theta", [[1.0], "a", np.zeros((2, 2)), None])
def test_bad_theta(theta):
    objective = make(GDRegressor).fit(X, Y).objective(X, Y)
    with pytest.raises((ValueError, TypeError)):
        objective(theta)
    with pytest.raises(ValueError, match="source"):
        objective.gradient(objective.x0, "analytical")


# ----------------------------------------------------------------------------- early stopping


@pytest.mark.parametrize("rows", [1, 2, 3])
@each_estimator
def test_too_few_rows_to_keep_some_back(cls, rows):
    """An error that names the parameter, or a model."""
    order = np.argsort(Y)[[0, -1, 20]][:rows]
    model = make(cls, early_stopping=True)
    message = refusal(lambda: model.fit(X[order], target(cls)[order]))
    if message is None:
        assert np.isfinite(model.parameters_).all()
    else:
        named = ("early_stopping", "validation_fraction", "class")
        assert any(name in message for name in named)


@pytest.mark.parametrize("fraction", [0.99, 0.999999])
@each_estimator
def test_a_fraction_that_leaves_nothing_to_learn_from(cls, fraction):
    model = make(cls, early_stopping=True, validation_fraction=fraction)
    message = message_of(model)
    assert "validation_fraction" in message or "early_stopping" in message


@each_classifier
def test_early_stopping_with_a_class_of_one_row(cls):
    """A rare class must not make the fit fail with words that name no parameter."""
    rare = np.zeros(40, dtype=int)
    rare[3] = 1
    model = make(cls, early_stopping=True)
    message = refusal(lambda: model.fit(X, rare)) or "early_stopping"
    assert "early_stopping" in message or "validation_fraction" in message


# ----------------------------------------------------------------------------- nothing is lost


FAILING = [
    {"loss": "bad"},
    {"alpha": -1},
    {"optimizer": "bad"},
    {"optimizer": Adam(beta_1=2)},
    {"gradient": "bad"},
    {"schedule": "bad"},
    {"penalty": "bad"},
    {"batch_size": 0},
    {"activation": "bad"},
    {"activation": ["tanh"] * 5},
    {"hidden_layer_sizes": -1},
    {"random_state": "bad"},
    {"class_weight": {5: 1, 6: 1}},
    {"scoring": "bad", "early_stopping": True},
    {"early_stopping": True, "validation_fraction": 0.999},
    {"gradient": Numeric(method="cs"), "penalty": "l2"},
]


@pytest.mark.parametrize("settings", FAILING, ids=lambda s: next(iter(s)))
@each_estimator
def test_a_failed_fit_leaves_the_fitted_model_as_it_was(cls, settings):
    if not set(settings) <= set(cls().get_params()):
        pytest.skip("not a parameter of this estimator")
    y = target(cls)
    kinked = {"loss": "hinge" if cls in CLASSIFIERS else "huber"}
    model = make(cls, **kinked).fit(X, y)
    expected, theta = model.predict(X), model.parameters_
    with pytest.raises((ValueError, TypeError)):
        model.set_params(**settings).fit(X, y)
    np.testing.assert_array_equal(model.parameters_, theta)
    np.testing.assert_array_equal(model.predict(X), expected)
    model.set_params(**make(cls, **kinked).get_params()).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), expected)


@each_estimator
def test_a_fit_that_fails_on_its_data_leaves_the_fitted_model_as_it_was(cls):
    y = target(cls)
    model = make(cls).fit(X, y)
    expected = model.predict(X)
    wide = np.column_stack([X, X])
    with pytest.raises(ValueError):
        model.fit(wide, y, np.zeros(40))
    with pytest.raises(ValueError):
        model.fit(with_value(wide, NAN), y)
    with pytest.raises(ValueError):
        model.fit(X, y, -np.ones(40))
    if cls in CLASSIFIERS:
        with pytest.raises(ValueError):
            model.fit(wide, np.ones(40))
    np.testing.assert_array_equal(model.predict(X), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"fit_intercept": False},
        {"activation": "tanh"},
        {"hidden_layer_sizes": (2, 2)},
        {"optimizer": "bad"},
        {"alpha": -1},
        {"learning_rate": 5.0},
    ],
    ids=lambda c: next(iter(c)),
)
@each_estimator
def test_the_fitted_model_does_not_follow_set_params(cls, changes):
    if not set(changes) <= set(cls().get_params()):
        pytest.skip("not a parameter of this estimator")
    model = make(cls).fit(X, target(cls))
    expected = model.predict(X)
    decision = model.decision_function(X) if cls in CLASSIFIERS else expected
    model.set_params(**changes)
    np.testing.assert_array_equal(model.predict(X), expected)
    if cls in CLASSIFIERS:
        np.testing.assert_array_equal(model.decision_function(X), decision)


class Boom(Exception):
    """An error in a user's function."""


def failing_schedule(at):
    def schedule(step, n_steps):
        if step == at:
            raise Boom("in the user's schedule")
        return 1.0

    return schedule


@each_estimator
def test_a_schedule_that_fails_at_once_leaves_the_fitted_model_as_it_was(cls):
    model = make(cls).fit(X, target(cls))
    expected = model.predict(X)
    with pytest.raises(Boom):
        model.set_params(schedule=failing_schedule(0)).fit(X, target(cls))
    np.testing.assert_array_equal(model.predict(X), expected)


@pytest.mark.parametrize("batch_size", [None, 8])
@each_estimator
def test_a_schedule_that_fails_in_mid_training(cls, batch_size):
    y = target(cls)
    settings = {"optimizer": "sgd", "learning_rate": 0.01, "batch_size": batch_size}
    model = make(cls, schedule=failing_schedule(7), **settings)
    with pytest.raises(Boom):
        model.fit(X, y)
    if hasattr(model, "stop_reason_"):  # what was learned so far is kept: then it says so
        assert not model.stop_reason_.startswith(("max_iter", "converged"))
        assert np.isfinite(model.parameters_).all()
        model.predict(X)
    fresh = make(cls, **settings).fit(X, y)
    again = model.set_params(schedule="constant").fit(X, y)
    np.testing.assert_array_equal(again.parameters_, fresh.parameters_)


@pytest.mark.parametrize("factor", [NAN, INF, -1, None, "a", [1.0], 1j])
def test_a_schedule_that_returns_nonsense(factor):
    model = make(GDRegressor, schedule=lambda step, n_steps: factor)
    with pytest.raises((ValueError, TypeError), match="schedule"):
        model.fit(X, Y)
    model.set_params(schedule="constant").fit(X, Y)
    assert model.score(X, Y) > 0.5


@each_estimator
def test_rows_to_validate_on_are_no_weights(cls):
    """Other libraries take them as the third argument."""
    for third in ((X, target(cls)), X):
        with pytest.raises(ValueError, match=r"sample_weight, the third.*X_val=\.\.\., y_val="):
            make(cls).fit(X, target(cls), third)
