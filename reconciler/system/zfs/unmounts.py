"""Unmounts the filesystems of pools before an export, by umount2(2) itself and as soon as they are idle.

`zpool export` unmounts, too, and ends at the first filesystem that is in use. Files that are open for moments only keep
it out for long: it takes a tenth of a second and more to try again. Here one that is in use is tried again within a
millisecond, until none of them was free for CATCH_S; what is left then, the program may name.

What `zpool export` does before it unmounts must have been done: it withdraws what ZFS itself shares, but only of
filesystems that are mounted (lib/libzfs/libzfs_mount.c, zpool_disable_datasets). `shared` says whether there is any.

A child does it, because nothing ends a call that a pool keeps in the kernel. It holds the lock of the process that
moves the pools as long as it lives, and ends with its parent at the latest, unless the kernel keeps it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import select
import threading
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from reconciler.system.files import open_regular
from reconciler.system.zfs.orphaned_processes import OrphanedProcesses, close_all_but
from reconciler.system.zfs.tools import URGENT

#: Nothing came free within this time: it may stay in use.
CATCH_S: Final = 0.25
#: From this number of mounts on `zpool export` is faster, so it is asked first.
MANY: Final = 64
#: Unmounted at the same time.
WIDTH: Final = 8
#: Between two tries; who writes and waits for the disk lets go for moments only.
AGAIN_S: Final = 0.001
MOUNTS: Final = Path("/proc/self/mountinfo")
#: What ZFS shares by NFS and, with others, by SMB (lib/libshare/os/linux: nfs.c, smb.h).
EXPORTS: Final = Path("/etc/exports.d/zfs.exports")
USERSHARES: Final = Path("/var/lib/samba/usershares")
#: linux/fs.h: the mountpoint is no symbolic link.
UMOUNT_NOFOLLOW: Final = 8
ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_libc: Final = ctypes.CDLL(None, use_errno=True)
_left: Final = OrphanedProcesses()


@dataclass(frozen=True, slots=True)
class Mount:
    """One filesystem, or one snapshot, where it is mounted. `named`: ZFS made that place, from the name."""

    dataset: str
    place: str
    named: bool = False


def parse_mounts(text: str, pools: Iterable[str]) -> tuple[Mount, ...]:
    """What of these pools is mounted, the latest first, from mountinfo (proc_pid_mountinfo(5)). Pure."""
    wanted, found = frozenset(pools), []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        words, kind = before.split(" "), after.split(" ")
        if len(words) > 4 and len(kind) > 1 and kind[0] == "zfs":
            dataset, place = (ESCAPED.sub(lambda found: chr(int(found[1], 8)), word) for word in (kind[1], words[4]))
            if re.split("[/@]", dataset, maxsplit=1)[0] in wanted:
                found.append((dataset, place))
    there = frozenset(found)
    return tuple(Mount(*one, named=_named(*one, there)) for one in reversed(found))


def _named(dataset: str, place: str, there: Container[tuple[str, str]]) -> bool:
    """Below its parent, under its own name (zfsprops(7), mountpoint).

    Never a snapshot: to remove its place would be to destroy it. Never where a filesystem is bind-mounted.
    """
    parent, _, name = dataset.rpartition("/")
    above, _, last = place.rpartition("/")
    return "@" not in dataset and (place == f"/{dataset}" or (last == name and (parent, above) in there))


def shared(exports: Path = EXPORTS, usershares: Path = USERSHARES) -> bool:
    """Whether ZFS itself may share anything by NFS or SMB."""
    with contextlib.suppress(OSError), open_regular(exports) as file:
        if any(line.strip() and not line.startswith(b"#") for line in file.read().splitlines()):
            return True
    with contextlib.suppress(OSError):
        return any(usershares.iterdir())
    return False


def few(pools: Iterable[str], mounts: Path = MOUNTS) -> bool:
    """Whether so little of these pools is mounted that to unmount it here first saves time."""
    return len(parse_mounts(mounts.read_text(), pools)) < MANY


def leave(mount: Mount) -> bool:
    """Unmount it, unless it is in use."""
    return not _libc.umount2(mount.place.encode(), UMOUNT_NOFOLLOW)


def leave_all(mounts: Sequence[Mount]) -> list[Mount]:
    """Unmount what is not in use, many at a time: each waits until what was written to it is on the disks; which.

    What has others below it is in use until they have gone.
    """
    waiting, gone = list(reversed(mounts)), []

    def work() -> None:
        while True:
            try:
                mount = waiting.pop()
            except IndexError:
                return
            if leave(mount):
                gone.append(mount)

    threads = [threading.Thread(target=work) for _ in range(min(WIDTH, len(mounts)) - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    return gone


def clear(gone: Iterable[Mount]) -> None:
    """Remove the directories of what was unmounted, where `zpool export` would and as late as it does.

    A process that opens a file there later must not find a directory of another filesystem. Those inside a filesystem
    that went, too, have gone with it: to remove them before would only give it something to write.
    """
    for mount in gone:
        if mount.named:
            with contextlib.suppress(OSError):
                Path(mount.place).rmdir()


def unmount(pools: Sequence[str], deadline_s: float, lock: int) -> None:
    """Unmount what is not in use, or is not for a moment; nothing is said of the rest, and none is forced."""
    _left.reap()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _work(pools, time.monotonic() + deadline_s, lock, parent)
    _left.add(child)
    process = os.pidfd_open(child)
    try:
        select.select([process], [], [], deadline_s)
    finally:
        os.close(process)
        _left.reap()


def _work(pools: Sequence[str], end_s: float, lock: int, parent: int) -> NoReturn:
    try:
        close_all_but(lock)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, URGENT)
        mounts, gone = parse_mounts(MOUNTS.read_text(), pools), []
        now_s = time.monotonic()
        give_up_s = now_s + CATCH_S
        while mounts and now_s < min(end_s, give_up_s) and os.getppid() == parent:
            # To read them anew for each try would take the processor from the processes that have files open.
            if left := leave_all(mounts):
                gone += left
                mounts = parse_mounts(MOUNTS.read_text(), pools)
                give_up_s = time.monotonic() + CATCH_S
            if mounts:
                time.sleep(AGAIN_S)
            now_s = time.monotonic()
        clear(gone)
    finally:
        os._exit(0)
