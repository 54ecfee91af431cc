"""J(theta): the number that learning makes small. Model + loss + penalty on a flat vector.

``J(theta) = sum_i w_i loss_i / sum_i w_i + alpha R(weights)``

An `Objective` holds no data; it is evaluated on a `Batch`. The weights of a batch are
divided by their mean over the training rows beforehand, so that a mini-batch is an unbiased
sample of J: ``(1/|B|) sum_B (w_i / mean w) loss_i``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import gen_batches

from skgd.losses import Loss
from skgd.objective.batch import Batch
from skgd.objective.models import BLOCK, FeedForward, Layers
from skgd.penalties import Penalty
from skgd.special import sum_of_squares, with_l2


@dataclass(frozen=True)
class Objective:
    """Model, loss and penalty as one function of theta.

    The *smooth* part is the loss and the L2 term. The L1 term has no derivative at zero:
    the loop treats it apart.
    """

    model: FeedForward
    loss: Loss
    penalty: Penalty
    alpha: float

    @property
    def l1_strength(self) -> float:
        """Factor on ``||weights||_1``."""
        return self.alpha * self.penalty.l1_weight

    @property
    def l2_strength(self) -> float:
        """Factor on ``1/2 ||weights||^2``."""
        return self.alpha * self.penalty.l2_weight

    def smooth(self, layers: Layers, batch: Batch) -> Any:
        """Loss + L2 in plain NumPy: run on arrays it is a number, on traced ones a graph."""
        return self.with_l2(self._mean_loss(layers, batch), layers)

    def blocks(self, batch: Batch) -> list[Batch]:
        """Blocks of rows that fit the cache, in order: so no array is as long as the data.

        It is one block where the loss may look at other rows, too, or X is a CSR matrix.
        """
        n = batch.X.shape[0]
        if n <= BLOCK or issparse(batch.X) or not self.loss.any_rows:
            return [batch]
        return [batch.view(rows.start, rows.stop) for rows in gen_batches(n, BLOCK)]

    def share(self, layers: Layers, block: Batch, n: int) -> Any:
        """Part of a block in the mean loss of n rows, in plain NumPy."""
        return self._mean_loss(layers, block) * (block.X.shape[0] / n)

    def _mean_loss(self, layers: Layers, batch: Batch) -> Any:
        losses = self.loss.value(batch.y, self.model.raw(layers, batch.X, batch.masks))
        if not self.loss.per_sample:
            return losses
        if batch.weight is None:
            return np.mean(losses)
        return np.dot(batch.weight, losses) / batch.X.shape[0]

    def with_l2(self, value: Any, layers: Layers) -> Any:
        """Add the L2 term to a value, in plain NumPy."""
        if not self.l2_strength:
            return value
        return with_l2(value, self.l2_strength, *layers.weights)

    def terms(self, layers: Layers, batch: Batch) -> np.ndarray:
        """Terms whose sum is loss + L2: one for each row, and the penalty.

        Two values of J are subtracted term by term: so the rounding of a long sum does not
        count, and J of a weighted row and of the row written twice differ in nothing.
        """
        n = batch.X.shape[0]
        losses = self.loss.value(batch.y, self.model.raw(layers, batch.X, batch.masks))
        if not self.loss.per_sample:
            weighted = np.asarray(losses)
        else:
            weighted = losses / n if batch.weight is None else losses * (batch.weight / n)
        penalty = 0.0
        if self.l2_strength:
            penalty = 0.5 * self.l2_strength * sum_of_squares(*layers.weights)
        return np.append(weighted, np.asarray(penalty, dtype=weighted.dtype))

    def l1_term(self, theta: np.ndarray) -> float:
        """``alpha ||weights||_1`` times the share of L1."""
        if not self.l1_strength:
            return 0.0
        return self.l1_strength * float(np.abs(theta[: self.model.n_weights]).sum())

    def value(self, theta: np.ndarray, batch: Batch) -> float:
        """J(theta) on the batch, L1 included."""
        layers, n = self.model.layers(theta), batch.X.shape[0]
        loss = sum(float(self.share(layers, block, n)) for block in self.blocks(batch))
        return float(self.with_l2(loss, layers)) + self.l1_term(theta)


def _bind(objective: Objective, source: Any, dtype: Any, batch: Batch) -> Any:
    return source.bind(objective, dtype)


class DataObjective:
    """J on fixed data as a function of theta alone: ``theta -> (value, gradient)``.

    Made by an estimator's `objective` method. It can be handed to SciPy:
    ``scipy.optimize.minimize(obj, obj.x0, jac=True)``.

    Parameters
    ----------
    objective : Objective
    batch : Batch
        All rows.
    source : GradientSource
        Who computes the gradient unless `gradient` is told otherwise.
    x0 : ndarray of shape (n_parameters,)
        Where to start.
    resolve_source : callable
        Turns the name of a gradient source into the source.
    bind : callable
        ``(objective, source, dtype, batch) -> bound source``: who does the arithmetic.
    """

    def __init__(
        self,
        objective: Objective,
        batch: Batch,
        source: Any,
        x0: np.ndarray,
        resolve_source: Callable[[Any], Any],
        bind: Callable[..., Any] = _bind,
    ) -> None:
        self.x0 = x0
        self._objective = objective
        self._batch = batch
        self._source = source
        self._resolve_source = resolve_source
        self._bind = bind
        self._bound: tuple[Any, Any] = (None, None)  # a source, and its function with buffers

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """J(theta) and its gradient, of shape (n_parameters,).

        The derivative of ``|w|`` at 0 is taken as 0.
        """
        return self._evaluate(theta, self._source)

    def value(self, theta: np.ndarray) -> float:
        """J(theta)."""
        with np.errstate(all="ignore"):
            return self._objective.value(self._checked(theta), self._batch)

    def gradient(self, theta: np.ndarray, source: Any = None) -> np.ndarray:
        """Gradient of J at theta, by another `source` if one is given.

        Parameters
        ----------
        theta : array-like of shape (n_parameters,)
        source : None, {"analytic", "backprop", "numeric"} or GradientSource
        """
        chosen = self._source if source is None else self._resolve_source(source)
        return self._evaluate(theta, chosen)[1]

    def unpack(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """Named arrays of theta: ``coef``, ``intercept`` or ``coefs[0]``, ..."""
        return self._objective.model.unpack(self._checked(theta))

    def _checked(self, theta: Any) -> np.ndarray:
        theta = np.ascontiguousarray(theta, dtype=self.x0.dtype)
        if theta.shape != self.x0.shape:
            raise ValueError(f"theta takes shape {self.x0.shape}; got {theta.shape}.")
        return theta

    def _evaluate(self, theta: Any, source: Any) -> tuple[float, np.ndarray]:
        theta = self._checked(theta)
        gradient = np.empty_like(theta)
        if self._bound[0] is not source:
            loss = self._objective.loss
            if not loss.any_rows:
                source.check_rows(loss, self._batch.y, loss.trial_outputs(self._batch.y))
            bound = self._bind(self._objective, source, theta.dtype, self._batch)
            self._bound = (source, bound)
        with np.errstate(all="ignore"):  # a line search may look far away, and be told inf
            value = self._bound[1](theta, self._batch, gradient)
        if self._objective.l1_strength:
            weights = slice(0, self._objective.model.n_weights)
            gradient[weights] += self._objective.l1_strength * np.sign(theta[weights])
        return value + self._objective.l1_term(theta), gradient
