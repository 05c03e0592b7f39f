"""A pair that serves NFS and iSCSI to a client machine (`client_machine.py`), without agents and git.

The pool has the filesystem tank/home for NFS, the volume tank/vm for iSCSI, and tank/hagit-state for the state of the
servers. The test publishes the shares as an agent does. Decides what is served and to whom; says nothing about
durations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

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
from tests.lab.kernel_modules import load_modules, modules_share
from tests.lab.machine import Share
from tests.lab.nfs_utils import MODULES as NFS_MODULES
from tests.lab.nfs_utils import NFS_UTILS, describe_protocols
from tests.lab.pair.client_machine import INITIATOR, ShareClient, Writing, judged, until_served
from tests.lab.pair.emulated_pair import ORDERS, VIRTUAL, EmulatedPair
from tests.lab.pair.head import WAIT_S, Head

IQN: Final = "iqn.2026-11.lab:vm"
STATE: Final = "/var/lib/hagit/pool-state"
#: Modules of each controller's servers.
SERVER_MODULES: Final = (
    *NFS_MODULES, "crc32c_generic", "target_core_iblock", "iscsi_target_mod", "nf_tables", "inet_diag", "tcp_diag",
)  # fmt: skip
#: What is served, by protocol.
SERVED: Final = {"nfs": {"home"}, "iscsi": {"vm"}}
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


class ServedPair(EmulatedPair):
    """The pair, its client, and shares that both controllers know."""

    def __init__(self, image: Image, place: Path, progress: Callable[[str], None], orders: Orders = ORDERS) -> None:
        nfs = NFS_UTILS.tree(progress)

        class _Head(ServingHead):
            kernel, programs = image, nfs

        further = (Share(nfs), modules_share(image))
        super().__init__(image, place, progress, orders, further, kind=_Head)
        self.guest = ShareClient(image, place, self, progress)
        self._stack.callback(self.guest.machine.close)
        self.publish_to_both(SHARES)

    def publish_to_both(self, shares: Shares) -> None:
        """Write the shares for both controllers."""
        for head in self.heads:
            self.publish_shares(head, shares)

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
        until_served(self, SERVED)

    def use(self) -> None:
        """Let the client mount the export and log in to the target, and choose what its writers do."""
        export, device = self.guest.mount("/tank/home"), self.guest.log_in(IQN)
        self.guest.places = {
            "nfs": ("write", f"{export}/plain"),
            "nfs-locked": ("lock", f"{export}/locked"),
            "iscsi": ("write", device),
        }

    def judge(self, found: Mapping[str, Writing]) -> None:
        """Print what each writer saw, and check that it saw no error and nothing is missing."""
        judged(found, lambda name, text: self.say(f"{name}: {text}"))
        assert found.keys() == self.guest.places.keys()
