"""Kernels of the losses, on flat arrays of n = rows * K entries.

``kernel(y, raw, values, slopes, n, K, setting)`` writes the derivatives by the raw outputs into
`slopes`, and into `values` terms whose sum over a row is the loss of that row: as the row of the
same name in `skgd.losses`, whose formula the docstring repeats. `setting` is its parameter.
"""

from __future__ import annotations

import math

from skgd.compiled.intrinsics import like
from skgd.compiled.numbers import exp, expm1, log, log1p, sign, softplus, tanh
from skgd.losses.base import LOG_2

ARGUMENTS = "y raw values slopes n n setting"


def squared_error(y, raw, values, slopes, n, K, setting):
    """``1/2 r^2``, r = raw - y."""
    for i in range(n):
        r = raw[i] - y[i]
        values[i] = 0.5 * r * r
        slopes[i] = r


def absolute_error(y, raw, values, slopes, n, K, setting):
    """``|r|``."""
    for i in range(n):
        r = raw[i] - y[i]
        values[i] = abs(r)
        slopes[i] = sign(r)


def huber(y, raw, values, slopes, n, K, delta):
    """``c (r - c/2)``, with c the residual clipped to [-delta, delta]."""
    for i in range(n):
        r = raw[i] - y[i]
        c = delta if r > delta else (-delta if r < -delta else r)
        values[i] = c * (r - 0.5 * c)
        slopes[i] = c


def epsilon_insensitive(y, raw, values, slopes, n, K, epsilon):
    """``max(|r| - epsilon, 0)``."""
    for i in range(n):
        r = raw[i] - y[i]
        inside = abs(r) <= epsilon
        values[i] = 0.0 if inside else abs(r) - epsilon
        slopes[i] = 0.0 if inside else sign(r)


def squared_epsilon_insensitive(y, raw, values, slopes, n, K, epsilon):
    """``max(|r| - epsilon, 0)^2``."""
    for i in range(n):
        r = raw[i] - y[i]
        c = epsilon if r > epsilon else (-epsilon if r < -epsilon else r)
        values[i] = (r - c) * (r - c)
        slopes[i] = 2.0 * (r - c)


def quantile(y, raw, values, slopes, n, K, q):
    """``(q - 1/2) (y - raw) + 1/2 |y - raw|``."""
    for i in range(n):
        r = raw[i] - y[i]
        values[i] = 0.5 * abs(r) - (q - 0.5) * r
        slopes[i] = 0.5 * sign(r) - (q - 0.5)


def log_cosh(y, raw, values, slopes, n, K, setting):
    """``log(cosh(r))``: ``log1p(cosh(r) - 1)`` near zero, ``|r| + log((1 + e^-2|r|)/2)`` far."""
    for i in range(n):
        r = raw[i] - y[i]
        a = abs(r)
        near = r if a < 1.0 else 0.0
        close = log1p(-0.5 * expm1(near) * expm1(-near))
        far = a + log1p(exp(-2.0 * a)) - LOG_2
        values[i] = close if a < 1.0 else far
        slopes[i] = tanh(r)


def poisson(y, raw, values, slopes, n, K, setting):
    """``y (log y - raw) + exp(raw) - y``."""
    for i in range(n):
        mean = exp(raw[i])
        log_y = log(float(y[i]) if y[i] > 0.0 else 1.0)
        values[i] = y[i] * (log_y - raw[i]) + (mean - y[i])
        slopes[i] = mean - y[i]


def gamma(y, raw, values, slopes, n, K, setting):
    """``t + expm1(-t)``, t = raw - log y."""
    for i in range(n):
        t = raw[i] - log(float(y[i]))
        excess = expm1(-t)
        values[i] = t + excess
        slopes[i] = -excess


def log_loss(y, raw, values, slopes, n, K, smoothing):
    """``softplus(raw) - t raw``, or ``logsumexp(raw) - t . raw`` for K > 1, t the smoothed y."""
    keep, spread = like(y, 1.0 - smoothing), like(y, smoothing / max(K, 2))
    if K == 1:
        for i in range(n):
            t = keep * y[i] + spread
            positive = raw[i] >= 0.0
            e = exp(-abs(raw[i]))
            values[i] = log1p(e) + ((1.0 if positive else 0.0) - t) * raw[i]
            # expit(raw) - y over the common denominator: a tiny 1 - expit is not rounded away.
            above, below = (1.0 - t) - t * e, (1.0 - t) * e - t
            slopes[i] = (above if positive else below) / (1.0 + e)
        return
    for start in range(0, n, K):
        highest = raw[start]
        for i in range(start + 1, start + K):
            highest = raw[i] if raw[i] > highest else highest
        for i in range(start, start + K):
            values[i] = raw[i] - highest
    for i in range(n):  # over all rows at once: one long loop, which can be vectorised
        slopes[i] = exp(values[i])
    for start in range(0, n, K):
        total, hit = 0.0, 0.0
        for i in range(start, start + K):
            total += slopes[i]
            hit += (keep * y[i] + spread) * values[i]
            values[i] = 0.0
        values[start] = math.log(total) - hit
        for i in range(start, start + K):
            slopes[i] = slopes[i] / total - (keep * y[i] + spread)


