"""Pending orders: newer orders that change the shelf, and the conditions under which the newer shelf comes into force.

The shelf (disks, vdevs, arbitration) is the set that a claim has to fence and that proves a reservation. Every other
part of newer orders comes into force at once. A changed shelf is *pending* until it is safe to judge this controller by
it:

- The owner first takes the new disks with its present key (`fence_completion`). The shelf comes into force when one
  look shows the majority of its arbitration disks, and every disk that it adds, under that key. A completion cannot
  take a disk that the owner's pools have open. Such a disk delays the others at most as long as a claim may last.
- A standby follows the owner: its shelf comes into force when the owner reports it, or when no controller owns the
  pools. A standby that takes over from a dead owner claims by the shelf in force, then takes the new disks, then
  imports: the owner's pools may already have a new disk.
- The shelf in force outlives the daemon and the machine. So a starting controller does not judge its own reservation,
  or the owner's, by the newest orders.

Invariant: *no orders, whatever they name, make an owner lose what it held*. The core judges an owner by disks that it
holds, until it holds those of the newer shelf. Two controllers may have different shelves in force for a while, and
both may win a majority of arbitration disks. That is safe, because no majority lets a controller write: a claim fences
every top-level vdev of its own shelf before it imports, an import refuses pools with disks that the shelf does not
name, and an owner that finds a later key of the pair on any of its disks halts (`simulation/exhaustive/twins` searches
two such claims). Does not know the commands that take a disk.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.failover.heartbeats.failure_detector import disk_alive, disk_stale, network_alive, network_silent
from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.finished_claim import feeds_ms, lives_ms, wait_ms
from reconciler.core.failover.machine.phase import OWNING, Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.orders.acceptance import unacceptable
from reconciler.core.failover.orders.orders import Layout, Orders, layout, shelf_digest
from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.core.failover.reservations.current_copies import pools_of
from reconciler.core.failover.reservations.fence_completion import completable
from reconciler.core.failover.reservations.key import Key
from reconciler.core.failover.reservations.reservation_state import (
    DiskView,
    Fence,
    Hold,
    fence,
    fenced,
    for_pair,
    holder_text,
    judge,
)
from reconciler.core.failover.reservations.transaction_groups import NOTHING

#: Phases in which an owner takes the disks that pending orders add.
TAKING = (Phase.IMPORTING, Phase.ACTIVE)
#: Parts of the orders in which `unsafe` finds a defect of the shelf.
SHELF_PARTS = ("disks", "vdevs", "arbitration")


def on_shelf(newest: Orders, shelf: Layout) -> Orders:
    """Return the newest orders with another shelf."""
    return replace(newest, disks=shelf.disks, vdevs=shelf.vdevs, arbitration=shelf.arbitration)


def resumed(newest: Orders, kept: Layout | None) -> tuple[Orders, Orders | None]:
    """Return the orders in force and the pending ones at a daemon's start. `kept`: the shelf in force before it."""
    if kept is None or kept == layout(newest):
        return newest, None
    before = on_shelf(newest, kept)
    if any(one.where in SHELF_PARTS for one in unsafe(before)):
        return newest, None
    return before, newest


def joined(orders: Orders, pending: Orders | None) -> Orders:
    """Return the orders in force with the disks that pending ones add at the end, for looks. Indices stay valid."""
    if pending is None:
        return orders
    known = frozenset(orders.disks)
    return replace(orders, disks=(*orders.disks, *(name for name in pending.disks if name not in known)))


def with_records(orders: Orders, pending: Orders | None) -> Orders:
    """Return `joined` with the arbitration disks of both: a peer that follows either orders writes its record there."""
    both = joined(orders, pending)
    if pending is None:
        return both
    places = {name: at for at, name in enumerate(both.disks)}
    added = [places[pending.disks[at]] for at in pending.arbitration]
    return replace(both, arbitration=tuple(dict.fromkeys((*orders.arbitration, *added))))


def accept(state: State, orders: Orders, now_ms: int) -> State:
    """Return the state after orders were published. Only orders that are certainly newer replace others."""
    newest = state.newest
    if orders == newest:
        return state
    refused = unacceptable(orders, newest.pair, newest.side, newest.generation + 1)
    if refused is not None:
        return replace(state, refused=refused)
    mine, peer, looks = state.orders, state.peer, state.looks
    if orders.channels != mine.channels:
        count = len(orders.channels) + 1
        peer = replace(peer, heard_ms=(now_ms,) * count, last=(None,) * count)
    groups = looks.groups_down & {group.number for group in orders.groups}
    lives, waits = min(lives_ms(state), orders.timers.proof_ms), wait_ms(state)
    feeds = min(feeds_ms(state), orders.timers.deadman_ms)
    pending = None if layout(orders) == layout(mine) else orders
    return replace(
        state,
        orders=orders if pending is None else on_shelf(orders, layout(mine)),
        pending=pending,
        pending_ms=None if pending is None else now_ms,
        missing=(),
        lives_ms=lives if lives < orders.timers.proof_ms else 0,
        feeds_ms=feeds if feeds < orders.timers.deadman_ms else 0,
        waits_ms=waits if waits > orders.timers.proof_ms + orders.timers.deadman_ms else 0,
        peer=peer,
        refused=None,
        looks=replace(looks, groups_down=groups, down_ms=looks.down_ms if groups else None),
    )


# Owners --------------------------------------------------------------------------------------------------------------


