"""Losses: how wrong one raw output is, for each sample, and the derivative by hand.

A loss takes the model's *raw* output, before any link. The link (exp for counts, the
logistic function or softmax for classes) is part of the loss, so that the two can be
written together in a form that neither overflows nor cancels.

Every loss is written twice, and the two check each other. `Loss.value` is plain NumPy: run
on traced arrays it becomes a computation graph, whose derivative back-propagation finds.
`Loss.gradient` is the derivative worked out with pencil and paper.

Shapes: for one regression target and for two classes, `y` and `raw` are (n,), with y in
{0, 1} for classes; for more outputs or classes both are (n, K), with one-hot y. The value is
one number per sample, (n,), summed over the outputs. Arrays of float32 stay float32.
"""

# ruff: noqa: D102 - the methods are documented once, in the base class
from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from skgd._component import Component, check_number
from skgd.special import expit, log_softmax, logsumexp, softmax, softplus

LOG_2 = 0.6931471805599453


class Loss(Component):
    """Base of all losses. A subclass writes at least `value`.

    Attributes
    ----------
    task : {"regression", "classification"}
        Which estimators take the loss.
    has_proba : bool
        Whether `inverse_link` gives class probabilities.
    holomorphic : bool
        Whether `value` takes complex `raw` and carries the derivative in the imaginary part,
        as a complex step needs.
    smooth : bool
        Whether the derivative is continuous.
    convex : bool
        Whether the loss is convex in each raw output.
    degenerate : bool
        Whether a model that says nothing (raw = 0) has the lowest loss of all, so that the
        lowest loss is no sign of a good model.
    per_sample : bool
        Whether `value` is one number for each sample; False is one number for the batch.
    has_output_activation : bool
        Whether the raw outputs pass through an activation of the user's choice, so that they are
        not to be measured in units of the spread of y.
    unit : float or None
        Size of the loss where the raw outputs are of order one; None where nobody has measured.
    """

    task: ClassVar[str] = "regression"
    has_proba: ClassVar[bool] = False
    holomorphic: ClassVar[bool] = False
    smooth: ClassVar[bool] = False
    degenerate: ClassVar[bool] = False
    convex: ClassVar[bool] = True
    has_output_activation: ClassVar[bool] = False
    per_sample: bool = True
    unit: float | None = None

    @property
    def any_rows(self) -> bool:
        """Whether entry i of `value` is known to depend on row i alone.

        Then any rows may be put together, so that many small batches can be evaluated as one. It
        is known of the losses of the table; whatever a user writes is tried first.
        """
        return type(self) in LOSSES.values()

    @property
    def has_gradient(self) -> bool:
        """Whether the class has a derivative written by hand."""
        return type(self).gradient is not Loss.gradient

    @property
    def needs_trial(self) -> bool:
        """Whether `measured_on` finds something out."""
        return not self.any_rows

    def value(self, y: np.ndarray, raw: Any) -> Any:
        """Loss of each sample, in plain NumPy so that `raw` may be traced.

        Parameters
        ----------
        y : ndarray of shape (n,) or (n, K)
            Targets; {0, 1} or one-hot for classes.
        raw : array of the shape of `y`
            The model's output before any link.

        Returns
        -------
        value : array of shape (n,)
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method value(y, raw).")

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """Return the derivative of each sample's loss by its raw outputs, written by hand.

        Parameters
        ----------
        y, raw : ndarray of shape (n,) or (n, K)

        Returns
        -------
        gradient : ndarray of the shape of `raw`
            A new array: the caller may overwrite it.

        Raises
        ------
        NotImplementedError
            The class only says what `value` is.
        """
        raise NotImplementedError(
            f"{self!r} has no derivative written by hand, which gradient='analytic' needs. Use "
            "gradient='backprop' or gradient='numeric', or a Loss object with a method "
            "gradient(y, raw)."
        )

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`value` and `gradient` at once, for the losses in which they share work.

        Parameters
        ----------
        y, raw : ndarray of shape (n,) or (n, K)

        Returns
        -------
        value : ndarray of shape (n,)
        gradient : ndarray of the shape of `raw`
        """
        return self.value(y, raw), self.gradient(y, raw)

    def decision(self, raw: np.ndarray) -> np.ndarray:
        """From raw output to what a classifier decides by: above 0, or the largest.

        Parameters
        ----------
        raw : ndarray of shape (n,) or (n, n_outputs)

        Returns
        -------
        score : ndarray of raw's shape
        """
        return raw

    def inverse_link(self, raw: np.ndarray) -> np.ndarray:
        """From raw output to prediction: a mean, or probabilities if `has_proba`.

        Parameters
        ----------
        raw : ndarray of shape (n,) or (n, K)

        Returns
        -------
        prediction : ndarray of the shape of `raw`
            Two classes: the probability of class 1. With the identity link, `raw` itself.
        """
        return raw

    def link_name(self, n_outputs: int = 1) -> str:
        """Name of `inverse_link` for so many raw outputs: "identity", "logistic", ...

        Parameters
        ----------
        n_outputs : int, default=1

        Returns
        -------
        name : str
        """
        return "identity"

    @property
    def in_units_of_y(self) -> bool:
        """Whether raw outputs are measured in the units of y."""
        return self.link_name() == "identity"

    def link_of_mean(self, mean: Any) -> Any:
        """Raw output of the constant model that predicts `mean`: a place to start from.

        Parameters
        ----------
        mean : float or ndarray of shape (K,)
            Mean of y over the samples.

        Returns
        -------
        raw : float or ndarray of shape (K,)
        """
        return mean

    def curvature(self, n_outputs: int = 1) -> float | None:
        """Bound on the second derivative of one sample's loss by its raw outputs.

        Parameters
        ----------
        n_outputs : int
            Raw outputs of the model; 1 for two classes.

        Returns
        -------
        bound : float or None
            None if the second derivative has no bound, or the loss has a kink.
        """
        return None

    def check_target(self, y: np.ndarray) -> None:
        """Raise a ValueError if the loss is not defined for some target.

        Parameters
        ----------
        y : ndarray of shape (n,) or (n, K)
        """

    def trial_outputs(self, y: np.ndarray) -> np.ndarray:
        """Raw outputs of order one, to try the loss on these targets.

        Parameters
        ----------
        y : ndarray of shape (n,) or (n, K)

        Returns
        -------
        raw : ndarray of the shape of `y`
        """
        return np.random.default_rng(0).standard_normal(y.shape).astype(y.dtype)

    def measured_on(
        self, y: np.ndarray, weight: np.ndarray | None, known: Loss | None = None
    ) -> Loss:
        """Return the loss with what can be known of it only by trying it on targets.

        Here, its shapes are checked.

        Parameters
        ----------
        y : ndarray of shape (n,) or (n, K)
        weight : ndarray of shape (n,) or None
        known : Loss or None
            A loss that was measured before; if it is the same, nothing is measured again.

        Returns
        -------
        loss : Loss
            Itself, where all is known.

        Raises
        ------
        ValueError
            `value` or `gradient` returns an array of another shape than it must.
        """
        raw = self.trial_outputs(y)
        try:
            results = {"value": (self.value(y, raw), y.shape[:1])}
            if self.has_gradient:
                results["gradient"] = (self.gradient(y, raw), raw.shape)
        except ValueError as error:
            self._explain_branch(error)
            raise
        for name, (result, shape) in results.items():
            if np.shape(result) != shape:
                raise ValueError(
                    f"{name} of {self!r} returned shape {np.shape(result)} for y and raw of shape "
                    f"{raw.shape}; it must return {shape}."
                )
        return self

    def _explain_branch(self, error: Exception) -> None:
        """Raise a ValueError that says more, if `error` is NumPy's of an `if` over an array."""
        if isinstance(error, ValueError) and "truth value of an array" in str(error):
            raise ValueError(
                f"{self!r} asks whether a whole array is true, as `if raw > 0` or `max(raw, 0)` "
                "does: y_true and raw hold all samples of a batch at once. Write "
                "np.where(raw > 0, this, that), or np.maximum(raw, 0)."
            ) from error


