"""Compiling a kernel when it is first asked for, and finding it on disk the next time.

Each kernel is compiled by itself, for one dtype, and called by its address: what there is to
compile adds up over the tables, it does not multiply (a training needs five kernels, whatever
they are). The machine code is kept by numba's cache: below NUMBA_CACHE_DIR if that is set, else
beside the package, and in the user's cache directory where neither can be written; what lies in one
of the first two is also found where it cannot be written, as in an image that was prepared with
`skgd.compile_kernels`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numba
import numpy as np
from numba import njit, types
from numba.core import caching
from numba.core.ccallback import CFunc

from skgd.compiled import activations, column_sums, layout, losses, moves, optimizers, steps, values
from skgd.compiled.activations import ACTIVATION_KERNELS
from skgd.compiled.losses import LOSS_KERNELS
from skgd.compiled.numbers import EXACT
from skgd.compiled.optimizers import OPTIMIZER_KERNELS
from skgd.compiled.values import VALUE_KERNELS

DTYPES = (np.dtype(np.float64), np.dtype(np.float32))


@cache
def _stamp() -> str:
    """Fingerprint of all kernels: a kernel is stale when any function that it calls changed."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _usable(locator: Any, py_func: Any, py_file: str) -> Any:
    """The locator, else None: its place must be writable, or hold what we look for."""
    prefix = f"{Path(py_file).stem}.{py_func.__qualname__}-"
    folder = Path(locator.get_cache_path())
    held = folder.is_dir() and any(folder.glob(f"{prefix}*.nbi"))
    if held and not os.access(folder, os.W_OK):
        return locator
    try:
        locator.ensure_cache_path()
    except OSError:
        return None
    return locator


class _Given(caching.UserProvidedCacheLocator):
    """The cache below NUMBA_CACHE_DIR, where that is set."""

    def get_source_stamp(self) -> str:
        return _stamp()

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        return _usable(cls(py_func, py_file), py_func, py_file) if numba.config.CACHE_DIR else None


class _Beside(caching.InTreeCacheLocator):
    """The cache beside the package."""

    def get_source_stamp(self) -> str:
        return _stamp()

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        return _usable(cls(py_func, py_file), py_func, py_file)


class _OfUser(caching.UserWideCacheLocator):
    """The cache in the user's own directory."""

    def get_source_stamp(self) -> str:
        return _stamp()


class _Impl(caching.CompileResultCacheImpl):
    _locator_classes: ClassVar = [_Given, _Beside, _OfUser]


class _Cache(caching.FunctionCache):
    """Numba's cache of a function; a place that cannot be written is no error."""

    _impl_class = _Impl

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):  # compiled for this process only
            super().save_overload(sig, data)


def _cache_of(function: Callable[..., Any]) -> Any:
    try:
        return _Cache(function)
    except RuntimeError:  # there is no place to keep it
        return caching.NullCache()


def _argument_types(words: str, dtype: np.dtype) -> list[Any]:
    """C types of a kernel's arguments, from their names."""
    element = types.CPointer(numba.from_dtype(dtype))
    special = {
        "n": types.intp,
        "setting": types.float64,
        "settings": types.CPointer(types.float64),
    }
    return [special.get(word, element) for word in words.split()]


@cache
def address(function: Callable[..., Any], arguments: str, dtype: np.dtype) -> int:
    """Address of a compiled kernel; it is loaded or compiled if need be."""
    signature = (tuple(_argument_types(arguments, dtype)), types.void)
    kernel: Any = CFunc(function, signature, locals={}, options=dict(EXACT))
    kernel._cache = _cache_of(function)
    kernel.compile()
    _KEPT.append(kernel)
    return int(kernel.address)


_KEPT: list[Any] = []  # machine code is freed with the object that holds it


def loss_kernel(name: str, dtype: np.dtype) -> int:
    """Address of the kernel of a loss."""
    return address(LOSS_KERNELS[name][0], losses.ARGUMENTS, dtype)


def value_kernel(name: str) -> int:
    """Address of the kernel of a loss's value alone."""
    return address(VALUE_KERNELS[name], values.ARGUMENTS, np.dtype(np.float64))


def activation_kernels(name: str, dtype: np.dtype) -> tuple[int, int]:
    """Addresses of the forward and backward kernels of an activation."""
    forward, backward = ACTIVATION_KERNELS[name]
    return (
        address(forward, activations.FORWARD_ARGUMENTS, dtype),
        address(backward, activations.BACKWARD_ARGUMENTS, dtype),
    )


def optimizer_kernel(name: str, dtype: np.dtype) -> int:
    """Address of the kernel of an optimizer."""
    return address(OPTIMIZER_KERNELS[name][0], optimizers.ARGUMENTS, dtype)


