"""What a fitted estimator keeps for a later partial_fit, and what a failed fit leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from skgd.estimators.parameters import Components


@dataclass
class Memory:
    """Where an estimator's training stands, and the settings that its optimizer state fits."""

    progress: Any
    seed: int
    settings: tuple[Any, ...]


def copied(value: Any) -> Any:
    """Copy arrays, and lists of arrays such as the classes of several labels."""
    if isinstance(value, list):
        return [copied(entry) for entry in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def settings_of(estimator: Any, components: Components) -> tuple[Any, ...]:
    """Return the settings with which an optimizer's state can be taken up again."""
    optimizer = components.optimizer
    return type(optimizer), dict(vars(optimizer)), isinstance(estimator.learning_rate, str)


@contextmanager
def unchanged_on_failure(estimator: Any) -> Iterator[Callable[[], None]]:
    """Put the estimator's attributes back if the block fails, unless `keep` was called in it."""
    before = dict(estimator.__dict__)
    kept = []
    try:
        yield lambda: kept.append(True)
    except BaseException:
        if not kept:
            estimator.__dict__.clear()
            estimator.__dict__.update(before)
        raise
