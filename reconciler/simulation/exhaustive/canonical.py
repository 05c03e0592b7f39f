"""States, beats, claims and disks of the exhaustive world: make those equal that behave alike, and number them.

These differences do not change behaviour: moments older than every bound (moments count relative to now); the size of
counters, which only say "newer"; the size of epochs, which only say order and the distances 0, 1 and more; text for
people. Does not know the moves of the world.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, Final

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.finished_claim import peer_yielded
from reconciler.core.failover.machine.outputs import serve_ms
from reconciler.core.failover.machine.phase import GUARANTEES, Phase
from reconciler.core.failover.machine.state import Peer, State, shifted
from reconciler.core.failover.orders.orders import Timers
from reconciler.core.failover.reservations.claim import Claim, Visit
from reconciler.core.failover.reservations.fence_completion import Completion
from reconciler.core.failover.reservations.key import Key
from reconciler.core.failover.reservations.reservation_state import DiskView, Fence, Hold
from reconciler.simulation.disk import Disk

Disks = tuple[Disk, ...]


class Numbers:
    """Values by number and numbers by value. Keeps for each value the set of its epochs as a bit mask."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.masks: list[int] = []
        self._numbers: dict[Hashable, int] = {}
        self._renamed: dict[tuple[int, int], int] = {}

    def number(self, value: Any) -> int:
        """Return the number of a value; equal values have the same number."""
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self.values)
            self.values.append(value)
            self.masks.append(sum(1 << epoch for epoch in set(epochs_of(value)) if epoch))
        return number

    def renamed(self, number: int, mask: int) -> int:
        """Return the number of the same value after the epochs of the whole world (`mask`) were made small."""
        known = self._renamed.get((number, mask))
        if known is None:
            known = self.number(rename(self.values[number], smaller(mask)))
            self._renamed[number, mask] = known
        return known


def smaller(mask: int) -> dict[int, int]:
    """Map the epochs in use to the smallest ones that keep their order and the distances 1 and "2 or more"."""
    found, last, new = {0: 0}, 0, 0
    for epoch in range(1, mask.bit_length()):
        if mask >> epoch & 1:
            new += min(epoch - last, 2)
            last = epoch
            found[epoch] = new
    return found


def epochs_of(value: Any) -> list[int]:
    """Return every epoch inside a value."""
    match value:
        case State():
            said = value.peer.beat.epoch if value.peer.beat is not None else 0
            return [value.epoch, value.highest, value.memory.epoch if value.memory else 0, said]
        case Beat():
            return [value.epoch]
        case Key():
            return [value.epoch]
        case Disk():
            return [key.epoch for key in value.keys if key is not None]
        case DiskView():
            return [key.epoch for key in (value.holder, *value.registered) if key is not None]
        case Claim():
            return [value.key.epoch, *epochs_of(value.visits), *epochs_of(value.views)]
        case Visit():
            return epochs_of(value.view)
        case Completion():
            return [value.key.epoch, *epochs_of(value.view), *epochs_of(value.over)]
        case tuple():
            return [epoch for part in value for epoch in epochs_of(part)]
        case _:
            return []


def rename(value: Any, names: dict[int, int]) -> Any:
    """Return the same value with other epochs."""
    match value:
        case State():
            memory = replace(value.memory, epoch=names[value.memory.epoch]) if value.memory else None
            peer = value.peer
            if peer.beat is not None and peer.beat.epoch:
                peer = replace(peer, beat=rename(peer.beat, names))
            return replace(value, epoch=names[value.epoch], highest=names[value.highest], memory=memory, peer=peer)
        case Beat():
            return replace(value, epoch=names[value.epoch])
        case Key():
            return Key(value.side, names[value.epoch])
        case Disk():
            return replace(value, keys=(rename(value.keys[0], names), rename(value.keys[1], names)))
        case DiskView():
            registered = frozenset(rename(key, names) for key in value.registered)
            return replace(value, holder=rename(value.holder, names), registered=registered)
        case Claim():
            key, visits, views = (rename(part, names) for part in (value.key, value.visits, value.views))
            return replace(value, key=key, visits=visits, views=views)
        case Visit():
            return replace(value, view=rename(value.view, names))
        case Completion():
            key, view, over = (rename(part, names) for part in (value.key, value.view, value.over))
            return replace(value, key=key, view=view, over=over)
        case tuple():
            return tuple(rename(part, names) for part in value)
        case _:
            return value


#: In these phases the core still needs to know which disks the pools did without.
REIMPORTING: Final = (Phase.CLAIMING, Phase.IMPORTING, Phase.RELEASING)


