"""Docstrings of all public classes, functions and methods follow numpydoc."""

import importlib
import inspect
import sys
from pathlib import Path

import pytest
from numpydoc.validate import validate

SPHINX = Path(__file__).parents[1] / "docs" / "_sphinx"

LEFT_OUT = {
    "ES01",  # one sentence may say all
    "SA01",  # "See Also" is for what one would take instead, where there is such a thing
    "PR07",  # "raw : ndarray of the shape of y" needs no more words
    "RT02",  # results have names, since types and shapes do not say what they are
    "RT03",  # ... and need no more words either
    "RT04",  # a result's description may begin with the name of an attribute
}
NO_EXAMPLE = {"EX01"}  # methods, whose class has one; classes that one does not make objects of
# Made by the graph, never by hand; its methods are those of an ndarray.
NOT_LOOKED_AT = {"skgd.autodiff.Traced"}


def _public():
    sys.path.insert(0, str(SPHINX))
    try:
        return importlib.import_module("public")
    finally:
        sys.path.remove(str(SPHINX))


def _documented():
    """Each public name, and the checks that it need not pass."""
    public = _public()
    objects = {name: value for name, value in public.objects() if name not in NOT_LOOKED_AT}
    classes = {name: value for name, value in objects.items() if inspect.isclass(value)}
    for name, value in objects.items():
        is_base = name in classes and any(value in c.__mro__[1:] for c in classes.values())
        is_warning = name in classes and issubclass(value, Warning)
        yield name, LEFT_OUT | (NO_EXAMPLE if is_base or is_warning else set())
    seen = set()
    for name, kind in classes.items():
        for method in public.methods(kind):
            function = getattr(kind, method)
            if callable(function) and function not in seen and not _overrides(kind, method):
                seen.add(function)
                yield f"{name}.{method}", LEFT_OUT | NO_EXAMPLE


def _overrides(kind, method):
    """Whether a base has the method too: then it is documented there."""
    ours = [base for base in inspect.getmro(kind) if base.__module__.startswith("skgd")]
    return sum(method in vars(base) for base in ours) > 1


DOCUMENTED = dict(_documented())


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstring_follows_numpydoc(name):
    errors = [f"{code}: {message}" for code, message in validate(name)["errors"]]
    assert not [error for error in errors if error[:4] not in DOCUMENTED[name]]


def test_estimators_and_their_methods_are_looked_at():
    assert {"skgd.GDClassifier", "skgd.GDClassifier.fit", "skgd.minimize"} <= DOCUMENTED.keys()
    assert len(DOCUMENTED) > 100
