"""Pictures, in the way of scikit-learn's displays; matplotlib is the extra ``plot``.

Each display has `from_estimator`, which computes and draws, and `plot`, which draws what was
computed once more. Colours are told apart by every kind of colour vision.
"""

from skgd.plotting._error_surface import ErrorSurfaceDisplay
from skgd.plotting._gradient_check import GradientCheckDisplay
from skgd.plotting._loss_curve import LossCurveDisplay
from skgd.plotting._weights import WeightsDisplay

__all__ = ["ErrorSurfaceDisplay", "GradientCheckDisplay", "LossCurveDisplay", "WeightsDisplay"]
