"""From the loop's plan, data and progress to the arrays that the compiled steps work on.

`CompiledEpochs` stands where `descent.Epochs` does, `CompiledGradient` where a bound gradient
source does. Both give what those give, up to rounding.
"""

from __future__ import annotations

import ctypes
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba.extending import get_cython_function_address
from scipy import sparse

from skgd._threads import allowed_threads
from skgd.activations import ACTIVATIONS
from skgd.compiled import compiler, steps
from skgd.compiled.losses import LOSS_KERNELS
from skgd.compiled.optimizers import OPTIMIZER_KERNELS
from skgd.coordinates import Coordinates
from skgd.losses import LOSSES
from skgd.models import FeedForward
from skgd.objective import Batch, Objective
from skgd.optimizers import OPTIMIZERS

_CACHE = 2**19  # bytes that a block of rows may take, with all that is computed from it
_LEAST_BLOCK, _LARGEST_BLOCK = 64, 2048  # rows
_PART = 10e-6  # seconds of work that are worth a thread of their own
_SEGMENT = 0.2  # seconds after which Python may look for Ctrl-C


def name_in(table: dict[str, type], component: Any) -> str | None:
    """Name of the row that the component is an object of; None for a user's own class."""
    return next((name for name, row in table.items() if type(component) is row), None)


def seconds_of_step(model: FeedForward, X: Any, n_rows: int) -> float:
    """Estimate the time of a step on one thread, by sizes alone."""
    flops = 6.0 * n_rows * model.n_weights
    if sparse.issparse(X):
        flops *= max(1e-6, X.nnz / max(1, X.shape[0] * X.shape[1]))
    fetched = n_rows * 5e-8 if X.shape[0] * X.shape[1] > 2**21 else 0.0
    return flops / 4e10 + fetched + 1e-9 * model.n_parameters


class _Bound:
    """An objective and its data as the compiled steps want them, with room to work in."""

    def __init__(
        self,
        objective: Objective,
        coordinates: Coordinates,
        data: Batch,
        *,
        gathers: bool,
        n: int,
        batch_size: int,
        optimizer: Any,
    ) -> None:
        self.dtype = np.dtype(data.X.dtype)
        model = objective.model
        self._drive = compiler.driver(self.dtype)
        self._data = data  # whose memory the arrays below point into
        self._n, self._batch_size = n, batch_size
        self.set_rows(data, np.empty(0, np.int32))
        self._kernels = _kernels(objective, optimizer, self.dtype)
        self._network = steps.Network(
            sizes=np.array([model.n_features, *model.hidden_layer_sizes, model.n_outputs]),
            intercepts=int(model.fit_intercept),
            linear=int(model.linear_shape is not None),
            n_weights=model.n_weights,
        )
        self._terms = _terms(objective, coordinates, self.dtype)
        n_parts = _n_parts(model, data.X, batch_size)
        self.space = _space(model, data, gathers, batch_size, n_parts, self._terms)
        self.n_threads = min(allowed_threads(), n_parts)
        self._theta = np.empty(0 if coordinates.identity else model.n_parameters, self.dtype)

    def set_rows(self, data: Batch, order: np.ndarray) -> None:
        """Take these rows, in this order."""
        none = np.empty(0, self.dtype)
        X = data.X
        is_sparse = sparse.issparse(X)
        self.rows = steps.Rows(
            X=none if is_sparse else _flat(X),
            values=_flat(X.data) if is_sparse else none,
            indices=_flat(X.indices) if is_sparse else np.empty(0, np.int32),
            indptr=X.indptr.astype(np.int64) if is_sparse else np.empty(0, np.int64),
            is_sparse=int(is_sparse),
            y=_flat(data.y),
            weight=none if data.weight is None else _flat(data.weight),
            order=order,
            n=self._n,
            batch_size=self._batch_size,
        )

    def run(
        self, first: int, rule: steps.Rule, state: steps.State, pool: ThreadPoolExecutor | None
    ) -> np.ndarray:
        """Run the steps on all threads; returns sums (see `steps.steps`)."""
        sums = np.zeros(3)
        gate = np.zeros(8, np.int64)

        def thread(number: int) -> None:
            self._drive(
                number, self.n_threads, gate, first, self._kernels, self._network, self.rows,
                self._terms, rule, state, self.space, sums,
            )  # fmt: skip

        if pool is None or self.n_threads == 1:
            self._alone(first, rule, state, sums)
            return sums
        others = [pool.submit(thread, number) for number in range(1, self.n_threads)]
        thread(0)
        for other in others:
            other.result()
        return sums

    def _alone(self, first: int, rule: steps.Rule, state: steps.State, sums: np.ndarray) -> None:
        self._drive(
            0, 1, np.zeros(1, np.int64), first, self._kernels, self._network, self.rows,
            self._terms, rule, state, self.space, sums,
        )  # fmt: skip

    def state(self, u: np.ndarray, **arrays: np.ndarray) -> steps.State:
        """Return the arrays that steps change; empty where they are not given."""
        none = np.empty(0, self.dtype)
        numbers = np.zeros((self.space.gradients.shape[0], 1))
        given = {"memory": none, "numbers": numbers, "before": none, "averaged": none} | arrays
        return steps.State(u=u, theta=self._theta, **given)

    def pool(self) -> ThreadPoolExecutor | None:
        """Threads beside the calling one, for one training."""
        if self.n_threads == 1:
            return None
        return ThreadPoolExecutor(self.n_threads - 1, thread_name_prefix="skgd")


