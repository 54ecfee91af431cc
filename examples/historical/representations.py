"""What the hidden units came to stand for: the encoder's codes, the mirror weights of symmetry.

Also what a network answers that is stuck at XOR, or has not learned it yet. Each is shown for the
first seed that fits, which is trained again, for all sweeps.
"""

import numpy as np
from runner import learn
from settings import ENCODER, STUCK_XOR, SYMMETRY


def first_seed(runs, succeeded):
    """Find the first seed whose run succeeded, or failed; None where there is none."""
    seeds = [seed for seed, run in enumerate(runs) if (run.sweeps is not None) == succeeded]
    return seeds[0] if seeds else None


def trained(experiment, seed, n_sweeps):
    X, y = experiment.cases()
    model = experiment.estimator(seed)
    learn(model, X, y, n_sweeps, stop=False)
    return model


def mirror_weights(model):
    """Compare a hidden unit's weights on both sides of the middle.

    Returns
    -------
    imbalance : ndarray of shape (n_hidden,)
        Largest ``|left + right|`` of a pair, as a share of the unit's largest weight: 0 where
        the two are equal and opposite.
    ratios : ndarray of shape (n_hidden, n_bits / 2)
        Mean sizes of the pairs from the smallest, over the smallest: 1 : 2 : 4 in the books.
    """
    W = model.coefs_[0].T
    left, right = np.split(W, 2, axis=1)
    right = right[:, ::-1]
    imbalance = abs(left + right).max(axis=1) / abs(W).max(axis=1)
    sizes = np.sort((abs(left) + abs(right)) / 2, axis=1)
    return imbalance, sizes / sizes[:, :1]


def print_codes(model, X):
    hidden = model.transform(X)
    codes = (hidden > 0.5).astype(int)
    print("input      hidden units      code")
    for x, values, code in zip(X, hidden, codes, strict=True):
        bits = "".join(f"{bit:.0f}" for bit in x)
        print(f"{bits}   {'  '.join(f'{v:.2f}' for v in values)}   {''.join(map(str, code))}")
    print(f"{len(np.unique(codes, axis=0))} different codes")


def print_mirror(model):
    imbalances, ratios = mirror_weights(model)
    for unit, (imbalance, ratio) in enumerate(zip(imbalances, ratios, strict=True)):
        weights = "  ".join(f"{w:6.2f}" for w in model.coefs_[0][:, unit])
        sizes = " : ".join(f"{size:.2f}" for size in ratio)
        print(f"{weights}   sizes {sizes}, mirror pairs equal and opposite to {imbalance:.1%}")


def print_answers(model, X):
    answers = model.predict(X)
    told = (f"{x[0]:.0f}{x[1]:.0f} {answer:.2f}" for x, answer in zip(X, answers, strict=True))
    print("   ".join(told))


def _state_of(experiment, limit):
    """Say what a run is that has not succeeded: only after all sweeps is it stuck."""
    return "answers of a stuck network" if limit >= experiment.limit else "answers so far"


def print_representations(runs, limit):
    """Print all three.

    Parameters
    ----------
    runs : dict of Experiment to list of Run
    limit : int
        Most sweeps.
    """
    shows = (
        (ENCODER, True, "hidden codes", print_codes),
        (SYMMETRY, True, "weights to the hidden units", lambda model, X: print_mirror(model)),
        (STUCK_XOR, False, _state_of(STUCK_XOR, limit), print_answers),
    )
    for experiment, succeeded, title, show in shows:
        seed, n_sweeps = first_seed(runs[experiment], succeeded), min(experiment.limit, limit)
        title = f"\n{experiment.problem} {experiment.net()}, eta {experiment.eta:g}: {title}"
        if seed is None:
            print(f"{title}: no run {'succeeded' if succeeded else 'failed'}")
            continue
        print(f"{title} (seed {seed}, {n_sweeps:,} sweeps)")
        show(trained(experiment, seed, n_sweeps), experiment.cases()[0])
