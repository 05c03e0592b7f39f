"""One disk of the orders as one controller has it: its paths, its reservation, and its place for records.

Decides what a failure is: silence, with one message for people each time that the reason changes. Belongs to one
thread; does not know deadlines but the moment after which nothing new is begun, nor other disks.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from reconciler.core.failover.heartbeats.disk_record import RECORD_BYTES
from reconciler.core.failover.reservations.claim import Answer, Command, Reply
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView
from reconciler.system.reservation.block_device import DiskKind, Finder, Unusable
from reconciler.system.reservation.multipath_disk import SILENT, MultipathDisk
from reconciler.system.reservation.nvme_ioctl import NvmeDevice
from reconciler.system.reservation.nvme_port import NvmePort
from reconciler.system.reservation.registration_state import DiskPort, Features, Registration, RegistrationState, Result
from reconciler.system.reservation.scsi_port import Learnt, ScsiPort
from reconciler.system.reservation.sg_io import SgTransport
from reconciler.system.shelf.direct_io import BLOCK_BYTES, CONFLICT, DirectDisk, RawDisk
from reconciler.system.shelf.exclusive_open import ExclusiveOpen, open_exclusively
from reconciler.system.shelf.record_area import (
    SLOTS,
    Area,
    Choice,
    NoRecordArea,
    Stamp,
    check_area,
    check_slots,
    find_area,
    stamp,
)

KNOWS_NONE: Final = "it knows no persistent reservations, so no controller can be fenced from it"
#: Called with what a person should know of a disk.
Notify = Callable[[str], None]


class DiskLocator(Protocol):
    """Where the disks are. Both raise Unusable for a name that leads to none.

    `place` is the same for cabinets with the same disks, reached alike.
    """

    @property
    def place(self) -> str:
        """What tells this cabinet from others of this process."""
        ...

    def ports(self, name: str, learnt: Learnt, notify: Notify) -> tuple[DiskPort, ...]:
        """Every path to one disk that runs."""
        ...

    def known(self, name: str) -> tuple[str, ...]:
        """The names of all its paths that the kernel knows, those that are down included."""
        ...

    def raw(self, name: str, *, write: bool) -> RawDisk:
        """The disk for reading and writing. Raises OSError as well."""
        ...

    def keep(self, name: str) -> tuple[int, ...] | None:
        """Descriptors of an exclusive open; None while another process here has the disk. See `exclusive_open`."""
        ...

    def keep_path(self, name: str, path: str) -> tuple[int, ...] | None:
        """The same for one path of a disk that is in use by other paths."""
        ...


class DiskDirectory:
    """The disks of this machine, by their names in one directory."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._finder = Finder(place)

    @property
    def place(self) -> str:
        """See `Cabinet.place`."""
        return str(self._place)

    def ports(self, name: str, learnt: Learnt, notify: Notify) -> tuple[DiskPort, ...]:
        """See `Cabinet.ports`."""
        found = self._finder.find(name)
        if found.kind is DiskKind.NVME:
            return tuple(NvmePort(path.name, NvmeDevice(path), notify=notify) for path in found.paths)
        return tuple(ScsiPort(path.name, SgTransport(path), learnt, notify) for path in found.paths)

    def known(self, name: str) -> tuple[str, ...]:
        """See `Cabinet.known`."""
        found = self._finder.find(name)
        return tuple(path.name for path in (*found.paths, *found.down))

    def raw(self, name: str, *, write: bool) -> RawDisk:
        """See `Cabinet.raw`."""
        return DirectDisk(self._finder.find(name).node, write=write)

    def keep(self, name: str) -> tuple[int, ...] | None:
        """See `Cabinet.open_exclusively`."""
        return open_exclusively(self._finder.find(name).node)

    def keep_path(self, name: str, path: str) -> tuple[int, ...] | None:
        """See `Cabinet.keep_path`."""
        found = self._finder.find(name)
        node = next((one for one in found.paths if one.name == path), None)
        return None if node is None else open_exclusively(node)


@dataclass(frozen=True, slots=True)
class DiskSurvey:
    """Everything that can be told of one disk. `standing` None: it did not answer, and `trouble` may say why.

    `registrations` None: the disk does not tell who they are. `records`: why it has no place for them; empty when it
    has, or needs none. `down`: paths that do not run.
    """

    name: str
    standing: RegistrationState | None = None
    registrations: tuple[Registration, ...] | None = None
    features: Features = field(default_factory=Features)
    paths: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    trouble: str = ""
    records: str = ""


