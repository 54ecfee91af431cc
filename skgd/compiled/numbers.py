"""Elementary functions that a loop over an array can be vectorised with.

A compiled loop calls the C library for each ``exp``, one number at a time, six times slower than
NumPy. These are the textbook forms (range reduction, polynomial, scaling by bits), without
branches, to about one unit in the last place. They compute in float64, also for float32 arrays.

Sums here must not be reordered: hence `EXACT`, which only lets products and sums be fused.
"""

from __future__ import annotations

import math

from numba import njit

from skgd.compiled.intrinsics import bits_of_float, float_of_bits

EXACT = {"error_model": "numpy", "fastmath": {"contract"}, "_nrt": False}
# For loops whose sums may be taken in any order, which lets them be vectorised.
SUMS = {"error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}, "_nrt": False}

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01  # ends in zeros: its product with an integer is exact
_LN2_LOW = 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 2^52: adding it rounds to an integer
_HALF = 1022 << 52  # the bits of 0.5
_MANTISSA = (1 << 52) - 1


@njit(forceinline=True, **EXACT)
def _reduced(x):
    """Return ``2^(k-1)`` and ``exp(r) - 1``, where x = k log 2 + r and abs(r) <= log(2) / 2."""
    x = -707.0 if x < -707.0 else x
    x = 709.8 if x > 709.8 else x  # where the result overflows
    shifted = x * _LOG2_E + _ROUND
    k = shifted - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    # Taylor: the first term left out is 1e-17 of the sum.
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    # The last bits of `shifted` are k; in the place of the exponent they scale by 2^k.
    return float_of_bits(_HALF + (bits_of_float(shifted) << 52)), p * r * r + r


@njit(forceinline=True, **EXACT)
def exp(x):
    """``np.exp(x)``, with 0 for what is below 1e-307."""
    half, q = _reduced(x)
    return 2.0 * (half + half * q) if not x < -707.0 else 0.0


@njit(forceinline=True, **EXACT)
def expm1(x):
    """``np.expm1(x)``."""
    half, q = _reduced(x)
    return 2.0 * (half * q + (half - 0.5))


@njit(forceinline=True, **EXACT)
def log(x):
    """``np.log(x)`` for a normal x > 0: x = 2^k (1 + f), log(1 + f) = 2 atanh(f / (2 + f)).

    The polynomial is that of FreeBSD's e_log.c (Sun Microsystems 1993).
    """
    bits = bits_of_float(x) - 0x3FE6A09E00000000  # so that 1 + f is in [sqrt(1/2), sqrt(2))
    k = float(bits >> 52)
    f = float_of_bits((bits & _MANTISSA) + 0x3FE6A09E00000000) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 1.479819860511658591e-01
    p = p * z + 1.531383769920937332e-01
    p = p * z + 1.818357216161805012e-01
    p = p * z + 2.222219843214978396e-01
    p = p * z + 2.857142874366239149e-01
    p = p * z + 3.999999999940941908e-01
    p = p * z + 6.666666666666735130e-01
    square = 0.5 * f * f
    return k * _LN2_HIGH - ((square - (s * (square + z * p) + k * _LN2_LOW)) - f)


@njit(forceinline=True, **EXACT)
def log1p(x):
    """``np.log1p(x)`` for x > -1; what ``1 + x`` rounds away comes back to first order."""
    w = 1.0 + x
    return log(w) + (x - (w - 1.0)) / w


@njit(forceinline=True, **EXACT)
def tanh(x):
    """``np.tanh(x)``, by ``t = expm1(-2 |x|)``: ``-t / (t + 2)``."""
    t = expm1(-2.0 * abs(x))
    return math.copysign(t / (t + 2.0), x)


@njit(forceinline=True, **EXACT)
def expit(x):
    """``1 / (1 + exp(-x))``."""
    return 1.0 / (1.0 + exp(-x))


@njit(forceinline=True, **EXACT)
def softplus(x):
    """``log(1 + exp(x))``, as ``max(x, 0) + log1p(exp(-|x|))``."""
    return (x if not x < 0.0 else 0.0) + log1p(exp(-abs(x)))


@njit(forceinline=True, **EXACT)
def sign(x):
    """``np.sign(x)``."""
    return 1.0 if x > 0.0 else (-1.0 if x < 0.0 else x)
