"""What a training that did not end well is told: it fits the settings, and following it helps."""

import re
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier
from skgd.exceptions import DivergenceWarning
from skgd.optimizers import LBFGS, OPTIMIZERS

SCALE_FREE = [
    name for name, row in OPTIMIZERS.items() if row.scale_free and not issubclass(row, LBFGS)
]


def told(model, category, X=None, y=None):
    """Fit; return the one warning of this category."""
    if X is None:
        X, y = load_diabetes(return_X_y=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    (warning,) = [w for w in caught if issubclass(w.category, category)]
    return str(warning.message)


def suggested(text):
    return float(re.search(r"learning_rate=([0-9.e+-]*[0-9])", text).group(1))


@pytest.mark.parametrize(
    ("settings", "says", "does_not"),
    [
        ({}, "the loss stopped improving.*raise max_iter, or switch", "rate"),
        ({"learning_rate": 1e-3}, 'the learning rate if the loss falls.*"auto"', "score"),
        ({"early_stopping": True}, "validation score stopped.*for 20 epochs", "the loss|rate"),
        ({"optimizer": "lbfgs"}, "entry of the gradient.*tol bounds", "improving|rate|tol=None"),
    ],
)
def test_what_was_not_reached(settings, says, does_not):
    model = GDRegressor(max_iter=2, random_state=0, tol=1e-9, n_iter_no_change=20, **settings)
    text = told(model, ConvergenceWarning)
    assert re.search(f"GDRegressor reached max_iter=2 before.*{says}", text), text
    assert not re.search(does_not, text), text


@pytest.mark.parametrize("name", SCALE_FREE)
@pytest.mark.parametrize("cls", [GDClassifier, MLPBackpropClassifier])
def test_a_step_of_fixed_length_is_offered_its_usual_rate(cls, name):
    """The units of X do not matter to it: Kingma & Ba and torch.optim say 0.001 for Adam, 0.01
    for Adagrad and Rprop, 1 for Adadelta, 1e-4 for Lion."""
    X, y = load_breast_cancer(return_X_y=True)
    model = cls(optimizer=name, learning_rate=1e4, random_state=0, max_iter=15, tol=1e-4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    texts = [str(w.message) for w in caught if w.category is DivergenceWarning]
    assert texts  # no rule bears this rate
    if name == "radam" and cls is GDClassifier:  # whose first steps grow with the gradient
        return
    assert 1e-4 <= suggested(texts[0]) <= 1.0


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "lion"])
def test_the_rate_offered_to_a_network_trains_it(optimizer):
    """Pixels from 0 to 16, not scaled: rows of length 60."""
    X, y = load_digits(return_X_y=True)
    settings = {"optimizer": optimizer, "max_iter": 30, "random_state": 0}
    model = MLPBackpropClassifier((50,), learning_rate=1e3, **settings)
    text = told(model, DivergenceWarning, X, y)
    assert model.score(X, y) < 0.2
    better = clone(model).set_params(learning_rate=suggested(text), tol=None).fit(X, y)
    assert better.score(X, y) > 0.95


def test_a_slope_without_a_bound_is_offered_less():
    """A step of gradient descent on squares grows with the inputs twice: by x and by w x."""
    X, y = load_digits(return_X_y=True)
    settings = {"optimizer": "sgd", "max_iter": 15, "random_state": 0, "learning_rate": 1e3}
    bounded, not_bounded = (
        suggested(
            told(MLPBackpropClassifier((50,), loss=loss, **settings), DivergenceWarning, X, y)
        )
        for loss in ("hinge", "squared_hinge")
    )
    lengths = np.linalg.norm(X, axis=1)
    assert bounded / not_bounded == pytest.approx(np.sqrt(np.mean(lengths**2)), rel=0.5)
