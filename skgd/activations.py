"""Activations: what a hidden unit makes of its input, and the derivative by hand.

Each is written twice. Calling it is plain NumPy: run on traced arrays it becomes part of a
computation graph, whose derivative back-propagation finds. `Activation.forward` and
`Activation.backward` are the fast pair for a network whose derivative is written by hand:
they work in buffers that exist already.

Selections are written as products with a mask, ``z * (z > 0)``: ``np.where`` over a random
mask costs ten times as much, and the product lets nan through, so that divergence is seen.
"""

# ruff: noqa: D102 - the methods are documented once, in the base class
from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from scipy import special as scipy_special

from skgd import autodiff
from skgd._component import Component, resolve
from skgd.special import erf, expit, softplus

SQRT_HALF = 0.7071067811865476  # 1 / sqrt(2)
INVERSE_SQRT_2PI = 0.3989422804014327
LEAK = 0.01
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
# Beyond it mish(z) rounds to z, and here exp(2 z) does not yet overflow in float32.
MISH_LARGE = 40.0


class Activation(Component):
    """Base of all activations.

    Attributes
    ----------
    holomorphic : bool
        Whether it takes complex z and carries the derivative in the imaginary part, as a
        complex step needs.
    needs_input : bool
        Whether `backward` reads z. If not, `forward` may write over it (``out is z``).
    init : {"glorot", "he", "lecun"}
        Scale of the initial weights that keeps the variance from layer to layer.
    """

    holomorphic: ClassVar[bool] = True
    needs_input: ClassVar[bool] = False
    init: ClassVar[str] = "glorot"

    @property
    def has_derivative(self) -> bool:
        """Whether the class has a derivative written by hand."""
        return type(self).backward is not Activation.backward

    def __call__(self, z: Any) -> Any:
        """Activation of z, in plain NumPy so that z may be traced.

        Parameters
        ----------
        z : array
            Input of the units, of any shape.

        Returns
        -------
        a : array of the shape of z
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(z).")

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        """Write the activation of `z` into `out`; equal to a call up to rounding.

        Parameters
        ----------
        z : ndarray
            Not changed, unless it is `out`.
        out : ndarray of the shape of z
            May be `z` itself unless `needs_input`.
        """
        out[...] = self(z)

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        """Multiply `delta` by the derivative at z, in place.

        Parameters
        ----------
        delta : ndarray
            Derivative of the objective by the activations; by the inputs z afterwards.
        z, a : ndarray of the shape of delta
            Inputs of the units, and the activations of them.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no derivative written by hand, which gradient='analytic' "
            "needs. Use gradient='backprop' or gradient='numeric', or give the class a method "
            "backward(delta, z, a)."
        )


class Identity(Activation):
    """``z``: the layers on both sides become one linear map.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import Identity
    >>> Identity()(np.array([-1.0, 2.0]))
    array([-1.,  2.])
    """

    def __call__(self, z: Any) -> Any:
        return z

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        if out is not z:
            np.copyto(out, z)

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        pass


class Logistic(Activation):
    """``1 / (1 + exp(-z))``, the unit of the first networks that learned by back-propagation.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating
    errors", *Nature* 323, 1986, eq. 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import Logistic
    >>> Logistic()(np.array([-10000.0, 0.0, 1.0])).round(4)
    array([0.    , 0.5   , 0.7311])
    """

    def __call__(self, z: Any) -> Any:
        return expit(z)

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        _logistic(z, out)

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        slope = 1.0 - a
        slope *= a
        delta *= slope


class Tanh(Activation):
    """``tanh(z)``: a logistic unit scaled to (-1, 1), centred at zero.

    References
    ----------
    Y. LeCun, L. Bottou, G. Orr, K.-R. Mueller, "Efficient backprop", 1998, section 4.4.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import Tanh
    >>> Tanh()(np.array([-10000.0, 0.0, 1.0])).round(4)
    array([-1.    ,  0.    ,  0.7616])
    """

    def __call__(self, z: Any) -> Any:
        return np.tanh(z)

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        np.tanh(z, out=out)

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        slope = a * a
        np.subtract(1.0, slope, out=slope)
        delta *= slope


class ReLU(Activation):
    """``max(z, 0)``, with derivative 0 at z = 0.

    References
    ----------
    X. Glorot, A. Bordes, Y. Bengio, "Deep sparse rectifier neural networks", AISTATS 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import ReLU
    >>> ReLU()(np.array([0.0, 1.0, 2.0]))
    array([0., 1., 2.])
    """

    holomorphic = False
    init = "he"

    def __call__(self, z: Any) -> Any:
        # np.maximum would halve the derivative at the tie. A mask of floats multiplies faster.
        return z * (z > 0.0).astype(z.dtype)

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        np.maximum(z, 0.0, out=out)

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        np.multiply(delta, a > 0.0, out=delta)


