"""The suite of shelves on the kernel's own target, which supports everything, and tests that tgt cannot run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.core.failover.ports import Written
from reconciler.core.failover.reservations.claim import Answer, Verb
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import DiskView, Fence, Hold, fence, judge
from tests.lab.image import image
from tests.lab.pair import test_reservations as on_the_light_target
from tests.lab.pair.kernel_pair import KernelPair
from tests.lab.pair.lab_rig import LabRig, told_to_a_rig
from tests.lab.pair.shelf_pair import BY_ID
from tests.system.shelf import test_conformance as suite
from tests.system.shelf.rig import DISKS, orders
from tests.system.shelf.test_conformance import A, B, ask, hold, sectors

#: This target lacks nothing; its ports stay the same after a restart; and one refusal has other words. See below.
OTHERWISE = {
    "test_what_a_target_lacks_is_known",
    "test_a_machine_that_restarts_is_a_stranger_to_its_own_key",
    "test_only_the_registered_reserve_and_only_what_nobody_holds",
}
globals().update(told_to_a_rig(suite, on_the_light_target, without=OTHERWISE))
LONG_S = 30.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelPair]:
    made = KernelPair(image(storage=True), tmp_path_factory.mktemp("shelf"), DISKS)
    yield made
    made.close()


def resets(pair: KernelPair, disk: str) -> int:
    """Return how often the target aborted all commands of a disk: here, only PREEMPT AND ABORT does that."""
    statistics = "/sys/kernel/config/target/core/iblock_0"
    return int(pair.target.machine.check(f"cat {statistics}/{disk}/statistics/scsi_lu/resets"))


def test_what_a_target_knows_is_known(rig: LabRig) -> None:
    """This kernel does not report PREEMPT AND ABORT: the adapter knows of it only after it has used it."""
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    ours.claim(Key(Side.A, 1))
    theirs.claim(Key(Side.B, 2))
    for text in theirs.survey():
        assert "persists=True, persisting=True, aborts=True" in text
        assert "who='iqn.2026-01.lab:side-b'" in text, "READ FULL STATUS names the initiator"
        assert "trouble='', records=''" in text
    for text in ours.survey():
        assert "persists=True, persisting=True, aborts=None" in text


def test_a_claim_aborts_what_the_owner_before_had_begun(rig: LabRig, pair: KernelPair) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    ours.claim(Key(Side.A, 1))
    before = {name: resets(pair, name) for name in DISKS}
    theirs.claim(Key(Side.B, 2))
    assert all(resets(pair, name) > before[name] for name in DISKS)


def test_a_shelf_that_kept_nothing_is_free(rig: LabRig, pair: KernelPair) -> None:
    shelf = rig.open(Side.A)[0]
    shelf.claim(Key(Side.A, 1))
    pair.target.power_off()
    pair.target.forget()
    pair.target.power_on()
    assert [(view.answered, view.holder, view.registered) for view in shelf.look(LONG_S)] == [
        (True, None, frozenset())
    ] * len(DISKS)
    assert ask(shelf, Verb.RESERVE, Key(Side.A, 1)) is not Answer.GOOD, "it has to register again"
    views = shelf.claim(Key(Side.A, 2))[0]
    assert fence(orders(Side.A), 2, views, frozenset()) == (Fence.HOLDS, ())


def test_only_the_registered_reserve_and_only_what_nobody_holds(rig: LabRig) -> None:
    """It refuses an unregistered initiator with NOT READY, which could mean anything, and not with a conflict."""
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    assert ask(ours, Verb.RESERVE, A) is Answer.SILENT
    assert ours.look(LONG_S)[0] == DiskView(True), "nothing has changed"
    hold(ours, A)
    assert ask(ours, Verb.RESERVE, A) is Answer.GOOD
    assert ask(theirs, Verb.REGISTER, B) is Answer.GOOD
    assert ask(theirs, Verb.RESERVE, B) is Answer.CONFLICT
    assert theirs.look(LONG_S)[0] == DiskView(True, A, frozenset({A, B}))


def test_a_machine_that_restarts_has_the_registration_that_it_had(rig: LabRig) -> None:
    head = rig.pair.heads[Side.A]
    rig.open(Side.A)[0].claim(Key(Side.A, 1))
    rig.shelves.clear()
    head.machine.close()
    head.start()
    shelf = rig.open(Side.A)[0]
    assert judge(orders(Side.A), 1, shelf.look(LONG_S)).hold is Hold.OURS
    assert shelf.write_record(sectors(b"a"), LONG_S) is Written.GOOD
    views, _ = shelf.claim(Key(Side.A, 2))
    assert fence(orders(Side.A), 2, views, frozenset()) == (Fence.HOLDS, ())
    assert all(view.registered == {Key(Side.A, 2)} for view in views)


def test_an_owner_writes_on_after_a_loss_of_power_without_registering_anew(rig: LabRig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    before = ours.claim(Key(Side.A, 1))[0]
    rig.power_cycle()
    write = f"dd if=/dev/zero of={BY_ID}/disk0 bs=4k count=1 seek=500 oflag=direct conv=notrunc"
    assert rig.pair.heads[Side.A].machine.run(write).status == 0
    assert "Invalid exchange" in rig.pair.heads[Side.B].machine.run(write).err, "EBADE"
    assert ours.look(LONG_S) == theirs.look(LONG_S) == before
