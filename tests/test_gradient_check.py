"""check_gradient passes what is right, and finds what is planted: the block and the culprit."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import rosen_der
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.activations import ACTIVATIONS
from skgd.autodiff.derivatives import DERIVATIVES
from skgd.gradient_check import GradientCheck, check_gradient
from skgd.gradients import GRADIENTS, Analytic, Numeric
from skgd.gradients.moved_parameters import MovedParameters
from skgd.losses import Hinge, Loss, SquaredError, losses_for
from skgd.objective.models import DeltaRule

ESTIMATORS = (GDRegressor, GDClassifier, MLPBackpropRegressor, MLPBackpropClassifier)
PENALTIES = ("l2", "l1", "elasticnet", None)


def rosen(x):
    """As in SciPy, which makes a plain array of x first."""
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def is_network(estimator):
    return "MLP" in estimator.__name__


def is_regressor(estimator):
    return "Regressor" in estimator.__name__


def data(estimator, seed=0, n=30, p=4, n_outputs=1):
    """Rows, targets that suit every loss, and sample weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    if is_regressor(estimator):
        y = np.exp(0.7 * rng.normal(size=(n, n_outputs)))
        y = y[:, 0] if n_outputs == 1 else y
    else:
        y = rng.permutation(np.arange(n) % max(n_outputs, 2))
    return X, y, rng.uniform(0.2, 3.0, size=n)


def small(estimator, **given):
    base = {"alpha": 0.1, "l1_ratio": 0.3, "random_state": 0}
    if is_network(estimator):
        base |= {"hidden_layer_sizes": (4, 4), "activation": "tanh"}
    return estimator(**(base | given))


def assert_agrees(report, n_sources=3):
    assert report.ok, str(report)
    assert report.suspect is None
    assert sum(not reason for reason in report.sources.values()) == n_sources
    assert all(r["relative_error"] <= r["tolerance"] for r in report.blocks)
    assert report.max_relative_error <= 1e-7
    n = {2: "Both", 3: "All 3", 4: "All 4"}[n_sources]
    assert f"{n} sources agree" in report.conclusion


def disagreeing(report):
    return {r["block"] for r in report.blocks if r["verdict"] == "DISAGREES"}


def assert_accuses(report, suspect, blocks):
    """It names the culprit and the blocks, in its attributes and in its last words."""
    assert report.ok is False, str(report)
    assert report.suspect == suspect, str(report)
    assert disagreeing(report) == set(blocks)
    text = " ".join(str(report).split())
    assert f"{suspect} is suspect" in text
    assert "DISAGREES" in text and all(block in text for block in blocks)
    assert report.worst.startswith(tuple(blocks))
    for r in report.blocks:
        others = suspect not in (r["source_a"], r["source_b"])
        assert not (others and r["verdict"] == "DISAGREES")


# ------------------------------------------------------------------------- nothing is wrong


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("turn", range(9))
def test_losses_and_penalties_pass(estimator, turn):
    losses = list(losses_for("regression" if is_regressor(estimator) else "classification"))
    n_outputs = 1 + turn % 3
    X, y, weight = data(estimator, turn, n_outputs=n_outputs)
    if turn % 4 == 1:
        X = sparse.csr_matrix(X * (np.abs(X) > 0.5))
    model = small(
        estimator,
        loss=losses[turn % len(losses)],
        penalty=PENALTIES[turn % 4],
        learning_rate=("auto", 0.01)[turn % 2],
    )
    assert_agrees(check_gradient(model, X, y, sample_weight=weight if turn % 3 else None))


@pytest.mark.parametrize("estimator", ESTIMATORS[2:])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_pass(estimator, activation):
    X, y, _ = data(estimator, n_outputs=3)
    assert_agrees(check_gradient(small(estimator, activation=activation), X, y))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("state", ["new", "initialized", "fitted"])
@pytest.mark.parametrize("directions", [None, 2])
def test_the_estimator_does_not_change(estimator, state, directions):
    X, y, weight = data(estimator)
    model = small(estimator, max_iter=5, tol=None)
    if state == "initialized":
        model.initialize(X, y, parameters=model.objective(X, y).x0 + 0.3)
    elif state == "fitted":
        model.fit(X, y)
    before = pickle.dumps(model)
    report = check_gradient(model, X, y, sample_weight=weight, directions=directions)
    assert_agrees(report)
    assert pickle.dumps(model) == before
    where = "near the start" if state == "new" else "at the present parameters"
    assert where in str(report)
    if state != "new":
        assert_allclose(report.value, model.loss_and_gradient(X, y, weight)[0], rtol=1e-12)
        gradient = model.loss_and_gradient(X, y, weight)[1]
        assert_allclose(report.gradients["analytic"], gradient, rtol=1e-9)


