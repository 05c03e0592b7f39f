"""Real pools on shared disks, moved between two machines by the adapter that the watchdog uses.

`test_reservations` tests reservations. Here only a power cut fences, except where a test says so. Every test makes its
pools anew.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from reconciler.core.failover.orders.orders import Vdev
from reconciler.core.failover.reservations.key import Side
from tests.lab.image import Image
from tests.lab.pair.zfs_pair import BY_ID, LONG_S, ROOT, Head, Servant, parts
from tests.lab.target import Target

#: The first test includes booting both machines, and a busy machine is slow.
pytestmark = pytest.mark.timeout(1_800)
DISKS = 6
MIRRORS = (Vdev("tank/mirror-0", (0, 1), 1), Vdev("tank/mirror-1", (2, 3), 1))
TANK = f"tank mirror {parts(0, 1)} mirror {parts(2, 3)}"
SINGLE = (Vdev("tank/mirror-0", (0, 1), 1),)
CREATE = "zpool create -f -o cachefile=none"
#: Imports from every present disk, as a person would.
IMPORT = f"zpool import -d {BY_ID} -o cachefile=none -N -f"


@dataclass
class Heads:
    """Both machines, on."""

    a: Head
    b: Head
    target: Target

    def wipe(self) -> None:
        """Remove all pools and all labels, and give both machines every disk."""
        for head in (self.a, self.b):
            head.empty()
        for name in self.target.names:
            with self.target.file(name).open("r+b") as file:
                # The labels of ZFS lie at both ends of the partition.
                for mib in (1, 2, 149, 150):
                    file.seek(mib << 20)
                    file.write(bytes(1 << 20))
        for head in (self.a, self.b):
            if not head.machine.on:
                head.start()


@pytest.fixture(scope="module")
def machines(storage_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heads]:
    place = tmp_path_factory.mktemp("zfs")
    with Target(DISKS, size_mib=160) as target:
        # Disk 1 can be made to hang, for b only.
        both = Heads(
            Head(storage_image, place, Side.A, target),
            Head(storage_image, place, Side.B, target, hanging=1),
            target,
        )
        try:
            yield both
        finally:
            both.a.cut()
            both.b.cut()


@pytest.fixture
def heads(machines: Heads) -> Heads:
    machines.wipe()
    return machines


def imported(servant: Servant) -> None:
    """Import the pools; it must end in time and without a message."""
    answer = servant.ask("import", LONG_S)
    assert answer["good"] and not answer["said"], answer


def until(true: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end_s, what


def test_pools_come_and_go(heads: Heads) -> None:
    """The conformance suite's pools, on both machines, with two pools of which one has a log device."""
    two = (*SINGLE, Vdev("zoo/disk-0", (2,), 1), Vdev("zoo/log-1", (3,), 1))
    heads.a.sh(f"{CREATE} tank mirror {parts(0, 1)} && {CREATE} zoo {parts(2)} log {parts(3)}")
    heads.a.sh("for n in 1 2 3; do zfs create tank/d$n; done; zfs create -o mountpoint=/srv/deep zoo/d")
    heads.a.sh("zfs create -o canmount=noauto zoo/never; zpool export tank zoo")
    (servant, mover), elsewhere = (heads.a.servant(two), heads.a.servant(two)), heads.b.servant(two)
    assert servant.look() == "none"
    imported(mover)
    assert servant.look() == "all"
    imported(mover)  # there already
    mounted = heads.a.sh("grep -E ' zfs ' /proc/mounts | cut -d' ' -f2 | sort").split()
    assert mounted == ["/srv/deep", "/tank", "/tank/d1", "/tank/d2", "/tank/d3", "/zoo"]
    assert heads.a.sh("zpool get -H -o value failmode,cachefile tank zoo").split() == ["panic", "none"] * 2
    assert elsewhere.look() == "none"
    mover.kill()
    assert heads.a.servant(two).look() == "all", "pools outlive the process that imported them"
    assert servant.ask("export")["good"]
    assert servant.look() == "none"
    assert servant.ask("export")["good"], "gone already"


def test_one_of_two_pools_is_some(heads: Heads) -> None:
    two = (*SINGLE, Vdev("zoo/disk-0", (2,), 1))
    heads.a.sh(f"{CREATE} tank mirror {parts(0, 1)} && {CREATE} zoo {parts(2)}; zpool export zoo")
    servant = heads.a.servant(two)
    assert servant.look() == "some"
    imported(servant)  # the one that is missing, and the mounts of both
    assert servant.look() == "all"