class CompiledEpochs:
    """Epochs of gradient descent without Python between the steps.

    Parameters
    ----------
    objective : Objective
    gradient_of : callable
        Not called: the steps have the derivative in them.
    batches : Batches
    plan : Plan
    progress : Progress
    """

    def __init__(
        self, objective: Objective, gradient_of: Any, batches: Any, plan: Any, progress: Any
    ) -> None:
        self.plan, self.batches = plan, batches
        u = progress.u
        self.before_last_step = u.copy()
        self.rate = plan.learning_rate
        if not progress.optimizer_state:
            progress.optimizer_state = plan.optimizer.init(u)
        if plan.average_from is not None and progress.averaged is None:
            progress.averaged = u.copy()
        self._bound = _Bound(
            objective,
            progress.coordinates,
            batches.data,
            gathers=not batches.in_order,
            n=batches.n,
            batch_size=batches.size,
            optimizer=plan.optimizer,
        )
        self._memory = _as_one_array(progress.optimizer_state, u)
        names = OPTIMIZER_KERNELS[name_in(OPTIMIZERS, plan.optimizer) or ""][1]
        self._settings = np.array([float(getattr(plan.optimizer, name)) for name in names] or [0.0])
        self._n_steps = math.ceil(batches.n / batches.size)
        seconds = seconds_of_step(objective.model, batches.data.X, batches.size)
        self._segment = max(1, int(_SEGMENT / seconds))
        self._pool = self._bound.pool()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def run(self, progress: Any) -> float:
        """One pass over the rows. Returns the running mean of J, non-finite as soon as it is."""
        self._bound.set_rows(self.batches.data, self._order(progress.epoch))
        total, first = 0.0, 0
        while first < self._n_steps:
            n = min(self._segment, self._n_steps - first)
            if progress.first_loss is None:
                n = 1
            sums, loss = self._steps(first, n, progress)
            if progress.first_loss is None:
                progress.first_loss = loss
            if not math.isfinite(loss):
                return loss
            total += sums
            first += n
        progress.epoch += 1
        progress.rates.append(self.rate)
        return total / self.batches.n

    def _steps(self, first: int, n: int, progress: Any) -> tuple[float, float]:
        """Take n steps; returns the sum of J over their rows, and the last J."""
        schedule, plan = self.plan.schedule, self.plan
        told = range(progress.step, progress.step + n)
        if schedule.watches_loss:
            factors = [schedule(progress.step, plan.n_steps, progress.losses)] * n
        else:
            factors = [schedule(step, plan.n_steps, progress.losses) for step in told]
        momenta = [schedule.momentum(step, plan.n_steps) for step in told]
        rule = steps.Rule(
            settings=self._settings,
            rates=np.array(factors) * plan.learning_rate,
            momenta=np.array([math.nan if m is None else m for m in momenta], dtype=float),
            t=progress.optimizer_state["t"],
            clip_norm=math.inf if plan.clip_norm is None else float(plan.clip_norm),
            average_after=-1 if plan.average_from is None else plan.average_from,
            samples=progress.samples,
            n_averaged=progress.n_averaged,
        )
        numbers = np.full(
            (self._bound.space.gradients.shape[0], 1),
            progress.optimizer_state.get("mu_product", 0.0),
        )
        none = np.empty(0, self._bound.dtype)
        state = self._bound.state(
            progress.u,
            memory=self._memory,
            numbers=numbers,
            before=self.before_last_step,
            averaged=none if progress.averaged is None else progress.averaged,
        )
        sums = self._bound.run(first, rule, state, self._pool)
        done = int(sums[1])
        if "mu_product" in progress.optimizer_state:
            progress.optimizer_state["mu_product"] = float(numbers[0, 0])
        progress.optimizer_state["t"] += done
        evaluated = done if math.isfinite(sums[2]) else done + 1
        progress.gradient_evaluations += evaluated
        progress.loss_evaluations += evaluated
        self._count_rows(first, done, progress)
        if done:
            self.rate = float(rule.rates[done - 1])
        return float(sums[0]), float(sums[2])

    def _count_rows(self, first: int, done: int, progress: Any) -> None:
        """Count the steps that were taken, their rows, and those that were averaged."""
        size, n = self.batches.size, self.batches.n
        before = progress.samples
        seen = min(n, (first + done) * size) - min(n, first * size)
        progress.step += done
        progress.samples += seen
        if progress.averaged is not None:
            after = before + np.minimum(np.arange(1, done + 1) * size, seen)
            progress.n_averaged += int((after >= self.plan.average_from).sum())

    def _order(self, epoch: int) -> np.ndarray:
        order = self.batches.order(epoch)
        return np.empty(0, np.int32) if order is None else order.astype(np.int32, copy=False)


