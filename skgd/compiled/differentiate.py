"""The gradient of a batch in machine code: forward pass, loss, backward pass (the delta rule).

A part of the batch goes forward and backward by itself, in blocks of rows, to its own gradient.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from skgd.compiled.intrinsics import call, gemm, gemv, like, prefetch
from skgd.compiled.layout import clear, copy
from skgd.compiled.numbers import EXACT, SUMS

_CACHE_LINE = 64  # bytes
_NEAR = 1024  # lines that may lie ready for the next batch
_FEW = 16  # rows


@njit(**EXACT)
def place(part, before, q, space):
    """Where the rows of a part begin in a layer of q units, with so many units before it."""
    n_parts = space.losses.shape[0]
    return space.block * (n_parts * before + part * q)


@njit(**SUMS)
def differentiate(part, lo, hi, share, kernels, network, rows, theta, space):
    """Write the gradient of the loss of rows lo to hi; return their share of J."""
    total, add = 0.0, 0
    for start in range(lo, hi, space.block):
        m = min(space.block, hi - start)
        take_rows(part, start, m, network, rows, space)
        forward(part, start, m, kernels, network, rows, theta, space)
        K = network.sizes[network.sizes.size - 1]
        total += loss_of(part, m, K, share, kernels, rows, space)
        backward(part, start, m, add, kernels, network, rows, theta, space)
        add = 1
    if not add:  # fewer rows than parts
        clear(space.gradients[part], 0, space.gradients.shape[1])
    return total


@njit(inline="always", **EXACT)  # no function may return a view
def first_inputs(part, start, network, rows, space):
    """Rows of X, from row `start` on: where they lie, or where they were gathered."""
    p = network.sizes[0]
    if rows.order.size == 0 and not rows.is_sparse:
        return rows.X[start * p :]
    return space.X[part * space.block * p :]


@njit(**SUMS)
def forward(part, start, m, kernels, network, rows, theta, space):
    """Run m rows forward, to the raw outputs."""
    n_layers = network.sizes.size - 1
    a = first_inputs(part, start, network, rows, space)
    w, b, before = 0, network.n_weights, 0
    for layer in range(n_layers):
        p, q = network.sizes[layer], network.sizes[layer + 1]
        last = layer == n_layers - 1
        at = part * space.block * q if last else place(part, before, q, space)
        z = (space.raw if last else space.inputs)[at : at + m * q]
        W = theta[w : w + p * q]
        if layer == 0 and rows.is_sparse:
            sparse_product(start, m, rows, W, p, q, network.linear, z)
        else:
            product(kernels, a, W, m, p, q, network.linear, z)
        intercepts = theta[b : b + q] if network.intercepts else space.no_intercepts
        if not last:
            a = space.outputs[at:]
            call(kernels.forward[layer], (z, intercepts, a, m, q))
            before += q
        elif network.intercepts:
            add_rows(z, intercepts, m, q)
        w += p * q
        b += q


@njit(**SUMS)
def backward(part, start, m, add, kernels, network, rows, theta, space):
    """Run m rows backward, and write the gradient of each layer, or add to it."""
    n_layers, gradient = network.sizes.size - 1, space.gradients[part]
    w, b, before = network.n_weights, theta.size, 0
    for layer in range(1, n_layers):
        before += network.sizes[layer]
    delta = space.slopes[part * space.block * network.sizes[n_layers] :]
    for layer in range(n_layers - 1, -1, -1):
        p, q = network.sizes[layer], network.sizes[layer + 1]
        w -= p * q
        b -= q
        if layer > 0:
            before -= p
        at = place(part, before, p, space)
        target = gradient[w : w + p * q]
        if layer > 0:
            transposed_product(kernels, space.outputs[at:], delta, m, p, q, 0, add, target)
        elif rows.is_sparse:
            sparse_transposed_product(start, m, rows, delta, p, q, network.linear, add, target)
        else:
            X = first_inputs(part, start, network, rows, space)
            transposed_product(kernels, X, delta, m, p, q, network.linear, add, target)
        if network.intercepts:
            sum_rows(delta, m, q, add, gradient[b : b + q])
        if layer > 0:
            below = space.deltas[at : at + m * p]
            back_product(kernels, delta, theta[w : w + p * q], m, p, q, below)
            call(kernels.backward[layer - 1], (below, space.inputs[at:], space.outputs[at:], m * p))
            delta = below


@njit(**EXACT)
def take_rows(part, start, m, network, rows, space):
    """Take the targets, and if rows have an order gather those of X, into the part's own arrays."""
    p, K = network.sizes[0], network.sizes[network.sizes.size - 1]
    first = part * space.block
    targets, weight = space.targets[first * K :], space.weight[first:]
    X = space.X[first * p :]
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
            row = rows.order[start + i + ahead]
            prefetch(rows.y, row * K)
            if rows.weight.size:
                prefetch(rows.weight, row)
            if not rows.is_sparse:
                for j in range(0, p, line):
                    prefetch(rows.X, row * p + j)
                prefetch(rows.X, row * p + p - 1)
        row = rows.order[start + i]
        gather(rows.y, row, targets, i, K)
        if rows.weight.size:
            weight[i] = rows.weight[row]
        if not rows.is_sparse:
            gather(rows.X, row, X, i, p)


