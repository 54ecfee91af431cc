"""Finite differences: move one number a little, and measure by how much the loss changes.

``f'(x) ~ sum_k weights[k] (f(x + points[k] h) - f(x)) / h``, with the points and weights of a
`Stencil`. Three things can be moved: a parameter of the model (`skgd.gradients.moved_parameters`),
a raw output (`MovedOutputs`), an entry of the argument of any function (`MovedArgument`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skgd.exceptions import warn_user
from skgd.losses import Loss
from skgd.objective.coordinates import Coordinates


@dataclass(frozen=True)
class Stencil:
    """Where a method measures, in steps h, and how it weighs the changes.

    Attributes
    ----------
    points, weights : tuple of numbers
    power : float
        The best step is ``eps ** power``: its truncation error is then as large as the error
        of rounding (Nocedal & Wright 2006, section 8.1).
    noise_factor : float
        The best step for a noisy f is ``noise_factor * (noise / |f''|) ** power``: the forward
        and central formulas of More & Wild (2012, "Estimating derivatives of noisy
        simulations", sections 2 and 3), with the third derivative taken to be as large as
        the second.
    """

    points: tuple[complex, ...]
    weights: tuple[complex, ...]
    power: float
    noise_factor: float = 1.0

    @property
    def holomorphic(self) -> bool:
        """Whether it steps into the complex plane."""
        return any(isinstance(point, complex) for point in self.points)

    def step(self, dtype: Any) -> float:
        """Step for a function computed in this precision, at an x of size one."""
        return 1e-20 if self.holomorphic else float(np.finfo(dtype).eps) ** self.power

    def working_dtype(self, dtype: Any) -> Any:
        """Precision of the moved numbers."""
        return np.result_type(dtype, np.complex64) if self.holomorphic else np.dtype(dtype)


# The imaginary part of f(x + ih) is h f'(x): nothing is subtracted, so h can be tiny.
STENCILS: dict[str, Stencil] = {
    "2-point": Stencil((1.0,), (1.0,), 1 / 2, 8**0.25),
    "3-point": Stencil((1.0, -1.0), (0.5, -0.5), 1 / 3, 3 ** (1 / 3)),
    # Two central differences, of steps h and 2h, combined so that their errors in h^2 cancel.
    "richardson": Stencil((1.0, -1.0, 2.0, -2.0), (2 / 3, -2 / 3, -1 / 12, 1 / 12), 1 / 5),
    "cs": Stencil((1j,), (-1j,), 1.0),
}


@dataclass(frozen=True)
class Steps:
    """How large the steps are: ``h = relative * max(1, |x|)``.

    Attributes
    ----------
    stencil : Stencil
    rel_step : float or None
        None chooses by the precision, or by the noise.
    noise_level : float or None
        Standard deviation of the noise in one value of the loss.
    """

    stencil: Stencil
    rel_step: float | None = None
    noise_level: float | None = None

    def relative(self, dtype: Any, bend: Callable[[float], float]) -> float:
        """Relative step; ``bend(noise)`` measures the second derivative where noise counts."""
        if self.rel_step is not None:
            return float(self.rel_step)
        exact = self.stencil.step(dtype)
        if not self.noise_level:
            return exact
        noise = float(self.noise_level)
        ratio = noise / max(bend(noise), float(np.finfo(float).tiny))
        return float(np.clip(self.stencil.noise_factor * ratio**self.stencil.power, exact, 1.0))


def bend_along(
    terms: Callable[[np.ndarray], np.ndarray], x: np.ndarray, noise: float, n_numbers: int
) -> float:
    """Mean second derivative along the axes, from second differences that noise cannot hide.

    A direction e of random signs has ``e^T H e``, whose mean is the trace of H. The interval
    grows from ``noise^(1/4)`` until the second difference is a hundred times the noise (More &
    Wild 2012, section 5).

    Parameters
    ----------
    terms : callable
        ``x -> array``, whose sum is the function.
    x : ndarray
    noise : float
    n_numbers : int
        Numbers in x that the sum depends on, each.
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(4, *x.shape)).astype(x.dtype)
    signs *= np.maximum(1.0, np.abs(x))
    middle = terms(x)
    h = noise**0.25
    while True:
        seconds = [
            abs(float(((terms(x + h * e) - middle) + (terms(x - h * e) - middle)).sum()))
            for e in signs
        ]
        second = float(np.mean(seconds))
        if second >= 100.0 * noise or h >= 1.0:
            return second / (h * h * n_numbers)
        h *= 2.0


def warn_of_a_flat_loss(relative: float, what: str = "parameter") -> None:
    """Warn that no difference of this relative step changed the loss."""
    warn_user(
        f"The loss does not change when any {what} is moved by {relative:.2g} times its size: it "
        "is flat here, so the measured gradient is zero and nothing can be learned from it. For a "
        'loss with steps (accuracy, F1) use gradient=Numeric(method="smoothed") or '
        'Numeric(method="spsa").'
    )


