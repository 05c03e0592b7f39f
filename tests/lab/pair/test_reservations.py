"""Real SCSI disks, reached by two machines: the suite of shelves, and tests that need real disks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.core.failover.ports import Written, answered
from reconciler.core.failover.reservations.claim import Answer, Command, Verb
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import DiskView, Fence, Hold, fence, judge
from tests.lab.image import image
from tests.lab.pair.lab_rig import LabRig, told_to_a_rig
from tests.lab.pair.shelf_pair import BY_ID, ShelfPair
from tests.system.shelf import test_conformance as suite
from tests.system.shelf.rig import DISKS, orders
from tests.system.shelf.test_conformance import ask, comes, hold, sectors

#: These tests need APTPL, which this target lacks.
LACKING = {"test_reservations_outlive_a_power_cycle_and_attention_is_no_answer"}
globals().update(told_to_a_rig(suite, without=LACKING))
A = Key(Side.A, 7)
LONG_S = 30.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShelfPair]:
    made = ShelfPair(image(storage=True), tmp_path_factory.mktemp("shelf"), DISKS)
    yield made
    made.close()


# Tests that need real disks ------------------------------------------------------------------------------------------


def test_two_whole_claims_race_and_at_most_one_holds(rig: LabRig) -> None:
    shelves = {side: rig.open(side)[0] for side in Side}
    winners = []
    with ThreadPoolExecutor(2) as threads:
        for epoch in range(1, 9):
            running = {side: threads.submit(shelf.claim, Key(side, epoch)) for side, shelf in shelves.items()}
            views = {side: future.result()[0] for side, future in running.items()}
            held = [side for side in Side if fence(orders(side), epoch, views[side], frozenset())[0] is Fence.HOLDS]
            assert len(held) <= 1
            winners += held
    assert winners, "not every race ends without a winner"


def test_the_kernel_of_a_fenced_machine_refuses_its_writes(rig: LabRig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    ours.claim(Key(Side.A, 1))
    write = f"dd if=/dev/zero of={BY_ID}/disk0 bs=4k count=1 seek=2000 oflag=direct conv=notrunc"
    assert rig.pair.heads[Side.A].machine.run(write).status == 0
    theirs.claim(Key(Side.B, 2))
    refused = rig.pair.heads[Side.A].machine.run(write)
    assert refused.status != 0
    assert "Invalid exchange" in refused.err, "EBADE"
    assert rig.pair.heads[Side.B].machine.run(write).status == 0


def test_a_unit_attention_is_no_answer(rig: LabRig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    turs = f"sg_turs {BY_ID}/disk0"
    for attempt in range(2):
        ours.claim(Key(Side.A, 2 * attempt + 1))
        theirs.claim(Key(Side.B, 2 * attempt + 2))
        if attempt == 0:
            first = rig.pair.heads[Side.A].machine.run(turs)
            assert first.status == 6, f"there is an attention, and a plain program is told of it: {first.err}"
    assert ask(ours, Verb.REGISTER, Key(Side.A, 9)) is Answer.GOOD
    assert ours.look(LONG_S)[0].registered == {Key(Side.A, 9), Key(Side.B, 4)}


def test_what_a_target_lacks_is_known(rig: LabRig) -> None:
    shelf = rig.open(Side.A)[0]
    for text in shelf.survey():
        assert "persists=False" in text
        assert "aborts=False" in text
        assert "trouble='', records=''" in text


def test_a_machine_that_restarts_is_a_stranger_to_its_own_key(rig: LabRig) -> None:
    head = rig.pair.heads[Side.A]
    rig.open(Side.A)[0].claim(Key(Side.A, 1))
    rig.shelves.clear()
    head.machine.close()
    head.start()
    shelf = rig.open(Side.A)[0]
    assert judge(orders(Side.A), 1, shelf.look(LONG_S)).hold is Hold.OURS, "the old key stays"
    assert shelf.write_record(sectors(b"a"), LONG_S) is Written.CONFLICT, "and lets nobody write"
    views, _ = shelf.claim(Key(Side.A, 2))
    assert fence(orders(Side.A), 2, views, frozenset()) == (Fence.HOLDS, ())
    assert all(view.registered == {Key(Side.A, 2)} for view in views)
    assert shelf.write_record(sectors(b"b"), LONG_S) is Written.GOOD
    assert comes(rig.open(Side.B)[0], *sectors(b"b"))


def test_a_machine_that_was_frozen_finds_itself_fenced(rig: LabRig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    ours.claim(Key(Side.A, 1))
    assert ours.write_record(sectors(b"a"), LONG_S) is Written.GOOD
    rig.pair.heads[Side.A].machine.monitor("stop")
    views, _ = theirs.claim(Key(Side.B, 2))
    rig.pair.heads[Side.A].machine.monitor("cont")
    assert fence(orders(Side.B), 2, views, frozenset()) == (Fence.HOLDS, ())
    assert ours.write_record(sectors(b"late"), LONG_S) is Written.CONFLICT
    assert judge(orders(Side.A), 1, ours.look(LONG_S)).hold is Hold.LOST


def test_foreign_programs_and_ours_see_the_same(rig: LabRig) -> None:
    ours = rig.open(Side.A)[0]
    hold(ours, A)
    # Plain programs fail at a unit attention; the next try succeeds.
    again = f"for n in 1 2 3 4; do sg_persist --no-inquiry %s {BY_ID}/disk0 && break; done"
    shown = rig.pair.heads[Side.B].machine.check(again % "--in --read-reservation")
    assert "0x6867010000000007" in shown
    assert "Write Exclusive, registrants only" in shown
    rig.pair.heads[Side.B].machine.check(again % "--out --register-ignore --param-sark=0xabc")
    assert answered(ours, Command(Verb.LOOK, 0, A), LONG_S).view == DiskView(True, A, frozenset({A, Key(None, 0xABC)}))
