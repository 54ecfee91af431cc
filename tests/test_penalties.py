"""Penalties, and the two functions by which the loop makes weights exactly zero."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.base import clone
from sklearn.linear_model import Lasso

from skgd.penalties import (
    L1,
    L2,
    PENALTIES,
    ElasticNet,
    NoPenalty,
    Penalty,
    project_orthant,
    pseudo_gradient,
)

ALL = [row() for row in PENALTIES.values()] + [ElasticNet(l1_ratio=ratio) for ratio in (0, 0.7, 1)]
each = pytest.mark.parametrize("penalty", ALL, ids=repr)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def vectors(size=5):
    # Exact zeros often, and nothing so small that squares underflow
    number = st.one_of(st.just(0.0), st.floats(-4, 4).map(lambda x: round(x, 3)))
    return arrays.arrays(np.float64, size, elements=number)


@each
def test_row_is_a_final_documented_component(penalty):
    assert type(penalty).__mro__[1] is Penalty
    assert "Examples" in type(penalty).__doc__
    penalty.check()
    for copy in (clone(penalty), pickle.loads(pickle.dumps(penalty))):
        assert type(copy) is type(penalty) and copy.get_params() == penalty.get_params()
    assert repr(penalty).startswith(type(penalty).__name__ + "(")


def test_settings():
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="l1_ratio"):
            ElasticNet(l1_ratio=wrong).check()
    with pytest.raises(TypeError, match="l1_ratio"):
        ElasticNet(l1_ratio="half").check()
    assert type(PENALTIES[None]()) is NoPenalty


@each
@both_dtypes
def test_value(penalty, dtype):
    w = np.random.default_rng(0).normal(size=20).astype(dtype)
    w[3] = 0.0
    expected = penalty.l1_weight * np.linalg.norm(w, 1)
    expected += penalty.l2_weight * 0.5 * np.linalg.norm(w) ** 2
    assert isinstance(penalty.value(w), float)
    assert penalty.value(w) == pytest.approx(expected, rel=1e-5 if dtype == np.float32 else 1e-12)
    assert penalty.value(np.zeros(4)) == 0.0


def test_known_numbers():
    w = np.array([3.0, -4.0])
    values = {None: 0.0, "l2": 12.5, "l1": 7.0, "elasticnet": 0.15 * 7 + 0.85 * 12.5}
    assert {name: row().value(w) for name, row in PENALTIES.items()} == pytest.approx(values)
    assert ElasticNet(l1_ratio=1).value(w) == L1().value(w)
    assert ElasticNet(l1_ratio=0).value(w) == L2().value(w)


# ---------------------------------------------------------------- the L1 term in the loop


def directional(w, grad, strength, direction):
    """Slope of J + strength ||w||_1 from w along a direction."""
    kink = np.where(w == 0, np.abs(direction), np.sign(w) * direction)
    return grad @ direction + np.sum(strength * kink)


@given(w=vectors(), grad=vectors(), strength=st.floats(0, 2), seed=st.integers(0, 2**31))
def test_pseudo_gradient_is_the_steepest_slope(w, grad, strength, seed):
    # It is the subgradient of least norm: minus it is the direction of steepest descent, with
    # slope -|p|^2, and no other direction descends faster than |p| times its length.
    p = pseudo_gradient(w, grad, strength)
    assert directional(w, grad, strength, -p) == pytest.approx(-(p @ p), abs=1e-12)
    other = np.random.default_rng(seed).normal(size=len(w))
    lowest = -np.linalg.norm(p) * np.linalg.norm(other)
    assert directional(w, grad, strength, other) >= lowest - 1e-12
    away = w != 0
    np.testing.assert_array_equal(p[away], (grad + strength * np.sign(w))[away])
    soft = np.sign(grad) * np.maximum(np.abs(grad) - strength, 0)
    np.testing.assert_allclose(p[~away], soft[~away], atol=1e-15)


@both_dtypes
def test_pseudo_gradient_takes_out_and_a_strength_for_each_weight(dtype):
    w = np.array([2.0, 0.0, 0.0, -1.0, 0.0], dtype)
    grad = np.array([1.0, 1.0, -3.0, 0.5, 0.25], dtype)
    strength = np.array([2.0, 2.0, 2.0, 0.0, 0.0], dtype)
    expected = np.array([3.0, 0.0, -1.0, 0.5, 0.25], dtype)
    kept = grad.copy()
    for s in (strength, strength.astype(np.float64)):
        out = np.empty_like(w)
        assert pseudo_gradient(w, grad, s, out) is out
        np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(grad, kept)
    pseudo_gradient(w, grad, strength, grad)
    np.testing.assert_array_equal(grad, expected)
    assert pseudo_gradient(w, grad, 0.5).dtype == dtype


@given(old=vectors(), new=vectors(), pseudo=vectors())
def test_projection_keeps_to_the_orthant(old, new, pseudo):
    projected = new.copy()
    project_orthant(projected, old, pseudo)
    orthant = np.where(old != 0, np.sign(old), -np.sign(pseudo))
    inside = np.sign(new) == orthant
    np.testing.assert_array_equal(projected[inside], new[inside])
    assert not np.any(projected[~inside])
    again = projected.copy()
    project_orthant(again, old, pseudo)
    np.testing.assert_array_equal(again, projected)


def test_projection_of_tiny_weights_and_nan():
    w = np.array([1e-320, 1e-320, np.nan])
    project_orthant(w, np.array([1e-320, -1e-320, 1.0]), np.zeros(3))
    np.testing.assert_array_equal(w, [1e-320, 0.0, np.nan])


@given(w=vectors(), grad=vectors(), strength=st.floats(0, 2))
def test_small_step_descends(w, grad, strength):
    # Along minus the pseudo-gradient a small enough step stays in the orthant: the projection
    # only acts where a weight would change its sign.
    p = pseudo_gradient(w, grad, strength)
    new = w - 1e-6 * p
    kept = new.copy()
    project_orthant(new, w, p)
    np.testing.assert_array_equal(new, kept)


@pytest.mark.parametrize("step", ["descent", "heavy ball"])
def test_the_pair_solves_the_lasso(step):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 10))
    y = X[:, :3] @ np.array([2.0, -1.0, 0.5]) + 0.1 * rng.normal(size=100)
    truth = Lasso(alpha=0.2, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(X, y).coef_
    w, velocity = np.zeros(10), np.zeros(10)
    for _ in range(3000):
        p = pseudo_gradient(w, X.T @ (X @ w - y) / 100, 0.2)
        velocity = (0.9 * velocity if step == "heavy ball" else 0.0) + p
        new = w - 0.05 * velocity
        project_orthant(new, w, p)
        w = new
    np.testing.assert_allclose(w, truth, atol=1e-6)
    np.testing.assert_array_equal(w == 0, truth == 0)
    assert 0 < np.count_nonzero(w) < 10
