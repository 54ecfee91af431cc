"""Callbacks on scikit-learn's protocol: what looks at a training, and may end it, epoch by epoch.

``model.set_callbacks(PrintLog(), TimeLimit(60))``, beside those of `sklearn.callback` (ProgressBar,
ScoringMonitor). A callback is called after each epoch of `fit`; where none is set, nothing is.
`partial_fit` calls none: whoever calls it has the loop in their own hands.

A callback that is set on an estimator inside a pipeline or a search is shared by the clones, and
copied to worker processes: it keeps apart the trainings it sees by their place in the tree of
tasks, and what it gathers in another process stays there (a file does not).
"""

from __future__ import annotations

from skgd.callbacks._checkpoint import Checkpoint
from skgd.callbacks._protocol import Callback
from skgd.callbacks._stops import EarlyStopping, TimeLimit
from skgd.callbacks._watchers import GradientNorms, PrintLog, RecordPath

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "GradientNorms",
    "PrintLog",
    "RecordPath",
    "TimeLimit",
]