# --------------------------------------------------------------------------------------------
# Regression, identity link
# --------------------------------------------------------------------------------------------


class SquaredError(Loss):
    """Half the squared residual, ``1/2 (raw - y)^2``: predicts the mean.

    The factor 1/2 makes the derivative the residual itself.

    References
    ----------
    A. M. Legendre, *Nouvelles methodes pour la determination des orbites des cometes*, 1805.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import SquaredError
    >>> SquaredError().value(np.array([1.0, 2.0]), np.array([4.0, 2.0]))
    array([4.5, 0. ])
    """

    holomorphic = True
    smooth = True

    def value(self, y: np.ndarray, raw: Any) -> Any:
        r = raw - y
        return _per_sample(0.5 * (r * r))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return raw - y

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r = raw - y
        return _per_sample(0.5 * (r * r)), r

    def curvature(self, n_outputs: int = 1) -> float:
        return 1.0


class AbsoluteError(Loss):
    """Absolute residual, ``|raw - y|``: predicts the median.

    The derivative at a residual of zero is taken as zero.

    References
    ----------
    R. Koenker, G. Bassett, "Regression quantiles", *Econometrica* 46, 1978.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import AbsoluteError
    >>> AbsoluteError().gradient(np.array([1.0, 2.0]), np.array([4.0, 2.0]))
    array([1., 0.])
    """

    def value(self, y: np.ndarray, raw: Any) -> Any:
        return _per_sample(np.abs(raw - y))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return np.sign(raw - y)