def plain_state(state: State, timers: Timers) -> State:
    """Return the state at moment 0, without counters, text for people, and fields that its phase never reads again."""
    if state.phase is Phase.HALTED:
        return _plain_halted(state)
    longest_ms = max(timers.boot_ms + timers.yield_ms, timers.claim_ms + timers.proof_ms + timers.deadman_ms)
    state = shifted(state, -state.now_ms, -longest_ms)
    required = GUARANTEES[state.phase].required or state.phase in (Phase.CLAIMING, Phase.BOOTING)
    looks = state.looks
    moves = {Phase.IMPORTING: timers.import_ms, Phase.RELEASING: timers.release_ms}.get(state.phase)
    still_ms = state.since_ms if looks.still_ms is None else looks.still_ms
    idle = state.phase in (Phase.STANDBY, Phase.CLAIMING)
    old = looks.shelf_ms is None or looks.shelf_ms <= -timers.stale_ms
    looks = replace(
        looks,
        owner=None,
        hold=looks.hold if required else Hold.UNKNOWN,
        proved_ms=_since(looks.proved_ms, timers.proof_ms) if required else None,
        shelf_ms=None if old else looks.shelf_ms,
        unseen_ms=None if idle else _since(looks.unseen_ms, max(timers.settle_ms, timers.proof_ms // 2)),
        hung_ms=None if idle else _since(looks.hung_ms, timers.settle_ms),
        down_ms=_since(looks.down_ms, timers.settle_ms + timers.network_ms),
        progress=0,
        still_ms=None if moves is None or still_ms <= max(state.since_ms, -moves) else still_ms,
        woke=looks.woke and not idle,
    )
    return replace(
        state,
        since_ms=max(state.since_ms, -_phase_ms(state, timers)),
        peer=_plain_peer(state, timers),
        looks=looks,
        fenced_ms=state.fenced_ms if state.phase is Phase.CLAIMING else None,
        pending_ms=_since(state.pending_ms, timers.claim_ms),
        handed_ms=_since(state.handed_ms, timers.handover_ms),
        handed_over=_waits_for_word(state),
        taken=state.taken and _taken_matters(state, timers),
        excused=state.excused if state.phase in REIMPORTING else frozenset(),
        # There are only two machines, so the core never hears or listens for a third one.
        alone_ms=0,
        # The core reads this only where other software holds disks, and there is none here.
        held=frozenset(),
    )


def _plain_halted(state: State) -> State:
    """Return the state of a halted controller: only what it says is left."""
    peer = Peer(heard_ms=(0,) * len(state.peer.heard_ms), last=(None,) * len(state.peer.last))
    return State(state.orders, 0, 0, Phase.HALTED, 0, peer, highest=state.highest, armed=state.armed)


def _since(moment_ms: int | None, bound_ms: int) -> int | None:
    """Cap the age of a moment at its bound."""
    return None if moment_ms is None else max(moment_ms, -bound_ms)


def _waits_for_word(state: State) -> bool:
    """Whether a claim of released disks may have to wait for the beat of a peer that has no hardware watchdog."""
    beat = state.peer.beat
    return state.phase is Phase.CLAIMING and state.handed_over and beat is not None and not beat.guarded


def _taken_matters(state: State, timers: Timers) -> bool:
    """Whether the reason for taking the pools still matters.

    It matters while the core would blame a hang that begins now on the takeover, and while such a hang lasts.
    """
    bound_ms, hung_ms = _hang_ms(timers), state.looks.hung_ms
    young = state.since_ms > -bound_ms or (hung_ms is not None and hung_ms - state.since_ms < bound_ms)
    return state.phase in (Phase.CLAIMING, Phase.IMPORTING) or (state.phase is Phase.ACTIVE and young)


def _hang_ms(timers: Timers) -> int:
    """Return for how many milliseconds after taking the pools the reason for it matters."""
    return 2 * timers.again_ms


def _phase_ms(state: State, timers: Timers) -> int:
    """Return the longest bound, in milliseconds, that counts from the beginning of a phase."""
    match state.phase:
        case Phase.BOOTING:
            return timers.proof_ms
        case Phase.IMPORTING:
            return timers.import_ms
        case Phase.ACTIVE:
            # Without servers both are true.
            waits_ms = 0 if state.looks.served and state.looks.stopped else serve_ms(state.orders)
            return max(_hang_ms(timers) if state.taken else 0, waits_ms)
        case Phase.RELEASING:
            return timers.release_ms
        case Phase.STANDBY:
            return timers.boot_ms + timers.yield_ms
        case Phase.CLAIMING:
            return timers.claim_ms + (timers.proof_ms + timers.deadman_ms if state.fence is Fence.WAIT else 0)
        case _:
            return 0


def _plain_peer(state: State, timers: Timers) -> Peer:
    """Return what the core can still tell apart: it reads a beat's details only while a channel is alive.

    One fact also counts afterwards: a peer without a hardware watchdog gave way to the claim that runs.
    """
    peer = state.peer
    bounds = [timers.silence_ms + timers.network_ms] * (len(peer.heard_ms) - 1) + [timers.stale_ms]
    heard = tuple(max(moment, -bound) for moment, bound in zip(peer.heard_ms, bounds, strict=True))
    beat = peer.beat
    if beat is not None:
        silent = peer.dead or all(moment <= -bound for moment, bound in zip(heard, bounds, strict=True))
        useful = beat.able and beat.sees and not silent
        phase = Phase.IMPORTING if beat.phase in (Phase.CLAIMING, Phase.RELEASING) else beat.phase
        gave = _waits_for_word(state) and peer_yielded(state)
        beat = replace(
            beat,
            counter=0,
            epoch=state.epoch if gave else 0,
            phase=Phase.BOOTING if silent and not gave else phase,
            able=useful,
            sees=useful,
            handed=beat.handed and not silent,
            dying=False,
            groups_down=frozenset() if silent else beat.groups_down,
        )
    # Whether a controller ever heard a network channel does not matter. The first read of the disk record is special.
    last = (*((0, 0) for _ in bounds[1:]), None if peer.last[-1] is None else (0, 0))
    unable_ms = None if beat is None or silent else _since(peer.unable_ms, timers.yield_ms)
    # Only people read the moment itself. The core needs to know whether it began while the record was alive.
    undecoded_ms = None if peer.undecoded_ms is None or heard[-1] <= -timers.stale_ms else 0
    return replace(
        peer, heard_ms=heard, last=last, beat=beat, incarnation=0, unable_ms=unable_ms, undecoded_ms=undecoded_ms
    )


def plain_disk(disk: Disk) -> Disk:
    """Return a disk without its counters."""
    return Disk(disk.keys, disk.holder)
