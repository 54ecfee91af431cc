"""Agreement with HIPS autograd, which shares no code with this library, on random expressions.

An expression is a list of steps, each an operation of a table applied to earlier values. It is
evaluated twice, with the modules of either library. Operations with kinks or poles are kept away
from them: next to one, two correct programs may differ.
"""

import itertools
from collections import Counter
from types import SimpleNamespace

import autograd
import autograd.numpy
import autograd.scipy.signal
import autograd.scipy.special
import numpy as np
import pytest
import scipy.special
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skgd import special
from skgd.autodiff import grad, value_and_gradients

OURS = SimpleNamespace(np=np, sc=scipy.special, logsumexp=special.logsumexp, convolve=np.convolve)
THEIRS = SimpleNamespace(
    np=autograd.numpy,
    sc=autograd.scipy.special,
    logsumexp=autograd.scipy.special.logsumexp,
    convolve=autograd.scipy.signal.convolve,
)

# -- the table of operations ----------------------------------------------------------------------


def anywhere(values, params):
    return np.inf


class Operation:
    """What a step computes, of how many values, with which parameters; how far from a kink.

    `ranks` are the numbers of axes for which autograd's derivative is there, and right. Where it
    is not, test_autodiff.py compares ours with differences.
    """

    def __init__(self, call, n=1, params=lambda shape: st.just(()), gap=anywhere, ranks=None):
        self.call, self.n, self.params, self.gap, self.ranks = call, n, params, gap, ranks


# Ranges of functions that are not defined everywhere: x is mapped into them.
def unit(m, x):
    return 0.9 * m.np.tanh(x)


def positive(m, x):
    return 1.1 + m.np.tanh(x)


def above_one(m, x):
    return 2.2 + m.np.tanh(x)


def probability(m, x):
    return 0.5 + 0.45 * m.np.tanh(x)


def anything(m, x):
    return x


# Distances from the nearest kink.
def from_zero(values, params):
    return min(np.min(np.abs(v)) for v in values)


def from_each_other(values, params):
    return np.min(np.abs(values[0] - values[1]))


def from_integers(values, params):
    return np.min(np.abs(values[0] - np.round(values[0])))


def from_ties(values, params):
    return np.min(np.diff(np.sort(np.ravel(values[0]))), initial=np.inf)


def from_constant(values, params):
    return np.min(np.ptp(values[0], axis=params[0]))


def from_the_origin(values, params):
    return np.min(np.hypot(*values))


def from_zeros_of_the_remainder(values, params):
    quotient = values[0] / positive(OURS, values[1])
    return np.min(np.abs(quotient - np.round(quotient)))


def from_one_half(values, params):
    return np.min(np.abs(np.abs(values[0]) - 0.5))


# Parameters, drawn to fit the shape of the first value.
def axis_of(shape):
    return st.integers(-len(shape), len(shape) - 1)


def one_axis(shape):
    return st.tuples(axis_of(shape)) if shape else None


def axis_and_keepdims(shape):
    axes = st.none()
    if shape:
        axes |= axis_of(shape)
    if len(shape) > 1:
        pairs = list(itertools.combinations(range(len(shape)), 2))
        axes |= st.sampled_from([*pairs, tuple(range(len(shape)))])
    return st.tuples(axes, st.booleans())


def order_of_norm(shape):
    # autograd has no derivative of the norm of order 1, and nan for order inf
    return st.tuples(st.sampled_from([1.5, 2, 3]), axis_of(shape)) if shape else None


def permutation(shape):
    return st.tuples(st.permutations(range(len(shape))).map(tuple))


def two_axes(shape):
    return st.tuples(axis_of(shape), axis_of(shape)) if shape else None


def integers_below(n, size):
    return st.lists(st.integers(-n, n - 1), min_size=size, max_size=size)


def slices(n):
    start, stop = st.none() | st.integers(-n, n - 1), st.none() | st.integers(1, n)
    steps = st.sampled_from([None, 1, 2, -1])
    return st.builds(slice, start, stop, steps).filter(lambda s: len(range(n)[s]) > 0)


