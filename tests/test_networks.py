"""Output activations, direct links, activations and initialisers of the user's."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_circles
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skgd import (
    GDClassifier,
    GDRegressor,
    MLPBackpropClassifier,
    MLPBackpropRegressor,
    check_gradient,
    config_context,
)
from skgd.activations import Activation, Logistic
from skgd.gradients import Numeric
from skgd.initialisers import (
    INITIALIZERS,
    Glorot,
    He,
    LeCun,
    Normal,
    Orthogonal,
    Uniform,
)
from skgd.losses import SquaredError


def sine(z):
    return np.sin(z)


def centred_softmax(z):
    e = np.exp(z)
    return e / np.sum(e, axis=1, keepdims=True)


def brier(y, raw):
    return np.sum((raw - y) ** 2, axis=1) / 2


class Sine(Activation):
    """The same with its derivative by hand."""

    needs_input = True

    def __call__(self, z):
        return np.sin(z)

    def backward(self, delta, z, a):
        delta *= np.cos(z)


def data(n=40, p=5, n_outputs=2, seed=0):
    """Columns on different scales, off zero; targets in (0, 1)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * [1, 10, 0.1, 1, 3][:p] + [0, 5, 0, 1, 2][:p]
    X[rng.random(X.shape) < 0.2] = 0.0
    return X, rng.uniform(0.1, 0.9, size=(n, n_outputs))


def labels(n_classes, n=40):
    return np.arange(n) % n_classes


XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])


# -- what the network computes ---------------------------------------------------------------------


def test_output_by_hand():
    X, Y = data()
    net = MLPBackpropRegressor(
        (4, 3), ["tanh", sine], out_activation="logistic", direct_links=True, random_state=0
    ).initialize(X, Y)
    hidden = np.sin(np.tanh(X @ net.coefs_[0] + net.intercepts_[0]) @ net.coefs_[1])
    assert np.all(net.intercepts_[1] == 0)
    z = hidden @ net.coefs_[2] + X @ net.direct_coef_ + net.intercepts_[2]
    assert net.direct_coef_.shape == (5, 2)
    assert np.allclose(net.predict(X), 1 / (1 + np.exp(-z)), rtol=1e-12)
    assert net.out_activation_ == "logistic"
    squares = sum(np.sum(W**2) for W in [*net.coefs_, net.direct_coef_])
    J = np.mean(np.sum((net.predict(X) - Y) ** 2, axis=1)) / 2 + net.alpha * squares / 2
    assert net.loss_and_gradient(X, Y)[0] == pytest.approx(J, rel=1e-12)


def test_gradient_of_the_network_of_1986():
    """The generalised delta rule with logistic units, written out (Rumelhart et al. 1986)."""
    X, Y = data()
    net = MLPBackpropRegressor((3,), "logistic", out_activation="logistic", penalty=None)
    net = net.set_params(direct_links=True, random_state=1).initialize(X, Y)
    h = 1 / (1 + np.exp(-(X @ net.coefs_[0] + net.intercepts_[0])))
    o = net.predict(X)
    delta_out = (o - Y) * o * (1 - o) / len(X)
    delta_hidden = h * (1 - h) * (delta_out @ net.coefs_[1].T)
    parts = [X.T @ delta_hidden, h.T @ delta_out, X.T @ delta_out, delta_hidden.sum(0)]
    expected = np.concatenate([a.ravel() for a in [*parts, delta_out.sum(0)]])
    for source in ("analytic", "backprop"):
        gradient = net.objective(X, Y).gradient(net.parameters_, source)
        assert np.allclose(gradient, expected, rtol=1e-11, atol=1e-14)


CASES = [
    (direct, out, activation, hidden)
    for direct, out, activation, hidden in itertools.product(
        [False, True],
        ["auto", "logistic", "tanh", "softplus", sine, Sine()],
        ["tanh", "gelu", sine, Sine(), ["tanh", sine]],
        [(4,), (4, 3), (4, 3, 2)],
    )
    if not isinstance(activation, list) or len(hidden) == 2
]


