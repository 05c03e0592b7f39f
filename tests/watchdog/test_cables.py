"""Cables that fail in every way but cleanly, and somebody on them: one way, lost, doubled, late, replayed, forged."""

from collections.abc import Iterator

import pytest

from reconciler.core.failover.reservations.key import Side
from reconciler.system.control_protocol import RequestKind
from tests.watchdog.pair import TIMERS, Head, Pair
from tests.watchdog.test_decisions import until_silent_for
from tests.watchdog.wires import Wires

CHANNELS = ("link0", "net0")


@pytest.fixture
def wires(pair: Pair) -> Iterator[Wires]:
    made = Wires(pair)
    yield made
    made.close()


def until_beats(wires: Wires, count: int) -> None:
    """Wait until both have sent so many more beats."""
    players = [wires.player("link0", side) for side in Side]
    for player in players:
        player.tell("forget")
    wires.pair.until(lambda: all(int(player.tell("count")) >= count for player in players))


def refused(head: Head) -> str:
    """What the status says of heartbeats that were refused."""
    status = head.status()
    assert status is not None
    return " ".join(reason.text for reason in status.reasons if reason.code == "HEARTBEAT_REFUSED")


def nobody_moved(pair: Pair) -> None:
    assert (pair.a.phase, pair.b.phase) == ("active", "standby")
    assert pair.b.went() == ["standby"]
    assert pair.a.on and pair.b.on


@pytest.mark.parametrize("deaf", [Side.A, Side.B])
def test_one_who_hears_nothing_and_is_heard_moves_nobody(pair: Pair, wires: Wires, deaf: Side) -> None:
    pair.settle()
    for channel in CHANNELS:
        wires.set(channel, deaf.other, "cut")
    head, other = pair.heads[deaf], pair.heads[deaf.other]
    pair.until(lambda: {"NO_HEARTBEAT", "NO_PONG"} <= head.reasons())
    until_silent_for(pair, head, 4 * TIMERS.stale_ms)
    # Who is deaf beats on; that is heard, and it is known who is not.
    assert "NO_PONG" not in other.reasons()
    nobody_moved(pair)
    wires.heal()
    pair.until(lambda: "NO_PONG" not in head.reasons())
    pair.until_ready()
    nobody_moved(pair)


def test_each_hears_the_other_on_another_cable(pair: Pair, wires: Wires) -> None:
    pair.settle()
    wires.set("link0", Side.A, "cut")
    wires.set("net0", Side.B, "cut")
    for head, channel in ((pair.a, 1), (pair.b, 0)):
        pair.until(
            lambda head=head, at=channel: (
                (status := head.status()) is not None
                and status.channels[at].age_ms > 4 * TIMERS.silence_ms
                and status.channels[1 - at].age_ms < TIMERS.silence_ms
            )
        )
    nobody_moved(pair)
    assert pair.a.ask(RequestKind.SWITCHOVER).accepted
    pair.until_phases(a="standby", b="active")


def test_a_network_card_that_is_deaf_with_its_carrier_up_is_told(pair: Pair, wires: Wires) -> None:
    pair.settle()
    wires.set("net0", Side.B, "deaf")
    pair.until(lambda: "the peer is not heard on net0" in missing(pair.a))
    assert "GROUP_DOWN" not in pair.a.reasons()
    nobody_moved(pair)


def missing(head: Head) -> list[str]:
    """What the status says of heartbeats that do not come."""
    status = head.status()
    return [reason.text for reason in status.reasons if reason.code == "NO_HEARTBEAT"] if status is not None else []


def test_half_of_everything_lost_moves_nobody(pair: Pair, wires: Wires) -> None:
    pair.settle()
    for channel in CHANNELS:
        wires.both(channel, "loss")
    until_beats(wires, 80)
    nobody_moved(pair)


def test_everything_doubled_counts_once_and_is_told(pair: Pair, wires: Wires) -> None:
    pair.settle()
    for channel in CHANNELS:
        wires.both(channel, "duplicate")
    for head in pair.both():
        pair.until(lambda head=head: "received before" in refused(head))
    until_beats(wires, 40)
    nobody_moved(pair)


def test_everything_late_and_out_of_order_moves_nobody(pair: Pair, wires: Wires) -> None:
    pair.settle()
    for side in Side:
        wires.delay("link0", side, TIMERS.silence_ms // 2)
        wires.delay("net0", side, TIMERS.silence_ms // 4)
    until_beats(wires, 60)
    nobody_moved(pair)
    # Both cables as they were: what is still on its way is older than what has come.
    wires.heal()
    pair.until_ready()
    nobody_moved(pair)


def test_what_is_late_keeps_the_dead_alive_for_as_long_as_it_is_late(pair: Pair, wires: Wires) -> None:
    pair.settle()
    for channel in CHANNELS:
        wires.delay(channel, Side.A, 2_000)
    # From now on b hears a past that is two seconds old.
    pair.until(lambda: "NO_PONG" in pair.b.reasons())
    pair.until(lambda: "NO_PONG" not in pair.b.reasons())
    assert pair.b.phase == "standby"
    pair.fault("power-off", "a")
    pair.until_phases(b="active")


def test_forgeries_are_refused_and_told(pair: Pair, wires: Wires) -> None:
    pair.settle()
    for channel in CHANNELS:
        for side in Side:
            player = wires.player(channel, side)
            pair.until(lambda player=player: int(player.tell("count")) >= 5)
            player.tell("forge")
    for head in pair.both():
        for words in ("sealed with another secret", "not as long as"):
            pair.until(lambda head=head, words=words: words in refused(head))
    nobody_moved(pair)
    pair.fault("power-off", "a")
    pair.until_phases(b="active")


def test_the_words_of_an_earlier_daemon_are_not_believed(pair: Pair, wires: Wires) -> None:
    pair.settle()
    players = [wires.player(channel, Side.A) for channel in CHANNELS]
    for player in players:
        pair.until(lambda player=player: int(player.tell("count")) >= 20)
    pair.fault("power-off", "a")
    pair.until_phases(b="active")
    pair.fault("boot", "a")
    pair.until_phases(a="standby", b="active")
    pair.until_ready()
    # "I am active", said a in the life before this one.
    for player in players:
        player.tell("replay")
    pair.until(lambda: "from an earlier daemon" in refused(pair.b) or "received before" in refused(pair.b))
    assert "DISAGREE_VIP" not in pair.b.reasons()
    pair.until_ready()
    assert (pair.a.phase, pair.b.phase) == ("standby", "active")


def test_a_cable_with_a_loose_contact_moves_nobody(pair: Pair, wires: Wires) -> None:
    pair.settle()
    player = wires.player("net0", Side.A)
    for _ in range(5):
        pair.fault("cut", "link0")
        player.tell("forget")
        pair.until(lambda: int(player.tell("count")) >= 4)
        pair.fault("join", "link0")
        pair.until(lambda: int(player.tell("count")) >= 8)
    pair.until_ready()
    nobody_moved(pair)
