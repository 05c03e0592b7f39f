"""Orders that are replaced while a failover is in progress: it ends, and what follows is by the new ones."""

from collections.abc import Callable
from dataclasses import replace

from reconciler.system.control_protocol import RequestKind
from tests.watchdog.pair import ORDERS, TIMERS, Head, Pair
from tests.watchdog.test_decisions import codes, until_silent_for

#: A claim that a slow disk holds, or an export that hangs, is given up by nobody while a busy machine plays the test.
UNHURRIED = replace(TIMERS, claim_ms=12_000, release_ms=15_000, yield_ms=13_000, patience_ms=14_000)


def follows(head: Head, generation: int) -> bool:
    """Whether this controller follows orders of this generation."""
    status = head.status()
    return status is not None and status.orders.here == generation


def phases(head: Head) -> list[str]:
    """Every phase that this controller came to."""
    return [line["new"] for line in head.timeline() if line["mark"] == "phase"]


def test_new_addresses_while_the_old_active_lets_go(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, timers=UNHURRIED))
    pair.settle()
    pair.fault("export-hangs", "a")
    assert pair.a.ask(RequestKind.SWITCHOVER).accepted
    pair.until_phases(a="releasing")
    pair.publish(addresses=(replace(pair.orders.addresses[0], address="10.79.0.150/24"), pair.orders.addresses[1]))
    for head in pair.both():
        pair.until(lambda head=head: follows(head, pair.orders.generation))
    assert pair.a.phase == "releasing"
    pair.shelf.heal("export-hangs", "a")
    pair.until_phases(a="standby", b="active")
    with pair.client("10.79.0.150") as client:
        client.until_answered()
    assert not {"10.79.0.100", "10.79.0.150"} & pair.a.addresses()
    assert "10.79.0.100" not in pair.b.addresses()


def test_disabled_while_a_claim_runs(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, timers=UNHURRIED))
    pair.settle()
    # Its commands wait for this disk, one after the other.
    pair.fault("disk-slow", "disk3", "500")
    pair.fault("power-off", "a")
    pair.until_phases(b="claiming")
    pair.publish(enabled=False)
    # What has begun is brought to its end: half a claim helps nobody.
    pair.until_phases(b="active")
    pair.until(lambda: "NO_FAILOVER" in pair.b.reasons())
    pair.fault("boot", "a")
    pair.until_phases(a="standby", b="active")
    pair.fault("power-off", "b")
    until_silent_for(pair, pair.a, 4 * pair.orders.timers.stale_ms)
    assert pair.a.phase == "standby"


def test_new_orders_reach_only_the_one_that_imports(pair: Pair) -> None:
    pair.settle()
    pair.fault("import-hangs", "b")
    pair.fault("power-off", "a")
    pair.until_phases(b="importing")
    pair.orders = replace(pair.orders, generation=2, default=pair.orders.side.other)
    pair.b.publish(pair.orders)
    pair.until(lambda: follows(pair.b, 2))
    pair.shelf.heal("import-hangs", "b")
    pair.until_phases(b="active")
    pair.fault("boot", "a")
    pair.until_phases(a="standby", b="active")
    pair.until(lambda: "ORDERS_DIFFER" in pair.a.reasons())
    pair.a.publish(pair.orders)
    pair.until(lambda: "ORDERS_DIFFER" not in pair.a.reasons())
    pair.until_ready()
    assert codes(pair.b, "claiming") == ["PEER_SILENT"]


def test_orders_with_other_disks_while_a_look_goes_on_move_nothing(make_pair: Callable[..., Pair]) -> None:
    """What was asked about the disks of older orders says nothing of the present ones: nobody has lost them."""
    pair = make_pair(replace(ORDERS, timers=replace(TIMERS, settle_ms=0)))
    pair.settle()
    # So that a look is always going on.
    pair.fault("disk-slow", "disk3", "10000")
    moved = len(phases(pair.a))
    for count in (1, 2, 0, 1):
        pair.publish(disks=(*ORDERS.disks, *("elsewhere", "further")[:count]))
        for head in pair.both():
            pair.until(lambda head=head: follows(head, pair.orders.generation))
    assert (pair.a.phase, pair.b.phase) == ("active", "standby")
    assert phases(pair.a)[moved:] == []
