"""Who computes the gradient. It is not who learns: see `skgd.optimizers`.

analytic  the derivative written down by hand for this model and loss; no graph.
backprop  the forward pass, plain NumPy, is recorded as a graph; the chain rule is applied to
          each node, backwards. No hand-written derivative of a loss or model is called.
numeric   only evaluates J: each parameter is moved a little and the change is measured.

So the three check each other. All return the smooth part of J (loss + L2).

theta are the parameters that the model has; u are the coordinates in which the optimizer moves
them (`skgd.coordinates`), often theta itself. A bound source takes u and gives dJ/du.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

import numpy as np

from skgd import autodiff
from skgd._component import Component, check_choice, check_number
from skgd.coordinates import Coordinates
from skgd.models import DeltaRule, Layers
from skgd.objective import Batch, Objective

__all__ = ["GRADIENTS", "Analytic", "Backprop", "GradientSource", "Numeric"]


class GradientFunction(Protocol):
    """A gradient source bound to an objective: it owns the buffers of one training."""

    losses_per_call: int

    def __call__(self, u: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        """Return smooth J at theta(u) and write its gradient by u into `gradient`."""


class GradientSource(Component):
    """Base of the gradient sources."""

    @abstractmethod
    def bind(
        self, objective: Objective, dtype: Any, coordinates: Coordinates | None = None
    ) -> GradientFunction:
        """Return a function ``(u, batch, gradient) -> value`` for this objective.

        Parameters
        ----------
        objective : Objective
        dtype : dtype
            Of theta and of the buffers.
        coordinates : Coordinates or None
            Where u lives; None when it is theta itself.

        Returns
        -------
        function : callable
            It writes the gradient in place and returns J without its L1 term.
        """


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
        return _ByHand(objective, dtype, coordinates)


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


class Numeric(GradientSource):
    """The gradient by measurement: differences of J, one parameter at a time.

    With the step ``h = rel_step * max(1, |theta_j|)``:

    ========= ======================================== ==================== ===========
    method    derivative                               default rel_step     error of J'
    ========= ======================================== ==================== ===========
    2-point   ``(J(theta + h) - J(theta)) / h``        ``eps^(1/2)``        about 1e-8
    3-point   ``(J(theta + h) - J(theta - h)) / 2h``   ``eps^(1/3)``        about 1e-10
    cs        ``Im J(theta + i h) / h``                1e-20                about 1e-16
    ========= ======================================== ==================== ===========

    eps is that of the dtype in which the loss is computed (Nocedal & Wright 2006, sec. 8.1;
    Squire & Trapp 1998 for the complex step). One gradient costs one evaluation of J for
    each parameter (two for "3-point"), plus one for J itself.

    Parameters
    ----------
    method : {"2-point", "3-point", "cs"}, default="3-point"
        "cs" needs a loss and activations that are analytic in the complex plane.
    rel_step : float or None, default=None
        None chooses by method and precision.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd import GDRegressor
    >>> from skgd.gradients import Numeric
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
    >>> model = GDRegressor(gradient=Numeric(), penalty=None).initialize(
    ...     X, y, parameters=[0.0, 0.0])
    >>> model.loss_and_gradient(X, y)[1].round(6)
    array([-4.333333, -3.      ])
    """

    def __init__(self, method: str = "3-point", rel_step: float | None = None) -> None:
        self.method = method
        self.rel_step = rel_step

    def check(self) -> None:
        """Raise an error that names the wrong parameter, if there is one."""
        check_choice("method", self.method, _DIFFERENCES)
        if self.rel_step is not None:
            check_number("rel_step", self.rel_step, low=0, include="neither")

    def bind(
        self, objective: Objective, dtype: Any, coordinates: Coordinates | None = None
    ) -> GradientFunction:
        """Return a function ``(u, batch, gradient) -> value`` for this objective."""
        if self.method == "cs":
            _check_holomorphic(objective)
        return _ByMeasurement(objective, dtype, coordinates, self.method, self.rel_step)


GRADIENTS: dict[str, type[GradientSource]] = {
    "analytic": Analytic,
    "backprop": Backprop,
    "numeric": Numeric,
}


class _AtTheta:
    """A gradient by theta, carried into the coordinates of the descent by the chain rule."""

    losses_per_call = 1

    def __init__(self, objective: Objective, dtype: Any, coordinates: Coordinates | None) -> None:
        self.objective = objective
        self.coordinates = coordinates or Coordinates(objective.model)
        self._theta = np.empty(objective.model.n_parameters, dtype=dtype)
        self._seen: tuple[Any, Any] = (None, None)
        self.layers: Layers = []
        self.slopes: Layers = []

    def __call__(self, u: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        theta = u if self.coordinates.identity else self._theta
        # The loop passes the same two arrays at every step, so their views are kept.
        if self._seen[0] is not theta or self._seen[1] is not gradient:
            self._seen = (theta, gradient)
            self.layers = self.objective.model.layers(theta)
            self.slopes = self.objective.model.layers(gradient)
        self.coordinates.to_theta(u, theta, self.layers)
        value = self._differentiate(theta, batch, gradient)
        if not self.coordinates.identity:
            self.coordinates.pull_back(gradient, self.slopes)
        return value

    @abstractmethod
    def _differentiate(self, theta: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        """Return smooth J at theta; write its gradient. `layers`, `slopes` are their views."""


class _ByHand(_AtTheta):
    def __init__(self, objective: Objective, dtype: Any, coordinates: Coordinates | None) -> None:
        super().__init__(objective, dtype, coordinates)
        self._rule = DeltaRule(objective.model, dtype)

    def _differentiate(self, theta: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        value = self._of_loss(batch)
        strength, weights = self.objective.l2_strength, slice(0, self.objective.model.n_weights)
        if strength:
            w = theta[weights]
            value += 0.5 * strength * float(w @ w)
            gradient[weights] += strength * w
        return value

    def _of_loss(self, batch: Batch) -> float:
        X, y, weight = batch
        n = X.shape[0]
        raw = self._rule.forward(self.layers, X)
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
        self._rule.backward(self.layers, X, delta, self.slopes)
        return value


class _ByGraph(_AtTheta):
    def _differentiate(self, theta: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        leaves = [array for pair in self.layers for array in pair if array is not None]
        targets = [array for pair in self.slopes for array in pair if array is not None]
        intercepts = self.objective.model.fit_intercept

        def smooth(*traced: Any) -> Any:
            if not intercepts:
                return self.objective.smooth([(W, None) for W in traced], batch)
            return self.objective.smooth(list(zip(traced[::2], traced[1::2], strict=True)), batch)

        value, slopes = autodiff.value_and_gradients(smooth, leaves)
        for target, slope in zip(targets, slopes, strict=True):
            target[...] = slope
        return value


class _ByMeasurement:
    """Differences of J along each coordinate of u.

    Measuring in u, and not in theta, is what keeps the step in proportion when columns of X
    are on very different scales.
    """

    def __init__(
        self,
        objective: Objective,
        dtype: Any,
        coordinates: Coordinates | None,
        method: str,
        rel_step: float | None,
    ) -> None:
        self.objective = objective
        self.coordinates = coordinates or Coordinates(objective.model)
        self.difference, per_parameter, power = _DIFFERENCES[method]
        eps = float(np.finfo(dtype).eps)
        self.rel_step = rel_step or (1e-20 if method == "cs" else eps**power)
        self.losses_per_call = 1 + per_parameter * objective.model.n_parameters
        self._complex = method == "cs"

    def __call__(self, u: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        moved = u.astype(np.result_type(u, np.complex64)) if self._complex else u.copy()
        theta = self.coordinates.to_theta(moved, out=np.empty_like(moved))
        layers = self.objective.model.layers(theta)

        def terms() -> np.ndarray:
            self.coordinates.to_theta(moved, out=theta, layers=layers)
            return self.objective.terms(layers, batch)

        at_u = terms()
        for j, x in enumerate(u):
            step = self.rel_step * max(1.0, abs(x))
            gradient[j] = self.difference(terms, moved, j, step, at_u)
            moved[j] = x
        gradient /= self.coordinates.unit
        return float(np.real(at_u.sum()))


def _forward_difference(terms: Any, x: np.ndarray, j: int, h: float, at_x: np.ndarray) -> Any:
    before = x[j]
    x[j] = before + h
    return (terms() - at_x).sum() / (x[j] - before)  # the step that was really taken


def _central_difference(terms: Any, x: np.ndarray, j: int, h: float, at_x: np.ndarray) -> Any:
    before = x[j]
    x[j] = right = before + h
    above = terms()
    x[j] = left = before - h
    return (above - terms()).sum() / (x.dtype.type(right) - x.dtype.type(left))


def _complex_step(terms: Any, x: np.ndarray, j: int, h: float, at_x: np.ndarray) -> Any:
    x[j] += 1j * h
    return terms().imag.sum() / h


# method: the difference, its evaluations for each parameter, the power of eps in its step
_DIFFERENCES: dict[str, tuple[Any, int, float]] = {
    "2-point": (_forward_difference, 1, 1 / 2),
    "3-point": (_central_difference, 2, 1 / 3),
    "cs": (_complex_step, 1, 1.0),
}


def _check_holomorphic(objective: Objective) -> None:
    for part in (objective.loss, *objective.model.activations):
        if not part.holomorphic:
            raise ValueError(
                f'Numeric(method="cs") takes the derivative from the imaginary part, and '
                f"{part!r} has kinks or operations that lose it. Use method="
                f'"3-point", or a loss and activation that are analytic.'
            )
