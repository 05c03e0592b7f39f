"""What a controller should be, as a function of its state alone: a Moore machine's outputs.

Whoever performs them compares them with what is there, so a restart loses nothing and a vanished address is put back.
Does not know what is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.failover.heartbeats.heartbeat import TXGS_MAX, Beat
from reconciler.core.failover.machine.owner import GONE
from reconciler.core.failover.machine.phase import EVERYTHING, GUARANTEES, Phase, Thing
from reconciler.core.failover.machine.preference import able
from reconciler.core.failover.machine.state import Memory, State
from reconciler.core.failover.orders.orders import digest, first_digest, policy_digest, shelf_digest
from reconciler.core.failover.reservations.key import Key
from reconciler.core.failover.reservations.reservation_state import Fence


@dataclass(frozen=True, slots=True)
class Outputs:
    """What should be there.

    `wanted` should be there, `kept` is left as it is found, whatever is in neither is taken away. `claim`: the key to
    claim with, None when no claim may run. `remember`: to be written before the rest is acted upon. `feed`: the
    deadman. `reset`: reset this controller at once. `record`: write `beat` to the disk record, too. `beat.counter` is
    0: the sender numbers its beats. `excused`: disks that the last owner of the pools had given up: an import may do
    without them, and is never begun for the sake of what is on them. `word`: marks that the pools had reached by the
    word of their last owner (`progress`): nothing older is imported.
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
    """The outputs of a state."""
    guarantee, looks = GUARANTEES[state.phase], state.looks
    wanted, kept = guarantee.wanted, guarantee.kept
    if guarantee.required and looks.woke:
        # Nobody has looked since a late wake: begin nothing, end nothing, and answer nobody.
        wanted, kept = frozenset(), EVERYTHING - {Thing.ADDRESSES}
    if state.phase is Phase.IMPORTING and not looks.covered:
        # A pool that is imported from the older halves of its mirrors has lost what was acknowledged since.
        wanted, kept = wanted - {Thing.POOLS}, kept | {Thing.POOLS}
    quiet = state.answer_ms is not None and state.now_ms < state.answer_ms
    if quiet:
        wanted -= {Thing.ADDRESSES}
    key = Key(state.orders.side, state.epoch)
    halted = state.phase is Phase.HALTED
    remember = Memory(state.phase, state.epoch, quiet) if guarantee.required else None
    return Outputs(
        wanted=wanted,
        kept=kept,
        claim=key if guarantee.act and state.fence is None else None,
        required=key if guarantee.required else None,
        remember=state.memory if state.phase is Phase.BOOTING else remember,
        # Never fed on ignorance: a daemon that starts again proves first what its predecessor left behind, or is reset.
        feed=state.phase is not Phase.BOOTING and not halted and not (guarantee.required and looks.woke),
        reset=halted,
        record=guarantee.required or state.fence is Fence.WAIT,
        beat=_beat(state),
        excused=state.excused if Thing.POOLS in wanted else frozenset(),
        word=state.word if Thing.POOLS in wanted else (),
    )


def _first_digest(state: State) -> int:
    """What a peer of the first release is told that says the digest which it derives itself; 0 for any other peer."""
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
        handed=state.phase is Phase.RELEASING and looks.pools in GONE,
        dying=halted,
        enabled=orders.enabled,
        generation=orders.generation,
        digest=digest(state.newest),
        shelf=shelf_digest(orders),
        machine=state.machine,
        armed=state.armed,
        # What is said before an import is the last owner's word: whoever dies meanwhile must not take it along.
        txgs=state.word[:TXGS_MAX] if GUARANTEES[state.phase].required else (),
        policy=policy_digest(state.newest),
        first_digest=_first_digest(state),
        lives_ms=orders.timers.proof_ms + orders.timers.deadman_ms,
    )