def index(kind):
    """Make a strategy of indices for a shape: a tuple of one index each."""

    def of_shape(shape):
        if not shape:
            return None
        n, last = shape[0], shape[-1]
        return st.tuples(
            {
                "integer": lambda: st.integers(-n, n - 1),
                "integers": lambda: st.tuples(*(st.integers(-k, k - 1) for k in shape)),
                "slice": lambda: slices(n),
                "slices": lambda: st.tuples(*map(slices, shape)),
                "ellipsis": lambda: st.tuples(st.just(...), st.none(), st.integers(0, last - 1)),
                "mask": lambda: masks(shape),
                "rows": lambda: masks((n,)),
                "list": lambda: integers_below(n, 4),
                "array": lambda: integers_below(n, 4).map(lambda i: np.reshape(i, (2, 2))),
                "arrays": lambda: st.tuples(*(integers_below(k, 3).map(np.array) for k in shape)),
                "mixed": lambda: st.tuples(st.just(...), integers_below(last, 3)),
            }[kind]()
        )

    return of_shape


def masks(shape):
    size = int(np.prod(shape))
    bits = st.lists(st.booleans(), min_size=size, max_size=size).filter(any)
    return bits.map(lambda b: np.reshape(b, shape))


def function(name, domain=anything, module="np"):
    """Make the call of an elementwise function of one of the modules."""
    return lambda m, *values: getattr(getattr(m, module), name)(*(domain(m, v) for v in values))


def elementwise():
    everywhere = "negative exp exp2 expm1 sin cos sinh cosh tanh arctan arcsinh square deg2rad"
    everywhere += " rad2deg radians degrees nan_to_num conjugate real ravel"
    domains = {
        anything: everywhere,
        unit: "arcsin arccos arctanh tan",
        positive: "log log2 log10 log1p sqrt reciprocal",
        above_one: "arccosh",
    }
    special_domains = {
        anything: "erf erfc expit i0 i1",
        unit: "erfinv",
        positive: "gamma gammaln psi rgamma",
        probability: "logit erfcinv",
    }
    for domain, names in domains.items():
        for name in names.split():
            yield name, Operation(function(name, domain))
    for domain, names in special_domains.items():
        for name in names.split():
            yield f"special.{name}", Operation(function(name, domain, "sc"))
    for name in ("absolute", "fabs"):
        yield name, Operation(function(name), gap=from_zero)


def binary():
    for name in ("add", "subtract", "multiply", "logaddexp", "logaddexp2"):
        yield name, Operation(function(name), n=2)
    for name in ("maximum", "minimum", "fmax", "fmin"):
        yield name, Operation(function(name), n=2, gap=from_each_other)
    for name in ("arctan2", "hypot"):
        yield name, Operation(function(name), n=2, gap=from_the_origin)
    for name in ("beta", "betaln"):
        yield f"special.{name}", Operation(function(name, positive, "sc"), n=2)


def reductions():
    gaps = {"max": from_ties, "min": from_ties, "prod": from_zero, "std": from_constant}
    for name in ("sum", "mean", "prod", "var", "std", "max", "min"):
        gap = gaps.get(name, anywhere)
        yield name, Operation(reduction(name), params=axis_and_keepdims, gap=gap)
    for name in ("sum", "mean", "var"):
        yield f".{name}()", Operation(reduction(name, method=True), params=axis_and_keepdims)


def reduction(name, method=False):
    if method:
        return lambda m, x, axis, keep: getattr(x, name)(axis=axis, keepdims=keep)
    return lambda m, x, axis, keep: getattr(m.np, name)(x, axis=axis, keepdims=keep)


def spd(m, a):
    """Make a well-conditioned symmetric matrix."""
    a = m.np.atleast_2d(a)
    return a @ m.np.swapaxes(a, -1, -2) + 2.0 * np.eye(a.shape[-2])


def einsum(subscripts):
    terms = subscripts.partition("->")[0].split(",")

    def call(m, *operands):
        sizes = {}
        for term, x in zip(terms, operands, strict=True):
            letters = term.replace("...", "")
            for letter, size in zip(letters, np.shape(x)[-len(letters) :], strict=True):
                if sizes.setdefault(letter, size) != size:
                    raise ValueError("autograd does not sum over what einsum has stretched")
        return m.np.einsum(subscripts, *operands)

    return Operation(call, n=len(terms))