def scaled(X, like):
    return (X - like.mean(axis=0)) / like.std(axis=0)


@pytest.mark.parametrize("state", ["new", "fitted", "searched"])
def test_the_last_step_of_a_pipeline_is_checked(state):
    """Its rows went through the steps before it: as they were fitted, else fitted on these rows."""
    X, y, weight = data(GDRegressor)
    others = 3.0 * X[:20] + 1.0
    model = make_pipeline(StandardScaler(), small(GDRegressor, max_iter=5, tol=None))
    if state == "searched":
        model = GridSearchCV(model, {"gdregressor__alpha": [0.1]}, cv=2)
    if state != "new":
        model.fit(others, y[:20])
    before = pickle.dumps(model)
    report = check_gradient(model, X, y, sample_weight=weight)
    assert_agrees(report)
    assert pickle.dumps(model) == before
    assert str(report).startswith("check_gradient(GDRegressor), 5 parameters, 30 rows, at ")
    if state == "new":
        same = check_gradient(model[-1], scaled(X, X), y, sample_weight=weight)
        assert_allclose(report.gradients["analytic"], same.gradients["analytic"], rtol=1e-9)
    else:
        learner = (model.best_estimator_ if state == "searched" else model)[-1]
        Z = np.column_stack([scaled(X, others), np.ones(30)])
        residual = Z @ learner.parameters_ - y
        expected = Z.T @ (weight * residual) / weight.sum() + 0.1 * np.append(learner.coef_, 0.0)
        assert_allclose(report.gradients["analytic"], expected, rtol=1e-9)


