"""Event effects: update the state with the knowledge that an event brings.

Makes no decisions, so the order of events cannot skip one. Does not change the phase. Does not keep requests of the
operator: `step` passes them to the phase at once.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import assert_never

from reconciler.core.failover.heartbeats.failure_detector import changed, claimed, forget, hear, watch_disks
from reconciler.core.failover.machine.events import (
    Asked,
    ClaimEnded,
    Conflict,
    DeadmanSeen,
    Event,
    Heard,
    LinksSeen,
    NewOrders,
    PeerDied,
    PoolsSeen,
    Presence,
    RecordChanged,
    SharesSeen,
    ShelfSeen,
    Tick,
    UnitSeen,
)
from reconciler.core.failover.machine.finished_claim import lives_ms, wait_ms
from reconciler.core.failover.machine.pending_orders import accept, adopt, awaited
from reconciler.core.failover.machine.pending_orders import joined as with_pending
from reconciler.core.failover.machine.phase import GUARANTEES, Phase
from reconciler.core.failover.machine.state import Looks, State
from reconciler.core.failover.orders.orders import Orders, shelf_digest
from reconciler.core.failover.reservations.key import Key, rank
from reconciler.core.failover.reservations.reservation_state import (
    DiskView,
    Fence,
    Hold,
    fence,
    judge,
    owned_by,
    seen_text,
    would_wait,
)
from reconciler.core.failover.reservations.transaction_groups import NOTHING, joined

#: Phases that import or export pools, which may stop making progress.
MOVING = (Phase.IMPORTING, Phase.RELEASING)


def apply_event(state: State, event: Event, now_ms: int) -> State:
    """Return the state updated with the event's knowledge, in the same phase."""
    match event:
        case Tick() | Asked():
            return state
        case Heard(channel, beat):
            return hear(state, channel, beat, now_ms)
        case RecordChanged():
            return replace(state, peer=changed(state.peer, now_ms))
        case ShelfSeen(views, out, begun_ms):
            return state if _outdated(state, begun_ms) else _shelf(state, views, out, now_ms, begun_ms)
        case PoolsSeen(txgs=txgs):
            state = replace(state, looks=_pools(state.looks, event, now_ms, state.phase))
            return _reached(state, txgs) if any(txgs) else state
        case SharesSeen():
            releasing = state.phase is Phase.RELEASING
            return replace(state, looks=_shares(state.looks, event, now_ms, releasing=releasing))
        case LinksSeen(up):
            return replace(state, looks=_links(state.looks, state.orders, up, now_ms))
        case ClaimEnded(epoch, views):
            return _claim(state, epoch, views, now_ms)
        case Conflict():
            lost = GUARANTEES[state.phase].required
            return replace(state, looks=replace(state.looks, hold=Hold.LOST)) if lost else state
        case UnitSeen(unfit):
            return replace(state, unit=unfit)
        case DeadmanSeen(armed):
            return replace(state, armed=armed)
        case PeerDied():
            # A controller without power writes to no disk and serves no client, so no wait is needed.
            return replace(state, peer=replace(state.peer, dead=True, proven=True), answer_ms=None)
        case NewOrders(orders):
            return accept(state, orders, now_ms)
        case _:
            assert_never(event)


def _outdated(state: State, begun_ms: int | None) -> bool:
    """Whether a look began before our claim ended. It cannot tell whether we still hold the disks that we claimed."""
    if begun_ms is None:
        return False
    required = GUARANTEES[state.phase].required
    return (required and begun_ms < state.since_ms) or (state.fenced_ms is not None and begun_ms < state.fenced_ms)


def _shelf(
    state: State, views: tuple[DiskView, ...], out: frozenset[int], now_ms: int, begun_ms: int | None = None
) -> State:
    # A look proves the state at its beginning.
    proved_ms = now_ms if begun_ms is None else min(begun_ms, now_ms)
    if len(views) not in (len(state.orders.disks), len(with_pending(state.orders, state.pending).disks)):
        return state
    state, seen = _holding(state, views), views
    if state.pending is not None:
        state, views = adopt(replace(state, looks=replace(state.looks, out=out)), views, now_ms)
        # `adopt` has renumbered it if another shelf is in force now.
        out = state.looks.out
        state = _holding(state, views)
    verdict = judge(state.orders, state.epoch, views, state.held)
    looks = state.looks
    # Losing the reservation is final. A later look that finds the disk free does not restore it.
    lost = looks.hold is Hold.LOST and GUARANTEES[state.phase].required
    hold = Hold.LOST if lost else verdict.hold
    peer = watch_disks(state.peer, now_ms) if verdict.sees and not looks.sees else state.peer
    if owned_by(verdict.owner, state.orders.side.other) and verdict.highest > state.highest:
        peer = claimed(peer, now_ms)
    return replace(
        state,
        peer=peer,
        highest=max(state.highest, verdict.highest),
        looks=replace(
            looks,
            hold=hold,
            owner=verdict.owner,
            sees=verdict.sees,
            shelf_ms=now_ms,
            proved_ms=proved_ms if hold is Hold.OURS else looks.proved_ms,
            unseen_ms=None if verdict.sees else looks.unseen_ms if looks.unseen_ms is not None else now_ms,
            out=out,
            covered=_covered(state, views) and not awaited(state, seen, now_ms),
            unguarded=_unguarded(state, views),
            woke=looks.woke and hold is not Hold.OURS and GUARANTEES[state.phase].required,
            doubt="" if hold is Hold.OURS or not state.epoch else seen_text(state.orders, state.epoch, views),
        ),
    )