def test_keys_in_files_are_loaded_and_a_locked_dataset_keeps_no_other(heads: Heads) -> None:
    key = "-o encryption=on -o keyformat=raw -o keylocation=file:///run"
    heads.a.sh("head -c 32 /dev/zero >/run/key; head -c 32 /dev/zero >/run/lost")
    heads.a.sh(f"{CREATE} tank mirror {parts(0, 1)}; zfs create {key}/key tank/k; zfs create tank/k/below")
    heads.a.sh(f"zfs create {key}/lost tank/l; zfs create tank/d; rm /run/lost; zpool export tank")
    servant = heads.a.servant(SINGLE)
    answer = servant.ask("import")
    assert answer["good"] and "tank/l" in " ".join(answer["said"])
    mounted = heads.a.sh("grep -E ' zfs ' /proc/mounts | cut -d' ' -f2 | sort").split()
    assert mounted == ["/tank", "/tank/d", "/tank/k", "/tank/k/below"]
    assert servant.look() == "all"


def test_one_pool_is_mounted_as_zfs_would(heads: Heads) -> None:
    """The importing program mounts it; a second program finds a key that lies in the pool itself."""
    key = "-o encryption=on -o keyformat=raw -o keylocation=file://"
    heads.a.sh(f"head -c 32 /dev/zero >/run/key; {CREATE} tank mirror {parts(0, 1)}")
    heads.a.sh(f"zfs create {key}/run/key tank/k; zfs create {key}/run/key -V 8M tank/volume")
    heads.a.sh("zfs create -o canmount=noauto tank/never; zfs create -o canmount=off tank/off; zfs create tank/off/d")
    heads.a.sh("zfs create -o mountpoint=legacy tank/legacy; zfs create -o mountpoint=none tank/none")
    servant = heads.a.servant(SINGLE)
    expected = ["/tank", "/tank/k", "/tank/off/d"]
    for more in ([], ["/tank/in", "/tank/keys"]):
        heads.a.sh("zpool export tank")
        imported(servant)
        mounted = heads.a.sh("grep -E ' zfs ' /proc/mounts | cut -d' ' -f2 | sort").split()
        assert mounted == sorted([*expected, *more])
        assert heads.a.sh("zfs get -H -o value keystatus tank/volume").strip() == "available"
        assert servant.look() == "all"
        if not more:
            heads.a.sh(f"zfs create tank/keys; cp /run/key /tank/keys/k; zfs create {key}/tank/keys/k tank/in")


def test_after_a_power_cut_nothing_acknowledged_is_missing(heads: Heads) -> None:
    heads.a.sh(f"{CREATE} {TANK}; zfs create tank/d; zpool export tank")
    mover = heads.a.servant(MIRRORS)
    imported(mover)
    writing = "while :; do n=$((n + 1)); echo $n >>/tank/d/f; sync /tank/d/f; echo $n >>/run/acknowledged; done"
    heads.a.machine.send(writing, 1000)
    heads.a.machine.until("[ $(tail -1 /run/acknowledged || echo 0) -ge 10 ]", LONG_S)
    acknowledged = int(heads.a.sh("tail -1 /run/acknowledged"))
    heads.a.cut()
    servant = heads.b.servant(MIRRORS)
    imported(servant)
    assert servant.look() == "all"
    assert int(heads.b.sh("tail -1 /tank/d/f")) >= acknowledged
    assert heads.b.sh("zpool scrub -w tank; zpool status tank | grep errors:") == "errors: No known data errors\n"


def test_zfs_itself_takes_the_older_half_for_the_pool(heads: Heads) -> None:
    """The reason for the rules of `import_devices` and the claim: no refusal, no warning, new data are gone."""
    heads.a.sh(f"{CREATE} {TANK}; echo old >/tank/f; zpool export tank")
    for number in (0, 2):
        heads.a.pull(number)
    heads.a.sh(f"{IMPORT} tank; zfs mount -a; echo new >/tank/f; sync; zpool sync tank")
    heads.a.cut()
    for number in (1, 3):
        heads.b.pull(number)
    heads.b.sh(f"{IMPORT} tank; zfs mount -a")
    assert heads.b.sh("cat /tank/f") == "old\n"


