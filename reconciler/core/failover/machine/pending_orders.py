"""Newer orders that change the shelf: what is in force meanwhile, and when the newer shelf comes into force.

The shelf (disks, vdevs, arbitration) is what a claim has to fence and what a proof is read from; everything else in
newer orders comes into force at once. A changed shelf is *pending* until it is safe to judge this controller by it:

- the owner takes the new disks first, with the key that it has (`completion`). The shelf comes into force when one look
  shows the majority of its arbitration disks, and every disk that it adds, under that key. A disk that its own pools
  have open cannot be taken by a completion; it holds the others up no longer than a claim may last;
- a standby follows the owner: its shelf comes into force when the owner says so, or when no controller owns the pools.
  A standby that takes over from a dead owner claims by the shelf in force, then takes the new disks, then imports: the
  owner's pools may have a new disk already;
- the shelf in force outlives the daemon and the machine, so that a controller that starts does not mistake the newest
  orders for those that its own reservation, or the owner's, is judged by.

Invariant: *no orders, whatever they name, make an owner lose what it held*. It is judged by disks that it holds, until
it holds those of the newer shelf. Two controllers may have different shelves in force for a while, and two majorities
of arbitration disks may be won. That is safe, because no majority lets a controller write: a claim fences every
top-level vdev of its own shelf before it imports, an import refuses pools with disks that the shelf does not name, and
an owner that finds a later key of the pair on any of its disks halts (`simulation/exhaustive/twins` searches two such
claims). Does not know how a disk is taken.
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
#: Where `unsafe` finds a defect of the shelf.
SHELF_PARTS = ("disks", "vdevs", "arbitration")


def on_shelf(newest: Orders, shelf: Layout) -> Orders:
    """The newest orders with another shelf."""
    return replace(newest, disks=shelf.disks, vdevs=shelf.vdevs, arbitration=shelf.arbitration)


def resumed(newest: Orders, kept: Layout | None) -> tuple[Orders, Orders | None]:
    """The orders in force and the pending ones at the start of a daemon; `kept`: the shelf in force before it."""
    if kept is None or kept == layout(newest):
        return newest, None
    before = on_shelf(newest, kept)
    if any(one.where in SHELF_PARTS for one in unsafe(before)):
        return newest, None
    return before, newest


def joined(orders: Orders, pending: Orders | None) -> Orders:
    """The orders in force with the disks that pending ones add, last: what is looked at. Indices stay valid."""
    if pending is None:
        return orders
    known = frozenset(orders.disks)
    return replace(orders, disks=(*orders.disks, *(name for name in pending.disks if name not in known)))


def with_records(orders: Orders, pending: Orders | None) -> Orders:
    """`joined`, with the arbitration disks of both: where the record of a peer may lie that follows either."""
    both = joined(orders, pending)
    if pending is None:
        return both
    places = {name: at for at, name in enumerate(both.disks)}
    added = [places[pending.disks[at]] for at in pending.arbitration]
    return replace(both, arbitration=tuple(dict.fromkeys((*orders.arbitration, *added))))


def accept(state: State, orders: Orders, now_ms: int) -> State:
    """The state after orders were published. Only orders that are beyond doubt newer replace others."""
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
    """The state by a look at the disks of both, and the views of the disks of the shelf that is in force then."""
    own = views[: len(state.orders.disks)]
    pending = state.pending
    places = {name: at for at, name in enumerate(joined(state.orders, pending).disks)}
    # The last look of a claim saw the disks in force only.
    if pending is None or state.phase not in TAKING or len(views) < len(places):
        return state, own
    seen = tuple(for_pair(views[places[name]], pending.pair) for name in pending.disks)
    mine = Key(state.orders.side, state.epoch)
    ours_now = judge(state.orders, state.epoch, own, state.held).hold is Hold.OURS
    hard, soft = _hindrances(state, pending, seen, mine)
    taken = judge(pending, state.epoch, seen, _renumbered(state.held, state.orders, pending)).hold is Hold.OURS
    # A disk that pools here have open already cannot be taken without a claim; it does not hold the others up for ever.
    begun_ms = max(state.since_ms, state.pending_ms or 0)
    waited = now_ms - begun_ms >= state.orders.timers.claim_ms
    ready = ours_now and taken and not hard and (waited or not soft)
    if state.phase is Phase.IMPORTING:
        # An import begins under a fence that covers every top-level vdev of the shelf in force.
        excused = _renumbered(state.excused, state.orders, pending)
        ready = ready and fence(pending, state.epoch, seen, excused)[0] is not Fence.BROKEN
    if ready:
        return _in_force(state, pending), seen
    return replace(state, missing=(*hard, *soft), pending_ms=now_ms if hard else state.pending_ms), own


def awaited(state: State, views: tuple[DiskView, ...], now_ms: int) -> bool:
    """Whether an import has to wait for disks that only pending orders name. `views`: a look at the disks of both.

    Pools may have such a disk already, and the last owner may write to it: what can be taken is taken first. The wait
    is bounded, and a disk that is silent, or that another holds, does not prolong it.
    """
    if state.pending is None:
        return False
    known, every = len(state.orders.disks), len(joined(state.orders, state.pending).disks)
    if state.phase is not Phase.IMPORTING or len(views) < every:
        # The last look of a claim saw the disks in force only.
        return True
    mine = Key(state.orders.side, state.epoch)
    return bool(completable(views[known:], mine)) and now_ms - state.since_ms < state.orders.timers.claim_ms


def _hindrances(
    state: State, pending: Orders, seen: tuple[DiskView, ...], mine: Key
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What keeps the pending shelf from coming into force: disks that cannot be taken, and those not taken yet."""
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
    """The pending orders are in force. What was known by index is known by the indices of the newer disks."""
    old = state.orders
    # Marks stand in the order of the pools.
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
    """The indices in `new` of disks that `old` numbers like this; disks that `new` does not name are left out."""
    names = {old.disks[at] for at in indices if at < len(old.disks)}
    return frozenset(at for at, name in enumerate(new.disks) if name in names)


