"""The historical problems are what their definitions say."""

import inspect
from itertools import chain, combinations

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from skgd import MLPBackpropClassifier, MLPBackpropRegressor, datasets
from skgd.datasets import (
    make_addition,
    make_encoder,
    make_negation,
    make_parity,
    make_symmetry,
    make_tc,
    make_xor,
)
from skgd.initialisers import Uniform

MAKERS = [getattr(datasets, name) for name in datasets.__all__]


def digits(x):
    return "".join(str(int(bit)) for bit in x)


def number(x):
    return int(digits(x), 2)


@pytest.mark.parametrize("maker", MAKERS)
def test_rows_are_all_different_and_targets_are_what_was_asked_for(maker):
    X, labels = maker()
    assert len(X) == len(labels) == len(np.unique(X, axis=0))
    assert set(np.unique(X)) == {0.0, 1.0}
    assert X.dtype == np.float64 and X.flags.c_contiguous
    assert set(np.unique(labels)) == {0, 1}
    assert np.issubdtype(labels.dtype, np.integer)
    same_X, y = maker(low=0.1, high=0.9)
    np.testing.assert_array_equal(same_X, X)
    np.testing.assert_array_equal(y, np.where(labels == 1, 0.9, 0.1))


def test_xor():
    X, y = make_xor()
    assert {tuple(x): answer for x, answer in zip(X, y, strict=True)} == {
        (0, 0): 0,
        (0, 1): 1,
        (1, 0): 1,
        (1, 1): 0,
    }


@pytest.mark.parametrize("n_bits", [1, 2, 3, 4, 7, 16])
def test_parity(n_bits):
    X, y = make_parity(n_bits)
    assert X.shape == (2**n_bits, n_bits)
    if n_bits < 10:
        assert [number(x) for x in X] == list(range(2**n_bits))
        assert y.tolist() == [i.bit_count() % 2 for i in range(2**n_bits)]
    assert y.sum() == 2 ** (n_bits - 1)


