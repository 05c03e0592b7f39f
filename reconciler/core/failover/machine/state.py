"""The state of one controller: one frozen value, which every step replaces.

Fields that end in `_ms` and hold an int are moments of the monotonic clock, except where their class says durations.
`shifted` lists the moments, so that the explorer can compare states relative to now. Makes no decisions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.key import Key
from reconciler.core.failover.reservations.reservation_state import Fence, Hold


@dataclass(frozen=True, slots=True)
class Looks:
    """Results of the latest looks at disks, pools and links.

    `shelf_ms`: time of the last look at the disks; None until the first one after the start or after a late wake.
    `proved_ms`: time of the last proof that we hold the reservation. `unseen_ms`, `hung_ms`, `down_ms`: since when the
    disks are out of sight, the pools hang, a group is down. `progress`: the progress counter of an import or export at
    the last look. `still_ms`: its last change in this phase (None: none yet). `used`: the export cannot go on because a
    process uses a mounted file system; every pool is still imported. `covered`: the fence of our claim still holds on
    every top-level vdev, and no silent disk could have newer writes than the others; known while pools are to be
    imported. `unguarded`: a claim could fence the peer only by waiting for its deadman, and the peer has not reported
    that it is armed. `doubt`: findings of a look that did not prove our reservation. `woke`: this process woke late and
    has not looked again since. `served`, `stopped`: see `SharesSeen`. `ended`: the servers have stopped once in this
    release.
    """

    hold: Hold = Hold.UNKNOWN
    owner: Key | None = None
    sees: bool = False
    shelf_ms: int | None = None
    proved_ms: int | None = None
    unseen_ms: int | None = None
    pools: Presence = Presence.UNKNOWN
    hung_ms: int | None = None
    progress: int = 0
    still_ms: int | None = None
    used: bool = False
    doing: str = field(default="", compare=False)
    groups_down: frozenset[int] = frozenset()
    down_ms: int | None = None
    out: frozenset[int] = frozenset()
    covered: bool = False
    unguarded: bool = False
    woke: bool = False
    served: bool = True
    stopped: bool = True
    ended: bool = False
    doubt: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Twin:
    """Another machine of one side: its number, its newest (incarnation, counter) and the channel of its last beat.

    `alive`: its counter has advanced since its first beat, so its beats are no recording.
    """

    machine: int
    stamp: tuple[int, int]
    channel: int
    since_ms: int
    heard_ms: int
    alive: bool


@dataclass(frozen=True, slots=True)
class Peer:
    """Knowledge about the peer.

    `heard_ms`: time of its last beat, or the start of listening, for each network channel and at the end for the disk
    record. `last`: newest (incarnation, counter) of each; None before the first. `beat`: newest accepted beat. `ever`:
    heard alive since the daemon started. `lately`: heard since listening began, at the start or after a late wake.
    `twin`: a second machine that presents itself as the peer. `dead`: proven dead, or reported by the peer itself.
    `proven`: dead by proof from outside, and no newer beat since. `unable_ms`: since when its beats report that it
    neither owns the pools nor could take them; None while they do not. `undecoded_ms`: since when its record has
    changed without a beat that this controller could accept; None if its newest sign of life is `beat`.
    """

    heard_ms: tuple[int, ...]
    last: tuple[tuple[int, int] | None, ...]
    beat: Beat | None = None
    incarnation: int = 0
    ever: bool = False
    lately: bool = False
    dead: bool = False
    proven: bool = False
    unable_ms: int | None = None
    undecoded_ms: int | None = None
    twin: Twin | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """The part of the state that outlives the daemon but not a reset: a file in /run, written before acting on it.

    `quiet`: the addresses were to stay down for now (strict orders).
    """

    phase: Phase
    epoch: int
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """State of one controller. `why` explains the phase, `refused` the last request that it refused.

    `orders`: the orders in force. `pending`: newer ones that change the shelf (see `pending_orders`). `missing`: those
    of their disks that are not ours. `pending_ms`: since when all of these could be taken. `held`: disks that a look
    saw under the key of our claim. `fenced_ms`: end of the claim, or the start of the wait after it. `handed_ms`: when
    this release had exported its pools. `handed_over`: the running claim began because the peer had exported its pools
    for this controller. `unimportable`: this release follows refused imports. `voluntary`: the operator asked for this
    release and nothing is wrong here, so it may be cancelled. `taken`: the pools came here because the peer released
    them or could no longer serve.

    Limits, as durations: `lives_ms`: a shorter time without proof than the orders give, until the peer has confirmed
    that it waits longer (0: none). `feeds_ms`: the same for the deadman. `waits_ms`: a longer wait for the peer than
    the orders ask for, because the peer may not have them yet (0: none).

    `unfenced`: vdevs that the last claim could not fence. `word`: marks (`transaction_groups`) that the pools have
    reached, as their owners, including this controller, reported. `word_epoch`: epoch of the last reporter. `excused`:
    disks that the pools did without at their last import; they have nothing newer than the other disks and may lack
    much. `machine`: number of this machine, new at each boot; 0 if none is given. `twin`: another machine that presents
    itself as this controller. `alone_ms`: since when none was heard, or the start of listening. `unit`: why this
    machine may not claim by its serial number. `armed`: a hardware watchdog resets this machine within the time of the
    orders if its daemon stops.
    """

    orders: Orders
    incarnation: int
    now_ms: int
    phase: Phase
    since_ms: int
    peer: Peer
    machine: int = 0
    twin: Twin | None = None
    alone_ms: int = 0
    unit: Decision | None = None
    armed: bool = True
    looks: Looks = field(default_factory=Looks)
    memory: Memory | None = None
    epoch: int = 0
    highest: int = 0
    fence: Fence | None = None
    fenced_ms: int | None = None
    handed_ms: int | None = None
    retry_ms: int | None = None
    answer_ms: int | None = None
    held_back_ms: int | None = None
    maintenance_ms: int | None = None
    moves_ms: tuple[int, ...] = ()
    handed_over: bool = False
    unimportable: bool = False
    voluntary: bool = False
    taken: bool = False
    lives_ms: int = 0
    feeds_ms: int = 0
    waits_ms: int = 0
    excused: frozenset[int] = frozenset()
    word: tuple[int, ...] = ()
    word_epoch: int = 0
    pending: Orders | None = None
    pending_ms: int | None = None
    held: frozenset[int] = frozenset()
    missing: tuple[str, ...] = field(default=(), compare=False)
    unfenced: tuple[str, ...] = field(default=(), compare=False)
    why: Decision = field(default=Decision(Code.STARTED), compare=False)
    refused: Decision | None = field(default=None, compare=False)

    @property
    def newest(self) -> Orders:
        """The newest accepted orders, whether or not their shelf is in force."""
        return self.orders if self.pending is None else self.pending


def initial(
    orders: Orders,
    incarnation: int,
    now_ms: int,
    memory: Memory | None = None,
    resets_recent: int = 0,
    moves_recent: int = 0,
    machine: int = 0,
    pending: Orders | None = None,
) -> State:
    """Return the state of a daemon that has just started.

    `resets_recent` and `moves_recent`: resets and moves within the windows of the orders, by the files of this
    controller. `pending`: the newest orders, if the previous daemon had not adopted their shelf.
    """
    channels = len(orders.channels) + 1
    return State(
        orders=orders,
        incarnation=incarnation,
        now_ms=now_ms,
        phase=Phase.BOOTING,
        since_ms=now_ms,
        peer=Peer(heard_ms=(now_ms,) * channels, last=(None,) * channels),
        machine=machine,
        alone_ms=now_ms,
        memory=memory,
        epoch=memory.epoch if memory else 0,
        highest=memory.epoch if memory else 0,
        held_back_ms=now_ms if resets_recent >= orders.limits.resets else None,
        moves_ms=(now_ms,) * min(moves_recent, orders.limits.moves),
        pending=pending,
        pending_ms=None if pending is None else now_ms,
    )


def shifted(state: State, by_ms: int, floor_ms: int) -> State:
    """Return the same state with every moment moved by `by_ms`, and none before `floor_ms`.

    Every comparison in the core is "now minus a moment is at least a bound", so all moments older than the longest
    bound are equivalent. A moment at which something ends has no meaning once it is past.
    """

    def move(moment_ms: int | None) -> int | None:
        return None if moment_ms is None else max(floor_ms, moment_ms + by_ms)

    def until(moment_ms: int | None) -> int | None:
        return None if moment_ms is None or moment_ms <= state.now_ms else moment_ms + by_ms

    def twin(one: Twin | None) -> Twin | None:
        if one is None:
            return None
        since_ms, heard_ms = max(floor_ms, one.since_ms + by_ms), max(floor_ms, one.heard_ms + by_ms)
        return replace(one, since_ms=since_ms, heard_ms=heard_ms)

    looks, peer = state.looks, state.peer
    return replace(
        state,
        now_ms=state.now_ms + by_ms,
        since_ms=max(floor_ms, state.since_ms + by_ms),
        twin=twin(state.twin),
        alone_ms=max(floor_ms, state.alone_ms + by_ms),
        looks=replace(
            looks,
            shelf_ms=move(looks.shelf_ms),
            proved_ms=move(looks.proved_ms),
            unseen_ms=move(looks.unseen_ms),
            hung_ms=move(looks.hung_ms),
            still_ms=move(looks.still_ms),
            down_ms=move(looks.down_ms),
        ),
        peer=replace(
            peer,
            heard_ms=tuple(max(floor_ms, moment + by_ms) for moment in peer.heard_ms),
            unable_ms=move(peer.unable_ms),
            undecoded_ms=move(peer.undecoded_ms),
            twin=twin(peer.twin),
        ),
        fenced_ms=move(state.fenced_ms),
        handed_ms=move(state.handed_ms),
        retry_ms=until(state.retry_ms),
        answer_ms=until(state.answer_ms),
        held_back_ms=move(state.held_back_ms),
        pending_ms=move(state.pending_ms),
        maintenance_ms=until(state.maintenance_ms),
        moves_ms=tuple(max(floor_ms, moment + by_ms) for moment in state.moves_ms),
    )
