"""A daemon of the timed world that replaces the running one in one step (`watchdog/successor_handle`).

It continues from the state of the old daemon. A daemon of another release cannot read the state, so it starts with the
memory. No replacement happens while an operation is in progress.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.core.failover.machine.outputs import outputs
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.state_document import read_state, state_document
from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.timed.controller import Controller
from reconciler.simulation.timed.world import World


def replaced(*, same: bool) -> Callable[[World, tuple[str, ...]], None]:
    """Return the effect. `same`: the new daemon knows the form of the state."""

    def effect(world: World, words: tuple[str, ...]) -> None:
        one = world.controller(Side(words[0]))
        core = one.core
        if core is None or one.paused or one.frozen or core.phase not in (Phase.STANDBY, Phase.ACTIVE):
            return
        if one.kernel.servers.changing:
            return
        world.note(one.side, "daemon is replaced")
        # The new daemon does not receive answers to the old one's commands.
        one.completer.drop()
        one.fuse = None
        if same:
            state = read_state(state_document(core))
            assert isinstance(state, State), state
            one.daemon += 1
            one.core, one.outs, one._told = state, outputs(state), (None, None)
            # Its sockets were open before, so no datagram is lost before it acts.
            one.paused = True
            for loop in (one._tick, one.monitor.look, one._record):
                loop(one.daemon)
        else:
            one.core = one.outs = None
            one.start()
            one.paused = True
        world.later(world.draw(world.physics.handover_ms), lambda daemon: _acts(one, daemon), one.daemon, one)

    return effect


def _acts(one: Controller, daemon: int) -> None:
    if daemon == one.daemon:
        one.resume()
