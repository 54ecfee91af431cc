"""The same network and optimizer in torch and JAX, each as somebody would write it for speed."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

ADAM = {"learning_rate": 1e-3}


def torch_network(
    X: np.ndarray, y: np.ndarray, hidden: tuple[int, ...], batch_size: int, epochs: int,
    *, compiled: bool = False,
) -> Callable[[], Any]:  # fmt: skip
    """Training in torch: eager or compiled steps, fused Adam, data as one tensor."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    data, targets = torch.from_numpy(X), torch.from_numpy(y)
    sizes = (X.shape[1], *hidden, int(y.max()) + 1)
    layers: list[Any] = []
    for before, after in pairwise(sizes):
        layers += [torch.nn.Linear(before, after, dtype=data.dtype), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss_of = torch.nn.CrossEntropyLoss()

    def step(rows: Any) -> None:
        optimizer.zero_grad()
        loss_of(model(data[rows]), targets[rows]).backward()
        optimizer.step()

    take = torch.compile(step) if compiled else step

    def train() -> None:
        for _ in range(epochs):
            for rows in torch.randperm(len(data)).split(batch_size):
                take(rows)

    return train


def jax_network(
    X: np.ndarray, y: np.ndarray, hidden: tuple[int, ...], batch_size: int, epochs: int
) -> Callable[[], Any]:
    """Training in JAX: an epoch is one jitted scan over its batches (a short last one is left out).

    It is compiled before the clock runs.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    data, targets = jnp.asarray(X), jnp.asarray(np.eye(int(y.max()) + 1, dtype=X.dtype)[y])
    sizes = (X.shape[1], *hidden, targets.shape[1])
    rng = np.random.default_rng(0)
    parameters = [
        (jnp.asarray(rng.normal(0, np.sqrt(2 / p), (p, q)).astype(X.dtype)), jnp.zeros(q, X.dtype))
        for p, q in pairwise(sizes)
    ]
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    n_steps = len(X) // batch_size

    def loss(parameters: Any, rows: Any) -> Any:
        a = data[rows]
        for W, b in parameters[:-1]:
            a = jax.nn.relu(a @ W + b)
        W, b = parameters[-1]
        return -jnp.mean(jnp.sum(targets[rows] * jax.nn.log_softmax(a @ W + b), axis=1))

    def step(carry: Any, rows: Any) -> Any:
        parameters, m, v, t = carry
        value, g = jax.value_and_grad(loss)(parameters, rows)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate = (1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)).astype(X.dtype)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), parameters, m, v
        )
        return (parameters, m, v, t), value

    @jax.jit
    def epoch(carry: Any, order: Any) -> Any:
        return jax.lax.scan(step, carry, order[: n_steps * batch_size].reshape(n_steps, batch_size))

    start = (parameters, zeros, zeros, jnp.asarray(0.0))

    def train() -> None:
        carry = start
        for _ in range(epochs):
            carry, values = epoch(carry, jnp.asarray(rng.permutation(len(X))))
        jax.block_until_ready(values)

    train()
    return train