class Huber(Loss):
    """Squared near zero, linear far away.

    ``1/2 r^2`` if ``|r| <= delta``, else ``delta (|r| - delta/2)``, with ``r = raw - y``.

    Parameters
    ----------
    delta : float > 0, default=1.0
        The residual, in units of y, from which on a sample counts as an outlier.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", *Ann. Math. Statist.* 35, 1964.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import Huber
    >>> Huber(delta=2.0).value(np.zeros(2), np.array([1.0, 4.0]))
    array([0.5, 6. ])
    """

    smooth = True

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def check(self) -> None:
        check_number("delta", self.delta, low=0.0, include="neither")

    def value(self, y: np.ndarray, raw: Any) -> Any:
        # With c the residual clipped to [-delta, delta], both branches are c (r - c/2): the
        # square is only taken of what is small, so it cannot overflow.
        delta = float(self.delta)
        r = raw - y
        c = np.where(r > delta, delta, np.where(r < -delta, -delta, r))
        return _per_sample(c * (r - 0.5 * c))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        delta = float(self.delta)
        return np.clip(raw - y, -delta, delta)

    def curvature(self, n_outputs: int = 1) -> float:
        return 1.0


class EpsilonInsensitive(Loss):
    """Absolute residual beyond a tube, ``max(|raw - y| - epsilon, 0)``: support vectors.

    The derivative on the edge of the tube is taken as zero.

    Parameters
    ----------
    epsilon : float >= 0, default=0.1
        Half the width of the tube, in units of y.

    References
    ----------
    V. Vapnik, *The Nature of Statistical Learning Theory*, 1995, chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import EpsilonInsensitive
    >>> EpsilonInsensitive(epsilon=0.5).value(np.zeros(2), np.array([0.25, -2.0]))
    array([0. , 1.5])
    """

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def check(self) -> None:
        check_number("epsilon", self.epsilon, low=0.0)

    def value(self, y: np.ndarray, raw: Any) -> Any:
        return _per_sample(_beyond(np.abs(raw - y), float(self.epsilon)))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        r = raw - y
        return np.sign(r) * (np.abs(r) > float(self.epsilon))


class SquaredEpsilonInsensitive(Loss):
    """Squared residual beyond a tube, ``max(|raw - y| - epsilon, 0)^2`` (no factor 1/2).

    Parameters
    ----------
    epsilon : float >= 0, default=0.1
        Half the width of the tube, in units of y.

    References
    ----------
    V. Vapnik, *The Nature of Statistical Learning Theory*, 1995, chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import SquaredEpsilonInsensitive
    >>> SquaredEpsilonInsensitive(epsilon=0.5).value(np.zeros(2), np.array([0.25, -2.0]))
    array([0.  , 2.25])
    """

    smooth = True

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def check(self) -> None:
        check_number("epsilon", self.epsilon, low=0.0)

    def value(self, y: np.ndarray, raw: Any) -> Any:
        beyond = _beyond(np.abs(raw - y), float(self.epsilon))
        return _per_sample(beyond * beyond)

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        epsilon = float(self.epsilon)
        r = raw - y
        return 2.0 * (r - np.clip(r, -epsilon, epsilon))

    def curvature(self, n_outputs: int = 1) -> float:
        return 2.0