def test_pipelines_in_pipelines():
    X, y, _ = data(GDClassifier)
    inner = make_pipeline(PCA(2), small(GDClassifier))
    report = check_gradient(make_pipeline(StandardScaler(), "passthrough", inner), X, y)
    assert_agrees(report)
    same = check_gradient(inner, scaled(X, X), y)
    assert_allclose(report.gradients["numeric"], same.gradients["numeric"], rtol=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("fitted", [True, False])
def test_float32_is_checked_in_float64(estimator, fitted):
    X, y, _ = data(estimator)
    model = small(estimator, max_iter=3, tol=None)
    if fitted:
        model.fit(X.astype(np.float32), y)
    report = check_gradient(model, X.astype(np.float32), y)
    assert_agrees(report)
    assert all(gradient.dtype == np.float64 for gradient in report.gradients.values())


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_hinge", "modified_huber", "focal"])
def test_columns_on_any_scale(loss):
    """Some columns of breast_cancer reach 4,000, others .03: no one step suits them all."""
    X, y = load_breast_cancer(return_X_y=True)
    assert_agrees(check_gradient(GDClassifier(loss), X, y))
    assert_agrees(check_gradient(GDClassifier(loss, learning_rate=0.01), X * 1e3, y))


@pytest.mark.parametrize("directions", [None, 3])
def test_a_step_too_wide_for_a_steep_loss_is_made_smaller(directions):
    """exp(x w) with x up to 1e5: moved by 6e-6, it bends too much for a relative error of 1e-7."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 3)) * 1e5, rng.poisson(2.0, size=50)
    report = check_gradient(GDRegressor("poisson"), X, y, directions=directions)
    assert_agrees(report)
    assert report.kinks == 0
    assert min(r["step"] for r in report.blocks if r["step"]) < 1e-6


@pytest.mark.parametrize("estimator", ESTIMATORS[:2])
@pytest.mark.parametrize("columns", ["original", "scaled"])
def test_near_a_minimum_a_small_sum_of_large_terms_is_no_fault(estimator, columns):
    load = load_diabetes if is_regressor(estimator) else load_breast_cancer
    X, y = load(return_X_y=True)
    if columns == "scaled":
        X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = estimator(optimizer="lbfgs", max_iter=5000, tol=1e-10, alpha=0.01).fit(X, y)
    report = check_gradient(model, X, y)
    assert report.ok, str(report)


def test_balanced_signs_cancel():
    """Half the residuals are positive: the intercept's gradient is zero but for rounding."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 2)), rng.permutation(np.arange(200.0))
    model = GDRegressor("absolute_error", penalty=None)
    report = check_gradient(model, X, y, theta=[0.01, 0.02, 99.5])
    assert report.ok, str(report)


def test_an_objective_is_taken():
    X, y, weight = data(MLPBackpropClassifier)
    model = small(MLPBackpropClassifier).initialize(X, y)
    report = check_gradient(model.objective(X, y, weight))
    assert_agrees(report)
    gradient = model.loss_and_gradient(X, y, weight)[1]
    assert_allclose(report.gradients["analytic"], gradient, rtol=1e-9)
    objective = model.objective(X.astype(np.float32), y)
    theta = np.linspace(-1, 1, objective.x0.size)
    report = check_gradient(objective, theta)
    assert_agrees(report)
    assert_allclose(report.value, objective.value(theta), rtol=1e-6)
    assert objective.x0.dtype == np.float32
    with pytest.raises(ValueError, match="theta takes shape"):
        check_gradient(objective, theta[1:])
    with pytest.raises(TypeError, match="theta has no meaning"):
        check_gradient(objective, theta, theta=theta)


def test_a_plain_function_as_loss_has_no_analytic_source():
    def quartic(y_true, raw):
        return (y_true - raw) ** 4

    X, y, weight = data(GDRegressor)
    report = check_gradient(GDRegressor(quartic), X, y, sample_weight=weight)
    assert_agrees(report, n_sources=2)
    assert "derivative written by hand" in report.sources["analytic"]
    assert "analytic is not compared" in str(report)
    with pytest.raises(ValueError, match=r"two sources.*by hand"):
        check_gradient(GDRegressor(quartic), X, y, sources=("analytic", "numeric"))

    def whole_batch(y_true, raw):
        return np.mean((y_true - raw) ** 2)

    for model in (GDRegressor(whole_batch), MLPBackpropRegressor((3,), "tanh", loss=whole_batch)):
        assert_agrees(check_gradient(model, X, y), n_sources=2)


def test_the_same_call_gives_the_same_report():
    X, y, _ = data(MLPBackpropClassifier)
    model = MLPBackpropClassifier((4,))  # random_state=None: another start each time
    reports = [str(check_gradient(model, X, y, directions=2)) for _ in range(2)]
    assert reports[0] == reports[1]
    assert str(check_gradient(model, X, y, directions=2, random_state=1)) != reports[0]


# ------------------------------------------------------------------------------- functions


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 2)])
def test_functions_of_any_shape(shape):
    x = np.random.default_rng(0).normal(size=shape)
    before = x.copy()
    report = check_gradient(
        lambda x: np.sum(np.sin(x) * x), x, jac=lambda x: np.cos(x) * x + np.sin(x)
    )
    assert_agrees(report)
    assert_array_equal(x, before)
    assert {r["block"] for r in report.blocks} == {"x"}
    assert report.worst.startswith("x")
    assert report.gradients["numeric"].shape == (x.size,)


def test_a_function_without_jac_is_told_so():
    report = check_gradient(rosen, np.array([-1.2, 1.0, 0.3]))
    assert_agrees(report, n_sources=2)
    assert "jac=" in report.sources["analytic"]
    assert report.value == rosen(np.array([-1.2, 1.0, 0.3]))


@pytest.mark.parametrize("x", [[-1.2, 1.0], [1.0, 1.0], [1 + 1e-9, 1.0], [1 + 1e-6, 1 + 2e-6]])
def test_rosenbrock_also_at_its_minimum(x):
    assert check_gradient(rosen, x, jac=rosen_der).ok
    half = check_gradient(rosen, x, jac=lambda x: rosen_der(x) / 2)
    assert half.ok is bool(np.linalg.norm(rosen_der(np.array(x))) < 1e-12)


def test_a_function_that_cannot_be_traced():
    def opaque(x):
        return float(np.asarray(x.tolist()) @ np.ones(2))

    report = check_gradient(opaque, [1.0, 2.0], jac=lambda x: np.ones(2))
    assert_agrees(report, n_sources=2)
    assert "tolist" in report.sources["backprop"]
    with pytest.raises(ValueError, match="two sources"):
        check_gradient(opaque, [1.0, 2.0])


def test_wrong_jac():
    def jac(x):
        gradient = rosen_der(x)
        gradient[2] *= 1 + 1e-5
        return gradient

    x = np.array([-1.2, 1.0, 0.3, 2.0])
    report = check_gradient(rosen, x, jac=jac)
    assert_accuses(report, "analytic", ["x"])
    assert report.worst == "x[2]"
    record = next(r for r in report.blocks if r["verdict"] == "DISAGREES")
    assert_allclose(record["analytic"], rosen_der(x)[2] * (1 + 1e-5), rtol=1e-12)
    assert_allclose([record["backprop"], record["numeric"]], rosen_der(x)[2], rtol=1e-7)
    assert_allclose(record["step"], np.finfo(float).eps ** (1 / 3), rtol=1e-9)
    two = check_gradient(rosen, x, jac=jac, sources=("analytic", "numeric"))
    assert not two.ok and two.suspect is None
    assert "compare with a third" in two.conclusion


