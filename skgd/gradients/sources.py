"""Who computes the gradient. It is not who learns: see `skgd.optimizers`.

analytic  the derivative written down by hand for this model and loss; no graph.
backprop  the forward pass, plain NumPy, is recorded as a graph; the chain rule is applied to
          each node, backwards. No hand-written derivative of a loss or model is called.
numeric   only evaluates J: each parameter is moved a little and the change is measured.

So the three check each other. All return the smooth part of J (loss + L2).

theta are the parameters that the model has; u are the coordinates in which the optimizer moves
them (`skgd.objective.coordinates`), often theta itself. A bound source takes u and gives dJ/du.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from skgd import autodiff
from skgd._component import Component, check_choice, check_number
from skgd.gradients.differences import STENCILS, MovedArgument, MovedOutputs, Steps
from skgd.gradients.moved_parameters import MovedParameters
from skgd.gradients.smoothing import DIRECTIONS, AlongDirections, AroundArgument, Directions
from skgd.losses import Loss
from skgd.objective import Batch, Objective
from skgd.objective.coordinates import Coordinates
from skgd.objective.models import DeltaRule, Layers

__all__ = ["GRADIENTS", "Analytic", "Backprop", "GradientSource", "Numeric"]


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
        return _ByHand(objective, dtype, coordinates)

    def of_function(self, fun: Callable[[np.ndarray], Any]) -> Differentiated:
        """Raise: nobody has written the derivative of a function down."""
        raise ValueError(
            'gradient="analytic" needs a derivative written by hand: give the function that '
            'computes it, gradient=my_gradient, or use gradient="backprop" or gradient="numeric".'
        )


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


class Numeric(GradientSource):
    """The gradient by measurement: J is evaluated at moved parameters, and nothing else.

    ========== ================================================= ================ ==========
    method     derivative by one parameter, with its step h      default rel_step error
    ========== ================================================= ================ ==========
    2-point    ``(J(+h) - J) / h``                               ``eps^(1/2)``    about 1e-8
    3-point    ``(J(+h) - J(-h)) / 2h``                          ``eps^(1/3)``    1e-10
    richardson ``(8 (J(+h) - J(-h)) - (J(+2h) - J(-2h))) / 12h`` ``eps^(1/5)``    1e-12
    cs         ``Im J(+ih) / h``                                 1e-20            1e-16
    smoothed   mean of ``e (J(+re) - J(-re)) / 2r``, e normal    calibrated       random
    spsa       the same for one e of random signs, r shrinking   calibrated       random
    ========== ================================================= ================ ==========

    The step is ``h = rel_step * max(1, |theta_j|)``; eps is that of the dtype in which the loss is
    computed (Nocedal & Wright 2006, sec. 8.1; Squire & Trapp 1998 for the complex step). One
    gradient measures each parameter once, twice ("3-point") or four times ("richardson"), of
    which only what the moved parameter changes is computed.

    "smoothed" and "spsa" are for losses with steps, such as accuracy or F1, whose derivative is
    zero almost everywhere: see `skgd.gradients.smoothing`. They move all parameters at once.

    Parameters
    ----------
    method : str, default="3-point"
        A row of the table. "cs" needs a loss and activations that are analytic in the complex
        plane.
    rel_step : float or None, default=None
        None chooses by method and precision. For "smoothed" and "spsa" it is the radius r, in
        units of ``max(1, root mean square of the parameters)``; None calibrates it, and again
        after 2, 4, 8, ... gradients.
    space : {"parameters", "predictions"}, default="parameters"
        "predictions" measures the derivative by the raw outputs only, two evaluations for each
        output column, and takes the model's derivative by the chain rule: the cost does not
        depend on the number of parameters. It needs a loss with one value per sample, whose
        entry i depends on row i alone.
    noise_level : float or None, default=None
        Standard deviation of the noise in one value of the loss (of one sample's in
        "predictions"). Steps are then as wide as the noise asks for: ``8^(1/4) (noise /
        bend)^(1/2)`` for "2-point", ``3^(1/3) (noise / bend)^(1/3)`` for "3-point" (More & Wild
        2012), with the second derivative measured at the start for the bend.
    n_pairs : int or None, default=None
        Evaluations at +re and -re for each gradient. None is 1 for "spsa", and for "smoothed" the
        number of parameters, but at least 8 and at most 128.
    random_state : int, default=0
        Seed of the directions e.

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

    def __init__(
        self,
        method: str = "3-point",
        rel_step: float | None = None,
        space: str = "parameters",
        noise_level: float | None = None,
        n_pairs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.method = method
        self.rel_step = rel_step
        self.space = space
        self.noise_level = noise_level
        self.n_pairs = n_pairs
        self.random_state = random_state

    def check(self) -> None:
        """Raise an error that names the wrong parameter, if there is one."""
        check_choice("method", self.method, [*STENCILS, *DIRECTIONS])
        check_choice("space", self.space, ["parameters", "predictions"])
        if self.rel_step is not None:
            check_number("rel_step", self.rel_step, low=0, include="neither")
        if self.noise_level is not None:
            check_number("noise_level", self.noise_level, low=0)
        if self.n_pairs is not None:
            check_number("n_pairs", self.n_pairs, low=1, integer=True)
        check_number("random_state", self.random_state, low=0, integer=True)
        if self.space == "predictions" and self.method in DIRECTIONS:
            raise ValueError(
                'space="predictions" moves the raw outputs of each row, and '
                f"method={self.method!r} "
                'all parameters at once: use space="parameters", or another method.'
            )

    def bind(
        self, objective: Objective, dtype: Any, coordinates: Coordinates | None = None
    ) -> GradientFunction:
        """Return a function ``(u, batch, gradient) -> value`` for this objective."""
        coordinates = coordinates or Coordinates(objective.model)
        if self.method in DIRECTIONS:
            return AlongDirections(objective, coordinates, self._directions())
        if self.method == "cs":
            _check_holomorphic(objective)
        if self.space == "parameters":
            return MovedParameters(objective, dtype, coordinates, self._steps())
        measured = replace(objective, loss=MovedOutputs(objective.loss, self._steps(), coordinates))
        by_chain_rule = _ByHand(measured, dtype, coordinates)
        by_chain_rule.losses_per_call = 1 + objective.model.n_outputs * len(
            self._steps().stencil.points
        )
        return by_chain_rule

    def of_function(self, fun: Callable[[np.ndarray], Any]) -> Differentiated:
        """Return ``x -> (fun(x), gradient)``; fun may leave NumPy."""
        self.check()
        if self.space == "predictions":
            raise ValueError('A function has no predictions: use Numeric(space="parameters").')
        if self.method in DIRECTIONS:
            return AroundArgument(fun, self._directions())
        return MovedArgument(fun, self._steps())

    def try_on(self, loss: Loss, y: np.ndarray, raw: np.ndarray) -> None:
        """Raise if two values of the loss cannot be compared, or not row by row."""
        if loss.any_rows:
            return
        first = np.array(loss.value(y, raw))
        if not self.noise_level and self.method in STENCILS:
            _check_repeatable(loss, first, np.array(loss.value(y, raw)))
        self.check_rows(loss, y, raw)

    def check_rows(self, loss: Loss, y: np.ndarray, raw: np.ndarray) -> None:
        """Raise if the outputs of several rows cannot be moved at once."""
        if self.space == "predictions":
            _check_rowwise(loss, y, raw, float(self.noise_level or 0.0))

    def mean_square(self, n_parameters: int) -> float:
        """Random directions have ``1 + (P + 1) / n_pairs`` (Nesterov & Spokoiny 2017, th. 4)."""
        if self.method not in DIRECTIONS:
            return 1.0
        return 1.0 + (n_parameters + 1.0) / self._directions().pairs(n_parameters)

    def _steps(self) -> Steps:
        return Steps(STENCILS[self.method], self.rel_step, self.noise_level)

    def _directions(self) -> Directions:
        return Directions(self.method, self.rel_step, self.n_pairs, self.random_state)


GRADIENTS: dict[str, type[GradientSource]] = {
    "analytic": Analytic,
    "backprop": Backprop,
    "numeric": Numeric,
}


def check_exact(source: GradientSource) -> None:
    """Raise if the gradients of this source are estimates, which no line search can use."""
    if source.mean_square(1) > 1.0:
        raise ValueError(
            'optimizer="lbfgs" searches along lines and needs exact gradients; '
            f'{source!r} estimates them: take another optimizer, such as "adam".'
        )


class _AtTheta:
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


class _ByGraph(_AtTheta):
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


def _check_holomorphic(objective: Objective) -> None:
    for part in (objective.loss, *objective.model.activations):
        if not part.holomorphic:
            raise ValueError(
                f'Numeric(method="cs") takes the derivative from the imaginary part, and '
                f"{part!r} has kinks or operations that lose it. Use method="
                f'"3-point", or a loss and activation that are analytic.'
            )


def _check_repeatable(loss: Loss, first: np.ndarray, second: np.ndarray) -> None:
    if not np.array_equal(first, second, equal_nan=True):
        raise ValueError(
            f"{loss!r} gave two different results for the same arguments (they differ by up to "
            f"{np.nanmax(np.abs(second - first)):.3g}): it draws random numbers or keeps a state, "
            "and a small difference of two values would be noise. Fix its seed in each call, tell "
            "the noise, Numeric(noise_level=...), or average over directions, "
            'Numeric(method="smoothed").'
        )


def _check_rowwise(loss: Loss, y: np.ndarray, raw: np.ndarray, noise: float) -> None:
    """Move the raw output of one row: no entry of the loss but its own may change."""
    first = np.array(loss.value(y, raw))
    if first.ndim == 0:
        raise ValueError(
            f'space="predictions" needs one value per sample, and {loss!r} returns one number: use '
            'Numeric(space="parameters").'
        )
    moved = raw.copy()
    moved[0] += 0.5
    second = np.array(loss.value(y, moved))
    same = np.isnan(first) & np.isnan(second) | (np.abs(second - first) <= 10.0 * noise)
    if not same[1:].all():
        raise ValueError(
            f"{loss!r} returns one value per sample, but the values of other samples change with "
            'the raw output of the first: space="predictions" would miss that. Return one number '
            'for the whole batch (the mean, say), or use Numeric(space="parameters").'
        )
