"""Kernels of the optimizers: one pass over a slice of the flat vector for each step.

``kernel(theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum)``
moves ``theta[start:stop]``, as the row of the same name in `skgd.optimizers`, whose formula the
docstring repeats. Array k of the rule's memory begins at ``memory[k * size]``; `settings` are its
parameters in the order of the table; `product` is that of NAdam's momenta before the step; `t`
counts the steps from 1; `momentum` is nan where the rule's own holds; entries below `n_decayed`
are weights.

What is the same for all entries is computed in float64, and then taken in theta's dtype.
"""

from __future__ import annotations

import math

from numba import njit

from skgd.compiled.intrinsics import like
from skgd.compiled.numbers import EXACT, sign

ARGUMENTS = "theta grad memory n n n n settings setting n setting setting"


@njit(forceinline=True, **EXACT)
def _own(momentum, setting):
    return setting if math.isnan(momentum) else momentum


@njit(forceinline=True, **EXACT)
def _shares(theta, momentum, settings):
    """beta_1 in float64; then in theta's dtype beta_1 and 1 - beta_1, beta_2 and 1 - beta_2."""
    beta = _own(momentum, settings[0])
    return (
        beta,
        like(theta, beta),
        like(theta, 1.0 - beta),
        like(theta, settings[1]),
        like(theta, 1.0 - settings[1]),
    )


@njit(forceinline=True, **EXACT)
def warmed_up(beta_1, t, decay):
    """NAdam's momentum in step t."""
    return beta_1 * (1.0 - 0.5 * 0.96 ** (t * decay))


def sgd(theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum):
    """``theta -= rate g``."""
    rate_ = like(theta, rate)
    for i in range(start, stop):
        theta[i] -= rate_ * grad[i]


def heavy_ball(
    theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum
):
    """``b = mu b + g; theta -= rate b``."""
    mu, rate_ = like(theta, _own(momentum, settings[0])), like(theta, rate)
    for i in range(start, stop):
        b = mu * memory[i] + grad[i]
        memory[i] = b
        theta[i] -= rate_ * b


def nesterov(
    theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum
):
    """``b = mu b + g; theta -= rate (g + mu b)``."""
    mu, rate_ = like(theta, _own(momentum, settings[0])), like(theta, rate)
    for i in range(start, stop):
        g = grad[i]
        b = mu * memory[i] + g
        memory[i] = b
        theta[i] -= rate_ * (g + mu * b)


def adagrad(
    theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum
):
    """``s += g^2; theta -= rate g / (sqrt(s) + epsilon)``."""
    epsilon, rate_ = like(theta, settings[0]), like(theta, rate)
    for i in range(start, stop):
        g = grad[i]
        s = memory[i] + g * g
        memory[i] = s
        theta[i] -= rate_ * g / (math.sqrt(s) + epsilon)


def adadelta(
    theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum
):
    """``v`` averages g^2, ``u`` d^2; ``d = sqrt((u + eps) / (v + eps)) g; theta -= rate d``."""
    rho, rest = like(theta, settings[0]), like(theta, 1.0 - settings[0])
    epsilon, rate_ = like(theta, settings[1]), like(theta, rate)
    for i in range(start, stop):
        g = grad[i]
        v = rho * memory[i] + rest * (g * g)
        u = memory[size + i]
        d = math.sqrt((u + epsilon) / (v + epsilon)) * g
        memory[i] = v
        memory[size + i] = rho * u + rest * (d * d)
        theta[i] -= rate_ * d


def rmsprop(
    theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum
):
    """``v`` averages g^2, less the square of the mean if centered; ``g / (sqrt(v) + epsilon)``.

    With a momentum the quotient passes through ``b = mu b + quotient``.
    """
    rho, rest = like(theta, settings[0]), like(theta, 1.0 - settings[0])
    epsilon, rate_ = like(theta, settings[1]), like(theta, rate)
    zero = like(theta, 0.0)
    if settings[2] == 0.0 and settings[3] == 0.0:
        for i in range(start, stop):
            g = grad[i]
            v = rho * memory[i] + rest * (g * g)
            memory[i] = v
            theta[i] -= rate_ * g / (math.sqrt(v) + epsilon)
        return
    mu = like(theta, _own(momentum, settings[2])) if settings[2] > 0.0 else zero
    centered = settings[3] != 0.0
    of_b = 2 * size if centered else size
    for i in range(start, stop):
        g = grad[i]
        v = rho * memory[i] + rest * (g * g)
        memory[i] = v
        if centered:
            m = rho * memory[size + i] + rest * g
            memory[size + i] = m
            v = v - m * m
            v = v if v > zero else zero
        quotient = g / (math.sqrt(v) + epsilon)
        if settings[2] > 0.0:
            quotient += mu * memory[of_b + i]
            memory[of_b + i] = quotient
        theta[i] -= rate_ * quotient