# -------------------------------------------------------------------------- planted faults


class WrongSign(SquaredError):
    def gradient(self, y, raw):
        return y - raw

    def value_and_gradient(self, y, raw):
        return self.value(y, raw), self.gradient(y, raw)


class NoFactorTwo(Loss):
    def value(self, y, raw):
        return (raw - y) ** 2

    def gradient(self, y, raw):
        return raw - y


class Tampered(Analytic):
    """The analytic gradient with something done to it."""

    def __init__(self, change=None):
        self.change = change

    def bind(self, *args, **kwargs):
        inner = super().bind(*args, **kwargs)

        def function(u, batch, gradient):
            value = inner(u, batch, gradient)
            self.change(gradient)
            return value

        return function

    def __repr__(self, N_CHAR_MAX=700):
        return "tampered"


class NoPenalty(Analytic):
    """The analytic gradient of another objective."""

    def bind(self, objective, *args, **kwargs):
        return super().bind(replace(objective, alpha=0.0), *args, **kwargs)


BLOCKS = [f"coefs[{i}]" for i in range(3)] + [f"intercepts[{i}]" for i in range(3)]
MODES = pytest.mark.parametrize("directions", [None, 3], ids=["entries", "directions"])


@MODES
@pytest.mark.parametrize("loss", [WrongSign(), NoFactorTwo()])
@pytest.mark.parametrize("estimator", [GDRegressor, MLPBackpropRegressor])
def test_fault_in_a_loss(estimator, loss, directions):
    X, y, weight = data(estimator)
    report = check_gradient(
        small(estimator, loss=loss, penalty=None), X, y, sample_weight=weight, directions=directions
    )
    assert_accuses(report, "analytic", BLOCKS if is_network(estimator) else ["coef", "intercept"])


@MODES
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_fault_forgotten_penalty(estimator, directions):
    X, y, _ = data(estimator)
    sources = (NoPenalty(), "backprop", "numeric")
    report = check_gradient(small(estimator), X, y, sources=sources, directions=directions)
    assert_accuses(report, "NoPenalty()", BLOCKS[:3] if is_network(estimator) else ["coef"])


def tamper_with_backward(monkeypatch, before=None, after=None):
    backward = DeltaRule.backward

    def tampered(self, layers, X, delta, gradient, masks=None):
        last = delta.copy()
        backward(self, before(layers) if before else layers, X, delta, gradient, masks)
        if after:
            after(gradient, last)

    monkeypatch.setattr(DeltaRule, "backward", tampered)


@MODES
def test_fault_transposed_weight(monkeypatch, directions):
    def transpose(layers):
        return [layers[0], (layers[1][0].T, layers[1][1]), layers[2]]

    tamper_with_backward(monkeypatch, before=transpose)
    X, y, _ = data(MLPBackpropClassifier, n_outputs=3)
    report = check_gradient(small(MLPBackpropClassifier), X, y, directions=directions)
    # The weights of layer 1 only serve layer 0.
    assert_accuses(report, "analytic", ["coefs[0]", "intercepts[0]"])


@MODES
@pytest.mark.parametrize("layer", [0, 2])
def test_fault_bias_not_summed(monkeypatch, layer, directions):
    def average(gradient, delta):
        gradient[layer][1][...] /= len(delta)

    tamper_with_backward(monkeypatch, after=average)
    X, y, _ = data(MLPBackpropRegressor)
    report = check_gradient(small(MLPBackpropRegressor), X, y, directions=directions)
    assert_accuses(report, "analytic", [f"intercepts[{layer}]"])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("number", [0, 17, 33])