@pytest.mark.parametrize("sparse_input", [False, True])
@pytest.mark.parametrize("learning_rate", ["auto", 0.1])
def test_sources_agree(learning_rate, sparse_input):
    """In theta, by `check_gradient`; in the coordinates of the descent, by training."""
    X, Y = data()
    X = sparse.csr_matrix(X) if sparse_input else X
    for number, (direct, out, activation, hidden) in enumerate(CASES):
        net = MLPBackpropRegressor(
            hidden,
            activation,
            out_activation=out,
            direct_links=direct,
            alpha=0.1,
            learning_rate=learning_rate,
            random_state=0,
        )
        y = Y if number % 2 else Y[:, 0]
        written = sine not in (out, activation) and activation != ["tanh", sine]
        sources = ("analytic", "backprop", "numeric") if written else ("backprop", "numeric")
        report = check_gradient(net, X, y, sources=sources)
        assert report.ok, report
        if written:  # check_gradient holds them to 1e-12
            assert not any(report.sources.values())


@pytest.mark.parametrize("source", ["analytic", "numeric", Numeric(space="predictions")])
@pytest.mark.parametrize("loss", ["squared_error", "log_cosh"])
@pytest.mark.parametrize("learning_rate", ["auto", 0.01])
@pytest.mark.parametrize("out", ["auto", "logistic"])
def test_every_source_trains_the_same_network(out, learning_rate, loss, source):
    X, Y = data()
    settings = {
        "out_activation": out,
        "loss": loss,
        "learning_rate": learning_rate,
        "direct_links": True,
    }
    net = MLPBackpropRegressor(
        (4, 3), "tanh", max_iter=5, tol=None, random_state=0, batch_size=16, **settings
    )
    one = clone(net).fit(X, Y)
    other = clone(net).set_params(gradient=source).fit(sparse.csr_matrix(X), Y)
    assert np.allclose(one.parameters_, other.parameters_, rtol=1e-5, atol=1e-6)


def test_sources_that_follow_the_chain_rule_take_any_activation():
    X, Y = data()
    net = MLPBackpropRegressor((4,), sine, out_activation=sine, max_iter=5, tol=None)
    net = net.set_params(random_state=0)
    one = clone(net).fit(X, Y)
    other = clone(net).set_params(gradient=Numeric(space="predictions")).fit(X, Y)
    assert np.allclose(one.parameters_, other.parameters_, rtol=1e-5, atol=1e-6)
    by_hand = clone(net).set_params(activation=Sine(), out_activation=Sine(), gradient="analytic")
    assert np.allclose(one.parameters_, by_hand.fit(X, Y).parameters_, rtol=1e-9, atol=1e-12)


def test_complex_step_of_a_network_with_an_output_activation():
    X, Y = data()
    net = MLPBackpropRegressor((4,), "tanh", out_activation="tanh", direct_links=True)
    J = net.set_params(random_state=0).objective(X, Y)
    exact = J.gradient(J.x0, "analytic")
    assert np.allclose(J.gradient(J.x0, Numeric(method="cs")), exact, rtol=1e-12, atol=1e-15)


# -- output activations ----------------------------------------------------------------------------


