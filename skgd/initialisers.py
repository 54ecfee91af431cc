"""Initialisers: the random weights that a network starts from.

With fan_in units before a layer and fan_out behind it, weights of variance ``1 / fan_in`` keep
the variance of a signal on its way forward through linear units, ``2 / fan_in`` through
rectifiers, which let half of it pass, and ``2 / (fan_in + fan_out)`` is a compromise with the
derivatives on their way back.

A function ``(shape, rng) -> array`` is an initialiser, too: shape is (units before, units
after), rng a `numpy.random.Generator`.
"""

# ruff: noqa: D102 - the methods are documented once, in the base class
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skgd._component import Component, check_bool, check_choice, check_number, resolve

__all__ = [
    "INITIALIZERS",
    "Glorot",
    "He",
    "Initializer",
    "LeCun",
    "Normal",
    "Orthogonal",
    "Uniform",
    "Zeros",
]

_DISTRIBUTIONS = ("uniform", "normal")


class Initializer(Component):
    """Base of all initialisers.

    Attributes
    ----------
    intercepts : bool
        Whether intercepts are drawn, too; else they start at zero.
    """

    intercepts: bool = False

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw an array.

        Parameters
        ----------
        shape : tuple of int
            (units before, units after); (units,) for intercepts.
        rng : Generator

        Returns
        -------
        weights : ndarray of this shape
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(shape, rng).")


class _Scaled(Initializer):
    """Zero mean and a variance that depends on the shape; a subclass says which."""

    def __init__(self, distribution: str = "uniform") -> None:
        self.distribution = distribution

    def check(self) -> None:
        check_choice("distribution", self.distribution, _DISTRIBUTIONS)

    def variance(self, fan_in: int, fan_out: int) -> float:
        """Variance of each weight."""
        raise NotImplementedError

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        deviation = np.sqrt(self.variance(*shape))
        if self.distribution == "normal":
            return rng.normal(scale=deviation, size=shape)
        bound = np.sqrt(3.0 * self.variance(*shape))  # a uniform variable has bound^2 / 3
        return rng.uniform(-bound, bound, size=shape)


class Glorot(_Scaled):
    """Variance ``2 / (fan_in + fan_out)``, for saturating units.

    Parameters
    ----------
    distribution : {"uniform", "normal"}, default="uniform"

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, eq. 12 and 16.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.initialisers import Glorot
    >>> W = Glorot()((300, 100), np.random.default_rng(0))
    >>> round(W.var() * (300 + 100), 1)
    np.float64(2.0)
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 2.0 / (fan_in + fan_out)


class He(_Scaled):
    """Variance ``2 / fan_in``, for rectifiers.

    Parameters
    ----------
    distribution : {"uniform", "normal"}, default="uniform"

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015, eq. 10.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.initialisers import He
    >>> W = He("normal")((300, 100), np.random.default_rng(0))
    >>> round(W.var() * 300, 1)
    np.float64(2.0)
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 2.0 / fan_in


class LeCun(_Scaled):
    """Variance ``1 / fan_in``, for self-normalising units.

    Parameters
    ----------
    distribution : {"uniform", "normal"}, default="uniform"

    References
    ----------
    Y. LeCun, L. Bottou, G. Orr, K.-R. Mueller, "Efficient backprop", 1998, eq. 16.
    G. Klambauer et al., "Self-normalizing neural networks", NIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.initialisers import LeCun
    >>> W = LeCun()((300, 100), np.random.default_rng(0))
    >>> round(W.var() * 300, 1)
    np.float64(1.0)
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 1.0 / fan_in


class Zeros(Initializer):
    """All weights zero: the units of a hidden layer are then alike, and stay so.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.initialisers import Zeros
    >>> Zeros()((2, 1), np.random.default_rng(0))
    array([[0.],
           [0.]])
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return np.zeros(shape)


class Orthogonal(Initializer):
    """A random matrix whose columns, or rows if they are fewer, are orthonormal, times `gain`.

    It is the Q of a QR decomposition of normal numbers, with signs by which every rotation is
    equally likely.

    Parameters
    ----------
    gain : float > 0, default=1.0
        Length of the columns.

    References
    ----------
    A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks", ICLR 2014.
    F. Mezzadri, "How to generate random matrices from the classical compact groups", *Notices
    of the AMS* 54, 2007 (the signs).

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.initialisers import Orthogonal
    >>> W = Orthogonal()((5, 3), np.random.default_rng(0))
    >>> np.allclose(W.T @ W, np.eye(3))
    True
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def check(self) -> None:
        check_number("gain", self.gain, low=0.0, include="neither")

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        Q, R = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
        Q *= float(self.gain) * np.sign(np.diag(R))
        return Q if shape[0] >= shape[1] else Q.T


class Uniform(Initializer):
    """Every weight uniform between `-bound` and `bound`, as in the first experiments.

    Parameters
    ----------
    bound : float >= 0
    intercepts : bool, default=False
        Draw the intercepts, too. Rumelhart, Hinton & Williams treat them as weights from a
        unit that is always on.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning internal representations by error
    propagation", in *Parallel Distributed Processing*, 1986 (-0.3 to 0.3 in *Nature* 323, 1986).

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.initialisers import Uniform
    >>> W = Uniform(0.3)((100, 100), np.random.default_rng(0))
    >>> bool(0.29 < abs(W).max() <= 0.3)
    True
    """

    def __init__(self, bound: float, intercepts: bool = False) -> None:
        self.bound = bound
        self.intercepts = intercepts

    def check(self) -> None:
        check_number("bound", self.bound, low=0.0)
        check_bool("intercepts", self.intercepts)

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(-float(self.bound), float(self.bound), size=shape)


class Normal(Initializer):
    """Every weight normal with mean zero and this standard deviation.

    Parameters
    ----------
    std : float >= 0
    intercepts : bool, default=False
        Draw the intercepts, too.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.initialisers import Normal
    >>> round(Normal(0.1)((300, 300), np.random.default_rng(0)).std(), 2)
    np.float64(0.1)
    """

    def __init__(self, std: float, intercepts: bool = False) -> None:
        self.std = std
        self.intercepts = intercepts

    def check(self) -> None:
        check_number("std", self.std, low=0.0)
        check_bool("intercepts", self.intercepts)

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return rng.normal(scale=float(self.std), size=shape)


INITIALIZERS: dict[str, type[Initializer]] = {
    "glorot": Glorot,
    "he": He,
    "lecun": LeCun,
    "zeros": Zeros,
    "orthogonal": Orthogonal,
}


def resolve_init(init: Any) -> Callable[..., Any] | None:
    """Return the initialiser; None for "auto", which the activations settle.

    Raises
    ------
    TypeError, ValueError
        `init` is neither a name, nor an initialiser, nor a function.
    """
    if isinstance(init, str) and init == "auto":
        return None
    if callable(init) and not isinstance(init, (Component, type)):
        return init
    return resolve("init", init, INITIALIZERS, Initializer, extra=("auto",))


def draw(init: Callable[..., Any], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return what an initialiser draws, checked.

    Raises
    ------
    ValueError, TypeError
        It is not an array of this shape with finite numbers.
    """
    drawn = np.asarray(init(shape, rng))
    if drawn.dtype.kind not in "iuf":
        raise TypeError(f"init({shape}, rng) must return an array of numbers; got {drawn.dtype}.")
    if drawn.shape != shape:
        raise ValueError(
            f"init({shape}, rng) must return an array of this shape; got {drawn.shape}."
        )
    if not np.isfinite(drawn).all():
        raise ValueError(f"init({shape}, rng) returned numbers that are not finite.")
    return drawn
