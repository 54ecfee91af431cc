"""Activations: values, derivatives and numerics of every row of the table."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import special as scipy_special
from scipy import stats
from sklearn.base import clone

from skgd import autodiff
from skgd._component import resolve
from skgd.activations import ACTIVATIONS, Activation, Logistic, ReLU

every = pytest.mark.parametrize("name", ACTIVATIONS)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772
FORMULA = {
    "identity": lambda z: z,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": lambda z: (np.exp(2 * z) - 1) / (np.exp(2 * z) + 1),
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, z / 100),
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "selu": lambda z: SCALE * np.where(z > 0, z, ALPHA * (np.exp(z) - 1)),
    "gelu": lambda z: z * stats.norm.cdf(z),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "mish": lambda z: z * np.tanh(np.log(1 + np.exp(z))),
}
# At z = -1 and z = 1; known from the closed forms.
KNOWN = {
    "logistic": (0.2689414213699951, 0.7310585786300049),
    "tanh": (-0.7615941559557649, 0.7615941559557649),
    "relu": (0.0, 1.0),
    "leaky_relu": (-0.01, 1.0),
    "elu": (-0.6321205588285577, 1.0),
    "selu": (-1.1113307378125625, 1.0507009873554805),
    "gelu": (-0.15865525393145707, 0.8413447460685429),
    "silu": (-0.2689414213699951, 0.7310585786300049),
    "softplus": (0.31326168751822286, 1.3132616875182228),
    "mish": (-0.30340146137410895, 0.8650983882673103),
}


def slope(activation, z):
    """Derivative at z by `backward`."""
    z = np.asarray(z)
    delta = np.ones_like(z)
    activation.backward(delta, z, np.asarray(activation(z)))
    return delta


@every
def test_row_is_a_final_documented_component(name):
    activation = resolve("activation", name, ACTIVATIONS, Activation)
    assert type(activation).__mro__[1] is Activation
    assert activation.init in ("glorot", "he", "lecun")
    assert "Examples" in type(activation).__doc__
    for copy in (clone(activation), pickle.loads(pickle.dumps(activation))):
        assert type(copy) is type(activation)
    assert repr(activation) == type(activation).__name__ + "()"


@pytest.mark.parametrize("name", FORMULA)
def test_value(name):
    z = np.linspace(-8, 8, 200)
    np.testing.assert_allclose(ACTIVATIONS[name]()(z), FORMULA[name](z), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", KNOWN)
def test_known_numbers(name):
    got = ACTIVATIONS[name]()(np.array([-1.0, 1.0]))
    np.testing.assert_allclose(got, KNOWN[name], rtol=1e-14)


def test_sigmoid_neuron_of_cs231n():
    # w = (2, -3, -3), x = (-1, -2): f = expit(1), and the derivatives by w and by x
    w, x = np.array([2.0, -3.0, -3.0]), np.array([-1.0, -2.0, 1.0])
    z = np.array([w @ x])
    assert Logistic()(z)[0] == pytest.approx(0.7310585786300049, rel=1e-15)
    s = slope(Logistic(), z)[0]
    expected = [-0.19661193324148185, -0.3932238664829637, 0.19661193324148185]
    np.testing.assert_allclose(s * x, expected, rtol=1e-14)
    np.testing.assert_allclose((s * w)[:2], [0.3932238664829637, -0.5898357997244456], rtol=1e-14)


def test_selu_keeps_mean_and_variance():
    z, weight = np.polynomial.hermite_e.hermegauss(100)
    a, weight = ACTIVATIONS["selu"]()(z), weight / weight.sum()
    assert weight @ a == pytest.approx(0.0, abs=2e-3)
    assert weight @ a**2 == pytest.approx(1.0, abs=2e-3)


@every
@both_dtypes
def test_forward_equals_the_call(name, dtype):
    activation = ACTIVATIONS[name]()
    z = np.concatenate([np.linspace(-30, 30, 999), [0.0, -1e4, 1e4, -1e-6, 1e-6]]).astype(dtype)
    kept, out = z.copy(), np.empty_like(z)
    assert activation.forward(z, out) is None
    np.testing.assert_array_equal(z, kept)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(out, activation(z), rtol=8 * eps, atol=8 * eps)
    assert activation(z).dtype == dtype
    if not activation.needs_input:
        activation.forward(z, z)
        np.testing.assert_array_equal(z, out)


@every
def test_backward_is_the_slope_of_the_call(name):
    activation = ACTIVATIONS[name]()
    z = np.linspace(-12.0, 12.0, 500)  # an even number: the kink at 0 is not met
    h = 1e-5
    difference = (activation(z + h) - activation(z - h)) / (2 * h)
    np.testing.assert_allclose(slope(activation, z), difference, rtol=1e-7, atol=1e-9)


@every
def test_complex_step(name):
    activation = ACTIVATIONS[name]()
    if not activation.holomorphic:
        return
    z = np.linspace(-12.0, 12.0, 501)
    derivative = activation(z + 1e-20j).imag / 1e-20
    np.testing.assert_allclose(slope(activation, z), derivative, rtol=1e-11, atol=1e-14)


@every
def test_backward_works_in_place_on_rows(name):
    activation = ACTIVATIONS[name]()
    rng = np.random.default_rng(0)
    z, delta = rng.normal(size=(2, 5, 3))
    a = np.empty_like(z)
    activation.forward(z, a)
    kept = z.copy(), a.copy()
    expected = delta * slope(activation, z)
    assert activation.backward(delta, z, a) is None
    np.testing.assert_allclose(delta, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal((z, a), kept)
    if not activation.needs_input:  # then z may have been overwritten
        again = np.ones_like(z)
        activation.backward(again, np.full_like(z, np.nan), a)
        np.testing.assert_allclose(again, slope(activation, z), rtol=1e-12, atol=1e-14)


@every
@both_dtypes
def test_graph(name, dtype):
    activation = ACTIVATIONS[name]()
    special_points = [0.0, -0.0, -1e4, 1e4, -80.0, 80.0]
    z = np.concatenate([np.linspace(-12, 12, 501), special_points]).astype(dtype)
    value, gradient = autodiff.value_and_grad(lambda z: np.sum(activation(z)))(z)
    assert value == pytest.approx(np.sum(activation(z)), rel=1e-6)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(gradient, slope(activation, z), rtol=32 * eps, atol=32 * eps)
    assert gradient.dtype == dtype


def test_relu_rests_at_zero():
    assert slope(ReLU(), np.zeros(1)) == 0.0


@every
@both_dtypes
def test_extreme_inputs(name, dtype):
    # Warnings are errors here.
    activation = ACTIVATIONS[name]()
    z = np.array([-1e4, -100.0, 100.0, 1e4], dtype)
    a, derivative = activation(z), slope(activation, z)
    assert np.all(np.isfinite(a)) and np.all(np.isfinite(derivative))
    assert derivative.dtype == dtype
    ends = {"logistic": (0, 1), "tanh": (-1, 1)}
    if name in ends:
        np.testing.assert_array_equal(a[[0, -1]], ends[name])
        np.testing.assert_array_equal(derivative[[0, -1]], 0.0)
    elif name in FORMULA:  # all others that are known grow like z, selu like scale z
        growth = SCALE if name == "selu" else 1.0
        np.testing.assert_allclose(a[2:], growth * z[2:], rtol=1e-6)
        np.testing.assert_allclose(derivative[2:], growth, rtol=1e-6)


@every
def test_nan_is_not_hidden(name):
    activation = ACTIVATIONS[name]()
    z, out = np.array([np.nan, 1.0]), np.empty(2)
    activation.forward(z, out)
    assert np.isnan(out[0]) and np.isnan(activation(z)[0])


def test_known_relations():
    z = np.linspace(-30, 30, 601)
    call = {name: row()(z) for name, row in ACTIVATIONS.items()}
    np.testing.assert_allclose(call["softplus"] - call["softplus"][::-1], z, atol=1e-14)
    np.testing.assert_allclose(slope(ACTIVATIONS["softplus"](), z), scipy_special.expit(z))
    np.testing.assert_allclose(call["silu"] - call["silu"][::-1], z, atol=1e-14)
    np.testing.assert_allclose(call["gelu"] - call["gelu"][::-1], z, atol=1e-14)
    np.testing.assert_allclose(call["elu"] * (z > 0), call["relu"])


@every
@given(data=st.data())
def test_elementwise_and_monotone_where_it_should_be(name, data):
    activation = ACTIVATIONS[name]()
    shape = data.draw(arrays.array_shapes(max_dims=2, max_side=4))
    z = data.draw(arrays.arrays(np.float64, shape, elements=st.floats(-50, 50)))
    a = activation(z)
    assert a.shape == z.shape
    alone = [activation(np.array([one]))[0] for one in z.ravel()]
    np.testing.assert_allclose(a.ravel(), alone, rtol=1e-14, atol=1e-300)
    if name in FORMULA and name not in ("gelu", "silu", "mish"):
        assert np.all(np.diff(activation(np.sort(z.ravel()))) >= -1e-15)


def test_activation_of_a_user_without_derivative():
    class Square(Activation):
        def __call__(self, z):
            return z * z

    z, out = np.array([3.0]), np.empty(1)
    Square().forward(z, out)
    assert out == 9.0
    with pytest.raises(NotImplementedError, match=r"Square.*backprop.*numeric"):
        Square().backward(out, z, z)
    with pytest.raises(NotImplementedError, match="__call__"):
        Activation()(z)