def adopt(state: State, views: tuple[DiskView, ...], now_ms: int) -> tuple[State, tuple[DiskView, ...]]:
    """Return the state after a look at the disks of both orders, and the views of the shelf that is then in force."""
    own = views[: len(state.orders.disks)]
    pending = state.pending
    places = {name: at for at, name in enumerate(joined(state.orders, pending).disks)}
    # The last look of a claim covers only the disks in force.
    if pending is None or state.phase not in TAKING or len(views) < len(places):
        return state, own
    seen = tuple(for_pair(views[places[name]], pending.pair) for name in pending.disks)
    mine = Key(state.orders.side, state.epoch)
    ours_now = judge(state.orders, state.epoch, own, state.held).hold is Hold.OURS
    hard, soft = _hindrances(state, pending, seen, mine)
    taken = judge(pending, state.epoch, seen, _renumbered(state.held, state.orders, pending)).hold is Hold.OURS
    # Only a claim can take a disk that pools here already have open. Such a disk must not delay the others for ever.
    begun_ms = max(state.since_ms, state.pending_ms or 0)
    waited = now_ms - begun_ms >= state.orders.timers.claim_ms
    ready = ours_now and taken and not hard and (waited or not soft)
    if state.phase is Phase.IMPORTING:
        # An import needs a fence on every top-level vdev of the shelf in force.
        excused = _renumbered(state.excused, state.orders, pending)
        ready = ready and fence(pending, state.epoch, seen, excused)[0] is not Fence.BROKEN
    if ready:
        return _in_force(state, pending), seen
    return replace(state, missing=(*hard, *soft), pending_ms=now_ms if hard else state.pending_ms), own


def awaited(state: State, views: tuple[DiskView, ...], now_ms: int) -> bool:
    """Whether an import has to wait for disks that only pending orders name. `views`: a look at the disks of both.

    The pools may already have such a disk, and the last owner may write to it. So this controller first takes every
    disk that it can take. The wait is bounded, and a disk that is silent or that another key holds does not prolong it.
    """
    if state.pending is None:
        return False
    known, every = len(state.orders.disks), len(joined(state.orders, state.pending).disks)
    if state.phase is not Phase.IMPORTING or len(views) < every:
        # The last look of a claim covers only the disks in force.
        return True
    mine = Key(state.orders.side, state.epoch)
    return bool(completable(views[known:], mine)) and now_ms - state.since_ms < state.orders.timers.claim_ms


def _hindrances(
    state: State, pending: Orders, seen: tuple[DiskView, ...], mine: Key
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the disks that block the pending shelf: those that cannot be taken, and those not taken yet."""
    known = frozenset(state.orders.disks)
    hard: list[str] = []
    soft: list[str] = []
    for at, (name, view) in enumerate(zip(pending.disks, seen, strict=True)):
        if name in known:
            if at in pending.arbitration and view.holder != mine:
                soft.append(f"{name} {holder_text(view)}")
        elif not fenced(view, mine):
            (soft if completable((view,), mine) else hard).append(f"{name} {holder_text(view)}")
    return tuple(hard), tuple(soft)


def _in_force(state: State, pending: Orders) -> State:
    """Bring the pending orders into force, and renumber every disk index in the state."""
    old = state.orders
    # Marks are in the order of the pools.
    said = dict(zip(pools_of(old), state.word, strict=False))
    return replace(
        state,
        orders=pending,
        word=tuple(said.get(pool, NOTHING) for pool in pools_of(pending)) if state.word else (),
        pending=None,
        pending_ms=None,
        missing=(),
        held=_renumbered(state.held, old, pending),
        excused=_renumbered(state.excused, old, pending),
        looks=replace(state.looks, out=_renumbered(state.looks.out, old, pending)),
    )


def _renumbered(indices: frozenset[int], old: Orders, new: Orders) -> frozenset[int]:
    """Translate disk indices of `old` into those of `new`, without the disks that `new` does not name."""
    names = {old.disks[at] for at in indices if at < len(old.disks)}
    return frozenset(at for at, name in enumerate(new.disks) if name in names)


# Standby -------------------------------------------------------------------------------------------------------------


def follow_owner(state: State, now_ms: int) -> State:
    """Bring a standby's pending orders into force, unless an owner that follows another shelf may be alive."""
    pending = state.pending
    if pending is None or state.phase is not Phase.STANDBY or _waits_for_owner(state, pending, now_ms):
        return state
    state = _in_force(state, pending)
    # The last look was at other disks.
    return replace(state, looks=replace(state.looks, shelf_ms=None, sees=False))


def _waits_for_owner(state: State, pending: Orders, now_ms: int) -> bool:
    """Whether a takeover may still have to go by the shelf in force."""
    beat, looks = state.peer.beat, state.looks
    unseen = looks.shelf_ms is not None and not looks.sees
    if beat is None:
        # This daemon has heard no owner. The newest orders count once it has listened long enough to be sure.
        return not (network_silent(state, now_ms) and (unseen or disk_stale(state, now_ms)))
    if beat.shelf == shelf_digest(pending) or beat.shelf != shelf_digest(state.orders):
        return False
    if network_alive(state, now_ms) and not state.peer.dead:
        owner, other = looks.owner, state.orders.side.other
        # The disks may show that the peer has claimed since its last beat.
        claimed = owner is not None and owner.side is other and owner.epoch > beat.epoch
        # A daemon that restarts over imported pools reports BOOTING for a moment.
        return claimed or beat.phase in OWNING or beat.phase is Phase.BOOTING
    if disk_alive(state, now_ms) or not (network_silent(state, now_ms) or state.peer.dead):
        return True
    # The owner is gone: the next claim goes by the shelf in force, unless such a claim failed or its disks are out of
    # sight.
    return not (unseen or state.why.code is Code.CLAIM_LOST)