class ShelfDisk:
    """Opens nothing before it is asked something."""

    def __init__(self, name: str, side: Side, cabinet: DiskLocator, choice: Choice, notify: Notify) -> None:
        self.name = name
        self._side = side
        self._cabinet = cabinet
        self._choice = choice
        self._notify = notify
        self._learnt = Learnt()
        place = cabinet.place, side.value, name
        self._disk = MultipathDisk(
            lambda: cabinet.ports(name, self._learnt, notify), lambda: cabinet.known(name), place
        )
        self._raw: RawDisk | None = None
        self._writes = False
        self._area = Area(0, 0)
        #: The disk as it was when `_area` was found; None: find it again.
        self._stamp: Stamp | None = None
        #: The area that was checked as a whole.
        self._checked: Area | None = None
        self._troubles: dict[str, str] = {}

    def look(self, end_s: float) -> DiskView:
        """READ KEYS and READ RESERVATION."""
        try:
            found = self._disk.standing(end_s)
        except Unusable as error:
            self._trouble("disk", str(error))
            return UNANSWERED
        self._trouble("disk", KNOWS_NONE if found is Result.UNSUPPORTED else "")
        return self._disk.view(found, self._side) if isinstance(found, RegistrationState) else UNANSWERED

    def perform(self, command: Command, end_s: float) -> Reply:
        """One command."""
        try:
            reply = self._disk.perform(command, end_s)
        except Unusable as error:
            self._trouble("disk", str(error))
            return SILENT
        self._trouble("disk", "")
        return reply

    def read(self, end_s: float) -> bytes | None:
        """The peer's record."""
        try:
            raw = self._opened(write=False)
            data = raw.read(self._place(raw).start + SLOTS[self._side.other], BLOCK_BYTES)
        except (Unusable, NoRecordArea, OSError) as error:
            self._gone(error)
            return None
        self._trouble("records", "")
        return data[:RECORD_BYTES] if len(data) == BLOCK_BYTES else None

    def write(self, record: bytes, end_s: float) -> Answer:
        """Our own record, and zeros for the rest of its block; only over a record or zeros."""
        try:
            raw = self._opened(write=True)
            area = self._place(raw)
            check_slots(raw, area)
            raw.write(area.start + SLOTS[self._side], record + bytes(BLOCK_BYTES - RECORD_BYTES))
        except (Unusable, NoRecordArea, OSError) as error:
            if isinstance(error, OSError) and error.errno == CONFLICT:
                return Answer.CONFLICT
            self._gone(error)
            return Answer.SILENT
        self._trouble("records", "")
        return Answer.GOOD

    def prepare(self, end_s: float) -> None:
        """Check the place for our own records; what is wrong with it is told when the first is to be written."""
        with contextlib.suppress(Unusable, NoRecordArea, OSError):
            self._check()

    def keep(self, kept: ExclusiveOpen, end_s: float) -> bool:
        """Whether it is ours alone on this controller from now on, until `kept` lets it go."""
        try:
            return kept.take(self._cabinet.keep(self.name))
        except Unusable:
            return False

    def keep_paths(self, kept: ExclusiveOpen, key: Key, end_s: float) -> bool:
        """Whether a path that is not registered with this key is ours alone, as for `open_exclusively`."""
        self._disk.kept = frozenset()
        found: dict[str, tuple[int, ...]] = {}
        with contextlib.suppress(Unusable):
            for path in self._disk.unregistered(key, end_s):
                descriptors = self._cabinet.keep_path(self.name, path)
                if descriptors is not None:
                    found[path] = descriptors
        if not found or not kept.take(tuple(one for descriptors in found.values() for one in descriptors)):
            return False
        self._disk.kept = frozenset(found)
        return True

    def when_settled(self, do: Callable[[], None]) -> None:
        """Do it once no command is under way on a path after its time."""
        self._disk.when_settled(do)

    def survey(self, end_s: float, *, records: bool) -> DiskSurvey:
        """Everything at once, for people. `records`: this disk should have a place for them."""
        place = ""
        if records:
            try:
                raw = self._opened(write=False)
                check_area(raw, self._place(raw))
            except (Unusable, NoRecordArea, OSError) as error:
                place = _words(error)
        try:
            standing = self._disk.standing(end_s)
            if not isinstance(standing, RegistrationState):
                words = KNOWS_NONE if standing is Result.UNSUPPORTED else "it does not answer"
                return DiskSurvey(self.name, trouble=words, records=place)
            answer = self._disk.registrations(end_s)
            features = self._disk.features(end_s)
        except Unusable as error:
            return DiskSurvey(self.name, trouble=str(error))
        registrations = None if isinstance(answer, Result) else answer
        disk = self._disk
        return DiskSurvey(self.name, standing, registrations, features, disk.paths, disk.down, records=place)

    def close(self) -> None:
        """Close every device."""
        self._disk.close()
        self._close_raw()

    def _opened(self, *, write: bool) -> RawDisk:
        """The disk, open. Before it is opened for writing, its place for records was checked."""
        if self._raw is not None and write and not self._writes:
            self._close_raw()
        if self._raw is None:
            if write and self._checked is None:
                self._check()
            self._raw, self._writes = self._cabinet.raw(self.name, write=write), write
        return self._raw

    def _place(self, raw: RawDisk) -> Area:
        """Where records lie on the disk as it is now. Raises Unfit and OSError.

        An area that was found anew is checked as a whole before anything is written there.
        """
        now = stamp(raw)
        if now != self._stamp:
            self._area = find_area(raw, self._choice)
            self._stamp = now
        if self._writes and self._area != self._checked:
            check_area(raw, self._area)
            self._checked = self._area
        return self._area

    def _check(self) -> None:
        """Look for the place for our own records, as a reader. Raises as `_opened` does.

        To udev the end of a writer is a change of the disk: it has the partitions read again, and looks at each. On a
        disk without a place for records that would be with every record, and `zpool create` would find it in its way.
        """
        raw = self._cabinet.raw(self.name, write=False)
        try:
            area = find_area(raw, self._choice)
            check_area(raw, area)
            self._checked = area
        finally:
            raw.close()

    def _close_raw(self) -> None:
        if self._raw is not None:
            self._raw.close()
        self._raw = self._stamp = None

    def _gone(self, error: Exception) -> None:
        self._close_raw()
        if not isinstance(error, OSError):
            # Perhaps it is another disk by now.
            self._checked = None
        self._trouble("records", f"no heartbeat record: {_words(error)}")

    def _trouble(self, about: str, what: str) -> None:
        """Tell it, unless it was told last."""
        if self._troubles.get(about, "") != what:
            self._troubles[about] = what
            self._notify(what or f"{about}: well again")


def _words(error: Exception) -> str:
    return os.strerror(error.errno or 0) if isinstance(error, OSError) else str(error)
