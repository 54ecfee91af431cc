"""What a schedule is, and how horizons and periods are counted."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from skgd._component import Component, check_number

# A period that is a fraction of the horizon may end, by rounding, a hair after the step that
# should begin the next one (3 * 0.1 > 0.3). A nudge of this size brings it back.
_NUDGE = 1e-9


class Schedule(Component, ABC):
    """What a schedule is: a function from the step to a factor on the learning rate."""

    # True when the factor depends on the losses of the epochs so far. It then moves only between
    # epochs, so the training loop needs to ask once per epoch.
    watches_loss: bool = False
    # True when it is told of epochs in place of steps; it too is asked once per epoch.
    counts_epochs: bool = False

    @property
    def has_horizon(self) -> bool:
        """Whether the factor depends on the number of planned steps."""
        return False

    @abstractmethod
    def __call__(self, step: int, n_steps: int | None, losses: Sequence[float] = ()) -> float:
        """Return the factor on the learning rate.

        Parameters
        ----------
        step : int
            The optimizer's step, from 0.
        n_steps : int or None
            Planned steps of the whole training; None where there is no plan.
        losses : sequence of float
            Losses of the epochs that are over, the oldest first.

        Returns
        -------
        factor : float

        Raises
        ------
        ValueError
            The schedule needs a horizon and has none.
        """

    def momentum(self, step: int, n_steps: int | None) -> float | None:
        """Return the momentum for this step, or None to leave the optimizer its own.

        Parameters
        ----------
        step : int
            The optimizer's step, from 0.
        n_steps : int or None
            Planned steps of the whole training; None where there is no plan.

        Returns
        -------
        momentum : float or None
        """
        return None

    def for_training(self) -> Schedule:
        """Return the schedule to use in one training, which may remember what it was asked.

        Returns
        -------
        schedule : Schedule
        """
        return self


def _cosine(first: float, last: float, part: float) -> float:
    """Go from `first` (part 0) to `last` (part 1) along half a cosine."""
    return float(last + (first - last) * (1 + math.cos(math.pi * part)) / 2)


def _horizon(schedule: Any, n_steps: int | None) -> int:
    horizon = n_steps if schedule.n_steps is None else schedule.n_steps
    if horizon is None:
        name = type(schedule).__name__
        raise ValueError(
            f"schedule {name} needs to know how many steps the whole training takes: "
            f"give {name}(n_steps=...)."
        )
    return max(horizon, 1)


def _period(schedule: Any, length: float, n_steps: int | None) -> float:
    """Length of a period in steps; a fraction is a fraction of the horizon."""
    if isinstance(length, numbers.Integral):
        return int(length)
    return max(float(length) * _horizon(schedule, n_steps), 1.0)


def _check_period(parameter: str, value: Any) -> None:
    if isinstance(value, numbers.Integral):
        check_number(parameter, value, low=1, integer=True)
    else:
        check_number(
            f"{parameter}, if not a whole number,", value, low=0, high=1, include="neither"
        )


def _check_horizon(n_steps: Any) -> None:
    if n_steps is not None:
        check_number("n_steps", n_steps, low=1, integer=True)
