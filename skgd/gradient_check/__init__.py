"""The gradient sources compared, block by block: `check_gradient` and its report."""

from skgd.gradient_check.check import check_gradient
from skgd.gradient_check.report import GradientCheck

__all__ = ["GradientCheck", "check_gradient"]
