"""A closer look at a measured derivative, which a kink or too wide a step may have spoiled.

A function is given as an array of terms, whose sum it is. Where a term is smooth, its slopes to
the left and to the right differ by an amount that shrinks with the step. Across a kink (relu,
hinge, absolute error) they go on to differ, or stop as soon as the step no longer reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

Terms = Callable[[np.ndarray], np.ndarray]

_EPS = float(np.finfo(np.float64).eps)
_LEVELS = 8  # steps h, h/10, ...


class _Difference(NamedTuple):
    """A central difference, term by term."""

    step: float
    slope: float
    mass: float  # sum of the absolute slopes of the terms, which may cancel
    bends: np.ndarray  # by how much their slopes to the left and to the right differ from them
    noise: np.ndarray  # rounding in `bends`


class Look(NamedTuple):
    """The steadiest of several differences with smaller and smaller steps."""

    first: _Difference
    best: _Difference
    first_error: float  # largest error of the first slope that kinks and curvature explain
    error: float  # by how much the best slope changes with the step
    kink: float  # largest error of the best slope that kinks explain; 0 if there are none
    crossed: bool  # whether the first step crossed a kink

    def explains(self, value: float, rounding: float) -> bool:
        """Whether a difference with the first step may give this value."""
        allowed = self.first_error + rounding + 1e-7 * abs(self.first.slope)
        return abs(value - self.first.slope) <= allowed


def look_closer(terms: Terms, x: np.ndarray, j: int, h: float, threshold: float) -> Look:
    """Measure the derivative by x[j] anew, so that neither kinks nor a wide step spoil it.

    Parameters
    ----------
    terms : callable
        ``x -> array``, whose sum is differentiated.
    x : ndarray of shape (n,)
    j : int
    h : float
        The widest step.
    threshold : float
        An error as small as this does not matter.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.gradient_check.kinks import look_closer
    >>> look = look_closer(np.abs, np.array([0.003]), 0, h=0.01, threshold=1e-9)
    >>> look.crossed, float(look.best.step), round(float(look.best.slope), 9)
    (True, 0.001, 1.0)
    """
    differences = _differences(terms, x, j, h)
    tried = [next(differences)]
    kinks: list[float] = []
    errors: list[float] = []
    # Kinks and curvature do less harm to a smaller step, rounding does more: until it does.
    for narrow in differences:
        wide = tried[-1]
        kinks.append(float(np.abs(wide.bends[_has_kink(wide, narrow)]).sum()))
        errors.append(float(np.nan_to_num(kinks[-1] + abs(wide.slope - narrow.slope), nan=np.inf)))
        tried.append(narrow)
        if not threshold < errors[-1] <= 2.0 * min(errors):
            break
    k = int(np.argmin(errors))
    bends = float(np.abs(tried[0].bends).sum())
    return Look(
        first=tried[0],
        best=tried[k],
        first_error=2.0 * (bends + abs(tried[0].slope - tried[1].slope)),
        error=min(errors[k] - kinks[k], 1e-6 * tried[k].mass),
        kink=kinks[k] if _is_genuine(kinks, k, threshold) else 0.0,
        crossed=_is_genuine(kinks, 0, threshold),
    )


def _differences(terms: Terms, x: np.ndarray, j: int, h: float) -> Iterator[_Difference]:
    """Central differences with steps h, h/10, ..."""
    middle = terms(x)
    for step in h / 10.0 ** np.arange(_LEVELS):
        right, left = x.copy(), x.copy()
        right[j] += step
        left[j] -= step
        above, below = terms(right) - middle, middle - terms(left)
        width = right[j] - left[j]  # which was really moved, after rounding
        slopes, bends = (above + below) / width, (above - below) / width
        noise = (4.0 * _EPS / width) * np.abs(middle)
        yield _Difference(step, slopes.sum(), np.abs(slopes).sum(), bends, noise)


def _has_kink(wide: _Difference, narrow: _Difference) -> np.ndarray:
    """Which terms have a kink within the wide step.

    Where a term is smooth, its bend is ``h/2`` times the second derivative and shrinks with h.
    At a distance s from x, less than h, a kink by which the slope jumps makes a bend of
    ``jump (h - s) / 2h``, which is also the error of the slope: it stays as it is (s = 0) or is
    gone as soon as h is below s.
    """
    expected = 0.5 * np.abs(wide.bends) + 10.0 * narrow.noise
    return np.abs(wide.bends - 10.0 * narrow.bends) > expected


def _is_genuine(kinks: list[float], k: int, threshold: float) -> bool:
    """Whether it is a kink and not noise, which looks like one that grows as the step shrinks."""
    neighbours = pairwise(kinks[max(0, k - 1) : k + 2])
    return kinks[k] > threshold and all(after <= 2.0 * before for before, after in neighbours)
