"""Judge a look at the disks: who owns them, whether we do, and whether a fence holds on every top-level vdev.

Follows SPC-4 (5.13, 6.15): type 5, Write Exclusive - Registrants Only, with only the active controller registered.
Therefore the peer cannot write to a disk if our key holds its reservation and no other key is registered. Does not know
how a command reaches a disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final

from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.reservations.key import Key, Side, encode_key, of_another_pair, rank


@dataclass(frozen=True, slots=True)
class DiskView:
    """The reservation state of one disk. `answered` False: it is unknown. `holder` None: no reservation.

    `kind`: type code of the reservation (SPC-4, table 63); only type 5 fences. `surplus`: number of registrations with
    our own newest key that belong to none of our own paths. `unregistered`: number of our running paths without a
    registration where other paths have one; the disk refuses writes over them.
    """

    answered: bool
    holder: Key | None = None
    registered: frozenset[Key] = frozenset()
    kind: int = 5
    surplus: int = 0
    unregistered: int = 0


UNANSWERED = DiskView(False)
#: A message for people names at most this many disks.
TOLD_MAX: Final = 8


class Hold(StrEnum):
    """Whether we hold the reservations."""

    OURS = "ours"
    LOST = "lost"
    UNKNOWN = "unknown"


class Fence(StrEnum):
    """Outcome of a claim. WAIT: the pools had given up every unfenced disk; wait for the end of the peer's deadman."""

    HOLDS = "holds"
    WAIT = "wait"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Judgement of one look. `owner` holds the majority of the arbitration disks; `highest`: the highest epoch seen.

    `sees`: the look reached the majority of the arbitration disks, and enough of every vdev to import it.
    """

    hold: Hold
    owner: Key | None
    sees: bool
    highest: int


def for_pair(view: DiskView, pair: str) -> DiskView:
    """Return the view with the keys of other pairs as foreign keys, which are never newer or older than ours.

    Every judgement of a view begins with this call.
    """
    others = [key for key in (view.holder, *view.registered) if key is not None and of_another_pair(key, pair)]
    if not others:
        return view
    names = {key: Key(None, encode_key(key)) for key in others}
    holder = None if view.holder is None else names.get(view.holder, view.holder)
    return replace(view, holder=holder, registered=frozenset(names.get(key, key) for key in view.registered))


def epochs(views: Iterable[DiskView]) -> Iterable[int]:
    """Yield every epoch that a key on the disks carries, of either side."""
    for view in views:
        for key in (view.holder, *view.registered):
            if key is not None and key.side is not None:
                yield key.epoch


def fenced(view: DiskView, key: Key) -> bool:
    """Whether only the paths of the machine that made `key` can write to this disk.

    With a surplus another machine has registered the same key and can write, too.
    """
    return view.answered and view.holder == key and view.kind == 5 and view.registered == {key} and not view.surplus


def sees(orders: Orders, views: tuple[DiskView, ...]) -> bool:
    """Whether the majority of the arbitration disks answered, and enough disks of every vdev to import it."""
    answers = [index for index, view in enumerate(views) if view.answered]
    votes = sum(index in answers for index in orders.arbitration)
    return votes >= orders.majority and all(_reached(vdev, answers) for vdev in orders.vdevs)


def judge(orders: Orders, epoch: int, views: tuple[DiskView, ...], held: frozenset[int] | None = None) -> Verdict:
    """Judge a look for the controller whose claim was `epoch`. `views`: one a disk, in the order of the orders.

    LOST: a later claim holds at least one disk, or too few arbitration disks could still be ours. UNKNOWN: too few
    disks answered to tell. A surplus takes nothing from an owner: a machine that registers our key after our claim was
    verified finds our registration in its own last look, so it cannot verify its claim (`fenced`). `held`: disks that
    this controller held before (None: all of them). A disk that it never held, and that other software or another pair
    holds, is not fenced, but it is no loss.
    """
    assert len(views) == len(orders.disks)
    views = tuple(for_pair(view, orders.pair) for view in views)
    mine = Key(orders.side, epoch)
    votes = [views[index].holder for index in orders.arbitration if views[index].answered]
    owner = next((key for key in votes if key is not None and votes.count(key) >= orders.majority), None)
    highest = max(epochs(views), default=0)
    silent = len(orders.arbitration) - len(votes)
    ours = sum(view.answered and view.holder == mine for view in (views[index] for index in orders.arbitration))
    overtaken = any(_overtaken(view, mine, at, held) for at, view in enumerate(views))
    if overtaken or ours + silent < orders.majority:
        hold = Hold.LOST
    elif ours >= orders.majority:
        hold = Hold.OURS
    else:
        hold = Hold.UNKNOWN
    return Verdict(hold, owner, sees(orders, views), highest)


def _overtaken(view: DiskView, mine: Key, at: int, held: frozenset[int] | None) -> bool:
    """Whether a later claim holds the disk. A foreign key has no known age: it counts only where we held the disk."""
    other = view.holder
    if other is None or other == mine:
        return False
    if other.side is None:
        return held is None or at in held
    # An older key is a leftover from before our claim.
    return rank(other.epoch) >= rank(mine.epoch)


def holder_text(view: DiskView) -> str:
    """Return the reservation state of one disk as words for people."""
    if not view.answered:
        return "is silent"
    others = ", ".join(sorted(str(key) for key in view.registered - {view.holder}))
    beside = f", with {others} registered" if others else ""
    if view.holder is None:
        return f"has no reservation{beside}"
    kind = "" if view.kind == 5 else f" with type {view.kind}"
    return f"is held by {view.holder}{kind}{beside}"


def seen_text(orders: Orders, epoch: int, views: tuple[DiskView, ...]) -> str:
    """Return the holders of the arbitration disks, and the disks that a later or foreign key holds, for people."""
    mine, views = Key(orders.side, epoch), tuple(for_pair(view, orders.pair) for view in views)
    found = [at for at, view in enumerate(views) if at in orders.arbitration or _overtaken(view, mine, at, None)]
    names: dict[str, list[str]] = {}
    for at in found[:TOLD_MAX]:
        view = views[at]
        what = f"held by {view.holder}" if view.holder else "without a reservation" if view.answered else "silent"
        names.setdefault(what, []).append(orders.disks[at])
    more = [f"{len(found) - TOLD_MAX} more disks"] if len(found) > TOLD_MAX else []
    return "; ".join([*(f"{', '.join(disks)} {what}" for what, disks in names.items()), *more])


def _reached(vdev: Vdev, answers: list[int]) -> bool:
    return sum(index in answers for index in vdev.disks) >= vdev.needed


@lru_cache(maxsize=16)
def spares(orders: Orders) -> tuple[int, ...]:
    """Return the disks in no top-level vdev: spares and cache devices. ZFS may use a spare in any vdev of its pool."""
    used = {index for vdev in orders.vdevs for index in vdev.disks}
    return tuple(index for index in range(len(orders.disks)) if index not in used)


def given_up(vdev: Vdev, out: frozenset[int], stand_ins: int) -> frozenset[int]:
    """Return the disks of a vdev that its last owner gave up and wrote on without: they may lack newer writes.

    `out`: the disks that the owner reports as given up. `stand_ins`: number of spares that may be in use. If fewer
    disks are left than the vdev needs, the pool cannot write. Such an owner lost the last disks together with its pool
    and wrote nothing since, so its report does not tell older disks from current ones: the result is empty.
    """
    given = out.intersection(vdev.disks)
    left = len(vdev.disks) - len(given) + min(len(given), stand_ins)
    return given if left >= vdev.needed else frozenset()


def fence(
    orders: Orders, epoch: int, views: tuple[DiskView, ...], out: frozenset[int]
) -> tuple[Fence, tuple[str, ...]]:
    """Return whether a claim fenced the peer, and the names of the vdevs where it did not.

    `out`: disks that the last owner had given up. A vdev is fenced if the peer has too few disks left to write it, and
    we hold enough disks to import it. A disk in `out` lacks newer writes, so it never counts towards our import. If it
    does not answer, the peer keeps it only until its deadman has run out: WAIT. A spare may be in use for each such
    disk: a spare that we do not hold counts for the peer, a spare that we hold may count for our import. A disk where
    another machine has registered our key is not fenced.
    """
    mine = Key(orders.side, epoch)
    if judge(orders, epoch, views).hold is not Hold.OURS:
        return Fence.BROKEN, ("arbitration",)
    held = frozenset(index for index, view in enumerate(views) if fenced(view, mine))
    extra = spares(orders)
    ready = sum(index in held and index not in out for index in extra)
    loose = sum(index not in held and (index not in out or views[index].answered) for index in extra)
    stand_ins = len(set(extra) - out)
    broken, wait = [], False
    for vdev in orders.vdevs:
        given = given_up(vdev, out, stand_ins)
        ours = len(held.intersection(vdev.disks) - given) + min(len(given), ready)
        left = [index for index in vdev.disks if index not in held]
        excused = [index for index in left if index in given and not views[index].answered]
        if ours < vdev.needed or len(left) - len(excused) + min(len(given), loose) >= vdev.needed:
            broken.append(vdev.name)
        elif len(left) + min(len(given), len(extra) - ready) >= vdev.needed:
            wait = True
    if broken:
        return Fence.BROKEN, tuple(broken)
    return (Fence.WAIT if wait else Fence.HOLDS), ()


def would_wait(orders: Orders, views: tuple[DiskView, ...], out: frozenset[int]) -> bool:
    """Whether a claim would have to wait for the peer's deadman, even if it won every disk that answers."""
    if all(views[index].answered for index in out if index < len(views)):
        return False
    mine = Key(orders.side, 1)
    won = tuple(DiskView(True, mine, frozenset({mine})) if view.answered else UNANSWERED for view in views)
    return fence(orders, 1, won, out)[0] is Fence.WAIT


def owned_by(owner: Key | None, side: Side) -> bool:
    """Whether a key of this side, of any age, holds the majority of the arbitration disks."""
    return owner is not None and owner.side is side
