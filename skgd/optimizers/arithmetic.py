"""What the rules share.

All of it works in place and in the dtype of the arrays: a setting may come as a NumPy scalar from
a search, and float() keeps it from turning float32 work into float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skgd._component import check_number
from skgd.optimizers.base import State


def _scratch(state: State, theta: np.ndarray, count: int) -> np.ndarray:
    """Return `count` arrays like theta to work in; they hold nothing between steps."""
    scratch = state.get("scratch")
    if scratch is None:
        scratch = state["scratch"] = np.empty((count, *theta.shape), theta.dtype)
    return scratch


def _average(mean: np.ndarray, value: np.ndarray, decay: float, work: np.ndarray) -> None:
    """Set mean to decay * mean + (1 - decay) * value."""
    mean *= float(decay)
    np.multiply(value, float(1 - decay), out=work)
    mean += work


def _average_square(mean: np.ndarray, value: np.ndarray, decay: float, work: np.ndarray) -> None:
    """Set mean to decay * mean + (1 - decay) * value^2."""
    mean *= float(decay)
    np.multiply(value, value, out=work)
    work *= float(1 - decay)
    mean += work


def _root(square: np.ndarray, epsilon: float, out: np.ndarray) -> None:
    """Set out to sqrt(square) + epsilon."""
    np.sqrt(square, out=out)
    out += float(epsilon)


def _descend(theta: np.ndarray, rate: float, direction: np.ndarray, work: np.ndarray) -> None:
    """Subtract rate * direction from theta; `work` may be the direction itself."""
    np.multiply(direction, float(rate), out=work)
    theta -= work


def _descend_by_ratio(
    theta: np.ndarray,
    rate: float,
    numerator: np.ndarray,
    denominator: np.ndarray,
    work: np.ndarray,
) -> None:
    """Subtract rate * numerator / denominator from theta; `work` may be the numerator itself."""
    np.multiply(numerator, float(rate), out=work)
    work /= denominator
    theta -= work


def _decay_weights(theta: np.ndarray, decay: float, mask: np.ndarray | None) -> None:
    """Shrink theta by the factor 1 - decay where the mask is True."""
    if decay:
        np.multiply(theta, float(1 - decay), out=theta, where=True if mask is None else mask)


def _check_decay(parameter: str, value: Any) -> None:
    """Check the part of an average that is kept: at 1, it would never take in anything new."""
    check_number(parameter, value, low=0, high=1, include="low")


def _check_epsilon(value: Any) -> None:
    check_number("epsilon", value, low=0, include="neither")
