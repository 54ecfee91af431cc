"""The problems on which back-propagation was first shown to find internal representations.

Each is the whole truth table, not a sample: X holds zeros and ones, y has `low` where the answer
is no and `high` where it is yes. The defaults, 0 and 1, are labels for a classifier; the books
train logistic units towards 0.1 and 0.9, which they can reach with finite weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skgd._component import check_number

__all__ = [
    "make_addition",
    "make_encoder",
    "make_negation",
    "make_parity",
    "make_symmetry",
    "make_tc",
    "make_xor",
]

_MOST_COLUMNS = 16  # a truth table has 2 ** columns rows


def make_xor(*, low: float = 0, high: float = 1) -> tuple[np.ndarray, np.ndarray]:
    """Exclusive or: whether exactly one of two bits is on.

    No unit without a hidden layer can learn it, for no line separates the two answers.

    Parameters
    ----------
    low, high : float, default=0, 1
        Targets for no and yes, ``low < high``.

    Returns
    -------
    X : ndarray of shape (4, 2)
        All pairs of bits, in the order of binary numbers.
    y : ndarray of shape (4,)
        `high` where the bits differ; integers where `low` and `high` are.

    Raises
    ------
    TypeError, ValueError
        `low` or `high` is not a finite number, or they are in the wrong order.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning internal representations by error
    propagation", in *Parallel Distributed Processing*, vol. 1, chapter 8, MIT Press, 1986.

    Examples
    --------
    >>> from skgd.datasets import make_xor
    >>> X, y = make_xor()
    >>> X
    array([[0., 0.],
           [0., 1.],
           [1., 0.],
           [1., 1.]])
    >>> y
    array([0, 1, 1, 0])
    >>> make_xor(low=0.1, high=0.9)[1]
    array([0.1, 0.9, 0.9, 0.1])
    """
    return make_parity(2, low=low, high=high)


def make_parity(
    n_bits: int = 4, *, low: float = 0, high: float = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Parity: whether an odd number of bits is on.

    The most similar inputs, which differ in one bit, always have different answers.

    Parameters
    ----------
    n_bits : int, default=4
        From 1 to 16.
    low, high : float, default=0, 1
        Targets for even and odd, ``low < high``.

    Returns
    -------
    X : ndarray of shape (2 ** n_bits, n_bits)
        All patterns of bits, in the order of binary numbers.
    y : ndarray of shape (2 ** n_bits,)
        `high` where the number of ones is odd; integers where `low` and `high` are.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning internal representations by error
    propagation", in *Parallel Distributed Processing*, vol. 1, chapter 8, MIT Press, 1986.

    Examples
    --------
    >>> from skgd.datasets import make_parity
    >>> X, y = make_parity(3)
    >>> X[5], y[5]
    (array([1., 0., 1.]), np.int64(0))
    >>> y
    array([0, 1, 1, 0, 1, 0, 0, 1])
    """
    X = _truth_table(n_bits, most=_MOST_COLUMNS)
    return X, _targets(X.sum(axis=1) % 2 == 1, low, high)


