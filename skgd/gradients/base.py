"""What a gradient source is, and what it is once it is bound to an objective."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from skgd._component import Component
from skgd.losses import Loss
from skgd.objective import Batch, Objective
from skgd.objective.coordinates import Coordinates
from skgd.objective.models import Layers


class GradientFunction(Protocol):
    """A gradient source bound to an objective: it owns the buffers of one training."""

    losses_per_call: int

    def resume(self, step: int) -> None:
        """Learn that `step` steps were taken before, by an earlier pass."""

    def __call__(self, u: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        """Return smooth J at theta(u) and write its gradient by u into `gradient`."""


Differentiated = Callable[[np.ndarray], tuple[float, np.ndarray]]


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

    @abstractmethod
    def of_function(self, fun: Callable[[np.ndarray], Any]) -> Differentiated:
        """Return ``x -> (fun(x), gradient)`` for any function of an array to a number.

        Parameters
        ----------
        fun : callable

        Returns
        -------
        function : callable
        """

    def mean_square(self, n_parameters: int) -> float:
        """Mean square of the gradient as it is computed, in units of the true one's.

        It is 1 where the gradient is exact. A rule whose steps grow with the gradient needs a
        rate that is smaller by as much.

        Parameters
        ----------
        n_parameters : int

        Returns
        -------
        mean_square : float
        """
        return 1.0

    def check_rows(self, loss: Loss, y: np.ndarray, raw: np.ndarray) -> None:
        """Raise if this source takes rows for independent that are not.

        Parameters
        ----------
        loss : Loss
        y, raw : ndarray of shape (n,) or (n, K)
            Targets, and raw outputs to try the loss on.
        """

    def try_on(self, loss: Loss, y: np.ndarray, raw: np.ndarray) -> None:
        """Raise, before any training, if this source cannot differentiate this loss.

        Parameters
        ----------
        loss : Loss
        y, raw : ndarray of shape (n,) or (n, K)
            Targets, and raw outputs to try the loss on.
        """


def check_exact(source: GradientSource) -> None:
    """Raise if the gradients of this source are estimates, which no line search can use."""
    if source.mean_square(1) > 1.0:
        raise ValueError(
            'optimizer="lbfgs" searches along lines and needs exact gradients; '
            f'{source!r} estimates them: take another optimizer, such as "adam".'
        )


class AtTheta:
    """A gradient by theta, carried into the coordinates of the descent by the chain rule."""

    losses_per_call = 1

    def resume(self, step: int) -> None:
        """All steps are alike."""

    def __init__(self, objective: Objective, dtype: Any, coordinates: Coordinates | None) -> None:
        self.objective = objective
        self.coordinates = coordinates or Coordinates(objective.model)
        self._theta = np.empty(objective.model.n_parameters, dtype=dtype)
        self._seen: tuple[Any, Any] = (None, None)
        self.layers = Layers()
        self.slopes = Layers()

    def __call__(self, u: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        """Return smooth J at theta(u) and write its gradient by u into `gradient`."""
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
