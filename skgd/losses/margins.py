"""Classification by margins: m = raw for the class itself, -raw for the rest."""

# ruff: noqa: D102 - the methods are documented once, in the base class
from __future__ import annotations

from typing import Any

import numpy as np

from skgd.losses.base import Loss, _per_sample


class Hinge(Loss):
    """``max(1 - m, 0)``, the margin m being ``raw`` if y = 1 and ``-raw`` if y = 0.

    The loss of the linear support vector machine. With more than two classes it is the sum
    of one-vs-rest terms. At the tie m = 1 the loss counts as active: its derivative there
    is that of ``1 - m``.

    References
    ----------
    C. Cortes, V. Vapnik, "Support-vector networks", *Machine Learning* 20, 1995.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import Hinge
    >>> Hinge().value(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    array([0.5, 1.5])
    """

    task = "classification"

    def value(self, y: np.ndarray, raw: Any) -> Any:
        m = _margin(y, raw)
        return _per_sample(np.where(m <= 1.0, 1.0 - m, 0.0))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        away = 1.0 - 2.0 * y
        return away * (away * raw >= -1.0)


class SquaredHinge(Loss):
    """``max(1 - m, 0)^2``, the margin m being ``raw`` if y = 1 and ``-raw`` if y = 0.

    With more than two classes it is the sum of one-vs-rest terms.

    References
    ----------
    Y.-J. Lee, O. L. Mangasarian, "SSVM: a smooth support vector machine for classification",
    *Comput. Optim. Appl.* 20, 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import SquaredHinge
    >>> SquaredHinge().value(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    array([0.25, 2.25])
    """

    task = "classification"
    smooth = True

    def value(self, y: np.ndarray, raw: Any) -> Any:
        lack = _lack(_margin(y, raw))
        return _per_sample(lack * lack)

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        away = 1.0 - 2.0 * y
        return 2.0 * away * np.maximum(1.0 + away * raw, 0.0)

    def curvature(self, n_outputs: int = 1) -> float:
        return 2.0


class ModifiedHuber(Loss):
    """``max(1 - m, 0)^2`` if ``m >= -1``, else ``-4 m``: a squared hinge robust to outliers.

    m is ``raw`` if y = 1 and ``-raw`` if y = 0; with more than two classes the loss is the
    sum of one-vs-rest terms. The minimiser of the mean loss is ``2 p - 1``, so that
    probabilities can be read off: ``(clip(raw, -1, 1) + 1) / 2``, normalised to a sum of one
    over the classes, and uniform where all are zero.

    References
    ----------
    T. Zhang, "Solving large scale linear prediction problems using stochastic gradient descent
    algorithms", ICML 2004. B. Zadrozny, C. Elkan, "Transforming classifier scores into accurate
    multiclass probability estimates", KDD 2002 (normalisation).

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import ModifiedHuber
    >>> ModifiedHuber().value(np.array([1.0, 1.0]), np.array([0.5, -2.0]))
    array([0.25, 8.  ])
    >>> ModifiedHuber().inverse_link(np.array([-3.0, 0.5]))
    array([0.  , 0.75])
    """

    task = "classification"
    has_proba = True
    smooth = True

    def value(self, y: np.ndarray, raw: Any) -> Any:
        # With c = min(lack, 2) both branches are c (2 lack - c): no large square is taken.
        lack = _lack(_margin(y, raw))
        c = np.where(lack < 2.0, lack, 2.0)
        return _per_sample(c * (2.0 * lack - c))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        away = 1.0 - 2.0 * y
        return 2.0 * away * np.clip(1.0 + away * raw, 0.0, 2.0)

    def inverse_link(self, raw: np.ndarray) -> np.ndarray:
        p = 0.5 * (np.clip(raw, -1.0, 1.0) + 1.0)
        if p.ndim == 1:
            return p
        total = np.sum(p, axis=1, keepdims=True)
        p[total[:, 0] == 0.0] = 1.0
        total[total == 0.0] = p.shape[1]
        p /= total
        return p

    def link_of_mean(self, mean: Any) -> Any:
        return 2.0 * mean - 1.0

    def curvature(self, n_outputs: int = 1) -> float:
        return 2.0


class Perceptron(Loss):
    """``max(-m, 0)``, the margin m being ``raw`` if y = 1 and ``-raw`` if y = 0.

    With more than two classes it is the sum of one-vs-rest terms. At the tie m = 0 the loss
    counts as active: a perceptron starts with all weights zero, where every sample is a tie,
    and would never move otherwise.

    References
    ----------
    F. Rosenblatt, "The perceptron: a probabilistic model for information storage and
    organization in the brain", *Psychological Review* 65, 1958.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import Perceptron
    >>> Perceptron().gradient(np.array([1.0, 0.0, 0.0]), np.array([0.0, 2.0, -2.0]))
    array([-1.,  1.,  0.])
    """

    task = "classification"
    degenerate = True

    def value(self, y: np.ndarray, raw: Any) -> Any:
        m = _margin(y, raw)
        return _per_sample(np.where(m <= 0.0, 0.0 - m, 0.0))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        away = 1.0 - 2.0 * y
        return away * (away * raw >= 0.0)


def _margin(y: np.ndarray, raw: Any) -> Any:
    """Raw output towards the right side, elementwise: y in {0, 1} or one-hot."""
    return (2.0 * y - 1.0) * raw


def _lack(m: Any) -> Any:
    """How much of the margin 1 is missing."""
    return np.where(m < 1.0, 1.0 - m, 0.0)
