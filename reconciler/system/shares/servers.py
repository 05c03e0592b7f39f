"""The servers of shares side by side: each protocol has a thread, so a server that hangs holds up no other.

Passes every call of the port (`core/shares/ports`) to the servers that it concerns and returns one view of each. A
server that does not answer within the deadline, or that raises, is UNKNOWN, with the problem in words. Leaves the
protocols to their packages, and the order of calls to the watchdog.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from queue import Empty, SimpleQueue
from typing import Final, NoReturn, TypeAlias

from reconciler.core.shares.ports import ServerView, Serving, ShareProblem, ShareServer
from reconciler.core.shares.shares import Protocol, Shares
from reconciler.system.process_protection import protect_worker
from reconciler.system.shares.codec import cleaned

#: A server keeps its deadline by itself. Its answer is waited for so much longer, because a busy machine delays it.
MARGIN_S: Final = 0.2
NAMES: Final = {Protocol.NFS: "NFS", Protocol.ISCSI: "iSCSI"}

Call: TypeAlias = Callable[[ShareServer], ServerView]
Views: TypeAlias = dict[Protocol, ServerView]


class ShareServers:
    """The servers of this controller. `urgent`: their threads run before other programs, as clients wait for them."""

    def __init__(self, servers: Mapping[Protocol, ShareServer], *, urgent: bool = False) -> None:
        self._threads = {protocol: _ServerThread(protocol, server, urgent) for protocol, server in servers.items()}

    @property
    def hung(self) -> tuple[Protocol, ...]:
        """Servers whose last call has not returned. Only the end of this process lets another one call them."""
        return tuple(protocol for protocol, thread in self._threads.items() if thread.busy)

    def look(self, shares: Shares, protocols: Collection[Protocol], deadline_s: float) -> Views:
        """Look at these servers."""
        return self._call(
            {protocol: lambda server: server.look(shares, deadline_s) for protocol in protocols}, deadline_s
        )

    def serve(self, shares: Shares, others: Collection[Protocol], deadline_s: float) -> Views:
        """Start the server of every protocol that has shares, and stop those of `others`."""
        calls: dict[Protocol, Call] = {protocol: lambda server: server.stop(deadline_s) for protocol in others}
        calls |= {protocol: lambda server: server.start(shares, deadline_s) for protocol in protocols_of(shares)}
        return self._call(calls, deadline_s)

    def stop(self, protocols: Collection[Protocol], deadline_s: float) -> Views:
        """Stop these servers."""
        return self._call({protocol: lambda server: server.stop(deadline_s) for protocol in protocols}, deadline_s)

    def _call(self, calls: Mapping[Protocol, Call], deadline_s: float) -> Views:
        end_s = time.monotonic() + deadline_s + MARGIN_S
        views = {protocol: self._begin(protocol, call) for protocol, call in calls.items()}
        return {
            protocol: view if view is not None else self._threads[protocol].result(end_s, deadline_s)
            for protocol, view in views.items()
        }

    def _begin(self, protocol: Protocol, call: Call) -> ServerView | None:
        """Begin a call. Returns a view if that is not possible."""
        thread = self._threads.get(protocol)
        if thread is None:
            return _unknown(protocol, f"this release has no {NAMES[protocol]} server")
        if thread.busy:
            return _unknown(protocol, "an earlier request has not returned", "look for hanging disks and processes")
        thread.begin(call)
        return None


class _ServerThread:
    """The thread that calls one server, one call after another."""

    def __init__(self, protocol: Protocol, server: ShareServer, urgent: bool) -> None:
        self._protocol, self._server, self._urgent = protocol, server, urgent
        self._calls: SimpleQueue[Call] = SimpleQueue()
        self._results: SimpleQueue[ServerView] = SimpleQueue()
        self._waits = False
        threading.Thread(target=self._run, name=f"server of {protocol}", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether the last call has not returned. Drops the result of one that returned too late."""
        if self._waits:
            try:
                self._results.get_nowait()
            except Empty:
                return True
            self._waits = False
        return False

    def begin(self, call: Call) -> None:
        """Begin a call. The thread must not be busy."""
        self._waits = True
        self._calls.put(call)

    def result(self, end_s: float, deadline_s: float) -> ServerView:
        """The result of the call, by `end_s` of the monotonic clock."""
        try:
            view = self._results.get(timeout=max(0.0, end_s - time.monotonic()))
        except Empty:
            return _unknown(
                self._protocol, f"no answer within {deadline_s:.1f} s", "look for hanging disks and processes"
            )
        self._waits = False
        return view

    def _run(self) -> NoReturn:
        if self._urgent:
            # A priority belongs to one thread and is not inherited (sched(7), SCHED_RESET_ON_FORK).
            protect_worker()
        while True:
            call = self._calls.get()
            try:
                view = call(self._server)
            except Exception as error:
                # A defect of one server must not take the others along.
                traceback.print_exc()
                sys.stderr.flush()
                view = _unknown(
                    self._protocol, f"a defect of hagit: {error!r}", "report it, with the watchdog's journal"
                )
            self._results.put(view)


def protocols_of(shares: Shares) -> tuple[Protocol, ...]:
    """The protocols that have shares, each once."""
    return tuple(dict.fromkeys(protocol for protocol, _ in shares.names()))


def _unknown(protocol: Protocol, text: str, remedy: str = "") -> ServerView:
    return ServerView(Serving.UNKNOWN, problems=(ShareProblem(protocol, "", cleaned(text), remedy),))