INDICES = [
    "integer", "integers", "slice", "slices", "ellipsis", "mask", "rows", "list", "array",
    "arrays", "mixed",
]  # fmt: skip
SUBSCRIPTS = [
    "ij->j", "ij->", "i,i", "i,j->ij", "ij,j", "ij,kj->ik", "ij,ij->i", "...i,i->...",
    "ij,jk,k->i", "...ij,...jk->...ik",
]  # fmt: skip

OPERATIONS = {
    **dict(elementwise()),
    **dict(binary()),
    **dict(reductions()),
    **{f"x[{kind}]": Operation(lambda m, x, i: x[i], params=index(kind)) for kind in INDICES},
    **{f"einsum {subscripts}": einsum(subscripts) for subscripts in SUBSCRIPTS},
    # operators
    "x / y": Operation(lambda m, x, y: x / positive(m, y), n=2),
    "x % y": Operation(lambda m, x, y: x % positive(m, y), n=2, gap=from_zeros_of_the_remainder),
    "x**y": Operation(lambda m, x, y: positive(m, x) ** y, n=2),
    "x**2": Operation(lambda m, x: x**2),
    "x**3": Operation(lambda m, x: x**3),
    "x**-1.5": Operation(lambda m, x: positive(m, x) ** -1.5),
    "2**x": Operation(lambda m, x: 2.0**x),
    "1 - x": Operation(lambda m, x: 1.0 - x),
    "1 / x": Operation(lambda m, x: 1.0 / positive(m, x)),
    "-x": Operation(lambda m, x: -x),
    "abs(x)": Operation(lambda m, x: abs(x), gap=from_zero),
    "x * (x > 0)": Operation(lambda m, x: x * (x > 0), gap=from_zero),
    # selection
    "sign": Operation(lambda m, x: m.np.sign(x) * x, gap=from_zero),
    "floor": Operation(lambda m, x: (x - m.np.floor(x)) * x, gap=from_integers),
    "clip": Operation(lambda m, x: m.np.clip(x, -0.5, 0.5), gap=from_one_half),
    "where x > y": Operation(  # autograd's does not sum over what was broadcast
        lambda m, x, y: m.np.where(x > y, x + 0.0 * y, y * y + 0.0 * x), n=2, gap=from_each_other
    ),
    "where mask": Operation(lambda m, x, mask: m.np.where(mask, x, -0.5 * x), params=index("mask")),
    # special functions with parameters
    "special.iv": Operation(lambda m, x: m.sc.iv(2, x)),
    "special.ive": Operation(lambda m, x: m.sc.ive(1, positive(m, x))),
    "special.gammainc": Operation(lambda m, x: m.sc.gammainc(1.5, positive(m, x))),
    "special.gammaincc": Operation(lambda m, x: m.sc.gammaincc(2.5, positive(m, x))),
    "special.betainc": Operation(lambda m, x: m.sc.betainc(1.5, 2.5, probability(m, x))),
    "special.logsumexp": Operation(
        lambda m, x, axis, keep: m.logsumexp(x, axis=axis, keepdims=keep),
        params=axis_and_keepdims,
        ranks=[1, 2, 3],
    ),
    # products
    "matmul": Operation(lambda m, x, y: m.np.matmul(x, y), n=2),
    "x @ y": Operation(lambda m, x, y: x @ y, n=2),
    "dot": Operation(lambda m, x, y: m.np.dot(x, y), n=2),
    "inner": Operation(lambda m, x, y: m.np.inner(x, y), n=2),
    # autograd's fails for more axes
    "outer": Operation(lambda m, x, y: m.np.outer(x, y), n=2, ranks=[1]),
    "tensordot 0": Operation(lambda m, x, y: m.np.tensordot(x, y, axes=0), n=2),
    "tensordot 1": Operation(lambda m, x, y: m.np.tensordot(x, y, axes=1), n=2),
    "tensordot lists": Operation(
        lambda m, x, y: m.np.tensordot(x, y, axes=([-1], [-1])), n=2
    ),
    # autograd's is wrong for more axes
    "kron": Operation(lambda m, x, y: m.np.kron(x, y), n=2, ranks=[2]),
    "cross": Operation(lambda m, x, y: m.np.cross(x + 0.0 * y, y + 0.0 * x), n=2),  # as for where
    "convolve": Operation(
        lambda m, x, y, mode: m.convolve(m.np.ravel(x), m.np.ravel(y), mode=mode),
        n=2,
        params=lambda shape: st.tuples(st.sampled_from(["full", "valid"])),
    ),
    # linear algebra
    "linalg.solve": Operation(
        lambda m, a, b: m.np.linalg.solve(spd(m, a), b), n=2, ranks=[1, 2]
    ),
    "linalg.inv": Operation(lambda m, a: m.np.linalg.inv(spd(m, a))),
    "linalg.det": Operation(lambda m, a: m.np.linalg.det(spd(m, a))),
    "linalg.slogdet": Operation(lambda m, a: m.np.linalg.slogdet(spd(m, a))[1]),
    "linalg.cholesky": Operation(lambda m, a: m.np.linalg.cholesky(spd(m, a))),
    "linalg.norm": Operation(lambda m, x: m.np.linalg.norm(x), gap=from_zero),
    "linalg.norm ord": Operation(
        lambda m, x, p, axis: m.np.linalg.norm(x, p, axis=axis),
        params=order_of_norm,
        gap=from_zero,
    ),
    "trace": Operation(lambda m, x: m.np.trace(x)),
    # order
    "sort": Operation(lambda m, x: m.np.sort(m.np.ravel(x)), gap=from_ties),
    "partition": Operation(lambda m, x: m.np.partition(m.np.ravel(x), 0), gap=from_ties),
    "cumsum": Operation(lambda m, x, axis: m.np.cumsum(x, axis=axis), params=one_axis),
    "diff": Operation(lambda m, x, axis: m.np.diff(x, axis=axis), params=one_axis),
    # shape
    "reshape": Operation(lambda m, x: m.np.reshape(x, np.shape(x)[::-1])),
    ".reshape()": Operation(lambda m, x: x.reshape(-1, 1)),
    "ravel F": Operation(lambda m, x: m.np.ravel(x, order="F")),
    ".ravel()": Operation(lambda m, x: x.ravel()),
    ".flatten()": Operation(lambda m, x: x.flatten()),
    ".T": Operation(lambda m, x: x.T),
    "transpose": Operation(lambda m, x, axes: m.np.transpose(x, axes), params=permutation),
    "swapaxes": Operation(lambda m, x, i, j: m.np.swapaxes(x, i, j), params=two_axes),
    "moveaxis": Operation(lambda m, x, i, j: m.np.moveaxis(x, i, j), params=two_axes),
    "rollaxis": Operation(lambda m, x: m.np.rollaxis(x, np.ndim(x) - 1)),
    "expand_dims": Operation(lambda m, x, axis: m.np.expand_dims(x, axis), params=one_axis),
    "squeeze": Operation(lambda m, x: m.np.squeeze(x)),
    "broadcast_to": Operation(  # autograd's can't add axes
        lambda m, x: m.np.broadcast_to(m.np.reshape(x, (1, *np.shape(x))), (2, *np.shape(x)))
    ),
    "atleast_1d": Operation(lambda m, x: m.np.atleast_1d(x)),
    "atleast_2d": Operation(lambda m, x: m.np.atleast_2d(x)),
    "roll": Operation(lambda m, x, axis: m.np.roll(x, 1, axis=axis), params=one_axis),
    "rot90": Operation(lambda m, x: m.np.rot90(x)),
    "flipud": Operation(lambda m, x: m.np.flipud(x)),
    "fliplr": Operation(lambda m, x: m.np.fliplr(x)),
    # autograd's is wrong for a negative axis
    "repeat": Operation(lambda m, x: m.np.repeat(x, 2, axis=0), ranks=[1, 2, 3]),
    # and this for more axes than repetitions
    "tile": Operation(lambda m, x: m.np.tile(x, (2, 1)), ranks=[1, 2]),
    "pad": Operation(lambda m, x: m.np.pad(x, 1, "constant")),
    "diag": Operation(lambda m, x: m.np.diag(x), ranks=[1]),
    "diagonal": Operation(lambda m, x: m.np.diagonal(m.np.outer(x, x), 0, -1, -2), ranks=[1]),
    "tril": Operation(lambda m, x: m.np.tril(x), ranks=[2, 3]),
    "triu": Operation(lambda m, x: m.np.triu(x, 1), ranks=[2, 3]),
    "split": Operation(lambda m, x, axis: m.np.split(x, [1], axis=axis)[0], params=one_axis),
    "array_split": Operation(lambda m, x, axis: m.np.array_split(x, 2, axis)[0], params=one_axis),
    "vsplit": Operation(lambda m, x: m.np.vsplit(x, [1])[0]),
    "hsplit": Operation(lambda m, x: m.np.hsplit(x, [1])[0], ranks=[2, 3]),
    # joining
    "concatenate": Operation(lambda m, x, y: m.np.concatenate([x, y, x], axis=-1), n=2),
    "stack": Operation(lambda m, x, y: m.np.stack([x, y], axis=-1), n=2),
    "vstack": Operation(lambda m, x, y: m.np.vstack([x, y]), n=2),
    "hstack": Operation(lambda m, x, y: m.np.hstack([x, y]), n=2),
    "column_stack": Operation(lambda m, x, y: m.np.column_stack([x, y]), n=2),
    "append": Operation(lambda m, x, y: m.np.append(x, y, axis=0), n=2),
}  # fmt: skip

