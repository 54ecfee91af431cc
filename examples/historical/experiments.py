"""The experiments on which back-propagation became known, run again: published figures and ours.

    python examples/historical/experiments.py            20 seeds
    python examples/historical/experiments.py --quick     3 seeds, at most 1,500 sweeps

A run succeeds when every output of every case is on the right side of 0.5; that is looked at
every 10 sweeps. A sweep is one step on the sum of the errors over all cases. "right" are cases at
the end, in the worst and in the best run. See docs/historical.md.
"""

import argparse

import numpy as np
from representations import print_representations
from runner import run_all
from settings import EXPERIMENTS

ROW = "{:9} {:14} {:>5} {:>4} {:>5} {:>6}  {:19} {:>8} {:>7} {:>13} {:>9}"
HEAD = (
    *("problem", "net", "eta", "mom.", "U(-a)", "y", "published"),
    *("succeed", "median", "sweeps", "right"),
)


def row(experiment, runs):
    """Return one line of the table, as text."""
    sweeps = [run.sweeps for run in runs if run.sweeps is not None]
    n_right = [run.n_right for run in runs]
    low, high = experiment.targets
    return (
        experiment.problem,
        experiment.net(),
        f"{experiment.eta:g}",
        f"{experiment.momentum:g}",
        f"{experiment.spread:g}",
        f"{low:g}/{high:g}",
        experiment.published,
        f"{len(sweeps)}/{len(runs)}",
        f"{np.median(sweeps):,.0f}" if sweeps else "-",
        f"{min(sweeps):,}-{max(sweeps):,}" if sweeps else "-",
        f"{min(n_right)}-{max(n_right)}",
    )


def print_table(runs, limit):
    n_seeds = max(map(len, runs.values()))
    print(f"{n_seeds} seeds, at most {limit:,} sweeps")
    print(ROW.format(*HEAD))
    for experiment, of_experiment in runs.items():
        print(ROW.format(*row(experiment, of_experiment)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="runs of each experiment")
    parser.add_argument("--limit", type=int, default=10_000, help="most sweeps of a run")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 is all processors")
    parser.add_argument("--quick", action="store_true", help="3 seeds, 1,500 sweeps, one process")
    given = parser.parse_args()
    if given.quick:
        given.seeds, given.limit, given.jobs = 3, 1500, 1
    runs = run_all(EXPERIMENTS, given.seeds, given.limit, given.jobs)
    print_table(runs, given.limit)
    print_representations(runs, given.limit)


if __name__ == "__main__":
    main()
