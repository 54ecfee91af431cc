"""What the four estimators share, and what makes one training ready.

`GradientLearner` is their base: it checks parameters and data, makes the objective, hands it to
the loop, and keeps what was learned. The estimators are in `skgd.linear` and `skgd.neural`.
"""

from skgd.estimators.base import GradientLearner

__all__ = ["GradientLearner"]
