"""iSCSI of a controller on a real kernel: the adapter serves volumes of a pool, and open-iscsi uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from reconciler.core.shares.shares import Chap, Initiator, IscsiTarget, Lun, Protocol, Shares
from tests.lab.image import Image
from tests.lab.iscsi_machine import ADDRESS, CLIENT, LONG_S, STATE, TREE, GuestServer, IscsiMachine, shares_of, target
from tests.system.shares.conformance import CHECKS, Rig

SECRET, OTHER = "one-way-secret-1", "mutual-secret-22"


@pytest.fixture(scope="module")
def one_controller(
    storage_image: Image, progress: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IscsiMachine]:
    with IscsiMachine(storage_image, tmp_path_factory.mktemp("iscsi"), progress) as booted:
        yield booted


@pytest.fixture
def controller(one_controller: IscsiMachine) -> Iterator[IscsiMachine]:
    """Yield the machine without targets and volumes."""
    one_controller.clear()
    yield one_controller


@pytest.mark.parametrize("check", CHECKS)
def test_it_keeps_the_port(controller: IscsiMachine, check: Callable[[Rig], None]) -> None:
    controller.volumes("a", "b")
    one, two, broken = target("t-a", ["a"]), target("t-b", ["b"]), target("t-c", ["nowhere"])
    shares = (shares_of(one), shares_of(one, two), shares_of(one, two, broken))
    check(Rig(Protocol.ISCSI, lambda: GuestServer(controller), *shares))


def test_a_session_goes_on_over_a_stop_and_a_start(controller: IscsiMachine) -> None:
    controller.volumes("a", "b")
    shares = shares_of(target("disks", ["a", "b"]))
    (view,) = controller.serve(shares, "start")
    assert (view["serving"], view["served"], view["problems"]) == ("up", ["disks"], [])
    assert controller.login("iqn.2026-01.lab:disks").status == 0
    writer = controller.write_to(controller.disk())
    looked, stopped, down = controller.serve(shares, "look", "stop", "look")
    controller.check("sleep 2")
    started, again = controller.serve(shares, "start", "look")
    told = controller.written(writer)
    assert not told["errors"] and not told["wrong"] and told["records"] > 0, told
    assert told["longest_ms"] > 2_000, "the writer met the stop"
    (client,) = looked["clients"]
    assert (client["name"], client["address"], client["shares"]) == (CLIENT, ADDRESS, ["disks"])
    assert (looked["serving"], looked["problems"]) == ("up", [])
    assert (stopped["serving"], down["serving"], started["serving"]) == ("down", "down", "up")
    assert (again["serving"], again["problems"]) == ("up", [])
    assert [name for name, _ in stopped["steps_ms"]] == ["disable", "unlink", "close"]


def test_a_disk_is_the_same_after_the_pool_was_imported_again(controller: IscsiMachine) -> None:
    controller.volumes("a", "b", "c")
    shares = shares_of(target("disks", ["c", "a"]))
    controller.serve(shares, "start")
    assert controller.login("iqn.2026-01.lab:disks").status == 0
    named = "sg_inq -p 0x83 -H {0} && sg_inq -p 0x80 -H {0} && sg_inq {0} | grep Product"
    before = controller.check(named.format(controller.disk(1)))
    writer = controller.write_to(controller.disk(1))
    controller.serve(shares, "stop")
    controller.move_pool()
    (view,) = controller.serve(shares, "start")
    assert (view["serving"], view["problems"]) == ("up", [])
    told = controller.written(writer)
    assert not told["errors"] and not told["wrong"] and told["records"] > 0, told
    assert controller.check(named.format(controller.disk(1))) == before
    guid = int(controller.check("zfs get -Hpo value guid tank/a"))
    assert f"{guid:016x}" in before
    identifier = controller.check(f"cat /sys/block/{controller.disk(1).removeprefix('/dev/')}/device/wwid")
    assert identifier.startswith(f"naa.6001405{guid:016x}")


def test_chap_admits_who_knows_the_secret(controller: IscsiMachine) -> None:
    controller.volumes("a")
    one_way = Initiator(CLIENT, Chap("host", "HOST"))
    both = Initiator(CLIENT, Chap("host", "HOST"), Chap("target", "TARGET"))
    beside = Initiator("iqn.2026-01.lab:open")
    files = {"HOST": "/root/host", "TARGET": "/root/target"}
    controller.check(f"umask 077; echo {SECRET} > /root/host; echo {OTHER} > /root/target")
    given = {"node__session__auth__authmethod": "CHAP", "node__session__auth__username": "host"}
    right, wrong = ({"node__session__auth__password": text} for text in (SECRET, "wrong-secret-333"))
    iqn = "iqn.2026-01.lab:disks"

    def refused(**settings: str) -> bool:
        done = controller.login(iqn, **settings)
        controller.run("iscsiadm -m node -u; iscsiadm -m node -o delete")
        return "authorization failure" in done.err

    for initiators in ([one_way], [one_way, beside]):
        (view,) = controller.serve(shares_of(target("disks", ["a"], initiators)), "start", secrets=files)
        assert (view["served"], view["problems"]) == (["disks"], [])
        assert refused(), "without a secret"
        assert refused(**given, **wrong)
        assert not refused(**given, **right)
    view, look = controller.serve(shares_of(target("disks", ["a"], [both])), "start", "look", secrets=files)
    assert (view["problems"], look["problems"]) == ([], [])
    mutual = {"node__session__auth__username_in": "target"}
    assert not refused(**given, **right, **mutual, node__session__auth__password_in=OTHER)
    done = controller.login(iqn, **given, **right, **mutual, node__session__auth__password_in="wrong-secret-333")
    assert done.status != 0, "the target did not prove itself"
    controller.run("iscsiadm -m node -u; iscsiadm -m node -o delete")
    assert SECRET not in controller.check("dmesg") and SECRET not in str(view)


def test_a_secret_that_others_can_read_admits_no_initiator(controller: IscsiMachine) -> None:
    controller.volumes("a")
    initiators = [Initiator("iqn.2026-01.lab:other"), Initiator(CLIENT, Chap("host", "HOST"))]
    shares = shares_of(target("disks", ["a"], initiators))
    controller.check(f"echo {SECRET} > /root/host; chmod 644 /root/host")
    (view,) = controller.serve(shares, "start", secrets={"HOST": "/root/host"})
    (problem,) = view["problems"]
    assert view["served"] == ["disks"] and problem["served"] and "others may read" in problem["text"]
    assert CLIENT not in controller.check(f"ls {TREE}/iscsi/iqn.2026-01.lab:disks/tpgt_1/acls")
    (view,) = controller.serve(shares, "start")
    assert "names no file for the secret 'HOST'" in view["problems"][0]["text"]


def test_a_reservation_with_aptpl_survives(controller: IscsiMachine) -> None:
    controller.volumes("a")
    shares = shares_of(target("disks", ["a"]))
    controller.serve(shares, "start")
    assert controller.login("iqn.2026-01.lab:disks").status == 0
    disk = controller.disk()
    # Type 8 is no number in the kernel's own notation.
    controller.check(
        f"sg_persist -n --out --register --param-sark=abc1 --param-aptpl {disk} &&"
        f" sg_persist -n --out --reserve --param-rk=abc1 --prout-type=8 {disk}"
    )
    asked = f"sg_persist -n --in --read-keys {disk}; sg_persist -n --in --read-reservation {disk}"
    controller.check(asked)
    controller.serve(shares, "stop")
    controller.move_pool()
    (view,) = controller.serve(shares, "start")
    assert view["problems"] == []
    controller.machine.until(f"sg_persist -n --in --read-keys {disk} | grep -q abc1", LONG_S)
    held = controller.check(asked)
    assert "Exclusive Access, all registrants" in held, held
    controller.check(f"sg_persist -n --out --release --param-rk=abc1 --prout-type=8 {disk}")


def test_objects_of_other_programs_stay(controller: IscsiMachine) -> None:
    controller.volumes("a", "foreign")
    theirs = f"{TREE}/iscsi/iqn.2026-01.lab:theirs/tpgt_1"
    # As after a boot: the kernel's directory is its own, and it takes no other one once a backstore exists.
    controller.check(f"mkdir -p /var/target && echo /var/target > {TREE}/dbroot")
    controller.check(
        f"mkdir -p {TREE}/core/iblock_0/theirs {theirs}/lun/lun_0 && cd {TREE}/core/iblock_0/theirs &&"
        f" echo udev_path=/dev/disk/by-id/disk0-part9 > control && echo 1 > enable && ln -s $PWD {theirs}/lun/lun_0/x"
        f" && echo 1 > {theirs}/enable"
    )
    try:
        shares = shares_of(target("disks", ["a"]), target("theirs", ["foreign"]))
        started, looked, stopped = controller.serve(shares, "start", "look", "stop")
        assert started["served"] == ["disks"]
        texts = {problem["name"]: problem["text"] for problem in started["problems"]}
        assert "another program made the target" in texts["theirs"]
        assert "core/iblock_0/theirs" in texts[""] and "do not survive" in texts[""]
        assert looked["served"] == ["disks"] and stopped["serving"] == "down"
        assert controller.check(f"cat {theirs}/enable {TREE}/core/iblock_0/theirs/enable").split() == ["1", "1"]
        assert controller.check(f"readlink -f {theirs}/lun/lun_0/x").strip() == f"{TREE}/core/iblock_0/theirs"
    finally:
        controller.check(
            f"echo 0 > {theirs}/enable; rm {theirs}/lun/lun_0/x; rmdir {theirs}/lun/lun_0 {theirs}"
            f" {TREE}/iscsi/iqn.2026-01.lab:theirs {TREE}/core/iblock_0/theirs {TREE}/core/iblock_0"
        )


def test_changes_by_hand_are_seen_and_undone_without_disturbing_sessions(controller: IscsiMachine) -> None:
    controller.volumes("a", "b")
    shares = shares_of(target("disks", ["a", "b"]), target("more", ["b"]))
    controller.serve(shares, "start")
    assert controller.login("iqn.2026-01.lab:disks").status == 0
    writer = controller.write_to(controller.disk())
    group = f"{TREE}/iscsi/iqn.2026-01.lab:disks/tpgt_1"
    controller.check(
        f"echo 30 > {group}/attrib/login_timeout; mkdir {group}/acls/iqn.2026-01.lab:intruder;"
        f" rm {group}/acls/{CLIENT}/lun_1/hagit; echo 0 > {group}/../../iqn.2026-01.lab:more/tpgt_1/enable"
    )
    looked, started, again = controller.serve(shares, "look", "start", "look")
    changed = {problem["name"]: problem for problem in looked["problems"]}
    assert looked["serving"] == "partly" and looked["served"] == ["disks"]
    assert changed["disks"]["changed"] and changed["disks"]["served"]
    for text in ("iqn.2026-01.lab:intruder may log in", "login_timeout is '30', not '10'", f"{CLIENT} lacks lun 1"):
        assert text in changed["disks"]["text"]
    assert (started["serving"], started["problems"], again["problems"]) == ("up", [], [])
    told = controller.written(writer)
    assert not told["errors"] and not told["wrong"] and told["longest_ms"] < 5_000, told


def test_a_new_share_and_a_removed_one_leave_the_others(controller: IscsiMachine) -> None:
    controller.volumes("a", "b", "c")
    controller.serve(shares_of(target("disks", ["a"]), target("old", ["b"])), "start")
    assert controller.login("iqn.2026-01.lab:disks").status == 0
    assert controller.login("iqn.2026-01.lab:old").status == 0
    (view,) = controller.serve(shares_of(target("disks", ["a", "c"]), target("new", ["b"])), "start")
    assert (view["served"], view["problems"]) == (["disks", "new"], [])
    controller.check("iscsiadm -m session -R", LONG_S)
    assert controller.check("iscsiadm -m session -P 1 | grep -A5 lab:disks")
    there = controller.check(f"ls {TREE}/iscsi")
    assert "lab:new" in there and "lab:old" not in there
    # The kernel has closed a volume that no share uses.
    controller.serve(shares_of(target("disks", ["a"])), "start")
    controller.check("zfs destroy tank/b && zfs destroy tank/c", LONG_S)


def test_a_volume_that_cannot_be_served_keeps_its_target_closed_and_no_other(controller: IscsiMachine) -> None:
    controller.volumes("a", "b", "shrinks", "replaced", size_mib=32)
    names = ("a", "b", "shrinks", "replaced")
    shares = shares_of(*(target(f"t-{name}", [name]) for name in names))
    controller.serve(shares, "start", "stop")
    controller.check("zfs set volsize=16M tank/shrinks; zfs set volsize=64M tank/a; zfs destroy tank/b", LONG_S)
    controller.check("zfs destroy tank/replaced")
    controller.volumes("replaced")
    controller.check("zfs set sync=standard tank/a; zfs create tank/plain")
    extra = (
        target("t-plain", ["plain"]),
        IscsiTarget("bad", "iqn.2026-01.lab:a/b", (ADDRESS,), (Lun(0, "tank/a"),), ()),
    )
    started, looked = controller.serve(shares_of(*shares.targets, *extra), "start", "look")
    assert started["serving"] == "up" and started["served"] == ["t-a"] == looked["served"]
    texts = {problem["name"]: problem["text"] for problem in started["problems"]}
    assert "there is no volume tank/b" in texts["t-b"]
    assert "has shrunk from 33554432 to 16777216 bytes" in texts["t-shrinks"]
    assert "is another volume than the one that initiators know" in texts["t-replaced"]
    assert "sync of tank/a is not always" in texts["t-a"]
    assert "is a filesystem and no volume" in texts["t-plain"]
    assert "is no iSCSI name" in texts["bad"]
    # Removed and added again, it is accepted.
    controller.serve(shares_of(target("t-a", ["a"])), "start")
    (view,) = controller.serve(shares_of(*(one for one in shares.targets if one.name != "t-b")), "start")
    assert set(view["served"]) == {"t-a", "t-shrinks", "t-replaced"}
    controller.serve(shares_of(), "stop")
    controller.check("zfs destroy tank/plain")


def test_without_the_state_dataset_it_serves_and_says_what_is_lost(controller: IscsiMachine) -> None:
    controller.volumes("a")
    shares = shares_of(target("disks", ["a"]))
    controller.check(f"zfs unmount {STATE}")
    (view,) = controller.serve(shares, "start")
    controller.check(f"zfs mount {STATE}")
    (problem,) = view["problems"]
    assert view["served"] == ["disks"] and problem["served"] and "is not mounted" in problem["text"]


def test_how_long_1_and_64_disks_take(controller: IscsiMachine, progress: Callable[[str], None]) -> None:
    names = [f"v{number}" for number in range(64)]
    controller.volumes(*names)
    for count in (1, 64):
        shares = shares_of(target("disks", names[:count]))
        *_, started, stopped = controller.serve(shares, "start", "stop", "start", "stop")
        assert (started["serving"], stopped["serving"], started["problems"]) == ("up", "down", [])
        assert started["ms"] < 60_000
        progress(f"iscsi: {count} disks: start {started['ms']} ms {dict(started['steps_ms'])}, stop {stopped['ms']} ms")


def test_no_shares_is_nothing_left(controller: IscsiMachine) -> None:
    controller.volumes("a")
    controller.serve(shares_of(target("disks", ["a"])), "start")
    (view,) = controller.serve(Shares("lab"), "start")
    assert view["serving"] == "down"
    assert "iqn" not in controller.check(f"ls {TREE}/iscsi")
    controller.move_pool()