class Quantile(Loss):
    """Pinball loss, ``q r`` if ``r >= 0``, else ``(q - 1) r``, with ``r = y - raw``.

    The constant that minimises it is the q-quantile of y. The derivative at a residual of
    zero is taken as the mean of the slopes on both sides, ``1/2 - q``.

    Parameters
    ----------
    quantile : float in (0, 1), default=0.5
        Which quantile to predict; 0.5 is half the absolute error.

    References
    ----------
    R. Koenker, G. Bassett, "Regression quantiles", *Econometrica* 46, 1978.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import Quantile
    >>> Quantile(quantile=0.75).value(np.zeros(2), np.array([-1.0, 1.0]))
    array([0.75, 0.25])
    """

    def __init__(self, quantile: float = 0.5) -> None:
        self.quantile = quantile

    def check(self) -> None:
        check_number("quantile", self.quantile, low=0.0, high=1.0, include="neither")

    def value(self, y: np.ndarray, raw: Any) -> Any:
        # Written with abs, the graph gets the convention at zero from abs'(0) = 0.
        tilt = float(self.quantile) - 0.5
        r = y - raw
        return _per_sample(tilt * r + 0.5 * np.abs(r))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return 0.5 * np.sign(raw - y) - (float(self.quantile) - 0.5)


class LogCosh(Loss):
    """``log(cosh(raw - y))``: squared near zero, absolute far away, smooth everywhere.

    References
    ----------
    P. J. Green, "Bayesian reconstructions from emission tomography data using a modified EM
    algorithm", *IEEE Trans. Medical Imaging* 9, 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import LogCosh
    >>> LogCosh().value(np.zeros(2), np.array([0.0, 10000.0])).round(4)
    array([   0.    , 9999.3069])
    """

    holomorphic = True
    smooth = True

    def value(self, y: np.ndarray, raw: Any) -> Any:
        r = raw - y
        a = np.where(r < 0.0, -r, r)  # abs, in a form that keeps an imaginary part
        near = a < 1.0
        # Near zero: log1p(cosh r - 1), with cosh r - 1 = (e^r - 1)(1 - e^-r)/2, since the form
        # below would lose the small result in the difference of large terms.
        small = np.where(near, r, 0.0)
        close = np.log1p(-0.5 * np.expm1(small) * np.expm1(-small))
        # Far away: |r| + log((1 + e^-2|r|)/2), since cosh itself overflows.
        far = a + np.log1p(np.exp(-2.0 * a)) - LOG_2
        return _per_sample(np.where(near, close, far))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return np.tanh(raw - y)

    def curvature(self, n_outputs: int = 1) -> float:
        return 1.0


# --------------------------------------------------------------------------------------------
# Regression, log link
# --------------------------------------------------------------------------------------------


class Poisson(Loss):
    """Half the Poisson deviance with log link, ``y log(y / mu) - y + mu``, ``mu = exp(raw)``.

    For counts and frequencies: the mean is positive, the variance grows with it.

    References
    ----------
    P. McCullagh, J. A. Nelder, *Generalized Linear Models*, 1989, section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import Poisson
    >>> Poisson().gradient(np.array([0.0, 3.0]), np.array([0.0, 0.0]))
    array([ 1., -2.])
    """

    holomorphic = True
    smooth = True

    def value(self, y: np.ndarray, raw: Any) -> Any:
        return _per_sample(self._deviance(y, raw, _exp(raw)))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return _exp(raw) - y

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = _exp(raw)
        value = _per_sample(self._deviance(y, raw, mean))
        mean -= y
        return value, mean

    def link_name(self, n_outputs: int = 1) -> str:
        return "exponential"

    def inverse_link(self, raw: np.ndarray) -> np.ndarray:
        return _exp(raw)

    def link_of_mean(self, mean: Any) -> Any:
        return np.log(mean)

    def check_target(self, y: np.ndarray) -> None:
        if not (np.all(y >= 0.0) and np.all(np.sum(y, axis=0) > 0.0)):
            raise ValueError(
                "The loss 'poisson' takes targets y >= 0 with a positive sum for each output; "
                f"got values from {np.min(y):g} to {np.max(y):g}."
            )

    @staticmethod
    def _deviance(y: np.ndarray, raw: Any, mean: Any) -> Any:
        # Two differences that both go to zero at the minimum; y log y is 0 at y = 0.
        log_y = np.log(np.where(y > 0.0, y, 1.0))
        return y * (log_y - raw) + (mean - y)


