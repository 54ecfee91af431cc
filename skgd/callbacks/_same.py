"""Whether two settings mean the same, and a number that tells data apart."""

from __future__ import annotations

import pickle
import zlib
from typing import Any

import numpy as np
from scipy import sparse

_BLOCK = 2**22  # bytes that are copied at a time, where an array is not contiguous


def same(a: Any, b: Any) -> bool:
    """Whether two settings mean the same: 0.1 and ``np.float64(0.1)``, a dict in another order.

    Parameters
    ----------
    a, b : object
        Numbers, arrays, collections, components, functions.

    Returns
    -------
    same : bool
    """
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "get_params") and type(a) is type(b):
        return same(a.get_params(deep=False), b.get_params(deep=False))
    try:
        if a == b:
            return True
    except Exception:  # what is compared entry by entry has no one answer
        pass
    return pickle.dumps(a) == pickle.dumps(b)


def checksum(*data: Any) -> int:
    """Return a checksum of shapes and values; what is None has one, too.

    Parameters
    ----------
    *data : array-like, sparse matrix, DataFrame or None

    Returns
    -------
    checksum : int
    """
    total = 0
    for values in data:
        if sparse.issparse(values):
            rows = values.tocsr()
            parts = [rows.data, rows.indices.astype(np.int64), rows.indptr.astype(np.int64)]
        else:
            parts = [np.asarray(values)]
        total = zlib.crc32(repr([np.shape(values), len(parts)]).encode(), total)
        for part in parts:
            total = _add(part, total)
    return total


def _add(values: np.ndarray, total: int) -> int:
    if values.dtype.hasobject or values.dtype.kind not in "biufc":  # pointers, text, dates
        values = values.astype(str)
    values = np.atleast_1d(values)
    step = max(1, _BLOCK // max(1, values[:1].nbytes))
    total = zlib.crc32(values.dtype.kind.encode(), total)
    for first in range(0, len(values), step):
        total = zlib.crc32(np.ascontiguousarray(values[first : first + step]).data, total)
    return total
