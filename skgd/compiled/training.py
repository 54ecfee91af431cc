"""From the loop's plan, data and progress to the arrays that the compiled steps work on.

`CompiledEpochs` stands where `descent.Epochs` does, `CompiledGradient` where a bound gradient
source does. Both give what those give, up to rounding.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
from numba.extending import get_cython_function_address
from scipy import sparse

from skgd._threads import allowed_threads
from skgd.activations import ACTIVATIONS
from skgd.compiled import compiler, layout
from skgd.compiled.losses import LOSS_KERNELS
from skgd.compiled.optimizers import OPTIMIZER_KERNELS, warmed_up
from skgd.compiled.team import Team
from skgd.losses import LOSSES
from skgd.objective import Batch, FeedForward, Objective
from skgd.objective.coordinates import Coordinates
from skgd.optimizers import OPTIMIZERS

_CACHE = 2**19  # bytes that a block of rows may take, with all that is computed from it
_LEAST_BLOCK, _LARGEST_BLOCK = 64, 2048  # rows
_PART = 15e-6  # seconds of work that are worth a thread of their own
_BYTES = 3.2e11  # multiplied or added in a second: 40 GFLOP/s in float64
_FETCH = 1.2e-7  # seconds for a row at a random place in memory
_CACHED = 2**21  # numbers of X that the cache holds
_STRETCH = 0.2  # seconds after which Python may look for Ctrl-C


def name_in(table: dict[str, type], component: Any) -> str | None:
    """Name of the row that the component is an object of; None for a user's own class."""
    return next((name for name, row in table.items() if type(component) is row), None)


def seconds_of_step(model: FeedForward, X: Any, n_rows: int) -> float:
    """Estimate the time of a step on one thread, by sizes alone."""
    flops = 6.0 * n_rows * model.n_weights
    if sparse.issparse(X):
        flops *= max(1e-6, X.nnz / max(1, X.shape[0] * X.shape[1]))
    fetched = n_rows * _FETCH if X.shape[0] * X.shape[1] > _CACHED else 0.0
    return flops * X.dtype.itemsize / _BYTES + fetched + 1e-9 * model.n_parameters


def _address_of(name: str) -> int:
    """Address of a function of the C library; 0 where it is not there."""
    try:
        return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0
    except (AttributeError, OSError, TypeError):
        return 0


_GIVE_WAY = _address_of("sched_yield")