def test_an_output_activation_leaves_the_units_of_y_alone():
    """Plain gradient descent in theta, step by step: no spread, no centre, no unit of J."""
    X, Y = data()
    net = MLPBackpropRegressor((3,), "tanh", out_activation="logistic", direct_links=True)
    net.set_params(optimizer="sgd", learning_rate=0.05, batch_size=None, tol=None, random_state=0)
    theta = net.initialize(X, Y).parameters_
    J = net.objective(X, Y)
    for _ in range(3):
        theta = theta - 0.05 * J(theta)[1]
    net.set_params(max_iter=3).fit(X, Y)
    assert np.allclose(net.parameters_, theta, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("gradient", ["analytic", "backprop"])
def test_xor_with_the_units_of_1986(gradient):
    X, y = XOR
    net = MLPBackpropClassifier(
        (2,),
        "logistic",
        out_activation="logistic",
        loss="squared_error",
        init=Uniform(0.5, intercepts=True),
        gradient=gradient,
        optimizer="momentum",
        learning_rate=0.5,
        penalty=None,
        max_iter=5000,
        tol=None,
        random_state=1,
    ).fit(X, y)
    assert net.score(X, y) == 1.0
    assert np.all(np.abs(net.decision_function(X)) > 0.4)  # outputs below .1 or above .9
    assert not hasattr(net, "predict_proba")


def test_one_hidden_unit_and_direct_links_solve_xor():
    """The other network of the chapter: without the links one hidden unit is monotone."""
    X, y = XOR
    net = MLPBackpropClassifier(
        (1,), "logistic", optimizer="lbfgs", penalty=None, max_iter=2000, tol=0, random_state=0
    )
    best = dict.fromkeys((False, True), 0.0)
    for links, seed in itertools.product(best, range(10)):
        net.set_params(direct_links=links, random_state=seed)
        best[links] = max(best[links], net.fit(X, y).score(X, y))
    assert best == {False: 0.75, True: 1.0}


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("loss", ["squared_error", SquaredError(), "log_cosh", "hinge"])
@pytest.mark.parametrize("out", ["identity", "logistic", "tanh"])
def test_classifiers_with_an_output_activation(out, loss, n_classes):
    X, _ = data(n=150)
    y = np.array(["a", "b", "c"])[labels(n_classes, 150)]
    X[:, 0] += 6 * labels(n_classes, 150)
    X[:, 3] += 6 * (labels(n_classes, 150) == 1)
    if loss == "hinge" and out == "logistic":
        pytest.skip("margins above 0 alone cannot tell the classes apart")
    net = MLPBackpropClassifier(
        (8,), "tanh", loss=loss, out_activation=out, max_iter=400, tol=None, random_state=0
    ).fit(X, y)
    assert net.score(X, y) > 0.9
    assert net.out_activation_ == out
    scores = net.decision_function(X)
    if n_classes == 2:
        assert np.array_equal(net.classes_[(scores > 0).astype(int)], net.predict(X))
    else:
        assert np.array_equal(net.classes_[scores.argmax(axis=1)], net.predict(X))


def test_functions_on_both_sides_of_the_output():
    """Softmax units with squared error: units that depend on each other."""
    X, _ = data(n=120)
    y = labels(3, 120)
    X[:, 0] += 5 * y
    net = MLPBackpropClassifier(
        (8,), "tanh", loss=brier, out_activation=centred_softmax, max_iter=300, tol=None
    ).set_params(random_state=0)
    assert check_gradient(net, X, y, sources=("backprop", "numeric")).ok
    net.fit(X, y)
    assert net.score(X, y) > 0.9
    assert net.out_activation_ == "centred_softmax"
    assert np.allclose(net.decision_function(X).sum(axis=1), 1 - 3 * 0.5)  # each less 1/2


@pytest.mark.parametrize("loss", ["log_loss", "focal", "modified_huber"])
def test_losses_with_a_link_take_no_output_activation(loss):
    X, y = XOR
    with pytest.raises(ValueError, match="out_activation='logistic' does not go with"):
        MLPBackpropClassifier((2,), loss=loss, out_activation="logistic").fit(X, y)
    net = MLPBackpropClassifier((2,), loss=loss, out_activation="identity", max_iter=1, tol=None)
    plain = clone(net).set_params(out_activation="auto", random_state=0).fit(X, y)
    net.set_params(random_state=0).fit(X, y)  # identity is no activation
    assert np.array_equal(net.parameters_, plain.parameters_)
    assert net.out_activation_ == plain.out_activation_


@pytest.mark.parametrize("estimator", [MLPBackpropClassifier, MLPBackpropRegressor])
def test_counts_have_a_link(estimator):
    X, y = XOR
    with pytest.raises(ValueError, match="exponential"):
        estimator((2,), loss="poisson", out_activation="logistic").fit(X, y)


def test_classifiers_take_losses_of_numbers_only_with_an_output_activation():
    X, y = XOR
    with pytest.raises(ValueError, match="for regression"):
        MLPBackpropClassifier((2,), loss="squared_error").fit(X, y)


# -- direct links ----------------------------------------------------------------------------------


@pytest.mark.parametrize("learning_rate", ["auto", 1.0])
@pytest.mark.parametrize("sparse_input", [False, True])
def test_direct_links_alone_are_ridge(sparse_input, learning_rate):
    """From zero weights a tanh network's hidden layer has no gradient: the links do it all."""
    X, Y = data(n=60)
    net = MLPBackpropRegressor(
        (3,), "tanh", init="zeros", direct_links=True, optimizer="lbfgs", alpha=0.1, tol=0
    ).set_params(learning_rate=learning_rate, max_iter=2000, random_state=0)
    net.fit(sparse.csr_matrix(X) if sparse_input else X, Y)
    ridge = Ridge(alpha=0.1 * len(X), tol=1e-12).fit(X, Y)
    assert np.allclose(net.direct_coef_, ridge.coef_.T, atol=1e-6)
    assert np.allclose(net.intercepts_[1], ridge.intercept_, atol=1e-6)
    assert not any(W.any() for W in net.coefs_)


@pytest.mark.parametrize("learning_rate", ["auto", 1.0])
def test_direct_links_alone_are_lasso(learning_rate):
    X, Y = data(n=60)
    y = Y[:, 0] + 0.3 * X[:, 0]
    net = MLPBackpropRegressor(
        (3,), "tanh", init="zeros", direct_links=True, optimizer="lbfgs", penalty="l1", alpha=0.05
    ).set_params(learning_rate=learning_rate, max_iter=2000, tol=0, random_state=0)
    net.fit(X, y)
    lasso = Lasso(alpha=0.05, tol=1e-12).fit(X, y)
    assert np.allclose(net.direct_coef_[:, 0], lasso.coef_, atol=1e-6)
    assert np.array_equal(net.direct_coef_[:, 0] == 0, lasso.coef_ == 0)
    assert np.any(lasso.coef_ == 0)


def test_direct_links_are_a_block_of_theta():
    X, Y = data()
    net = MLPBackpropRegressor((3,), "tanh", direct_links=True, random_state=0)
    J = net.objective(X, Y)
    named = J.unpack(J.x0)
    assert list(named) == ["coefs[0]", "coefs[1]", "direct", "intercepts[0]", "intercepts[1]"]
    theta = np.arange(J.x0.size, dtype=float)
    net.initialize(X, Y, parameters=theta)
    assert np.array_equal(net.parameters_, theta)
    assert np.array_equal(net.direct_coef_, J.unpack(theta)["direct"])
    again = pickle.loads(pickle.dumps(net))
    assert np.array_equal(again.predict(X), net.predict(X))
    assert net.set_params(direct_links=False, max_iter=1, tol=None).fit(X, Y).direct_coef_ is None


def test_partial_fit_and_warm_start_with_direct_links():
    X, Y = data()
    settings = {"direct_links": True, "out_activation": "logistic", "optimizer": "sgd", "tol": None}
    net = MLPBackpropRegressor((3,), "tanh", learning_rate=0.1, batch_size=None, **settings)
    net.set_params(random_state=0)
    whole = clone(net).set_params(max_iter=4).fit(X, Y).parameters_
    parts = clone(net)
    for _ in range(4):
        parts.partial_fit(X, Y)
    assert np.allclose(parts.parameters_, whole, rtol=1e-12, atol=1e-14)
    warm = clone(net).set_params(max_iter=2, warm_start=True).fit(X, Y).fit(X, Y)
    assert np.allclose(warm.parameters_, whole, rtol=1e-12, atol=1e-14)
    with pytest.raises(ValueError, match="parameter that changes the shape"):
        parts.set_params(direct_links=False).partial_fit(X, Y)


def test_many_rows_are_predicted_as_few():
    X, Y = data()
    many = np.tile(X, (4000, 1))  # by blocks
    net = MLPBackpropRegressor((3,), sine, direct_links=True, out_activation="tanh", max_iter=2)
    net.set_params(tol=None, random_state=0).fit(X, Y)
    assert np.allclose(net.predict(many), np.tile(net.predict(X), (4000, 1)), rtol=1e-10)


def test_direct_links_need_a_hidden_layer():
    with pytest.raises(ValueError, match="direct_links=True needs a hidden layer"):
        MLPBackpropClassifier((), direct_links=True).fit(*XOR)
    with pytest.raises(TypeError, match="direct_links"):
        MLPBackpropClassifier((2,), direct_links="yes").fit(*XOR)


@pytest.mark.parametrize("settings", [{"direct_links": True}, {"out_activation": "logistic"}])
def test_engine_is_numpy(settings):
    pytest.importorskip("numba")
    X, Y = data()
    net = MLPBackpropRegressor((3,), "tanh", max_iter=1, tol=None, random_state=0, **settings)
    with config_context(engine="numba"):
        assert net.fit(X, Y).engine_ == "numpy"


# -- activations of the user's ---------------------------------------------------------------------


def test_a_function_is_the_row_of_the_table():
    X, Y = data()
    settings = {"max_iter": 5, "tol": None, "random_state": 0}
    one = MLPBackpropRegressor((4,), "tanh", **settings).fit(X, Y)
    for given in (np.tanh, lambda z: np.tanh(z)):
        other = MLPBackpropRegressor((4,), given, **settings).fit(X, Y)
        assert np.allclose(one.parameters_, other.parameters_, rtol=1e-9, atol=1e-12)


def test_functions_are_cloned_pickled_and_searched():
    X, Y = data()
    net = MLPBackpropRegressor((4,), sine, out_activation=sine, max_iter=3, tol=None)
    net.set_params(random_state=0).fit(X, Y)
    assert clone(net).activation is sine
    assert np.array_equal(pickle.loads(pickle.dumps(net)).predict(X), net.predict(X))
    grid = {"activation": ["tanh", sine, Logistic()], "init": ["auto", Normal(0.1)]}
    search = GridSearchCV(net, grid, cv=2).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_no_formula_by_hand():
    for settings in ({"activation": sine}, {"activation": "tanh", "out_activation": sine}):
        net = MLPBackpropClassifier(
            (2,), loss="squared_error", gradient="analytic", **{"out_activation": "tanh"} | settings
        )
        with pytest.raises(ValueError, match=r"analytic.*sine"):
            net.fit(*XOR)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z: z.sum(axis=1), "of the same shape"),
        (lambda z: z > 0, "real numbers"),
        (centred_softmax, "each entry of z alone"),
    ],
)
def test_wrong_functions(function, message):
    with pytest.raises(ValueError, match=message):
        MLPBackpropClassifier((2,), function).fit(*XOR)


