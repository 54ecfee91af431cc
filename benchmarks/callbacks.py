"""What callbacks cost: `python benchmarks/callbacks.py`.

The same training without callbacks, with the bridge to them taken out, and with each of ours: a
small network with short epochs, where a cost for each epoch counts most.
"""

from __future__ import annotations

import statistics
import tempfile
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from sklearn.datasets import load_digits
from timing import in_turn

import skgd
from skgd.callbacks import (
    Checkpoint,
    EarlyStopping,
    GradientNorms,
    PrintLog,
    RecordPath,
    TimeLimit,
)
from skgd.estimators import base

EPOCHS = 300


class NoHooks:
    """What is left of the bridge when there is none."""

    def __init__(self, *_):
        pass

    def __bool__(self):
        return False

    def resumed(self, *_, **__):
        """Nothing to go on from."""

    def end(self, *_):
        """Nothing to call."""


@contextmanager
def without_bridge():
    """Fits that know nothing of callbacks."""
    with mock.patch.object(base, "Hooks", NoHooks):
        yield


def main():
    """Print seconds, and microseconds for each epoch above those of a training without."""
    X, y = load_digits(return_X_y=True)

    def fit(*callbacks):
        model = skgd.MLPBackpropClassifier((16,), max_iter=EPOCHS, tol=None, random_state=0)
        model.set_callbacks(*callbacks).fit(X, y)

    def plain():
        with without_bridge():
            fit()

    file = Path(tempfile.mkdtemp()) / "run.ckpt"
    runs = {
        "no bridge at all": plain,
        "no callback": fit,
        "TimeLimit": lambda: fit(TimeLimit(1e6)),
        "EarlyStopping": lambda: fit(EarlyStopping(patience=EPOCHS)),
        "PrintLog": lambda: fit(PrintLog(sink=lambda line: None)),
        "RecordPath": lambda: fit(RecordPath()),
        "GradientNorms": lambda: fit(GradientNorms()),
        "Checkpoint(every=10)": lambda: fit(Checkpoint(file, every=10)),
    }
    for engine in ("numpy", "numba"):
        with skgd.config_context(engine=engine):
            seconds = {name: statistics.median(of) for name, of in in_turn(runs, 5).items()}
        base = seconds["no bridge at all"]
        print(f"\n{engine}: {EPOCHS} epochs of digits, 64-16-10")
        for name, of in seconds.items():
            extra = (of - base) / EPOCHS * 1e6
            print(f"{name:24s}{of:8.4f} s{of / base:8.3f} times{extra:9.1f} us an epoch")


if __name__ == "__main__":
    main()
