"""Measured gradients in machine code: every parameter of a layer is moved, in every row.

A move changes one number in a row: the input of one unit, by the step times what enters there. All
moves of a layer that change that unit's output are put in a queue, as many rows side by side: the
inputs of the layer after it, as they are now. A full queue is run forward to the outputs, the loss
is evaluated, and what it changed by goes to the parameter that was moved. The loss and the
activations are called by address, and no derivative is: it is `gradients.moved_parameters` without
Python between the moves.

In a row in which two inputs are equal (pixels with few grey levels, indicator columns, counts) the
weights from them move a unit alike, if their steps are equal: that is measured once.

The loss of the rows as they are is found in the same queue, which is always run at full length: so
the same code meets the same row, and where nothing moves the difference is exactly zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from skgd.compiled.intrinsics import call
from skgd.compiled.numbers import EXACT

LANES = 128  # rows that the queue holds
PAD = 32  # lanes that may be written at once: loops over fewer are not vectorised
LEVELS = 32  # different inputs of a row that others are compared with


class Moved(NamedTuple):
    """The layer whose parameters are moved, on some rows.

    `shifts` are the steps of its parameters: (inputs, units) of a hidden layer, (outputs, inputs)
    of the last one. The input of an intercept is 1.
    """

    inputs: np.ndarray  # (rows, inputs)
    z: np.ndarray  # (rows, units); of the last layer the raw outputs
    a: np.ndarray  # (rows, units)
    shifts: np.ndarray
    forward: int  # the activation; 0 for the last layer
    alike: int  # whether to look for equal inputs


class Above(NamedTuple):
    """The layers after the moved one: none after the last."""

    z: np.ndarray  # (rows, units) of the next layer; after the last one the raw outputs
    W: np.ndarray  # (units of the next layer, units of the moved one + PAD)
    sizes: np.ndarray  # units, from the next layer to the outputs
    weights: np.ndarray  # flat, from the next but one on
    intercepts: np.ndarray
    forward: np.ndarray  # activations, from the next layer on


class Targets(NamedTuple):
    """What the loss of the rows is measured with."""

    y: np.ndarray  # (rows, outputs)
    weight: np.ndarray  # (rows,); their share of J
    losses: np.ndarray  # (rows,); written here
    loss: int  # the kernel
    setting: float  # its parameter
    points: np.ndarray  # of the stencil
    weights: np.ndarray


class Queue(NamedTuple):
    """Rows after a move, side by side; work for one thread."""

    z: np.ndarray  # (units of the next layer, LANES)
    y: np.ndarray  # (outputs, LANES)
    before: np.ndarray  # (LANES,); the loss of the row as it is
    scale: np.ndarray  # the factor on its change
    number: np.ndarray  # of the change, in `changes`
    values: np.ndarray  # (2 LANES,); the loss after the move
    front: np.ndarray  # (units of the widest layer, LANES)
    outputs: np.ndarray
    moved: np.ndarray  # (units,) of one row, under one move
    activated: np.ndarray
    change: np.ndarray
    unit: np.ndarray
    shift: np.ndarray
    zeros: np.ndarray
    changes: np.ndarray  # (rows, parameters of the layer); what each move changes J by
    first: np.ndarray  # (rows, inputs); the first input of the row that is equal
    level: np.ndarray  # (LEVELS,); numbers of different inputs


@njit(nogil=True, **EXACT)
def run_forward(inputs, W, b, z, a, forward, zeros):
    """``z = inputs W + b`` and ``a = activation(z)``, row by row.

    BLAS may round a row in another way at another place, or on another number of threads; divided
    by a small step, that would show.
    """
    p, q = W.shape
    for row in range(inputs.shape[0]):
        out = z[row]
        for j in range(q):
            out[j] = b[j]
        for i in range(p):
            x, weights = inputs[row, i], W[i]
            for j in range(q):
                out[j] += x * weights[j]
        if forward:
            call(forward, (out, zeros, a[row], 1, q))


@njit(nogil=True, **EXACT)
def measure(moved, above, targets, queue, total):
    """Add the changes of J by each move of these rows to `total`; write the losses of the rows."""
    n_rows, width = above.z.shape
    K = targets.y.shape[1]
    for start in range(0, n_rows, LANES):
        n = min(LANES, n_rows - start)
        for lane in range(n):
            for k in range(width):
                queue.z[k, lane] = above.z[start + lane, k]
            for k in range(K):
                queue.y[k, lane] = targets.y[start + lane, k]
        evaluate(above, targets, queue)
        for lane in range(n):
            targets.losses[start + lane] = queue.values[lane]
    group = queue.changes.shape[0]
    for start in range(0, n_rows, group):
        stop, count = min(start + group, n_rows), 0
        for row in range(start, stop):
            first, offset = queue.first[row - start], (row - start) * total.size
            if moved.alike:
                find_alike(moved.inputs[row], first, queue.level)
            queue.changes[row - start] = 0.0
            if moved.forward:
                count = move_units(row, first, offset, moved, above, targets, queue, count)
            else:
                count = move_outputs(row, first, offset, moved, above, targets, queue, count)
        settle(above, targets, queue, count)
        for row in range(start, stop):
            first, changes = queue.first[row - start], queue.changes[row - start]
            if moved.forward:
                add_units(moved.inputs[row], first, changes, moved.shifts, total)
            else:
                add_outputs(first, changes, moved.shifts, total)


@njit(**EXACT)
def find_alike(inputs, first, level):
    """Write the number of the first equal input; an input of its own may be its own first."""
    n = 0
    for i in range(inputs.size):
        first[i] = i
        for known in range(n):
            if inputs[level[known]] == inputs[i]:
                first[i] = level[known]
                break
        if first[i] == i and n < level.size:
            level[n] = i
            n += 1


@njit(**EXACT)
def move_units(row, first, offset, moved, above, targets, queue, count):
    """Move the weights of a hidden layer; those from one input, to all units, together."""
    n_inputs, n_units = moved.shifts.shape
    for i in range(n_inputs):
        x, shift = moved.inputs[row, i], moved.shifts[i]
        if x == 0.0:
            continue
        if first[i] != i:
            known, shift, n = moved.shifts[first[i]], queue.shift, 0
            for j in range(n_units):
                own = moved.shifts[i, j] != known[j]
                shift[j] = moved.shifts[i, j] if own else 0.0
                n += 1 if own else 0
            if n == 0:
                continue
        for point in range(targets.points.size):
            step = targets.points[point] * x
            for j in range(n_units):
                queue.moved[j] = moved.z[row, j] + step * shift[j]
            call(moved.forward, (queue.moved, queue.zeros, queue.activated, 1, n_units))
            n = 0
            for j in range(n_units):
                change = queue.activated[j] - moved.a[row, j]
                queue.change[n], queue.unit[n] = change, j
                n += 1 if change != 0.0 else 0
            start = 0
            while start < n:
                m = min(n - start, LANES - count)
                lanes = padded(m, count)
                change, unit = queue.change[start:], queue.unit[start:]
                for k in range(above.z.shape[1]):
                    z, target = above.z[row, k], queue.z[k, count:]
                    if n == n_units:  # memory in order is read faster
                        W = above.W[k, start:]
                        for t in range(lanes):
                            target[t] = z + change[t] * W[t]
                    else:
                        W = above.W[k]
                        for t in range(lanes):
                            target[t] = z + change[t] * W[unit[t]]
                describe(row, unit, count, lanes, point, offset + i * n_units, targets, queue)
                start, count = start + m, count + m
                if count == LANES:
                    settle(above, targets, queue, count)
                    count = 0
    return count


@njit(**EXACT)
def padded(m, count):
    """Return the lanes to write for m moves: what is beyond them is written over later."""
    return min((m + PAD - 1) // PAD * PAD, LANES - count)


@njit(**EXACT)
def add_units(inputs, first, changes, shifts, total):
    """Add the changes by the moves of a row; those from equal inputs were measured once."""
    n_inputs, n_units = shifts.shape
    for i in range(n_inputs):
        if inputs[i] == 0.0:
            continue
        sums, own = total[i * n_units :], changes[i * n_units :]
        if first[i] == i:
            for j in range(n_units):
                sums[j] += own[j]
        else:
            known, shift, other = changes[first[i] * n_units :], shifts[i], shifts[first[i]]
            for j in range(n_units):
                sums[j] += known[j] if shift[j] == other[j] else own[j]


@njit(**EXACT)
def move_outputs(row, first, offset, moved, above, targets, queue, count):
    """Move the weights of the last layer; those to one output, from all inputs, together."""
    n_outputs, n_inputs = moved.shifts.shape
    for output in range(n_outputs):
        shift = moved.shifts[output]
        if moved.alike:
            shift = queue.shift
            for i in range(n_inputs):
                own = first[i] == i or moved.shifts[output, i] != moved.shifts[output, first[i]]
                shift[i] = moved.shifts[output, i] if own else 0.0
        for point in range(targets.points.size):
            n = 0
            for i in range(n_inputs):
                change = targets.points[point] * (moved.inputs[row, i] * shift[i])
                queue.change[n], queue.unit[n] = change, i
                n += 1 if change != 0.0 else 0
            start = 0
            while start < n:
                m = min(n - start, LANES - count)
                lanes = padded(m, count)
                change, unit = queue.change[start:], queue.unit[start:]
                for k in range(n_outputs):
                    z, target = moved.z[row, k], queue.z[k, count:]
                    factor = 1.0 if k == output else 0.0
                    for t in range(lanes):
                        target[t] = z + factor * change[t]
                describe(row, unit, count, lanes, point, offset + output * n_inputs, targets, queue)
                start, count = start + m, count + m
                if count == LANES:
                    settle(above, targets, queue, count)
                    count = 0
    return count


@njit(**EXACT)
def add_outputs(first, changes, shifts, total):
    """As `add_units`, for the last layer."""
    n_outputs, n_inputs = shifts.shape
    for output in range(n_outputs):
        at = output * n_inputs
        for i in range(n_inputs):
            own = first[i] == i or shifts[output, i] != shifts[output, first[i]]
            total[at + i] += changes[at + (i if own else first[i])]


@njit(**EXACT)
def describe(row, unit, count, lanes, point, number, targets, queue):
    """Say of moves of a row how their loss is compared, and whose change it is."""
    for k in range(targets.y.shape[1]):
        y, target = targets.y[row, k], queue.y[k, count:]
        for t in range(lanes):
            target[t] = y
    before, scale = queue.before[count:], queue.scale[count:]
    of_row, factor = targets.losses[row], targets.weight[row] * targets.weights[point]
    numbers = queue.number[count:]
    for t in range(lanes):
        before[t] = of_row
        scale[t] = factor
        numbers[t] = number + unit[t]


@njit(**EXACT)
def settle(above, targets, queue, count):
    """Add the changes of the loss in the queue, term by term, to the moves that made them."""
    if count == 0:
        return
    evaluate(above, targets, queue)
    changes = queue.changes.reshape(-1)
    for lane in range(LANES):
        queue.values[lane] = (queue.values[lane] - queue.before[lane]) * queue.scale[lane]
    for lane in range(count):
        changes[queue.number[lane]] += queue.values[lane]


@njit(**EXACT)
def evaluate(above, targets, queue):
    """Run the queue forward, and write the loss of each of its rows."""
    K = targets.y.shape[1]
    sizes = above.sizes
    z, w, b = queue.z, 0, 0
    for layer in range(sizes.size - 1):
        p, q = sizes[layer], sizes[layer + 1]
        call(above.forward[layer], (z, queue.zeros, queue.outputs, p, LANES))
        z = queue.front
        for j in range(q):
            out = z[j]
            for t in range(LANES):
                out[t] = above.intercepts[b + j]
            for i in range(p):
                weight, a = above.weights[w + i * q + j], queue.outputs[i]
                for t in range(LANES):
                    out[t] += weight * a[t]
        w += p * q
        b += q
    for t in range(LANES):
        queue.values[t] = 0.0
    call(targets.loss, (queue.y, z, queue.values, K, LANES, targets.setting))
