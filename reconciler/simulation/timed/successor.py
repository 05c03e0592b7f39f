"""A daemon of the timed world that takes over in one step from the one that runs (`watchdog/successor_handle`).

It goes on from the state, or, being of another release, begins and has the memory. Not while something is in progress.
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
    """The deed; `same`: the new daemon knows the form of the state."""

    def deed(world: World, words: tuple[str, ...]) -> None:
        one = world.controller(Side(words[0]))
        core = one.core
        if core is None or one.paused or one.frozen or core.phase not in (Phase.STANDBY, Phase.ACTIVE):
            return
        world.note(one.side, "daemon is replaced")
        # What the old one asked is not answered to the new one.
        one.completer.drop()
        one.fuse = None
        if same:
            state = read_state(state_document(core))
            assert isinstance(state, State), state
            one.daemon += 1
            one.core, one.outs, one._told = state, outputs(state), (None, None)
            # Its sockets were open before, so nothing is lost while it does not act yet.
            one.paused = True
            for loop in (one._tick, one.monitor.look, one._record):
                loop(one.daemon)
        else:
            one.core = one.outs = None
            one.start()
            one.paused = True
        world.later(world.draw(world.physics.handover_ms), lambda daemon: _acts(one, daemon), one.daemon, one)

    return deed


def _acts(one: Controller, daemon: int) -> None:
    if daemon == one.daemon:
        one.resume()
