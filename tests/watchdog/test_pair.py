"""The pair as a whole: boots to one active controller, and what happens to either is survived as the design says."""

import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.core.failover.reservations.claim import Answer, Command, Verb
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.status.watchdog import PairVerdict
from reconciler.system.control_protocol import RequestKind
from reconciler.system.shelf.simulated_shelf import SimulatedShelf
from tests.wait import DEADLINE_S
from tests.watchdog.pair import LENIENT, ORDERS, PATIENT, VIRTUAL4, VIRTUAL6, Pair


def test_both_boot_to_one_active_controller(pair: Pair) -> None:
    pair.boot()
    pair.until_phases(a="active", b="standby")
    pair.until(lambda: pair.a.serves)
    pair.until_ready()
    assert not {VIRTUAL4, VIRTUAL6} & pair.b.addresses()
    pair.until(lambda: (status := pair.b.status()) is not None and status.carp[0].role == "BACKUP")
    here = pair.a.status()
    assert here is not None
    assert (here.role, here.peer.phase, here.orders.equal, here.deadman.state) == ("MASTER", "standby", True, "fed")
    assert here.carp[0].role == "MASTER" and here.carp[0].sent > 0
    for address in (VIRTUAL4, VIRTUAL6):
        with pair.client(address) as client:
            client.until_answered()


def test_a_controller_without_a_deadman_is_known_as_such_to_both(pair: Pair) -> None:
    node = pair.a.node
    node.write_text(node.read_text().replace('deadman = "deadman.sock"', "deadman = false"))
    pair.settle()
    pair.until(lambda: "NO_DEADMAN" in pair.a.reasons() and "PEER_UNGUARDED" in pair.b.reasons())
    assert "PEER_UNGUARDED" not in pair.a.reasons() and "NO_DEADMAN" not in pair.b.reasons()
    # The fence reaches every disk, so nothing rests on a deadman.
    pair.fault("power-off", "a")
    pair.until_phases(b="active")


@pytest.mark.parametrize("letter", ["a", "b"])
def test_a_killed_daemon_comes_back_and_nobody_notices(make_pair: Callable[..., Pair], letter: str) -> None:
    pair = make_pair(replace(ORDERS, timers=PATIENT))
    pair.settle()
    head, phase = pair.head(letter), pair.head(letter).phase
    with pair.client() as client:
        pair.fault("kill", letter)
        pair.fault("restart", letter)
        pair.until(lambda: head.phase == phase)
        pair.until_ready()
        client.until_answered()
    # Told after it has happened: the disk may be slow.
    pair.until(lambda: pair.b.went() == ["standby"] * (2 if letter == "b" else 1))
    assert "addresses-down" not in [line["mark"] for line in pair.a.timeline()]
    assert pair.a.on and pair.b.on


def test_a_standby_takes_over_from_a_controller_without_power(pair: Pair) -> None:
    pair.settle()
    with pair.client() as client:
        client.until_answered()
        pair.fault("power-off", "a")
        pair.until_phases(b="active")
        client.until_answered()
    status = pair.b.status()
    assert status is not None and status.failover is not None
    pair.until(lambda: pair.b.serves)
    assert status.failover.code == "PEER_SILENT" and (status.failover.detection_ms or 0) >= ORDERS.timers.silence_ms
    pair.fault("boot", "a")
    pair.until_phases(a="standby", b="active")
    pair.until_ready()


def test_a_daemon_that_dies_for_good_takes_its_controller_along(pair: Pair) -> None:
    pair.settle()
    pair.fault("kill", "a")
    pair.until_phases(b="active")
    assert pair.a.until_reset() == "the deadman was not fed"
    with pair.client() as client:
        client.until_answered()
    pair.fault("boot", "a")
    pair.until_phases(a="standby", b="active")
    assert "the deadman was not fed" in (pair.a.state / "watchdog" / "resets.json").read_text()


