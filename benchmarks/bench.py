"""All contests: skgd and its peers on the same data, in turn, in one process.

Run with ``make bench``, or ``python benchmarks/bench.py --only networks linear --rounds 3``. Every
library may use all processors. The table goes to the terminal, everything to JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import footprint
import grid_search
import growth
import linear
import networks
import predictions
import whole_fit
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info
from timing import Report

GROUPS = {
    "networks": networks.run,
    "linear": linear.run,
    "whole_fit": whole_fit.run,
    "predictions": predictions.run,
    "grid_search": grid_search.run,
    "footprint": footprint.run,
    "growth": growth.run,
}
PACKAGES = ("skgd", "numpy", "scipy", "scikit-learn", "numba", "torch", "jax")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/bench.json"))
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    report = Report()
    report.facts["machine"] = f"{platform.machine()}, {os.cpu_count()} processors"
    kernels = [library.get("architecture") for library in threadpool_info()]
    report.fact("kernels of BLAS", ", ".join(map(str, kernels)))
    for package in PACKAGES:
        try:
            report.facts[f"version of {package}"] = version(package)
        except PackageNotFoundError as error:
            report.skip(package, error)
    start = time.perf_counter()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    for group in options.only:
        GROUPS[group](report, options.rounds)
        report.fact("minutes so far", (time.perf_counter() - start) / 60)
        options.json.write_text(json.dumps(report.as_dict(), indent=1))  # a run may be ended early


if __name__ == "__main__":
    main()