# -- the raw outputs of a model -------------------------------------------------------------------


class MovedOutputs(Loss):
    """A loss whose derivative by its raw outputs is measured, one output column at a time.

    Entry i of the loss must depend on row i alone: then all rows can be moved together.

    Parameters
    ----------
    loss : Loss
    steps : Steps
    coordinates : Coordinates
        The steps are in proportion to the spread of the outputs, where that is known.
    """

    def __init__(self, loss: Loss, steps: Steps, coordinates: Coordinates) -> None:
        self.loss = loss
        self.steps = steps
        self.coordinates = coordinates
        self._relative: float | None = None
        self._may_be_flat = not loss.any_rows

    def value(self, y: np.ndarray, raw: Any) -> Any:
        """Loss of each sample."""
        return self.loss.value(y, raw)

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """Measured derivative of each sample's loss by its raw outputs."""
        return self.value_and_gradient(y, raw)[1]

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both; the value is needed for the differences."""
        stencil = self.steps.stencil
        losses = self.value(y, raw)
        if self._relative is None:
            self._relative = self.steps.relative(raw.dtype, self._bend(y, raw))
        moved = raw.astype(stencil.working_dtype(raw.dtype))
        columns = moved.reshape(len(raw), -1)
        gradient = np.empty(columns.shape, dtype=raw.dtype)
        for k in range(columns.shape[1]):
            before = columns[:, k].copy()
            h = self._relative * self._size(np.real(before), k)
            if not stencil.holomorphic:
                h = (before + h) - before  # the step that will really be taken
            total: Any = 0.0
            for point, weight in zip(stencil.points, stencil.weights, strict=True):
                columns[:, k] = before + point * h
                total = total + weight * (self.value(y, moved) - losses)
            columns[:, k] = before
            gradient[:, k] = np.real(total / h)
        if self._may_be_flat and not gradient.any():
            self._may_be_flat = False
            warn_of_a_flat_loss(self._relative)
        return losses, gradient.reshape(raw.shape)

    def _size(self, raw: np.ndarray, k: int) -> np.ndarray:
        """Return what a step of one is, for each of these outputs of column k."""
        if self.coordinates.spread is None or self.coordinates.centre is None:
            return np.maximum(1.0, np.abs(raw))
        spread, centre = self.coordinates.spread[k], self.coordinates.centre[k]
        return np.maximum(spread, np.abs(raw - centre))

    def _bend(self, y: np.ndarray, raw: np.ndarray) -> Callable[[float], float]:
        # The mean over the rows of their second differences is n times less noisy than one.
        n, n_outputs = len(raw), raw.size // len(raw)

        def mean(x: np.ndarray) -> np.ndarray:
            return self.value(y, x) / n

        return lambda noise: bend_along(mean, raw, noise / n**0.5, n_outputs)


# -- the argument of a function -------------------------------------------------------------------


def as_floats(x: Any) -> np.ndarray:
    """Return a new array; whole numbers become float64."""
    x = np.array(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


class MovedArgument:
    """Value and measured gradient of any function of an array: ``x -> (f(x), f'(x))``.

    Parameters
    ----------
    fun : callable
        ``x -> number``.
    steps : Steps
    """

    def __init__(self, fun: Callable[[np.ndarray], Any], steps: Steps) -> None:
        self.fun = fun
        self.steps = steps
        self._relative: float | None = None
        self._may_be_flat = True

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return ``fun(x)`` and its gradient, of the shape of x."""
        x = as_floats(x)
        stencil = self.steps.stencil
        value = self.fun(x.copy())
        if self._relative is None:
            self._relative = self.steps.relative(x.dtype, self._bend(x))
        moved = x.astype(stencil.working_dtype(x.dtype))
        gradient = np.empty(x.shape, dtype=x.dtype)
        for j in np.ndindex(x.shape):
            before = moved[j]
            h = self._relative * max(1.0, float(abs(x[j])))
            total: Any = 0.0
            for point, weight in zip(stencil.points, stencil.weights, strict=True):
                moved[j] = before + point * h
                change = self.fun(moved.copy()) - value
                self._may_be_flat = self._may_be_flat and not change
                total += weight * change
            moved[j] = before
            gradient[j] = np.real(total) / h
        if self._may_be_flat:
            self._may_be_flat = False
            warn_of_a_flat_loss(self._relative, "argument")
        return float(np.real(value)), gradient

    def _bend(self, x: np.ndarray) -> Callable[[float], float]:
        return lambda noise: bend_along(
            lambda at: np.array([float(self.fun(at))]), x, noise, x.size
        )
