"""The NFS server as the watchdog sees it: look, start, stop (`core/shares/ports.ShareServer`).

Decides the order. Start: state dataset, nfsdcld, exports, rpc.mountd, lease and versions, listeners, threads. Stop:
threads, exports, both programs. A start over a running server changes what differs; what the kernel takes only at the
start of the server (name, versions, lease, grace) becomes a problem until then. Leaves to the watchdog when to serve.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.core.shares.ports import ServerView, Serving, ShareProblem
from reconciler.core.shares.shares import NfsServer, Shares
from reconciler.system.atomic_file import replace_file
from reconciler.system.shares.nfs import helper_programs, host_names, kernel_server, observation
from reconciler.system.shares.nfs.bounded_call import BoundedCall
from reconciler.system.shares.nfs.exports import host_names as names_of
from reconciler.system.shares.nfs.exports import resolve_exports, share_problem
from reconciler.system.shares.nfs.mounted_datasets import dataset_guids, mounted_datasets
from reconciler.system.shares.nfs.observation import INSTALL, NfsPlaces, scope_of, served_versions
from reconciler.system.shares.nfs.start_record import StartRecord, read_record, write_record

#: Host names and GUIDs are waited for this long: clients wait meanwhile.
NAMES_S: Final = 2.0
GUIDS_S: Final = 10.0
NO_LISTENER: Final = f"another program listens at port {kernel_server.PORT} of the virtual addresses"
LISTENERS: Final = f"look who does: `ss -ltnp sport = :{kernel_server.PORT}`"
SEE: Final = "look at `dmesg` and at the pool: `zpool status`"
NO_ADDRESS: Final = "give NfsServer an interface with a virtual address"


class _Failed(Exception):
    """The server cannot start. Carries the problem."""

    def __init__(self, problem: ShareProblem) -> None:
        self.problem = problem
        super().__init__(problem.text)


@dataclass(slots=True)
class _Progress:
    """The steps of a start or stop: how long each took, and which one runs now."""

    steps_ms: list[tuple[str, int]] = field(default_factory=list)
    now: str = "the beginning"

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.now, began_s = name, time.monotonic()
        try:
            yield
        finally:
            self.steps_ms.append((name, round((time.monotonic() - began_s) * 1000)))


class NfsShareServer:
    """The kernel's NFS server with exports of hagit."""

    def __init__(self, places: NfsPlaces | None = None) -> None:
        self._places = places or NfsPlaces()
        self._change: BoundedCall[ServerView] | None = None
        self._look: BoundedCall[ServerView] | None = None
        self._expired_s = 0.0

    def look(self, shares: Shares, deadline_s: float) -> ServerView:
        """See `ShareServer.look`. Once a minute it also removes clients that have been gone for minutes."""
        if self._look is not None and self._look.running:
            return _late("an earlier look", Serving.UNKNOWN)
        self._look = BoundedCall(lambda: self._observe(shares))
        try:
            return self._look.result(deadline_s) or _late("the look", Serving.UNKNOWN)
        except OSError as error:
            return ServerView(Serving.UNKNOWN, problems=(share_problem("", f"it cannot be seen: {error}", SEE),))

    def start(self, shares: Shares, deadline_s: float) -> ServerView:
        """See `ShareServer.start`."""
        if shares.nfs is None or not shares.exports:
            return self.stop(deadline_s)
        server, progress = shares.nfs, _Progress()
        return self._bounded(lambda: self._start(shares, server, progress), progress, deadline_s)

    def stop(self, deadline_s: float) -> ServerView:
        """See `ShareServer.stop`."""
        progress = _Progress()
        return self._bounded(lambda: self._stop(progress), progress, deadline_s)

    def _bounded(self, body: Callable[[], ServerView], progress: _Progress, deadline_s: float) -> ServerView:
        if self._change is not None and self._change.running:
            return _late("an earlier start or stop", Serving.PARTLY)
        self._change = BoundedCall(body)
        try:
            view = self._change.result(deadline_s) or _late(progress.now, Serving.PARTLY)
        except OSError as error:
            text = f"{progress.now}: {error.strerror or error}" + (f": {error.filename}" if error.filename else "")
            view = ServerView(self._serving(), problems=(share_problem("", text, SEE),))
        return replace(view, steps_ms=tuple(progress.steps_ms))

    # Start -----------------------------------------------------------------------------------------------------------

    def _start(self, shares: Shares, server: NfsServer, progress: _Progress) -> ServerView:
        try:
            problems = self._serve(shares, server, progress)
        except _Failed as failed:
            return ServerView(self._serving(), problems=(failed.problem,))
        view = self._observe(shares)
        return replace(view, problems=tuple(dict.fromkeys((*problems, *view.problems))))

    def _serve(self, shares: Shares, server: NfsServer, progress: _Progress) -> list[ShareProblem]:
        with progress.step("preparation"):
            self._prepare(shares, server)
            pipes = kernel_server.pipes() or kernel_server.PIPES
        with progress.step("nfsdcld"):
            _ensure(self._places.nfsdcld(pipes), "look at the space on the state dataset")
        with progress.step("exports"):
            record, changed = self._write_exports(shares, server)
        with progress.step("mountd"):
            _ensure(self._places.mountd(), INSTALL)
            if changed and kernel_server.threads():
                kernel_server.flush_caches()
        with progress.step("nfsd"):
            return self._start_kernel(server, record)

    def _prepare(self, shares: Shares, server: NfsServer) -> None:
        """Check what a start needs. Raises _Failed."""
        if problem := observation.missing_parts():
            raise _Failed(problem)
        if fault := kernel_server.mount_file_systems():
            raise _Failed(share_problem("", fault, observation.KERNEL))
        if problem := observation.foreign_server(self._places, helper_programs.processes()):
            raise _Failed(problem)
        state = mounted_datasets().get(shares.state or "")
        if state is None or state.place != str(self._places.state):
            text = f"the state dataset {shares.state or ''} is not mounted at {self._places.state}"
            where = f"run `zfs set mountpoint={self._places.state} {shares.state}` and `zfs mount {shares.state}`"
            raise _Failed(share_problem("", text, where if shares.state else "give the shares a state dataset"))
        for place in (self._places.run, self._places.storage):
            place.mkdir(mode=0o700, exist_ok=True, parents=place == self._places.run)
            if place.is_symlink():
                raise _Failed(share_problem("", f"{place} is a symbolic link", f"remove {place}"))
        if not server.addresses:
            raise _Failed(share_problem("", "there is no virtual address to listen at", NO_ADDRESS))
        if not served_versions(server):
            raise _Failed(share_problem("", observation.VERSION_3, "serve 4.1 and 4.2"))

    def _write_exports(self, shares: Shares, server: NfsServer) -> tuple[StartRecord, bool]:
        """Write mountd's table and the record. Returns the record, and whether the table is another one."""
        names = BoundedCall(lambda: host_names.resolve(names_of(shares), NAMES_S))
        guids = dataset_guids((export.dataset for export in shares.exports), GUIDS_S)
        resolved = names.result(NAMES_S + 1) or {}
        before = read_record(self._places.record)
        if before is not None:
            # A name server that is silent today takes no client away.
            resolved = {
                **{name: known for name, known in before.resolved.items() if name in names_of(shares)},
                **resolved,
            }
        exports = resolve_exports(shares, mounted_datasets(), guids, resolved)
        table = exports.table()
        changed = observation.table(self._places) != table
        if changed:
            replace_file(self._places.etab, table.encode(), mode=0o644, sync=False)
        versions = served_versions(server)
        record = StartRecord(
            scope=scope_of(shares),
            versions=versions,
            lease_s=server.lease_s,
            grace_s=server.grace_s,
            listens=tuple(sorted(_canonical(server.addresses))),
            lines=exports.lines,
            guids=guids,
            resolved=resolved,
        )
        if before is not None and kernel_server.threads():
            # What the kernel took at its start stays until it starts again.
            record = replace(
                record, scope=before.scope, versions=before.versions, lease_s=before.lease_s, grace_s=before.grace_s
            )
        write_record(self._places.record, record)
        return record, changed

    def _start_kernel(self, server: NfsServer, record: StartRecord) -> list[ShareProblem]:
        """Let the kernel serve, or change its listeners and threads. Raises _Failed, OSError."""
        threads = kernel_server.threads()
        if not threads:
            if kernel_server.has_listeners():
                # An interrupted start left them; with them the kernel takes neither versions nor times.
                kernel_server.end_threads()
            kernel_server.configure(record.lease_s, record.grace_s, record.versions)
        problems = []
        for address in sorted(_canonical(server.addresses) - kernel_server.listeners()):
            try:
                kernel_server.listen(address)
            except (OSError, ValueError) as error:
                text = f"it cannot listen at {address}, port {kernel_server.PORT}: {error}"
                problems.append(share_problem("", text, LISTENERS))
        if not kernel_server.has_listeners():
            raise _Failed(problems[0] if problems else share_problem("", NO_LISTENER, LISTENERS))
        if threads != server.threads:
            kernel_server.set_threads(server.threads, record.scope)
        return [replace(problem, served=True) for problem in problems]

    # Stop ------------------------------------------------------------------------------------------------------------

    def _stop(self, progress: _Progress) -> ServerView:
        helpers = (self._places.mountd(), self._places.nfsdcld(kernel_server.PIPES))
        if not observation.ours(self._places, helper_programs.processes()):
            return ServerView(Serving.DOWN)
        with progress.step("nfsd"):
            if (kernel_server.NFSD / "threads").exists():
                kernel_server.end_threads()
        with progress.step("exports"):
            if self._places.etab.exists():
                replace_file(self._places.etab, b"", mode=0o644, sync=False)
            kernel_server.flush_caches()
        with progress.step("mountd and nfsdcld"):
            stuck = [helper.program for helper in helpers if not helper_programs.end(helper)]
        if stuck:
            problem = share_problem("", f"{' and '.join(stuck)} cannot be ended", SEE)
            return ServerView(Serving.PARTLY, problems=(problem,))
        for place in (self._places.record, self._places.etab):
            place.unlink(missing_ok=True)
        return ServerView(self._serving())

    # Look ------------------------------------------------------------------------------------------------------------

    def _serving(self) -> Serving:
        return observation.serving(self._places, helper_programs.processes())

    def _observe(self, shares: Shares) -> ServerView:
        now_s = time.monotonic()
        expire = now_s >= self._expired_s
        if expire:
            self._expired_s = now_s + observation.EXPIRE_EVERY_S
        return observation.view(self._places, shares, expire=expire)


def _canonical(addresses: Iterable[str]) -> set[str]:
    """Return the addresses as the kernel's are printed; one that is none stays as it is."""
    found = set()
    for address in addresses:
        try:
            found.add(str(ipaddress.ip_address(address)))
        except ValueError:
            found.add(address)
    return found


def _ensure(helper: helper_programs.HelperProgram, remedy: str) -> None:
    if fault := helper_programs.ensure(helper):
        raise _Failed(share_problem("", fault, remedy))


def _late(what: str, serving: Serving) -> ServerView:
    return ServerView(serving, problems=(share_problem("", f"no answer in time: {what} waits in the kernel", SEE),))