def step(z):
    return (z > 0).astype(z.dtype)


class Step(Activation):
    """The unit of McCulloch and Pitts."""

    def __call__(self, z):
        return step(z)


class StraightThrough(Step):
    """As if it were linear (Bengio, Leonard & Courville 2013)."""

    def backward(self, delta, z, a):
        pass


@pytest.mark.parametrize("activation", [step, Step(), np.sign, np.floor, StraightThrough()])
@pytest.mark.parametrize("gradient", ["auto", "numeric"])
def test_an_activation_with_steps_is_told(activation, gradient):
    net = MLPBackpropClassifier((3,), activation, gradient=gradient, random_state=0)
    net.set_params(max_iter=3, tol=None, alpha=0.0)
    with pytest.warns(UserWarning, match=r"is flat: its derivative is zero.*smoothed.*backward"):
        before = net.initialize(*XOR).coefs_[0]
    with pytest.warns(UserWarning, match="is flat"):
        net.fit(*XOR)
    np.testing.assert_array_equal(net.coefs_[0], before)  # it is true: they get no gradient


@pytest.mark.parametrize(
    ("activation", "gradient"),
    [
        (StraightThrough(), "analytic"),
        (step, Numeric(method="smoothed")),
        (lambda z: np.maximum(z - 5.0, 0.0), "backprop"),
        (lambda z: np.round(z) + 1e-3 * z, "numeric"),
    ],
)
def test_what_lets_a_gradient_through_is_not_told(activation, gradient):
    net = MLPBackpropClassifier((3,), activation, gradient=gradient, random_state=0)
    net.set_params(max_iter=3, tol=None).fit(*XOR)  # a warning would be an error


