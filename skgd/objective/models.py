"""The model: from the flat vector theta and the rows X to the raw outputs.

One class serves all estimators. A network with no hidden layer *is* the linear model.
The flat vector holds every weight first and every intercept after them, so "the weights",
which penalties and weight decay act on, is one slice of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from skgd import special
from skgd.activations import Activation, FunctionActivation

Masks = tuple[np.ndarray, ...] | None  # of the hidden layers (see `skgd.objective.dropout`)

BLOCK = 2048  # rows whose outputs fit the cache


class Layers(list[tuple[Any, Any]]):
    """Weights and intercepts ``(W, b)`` of each layer; b may be None.

    Parameters
    ----------
    pairs : iterable of (W, b)
    direct : array of shape (n_features, n_outputs) or None
        Weights of the links from the input straight to the output, where there are such.
    """

    def __init__(self, pairs: Iterable[tuple[Any, Any]] = (), direct: Any = None) -> None:
        super().__init__(pairs)
        self.direct = direct

    @property
    def weights(self) -> list[Any]:
        """All that a penalty acts on."""
        direct = [] if self.direct is None else [self.direct]
        return [W for W, _ in self] + direct

    @property
    def arrays(self) -> list[Any]:
        """Return all arrays: `filled` puts others in their places."""
        return self.weights + [b for _, b in self if b is not None]

    def filled(self, arrays: Iterable[Any]) -> Layers:
        """Layers of the same form with other arrays, in the order of `arrays`."""
        given = iter(arrays)
        weights = [next(given) for _ in self]
        direct = None if self.direct is None else next(given)
        return Layers(
            [
                (W, None if b is None else next(given))
                for W, (_, b) in zip(weights, self, strict=True)
            ],
            direct,
        )


@dataclass(frozen=True)
class Block:
    """Where one named array lies in the flat vector."""

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]

    def of(self, theta: np.ndarray) -> np.ndarray:
        """View of the block in `theta`."""
        return theta[self.start : self.stop].reshape(self.shape)


@dataclass(frozen=True)
class FeedForward:
    """A layered network: ``a_0 = X``, ``a_l = activation_l(a_{l-1} W_l + b_l)``.

    The last layer has no activation: the model gives raw outputs, and the link to a
    probability or a positive mean belongs to the loss. With direct links the raw output is
    ``a_{L-1} W_L + X D + b_L``.

    Parameters
    ----------
    n_features, n_outputs : int
        Columns of X and of the raw output.
    hidden_layer_sizes : tuple of int
        Units of each hidden layer; empty for the linear model.
    activations : tuple of Activation
        One for each hidden layer.
    fit_intercept : bool
        Whether the layers have intercepts.
    linear_shape : tuple of int or None
        Shape of ``coef`` for a linear model, ``(n_features,)`` or
        ``(n_outputs, n_features)``; None for a network, whose weights are named
        ``coefs[0]``, ``coefs[1]``, ... and have the shape (units before, units after).
    direct_links : bool
        Whether a network has weights from the input straight to the output, named ``direct``.
    """

    n_features: int
    n_outputs: int
    hidden_layer_sizes: tuple[int, ...] = ()
    activations: tuple[Activation, ...] = ()
    fit_intercept: bool = True
    linear_shape: tuple[int, ...] | None = None
    direct_links: bool = False
    blocks: tuple[Block, ...] = field(init=False)
    n_weights: int = field(init=False)
    n_parameters: int = field(init=False)

    def __post_init__(self) -> None:
        sizes = (self.n_features, *self.hidden_layer_sizes, self.n_outputs)
        if self.linear_shape is not None:
            named = [("coef", self.linear_shape)]
            biases = [("intercept", (self.n_outputs,))]
        else:
            named = [(f"coefs[{i}]", pair) for i, pair in enumerate(pairwise(sizes))]
            biases = [(f"intercepts[{i}]", (size,)) for i, size in enumerate(sizes[1:])]
        if self.direct_links:
            named = [*named, ("direct", (self.n_features, self.n_outputs))]
        blocks, start = [], 0
        for name, shape in named + (biases if self.fit_intercept else []):
            stop = start + int(np.prod(shape))
            blocks.append(Block(name, start, stop, shape))
            start = stop
        object.__setattr__(self, "blocks", tuple(blocks))
        object.__setattr__(self, "n_weights", blocks[len(named) - 1].stop)
        object.__setattr__(self, "n_parameters", start)

    @property
    def n_layers(self) -> int:
        """Layers with weights: hidden ones and the output."""
        return len(self.hidden_layer_sizes) + 1

    def unpack(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """Named views into `theta`, in the shapes of the fitted attributes."""
        return {block.name: block.of(theta) for block in self.blocks}

    def name_of(self, number: int) -> str:
        """Name of one entry of the flat vector, such as ``coefs[0][3, 1]``."""
        block = next(block for block in self.blocks if number < block.stop)
        index = np.unravel_index(number - block.start, block.shape)
        return f"{block.name}[{', '.join(map(str, index))}]"

    def layers(self, theta: np.ndarray) -> Layers:
        """Return views ``(W, b)`` into `theta`; W is (units before, units after), b may be None."""
        arrays = [block.of(theta) for block in self.blocks]
        weights = arrays[: self.n_layers]
        if self.linear_shape is not None:  # coef is stored as scikit-learn shows it
            weights = [weights[0].reshape(self.n_outputs, self.n_features).T]
        direct = arrays[self.n_layers] if self.direct_links else None
        biases = arrays[-self.n_layers :] if self.fit_intercept else [None] * self.n_layers
        return Layers(zip(weights, biases, strict=True), direct)

    def raw(self, layers: Layers, X: Any, masks: Masks = None) -> Any:
        """Raw outputs in plain NumPy, which the graph can record: (n,) or (n, n_outputs)."""
        a = [X, *self.hidden(layers, X, masks)][-1]
        raw = special.affine(a, *layers[-1])
        if layers.direct is not None:
            raw = raw + special.affine(X, layers.direct)
        return raw.reshape(-1) if self.n_outputs == 1 else raw

    def hidden(self, layers: Layers, X: Any, masks: Masks = None) -> list[Any]:
        """Activations of each hidden layer in plain NumPy, each (n, units)."""
        arrays: list[Any] = []
        for index, activation in enumerate(self.activations):
            a = activation(special.affine(arrays[-1] if arrays else X, *layers[index]))
            arrays.append(a if masks is None else a * masks[index])
        return arrays

    def decay_mask(self) -> np.ndarray:
        """Boolean mask over theta: True for weights, False for intercepts."""
        return np.arange(self.n_parameters) < self.n_weights


class DeltaRule:
    """The derivative of the model written by hand: forward, then layer by layer backward.

    ``delta_L = dJ/d raw``; ``dJ/dW_l = a_{l-1}^T delta_l``; ``dJ/db_l = sum_rows delta_l``;
    ``delta_{l-1} = (delta_l W_l^T) * activation'(z_{l-1})`` (Rumelhart, Hinton & Williams
    1986, eq. 4 to 7). For the linear model, and for direct links, that is
    ``X^T delta``. A mask multiplies the outputs
    of its layer on the way forward, and delta on the way backward.

    The arrays between the layers are made once for each number of rows and used again.
    """

    def __init__(self, model: FeedForward, dtype: np.dtype) -> None:
        self.model = model
        self.dtype = dtype
        self._buffers: dict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}

    def forward(self, layers: Layers, X: Any, masks: Masks = None) -> np.ndarray:
        """Raw outputs (n, n_outputs), in a buffer that the next call overwrites."""
        a = X
        buffers = self._last = self._rows(X.shape[0])
        for index, activation in enumerate(self.model.activations):
            z, out, below = buffers[index]
            _affine(a, *layers[index], z)
            activation.forward(z, out)
            a = out
            if masks is not None:  # the derivative of the activation will need the output itself
                a = np.multiply(out, masks[index], out=below)
        raw = buffers[-1][0]
        _affine(a, *layers[-1], raw)
        if layers.direct is not None:
            raw += X @ layers.direct
        return raw

    def inputs_of_first(self) -> np.ndarray:
        """Return what the units of the first layer were given in the last `forward`.

        It is there since activations write into another array.
        """
        return self._last[0][0]

    def backward(
        self, layers: Layers, X: Any, delta: np.ndarray, gradient: Layers, masks: Masks = None
    ) -> None:
        """Write dJ/dW and dJ/db of the last `forward` into the views `gradient`."""
        output = 1 if masks is None else 2  # where `forward` has put what the next layer reads
        buffers = self._rows(X.shape[0])
        if gradient.direct is not None:
            _transposed_product(X, delta, gradient.direct)
        for index in range(len(layers) - 1, -1, -1):
            before = X if index == 0 else buffers[index - 1][output]
            slope_W, slope_b = gradient[index]
            _transposed_product(before, delta, slope_W)
            if slope_b is not None:
                np.add.reduce(delta, axis=0, out=slope_b)
            if index > 0:
                delta = self._below(layers, index, delta, buffers, masks)

    def to_input(self, layers: Layers, delta: np.ndarray) -> np.ndarray:
        """Go back to the inputs of the last `forward`, from `delta`, the derivative by raw."""
        buffers = self._rows(delta.shape[0])
        by_direct = 0.0 if layers.direct is None else delta @ layers.direct.T
        for index in range(len(layers) - 1, 0, -1):
            delta = self._below(layers, index, delta, buffers)
        return delta @ layers[0][0].T + by_direct

    def _below(
        self,
        layers: Layers,
        index: int,
        delta: np.ndarray,
        buffers: list[Any],
        masks: Masks = None,
    ) -> np.ndarray:
        """Return the derivative by the input of a hidden layer, from that of the layer above."""
        z, a, below = buffers[index - 1]
        np.matmul(delta, layers[index][0].T, out=below)
        if masks is not None:
            below *= masks[index - 1]
        self.model.activations[index - 1].backward(below, z, a)
        return below

    def _rows(self, n: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        if n not in self._buffers:
            if len(self._buffers) > 1:  # a batch size and its remainder, never more
                self._buffers.clear()
            sizes = (*self.model.hidden_layer_sizes, self.model.n_outputs)
            self._buffers[n] = [
                (self._empty(n, size), self._empty(n, size), self._empty(n, size))
                for size in sizes[:-1]
            ]
            raw = self._empty(n, sizes[-1])
            self._buffers[n].append((raw, raw, raw))
        return self._buffers[n]

    def _empty(self, n: int, size: int) -> np.ndarray:
        return np.empty((n, size), dtype=self.dtype)


def raw_of_many(model: FeedForward, theta: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, bool]:
    """Raw outputs for many rows, by blocks that fit the cache.

    Parameters
    ----------
    model : FeedForward
    theta : ndarray of shape (n_parameters,)
    X : ndarray of shape (n, n_features)

    Returns
    -------
    raw : ndarray of shape (n,) or (n, n_outputs)
    finite : bool
        Whether X is known to be finite: what is not gets through the first layer.
    """
    dtype = np.result_type(X, theta)
    layers = model.layers(theta.astype(dtype, copy=False))
    rule = DeltaRule(model, dtype)
    raw, finite = np.empty((X.shape[0], model.n_outputs), dtype), True
    for rows in gen_batches(X.shape[0], BLOCK):
        raw[rows] = rule.forward(layers, X[rows])
        finite = finite and bool(np.isfinite(rule.inputs_of_first().sum()))
    return (raw[:, 0] if model.n_outputs == 1 else raw), finite


def gradient_by_input(
    model: FeedForward, layers: Layers, X: Any, outputs: Iterable[int]
) -> np.ndarray:
    """Return the derivative of raw outputs by the inputs.

    Parameters
    ----------
    model : FeedForward
    layers : Layers
    X : {ndarray, CSR matrix} of shape (n, n_features)
    outputs : iterable of int
        Which raw outputs.

    Returns
    -------
    gradient : ndarray of shape (n, n_features, number of outputs)
    """
    # Where nobody has written a derivative by hand, the graph has it.
    activations = [f if f.has_derivative else FunctionActivation(f) for f in model.activations]
    dtype = layers[0][0].dtype
    rule = DeltaRule(replace(model, activations=tuple(activations)), dtype)
    rule.forward(layers, X)
    slopes = []
    for output in outputs:
        delta = np.zeros((X.shape[0], model.n_outputs), dtype)
        delta[:, output] = 1.0
        slopes.append(rule.to_input(layers, delta))
    return np.stack(slopes, axis=-1)


def _affine(X: Any, W: np.ndarray, b: np.ndarray | None, out: np.ndarray) -> None:
    if sparse.issparse(X):
        out[...] = X @ W
    else:
        np.matmul(X, W, out=out)
    if b is not None:
        out += b


def _transposed_product(X: Any, delta: np.ndarray, out: np.ndarray) -> None:
    """``out = X^T delta``, in the memory order of `out` so that BLAS writes it directly."""
    if sparse.issparse(X):
        out[...] = X.T @ delta
    elif out.flags.c_contiguous:
        np.matmul(X.T, delta, out=out)
    else:
        np.matmul(delta.T, X, out=out.T)
