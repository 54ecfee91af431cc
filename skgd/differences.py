"""Finite differences: move one number a little, and measure by how much the loss changes.

``f'(x) ~ sum_k weights[k] (f(x + points[k] h) - f(x)) / h``, with the points and weights of a
`Stencil`. Three things can be moved: a parameter of the model (`MovedParameters`), a raw output
(`MovedOutputs`), an entry of the argument of any function (`MovedArgument`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from skgd.coordinates import Coordinates
from skgd.exceptions import warn_user
from skgd.losses import Loss
from skgd.models import Layers
from skgd.objective import Batch, Objective

_NUMBERS = 2**20  # in the arrays of one number for each move and row
_BLOCK = 2**16  # in the arrays of raw outputs: they should fit the cache
_FEW_ROWS = 16
_FEW_LEVELS = 64


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
        self.is_flat = False

    def resume(self, step: int) -> None:
        """All steps are alike."""

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
            self._may_be_flat, self.is_flat = False, True
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
        stencil = self.steps.stencil
        for layer, source, weights, biases in self._links():
            inputs = part.inputs(source, biases is not None)
            alike = _Alike.find(inputs) if source == 0 and part.loss.any_rows else None
            for unit in range(weights.shape[1]):
                numbers = weights[:, unit]
                if biases is not None:
                    numbers = np.append(numbers, biases[unit])
                h = step[numbers]
                stretch = part.stretch(layer, unit)
                rest = np.arange(len(h))
                if alike is not None:
                    least = h.min()  # that of all parameters but the large ones
                    moved = alike.inputs * (least * stretch)
                    changes = part.differences(layer, unit, moved, stencil, alike.row)
                    own = h == least
                    gradient[numbers[own]] += alike.sums(changes)[own] / least
                    rest = rest[~own]
                for part_of in _parts(len(rest), part.moves_at_a_time):
                    some = rest[part_of]
                    moved = inputs[some] * (h[some] * stretch)[:, None]
                    changes = part.differences(layer, unit, moved, stencil)
                    gradient[numbers[some]] += changes.sum(axis=1) / h[some]

    def _links(self) -> Iterator[tuple[int, int, np.ndarray, np.ndarray | None]]:
        """Where weights lead, where they come from (0 is X), their numbers, and the biases'."""
        for layer, (weights, biases) in enumerate(self._numbers):
            yield layer, layer, weights, biases
        if self._numbers.direct is not None:
            yield len(self._numbers) - 1, 0, self._numbers.direct, None

    def _penalise(self, layers: Layers, step: np.ndarray, gradient: np.ndarray) -> float:
        """Add the differences of the L2 term, and return it: a weight moves its own square."""
        strength = 0.5 * self.objective.l2_strength
        if not strength:
            return 0.0
        stencil, value = self.steps.stencil, 0.0
        factors = [self.coordinates.weight_factors(layer) for layer in range(len(layers))]
        if layers.direct is not None:
            factors.append(self.coordinates.direct_factors)
        for W, numbers, factor in zip(layers.weights, self._numbers.weights, factors, strict=True):
            h = step[numbers]
            shift = h * factor
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
        self.direct = None if layers.direct is None else _affine(layers.direct, None, X)
        if self.direct is not None:
            self.z[-1] += self.direct
        self.losses = self._loss(self.y, self.z[-1])
        n = batch.X.shape[0]
        if self.losses.ndim == 0:
            self.weight = np.ones(())
        elif batch.weight is None:
            self.weight = np.full(self.n_rows, 1.0 / n, dtype=X.dtype)
        else:
            self.weight = batch.weight[rows] / n
        self.value = float(np.sum(self.losses * self.weight))

    def inputs(self, source: int, bias: bool) -> np.ndarray:
        """How far a unit's input moves for each step of its weights, and of its bias.

        `source` is the layer from which the weights come; 0 is X.
        """
        before = self.a[source]
        if source == 0 and self.coordinates.scale is not None:
            mean: Any = self.coordinates.mean
            before = (before - mean[:, None]) * self.coordinates.inverse_scale
        return np.vstack([before, np.ones_like(before[:1])]) if bias else before

    def stretch(self, layer: int, unit: int) -> Any:
        """Factor of the coordinates on the last layer."""
        spread = self.coordinates.spread
        return 1.0 if spread is None or layer < len(self.layers) - 1 else spread[unit]

    def differences(
        self,
        layer: int,
        unit: int,
        shift: np.ndarray,
        stencil: Stencil,
        row: np.ndarray | None = None,
    ) -> np.ndarray:
        """Weighed changes of J, of the shape of `shift`, if the unit's input moves by it.

        `shift` is (moves, rows), or one number for each entry of `row`. Where the loss is not
        row by row, the change of a move is the first of its entries.
        """
        last = layer == len(self.layers) - 1
        z, a = self.z[layer][unit], (self.z if last else self.a[1:])[layer][unit]
        if row is not None:
            z, a = z[row], a[row]
        total = np.zeros(shift.shape)
        for point, weight in zip(stencil.points, stencil.weights, strict=True):
            moved = z + point * shift
            change = (moved if last else self.model.activations[layer](moved)) - a
            if self.loss.any_rows:
                self._row_by_row(layer, unit, change, weight, row, total)
            else:
                self._one_by_one(layer, unit, change, weight, total)
        return total

    def _row_by_row(
        self,
        layer: int,
        unit: int,
        change: np.ndarray,
        weight: complex,
        row: np.ndarray | None,
        total: np.ndarray,
    ) -> None:
        """Only the rows that a move changes are looked at: many moves' rows, put together."""
        row_of = np.tile(self.rows, len(change)) if row is None else row
        change, flat = change.ravel(), total.ravel()
        changed = np.flatnonzero(change != 0)
        widest = max([len(z) for z in self.z[layer + 1 :]], default=len(self.z[-1]))
        for some in _parts(len(changed), max(1, _BLOCK // widest)):
            places = changed[some]
            rows = row_of[places]
            after = self._loss(_columns(self.y, rows), self._raw(layer, unit, change[places], rows))
            flat[places] += np.real(weight * (after - self.losses[rows])) * self.weight[rows]

    def _one_by_one(
        self, layer: int, unit: int, change: np.ndarray, weight: complex, total: np.ndarray
    ) -> None:
        """Each move in a call of its own, with all rows."""
        for move in np.flatnonzero(change.any(axis=1)):
            after = self._loss(self.y, self._raw(layer, unit, change[move], slice(None)))
            total[move, 0] += (np.real(weight * (after - self.losses)) * self.weight).sum()

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
        if self.direct is not None and layer + 1 < len(self.layers) - 1:
            z += _columns(self.direct, row)  # where it was not in `self.z` already
        return z

    def _loss(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """Loss of raw outputs (outputs, rows), which losses take as (rows,) or (rows, outputs)."""
        if self.model.n_outputs == 1:
            return np.asarray(self.loss.value(y, raw[0]))
        if self.loss.any_rows:
            return self.loss.value(y.T, raw.T)
        return np.asarray(self.loss.value(np.ascontiguousarray(y.T), np.ascontiguousarray(raw.T)))


@dataclass(frozen=True)
class _Alike:
    """Moves that are the same: of pixels with few grey levels, indicator columns, counts.

    In a row in which two inputs are equal, the weights from them move a unit alike: that is
    measured once.

    Attributes
    ----------
    row, inputs : ndarray of shape (n_pairs,)
        The different pairs of a row and an input.
    place : ndarray of shape (moves, rows)
        Number of the pair.
    """

    row: np.ndarray
    inputs: np.ndarray
    place: np.ndarray

    @classmethod
    def find(cls, inputs: np.ndarray) -> _Alike | None:
        """Look for them in `inputs` (moves, rows); None if there are too few."""
        n_rows = inputs.shape[1]
        if len(np.unique(inputs[:, :: max(1, n_rows // 8)])) > _FEW_LEVELS:
            return None
        levels = np.unique(inputs)
        if len(levels) > 4 * _FEW_LEVELS:
            return None
        # A table of all rows and levels: which of the pairs there are, and their numbers.
        key = np.searchsorted(levels, inputs) + len(levels) * np.arange(n_rows)
        there = np.zeros(n_rows * len(levels), dtype=bool)
        there[key] = True
        pairs = np.flatnonzero(there)
        if 2 * len(pairs) > inputs.size:
            return None
        number = np.cumsum(there) - 1
        row, level = np.divmod(pairs, len(levels))
        return cls(row, levels[level], number[key])

    def sums(self, of_pairs: np.ndarray) -> np.ndarray:
        """For each move, the sum over its rows."""
        return np.take(of_pairs, self.place).sum(axis=1)


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


def _warn_of_a_flat_loss(relative: float, what: str = "parameter") -> None:
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
            _warn_of_a_flat_loss(self._relative, "argument")
        return float(np.real(value)), gradient

    def _bend(self, x: np.ndarray) -> Callable[[float], float]:
        return lambda noise: bend_along(
            lambda at: np.array([float(self.fun(at))]), x, noise, x.size
        )
