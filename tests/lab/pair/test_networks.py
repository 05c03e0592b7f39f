"""Which controller serves when the clients' networks fail at one of them: failover groups, half and wholly down.

net0 and net1 are one group, net2 is another one; link0 is the interlink. Each test ends with `verify`.
"""

from __future__ import annotations

import pytest

from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.head import LINK0, NET0, NET1, NET2, Head

pytestmark = pytest.mark.timeout(1_800)


def groups_down(head: Head) -> str:
    """Return what it says of its groups that are down."""
    return ", ".join(reason.text for reason in head.known().reasons if reason.code == "GROUP_DOWN")


def for_several_beats(pair: EmulatedPair) -> None:
    """Wait long enough for a wrong failover to begin."""
    timers = pair.orders.timers
    pair.pass_time((2 * timers.settle_ms + 5 * timers.beat_ms) / 1_000)


def test_a_group_moves_the_pair_when_all_of_it_is_down_and_not_before(pair: EmulatedPair) -> None:
    old, new, mark = pair.roles()
    olds = old.mark()
    with pair.client() as client:
        client.until_answered()
        with pair.no_failover():
            old.cable(NET1, plugged=False)
            old.machine.until("[ $(cat /sys/class/net/eth2/carrier) = 0 ]")
            for_several_beats(pair)
            assert groups_down(old) == ""
            client.until_answered()
        pair.say("half of the group is down: nobody moved")
        old.cable(NET0, plugged=False)
        pair.taken_over(new, mark)
        client.until_answered()
    pair.tell(old, olds)
    pair.say(f"silence of the client {client.silence_ms:.0f} ms")
    assert old.codes(olds, "releasing") == ["GROUPS_DOWN"]
    assert set(new.codes(mark, "claiming")) == {"HANDED"}
    assert old.on, "nothing is reset where both hear one another"
    assert pair.well() is new
    with pair.no_failover():
        for nic in (NET0, NET1):
            old.cable(nic, plugged=True)
        pair.until(lambda: groups_down(old) == "", "the group is up again")
        for_several_beats(pair)
    assert pair.verify() is new


def test_a_critical_interface_that_is_a_group_of_its_own_moves_the_pair(pair: EmulatedPair) -> None:
    old, new, mark = pair.roles()
    olds = old.mark()
    with pair.client() as client:
        client.until_answered()
        old.cable(NET2, plugged=False)
        pair.taken_over(new, mark)
        client.until_answered()
        pair.say(f"silence of the client {client.silence_ms:.0f} ms")
        assert old.codes(olds, "releasing") == ["GROUPS_DOWN"]
        assert old.on
        assert pair.well() is new
        with pair.no_failover():
            new.cable(NET2, plugged=False)
            pair.until(lambda: all("group 2" in groups_down(head) for head in pair.heads), "it is down at both")
            for_several_beats(pair)
            client.until_answered()
        pair.say("down at both: nobody moved")
        with pair.no_failover():
            new.cable(NET2, plugged=True)
            old.cable(NET2, plugged=True)
            pair.until(lambda: not any(groups_down(head) for head in pair.heads), "it is up again at both")
            for_several_beats(pair)
    assert pair.verify() is new


def test_an_active_controller_without_any_network_lets_go_by_the_disks(pair: EmulatedPair) -> None:
    old, new, mark = pair.roles()
    olds = old.mark()
    with pair.client() as client:
        client.until_answered()
        with pair.no_failover():
            for nic in (LINK0, NET0):
                old.cable(nic, plugged=False)
            pair.until(lambda: all({"link0", "net0"} <= head.silent() for head in pair.heads), "both hear nothing")
        pair.say("they hear nothing of one another: nobody moved, for clients reach the active one on other networks")
        for nic in (NET1, NET2):
            old.cable(nic, plugged=False)
        pair.taken_over(new, mark)
        client.until_answered()
    pair.tell(old, olds)
    pair.say(f"silence of the client {client.silence_ms:.0f} ms")
    assert old.codes(olds, "releasing") == ["ISOLATED"]
    assert set(new.codes(mark, "claiming")) == {"HANDED"}
    assert old.on, "it let go of everything in time"
    assert pair.verify() is new