SHAPES = [(), (3,), (2, 3), (3, 3), (2, 3, 2)]
LARGEST = 40


def scaled(m, x, factor):
    return x * factor


# -- expressions ----------------------------------------------------------------------------------


class Expression:
    """A list of steps (operation, positions of its values, parameters), and a point."""

    def __init__(self, seed):
        self.seed, self.steps = seed, []
        draw = np.random.default_rng(seed)
        self.point = [draw.normal(size=shape) for shape in SHAPES]
        self.values = [*self.point]  # plain ones, for the sake of domains and shapes

    def add(self, name, positions, params):
        """Add a step if its operation fits the values there; return whether it did."""
        operation, values = OPERATIONS[name], [self.values[i] for i in positions]
        if operation.ranks and any(np.ndim(v) not in operation.ranks for v in values):
            return False
        try:
            value = operation.call(OURS, *values, *params)
        except (ValueError, IndexError, TypeError, Warning):
            return False
        if not 0 < np.size(value) <= LARGEST or not operation.gap(values, params) > 1e-4:
            return False
        self.append(name, positions, params, value)
        top = np.max(np.abs(value))
        if top > 4.0:
            factor = 2.0 ** -np.ceil(np.log2(top))
            self.append(None, (len(self.values) - 1,), (factor,), value * factor)
        return True

    def append(self, name, positions, params, value):
        self.steps.append((name, positions, params))
        self.values.append(value)

    def __call__(self, m, *inputs):
        """Evaluate: weigh the entries of all values that no step has used."""
        values, used = list(inputs), set()
        for name, positions, params in self.steps:
            call = scaled if name is None else OPERATIONS[name].call
            values.append(call(m, *[values[i] for i in positions], *params))
            used.update(positions)
        total = 0.0
        for i in range(len(inputs), len(values)):
            if i not in used:
                weights = np.cos(1.0 + np.arange(np.size(self.values[i])))
                total = total + m.np.sum(values[i] * np.reshape(weights, np.shape(self.values[i])))
        return total

    def __repr__(self):
        return f"Expression(seed={self.seed}, steps={self.steps})"