def test_parity_of_two_bits_is_xor():
    for a, b in zip(make_parity(2), make_xor(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n_bits", [2, 8, 100])
def test_encoder(n_bits):
    X, y = make_encoder(n_bits)
    np.testing.assert_array_equal(X, np.identity(n_bits))
    np.testing.assert_array_equal(y, X)


@pytest.mark.parametrize("n_bits", [2, 5, 6])
def test_symmetry(n_bits):
    X, y = make_symmetry(n_bits)
    assert [number(x) for x in X] == list(range(2**n_bits))
    assert y.tolist() == [digits(x) == digits(x)[::-1] for x in X]
    assert y.sum() == 2 ** ((n_bits + 1) // 2)


@pytest.mark.parametrize("n_bits", [1, 2, 3])
def test_addition(n_bits):
    X, y = make_addition(n_bits)
    pairs = {(number(x[:n_bits]), number(x[n_bits:])) for x in X}
    assert pairs == {(a, b) for a in range(2**n_bits) for b in range(2**n_bits)}
    assert y.shape == (4**n_bits, n_bits + 1)
    for x, total in zip(X, y, strict=True):
        assert number(x[:n_bits]) + number(x[n_bits:]) == number(total)


@pytest.mark.parametrize("n_bits", [1, 3])
def test_negation(n_bits):
    X, y = make_negation(n_bits)
    assert [number(x) for x in X] == list(range(2 ** (n_bits + 1)))
    for (*bits, negate), answer in zip(X, y, strict=True):
        assert answer.tolist() == [1 - bit if negate else bit for bit in bits]


def drawings(X, size):
    """Each image as the set of its squares."""
    return [frozenset(map(tuple, np.argwhere(x.reshape(size, size)))) for x in X]


def at_origin(squares):
    top, left = (min(axis) for axis in zip(*squares, strict=True))
    return frozenset((row - top, column - left) for row, column in squares)


def turned(squares):
    return at_origin({(column, -row) for row, column in squares})


T = frozenset({(0, 0), (0, 1), (0, 2), (1, 1), (2, 1)})
C = frozenset({(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)})


@pytest.mark.parametrize("size", [3, 4, 6])
def test_tc_is_each_letter_turned_and_moved_everywhere(size):
    X, y = make_tc(size)
    images = drawings(X, size)
    for letter, label in ((T, 1), (C, 0)):
        shapes = {letter}
        for _ in range(3):
            shapes |= {turned(shape) for shape in shapes}
        assert len(shapes) == 4
        everywhere = {
            frozenset((row + down, column + right) for row, column in shape)
            for shape in shapes
            for down in range(size)
            for right in range(size)
        }
        retina = {(row, column) for row in range(size) for column in range(size)}
        inside = {squares for squares in everywhere if squares <= retina}
        of_letter = [image for image, is_t in zip(images, y, strict=True) if is_t == label]
        assert set(of_letter) == inside
        assert len(of_letter) == len(inside)


def test_the_first_rows_of_tc_are_upright():
    X, y = make_tc(3)
    t, c = X[y == 1][0], X[y == 0][0]
    assert drawings([t, c], 3) == [T, C]


def relations(squares, how_many):
    """How the squares of each pair, triple, ... lie to each other, wherever they are."""
    return sorted(sorted(at_origin(some)) for some in combinations(squares, how_many))


def test_pairs_of_pixels_do_not_tell_t_from_c_and_triples_do():
    """Minsky & Papert 1969; PDP vol. 1, chapter 8: "one must look at triplets"."""
    X, y = make_tc(5)
    images = drawings(X, 5)

    def together(label, how_many):
        shapes = {at_origin(i) for i, is_t in zip(images, y, strict=True) if is_t == label}
        return sorted(chain.from_iterable(relations(shape, how_many) for shape in shapes))

    assert together(1, 2) == together(0, 2)
    assert together(1, 3) != together(0, 3)


def test_t_and_c_can_differ_by_a_single_square():
    X, y = make_tc(3)
    apart = np.abs(X[y == 1][:, None] - X[y == 0]).sum(axis=2)
    assert apart.min() == 2  # one square has moved


def delta_rule(X, y, seed, **settings):
    """Logistic units without hidden ones."""
    model = MLPBackpropRegressor(
        (),
        out_activation="logistic",
        init=Uniform(1.0, intercepts=True),
        penalty=None,
        batch_size=len(X),
        max_iter=2000,
        tol=None,
        random_state=seed,
        **settings,
    )
    return model.fit(X, y)


@pytest.mark.parametrize("seed", range(3))
def test_the_delta_rule_fails_on_xor(seed):
    """The best that a line can do is to answer 0.5 to all four cases."""
    X, y = make_xor(low=0.1, high=0.9)
    model = delta_rule(X, y, seed, optimizer="momentum", learning_rate=0.5)
    np.testing.assert_allclose(model.predict(X), 0.5, atol=1e-3)


def most_right_of_a_threshold_unit(X, y):
    """How many cases some ``w x + b > 0`` has right, by mixed-integer programming."""
    n, p = X.shape
    signed = np.column_stack([X, np.ones(n)]) * np.where(y == 1, 1, -1)[:, None]
    slack = 100.0  # above what the bounds of the weights let a margin reach
    size = 10.0
    wrong = np.r_[np.zeros(p + 1), np.ones(n)]
    found = milp(
        wrong,
        constraints=LinearConstraint(np.hstack([signed, slack * np.eye(n)]), lb=1.0),
        integrality=wrong,
        bounds=Bounds(np.r_[[-size] * (p + 1), [0] * n], np.r_[[size] * (p + 1), [1] * n]),
    )
    assert found.success
    return n - round(found.fun)


@pytest.mark.parametrize(("maker", "most"), [(make_xor, 3), (make_symmetry, 57)])
def test_no_single_unit_learns_it(maker, most):
    X, y = maker()
    assert most_right_of_a_threshold_unit(X, y) == most
    right = (delta_rule(X, y, seed=0).predict(X) > 0.5) == (y == 1)
    assert right.sum() <= most


@pytest.mark.parametrize("maker", [make_xor, make_parity, make_symmetry, make_tc])
def test_labels_suit_a_classifier(maker):
    X, y = maker()
    model = MLPBackpropClassifier((16,), "tanh", random_state=0, alpha=0.0, max_iter=500, tol=None)
    assert model.fit(X, y).score(X, y) == 1.0


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"low": 0.9, "high": 0.1}, ValueError, "low must be below high"),
        ({"low": 1}, ValueError, "low must be below high"),
        ({"high": np.nan}, ValueError, "high takes a number"),
        ({"low": "a"}, TypeError, "low takes a number"),
    ],
)
def test_wrong_targets(maker, wrong, error, message):
    with pytest.raises(error, match=message):
        maker(**wrong)


@pytest.mark.parametrize(
    "maker", [maker for maker in MAKERS if maker is not make_xor], ids=lambda m: m.__name__
)
@pytest.mark.parametrize(
    ("wrong", "error"),
    [(0, ValueError), (-2, ValueError), (10**6, ValueError), (2.5, TypeError), ("3", TypeError)],
)
def test_wrong_sizes_are_named(maker, wrong, error):
    name = next(iter(inspect.signature(maker).parameters))
    with pytest.raises(error, match=f"{name} takes a whole number in "):
        maker(wrong)
