"""Whether a commit is slower than another: both are run in turn, and a slowdown is an error.

Run: python benchmarks/compare_commits.py OLD NEW [--rounds 7]. Each commit is checked out beside
the other; a round runs every case once for each, in processes of their own. A case is slower where
its median grew by more than 15 % and by more than 0.05 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT, LEAST = 1.15, 0.05  # times, seconds
ROOT = Path(__file__).resolve().parent.parent

# Runs in both commits: only names that every version has.
CASES = """
import json, sys, time, warnings
import numpy as np
from sklearn.datasets import load_digits
from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)
X = X / 16
A = rng.standard_normal((300_000, 28))
b = (A[:, 0] + rng.standard_normal(len(A)) > 0).astype(int)
B = rng.standard_normal((10_000, 100))
cases = {
    "network, digits, batch 32": lambda: MLPBackpropClassifier(
        (100,), batch_size=32, max_iter=40, tol=None, random_state=0).fit(X, y),
    "network, digits, batch 200": lambda: MLPBackpropClassifier(
        (100,), batch_size=200, max_iter=100, tol=None, random_state=0).fit(X, y),
    "network, digits, analytic": lambda: MLPBackpropClassifier(
        (100,), gradient="analytic", batch_size=200, max_iter=100, tol=None, random_state=0
        ).fit(X, y),
    "network, measured gradient": lambda: MLPBackpropClassifier(
        (20,), gradient="numeric", batch_size=200, max_iter=1, tol=None, random_state=0).fit(X, y),
    "linear, 300000x28": lambda: GDClassifier(max_iter=3, tol=None, random_state=0).fit(A, b),
    "linear, 300000x28, lbfgs": lambda: GDClassifier(
        optimizer="lbfgs", max_iter=10, tol=None).fit(A, b),
    "linear, callable loss": lambda: GDRegressor(
        lambda y, raw: (y - raw) ** 2, max_iter=10, tol=None, random_state=0).fit(B, B[:, 0]),
    "one hundred small fits": lambda: [
        GDClassifier(max_iter=3, tol=None, random_state=0).fit(X[:200], y[:200])
        for _ in range(100)],
}
seconds = {}
for name, run in cases.items():
    run()
    start = time.perf_counter()
    run()
    seconds[name] = time.perf_counter() - start
print(json.dumps(seconds))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old")
    parser.add_argument("new", nargs="?", default="HEAD")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trees = {
            which: _checked_out(commit, Path(folder) / which)
            for which, commit in (("old", options.old), ("new", options.new))
        }
        rounds = [
            {which: _run(tree) for which, tree in trees.items()} for _ in range(options.rounds)
        ]
    slower = []
    print(f"{'':34s}{options.old[:10]:>12s}{options.new[:10]:>12s}{'new / old':>12s}")
    for name in rounds[0]["new"]:
        old, new = (statistics.median(r[which][name] for r in rounds) for which in ("old", "new"))
        if new > LIMIT * old and new > old + LEAST:
            slower.append(name)
        print(f"{name:34s}{old:12.4f}{new:12.4f}{new / old:12.2f}" + " SLOWER" * (name in slower))
    return len(slower)


def _checked_out(commit: str, folder: Path) -> Path:
    """Put the commit's files into a folder."""
    folder.mkdir()
    archive = subprocess.run(
        ["git", "archive", commit, "skgd"], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


def _run(tree: Path) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    result = subprocess.run(
        [sys.executable, "-P", "-c", CASES],
        env=environment,
        cwd=tree,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise RuntimeError(result.stderr[-2000:])
    return json.loads(result.stdout)


if __name__ == "__main__":
    sys.exit(main())
