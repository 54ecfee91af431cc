"""Gradients of losses with steps: random directions instead of small moves.

The derivative of accuracy or F1 is zero almost everywhere: a small move changes no prediction.
A move far enough along a random direction e does. The mean of

    e (J(u + r e) - J(u - r e)) / (2 r)

over e ~ N(0, I) is the exact gradient of J smoothed by a Gaussian of radius r (Nesterov &
Spokoiny 2017, "Random gradient-free minimization of convex functions", eq. 22); with random signs
for e, one pair for each step, and a radius that shrinks, it is SPSA (Spall 1992).

Both values of a pair are taken at opposite points (antithetic) and on the same rows (common random
numbers), so that what they share cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skgd.gradients.differences import as_floats
from skgd.objective import Batch, Objective
from skgd.objective.coordinates import Coordinates

_FEWEST, _MOST = 8, 128  # pairs
_SMALLEST, _LARGEST, _GROWTH = 2.0**-13, 2.0, 4.0  # radii that the calibration tries
_TRIALS = 8  # pairs for each
_SPSA_POWER = 0.101  # of the step's number, by which the radius shrinks (Spall 1998)

Terms = Callable[[np.ndarray], np.ndarray]


def _gaussian(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.standard_normal(size)


def _signs(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.choice([-1.0, 1.0], size)


class Directions:
    """How random directions are drawn.

    Parameters
    ----------
    method : {"smoothed", "spsa"}
    radius : float or None
        In units of ``max(1, root mean square of u)``; None calibrates it at the
        calls number 1, 2, 4, 8, ..., since a training moves on.
    n_pairs : int or None
        None is one for "spsa", and for "smoothed" the number of parameters, from 8 to 128.
    seed : int
    """

    def __init__(self, method: str, radius: float | None, n_pairs: int | None, seed: int) -> None:
        self.draw = DIRECTIONS[method]
        self.shrinks = method == "spsa"
        self.radius = radius
        self.n_pairs = n_pairs
        self.seed = seed
        self.calls = 0
        self._calibrated: float | None = None

    def pairs(self, size: int) -> int:
        """Pairs of evaluations for each gradient by `size` parameters."""
        if self.n_pairs is not None:
            return self.n_pairs
        return 1 if self.shrinks else int(np.clip(size, _FEWEST, _MOST))

    def gradient(self, terms: Terms, u: np.ndarray, stairs: Terms | None = None) -> np.ndarray:
        """Gradient of the sum of ``terms(u)`` by u, an estimate.

        `stairs` are those terms that may have steps, if not all: the radius is calibrated by them.
        """
        self.calls += 1
        size = max(1.0, float(np.sqrt(np.mean(np.square(u)))))
        radius = self.radius
        if radius is None:
            if self._calibrated is None or self.calls & (self.calls - 1) == 0:
                self._calibrated = calibrated_radius(stairs or terms, u, size)
            radius = self._calibrated
        r = radius * size
        if self.shrinks:
            r /= self.calls**_SPSA_POWER
        rng = np.random.default_rng([self.seed, self.calls])
        total = np.zeros(u.shape)
        n = self.pairs(u.size)
        for _ in range(n):
            e = self.draw(rng, u.size).reshape(u.shape)
            total += e * (_difference(terms, u, r * e) / (2.0 * r * n))
        return total.astype(u.dtype)


DIRECTIONS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "smoothed": _gaussian,
    "spsa": _signs,
}


def calibrated_radius(terms: Terms, u: np.ndarray, size: float) -> float:
    """Smallest radius at which the loss does not look like stairs, in units of `size`.

    A smooth loss passes at the smallest radius. Too small is a radius at which differences are
    zero (within a step), or do not grow with the radius (a step right at u, as for accuracy at
    u = 0). The one found is doubled, so that a difference counts several steps.
    """
    rng = np.random.default_rng(0)
    directions = [_gaussian(rng, u.size).reshape(u.shape) for _ in range(_TRIALS)]

    def differences(radius: float) -> np.ndarray:
        return np.array([abs(_difference(terms, u, radius * size * e)) for e in directions])

    radius, here = _SMALLEST, differences(_SMALLEST)
    while radius < _LARGEST:
        wider = differences(_GROWTH * radius)
        if np.all(here > 0) and wider.sum() >= 0.5 * _GROWTH * here.sum():
            return radius if radius == _SMALLEST else 2.0 * radius
        radius, here = _GROWTH * radius, wider
    return _LARGEST


def _difference(terms: Terms, u: np.ndarray, move: np.ndarray) -> float:
    move = move.astype(u.dtype)
    changes = terms(u + move) - terms(u - move)
    total = float(changes.sum())
    # What rounding leaves of terms that cancel is no difference.
    return total if abs(total) > 4.0 * np.finfo(u.dtype).eps * np.abs(changes).sum() else 0.0


class AlongDirections:
    """The gradient of J along random directions, in the coordinates of the descent.

    Parameters
    ----------
    objective : Objective
    coordinates : Coordinates
    directions : Directions
    """

    def __init__(
        self, objective: Objective, coordinates: Coordinates, directions: Directions
    ) -> None:
        self.objective = objective
        self.coordinates = coordinates
        self.directions = directions
        self.losses_per_call = 0  # of the latest call: some of them calibrate the radius

    def resume(self, step: int) -> None:
        """Go on with new directions after so many steps of an earlier pass."""
        self.directions.calls = step

    def __call__(self, u: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        """Return smooth J at theta(u) and write the estimate into `gradient`."""
        model = self.objective.model
        self.losses_per_call = 0

        def terms(at: np.ndarray) -> np.ndarray:
            self.losses_per_call += 1
            theta = self.coordinates.to_theta(at, out=np.empty_like(at))
            return self.objective.terms(model.layers(theta), batch)

        estimate = self.directions.gradient(terms, u, stairs=lambda at: terms(at)[:-1])
        np.divide(estimate, self.coordinates.unit, out=gradient)
        return float(terms(u).sum())


class AroundArgument:
    """Value and smoothed gradient of any function of an array.

    Parameters
    ----------
    fun : callable
        ``x -> number``.
    directions : Directions
    """

    def __init__(self, fun: Callable[[np.ndarray], Any], directions: Directions) -> None:
        self.fun = fun
        self.directions = directions

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return ``fun(x)`` and the estimate, of the shape of x."""
        x = as_floats(x)
        gradient = self.directions.gradient(lambda at: np.array([float(self.fun(at))]), x)
        return float(self.fun(x.copy())), gradient