@pytest.mark.parametrize("factor", [-1.0, 1.01, 1 + 1e-5])
def test_fault_in_one_entry(number, factor, activation):
    def change(gradient):
        gradient[number] *= factor

    X, y, _ = data(MLPBackpropClassifier, seed=3)
    model = small(MLPBackpropClassifier, activation=activation).initialize(X, y)
    model.initialize(X, y, parameters=model.parameters_ + 0.1)
    true = model.loss_and_gradient(X, y)[1]
    assert abs(true[number]) > 1e-3
    report = check_gradient(model, X, y, sources=(Tampered(change), "backprop", "numeric"))
    name = model.objective(X, y)._objective.model.name_of(number)
    assert_accuses(report, "tampered", [name.rpartition("[")[0]])
    assert report.worst == name
    record = next(r for r in report.blocks if r["verdict"] == "DISAGREES")
    assert_allclose(record["tampered"], factor * true[number], rtol=1e-12)
    assert_allclose([record["backprop"], record["numeric"]], true[number], rtol=1e-6)
    # Two sources suffice to see it, and directions cannot hide it from two that measure nothing.
    two = check_gradient(model, X, y, sources=(Tampered(change), "numeric"))
    assert not two.ok and two.worst == name
    cheap = check_gradient(
        model, X, y, sources=(Tampered(change), "backprop", "numeric"), directions=1
    )
    assert not cheap.ok


@MODES
def test_fault_in_the_table_of_derivatives(monkeypatch, directions):
    row = DERIVATIVES[np.tanh]
    wrong = (lambda g, z, x: g * (1.0 - z),)
    monkeypatch.setitem(DERIVATIVES, np.tanh, wrong)
    assert len(row) == 1
    X, y, _ = data(MLPBackpropClassifier, n_outputs=3)
    report = check_gradient(small(MLPBackpropClassifier), X, y, directions=directions)
    assert_accuses(report, "backprop", [*BLOCKS[:2], *BLOCKS[3:5]])
    x = np.array([0.3, -1.0])
    report = check_gradient(
        lambda x: np.sum(np.tanh(x)), x, jac=lambda x: 1 / np.cosh(x) ** 2, directions=directions
    )
    assert_accuses(report, "backprop", ["x"])


def test_fault_in_the_measurement(monkeypatch):
    """A measured value that cannot be measured again is not excused by a second look."""
    call = MovedParameters.__call__

    def tampered(self, u, batch, gradient):
        value = call(self, u, batch, gradient)
        gradient[3] *= 1.001
        return value

    monkeypatch.setattr(MovedParameters, "__call__", tampered)
    X, y, _ = data(MLPBackpropClassifier)
    report = check_gradient(small(MLPBackpropClassifier), X, y)
    assert_accuses(report, "numeric", ["coefs[0]"])
    assert report.worst == "coefs[0][0, 3]"
    assert "noise_level" in report.conclusion


def test_a_noisy_function_is_no_excuse():
    """Computed in float32, it is noise to a step for float64: no kink, and nothing is left out."""

    def rough(x):
        return float(np.sum(np.float32(x) ** 2))

    x = np.random.default_rng(0).normal(size=5)
    sources = ("analytic", "numeric")
    report = check_gradient(rough, x, jac=lambda x: 2.2 * x, sources=sources)
    assert not report.ok and report.left_out == 0
    measured = Numeric(noise_level=1e-7)
    assert check_gradient(rough, x, jac=lambda x: 2 * x, sources=("analytic", measured)).ok
    assert not check_gradient(rough, x, jac=lambda x: 2.2 * x, sources=("analytic", measured)).ok


def test_nan_is_a_fault():
    def change(gradient):
        gradient[2] = np.nan

    X, y, _ = data(GDRegressor)
    report = check_gradient(GDRegressor(), X, y, sources=(Tampered(change), "backprop", "numeric"))
    assert_accuses(report, "tampered", ["coef"])
    assert report.worst == "coef[2]" and report.max_relative_error == np.inf


def test_sources_that_all_disagree():
    report = check_gradient(
        lambda x: np.sum(x**2),
        [1.0, 2.0],
        jac=lambda x: 3 * x,
        sources=("analytic", "backprop"),
        rtol=0.5,
    )
    assert report.ok  # 2 and 3 differ by a third
    X, y, _ = data(GDRegressor)
    three = [Tampered(lambda g, k=k: np.multiply(g, k, out=g)) for k in (1.0, 2.0, 3.0)]
    for k, source in enumerate(three):
        source.__class__ = type("T", (Tampered,), {"__repr__": lambda self, k=k: f"T{k}"})
    report = check_gradient(GDRegressor(), X, y, sources=three)
    assert not report.ok and report.suspect is None
    assert "no single one is alone" in report.conclusion
    assert report.step is None


# ------------------------------------------------------------------------------------ kinks


