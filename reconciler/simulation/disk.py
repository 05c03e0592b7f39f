"""A disk with persistent reservations, as SPC-4 (5.13, 6.16) describes them; each controller has two paths to it.

Computes how a disk answers each command. The exhaustive world, the timed world and the fakes of the adapters all use
it. Commands go over the first path; a command registers and unregisters the second path as well while that path works.
The exhaustive world has first paths only. Does not know why a controller sends a command.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.core.failover.reservations.claim import Answer, Command, Reply, Verb
from reconciler.core.failover.reservations.key import Key, Side, decode_key, encode_key
from reconciler.core.failover.reservations.reservation_state import DiskView

UNREGISTERED: tuple[Key | None, Key | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Disk:
    """`keys` are the registrations of the two controllers, `holder` the one that holds the type 5 reservation.

    `attention`: the controllers that have a unit attention pending. `generation` is PRGENERATION: it rises with every
    REGISTER and PREEMPT, not with RESERVE (SPC-4, 6.15.2). `kind` is the type of the reservation: hagit reserves type
    5, a person may have left any type. Every type rejects writes of initiators that are not registered. `seconds` are
    the registrations of the second paths, which never hold the reservation.
    """

    keys: tuple[Key | None, Key | None] = UNREGISTERED
    holder: Side | None = None
    attention: frozenset[Side] = frozenset()
    generation: int = 0
    kind: int = 5
    seconds: tuple[Key | None, Key | None] = UNREGISTERED

    def key(self, side: Side) -> Key | None:
        """Return the key that this controller is registered with."""
        return self.keys[0] if side is Side.A else self.keys[1]

    def second(self, side: Side) -> Key | None:
        """Return the key that this controller's second path is registered with."""
        return self.seconds[0] if side is Side.A else self.seconds[1]

    def view(self, two: Side | None = None) -> DiskView:
        """Return what READ KEYS and READ RESERVATION answer. `two`: the asking controller, if its second path works."""
        holder = None if self.holder is None else self.key(self.holder)
        registered = frozenset(key for key in (*self.keys, *self.seconds) if key is not None)
        missing = two is not None and self.key(two) is not None and self.second(two) != self.key(two)
        return DiskView(True, holder, registered, self.kind, unregistered=int(missing))

    def lets_write(self, side: Side) -> bool:
        """Whether the disk executes this controller's WRITE: no reservation, or the writer is registered (table 60)."""
        return self.holder is None or self.key(side) is not None


def answer(disk: Disk, side: Side, command: Command, *, two: bool = False) -> tuple[Disk, Reply]:
    """Return the disk and its reply after one command of one controller. `two`: its second path works, too."""
    match command.verb:
        case Verb.LOOK:
            return disk, Reply(Answer.GOOD, disk.view(side if two else None))
        case Verb.REGISTER:
            seconds = _with(disk.seconds, side, command.key) if two else disk.seconds
            changed = _changed(disk, _with(disk.keys, side, command.key), disk.holder)
            return replace(changed, seconds=seconds), Reply(Answer.GOOD)
        case Verb.EXTEND:
            if not two:
                return disk, Reply(Answer.SILENT)
            seconds = _with(disk.seconds, side, command.key)
            return replace(_changed(disk, disk.keys, disk.holder), seconds=seconds), Reply(Answer.GOOD)
        case Verb.RESERVE:
            return reserve(disk, side)
        case Verb.PREEMPT:
            return preempt(disk, side, command.victim)
        case Verb.UNREGISTER:
            changed, reply = unregister(disk, side)
            gone = two and disk.second(side) == command.key
            return replace(changed, seconds=_with(disk.seconds, side, None)) if gone else changed, reply


def reserve(disk: Disk, side: Side) -> tuple[Disk, Reply]:
    """RESERVE, type 5: only a registered initiator may send it, and only while no other initiator holds the disk."""
    if disk.key(side) is None or disk.holder not in (None, side):
        return disk, Reply(Answer.CONFLICT)
    return replace(disk, holder=side, kind=5), Reply(Answer.GOOD)


def preempt(disk: Disk, side: Side, victim: Key | None) -> tuple[Disk, Reply]:
    """PREEMPT AND ABORT: removes all registrations of `victim`; the sender gets a reservation that `victim` held."""
    # A disk compares numbers only: the key that one pair calls foreign may be the key of another pair.
    victim = None if victim is None else decode_key(encode_key(victim))
    if disk.key(side) is None or victim is None or victim not in (*disk.keys, *disk.seconds):
        return disk, Reply(Answer.CONFLICT)
    victims = [other for other in Side if disk.key(other) == victim and other is not side]
    keys, holder, kind = disk.keys, disk.holder, disk.kind
    for other in victims:
        keys = _with(keys, other, None)
    seconds = disk.seconds
    for other in Side:
        if disk.second(other) == victim:
            seconds = _with(seconds, other, None)
    if disk.holder is not None and disk.key(disk.holder) == victim:
        holder, kind = side, 5
    warned = disk.attention.union(victims)
    changed = replace(_changed(disk, keys, holder), attention=warned, kind=kind, seconds=seconds)
    return changed, Reply(Answer.GOOD)


def unregister(disk: Disk, side: Side) -> tuple[Disk, Reply]:
    """REGISTER with key 0: removes the sender's registration, and the reservation if the sender held it."""
    holder = None if disk.holder is side else disk.holder
    return _changed(disk, _with(disk.keys, side, None), holder), Reply(Answer.GOOD)


def power_cycle(disk: Disk, *, persists: bool) -> Disk:
    """Switch the disk off and on. Without APTPL it loses every registration and the reservation (SPC-4, 5.13.5)."""
    kept = disk if persists else Disk(generation=0)
    return replace(kept, attention=frozenset(Side))


def _changed(disk: Disk, keys: tuple[Key | None, Key | None], holder: Side | None) -> Disk:
    return replace(disk, keys=keys, holder=holder, generation=disk.generation + 1)


def _with(keys: tuple[Key | None, Key | None], side: Side, key: Key | None) -> tuple[Key | None, Key | None]:
    return (key, keys[1]) if side is Side.A else (keys[0], key)
