"""Two machines on shared SCSI disks; a process in each runs the adapter of disks on request.

Each disk has its own target (tgt), so that one can hang while others answer. Decides how a disk hangs (its target is
stopped), is lost to one machine (the kernel there deletes it) and comes back. Does not know the requests.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.ports import Watched, Written
from reconciler.core.failover.reservations.claim import Command, Reply
from reconciler.core.failover.reservations.key import Key, Side, encode_key
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.core.failover.strict_json import plain
from reconciler.system.shelf.codec import plain_command, read_reply, read_view
from tests.lab.image import Image
from tests.lab.machine import Machine, project_shares
from tests.lab.pair.portal import Portal
from tests.lab.target import Disks, Target
from tests.system.reservation.standin import RESERVED_START, image

ROOT: Final = Path(__file__).parents[3]
BY_ID: Final = Path("/dev/disk/by-id")
#: Longest wait; only a defect takes this long.
LONG_S: Final = 120.0
MEMORY_MIB: Final = 512


class Head:
    """One machine, and the servant in it."""

    def __init__(self, built: Image, directory: Path, name: str, devices: Sequence[str], within: Sequence[str],
                 disks: Sequence[str]) -> None:  # fmt: skip
        directory.mkdir(parents=True, exist_ok=True)
        self._disks = tuple(disks)
        self.machine = Machine(
            built, directory, shares=project_shares(), memory_mib=MEMORY_MIB, name=name,
            devices=("-device", "virtio-scsi-pci,id=disks,num_queues=1", *devices), within=within,
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """Switch the power on."""
        self.machine.start()
        names = " ".join(self._disks)
        there = f"for name in {names}; do until test -e {BY_ID}/$name-part9; do sleep 0.1; done; done"
        self.machine.check(there, LONG_S)
        words = [sys.executable, "-B", "-m", "tests.lab.pair.shelf_servant", "/run/servant", str(BY_ID)]
        self.machine.check("mkfifo /run/servant.in /run/servant.out")
        self.machine.check(f"cd {ROOT}; ({shlex.join(words)} </dev/null >/run/servant.log 2>&1 &)")

    def ask(self, do: str, deadline_s: float = 30, **more: Any) -> dict[str, Any]:
        """Send one request and wait for its end."""
        text = shlex.quote(json.dumps({"do": do, "deadline_s": deadline_s, **more}))
        done = self.machine.run(f"echo {text} >/run/servant.in; cat /run/servant.out", deadline_s + LONG_S)
        if done.status != 0 or done.late or not done.out:
            raise AssertionError(done.err + self.machine.run("cat /run/servant.log").out)
        found: dict[str, Any] = json.loads(done.out)
        return found

    def shelf(self, orders: Orders) -> FarShelf:
        """Open a shelf in this machine."""
        return FarShelf(self, orders)

    def device(self, disk: str) -> str:
        """Return the kernel's name of a disk."""
        return self.machine.check(f"basename $(readlink {BY_ID}/{disk})").strip()

    def lose(self, disk: str) -> None:
        """Delete the disk from the kernel of this machine."""
        self.machine.check(f"echo 1 >/sys/block/{self.device(disk)}/device/delete")
        self.machine.until(f"! test -e {BY_ID}/{disk}", LONG_S)

    def restore(self, disk: str) -> None:
        """Let the kernel look for disks again."""
        self.machine.check("for host in /sys/class/scsi_host/*; do echo '- - -' >$host/scan; done")
        self.machine.until(f"test -e {BY_ID}/{disk}-part9", LONG_S)


