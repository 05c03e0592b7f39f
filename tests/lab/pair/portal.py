"""One disk behind its own SCSI target, so that it can hang or lose its power while others answer.

Decides how a disk hangs: for all machines (its target is stopped) or for one machine (that machine's packets are
dropped). Decides how it loses its power: its target ends and starts again, and loses registrations and reservations,
but not data. Does not know who uses the disk.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from tests.lab.room import ENDS_WITH_US
from tests.lab.target import INITIATORS, Target, blockdev, disk_device

PORT: Final = 3300
#: Places of second paths on a machine's bus.
SECONDS: Final = 64
#: Longest wait; only a defect takes this long.
LONG_S: Final = 120.0


class Portal:
    """Runs in the network namespace of `room`, whose directory has its log; `number` makes it unique there."""

    def __init__(self, room: Target, file: Path, number: int) -> None:
        self.name, self.file = file.name, file
        self._room, self._number = room, number
        self._environment = {**os.environ, "TGT_IPC_SOCKET": str(room.place / f"socket-{self.name}")}
        self.begin()
        self.settle()

    def begin(self) -> None:
        """Start the target; `settle` must follow."""
        with (self._room.place / f"log-{self.name}").open("ab") as log:
            words = ["tgtd", "-f", "-C", str(self._number), "--iscsi", f"portal=0.0.0.0:{PORT + self._number}"]
            self._process = subprocess.Popen(
                [*ENDS_WITH_US, *self._room.within, *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=self._environment,
            )  # fmt: skip

    def settle(self) -> None:
        """Wait for the target and give it the disk."""
        end_s = time.monotonic() + LONG_S
        while self._admin("--op", "show", "--mode", "sys") != 0:
            assert time.monotonic() < end_s, "tgtd does not answer"
        unit = ("--mode", "logicalunit", "--tid", "1", "--lun", "1")
        identity = f"vendor_id=LAB,product_id=DISK,scsi_sn={self.name},scsi_id=lab-{self.name},thin_provisioning=0"
        for words in (
            ("--op", "new", "--mode", "target", "--tid", "1", "-T", f"{INITIATORS}:{self.name}"),
            ("--op", "new", *unit, "-b", str(self.file)),
            ("--op", "update", *unit, "--params", identity),
            ("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL"),
        ):
            assert self._admin(*words) == 0, words

    def device(self, machine: str, place: int | None = None) -> tuple[str, ...]:
        """Return QEMU arguments that give the disk to a machine; `place`: on the bus, by default its number."""
        portal = f"{self._address(machine)}:{PORT + self._number}"
        drive = blockdev(self.name, portal, 1, machine, f"{INITIATORS}:{self.name}")
        return ("-blockdev", drive, "-device", disk_device(self.name, self._number if place is None else place))

    def second_device(self, machine: str) -> tuple[str, ...]:
        """Return QEMU arguments for a second path to the same disk: a second session, of another initiator."""
        name = f"{self.name}-second"
        portal = f"{self._address(machine)}:{PORT + self._number}"
        drive = blockdev(name, portal, 1, machine, f"{INITIATORS}:{self.name}")
        return ("-blockdev", drive, "-device", disk_device(name, SECONDS + self._number))

    def hang(self, *, hangs: bool) -> None:
        """Stop the disk for all machines, or let it continue where it was."""
        self._process.send_signal(signal.SIGSTOP if hangs else signal.SIGCONT)

    def reach(self, machine: str, *, reaches: bool) -> None:
        """Whether this machine reaches it; if not, it hangs there, and packets on the way arrive later."""
        table = f"{self.name}-{machine}"
        ruleset = f"table inet {table} {{}}\ndelete table inet {table}\n"
        if not reaches:
            rule = f"ip daddr {self._address(machine)} drop"
            chain = f"chain arrives {{\ntype filter hook input priority 0\n{rule}\n}}"
            ruleset += f"table inet {table} {{\n{chain}\n}}\n"
        subprocess.run([*self._room.within, "nft", "-f", "-"], input=ruleset.encode(), check=True, timeout=LONG_S)

    def _address(self, machine: str) -> str:
        """Return the address by which a machine reaches this disk and no other."""
        return f"127.78.{self._number}.{1 + sum(machine.encode()) % 250}"

    def close(self) -> None:
        """Cut the power of the disk."""
        self._process.kill()
        self._process.wait()

    def _admin(self, *words: str) -> int:
        argv = ["tgtadm", "-C", str(self._number), "--lld", "iscsi", *words]
        return subprocess.run(argv, env=self._environment, capture_output=True, timeout=LONG_S, check=False).returncode
