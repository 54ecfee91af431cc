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
    gradient = gradients[0]
    for part in range(1, gradients.shape[0]):
        other = gradients[part]
        for i in range(lo, hi):
            gradient[i] += other[i]
    if terms.l2 == 0.0:
        return 0.0
    hi = min(hi, network.n_weights)
    strength = like(theta, terms.l2)
    for i in range(lo, hi):
        gradient[i] += strength * theta[i]
    return 0.5 * terms.l2 * squares_of(theta, lo, hi)


@njit(**SUMS)
def squares_of(array, lo, hi):
    """Sum of the squares of a slice.

    Apart from loops that write: whether such a loop is run in vectors, which changes the order of
    a sum, hangs on where the arrays lie.
    """
    total = 0.0
    for i in range(lo, hi):
        total += array[i] * array[i]
    return total


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
    """Mean of what the weights add to the raw output; apart from writes, as `squares_of`."""
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
def prepare(part, lo, hi, u, clip_value, terms, network, space):
    """The L1 term's value and pseudo-gradient (see `skgd.penalties`), clipping, sums of squares."""
    gradient = space.gradients[0]
    most = like(gradient, clip_value)
    value = 0.0
    if terms.l1.size:
        for i in range(lo, min(hi, network.n_weights)):
            value += abs(u[i]) * terms.l1[i]
        for i in range(lo, min(hi, network.n_weights)):
            w, g, strength = u[i], gradient[i], terms.l1[i]
            softened = g - strength if g > strength else (g + strength if g < -strength else g * 0)
            signed = g + strength if w > 0 else g - strength
            gradient[i] = signed if w != 0 else softened
            space.old[i] = w
    space.losses[part, 3] = squares_of(gradient, lo, hi)
    if clip_value < math.inf:
        for i in range(lo, hi):
            gradient[i] = most if gradient[i] > most else max(gradient[i], -most)
    space.losses[part, 1] += terms.unit * value
    space.losses[part, 2] = squares_of(gradient, lo, hi)


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
