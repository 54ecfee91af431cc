"""The experiments of 1986 and 1997 as a table: problem, network, settings, what was published.

Learning rates are those of the books, which take a step along the *sum* of the errors over all
cases. Where the books tell no rate or no range of the first weights, ours is marked.
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
        """Inputs and targets."""
        low, high = self.targets
        return self.data(low=low, high=high)

    def net(self):
        """Units of each layer: "2-2-1"."""
        X, y = self.cases()
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        sizes = [X.shape[1], *([self.hidden] if self.hidden else []), n_outputs]
        return "-".join(map(str, sizes)) + (" + direct" if self.direct_links else "")

    def estimator(self, seed):
        """Untrained network. Its J is a mean over cases, so its rate is n times that on the sum."""
        n_cases = len(self.cases()[0])
        return MLPBackpropRegressor(
            (self.hidden,) if self.hidden else (),
            "logistic",
            out_activation="logistic",
            direct_links=self.direct_links,
            init=Uniform(self.spread, intercepts=True),
            loss="squared_error",
            optimizer=Momentum(self.momentum),
            learning_rate=self.eta * n_cases,
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
        """Name of the network."""
        return f"{self.n_detectors} shared 3x3"


symmetry = partial(Experiment, "symmetry", make_symmetry, spread=0.3)
addition = partial(Experiment, "addition", make_addition)
negation = partial(Experiment, "negation", make_negation)

NO_HIDDEN = "cannot be learned"
SYMMETRY = "1,425 sweeps"

ENCODER = Experiment(
    "encoder",
    make_encoder,
    hidden=3,
    eta=0.3,
    momentum=0.0,
    spread=0.1,
    published="eight codes after 5,000",
)
SYMMETRY_0_1 = symmetry(2, 0.1, SYMMETRY, targets=(0, 1), limit=10_000)

EXPERIMENTS = [
    Experiment("XOR", make_xor, 0, 0.5, NO_HIDDEN),
    Experiment("XOR", make_xor, 1, 0.5, "558 sweeps", direct_links=True),
    Experiment("XOR", make_xor, 2, 0.25, "about 245; few get stuck"),
    Experiment("XOR", make_xor, 2, 0.5, "none gets stuck"),
    Experiment("parity", make_parity, 4, 0.5, "2,825 sweeps", limit=10_000),
    ENCODER,
    symmetry(0, 0.1, "at most 57 of 64"),
    symmetry(2, 0.1, SYMMETRY),
    SYMMETRY_0_1,
    symmetry(2, 0.02, SYMMETRY + " at .1"),
    addition(3, 0.5, "no figure"),
    addition(3, 0.5, "reliable", direct_links=True),
    addition(3, 0.1, "reliable", direct_links=True),
    addition(2, 0.5, "often stuck", direct_links=True),
    negation(6, 0.5, "about 5,000 sweeps"),
    negation(3, 0.5, "no figure"),
    SharedFields("T or C", 1, 0.05, "5,000 to 10,000"),
    SharedFields("T or C", 4, 0.01, "5,000 to 10,000"),
]
