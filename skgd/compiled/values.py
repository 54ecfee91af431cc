"""Kernels of the losses' values alone, rows along memory: what measured gradients evaluate.

``kernel(y, raw, values, K, m, setting)`` adds the losses of m rows, summed over K outputs, to the
zeros in `values`. `y` and `raw` are (K, m), flat: what is done row by row can be vectorised. `raw`
may be overwritten, and so may m numbers after `values`. No derivative is computed here; the
formulas are those of the rows of the same names in `skgd.losses`, and settings are as in
`LOSS_KERNELS`.
"""

from __future__ import annotations

from skgd.compiled.numbers import exp, expm1, log, log1p, softplus
from skgd.losses.base import LOG_2

ARGUMENTS = "y raw values n n setting"


def squared_error(y, raw, values, K, m, setting):
    """``1/2 r^2``, r = raw - y."""
    for k in range(K):
        for i in range(m):
            r = raw[k * m + i] - y[k * m + i]
            values[i] += 0.5 * (r * r)


def absolute_error(y, raw, values, K, m, setting):
    """``|r|``."""
    for k in range(K):
        for i in range(m):
            values[i] += abs(raw[k * m + i] - y[k * m + i])


def huber(y, raw, values, K, m, delta):
    """``c (r - c/2)``, with c the residual clipped to [-delta, delta]."""
    for k in range(K):
        for i in range(m):
            r = raw[k * m + i] - y[k * m + i]
            c = delta if r > delta else (-delta if r < -delta else r)
            values[i] += c * (r - 0.5 * c)


def epsilon_insensitive(y, raw, values, K, m, epsilon):
    """``max(|r| - epsilon, 0)``."""
    for k in range(K):
        for i in range(m):
            beyond = abs(raw[k * m + i] - y[k * m + i]) - epsilon
            values[i] += 0.0 if beyond <= 0.0 else beyond


def squared_epsilon_insensitive(y, raw, values, K, m, epsilon):
    """``max(|r| - epsilon, 0)^2``."""
    for k in range(K):
        for i in range(m):
            beyond = abs(raw[k * m + i] - y[k * m + i]) - epsilon
            beyond = 0.0 if beyond <= 0.0 else beyond
            values[i] += beyond * beyond


def quantile(y, raw, values, K, m, q):
    """``(q - 1/2) (y - raw) + 1/2 |y - raw|``."""
    for k in range(K):
        for i in range(m):
            r = y[k * m + i] - raw[k * m + i]
            values[i] += (q - 0.5) * r + 0.5 * abs(r)


def log_cosh(y, raw, values, K, m, setting):
    """``log1p(cosh(r) - 1)`` near zero, ``|r| + log((1 + e^-2|r|)/2)`` far away."""
    for k in range(K):
        for i in range(m):
            r = raw[k * m + i] - y[k * m + i]
            a = abs(r)
            near = r if a < 1.0 else 0.0
            close = log1p(-0.5 * expm1(near) * expm1(-near))
            far = a + log1p(exp(-2.0 * a)) - LOG_2
            values[i] += close if a < 1.0 else far


def poisson(y, raw, values, K, m, setting):
    """``y (log y - raw) + exp(raw) - y``."""
    for k in range(K):
        for i in range(m):
            log_y = log(y[k * m + i] if y[k * m + i] > 0.0 else 1.0)
            values[i] += y[k * m + i] * (log_y - raw[k * m + i]) + (
                exp(raw[k * m + i]) - y[k * m + i]
            )


def gamma(y, raw, values, K, m, setting):
    """``t + expm1(-t)``, t = raw - log y."""
    for k in range(K):
        for i in range(m):
            t = raw[k * m + i] - log(y[k * m + i])
            values[i] += t + expm1(-t)


