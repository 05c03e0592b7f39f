"""Machines with real ZFS on shared disks, and processes in them that run the adapter of pools on request."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.strict_json import plain
from tests.lab.image import Image
from tests.lab.machine import Machine, project_shares
from tests.lab.target import Target, disk_device

ROOT = Path(__file__).parents[3]
BY_ID = Path("/dev/disk/by-id")
#: Longest wait; only a defect takes this long.
LONG_S = 120.0
MEMORY_MIB = 768


def orders_of(side: Side, disks: Sequence[str], vdevs: Sequence[Vdev]) -> Orders:
    """Return orders with the fields that pools need."""
    return Orders("pair", side, 1, ("alpha", "beta"), tuple(disks), tuple(vdevs), (0,), channels=())


def parts(*numbers: int) -> str:
    """Return the partitions of some disks, for `zpool create`."""
    return " ".join(f"{BY_ID}/disk{number}-part1" for number in numbers)


class Head:
    """One machine on the shared disks. `hanging`: the number of a disk that can be made to hang, for this machine."""

    def __init__(
        self,
        image: Image,
        directory: Path,
        side: Side,
        target: Target,
        hanging: int | None = None,
        memory_mib: int = MEMORY_MIB,
    ) -> None:
        self.side, self._target, self._hanging, self._servants = side, target, hanging, 0
        #: Whether a test changed something that only a new boot undoes.
        self._touched = False
        name = "alpha" if side is Side.A else "beta"
        place = directory / name
        place.mkdir(parents=True, exist_ok=True)
        self.machine = Machine(
            *(image, place),
            shares=project_shares(),
            memory_mib=memory_mib,
            name=name,
            devices=_devices(target, name, hanging),
            within=target.within,
        )

    def start(self) -> None:
        """Switch on, and wait for all disks."""
        self.machine.start()
        self._touched = False
        for name in self._target.names:
            self.machine.until(f"[ -e {BY_ID}/{name}-part9 ]", LONG_S)

    def cut(self) -> None:
        """Switch off."""
        self.machine.close()

    def empty(self) -> None:
        """Remove all pools and servants here; by a power cut if that is quicker."""
        if not self._touched and self.machine.on:
            self.machine.run("kill -9 $(cat /run/servant*.pid); rm -f /run/servant*")
            if self.machine.run("zpool list -H -o name | xargs -rn1 zpool destroy -f; rm -rf /run/hagit").status == 0:
                return
        self.cut()

    def pull(self, number: int) -> None:
        """Take a disk out of this machine."""
        self._touched = True
        name = self._target.names[number]
        self.machine.monitor("device_del", id="hanging" if number == self._hanging else name)
        self.machine.until(f"! [ -e {BY_ID}/{name}-part1 ]", LONG_S)

    def push(self, number: int) -> None:
        """Put the disk back."""
        name = self._target.names[number]
        driver, *words = disk_device(name, number).split(",")
        options: dict[str, Any] = dict(word.split("=", 1) for word in words)
        options |= {key: int(options[key]) for key in ("channel", "scsi-id", "lun")} | {"share-rw": True}
        self.machine.monitor("device_add", driver=driver, **options)
        self.machine.until(f"[ -e {BY_ID}/{name}-part9 ]", LONG_S)

    def hang(self, *, hangs: bool) -> None:
        """Let commands to the hanging disk wait: it transfers a byte a second."""
        self._touched = True
        none = dict.fromkeys(("bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
        self.machine.monitor("block_set_io_throttle", id="hanging", bps=int(hangs), **none)

    def sh(self, command: str, timeout_s: float = LONG_S) -> str:
        """Return what a command printed."""
        return self.machine.check(command, timeout_s)

    def servant(self, vdevs: Sequence[Vdev], disks: Sequence[str] = ()) -> Servant:
        """Start a process with the adapter for these orders."""
        self._servants += 1
        return Servant(self.machine, self._servants, orders_of(self.side, disks or self._target.names, vdevs))


def _devices(target: Target, name: str, hanging: int | None) -> tuple[str, ...]:
    """Return the shared disks. A file serves the one that is to hang: QEMU cannot throttle a passed-through disk."""
    devices = list(target.devices(name))
    if hanging is None:
        return tuple(devices)
    disk = target.names[hanging]
    at = devices.index(disk_device(disk, hanging))
    drive = f"if=none,id=held,file={target.file(disk)},format=raw,cache=writeback,file.locking=off"
    devices[at] = f"scsi-hd,drive=held,bus=disks.0,scsi-id={hanging},lun=0,serial={disk},share-rw=on,id=hanging"
    return (*devices, "-drive", drive)


class Servant:
    """One process of `zfs_servant` in a machine."""

    def __init__(self, machine: Machine, number: int, orders: Orders) -> None:
        self._machine, self._place = machine, f"/run/servant{number}"
        machine.check(f"rm -f {self._place}.*; mkfifo {self._place}.in {self._place}.out")
        words = [sys.executable, "-m", "tests.lab.pair.zfs_servant", self._place, str(BY_ID)]
        text = shlex.join([*words, json.dumps(plain(orders))])
        settings = "PYTHONPYCACHEPREFIX=/run/pyc"
        machine.check(f"cd {ROOT}; ({settings} {text} </dev/null >{self._place}.log 2>&1 & echo $! >{self._place}.pid)")

    def ask(self, do: str, deadline_s: float = 60, **more: Any) -> dict[str, Any]:
        """Send one request and wait for its end."""
        return self.heard(self.begin(do, deadline_s, **more), deadline_s)

    def begin(self, do: str, deadline_s: float = 60, **more: Any) -> int:
        """Send a request; `heard` waits for its end."""
        text = shlex.quote(json.dumps({"do": do, "deadline_s": deadline_s, **more}))
        return self._machine.send(f"echo {text} >{self._place}.in; cat {self._place}.out", deadline_s + LONG_S)

    def heard(self, number: int, deadline_s: float = 60) -> dict[str, Any]:
        """Wait for the answer to a request."""
        done = self._machine.result(number, deadline_s + LONG_S)
        log = self._machine.run(f"cat {self._place}.log")
        assert done.status == 0 and not done.late and done.out, done.err + log.out
        found: dict[str, Any] = json.loads(done.out)
        return found

    def look(self) -> str:
        """Return the state of the pools."""
        return str(self.ask("look")["pools"])

    def kill(self) -> None:
        """Kill the process, as a watchdog kills a worker."""
        self._machine.check(f"kill -9 $(cat {self._place}.pid)")