def relu_network(distance):
    """A network one of whose units is this far from its kink, for row 5."""
    X, y, _ = data(MLPBackpropClassifier, seed=1)
    X[5] = 0.0
    model = MLPBackpropClassifier((4, 3), "relu", alpha=0.01, random_state=0).initialize(X, y)
    theta = model.parameters_ + np.random.default_rng(0).normal(size=model.parameters_.size) * 0.3
    objective = model.objective(X, y)
    arrays = objective.unpack(theta)
    arrays["intercepts[0]"][2] = distance  # the unit's input in a row of zeros
    arrays["coefs[1]"][2] = 1.0, -1.5, 0.5
    return model.initialize(X, y, parameters=theta), X, y


@pytest.mark.parametrize("distance", [2e-6, -2e-6, 1e-7, 3e-9, 0.0])
@pytest.mark.parametrize("directions", [None, 4])
def test_a_kink_is_nobodys_fault(distance, directions):
    model, X, y = relu_network(distance)
    report = check_gradient(model, X, y, directions=directions)
    assert report.ok, str(report)
    assert "crossed a kink" in report.conclusion
    if directions is None:
        # Moving the intercept crosses it; the weights do not move a row of zeros.
        assert report.kinks == 1
        assert report.left_out == (distance == 0.0)  # else a smaller step avoids it
        record = next(r for r in report.blocks if r["kinks"])
        assert record["block"] == "intercepts[0]" and record["verdict"] == "ok (kinks)"
    else:
        assert report.kinks >= 2


@pytest.mark.parametrize("distance", [2e-6, 0.0])
@pytest.mark.parametrize("where", ["intercepts[0]", "coefs[0]", "coefs[1]"])
def test_a_fault_near_a_kink_is_a_fault(distance, where):
    model, X, y = relu_network(distance)
    block = model.objective(X, y).unpack(np.arange(model.parameters_.size))[where].astype(int)

    def change(gradient):
        gradient[block] *= 1.02

    report = check_gradient(model, X, y, sources=(Tampered(change), "backprop", "numeric"))
    assert report.kinks >= 1
    assert_accuses(report, "tampered", [where])


def test_a_fault_at_the_entry_of_the_kink():
    """Off the kink it is seen however small; on it, if the kink cannot explain it."""
    for distance, factor in ((2e-6, 1.001), (0.0, -3.0)):
        model, X, y = relu_network(distance)
        number = model.coefs_[0].size + model.coefs_[1].size + model.coefs_[2].size + 2

        def change(gradient, number=number, factor=factor):
            gradient[number] *= factor

        for other in (("numeric",), ("backprop", "numeric")):
            report = check_gradient(model, X, y, sources=(Tampered(change), *other))
            assert not report.ok, str(report)
            assert report.worst == "intercepts[0][2]"


def test_kinks_of_losses_at_a_tie():
    """A residual of exactly zero: entries of the first row's features lie on the kink."""
    X, y = np.eye(4), np.array([1.0, 2.0, 3.0, 4.0])
    theta = np.array([1.0, 0.3, 0.2, 5.0])
    model = GDRegressor("absolute_error", penalty=None, fit_intercept=False)
    report = check_gradient(model, X, y, theta=theta)
    # The difference is 0 there, as is the derivative by convention: nothing to look at.
    assert report.ok and report.kinks == 0
    hinge = GDClassifier(Hinge(), penalty=None, fit_intercept=False)
    report = check_gradient(hinge, X, [1, 1, 0, 0], theta=[1.0, 0.3, 0.2, 5.0])
    assert report.ok and (report.kinks, report.left_out) == (1, 1)


@pytest.mark.parametrize("factor", [1 + 1e-9, 1.5])
def test_a_kink_excuses_no_formula(factor):
    """On the kink itself, analytic and backprop are compared all the same."""

    def change(gradient):
        gradient *= factor

    model, X, y = relu_network(0.0)
    report = check_gradient(model, X, y, sources=(Tampered(change), "backprop"))
    assert not report.ok and disagreeing(report) == set(BLOCKS)


def test_nothing_but_kinks_is_no_agreement():
    X, y, _ = data(GDClassifier, n=31)
    report = check_gradient(GDClassifier("perceptron"), X, y, theta=np.zeros(5))
    assert report.ok is False and report.suspect is None
    assert {r["verdict"] for r in report.blocks if "numeric" in r.values()} == {"on kinks"}
    assert "Give another point" in report.conclusion
    assert check_gradient(GDClassifier("perceptron"), X, y).ok  # near the start, not at it


