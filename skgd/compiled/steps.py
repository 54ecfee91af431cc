"""Steps of gradient descent without Python between them: the compiled form of the loop's inside.

A step on a batch has four parts. Between them the threads wait for each other:

    differentiate   each part of the batch by itself: rows -> outputs -> loss -> gradient
    add up          the gradients of the parts, and the penalty; each slice of theta by itself
    (pull back      into the coordinates of the descent, if they are not theta)
    move            the optimizer; each slice by itself

The parts and slices depend on sizes alone, and are added in fixed order: the result is the same,
bit for bit, for any number of threads. The NumPy form of all this is `DeltaRule`, `Objective`,
`Coordinates` and `descent.Epochs`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from skgd.compiled.intrinsics import arrive, call, count, gemm, gemv, like, prefetch
from skgd.compiled.numbers import EXACT, SUMS, sign

_CACHE_LINE = 64  # bytes
_NEAR = 1024  # lines that may lie ready for the next batch
_FEW = 16  # rows
_CHUNK = 2048  # parameters
_POLITENESS = 10_000_000  # looks at a counter, before another process may have the processor
_PATIENCE = 3_000_000  # looks at a counter: about a millisecond


class Kernels(NamedTuple):
    """Addresses of compiled functions."""

    loss: int
    setting: float  # the loss's parameter
    forward: np.ndarray  # of each hidden layer
    backward: np.ndarray
    optimizer: int  # 0 to stop before the move, with the gradient
    gemm: int  # BLAS's matrix products
    gemv: int
    give_way: int  # sched_yield of the C library; 0 where there is none


class Network(NamedTuple):
    """Shape of the model; `linear` where the only weights are stored as (outputs, features)."""

    sizes: np.ndarray  # units of each layer, from the features to the outputs
    intercepts: int
    linear: int
    n_weights: int


class Rows(NamedTuple):
    """The data: X is flat, or empty where X is the CSR matrix (values, indices, indptr)."""

    X: np.ndarray
    values: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    is_sparse: int
    y: np.ndarray  # flat
    weight: np.ndarray  # empty for ones
    order: np.ndarray  # row numbers; empty for 0, 1, 2, ...
    n: int
    batch_size: int


class Terms(NamedTuple):
    """The penalty, and the coordinates (`skgd.coordinates`); empty arrays for what is not there."""

    l2: float
    l1: np.ndarray  # of each weight, in the coordinates of the descent
    mean: np.ndarray
    inverse_scale: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    unit: float


class Rule(NamedTuple):
    """What the optimizer is told; entry k of an array, but for `settings`, is for step k."""

    settings: np.ndarray
    rates: np.ndarray
    momenta: np.ndarray  # nan for the rule's own
    products: np.ndarray  # of NAdam's momenta before the step
    clip_norm: float  # inf for none
    average_after: int  # samples
    average_decay: float  # of the weights of an average; 1 where all count alike
    clip_value: float  # inf for none


class Call(NamedTuple):
    """One stretch of the training: what the first thread tells the others, and gets back."""

    number: np.ndarray  # of calls so far; raised when all else is written
    over: np.ndarray  # 1 where no call will follow
    gate: np.ndarray  # arrivals at the meetings of the threads
    told: np.ndarray  # first batch, steps; steps, rows and averages before; next meeting
    sums: np.ndarray  # sum of J times rows of the batch; steps taken; last J; first J


class State(NamedTuple):
    """What steps change. `before` are the parameters before the last step of the epoch."""

    u: np.ndarray
    theta: np.ndarray  # u itself where the coordinates are theta
    memory: np.ndarray  # (arrays of the rule, parameters), flat
    before: np.ndarray
    averaged: np.ndarray  # empty for none


class Space(NamedTuple):
    """Room to work in, made once for each training; the first axis is the part."""

    gradients: np.ndarray  # (parts, parameters)
    X: np.ndarray  # (parts, block * p)
    targets: np.ndarray  # (parts, block * K) and so on
    raw: np.ndarray
    values: np.ndarray
    slopes: np.ndarray
    weight: np.ndarray  # (parts, block)
    inputs: np.ndarray  # (parts, block * hidden units): z, a, dJ/da of all hidden layers
    outputs: np.ndarray
    deltas: np.ndarray
    tilts: np.ndarray  # (parts, K): the gradient of the intercepts, by theta
    shifts: np.ndarray  # (parts, K): what the means of the inputs add to the raw outputs
    losses: np.ndarray  # (parts, 8): loss, penalty, sum of squares; a cache line each
    no_intercepts: np.ndarray  # zeros, as many as the widest hidden layer
    old: np.ndarray  # parameters, where an L1 term needs those before the step
    block: int  # rows


@njit(**EXACT)
def copy(source, start, target, first, n):
    """``target[first : first + n] = source[start : start + n]``."""
    for i in range(n):
        target[first + i] = source[start + i]


@njit(**EXACT)
def clear(array, start, n):
    """``array[start : start + n] = 0``."""
    for i in range(start, start + n):
        array[i] = like(array, 0.0)


@njit(**EXACT)
def wait(gate, n_threads, meeting, kernels):
    """Wait until all threads are here, for the `meeting`-th time; return the next number."""
    if n_threads > 1:
        arrive(gate)
        spins = 0
        while count(gate) < n_threads * meeting:
            spins += 1
            if spins > _POLITENESS and kernels.give_way:  # another process may need the processor
                call(kernels.give_way, (spins,))
    return meeting + 1


@njit(nogil=True, **EXACT)
def take_part(thread, seen, n_threads, call_, kernels, network, rows, terms, rule, state, space):
    """Take part in the stretches of a training: in the next one as thread 0, else in all.

    A thread beside the first waits for a new call, takes its part, and waits again, so that it
    stays on its processor; it returns the number of the last call it has seen where it waited for
    too long, or the training is over.
    """
    while True:
        if thread > 0:
            for _ in range(_PATIENCE):
                if count(call_.number) != seen:
                    break
            if count(call_.number) == seen:
                return seen
            seen += 1
            if call_.over[0]:
                return seen
        stretch(thread, n_threads, call_, kernels, network, rows, terms, rule, state, space)
        if thread == 0:
            return 0


@njit(**EXACT)
def stretch(thread, n_threads, call_, kernels, network, rows, terms, rule, state, space):
    """Take the steps from batch `first` of an epoch on.

    Without an optimizer the first batch is only evaluated, and ``gradients[0]`` has its gradient
    by u. A J that is not finite ends the steps before the move.
    """
    gate, sums, first, n_steps = call_.gate, call_.sums, call_.told[0], call_.told[1]
    t, samples, n_averaged, meeting = call_.told[2], call_.told[3], call_.told[4], call_.told[5]
    n_parts, size = space.gradients.shape
    gradient = space.gradients[0]
    moved_coordinates = state.theta.size > 0
    theta = state.theta if moved_coordinates else state.u
    total = 0.0
    # Where nothing else is asked of the gradient as a whole, a chunk of it is added up and used
    # while it is in the cache.
    clipped = rule.clip_norm < math.inf or rule.clip_value < math.inf
    whole = terms.l1.size > 0 or clipped
    one_layer = network.linear != 0 and terms.inverse_scale.size > 0
    at_once = kernels.optimizer != 0 and not whole and (one_layer or not moved_coordinates)
    carried = at_once and moved_coordinates  # each chunk from theta to u and back
    if carried:  # in the chunks of the steps: one stretch or two, the bits are the same
        for part in range(thread, n_parts, n_threads):
            lo, hi = size * part // n_parts, size * (part + 1) // n_parts
            clear(space.shifts[part], 0, space.shifts.shape[1])
            for a in range(lo, hi, _CHUNK):
                b = min(a + _CHUNK, hi)
                to_theta_chunk(part, a, b, state.u, theta, network, terms, space)
        meeting = wait(gate, n_threads, meeting, kernels)
        if thread == 0:
            intercepts_to_theta(state.u, theta, network, terms, space)
    elif moved_coordinates and thread == 0:
        to_theta(state.u, theta, network, terms)
    meeting = wait(gate, n_threads, meeting, kernels)
    for step in range(n_steps):
        start = (first + step) * rows.batch_size
        n = min(rows.batch_size, rows.n - start)
        for part in range(thread, n_parts, n_threads):
            lo, hi = start + n * part // n_parts, start + n * (part + 1) // n_parts
            space.losses[part, 0] = differentiate(
                part, lo, hi, 1.0 / n, kernels, network, rows, theta, space
            )
            if carried and network.intercepts:
                K = space.tilts.shape[1]
                copy(space.gradients[part], network.n_weights, space.tilts[part], 0, K)
        meeting = wait(gate, n_threads, meeting, kernels)
        loss = 0.0
        for part in range(n_parts):
            loss += space.losses[part, 0]
        if kernels.optimizer and not math.isfinite(loss):
            if thread == 0:
                if step == 0:
                    sums[3] = loss
                sums[2], call_.told[5] = loss, meeting
            return
        samples += n
        mean_of = 0.0
        if state.averaged.size:
            n_averaged += samples >= rule.average_after
            mean_of = mass(max(1, n_averaged), rule.average_decay)
        last = start + n == rows.n
        for part in range(thread, n_parts, n_threads):
            lo, hi = size * part // n_parts, size * (part + 1) // n_parts
            space.losses[part, 1] = 0.0
            if carried:
                clear(space.shifts[part], 0, space.shifts.shape[1])
            for a in range(lo, hi, _CHUNK):
                b = min(a + _CHUNK, hi)
                space.losses[part, 1] += add_up(a, b, theta, terms, network, space.gradients)
                if carried:
                    pull_back_chunk(a, b, network, terms, space)
                if at_once:
                    move(a, b, step, t, 1.0, mean_of, last, kernels, network, terms, rule, state,
                         space)  # fmt: skip
                if carried:
                    to_theta_chunk(part, a, b, state.u, theta, network, terms, space)
        meeting = wait(gate, n_threads, meeting, kernels)
        if moved_coordinates and not carried:
            if thread == 0:
                pull_back(gradient, network, terms)
            meeting = wait(gate, n_threads, meeting, kernels)
        if terms.l1.size or clipped:
            for part in range(thread, n_parts, n_threads):
                lo, hi = size * part // n_parts, size * (part + 1) // n_parts
                prepare(part, lo, hi, state.u, gradient, rule.clip_value, terms, network, space)
            meeting = wait(gate, n_threads, meeting, kernels)
        for part in range(n_parts):
            loss += space.losses[part, 1]
        if thread == 0 and step == 0:
            sums[3] = loss
        if kernels.optimizer == 0 or not math.isfinite(loss):
            if thread == 0:
                sums[2], call_.told[5] = loss, meeting
            return
        total += loss * n
        if not at_once:
            shrink = 1.0
            if rule.clip_norm < math.inf:
                norm = 0.0
                for part in range(n_parts):
                    norm += space.losses[part, 2]
                norm = math.sqrt(norm)
                shrink = rule.clip_norm / norm if norm > rule.clip_norm else 1.0
            for part in range(thread, n_parts, n_threads):
                lo, hi = size * part // n_parts, size * (part + 1) // n_parts
                move(lo, hi, step, t, shrink, mean_of, last, kernels, network, terms, rule, state,
                     space)  # fmt: skip
            meeting = wait(gate, n_threads, meeting, kernels)
        if moved_coordinates:
            if thread == 0:
                if carried:
                    intercepts_to_theta(state.u, theta, network, terms, space)
                else:
                    to_theta(state.u, theta, network, terms)
            meeting = wait(gate, n_threads, meeting, kernels)
        if thread == 0:
            sums[0], sums[1], sums[2] = total, step + 1, loss
    if thread == 0:
        call_.told[5] = meeting


# ----------------------------------------------------------- the gradient of a part of the batch


@njit(**SUMS)
def differentiate(part, lo, hi, share, kernels, network, rows, theta, space):
    """Write the gradient of the loss of rows lo to hi; return their share of J."""
    gradient = space.gradients[part]
    total, add = 0.0, 0
    for start in range(lo, hi, space.block):
        m = min(space.block, hi - start)
        total += of_block(part, start, m, share, kernels, network, rows, theta, space, add)
        add = 1
    if not add:  # fewer rows than parts
        clear(gradient, 0, gradient.size)
    return total


@njit(**SUMS)
def of_block(part, start, m, share, kernels, network, rows, theta, space, add):
    """Loss of m rows by forward pass, gradient by backward pass (the delta rule)."""
    take_rows(part, start, m, network, rows, space)
    n_layers = network.sizes.size - 1
    K = network.sizes[n_layers]
    X = space.X[part]
    if rows.order.size == 0 and not rows.is_sparse:
        X = rows.X[start * network.sizes[0] :]
    raw, slopes, gradient = space.raw[part], space.slopes[part], space.gradients[part]

    w, b, offset = 0, network.n_weights, 0
    for layer in range(n_layers):
        p, q = network.sizes[layer], network.sizes[layer + 1]
        W = theta[w : w + p * q]
        z = raw if layer == n_layers - 1 else space.inputs[part][offset : offset + m * q]
        if layer > 0:
            product(kernels, space.outputs[part][offset - m * p :], W, m, p, q, 0, z)
        elif rows.is_sparse:
            sparse_product(start, m, rows, W, p, q, network.linear, z)
        else:
            product(kernels, X, W, m, p, q, network.linear, z)
        intercepts = theta[b : b + q] if network.intercepts else space.no_intercepts
        if layer < n_layers - 1:
            call(kernels.forward[layer], (z, intercepts, space.outputs[part][offset:], m, q))
            offset += m * q
        elif network.intercepts:
            add_rows(z, intercepts, m, q)
        w += p * q
        b += q

    value = loss_of(part, m, K, share, kernels, rows, space)

    delta = slopes
    for layer in range(n_layers - 1, -1, -1):
        p, q = network.sizes[layer], network.sizes[layer + 1]
        w -= p * q
        b -= q
        target = gradient[w : w + p * q]
        if layer > 0:
            below = space.outputs[part][offset - m * p :]
            transposed_product(kernels, below, delta, m, p, q, 0, add, target)
        elif rows.is_sparse:
            sparse_transposed_product(start, m, rows, delta, p, q, network.linear, add, target)
        else:
            transposed_product(kernels, X, delta, m, p, q, network.linear, add, target)
        if network.intercepts:
            sum_rows(delta, m, q, add, gradient[b : b + q])
        if layer > 0:
            offset -= m * p
            below_delta = space.deltas[part][offset : offset + m * p]
            back_product(kernels, delta, theta[w : w + p * q], m, p, q, below_delta)
            z, a = space.inputs[part][offset:], space.outputs[part][offset:]
            call(kernels.backward[layer - 1], (below_delta, z, a, m * p))
            delta = below_delta
    return value


@njit(**EXACT)
def take_rows(part, start, m, network, rows, space):
    """Take the targets, and if rows have an order gather those of X, into the part's own arrays."""
    p, K = network.sizes[0], network.sizes[network.sizes.size - 1]
    targets, weight, X = space.targets[part], space.weight[part], space.X[part]
    if rows.order.size == 0:
        copy(rows.y, start * K, targets, 0, m * K)
        if rows.weight.size:
            copy(rows.weight, start, weight, 0, m)
        return
    # Rows at random places are slow to come: those of the next batch are asked for while this one
    # is worked on, or, where they would fill the cache, the next ones of this block.
    line = max(1, _CACHE_LINE // rows.y.itemsize)
    ahead = rows.batch_size if m * p <= _NEAR * line else _FEW
    known = rows.n if ahead == rows.batch_size else start + m
    for i in range(m):
        if start + i + ahead < known:
            row = np.int64(rows.order[start + i + ahead])
            prefetch(rows.y, row * K)
            if rows.weight.size:
                prefetch(rows.weight, row)
            if not rows.is_sparse:
                for j in range(0, p, line):
                    prefetch(rows.X, row * p + j)
                prefetch(rows.X, row * p + p - 1)
        row = np.int64(rows.order[start + i])
        for k in range(K):
            targets[i * K + k] = rows.y[row * K + k]
        if rows.weight.size:
            weight[i] = rows.weight[row]
        if not rows.is_sparse:
            for j in range(p):
                X[i * p + j] = rows.X[row * p + j]


@njit(**SUMS)
def loss_of(part, m, K, share, kernels, rows, space):
    """Share of J of m rows; the slopes are scaled alike."""
    values, slopes = space.values[part], space.slopes[part]
    n = m * K
    call(
        kernels.loss,
        (space.targets[part], space.raw[part], values, slopes, n, K, kernels.setting),
    )
    total = 0.0
    if rows.weight.size == 0:
        scale = like(slopes, share)
        for i in range(n):
            total += values[i]
            slopes[i] *= scale
        return total * share
    for i in range(m):
        weight = space.weight[part][i] * share
        for k in range(i * K, i * K + K):
            total += weight * values[k]
            slopes[k] *= like(slopes, weight)
    return total


# ------------------------------------------------------------------------------ matrix products


@njit(**EXACT)
def product(kernels, A, W, m, p, q, transposed, out):
    """``out = A W``, for W of shape (p, q), or (q, p) if transposed."""
    if q == 1:
        gemv(kernels.gemv, A, 0, W, m, p, 0, out)
    else:
        gemm(kernels.gemm, A, 0, W, transposed, m, q, p, 0, out)


@njit(**EXACT)
def transposed_product(kernels, A, delta, m, p, q, transposed, add, out):
    """``out = A^T delta``, of shape (p, q), or its transpose; or add it to out."""
    if q == 1:
        gemv(kernels.gemv, A, 1, delta, m, p, add, out)
    elif transposed:
        gemm(kernels.gemm, delta, 1, A, 0, q, p, m, add, out)
    else:
        gemm(kernels.gemm, A, 1, delta, 0, p, q, m, add, out)


@njit(**EXACT)
def back_product(kernels, delta, W, m, p, q, out):
    """``out = delta W^T``, of shape (m, p)."""
    gemm(kernels.gemm, delta, 0, W, 1, m, p, q, 0, out)


@njit(**SUMS)
def sparse_product(start, m, rows, W, p, q, transposed, out):
    """``out = X W`` for rows of a CSR matrix."""
    for i in range(m):
        row = rows.order[start + i] if rows.order.size else start + i
        begin, end = rows.indptr[row], rows.indptr[row + 1]
        if q == 1:
            total = like(out, 0.0)
            for k in range(begin, end):
                total += rows.values[k] * W[rows.indices[k]]
            out[i] = total
            continue
        clear(out, i * q, q)
        for k in range(begin, end):
            value, column = rows.values[k], np.int64(rows.indices[k])
            for j in range(q):
                out[i * q + j] += value * W[column + j * p if transposed else column * q + j]


@njit(**SUMS)
def sparse_transposed_product(start, m, rows, delta, p, q, transposed, add, out):
    """``out = X^T delta``, or add it to out."""
    if not add:
        clear(out, 0, out.size)
    for i in range(m):
        row = rows.order[start + i] if rows.order.size else start + i
        for k in range(rows.indptr[row], rows.indptr[row + 1]):
            value, column = rows.values[k], np.int64(rows.indices[k])
            for j in range(q):
                out[column + j * p if transposed else column * q + j] += value * delta[i * q + j]


@njit(**SUMS)
def add_rows(z, b, m, q):
    """Add b to each row of z."""
    if q == 1:
        for i in range(m):
            z[i] += b[0]
        return
    for i in range(m):
        for j in range(q):
            z[i * q + j] += b[j]


@njit(**SUMS)
def sum_rows(delta, m, q, add, out):
    """Sum of the rows of delta, or add it to out."""
    if not add:
        clear(out, 0, out.size)
    if q == 1:
        total = like(delta, 0.0)
        for i in range(m):
            total += delta[i]
        out[0] += total
        return
    for i in range(m):
        for j in range(q):
            out[j] += delta[i * q + j]


# ----------------------------------------------- penalty, coordinates, optimizer: slices of theta


@njit(**SUMS)
def add_up(lo, hi, theta, terms, network, gradients):
    """Sum the gradients of the parts into the first; add the L2 term, and return its value."""
    gradient = gradients[0]
    for part in range(1, gradients.shape[0]):
        other = gradients[part]
        for i in range(lo, hi):
            gradient[i] += other[i]
    total = 0.0
    if terms.l2 != 0.0:
        strength = like(theta, terms.l2)
        for i in range(lo, min(hi, network.n_weights)):
            gradient[i] += strength * theta[i]
            total += theta[i] * theta[i]
    return 0.5 * terms.l2 * total


@njit(**SUMS)
def to_theta(u, theta, network, terms):
    """``W = U / s``, ``b = c - m W`` in the first layer; times spread, plus centre in the last."""
    copy(u, 0, theta, 0, theta.size)
    n_layers = network.sizes.size - 1
    if terms.inverse_scale.size:
        p, q = network.sizes[0], network.sizes[1]
        b = theta[network.n_weights : network.n_weights + q]
        for j in range(p):
            inverse = terms.inverse_scale[j]
            mean = terms.mean[j]
            for k in range(q):
                i = k * p + j if network.linear else j * q + k
                theta[i] *= inverse
                if network.intercepts:
                    b[k] -= mean * theta[i]
    if terms.spread.size:
        p, q = network.sizes[n_layers - 1], network.sizes[n_layers]
        begin = network.n_weights - p * q
        for k in range(q):
            for j in range(p):
                i = k * p + j if network.linear else j * q + k
                theta[begin + i] *= terms.spread[k]
            if network.intercepts:
                i = theta.size - q + k
                theta[i] = theta[i] * terms.spread[k] + terms.centre[k]


@njit(**SUMS)
def pull_back(gradient, network, terms):
    """Turn dJ/dtheta into d(J/unit)/du: the transpose of `to_theta`."""
    n_layers = network.sizes.size - 1
    if terms.spread.size:
        p, q = network.sizes[n_layers - 1], network.sizes[n_layers]
        begin = network.n_weights - p * q
        for k in range(q):
            for j in range(p):
                i = k * p + j if network.linear else j * q + k
                gradient[begin + i] *= terms.spread[k]
            if network.intercepts:
                gradient[gradient.size - q + k] *= terms.spread[k]
    if terms.inverse_scale.size:
        p, q = network.sizes[0], network.sizes[1]
        b = gradient[network.n_weights : network.n_weights + q]
        for j in range(p):
            inverse = terms.inverse_scale[j]
            mean = terms.mean[j]
            for k in range(q):
                i = k * p + j if network.linear else j * q + k
                g = gradient[i]
                if network.intercepts:
                    g -= mean * b[k]
                gradient[i] = g * inverse
    if terms.unit != 1.0:
        unit = like(gradient, terms.unit)
        for i in range(gradient.size):
            gradient[i] /= unit


@njit(**EXACT)
def pull_back_chunk(lo, hi, network, terms, space):
    """`pull_back` of entries lo to hi, for the linear model; `tilts` has the intercepts' part."""
    gradient, p = space.gradients[0], network.sizes[0]
    unit = like(gradient, 1.0 / terms.unit)
    begin = lo
    while begin < min(hi, network.n_weights):
        k = begin // p
        end = min(hi, (k + 1) * p)
        spread = terms.spread[k] if terms.spread.size else like(gradient, 1.0)
        tilt = like(gradient, 0.0)
        if network.intercepts:
            for part in range(space.tilts.shape[0]):
                tilt += space.tilts[part, k]
        for i in range(begin, end):
            j = i - k * p
            g = gradient[i] - terms.mean[j] * tilt
            gradient[i] = g * terms.inverse_scale[j] * spread * unit
        begin = end
    for i in range(max(lo, network.n_weights), hi):
        if terms.spread.size:
            gradient[i] *= terms.spread[i - network.n_weights]
        gradient[i] *= unit


@njit(**SUMS)
def shift_of(begin, end, first, u, terms):
    """Mean of what the weights add to the raw output.

    Apart from the loop that writes: whether that one is run in vectors, which changes the order of
    a sum, hangs on where the arrays lie.
    """
    shift = like(u, 0.0)
    for i in range(begin, end):
        shift += terms.mean[i - first] * (u[i] * terms.inverse_scale[i - first])
    return shift


@njit(**EXACT)
def to_theta_chunk(part, lo, hi, u, theta, network, terms, space):
    """`to_theta` of the weights lo to hi of the linear model; adds to `shifts`."""
    p = network.sizes[0]
    begin = lo
    while begin < min(hi, network.n_weights):
        k = begin // p
        end = min(hi, (k + 1) * p)
        spread = terms.spread[k] if terms.spread.size else like(theta, 1.0)
        for i in range(begin, end):
            theta[i] = u[i] * terms.inverse_scale[i - k * p] * spread
        space.shifts[part, k] += shift_of(begin, end, k * p, u, terms)
        begin = end


@njit(**EXACT)
def intercepts_to_theta(u, theta, network, terms, space):
    """`to_theta` of the intercepts of the linear model, when `shifts` has all weights."""
    for i in range(network.n_weights, u.size):
        k = i - network.n_weights
        b = u[i]
        for part in range(space.shifts.shape[0]):
            b -= space.shifts[part, k]
        theta[i] = b * terms.spread[k] + terms.centre[k] if terms.spread.size else b


@njit(**SUMS)
def prepare(part, lo, hi, u, gradient, clip_value, terms, network, space):
    """The L1 term's value and pseudo-gradient (see `skgd.penalties`), and the sum of squares."""
    most = like(gradient, clip_value)
    value, squares = 0.0, 0.0
    if terms.l1.size:
        for i in range(lo, min(hi, network.n_weights)):
            w, g, strength = u[i], gradient[i], terms.l1[i]
            value += abs(w) * strength
            softened = g - strength if g > strength else (g + strength if g < -strength else g * 0)
            signed = g + strength if w > 0 else g - strength
            gradient[i] = signed if w != 0 else softened
            space.old[i] = w
    if clip_value < math.inf:
        for i in range(lo, hi):
            gradient[i] = most if gradient[i] > most else max(gradient[i], -most)
    for i in range(lo, hi):
        squares += gradient[i] * gradient[i]
    space.losses[part, 1] += terms.unit * value
    space.losses[part, 2] = squares


@njit(**EXACT)
def mass(n, decay):
    """Sum of the weights of n parameters in an average (see `skgd.averaging`)."""
    if decay == 1.0:
        return float(n)
    if decay == 0.0:
        return 1.0
    return -math.expm1(n * math.log(decay)) / (1.0 - decay)


@njit(**EXACT)
def move(lo, hi, step, t, shrink, mean_of, last, kernels, network, terms, rule, state, space):
    """Let the optimizer move a slice of u; keep the average, and what was there before."""
    u, gradient = state.u, space.gradients[0]
    if last:
        copy(u, lo, state.before, lo, hi - lo)
    if shrink != 1.0:
        for i in range(lo, hi):
            gradient[i] *= like(gradient, shrink)
    call(
        kernels.optimizer,
        (u, gradient, state.memory, u.size, lo, hi, network.n_weights, rule.settings,
         rule.products[step], t + step + 1, rule.rates[step], rule.momenta[step]),
    )  # fmt: skip
    if terms.l1.size:
        for i in range(lo, min(hi, network.n_weights)):
            old = space.old[i]
            orthant = sign(old) if old != 0.0 else -sign(gradient[i])
            if u[i] * orthant <= 0.0:
                u[i] = like(u, 0.0)
    if mean_of:
        count_ = like(u, mean_of)
        for i in range(lo, hi):
            state.averaged[i] += (u[i] - state.averaged[i]) / count_
