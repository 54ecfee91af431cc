"""Runs an experiment with many seeds, and counts the sweeps until every answer is right."""

from dataclasses import dataclass

import numpy as np
import shared_fields
from joblib import Parallel, delayed
from settings import SharedFields

SWEEPS_BETWEEN_CHECKS = 10


@dataclass(frozen=True)
class Run:
    """One network: when it first had all cases right (None: never), and how many at the end."""

    sweeps: int | None
    n_right: int


def right(outputs, y):
    """Whether every output of a case is on the right side of 0.5: (n_cases,) of bool."""
    same_side = (outputs > 0.5) == (y > 0.5)
    return same_side.reshape(len(y), -1).all(axis=1)


def sweeps_at_once(X, y):
    """Repeat the data: one pass of batches, in order, is then several sweeps."""
    times = SWEEPS_BETWEEN_CHECKS
    return np.tile(X, (times, 1)), np.tile(y, (times, *[1] * (y.ndim - 1)))


def learn(model, X, y, n_sweeps, stop=True):
    """Train for so many sweeps, or until all cases are right; return the sweeps it took."""
    pass_of_sweeps = sweeps_at_once(X, y)
    for n_done in range(SWEEPS_BETWEEN_CHECKS, n_sweeps + 1, SWEEPS_BETWEEN_CHECKS):
        model.partial_fit(*pass_of_sweeps)
        if stop and right(model.predict(X), y).all():
            return n_done
    return None


def run_network(experiment, seed, limit):
    X, y = experiment.cases()
    model = experiment.estimator(seed)
    sweeps = learn(model, X, y, limit)
    return Run(sweeps, int(right(model.predict(X), y).sum()))


def run_shared_fields(experiment, n_seeds, limit):
    """All seeds at once."""
    sweeps, n_right, _ = shared_fields.train(
        experiment.n_detectors,
        experiment.targets,
        experiment.eta,
        experiment.momentum,
        experiment.spread,
        limit,
        n_seeds,
    )
    return [Run(*run) for run in zip(sweeps, n_right, strict=True)]


def run_all(experiments, n_seeds, limit=np.inf, n_jobs=-1):
    """Run each experiment with the seeds 0, 1, 2, ...

    Parameters
    ----------
    experiments : list of Experiment and SharedFields
    n_seeds : int
    limit : int
        No run takes more sweeps, whatever its experiment allows.
    n_jobs : int
        Processes.

    Returns
    -------
    runs : dict of experiment to list of Run
        In the order of the experiments; run i has seed i.
    """
    tasks = []
    for experiment in experiments:
        most = min(experiment.limit, limit)
        if isinstance(experiment, SharedFields):
            tasks.append((run_shared_fields, experiment, n_seeds, most))
        else:
            tasks += [(run_network, experiment, seed, most) for seed in range(n_seeds)]
    done = Parallel(n_jobs)(delayed(function)(*args) for function, *args in tasks)
    runs = {}
    for (_, experiment, *_), result in zip(tasks, done, strict=True):
        runs.setdefault(experiment, []).extend(result if isinstance(result, list) else [result])
    return runs