def log_loss(y, raw, values, K, m, setting):
    """``softplus(z) - t z`` for two classes; ``log(sum(exp(s))) - y . s``, s = raw - max(raw)."""
    if K == 1:
        for i in range(m):
            right = y[i] > 0.5
            z = -raw[i] if right else raw[i]  # towards the wrong class: nothing cancels
            values[i] += softplus(z) - (1.0 - y[i] if right else y[i]) * z
        return
    for i in range(m):
        values[i] = raw[i]
    for k in range(1, K):
        for i in range(m):
            values[i] = raw[k * m + i] if raw[k * m + i] > values[i] else values[i]
    total = m  # a row after the values; y . s goes where the first raw output was
    for i in range(m):
        s = raw[i] - values[i]
        values[total + i] = exp(s)
        raw[i] = y[i] * s
    for k in range(1, K):
        for i in range(m):
            s = raw[k * m + i] - values[i]
            values[total + i] += exp(s)
            raw[i] += y[k * m + i] * s
    for i in range(m):
        values[i] = log(values[total + i]) - raw[i]


def hinge(y, raw, values, K, m, setting):
    """``max(1 - m, 0)``, the margin m being raw or -raw."""
    for k in range(K):
        for i in range(m):
            lack = 1.0 + (1.0 - 2.0 * y[k * m + i]) * raw[k * m + i]
            values[i] += 0.0 if lack < 0.0 else lack


def squared_hinge(y, raw, values, K, m, setting):
    """``max(1 - m, 0)^2``."""
    for k in range(K):
        for i in range(m):
            lack = 1.0 + (1.0 - 2.0 * y[k * m + i]) * raw[k * m + i]
            lack = 0.0 if lack < 0.0 else lack
            values[i] += lack * lack


def modified_huber(y, raw, values, K, m, setting):
    """``c (2 lack - c)``, with lack = max(1 - m, 0) and c = min(lack, 2)."""
    for k in range(K):
        for i in range(m):
            lack = 1.0 + (1.0 - 2.0 * y[k * m + i]) * raw[k * m + i]
            lack = 0.0 if lack < 0.0 else lack
            c = 2.0 if lack > 2.0 else lack
            values[i] += c * (2.0 * lack - c)


def perceptron(y, raw, values, K, m, setting):
    """``max(-m, 0)``."""
    for k in range(K):
        for i in range(m):
            lack = (1.0 - 2.0 * y[k * m + i]) * raw[k * m + i]
            values[i] += 0.0 if lack < 0.0 else lack


def focal(y, raw, values, K, m, strength):
    """``(1 - p)^gamma softplus(-m)`` of the margin m of the true class, p = expit(m).

    With K > 1 the margin is the raw output less the logsumexp of all the others.
    """
    if K == 1:
        for i in range(m):
            raw[i] *= 2.0 * y[i] - 1.0
    else:
        for i in range(m):
            values[i], values[m + i] = -1.7e308, 0.0
        for k in range(K):
            for i in range(m):
                x, other = raw[k * m + i], y[k * m + i] <= 0.5
                values[i] = x if other and x > values[i] else values[i]
                values[m + i] += y[k * m + i] * x
        for k in range(K):
            for i in range(m):
                e = exp(raw[k * m + i] - values[i])
                raw[k * m + i] = e if y[k * m + i] <= 0.5 else 0.0
        for k in range(1, K):
            for i in range(m):
                raw[i] += raw[k * m + i]
        for i in range(m):
            raw[i] = (values[m + i] - values[i]) - log(raw[i])
    for i in range(m):
        values[i] = exp(-strength * softplus(raw[i])) * softplus(-raw[i])


VALUE_KERNELS = {
    "squared_error": squared_error,
    "absolute_error": absolute_error,
    "huber": huber,
    "epsilon_insensitive": epsilon_insensitive,
    "squared_epsilon_insensitive": squared_epsilon_insensitive,
    "quantile": quantile,
    "log_cosh": log_cosh,
    "poisson": poisson,
    "gamma": gamma,
    "log_loss": log_loss,
    "hinge": hinge,
    "squared_hinge": squared_hinge,
    "modified_huber": modified_huber,
    "perceptron": perceptron,
    "focal": focal,
}