@cache
def driver(dtype: np.dtype) -> Callable[..., int]:
    """`steps.take_part`, compiled for a dtype."""
    return _compiled(steps.take_part, _driver_types(dtype))


@cache
def measurement() -> tuple[Callable[..., None], Callable[..., None]]:
    """`moves.run_forward` and `moves.measure`, compiled."""
    kinds = _measurement_types()
    return _compiled(moves.run_forward, kinds), _compiled(moves.measure, kinds)


@cache
def sums(dtype: np.dtype) -> tuple[Callable[..., None], Callable[..., None]]:
    """`column_sums.add_sums` and `column_sums.add_sparse_sums`, compiled for a dtype."""
    number = numba.from_dtype(dtype)
    kinds = {
        "X": types.Array(number, 1, "C"),
        "values": types.Array(number, 1, "C"),
        "indices": types.int32[::1],
        "indptr": types.int64[::1],
        "lo": types.int64,
        "hi": types.int64,
    } | dict.fromkeys(("about", "weight", "first", "second"), types.float64[::1])
    kernels = column_sums.add_sums, column_sums.add_sparse_sums
    return _compiled(kernels[0], kinds), _compiled(kernels[1], kinds)


def _compiled(function: Any, kinds: dict[str, Any]) -> Callable[..., Any]:
    """Compile a function for arguments of the types that go by their names."""
    dispatcher: Any = njit(nogil=True, **EXACT)(function.py_func)
    dispatcher._cache = _cache_of(function.py_func)
    dispatcher.compile(tuple(kinds[word] for word in _words(function.py_func)))
    dispatcher.disable_compile()
    return dispatcher


def _words(function: Any) -> tuple[str, ...]:
    return function.__code__.co_varnames[: function.__code__.co_argcount]


def _driver_types(dtype: np.dtype) -> dict[str, Any]:
    """Types of the arguments of the driver, by name."""
    number = numba.from_dtype(dtype)
    flat, table = (types.Array(number, ndim, "C") for ndim in (1, 2))
    floats, integers = types.float64[::1], types.int64[::1]
    int_, float_, numbers = types.int64, types.float64, types.int32[::1]

    return {
        "thread": int_,
        "n_threads": int_,
        "seen": int_,
        "call_": _group(layout.Call, integers, integers, integers, integers, floats),
        "kernels": _group(layout.Kernels, int_, float_, integers, integers, int_, int_, int_, int_),
        "network": _group(layout.Network, integers, int_, int_, int_),
        "rows": _group(
            layout.Rows, flat, flat, numbers, integers, int_, flat, flat, integers, int_, int_
        ),
        "terms": _group(layout.Terms, float_, flat, flat, flat, flat, flat, float_),
        "rule": _group(
            layout.Rule, floats, floats, floats, floats, float_, int_, float_, float_, float_
        ),
        "state": _group(layout.State, flat, flat, flat, flat, flat),
        "space": _group(
            *[layout.Space, table, *[flat] * 9, table, table, types.float64[:, ::1]],
            *[flat, flat, int_],
        ),
    }


def _measurement_types() -> dict[str, Any]:
    """Types of the arguments of `moves`, by name."""
    flat, table = types.float64[::1], types.float64[:, ::1]
    integers, int_, float_ = types.int64[::1], types.int64, types.float64
    queue = [
        *[table, table, flat, flat, integers, flat, table, table, flat, flat, flat],
        *[integers, flat, flat, table, types.int64[:, ::1], integers],
    ]
    return {
        "inputs": table,
        "W": table,
        "b": flat,
        "z": table,
        "a": table,
        "forward": int_,
        "zeros": flat,
        "moved": _group(moves.Moved, table, table, table, table, int_, int_),
        "above": _group(moves.Above, table, table, integers, flat, flat, integers),
        "targets": _group(moves.Targets, table, flat, flat, int_, float_, flat, flat),
        "queue": _group(moves.Queue, *queue),
        "total": flat,
    }


def _group(cls: Any, *kinds: Any) -> Any:
    """Type of a named tuple."""
    return types.BaseTuple.from_types(kinds, cls)


def compile_all() -> int:
    """Compile every kernel, for both dtypes; return how many there are."""
    for dtype in DTYPES:
        for name in LOSS_KERNELS:
            loss_kernel(name, dtype)
        for name in ACTIVATION_KERNELS:
            activation_kernels(name, dtype)
        for name in OPTIMIZER_KERNELS:
            optimizer_kernel(name, dtype)
        driver(dtype)
        sums(dtype)
    for name in VALUE_KERNELS:
        value_kernel(name)
    tables = len(LOSS_KERNELS) + 2 * len(ACTIVATION_KERNELS) + len(OPTIMIZER_KERNELS)
    return len(DTYPES) * (tables + 1 + len(sums(dtype))) + len(VALUE_KERNELS) + len(measurement())
