"""What the loop asks of the others: of the function, the engine, and those who look on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from skgd.descent.progress import Progress
from skgd.objective import Batch


class Function(Protocol):
    """What the loop asks of the function that it makes small; `Objective` is one."""

    @property
    def model(self) -> Any:
        """Has `n_weights` and `decay_mask`, which tell weights and intercepts apart."""

    @property
    def l1_strength(self) -> float:
        """Factor on ``||weights||_1``, which is not part of the gradient."""

    def value(self, theta: np.ndarray, batch: Batch) -> float:
        """Return its value on the batch."""


Monitor = Callable[[Progress], tuple[float, float]]
BeforeEpoch = Callable[[Progress], None]
OnEpoch = Callable[[Progress], str | None]


class EpochTaker(Protocol):
    """Who takes the steps of an epoch: `Epochs` by NumPy, or a compiled engine."""

    before_last_step: np.ndarray  # the parameters at which the epoch's last J was measured

    def run(self, progress: Progress) -> float:
        """Take one pass over the rows, or end it at the first J that is not finite.

        Returns the running mean of J, or that J.
        """

    def gradient_norm(self) -> float:
        """Norm of the gradient of the last batch by u, before clipping."""

    def close(self) -> None:
        """Let go of what the steps needed."""


# objective, gradient_of, batches, plan, progress -> EpochTaker
Engine = Callable[..., EpochTaker]
