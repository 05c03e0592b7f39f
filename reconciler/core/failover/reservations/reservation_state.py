"""What a look at the disks means: who owns them, whether we do, and whether a fence holds on every top-level vdev.

Follows SPC-4 (5.13, 6.15): type 5, Write Exclusive - Registrants Only, with only the active controller registered.
"The peer cannot write to this disk" therefore is "our key holds the reservation and no other key is registered". Does
not know how a disk is asked.
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
    """What one disk said. `answered` False: nothing is known. `holder` None: no reservation.

    `kind` is the type code of the reservation (SPC-4, table 63); anything but 5 does not fence as we need it.
    `surplus`: how many registrations bear our own newest key and belong to none of our own paths. `unregistered`: how
    many of our paths that run have no registration, where others have one; what is written over them is refused.
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
    """Whether the reservation is ours."""

    OURS = "ours"
    LOST = "lost"
    UNKNOWN = "unknown"


class Fence(StrEnum):
    """How a claim ended. WAIT: what could not be fenced is out of the pools; wait until the peer's deadman is over."""

    HOLDS = "holds"
    WAIT = "wait"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one look says. `owner` holds the majority of the arbitration disks; `highest` is the highest epoch seen."""

    hold: Hold
    owner: Key | None
    sees: bool
    highest: int


def for_pair(view: DiskView, pair: str) -> DiskView:
    """The view with the keys of other pairs as foreign keys: they are never newer or older than ours.

    Every judgement of a view begins with this.
    """
    others = [key for key in (view.holder, *view.registered) if key is not None and of_another_pair(key, pair)]
    if not others:
        return view
    names = {key: Key(None, encode_key(key)) for key in others}
    holder = None if view.holder is None else names.get(view.holder, view.holder)
    return replace(view, holder=holder, registered=frozenset(names.get(key, key) for key in view.registered))


def epochs(views: Iterable[DiskView]) -> Iterable[int]:
    """Every epoch that stands on the disks, of either side."""
    for view in views:
        for key in (view.holder, *view.registered):
            if key is not None and key.side is not None:
                yield key.epoch


def fenced(view: DiskView, key: Key) -> bool:
    """Only the paths of the machine that made `key` can write to this disk.

    With a surplus another machine is registered with this very key, and can write, too.
    """
    return view.answered and view.holder == key and view.kind == 5 and view.registered == {key} and not view.surplus


def sees(orders: Orders, views: tuple[DiskView, ...]) -> bool:
    """Whether the majority of the arbitration disks answered, and enough of every vdev to import it."""
    answers = [index for index, view in enumerate(views) if view.answered]
    votes = sum(index in answers for index in orders.arbitration)
    return votes >= orders.majority and all(_reached(vdev, answers) for vdev in orders.vdevs)


def judge(orders: Orders, epoch: int, views: tuple[DiskView, ...], held: frozenset[int] | None = None) -> Verdict:
    """What a look means to the controller whose claim was `epoch`.

    LOST as soon as any disk is held by a later claim, or when too few arbitration disks could still be ours. UNKNOWN
    when too few answered to say either. A surplus takes nothing from an owner: whoever registered our key after our
    claim was verified finds our registration in its own last look, and verifies nothing (`fenced`). `held`: disks that
    this controller held before (None: all of them). A disk that it never held, and that other software or another pair
    holds, is a disk that is not fenced, and no loss.
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
    """A later claim holds the disk. Nobody knows the age of a foreign key: it counts where we held the disk."""
    other = view.holder
    if other is None or other == mine:
        return False
    if other.side is None:
        return held is None or at in held
    # An older key is a leftover from before our claim.
    return rank(other.epoch) >= rank(mine.epoch)


def holder_text(view: DiskView) -> str:
    """What a look saw of one disk, for people."""
    if not view.answered:
        return "is silent"
    others = ", ".join(sorted(str(key) for key in view.registered - {view.holder}))
    beside = f", with {others} registered" if others else ""
    if view.holder is None:
        return f"has no reservation{beside}"
    kind = "" if view.kind == 5 else f" with type {view.kind}"
    return f"is held by {view.holder}{kind}{beside}"


def seen_text(orders: Orders, epoch: int, views: tuple[DiskView, ...]) -> str:
    """Who holds the arbitration disks, and every other disk that a later claim or a foreign key holds, for people."""
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
    """The disks in no top-level vdev: spares and cache devices. ZFS may use a spare in any vdev of its pool."""
    used = {index for vdev in orders.vdevs for index in vdev.disks}
    return tuple(index for index in range(len(orders.disks)) if index not in used)


def given_up(vdev: Vdev, out: frozenset[int], stand_ins: int) -> frozenset[int]:
    """The disks of a vdev that its last owner had given up and gone on without: they may lack newer writes.

    With fewer disks than the vdev needs (`stand_ins`: spares that may be in use) no pool can write. An owner that says
    so lost the last of them together with its pool, and wrote nothing since: its word tells no disk from the others.
    """
    given = out.intersection(vdev.disks)
    left = len(vdev.disks) - len(given) + min(len(given), stand_ins)
    return given if left >= vdev.needed else frozenset()


def fence(
    orders: Orders, epoch: int, views: tuple[DiskView, ...], out: frozenset[int]
) -> tuple[Fence, tuple[str, ...]]:
    """Whether a claim fenced the peer, and the vdevs where it did not.

    A vdev is fenced when the disks left to the peer are too few to write it, and enough are ours to import it. A disk
    that the last owner had given up (`out`) lacks what was written since, so it is never one of those enough; where it
    does not answer, it is not left to the peer for ever, only until the peer's deadman has run out: WAIT. For each
    such disk a spare may be in use: one that is not ours is left to the peer, one that is ours may be enough.
    A disk where another machine bears our key is not fenced.
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
    """Whether a claim that won every disk which answers could fence the peer only by waiting for its deadman."""
    if all(views[index].answered for index in out if index < len(views)):
        return False
    mine = Key(orders.side, 1)
    won = tuple(DiskView(True, mine, frozenset({mine})) if view.answered else UNANSWERED for view in views)
    return fence(orders, 1, won, out)[0] is Fence.WAIT


def owned_by(owner: Key | None, side: Side) -> bool:
    """The majority of the arbitration disks is held by a key of this side, of whatever age."""
    return owner is not None and owner.side is side
