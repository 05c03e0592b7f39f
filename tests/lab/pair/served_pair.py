"""A pair that serves NFS and iSCSI, and a client: a third machine that mounts, logs in and writes.

    client (10.79.0.21) ── bridge lan ── both controllers, virtual address 10.79.0.100

The pool has the filesystem tank/home for NFS, the volume tank/vm for iSCSI, and tank/hagit-state for the state of the
servers. The controllers' agents are not part of this pair: the test publishes the shares as an agent does. Decides what
is served and to whom; says nothing about durations.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.orders.document import orders_key
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.shares.document import shares_document
from reconciler.core.shares.shares import (
    Initiator,
    IscsiServer,
    IscsiTarget,
    Lun,
    NfsClients,
    NfsExport,
    NfsServer,
    Shares,
    Squash,
)
from tests.lab.debian_trees import laid_over
from tests.lab.image import Image
from tests.lab.initiator import OPEN_ISCSI, start_initiator
from tests.lab.kernel_modules import load_modules, modules_share
from tests.lab.machine import Machine, Nic, Share, project_shares
from tests.lab.nfs_utils import MODULES as NFS_MODULES
from tests.lab.nfs_utils import NFS_UTILS, describe_protocols
from tests.lab.pair.emulated_pair import ORDERS, VIRTUAL, EmulatedPair
from tests.lab.pair.head import ROOT, WAIT_S, Head

CLIENT: Final = "10.79.0.21"
INITIATOR: Final = "iqn.1993-08.org.debian:01:client"
IQN: Final = "iqn.2026-11.lab:vm"
STATE: Final = "/var/lib/hagit/pool-state"
#: Modules of each controller's servers, and of the client.
SERVER_MODULES: Final = (
    *NFS_MODULES, "crc32c_generic", "target_core_iblock", "iscsi_target_mod", "nf_tables", "inet_diag", "tcp_diag",
)  # fmt: skip
CLIENT_MODULES: Final = (*NFS_MODULES, "crc32c_generic", "iscsi_tcp")
SERVING: Final = {"nfs": "up", "iscsi": "up"}
SHARES: Final = Shares(
    pair="tank",
    hostname="files",
    state="tank/hagit-state",
    nfs=NfsServer((VIRTUAL,), threads=4),
    exports=(NfsExport("home", "tank/home", (NfsClients("10.79.0.0/24", squash=Squash.NONE),)),),
    iscsi=IscsiServer(),
    targets=(IscsiTarget("vm", IQN, (VIRTUAL,), (Lun(0, "tank/vm"),), (Initiator(INITIATOR),)),),
)


class ServingHead(Head):
    """A controller with the programs and modules of both servers."""

    #: The kernel's image and the tree of NFS's programs; set by the pair before a controller is made.
    kernel: Image
    programs: Path

    def ready(self) -> None:
        """Wait until it has booted."""
        super().ready()
        self.machine.check(laid_over(self.programs))
        describe_protocols(self.machine)
        load_modules(self.machine, self.kernel, *SERVER_MODULES)
        self.machine.check("mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config")

    def publish_shares(self, shares: Shares) -> None:
        """Write the shares for this controller as its agent does."""
        written = self.state / "shares.new"
        written.write_bytes(shares_document(shares, orders_key(self.secret)))
        written.rename(self.state / "shares.json")


class ShareClient:
    """The client's machine: its mounts, its sessions, its writers."""

    def __init__(self, image: Image, place: Path, within: tuple[str, ...], nfs: Path, initiator: Path) -> None:
        self._image, self._nfs, self._initiator = image, nfs, initiator
        modules = modules_share(image)
        directory = place / "client-console"
        directory.mkdir()
        self.machine = Machine(
            image, directory, nics=[Nic(hub=0, mac="02:00:00:00:79:99", tap="client-lan")], memory_mib=512,
            name="client", shares=(*project_shares(), Share(nfs), Share(initiator), modules), within=within,
        )  # fmt: skip
        self._writers: dict[str, str] = {}

    def start(self) -> None:
        """Boot; no mount yet."""
        self.machine.start()
        self.machine.check(f"ip address add {CLIENT}/24 dev eth0 && ip link set eth0 up")
        self.machine.check(laid_over(self._initiator, self._nfs))
        describe_protocols(self.machine)
        load_modules(self.machine, self._image, *CLIENT_MODULES)
        start_initiator(self.machine, self._initiator, INITIATOR)
        self.machine.check("mkdir -p /run/kept")

    def mount(self, path: str, options: str = "vers=4.2") -> str:
        """Mount an export. Returns where."""
        place = f"/mnt{path}"
        self.machine.check(f"mkdir -p {place} && mount -t nfs -o {options},proto=tcp {VIRTUAL}:{path} {place}", WAIT_S)
        return place

    def log_in(self, iqn: str = IQN) -> str:
        """Log in to a target. Returns the device of its first logical unit."""
        node = f"iscsiadm -m node -T {iqn} -p {VIRTUAL}:3260"
        self.machine.check(f"iscsiadm -m discovery -t sendtargets -p {VIRTUAL}:3260 && {node} --login", WAIT_S)
        find = "for one in /sys/class/block/sd*; do [ -e $one ] && echo /dev/${one##*/} && break; done"
        self.machine.until(f"{find} | grep -q .", WAIT_S)
        return self.machine.check(find).strip()

    def write(self, name: str, place: str, *, locked: bool = False) -> None:
        """Start a writer. `locked`: it holds a lock on the file all the time."""
        self._writers[name] = place
        command = f"write {place}" if not locked else f"lock {place}"
        self.machine.send(self._python(f"{command} /run/kept/{name}") + f" > /run/kept/{name}.out 2>&1", 1e6)

    def counts(self) -> dict[str, int]:
        """How many records of each writer are acknowledged so far."""
        found = {}
        for name in self._writers:
            with contextlib.suppress(ValueError):
                found[name] = int(json.loads(self.machine.run(f"cat /run/kept/{name}", 30).out or "{}").get("count", 0))
        return found

    def finish(self) -> Mapping[str, dict[str, Any]]:
        """End the writers and compare what they had acknowledged with what the servers give now."""
        self.machine.check(
            "pkill -TERM -f guest.share_clien[t]; while pgrep -f guest.share_clien[t]; do sleep 0.1; done; sync", WAIT_S
        )
        self.machine.check("echo 3 > /proc/sys/vm/drop_caches")
        found = {}
        for name, place in self._writers.items():
            found[name] = json.loads(self.machine.check(self._python(f"check {place} /run/kept/{name}"), WAIT_S))
        self._writers.clear()
        return found

    def _python(self, words: str) -> str:
        return f"cd {ROOT} && PYTHONDONTWRITEBYTECODE=1 {sys.executable} -m tests.lab.guest.share_client {words}"