class _Bound:
    """An objective and its data as the compiled steps want them, with room to work in.

    All arrays are made once: the threads of the team hold on to them.
    """

    def __init__(
        self,
        objective: Objective,
        coordinates: Coordinates,
        data: Batch,
        *,
        order: np.ndarray,
        n: int,
        batch_size: int,
        rule: layout.Rule,
        optimizer: Any,
        u: np.ndarray,
        **arrays: np.ndarray,
    ) -> None:
        model, dtype = objective.model, np.dtype(data.X.dtype)
        none = np.empty(0, dtype)
        self._data = data  # whose memory the arrays below point into
        terms = _terms(objective, coordinates, dtype)
        if optimizer is None:  # whoever asks for a gradient is given that of smooth J
            terms = terms._replace(l1=none)
        n_parts = _n_parts(model, data.X, batch_size)
        self.space = _space(model, data, order.size > 0, batch_size, n_parts, terms)
        call = layout.Call(
            number=np.zeros(8, np.int64),
            over=np.zeros(8, np.int64),
            gate=np.zeros(8, np.int64),
            told=np.array([0, 0, 0, 0, 0, 1, 0, 0]),
            sums=np.zeros(4),
        )
        n_threads = min(allowed_threads(), n_parts)
        drive = compiler.driver(dtype)
        arguments = (
            call,
            _kernels(objective, optimizer, dtype),
            layout.Network(
                sizes=np.array([model.n_features, *model.hidden_layer_sizes, model.n_outputs]),
                intercepts=int(model.fit_intercept),
                linear=int(model.linear_shape is not None),
                n_weights=model.n_weights,
            ),
            _rows(data, order, n, batch_size),
            terms,
            rule,
            layout.State(
                u=u,
                theta=none if coordinates.identity else np.empty_like(u),
                memory=arrays.get("memory", none),
                before=arrays.get("before", none),
                averaged=arrays.get("averaged", none),
            ),
            self.space,
        )
        self.team = Team(
            n_threads, lambda thread, seen: drive(thread, seen, n_threads, *arguments), call
        )


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
        arrays = {"before": self.before_last_step}
        if plan.average is not None:
            progress.averaged = u.copy() if progress.averaged is None else progress.averaged
            arrays["averaged"] = progress.averaged
        self._n_steps = math.ceil(batches.n / batches.size)
        seconds = seconds_of_step(objective.model, batches.data.X, batches.size)
        self._longest = min(self._n_steps, max(1, int(_STRETCH / seconds)))
        names = OPTIMIZER_KERNELS[name_in(OPTIMIZERS, plan.optimizer) or ""][1]
        self._rule = layout.Rule(
            settings=np.array([float(getattr(plan.optimizer, name)) for name in names] or [0.0]),
            rates=np.empty(self._longest),
            momenta=np.empty(self._longest),
            products=np.ones(self._longest + 1),
            clip_norm=math.inf if plan.clip_norm is None else float(plan.clip_norm),
            average_after=int(getattr(plan.average, "after", 0)),
            average_decay=float(getattr(plan.average, "decay", 1.0)),
            average_power=float(getattr(plan.average, "power", 0.0)),
            clip_value=math.inf if plan.clip_value is None else float(plan.clip_value),
        )
        self._bound = _Bound(
            objective,
            progress.coordinates,
            batches.data,
            order=batches.row_numbers,
            n=batches.n,
            batch_size=batches.size,
            rule=self._rule,
            optimizer=plan.optimizer,
            u=u,
            memory=_as_one_array(progress.optimizer_state, u),
            **arrays,
        )

    def close(self) -> None:
        """End the threads."""
        self._bound.team.close()

    def gradient_norm(self) -> float:
        """Norm of the gradient of the last batch by u, before clipping."""
        space, rule = self._bound.space, self._rule
        if rule.clip_norm < math.inf or rule.clip_value < math.inf:  # it is no longer there
            return math.sqrt(space.losses[:, 3].sum())
        return float(np.linalg.norm(space.gradients[0]))

    def run(self, progress: Any) -> float:
        """One pass over the rows. Returns the running mean of J, non-finite as soon as it is."""
        self.batches.draw_order(progress.epoch)
        total, first = 0.0, 0
        while first < self._n_steps:
            n = min(self._longest, self._n_steps - first)
            of_rows, loss = self._stretch(first, n, progress)
            if not math.isfinite(loss):
                return loss
            total += of_rows
            first += n
        progress.epoch += 1
        progress.rates.append(self.rate)
        return total / self.batches.n

    def _stretch(self, first: int, n: int, progress: Any) -> tuple[float, float]:
        """Take n steps; returns the sum of J over their rows, and the last J."""
        self._tell_rule(n, progress)
        state = progress.optimizer_state
        of_rows, done, loss, first_loss = self._bound.team.run(
            first, n, state["t"], progress.samples, progress.n_averaged
        )
        done = int(done)
        if progress.first_loss is None:
            progress.first_loss = float(first_loss)
        if "mu_product" in state:
            state["mu_product"] = float(self._rule.products[done])
        state["t"] += done
        evaluated = done if math.isfinite(loss) else done + 1
        progress.gradient_evaluations += evaluated
        progress.loss_evaluations += evaluated
        self._count_rows(first, done, progress)
        if done:
            self.rate = float(self._rule.rates[done - 1])
        return float(of_rows), float(loss)

    def _tell_rule(self, n: int, progress: Any) -> None:
        """Ask the schedule for the rates and momenta of the next n steps."""
        plan, rule = self.plan, self._rule
        told = range(progress.step, progress.step + n)
        if plan.rated_by_epoch():
            rule.rates[:n] = plan.rate(progress, progress.step)
        else:
            rule.rates[:n] = [plan.rate(progress, step) for step in told]
        momenta = [plan.momentum(progress, step) for step in told]
        rule.momenta[:n] = [math.nan if momentum is None else momentum for momentum in momenta]
        state = progress.optimizer_state
        if "mu_product" in state:
            rule.products[: n + 1] = self._products(momenta, state)

    def _products(self, momenta: list[float | None], state: dict[str, Any]) -> np.ndarray:
        """Products of NAdam's momenta before each step, and after the last."""
        optimizer = self.plan.optimizer
        products = [state["mu_product"]]
        for t, beta_1 in enumerate(momenta, start=state["t"] + 1):
            beta_1 = optimizer.beta_1 if beta_1 is None else beta_1
            products.append(products[-1] * warmed_up.py_func(beta_1, t, optimizer.momentum_decay))
        return np.array(products)

    def _count_rows(self, first: int, done: int, progress: Any) -> None:
        """Count the steps that were taken, their rows, and those that were averaged."""
        size, n = self.batches.size, self.batches.n
        before = progress.samples
        seen = min(n, (first + done) * size) - min(n, first * size)
        progress.step += done
        progress.samples += seen
        if progress.averaged is not None:
            after = before + np.minimum(np.arange(1, done + 1) * size, seen)
            begun = (after >= self.plan.average.after) | (progress.n_averaged > 0)
            progress.n_averaged += int(begun.sum())