def test_wrong_activations():
    with pytest.raises(ValueError, match="out_activation='sigmoid' is unknown"):
        MLPBackpropClassifier((2,), out_activation="sigmoid").fit(*XOR)
    with pytest.raises(TypeError, match="out_activation takes one of"):
        MLPBackpropClassifier((2,), out_activation=3).fit(*XOR)


# -- initialisers ----------------------------------------------------------------------------------

FAN_IN, FAN_OUT = 400, 200
VARIANCE = {  # formulas of Glorot & Bengio 2010, He et al. 2015, LeCun et al. 1998
    Glorot: 2 / (FAN_IN + FAN_OUT),
    He: 2 / FAN_IN,
    LeCun: 1 / FAN_IN,
}


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("row", VARIANCE)
def test_variances(row, distribution):
    W = row(distribution)((FAN_IN, FAN_OUT), np.random.default_rng(0))
    n = W.size
    # Fourth moments: 9/5 of the squared variance for uniform numbers, 3 for normal ones.
    error = VARIANCE[row] * np.sqrt({"uniform": 4 / 5, "normal": 2}[distribution] / n)
    assert abs(W.var() - VARIANCE[row]) < 5 * error
    assert abs(W.mean()) < 5 * np.sqrt(VARIANCE[row] / n)
    limit = np.sqrt(3 * VARIANCE[row])
    assert (np.abs(W).max() <= limit) == (distribution == "uniform")


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5), (1, 3)])
def test_orthogonal(shape):
    W = Orthogonal(gain=2.0)(shape, np.random.default_rng(0))
    assert W.shape == shape
    small = W.T @ W if shape[0] >= shape[1] else W @ W.T
    assert np.allclose(small, 4.0 * np.eye(min(shape)), atol=1e-12)