def _holding(state: State, views: tuple[DiskView, ...]) -> State:
    """Add the disks under the key of our claim to `held`. They stay there, whatever a later look finds."""
    if not state.epoch:
        return state
    mine = Key(state.orders.side, state.epoch)
    ours = {at for at, view in enumerate(views[: len(state.orders.disks)]) if view.holder == mine}
    return state if ours <= state.held else replace(state, held=state.held | ours)


def _unguarded(state: State, views: tuple[DiskView, ...]) -> bool:
    """Whether a claim of this standby would end in a wait that proves nothing."""
    beat = state.peer.beat
    if state.phase is not Phase.STANDBY or beat is None or beat.guarded:
        return False
    # In the orders of another shelf the same numbers mean other disks.
    return beat.shelf == shelf_digest(state.orders) and would_wait(state.orders, views, beat.out)


def _covered(state: State, views: tuple[DiskView, ...]) -> bool:
    """Whether this look lets an import begin. A silent half of a mirror may hold the only copy of the newest writes."""
    if state.phase is not Phase.IMPORTING and (state.phase is not Phase.CLAIMING or state.fence is None):
        return False
    return fence(state.orders, state.epoch, views, state.excused)[0] is not Fence.BROKEN


def _shares(looks: Looks, seen: SharesSeen, now_ms: int, *, releasing: bool) -> Looks:
    """Take a look at the servers. A release begins with their end, so the export after it gets its whole limit.

    Only their first end counts: servers that start again and again would otherwise put off the limit for ever.
    """
    ends = releasing and seen.stopped and not looks.stopped and not looks.ended
    return replace(
        looks,
        served=seen.served,
        stopped=seen.stopped,
        ended=looks.ended or ends,
        still_ms=now_ms if ends else looks.still_ms,
    )


def _pools(looks: Looks, seen: PoolsSeen, now_ms: int, phase: Phase) -> Looks:
    hung = seen.pools in (Presence.HUNG, Presence.UNKNOWN)
    # While servers run in a release, what the disks do is the clients' work and no progress of the release.
    goes_on = phase is Phase.IMPORTING or (phase is Phase.RELEASING and looks.stopped)
    return replace(
        looks,
        pools=seen.pools,
        hung_ms=(now_ms if looks.hung_ms is None else looks.hung_ms) if hung else None,
        progress=seen.progress,
        still_ms=now_ms if goes_on and seen.progress != looks.progress else looks.still_ms,
        used=seen.used and phase in MOVING,
        doing=seen.doing,
    )


def _reached(state: State, txgs: tuple[int, ...]) -> State:
    """Keep the marks of the pools that are imported here. The active controller's own look replaces all other marks.

    Only an active controller knows that its pools are the newest. Before that, the marks of earlier owners stay.
    """
    if state.phase is Phase.ACTIVE:
        word = tuple(mine or said for mine, said in zip_longest(txgs, state.word, fillvalue=NOTHING))
    else:
        word = joined(state.word, txgs, newer=False)
    return replace(state, word=word, word_epoch=max(state.word_epoch, state.epoch, key=rank))


def _links(looks: Looks, orders: Orders, up: frozenset[str], now_ms: int) -> Looks:
    """A group is down when all its interfaces are down. Interfaces outside every group never matter."""
    down = frozenset(group.number for group in orders.groups if not any(name in up for name in group.interfaces))
    # A change in the set of down groups restarts the debounce: a flapping link is never down for long.
    since_ms = None if not down else now_ms if down != looks.groups_down else looks.down_ms
    return replace(looks, groups_down=down, down_ms=since_ms)


def _claim(state: State, epoch: int, views: tuple[DiskView, ...], now_ms: int) -> State:
    """Take the result of the running claim; ignore the result of any other claim."""
    if state.phase is not Phase.CLAIMING or epoch != state.epoch or state.fence is not None:
        return state
    beat = state.peer.beat
    # In the orders of another shelf the same numbers mean other disks.
    out = beat.out if beat is not None and beat.shelf == shelf_digest(state.orders) else frozenset()
    verdict, unfenced = fence(state.orders, epoch, views, out)
    state = _shelf(replace(state, fence=verdict, excused=out), views, state.looks.out, now_ms)
    return replace(state, fenced_ms=now_ms, unfenced=unfenced)


def wake(state: State, now_ms: int) -> State:
    """Discard stale knowledge after a pause longer than the orders allow, so that the controller looks before it acts.

    A healthy daemon steps at least once in `beat_ms`, at most `pause_ms` late. An owner gets the time of two looks to
    prove its reservation. It neither serves clients nor feeds the deadman until it has. A wait for the peer's deadman
    starts again: a clock that jumped looks like a process that slept, and the time has really passed only for the
    sleeper.
    """
    timers = state.orders.timers
    if now_ms - state.now_ms <= timers.beat_ms + timers.pause_ms:
        return state
    looks, required = state.looks, GUARANTEES[state.phase].required
    quiet = state.answer_ms is not None and state.now_ms < state.answer_ms
    latest_ms = min(now_ms, now_ms - lives_ms(state) + 2 * timers.look_ms + timers.pause_ms)
    return replace(
        state,
        peer=forget(state.peer, now_ms),
        answer_ms=now_ms + wait_ms(state) if quiet else state.answer_ms,
        fenced_ms=now_ms if state.fence is Fence.WAIT else state.fenced_ms,
        alone_ms=now_ms,
        looks=replace(
            looks,
            hold=looks.hold if looks.hold is Hold.LOST and required else Hold.UNKNOWN,
            sees=False,
            shelf_ms=None,
            proved_ms=None if looks.proved_ms is None else max(looks.proved_ms, latest_ms),
            woke=True,
            unseen_ms=None,
            down_ms=now_ms if looks.groups_down else None,
            hung_ms=now_ms if looks.hung_ms is not None else None,
            # The next look at the pools shows the progress made meanwhile.
            still_ms=now_ms if state.phase in MOVING else None,
        ),
    )
