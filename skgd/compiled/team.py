"""Threads that take part in one training beside the thread that called fit."""

from __future__ import annotations

import ctypes
import os
import threading
from _thread import start_new_thread
from collections.abc import Callable

import numpy as np

from skgd.compiled.layout import Call

MEETING, PROCESSOR = 5, 7  # places in `told`


class Team:
    """The calling thread and others beside it, which wait for it between two calls.

    They wait in compiled code for a millisecond, so that they stay on their processors while
    Python counts an epoch, and asleep after that. They are made for one training and end
    with it: nothing outlives a fit, or breaks a fork.

    Parameters
    ----------
    n_threads : int
        With the calling one.
    take_part : callable
        ``(thread, number of the last call seen) -> number of the last call seen``; see
        `steps.take_part`. It must not refer to the team.
    call : Call
        What the threads are told.
    """

    def __init__(self, n_threads: int, take_part: Callable[[int, int], int], call: Call) -> None:
        self._take_part = take_part
        self._call = call
        call.told[PROCESSOR] = _processor()
        self._bells = [threading.Semaphore(0) for _ in range(1, n_threads)]
        try:
            for thread, bell in enumerate(self._bells, start=1):
                # A threading.Thread would have us wait until it runs.
                start_new_thread(_wait_for_calls, (thread, take_part, call, bell))
        except RuntimeError:  # the system has no more threads to give
            self.close()
            raise

    def run(self, *told: int) -> np.ndarray:
        """Let all threads take part in one stretch; returns its sums.

        `told` are the first batch, the steps to take, and the steps, rows and averages before.
        """
        call = self._call
        call.told[: len(told)] = told
        call.told[PROCESSOR] = _processor()
        call.sums[:] = 0.0
        meeting = call.told[MEETING]
        try:
            self._ring()
            self._take_part(0, 0)
        except BaseException:
            # Ctrl-C before the first thread took part: the others wait for it.
            if call.told[MEETING] == meeting:
                self._ring_bells()
                self._take_part(0, 0)
            raise
        return call.sums.copy()

    def close(self) -> None:
        """End the threads."""
        self._call.over[0] = 1
        self._ring()
        self._bells = []

    def _ring(self) -> None:
        self._call.number[0] += 1
        self._ring_bells()

    def _ring_bells(self) -> None:
        for bell in self._bells:
            bell.release()


def _wait_for_calls(
    thread: int, take_part: Callable[[int, int], int], call: Call, bell: threading.Semaphore
) -> None:
    _step_aside(int(call.told[PROCESSOR]))
    seen = take_part(thread, 0)
    while not call.over[0]:
        bell.acquire()
        while bell.acquire(blocking=False):  # calls that were seen without the bell
            pass
        _step_aside(int(call.told[PROCESSOR]))
        seen = take_part(thread, seen)


def _processor() -> int:
    """Processor that this thread runs on; -1 where it cannot be known."""
    return _sched_getcpu() if _sched_getcpu is not None else -1


def _step_aside(taken: int) -> None:
    """Move this thread to another processor than `taken`, if it was woken there.

    A thread that waits for another in a loop on the same processor stops it; it takes the
    scheduler milliseconds to part them. The thread may run anywhere again afterwards.
    """
    if taken < 0 or _processor() != taken:
        return
    allowed = os.sched_getaffinity(0)
    if len(allowed) > 1 and taken in allowed:
        os.sched_setaffinity(0, allowed - {taken})
        os.sched_setaffinity(0, allowed)


def _find_sched_getcpu() -> Callable[[], int] | None:
    try:
        return ctypes.CDLL(None).sched_getcpu if hasattr(os, "sched_setaffinity") else None
    except (AttributeError, OSError, TypeError):
        return None


_sched_getcpu = _find_sched_getcpu()