def test_kinks_of_a_function():
    def fun(x):
        return np.sum(np.abs(x)) + np.sum(x**2)

    def jac(x):
        return np.sign(x) + 2 * x

    x = np.array([1.0, 1e-6, 1e-20, -3.0])
    report = check_gradient(fun, x, jac=jac)
    assert report.ok and (report.kinks, report.left_out) == (2, 1)
    for wrong in range(4):
        factor = np.ones(4)
        factor[wrong] = 1.001 if wrong != 2 else 1.1
        report = check_gradient(fun, x, jac=lambda x, f=factor: jac(x) * f)
        assert not report.ok and report.worst == f"x[{wrong}]"


# ----------------------------------------------------------------------------- the sources


def test_sources_are_objects_too():
    X, y, _ = data(GDRegressor)
    sources = ("backprop", "analytic", Numeric(method="cs"), Numeric(method="2-point"))
    for directions in (None, 2):
        report = check_gradient(GDRegressor(), X, y, sources=sources, directions=directions)
        assert report.ok, str(report)
        assert list(report.sources)[2:] == ["Numeric(method='cs')", "Numeric(method='2-point')"]
        assert len({r["tolerance"] for r in report.blocks}) == 3
    report = check_gradient(
        small(MLPBackpropRegressor),
        X,
        y,
        sources=(
            Analytic(),
            Numeric(method="richardson"),
            Numeric(space="predictions"),
            Numeric(rel_step=1e-3),
        ),
    )
    assert report.ok, str(report)


def test_sources_that_cannot_are_listed():
    X, y, _ = data(GDClassifier)
    sources = ("analytic", "numeric", Numeric(method="cs"), Numeric(method="spsa"))
    report = check_gradient(GDClassifier("hinge"), X, y, sources=sources)
    assert report.ok
    assert "imaginary" in report.sources["Numeric(method='cs')"]
    assert "random" in report.sources["Numeric(method='spsa')"]
    assert report.sources["analytic"] == "" == report.sources["numeric"]


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        (("analytic", "bakprop"), ValueError, "Did you mean 'backprop'"),
        (("analytic",), ValueError, "at least two"),
        ("analytic", TypeError, "list of at least two"),
        (("numeric", "numeric"), ValueError, "twice"),
        (("numeric", 3), TypeError, "sources"),
        (("numeric", Numeric), TypeError, "class"),
    ],
)
def test_wrong_sources(given, error, match):
    with pytest.raises(error, match=match):
        check_gradient(rosen, [1.0, 2.0], sources=given)


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "match"),
    [
        ((GDRegressor(),), {}, TypeError, "needs X and y"),
        ((GDRegressor, np.eye(2), [0, 1]), {}, TypeError, "four estimators"),
        (("x", [1.0]), {}, TypeError, "four estimators"),
        ((make_pipeline(StandardScaler(), GDRegressor()),), {}, TypeError, "needs X and y"),
        ((make_pipeline(StandardScaler(), Ridge()), np.eye(2), [0, 1]), {}, TypeError, "Pipeline"),
        ((rosen,), {}, TypeError, "needs x"),
        ((rosen, [1.0, 2.0], [1.0]), {}, TypeError, "y has no meaning"),
        ((rosen, [1.0, 2.0]), {"theta": [1.0]}, TypeError, "theta has no meaning"),
        ((rosen, [1.0, 2.0]), {"sample_weight": [1.0]}, TypeError, "sample_weight has no"),
        ((GDRegressor(), np.eye(2), [0, 1]), {"jac": rosen_der}, TypeError, "jac has no"),
        ((rosen, ["a"]), {}, TypeError, "real numbers"),
        ((lambda x: x, [1.0, 2.0]), {}, ValueError, "one real number"),
        ((lambda x: np.inf, [1.0]), {}, ValueError, "J is inf"),
        ((rosen, [1.0, 2.0]), {"jac": lambda x: x[0]}, ValueError, "shape of x"),
        ((rosen, [1.0, 2.0]), {"directions": 0}, ValueError, "directions"),
        ((rosen, [1.0, 2.0]), {"directions": "few"}, ValueError, "directions"),
        ((rosen, [1.0, 2.0]), {"rtol": -1.0}, ValueError, "rtol"),
        ((GDRegressor(), np.eye(2), [0, 1]), {"theta": [1.0]}, ValueError, "theta"),
        ((GDRegressor(), np.eye(2), [0, 1]), {"theta": [np.nan] * 3}, ValueError, "J is nan"),
    ],
)
def test_wrong_arguments(args, kwargs, error, match):
    with pytest.raises(error, match=match):
        check_gradient(*args, **kwargs)


