"""An activation on the output layer, as the first part of the loss.

The link belongs to the loss (`skgd.losses`): so does an output activation. ``J(theta)`` of
logistic output units with squared error is the composite loss ``1/2 (logistic(raw) - y)^2`` on
the raw outputs of an ordinary network, and every gradient source works for it as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skgd.activations import ACTIVATIONS, Activation, Identity, activation_name
from skgd.losses.base import LOSSES, Loss
from skgd.losses.function_loss import FunctionLoss


class OutputActivation(Loss):
    """A loss of the activation of the raw output: ``loss(y, activation(raw))``.

    Estimators make it of `out_activation`; there is no need to.

    Parameters
    ----------
    loss : Loss
        Without a link of its own.
    activation : Activation
    task : {"regression", "classification"}
        Which estimator it is for: squared error on {0, 1} serves a classifier, too.
    measured : Loss, default=None
        What `measured_on` found.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.activations import Logistic
    >>> from skgd.losses import SquaredError
    >>> from skgd.losses.output_activation import OutputActivation
    >>> loss = OutputActivation(SquaredError(), Logistic())
    >>> loss.value(np.array([0.0, 1.0]), np.array([0.0, 0.0]))
    array([0.125, 0.125])
    >>> loss.gradient(np.array([0.0, 1.0]), np.array([0.0, 0.0]))  # (a - y) a (1 - a)
    array([ 0.125, -0.125])
    """

    convex = False
    has_output_activation = True

    def __init__(
        self, loss: Loss, activation: Activation, task: str = "regression", measured: Any = None
    ) -> None:
        self.loss = loss
        self.activation = activation
        self.task = task  # type: ignore[misc]
        self.measured = measured

    @property
    def threshold(self) -> float:
        """Output above which it speaks for a class: margins change sides at 0, {0, 1} at 1/2."""
        row = type(self.loss)
        return 0.0 if row in LOSSES.values() and row.task == "classification" else 0.5

    @property
    def holomorphic(self) -> bool:  # type: ignore[override]
        """Whether both parts are."""
        return self.loss.holomorphic and self.activation.holomorphic

    @property
    def degenerate(self) -> bool:  # type: ignore[override]
        """Whether a model that says nothing has the lowest loss."""
        return self.loss.degenerate

    @property
    def any_rows(self) -> bool:
        """Whether both parts are known to be row by row."""
        return self.loss.any_rows and type(self.activation) in ACTIVATIONS.values()

    @property
    def needs_trial(self) -> bool:
        """Always: nobody knows how the two bend together."""
        return True

    @property
    def has_gradient(self) -> bool:
        """Whether both parts have a derivative written by hand."""
        return self.loss.has_gradient and self.activation.has_derivative

    @property
    def per_sample(self) -> bool:  # type: ignore[override]
        """Whether the loss returns one value for each sample."""
        return self.loss.per_sample if self.measured is None else self.measured.per_sample

    @property
    def unit(self) -> float | None:  # type: ignore[override]
        """Size of the loss where the raw outputs are of order one."""
        return None if self.measured is None else self.measured.unit

    @property
    def in_units_of_y(self) -> bool:
        """Never: an activation has its own range."""
        return False

    def link_of_mean(self, mean: Any) -> Any:
        """Zero: what raw output gives the mean, nobody knows."""
        return np.zeros_like(mean)

    def curvature(self, n_outputs: int = 1) -> float | None:
        """Largest second derivative that was measured along some directions."""
        return None if self.measured is None else self.measured.curvature(n_outputs)

    def value(self, y: np.ndarray, raw: Any) -> Any:
        """Loss of the activations of `raw`."""
        return self.loss.value(y, self.activation(raw))

    def gradient(self, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """Return the derivative by `raw`, by the chain rule."""
        return self.value_and_gradient(y, raw)[1]

    def value_and_gradient(self, y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both; the activation is needed for each."""
        a = np.empty_like(raw)
        self.activation.forward(raw, a)
        value, delta = self.loss.value_and_gradient(y, a)
        self.activation.backward(delta, raw, a)
        return value, delta

    def decision(self, raw: np.ndarray) -> np.ndarray:
        """Activation less `threshold`."""
        return self.activation(raw) - self.threshold

    def inverse_link(self, raw: np.ndarray) -> np.ndarray:
        """Activation of `raw`."""
        return self.activation(raw)

    def link_name(self, n_outputs: int = 1) -> str:
        """Name of the activation."""
        return activation_name(self.activation)

    def check_target(self, y: np.ndarray) -> None:
        """As the loss."""
        self.loss.check_target(y)

    def measured_on(
        self, y: np.ndarray, weight: np.ndarray | None, known: Loss | None = None
    ) -> Loss:
        """Try both parts together on the targets, with raw outputs of order one."""
        same = isinstance(known, OutputActivation) and known.part_of(self)
        if same and known is not None and (weight is None or known.per_sample):
            return known
        if self.activation(np.zeros_like(y)).shape != y.shape:
            raise ValueError(f"out_activation {self.activation!r} must keep the shape of raw.")
        # A classifier's raw outputs are of order one, and so are these.
        measured = FunctionLoss(self.value, "classification").measured_on(y, weight)
        return OutputActivation(self.loss, self.activation, self.task, measured)

    def part_of(self, other: OutputActivation) -> bool:
        """Whether `other` is the same, but for what was measured."""
        return (
            type(self.loss) is type(other.loss)
            and repr(self.loss) == repr(other.loss)
            and getattr(self.loss, "function", None) is getattr(other.loss, "function", None)
            and repr(self.activation) == repr(other.activation)
        )

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return f"{self.loss!r} of {self.activation!r}"


def through(loss: Loss, activation: Activation | None, task: str) -> Loss:
    """Return the loss that takes the activation of the raw output.

    Parameters
    ----------
    loss : Loss
    activation : Activation or None
        None is none besides the link of the loss.
    task : {"regression", "classification"}

    Returns
    -------
    loss : Loss

    Raises
    ------
    ValueError
        The loss has a link of its own, or probabilities of its own.
    """
    own = type(loss).task == task or isinstance(loss, FunctionLoss)
    if activation is None or (own and isinstance(activation, Identity)):
        return loss
    if loss.link_name() != "identity" or loss.has_proba:
        link = f"its own link, {loss.link_name()!r}" if not loss.has_proba else "probabilities"
        raise ValueError(
            f"out_activation={activation_name(activation)!r} does not go with {loss!r}, which "
            f"takes raw outputs and makes {link} of them: use out_activation='auto', or a loss "
            "that compares outputs with targets, such as loss='squared_error'."
        )
    return OutputActivation(loss, activation, task)