def test_orthogonal_prefers_no_direction():
    draws = [Orthogonal()((3, 3), np.random.default_rng(seed)) for seed in range(2000)]
    # Entries of a random rotation have mean 0 and variance 1/3.
    assert np.all(np.abs(np.mean(draws, axis=0)) < 5 * np.sqrt(1 / 3 / 2000))
    assert {round(np.linalg.det(W)) for W in draws} == {-1, 1}


def test_uniform_and_normal():
    rng = np.random.default_rng(0)
    W = Uniform(0.3)((200, 200), rng)
    assert 0.299 < np.abs(W).max() <= 0.3
    assert W.var() == pytest.approx(0.3**2 / 3, rel=0.02)
    assert Normal(0.1)((200, 200), rng).std() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("init", [*INITIALIZERS, Uniform(0.3), Normal(0.1), He("normal")])
@pytest.mark.parametrize("estimator", [MLPBackpropClassifier, MLPBackpropRegressor])
def test_initial_weights(estimator, init):
    X, _ = data()
    y = labels(2).astype(float)
    net = estimator((4,), direct_links=True, init=init, learning_rate=0.1, random_state=0)
    net.initialize(X, y)
    again = clone(net).initialize(X, y)
    assert np.array_equal(net.parameters_, again.parameters_)
    assert not net.intercepts_[0].any()
    assert (init == "zeros") == (not net.coefs_[0].any())
    if init == "orthogonal":
        assert np.allclose(net.coefs_[0].T @ net.coefs_[0], np.eye(4), atol=1e-12)
    if isinstance(init, Uniform):
        assert 0.2 < max(np.abs(W).max() for W in net.coefs_) <= 0.3 * max(1.0, np.std(y))


def test_intercepts_are_drawn_where_asked_for():
    net = MLPBackpropClassifier((50,), init=Uniform(0.3, intercepts=True), learning_rate=0.1)
    net.set_params(random_state=0).initialize(*XOR)
    assert 0.2 < np.abs(net.intercepts_[0]).max() <= 0.3


def test_init_by_a_function():
    shapes = []

    def init(shape, rng):
        shapes.append(shape)
        return np.full(shape, 0.25)

    net = MLPBackpropClassifier((3,), direct_links=True, init=init, learning_rate=0.1)
    net.initialize(*XOR)
    assert shapes == [(2, 3), (3, 1), (2, 1)]
    assert all(np.all(W == 0.25) for W in [*net.coefs_, net.direct_coef_])


@pytest.mark.parametrize(
    ("init", "error", "message"),
    [
        ("xavier", ValueError, "init='xavier' is unknown"),
        (3, TypeError, "init takes one of"),
        (He, TypeError, "is a class"),
        (He("gamma"), ValueError, "distribution"),
        (Uniform(-1.0), ValueError, "bound"),
        (lambda shape, rng: np.zeros(3), ValueError, "an array of this shape"),
        (lambda shape, rng: np.full(shape, np.nan), ValueError, "not finite"),
        (lambda shape, rng: np.full(shape, "a"), TypeError, "array of numbers"),
    ],
)
def test_wrong_init(init, error, message):
    with pytest.raises(error, match=message):
        MLPBackpropClassifier((2,), init=init).fit(*XOR)


# -- what the network has learned ------------------------------------------------------------------


def test_hidden_activations_by_hand():
    X, Y = data()
    net = MLPBackpropRegressor((4, 3), ["relu", sine], random_state=0, max_iter=3, tol=None)
    net.fit(X, Y)
    first = np.maximum(X @ net.coefs_[0] + net.intercepts_[0], 0)
    second = np.sin(first @ net.coefs_[1] + net.intercepts_[1])
    for rows in (X, sparse.csr_matrix(X)):
        found = net.hidden_activations(rows)
        assert len(found) == 2
        assert np.allclose(found[0], first, rtol=1e-12, atol=1e-14)
        assert np.allclose(found[1], second, rtol=1e-12, atol=1e-14)
        assert np.array_equal(net.transform(rows), found[1])
    assert np.allclose(net.predict(X), second @ net.coefs_[2] + net.intercepts_[2])


