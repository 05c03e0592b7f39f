"""What is told of disks before a claim meets it."""

from dataclasses import replace
from pathlib import Path

from reconciler.core.failover.orders.orders import Vdev
from reconciler.core.failover.ports import answered
from reconciler.core.failover.reservations.claim import Command, Verb
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.system.findings import Finding, listed
from reconciler.system.shelf import open_audit
from reconciler.system.shelf.audit import DiskAudit
from reconciler.system.shelf.checks import findings
from tests.system.reservation.standin import image
from tests.system.shelf.rig import DISKS, LONG_S, SimulatedRig, claim, orders
from tests.system.shelf.rig_disks import DisksRig
from tests.wait import until


def found(disks: DisksRig, side: Side = Side.A) -> dict[str, Finding]:
    shelf = disks.open_shelf(side, orders(side))
    told = {one.code: one for one in findings(orders(side), shelf.survey(LONG_S))}
    shelf.close()
    return told


def test_nothing_is_told_of_disks_that_are_well(disks: DisksRig) -> None:
    assert found(disks) == {}, "nobody has claimed them"
    claim(disks.open(Side.A)[0], Side.A, 3)
    assert found(disks) == found(disks, Side.B) == {}


def test_a_disk_that_is_not_reached_and_what_became_of_it(disks: DisksRig) -> None:
    disks.lose(Side.A, 3)
    gone = disks.disks.pop(DISKS[1])
    told = found(disks)
    assert list(told) == ["DISK_UNREACHED"]
    assert told["DISK_UNREACHED"].evidence == "disk1: disk1 does not exist; disk3: it does not answer"
    assert list(found(disks, Side.B)) == ["DISK_UNREACHED"], "only disk1"
    disks.disks[DISKS[1]] = gone
    disks.restore(Side.A, 3)
    assert found(disks) == {}


def test_a_disk_without_reservations(disks: DisksRig) -> None:
    disks.disks[DISKS[2]].knows = False
    told = found(disks)
    assert list(told) == ["FENCING_IMPOSSIBLE"]
    assert told["FENCING_IMPOSSIBLE"].evidence == DISKS[2]


def test_an_arbitration_disk_without_room_for_records(disks: DisksRig) -> None:
    image(disks.disks[DISKS[1]].file, {})
    told = found(disks)
    assert list(told) == ["NO_RECORDS"]
    assert told["NO_RECORDS"].evidence.startswith("disk1: ")


def test_a_disk_that_the_peer_does_not_hold_though_it_owns_the_pair(disks: DisksRig) -> None:
    shelf = disks.open(Side.A)[0]
    claim(shelf, Side.A, 3)
    answered(shelf, Command(Verb.UNREGISTER, 3, Key(Side.A, 3)), LONG_S)
    assert found(disks) == {}, "the watchdog of the owner knows by itself"
    theirs = found(disks, Side.B)
    assert (list(theirs), theirs["DISKS_DIFFER"].evidence) == (["DISKS_DIFFER"], "disk3: held by no controller")
    other = disks.open(Side.B)[0]
    for verb in (Verb.REGISTER, Verb.RESERVE):
        answered(other, Command(verb, 3, Key(Side.B, 9)), LONG_S)
    assert found(disks, Side.B)["DISKS_DIFFER"].evidence == "disk3: held by two, claim 9"


def test_what_poor_disks_lack(disks: DisksRig) -> None:
    for disk in disks.disks.values():
        disk.aborts = disk.aptpl = False
    shelf = disks.open_shelf(Side.A, orders(Side.A))
    assert [one.code for one in findings(orders(Side.A), shelf.survey(LONG_S))] == ["NO_APTPL"]
    # Only a disk that refuses it with a right key is known to have no PREEMPT AND ABORT.
    claim(disks.open(Side.B)[0], Side.B, 2)
    claim(shelf, Side.A, 3)
    told = {one.code: one.evidence for one in findings(orders(Side.A), shelf.survey(LONG_S))}
    assert told == {"NO_ABORT": "; ".join(DISKS), "NO_APTPL": "; ".join(DISKS)}


def test_a_path_that_went_is_told_until_it_is_back(disks: DisksRig) -> None:
    shelf = disks.open_shelf(Side.A, orders(Side.A))
    claim(shelf, Side.A, 3)
    assert findings(orders(Side.A), shelf.survey(LONG_S)) == ()
    disks.cabinets[-1].gone.add("a1")

    def told() -> dict[str, str]:
        return {one.code: one.evidence for one in findings(orders(Side.A), shelf.survey(LONG_S))}

    until(lambda: told() == {"PATH_DOWN": "; ".join(f"{name}: a1" for name in DISKS)}, told)
    disks.cabinets[-1].gone.clear()
    until(lambda: told() == {}, told)


def test_a_hanging_disk_costs_an_audit_its_share_of_the_time_and_the_files_are_looked_at(
    disks: DisksRig, tmp_path: Path
) -> None:
    units = tmp_path / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    (units / "zfs-import-cache.service").touch()
    pooled = replace(orders(Side.A), vdevs=(Vdev("tank/mirror-0", (0, 1), 1),))
    audit = DiskAudit(disks.open_shelf(Side.A, pooled), tmp_path, pooled, tmp_path)
    disks.hang(0)
    told = {one.code for one in audit.look(2.0, theirs=False)}
    disks.unhang(0)
    assert "DISK_UNREACHED" in told
    assert told & {"ZFS_MISSING", "ZFS_NO_HOSTID"}, "a kernel without ZFS, or one without a hostid in that directory"
    audit.close()


def test_around_a_simulated_shelf_there_is_nothing(simulated: SimulatedRig) -> None:
    audit = open_audit(simulated.url, Side.A, orders(Side.A))
    assert audit.look(LONG_S, theirs=True) == ()
    audit.close()


def test_a_long_list_is_cut_and_says_so() -> None:
    assert listed(["a", "b"]) == "a; b"
    assert listed([str(number) for number in range(10)]) == "0; 1; 2; 3; 4; 5; 6; 7; and 2 more"
