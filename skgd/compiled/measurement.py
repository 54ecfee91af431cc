"""From a model, its rows and the steps to the arrays that compiled moves work on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import numpy as np

from skgd._threads import allowed_threads
from skgd.activations import ACTIVATIONS
from skgd.compiled import compiler, moves
from skgd.compiled.losses import LOSS_KERNELS
from skgd.compiled.training import name_in
from skgd.gradients.differences import Stencil
from skgd.gradients.moved_parameters import numbers_of
from skgd.losses import LOSSES
from skgd.objective import Batch, Objective
from skgd.objective.coordinates import Coordinates
from skgd.objective.models import Layers

_MOST_PARTS = 16
_ROWS_OF_PART = 64  # at least
_MOVES_OF_PART = 2**15  # at least: fewer take no longer than to start a thread
_SUMS = 2**22  # numbers that the sums of all parts may take
_CHANGES = 2**14  # numbers of moves that are measured before they are added up
_NUMBERS = 2**16  # in the arrays of the rows that are worked on at a time: they fit the cache


class CompiledMoves:
    """Moves in machine code, on several threads; see `skgd.gradients.moved_parameters.NumPyMoves`.

    The rows are cut into parts by sizes alone, and the sums of the parts are added in fixed order:
    the result is the same, bit for bit, for any number of threads. float32 rows are measured in
    float64, by the steps of float32.

    Parameters
    ----------
    objective : Objective
    coordinates : Coordinates
    stencil : Stencil
    """

    def __init__(self, objective: Objective, coordinates: Coordinates, stencil: Stencil) -> None:
        model = objective.model
        self._model, self._coordinates = model, coordinates
        self._sizes = np.array([model.n_features, *model.hidden_layer_sizes, model.n_outputs])
        self._numbers = [
            _table(W, b, last=layer == model.n_layers - 1)
            for layer, (W, b) in enumerate(numbers_of(model))
        ]
        self._points, self._weights = (
            np.array(numbers, dtype=np.float64) for numbers in (stencil.points, stencil.weights)
        )
        self._run_forward, self._measure = compiler.measurement()
        name = name_in(LOSSES, objective.loss) or ""
        self._loss = compiler.value_kernel(name)
        settings = [float(getattr(objective.loss, name)) for name in LOSS_KERNELS[name][1]]
        self._setting = settings[0] if settings else 0.0
        self._forward = np.array(
            [
                compiler.activation_kernels(name_in(ACTIVATIONS, part) or "", np.dtype(float))[0]
                for part in model.activations
            ],
            dtype=np.int64,
        )

    def __call__(
        self, layers: Layers, batch: Batch, step: np.ndarray, gradient: np.ndarray
    ) -> float:
        """Return the loss and add its differences, divided by `step`, to `gradient`."""
        layers = Layers(
            (_double(W), np.zeros(W.shape[1]) if b is None else _double(b)) for W, b in layers
        )
        steps = [step[numbers].astype(np.float64) for numbers in self._numbers]
        shifts = [h.copy() for h in steps]
        if self._coordinates.spread is not None:
            shifts[-1] *= self._coordinates.spread[:, np.newaxis]
        parts = self._parts(batch.X.shape[0])
        results: list[Any] = [None] * len(parts)
        waiting = iter(range(len(parts)))

        def work() -> None:
            for index in waiting:
                results[index] = self._part(layers, shifts, batch, parts[index])

        _on_threads(work, min(allowed_threads(), len(parts)))
        value = 0.0
        sums = [np.zeros(h.shape) for h in steps]
        for part_value, part_sums in results:
            value += part_value
            for total, part in zip(sums, part_sums, strict=True):
                total += part
        for numbers, total, h in zip(self._numbers, sums, steps, strict=True):
            gradient[numbers] += total / h
        return value

    def _parts(self, n: int) -> list[slice]:
        moves_of_row = self._model.n_parameters * len(self._points)
        most = max(2, _SUMS // self._model.n_parameters)
        worth = min(n // _ROWS_OF_PART, n * moves_of_row // _MOVES_OF_PART)
        n_parts = max(1, min(_MOST_PARTS, most, worth))
        return [slice(n * i // n_parts, n * (i + 1) // n_parts) for i in range(n_parts)]

    def _part(
        self, layers: Layers, shifts: list[np.ndarray], batch: Batch, rows: slice
    ) -> tuple[float, list[np.ndarray]]:
        """Loss of these rows, and the sums of its changes for each layer."""
        sums, value = [np.zeros(h.shape) for h in shifts], 0.0
        queues = [self._queue(layer) for layer in range(len(layers))]
        for some in self._blocks(rows):
            value += self._block(layers, shifts, batch, some, queues, sums)
        return value, sums

    def _blocks(self, rows: slice) -> Iterator[slice]:
        size = max(_ROWS_OF_PART, _NUMBERS // int(self._sizes.sum()))
        for start in range(rows.start, rows.stop, size):
            yield slice(start, min(start + size, rows.stop))

    def _block(
        self,
        layers: Layers,
        shifts: list[np.ndarray],
        batch: Batch,
        rows: slice,
        queues: list[moves.Queue],
        sums: list[np.ndarray],
    ) -> float:
        zeros = queues[0].zeros
        a = [_double(batch.X[rows])]
        z: list[np.ndarray] = []
        for (W, b), forward in zip(layers, (*self._forward, 0), strict=True):
            z.append(np.empty((len(a[0]), len(b))))
            a.append(np.empty_like(z[-1]))
            self._run_forward(a[-2], W, b, z[-1], a[-1], forward, zeros)
        targets = self._targets(batch, rows)
        for layer, total in enumerate(sums):
            last = layer == len(layers) - 1
            moved = moves.Moved(
                inputs=self._inputs(layer, a[layer]),
                z=z[layer],
                a=a[layer + 1],
                shifts=shifts[layer],
                forward=0 if last else int(self._forward[layer]),
                alike=int(layer == 0),
            )
            after = layers[layer + 2 :]
            above = moves.Above(
                z=z[-1] if last else z[layer + 1],
                W=np.empty((0, 0)) if last else _with_room(layers[layer + 1][0].T),
                sizes=self._sizes[-1:] if last else self._sizes[layer + 2 :],
                weights=_joined([W for W, _ in after]),
                intercepts=_joined([b for _, b in after]),
                forward=self._forward[layer + 1 :],
            )
            self._measure(moved, above, targets, queues[layer], total.reshape(-1))
        return float(targets.losses @ targets.weight)

    def _inputs(self, layer: int, before: np.ndarray) -> np.ndarray:
        """How far a unit's input moves for each step of its weights, and of its intercept."""
        inputs = before
        if layer == 0 and self._coordinates.scale is not None:
            mean: Any = self._coordinates.mean
            inverse_scale: Any = self._coordinates.inverse_scale
            inputs = (before - mean) * inverse_scale[:, 0].astype(np.float64)
        if self._model.fit_intercept:
            inputs = np.hstack([inputs, np.ones((len(inputs), 1))])
        return np.ascontiguousarray(inputs)

    def _targets(self, batch: Batch, rows: slice) -> moves.Targets:
        n, m = batch.X.shape[0], rows.stop - rows.start
        weight = np.ones(m) if batch.weight is None else _double(batch.weight[rows])
        return moves.Targets(
            y=_double(batch.y[rows].reshape(m, -1)),
            weight=weight / n,
            losses=np.empty(m),
            loss=self._loss,
            setting=self._setting,
            points=self._points,
            weights=self._weights,
        )

    def _queue(self, layer: int) -> moves.Queue:
        K, lanes = self._model.n_outputs, moves.LANES
        n_moves, n_inputs = self._numbers[layer].size, self._sizes[layer] + 1
        group = max(1, _CHANGES // n_moves)
        widest, longest = self._sizes[1:].max(), self._sizes.max() + 1 + moves.PAD
        of_next = self._sizes[min(layer + 2, len(self._sizes) - 1)]
        return moves.Queue(
            z=np.zeros((of_next, lanes)),
            y=np.zeros((K, lanes)),
            before=np.zeros(lanes),
            scale=np.zeros(lanes),
            number=np.zeros(lanes, np.int64),
            values=np.zeros(2 * lanes),
            front=np.zeros((widest, lanes)),
            outputs=np.zeros((widest, lanes)),
            moved=np.zeros(longest),
            activated=np.zeros(longest),
            change=np.zeros(longest),
            unit=np.zeros(longest, np.int64),
            shift=np.zeros(longest),
            zeros=np.zeros(max(longest, lanes)),
            changes=np.zeros((group, n_moves)),
            first=np.tile(np.arange(n_inputs), (group, 1)),
            level=np.zeros(moves.LEVELS, np.int64),
        )


def _table(W: Any, b: Any, *, last: bool) -> np.ndarray:
    """Weights and intercepts of a layer, (inputs, units), or of the last one (units, inputs)."""
    table = W if b is None else np.vstack([W, b])
    return np.ascontiguousarray(table.T if last else table)


def _double(array: Any) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=np.float64)


def _with_room(W: np.ndarray) -> np.ndarray:
    return np.hstack([W, np.zeros((len(W), moves.PAD))])


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0), *[array.ravel() for array in arrays]])


def _on_threads(work: Any, n_threads: int) -> None:
    """Call `work` on so many threads at once, with NumPy's errstate."""
    if n_threads < 2:
        work()
        return
    with ThreadPoolExecutor(n_threads - 1) as others:
        started = [others.submit(copy_context().run, work) for _ in range(n_threads - 1)]
        work()
        for future in started:
            future.result()