@st.composite
def expressions(draw):
    expression = Expression(draw(st.integers(0, 2**16)))
    names = st.lists(st.sampled_from(sorted(OPERATIONS)), min_size=10, max_size=24, unique=True)
    for name in draw(names):
        add_step(draw, expression, name)
    return expression


def add_step(draw, expression, name):
    """Add the operation, applied to the first values that it fits, from a drawn start back."""
    operation, n = OPERATIONS[name], len(expression.values)
    newest_first = np.arange(n)[::-1]
    firsts, others = (np.roll(newest_first, -draw(st.integers(0, n - 1))) for _ in range(2))
    for first in firsts:
        strategy = operation.params(np.shape(expression.values[first]))
        if strategy is None:
            continue
        params = draw(strategy)
        for rest in itertools.permutations(others, operation.n - 1):
            if expression.add(name, (int(first), *map(int, rest)), params):
                return


USED = Counter()


def norm(gradients):
    return np.sqrt(sum(np.sum(np.square(g)) for g in gradients))


def assert_agree(ours, theirs):
    distance = norm([a - b for a, b in zip(ours, theirs, strict=True)])
    assert distance <= 1e-10 * max(1.0, norm(theirs))


def assert_gradients_agree(fun, point):
    """Compare value and gradient of fun(m, *arrays), m the modules to evaluate it with."""
    value, ours = value_and_gradients(lambda *x: fun(OURS, *x), point)
    theirs = autograd.grad(lambda *x: fun(THEIRS, *x), tuple(range(len(point))))(*point)
    assert value == pytest.approx(float(fun(THEIRS, *point)), rel=1e-12, abs=1e-12)
    assert_agree(ours, theirs)


