"""The status of virtual addresses that are in the wrong place, and of other machines that answer for them."""

from __future__ import annotations

from dataclasses import replace

from reconciler.cli.watchdog_text import status_lines
from reconciler.core.status.watchdog import WEAKENING, AddressStatus, PairVerdict, ReasonStatus, WatchdogStatus
from reconciler.system.watchdog_client import StatusReading
from tests.standings import standing_of, told

ADDRESS = AddressStatus(address="10.0.0.10", interface="net0", wanted=True, present=True)


def status_with(address: AddressStatus, side: str = "a") -> WatchdogStatus:
    return standing_of(told(), side, addresses=(address,))


def duplicate(address: AddressStatus) -> ReasonStatus:
    (reason,) = (one for one in status_with(address).reasons if one.code == "DUPLICATE_ADDRESS")
    return reason


def test_the_peer_that_answers_too_is_no_stranger() -> None:
    reason = duplicate(replace(ADDRESS, duplicate="02:00:00:00:00:0b", duplicate_age_ms=4_200, of_the_peer=True))
    assert reason.text == "the peer also answers for the virtual address 10.0.0.10"
    assert reason.evidence == "02:00:00:00:00:0b on net0, heard 4 s ago"
    assert "hagit status" in reason.remedy and "wait" in reason.remedy


def test_a_stranger_is_named_by_its_mac_and_by_when_it_was_heard() -> None:
    reason = duplicate(replace(ADDRESS, duplicate="02:00:00:00:66:66", duplicate_age_ms=21_000))
    assert reason.text.startswith("another machine also answers")
    assert reason.evidence == "02:00:00:00:66:66 on net0, heard 21 s ago"
    assert "find the machine" in reason.remedy
    assert status_with(replace(ADDRESS, duplicate="02:00:00:00:66:66")).verdict == PairVerdict.ACTIVE.value


def test_an_address_on_the_standby_is_said_to_be_here() -> None:
    world = told()
    side = next(side for side in "ab" if standing_of(world, side).phase == "standby")
    status = standing_of(world, side, addresses=(replace(ADDRESS, wanted=False),))
    lines = "\n".join(status_lines(StatusReading(status)))
    assert "10.0.0.10 on net0: here, although this controller is on standby" in lines
    status = standing_of(world, side, addresses=(replace(ADDRESS, wanted=False, present=False),))
    lines = "\n".join(status_lines(StatusReading(status)))
    assert "10.0.0.10 on net0: not here" in lines
    assert "ADDRESS_PROBLEM" in WEAKENING