def test_transform_with_names():
    X, _ = data()
    frame = pd.DataFrame(X, columns=list("abcde"))
    net = MLPBackpropClassifier((4, 3), max_iter=3, tol=None, random_state=0)
    found = net.set_output(transform="pandas").fit(frame, labels(2)).transform(frame)
    assert list(found) == [f"mlpbackpropclassifier{i}" for i in range(3)]
    assert list(net.get_feature_names_out()) == list(found)
    assert np.array_equal(found, net.hidden_activations(frame)[-1])
    assert net.transform(frame.astype(np.float32)).shape == (40, 3)


def test_a_pipeline_on_top_of_a_network():
    """Logistic regression on the last hidden layer finds the classes that the network found."""
    X, y = make_circles(200, noise=0.05, factor=0.5, random_state=0)
    net = MLPBackpropClassifier((8,), "tanh", max_iter=500, tol=None, random_state=0)
    pipe = make_pipeline(net, LogisticRegression(C=100.0))
    assert LogisticRegression().fit(X, y).score(X, y) < 0.8
    assert pipe.fit(X, y).score(X, y) > 0.95


def test_no_hidden_layer_no_transform():
    net = MLPBackpropClassifier((), max_iter=1, tol=None).fit(*XOR)
    assert net.hidden_activations(XOR[0]) == []
    with pytest.raises(ValueError, match="has none"):
        net.transform(XOR[0])


class SineWithoutDerivative(Activation):
    def __call__(self, z):
        return np.sin(z)


@pytest.mark.parametrize("activation", ["tanh", sine, SineWithoutDerivative(), "gelu"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_input_gradient_against_differences(n_outputs, activation):
    X, Y = data()
    Y = Y[:, 0] if n_outputs == 1 else Y
    net = MLPBackpropRegressor((4, 3), activation, direct_links=True, random_state=0)
    net.set_params(max_iter=20, tol=None).fit(X, Y)
    found = net.input_gradient(X)
    assert found.shape == ((40, 5) if n_outputs == 1 else (40, 5, 2))
    for j in range(5):
        move = 1e-5 * np.eye(5)[j]
        slope = (net.predict(X + move) - net.predict(X - move)) / 2e-5
        assert np.allclose(found[:, j], slope, rtol=1e-6, atol=1e-8)
    assert np.allclose(net.input_gradient(sparse.csr_matrix(X)), found, rtol=1e-12, atol=1e-14)
    if n_outputs == 2:
        assert np.array_equal(net.input_gradient(X, output=1), found[:, :, 1])
    with pytest.raises(ValueError, match="output"):
        net.input_gradient(X, output=n_outputs)


def test_input_gradient_is_of_the_raw_output():
    X, Y = data()
    net = MLPBackpropRegressor((4,), "tanh", out_activation="logistic", max_iter=20, tol=None)
    net.set_params(random_state=0).fit(X, Y[:, 0])
    p = net.predict(X)
    moved = X + 1e-5 * np.eye(5)[1]
    slope = (net.predict(moved) - net.predict(2 * X - moved)) / 2e-5
    assert np.allclose(net.input_gradient(X)[:, 1] * p * (1 - p), slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_input_gradient_of_linear_models_is_the_weights(fit_intercept):
    X, Y = data()
    settings = {"max_iter": 5, "tol": None, "fit_intercept": fit_intercept}
    linear = GDRegressor(**settings).fit(X, Y)
    for row in linear.input_gradient(X.astype(np.float32)):
        assert np.allclose(row.T, linear.coef_, rtol=1e-12)
    assert np.allclose(linear.input_gradient(X, output=1), linear.coef_[1], rtol=1e-12)
    binary = GDClassifier(**settings).fit(X, labels(2))
    assert np.allclose(binary.input_gradient(X), binary.coef_[0], rtol=1e-12)
    three = GDClassifier(**settings).fit(X, labels(3))
    assert three.input_gradient(X).shape == (40, 5, 3)
    assert np.allclose(three.input_gradient(X)[7].T, three.coef_, rtol=1e-12)
