"""An import that computes for longer than its limit goes on; one that stands still ends in a reset.

zpool(8) lists all filesystems from memory before it mounts the first. With many of them an emulated processor computes
for longer than the limit of the import, and the disks have nothing to do. `FILESYSTEMS=1000` makes more of them, for a
faster host.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Final

import pytest

from reconciler.core.failover.orders.orders import Orders
from tests.lab.image import Image
from tests.lab.pair.emulated_pair import ORDERS, EmulatedPair
from tests.lab.pair.head import Head

pytestmark = pytest.mark.timeout(5_400)
FILESYSTEMS: Final = int(os.environ.get("FILESYSTEMS", "400"))
LIMIT_MS: Final = 20_000
#: To make or mount all filesystems on an emulated processor.
LONG_S: Final = 1_800.0
#: What IMPORT_SLOW says.
EVIDENCE: Final = re.compile(
    r"(?P<lasts>\d+) ms so far.*pools here: (?P<pools>\d+), filesystems mounted: (?P<mounts>\d+), "
    r"disk requests: (?P<requests>\d+), processor time: (?P<used>[\d.]+) s"
)


@pytest.fixture(scope="module")
def pair_orders() -> Orders:
    """Return orders with a short limit of the import.

    While all filesystems are mounted, an emulated processor hears its disks too late to prove its reservation.
    """
    proof_ms = 60_000
    patience_ms = ORDERS.timers.patience_ms + proof_ms
    return replace(
        ORDERS, timers=replace(ORDERS.timers, import_ms=LIMIT_MS, proof_ms=proof_ms, patience_ms=patience_ms)
    )


class LargeHead(Head):
    """A controller whose kernel has room for all mounts."""

    memory_mib = 3_072


@pytest.fixture(scope="module")
def one_pair(
    storage_image: Image,
    progress: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
    pair_orders: Orders,
) -> Iterator[EmulatedPair]:
    """Yield the pair of this module."""
    place = tmp_path_factory.mktemp("pair")
    with EmulatedPair(storage_image, place, progress, pair_orders, kind=LargeHead) as made:
        yield made


def fill(pair: EmulatedPair, head: Head) -> None:
    """Make the filesystems; what exists already stays."""
    head.machine.check(head.python("tests.lab.pair.filesystem_maker", "tank/home", str(FILESYSTEMS)), LONG_S)
    head.machine.check("zpool sync tank")
    pair.say(f"{FILESYSTEMS} filesystems are made")


def slow(head: Head) -> Mapping[str, str] | None:
    """Return what the status says of a slow import; None without one."""
    status = head.status()
    found = [reason.evidence for reason in status.reasons if reason.code == "IMPORT_SLOW"] if status else []
    said = EVIDENCE.search(found[0]) if found else None
    assert said is not None or not found, found
    return said.groupdict() if said is not None else None


def computed_ms(told: list[Mapping[str, str]]) -> int:
    """Return for how long an import was seen to change nothing, neither pools nor mounts nor disks."""
    spans = []
    for _, group in groupby(told, lambda one: (one["pools"], one["mounts"], one["requests"])):
        moments = [int(one["lasts"]) for one in group]
        spans.append(moments[-1] - moments[0])
    return max(spans)


def test_an_import_that_computes_is_not_ended(pair: EmulatedPair) -> None:
    old, new, mark = pair.roles()
    fill(pair, old)
    old.pull_the_plug()
    told: list[Mapping[str, str]] = []

    def served() -> bool:
        assert new.on, f"{new.side} reset itself: {new.codes(mark, 'halted')}\n{pair.describe()}"
        if (now := slow(new)) is not None and now not in told:
            told.append(now)
        return new.phase == "active"

    pair.until(served, f"{new.side} imports", LONG_S)
    assert told, "the import was not slow: it needs more FILESYSTEMS"
    last = told[-1]
    pair.say(
        f"slow from {told[0]['lasts']} to {last['lasts']} ms, {last['mounts']} filesystems mounted, "
        f"{last['used']} s of processor time; {computed_ms(told)} ms of this changed neither disks nor mounts"
    )
    assert new.codes(mark, "halted") == []
    pair.taken_over(new, mark)
    assert int(new.machine.check("grep -c ' /tank/home/' /proc/mounts")) == FILESYSTEMS
    assert pair.verify() is new


def test_an_import_that_stands_still_ends_in_a_reset(pair: EmulatedPair) -> None:
    old, new, mark = pair.roles()
    fill(pair, old)
    old.pull_the_plug()
    pair.until(
        lambda: new.machine.run("pkill -STOP -f '^zpool import'").status == 0,
        "the importing program is stopped",
        LONG_S,
    )
    pair.say("the importing program is stopped")
    new.until_off(LONG_S)
    halted = [event for event in new.events(mark) if event.mark == "phase" and event.new == "halted"]
    assert [event.code for event in halted] == ["IMPORT_HUNG"], pair.describe()
    pair.say(halted[0].text)
    since = old.mark()
    pair.boot(old)
    pair.until(lambda: old.phase == "active" or not old.on, f"{old.side} imports", LONG_S)
    assert old.on, f"{old.side} reset itself: {old.codes(since, 'halted')}\n{pair.describe()}"
    pair.taken_over(old, since)
    assert pair.verify() is old
