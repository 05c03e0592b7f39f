"""One path to one disk (an I_T nexus, SAM-5, 4.7) with a thread of its own: a path that hangs delays no other path.

The invariant is kept for each nexus: *a command on a path begins only after every earlier command on that path has
ended*. A command that has not begun when its caller leaves is never begun. A command that has begun may end late; then
its `late` runs in the same thread before anything else does. Does not know other paths, nor what a command means.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias

from reconciler.system.reservation.registration_state import DiskPort, Result

#: Jobs of one caller that have ended, in the order in which they ended.
Ended: TypeAlias = "SimpleQueue[Job]"
#: Identifies a path in this process: where the disks are, which disk, which path.
PathId: TypeAlias = tuple[str, ...]
#: The command on each path that its caller no longer waits for: it may outlive the object that asked it, and the next
#: object over the same path must not overtake it either.
LATE: Final[dict[PathId, Job]] = {}


@dataclass(slots=True, eq=False)
class Job:
    """One command on one path. `result` counts once `done` is true. `abandoned`: the caller has left."""

    nexus: Nexus
    do: Callable[[DiskPort], Any]
    ended: Ended
    late: Callable[[DiskPort, Any], None] | None = None
    number: int = 0
    begun: bool = False
    done: bool = False
    abandoned: bool = False
    #: What to do once it has ended, `late` included.
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    result: Any = Result.UNREACHED


class Nexus:
    """Starts its thread with the first job. `trusted`: the last command on this path was answered in time."""

    def __init__(self, port: DiskPort, identity: PathId) -> None:
        self.port, self.identity, self.trusted = port, identity, True
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._thread: threading.Thread | None = None
        self._closed = self._reopen = False
        self._asked = self._begun = 0

    @property
    def name(self) -> str:
        """The kernel's name of the path."""
        return self.port.name

    @property
    def busy(self) -> bool:
        """Whether a command on this path has not ended, of this object or of an earlier one over the same path."""
        with self._changed:
            if self._running is not None or self._waiting:
                return True
        return self.late

    @property
    def late(self) -> bool:
        """Whether a command that changes something on the disk goes on here though its caller has left."""
        job = LATE.get(self.identity)
        return job is not None and not job.done

    @property
    def threaded(self) -> bool:
        """Whether it has a thread. Without one, the caller's thread may use the port itself."""
        return self._thread is not None

    def ask(
        self, do: Callable[[DiskPort], Any], ended: Ended, late: Callable[[DiskPort, Any], None] | None = None
    ) -> Job:
        """Do it after everything that was asked before.

        `late`: what to do in the thread of this path if the caller has left before the end.
        """
        with self._changed:
            assert not self._closed, "a path that was closed is asked"
            self._asked += 1
            job = Job(self, do, ended, late, self._asked)
            self._waiting.append(job)
            if self._thread is None:
                priority = os.sched_getscheduler(0), os.sched_getparam(0)
                self._thread = threading.Thread(
                    target=self._serve, args=priority, name=f"path {self.name}", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        return job

    def leave(self, job: Job, *, remember: bool) -> Any:
        """The caller stops waiting: the result, UNREACHED if it was never begun, SILENT if it goes on.

        `remember`: it changes something on the disk, so no other object may overtake it.
        """
        with self._changed:
            if job.done:
                return job.result
            if job in self._waiting:
                self._waiting.remove(job)
                return Result.UNREACHED
            job.abandoned, self.trusted = True, False
            if remember:
                LATE[self.identity] = job
            return Result.SILENT

    def then(self, job: Job, do: Callable[[], None]) -> bool:
        """Do it when the job has ended, in the thread of this path; False when it has ended already."""
        with self._changed:
            if not job.done:
                job.afterwards.append(do)
            return not job.done

    def reopen(self) -> None:
        """Close the port before the next command, which opens it again."""
        with self._changed:
            self._reopen = self._thread is not None
        if self._thread is None:
            self.port.close()

    def close(self) -> None:
        """Close the port after what has begun; begin nothing more. Does not wait for it."""
        with self._changed:
            self._waiting, self._closed = [], True
            if self._thread is None:
                self.port.close()
            self._changed.notify()

    def _serve(self, policy: int, parameters: os.sched_param) -> None:
        # Priority is a thread's own, and not passed on (sched(7), SCHED_RESET_ON_FORK).
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, policy, parameters)
        while (job := self._next()) is not None:
            try:
                result = job.do(self.port)
            except BaseException as error:
                result = error
            self._end(job, result)
        self.port.close()

    def _next(self) -> Job | None:
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return None
                self._changed.wait()
            if self._reopen:
                self._reopen = False
                self.port.close()
            job = self._waiting.pop(0)
            assert self._running is None and job.number > self._begun, "a command would overtake an earlier one"
            self._running, self._begun, job.begun = job, job.number, True
            return job

    def _end(self, job: Job, result: Any) -> None:
        with self._changed:
            abandoned, job.result = job.abandoned, result
            if not abandoned:
                self._finish(job)
                return
        # The caller has left, so this thread alone has the job: `late` runs before the path is free.
        with contextlib.suppress(Exception):
            if job.late is not None:
                job.late(self.port, result)
        with self._changed:
            self._finish(job)
        for do in job.afterwards:
            do()

    def _finish(self, job: Job) -> None:
        if LATE.get(self.identity) is job:
            del LATE[self.identity]
        self._running, job.done = None, True
        if not job.abandoned:
            self.trusted = job.result not in (Result.SILENT, Result.UNREACHED)
            job.ended.put(job)


def when_settled(place: PathId, do: Callable[[], None]) -> None:
    """Do it once nothing late is under way on a path of this disk: now, or in the thread of the last such path."""
    for identity, job in tuple(LATE.items()):
        if identity[:-1] == place and job.nexus.then(job, lambda: when_settled(place, do)):
            return
    do()


def next_ended(ended: Ended, end_s: float) -> Job | None:
    """The next job that has ended; None when the moment `end_s` has come. Raises what the command raised."""
    try:
        job = ended.get(timeout=max(0.0, end_s - time.monotonic()))
    except Empty:
        return None
    if isinstance(job.result, BaseException):
        raise job.result
    return job
