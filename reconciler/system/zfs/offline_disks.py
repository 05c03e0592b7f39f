"""Disks that give no answer, made to refuse at once while pools are imported.

The kernel opens every device of a pool itself, by the path in the labels of the others, whichever devices it was given;
one that does not answer would keep the whole import waiting. A SCSI disk in state "offline" refuses instead
(drivers/scsi/scsi_sysfs.c, store_state_field; sd_open), and the pool is imported without it. Its scheduler must pass
on what it is to refuse: what our arms have asked it before, with real-time priority, is unanswered, and mq-deadline
lets everything else wait for that, 10 s each time (block/mq-deadline.c, dd_dispatch_request).

A child restores the state afterwards, also if the import fails or its parent is killed. It may wait there for the
disk; its parent does not wait for it. Decides nothing. Other kinds of disk are left as they are.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

from reconciler.system.reservation.block_device import SYSFS, DiskKind, Finder, Unusable
from reconciler.system.zfs.orphaned_processes import OrphanedProcesses, close_all_but

#: To write a word into a file of /sys.
READY_S: Final = 2.0
#: The kernel knows a state by its whole line.
REFUSES: Final = "offline\n"
RUNS: Final = "running\n"
#: Of the disk of a state: for how long, in ms, other requests wait for those with real-time priority.
AGING: Final = "queue/iosched/prio_aging_expire"
AT_ONCE: Final = "0\n"
#: Children that may wait for a disk.
_left: Final = OrphanedProcesses()


def states(directory: Path, names: Iterable[str], sysfs: Path = SYSFS) -> tuple[Path, ...]:
    """The files of /sys with the state of each path to these disks."""
    finder, found = Finder(directory, sysfs), []
    for name in names:
        with contextlib.suppress(Unusable):
            disk = finder.find(name)
            if disk.kind is DiskKind.SCSI:
                found += [sysfs / "block" / path.name / "device/state" for path in disk.paths]
    return tuple(found)


@contextlib.contextmanager
def disks_offline(files: Sequence[Path]) -> Iterator[None]:
    """Within, the disks with these states refuse everything at once."""
    if not files:
        yield
        return
    _left.reap()
    ready, answer = os.pipe()
    ending, kept = os.pipe()
    child = os.fork()
    if child == 0:
        _keep(files, answer, ending)
    _left.add(child)
    os.close(answer)
    os.close(ending)
    try:
        select.select([ready], [], [], READY_S)
        yield
    finally:
        os.close(ready)
        os.close(kept)
        _left.reap()


def _keep(files: Sequence[Path], answer: int, ending: int) -> NoReturn:
    """The child: nothing of its parent stays open but these two, above all no lock. Its parent's end ends the wait."""
    try:
        close_all_but(answer, ending)
        # What the kernel has given up by itself stays as it is.
        files = [file for file in files if _read(file) == RUNS]
        before = {aging: _read(aging) for aging in (file.parents[1] / AGING for file in files)}
        for aging in before:
            _write(aging, AT_ONCE)
        for file in files:
            _write(file, REFUSES)
        os.write(answer, b"\n")
        os.read(ending, 1)
        for aging, text in before.items():
            _write(aging, text)
        # The kernel asks the disk anew, and waits for its answer.
        threads = [threading.Thread(target=_write, args=(file, RUNS)) for file in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os._exit(0)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _write(file: Path, word: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(file, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(descriptor, word.encode())
        finally:
            os.close(descriptor)
