"""THE loop, with what it needs: a plan, batches, stopping, and a record of where it stands.

Gradient source and optimizer meet here and nowhere else.
"""

from skgd.descent.loop import (
    Batches,
    BeforeEpoch,
    Engine,
    Epochs,
    Function,
    Monitor,
    OnEpoch,
    Plan,
    Progress,
    descend,
)

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