@njit(**EXACT)
def gather(source, row, target, place, n):
    """Copy a row of n numbers. By unsigned indices: a view of a short row takes longer to make."""
    width = np.uint64(n)
    first, to = np.uint64(row) * width, np.uint64(place) * width
    for j in range(width):
        target[to + j] = source[first + j]


@njit(**SUMS)
def loss_of(part, m, K, share, kernels, rows, space):
    """Share of J of m rows; the slopes are scaled alike."""
    n, first = m * K, part * space.block
    targets, weights = space.targets[first * K :], space.weight[first:]
    values, slopes = space.values[first * K :], space.slopes[first * K :]
    call(
        kernels.loss,
        (targets, space.raw[first * K :], values, slopes, n, K, kernels.setting),
    )
    total = 0.0
    if rows.weight.size == 0:
        scale = like(slopes, share)
        for i in range(n):
            total += values[i]
            slopes[i] *= scale
        return total * share
    for i in range(m):
        weight = weights[i] * share
        for k in range(i * K, i * K + K):
            total += weight * values[k]
            slopes[k] *= like(slopes, weight)
    return total


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


@njit(**EXACT)
def sparse_product(start, m, rows, W, p, q, transposed, out):
    """``out = X W`` for rows of a CSR matrix."""
    for i in range(m):
        row = rows.order[start + i] if rows.order.size else start + i
        begin, end = rows.indptr[row], rows.indptr[row + 1]
        if q == 1:
            out[i] = sparse_dot(begin, end, rows, W)
            continue
        clear(out, i * q, q)
        for k in range(begin, end):
            value, column = rows.values[k], np.int64(rows.indices[k])
            for j in range(q):
                out[i * q + j] += value * W[column + j * p if transposed else column * q + j]


@njit(**EXACT)
def sparse_dot(begin, end, rows, w):
    """Product of w and the entries begin to end of a CSR matrix.

    Four sums, so that none waits for the one before. In vectors the compiler would gather, which
    takes twice as long; an unsigned index need not be looked at for being negative.
    """
    a = b = c = d = like(w, 0.0)
    k = begin
    while k + 4 <= end:
        a += rows.values[k] * w[np.uint32(rows.indices[k])]
        b += rows.values[k + 1] * w[np.uint32(rows.indices[k + 1])]
        c += rows.values[k + 2] * w[np.uint32(rows.indices[k + 2])]
        d += rows.values[k + 3] * w[np.uint32(rows.indices[k + 3])]
        k += 4
    while k < end:
        a += rows.values[k] * w[np.uint32(rows.indices[k])]
        k += 1
    return (a + b) + (c + d)


@njit(**EXACT)
def sparse_transposed_product(start, m, rows, delta, p, q, transposed, add, out):
    """``out = X^T delta``, or add it to out."""
    if not add:
        clear(out, 0, out.size)
    for i in range(m):
        row = rows.order[start + i] if rows.order.size else start + i
        begin, end = rows.indptr[row], rows.indptr[row + 1]
        if q == 1:
            slope = delta[i]
            for k in range(begin, end):
                out[np.uint32(rows.indices[k])] += rows.values[k] * slope
            continue
        for k in range(begin, end):
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
        row = z[i * q : (i + 1) * q]
        for j in range(q):
            row[j] += b[j]


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
        row = delta[i * q : (i + 1) * q]
        for j in range(q):
            out[j] += row[j]
