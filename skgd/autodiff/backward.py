"""The backward pass: the chain rule, applied to each node of a tape from its end."""

from __future__ import annotations

from typing import Any

import numpy as np

from skgd import special
from skgd.autodiff.graph import Trace
from skgd.autodiff.refusals import stop


def backward(trace: Trace, index: int, seed: Any, n_inputs: int) -> list[Any]:
    """Apply the chain rule to each node, from number `index` back to the inputs."""
    gradients: list[Any] = [None] * (max(index + 1, n_inputs))
    gradients[index] = seed
    with np.errstate(all="ignore"):  # an inf or nan shows in the result
        for i in range(index, n_inputs - 1, -1):
            g = gradients[i]
            if g is None:
                continue
            gradients[i] = None  # no longer needed: free the memory
            parents, value, args, kwargs = trace.tape[i]
            for parent, position, formula in parents:
                part = _match(formula(g, value, *args, **kwargs), args[position])
                sum_so_far = gradients[parent]
                gradients[parent] = part if sum_so_far is None else sum_so_far + part
    return gradients[:n_inputs]


def _match(g: Any, x: Any) -> Any:
    """Give a contribution the shape and dtype of its argument: undo what broadcasting did."""
    shape = x.shape
    if g.shape != shape:
        g = _unbroadcast(g, shape)
    if g.dtype != x.dtype:
        if g.dtype.kind == "c":
            stop(NotImplementedError, "the graph has no derivatives of complex numbers")
        g = special.cast(g, x.dtype)
    return g


def _unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum over the axes that broadcasting added or stretched."""
    if g.__class__ is np.ndarray and g.ndim == 2 and shape == g.shape[1:]:
        return np.ones(len(g), g.dtype) @ g  # a bias: BLAS sums the rows twice as fast
    for _ in range(g.ndim - len(shape)):
        g = np.add.reduce(g, 0)
    for axis, n in enumerate(shape):
        if n == 1 and g.shape[axis] != 1:
            g = np.sum(g, axis=axis, keepdims=True)
    return g
