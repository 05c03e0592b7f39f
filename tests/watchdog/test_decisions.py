"""The table "when to take over", row by row, with real daemons: what is silent, what lives, and what follows from it.

Heartbeats are cut by a filter, so that carrier and clients stay; rows about carrier take the carrier.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from reconciler.core.failover.reservations.key import Side
from reconciler.system.control_protocol import RequestKind
from tests.wait import until
from tests.watchdog.pair import ORDERS, PATIENT, TIMERS, Head, Pair
from tests.watchdog.sequences import bury
from tests.watchdog.wires import Wires

#: Long enough that every bound of the orders has passed several times.
LONG_MS = 4 * TIMERS.stale_ms


@pytest.fixture
def wires(pair: Pair) -> Iterator[Wires]:
    made = Wires(pair)
    yield made
    made.close()


def silent(wires: Wires) -> None:
    """No heartbeat gets through on any network, and everything else does."""
    for channel in wires.pair.orders.channels:
        wires.both(channel.name, "cut")


def codes(head: Head, phase: str) -> list[str]:
    """Why this controller went into this phase, each time; waits until its timeline tells of one."""
    return until(
        lambda: [line["code"] for line in head.timeline() if line["mark"] == "phase" and line["new"] == phase],
        lambda: f"{head.side} never was {phase}: {head.timeline()}",
    )


def until_silent_for(pair: Pair, head: Head, ms: int) -> None:
    """Wait until this controller has heard nothing on any network for so long."""
    pair.until(lambda: (status := head.status()) is not None and all(one.age_ms >= ms for one in status.channels))


def test_silence_everywhere_and_a_stale_record_is_taken_over(pair: Pair, wires: Wires) -> None:
    pair.settle()
    with pair.client() as client:
        silent(wires)
        pair.fault("disks-lost", "a")
        pair.until_phases(b="active")
        client.until_answered()
    assert codes(pair.b, "claiming") == ["PEER_SILENT"]
    assert pair.a.until_reset()
    wires.heal()
    pair.shelf.heal("disks-lost", "a")
    pair.fault("boot", "a")
    pair.until_phases(a="standby", b="active")


def test_silence_with_a_living_record_moves_nobody_and_is_told(pair: Pair, wires: Wires) -> None:
    pair.settle()
    silent(wires)
    pair.until(lambda: "ISOLATED" in pair.b.reasons())
    until_silent_for(pair, pair.b, LONG_MS)
    assert (pair.a.phase, pair.b.phase) == ("active", "standby")
    assert {"ISOLATED", "NO_HEARTBEAT", "NO_PONG"} <= pair.b.reasons()
    assert {"NO_HEARTBEAT", "NO_PONG"} <= pair.a.reasons()
    wires.heal()
    pair.until_ready()
    pair.until(lambda: "ISOLATED" not in pair.b.reasons())
    assert pair.b.went() == ["standby"]


def test_an_isolated_active_without_clients_lets_go_and_says_so_on_the_disks(pair: Pair, wires: Wires) -> None:
    pair.settle()
    with pair.client() as client:
        silent(wires)
        pair.until(lambda: "NO_PONG" in pair.a.reasons())
        pair.fault("cut", "a-net0")
        pair.until_phases(a="standby", b="active")
        client.until_answered()
    assert (codes(pair.a, "releasing"), codes(pair.b, "claiming")) == (["ISOLATED"], ["HANDED"])


def test_an_active_that_lost_its_disks_hands_over(pair: Pair) -> None:
    pair.settle()
    with pair.client() as client:
        pair.fault("disks-lost", "a")
        pair.until_phases(b="active")
        client.until_answered()
    # Whichever was noticed first: that the disks are gone, or that the pools wait for them.
    assert codes(pair.a, "releasing") in (["DISKS_LOST"], ["POOLS_HUNG"])
    # Nothing can be exported without disks, so nothing but a reset ends it.
    assert pair.a.until_reset() == "the daemon asked for it"


def test_a_peer_that_releases_is_followed_at_once(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    pair.settle()
    assert pair.a.ask(RequestKind.SWITCHOVER).accepted
    pair.until_phases(a="standby", b="active")
    # Not because it was silent for as long as that takes to mean anything.
    assert codes(pair.b, "claiming") == ["HANDED"]


def test_the_last_words_of_a_peer_that_halts_are_followed_at_once(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    pair.settle()
    bury(pair.a)
    # It finds pools that it knows nothing of.
    (pair.a.run / "memory").unlink()
    pair.a.start()
    pair.until_phases(b="active")
    assert (codes(pair.a, "halted"), codes(pair.b, "claiming")) == (["FOREIGN_IMPORT"], ["PEER_DEAD"])


def test_when_both_lose_the_disks_nobody_serves_until_one_has_them_again(pair: Pair) -> None:
    pair.settle()
    pair.fault("disks-lost", "b")
    pair.until(lambda: "NO_DISKS" in pair.b.reasons())
    pair.fault("disks-lost", "a")
    assert pair.a.until_reset() == "the daemon asked for it"
    assert codes(pair.a, "halted") == ["UNPROVEN"]
    until_silent_for(pair, pair.b, LONG_MS)
    assert pair.b.went() == ["standby"]
    pair.shelf.heal("disks-lost", "b")
    pair.until_phases(b="active")


def test_while_failover_is_disabled_nobody_moves(pair: Pair) -> None:
    pair.settle()
    pair.publish(enabled=False)
    pair.until(lambda: all("NO_FAILOVER" in head.reasons() for head in pair.both()))
    answer = pair.a.ask(RequestKind.SWITCHOVER)
    assert (answer.accepted, answer.code) == (False, "DISABLED")
    pair.fault("power-off", "a")
    until_silent_for(pair, pair.b, LONG_MS)
    assert pair.b.went() == ["standby"]
    assert pair.b.ask(RequestKind.FORCE_ACTIVATE, word="right").accepted
    pair.until_phases(b="active")


def test_two_that_claim_the_same_role_move_nobody_and_the_disks_decide(make_pair: Callable[..., Pair]) -> None:
    # Blind, and patient enough to stay active for a while.
    pair = make_pair(replace(ORDERS, timers=replace(PATIENT, settle_ms=20_000)))
    pair.settle()
    pair.fault("disks-lost", "a")
    assert pair.b.ask(RequestKind.FORCE_ACTIVATE, word="right").accepted
    pair.until(lambda: (pair.a.phase, pair.b.phase) == ("active", "active"))
    for head in pair.both():
        pair.until(lambda head=head: "DISAGREE_VIP" in head.reasons())
    pair.until(lambda: (status := pair.b.status()) is not None and (status.carp[0].role, status.carp[0].heard > 0))
    assert pair.a.until_reset() == "the daemon asked for it"
    assert codes(pair.a, "halted") == ["UNPROVEN"]
    assert pair.b.went() == ["standby", "claiming", "importing", "active"]
    pair.until(lambda: "DISAGREE_VIP" not in pair.b.reasons())
    with pair.client() as client:
        client.until_answered()


def test_never_to_a_side_that_is_worse_or_as_bad(pair: Pair) -> None:
    pair.settle()
    pair.fault("cut", "b-net0")
    pair.until(lambda: "REM_GROUP_DOWN" in pair.a.reasons())
    pair.fault("cut", "a-net0")
    pair.until(lambda: {"GROUP_DOWN", "REM_GROUP_DOWN"} <= pair.a.reasons())
    answer = pair.a.ask(RequestKind.SWITCHOVER)
    # A person may move to a side that is as bad.
    assert answer.accepted, answer
    pair.until(lambda: (pair.a.phase, pair.b.phase) == ("standby", "active"))
    pair.until_ready()
    pair.fault("join", "a-net0")
    pair.until_phases(a="active", b="standby")
    assert codes(pair.b, "releasing") == ["GROUPS_DOWN"]
    assert pair.a.on and pair.b.on


def test_the_budget_of_moves_ends_a_flapping(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, limits=replace(ORDERS.limits, moves=1)))
    pair.settle()
    # The first active controller has begun one already: when nobody owned the pools.
    pair.until(lambda: "FLAPPING" in pair.a.reasons())
    pair.fault("cut", "a-net0")
    pair.until(lambda: {"GROUP_DOWN", "FLAPPING"} <= pair.a.reasons())
    pair.fault("power-off", "a")
    pair.until_phases(b="active")
    pair.fault("boot", "a")
    pair.fault("join", "a-net0")
    pair.until_phases(a="standby")
    # What a spent outlives its reset, and b has spent its own now.
    pair.until(lambda: all("FLAPPING" in head.reasons() for head in pair.both()))
    pair.fault("power-off", "b")
    until_silent_for(pair, pair.a, LONG_MS)
    assert pair.a.phase == "standby"
    assert pair.a.ask(RequestKind.FORCE_ACTIVATE, word="left").accepted
    pair.until_phases(a="active")


def test_the_default_controller_is_the_one_of_the_orders(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, default=Side.B))
    pair.boot()
    pair.until_phases(a="standby", b="active")
    assert codes(pair.b, "claiming") == ["NO_OWNER"]
