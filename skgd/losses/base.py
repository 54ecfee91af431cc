"""What a loss is, and what its subclasses share."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from skgd._component import Component

LOG_2 = 0.6931471805599453

# Name -> class. `skgd.losses.table` fills it; here, a loss can ask whether it is a row.
LOSSES: dict[str, type[Loss]] = {}


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


def _per_sample(terms: Any) -> Any:
    """Sum over the outputs of each sample."""
    return terms if terms.ndim == 1 else np.sum(terms, axis=1)
