"""Freed memory stays with the process, so that the next array does not have to fault it in."""

from __future__ import annotations

import numpy as np

_BLOCK = 2**24  # bytes


def keep_freed_memory() -> None:
    """Let the allocator keep what is freed, up to twice 16 MiB.

    NumPy takes its arrays from malloc. That of glibc asks the system for each array above 128
    KiB, and gives freed memory back from the same size on: a loop whose steps make arrays of some
    hundred KiB spends half its time on page faults. glibc raises both limits when a larger block
    is freed, so one is, which nobody has touched. Other allocators do not mind.
    """
    np.empty(_BLOCK, dtype=np.uint8)
