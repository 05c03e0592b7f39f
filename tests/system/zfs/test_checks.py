"""What is told before a takeover fails or takes long."""

from dataclasses import replace
from pathlib import Path

from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.reservations.key import Side
from reconciler.system.zfs.checks import Gathered, findings, hostid, unmasked
from reconciler.system.zfs.labels import Label, LabelState
from reconciler.system.zfs.values import Health, ImportedPool, Member, PoolLayout, PropertySource, Setting, VdevRole

ORDERS = Orders(
    *("pair", Side.A, 1, ("one", "two"), ("d0", "d1"), (Vdev("tank/mirror-0", (0, 1), 1),), (0,)), channels=()
)
LABEL = Label(0, 10, "tank", 77, 4, 0, 1, (), (10, 11), hostid=5, hostname="beta")
GOOD_SETTINGS = {"multihost": "off", "failmode": "panic", "cachefile": "none"}


def pool(**settings: str) -> ImportedPool:
    found = {**GOOD_SETTINGS, **settings}
    members = tuple(
        Member(name, f"/dev/disk/by-id/{name}-part1", Health.ONLINE, VdevRole.DATA) for name in ("d0", "d1")
    )
    values = tuple((name, Setting(value, PropertySource.LOCAL)) for name, value in sorted(found.items()))
    return ImportedPool("tank", 77, Health.ONLINE, PoolLayout(()), members, values)


GOOD = Gathered(4, "alpha", True, {0: LABEL, 1: replace(LABEL, guid=11)}, (pool(),), ())


def codes(found: Gathered) -> list[str]:
    return [finding.code for finding in findings(ORDERS, found)]


def test_nothing_is_told_of_a_pair_that_is_well() -> None:
    assert codes(GOOD) == []
    assert codes(replace(GOOD, pools=None)) == []


def test_hostids() -> None:
    (same,) = findings(ORDERS, replace(GOOD, hostid=5))
    assert same.code == "ZFS_SAME_HOSTID" and "beta wrote the labels with hostid 00000005" in same.evidence
    assert codes(replace(GOOD, hostid=5, hostname="beta")) == [], "we wrote them ourselves"
    assert codes(replace(GOOD, hostid=0)) == ["ZFS_NO_HOSTID"]


def test_copies_of_one_disk_image_have_one_hostname_too() -> None:
    copy = replace(GOOD, hostid=5, hostname="beta")
    (same,) = findings(ORDERS, replace(copy, theirs=True))
    assert same.code == "ZFS_SAME_HOSTID", "the peer has the pools and says so: we cannot have written the labels"
    exported = {at: replace(LABEL, guid=10 + at, state=LabelState.EXPORTED) for at in (0, 1)}
    assert codes(replace(copy, theirs=True, labels=exported)) == [], "written by us, before we gave the pools away"
    assert codes(replace(GOOD, theirs=True)) == []


def test_properties_of_imported_pools() -> None:
    bad = replace(GOOD, pools=(pool(multihost="on", failmode="wait", cachefile="-"),))
    assert codes(bad) == ["ZFS_MULTIHOST", "ZFS_FAILMODE", "ZFS_CACHEFILE"]
    other = replace(pool(multihost="on"), name="rpool")
    assert codes(replace(GOOD, pools=(pool(), other))) == [], "pools of nobody's orders are left alone"


def test_filesystems_that_are_not_mounted() -> None:
    seven = tuple(f"tank/d{number}" for number in range(7))
    (told,) = findings(ORDERS, replace(GOOD, unmounted=("tank/k (locked)", *seven)))
    assert told.code == "ZFS_UNMOUNTED"
    assert told.evidence == "tank/k (locked), tank/d0, tank/d1, tank/d2, tank/d3 and 3 more"


def test_devices_that_are_not_in_the_orders() -> None:
    cache = Member("/dev/nvme0n1p3", "/dev/nvme0n1p3", Health.ONLINE, VdevRole.CACHE)
    (told,) = findings(ORDERS, replace(GOOD, pools=(replace(pool(), members=(*pool().members, cache)),)))
    assert told.code == "ZFS_STRANGE_DEVICE" and "/dev/nvme0n1p3" in told.evidence
    log = replace(LABEL, tops=2)
    assert codes(replace(GOOD, labels={0: log, 1: replace(log, guid=11)})) == ["ZFS_STRANGE_DEVICE"]


def test_without_zfs_nothing_else_is_worth_telling() -> None:
    assert codes(replace(GOOD, zfs=False, hostid=0)) == ["ZFS_MISSING"]


def test_units_that_import_at_boot(tmp_path: Path) -> None:
    for place in ("lib/systemd/system", "etc/systemd/system"):
        (tmp_path / place).mkdir(parents=True)
    assert unmasked(tmp_path) == ()
    (tmp_path / "lib/systemd/system/zfs-import-scan.service").touch()
    assert unmasked(tmp_path) == ("zfs-import-scan.service",)
    (told,) = findings(ORDERS, replace(GOOD, unmasked=unmasked(tmp_path)))
    assert told.remedy == "systemctl mask zfs-import-scan.service"
    (tmp_path / "etc/systemd/system/zfs-import-scan.service").symlink_to("/dev/null")
    assert unmasked(tmp_path) == ()


def test_the_hostid_is_the_modules_or_the_files(tmp_path: Path) -> None:
    assert hostid(tmp_path) == 0
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostid").write_bytes(bytes.fromhex("efbeadde"))
    assert hostid(tmp_path) == 0xDEADBEEF
    parameters = tmp_path / "sys/module/spl/parameters"
    parameters.mkdir(parents=True)
    (parameters / "spl_hostid").write_text("0\n")
    assert hostid(tmp_path) == 0xDEADBEEF
    (parameters / "spl_hostid").write_text("17\n")
    assert hostid(tmp_path) == 17
