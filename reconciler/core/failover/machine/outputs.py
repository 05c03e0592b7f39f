"""Outputs: the wanted pools, addresses, claim and heartbeat, as a function of the state alone (a Moore machine).

The daemon compares them with the actual state of the controller. So a restart loses nothing, and the daemon restores an
address that has vanished. Also decides when the addresses wait for the servers of shares, and the export of the pools
for their end. Does not know the actual state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.core.failover.heartbeats.heartbeat import TXGS_MAX, Beat
from reconciler.core.failover.machine.owner import released
from reconciler.core.failover.machine.phase import EVERYTHING, GUARANTEES, Phase, Thing
from reconciler.core.failover.machine.preference import able
from reconciler.core.failover.machine.state import Memory, State
from reconciler.core.failover.orders.orders import Orders, digest, first_digest, policy_digest, shelf_digest
from reconciler.core.failover.reservations.key import Key
from reconciler.core.failover.reservations.reservation_state import Fence

#: The virtual addresses wait for the servers of shares at most this long, in ms from the start of ACTIVE. A server that
#: does not start must not stop the others.
SERVE_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Outputs:
    """The wanted state of the controller.

    `wanted`: things to bring up. `kept`: things to leave as they are. The daemon takes down a thing in neither:
    addresses first, then servers of shares (see `SharesSeen`), then pools.

    `claim`: the key to claim with; None if no claim may run. `required`: the key of the reservation that this phase
    requires. `remember`: write this to `Memory` before acting on the rest. `feed`: feed the deadman. `reset`: reset
    this controller at once. `record`: write `beat` to the disk record, too. `beat.counter` is 0: the sender numbers its
    beats. `excused`: disks that the last owner of the pools had given up; an import may do without them, and never
    begins for the sake of their contents. `word`: marks that the pools had reached by the reports of their last owner
    (`transaction_groups`); nothing older is imported.
    """

    wanted: frozenset[Thing]
    kept: frozenset[Thing]
    claim: Key | None
    required: Key | None
    remember: Memory | None
    feed: bool
    reset: bool
    record: bool
    beat: Beat
    excused: frozenset[int] = frozenset()
    word: tuple[int, ...] = ()


def outputs(state: State) -> Outputs:
    """Return the outputs of a state."""
    guarantee, looks = GUARANTEES[state.phase], state.looks
    wanted, kept = guarantee.wanted, guarantee.kept
    if guarantee.required and looks.woke:
        # This process woke late and has not looked since: begin nothing, end nothing, and serve no client.
        wanted, kept = frozenset(), EVERYTHING - {Thing.ADDRESSES}
    if state.phase is Phase.IMPORTING and not looks.covered:
        # An import from the older halves of its mirrors would lose the writes acknowledged since.
        wanted, kept = wanted - {Thing.POOLS}, kept | {Thing.POOLS}
    quiet = state.answer_ms is not None and state.now_ms < state.answer_ms
    if quiet:
        wanted -= {Thing.ADDRESSES}
    elif Thing.ADDRESSES in wanted and late(state, state.now_ms):
        # A client that finds the address and no server takes an error for an answer. A silent address makes it wait.
        # An address that answers already, over a server that starts again, goes on answering for the other servers.
        wanted, kept = wanted - {Thing.ADDRESSES}, kept | {Thing.ADDRESSES}
    if not looks.stopped and Thing.POOLS not in wanted | kept:
        # A server holds the filesystems and volumes that it serves: it ends before its pool does.
        kept |= {Thing.POOLS}
    key = Key(state.orders.side, state.epoch)
    halted = state.phase is Phase.HALTED
    remember = Memory(state.phase, state.epoch, quiet) if guarantee.required else None
    return Outputs(
        wanted=wanted,
        kept=kept,
        claim=key if guarantee.act and state.fence is None else None,
        required=key if guarantee.required else None,
        remember=state.memory if state.phase is Phase.BOOTING else remember,
        # A restarted daemon feeds the deadman only after it has judged the state that its predecessor left.
        feed=state.phase is not Phase.BOOTING and not halted and not (guarantee.required and looks.woke),
        reset=halted,
        record=guarantee.required or state.fence is Fence.WAIT,
        beat=_beat(state),
        excused=state.excused if Thing.POOLS in wanted else frozenset(),
        word=state.word if Thing.POOLS in wanted else (),
    )


def late(state: State, now_ms: int) -> bool:
    """Whether the servers of shares do not answer yet, and the addresses of an active controller still wait."""
    return not state.looks.served and now_ms - state.since_ms < serve_ms(state.orders)


def serve_ms(orders: Orders) -> int:
    """Return how long, in ms, the addresses wait for the servers: never longer than clients wait for an address."""
    return min(SERVE_MS, orders.timers.patience_ms)


def _first_digest(state: State) -> int:
    """Return the digest that a peer of the first release expects if the peer sends that digest itself; 0 otherwise."""
    its, beat = first_digest(state.newest), state.peer.beat
    return its if beat is not None and beat.digest == its != digest(state.newest) else 0


def _beat(state: State) -> Beat:
    looks, orders = state.looks, state.orders
    halted = state.phase is Phase.HALTED
    return Beat(
        side=orders.side,
        incarnation=state.incarnation,
        counter=0,
        echo=state.peer.incarnation,
        phase=state.phase,
        epoch=state.highest,
        groups_down=looks.groups_down,
        out=looks.out,
        sees=looks.sees,
        able=not halted and able(state, state.now_ms),
        handed=state.phase is Phase.RELEASING and released(state),
        dying=halted,
        enabled=orders.enabled,
        generation=orders.generation,
        digest=digest(state.newest),
        shelf=shelf_digest(orders),
        machine=state.machine,
        armed=state.armed,
        # Before the import this repeats the last owner's marks, so they survive if this controller dies meanwhile.
        txgs=state.word[:TXGS_MAX] if GUARANTEES[state.phase].required else (),
        policy=policy_digest(state.newest),
        first_digest=_first_digest(state),
        lives_ms=orders.timers.proof_ms + orders.timers.deadman_ms,
    )
