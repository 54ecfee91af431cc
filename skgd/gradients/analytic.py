"""The derivative written down by hand: the delta rule and the loss's own derivative; no graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skgd.gradients.base import AtTheta, Differentiated, GradientFunction, GradientSource
from skgd.objective import Batch, Objective
from skgd.objective.coordinates import Coordinates
from skgd.objective.models import DeltaRule, Layers


class Analytic(GradientSource):
    """The gradient by a formula derived by hand.

    Linear model: ``X^T loss'(X w) / n``. Network: the delta rule, layer by layer
    (Rumelhart, Hinton & Williams 1986).

    Examples
    --------
    >>> import numpy as np
    >>> from skgd import GDRegressor
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
    >>> model = GDRegressor(gradient="analytic", penalty=None).initialize(
    ...     X, y, parameters=[0.0, 0.0])
    >>> value, gradient = model.loss_and_gradient(X, y)
    >>> gradient  # -X^T y / n and -mean(y)
    array([-4.33333333, -3.        ])
    """

    def bind(
        self, objective: Objective, dtype: Any, coordinates: Coordinates | None = None
    ) -> GradientFunction:
        """Return a function ``(u, batch, gradient) -> value`` for this objective."""
        for activation in objective.model.activations:
            if not activation.has_derivative:
                raise NotImplementedError(
                    f"{activation!r} has no derivative written by hand, which "
                    "gradient='analytic' needs. Use gradient='backprop' or gradient='numeric', "
                    "or an Activation object with a method backward(delta, z, a)."
                )
        return ByHand(objective, dtype, coordinates)

    def of_function(self, fun: Callable[[np.ndarray], Any]) -> Differentiated:
        """Raise: nobody has written the derivative of a function down."""
        raise ValueError(
            'gradient="analytic" needs a derivative written by hand: give the function that '
            'computes it, gradient=my_gradient, or use gradient="backprop" or gradient="numeric".'
        )


class ByHand(AtTheta):
    """The delta rule, block by block of the rows, and the derivative of the L2 term."""

    def __init__(self, objective: Objective, dtype: Any, coordinates: Coordinates | None) -> None:
        super().__init__(objective, dtype, coordinates)
        self._rule = DeltaRule(objective.model, dtype)
        self._of_block = np.empty_like(self._theta)  # its gradient

    def _differentiate(self, theta: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        value = self._of_loss(batch, gradient)
        strength, weights = self.objective.l2_strength, slice(0, self.objective.model.n_weights)
        if strength:
            w = theta[weights]
            value += 0.5 * strength * float(w @ w)
            gradient[weights] += strength * w
        return value

    def _of_loss(self, batch: Batch, gradient: np.ndarray) -> float:
        n, blocks = batch.X.shape[0], self.objective.blocks(batch)
        if len(blocks) == 1:
            return self._of_rows(batch, n, self.slopes)
        slopes = self.objective.model.layers(self._of_block)
        gradient[...] = 0.0
        value = 0.0
        for block in blocks:
            value += self._of_rows(block, n, slopes)
            gradient += self._of_block
        return value

    def _of_rows(self, batch: Batch, n: int, slopes: Layers) -> float:
        """Share of the rows in the mean loss of n; its gradient goes to the views `slopes`."""
        X, y, weight, masks = batch
        raw = self._rule.forward(self.layers, X, masks)
        losses, delta = self.objective.loss.value_and_gradient(
            y, raw.reshape(-1) if raw.shape[1] == 1 else raw
        )
        delta = delta.reshape(raw.shape)
        if weight is None:
            value = float(losses.sum()) / n
            delta *= 1.0 / n
        else:
            value = float(weight @ losses) / n
            delta *= (weight / n)[:, None]
        self._rule.backward(self.layers, X, delta, slopes, masks)
        return value
