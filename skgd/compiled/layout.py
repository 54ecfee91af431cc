"""What the compiled steps work on: the shape of the network, its data, terms, rules and room.

Tuples of numbers and flat arrays, which Python fills (`compiled.training`) and machine code reads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from skgd.compiled.intrinsics import like
from skgd.compiled.numbers import EXACT


class Kernels(NamedTuple):
    """Addresses of compiled functions."""

    loss: int
    setting: float  # the loss's parameter
    forward: np.ndarray  # of each hidden layer
    backward: np.ndarray
    optimizer: int  # 0 to stop before the move, with the gradient
    gemm: int  # BLAS's matrix products
    gemv: int
    give_way: int  # sched_yield of the C library; 0 where there is none


class Network(NamedTuple):
    """Shape of the model; `linear` where the only weights are stored as (outputs, features)."""

    sizes: np.ndarray  # units of each layer, from the features to the outputs
    intercepts: int
    linear: int
    n_weights: int


class Rows(NamedTuple):
    """The data: X is flat, or empty where X is the CSR matrix (values, indices, indptr)."""

    X: np.ndarray
    values: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    is_sparse: int
    y: np.ndarray  # flat
    weight: np.ndarray  # empty for ones
    order: np.ndarray  # row numbers; empty for 0, 1, 2, ...
    n: int
    batch_size: int


class Terms(NamedTuple):
    """The penalty, and the coordinates (`objective.coordinates`); empty for what is not there."""

    l2: float
    l1: np.ndarray  # of each weight, in the coordinates of the descent
    mean: np.ndarray
    inverse_scale: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    unit: float


class Rule(NamedTuple):
    """What the optimizer is told; entry k of an array, but for `settings`, is for step k."""

    settings: np.ndarray
    rates: np.ndarray
    momenta: np.ndarray  # nan for the rule's own
    products: np.ndarray  # of NAdam's momenta before the step
    clip_norm: float  # inf for none
    average_after: int  # samples
    average_decay: float  # of the weights of an average; 1 for a power instead
    average_power: float  # 0 where all count alike
    clip_value: float  # inf for none


class Call(NamedTuple):
    """One stretch of the training: what the first thread tells the others, and gets back."""

    number: np.ndarray  # of calls so far; raised when all else is written
    over: np.ndarray  # 1 where no call will follow
    gate: np.ndarray  # arrivals at the meetings of the threads
    told: np.ndarray  # first batch, steps; steps, rows and averages before; next meeting
    sums: np.ndarray  # sum of J times rows of the batch; steps taken; last J; first J


class State(NamedTuple):
    """What steps change. `before` are the parameters before the last step of the epoch."""

    u: np.ndarray
    theta: np.ndarray  # u itself where the coordinates are theta
    memory: np.ndarray  # (arrays of the rule, parameters), flat
    before: np.ndarray
    averaged: np.ndarray  # empty for none


class Space(NamedTuple):
    """Room to work in, made once for each training.

    Each array has `block` rows for each part of the batch, one part after the other; those of the
    hidden layers have all of a layer's rows before those of the next.
    """

    gradients: np.ndarray  # (parts, parameters)
    X: np.ndarray  # p columns
    targets: np.ndarray  # K columns, and so on
    raw: np.ndarray
    values: np.ndarray
    slopes: np.ndarray
    weight: np.ndarray  # 1 column
    inputs: np.ndarray  # as many columns as units: z, a, dJ/da
    outputs: np.ndarray
    deltas: np.ndarray
    tilts: np.ndarray  # (parts, K): the gradient of the intercepts, by theta
    shifts: np.ndarray  # (parts, K): what the means of the inputs add to the raw outputs
    losses: np.ndarray  # (parts, 8): loss, penalty, squares as clipped and before; a cache line
    no_intercepts: np.ndarray  # zeros, as many as the widest hidden layer
    old: np.ndarray  # parameters, where an L1 term needs those before the step
    block: int  # rows


# A loop that writes to ``array[start + i]`` has to look whether the index is negative, and is not
# run in vectors. So loops go over views, from 0 on: five times as fast.


@njit(**EXACT)
def copy(source, start, target, first, n):
    """``target[first : first + n] = source[start : start + n]``."""
    given, taken = source[start : start + n], target[first : first + n]
    for i in range(n):
        taken[i] = given[i]


@njit(**EXACT)
def clear(array, start, n):
    """``array[start : start + n] = 0``."""
    part = array[start : start + n]
    for i in range(n):
        part[i] = like(array, 0.0)