def test_a_daemon_that_wakes_after_a_takeover_finds_itself_fenced_and_resets(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, timers=LENIENT))
    pair.settle()
    pair.fault("pause", "a")
    pair.until_phases(b="active")
    pair.fault("resume", "a")
    assert pair.a.until_reset() == "the daemon asked for it"
    pair.until(lambda: pair.a.went()[-1] == "halted")
    assert "FENCED" in [line["code"] for line in pair.a.timeline()]
    assert "the reservation is lost" in (pair.a.state / "watchdog" / "resets.json").read_text()
    with pair.client() as client:
        client.until_answered()


def test_a_daemon_that_never_wakes_is_reset_by_its_deadman(pair: Pair) -> None:
    pair.settle()
    pair.fault("pause", "a")
    assert pair.a.until_reset() == "the deadman was not fed"
    pair.until_phases(b="active")


def test_a_short_pause_disturbs_nobody(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, timers=LENIENT))
    pair.settle()
    pair.fault("pause", "b")
    pair.until(lambda: "NO_PONG" in pair.a.reasons())
    pair.fault("resume", "b")
    pair.until_phases(a="active", b="standby")
    pair.until_ready()
    assert pair.b.went() == ["standby"]


def test_a_cut_interlink_moves_nobody_and_is_told(pair: Pair) -> None:
    pair.settle()
    pair.fault("cut", "link0")
    for head in pair.both():
        pair.until(lambda head=head: "NO_HEARTBEAT" in head.reasons())
    assert (pair.a.phase, pair.b.phase) == ("active", "standby")
    pair.fault("join", "link0")
    for head in pair.both():
        pair.until(lambda head=head: "NO_HEARTBEAT" not in head.reasons())
    assert pair.b.went() == ["standby"]


def test_every_network_cut_and_the_disks_alive_moves_nobody(pair: Pair) -> None:
    # Without a group no controller blames itself for what is silent.
    pair.publish(groups=())
    pair.settle()
    pair.fault("cut", "link0", "a-net0", "b-net0")
    pair.until(lambda: "ISOLATED" in pair.b.reasons())
    pair.fault("join", "link0", "a-net0", "b-net0")
    pair.until_ready()
    assert pair.b.went() == ["standby"]


def test_the_controller_whose_group_is_down_hands_over(pair: Pair) -> None:
    pair.settle()
    with pair.client() as client:
        pair.fault("cut", "a-net0")
        pair.until_phases(a="standby", b="active")
        client.until_answered()
    assert [line["code"] for line in pair.a.timeline() if line["new"] == "releasing"] == ["GROUPS_DOWN"]


def test_a_switchover_by_hand_and_back(pair: Pair) -> None:
    pair.settle()
    with pair.client() as client:
        for giver, taker in ((pair.a, pair.b), (pair.b, pair.a)):
            assert not taker.ask(RequestKind.SWITCHOVER).accepted
            answer = giver.ask(RequestKind.SWITCHOVER)
            assert answer.accepted, answer
            pair.until(lambda giver=giver, taker=taker: (giver.phase, taker.phase) == ("standby", "active"))
            client.until_answered()
            pair.until_ready()
    assert pair.a.on and pair.b.on
    asked = [line for line in pair.a.timeline() if line["mark"] == "asked"]
    assert asked and "user 0" in asked[0]["evidence"]


def test_a_virtual_address_that_somebody_deletes_is_back(pair: Pair) -> None:
    pair.settle()
    pair.a.room.ip(f"address del {VIRTUAL4}/32 dev net0", f"address del {VIRTUAL6}/128 dev net0")
    pair.until(lambda: pair.a.serves)
    with pair.client() as client:
        client.until_answered()


