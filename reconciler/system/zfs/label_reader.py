"""Reading the labels of many disks at once, in a child that may be left behind with a disk that hangs.

A read that a disk does not answer cannot be taken back, nor can the process die that waits for it. So a forked child
reads, with a thread for each disk, and lets go of every descriptor of its parent first: of its locks, above all. What
it has read by the deadline counts. Reads are direct: the page cache of a standby controller is older than its disks.
Where it finds partitions that this kernel does not know of, because the other controller made them, it has them read.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

from reconciler.system.zfs.devices import first_partition, is_partition
from reconciler.system.zfs.labels import LIST_BYTES, LIST_OFFSETS, Label, parse_label
from reconciler.system.zfs.orphaned_processes import OrphanedProcesses, close_all_but
from reconciler.system.zfs.partitions import HEAD_BYTES, is_bare, read_again
from reconciler.system.zfs.uberblocks import RING_BYTES, RING_OFFSETS, newest_txg

#: How many times slower than the fastest disk the slowest may be.
SLOW: Final = 4
#: The number of a disk, how many bytes each of its lists has, whether there is nothing on it, and the newest
#: transaction group in its uberblocks.
_HEAD: Final = struct.Struct("<iII?Q")
#: The end of a label's list is not of the list: a checksum (include/sys/zio_checksum.h, zio_eck_t). The zeros before it
#: are most of a label and not sent.
CHECK_BYTES: Final = 40
#: The two labels at the start of a device (include/sys/vdev_impl.h, vdev_label_t).
FRONT_BYTES: Final = 2 * (256 << 10)
#: What ends a list, those inside it and its last number, and is cut off with the zeros behind it.
_END: Final = bytes(1024)
#: Children that were killed and have not ended, because a disk has not answered them.
_left: Final = OrphanedProcesses()


@dataclass(frozen=True, slots=True)
class DeviceContent:
    """What a device answered. `label` None: it has none, or none that is whole, or it cannot be read.

    Of the last three no one but `bare` tells which: a device that is not bare and has no label may hold a pool.

    `bare`: it was read, and there is neither a label nor a table of partitions on it; or there is a first partition
    with nothing but zeros where labels would be, which is what a `zpool create` that was not ended has left.
    """

    label: Label | None
    bare: bool = False


def read_labels(paths: Mapping[int, Path], deadline_s: float, settle_s: float | None = None) -> dict[int, Label | None]:
    """The label of each device that answered in time, by the same numbers. See `read_devices`."""
    return {at: seen.label for at, seen in read_devices(paths, deadline_s, settle_s).items()}


def read_devices(
    paths: Mapping[int, Path], deadline_s: float, settle_s: float | None = None
) -> dict[int, DeviceContent]:
    """What is on each device that answered in time, by the same numbers.

    `settle_s`: longest answer of the slowest disk, or four times that of the fastest if this is longer. On a busy
    machine every disk is slow, and that says nothing about one of them.
    """
    begun_s = time.monotonic()
    _left.reap()
    near, far = os.pipe()
    policy, priority = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, os.sched_getparam(0)
    child = os.fork()
    if child == 0:
        # It is as urgent as its caller.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, policy, priority)
        _read_all(dict(paths), far)
    os.close(far)
    try:
        found = _receive(near, len(paths), begun_s, deadline_s, settle_s)
        return {at: DeviceContent(_newest(lists, written), bare) for at, (lists, bare, written) in found.items()}
    finally:
        # Before the pipe is closed: a disk that answers late is no error for the journal.
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.close(near)
        _left.add(child)
        _left.reap()


def unanswered() -> int:
    """How many children still wait for a disk."""
    return _left.reap()


def _newest(lists: tuple[bytes, ...], written: int) -> Label | None:
    labels = [label for data in lists if (label := parse_label(data + _END)) is not None]
    newest = max(labels, key=lambda label: label.txg, default=None)
    return None if newest is None else replace(newest, written=written)


def _receive(
    near: int, count: int, begun_s: float, deadline_s: float, settle_s: float | None
) -> dict[int, tuple[tuple[bytes, ...], bool, int]]:
    """By number, as they come: lists, whether the device is bare, and its newest transaction group.

    Two empty lists of a device that is not bare: it cannot be read, or carries no label.
    """
    os.set_blocking(near, False)
    end_s = begun_s + deadline_s
    found: dict[int, tuple[tuple[bytes, ...], bool, int]] = {}
    buffer = bytearray()
    while len(found) < count and (left_s := end_s - time.monotonic()) > 0:
        if not select.select([near], [], [], left_s)[0]:
            break
        data = os.read(near, 1 << 20)
        if not data:
            break
        buffer += data
        while len(buffer) >= _HEAD.size:
            at, first, second, bare, written = _HEAD.unpack_from(buffer)
            middle, end = _HEAD.size + first, _HEAD.size + first + second
            if len(buffer) < end:
                break
            found[at] = (bytes(buffer[_HEAD.size : middle]), bytes(buffer[middle:end])), bare, written
            del buffer[:end]
            if settle_s is not None and len(found) == 1:
                end_s = min(end_s, begun_s + max(settle_s, SLOW * (time.monotonic() - begun_s)))
    return found


def _read_all(paths: dict[int, Path], far: int) -> NoReturn:
    """The child: nothing of the parent's stays open but the pipe and the three standard ones."""
    try:
        close_all_but(far)
        lock = threading.Lock()
        threads = [threading.Thread(target=_read, args=(at, path, far, lock)) for at, path in paths.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os._exit(0)


def _read(at: int, path: Path, far: int, lock: threading.Lock) -> None:
    (first, second), bare, written = _direct(path)
    message = _HEAD.pack(at, len(first), len(second), bare, written) + first + second
    with lock:
        while message:
            message = message[os.write(far, message) :]


def _direct(path: Path) -> tuple[tuple[bytes, bytes], bool, int]:
    """The lists of the first two labels, nothing when the device cannot be read; whether it is bare; how far it is."""
    try:
        if not is_partition(path):
            with _opened(path) as device:
                lists, written = _labels(device)
                if any(lists) or is_bare(_bytes(device, 0, HEAD_BYTES)):
                    return lists, not any(lists), written
                read_again(device)
            part = first_partition(path)
            if part is None:
                return lists, False, 0
            path = part
        with _opened(path) as device:
            lists, written = _labels(device)
            return lists, not any(lists) and _bytes(device, 0, FRONT_BYTES) == bytes(FRONT_BYTES), written
    except OSError:
        return (b"", b""), False, 0


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        device = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError:
        device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield device
    finally:
        os.close(device)


def _labels(device: int) -> tuple[tuple[bytes, bytes], int]:
    """Both lists, and the newest transaction group of both rings."""
    lists, written = [], 0
    for at, ring_at in zip(LIST_OFFSETS, RING_OFFSETS, strict=True):
        # The ring follows the list, so both are one read.
        data = _bytes(device, at, ring_at + RING_BYTES - at)
        lists.append(_without_zeros(data[: LIST_BYTES - CHECK_BYTES]))
        written = max(written, newest_txg(data[ring_at - at :], ring_at))
    return (lists[0], lists[1]), written


def _without_zeros(data: bytes) -> bytes:
    """Without those at its end. Most of them whole blocks at a time: `rstrip` alone takes them byte by byte."""
    end = len(data)
    while end >= len(_END) and data[end - len(_END) : end] == _END:
        end -= len(_END)
    return data[:end].rstrip(b"\0")


def _bytes(device: int, offset: int, length: int) -> bytes:
    # Aligned to pages, as direct reads want it.
    with mmap.mmap(-1, length) as buffer:
        return buffer[: os.preadv(device, [buffer], offset)]