def assert_products_agree(fun, point):
    """Compare the products of the Hessian matrix with a vector."""
    directions = [np.cos(2.0 + np.arange(x.size)).reshape(x.shape) for x in point]
    products = []
    for m, differentiate in ((OURS, grad), (THEIRS, autograd.grad)):
        every = tuple(range(len(point)))
        gradient = differentiate(lambda *x, m=m: fun(m, *x), every)

        def slope(*x, m=m, gradient=gradient):
            return sum(m.np.sum(d * g) for d, g in zip(directions, gradient(*x), strict=True))

        products.append(differentiate(slope, every)(*point))
    assert_agree(*products)


RANDOM = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is no fault of the draws
)


@settings(RANDOM, max_examples=300)
@given(expressions())
def test_gradients_agree(expression):
    USED["expressions"] += 1
    USED.update(name for name, _, _ in expression.steps)
    assert_gradients_agree(expression, expression.point)


def test_expressions_use_every_operation():
    if not USED:  # the other test ran in another process, or not at all; the draws are the same
        test_gradients_agree()
    assert USED["expressions"] >= 300
    assert not OPERATIONS.keys() - USED.keys()


@settings(RANDOM, max_examples=50)
@given(expressions())
def test_second_derivatives_agree(expression):
    # Of the square, since autograd warns of a Hessian matrix that is zero.
    assert_products_agree(lambda m, *x: expression(m, *x) ** 2, expression.point)


# -- losses as they are written -------------------------------------------------------------------

Y = np.array([1.5, -0.3, 0.4, 2.0, -1.1])
LABELS = np.array([0, 2, 1, 1, 0])
PRESENT = np.array([True, True, False, True, True])
TIMES = np.array([3.0, 1.0, 4.0, 1.5, 5.0])


def cross_entropy(m, z, Z):
    return -m.np.mean(Z[np.arange(5), LABELS] - m.logsumexp(Z, axis=1))


def one_hot_cross_entropy(m, z, Z):
    p = m.np.exp(Z - m.np.max(Z, axis=1, keepdims=True))
    p = p / m.np.sum(p, axis=1, keepdims=True)
    return -m.np.sum(np.eye(3)[LABELS] * m.np.log(p)) / len(Y)


def student_t(m, z, Z):
    df = 1.0 + m.np.exp(Z[0, 0])
    norm = m.sc.gammaln((df + 1.0) / 2.0) - m.sc.gammaln(df / 2.0) - 0.5 * m.np.log(df * np.pi)
    return -m.np.sum(norm - (df + 1.0) / 2.0 * m.np.log1p((Y - z) ** 2 / df))


def gaussian_process(m, z, Z):
    distances = m.np.sum((Z[:, None, :] - Z[None, :, :]) ** 2, axis=-1)
    K = m.np.exp(-0.5 * distances) + (0.1 + z[0] ** 2) * np.eye(5)
    L = m.np.linalg.cholesky(K)
    half = m.np.linalg.solve(L, Y)
    return 0.5 * m.np.dot(half, half) + m.np.sum(m.np.log(m.np.diag(L)))


def cox(m, z, Z):
    order = np.argsort(-TIMES)
    risks = m.np.log(m.np.cumsum(m.np.exp(z[order])))
    return -m.np.sum((z[order] - risks)[PRESENT[order]])


def attention(m, z, Z):
    scores = m.np.matmul(Z, Z.T) / np.sqrt(3.0)
    weights = m.np.exp(scores - m.logsumexp(scores, axis=-1, keepdims=True))
    return m.np.sum((weights @ z - Y) ** 2)


def layer_norm(m, z, Z):
    scaled = (Z - Z.mean(axis=1, keepdims=True)) / (m.np.std(Z, axis=1, keepdims=True) + 1e-3)
    return m.np.sum(scaled * np.arange(15.0).reshape(5, 3) * m.np.outer(z, np.ones(3)))


