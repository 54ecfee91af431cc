"""Penalty, coordinates and optimizer in machine code: each works on a slice of the parameters."""

from __future__ import annotations

import math

from numba import njit

from skgd.compiled.intrinsics import call, like
from skgd.compiled.layout import copy
from skgd.compiled.numbers import EXACT, SUMS, sign


@njit(**SUMS)
def add_up(lo, hi, theta, terms, network, gradients):
    """Sum the gradients of the parts into the first; add the L2 term, and return its value."""
    gradient = gradients[0][lo:hi]
    for part in range(1, gradients.shape[0]):
        other = gradients[part][lo:hi]
        for i in range(hi - lo):
            gradient[i] += other[i]
    hi = min(hi, network.n_weights)
    if terms.l2 == 0.0 or hi <= lo:
        return 0.0
    weights, strength = theta[lo:hi], like(theta, terms.l2)
    for i in range(hi - lo):
        gradient[i] += strength * weights[i]
    return 0.5 * terms.l2 * squares_of(theta, lo, hi)


@njit(**SUMS)
def squares_of(array, lo, hi):
    """Sum of the squares of a slice.

    Apart from loops that write: whether such a loop is run in vectors, which changes the order of
    a sum, hangs on where the arrays lie.
    """
    total, part = 0.0, array[lo:hi]
    for i in range(part.size):
        total += part[i] * part[i]
    return total


@njit(**EXACT)
def to_theta(u, theta, network, terms):
    """``W = U / s``, ``b = c - m W`` in the first layer; times spread, plus centre in the last."""
    copy(u, 0, theta, 0, theta.size)
    n_layers = network.sizes.size - 1
    if terms.inverse_scale.size:
        p, q = network.sizes[0], network.sizes[1]
        b = theta[network.n_weights : network.n_weights + q]
        if network.linear:
            for k in range(q):
                weights = theta[k * p : (k + 1) * p]
                for j in range(p):
                    weights[j] *= terms.inverse_scale[j]
                if network.intercepts:
                    b[k] -= product_of(terms.mean, weights)
        else:
            for j in range(p):
                weights = theta[j * q : (j + 1) * q]
                inverse, mean = terms.inverse_scale[j], terms.mean[j]
                for k in range(q):
                    weights[k] *= inverse
                if network.intercepts:
                    for k in range(q):
                        b[k] -= mean * weights[k]
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
def product_of(a, b):
    """Sum of ``a * b``; apart from writes, as `squares_of`."""
    total = like(b, 0.0)
    for i in range(b.size):
        total += a[i] * b[i]
    return total


@njit(**EXACT)
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
        if network.linear:
            for k in range(q):
                slopes = gradient[k * p : (k + 1) * p]
                tilt = b[k] if network.intercepts else like(b, 0.0)
                for j in range(p):
                    slopes[j] = (slopes[j] - terms.mean[j] * tilt) * terms.inverse_scale[j]
        else:
            for j in range(p):
                slopes = gradient[j * q : (j + 1) * q]
                inverse, mean = terms.inverse_scale[j], terms.mean[j]
                if network.intercepts:
                    for k in range(q):
                        slopes[k] -= mean * b[k]
                for k in range(q):
                    slopes[k] *= inverse
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
        first, slopes = begin - k * p, gradient[begin:end]
        mean, inverse = terms.mean[first:], terms.inverse_scale[first:]
        for i in range(slopes.size):
            slopes[i] = (slopes[i] - mean[i] * tilt) * inverse[i] * spread * unit
        begin = end
    for i in range(max(lo, network.n_weights), hi):
        if terms.spread.size:
            gradient[i] *= terms.spread[i - network.n_weights]
        gradient[i] *= unit


@njit(**SUMS)
def shift_of(begin, end, first, u, terms):
    """Mean of what the weights add to the raw output; apart from writes, as `squares_of`."""
    shift, weights = like(u, 0.0), u[begin:end]
    mean, inverse = terms.mean[begin - first :], terms.inverse_scale[begin - first :]
    for i in range(weights.size):
        shift += mean[i] * (weights[i] * inverse[i])
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
        moved, weights = u[begin:end], theta[begin:end]
        inverse = terms.inverse_scale[begin - k * p :]
        for i in range(weights.size):
            weights[i] = moved[i] * inverse[i] * spread
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
def prepare(part, lo, hi, u, clip_value, terms, network, space):
    """The L1 term's value and pseudo-gradient (see `skgd.penalties`), clipping, sums of squares."""
    gradient = space.gradients[0]
    if terms.l1.size:
        end = max(lo, min(hi, network.n_weights))
        slopes, weights, strengths = gradient[lo:end], u[lo:end], terms.l1[lo:end]
        space.losses[part, 1] += terms.unit * sizes_of(weights, strengths)
        soften(slopes, weights, strengths)
        copy(u, lo, space.old, lo, end - lo)
    space.losses[part, 3] = squares_of(gradient, lo, hi)
    if clip_value < math.inf:
        slopes, most = gradient[lo:hi], like(gradient, clip_value)
        for i in range(slopes.size):
            slopes[i] = most if slopes[i] > most else max(slopes[i], -most)
    space.losses[part, 2] = squares_of(gradient, lo, hi)


@njit(**SUMS)
def sizes_of(weights, strengths):
    """Value of the L1 term; apart from writes, as `squares_of`."""
    value = 0.0
    for i in range(weights.size):
        value += abs(weights[i]) * strengths[i]
    return value


@njit(**EXACT)
def soften(slopes, weights, strengths):
    """Turn the slopes of smooth J into those of the way down with the L1 term."""
    for i in range(slopes.size):
        w, g, strength = weights[i], slopes[i], strengths[i]
        softened = g - strength if g > strength else (g + strength if g < -strength else g * 0)
        signed = g + strength if w > 0 else g - strength
        slopes[i] = signed if w != 0 else softened


@njit(**EXACT)
def mass(n, decay, power):
    """Sum of the weights of n parameters in an average (see `skgd.averaging`)."""
    if decay == 1.0:
        return (n + power) / (1.0 + power)
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
        slopes, factor = gradient[lo:hi], like(gradient, shrink)
        for i in range(slopes.size):
            slopes[i] *= factor
    call(
        kernels.optimizer,
        (u, gradient, state.memory, u.size, lo, hi, network.n_weights, rule.settings,
         rule.products[step], t + step + 1, rule.rates[step], rule.momenta[step]),
    )  # fmt: skip
    if terms.l1.size:
        end = max(lo, min(hi, network.n_weights))
        moved, before, slopes = u[lo:end], space.old[lo:end], gradient[lo:end]
        for i in range(moved.size):
            old = before[i]
            orthant = sign(old) if old != 0.0 else -sign(slopes[i])
            moved[i] = like(u, 0.0) if moved[i] * orthant <= 0.0 else moved[i]
    if mean_of:
        averaged, moved, count_ = state.averaged[lo:hi], u[lo:hi], like(u, mean_of)
        for i in range(moved.size):
            averaged[i] += (moved[i] - averaged[i]) / count_