def hinge(y, raw, values, slopes, n, K, setting):
    """``max(1 - m, 0)``, the margin m being raw or -raw; active at the tie."""
    for i in range(n):
        away = 1.0 - 2.0 * y[i]
        lack = 1.0 + away * raw[i]
        values[i] = 0.0 if lack < 0.0 else lack
        slopes[i] = 0.0 if lack < 0.0 else away


def squared_hinge(y, raw, values, slopes, n, K, setting):
    """``max(1 - m, 0)^2``."""
    for i in range(n):
        away = 1.0 - 2.0 * y[i]
        lack = 1.0 + away * raw[i]
        lack = 0.0 if lack < 0.0 else lack
        values[i] = lack * lack
        slopes[i] = 2.0 * away * lack


def modified_huber(y, raw, values, slopes, n, K, setting):
    """``c (2 lack - c)``, with lack = max(1 - m, 0) and c = min(lack, 2)."""
    for i in range(n):
        away = 1.0 - 2.0 * y[i]
        lack = 1.0 + away * raw[i]
        lack = 0.0 if lack < 0.0 else lack
        c = 2.0 if lack > 2.0 else lack
        values[i] = c * (2.0 * lack - c)
        slopes[i] = 2.0 * away * c


def perceptron(y, raw, values, slopes, n, K, setting):
    """``max(-m, 0)``; active at the tie."""
    for i in range(n):
        away = 1.0 - 2.0 * y[i]
        lack = away * raw[i]
        values[i] = 0.0 if lack < 0.0 else lack
        slopes[i] = 0.0 if lack < 0.0 else away


def focal(y, raw, values, slopes, n, K, strength):
    """``(1 - p)^gamma softplus(-m)`` of the margin m of the true class, p = expit(m).

    With K > 1 the margin is the raw output less the logsumexp of all the others.
    """
    for start in range(0, n, K):
        hit, highest = 0.0, -math.inf
        for i in range(start, start + K):
            hit += y[i] * raw[i]
            if K > 1 and y[i] <= 0.5 and raw[i] > highest:
                highest = raw[i]
        if K == 1:
            m = (2.0 * y[start] - 1.0) * raw[start]
        else:
            total = 0.0
            for i in range(start, start + K):
                slopes[i] = exp(raw[i] - highest) if y[i] <= 0.5 else 0.0
                total += slopes[i]
            m = (hit - highest) - math.log(total)
        cost = softplus(-m)
        fade = exp(-strength * softplus(m))
        e = exp(-abs(m))
        p = (1.0 if m >= 0.0 else e) / (1.0 + e)
        miss = (e if m >= 0.0 else 1.0) / (1.0 + e)
        slope = -fade * (strength * p * cost + miss)
        for i in range(start, start + K):
            values[i] = 0.0
            if K == 1:
                slopes[i] = slope * (2.0 * y[i] - 1.0)
            else:
                slopes[i] = slope * (y[i] - slopes[i] / total)
        values[start] = fade * cost


LOSS_KERNELS = {
    "squared_error": (squared_error, ()),
    "absolute_error": (absolute_error, ()),
    "huber": (huber, ("delta",)),
    "epsilon_insensitive": (epsilon_insensitive, ("epsilon",)),
    "squared_epsilon_insensitive": (squared_epsilon_insensitive, ("epsilon",)),
    "quantile": (quantile, ("quantile",)),
    "log_cosh": (log_cosh, ()),
    "poisson": (poisson, ()),
    "gamma": (gamma, ()),
    "log_loss": (log_loss, ("label_smoothing",)),
    "hinge": (hinge, ()),
    "squared_hinge": (squared_hinge, ()),
    "modified_huber": (modified_huber, ()),
    "perceptron": (perceptron, ()),
    "focal": (focal, ("gamma",)),
}
