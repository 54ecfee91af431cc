"""y of several columns: several labels for each row, and probabilities of labels."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import skgd
from skgd import GDClassifier, MLPBackpropClassifier, check_gradient
from skgd.gradients import Numeric
from skgd.losses import LogLoss

X, Y = make_multilabel_classification(80, 6, n_classes=3, random_state=0)
X = StandardScaler().fit_transform(X)
each_classifier = pytest.mark.parametrize("cls", [GDClassifier, MLPBackpropClassifier])


def make(cls, **settings):
    sizes = {"hidden_layer_sizes": (4,)} if cls is MLPBackpropClassifier else {}
    return cls(**sizes, **{"max_iter": 30, "tol": None, "random_state": 0} | settings)


def shares(n_labels=3, n=80, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(n_labels), size=n)


# -- several labels --------------------------------------------------------------------------------


def test_each_label_is_a_logistic_regression():
    alpha = 0.01
    model = GDClassifier(alpha=alpha, optimizer="lbfgs", tol=0, max_iter=2000).fit(X, Y)
    assert np.array_equal(model.classes_, [0, 1, 2])
    for k in range(3):
        peer = LogisticRegression(C=1 / (alpha * len(X)), tol=1e-10, max_iter=1000)
        peer.fit(X, Y[:, k])
        assert np.allclose(model.coef_[k], peer.coef_[0], atol=1e-4)
        assert np.allclose(model.intercept_[k], peer.intercept_[0], atol=1e-4)
        assert np.allclose(model.predict_proba(X)[:, k], peer.predict_proba(X)[:, 1], atol=1e-4)
        assert np.array_equal(model.predict(X)[:, k], peer.predict(X))


def test_loss_is_that_of_mlpclassifier():
    """One step of plain gradient descent on the full batch, from the same weights."""
    peer = MLPClassifier(
        (4,),
        "tanh",
        solver="sgd",
        momentum=0.0,
        nesterovs_momentum=False,
        alpha=0.0,
        learning_rate_init=0.1,
        batch_size=len(X),
        max_iter=1,
        random_state=0,
        shuffle=False,
    )
    ours = make(MLPBackpropClassifier, activation="tanh", penalty=None, optimizer="sgd")
    ours.set_params(learning_rate=0.1, max_iter=1, batch_size=None).initialize(X, Y)
    peer.partial_fit(X, Y, classes=[0, 1, 2])  # which makes the arrays
    peer.coefs_ = [W.copy() for W in ours.coefs_]
    peer.intercepts_ = [b.copy() for b in ours.intercepts_]
    assert ours.out_activation_ == peer.out_activation_ == "logistic"
    assert np.allclose(ours.predict_proba(X), peer.predict_proba(X))
    value, _ = ours.loss_and_gradient(X, Y)
    peer.partial_fit(X, Y)
    ours.partial_fit(X, Y)
    assert value == pytest.approx(peer.loss_, rel=1e-12)
    for a, b in zip(ours.coefs_ + ours.intercepts_, peer.coefs_ + peer.intercepts_, strict=True):
        assert np.allclose(a, b, rtol=1e-10, atol=1e-13)


@each_classifier
@pytest.mark.parametrize("loss", ["log_loss", "focal", "modified_huber", "squared_hinge", "hinge"])
def test_sources_agree(cls, loss):
    model = make(cls, loss=loss)
    report = check_gradient(model, X, Y)
    assert report.ok, report
    one = clone(model).set_params(max_iter=3, gradient="backprop").fit(X, Y)
    for source in ("analytic", "numeric", Numeric(space="predictions")):
        other = clone(one).set_params(gradient=source).fit(sparse.csr_matrix(X), Y)
        assert np.allclose(one.parameters_, other.parameters_, rtol=1e-4, atol=1e-5)


@each_classifier
@pytest.mark.parametrize("loss", ["log_loss", "focal", "modified_huber"])
def test_what_is_returned(cls, loss):
    model = make(cls, loss=loss).fit(X, Y)
    p = model.predict_proba(X)
    assert p.shape == Y.shape and np.all((p >= 0) & (p <= 1))
    assert not np.allclose(p.sum(axis=1), 1)
    assert np.array_equal(model.predict(X), (p > 0.5).astype(int))
    assert model.predict(X).dtype.kind == "i"
    assert model.decision_function(X).shape == Y.shape
    assert model.score(X, Y) == np.mean(np.all(model.predict(X) == Y, axis=1))
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X), model.predict(X))


@each_classifier
def test_any_form_of_indicators(cls):
    model = make(cls).fit(X, Y)
    for form in (Y.tolist(), Y.astype(float), Y.astype(bool), sparse.csr_matrix(Y)):
        assert np.array_equal(clone(model).fit(X, form).parameters_, model.parameters_)
    assert np.array_equal(clone(model).fit(X, pd.DataFrame(Y)).parameters_, model.parameters_)


@each_classifier
def test_a_loss_of_the_users_sees_the_indicators(cls):
    def by_hand(y, raw):
        return np.sum(np.log(1 + np.exp(raw)) - y * raw, axis=1)

    one = make(cls, loss=by_hand, learning_rate=0.1).fit(X, Y)
    other = make(cls, learning_rate=0.1).fit(X, Y)
    assert np.allclose(one.parameters_, other.parameters_, rtol=1e-8, atol=1e-10)


def test_output_units_of_1986():
    model = make(MLPBackpropClassifier, loss="squared_error", out_activation="logistic")
    model.set_params(max_iter=300).fit(X, Y)
    z = model.hidden_activations(X)[-1] @ model.coefs_[-1] + model.intercepts_[-1]
    assert np.array_equal(model.predict(X), (expit(z) > 0.5).astype(int))
    assert np.mean(model.predict(X) == Y) > 0.8


@each_classifier
@pytest.mark.parametrize("target", [Y, shares(), shares(2)], ids=["labels", "shares", "two"])
def test_parts_warm_starts_and_early_stopping(cls, target):
    settings = {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": None}
    model = make(cls, **settings)
    whole = clone(model).set_params(max_iter=4).fit(X, target).parameters_
    parts = clone(model)
    for _ in range(4):
        parts.partial_fit(X, target)
    assert np.allclose(parts.parameters_, whole, rtol=1e-12, atol=1e-14)
    warm = clone(model).set_params(max_iter=2, warm_start=True).fit(X, target).fit(X, target)
    assert np.allclose(warm.parameters_, whole, rtol=1e-12, atol=1e-14)
    stopped = clone(model).set_params(early_stopping=True).fit(X, target)
    assert len(stopped.validation_scores_) == stopped.n_iter_


@each_classifier
def test_scores_of_rows_kept_back(cls):
    model = make(cls, early_stopping=True, scoring=None).fit(X, Y)
    assert max(model.validation_scores_) <= 1.0
    assert np.isfinite(cross_val_score(make(cls), X, Y, scoring="f1_macro", cv=3)).all()


@pytest.mark.parametrize("target", [Y, shares(), shares(2)], ids=["labels", "shares", "two"])
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_engines_agree(target, loss):
    pytest.importorskip("numba")
    if loss == "hinge" and target is not Y:
        pytest.skip("takes whole labels")
    model = make(MLPBackpropClassifier, loss=loss, max_iter=5)
    with skgd.config_context(engine="numba"):
        fast = clone(model).fit(X, target)
    with skgd.config_context(engine="numpy"):
        slow = clone(model).fit(X, target)
    assert fast.engine_ == ("numpy" if loss == "log_loss" and target is Y else "numba")
    assert np.allclose(fast.parameters_, slow.parameters_, rtol=1e-10, atol=1e-12)


# -- probabilities ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_labels", [2, 3])
def test_probabilities_are_weights_of_labels(n_labels):
    """A row with the shares .2 and .8 is the row with one label, weight .2, and with the other."""
    P, alpha = shares(n_labels), 0.01
    model = GDClassifier(alpha=alpha, optimizer="lbfgs", tol=0, max_iter=2000).fit(X, P)
    peer = LogisticRegression(C=1 / (alpha * len(X)), tol=1e-10, max_iter=1000)
    rows, labels = np.tile(X, (n_labels, 1)), np.repeat(np.arange(n_labels), len(X))
    peer.fit(rows, labels, sample_weight=P.T.ravel())
    assert np.allclose(model.predict_proba(X), peer.predict_proba(X), atol=1e-4)
    assert np.array_equal(model.predict(X), peer.predict(X))
    assert np.array_equal(model.classes_, np.arange(n_labels))
    weighted = log_loss(labels, peer.predict_proba(rows), sample_weight=P.T.ravel())
    value = model.set_params(penalty=None).loss_and_gradient(X, P)[0]
    assert value == pytest.approx(weighted, abs=1e-6)


@each_classifier
@pytest.mark.parametrize("n_labels", [2, 3])
def test_sources_agree_on_probabilities(cls, n_labels):
    report = check_gradient(make(cls), X, shares(n_labels))
    assert report.ok, report


@each_classifier
def test_sources_agree_on_probabilities_of_single_precision(cls):
    """float32 rounds the sum of a row off 1: by 6e-8, where the check allows 1e-12."""
    report = check_gradient(make(cls), X.astype(np.float32), shares(), directions=None)
    assert not any(report.sources.values())
    assert report.ok, report


def test_log_loss_of_rows_that_miss_the_sum_of_one():
    """The derivative of ``-sum_k y_k log softmax(raw)_k`` is ``p sum(y) - y``, by hand."""
    y, raw = np.array([[0.5, 0.5, 0.5]]), np.array([[0.0, 0.0, np.log(2.0)]])
    value, slope = LogLoss().value_and_gradient(y, raw)
    np.testing.assert_allclose(value, 0.5 * (np.log(4) + np.log(4) + np.log(2)))
    np.testing.assert_allclose(slope, 1.5 * np.array([[0.25, 0.25, 0.5]]) - y)
    np.testing.assert_allclose(value, LogLoss().value(y, raw))


@each_classifier
def test_hard_and_soft_labels(cls):
    """Almost sure labels teach almost what sure ones do."""
    y = np.arange(80) % 3
    soft = np.eye(3)[y] * (1 - 3e-9) + 1e-9
    hard = make(cls).fit(X, y)
    assert np.allclose(make(cls).fit(X, soft).predict_proba(X), hard.predict_proba(X), atol=1e-6)


@each_classifier
def test_sure_rows_in_a_later_part(cls):
    model = make(cls).partial_fit(X, shares()).partial_fit(X, np.eye(3)[np.arange(80) % 3])
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)


# -- what is refused -------------------------------------------------------------------------------


@each_classifier
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (2 * Y, "0 and 1 alone"),
        (Y + 0.5, "0 and 1 alone"),
        (shares() * 0.9, "the sum 0.9"),
        (shares() - 0.5, "Row 0"),
        (np.where(Y, "a", "b"), "MultiOutputClassifier"),
        (np.where(Y == 1, np.nan, Y), "NaN"),
    ],
)
def test_neither_indicators_nor_probabilities(cls, y, message):
    with pytest.raises(ValueError, match=message):
        make(cls).fit(X, y)


@each_classifier
@pytest.mark.parametrize("loss", ["hinge", "focal", "modified_huber"])
def test_probabilities_take_the_log_loss(cls, loss):
    with pytest.raises(ValueError, match=r"probabilities of the labels.*log_loss"):
        make(cls, loss=loss).fit(X, shares())


@each_classifier
def test_class_weights_need_classes(cls):
    for target in (Y, shares()):
        with pytest.raises(ValueError, match="class_weight='balanced' has no meaning"):
            make(cls, class_weight="balanced").fit(X, target)


@each_classifier
def test_kinds_do_not_mix(cls):
    one = np.arange(80) % 3
    for first, then in [(Y, one), (one, Y), (Y, shares()), (Y, Y[:, :2]), (shares(), one)]:
        model = make(cls)
        model.partial_fit(X, first, classes=[0, 1, 2])
        before = model.parameters_
        with pytest.raises(ValueError, match="y "):
            model.partial_fit(X, then)
        assert np.array_equal(model.parameters_, before)
        model.fit(X, then)  # which begins anew
    with pytest.raises(ValueError, match="0 to 2"):
        make(cls).partial_fit(X, Y, classes=["a", "b", "c"])