def test_disabled_pairs_wait_for_a_person(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(replace(ORDERS, enabled=False))
    pair.boot()
    pair.until_phases(a="standby", b="standby")
    for head in pair.both():
        pair.until(lambda head=head: "NO_FAILOVER" in head.reasons() and "NO_HEARTBEAT" not in head.reasons())
    refused = pair.b.ask(RequestKind.FORCE_ACTIVATE, word="left")
    assert (refused.accepted, refused.code) == (False, "WORD")
    enabled = pair.b.ask(RequestKind.OVERRIDE, enabled=True, duration_ms=60_000)
    assert (enabled.accepted, enabled.code) == (False, "DISABLED")
    pair.until(lambda: pair.b.ask(RequestKind.FORCE_ACTIVATE, word="right").accepted)
    pair.until_phases(a="standby", b="active")


def test_maintenance_outlives_a_restart_and_ends_when_told(pair: Pair) -> None:
    pair.settle()
    assert pair.b.ask(RequestKind.OVERRIDE, enabled=False, duration_ms=600_000).accepted
    assert "OVERRIDE" in pair.b.reasons()
    assert pair.b.stop() == 0
    pair.fault("restart", "b")
    pair.until(lambda: "OVERRIDE" in pair.b.reasons())
    pair.until_phases(b="standby")
    pair.fault("power-off", "a")
    pair.until(lambda: {"NO_PONG", "MAINTENANCE"} <= pair.b.reasons())
    assert pair.b.phase == "standby"
    assert pair.b.ask(RequestKind.OVERRIDE, end=True).accepted
    pair.until_phases(b="active")


def test_an_orderly_stop_of_a_standby_disarms_its_deadman(pair: Pair) -> None:
    pair.settle()
    pair.b.signal(signal.SIGHUP)
    assert pair.b.stop() == 0
    pair.until(lambda: "NO_PONG" in pair.a.reasons())
    assert pair.b.box is not None
    with pytest.raises(AssertionError, match="in vain"):
        pair.b.until_reset(ORDERS.timers.deadman_ms / 1_000 + 1)
    assert pair.a.phase == "active"


def test_a_daemon_that_cannot_remember_ends_before_it_acts(pair: Pair) -> None:
    # A directory where its memory belongs: nothing can be written there.
    (pair.a.run / "memory").mkdir()
    pair.a.boot()
    assert pair.a.daemon is not None
    assert pair.a.daemon.wait(DEADLINE_S) == 1
    assert "the watchdog ends in this state: State(" in pair.a.logs()
    assert pair.shelf.state()["pools"] == ["none", "none"]
    assert pair.a.until_reset() == "the deadman was not fed"


def test_who_else_is_registered_on_the_disks_of_the_active_controller_is_told(pair: Pair) -> None:
    pair.settle()
    shelf, stranger = SimulatedShelf(str(pair.a.shelf), Side.B, pair.orders), Key(Side.B, 1)
    try:
        assert shelf.perform((Command(Verb.REGISTER, 3, stranger),), DEADLINE_S)[0].answer is Answer.GOOD
        pair.until(lambda: "DISKS_UNFENCED" in pair.a.reasons())
        status = pair.a.status()
        assert status is not None and status.verdict == PairVerdict.ACTIVE, "a failover still works"
        assert shelf.perform((Command(Verb.UNREGISTER, 3, stranger),), DEADLINE_S)[0].answer is Answer.GOOD
        pair.until(lambda: "DISKS_UNFENCED" not in pair.a.reasons())
    finally:
        shelf.close()


def test_why_pools_could_not_be_imported_is_told_until_somebody_has_them(pair: Pair) -> None:
    pair.settle()
    pair.shelf.inject("import-refused", "b")
    pair.a.pull_the_plug()
    pair.until(lambda: "POOLS_REFUSED" in pair.b.reasons())
    status = pair.b.status()
    assert status is not None
    assert next(one.evidence for one in status.reasons if one.code == "POOLS_REFUSED") == "the simulated pools refuse"
    pair.a.power_on()
    pair.a.start()
    pair.until(lambda: pair.a.phase == "active" and "POOLS_REFUSED" not in pair.b.reasons())
