"""Classification by probabilities."""

# ruff: noqa: D102 - the methods are documented once, in the base class
from __future__ import annotations

import math
from typing import Any

import numpy as np

from skgd._component import check_number
from skgd.losses.base import Loss
from skgd.special import expit, log_softmax, logsumexp, softmax, softplus


class LogLoss(Loss):
    """Minus the log-likelihood of the classes.

    Two classes: ``log(1 + exp(raw)) - y raw``, with the logistic link. More: ``-sum_k y_k
    log softmax(raw)_k``. A row of y may also hold the probabilities of the classes.

    Parameters
    ----------
    label_smoothing : float in [0, 1), default=0.0
        Share of each target that is spread evenly over all K classes (two, for one raw output):
        ``(1 - label_smoothing) y + label_smoothing / K``. The loss is then lowest at a finite raw
        output, and probabilities stay away from 0 and 1. It is part of the loss wherever that is
        reported, on validation rows too.

    References
    ----------
    C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna, "Rethinking the Inception
    architecture for computer vision", CVPR 2016, section 7 (label smoothing).
    D. R. Cox, "The regression analysis of binary sequences", *J. R. Statist. Soc. B* 20, 1958.
    J. S. Bridle, "Training stochastic model recognition algorithms as networks can lead to
    maximum mutual information estimation of parameters", NIPS 1989 (softmax).

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import LogLoss
    >>> LogLoss().value(np.array([0.0, 1.0]), np.array([0.0, 10000.0])).round(4)
    array([0.6931, 0.    ])
    >>> LogLoss().gradient(np.array([[0.0, 1.0]]), np.array([[0.0, 0.0]]))
    array([[ 0.5, -0.5]])
    >>> LogLoss(label_smoothing=0.1).gradient(np.array([[0.0, 1.0]]), np.array([[0.0, 0.0]]))
    array([[ 0.45, -0.45]])
    """

    task = "classification"
    has_proba = True
    holomorphic = True
    smooth = True

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def check(self) -> None:
        check_number("label_smoothing", self.label_smoothing, low=0.0, high=1.0, include="low")

    def value(self, y: np.ndarray, raw: Any) -> Any:
        y = self._smoothed(y)
        if y.ndim == 1:
            # softplus(raw) - y raw would cancel for a confident right answer. With z the raw
            # output towards the wrong class, nothing is subtracted for y in {0, 1}.
            z = np.where(y > 0.5, -raw, raw)
            return softplus(z) - np.where(y > 0.5, 1.0 - y, y) * z
        return -np.sum(y * log_softmax(raw, axis=1), axis=1)

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return self.value_and_gradient(y, raw)[1]

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = self._smoothed(y)
        # One pass of exp for both; its argument is never positive, so it cannot overflow.
        if y.ndim == 1:
            positive = raw >= 0.0
            e = np.exp(-np.abs(raw))
            value = np.log1p(e) + (positive - y) * raw
            # expit(raw) - y over the common denominator: a tiny 1 - expit is not rounded away.
            slope = np.where(positive, (1.0 - y) - y * e, (1.0 - y) * e - y)
            e += 1.0
            slope /= e
            return value, slope
        shifted = raw - np.max(raw, axis=1, keepdims=True)
        e = np.exp(shifted)
        total = np.sum(e, axis=1, keepdims=True)
        mass = np.sum(y, axis=1, keepdims=True)  # 1, but for the rounding of probabilities
        value = mass[:, 0] * np.log(total[:, 0]) - np.sum(y * shifted, axis=1)
        e *= mass / total
        e -= y
        return value, e

    def link_name(self, n_outputs: int = 1) -> str:
        return "logistic" if n_outputs == 1 else "softmax"

    def inverse_link(self, raw: np.ndarray) -> np.ndarray:
        return _probability(raw)

    def link_of_mean(self, mean: Any) -> Any:
        return _logit(mean)

    def curvature(self, n_outputs: int = 1) -> float:
        # p (1 - p) <= 1/4; the Hessian diag(p) - p p^T of softmax has eigenvalues <= 1/2
        # (Boehning, "Multinomial logistic regression algorithm", 1992). Neither depends on y.
        return 0.25 if n_outputs == 1 else 0.5

    def _smoothed(self, y: np.ndarray) -> np.ndarray:
        share = float(self.label_smoothing)  # a NumPy scalar would turn float32 into float64
        if not share:
            return y
        return (1.0 - share) * y + share / (2 if y.ndim == 1 else y.shape[1])