@njit(forceinline=True, **EXACT)
def _adam(theta, grad, memory, size, start, stop, settings, t, rate, momentum, shrink, n_decayed):
    """Adam, after the first `n_decayed` entries were multiplied by `shrink`.

    Both corrections of the bias are numbers, so they go to the rate and to epsilon.
    """
    beta, beta_1, rest_1, beta_2, rest_2 = _shares(theta, momentum, settings)
    correction = math.sqrt(1.0 - settings[1] ** t)
    epsilon = like(theta, settings[2] * correction)
    rate_ = like(theta, rate * correction / (1.0 - beta**t))
    if shrink != 1.0:
        for i in range(start, min(stop, n_decayed)):
            theta[i] *= like(theta, shrink)
    for i in range(start, stop):
        g = grad[i]
        m = beta_1 * memory[i] + rest_1 * g
        v = beta_2 * memory[size + i] + rest_2 * (g * g)
        memory[i] = m
        memory[size + i] = v
        theta[i] -= rate_ * m / (math.sqrt(v) + epsilon)


def adam(theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum):
    """``m``, ``v`` average g, g^2; ``theta -= rate m_hat / (sqrt(v_hat) + epsilon)``."""
    _adam(theta, grad, memory, size, start, stop, settings, t, rate, momentum, 1.0, 0)


def adamw(theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum):
    """``theta *= 1 - rate decay`` for weights, then as Adam."""
    shrink = 1.0 - rate * settings[3]
    _adam(theta, grad, memory, size, start, stop, settings, t, rate, momentum, shrink, n_decayed)


def amsgrad(
    theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum
):
    """As Adam, with the largest v so far in place of v."""
    beta, beta_1, rest_1, beta_2, rest_2 = _shares(theta, momentum, settings)
    correction = math.sqrt(1.0 - settings[1] ** t)
    epsilon = like(theta, settings[2] * correction)
    rate_ = like(theta, rate * correction / (1.0 - beta**t))
    for i in range(start, stop):
        g = grad[i]
        m = beta_1 * memory[i] + rest_1 * g
        v = beta_2 * memory[size + i] + rest_2 * (g * g)
        largest = memory[2 * size + i]
        largest = largest if largest > v else v
        memory[i] = m
        memory[size + i] = v
        memory[2 * size + i] = largest
        theta[i] -= rate_ * m / (math.sqrt(largest) + epsilon)


def nadam(theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum):
    """``m_hat = mu' m / (1 - prod mu mu') + (1 - mu) g / (1 - prod mu)``, then as Adam.

    ``mu = beta_1 (1 - .96^(t decay) / 2)``, mu' that of the next step.
    """
    beta, beta_1, rest_1, beta_2, rest_2 = _shares(theta, momentum, settings)
    correction = math.sqrt(1.0 - settings[1] ** t)
    epsilon = like(theta, settings[2] * correction)
    rate_ = like(theta, rate * correction)
    mu, mu_next = warmed_up(beta, t, settings[3]), warmed_up(beta, t + 1, settings[3])
    product *= mu
    of_m = like(theta, mu_next / (1.0 - product * mu_next))
    of_g = like(theta, (1.0 - mu) / (1.0 - product))
    for i in range(start, stop):
        g = grad[i]
        m = beta_1 * memory[i] + rest_1 * g
        v = beta_2 * memory[size + i] + rest_2 * (g * g)
        memory[i] = m
        memory[size + i] = v
        theta[i] -= rate_ * (of_m * m + of_g * g) / (math.sqrt(v) + epsilon)


