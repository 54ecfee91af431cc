"""Names that other libraries use: what an error suggests for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

# Values: each with the name of the same thing here. Hyphens and blanks count as underscores.
_SAME = {
    "mae": "absolute_error",
    "l1_loss": "absolute_error",
    "mean_absolute_error": "absolute_error",
    "mse": "squared_error",
    "l2_loss": "squared_error",
    "mean_squared_error": "squared_error",
    "pinball": "quantile",
    "bce": "log_loss",
    "cross_entropy": "log_loss",
    "crossentropy": "log_loss",
    "binary_crossentropy": "log_loss",
    "categorical_crossentropy": "log_loss",
    "logistic": "log_loss",
    "autodiff": "backprop",
    "autograd": "backprop",
    "backpropagation": "backprop",
    "finite_difference": "numeric",
    "finite_differences": "numeric",
    "adaptive": "plateau",
    "xavier": "glorot",
    "kaiming": "he",
    "linear": "identity",
    "sigmoid": "logistic",
    "swish": "silu",
    "none": None,
}
_BESIDES = {
    ("out_activation", "softmax"): "Leave out_activation='auto': loss='log_loss' brings softmax.",
}

# Parameters: what became of them.
_PARAMETERS = {
    "solver": "is called optimizer here",
    "learning_rate_init": "is called learning_rate here",
    "eta0": "is called learning_rate here",
    "max_fun": "is called max_evals here",
    "power_t": "is a setting of the schedule: schedule=InvScaling(power_t=...)",
    "momentum": "is a setting of the optimizer: optimizer=Momentum(momentum=...)",
    "nesterovs_momentum": "is a choice of the optimizer: 'nesterov' or 'momentum'",
    "beta_1": "is a setting of the optimizer: optimizer=Adam(beta_1=...)",
    "beta_2": "is a setting of the optimizer: optimizer=Adam(beta_2=...)",
    "epsilon": "is a setting of the optimizer, optimizer=Adam(epsilon=...), or of the loss, "
    "loss=EpsilonInsensitive(epsilon=...) or loss=Huber(delta=...)",
    "n_jobs": "is not needed: one descent learns all classes, on the threads that BLAS may use",
    "hidden_layer_sizes": "belongs to the networks, MLPBackpropClassifier and MLPBackpropRegressor",
    "activation": "belongs to the networks, MLPBackpropClassifier and MLPBackpropRegressor",
}


def synonym(parameter: str, value: Any, choices: Iterable[Any]) -> str:
    """Say which of the choices is meant by the name that others use; "" where nobody knows."""
    name = str(value).lower().replace("-", "_").replace(" ", "_")
    if (parameter, name) in _BESIDES:
        return _BESIDES[parameter, name]
    if name in _SAME and _SAME[name] in list(choices):
        return f"Did you mean {_SAME[name]!r}?"
    return ""


def explaining(init: Callable[..., None]) -> Callable[..., None]:
    """Let an ``__init__`` say what became of a parameter that scikit-learn has, and it has not.

    Its signature, which scikit-learn reads, stays what it is.
    """
    known = inspect.signature(init).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return init

    @wraps(init)
    def explained(self: Any, *args: Any, **settings: Any) -> None:
        for name in settings:
            if name not in known and name in _PARAMETERS:
                raise TypeError(
                    f"{type(self).__name__} takes no parameter {name!r}: it {_PARAMETERS[name]}."
                )
        init(self, *args, **settings)

    return explained
