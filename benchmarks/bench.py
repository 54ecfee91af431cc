"""All contests: skgd and its peers on the same data, in turn, in one process.

Run with ``make bench``, or ``python benchmarks/bench.py --only networks linear --rounds 3``. Every
library may use all processors. The table goes to the terminal, everything to JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
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


def use_fast_kernels_of_openblas() -> None:
    """Start again with the kernels that the processor can run, if OpenBLAS does not know it.

    OpenBLAS takes a processor that is newer than itself for an older one, and then uses half of its
    width. All that goes through NumPy's and SciPy's BLAS gains alike: scikit-learn and skgd.
    """
    if "OPENBLAS_CORETYPE" in os.environ or not Path("/proc/cpuinfo").exists():
        return
    chosen = {library.get("architecture") for library in threadpool_info()}
    if chosen & {"Haswell", "Zen"} and " avx512f " in Path("/proc/cpuinfo").read_text():
        os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"
        os.execv(sys.executable, [sys.executable, *sys.argv])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/bench.json"))
    parser.add_argument("--blas-as-it-is", action="store_true", help="leave OpenBLAS its kernels")
    options = parser.parse_args()
    if not options.blas_as_it_is:
        use_fast_kernels_of_openblas()
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
    for group in options.only:
        GROUPS[group](report, options.rounds)
    report.fact("the whole run, minutes", (time.perf_counter() - start) / 60)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report.as_dict(), indent=1))


if __name__ == "__main__":
    main()
