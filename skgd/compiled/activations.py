"""Kernels of the activations: ``forward(z, b, a, m, q)`` and ``backward(delta, z, a, n)``.

`forward` adds the intercepts b to each of m rows of q inputs, and writes the activations a; it
writes z back where the derivative needs it. `backward` multiplies delta, of n = m q entries, by
the derivative. Each is as the row of the same name in `skgd.activations`, whose formula the
docstring repeats, with z standing for z + b. A nan passes through.
"""

from __future__ import annotations

import math

from skgd.activations import INVERSE_SQRT_2PI, LEAK, MISH_LARGE, SELU_ALPHA, SELU_SCALE, SQRT_HALF
from skgd.compiled.numbers import exp, expit, expm1, softplus, tanh

FORWARD_ARGUMENTS = "z b a n n"
BACKWARD_ARGUMENTS = "delta z a n"


def identity(z, b, a, m, q):
    """``z``."""
    for i in range(m):
        for j in range(q):
            x = z[i * q + j] + b[j]
            a[i * q + j] = x


def identity_slope(delta, z, a, n):
    """``1``."""


def logistic(z, b, a, m, q):
    """``1 / (1 + exp(-z))``."""
    for i in range(m):
        for j in range(q):
            x = z[i * q + j] + b[j]
            a[i * q + j] = expit(x)


def logistic_slope(delta, z, a, n):
    """``a (1 - a)``."""
    for i in range(n):
        delta[i] *= a[i] * (1.0 - a[i])


def hyperbolic_tangent(z, b, a, m, q):
    """``tanh(z)``."""
    for i in range(m):
        for j in range(q):
            x = z[i * q + j] + b[j]
            a[i * q + j] = tanh(x)


def hyperbolic_tangent_slope(delta, z, a, n):
    """``1 - a^2``."""
    for i in range(n):
        delta[i] *= 1.0 - a[i] * a[i]


def relu(z, b, a, m, q):
    """``max(z, 0)``."""
    for i in range(m):
        for j in range(q):
            x = z[i * q + j] + b[j]
            a[i * q + j] = x if not x <= 0.0 else 0.0


def relu_slope(delta, z, a, n):
    """``a > 0``."""
    for i in range(n):
        delta[i] = delta[i] if a[i] > 0.0 else 0.0


def leaky_relu(z, b, a, m, q):
    """``max(z, LEAK z)``."""
    for i in range(m):
        for j in range(q):
            x = z[i * q + j] + b[j]
            a[i * q + j] = x if not x <= 0.0 else LEAK * x


def leaky_relu_slope(delta, z, a, n):
    """``1`` if a > 0, else ``LEAK``."""
    for i in range(n):
        delta[i] = delta[i] if a[i] > 0.0 else LEAK * delta[i]


def elu(z, b, a, m, q):
    """``z`` if z > 0, else ``exp(z) - 1``."""
    for i in range(m):
        for j in range(q):
            x = z[i * q + j] + b[j]
            a[i * q + j] = x if x > 0.0 else expm1(x)


def elu_slope(delta, z, a, n):
    """``1`` if a > 0, else ``a + 1``."""
    for i in range(n):
        delta[i] = delta[i] if a[i] > 0.0 else delta[i] * (a[i] + 1.0)


def selu(z, b, a, m, q):
    """``SCALE z`` if z > 0, else ``SCALE ALPHA (exp(z) - 1)``."""
    for i in range(m):
        for j in range(q):
            x = z[i * q + j] + b[j]
            a[i * q + j] = SELU_SCALE * (x if x > 0.0 else SELU_ALPHA * expm1(x))


def selu_slope(delta, z, a, n):
    """``SCALE`` if a > 0, else ``a + SCALE ALPHA``."""
    for i in range(n):
        delta[i] *= SELU_SCALE if a[i] > 0.0 else a[i] + SELU_SCALE * SELU_ALPHA


def gelu(z, b, a, m, q):
    """``z Phi(z)``, with ``Phi(z) = (1 + erf(z / sqrt(2))) / 2``."""
    for i in range(m):
        for j in range(q):
            x = z[i * q + j] + b[j]
            z[i * q + j] = x
            a[i * q + j] = 0.5 * x * (1.0 + math.erf(SQRT_HALF * x))


def gelu_slope(delta, z, a, n):
    """``Phi(z) + z phi(z)``, where Phi is ``a / z``, and 1/2 at z = 0."""
    for i in range(n):
        below = a[i] / z[i] if z[i] != 0.0 else 0.5
        delta[i] *= below + z[i] * INVERSE_SQRT_2PI * exp(-0.5 * z[i] * z[i])


def silu(z, b, a, m, q):
    """``z / (1 + exp(-z))``."""
    for i in range(m):
        for j in range(q):
            x = z[i * q + j] + b[j]
            z[i * q + j] = x
            a[i * q + j] = x * expit(x)


def silu_slope(delta, z, a, n):
    """With ``s = expit(z)``: ``s + a (1 - s)``."""
    for i in range(n):
        s = expit(z[i])
        delta[i] *= s + a[i] * (1.0 - s)


def soft_plus(z, b, a, m, q):
    """``log(1 + exp(z))``."""
    for i in range(m):
        for j in range(q):
            x = z[i * q + j] + b[j]
            a[i * q + j] = softplus(x)


def soft_plus_slope(delta, z, a, n):
    """``expit(z) = 1 - exp(-a)``."""
    for i in range(n):
        delta[i] *= -expm1(-a[i])


def mish(z, b, a, m, q):
    """``z tanh(softplus(z))``; with ``e = exp(z)`` and ``c = e (e + 2)``: ``z c / (c + 2)``."""
    for i in range(m):
        for j in range(q):
            x = z[i * q + j] + b[j]
            z[i * q + j] = x
            e = exp(x if not x > MISH_LARGE else MISH_LARGE)
            c = e * (e + 2.0)
            a[i * q + j] = x * (c / (c + 2.0))


def mish_slope(delta, z, a, n):
    """``t + z (1 - t^2) expit(z)``, with ``1 - t^2 = 4 (1 + e)^2 / (c + 2)^2``."""
    for i in range(n):
        e = exp(z[i] if not z[i] > MISH_LARGE else MISH_LARGE)
        c = e * (e + 2.0)
        delta[i] *= (4.0 * e * (e + 1.0) / (c + 2.0) * z[i] + c) / (c + 2.0)


ACTIVATION_KERNELS = {
    "identity": (identity, identity_slope),
    "logistic": (logistic, logistic_slope),
    "tanh": (hyperbolic_tangent, hyperbolic_tangent_slope),
    "relu": (relu, relu_slope),
    "leaky_relu": (leaky_relu, leaky_relu_slope),
    "elu": (elu, elu_slope),
    "selu": (selu, selu_slope),
    "gelu": (gelu, gelu_slope),
    "silu": (silu, silu_slope),
    "softplus": (soft_plus, soft_plus_slope),
    "mish": (mish, mish_slope),
}
