"""The watchdog's status document: real states survive the way, and no damage of it raises."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.failover.machine.phase import Phase
from reconciler.core.status.plain_document import ITEMS_MAX, TEXT_LENGTH_MAX, Damage
from reconciler.core.status.watchdog import (
    STALE_MS,
    CarpStatus,
    OverrideStatus,
    PairVerdict,
    ReasonStatus,
    WatchdogStatus,
    is_stale,
    judge,
    watchdog_document,
    watchdog_from_document,
)
from tests.standings import BOOT, SWITCHOVER, no_orders, standing_of, told

STORIES = [
    (),
    ("at 12s cable-pull interlink",),
    ("at 12s all-cables",),
    ("at 12s disable",),
    ("at 12s disks-lost b",),
    ("at 12s maintenance a 60000",),
    ("at 12s power-loss b",),
    ("at 19900ms switchover",),
]
#: A document with something in every field.
FULL = standing_of(
    told("at 12s cable-pull interlink", "at 13s maintenance a 60000", "at 15s disk-gone disk1"),
    carp=(CarpStatus(interface="net0", vhid=20, role="MASTER", sent=40, heard_age_ms=90_000, bad=1, bad_age_ms=5),),
    override=OverrideStatus(enabled=False, left_ms=60_000),
    done=(SWITCHOVER,),
    refused="generation 3 here is older",
    more=(ReasonStatus(code="OTHER", text="something else"),),
    failovers=2,
    lateness_ms_max=7,
)
WRONG: list[Any] = [None, [], {}, "", "x" * 2_000, 10**30, True, 1.5, -1, ["x"], {"a": 1}, [[]] * 600]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: " ".join(story) or "quiet")
@pytest.mark.parametrize("side", ["a", "b"])
def test_every_standing_survives_the_way(story: tuple[str, ...], side: str) -> None:
    world = told(*story)
    if story and story[0].endswith(f"power-loss {side}"):
        return
    status = standing_of(world, side)
    assert watchdog_from_document(json.loads(json.dumps(watchdog_document(status)))) == status


def test_a_document_with_everything_and_one_without_orders() -> None:
    for status in (FULL, no_orders()):
        assert watchdog_from_document(json.loads(json.dumps(watchdog_document(status)))) == status
    assert {"MAINTENANCE", "OVERRIDE", "ORDERS_REFUSED", "NO_HEARTBEAT", "CARP_PASSWORD", "DISKS_OUT", "OTHER"} <= {
        reason.code for reason in FULL.reasons
    }
    assert no_orders().verdict == PairVerdict.UNAVAILABLE


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def test_no_damage_raises() -> None:
    whole = json.loads(json.dumps(watchdog_document(FULL)))
    found = {WatchdogStatus: 0, Damage: 0}
    for place in places(whole):
        for wrong in (*WRONG, "gone"):
            document = copy.deepcopy(whole)
            inner = document
            for key in place[:-1]:
                inner = inner[key]
            if wrong == "gone":
                del inner[place[-1]]
            else:
                inner[place[-1]] = wrong
            found[type(watchdog_from_document(document))] += 1
    assert found[Damage] > found[WatchdogStatus] > 0
    for wrong in WRONG:
        assert isinstance(watchdog_from_document(wrong), Damage)


@pytest.mark.parametrize(
    ("place", "wrong", "says"),
    [
        (("format",), "hagit.agent/1", "document.format: is not hagit.watchdog/1"),
        (("orders", "here"), True, "document.orders.here: is not a whole number"),
        (("channels", 1, "age_ms"), "5", "document.channels[1].age_ms: is not a whole number"),
        (("reasons",), [{}] * (ITEMS_MAX + 1), f"document.reasons: has {ITEMS_MAX + 1} items, at most {ITEMS_MAX}"),
        (("why",), "x" * (TEXT_LENGTH_MAX + 1), f"document.why: is longer than {TEXT_LENGTH_MAX} characters"),
        (("at_ms",), 1 << 63, "document.at_ms: does not fit 64 bits"),
        (("record",), 5, "document.record: is not an object"),
    ],
)
def test_damage_says_where(place: tuple[Any, ...], wrong: Any, says: str) -> None:
    document = json.loads(json.dumps(watchdog_document(FULL)))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = wrong
    assert str(watchdog_from_document(document)) == says


def test_what_is_too_long_is_cut_and_can_be_read() -> None:
    long = replace(FULL, why="x" * 5_000, reasons=(FULL.reasons[0],) * 1_000)
    read = watchdog_from_document(json.loads(json.dumps(watchdog_document(long))))
    assert isinstance(read, WatchdogStatus)
    assert (len(read.why), read.why[-1], len(read.reasons)) == (TEXT_LENGTH_MAX, "…", ITEMS_MAX)


def test_a_newer_document_is_read() -> None:
    document = watchdog_document(FULL) | {"moon_phase": "full"}
    assert isinstance(watchdog_from_document(json.loads(json.dumps(document))), WatchdogStatus)


def test_how_old_a_document_may_be() -> None:
    status = standing_of(told(), now_ms=100_000)
    assert not is_stale(status, BOOT, 100_000 + STALE_MS)
    assert is_stale(status, BOOT, 100_001 + STALE_MS)
    assert is_stale(status, "another boot", 100_000)


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        ((), PairVerdict.ACTIVE),
        (("NO_HEARTBEAT", "DISKS_OUT"), PairVerdict.ACTIVE),
        (("NO_HEARTBEAT", "NO_PONG"), PairVerdict.UNAVAILABLE),
        (("NO_FAILOVER", "REM_NOT_ABLE"), PairVerdict.DISABLED),
        (("MAINTENANCE",), PairVerdict.DISABLED),
        (("LOC_FAILOVER_ONGOING", "NO_FAILOVER"), PairVerdict.MOVING),
        (("REM_FAILOVER_ONGOING", "NO_PONG"), PairVerdict.MOVING),
        (("SOMETHING_NEW",), PairVerdict.UNAVAILABLE),
    ],
)
def test_the_verdict(codes: tuple[str, ...], verdict: PairVerdict) -> None:
    assert judge(frozenset(codes)) is verdict


@pytest.mark.parametrize(
    ("story", "side", "says"),
    [
        ((), "a", ()),
        ((), "b", ("this controller is not active",)),
        (("at 12s all-cables",), "a", ("the peer is not heard on any network",)),
        (("at 12s disks-lost b",), "a", ("the peer does not see enough of the disks",)),
        (("at 12s nics-down b",), "a", ("a failover group is down at the peer that is up here",)),
        (("at 12s disable",), "a", ("failover is disabled",)),
    ],
)
def test_every_obstacle_of_a_switchover(story: tuple[str, ...], side: str, says: tuple[str, ...]) -> None:
    readiness = standing_of(told(*story), side).readiness
    assert readiness.ready is not bool(says)
    assert set(says) <= set(readiness.obstacles)


def test_both_advertise() -> None:
    heard = CarpStatus(interface="net0", vhid=20, role="MASTER", heard=9, heard_age_ms=100)
    status = standing_of(told(), carp=(heard,))
    assert [reason.code for reason in status.reasons] == ["DISAGREE_VIP"]
    assert not standing_of(told(), "b", carp=(heard,)).reasons, "the standby hears the active, as it should"


def test_a_halted_controller_says_so() -> None:
    status = standing_of(told("at 11s reset-fails b", "at 12s import-by-hand b", until="13s"), "b")
    assert (status.phase, status.role, status.verdict) == (Phase.HALTED.value, "ERROR", PairVerdict.UNAVAILABLE)
