"""What the graph says where it cannot go on: the line of the user's, and what to write there."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import numpy as np
import scipy.special

INSTEAD = (
    "np.asarray, math.*, float(), np.vectorize, writing it into an array (a[i] = x) and the like "
    "would cut the graph. Write it in "
    "NumPy functions (np.exp for math.exp, np.stack for an array of traced values, np.where for "
    "a choice) or those of skgd.special (logsumexp, softmax, affine for a sparse matrix). "
    "x.value is the plain array, a constant to the derivative"
)

_LIBRARIES = {"skgd", "numpy", "scipy", "sklearn", "pandas", "polars", "functools"}


def _user_line() -> str:
    """Name the innermost line that is neither here nor in NumPy: the user's."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _LIBRARIES:
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def name_of(function: Any) -> str:
    """Name a function as users write it: np.sort, scipy.special.erf."""
    name = function.__name__
    for module, prefix in ((np, "np"), (scipy.special, "scipy.special")):
        if getattr(module, name, None) is function:
            return f"{prefix}.{name}"
    return f"{getattr(function, '__module__', 'ufunc')}.{name}"


def stop(error: type[Exception], what: str) -> NoReturn:
    """Raise an error that names the user's line, and a way out."""
    way_out = 'or let the gradient be measured: gradient="numeric"'
    raise error(f"{_user_line()}: {what}; {way_out}.")


def refuse(function: Any, how: str = "") -> NoReturn:
    """Raise: this function, or this form of it, is not in the tables."""
    what = f"the derivative of {name_of(function)}{how} is not in the graph's table"
    stop(NotImplementedError, f"{what}. Write it in other NumPy functions")


def refuse_in_place(what: str) -> NoReturn:
    """Raise: the tape holds the arrays, so nothing may overwrite them."""
    hint = "Build a new array, with np.where, np.concatenate or np.stack"
    stop(TypeError, f"traced values can't be written in place ({what}). {hint}")
