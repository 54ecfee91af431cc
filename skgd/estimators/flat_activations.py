"""Activations with steps: the derivative is zero, and the weights before them do not learn."""

from __future__ import annotations

import numpy as np

from skgd.activations import ACTIVATIONS, Activation
from skgd.exceptions import warn_user
from skgd.gradients import Analytic, GradientSource, Numeric

# Dense around 0 and out to 74 on both sides, away from round numbers, where steps are.
_PLACES = np.sinh(np.linspace(-5.0, 5.0, 401))[:, np.newaxis] + 0.0123
_STEP = 1e-9  # relative; a step of a function hardly ever lies within it


def warn_of_a_flat_activation(activation: Activation, source: GradientSource) -> None:
    """Warn where this source finds a derivative of zero everywhere.

    Parameters
    ----------
    activation : Activation
        Of a hidden layer.
    source : GradientSource
        One that goes by random directions sees what a step does.
    """
    if type(activation) in ACTIVATIONS.values() or source.mean_square(1) > 1.0:
        return
    by_hand = isinstance(source, Analytic) or (
        isinstance(source, Numeric) and source.space == "predictions"
    )
    if is_flat(activation, by_hand=by_hand and activation.has_derivative):
        warn_user(
            f"{activation!r} is flat: its derivative is zero wherever it was tried, so that "
            f"by {source!r} the loss has a gradient of zero by the weights before it, and only the "
            "layers after it learn. Use an activation that rises, such as 'logistic' or 'tanh'; or "
            'gradient=Numeric(method="smoothed"); or an Activation object whose method '
            'backward(delta, z, a) lets a gradient through, with gradient="analytic".'
        )


def is_flat(activation: Activation, *, by_hand: bool) -> bool:
    """Whether the derivative is zero at some hundred places.

    Parameters
    ----------
    activation : Activation
    by_hand : bool
        Ask for the derivative that is written by hand; else differences of the values tell.

    Returns
    -------
    flat : bool
    """
    with np.errstate(all="ignore"):
        try:
            if by_hand:
                delta = np.ones_like(_PLACES)
                activation.backward(delta, _PLACES.copy(), np.asarray(activation(_PLACES)))
                return not delta.any()
            h = _STEP * (1.0 + np.abs(_PLACES))
            return bool(np.all(activation(_PLACES + h) == activation(_PLACES - h)))
        except Exception:  # it may not be defined at all these places
            return False