def test_an_error_in_a_gradient_by_hand_is_an_error():
    class Broken(SquaredError):
        def value_and_gradient(self, y, raw):
            raise ValueError("my own mistake")

    X, y, _ = data(GDRegressor)
    with pytest.raises(ValueError, match="my own mistake"):
        check_gradient(GDRegressor(Broken()), X, y)


# ------------------------------------------------------------------------- modes and report


def test_auto_measures_each_parameter_of_small_models_only():
    X, y, _ = data(MLPBackpropClassifier, n=20)
    report = check_gradient(MLPBackpropClassifier((10,)), X, y)
    assert report.mode == "" and "numeric" in report.gradients
    report = check_gradient(MLPBackpropClassifier((500,)), X, y)
    assert_agrees(report)
    assert "numeric" not in report.gradients
    text = " ".join(str(report).split())
    assert "3 random directions v of each block" in text
    assert "single entry can be missed" in text and "directions=None" in text
    for r in report.blocks:  # formulas are compared entry by entry all the same
        assert (" along v[" in r["worst"]) is ("numeric" in (r["source_a"], r["source_b"]))
    assert report.step is not None


def test_a_wrong_function_is_not_measured_again_and_again():
    calls = []

    def fun(x):
        calls.append(1)
        return np.sum(np.sin(x))

    x = np.linspace(-1, 1, 1500)
    report = check_gradient(fun, x, jac=lambda x: 1.1 * np.cos(x))
    assert report.suspect == "analytic"
    assert len(calls) < 2 * len(x) + 1000  # not six for each
    calls.clear()
    assert check_gradient(fun, np.resize(x, 3000), jac=np.cos).ok
    assert len(calls) < 20


def test_report_is_neither_true_nor_false():
    report = check_gradient(rosen, np.array([1.0, 2.0]))
    assert isinstance(report, GradientCheck) and report.ok is True
    with pytest.raises(TypeError, match=r"report\.ok"):
        bool(report)
    with pytest.raises(TypeError, match=r"\.ok"):
        assert report


@MODES
def test_report_prints_as_a_table(directions):
    X, y, _ = data(MLPBackpropClassifier, n_outputs=3)
    sources = (NoPenalty(), *GRADIENTS, Numeric(method="richardson", rel_step=1e-3))
    report = check_gradient(
        small(MLPBackpropClassifier, hidden_layer_sizes=(30, 30)),
        X,
        y,
        sources=sources,
        directions=directions,
    )
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 100
    assert repr(report) == str(report)
    assert lines[0].startswith("check_gradient(MLPBackpropClassifier), ")
    for word in ("block", "error", "allowed", "worst entry", "verdict", "DISAGREES"):
        assert word in str(report)
    assert "NoPenalty() is suspect" in " ".join(" ".join(lines[-3:]).split())
    table = pd.DataFrame(report.blocks)
    assert {"block", "relative_error", "tolerance", "verdict", "worst", "step"} <= set(table)
    assert table["relative_error"].max() == report.max_relative_error
    again = pickle.loads(pickle.dumps(report))
    assert str(again) == str(report)


def test_report_of_a_gradient_of_zero_says_so():
    report = check_gradient(lambda x: np.sum(x**2), np.zeros(2), jac=lambda x: 2 * x)
    assert report.ok and "gradient is zero" in report.conclusion


# ------------------------------------------------------------------------ random functions

PIECES = (np.sin, np.tanh, np.exp, np.square, np.arctan, np.abs, lambda z: np.maximum(z, 0.0))


def random_function(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 5, size=2)
    A, b = rng.normal(size=(m, n)), rng.normal(size=m)
    pieces = [PIECES[i] for i in rng.integers(len(PIECES), size=m)]

    def fun(x):
        z = A @ x + b
        total = 0.0
        for i, piece in enumerate(pieces):
            total = total + piece(z[i])
        return total

    return fun, rng.normal(size=n), rng


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_functions_pass_and_random_faults_do_not(seed):
    fun, x, rng = random_function(seed)
    report = check_gradient(fun, x)
    assert report.ok, str(report)
    true = report.gradients["backprop"]
    wrong = true.copy()
    wrong[rng.integers(len(x))] += 10.0 ** rng.uniform(-5, 1) * max(1.0, np.linalg.norm(true))
    for sources in (("analytic", "backprop", "numeric"), ("analytic", "numeric")):
        report = check_gradient(fun, x, jac=lambda x: wrong, sources=sources)
        assert report.ok is False, str(report)
        assert report.suspect == ("analytic" if len(sources) == 3 else None)
