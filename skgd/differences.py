"""Finite differences: move one number a little, and measure by how much the loss changes.

``f'(x) ~ sum_k weights[k] (f(x + points[k] h) - f(x)) / h``, with the points and weights of a
`Stencil`. Three things can be moved: a parameter of the model (`MovedParameters`), a raw output
(`MovedOutputs`), an entry of the argument of any function (`MovedArgument`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from skgd.coordinates import Coordinates
from skgd.losses import Loss
from skgd.models import Layers
from skgd.objective import Batch, Objective

_NUMBERS = 2**20  # in the arrays of one number for each move and row
_BLOCK = 2**16  # in the arrays of raw outputs: they should fit the cache
_FEW_ROWS = 16


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


# -- the parameters of a model --------------------------------------------------------------------


class MovedParameters:
    """Differences of J along each coordinate of u; only what a moved one changes is computed.

    A weight from input i to unit k of a layer moves one number in each row, the input of unit
    k, by the step times input i. All that comes before stands, and so do the other units of
    the layer. So the rows are run forward once; then, unit by unit, all parameters of the unit
    are moved together, each in a copy of the rows of its own.

    Measuring in u, and not in theta, is what keeps the step in proportion when columns of X
    are on very different scales. J is subtracted term by term, so that the rounding of long
    sums does not count.

    Parameters
    ----------
    objective : Objective
    dtype : dtype
    coordinates : Coordinates
    steps : Steps
    """

    def __init__(
        self, objective: Objective, dtype: Any, coordinates: Coordinates, steps: Steps
    ) -> None:
        self.objective = objective
        self.coordinates = coordinates
        self.steps = steps
        self.dtype = np.dtype(dtype)
        model = objective.model
        self.losses_per_call = 1 + len(steps.stencil.points) * model.n_parameters
        self._numbers = model.layers(np.arange(model.n_parameters))
        self._relative: float | None = None
        self._may_be_flat = not objective.loss.any_rows  # a user's, that nobody was warned of yet

    def __call__(self, u: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        """Return smooth J at theta(u) and write its gradient by u into `gradient`."""
        theta = self.coordinates.to_theta(u, out=np.empty_like(u))
        layers = self.objective.model.layers(theta)
        if self._relative is None:
            self._relative = self.steps.relative(self.dtype, self._bend(u, batch))
        step = self._relative * np.maximum(1.0, np.abs(u))
        gradient[:] = 0.0
        value = 0.0
        for rows in self._rows(batch.X.shape[0]):
            part = _Forward(self.objective, self.coordinates, layers, batch, rows)
            value += part.value
            self._move(part, step, gradient)
        if self._may_be_flat and not gradient.any():
            self._may_be_flat = False
            _warn_of_a_flat_loss(self._relative)
        value += self._penalise(layers, step, gradient)
        gradient /= self.coordinates.unit
        if np.isfinite(value) and np.isnan(gradient).any():
            self._explain_nan(gradient, step)
        return value

    def _bend(self, u: np.ndarray, batch: Batch) -> Callable[[float], float]:
        def terms(x: np.ndarray) -> np.ndarray:
            theta = self.coordinates.to_theta(x, out=np.empty_like(x))
            return self.objective.terms(self.objective.model.layers(theta), batch)

        return lambda noise: bend_along(terms, u, noise, u.size)

    def _rows(self, n: int) -> Iterator[slice]:
        if not self.objective.loss.any_rows:  # the function must see the whole batch
            yield slice(0, n)
            return
        model = self.objective.model
        most = 1 + max(model.n_features, *model.hidden_layer_sizes, 0)
        yield from _parts(n, max(_FEW_ROWS, _NUMBERS // most))

    def _move(self, part: _Forward, step: np.ndarray, gradient: np.ndarray) -> None:
        """Add the differences of these rows to `gradient`, unit by unit."""
        for layer, (weights, _) in enumerate(self._numbers):
            for unit in range(weights.shape[1]):
                numbers, inputs = part.of_unit(layer, unit, self._numbers)
                for some in _parts(len(numbers), part.moves_at_a_time):
                    h = step[numbers[some]]
                    shift = inputs[some] * (h * part.stretch(layer, unit))[:, None]
                    changes = part.differences(layer, unit, shift, self.steps.stencil)
                    gradient[numbers[some]] += changes / h

    def _penalise(self, layers: Layers, step: np.ndarray, gradient: np.ndarray) -> float:
        """Add the differences of the L2 term, and return it: a weight moves its own square."""
        strength = 0.5 * self.objective.l2_strength
        if not strength:
            return 0.0
        stencil, value = self.steps.stencil, 0.0
        for layer, ((W, _), (numbers, _)) in enumerate(zip(layers, self._numbers, strict=True)):
            h = step[numbers]
            shift = h * self.coordinates.weight_factors(layer)
            for point, weight in zip(stencil.points, stencil.weights, strict=True):
                moved = W + point * shift
                change = weight * strength * (moved * moved - W * W)
                gradient[numbers] += np.real(change / h)
            value += strength * float(np.vdot(W, W))
        return value

    def _explain_nan(self, gradient: np.ndarray, step: np.ndarray) -> None:
        number = int(np.flatnonzero(np.isnan(gradient))[0])
        name = self.objective.model.name_of(number)
        raise ValueError(
            f"The loss is finite here, but nan with {name} moved by {step[number]:.2g}: "
            f"{self.objective.loss!r} is not defined on both sides of some raw output. Give a "
            "value there too, or a smaller Numeric(rel_step=)."
        )


class _Forward:
    """Some rows, run forward once: the arrays between the layers, and the loss of each row.

    All arrays are of shape (units, rows), so that what is done row by row runs along memory.
    """

    def __init__(
        self,
        objective: Objective,
        coordinates: Coordinates,
        layers: Layers,
        batch: Batch,
        rows: slice,
    ) -> None:
        self.model, self.loss = objective.model, objective.loss
        self.coordinates = coordinates
        self.layers = layers
        X = batch.X[rows]
        X = np.ascontiguousarray((X.toarray() if sparse.issparse(X) else X).T)
        self.n_rows = X.shape[1]
        self.rows = np.arange(self.n_rows, dtype=np.int32)
        self.moves_at_a_time = max(1, _NUMBERS // self.n_rows)
        self.y = np.ascontiguousarray(batch.y[rows].T)
        self.z: list[np.ndarray] = []
        self.a = [X]
        for (W, b), activation in zip(layers, (*self.model.activations, None), strict=True):
            self.z.append(_affine(W, b, self.a[-1]))
            if activation is not None:
                self.a.append(activation(self.z[-1]))
        self.losses = self._loss(self.y, self.z[-1])
        n = batch.X.shape[0]
        if self.losses.ndim == 0:
            self.weight = np.ones(())
        elif batch.weight is None:
            self.weight = np.full(self.n_rows, 1.0 / n, dtype=X.dtype)
        else:
            self.weight = batch.weight[rows] / n
        self.value = float(np.sum(self.losses * self.weight))
        self.inputs = [self._inputs(layer) for layer in range(len(layers))]

    def _inputs(self, layer: int) -> np.ndarray:
        """How far a unit's input moves for each step of its weights, and of its bias."""
        before = self.a[layer]
        if layer == 0 and self.coordinates.scale is not None:
            mean: Any = self.coordinates.mean
            before = (before - mean[:, None]) * self.coordinates.inverse_scale
        if self.layers[layer][1] is None:
            return before
        return np.vstack([before, np.ones_like(before[:1])])

    def of_unit(self, layer: int, unit: int, numbers: Layers) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the parameters of a unit in u, and what their steps are multiplied by."""
        weights, biases = numbers[layer]
        own = weights[:, unit]
        return own if biases is None else np.append(own, biases[unit]), self.inputs[layer]

    def stretch(self, layer: int, unit: int) -> Any:
        """Factor of the coordinates on the last layer."""
        spread = self.coordinates.spread
        return 1.0 if spread is None or layer < len(self.layers) - 1 else spread[unit]

    def differences(self, layer: int, unit: int, shift: np.ndarray, stencil: Stencil) -> np.ndarray:
        """Weighed changes of J if the unit's input moves by `shift` (moves, rows): (moves,)."""
        total = np.zeros(len(shift))
        for point, weight in zip(stencil.points, stencil.weights, strict=True):
            moved = self.z[layer][unit] + point * shift
            if layer < len(self.layers) - 1:
                change = self.model.activations[layer](moved) - self.a[layer + 1][unit]
            else:
                change = moved - self.z[layer][unit]
            changes = self._row_by_row if self.loss.any_rows else self._one_by_one
            total += changes(layer, unit, change, weight)
        return total

    def _row_by_row(self, layer: int, unit: int, change: np.ndarray, weight: complex) -> np.ndarray:
        """Only the rows that a move changes are looked at: many moves' rows, put together."""
        total = np.zeros(len(change))
        changed = change != 0
        ends = np.cumsum(np.count_nonzero(changed, axis=1))
        places = np.flatnonzero(changed)
        row_of, change = np.tile(self.rows, len(change))[places], change.ravel()[places]
        widest = max([len(z) for z in self.z[layer + 1 :]], default=len(self.z[-1]))
        for moves in _groups(ends, max(1, _BLOCK // widest)):
            first = ends[moves.start - 1] if moves.start else 0
            some = slice(first, ends[moves.stop - 1])
            row = row_of[some]
            after = self._loss(_columns(self.y, row), self._raw(layer, unit, change[some], row))
            differences = np.real(weight * (after - self.losses[row])) * self.weight[row]
            starts = np.append(0, ends[moves][:-1] - first)
            some_rows = np.diff(ends[moves], prepend=first) > 0
            total[moves][some_rows] = np.add.reduceat(differences, starts[some_rows])
        return total

    def _one_by_one(self, layer: int, unit: int, change: np.ndarray, weight: complex) -> np.ndarray:
        """Each move in a call of its own, with all rows."""
        total = np.zeros(len(change))
        for move in np.flatnonzero(change.any(axis=1)):
            after = self._loss(self.y, self._raw(layer, unit, change[move], slice(None)))
            differences = np.real(weight * (after - self.losses)) * self.weight
            total[move] = differences.sum()
        return total

    def _raw(self, layer: int, unit: int, change: np.ndarray, row: Any) -> np.ndarray:
        """Raw outputs (outputs, rows) if the output of a unit of `layer` changes."""
        if layer == len(self.layers) - 1:
            raw = _columns(self.z[-1], row).astype(change.dtype)
            raw[unit] += change
            return raw
        z = self.layers[layer + 1][0][unit][:, None] * change
        z += _columns(self.z[layer + 1], row)
        for index in range(layer + 1, len(self.layers) - 1):
            z = _affine(*self.layers[index + 1], self.model.activations[index](z))
        return z

    def _loss(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """Loss of raw outputs (outputs, rows), which losses take as (rows,) or (rows, outputs)."""
        if self.model.n_outputs == 1:
            return np.asarray(self.loss.value(y, raw[0]))
        if self.loss.any_rows:
            return self.loss.value(y.T, raw.T)
        return np.asarray(self.loss.value(np.ascontiguousarray(y.T), np.ascontiguousarray(raw.T)))


def _groups(ends: np.ndarray, size: int) -> Iterator[slice]:
    """Yield moves that have about `size` rows together, and at least one."""
    start = 0
    while start < len(ends) and ends[-1] > (ends[start - 1] if start else 0):
        first = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, first + size, side="right")))
        yield slice(start, stop)
        start = stop


def _parts(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _columns(array: np.ndarray, row: Any) -> np.ndarray:
    """Columns in memory order, which indexing would not keep."""
    return array if isinstance(row, slice) else np.take(array, row, axis=-1)


def _affine(W: np.ndarray, b: np.ndarray | None, a: np.ndarray) -> np.ndarray:
    z = W.T @ a
    if b is not None:
        z += b[:, None]
    return z


def _warn_of_a_flat_loss(relative: float) -> None:
    warnings.warn(
        f"J does not change when any parameter is moved by {relative:.2g} times its size: the loss "
        "is flat here, so the measured gradient is zero and nothing can be learned from it. For "
        'a loss with steps (accuracy, F1) use gradient=Numeric(method="smoothed") or '
        'Numeric(method="spsa").',
        UserWarning,
        stacklevel=2,
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
            _warn_of_a_flat_loss(self._relative)
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
                total += weight * (self.fun(moved.copy()) - value)
            moved[j] = before
            gradient[j] = np.real(total) / h
        return float(np.real(value)), gradient

    def _bend(self, x: np.ndarray) -> Callable[[float], float]:
        return lambda noise: bend_along(
            lambda at: np.array([float(self.fun(at))]), x, noise, x.size
        )
