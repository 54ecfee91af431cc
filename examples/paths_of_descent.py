"""
Paths of descent: several optimizers on one error surface
=========================================================

1. A straight line through points: J has two parameters, and is drawn as it is. Each optimizer
   starts at the same bad guess; the training is recorded epoch by epoch.
2. Rosenbrock's valley, for `skgd.minimize`: easy to find, and hard to follow.

The table tells what the picture shows: how long each way is, how far it comes, and where it ends.

    python examples/paths_of_descent.py --output paths_of_descent.png
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from skgd import GDRegressor, minimize
from skgd.plotting import ErrorSurfaceDisplay

START = [-1.5, -3.0]
EPOCHS = 100
LINE_RATES = {"sgd": 0.15, "momentum": 0.01, "adagrad": 1.0, "adam": 0.15}

VALLEY_START = np.array([-1.5, 2.0])
ITERATIONS = 1000
VALLEY_RATES = {"sgd": 0.0008, "momentum": 0.0002, "adam": 0.03, "lbfgs": 1.0}


def points_about_a_line():
    rng = np.random.default_rng(0)
    x = rng.normal(1.0, 2.0, size=80)
    return x[:, None], 2.0 * x + 1.0 + rng.normal(size=80)


def line_learners():
    settings = {"alpha": 0.0, "batch_size": None, "max_iter": EPOCHS, "random_state": 0}
    return {
        optimizer: GDRegressor(optimizer=optimizer, learning_rate=rate, **settings)
        for optimizer, rate in LINE_RATES.items()
    }


def rosenbrock(x):
    """100 (x1 - x0^2)^2 + (1 - x0)^2, with its minimum, 0, at (1, 1)."""
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def path_of(optimizer, rate):
    """Points that `minimize` comes to, the start first."""
    path = [VALLEY_START]
    minimize(
        rosenbrock,
        VALLEY_START,
        optimizer=optimizer,
        learning_rate=rate,
        max_iter=ITERATIONS,
        tol=1e-10 if optimizer == "lbfgs" else None,
        callback=path.append,
    )
    return np.array(path)


def print_paths(title, display):
    print(title)
    print("  optimizer   steps   length of the way       J at the end   ends at")
    for name, path in display.paths.items():
        length = np.linalg.norm(np.diff(path[:, :2], axis=0), axis=1).sum()
        x, y, J = path[-1]
        print(f"  {name:9s}  {len(path) - 1:6d}  {length:18.3f}  {J:17.9f}   {x:.4f} {y:.4f}")


def main():
    parser = argparse.ArgumentParser(description="Several optimizers on one error surface.")
    parser.add_argument("--output", type=Path, help="where to save the picture")
    arguments = parser.parse_args()

    figure, axes = plt.subplots(1, 2, figsize=(12.5, 5.0), layout="constrained")
    X, y = points_about_a_line()
    line = ErrorSurfaceDisplay.from_estimator(line_learners(), X, y, start=START, ax=axes[0])
    least_squares = np.polyfit(X[:, 0], y, 1)
    print_paths(f"A line; least squares: {least_squares[0]:.4f} {least_squares[1]:.4f}", line)

    paths = {optimizer: path_of(optimizer, rate) for optimizer, rate in VALLEY_RATES.items()}
    valley = ErrorSurfaceDisplay.from_function(
        rosenbrock, (-2.0, 2.0), (-1.0, 3.0), paths=paths, ax=axes[1]
    )
    print_paths("\nRosenbrock's valley; its lowest point: 1.0000 1.0000", valley)

    figure.suptitle("Least squares of a line, and Rosenbrock's valley")
    if arguments.output:
        figure.savefig(arguments.output, dpi=90)
        print(f"\n{arguments.output.resolve()}")


if __name__ == "__main__":
    main()
