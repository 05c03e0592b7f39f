"""A pair whose controllers run neighbouring releases: the first one beside this one, and one that is being upgraded."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.failover.orders.orders import Orders
from reconciler.system.control_protocol import RequestKind
from tests.previous import previous_release
from tests.watchdog.pair import ORDERS, PATIENT, ROOT, Head, Pair

REFUSALS = {"HEARTBEAT_REFUSED", "RECORD_REFUSED", "ORDERS_REFUSED", "ORDERS_CONTRADICT", "ORDERS_DIFFER"}
Mixed = Callable[..., Pair]
either = pytest.mark.parametrize("old", ["a", "b"])


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return previous_release(tmp_path_factory.mktemp("first-release"))


@pytest.fixture
def mixed(make_pair: Callable[..., Pair], previous: Path) -> Mixed:
    """Makes pairs of which the controllers named run the first release."""

    def make(*old: str, orders: Orders = ORDERS) -> Pair:
        pair = make_pair(orders)
        for letter in old:
            pair.head(letter).tree = previous
        return pair

    return make


def peer_reads(head: Head) -> int:
    """What a daemon remembers of its peer."""
    path = head.state / "watchdog" / "peer.json"
    return int(json.loads(path.read_text())["reads"]) if path.exists() else 1


def refused(pair: Pair) -> set[str]:
    return (pair.a.reasons() | pair.b.reasons()) & REFUSALS


@either
def test_each_understands_the_other_and_nothing_is_refused(mixed: Mixed, old: str) -> None:
    pair = mixed(old)
    pair.settle()
    new = pair.b if old == "a" else pair.a
    pair.until(lambda: "PEER_OLDER" in new.reasons())
    for head in pair.both():
        pair.until(lambda head=head: (status := head.status()) is not None and status.orders.equal)
    # New orders of this release's agent, read by both.
    pair.publish(strict=True)
    for head in pair.both():
        pair.until(lambda head=head: (s := head.status()) is not None and (s.orders.here, s.orders.there) == (2, 2))
    assert not refused(pair)
    assert peer_reads(new) == 1


@either
def test_the_other_takes_over_from_one_without_power(mixed: Mixed, old: str) -> None:
    pair = mixed(old)
    pair.settle()
    with pair.client() as client:
        client.until_answered()
        pair.fault("power-off", "a")
        pair.until_phases(b="active")
        client.until_answered()
    pair.fault("boot", "a")
    pair.until_phases(a="standby", b="active")
    pair.until_ready()
    assert not refused(pair)


@either
def test_limits_that_each_release_derives_for_itself_stop_no_takeover(mixed: Mixed, old: str) -> None:
    """From one commit: the first release has no key for the time without proof, and takes 2 s."""
    pair = mixed(old)
    for head in pair.both():
        proof_ms = 2_000 if head is pair.head(old) else 4_000
        head.publish(
            replace(ORDERS, generation=2, timers=replace(ORDERS.timers, proof_ms=proof_ms, patience_ms=12_000))
        )
    pair.settle()
    for head in pair.both():
        pair.until(lambda head=head: (s := head.status()) is not None and (s.orders.here, s.orders.there) == (2, 2))
    assert not refused(pair)
    with pair.client() as client:
        client.until_answered()
        pair.fault("power-off", "a")
        pair.until_phases(b="active")
        client.until_answered()


@either
def test_they_hand_over_both_ways(mixed: Mixed, old: str) -> None:
    pair = mixed(old)
    pair.settle()
    for source, target in (("a", "b"), ("b", "a")):
        assert pair.head(source).ask(RequestKind.SWITCHOVER).accepted
        pair.until_phases(**{source: "standby", target: "active"})
        pair.until(lambda target=target: pair.head(target).serves)
        pair.until_ready()
    assert not refused(pair)


@either
def test_the_disk_heartbeat_alone_keeps_both_in_their_places(mixed: Mixed, old: str) -> None:
    pair = mixed(old)
    pair.publish(groups=())
    pair.settle()
    pair.fault("cut", "link0", "a-net0", "b-net0")
    pair.until(lambda: "ISOLATED" in pair.b.reasons())
    pair.fault("join", "link0", "a-net0", "b-net0")
    pair.until_ready()
    assert pair.b.went() == ["standby"]


def test_a_pair_is_upgraded_and_goes_back_daemon_by_daemon(mixed: Mixed, previous: Path) -> None:
    """Nothing moves; the version of the heartbeats is the highest that both read, at any time."""
    pair = mixed("a", "b", orders=replace(ORDERS, timers=PATIENT))
    pair.settle()

    def restart(letter: str, tree: Path) -> None:
        head = pair.head(letter)
        phase = head.phase
        pair.fault("kill", letter)
        head.tree = tree
        pair.fault("restart", letter)
        pair.until(lambda: head.phase == phase)
        pair.until_ready()

    restart("b", ROOT)
    assert peer_reads(pair.b) == 1
    restart("a", ROOT)
    for head in pair.both():
        pair.until(lambda head=head: peer_reads(head) == 2)
    pair.until(lambda: not refused(pair) and "PEER_OLDER" not in pair.a.reasons() | pair.b.reasons())
    restart("b", previous)
    pair.until(lambda: peer_reads(pair.a) == 1)
    restart("a", previous)
    assert "addresses-down" not in [line["mark"] for line in pair.a.timeline()]
    assert pair.a.on and pair.b.on


def test_a_daemon_goes_on_with_the_orders_before_those_it_cannot_read(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    pair.settle()
    pair.a.publish_bytes(b'{"format":"hagit.orders/9","orders":{}}\n')
    pair.until(lambda: "ORDERS_REFUSED" in pair.a.reasons())
    pair.fault("kill", "a")
    pair.fault("restart", "a")
    pair.until_phases(a="active", b="standby")
    pair.until_ready()
    assert pair.a.on and "ORDERS_REFUSED" in pair.a.reasons()
    pair.publish()
    pair.until(lambda: "ORDERS_REFUSED" not in pair.a.reasons())
