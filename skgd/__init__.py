"""scikit-learn compatible estimators that learn by gradient descent.

A learner is three exchangeable parts: model + loss give the objective J(theta); a gradient
source computes its gradient (analytic, backprop or numeric); an optimizer moves theta.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from skgd._memory import keep_freed_memory
from skgd._version import __version__
from skgd.autodiff import grad, value_and_grad
from skgd.engine import compile_kernels, config_context, set_config
from skgd.linear import GDClassifier, GDRegressor
from skgd.neural import MLPBackpropClassifier, MLPBackpropRegressor

__all__ = [
    "GDClassifier",
    "GDRegressor",
    "MLPBackpropClassifier",
    "MLPBackpropRegressor",
    "__version__",
    "check_gradient",
    "compile_kernels",
    "config_context",
    "grad",
    "minimize",
    "set_config",
    "value_and_grad",
]

# What nothing above needs is imported when it is asked for: modules, and functions of modules.
_LAZY_MODULES = ("callbacks", "datasets", "plotting")
_LAZY_FUNCTIONS = {"check_gradient": "gradient_check", "minimize": "minimization"}

if _TYPE_CHECKING:
    from skgd.gradient_check import check_gradient
    from skgd.minimization import minimize


def __getattr__(name: str) -> _Any:
    if name in _LAZY_MODULES:
        return _import_module(f"skgd.{name}")
    if name in _LAZY_FUNCTIONS:
        return getattr(_import_module(f"skgd.{_LAZY_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'skgd' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_MODULES, *_LAZY_FUNCTIONS})


keep_freed_memory()