class ServedPair(EmulatedPair):
    """The pair, its client, and shares that both controllers know."""

    def __init__(self, image: Image, place: Path, progress: Callable[[str], None], orders: Orders = ORDERS) -> None:
        nfs, initiator = NFS_UTILS.tree(progress), OPEN_ISCSI.tree(progress)

        class _Head(ServingHead):
            kernel, programs = image, nfs

        further = (Share(nfs), modules_share(image))
        super().__init__(image, place, progress, orders, further, kind=_Head)
        for line in ("tuntap add dev client-lan mode tap", "link set client-lan master lan", "link set client-lan up"):
            subprocess.run(self.within("ip", *line.split()), check=True, timeout=WAIT_S)
        #: What the writers of a test write to: by name, the place and whether it is locked.
        self.places: dict[str, tuple[str, bool]] = {}
        self.guest = ShareClient(image, place, tuple(self.target.within), nfs, initiator)
        self._stack.callback(self.guest.machine.close)
        for head in self.heads:
            self.publish_shares(head, SHARES)

    def publish_shares(self, head: Head, shares: Shares) -> None:
        """Write the shares for one controller as its agent does."""
        assert isinstance(head, ServingHead)
        head.publish_shares(shares)

    def make_pool(self) -> None:
        """Make the pool with what is served."""
        super().make_pool()
        self.a.machine.check(
            "zpool import -d /dev/disk/by-id -o cachefile=none tank && "
            f"zfs create -o sync=always -o mountpoint={STATE} tank/hagit-state && "
            "zfs create -o sync=always -V 64M -s tank/vm && chmod 1777 /tank/home && zpool export tank",
            WAIT_S,
        )

    def begin(self) -> None:
        """Start the pair and its client."""
        super().begin()
        self.guest.start()
        self.say("the client is up")
        self.until_served(self.active())

    def until_served(self, head: Head) -> None:
        """Wait until a controller serves every share."""

        def served() -> bool:
            status = head.status()
            return status is not None and {server.protocol: server.serving for server in status.servers} == SERVING

        self.until(served, f"{head.side} serves NFS and iSCSI", 90)
        status = head.status()
        assert status is not None and "PORT_FILTER_REFUSED" not in {reason.code for reason in status.reasons}, status

    def until_written(self, more: int = 20) -> None:
        """Wait until every writer of the client has so many more records acknowledged."""
        before = self.guest.counts()
        self.until(
            lambda: all(count >= before.get(name, 0) + more for name, count in self.guest.counts().items()),
            f"{more} more records of each writer of the client",
        )

    @contextlib.contextmanager
    def writers(self) -> Iterator[dict[str, dict[str, Any]]]:
        """Run a writer for each of `places` within the block; fill in what they say at the end."""
        found: dict[str, dict[str, Any]] = {}
        for name, (place, locked) in self.places.items():
            self.guest.write(name, place, locked=locked)
        self.until(lambda: len(self.guest.counts()) == len(self.places), "the writers of the client have begun")
        self.until_written()
        yield found
        self.until_written()
        found.update(self.guest.finish())
