"""What is public: the names that get a page, read from the package itself."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import skgd
from skgd.activations import ACTIVATIONS
from skgd.averaging import AVERAGES
from skgd.constraints import CONSTRAINTS
from skgd.gradients import GRADIENTS
from skgd.losses import LOSSES
from skgd.optimizers import OPTIMIZERS
from skgd.penalties import PENALTIES
from skgd.schedules import SCHEDULES

# Tables in the order of the three parts: the objective, its gradient, what moves theta.
TABLES: dict[str, dict[Any, type]] = {
    "losses": LOSSES,
    "penalties": PENALTIES,
    "constraints": CONSTRAINTS,
    "activations": ACTIVATIONS,
    "gradients": GRADIENTS,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "averaging": AVERAGES,
}
_MODULES = [*TABLES, "autodiff", "special", "callbacks", "plotting", "datasets", "exceptions"]


def modules() -> dict[str, ModuleType]:
    """Public modules that this version has and this installation can import."""
    found = {"skgd": skgd}
    for name in _MODULES:
        try:
            found[f"skgd.{name}"] = importlib.import_module(f"skgd.{name}")
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("skgd."):
                continue  # not built yet
            raise
    return found


def names(module: ModuleType) -> list[str]:
    """Public names of a module.

    Those of `__all__` where there is one, else what the file defines, in its order. Of a module
    with a table they are the classes, its rows last and in the order of the table.
    """
    table = TABLES.get(module.__name__.removeprefix("skgd."), {})
    listed = getattr(module, "__all__", None)
    if listed is not None:
        objects = {name: getattr(module, name) for name in listed}
    else:
        objects = {
            name: value
            for name, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__
        }
    if table:
        rows = {row.__name__: row for row in table.values()}
        others = {name: value for name, value in objects.items() if name not in rows}
        objects = {name: value for name, value in others.items() if inspect.isclass(value)} | rows
    return [name for name, value in objects.items() if callable(value) and name[0] != "_"]


def objects() -> Iterator[tuple[str, Any]]:
    """Every public class and function with its full public name."""
    for name, module in modules().items():
        for attribute in names(module):
            yield f"{name}.{attribute}", getattr(module, attribute)


def methods(kind: type) -> list[str]:
    """Names of the public methods and properties of a class that skgd has written."""
    written = [base for base in inspect.getmro(kind) if base.__module__.startswith("skgd")]
    found = {name: None for base in reversed(written) for name in vars(base)}
    return [
        name
        for name in found
        if name[0] != "_"
        and not name.endswith("_request")  # scikit-learn's routing puts them into our classes
        and (callable(getattr(kind, name)) or _is_property(kind, name))
    ]


def _is_property(kind: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(kind, name), property)