class CompiledGradient:
    """A gradient source, bound to an objective: the same derivative in one pass over the rows."""

    losses_per_call = 1

    def __init__(self, objective: Objective, coordinates: Coordinates) -> None:
        self._objective, self._coordinates = objective, coordinates
        one = np.ones(1)
        self._rule = steps.Rule(one, one, one, 0, math.inf, -1, 0, 0)
        self._data: Batch | None = None

    def resume(self, step: int) -> None:
        """All steps are alike."""

    def __call__(self, u: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        """Return smooth J at theta(u) and write its gradient by u into `gradient`."""
        if batch is not self._data:
            self._bind(batch)
        u = np.ascontiguousarray(u, dtype=self._bound.dtype)
        sums = self._bound.run(0, self._rule, self._bound.state(u), self._pool)
        gradient[...] = self._bound.space.gradients[0]
        return float(sums[2])

    def _bind(self, batch: Batch) -> None:
        n = batch.X.shape[0]
        self._bound = _Bound(
            self._objective,
            self._coordinates,
            batch,
            gathers=False,
            n=n,
            batch_size=n,
            optimizer=None,
        )
        self._data, self._pool = batch, self._bound.pool()


def _kernels(objective: Objective, optimizer: Any, dtype: np.dtype) -> steps.Kernels:
    loss = name_in(LOSSES, objective.loss) or ""
    settings = [float(getattr(objective.loss, name)) for name in LOSS_KERNELS[loss][1]]
    hidden = [
        compiler.activation_kernels(name_in(ACTIVATIONS, activation) or "", dtype)
        for activation in objective.model.activations
    ]
    move = 0
    if optimizer is not None:
        move = compiler.optimizer_kernel(name_in(OPTIMIZERS, optimizer) or "", dtype)
    letter = "s" if dtype == np.float32 else "d"
    return steps.Kernels(
        loss=compiler.loss_kernel(loss, dtype),
        setting=settings[0] if settings else 0.0,
        forward=np.array([forward for forward, _ in hidden], dtype=np.int64),
        backward=np.array([backward for _, backward in hidden], dtype=np.int64),
        optimizer=move,
        gemm=get_cython_function_address("scipy.linalg.cython_blas", f"{letter}gemm"),
        gemv=get_cython_function_address("scipy.linalg.cython_blas", f"{letter}gemv"),
    )


def _terms(objective: Objective, coordinates: Coordinates, dtype: np.dtype) -> steps.Terms:
    def flat(array: Any) -> np.ndarray:
        if array is None:
            return np.empty(0, dtype)
        return np.array(array, dtype=dtype).reshape(-1)

    l1 = np.empty(0, dtype)
    if objective.l1_strength:
        l1 = np.empty(objective.model.n_weights, dtype)
        l1[:] = coordinates.l1_strength(objective.l1_strength, dtype)
    return steps.Terms(
        l2=float(objective.l2_strength),
        l1=l1,
        mean=flat(coordinates.mean),
        inverse_scale=flat(coordinates.inverse_scale),
        centre=flat(coordinates.centre),
        spread=flat(coordinates.spread),
        unit=float(coordinates.unit),
    )


def _n_parts(model: FeedForward, X: Any, n_rows: int) -> int:
    """Parts of a batch: by sizes alone, so that a fit is the same for any number of threads."""
    worth = seconds_of_step(model, X, n_rows) / _PART
    if worth < 2:
        return 1
    return 8 if n_rows >= 8 * _LARGEST_BLOCK else 2


def _space(
    model: FeedForward, data: Batch, gathered: bool, n_rows: int, n_parts: int, terms: steps.Terms
) -> steps.Space:
    dtype = data.X.dtype
    p, K = model.n_features, model.n_outputs
    hidden = sum(model.hidden_layer_sizes)
    gathered = gathered and not sparse.issparse(data.X)
    of_row = (p if gathered else 0) + 3 * hidden + 4 * K
    fits = min(_LARGEST_BLOCK, max(_LEAST_BLOCK, _CACHE // (of_row * dtype.itemsize)))
    block = -(-n_rows // n_parts)
    block = block if block <= 2 * fits else fits

    def room(columns: int) -> np.ndarray:
        return np.empty((n_parts, block * columns), dtype)

    return steps.Space(
        gradients=np.empty((n_parts, model.n_parameters), dtype),
        X=room(p if gathered else 0),
        targets=room(K),
        raw=room(K),
        values=room(K),
        slopes=room(K),
        weight=room(1),
        inputs=room(hidden),
        outputs=room(hidden),
        deltas=room(hidden),
        losses=np.empty((n_parts, 8)),
        old=np.empty(model.n_weights if terms.l1.size else 0, dtype),
        block=block,
    )


def _as_one_array(state: dict[str, Any], u: np.ndarray) -> np.ndarray:
    """Bring the arrays of an optimizer's state into one, whose rows the state then holds."""
    names = [name for name, value in state.items() if np.shape(value) == u.shape]
    memory = np.empty((len(names), u.size), u.dtype)
    for row, name in zip(memory, names, strict=True):
        row[:] = state[name]
        state[name] = row
    return memory.reshape(-1)


def _flat(array: np.ndarray) -> np.ndarray:
    """One-dimensional view, which counts as writable: compiled code has one signature only."""
    flat = array.reshape(-1)
    if flat.flags.writeable or not flat.size:
        return flat if flat.size else np.empty(0, array.dtype)
    buffer = (ctypes.c_char * flat.nbytes).from_address(flat.ctypes.data)
    return np.frombuffer(buffer, dtype=flat.dtype)
