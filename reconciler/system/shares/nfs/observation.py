"""What the NFS server does now, compared with the shares and with what the last start gave it.

Decides which differences are problems, and which of them another program made. Changes nothing, apart from removing
clients that have been gone for minutes, so that they prolong no failover.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.core.shares.ports import ConnectedClient, ServerView, Serving, ShareProblem
from reconciler.core.shares.shares import STATE_MOUNTPOINT, NfsServer, Shares
from reconciler.system.shares.nfs import client_list, helper_programs, kernel_server
from reconciler.system.shares.nfs.client_list import ClientRecord
from reconciler.system.shares.nfs.etab import path_of
from reconciler.system.shares.nfs.exports import ResolvedExports, resolve_exports, share_problem
from reconciler.system.shares.nfs.helper_programs import HelperProgram, ProgramProcesses
from reconciler.system.shares.nfs.mounted_datasets import MountedDataset, mounted_datasets
from reconciler.system.shares.nfs.start_record import StartRecord, read_record

#: Clients that are gone are removed this often.
EXPIRE_EVERY_S: Final = 60.0
#: utsname.h: a host name, without the byte at its end.
SCOPE_MAX: Final = 64
#: nfsdcld's database grows by some hundred bytes a client; a transaction needs as much again.
STATE_BYTES_MIN: Final = 8 << 20
TABLE_BYTES_MAX: Final = 64 << 20
INSTALL: Final = "run `apt-get install nfs-kernel-server`"
KERNEL: Final = "run `apt-get install linux-image-$(dpkg --print-architecture)`, and restart this controller"
AGAIN: Final = "the next start of the server takes it: run `hagit switchover` when clients may wait"
AGAIN_SOON: Final = "the watchdog starts the server with it; if that lasts, look at `hagit timeline`"
VERSION_3: Final = "version 3 is not supported yet: it is not served, version 4 is"
MASK: Final = "run `systemctl mask --now nfs-server nfs-mountd nfsdcld`; hagit starts its own"


@dataclass(frozen=True, slots=True)
class NfsPlaces:
    """Directories: `run` vanishes with a reset, `state` is the mount point of the state dataset."""

    run: Path = Path("/run/hagit/nfs")
    state: Path = Path(STATE_MOUNTPOINT)

    @property
    def storage(self) -> Path:
        """The directory of nfsdcld's database."""
        return self.state / "nfsdcld"

    @property
    def etab(self) -> Path:
        """The table of exports that mountd reads."""
        return self.run / "etab"

    @property
    def record(self) -> Path:
        """The record of the last start."""
        return self.run / "start.json"

    def nfsdcld(self, pipes: Path) -> HelperProgram:
        """Return the program that keeps the clients of the kernel's server."""
        return helper_programs.nfsdcld(self.storage, pipes, self.run / "nfsdcld.log")

    def mountd(self) -> HelperProgram:
        """Return the program that knows the exports."""
        return helper_programs.mountd(self.run, self.run / "mountd.log", version_3=False)

    def helpers(self) -> tuple[HelperProgram, HelperProgram]:
        """Return both programs, with the pipes that are mounted now."""
        return self.nfsdcld(kernel_server.pipes() or kernel_server.PIPES), self.mountd()


def scope_of(shares: Shares) -> str:
    """Return the server's owner and scope: one name on both controllers, and on no other pair."""
    return (shares.hostname or f"hagit-{shares.pair}")[:SCOPE_MAX]


def served_versions(server: NfsServer) -> tuple[str, ...]:
    """Return the versions that this server can serve."""
    return tuple(version for version in server.versions if version != "3")