class LeakyReLU(Activation):
    """``z`` if z > 0, else ``z / 100``: a rectifier that never quite dies.

    References
    ----------
    A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities improve neural network
    acoustic models", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import LeakyReLU
    >>> LeakyReLU()(np.array([-1.0, 2.0]))
    array([-0.01,  2.  ])
    """

    holomorphic = False
    init = "he"

    def __call__(self, z: Any) -> Any:
        return z * (z > 0.0) + LEAK * (z * (z <= 0.0))

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        np.maximum(z, LEAK * z, out=out)

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        leak = LEAK * (delta * (a <= 0.0))
        np.multiply(delta, a > 0.0, out=delta)
        delta += leak


class ELU(Activation):
    """``z`` if z > 0, else ``exp(z) - 1``.

    References
    ----------
    D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by
    exponential linear units", ICLR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import ELU
    >>> ELU()(np.array([-10000.0, 0.0, 2.0]))
    array([-1.,  0.,  2.])
    """

    holomorphic = False
    init = "he"

    def __call__(self, z: Any) -> Any:
        # The mask inside keeps exp away from large z, where only z itself is wanted.
        return z * (z > 0.0) + np.expm1(z * (z <= 0.0))

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        below = np.minimum(z, 0.0)
        np.expm1(below, out=below)
        np.maximum(z, 0.0, out=out)
        out += below

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        slope = np.minimum(a, 0.0)  # exp(z) = a + 1 below zero, and 1 above
        slope += 1.0
        delta *= slope


class SELU(Activation):
    """``scale z`` if z > 0, else ``scale alpha (exp(z) - 1)``: keeps mean 0 and variance 1.

    With alpha = 1.6732632423543772 and scale = 1.0507009873554805 a layer with normal
    weights of variance 1 / fan_in has mean 0 and variance 1 as a stable fixed point.

    References
    ----------
    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks",
    NIPS 2017, eq. 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import SELU
    >>> SELU()(np.array([-10000.0, 0.0, 1.0])).round(4)
    array([-1.7581,  0.    ,  1.0507])
    """

    holomorphic = False
    init = "lecun"

    def __call__(self, z: Any) -> Any:
        above = SELU_SCALE * (z * (z > 0.0))
        return above + (SELU_SCALE * SELU_ALPHA) * np.expm1(z * (z <= 0.0))

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        below = np.minimum(z, 0.0)
        np.expm1(below, out=below)
        below *= SELU_SCALE * SELU_ALPHA
        np.maximum(z, 0.0, out=out)
        out *= SELU_SCALE
        out += below

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        # Below and at zero the derivative is a + scale alpha, above it is scale.
        slope = a + SELU_SCALE * SELU_ALPHA
        slope *= a <= 0.0
        slope += SELU_SCALE * (a > 0.0).astype(a.dtype)
        delta *= slope


class GELU(Activation):
    """``z Phi(z)``, Phi being the distribution function of the normal law (exact, by erf).

    References
    ----------
    D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016, arXiv:1606.08415.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import GELU
    >>> GELU()(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """

    needs_input = True
    init = "he"

    def __call__(self, z: Any) -> Any:
        return (0.5 * z) * (1.0 + erf(SQRT_HALF * z))

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        np.multiply(z, SQRT_HALF, out=out)
        scipy_special.erf(out, out=out)
        out += 1.0
        out *= 0.5
        out *= z

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        # Phi(z) + z phi(z). Phi = a / z saves the costly erf; it is 1/2 at zero.
        slope = z * z
        slope *= -0.5
        np.exp(slope, out=slope)
        slope *= z
        slope *= INVERSE_SQRT_2PI
        Phi = np.full_like(slope, 0.5)
        np.divide(a, z, out=Phi, where=z != 0.0)
        slope += Phi
        delta *= slope


class SiLU(Activation):
    """``z / (1 + exp(-z))``, also known as swish.

    References
    ----------
    S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning", *Neural Networks* 107, 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import SiLU
    >>> SiLU()(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.2689,  0.    ,  0.7311])
    """

    needs_input = True
    init = "he"

    def __call__(self, z: Any) -> Any:
        return z * expit(z)

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        _logistic(z, out)
        out *= z

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        # With s = expit(z): s + z s (1 - s) = s + a (1 - s)
        s = np.empty_like(z)
        _logistic(z, s)
        slope = 1.0 - s
        slope *= a
        slope += s
        delta *= slope


class Softplus(Activation):
    """``log(1 + exp(z))``: a rectifier without a kink.

    References
    ----------
    C. Dugas, Y. Bengio et al., "Incorporating second-order functional knowledge for better
    option pricing", NIPS 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import Softplus
    >>> Softplus()(np.array([0.0, 10000.0])).round(4)
    array([6.931e-01, 1.000e+04])
    """

    init = "he"

    def __call__(self, z: Any) -> Any:
        return softplus(z)

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        # max(z, 0) + log1p(exp(-|z|)): the argument of exp is never positive
        above = np.maximum(z, 0.0)
        np.abs(z, out=out)
        np.negative(out, out=out)
        np.exp(out, out=out)
        np.log1p(out, out=out)
        out += above

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        slope = np.negative(a)  # expit(z) = 1 - exp(-a)
        np.expm1(slope, out=slope)
        np.negative(slope, out=slope)
        delta *= slope