# Standby -------------------------------------------------------------------------------------------------------------


def follow_owner(state: State, now_ms: int) -> State:
    """A standby's pending orders come into force unless an owner may live that follows another shelf."""
    pending = state.pending
    if pending is None or state.phase is not Phase.STANDBY or _waits_for_owner(state, pending, now_ms):
        return state
    state = _in_force(state, pending)
    # What was seen, was seen of other disks.
    return replace(state, looks=replace(state.looks, shelf_ms=None, sees=False))


def _waits_for_owner(state: State, pending: Orders, now_ms: int) -> bool:
    """Whether the shelf in force may still be the one by which to take over."""
    beat, looks = state.peer.beat, state.looks
    unseen = looks.shelf_ms is not None and not looks.sees
    if beat is None:
        # This daemon has heard no owner: the newest orders count, once it has listened long enough to say so.
        return not (network_silent(state, now_ms) and (unseen or disk_stale(state, now_ms)))
    if beat.shelf == shelf_digest(pending) or beat.shelf != shelf_digest(state.orders):
        return False
    if network_alive(state, now_ms) and not state.peer.dead:
        owner, other = looks.owner, state.orders.side.other
        # The disks may say that the peer has claimed since its last beat.
        claimed = owner is not None and owner.side is other and owner.epoch > beat.epoch
        # A daemon that starts again over imported pools says for a moment that it boots.
        return claimed or beat.phase in OWNING or beat.phase is Phase.BOOTING
    if disk_alive(state, now_ms) or not (network_silent(state, now_ms) or state.peer.dead):
        return True
    # The owner is gone: the next claim is by the shelf in force, unless that led to nothing or is out of sight.
    return not (unseen or state.why.code is Code.CLAIM_LOST)
