"""Which orders a daemon follows: absent, damaged, foreign, older, unsafe and newer ones, at the start and later."""

from collections.abc import Callable
from dataclasses import replace

from reconciler.core.failover.orders.document import orders_document, orders_key
from reconciler.core.failover.reservations.key import Side
from reconciler.system.control_protocol import RequestKind
from tests.watchdog.pair import LENIENT, ORDERS, SECRET, TIMERS, Head, Pair

KEY = orders_key(SECRET)


def refused(pair: Pair, head: Head, text: str) -> None:
    """Wait until the status says why the newest orders are not followed."""
    pair.until(lambda: (status := head.status()) is not None and text in status.orders.refused)


def test_a_daemon_without_good_orders_waits_for_them_and_says_so(pair: Pair) -> None:
    (pair.a.state / "orders.json").unlink()
    pair.a.boot()
    refused(pair, pair.a, "has not published")
    assert pair.a.reasons() >= {"NO_ORDERS"}
    answer = pair.a.ask(RequestKind.SWITCHOVER)
    assert (answer.accepted, answer.code) == (False, "NO_ORDERS")
    good = orders_document(ORDERS, KEY)
    pair.a.publish_bytes(good[:-10])
    refused(pair, pair.a, "damaged, or sealed with another secret")
    pair.a.publish_bytes(b"\0" * (2 << 20))
    refused(pair, pair.a, "larger than")
    pair.a.publish_bytes(orders_document(ORDERS, orders_key(b"another secret of somebody else's pair")))
    refused(pair, pair.a, "damaged, or sealed with another secret")
    pair.a.publish_bytes(orders_document(replace(ORDERS, side=Side.B), KEY))
    refused(pair, pair.a, "orders for another pair or another controller")
    pair.a.publish_bytes(orders_document(replace(ORDERS, timers=replace(TIMERS, silence_ms=10)), KEY))
    refused(pair, pair.a, "orders that cannot be safe")
    assert pair.a.phase == "booting"
    pair.a.publish_bytes(good)
    pair.until_phases(a="active")


def test_older_orders_are_refused_also_by_a_daemon_that_started_anew(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, timers=LENIENT))
    pair.publish(generation=7)
    pair.settle()
    pair.b.publish(replace(pair.orders, generation=6))
    refused(pair, pair.b, "older generation")
    assert "ORDERS_REFUSED" in pair.b.reasons()
    pair.fault("kill", "b")
    pair.fault("restart", "b")
    refused(pair, pair.b, "older generation")
    assert pair.b.phase == "booting"
    pair.b.publish(pair.orders)
    pair.until_phases(a="active", b="standby")


def test_foreign_and_unsafe_orders_leave_those_in_force_alone(pair: Pair) -> None:
    pair.settle()
    pair.a.publish(replace(pair.orders, pair="another", generation=9))
    refused(pair, pair.a, "another pair")
    pair.a.publish(replace(pair.orders, generation=9, channels=pair.orders.channels[:1]))
    refused(pair, pair.a, "cannot be safe")
    pair.a.publish(pair.orders)
    refused(pair, pair.a, "")
    pair.until(lambda: "ORDERS_REFUSED" not in pair.a.reasons())
    assert pair.a.phase == "active"


def test_newer_orders_are_followed_within_the_second_by_both(pair: Pair) -> None:
    pair.settle()
    pair.publish(addresses=(pair.orders.addresses[0], replace(pair.orders.addresses[1], address="fd79::200/64")))
    pair.until(lambda: "fd79::200" in pair.a.addresses() and "fd79::100" not in pair.a.addresses())
    for head in pair.both():
        pair.until(lambda head=head: (status := head.status()) is not None and status.orders.equal)
    assert (pair.a.phase, pair.b.phase) == ("active", "standby")
    with pair.client("fd79::200") as client:
        client.until_answered()
