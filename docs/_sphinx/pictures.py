"""Pictures of the components, drawn from the components themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import public
from matplotlib.axes import Axes

from skgd import grad, minimize

N_STEPS = 100
START = np.array([-1.9, 1.1])


def draw(folder: Path) -> set[str]:
    """Draw one picture for each row of the tables that can be drawn, and one of each table.

    Returns
    -------
    names : set of str
        ``losses.Huber`` and ``losses``: the files' names without ".svg".
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = set()
    with plt.rc_context(
        {"svg.hashsalt": "skgd", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}
    ):
        for name, figure in _figures():
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            plt.close(figure)
            names.add(name)
    return names


def _figures() -> Iterator[tuple[str, Any]]:
    for table, draw_row in _DRAWINGS.items():
        rows = public.TABLES[table]
        columns = 4
        height = math.ceil(len(rows) / columns)
        overview, cells = plt.subplots(
            height, columns, figsize=(9.5, 2.2 * height), layout="constrained", squeeze=False
        )
        for cell in cells.flat[len(rows) :]:
            cell.remove()
        for cell, (key, row) in zip(cells.flat, rows.items(), strict=False):
            draw_row(cell, row)
            cell.set_title(f'"{key}"' if key is not None else "None")
            figure, axes = plt.subplots(figsize=(5.0, 3.0), layout="constrained")
            draw_row(axes, row)
            if axes.get_legend_handles_labels()[0]:
                axes.legend()
            yield f"{table}.{row.__name__}", figure
        yield table, overview


def _loss(axes: Axes, row: type) -> None:
    """Loss of one sample and its derivative, over the raw output."""
    loss, raw = row(), np.linspace(-3.0, 3.0, 601)
    for y, style in ((1.0, "-"), (0.0, "--")):
        if row.task == "regression" and y == 0.0:
            continue
        target = np.full_like(raw, y)
        axes.plot(raw, loss.value(target, raw), style, color="C0", label=f"loss, y = {y:g}")
        axes.plot(
            raw, loss.gradient(target, raw), style, color="C1", label=f"derivative, y = {y:g}"
        )
    axes.set_ylim(-3.2, 5.2)
    axes.set_xlabel("raw")


def _activation(axes: Axes, row: type) -> None:
    """Activation and its derivative."""
    activation, z = row(), np.linspace(-4.0, 4.0, 401)
    slope = np.ones_like(z)
    activation.backward(slope, z, activation(z))
    axes.plot(z, activation(z), label="a(z)")
    axes.plot(z, slope, label="derivative")
    axes.set_ylim(-2.2, 4.2)
    axes.set_xlabel("z")


def _penalty(axes: Axes, row: type) -> None:
    """Lines of equal R over two weights."""
    w = np.linspace(-2.0, 2.0, 101)
    values = np.array([[row().value(np.array([a, b])) for a in w] for b in w])
    if values.any():
        axes.contour(w, w, values, levels=np.linspace(0.25, 3.0, 8), cmap="viridis")
    axes.set(xlim=(-2.0, 2.0), ylim=(-2.0, 2.0), aspect="equal", xlabel="w[0]", ylabel="w[1]")


def _schedule(axes: Axes, row: type) -> None:
    """The factor over a training of `N_STEPS` steps, with a loss that ceases to fall."""
    n_epochs = 20
    losses = [max(1.0 - 0.2 * epoch, 0.4) for epoch in range(n_epochs)]
    schedule, length = row(), N_STEPS // n_epochs
    factors = [schedule(step, N_STEPS, losses[: step // length]) for step in range(N_STEPS)]
    axes.plot(factors, label="factor")
    axes.set_ylim(-0.05, 1.1)
    axes.set_xlabel("step")


def valley(theta: Any) -> Any:
    """A valley, twenty times as steep across as along."""
    return 0.05 * theta[0] ** 2 + theta[1] ** 2


# Each rule has its own unit of the rate: for these, `N_STEPS` steps show what is typical of it.
RATE = 0.1
RATES = {"sgd": 0.9, "adagrad": 0.5, "adadelta": 20.0, "rmsprop": 0.05, "radam": 0.5, "adamax": 0.2}


def _optimizer(axes: Axes, row: type) -> None:
    """The path from one start, over the same surface for all rules."""
    path = [START]
    gradient: Callable[..., Any] = grad(valley)
    name = next(key for key, value in public.TABLES["optimizers"].items() if value is row)
    if hasattr(row, "update"):
        optimizer, theta = row(), START.copy()
        state = optimizer.init(theta)
        for _ in range(N_STEPS):
            optimizer.update(theta, gradient(theta), state, RATES.get(name, RATE))
            path.append(theta.copy())
    else:
        minimize(
            valley,
            START,
            optimizer=row(),
            callback=lambda intermediate_result: path.append(intermediate_result.x.copy()),
        )
    x, y = np.meshgrid(np.linspace(-2.2, 1.0, 121), np.linspace(-1.3, 1.3, 121))
    axes.contour(x, y, valley(np.array([x, y])), levels=10, colors="grey", linewidths=0.4)
    steps = np.array(path)
    axes.plot(*steps.T, ".-", markersize=3, linewidth=0.8, label=f"{len(path) - 1} steps")
    axes.plot(*steps[0], "o", color="C1")
    axes.plot(0.0, 0.0, "*", color="C3", markersize=9)
    axes.set(xlim=(-2.2, 1.0), ylim=(-1.3, 1.3))


_DRAWINGS: dict[str, Callable[[Axes, type], None]] = {
    "losses": _loss,
    "penalties": _penalty,
    "activations": _activation,
    "optimizers": _optimizer,
    "schedules": _schedule,
}
