"""The pair as a user has it, whose shares come from commits, and a client of these shares.

Both controllers run systemd, udev, the package that this checkout builds, Debian's programs of NFS, and kmod, which
loads the kernel's servers when hagit needs them. Their agents follow a git repository on the host, which a test or the
demonstration changes by commits. Decides the content of the repository: a pool with a filesystem and a volume at first,
without shares. Does not know which commits follow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.lab.image import Image
from tests.lab.kernel_modules import KMOD, modules_tree
from tests.lab.machine import Share
from tests.lab.nfs_utils import NFS_UTILS, PROTOCOLS
from tests.lab.pair.client_machine import INITIATOR, ShareClient
from tests.lab.pair.first_boot import PAIR, FirstPair, FollowingHead, configuration
from tests.lab.pair.served_pair import IQN, SERVER_MODULES
from tests.lab.step import Progress

#: What NFS clients take for the server, on whichever controller it runs (the Pair's `virtualHostname`).
HOSTNAME: Final = "files"
#: Looks for new commits every two seconds: the host's changes of the repository send the guest no event.
SOURCE: Final = """\
---
apiVersion: hagit/v1
kind: Source
metadata: {{name: repository}}
spec: {{remotes: [{place}], interval: 2s, unsigned: accept}}
"""
DATASETS: Final = """\
apiVersion: hagit/v1
kind: Dataset
metadata: {name: home}
spec: {dataset: tank/home, mountpoint: /srv/home}
---
apiVersion: hagit/v1
kind: Dataset
metadata: {name: vm}
spec: {dataset: tank/vm, type: volume, size: 64M, properties: {sync: always}}
"""
EXPORT: Final = """\
apiVersion: hagit/v1
kind: NfsExport
metadata: {name: home}
spec:
  dataset: home
  clients: [{hosts: 10.79.0.0/24, squash: no_root_squash}]
"""
TARGET: Final = f"""\
apiVersion: hagit/v1
kind: IscsiTarget
metadata: {{name: vm}}
spec:
  iqn: {IQN}
  luns: [{{lun: 0, dataset: vm}}]
  initiators: [{{iqn: "{INITIATOR}"}}]
"""


class ShareHead(FollowingHead):
    """A controller with the programs and modules of both servers, whose agent follows the repository."""

    #: The kernel's image; set by the pair before a controller is made.
    kernel: Image

    def trees(self, place: Path, states: int) -> tuple[Path, ...]:
        """See `InstalledHead.trees`."""
        found = super().trees(place, states)
        modules = place / "modules"
        if not modules.exists():
            modules_tree(self.kernel, modules, *SERVER_MODULES)
        for name, text in PROTOCOLS.items():
            (found[-1] / "etc" / name).write_text(text)
        return (KMOD.tree(), NFS_UTILS.tree(), modules, *found)


class RepositoryPair(FirstPair):
    """The pair of such controllers, and its client."""

    def __init__(self, image: Image, place: Path, progress: Callable[[str], None]) -> None:
        _fetch(progress)

        class _Head(ShareHead):
            kernel = image

        super().__init__(image, place, progress, kind=_Head)
        self.guest = ShareClient(image, place, self, progress)
        self._stack.callback(self.guest.machine.close)

    def configuration(self, repository: Path) -> str:
        """See `FirstPair.configuration`."""
        named = PAIR.replace("spec:\n", f"spec:\n  virtualHostname: {HOSTNAME}\n")
        return configuration().replace(PAIR, named) + f"{SOURCE.format(place=repository)}---\n{DATASETS}"

    def further(self, image: Image, repository: Path) -> tuple[Share, ...]:
        """See `FirstPair.further`; the guests must see the commits to come, so they cache nothing of it."""
        return (Share(repository, str(repository)),)

    def commit(self, name: str, text: str, message: str) -> str:
        """Commit one file of the repository. Returns the first seven digits of the commit."""
        self.work.write(name, text.encode())
        return self.work.commit(message)[:7]

    def begin(self) -> None:
        """Start the pair and its client. Returns once the agents have made the pool and all is well."""
        super().begin()
        self.guest.start()
        self.say("the client is up")
        self.until(lambda: self._has_pool(), "the agent of the active one makes the pool")
        self.say("the agents have made the pool")
        # On a host with other work a daemon may stand still for longer than its deadman while the pool is made.
        if off := [head for head in self.heads if not head.on]:
            self.say(f"{off[0].side} has reset itself, because this host is too busy for it; it boots again")
            self.boot(*off)
        self.well()

    def _has_pool(self) -> bool:
        return self.active().machine.run("zfs list tank/home tank/vm").status == 0


def _fetch(progress: Progress) -> None:
    """Fetch what is not in the cache, with a line for each."""
    for packages in (KMOD, NFS_UTILS):
        packages.tree(progress)