def triplets(m, z, Z):
    near, far = m.np.linalg.norm(Z[0] - Z[1:], axis=1), m.np.linalg.norm(Z[2] - Z[:-1] - 1, axis=1)
    return m.np.sum(m.np.maximum(0.0, near - far + 1.0))


CORPUS = {
    "squares": lambda m, z, Z: m.np.mean((Y - z) ** 2),
    "absolute": lambda m, z, Z: m.np.mean(m.np.abs(Y - z)),
    "pinball": lambda m, z, Z: m.np.mean(m.np.maximum(0.9 * (Y - z), -0.1 * (Y - z))),
    "huber": lambda m, z, Z: m.np.sum(
        m.np.where(m.np.abs(Y - z) < 1.0, 0.5 * (Y - z) ** 2, m.np.abs(Y - z) - 0.5)
    ),
    "log-cosh": lambda m, z, Z: m.np.sum(m.np.logaddexp(Y - z, z - Y)),
    "logistic": lambda m, z, Z: m.np.mean(m.np.log1p(m.np.exp(-np.sign(Y) * z))),
    "stable logistic": lambda m, z, Z: m.np.mean(m.np.logaddexp(0.0, -np.sign(Y) * z)),
    "hinge": lambda m, z, Z: m.np.sum(m.np.clip(1.0 - np.sign(Y) * z, 0.0, None)),
    "focal": lambda m, z, Z: -m.np.sum(
        (1.0 - m.sc.expit(z)) ** 2.5 * m.np.log(m.sc.expit(z))
    ),
    "poisson": lambda m, z, Z: m.np.mean(m.np.exp(z) - LABELS * z),
    "gamma": lambda m, z, Z: m.np.mean(z + TIMES * m.np.exp(-z)),
    "tweedie": lambda m, z, Z: m.np.mean(
        m.np.exp(z) ** 0.5 / 0.5 + TIMES * m.np.exp(z) ** -0.5 / 0.5
    ),
    "negative binomial": lambda m, z, Z: -m.np.sum(
        m.sc.gammaln(LABELS + m.np.exp(Z[0, 0])) - m.sc.gammaln(m.np.exp(Z[0, 0]))
        + m.np.exp(Z[0, 0]) * m.np.log(m.sc.expit(z)) + LABELS * m.np.log(m.sc.expit(-z))
    ),
    "gaussian": lambda m, z, Z: m.np.sum(Z[:, 1] + 0.5 * ((Y - z) / m.np.exp(Z[:, 1])) ** 2),
    "probit": lambda m, z, Z: -m.np.sum(m.np.log(0.5 * m.sc.erfc(-np.sign(Y) * z / np.sqrt(2)))),
    "beta": lambda m, z, Z: m.np.sum(m.sc.betaln(m.np.exp(z), m.np.exp(Z[:, 2])) - 0.3 * z),
    "von mises": lambda m, z, Z: m.np.sum(
        m.np.log(m.sc.i0(m.np.exp(Z[:, 0]))) - m.np.exp(Z[:, 0]) * m.np.cos(Y - z)
    ),
    "ranking": lambda m, z, Z: m.np.sum(
        m.np.triu(m.np.log1p(m.np.exp(z[:, None] - z[None, :])), 1)
    ),
    "smoothness": lambda m, z, Z: m.np.sum(m.np.diff(z) ** 2) + m.np.var(m.np.sort(z)),
    "correlation": lambda m, z, Z: 1.0 - m.np.sum((Y - np.mean(Y)) * (z - m.np.mean(z))) / (
        len(Y) * np.std(Y) * m.np.std(z)
    ),
    "cross-entropy": cross_entropy,
    "one-hot cross-entropy": one_hot_cross_entropy,
    "student t": student_t,
    "gaussian process": gaussian_process,
    "cox": cox,
    "attention": attention,
    "layer norm": layer_norm,
    "triplets": triplets,
}  # fmt: skip


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_losses_agree(name, seed):
    draw = np.random.default_rng(seed)
    point = [draw.normal(size=5), draw.normal(size=(5, 3))]
    assert_gradients_agree(CORPUS[name], point)
    assert_products_agree(lambda m, *x: CORPUS[name](m, *x) ** 2, point)
