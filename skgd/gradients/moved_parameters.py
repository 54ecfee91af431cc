"""Measured gradients by parameters: each is moved a little, and the change of J is measured.

Only what a moved parameter changes is computed: `MovedParameters` says how J is taken apart,
`NumPyMoves` does it with arrays. `compiled.moves` does the same in machine code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from skgd.gradients.differences import Stencil, Steps, bend_along, warn_of_a_flat_loss
from skgd.objective import Batch, FeedForward, Objective
from skgd.objective.coordinates import Coordinates
from skgd.objective.models import Layers

_NUMBERS = 2**20  # in the arrays of one number for each move and row
_BLOCK = 2**16  # in the arrays of raw outputs: they should fit the cache
_FEW_ROWS = 16
_FEW_LEVELS = 64


class Moves(Protocol):
    """Differences of the loss, without penalty, along each coordinate of u."""

    def __call__(
        self, layers: Layers, batch: Batch, step: np.ndarray, gradient: np.ndarray
    ) -> float:
        """Return the loss and add its differences, divided by `step`, to `gradient`."""


class MovedParameters:
    """Differences of J along each coordinate of u; only what a moved one changes is computed.

    A weight from input i to unit k of a layer moves one number in each row, the input of unit
    k, by the step times input i. All that comes before stands, and so do the other units of
    the layer.

    Measuring in u, and not in theta, is what keeps the step in proportion when columns of X
    are on very different scales. J is subtracted term by term, so that the rounding of long
    sums does not count.

    Parameters
    ----------
    objective : Objective
    dtype : dtype
    coordinates : Coordinates
    steps : Steps

    Attributes
    ----------
    moves : callable
        Who measures the loss; `NumPyMoves`, unless another is put here.
    is_flat : bool
        Whether no move changed the loss at the start.
    """

    def __init__(
        self, objective: Objective, dtype: Any, coordinates: Coordinates, steps: Steps
    ) -> None:
        self.objective = objective
        self.coordinates = coordinates
        self.steps = steps
        self.moves: Moves = NumPyMoves(objective, coordinates, steps.stencil)
        self.dtype = np.dtype(dtype)
        model = objective.model
        self.losses_per_call = 1 + len(steps.stencil.points) * model.n_parameters
        self._numbers = numbers_of(model)
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
        value = self.moves(layers, batch, step, gradient)
        if self._may_be_flat and not gradient.any():
            self._may_be_flat, self.is_flat = False, True
            warn_of_a_flat_loss(self._relative)
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


def numbers_of(model: FeedForward) -> Layers:
    """Numbers in the flat vector of each layer's weights and biases."""
    return model.layers(np.arange(model.n_parameters))


class NumPyMoves:
    """Moves on arrays.

    The rows are run forward once; then, unit by unit, all parameters of the unit are moved
    together, each in a copy of the rows of its own.

    Parameters
    ----------
    objective : Objective
    coordinates : Coordinates
    stencil : Stencil
    """

    def __init__(self, objective: Objective, coordinates: Coordinates, stencil: Stencil) -> None:
        self.objective = objective
        self.coordinates = coordinates
        self.stencil = stencil
        self._numbers = numbers_of(objective.model)

    def __call__(
        self, layers: Layers, batch: Batch, step: np.ndarray, gradient: np.ndarray
    ) -> float:
        """Return the loss and add its differences, divided by `step`, to `gradient`."""
        value = 0.0
        for rows in self._rows(batch.X.shape[0]):
            part = _Forward(self.objective, self.coordinates, layers, batch, rows)
            value += part.value
            self._move(part, step, gradient)
        return value

    def _rows(self, n: int) -> Iterator[slice]:
        if not self.objective.loss.any_rows:  # the function must see the whole batch
            yield slice(0, n)
            return
        model = self.objective.model
        most = 1 + max(model.n_features, *model.hidden_layer_sizes, 0)
        yield from _parts(n, max(_FEW_ROWS, _NUMBERS // most))

    def _move(self, part: _Forward, step: np.ndarray, gradient: np.ndarray) -> None:
        """Add the differences of these rows to `gradient`, unit by unit."""
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
                    changes = part.differences(layer, unit, moved, self.stencil, alike.row)
                    own = h == least
                    gradient[numbers[own]] += alike.sums(changes)[own] / least
                    rest = rest[~own]
                for part_of in _parts(len(rest), part.moves_at_a_time):
                    some = rest[part_of]
                    moved = inputs[some] * (h[some] * stretch)[:, None]
                    changes = part.differences(layer, unit, moved, self.stencil)
                    gradient[numbers[some]] += changes.sum(axis=1) / h[some]

    def _links(self) -> Iterator[tuple[int, int, np.ndarray, np.ndarray | None]]:
        """Where weights lead, where they come from (0 is X), their numbers, and the biases'."""
        for layer, (weights, biases) in enumerate(self._numbers):
            yield layer, layer, weights, biases
        if self._numbers.direct is not None:
            yield len(self._numbers) - 1, 0, self._numbers.direct, None


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
        self.masks = [np.ascontiguousarray(mask[rows].T) for mask in batch.masks or ()]
        for layer, (W, b) in enumerate(layers):
            self.z.append(_affine(W, b, self.a[-1]))
            if layer < len(layers) - 1:
                self.a.append(self._output(layer, self.z[-1]))
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
        row_of = slice(None) if row is None else row
        z, a = z[row_of], a[row_of]
        total = np.zeros(shift.shape)
        for point, weight in zip(stencil.points, stencil.weights, strict=True):
            moved = z + point * shift
            change = (moved if last else self._output(layer, moved, row_of, unit)) - a
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
            z = _affine(*self.layers[index + 1], self._output(index, z, row))
        if self.direct is not None and layer + 1 < len(self.layers) - 1:
            z += _columns(self.direct, row)  # where it was not in `self.z` already
        return z

    def _output(
        self, layer: int, z: np.ndarray, row: Any = slice(None), unit: Any = slice(None)
    ) -> np.ndarray:
        """Return the outputs of a hidden layer, or of one unit of it, for these rows."""
        a = self.model.activations[layer](z)
        return a * self.masks[layer][unit][..., row] if self.masks else a

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