class Gamma(Loss):
    """Half the gamma deviance with log link, ``y / mu - log(y / mu) - 1``, ``mu = exp(raw)``.

    For positive amounts whose standard deviation is proportional to their mean.

    References
    ----------
    P. McCullagh, J. A. Nelder, *Generalized Linear Models*, 1989, section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses import Gamma
    >>> Gamma().gradient(np.array([0.5, 3.0]), np.array([0.0, 0.0]))
    array([ 0.5, -2. ])
    """

    holomorphic = True
    smooth = True

    def value(self, y: np.ndarray, raw: Any) -> Any:
        # By t = log(mu / y) alone: y exp(-raw) could overflow in its second factor only.
        t = raw - np.log(y)
        return _per_sample(t + _expm1(-t))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        return -_expm1(np.log(y) - raw)

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = raw - np.log(y)
        excess = _expm1(-t)
        return _per_sample(t + excess), -excess

    def link_name(self, n_outputs: int = 1) -> str:
        return "exponential"

    def inverse_link(self, raw: np.ndarray) -> np.ndarray:
        return _exp(raw)

    def link_of_mean(self, mean: Any) -> Any:
        return np.log(mean)

    def check_target(self, y: np.ndarray) -> None:
        if not np.all(y > 0.0):
            raise ValueError(
                f"The loss 'gamma' takes targets y > 0; got values down to {np.min(y):g}."
            )


# --------------------------------------------------------------------------------------------
# Classification by probabilities
# --------------------------------------------------------------------------------------------


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


# --------------------------------------------------------------------------------------------
# Classification by margins: m = raw for the class itself, -raw for the rest
# --------------------------------------------------------------------------------------------


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


LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "epsilon_insensitive": EpsilonInsensitive,
    "squared_epsilon_insensitive": SquaredEpsilonInsensitive,
    "quantile": Quantile,
    "log_cosh": LogCosh,
    "poisson": Poisson,
    "gamma": Gamma,
    "log_loss": LogLoss,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "modified_huber": ModifiedHuber,
    "perceptron": Perceptron,
    "focal": Focal,
}


def losses_for(task: str) -> dict[str, type[Loss]]:
    """Rows of `LOSSES` that serve one task.

    Parameters
    ----------
    task : {"regression", "classification"}

    Returns
    -------
    losses : dict of str to class

    Examples
    --------
    >>> from skgd.losses import losses_for
    >>> list(losses_for("classification"))[:2]
    ['log_loss', 'hinge']
    """
    return {name: loss for name, loss in LOSSES.items() if loss.task == task}


def _per_sample(terms: Any) -> Any:
    """Sum over the outputs of each sample."""
    return terms if terms.ndim == 1 else np.sum(terms, axis=1)


def _margin(y: np.ndarray, raw: Any) -> Any:
    """Raw output towards the right side, elementwise: y in {0, 1} or one-hot."""
    return (2.0 * y - 1.0) * raw


def _lack(m: Any) -> Any:
    """How much of the margin 1 is missing."""
    return np.where(m < 1.0, 1.0 - m, 0.0)


def _beyond(distance: Any, epsilon: float) -> Any:
    return np.where(distance > epsilon, distance - epsilon, 0.0)


def _exp(x: Any) -> Any:
    # A true overflow gives inf. Whoever trains says what that means; it is no RuntimeWarning.
    with np.errstate(over="ignore"):
        return np.exp(x)


def _expm1(x: Any) -> Any:
    with np.errstate(over="ignore"):  # as in _exp
        return np.expm1(x)


def _probability(raw: np.ndarray) -> np.ndarray:
    return expit(raw) if raw.ndim == 1 else softmax(raw, axis=1)


def _logit(mean: Any) -> Any:
    """Raw output for class shares: logit of one share, logarithms of several."""
    mean = np.asarray(mean)
    eps = float(np.finfo(mean.dtype).eps)  # a class may be missing from the rows
    mean = np.clip(mean, eps, 1.0 - eps)
    return np.log(mean) - np.log1p(-mean) if mean.size == 1 else np.log(mean)
