"""What goes wrong with servers of shares: starts that fail, stops that hang, servers that die. `faults` names them."""

from __future__ import annotations

from reconciler.simulation.timed.fault_effects import Effect, Words, of
from reconciler.simulation.timed.world import World


def trouble(kind: str, *, begins: bool) -> Effect:
    """Add a protocol to, or remove it from, one of the sets of a controller's servers: `fails` or `hangs`."""

    def effect(world: World, words: Words) -> None:
        kept: set[str] = getattr(of(world, words[0]).kernel.servers, kind)
        kept.add(words[1]) if begins else kept.discard(words[1])

    return effect


def dies(world: World, words: Words) -> None:
    """A server ends by itself."""
    of(world, words[0]).kernel.servers.dies(words[1])
