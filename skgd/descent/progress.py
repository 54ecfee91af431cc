"""Where a training stands: all that a next call of the loop needs to go on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skgd.descent.growing import FirstEntries
from skgd.descent.stopping import MAX_ITER
from skgd.objective.coordinates import Coordinates

_BOTTOMLESS = 1e6  # times the size of J at the start


@dataclass
class Progress:
    """Where a training stands: all that a next call of `descend` needs to go on.

    `u` are the parameters in the coordinates of the descent.
    """

    u: np.ndarray
    coordinates: Coordinates
    automatic_rate: float = math.inf
    optimizer_state: dict[str, Any] = field(default_factory=dict)
    averaged: np.ndarray | None = None
    n_averaged: int = 0
    epoch: int = 0
    step: int = 0
    samples: int = 0
    gradient_evaluations: int = 0
    loss_evaluations: int = 0
    # Entries are only ever added: what callbacks are given shares these lists.
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # since the training began
    validation_losses: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    first_loss: float | None = None
    best_loss: float = math.inf
    best_u: np.ndarray | None = None
    start_u: np.ndarray | None = None  # of this training, while it lasts
    best_score: float = -math.inf
    epochs_without_progress: int = 0
    epochs_far_above: int = 0
    stop_reason: str = MAX_ITER
    failed_epoch: int | None = None  # the one in which J was not finite

    def far_above_start(self, loss: float, start: float = 0.0, factor: float = 1e3) -> bool:
        """Whether J is so far above its first value that it cannot be noise, or not finite.

        `start` is J at the start of this pass on the rows of `loss`, where it is known.
        """
        first = 0.0 if self.first_loss is None else abs(self.first_loss)
        if math.isfinite(start):
            first = max(first, abs(start))
        return not loss <= factor * max(first, self.coordinates.unit)  # nan is far above, too

    def bottomless(self) -> bool:
        """Whether J came so far below zero that it seems to have no lower bound."""
        lowest = min(self.losses, default=0.0)
        return lowest < -_BOTTOMLESS * max(abs(self.first_loss or 0.0), self.coordinates.unit)

    def never_better_than_start(self) -> bool:
        """Whether J was above twice its first value in every epoch after the first."""
        if self.first_loss is None or len(self.losses) < 2:
            return False
        return min(self.losses[1:]) > 2.0 * max(abs(self.first_loss), float(np.finfo(float).tiny))

    def taken_up(self, theta: np.ndarray) -> Progress:
        """Return a copy that goes on from `theta`, if somebody changed it in between.

        This one stays as it is: the next pass may fail. (And arrays of a model that was loaded as
        a memory map cannot be written.)
        """
        fresh = self.copy()
        changed = not np.array_equal(theta, self.parameters().astype(theta.dtype))
        if changed:
            fresh.u = self.coordinates.to_u(theta.astype(self.u.dtype))
            fresh.averaged, fresh.n_averaged = None, 0
        if changed or self.start_u is not None:  # of a fit that is not over: this is another one
            fresh.forget_best()
        fresh.start_u = None
        return fresh

    def forget_best(self) -> None:
        """Begin anew to look for the best epoch."""
        self.best_u, self.best_score, self.epochs_without_progress = None, -math.inf, 0

    def copy(
        self, of_list: Callable[[Sequence[float]], Sequence[float]] = lambda values: [*values]
    ) -> Progress:
        """Return a copy that the training does not change; the coordinates never change."""
        fresh: dict[str, Any] = dict(vars(self))
        for name, value in fresh.items():
            if isinstance(value, np.ndarray):
                fresh[name] = value.copy()
            elif isinstance(value, Sequence) and not isinstance(value, str):
                fresh[name] = of_list(value)
        fresh["optimizer_state"] = {
            name: value.copy() if isinstance(value, np.ndarray) else value
            for name, value in self.optimizer_state.items()
            if name != "scratch"
        }
        return Progress(**fresh)

    def snapshot(self) -> Progress:
        """Return a copy to be read, and not to be trained: its lists are shared with this one."""
        return self.copy(of_list=FirstEntries)

    def history(self) -> dict[str, Any]:
        """Return lists of equal length, one entry for each epoch that was completed."""
        lists = self._lists()
        n = min(map(len, lists.values()))
        if isinstance(self.losses, FirstEntries):
            return {
                "epoch": FirstEntries(range(1, n + 1)),
                **{name: FirstEntries(values, n) for name, values in lists.items()},
            }
        return {
            "epoch": list(range(1, n + 1)),
            **{name: values[:n] for name, values in lists.items()},
        }

    def last_epoch(self) -> dict[str, float]:
        """Return the last entries of `history`."""
        return {"epoch": self.epoch} | {name: v[-1] for name, v in self._lists().items()}

    def _lists(self) -> dict[str, list[float]]:
        lists = {"loss": self.losses}
        if self.validation_losses:
            lists |= {
                "validation_loss": self.validation_losses,
                "validation_score": self.validation_scores,
            }
        return lists | {
            "learning_rate": self.rates,
            "gradient_norm": self.gradient_norms,
            "seconds": self.seconds,
        }

    def published_u(self) -> np.ndarray:
        """Return u, or its average where one is kept."""
        return self.u if self.averaged is None else self.averaged

    def parameters(self) -> np.ndarray:
        """Theta of the current u, or of its average where one is kept, in a new array."""
        u = self.published_u()
        return self.coordinates.to_theta(u, out=np.empty_like(u)).copy()


def start_of_clock(progress: Progress) -> float:
    """When this training began, had it run without a break."""
    return time.perf_counter() - (progress.seconds[-1] if progress.seconds else 0.0)
