"""Differences of J alone: each parameter is moved a little and the change is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from skgd._component import check_choice, check_number
from skgd.gradients.analytic import ByHand
from skgd.gradients.base import Differentiated, GradientFunction, GradientSource
from skgd.gradients.differences import STENCILS, MovedArgument, MovedOutputs, Steps
from skgd.gradients.moved_parameters import MovedParameters
from skgd.gradients.smoothing import DIRECTIONS, AlongDirections, AroundArgument, Directions
from skgd.losses import Loss
from skgd.objective import Objective
from skgd.objective.coordinates import Coordinates


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
        by_chain_rule = ByHand(measured, dtype, coordinates)
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
