"""A SCSI disk that stands in for a real one: it is spoken to in CDBs and answers in bytes, as SPC-4 says.

Written from the standard and not from the project's codec, so that each can find the other's mistakes. Several paths
from each controller, unit attentions, disks without APTPL or PREEMPT AND ABORT, hanging, lost and slow ones.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID
from zlib import crc32

from reconciler.core.failover.reservations.key import Side
from reconciler.system.reservation.block_device import Unusable
from reconciler.system.reservation.registration_state import DiskPort
from reconciler.system.reservation.scsi_port import Learnt, ScsiPort
from reconciler.system.reservation.sg_io import ScsiCompletion

SECTOR = 512
DISK_BYTES = 24 << 20
RESERVED_START = 12 << 20
#: Longer hangs are defects of a test.
HANG_S = 60
ILLEGAL = (0x5, 0x24, 0x00)


@dataclass
class StandInDisk:
    """`nexus` is a text: the controller and its path, `a0`. `slow_s` passes before each answer."""

    file: Path
    aborts: bool = True
    aptpl: bool = True
    descriptor: bool = False
    keys: dict[str, int] = field(default_factory=dict)
    holder: str | None = None
    kind: int = 0
    generation: int = 0
    persist: bool = False
    attentions: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    busy: int = 0
    lost: set[str] = field(default_factory=set)
    knows: bool = True
    used: bool = False
    log: list[tuple[str, int, int]] = field(default_factory=list)
    #: Paths that answer every command with CHECK CONDITION and this sense.
    failing: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    #: Paths that a mapping has for itself.
    in_use: set[str] = field(default_factory=set)
    #: Paths that hang: what was sent is executed when they go on.
    stopped: dict[str, threading.Event] = field(default_factory=dict)
    #: How many commands wait in such a path.
    held: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.going = threading.Event()
        self.going.set()
        #: How many commands and transfers have come to it while it hung.
        self.hanging = 0

    def wait(self) -> None:
        self.hanging += not self.going.is_set()
        assert self.going.wait(HANG_S), "a disk was left hanging"

    def stop(self, nexus: str) -> None:
        self.stopped[nexus] = threading.Event()

    def go(self, nexus: str) -> None:
        self.stopped.pop(nexus).set()

    def warn(self, others: set[str], code: int, qualifier: int) -> None:
        for nexus in others:
            self.attentions.setdefault(nexus, []).append((code, qualifier))

    def power_cycle(self) -> None:
        with self.lock:
            if not self.persist:
                self.keys, self.holder = {}, None
            self.generation = 0
            self.warn({f"{side}{path}" for side in Side for path in range(4)}, 0x29, 0x00)

    def lets_write(self, nexus: str) -> bool:
        if self.holder is None or nexus == self.holder:
            return True
        return self.kind in (5, 6, 7, 8) and nexus in self.keys

    def execute(self, nexus: str, cdb: bytes, send: bytes, receive: int) -> ScsiCompletion:
        self.wait()
        if (stopped := self.stopped.get(nexus)) is not None:
            self.held += 1
            assert stopped.wait(HANG_S), "a path was left hanging"
            self.held -= 1
        with self.lock:
            if nexus in self.lost:
                raise OSError(errno.ENODEV, "gone")
            if nexus in self.failing:
                return self.refuse(*self.failing[nexus])
            self.log.append((nexus, cdb[0], cdb[1]))
            if self.busy:
                self.busy -= 1
                return ScsiCompletion(0x28 if self.busy % 2 else 0x08)
            if waiting := self.attentions.get(nexus):
                return self.refuse(0x6, *waiting.pop(0))
            if cdb[0] == 0x5E and self.knows:
                return self.tell(cdb, receive)
            if cdb[0] == 0x5F:
                return self.change(nexus, cdb, send)
            return self.refuse(0x5, 0x20, 0x00)

    def refuse(self, key: int, code: int, qualifier: int) -> ScsiCompletion:
        if self.descriptor:
            return ScsiCompletion(0x02, sense=bytes([0x72, key, code, qualifier, 0, 0, 0, 0]))
        return ScsiCompletion(
            0x02, sense=bytes([0xF0, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code, qualifier, 0, 0, 0, 0])
        )

    def tell(self, cdb: bytes, receive: int) -> ScsiCompletion:
        room = int.from_bytes(cdb[7:9])
        assert room == receive
        head = struct.pack(">I", self.generation)
        match cdb[1] & 0x1F:
            case 0:
                body = b"".join(struct.pack(">Q", key) for key in self.keys.values())
            case 1:
                body = b""
                if self.holder is not None:
                    key = 0 if self.kind in (7, 8) else self.keys[self.holder]
                    body = struct.pack(">Q4xBBH", key, 0, self.kind, 0)
            case 2:
                answer = struct.pack(">HBBH2x", 8, 0x10 | self.aptpl, 0x80 | self.persist, 0xEA01)
                return ScsiCompletion(0, data=answer[:room])
            case 3:
                body = b""
                for nexus, key in self.keys.items():
                    name = f"iqn.{nexus}".encode() + b"\0"
                    name += bytes(-len(name) % 4)
                    name += bytes(max(0, 20 - len(name)))
                    identity = struct.pack(">BBH", 0x05, 0, len(name)) + name
                    holds = nexus == self.holder
                    body += struct.pack(">Q4xBB4xHI", key, holds, self.kind if holds else 0, 1, len(identity))
                    body += identity
            case _:
                return self.refuse(*ILLEGAL)
        return ScsiCompletion(0, data=(head + struct.pack(">I", len(body)) + body)[:room])

    def change(self, nexus: str, cdb: bytes, send: bytes) -> ScsiCompletion:
        action, kind = cdb[1] & 0x1F, cdb[2] & 0x0F
        assert int.from_bytes(cdb[5:9]) == len(send) == 24
        key, other, flags = struct.unpack(">QQ4xB3x", send)
        if action in (0, 6):
            return self.register(nexus, action, key, other, bool(flags & 1))
        if self.keys.get(nexus) != key:
            return ScsiCompletion(0x18)
        if action == 1:
            if self.holder not in (None, nexus) or (self.holder == nexus and self.kind != kind):
                return ScsiCompletion(0x18)
            self.holder, self.kind = nexus, kind
            return ScsiCompletion(0)
        if action == 4 or (action == 5 and self.aborts):
            return self.preempt(nexus, kind, other)
        return self.refuse(*ILLEGAL)

    def register(self, nexus: str, action: int, key: int, other: int, persist: bool) -> ScsiCompletion:
        if persist and not self.aptpl:
            return self.refuse(0x5, 0x26, 0x00)
        if action == 0 and key != self.keys.get(nexus, 0):
            return ScsiCompletion(0x18)
        if other:
            self.keys[nexus] = other
        elif nexus in self.keys:
            del self.keys[nexus]
            if self.holder == nexus:
                self.holder = None
                self.warn(set(self.keys), 0x2A, 0x04)
        self.persist = persist
        self.generation += 1
        return ScsiCompletion(0)

    def preempt(self, nexus: str, kind: int, victim: int) -> ScsiCompletion:
        if not victim and not (self.holder and self.kind in (7, 8)):
            return self.refuse(0x5, 0x26, 0x00)
        every = victim == 0
        gone = {one for one, key in self.keys.items() if (every or key == victim) and one != nexus}
        holder_key = None if self.holder is None else self.keys[self.holder]
        takes = every or (holder_key == victim and self.holder is not None)
        if not takes and victim not in self.keys.values():
            return ScsiCompletion(0x18)
        for one in gone:
            del self.keys[one]
        if takes:
            self.holder, self.kind = nexus, kind
        self.warn(gone, 0x2A, 0x05)
        self.generation += 1
        return ScsiCompletion(0)


class StandInTransport:
    """See `Transport`."""

    def __init__(self, disk: StandInDisk, nexus: str) -> None:
        self.disk, self.nexus = disk, nexus

    def execute(self, cdb: bytes, *, send: bytes = b"", receive: int = 0, timeout_s: float) -> ScsiCompletion:
        assert timeout_s > 0
        return self.disk.execute(self.nexus, cdb, send, receive)

    def close(self) -> None:
        pass


class StandInRaw:
    """See `RawDisk`: a file, whose writes the reservation lets through or not."""

    def __init__(self, disk: StandInDisk, nexus: str) -> None:
        self.disk, self.nexus = disk, nexus

    def read(self, offset: int, length: int) -> bytes:
        self.disk.wait()
        if self.nexus in self.disk.lost:
            raise OSError(errno.ENODEV, "gone")
        with self.disk.file.open("rb") as file:
            return os.pread(file.fileno(), length, offset)

    def write(self, offset: int, data: bytes) -> None:
        self.disk.wait()
        if self.nexus in self.disk.lost:
            raise OSError(errno.ENODEV, "gone")
        with self.disk.lock:
            if not self.disk.lets_write(self.nexus):
                raise OSError(errno.EBADE, "Invalid exchange")
            with self.disk.file.open("rb+") as file:
                os.pwrite(file.fileno(), data, offset)

    def size(self) -> int:
        return self.disk.file.stat().st_size

    def sector(self) -> int:
        return SECTOR

    def close(self) -> None:
        pass


class StandInCabinet:
    """See `Cabinet`: the disks as one controller reaches them, by so many paths each."""

    def __init__(self, disks: dict[str, StandInDisk], side: Side, paths: int = 2) -> None:
        self.disks, self.side, self.paths = disks, side, paths
        #: Every disk whose paths were asked for, in turn.
        self.opened: list[str] = []
        #: Paths that the kernel has no more.
        self.gone: set[str] = set()
        #: The disks that were opened for writing, each time.
        self.writers: list[str] = []

    @property
    def place(self) -> str:
        return str(id(self.disks))

    def ports(self, name: str, learnt: Learnt, told: object) -> tuple[DiskPort, ...]:
        disk = self.found(name)
        self.opened.append(name)
        names = [name for path in range(self.paths) if (name := f"{self.side}{path}") not in self.gone]
        return tuple(ScsiPort(nexus, StandInTransport(disk, nexus), learnt, told) for nexus in names)  # type: ignore[arg-type]

    def known(self, name: str) -> tuple[str, ...]:
        return tuple(f"{self.side}{path}" for path in range(self.paths))

    def raw(self, name: str, *, write: bool) -> StandInRaw:
        self.writers += [name] if write else []
        return StandInRaw(self.found(name), f"{self.side}0")

    def keep(self, name: str) -> tuple[int, ...] | None:
        """A lock on the image stands for the exclusive open of a device."""
        disk = self.found(name)
        if disk.used:
            return None
        descriptor = os.open(disk.file, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return (descriptor,)

    def keep_path(self, name: str, path: str) -> tuple[int, ...] | None:
        """A lock on a file beside the image."""
        disk = self.found(name)
        if path in disk.in_use:
            return None
        descriptor = os.open(f"{disk.file}-{path}", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return (descriptor,)

    def found(self, name: str) -> StandInDisk:
        if name not in self.disks:
            raise Unusable(f"{name} does not exist")
        return self.disks[name]


def partition_table(
    entries: dict[int, tuple[str, int, int]], size: int = DISK_BYTES, sector: int = SECTOR
) -> dict[int, bytes]:
    """Bytes by their offset: a protective MBR and both copies of a GPT; each entry is a type, first byte and length."""
    table = bytearray(128 * 128)
    for number, (kind, start, length) in entries.items():
        last = (start + length) // sector - 1
        struct.pack_into("<16s16sQQ", table, (number - 1) * 128, UUID(kind).bytes_le, bytes(15) + b"\1",
                         start // sector, last)  # fmt: skip
    table_sectors = len(table) // sector
    total = size // sector
    protective = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, total - 1)
    found = {
        446: protective,
        510: b"\x55\xaa",
        2 * sector: bytes(table),
        (total - 1 - table_sectors) * sector: bytes(table),
    }
    for here, there, first in ((1, total - 1, 2), (total - 1, 1, total - 1 - table_sectors)):
        fields = (b"EFI PART", 0x10000, 92, 0, 0, here, there, 34, total - 34, bytes(15) + b"\2", first, 128, 128,
                  crc32(table))  # fmt: skip
        header = bytearray(struct.pack("<8sIIIIQQQQ16sQIII", *fields))
        struct.pack_into("<I", header, 16, crc32(header))
        found[here * sector] = bytes(header)
    return found


ZFS = "6a898cc3-1dd2-11b2-99a6-080020736631"
SOLARIS_RESERVED = "6a945a3b-1dd2-11b2-99a6-080020736631"
BY_ZFS = {1: (ZFS, 1 << 20, RESERVED_START - (1 << 20)), 9: (SOLARIS_RESERVED, RESERVED_START, 8 << 20)}


def image(
    path: Path,
    entries: dict[int, tuple[str, int, int]] | None = None,
    size: int = DISK_BYTES,
    sector: int = SECTOR,
) -> Path:
    """A sparse file with the partitions that ZFS makes, or others."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in partition_table(BY_ZFS if entries is None else entries, size, sector).items():
            os.pwrite(file.fileno(), data, offset)
    return path
