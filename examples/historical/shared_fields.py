"""T or C with shared fields: a network that no estimator offers, written in NumPy, and `minimize`.

Every hidden unit looks at 3 x 3 squares of the retina, all with the same nine weights, bias and
weight to the output: a feature detector that is everywhere. The function says that the weights
are the same ones, and back-propagation through NumPy does the rest.

All seeds train at once, one per column of theta. Their errors add up and have no parameter in
common, so each column descends on its own error alone.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from skgd import minimize
from skgd.datasets import make_tc
from skgd.optimizers import Momentum

PARTS = 11  # of a detector: nine weights of its field, its bias, its weight to the output
SWEEPS_BETWEEN_CHECKS = 10


def eight_patterns(low, high):
    """Each letter in its four rotations: X of shape (8, 9), y of shape (8,)."""
    X, y = make_tc(3, low=low, high=high)
    rows = np.r_[0:4, 4:12:2]  # C fits twice into 3 x 3 squares
    return X[rows], y[rows]


def fields(X):
    """All 3 x 3 squares that see something, on a retina with a margin: (n, fields, 9)."""
    size = int(np.sqrt(X.shape[1]))
    retina = np.pad(X.reshape(-1, size, size), ((0, 0), (2, 2), (2, 2)))
    return sliding_window_view(retina, (3, 3), axis=(1, 2)).reshape(len(X), -1, 9)


def logistic(z):
    return 1.0 / (1.0 + np.exp(-z))


def outputs(theta, seen):
    """Answer of each network to each image: (n, seeds)."""
    seeds = theta.shape[1]
    detectors = theta[:-1].reshape(PARTS, -1, seeds)
    field, bias, to_output = detectors[:9], detectors[9], detectors[10]
    net = (seen @ field.reshape(9, -1)).reshape(*seen.shape[:2], -1, seeds) + bias
    everywhere = logistic(net).sum(axis=1)
    return logistic((everywhere * to_output).sum(axis=1) + theta[-1])


def error(theta, seen, y):
    """Half the squared errors, summed over cases, and over the seeds' separate networks."""
    return 0.5 * np.sum((outputs(theta, seen) - y[:, None]) ** 2)


def train(n_detectors, targets, eta, momentum, spread, limit, seeds):
    """Train a network for each seed.

    Returns
    -------
    sweeps : list of int or None
        When each first had every answer on the right side of 0.5; None where it never had.
    n_right : list of int
        How many of the eight are right: all, or those at the end.
    theta : ndarray of shape (11 n_detectors + 1, seeds)
    """
    X, y = eight_patterns(*targets)
    seen = fields(X)
    shape = PARTS * n_detectors + 1
    starts = [np.random.default_rng(seed).uniform(-spread, spread, shape) for seed in range(seeds)]
    sweeps = [None] * seeds
    n_sweeps = 0

    def count_right(theta):
        return np.sum((outputs(theta, seen) > 0.5) == (y[:, None] > 0.5), axis=0)

    def watch(theta):
        nonlocal n_sweeps
        n_sweeps += 1
        if n_sweeps % SWEEPS_BETWEEN_CHECKS:
            return
        for seed, n in enumerate(count_right(theta)):
            if n == len(y) and sweeps[seed] is None:
                sweeps[seed] = n_sweeps
        if None not in sweeps:
            raise StopIteration

    result = minimize(
        error,
        np.column_stack(starts),
        args=(seen, y),
        optimizer=Momentum(momentum),
        learning_rate=eta,
        max_iter=limit,
        tol=None,
        callback=watch,
    )
    at_end = count_right(result.x).tolist()
    n_right = [at_end[seed] if sweeps[seed] is None else len(y) for seed in range(seeds)]
    return sweeps, n_right, result.x
