"""A machine with a pool in memory, the real NFS server, and clients in network namespaces of their own.

    client c1 (10.77.0.2) ── bridge lan (10.77.0.1, virtual address 10.77.0.100) ── client c2 (10.77.0.3)

Each client has a host name of its own too, because the Linux client identifies itself by it. The pool tank has the
filesystems tank/home and tank/projects, and tank/hagit-state for the server's state. Decides nothing about what must
hold.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.strict_json import canonical
from reconciler.core.shares.shares import STATE_MOUNTPOINT, NfsClients, NfsExport, NfsServer, Shares, Squash
from tests.lab.debian_trees import laid_over
from tests.lab.image import Image
from tests.lab.kernel_modules import load_modules, modules_share
from tests.lab.machine import Machine, Share, project_shares
from tests.lab.nfs_utils import MODULES, NFS_UTILS, describe_protocols
from tests.lab.step import Progress

ROOT: Final = Path(__file__).parents[2]
VIRTUAL: Final = "10.77.0.100"
STATE: Final = STATE_MOUNTPOINT
#: Of one command in the guest.
WAIT_S: Final = 120
#: Characters of one command line.
PART: Final = 60_000
MEMORY_MIB: Final = 1024
NETWORK: Final = f"""
set -e
ip link add lan type bridge
ip address add 10.77.0.1/24 dev lan
ip link set lan up
for client in 1 2; do
  ip netns add c$client
  ip link add lan$client type veth peer name eth9 netns c$client
  ip link set lan$client master lan up
  ip -n c$client address add 10.77.0.$((client + 1))/24 dev eth9
  ip -n c$client link set eth9 up
  ip -n c$client link set lo up
done
ip address add {VIRTUAL}/32 dev lan
"""
POOL: Final = f"""
set -e
mkdir -p /disks
mount -t tmpfs tmpfs /disks
truncate -s 256M /disks/disk
zpool create -O atime=off -O mountpoint=/srv tank /disks/disk
zfs create -o sync=always -o mountpoint={STATE} tank/hagit-state
zfs create tank/home
zfs create tank/projects
mkdir -p /srv/projects/alpha
chmod 1777 /srv/home /srv/projects/alpha
"""
HOME: Final = NfsExport("home", "tank/home", (NfsClients("10.77.0.0/24", squash=Squash.NONE),))
ALPHA: Final = NfsExport("alpha", "tank/projects", (NfsClients("10.77.0.2"),), path="alpha")
SHARES: Final = Shares("lab", "files", "tank/hagit-state", NfsServer((VIRTUAL,), threads=4), (HOME, ALPHA))


class NfsMachine(Machine):
    """The machine; `serve` and its kin run the adapter in the guest."""

    def __init__(self, image: Image, directory: Path, progress: Progress) -> None:
        self._programs, self._kernel = NFS_UTILS.tree(progress), image
        shares = (*project_shares(), Share(self._programs), modules_share(image))
        super().__init__(image, directory, shares=shares, memory_mib=MEMORY_MIB, name="server")

    def start(self) -> None:
        """Boot, and make network and pool."""
        super().start()
        self.check(laid_over(self._programs))
        load_modules(self, self._kernel, *MODULES)
        describe_protocols(self)
        self.check(NETWORK)
        self.check(POOL, WAIT_S)

    def call(self, wanted: str, shares: Shares = SHARES) -> dict[str, Any]:
        """Call the adapter: look, start or stop. Returns the view."""
        view: dict[str, Any] = json.loads(self.servant(wanted, shares))
        return view

    def servant(self, wanted: str, shares: Shares = SHARES) -> str:
        """Return what the servant in the guest prints."""
        text = canonical(shares).decode()
        words = shlex.join([sys.executable, "-B", "-m", "tests.lab.guest.nfs_servant", wanted, "/run/shares.json"])
        self.check("rm -f /run/shares.json")
        for at in range(0, len(text), PART):
            self.check(f"printf %s {shlex.quote(text[at : at + PART])} >> /run/shares.json")
        return self.check(f"cd {ROOT} && {words}", WAIT_S)

    def mount(self, client: int, path: str, options: str = "vers=4.2") -> str:
        """Mount an export on a client. Returns where."""
        place = f"/mnt/c{client}{path}"
        self.check(f"mkdir -p {place}")
        words = f"mount -t nfs -o {options},proto=tcp {VIRTUAL}:{path} {place}"
        self.check(self.on_client(client, words), WAIT_S)
        return place

    def on_client(self, client: int, words: str) -> str:
        """Return the command that runs a shell command in a client's network, under its host name."""
        inner = f"hostname c{client}; {words}"
        return f"nsenter --net=/run/netns/c{client} unshare --uts sh -c {shlex.quote(inner)}"


def with_exports(*exports: NfsExport, **server: Any) -> Shares:
    """Return the shares of the lab with these exports, and other settings of the server."""
    assert SHARES.nfs is not None
    return replace(SHARES, exports=exports, nfs=replace(SHARES.nfs, **server))
