"""THE loop, with what it needs: a plan, batches, stopping, and a record of where it stands.

Gradient source and optimizer meet here and nowhere else.
"""

from skgd.descent.batches import Batches
from skgd.descent.epochs import Epochs
from skgd.descent.loop import descend
from skgd.descent.plan import Plan
from skgd.descent.progress import Progress
from skgd.descent.protocols import BeforeEpoch, Engine, Function, Monitor, OnEpoch

__all__ = [
    "Batches",
    "BeforeEpoch",
    "Engine",
    "Epochs",
    "Function",
    "Monitor",
    "OnEpoch",
    "Plan",
    "Progress",
    "descend",
]
