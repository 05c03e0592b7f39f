"""The pair on a shelf with the kernel's own target, in its own machine: features that tgt lacks, and a loss of power.

It supports PREEMPT AND ABORT, READ FULL STATUS and APTPL.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab.image import Image
from tests.lab.kernel_target import KernelTarget
from tests.lab.machine import MachineError
from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.head import WAIT_S, Head
from tests.lab.pair.sg_persist import Reserved, asking, complaints, parse
from tests.lab.pair.test_scenarios import (
    test_a_frozen_controller_that_wakes_has_its_writes_refused_and_resets_itself,
    test_power_cut,
    test_switchover_under_load,
)

pytestmark = pytest.mark.timeout(1_800)
#: Scenarios of the pair that run on these disks as well.
__all__ = [
    "test_a_frozen_controller_that_wakes_has_its_writes_refused_and_resets_itself",
    "test_power_cut",
    "test_switchover_under_load",
]


@pytest.fixture(scope="module")
def whole(
    storage_image: Image, progress: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmulatedPair]:
    with EmulatedPair(storage_image, tmp_path_factory.mktemp("pair"), progress, shelf=KernelTarget) as made:
        yield made


@pytest.fixture
def pair(whole: EmulatedPair, request: pytest.FixtureRequest) -> EmulatedPair:
    whole.scenario(request.node.name)
    return whole


def shelf(pair: EmulatedPair) -> KernelTarget:
    assert isinstance(pair.target, KernelTarget)
    return pair.target


def reserved(pair: EmulatedPair, head: Head) -> tuple[Reserved, ...]:
    return parse(head.machine.check(asking(pair.orders.disks)))


def power_cycle(pair: EmulatedPair, *, keeps: bool) -> None:
    """Cut the shelf's power under load and restore it."""
    target = shelf(pair)
    cut_s = time.monotonic()
    target.power_off()
    if not keeps:
        target.forget()
    target.power_on()
    pair.say(f"the shelf had no power and booted for {time.monotonic() - cut_s:.1f} s")


def recovered(pair: EmulatedPair) -> Head:
    """Wait until one is active with every disk under its reservation, and the other ready; boots one that was reset."""

    def well() -> Head | None:
        for head in pair.heads:
            if not head.on:
                pair.say(f"{head.side} has reset itself, and is switched on")
                pair.boot(head)
        for head in pair.heads:
            if (head.phase, pair.other(head).phase) != ("active", "standby"):
                continue
            # It may reset itself during the request.
            with contextlib.suppress(MachineError):
                status = head.status()
                ready = status is not None and status.peer.phase == "standby" and status.peer.able
                if ready and complaints(reserved(pair, head), pair.orders.disks, head.side) == []:
                    return head
        return None

    found: Head = pair.until(well, "one is active again, the other ready", 2 * WAIT_S)
    return found


def told(pair: EmulatedPair, marks: list[int]) -> None:
    for head, mark in zip(pair.heads, marks, strict=True):
        pair.tell(head, mark)


def test_what_the_shelf_knows_is_used_and_said(pair: EmulatedPair) -> None:
    """No status mentions plain PREEMPT; registrations were made with APTPL; initiators have names."""
    active = pair.active()
    for head in pair.heads:
        command = head.python("reconciler.cli.entry", "reservations", "show", "-o", "json", "--node", "/root/node.toml")
        shown = json.loads(head.machine.check(command, WAIT_S))
        assert shown["well"], shown
        for disk in shown["disks"]:
            assert (disk["persists"], disk["persisting"], disk["notes"]) == (True, True, []), disk
            # This kernel does not report PREEMPT AND ABORT, and it does not deny it either.
            assert disk["aborts"] is not False, disk
            (initiator,) = disk["initiators"]
            assert initiator["who"].startswith(f"iqn.2026-01.lab:{active.side}"), disk
            assert initiator["holds"], disk
        text = head.machine.check(head.python("reconciler.cli.entry", "reservations", "--node", "/root/node.toml"))
        assert "PREEMPT" not in text and "loses power" not in text, text
        assert "PREEMPT" not in head.journal(), head.journal()
    assert pair.verify() is active


def test_a_power_cycle_of_the_shelf_that_keeps_reservations(pair: EmulatedPair) -> None:
    before = reserved(pair, pair.active())
    marks = [head.mark() for head in pair.heads]
    active = pair.active()
    power_cycle(pair, keeps=True)
    found = recovered(pair)
    told(pair, marks)
    if found is active and not [
        event for event in active.events(marks[pair.heads.index(active)]) if event.mark == "phase"
    ]:
        pair.say(f"{active.side} went on")
        assert reserved(pair, active) == before
    pair.write(found)
    assert pair.verify() is found


def test_a_power_cycle_of_the_shelf_that_forgets_reservations(pair: EmulatedPair) -> None:
    marks = [head.mark() for head in pair.heads]
    power_cycle(pair, keeps=False)
    found = recovered(pair)
    told(pair, marks)
    pair.write(found)
    assert pair.verify() is found
