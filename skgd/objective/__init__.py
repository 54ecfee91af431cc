"""J(theta), the number that learning makes small: model, data and penalty on a flat vector.

The parts that users choose have modules of their own: `skgd.losses`, `skgd.penalties`,
`skgd.constraints`, `skgd.activations`, `skgd.initialisers`.
"""

from skgd.objective.batch import Batch
from skgd.objective.models import FeedForward
from skgd.objective.objective import DataObjective, Objective

__all__ = ["Batch", "DataObjective", "FeedForward", "Objective"]
