"""Shared disks with real persistent reservations: a SCSI target of the host in its own network namespace.

Decides what the disks are: files in memory, each with a partition for a pool and the reserved ninth one. The target
always ends: with `close`, or with the program that started it. Machines on these disks run in the same namespace
(`within`). The target is Debian's tgt: it supports PREEMPT but not PREEMPT AND ABORT, and no APTPL. Does not know the
contents of the disks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from abc import abstractmethod
from pathlib import Path
from typing import Final

from tests.lab.exit_stack import Closing
from tests.lab.room import ENDS_WITH_US, Room

#: Longest wait for the target to answer, and for one command to it.
TARGET_S: Final = 60
NAME: Final = "iqn.2026-01.lab:shelf"
INITIATORS: Final = "iqn.2026-01.lab"
PORTAL: Final = "127.0.0.1:3260"
MEMORY: Final = Path("/dev/shm")
#: As `zpool create` divides a whole disk: the pool's part, then 8 MiB that it never writes.
RESERVED_MIB: Final = 8
POOLS_TYPE: Final = "6A898CC3-1DD2-11B2-99A6-080020736631"
RESERVED_TYPE: Final = "6A945A3B-1DD2-11B2-99A6-080020736631"


class TargetError(Exception):
    """The target does not start or refuses a command; the message has its output."""


def disks_place(size_mib: int) -> Path:
    """Return a new directory for files of `size_mib` in all: in memory, or with temporary files if memory is short."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >> 20 > size_mib
    return Path(tempfile.mkdtemp(prefix="hagit-lab-", dir=MEMORY if roomy else None))


class Disks(Closing):
    """Disks `disk0`, `disk1`... that any number of machines share, with any target. They are files below `place`."""

    def __init__(self, count: int, size_mib: int) -> None:
        #: As a machine finds them in /dev/disk/by-id.
        self.names: tuple[str, ...] = tuple(f"disk{number}" for number in range(count))
        self.place = disks_place(count * size_mib)
        self._room: Room | None = None

    @property
    def within(self) -> tuple[str, ...]:
        """Return the start of a command line that runs where the disks can be reached."""
        assert self._room is not None
        return self._room.within

    @abstractmethod
    def devices(self, machine: str) -> tuple[str, ...]:
        """Return QEMU arguments that give a machine all disks. Each machine has its own name: an initiator."""

    def file(self, name: str) -> Path:
        """Return the host's file with the contents of a disk."""
        return self.place / name

    def close(self) -> None:
        """End the target and forget the disks. A second call is no error."""
        if self._room is not None:
            self._room.close()
        self._room = None
        shutil.rmtree(self.place, ignore_errors=True)


