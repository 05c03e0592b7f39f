"""What one controller knows and where it stands: one frozen value, made anew by every step.

Fields that end in `_ms` and hold an int are moments of the monotonic clock; `shifted` lists them all, so that the
explorer can look at states relative to now. Does not decide anything.
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
    """What the latest looks at disks, pools and links said.

    `shelf_ms` is None until the disks were looked at since the start (or since a late wake); `unseen_ms`, `hung_ms` and
    `down_ms` say since when the disks are out of sight, the pools hang, a group is down. `progress` is what the last
    look said of an import or export, `still_ms` when that changed last in this phase (None: not yet), and `used` that
    an export is kept from going on by who uses what is mounted, with every pool still here. `covered`: the fence of our
    claim still holds on every top-level vdev, with no disk silent that could hold newer writes than the rest; known
    while pools are to be imported. `unguarded`: a claim could fence the peer only by waiting for a deadman that it is
    not known to have. `doubt`: what was seen by a look that did not prove our reservation. `woke`: nothing that was
    known before a late wake has been looked at again.
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
    doubt: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Twin:
    """Another machine of one side: its number, its newest (incarnation, counter) and the channel it was heard on last.

    `alive`: it has moved on since it was heard first, so it is no recording.
    """

    machine: int
    stamp: tuple[int, int]
    channel: int
    since_ms: int
    heard_ms: int
    alive: bool


@dataclass(frozen=True, slots=True)
class Peer:
    """What is known of the peer.

    `heard_ms` has a moment for each network channel and one, the last, for the disk record: when it was last heard, or
    when listening began. `last` is the newest (incarnation, counter) of each, None before the first. `beat` is the
    newest accepted beat. `ever`: heard alive since the daemon started; `lately`: since listening began, which is also
    when this controller last woke late. `twin`: a second machine that says it is the peer. `dead`: proven, or said by
    itself; `proven`: from outside, and nothing newer heard since. `unable_ms`: since when its beats say that it neither
    owns the pools nor could take them; None while they do not. `undecoded_ms`: since when its record has
    changed without a beat that could be followed; None when its newest sign of life is `beat`.
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
    """What outlives the daemon but not a reset (a file in /run, written before the phase is acted upon).

    `quiet`: clients were not to be answered yet (strict orders).
    """

    phase: Phase
    epoch: int
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """One controller. `why` explains the phase, `refused` the last request that was not followed.

    `orders` are in force; `pending` are newer ones that change the shelf (see `pending_orders`); `missing` says which
    of their disks are not ours, and `pending_ms` since when all of these could be taken. `held`: disks that a look saw
    under the key of our claim. `handed_over`: the running claim began because the peer had exported its pools for this
    controller. `unimportable`: this release follows imports that were refused. `voluntary`: a person
    asked for it, and nothing is wrong here, so it may be given up. `taken`: the pools came here because the peer let go
    of them, or could serve no more. `lives_ms`: a shorter time without proof than the orders give, for nobody has said
    yet that the peer waits longer (0: none); `feeds_ms`: the same of the deadman; `waits_ms`: a longer wait for the
    peer than they ask for, as it may not have them yet (0: none). `unfenced`: vdevs that the last claim could not
    fence. `word`: marks (`progress`) that the
    pools have reached, by what their owners said, this controller included; `word_epoch`: the epoch of whoever said it
    last. `excused`: disks that the pools did without when they were last imported: nothing newer is on them than on the
    others, and much may be missing. `machine`: the number of this machine, another one after each boot; 0 where none is
    given.
    `twin`: another machine that says it is this controller. `alone_ms`: since when none was heard, or listening began.
    `unit`: why this machine may not claim by its serial number. `armed`: a hardware watchdog resets this machine in the
    time of the orders if its daemon stops.
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
        """The newest orders that were accepted, whether or not their shelf is in force."""
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
    """The state of a daemon that has just started.

    `resets_recent` and `moves_recent` count what the files of this controller say about the windows of the orders.
    `pending`: the newest orders, where the daemon before this one had not adopted their shelf.
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
    """The same state with every moment moved by `by_ms`, and none before `floor_ms`.

    Every comparison in the core is "now minus a moment is at least a bound", so moments older than the longest bound
    are all alike; a moment that something lasts until means nothing once it is over.
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