class FarShelf:
    """See `Shelf`: a shelf inside a machine."""

    def __init__(self, head: Head, orders: Orders) -> None:
        self._head = head
        self._number = head.ask("open", orders=plain(orders))["number"]

    def look(self, deadline_s: float) -> tuple[DiskView, ...]:
        return tuple(read_view(view) for view in self._ask("look", deadline_s)["views"])

    def watch(self, deadline_s: float) -> Watched:
        found = self._ask("watch", deadline_s)
        return Watched(tuple(read_view(view) for view in found["views"]), found["age_s"])

    def perform(self, commands: tuple[Command, ...], deadline_s: float) -> tuple[Reply, ...]:
        found = self._ask("perform", deadline_s, commands=[plain_command(command) for command in commands])
        return tuple(read_reply(reply) for reply in found["replies"])

    def read_records(self, deadline_s: float) -> tuple[bytes | None, ...]:
        found = self._ask("read", deadline_s)["records"]
        return tuple(None if text is None else bytes.fromhex(text) for text in found)

    def write_record(self, data: tuple[bytes, ...], deadline_s: float) -> Written:
        return Written(self._ask("write", deadline_s, records=[sector.hex() for sector in data])["written"])

    def claim(self, key: Key, deadline_s: float = 30) -> tuple[tuple[DiskView, ...], dict[str, Any]]:
        """Run a whole claim in the machine. Returns the views, and the reply with the time that it took."""
        found = self._ask("claim", deadline_s, key=encode_key(key))
        return tuple(read_view(view) for view in found["views"]), found

    def complete(self, disks: tuple[int, ...], key: Key) -> list[list[Any]]:
        """Complete a claim on these disks. Returns each with whether it is ours on all paths."""
        found: list[list[Any]] = self._ask("complete", 30, disks=list(disks), key=encode_key(key))["done"]
        return found

    def bare(self, count: int) -> float:
        """Return the seconds that the disks take for `count` commands each when nothing else runs."""
        found: float = self._ask("bare", LONG_S, count=count)["bare_s"]
        return found

    def obey(self, orders: Orders) -> None:
        self._ask("obey", 30, orders=plain(orders))

    def survey(self) -> list[str]:
        found: list[str] = self._ask("survey", 30)["survey"]
        return found

    def close(self) -> None:
        self._ask("close", 30)

    def _ask(self, do: str, deadline_s: float, **more: Any) -> dict[str, Any]:
        return self._head.ask(do, deadline_s, number=self._number, **more)


class Reached(Protocol):
    """A disk that both machines have."""

    file: Path

    def hang(self, *, hangs: bool) -> None: ...

    def close(self) -> None: ...


class ShelfPair:
    """Both machines and their disks."""

    #: Where records lie on a disk, in bytes.
    reserved_start = RESERVED_START

    def __init__(self, built: Image, directory: Path, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.room: Disks | None = None
        self.portals: list[Reached] = []
        self.heads: dict[Side, Head] = {}
        try:
            self.serve(names)
            assert self.room is not None
            for side in Side:
                place = directory / side
                self.heads[side] = Head(built, place, f"side{side}", self.devices(side), self.room.within, names)
        except BaseException:
            self.close()
            raise

    def serve(self, names: Sequence[str]) -> None:
        """Make the disks, and the paths to them."""
        self.room = room = Target(0)
        for number, name in enumerate(names, 1):
            self.portals.append(Portal(room, image(room.place / name), number))

    def devices(self, side: Side) -> tuple[str, ...]:
        """Return QEMU arguments that give one machine every disk on the bus `disks`."""
        portals = [portal for portal in self.portals if isinstance(portal, Portal)]
        return tuple(word for portal in portals for word in portal.device(f"side-{side}"))

    def clear(self) -> None:
        """Remove reservations, registrations and records."""
        head = self.heads[Side.A]
        out = "sg_persist --no-inquiry --out"
        for name, portal in zip(self.names, self.portals, strict=True):
            place = f"{BY_ID}/{name}"
            # The first try may meet a unit attention, and so may the second.
            again = f"for n in 1 2 3 4; do {out} %s {place} >/dev/null 2>&1 && break; done"
            head.machine.check(again % "--register-ignore --param-sark=1" + "; " + again % "--clear --param-rk=1")
            with portal.file.open("rb+") as file:
                os.pwrite(file.fileno(), bytes(8192), self.reserved_start)

    def power_cycle(self) -> None:
        """Switch the shelf's power off and on."""
        raise AssertionError("tgt would forget the disks as well")

    def close(self) -> None:
        for head in self.heads.values():
            head.machine.close()
        for portal in self.portals:
            portal.close()
        if self.room is not None:
            self.room.close()
