"""Steps of gradient descent without Python between them: the compiled form of the loop's inside.

A step on a batch has four parts. Between them the threads wait for each other:

    differentiate   each part of the batch by itself: rows -> outputs -> loss -> gradient
    add up          the gradients of the parts, and the penalty; each slice of theta by itself
    (pull back      into the coordinates of the descent, if they are not theta)
    move            the optimizer; each slice by itself

Where nothing is asked of the gradient as a whole, each slice is moved as soon as it is there. The
parts and slices depend on sizes alone, and are added in fixed order: the result is the same, bit
for bit, for any number of threads. The NumPy form of all this is `DeltaRule`, `Objective`,
`Coordinates` and `descent.Epochs`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from numba import njit

from skgd.compiled.differentiate import differentiate
from skgd.compiled.intrinsics import arrive, call, count
from skgd.compiled.layout import clear, copy
from skgd.compiled.numbers import EXACT
from skgd.compiled.slices import (
    add_up,
    intercepts_to_theta,
    mass,
    move,
    prepare,
    pull_back,
    pull_back_chunk,
    to_theta,
    to_theta_chunk,
)

_CHUNK = 2048  # parameters
_POLITENESS = 10_000_000  # looks at a counter, before another process may have the processor
_PATIENCE = 3_000_000  # looks at a counter: about a millisecond


class Moment(NamedTuple):
    """What the slices of one step are told."""

    step: int  # of the stretch
    t: int  # steps before the stretch
    mean_of: float  # sum of the weights of the average; 0 for none
    last: bool  # of the epoch
    at_once: bool  # a slice is moved as soon as its gradient is there
    carried: bool  # a slice goes from theta to u and back by itself


@njit(**EXACT)
def wait(gate, n_threads, meeting, kernels):
    """Wait until all threads are here, for the `meeting`-th time; return the next number."""
    if n_threads > 1:
        arrive(gate)
        spins = 0
        while count(gate) < n_threads * meeting:
            spins += 1
            if spins > _POLITENESS and kernels.give_way:  # another process may need the processor
                call(kernels.give_way, (spins,))
    return meeting + 1


@njit(nogil=True, **EXACT)
def take_part(thread, seen, n_threads, call_, kernels, network, rows, terms, rule, state, space):
    """Take part in the stretches of a training: in the next one as thread 0, else in all.

    A thread beside the first waits for a new call, takes its part, and waits again, so that it
    stays on its processor; it returns the number of the last call it has seen where it waited for
    too long, or the training is over.
    """
    while True:
        if thread > 0:
            for _ in range(_PATIENCE):
                if count(call_.number) != seen:
                    break
            if count(call_.number) == seen:
                return seen
            seen += 1
            if call_.over[0]:
                return seen
        stretch(thread, n_threads, call_, kernels, network, rows, terms, rule, state, space)
        if thread == 0:
            return 0


@njit(**EXACT)
def stretch(thread, n_threads, call_, kernels, network, rows, terms, rule, state, space):
    """Take the steps from batch `first` of an epoch on.

    Without an optimizer the first batch is only evaluated, and ``gradients[0]`` has its gradient
    by u. A J that is not finite ends the steps before the move.
    """
    gate, sums, first, n_steps = call_.gate, call_.sums, call_.told[0], call_.told[1]
    t, samples, n_averaged, meeting = call_.told[2], call_.told[3], call_.told[4], call_.told[5]
    n_parts, size = space.losses.shape[0], state.u.size
    elsewhere = state.theta.size > 0  # the descent has coordinates of its own
    theta = state.theta if elsewhere else state.u
    clipped = rule.clip_norm < math.inf or rule.clip_value < math.inf
    whole = terms.l1.size > 0 or clipped  # something is asked of the gradient as a whole
    one_layer = network.linear != 0 and terms.inverse_scale.size > 0
    at_once = kernels.optimizer != 0 and not whole and (one_layer or not elsewhere)
    carried = at_once and elsewhere
    total = 0.0
    if carried:  # in the chunks of the steps: one stretch or two, the bits are the same
        for part in range(thread, n_parts, n_threads):
            carry(part, network, terms, state, space)
        meeting = wait(gate, n_threads, meeting, kernels)
    meeting = arrive_in_theta(thread, n_threads, carried, meeting, call_, kernels, network, terms,
                              state, space)  # fmt: skip
    for step in range(n_steps):
        start = (first + step) * rows.batch_size
        n = min(rows.batch_size, rows.n - start)
        for part in range(thread, n_parts, n_threads):
            lo, hi = start + n * part // n_parts, start + n * (part + 1) // n_parts
            space.losses[part, 0] = differentiate(
                part, lo, hi, 1.0 / n, kernels, network, rows, theta, space
            )
            if carried and network.intercepts:
                K = space.tilts.shape[1]
                copy(space.gradients[part], network.n_weights, space.tilts[part], 0, K)
        meeting = wait(gate, n_threads, meeting, kernels)
        loss = sum_of(space.losses, 0)
        if kernels.optimizer and not math.isfinite(loss):
            if thread == 0:
                if step == 0:
                    sums[3] = loss
                sums[2], call_.told[5] = loss, meeting
            return
        samples += n
        mean_of = 0.0
        if state.averaged.size:
            n_averaged += n_averaged > 0 or samples >= rule.average_after
            mean_of = mass(max(1, n_averaged), rule.average_decay, rule.average_power)
        last = start + n == rows.n
        moment = Moment(step, t, mean_of, last, at_once, carried)
        for part in range(thread, n_parts, n_threads):
            use_slices(part, moment, kernels, network, terms, rule, state, space)
        meeting = wait(gate, n_threads, meeting, kernels)
        if elsewhere and not carried:
            if thread == 0:
                pull_back(space.gradients[0], network, terms)
            meeting = wait(gate, n_threads, meeting, kernels)
        if whole:
            for part in range(thread, n_parts, n_threads):
                lo, hi = size * part // n_parts, size * (part + 1) // n_parts
                prepare(part, lo, hi, state.u, rule.clip_value, terms, network, space)
            meeting = wait(gate, n_threads, meeting, kernels)
        loss += sum_of(space.losses, 1)
        if thread == 0 and step == 0:
            sums[3] = loss
        if kernels.optimizer == 0 or not math.isfinite(loss):
            if thread == 0:
                sums[2], call_.told[5] = loss, meeting
            return
        total += loss * n
        if not at_once:
            shrink = 1.0
            if rule.clip_norm < math.inf:
                norm = math.sqrt(sum_of(space.losses, 2))
                shrink = rule.clip_norm / norm if norm > rule.clip_norm else 1.0
            for part in range(thread, n_parts, n_threads):
                lo, hi = size * part // n_parts, size * (part + 1) // n_parts
                move(lo, hi, step, t, shrink, mean_of, last, kernels, network, terms, rule, state,
                     space)  # fmt: skip
            meeting = wait(gate, n_threads, meeting, kernels)
        meeting = arrive_in_theta(thread, n_threads, carried, meeting, call_, kernels, network,
                                  terms, state, space)  # fmt: skip
        if thread == 0:
            sums[0], sums[1], sums[2] = total, step + 1, loss
    if thread == 0:
        call_.told[5] = meeting


@njit(**EXACT)
def sum_of(losses, column):
    """Sum over the parts, in order."""
    total = 0.0
    for part in range(losses.shape[0]):
        total += losses[part, column]
    return total


@njit(**EXACT)
def arrive_in_theta(
    thread, n_threads, carried, meeting, call_, kernels, network, terms, state, space
):
    """Bring theta up to date with u, and wait for it, where they are not the same."""
    if state.theta.size:
        if thread == 0:
            if carried:
                intercepts_to_theta(state.u, state.theta, network, terms, space)
            else:
                to_theta(state.u, state.theta, network, terms)
        meeting = wait(call_.gate, n_threads, meeting, kernels)
    return meeting


@njit(**EXACT)
def carry(part, network, terms, state, space):
    """Bring a part of theta up to date, chunk by chunk, for a linear model."""
    n_parts, size = space.losses.shape[0], state.u.size
    clear(space.shifts[part], 0, space.shifts.shape[1])
    lo, hi = size * part // n_parts, size * (part + 1) // n_parts
    for a in range(lo, hi, _CHUNK):
        to_theta_chunk(part, a, min(a + _CHUNK, hi), state.u, state.theta, network, terms, space)


# ------------------------------------------------------------------------------ slices of theta


@njit(**EXACT)
def use_slices(part, moment, kernels, network, terms, rule, state, space):
    """Bring a part of the gradient together, slice by slice; move each, if it may be moved."""
    space.losses[part, 1] = 0.0
    if moment.carried:
        clear(space.shifts[part], 0, space.shifts.shape[1])
    n_parts, size = space.losses.shape[0], state.u.size
    lo, hi = size * part // n_parts, size * (part + 1) // n_parts
    for a in range(lo, hi, _CHUNK):
        use(part, a, min(a + _CHUNK, hi), moment, kernels, network, terms, rule, state, space)


@njit(**EXACT)
def use(part, lo, hi, moment, kernels, network, terms, rule, state, space):
    """Add up the gradient of a slice and its penalty; move it, if it may be moved at once."""
    theta = state.theta if state.theta.size else state.u
    space.losses[part, 1] += add_up(lo, hi, theta, terms, network, space.gradients)
    if moment.carried:
        pull_back_chunk(lo, hi, network, terms, space)
    if moment.at_once:
        move(lo, hi, moment.step, moment.t, 1.0, moment.mean_of, moment.last, kernels, network,
             terms, rule, state, space)  # fmt: skip
    if moment.carried:
        to_theta_chunk(part, lo, hi, state.u, state.theta, network, terms, space)
