"""A client of a pair's shares: a third machine that mounts exports, logs in to targets, and writes to both.

    client (10.79.0.21) ── bridge lan ── both controllers, virtual address 10.79.0.100

Decides how the client is made, and what its writers write and remember (`guest/share_client.py`). Works with any pair
of emulated controllers. Says nothing about durations.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.lab.debian_trees import laid_over
from tests.lab.image import Image
from tests.lab.initiator import OPEN_ISCSI, start_initiator
from tests.lab.kernel_modules import load_modules, modules_share
from tests.lab.machine import Machine, Nic, Share, project_shares
from tests.lab.nfs_utils import MODULES as NFS_MODULES
from tests.lab.nfs_utils import NFS_UTILS, describe_protocols
from tests.lab.pair.emulated_pair import VIRTUAL, EmulatedPair
from tests.lab.pair.head import ROOT, WAIT_S

CLIENT: Final = "10.79.0.21"
INITIATOR: Final = "iqn.1993-08.org.debian:01:client"
MODULES: Final = (*NFS_MODULES, "crc32c_generic", "iscsi_tcp")
#: The pair's bridge to which the client's cable leads.
CABLE: Final = ("tuntap add dev client-lan mode tap", "link set client-lan master lan", "link set client-lan up")


@dataclass(frozen=True, slots=True)
class Writing:
    """What one writer did: acknowledged records, the longest time between two of them, errors, records not there.

    `repeated`: changes of names that met their own result (ENOENT, EEXIST), because a call was sent twice.
    """

    count: int
    longest_ms: int
    errors: tuple[str, ...]
    missing: tuple[int, ...]
    repeated: int = 0

    def told(self) -> str:
        """Return it in one line."""
        errors = f"{len(self.errors)} errors: {'; '.join(self.errors)}" if self.errors else "no error"
        missing = f"{len(self.missing)} MISSING" if self.missing else "none missing"
        repeated = f"; {self.repeated} changes of names met their own result" if self.repeated else ""
        return f"{self.count} records, {missing}, {errors}; longest silence {self.longest_ms} ms{repeated}"


def judged(found: Mapping[str, Writing], say: Callable[[str, str], None]) -> None:
    """Print what each writer saw: its name, a line. Raises AssertionError if one saw an error or misses a record."""
    for name, writing in found.items():
        say(name, writing.told())
    bad = [name for name, writing in found.items() if writing.errors or writing.missing]
    assert found and not bad, f"{', '.join(bad)}: an error, or a record that is missing"


class ShareClient:
    """The client's machine: its mounts, its sessions, its writers."""

    def __init__(self, image: Image, place: Path, pair: EmulatedPair, progress: Callable[[str], None]) -> None:
        self._image, self._pair = image, pair
        self._nfs, self._initiator = NFS_UTILS.tree(progress), OPEN_ISCSI.tree(progress)
        for line in CABLE:
            subprocess.run(pair.within("ip", *line.split()), check=True, timeout=WAIT_S)
        directory = place / "client-console"
        directory.mkdir()
        self.machine = Machine(
            image, directory, nics=[Nic(hub=0, mac="02:00:00:00:79:99", tap="client-lan")], memory_mib=512,
            name="client", within=tuple(pair.target.within),
            shares=(*project_shares(), Share(self._nfs), Share(self._initiator), modules_share(image)),
        )  # fmt: skip
        #: What the writers of `writers` do: by name, the command of `guest/share_client.py` and its place.
        self.places: dict[str, tuple[str, str]] = {}

    def start(self) -> None:
        """Boot; no mount yet."""
        self.machine.start()
        self.machine.check(f"ip address add {CLIENT}/24 dev eth0 && ip link set eth0 up")
        self.machine.check(laid_over(self._initiator, self._nfs))
        describe_protocols(self.machine)
        load_modules(self.machine, self._image, *MODULES)
        start_initiator(self.machine, self._initiator, INITIATOR)
        self.machine.check("mkdir -p /run/kept")

    def mount(self, path: str, options: str = "vers=4.2", place: str = "") -> str:
        """Mount an export, unless it is mounted there. Returns where."""
        place = place or f"/mnt{path}"
        words = f"mount -t nfs -o {options},proto=tcp {VIRTUAL}:{path} {place}"
        self.machine.check(f"mkdir -p {place} && {{ mountpoint -q {place} || {words}; }}", WAIT_S)
        return place

    def log_in(self, iqn: str) -> str:
        """Log in to a target. Returns the device of its first logical unit."""
        node = f"iscsiadm -m node -T {iqn} -p {VIRTUAL}:3260"
        self.machine.check(f"iscsiadm -m discovery -t sendtargets -p {VIRTUAL}:3260 && {node} --login", WAIT_S)
        find = "for one in /sys/class/block/sd*; do [ -e $one ] && echo /dev/${one##*/} && break; done"
        self.machine.until(f"{find} | grep -q .", WAIT_S)
        return self.machine.check(find).strip()

    def counts(self) -> dict[str, int]:
        """How many records of each writer are acknowledged so far."""
        found = {}
        for name in self.places:
            with contextlib.suppress(ValueError):
                found[name] = int(json.loads(self.machine.run(f"cat /run/kept/{name}", 30).out or "{}").get("count", 0))
        return found

    def until_written(self, more: int = 20) -> None:
        """Wait until every writer has so many more records acknowledged."""
        before = self.counts()
        self._pair.until(
            lambda: all(count >= before.get(name, 0) + more for name, count in self.counts().items()),
            f"{more} more records of each writer of the client",
        )

    @contextlib.contextmanager
    def writers(self) -> Iterator[dict[str, Writing]]:
        """Run a writer for each of `places` within the block; fill in what each did at the end."""
        found: dict[str, Writing] = {}
        self.machine.check("rm -f /run/kept/*")
        for name, (command, place) in self.places.items():
            self.machine.send(
                self._python(f"{command} {place} /run/kept/{name}") + f" > /run/kept/{name}.out 2>&1", 1e6
            )
        self._pair.until(lambda: len(self.counts()) == len(self.places), "the writers of the client have begun")
        self.until_written()
        yield found
        self.until_written()
        found.update(self._finish())

    def _finish(self) -> Mapping[str, Writing]:
        """End the writers and compare what they had acknowledged with what the servers give now."""
        self.machine.check(
            "pkill -TERM -f guest.share_clien[t]; while pgrep -f guest.share_clien[t]; do sleep 0.1; done; sync", WAIT_S
        )
        self.machine.check("echo 3 > /proc/sys/vm/drop_caches")
        found = {}
        for name, (_, place) in self.places.items():
            told: dict[str, Any] = json.loads(
                self.machine.check(self._python(f"check {place} /run/kept/{name}"), WAIT_S)
            )
            del told["life"]
            found[name] = Writing(**{**told, "errors": tuple(told["errors"]), "missing": tuple(told["missing"])})
        return found

    def _python(self, words: str) -> str:
        return f"cd {ROOT} && PYTHONDONTWRITEBYTECODE=1 {sys.executable} -m tests.lab.guest.share_client {words}"


def until_served(pair: EmulatedPair, shares: Mapping[str, set[str]], timeout_s: float = WAIT_S) -> None:
    """Wait until the active controller serves these shares and no others. `shares`: their names, by protocol."""

    def served() -> bool:
        status = pair.active().status()
        found = {server.protocol: set(server.served) for server in status.servers} if status is not None else {}
        return {protocol: names for protocol, names in found.items() if names} == shares

    pair.until(served, f"the active controller serves {shares}", timeout_s)
    status = pair.active().status()
    assert status is not None and "PORT_FILTER_REFUSED" not in {reason.code for reason in status.reasons}, status
