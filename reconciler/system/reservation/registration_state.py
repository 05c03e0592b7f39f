"""What a disk with persistent reservations says and can do, whether it is a SCSI or an NVMe disk.

Decides the words; types of reservations are those of SPC-4, table 63, everywhere but in the bytes of `nvme`. Does not
know commands.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from reconciler.core.failover.reservations.key import Side, decode_key
from reconciler.core.failover.reservations.reservation_state import DiskView

#: Write Exclusive - Registrants Only.
TYPE: Final = 5
#: SPC-4, table 63. In the last two everybody who is registered holds the reservation.
TYPE_WORDS: Final = {
    1: "write exclusive",
    3: "exclusive access",
    5: "write exclusive, registrants only",
    6: "exclusive access, registrants only",
    7: "write exclusive, all registrants",
    8: "exclusive access, all registrants",
}


class Malformed(Exception):
    """An answer that is too short for what it says of itself."""


#: What the kernel answers when there is no device or none of this kind: nothing was sent.
NOT_BEGUN: Final = frozenset(
    {errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOTTY, errno.EACCES, errno.EPERM, errno.ENOMEDIUM, errno.EINVAL}
)


def result_of(error: OSError) -> Result:
    """UNREACHED when a device could not even be asked; any other failure may have come after the command."""
    return Result.UNREACHED if error.errno in NOT_BEGUN else Result.SILENT


class Result(Enum):
    """How one command ended.

    CONFLICT: status RESERVATION CONFLICT. UNSUPPORTED: the disk does not know it, or not in this form; nothing was
    done. UNREACHED: it surely did not come to the disk. SILENT: it is unknown whether it was done.
    """

    GOOD = "good"
    CONFLICT = "conflict"
    UNSUPPORTED = "unsupported"
    UNREACHED = "unreached"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class RegistrationState:
    """Registrations and reservation. `registered` has one key for each registered path; `holder` None: none."""

    generation: int
    registered: tuple[int, ...] = ()
    holder: int | None = None
    kind: int = TYPE

    def view(self, side: Side | None = None, running: int = 0, known: int = 0) -> DiskView:
        """The same for the core.

        `side`: whose paths are counted; `running`: how many of them run; `known`: how many may be registered, paths
        that are down or gone included. Disks have one entry for each registered path, so the entries that bear the
        newest key of this side are compared with these numbers.
        """
        holder = None if self.holder is None else decode_key(self.holder)
        keys = [decode_key(key) for key in self.registered]
        ours = max((key for key in keys if side is not None and key.side is side), key=lambda k: k.epoch, default=None)
        count = keys.count(ours) if ours is not None else 0
        surplus = max(0, count - known) if count else 0
        unregistered = max(0, running - count) if count else 0
        return DiskView(True, holder, frozenset(keys), self.kind, surplus, unregistered)


@dataclass(frozen=True, slots=True)
class Registration:
    """One registered path, as far as the disk tells: the key, whether it holds, and whose it is (a transport ID)."""

    key: int
    holds: bool
    who: str = ""


@dataclass(frozen=True, slots=True)
class Features:
    """What a disk can do; None: it does not say.

    `persists`: registrations outlive its loss of power if asked for; `persisting`: they were asked to. `aborts`:
    PREEMPT AND ABORT.
    """

    persists: bool | None = None
    persisting: bool | None = None
    aborts: bool | None = None


class DiskPort(Protocol):
    """One path to one disk. Nothing raises for what the disk or the path does; no new command begins after `end_s`.

    `end_s` is a moment of the monotonic clock. Keys are 64-bit numbers, never 0.
    """

    @property
    def name(self) -> str:
        """The kernel's name of the path: sda."""
        ...

    def standing(self, end_s: float) -> RegistrationState | Result:
        """Who is registered and who holds."""
        ...

    def registrations(self, end_s: float) -> tuple[Registration, ...] | Result:
        """The same with the initiators' names, if the disk tells them."""
        ...

    def features(self, end_s: float) -> Features:
        """What the disk says that it can do, and what was learnt from its refusals."""
        ...

    def register(self, key: int, end_s: float) -> Result:
        """Register this path, whatever key it had; the registration outlives a loss of power where it can."""
        ...

    def renew(self, key: int, end_s: float) -> Result:
        """Register `key` in the place of `key`: CONFLICT where this path is not registered with it.

        That changes nothing, and registers no path that was not registered, also if another controller holds the disk
        by then.
        """
        ...

    def reserve(self, key: int, end_s: float) -> Result:
        """Take a free reservation, as type 5."""
        ...

    def preempt(self, key: int, victim: int, end_s: float) -> Result:
        """Take away every registration of `victim`, and the reservation if it held it; abort its commands."""
        ...

    def unregister(self, key: int, end_s: float) -> Result:
        """Give up the registration of this path, if it is `key`."""
        ...

    def close(self) -> None:
        """Close the device."""
        ...
