"""The pair as a new user has it: the package, udev, bare disks, and a repository with the first configuration.

Decides the content of the repository, what udev calls the disks of the lab, and how both controllers come to follow the
repository: by `hagit apply` on each, as a person types it, or by their agents. The disks are empty, so `zpool create`
gets whole disks, divides them itself, and waits for the links that udevd makes for the partitions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from reconciler.core.failover.reservations.key import Side
from tests.debian import UNITS
from tests.lab.image import Image
from tests.lab.machine import Finished, Share
from tests.lab.pair.emulated_pair import ORDERS, PATIENTLY, VIRTUAL
from tests.lab.pair.head import NETWORKS, WAIT_S
from tests.lab.pair.installed_pair import InstalledHead, InstalledPair
from tests.lab.target import Target
from tests.lab.udev import udev
from tests.system.repositories import Work

#: Short names in addition to those of udev's own rules, which are hard to remember.
RULES: Final = """\
SUBSYSTEM!="block", GOTO="lab_end"
ENV{DEVTYPE}=="disk", ENV{ID_SCSI_SERIAL}=="?*", SYMLINK+="disk/by-id/$env{ID_SCSI_SERIAL}"
ENV{DEVTYPE}=="partition", ENV{ID_SCSI_SERIAL}=="?*", SYMLINK+="disk/by-id/$env{ID_SCSI_SERIAL}-part%n"
LABEL="lab_end"
"""
#: Groups to which udev's rules give devices.
GROUPS: Final = (
    "audio", "cdrom", "dialout", "disk", "floppy", "input", "kmem", "kvm", "lp", "netdev", "plugdev", "render", "sgx",
    "tape", "tty", "video",
)  # fmt: skip
PAIR: Final = """\
apiVersion: hagit/v1
kind: Pair
metadata: {name: first}
spec:
  a: {hostname: left}
  b: {hostname: right}
"""
INTERFACE: Final = """\
---
apiVersion: hagit/v1
kind: Interface
metadata: {{name: {name}}}
spec:
  a: {{match: {{mac: "{macs[0]}"}}{addresses[0]}}}
  b: {{match: {{mac: "{macs[1]}"}}{addresses[1]}}}
{role}
"""
ROLES: Final = {
    "net0": f"  critical: true\n  failoverGroup: 1\n  virtual: {{address: {VIRTUAL}/24, vhid: 79}}",
    "link0": "  role: interlink",
    "net1": "  critical: true\n  failoverGroup: 1",
    "net2": "  critical: true\n  failoverGroup: 2",
}
#: The networks in which each controller has its own address.
NETS: Final = {"net0": "10.79.0", "link0": "169.254.79"}
POOL: Final = """\
---
apiVersion: hagit/v1
kind: Pool
metadata: {name: tank}
spec:
  vdevs:
    - {type: mirror, disks: [disk0, disk1]}
    - {type: mirror, disks: [disk2, disk3]}
  create: true
---
apiVersion: hagit/v1
kind: Dataset
metadata: {name: records}
spec: {dataset: tank/records, properties: {atime: off}}
---
apiVersion: hagit/v1
kind: Failover
metadata: {name: failover}
spec:
  arbitration: [disk0, disk1, disk2]
  budget: {moves: 1000, per: 1h}
  resets: {count: 1000, per: 1h}
"""
#: As `PATIENT`, as far as the configuration language allows.
PATIENTLY_SPEC: Final = """\
  heartbeat: {silence: 6s, diskInterval: 1s, diskStale: 8s, pause: 3s}
  deadman: 10s
