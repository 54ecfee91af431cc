"""The forward pass, recorded as a graph, and the chain rule applied to each node, backwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from skgd import autodiff
from skgd.gradients.base import AtTheta, Differentiated, GradientFunction, GradientSource
from skgd.losses import Loss
from skgd.objective import Batch, Objective
from skgd.objective.coordinates import Coordinates
from skgd.objective.models import Layers


class Backprop(GradientSource):
    """The gradient by back-propagation through the recorded computation graph.

    Reverse accumulation of the chain rule (Linnainmaa 1970; Werbos 1974): the cost is a
    small multiple of one evaluation of J, however many parameters there are.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd import GDRegressor
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
    >>> model = GDRegressor(gradient="backprop", penalty=None).initialize(
    ...     X, y, parameters=[0.0, 0.0])
    >>> model.loss_and_gradient(X, y)[1]
    array([-4.33333333, -3.        ])
    """

    def bind(
        self, objective: Objective, dtype: Any, coordinates: Coordinates | None = None
    ) -> GradientFunction:
        """Return a function ``(u, batch, gradient) -> value`` for this objective."""
        return _ByGraph(objective, dtype, coordinates)

    def of_function(self, fun: Callable[[np.ndarray], Any]) -> Differentiated:
        """Return ``x -> (fun(x), gradient)``; fun is written in plain NumPy."""

        def traced(x: Any) -> Any:
            value = fun(x)
            if isinstance(x, autodiff.Traced) and not isinstance(value, autodiff.Traced):
                raise ValueError(
                    "The function does not depend on its argument by any operation that has a "
                    "derivative: comparisons, rounding and sign are constants to it. For a "
                    'function with steps use gradient=Numeric(method="smoothed").'
                )
            return value

        return autodiff.value_and_grad(traced)

    def try_on(self, loss: Loss, y: np.ndarray, raw: np.ndarray) -> None:
        """Raise if the loss cannot be traced, or its value does not depend on the raw outputs."""
        if loss.any_rows:  # the losses of the table are known to be traceable
            return
        reached = []

        def total(traced: Any) -> Any:
            value = np.sum(loss.value(y, traced))
            reached.append(isinstance(value, autodiff.Traced))
            return value

        try:
            autodiff.value_and_gradients(total, [raw])
        except (TypeError, NotImplementedError, ValueError) as error:
            # NumPy wraps what a traced value raises when it is written into an array.
            cause = error.__cause__ if isinstance(error.__cause__, TypeError) else error
            raise type(cause)(f"{loss!r} cannot be traced. {cause}") from error
        if not reached[0]:
            raise ValueError(
                f"{loss!r} does not depend on raw by any operation that has a derivative: "
                "comparisons, rounding, sign and argmax are constants to it, and x.value is. "
                "Nothing can be learned from a gradient of zero. Use a smooth loss, or measure: "
                'gradient=Numeric(method="smoothed").'
            )


class _ByGraph(AtTheta):
    """Back-propagation through the graph of J, block by block of the rows."""

    def _differentiate(self, theta: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        objective, n, blocks = self.objective, batch.X.shape[0], self.objective.blocks(batch)
        gradient[...] = 0.0
        if len(blocks) == 1:
            return self._add(lambda layers: objective.smooth(layers, batch))
        value = 0.0
        for block in blocks:  # a graph holds all that was computed: one for each block
            value += self._add(partial(objective.share, block=block, n=n))
        if objective.l2_strength:
            value += self._add(lambda layers: objective.with_l2(0.0, layers))
        return value

    def _add(self, term: Callable[[Layers], Any]) -> float:
        """Return the value of a term of J, and add its gradient."""

        def traced(*arrays: Any) -> Any:
            return term(self.layers.filled(arrays))

        value, slopes = autodiff.value_and_gradients(traced, self.layers.arrays)
        for target, slope in zip(self.slopes.arrays, slopes, strict=True):
            target += slope
        return value