class CompiledGradient:
    """A gradient source, bound to an objective: the same derivative in one pass over the rows."""

    losses_per_call = 1

    def __init__(self, objective: Objective, coordinates: Coordinates) -> None:
        self._objective, self._coordinates = objective, coordinates
        self._data: Batch | None = None

    def resume(self, step: int) -> None:
        """All steps are alike."""

    def __call__(self, u: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        """Return smooth J at theta(u) and write its gradient by u into `gradient`."""
        if batch is not self._data:
            self._bind(batch, u)
        self._u[:] = u
        loss = self._bound.team.run(0, 1, 0, 0, 0)[2]
        gradient[...] = self._bound.space.gradients[0]
        return float(loss)

    def close(self) -> None:
        """End the threads."""
        if self._data is not None:
            self._bound.team.close()

    def _bind(self, batch: Batch, u: np.ndarray) -> None:
        self.close()
        self._u, n, one = u.copy(), batch.X.shape[0], np.ones(2)
        self._bound = _Bound(
            self._objective,
            self._coordinates,
            batch,
            order=np.empty(0, np.int64),
            n=n,
            batch_size=n,
            rule=layout.Rule(one, one, one, one, math.inf, 0, 1.0, 0.0, math.inf),
            optimizer=None,
            u=self._u,
        )
        self._data = batch


def _kernels(objective: Objective, optimizer: Any, dtype: np.dtype) -> layout.Kernels:
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
    return layout.Kernels(
        loss=compiler.loss_kernel(loss, dtype),
        setting=settings[0] if settings else 0.0,
        forward=np.array([forward for forward, _ in hidden], dtype=np.int64),
        backward=np.array([backward for _, backward in hidden], dtype=np.int64),
        optimizer=move,
        gemm=get_cython_function_address("scipy.linalg.cython_blas", f"{letter}gemm"),
        gemv=get_cython_function_address("scipy.linalg.cython_blas", f"{letter}gemv"),
        give_way=_GIVE_WAY,
    )


def _rows(data: Batch, order: np.ndarray, n: int, batch_size: int) -> layout.Rows:
    X, none = data.X, np.empty(0, data.X.dtype)
    is_sparse = sparse.issparse(X)
    return layout.Rows(
        X=none if is_sparse else flat(X),
        values=flat(X.data) if is_sparse else none,
        indices=flat(X.indices) if is_sparse else np.empty(0, np.int32),
        indptr=X.indptr.astype(np.int64) if is_sparse else np.empty(0, np.int64),
        is_sparse=int(is_sparse),
        y=flat(data.y),
        weight=none if data.weight is None else flat(data.weight),
        order=order,
        n=n,
        batch_size=batch_size,
    )


def _terms(objective: Objective, coordinates: Coordinates, dtype: np.dtype) -> layout.Terms:
    def flat(array: Any) -> np.ndarray:
        if array is None:
            return np.empty(0, dtype)
        return np.array(array, dtype=dtype).reshape(-1)

    l1 = np.empty(0, dtype)
    if objective.l1_strength:
        l1 = np.empty(objective.model.n_weights, dtype)
        l1[:] = coordinates.l1_strength(objective.l1_strength, dtype)
    return layout.Terms(
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
    model: FeedForward, data: Batch, gathered: bool, n_rows: int, n_parts: int, terms: layout.Terms
) -> layout.Space:
    dtype = data.X.dtype
    p, K = model.n_features, model.n_outputs
    hidden = sum(model.hidden_layer_sizes)
    gathered = gathered and not sparse.issparse(data.X)
    of_row = (p if gathered else 0) + 3 * hidden + 4 * K
    fits = min(_LARGEST_BLOCK, max(_LEAST_BLOCK, _CACHE // (of_row * dtype.itemsize)))
    block = -(-n_rows // n_parts)
    block = block if block <= 2 * fits else fits

    def room(columns: int) -> np.ndarray:
        return np.empty(n_parts * block * columns, dtype)

    return layout.Space(
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
        tilts=np.empty((n_parts, K), dtype),
        shifts=np.empty((n_parts, K), dtype),
        losses=np.empty((n_parts, 8)),
        no_intercepts=np.zeros(max(model.hidden_layer_sizes, default=0), dtype),
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


def flat(array: np.ndarray) -> np.ndarray:
    """One-dimensional view, which counts as writable: compiled code has one signature only."""
    view = array.reshape(-1)
    if view.flags.writeable or not view.size:
        return view if view.size else np.empty(0, array.dtype)
    buffer = (ctypes.c_char * view.nbytes).from_address(view.ctypes.data)
    return np.frombuffer(memoryview(buffer), dtype=view.dtype)
