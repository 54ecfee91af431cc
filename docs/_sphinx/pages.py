"""The pages that the package itself dictates: one for each public name, one for each table."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import public
from sklearn.base import BaseEstimator

TITLES = {"skgd": "Estimators and functions", "gradients": "Gradient sources"}

# What stands above the rows of a table, in place of the module's docstring.
INTRODUCTIONS = {
    "losses": "How wrong one raw output is: ``loss=`` of all estimators. A function "
    "``loss(y_true, raw)`` in plain NumPy is taken too: see :doc:`/any-loss`.",
    "penalties": "What the weights cost: ``penalty=`` of all estimators.",
    "activations": "What a hidden unit makes of its input: ``activation=`` of the networks, one "
    "for all hidden layers or a list with one for each.",
    "gradients": "Who computes the gradient: ``gradient=`` of all estimators and of "
    "`skgd.minimize`.",
    "optimizers": "What moves the parameters, from simple to complex: ``optimizer=`` of all "
    "estimators and of `skgd.minimize`.",
    "schedules": "A factor on the learning rate: ``schedule=`` of all estimators and of "
    "`skgd.minimize`. A function ``(step, n_steps) -> factor`` is taken too.",
}


def write(folder: Path, pictures: set[str]) -> None:
    """Write all pages below `folder`, and remove those of names that are no longer public.

    A page whose text is as it was stays untouched, so that Sphinx need not read it again.

    Parameters
    ----------
    folder : Path
        Inside Sphinx's source directory.
    pictures : set of str
        Names of the pictures, ``losses.huber`` or ``losses``, in ``folder/pictures``.
    """
    written = dict(texts(pictures))
    for path in (folder / "api").glob("*.rst"):
        if f"api/{path.name}" not in written:
            path.unlink()
    for name, text in written.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def texts(pictures: set[str]) -> Iterator[tuple[str, str]]:
    """File name and text of every page."""
    modules = public.modules()
    yield "api.rst", _contents("API reference", [f"api/{name}" for name in modules])
    for module_name, module in modules.items():
        yield f"api/{module_name}.rst", _module_page(module_name, module, pictures)
        for name in public.names(module):
            full = f"{module_name}.{name}"
            yield (
                f"api/{full}.rst",
                _object_page(module_name, name, getattr(module, name), pictures),
            )


def _module_page(name: str, module: ModuleType, pictures: set[str]) -> str:
    table = name.removeprefix("skgd.")
    rows = public.TABLES.get(table, {})
    title = TITLES.get(table, name if name == "skgd" else table.capitalize())
    lines = [*_title(title), f".. module:: {name}", "", _introduction(name, module), ""]
    if table in pictures:
        lines += _picture(table, f"{title}, all in one picture")
    if rows:
        lines += _rows(name, rows)
    public_names = public.names(module)
    others = [item for item in public_names if getattr(module, item) not in rows.values()]
    if others:
        lines += [".. autosummary::", "   :nosignatures:", "", *_indented(others)]
    lines += [".. toctree::", "   :hidden:", ""]
    return "\n".join(lines + _indented([f"{name}.{item}" for item in public_names]))


def _rows(module: str, rows: dict[Any, type]) -> list[str]:
    """Make a table of the rows: name, class, first sentence."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: auto", ""]
    cells = [("name", "class", "what")]
    for key, row in rows.items():
        name = "None" if key is None else f'"{key}"'
        cells.append((f"``{name}``", f"`{row.__name__} <{module}.{row.__name__}>`", _summary(row)))
    for name, link, what in cells:
        lines += [f"   * - {name}", f"     - {link}", f"     - {what}"]
    return [*lines, ""]


def _object_page(module: str, name: str, value: Any, pictures: set[str]) -> str:
    lines = [*_title(name), f".. currentmodule:: {module}", ""]
    if not inspect.isclass(value):
        return "\n".join([*lines, f".. autofunction:: {name}", ""])
    picture = f"{module.removeprefix('skgd.')}.{name}"
    if picture in pictures:
        lines += _picture(picture, f"{name}, drawn")
    lines += [f".. autoclass:: {name}", ""]
    members = _members(value)
    for kind, listed in members.items():
        lines += [f".. rubric:: {kind}", "", ".. autosummary::", "   :nosignatures:", ""]
        lines += _indented([f"{name}.{member}" for member in listed])
    for kind, listed in members.items():
        directive = "autoproperty" if kind == "Properties" else "automethod"
        for member in listed:
            lines += [f".. {directive}:: {name}.{member}", ""]
    return "\n".join(lines)


def _members(kind: type) -> dict[str, list[str]]:
    """Members to write about: all of an estimator, and of a base that users write classes upon.

    A row of a table has the methods of its base, and its page is about what sets it apart.
    """
    if any(kind in table.values() for table in public.TABLES.values()):
        return {}
    names = public.methods(kind)
    properties = [
        name for name in names if isinstance(inspect.getattr_static(kind, name), property)
    ]
    methods = [name for name in names if name not in properties]
    if issubclass(kind, BaseEstimator) and hasattr(kind, "fit"):
        methods += [name for name in ("score", "get_params") if hasattr(kind, name)]
    found = {"Methods": methods, "Properties": properties}
    return {title: members for title, members in found.items() if members}


def _contents(title: str, pages: list[str]) -> str:
    return "\n".join([*_title(title), ".. toctree::", "   :maxdepth: 2", "", *_indented(pages)])


def _title(text: str) -> list[str]:
    return [text, "=" * len(text), ""]


def _picture(name: str, what: str) -> list[str]:
    return [f".. image:: /generated/pictures/{name}.svg", f"   :alt: {what}", ""]


def _indented(items: list[str]) -> list[str]:
    return [*(f"   {item}" for item in items), ""]


def _introduction(name: str, module: ModuleType) -> str:
    return INTRODUCTIONS.get(name.removeprefix("skgd."), _summary(module))


def _summary(value: Any) -> str:
    """First paragraph of a docstring, in one line."""
    return " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