def test_the_older_half_alone_is_not_imported_while_the_newer_hangs(heads: Heads) -> None:
    heads.a.sh(f"{CREATE} tank mirror {parts(0, 1)}; echo old >/tank/f; zpool export tank")
    heads.a.pull(0)
    heads.a.sh(f"{IMPORT} tank; zfs mount -a; echo new >/tank/f; sync; zpool sync tank")
    heads.a.cut()
    servant = heads.b.servant(SINGLE)
    heads.b.hang(hangs=True)
    refused = servant.ask("import")
    assert not refused["good"]
    assert refused["said"] == ["vdev tank/mirror-0: the newest writes may be missing: disk1 cannot be read"]
    assert refused["seconds"] < 30, "the import does not wait for the disk"
    assert servant.look() == "none"
    heads.b.hang(hangs=False)
    until(lambda: bool(servant.ask("import")["good"]), "the disk answers again")
    assert heads.b.sh("cat /tank/f") == "new\n"


def test_a_pool_is_imported_without_a_disk_that_hangs(heads: Heads) -> None:
    """One of three disks of a raidz1: it alone cannot be newer. ZFS would open it all the same, and wait."""
    raidz = (Vdev("tank/raidz1-0", (0, 1, 2), 2),)
    heads.a.sh(f"{CREATE} tank raidz1 {parts(0, 1, 2)}; echo here >/tank/f; zpool export tank")
    servant, state = heads.b.servant(raidz), f"/sys/block/$(basename $(readlink {BY_ID}/disk1))/device/state"
    heads.b.hang(hangs=True)
    imported(servant)
    assert heads.b.sh("cat /tank/f") == "here\n"
    until(lambda: servant.ask("look")["out"] == [1], "the pool does without it")
    heads.b.hang(hangs=False)
    until(lambda: heads.b.sh(f"cat {state}") == "running\n", "the disk may be used again")
    heads.b.sh("zpool online tank disk1-part1; zpool wait -t resilver tank")
    until(lambda: servant.ask("look")["out"] == [], "it is back")


def test_a_device_outside_the_orders_is_refused(heads: Heads) -> None:
    heads.a.sh(f"{CREATE} {TANK}; zpool export tank")
    servant = heads.a.servant(SINGLE, ["disk0", "disk1"])
    refused = servant.ask("import")
    assert not refused["good"] and "write down every disk of the pool" in refused["said"][0]
    assert servant.look() == "none"


def test_a_disk_of_another_pool_does_not_hide_a_device_outside_the_orders(heads: Heads) -> None:
    heads.a.sh(f"{CREATE} {TANK}; {CREATE} zoo {parts(4)}; zpool export tank zoo")
    servant = heads.a.servant((*SINGLE, Vdev("zoo/disk-0", (2,), 1)), ["disk0", "disk1", "disk4"])
    refused = servant.ask("import")
    assert not refused["good"] and "write down every disk of the pool" in refused["said"][0]
    assert servant.look() == "some", "the other pool is whole"


def test_divided_disks_are_a_pool_that_is_to_be_made_only_while_nothing_is_in_their_partitions(heads: Heads) -> None:
    """An interrupted `zpool create` blocks no takeover, but damaged labels do not mean a pool that is to be made."""
    servant = heads.a.servant(MIRRORS)
    write = f"dd of={BY_ID}/disk2-part1 bs=512 seek=700 count=1 conv=fsync"
    heads.a.sh(f"{write} if=/dev/urandom")
    refused = servant.ask("import")
    assert not refused["good"] and "carries pool tank" in refused["said"][0]
    assert servant.look() == "none"
    heads.a.sh(f"{write} if=/dev/zero")
    imported(servant)
    assert servant.look() == "all"


def test_a_busy_pool_is_not_exported_and_the_deadline_is_kept(heads: Heads) -> None:
    heads.a.sh(f"{CREATE} tank mirror {parts(0, 1)}; zpool export tank")
    servant, mover = heads.a.servant(SINGLE), heads.a.servant(SINGLE)
    imported(mover)
    heads.a.sh("cd /tank; (exec sleep 100000 >/dev/null 2>&1 & echo $! >/run/sleeper)")
    busy = mover.ask("export", 4)
    assert not busy["good"] and "busy" in busy["said"][0]
    assert 3.9 < busy["seconds"] < 30
    assert servant.look() == "some", "it may be half unmounted"
    imported(mover)  # an import after it makes it whole again
    assert servant.look() == "all"
    heads.a.sh("kill $(cat /run/sleeper)")
    assert mover.ask("export")["good"]
    assert servant.look() == "none"


