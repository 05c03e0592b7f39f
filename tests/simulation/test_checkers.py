"""The checkers see a broken invariant: each test changes the timed world without the core's knowledge."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.machine.phase import Phase, Thing
from reconciler.core.failover.orders.orders import Limits
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.simulation.disk import Disk
from reconciler.simulation.timed.invariants import INVARIANTS, overlap_bound_ms
from reconciler.simulation.timed.servers import ServerState
from reconciler.simulation.timed.stories import PAIR
from reconciler.simulation.timed.world import Steady, World

A1, B9 = Key(Side.A, 1), Key(Side.B, 9)


def reserve(world: World, disk: Disk) -> None:
    world.shelf.disks = [disk] * len(world.shelf.disks)
    world.shelf.changed()


def two_writers(world: World) -> None:
    world.controller(Side.B).kernel.pools = Presence.ALL
    reserve(world, Disk((A1, B9), Side.A))


def stale_import(world: World) -> None:
    reserve(world, Disk((None, B9), Side.B))
    reserve(world, Disk((A1, None), Side.A))


def free(world: World) -> None:
    reserve(world, Disk((A1, None), None))


def lost_write(world: World) -> None:
    # No disk has the write. ZFS would refuse an import of disks that are older than the state the pools have reached.
    world.client.acknowledged[0] += 1_000
    world.controller(Side.A).kernel.exported_by_hand()
    world.physics = replace(world.physics, write_ms=60_000)
    world.run(world.now_ms + 5_000)


def unfenced(world: World) -> None:
    world.controller(Side.B).kernel.obey(frozenset(PHASE_THINGS), frozenset())


def two_answers(world: World) -> None:
    one = world.controller(Side.B)
    one.kernel.addresses = True
    one.pause()
    one.fed_ms = None
    world.checkers.answers_changed()
    world.run(world.now_ms + overlap_bound_ms(world.orders) - 1_000)
    assert not world.broken, "an overlap within the bound is allowed"
    world.run(world.now_ms + 2_000)


def address_first(world: World) -> None:
    one = world.controller(Side.A)
    one.kernel.servers.dies("nfs")
    one.kernel.addresses = False
    world.checkers.active_ms[Side.A] = one.clock() - 9_000
    one.kernel.obey(frozenset(Thing), frozenset())


def shares_outlive(world: World) -> None:
    world.controller(Side.A).kernel.obey(frozenset(), frozenset())


def two_servers(world: World) -> None:
    one = world.controller(Side.B)
    one.pause()
    one.fed_ms = None
    one.kernel.pools = Presence.ALL
    one.kernel.stale = frozenset(range(len(world.pools)))
    one.kernel.servers.states["nfs"] = ServerState.UP
    world.checkers.servers_changed()
    world.run(world.now_ms + overlap_bound_ms(world.orders) - 1_000)
    assert not world.broken, "an overlap within the bound is allowed"
    world.run(world.now_ms + 2_000)


def stale_read(world: World) -> None:
    world.controller(Side.A).kernel.newest[0] -= 1
    world.run(world.now_ms + 1_000)


def moved(world: World, code: Code, **orders: object) -> None:
    """The standby begins a claim for a reason that does not allow one."""
    one = world.controller(Side.B)
    assert one.core is not None
    changed = replace(one.core.orders, **orders)  # type: ignore[arg-type]
    after = replace(one.core, orders=changed, phase=Phase.CLAIMING, why=Decision(code))
    world.checkers.phase_changed(one, one.core, after)


def disabled(world: World) -> None:
    moved(world, Code.FORCED, enabled=False)
    assert not world.broken, "a person may"
    moved(world, Code.PEER_DEAD, enabled=False)


def budget(world: World) -> None:
    one = world.controller(Side.B)
    one.files.moves_ms = one.files.moves_local_ms = [world.now_ms - 10, world.now_ms - 5]
    moved(world, Code.PEER_DEAD, limits=Limits(moves=2))
    assert not world.broken, "within the budget"
    moved(world, Code.PEER_DEAD, limits=Limits(moves=1))


def left_behind(world: World) -> None:
    reserve(world, Disk((None, B9), Side.B))
    world.checkers.completed(Side.A, 0)
    assert not world.broken, "the key of nobody else is there"
    world.shelf.disks[0] = Disk((A1, B9), Side.B)
    world.checkers.completed(Side.A, 0)


def needless(world: World) -> None:
    moved(world, Code.PEER_SILENT)


PHASE_THINGS = (Thing.POOLS,)
SERVERS = ("address-first", "shares-outlive", "two-servers")
BENT: dict[str, Callable[[World], None]] = {
    "two-writers": two_writers,
    "unfenced": unfenced,
    "stale-import": stale_import,
    "lost-write": lost_write,
    "free": free,
    "two-answers": two_answers,
    "address-first": address_first,
    "shares-outlive": shares_outlive,
    "two-servers": two_servers,
    "stale-read": stale_read,
    "disabled": disabled,
    "budget": budget,
    "left-behind": left_behind,
    "needless": needless,
}


@pytest.mark.parametrize("name", BENT)
def test_a_bent_world_breaks_the_invariant(name: str) -> None:
    protocols = ("nfs", "iscsi") if name in SERVERS else ()
    world = World(replace(PAIR, strict=name == "stale-read"), Steady(), protocols=protocols)
    world.run(20_000)
    assert not world.broken
    assert max(world.client.acknowledged) > 10
    BENT[name](world)
    assert world.checkers.name == name, world.broken or "nothing broke"


def test_every_invariant_is_bent() -> None:
    """The tests of the swarm check service and recovery, because both hold only after faults have healed."""
    assert set(BENT) == set(INVARIANTS) - {"service", "recovery"}
