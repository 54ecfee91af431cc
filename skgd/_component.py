"""What optimizers, schedules, gradient sources, losses and penalties have in common.

A component is a small object that holds settings and no fitted state. It is given to an
estimator as a parameter, either as an object or by the name of its row in a table, so it
must clone, pickle, print and be searched (``optimizer__beta_1``) like an estimator.
"""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skgd._documentation import Documented, room_of
from skgd._synonyms import synonym


class Component(Documented, BaseEstimator):
    """Base of all components: scikit-learn's parameters, and a check of their values."""

    def check(self) -> None:
        """Raise a ValueError or TypeError that names the wrong parameter, if there is one."""


def resolve(
    parameter: str,
    value: Any,
    table: Mapping[Any, type],
    kind: type | tuple[type, ...],
    extra: tuple[str, ...] = (),
) -> Any:
    """Turn the name of a table's row into a component; check one that was given as an object.

    Parameters
    ----------
    parameter : str
        Name of the estimator's parameter, for the message.
    value : str or component
        What the user gave.
    table : mapping of str to class
        The rows that a string may name.
    kind : type or tuple of types
        The class that an object must be an instance of; the first is named in messages.
    extra : tuple of str
        Further strings that the parameter takes and the caller has dealt with.

    Returns
    -------
    component : instance of `kind`

    Raises
    ------
    TypeError
        `value` is neither a string nor an instance of `kind`.
    ValueError
        No row has that name, or a setting of the component is out of its range.
    """
    if isinstance(value, str) or (value is None and None in table):
        check_choice(parameter, value, [*table, *extra])
        value = table[value]()
    elif isinstance(value, type) and issubclass(value, kind):
        raise TypeError(
            f"{parameter}={value.__name__} is a class; give an object: {value.__name__}()."
        )
    elif not isinstance(value, kind):
        base = kind[0] if isinstance(kind, tuple) else kind
        raise TypeError(
            f"{parameter} takes one of {_listed([*table, *extra])} or an instance of "
            f"{room_of(base)}.{base.__name__}; got {value!r} of type {type(value).__name__}."
        )
    value.check()
    return value


def check_choice(parameter: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise a ValueError unless `value` is one of `choices`; name the nearest right one."""
    choices = list(choices)
    if any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        return
    names = [choice for choice in choices if isinstance(choice, str)]
    hint = synonym(parameter, value, choices)
    if not hint and (near := difflib.get_close_matches(str(value).lower(), names, cutoff=0.5)):
        hint = f"Did you mean {near[0]!r}?"
    listed = _listed(choices[:20]) + (", ..." if len(choices) > 20 else "")
    raise ValueError(f"{parameter}={value!r} is unknown; it takes one of {listed}. {hint}".strip())


def check_number(
    parameter: str,
    value: Any,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    include: str = "both",
    integer: bool = False,
) -> None:
    """Raise an error that names the parameter unless `value` is a number in the interval.

    Parameters
    ----------
    parameter : str
        Name for the message.
    value : object
        What the user gave. A bool is not a number; nan and inf are in no interval.
    low, high : float
        Ends of the interval.
    include : {"both", "low", "high", "neither"}
        Which ends belong to it.
    integer : bool
        Whether only whole numbers are taken.
    """
    wanted: Any = numbers.Integral if integer else numbers.Real
    left = "[" if include in ("both", "low") and np.isfinite(low) else "("
    right = "]" if include in ("both", "high") and np.isfinite(high) else ")"
    what = f"{'a whole number' if integer else 'a number'} in {left}{low:g}, {high:g}{right}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, wanted):
        raise TypeError(f"{parameter} takes {what}; got {value!r} of type {type(value).__name__}.")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    above = number >= low if left == "[" else number > low
    below = number <= high if right == "]" else number < high
    if not (np.isfinite(number) and above and below):
        raise ValueError(f"{parameter} takes {what}; got {value!r}.")


def check_bool(parameter: str, value: Any, also: tuple[str, ...] = ()) -> None:
    """Raise a TypeError that names the parameter unless `value` is True or False.

    `also` lists strings to name in the message that the caller has dealt with.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{parameter} takes {_listed([True, False, *also])}; got {value!r}.")


def _listed(choices: Iterable[Any]) -> str:
    return ", ".join(repr(choice) for choice in choices)
