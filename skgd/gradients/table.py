"""The table of gradient sources."""

from __future__ import annotations

from skgd.gradients.analytic import Analytic
from skgd.gradients.backprop import Backprop
from skgd.gradients.base import GradientSource
from skgd.gradients.numeric import Numeric

GRADIENTS: dict[str, type[GradientSource]] = {
    "analytic": Analytic,
    "backprop": Backprop,
    "numeric": Numeric,
}
