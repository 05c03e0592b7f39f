"""Serving: the servers of shares on this controller, each behind the port of `core/shares/ports`.

`nfs` and `iscsi` drive the kernel's servers, and `clients` keeps their clients undisturbed while an address moves; a
simulated controller has simulated ones. `servers` runs them side by side. Does not know when they start and stop
(`watchdog/share_service`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from reconciler.core.shares.ports import ShareServer
from reconciler.core.shares.shares import Protocol
from reconciler.system.shares.clients.guard import ClientGuard
from reconciler.system.shares.iscsi.server import KernelIscsiServer
from reconciler.system.shares.nfs.share_server import NfsShareServer
from reconciler.system.shares.servers import ShareServers
from reconciler.system.shares.simulated_guard import SimulatedGuard
from reconciler.system.shares.simulated_server import SimulatedShareServer

#: The directory of simulated servers, in the run directory of the watchdog.
SIMULATED: Final = "simulated-shares"
Guard: TypeAlias = ClientGuard | SimulatedGuard


def open_servers(url: str, run: Path, chap: Mapping[str, Path], *, urgent: bool = False) -> ShareServers:
    """The servers beside the shelf at `url` (see `system/shelf`). Opens nothing that could block.

    `run`: the private directory of the watchdog, which does not survive a reset. `chap`: files with CHAP secrets by
    their names. `urgent`: see `ShareServers`.
    """
    if _simulated(url):
        return ShareServers({one: SimulatedShareServer(run / SIMULATED, one) for one in Protocol}, urgent=urgent)
    servers: dict[Protocol, ShareServer] = {Protocol.NFS: NfsShareServer(), Protocol.ISCSI: KernelIscsiServer(chap)}
    return ShareServers(servers, urgent=urgent)


def open_guard(url: str, run: Path) -> Guard:
    """What keeps clients undisturbed beside the shelf at `url`. `run`: see `open_servers`."""
    return SimulatedGuard(run / SIMULATED) if _simulated(url) else ClientGuard()


def _simulated(url: str) -> bool:
    return url.startswith("simulated:")