def radam(theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum):
    """``theta -= rate m_hat``, times ``r sqrt(1 - beta_2^t) / (sqrt(v) + epsilon)`` if rho > 5."""
    beta, beta_1, rest_1, beta_2, rest_2 = _shares(theta, momentum, settings)
    epsilon = like(theta, settings[2])
    power = settings[1] ** t
    rho_inf = 2.0 / (1.0 - settings[1]) - 1.0
    rho = rho_inf - 2.0 * t * power / (1.0 - power)
    rate = rate / (1.0 - beta**t)
    plain = rho <= 5.0
    if not plain:
        rectified = (rho - 4.0) * (rho - 2.0) * rho_inf
        rectified /= (rho_inf - 4.0) * (rho_inf - 2.0) * rho
        rate *= math.sqrt(rectified) * math.sqrt(1.0 - power)
    rate_ = like(theta, rate)
    for i in range(start, stop):
        g = grad[i]
        m = beta_1 * memory[i] + rest_1 * g
        v = beta_2 * memory[size + i] + rest_2 * (g * g)
        memory[i] = m
        memory[size + i] = v
        theta[i] -= rate_ * m if plain else rate_ * m / (math.sqrt(v) + epsilon)


def adamax(theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum):
    """``u = max(beta_2 u, |g| + epsilon); theta -= rate m / ((1 - beta_1^t) u)``."""
    beta = _own(momentum, settings[0])
    beta_1, rest_1 = like(theta, beta), like(theta, 1.0 - beta)
    beta_2, epsilon = like(theta, settings[1]), like(theta, settings[2])
    rate_ = like(theta, rate / (1.0 - beta**t))
    for i in range(start, stop):
        g = grad[i]
        m = beta_1 * memory[i] + rest_1 * g
        new, old = abs(g) + epsilon, beta_2 * memory[size + i]
        u = old if old > new else new
        memory[i] = m
        memory[size + i] = u
        theta[i] -= rate_ * m / u


def lion(theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum):
    """``theta -= rate (sign(beta_1 m + (1 - beta_1) g) + decay theta)``, then m averages g."""
    _, beta_1, rest_1, beta_2, rest_2 = _shares(theta, momentum, settings)
    rate_ = like(theta, rate)
    if settings[2] > 0.0:
        shrink = like(theta, 1.0 - rate * settings[2])
        for i in range(start, min(stop, n_decayed)):
            theta[i] *= shrink
    for i in range(start, stop):
        g, m = grad[i], memory[i]
        theta[i] -= rate_ * like(theta, sign(beta_1 * m + rest_1 * g))
        memory[i] = beta_2 * m + rest_2 * g


def rprop(theta, grad, memory, size, start, stop, n_decayed, settings, product, t, rate, momentum):
    """``eta`` grows by eta_plus while the sign lasts, shrinks and rests where it turns."""
    minus, plus = like(theta, settings[0]), like(theta, settings[1])
    low, high = like(theta, settings[2]), like(theta, settings[3])
    first, zero = like(theta, rate), like(theta, 0.0)
    for i in range(start, stop):
        now = like(theta, sign(grad[i]))
        lasting = memory[size + i] * now
        eta = first if t == 1 else memory[i]
        eta = eta * plus if lasting > 0.0 else (eta * minus if lasting < 0.0 else eta)
        eta = low if eta < low else (high if eta > high else eta)
        now = zero if lasting < 0.0 else now
        memory[i] = eta
        memory[size + i] = now
        theta[i] -= now * eta


_ADAM = ("beta_1", "beta_2", "epsilon")
# The kernel, and the names of its settings in their order.
OPTIMIZER_KERNELS = {
    "sgd": (sgd, ()),
    "momentum": (heavy_ball, ("momentum",)),
    "nesterov": (nesterov, ("momentum",)),
    "adagrad": (adagrad, ("epsilon",)),
    "adadelta": (adadelta, ("rho", "epsilon")),
    "rmsprop": (rmsprop, ("rho", "epsilon", "momentum", "centered")),
    "adam": (adam, _ADAM),
    "amsgrad": (amsgrad, _ADAM),
    "adamw": (adamw, (*_ADAM, "weight_decay")),
    "nadam": (nadam, (*_ADAM, "momentum_decay")),
    "radam": (radam, _ADAM),
    "adamax": (adamax, _ADAM),
    "lion": (lion, ("beta_1", "beta_2", "weight_decay")),
    "rprop": (rprop, ("eta_minus", "eta_plus", "step_min", "step_max")),
}
