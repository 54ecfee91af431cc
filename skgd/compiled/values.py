"""Kernels of the losses' values alone, rows along memory: what measured gradients evaluate.

``kernel(y, raw, terms, K, m, setting)`` writes into `terms` numbers whose sum over the K outputs
is the loss of each of m rows. All arrays are (K, m), flat: what is done row by row can be
vectorised. `raw` may be overwritten. No derivative is computed here; the formulas are those of the
rows of the same names in `skgd.losses`, and settings are as in `LOSS_KERNELS`.
"""

from __future__ import annotations

from skgd.compiled.numbers import exp, expm1, log, log1p, softplus
from skgd.losses import LOG_2

ARGUMENTS = "y raw terms n n setting"


def squared_error(y, raw, terms, K, m, setting):
    """``1/2 r^2``, r = raw - y."""
    for i in range(K * m):
        r = raw[i] - y[i]
        terms[i] = 0.5 * (r * r)


def absolute_error(y, raw, terms, K, m, setting):
    """``|r|``."""
    for i in range(K * m):
        terms[i] = abs(raw[i] - y[i])


def huber(y, raw, terms, K, m, delta):
    """``c (r - c/2)``, with c the residual clipped to [-delta, delta]."""
    for i in range(K * m):
        r = raw[i] - y[i]
        c = delta if r > delta else (-delta if r < -delta else r)
        terms[i] = c * (r - 0.5 * c)


def epsilon_insensitive(y, raw, terms, K, m, epsilon):
    """``max(|r| - epsilon, 0)``."""
    for i in range(K * m):
        beyond = abs(raw[i] - y[i]) - epsilon
        terms[i] = 0.0 if beyond <= 0.0 else beyond


def squared_epsilon_insensitive(y, raw, terms, K, m, epsilon):
    """``max(|r| - epsilon, 0)^2``."""
    for i in range(K * m):
        beyond = abs(raw[i] - y[i]) - epsilon
        beyond = 0.0 if beyond <= 0.0 else beyond
        terms[i] = beyond * beyond


def quantile(y, raw, terms, K, m, q):
    """``(q - 1/2) (y - raw) + 1/2 |y - raw|``."""
    for i in range(K * m):
        r = y[i] - raw[i]
        terms[i] = (q - 0.5) * r + 0.5 * abs(r)


def log_cosh(y, raw, terms, K, m, setting):
    """``log1p(cosh(r) - 1)`` near zero, ``|r| + log((1 + e^-2|r|)/2)`` far away."""
    for i in range(K * m):
        r = raw[i] - y[i]
        a = abs(r)
        near = r if a < 1.0 else 0.0
        close = log1p(-0.5 * expm1(near) * expm1(-near))
        far = a + log1p(exp(-2.0 * a)) - LOG_2
        terms[i] = close if a < 1.0 else far


def poisson(y, raw, terms, K, m, setting):
    """``y (log y - raw) + exp(raw) - y``."""
    for i in range(K * m):
        log_y = log(y[i] if y[i] > 0.0 else 1.0)
        terms[i] = y[i] * (log_y - raw[i]) + (exp(raw[i]) - y[i])


def gamma(y, raw, terms, K, m, setting):
    """``t + expm1(-t)``, t = raw - log y."""
    for i in range(K * m):
        t = raw[i] - log(y[i])
        terms[i] = t + expm1(-t)


def log_loss(y, raw, terms, K, m, setting):
    """``softplus(z) - t z`` for two classes; ``log(sum(exp(s))) - y . s``, s = raw - max(raw)."""
    if K == 1:
        for i in range(m):
            right = y[i] > 0.5
            z = -raw[i] if right else raw[i]  # towards the wrong class: nothing cancels
            terms[i] = softplus(z) - (1.0 - y[i] if right else y[i]) * z
        return
    for i in range(m):
        terms[i] = raw[i]
    for k in range(1, K):
        for i in range(m):
            terms[i] = raw[k * m + i] if raw[k * m + i] > terms[i] else terms[i]
    for k in range(K):
        for i in range(m):
            raw[k * m + i] -= terms[i]
    for i in range(2 * m):
        terms[i] = 0.0
    for k in range(K):
        for i in range(m):
            terms[i] += exp(raw[k * m + i])
            terms[m + i] += y[k * m + i] * raw[k * m + i]
    for i in range(m):
        terms[i] = log(terms[i]) - terms[m + i]
    for i in range(m, K * m):
        terms[i] = 0.0


def hinge(y, raw, terms, K, m, setting):
    """``max(1 - m, 0)``, the margin m being raw or -raw."""
    for i in range(K * m):
        lack = 1.0 + (1.0 - 2.0 * y[i]) * raw[i]
        terms[i] = 0.0 if lack < 0.0 else lack


def squared_hinge(y, raw, terms, K, m, setting):
    """``max(1 - m, 0)^2``."""
    for i in range(K * m):
        lack = 1.0 + (1.0 - 2.0 * y[i]) * raw[i]
        lack = 0.0 if lack < 0.0 else lack
        terms[i] = lack * lack


def modified_huber(y, raw, terms, K, m, setting):
    """``c (2 lack - c)``, with lack = max(1 - m, 0) and c = min(lack, 2)."""
    for i in range(K * m):
        lack = 1.0 + (1.0 - 2.0 * y[i]) * raw[i]
        lack = 0.0 if lack < 0.0 else lack
        c = 2.0 if lack > 2.0 else lack
        terms[i] = c * (2.0 * lack - c)


def perceptron(y, raw, terms, K, m, setting):
    """``max(-m, 0)``."""
    for i in range(K * m):
        lack = (1.0 - 2.0 * y[i]) * raw[i]
        terms[i] = 0.0 if lack < 0.0 else lack


def focal(y, raw, terms, K, m, strength):
    """``(1 - p)^gamma softplus(-m)`` of the margin m of the true class, p = expit(m).

    With K > 1 the margin is the raw output less the logsumexp of all the others.
    """
    if K == 1:
        for i in range(m):
            raw[i] *= 2.0 * y[i] - 1.0
    else:
        for i in range(m):
            terms[i], terms[m + i] = -1.7e308, 0.0
        for k in range(K):
            for i in range(m):
                x, other = raw[k * m + i], y[k * m + i] <= 0.5
                terms[i] = x if other and x > terms[i] else terms[i]
                terms[m + i] += y[k * m + i] * x
        for k in range(K):
            for i in range(m):
                e = exp(raw[k * m + i] - terms[i])
                raw[k * m + i] = e if y[k * m + i] <= 0.5 else 0.0
        for k in range(1, K):
            for i in range(m):
                raw[i] += raw[k * m + i]
        for i in range(m):
            raw[i] = (terms[m + i] - terms[i]) - log(raw[i])
    for i in range(m):
        terms[i] = exp(-strength * softplus(raw[i])) * softplus(-raw[i])
    for i in range(m, K * m):
        terms[i] = 0.0


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
