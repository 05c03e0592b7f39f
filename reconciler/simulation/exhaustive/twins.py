"""Claims by any number of machines at once, in every order of their commands.

The machines may have the same side, or follow orders with different shelves. A machine that was cloned with its boot
disk believes that it is the original controller. Each machine runs the watchdog's own claim program. A disk follows
SPC-4 (5.13, 6.16) with one registration for each initiator, so a registered key does not identify the machine that
registered it. The machines only claim: they receive no beats and do not halt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.claim import (
    Answer,
    Claim,
    Command,
    Part,
    Reply,
    Verb,
    advance,
    begin,
    commands,
)
from reconciler.core.failover.reservations.key import Key, Side, next_epoch
from reconciler.core.failover.reservations.reservation_state import DiskView, Fence, fence


@dataclass(frozen=True, slots=True)
class SharedDisk:
    """A disk with a registration for each initiator, None for none. `holder`: the initiator that holds it, type 5."""

    keys: tuple[Key | None, ...]
    holder: int | None = None
    told: bool = True

    def view(self, initiator: int, mine: Key) -> DiskView:
        """Return what this initiator reads: keys without names, and how many other initiators have its own key."""
        registered = frozenset(key for key in self.keys if key is not None)
        surplus = sum(key == mine for at, key in enumerate(self.keys) if at != initiator) if self.told else 0
        return DiskView(True, None if self.holder is None else self.keys[self.holder], registered, surplus=surplus)

    def lets_write(self, initiator: int) -> bool:
        """Whether the disk executes a WRITE of this initiator."""
        return self.holder is None or self.keys[initiator] is not None


def answer(disk: SharedDisk, initiator: int, command: Command) -> tuple[SharedDisk, Reply]:
    """Return the disk and its reply after one command of one initiator."""
    key, good, conflict = disk.keys[initiator], Reply(Answer.GOOD), Reply(Answer.CONFLICT)
    match command.verb:
        case Verb.LOOK:
            return disk, Reply(Answer.GOOD, disk.view(initiator, command.key))
        case Verb.REGISTER:
            return replace(disk, keys=_put(disk.keys, initiator, command.key)), good
        case _ if key != command.key:
            return disk, conflict
        case Verb.RESERVE:
            return (disk, conflict) if disk.holder not in (None, initiator) else (replace(disk, holder=initiator), good)
        case Verb.UNREGISTER:
            holder = None if disk.holder == initiator else disk.holder
            return replace(disk, keys=_put(disk.keys, initiator, None), holder=holder), good
        case Verb.PREEMPT:
            return _preempt(disk, initiator, command.victim)
        case Verb.EXTEND:
            raise AssertionError("no claim registers paths that came back")


def _preempt(disk: SharedDisk, initiator: int, victim: Key | None) -> tuple[SharedDisk, Reply]:
    if victim is None or victim not in disk.keys:
        return disk, Reply(Answer.CONFLICT)
    held = disk.holder is not None and disk.keys[disk.holder] == victim
    keys = tuple(None if key == victim and at != initiator else key for at, key in enumerate(disk.keys))
    return replace(disk, keys=keys, holder=initiator if held else disk.holder), Reply(Answer.GOOD)


def _put(keys: tuple[Key | None, ...], at: int, key: Key | None) -> tuple[Key | None, ...]:
    return (*keys[:at], key, *keys[at + 1 :])


@dataclass(frozen=True, slots=True)
class Twins:
    """Machines that claim at the same time, by side and number. `before`: the holder of all disks, None for none.

    `told`: disks report the initiator of each key; disks that do not report it show no surplus. `arbitration`: the
    arbitration disks of each machine's own shelf, by which it decides the race; it then names only those and the disks
    of the vdevs. Empty if all machines follow one shelf.
    """

    name: str
    about: str
    machines: tuple[tuple[Side, int], ...]
    before: int | None = None
    told: bool = True
    arbitration: tuple[tuple[int, ...], ...] = ()


#: Machines 1 and 3072 have the same tag, as one in 3071 pairs of twins has.
TWINS: Final = (
    Twins("free", "two machines of one side claim a free shelf", ((Side.A, 1), (Side.A, 2)), told=False),
    Twins("taken-over", "the same, over the reservation of one of them", ((Side.A, 1), (Side.A, 2)), 0, told=False),
    Twins("one-key", "two machines of one side have the same key", ((Side.A, 1), (Side.A, 3072))),
    Twins("one-key-over", "the same, over the reservation of one of them", ((Side.A, 1), (Side.A, 3072)), 0),
)
#: Newer orders have moved arbitration disks, and the new shelf is in force at one controller only (`pending_orders`).
TWO_SHELVES: Final = (
    Twins("two-of-three", "two of three arbitration disks moved", ((Side.A, 1), (Side.B, 2)),
          arbitration=((0, 1, 2), (0, 3, 4))),
    Twins("two-of-three-over", "the same, over the reservation of one of them", ((Side.A, 1), (Side.B, 2)), 0,
          arbitration=((0, 1, 2), (0, 3, 4))),
    Twins("no-disk-in-common", "the only arbitration disk moved to another vdev", ((Side.A, 1), (Side.B, 2)),
          arbitration=((0,), (1,))),
)  # fmt: skip
#: Too large for every run.
DEEP_TWINS: Final = (
    Twins("three", "two machines of one side, and the peer, which holds", ((Side.A, 1), (Side.A, 2), (Side.B, 3)), 2,
          told=False),
    Twins("three-one-key", "the same, with one key", ((Side.A, 1), (Side.A, 3072), (Side.B, 3)), 2),
)  # fmt: skip


class Together(NamedTuple):
    """The claims of all machines, and the disks."""

    claims: tuple[Claim, ...]
    disks: tuple[SharedDisk, ...]


def together(orders: Orders, twins: Twins) -> Together:
    """Start a claim at every machine, with the key that the core gives it."""
    old: list[Key | None] = [None] * len(twins.machines)
    if twins.before is not None:
        side, machine = twins.machines[twins.before]
        old[twins.before] = Key(side, next_epoch(0, orders.pair, machine))
    highest = max((key.epoch for key in old if key is not None), default=0)
    keys = [Key(side, next_epoch(highest, orders.pair, machine)) for side, machine in twins.machines]
    votes = twins.arbitration or (orders.arbitration,) * len(keys)
    members = [at for vdev in orders.vdevs for at in vdev.disks]
    claims = []
    for (side, _), key, voters in zip(twins.machines, keys, votes, strict=True):
        disks = tuple(f"disk{at}" for at in range(max(*members, *voters) + 1))
        claims.append(begin(replace(orders, side=side, disks=disks, arbitration=voters), key))
    disk = SharedDisk(tuple(old), twins.before, twins.told)
    return Together(tuple(claims), (disk,) * max(len(claim.orders.disks) for claim in claims))


def moves(world: Together) -> Iterator[Together]:
    """Yield the world after each machine's next command."""
    for at, claim in enumerate(world.claims):
        for command in commands(claim)[:1]:
            disk, reply = answer(world.disks[command.disk], at, command)
            claims = (*world.claims[:at], advance(claim, command.disk, reply), *world.claims[at + 1 :])
            yield Together(claims, (*world.disks[: command.disk], disk, *world.disks[command.disk + 1 :]))


def verified(claim: Claim) -> bool:
    """Whether the claim is at its end and its last look lets its machine import."""
    if claim.part is not Part.DONE:
        return False
    return fence(claim.orders, claim.key.epoch, claim.result, frozenset())[0] is Fence.HOLDS


def writers(world: Together) -> tuple[int, ...]:
    """Return the machines that import and that can write enough disks of one vdev; empty if fewer than two can."""
    importing = [at for at, claim in enumerate(world.claims) if verified(claim)]
    for vdev in world.claims[0].orders.vdevs:
        able = [at for at in importing if sum(world.disks[disk].lets_write(at) for disk in vdev.disks) >= vdev.needed]
        if len(able) > 1:
            return tuple(able)
    return ()


def search(start: Together) -> tuple[Together | None, int, int]:
    """Search every order of all commands.

    Returns the first state with two writers (None: there is none), the number of states, and the number of ends with a
    winner.
    """
    found, left, winners = {start}, [start], 0
    while left:
        world = left.pop()
        if writers(world):
            return world, len(found), winners
        after = tuple(moves(world))
        winners += not after and any(verified(claim) for claim in world.claims)
        fresh = [one for one in after if one not in found]
        found.update(fresh)
        left += fresh
    return None, len(found), winners
