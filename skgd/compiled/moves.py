"""Measured gradients in machine code: every parameter of a layer is moved, in every row.

A move changes one number in a row: the input of one unit, by the step times what enters there. All
moves of a layer that change that unit's output are put in a queue, as many rows side by side: the
inputs of the layer after it, as they are now. A full queue is run forward to the outputs, the loss
is evaluated, and what it changed by is added to the sum of the parameter that was moved. The loss
and the activations are called by address, and no derivative is: it is `skgd.moved_parameters`
without Python between the moves.

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


class Above(NamedTuple):
    """The layers after the moved one: none after the last."""

    z: np.ndarray  # (rows, units) of the next layer; after the last one the raw outputs
    W: np.ndarray  # (units of the next layer, units of the moved one)
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
    number: np.ndarray  # of the parameter
    values: np.ndarray  # the loss after the move
    terms: np.ndarray  # (outputs, LANES)
    front: np.ndarray  # (units of the widest layer, LANES)
    outputs: np.ndarray
    moved: np.ndarray  # (units,) of one row, under one move
    activated: np.ndarray
    change: np.ndarray
    unit: np.ndarray
    zeros: np.ndarray


@njit(nogil=True, **EXACT)
def activate(forward, z, a, zeros):
    """``a = activation(z)``, row by row as moves do it."""
    for row in range(z.shape[0]):
        call(forward, (z[row], zeros, a[row], 1, z.shape[1]))


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
    count = 0
    for row in range(n_rows):
        if moved.forward:
            count = move_units(row, moved, above, targets, queue, total, count)
        else:
            count = move_outputs(row, moved, above, targets, queue, total, count)
    settle(above, targets, queue, total, count)


@njit(**EXACT)
def move_units(row, moved, above, targets, queue, total, count):
    """Move the weights of a hidden layer; those from one input, to all units, together."""
    n_inputs, n_units = moved.shifts.shape
    for i in range(n_inputs):
        x = moved.inputs[row, i]
        if x == 0.0:
            continue
        for point in range(targets.points.size):
            step = targets.points[point] * x
            for j in range(n_units):
                queue.moved[j] = moved.z[row, j] + step * moved.shifts[i, j]
            call(moved.forward, (queue.moved, queue.zeros, queue.activated, 1, n_units))
            n = 0
            for j in range(n_units):
                change = queue.activated[j] - moved.a[row, j]
                queue.change[n], queue.unit[n] = change, j
                n += 1 if change != 0.0 else 0
            start = 0
            while start < n:
                m = min(n - start, LANES - count)
                for k in range(above.z.shape[1]):
                    z, W, target = above.z[row, k], above.W[k], queue.z[k]
                    if n == n_units:  # memory in order is read faster
                        for t in range(m):
                            target[count + t] = z + queue.change[start + t] * W[start + t]
                    else:
                        for t in range(m):
                            target[count + t] = (
                                z + queue.change[start + t] * W[queue.unit[start + t]]
                            )
                describe(row, count, m, point, targets, queue)
                for t in range(m):
                    queue.number[count + t] = i * n_units + queue.unit[start + t]
                start, count = start + m, count + m
                if count == LANES:
                    settle(above, targets, queue, total, count)
                    count = 0
    return count


@njit(**EXACT)
def move_outputs(row, moved, above, targets, queue, total, count):
    """Move the weights of the last layer; those to one output, from all inputs, together."""
    n_outputs, n_inputs = moved.shifts.shape
    for output in range(n_outputs):
        for point in range(targets.points.size):
            n = 0
            for i in range(n_inputs):
                change = targets.points[point] * moved.inputs[row, i] * moved.shifts[output, i]
                queue.change[n], queue.unit[n] = change, i
                n += 1 if change != 0.0 else 0
            start = 0
            while start < n:
                m = min(n - start, LANES - count)
                for k in range(n_outputs):
                    z = moved.z[row, k]
                    for t in range(m):
                        queue.z[k, count + t] = z
                for t in range(m):
                    queue.z[output, count + t] += queue.change[start + t]
                describe(row, count, m, point, targets, queue)
                for t in range(m):
                    queue.number[count + t] = output * n_inputs + queue.unit[start + t]
                start, count = start + m, count + m
                if count == LANES:
                    settle(above, targets, queue, total, count)
                    count = 0
    return count


@njit(**EXACT)
def describe(row, count, m, point, targets, queue):
    """Say of m moves of a row how their loss is compared."""
    for k in range(targets.y.shape[1]):
        y = targets.y[row, k]
        for t in range(m):
            queue.y[k, count + t] = y
    before, scale = targets.losses[row], targets.weight[row] * targets.weights[point]
    for t in range(m):
        queue.before[count + t] = before
        queue.scale[count + t] = scale


@njit(**EXACT)
def settle(above, targets, queue, total, count):
    """Add the changes of the loss in the queue, term by term, to the moves that made them."""
    if count == 0:
        return
    evaluate(above, targets, queue)
    for lane in range(LANES):
        queue.values[lane] = (queue.values[lane] - queue.before[lane]) * queue.scale[lane]
    for lane in range(count):
        total[queue.number[lane]] += queue.values[lane]


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
    call(targets.loss, (queue.y, z, queue.terms, K, LANES, targets.setting))
    for t in range(LANES):
        queue.values[t] = queue.terms[0, t]
    for k in range(1, K):
        for t in range(LANES):
            queue.values[t] += queue.terms[k, t]
