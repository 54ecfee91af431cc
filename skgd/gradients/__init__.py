"""Who computes the gradient. It is not who learns: see `skgd.optimizers`.

analytic  the derivative written down by hand for this model and loss; no graph.
backprop  the forward pass, plain NumPy, is recorded as a graph; the chain rule is applied to
          each node, backwards. No hand-written derivative of a loss or model is called.
numeric   only evaluates J: each parameter is moved a little and the change is measured.

So the three check each other. All return the smooth part of J (loss + L2).

theta are the parameters that the model has; u are the coordinates in which the optimizer moves
them (`skgd.objective.coordinates`), often theta itself. A bound source takes u and gives dJ/du.
"""

from skgd.gradients.analytic import Analytic
from skgd.gradients.backprop import Backprop
from skgd.gradients.base import GradientSource
from skgd.gradients.numeric import Numeric
from skgd.gradients.table import GRADIENTS

__all__ = ["GRADIENTS", "Analytic", "Backprop", "GradientSource", "Numeric"]