class Focal(Loss):
    """Log loss with easy samples faded out, ``-(1 - p_t)^gamma log p_t``.

    ``p_t`` is the probability of the true class, by the logistic function for two classes
    and by softmax for more.

    Parameters
    ----------
    gamma : float >= 0, default=2.0
        How fast well classified samples fade; 0 is the log loss.

    References
    ----------
    T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017, eq. 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import Focal
    >>> Focal(gamma=1.0).value(np.array([0.0, 1.0]), np.array([0.0, 10000.0])).round(4)
    array([0.3466, 0.    ])
    """

    task = "classification"
    has_proba = True
    convex = False
    holomorphic = True
    smooth = True

    def __init__(self, gamma: float = 2.0) -> None:
        self.gamma = gamma

    def curvature(self, n_outputs: int = 1) -> float:
        # Found by a search over margins: within 12 % of the largest for gamma from 0 to 10.
        bound = 0.25 * math.sqrt(1.0 + 1.5 * float(self.gamma))
        return bound if n_outputs == 1 else 2.0 * bound

    def check(self) -> None:
        check_number("gamma", self.gamma, low=0.0)

    def value(self, y: np.ndarray, raw: Any) -> Any:
        # By the margin m of the true class, p_t = expit(m) and 1 - p_t = expit(-m): both
        # logarithms are softplus, and neither probability is rounded to 0 or 1 first. With
        # more classes m is the raw output less the logsumexp of all the others; the highest of
        # them goes first, so that raw outputs which are large together leave no rounding error.
        if y.ndim == 1:
            m = (2.0 * y - 1.0) * raw
        else:
            others = np.where(y > 0.5, -np.inf, raw)
            highest = np.max(others, axis=1, keepdims=True)
            m = np.sum(y * raw, axis=1, keepdims=True) - highest
            m = (m - logsumexp(others - highest, axis=1, keepdims=True))[:, 0]
        return np.exp(-float(self.gamma) * softplus(m)) * softplus(-m)

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return self.value_and_gradient(y, raw)[1]

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if y.ndim == 1:
            towards = 2.0 * y - 1.0
            value, slope = self._of_margin(towards * raw)
            return value, slope * towards
        others = np.where(y > 0.5, -np.inf, raw)
        highest = np.max(others, axis=1, keepdims=True)
        e = np.exp(others - highest)
        total = np.sum(e, axis=1, keepdims=True)
        m = (np.sum(y * raw, axis=1, keepdims=True) - highest) - np.log(total)
        value, slope = self._of_margin(m[:, 0])
        return value, slope[:, np.newaxis] * (y - e / total)

    def _of_margin(self, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value, and derivative ``-(1-p)^gamma (gamma p softplus(-m) + (1-p))``, at margin m."""
        gamma = float(self.gamma)
        e = np.exp(-np.abs(m))
        log1p_e = np.log1p(e)
        larger, smaller = 1.0 / (1.0 + e), e / (1.0 + e)
        p, miss = np.where(m >= 0.0, (larger, smaller), (smaller, larger))
        cost = log1p_e + np.maximum(-m, 0.0)
        fade = np.exp(-gamma * (log1p_e + np.maximum(m, 0.0)))
        return fade * cost, -fade * (gamma * p * cost + miss)

    def link_name(self, n_outputs: int = 1) -> str:
        return "logistic" if n_outputs == 1 else "softmax"

    def inverse_link(self, raw: np.ndarray) -> np.ndarray:
        return _probability(raw)

    def link_of_mean(self, mean: Any) -> Any:
        return _logit(mean)


def _probability(raw: np.ndarray) -> np.ndarray:
    return expit(raw) if raw.ndim == 1 else softmax(raw, axis=1)


def _logit(mean: Any) -> Any:
    """Raw output for class shares: logit of one share, logarithms of several."""
    mean = np.asarray(mean)
    eps = float(np.finfo(mean.dtype).eps)  # a class may be missing from the rows
    mean = np.clip(mean, eps, 1.0 - eps)
    return np.log(mean) - np.log1p(-mean) if mean.size == 1 else np.log(mean)
