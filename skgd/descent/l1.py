"""The L1 term around a step."""

from __future__ import annotations

import numpy as np

from skgd.descent.protocols import Function
from skgd.objective.coordinates import Coordinates
from skgd.penalties import project_orthant, pseudo_gradient


class L1Term:
    """The L1 term around a step: it has no derivative at 0, so no gradient source knows it.

    The optimizer is given the pseudo-gradient, and a weight that leaves its orthant stops at
    exactly 0 (the projection of OWL-QN: Andrew & Gao 2007). Soft-thresholding after the step
    would solve another problem with momentum or Adam.
    """

    def __init__(self, objective: Function, coordinates: Coordinates, u: np.ndarray) -> None:
        self.weights = slice(0, objective.model.n_weights)
        self.strength = coordinates.l1_strength(objective.l1_strength, u.dtype)
        self.unit = coordinates.unit
        self._before = u[self.weights].copy()

    def value(self, u: np.ndarray) -> float:
        """Return ``alpha ||weights||_1``, in the units of J."""
        return self.unit * float((np.abs(u[self.weights]) * self.strength).sum())

    def before_step(self, u: np.ndarray, gradient: np.ndarray) -> None:
        """Turn the gradient into the pseudo-gradient."""
        w, g = u[self.weights], gradient[self.weights]
        np.copyto(self._before, w)
        pseudo_gradient(w, g, self.strength, out=g)

    def after_step(self, u: np.ndarray, gradient: np.ndarray) -> None:
        """Set to 0 what left its orthant."""
        project_orthant(u[self.weights], self._before, gradient[self.weights])