"""


class UdevHead(InstalledHead):
    """One controller with a real udevd, on bare disks."""

    def trees(self, place: Path, states: int) -> tuple[Path, ...]:
        """See `InstalledHead.trees`."""
        return (udev(), *super().trees(place, states))

    def name_disks(self, own: Path) -> None:
        """Name the disks by a rule of udev."""
        rules = own / "etc/udev/rules.d/61-lab.rules"
        rules.parent.mkdir(parents=True)
        rules.write_text(RULES)
        known = (own.parent / "installed/etc/group").read_text()
        (own / "etc/group").write_text(known + "".join(f"{name}:x:{100 + at}:\n" for at, name in enumerate(GROUPS)))

    def node(self, place: Path) -> str:
        """Return a node file that follows the repository."""
        return super().node(place) + (
            f'[source]\nremotes = ["{place / "repository"}"]\n[trust]\nunsigned = "accept-without-warning"\n'
        )

    def ready(self) -> None:
        """Wait until it has booted and has all disks."""
        self.machine.ready()
        for name in self._disks:
            self.machine.until(f"[ -e /dev/disk/by-id/{name} ]", WAIT_S)

    def hagit(self, words: str) -> Finished:
        """Run a command of hagit, as root types it."""
        return self.machine.run(f"NO_COLOR=1 hagit {words}", WAIT_S)


class FollowingHead(UdevHead):
    """A controller whose agent follows the repository, and applies new commits itself."""

    def trees(self, place: Path, states: int) -> tuple[Path, ...]:
        """See `InstalledHead.trees`."""
        found = super().trees(place, states)
        (found[-1] / UNITS / "hagit-agent.service").unlink()
        return found


class FirstPair(InstalledPair):
    """The pair of such controllers."""

    def __init__(
        self, image: Image, place: Path, progress: Callable[[str], None], kind: type[UdevHead] = UdevHead
    ) -> None:
        repository = place / "repository"
        self.work = commit(repository, self.configuration(repository))
        super().__init__(image, place, progress, further=self.further(image, repository), shelf=bare, kind=kind)

    def configuration(self, repository: Path) -> str:
        """Return the first configuration. `repository`: where the controllers find it."""
        return configuration()

    def further(self, image: Image, repository: Path) -> tuple[Share, ...]:
        """Return the directories of the host that both machines have."""
        return (Share(repository),)

    def begin(self) -> None:
        """Start from nothing. Returns once one is active and the other ready; `hagit apply` made no pool yet."""
        for head in self.heads:
            (head.state / "orders.json").unlink()
        self.say("booting")
        self.boot()
        self.say("both have booted")
        if not isinstance(self.a, FollowingHead):
            self.apply()
        self.say(f"{self.well().side} is active, the other ready")
        self.orders = replace(ORDERS, generation=self.a.known().orders.here)

    def apply(self) -> None:
        """Run `hagit apply` on both at once."""
        began_s = time.monotonic()
        asked = [(head, head.machine.send("NO_COLOR=1 hagit apply --yes", WAIT_S)) for head in self.heads]
        for head, number in asked:
            done = head.machine.result(number, WAIT_S)
            assert done.status == 0, f"{head.side}\n{done.out}{done.err}\n{self.describe()}"
        self.say(f"hagit apply on both took {time.monotonic() - began_s:.1f} s")


def bare(count: int) -> Target:
    """Return a target with empty disks."""
    target = Target(count)
    target.erase(*target.names)
    return target


def configuration() -> str:
    """Return the first configuration of this pair."""
    documents = [PAIR]
    for nic, name in enumerate(NETWORKS):
        macs = [f"02:00:00:00:79:{number}{nic}" for number, _ in enumerate(Side)]
        addresses = [f", address: {NETS[name]}.{11 + number}/24" if name in NETS else "" for number in range(len(macs))]
        documents.append(INTERFACE.format(name=name, macs=macs, addresses=addresses, role=ROLES[name]))
    return "".join((*documents, POOL, PATIENTLY_SPEC if PATIENTLY else ""))


def commit(repository: Path, text: str) -> Work:
    """Make the repository of the pair, with its first commit."""
    work = Work(repository)
    work.write("pair.yaml", text.encode())
    work.git("init", "-q", "-b", "main")
    work.commit("The pair")
    return work
