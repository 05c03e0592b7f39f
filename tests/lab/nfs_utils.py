"""Debian's programs of NFS for an emulated machine, server and client; never installed on the host.

A machine that shares the tree lays it over its `/usr` (`debian_trees.laid_over`), calls `describe_protocols`, and loads
`MODULES` (`kernel_modules`). The libraries that a Debian system has in any case are the host's. Does not know what is
exported.
"""

from __future__ import annotations

import shlex
from typing import Final

from tests.lab.debian_trees import Packages
from tests.lab.machine import Machine

NFS_UTILS: Final = Packages("nfs-utils", ("nfs-kernel-server", "nfs-common", "libnfsidmap1"), ("sbin", "lib"), "1 MB")
#: The kernel's server and client of NFS. The client's modules of each version load when a version is mounted.
MODULES: Final = ("nfsd", "nfsv4", "nfsv3")
#: What libtirpc must know of transports, netconfig(5), and mount.nfs of protocols(5).
PROTOCOLS: Final = {
    "netconfig": "tcp tpi_cots_ord v inet tcp - -\ntcp6 tpi_cots_ord v inet6 tcp - -\n",
    "protocols": "tcp 6 TCP\nudp 17 UDP\n",
}


def describe_protocols(machine: Machine) -> None:
    """Write the files in which the programs look for transports and protocols."""
    for name, text in PROTOCOLS.items():
        machine.check(f"printf %s {shlex.quote(text)} > /etc/{name}")
