"""One call with a deadline, although what it asks of the kernel may never return.

The call runs in a thread of its own, which is left behind at the deadline: no signal ends a thread that waits in the
kernel for a dataset. It runs with the priority of its caller. Decides nothing.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedCall(Generic[T]):
    """One call of `body`, from its start."""

    def __init__(self, body: Callable[[], T]) -> None:
        self._body = body
        self._result: T | None = None
        self._error: BaseException | None = None
        # A real-time priority belongs to one thread and is not inherited (sched(7), SCHED_RESET_ON_FORK).
        self._schedule = os.sched_getscheduler(0), os.sched_getparam(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, deadline_s: float) -> T | None:
        """Return what the call returned, None if it has not ended by the deadline. Raises what the call raised."""
        self._thread.join(max(0.0, deadline_s))
        if self._thread.is_alive():
            return None
        if self._error is not None:
            raise self._error
        return self._result

    @property
    def running(self) -> bool:
        """Whether the call has not ended."""
        return self._thread.is_alive()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, *self._schedule)
        try:
            self._result = self._body()
        except BaseException as error:
            self._error = error
