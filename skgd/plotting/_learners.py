"""Estimators as displays are given them: alone, in a list or dict, in a Pipeline, in a search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skgd.estimators.pipelines import learner_of


def fitted_learner(estimator: Any) -> Any:
    """Return the fitted estimator that learned: the last step, of the best candidate.

    Raises
    ------
    NotFittedError
    """
    check_is_fitted(estimator)
    return learner_of(estimator)


def by_name(given: Any) -> dict[str, Any]:
    """Return estimators by name, from one estimator, a list, or a dict.

    In a list, each is named after the parameters in which it differs from the others.
    """
    if isinstance(given, Mapping):
        named = {str(name): estimator for name, estimator in given.items()}
    elif isinstance(given, Pipeline) or not isinstance(given, Iterable):
        named = {type(learner_of(given)).__name__: given}
    else:
        estimators = list(given)
        named = dict(zip(_names(estimators), estimators, strict=True))
    if not named:
        raise ValueError("estimator is an empty list or dict: give at least one estimator.")
    for name, estimator in named.items():
        if isinstance(estimator, type) or not isinstance(estimator, BaseEstimator):
            raise TypeError(
                "estimator takes an estimator, or a list or a dict name -> estimator of them; got "
                f"{estimator!r} (of type {type(estimator).__name__}) as {name!r}."
            )
    return named


def _names(estimators: list[Any]) -> list[str]:
    learners = [learner_of(estimator) for estimator in estimators]
    classes = [type(learner).__name__ for learner in learners]
    settings = [
        learner.get_params(deep=False) if hasattr(learner, "get_params") else {}
        for learner in learners
    ]
    keys = {key: None for setting in settings for key in setting}
    differ = [
        key
        for key in keys
        if all(key in setting for setting in settings)
        and len({repr(setting[key]) for setting in settings}) > 1
    ]
    names = []
    for name, setting in zip(classes, settings, strict=True):
        parts = [name] if len(set(classes)) > 1 or not differ else []
        parts += [f"{key}={_plain(setting[key])}" for key in differ]
        names.append(", ".join(parts))
    return _unique(names)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _unique(names: list[str]) -> list[str]:
    """Give numbers to names that occur more than once."""
    seen, repeated = Counter[str](), {n for n, count in Counter(names).items() if count > 1}
    for i, name in enumerate(names):
        if name in repeated:
            seen[name] += 1
            names[i] = f"{name} ({seen[name]})"
    return names
