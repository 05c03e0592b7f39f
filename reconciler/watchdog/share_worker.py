"""The part of a worker that serves shares: opens the servers, performs requests, returns their views.

The shares themselves lie in the run directory (`system/shares/kept_shares`), because a list of a thousand exports is
too long for a message each second; a request names their digest. Decides nothing.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Final

from reconciler.core.shares.shares import Shares
from reconciler.errors import HagitError
from reconciler.system.machine import boot_id
from reconciler.system.shares import open_guard, open_servers
from reconciler.system.shares.client_file import write_clients
from reconciler.system.shares.kept_shares import digest_of, kept_shares
from reconciler.system.shares.servers import ShareServers, Views
from reconciler.watchdog.worker_protocol import (
    FailedReply,
    GuardClients,
    GuardStep,
    ServeShares,
    ShareRequest,
    SharesReply,
    StopShares,
)

#: Time reserved for the reply after the last server has used up its own.
REPLY_S: Final = 0.5


class ShareWorker:
    """The servers of one worker. `run`: the run directory. `urgent`: clients wait for what it does."""

    def __init__(self, url: str, run: Path, *, urgent: bool) -> None:
        self._url, self._run, self._urgent, self._boot = url, run, urgent, boot_id()
        self._servers: ShareServers | None = None
        self._guard = open_guard(url, run)
        self._chap: tuple[tuple[str, str], ...] = ()
        self._shares: Shares | None = None
        self._digest = ""

    def perform(self, request: ShareRequest, within_s: float) -> SharesReply | FailedReply:
        """Perform one request. Ends this process if an earlier call hangs and its server must stop now."""
        deadline_s = max(0.1, within_s - REPLY_S)
        if isinstance(request, StopShares):
            servers = self._open(self._chap)
            if set(servers.hung) & set(request.protocols):
                # Two calls of one server must not overlap. A new process begins when this one is really gone.
                sys.exit(0)
            return _reply(servers.stop(request.protocols, deadline_s))
        shares = self._read(request.digest)
        if isinstance(shares, FailedReply):
            return shares
        if isinstance(request, GuardClients):
            return self._guard_clients(shares, request.step)
        servers = self._open(request.chap)
        if isinstance(request, ServeShares):
            return _reply(servers.serve(shares, request.others, deadline_s))
        views = servers.look(shares, request.protocols, deadline_s)
        with contextlib.suppress(OSError):
            write_clients(self._run, self._boot, views)
        findings = self._guard.record(shares).findings if request.active else self._guard.audit(shares)
        return SharesReply(tuple(views.items()), findings)

    def _guard_clients(self, shares: Shares, step: GuardStep) -> SharesReply:
        match step:
            case GuardStep.CLOSE:
                report = self._guard.before_takeover(shares)
            case GuardStep.OPEN:
                report = self._guard.after_serving(shares)
            case GuardStep.RELEASE:
                report = self._guard.before_release(shares)
        return SharesReply((), report.findings, report.tickled)

    def _open(self, chap: tuple[tuple[str, str], ...]) -> ShareServers:
        if self._servers is None or chap != self._chap:
            self._chap = chap
            files = {name: Path(path) for name, path in chap}
            self._servers = open_servers(self._url, self._run, files, urgent=self._urgent)
        return self._servers

    def _read(self, digest: str) -> Shares | FailedReply:
        """The kept shares, if they have this digest."""
        if self._shares is None or self._digest != digest:
            try:
                kept = kept_shares(self._run, self._boot)
            except HagitError as error:
                return FailedReply(error.what)
            if kept is None or digest_of(kept[1]) != digest:
                return FailedReply("other shares are kept by now")
            self._shares, self._digest = kept[0], digest
        return self._shares


def _reply(views: Views) -> SharesReply:
    return SharesReply(tuple(views.items()))
