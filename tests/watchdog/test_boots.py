"""Every way in which a pair comes up: both, one, the other, one late, disabled, without orders, after a blackout."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.core.failover.orders.document import orders_document, orders_key
from reconciler.system.control_protocol import RequestKind
from tests.watchdog.pair import ORDERS, SECRET, TIMERS, Head, Pair
from tests.watchdog.test_decisions import codes

#: Nobody has to wait long for one who does not come.
BRISK = replace(TIMERS, boot_ms=1_000, claim_ms=2_000, yield_ms=2_700)


def test_the_default_alone_waits_for_the_other_and_then_serves(pair: Pair) -> None:
    pair.a.boot()
    pair.until_phases(a="active")
    assert codes(pair.a, "claiming") == ["PEER_ABSENT"]
    moments = {line["new"]: line["mono_ms"] for line in pair.a.timeline()}
    assert moments["claiming"] - moments["standby"] >= TIMERS.boot_ms
    pair.b.boot()
    pair.until_phases(a="active", b="standby")
    pair.until_ready()


def test_the_other_alone_waits_longer_and_keeps_what_it_took(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, timers=BRISK))
    pair.b.boot()
    pair.until_phases(b="active")
    assert codes(pair.b, "claiming") == ["PEER_ABSENT"]
    moments = {line["new"]: line["mono_ms"] for line in pair.b.timeline()}
    assert moments["claiming"] - moments["standby"] >= BRISK.boot_ms + BRISK.yield_ms
    pair.a.boot()
    pair.until_phases(a="standby", b="active")
    pair.until_ready()
    assert pair.b.phase == "active"


def test_a_pair_that_lost_power_comes_up_at_the_default_whoever_was_active(pair: Pair) -> None:
    pair.settle()
    assert pair.a.ask(RequestKind.SWITCHOVER).accepted
    pair.until_phases(a="standby", b="active")
    for head in pair.both():
        head.pull_the_plug()
    pair.boot()
    pair.until_phases(a="active", b="standby")
    pair.until(lambda: pair.a.serves)


def test_disabled_and_alone_waits_for_a_person(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, enabled=False))
    pair.a.boot()
    pair.until(lambda: {"NO_FAILOVER", "NO_PONG"} <= pair.a.reasons())
    pair.until(lambda: (status := pair.a.status()) is not None and status.channels[0].age_ms > 2 * TIMERS.boot_ms)
    assert pair.a.went() == ["standby"]
    assert pair.a.ask(RequestKind.FORCE_ACTIVATE, word="left").accepted
    pair.until_phases(a="active")
    pair.b.boot()
    pair.until_phases(a="active", b="standby")


def test_disabled_pairs_stay_where_they_are_when_enabled_late(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, enabled=False))
    pair.boot()
    pair.until_phases(a="standby", b="standby")
    pair.until(lambda: pair.b.ask(RequestKind.FORCE_ACTIVATE, word="right").accepted)
    pair.until_phases(a="standby", b="active")
    pair.publish(enabled=True)
    pair.until_ready()
    assert (pair.a.phase, pair.b.phase) == ("standby", "active")


def _missing(head: Head) -> None:
    (head.state / "orders.json").unlink()


def _damaged(head: Head) -> None:
    head.publish_bytes(orders_document(ORDERS, orders_key(SECRET))[:-20])


@pytest.mark.parametrize("spoil", [_missing, _damaged])
def test_a_default_without_good_orders_is_as_one_that_is_not_there(
    make_pair: Callable[..., Pair], spoil: Callable[[Head], None]
) -> None:
    pair = make_pair(replace(ORDERS, timers=BRISK))
    spoil(pair.a)
    pair.boot()
    pair.until_phases(a="booting", b="active")
    assert codes(pair.b, "claiming") == ["PEER_ABSENT"]
    assert "NO_ORDERS" in pair.a.reasons()
    pair.a.publish(pair.orders)
    pair.until_phases(a="standby", b="active")
    pair.until_ready()


def test_both_without_orders_touch_nothing(pair: Pair) -> None:
    for head in pair.both():
        _missing(head)
    pair.boot()
    for head in pair.both():
        pair.until(lambda head=head: "NO_ORDERS" in head.reasons())
    assert pair.shelf.state()["claims"] == []
    pair.publish()
    pair.until_phases(a="active", b="standby")


def test_orders_of_two_generations_are_told_and_move_nobody(pair: Pair) -> None:
    pair.b.publish(replace(pair.orders, generation=2))
    pair.boot()
    pair.until_phases(a="active", b="standby")
    for head in pair.both():
        pair.until(lambda head=head: "ORDERS_DIFFER" in head.reasons())
    pair.a.publish(replace(pair.orders, generation=2))
    for head in pair.both():
        pair.until(lambda head=head: "ORDERS_DIFFER" not in head.reasons())
    assert (pair.a.phase, pair.b.phase) == ("active", "standby")
