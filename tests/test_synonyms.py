"""Whoever comes from another library is told what the thing is called here."""

import inspect
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.losses import LogLoss

X = np.random.default_rng(0).normal(size=(20, 2))
Y = X[:, 0] > 0
PAIRS = {
    GDClassifier: SGDClassifier,
    GDRegressor: SGDRegressor,
    MLPBackpropClassifier: MLPClassifier,
    MLPBackpropRegressor: MLPRegressor,
}


@pytest.mark.parametrize(
    ("cls", "settings", "hint"),
    [
        (GDRegressor, {"loss": "mae"}, "Did you mean 'absolute_error'?"),
        (GDRegressor, {"loss": "MSE"}, "Did you mean 'squared_error'?"),
        (GDClassifier, {"loss": "cross-entropy"}, "Did you mean 'log_loss'?"),
        (GDClassifier, {"loss": "logistic"}, "Did you mean 'log_loss'?"),
        (GDClassifier, {"gradient": "autodiff"}, "Did you mean 'backprop'?"),
        (GDClassifier, {"gradient": "backpropagation"}, "Did you mean 'backprop'?"),
        (GDClassifier, {"gradient": "finite difference"}, "Did you mean 'numeric'?"),
        (GDClassifier, {"penalty": "none"}, "Did you mean None?"),
        (MLPBackpropClassifier, {"init": "xavier"}, "Did you mean 'glorot'?"),
        (MLPBackpropClassifier, {"init": "kaiming"}, "Did you mean 'he'?"),
        (MLPBackpropClassifier, {"activation": "sigmoid"}, "Did you mean 'logistic'?"),
        (MLPBackpropClassifier, {"activation": "swish"}, "Did you mean 'silu'?"),
        (MLPBackpropClassifier, {"out_activation": "softmax"}, "loss='log_loss' brings softmax"),
        (MLPBackpropClassifier, {"loss": "squared_error"}, "or give out_activation='logistic'"),
        (GDRegressor, {"loss": "nothing like it at all"}, "function loss.y_true, raw."),
    ],
)
def test_a_name_of_others_gets_a_hint(cls, settings, hint):
    with pytest.raises(ValueError, match=hint.replace("?", r"\?")) as raised:
        cls(**settings).fit(X, Y)
    assert next(iter(settings)) in str(raised.value)


def test_a_hint_fits_the_parameter():
    """An `activation` is called "logistic", and a regressor has no log loss."""
    MLPBackpropClassifier(activation="logistic", max_iter=1, tol=None).fit(X, Y)
    with pytest.raises(ValueError, match="loss='bce' is unknown") as raised:
        GDRegressor("bce").fit(X, X[:, 0])
    assert "log_loss" not in str(raised.value)
    with pytest.raises(ValueError, match="is for regression") as raised:
        GDClassifier("squared_error").fit(X, Y)
    assert "out_activation" not in str(raised.value)


def test_a_wrong_setting_of_a_loss_is_no_question_of_own_losses():
    with pytest.raises(ValueError, match=r"label_smoothing takes a number in \[0, 1\); got 1.5\.$"):
        GDClassifier(LogLoss(label_smoothing=1.5)).fit(X, Y)


# -- parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", PAIRS)
def test_every_parameter_of_scikit_learn_is_taken_or_explained(cls):
    missing = PAIRS[cls]().get_params().keys() - cls().get_params().keys()
    assert missing & {"solver", "eta0"}
    for name in missing:
        with pytest.raises(TypeError, match=f"{cls.__name__} takes no parameter '{name}': it "):
            cls(**{name: 0})


@pytest.mark.parametrize("cls", PAIRS)
def test_the_signature_is_what_it_was(cls):
    names = list(inspect.signature(cls).parameters)
    assert sorted(cls().get_params()) == sorted(names)
    assert not {"args", "kwargs", "settings"} & set(names)
    assert clone(cls(max_iter=3)).max_iter == pickle.loads(pickle.dumps(cls(max_iter=3))).max_iter
    with pytest.raises(TypeError, match="unexpected keyword argument 'no_such'"):
        cls(no_such=1)


def test_a_subclass_may_have_parameters_of_its_own():
    class Mine(GDRegressor):
        def __init__(self, eta0=1.0, alpha=0.5):
            super().__init__(alpha=alpha)
            self.eta0 = eta0

    assert Mine(eta0=2.0).eta0 == 2.0
    assert Mine().alpha == 0.5
    with pytest.raises(TypeError, match="Mine takes no parameter 'solver': it is called optimizer"):
        Mine(solver="adam")