def make_encoder(
    n_bits: int = 8, *, low: float = 0, high: float = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Encode one of n and decode it again, through fewer hidden units than patterns.

    With log2(n) hidden units the network has to invent a binary code.

    Parameters
    ----------
    n_bits : int, default=8
        Number of inputs, of outputs and of patterns; from 2 to 1024.
    low, high : float, default=0, 1
        Targets for off and on, ``low < high``. The inputs are always 0 and 1.

    Returns
    -------
    X : ndarray of shape (n_bits, n_bits)
        In pattern i, bit i alone is on: the identity matrix.
    y : ndarray of shape (n_bits, n_bits)
        The same as targets; integers where `low` and `high` are.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning internal representations by error
    propagation", in *Parallel Distributed Processing*, vol. 1, chapter 8, MIT Press, 1986.

    T. M. Mitchell, *Machine Learning*, section 4.6.4, McGraw-Hill, 1997.

    Examples
    --------
    >>> from skgd.datasets import make_encoder
    >>> X, y = make_encoder(3, low=0.1, high=0.9)
    >>> X
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    >>> y
    array([[0.9, 0.1, 0.1],
           [0.1, 0.9, 0.1],
           [0.1, 0.1, 0.9]])
    """
    check_number("n_bits", n_bits, low=2, high=1024, integer=True)
    X = np.eye(int(n_bits))
    return X, _targets(X == 1, low, high)


def make_symmetry(
    n_bits: int = 6, *, low: float = 0, high: float = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Symmetry: whether a row of bits is its own mirror image.

    No single input tells anything about the answer.

    Parameters
    ----------
    n_bits : int, default=6
        From 2 to 16. The bit in the middle of an odd number does not matter.
    low, high : float, default=0, 1
        Targets for other patterns and for symmetric ones, ``low < high``.

    Returns
    -------
    X : ndarray of shape (2 ** n_bits, n_bits)
        All patterns of bits, in the order of binary numbers.
    y : ndarray of shape (2 ** n_bits,)
        `high` where the pattern read backwards is the same; integers where `low` and `high` are.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating
    errors", *Nature* 323, 533-536, 1986.

    Examples
    --------
    >>> from skgd.datasets import make_symmetry
    >>> X, y = make_symmetry()
    >>> X.shape, y.sum()
    ((64, 6), np.int64(8))
    >>> X[y == 1][3]
    array([0., 1., 1., 1., 1., 0.])
    """
    X = _truth_table(n_bits, least=2, most=_MOST_COLUMNS)
    return X, _targets(np.all(X[:, ::-1] == X, axis=1), low, high)


def make_addition(
    n_bits: int = 2, *, low: float = 0, high: float = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Binary addition of two numbers.

    Parameters
    ----------
    n_bits : int, default=2
        Bits of each number, from 1 to 8.
    low, high : float, default=0, 1
        Targets for bits that are off and on, ``low < high``.

    Returns
    -------
    X : ndarray of shape (4 ** n_bits, 2 * n_bits)
        All pairs: the bits of the first number, then those of the second, each with its highest
        bit first.
    y : ndarray of shape (4 ** n_bits, n_bits + 1)
        The bits of the sum, highest first; integers where `low` and `high` are.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning internal representations by error
    propagation", in *Parallel Distributed Processing*, vol. 1, chapter 8, MIT Press, 1986.

    Examples
    --------
    3 + 1 = 4:

    >>> from skgd.datasets import make_addition
    >>> X, y = make_addition()
    >>> X[13], y[13]
    (array([1., 1., 0., 1.]), array([1, 0, 0]))
    """
    check_number("n_bits", n_bits, low=1, high=_MOST_COLUMNS // 2, integer=True)
    n_bits = int(n_bits)
    first, second = np.divmod(np.arange(4**n_bits), 2**n_bits)
    X = np.hstack([_bits(first, n_bits), _bits(second, n_bits)])
    return X.astype(float), _targets(_bits(first + second, n_bits + 1) == 1, low, high)


def make_negation(
    n_bits: int = 3, *, low: float = 0, high: float = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Copy some bits, or turn each of them round if a further bit says so.

    It is `n_bits` exclusive ors that have one input in common.

    Parameters
    ----------
    n_bits : int, default=3
        Bits to copy or to negate, from 1 to 15.
    low, high : float, default=0, 1
        Targets for bits that are off and on, ``low < high``.

    Returns
    -------
    X : ndarray of shape (2 ** (n_bits + 1), n_bits + 1)
        All patterns of bits, in the order of binary numbers; the last column says whether to
        negate the others.
    y : ndarray of shape (2 ** (n_bits + 1), n_bits)
        The bits, or their complements; integers where `low` and `high` are. Also for one bit, y
        has two dimensions.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning internal representations by error
    propagation", in *Parallel Distributed Processing*, vol. 1, chapter 8, MIT Press, 1986.

    Examples
    --------
    >>> from skgd.datasets import make_negation
    >>> X, y = make_negation()
    >>> X[6:8]
    array([[0., 1., 1., 0.],
           [0., 1., 1., 1.]])
    >>> y[6:8]
    array([[0, 1, 1],
           [1, 0, 0]])
    """
    check_number("n_bits", n_bits, low=1, high=_MOST_COLUMNS - 1, integer=True)
    X = _truth_table(n_bits + 1, most=_MOST_COLUMNS)
    return X, _targets(X[:, :-1] != X[:, -1:], low, high)


def make_tc(size: int = 5, *, low: float = 0, high: float = 1) -> tuple[np.ndarray, np.ndarray]:
    """T or C: tell two letters apart in all their rotations and translations.

    Each letter is five squares, and the distances between its pairs of squares are the same for
    both: whatever looks at two pixels at a time cannot tell them apart.

    ::

        T  # # #      C  # #
           . # .         # .
           . # .         # #

    Parameters
    ----------
    size : int, default=5
        Width and height of the retina, from 3 to 64.
    low, high : float, default=0, 1
        Targets for C and for T, ``low < high``.

    Returns
    -------
    X : ndarray of shape (n_images, size ** 2)
        Every position of each letter, in its four rotations, in which all of it is on the retina:
        ``4 (size - 2) ** 2`` times T, then ``4 (size - 2) (size - 1)`` times C. Within a letter
        they are ordered by rotation, row and column. ``X.reshape(-1, size, size)`` are the images.
    y : ndarray of shape (n_images,)
        `high` for T; integers where `low` and `high` are.

    Raises
    ------
    TypeError, ValueError
        A parameter is out of its range.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning internal representations by error
    propagation", in *Parallel Distributed Processing*, vol. 1, chapter 8, MIT Press, 1986.

    M. Minsky, S. Papert, *Perceptrons*, MIT Press, 1969.

    Examples
    --------
    >>> from skgd.datasets import make_tc
    >>> X, y = make_tc(4)
    >>> X.shape, y.sum()
    ((40, 16), np.int64(16))
    >>> X[0].reshape(4, 4)
    array([[1., 1., 1., 0.],
           [0., 1., 0., 0.],
           [0., 1., 0., 0.],
           [0., 0., 0., 0.]])
    """
    check_number("size", size, low=3, high=64, integer=True)
    size = int(size)
    ts, cs = (list(_placements(letter, size)) for letter in (_T, _C))
    X = np.array(ts + cs).reshape(-1, size * size)
    return X, _targets(np.arange(len(X)) < len(ts), low, high)


_T = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
_C = np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def _placements(letter: np.ndarray, size: int) -> Any:
    """Yield images of the letter in all rotations, at all places where it fits."""
    for quarter_turns in range(4):
        turned = np.rot90(letter, quarter_turns)
        height, width = turned.shape
        for row in range(size - height + 1):
            for column in range(size - width + 1):
                image = np.zeros((size, size))
                image[row : row + height, column : column + width] = turned
                yield image


def _truth_table(n_bits: int, *, least: int = 1, most: int) -> np.ndarray:
    """All patterns of so many bits, in the order of binary numbers."""
    check_number("n_bits", n_bits, low=least, high=most, integer=True)
    return _bits(np.arange(2 ** int(n_bits)), int(n_bits)).astype(float)


def _bits(numbers: np.ndarray, n_bits: int) -> np.ndarray:
    """Binary digits of each number, highest first: (n,) -> (n, n_bits)."""
    return numbers[:, None] >> np.arange(n_bits - 1, -1, -1) & 1


def _targets(on: np.ndarray, low: float, high: float) -> np.ndarray:
    check_number("low", low)
    check_number("high", high)
    if not low < high:
        raise ValueError(f"low must be below high; got low={low!r}, high={high!r}.")
    return np.where(on, high, low)