class Mish(Activation):
    """``z tanh(log(1 + exp(z)))``.

    References
    ----------
    D. Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import Mish
    >>> Mish()(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.3034,  0.    ,  0.8651])
    """

    needs_input = True
    init = "he"

    def __call__(self, z: Any) -> Any:
        return z * np.tanh(softplus(z))

    def forward(self, z: np.ndarray, out: np.ndarray) -> None:
        # With e = exp(z), n = e (e + 2): tanh(log(1 + e)) = n / (n + 2), one exp in all.
        n = np.minimum(z, MISH_LARGE)
        np.exp(n, out=n)
        n *= n + 2.0
        np.divide(n, n + 2.0, out=out)
        out *= z

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        # t + z (1 - t^2) expit(z), with 1 - t^2 = 4 (1 + e)^2 / (n + 2)^2
        e = np.minimum(z, MISH_LARGE)
        np.exp(e, out=e)
        n = e * (e + 2.0)
        below = n + 2.0
        slope = 4.0 * e
        slope *= e + 1.0
        slope /= below
        slope *= z
        slope += n
        slope /= below
        delta *= slope


ACTIVATIONS: dict[str, type[Activation]] = {
    "identity": Identity,
    "logistic": Logistic,
    "tanh": Tanh,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "selu": SELU,
    "gelu": GELU,
    "silu": SiLU,
    "softplus": Softplus,
    "mish": Mish,
}


class FunctionActivation(Activation):
    """The activation that a function computes.

    Estimators make it of a callable that is given as `activation`; there is no need to. The
    derivative is that of the graph.

    Parameters
    ----------
    function : callable
        ``function(z) -> array of the shape of z``, in plain NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import FunctionActivation
    >>> square = FunctionActivation(lambda z: z * z)
    >>> delta = np.ones(2)
    >>> square.backward(delta, np.array([1.0, 3.0]), np.array([1.0, 9.0]))
    >>> delta
    array([2., 6.])
    """

    holomorphic = False  # nobody knows
    needs_input = True

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return f"the activation {_name_of_function(self.function)}"

    @property
    def has_derivative(self) -> bool:
        """Nobody has written it down."""
        return False

    def __call__(self, z: Any) -> Any:
        return self.function(z)

    def backward(self, delta: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        _, chain = autodiff.value_and_vjp(self.function, z)
        (delta[...],) = chain(delta)


def resolve_activation(parameter: str, given: Any, *, by_unit: bool = True) -> Activation:
    """Return the activation of a name, an object or a function.

    Parameters
    ----------
    parameter : str
        Name of the estimator's parameter, for messages.
    given : str, Activation or callable
    by_unit : bool
        Whether a function must work entry by entry, as that of a hidden layer.

    Raises
    ------
    TypeError, ValueError
        It is none of these, or the function does not do what an activation does.
    """
    if not callable(given) or isinstance(given, (Component, type)):
        return resolve(parameter, given, ACTIVATIONS, Activation)
    if by_unit:
        _check_function(parameter, given)
    return FunctionActivation(given)


def activation_name(activation: Activation) -> str:
    """Name of the row of `ACTIVATIONS`, or of the function or class."""
    if isinstance(activation, FunctionActivation):
        return _name_of_function(activation.function)
    names = [name for name, row in ACTIVATIONS.items() if type(activation) is row]
    return names[0] if names else type(activation).__name__


def _name_of_function(function: Any) -> str:
    return getattr(function, "__name__", None) or repr(function)


def _check_function(parameter: str, function: Callable[[Any], Any]) -> None:
    """Try a function on some numbers: of the same shape, and entry by entry."""
    z = np.linspace(-1.3, 1.7, 12).reshape(4, 3)
    name = _name_of_function(function)
    with np.errstate(all="ignore"):
        try:
            a, part = np.asarray(function(z.copy())), np.asarray(function(z[1:, :2].copy()))
        except Exception as error:
            error.add_note(f"In {parameter}={name}, called with an array of shape {z.shape}.")
            raise
    if a.dtype.kind != "f" or a.shape != z.shape or part.shape != z[1:, :2].shape:
        raise ValueError(
            f"{parameter}={name} takes an array z of shape (rows, units) and returns real numbers "
            f"of the same shape; for {z.shape} it returned {a.dtype} of shape {a.shape}."
        )
    if not np.allclose(a[1:, :2], part, rtol=1e-9, atol=1e-12, equal_nan=True):
        raise ValueError(
            f"{parameter}={name} must work on each entry of z alone: what it returns for some "
            "entries depends on others, or differs from call to call."
        )


def _logistic(z: np.ndarray, out: np.ndarray) -> None:
    """``expit(z)`` as ``(1 + tanh(z/2)) / 2``: tanh is vectorised, twelve times faster."""
    np.multiply(z, 0.5, out=out)
    np.tanh(out, out=out)
    out += 1.0
    out *= 0.5