def test_what_is_in_use_for_moments_is_exported_between_two(heads: Heads) -> None:
    heads.a.sh(f"{CREATE} tank mirror {parts(0, 1)}; zfs create tank/d; echo here >/tank/d/f; zfs snapshot tank/d@then")
    heads.a.sh("zfs create -o mountpoint=/srv/own tank/own; zpool export tank")
    mover = heads.a.servant(SINGLE)
    imported(mover)
    assert heads.a.sh("cat /tank/d/.zfs/snapshot/then/f").strip() == "here", "which mounts the snapshot"
    heads.a.sh("(while [ -e /tank/d/f ]; do sleep 0.05 </tank/d/f; sleep 0.01; done >/dev/null 2>&1 &)")
    gone = mover.ask("export")
    assert gone["good"] and not gone["said"], gone
    assert heads.a.sh("ls -d /tank /srv/own 2>/dev/null || true").split() == ["/srv/own"], "as zpool leaves it"
    imported(mover)
    assert heads.a.sh("cat /tank/d/.zfs/snapshot/then/f").strip() == "here"
    assert mover.ask("export")["good"]


def test_zfs_names_no_reservation_conflict(heads: Heads) -> None:
    """EBADE is ZFS' own checksum error on Linux: the kernel's log and `zpool status` show it, no event does."""
    heads.a.sh(f"{CREATE} -o failmode=wait tank mirror {parts(2, 3)} && zpool events -c")
    disk = f"{BY_ID}/disk3"
    heads.b.sh(f"sg_persist --out --register --param-sark=0xbeef {disk}")
    try:
        heads.b.sh(f"sg_persist --out --reserve --param-rk=0xbeef --prout-type=5 {disk}")
        heads.a.sh("dd if=/dev/urandom of=/tank/file bs=64k count=4 conv=fsync 2>/dev/null")
        heads.a.machine.until("zpool status tank | grep -q 'disk3-part1.*FAULTED'", LONG_S)
        assert "reservation conflict" in heads.a.sh("dmesg")
        events = heads.a.sh("zpool events -v -H")
        assert "vdev_path" in events and "zio_err" not in events, "an event names the error: let hagit listen to it"
    finally:
        heads.b.sh(f"sg_persist --out --clear --param-rk=0xbeef {disk}")


def test_a_pulled_disk_is_given_up_and_comes_back(heads: Heads) -> None:
    heads.a.sh(f"{CREATE} {TANK}; zpool export tank")
    servant = heads.a.servant(MIRRORS)
    imported(servant)
    heads.a.pull(2)
    heads.a.sh("echo x >/tank/f; sync; zpool sync tank")
    until(lambda: servant.ask("look")["out"] == [2], "the pool gave disk 2 up")
    assert servant.look() == "all"
    heads.a.push(2)
    # Without zed, a person must bring the disk online.
    heads.a.sh("zpool online tank disk2-part1")
    until(lambda: servant.ask("look")["out"] == [], "it is back")


def test_properties_are_seen_and_set(heads: Heads) -> None:
    names = "disk3-part1 disk4-part1 disk5-part1"
    text = heads.a.sh(f"cd {ROOT}; PYTHONPYCACHEPREFIX=/run/pyc {sys.executable} -m tests.lab.pair.zfs_story {names}")
    told = json.loads(text)
    good = ["Done()"] * 14
    denied = {1: "is part of active pool", 7: "recordsize", 9: "has children"}
    for at, words in denied.items():
        assert words in told["steps"][at], told["steps"]
    assert [step for at, step in enumerate(told["steps"]) if at not in denied] == good[: len(told["steps"]) - 3]
    assert told["health"] == "ONLINE" and told["comment"] == "two words" and told["failmode"] == "panic"
    assert "MIRROR" in told["layout"] and [member[1] for member in told["members"]] == ["", "", "log"]
    assert told["local"]["story/a"]["quota"] == "33554432"
    assert told["local"]["story/a"]["org.example:owner"] == "me" and "recordsize" not in told["local"]["story/a"]
    assert told["kinds"]["story/v"] == "volume"
    assert told["inherited"] == ["lz4", "inherited", "story"]