class Target(Disks):
    """Disks of Debian's tgt."""

    def __init__(self, count: int, size_mib: int = 256) -> None:
        super().__init__(count, size_mib)
        self._size_mib = size_mib
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def log(self) -> str:
        """Return the target's output."""
        return (self.place / "log").read_text(errors="replace")

    def devices(self, machine: str) -> tuple[str, ...]:
        """See `Disks.devices`."""
        return initiator(self.names, PORTAL, machine)

    def add(self, name: str) -> int:
        """Add one more disk. Returns its logical unit's number; machines get it with QEMU's device_add."""
        self.names = (*self.names, name)
        self._unit(len(self.names))
        return len(self.names)

    def erase(self, *names: str) -> None:
        """Make these disks empty. No machine may have seen them yet."""
        for name in names:
            with self.file(name).open("r+b") as file:
                file.truncate(0)
                file.truncate(self._size_mib << 20)

    def close(self) -> None:
        """See `Disks.close`."""
        if self._process is not None:
            # tgtd ignores SIGTERM while it has targets.
            self._process.kill()
            self._process.wait()
        self._process = None
        super().close()

    def _start(self) -> None:
        self._room = Room()
        with (self.place / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*ENDS_WITH_US, *self.within, "tgtd", "-f", "-C", "0", "--iscsi", f"portal={PORTAL}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._environment(),
            )
        deadline_s = time.monotonic() + TARGET_S
        while self._admin("--op", "show", "--mode", "sys").returncode != 0:
            if time.monotonic() > deadline_s or self._process.poll() is not None:
                raise TargetError(f"tgtd does not answer: {self.log}")
        self._order("--op", "new", "--mode", "target", "--tid", "1", "-T", NAME)
        for number in range(1, len(self.names) + 1):
            self._unit(number)
        self._order("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL")

    def _unit(self, number: int) -> None:
        """Add one logical unit."""
        name = self.names[number - 1]
        path = self.file(name)
        partition(path, self._size_mib)
        unit = ("--mode", "logicalunit", "--tid", "1", "--lun", str(number))
        self._order("--op", "new", *unit, "-b", str(path))
        identity = f"vendor_id=LAB,product_id=DISK,scsi_sn={name},scsi_id=lab-{name},thin_provisioning=0"
        self._order("--op", "update", *unit, "--params", identity)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "TGT_IPC_SOCKET": str(self.place / "socket")}

    def _admin(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        argv = ["tgtadm", "-C", "0", "--lld", "iscsi", *words]
        return subprocess.run(argv, env=self._environment(), capture_output=True, timeout=TARGET_S)

    def _order(self, *words: str) -> None:
        done = self._admin(*words)
        if done.returncode != 0:
            raise TargetError(f"tgtadm {' '.join(words)}: {done.stderr.decode().strip()}")


def layout(size_mib: int) -> str:
    """Return the input of sfdisk(8) that divides a disk as `zpool create` would."""
    # 1 MiB of GPT at both ends.
    sectors = (size_mib - 2 - RESERVED_MIB) << 11
    return (
        f"label: gpt\nunit: sectors\nfirst-lba: 2048\n1: start=2048, size={sectors}, type={POOLS_TYPE}\n"
        f"9: start={2048 + sectors}, size={RESERVED_MIB << 11}, type={RESERVED_TYPE}\n"
    )


def partition(path: Path, size_mib: int) -> None:
    """Make the file of a disk, partitioned here: a machine may not notice a table that another one has written."""
    with path.open("wb") as file:
        file.truncate(size_mib << 20)
    table = layout(size_mib).encode()
    done = subprocess.run(["/sbin/sfdisk", "-q", str(path)], input=table, capture_output=True, timeout=60)
    if done.returncode != 0:
        raise TargetError(f"sfdisk: {done.stderr.decode().strip()}")


def initiator(names: tuple[str, ...], portal: str, machine: str) -> tuple[str, ...]:
    """Return QEMU arguments for disks that are the logical units 1, 2... at a portal; `machine` names the initiator."""
    arguments = ["-device", "virtio-scsi-pci,id=disks,num_queues=1"]
    for number, name in enumerate(names):
        arguments += ["-blockdev", blockdev(name, portal, number + 1, machine), "-device", disk_device(name, number)]
    return tuple(arguments)


def blockdev(name: str, portal: str, unit: int, machine: str, target: str = NAME) -> str:
    """Return QEMU's backend of a disk, `at-NAME`: its own session to one logical unit of the target at a portal."""
    where = f"transport=tcp,portal={portal},target={target},lun={unit}"
    who = f"initiator-name={INITIATORS}:{machine}"
    return f"driver=iscsi,node-name=at-{name},{where},{who},timeout=0,cache.direct=on,cache.no-flush=off"


def disk_device(name: str, number: int) -> str:
    """Return QEMU's device for one of the disks, whose blockdev is `at-NAME`; its own id is the disk's name."""
    place = f"bus=disks.0,channel=0,scsi-id={number % 128},lun={number // 128}"
    return f"scsi-block,drive=at-{name},{place},share-rw=on,rerror=report,werror=report,id={name}"
