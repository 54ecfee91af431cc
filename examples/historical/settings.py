"""The experiments of 1986 and 1997 as a table: problem, network, settings, what was published.

Learning rates are those of the books, which take a step along the *sum* of the errors over all
cases. The first weights' range is told for the symmetry (Nature) and the encoder (Mitchell) alone,
a rate for these, XOR and parity: the others are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from skgd import MLPBackpropRegressor
from skgd.datasets import (
    make_addition,
    make_encoder,
    make_negation,
    make_parity,
    make_symmetry,
    make_xor,
)
from skgd.initialisers import Uniform
from skgd.optimizers import Momentum


@dataclass(frozen=True)
class Experiment:
    """A problem, a network of logistic units, how it learns, and what was published of it.

    Parameters
    ----------
    problem : str
    data : callable
        A function of `skgd.datasets`.
    hidden : int
        Hidden units; 0 is the delta rule.
    eta : float
        Learning rate on the sum of the errors over all cases.
    published : str
        Sweeps of the run, or runs, that the books tell of; with a ~ quoted from memory.
    direct_links : bool
        Whether inputs are also linked straight to the outputs.
    momentum : float
    spread : float
        First weights and biases are uniform between -spread and spread.
    targets : (float, float)
        For no and yes.
    limit : int
        Sweeps after which a run has failed.
    """

    problem: str
    data: Callable[..., Any]
    hidden: int
    eta: float
    published: str
    direct_links: bool = False
    momentum: float = 0.9
    spread: float = 0.5
    targets: tuple[float, float] = (0.1, 0.9)
    limit: int = 5000

    def cases(self):
        """Return inputs and targets."""
        low, high = self.targets
        return self.data(low=low, high=high)

    def net(self):
        """Tell the units of each layer: "2-2-1"."""
        X, y = self.cases()
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        sizes = [X.shape[1], *([self.hidden] if self.hidden else []), n_outputs]
        return "-".join(map(str, sizes)) + (" + direct" if self.direct_links else "")

    def estimator(self, seed):
        """Return an untrained network."""
        n_cases = len(self.cases()[0])
        return MLPBackpropRegressor(
            (self.hidden,) if self.hidden else (),
            "logistic",
            out_activation="logistic",
            direct_links=self.direct_links,
            init=Uniform(self.spread, intercepts=True),
            loss="squared_error",
            optimizer=Momentum(self.momentum),
            learning_rate=self.eta * n_cases,  # J is the mean over the cases, not the sum
            penalty=None,
            batch_size=n_cases,
            shuffle=False,
            tol=None,
            random_state=seed,
        )


@dataclass(frozen=True)
class SharedFields:
    """T or C with feature detectors that are the same everywhere; see shared_fields.py."""

    problem: str
    n_detectors: int
    eta: float
    published: str
    momentum: float = 0.9
    spread: float = 0.5
    targets: tuple[float, float] = (0.1, 0.9)
    limit: int = 10_000

    def net(self):
        """Tell what it is made of."""
        return f"{self.n_detectors} shared 3x3"


xor = partial(Experiment, "XOR", make_xor)
symmetry = partial(Experiment, "symmetry", make_symmetry, spread=0.3)
addition = partial(Experiment, "addition", make_addition)
negation = partial(Experiment, "negation", make_negation)

ENCODER = Experiment(
    "encoder",
    make_encoder,
    hidden=3,
    eta=0.3,
    published="8 codes after 5,000",
    momentum=0.0,
    spread=0.1,
)
STUCK_XOR = xor(2, 0.25, "about 245")
SYMMETRY = symmetry(2, 0.1, "1,425")

EXPERIMENTS = [
    xor(0, 0.5, "never", limit=1000),
    xor(1, 0.5, "558", direct_links=True),
    STUCK_XOR,
    xor(2, 0.25, "about 245", spread=1.0),
    xor(2, 0.5, "-"),
    xor(32, 0.25, "about 115"),
    Experiment("parity", make_parity, 4, 0.5, "2,825", limit=10_000),
    ENCODER,
    symmetry(0, 0.1, "never", limit=1000),
    SYMMETRY,
    symmetry(2, 0.1, "1,425", targets=(0, 1), limit=10_000),
    symmetry(2, 0.02, "-"),
    addition(3, 0.5, "-"),
    addition(3, 0.5, "~reliable", direct_links=True),
    addition(3, 0.1, "-", direct_links=True),
    addition(2, 0.5, "~often stuck", direct_links=True),
    negation(6, 0.5, "~5,000"),
    negation(3, 0.5, "-"),
    SharedFields("T or C", 1, 0.05, "~5,000 to 10,000"),
    SharedFields("T or C", 4, 0.01, "-"),
]
