"""What one look, start or stop has found so far.

Filled step by step, so that an overdue one still says how far it came. The thread that works writes it, and the one
that waits reads it. Decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.core.shares.ports import ConnectedClient, ServerView, Serving, ShareProblem
from reconciler.core.shares.shares import Protocol
from reconciler.printing import cut, printable
from reconciler.system.shares.iscsi.sessions import CLIENTS_MAX, merged

#: A message has room for the names of one target and one volume.
TEXT_LENGTH_MAX = 700

#: What helps if nothing better is known.
LOOK = "look at: dmesg; journalctl -u hagit-watchdog"


class ServingReport:
    """The parts of a `ServerView`."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.problems: list[ShareProblem] = []
        self.clients: list[ConnectedClient] = []
        self.steps: list[tuple[str, int]] = []
        #: The step that is being taken, for a message about an overdue one.
        self.doing = ""

    def fault(self, share: str, text: str, remedy: str = "", *, served: bool = False, changed: bool = False) -> None:
        """Add a problem of a share, or of the whole server for ""."""
        if not (remedy or served or changed):
            remedy = LOOK
        said = cut(printable(text), TEXT_LENGTH_MAX), cut(printable(remedy), TEXT_LENGTH_MAX)
        problem = ShareProblem(Protocol.ISCSI, share, *said, served=served, changed=changed)
        if problem not in self.problems:
            self.problems.append(problem)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure one part."""
        begun_s, self.doing = time.monotonic(), name
        try:
            yield
        finally:
            self.steps.append((name, round((time.monotonic() - begun_s) * 1000)))

    def view(self, serving: Serving) -> ServerView:
        """Return everything that is known now."""
        clients = merged(self.clients)
        return ServerView(
            serving, tuple(self.served), tuple(self.problems), tuple(clients[:CLIENTS_MAX]), len(clients),
            tuple(self.steps),
        )  # fmt: skip