def table(places: NfsPlaces) -> str:
    """Return mountd's table, "" without one."""
    try:
        with places.etab.open("rb") as file:
            return file.read(TABLE_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""


def ours(places: NfsPlaces, found: ProgramProcesses) -> bool:
    """Whether anything of a server that hagit started is there."""
    return places.record.exists() or any(found.ours(helper) for helper in places.helpers())


def serving(places: NfsPlaces, found: ProgramProcesses) -> Serving:
    """Return whether the server serves, whatever its exports are."""
    if not ours(places, found):
        return Serving.DOWN
    here = [found.alive(helper) is not None for helper in places.helpers()]
    return Serving.UP if kernel_server.threads() and all(here) else Serving.PARTLY


def foreign_server(places: NfsPlaces, found: ProgramProcesses) -> ShareProblem | None:
    """Return the problem of an NFS server that hagit did not start, None without one."""
    for helper in places.helpers():
        if found.others(helper):
            return share_problem("", f"another {helper.program} than hagit's runs and answers the kernel", MASK)
    if kernel_server.threads() and not ours(places, found):
        return share_problem("", "another program has started the kernel's NFS server", MASK)
    return None


def missing_parts() -> ShareProblem | None:
    """Return the problem of a program or kernel module that is not installed, None if all are."""
    for program in (helper_programs.CLD, helper_programs.MOUNTD):
        if helper_programs.location(program) is None:
            return share_problem("", f"the program {program} is missing", INSTALL)
    if not kernel_server.has_module():
        return share_problem("", "the kernel module nfsd is missing", KERNEL)
    return None


def view(places: NfsPlaces, shares: Shares, *, expire: bool) -> ServerView:
    """Look. `expire`: also remove clients that have been gone for minutes. Raises OSError."""
    found, record = helper_programs.processes(), read_record(places.record)
    state = serving(places, found)
    foreign = foreign_server(places, found) if shares.nfs is not None else None
    if state is Serving.DOWN or record is None:
        # What would keep a standby controller from serving is told before it has to.
        obstacle = foreign or (missing_parts() if shares.nfs is not None else None)
        return ServerView(state, problems=() if obstacle is None else (obstacle,))
    mounted = mounted_datasets()
    exports = resolve_exports(shares, mounted, record.guids, record.resolved)
    served = tuple(
        export.name
        for export in shares.exports
        if export.name in record.lines and export.name in exports.lines and kernel_server.threads()
    )
    problems = [
        *(() if foreign is None else (foreign,)),
        *_program_problems(places, found),
        *_gss_problems(shares, found),
        *_kernel_problems(shares, record),
        *_table_problems(places, shares, record, exports),
    ]
    known = client_list.clients()
    if expire and client_list.expire_old(known, record.lease_s):
        known = client_list.clients()
    connected = tuple(_connected(known, shares, mounted))
    return ServerView(state, served, tuple(problems), connected, len(known), figures=_figures(known))


def _connected(
    known: list[ClientRecord], shares: Shares, mounted: dict[str, MountedDataset]
) -> Iterator[ConnectedClient]:
    """The clients, with the shares in whose datasets they have files open."""
    names: dict[int, list[str]] = {}
    for export in shares.exports:
        if export.dataset in mounted:
            names.setdefault(mounted[export.dataset].device, []).append(export.name)
    for number, client in enumerate(known[: client_list.CLIENTS_MAX]):
        devices = client_list.devices_in_use(client) if number < client_list.STATES_MAX else set()
        yield client.connected(tuple(name for device in sorted(devices) for name in names.get(device, ())))


def _figures(known: list[ClientRecord]) -> tuple[tuple[str, int], ...]:
    return (
        ("grace", int(kernel_server.in_grace())),
        ("clients_4_0", sum(client.minor == 0 for client in known)),
        ("clients_courtesy", sum(client.status in client_list.COURTESY for client in known)),
    )


def _program_problems(places: NfsPlaces, found: ProgramProcesses) -> Iterator[ShareProblem]:
    cld, mountd = places.helpers()
    for helper in (cld, mountd):
        helper_programs.trim_log(helper)
    pid = found.alive(cld)
    if pid is None:
        text = f"nfsdcld has ended: {helper_programs.last_words(cld)}; new clients are not remembered"
        yield share_problem("", text, "look at the space on the state dataset", served=True)
    elif kernel_server.threads() and not helper_programs.has_open(pid, helper_programs.CLD_PIPE):
        text = "the kernel does not ask nfsdcld, so clients cannot reclaim their locks after a failover"
        yield share_problem("", text, "see `dmesg`; the next start of the server asks again", served=True)
    if (left := _bytes_left(places.state)) < STATE_BYTES_MIN:
        text = f"the state dataset has {left >> 10} KiB left: clients that come now may not be remembered"
        yield share_problem("", text, "run `zfs list -o space`, and give it room", served=True)
    if found.alive(mountd) is None:
        text = f"rpc.mountd has ended: {helper_programs.last_words(mountd)}; new clients cannot mount"
        yield share_problem("", text, INSTALL, served=True)


def _bytes_left(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def _gss_problems(shares: Shares, found: ProgramProcesses) -> Iterator[ShareProblem]:
    if any(found.of(program) for program in helper_programs.GSS):
        return
    for export in shares.exports:
        if any(flavour.startswith("krb5") for clients in export.clients for flavour in clients.security):
            text = f"it asks for Kerberos, and no {' and no '.join(helper_programs.GSS)} runs"
            remedy = "run `systemctl start rpc-svcgssd`; both controllers need the key of the virtual host name"
            yield share_problem(export.name, text, remedy, served=True)


def _kernel_problems(shares: Shares, record: StartRecord) -> Iterator[ShareProblem]:
    """What the shares say and the running server does not do."""
    if shares.nfs is None:
        return
    if "3" in shares.nfs.versions:
        yield share_problem("", VERSION_3, "remove version 3", served=True)
    wanted = {
        "its name": (scope_of(shares), record.scope),
        "versions": (" ".join(sorted(served_versions(shares.nfs))), " ".join(sorted(record.versions))),
        "lease": (f"{shares.nfs.lease_s} s", f"{record.lease_s} s"),
        "grace": (f"{shares.nfs.grace_s} s", f"{record.grace_s} s"),
    }
    for name, (asked, given) in wanted.items():
        if asked != given:
            yield share_problem(
                "", f"{name}: the running server has {given}, the shares say {asked}", AGAIN, served=True
            )
    if not kernel_server.threads():
        yield share_problem("", "the kernel's server has no threads", changed=True)
        return
    if missing := sorted(set(record.listens) - kernel_server.listeners()):
        yield share_problem("", f"it does not listen at {', '.join(missing)}", served=True)


def _table_problems(
    places: NfsPlaces, shares: Shares, record: StartRecord, exports: ResolvedExports
) -> Iterator[ShareProblem]:
    yield from exports.problems
    told = {problem.name for problem in exports.problems}
    for export in shares.exports:
        lines = exports.lines.get(export.name)
        if lines is not None and export.name not in told and record.lines.get(export.name) != lines:
            here = export.name in record.lines
            text = "it is served as it was before its change" if here else "it is not served yet"
            yield share_problem(export.name, text, AGAIN_SOON, served=here)
    if table(places) != "".join(f"{line}\n" for _, lines in sorted(record.lines.items()) for line in lines):
        text = f"another program changed {places.etab}, which says who may use the exports"
        yield share_problem("", text, "the next start writes it again", served=True, changed=True)
    known = {kernel_server.escaped(path_of(line)) for lines in record.lines.values() for line in lines}
    if strange := sorted(kernel_server.exports_in_use() - known):
        text = f"the kernel exports {', '.join(strange[:5])}, which no share asks for"
        yield share_problem("", text, "run `exportfs -ua`, and remove it from /etc/exports", served=True, changed=True)
