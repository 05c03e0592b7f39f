"""Serving: the servers of shares on this controller, each behind the port of `core/shares/ports`.

`nfs` and `iscsi` drive the kernel's servers; a simulated controller has simulated ones. `servers` runs them side by
side. Does not know when they start and stop (`watchdog/share_service`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reconciler.core.shares.ports import ShareServer
from reconciler.core.shares.shares import Protocol
from reconciler.system.shares.servers import ShareServers
from reconciler.system.shares.simulated_server import SimulatedShareServer

#: The directory of simulated servers, in the run directory of the watchdog.
SIMULATED = "simulated-shares"


def open_servers(url: str, run: Path, chap: Mapping[str, Path], *, urgent: bool = False) -> ShareServers:
    """The servers beside the shelf at `url` (see `system/shelf`). Opens nothing that could block.

    `run`: the private directory of the watchdog, which does not survive a reset. `chap`: files with CHAP secrets by
    their names. `urgent`: see `ShareServers`.
    """
    if url.startswith("simulated:"):
        directory = run / SIMULATED
        return ShareServers({one: SimulatedShareServer(directory, one) for one in Protocol}, urgent=urgent)
    return ShareServers(_kernel_servers(run, chap), urgent=urgent)


def _kernel_servers(run: Path, chap: Mapping[str, Path]) -> dict[Protocol, ShareServer]:
    """The servers of this kernel."""
    return {}
